"""The page of errors: every code there is one of the driver's under its name, and the simulator gives what
the page says it does; every message there is one that daqring gives."""

from __future__ import annotations

import os
import pickle
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import daqring
import daqring.cli
import daqring.sim
import nidaqmx
import pytest
from daqring import health, recorder
from daqring.cli.driver import with_driver
from daqring.runfile import Run
from nidaqmx._lib import DaqLibImporter, lib_importer
from nidaqmx.constants import AcquisitionType, LoggingMode, OverwriteMode, ReadRelativeTo
from nidaqmx.error_codes import DAQmxErrors
from nidaqmx.errors import DaqError, DaqNotFoundError
from test_health import figures, watch

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


# -- daqring's own messages ---------------------------------------------------------------------

#: Where each first cell of the tables of messages stands for what somebody sees.
MESSAGES = [
    cell
    for title in ("daqring's own messages", "The simulator")
    for cell in re.findall(
        r"^\| (?!what \||message \||-)([^|]+) \|",
        PAGE.read_text("utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0],
        re.MULTILINE,
    )
]
#: What tells each of them: gets a task and a folder, gives a text or raises.
SITUATIONS: dict[str, Callable[[nidaqmx.Task, Path], Any]] = {}


def says(message: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def note(situation: Callable[..., Any]) -> Callable[..., Any]:
        SITUATIONS[message] = situation
        return situation

    return note


def command(*arguments: str) -> int:
    """What it complains of is on stderr."""
    return daqring.cli.main([*arguments, "--simulate"] if "--like" not in arguments else arguments)


@says("the NI-DAQmx driver is not installed on this machine")
def no_driver(task, folder):
    def act():
        raise DaqNotFoundError("there is none")

    assert with_driver(Run({}), act) == 1


def no_library(name: str) -> Any:
    raise OSError(f"there is no {name}")


@says("Could not find an installation of NI-DAQmx")
def no_driver_in_a_program(task, folder):
    with pytest.MonkeyPatch.context() as patch:
        # As on a machine without one: Linux looks for the library, Windows loads it by its name.
        patch.setattr("nidaqmx._lib.find_library", lambda name: None)
        patch.setattr("ctypes.windll", SimpleNamespace(LoadLibrary=no_library), raising=False)
        return DaqLibImporter().windll


@says("... exists already")
def existing(task, folder):
    (folder / "run.tdms").write_text("")
    flags = ("--ai", "Dev1/ai0", "--rate", "1e3", "--samples", "10")
    assert command("record", str(folder / "run.tdms"), *flags) == 1


@says("the task has no sample clock")
def no_clock(task, folder):
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
    daqring.record(task, None)


@says("the task is set to driver logging in LOG mode")
def logged_by_the_driver(task, folder):
    clocked(task)
    task.in_stream.configure_logging(str(folder / "driver.tdms"), LoggingMode.LOG)
    daqring.record(task, None)


@says("in_stream.relative_to or in_stream.offset is set")
def read_elsewhere(task, folder):
    clocked(task)
    task.in_stream.relative_to = ReadRelativeTo.MOST_RECENT_SAMPLE
    daqring.record(task, None)


@says("dtype='raw' would lose the scaling")
def raw_temperatures(task, folder):
    task.ai_channels.add_ai_thrmcpl_chan("Dev1/ai0")
    task.timing.cfg_samp_clk_timing(10.0, sample_mode=AcquisitionType.CONTINUOUS)
    daqring.record(task, None, dtype="raw")


@says("a Recorder records once")
def again(task, folder):
    clocked(task)
    with daqring.Recorder(task, None, samples=10) as once:
        once.wait()
    once.start()


@says("the recorder was not started")
def forgotten_start(task, folder):
    clocked(task)
    daqring.Recorder(task, None).wait()


@says("there is no report before the recorder is closed")
def report_too_early(task, folder):
    clocked(task)
    with daqring.Recorder(task, None) as running:
        return running.report


@says("the task is being recorded already")
def recorded_twice(task, folder):
    clocked(task)
    with daqring.Recorder(task, None):
        daqring.Recorder(task, None)


@says("... was called while the task is being recorded")
def closed_too_early(task, folder):
    clocked(task)
    with daqring.Recorder(task, None):
        task.close()


@says("... cannot be pickled or copied")
def pickled(task, folder):
    pickle.dumps(daqring.Queue())


@says("a Recorder does not survive a fork")
def forked(task, folder):
    clocked(task)
    parents = daqring.Recorder(task, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        parents.start()


@says("this is a debug build of daqring")
def debug_build(task, folder):
    clocked(task)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr(recorder._native, "DEBUG_BUILD", True)
        daqring.Recorder(task, None)


def warned(category: type[Warning], act: Callable[[], object]) -> str:
    with pytest.warns(category) as caught:
        act()
    return str(caught[0].category)


@says("SamplesLostWarning")
def loses(task, folder):
    daqring.sim.clock("unthrottled")
    daqring.sim.fault("Dev1", "slow_bus", after=100)
    clocked(task)
    return warned(daqring.SamplesLostWarning, lambda: daqring.record(task, None, samples=500))


@says("DiskLowWarning")
def disk_low(task, folder):
    daqring.sim.clock("real")
    clocked(task)
    log = daqring.LogOptions(warn_left="100000000 h")

    def act() -> None:
        daqring.record(task, folder / "run.tdms", samples=1000, log=log)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder.Recorder, "_disk_free", lambda self: 100)
        return warned(daqring.DiskLowWarning, act)


@says("WATCH or BAD, with a reason")
def verdicts(task, folder):
    told = [watch().look(figures(ring_fill=fill)) for fill in (0.6, 0.95)]
    assert all(each.reasons for each in told)
    return " or ".join(each.verdict for each in told) + ", with a reason"


@says("... does not tell how it was recorded")
def like_another(task, folder):
    daqring.sim.clock("unthrottled")
    clocked(task)
    daqring.record(task, folder / "program.tdms", samples=10)
    again = (str(folder / "again.tdms"), "--like", str(folder / "program.tdms"))
    assert daqring.cli.main(["record", *again]) == 1


@says("nidaqmx has loaded a real driver in this process already")
def driver_loaded(task, folder):
    task.close()
    daqring.sim.uninstall()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lib_importer, "_windll", object())
        daqring.sim.install()


@says('a function or property is "not supported"')
def not_simulated(task, folder):
    clocked(task)
    return task.ai_channels[0].ai_charge_units


def test_every_message_of_the_page_is_tried():
    assert len(MESSAGES) > 15
    assert set(SITUATIONS) == set(MESSAGES)


@pytest.mark.parametrize("message", MESSAGES)
def test_the_message_is_given(task, tmp_path, capsys, message):
    daqring.sim.clock("real")
    try:
        told = str(SITUATIONS[message](task, tmp_path))
    except (Exception, Warning) as error:
        told = str(error)
    told += capsys.readouterr().err
    # In quotation marks the page quotes a part of what is told.
    for part in re.findall(r'"([^"]+)"', message) or message.split("..."):
        assert part.strip() in told


def test_what_other_pages_quote_of_the_verdict_is_in_it():
    source = Path(health.__file__).read_text("utf-8")
    quoted = [
        words
        for page in PAGE.parent.glob("*.md")
        for words in re.findall(r'WATCH, "([^"]+)"', page.read_text("utf-8"))
    ]
    assert quoted
    for words in quoted:
        assert re.search(rf"{words}(?=[{{ ])", source), words
