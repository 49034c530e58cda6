"""What goes into a log besides samples: events, clock readings, results of the user's own."""

from __future__ import annotations

import datetime
import json
import time

import daqring
import nptdms
import numpy as np
import pytest


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
    recorder = daqring.Recorder(make_task("Dev1/ai0:1", name="rig"), path, samples=5_000)
    with pytest.raises(RuntimeError, match="not running"):
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
        recorder.write("y", [1.0], t0=now, dt=1.0)
        with pytest.raises(ValueError, match="another dtype"):
            recorder.write("y", np.array([1]), t0=now, dt=1.0)
    assert recorder.report.complete
    with pytest.raises(RuntimeError, match="not running"):
        recorder.annotate("too late")
    log = daqring.open(path)
    assert sorted(log.groups) == ["daqring", "rig", "y"]
    assert log.events == ()
