"""A week of a slow signal, and file systems without room: what the log makes of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import daqring
import nptdms
import numpy as np
import pytest
from daqring import _native
from pattern_check import assert_pattern

START = 1_700_000_000_000_000_000
SECONDS = 7 * 86_400
RATE, CHANNELS, BLOCK_SECONDS = 10, 8, 10


def test_a_week_of_a_slow_signal_is_small_and_opens_quickly(tmp_path):
    """10 Hz on 8 channels, the options that a recorder takes by itself, the host time of a week."""
    path = tmp_path / "week.tdms"
    samples = RATE * BLOCK_SECONDS
    group = {
        "name": "slow",
        "dt": 1 / RATE,
        "properties": {},
        "channels": [
            {"name": f"ai{n}", "dtype": "int16", "unit": "V", "scale": [0.0, 1e-3], "properties": {}}
            for n in range(CHANNELS)
        ],
    }
    stream = {"group": group, "slot_bytes": samples * CHANNELS * 2, "slots": 64, "workers": 1}
    options = daqring.LogOptions().to_native(second=RATE * CHANNELS * 2)
    native = _native.Recording(path, [stream], log=options)
    native.set_start_time(0, START)
    blocks = SECONDS // BLOCK_SECONDS
    offsets = (np.arange(CHANNELS) * 1000)[:, None]

    def open_while_it_runs() -> daqring.Log:
        while (native.stats() or {})["streams"][0]["written"] < number:
            pass
        return daqring.open(path)

    for number in range(blocks):
        if number == blocks // 2:
            # As a kill here would leave it: every block that was flushed is there.
            channel = open_while_it_runs().channels[-1]
            assert len(channel) == number * samples
            last = channel.raw[-samples:]
            expected = np.arange(number * samples - samples, number * samples) + 7000
            np.testing.assert_array_equal(last, expected.astype(np.int16))
        slot = native.reserve(0, 30.0)
        view = np.frombuffer(slot, np.int16).reshape(CHANNELS, samples)
        view[:] = (np.arange(number * samples, (number + 1) * samples) + offsets).astype(np.int16)
        del view
        slot.commit(
            samples * CHANNELS * 2,
            samples=samples,
            first_sample=number * samples,
            host_time_ns=START + (number + 1) * BLOCK_SECONDS * 10**9,
        )
    counts = native.finish([], {})
    assert counts["error"] is None

    assert [found.name for found in tmp_path.iterdir()] == ["week.tdms"]
    payload = SECONDS * RATE * CHANNELS * 2
    assert path.stat().st_size <= 1.3 * payload
    # Opening takes time in proportion to the segments: 10,000 of them are half a second for npTDMS.
    assert counts["segments"] <= SECONDS / 60 * 1.02
    with nptdms.TdmsFile.open(path) as tdms:
        channel = tdms["slow"]["ai7"]
        assert len(channel) == SECONDS * RATE
        expected = (np.arange(SECONDS * RATE - 50, SECONDS * RATE) + 7000).astype(np.int16)
        np.testing.assert_array_equal(channel.read_data(SECONDS * RATE - 50, 50, scaled=False), expected)
    log = daqring.open(path)
    assert log.finished
    np.testing.assert_array_equal(
        log["slow/ai0"].raw[3_000_000:3_000_100], np.arange(3_000_000, 3_000_100).astype(np.int16)
    )


#: Records 10 Hz x 8 channels on a clock that is moved by hand. Segments have a minute's worth of bytes, as a
#: recorder chooses by the host's time. That goes by as usual: for `kill` the clock is moved along with it.
SLOW = """
import sys, time, daqring, daqring.sim, nidaqmx
from nidaqmx.constants import AcquisitionType
path, seconds, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
daqring.sim.install(clock="stepped", signal="pattern")
with nidaqmx.Task("slow") as task:
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0:7")
    task.timing.cfg_samp_clk_timing(10, sample_mode=AcquisitionType.CONTINUOUS)
    log = daqring.LogOptions(segment=60 * 10 * 8 * 2, flush_every="1 s")
    samples = seconds * 10 if how == "finish" else None
    with daqring.Recorder(task, path, samples=samples, buffer_seconds=1000, log=log) as recorder:
        def step(seconds, arrived):
            daqring.sim.step(seconds)
            while recorder.stats()["samples"] < arrived:
                assert recorder.stats()["failure"] is None, recorder.stats()["failure"]
                time.sleep(0.0005)
        for second in range(0, seconds, 300):
            step(300, (second + 300) * 10)
        if how == "kill":
            for more in range(1, 5):
                time.sleep(1.0)
                step(1, (seconds + more) * 10)
            # In the middle of a second, when everything of it that can be there is in the ring.
            daqring.sim.step(0.9)
            print((seconds + more) * 10 + 9, flush=True)
            time.sleep(3600)
        recorder.wait()
    assert recorder.report.complete, recorder.report
"""

#: Six hours here; the whole week with DAQRING_WEEK=1, by hand.
SLOW_SECONDS = SECONDS if os.environ.get("DAQRING_WEEK") else 21_600


def test_a_slow_recording_through_a_recorder(tmp_path):
    """As a user makes it: file size, number of segments (by which opening takes its time), samples."""
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    path = tmp_path / "week.tdms"
    command = [sys.executable, script, path, str(SLOW_SECONDS), "finish"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert result.returncode == 0, result.stderr
    assert sorted(found.name for found in tmp_path.iterdir()) == ["slow.py", "week.tdms"]
    payload = SLOW_SECONDS * RATE * CHANNELS * 2
    assert path.stat().st_size <= 1.3 * payload
    verified = daqring.verify(path)
    assert verified.complete
    # One for each minute, and those with the tables; npTDMS opens 10,000 in half a second.
    assert verified.segments <= SLOW_SECONDS / 60 * 1.02 + 5
    with nptdms.TdmsFile.open(path) as tdms:
        for number, channel in enumerate(tdms["slow"].channels()):
            assert len(channel) == SLOW_SECONDS * RATE
            assert_pattern(channel.read_data(scaled=False), number)


@pytest.mark.skipif(os.name == "nt", reason="kills with a POSIX signal")
def test_a_killed_slow_recording_costs_a_second_at_most(tmp_path):
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    path = tmp_path / "slow.tdms"
    command = [sys.executable, script, path, "3600", "kill"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acquired = int(process.stdout.readline())
        process.kill()
    for found in (path, daqring.recover(path).output):
        channels = daqring.open(found).groups["slow"].channels
        assert len(channels) == CHANNELS
        for number, channel in enumerate(channels):
            assert acquired - len(channel) < RATE, "a second is ten samples"
            assert_pattern(channel.raw[:], number)


#: Records until the disk is full, says what came of it, and leaves the file.
FILL = """
import sys, daqring, daqring.sim, nidaqmx
from nidaqmx.constants import AcquisitionType
if sys.argv[2] == "limit":
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
daqring.sim.install(clock="unthrottled", signal="pattern")
with nidaqmx.Task() as task:
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0:3")
    task.timing.cfg_samp_clk_timing(1e5, sample_mode=AcquisitionType.CONTINUOUS)
    log = daqring.LogOptions(reserve=None if sys.argv[3] == "none" else sys.argv[3], warn_left=None,
                            segment=None if sys.argv[4] == "50" else "500 kB")
    try:
        daqring.record(
            task, sys.argv[1], samples=10_000_000, block_ms=float(sys.argv[4]), log=log, progress=False
        )
        print("no error")
    except daqring.RecordingError as error:
        report = error.report
        asked = min(report.acquired, 10_000_000)
        assert report.samples_per_channel + report.unstored == asked, report
        assert (report.lost, report.gaps, report.complete) == (0, (), False), report
        assert report.files == (sys.argv[1],) and report.file_bytes > 0, report
        assert report.io in ("direct", "buffered") and report.io_reason, report
        print(f"{report.samples_per_channel}|{error}")
"""


def fill(where: Path, how: str, reserve: str, block_ms: float, keep: Path) -> tuple[int, str]:
    """Fills a small file system, or a file up to a limit; gives the samples reported and the error."""
    script = keep / "fill.py"
    script.write_text(FILL)
    log = where / "full.tdms"
    record = f"{sys.executable} {script} {log} {how} '{reserve}' {block_ms} && cp {log} {keep}/"
    if how == "mount":
        record = f"mount -t tmpfs -o size=3m tmpfs {where} && {record}"
        command = ["unshare", "--mount", "sh", "-c", record]
    else:
        command = ["sh", "-c", record]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    samples, error = result.stdout.strip().split("|")
    return int(samples), error


def can_mount() -> bool:
    """Whether this process may mount a small file system of its own (root, as in most containers)."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="fills a file system with POSIX means")
@pytest.mark.parametrize("block_ms", [50, 1], ids=["blocks", "gathered"])
@pytest.mark.parametrize("reserve", ["none", "500 kB"])
def test_a_disk_that_is_full_leaves_every_whole_block(tmp_path, reserve, block_ms):
    """On a real full file system where one may be mounted, else at a limit of the file's size."""
    how = "mount" if can_mount() else "limit"
    if how == "limit" and reserve != "none":
        reserve = "none"
    where = tmp_path / "disk"
    where.mkdir()
    samples, error = fill(where, how, reserve, block_ms, tmp_path)
    if how == "mount":
        assert "full" in error or "free" in error or "left" in error
    assert "acquired on each channel are not in the file" in error
    path = tmp_path / "full.tdms"
    report = daqring.verify(path)
    assert report.problems == ()
    assert 0 < samples < 10_000_000
    channels = daqring.open(path).channels
    assert {len(channel) for channel in channels} == {samples}
    assert block_ms == 1 or samples % 5000 == 0
    if how == "mount" and reserve != "none":
        # There was room to finish, and to say that more was acquired.
        assert daqring.open(path).finished
        assert not report.complete
        assert "an error ended the recording" in report.verdict
