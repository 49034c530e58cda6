#!/usr/bin/env python3
"""What work on the samples costs in the pool, beside numpy at its best.

`python benches/stages.py [--repeats 11] [--mib 256] [--json FILE]`

Blocks of 4 MiB (8 channels of int16 with a polynomial scale of four coefficients, as NI's devices
have it) are committed to a recording without a log as fast as it takes them; every case of a table
is run in turn, and the median of the repetitions is told, with the first and third quartile of the
ratios. The source costs next to nothing: the samples lie in the slots from before the start, and are
committed again and again ("publish alone" is that without stages). "Copied in" is the same with a
source that copies every block into its slot, as a reader in Python does; on a machine of two cores it
takes away from the second worker what it needs itself.

- statistics (min, max, mean, rms in volts) + envelope + CRC32C on one worker, against numpy computing
  the same on the same blocks in one thread;
- one worker against two, with the same stages and with decimation by 10. Beside the ratio of the wall
  times stands the bound that the machine sets, from the CPU time of the workers per GB: two workers
  cannot be more than 2 * (that of one) / (that of two) as fast, and this is below 2 where they wait for
  the same memory. It does not depend on what else the machine is doing;
- CPU seconds per GB with and without CRC32C, above publishing alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from daqring import _native
from daqring.stages import Decimate, Envelope, Stage, Statistics, StreamInfo, plan

CHANNELS, SAMPLES, RATE = 8, 1 << 18, 1_000_000.0
BLOCK = CHANNELS * SAMPLES * 2
EVERY = 0.032768  # 8 bins in a block
SCALE = (1e-4, 3.05e-4, 1e-12, -2e-18)
SLOTS = 8
ALL: tuple[Stage, ...] = (Statistics(EVERY), Envelope(EVERY))
#: Runs a case; seconds by the clock, CPU seconds of the process, and of the workers alone.
Case = Callable[[], dict[str, float]]


def make_blocks() -> list[np.ndarray]:
    source = np.random.default_rng(1)
    return [source.normal(0, 8000, (CHANNELS, SAMPLES)).astype(np.int16) for _ in range(4)]


def pool(
    blocks: list[np.ndarray],
    total: int,
    stages: tuple[Stage, ...],
    workers: int,
    crc: bool,
    *,
    copied_in: bool = False,
) -> dict[str, float]:
    """Publishes blocks into a recording; see :data:`Case`."""
    names = [f"ai{number}" for number in range(CHANNELS)]
    info = StreamInfo("bench", tuple(names), RATE, np.dtype(np.int16))
    group = {
        "name": "bench",
        "dt": 1 / RATE,
        "properties": {},
        "channels": [
            {"name": name, "dtype": "int16", "unit": "V", "scale": SCALE, "properties": {}} for name in names
        ],
    }
    planned = plan(stages, [info])[0]
    native = _native.Recording(
        None,
        [{"group": group, "slot_bytes": BLOCK, "slots": SLOTS, **planned}],
        workers=workers,
        crc=crc,
    )
    held = []
    for number in range(SLOTS):
        slot = native.reserve(0, 60.0)
        if slot is None:
            raise RuntimeError(f"the recording failed: {native.failure()}")
        np.copyto(as_samples(slot), blocks[number % len(blocks)])
        held.append(slot)
    for slot in held:
        slot.abort()
    begin, cpu = time.perf_counter(), time.process_time()
    for number in range(total // BLOCK):
        slot = native.reserve(0, 60.0)
        if slot is None:
            raise RuntimeError(f"the recording failed: {native.failure()}")
        if copied_in:
            np.copyto(as_samples(slot), blocks[number % len(blocks)])
        slot.commit(BLOCK, samples=SAMPLES, first_sample=number * SAMPLES)
    counts = native.finish([], {})
    took = {"wall": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
    if counts["error"] is not None or not counts["law_holds"]:
        raise RuntimeError(f"the recording failed: {counts['error']}")
    if counts["streams"][0]["written"] != total // BLOCK:
        raise RuntimeError("blocks are missing")
    for derived in counts["derived"]:
        if not derived["samples"]:
            raise RuntimeError(f"{derived['name']} put out nothing")
    return took | {"workers": sum(worker["cpu_seconds"] or 0.0 for worker in counts["workers"])}


def as_samples(slot: _native.Slot) -> np.ndarray:
    return np.frombuffer(memoryview(slot), np.int16).reshape(CHANNELS, SAMPLES)


def in_numpy(blocks: list[np.ndarray], total: int) -> dict[str, float]:
    """The same results in numpy, at its best: whole rows at once, memory made once, no copies."""
    shape = (CHANNELS, 8, SAMPLES // 8)
    values, square = np.empty(shape), np.empty(shape)
    results = []
    begin, cpu = time.perf_counter(), time.process_time()
    for number in range(total // BLOCK):
        codes = blocks[number % 4].reshape(shape)
        low, high = codes.min(axis=2), codes.max(axis=2)
        # Horner's scheme in place.
        np.multiply(codes, SCALE[3], out=values)
        for coefficient in (SCALE[2], SCALE[1]):
            values += coefficient
            values *= codes
        values += SCALE[0]
        mean = values.mean(axis=2)
        rms = np.sqrt(np.einsum("ijk,ijk->ij", values, values) / shape[2])
        # The scale rises: least and greatest value are those of the codes.
        polyval = np.polynomial.polynomial.polyval
        least, greatest = polyval(low, SCALE), polyval(high, SCALE)
        results.append((low, high, mean, rms, least, greatest, zlib.crc32(blocks[number % 4])))
    del square
    return {"wall": time.perf_counter() - begin, "cpu": time.process_time() - cpu}


def quartiles(values: list[float]) -> list[float]:
    return statistics.quantiles(values, n=4) if len(values) > 1 else values * 3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--mib", type=int, default=256, help="samples of one run, in MiB (default 256)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    total = max(options.mib << 20, 2 * BLOCK)
    blocks = make_blocks()
    slow = (Decimate(10),)
    every, tenth = "statistics + envelope + crc", "decimate by 10"
    cases: dict[str, Case] = {
        "publish alone": lambda: pool(blocks, total, (), 1, False),
        "publish alone, copied in": lambda: pool(blocks, total, (), 1, False, copied_in=True),
        "crc": lambda: pool(blocks, total, (), 1, True),
        f"{every}, 1 worker": lambda: pool(blocks, total, ALL, 1, True),
        f"{every}, 2 workers": lambda: pool(blocks, total, ALL, 2, True),
        f"{every}, 1 worker, copied in": lambda: pool(blocks, total, ALL, 1, True, copied_in=True),
        f"{every}, 2 workers, copied in": lambda: pool(blocks, total, ALL, 2, True, copied_in=True),
        f"{tenth}, 1 worker": lambda: pool(blocks, total // 4, slow, 1, False),
        f"{tenth}, 2 workers": lambda: pool(blocks, total // 4, slow, 2, False),
        "numpy: the same, 1 thread": lambda: in_numpy(blocks, total),
    }
    for run in cases.values():
        run()
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
    for _ in range(options.repeats):
        for name, run in cases.items():
            figures[name].append(run())
    gb = {name: (total // 4 if tenth in name else total) / 1e9 for name in cases}

    def median(name: str, what: str) -> float:
        return statistics.median(run[what] for run in figures[name])

    def each(name: str, what: str) -> list[float]:
        return [run[what] / gb[name] for run in figures[name]]

    cpu = {name: median(name, "cpu") / gb[name] for name in cases}
    print(f"{'case':52}{'GB/s':>8}{'CPU s per GB':>14}{'of workers':>12}{'above publishing':>18}")
    for name in cases:
        above = ""
        if not name.startswith(("publish", "numpy")):
            base = "publish alone, copied in" if "copied in" in name else "publish alone"
            above = f"{cpu[name] - cpu[base]:18.3f}"
        of_workers = "" if name.startswith("numpy") else f"{median(name, 'workers') / gb[name]:12.3f}"
        print(f"{name:52}{gb[name] / median(name, 'wall'):8.2f}{cpu[name]:14.3f}{of_workers:>12}{above}")

    def ratio(one: str, other: str, what: str, factor: float = 1.0) -> list[float]:
        pairs = zip(each(one, what), each(other, what), strict=True)
        return quartiles([factor * a / b for a, b in pairs])

    alone = [run["cpu"] for run in figures["publish alone"]]
    work = [run["cpu"] - base for run, base in zip(figures[f"{every}, 1 worker"], alone, strict=True)]
    in_python = [run["cpu"] for run in figures["numpy: the same, 1 thread"]]
    crc = [run["cpu"] - base for run, base in zip(figures["crc"], alone, strict=True)]
    ratios = {
        "numpy / ours, CPU of the work": quartiles([a / b for a, b in zip(in_python, work, strict=True)]),
        "crc, CPU s per GB above publishing": quartiles([cost / gb["crc"] for cost in crc]),
    }
    for name in (every, f"{every}, copied in", tenth):
        stages, comma, source = name.partition(", ")
        one, two = (f"{stages}, {workers}{comma}{source}" for workers in ("1 worker", "2 workers"))
        ratios[f"two workers / one, {name}"] = ratio(one, two, "wall")
        ratios[f"    at most, by the CPU of the workers, {source or name}"] = ratio(one, two, "workers", 2.0)
    print(f"\n{'':70}{'median':>8}{'quartiles':>16}")
    for name, (low, middle, high) in ratios.items():
        print(f"{name:70}{middle:8.3f}{low:8.3f}{high:8.3f}")
    if options.json:
        record = {
            "command": " ".join(sys.argv),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "runs": figures,
            "ratios": ratios,
        }
        options.json.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
