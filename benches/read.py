"""Reading TDMS with daqring and with npTDMS, with reading into memory as the floor: `python benches/read.py`.

Each workload is run by both, in turn, 11 times; what they give is compared first. `--json FILE` keeps the
figures. The files come from memory (the system's cache): what is measured is the reader, not the disk.
Takes about four minutes and 500 MB of space in the folder for temporary files (`--dir`).
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import daqring
import nptdms
import numpy as np

CHANNELS = 8
MIB = 1 << 20
#: What must be reached against npTDMS.
GOALS = {
    "whole file, raw": 1.4,
    "one channel, raw": 1.4,
    "100 random slices": None,
    "scaled, polynomial": 10.0,
    "scaled, linear": 10.0,
    "interleaved file, raw": 5.0,
    "opening 10,000 segments": 10.0,
    "opening 100,000 segments": 10.0,
}
SLICE_MIB = 64


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


def header(samples: int, raw: int, *, first: bool, interleaved: bool = False) -> bytes:
    """A self-describing segment's lead-in and metadata: int16 channels."""
    objects = [text("/") + struct.pack("<II", 0xFFFFFFFF, 0)]
    for number in range(CHANNELS):
        index = struct.pack("<IIIQ", 20, 2, 1, samples)
        properties = scale(number) if first else struct.pack("<I", 0)
        objects.append(text(f"/'Run'/'ai{number}'") + index + properties)
    metadata = struct.pack("<I", len(objects)) + b"".join(objects)
    toc = 0x0E | (0x20 if interleaved else 0)
    return b"TDSm" + struct.pack("<IIQQ", toc, 4713, len(metadata) + raw, len(metadata)) + metadata


def write(path: Path, segments: int, raw: int, *, interleaved: bool = False) -> Path:
    samples = raw // (2 * CHANNELS)
    walk = np.random.default_rng(7).integers(-20, 21, raw // 2).cumsum()
    data = (walk % 20_000 - 10_000).astype("<i2").tobytes()
    with path.open("wb") as file:
        for number in range(segments):
            file.write(header(samples, raw, first=number == 0, interleaved=interleaved) + data)
    return path


def into_memory(path: Path) -> int:
    """The floor: the bytes of the file in fresh memory."""
    out = np.empty(path.stat().st_size, np.uint8)
    with path.open("rb", buffering=0) as file:
        view, at = memoryview(out), 0
        while at < len(out):
            at += file.readinto(view[at : at + 4 * MIB]) or len(out)
    return at


def workloads(folder: Path) -> dict[str, tuple[Callable[[], Any], Callable[[], Any], Path | None]]:
    """Name: what daqring does, what npTDMS does, and the file that is read as a whole."""
    big = write(folder / "contiguous.tdms", 64, 4 * MIB)
    woven = write(folder / "interleaved.tdms", 16, 4 * MIB, interleaved=True)
    many = {count: write(folder / f"{count}.tdms", count, 256) for count in (10_000, 100_000)}
    log, other = daqring.open(big), nptdms.TdmsFile.open(big)
    length = len(log["ai0"])
    starts = np.random.default_rng(1).integers(0, length - 10_000, 100).tolist()

    def whole() -> list[Any]:
        opened = daqring.open(big)
        return [channel.raw[:] for channel in opened.channels]

    def their_whole() -> list[Any]:
        opened = nptdms.TdmsFile.read(big, raw_timestamps=True)
        return [channel.raw_data for channel in opened["Run"].channels()]

    def rows() -> list[Any]:
        return list(daqring.open(woven).groups["Run"].read(raw=True))

    def their_rows() -> list[Any]:
        opened = nptdms.TdmsFile.read(woven)
        return [channel.raw_data for channel in opened["Run"].channels()]

    def open_ours(path: Path) -> Callable[[], Any]:
        return lambda: [len(channel) for channel in daqring.open(path).channels]

    def open_theirs(path: Path) -> Callable[[], Any]:
        def run() -> list[int]:
            with nptdms.TdmsFile.open(path) as opened:
                return [len(channel) for channel in opened["Run"].channels()]

        return run

    theirs = other["Run"]
    out: dict[str, tuple[Callable[[], Any], Callable[[], Any], Path | None]] = {
        "whole file, raw": (whole, their_whole, big),
        "one channel, raw": (
            lambda: log["ai3"].raw[:],
            lambda: theirs["ai3"].read_data(scaled=False),
            None,
        ),
        "100 random slices": (
            lambda: [log["ai3"].raw[start : start + 10_000] for start in starts],
            lambda: [theirs["ai3"].read_data(start, 10_000, scaled=False) for start in starts],
            None,
        ),
        "scaled, polynomial": (lambda: log["ai1"][:], lambda: theirs["ai1"][:], None),
        "scaled, linear": (lambda: log["ai0"][:], lambda: theirs["ai0"][:], None),
        "interleaved file, raw": (rows, their_rows, woven),
    }
    for count, path in many.items():
        out[f"opening {count:,} segments"] = (open_ours(path), open_theirs(path), path)
    return out


def timed(run: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def slice_memory(folder: Path) -> float:
    """MiB that a slice of a sparse file of 100 GB takes in a process of its own."""
    path = folder / "huge.tdms"
    samples = 100_000_000_000 // (2 * CHANNELS)
    begin = header(samples, samples * 2 * CHANNELS, first=True)
    with path.open("wb") as file:
        file.write(begin)
        file.truncate(len(begin) + samples * 2 * CHANNELS)
    program = (
        "import resource, sys, daqring; usage = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = usage(); channel = daqring.open(sys.argv[1])['ai5']\n"
        "channel[5_000_000_000:5_001_000_000]; print(usage() - before)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], check=True, capture_output=True, text=True)
    path.unlink()
    return int(done.stdout) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=11, metavar="N")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--dir", metavar="DIR", help="where the files are made")
    parser.add_argument("--only", metavar="WORDS", help="only workloads with these words in their name")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    print(f"{'workload':26} {'daqring':>16} {'npTDMS':>16} {'floor':>9} {'ratio':>7} {'must':>5}")
    with tempfile.TemporaryDirectory(dir=arguments.dir) as name:
        folder = Path(name)
        for what, (ours, theirs, path) in workloads(folder).items():
            if arguments.only and arguments.only not in what:
                continue
            for mine, other in zip(ours(), theirs(), strict=True):
                np.testing.assert_array_equal(mine, other)
            times: dict[str, list[float]] = {"daqring": [], "npTDMS": [], "floor": []}
            for _ in range(arguments.repetitions):
                times["daqring"].append(timed(ours))
                times["npTDMS"].append(timed(theirs))
                if path is not None and not what.startswith("opening"):
                    times["floor"].append(timed(lambda path=path: into_memory(path)))
            medians = {who: statistics.median(each) for who, each in times.items() if each}
            ratio = statistics.median(b / a for a, b in zip(times["daqring"], times["npTDMS"], strict=True))
            goal = GOALS[what]
            verdict = "" if goal is None else "reached" if ratio >= goal else "SHORT"

            def shown(who: str, times: dict[str, list[float]] = times) -> str:
                each = times[who]
                spread = (max(each) - min(each)) / 2 * 1e3
                return f"{statistics.median(each) * 1e3:8.1f} ±{spread:5.1f}ms"

            floor = f"{medians['floor'] * 1e3:7.1f}ms" if "floor" in medians else ""
            print(
                f"{what:26} {shown('daqring'):>16} {shown('npTDMS'):>16} {floor:>9} {ratio:6.1f}x "
                f"{goal or '':>5} {verdict}",
                flush=True,
            )
            results[what] = {"seconds": times, "medians": medians, "ratio": ratio, "must": goal}
        if not arguments.only:
            memory = slice_memory(folder)
            verdict = "reached" if memory < SLICE_MIB else "SHORT"
            print(
                f"{'slice of a 100 GB file':26} {memory:11.1f} MiB more, must be below {SLICE_MIB}: {verdict}"
            )
            results["slice of a 100 GB file"] = {"MiB": memory, "must": SLICE_MIB}
    if arguments.json:
        about = {
            "machine": platform.platform(),
            "processor": platform.processor(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "npTDMS": nptdms.__version__,
            "daqring": daqring.__version__,
        }
        Path(arguments.json).write_text(json.dumps({"about": about, "results": results}, indent=2))


if __name__ == "__main__":
    main()
