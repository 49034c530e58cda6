#!/usr/bin/env python3
"""A long recording with all of it on, and what becomes of its memory, its samples and its CPU.

`python benches/soak.py [--minutes 30] [--rate 32] [--folder DIR] [--json FILE]`
`python benches/soak.py --stepped 5 --rate 8`: time of the simulator, moved as fast as it is kept up with

Two tasks of a simulated rig (a PXIe-6396 with 8 channels, a PCIe-6363 with 4 channels at 100 S/s) are
recorded with workers, three stages, sync, rotation with `keep`, history of the health every second, metrics
that are asked for, notes, results of another program, taps that are polled and one that nobody takes,
`latest`, `capture`, and two viewers in processes of their own: `daqring top`, and one that reads the newest
file as the scope does. It fails (exit status 1) if samples were lost, a file is not whole, memory grew after
the start, or the health took more than 1 % of a core.

CPU is that of this process, which holds the simulated devices, too. On a busy machine the figures of CPU
and margins are worth nothing; that nothing is lost is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import daqring
import daqring.sim
import nidaqmx
import numpy as np
import psutil
from daqring import metrics
from daqring.scope import envelope_of
from daqring.stages import Envelope, Statistics, Trigger
from nidaqmx.constants import AcquisitionType

CHANNELS = 8
SLOW_RATE = 100.0
#: Growth of memory after the start that is noise, in MB, and the part of a core that health may take.
FLAT = 8.0
HEALTH_SHARE = 0.01
#: Seconds of simulated time that are let pass at once, and until they must have been recorded.
STEP, PATIENCE = 0.1, 60.0


def view(folder: Path) -> None:
    """The reading side of a scope: the newest second of the newest file, twice a second, until the end."""
    while True:
        files = sorted(folder.glob("soak*.tdms"))
        # A file that is being made, or removed by `keep`, comes back at the next look.
        with contextlib.suppress(daqring.DaqringError, OSError):
            log = daqring.open(files[-1], follow=False) if files else None
            for group in () if log is None else log.groups.values():
                for channel in group.channels if group.name.startswith("rig") else ():
                    envelope_of(channel, 1.0)
        time.sleep(0.5)


@contextlib.contextmanager
def viewers(folder: Path, runtime: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    environment = os.environ | {"DAQRING_RUNTIME_DIR": str(runtime)}
    commands = (
        [sys.executable, "-m", "daqring", "top", "--json", "--interval", "1"],
        [sys.executable, __file__, "--view", str(folder)],
    )
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for command in commands]
    try:
        yield running
    finally:
        for viewer in running:
            viewer.kill()
            viewer.wait()


def tasks(rate: float) -> list[nidaqmx.Task]:
    rig, slow = nidaqmx.Task("rig"), nidaqmx.Task("slow")
    rig.ai_channels.add_ai_voltage_chan(f"Dev1/ai0:{CHANNELS - 1}")
    rig.timing.cfg_samp_clk_timing(rate, sample_mode=AcquisitionType.CONTINUOUS)
    slow.ai_channels.add_ai_voltage_chan("Dev2/ai0:3")
    slow.timing.cfg_samp_clk_timing(SLOW_RATE, sample_mode=AcquisitionType.CONTINUOUS)
    return [rig, slow]


class Seen:
    """What is looked at again and again."""

    def __init__(self) -> None:
        self.process = psutil.Process()
        self.rows: list[dict[str, Any]] = []
        self.verdicts: dict[str, int] = {}
        self.reasons: dict[str, int] = {}

    def look(self, recorder: daqring.Recorder, began: float, log: bool) -> None:
        health = recorder.health()
        self.verdicts[health.verdict] = self.verdicts.get(health.verdict, 0) + 1
        for reason in health.reasons:
            kind = " ".join(word for word in reason.split() if not any(sign.isdigit() for sign in word))
            self.reasons[kind] = self.reasons.get(kind, 0) + 1
        memory = self.process.memory_info()
        row = {
            "at": time.monotonic() - began,
            "resident_mb": memory.rss / 1e6,
            "private_mb": (memory.rss - getattr(memory, "shared", 0)) / 1e6,
            "threads": self.process.num_threads(),
            "files": len(self.process.open_files()),
            "lost": health.lost,
            "ring_margin": health.ring_margin,
            "driver_margin": health.driver_margin,
            "slowest_write": health.slowest_write,
            "actual_mb_per_s": health.actual_mb_per_s,
            "verdict": health.verdict,
        }
        self.rows.append(row)
        if log:
            print(
                f"{row['at']:8.1f} s  {row['resident_mb']:8.1f} MB  {row['threads']:3} threads  "
                f"{row['files']:3} files  {row['actual_mb_per_s']:6.1f} MB/s  lost {row['lost']}  "
                f"driver {row['driver_margin']:.2f} s  ring {row['ring_margin']:.2f} s  "
                f"slowest write {row['slowest_write']:.3f} s  {health.verdict} {'; '.join(health.reasons)}",
                flush=True,
            )


class Others:
    """What users do beside a recording: looking at it, writing into it, asking for figures."""

    def __init__(self, recorder: daqring.Recorder, url: str, period: float) -> None:
        self._recorder = recorder
        self._period = period
        self._url = url
        self._over = threading.Event()
        self.polled = self.asked = self.notes = self.captures = 0
        self.failures: list[str] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:
            self.failures.append(repr(error))

    def _work(self) -> None:
        recorder, turn = self._recorder, 0
        with recorder.tap(), recorder.tap() as blocks, recorder.tap("envelope", rate=500.0) as envelope:
            # The first of them is never taken from.
            while not self._over.wait(self._period):
                turn += 1
                # Who is late finds more than one; blocks that a tap keeps are memory of the viewer's.
                for tap in (blocks, envelope):
                    while tap.poll() is not None:
                        self.polled += 1
                if turn % 10 == 0:
                    recorder.latest(0.1)
                    recorder.write("results", [float(turn)], t0=time.time(), dt=1.0)
                if turn % 50 == 0:
                    with urllib.request.urlopen(self._url, timeout=10) as answer:
                        self.asked += b"daqring_verdict" in answer.read()
                    recorder.annotate(f"turn {turn}")
                    self.notes += 1
                    recorder.capture("events")
                    self.captures += 1

    def __enter__(self) -> Others:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def cpu_of(thread_name: str) -> float | None:
    """Seconds of CPU of a thread of this process."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return None
    for thread in threading.enumerate():
        if thread.name == thread_name and thread.ident is not None:
            return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
    return None


def let_pass(recorder: daqring.Recorder, seconds: float, rate: float, seen: Seen, began: float) -> None:
    """Moves the simulated time, never further than what has been recorded allows."""
    for number in range(1, round(seconds / STEP) + 1):
        daqring.sim.step(STEP)
        wanted, until = round(number * STEP * rate), time.monotonic() + PATIENCE
        while recorder.stats()["streams"][0]["samples"] < wanted - recorder.rate * STEP * 20:
            if time.monotonic() > until:
                raise SystemExit(f"{wanted:,} samples have not come within {PATIENCE:g} s")
            time.sleep(0.002)
        if number % 5 == 0:
            seen.look(recorder, began, log=False)


def growth(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Slope and range of the memory after the first fifth of the run."""
    settled = rows[len(rows) // 5 :]
    memory = np.array([row["resident_mb"] for row in settled])
    at = np.array([row["at"] for row in settled])
    slope = float(np.polyfit(at, memory, 1)[0]) if len(memory) > 2 else 0.0
    third = max(1, len(memory) // 3)
    return {
        "slope_mb_per_hour": slope * 3600,
        "range_mb": float(memory.max() - memory.min()),
        # Medians: a write of the page cache or a garbage collection moves single values.
        "grown_mb": statistics.median(memory[-third:]) - statistics.median(memory[:third]),
        "median_mb": statistics.median(memory),
    }


def soak(folder: Path, *, seconds: float, mb_per_s: float, stepped: bool) -> dict[str, Any]:
    rate = mb_per_s * 1e6 / (CHANNELS * 2)
    runtime = folder / "runtime"
    os.environ["DAQRING_RUNTIME_DIR"] = str(runtime)
    clock = "stepped" if stepped else "real"
    daqring.sim.install({"Dev1": "PXIe-6396", "Dev2": "PCIe-6363"}, clock=clock, signal="sine")
    seen, process = Seen(), psutil.Process()
    # A file for half a minute, but at least eight files.
    each = mb_per_s * 1e6 * min(30.0, seconds / 8)
    recorder = daqring.Recorder(
        lambda: tasks(rate),
        folder / "soak_{index}.tdms",
        seconds=seconds,
        workers=2,
        log=daqring.LogOptions(sync="1 s", rotate=round(each), keep=round(4 * each)),
        history="1 s",
        keep_seconds=0.5,
        no_samples=120,
        stages={
            "rig": [
                Statistics(every=0.1),
                Envelope(every=0.01),
                Trigger("Dev1/ai0", level=9.0, pre=0.001, post=0.001, gate=False, name="events"),
            ]
        },
    )
    cpu_before = process.cpu_times()
    health_cpu: float | None = None
    with contextlib.ExitStack() as stack:
        host, port = stack.enter_context(metrics.served(recorder, 0))
        recorder.start()
        began = time.monotonic()
        watching = stack.enter_context(viewers(folder, runtime))
        others = stack.enter_context(
            Others(recorder, f"http://{host}:{port}/metrics", 0.005 if stepped else 0.1)
        )
        if stepped:
            let_pass(recorder, seconds, rate, seen, began)
            # What belongs to the last samples comes with them.
            daqring.sim.step(1.0)
        every = min(10.0, max(seconds / 60, 0.5))
        due = began + every
        while not recorder.wait(0.2):
            health_cpu = cpu_of("daqring-monitor")
            if not stepped and time.monotonic() >= due:
                due += every
                seen.look(recorder, began, log=True)
        viewers_failed = [viewer.args for viewer in watching if viewer.poll() is not None]
    health_wall = time.monotonic() - began
    report = recorder.close()
    cpu = process.cpu_times()
    used = cpu.user + cpu.system - cpu_before.user - cpu_before.system
    files = [Path(file) for file in report.files if Path(file).exists()]
    checked = [daqring.verify(file) for file in files]
    return {
        "seconds": seconds,
        "mb_per_s": mb_per_s,
        "clock": clock,
        "samples": [stream.samples_per_channel for stream in report.streams],
        "wanted": [round(seconds * rate), round(seconds * SLOW_RATE)],
        "lost": report.lost,
        "lost_unknown": report.lost_unknown,
        "gaps": len(report.gaps),
        "stop_reason": report.stop_reason,
        "error": report.error,
        "driver_margin": min(stream.driver_margin for stream in report.streams),
        "ring_margin": min(stream.ring_margin for stream in report.streams),
        "slowest_write": report.slowest_write,
        "files_made": len(report.files),
        "files_kept": len(files),
        "problems": [
            f"{file.name}: {problem}"
            for file, each in zip(files, checked, strict=True)
            for problem in each.problems
        ],
        "cpu_of_a_core": used / health_wall,
        "cpu_seconds_per_gb": used / (report.bytes / 1e9),
        "health_cpu_seconds": health_cpu,
        "health_of_a_core": None if health_cpu is None else health_cpu / health_wall,
        "verdicts": seen.verdicts,
        "reasons": seen.reasons,
        "polled": others.polled,
        "metrics_asked": others.asked,
        "notes": others.notes,
        "captures": others.captures,
        "failures": [*others.failures, *(f"a viewer ended: {command}" for command in viewers_failed)],
        "memory": growth(seen.rows),
        "threads": [seen.rows[0]["threads"], seen.rows[-1]["threads"]],
        "open_files": [min(row["files"] for row in seen.rows), max(row["files"] for row in seen.rows)],
        "rows": seen.rows,
    }


def wrong(result: dict[str, Any]) -> list[str]:
    """What a run with this result has to be ashamed of."""
    found = [f"samples were lost: {result['lost']}"] if result["lost"] or result["lost_unknown"] else []
    if result["samples"] != result["wanted"]:
        found.append(f"{result['samples']} samples of {result['wanted']} were recorded")
    found += result["problems"] + result["failures"]
    if result["error"] is not None:
        found.append(result["error"])
    if result["clock"] == "stepped":
        # Simulated seconds say nothing about CPU, and a short run nothing about memory.
        return found
    if result["memory"]["grown_mb"] > FLAT:
        found.append(f"memory grew by {result['memory']['grown_mb']:.1f} MB")
    if (result["health_of_a_core"] or 0.0) > HEALTH_SHARE:
        found.append(f"the health took {result['health_of_a_core']:.1%} of a core")
    return found


def tell(result: dict[str, Any]) -> None:
    memory = result["memory"]
    print(f"{result['seconds']:g} s at {result['mb_per_s']:g} MB/s, clock {result['clock']}")
    print(
        f"samples:  {result['samples']} of {result['wanted']}, lost {result['lost']}, gaps {result['gaps']}"
    )
    print(
        f"memory:   {memory['median_mb']:.1f} MB, after the start {memory['grown_mb']:+.1f} MB "
        f"({memory['slope_mb_per_hour']:+.2f} MB an hour, max - min {memory['range_mb']:.1f} MB); "
        f"threads {result['threads']}, open files {result['open_files']}"
    )
    print(
        f"margins:  driver {result['driver_margin']:.2f} s, ring {result['ring_margin']:.2f} s, "
        f"slowest write {result['slowest_write']:.3f} s"
    )
    if result["clock"] == "real":
        print(
            f"cpu:      {result['cpu_of_a_core']:.1%} of a core, "
            f"{result['cpu_seconds_per_gb']:.2f} s per GB, with the simulated devices and all stages"
        )
        if result["health_of_a_core"] is not None:
            print(
                f"health:   {result['health_of_a_core']:.2%} of a core "
                f"({result['health_cpu_seconds']:.2f} s): look, status file, history"
            )
    print(
        f"files:    {result['files_made']} made, {result['files_kept']} kept, problems {result['problems']}"
    )
    print(
        f"besides:  {result['polled']} polls, {result['metrics_asked']} answers for Prometheus, "
        f"{result['notes']} notes, {result['captures']} captures; verdicts {result['verdicts']}"
    )
    for reason, count in result["reasons"].items():
        print(f"          {count} x {reason}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--stepped", type=float, metavar="SECONDS", help="so much simulated time instead")
    parser.add_argument("--rate", type=float, default=32.0, metavar="MB/S")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path, metavar="FILE", help="the whole result, with every look")
    parser.add_argument("--view", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.view is not None:
        view(arguments.view)
    stepped = arguments.stepped is not None
    seconds = arguments.stepped if stepped else arguments.minutes * 60
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        result = soak(Path(folder), seconds=seconds, mb_per_s=arguments.rate, stepped=stepped)
    tell(result)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    found = wrong(result)
    for each in found:
        print(f"NOT GOOD: {each}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
