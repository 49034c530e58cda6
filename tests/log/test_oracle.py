"""npTDMS as the oracle: every geometry that the log writer makes, read by a program that is not ours."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import daqring
import nptdms
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
GROUP = "Gruppe 'ü'"
TYPES = [
    *("int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64", "bool"),
]
T0 = np.datetime64(1_700_000_000_123_456, "us")


@pytest.fixture(scope="session")
def example() -> Callable[[str], Path]:
    """Gives the path of an example program of daqring-log."""
    command = ["cargo", "build", "-p", "daqring-log", "--examples", "--message-format=json", "--quiet"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    programs: dict[str, Path] = {}
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable"):
            programs[message["target"]["name"]] = Path(message["executable"])
    return programs.__getitem__


def expected(dtype: str, channel: int, first: int, count: int) -> np.ndarray:
    """What `write_geometry` says it writes."""
    values = np.arange(first, first + count, dtype=np.int64) * 7 + channel * 1000
    return (values & 1).astype(bool) if dtype == "bool" else values.astype(dtype)


def scaled(channel: int, raw: np.ndarray) -> np.ndarray:
    match channel % 3:
        case 1:
            return raw * 0.1 + -3.3
        case 2:
            x = raw.astype(np.float64)
            return np.polynomial.polynomial.polyval(x, [0.123, 1 / 3, 1e-7, -1e-12])
        case _:
            return raw


def check(
    program: Path, path: Path, channels: int, dtype: str, samples: int, blocks: int, gap: int | None = None
) -> None:
    arguments = [channels, dtype, samples, blocks] + ([] if gap is None else [gap])
    subprocess.run([program, path, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
    before = samples * (blocks if gap is None else gap)
    parts = {GROUP: (0, before)}
    if gap is not None:
        parts[f"{GROUP} #2"] = (before + 5, samples * (blocks - gap))
    log = daqring.open(path)
    with nptdms.TdmsFile.open(path) as file:
        assert not file.file_status.incomplete_final_segment
        assert [group.name for group in file.groups()] == [GROUP, "daqring", *list(parts)[1:]]
        assert (file.properties["title"], file.properties["final"]) == ("geometry", 1.5)
        assert bool(file.properties["daqring.complete"]) is True
        assert list(file["daqring"]["event.text"][:]) == ["begun", "ended: ü"]
        assert list(file["daqring"]["block.seq"][:]) == list(range(blocks))
        for name, (first, count) in parts.items():
            assert file[name].properties["user"] == "me"
            assert len(file[name].channels()) == channels
            for number, channel in enumerate(file[name].channels()):
                want = expected(dtype, number, first, count)
                raw = channel.read_data(scaled=False)
                assert raw.dtype == want.dtype
                np.testing.assert_array_equal(raw, want)
                assert channel.properties["c"] == number
                assert channel.properties["wf_samples"] == count
                assert channel.properties["wf_start_time"] == T0 + np.timedelta64(first * 100, "us")
                assert channel.properties["wf_increment"] == 1e-4
                mine = log.groups[name][channel.name]
                np.testing.assert_array_equal(mine.raw[:], want)
                if dtype != "bool":
                    np.testing.assert_array_equal(channel[:], scaled(number, want))
                    np.testing.assert_array_equal(mine[:], scaled(number, want))
    assert daqring.verify(path).complete is (gap is None)


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type(example, tmp_path, dtype):
    check(example("write_geometry"), tmp_path / "t.tdms", 4, dtype, 1000, 3)


@pytest.mark.parametrize("channels", [1, 2, 8, 64, 512])
def test_every_number_of_channels(example, tmp_path, channels):
    check(example("write_geometry"), tmp_path / "c.tdms", channels, "int16", 333, 3)


@pytest.mark.parametrize(
    ("samples", "blocks"), [(1, 5), (2, 3), (7, 3), (2048, 3), (4096, 2), (100_003, 2), (1 << 20, 2)]
)
def test_every_size_of_block(example, tmp_path, samples, blocks):
    check(example("write_geometry"), tmp_path / "s.tdms", 8, "int16", samples, blocks)


def test_many_blocks(example, tmp_path):
    """More blocks than a table holds: tables stand between the segments of samples."""
    check(example("write_geometry"), tmp_path / "m.tdms", 2, "float64", 17, 5000)


def test_a_gap_begins_another_group(example, tmp_path):
    check(example("write_geometry"), tmp_path / "g.tdms", 3, "int16", 50, 9, gap=4)


def test_truncation_costs_no_whole_segment(example, tmp_path):
    """npTDMS opens the file cut anywhere and finds every segment that is whole."""
    path = tmp_path / "t.tdms"
    program = example("write_geometry")
    subprocess.run([program, path, "2", "int16", "100", "3"], check=True, stdout=subprocess.DEVNULL)
    whole = path.read_bytes()
    ends, at = [], 0
    while at < len(whole):
        begin, at = at, at + 28 + int.from_bytes(whole[at + 12 : at + 20], "little")
        # The stamp of samples: notes and tables are segments, too.
        if b"daqring.seq" in whole[begin:at]:
            ends.append(at)
    assert len(ends) == 3
    for cut in range(4096, len(whole), 97):
        path.write_bytes(whole[:cut])
        segments = sum(end <= cut for end in ends)
        raw = nptdms.TdmsFile.read(path)[GROUP].channels()[0].raw_data
        assert len(raw) >= segments * 100
        np.testing.assert_array_equal(raw[: segments * 100], expected("int16", 0, 0, segments * 100))


def test_a_slow_week_is_small_and_opens(example, tmp_path):
    """Seven days at 10 Hz by 8 channels, flushed each second: 1.3 times the samples at most."""
    path = tmp_path / "week.tdms"
    week = 7 * 24 * 3600
    subprocess.run([example("write_slow"), path, str(week), "10", "8"], check=True, stdout=subprocess.DEVNULL)
    payload = week * 10 * 8 * 4
    assert path.stat().st_size <= 1.3 * payload
    assert sorted(tmp_path.iterdir()) == [path]
    with nptdms.TdmsFile.open(path) as file:
        channel = file["Slow"]["ai7"]
        assert len(channel) == week * 10
        np.testing.assert_array_equal(channel[-1000:], np.arange(week * 10 - 1000, week * 10) * 3 + 7)
    assert len(daqring.open(path)["ai0"]) == week * 10


def test_a_killed_slow_recording_loses_a_second_at_most(example, tmp_path):
    path = tmp_path / "killed.tdms"
    command = [example("write_slow"), path, "100000", "10", "8", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        written = 0
        for _ in range(700):
            written = int(process.stdout.readline())
        process.kill()
    # A block is a second: all but the newest are said to be written, and all that were said are there.
    assert written >= 690 * 10
    log = daqring.open(path)
    assert len(log["ai3"]) >= written
    np.testing.assert_array_equal(log["ai3"][:], np.arange(len(log["ai3"])) * 3 + 3)
    # Other programs see what has become a segment.
    with nptdms.TdmsFile.open(path) as file:
        assert len(file["Slow"]["ai3"]) == 6010
