"""The page of errors: every code there is one of the driver's under its name, and the simulator gives what
the page says it does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import daqring.sim
import nidaqmx
import pytest
from nidaqmx.constants import AcquisitionType, OverwriteMode
from nidaqmx.error_codes import DAQmxErrors
from nidaqmx.errors import DaqError

PAGE = Path(__file__).resolve().parent.parent / "python" / "docs" / "troubleshooting.md"
ROW = re.compile(r"^\| ([*\-\d, ]+) \| ([^|]+) \|", re.MULTILINE)
ROWS = [(match[1], match[2]) for match in ROW.finditer(PAGE.read_text("utf-8"))]
CODES = {int(code) for cell, _ in ROWS for code in re.findall(r"-\d+", cell)}
#: Those in italics: that the simulator never gives.
ITALIC = {int(code) for cell, _ in ROWS for code in re.findall(r"\*(-\d+)\*", cell)}

CASES: dict[int, Callable[[nidaqmx.Task], object]] = {}


def gives(code: int) -> Callable[[Callable[[nidaqmx.Task], object]], Callable[[nidaqmx.Task], object]]:
    def note(case: Callable[[nidaqmx.Task], object]) -> Callable[[nidaqmx.Task], object]:
        CASES[code] = case
        return case

    return note


def clocked(task: nidaqmx.Task, rate: float = 1000.0, *, finite: int = 0, source: str = "") -> None:
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
    mode = AcquisitionType.FINITE if finite else AcquisitionType.CONTINUOUS
    task.timing.cfg_samp_clk_timing(rate, source=source, sample_mode=mode, samps_per_chan=finite or 1000)


def late(task: nidaqmx.Task, overwrite: OverwriteMode) -> object:
    clocked(task)
    task.in_stream.input_buf_size = 1000
    task.in_stream.overwrite = overwrite
    task.start()
    daqring.sim.step(3.0)
    task.read(1000)
    return task.read(1000)


def failing(task: nidaqmx.Task, kind: str) -> object:
    daqring.sim.fault("Dev1", kind, after=100)
    clocked(task)
    task.start()
    daqring.sim.step(1.0)
    return task.read(500, timeout=1.0)


@gives(-200279)
def overwritten(task):
    late(task, OverwriteMode.OVERWRITE_UNREAD_SAMPLES)


@gives(-200222)
def stopped_before_overwriting(task):
    late(task, OverwriteMode.DO_NOT_OVERWRITE_UNREAD_SAMPLES)


for number, what in (
    (-200361, "slow_bus"),
    (-200714, "slow_driver"),
    (-201003, "unplugged"),
    (-88709, "reset"),
):
    gives(number)(lambda task, what=what: failing(task, what))


@gives(-200284)
def not_yet(task):
    daqring.sim.clock("real")
    clocked(task)
    task.start()
    task.read(500, timeout=0.02)


@gives(-200278)
def never(task):
    clocked(task, finite=100)
    task.start()
    daqring.sim.step(1.0)
    task.read(101)


@gives(-200560)
def not_done(task):
    daqring.sim.clock("real")
    clocked(task, finite=1000)
    task.start()
    task.wait_until_done(0.02)


@gives(-200473)
def not_started(task):
    clocked(task)
    task.in_stream.read_all_avail_samp = False
    task.in_stream.auto_start = False
    task.read(10)


@gives(-200220)
def no_device(task):
    task.ai_channels.add_ai_voltage_chan("Dev99/ai0")


@gives(-200170)
def no_channel(task):
    task.ai_channels.add_ai_voltage_chan("Dev1/ai99")


@gives(-50103)
def taken(task):
    with nidaqmx.Task() as other:
        clocked(other)
        other.start()
        clocked(task)
        task.start()


@gives(-200077)
def too_fast(task):
    clocked(task, 1e9)
    task.start()


@gives(-200081)
def too_fast_for_so_many(task):
    task.ao_channels.add_ao_voltage_chan("Dev1/ao0:3")
    task.timing.cfg_samp_clk_timing(2e6)
    task.write([[0.0] * 10] * 4)


@gives(-200087)
def not_in_the_task(task):
    clocked(task)
    task.perform_bridge_offset_nulling_cal("Dev1/ai9")


@gives(-200431)
def cannot_measure_that(task):
    task.ai_channels.add_ai_charge_chan("Dev1/ai0")


@gives(-89120)
def no_terminal(task):
    nidaqmx.system.System.local().connect_terms("/Dev1/PFI99", "/Dev1/PFI0")


@gives(-89137)
def terminal_taken(task):
    system = nidaqmx.system.System.local()
    system.connect_terms("/Dev1/PFI1", "/Dev1/PFI5")
    try:
        system.connect_terms("/Dev1/PFI2", "/Dev1/PFI5")
    finally:
        system.disconnect_terms("/Dev1/PFI1", "/Dev1/PFI5")


@gives(-200088)
def closed(task):
    clocked(task)
    handle, interpreter = task._handle, task._interpreter
    task.close()
    interpreter.start_task(handle)


@gives(-200089)
def name_in_use(task):
    with nidaqmx.Task("rig"), nidaqmx.Task("rig"):
        pass


@pytest.fixture
def task(simulator: Callable[..., None]) -> Iterator[nidaqmx.Task]:
    simulator(clock="stepped")
    made = nidaqmx.Task()
    yield made
    if made._handle is not None:
        made.close()

    daqring.sim.plug("Dev1")
    daqring.sim.reset()


def test_every_code_is_tried_or_in_italics():
    assert CODES
    assert set(CASES) == CODES - ITALIC


@pytest.mark.parametrize("code", sorted(CASES))
def test_the_simulator_gives_the_code(task, code):
    with pytest.raises(DaqError) as caught:
        CASES[code](task)
    assert caught.value.error_code == code


def test_the_names_are_the_drivers():
    for cell, text in ROWS:
        codes = [int(code) for code in re.findall(r"-\d+", cell)]
        names = text.partition(":")[0].split(", ")
        assert [DAQmxErrors(code).name for code in codes] == [name.strip() for name in names], cell


@pytest.mark.parametrize("code", sorted(ITALIC))
def test_codes_in_italics_are_not_in_the_simulator(code):
    source = PAGE.parents[2] / "rust" / "nidaqmx-sim" / "src"
    uses = [
        file.name
        for file in source.rglob("*.rs")
        for line in file.read_text("utf-8").splitlines()
        if str(code) in line
    ]
    # One that stands in the table of messages only is never given.
    assert set(uses) <= {"error.rs"}
