"""A log as a compressed Zarr archive, and back bit for bit.

Numbers become arrays, one for each channel, under the names of group and channel. What else is in the
TDMS files (headers, bookkeeping, text) is kept as bytes, with the places between which the numbers lie.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from daqring.errors import LogFormatError
from daqring.extras import need

if TYPE_CHECKING:
    from daqring.exporting import _Job
    from daqring.log import LogChannel

__all__ = ["restore", "write"]

#: Where the archive keeps what is no channel.
PLACE = "_daqring"
#: Values of a chunk, at most.
CHUNK = 1 << 18
#: Bytes that are read at once.
STEP = 1 << 22
#: Segments whose runs are asked for at once.
SEGMENTS = 1024


def _codec(name: str, dtype: np.dtype[Any]) -> dict[str, Any]:
    """How an array of a type is packed."""
    codecs = need("zarr.codecs", "zarr", "an export to Zarr")
    if name not in ("auto", "pcodec", "blosc", "none"):
        raise ValueError(f"Zarr's compression is 'auto', 'pcodec', 'blosc' or 'none', not {name!r}")
    if name == "none":
        return {"compressors": None}
    # Pcodec knows numbers of 16 bits and more.
    fits = dtype.kind in "iuf" and dtype.itemsize >= 2
    if fits and name in ("auto", "pcodec"):
        try:
            need("pcodec", "zarr", "compression by pcodec")
        except ModuleNotFoundError:
            if name == "pcodec":
                raise
        else:
            import warnings

            more = need("zarr.codecs.numcodecs", "zarr", "compression by pcodec")
            with warnings.catch_warnings():
                # zarr says that codecs of numcodecs are not in its standard yet.
                warnings.simplefilter("ignore")
                return {"serializer": more.PCodec(), "compressors": None}
    return {
        "compressors": codecs.BloscCodec(
            cname="zstd", clevel=5, shuffle="bitshuffle", typesize=dtype.itemsize
        )
    }


def write(job: _Job, path: Path) -> None:
    """Writes what the job asks for to a new folder."""
    import warnings

    zarr = need("zarr", "zarr", "an export to Zarr")
    from daqring.exporting import _node

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="zarr|numcodecs")
        root = zarr.create_group(store=str(path), zarr_format=3)
        about = job.about()
        about["scaled"] = False
        paths: dict[tuple[str, str], str] = {}
        for name, stream in job.streams.items():
            for group in stream.groups:
                first, last = _inside(job, name, group)
                for channel in job.chosen(group):
                    samples = channel.raw
                    if samples.dtype.kind not in "iufbc":
                        if not job.everything:
                            raise ValueError(
                                f"channel {channel.name!r} holds no numbers; only an archive of the whole "
                                "log keeps it"
                            )
                        continue
                    place = f"{_node(group.name)}/{_node(channel.name, keep='/')}"
                    begin, end = (first, last) if len(channel) == len(group) else (0, len(channel))
                    _write_channel(root, job, channel, place, begin, end)
                    paths[group.name, channel.name] = place
        if job.everything:
            about["archive"] = _write_files(root, job, paths)
        root.attrs["daqring"] = about


def _inside(job: _Job, name: str, group: Any) -> tuple[int, int]:
    """Which values of a group are in the range that was asked for."""
    stream = job.streams[name]
    if stream.records:
        if job.start is not None or job.stop is not None:
            raise ValueError("a range of a triggered stream cannot become a Zarr archive; export to .h5")
        return 0, len(group)
    chosen = [
        (begin - stretch.first, end - stretch.first)
        for stretch, begin, end in stream._inside(*job.ranges[name])
        if stretch.group is group
    ]
    return chosen[0] if chosen else (0, 0)


def _write_channel(root: Any, job: _Job, channel: LogChannel, place: str, begin: int, end: int) -> None:
    samples = channel.raw
    edges = samples.segments()
    usual = edges[1] - edges[0] if len(edges) > 1 else CHUNK
    # A chunk for a segment, or several for a long one, or one for several short ones.
    chunk = usual if usual <= CHUNK else -(-usual // -(-usual // CHUNK))
    if 0 < chunk < CHUNK // 8:
        chunk *= CHUNK // 4 // chunk
    array = root.create_array(
        place,
        shape=(end - begin,),
        dtype=samples.dtype,
        chunks=(max(1, min(chunk, max(1, end - begin))),),
        **_codec(job.compression, samples.dtype),
    )
    from daqring.exporting import _plain

    array.attrs.update(
        {
            "name": channel.name,
            "group": channel.group,
            "unit": channel.unit,
            "dt": channel.dt,
            "t0": None if channel.t0 is None else f"{channel.t0}Z",
            "first_value": begin,
            "properties": _plain(dict(channel.properties)),
        }
    )
    step = array.chunks[0] * max(1, CHUNK // array.chunks[0])
    for first in range(begin, end, step):
        values = samples[first : min(first + step, end)]
        array[first - begin : first - begin + len(values)] = values
        job.progress.add(len(values))


def _write_files(root: Any, job: _Job, paths: dict[tuple[str, str], str]) -> dict[str, Any]:
    """Keeps all bytes of the files that are in no array, and where the arrays' values lie between them."""
    log = job.log
    arrays = sorted(set(paths.values()))
    number = {place: at for at, place in enumerate(arrays)}
    #: Values of each group and channel in the files before.
    before: dict[tuple[str, str], int] = {}
    described = []
    for at, file in enumerate(log._files):
        runs: list[npt.NDArray[np.uint64]] = []
        for first in range(0, file.native.segments, SEGMENTS):
            rows = []
            for offset, size, group, channel, value in file.native.plain_runs(first, first + SEGMENTS):
                name = (log._where[at, group], file.groups[group]["channels"][channel]["name"])
                if name in paths:
                    rows.append((offset, size, number[paths[name]], value + before.get(name, 0)))
            runs.append(np.array(rows, np.uint64).reshape(-1, 4))
        for group, entry in enumerate(file.groups):
            for channel in entry["channels"]:
                name = (log._where[at, group], channel["name"])
                before[name] = before.get(name, 0) + int(channel["length"])
        table = np.concatenate(runs) if runs else np.empty((0, 4), np.uint64)
        digest = hashlib.sha256()
        with Path(file.path).open("rb") as opened:
            size = 0
            while block := opened.read(STEP):
                digest.update(block)
                size += len(block)
            rest = size - int(table[:, 1].sum())
            kept = root.create_array(
                f"{PLACE}/{at}/rest",
                shape=(rest,),
                dtype="uint8",
                chunks=(max(1, min(rest, STEP)),),
                **_codec("blosc", np.dtype("uint8")),
            )
            _keep_rest(opened, table, size, kept)
        for column, what in enumerate(("offset", "bytes", "array", "first_value")):
            one = root.create_array(
                f"{PLACE}/{at}/{what}",
                shape=(len(table),),
                dtype="uint64",
                chunks=(max(1, min(len(table), CHUNK)),),
                **_codec("auto", np.dtype("uint64")),
            )
            one[:] = np.ascontiguousarray(table[:, column])
        described.append({"name": Path(file.path).name, "bytes": size, "sha256": digest.hexdigest()})
    return {"version": 1, "arrays": arrays, "files": described}


def _keep_rest(opened: Any, table: npt.NDArray[np.uint64], size: int, kept: Any) -> None:
    buffer, done, position = bytearray(), 0, 0

    def flush(everything: bool) -> None:
        nonlocal done
        while len(buffer) >= STEP or (everything and buffer):
            part = bytes(buffer[:STEP])
            del buffer[:STEP]
            kept[done : done + len(part)] = np.frombuffer(part, np.uint8)
            done += len(part)

    for offset, length in [*table[:, :2].tolist(), [size, 0]]:
        while position < offset:
            opened.seek(position)
            part = opened.read(min(offset - position, STEP))
            buffer += part
            position += len(part)
            flush(False)
        position = offset + length
    flush(True)


class _Chunks:
    """Parts of arrays, the last chunks kept in bounded memory: runs of several channels alternate."""

    MOST = 1 << 27

    def __init__(self, root: Any, arrays: list[str]) -> None:
        self._arrays = [root[place] for place in arrays]
        self._kept: OrderedDict[tuple[int, int], npt.NDArray[Any]] = OrderedDict()
        self._bytes = 0

    def values(self, number: int, first: int, size: int) -> Any:
        """`size` bytes of an array from value `first` on, in parts."""
        array = self._arrays[number]
        chunk, last = array.chunks[0], first + size // array.dtype.itemsize
        while first < last:
            at = first // chunk
            part = self._chunk(number, at)
            take = min(last, (at + 1) * chunk) - first
            yield part[first - at * chunk : first - at * chunk + take]
            first += take

    def _chunk(self, number: int, at: int) -> npt.NDArray[Any]:
        key = (number, at)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        array = self._arrays[number]
        chunk = array.chunks[0]
        values = np.asarray(array[at * chunk : (at + 1) * chunk])
        self._kept[key] = values
        self._bytes += values.nbytes
        while self._bytes > self.MOST and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return values


def restore(archive: Path, to: Path, *, overwrite: bool, progress: bool | None) -> list[Path]:
    """See :func:`daqring.import_archive`."""
    zarr = need("zarr", "zarr", "reading a Zarr archive")
    from daqring.exporting import Progress, _whole

    if not (archive / "zarr.json").exists():
        raise ValueError(f"{archive} is no Zarr archive")
    root = zarr.open_group(str(archive), mode="r")
    about = root.attrs.get("daqring")
    if not isinstance(about, dict):
        raise ValueError(f"{archive} was not made by daqring")
    if "archive" not in about:
        raise ValueError(
            f"{archive} holds a part of a log; only an archive of all of it can become TDMS again"
        )
    about = about["archive"]
    files = about["files"]
    if len(files) > 1 and not to.is_dir():
        raise ValueError(f"{archive} holds {len(files)} files: give a folder that exists, not {to}")
    made = []
    bar = Progress(f"{archive.name}:", sum(file["bytes"] for file in files), progress)
    try:
        chunks = _Chunks(root, about["arrays"])
        for at, file in enumerate(files):
            target = to / Path(file["name"]).name if to.is_dir() else to
            with _whole(target, overwrite) as part:
                digest = _restore_file(root[f"{PLACE}/{at}"], chunks, file["bytes"], part, bar)
                if digest != file["sha256"]:
                    raise LogFormatError(f"{archive} is damaged: {file['name']} would not be what it was")
            made.append(target)
    finally:
        bar.close()
    return made


def _restore_file(node: Any, chunks: _Chunks, size: int, path: Path, bar: Any) -> str:
    digest = hashlib.sha256()
    rest, done, position = node["rest"], 0, 0
    waiting = b""
    columns = [node[what] for what in ("offset", "bytes", "array", "first_value")]
    with path.open("wb") as out:

        def put(data: Any) -> None:
            digest.update(data)
            out.write(data)
            bar.add(len(data))

        def put_rest(count: int) -> None:
            nonlocal waiting, done
            while count:
                if not waiting:
                    waiting = np.asarray(rest[done : done + STEP]).tobytes()
                    done += len(waiting)
                    if not waiting:
                        raise LogFormatError("the archive is damaged: bytes are missing")
                put(waiting[:count])
                count, waiting = max(0, count - len(waiting)), waiting[count:]

        for first in range(0, columns[0].shape[0], CHUNK):
            rows = np.stack([np.asarray(column[first : first + CHUNK]) for column in columns], axis=1)
            for offset, length, array, value in rows.tolist():
                put_rest(offset - position)
                for values in chunks.values(array, value, length):
                    put(values.tobytes())
                position = offset + length
        put_rest(size - position)
    return digest.hexdigest()
