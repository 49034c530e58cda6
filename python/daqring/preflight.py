"""Whether this machine and this disk will keep up with a wanted recording, measured before it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import shutil
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from daqring import _native
from daqring.errors import RecordingError
from daqring.source import driver_words

if TYPE_CHECKING:
    from daqring.acquisition import Acquisition
    from daqring.recorder import Recorder

__all__ = ["Preflight", "preflight"]

#: The disk should take this many times the wanted rate, and must take so many.
DISK_WATCH, DISK_BAD = 2.0, 1.2
#: And so must the stages. Bytes that they work on to find out: half a second of the recording, within these.
STAGED = (16 << 20, 256 << 20)
#: Parts of all cores that writing may take.
CPU_WATCH, CPU_BAD = 0.4, 0.8
#: The disk should last so long, and must last so long (s), where no duration is asked for.
LASTS_WATCH, LASTS_BAD = 3600.0, 60.0
#: Bytes that the measurement writes: two seconds of the recording, within these bounds.
WRITTEN = (64 << 20, 1 << 30)
#: And not more than this part of the free space.
OF_FREE = 0.25
#: Longest pause of a disk that the ring should bridge, in times of the slowest write seen.
PAUSES = 4.0


@dataclasses.dataclass(frozen=True)
class Preflight:
    """What was found. MB are 10**6 bytes, times are in seconds."""

    verdict: Literal["GOOD", "WATCH", "BAD"]
    #: Why it is not GOOD, the worst first.
    reasons: tuple[str, ...]
    #: For every task: name, channels, rate, dtype, why this dtype, reader and why.
    tasks: tuple[dict[str, Any], ...]
    #: What the tasks bring.
    wanted_mb_per_s: float
    #: What the log can take, written as the recording would be, and how much was written to find out.
    disk_mb_per_s: float
    measured_bytes: int
    #: Times the wanted rate that the disk can take.
    disk_margin: float
    #: What the stages can take, on noise and without a log, and how many times the wanted rate that is;
    #: ``None`` where there are none.
    stages_mb_per_s: float | None
    stages_margin: float | None
    #: Longest time that the log took for a block.
    slowest_write: float
    #: For how long the ring bridges a pause of the disk, and for how long together with the driver's
    #: buffer, where the recording waits (``overflow="wait"``) and the samples come at a rate.
    ring_seconds: float
    buffered_seconds: float
    #: How the file was written: direct or buffered.
    io: str
    #: Seconds of processor time for 10**9 bytes, and the part of all cores that the wanted rate takes.
    cpu_s_per_gb: float
    cpu_load: float
    cores: int
    #: Memory that the rings take, and that is available.
    ring_bytes: int
    memory_available: int
    #: Free on the disk above what is kept free, and how long that lasts.
    disk_free: int
    disk_seconds: float
    #: How long the recording is to be; ``None``: open-ended.
    seconds: float | None

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return dataclasses.asdict(self)


def preflight(recorder: Recorder, folder: str | os.PathLike[str]) -> Preflight:
    """Measures whether a recorder that was not started would keep up, with its file in `folder`.

    Writes at most 1 GiB, and at most a quarter of the free space, and removes it again.

    Raises:
        DriverError: The driver refuses a task as it is configured.
        OSError: The folder cannot be written to.
        RecordingError: Writing failed.
    """
    import psutil

    acquisitions = recorder._acquisitions
    for acquisition in acquisitions:
        with driver_words():
            acquisition.source.verify()
    wanted = recorder._bytes_per_second
    reserve = recorder._log["reserve_bytes"] or 0
    free = max(0, shutil.disk_usage(folder).free - reserve)
    largest = max(acquisitions, key=lambda each: each.bytes_per_second)
    measured = _measure(
        Path(folder),
        slot_bytes=largest.block * largest.frame,
        slots=largest.slots,
        workers=recorder._workers,
        log=recorder._log | {"keep_bytes": None},
        total=int(min(max(2 * wanted, WRITTEN[0]), WRITTEN[1], OF_FREE * free)),
    )
    stages = _measure_stages(recorder)
    lengths = [
        each.wanted / each.source.rate
        for each in acquisitions
        if each.wanted is not None and each.source.rate
    ]
    seconds = max(lengths) if len(lengths) == len(acquisitions) else None
    cores = os.cpu_count() or 1
    buffers = [
        (_ring_seconds(each), each.driver_seconds if recorder._overflow == "wait" else 0.0)
        for each in acquisitions
    ]
    found = {
        "tasks": tuple(
            {
                "name": each.name,
                "channels": len(each.source.channels),
                "rate": each.source.rate,
                "dtype": each.source.dtype.name,
                "dtype_reason": each.source.dtype_reason,
                "reader": each.reader_kind,
                "reader_reason": each.reader_reason,
            }
            for each in acquisitions
        ),
        "wanted_mb_per_s": wanted / 1e6,
        "disk_margin": measured["disk_mb_per_s"] * 1e6 / wanted if wanted else math.inf,
        "stages_mb_per_s": stages,
        "stages_margin": None if stages is None else stages * 1e6 / wanted if wanted else math.inf,
        "ring_seconds": min(ring for ring, _ in buffers),
        "buffered_seconds": min(ring + driver for ring, driver in buffers),
        "cpu_load": measured["cpu_s_per_gb"] * wanted / 1e9 / cores,
        "cores": cores,
        "ring_bytes": sum(each.slots * each.block * each.frame for each in acquisitions),
        "memory_available": int(psutil.virtual_memory().available),
        "disk_free": free,
        "disk_seconds": free / wanted if wanted else math.inf,
        "seconds": seconds,
        **measured,
    }
    bad, watch = _reasons(found, keeps=recorder._log["keep_bytes"])
    return Preflight(verdict="BAD" if bad else "WATCH" if watch else "GOOD", reasons=(*bad, *watch), **found)


def _ring_seconds(acquisition: Acquisition) -> float:
    if not acquisition.bytes_per_second:
        return math.inf
    return acquisition.slots * acquisition.block * acquisition.frame / acquisition.bytes_per_second


def _measure(
    folder: Path, *, slot_bytes: int, slots: int, workers: int, log: dict[str, Any], total: int
) -> dict[str, Any]:
    """Writes `total` bytes through a log as the recording would; they are removed again."""
    channel: dict[str, Any] = {"name": "noise", "dtype": "int16", "unit": "", "scale": None, "properties": {}}
    group = {"name": "check", "dt": 1.0, "properties": {}, "channels": [channel]}
    slot_bytes -= slot_bytes % 2
    stem = f".daqring-check-{uuid.uuid4().hex}"
    recording = _native.Recording(
        folder / f"{stem}.tdms",
        [{"group": group, "slot_bytes": slot_bytes, "slots": slots}],
        workers=workers,
        log=log,
    )
    noise = np.random.default_rng(1).integers(0, 256, slot_bytes, dtype=np.uint8)
    finished: dict[str, Any] | None = None
    try:
        cpu, began = time.process_time(), time.perf_counter()
        written = 0
        while written < total:
            slot = recording.reserve(0, 0.25)
            if slot is None:
                if recording.failure() is not None:
                    break
                continue
            view = memoryview(slot)
            np.frombuffer(view, np.uint8, slot_bytes)[:] = noise
            view.release()
            slot.commit(slot_bytes, samples=slot_bytes // 2, first_sample=written // 2)
            written += slot_bytes
        finished = recording.finish([], {})
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    finally:
        if finished is None:
            recording.finish([], {})
        for file in folder.glob(f"{stem}*"):
            with contextlib.suppress(OSError):
                file.unlink()
    if finished["error"] is not None:
        raise RecordingError(f"the disk cannot be measured: {finished['error']}")
    return {
        "disk_mb_per_s": written / took / 1e6,
        "measured_bytes": written,
        "slowest_write": finished["slowest_write_ns"] / 1e9,
        "io": finished["io"] or "",
        "cpu_s_per_gb": cpu / written * 1e9,
    }


def _measure_stages(recorder: Recorder) -> float | None:
    """MB/s that the recorder's stages can take of its tasks together; ``None`` where there are none."""
    # Of streams with a rate of their own: others are slow.
    working = [
        (each, planned)
        for each, planned in zip(recorder._acquisitions, recorder._stages, strict=True)
        if planned["stages"] and each.bytes_per_second and not each.source.timed and not each.source.record
    ]
    if not working:
        return None
    native = _native.Recording(
        None,
        [{**each.stream(), **planned, "overflow": "wait"} for each, planned in working],
        workers=recorder._workers,
    )
    wanted = sum(each.bytes_per_second for each, _ in working)
    total = min(max(wanted / 2, STAGED[0]), STAGED[1])
    random = np.random.default_rng(1)
    noise = [
        random.integers(-1000, 1000, each.block * each.source.width).astype(each.source.dtype).view(np.uint8)
        for each, _ in working
    ]
    blocks = [
        max(2, math.ceil(total * each.bytes_per_second / wanted / len(data)))
        for (each, _), data in zip(working, noise, strict=True)
    ]
    began, written, failed = time.perf_counter(), 0, None
    try:
        for number in range(max(blocks)):
            for stream, ((each, _), data) in enumerate(zip(working, noise, strict=True)):
                slot = None
                while number < blocks[stream] and slot is None and failed is None:
                    slot = native.reserve(stream, 0.25)
                    failed = native.failure()
                if slot is None:
                    continue
                view = memoryview(slot)
                np.frombuffer(view, np.uint8, len(data))[:] = data
                view.release()
                slot.commit(len(data), samples=each.block, first_sample=number * each.block)
                written += len(data)
    finally:
        failed = native.finish([], {})["error"] or failed
    took = time.perf_counter() - began
    if failed is not None:
        raise RecordingError(f"a stage cannot be measured: {failed}")
    # As much of the other tasks comes in the same time.
    return written / took / 1e6 * sum(each.bytes_per_second for each in recorder._acquisitions) / wanted


def _reasons(found: dict[str, Any], keeps: int | None) -> tuple[list[str], list[str]]:
    """What makes it BAD, and what makes it WATCH."""
    bad: list[str] = []
    watch: list[str] = []
    seconds, buffered = found["seconds"], found["buffered_seconds"]

    def short(margin: float, wanted: float) -> bool:
        """Whether `margin` is less than `wanted`, and the buffers do not bridge that to the end."""
        if margin >= wanted:
            return False
        # What has come by then and was not taken, if things are as much slower as `wanted` allows for.
        return seconds is None or seconds * (1 - margin / wanted) > buffered

    # Of a run that the buffers hold as a whole no pause and no load of the processor matters.
    held = seconds is not None and seconds <= buffered

    def judge(worse: bool, worst: bool, reason: str) -> None:
        if worse or worst:
            (bad if worst else watch).append(reason)

    margin = found["disk_margin"]
    judge(
        short(margin, DISK_WATCH),
        short(margin, DISK_BAD),
        f"the disk takes {found['disk_mb_per_s']:,.1f} MB/s, {margin:.1f} times the "
        f"{found['wanted_mb_per_s']:,.1f} MB/s wanted",
    )
    if found["stages_margin"] is not None:
        judge(
            short(found["stages_margin"], DISK_WATCH),
            short(found["stages_margin"], DISK_BAD),
            f"the stages take {found['stages_mb_per_s']:,.1f} MB/s, {found['stages_margin']:.1f} times the "
            f"{found['wanted_mb_per_s']:,.1f} MB/s wanted: more workers may help",
        )
    load = found["cpu_load"]
    judge(
        load > CPU_WATCH and not held,
        load > CPU_BAD and not held,
        f"writing alone takes {load:.0%} of the {found['cores']} cores",
    )
    judge(
        found["ring_seconds"] < PAUSES * found["slowest_write"] and not held,
        found["ring_seconds"] < found["slowest_write"] and not held,
        f"a block took up to {found['slowest_write']:.2f} s to write, and the ring bridges "
        f"{found['ring_seconds']:.2f} s",
    )
    judge(
        found["ring_bytes"] > found["memory_available"] / 2,
        found["ring_bytes"] > found["memory_available"],
        f"the rings take {found['ring_bytes'] / 1e6:,.0f} MB of "
        f"{found['memory_available'] / 1e6:,.0f} MB of memory",
    )
    lasts = found["disk_seconds"]
    if seconds is not None:
        judge(
            lasts < 1.5 * seconds,
            lasts < seconds,
            f"the disk is full after {lasts:,.0f} s, and {seconds:,.0f} s are wanted",
        )
    elif keeps is None:
        judge(lasts < LASTS_WATCH, lasts < LASTS_BAD, f"the disk is full after {lasts:,.0f} s")
    for task in found["tasks"]:
        if task["reader"] == "python":
            watch.append(
                f"task {task['name']} is read by Python ({task['reader_reason']}): "
                "other Python code delays it"
            )
    return bad, watch
