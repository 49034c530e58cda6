"""The command line, as a person or a script runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import daqring
import nptdms
import numpy as np
import pytest
from pattern_check import assert_pattern
from reader_kinds import READERS

ENVIRONMENT = {"PYTHONWARNINGS": "error::ResourceWarning"}


#: Runs of both readers, where the reader may make a difference.
both_readers = pytest.mark.parametrize("reader", READERS)


def daqring_command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "daqring", *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        daqring_command(*arguments),
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | ENVIRONMENT,
        check=False,
    )


def record(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("record", out, "--ai", "Dev1/ai0:3", "--rate", "1e5", "--simulate", "--pattern", *arguments)


@both_readers
def test_record_info_verify(tmp_path, reader):
    out = tmp_path / "run.tdms"
    result = record(
        *(out, "--seconds", "0.5", "--unthrottled", "--property", "operator=Ada", "--name", "rig"),
        *("--reader", reader),
    )
    assert result.returncode == 0, result.stderr
    assert "recorded:  50,000 samples of 50,000 asked for on each of 4 channels" in result.stdout
    assert "lost:      0" in result.stdout
    assert f"reader:    {reader}" in result.stdout
    assert result.stderr == ""
    for number, channel in enumerate(nptdms.TdmsFile.read(out)["rig"].channels()):
        assert_pattern(channel.raw_data, number)

    info = run("info", out)
    assert info.returncode == 0, info.stderr
    assert "Dev1/ai3: 50,000 samples, int16 read as float64, V, 100,000 S/s" in info.stdout
    assert "operator = Ada" in info.stdout
    assert "no gaps recorded" in info.stdout
    tree = json.loads(run("info", out, "--json").stdout)
    assert [channel["samples"] for channel in tree["groups"][0]["channels"]] == [50_000] * 4

    verified = run("verify", out)
    assert verified.returncode == 0, verified.stdout
    assert "complete" in verified.stdout
    assert json.loads(run("verify", out, "--json").stdout)["complete"] is True


def test_verify_of_a_rotation_tells_what_is_missing_between_the_files(tmp_path):
    rotate = ("--rotate-samples", "1e4", "--samples", "4e4", "--unthrottled", "--block-ms", "10")
    assert record(tmp_path / "run.tdms", *rotate).returncode == 0
    files = [tmp_path / f"run_000{number}.tdms" for number in range(4)]

    def verify(*numbers: int) -> tuple[int, str]:
        result = run("verify", *(files[number] for number in numbers))
        assert result.stderr == ""
        return result.returncode, result.stdout.splitlines()[-1]

    assert verify(0, 1, 2, 3) == (0, "Nothing is missing between these 4 files, nor behind them.")
    assert verify(0, 1) == (3, f"{files[1]} is not the last file of its recording")
    # So a ring of files looks whose oldest ones were removed.
    assert verify(3, 2) == (0, f"{files[2]} is not the first file of its recording, but number 2 (from 0)")
    code, line = verify(0, 1, 3)
    assert code == 3
    assert "10,000 samples from sample 20,000 on: a file of the recording is missing" in line
    # One alone is what it is; that more belong to it is said.
    assert verify(0) == (
        0,
        "The recording goes on in another file; give all its files to have it checked as a whole.",
    )
    assert verify(3)[1].startswith(f"{files[3]}: complete")
    assert len(json.loads(run("verify", *files, "--json").stdout)) == 4
    other = tmp_path / "other.tdms"
    assert record(other, "--samples", "100", "--unthrottled").returncode == 0
    mixed = run("verify", files[0], other)
    assert mixed.returncode == 1
    assert "different recordings" in mixed.stderr


def test_json_report(tmp_path):
    result = record(tmp_path / "run.tdms", "--samples", "1e4", "--unthrottled", "--json", "--block-ms", "10")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["samples_per_channel"], report["lost"], report["complete"]) == (10_000, 0, True)
    assert report["blocks"] == 10


def test_product_and_range(tmp_path):
    result = run(
        *("record", tmp_path / "run.tdms", "--ai", "Dev1/ai0:7", "--rate", "14.29e6", "--samples", "1e6"),
        *("--simulate", "--product", "PXIe-6396", "--range", "-5", "5", "--unthrottled", "--json"),
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["bytes"] == 16_000_000


def test_devices():
    result = run("devices", "--simulate")
    assert result.returncode == 0, result.stderr
    for product in ("PCIe-6363", "PXIe-6396", "USB-6003"):
        assert product in result.stdout
    rows = json.loads(run("devices", "--simulate", "--product", "USB-6003", "--json").stdout)
    assert rows[0]["name"] == "Dev1"
    assert rows[0]["product"] == "USB-6003"


@pytest.mark.parametrize(
    ("product", "meant"),
    [
        ("PCI-6363", "did you mean 'PCIe-6363' or 'PXIe-6363' or 'USB-6363'? "),
        ("NI-9234", "did you mean 'NI 9234'? "),
        ("USB-600", "did you mean 'USB-600"),
        ("toaster", "to simulate; 'daqring devices --products' lists the "),
    ],
)
def test_a_product_that_is_not_there_is_told_with_those_like_it(product, meant):
    result = run("devices", "--simulate", "--product", product)
    assert result.returncode == 1
    assert meant in result.stderr
    assert len(result.stderr) < 250
    listed = run("devices", "--products").stdout.splitlines()
    assert f"lists the {len(listed)} that there are" in result.stderr
    assert {"PCIe-6363", "NI 9234", "cDAQ-9178"} <= set(listed)
    assert json.loads(run("devices", "--products", "--json").stdout) == listed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ai", "Dev1/ai99", "--rate", "1e3", "--simulate"], "-200170"),
        (["--ai", "Dev9/ai0", "--rate", "1e3", "--simulate"], "-200220"),
        (["--ai", "Dev1/ai0", "--rate", "1e9", "--simulate"], "Maximum Value"),
        (["--ai", "Dev1/ai0", "--rate", "fast", "--simulate"], "--rate"),
        (["--ai", "Dev1/ai0", "--rate", "-1", "--simulate"], "above 0"),
        (["--ai", "Dev1/ai0", "--rate", "1e3", "--seconds", "0", "--simulate"], "above 0"),
        (["--ai", "Dev1/ai0", "--rate", "1e3", "--samples", "1.5", "--simulate"], "whole number"),
        (
            ["--ai", "Dev1/ai0", "--rate", "1e3", "--seconds", "1", "--samples", "5", "--simulate"],
            "not allowed",
        ),
        (["--ai", "Dev1/ai0", "--rate", "1e3", "--range", "5", "-5", "--simulate"], "below the maximum"),
        (["--ai", "Dev1/ai0", "--rate", "1e3", "--property", "x", "--simulate"], "KEY=TEXT"),
        (["--ai", "Dev1/ai0", "--rate", "1e3", "--product", "PCIe-6363"], "add --simulate"),
        (["--ai", "Dev1/ai0", "--rate", "1e3", "--pattern"], "add --simulate"),
        (["--ai", "Dev1/ai0", "--rate", "1e3", "--simulate", "--product", "PXIe-0000"], "PXIe-0000"),
        (["--rate", "1e3", "--simulate"], "--ai"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(tmp_path, arguments, message):
    result = run("record", tmp_path / "run.tdms", *arguments)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert len([line for line in result.stderr.splitlines() if line.startswith("daqring: ")]) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_driver_is_said(tmp_path):
    if nidaqmx_is_installed():
        pytest.skip("a real NI-DAQmx driver is installed on this machine")
    result = run("record", tmp_path / "run.tdms", "--ai", "Dev1/ai0", "--rate", "1e3")
    assert result.returncode == 1
    assert "not installed" in result.stderr
    assert "--simulate" in result.stderr
    assert list(tmp_path.iterdir()) == []


def nidaqmx_is_installed() -> bool:
    from ctypes.util import find_library

    return find_library("nidaqmx") is not None or find_library("nicaiu") is not None


@pytest.mark.parametrize(
    ("out", "told"),
    [("run.txt", "a name that ends with .tdms"), ("run", ".tdms"), ("below/run.tdms", "make it first")],
)
def test_an_output_that_cannot_be(tmp_path, out, told):
    result = record(tmp_path / out, "--samples", "10", "--unthrottled")
    assert result.returncode == 1
    assert told in result.stderr
    # One line: no usage, and no warning of tasks that were left open.
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_number_that_is_none(tmp_path):
    result = record(tmp_path / "run.tdms", "--seconds", "long")
    assert result.returncode == 1
    assert result.stderr.startswith("daqring: argument --seconds: 'long' is not a number")
    endless = record(tmp_path / "run.tdms", "--samples", "inf")
    assert "inf is not a whole number" in endless.stderr


@pytest.mark.parametrize("out", ["", "."])
def test_a_folder_is_no_output(tmp_path, out):
    result = record(tmp_path / out, "--samples", "10", "--unthrottled")
    assert result.returncode == 1
    assert "is a folder" in result.stderr


def test_an_existing_file_is_not_touched(tmp_path):
    out = tmp_path / "run.tdms"
    out.write_bytes(b"precious")
    result = record(out, "--samples", "10", "--unthrottled")
    assert result.returncode == 1
    assert "--overwrite" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert out.read_bytes() == b"precious"
    assert record(out, "--samples", "10", "--unthrottled", "--overwrite").returncode == 0


def test_samples_that_wait_for_a_log_that_is_away_are_not_touched(tmp_path):
    tail = tmp_path / "run.tdms.tail-0"
    tail.write_bytes(b"precious")
    result = record(tmp_path / "run.tdms", "--samples", "10", "--unthrottled")
    assert result.returncode == 1
    assert f"{tail}: beside the log there are samples of an earlier recording" in result.stderr
    assert "--overwrite" not in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert tail.read_bytes() == b"precious"
    assert not (tmp_path / "run.tdms").exists()


@pytest.mark.parametrize("command", ["info", "verify"])
def test_reading_what_is_no_recording(tmp_path, command):
    missing = run(command, tmp_path / "missing.tdms")
    assert missing.returncode == 1
    assert "No such file" in missing.stderr
    assert "correct the path" in missing.stderr
    (tmp_path / "text.tdms").write_text("not a recording" * 100)
    wrong = run(command, tmp_path / "text.tdms")
    assert wrong.returncode == 1
    assert "TDMS" in wrong.stderr
    assert "text.tdms: " in wrong.stderr
    assert "Traceback" not in missing.stderr + wrong.stderr


def test_names_that_the_encoding_of_a_pipe_lacks_are_escaped(tmp_path):
    out = tmp_path / "run.tdms"
    assert (
        record(out, "--samples", "1000", "--unthrottled", "--property", "part=Läufer, 5 kΩ").returncode == 0
    )
    told = subprocess.run(
        daqring_command("info", out),
        capture_output=True,
        timeout=120,
        # As Windows has it where the output is no console.
        env=os.environ | ENVIRONMENT | {"PYTHONIOENCODING": "cp1252"},
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert b"L\xe4ufer, 5 k\\u03a9" in told.stdout
    assert b"  +- Dev1/ai3: 1,000 samples" in told.stdout


@pytest.mark.skipif(os.name == "nt", reason="POSIX device /dev/full")
@both_readers
def test_a_full_disk_is_said(tmp_path, reader):
    """A tiny file system would need root; a limit on the file's size fails the same write."""
    import resource

    out = tmp_path / "run.tdms"
    result = subprocess.run(
        daqring_command(
            *("record", out, "--ai", "Dev1/ai0:3", "--rate", "1e5", "--seconds", "30"),
            *("--simulate", "--pattern", "--unthrottled", "--block-ms", "50", "--reader", reader),
        ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: (
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
            resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20)),
        ),
    )
    assert result.returncode == 1
    assert "the recording stopped" in result.stderr
    assert "Traceback" not in result.stderr
    assert "ended:     error" in result.stdout
    # What had been written before is a readable file with the right samples.
    log = daqring.open(out)
    channel = log["Dev1/ai2"]
    assert 0 < len(channel) < 3_000_000
    assert_pattern(channel.raw[:], 2)


def start_recording(out: Path, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        daqring_command(
            *(
                "record",
                out,
                "--ai",
                "Dev1/ai0:3",
                "--rate",
                "1e5",
                "--block-ms",
                "20",
                "--simulate",
                "--pattern",
            ),
            *arguments,
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if out.exists() and out.stat().st_size > 100_000:
            return process
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"the recording did not begin: {process.communicate()}")


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
@both_readers
@pytest.mark.parametrize(("length", "status"), [(["--seconds", "60"], 130), ([], 0)])
def test_ctrl_c_finishes_the_file(tmp_path, length, status, reader):
    out = tmp_path / "run.tdms"
    process = start_recording(out, *length, "--json", "--reader", reader)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == status, stderr
    report = json.loads(stdout)
    assert report["stop_reason"] == "interrupted"
    assert report["samples_per_channel"] > 0
    verification = daqring.verify(out)
    assert verification.problems == ()
    for number, channel in enumerate(nptdms.TdmsFile.read(out)[report["group"]].channels()):
        assert len(channel) == report["samples_per_channel"]
        assert_pattern(channel.raw_data, number)


@both_readers
def test_kill_in_the_middle_leaves_every_completed_segment(tmp_path, reader):
    out = tmp_path / "run.tdms"
    process = start_recording(out, "--seconds", "60", "--reader", reader)
    process.kill()
    process.communicate()
    lengths = set()
    for number in range(4):
        channel = nptdms.TdmsFile.read(out).groups()[0][f"Dev1/ai{number}"]
        assert_pattern(channel.raw_data, number)
        np.testing.assert_array_equal(daqring.open(out)[f"Dev1/ai{number}"].raw[:], channel.raw_data)
        lengths.add(len(channel))
    (samples,) = lengths
    # 100 kB of 4 channels of int16 were in the file before the kill, headers included.
    assert samples >= 8_000
    assert samples % 2000 == 0
    verified = run("verify", out)
    assert verified.returncode == 3
    assert "not finished" in verified.stdout


@both_readers
def test_lost_samples_are_an_exit_status(tmp_path, reader):
    """A driver's buffer of 10 ms set by hand, and a reader that is kept from reading."""
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
import daqring.cli, pytest
from driver_hook import act_before_reads
from daqring.source import TaskSource
prepare = TaskSource.prepare_buffer
def small_buffer(self, seconds):
    self._stream.input_buf_size = 1000
    return prepare(self, seconds)
TaskSource.prepare_buffer = small_buffer
act_before_reads(pytest.MonkeyPatch(), lambda read: time.sleep(0.5))
sys.exit(daqring.cli.main(sys.argv[1:]))
"""
    )
    out = tmp_path / "run.tdms"
    result = subprocess.run(
        [
            *(sys.executable, script, "record", out, "--ai", "Dev1/ai0", "--rate", "1e5"),
            *("--seconds", "3", "--simulate", "--json", "--reader", reader),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 3, result.stderr
    report = json.loads(result.stdout)
    assert report["reader"] == reader
    assert report["lost"] > 1000
    assert report["gaps"][0]["cause"] == "overwrite"
    assert "samples were lost" in result.stderr
    assert json.loads(run("info", out, "--json").stdout)["gaps"][0]["count"] == report["lost"]
    assert run("verify", out).returncode == 3


def test_a_recording_without_samples_is_told(tmp_path):
    (tmp_path / "empty.tdms").touch()
    for arguments in (("export", "--to", tmp_path / "out.csv"), ("plot", "-o", tmp_path / "out.png")):
        result = run(arguments[0], tmp_path / "empty.tdms", *arguments[1:])
        assert result.returncode == 1
        assert "there are no samples in this recording" in result.stderr
    result = run("defragment", tmp_path / "empty.tdms", tmp_path / "out.tdms")
    assert result.returncode == 1
    assert "empty.tdms is empty" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty.tdms"]


def test_info_shows_the_run_file_below_its_name(tmp_path):
    out = tmp_path / "run.tdms"
    assert record(out, "--samples", "10", "--unthrottled").returncode == 0
    lines = run("info", out).stdout.splitlines()
    at = lines.index("  daqring.run =")
    assert lines[at + 1].startswith("    | ")
    assert "    | [[tasks]]" in lines
