"""Reading TDMS with daqring and npTDMS, with reading into memory as the floor: `python benches/read.py`.

Each workload is run by all, in turn, 11 times. Before, what they give is compared once, in value, shape and
type, and of the ways in which npTDMS can do it (all at once, channel by channel, into mapped memory, by an
index file) the quickest is taken; the table names it. The floor reads the bytes that are needed into fresh
memory, in pieces of 4 MiB; for scaled samples it also writes as many fresh float64. `--json FILE` keeps all
figures.

The files lie in the system's cache: what is measured is the reader, not the disk. On a machine that does
other things at the same time, compare processor time (`--cpu`). Takes two to five minutes and 2 GB in the
folder for temporary files (`--dir`), of which the sparse files seem to take terabytes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import daqring
import nptdms
import numpy as np

CHANNELS = 8
MIB = 1 << 20
TB = 10**12
SLICE = 10_000
#: Extra memory for a slice of the 100 GB file, MiB.
MEMORY_MUST = 64
#: Seconds in which `daqring info` of 1 TB must be there.
INFO_MUST = 1.0

Run = Callable[[], Any]


@dataclass
class Workload:
    """The same work for both, and how many times faster daqring must be."""

    name: str
    ours: Run
    theirs: dict[str, Run]
    must: float | None = None
    #: The least that anybody must do for the same result.
    floor: Run | None = None
    #: The workload that tells npTDMS's quickest way, where trying all of them would take long.
    like: str | None = None


# --- files


def text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode()


def scale(number: int) -> bytes:
    """NI's scaling properties: linear for even channels, polynomial for odd ones."""
    if number % 2 == 0:
        fields = [("Scale_Type", "Linear"), ("Linear_Slope", 3.05e-4), ("Linear_Y_Intercept", 1e-4)]
        fields += [("Linear_Input_Source", 0xFFFFFFFF)]
    else:
        values = [1e-4, 3.05e-4, -2e-12, 1e-18]
        fields = [("Scale_Type", "Polynomial"), ("Polynomial_Coefficients_Size", 4)]
        fields += [(f"Polynomial_Coefficients[{at}]", value) for at, value in enumerate(values)]
        fields += [("Polynomial_Input_Source", 0xFFFFFFFF)]
    out = [text("NI_Number_Of_Scales") + struct.pack("<II", 7, 1)]
    for name, value in fields:
        head = text(f"NI_Scale[0]_{name}")
        if isinstance(value, str):
            out.append(head + struct.pack("<I", 0x20) + text(value))
        elif isinstance(value, float):
            out.append(head + struct.pack("<Id", 10, value))
        else:
            out.append(head + struct.pack("<II", 7, value))
    return struct.pack("<I", len(out)) + b"".join(out)


def header(samples: int, *, first: bool, interleaved: bool = False) -> bytes:
    """A self-describing segment's lead-in and metadata: int16 channels."""
    objects = [text("/") + struct.pack("<II", 0xFFFFFFFF, 0)]
    for number in range(CHANNELS):
        index = struct.pack("<IIIQ", 20, 2, 1, samples)
        properties = scale(number) if first else struct.pack("<I", 0)
        objects.append(text(f"/'Run'/'ai{number}'") + index + properties)
    metadata = struct.pack("<I", len(objects)) + b"".join(objects)
    toc = 0x0E | (0x20 if interleaved else 0)
    raw = samples * 2 * CHANNELS
    return b"TDSm" + struct.pack("<IIQQ", toc, 4713, len(metadata) + raw, len(metadata)) + metadata


def write(path: Path, segments: int, raw: int, *, interleaved: bool = False) -> Path:
    """A file of segments of `raw` bytes; in a folder beside it the same with an index file."""
    samples = raw // (2 * CHANNELS)
    walk = np.random.default_rng(7).integers(-20, 21, raw // 2).cumsum()
    data = (walk % 20_000 - 10_000).astype("<i2").tobytes()
    indexed = with_index(path)
    indexed.parent.mkdir(exist_ok=True)
    with path.open("wb") as file, indexed.with_name(indexed.name + "_index").open("wb") as index:
        for number in range(segments):
            head = header(samples, first=number == 0, interleaved=interleaved)
            file.write(head + data)
            index.write(b"TDSh" + head[4:])
    os.link(path, indexed)
    return path


def with_index(path: Path) -> Path:
    return path.parent / "indexed" / path.name


def sparse(path: Path, size: int, segment: int) -> Path:
    """A file of this size whose samples are holes: zeros that take no space."""
    samples = segment // (2 * CHANNELS)
    with path.open("wb", buffering=0) as file:
        at = number = 0
        while at < size:
            head = header(samples, first=number == 0)
            os.pwrite(file.fileno(), head, at)
            at += len(head) + samples * 2 * CHANNELS
            number += 1
        file.truncate(at)
    return path


# --- work


def into_memory(path: Path, count: int) -> Run:
    """Gives what reads bytes into fresh memory."""

    def run() -> Any:
        out = np.empty(count, np.uint8)
        with path.open("rb", buffering=0) as file:
            view, at = memoryview(out), 0
            while at < count:
                at += file.readinto(view[at : at + 4 * MIB])
        return out

    return run


def scaled_floor(path: Path, count: int) -> Run:
    """Gives what reads codes into one piece of memory and writes as many numbers into fresh memory."""

    def run() -> Any:
        piece, out = bytearray(MIB), np.empty(count, np.float64)
        with path.open("rb", buffering=0) as file:
            for at in range(0, count, MIB // 2):
                file.readinto(piece)
                out[at : at + MIB // 2].fill(1.0)
        return out

    return run


def workloads(folder: Path) -> Iterator[Workload]:
    mapped = folder / "mapped"
    mapped.mkdir()
    big = write(folder / "contiguous.tdms", 64, 4 * MIB)
    size = big.stat().st_size
    log, other = daqring.open(big), nptdms.TdmsFile.open(big)
    other_mapped = nptdms.TdmsFile.open(big, memmap_dir=str(mapped))

    def whole(path: Path) -> Run:
        return lambda: [channel.raw[:] for channel in daqring.open(path).channels]

    def rows(path: Path) -> Run:
        return lambda: list(daqring.open(path).groups["Run"].read(raw=True))

    def their_whole(path: Path) -> dict[str, Run]:
        def read(**options: Any) -> Run:
            return lambda: [
                channel.raw_data for channel in nptdms.TdmsFile.read(path, **options)["Run"].channels()
            ]

        def each() -> list[Any]:
            with nptdms.TdmsFile.open(path) as opened:
                return [channel.read_data(scaled=False) for channel in opened["Run"].channels()]

        return {"read": read(), "read, mapped": read(memmap_dir=str(mapped)), "by channel": each}

    yield Workload("whole file, raw", whole(big), their_whole(big), 1.4, into_memory(big, size))

    def read_data(name: str, scaled: bool) -> dict[str, Run]:
        return {
            "read_data": lambda: other["Run"][name].read_data(scaled=scaled),
            "read_data, mapped": lambda: other_mapped["Run"][name].read_data(scaled=scaled),
        }

    one = into_memory(big, size // CHANNELS)
    yield Workload("one channel, raw", lambda: log["ai3"].raw[:], read_data("ai3", False), 1.4, one)
    woven = write(folder / "interleaved.tdms", 16, 4 * MIB, interleaved=True)
    all_of_it = into_memory(woven, woven.stat().st_size)
    yield Workload("interleaved file, raw", rows(woven), their_whole(woven), 5.0, all_of_it)
    opened = daqring.open(woven)
    with nptdms.TdmsFile.open(woven) as theirs:
        yield Workload(
            "interleaved, one channel",
            lambda: opened["ai3"].raw[:],
            {"read_data": lambda: theirs["Run"]["ai3"].read_data(scaled=False)},
            5.0,
            all_of_it,
        )
    starts = np.random.default_rng(1).integers(0, len(log["ai0"]) - SLICE, 100).tolist()
    yield Workload(
        "100 random slices",
        lambda: [log["ai3"].raw[start : start + SLICE] for start in starts],
        {
            "read_data": lambda: [
                other["Run"]["ai3"].read_data(start, SLICE, scaled=False) for start in starts
            ]
        },
        None,
        into_memory(big, 100 * SLICE * 2),
    )
    fresh = scaled_floor(big, len(log["ai0"]))
    for name, what in (("ai0", "scaled, linear"), ("ai1", "scaled, polynomial")):
        yield Workload(what, lambda name=name: log[name][:], read_data(name, True), 10.0, fresh)
    for count in (10_000, 100_000):
        many = write(folder / f"{count}.tdms", count, 256)

        def lengths(path: Path, how: Any) -> Run:
            return lambda: [len(channel) for channel in how(path)["Run"].channels()]

        theirs_open = {
            "open": lengths(many, nptdms.TdmsFile.open),
            "read_metadata": lengths(many, nptdms.TdmsFile.read_metadata),
            "open, index file": lengths(with_index(many), nptdms.TdmsFile.open),
            "read_metadata, index file": lengths(with_index(many), nptdms.TdmsFile.read_metadata),
        }
        yield Workload(
            f"opening {count:,} segments",
            lambda many=many: [len(channel) for channel in daqring.open(many).channels],
            theirs_open,
            10.0,
            like="opening 10,000 segments" if count > 10_000 else None,
        )


def clocked(run: Run) -> tuple[float, float]:
    """Seconds, and seconds of processor time, for a run; its result is gone by the end."""
    begin, used = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - begin, time.process_time() - used


def same(ours: Any, theirs: Any) -> None:
    """Raises AssertionError unless values, shapes and types agree."""
    if not isinstance(ours, list):
        ours, theirs = [ours], [theirs]
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        mine, other = np.asarray(mine), np.asarray(other)
        assert (mine.shape, mine.dtype) == (other.shape, other.dtype)
        assert np.array_equal(mine, other)


def measure(work: Workload, repetitions: int, which: int, way: str | None) -> dict[str, Any]:
    """Compares, chooses npTDMS's best way unless one is given, and times all in turn."""
    expected = work.ours()
    quickest = {}
    for one, run in work.theirs.items():
        if way in (None, one):
            same(expected, run())
            quickest[one] = min(clocked(run)[which] for _ in range(1 if way else 2))
    del expected
    best = min(quickest, key=quickest.__getitem__)
    runs = {"daqring": work.ours, "npTDMS": work.theirs[best]}
    if work.floor is not None:
        runs["floor"] = work.floor
    times: dict[str, list[tuple[float, float]]] = {who: [] for who in runs}
    for _ in range(repetitions):
        for who, run in runs.items():
            times[who].append(clocked(run))
    taken = {who: [one[which] for one in each] for who, each in times.items()}
    ratios = [b / a for a, b in zip(taken["daqring"], taken["npTDMS"], strict=True)]
    return {
        "seconds": {who: [one[0] for one in each] for who, each in times.items()},
        "processor_seconds": {who: [one[1] for one in each] for who, each in times.items()},
        "npTDMS_way": best,
        "npTDMS_ways": quickest,
        "medians": {who: statistics.median(each) for who, each in taken.items()},
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "must": work.must,
    }


def row(name: str, result: dict[str, Any]) -> None:
    medians, must = result["medians"], result["must"]
    floor = f"{medians['floor'] * 1e3:8.1f}" if "floor" in medians else ""
    low, high = min(result["ratios"]), max(result["ratios"])
    spread = f"({low:.1f} to {high:.1f})"
    verdict = "" if must is None else "reached" if result["ratio"] >= must else "SHORT"
    if verdict == "SHORT" and "floor" in medians and medians["npTDMS"] < must * medians["floor"]:
        verdict = f"limit: the floor is {medians['npTDMS'] / medians['floor']:.1f}x"
    print(
        f"{name:26} {medians['daqring'] * 1e3:9.1f} {medians['npTDMS'] * 1e3:9.1f} {floor:>8} "
        f"{result['ratio']:6.1f}x {spread:>15} {must or '':>5} {result['npTDMS_way']:16} {verdict}",
        flush=True,
    )


# --- memory and information


OPEN_SLICE = {
    "daqring": "import daqring as it; read = lambda: it.open(sys.argv[1])['ai5'][at : at + 1_000_000]",
    "npTDMS": "import nptdms as it; "
    "read = lambda: it.TdmsFile.open(sys.argv[1])['Run']['ai5'].read_data(at, 1_000_000)",
}


def slice_memory(path: Path, who: str) -> float:
    """MiB that a slice of a million scaled samples takes in a process of its own."""
    # The most that the process had in memory so far, by Linux; getrusage would count its parent in.
    program = (
        f"import sys, numpy; at = 5_000_000_000; {OPEN_SLICE[who]}\n"
        "usage = lambda: next(int(line.split()[1]) for line in open('/proc/self/status')\n"
        "             if line.startswith('VmHWM'))\n"
        "before = usage(); values = read(); assert len(values) == 1_000_000; print(usage() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], check=True, capture_output=True, text=True, timeout=60
    )
    return int(done.stdout) / 1024


def memory(folder: Path) -> dict[str, Any]:
    path = sparse(folder / "huge.tdms", 10**11, 10**11 - 10_000)
    result: dict[str, Any] = {"must": MEMORY_MUST, "daqring": slice_memory(path, "daqring")}
    path.unlink()
    # npTDMS reads whole chunks: segments of a size that it can hold, too.
    path = sparse(folder / "huge.tdms", 10**11, 256 * MIB)
    result["daqring, 256 MiB segments"] = slice_memory(path, "daqring")
    try:
        result["npTDMS, 256 MiB segments"] = slice_memory(path, "npTDMS")
    except (subprocess.SubprocessError, ValueError) as error:
        result["npTDMS, 256 MiB segments"] = str(error)
    path.unlink()
    return result


def information(folder: Path, repetitions: int, which: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """How long `daqring info` takes: the command in a process of its own, and the reading in it alone."""

    def one(paths: list[Path], argument: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "daqring", "info", argument]
        times: dict[str, list[float]] = {"command": [], "reading": []}
        for _ in range(repetitions):
            before = [time.perf_counter(), sum(os.times()[2:4])]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            after = [time.perf_counter(), sum(os.times()[2:4])]
            times["command"].append(after[which] - before[which])
            times["reading"].append(clocked(lambda: daqring.open(argument).describe())[which])
        log = daqring.open(argument)
        assert log.size >= TB
        assert len(log.paths) == len(paths)
        segments = log.to_dict()["segments"]
        for path in paths:
            path.unlink()
        medians = {what: statistics.median(each) for what, each in times.items()}
        return {"seconds": times, "medians": medians, "segments": segments, "must": INFO_MUST}

    for segment, words in ((1024 * MIB, "1 GiB"), (4 * MIB, "4 MiB")):
        path = sparse(folder / "tera.tdms", TB, segment)
        yield f"info, 1 TB, {words} segments", one([path], str(path))
    files = [sparse(folder / f"tera_{n:04}.tdms", TB // 100, 64 * MIB) for n in range(100)]
    yield "info, 1 TB, 100 files", one(files, str(folder / "tera_*.tdms"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=11, metavar="N")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--dir", metavar="DIR", help="where the files are made")
    parser.add_argument("--only", metavar="WORDS", help="only rows with these words in their name")
    parser.add_argument("--cpu", action="store_true", help="compare processor time: on a busy machine")
    arguments = parser.parse_args()
    wanted = arguments.only or ""
    results: dict[str, Any] = {}
    what = "ms of processor time" if arguments.cpu else "ms"
    print(f"medians of {arguments.repetitions}, {what}; all files in the system's cache")
    print(f"{'':26} {'daqring':>9} {'npTDMS':>9} {'floor':>8} {'ratio':>7} {'must':>21} npTDMS's way")
    with tempfile.TemporaryDirectory(dir=arguments.dir) as name:
        folder = Path(name)
        for work in workloads(folder):
            if wanted in work.name:
                way = results[work.like]["npTDMS_way"] if work.like in results else None
                results[work.name] = measure(work, arguments.repetitions, int(arguments.cpu), way)
                row(work.name, results[work.name])
        if wanted in "slice of a 100 GB file, memory":
            found = results["slice of a 100 GB file, memory"] = memory(folder)
            verdict = "reached" if found["daqring"] < MEMORY_MUST else "SHORT"
            print("slice of a 100 GB file, extra memory in MiB (1,000,000 scaled samples, 7.6 MiB):")
            for who, mib in found.items():
                if who != "must":
                    print(f"  {who:24} {mib if isinstance(mib, str) else f'{mib:9.1f}'}")
            print(f"  must be below {MEMORY_MUST}: {verdict}", flush=True)
        if "info" in wanted or not wanted:
            for what, found in information(folder, arguments.repetitions, int(arguments.cpu)):
                results[what] = found
                medians = found["medians"]
                verdict = "reached" if medians["command"] < INFO_MUST else "SHORT"
                print(
                    f"{what:26} {medians['command'] * 1e3:9.1f} ms the command, "
                    f"{medians['reading'] * 1e3:.1f} ms of it the file; {found['segments']:,} segments; "
                    f"must be below {INFO_MUST} s: {verdict}",
                    flush=True,
                )
    if arguments.json:
        about = {
            "machine": platform.platform(),
            "processor": platform.processor(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "npTDMS": nptdms.__version__,
            "daqring": daqring.__version__,
            "clock": "processor" if arguments.cpu else "wall",
            "cache": "warm",
        }
        Path(arguments.json).write_text(json.dumps({"about": about, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
