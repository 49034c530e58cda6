"""Recording from the unmodified nidaqmx package on the simulated driver, checked sample by sample."""

from __future__ import annotations

import datetime
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import daqring
import daqring.sim
import nidaqmx
import nptdms
import numpy as np
import pytest
from driver_hook import act_before_reads
from nidaqmx.constants import AcquisitionType, LoggingMode, VoltageUnits
from pattern_check import assert_pattern

pytestmark = pytest.mark.usefixtures("reader")


def check_with_nptdms(path: Path, report: daqring.Report) -> None:
    """Every sample in the file is the right one, by npTDMS, and the report says the same."""
    file = nptdms.TdmsFile.read(path, raw_timestamps=True)
    group = file[report.group]
    assert [channel.name for channel in group.channels()] == list(report.channels)
    for number, channel in enumerate(group.channels()):
        assert len(channel) == report.samples_per_channel
        assert_pattern(channel.raw_data, number)


@pytest.mark.parametrize("channels", [1, 3, 8])
@pytest.mark.parametrize("samples", [1, 1000, 123_457])
def test_records_every_sample(make_task, tmp_path, channels, samples):
    task = make_task(f"Dev1/ai0:{channels - 1}")
    path = tmp_path / "run.tdms"
    report = daqring.record(task, path, samples=samples, block_ms=20, progress=False)
    assert (report.samples_per_channel, report.samples) == (samples, samples * channels)
    assert (report.lost, report.lost_unknown, report.gaps, report.complete) == (0, False, (), True)
    assert report.stop_reason == "finished"
    assert report.bytes == samples * channels * 2
    assert report.file_bytes == path.stat().st_size
    assert report.blocks == -(-samples // 2000)
    check_with_nptdms(path, report)


@pytest.mark.parametrize(
    ("product", "rate", "seconds"), [("PXIe-6396", 1_000_000, 10), ("PXIe-6396", 14_290_000, 5)]
)
def test_long_recordings_agree_with_the_ledger(make_task, tmp_path, product, rate, seconds):
    task = make_task("Dev1/ai0:7", rate, product=product, name="long")
    path = tmp_path / "run.tdms"
    report = daqring.record(task, path, seconds=seconds, progress=False)
    assert report.samples_per_channel == round(seconds * task.timing.samp_clk_rate)
    assert report.lost == 0
    assert not report.lost_unknown
    ledger = daqring.sim.ledger("long")
    assert ledger.delivered == report.samples_per_channel
    assert ledger.overwritten == 0
    assert ledger.produced == report.acquired
    check_with_nptdms(path, report)
    assert daqring.verify(path).complete


def test_scaled_values_are_those_of_nidaqmx(make_task, tmp_path):
    task = make_task("Dev1/ai0:3")
    path = tmp_path / "run.tdms"
    daqring.record(task, path, samples=50_000, progress=False)
    task.start()
    expected = np.array(task.read(50_000))
    task.stop()
    log = daqring.open(path)
    file = nptdms.TdmsFile.read(path)
    for number in range(4):
        name = f"Dev1/ai{number}"
        assert log[name].unit == "V"
        np.testing.assert_array_equal(log[name][:], expected[number])
        np.testing.assert_array_equal(file[log[name].group][name][:], expected[number])


def test_float64_can_be_asked_for(make_task, tmp_path):
    task = make_task("Dev1/ai0:1")
    raw = daqring.record(task, tmp_path / "raw.tdms", samples=5000, dtype="raw", progress=False)
    volts = daqring.record(task, tmp_path / "volts.tdms", samples=5000, dtype="float64", progress=False)
    assert (raw.dtype, volts.dtype) == ("int16", "float64")
    assert "was asked for" in volts.dtype_reason
    a, b = daqring.open(tmp_path / "raw.tdms"), daqring.open(tmp_path / "volts.tdms")
    assert b["Dev1/ai0"].raw.dtype == np.float64
    np.testing.assert_array_equal(a["Dev1/ai1"][:], b["Dev1/ai1"][:])


def thermocouple(task: nidaqmx.Task) -> None:
    task.ai_channels.add_ai_thrmcpl_chan("Dev1/ai1")


def custom_scale(task: nidaqmx.Task) -> None:
    nidaqmx.Scale.create_lin_scale("bar_per_volt", 2.5, -1.0, scaled_units="bar")
    task.ai_channels.add_ai_voltage_chan(
        "Dev1/ai1",
        min_val=-5,
        max_val=5,
        units=VoltageUnits.FROM_CUSTOM_SCALE,
        custom_scale_name="bar_per_volt",
    )


@pytest.mark.parametrize(
    ("add", "unit", "why"), [(thermocouple, "°C", "thermocouple"), (custom_scale, "bar", "custom scale")]
)
def test_scaling_beyond_the_device_is_recorded_as_floats(simulator, tmp_path, add, unit, why):
    simulator(signal="sine")
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        add(task)
        task.timing.cfg_samp_clk_timing(10_000, sample_mode=AcquisitionType.CONTINUOUS)
        report = daqring.record(task, tmp_path / "run.tdms", samples=5000, progress=False)
        task.start()
        expected = np.array(task.read(5000))
        task.stop()
        with pytest.raises(daqring.TaskError, match="would lose the scaling"):
            daqring.record(task, tmp_path / "raw.tdms", samples=10, dtype="raw", progress=False)
    assert report.dtype == "float64"
    assert why in report.dtype_reason.replace("thrmcpl", "thermocouple")
    log = daqring.open(tmp_path / "run.tdms")
    assert log["Dev1/ai1"].unit == unit
    for number in range(2):
        np.testing.assert_array_equal(log[f"Dev1/ai{number}"][:], expected[number])


def test_a_finite_task_is_recorded_whole(make_task, tmp_path):
    task = make_task(mode=AcquisitionType.FINITE, samples=7777)
    report = daqring.record(task, tmp_path / "run.tdms", progress=False)
    assert (report.samples_per_channel, report.requested, report.complete) == (7777, 7777, True)
    check_with_nptdms(tmp_path / "run.tdms", report)


def test_a_running_task_is_accepted_and_left_running(make_task, tmp_path):
    task = make_task("Dev1/ai0:1", clock="stepped")
    task.start()
    daqring.sim.step(0.05)
    assert len(task.read(1000)[0]) == 1000
    recorder = daqring.Recorder(task, tmp_path / "run.tdms", samples=2000)
    with recorder:
        assert recorder.wait(20)
    assert not task.is_task_done()
    assert "running already" in recorder.report.driver_buffer_note or "large enough" in (
        recorder.report.driver_buffer_note
    )
    log = daqring.open(tmp_path / "run.tdms")
    assert_pattern(log["Dev1/ai0"].raw[:], 0, first=1000)
    assert_pattern(np.array(task.in_stream.read(1000)).reshape(-1, 2)[:, 1], 1, first=3000)


def test_the_driver_buffer_is_raised_and_put_back(make_task, tmp_path):
    task = make_task(rate=100_000)
    before = task.in_stream.input_buf_size
    report = daqring.record(task, tmp_path / "run.tdms", samples=10, progress=False)
    assert report.driver_buffer == 400_000 > before
    assert "raised" in report.driver_buffer_note
    assert task.in_stream.input_buf_size == before


@pytest.mark.parametrize("code", [-200877, -200920])
def test_an_event_that_suits_no_other_buffer_keeps_the_one_it_has(make_task, tmp_path, monkeypatch, code):
    """Some devices want a multiple of the interval of their every-N-samples event."""
    task = make_task("Dev1/ai0", 10_000)
    found = task.in_stream.input_buf_size
    start = nidaqmx.Task.start

    def picky(task):
        if task.in_stream.input_buf_size != found:
            raise nidaqmx.errors.DaqError("The buffer is no multiple of the interval.", code)
        start(task)

    monkeypatch.setattr(nidaqmx.Task, "start", picky)
    report = daqring.record(task, tmp_path / "run.tdms", samples=1000, progress=False)
    assert (report.complete, report.driver_buffer) == (True, found)
    assert "every-N-samples event" in report.driver_buffer_note
    assert task.in_stream.input_buf_size == found
    # Any other refusal comes out.
    monkeypatch.setattr(nidaqmx.Task, "start", lambda task: task.ai_channels["Dev1/ai5"].ai_max)
    with pytest.raises(daqring.DriverError):
        daqring.record(task, tmp_path / "b.tdms", samples=1000, progress=False)
    assert task.in_stream.input_buf_size == found


def test_a_driver_buffer_set_by_hand_is_left_alone(make_task, tmp_path):
    task = make_task(rate=100_000)
    task.in_stream.input_buf_size = 30_000
    report = daqring.record(task, tmp_path / "run.tdms", samples=10, block_ms=10, progress=False)
    assert report.driver_buffer == 30_000 == task.in_stream.input_buf_size
    assert "by hand" in report.driver_buffer_note


def test_the_task_is_left_as_it_was(make_task, tmp_path):
    task = make_task()
    daqring.record(task, tmp_path / "a.tdms", samples=5000, progress=False)
    assert task.is_task_done()
    again = daqring.record(task, tmp_path / "b.tdms", samples=5000, progress=False)
    check_with_nptdms(tmp_path / "b.tdms", again)


def before_read(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], object]) -> None:
    """Does something in the reading thread before its read of this number."""
    act_before_reads(monkeypatch, lambda read: act() if read == number else None)


def wait_for_samples(recorder: daqring.Recorder, samples: int) -> None:
    """Waits until this many samples per channel are in the log."""
    deadline = time.monotonic() + 20
    while recorder.stats()["samples"] < samples:
        assert time.monotonic() < deadline, recorder.stats()
        time.sleep(0.001)


class Stepping:
    """Moves the stepped clock on in the background, 5 ms at a time, while less than `limit` samples wait."""

    def __init__(self, task: nidaqmx.Task, limit: int) -> None:
        self._task = task
        self._limit = limit
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.0005):
            try:
                waiting = self._task.in_stream.avail_samp_per_chan
            except nidaqmx.DaqError:  # not started yet, or stopped already
                waiting = 0
            if waiting < self._limit:
                daqring.sim.step(0.005)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_a_stall_of_half_a_second_loses_nothing(make_task, tmp_path, monkeypatch):
    task = make_task("Dev1/ai0", 1_000_000, clock="stepped", name="stalled")
    before_read(monkeypatch, 3, lambda: daqring.sim.step(0.5))
    with Stepping(task, 1_000_000):
        report = daqring.record(task, tmp_path / "run.tdms", seconds=1, block_ms=50, progress=False)
    assert (report.lost, report.samples_per_channel) == (0, 1_000_000)
    assert daqring.sim.ledger("stalled").overwritten == 0
    assert report.driver_high_water >= 400_000
    check_with_nptdms(tmp_path / "run.tdms", report)


def test_an_overflow_of_the_driver_is_told_everywhere(make_task, tmp_path, monkeypatch):
    task = make_task("Dev1/ai0:1", 100_000, clock="stepped", name="overflown")
    task.in_stream.input_buf_size = 10_000
    before_read(monkeypatch, 3, lambda: daqring.sim.step(0.5))
    path = tmp_path / "run.tdms"
    recorder = daqring.Recorder(task, path, seconds=2, block_ms=10)
    recorder.start()
    daqring.sim.step(0.025)
    wait_for_samples(recorder, 2000)
    daqring.sim.step(0.005)
    assert recorder.wait(10)
    with pytest.warns(daqring.SamplesLostWarning, match="samples were lost: .*overwrite"):
        report = recorder.close()
    ledger = daqring.sim.ledger("overflown")
    assert report.stop_reason == "overwrite"
    assert report.lost == ledger.produced - ledger.delivered > 10_000
    assert report.samples_per_channel == ledger.delivered
    assert report.acquired == ledger.produced
    assert report.error is not None
    assert "-200279" in report.error
    assert not report.complete
    assert f"lost:      {report.lost:,}" in str(report)
    # The file opens, holds all that was read, and tells of the gap.
    check_with_nptdms(path, report)
    log = daqring.open(path)
    assert log.properties["daqring.lost"] == report.lost
    assert [gap for _, gap in log.gaps] == list(report.gaps)
    assert report.gaps == (daqring.Gap(report.samples_per_channel, report.lost, "overwrite"),)
    assert not daqring.verify(path).complete


def test_a_block_larger_than_a_buffer_set_by_hand(make_task, tmp_path):
    task = make_task("Dev1/ai0", 100_000, clock="stepped")
    task.in_stream.input_buf_size = 3000
    with Stepping(task, 1600):
        report = daqring.record(task, tmp_path / "run.tdms", samples=20_000, block_ms=100, progress=False)
    assert (report.lost, report.samples_per_channel, report.complete) == (0, 20_000, True)
    check_with_nptdms(tmp_path / "run.tdms", report)


def test_a_loss_warns_only_once(make_task, tmp_path, monkeypatch):
    task = make_task("Dev1/ai0", clock="stepped")
    task.in_stream.input_buf_size = 10_000
    before_read(monkeypatch, 1, lambda: daqring.sim.step(1.0))
    recorder = daqring.Recorder(task, tmp_path / "run.tdms", seconds=2, block_ms=10)
    recorder.start()
    daqring.sim.step(0.01)
    assert recorder.wait(10)
    with pytest.warns(daqring.SamplesLostWarning):
        recorder.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert recorder.close() is recorder.report


def test_a_foreign_read_is_told_as_a_gap(make_task, tmp_path, monkeypatch):
    task = make_task("Dev1/ai0", 100_000)
    before_read(monkeypatch, 11, lambda: task.read(300))
    with pytest.warns(daqring.SamplesLostWarning, match="foreign read"):
        report = daqring.record(task, tmp_path / "run.tdms", samples=20_000, block_ms=10, progress=False)
    assert report.gaps == (daqring.Gap(10_000, 300, "foreign read"),)
    assert (report.lost, report.samples_per_channel, report.complete) == (300, 19_700, False)
    log = daqring.open(tmp_path / "run.tdms")
    assert [gap for _, gap in log.gaps] == list(report.gaps)
    groups = [group for group in log.groups.values() if not group.housekeeping]
    assert [group.name for group in groups] == [report.group, f"{report.group} #2"]
    assert_pattern(groups[0].channels[0].raw[:], 0)
    assert_pattern(groups[1].channels[0].raw[:], 0, first=10_300)
    shift = groups[1].channels[0].t0 - groups[0].channels[0].t0
    assert abs(shift - np.timedelta64(103_000_000, "ns")) <= np.timedelta64(1, "us")


def test_stop_keeps_what_was_acquired(make_task, tmp_path):
    task = make_task("Dev1/ai0:1", 10_000, clock="stepped", name="stopped")
    with daqring.Recorder(task, tmp_path / "run.tdms", block_ms=100) as recorder:
        daqring.sim.step(0.95)
        wait_for_samples(recorder, 9000)
        recorder.stop()
    report = recorder.report
    # Nine blocks and the half that was there when the stop came.
    assert (report.samples_per_channel, report.stop_reason, report.requested) == (9500, "stopped", None)
    assert report.complete
    check_with_nptdms(tmp_path / "run.tdms", report)


def test_close_is_idempotent_and_works_unstarted(make_task, tmp_path):
    task = make_task()
    recorder = daqring.Recorder(task, tmp_path / "run.tdms", samples=100)
    with pytest.raises(RuntimeError, match="was not started"):
        recorder.close()
    recorder.start()
    first = recorder.close()
    assert recorder.close() is first
    with pytest.raises(RuntimeError, match="records once"):
        recorder.start()


def test_threads_end_with_the_recording(make_task, tmp_path, reader):
    task = make_task()
    before = threading.active_count()
    with daqring.Recorder(task, tmp_path / "run.tdms"):
        in_python = "daqring-acquire-0" in {thread.name for thread in threading.enumerate()}
        assert in_python == (reader == "python")
    assert threading.active_count() == before


def test_properties_and_times_come_back(make_task, tmp_path):
    task = make_task("Dev1/ai0:1", 1000, name="rig")
    before = np.datetime64(time.time_ns(), "ns")
    daqring.record(
        task, tmp_path / "run.tdms", samples=3000, properties={"operator": "Ada", "run": 7}, progress=False
    )
    log = daqring.open(tmp_path / "run.tdms")
    assert (log.properties["operator"], log.properties["run"]) == ("Ada", 7)
    assert log.properties["daqring.stop_reason"] == "finished"
    channel = log["rig/Dev1/ai1"]
    assert channel.dt == 0.001
    assert abs(channel.t0 - before) < np.timedelta64(30, "s")
    np.testing.assert_allclose(channel.time(10, 13), [0.010, 0.011, 0.012])
    assert channel.time(absolute=True)[1000] == channel.t0 + np.timedelta64(1, "s")
    assert channel.properties["physical_channel"] == "Dev1/ai1"


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        ({"daqring.complete": True}, "'daqring.complete' cannot be set"),
        ({"": 1}, "'' cannot be set"),
        ({5: 1}, "5 cannot be set"),
        ({"\ud800": 1}, "cannot be set"),
        ({"a": None}, "'a' must be a text, a number"),
        ({"a": np.datetime64("2026-01-01")}, "'a' must be a text, a number"),
        ({"a": 1 << 63}, "'a': 9223372036854775808 is more than 64 bits can hold"),
        ({"a": "\ud800"}, "'a': '.ud800' has characters that are no text"),
        (
            {"a": datetime.datetime(1600, 1, 1)},
            "1600-01-01 00:00:00 is not between the years 1678 and 2261",
        ),
        ({"rig": {"a": 1 << 63}}, "properties of 'rig': 'a': 9223372036854775808 is more than 64 bits"),
        ({"rig/Dev1/ai0": {"a": "\ud800"}}, "properties of 'rig/Dev1/ai0': 'a'"),
        ({"rig/Dev1/ai0": {"a": datetime.datetime.max}}, "not between the years"),
    ],
    ids=ascii,
)
def test_properties_that_cannot_be_are_refused_before_the_start(make_task, tmp_path, properties, why):
    with pytest.raises(daqring.TaskError, match=why):
        daqring.Recorder(make_task("Dev1/ai0", name="rig"), tmp_path / "run.tdms", properties=properties)
    assert list(tmp_path.iterdir()) == []


def test_properties_of_every_kind_come_back(make_task, tmp_path):
    kinds = {
        "true": np.True_,
        "count": np.int64(1 << 40),
        "least": -(1 << 63),
        "gain": np.float32(0.5),
        "text": "µ\n'\"/\x00",
        "empty": "",
        "when": datetime.datetime(1678, 1, 1, tzinfo=datetime.UTC),
    }
    path = tmp_path / "run.tdms"
    task = make_task("Dev1/ai0", name="rig")
    properties = {**kinds, "rig": kinds, "Dev1/ai0": kinds}
    daqring.record(task, path, samples=100, properties=properties, progress=False)
    log, other = daqring.open(path), nptdms.TdmsFile.read(path)
    expected = kinds | {"when": np.datetime64("1678-01-01", "ns")}
    for mine, theirs in [
        (log.properties, other.properties),
        (log.groups["rig"].properties, other["rig"].properties),
        (log["Dev1/ai0"].properties, other["rig"]["Dev1/ai0"].properties),
    ]:
        assert {name: mine[name] for name in kinds} == expected
        assert {name: theirs[name] for name in kinds} == expected


def test_several_workers_keep_the_order(make_task, tmp_path):
    task = make_task("Dev1/ai0:3", 250_000)
    report = daqring.record(
        task, tmp_path / "run.tdms", samples=500_000, block_ms=2, workers=4, progress=False
    )
    assert report.blocks == 1000
    check_with_nptdms(tmp_path / "run.tdms", report)


def test_blocks_that_nobody_accounts_for_fail_the_recording(make_task, tmp_path, monkeypatch):
    """No such defect is known; should there be one, it must not pass for a complete recording."""

    class Miscounting:
        def __init__(self, *arguments, **options):
            self._real = real(*arguments, **options)

        def __getattr__(self, name):
            return getattr(self._real, name)

        def finish(self, *arguments):
            return self._real.finish(*arguments) | {"law_holds": False}

    real = daqring.recorder._native.Recording
    monkeypatch.setattr("daqring.recorder._native.Recording", Miscounting)
    # The last values for viewers are tapped from a true one.
    monkeypatch.setattr("daqring.monitor.Monitor._tapped", staticmethod(lambda recorder: []))
    task = make_task()
    with (
        pytest.warns(daqring.SamplesLostWarning),
        pytest.raises(daqring.RecordingError, match="nobody accounts for") as caught,
    ):
        daqring.record(task, tmp_path / "run.tdms", samples=1000, reader="python", progress=False)
    assert caught.value.report.lost_unknown
    assert not caught.value.report.complete


# -- refusals: one clear sentence each, and nothing left behind ---------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seconds": 1, "samples": 5}, "seconds or samples, not both"),
        ({"seconds": 0}, "seconds must be a finite number above 0"),
        ({"seconds": float("nan")}, "seconds must be a finite number above 0"),
        ({"seconds": "soon"}, "seconds must be a number"),
        ({"samples": 0}, "samples must be 1 or more"),
        ({"samples": 1.5}, "samples must be a whole number"),
        ({"block_ms": -1}, "block_ms must be a finite number above 0"),
        ({"block_ms": 1e9}, "choose a smaller block_ms"),
        ({"dtype": "int8"}, "dtype must be"),
        ({"workers": 0}, "workers must be"),
        ({"buffer_seconds": 0}, "buffer_seconds must be"),
    ],
)
def test_wrong_arguments_are_refused(make_task, tmp_path, arguments, message):
    task = make_task()
    with pytest.raises(daqring.TaskError, match=message):
        daqring.record(task, tmp_path / "run.tdms", progress=False, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_more_than_a_finite_task_acquires_is_refused(make_task, tmp_path):
    task = make_task(mode=AcquisitionType.FINITE, samples=100)
    with pytest.raises(daqring.TaskError, match="acquires only 100"):
        daqring.record(task, tmp_path / "run.tdms", samples=101, progress=False)


def test_a_task_whose_driver_only_logs_is_refused(make_task, tmp_path):
    task = make_task()
    task.in_stream.configure_logging(tmp_path / "driver.tdms", LoggingMode.LOG)
    with pytest.raises(daqring.TaskError, match="LOG_AND_READ"):
        daqring.record(task, tmp_path / "run.tdms", samples=10, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_task_that_reads_elsewhere_is_refused(make_task, tmp_path):
    task = make_task()
    task.in_stream.offset = -5
    with pytest.raises(daqring.TaskError, match="delete these settings"):
        daqring.record(task, tmp_path / "run.tdms", samples=10, progress=False)


def test_a_closed_task_is_refused(make_task, tmp_path):
    task = make_task()
    task.close()
    with pytest.raises(daqring.TaskError, match="-200088"):
        daqring.record(task, tmp_path / "run.tdms", samples=10, progress=False)


def test_a_task_without_a_clock_is_refused(simulator, tmp_path):
    simulator()
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        with pytest.raises(daqring.TaskError, match="cfg_samp_clk_timing"):
            daqring.record(task, tmp_path / "run.tdms", progress=False)


def test_a_task_without_channels_is_refused(simulator, tmp_path):
    simulator()
    with nidaqmx.Task() as task, pytest.raises(daqring.TaskError, match="no channels"):
        daqring.record(task, tmp_path / "run.tdms", progress=False)


def test_an_existing_file_is_kept(make_task, tmp_path):
    task = make_task()
    path = tmp_path / "run.tdms"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        daqring.record(task, path, samples=10, progress=False)
    assert path.read_bytes() == b"precious"
    report = daqring.record(task, path, samples=10, overwrite=True, progress=False)
    check_with_nptdms(path, report)


def test_an_unwritable_path_is_refused(make_task, tmp_path):
    task = make_task()
    with pytest.raises(FileNotFoundError):
        daqring.record(task, tmp_path / "no" / "such" / "folder.tdms", samples=10, progress=False)


def test_a_driver_that_refuses_to_start_leaves_no_file(make_task, tmp_path):
    first = make_task("Dev1/ai0")
    second = make_task("Dev1/ai1")
    first.start()
    with pytest.raises(daqring.DriverError) as caught:
        daqring.record(second, tmp_path / "run.tdms", samples=10, progress=False)
    assert caught.value.code == -50103
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("follows", [False, True])
def test_the_time_of_sample_0_is_that_of_the_start_trigger(simulator, tmp_path, request, reader, follows):
    # Devices of its own: what ran on them before is no part of this.
    first, second = (f"{reader}{follows}{number}" for number in (1, 2))
    simulator(clock="real", devices=dict.fromkeys((first, second), "PCIe-6363"))
    request.addfinalizer(lambda: daqring.sim.hold_triggers(False))
    daqring.sim.hold_triggers()
    with nidaqmx.Task("owner") as owner, nidaqmx.Task("follower") as follower:
        owner.ai_channels.add_ai_voltage_chan(f"{first}/ai0")
        owner.timing.cfg_samp_clk_timing(10_000, sample_mode=AcquisitionType.CONTINUOUS)
        owner.triggers.start_trigger.cfg_dig_edge_start_trig(f"/{first}/PFI0")
        follower.ai_channels.add_ai_voltage_chan(f"{second}/ai0")
        follower.timing.cfg_samp_clk_timing(
            10_000, source=f"/{first}/ai/SampleClock", sample_mode=AcquisitionType.CONTINUOUS
        )
        tasks = [owner, follower] if follows else [owner]
        with daqring.Recorder(tasks, tmp_path / "run.tdms", samples=2000, block_ms=50) as recorder:
            assert not recorder.wait(0.5)
            before = time.time_ns()
            daqring.sim.trigger()
            assert recorder.wait(60)
    assert recorder.report.complete
    log = daqring.open(tmp_path / "run.tdms")
    for name in (f"owner/{first}/ai0", f"follower/{second}/ai0")[: len(tasks)]:
        # The start was half a second earlier.
        since = log[name].t0.astype("datetime64[ns]").astype(np.int64) - before
        assert since >= -1_000_000
        assert since < 30_000_000_000
