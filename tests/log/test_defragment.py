"""Fragmented files of other programs become few large segments with the same contents."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import daqring
import nptdms
import numpy as np
import pytest


def fragmented(path: Path) -> None:
    """600 segments of everything that npTDMS writes."""
    times = np.datetime64("2026-01-01T00:00:00", "us") + np.arange(3).astype("timedelta64[ms]")
    root = nptdms.RootObject({"author": "Ada", "count": 3})
    group = nptdms.GroupObject("it's", {"note": "ü"})
    with nptdms.TdmsWriter(path) as writer:
        for n in range(600):
            properties = {"unit_string": "V", "wf_increment": 0.5, "n": n}
            writer.write_segment(
                [
                    root,
                    group,
                    nptdms.ChannelObject("it's", "a", np.arange(n, n + 5, dtype=np.int16), properties),
                    nptdms.ChannelObject("it's", "b", np.arange(2, dtype=np.float64) / (n + 1)),
                    nptdms.ChannelObject("texts", "t", [f"text {n}", "", "µ"]),
                    nptdms.ChannelObject("times", "t", times + np.timedelta64(n, "s")),
                    nptdms.ChannelObject("times", "flag", np.array([n % 2 == 0, True])),
                    nptdms.ChannelObject("times", "z", np.array([1 + n * 1j], np.complex128)),
                    nptdms.ChannelObject("empty", "nothing", np.array([], np.int32)),
                ]
            )


def same(one: Path, other: Path) -> None:
    mine, theirs = nptdms.TdmsFile.read(one), nptdms.TdmsFile.read(other)
    own = {"daqring.complete"}
    assert {k: v for k, v in mine.properties.items() if k not in own} == theirs.properties
    assert [group.name for group in mine.groups() if group.name != "daqring"] == [
        group.name for group in theirs.groups()
    ]
    for group in theirs.groups():
        assert mine[group.name].properties == group.properties
        assert [c.name for c in mine[group.name].channels()] == [c.name for c in group.channels()]
        for channel in group.channels():
            copy = mine[group.name][channel.name]
            assert copy.properties == channel.properties
            assert len(copy) == len(channel)
            if len(channel):
                np.testing.assert_array_equal(copy[:], channel[:])


def test_everything_comes_over(tmp_path):
    source, output = tmp_path / "f.tdms", tmp_path / "d.tdms"
    fragmented(source)
    before = source.read_bytes()
    done = daqring.defragment(source, output)
    assert done["segments_before"] == 600
    assert done["segments_after"] < 10
    assert done["bytes_after"] < done["bytes_before"]
    assert source.read_bytes() == before
    same(output, source)
    log = daqring.open(output)
    assert len(log["a"]) == 3000
    verification = daqring.verify(output)
    assert verification.complete, verification
    assert {stream["name"]: stream["samples"] for stream in verification.streams}["it's"] == 3000


def test_refusals_leave_nothing_behind(tmp_path):
    source, output = tmp_path / "f.tdms", tmp_path / "d.tdms"
    fragmented(source)
    output.write_text("precious")
    with pytest.raises(FileExistsError):
        daqring.defragment(source, output)
    assert output.read_text() == "precious"
    command = [sys.executable, "-m", "daqring", "defragment", source, output]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "--overwrite" in refused.stderr
    assert subprocess.run([*command, "--overwrite"], check=False, stdout=subprocess.DEVNULL).returncode == 0
    with pytest.raises(daqring.LogFormatError, match="daqring's own"):
        daqring.defragment(output, tmp_path / "again.tdms")
    with pytest.raises(FileExistsError):
        daqring.defragment(source, source, overwrite=True)
    (tmp_path / "no.tdms").write_text("no log at all")
    with pytest.raises(daqring.LogFormatError):
        daqring.defragment(tmp_path / "no.tdms", tmp_path / "again.tdms")
    assert not (tmp_path / "again.tdms").exists()
