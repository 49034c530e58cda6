#!/usr/bin/env python3
"""What writing a log costs beside other ways to bring blocks to a disk.

From a checkout: `pip install '.[bench]'`, then
`python benches/log.py [--mib 64] [--pairs 11] [--folder DIR] [--json FILE]`

Every contender writes the same number of int16 samples of 8 channels, in blocks of 64 KiB, 1 MiB and
4 MiB, and ends with a sync. Time and CPU (user + system of this process, all threads) begin when the
file is open and the memory is there, so what is compared is the writing: daqring's ring is made and
its blocks lie in it, as the driver leaves them there; the rivals' lie in arrays. All take their blocks
in turn from the same amount of memory (16 MiB). The contenders of a size are interleaved; a ratio is
the rival's time divided by ours within one round, so above 1 means that ours is faster. CPU is
compared with the buffered writer that needs least, at the size at which it needs least. npTDMS and
h5py take part where they are installed.
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

import daqring
import numpy as np
from daqring import _native

CHANNELS = 8
MIB = 1 << 20
SIZES = (64 << 10, MIB, 4 * MIB)

#: Opens a file and gives what writes the blocks, syncs and closes.
Prepare = Callable[[Path, int, int], Callable[[], None]]


#: Where blocks come from: so much memory, whose parts are taken in turn.
SOURCE = 16 * MIB


def samples(size: int) -> np.ndarray:
    """Blocks of int16, one behind the other."""
    return np.arange(SOURCE // 2, dtype=np.int16).reshape(-1, CHANNELS, size // 2 // CHANNELS)


def direct(path: Path, size: int, blocks: int) -> Callable[[], None]:
    """Plain aligned writes past the page cache: the limit."""
    buffer = mmap.mmap(-1, SOURCE)
    buffer.write(samples(size).tobytes())
    parts = [memoryview(buffer)[begin : begin + size] for begin in range(0, SOURCE, size)]
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o644)

    def run() -> None:
        for block in range(blocks):
            os.pwrite(file, parts[block % len(parts)], block * size)
        os.fdatasync(file)
        os.close(file)

    return run


def os_write(path: Path, size: int, blocks: int) -> Callable[[], None]:
    data = samples(size)
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)

    def run() -> None:
        for block in range(blocks):
            os.write(file, data[block % len(data)].data)
        os.fdatasync(file)
        os.close(file)

    return run


def tofile(path: Path, size: int, blocks: int) -> Callable[[], None]:
    data = samples(size)
    file = path.open("wb")

    def run() -> None:
        with file:
            for block in range(blocks):
                data[block % len(data)].tofile(file)
            file.flush()
            os.fdatasync(file.fileno())

    return run


def nptdms_writer(path: Path, size: int, blocks: int) -> Callable[[], None]:
    import nptdms

    data = samples(size)
    file = path.open("wb")

    def run() -> None:
        with file, nptdms.TdmsWriter(file) as writer:
            for block in range(blocks):
                runs = enumerate(data[block % len(data)])
                channels = [nptdms.ChannelObject("Dev1", f"ai{n}", run) for n, run in runs]
                writer.write_segment(channels)
            file.flush()
            os.fdatasync(file.fileno())

    return run


def h5py_dataset(path: Path, size: int, blocks: int) -> Callable[[], None]:
    import h5py

    data = samples(size)
    step = data.shape[2]
    file = h5py.File(path, "w")
    shape, chunks = (CHANNELS, step * blocks), (CHANNELS, step)
    dataset = file.create_dataset("Dev1", shape, np.int16, chunks=chunks)

    def run() -> None:
        with file:
            for block in range(blocks):
                dataset[:, block * step : (block + 1) * step] = data[block % len(data)]
        number = os.open(path, os.O_RDONLY)
        os.fdatasync(number)
        os.close(number)

    return run


def log(crc: bool | None, gather: bool = False) -> Prepare:
    """daqring's ring, worker, writer and log. `crc`: by a worker, else by the writer; None: by nobody."""

    def prepare(path: Path, size: int, blocks: int) -> Callable[[], None]:
        channels = [
            {"name": f"ai{n}", "dtype": "int16", "unit": "V", "scale": None, "properties": {}}
            for n in range(CHANNELS)
        ]
        group = {"name": "Dev1", "dt": 1e-6, "properties": {}, "channels": channels}
        segment = 4 * MIB if gather else None
        options = daqring.LogOptions(segment=segment, direct_io=True, checksum=crc is not None).to_native()
        slots = SOURCE // size
        stream = {"group": group, "slot_bytes": size, "slots": slots, "workers": 1}
        native = _native.Recording(path, [stream], crc=bool(crc), log=options)
        step = size // 2 // CHANNELS

        def run() -> None:
            for block in range(blocks):
                slot = native.reserve(0, 60.0)
                assert slot is not None
                slot.commit(size, samples=step, first_sample=block * step)
            counts = native.finish([], {})
            assert counts["error"] is None
            assert counts["streams"][0]["written_bytes"] == size * blocks

        return run

    return prepare


#: Writers through the page cache.
BUFFERED = ("os.write", "ndarray.tofile", "npTDMS TdmsWriter", "h5py")
OURS = "daqring"
BARE = "daqring without checksum"
GATHERED = "daqring, gathered"
GATHERED_BARE = "daqring, gathered, without checksum"


def contenders(size: int) -> dict[str, Prepare]:
    list_: dict[str, Prepare] = {OURS: log(crc=True), BARE: log(crc=None)}
    list_["daqring, checksum by the writer"] = log(crc=False)
    if size < 4 * MIB:
        list_ |= {GATHERED: log(crc=False, gather=True), GATHERED_BARE: log(crc=None, gather=True)}
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
            for name, prepare in ways:
                path = folder / "bench.tdms"
                path.unlink(missing_ok=True)
                run = prepare(path, size, blocks)
                cpu, begin = cpu_seconds(), time.perf_counter()
                run()
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
            f"{row['block_kib']:5} KiB  {row['contender']:35} {row['mb_per_s']:7.0f} MB/s "
            f"{row['cpu_s_per_gb']:6.3f} CPU s per GB" + (f"   {ratios}" if ratios else "")
        )


def targets(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table of what was to be reached."""
    found = {(row["block_kib"], row["contender"]): row for row in rows}
    out: list[dict[str, Any]] = []

    def add(metric: str, must: float, value: float | None, below: bool = False) -> None:
        if value is not None:
            reached = value <= must if below else value >= must
            out.append({"metric": metric, "must": must, "is": value, "reached": reached})

    plain = found[4096, "O_DIRECT pwrite"]
    add("4 MiB blocks against O_DIRECT pwrite, without CRC", 0.95, plain[f"{BARE} against it"]["median"])
    add("4 MiB blocks against O_DIRECT pwrite, CRC on a worker", 0.9, plain[f"{OURS} against it"]["median"])
    if rival := found.get((64, "npTDMS TdmsWriter")):
        value = rival[f"{GATHERED} against it"]["median"]
        add("64 KiB blocks, gathered, against npTDMS", 4.0, value)
    least = min(row["cpu_s_per_gb"] for row in rows if row["contender"] in BUFFERED)
    for name, what in (
        (BARE, "CPU against the best buffered writer, without CRC"),
        (OURS, "CPU against the best buffered writer, CRC on a worker"),
        ("O_DIRECT pwrite", "(the same of the plain O_DIRECT loop: the floor)"),
    ):
        used = found[4096, name]["cpu_s_per_gb"]
        add(what, 0.25, used / least if least else None, below=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the log writer beside other ways to write.")
    parser.add_argument("--mib", type=int, default=64, help="what each run writes (default: 64)")
    parser.add_argument("--pairs", type=int, default=11, help="interleaved rounds (default: 11)")
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows = measure(Path(folder), arguments.mib, arguments.pairs)
    show(rows)
    table = targets(rows)
    print()
    for line in table:
        verdict = "reached" if line["reached"] else "short"
        print(f"{line['metric']:55} must {line['must']:5.2f}  is {line['is']:5.2f}  {verdict}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "targets": table}, indent=2) + "\n")


if __name__ == "__main__":
    main()
