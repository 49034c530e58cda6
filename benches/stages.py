#!/usr/bin/env python3
"""What work on the samples costs in the pool, beside numpy at its best.

`python benches/stages.py [--repeats 11] [--mib 256] [--json FILE]`

Blocks of 4 MiB (8 channels of int16 with a polynomial scale of four coefficients, as NI's devices
have it) are committed to a recording without a log as fast as it takes them; every case of a table
is run in turn, and the median of the repetitions is told. "Publish alone" is the same loop without
stages; its time is told beside the others and subtracted where a table says "above".

- statistics (min, max, mean, rms in volts) + envelope + CRC32C on one worker, against numpy computing
  the same on the same blocks in one thread;
- one worker against two, with the same stages and with decimation by 10;
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
ALL: tuple[Stage, ...] = (Statistics(EVERY), Envelope(EVERY))


def make_blocks() -> list[np.ndarray]:
    source = np.random.default_rng(1)
    return [source.normal(0, 8000, (CHANNELS, SAMPLES)).astype(np.int16) for _ in range(4)]


def pool(blocks: list[np.ndarray], total: int, stages: tuple[Stage, ...], workers: int, crc: bool) -> float:
    """Publishes blocks into a recording; CPU seconds of this process, or wall where asked."""
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
        [{"group": group, "slot_bytes": BLOCK, "slots": 8, **planned}],
        workers=workers,
        crc=crc,
    )
    # All slots were touched by now; what is measured is the work.
    begin = time.perf_counter()
    for number in range(total // BLOCK):
        slot = native.reserve(0, 60.0)
        if slot is None:
            raise RuntimeError(f"the recording failed: {native.failure()}")
        np.copyto(np.frombuffer(memoryview(slot), np.int16).reshape(CHANNELS, SAMPLES), blocks[number % 4])
        slot.commit(BLOCK, samples=SAMPLES, first_sample=number * SAMPLES)
    counts = native.finish([], {})
    took = time.perf_counter() - begin
    if counts["error"] is not None or not counts["law_holds"]:
        raise RuntimeError(f"the recording failed: {counts['error']}")
    if counts["streams"][0]["written"] != total // BLOCK:
        raise RuntimeError("blocks are missing")
    for derived in counts["derived"]:
        if not derived["samples"]:
            raise RuntimeError(f"{derived['name']} put out nothing")
    return took


def in_numpy(blocks: list[np.ndarray], total: int) -> float:
    """The same results in numpy, at its best: whole rows at once, memory made once, no copies."""
    shape = (CHANNELS, 8, SAMPLES // 8)
    values, square = np.empty(shape), np.empty(shape)
    results = []
    begin = time.perf_counter()
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
    return time.perf_counter() - begin


def with_cpu(run: Callable[[], float]) -> tuple[float, float]:
    before = time.process_time()
    wall = run()
    return wall, time.process_time() - before


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
    cases: dict[str, Callable[[], float]] = {
        "publish alone": lambda: pool(blocks, total, (), 1, False),
        "crc": lambda: pool(blocks, total, (), 1, True),
        "statistics + envelope + crc, 1 worker": lambda: pool(blocks, total, ALL, 1, True),
        "statistics + envelope + crc, 2 workers": lambda: pool(blocks, total, ALL, 2, True),
        "decimate by 10, 1 worker": lambda: pool(blocks, total // 4, slow, 1, False),
        "decimate by 10, 2 workers": lambda: pool(blocks, total // 4, slow, 2, False),
        "numpy: the same, 1 thread": lambda: in_numpy(blocks, total),
    }
    for run in cases.values():
        run()
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for _ in range(options.repeats):
        for name, run in cases.items():
            figures[name].append(with_cpu(run))
    gb = {name: (total // 4 if "decimate" in name else total) / 1e9 for name in cases}
    wall = {name: statistics.median(w for w, _ in runs) for name, runs in figures.items()}
    cpu = {name: statistics.median(c for _, c in runs) / gb[name] for name, runs in figures.items()}
    print(f"{'case':42}{'GB/s':>8}{'CPU s per GB':>14}{'above publishing':>18}")
    for name in cases:
        above = "" if name.startswith(("publish", "numpy")) else f"{cpu[name] - cpu['publish alone']:18.3f}"
        print(f"{name:42}{gb[name] / wall[name]:8.2f}{cpu[name]:14.3f}{above}")
    one, two = "statistics + envelope + crc, 1 worker", "statistics + envelope + crc, 2 workers"
    work = cpu[one] - cpu["publish alone"]
    ratios = {
        "numpy / ours, CPU of the work": cpu["numpy: the same, 1 thread"] / work,
        "two workers / one, statistics + envelope + crc": wall[one] / wall[two],
        "two workers / one, decimate by 10": (
            wall["decimate by 10, 1 worker"] / wall["decimate by 10, 2 workers"]
        ),
        "crc, CPU s per GB above publishing": cpu["crc"] - cpu["publish alone"],
    }
    print()
    for name, value in ratios.items():
        print(f"{name:52}{value:8.3f}")
    if options.json:
        record = {
            "command": " ".join(sys.argv),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "runs": {name: [{"wall": w, "cpu": c} for w, c in runs] for name, runs in figures.items()},
            "ratios": ratios,
        }
        options.json.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
