"""What the tests share: the simulated driver, and the checkable pattern recomputed with numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import daqring.sim
import nidaqmx
import numpy as np
import pytest
from nidaqmx.constants import AcquisitionType


@pytest.fixture
def simulator() -> Iterator[Callable[..., None]]:
    """Installs the simulated driver with the pattern as signal and the clock that the test asks for."""

    def install(**options: Any) -> None:
        daqring.sim.install(**{"clock": "unthrottled", "signal": "pattern"} | options)

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


def assert_pattern(codes: np.ndarray, channel: int, first: int = 0) -> None:
    """Fails unless `codes` is the pattern of a channel from sample `first` on, and says where it is not."""
    expected = daqring.sim.pattern(channel, first, len(codes))
    wrong = np.flatnonzero(codes != expected)
    assert wrong.size == 0, (
        f"channel {channel}: {wrong.size} of {len(codes)} samples are wrong, the first at {first + wrong[0]}"
    )
