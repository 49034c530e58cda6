"""What goes into a log besides samples: events, clock readings, results of the user's own."""

from __future__ import annotations

import datetime
import json
import time

import daqring
import nptdms
import numpy as np
import pytest
from daqring.stages import Statistics, Trigger


def test_events_and_results_are_in_the_file(make_task, tmp_path):
    path = tmp_path / "run.tdms"
    before = np.datetime64(time.time_ns(), "ns")
    t0 = np.datetime64("2026-01-02T03:04:05.5", "ns")
    recorder = daqring.Recorder(make_task("Dev1/ai0:1", name="rig"), path, samples=50_000, block_ms=10)
    with recorder:
        recorder.annotate("valve opened: µ")
        recorder.write("RMS", [1.5, 2.5, 3.5], t0=t0, dt=0.1, unit="V")
        recorder.write("RMS", np.array([4.5]), t0=t0, dt=0.1, unit="V")
        both = np.arange(6, dtype=np.int32).reshape(2, 3)
        recorder.write("two", both, t0=1.25, dt=2, channels=("low", "high"))
        recorder.wait()
        recorder.annotate("done")
    log = daqring.open(path)
    assert [text for _, text in log.events] == ["valve opened: µ", "done"]
    assert before <= log.events[0][0] <= log.events[1][0] <= np.datetime64(time.time_ns(), "ns")
    assert "valve opened: µ" in log.describe()
    assert json.loads(json.dumps(log.to_dict(), default=str))["events"][1]["text"] == "done"

    rms = log["RMS/value"]
    np.testing.assert_array_equal(rms[:], [1.5, 2.5, 3.5, 4.5])
    assert (rms.dt, rms.t0, rms.unit) == (0.1, t0, "V")
    np.testing.assert_array_equal(log["two/high"][:], [3, 4, 5])
    assert log["two/low"].t0 == np.datetime64("1970-01-01T00:00:01.25", "ns")
    with nptdms.TdmsFile.open(path) as file:
        assert next(group.name for group in file.groups()) == "rig"
        np.testing.assert_array_equal(file["RMS"]["value"][:], [1.5, 2.5, 3.5, 4.5])
    assert daqring.verify(path).complete

    pairs = log.clock_pairs
    assert len(pairs) >= 1
    assert pairs["sample"][0] > 0
    assert abs(int(pairs["utc_ns"][0]) - time.time_ns()) < 60e9


def test_results_that_do_not_fit_are_refused(make_task, tmp_path):
    path = tmp_path / "run.tdms"
    stages = [Statistics(every=0.01)]
    task = make_task("Dev1/ai0:1", name="rig")
    recorder = daqring.Recorder(task, path, samples=5_000, stages=stages, history=1.0)
    with pytest.raises(RuntimeError, match="not started"):
        recorder.annotate("too early")
    now = datetime.datetime.now(datetime.UTC)
    with recorder:
        for name, values, options in [
            ("rig", [1.0], {}),
            ("daqring", [1.0], {}),
            ("", [1.0], {}),
            ("x", [], {}),
            ("x", [[1.0], [2.0]], {}),
            ("x", ["text"], {}),
            ("x", [1j], {}),
            ("x", np.zeros((1, 2, 3)), {}),
        ]:
            with pytest.raises(ValueError, match=r"values|results"):
                recorder.write(name, values, t0=now, dt=1.0, **options)
        with pytest.raises(ValueError, match="dt"):
            recorder.write("x", [1.0], t0=now, dt=0)
        for name, options, why in [
            ("rig #2", {}, "parts of a group behind its gaps"),
            ("statistics", {}, "choose another name"),
            ("health", {}, "history of health"),
            ("x", {"channels": ("a", "a")}, "needs a name of its own"),
            ("x", {"channels": ("a", "")}, "needs a name of its own"),
            ("\ud800", {}, "must be text"),
            (5, {}, "must be text"),
            ("x", {"unit": 5}, "must be text"),
            ("x", {"t0": "2026"}, "t0 must be seconds"),
            ("x", {"t0": np.datetime64("NaT")}, "t0 must be seconds"),
            ("x", {"t0": float("nan")}, "between the years"),
            ("x", {"t0": 1e10}, "between the years"),
            ("x", {"t0": np.datetime64("9999-01-01")}, "between the years"),
            ("x", {"t0": datetime.datetime(9999, 1, 1)}, "between the years"),
        ]:
            arguments = {"t0": now, "dt": 1.0, **options}
            values = np.zeros((len(options.get("channels", "x")), 1))
            with pytest.raises(ValueError, match=why):
                recorder.write(name, values, **arguments)
        recorder.write("y", [1.0], t0=now, dt=1.0)
        with pytest.raises(ValueError, match="another dtype"):
            recorder.write("y", np.array([1]), t0=now, dt=1.0)
    assert recorder.report.complete
    with pytest.raises(RuntimeError, match="not running"):
        recorder.annotate("too late")
    log = daqring.open(path)
    assert sorted(set(log.groups) - {"health"}) == ["daqring", "rig", "statistics", "y"]
    assert log.events == ()


def test_a_note_is_not_refused_over_a_character(make_task, tmp_path):
    path = tmp_path / "run.tdms"
    with daqring.Recorder(make_task("Dev1/ai0"), path, samples=1000) as recorder:
        recorder.annotate("valve \ud800 opened\x00\n")
    assert [text for _, text in daqring.open(path).events] == ["valve ? opened\x00\n"]


def test_times_of_results_do_not_change_files(make_task, tmp_path):
    """Whatever times they have: files are changed by the host's clock."""
    log = daqring.LogOptions(rotate="1 h")
    task = make_task("Dev1/ai0", 10_000)
    with daqring.Recorder(task, tmp_path / "run.tdms", samples=30_000, block_ms=10, log=log) as recorder:
        for number in range(20):
            recorder.write("early", [number], t0=0.0, dt=1.0)
            recorder.write("late", [number], t0=8e9, dt=1.0)
            time.sleep(0.005)
        recorder.wait()
    assert len(recorder.report.files) == 1
    read = daqring.open(recorder.report.files[0])
    assert list(read["early/value"][:]) == list(read["late/value"][:]) == list(range(20))


def test_notes_do_not_wait_for_a_record(make_task, tmp_path):
    """Where a trigger keeps samples out of the file, there may be none for hours."""
    path = tmp_path / "run.tdms"
    stages = [Trigger(gate=True, pre=0.0, post=0.01)]
    task = make_task("Dev1/ai0", 10_000, clock="real")
    with daqring.Recorder(task, path, block_ms=20, stages=stages) as recorder:
        recorder.annotate("armed")
        recorder.write("RMS", [1.0], t0=0.0, dt=1.0)
        deadline = time.monotonic() + 30
        while daqring.open(path).events == () and time.monotonic() < deadline:
            time.sleep(0.05)
        read = daqring.open(path)
        assert [text for _, text in read.events] == ["armed"]
        assert list(read["RMS/value"][:]) == [1.0]
