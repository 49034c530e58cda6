"""How a recording is stored: options of the recorder and the command line, verification, recovery."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import daqring
import daqring.sim
import nptdms
import numpy as np
import pytest
from daqring.stages import Native, block_function


def assert_pattern(samples: np.ndarray, channel: int, first: int = 0) -> None:
    np.testing.assert_array_equal(samples, daqring.sim.pattern(channel, first, len(samples)))


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "daqring", *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120, check=False)


def broken_at(call: int):
    """A function that fails at its so-manieth call."""
    calls = []

    @block_function
    def function(block, data, output, user_data):
        calls.append(None)
        return int(len(calls) == call)

    return function


def codes(path: Path, channel: int) -> np.ndarray:
    return nptdms.TdmsFile.read(path).groups()[0].channels()[channel].raw_data


@pytest.mark.parametrize(
    "options",
    [
        {"sync": "block"},
        {"sync": "200 kB"},
        {"sync": "10 ms"},
        {"segment": "100 kB"},
        {"segment_time": "0.5 s", "flush_every": "100 ms", "sync": "block"},
        {"rotate_samples": 7_001},
        {"rotate": "100 kB", "sync": "block"},
        {"rotate": "0.2 s", "segment": "30 kB", "flush_every": 0.05},
    ],
    ids=str,
)
def test_every_way_stores_every_sample(make_task, tmp_path, options):
    # Files that change by the clock need one.
    clock = "real" if options.get("rotate") == "0.2 s" else "unthrottled"
    task = make_task("Dev1/ai0:2", rate=100_000, clock=clock)
    log = daqring.LogOptions(**options)
    report = daqring.record(task, tmp_path / "run.tdms", samples=50_000, block_ms=10, log=log, progress=False)
    assert (report.samples_per_channel, report.lost) == (50_000, 0)
    assert sorted(map(Path, report.files)) == sorted(tmp_path.iterdir())
    assert (len(report.files) > 1) is ("rotate" in options or "rotate_samples" in options)
    first = 0
    for file in report.files:
        assert daqring.verify(file).complete
        count = len(codes(Path(file), 0))
        for channel in range(3):
            assert_pattern(codes(Path(file), channel), channel, first)
        if "rotate_samples" in options:
            assert count in (7_001, 50_000 % 7_001)
        first += count
    assert first == 50_000


def test_old_files_are_removed(make_task, tmp_path):
    task = make_task("Dev1/ai0:2", rate=100_000)
    log = daqring.LogOptions(rotate="100 kB", keep="300 kB")
    report = daqring.record(
        task, tmp_path / "ring-{index}.tdms", samples=200_000, block_ms=10, log=log, progress=False
    )
    assert sorted(map(Path, report.files)) == sorted(tmp_path.iterdir())
    assert len(report.files) < 6
    assert report.samples_per_channel == 200_000
    assert_pattern(codes(Path(report.files[-1]), 1)[-100:], 1, 199_900)


@pytest.mark.parametrize(
    "options",
    [
        {"sync": "now and then"},
        {"rotate": "5 apples"},
        {"keep": "1 GB"},
        {"rotate_samples": 0},
        {"flush_every": "-1 s"},
        {"reserve": "10 s"},
    ],
    ids=str,
)
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        daqring.LogOptions(**options)


def test_sizes_and_times_in_words():
    native = daqring.LogOptions(
        sync="64 MB", flush_every="1 s", segment_time="10 min", rotate="4 GiB"
    ).to_native()
    assert native["sync_bytes"] == 64_000_000
    assert (native["flush_seconds"], native["segment_seconds"]) == (1.0, 600.0)
    assert (native["segment_bytes"], native["rotate_bytes"]) == (4 << 20, 4 << 30)


def test_a_disk_that_is_nearly_full_is_told_at_the_start(make_task, tmp_path):
    task = make_task("Dev1/ai0:2", rate=100_000)
    path = tmp_path / "full.tdms"
    log = daqring.LogOptions(reserve="1000 TB")
    told = r"nearly full: .* are left, and 1000000.0 GB are to stay free \(reserve\)"
    with pytest.raises(OSError, match=told) as failure:
        daqring.record(task, path, samples=50_000, log=log, progress=False)
    assert failure.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"of value")
    with pytest.raises(OSError, match=told):
        daqring.record(task, path, samples=50_000, log=log, overwrite=True, progress=False)
    assert path.read_bytes() == b"of value"


def test_a_file_that_a_failure_kept_samples_out_of_is_not_complete(make_task, tmp_path):
    """The file is finished in order, and does not pass for the whole recording."""
    path = tmp_path / "failed.tdms"
    task = make_task("Dev1/ai0:2", rate=100_000)
    stages = [Native(broken_at(6), name="mine", ordered=True)]
    with pytest.raises(daqring.RecordingError) as failure:
        daqring.record(task, path, samples=1_000_000, block_ms=10, stages=stages, progress=False)
    unstored = failure.value.report.unstored
    assert unstored > 0
    result = daqring.verify(path)
    assert not result.complete
    assert result.problems == ()
    assert result.verdict.startswith("INCOMPLETE: ")
    assert result.verdict.endswith(f"kept out the last {unstored} samples acquired")
    assert daqring.open(path).finished
    assert run("verify", path).returncode == 3


@pytest.fixture
def log(make_task, tmp_path):
    """A recording of several segments, and how many samples are in it."""
    path = tmp_path / "run.tdms"
    daqring.record(make_task("Dev1/ai0:2", rate=100_000), path, samples=50_000, block_ms=50, progress=False)
    return path


def segments(path: Path) -> list[tuple[int, int]]:
    whole, found, at = path.read_bytes(), [], 0
    while at < len(whole):
        end = at + 28 + int.from_bytes(whole[at + 12 : at + 20], "little")
        found.append((at, end))
        at = end
    return found


def test_recover_leaves_out_what_is_damaged(log):
    begin, end = segments(log)[3]
    damaged = bytearray(log.read_bytes())
    damaged[end - 5] ^= 4
    log.write_bytes(damaged)
    assert not daqring.verify(log).complete

    result = run("recover", log)
    assert result.returncode == 3, result.stderr
    output = log.with_name("run.recovered.tdms")
    assert "5000 missing" in result.stdout
    assert str(output) in result.stdout
    assert log.read_bytes() == bytes(damaged)
    # The rest is there for any reader, with a time axis that is right behind the hole.
    groups = nptdms.TdmsFile.read(output).groups()
    assert [len(group.channels()[0]) for group in groups if group.name != "daqring"] == [15_000, 30_000]
    assert_pattern(groups[0].channels()[1].raw_data, 1)
    assert_pattern(groups[-1].channels()[1].raw_data, 1, 20_000)
    before, after = (group.channels()[0].properties["wf_start_time"] for group in (groups[0], groups[-1]))
    assert after - before == np.timedelta64(200, "ms")
    gaps = daqring.open(output).gaps
    assert [(gap.first_sample, gap.count) for _, gap in gaps] == [(15_000, 5_000)]

    assert run("recover", log).returncode == 1, "the output is there already"
    again = run("recover", log, "--overwrite", "--json")
    assert json.loads(again.stdout)["discarded"] == [[begin, end - begin]]


def test_recover_in_place_cuts_the_end(log):
    _, end = segments(log)[8]
    with log.open("r+b") as file:
        file.truncate(end - 1000)
    result = run("recover", log, "--in-place")
    assert result.returncode == 3, result.stderr
    assert daqring.verify(log).problems == ()
    assert_pattern(codes(log, 2), 2)
    assert len(codes(log, 2)) == 40_000
    assert not list(log.parent.glob("*recovered*"))


def test_recover_of_a_sound_log_is_the_log(log):
    result = daqring.recover(log)
    assert (result.lost, result.was_finished) == (False, True)
    assert_pattern(codes(Path(result.output), 0), 0)
    assert len(codes(Path(result.output), 0)) == 50_000
    assert daqring.verify(result.output).complete


def test_recover_refuses_what_is_no_log(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no log")
    with pytest.raises(daqring.LogFormatError):
        daqring.recover(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]
    assert run("recover", path).returncode == 1


def test_a_killed_recording_with_small_segments_is_recovered(tmp_path):
    """A kill of the command: what was flushed is there, by our reader and after recovery by any."""
    out = tmp_path / "run.tdms"
    arguments = ["--ai", "Dev1/ai0:2", "--rate", "1e4", "--simulate", "--pattern", "--block-ms", "20"]
    storage = ["--segment-time", "1 min", "--flush-every", "100 ms"]
    with subprocess.Popen(command("record", out, *arguments, *storage), stderr=subprocess.DEVNULL) as process:
        tail = Path(f"{out}.tail-0")
        while process.poll() is None and not (tail.exists() and tail.stat().st_size > 100_000):
            pass
        process.kill()
    log = daqring.open(out)
    name = f"{next(iter(log.groups))}/Dev1/ai1"
    samples = log[name].raw[:]
    assert len(samples) > 5000
    assert_pattern(samples, 1)
    result = run("recover", out)
    assert result.returncode == 0, result.stderr
    recovered = codes(out.with_name("run.recovered.tdms"), 1)
    np.testing.assert_array_equal(recovered, samples)


def test_a_recovered_file_of_a_rotation_goes_on_in_the_next(make_task, tmp_path):
    """A kill may leave several files without their marks; recovered one by one they are whole together."""
    log = daqring.LogOptions(rotate_samples=10_000)
    task = make_task("Dev1/ai0:2", rate=100_000)
    report = daqring.record(task, tmp_path / "run.tdms", samples=30_000, block_ms=50, log=log, progress=False)
    files = [Path(file) for file in report.files]
    for file in files:
        with file.open("r+b") as raw:
            raw.truncate(segments(file)[-1][0])
        daqring.recover(file, in_place=True)
    read = daqring.open(files)
    (stream,) = read.streams.values()
    values = stream.read()
    assert values.shape == (3, 30_000)
    # Only of the last one nobody knows what would have followed.
    assert [(gap.first_sample, gap.count) for _, gap in read.gaps] == [(30_000, None)]
    # A file that is missing between them is told as before.
    assert [gap.first_sample for _, gap in daqring.open([files[0], files[2]]).gaps] == [
        10_000,
        30_000,
        10_000,
    ]
