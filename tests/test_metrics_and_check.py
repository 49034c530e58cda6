"""Metrics for Prometheus, and the check before a recording."""

from __future__ import annotations

import json
import logging
import os
import urllib.error
import urllib.request

import daqring
import daqring.cli
import pytest
from daqring import _native, metrics
from daqring.preflight import _reasons, preflight
from nidaqmx.constants import AcquisitionType
from test_cli import run
from test_runfile import daqring_main

RIG = ("--ai", "Dev1/ai0:3", "--rate", "1e5", "--simulate")


def test_metrics_are_answered_on_request(make_task, tmp_path):
    from prometheus_client.parser import text_string_to_metric_families

    recorder = daqring.Recorder(make_task(name="volts", clock="real"), tmp_path / "rig.tdms", block_ms=20)
    with metrics.served(recorder, 0) as (host, port):
        assert host == "127.0.0.1"
        with recorder:
            while recorder.stats()["samples"] < 10_000:
                recorder.wait(0.02)
            with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        # A recorder that has ended has nothing to say; the answer is still one.
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
            assert answer.read() == b""
    families = {family.name: family for family in text_string_to_metric_families(text)}
    (samples,) = families["daqring_samples"].samples
    assert samples.labels == {"recorder": "rig", "task": "volts"}
    assert samples.value >= 10_000
    assert families["daqring_samples"].type == "counter"
    assert families["daqring_verdict"].samples[0].value in (0.0, 1.0)
    assert families["daqring_wanted_bytes_per_second"].samples[0].value == pytest.approx(800_000)
    assert families["daqring_lost_samples"].samples[0].value == 0
    assert families["daqring_restarts"].type == "counter"
    assert families["daqring_restarts"].samples[0].value == 0
    assert families["daqring_restarting"].samples[0].value == 0
    expected = {f"daqring_{name}" for name, *_ in (*metrics.OF_STREAMS, *metrics.OF_RECORDER)}
    assert expected <= set(families)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10)


@pytest.mark.parametrize(
    ("value", "found"),
    [(9108, ("127.0.0.1", 9108)), ("9108", ("127.0.0.1", 9108)), ("0.0.0.0:1", ("0.0.0.0", 1))],
)
def test_addresses(value, found):
    assert metrics.address(value) == found


@pytest.mark.parametrize("value", ["", "x", ":9108", "70000", "host:"])
def test_what_is_no_address(value):
    with pytest.raises(daqring.TaskError, match="no port"):
        metrics.address(value)
    status, told = daqring_main("record", "never.tdms", *RIG, "--metrics", value)
    assert status == 1
    assert "metrics: " in told


def test_an_address_that_is_taken_is_told_before_the_start(tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        out = tmp_path / "run.tdms"
        status, told = daqring_main("record", str(out), *RIG, "--samples", "10", "--metrics", port)
    assert status == 1
    assert "in use" in told
    assert not out.exists()


def test_the_log_of_what_happens(tmp_path):
    file = tmp_path / "happened.txt"
    result = run("record", tmp_path / "run.tdms", *RIG, "--samples", "1e4", "--unthrottled", "--log", file)
    assert result.returncode == 0, result.stderr
    text = file.read_text()
    assert "INFO recording <Recorder of" in text
    assert "ended (finished): 40000 samples in all, lost 0" in text
    assert result.stderr == ""


def test_what_happens_goes_to_stderr_on_request(tmp_path):
    result = run("record", tmp_path / "run.tdms", *RIG, "--samples", "1e4", "--unthrottled", "--log", "-")
    assert result.returncode == 0
    lines = result.stderr.splitlines()
    assert "INFO recording <Recorder of" in lines[0]
    assert "ended (finished): 40000 samples in all, lost 0" in lines[-1]
    assert not (tmp_path / "-").exists()


def test_check_tells_a_verdict_and_the_numbers(tmp_path):
    out = tmp_path / "run.tdms"
    result = run("check", out, *RIG, "--seconds", "5", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["wanted_mb_per_s"] == pytest.approx(0.8)
    assert found["measured_bytes"] >= 64 << 20
    assert found["disk_margin"] == pytest.approx(found["disk_mb_per_s"] / 0.8)
    assert found["disk_margin"] > 2
    assert found["seconds"] == 5
    assert found["tasks"][0]["channels"] == 4
    assert found["tasks"][0]["reader"] == ("native" if _native.NATIVE_READER else "python")
    assert found["verdict"] == ("WATCH" if found["reasons"] else "GOOD")
    assert list(tmp_path.iterdir()) == []
    # A run file, as a person reads it.
    shown = run("record", out, *RIG, "--reader", "python", "--show-config").stdout
    (tmp_path / "run.toml").write_text(shown)
    told = run("check", tmp_path / "run.toml")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("WATCH\n")
    assert "is read by Python" in told.stdout
    assert "4 channels at 100,000 S/s" in told.stdout
    assert "MB/s" in told.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.toml"]


def test_check_refuses_what_record_refuses(tmp_path):
    status, told = daqring_main("check", "--ai", "Dev1/ai99", "--rate", "1e3", "--simulate")
    assert status == 1
    assert "-200170" in told
    status, told = daqring_main("check", str(tmp_path / "absent" / "run.tdms"), *RIG)
    assert status == 1
    assert "no such folder" in told


@pytest.mark.skipif(os.name == "nt", reason="POSIX limits")
def test_check_says_that_a_disk_is_full(tmp_path):
    import resource
    import signal
    import subprocess

    from test_cli import daqring_command

    result = subprocess.run(
        daqring_command("check", tmp_path / "run.tdms", *RIG),
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
    assert "cannot be measured" in result.stderr
    assert list(tmp_path.iterdir()) == []


FOUND = {
    **{"disk_margin": 10.0, "disk_mb_per_s": 1000.0, "wanted_mb_per_s": 100.0, "cpu_load": 0.05, "cores": 2},
    **{"ring_seconds": 2.0, "slowest_write": 0.01, "ring_bytes": 10**8, "memory_available": 10**10},
    **{
        "buffered_seconds": 6.0,
        "disk_seconds": 1e5,
        "seconds": None,
        "tasks": (),
        "stages_mb_per_s": None,
        "stages_margin": None,
    },
}


@pytest.mark.parametrize(
    ("changed", "bad", "watch"),
    [
        ({}, "", ""),
        ({"disk_margin": 1.5}, "", "1.5 times the 100.0 MB/s wanted"),
        ({"disk_margin": 1.1}, "the disk takes 1,000.0 MB/s", ""),
        ({"stages_mb_per_s": 150.0, "stages_margin": 1.5}, "", "the stages take 150.0 MB/s, 1.5 times the"),
        ({"stages_mb_per_s": 50.0, "stages_margin": 0.5}, "more workers may help", ""),
        ({"cpu_load": 0.5}, "", "writing alone takes 50% of the 2 cores"),
        ({"cpu_load": 0.9}, "writing alone", ""),
        ({"slowest_write": 1.0}, "", "the ring bridges 2.00 s"),
        ({"slowest_write": 3.0}, "up to 3.00 s to write", ""),
        ({"memory_available": 15 * 10**7}, "", "the rings take 100 MB of 150 MB of memory"),
        ({"memory_available": 10**7}, "the rings take", ""),
        ({"disk_seconds": 1000.0}, "", "the disk is full after 1,000 s"),
        ({"disk_seconds": 50.0}, "the disk is full after 50 s", ""),
        ({"seconds": 9e4}, "", "and 90,000 s are wanted"),
        ({"seconds": 2e5}, "and 200,000 s are wanted", ""),
        # What the buffers bridge until the end of a short run is no reason.
        ({"disk_margin": 0.1, "seconds": 5}, "", ""),
        ({"disk_margin": 0.0, "seconds": 6.0}, "", ""),
        ({"disk_margin": 0.0, "seconds": 6.1}, "0.0 times the 100.0 MB/s wanted", ""),
        ({"disk_margin": 0.6, "seconds": 8.5}, "", ""),
        ({"disk_margin": 0.6, "seconds": 9}, "", "0.6 times"),
        ({"disk_margin": 0.6, "seconds": 13}, "0.6 times", ""),
        ({"stages_mb_per_s": 10.0, "stages_margin": 0.1, "seconds": 6}, "", ""),
        ({"stages_mb_per_s": 10.0, "stages_margin": 0.1, "seconds": 60}, "more workers may help", ""),
        ({"cpu_load": 0.9, "seconds": 5}, "", ""),
        ({"slowest_write": 3.0, "seconds": 5}, "", ""),
        ({"slowest_write": 3.0, "seconds": 7}, "up to 3.00 s to write", ""),
        ({"memory_available": 10**7, "seconds": 5}, "the rings take", ""),
    ],
)
def test_reasons(changed, bad, watch):
    found = _reasons(FOUND | changed, keeps=None)
    assert [len(reasons) for reasons in found] == [bool(bad), bool(watch)]
    assert bad in "".join(found[0])
    assert watch in "".join(found[1])


@pytest.mark.parametrize("reader_dtype", ["raw", "float64"])
def test_stages_are_measured(make_task, tmp_path, reader_dtype):
    """What they take on noise is told, whatever type the samples have; the recorder is as before."""
    from daqring.stages import Decimate, Statistics

    stages = [Statistics(), Decimate(10, name="slow")]
    recorder = daqring.Recorder(make_task(), tmp_path / "run.tdms", dtype=reader_dtype, stages=stages)
    found = preflight(recorder, tmp_path)
    assert found.stages_mb_per_s is not None
    assert found.stages_margin == pytest.approx(found.stages_mb_per_s / found.wanted_mb_per_s)
    assert list(tmp_path.iterdir()) == []
    without = daqring.Recorder(make_task(), tmp_path / "run.tdms")
    assert preflight(without, tmp_path).stages_margin is None


@pytest.mark.parametrize("overflow", ["wait", "drop_oldest"])
def test_the_drivers_buffer_counts_where_it_is_waited_in(make_task, tmp_path, overflow):
    task = make_task()
    before = task.in_stream.input_buf_size
    recorder = daqring.Recorder(task, tmp_path / "run.tdms", buffer_seconds=3, overflow=overflow)
    found = preflight(recorder, tmp_path)
    assert found.buffered_seconds - found.ring_seconds == pytest.approx(3 if overflow == "wait" else 0)
    assert task.in_stream.input_buf_size == before


def test_a_finite_task_is_in_the_drivers_buffer_as_a_whole(make_task, tmp_path):
    task = make_task(samples=500_000, mode=AcquisitionType.FINITE)
    found = preflight(daqring.Recorder(task, tmp_path / "run.tdms"), tmp_path)
    assert found.seconds == 5
    assert found.buffered_seconds == pytest.approx(found.ring_seconds + 5)


def test_a_stage_that_fails_cannot_be_measured(make_task, tmp_path):
    from daqring.stages import Native, block_function

    refuses = block_function(lambda *arguments: 5)
    recorder = daqring.Recorder(make_task(), tmp_path / "run.tdms", stages=[Native(refuses)])
    with pytest.raises(daqring.RecordingError, match=r"a stage cannot be measured: .*5"):
        preflight(recorder, tmp_path)


def test_a_ring_of_files_is_never_full():
    assert _reasons(FOUND | {"disk_seconds": 10.0}, keeps=10**9) == ([], [])


@pytest.fixture(autouse=True)
def no_handlers_stay():
    yield
    logger = logging.getLogger("daqring")
    for handler in list(logger.handlers):
        handler.close()
        logger.removeHandler(handler)
