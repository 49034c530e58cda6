"""Logs in other formats: HDF5, Parquet, CSV, npy and Zarr; and a Zarr archive back to TDMS.

Everything streams: memory stays bounded whatever the log's length. A file appears under its name when
it is whole, and not before.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from daqring.extras import need
from daqring.log import CHUNK, Log, LogChannel, LogGroup, LogStream, filled_of, open

if TYPE_CHECKING:
    from daqring.log import Clock, _Stretch

__all__ = ["FORMATS", "Progress", "export", "import_archive"]

#: Ending of the file, and what is written.
FORMATS = {
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".parquet": "Parquet",
    ".csv": "CSV",
    ".npy": "numpy array",
    ".zarr": "Zarr",
}


#: Characters of what HDF5 tells in an attribute; more is a dataset, which viewers open when asked.
ATTRIBUTE = 16_000


class Progress:
    """One line on stderr, rewritten in place; silent where stderr is no terminal."""

    def __init__(self, what: str, total: int, enabled: bool | None = None) -> None:
        self._what, self._total, self._done = what, max(total, 1), 0
        self._enabled = sys.stderr.isatty() if enabled is None else enabled
        self._next = 0.0
        self._start = time.monotonic()

    def add(self, count: int) -> None:
        """`count` more samples are done."""
        self._done += count
        now = time.monotonic()
        if not self._enabled or now < self._next:
            return
        self._next = now + 0.1
        part = min(self._done / self._total, 1.0)
        bar = "#" * round(part * 24)
        left = (now - self._start) * (1 / part - 1) if part else 0.0
        sys.stderr.write(f"\r{self._what} [{bar:.<24}] {part:4.0%}, {left:,.0f} s left ")
        sys.stderr.flush()

    def close(self) -> None:
        """Takes the line away."""
        if self._enabled and self._next:
            sys.stderr.write("\r" + " " * 79 + "\r")
            sys.stderr.flush()


def export(
    source: Log | str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    to: str | os.PathLike[str],
    *,
    channels: Sequence[str] | None = None,
    stream: str | None = None,
    start: Any = None,
    stop: Any = None,
    clock: Clock = "device",
    raw: bool = False,
    gaps: str = "raise",
    compression: str = "auto",
    overwrite: bool = False,
    progress: bool | None = None,
) -> Path:
    """Writes a log, or a part of it, in the format that the ending of `to` names.

    ============  ==================================================================================
    ``.h5``       HDF5 (h5py): a dataset for each channel under its group, everything else as attributes
    ``.parquet``  Parquet (pyarrow): a row for each sample of one stream, with ``sample``, ``time`` and, of a
                  triggered stream, ``record``
    ``.csv``      the same as text; the lines before the names of the columns begin with ``#``
    ``.npy``      an array (channels, samples) of one stream, or (records, channels, samples) of a triggered
                  one, and a ``.json`` beside it with the rest
    ``.zarr``     Zarr 3: what is stored, compressed; :func:`import_archive` makes the TDMS files again
    ============  ==================================================================================

    Args:
        source: A log, or what :func:`open` opens.
        to: The file (Zarr: folder) to make.
        channels: Names of the channels; all by default.
        stream: The stream, where a format holds one and the log has several.
        start: Number or time of the first sample, as :meth:`LogStream.read`.
        stop: Number or time behind the last one.
        clock: By which clock times are meant.
        raw: Codes instead of scaled samples (Zarr: always).
        gaps: For ``.npy``, what to do where samples are missing: ``"raise"`` or ``"fill"`` (NaN, also
            between records). The other formats have a row, or a dataset, for what is there.
        compression: ``"auto"``, ``"none"``, or a codec: HDF5 ``"gzip"``; Parquet ``"zstd"``, ``"snappy"``;
            Zarr ``"pcodec"`` (the smallest), ``"blosc"`` (the fastest).
        overwrite: Replace an existing file.
        progress: Show a bar; by default if stderr is a terminal.

    Returns the path of what was made.

    Raises:
        FileExistsError, OSError: It exists, or cannot be written.
        ModuleNotFoundError: The package that writes the format is not installed.
        GapError, KeyError, ValueError: What was asked for is not in the log, or does not fit the format; so
            does a range in which there is no sample.
    """
    target = Path(to)
    kind = FORMATS.get(target.suffix.lower())
    if kind is None:
        raise ValueError(f"{target.name}: the ending names the format; known are {', '.join(FORMATS)}")
    if gaps not in ("raise", "fill"):
        raise ValueError(f"gaps is 'raise' or 'fill', not {gaps!r}")
    log = source if isinstance(source, Log) else open(source)
    job = _Job(log, channels, stream, start, stop, clock, raw, gaps, compression, progress)
    writer: Callable[[_Job, Path], None] = {
        "HDF5": _hdf5,
        "Parquet": _parquet,
        "CSV": _csv,
        "numpy array": _npy,
        "Zarr": _zarr,
    }[kind]
    with _whole(target, overwrite) as part:
        try:
            writer(job, part)
        finally:
            job.progress.close()
    return target


@contextlib.contextmanager
def _whole(target: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary place beside `target` that becomes it when all went well, and vanishes otherwise."""
    if target.exists() and not overwrite:
        raise FileExistsError(17, os.strerror(17), str(target))
    if not target.parent.exists():
        raise FileNotFoundError(2, os.strerror(2), str(target.parent))
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        part = folder / target.name
        yield part
        beside = [one for one in folder.iterdir() if one != part]
        for one in beside:
            os.replace(one, target.parent / one.name)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        os.replace(part, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Job:
    """What is exported."""

    def __init__(
        self,
        log: Log,
        channels: Sequence[str] | None,
        stream: str | None,
        start: Any,
        stop: Any,
        clock: Clock,
        raw: bool,
        gaps: str,
        compression: str,
        progress: bool | None,
    ) -> None:
        self.log, self.raw, self.gaps, self.compression = log, raw, gaps, compression
        self.start, self.stop, self.clock = start, stop, clock
        streams = dict(log.streams)
        if stream is not None:
            if stream not in streams:
                raise KeyError(f"there is no stream {stream!r}; there are: {', '.join(streams) or 'none'}")
            streams = {stream: streams[stream]}
        if channels is not None:
            known = {name for one in streams.values() for group in one.groups for name in _names(group)}
            for name in channels:
                if name not in known:
                    raise KeyError(f"there is no channel {name!r}; there are: {', '.join(sorted(known)[:8])}")
        self.wanted = None if channels is None else list(channels)
        self.streams = {
            name: one for name, one in streams.items() if any(self.chosen(group) for group in one.groups)
        }
        #: Of each stream: first and last sample number.
        self.ranges = {name: one._range(start, stop, clock) for name, one in self.streams.items()}
        total = sum(
            (end - begin) * len(self.chosen(stretch.group))
            for name, one in self.streams.items()
            for stretch, begin, end in one._inside(*self.ranges[name])
        )
        if not total and self.streams and not (start is None and stop is None):
            there = ", ".join(
                f"{name!r} has {_extent(one)}" for name, one in self.streams.items() if len(one)
            )
            raise ValueError(f"there is no sample in that range: stream {there or 'without any'}")
        self.progress = Progress(f"{os.path.basename(log.path)}:", total, progress)

    @property
    def everything(self) -> bool:
        return (
            self.wanted is None
            and self.start is None
            and self.stop is None
            and len(self.streams) == len(self.log.streams)
        )

    def chosen(self, group: LogGroup) -> list[LogChannel]:
        """The channels of a group that were asked for, in the order asked."""
        if self.wanted is None:
            return list(group.channels)
        return [channel for name in self.wanted for channel in group.channels if channel.name == name]

    def only_stream(self, what: str) -> LogStream:
        """The one stream that a table can hold."""
        if not self.streams:
            raise ValueError("there are no samples in this recording; 'daqring verify' says what is wrong")
        filled = filled_of(self.streams)
        if len(filled) != 1:
            raise ValueError(f"{what} holds one stream of {len(filled)}; say which: {', '.join(filled)}")
        return next(iter(filled.values()))

    def blocks(self, stretch: _Stretch, begin: int, end: int) -> Iterator[tuple[int, list[npt.NDArray[Any]]]]:
        """Samples of the chosen channels: number of the first, and an array for each channel."""
        channels = self.chosen(stretch.group)
        samples = [channel.raw if self.raw else channel for channel in channels]
        numbers = all(one.dtype.kind in "iuf" for one in samples) and len({one.dtype for one in samples}) == 1
        step = max(1, CHUNK // max(1, len(channels)))
        for first in range(begin, end, step):
            last = min(first + step, end)
            at = first - stretch.first + stretch.offset
            if numbers:
                names = [channel.name for channel in channels]
                rows = list(stretch.group.read(at, at + last - first, channels=names, raw=self.raw))
            else:
                rows = [one[at : at + last - first] for one in samples]
            self.progress.add((last - first) * len(channels))
            yield first, rows

    def about(self, stream: LogStream | None = None) -> dict[str, Any]:
        """Everything but samples, ready for JSON."""
        out = self.log.to_dict()
        if stream is not None:
            out["groups"] = [group for group in out["groups"] if group["stream"] == stream.name]
        out["scaled"] = not self.raw
        plain: dict[str, Any] = _plain(out)
        return plain


def _extent(stream: LogStream) -> str:
    """Which samples a stream has, in words."""
    words = f"samples {stream.start:,} to {stream.stop - 1:,}"
    if stream.dt and stream.t0 is not None:
        first, last = stream.times_of([stream.start, stream.stop - 1])
        words += f", {first} to {last} UTC"
    return words


def _names(group: LogGroup) -> list[str]:
    return [channel.name for channel in group.channels]


def _plain(value: Any) -> Any:
    """Values that JSON has."""
    match value:
        case dict():
            return {str(key): _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case bool() | int() | str() | None:
            return value
        case float() | np.floating():
            return float(value) if np.isfinite(value) else str(value)
        case np.integer():
            return int(value)
    return str(value)


def _column_times(stream: LogStream, clock: Clock, first: int, count: int) -> npt.NDArray[Any] | None:
    if stream.dt and stream.t0 is not None:
        return stream.time(first, first + count, clock=clock)
    return None


# --- HDF5


def _hdf5(job: _Job, path: Path) -> None:
    h5py = need("h5py", "hdf5", "an export to HDF5")
    if job.compression not in ("auto", "none", "gzip"):
        raise ValueError(f"HDF5's compression is 'auto', 'none' or 'gzip', not {job.compression!r}")
    packing = (
        {"compression": "gzip", "compression_opts": 1, "shuffle": True} if job.compression == "gzip" else {}
    )
    with h5py.File(path, "w") as file:
        about = job.about()
        _attributes(file, about["properties"])
        told = json.dumps({key: about[key] for key in ("paths", "finished", "gaps", "events", "records")})
        if len(told) < ATTRIBUTE:
            file.attrs["daqring"] = told
        else:
            file.create_dataset("daqring", data=told, dtype=h5py.string_dtype())
        for name, stream in job.streams.items():
            records = {one.first_sample: one.number for one in stream.records}
            for stretch, begin, end in stream._inside(*job.ranges[name]):
                record = records.get(stretch.first)
                _hdf5_stretch(h5py, file, job, stream, stretch, begin, end, packing, record)


def _hdf5_stretch(
    h5py: Any,
    file: Any,
    job: _Job,
    stream: LogStream,
    stretch: _Stretch,
    begin: int,
    end: int,
    packing: Any,
    record: int | None,
) -> None:
    channels = job.chosen(stretch.group)
    name = stretch.group.name
    if record is not None:
        name = f"{name}/record {record}"
    group = file.create_group(_node(name, keep="/" if stream.records else ""))
    _attributes(group, stretch.group.properties)
    group.attrs["first_sample"] = begin
    group.attrs["stream"] = stream.name
    if len({len(channel) for channel in channels}) > 1 and not stream.records:
        # Another program's: each channel has a length of its own.
        for channel in channels:
            samples = channel.raw if job.raw else channel
            low, high = (min(number - stretch.first, len(channel)) for number in (begin, end))
            dataset = _hdf5_dataset(h5py, group, job, channel, high - low, packing)
            for at in range(low, high, CHUNK):
                values = samples[at : min(at + CHUNK, high)]
                dataset[at - low : at - low + len(values)] = _hdf5_values(values)
                job.progress.add(len(values))
        return
    datasets = [_hdf5_dataset(h5py, group, job, channel, end - begin, packing) for channel in channels]
    if stretch.t0 is not None and stream.dt:
        t0 = stretch.t0 + np.timedelta64(round((begin - stretch.first) * stream.dt * 1e9), "ns")
        for dataset in datasets:
            dataset.attrs["t0"] = f"{t0}Z"
    for first, rows in job.blocks(stretch, begin, end):
        for dataset, values in zip(datasets, rows, strict=True):
            dataset[first - begin : first - begin + len(values)] = _hdf5_values(values)


def _hdf5_dataset(h5py: Any, group: Any, job: _Job, channel: LogChannel, length: int, packing: Any) -> Any:
    dtype: Any = (channel.raw if job.raw else channel).dtype
    if dtype.kind == "O":
        dtype = h5py.string_dtype()
    elif dtype.kind == "M":
        dtype = np.dtype("int64")
    chunks = {"chunks": (min(length, 1 << 16),)} if length else {}
    dataset = group.create_dataset(_node(channel.name, keep="/"), (length,), dtype, **chunks, **packing)
    _attributes(dataset, channel.properties)
    dataset.attrs["name"] = channel.name
    dataset.attrs["unit"] = channel.unit if not job.raw else ""
    if channel.dt:
        dataset.attrs["dt"] = channel.dt
    if channel.t0 is not None:
        dataset.attrs["t0"] = f"{channel.t0}Z"
    if channel.dtype.kind == "M":
        dataset.attrs["units"] = "nanoseconds since 1970-01-01 UTC"
    return dataset


def _hdf5_values(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.view(np.int64) if values.dtype.kind == "M" else values


def _attributes(node: Any, properties: Any) -> None:
    for name, value in properties.items():
        if isinstance(value, np.datetime64):
            value = f"{value}Z"
        # Text has a length of its own, and so is not bound to the 64 KiB of other attributes.
        node.attrs[name] = _plain(value)


def _node(name: str, keep: str = "") -> str:
    """A name as a part of a path; `keep` says what may stay of the characters with a meaning there."""
    out = name if keep else name.replace("/", "\u2215")
    parts = [part if part not in ("", ".", "..") else f"_{part}" for part in out.split("/")]
    return "/".join(parts)


# --- tables


def _table_blocks(
    job: _Job, stream: LogStream
) -> Iterator[tuple[int, int | None, Any, list[npt.NDArray[Any]]]]:
    """Number of the first sample, of its record, times, and an array for each channel."""
    records = {record.first_sample: record.number for record in stream.records}
    for stretch, begin, end in stream._inside(*job.ranges[stream.name]):
        channels = job.chosen(stretch.group)
        if len({len(channel) for channel in channels}) > 1:
            raise ValueError(
                f"the channels of {stretch.group.name!r} have different lengths and make no table; "
                "choose channels, or export to .h5"
            )
        for first, rows in job.blocks(stretch, begin, end):
            record = records.get(stretch.first)
            yield first, record, _column_times(stream, job.clock, first, len(rows[0])), rows


def _heads(job: _Job, stream: LogStream) -> list[tuple[str, str, np.dtype[Any]]]:
    """Name, unit and type of each column."""
    return [
        (channel.name, "" if job.raw else channel.unit, (channel.raw if job.raw else channel).dtype)
        for channel in job.chosen(stream.groups[0])
    ]


def _parquet(job: _Job, path: Path) -> None:
    arrow = need("pyarrow", "parquet", "an export to Parquet")
    parquet = need("pyarrow.parquet", "parquet", "an export to Parquet")
    stream = job.only_stream("a Parquet file")
    fields = [arrow.field("sample", arrow.int64())]
    timed = bool(stream.dt) and stream.t0 is not None
    if timed:
        fields.append(arrow.field("time", arrow.timestamp("ns", tz="UTC")))
    if stream.records:
        fields.append(arrow.field("record", arrow.int64()))
    for name, unit, dtype in _heads(job, stream):
        if dtype.kind == "c":
            raise ValueError(f"Parquet has no complex numbers (channel {name!r}); export to .h5 or .zarr")
        kind = arrow.string() if dtype.kind == "O" else arrow.from_numpy_dtype(dtype)
        fields.append(arrow.field(name, kind, metadata={"unit": unit}))
    schema = arrow.schema(fields, metadata={"daqring": json.dumps(job.about(stream))})
    codec = {"auto": "zstd", "none": "none"}.get(job.compression, job.compression)
    with parquet.ParquetWriter(path, schema, compression=codec) as writer:
        for first, record, times, rows in _table_blocks(job, stream):
            columns: list[Any] = [arrow.array(np.arange(first, first + len(rows[0])))]
            if timed:
                columns.append(arrow.array(times.view(np.int64)).cast(arrow.timestamp("ns", tz="UTC")))
            if stream.records:
                columns.append(arrow.array(np.full(len(rows[0]), record)))
            columns += [arrow.array(values) for values in rows]
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))


def _csv(job: _Job, path: Path) -> None:
    stream = job.only_stream("a CSV file")
    about = job.about(stream)
    heads = _heads(job, stream)
    timed = bool(stream.dt) and stream.t0 is not None
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {stream.name}, from {', '.join(about['paths'])}\n")
        for name, value in about["properties"].items():
            text = str(value).replace("\n", " ")
            file.write(f"# {name}: {text}\n")
        for _, gap in ((name, gap) for name, gap in job.log.gaps if name == stream.name):
            file.write(f"# gap: {gap}\n")
        writer = csv.writer(file)
        units = [f"{name} ({unit})" if unit else name for name, unit, _ in heads]
        heads_before = ["sample", *(["time (UTC)"] if timed else []), *(["record"] if stream.records else [])]
        writer.writerow([*heads_before, *units])
        for first, record, times, rows in _table_blocks(job, stream):
            columns: list[Any] = [range(first, first + len(rows[0]))]
            if timed:
                columns.append(np.datetime_as_string(times).tolist())
            if stream.records:
                columns.append(itertools.repeat(record, len(rows[0])))
            for values in rows:
                columns.append(
                    np.datetime_as_string(values).tolist() if values.dtype.kind == "M" else values.tolist()
                )
            writer.writerows(zip(*columns, strict=True))


def _npy(job: _Job, path: Path) -> None:
    stream = job.only_stream("a .npy file")
    first, last = job.ranges[stream.name]
    heads = _heads(job, stream)
    dtypes = {dtype for _, _, dtype in heads}
    if len(dtypes) != 1 or next(iter(dtypes)).kind not in "iufbc":
        raise ValueError("a .npy file holds numbers of one type; choose channels, or export to .h5")
    dtype = dtypes.pop()
    pieces = list(stream._inside(first, last))
    there = sum(end - begin for _, begin, end in pieces)
    cubes = bool(stream.records) and job.gaps == "raise"
    if cubes:
        lengths = {end - begin for _, begin, end in pieces}
        if len(lengths) != 1:
            raise ValueError(
                "the records have different lengths and make no array; export to .h5, or say gaps='fill' "
                "(--fill) for one array over the time between them, too"
            )
        out = np.lib.format.open_memmap(path, "w+", dtype, (len(pieces), len(heads), lengths.pop()))
    else:
        stream._check_gaps(first, last, "fill" if job.gaps == "fill" else "raise")
        if there < last - first and dtype.kind not in "fc":
            raise ValueError(f"lost samples cannot be NaN among {dtype}; export scaled samples, or to .h5")
        out = np.lib.format.open_memmap(path, "w+", dtype, (len(heads), last - first))
    if there < last - first and not cubes:
        for row in out:
            row[:] = np.nan
    place: Any = None
    for number, (stretch, begin, end) in enumerate(pieces):
        place, origin = (out[number], begin) if cubes else (out, first)
        for at, rows in job.blocks(stretch, begin, end):
            for row, values in zip(place, rows, strict=True):
                row[at - origin : at - origin + len(values)] = values
    out.flush()
    del out
    place = None
    about = job.about(stream) | {"channels": [name for name, _, _ in heads], "first_sample": first}
    about["units"] = [unit for _, unit, _ in heads]
    if stream.dt and stream.t0 is not None and last > first:
        about |= {"dt": stream.dt, "t0": str(stream.time(first, first + 1, clock=job.clock)[0])}
    path.with_suffix(".json").write_text(json.dumps(about, indent=2), encoding="utf-8")


# --- Zarr: in a module of its own


def _zarr(job: _Job, path: Path) -> None:
    from daqring.archive import write

    write(job, path)


def import_archive(
    archive: str | os.PathLike[str],
    to: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: bool | None = None,
) -> list[Path]:
    """Makes the TDMS file, or files, of a Zarr archive again, bit for bit.

    Args:
        archive: The folder that :func:`export` made of a whole log.
        to: The file to make; for an archive of several files, an existing folder.
        overwrite: Replace existing files.
        progress: Show a bar; by default if stderr is a terminal.

    Returns the paths of the files. Each is compared with the checksum (SHA-256) of the original.

    Raises:
        FileExistsError, OSError: A file exists, or cannot be read or written.
        ValueError: It is no archive of a whole log.
        LogFormatError: The archive is damaged.
    """
    from daqring.archive import restore

    return restore(Path(archive), Path(to), overwrite=overwrite, progress=progress)
