"""How the file is written: every option from Python and from the command line, and wrong ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import daqring
import nptdms
import numpy as np
import pytest
from pattern_check import assert_pattern


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"segment_bytes": None, "flush_seconds": None, "reserve_bytes": 64 << 20, "direct_io": None}),
        ({"sync": "block"}, {"sync_each_block": True}),
        ({"sync": "500 ms"}, {"sync_seconds": 0.5, "sync_bytes": None}),
        ({"sync": "64 MiB"}, {"sync_bytes": 64 << 20, "sync_seconds": None}),
        ({"segment": "1 MB"}, {"segment_bytes": 10**6, "segment_seconds": None}),
        ({"segment_time": "1 min"}, {"segment_bytes": 4 << 20, "segment_seconds": 60.0}),
        ({"rotate": "1.5 GB", "keep": "3GB"}, {"rotate_bytes": 1_500_000_000, "keep_bytes": 3 * 10**9}),
        ({"rotate": "2 h"}, {"rotate_seconds": 7200.0, "rotate_bytes": None}),
        ({"rotate_samples": 1_000_000}, {"rotate_samples": 1_000_000}),
        ({"warn_left": "1 h"}, {"reserve_bytes": 64 << 20}),
        ({"reserve": 12345, "direct_io": False}, {"reserve_bytes": 12345, "direct_io": False}),
    ],
)
def test_options_are_understood(options, expected):
    given = daqring.LogOptions(**options).to_native()
    assert {name: given[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("second", "block", "longest"), [(160, None, 60.0), (228e6, 16 << 10, 1.0), (16 << 20, 255 << 10, 1.0)]
)
def test_small_blocks_are_gathered(second, block, longest):
    small = daqring.LogOptions().to_native(second, block)
    assert (small["segment_bytes"], small["segment_seconds"], small["flush_seconds"]) == (
        4 << 20,
        longest,
        1.0,
    )
    own = daqring.LogOptions(segment="1 MB", segment_time="5 s").to_native(second, block)
    assert (own["segment_bytes"], own["segment_seconds"], own["flush_seconds"]) == (10**6, 5.0, None)


@pytest.mark.parametrize(
    ("options", "second", "block"),
    [
        ({}, 1e6, None),
        ({}, 160, 16),
        ({}, 228e6, 256 << 10),
        ({}, 15 << 20, 100),
        ({"segment": "block"}, 160, None),
        ({"segment": "block"}, 228e6, 16 << 10),
        ({"sync": "block"}, 228e6, 16 << 10),
    ],
)
def test_other_blocks_are_segments(options, second, block):
    native = daqring.LogOptions(**options).to_native(second, block)
    assert (native["segment_bytes"], native["segment_seconds"], native["flush_seconds"]) == (None, None, None)


def test_many_small_blocks_are_few_segments(make_task, tmp_path):
    """The file has few segments, each sample once, and the report still counts blocks."""
    task = make_task("Dev1/ai0:7", 2_000_000, product="PXIe-6396")
    for options, most in ((None, 4), (daqring.LogOptions(segment="block"), 2000)):
        path = tmp_path / f"{most}.tdms"
        report = daqring.record(
            task, path, samples=500_123, block_ms=0.5, log=options, overwrite=True, progress=False
        )
        assert (report.blocks, report.complete) == (501, True)
        for channel in range(8):
            assert_pattern(daqring.open(path)[f"Dev1/ai{channel}"].raw[:], channel)
        verified = daqring.verify(path)
        assert verified.complete
        segments = len(nptdms.TdmsFile.read(path)["daqring"]["block.samples"][:])
        assert segments <= most
        assert (most == 2000) == (segments == 501)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sync": "often"}, "sync"),
        ({"segment": "5 samples"}, "segment"),
        ({"segment": "block", "segment_time": "1 s"}, "not segment='block'"),
        ({"segment_time": "-1 s"}, "segment_time"),
        ({"flush_every": "soon"}, "flush_every"),
        ({"rotate": "0 s"}, "rotate"),
        ({"rotate": "1e999 GB"}, "rotate"),
        ({"rotate_samples": 1.5}, "rotate_samples"),
        ({"keep": "1 GB"}, "give rotate"),
        ({"reserve": "-1 GB"}, "reserve"),
        ({"warn_left": "1 GB"}, "warn_left"),
        ({"checksum": "no"}, "checksum"),
        ({"direct_io": "yes"}, "direct_io must be True, False or None"),
        ({"sync": 1.0}, "sync must be 'finish', 'block', or text with a unit"),
        ({"sync": "1e300 s"}, "sync: '1e300 s' is more than 30 million years"),
        ({"flush_every": "0 s"}, "flush_every: '0 s' must be more than 0"),
        ({"rotate": "1 week"}, "rotate: '1 week' has an unknown unit; there are B, kB"),
        ({"rotate": "1e20 GB"}, "rotate: '1e20 GB' is more than any disk has"),
        ({"rotate_samples": float("nan")}, "rotate_samples must be a whole number"),
        ({"rotate_samples": float("inf")}, "rotate_samples must be a whole number"),
        ({"rotate_samples": 1e30}, "rotate_samples must be a whole number"),
        ({"rotate_samples": "many"}, "rotate_samples must be a whole number"),
        ({"segment": "1 TB"}, "segment: '1 TB' would lie in memory; it can be 1 GiB at most"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        daqring.LogOptions(**options)


@pytest.mark.parametrize("sync", ["block", "1 MB", "10 ms"])
def test_synced_recordings_hold_every_sample(make_task, tmp_path, sync):
    path = tmp_path / "run.tdms"
    log = daqring.LogOptions(sync=sync)
    report = daqring.record(make_task(), path, samples=100_000, block_ms=20, log=log, progress=False)
    assert report.complete
    for number, channel in enumerate(daqring.open(path).channels):
        assert_pattern(channel.raw[:], number)


@pytest.mark.parametrize("rotate", [{"rotate_samples": 30_000}, {"rotate": "300 kB"}])
def test_rotation_loses_and_doubles_nothing_at_the_seams(make_task, tmp_path, rotate):
    task = make_task("Dev1/ai0:3")
    log = daqring.LogOptions(**rotate)
    report = daqring.record(
        task, tmp_path / "run_{index}.tdms", samples=100_000, block_ms=10, log=log, progress=False
    )
    assert report.complete
    assert len(report.files) >= 3
    assert sorted(map(str, tmp_path.iterdir())) == sorted(report.files)
    assert report.file_bytes == sum(Path(file).stat().st_size for file in report.files)
    first = 0
    for file in report.files:
        groups = [group for group in nptdms.TdmsFile.read(file).groups() if group.name != "daqring"]
        assert len(groups) == 1
        lengths = set()
        for number, channel in enumerate(groups[0].channels()):
            assert_pattern(channel.raw_data, number, first=first)
            lengths.add(len(channel))
        (length,) = lengths
        first += length
        assert daqring.verify(file).problems == ()
    assert first == 100_000


def test_a_ring_of_files_keeps_the_newest(make_task, tmp_path):
    report = daqring.record(
        make_task("Dev1/ai0"),
        tmp_path / "ring.tdms",
        samples=200_000,
        block_ms=10,
        log=daqring.LogOptions(rotate_samples=20_000, keep="200 kB"),
        progress=False,
    )
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [Path(file).name for file in report.files]
    assert 1 < len(kept) < 10
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 200_000
    last = daqring.open(report.files[-1]).channels[0]
    assert_pattern(last.raw[:], 0, first=200_000 - len(last))


def test_how_it_is_written_is_measured_and_told(make_task, tmp_path):
    task = make_task()
    report = daqring.record(task, tmp_path / "a.tdms", samples=10_000, progress=False)
    assert report.io in ("direct", "buffered")
    assert report.io_reason.startswith(("measured at the start: ", "the file system has no direct I/O"))
    assert report.io_reason in str(report)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tdms"]
    log = daqring.LogOptions(direct_io=False)
    report = daqring.record(task, tmp_path / "b.tdms", samples=10_000, log=log, progress=False)
    assert (report.io, report.io_reason) == ("buffered", "asked for")


def flip_a_sample(path: Path) -> None:
    """Changes one bit of the first segment's data."""
    with path.open("r+b") as file:
        metadata = int.from_bytes(file.read(28)[20:28], "little")
        file.seek(28 + metadata + 101)
        (byte,) = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("checksum", [True, False])
def test_checksums_can_be_left_out_and_the_file_says_so(make_task, tmp_path, checksum):
    path = tmp_path / "run.tdms"
    log = daqring.LogOptions(checksum=checksum)
    report = daqring.record(make_task(), path, samples=100_000, block_ms=20, log=log, progress=False)
    assert report.complete
    for number, channel in enumerate(daqring.open(path).channels):
        assert_pattern(channel.raw[:], number)
    with nptdms.TdmsFile.open(path) as other:
        assert sum(len(group.channels()) for group in other.groups() if group.name != "daqring") > 0
        assert other.properties.get("daqring.checksum") == (None if checksum else "none")
    result = daqring.verify(path)
    assert result.complete
    assert (result.unchecked > 0) is ("their data not checked" in str(result)) is not checksum
    said = daqring.open(path).describe()
    assert ("recorded without checksums" in said) is not checksum

    flip_a_sample(path)
    assert daqring.verify(path).complete is not checksum
    recovery = daqring.recover(path)
    assert recovery.lost is checksum
    assert (recovery.unchecked > 0) is ("their data not checked" in str(recovery)) is not checksum


def test_what_waited_in_a_tail_is_checked_in_any_log(make_task, tmp_path):
    """Only a checksum tells which of two copies is torn; so `verify` does not say that it checked nothing."""
    path = tmp_path / "slow.tdms"
    log = daqring.LogOptions(checksum=False, segment="1 MB", flush_every="50 ms")
    task = make_task("Dev1/ai0", 10_000, clock="real")
    daqring.record(task, path, samples=5_000, block_ms=20, log=log, progress=False)
    result = daqring.verify(path)
    assert (result.complete, result.unchecked) == (True, 0)
    assert "checksum" not in str(result)
    assert "but where a tail file needed them" in daqring.open(path).describe()
    flip_a_sample(path)
    result = daqring.verify(path)
    assert not result.complete
    assert "the checksum of the samples" in str(result)


def test_no_stage_computes_a_checksum_that_nobody_wants(make_task, tmp_path):
    """`checksum=False` is there to spare the work."""
    for checksum in (True, False):
        path = tmp_path / f"{checksum}.tdms"
        log = daqring.LogOptions(checksum=checksum)
        with daqring.Recorder(make_task(), path, samples=20_000, log=log) as recorder:
            recorder.wait()
            names = [stage["name"] for stage in recorder.stats()["stages"]]
        assert ("crc32c" in names) is checksum


def test_a_disk_that_will_be_full_is_told_before(make_task, tmp_path):
    task = make_task(clock="stepped")
    # Nobody has a disk that lasts for a hundred years at this rate.
    log = daqring.LogOptions(warn_left="40000 d")
    with daqring.Recorder(task, tmp_path / "long.tdms", log=log) as recorder:
        with pytest.warns(daqring.DiskLowWarning, match="[GM]B left for the recording, which lasts"):
            recorder.wait(0)
        assert recorder.stats()["disk_seconds"] < 40_000 * 86_400
        # Told once.
        recorder._disk_next = 0.0
        recorder.wait(0)
    assert recorder.report.disk_low is not None
    assert recorder.report.disk_low in str(recorder.report)
    # What ends before is no reason to warn, nor is anything where that was asked for.
    for samples, warn_left in ((1000, "40000 d"), (None, None)):
        log = daqring.LogOptions(warn_left=warn_left)
        path = tmp_path / f"{samples}.tdms"
        with daqring.Recorder(task, path, samples=samples, log=log) as recorder:
            recorder.wait(0)


@pytest.mark.parametrize(("sync", "moves"), [("block", True), ("10 ms", True), ("finish", False)])
def test_how_far_it_is_durable_can_be_seen(make_task, tmp_path, sync, moves):
    log = daqring.LogOptions(sync=sync)
    task = make_task(clock="stepped")
    with daqring.Recorder(task, tmp_path / "run.tdms", block_ms=10, log=log) as recorder:
        deadline = time.monotonic() + 30
        assert recorder.stats()["durable_blocks"] == 0
        while recorder.stats()["samples"] < 50_000 or (moves and not recorder.stats()["durable_blocks"]):
            assert time.monotonic() < deadline, recorder.stats()
            daqring.sim.step(0.01)
            time.sleep(0.001)
        stats = recorder.stats()
    assert (stats["durable_blocks"] > 0) is (stats["durable_bytes"] > 0) is moves
    assert stats["durable_blocks"] <= stats["samples"] / 1000 + 1
    with daqring.Recorder(task, None) as recorder:
        assert recorder.stats()["durable_bytes"] is None


def test_groups_and_channels_have_properties_of_the_user(make_task, tmp_path):
    path = tmp_path / "run.tdms"
    task = make_task(name="rig")
    own = {
        "operator": "Ada",
        "rig": {"fixture": 3},
        "rig/Dev1/ai1": {"sensor": "K-12"},
        "Dev1/ai2": {"ok": True},
    }
    daqring.record(task, path, samples=1000, properties=own, progress=False)
    with nptdms.TdmsFile.open(path) as file:
        group = file["rig"]
        assert (file.properties["operator"], group.properties["fixture"]) == ("Ada", 3)
        assert "rig" not in file.properties
        sensors = [channel.properties.get("sensor") for channel in group.channels()]
        assert sensors == [None, "K-12", None, None]
        assert group["Dev1/ai2"].properties["ok"]
    for wrong, message in (
        (
            {"gir": {"fixture": 3}},
            "'gir' is to have .* no such task or channel; there are 'rig', 'rig/Dev1/ai0'",
        ),
        ({"rig": {"fixture": [3]}}, "'fixture' must be a text"),
        ({"rig": {"wf_increment": 1.0}}, "'wf_increment' cannot be set"),
    ):
        with pytest.raises(daqring.TaskError, match=message):
            daqring.record(task, tmp_path / "x.tdms", samples=1000, properties=wrong, progress=False)
    assert not (tmp_path / "x.tdms").exists()


def test_a_program_that_does_not_wait_is_told_of_the_disk_too(make_task, tmp_path, caplog):
    path = tmp_path / "long.tdms"
    log = daqring.LogOptions(warn_left="40000 d")
    deadline = time.monotonic() + 30
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with daqring.Recorder(make_task(clock="real"), path, log=log) as recorder:
            while not caught:
                assert time.monotonic() < deadline, "no warning came"
                time.sleep(0.01)
            recorder.wait(0)
    assert [warning.category for warning in caught] == [daqring.DiskLowWarning]
    text = str(caught[0].message)
    assert recorder.report.disk_low == text
    assert [event for _, event in daqring.open(path).events] == [text]
    assert [record.name for record in caplog.records if text in record.getMessage()] == ["daqring.health"]


def test_where_warnings_are_errors_the_program_gets_that_of_the_disk(make_task, tmp_path):
    log = daqring.LogOptions(warn_left="40000 d")
    deadline = time.monotonic() + 30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorder = daqring.Recorder(make_task(clock="real"), tmp_path / "long.tdms", log=log)
        recorder.start()
        while recorder._disk_low is None:
            assert time.monotonic() < deadline, "nobody looked at the disk"
            time.sleep(0.01)
        with pytest.raises(daqring.DiskLowWarning):
            recorder.wait(0)
        recorder.close()


def test_notes_come_back(make_task, tmp_path):
    before = np.datetime64(time.time_ns(), "ns")
    with daqring.Recorder(make_task(), tmp_path / "run.tdms", samples=50_000) as recorder:
        recorder.annotate("valve opened")
        recorder.annotate("Ventil öffnet")
        assert recorder.wait(20)
    events = daqring.open(tmp_path / "run.tdms").events
    assert [text for _, text in events] == ["valve opened", "Ventil öffnet"]
    assert all(before <= when <= np.datetime64(time.time_ns(), "ns") for when, _ in events)
    assert "UTC: valve opened" in daqring.open(tmp_path / "run.tdms").describe()
    with pytest.raises(RuntimeError):
        recorder.annotate("too late")


def test_a_note_does_not_wait_for_samples(make_task, tmp_path, request):
    request.addfinalizer(lambda: daqring.sim.hold_triggers(False))
    task = make_task(clock="real")
    daqring.sim.hold_triggers()
    task.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI5")
    path = tmp_path / "waiting.tdms"
    with daqring.Recorder(task, path) as recorder:
        recorder.annotate("waiting for the pump")
        recorder.write("RMS", [0.25], t0=np.datetime64(time.time_ns(), "ns"), dt=1.0)
        deadline = time.monotonic() + 30
        while not daqring.open(path).events or "RMS/value" not in daqring.open(path):
            assert time.monotonic() < deadline, "what was noted waits for samples that do not come"
            time.sleep(0.02)
        log = daqring.open(path)
        assert [text for _, text in log.events] == ["waiting for the pump"]
        assert list(log["RMS/value"][:]) == [0.25]
        assert recorder.stats()["samples"] == 0


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "daqring", *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False)


def record(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(
        *("record", out, "--ai", "Dev1/ai0:1", "--rate", "1e5", "--simulate", "--pattern", "--unthrottled"),
        *("--samples", "1e5", "--block-ms", "20", "--json"),
        *arguments,
    )


def test_the_command_line_has_them_too(tmp_path):
    result = record(tmp_path / "run.tdms", "--rotate-samples", "4e4", "--sync", "1 MB", "--buffered")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert [Path(file).name for file in report["files"]] == [f"run_000{n}.tdms" for n in range(3)]
    assert report["io"] == "buffered"
    gathered = record(tmp_path / "gathered.tdms", "--segment-time", "1 min", "--flush-every", "2 s")
    assert gathered.returncode == 0, gathered.stderr
    assert daqring.verify(tmp_path / "gathered.tdms").segments <= 3
    measured = record(tmp_path / "measured.tdms", "--warn-left", "40000 d")
    assert measured.returncode == 0, measured.stderr
    # It ends before the disk is full, however long that lasts.
    assert "DiskLowWarning" not in measured.stderr
    assert json.loads(measured.stdout)["io_reason"] != "asked for"
    bare = record(tmp_path / "bare.tdms", "--no-checksum")
    assert bare.returncode == 0, bare.stderr
    verified = run("verify", tmp_path / "bare.tdms")
    assert verified.returncode == 0
    assert "their data not checked" in verified.stdout
    flags = (
        "--property",
        "operator=Ada",
        "--property",
        "ai:fixture=3",
        "--property",
        "ai/Dev1/ai1:sensor=K:12=b",
    )
    labelled = record(tmp_path / "labelled.tdms", *flags)
    assert labelled.returncode == 0, labelled.stderr
    log = daqring.open(tmp_path / "labelled.tdms")
    assert log.properties["operator"] == "Ada"
    assert log.groups["ai"].properties["fixture"] == "3"
    assert log["ai/Dev1/ai1"].properties["sensor"] == "K:12=b"
    unknown = record(tmp_path / "unknown.tdms", "--property", "nobody:fixture=3")
    assert unknown.returncode == 1
    assert "no such task or channel" in unknown.stderr
    both = record(tmp_path / "both.tdms", "--direct", "--buffered")
    assert both.returncode != 0
    assert "not allowed with" in both.stderr
    wrong = record(tmp_path / "wrong.tdms", "--rotate", "often")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "rotate" in wrong.stderr
    full = record(tmp_path / "full.tdms", "--reserve", "1000000 GB")
    assert full.returncode == 1
    assert not (tmp_path / "full.tdms").exists()
    assert "nearly full" in full.stderr
    assert "(reserve)" in full.stderr
    # In words for whoever sits there: no place in the program, no Python objects.
    for text in (full.stderr, told_of_a_low_disk(tmp_path / "low.tdms")):
        assert text.startswith("daqring: ")
        assert "Traceback" not in text
        assert ".py" not in text
        assert "Path(" not in text


def told_of_a_low_disk(out: Path) -> str:
    """What stands on stderr of a recording that has no end and a disk that will be full some day."""
    process = subprocess.Popen(
        command(
            *("record", out, "--ai", "Dev1/ai0", "--rate", "1e4", "--simulate", "--quiet"),
            *("--warn-left", "100000 d"),
        ),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    deadline = threading.Timer(60, process.kill)
    deadline.start()
    assert process.stderr is not None
    told = process.stderr.readline()
    process.terminate()
    told += process.communicate()[1]
    deadline.cancel()
    assert "daqring: the disk of" in told
    return told


def test_a_killed_slow_recording_comes_back(tmp_path):
    """At 1 kS/s segments are a minute long; what the file lacks, the small file beside it has."""
    out = tmp_path / "slow.tdms"
    process = subprocess.Popen(
        command(
            *("record", out, "--ai", "Dev1/ai0:1", "--rate", "1e3", "--simulate", "--pattern", "--quiet"),
            *("--segment-time", "1 min", "--flush-every", "0.1 s", "--block-ms", "50"),
        )
    )
    deadline = time.monotonic() + 30
    # A file that is being recorded can be read at the same time.
    while not out.exists() or not (channels := daqring.open(out).channels) or len(channels[0]) < 400:
        assert time.monotonic() < deadline, "the recording did not begin"
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    before = daqring.open(out)
    assert not before.finished
    assert len(before["Dev1/ai1"]) >= 400
    assert_pattern(before["Dev1/ai1"].raw[:], 1)

    result = run("recover", out, "--json")
    assert result.returncode == 0, result.stderr
    recovery = json.loads(result.stdout)
    assert (recovery["lost"], recovery["was_finished"]) == (False, False)
    assert recovery["output"] == str(tmp_path / "slow.recovered.tdms")
    for number, channel in enumerate(nptdms.TdmsFile.read(recovery["output"]).groups()[0].channels()):
        assert len(channel) >= len(before["Dev1/ai1"])
        assert_pattern(channel.raw_data, number)

    again = run("recover", out)
    assert again.returncode == 1
    assert "--overwrite" in again.stderr
    in_place = run("recover", out, "--in-place")
    assert in_place.returncode == 0, in_place.stdout + in_place.stderr
    assert daqring.verify(out).problems == ()
    with pytest.raises(ValueError, match="either in place or"):
        daqring.recover(out, tmp_path / "x.tdms", in_place=True)


def test_damage_in_the_middle_is_told_by_recover(make_task, tmp_path):
    path = tmp_path / "run.tdms"
    daqring.record(make_task(), path, samples=50_000, block_ms=50, progress=False)
    data = bytearray(path.read_bytes())
    codes = daqring.open(path).channels[0].raw[12_000:12_040].tobytes()
    data[data.find(codes)] ^= 1
    path.write_bytes(data)
    recovery = daqring.recover(path)
    assert recovery.lost
    assert recovery.streams[0]["missing"] == 5000
    log = daqring.open(recovery.output)
    assert [gap.count for _, gap in log.gaps] == [5000]
    assert run("recover", path, "--overwrite").returncode == 3
