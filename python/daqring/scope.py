"""A look at a recording on a graphical display, by the extra ``daqring[scope]`` (PyQtGraph).

It reads the log: of one that is finished, and of one that is being recorded, of which it follows the
newest samples. It shows an envelope, the least and greatest value of each column of the screen.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import daqring
from daqring.errors import DaqringError

if TYPE_CHECKING:
    from daqring.tdms import LogChannel

__all__ = ["COLUMNS", "Scope", "envelope_of", "show"]

#: What tells Qt on Linux where to show a window, or that it is not to.
DISPLAYS = {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}
#: Columns of the envelope.
COLUMNS = 1000
#: Samples of each column that are read at most: a long recording is looked at in samples of it.
PER_COLUMN = 2000
#: Milliseconds between two looks at a log that grows.
PERIOD_MS = 500


def envelope_of(
    channel: LogChannel, seconds: float | None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Times (s since the channel's first sample), least and greatest values of its newest `seconds`.

    ``None``: of all. Of a column of more than 2,000 samples only its first 2,000 are looked at.
    """
    total = len(channel)
    dt = channel.dt or 1.0
    count = total if seconds is None else min(total, max(1, round(seconds / dt)))
    first = total - count
    if not count:
        empty = np.empty(0)
        return empty, empty, empty
    edges = np.unique(np.linspace(first, total, min(COLUMNS, count) + 1).astype(np.int64))
    low, high = np.empty(len(edges) - 1), np.empty(len(edges) - 1)
    if edges[-1] - edges[0] <= COLUMNS * PER_COLUMN:
        values = channel[int(edges[0]) : int(edges[-1])]
        starts = edges[:-1] - edges[0]
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    else:
        for number, begin in enumerate(edges[:-1]):
            part = channel[int(begin) : int(min(edges[number + 1], begin + PER_COLUMN))]
            low[number], high[number] = part.min(), part.max()
    return edges[:-1] * dt, low, high


class Scope:
    """The window: a plot for every unit of the log, a curve for every channel. Needs a Qt application."""

    def __init__(self, path: str | os.PathLike[str], *, seconds: float | None = None) -> None:
        import pyqtgraph
        from pyqtgraph.Qt import QtCore

        self._path = path
        self._seconds = seconds
        self._pens = pyqtgraph
        self.window = pyqtgraph.GraphicsLayoutWidget(title=f"daqring scope: {os.fspath(path)}")
        self.window.resize(1100, 700)
        self._plots: dict[str, Any] = {}
        #: Curves of least and greatest values by group and channel.
        self.curves: dict[tuple[str, str], tuple[Any, Any]] = {}
        self.look()
        self._timer = QtCore.QTimer()
        self._timer.timeout.connect(self.look)
        self._timer.start(PERIOD_MS)

    def look(self) -> None:
        """Reads the newest samples and draws them."""
        # A log that is just being written or rotated comes back at the next look.
        with contextlib.suppress(DaqringError, OSError):
            log = daqring.open(self._path)
            for group in log.groups.values():
                for channel in group.channels:
                    if channel.dt and np.issubdtype(channel.dtype, np.number):
                        self._draw(group.name, channel)

    def _draw(self, group: str, channel: LogChannel) -> None:
        times, low, high = envelope_of(channel, self._seconds)
        key = (group, channel.name)
        if key not in self.curves:
            if not len(times):
                return
            self.curves[key] = self._curves(f"{group}/{channel.name}", channel.unit)
        for curve, values in zip(self.curves[key], (low, high), strict=True):
            curve.setData(times, values)

    def _curves(self, name: str, unit: str) -> tuple[Any, Any]:
        plot = self._plots.get(unit)
        if plot is None:
            plot = self._plots[unit] = self.window.addPlot(row=len(self._plots), col=0)
            plot.addLegend()
            plot.showGrid(x=True, y=True, alpha=0.3)
            plot.setLabel("left", unit or "value")
            plot.setLabel("bottom", "seconds since the first sample")
        colour = self._pens.intColor(5 * len(self.curves) % 12, hues=12)
        low = plot.plot(pen=colour, name=name)
        high = plot.plot(pen=colour)
        plot.addItem(self._pens.FillBetweenItem(low, high, brush=(*colour.getRgb()[:3], 80)))
        return low, high

    def close(self) -> None:
        """Closes the window."""
        self._timer.stop()
        self.window.close()


def show(path: str | os.PathLike[str], *, seconds: float | None = None, picture: str | None = None) -> None:
    """Opens the window and returns when it is closed; or writes what it shows into a PNG file.

    Raises:
        ImportError: PyQtGraph or Qt is not installed.
        ValueError: The picture is no PNG.
        OSError, LogFormatError: The log cannot be read.
    """
    import pyqtgraph

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
