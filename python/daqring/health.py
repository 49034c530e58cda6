"""Whether a recording keeps up: figures, and one verdict with its reasons.

The thresholds of the verdict are the constants below; ``python/docs/health.md`` explains them.
"""

from __future__ import annotations

import collections
import dataclasses
import sys
import time
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from daqring.recorder import Recorder

__all__ = ["Health", "HealthWatch"]

Verdict = Literal["GOOD", "WATCH", "BAD"]

#: Fullness of the ring and of the driver's buffer.
FILL_WATCH, FILL_BAD = 0.5, 0.9
#: Seconds that the disk lasts at the wanted rate.
DISK_WATCH, DISK_BAD = 3600.0, 60.0
#: Less than this part of the wanted rate reaches the log.
RATE_WATCH = 0.9
#: A driver's buffer of less than this can be lost to one pause of the system.
BUFFER_WATCH = 0.5
#: Seconds without a sample, besides three blocks.
SILENCE_WATCH = 5.0
#: The actual rate is that of the last seconds, and of four blocks at least.
RATE_WINDOW = 5.0


@dataclasses.dataclass(frozen=True)
class Health:
    """A look at a running recording. Samples are per channel, MB are 10**6 bytes, times in seconds."""

    #: GOOD; WATCH: it keeps up, with less room than there should be; BAD: samples are lost or about to be.
    verdict: Verdict
    #: Why it is not GOOD, the worst first; empty where it is.
    reasons: tuple[str, ...]
    #: When this was, in seconds since 1970 (UTC).
    time: float
    #: Since the start.
    elapsed: float
    #: In the log, and wanted there (``None``: open-ended); with several tasks the sums.
    samples: int
    wanted: int | None
    #: Bytes of samples in the log.
    bytes: int
    #: What the tasks bring, and what reached the log in the last seconds.
    wanted_mb_per_s: float
    actual_mb_per_s: float
    #: How full the fullest ring and driver's buffer are (0 to 1), and for how long the one with the
    #: least room could still take samples.
    ring_fill: float
    driver_fill: float
    ring_margin: float
    driver_margin: float
    #: Samples missing, as far as counted, and whether there are more.
    lost: int
    lost_unknown: bool
    #: Longest time that the log took for a block until now.
    slowest_write: float
    #: Bytes free on the disk above what is kept free, and how long they last; ``None`` without a log.
    disk_free: int | None
    disk_seconds: float | None
    #: The streams: those of :meth:`daqring.Recorder.stats`.
    streams: tuple[dict[str, Any], ...]
    #: The last value of every channel that is known, by ``task/channel``, in its unit.
    values: dict[str, tuple[float, str]] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return dataclasses.asdict(self)


class HealthWatch:
    """Looks at a recorder again and again and judges it."""

    def __init__(self, recorder: Recorder) -> None:
        # Of one block: what is written comes in such portions.
        self._block = max((each.block / each.source.rate for each in recorder._acquisitions), default=0.0)
        self._buffers = min(
            (
                each.buffer.used / each.source.rate
                for each in recorder._acquisitions
                if each.source.finite is None
            ),
            default=None,
        )
        self._wanted = recorder.wanted
        # Such a clock has samples ready whenever it is asked: buffers are full at any speed.
        # Who has not imported the simulator does not run on it.
        sim = sys.modules.get("daqring.sim")
        self._unthrottled = sim is not None and sim.is_installed() and sim.clock() == "unthrottled"
        #: Elapsed and bytes of past looks, over the window.
        self._past: collections.deque[tuple[float, int]] = collections.deque([(0.0, 0)])
        #: Samples at the last look that saw new ones, and when that was.
        self._news = (0, 0.0)

    def look(self, stats: dict[str, Any], values: dict[str, tuple[float, str]] | None = None) -> Health:
        """Judges the figures of :meth:`daqring.Recorder.stats`."""
        elapsed = stats["elapsed"]
        window = max(RATE_WINDOW, 4 * self._block)
        self._past.append((elapsed, stats["bytes"]))
        while len(self._past) > 2 and self._past[1][0] <= elapsed - window:
            self._past.popleft()
        since, before = self._past[0]
        actual = (stats["bytes"] - before) / (elapsed - since) / 1e6 if elapsed > since else 0.0
        samples = stats["samples"]
        if samples != self._news[0]:
            self._news = (samples, elapsed)
        running = any(stream["running"] for stream in stats["streams"])
        silence = elapsed - self._news[1] if running else 0.0
        # A block more may be there that is not whole yet.
        part = actual + stats["wanted_mb_per_s"] * self._block / max(elapsed - since, window)
        slow = running and elapsed >= window and part < RATE_WATCH * stats["wanted_mb_per_s"]
        bad, watch = self._reasons(stats, actual, silence, slow=slow)
        return Health(
            verdict="BAD" if bad else "WATCH" if watch else "GOOD",
            reasons=(*bad, *watch),
            time=time.time(),
            elapsed=elapsed,
            samples=samples,
            wanted=self._wanted,
            bytes=stats["bytes"],
            wanted_mb_per_s=stats["wanted_mb_per_s"],
            actual_mb_per_s=actual,
            ring_fill=stats["ring_fill"],
            driver_fill=stats["driver_fill"],
            ring_margin=stats["ring_margin_s"],
            driver_margin=stats["driver_margin_s"],
            lost=stats["lost"],
            lost_unknown=stats["lost_unknown"],
            slowest_write=stats["slowest_write_s"],
            disk_free=stats["disk_free"],
            disk_seconds=stats["disk_seconds"],
            streams=tuple(stats["streams"]),
            values=values or {},
        )

    def _reasons(
        self, stats: dict[str, Any], actual: float, silence: float, *, slow: bool
    ) -> tuple[list[str], list[str]]:
        """What makes it BAD, and what makes it WATCH."""
        bad: list[str] = []
        watch: list[str] = []
        if stats["lost"]:
            bad.append(f"{stats['lost']:,} samples lost")
        if stats["lost_unknown"]:
            bad.append("an unknown number of samples lost")
        for name, advice in (
            ("ring", "the disk or a stage is too slow"),
            ("driver", "the driver's buffer is read too late"),
        ):
            fill = stats[f"{name}_fill"]
            if fill >= FILL_WATCH and not self._unthrottled:
                (bad if fill >= FILL_BAD else watch).append(f"{name} {fill:.0%} full: {advice}")
        lasts = stats["disk_seconds"]
        if lasts is not None and lasts < DISK_WATCH:
            (bad if lasts < DISK_BAD else watch).append(f"the disk is full in {lasts:,.0f} s")
        silent = silence >= SILENCE_WATCH + 3 * self._block
        if silent:
            watch.append(f"no samples for {silence:,.0f} s: neither clock nor trigger comes")
        elif slow and not self._unthrottled:
            watch.append(f"{actual:,.1f} of {stats['wanted_mb_per_s']:,.1f} MB/s reach the log")
        if self._buffers is not None and self._buffers < BUFFER_WATCH:
            watch.append(f"the driver's buffer holds only {self._buffers:.2f} s")
        return bad, watch
