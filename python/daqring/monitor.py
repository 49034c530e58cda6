"""The thread that looks at a running recording twice a second: health, status file, history in the log."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from daqring.health import Health, HealthWatch
from daqring.stages import each
from daqring.status import PERIOD, Publisher
from daqring.taps import Tap

if TYPE_CHECKING:
    from daqring.recorder import Recorder

__all__ = ["HISTORY_GROUP", "Monitor", "verdicts"]

logger = logging.getLogger("daqring")
#: Of the verdicts, and of what a recording ended with. A program that has not set up logging does not see
#: them on stderr: it is warned of losses, and :meth:`daqring.Recorder.health` tells the rest.
verdicts = logging.getLogger("daqring.health")
verdicts.addHandler(logging.NullHandler())

#: The group of the log that holds the history, and its channels with their units.
HISTORY_GROUP = "health"
HISTORY = (
    ("verdict", ""),
    ("ring_margin", "s"),
    ("driver_margin", "s"),
    ("actual_mb_per_s", "MB/s"),
    ("lost", ""),
    ("slowest_write", "s"),
)
VERDICTS = {"GOOD": 0, "WATCH": 1, "BAD": 2}
#: Seconds between two lines of the logging on a verdict that stays as it is.
LOGGED_EVERY = 3600.0
#: Values are put into the log in portions of this many, and at the end.
PORTION = 30


def triggers_of(recorder: Recorder) -> list[str]:
    """The names of the recorder's triggers."""
    stages = (stage for planned in recorder._stages for stage in each(planned))
    return [stage["name"] for stage in stages if stage["kind"] == "trigger"]


def _so_far(health: Health) -> str:
    """What there is after some hours, on one line; how full buffers were is the most since the start."""
    ring, driver = (
        max(stream[f"{name}_high_water"] for stream in health.streams) for name in ("ring", "driver")
    )
    records = "".join(f", {count:,} records of {name}" for name, count in health.records.items())
    unknown = " and an unknown number more" if health.lost_unknown else ""
    restarts = f", {health.restarts:,} restarts" if health.restarts else ""
    disk = "" if health.disk_seconds is None else f", disk lasts {health.disk_seconds / 3600:,.1f} h"
    return (
        f"{health.elapsed / 3600:,.1f} h ({health.samples:,} samples{records}, lost {health.lost:,}{unknown}"
        f"{restarts}; ring {ring:.0%} and driver {driver:.0%} full at most, "
        f"slowest write {health.slowest_write * 1e3:,.0f} ms{disk})"
    )


class Monitor:
    """Looks after one running recorder until :meth:`end`; :meth:`withdraw` takes its status away.

    It holds no reference to the recorder between two looks: who forgets a recorder frees its tasks.
    """

    def __init__(self, recorder: Recorder, name: str, *, history: float | None) -> None:
        self._watched = weakref.ref(recorder)
        self._health_watch = HealthWatch(recorder)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._history = history
        self._rows: list[tuple[float, ...]] = []
        self._rows_from = 0.0
        self._next_row = 0.0 if history is None else history
        self._next_line = 0.0
        self.health: Health | None = None
        self.publisher: Publisher | None = None
        try:
            path = "" if recorder._path is None else str(recorder._path.absolute())
            self.publisher = Publisher(name, path, triggers_of(recorder))
        except OSError as error:
            logger.warning("'daqring top' will not see this recording: %s", error)
        self._values: dict[str, tuple[float, str]] = {}
        #: When each of them came.
        self._came: dict[str, float] = {}
        self._taps = self._tapped(recorder)
        self._thread = threading.Thread(target=self._run, name="daqring-monitor", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str | None:
        """Under which ``daqring top`` shows the recorder; ``None`` where it does not."""
        return None if self.publisher is None else self.publisher.name

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            recorder = self._watched()
            if recorder is None:
                self.withdraw()
                return
            try:
                self.look(recorder)
            except RuntimeError:
                # It has just ended.
                return
            if self.publisher is not None and self.publisher.stop_asked():
                logger.info("%s was asked to stop", self.publisher.name)
                recorder._end("stopped")
            self._answer(recorder)
            del recorder

    def _answer(self, recorder: Recorder) -> None:
        """Does what other programs ask for: records of a trigger, notes."""
        for request in [] if self.publisher is None else self.publisher.asked():
            try:
                if "capture" in request:
                    recorder.capture(request["capture"])
                if "annotate" in request:
                    recorder._running().annotate(str(request["annotate"]), int(request["time_ns"]))
            except (RuntimeError, ValueError, TypeError, KeyError) as error:
                logger.warning("%s cannot do what it was asked for (%s): %s", recorder, request, error)

    @staticmethod
    def _tapped(recorder: Recorder) -> list[Tap]:
        taps = []
        for acquisition in recorder._acquisitions:
            # A stream whose blocks are no arrays of numbers has no last value to show.
            with contextlib.suppress(ValueError, RuntimeError):
                taps.append(recorder._glimpse(acquisition.name))
        return taps

    def _last_values(self) -> tuple[dict[str, tuple[float, str]], dict[str, float]]:
        """The last values of the channels, and how old they are."""
        now = time.monotonic()
        for tap in self._taps:
            block = tap.poll()
            if block is None or not block.samples:
                continue
            shape = tap.shape
            last = shape.scaled(block.data[:, -1:])[:, 0]
            for channel, unit, value in zip(shape.channels, shape.units, last, strict=True):
                self._values[f"{shape.name}/{channel}"] = (float(value), unit)
                self._came[f"{shape.name}/{channel}"] = now
        return dict(self._values), {name: now - came for name, came in self._came.items()}

    def look(self, recorder: Recorder) -> Health:
        """Looks now, tells it to viewers and notes it for the log.

        Raises:
            RuntimeError: The recorder is not running.
        """
        with self._lock:
            before = self.health
            stats = recorder.stats()
            health = self.health = self._health_watch.look(stats, *self._last_values())
            recorder._look_at_disk(stats)
            if self.publisher is not None:
                self.publisher.publish("running", health.to_dict())
            if before is None or before.verdict != health.verdict:
                self._tell(health, f"{recorder} is {health.verdict}")
            elif health.elapsed >= self._next_line:
                self._tell(health, f"{recorder} is still {health.verdict} after {_so_far(health)}")
            self._note(recorder, health)
            return health

    def _tell(self, health: Health, text: str) -> None:
        """Puts a line into the logging, with the reasons of the verdict."""
        self._next_line = health.elapsed + LOGGED_EVERY
        level = logging.INFO if health.verdict == "GOOD" else logging.WARNING
        reasons = f": {'; '.join(health.reasons)}" if health.reasons else ""
        verdicts.log(level, "%s%s", text, reasons)

    # -- the history in the log ---------------------------------------------------------------

    def _note(self, recorder: Recorder, health: Health) -> None:
        if self._history is None or health.elapsed < self._next_row:
            return
        if not self._rows:
            self._rows_from = time.time()
        self._next_row += self._history
        figures: dict[str, Any] = health.to_dict() | {"verdict": VERDICTS[health.verdict]}
        self._rows.append(tuple(float(figures[name]) for name, _ in HISTORY))
        if len(self._rows) >= PORTION:
            self._write(recorder)

    def _write(self, recorder: Recorder) -> None:
        if not self._rows or self._history is None:
            return
        columns = list(zip(*self._rows, strict=True))
        self._rows = []
        try:
            recorder._write_results(
                HISTORY_GROUP,
                columns,
                t0=self._rows_from,
                dt=self._history,
                unit="",
                channels=tuple(name for name, _ in HISTORY),
            )
        except (RuntimeError, ValueError, OSError) as error:
            logger.warning("the history of the health is not in the log: %s", error)
            self._history = None

    # -- the end ------------------------------------------------------------------------------

    def end(self) -> None:
        """Ends the looking; the last rows go into the log. Before the log is finished. Idempotent."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        recorder = self._watched()
        with self._lock:
            if recorder is not None:
                self._write(recorder)
            for tap in self._taps:
                tap.close()
            self._taps = []
            if self.publisher is not None and self.health is not None:
                self.publisher.publish("finishing", self.health.to_dict())

    def withdraw(self) -> None:
        """Takes the status away: the recording is over."""
        if self.publisher is not None:
            with contextlib.suppress(OSError):
                self.publisher.withdraw()
