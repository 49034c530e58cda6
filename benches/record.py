#!/usr/bin/env python3
"""What recording costs: daqring beside plain O_DIRECT writing and beside NI's queue recipe.

`python benches/record.py [--gib 2] [--repeats 11] [--json FILE] [--folder DIR] [--full 60] [--soak 600]`

A few minutes. `--full` records so many seconds at the full rate of one and of two devices, beside a busy
Python thread; `--soak` watches the memory over so many seconds. Both only on request.

All cases take 8 channels of int16 from the same simulated PXIe-6396 and end with fsync; the cases of a table
are interleaved. Speeds, ratios and CPU are medians over the repetitions, a ratio or a difference being taken
within each repetition. CPU is user + system time of this process; source, start and end included. What to
subtract:

- "publish only" is the native reader with ring and workers, but without a log, with the same reads; the
  column "above" of the first table counts CPU above it;
- "source alone" is what the simulated device costs, read by nidaqmx into one array; "above" beside the recipe
  counts CPU above that.

`nidaqlib`, which streams blocks of nidaqmx by asyncio, is measured where it is installed (`pip install
nidaqlib`; it needs Python 3.13). It hands out float64 volts, so its file is four times as large; its MB/s
count what the device gave, as in the other lines.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
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
PLAIN = "plain O_DIRECT pwrite, 4 MiB"
PUBLISH = "publish only: native reader, no log"
RECORD = "daqring.record"
#: The text of NI's recipe is slow; its speed does not depend on how much there is.
TEXT_BYTES = 500 * 1000 * FRAME


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


def nidaqlib_blocks(path: Path, total: int, block: int) -> None:
    """Another library's stream of blocks, told to wait for its consumer, into a binary file."""
    import nidaqlib

    spec = nidaqlib.TaskSpec(
        name="nidaqlib",
        channels=[
            nidaqlib.AnalogInputVoltage(physical_channel=f"Dev1/ai{channel}") for channel in range(CHANNELS)
        ],
        timing=nidaqlib.Timing(rate_hz=RATE),
    )

    async def record() -> None:
        count = block // FRAME
        with open(path, "wb", buffering=0) as file:
            session = await nidaqlib.open_device(spec)
            async with (
                session,
                nidaqlib.record(
                    session,
                    chunk_size=count,
                    buffer_size=max(4, 256 * MIB // (4 * block)),
                    overflow=nidaqlib.OverflowPolicy.BLOCK,
                ) as recording,
            ):
                left = total // block
                async for piece in recording.stream:
                    await asyncio.to_thread(file.write, memoryview(piece.data).cast("B"))
                    left -= 1
                    if not left:
                        break
            os.fsync(file.fileno())

    asyncio.run(record())


def ours(
    path: Path | None,
    total: int,
    *,
    read: int | None = None,
    block: int | None = None,
    direct: bool | None = None,
    checksum: bool = True,
) -> None:
    """A recording; without a path the native reader alone publishes into the ring, and nobody stores it."""

    def milliseconds(size: int | None) -> float | None:
        return None if size is None else size / FRAME / RATE * 1e3

    log = daqring.LogOptions(direct_io=direct, checksum=checksum)
    with make_task() as task:
        report = daqring.record(
            task,
            path,
            samples=total // FRAME,
            read_ms=milliseconds(read),
            block_ms=milliseconds(block),
            overwrite=True,
            log=log,
            progress=False,
        )
    assert report.complete, report
    assert report.reader == "native", report
    assert report.reads >= total // (read or block or total), report


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


def speed(mb_per_s: float) -> str:
    """Without digits that mean nothing."""
    return f"{mb_per_s:.0f}" if mb_per_s >= 100 else f"{mb_per_s:.3g}"


def table(
    title: str,
    cases: dict[str, Callable[[], None]],
    total: int,
    repeats: int,
    path: Path,
    ratio_to: str,
    *,
    above: dict[str, str] | None = None,
    sizes: dict[str, int] | None = None,
) -> dict[str, object]:
    """Runs the cases in turn and prints them. `above`: which case's CPU to subtract; `sizes`: bytes of
    cases that do less than `total`."""
    walls: dict[str, list[float]] = {name: [] for name in cases}
    cpus: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(repeats):
        ways = list(cases.items())
        # Nobody always comes after the same one, whose freed memory costs less than that of nobody.
        begin = turn * 5 % len(ways)
        for name, run in ways[begin:] + ways[:begin]:
            path.unlink(missing_ok=True)
            size = (sizes or {}).get(name, total)
            wall, cpu = measure(run)
            walls[name].append(wall / size)
            cpus[name].append(cpu / size * 1e9)
    path.unlink(missing_ok=True)
    print(f"\n{title}: {total / 1e9:.2f} GB, medians of {repeats}")
    print(f"{'':44}{'MB/s':>8}{'spread':>14}{'CPU s/GB':>10}{'above':>8}{'of ' + ratio_to:>32}{'spread':>14}")
    rows = {}
    for name in cases:
        speeds = sorted(1e-6 / wall for wall in walls[name])
        ratios = sorted(base / wall for base, wall in zip(walls[ratio_to], walls[name], strict=True))
        floor = (above or {}).get(name)
        more = None
        if floor is not None:
            more = statistics.median(c - f for c, f in zip(cpus[name], cpus[floor], strict=True))
        rows[name] = {
            "mb_per_s": statistics.median(speeds),
            "min": speeds[0],
            "max": speeds[-1],
            "cpu_s_per_gb": statistics.median(cpus[name]),
            "cpu_s_per_gb_above": more,
            "ratio": statistics.median(ratios),
            "ratio_min": ratios[0],
            "ratio_max": ratios[-1],
        }
        print(
            f"{name:44}{speed(statistics.median(speeds)):>8}{f'{speed(speeds[0])}-{speed(speeds[-1])}':>14}"
            f"{statistics.median(cpus[name]):10.3f}{'' if more is None else f'{more:+.3f}':>8}"
            f"{statistics.median(ratios):32.2f}{f'{ratios[0]:.2f}-{ratios[-1]:.2f}':>14}",
            flush=True,
        )
    return {"bytes": total, "repeats": repeats, "rows": rows}


def unthrottled(total: int, repeats: int, path: Path) -> dict[str, object]:
    """Against the limits: the disk, and the source."""
    cases: dict[str, Callable[[], None]] = {
        PLAIN: lambda: plain_writes(path, total, direct=True),
        PUBLISH: lambda: ours(None, total),
        RECORD: lambda: ours(path, total),
        "daqring.record, direct_io=True": lambda: ours(path, total, direct=True),
        "daqring.record, checksum=False": lambda: ours(path, total, direct=True, checksum=False),
    }
    above = dict.fromkeys(list(cases)[2:], PUBLISH)
    for size in (64 * KIB, 16 * KIB):
        alone = f"publish only, reads of {size // KIB} KiB"
        cases[alone] = lambda size=size: ours(None, total, read=size)
        name = f"daqring.record, reads of {size // KIB} KiB"
        cases[name] = lambda size=size: ours(path, total, read=size, direct=True)
        above[name] = alone
        alone = f"publish only, blocks of {size // KIB} KiB"
        cases[alone] = lambda size=size: ours(None, total, block=size)
        name = f"daqring.record, blocks of {size // KIB} KiB"
        cases[name] = lambda size=size: ours(path, total, block=size, direct=True)
        above[name] = alone
    cases["source alone"] = lambda: source_alone(path, total)
    return table("As fast as it goes", cases, total, repeats, path, PLAIN, above=above)


def recipes(total: int, repeats: int, path: Path) -> dict[str, object]:
    """Against NI's recipe: binary at several sizes of blocks, and text."""
    text_bytes = min(total, TEXT_BYTES)
    small = f"daqring.record, {text_bytes / 1e6:.0f} MB"
    text_name = f"queue.Queue and text, {text_bytes / 1e6:.0f} MB"
    cases: dict[str, Callable[[], None]] = {
        RECORD: lambda: ours(path, total),
        "daqring.record, direct_io=False": lambda: ours(path, total, direct=False),
        **{
            f"queue.Queue and file.write, {size // KIB} KiB": lambda size=size: recipe(path, total, size)
            for size in (64 * KIB, 256 * KIB, MIB, 4 * MIB)
        },
        **{
            f"nidaqlib.record and file.write, {size // KIB} KiB": lambda size=size: nidaqlib_blocks(
                path, total, size
            )
            for size in (MIB, 4 * MIB)
            if importlib.util.find_spec("nidaqlib")
        },
        small: lambda: ours(path, text_bytes),
        text_name: lambda: text(path, text_bytes),
        "source alone": lambda: source_alone(path, total),
    }
    sizes = dict.fromkeys((small, text_name), text_bytes)
    above = {name: "source alone" for name in cases if name not in (small, text_name, "source alone")}
    results = table("Beside NI's recipe", cases, total, repeats, path, text_name, above=above, sizes=sizes)
    rows = results["rows"]
    assert isinstance(rows, dict)
    best = max((name for name in rows if "file.write" in name), key=lambda name: rows[name]["mb_per_s"])
    times = rows[RECORD]["mb_per_s"] / rows[best]["mb_per_s"]
    share = rows[RECORD]["cpu_s_per_gb_above"] / rows[best]["cpu_s_per_gb_above"]
    print(
        f"Against the recipe at its best ({best.rsplit(', ')[1]}): {times:.2f} times, "
        f"{share:.2f} of the CPU, the source's subtracted"
    )
    results["against_the_best_binary"] = {"recipe": best, "times": times, "cpu_above_source": share}
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--gib", type=float, default=2.0, help="size of the unthrottled runs; the recipe: half"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="length of the real-time runs")
    parser.add_argument("--repeats", type=int, default=11)
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
    begin = time.perf_counter()
    total = round(arguments.gib * (1 << 30)) // (8 * MIB) * 8 * MIB
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "bench.tdms"
        if arguments.full:
            results["full_rate"] = full_rate(Path(folder), arguments.full)
        if arguments.soak:
            results["soak"] = soak(Path(folder), arguments.soak)
        if not arguments.full and not arguments.soak:
            daqring.sim.install(product="PXIe-6396", signal="pattern", clock="unthrottled")
            # Whoever comes first would pay for the table of the simulator's pattern.
            source_alone(path, 256 * MIB)
            ours(None, 256 * MIB)
            results["unthrottled"] = unthrottled(total, arguments.repeats, path)
            results["recipe"] = recipes(total // 2, arguments.repeats, path)
            daqring.sim.uninstall()
            daqring.sim.install(product="PXIe-6396", signal="pattern", clock="real")
            source_alone(path, 256 * MIB)
            ours(None, 256 * MIB)
            paced = round(arguments.seconds * RATE) * FRAME // (4 * MIB) * 4 * MIB
            results["real_time"] = table(
                f"PXIe-6396 at full rate ({RATE * FRAME / 1e6:.0f} MB/s) in real time",
                {
                    PUBLISH: lambda: ours(None, paced),
                    RECORD: lambda: ours(path, paced),
                    "queue.Queue and file.write, 1024 KiB": lambda: recipe(path, paced, MIB),
                    "source alone": lambda: source_alone(path, paced),
                },
                paced,
                arguments.repeats,
                path,
                RECORD,
                above={RECORD: PUBLISH},
            )
    print(f"\n{time.perf_counter() - begin:.0f} s in all")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
