"""Looking at a recording while it runs, without ever slowing it: lossy copies of its newest samples."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from daqring import _native
from daqring.report import GAP_CAUSES, Gap

#: Samples that can be asked for: more than any memory has.
MOST = 1 << 62

__all__ = ["Block", "EnvelopeTap", "RecordInfo", "Span", "StreamShape", "Tap"]


@dataclasses.dataclass(frozen=True)
class StreamShape:
    """How the blocks of a stream look: what all of them have in common."""

    #: Name of the stream and its group.
    name: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    dtype: np.dtype[Any]
    #: From samples to values in the channels' units, ascending polynomial coefficients; ``None``
    #: where they are that already.
    scales: tuple[tuple[float, ...] | None, ...]
    #: Seconds from one sample to the next; NaN where that is not constant.
    dt: float
    #: Whether each sample has a time of its own, in front of the others in a block.
    timed: bool = False
    #: Whether the channels are lines: each sample is 0, or one bit of a port.
    lines: bool = False
    #: Samples of each record, where the device begins one at each trigger: between two of them passes
    #: time that has no samples.
    record: int | None = None

    @classmethod
    def of_group(cls, group: dict[str, Any], record: int | None = None) -> StreamShape | None:
        """From a group as the native module takes and gives it; ``None`` where its blocks are no
        arrays of numbers. `record`: samples of each record of the task."""
        dtypes = {channel["dtype"] for channel in group["channels"]}
        lines = [len(channel.get("lines") or ()) for channel in group["channels"]]
        if len(dtypes) != 1 or (any(lines) and set(lines) != {1}):
            return None
        times = group.get("times")
        return cls(
            name=group["name"],
            channels=tuple(channel["name"] for channel in group["channels"]),
            units=tuple(channel["unit"] for channel in group["channels"]),
            dtype=np.dtype(dtypes.pop()).newbyteorder("<"),
            scales=tuple(
                None if channel["scale"] is None else tuple(channel["scale"]) for channel in group["channels"]
            ),
            dt=float(group["dt"]) if group["dt"] else math.nan,
            timed=times is not None and times["from"] == "slot",
            lines=any(lines),
            record=record,
        )

    def array(self, block: _native.Block) -> npt.NDArray[Any]:
        """A block's samples, channels x samples, without a copy (but of lines)."""
        offset = 8 * block.samples if self.timed else 0
        data = np.frombuffer(memoryview(block), self.dtype, offset=offset).reshape(len(self.channels), -1)
        return data != 0 if self.lines else data

    def times(self, block: _native.Block) -> npt.NDArray[np.datetime64]:
        """The times of a block's samples, where each has one of its own."""
        return np.frombuffer(memoryview(block), "<M8[ns]", block.samples)

    def scaled(self, data: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Samples (channels x any number) in the channels' units, as float64."""
        out = np.empty(data.shape, np.float64)
        for row, samples, scale in zip(out, data, self.scales, strict=True):
            if scale is None:
                row[:] = samples
            else:
                row[:] = np.polynomial.polynomial.polyval(samples.astype(np.float64), scale)
        return out


@dataclasses.dataclass(frozen=True)
class RecordInfo:
    """Of a block that is a record of a trigger, or a piece of one."""

    #: Number of the record. Blocks with the same number are pieces of one (above 4 MiB).
    number: int
    #: Time of its first sample (UTC).
    t0: np.datetime64
    #: How many of its samples are before the trigger.
    pretrigger: int


class Block:
    """Consecutive samples of all channels of a stream.

    The block owns its memory, or a share of the recorder's: keep it as long as you like, but what a
    lossless stream lends is lacking there (see :func:`daqring.stream`).
    """

    __slots__ = ("_native", "_start_ns", "missed", "shape")

    def __init__(self, native: _native.Block, shape: StreamShape, start_ns: int, missed: int = 0) -> None:
        self._native = native
        self._start_ns = start_ns
        #: The stream's channels, data type and scales.
        self.shape = shape
        #: Blocks that a tap dropped in front of this one because nobody took them.
        self.missed = missed

    @property
    def name(self) -> str:
        """The stream's name: that of the task, or of the stage that put it out."""
        return self.shape.name

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, one for each row of `data`."""
        return self.shape.channels

    @property
    def data(self) -> npt.NDArray[Any]:
        """The samples as recorded, channels x samples: a read-only view without a copy."""
        return self.shape.array(self._native)

    def scaled(self) -> npt.NDArray[np.float64]:
        """The samples in the channels' units, channels x samples, as float64."""
        return self.shape.scaled(self.data)

    @property
    def samples(self) -> int:
        """Samples per channel."""
        return self._native.samples

    @property
    def first_sample(self) -> int:
        """Index of its first sample in the stream, lost ones counted."""
        return self._native.first_sample

    @property
    def dt(self) -> float:
        """Seconds from one sample to the next; NaN where that is not constant: see `times`."""
        return self.shape.dt

    @property
    def times(self) -> npt.NDArray[np.datetime64]:
        """Times of its samples (UTC): their own, or by the rate.

        Raises:
            ValueError: They are only made from the values, in the log (counters that measure periods).
        """
        if self.shape.timed:
            return self.shape.times(self._native)
        if math.isnan(self.dt):
            raise ValueError(f"the times of {self.name!r} are sums of its values, which the log has")
        return self.t0 + np.round(np.arange(self.samples) * (self.dt * 1e9)).astype("timedelta64[ns]")

    @property
    def record(self) -> RecordInfo | None:
        """Which record it is, where the stream is that of a trigger."""
        mark = self._native.record
        return None if mark is None else RecordInfo(mark[0], np.datetime64(mark[1], "ns"), mark[2])

    @property
    def t0(self) -> np.datetime64:
        """Time of its first sample (UTC). Where nobody knows it (counters that measure periods), when
        the block was complete."""
        if self.shape.timed:
            return self.shape.times(self._native)[0]  # type: ignore[no-any-return]
        if math.isnan(self.dt):
            return np.datetime64(self._native.host_time_ns, "ns")
        mark = self._native.record
        if self.shape.record is not None and mark is not None:
            # A record may come in pieces.
            within = self.first_sample % self.shape.record
            return np.datetime64(mark[1] + round(within * self.dt * 1e9), "ns")
        return np.datetime64(self._start_ns + round(self.first_sample * self.dt * 1e9), "ns")

    @property
    def gap_before(self) -> Gap | None:
        """The samples that the device or the recorder lost in front of this block, if any."""
        native = self._native
        if not native.lost_before and not native.gap:
            return None
        unknown = native.lost_before == _native.LOST_UNKNOWN
        count = None if unknown else native.lost_before
        cause = GAP_CAUSES.get(native.gap or 3, GAP_CAUSES[255])[0]
        return Gap(native.first_sample - (count or 0), count, cause)

    def __len__(self) -> int:
        return self.samples

    def __repr__(self) -> str:
        size = f"{len(self.channels)} channels x {self.samples} samples"
        return f"<Block of {self.name}: {size} from {self.first_sample}>"


class Tap:
    """Blocks of a stream as they come, the newest ones only: who is slow misses some, told by
    ``block.missed``. The recording never waits for a tap. It begins with the first block that is stored
    after it was made; :attr:`before` counts those that were stored earlier.

    Iterate over it, or :meth:`poll` it from a timer. Close it, or leave its ``with`` block, when it is
    no longer needed: until then each block is copied for it.
    """

    def __init__(
        self,
        native: _native.Recording,
        stream: int,
        shape: StreamShape,
        *,
        depth: int | None,
    ) -> None:
        self.shape = shape
        self._recording, self._stream = native, stream
        # Without a depth: one block until it is taken, so that each look costs one copy.
        self._tap = _native.Tap(native, stream, blocks=depth)

    def next(self, timeout: float = math.inf) -> Block | None:
        """The oldest block that is kept, waiting for one up to `timeout` seconds; ``None``: none came.

        Raises:
            EOFError: The recording is over.
        """
        found = self._tap.next(timeout)
        if found is None:
            return None
        # Asked for when there is a block: a trigger tells it late.
        return Block(found[0], self.shape, self._recording.start_time(self._stream), found[1])

    def poll(self) -> Block | None:
        """The oldest block that is kept, if there is one. Never waits."""
        try:
            return self.next(0.0)
        except EOFError:
            return None

    @property
    def dropped(self) -> int:
        """Blocks dropped so far because nobody took them in time."""
        return self._tap.dropped()[0]

    @property
    def before(self) -> int:
        """Blocks of the stream that were stored before the tap was made, which it never had."""
        return self._tap.before()

    def __iter__(self) -> Iterator[Block]:
        while True:
            try:
                block = self.next()
            except EOFError:
                return
            if block is not None:
                yield block

    def close(self) -> None:
        """Takes the tap off. Idempotent."""
        self._tap.close()

    def __enter__(self) -> Tap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@dataclasses.dataclass(frozen=True)
class Span:
    """The envelope of a block: the least and greatest value of every so many samples."""

    #: Name of the stream, and names of the channels.
    name: str
    channels: tuple[str, ...]
    #: Time of the first value (UTC), and seconds from one to the next.
    t0: np.datetime64
    dt: float
    #: Channels x values, float64 in the channels' units. The last value may stand for fewer samples.
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    #: Blocks that were dropped in front of it because nobody took them.
    missed: int


class EnvelopeTap:
    """The envelope of a stream as it comes: for each of the newest blocks a :class:`Span`.

    It is computed where it is taken, so that a display that nobody looks at costs a copy and no more.
    """

    def __init__(
        self,
        native: _native.Recording,
        stream: int,
        shape: StreamShape,
        *,
        depth: int,
        every: int,
    ) -> None:
        self._tap = Tap(native, stream, shape, depth=depth)
        #: Samples in each value.
        self.every = every

    def _span(self, block: Block) -> Span:
        starts = np.arange(0, block.samples, self.every)
        low = block.shape.scaled(np.minimum.reduceat(block.data, starts, axis=1))
        high = block.shape.scaled(np.maximum.reduceat(block.data, starts, axis=1))
        return Span(
            name=block.name,
            channels=block.channels,
            t0=block.t0,
            dt=block.dt * self.every,
            low=np.minimum(low, high),
            high=np.maximum(low, high),
            missed=block.missed,
        )

    def next(self, timeout: float = math.inf) -> Span | None:
        """As :meth:`Tap.next`."""
        block = self._tap.next(timeout)
        return None if block is None else self._span(block)

    def poll(self) -> Span | None:
        """As :meth:`Tap.poll`."""
        block = self._tap.poll()
        return None if block is None else self._span(block)

    @property
    def dropped(self) -> int:
        """Blocks dropped so far because nobody took them in time."""
        return self._tap.dropped

    @property
    def before(self) -> int:
        """As :attr:`Tap.before`."""
        return self._tap.before

    def __iter__(self) -> Iterator[Span]:
        return map(self._span, self._tap)

    def close(self) -> None:
        """Takes the tap off. Idempotent."""
        self._tap.close()

    def __enter__(self) -> EnvelopeTap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class History:
    """The last seconds of a stream, kept for :meth:`Recorder.latest`."""

    def __init__(self, native: _native.Recording, stream: int, shape: StreamShape, seconds: float) -> None:
        self.seconds = seconds
        self._shape = shape
        self._tap = _native.Tap(
            native, stream, samples=int(min(max(1.0, math.ceil(seconds / shape.dt)), MOST))
        )

    def latest(self, seconds: float, scaled: bool) -> npt.NDArray[Any]:
        wanted = max(1, round(seconds / self._shape.dt))
        parts: list[npt.NDArray[Any]] = []
        channels, have = len(self._shape.channels), 0
        for block in reversed(self._tap.blocks()):
            data = self._shape.array(block)
            parts.append(data[:, max(0, data.shape[1] - (wanted - have)) :])
            have += parts[-1].shape[1]
            if have >= wanted or block.lost_before or block.gap:
                break
        out = np.concatenate(parts[::-1], axis=1) if parts else np.empty((channels, 0), self._shape.dtype)
        return self._shape.scaled(out) if scaled else out

    def close(self) -> None:
        self._tap.close()
