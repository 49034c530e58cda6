"""What the tests share: the simulated driver and tasks on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import daqring.sim
import nidaqmx
import pytest
from daqring import acquisition
from daqring.readers import choose
from nidaqmx.constants import AcquisitionType
from reader_kinds import READERS

#: Those of the simulator, unless a test asks for others.
DEVICES = {"Dev1": "PCIe-6363", "Dev2": "PXIe-6396", "Dev3": "USB-6003"}


@pytest.fixture(scope="session", autouse=True)
def runtime_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Recorders of tests are not shown among those of the user."""
    before = os.environ.get("DAQRING_RUNTIME_DIR")
    os.environ["DAQRING_RUNTIME_DIR"] = str(tmp_path_factory.mktemp("runtime"))
    yield
    if before is None:
        del os.environ["DAQRING_RUNTIME_DIR"]
    else:
        os.environ["DAQRING_RUNTIME_DIR"] = before


@pytest.fixture
def simulator() -> Iterator[Callable[..., None]]:
    """Installs the simulated driver with the pattern as signal and the clock that the test asks for."""

    def install(**options: Any) -> None:
        # Else the devices of the test before stay.
        devices = {} if {"devices", "product"} & options.keys() else {"devices": DEVICES}
        daqring.sim.install(**{"clock": "unthrottled", "signal": "pattern"} | devices | options)

    yield install
    daqring.sim.uninstall()


@pytest.fixture
def make_task(simulator: Callable[..., None]) -> Iterator[Callable[..., nidaqmx.Task]]:
    """Makes continuous tasks on the simulator and closes them after the test."""
    tasks: list[nidaqmx.Task] = []

    def make(
        channels: str = "Dev1/ai0:3",
        rate: float = 100_000,
        *,
        samples: int = 1000,
        mode: AcquisitionType = AcquisitionType.CONTINUOUS,
        name: str = "",
        **options: Any,
    ) -> nidaqmx.Task:
        if not tasks:
            simulator(**options)
        task = nidaqmx.Task(name)
        tasks.append(task)
        task.ai_channels.add_ai_voltage_chan(channels)
        task.timing.cfg_samp_clk_timing(rate, sample_mode=mode, samps_per_chan=samples)
        return task

    yield make
    for task in tasks:
        if task._handle is not None:
            task.close()


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test with each reader, where it does not ask for one itself."""
    asked: str = request.param
    monkeypatch.setattr(
        acquisition, "choose", lambda choice, source: choose(asked if choice == "auto" else choice, source)
    )
    return asked
