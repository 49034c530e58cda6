"""What a user sees when something goes wrong with a recording: `daqring record` as a process of its own.

Devices are simulated, what goes wrong is brought about from outside: faults in the run file or by the
function that makes the tasks, a writer held in the middle of a write, viewers that are stopped and killed,
signals, a terminal that is closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import daqring
import numpy as np
import pytest
from daqring.status import recorders
from nptdms import TdmsFile
from pattern_check import assert_pattern
from stalled_thread import bury, can_stall, stalled
from test_cli import ENVIRONMENT, daqring_command, run

POSIX = pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
STALLS = pytest.mark.skipif(not can_stall(), reason="this system does not let a thread be held from outside")

RIG = """
block_ms = 10
history = "1 s"
{more}
[[tasks]]
name = "rig"
timing = {{ rate = 100_000 }}
channels = [{{ physical_channel = "Dev1/ai0:3", min_val = -10.0, max_val = 10.0 }}]
[simulation]
signal = "pattern"
{simulation}
"""


@pytest.fixture(autouse=True)
def own_runtime_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DAQRING_RUNTIME_DIR", str(tmp_path / "runtime"))


def run_file(folder: Path, more: str = "", simulation: str = "") -> Path:
    file = folder / "rig.toml"
    file.write_text(RIG.format(more=more, simulation=simulation))
    return file


@contextlib.contextmanager
def recording(*arguments: str | Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """`daqring record` beside the test; killed at the end if it still runs."""
    process = subprocess.Popen(
        daqring_command("record", *arguments, "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | ENVIRONMENT,
        **options,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], timeout: float = 60.0) -> tuple[int, dict[str, Any], str]:
    """Exit status, report and what was said on stderr."""
    stdout, stderr = process.communicate(timeout=timeout)
    assert "Traceback" not in stderr, stderr
    return process.returncode, json.loads(stdout) if stdout else {}, stderr


def top() -> dict[str, Any] | None:
    """What `daqring top --json` says of the only recording; ``None`` before its first look."""
    found = [status.to_dict() for status in recorders()]
    return found[0] if found and found[0]["health"] is not None else None


def seen(condition: Callable[[dict[str, Any]], bool], timeout: float = 60.0) -> dict[str, Any]:
    """Looks with `daqring top` until it shows that."""
    deadline, status = time.monotonic() + timeout, None
    while time.monotonic() < deadline:
        status = top()
        if status is not None and condition(status):
            return status
        time.sleep(0.05)
    raise AssertionError(f"never seen; last seen: {status}")


def running_with(samples: int) -> Callable[[dict[str, Any]], bool]:
    return lambda status: status["health"]["samples"] >= samples


def reasons(status: dict[str, Any]) -> str:
    return "; ".join(status["health"]["reasons"])


def assert_whole(out: Path, samples: int, channels: int = 4) -> None:
    """The file is finished, without a hole, and every sample of it is the device's."""
    assert daqring.verify(out).complete
    log = daqring.open(out)
    for number in range(channels):
        raw = log[f"rig/Dev1/ai{number}"].raw[:]
        assert len(raw) == samples
        assert_pattern(raw, number)


# -- the disk stalls ----------------------------------------------------------------------------


@STALLS
def test_a_stalled_disk_is_told_and_costs_nothing_while_there_is_room(tmp_path):
    out = tmp_path / "rig.tdms"
    with recording(run_file(tmp_path), out, "--seconds", "14") as process:
        seen(running_with(50_000))
        with stalled(process.pid):
            status = seen(lambda status: "the log has taken nothing" in reasons(status))
            assert status["verdict"] == "BAD" if status["health"]["ring_fill"] >= 0.9 else "WATCH"
            assert "the disk does not answer, or a stage does not end" in reasons(status)
            assert "no samples" not in reasons(status)
            assert status["health"]["lost"] == 0
        returned, report, stderr = ended(process)
    assert (returned, report["lost"], report["samples_per_channel"]) == (0, 0, 1_400_000), stderr
    assert_whole(out, 1_400_000)
    assert max(daqring.open(out)["health/verdict"][:]) >= 1.0


@STALLS
@pytest.mark.parametrize(
    ("overflow", "status", "reason", "cause"),
    [
        ("wait", 3, "overwrite", "overwrite"),
        ("drop_newest", 3, "finished", "overrun"),
        ("drop_oldest", 3, "finished", "overrun"),
        ("fail", 1, "error", None),
    ],
)
def test_a_disk_that_stalls_for_longer_ends_as_the_policy_says(tmp_path, overflow, status, reason, cause):
    out = tmp_path / "rig.tdms"
    file = run_file(tmp_path, f'overflow = "{overflow}"\nbuffer_seconds = 1.0')
    with recording(file, out, "--seconds", "12") as process:
        seen(running_with(50_000))
        with stalled(process.pid):
            if overflow == "fail":
                # It ends the moment the ring is full, which may be between two looks.
                shown = seen(lambda shown: shown["state"] == "finishing")
                assert shown["verdict"] in ("WATCH", "BAD")
            else:
                shown = seen(lambda shown: shown["health"]["ring_fill"] >= 0.9 or shown["health"]["lost"] > 0)
                assert shown["verdict"] == "BAD"
            assert "ring" in reasons(shown) or "lost" in reasons(shown)
            # Longer than the driver's buffer lasts, too.
            time.sleep(2.0)
        returned, report, stderr = ended(process)
    assert (returned, report["stop_reason"]) == (status, reason), stderr
    assert {gap["cause"] for gap in report["gaps"]} == (set() if cause is None else {cause})
    if cause is None:
        assert "ring" in stderr
        assert "full" in stderr
    else:
        assert report["lost"] > 0
        assert "daqring: samples were lost" in stderr
    log = daqring.open(out)
    assert log.finished
    groups = [group for group in log.groups.values() if not group.housekeeping and group.name != "health"]
    assert sum(len(group.channels[0]) for group in groups) == report["samples_per_channel"]
    for group in groups:
        for number, channel in enumerate(group.channels):
            assert_pattern(channel.raw[:], number, first=group.first_sample)


@STALLS
@POSIX
def test_a_second_ctrl_c_leaves_a_stalled_disk(tmp_path):
    out = tmp_path / "rig.tdms"
    with recording(run_file(tmp_path), out) as process:
        seen(running_with(50_000))
        with stalled(process.pid) as thread:
            process.send_signal(signal.SIGINT)
            seen(lambda status: status["state"] == "finishing")
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            bury(thread)
            returned, report, stderr = ended(process)
    assert (returned, report) == (130, {})
    assert "daqring recover" in stderr
    assert run("verify", out).returncode == 3
    assert run("recover", out, "--output", tmp_path / "again.tdms").returncode == 0
    assert run("verify", tmp_path / "again.tdms").returncode in (0, 3)
    raw = daqring.open(tmp_path / "again.tdms")["rig/Dev1/ai2"].raw[:]
    assert len(raw) >= 50_000
    assert_pattern(raw, 2)


# -- the device goes away -----------------------------------------------------------------------

#: A function as a user has it, and the person who plugs the device in again: at the second try.
REPLUGGED = """
import daqring.sim, nidaqmx
from nidaqmx.constants import AcquisitionType

FAULTS = {cycles}
made = tried = 0

def make_tasks():
    global made, tried
    tried += 1
    if tried % 2 == 0:
        daqring.sim.unplug("Dev1")
        raise OSError("the device is not there yet")
    daqring.sim.plug("Dev1")
    task = nidaqmx.Task("rig")
    try:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1")
        task.timing.cfg_samp_clk_timing(10_000, sample_mode=AcquisitionType.CONTINUOUS)
    except nidaqmx.DaqError:
        task.close()
        raise
    if made < FAULTS:
        daqring.sim.fault("Dev1", "unplugged", after=2_000)
    made += 1
    return task
"""


def replugged(folder: Path, cycles: int, into: str) -> Path:
    (folder / "rig.py").write_text(REPLUGGED.format(cycles=cycles))
    file = folder / "run.toml"
    file.write_text(
        f"""
from = "rig.py:make_tasks"
block_ms = 20
[restart]
on = "device error"
attempts = 50
wait = 0.05
into = "{into}"
[simulation]
signal = "pattern"
"""
    )
    return file


def test_ten_replugs_by_a_run_file_tell_every_gap(tmp_path):
    cycles = 10
    out = tmp_path / "run.tdms"
    with recording(replugged(tmp_path, cycles, "group"), out) as process:
        status = seen(
            lambda status: status["health"]["restarts"] == cycles and not status["health"]["restarting"]
        )
        assert status["verdict"] == "BAD"
        assert "samples lost" in reasons(status)
        samples = status["health"]["samples"]
        seen(running_with(samples + 3000))
        # Values of now, behind all the restarts.
        status = seen(lambda status: not status["health"]["stale"])
        assert set(status["health"]["values"]) == {"rig/Dev1/ai0", "rig/Dev1/ai1"}
        assert run("stop", "run").returncode == 0
        returned, report, stderr = ended(process)
    assert (returned, report["stop_reason"], report["error"]) == (3, "stopped", None), stderr
    gaps = report["gaps"]
    assert [gap["cause"] for gap in gaps] == ["unplugged"] * cycles
    assert all(gap["count"] > 0 for gap in gaps)
    assert report["lost"] == sum(gap["count"] for gap in gaps)

    info = json.loads(run("info", out, "--json").stdout)
    told = [(gap["first_sample"], gap["count"], gap["cause"]) for gap in info["gaps"]]
    assert told == [(gap["first_sample"], gap["count"], gap["cause"]) for gap in gaps]
    assert run("verify", out).returncode == 3

    # Any program sees them: a group for every stretch, with its own time.
    groups = [group for group in TdmsFile.read(out).groups() if group.name.split(" #")[0] == "rig"]
    assert [group.name for group in groups] == ["rig", *(f"rig #{part}" for part in range(2, cycles + 2))]
    stretches = [group["Dev1/ai1"].raw_data for group in groups]
    assert [len(stretch) for stretch in stretches[:-1]] == [2000] * cycles
    assert sum(map(len, stretches)) == report["samples_per_channel"]
    for stretch in stretches:
        assert_pattern(stretch, 1)
    starts = [group["Dev1/ai1"].properties["wf_start_time"] for group in groups]
    lengths = [np.timedelta64(round(len(stretch) / 10_000 * 1e6), "us") for stretch in stretches]
    missing = [np.timedelta64(round(gap["count"] / 10_000 * 1e6), "us") for gap in gaps]
    for part in range(cycles):
        apart = starts[part + 1] - starts[part]
        assert abs(apart - lengths[part] - missing[part]) < np.timedelta64(1, "ms")


def test_replugs_into_files_of_their_own(tmp_path):
    out = tmp_path / "run.tdms"
    with recording(replugged(tmp_path, 3, "file"), out) as process:
        seen(lambda status: status["health"]["restarts"] == 3 and not status["health"]["restarting"])
        seen(lambda status: status["health"]["samples"] >= 8000)
        assert run("stop", "run").returncode == 0
        returned, report, stderr = ended(process)
    assert (returned, len(report["gaps"])) == (3, 3), stderr
    assert [Path(file).name for file in report["files"]] == [
        *("run.tdms", "run_0001.tdms", "run_0002.tdms", "run_0003.tdms")
    ]
    for file in report["files"]:
        (group,) = [
            group
            for group in TdmsFile.read(file).groups()
            if group.name.split(" #")[0] == "rig" and len(group["Dev1/ai0"])
        ]
        assert_pattern(group["Dev1/ai0"].raw_data, 0)
    assert len(json.loads(run("info", out, "--json").stdout)["gaps"]) == 3


def test_a_device_that_stays_away_is_told_and_its_values_are_old(tmp_path):
    out = tmp_path / "run.tdms"
    file = replugged(tmp_path, 1, "group")
    rig = tmp_path / "rig.py"
    rig.write_text(rig.read_text().replace('    daqring.sim.plug("Dev1")\n', ""))
    file.write_text(file.read_text().replace("attempts = 50", "attempts = 1_000_000"))
    with recording(file, out) as process:
        status = seen(lambda status: " tries so far" in reasons(status) and status["health"]["stale"])
        assert status["verdict"] == "BAD"
        assert reasons(status).startswith("device error: the tasks are made anew, ")
        assert set(status["health"]["stale"]) == set(status["health"]["values"])
        shown = run("top", "--once").stdout
        assert "! device error: the tasks are made anew" in shown
        assert " old)" in shown
        assert run("stop", "run").returncode == 0
        returned, report, stderr = ended(process)
    assert (returned, report["samples_per_channel"]) == (1, 2000), stderr
    assert "-201003" in stderr
    assert_pattern(daqring.open(out)["rig/Dev1/ai0"].raw[:], 0)


def test_an_unplugged_device_without_a_policy_ends_it(tmp_path):
    out = tmp_path / "rig.tdms"
    fault = '[[simulation.faults]]\ndevice = "Dev1"\nkind = "unplugged"\nafter = 30_000'
    log = tmp_path / "rig.log"
    with recording(run_file(tmp_path, simulation=fault), out, "--log", log) as process:
        returned, report, stderr = ended(process)
    assert (returned, report["stop_reason"], report["complete"]) == (1, "error", False)
    assert "-201003" in stderr
    assert "-201003" in report["error"]
    assert "-201003" in log.read_text()
    assert json.loads(run("info", out, "--json").stdout)["properties"]["daqring.stop_reason"] == "error"
    assert_whole(out, 30_000)


def test_a_clock_that_stops_is_told_and_ends_it_by_the_watchdog(tmp_path):
    out = tmp_path / "rig.tdms"
    fault = '[[simulation.faults]]\ndevice = "Dev1"\nkind = "clock_lost"\nafter = 30_000\nseconds = inf'
    with recording(run_file(tmp_path, "no_samples = 12", fault), out) as process:
        status = seen(lambda status: "no samples" in reasons(status))
        assert status["verdict"] == "WATCH"
        assert "neither clock nor trigger comes" in reasons(status)
        returned, report, stderr = ended(process)
    assert (returned, report["stop_reason"], report["lost"]) == (1, "no samples", 0)
    assert "no samples came from task 'rig' for 12 s; check its clock and its trigger" in stderr
    assert_whole(out, 30_000)


# -- viewers ------------------------------------------------------------------------------------

SCOPE = """
import sys, time, daqring
from daqring.scope import envelope_of
while True:
    log = daqring.open(sys.argv[1])
    for channel in log.groups["rig"].channels:
        envelope_of(channel, None)
    print(len(channel), flush=True)
    time.sleep(0.01)
"""


@POSIX
def test_viewers_that_hang_or_die_change_nothing(tmp_path):
    """Two of `top`, two of the scope's reading side; of each one is stopped and one killed."""
    out = tmp_path / "rig.tdms"
    viewers: list[subprocess.Popen[str]] = []
    with recording(run_file(tmp_path), out, "--seconds", "12") as process:
        seen(running_with(10_000))
        commands = (
            daqring_command("top", "--json", "--interval", "0.01"),
            [sys.executable, "-c", SCOPE, str(out)],
        )
        try:
            for command in (*commands, *commands):
                viewers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            for viewer in viewers:
                assert viewer.stdout is not None
                assert viewer.stdout.readline()
            for viewer in viewers[:2]:
                viewer.send_signal(signal.SIGSTOP)
            for viewer in viewers[2:]:
                viewer.kill()
            before = seen(running_with(10_000))["health"]["samples"]
            seen(running_with(before + 50_000))
            returned, report, stderr = ended(process)
        finally:
            for viewer in viewers:
                viewer.kill()
                viewer.communicate()
    assert (returned, report["lost"], report["samples_per_channel"]) == (0, 0, 1_200_000), stderr
    assert_whole(out, 1_200_000)


# -- it is told to end --------------------------------------------------------------------------


@POSIX
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(("length", "status"), [((), 0), (("--seconds", "600"), 130)])
def test_signals_end_in_order(tmp_path, name, length, status):
    out = tmp_path / "rig.tdms"
    with recording(run_file(tmp_path), out, *length) as process:
        seen(running_with(20_000))
        process.send_signal(getattr(signal, name))
        returned, report, stderr = ended(process)
    assert (returned, report["stop_reason"], report["lost"]) == (status, "interrupted", 0), stderr
    assert_whole(out, report["samples_per_channel"])


@POSIX
def test_nohup_outlives_a_hangup(tmp_path):
    out = tmp_path / "rig.tdms"

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with recording(run_file(tmp_path), out, preexec_fn=ignore) as process:
        before = seen(running_with(10_000))["health"]["samples"]
        process.send_signal(signal.SIGHUP)
        seen(running_with(before + 100_000))
        assert run("stop", "rig").returncode == 0
        returned, report, stderr = ended(process)
    assert (returned, report["stop_reason"]) == (0, "stopped"), stderr


@POSIX
def test_a_terminal_that_is_closed_ends_it_in_order(tmp_path):
    import pty

    out = tmp_path / "rig.tdms"
    command = daqring_command("record", run_file(tmp_path), out, "--seconds", "600")
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)
    try:
        seen(running_with(20_000))
        shown = os.read(terminal, 100_000).decode()
        assert "GOOD" in shown
        assert "of 0.8 MB/s" in shown
        os.close(terminal)
        _, status = os.waitpid(child, 0)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    assert os.waitstatus_to_exitcode(status) == 130
    log = daqring.open(out)
    assert log.finished
    assert log.properties["daqring.stop_reason"] == "interrupted"
    assert_whole(out, len(log["rig/Dev1/ai0"]))


# -- all of it at once --------------------------------------------------------------------------


def test_a_soak_in_simulated_time_loses_nothing(tmp_path):
    """`benches/soak.py`: workers, stages, capture, taps, viewers, history, metrics, rotation, notes."""
    script = Path(__file__).resolve().parent.parent / "benches" / "soak.py"
    result = tmp_path / "soak.json"
    done = subprocess.run(
        [
            *(sys.executable, str(script), "--stepped", "8", "--rate", "8"),
            *("--folder", str(tmp_path), "--json", str(result)),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    found = json.loads(result.read_text())
    assert found["samples"] == found["wanted"] == [4_000_000, 800]
    assert (found["lost"], found["gaps"], found["problems"], found["failures"]) == (0, 0, [], [])
    assert found["files_kept"] > 1
    assert found["polled"] > 0
