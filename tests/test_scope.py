"""The scope: what it draws of a log, and a picture of its window."""

from __future__ import annotations

import os
import subprocess
import sys

import daqring
import numpy as np
import pytest
from daqring import scope
from test_cli import run
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
