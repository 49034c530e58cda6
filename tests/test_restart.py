"""Going on after a failure: tasks made anew, overwrites skipped, silence noticed, a request to end."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time

import daqring
import daqring.sim
import nidaqmx
import numpy as np
import pytest
from daqring.acquisition import Acquisition
from daqring.metrics import _Figures
from nidaqmx.constants import AcquisitionType
from nptdms import TdmsFile
from pattern_check import assert_pattern

pytestmark = pytest.mark.usefixtures("reader")


def make() -> nidaqmx.Task:
    task = nidaqmx.Task("rig")
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1")
    task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
    return task


def until(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture
def stepped(simulator):
    simulator(product="PXIe-6396", clock="stepped")
    yield
    daqring.sim.plug("Dev1")


def test_ten_unplugs_are_ten_gaps(stepped, tmp_path, reader):
    cycles = 10 if reader == "native" else 3
    path = tmp_path / "run.tdms"
    recorder = daqring.Recorder(
        make, path, block_ms=50, restart=daqring.Restart(wait=0.01, attempts=None), no_samples=60
    )
    recorder.start()
    for cycle in range(cycles):
        wanted = 100 * (cycle + 1)
        daqring.sim.step(0.1)
        until(lambda wanted=wanted: recorder.stats()["samples"] == wanted)
        daqring.sim.unplug("Dev1")
        until(lambda: recorder.stats()["restarting"])
        figures = {family.name: family.samples[0].value for family in _Figures(recorder).collect()}
        assert (figures["daqring_restarts"], figures["daqring_restarting"]) == (cycle, 1)
        daqring.sim.plug("Dev1")
        until(lambda cycle=cycle: recorder.stats()["restarts"] == cycle + 1)
    daqring.sim.step(0.1)
    until(lambda: recorder.stats()["samples"] == 100 * (cycles + 1))
    assert not recorder.wait(0)
    assert recorder.stats()["gaps"] == cycles
    with pytest.warns(daqring.SamplesLostWarning, match="unplugged"):
        report = recorder.close()
    assert (report.samples_per_channel, report.stop_reason, report.error) == (
        100 * (cycles + 1),
        "stopped",
        None,
    )
    assert len(report.gaps) == cycles
    assert {gap.cause for gap in report.gaps} == {"unplugged"}
    assert all(gap.count is not None and gap.count > 0 for gap in report.gaps)
    assert report.lost == sum(gap.count for gap in report.gaps)
    log = daqring.open(path)
    assert [gap for _, gap in log.gaps] == list(report.gaps)
    groups = [group for group in log.groups.values() if not group.housekeeping]
    assert [len(group.channels[1]) for group in groups] == [100] * (cycles + 1)
    for group in groups:
        for number in range(2):
            assert_pattern(group.channels[number].raw[:], number)
    starts = [group.channels[0].t0 for group in groups]
    assert all(later > earlier for earlier, later in itertools.pairwise(starts))
    assert len([text for _, text in log.events if "made anew" in text]) == cycles


def test_each_replug_begins_a_file_where_that_is_asked_for(stepped, tmp_path):
    path = tmp_path / "run.tdms"
    restart = daqring.Restart(wait=0.01, attempts=None, into="file")
    recorder = daqring.Recorder(make, path, block_ms=50, restart=restart, no_samples=60)
    recorder.start()
    for cycle in range(2):
        daqring.sim.step(0.1)
        until(lambda cycle=cycle: recorder.stats()["samples"] == 100 * (cycle + 1))
        daqring.sim.unplug("Dev1")
        until(lambda: recorder.stats()["restarting"])
        daqring.sim.plug("Dev1")
        until(lambda cycle=cycle: recorder.stats()["restarts"] == cycle + 1)
    daqring.sim.step(0.1)
    until(lambda: recorder.stats()["samples"] == 300)
    # A restart that no sample follows makes no file.
    daqring.sim.unplug("Dev1")
    until(lambda: recorder.stats()["restarting"])
    daqring.sim.plug("Dev1")
    until(lambda: recorder.stats()["restarts"] == 3)
    with pytest.warns(daqring.SamplesLostWarning, match="unplugged"):
        report = recorder.close()
    names = ["run.tdms", "run_0001.tdms", "run_0002.tdms"]
    assert list(report.files) == [str(tmp_path / name) for name in names]
    assert sorted(file.name for file in tmp_path.glob("*.tdms")) == names
    assert report.samples_per_channel == 300
    for file in report.files:
        tables = [group for group in TdmsFile.read(file).groups() if group.name.startswith("rig")]
        values = [table.channels()[0].raw_data for table in tables]
        assert [len(some) for some in values if len(some)] == [100]
        assert_pattern(np.concatenate(values), 0)
    # Opened by the first one, they are one recording.
    log = daqring.open(path)
    assert log.finished
    assert [gap for _, gap in log.gaps] == list(report.gaps)
    groups = [group for group in log.groups.values() if not group.housekeeping]
    assert sum(len(group.channels[1]) for group in groups) == 300


def test_where_a_restart_goes_on_is_checked():
    with pytest.raises(daqring.TaskError, match="'group' or 'file', not 'folder'"):
        daqring.Restart(into="folder")


def test_it_gives_up_after_so_many_attempts(stepped, tmp_path, caplog):
    made = []

    def factory():
        if made:
            raise OSError("the rig is not there")
        made.append(make())
        return made[0]

    recorder = daqring.Recorder(
        factory, tmp_path / "run.tdms", block_ms=50, restart=daqring.Restart(wait=0, attempts=3)
    )
    recorder.start()
    daqring.sim.step(0.1)
    daqring.sim.unplug("Dev1")
    assert recorder.wait(20)
    with pytest.raises(daqring.DriverError, match="-201003"):
        recorder.close()
    assert "given up after 3 tries" in caplog.text
    assert caplog.text.count("the rig is not there") == 3
    assert made[0]._handle is None
    assert recorder.report.stop_reason == "error"


def test_other_tasks_than_before_are_not_taken(stepped, tmp_path, caplog):
    made = []

    def factory():
        task = make()
        if made:
            task.ai_channels.add_ai_voltage_chan("Dev1/ai5")
        made.append(task)
        return task

    recorder = daqring.Recorder(
        factory, tmp_path / "run.tdms", block_ms=50, restart=daqring.Restart(wait=0, attempts=1)
    )
    recorder.start()
    fault_after(50)
    assert recorder.wait(20)
    with pytest.raises(daqring.DriverError):
        recorder.close()
    assert "same names, channels and rates" in caplog.text
    assert [task._handle for task in made] == [None, None]


def fault_after(samples: int) -> None:
    daqring.sim.fault("Dev1", "unplugged", after=samples)
    daqring.sim.step(samples / 1000 + 0.05)
    daqring.sim.plug("Dev1")


def test_a_stop_ends_the_trying(stepped, tmp_path):
    recorder = daqring.Recorder(
        make, tmp_path / "run.tdms", block_ms=50, restart=daqring.Restart(wait=0.01, attempts=None)
    )
    recorder.start()
    daqring.sim.step(0.1)
    daqring.sim.unplug("Dev1")
    until(lambda: recorder.stats()["restarting"])
    recorder.stop()
    assert recorder.wait(20)
    with pytest.raises(daqring.DriverError, match="-201003"):
        recorder.close()
    assert recorder.report.samples_per_channel == 100


def test_a_length_counts_from_the_first_start(stepped, tmp_path):
    recorder = daqring.Recorder(
        make,
        tmp_path / "run.tdms",
        samples=1000,
        block_ms=50,
        restart=daqring.Restart(wait=0.01, attempts=None),
    )
    recorder.start()
    daqring.sim.step(0.1)
    daqring.sim.unplug("Dev1")
    until(lambda: recorder.stats()["restarting"])
    daqring.sim.plug("Dev1")
    until(lambda: recorder.stats()["restarts"] == 1)
    daqring.sim.step(1.0)
    assert recorder.wait(20)
    with pytest.warns(daqring.SamplesLostWarning):
        report = recorder.close()
    assert report.stop_reason == "finished"
    assert report.samples_per_channel + report.lost == 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "bad luck"}, "restart on 'bad luck' is not known"),
        ({"on": ()}, "needs a reason"),
        ({"attempts": 0}, "attempts must be"),
        ({"wait": -1}, "wait must be"),
    ],
)
def test_wrong_policies_are_refused(options, message):
    with pytest.raises(daqring.TaskError, match=message):
        daqring.Restart(**options)


def test_a_restart_without_a_function_is_refused(make_task, tmp_path):
    task = make_task()
    with pytest.raises(daqring.TaskError, match="needs a function that makes the tasks"):
        daqring.Recorder(task, tmp_path / "run.tdms", restart=daqring.Restart())
    with pytest.raises(daqring.TaskError, match=r"must be a daqring\.Restart"):
        daqring.Recorder(make, tmp_path / "run.tdms", restart="always")
    with pytest.raises(daqring.TaskError, match="needs no_samples="):
        daqring.Recorder(make, tmp_path / "run.tdms", restart=daqring.Restart(on="no samples"))
    with pytest.raises(daqring.TaskError, match="on_loss must be"):
        daqring.Recorder(task, tmp_path / "run.tdms", on_loss="shrug")
    with pytest.raises(daqring.TaskError, match="no_samples must be"):
        daqring.Recorder(task, tmp_path / "run.tdms", no_samples=0)


# -- overwrites -----------------------------------------------------------------------------------


def test_an_overwrite_is_skipped_and_counted(make_task, tmp_path, monkeypatch):
    from driver_hook import act_before_reads

    task = make_task("Dev1/ai0", 1000, clock="stepped", name="late", product="PXIe-6396")
    task.in_stream.input_buf_size = 1000
    before = task.in_stream.overwrite
    act_before_reads(monkeypatch, lambda read: daqring.sim.step(3.0) if read in (3, 8) else None)
    path = tmp_path / "run.tdms"
    recorder = daqring.Recorder(task, path, block_ms=100, on_loss="continue")
    recorder.start()
    for _ in range(12):
        before_step = recorder.stats()["samples"]
        daqring.sim.step(0.1)
        until(lambda before_step=before_step: recorder.stats()["samples"] > before_step)
    with pytest.warns(daqring.SamplesLostWarning, match="overwrite"):
        report = recorder.close()
    assert report.stop_reason == "stopped"
    assert len(report.gaps) == 2
    assert {gap.cause for gap in report.gaps} == {"overwrite"}
    ledger = daqring.sim.ledger("late")
    assert report.samples_per_channel == ledger.delivered
    assert report.samples_per_channel + report.lost == ledger.produced
    assert task.in_stream.overwrite == before
    log = daqring.open(path)
    assert [gap for _, gap in log.gaps] == list(report.gaps)
    groups = [group for group in log.groups.values() if not group.housekeeping]
    first = 0
    for group, gap in zip(groups, (*report.gaps, None), strict=True):
        data = group.channels[0].raw[:]
        assert_pattern(data, 0, first=first)
        if gap is not None:
            assert gap.first_sample == first + len(data)
            first = gap.first_sample + gap.count


@pytest.mark.parametrize(("wanted", "kept"), [(2000, 500), (3100, 600)])
def test_no_more_is_recorded_than_was_asked_for(make_task, tmp_path, monkeypatch, wanted, kept):
    """The newest half second begins at sample 3000, when 3500 are there."""
    from driver_hook import act_before_reads

    task = make_task("Dev1/ai0:1", 1000, clock="stepped", product="PXIe-6396")
    task.in_stream.input_buf_size = 1000
    act_before_reads(monkeypatch, lambda read: daqring.sim.step(2.5) if read == 2 else None)
    path = tmp_path / "run.tdms"
    recorder = daqring.Recorder(task, path, samples=wanted, block_ms=500, on_loss="continue")
    recorder.start()
    daqring.sim.step(0.5)
    until(lambda: recorder.stats()["samples"] == 500)
    daqring.sim.step(0.5)
    assert recorder.wait(20)
    with pytest.warns(daqring.SamplesLostWarning, match="overwrite"):
        report = recorder.close()
    assert (report.samples_per_channel, report.stop_reason) == (kept, "finished")
    assert report.samples_per_channel + report.lost == wanted
    log = daqring.open(path)
    groups = [group for group in log.groups.values() if not group.housekeeping]
    for number in range(2):
        assert_pattern(groups[0].channels[number].raw[:], number)
        if kept > 500:
            assert_pattern(groups[1].channels[number].raw[:], number, first=3000)


# -- silence --------------------------------------------------------------------------------------


def test_silence_ends_it_in_order(stepped, tmp_path):
    with make() as task:
        recorder = daqring.Recorder(task, tmp_path / "run.tdms", block_ms=50, no_samples=0.3)
        recorder.start()
        daqring.sim.step(0.1)
        assert recorder.wait(20)
        with pytest.raises(daqring.RecordingError, match=r"no samples came from task 'rig' for 0.3 s; check"):
            recorder.close()
    report = recorder.report
    assert (report.stop_reason, report.samples_per_channel) == ("no samples", 100)
    assert_pattern(daqring.open(tmp_path / "run.tdms")["rig/Dev1/ai0"].raw[:], 0)


def test_waiting_for_a_trigger_is_no_silence(stepped, tmp_path, request):
    request.addfinalizer(lambda: daqring.sim.hold_triggers(False))
    daqring.sim.hold_triggers()
    with make() as task:
        task.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI0")
        with daqring.Recorder(task, tmp_path / "run.tdms", no_samples=0.2) as recorder:
            assert not recorder.wait(0.8)
    assert recorder.report.stop_reason == "stopped"


def test_silence_can_be_answered_by_a_restart(stepped, tmp_path):
    policy = daqring.Restart(on=["no samples", "device error"], wait=0.01)
    recorder = daqring.Recorder(make, tmp_path / "run.tdms", block_ms=50, restart=policy, no_samples=0.2)
    recorder.start()
    daqring.sim.step(0.1)
    until(lambda: recorder.stats()["restarts"] >= 1)
    daqring.sim.step(0.1)
    until(lambda: recorder.stats()["samples"] >= 200)
    with pytest.warns(daqring.SamplesLostWarning, match="unknown"):
        report = recorder.close()
    assert report.stop_reason == "stopped"
    assert {gap.cause for gap in report.gaps} == {"unknown"}


# -- a request to end -----------------------------------------------------------------------------


def press_again_while_finishing(monkeypatch, presses: list[str]) -> None:
    """Ctrl-C while the readers are waited for, before and after the file is finished."""

    def pressing(owner, name):
        whole = getattr(owner, name)

        def pressed(self, *arguments, **words):
            presses.append(name)
            signal.raise_signal(signal.SIGINT)
            result = whole(self, *arguments, **words)
            signal.raise_signal(signal.SIGINT)
            return result

        monkeypatch.setattr(owner, name, pressed)

    pressing(Acquisition, "wait")
    pressing(daqring.Recorder, "_final_properties")
    pressing(daqring.Recorder, "_make_report")


FINISHING = ["wait", "_final_properties", "_make_report"]


def test_a_second_ctrl_c_finishes_the_file_all_the_same(simulator, tmp_path, monkeypatch, caplog):
    simulator(product="PXIe-6396", clock="real")
    presses: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with make() as task:
        press_again_while_finishing(monkeypatch, presses)
        threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
        report = daqring.record(task, tmp_path / "run.tdms", block_ms=50, progress=False)
    assert list(dict.fromkeys(presses)) == FINISHING
    assert (report.stop_reason, report.lost, report.error) == ("interrupted", 0, None)
    assert caplog.text.count("is still being finished") == 1
    assert signal.getsignal(signal.SIGINT) is before
    log = daqring.open(tmp_path / "run.tdms")
    assert log.finished
    raw = log["rig/Dev1/ai1"].raw[:]
    assert len(raw) == report.samples_per_channel > 0
    assert_pattern(raw, 1)


def test_a_first_ctrl_c_while_finishing_comes_out_behind_it(stepped, tmp_path, monkeypatch):
    presses: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with make() as task:
        recorder = daqring.Recorder(task, tmp_path / "run.tdms", block_ms=50)
        recorder.start()
        daqring.sim.step(0.1)
        until(lambda: recorder.stats()["samples"] == 100)
        press_again_while_finishing(monkeypatch, presses)
        with pytest.raises(KeyboardInterrupt):
            recorder.close()
        assert list(dict.fromkeys(presses)) == FINISHING
        assert recorder.close() is recorder.report
    assert signal.getsignal(signal.SIGINT) is before
    assert (recorder.report.samples_per_channel, recorder.report.stop_reason) == (100, "stopped")
    assert daqring.open(tmp_path / "run.tdms").finished


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="SIGTERM cannot be sent to a thread here")
def test_sigterm_ends_a_recording_in_order(stepped, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    ender = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with make() as task:
        ender.start()
        report = daqring.record(task, tmp_path / "run.tdms", progress=False)
    assert report.stop_reason == "interrupted"
    assert signal.getsignal(signal.SIGTERM) is before
    assert np.array_equal(daqring.open(tmp_path / "run.tdms")["rig/Dev1/ai0"].raw[:], [])
