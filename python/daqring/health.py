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
#: Seconds, besides a block, in which the log takes nothing of what waits for it.
STALL_WATCH = 2.0
#: A value that is older than this, besides three blocks, is told to be old.
STALE_AFTER = 3.0
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
    #: How old (s) those of the values are that are no longer renewed: the task waits, failed or ended.
    stale: dict[str, float] = dataclasses.field(default_factory=dict)
    #: How often the tasks were made anew after a failure, and whether that is being tried now.
    restarts: int = 0
    restarting: bool = False
    #: Samples that stages kept from the log on purpose, such as those between the records of a trigger.
    gated: int = 0
    #: Records of each trigger so far, by the name of its stage; and bytes of what stages put into the log.
    records: dict[str, int] = dataclasses.field(default_factory=dict)
    stage_bytes: int = 0

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return dataclasses.asdict(self)


class _Flow:
    """What one stream did at past looks: whether samples come, and whether the log takes them."""

    def __init__(self, block: float) -> None:
        #: Seconds of a block: samples come to the log in such portions.
        self.block = block
        self._seen: tuple[int, int] = (0, 0)
        self._taken = 0
        self._came_at = self._took_at = 0.0

    def look(self, stream: dict[str, Any], elapsed: float) -> tuple[float, float]:
        """Seconds without a new sample, and seconds in which the log took nothing of what waits."""
        seen = (stream["arrived_blocks"], stream["backlog"])
        taken = stream["arrived_blocks"] - stream["waiting_blocks"]
        if seen != self._seen or not stream["running"]:
            self._seen, self._came_at = seen, elapsed
        if taken != self._taken or not stream["waiting_blocks"]:
            self._taken, self._took_at = taken, elapsed
        return elapsed - self._came_at, elapsed - self._took_at


class HealthWatch:
    """Looks at a recorder again and again and judges it."""

    def __init__(self, recorder: Recorder) -> None:
        self._flows = [_Flow(each.block / each.source.rate) for each in recorder._acquisitions]
        self._block = max((flow.block for flow in self._flows), default=0.0)
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
        #: Elapsed, bytes in the log, and these with what was kept from it on purpose, of past looks.
        self._past: collections.deque[tuple[float, float, float]] = collections.deque([(0.0, 0.0, 0.0)])

    def look(
        self,
        stats: dict[str, Any],
        values: dict[str, tuple[float, str]] | None = None,
        ages: dict[str, float] | None = None,
    ) -> Health:
        """Judges the figures of :meth:`daqring.Recorder.stats`; `ages` are those of the `values`, in s."""
        elapsed = stats["elapsed"]
        window = max(RATE_WINDOW, 4 * self._block)
        gated = sum(
            stream["gated"] * stream["wanted_mb_per_s"] * 1e6 / stream["rate"] for stream in stats["streams"]
        )
        self._past.append((elapsed, stats["bytes"], stats["bytes"] + gated))
        while len(self._past) > 2 and self._past[1][0] <= elapsed - window:
            self._past.popleft()
        since, logged, taken = self._past[0]
        span = elapsed - since
        actual = (stats["bytes"] - logged) / span / 1e6 if span > 0 else 0.0
        part = (stats["bytes"] + gated - taken) / span / 1e6 if span > 0 else 0.0
        running = any(stream["running"] for stream in stats["streams"])
        # A block more may be there that is not whole yet.
        part += stats["wanted_mb_per_s"] * self._block / max(span, window)
        slow = running and elapsed >= window and part < RATE_WATCH * stats["wanted_mb_per_s"]
        bad, watch = self._reasons(stats, actual, slow=slow)
        old = STALE_AFTER + 3 * self._block
        return Health(
            verdict="BAD" if bad else "WATCH" if watch else "GOOD",
            reasons=(*bad, *watch),
            time=time.time(),
            elapsed=elapsed,
            samples=stats["samples"],
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
            stale={name: age for name, age in (ages or {}).items() if age > old or stats["restarting"]},
            restarts=stats["restarts"],
            restarting=stats["restarting"],
            gated=stats["gated"],
            records={
                made["name"]: made["records"] for made in stats["derived"] if made["records"] is not None
            },
            stage_bytes=sum(made["written_bytes"] for made in stats["derived"]),
        )

    def _reasons(self, stats: dict[str, Any], actual: float, *, slow: bool) -> tuple[list[str], list[str]]:
        """What makes it BAD, and what makes it WATCH."""
        bad: list[str] = []
        watch: list[str] = []
        if stats["failure"] is not None:
            bad.append(stats["failure"])
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
        quiet = self._quiet(stats)
        watch += quiet
        if slow and not quiet and not self._unthrottled:
            watch.append(f"{actual:,.1f} of {stats['wanted_mb_per_s']:,.1f} MB/s reach the log")
        if self._buffers is not None and self._buffers < BUFFER_WATCH:
            watch.append(f"the driver's buffer holds only {self._buffers:.2f} s")
        return bad, watch

    def _quiet(self, stats: dict[str, Any]) -> list[str]:
        """Streams in which nothing moves."""
        told: list[str] = []
        several = len(stats["streams"]) > 1
        for flow, stream in zip(self._flows, stats["streams"], strict=True):
            silence, stall = flow.look(stream, stats["elapsed"])
            of = f" of {stream['name']}" if several else ""
            if stall >= STALL_WATCH + flow.block:
                told.append(
                    f"the log has taken nothing{of} for {stall:,.0f} s: the disk does not answer, "
                    "or a stage does not end"
                )
            elif silence >= SILENCE_WATCH + 3 * flow.block:
                told.append(f"no samples{of} for {silence:,.0f} s: neither clock nor trigger comes")
        return told
