"""Reading logs: :func:`open` gives groups and channels as numpy, :func:`verify` checks a file,
:func:`recover` brings back what is whole of a damaged one."""

from __future__ import annotations

import dataclasses
import errno
import operator
import os
from collections.abc import Iterator, Mapping
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from daqring import _native
from daqring.report import GAP_CAUSES, Gap

__all__ = [
    "Log",
    "LogChannel",
    "LogGroup",
    "Recovery",
    "Verification",
    "defragment",
    "open",
    "recover",
    "verify",
]

# What a log holds besides numbers: texts as objects, TDMS timestamps as datetime64[ns].
_DTYPES = {"text": np.dtype(object), "timestamp": np.dtype("datetime64[ns]")}
_TIMESTAMP = np.dtype([("fraction", "<u8"), ("seconds", "<i8")])
#: 1904-01-01 to 1970-01-01, in seconds: where TDMS and where Unix begin to count.
_EPOCH_1904 = 2_082_844_800


def open(path: str | os.PathLike[str]) -> Log:
    """Opens a TDMS log for reading; also one that is still being recorded.

    Nothing is read but the headers: samples come from the file as they are asked for.

    Raises:
        FileNotFoundError, OSError: The file cannot be read.
        LogFormatError: It is no TDMS file, or its headers are damaged.
    """
    return Log(_file(path))


def _file(path: str | os.PathLike[str]) -> str:
    """The path of a file; a folder is refused as the system would on reading."""
    name = os.fspath(path)
    if os.path.isdir(name):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    return name


class Log:
    """A TDMS file: a mapping from channels to samples.

    ``log["group/channel"]`` is a :class:`LogChannel`; the channel's name alone will do where only
    one group has it. ``log.groups`` maps names to :class:`LogGroup`.
    """

    def __init__(self, path: str) -> None:
        self._native = _native.LogFile(path)
        #: The file's path.
        self.path = path
        #: Properties of the file.
        self.properties: Mapping[str, Any] = self._native.properties
        #: Groups by name, in the order of the file.
        self.groups: Mapping[str, LogGroup] = {
            group["name"]: LogGroup(self._native, index, group)
            for index, group in enumerate(self._native.groups)
        }

    @property
    def channels(self) -> tuple[LogChannel, ...]:
        """All channels that hold recorded samples, group after group."""
        return tuple(
            channel for group in self.groups.values() if not group.housekeeping for channel in group.channels
        )

    @property
    def gaps(self) -> tuple[tuple[str, Gap], ...]:
        """The holes that the recording tells of: pairs of the stream's name and the gap."""
        return tuple(
            (stream, Gap(first, count, GAP_CAUSES.get(cause, GAP_CAUSES[255])[0]))
            for stream, first, count, cause in self._native.gaps
        )

    @property
    def finished(self) -> bool:
        """Whether the recording was finished in order (False also while it still runs)."""
        return self._native.finished

    @property
    def events(self) -> tuple[tuple[np.datetime64, str], ...]:
        """What was noted while recording (:meth:`Recorder.annotate`): UTC time and text."""
        return tuple((np.datetime64(time, "ns"), text) for time, text in self._native.events())

    @property
    def clock_pairs(self) -> npt.NDArray[Any]:
        """Readings of the clocks that belong together, a structured array.

        Fields: ``stream`` (its number), ``sample`` (uint64, index in the stream), ``monotonic_ns`` and
        ``utc_ns`` (int64, the host's clocks). Empty where the recording was too short to have any.
        """
        fields = np.dtype([("stream", "u4"), ("sample", "u8"), ("monotonic_ns", "i8"), ("utc_ns", "i8")])
        return np.array(self._native.clock_pairs(), fields)

    def __getitem__(self, name: str) -> LogChannel:
        """The channel of this name: ``"group/channel"``, or the channel alone where it is unique.

        Raises:
            KeyError: There is none, or several groups have it.
        """
        alone = [channel for channel in self.channels if channel.name == name]
        if len(alone) == 1:
            return alone[0]
        for group_name, group in self.groups.items():
            if name.startswith(group_name + "/"):
                for channel in group.channels:
                    if channel.name == name[len(group_name) + 1 :]:
                        return channel
        if alone:
            names = ", ".join(repr(f"{channel.group}/{channel.name}") for channel in alone)
            raise KeyError(f"several groups have a channel {name!r}; say which: {names}")
        names = ", ".join(repr(channel.name) for channel in self.channels[:8]) or "none"
        raise KeyError(f"there is no channel {name!r} in {self.path}; there are: {names}")

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and self[name] is not None
        except KeyError:
            return False

    def __iter__(self) -> Iterator[str]:
        return (f"{channel.group}/{channel.name}" for channel in self.channels)

    def __len__(self) -> int:
        return len(self.channels)

    def __repr__(self) -> str:
        return f"<daqring.Log {self.path!r}: {len(self)} channels>"

    def to_dict(self) -> dict[str, Any]:
        """What is in the file, without its samples."""
        return {
            "path": self.path,
            "properties": dict(self.properties),
            "groups": [
                {
                    "name": group.name,
                    "properties": dict(group.properties),
                    "channels": [channel.to_dict() for channel in group.channels],
                }
                for group in self.groups.values()
                if not group.housekeeping
            ],
            "finished": self.finished,
            "events": [{"time": str(time), "text": text} for time, text in self.events],
            "gaps": [{"stream": stream, **dataclasses.asdict(gap)} for stream, gap in self.gaps],
        }

    def describe(self) -> str:
        """The same as text."""
        lines = [self.path]
        lines += [f"  {name} = {value}" for name, value in self.properties.items()]
        for group in self.groups.values():
            if group.housekeeping:
                continue
            lines.append(f"group {group.name}")
            for channel in group.channels:
                rate = f", {1 / channel.dt:,.12g} S/s" if channel.dt else ""
                start = f", from {channel.t0} UTC" if channel.t0 is not None else ""
                lines.append(
                    f"  {channel.name}: {len(channel):,} samples, {channel.raw.dtype}"
                    + (f" read as {channel.dtype}" if channel.dtype != channel.raw.dtype else "")
                    + (f", {channel.unit}" if channel.unit else "")
                    + rate
                    + start
                )
        gaps = self.gaps
        lines += [f"event at {time} UTC: {text}" for time, text in self.events]
        lines += [f"gap in {stream}: {gap}" for stream, gap in gaps]
        if not gaps:
            lines.append("no gaps recorded")
        if not self.finished:
            lines.append("the recording was not finished, or is still running")
        return "\n".join(lines)


class LogGroup:
    """A group of a log: the channels of one stream, or of one stretch of it between two gaps."""

    def __init__(self, native: _native.LogFile, index: int, entry: dict[str, Any]) -> None:
        #: The group's name.
        self.name: str = entry["name"]
        #: The group's properties.
        self.properties: Mapping[str, Any] = entry["properties"]
        #: Whether the group holds daqring's own bookkeeping.
        self.housekeeping: bool = entry["housekeeping"]
        #: Its channels, in order.
        self.channels: tuple[LogChannel, ...] = tuple(
            LogChannel(native, self.name, index, number, channel)
            for number, channel in enumerate(entry["channels"])
        )

    def __getitem__(self, name: str) -> LogChannel:
        for channel in self.channels:
            if channel.name == name:
                return channel
        raise KeyError(f"there is no channel {name!r} in group {self.name!r}")

    def __repr__(self) -> str:
        return f"<daqring.LogGroup {self.name!r}: {len(self.channels)} channels>"


class _Samples:
    """Samples of one channel, read from the file as they are indexed."""

    def __init__(
        self, native: _native.LogFile, place: tuple[int, int], length: int, dtype: np.dtype[Any], scaled: bool
    ) -> None:
        self._native = native
        self._place = place
        self._length = length
        self._scaled = scaled
        #: What indexing gives.
        self.dtype = dtype

    def __len__(self) -> int:
        return self._length

    @property
    def shape(self) -> tuple[int]:
        """One dimension: the samples."""
        return (self._length,)

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        """One sample, or an array of them for a slice. Raises IndexError as a sequence does."""
        if isinstance(index, slice):
            start, stop, step = index.indices(self._length)
            if step < 0:
                # The same samples, first to last.
                chosen = range(start, stop, step)
                if not chosen:
                    return np.empty(0, self.dtype)
                return self._read(chosen[-1], chosen[0] + 1)[::-1][:: abs(step)].copy()
            values = self._read(start, max(start, stop))
            return values if step == 1 else values[::step].copy()
        number = operator.index(index)
        if not -self._length <= number < self._length:
            raise IndexError(f"sample {number} is beyond the {self._length:,} samples of the channel")
        number %= self._length
        return self._read(number, number + 1)[0]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("samples in a file cannot become an array without a copy")
        return np.asarray(self[:], dtype)

    def _read(self, start: int, stop: int) -> npt.NDArray[Any]:
        if self.dtype == object:
            return np.array(self._native.read_text(*self._place, start, stop), object)
        if self.dtype.kind == "M":
            stamps = np.empty(stop - start, _TIMESTAMP)
            self._native.read_raw(*self._place, start, stamps.view(np.uint8))
            fraction = ((stamps["fraction"] >> np.uint64(32)).astype(np.int64) * 10**9 + (1 << 31)) >> 32
            seconds = (stamps["seconds"] - _EPOCH_1904) * 10**9
            moments: npt.NDArray[Any] = (seconds + fraction).view("datetime64[ns]")
            return moments
        out = np.empty(stop - start, self.dtype)
        if self._scaled:
            self._native.read_scaled(*self._place, start, out)
        else:
            self._native.read_raw(*self._place, start, out.view(np.uint8))
        return out


class LogChannel(_Samples):
    """One channel of a log. Indexing reads samples in the channel's unit; :attr:`raw` reads the codes.

    ``channel[:1000]`` is a one-dimensional array: float64 where the log holds a scaling from codes
    to the unit, otherwise what the log holds. ``np.asarray(channel)`` reads all of it.
    """

    def __init__(
        self, native: _native.LogFile, group: str, group_index: int, index: int, entry: dict[str, Any]
    ) -> None:
        place = (group_index, index)
        length, stored = int(entry["length"]), _DTYPES.get(entry["dtype"]) or np.dtype(entry["dtype"])
        scaled = bool(entry["scaled"]) and stored.kind in "iuf"
        super().__init__(native, place, length, np.dtype(np.float64) if scaled else stored, scaled)
        #: The samples as they are stored, not scaled.
        self.raw = _Samples(native, place, length, stored, scaled=False)
        #: The channel's name.
        self.name: str = entry["name"]
        #: The name of its group.
        self.group = group
        #: The unit of the scaled samples, such as "V"; empty where the log does not tell.
        self.unit: str = entry["unit"]
        #: Seconds between two samples; None where they are not evenly spaced.
        self.dt: float | None = entry["dt"]
        start = entry["start_time_ns"]
        #: Time of sample 0 (UTC, by the recording computer's clock), None where the log does not tell.
        self.t0: np.datetime64 | None = None if start is None else np.datetime64(start, "ns")
        #: The channel's properties.
        self.properties: Mapping[str, Any] = entry["properties"]

    def time(self, start: int = 0, stop: int | None = None, *, absolute: bool = False) -> npt.NDArray[Any]:
        """The time axis of samples `start` to `stop`.

        Returns float64 seconds since the channel's first sample or, with ``absolute=True``,
        datetime64[ns] in UTC.

        Raises:
            ValueError: The log does not tell the spacing (or, for absolute times, the start).
        """
        if not self.dt:
            raise ValueError(f"channel {self.name!r} has no constant time between samples")
        first, last, _ = slice(start, stop).indices(len(self))
        seconds = np.arange(first, max(first, last)) * self.dt
        if not absolute:
            return seconds
        if self.t0 is None:
            raise ValueError(f"the log does not tell when channel {self.name!r} starts")
        return self.t0 + np.round(seconds * 1e9).astype("timedelta64[ns]")

    def to_dict(self) -> dict[str, Any]:
        """What the channel is, without its samples."""
        return {
            "name": self.name,
            "samples": len(self),
            "dtype": self.raw.dtype.name,
            "scaled": self._scaled,
            "unit": self.unit,
            "dt": self.dt,
            "t0": None if self.t0 is None else str(self.t0),
            "properties": dict(self.properties),
        }

    def __repr__(self) -> str:
        return f"<daqring.LogChannel {self.group}/{self.name}: {len(self):,} samples, {self.raw.dtype}>"


@dataclasses.dataclass(frozen=True)
class Verification:
    """What :func:`verify` found. ``print`` it for one line per problem and a verdict."""

    #: The file.
    path: str
    #: Whether the file is undamaged, was finished, and tells of no loss.
    complete: bool
    #: One line that says so, or exactly what is missing.
    verdict: str
    #: What is wrong, in the order of the file.
    problems: tuple[str, ...]
    #: Segments that were checked.
    segments: int
    #: What was found of each stream: name, blocks, samples per channel, lost and damaged ones.
    streams: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return "\n".join([*self.problems, f"{self.path}: {self.verdict}"])


def verify(path: str | os.PathLike[str]) -> Verification:
    """Checks a recording from end to end: structure, checksums, sequence, gaps. Changes nothing.

    Raises:
        FileNotFoundError, OSError: The file cannot be read.
        LogFormatError: It is no TDMS file at all.
    """
    name = _file(path)
    result = _native.verify(name)
    return Verification(
        path=name,
        complete=result["complete"],
        verdict=result["verdict"],
        problems=tuple(result["problems"]),
        segments=result["segments"],
        streams=tuple(result["streams"]),
    )


@dataclasses.dataclass(frozen=True)
class Recovery:
    """What :func:`recover` brought back. ``print`` it for one line."""

    #: The recovered log.
    output: str
    #: Whether recorded data could not be brought back.
    lost: bool
    #: Whether the recording had been finished in order.
    was_finished: bool
    #: Segments with samples that were kept.
    segments: int
    #: What was left out: pairs of the place in the file and the number of bytes.
    discarded: tuple[tuple[int, int], ...]
    #: Of each stream: name, samples per channel, those that came from its tail file, and missing ones.
    streams: tuple[dict[str, Any], ...]
    #: The same as one line.
    summary: str

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return self.summary


def recover(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    in_place: bool = False,
    overwrite: bool = False,
) -> Recovery:
    """Brings back what a crash or a damaged disk has left of a recording.

    Every segment whose checksums are right is kept, and what was flushed to the tail file beside
    the log; samples that are missing become a gap that the recovered log tells of.

    Args:
        path: The log. It is not changed unless `in_place`.
        output: The copy to make; by default ``NAME.recovered.tdms`` beside the log.
        in_place: Instead of making a copy, cut the file behind its last sound segment and complete it.
            Only the end of a file can be repaired so.
        overwrite: Replace an existing `output`.

    Raises:
        FileExistsError, OSError: A file cannot be read or made.
        LogFormatError: The file is no log of daqring's, or (in place) is damaged inside.
        ValueError: Both `output` and `in_place` were given.
    """
    if in_place and output is not None:
        raise ValueError("a recovery is either in place or to an output")
    result = _native.recover(_file(path), output, in_place=in_place, overwrite=overwrite)
    return Recovery(
        output=os.fspath(result["output"]),
        lost=result["lost"],
        was_finished=result["was_finished"],
        segments=result["segments"],
        discarded=tuple(result["discarded"]),
        streams=tuple(result["streams"]),
        summary=result["summary"],
    )


def defragment(
    path: str | os.PathLike[str], output: str | os.PathLike[str], *, overwrite: bool = False
) -> dict[str, int]:
    """Rewrites a fragmented TDMS file of another program into few large segments with checksums.

    All groups, channels, properties and values are those of the original, which is not changed.

    Returns ``segments_before``, ``segments_after``, ``bytes_before`` and ``bytes_after``.

    Raises:
        FileExistsError, OSError: A file cannot be read or made.
        LogFormatError: The file is damaged, is of a kind that is not read, or is daqring's own (whose
            segments are what the recording chose, see :class:`LogOptions`).
    """
    return _native.defragment(_file(path), output, overwrite)
