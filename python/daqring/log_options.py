"""How a recording is stored: when it is durable, what becomes a segment, when the next file begins."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import numpy as np

__all__ = ["LogOptions"]

_UNITS = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
#: What a number of the native module holds at least.
LARGEST_SIZE, LARGEST_TIME = 2**63 - 1, 1e15
#: A segment that is gathered lies in memory, once for each task.
LARGEST_SEGMENT = 1 << 30
#: Less than this in a second is gathered: a week of one-second segments would be slow to open.
GATHER_BELOW = 64 << 10
#: Blocks smaller than this are gathered where so much comes in a second: a write costs what 100 KB of samples
#: cost, and the segment is full in a quarter of a second.
SMALL_BLOCK, MANY = 256 << 10, 16 << 20
SEGMENT = 4 << 20
_TIMES = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
UNITS = "B, kB, MB, GB, TB, KiB, MiB, GiB, TiB; ms, s, min, h, d"
_QUANTITY = re.compile(r"\s*([0-9.eE+-]+)\s*([a-zA-Z]*)\s*")


def _quantity(name: str, text: str) -> tuple[float, str]:
    match = _QUANTITY.fullmatch(text)
    try:
        number = float(match[1]) if match else math.nan
    except ValueError:
        number = math.nan
    if number == 0:
        raise ValueError(f"{name}: {text!r} must be more than 0")
    if match is None or not 0 < number < math.inf:
        raise ValueError(f"{name}: {text!r} is no size such as '500 GB' and no time such as '1 s'")
    unit = match[2].lower()
    if unit and unit not in _UNITS and unit not in _TIMES:
        raise ValueError(f"{name}: {text!r} has an unknown unit; there are {UNITS}")
    return number, unit


def _bytes(name: str, value: int | float | str | None) -> int | None:
    """A size in bytes from a number or from text such as ``"500 GB"``."""
    if value is None:
        return None
    number, unit = _quantity(name, value if isinstance(value, str) else str(value))
    if (unit or "b") not in _UNITS:
        raise ValueError(f"{name}: {value!r} is no size; write it as '500 GB' or '4 MiB'")
    size = max(1, round(number * _UNITS[unit or "b"]))
    if size > LARGEST_SIZE:
        raise ValueError(f"{name}: {value!r} is more than any disk has")
    return size


def _seconds(name: str, value: float | str | None) -> float | None:
    """A time in seconds from a number or from text such as ``"10 min"``."""
    if value is None:
        return None
    number, unit = _quantity(name, value if isinstance(value, str) else str(value))
    if (unit or "s") not in _TIMES:
        raise ValueError(f"{name}: {value!r} is no time; write it as '1 s' or '10 min'")
    time = number * _TIMES[unit or "s"]
    if time > LARGEST_TIME:
        raise ValueError(f"{name}: {value!r} is more than 30 million years")
    return time


def _is_count(value: object) -> bool:
    """Whether it is a whole number of 1 or more that the native module can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(1 <= value <= LARGEST_SIZE and value == math.floor(value))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogOptions:
    """How a recording is stored.

    Sizes are bytes or text such as ``"500 GB"``, times are seconds or text such as ``"10 min"``.
    What cannot be understood is a :class:`ValueError` when the options are made.

    >>> LogOptions(flush_every="1 s", segment_time="10 min", rotate="4 GB", keep="500 GB").to_native()[
    ...     "rotate_bytes"
    ... ]
    4000000000
    """

    #: When what was written is brought to the medium: ``"finish"``, ``"block"``, every so many bytes
    #: (``"64 MB"``) or every so often (``"1 s"``).
    sync: str = "finish"
    #: Gather blocks into segments of this size, 1 GiB at most; ``"block"``: each block is a segment. By
    #: default each block is one, unless `segment_time` or `flush_every` ask for gathering (4 MiB then), or
    #: one of these is so: a second of samples is less than 64 KiB and no length of blocks was asked for
    #: (segments are a minute long then, and `flush_every` is a second), or blocks of less than 256 KiB come
    #: at 16 MiB/s or more (segments are 4 MiB then). ``sync="block"`` keeps the latter apart.
    segment: int | str | None = None
    #: The longest time that a gathered segment spans.
    segment_time: float | str | None = None
    #: What the end of this process may cost at most while blocks are gathered.
    flush_every: float | str | None = None
    #: Go on in the next file before one gets longer than this size, or after this time. The path is
    #: then a template: ``{index}`` and ``{time}`` in the file's name are filled in, and without
    #: either ``_0000`` is put before the extension.
    rotate: int | str | None = None
    #: Go on in the next file after exactly this many samples per channel.
    rotate_samples: int | None = None
    #: Remove the oldest files of the recording so that all together stay within this.
    keep: int | str | None = None
    #: Stop in order once the disk has less free space than this. ``None``: never.
    reserve: int | str | None = "64 MiB"
    #: Warn (:class:`daqring.DiskLowWarning`) once the disk lasts for less than this at the rate of the
    #: recording, unless the recording ends before. ``None``: never.
    warn_left: float | str | None = "10 min"
    #: Whether samples have a checksum in the file. Without, `daqring.verify` checks the structure and the
    #: headers only, and after a crash of the machine nobody can tell whether samples behind the last sync
    #: are what was recorded; it spares a few hundredths of a second of processor time per GB. Segments that
    #: replace what waited for them in a tail file (see `flush_every`), as in a slow recording, have one all
    #: the same, and are checked.
    checksum: bool = True
    #: Pass the page cache by (True) or use it (False). ``None``: as a few MB written both ways at the start
    #: show, within 0.2 s or so and once per file system; the report says what was measured.
    direct_io: bool | None = None

    def __post_init__(self) -> None:
        self.to_native()

    @property
    def warn_seconds(self) -> float:
        """`warn_left` in seconds; 0 for never."""
        return _seconds("warn_left", self.warn_left) or 0.0

    def to_native(self, second: float = math.inf, block: int | None = None) -> dict[str, Any]:
        """The options as the native module takes them.

        `second` is the size of a second of samples, `block` that of the smallest blocks where somebody
        chose their length.
        """
        sync_bytes = sync_seconds = None
        if not isinstance(self.sync, str):
            raise ValueError(
                "sync must be 'finish', 'block', or text with a unit such as '64 MB' or '1 s', "
                f"not {self.sync!r}"
            )
        if self.sync not in ("finish", "block"):
            unit = _quantity("sync", self.sync)[1]
            if unit in _TIMES:
                sync_seconds = _seconds("sync", self.sync)
            else:
                sync_bytes = _bytes("sync", self.sync)
        rotate_bytes, rotate_seconds = None, None
        if isinstance(self.rotate, str) and _quantity("rotate", self.rotate)[1] in _TIMES:
            rotate_seconds = _seconds("rotate", self.rotate)
        else:
            rotate_bytes = _bytes("rotate", self.rotate)
        samples = self.rotate_samples
        if samples is not None and not _is_count(samples):
            raise ValueError(f"rotate_samples must be a whole number of 1 or more, not {samples!r}")
        if self.keep is not None and rotate_bytes is rotate_seconds is samples is None:
            raise ValueError("keep needs a recording that goes on in other files: give rotate, too")
        segment_time = _seconds("segment_time", self.segment_time)
        flush = _seconds("flush_every", self.flush_every)
        _seconds("warn_left", self.warn_left)
        if not isinstance(self.checksum, bool):
            raise ValueError(f"checksum must be True or False, not {self.checksum!r}")
        if self.direct_io is not None and not isinstance(self.direct_io, bool):
            raise ValueError(f"direct_io must be True, False or None, not {self.direct_io!r}")
        each = self.segment == "block"
        if each and (segment_time is not None or flush is not None):
            raise ValueError(
                "segment_time and flush_every are for blocks that are gathered: not segment='block'"
            )
        segment = None if each else _bytes("segment", self.segment)
        if segment is not None and segment > LARGEST_SEGMENT:
            raise ValueError(f"segment: {self.segment!r} would lie in memory; it can be 1 GiB at most")
        if segment is None and (segment_time is not None or flush is not None):
            segment = SEGMENT
        if segment is None and not each:
            if block is None and second < GATHER_BELOW:
                segment, segment_time, flush = SEGMENT, 60.0, 1.0
            if block is not None and block < SMALL_BLOCK and second >= MANY and self.sync != "block":
                segment, segment_time, flush = SEGMENT, 1.0, 1.0
        return {
            "sync_each_block": self.sync == "block",
            "sync_bytes": sync_bytes,
            "sync_seconds": sync_seconds,
            "segment_bytes": segment,
            "segment_seconds": segment_time,
            "flush_seconds": flush,
            "rotate_bytes": rotate_bytes,
            "rotate_samples": None if samples is None else int(samples),
            "rotate_seconds": rotate_seconds,
            "keep_bytes": _bytes("keep", self.keep),
            "reserve_bytes": _bytes("reserve", self.reserve),
            "direct_io": self.direct_io,
            "checksum": self.checksum,
        }
