"""Runs stages on samples of the test's own, in blocks of any sizes, and gives the log that came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import daqring
import numpy as np
import numpy.typing as npt
from daqring import _native
from daqring.stages import Stage, StreamInfo, plan

RATE = 1000.0
START_NS = 1_700_000_000_000_000_000


def run_stages(
    path: Path,
    data: npt.NDArray[Any],
    stages: Sequence[Stage],
    *,
    blocks: Sequence[int],
    scale: Sequence[float] | None = None,
    workers: int = 3,
    gaps: dict[int, int | None] | None = None,
    before: dict[int, Any] | None = None,
    first: int = 0,
    rate: float = RATE,
    seen: Callable[[int], int] | None = None,
) -> tuple[daqring.Log, dict[str, Any]]:
    """Cuts `data` (channels x samples) into blocks of the sizes `blocks`, again and again.

    `gaps`: number of the block before which so many samples are missing (they are left out of
    `data` already; None: unknown). `before`: called with the recording before the block of the number.
    `seen`: the host's time at which a block that ends at a sample was complete, ns since 1970; by default
    as if each came right in time.
    """
    channels = [f"ch{number}" for number in range(len(data))]
    info = StreamInfo("task", tuple(channels), rate, data.dtype)
    group = {
        "name": "task",
        "dt": 1 / rate,
        "properties": {},
        "channels": [
            {"name": name, "dtype": data.dtype.name, "unit": "V", "scale": scale, "properties": {}}
            for name in channels
        ],
    }
    slot = max(blocks) * len(data) * data.itemsize
    native = _native.Recording(
        path, [{"group": group, "slot_bytes": slot, "slots": 6, **plan(stages, [info])[0]}], workers=workers
    )
    native.set_start_time(0, START_NS)

    def by_the_rate(end: int) -> int:
        return START_NS + round(end / rate * 1e9)

    at, number, sample = 0, 0, first
    while at < data.shape[1]:
        part = np.ascontiguousarray(data[:, at : at + blocks[number % len(blocks)]])
        if before and number in before:
            before[number](native)
        lost = (gaps or {}).get(number, 0)
        sample += lost or 0
        slot_memory = native.reserve(0, 20.0)
        if slot_memory is None:
            break  # it failed; the end says how
        memoryview(slot_memory)[: part.nbytes] = part.tobytes()
        slot_memory.commit(
            part.nbytes,
            samples=part.shape[1],
            first_sample=sample,
            lost_before=_native.LOST_UNKNOWN if lost is None else lost,
            gap=0 if lost == 0 else 4,
            host_time_ns=(seen or by_the_rate)(sample + part.shape[1]),
        )
        at, number, sample = at + part.shape[1], number + 1, sample + part.shape[1]
    counts = native.finish([], {})
    if counts["error"] is not None:
        raise counts["error"]
    assert counts["law_holds"], counts
    assert at >= data.shape[1], "the ring stayed full"
    return daqring.open(path), counts
