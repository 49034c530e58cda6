"""Stages that fail, are slow, or are left behind, in whole recordings: the run ends, and says how."""

from __future__ import annotations

import threading
import time

import daqring
import numpy as np
import pytest
from daqring import _native
from daqring.sim import pattern
from daqring.stages import Decimate, Native, Scale, Statistics, StreamInfo, block_function, plan


def failing(at: int):
    """A function that fails at its so-manieth call."""
    calls = []

    @block_function
    def function(block, data, output, user_data):
        calls.append(None)
        return 13 if len(calls) == at else 0

    return function


def stages_for(where: str, function) -> list:
    mine = Native(function, name="mine", ordered=where == "ordered")
    if where == "chained":
        return [Scale(name="volts"), Decimate(10, of="volts"), Native(function, name="mine", of="decimated")]
    return [Statistics(0.1), mine]


WHERE = ["beside", "ordered", "chained"]


@pytest.mark.filterwarnings("ignore::daqring.SamplesLostWarning")
@pytest.mark.parametrize("where", WHERE)
def test_a_failing_function_ends_a_recording_with_a_finished_file(make_task, tmp_path, reader, where):
    task = make_task(name="rig")
    stages = stages_for(where, failing(5))
    with pytest.raises(daqring.RecordingError, match=r"stage 'mine' failed on block .*returned 13") as caught:
        daqring.record(task, tmp_path / "a.tdms", block_ms=10, workers=2, stages=stages, progress=False)
    report = caught.value.report
    assert report.stop_reason == "error"
    assert "stage 'mine'" in report.error
    assert task.is_task_done()
    verified = daqring.verify(tmp_path / "a.tdms")
    assert verified.problems == ()
    assert verified.complete is (report.unstored == 0)
    samples = daqring.open(tmp_path / "a.tdms")["rig/Dev1/ai2"].raw[:]
    assert len(samples) == report.samples_per_channel >= 3000
    np.testing.assert_array_equal(samples, pattern(2, 0, len(samples)))
    # Another recording of the same task goes well.
    assert daqring.record(task, None, samples=1000, progress=False).complete


def test_a_failure_that_lost_nothing_is_not_complete(make_task, reader):
    """Nothing was asked for in number, and nothing is missing: it failed all the same."""
    task = make_task(rate=1000, name="rig", clock="real")
    recorder = daqring.Recorder(task, None, block_ms=400, stages=stages_for("chained", failing(1)))
    recorder.start()
    assert recorder.wait(20)
    with pytest.raises(daqring.RecordingError, match="stage 'mine' failed") as caught:
        recorder.close()
    report = caught.value.report
    assert (report.requested, report.lost, report.samples_lost) == (None, 0, False)
    assert report.error is not None
    assert not report.complete


@pytest.mark.filterwarnings("ignore::daqring.SamplesLostWarning")
@pytest.mark.parametrize("where", WHERE)
def test_a_failing_function_ends_a_loop_behind_the_last_block(make_task, where):
    stream = daqring.stream(make_task(name="rig"), block_ms=10, stages=stages_for(where, failing(5)))
    position = 0
    with pytest.raises(daqring.RecordingError, match="stage 'mine' failed"):
        for block in stream:
            assert block.first_sample == position
            position += block.samples
    assert stream.ended
    assert stream.report.stop_reason == "error"


@pytest.mark.filterwarnings("ignore::daqring.SamplesLostWarning")
def test_a_failing_function_ends_a_loop_over_another_output(make_task):
    stages = [Scale(), *stages_for("beside", failing(5))]
    stream = daqring.stream(make_task(), block_ms=10, stages=stages, output="scaled")
    with pytest.raises(daqring.RecordingError, match="stage 'mine' failed"):
        list(stream)


@pytest.mark.parametrize("chained", [False, True])
def test_what_a_slow_stage_has_not_done_is_done_before_the_end(make_task, tmp_path, chained):
    """Closing drains: all that was acquired comes out of every stage."""
    done = []

    @block_function
    def slow(block, data, output, user_data):
        time.sleep(0.05)
        done.append(None)
        return 0

    stages = [Scale(), Native(slow, name="mine", of="scaled" if chained else None)]
    with daqring.Recorder(make_task(name="rig"), tmp_path / "a.tdms", samples=20_000, block_ms=10,
                          stages=stages, workers=2) as recorder:  # fmt: skip
        assert recorder.wait(20)
        assert len(done) < 20
    report = recorder.report
    assert report.complete
    assert len(done) == 20
    log = daqring.open(tmp_path / "a.tdms")
    np.testing.assert_array_equal(log["scaled/Dev1/ai1"][:], log["rig/Dev1/ai1"][:])


def test_the_report_tells_what_stages_and_workers_did(make_task, tmp_path):
    stages = [Scale(log=False), Decimate(10, of="scaled"), Statistics(0.1)]
    report = daqring.record(
        make_task(name="rig"),
        tmp_path / "a.tdms",
        samples=50_000,
        block_ms=10,
        workers=3,
        stages=stages,
        progress=False,
    )
    work = {work.name: work for work in report.stages}
    assert {name: of.of for name, of in work.items() if name != "crc32c"} == {
        "scaled": "rig",
        "decimated": "scaled",
        "statistics": "rig",
    }
    assert all(stage.busy > 0 and stage.longest <= stage.busy for stage in work.values())
    assert work["scaled"].blocks == work["decimated"].blocks == report.blocks == 50
    assert [worker.name for worker in report.workers] == ["worker 0", "worker 1", "worker 2"]
    # Blocks of the task, and those behind the first stage.
    assert sum(worker.blocks for worker in report.workers) == 100
    outputs = {output.name: output for output in report.outputs}
    assert (outputs["scaled"].samples, outputs["scaled"].written) == (50_000, 0)
    assert outputs["decimated"].samples == outputs["decimated"].written > 4900
    assert "decimated: " in str(report)
    assert "crc32c" not in str(report)
    assert report.to_dict()["stages"]


def test_a_recording_that_is_dropped_does_not_hang():
    """Its threads need the interpreter for a function of ctypes, and it is dropped by who has it."""
    calls = []

    @block_function
    def function(block, data, output, user_data):
        time.sleep(0.01)
        calls.append(None)
        return 0

    def drop() -> None:
        info = StreamInfo("task", ("a",), 1000.0, np.dtype(np.int16))
        channel = {"name": "a", "dtype": "int16", "unit": "", "scale": None, "properties": {}}
        group = {"name": "task", "dt": 1e-3, "properties": {}, "channels": [channel]}
        stages = plan([Scale(), Native(function, of="scaled")], [info])[0]
        native = _native.Recording(None, [{"group": group, "slot_bytes": 2000, "slots": 8, **stages}])
        for number in range(8):
            slot = native.reserve(0, 20.0)
            slot.commit(2000, samples=1000, first_sample=1000 * number)
        del native, slot

    thread = threading.Thread(target=drop, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert len(calls) == 8


def test_a_timer_of_qt_shows_blocks(make_task):
    """The page says so: poll() from a timer, never waiting."""
    core = pytest.importorskip("PySide6.QtCore", reason="Qt is not installed")
    application = core.QCoreApplication.instance() or core.QCoreApplication([])
    stream = daqring.stream(make_task(), samples=50_000, block_ms=10)
    stream.start()
    shown, longest = [], 0.0

    def look() -> None:
        nonlocal longest
        begin = time.monotonic()
        block = stream.poll()
        if block is not None:
            shown.append((block.first_sample, block.samples))
        elif stream.ended:
            application.quit()
        longest = max(longest, time.monotonic() - begin)

    timer = core.QTimer()
    timer.timeout.connect(look)
    timer.start(1)
    core.QTimer.singleShot(60_000, application.quit)
    application.exec()
    timer.stop()
    assert [first for first, _ in shown] == list(range(0, 50_000, 1000))
    assert stream.report.complete
