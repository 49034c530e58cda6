#!/usr/bin/env python3
"""What writing a log costs beside other ways to bring blocks to a disk.

`python benches/log.py [--mib 128] [--pairs 11] [--folder DIR] [--json FILE]`

Every contender writes the same number of int16 samples of 8 channels, in blocks of 64 KiB, 1 MiB and
4 MiB, and ends with a sync; CPU is user + system time of this process, all threads. The contenders of
a size are interleaved; a ratio is the rival's time divided by ours within one round, so above 1 means
that ours is faster. daqring's blocks lie in the ring already, as the driver leaves them there; the
rivals' lie in an array. npTDMS and h5py take part where they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import mmap
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from daqring import _native

CHANNELS = 8
MIB = 1 << 20
SIZES = (64 << 10, MIB, 4 * MIB)

Write = Callable[[Path, int, int], None]


def samples(size: int) -> np.ndarray:
    return np.arange(size // 2, dtype=np.int16).reshape(CHANNELS, -1)


def direct(path: Path, size: int, blocks: int) -> None:
    """Plain aligned writes past the page cache: the limit."""
    buffer = mmap.mmap(-1, size)
    buffer.write(samples(size).tobytes())
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o644)
    for block in range(blocks):
        os.pwrite(file, buffer, block * size)
    os.fdatasync(file)
    os.close(file)


def os_write(path: Path, size: int, blocks: int) -> None:
    data = samples(size)
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    for _ in range(blocks):
        os.write(file, data.data)
    os.fdatasync(file)
    os.close(file)


def tofile(path: Path, size: int, blocks: int) -> None:
    data = samples(size)
    with open(path, "wb") as file:
        for _ in range(blocks):
            data.tofile(file)
        file.flush()
        os.fdatasync(file.fileno())


def nptdms_writer(path: Path, size: int, blocks: int) -> None:
    import nptdms

    data = samples(size)
    with open(path, "wb") as file, nptdms.TdmsWriter(file) as writer:
        for _ in range(blocks):
            writer.write_segment([nptdms.ChannelObject("Dev1", f"ai{n}", data[n]) for n in range(CHANNELS)])
        file.flush()
        os.fdatasync(file.fileno())


def h5py_dataset(path: Path, size: int, blocks: int) -> None:
    import h5py

    data = samples(size)
    step = data.shape[1]
    with h5py.File(path, "w") as file:
        chunks = (CHANNELS, step)
        dataset = file.create_dataset("Dev1", (CHANNELS, step * blocks), np.int16, chunks=chunks)
        for block in range(blocks):
            dataset[:, block * step : (block + 1) * step] = data
        file.flush()
    file_number = os.open(path, os.O_RDONLY)
    os.fdatasync(file_number)
    os.close(file_number)


def log(crc: bool, gather: bool = False) -> Write:
    def write(path: Path, size: int, blocks: int) -> None:
        channels = [
            {"name": f"ai{n}", "dtype": "int16", "unit": "V", "scale": None, "properties": {}}
            for n in range(CHANNELS)
        ]
        group = {"name": "Dev1", "dt": 1e-6, "properties": {}, "channels": channels}
        options: dict[str, Any] = dict.fromkeys(
            [
                *("sync_bytes", "sync_seconds", "segment_bytes", "segment_seconds", "flush_seconds"),
                *("rotate_bytes", "rotate_samples", "rotate_seconds", "keep_bytes", "reserve_bytes"),
            ]
        )
        options["sync_each_block"] = False
        if gather:
            options["segment_bytes"] = 4 * MIB
        slots = max(4, 32 * MIB // size)
        stream = {"group": group, "slot_bytes": size, "slots": slots, "workers": 1}
        native = _native.Recording(path, [stream], crc=crc, log=options)
        step = size // 2 // CHANNELS
        for block in range(blocks):
            slot = native.reserve(0, 60.0)
            assert slot is not None
            slot.commit(size, samples=step, first_sample=block * step)
        counts = native.finish([], {})
        assert counts["error"] is None
        assert counts["streams"][0]["written_bytes"] == size * blocks

    return write


def contenders(size: int) -> dict[str, Write]:
    list_: dict[str, Write] = {"daqring": log(crc=True), "daqring, no checksum": log(crc=False)}
    if size < 4 * MIB:
        list_["daqring, gathered"] = log(crc=False, gather=True)
    list_ |= {"O_DIRECT pwrite": direct, "os.write": os_write, "ndarray.tofile": tofile}
    if importlib.util.find_spec("nptdms"):
        list_["npTDMS TdmsWriter"] = nptdms_writer
    if importlib.util.find_spec("h5py"):
        list_["h5py"] = h5py_dataset
    return list_


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(folder: Path, mib: int, pairs: int) -> list[dict[str, Any]]:
    rows = []
    for size in SIZES:
        blocks = mib * MIB // size
        results: dict[str, list[tuple[float, float]]] = {}
        for turn in range(pairs):
            ways = list(contenders(size).items())
            # Nobody always comes after the same one.
            ways = ways[turn % len(ways) :] + ways[: turn % len(ways)]
            for name, write in ways:
                path = folder / "bench.tdms"
                path.unlink(missing_ok=True)
                cpu, begin = cpu_seconds(), time.perf_counter()
                write(path, size, blocks)
                took = time.perf_counter() - begin
                results.setdefault(name, []).append((took, cpu_seconds() - cpu))
                path.unlink()
        for name, runs in results.items():
            row: dict[str, Any] = {
                "block_kib": size >> 10,
                "contender": name,
                "mb_per_s": statistics.median(mib * MIB / 1e6 / took for took, _ in runs),
                "cpu_s_per_gb": statistics.median(cpu for _, cpu in runs) / (mib * MIB / 1e9),
            }
            for ours in [name for name in results if name.startswith("daqring")]:
                if not name.startswith("daqring"):
                    ratios = sorted(
                        theirs[0] / mine[0] for theirs, mine in zip(runs, results[ours], strict=True)
                    )
                    row[f"{ours} against it"] = {
                        "median": statistics.median(ratios),
                        "low": ratios[0],
                        "high": ratios[-1],
                    }
            rows.append(row)
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        ratios = "; ".join(
            f"{name.removesuffix(' against it')} {value['median']:.2f} "
            f"({value['low']:.2f} to {value['high']:.2f})"
            for name, value in row.items()
            if isinstance(value, dict)
        )
        print(
            f"{row['block_kib']:5} KiB  {row['contender']:22} {row['mb_per_s']:7.0f} MB/s "
            f"{row['cpu_s_per_gb']:6.3f} CPU s per GB" + (f"   {ratios}" if ratios else "")
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the log writer beside other ways to write.")
    parser.add_argument("--mib", type=int, default=128, help="what each run writes (default: 128)")
    parser.add_argument("--pairs", type=int, default=11, help="interleaved rounds (default: 11)")
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows = measure(Path(folder), arguments.mib, arguments.pairs)
    show(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
