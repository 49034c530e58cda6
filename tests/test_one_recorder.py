"""A task, its file and its recorder, before, between and after recordings, in the hands of careless users."""

from __future__ import annotations

import gc
import os
import time

import daqring
import daqring.sim
import nidaqmx
import numpy as np
import pytest
from daqring import recorder as recorder_module
from daqring import unclosed
from daqring.acquisition import Acquisition
from daqring.source import TaskSource
from nidaqmx.constants import AcquisitionType, TaskMode

pytestmark = pytest.mark.usefixtures("reader")


def test_a_task_has_one_recorder_at_a_time(make_task, tmp_path):
    task = make_task("Dev1/ai0", 1000, clock="stepped")
    kind = type(task)
    other = daqring.Recorder(task, tmp_path / "b.tdms")
    first = daqring.Recorder(task, tmp_path / "a.tdms", block_ms=100)
    with first:
        with pytest.raises(daqring.TaskError, match="is being recorded already"):
            other.start()
        with pytest.raises(daqring.TaskError, match="is being recorded already"):
            daqring.stream(task)
        daqring.sim.step(1.0)
    assert first.report.samples_per_channel == 1000
    assert type(task) is kind
    assert [path.name for path in tmp_path.iterdir()] == ["a.tdms"]
    # It looks at the task when it starts, not when it was made.
    with other:
        daqring.sim.step(0.5)
    assert other.report.samples_per_channel == 500
    assert task.is_task_done()


def test_the_next_recorder_need_not_wait_for_the_close_of_the_one_before(make_task, tmp_path):
    task = make_task("Dev1/ai0", 1000, clock="stepped")
    kind = type(task)
    first = daqring.Recorder(task, tmp_path / "a.tdms", samples=100)
    first.start()
    daqring.sim.step(0.2)
    assert first.wait(20)
    with daqring.Recorder(task, tmp_path / "b.tdms"):
        assert first.close().complete
        with pytest.raises(daqring.TaskError, match="while the task is being recorded"):
            task.stop()
    assert type(task) is kind


def test_a_task_started_meanwhile_goes_on_running(make_task, tmp_path):
    task = make_task("Dev1/ai0", 1000, clock="stepped")
    recorder = daqring.Recorder(task, tmp_path / "a.tdms", samples=100)
    task.start()
    daqring.sim.step(0.2)
    recorder.start()
    assert recorder.wait(20)
    assert recorder.close().complete
    assert not task.is_task_done()


@pytest.mark.parametrize(
    "change",
    [
        lambda task: task.ai_channels.add_ai_voltage_chan("Dev1/ai1"),
        lambda task: task.timing.cfg_samp_clk_timing(500, sample_mode=AcquisitionType.CONTINUOUS),
        lambda task: task.timing.cfg_samp_clk_timing(
            1000, sample_mode=AcquisitionType.FINITE, samps_per_chan=1000
        ),
    ],
)
def test_a_task_changed_meanwhile_is_refused(make_task, tmp_path, change):
    """Its file would have other channels or times than its samples."""
    task = make_task("Dev1/ai0", 1000)
    recorder = daqring.Recorder(task, tmp_path / "a.tdms", samples=100)
    change(task)
    with pytest.raises(daqring.TaskError, match="were changed after the recorder was made"):
        recorder.start()
    assert list(tmp_path.iterdir()) == []
    assert daqring.record(task, tmp_path / "b.tdms", samples=100).complete


def test_a_task_stopped_by_others_is_no_clean_end(make_task, tmp_path):
    """What the driver had and nobody read is gone with the stop, so that it cannot be counted."""
    task = make_task("Dev1/ai0", 1000, clock="stepped")
    recorder = daqring.Recorder(task, tmp_path / "a.tdms")
    recorder.start()
    daqring.sim.step(0.5)
    nidaqmx.Task.stop(task)
    with pytest.raises(daqring.DriverError, match=r"-200983.*stopped by others than the recorder") as caught:
        recorder.close()
    assert caught.value.report.stop_reason == "error"


def test_a_task_stopped_by_others_ends_the_reading(make_task, tmp_path):
    """A read would start it anew, as if nothing had been before."""
    task = make_task("Dev1/ai0", 1000, clock="stepped")
    recorder = daqring.Recorder(task, tmp_path / "a.tdms", block_ms=1000)
    recorder.start()
    daqring.sim.step(0.5)
    task.control(TaskMode.TASK_STOP)
    assert recorder.wait(20)
    with pytest.raises(daqring.DriverError, match="stopped by others than the recorder"):
        recorder.close()
    assert recorder.report.samples_per_channel == 0


def test_a_task_restarted_before_its_first_read_is_told(make_task, tmp_path):
    """The read position is the same then; that samples have vanished tells it."""
    task = make_task("Dev1/ai0", 1000, clock="stepped")
    for attempt in range(10):
        path = tmp_path / f"{attempt}.tdms"
        recorder = daqring.Recorder(task, path, block_ms=1000)
        recorder.start()
        daqring.sim.step(0.3)
        deadline = time.monotonic() + 20
        while recorder.stats()["streams"][0]["backlog"] < 300:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        # It looks again in a tenth of a second, unless the machine is slow: then it sees the stop.
        nidaqmx.Task.stop(task)
        task.start()
        while recorder.stats()["streams"][0]["backlog"] == 300 and not recorder.wait(0.001):
            assert time.monotonic() < deadline
        daqring.sim.step(0.2)
        if not recorder.wait(0):
            break
        with pytest.raises(daqring.DriverError, match="stopped by others"):
            recorder.close()
    with pytest.warns(daqring.SamplesLostWarning, match="unknown number of samples from sample 0 on"):
        report = recorder.close()
    assert report.gaps == (daqring.Gap(0, None, "foreign read"),)
    assert (report.samples_per_channel, report.lost_unknown) == (200, True)


def test_a_closed_recorder_lets_go_of_its_file(make_task, tmp_path):
    path = tmp_path / "a.tdms"
    task = make_task("Dev1/ai0", 1000)
    recorder = daqring.Recorder(task, path, samples=100)
    with recorder:
        recorder.wait(20)
    if os.path.isdir("/proc/self/fd"):
        links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
        assert not [link for link in links if os.path.exists(link) and "a.tdms" in os.readlink(link)]
    # Another one may write it while the first one is still there.
    with daqring.Recorder(task, path, samples=50, overwrite=True) as again:
        again.wait(20)
    assert (recorder.report.samples_per_channel, again.report.samples_per_channel) == (100, 50)


@pytest.mark.parametrize("give_up", ["close", "forget", "stream", "with"])
def test_tasks_of_a_function_are_closed_also_without_a_start(simulator, tmp_path, give_up):
    simulator()
    made = []

    def make():
        task = nidaqmx.Task("rig")
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
        made.append(task)
        return task

    if give_up == "stream":
        stream = daqring.stream(make)
        with pytest.raises(RuntimeError, match="never ran"):
            stream.close()
    else:
        recorder = daqring.Recorder(make, tmp_path / "a.tdms")
        if give_up == "close":
            with pytest.raises(RuntimeError, match="never ran"):
                recorder.close()
            with pytest.raises(RuntimeError, match="was closed, and its tasks with it"):
                recorder.start()
        elif give_up == "with":
            with recorder:
                time.sleep(0.01)
        else:
            del recorder
            gc.collect()
    assert made[0]._handle is None


@pytest.mark.parametrize(
    ("owner", "name", "runs"),
    [
        (TaskSource, "verify", False),
        (Acquisition, "prepare", False),
        (Acquisition, "start", False),
        (Acquisition, "read", False),
        (recorder_module, "Monitor", True),
        (unclosed, "add", True),
    ],
)
@pytest.mark.parametrize("how", ["record", "stream"])
def test_ctrl_c_at_any_moment_of_the_start_leaves_nothing_running(
    make_task, tmp_path, monkeypatch, owner, name, runs, how
):
    task = make_task("Dev1/ai0", 100_000, clock="real")
    kind, before = type(task), task.in_stream.input_buf_size
    whole = getattr(owner, name)

    def pressed(*arguments, **options):
        whole(*arguments, **options)
        raise KeyboardInterrupt

    path = tmp_path / "a.tdms"
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, pressed)
        with pytest.raises(KeyboardInterrupt):
            if how == "record":
                daqring.record(task, path, progress=False)
            else:
                next(iter(daqring.stream(task, path)))
    assert type(task) is kind
    assert task.is_task_done()
    assert task.in_stream.input_buf_size == before
    assert path.exists() == runs
    if runs:
        assert daqring.open(path).finished
    assert daqring.record(task, tmp_path / "b.tdms", samples=100, progress=False).complete


def test_counts_may_be_those_of_numpy(make_task):
    task = make_task("Dev1/ai0", 1000, clock="stepped")
    with daqring.Recorder(task, None, workers=np.int64(2)) as recorder:
        with recorder.tap(depth=np.int32(3)) as tap:
            daqring.sim.step(1.0)
            assert tap.next(20) is not None
        assert recorder.latest(1e300).shape[0] == 1
        for depth in (0, 2.0, True, None):
            with pytest.raises(ValueError, match="depth must be a whole number"):
                recorder.tap(depth=depth)
    for workers in (0, 1.0, True, None):
        with pytest.raises(daqring.TaskError, match="workers must be a whole number"):
            daqring.Recorder(task, None, workers=workers)
