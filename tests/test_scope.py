"""The scope: what it draws of a log, and a picture of its window."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import daqring
import daqring.stages
import numpy as np
import psutil
import pytest
from daqring import scope
from daqring.cli.window import hindrance
from daqring.status import Publisher, recorders
from pattern_check import assert_pattern
from test_cli import ENVIRONMENT, daqring_command, run
from test_health import wait_until
from test_runfile import daqring_main


@pytest.fixture
def recorded(make_task, tmp_path):
    path = tmp_path / "run.tdms"
    daqring.record(make_task(name="volts"), path, samples=50_000)
    return path


@pytest.mark.parametrize(
    ("seconds", "samples"), [(None, 50_000), (0.1, 10_000), (0.0005, 50), (99.0, 50_000)]
)
def test_the_envelope_is_that_of_the_newest_samples(recorded, seconds, samples):
    channel = daqring.open(recorded)["volts/Dev1/ai1"]
    times, low, high = scope.envelope_of(channel, seconds)
    values = channel[50_000 - samples : 50_000]
    columns = min(scope.COLUMNS, samples)
    assert len(times) == len(low) == len(high) == columns
    assert times[0] == pytest.approx((50_000 - samples) * channel.dt)
    parts = values.reshape(columns, -1)
    np.testing.assert_array_equal(low, parts.min(axis=1))
    np.testing.assert_array_equal(high, parts.max(axis=1))


def test_long_recordings_are_looked_at_in_samples(recorded, monkeypatch):
    monkeypatch.setattr(scope, "PER_COLUMN", 10)
    channel = daqring.open(recorded)["volts/Dev1/ai1"]
    _, low, _ = scope.envelope_of(channel, None)
    np.testing.assert_array_equal(low, channel[:50_000].reshape(1000, 50)[:, :10].min(axis=1))


def test_what_cannot_be_shown(tmp_path):
    status, told = daqring_main("scope", "nowhere")
    assert status == 1
    assert "no file 'nowhere', and no recording of this name" in told


def test_a_missing_extra_is_said(recorded):
    script = "import sys\nsys.modules['pyqtgraph'] = None\n"
    script += "import daqring.cli; sys.exit(daqring.cli.main(sys.argv[1:]))"
    result = subprocess.run(
        [sys.executable, "-c", script, "scope", str(recorded)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "pip install 'daqring[scope]'" in result.stderr


def test_a_picture_of_the_window(recorded, tmp_path, monkeypatch):
    pytest.importorskip("pyqtgraph", reason="the extra daqring[scope] is not installed")
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    picture = tmp_path / "scope.png"
    result = run("scope", recorded, "--seconds", "0.01", "--picture", picture)
    assert result.returncode == 0, result.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(picture.read_bytes()) > 5000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there always is a display")
def test_a_machine_without_a_display(recorded, tmp_path):
    pytest.importorskip("pyqtgraph")
    environment = {key: value for key, value in os.environ.items() if key not in scope.DISPLAYS}

    def told(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "daqring", "scope", str(recorded), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    status, said = told()
    assert status == 1
    assert "there is no display" in said
    assert "--picture" in said
    assert told("--picture", str(tmp_path / "scope.png"))[0] == 0
    assert (tmp_path / "scope.png").stat().st_size > 1000


@pytest.mark.parametrize(("name", "told"), [("x.gif", "must end with .png"), ("no/x.png", "make it first")])
def test_a_picture_that_cannot_be(recorded, tmp_path, name, told):
    pytest.importorskip("pyqtgraph")
    result = run("scope", recorded, "--picture", tmp_path / name)
    assert result.returncode == 1
    assert told in result.stderr


@pytest.mark.parametrize(
    ("template", "there", "found"),
    [
        ("run.tdms", ["run.tdms", "run.tdms.next", "run2.tdms", "run_x.tdms"], ["run.tdms"]),
        ("run.tdms", ["run_0000.tdms", "run_0001.tdms", "run_0002.tdms"], ["run_0001.tdms", "run_0002.tdms"]),
        (
            "r{index}.tdms",
            ["r0000.tdms", "r12345.tdms", "rx.tdms", "r0000.tdms.next"],
            ["r0000.tdms", "r12345.tdms"],
        ),
        (
            "{time}_{index}.tdms",
            ["20260102T030405Z_0000.tdms", "20260102T030405Z_0001.tdms", "now_0002.tdms"],
            ["20260102T030405Z_0000.tdms", "20260102T030405Z_0001.tdms"],
        ),
        ("absent.tdms", ["run.tdms"], []),
    ],
)
def test_the_files_of_a_recording(tmp_path, template, there, found):
    for age, name in enumerate(there):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    names = [path.name for path in scope.files_of(tmp_path / template)]
    assert names[-len(found) :] == found if found else names == []
    assert scope.files_of(tmp_path / "no folder" / template) == []


@pytest.fixture
def application(monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    pyqtgraph = pytest.importorskip("pyqtgraph", reason="the extra daqring[scope] is not installed")
    return pyqtgraph.mkQApp("tests")


def test_the_envelope_of_a_stage_is_read_in_the_place_of_samples(
    application, make_task, tmp_path, monkeypatch
):
    monkeypatch.setattr(scope, "COLUMNS", 100)
    path = tmp_path / "run.tdms"
    stages = [daqring.stages.Envelope(every=0.001), daqring.stages.Statistics(every=0.01)]
    daqring.record(make_task(name="volts"), path, samples=50_000, stages=stages, history=0.1)
    log = daqring.open(path)
    low, high = log["envelope/Dev1/ai1 min"], log["envelope/Dev1/ai1 max"]
    assert scope._envelopes(log, "volts", log["volts/Dev1/ai1"])[0].group == "envelope"
    shown = scope.Scope(path)
    try:
        times, drawn = shown.curves["volts", "Dev1/ai1"][0].getData()
        np.testing.assert_array_equal(drawn, low[:].reshape(100, -1).min(axis=1))
        assert times[1] == pytest.approx(5 * low.dt)
        _, drawn = shown.curves["volts", "Dev1/ai1"][1].getData()
        np.testing.assert_array_equal(drawn, high[:].reshape(100, -1).max(axis=1))
        assert not [group for group, _ in shown.curves if group == "health"]
        assert shown.window.windowTitle() == "daqring scope: run.tdms, ended"
    finally:
        shown.close()
    # Of a short look at it the samples themselves are drawn: the envelope is too coarse.
    shown = scope.Scope(path, seconds=0.01)
    try:
        times, drawn = shown.curves["volts", "Dev1/ai1"][0].getData()
        assert (times[0], times[-1]) == (pytest.approx(-0.0099), 0.0)
        np.testing.assert_array_equal(drawn, log["volts/Dev1/ai1"][49_000:].reshape(100, -1).min(axis=1))
    finally:
        shown.close()


def test_of_records_the_newest_is_shown(application, make_task, tmp_path):
    path = tmp_path / "run.tdms"
    trigger = daqring.stages.Trigger(pre=0.05, post=0.05, name="events")
    task = make_task("Dev1/ai0", rate=10_000, name="volts", clock="real")
    with daqring.Recorder(task, path, block_ms=20, stages=[trigger]) as recorder:
        shown = scope.Scope(path, seconds=10.0)
        assert shown.window.windowTitle() == "daqring scope: run.tdms, no samples yet"
        for count in (1, 2):
            wait_until(lambda: recorder.stats()["samples"] + recorder.stats()["gated"] > 2000)
            recorder.capture()
            wait_until(lambda count=count: recorder.stats()["derived"][0]["records"] == count)
            # The times of the second are those of a later moment.
            recorder.wait(0.3)
        wait_until(lambda: shown.look() or len(daqring.open(path).records) == 2)
        shown.look()
        ago = re.fullmatch(r"daqring scope: run.tdms, 2 records, ([\d.]+) s ago", shown.window.windowTitle())
        assert ago is not None, shown.window.windowTitle()
        newest = daqring.open(path).record(1)
        end = newest.t0.astype("datetime64[ns]").astype(np.int64) / 1e9 + newest.samples / 10_000
        assert float(ago[1]) == pytest.approx(time.time() - end, abs=0.5)
    shown.look()
    try:
        times, drawn = shown.curves["events", "Dev1/ai0"][0].getData()
        assert (times[0], times[-1]) == (pytest.approx(-0.0999), 0.0)
        np.testing.assert_array_equal(drawn, newest.read()[0])
        assert shown.window.windowTitle() == "daqring scope: run.tdms, 2 records, ended"
    finally:
        shown.close()


@pytest.mark.parametrize(("channels", "plots"), [(2, 2), (8, 8), (9, 1)])
def test_few_channels_have_plots_of_their_own(application, make_task, tmp_path, channels, plots):
    daqring.record(make_task(f"Dev1/ai0:{channels - 1}"), tmp_path / "run.tdms", samples=1000)
    shown = scope.Scope(tmp_path / "run.tdms")
    try:
        assert len(shown.curves) == channels
        assert len(shown._plots) == plots
    finally:
        shown.close()


def test_a_running_recording_is_followed_from_file_to_file(application, tmp_path):
    out = tmp_path / "rig_{index}.tdms"
    process = subprocess.Popen(
        daqring_command(
            *("record", out, "--ai", "Dev1/ai0:1", "--rate", "1e4", "--simulate", "--block-ms", "20"),
            *("--rotate-samples", "4000", "--run-name", "followed"),
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: [each for each in recorders() if each.name == "followed"] and scope.files_of(out))
        shown = scope.Scope(out, seconds=0.3)
        seen = []
        wait_until(lambda: shown.look() or seen.append(shown.files[-1].name) or len(set(seen)) >= 3)
        # The last 0.3 s are shown whole, also when a file has just begun: of the file before, too.
        times, low = next(iter(shown.curves.values()))[0].getData()
        assert times[-1] == 0.0
        assert times[0] == pytest.approx(-0.3, abs=0.01)
        assert np.isfinite(low).all()
        assert " s ago" in shown.window.windowTitle()
        assert seen == sorted(seen)
        shown.close()
    finally:
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told


# -- beside a recording -----------------------------------------------------------------------


def recorded_with_a_window(out, *more):
    """A recording whose scope is the process of which it tells; both are left to the test."""
    process = subprocess.Popen(
        daqring_command(
            *("record", out, "--ai", "Dev1/ai0:1", "--rate", "1e4", "--simulate", "--pattern"),
            *("--block-ms", "20", "--gui", *more),
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | ENVIRONMENT | {"QT_QPA_PLATFORM": "offscreen"},
    )

    def window():
        # There are others for a moment: those that look for the driver's library.
        for child in psutil.Process(process.pid).children():
            with contextlib.suppress(psutil.Error):
                if "scope" in child.cmdline():
                    return child
        return None

    return process, wait_until(window)


def ended(process):
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    return process.returncode, told


needs_qt = pytest.mark.skipif(hindrance() is not None and "display" not in hindrance(), reason="no scope")


@needs_qt
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("way", ["SIGKILL", "SIGSTOP", "SIGTERM"])
def test_a_window_that_dies_or_hangs_leaves_the_recording_alone(tmp_path, way):
    out = tmp_path / "run.tdms"
    process, window = recorded_with_a_window(out, "--run-name", f"window-{way}")
    try:
        wait_until(lambda: samples_of(out) > 0)
        before = samples_of(out)
        window.send_signal(getattr(signal, way))
        if way != "SIGSTOP":
            wait_until(lambda: not window.is_running() or window.status() == psutil.STATUS_ZOMBIE)
        wait_until(lambda: samples_of(out) > before + 3000)
        status, told = ended(process)
    finally:
        process.kill()
        with contextlib.suppress(psutil.NoSuchProcess):
            window.kill()
    assert status == 0, told
    if way == "SIGSTOP":
        assert told == ""
    else:
        number = getattr(signal, way)
        assert f"the scope has ended with status {-number}" in told
        assert "the recording is not affected" in told
    log = daqring.open(out)
    assert log.finished
    assert not log.gaps
    for number, channel in enumerate(log.groups["ai"].channels):
        assert_pattern(channel.raw[:], number)


def samples_of(path):
    try:
        return len(daqring.open(path)["ai/Dev1/ai0"])
    except (OSError, KeyError, daqring.DaqringError):
        return 0


@needs_qt
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_the_window_stays_when_the_recording_has_ended(tmp_path):
    process, window = recorded_with_a_window(tmp_path / "run.tdms")
    try:
        # The file is there, and in the window is what Ctrl-C of a terminal does not reach.
        wait_until(lambda: samples_of(tmp_path / "run.tdms") > 0)
        assert os.getpgid(window.pid) != os.getpgid(process.pid)
        status, told = ended(process)
        assert status == 0, told
        assert told == ""
        assert window.is_running()
        assert window.status() != psutil.STATUS_ZOMBIE
    finally:
        process.kill()
        window.kill()


def test_a_window_of_what_is_not_yet_there(application, make_task, tmp_path):
    path = tmp_path / "later.tdms"
    shown = scope.Scope(path, seconds=10.0)
    try:
        assert shown.curves == {}
        daqring.record(make_task(name="volts"), path, samples=1000)
        shown.look()
        assert len(shown.curves) == 4
        assert shown.window.windowTitle() == "daqring scope: later.tdms, ended"
    finally:
        shown.close()


@pytest.mark.parametrize(
    ("given", "where"),
    [(["--gui"], ""), (["gui.toml"], "gui.toml, line 1: "), (["gui.toml", "--no-gui"], None)],
)
@pytest.mark.parametrize("absent", ["pyqtgraph", "PySide6"])
def test_a_window_that_cannot_be_is_told_before_the_start(tmp_path, given, where, absent):
    (tmp_path / "gui.toml").write_text("gui = true\n")
    script = "import sys\nfor name in sys.argv.pop(1).split(','): sys.modules[name] = None\n"
    script += "import daqring.cli; sys.exit(daqring.cli.main(sys.argv[1:]))"
    missing = "pyqtgraph" if absent == "pyqtgraph" else "PySide6,PySide2,PyQt5,PyQt6"
    rig = ["--ai", "Dev1/ai0", "--rate", "1e4", "--samples", "10", "--simulate"]
    more = [argument for argument in given if argument.startswith("--")]
    files = [argument for argument in given if argument not in more]
    result = subprocess.run(
        [sys.executable, "-c", script, missing, "record", *files, "run.tdms", *rig, *more],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
    )
    assert (tmp_path / "run.tdms").exists() == (where is None)
    assert result.returncode == (0 if where is None else 1), result.stderr
    if where is not None:
        assert f"daqring: {where}gui: the scope needs " in result.stderr
        assert absent in result.stderr
        assert "pip install 'daqring[scope]'" in result.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there always is a display")
@needs_qt
def test_a_recording_with_a_window_needs_a_display(monkeypatch):
    for name in scope.DISPLAYS:
        monkeypatch.delenv(name, raising=False)
    assert hindrance() == "there is no display to open a window on"
    monkeypatch.setenv("DISPLAY", ":0")
    assert hindrance() is None


def test_the_window_opens_before_there_is_a_file(application, tmp_path, monkeypatch):
    from pyqtgraph.Qt import QtCore

    path = tmp_path / "later.tdms"
    with pytest.raises(FileNotFoundError):
        scope.show(path, seconds=1.0)
    opened = []
    QtCore.QTimer.singleShot(0, lambda: (opened.append(path), application.quit()))
    scope.show(path, seconds=1.0, wait=True)
    assert opened == [path]
    asked = []
    monkeypatch.setattr(scope, "show", lambda path, **more: asked.append((path, more)))
    assert daqring_main("scope", str(path), "--wait")[0] == 0
    assert daqring_main("scope", str(path), "--wait", "--seconds", "3")[0] == 0
    assert [more["seconds"] for _, more in asked] == [10.0, 3.0]
    assert all(more["wait"] and shown == path for shown, more in asked)


def test_waiting_is_for_windows(tmp_path):
    status, told = daqring_main("scope", "later.tdms", "--wait", "--picture", str(tmp_path / "x.png"))
    assert status == 1
    assert "--wait is for a window" in told


def test_a_recording_that_has_written_nothing(tmp_path, monkeypatch):
    pytest.importorskip("pyqtgraph", reason="the extra daqring[scope] is not installed")
    publisher = Publisher("waiting", str(tmp_path / "later.tdms"))
    try:
        status, told = daqring_main("scope", "waiting")
    finally:
        publisher.withdraw()
    assert status == 1
    assert "waiting has written nothing yet" in told
