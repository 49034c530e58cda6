"""The verdict on a running recording, its history in the log, and what viewers see of it."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import daqring
import daqring.stages
import numpy as np
import pytest
from daqring import monitor, status
from daqring.cli.display import Display, duration, health_lines, size
from daqring.health import HealthWatch
from daqring.progress import ProgressBar
from pattern_check import assert_pattern
from test_cli import daqring_command, run, start_recording

POSIX = pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")


@pytest.fixture(autouse=True)
def own_runtime_folder(tmp_path, monkeypatch):
    folder = tmp_path / "runtime"
    monkeypatch.setenv("DAQRING_RUNTIME_DIR", str(folder))
    return folder


def wait_until(condition: Any, timeout: float = 30.0) -> Any:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {condition}")


# -- the verdict --------------------------------------------------------------------------------


def watch(block: float = 0.1, buffer: float = 4.0) -> HealthWatch:
    source = SimpleNamespace(rate=1000.0, finite=None)
    acquisition = SimpleNamespace(
        block=int(block * 1000), source=source, buffer=SimpleNamespace(used=int(buffer * 1000))
    )
    return HealthWatch(SimpleNamespace(_acquisitions=[acquisition], wanted=None))  # type: ignore[arg-type]


@pytest.fixture
def sim_clock():
    daqring.sim.install()
    before = daqring.sim.clock()
    yield daqring.sim.clock
    daqring.sim.clock(before)
    daqring.sim.uninstall()


def stream(**changed: Any) -> dict[str, Any]:
    return {
        **{"name": "rig", "running": True, "rate": 1000.0, "wanted_mb_per_s": 1.0, "gated": 0},
        **{"arrived_blocks": 100, "waiting_blocks": 0, "backlog": 5},
    } | changed


def figures(**changed: Any) -> dict[str, Any]:
    return {
        **{"elapsed": 10.0, "samples": 10_000, "bytes": 10_000_000, "wanted_mb_per_s": 1.0, "lost": 0},
        **{"failure": None, "restarts": 0, "restarting": False},
        **{"lost_unknown": False, "ring_fill": 0.1, "driver_fill": 0.1, "ring_margin_s": 2.0},
        **{"driver_margin_s": 3.9, "slowest_write_s": 0.004, "disk_free": 10**12, "disk_seconds": 1e6},
        **{"streams": [stream()], "gated": 0, "derived": []},
    } | changed


def made(name: str, records: int | None, written_bytes: int = 0) -> dict[str, Any]:
    return {"name": name, "records": records, "written_bytes": written_bytes}


@pytest.mark.parametrize(
    ("changed", "verdict", "reason"),
    [
        ({}, "GOOD", ""),
        ({"ring_fill": 0.5}, "WATCH", "ring 50% full: the disk or a stage is too slow"),
        ({"ring_fill": 0.95}, "BAD", "ring 95% full"),
        ({"driver_fill": 0.6}, "WATCH", "driver 60% full: the driver's buffer is read too late"),
        ({"driver_fill": 0.9}, "BAD", "driver 90% full"),
        ({"lost": 1234}, "BAD", "1,234 samples lost"),
        ({"lost_unknown": True}, "BAD", "an unknown number of samples lost"),
        ({"disk_seconds": 1800.0}, "WATCH", "the disk is full in 1,800 s"),
        ({"disk_seconds": 30.0}, "BAD", "the disk is full in 30 s"),
        ({"disk_seconds": None, "disk_free": None}, "GOOD", ""),
        ({"bytes": 5_000_000}, "WATCH", "0.5 of 1.0 MB/s reach the log"),
        # A recording that has all its samples is not slow.
        ({"bytes": 5_000_000, "streams": [stream(running=False)]}, "GOOD", ""),
        # Nor is one whose trigger keeps samples from the log.
        ({"bytes": 5_000_000, "streams": [stream(gated=5000)]}, "GOOD", ""),
        ({"failure": "device error: the tasks are made anew"}, "BAD", "device error"),
        ({"bytes": 1000, "elapsed": 1.0}, "GOOD", ""),
    ],
)
def test_the_verdict_and_its_reason(changed, verdict, reason):
    health = watch().look(figures(**changed))
    assert health.verdict == verdict
    assert len(health.reasons) == (1 if reason else 0)
    assert reason in "".join(health.reasons)


def test_the_worst_comes_first():
    health = watch(buffer=0.1).look(figures(lost=5, ring_fill=0.6))
    assert health.verdict == "BAD"
    assert [reason.split()[0] for reason in health.reasons] == ["5", "ring", "the"]
    assert "holds only 0.10 s" in health.reasons[2]


def test_silence_is_told_and_forgotten():
    looks = watch()
    still = [stream(arrived_blocks=10)]
    assert looks.look(figures(elapsed=1.0, bytes=10**6, streams=still)).verdict == "GOOD"
    silent = looks.look(figures(elapsed=7.0, bytes=10**6, streams=still))
    assert silent.verdict == "WATCH"
    assert silent.reasons == ("no samples for 6 s: neither clock nor trigger comes",)
    again = [stream(arrived_blocks=75)]
    assert looks.look(figures(elapsed=7.5, bytes=75 * 10**5, streams=again)).verdict == "GOOD"


def test_samples_that_a_trigger_keeps_out_are_no_silence():
    looks = watch()
    for second in range(1, 30):
        gated = [stream(arrived_blocks=10 * second, gated=1000 * second)]
        health = looks.look(figures(elapsed=float(second), samples=0, bytes=0, streams=gated))
        assert health.verdict == "GOOD", health.reasons


def test_a_log_that_takes_nothing_is_told_as_that():
    looks = watch()
    for step in range(1, 20):
        stalled = [stream(arrived_blocks=100 + 5 * step, waiting_blocks=5 * step)]
        health = looks.look(figures(elapsed=10.0 + step / 2, streams=stalled))
    assert health.verdict == "WATCH"
    assert health.reasons == (
        "the log has taken nothing for 9 s: the disk does not answer, or a stage does not end",
    )
    # A block that waits while others are written is none.
    for step in range(1, 20):
        moving = [stream(arrived_blocks=200 + 5 * step, waiting_blocks=1)]
        health = looks.look(figures(elapsed=20.0 + step / 2, bytes=10**7 + 10**6 * step, streams=moving))
    assert health.verdict == "GOOD", health.reasons


def test_one_silent_task_of_several_is_named():
    source = SimpleNamespace(rate=1000.0, finite=None)
    one = SimpleNamespace(block=100, source=source, buffer=SimpleNamespace(used=4000))
    looks = HealthWatch(SimpleNamespace(_acquisitions=[one, one], wanted=None))  # type: ignore[arg-type]
    for second in range(1, 10):
        streams = [stream(arrived_blocks=10 * second), stream(name="bath", arrived_blocks=1)]
        health = looks.look(figures(elapsed=float(second), bytes=10**6 * second, streams=streams))
    assert health.reasons == ("no samples of bath for 8 s: neither clock nor trigger comes",)


def test_values_that_are_no_longer_renewed_are_told_to_be_old():
    values, ages = {"rig/ai0": (1.0, "V"), "rig/ai1": (2.0, "V")}, {"rig/ai0": 0.4, "rig/ai1": 8.0}
    health = watch().look(figures(), values, ages)
    assert health.stale == {"rig/ai1": 8.0}
    assert health_lines(health.to_dict())[-1] == "      ai0 1 V  ai1 2 V (8.0 s old)"
    # While the device is away none of them is of now.
    away = watch().look(figures(restarting=True), values, ages)
    assert away.stale == ages


def test_the_rate_is_that_of_the_last_seconds():
    looks = watch()
    for second in range(1, 61):
        # A megabyte a second, and none in the last ten seconds.
        looks.look(figures(elapsed=float(second), samples=second, bytes=min(second, 50) * 10**6))
    assert looks.look(figures(elapsed=60.5, samples=1, bytes=50 * 10**6)).actual_mb_per_s == 0.0


def test_blocks_of_seconds_are_waited_for():
    # One block a second, and the looks fall just before it and just after it.
    looks = watch(block=1.0)
    for step in range(1, 200):
        elapsed = step * 0.5
        whole = int(max(0.0, elapsed - (0.4 if step % 3 else 0.0)))
        moving = [stream(arrived_blocks=whole, backlog=step)]
        health = looks.look(figures(elapsed=elapsed, samples=whole, bytes=whole * 10**6, streams=moving))
        assert health.verdict == "GOOD", (elapsed, health.reasons)


def test_half_of_the_rate_is_too_little_for_long_blocks_too():
    looks = watch(block=1.0)
    for step in range(1, 60):
        moving = [stream(arrived_blocks=step)]
        half = figures(elapsed=float(step), samples=step, bytes=step // 2 * 10**6, streams=moving)
        health = looks.look(half)
    assert "MB/s reach the log" in health.reasons[0]


@pytest.mark.parametrize("clock", ["unthrottled", "real"])
def test_full_buffers_say_nothing_on_an_unthrottled_clock(sim_clock, clock):
    sim_clock(clock)
    full = figures(ring_fill=1.0, driver_fill=1.0, ring_margin_s=0.0, driver_margin_s=0.0)
    assert watch().look(full).verdict == ("GOOD" if clock == "unthrottled" else "BAD")
    assert watch().look(full | {"lost": 1}).verdict == "BAD"


def test_a_trigger_that_never_comes_is_no_trouble(make_task, tmp_path):
    task = make_task(clock="real", rate=10_000)
    gate = daqring.stages.Trigger("Dev1/ai0", level=1e6)
    with daqring.Recorder(task, tmp_path / "run.tdms", block_ms=100, stages=[gate]) as recorder:
        wait_until(lambda: recorder.stats()["elapsed"] > 6.5)
        health = recorder.health()
        assert (health.verdict, health.samples) == ("GOOD", 0), health.reasons


def test_a_recording_of_records_alone_tells_them_and_how_far_it_is(make_task, tmp_path):
    task = make_task(clock="real", rate=10_000)
    trigger = daqring.stages.Trigger(pre=0.01, post=0.01, name="events")
    other = daqring.stages.Trigger(pre=0.01, post=0.01, name="none", of="volts")
    stages = [trigger, daqring.stages.Scale(name="volts", only=True), other]
    out = tmp_path / "run.tdms"
    with daqring.Recorder(task, out, block_ms=20, seconds=60, stages=stages) as recorder:
        wait_until(lambda: recorder.stats()["gated"] > 1000)
        health = recorder.health()
        assert (health.samples, health.records) == (0, {"events": 0, "none": 0})
        assert 1000 < health.gated <= recorder.stats()["gated"] < health.wanted
        recorder.capture("events")
        wait_until(lambda: recorder.health().records["events"] == 1)
        before = recorder.health()
        recorder.capture("events")
        health = wait_until(lambda: (now := recorder.health()).records["events"] == 2 and now)
        assert health.records == {"events": 2, "none": 0}
        # int16 codes of 4 channels, from 10 ms before to 10 ms after.
        assert health.stage_bytes == before.stage_bytes + 200 * 4 * 2
        (told,) = [each for each in status.recorders() if each.name == "run"]
        assert told.health is not None
        assert told.health["records"]["events"] == 2
    assert [output.records for output in recorder.report.outputs] == [2, None, 0]
    lines = str(recorder.report)
    assert "events: 2 records, " in lines
    assert "volts: " in lines
    assert "volts: 0 records" not in lines
    assert len(daqring.open(out).records) == 2


def test_a_verdict_that_stays_is_logged_now_and_then(make_task, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(monitor, "LOGGED_EVERY", 1.2)
    caplog.set_level("INFO", logger="daqring.health")
    task = make_task(clock="real", rate=10_000, name="volts")
    trigger = daqring.stages.Trigger(pre=0.01, post=0.01, gate=False, name="events")
    with daqring.Recorder(task, tmp_path / "run.tdms", block_ms=20, stages=[trigger]) as recorder:
        wait_until(lambda: len(caplog.messages) >= 3)
        health = recorder.health()
    first, second, third, *_ = caplog.messages
    assert first == f"<Recorder of volts into {str(tmp_path / 'run.tdms')!r}> is GOOD"
    assert re.search(
        r" is still GOOD after 0\.0 h \([\d,]+ samples, 0 records of events, lost 0; ring \d+% and driver "
        r"\d+% full at most, slowest write [\d,]+ ms, disk lasts [\d,.]+ h\)$",
        second,
    )
    assert " is still GOOD " in third
    # Not at every look.
    assert len(caplog.messages) <= 2 + health.elapsed / 1.2


def test_the_line_on_a_verdict_that_stays_tells_what_is_wrong():
    streams = [stream(ring_high_water=0.1, driver_high_water=0.9), stream(ring_high_water=0.4)]
    streams[1]["driver_high_water"] = 0.0
    health = dataclasses.replace(
        watch().look(figures(lost=7, lost_unknown=True, restarts=2)),
        elapsed=180_000.0,
        streams=tuple(streams),
    )
    assert monitor._so_far(health) == (
        "50.0 h (10,000 samples, lost 7 and an unknown number more, 2 restarts; ring 40% and driver 90% full "
        "at most, slowest write 4 ms, disk lasts 277.8 h)"
    )


def test_a_slow_task_is_good_while_its_first_segment_is_gathered(make_task, tmp_path):
    task = make_task(clock="real", rate=100)
    with daqring.Recorder(task, tmp_path / "run.tdms") as recorder:
        wait_until(lambda: recorder.stats()["elapsed"] > 6.0)
        health = recorder.health()
        assert health.verdict == "GOOD", health.reasons
        # No segment of a minute is complete, and what was taken counts all the same.
        assert health.bytes > 0


def test_a_plain_script_prints_nothing(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import daqring, daqring.sim, nidaqmx\n"
        "from daqring import health\n"
        "from nidaqmx.constants import AcquisitionType\n"
        "health.BUFFER_WATCH = 1e9  # never good\n"
        "daqring.sim.install(clock='real')\n"
        "with nidaqmx.Task() as task:\n"
        "    task.ai_channels.add_ai_voltage_chan('Dev1/ai0')\n"
        "    task.timing.cfg_samp_clk_timing(1e4, sample_mode=AcquisitionType.CONTINUOUS)\n"
        "    with daqring.Recorder(task, 'run.tdms', seconds=1.2) as recorder:\n"
        "        recorder.wait()\n"
        "        assert recorder.health().verdict == 'WATCH'\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -- the recorder -------------------------------------------------------------------------------


def test_a_running_recorder_tells_its_health(make_task, tmp_path):
    task = make_task(clock="real")
    with daqring.Recorder(task, tmp_path / "run.tdms", block_ms=20) as recorder:
        wait_until(lambda: recorder.stats()["samples"] > 2000)
        health = recorder.health()
        assert health.verdict == "GOOD", health.reasons
        assert health.wanted_mb_per_s == pytest.approx(0.8)
        name = health.streams[0]["name"]
        assert json.loads(json.dumps(health.to_dict()))["samples"] == health.samples
        assert recorder.name == "run"
        value, unit = wait_until(lambda: recorder.health().values.get(f"{name}/Dev1/ai0"))
        assert unit == "V"
        assert abs(value) <= 11
    with pytest.raises(RuntimeError, match="not running"):
        recorder.health()
    assert status.recorders() == []


def test_the_history_goes_into_the_log(make_task, tmp_path):
    task = make_task(clock="real")
    path = tmp_path / "run.tdms"
    with daqring.Recorder(task, path, block_ms=20, seconds=2.2, history="0.5 s") as recorder:
        recorder.wait()
    log = daqring.open(path)
    verdicts = log["health/verdict"][:]
    assert 2 <= len(verdicts) <= 4
    assert set(verdicts) <= {0.0, 1.0, 2.0}
    assert log["health/verdict"].dt == 0.5
    np.testing.assert_array_equal(log["health/lost"][:], 0)
    assert np.all(log["health/driver_margin"][:] > 1.0)
    assert daqring.verify(path).complete


def test_a_history_that_is_no_time_is_refused(make_task, tmp_path):
    with pytest.raises(daqring.TaskError, match="history"):
        daqring.Recorder(make_task(), tmp_path / "run.tdms", history="often")


# -- from outside -------------------------------------------------------------------------------


def test_top_shows_and_stop_ends_a_recording(tmp_path):
    out = tmp_path / "rig.tdms"
    process = start_recording(out, "--seconds", "60", "--json")
    try:
        found = wait_until(lambda: json.loads(run("top", "--json", "--once").stdout))
        assert [each["name"] for each in found] == ["rig"]
        assert (found[0]["pid"], found[0]["path"]) == (process.pid, str(out))
        wait_until(lambda: json.loads(run("top", "--json", "--once").stdout)[0]["health"])
        shown = run("top", "--once").stdout
        assert "rig [" in shown
        assert "0.8 MB/s" in shown
        assert str(out) in shown
        assert run("top", "absent").returncode == 1
        refused = run("stop", "absent")
        assert refused.returncode == 1
        assert "no recorder called 'absent' runs; running: rig" in refused.stderr
        assert run("stop", "rig").returncode == 0
        stdout, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
    # Ended before the asked duration.
    assert process.returncode == 130, stderr
    report = json.loads(stdout)
    assert report["stop_reason"] == "stopped"
    assert_pattern(daqring.open(out)["Dev1/ai1"].raw[:], 1)
    assert "no recordings run" in run("top").stdout
    assert run("stop", "rig").returncode == 1


def test_names_are_unique_and_fit_for_files(own_runtime_folder):
    first = status.Publisher("a rig/1", "")
    second = status.Publisher("a rig/1", "")
    assert (first.name, second.name) == ("a_rig_1", "a_rig_1-2")
    assert {each.name for each in status.recorders()} == {"a_rig_1", "a_rig_1-2"}
    first.withdraw()
    assert status.Publisher("a rig/1", "").name == "a_rig_1"


def test_a_file_that_a_viewer_has_open_on_windows_is_tried_again(own_runtime_folder, monkeypatch):
    publisher = status.Publisher("rig", "")
    refusals = {"read_text": 2, "unlink": 2}

    def refusing(name, original):
        def method(path, *arguments, **named):
            if refusals[name]:
                refusals[name] -= 1
                raise PermissionError(13, "The process cannot access the file", str(path))
            return original(path, *arguments, **named)

        return method

    for name in refusals:
        monkeypatch.setattr(Path, name, refusing(name, getattr(Path, name)))
    assert [each.name for each in status.recorders()] == ["rig"]
    publisher.withdraw()
    assert refusals == {"read_text": 0, "unlink": 0}
    assert list(own_runtime_folder.iterdir()) == []


def test_a_recorder_that_ends_while_its_status_is_read_is_not_called_dead(own_runtime_folder, monkeypatch):
    publisher = status.Publisher("run", "run.tdms")

    def ended_meanwhile(pid, began):
        publisher.withdraw()
        return False

    monkeypatch.setattr(status, "_lives", ended_meanwhile)
    assert status.recorders() == []


def test_a_recorder_whose_process_is_gone_is_told_and_its_name_free(own_runtime_folder):
    publisher = status.Publisher("rig", "/data/rig.tdms")
    file = own_runtime_folder / "rig.json"
    content = json.loads(file.read_text())
    # The same number of a process that began at another time.
    file.write_text(json.dumps(content | {"process_began": content["process_began"] - 1000}))
    (found,) = status.recorders()
    assert (found.state, found.verdict) == ("gone", "BAD")
    shown = run("top", "--once").stdout
    assert "its process ended without finishing" in shown
    assert "daqring recover" in shown
    assert run("stop", "rig").returncode == 1
    assert status.Publisher("rig", "").name == "rig"
    file.write_text(json.dumps(content | {"process_began": 0.0, "updated": time.time() - 90_000}))
    assert status.recorders() == []
    assert not file.exists()
    file.write_text("{")
    assert status.recorders() == []
    publisher.withdraw()


@POSIX
def test_a_stalled_recorder_is_told(own_runtime_folder):
    publisher = status.Publisher("rig", "")
    file = own_runtime_folder / "rig.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"updated": time.time() - 60, "health": figures_as_health()}))
    (found,) = status.recorders()
    assert (found.state, found.verdict) == ("stalled", "BAD")
    assert "no sign of life" in run("top", "--once").stdout
    publisher.withdraw()


def figures_as_health() -> dict[str, Any]:
    return watch().look(figures()).to_dict()


def test_a_runtime_folder_that_cannot_be_made_does_not_stop_a_recording(
    make_task, tmp_path, monkeypatch, caplog
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DAQRING_RUNTIME_DIR", str(tmp_path / "file" / "folder"))
    report = daqring.record(make_task(), tmp_path / "run.tdms", samples=1000)
    assert report.complete
    assert "will not see this recording" in caplog.text


@POSIX
def test_a_killed_or_stalled_viewer_leaves_the_recording_untouched(tmp_path):
    """One viewer is stopped (SIGSTOP) with the status file open, one is killed; nothing is lost."""
    out = tmp_path / "rig.tdms"
    process = start_recording(out, "--seconds", "10", "--json")
    wait_until((tmp_path / "runtime" / "rig.json").exists)
    holder = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import sys, time\n"
            "file = open(sys.argv[1], 'rb'); file.read(1); print('open', flush=True); time.sleep(600)",
            str(tmp_path / "runtime" / "rig.json"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    viewers = [
        subprocess.Popen(
            daqring_command("top", "--json", "--interval", "0.01"), stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        for viewer in viewers:
            assert viewer.stdout is not None
            assert json.loads(viewer.stdout.readline())
        holder.send_signal(signal.SIGSTOP)
        viewers[0].send_signal(signal.SIGSTOP)
        viewers[1].kill()
        stdout, stderr = process.communicate(timeout=60)
    finally:
        for viewer in (holder, *viewers, process):
            with contextlib.suppress(ProcessLookupError):
                viewer.kill()
            viewer.communicate()
    assert process.returncode == 0, stderr
    report = json.loads(stdout)
    assert (report["lost"], report["samples_per_channel"]) == (0, 1_000_000)
    assert daqring.verify(out).complete
    assert_pattern(daqring.open(out)["Dev1/ai3"].raw[:], 3)


@POSIX
def test_sigterm_ends_in_order(tmp_path):
    out = tmp_path / "rig.tdms"
    process = start_recording(out, "--json")
    process.terminate()
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["stop_reason"] == "interrupted"
    assert daqring.verify(out).problems == ()


@POSIX
def test_a_second_ctrl_c_insists(tmp_path):
    """The finishing hangs (a disk that does not answer): the second one leaves at once."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, time, daqring.cli\n"
        "from daqring.recorder import Recorder\n"
        "Recorder._finish = lambda self: time.sleep(600)\n"
        "sys.exit(daqring.cli.main(sys.argv[1:]))\n"
    )
    out = tmp_path / "rig.tdms"
    process = subprocess.Popen(
        [
            *(sys.executable, str(script), "record", str(out), "--ai", "Dev1/ai0:3", "--rate", "1e5"),
            *("--block-ms", "20", "--simulate"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: out.exists() and out.stat().st_size > 50_000)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "daqring recover" in stderr
    assert daqring.recover(out, tmp_path / "again.tdms").output


# -- on the terminal ----------------------------------------------------------------------------


def test_lines_of_health():
    health = watch().look(figures(lost=7, lost_unknown=True)).to_dict()
    health["values"] = {"rig/Dev1/ai0": (1.25, "V"), "rig/bath": (20.0, "°C")}
    lines = health_lines(health, "rig ")
    assert lines[0] == "BAD   rig 10.0 s, 10,000 samples, 10.0 MB, lost 7 and more"
    assert lines[1].strip().startswith("1.0 of 1.0 MB/s; room: ring 2.0 s, driver 3.9 s; slowest write 4 ms")
    assert lines[2:4] == ["      ! 7 samples lost", "      ! an unknown number of samples lost"]
    assert lines[4] == "      ai0 1.25 V  bath 20 °C"
    health["wanted"] = 20_000
    assert "[############............] 50% " in health_lines(health)[0]
    assert all(len(line) <= 50 for line in health_lines(health, width=50))


@pytest.mark.parametrize("width", [40, 60, 79, 119])
def test_lines_of_health_lose_nothing_on_a_narrow_terminal(width):
    values = {f"volts/Dev{device}/ai{number}": (1.25, "V") for device in (1, 2) for number in range(3)}
    health = watch().look(figures(lost=7, disk_seconds=40.0), values).to_dict() | {"wanted": 20_000}
    lines = health_lines(health, width=width)
    assert all(len(line) <= width for line in lines)
    told = " ".join(" ".join(lines).split())
    for part in ("50% 10.0 s, 10,000 samples, 10.0 MB, lost 7", "slowest write 4 ms; disk lasts 40.0 s"):
        assert part in told
    assert "! the disk is full in 40 s" in told
    # Names are as long as they must be.
    assert "Dev1/ai0 1.25 V Dev1/ai1 1.25 V" in told
    assert not any(line.endswith("…") for line in lines)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"derived": [made("records", 0)]}, "50% 10.0 s, no record yet (waiting for a trigger), 0 B, lost 0"),
        ({"derived": [made("records", 1, 1000)]}, "50% 10.0 s, 1 record, 1.0 kB, lost 0"),
        (
            {"derived": [made("loud", 1200, 4000), made("slow", None, 1000), made("long", 0)]},
            "50% 10.0 s, 1,200 records of loud, no record of long yet (waiting for a trigger), 5.0 kB, "
            "lost 0",
        ),
        # Beside all samples.
        (
            {"samples": 10_000, "gated": 0, "bytes": 10**7, "derived": [made("records", 3)]},
            "50% 10.0 s, 10,000 samples, 3 records, 10.0 MB, lost 0",
        ),
        # Without a trigger, such as Decimate(only=True).
        ({"derived": [made("slow", None, 1000)]}, "50% 10.0 s, 0 samples, 1.0 kB, lost 0"),
    ],
)
def test_records_are_told_and_what_is_gated_counts_as_done(changed, told):
    gating = figures(**({"samples": 0, "bytes": 0, "gated": 10_000} | changed))
    gating["streams"] = [stream(gated=gating["gated"])]
    health = watch().look(gating).to_dict() | {"wanted": 20_000}
    lines = health_lines(health, width=200)
    assert lines[0] == f"GOOD  [############............] {told}"
    assert ("the rest is gated" in lines[1]) == bool(gating["gated"])


def test_lines_of_another_version_are_shown():
    health = watch().look(figures()).to_dict()
    for field in ("gated", "records", "stage_bytes", "stale"):
        del health[field]
    assert health_lines(health)[0] == "GOOD  10.0 s, 10,000 samples, 10.0 MB, lost 0"


def test_the_progress_of_several_tasks_and_of_records(capsys):
    one = stream(wanted=20_000, samples=0, gated=10_000)
    two = stream(wanted=2000, samples=500, rate=100.0)
    stats = figures(streams=[one, two], samples=500, gated=10_000, derived=[made("records", 0)])
    recorder = SimpleNamespace(stats=lambda: stats, rate=1000.0, wanted=22_000)
    bar = ProgressBar(enabled=True)
    bar.show(recorder)  # type: ignore[arg-type]
    told = capsys.readouterr().err
    assert "[###########.............] 10.0/20.0 s  waiting for a trigger  " in told
    stats["derived"] = [made("records", 2), made("slow", None), made("others", 1)]
    bar.show(recorder)  # type: ignore[arg-type]
    assert "20.0 s  3 records  " in capsys.readouterr().err


def test_slow_recordings_are_told_in_small_units():
    health = watch().look(figures(wanted_mb_per_s=0.002, bytes=15_000)).to_dict()
    assert health_lines(health)[1].strip().startswith("1.5 of 2.0 kB/s; room")


def test_many_channels_are_shown_on_few_lines():
    values = {f"volts/Dev1/ai{number}": (-1.25, "V") for number in range(200)}
    lines = health_lines(watch().look(figures(), values).to_dict(), width=79)
    shown = [line for line in lines if " ai" in line]
    assert len(shown) == 3
    count = sum(line.count("ai") for line in shown)
    assert shown[-1].endswith(f"  and {200 - count} more")


def test_the_display_is_no_higher_than_the_terminal(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setenv("LINES", "10")
    monkeypatch.setenv("COLUMNS", "80")
    Display(stream, enabled=True).draw([f"line {number}" for number in range(30)])
    text = stream.getvalue()
    assert text.count("\n") == 9
    assert "... and 22 lines more" in text


def test_the_display_is_quiet_in_a_pipe_and_rewrites_in_place(monkeypatch):
    import io

    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    Display(stream).draw(["GOOD"])
    assert stream.getvalue() == ""
    display = Display(stream, enabled=True)
    display.draw(["GOOD  a", "b"])
    display.draw(["BAD   a"])
    display.clear()
    assert stream.getvalue() == (
        "GOOD  a\x1b[K\nb\x1b[K\n\x1b[J" + "\x1b[2F" + "BAD   a\x1b[K\n\x1b[J" + "\x1b[1F\x1b[J"
    )
    monkeypatch.delenv("NO_COLOR")
    stream.truncate(0)
    Display(stream, enabled=True).draw(["BAD   a"])
    assert "\x1b[1;31mBAD\x1b[0m   a" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.004, "4 ms"),
        (2.5, "2.5 s"),
        (125, "2 min 5 s"),
        (8000, "2 h 13 min"),
        (400_000, "4 d 15 h"),
        (1e9, "years"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_sizes():
    assert [size(count) for count in (5, 1500, 2e6, 3e9, 4e12)] == [
        *("5 B", "1.5 kB", "2.0 MB", "3.0 GB", "4.0 TB")
    ]


def test_the_folder_of_somebody_else_is_not_used(tmp_path, monkeypatch):
    if os.name == "nt":
        pytest.skip("owners are a matter of POSIX")
    monkeypatch.delenv("DAQRING_RUNTIME_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert status.runtime_folder() == tmp_path / "daqring"
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(PermissionError, match="somebody else"):
        status.runtime_folder()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    with pytest.raises(PermissionError):
        status.runtime_folder()
    assert Path(tmp_path / "daqring-12345").is_dir()


# -- asked by other programs --------------------------------------------------------------------


def test_a_note_and_a_capture_from_another_program(make_task, tmp_path):
    trigger = daqring.stages.Trigger(pre=1.0, post=0.05, name="events")
    out = tmp_path / "rig.tdms"
    with daqring.Recorder(make_task(clock="real", rate=1000), out, stages=[trigger], block_ms=20) as recorder:
        wait_until(lambda: recorder.stats()["streams"][0]["arrived_blocks"] > 25)
        before = time.time()
        noted = run("annotate", "rig", "valve opened")
        assert (noted.returncode, noted.stdout, noted.stderr) == (0, "", "")
        asked = time.time()
        captured = run("capture", "rig")
        assert (captured.returncode, captured.stderr) == (0, "")
        assert status.running("rig").triggers == ("events",)
        unknown = run("capture", "rig", "event")
        assert unknown.returncode == 1
        assert "rig has no trigger 'event', only 'events'" in unknown.stderr
        recorder.wait(0.3)
    log = daqring.open(out)
    ((when, text),) = log.events
    assert text == "valve opened"
    # The time is that of the command, not that of its being heard.
    assert before <= when.astype("datetime64[ns]").astype(int) / 1e9 <= asked
    (record,) = log.records
    assert len(record.read()[0]) > 500


def test_a_trigger_behind_another_stage_can_be_asked(make_task, tmp_path):
    stages = [
        daqring.stages.Scale(name="volts", log=False),
        daqring.stages.Trigger(pre=1.0, post=0.05, name="events", of="volts"),
    ]
    out = tmp_path / "rig.tdms"
    with daqring.Recorder(make_task(clock="real", rate=1000), out, stages=stages, block_ms=20) as recorder:
        wait_until(lambda: recorder.stats()["streams"][0]["arrived_blocks"] > 25)
        captured = run("capture", "rig", "events")
        assert (captured.returncode, captured.stderr) == (0, "")
        recorder.wait(0.3)
    (record,) = daqring.open(out).records
    assert len(record.read()[0]) > 500


def test_what_cannot_be_asked(make_task, own_runtime_folder, monkeypatch):
    for command in (["annotate", "rig", "x"], ["capture", "rig"]):
        refused = run(*command)
        assert refused.returncode == 1
        assert "no recorder called 'rig' runs, and no other one either" in refused.stderr
    with daqring.Recorder(make_task(clock="real", rate=1000), None, name="rig"):
        assert "rig has no log to note something in" in run("annotate", "rig", "x").stderr
        assert "rig has no trigger; give it [[stages]]" in run("capture", "rig").stderr
        # What makes no sense disturbs nobody and is taken away.
        (own_runtime_folder / "rig@1.ask").write_text("{")
        (own_runtime_folder / "rig@2.ask").write_text("[1]")
        (own_runtime_folder / "rig@3.ask").write_text('{"capture": 3, "annotate": "x"}')
        wait_until(lambda: not list(own_runtime_folder.glob("*.ask")))
        assert status.running("rig").state == "running"
    assert list(own_runtime_folder.iterdir()) == []
    # Who does not answer is told.
    publisher = status.Publisher("deaf", "x.tdms", ["records"])
    try:
        told = run("capture", "deaf", "--timeout", "0.1")
    finally:
        publisher.withdraw()
    assert told.returncode == 1
    assert "deaf has not heard it within 0.1 s" in told.stderr
    assert list(own_runtime_folder.iterdir()) == []
