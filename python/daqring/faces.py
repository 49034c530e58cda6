"""Logs as xarray, pandas and dask have them. Reached through the methods of :mod:`daqring.log`."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from daqring import _native
from daqring.extras import need

if TYPE_CHECKING:
    from daqring.log import LogChannel, LogStream

__all__ = ["dask_array", "pandas_frame", "xarray_dataset"]


def xarray_dataset(
    stream: LogStream,
    channels: Sequence[str] | str | None,
    start: Any,
    stop: Any,
    *,
    clock: Any = "device",
    raw: bool = False,
    gaps: Any = "fill",
) -> Any:
    """See :meth:`LogStream.to_xarray`."""
    xarray = need("xarray", "analysis", "to_xarray()")
    if gaps == "segment":
        raise ValueError("a Dataset has one time axis: gaps is 'fill' or 'raise'")
    names = _names(stream, channels)
    values = stream.read(names, start, stop, gaps=gaps, clock=clock, raw=raw)
    axis = _axis(stream, start, stop, clock)
    first = stream.groups[0]
    variables = {
        name: ("time", row, {"units": first[name].unit, "dt": stream.dt or 0.0})
        for name, row in zip(names, values, strict=True)
    }
    attributes = {"stream": stream.name, "first_sample": stream._range(start, stop, clock)[0]}
    return xarray.Dataset(variables, coords={"time": axis}, attrs=attributes)


def pandas_frame(
    stream: LogStream,
    channels: Sequence[str] | str | None,
    start: Any,
    stop: Any,
    *,
    clock: Any = "device",
    raw: bool = False,
    gaps: Any = "segment",
) -> Any:
    """See :meth:`LogStream.to_pandas`."""
    pandas = need("pandas", "analysis", "to_pandas()")
    names = _names(stream, channels)
    got = stream.read(names, start, stop, gaps=gaps, clock=clock, raw=raw)
    if gaps == "segment":
        parts = [
            _axis(stream, piece.first_sample, piece.first_sample + piece.values.shape[1], clock)
            for piece in got
        ]
        axis = np.concatenate(parts) if parts else np.empty(0, np.int64)
        values = np.concatenate([piece.values for piece in got], axis=1) if got else np.empty((len(names), 0))
    else:
        axis, values = _axis(stream, start, stop, clock), got
    index = pandas.DatetimeIndex(axis, tz="UTC") if axis.dtype.kind == "M" else pandas.Index(axis)
    index.name = "time" if axis.dtype.kind == "M" else "sample"
    frame = pandas.DataFrame(values.T, index=index, columns=list(names), copy=False)
    frame.attrs = {"stream": stream.name, "units": {name: stream.groups[0][name].unit for name in names}}
    return frame


def _names(stream: LogStream, channels: Sequence[str] | str | None) -> list[str]:
    if channels is None:
        return list(stream.channels)
    return [channels] if isinstance(channels, str) else list(channels)


def _axis(stream: LogStream, start: Any, stop: Any, clock: Any) -> npt.NDArray[Any]:
    """Times, or sample numbers where there are no times."""
    if stream.dt and stream.t0 is not None:
        return stream.time(start, stop, clock=clock)
    return np.arange(*stream._range(start, stop, clock))


def dask_array(channel: LogChannel, *, raw: bool) -> Any:
    """See :meth:`LogChannel.to_dask`."""
    array = need("dask.array", "analysis", "to_dask()")
    samples = channel.raw if raw else channel
    if samples.dtype == object or samples.dtype.kind == "M":
        raise ValueError(f"channel {channel.name!r} does not hold numbers")
    edges = np.array(samples.segments())
    sizes = tuple(np.diff(edges).tolist())
    if not sizes:
        return array.zeros(0, dtype=samples.dtype)
    # What a worker needs to read a part: the place of the file, not the open file.
    parts = tuple((os.path.abspath(p.path), p.group, p.channel, p.length) for p in samples._parts)
    load = functools.partial(_load, parts=parts, dtype=samples.dtype, scaled=samples._scaled)
    return array.map_blocks(
        load, chunks=(sizes,), dtype=samples.dtype, meta=np.empty(0, samples.dtype), name=None
    )


@functools.lru_cache(maxsize=64)
def _open(path: str, size: int, modified: int) -> _native.LogFile:
    return _native.LogFile(path)


def _load(
    *, parts: tuple[tuple[str, int, int, int], ...], dtype: Any, scaled: bool, block_info: Any = None
) -> npt.NDArray[Any]:
    """Reads the block that dask asks for."""
    ((start, stop),) = block_info[None]["array-location"]
    out = np.empty(stop - start, dtype)
    offset = at = 0
    for path, group, channel, length in parts:
        first, last = max(start - offset, 0), min(stop - offset, length)
        offset += length
        if first >= last:
            continue
        status = os.stat(path)
        native = _open(path, status.st_size, status.st_mtime_ns)
        place = out[at : at + last - first]
        if scaled:
            native.read_scaled(group, channel, first, place)
        else:
            native.read_raw(group, channel, first, place.view(np.uint8))
        at += last - first
    return out
