"""The native reader: when it is taken, what it does without the interpreter, who may touch the task."""

from __future__ import annotations

import ctypes
import gc
import random
import sys
import threading
import time

import daqring
import daqring.sim
import nidaqmx
import numpy as np
import pytest
from daqring import _native, unclosed
from daqring.errors import TaskError
from daqring.readers import Lateness
from daqring.source import TaskSource
from driver_hook import READ_FUNCTION, act_before_reads
from nidaqmx.constants import AcquisitionType
from pattern_check import assert_pattern
from reader_kinds import needs_native_reader

pytestmark = needs_native_reader


def test_native_is_the_default_and_python_can_be_asked_for(make_task, tmp_path):
    task = make_task()
    native = daqring.record(task, tmp_path / "a.tdms", samples=5000, progress=False)
    python = daqring.record(task, tmp_path / "b.tdms", samples=5000, progress=False, reader="python")
    assert (native.reader, native.reader_reason) == ("native", "")
    assert (python.reader, python.reader_reason) == ("python", "reader='python' was asked for")
    assert "python (reader='python' was asked for)" in str(python)
    logs = [daqring.open(tmp_path / name) for name in ("a.tdms", "b.tdms")]
    assert [log.properties["daqring.reader"] for log in logs] == ["native", "python"]
    for channel in range(4):
        for log in logs:
            assert_pattern(log[f"Dev1/ai{channel}"].raw[:], channel)


def test_an_unknown_reader_is_refused(make_task, tmp_path):
    with pytest.raises(TaskError, match="reader must be 'auto', 'native' or 'python', not 'fast'"):
        daqring.record(make_task(), tmp_path / "run.tdms", samples=1, reader="fast", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_library_without_the_functions_falls_back_and_says_why(make_task, tmp_path, monkeypatch):
    from daqring import source

    monkeypatch.setitem(source.READ_FUNCTIONS, ("analog", "int16"), "DAQmxReadNothing")
    task = make_task()
    report = daqring.record(task, tmp_path / "run.tdms", samples=100, progress=False)
    assert report.reader == "python"
    assert report.reader_reason == "the driver's library has no function DAQmxReadNothing"
    with pytest.raises(TaskError, match=r"reader='native' cannot be had: .*DAQmxReadNothing"):
        daqring.record(task, tmp_path / "b.tdms", samples=100, reader="native", progress=False)


def test_a_task_of_another_interpreter_falls_back(make_task, tmp_path):
    class GrpcStubInterpreter:
        def __init__(self, inner):
            self._inner = inner

        def __getattr__(self, name):
            return getattr(self._inner, name)

    task = make_task()
    recorder = daqring.Recorder(task, tmp_path / "run.tdms", samples=100)
    assert recorder._acquisitions[0].reader_kind == "native"
    task._interpreter = GrpcStubInterpreter(task._interpreter)
    recorder = daqring.Recorder(task, tmp_path / "run.tdms", samples=100)
    assert recorder._acquisitions[0].reader_kind == "python"
    assert "GrpcStubInterpreter" in recorder._acquisitions[0].reader_reason


@pytest.mark.parametrize("dtype", ["raw", "float64"])
def test_both_readers_record_the_same(make_task, tmp_path, dtype):
    task = make_task("Dev1/ai0:1", 10_000)
    both = {}
    for reader in ("native", "python"):
        path = tmp_path / f"{reader}.tdms"
        report = daqring.record(task, path, samples=12_345, dtype=dtype, reader=reader, progress=False)
        assert (report.reader, report.complete) == (reader, True)
        assert report.dtype == ("int16" if dtype == "raw" else "float64")
        both[reader] = daqring.open(path)
    for name in ("Dev1/ai0", "Dev1/ai1"):
        a, b = both["native"][name].raw[:], both["python"][name].raw[:]
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_finite_tasks_end_by_themselves(make_task, tmp_path):
    task = make_task(mode=AcquisitionType.FINITE, samples=7777)
    with daqring.Recorder(task, tmp_path / "run.tdms", block_ms=10, reader="native") as recorder:
        assert recorder.wait(20)
    assert (recorder.report.samples_per_channel, recorder.report.stop_reason) == (7777, "finished")
    assert recorder.report.reads == 8


def test_small_reads_fill_whole_blocks(make_task, tmp_path):
    task = make_task("Dev1/ai0:2", 100_000)
    task.in_stream.input_buf_size = 3000
    path = tmp_path / "run.tdms"
    report = daqring.record(task, path, samples=25_000, block_ms=100, reader="native", progress=False)
    assert (report.blocks, report.block_samples, report.complete) == (3, 10_000, True)
    assert report.reads >= 25_000 // 1500
    for channel in range(3):
        assert_pattern(daqring.open(path)[f"Dev1/ai{channel}"].raw[:], channel)
    assert daqring.verify(path).complete


def test_it_reads_while_the_interpreter_is_held(make_task, tmp_path):
    """One C call keeps the GIL for three times the driver's buffer: the samples are read meanwhile."""
    task = make_task("Dev1/ai0:1", 100_000, clock="real", name="held")
    task.in_stream.input_buf_size = 20_000
    # A PyDLL keeps the GIL during the call.
    library = "msvcrt" if sys.platform == "win32" else None
    with daqring.Recorder(task, tmp_path / "run.tdms", block_ms=10, reader="native") as recorder:
        holder = ctypes.PyDLL(library)
        if sys.platform == "win32":
            ctypes.PyDLL("kernel32").Sleep(600)
        else:
            holder.usleep(600_000)
        # Nobody else of this process could run until here: the ledger is as the reader left it.
        delivered = daqring.sim.ledger("held").delivered
    assert delivered >= 30_000
    assert (recorder.report.lost, recorder.report.complete) == (0, True)
    assert daqring.sim.ledger("held").overwritten == 0


def test_a_stop_does_not_wait_for_a_trigger(make_task, tmp_path):
    """Samples that never come are waited for without an error, and a stop still ends it."""
    task = make_task("Dev1/ai0", 1000, clock="stepped")
    with daqring.Recorder(task, tmp_path / "run.tdms", block_ms=1, reader="native") as recorder:
        assert not recorder.wait(1.6)  # beyond the time after which samples are overdue
    report = recorder.report
    assert (report.samples_per_channel, report.stop_reason, report.error) == (0, "stopped", None)
    assert report.reads == report.short_reads >= 1


def test_the_task_is_guarded_while_it_is_recorded(make_task, tmp_path, reader):
    task = make_task("Dev1/ai0", 1000, clock="stepped")
    kind = type(task)
    with daqring.Recorder(task, tmp_path / "run.tdms", block_ms=100) as recorder:
        for name in ("stop", "close"):
            with pytest.raises(TaskError, match=rf"task.{name}\(\) was called while .* recorder first"):
                getattr(task, name)()
        assert isinstance(task, nidaqmx.Task)
        daqring.sim.step(1.0)
        recorder.stop()
        assert recorder.wait(20)
        # The reading is over: the task is free already.
        task.stop()
    assert type(task) is kind
    assert recorder.report.samples_per_channel == 1000
    task.close()


def test_a_task_closed_after_the_reading_does_not_disturb_the_end(make_task, tmp_path, reader):
    task = make_task("Dev1/ai0", 1000)
    recorder = daqring.Recorder(task, tmp_path / "run.tdms", samples=100)
    recorder.start()
    assert recorder.wait(20)
    task.close()
    assert recorder.close().complete


def forget(holder):
    """Lets go of a recorder, and waits until it is closed."""
    holder.clear()
    gc.collect()
    # A look of the monitor may have been the last to refer to it.
    deadline = time.monotonic() + 20
    while unclosed._running or unclosed._forgotten:
        assert time.monotonic() < deadline, "the forgotten recorder goes on"
        time.sleep(0.01)


def test_a_forgotten_recorder_is_closed_and_frees_the_task(make_task, tmp_path, reader, caplog):
    task = make_task("Dev1/ai0", 1000, clock="stepped")
    recorder = daqring.Recorder(task, tmp_path / "run.tdms")
    recorder.start()
    assert not task.is_task_done()
    holder = [recorder]
    del recorder
    with pytest.warns(ResourceWarning, match=r"unclosed <Recorder of ai into .*run\.tdms"):
        forget(holder)
    assert "the program forgot it" in caplog.text
    assert daqring.open(tmp_path / "run.tdms").finished
    assert task.is_task_done()
    task.close()


def test_a_read_that_does_not_come_back_is_broken_off(make_task, tmp_path, monkeypatch):
    monkeypatch.setattr("daqring.recorder.STUCK", 0.2)
    released = threading.Event()
    act_before_reads(monkeypatch, lambda read: released.wait(20) if read == 2 else None)
    task = make_task("Dev1/ai0", 1000)
    original = TaskSource.interrupt

    def interrupt(source):
        original(source)
        released.set()

    monkeypatch.setattr(TaskSource, "interrupt", interrupt)
    recorder = daqring.Recorder(task, tmp_path / "run.tdms", block_ms=10, reader="native")
    recorder.start()
    while recorder.stats()["samples"] < 10:
        time.sleep(0.001)
    # The read that comes back begins the task anew: what it gives is of another run.
    with pytest.warns(daqring.SamplesLostWarning, match="unknown number of samples from sample 10 on"):
        report = recorder.close()
    assert (report.stop_reason, report.error, report.lost) == ("stopped", None, 0)
    log = daqring.open(tmp_path / "run.tdms")
    assert_pattern(log[f"{report.group}/Dev1/ai0"].raw[:], 0)
    assert task.is_task_done()


def test_a_task_restarted_by_others_is_told(make_task, tmp_path, monkeypatch, reader):
    task = make_task("Dev1/ai0", 1000, clock="stepped")
    kind = type(task)

    def restart(read):
        if read == 3:
            kind.stop(task)
            task.start()
            daqring.sim.step(0.03)

    act_before_reads(monkeypatch, restart)
    with daqring.Recorder(task, tmp_path / "run.tdms", samples=40, block_ms=10) as recorder:
        daqring.sim.step(0.03)
        assert recorder.wait(20)
        with pytest.warns(daqring.SamplesLostWarning, match="unknown number of samples from sample 20 on"):
            recorder.close()
    report = recorder.report
    assert report.gaps == (daqring.Gap(20, None, "foreign read"),)
    assert (report.samples_per_channel, report.lost_unknown, report.complete) == (40, True, False)
    groups = [
        group for group in daqring.open(tmp_path / "run.tdms").groups.values() if not group.housekeeping
    ]
    for group in groups:
        assert_pattern(group.channels[0].raw[:], 0)
    assert [len(group.channels[0]) for group in groups] == [20, 20]


@pytest.mark.parametrize(("code", "reason"), [(-201003, "error"), (-200361, "device overflow")])
def test_an_error_of_the_driver_ends_it_in_its_words(make_task, tmp_path, monkeypatch, reader, code, reason):
    """A driver that refuses its third read with a code, and has the words for it."""
    task = make_task("Dev1/ai0", 1000)
    path = tmp_path / "run.tdms"
    fail_third_read(monkeypatch, code)
    recorder = daqring.Recorder(task, path, samples=100, block_ms=10)
    recorder.start()
    assert recorder.wait(20)
    if reason == "error":
        with pytest.raises(daqring.DriverError, match=str(code)) as caught:
            recorder.close()
        assert caught.value.code == code
        assert caught.value.report is recorder.report
    else:
        with pytest.warns(daqring.SamplesLostWarning, match="device overflow"):
            recorder.close()
        assert recorder.report.gaps == (daqring.Gap(20, None, "device overflow"),)
    report = recorder.report
    assert (report.stop_reason, report.samples_per_channel) == (reason, 20)
    assert report.error is not None
    assert str(code) in report.error
    assert report.lost_unknown == (reason != "error")
    assert_pattern(daqring.open(path)["Dev1/ai0"].raw[:], 0)


def fail_third_read(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    from daqring.source import ReadFailure

    reads = 0
    python_read, native_functions = TaskSource.read, TaskSource.native_functions

    def fails() -> bool:
        nonlocal reads
        reads += 1
        return reads == 3

    def read(self, *arguments):
        if fails():
            raise ReadFailure(code, f"it is broken (error {code})", 0)
        return python_read(self, *arguments)

    def functions(self):
        found = native_functions(self)
        driver = READ_FUNCTION(found["read"])
        self.kept_for_the_driver = callback = READ_FUNCTION(
            lambda *arguments: code if fails() else driver(*arguments)
        )
        return {**found, "read": ctypes.cast(callback, ctypes.c_void_p).value}

    monkeypatch.setattr(TaskSource, "read", read)
    monkeypatch.setattr(TaskSource, "native_functions", functions)


def test_wrong_plans_are_refused(make_task, tmp_path):
    task = make_task("Dev1/ai0:1", 1000)
    source = TaskSource(task)
    group = {
        "name": "g",
        "dt": 1.0,
        "properties": {},
        "channels": [
            {"name": name, "dtype": "int16", "unit": "", "scale": None, "properties": {}} for name in "ab"
        ],
    }
    recording = _native.Recording(tmp_path / "run.tdms", [{"group": group, "slot_bytes": 400, "slots": 4}])
    plan = {
        **{"handle": source.handle, "dtype": "int16", "channels": 2, "block": 100, "most": 100},
        **{"rate": 1000.0, "position": 0, "end": 10, "stop_task": True, "monotonic_ns": 0},
    }
    functions = source.native_functions()
    for wrong in (
        {"block": 101},
        {"block": 0},
        {"most": 0},
        {"channels": 0},
        {"rate": 0.0},
        {"dtype": "int8"},
    ):
        with pytest.raises(ValueError, match=r"does not suit|rate must|cannot be read"):
            _native.Reader(recording, 0, functions, plan | wrong)
    with pytest.raises(ValueError, match="at no address"):
        _native.Reader(recording, 0, {**functions, "read": 0}, plan)
    with pytest.raises(IndexError):
        _native.Reader(recording, 1, functions, plan)
    task.start()
    reader = _native.Reader(recording, 0, functions, plan)
    with pytest.raises(RuntimeError, match="has a reader"):
        _native.Reader(recording, 0, functions, plan)
    assert reader.wait(20)
    assert recording.finish([], {})["law_holds"]


def test_lateness_is_a_histogram():
    lateness = Lateness()
    assert lateness.quantile(0.5) == 0
    for microseconds in range(1, 10_001):
        lateness.note(microseconds * 1e-6)
    assert lateness.quantile(0.5) == pytest.approx(0.005, rel=0.1)
    assert lateness.quantile(0.99) == pytest.approx(0.0099, rel=0.1)
    assert lateness.quantile(1.0) <= lateness.most == pytest.approx(0.01)


# -- reads that are shorter than a block -----------------------------------------------------------


@pytest.mark.parametrize("read", [1, 7, 333, 500, 999, 5000])
@pytest.mark.parametrize("block", [1000, 40_000])
def test_short_reads_are_put_together(make_task, tmp_path, reader, read, block):
    """Whatever the reads, the blocks are whole, and every sample is where it belongs."""
    wanted = 2345 if read == 1 else 45_678
    task = make_task("Dev1/ai0:2", 100_000)
    path = tmp_path / "run.tdms"
    report = daqring.record(
        task, path, samples=wanted, block_ms=block / 100, read_ms=read / 100, reader=reader, progress=False
    )
    assert (report.samples_per_channel, report.complete, report.reader) == (wanted, True, reader)
    whole = min(block, wanted)
    assert (report.block_samples, report.blocks) == (whole, -(-wanted // whole))
    blocks = [whole] * (wanted // whole) + [wanted % whole] * (wanted % whole > 0)
    assert report.reads == sum(-(-size // min(read, whole)) for size in blocks)
    for channel in range(3):
        assert_pattern(daqring.open(path)[f"Dev1/ai{channel}"].raw[:], channel)
    assert daqring.verify(path).complete


def test_foreign_reads_among_short_reads_are_counted(make_task, tmp_path, monkeypatch, reader):
    """What others take is missing exactly there, and nothing else is missing or doubled."""
    task = make_task("Dev1/ai0:1", 100_000)
    chance, taken = random.Random(7), []

    def take(number: int) -> None:
        if number % 5 == 0:
            count = chance.randrange(1, 400)
            taken.append(count)
            task.read(count)

    act_before_reads(monkeypatch, take)
    path = tmp_path / "run.tdms"
    with pytest.warns(daqring.SamplesLostWarning, match="foreign read"):
        report = daqring.record(
            task, path, samples=30_000, block_ms=10, read_ms=1.7, reader=reader, progress=False
        )
    gaps = [gap for gap in report.gaps if gap.cause == "foreign read"]
    assert len(gaps) >= 20
    # The last hole may be longer than what was asked for.
    assert [gap.count for gap in gaps][:-1] == taken[: len(gaps) - 1]
    assert report.samples_per_channel + report.lost == 30_000
    log = daqring.open(path)
    groups = [group for group in log.groups.values() if not group.housekeeping]
    expected, position = [], 0
    for gap in report.gaps:
        expected.append((position, gap.first_sample - position))
        position = gap.first_sample + gap.count
    expected.append((position, 30_000 - position))
    expected = [part for part in expected if part[1]]
    assert len(groups) == len(expected)
    for group, (first, count) in zip(groups, expected, strict=True):
        for channel in range(2):
            codes = group.channels[channel].raw[:]
            assert len(codes) == count
            assert_pattern(codes, channel, first)


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
def test_a_full_ring_drops_whole_reads_and_tells(make_task, reader, overflow):
    """Nobody takes blocks until the end: what was dropped, and what was not, add up."""
    task = make_task("Dev1/ai0:1", clock="stepped", name="rig")
    stream = daqring.stream(task, samples=600_000, block_ms=10, read_ms=3, overflow=overflow, reader=reader)
    stream.start()
    for _ in range(28):
        daqring.sim.step(0.25)
        time.sleep(0.02)
    assert stream.recorder.wait(60)
    position = seen = lost = 0
    with pytest.warns(daqring.SamplesLostWarning):  # noqa: PT031
        for block in stream:
            if block.gap_before is not None:
                assert (block.gap_before.first_sample, block.gap_before.cause) == (position, "overrun")
                lost += block.gap_before.count
                position += block.gap_before.count
            assert block.first_sample == position
            for channel in range(2):
                assert_pattern(block.data[channel], channel, position)
            position += block.samples
            seen += block.samples
    assert seen == stream.report.samples_per_channel < 600_000
    assert seen + stream.report.lost == 600_000


def test_a_block_that_does_not_fill_is_given_away(simulator, make_task, tmp_path, reader):
    """Where samples fail to come, those that came do not wait for them."""
    task = make_task("Dev1/ai0", 1000, clock="stepped")
    with daqring.Recorder(task, tmp_path / "run.tdms", block_ms=500, read_ms=20, reader=reader) as recorder:
        daqring.sim.step(0.3)
        deadline = time.monotonic() + 60
        while recorder.stats()["samples"] < 300:
            assert time.monotonic() < deadline, recorder.stats()
            recorder.wait(0.05)
        daqring.sim.step(0.05)
    assert recorder.report.samples_per_channel == 350
    assert recorder.report.blocks == 2
    assert_pattern(daqring.open(tmp_path / "run.tdms")["Dev1/ai0"].raw[:], 0)


@pytest.mark.parametrize("read_ms", [0, -1, "short", float("nan")])
def test_wrong_lengths_of_reads_are_refused(make_task, tmp_path, read_ms):
    with pytest.raises(daqring.TaskError, match="read_ms must be"):
        daqring.record(make_task(), tmp_path / "run.tdms", samples=10, read_ms=read_ms)
    assert not list(tmp_path.iterdir())


def test_on_demand_has_no_length_of_reads(simulator, tmp_path):
    simulator()
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        with pytest.raises(daqring.TaskError, match="read_ms is for tasks with a clock"):
            daqring.record(task, tmp_path / "run.tdms", samples=3, every=0.1, read_ms=5)
