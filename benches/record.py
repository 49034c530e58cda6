#!/usr/bin/env python3
"""What recording costs: daqring beside plain O_DIRECT writing and beside NI's queue recipe.

`python benches/record.py [--gib 4] [--repeats 11] [--json FILE] [--folder DIR] [--full 60] [--soak 600]`

`--full` records so many seconds at the full rate of one and of two devices, beside a busy Python thread;
`--soak` watches the memory over so many seconds. Both only on request.

All cases take 8 channels of int16 from the same simulated PXIe-6396 and end with fsync; the cases
of a table are interleaved. CPU is user + system time of this process, source included; the line
"source alone" says what the simulated device itself costs; "publish only" is the native reader with ring and
workers, but without a log, and the last column of numbers counts CPU above it.
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
PUBLISH = "publish only: native reader, no log"


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


def text(path: Path, total: int) -> None:
    """NI's recipe as it is written: lists on a queue, each written as text."""
    count = 1000
    line: queue.Queue[list[list[float]]] = queue.Queue()

    def produce() -> None:
        with make_task() as task:
            for _ in range(total // (count * FRAME)):
                line.put(task.read(count))

    def consume() -> None:
        with open(path, "w") as file:
            while True:
                try:
                    file.write(f"{line.get(timeout=1)}\n")
                except queue.Empty:
                    if not producer.is_alive():
                        return

    producer, consumer = threading.Thread(target=produce), threading.Thread(target=consume)
    producer.start()
    consumer.start()
    producer.join()
    while not line.empty():
        time.sleep(0.001)


def ours(path: Path | None, total: int, block: int | None = None, *, direct: bool | None = None) -> None:
    """A recording; without a path the native reader alone publishes into the ring, and nobody stores it."""
    length = None if block is None else block / FRAME / RATE * 1e3
    log = daqring.LogOptions(direct_io=direct)
    with make_task() as task:
        report = daqring.record(
            task, path, samples=total // FRAME, block_ms=length, overwrite=True, log=log, progress=False
        )
    assert report.complete, report
    assert report.reader == "native", report


def full_rate(folder: Path, seconds: float) -> dict[str, object]:
    """One and two devices at their full rate beside a busy Python thread."""
    results: dict[str, object] = {}
    for devices in (1, 2):
        daqring.sim.install(
            devices={f"Dev{number}": "PXIe-6396" for number in (1, 2)}, signal="pattern", clock="real"
        )
        stop = threading.Event()

        def work(stop: threading.Event = stop) -> None:
            number = 0
            while not stop.is_set():
                number = (number * 31 + 7) % 1_000_003

        busy = threading.Thread(target=work)
        tasks = []
        for number in range(1, devices + 1):
            task = nidaqmx.Task(f"full {number}")
            task.ai_channels.add_ai_voltage_chan(f"Dev{number}/ai0:{CHANNELS - 1}")
            task.timing.cfg_samp_clk_timing(RATE, sample_mode=AcquisitionType.CONTINUOUS)
            tasks.append(task)
        busy.start()
        try:
            report = daqring.record(
                tasks, folder / "full.tdms", seconds=seconds, overwrite=True, progress=False
            )
        finally:
            stop.set()
            busy.join()
            for task in tasks:
                task.close()
        print(f"\n{devices} x PXIe-6396 at full rate for {seconds:g} s beside a busy Python thread")
        print(report)
        results[f"{devices} devices"] = {
            "lost": report.lost,
            "complete": report.complete,
            "mb_per_s": report.mb_per_s,
            "ring_margin_s": report.ring_margin,
            "driver_margin_s": report.driver_margin,
        }
        (folder / "full.tdms").unlink(missing_ok=True)
    return results


def soak(folder: Path, seconds: float) -> dict[str, object]:
    """Resident memory of a recording at 32 MB/s, at the start, in the middle and at the end."""
    daqring.sim.install(product="PXIe-6396", signal="pattern", clock="real")
    page = os.sysconf("SC_PAGE_SIZE")

    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * page / 1e6

    seen = []
    options = daqring.LogOptions(rotate="1 GB", keep="2 GB")
    with nidaqmx.Task("soak") as task:
        task.ai_channels.add_ai_voltage_chan(f"Dev1/ai0:{CHANNELS - 1}")
        task.timing.cfg_samp_clk_timing(2_000_000, sample_mode=AcquisitionType.CONTINUOUS)
        with daqring.Recorder(task, folder / "soak.tdms", seconds=seconds, log=options) as recorder:
            while not recorder.wait(max(seconds / 20, 0.5)):
                seen.append(resident())
        report = recorder.report
    settled = seen[len(seen) // 5 :] or seen
    grown = settled[-1] - settled[0]
    print(f"\n{seconds:g} s at 32 MB/s: lost {report.lost}, memory {settled[0]:.1f} MB after the start, ")
    print(f"{settled[-1]:.1f} MB at the end, {grown:+.1f} MB")
    return {"seconds": seconds, "lost": report.lost, "resident_mb": seen, "grown_mb": grown}


def measure(run: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock and by the CPU."""
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    run()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def table(
    title: str,
    cases: dict[str, Callable[[], None]],
    total: int,
    repeats: int,
    path: Path,
    ratio_to: str,
    *,
    above: str | None = None,
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
    print(f"{'':44}{'MB/s':>8}{'spread':>16}{'CPU s/GB':>10}{'above':>8}{'of ' + ratio_to:>32}")
    rows = {}
    base = statistics.median(walls[ratio_to])
    floor = statistics.median(cpus[above]) / (total / 1e9) if above else None
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
            "cpu_s_per_gb_above": None if floor is None else cpu - floor,
            "ratio": ratio,
        }
        more = "" if floor is None else f"{cpu - floor:+.3f}"
        print(
            f"{name:44}{median:8.0f}{f'{speeds[0]:.0f}-{speeds[-1]:.0f}':>16}{cpu:10.3f}{more:>8}{ratio:32.2f}"
        )
    return {"bytes": total, "repeats": repeats, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gib", type=float, default=4.0, help="size of the unthrottled run")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the real-time run")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", default=".", help="where the files are written")
    parser.add_argument("--full", type=float, metavar="SECONDS", help="only full rate, beside a busy thread")
    parser.add_argument("--soak", type=float, metavar="SECONDS", help="only the memory of a long recording")
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
        if arguments.full or arguments.soak:
            if arguments.full:
                results["full_rate"] = full_rate(Path(folder), arguments.full)
            if arguments.soak:
                results["soak"] = soak(Path(folder), arguments.soak)
            if arguments.json:
                Path(arguments.json).write_text(json.dumps(results, indent=2) + "\n")
            return
        plain = "plain O_DIRECT pwrite, 4 MiB"
        recipes = {
            f"queue.Queue and file.write, {size // KIB} KiB": lambda size=size: recipe(path, total, size)
            for size in (64 * KIB, 256 * KIB, MIB, 4 * MIB)
        }
        daqring.sim.install(product="PXIe-6396", signal="pattern", clock="unthrottled")
        # Whoever comes first would pay for the table of the simulator's pattern.
        source_alone(path, 256 * MIB)
        ours(None, 256 * MIB)
        results["unthrottled"] = table(
            "As fast as it goes",
            {
                plain: lambda: plain_writes(path, total, direct=True),
                PUBLISH: lambda: ours(None, total),
                "daqring.record": lambda: ours(path, total),
                "daqring.record, direct_io=True": lambda: ours(path, total, direct=True),
                "daqring.record, direct_io=False": lambda: ours(path, total, direct=False),
                "daqring.record, reads of 64 KiB": lambda: ours(path, total, 64 * KIB),
                "daqring.record, reads of 16 KiB": lambda: ours(path, total, 16 * KIB),
                **recipes,
                "source alone": lambda: source_alone(path, total),
            },
            total,
            arguments.repeats,
            path,
            plain,
            above=PUBLISH,
        )
        # As large as the text can be waited for: the start of a recording would count for too much in less.
        small = 1000 * FRAME * 1000
        results["text"] = table(
            "NI's recipe as written",
            {"daqring.record": lambda: ours(path, small), "text": lambda: text(path, small)},
            small,
            arguments.repeats,
            path,
            "text",
        )
        daqring.sim.uninstall()
        daqring.sim.install(product="PXIe-6396", signal="pattern", clock="real")
        source_alone(path, 256 * MIB)
        ours(None, 256 * MIB)
        paced = round(arguments.seconds * RATE) * FRAME // (4 * MIB) * 4 * MIB
        results["real_time"] = table(
            f"PXIe-6396 at full rate ({RATE * FRAME / 1e6:.0f} MB/s) in real time",
            {
                PUBLISH: lambda: ours(None, paced),
                "daqring.record": lambda: ours(path, paced),
                "daqring.record, direct_io=True": lambda: ours(path, paced, direct=True),
                "daqring.record, direct_io=False": lambda: ours(path, paced, direct=False),
                "queue.Queue and file.write, 1024 KiB": lambda: recipe(path, paced, MIB),
                "source alone": lambda: source_alone(path, paced),
            },
            paced,
            arguments.repeats,
            path,
            "daqring.record",
            above=PUBLISH,
        )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
