"""A look at a recording on a graphical display, by the extra ``daqring[scope]`` (PyQtGraph).

It reads the log: of one that is finished, and of one that is being recorded, of which it follows the
newest samples, from file to file where the recording rotates. It shows an envelope, the least and greatest
value of each column of the screen; where the log has one (the stages Envelope and Statistics), that is read
in the place of the samples.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import daqring
from daqring.errors import DaqringError
from daqring.monitor import HISTORY_GROUP

if TYPE_CHECKING:
    from daqring.tdms import LogChannel

__all__ = ["COLUMNS", "Scope", "envelope_of", "files_of", "show"]

#: What tells Qt on Linux where to show a window, or that it is not to.
DISPLAYS = {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}
#: Columns of the envelope.
COLUMNS = 1000
#: Samples of each column that are read at most: a long recording is looked at in samples of it.
PER_COLUMN = 2000
#: And of all channels together, at each look.
PER_LOOK = 8_000_000
#: Up to so many channels have a plot each; more share those of their units.
STRIPS = 8
#: Of a recording that rotates the last files are looked at, so many at most.
FILES = 4
#: Milliseconds between two looks at a log that grows, at least; and at least so many times what a look takes.
PERIOD_MS = 500
PAUSE = 4
#: Samples less than this many columns are read, whatever envelope there is.
COARSE = 4


def files_of(path: str | os.PathLike[str]) -> list[Path]:
    """The files that a recording was given the name `path` for, the newest last.

    With ``{index}`` or ``{time}`` in it, or without where it rotates, they are called otherwise.
    """
    path = Path(path)
    if {"{index}", "{time}"} & set(re.findall(r"{\w+}", path.name)):
        pattern = re.escape(path.name)
        for word, fits in (("index", r"\d{4,}"), ("time", r"\d{8}T\d{6}Z")):
            pattern = pattern.replace(re.escape("{" + word + "}"), fits)
    else:
        pattern = re.escape(path.stem) + r"(_\d{4,})?" + re.escape(path.suffix)
    found = []
    with contextlib.suppress(OSError):
        for file in path.parent.iterdir():
            if re.fullmatch(pattern, file.name):
                # One that was just removed is none.
                with contextlib.suppress(OSError):
                    found.append((file.stat().st_mtime_ns, file.name, file))
    return [file for *_, file in sorted(found)]


def envelope_of(
    channel: LogChannel, seconds: float | None, per_column: int | None = None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Times (s since the channel's first sample), least and greatest values of its newest `seconds`.

    ``None``: of all. Of a column of more than `per_column` (2,000) samples only the first ones are looked at.
    """
    most = PER_COLUMN if per_column is None else per_column
    total = len(channel)
    dt = channel.dt or 1.0
    count = total if seconds is None else min(total, max(1, round(seconds / dt)))
    first = total - count
    if not count:
        empty = np.empty(0)
        return empty, empty, empty
    edges = np.unique(np.linspace(first, total, min(COLUMNS, count) + 1).astype(np.int64))
    low, high = np.empty(len(edges) - 1), np.empty(len(edges) - 1)
    if edges[-1] - edges[0] <= COLUMNS * most:
        values = channel[int(edges[0]) : int(edges[-1])]
        starts = edges[:-1] - edges[0]
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    else:
        for number, begin in enumerate(edges[:-1]):
            part = channel[int(begin) : int(min(edges[number + 1], begin + most))]
            low[number], high[number] = part.min(), part.max()
    return edges[:-1] * dt, low, high


def _envelopes(log: Any, group: str, channel: LogChannel) -> tuple[LogChannel, LogChannel] | None:
    """The finest channels of least and greatest values that a stage has put out of a channel."""
    found = None
    for other in log.groups.values():
        low, high = f"{channel.name} min", f"{channel.name} max"
        # Stages of several tasks have the task's name before their own.
        if other.name == group or not {low, high} <= {each.name for each in other.channels}:
            continue
        pair = (other[low], other[high])
        if pair[0].dt and pair[0].unit == channel.unit and (found is None or pair[0].dt < found[0].dt):
            found = pair
    return found


class Scope:
    """The window: a plot for every channel, or for every unit where there are many. Needs a Qt application.

    With `seconds` it shows the newest ones, the newest sample at 0, and goes on from file to file.
    """

    def __init__(self, path: str | os.PathLike[str], *, seconds: float | None = None) -> None:
        import pyqtgraph
        from pyqtgraph.Qt import QtCore

        self._path = Path(path)
        self._seconds = seconds
        self._pens = pyqtgraph
        self.window = pyqtgraph.GraphicsLayoutWidget(title=f"daqring scope: {os.fspath(path)}")
        self.window.resize(1100, 700)
        self._plots: dict[str, Any] = {}
        #: Curves of least and greatest values by group and channel.
        self.curves: dict[tuple[str, str], tuple[Any, Any]] = {}
        #: The files that are shown, and whether the newest is finished.
        self.files: list[Path] = []
        self.finished = False
        self._timer = QtCore.QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.look)
        self.look()

    def _open(self) -> Any:
        """The log as it is now: of a recording that rotates, its last files."""
        files = files_of(self._path) if self._seconds is not None else [self._path]
        if self._seconds is None or len(files) < 2:
            self.files = files or [self._path]
            return daqring.open(self.files[-1])
        try:
            self.files = files[-FILES:]
            return daqring.open(self.files)
        except (DaqringError, ValueError):
            # Of another recording, or removed by now; or the newest has no samples yet.
            with contextlib.suppress(DaqringError):
                self.files = files[-1:]
                return daqring.open(files[-1])
            self.files = files[-2:-1]
            return daqring.open(files[-2])

    def look(self) -> None:
        """Reads the newest samples and draws them."""
        began = time.monotonic()
        # A log that is just being written or rotated comes back at the next look.
        with contextlib.suppress(DaqringError, OSError, ValueError):
            log = self._open()
            shown = [
                (group, channel)
                for group in log.groups.values()
                if group.name != HISTORY_GROUP
                for channel in group.channels
                if channel.dt and np.issubdtype(channel.dtype, np.number)
            ]
            # Of what triggers recorded, in which there are holes, the newest record alone is of one time.
            last = {record.stream: record for record in log.records} if self._seconds is not None else {}
            newest = None
            for group, channel in shown:
                record = last.get(group.stream)
                seconds = self._seconds if record is None else min(self._seconds, record.samples * channel.dt)
                self._draw(
                    *(log, group.name, channel, PER_LOOK // (COLUMNS * len(shown)), seconds),
                    strips=len(shown) <= STRIPS,
                )
                begin = channel.t0 if record is None else record.t0
                if begin is not None and len(channel):
                    length = channel.dt * (len(channel) if record is None else record.samples)
                    end = begin.astype("datetime64[ns]").astype(np.int64) / 1e9 + length
                    newest = end if newest is None else max(newest, end)
            self.finished = log.finished
            self._tell(newest, len(log.records) if last else None)
        took = (time.monotonic() - began) * 1000
        if not self.finished or self._seconds is not None:
            self._timer.start(int(max(PERIOD_MS, PAUSE * took)))

    def _tell(self, newest: float | None, records: int | None) -> None:
        """What is shown, and how late it is, as the title of the window; `newest` in s since 1970."""
        title = f"daqring scope: {self.files[-1].name}"
        if records is not None:
            title += f", {records:,} record{'' if records == 1 else 's'}"
        if self.finished:
            title += ", ended"
        elif newest is not None:
            title += f", {max(0.0, time.time() - newest):.1f} s ago"
        else:
            title += ", no samples yet"
        self.window.setWindowTitle(title)

    def _draw(
        self,
        log: Any,
        group: str,
        channel: LogChannel,
        per_column: int,
        newest: float | None,
        *,
        strips: bool = False,
    ) -> None:
        """Draws the `newest` seconds of a channel; ``None``: all."""
        dt = channel.dt or 1.0
        seconds = len(channel) * dt if newest is None else min(newest, len(channel) * dt)
        made = _envelopes(log, group, channel)
        if (
            made is not None
            and made[0].dt is not None
            and seconds / dt > COLUMNS * COARSE
            and made[0].dt * COLUMNS <= COARSE * seconds
        ):
            times, low, _ = envelope_of(made[0], newest, per_column)
            _, _, high = envelope_of(made[1], newest, per_column)
            count = min(len(low), len(high))
            times, low, high = times[:count], low[:count], high[:count]
        else:
            times, low, high = envelope_of(channel, newest, per_column)
        key = (group, channel.name)
        if key not in self.curves:
            if not len(times):
                return
            self.curves[key] = self._curves(f"{group}/{channel.name}", channel.unit, strips=strips)
        if self._seconds is not None and len(times):
            times = times - times[-1]
        for curve, values in zip(self.curves[key], (low, high), strict=True):
            curve.setData(times, values)

    def _curves(self, name: str, unit: str, *, strips: bool) -> tuple[Any, Any]:
        """Two curves and what is between them: in a plot of their own, or in that of their unit."""
        place = name if strips else unit
        plot = self._plots.get(place)
        if plot is None:
            plot = self._plots[place] = self.window.addPlot(row=len(self._plots), col=0)
            plot.showGrid(x=True, y=True, alpha=0.3)
            # Scales of all plots are equally wide, so that the times stand below each other.
            plot.getAxis("left").setWidth(70)
            plot.getAxis("bottom").enableAutoSIPrefix(False)
            if strips:
                plot.setTitle(f"{name} ({unit})" if unit else name, size="9pt", color="w")
            else:
                plot.addLegend(brush=(0, 0, 0, 220), labelTextColor="w")
                plot.setLabel("left", unit or "value")
            first, *others = self._plots.values()
            for other in others:
                other.setXLink(first)
            since = "since the first sample" if self._seconds is None else "before the newest sample"
            for each in self._plots.values():
                each.setLabel("bottom", f"seconds {since}" if each is plot else None)
                each.showLabel("bottom", each is plot)
        colour = self._pens.intColor(5 * len(self.curves) % 12, hues=12)
        low = plot.plot(pen=colour, name=None if strips else name)
        high = plot.plot(pen=colour)
        plot.addItem(self._pens.FillBetweenItem(low, high, brush=(*colour.getRgb()[:3], 80)))
        return low, high

    def close(self) -> None:
        """Closes the window."""
        self._timer.stop()
        self.window.close()


def show(
    path: str | os.PathLike[str],
    *,
    seconds: float | None = None,
    picture: str | None = None,
    wait: bool = False,
) -> None:
    """Opens the window and returns when it is closed; or writes what it shows into a PNG file.

    With `wait` there need be nothing of the log yet: it is drawn as soon as there is.

    Raises:
        ImportError: PyQtGraph or Qt is not installed.
        ValueError: The picture is no PNG.
        OSError, LogFormatError: The log cannot be read.
    """
    import pyqtgraph

    if not wait and (seconds is None or not files_of(path)):
        daqring.open(path)
    if picture is not None:
        if not picture.lower().endswith(".png"):
            raise ValueError(f"{picture}: the picture's name must end with .png")
        if not Path(picture).absolute().parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), picture)
    if sys.platform.startswith("linux") and not (os.environ.keys() & DISPLAYS):
        # Qt ends the process where it finds no display.
        if picture is None:
            raise OSError("there is no display to open a window on; write a picture with --picture FILE.png")
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    application = pyqtgraph.mkQApp("daqring scope")
    scope = Scope(path, seconds=seconds)
    try:
        scope.window.show()
        if picture is None:
            application.exec()
        else:
            application.processEvents()
            if not scope.window.grab().save(picture):
                raise OSError(f"{picture} cannot be written; its name must end with .png")
    finally:
        scope.close()
