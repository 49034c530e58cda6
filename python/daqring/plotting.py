"""Pictures of recordings, as ``daqring plot`` makes them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from daqring.exporting import _whole
from daqring.extras import need
from daqring.log import Log, LogStream, filled_of, open

if TYPE_CHECKING:
    from daqring.log import Clock

__all__ = ["plot"]

#: Points of an axis, each drawn from the least to the greatest sample.
BINS = 1600
#: Channels that get an axis of their own.
MOST = 16
#: Records whose triggers are marked.
MOST_TRIGGERS = 10
#: Samples of which each is a dot.
FEW = 120
COLOURS = ("#1f5f99", "#b5482a", "#2f7d4f", "#7a4f9a", "#a07a14", "#3a7f8c", "#a3406b", "#5c5c5c")


def plot(
    source: Log | str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    to: str | os.PathLike[str],
    *,
    channels: Sequence[str] | None = None,
    stream: str | None = None,
    start: Any = None,
    stop: Any = None,
    clock: Clock = "device",
    overwrite: bool = False,
) -> Path:
    """Draws channels of one stream into a PNG or SVG, an axis each, over local time.

    Args:
        source: A log, or what :func:`daqring.open` opens.
        to: The picture; its ending says of which kind.
        channels: Names; by default the first 16 channels that hold numbers.
        stream: Which stream, where the log has several.
        start: Number or time of the first sample, as :meth:`LogStream.read`.
        stop: Number or time behind the last one.
        clock: By which clock times are meant, and shown.
        overwrite: Replace an existing picture.

    Returns the path of the picture.

    Raises:
        FileExistsError, OSError: It exists, or cannot be written.
        ModuleNotFoundError: matplotlib is not installed.
        KeyError, ValueError: What was asked for is not in the log, or is nothing to draw.
    """
    target = Path(to)
    if target.suffix.lower() not in (".png", ".svg"):
        raise ValueError(f"{target.name}: a picture is a .png or an .svg")
    need("matplotlib", "plot", "a plot")
    from matplotlib.figure import Figure

    log = source if isinstance(source, Log) else open(source)
    streams = log.streams
    if not streams:
        raise ValueError("there are no samples in this recording; 'daqring verify' says what is wrong")
    if stream is not None and stream not in streams:
        raise KeyError(f"there is no stream {stream!r}; there are: {', '.join(streams) or 'none'}")
    filled = filled_of(streams)
    if stream is None and len(filled) != 1:
        raise ValueError(f"say which stream to draw, of: {', '.join(filled)}")
    chosen = streams[stream] if stream is not None else next(iter(filled.values()))
    first_group = chosen.groups[0]
    if channels is None:
        names = [one.name for one in first_group.channels if one.dtype.kind in "iufb"][:MOST]
    else:
        names = [first_group[name].name for name in channels]
    first, last = chosen._range(start, stop, clock)
    if not names or not list(chosen._inside(first, last)):
        raise ValueError(f"there is nothing to draw of stream {chosen.name!r} in that range")
    # Lines that are on or off need less room, and many channels share a page.
    most = max(0.9, min(1.9, 18 / len(names))) if len(names) > 1 else 3.4
    heights = [0.6 * min(most, 1.2) if first_group[name].dtype.kind == "b" else most for name in names]
    figure = Figure(figsize=(11, 1.2 + sum(heights)), layout="constrained")
    axes = figure.subplots(len(names), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    timed = bool(chosen.dt) and chosen.t0 is not None
    for number, (axis, name) in enumerate(zip(axes, names, strict=True)):
        _channel(axis, chosen, name, first, last, clock, timed, COLOURS[number % len(COLOURS)])
    _gaps(axes, chosen, first, last, clock, timed)
    _triggers(axes, chosen, first, last, clock, timed)
    figure.align_ylabels(axes)
    _time_axis(axes[-1], chosen, first, last, clock, timed)
    hidden = len(first_group.channels) - len(names) if channels is None else 0
    title = f"{chosen.name}  ·  {os.path.basename(log.path)}"
    if len(log.paths) > 1:
        title += f" and {len(log.paths) - 1} more"
    if chosen.records:
        shown = len(list(chosen._inside(first, last)))
        title += f"  ·  {shown:,} record{'s' if shown != 1 else ''}"
    if hidden > 0:
        title += f"  ·  {hidden} more channels are not shown"
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    with _whole(target, overwrite) as part:
        figure.savefig(part, dpi=130)
    return target


def _channel(
    axis: Any, stream: LogStream, name: str, first: int, last: int, clock: Any, timed: bool, colour: str
) -> None:
    """One channel: all stretches, as lines where there are few samples, else from least to greatest."""
    unit = stream.groups[0][name].unit
    logical = stream.groups[0][name].dtype.kind == "b"
    for stretch, begin, end in stream._inside(first, last):
        channel = stretch.group[name]
        if channel.dtype.kind not in "iufb":
            raise ValueError(f"channel {name!r} does not hold numbers that could be drawn")
        at = begin - stretch.first + stretch.offset
        bins = max(2, round(BINS * (end - begin) / (last - first)))
        if end - begin <= 2 * bins:
            places = _places(stream, np.arange(begin, end), clock, timed)
            axis.plot(
                places,
                channel[at : at + end - begin],
                color=colour,
                linewidth=0.9,
                drawstyle="steps-post" if logical else "default",
                # So few that each can be told from the next.
                marker="." if last - first <= FEW else None,
            )
            continue
        least, greatest, edges = channel.envelope(bins, at, at + end - begin)
        middle = begin + (edges[:-1] + edges[1:]) // 2 - at
        places = _places(stream, middle, clock, timed)
        axis.fill_between(places, least, greatest, color=colour, alpha=0.9, linewidth=0.6)
    axis.set_ylabel(f"{name}\n[{unit}]" if unit else name, fontsize=9)
    axis.tick_params(labelsize=8.5)
    axis.grid(True, color="#d9d9d9", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0.01, y=0.08)
    if logical:
        axis.set_yticks([0, 1])
        axis.set_ylim(-0.2, 1.2)


def _places(stream: LogStream, numbers: Any, clock: Any, timed: bool) -> Any:
    """Where samples are on the axis: times, or their numbers."""
    if not timed:
        return numbers
    return stream.times_of(numbers, clock=clock)


def _gaps(axes: Any, stream: LogStream, first: int, last: int, clock: Any, timed: bool) -> None:
    """Shades the holes; labels that would stand on each other become one."""
    dates: Any = need("matplotlib.dates", "plot", "a plot")

    def at(place: Any) -> float:
        return float(dates.date2num(place)) if timed else float(place)

    low, high = (at(place) for place in _places(stream, [first, last - 1], clock, timed))
    # Where a label begins, the losses that it stands for (None: nobody knows how many), where it ends.
    labels: list[tuple[Any, list[int | None], float]] = []
    for gap in stream.gaps:
        begin, end = gap.first_sample, gap.first_sample + (gap.count or 0)
        if gap.cause == "deliberately not recorded" or end < first or begin >= last or begin <= stream.start:
            continue
        # From the last sample before the hole to the first one behind it.
        ends = _places(stream, [max(begin, first + 1) - 1, min(end, last - 1)], clock, timed)
        for axis in axes:
            axis.axvspan(
                ends[0], ends[1], facecolor="#f2c9c0", edgecolor="#c46a55", linewidth=0.8, zorder=0.5
            )
        here = at(ends[0])
        losses: list[int | None] = [gap.count]
        place = ends[0]
        if labels and here < labels[-1][2]:
            place, before, _ = labels.pop()
            losses = [*before, gap.count]
        labels.append((place, losses, at(place) + _width(_lost(losses)) * (high - low)))
    for place, losses, _ in labels:
        right = at(place) > low + 0.9 * (high - low)
        axes[0].annotate(
            _lost(losses),
            (place, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right" if right else "left",
            fontsize=8,
            color="#9c3f2b",
        )


def _lost(losses: list[int | None]) -> str:
    known = sum(count for count in losses if count is not None)
    words = [f"{known:,}"] if known else []
    words += ["?"] if None in losses else []
    gaps = f"{len(losses)} gaps, " if len(losses) > 1 else ""
    return f"{gaps}{' + '.join(words)} lost"


def _width(label: str) -> float:
    """About the part of an axis' width that a label takes."""
    return (len(label) + 1.5) / 155


def _triggers(axes: Any, stream: LogStream, first: int, last: int, clock: Any, timed: bool) -> None:
    """Where a few records are shown, the moment of each one's trigger and its number."""
    shown = [
        one for one in stream.records if one.first_sample < last and one.first_sample + one.samples > first
    ]
    if len(shown) > MOST_TRIGGERS:
        return
    span = last - first
    free = float(first - span)
    for record in shown:
        number = record.first_sample + record.pretrigger
        if not first <= number < last:
            continue
        place = _places(stream, [number], clock, timed)[0]
        for axis in axes:
            axis.axvline(place, color="#555555", linewidth=0.8, linestyle=(0, (4, 3)), zorder=0.6)
        label = f"record {record.number}"
        if number < free:
            continue
        free = number + _width(label) * span
        axes[0].annotate(
            label,
            (place, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color="#555555",
        )


def _time_axis(axis: Any, stream: LogStream, first: int, last: int, clock: Any, timed: bool) -> None:
    if not timed:
        axis.set_xlabel("sample")
        return
    import datetime

    dates: Any = need("matplotlib.dates", "plot", "a plot")

    local = datetime.datetime.now().astimezone().tzinfo
    begin = stream.time(first, first + 1, clock=clock)[0].astype("datetime64[us]").item()
    begin = begin.replace(tzinfo=datetime.UTC).astimezone()
    locator = dates.AutoDateLocator(tz=local)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=local, show_offset=False))
    by = ", by the host's clock" if clock == "host" else ""
    axis.set_xlabel(f"local time ({begin.tzname()}), from {begin:%Y-%m-%d %H:%M:%S}{by}", fontsize=9)
