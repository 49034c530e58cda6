#!/usr/bin/env python3
"""What a busy interpreter does to a reader: losses while the GIL is held, and lateness.

`python benches/reader.py [--quick] [--runs 20] [--seconds 1] [--repeats 11] [--json FILE]`

1. One C call holds the GIL for 120 to 280 ms at a time, again and again, while a task with a driver's
   buffer of 100 ms is recorded by 100 reads a second: how many runs end with -200279.
2. A loop of reads of 1 ms beside 0, 1 and 2 busy Python threads: how late the reads are, by the native
   reader, the Python reader and a plain Rust thread. Lateness is the host's time (CLOCK_REALTIME) at which a
   read came back, less the time at which its last sample was there: the host's time at the start of the
   task and the samples until then at the rate. All three are measured so: the readers by what the log tells
   of each block, the thread by what it writes down itself. The threads get busy right after the start. The
   driver's buffer holds a second, so that a reader that falls behind for good ends there (-200279); its
   lateness is that of the reads that it did.

The source is the simulated driver in real time; the cases are interleaved.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import daqring
import daqring.sim
import nidaqmx
import nptdms
import numpy as np
from daqring.source import TaskSource
from nidaqmx.constants import AcquisitionType

ROOT = Path(__file__).resolve().parent.parent
RATE = 100_000
READ = 100  # samples: 1 ms


def make_task() -> nidaqmx.Task:
    task = nidaqmx.Task()
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
    task.timing.cfg_samp_clk_timing(RATE, sample_mode=AcquisitionType.CONTINUOUS)
    return task


# -- losses while the GIL is held ------------------------------------------------------------------


def ends_with_an_overwrite(reader: str, seconds: float, seed: int, folder: Path) -> bool:
    """One run; whether the driver ended it with -200279."""
    chance = random.Random(seed)
    holder = ctypes.PyDLL(None)  # a call by it keeps the GIL
    with make_task() as task:
        task.in_stream.input_buf_size = RATE // 10
        recorder = daqring.Recorder(
            task, folder / "held.tdms", seconds=seconds, block_ms=10, overwrite=True, reader=reader
        )
        recorder.start()
        while not recorder.wait(0.02):
            holder.usleep(round(chance.uniform(120e3, 280e3)))
        report = recorder.close()
    if report.stop_reason == "overwrite":
        assert "-200279" in (report.error or ""), report
        return True
    assert report.complete, report
    return False


def losses(runs: int, seconds: float, folder: Path) -> dict[str, object]:
    ended = {"native": 0, "python": 0}
    for run in range(runs):
        for reader in ended:
            ended[reader] += ends_with_an_overwrite(reader, seconds, run, folder)
    print(f"\nGIL held for 120-280 ms at a time, driver's buffer 100 ms, {runs} runs of {seconds:g} s")
    for reader, count in ended.items():
        print(f"  {reader:8} {count:3} of {runs} runs end with -200279")
    return {"runs": runs, "seconds": seconds, "ended_with_200279": ended}


# -- lateness --------------------------------------------------------------------------------------


@contextlib.contextmanager
def busy_threads(count: int) -> Iterator[None]:
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            for _ in range(1000):
                number = (number * 31 + 7) % 1_000_003

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def lateness(times: np.ndarray, last_samples: np.ndarray, start: int) -> np.ndarray:
    """Seconds by which each read was later than its last sample; times are nanoseconds since 1970."""
    return (times - start) * 1e-9 - last_samples / RATE


def by_recorder(reader: str, seconds: float, busy: int, folder: Path) -> np.ndarray:
    path = folder / "late.tdms"
    with make_task() as task:
        task.in_stream.input_buf_size = RATE
        recorder = daqring.Recorder(task, path, seconds=seconds, block_ms=1, overwrite=True, reader=reader)
        recorder.start()
        with busy_threads(busy):
            recorder.wait()
        report = recorder.close()
    assert report.complete or (reader == "python" and "-200279" in (report.error or "")), report
    table = nptdms.TdmsFile.read(path)["daqring"]
    times, first, samples = (
        table[f"block.{name}"][:].astype(np.int64) for name in ("host_time_ns", "first_sample", "samples")
    )
    start = daqring.open(path).channels[0].t0.astype("datetime64[ns]").astype(np.int64)
    return lateness(times, first + samples, start)


def build_plain_reader() -> ctypes.CDLL:
    command = ["cargo", "build", "--release", "--quiet", "-p", "daqring-benches", "--message-format=json"]
    told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    files = [file for line in told.splitlines() for file in json.loads(line).get("filenames", [])]
    (library,) = [file for file in files if file.endswith((".so", ".dll", ".dylib"))]
    return ctypes.CDLL(library)


def by_plain_thread(library: ctypes.CDLL, seconds: float, busy: int) -> np.ndarray:
    reads = round(seconds * RATE / READ)
    times = np.zeros(reads, np.int64)
    with make_task() as task:
        task.in_stream.input_buf_size = RATE
        source = TaskSource(task)
        address = ctypes.c_void_p(source.native_functions()["read"])
        _, start = source.start()
        with busy_threads(busy):
            status = library.read_in_a_plain_thread(
                address,
                ctypes.c_size_t(source.handle),
                ctypes.c_int(READ),
                ctypes.c_size_t(reads),
                ctypes.c_void_p(times.ctypes.data),
            )
        task.stop()
    assert status == 0, status
    return lateness(times, READ * np.arange(1, reads + 1), start)


def late_reads(seconds: float, repeats: int, folder: Path) -> dict[str, object]:
    library = build_plain_reader()
    cases = {
        "plain Rust thread": lambda busy: by_plain_thread(library, seconds, busy),
        "native reader": lambda busy: by_recorder("native", seconds, busy, folder),
        "Python reader": lambda busy: by_recorder("python", seconds, busy, folder),
    }
    print(
        f"\nReads of 1 ms for {seconds:g} s, medians of {repeats}: "
        "lateness in ms (p50 / p99), and in lateness of the plain thread"
    )
    rows: dict[str, object] = {}
    for busy in (0, 1, 2):
        runs: dict[str, list[np.ndarray]] = {name: [] for name in cases}
        reads: dict[str, list[int]] = {name: [] for name in cases}
        for _ in range(repeats):
            for name, run in cases.items():
                late = run(busy)
                runs[name].append(np.quantile(late, (0.5, 0.99)) * 1e3)
                reads[name].append(len(late))
        plain50, plain99 = np.median(runs["plain Rust thread"], axis=0)
        for name, values in runs.items():
            p50, p99 = np.median(values, axis=0)
            done = float(np.median(reads[name]))
            rows[f"{name}, {busy} busy"] = {"p50_ms": p50, "p99_ms": p99, "reads": done}
            behind = f"  fell behind: {done:.0f} reads" if done < seconds * RATE / READ else ""
            print(
                f"  {busy} busy Python threads  {name:18} {p50:8.3f} / {p99:8.3f}"
                f"  {p50 / plain50:8.2f} / {p99 / plain99:8.2f}{behind}",
                flush=True,
            )
    return {"seconds": seconds, "repeats": repeats, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="under 30 seconds")
    parser.add_argument("--runs", type=int, default=20, help="recordings while the GIL is held")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a recording of 1 ms reads")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.runs, arguments.seconds, arguments.repeats = 3, 0.5, 1
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    results: dict[str, object] = {"commit": commit, "cores": os.cpu_count(), "python": sys.version.split()[0]}
    print(f"commit {commit}, {os.cpu_count()} cores, Python {results['python']}, {time.strftime('%F')}")
    warnings.simplefilter("ignore", daqring.SamplesLostWarning)
    daqring.sim.install(product="PCIe-6363", signal="pattern", clock="real")
    with tempfile.TemporaryDirectory() as folder:
        results["losses"] = losses(arguments.runs, 1.5, Path(folder))
        results["lateness"] = late_reads(arguments.seconds, arguments.repeats, Path(folder))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
