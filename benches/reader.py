#!/usr/bin/env python3
"""What a busy interpreter does to a reader: losses while the GIL is held, and lateness.

`python benches/reader.py [--quick] [--runs 20] [--seconds 4] [--repeats 3] [--json FILE]`

1. One C call holds the GIL for 120 to 280 ms at a time, again and again, while a task with a driver's
   buffer of 100 ms is recorded by 100 reads a second: how many runs end with -200279.
2. A loop of reads of 1 ms beside 0, 1 and 2 busy Python threads: how late the reads are, by the native
   reader, the Python reader and a plain Rust thread. Lateness is the time at which a read came back
   less the time at which its last sample was there; the clocks of the two are laid over each other by
   the earliest read of a run. For the readers it is what the log tells of each block.

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


def lateness(times: np.ndarray, last_samples: np.ndarray) -> np.ndarray:
    """Seconds by which each read was later than its last sample."""
    late = times - last_samples / RATE
    return late - late.min()


def by_recorder(reader: str, seconds: float, folder: Path) -> np.ndarray:
    path = folder / "late.tdms"
    with make_task() as task:
        report = daqring.record(
            task, path, seconds=seconds, block_ms=1, overwrite=True, reader=reader, progress=False
        )
    # The Python reader may fall behind without end; then its lateness is that of the reads it did.
    assert report.complete or (reader == "python" and "-200279" in (report.error or "")), report
    blocks = block_times(path)
    return lateness(blocks[:, 0] * 1e-9, blocks[:, 1])


def block_times(path: Path) -> np.ndarray:
    """Of every block: when it was complete (ns), and the index after its last sample."""
    table = nptdms.TdmsFile.read(path)["daqring"]
    columns = {name: table[f"block.{name}"][:] for name in ("host_time_ns", "first_sample", "samples")}
    first = columns["host_time_ns"][0]
    return np.column_stack(
        [columns["host_time_ns"] - first, columns["first_sample"] + columns["samples"]]
    ).astype(np.float64)


def build_plain_reader() -> ctypes.CDLL:
    command = ["cargo", "build", "--release", "--quiet", "-p", "daqring-benches", "--message-format=json"]
    told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    files = [file for line in told.splitlines() for file in json.loads(line).get("filenames", [])]
    (library,) = [file for file in files if file.endswith((".so", ".dll", ".dylib"))]
    return ctypes.CDLL(library)


def by_plain_thread(library: ctypes.CDLL, seconds: float) -> np.ndarray:
    reads = round(seconds * RATE / READ)
    times = np.zeros(reads)
    with make_task() as task:
        task.in_stream.input_buf_size = 4 * RATE
        source = TaskSource(task)
        address = ctypes.c_void_p(source.native_functions()["read"])
        task.start()
        status = library.read_in_a_plain_thread(
            address,
            ctypes.c_size_t(source.handle),
            ctypes.c_int(READ),
            ctypes.c_size_t(reads),
            ctypes.c_void_p(times.ctypes.data),
        )
        task.stop()
    assert status == 0, status
    return lateness(times, READ * np.arange(1, reads + 1))


def late_reads(seconds: float, repeats: int, folder: Path) -> dict[str, object]:
    library = build_plain_reader()
    cases = {
        "plain Rust thread": lambda: by_plain_thread(library, seconds),
        "native reader": lambda: by_recorder("native", seconds, folder),
        "Python reader": lambda: by_recorder("python", seconds, folder),
    }
    print(f"\nReads of 1 ms for {seconds:g} s, medians of {repeats}: lateness in ms, p50 / p99")
    rows: dict[str, object] = {}
    for busy in (0, 1, 2):
        runs: dict[str, list[np.ndarray]] = {name: [] for name in cases}
        for _ in range(repeats):
            for name, run in cases.items():
                with busy_threads(busy):
                    late = run()
                runs[name].append(np.quantile(late, (0.5, 0.99)) * 1e3)
        for name, values in runs.items():
            p50, p99 = np.median(values, axis=0)
            rows[f"{name}, {busy} busy"] = {"p50_ms": p50, "p99_ms": p99}
            print(f"  {busy} busy Python threads  {name:18} {p50:8.2f} / {p99:8.2f}")
    return {"seconds": seconds, "repeats": repeats, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="under 30 seconds")
    parser.add_argument("--runs", type=int, default=20, help="recordings while the GIL is held")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a recording of 1 ms reads")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.runs, arguments.seconds, arguments.repeats = 3, 1.0, 1
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
