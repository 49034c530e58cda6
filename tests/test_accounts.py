"""What a report says of samples that are not in the file: each of them once, and why."""

from __future__ import annotations

import threading
import time

import daqring
import daqring.sim
import pytest
from daqring.stages import Native, block_function


class SlowReader(threading.Thread):
    """Takes the blocks of a stream while it is let."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream = stream
        self.may_go = threading.Event()
        self.blocks = []
        self.error = None

    def run(self):
        self.may_go.wait()
        try:
            for block in self.stream:
                told = block.gap_before
                self.blocks.append((block.first_sample, block.samples, told))
                del block
                self.may_go.wait()
        except Exception as error:
            self.error = error

    def catch_up(self):
        """Takes what there is."""
        self.may_go.set()
        before = -1
        while len(self.blocks) != before:
            before = len(self.blocks)
            time.sleep(0.1)
        self.may_go.clear()


def step(seconds):
    """Lets the simulated device acquire, and the reader read what there is."""
    for _ in range(round(seconds / 0.25)):
        daqring.sim.step(0.25)
        time.sleep(0.02)


@pytest.mark.filterwarnings("ignore::daqring.SamplesLostWarning")
@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
def test_each_dropped_sample_is_told_once(make_task, tmp_path, reader, overflow):
    """Holes in the middle and at the end: report, file and blocks tell the same ones, and they add up."""
    path = tmp_path / "a.tdms"
    task = make_task("Dev1/ai0:1", clock="stepped", name="rig")
    stream = daqring.stream(task, path, samples=1_200_000, block_ms=10, overflow=overflow)
    stream.start()
    slow = SlowReader(stream)
    slow.start()
    for _ in range(2):
        # The ring holds 256,000 samples.
        step(4.0)
        slow.catch_up()
    stats = stream.recorder.stats()
    step(4.0)
    assert stream.recorder.wait(60)
    slow.may_go.set()
    slow.join(60)
    report = stream.report
    assert report.samples_per_channel + report.lost == report.acquired == 1_200_000
    assert sum(gap.count for gap in report.gaps) == report.lost
    assert len(report.gaps) >= 2
    assert all(gap.cause == "overrun" for gap in report.gaps)
    log = daqring.open(path)
    assert list(report.gaps) == [gap for _, gap in log.gaps]
    in_front = [gap for _, _, gap in slow.blocks if gap is not None]
    assert in_front == list(report.gaps)[: len(in_front)]
    assert log.properties["daqring.lost"] == report.lost
    # What was told while it ran is a beginning of it.
    assert 0 < stats["gaps"] <= len(report.gaps)
    assert 0 < stats["lost"] <= report.lost
    assert (report.unstored, report.complete) == (0, False)


@pytest.mark.filterwarnings("ignore::daqring.SamplesLostWarning")
def test_a_device_that_goes_after_a_drop_is_told_and_so_is_the_drop(make_task, tmp_path, reader):
    task = make_task("Dev1/ai0:1", clock="stepped", name="rig")
    stream = daqring.stream(task, tmp_path / "a.tdms", block_ms=10, overflow="drop_newest")
    stream.start()
    step(4.0)
    daqring.sim.unplug("Dev1")
    try:
        assert stream.recorder.wait(60)
        with pytest.raises(daqring.DriverError) as caught:
            for _ in stream:
                pass
    finally:
        daqring.sim.plug("Dev1")
    report = caught.value.report
    (gap,) = report.gaps
    assert (gap.cause, gap.count) == ("overrun", report.lost)
    assert gap.first_sample == report.samples_per_channel
    assert [gap for _, gap in daqring.open(tmp_path / "a.tdms").gaps] == [gap]


def failing(at):
    """A function that fails at its so-manieth call."""
    calls = []

    @block_function
    def function(block, data, output, user_data):
        calls.append(None)
        return 13 if len(calls) == at else 0

    return function


def test_what_came_after_a_failure_is_not_stored_and_not_lost(make_task, tmp_path, reader):
    path = tmp_path / "a.tdms"
    task = make_task(name="rig")
    stages = [Native(failing(5), name="mine", ordered=True)]
    with pytest.raises(daqring.RecordingError, match="are not in the file") as caught:
        daqring.record(task, path, samples=100_000, block_ms=10, stages=stages, progress=False)
    report = caught.value.report
    assert (report.lost, report.lost_unknown, report.samples_lost, report.gaps) == (0, False, False, ())
    assert report.unstored > 0
    assert not report.complete
    assert report.samples_per_channel + report.unstored == min(report.acquired, 100_000)
    words = f"the last {report.unstored:,} samples acquired on each channel are not in the file"
    assert words in str(caught.value)
    assert f"not stored: {words}" in str(report)
    log = daqring.open(path)
    assert log.properties["daqring.unstored"] == report.unstored
    assert log.properties["daqring.lost"] == 0
    assert log.properties["daqring.stop_reason"] == "error"


def test_each_task_says_what_of_it_is_not_stored(make_task, tmp_path, reader):
    """One stage fails; the other task's recording ends, too, and both tell what they lack."""
    tasks = [make_task("Dev1/ai0:1", name="one"), make_task("Dev2/ai0", name="two")]
    stages = {"one": [Native(failing(5), name="mine", ordered=True)]}
    with pytest.raises(daqring.RecordingError) as caught:
        daqring.record(
            tasks, tmp_path / "a.tdms", samples=1_000_000, block_ms=10, stages=stages, progress=False
        )
    report = caught.value.report
    for stream in report.streams:
        assert stream.lost == 0
        assert stream.samples_per_channel + stream.unstored == min(stream.acquired, 1_000_000)
    assert report.unstored == sum(stream.unstored for stream in report.streams) > 0
    assert "samples of 'one'" in str(caught.value)


def test_what_a_full_ring_ended_is_told(make_task, tmp_path, reader):
    task = make_task("Dev1/ai0:1", clock="stepped", name="rig")
    stream = daqring.stream(task, tmp_path / "a.tdms", block_ms=10, overflow="fail")
    stream.start()
    step(4.0)
    assert stream.recorder.wait(60)
    with pytest.raises(daqring.RecordingError, match=r"ring is full.*are not in the file") as caught:
        for _ in stream:
            pass
    report = caught.value.report
    assert (report.lost, report.gaps) == (0, ())
    assert report.samples_per_channel + report.unstored == report.acquired
    assert report.unstored > 0


def test_a_stop_leaves_nothing_unstored(make_task, tmp_path, reader):
    """What the device acquires after the stop was not asked for."""
    task = make_task("Dev1/ai0:1", clock="stepped", name="rig")
    with daqring.Recorder(task, tmp_path / "a.tdms", samples=200_000, block_ms=10) as recorder:
        step(1.0)
    report = recorder.report
    assert (report.unstored, report.lost) == (0, 0)
    assert "daqring.unstored" not in daqring.open(tmp_path / "a.tdms").properties
