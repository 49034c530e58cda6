"""Reading logs: :func:`open` gives the groups, channels and streams of a recording as numpy.

A recording may lie in several files (a rotation) and in several groups (``name``, ``name #2`` after a
gap). A :class:`Log` makes one of the files; a :class:`LogStream` makes one of the groups. Nothing but
headers is read before samples are asked for, and of those only what is asked for.
"""

from __future__ import annotations

import dataclasses
import errno
import glob
import operator
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NoReturn, SupportsIndex

import numpy as np
import numpy.typing as npt

from daqring import _native
from daqring.errors import GapError, LogFormatError
from daqring.report import GAP_CAUSES, Gap

__all__ = ["Log", "LogChannel", "LogGroup", "LogRecord", "LogStream", "Piece", "existing_file", "open"]

# What a log holds besides numbers: texts as objects, TDMS timestamps as datetime64[ns].
_DTYPES = {"text": np.dtype(object), "timestamp": np.dtype("datetime64[ns]")}
_TIMESTAMP = np.dtype([("fraction", "<u8"), ("seconds", "<i8")])
#: The cause of the gap that recovery puts behind the end of a recording that was broken off.
UNKNOWN = 255
#: 1904-01-01 to 1970-01-01, in seconds: where TDMS and where Unix begin to count.
_EPOCH_1904 = 2_082_844_800
#: What the recorder's report does not know: made by recovery, and between the records of a trigger.
_MORE_CAUSES = {6: "damage of the file", 7: "deliberately not recorded"}
#: Values of one channel that a bounded loop over samples holds at a time.
CHUNK = 1 << 20

Clock = Literal["device", "host"]
Gaps = Literal["raise", "segment", "fill"]


def open(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, follow: bool = True) -> Log:
    """Opens a TDMS log for reading; also one that is still being recorded.

    Nothing is read but the headers: samples come from the file as they are asked for.

    Args:
        path: A file; a pattern such as ``"run_*.tdms"``; or a list of files. Several files are read as
            one recording, those of a rotation in the order in which they were recorded, others in the
            order given (those of a pattern: by name).
        follow: Where `path` is the first file of a rotation, its other files in the same folder are
            opened, too.

    Raises:
        FileNotFoundError, OSError: A file cannot be read, or no file fits the pattern.
        LogFormatError: One is no TDMS file, or its headers are damaged.
        ValueError: The files are of different recordings, or their channels do not fit together.
    """
    if isinstance(path, str | os.PathLike):
        name = os.fspath(path)
        if not os.path.exists(name) and glob.has_magic(name):
            names = sorted(glob.glob(name))
            if not names:
                raise FileNotFoundError(errno.ENOENT, "no file fits the pattern", name)
        else:
            names = [name]
    else:
        names = [os.fspath(one) for one in path]
        if not names:
            raise ValueError("a list of files to open needs at least one")
        follow = False
    files = [_File(existing_file(one)) for one in names]
    if follow and len(files) == 1 and files[0].number == 0 and files[0].native.run is not None:
        files += _later_files(files[0])
    return Log(_in_order(files))


def existing_file(path: str | os.PathLike[str]) -> str:
    """The path of a file; a folder is refused as the system would on reading."""
    name = os.fspath(path)
    if os.path.isdir(name):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    return name


class _Opened:
    """What holds an open file."""

    path: str

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "an open log cannot be pickled or copied: give the path to the other process, and "
            f"daqring.open({self.path!r}) there"
        )


class _File(_Opened):
    """A file of a recording."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.native = _native.LogFile(path)
        self.properties: dict[str, Any] = self.native.properties
        self.groups: list[dict[str, Any]] = self.native.groups
        number = self.properties.get("daqring.file")
        #: Its number in the recording.
        self.number: int | None = None if number is None else int(number)
        #: The streams in the order of their numbers.
        self.streams: list[str] = []
        for group in self.groups:
            if not group["housekeeping"] and group["stream"] not in self.streams:
                self.streams.append(group["stream"])


def _later_files(first: _File) -> list[_File]:
    """The other files of the rotation that `first` begins: of the same folder, run and kind of name."""
    folder, name = os.path.split(first.path)
    stem, extension = os.path.splitext(name)
    # Numbers and times in the name differ from file to file; a number may be added before the extension.
    parts = [re.escape(part) for part in re.split(r"\d+", stem)]
    pattern = re.compile(r"\d+".join(parts) + r"(_\d{4,})?" + re.escape(extension))
    found = []
    for other in sorted(os.listdir(folder or ".")):
        if other == name or not pattern.fullmatch(other):
            continue
        try:
            file = _File(os.path.join(folder, other))
        except (OSError, LogFormatError):
            continue
        if file.native.run == first.native.run and file.number:
            found.append(file)
    return found


def _in_order(files: list[_File]) -> list[_File]:
    runs = {file.native.run for file in files}
    if len(files) > 1 and len(runs) > 1:
        named = " and ".join(os.path.basename(file.path) for file in files[:2])
        raise ValueError(f"these files are of different recordings (such as {named}); open them one by one")
    if None not in runs and all(file.number is not None for file in files):
        files = sorted(files, key=lambda file: file.number or 0)
    return files


@dataclasses.dataclass(frozen=True)
class _Part(_Opened):
    """The values of a channel in one group of one file."""

    native: _native.LogFile
    path: str
    group: int
    channel: int
    length: int


class _Samples:
    """Samples of one channel, read from the files as they are indexed."""

    def __init__(self, parts: Sequence[_Part], dtype: np.dtype[Any], scaled: bool) -> None:
        self._parts = tuple(parts)
        self._offsets = [0, *np.cumsum([part.length for part in parts]).tolist()]
        self._scaled = scaled
        #: What indexing gives.
        self.dtype = dtype

    def __len__(self) -> int:
        return int(self._offsets[-1])

    @property
    def shape(self) -> tuple[int]:
        """One dimension: the samples."""
        return (len(self),)

    @property
    def ndim(self) -> int:
        """1."""
        return 1

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        """One sample, or an array of them for a slice. Raises IndexError as a sequence does."""
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step < 0:
                # The same samples, first to last.
                chosen = range(start, stop, step)
                if not chosen:
                    return np.empty(0, self.dtype)
                return self._read(chosen[-1], chosen[0] + 1)[::-1][:: abs(step)].copy()
            values = self._read(start, max(start, stop))
            return values if step == 1 else values[::step].copy()
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"sample {number} is beyond the {len(self):,} samples of the channel")
        number %= len(self)
        return self._read(number, number + 1)[0]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("samples in a file cannot become an array without a copy")
        return np.asarray(self[:], dtype)

    def chunks(self, size: int = CHUNK) -> Iterator[npt.NDArray[Any]]:
        """All samples in arrays of at most `size`: memory stays bounded however long the channel is."""
        for start in range(0, len(self), max(1, size)):
            yield self._read(start, min(start + max(1, size), len(self)))

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[_Part, int, int]]:
        """The parts that `start` to `stop` lie in, each with its own start and stop."""
        for part, offset in zip(self._parts, self._offsets, strict=False):
            first, last = max(start - offset, 0), min(stop - offset, part.length)
            if first < last:
                yield part, first, last

    def _read(self, start: int, stop: int) -> npt.NDArray[Any]:
        if self.dtype == object:
            texts: list[str] = []
            for part, first, last in self._pieces(start, stop):
                texts += part.native.read_text(part.group, part.channel, first, last)
            out = np.empty(len(texts), object)
            out[:] = texts
            return out
        stamps = self.dtype.kind == "M"
        out = np.empty(stop - start, _TIMESTAMP if stamps else self.dtype)
        at = 0
        for part, first, last in self._pieces(start, stop):
            place = out[at : at + last - first]
            if self._scaled:
                part.native.read_scaled(part.group, part.channel, first, place)
            else:
                part.native.read_raw(part.group, part.channel, first, place.view(np.uint8))
            at += last - first
        return _moments(out) if stamps else out

    def segments(self) -> list[int]:
        """Where the segments of the files begin and end: sample numbers from 0 to the length."""
        edges: list[int] = []
        for part, offset in zip(self._parts, self._offsets, strict=False):
            starts = part.native.segment_starts(part.group, part.channel)
            edges += [offset + start for start in starts if start < part.length]
        return [*edges, len(self)] if edges else [0]

    def envelope(
        self, bins: int, start: int = 0, stop: int | None = None
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """The least and the greatest sample of each of `bins` equal stretches of `start` to `stop`.

        Computed while reading, in bounded memory: what a plot of a long channel needs.

        Returns two float64 arrays, in the unit of the channel, and the `bins` + 1 edges (sample numbers).
        """
        if self.dtype == object or self.dtype.kind in "Mc":
            raise ValueError(f"values of type {self.dtype} have no least and greatest one")
        first, last, _ = slice(start, stop).indices(len(self))
        last = max(first, last)
        bins = max(1, min(bins, last - first))
        edges = first + (np.arange(bins + 1) * (last - first)) // bins
        least, greatest = np.full(bins, np.nan), np.full(bins, np.nan)
        for part, offset in zip(self._parts, self._offsets, strict=False):
            local = np.clip(edges - offset, 0, part.length)
            if local[0] == local[-1]:
                continue
            low, high = np.empty(bins), np.empty(bins)
            part.native.envelope(part.group, part.channel, local.tolist(), low, high)
            np.fmin(least, low, out=least)
            np.fmax(greatest, high, out=greatest)
        return least, greatest, edges


def _moments(stamps: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """TDMS timestamps as datetime64[ns]."""
    fraction = ((stamps["fraction"] >> np.uint64(32)).astype(np.int64) * 10**9 + (1 << 31)) >> 32
    seconds = (stamps["seconds"] - _EPOCH_1904) * 10**9
    moments: npt.NDArray[Any] = (seconds + fraction).view("datetime64[ns]")
    return moments


class LogChannel(_Samples):
    """One channel of a log. Indexing reads samples in the channel's unit; :attr:`raw` reads the codes.

    ``channel[:1000]`` is a one-dimensional array: float64 where the log holds a scaling from codes
    to the unit, otherwise what the log holds. ``np.asarray(channel)`` reads all of it.
    """

    def __init__(self, group: str, parts: Sequence[_Part], entries: Sequence[dict[str, Any]]) -> None:
        # What has no values says nothing about their type.
        entry = next((one for one in entries if one["length"]), entries[0])
        for part, other in zip(parts, entries, strict=True):
            if other["length"] and other["dtype"] != entry["dtype"]:
                raise ValueError(
                    f"channel {entry['name']!r} is {entry['dtype']} in one file and {other['dtype']} in "
                    f"{part.path}; open the files one by one"
                )
        stored = _DTYPES.get(entry["dtype"]) or np.dtype(entry["dtype"])
        scaled = bool(entry["scaled"]) and stored.kind in "iuf"
        super().__init__(parts, np.dtype(np.float64) if scaled else stored, scaled)
        #: The samples as they are stored, not scaled.
        self.raw = _Samples(parts, stored, scaled=False)
        #: The channel's name.
        self.name: str = entry["name"]
        #: The name of its group.
        self.group = group
        first = entries[0]
        #: The unit of the scaled samples, such as "V"; empty where the log does not tell.
        self.unit: str = first["unit"] or entry["unit"]
        #: Seconds between two samples; None where they are not evenly spaced.
        self.dt: float | None = first["dt"]
        start = first["start_time_ns"]
        #: Time of sample 0 (UTC, by the recording computer's clock), None where the log does not tell.
        self.t0: np.datetime64 | None = None if start is None else np.datetime64(start, "ns")
        #: The channel's properties.
        self.properties: Mapping[str, Any] = first["properties"]

    @property
    def scales(self) -> tuple[str, ...]:
        """The kinds of scales between codes and samples, as they are applied, by NI's names.

        Raises:
            LogFormatError: The channel has a scale of a kind that is not known.
        """
        part = self._parts[0]
        return tuple(part.native.scales(part.group, part.channel))

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

    def to_dask(self, *, raw: bool = False) -> Any:
        """A dask array with one chunk per segment of the files, read where the chunk is computed.

        Workers open the files by their paths, so these must be the same for all of them.
        """
        from daqring import faces

        return faces.dask_array(self, raw=raw)

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


class LogGroup:
    """A group of a log: the channels of one stream, or of one stretch of it between two gaps."""

    def __init__(self, name: str, members: Sequence[tuple[_File, int]]) -> None:
        entries = [file.groups[index] for file, index in members]
        #: The group's name.
        self.name = name
        #: The name of the stream that the group is a stretch of.
        self.stream: str = entries[0]["stream"]
        #: The number of its first sample in the stream, lost ones counted; None in files of other programs.
        self.first_sample: int | None = entries[0]["first_sample"]
        #: The group's properties.
        self.properties: Mapping[str, Any] = entries[0]["properties"]
        #: Whether the group holds daqring's own bookkeeping.
        self.housekeeping: bool = entries[0]["housekeeping"]
        parts: dict[str, tuple[list[_Part], list[dict[str, Any]]]] = {}
        for (file, index), entry in zip(members, entries, strict=True):
            for number, channel in enumerate(entry["channels"]):
                part = _Part(file.native, file.path, index, number, int(channel["length"]))
                into = parts.setdefault(channel["name"], ([], []))
                into[0].append(part)
                into[1].append(channel)
        #: Its channels, in order.
        self.channels: tuple[LogChannel, ...] = tuple(
            LogChannel(name, place, described) for place, described in parts.values()
        )

    def __len__(self) -> int:
        """The number of samples of its longest channel."""
        return max((len(channel) for channel in self.channels), default=0)

    def __getitem__(self, name: str) -> LogChannel:
        for channel in self.channels:
            if channel.name == name:
                return channel
        raise KeyError(f"there is no channel {name!r} in group {self.name!r}")

    def __repr__(self) -> str:
        return f"<daqring.LogGroup {self.name!r}: {len(self.channels)} channels>"

    def read(
        self,
        start: int | None = None,
        stop: int | None = None,
        *,
        channels: Sequence[str] | None = None,
        raw: bool = False,
    ) -> npt.NDArray[Any]:
        """Samples `start` to `stop` of several channels (all, unless named), interleaved ones in one pass.

        Returns an array of shape (channels, samples): float64 in the channels' units, or with `raw` what
        is stored.

        Raises:
            KeyError: There is no channel of a name.
            ValueError: The channels have different lengths or, with `raw`, types; or they are not numbers.
        """
        chosen = list(self.channels) if channels is None else [self[name] for name in channels]
        lengths = {len(channel) for channel in chosen}
        if len(lengths) > 1:
            raise ValueError(
                f"the channels of group {self.name!r} have different lengths; read them one by one"
            )
        first, last, _ = slice(start, stop).indices(lengths.pop() if lengths else 0)
        last = max(first, last)
        dtypes = {channel.raw.dtype for channel in chosen} if raw else {np.dtype(np.float64)}
        if len(dtypes) > 1:
            names = ", ".join(sorted(str(dtype) for dtype in dtypes))
            raise ValueError(
                f"the channels of group {self.name!r} are of several types ({names}); read them one by one"
            )
        dtype = dtypes.pop() if dtypes else np.dtype(np.float64)
        if any(channel.raw.dtype.kind not in ("iufbc" if raw else "iufb") for channel in chosen):
            raise ValueError(f"group {self.name!r} has channels that are not numbers; name those to be read")
        out = np.empty((len(chosen), last - first), dtype)
        walks = [channel._pieces(first, last) for channel in chosen]
        at = 0
        for together in zip(*walks, strict=True):
            part, begin, end = together[0]
            rows = [row[at : at + end - begin] for row in out]
            same = all(one.native is part.native and (b, e) == (begin, end) for one, b, e in together)
            if not same:
                raise ValueError(
                    f"the channels of group {self.name!r} differ from file to file; read them one by one"
                )
            numbers = [one.channel for one, _, _ in together]
            if raw:
                views = [row.view(np.uint8) for row in rows]
                part.native.read_raw_many(part.group, numbers, begin, end, views)
            else:
                part.native.read_scaled_many(part.group, numbers, begin, end, rows)
            at += end - begin
        return out


@dataclasses.dataclass(frozen=True)
class Piece:
    """Samples without a gap between them."""

    #: The number of the first sample in the stream, lost ones counted.
    first_sample: int
    #: Time of the first sample, UTC; None where the log does not tell.
    t0: np.datetime64 | None
    #: Seconds between samples; None where they are not evenly spaced.
    dt: float | None
    #: Shape (channels, samples).
    values: npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class LogRecord:
    """The samples of one trigger."""

    #: Its number, counted by the recording.
    number: int
    #: The name of its stream.
    stream: str
    #: Time of its first sample, UTC.
    t0: np.datetime64
    #: Samples per channel.
    samples: int
    #: How many of them are from before the trigger.
    pretrigger: int
    #: The number of its first sample in the stream.
    first_sample: int
    _group: LogGroup = dataclasses.field(repr=False, compare=False)
    _first_value: int = dataclasses.field(repr=False, compare=False)

    def read(self, channels: Sequence[str] | None = None, *, raw: bool = False) -> npt.NDArray[Any]:
        """The record's samples, shape (channels, samples), as :meth:`LogGroup.read`."""
        stop = self._first_value + self.samples
        return self._group.read(self._first_value, stop, channels=channels, raw=raw)


@dataclasses.dataclass(frozen=True)
class _Stretch:
    """Samples `first` to `last` of a stream: values of a group from `offset` on."""

    first: int
    last: int
    group: LogGroup
    offset: int
    t0: np.datetime64 | None


class LogStream:
    """What one task delivered, across files and gaps.

    Samples are numbered from the start of the task; those that were lost are counted, so a number is the
    same moment whatever was lost before. A time may be given wherever a number may.
    """

    def __init__(
        self,
        name: str,
        groups: Sequence[LogGroup],
        gaps: Sequence[Gap],
        pairs: npt.NDArray[Any],
        records: Sequence[LogRecord] = (),
    ) -> None:
        #: The stream's name.
        self.name = name
        #: Its groups, in order.
        self.groups = tuple(groups)
        #: The records of its trigger; each is a stretch of its own.
        self.records = tuple(records)
        #: The gaps: numbers of samples that are missing, and why.
        self.gaps = tuple(gaps)
        #: Readings of the clocks that belong together, as :attr:`Log.clock_pairs`.
        self.clock_pairs = pairs
        self._stretches: list[_Stretch] = []
        end = 0
        for group in groups:
            first = end if group.first_sample is None else group.first_sample
            end = first + len(group)
            if not records:
                start = group.channels[0].t0
                self._stretches.append(_Stretch(first, end, group, 0, start))
        for record in records:
            last = record.first_sample + record.samples
            self._stretches.append(
                _Stretch(record.first_sample, last, record._group, record._first_value, record.t0)
            )
            end = last
        first_number = self._stretches[0].first
        channel = groups[0].channels[0] if groups[0].channels else None
        #: Seconds between samples; None where they are not evenly spaced.
        self.dt: float | None = channel.dt if channel else None
        #: Time of the first sample in the files, UTC; None where the log does not tell.
        self.t0: np.datetime64 | None = channel.t0 if channel else None
        #: The channels' names.
        self.channels: tuple[str, ...] = tuple(one.name for one in groups[0].channels)
        #: The number of the first sample in the files; not 0 where older files were removed.
        self.start: int = first_number
        #: The number behind the last sample.
        self.stop: int = end

    def __len__(self) -> int:
        """Samples per channel from the first to the last, lost ones counted."""
        return self.stop - self.start

    def __repr__(self) -> str:
        return (
            f"<daqring.LogStream {self.name!r}: {len(self.channels)} channels, samples {self.start:,} to "
            f"{self.stop:,}, {len(self.gaps)} gaps>"
        )

    @property
    def stretches(self) -> tuple[tuple[int, int], ...]:
        """First and last (exclusive) sample number of each stretch between gaps."""
        return tuple((stretch.first, stretch.last) for stretch in self._stretches)

    def number(self, when: Any, *, clock: Clock = "device") -> int:
        """The number of the first sample at or after a time.

        Args:
            when: datetime64 or text such as ``"2024-05-01T12:00:00.5"`` (UTC), an aware datetime, or a
                timedelta (timedelta64) since the stream's first sample. A number is returned as it is.
            clock: ``"device"``: by the start time and the sample clock. ``"host"``: by the host's clock,
                through the clock pairs in the log, between which it is straight lines.

        Raises:
            ValueError: The log does not tell the times, or has no clock pairs.
        """
        if isinstance(when, int | np.integer) and not isinstance(when, bool | np.timedelta64):
            return int(when)
        if not self.dt or self.t0 is None:
            raise ValueError(
                f"stream {self.name!r} tells no times by which samples could be found; give numbers"
            )
        moment = _moment(when, self.t0)
        if clock == "host":
            samples, times = self._pairs()
            return int(np.ceil(_line(moment, times, samples, 1e-9 / self.dt) - 1e-6))
        _known_clock(clock)
        found = self.stop
        previous = self.start
        for stretch in self._stretches:
            if stretch.t0 is None:
                continue
            offset = (moment - _nanoseconds(stretch.t0)) * 1e-9 / self.dt
            # The last digits of a time must not cost the sample that is meant.
            number = stretch.first + int(np.ceil(offset - 1e-6 - abs(offset) * 1e-12))
            if number < stretch.last:
                return max(number, previous)
            found = previous = stretch.last
        return found

    def time(
        self, start: Any = None, stop: Any = None, *, clock: Clock = "device"
    ) -> npt.NDArray[np.datetime64]:
        """Times (datetime64[ns], UTC) of the samples `start` to `stop`, lost ones included.

        Raises:
            ValueError: The log does not tell the times, or has no clock pairs.
        """
        first, last = self._range(start, stop, clock)
        return self.times_of(np.arange(first, last), clock=clock)

    def times_of(self, numbers: npt.ArrayLike, *, clock: Clock = "device") -> npt.NDArray[np.datetime64]:
        """The same for any sample numbers."""
        chosen = np.asarray(numbers, np.int64)
        if not self.dt or self.t0 is None:
            raise ValueError(f"stream {self.name!r} tells no times")
        out = np.empty(len(chosen), np.int64)
        if clock == "host":
            samples, times = self._pairs()
            # Differences from one reading: floats hold no Unix nanoseconds.
            base = times[0]
            out[:] = base + np.round(_line(chosen, samples, times - base, self.dt * 1e9)).astype(np.int64)
        else:
            _known_clock(clock)
            # Of each stretch that tells: its first sample, and when that was.
            known = [(one.first, _nanoseconds(one.t0)) for one in self._stretches if one.t0 is not None]
            begins, starts = np.array(sorted(known), np.int64).reshape(-1, 2).T
            at = np.maximum(np.searchsorted(begins, chosen, side="right") - 1, 0)
            out[:] = starts[at] + np.round((chosen - begins[at]) * (self.dt * 1e9)).astype(np.int64)
        moments: npt.NDArray[np.datetime64] = out.view("datetime64[ns]")
        return moments

    def read(
        self,
        channels: Sequence[str] | str | None = None,
        start: Any = None,
        stop: Any = None,
        *,
        gaps: Gaps = "raise",
        clock: Clock = "device",
        raw: bool = False,
        fill: float = np.nan,
    ) -> Any:
        """Samples `start` to `stop` of some channels (all, unless named).

        Args:
            channels: Names, or one name.
            start: Number or time of the first sample (see :meth:`number`); the stream's first by default.
            stop: Number or time behind the last one.
            gaps: What to do where samples are missing: ``"raise"``, give one :class:`Piece` for each
                stretch (``"segment"``), or put `fill` in their place (``"fill"``).
            clock: By which clock times are meant.
            raw: What is stored instead of scaled samples.
            fill: Stands for a lost sample; for `raw` a value of the stored type must be given.

        Returns an array of shape (channels, samples); with ``gaps="segment"`` a list of pieces.

        Raises:
            GapError: With ``gaps="raise"``, samples of the range are missing; with ``"fill"``, nobody knows
                how many.
            KeyError, ValueError: As :meth:`LogGroup.read`.
        """
        names = [channels] if isinstance(channels, str) else channels
        if gaps not in ("raise", "segment", "fill"):
            raise ValueError(f"gaps is 'raise', 'segment' or 'fill', not {gaps!r}")
        first, last = self._range(start, stop, clock)
        self._check_gaps(first, last, gaps)
        pieces = [
            self._piece(stretch, begin, end, names, raw) for stretch, begin, end in self._inside(first, last)
        ]
        if gaps == "segment":
            return pieces
        if len(pieces) == 1 and pieces[0].values.shape[1] == last - first:
            return pieces[0].values
        rows = len(self.channels if names is None else names)
        dtype = pieces[0].values.dtype if pieces else np.dtype(np.float64)
        if (
            dtype.kind != "f"
            and np.isnan(fill)
            and (not pieces or sum(p.values.shape[1] for p in pieces) < last - first)
        ):
            raise ValueError(
                f"lost samples cannot be nan among {dtype}: give another fill, or read scaled samples"
            )
        out = np.full((rows, last - first), fill if dtype.kind == "f" or not np.isnan(fill) else 0, dtype)
        for piece in pieces:
            at = piece.first_sample - first
            out[:, at : at + piece.values.shape[1]] = piece.values
        return out

    def chunks(
        self,
        channels: Sequence[str] | str | None = None,
        start: Any = None,
        stop: Any = None,
        *,
        size: int | None = None,
        clock: Clock = "device",
        raw: bool = False,
    ) -> Iterator[Piece]:
        """The same in pieces of at most `size` samples, none across a gap: memory stays bounded.

        By default a piece has about a million values.
        """
        names = [channels] if isinstance(channels, str) else channels
        first, last = self._range(start, stop, clock)
        wide = max(1, len(self.channels if names is None else names))
        size = max(1, CHUNK // wide if size is None else size)
        for stretch, begin, end in self._inside(first, last):
            for at in range(begin, end, size):
                yield self._piece(stretch, at, min(at + size, end), names, raw)

    def to_xarray(
        self, channels: Sequence[str] | str | None = None, start: Any = None, stop: Any = None, **options: Any
    ) -> Any:
        """An xarray Dataset: a variable for each channel over ``time``; lost samples are NaN.

        `options`: `clock`, `raw`, `gaps` (``"fill"`` by default, or ``"raise"``) as :meth:`read`.
        """
        from daqring import faces

        return faces.xarray_dataset(self, channels, start, stop, **options)

    def to_pandas(
        self, channels: Sequence[str] | str | None = None, start: Any = None, stop: Any = None, **options: Any
    ) -> Any:
        """A pandas DataFrame: a column for each channel, indexed by time (UTC); lost samples are left out.

        `options`: `clock`, `raw`, `gaps` (``"segment"`` by default) as :meth:`read`.
        """
        from daqring import faces

        return faces.pandas_frame(self, channels, start, stop, **options)

    def _inside(self, first: int, last: int) -> Iterator[tuple[_Stretch, int, int]]:
        """The stretches that a range lies in, each with first and last sample number."""
        for stretch in self._stretches:
            low, high = max(first, stretch.first), min(last, stretch.last)
            if low < high:
                yield stretch, low, high

    def _check_gaps(self, first: int, last: int, gaps: Gaps) -> None:
        """Raises GapError where samples of a range are missing and that is not what was asked for."""
        missing = [gap for gap in self.gaps if _touches(gap, first, last)]
        if missing and gaps == "raise":
            more = f" (and {len(missing) - 1} more gaps)" if len(missing) > 1 else ""
            raise GapError(
                f"samples of {self.name!r} are missing: {missing[0]}{more}; "
                "ask for gaps='segment' or gaps='fill'"
            )
        unknown = [gap for gap in missing if gap.count is None]
        if unknown and gaps == "fill":
            raise GapError(
                f"nobody knows how many samples of {self.name!r} are missing: {unknown[0]}; "
                "ask for gaps='segment'"
            )
        there = sum(end - begin for _, begin, end in self._inside(first, last))
        if gaps == "raise" and there < last - first:
            what = "between the records" if self.records else "in that range"
            raise GapError(
                f"not all samples {what} of {self.name!r} were recorded; "
                "ask for gaps='segment' or gaps='fill'"
                + (", or read the records one by one: log.record(number).read()" if self.records else "")
            )

    def _piece(
        self, stretch: _Stretch, begin: int, end: int, names: Sequence[str] | None, raw: bool
    ) -> Piece:
        skip = begin - stretch.first
        at = stretch.offset + skip
        values = stretch.group.read(at, at + end - begin, channels=names, raw=raw)
        t0 = None
        if stretch.t0 is not None and self.dt:
            t0 = stretch.t0 + np.timedelta64(round(skip * self.dt * 1e9), "ns")
        return Piece(begin, t0, self.dt, values)

    def _range(self, start: Any, stop: Any, clock: Clock) -> tuple[int, int]:
        first = self.start if start is None else self.number(start, clock=clock)
        last = self.stop if stop is None else self.number(stop, clock=clock)
        first = min(max(first, self.start), self.stop)
        return first, min(max(last, first), self.stop)

    def _pairs(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        if len(self.clock_pairs) == 0:
            raise ValueError(
                f"the log has no readings of the host's clock for stream {self.name!r}; use clock='device'"
            )
        pairs = np.sort(self.clock_pairs, order="sample")
        samples, where = np.unique(pairs["sample"].astype(np.int64), return_index=True)
        return samples, pairs["utc_ns"][where]


def _nanoseconds(time: np.datetime64) -> int:
    return int(time.astype("datetime64[ns]").astype(np.int64))


def _known_clock(clock: str) -> None:
    if clock != "device":
        raise ValueError(f"clock is 'device' or 'host', not {clock!r}")


def filled_of(streams: Mapping[str, LogStream]) -> Mapping[str, LogStream]:
    """Those with samples, or all where none has any: of a triggered task only the records are there."""
    return {name: one for name, one in streams.items() if len(one)} or streams


def _touches(gap: Gap, first: int, last: int) -> bool:
    if gap.count is None:
        return first < gap.first_sample < last
    return first < gap.first_sample + gap.count and gap.first_sample < last


def _line(x: Any, xs: npt.NDArray[np.int64], ys: npt.NDArray[Any], slope: float) -> Any:
    """Straight lines through points (differences, for the sake of digits); `slope` beyond the ends."""
    base = int(xs[0])
    away = (np.asarray(x) - base).astype(np.float64)
    points = (xs - base).astype(np.float64)
    y0 = int(ys[0])
    inner = np.interp(away, points, (ys - y0).astype(np.float64))
    before, after = np.minimum(away, 0.0), np.maximum(away - points[-1], 0.0)
    return y0 + inner + (before + after) * slope


def _moment(when: Any, t0: np.datetime64) -> int:
    """A time as Unix nanoseconds."""
    if isinstance(when, np.timedelta64) or type(when).__name__ == "timedelta":
        since = np.timedelta64(when).astype("timedelta64[ns]")
        return _nanoseconds(t0) + int(since.astype(np.int64))
    zone = getattr(when, "tzinfo", None)
    if zone is not None:
        import datetime

        when = when.astimezone(datetime.UTC).replace(tzinfo=None)
    try:
        return _nanoseconds(np.datetime64(when))
    except (TypeError, ValueError):
        raise ValueError(f"{when!r} is no sample number, time or timedelta") from None


class Log:
    """A recording: a mapping from channels to samples.

    ``log["group/channel"]`` is a :class:`LogChannel`; the channel's name alone will do where only
    one group has it. ``log.groups`` maps names to :class:`LogGroup`, ``log.streams`` names to
    :class:`LogStream`, which reads across gaps.
    """

    def __init__(self, files: list[_File]) -> None:
        self._files = files
        #: The path of the (first) file.
        self.path = files[0].path
        #: The paths of all files.
        self.paths: tuple[str, ...] = tuple(file.path for file in files)
        #: Properties of the (first) file.
        self.properties: Mapping[str, Any] = files[0].properties
        self._records: tuple[LogRecord, ...] | None = None
        #: Gaps that the files do not tell of: a file is missing.
        self._missing: list[tuple[str, Gap]] = []
        #: Per file and group, the group of the log that it became.
        self._where: dict[tuple[int, int], str] = {}
        #: Groups by name, in the order of the file. In a recording of several files the groups of a stream
        #: are one as far as no samples are missing between them, ``name #2`` after the first gap.
        self.groups: Mapping[str, LogGroup] = self._gather() if len(files) > 1 else self._as_is()

    def _as_is(self) -> dict[str, LogGroup]:
        file = self._files[0]
        self._where = {(0, index): group["name"] for index, group in enumerate(file.groups)}
        return {
            group["name"]: LogGroup(group["name"], [(file, index)]) for index, group in enumerate(file.groups)
        }

    def _gather(self) -> dict[str, LogGroup]:
        stretches: dict[str, list[tuple[_File, int]]] = {}
        #: Of each stream: the present stretch, its number, and the sample that should come next.
        state: dict[str, tuple[str, int, int | None]] = {}
        told = self._told_gaps()
        for at, file in enumerate(self._files):
            triggered = {file.streams[row[0]] for row in file.native.records() if row[0] < len(file.streams)}
            for index, group in enumerate(file.groups):
                stream = group["stream"]
                if group["housekeeping"] or not group["channels"]:
                    name = group["name"]
                else:
                    first = group["first_sample"]
                    length = max(int(channel["length"]) for channel in group["channels"])
                    name, number, expected = state.get(stream, (stream, 1, first))
                    hole = first is not None and expected is not None and first != expected
                    again = any(file is other for other, _ in stretches.get(name, ()))
                    if stream not in triggered and stream in state and (hole or again):
                        number += 1
                        name = f"{stream} #{number}"
                        if hole and not any(s == stream and _touches(g, expected, first) for s, g in told):
                            count = first - expected if first > expected else None
                            self._missing.append(
                                (stream, Gap(expected, count, "a file of the recording is missing"))
                            )
                    state[stream] = (name, number, None if first is None else first + length)
                stretches.setdefault(name, []).append((file, index))
                self._where[at, index] = name
        return {name: LogGroup(name, members) for name, members in stretches.items()}

    def _told_gaps(self) -> list[tuple[str, Gap]]:
        return [
            (stream, Gap(first, count, _MORE_CAUSES.get(cause) or GAP_CAUSES.get(cause, GAP_CAUSES[255])[0]))
            for at, file in enumerate(self._files)
            for stream, first, count, cause in file.native.gaps
            if not (count is None and cause == UNKNOWN and self._goes_on(at, stream, first))
        ]

    def _goes_on(self, at: int, stream: str, sample: int) -> bool:
        """Whether a later file has what recovery could not know of the end of one: that it went on there."""
        return any(
            group["stream"] == stream and group["first_sample"] == sample
            for file in self._files[at + 1 :]
            for group in file.groups
        )

    @property
    def channels(self) -> tuple[LogChannel, ...]:
        """All channels that hold recorded samples, group after group."""
        return tuple(
            channel for group in self.groups.values() if not group.housekeeping for channel in group.channels
        )

    @property
    def streams(self) -> Mapping[str, LogStream]:
        """What each task delivered, across files and gaps, by name."""
        groups: dict[str, list[LogGroup]] = {}
        for group in self.groups.values():
            if not group.housekeeping and group.channels:
                groups.setdefault(group.stream, []).append(group)
        pairs = self.clock_pairs
        names: list[str] = []
        for file in self._files:
            names += [name for name in file.streams if name not in names]
        gaps = self.gaps
        return {
            name: LogStream(
                name,
                sorted(members, key=lambda group: group.first_sample or 0),
                [gap for stream, gap in gaps if stream == name],
                pairs[pairs["stream"] == names.index(name)],
                [record for record in self.records if record.stream == name],
            )
            for name, members in groups.items()
        }

    @property
    def gaps(self) -> tuple[tuple[str, Gap], ...]:
        """The holes that the recording tells of: pairs of the stream's name and the gap.

        Also those between the files of a rotation of which one is missing.
        """
        return (*self._told_gaps(), *self._missing)

    @property
    def finished(self) -> bool:
        """Whether the recording was finished in order (False also while it still runs)."""
        return all(file.native.finished for file in self._files)

    @property
    def problem(self) -> str | None:
        """What is wrong with the end of a file, in words; None if nothing is."""
        said = [(file.path, file.native.tail) for file in self._files]
        words = [f"{os.path.basename(path)}: {tail}" for path, tail in said if tail]
        return "; ".join(words) or None

    @property
    def size(self) -> int:
        """Bytes of the files when they were opened."""
        return sum(file.native.bytes for file in self._files)

    @property
    def events(self) -> tuple[tuple[np.datetime64, str], ...]:
        """What was noted while recording (:meth:`Recorder.annotate`): UTC time and text."""
        return tuple(
            (np.datetime64(time, "ns"), text) for file in self._files for time, text in file.native.events()
        )

    @property
    def clock_pairs(self) -> npt.NDArray[Any]:
        """Readings of the clocks that belong together, a structured array.

        Fields: ``stream`` (its number), ``sample`` (uint64, index in the stream), ``monotonic_ns`` and
        ``utc_ns`` (int64, the host's clocks). Empty where the recording was too short to have any.
        """
        fields = np.dtype([("stream", "u4"), ("sample", "u8"), ("monotonic_ns", "i8"), ("utc_ns", "i8")])
        return np.array([pair for file in self._files for pair in file.native.clock_pairs()], fields)

    @property
    def records(self) -> tuple[LogRecord, ...]:
        """The records of triggers, in the order in which they were recorded."""
        if self._records is None:
            self._records = tuple(self._read_records())
        return self._records

    def record(self, number: int, stream: str | None = None) -> LogRecord:
        """The record of this number; `stream` says of which stream, where several have records.

        Raises:
            KeyError: There is none, or several streams have one.
        """
        records = [one for one in self.records if stream in (None, one.stream)]
        found = [one for one in records if one.number == number]
        streams = dict.fromkeys(one.stream for one in found)
        if len(streams) > 1:
            raise KeyError(f"several streams have a record {number}; say which: {', '.join(streams)}")
        if not found:
            of = self.path if stream is None else f"stream {stream!r}"
            raise KeyError(f"there is no record {number} among the {len(records):,} of {of}")
        return found[0]

    def _read_records(self) -> Iterator[LogRecord]:
        done: dict[str, int] = {}
        for at, file in enumerate(self._files):
            before = dict(done)
            for stream, number, value, first, samples, pretrigger, time in file.native.records():
                name = file.streams[stream] if stream < len(file.streams) else None
                index = next((i for i, group in enumerate(file.groups) if group["stream"] == name), None)
                if name is None or index is None:
                    continue
                group = self.groups[self._where[at, index]]
                offset = before.get(group.name, 0)
                yield LogRecord(
                    number, name, np.datetime64(time, "ns"), samples, pretrigger, first, group, offset + value
                )
            for index, entry in enumerate(file.groups):
                name = self._where[at, index]
                longest = max((int(channel["length"]) for channel in entry["channels"]), default=0)
                done[name] = done.get(name, 0) + longest

    def __getitem__(self, name: str) -> LogChannel:
        """The channel of this name: ``"group/channel"``, or the channel alone where it is unique.

        Raises:
            KeyError: There is none, or several groups have it.
        """
        if not isinstance(name, str):
            raise KeyError(
                f"channels go by their names, not by {name!r}; a number of samples is log[name][:n]"
            )
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
        if name in self.groups:
            raise KeyError(f"{name!r} is a group, not a channel; log.groups[{name!r}] is it")
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
        files = f" and {len(self.paths) - 1} more files" if len(self.paths) > 1 else ""
        return f"<daqring.Log {self.path!r}{files}: {len(self)} channels>"

    def to_dict(self) -> dict[str, Any]:
        """What is in the recording, without its samples."""
        return {
            "path": self.path,
            "paths": list(self.paths),
            "bytes": self.size,
            "segments": sum(file.native.segments for file in self._files),
            "properties": dict(self.properties),
            "groups": [
                {
                    "name": group.name,
                    "stream": group.stream,
                    "first_sample": group.first_sample,
                    "properties": dict(group.properties),
                    "channels": [channel.to_dict() for channel in group.channels],
                }
                for group in self.groups.values()
                if not group.housekeeping
            ],
            "finished": self.finished,
            "problem": self.problem,
            "events": [{"time": str(time), "text": text} for time, text in self.events],
            "records": [
                {
                    "number": record.number,
                    "stream": record.stream,
                    "time": str(record.t0),
                    "samples": record.samples,
                    "pretrigger": record.pretrigger,
                    "first_sample": record.first_sample,
                }
                for record in self.records
            ],
            "gaps": [{"stream": stream, **dataclasses.asdict(gap)} for stream, gap in self.gaps],
        }

    def describe(self) -> str:
        """The same as text, a tree of groups and channels."""
        from daqring.tree import describe

        return describe(self)
