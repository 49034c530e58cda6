#!/usr/bin/env python3
"""What recording costs: daqring beside plain O_DIRECT writing and beside NI's queue recipe.

`python benches/record.py [--gib 4] [--repeats 3] [--json FILE] [--folder DIR]`

All cases take 8 channels of int16 from the same simulated PXIe-6396 and end with fsync; the cases
of a table are interleaved. CPU is user + system time of this process, source included; the line
"source alone" says what the simulated device itself costs.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import queue
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import daqring
import daqring.sim
import nidaqmx
import numpy as np
from nidaqmx.constants import AcquisitionType
from nidaqmx.stream_readers import AnalogUnscaledReader

CHANNELS = 8
RATE = 14_290_000.0
FRAME = CHANNELS * 2
KIB = 1024
MIB = 1 << 20


def make_task() -> nidaqmx.Task:
    task = nidaqmx.Task()
    task.ai_channels.add_ai_voltage_chan(f"Dev1/ai0:{CHANNELS - 1}")
    task.timing.cfg_samp_clk_timing(RATE, sample_mode=AcquisitionType.CONTINUOUS)
    return task


def plain_writes(path: Path, total: int, direct: bool) -> None:
    """The limit: 4 MiB at a time from one aligned buffer, nothing else."""
    buffer = mmap.mmap(-1, 4 * MIB)
    buffer.write(os.urandom(4 * MIB))
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | (os.O_DIRECT if direct else 0), 0o644)
    try:
        for offset in range(0, total, 4 * MIB):
            os.pwrite(file, buffer, offset)
        os.fsync(file)
    finally:
        os.close(file)


def source_alone(path: Path, total: int, block: int = 4 * MIB) -> None:
    """Reads into one array and forgets it."""
    count = block // FRAME
    into = np.empty((CHANNELS, count), np.int16)
    with make_task() as task:
        task.in_stream.input_buf_size = round(4 * RATE)
        reader = AnalogUnscaledReader(task.in_stream)
        task.start()
        for _ in range(total // block):
            reader.read_int16(into, count)


def recipe(path: Path, total: int, block: int) -> None:
    """NI's producer/consumer recipe at its best: bounded queue, binary file, joins instead of spinning."""
    count = block // FRAME
    line: queue.Queue[np.ndarray | None] = queue.Queue(maxsize=max(4, 256 * MIB // block))

    def produce() -> None:
        with make_task() as task:
            task.in_stream.input_buf_size = round(4 * RATE)
            reader = AnalogUnscaledReader(task.in_stream)
            task.start()
            for _ in range(total // block):
                into = np.empty((CHANNELS, count), np.int16)
                reader.read_int16(into, count)
                line.put(into)
        line.put(None)

    def consume() -> None:
        with open(path, "wb", buffering=0) as file:
            while (block := line.get(timeout=2)) is not None:
                file.write(memoryview(block).cast("B"))
            os.fsync(file.fileno())

    threads = [threading.Thread(target=produce), threading.Thread(target=consume)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def ours(path: Path, total: int) -> None:
    with make_task() as task:
        report = daqring.record(task, path, samples=total // FRAME, overwrite=True, progress=False)
    assert report.complete, report


def measure(run: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock and by the CPU."""
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    run()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def table(
    title: str, cases: dict[str, Callable[[], None]], total: int, repeats: int, path: Path, ratio_to: str
) -> dict[str, object]:
    walls: dict[str, list[float]] = {name: [] for name in cases}
    cpus: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, run in cases.items():
            path.unlink(missing_ok=True)
            wall, cpu = measure(run)
            walls[name].append(wall)
            cpus[name].append(cpu)
    path.unlink(missing_ok=True)
    print(f"\n{title}: {total / 1e9:.2f} GB, medians of {repeats}")
    print(f"{'':44}{'MB/s':>8}{'spread':>16}{'CPU s/GB':>10}{'of ' + ratio_to:>32}")
    rows = {}
    base = statistics.median(walls[ratio_to])
    for name in cases:
        speeds = sorted(total / wall / 1e6 for wall in walls[name])
        median = total / statistics.median(walls[name]) / 1e6
        cpu = statistics.median(cpus[name]) / (total / 1e9)
        ratio = base / statistics.median(walls[name])
        rows[name] = {
            "mb_per_s": median,
            "min": speeds[0],
            "max": speeds[-1],
            "cpu_s_per_gb": cpu,
            "ratio": ratio,
        }
        print(f"{name:44}{median:8.0f}{f'{speeds[0]:.0f}-{speeds[-1]:.0f}':>16}{cpu:10.3f}{ratio:32.2f}")
    return {"bytes": total, "repeats": repeats, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gib", type=float, default=4.0, help="size of the unthrottled run")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the real-time run")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", default=".", help="where the files are written")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    results: dict[str, object] = {"commit": commit, "cores": os.cpu_count(), "python": sys.version.split()[0]}
    print(f"commit {commit}, {os.cpu_count()} cores, Python {results['python']}")
    total = round(arguments.gib * (1 << 30)) // (4 * MIB) * 4 * MIB
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "bench.tdms"
        plain = "plain O_DIRECT pwrite, 4 MiB"
        recipes = {
            f"queue.Queue and file.write, {size // KIB} KiB": lambda size=size: recipe(path, total, size)
            for size in (64 * KIB, 256 * KIB, MIB, 4 * MIB)
        }
        daqring.sim.install(product="PXIe-6396", signal="pattern", clock="unthrottled")
        results["unthrottled"] = table(
            "As fast as it goes",
            {
                plain: lambda: plain_writes(path, total, direct=True),
                "daqring.record": lambda: ours(path, total),
                **recipes,
                "source alone": lambda: source_alone(path, total),
            },
            total,
            arguments.repeats,
            path,
            plain,
        )
        daqring.sim.uninstall()
        daqring.sim.install(product="PXIe-6396", signal="pattern", clock="real")
        paced = round(arguments.seconds * RATE) * FRAME // (4 * MIB) * 4 * MIB
        results["real_time"] = table(
            f"PXIe-6396 at full rate ({RATE * FRAME / 1e6:.0f} MB/s) in real time",
            {
                "daqring.record": lambda: ours(path, paced),
                "queue.Queue and file.write, 1024 KiB": lambda: recipe(path, paced, MIB),
                "source alone": lambda: source_alone(path, paced),
            },
            paced,
            arguments.repeats,
            path,
            "daqring.record",
        )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
