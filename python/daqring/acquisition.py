"""One task of a recording: what is wanted of it, how it is cut into blocks, and the reader that runs."""

from __future__ import annotations

import dataclasses
import math
import operator
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from daqring import _native
from daqring.errors import TaskError
from daqring.readers import (
    GapTuple,
    Losses,
    NativeReader,
    Outcome,
    Plan,
    PythonReader,
    Reader,
    ReaderChoice,
    TaskGuard,
    choose,
)
from daqring.report import GAP_CAUSES, Gap, StreamReport
from daqring.source import (
    UNEVEN_BUFFER_CODES,
    ChannelInfo,
    DriverBuffer,
    DtypeChoice,
    TaskSource,
    TimesChoice,
)

if TYPE_CHECKING:
    import nidaqmx

__all__ = ["Acquisition", "positive"]

#: A block is this large unless `block_ms` says otherwise, and at least / at most that long.
BLOCK_BYTES = 4 << 20
BLOCK_SECONDS = (0.02, 1.0)
#: Samples of a block at most, where nobody knows how fast they come. One is given away after a second, too.
UNSTEADY_BLOCK = 8192
#: What direct I/O writes without a copy is a multiple of this.
PAGE = 4096
#: The ring holds this much time, within these bounds of memory and slots; of slots there are more than
#: `RING_SLOTS[1]` only where that time needs them.
RING_SECONDS = 2.0
RING_BYTES = (32 << 20, 256 << 20)
RING_SLOTS = (4, 256)
MOST_SLOTS = 8192


class Acquisition:
    """A task on its way into stream `number` of a recording.

    Making one checks everything that can be checked without starting; nothing is changed by it.

    Raises:
        TaskError: The task or an argument cannot be recorded.
    """

    def __init__(
        self,
        number: int,
        task: nidaqmx.Task,
        *,
        seconds: float | None,
        samples: int | None,
        block_ms: float | None,
        read_ms: float | None,
        dtype: DtypeChoice,
        buffer_seconds: float,
        reader: ReaderChoice,
        every: float | None,
        times: TimesChoice,
        linked: bool,
    ) -> None:
        _check_free(task)
        self.number = number
        #: The user's own properties of the group, and of channels by their names.
        self.properties: dict[str, Any] = {}
        self.channel_properties: dict[str, dict[str, Any]] = {}
        if every is not None:
            every = positive("every", every)
        self.source = source = TaskSource(task, dtype, every=every, times=times, linked=linked)
        self.wanted = _wanted(seconds, samples, source)
        self.block = _block_samples(block_ms, source, self.wanted)
        self.read_samples = _read_samples(read_ms, source, self.block)
        self.slots = _slot_count(self.block, source, self.wanted)
        self._buffer_seconds = positive("buffer_seconds", buffer_seconds)
        self._functions, self.reader_reason = choose(reader, source)
        #: The group whose task owns this one's clock or trigger, and the terminal it comes over.
        self.clock_of: str | None = None
        self.clock_via: str | None = None
        #: Whether another task of the recording depends on this one.
        self.leads = False
        self.buffer = DriverBuffer(0, "")
        self.reader: Reader | None = None
        self.outcome: Outcome | None = None
        self.started_at = 0.0
        self._first = 0
        self._start_time = 0
        self._resumed_at = 0
        self._started = False
        self._guard: TaskGuard | None = None
        #: What came of the tasks that this one continues, and where and why the last of them ended.
        self.past: tuple[Outcome, ...] = ()
        self._past_losses = Losses()
        self.waits_for_trigger = source.triggered
        self._resume: tuple[int, int] | None = None
        self._end: int | None = None
        #: Whether another task may continue this one, and what becomes of an overwrite.
        self.keep_open = False
        self.skip_lost = False

    # -- what it is ---------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Of the task and its group."""
        return self.source.name

    @property
    def frame(self) -> int:
        """Bytes of one sample of all channels in a slot."""
        return self.source.frame

    @property
    def bytes_per_second(self) -> float:
        """What the task brings."""
        return self.source.rate * self.frame

    @property
    def reader_kind(self) -> str:
        """Native or python."""
        return "python" if self._functions is None else "native"

    def stream(self) -> dict[str, Any]:
        """The stream as the native module makes it."""
        return {
            "group": self._group(),
            "slot_bytes": self.block * self.frame,
            "slots": self.slots,
        }

    def _group(self) -> dict[str, Any]:
        source = self.source
        properties: dict[str, Any] = {"timing": source.timing}
        if source.steady or source.every is not None:
            properties["rate"] = source.rate
        if self.clock_of is not None:
            properties |= {"clock_of": self.clock_of, "clock_via": self.clock_via}
        return {
            "name": source.name,
            "dt": source.dt,
            "properties": properties | self.properties,
            "channels": [self._channel(channel) for channel in source.channels],
            "times": None if source.times is None else {"name": "time", "from": source.times},
            "records": source.record is not None,
        }

    def _channel(self, channel: ChannelInfo) -> dict[str, Any]:
        properties: dict[str, Any] = {"physical_channel": channel.physical}
        for name, value in (("minimum", channel.minimum), ("maximum", channel.maximum)):
            if value is not None:
                properties[name] = value
        if channel.description:
            properties["description"] = channel.description
        properties |= self.channel_properties.get(channel.name, {})
        lines = None
        if channel.bit is not None:
            lines = [{"name": channel.name, "bit": channel.bit, "properties": properties}]
        return {
            "name": channel.name,
            "dtype": self.source.dtype.name,
            "unit": channel.unit,
            "scale": channel.scale,
            "properties": properties,
            "lines": lines,
        }

    # -- running ------------------------------------------------------------------------------

    @property
    def driver_seconds(self) -> float:
        """For how long the driver's buffer will hold samples, as :meth:`prepare` is going to make it."""
        return self.source.buffer_seconds(self._buffer_seconds)

    def verify(self) -> None:
        """Checks the task right before its start.

        Raises:
            TaskError: Another recorder reads it, or it was changed.
        """
        _check_free(self.source.task)
        self.source.verify()

    def prepare(self) -> None:
        """Raises the driver's buffer where that is due."""
        self.buffer = self.source.prepare_buffer(self._buffer_seconds)
        if self.skip_lost:
            self.source.overwrite_unread()

    def start(self) -> None:
        """Starts the task, unless it runs."""
        self._started = True
        try:
            first, start_time = self.source.start()
        except Exception as error:
            uneven = getattr(error, "error_code", None) in UNEVEN_BUFFER_CODES
            found = self.source.buffer_as_found() if uneven else None
            if found is None:
                raise
            self.buffer = found
            first, start_time = self.source.start()
        if self._resume is not None:
            self._resumed_at = start_time
            return
        self.started_at = time.monotonic()
        self._first, self._start_time = first, start_time
        if self.source.finite is not None and self.wanted is not None:
            # Of a finite task that runs already, some may have been read before.
            self.wanted = min(self.wanted, self.source.finite - self._first)
        self._end = None if self.wanted is None else self._first + self.wanted

    def like(self, old: Acquisition) -> bool:
        """Whether the samples of this task can stand where those of another one stood."""
        return (
            self.source.channels == old.source.channels
            and self.source.dtype == old.source.dtype
            and math.isclose(self.source.rate, old.source.rate)
            and (self.source.kind, self.source.times, self.source.record)
            == (old.source.kind, old.source.times, old.source.record)
            and self.name == old.name
        )

    def continue_from(self, old: Acquisition, cause: int) -> None:
        """Takes the place of a task whose reading has ended, in the same stream."""
        if old.reader is None:
            raise RuntimeError("the task was not being read")
        last = old.reader.outcome()
        if last.final_gap is not None:
            # The gap in front of what comes now covers it.
            gaps = tuple(gap for gap in last.gaps if gap != last.final_gap)
            last = dataclasses.replace(last, gaps=gaps, final_gap=None)
        self.past = (*old.past, last)
        self._past_losses = old._past_losses
        for gap in last.gaps:
            self._past_losses = self._past_losses.plus(gap)
        self._resume = (last.position, cause)
        self.block, self.slots, self.wanted, self._end = old.block, old.slots, old.wanted, old._end
        self.read_samples = min(self.read_samples, self.block)
        self.started_at, self._start_time = old.started_at, old._start_time

    def _gap(self, owner: Acquisition) -> tuple[int, int | None] | None:
        """Where this task begins in the stream, and how many samples are missing in front of it."""
        if self._resume is None:
            return None
        position, _ = self._resume
        source = self.source
        if source.dt is None or source.record is not None or owner.source.triggered:
            if source.record is not None and position % source.record:
                # A record begins with its first sample.
                count = source.record - position % source.record
                return position + count, count
            return position, None
        seconds = (owner._resumed_at - self._start_time) / 1e9
        count = round(seconds * source.rate) - position
        if count <= 0:
            return position, None
        if self._end is not None:
            count = min(count, self._end - position)
        return position + count, count

    def read(self, native: _native.Recording, owner: Acquisition, *, logged: bool) -> None:
        """Begins to read; sample 0 came when the task that owns the clock was started."""
        source = self.source
        first, gap, starts_later = self._first, None, False
        resumed = self._gap(owner)
        if resumed is None or self._resume is None:
            began = self if source.already_running else owner
            self._start_time = began._start_time
            native.set_start_time(self.number, began._start_time)
            # Behind a trigger, the driver's count tells when it came.
            starts_later = began.source.triggered and not began.source.already_running
            starts_later = starts_later and source.dt is not None and source.record is None
        else:
            first, gap = resumed[0], (resumed[1], self._resume[1])
        most = self.read_samples
        if source.finite is None and source.every is None:
            # More than a small buffer holds is never there at once.
            most = min(most, max(1, self.buffer.used // 2))
        plan = Plan(
            stream=self.number,
            first=first,
            wanted=None if self._end is None else max(self._end - first, 0),
            block=self.block,
            most=most,
            # Who owns the clock of others goes on until they have what they need.
            stop_task=not (source.already_running or self.leads),
            clock_notes=logged and source.dt is not None,
            timed=source.timed,
            steady=source.steady,
            every=source.every,
            record=source.record,
            pretrigger=source.pretrigger,
            shift=first if self._resume is not None else 0,
            gap=gap,
            keep_open=self.keep_open,
            skip_lost=self.skip_lost,
            starts_later=starts_later,
        )
        if self._functions is None:
            self.reader = PythonReader(native, source, plan)
        else:
            self.reader = NativeReader(native, source, plan, self._functions)
        self._guard = TaskGuard(source.task, self.reader)

    def ended(self) -> bool:
        """Whether the reading is over."""
        return self.reader is not None and self.reader.wait(0)

    def wait(self, timeout: float | None) -> None:
        """Waits for the end of the reading, and ends a read that does not come back within `timeout`."""
        if self.reader is not None and not self.reader.wait(timeout):
            self.reader.abandon()
            self.source.interrupt()
            self.reader.wait()

    def finish(self) -> Outcome:
        """Leaves the task as it was found, after the end of the reading."""
        if self.reader is None:
            raise RuntimeError("the task is not being read")
        self.free()
        self.source.restore()
        self.outcome = _together((*self.past, self.reader.outcome()))
        return self.outcome

    def acquired(self, outcome: Outcome) -> tuple[int, int]:
        """Index of the first sample of the stream, and that after the last one that was acquired and belongs
        into the log."""
        after = outcome.position
        if outcome.final_gap is not None:
            after = max(after, outcome.final_gap[0] + (outcome.final_gap[1] or 0))
        if outcome.crash is not None or outcome.stop_reason == "error":
            # An end that nobody asked for: all that came until then was to be recorded.
            after = max(after, outcome.reached)
        return self._first, after if self._end is None else min(after, self._end)

    def free(self) -> None:
        """Lets others stop and close the task, and stops it where that was left to us."""
        if self._guard is not None:
            self._guard.lift()
        if self.leads:
            self.source.stop()

    def make_way(self) -> None:
        """Lets another task follow in the stream, after the end of the reading."""
        if self.reader is not None and self.reader.wait(0):
            self.reader.give_back()

    def undo(self) -> None:
        """Takes a start back: whatever was begun is stopped and put back as it was."""
        if self.reader is not None:
            self.reader.abandon()
            self.reader.wait()
        if self._guard is not None:
            self._guard.lift()
        if self._started:
            self.source.stop()
        self.source.restore()

    # -- looking at it ------------------------------------------------------------------------

    def stats(self, counts: dict[str, Any], elapsed: float) -> dict[str, Any]:
        """The stream now, see `Recorder.stats`; `counts` are those of the native module."""
        reader = self.reader
        if reader is None:
            raise RuntimeError("the task is not being read")
        source, buffer = self.source, max(self.buffer.used, 1)
        slots = counts["slots"]
        waiting = counts["committed"] - sum(counts[way] for way in ("written", "gated", "dropped", "failed"))
        backlog = reader.backlog
        losses = (self._past_losses, reader.losses)
        wanted = self.bytes_per_second / 1e6
        return {
            "name": source.name,
            "channels": len(source.channels),
            "rate": source.rate,
            "dtype": source.dtype.name,
            "reader": self.reader_kind,
            "running": not reader.wait(0),
            "wanted": self.wanted,
            "samples": counts["written_samples"],
            "bytes": counts["written_bytes"],
            "gated": counts["gated_samples"],
            "arrived_blocks": counts["committed"],
            "waiting_blocks": waiting,
            "backlog": backlog,
            "wanted_mb_per_s": wanted,
            "actual_mb_per_s": counts["written_bytes"] / elapsed / 1e6 if elapsed > 0 else 0.0,
            "lost": sum(each.samples for each in losses) + counts["dropped_samples"],
            "lost_unknown": any(each.unknown for each in losses),
            "gaps": sum(each.gaps for each in losses) + counts["overruns"],
            "ring_fill": waiting / slots,
            "ring_high_water": counts["high_water"] / slots,
            "ring_margin_s": max(slots - waiting, 0) * self.block / source.rate,
            "driver_fill": backlog / buffer,
            "driver_high_water": reader.backlog_high_water / buffer,
            "driver_margin_s": self._driver_margin(backlog),
        }

    def _driver_margin(self, backlog: int) -> float:
        if self.source.every is not None:
            # Without a buffer there is none that could overflow.
            return self._buffer_seconds
        return max(self.buffer.used - backlog, 0) / self.source.rate

    def report(
        self,
        counts: dict[str, Any],
        gaps: Sequence[GapTuple],
        unstored: int,
        outcome: Outcome,
        *,
        stop_reason: str,
    ) -> StreamReport:
        """What was recorded of the task; `counts` are those of the native module at rest, `gaps` the holes
        that the log tells, `unstored` the samples behind its last one."""
        source = self.source
        duration = outcome.ended_at - self.started_at
        free = counts["slots"] - counts["high_water"]
        error = outcome.crash or outcome.failure
        return StreamReport(
            group=source.name,
            channels=tuple(channel.name for channel in source.channels),
            rate=source.rate,
            requested=self.wanted,
            samples_per_channel=counts["written_samples"],
            samples=counts["written_samples"] * len(source.channels),
            gated=counts["gated_samples"],
            blocks=counts["written"],
            lost=counts["lost"],
            # One behind the last sample that was stored is not in the log.
            lost_unknown=any(count is None for _, count, _ in (*gaps, *outcome.gaps)),
            unstored=unstored,
            gaps=tuple(Gap(first, count, GAP_CAUSES[cause][0]) for first, count, cause in gaps),
            acquired=outcome.acquired,
            bytes=counts["written_bytes"],
            duration=duration,
            mb_per_s=counts["written_bytes"] / duration / 1e6 if duration > 0 else 0.0,
            stop_reason=stop_reason,
            reader=self.reader_kind,
            reader_reason=self.reader_reason,
            reads=outcome.reads,
            short_reads=outcome.short_reads,
            lateness_p50=outcome.lateness[0],
            lateness_p99=outcome.lateness[1],
            lateness_max=outcome.lateness[2],
            dtype=source.dtype.name,
            dtype_reason=source.dtype_reason,
            ring_slots=counts["slots"],
            block_samples=self.block,
            ring_high_water=counts["high_water"],
            ring_margin=free * self.block / source.rate,
            driver_buffer=self.buffer.used,
            driver_buffer_note=self.buffer.note,
            driver_high_water=outcome.backlog_high_water,
            driver_margin=self._driver_margin(outcome.backlog_high_water),
            timing=source.timing,
            clock_of=self.clock_of,
            error=None if error is None else str(error),
        )


def _check_free(task: nidaqmx.Task) -> None:
    if TaskGuard.is_on(task):
        raise TaskError("the task is being recorded already; a task can have one recorder at a time")


def _together(outcomes: tuple[Outcome, ...]) -> Outcome:
    """What came of several readings one after the other: the last one's end, the sums, the worst."""
    *_, last = outcomes
    if len(outcomes) == 1:
        return last
    acquired = [outcome.acquired for outcome in outcomes]
    worst = max(outcomes, key=lambda outcome: outcome.lateness[1]).lateness
    return dataclasses.replace(
        last,
        gaps=tuple(gap for outcome in outcomes for gap in outcome.gaps),
        acquired=None if None in acquired else sum(count or 0 for count in acquired),
        backlog_high_water=max(outcome.backlog_high_water for outcome in outcomes),
        reads=sum(outcome.reads for outcome in outcomes),
        short_reads=sum(outcome.short_reads for outcome in outcomes),
        lateness=(*worst[:2], max(outcome.lateness[2] for outcome in outcomes)),
    )


def positive(name: str, value: float) -> float:
    """A finite number above 0, or a TaskError that says so."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TaskError(f"{name} must be a number, not {value!r}") from None
    if not (math.isfinite(number) and number > 0):
        raise TaskError(f"{name} must be a finite number above 0, not {value!r}")
    return number


def _wanted(seconds: float | None, samples: int | None, source: TaskSource) -> int | None:
    if seconds is not None and samples is not None:
        raise TaskError("give seconds or samples, not both")
    if seconds is not None and source.record is not None and source.finite is None:
        raise TaskError(
            "a task that is triggered again and again has no length in seconds; give samples "
            f"(a record has {source.record:,}), or stop the recording yourself"
        )
    if seconds is not None and not source.steady and source.every is None:
        raise TaskError(
            f"a task with {source.timing} timing has no rate to turn seconds into samples; give samples, "
            "or stop the recording yourself"
        )
    if seconds is not None:
        wanted = max(1, round(positive("seconds", seconds) * source.rate))
    elif samples is not None:
        try:
            # Of 1e6 everybody knows what is meant.
            given: Any = samples
            whole = isinstance(given, float) and given.is_integer()
            wanted = operator.index(int(given) if whole else given)
        except TypeError:
            raise TaskError(f"samples must be a whole number, not {samples!r}") from None
        if wanted < 1:
            raise TaskError(f"samples must be 1 or more, not {wanted}")
    else:
        return source.finite
    if source.finite is not None and wanted > source.finite:
        raise TaskError(
            f"{wanted:,} samples were asked for, but the finite task acquires only {source.finite:,}; "
            "configure more samples, or continuous acquisition"
        )
    return wanted


def _block_samples(block_ms: float | None, source: TaskSource, wanted: int | None) -> int:
    frame = source.frame
    if block_ms is not None:
        samples = positive("block_ms", block_ms) / 1000.0 * source.rate
    elif source.every is None and not source.steady:
        samples = min(UNSTEADY_BLOCK, BLOCK_BYTES / frame)
    else:
        low, high = BLOCK_SECONDS
        samples = min(max(BLOCK_BYTES / frame, low * source.rate), high * source.rate)
        # Whole pages go to the disk straight from the slot; anything else is copied once more.
        page = PAGE // math.gcd(frame, PAGE)
        if samples > 8 * page:
            samples = samples // page * page
    samples = max(1, round(samples))
    if wanted is not None:
        samples = min(samples, wanted)
    if samples * frame > RING_BYTES[1] // RING_SLOTS[0]:
        if block_ms is not None:
            raise TaskError(
                f"a block of {block_ms} ms is {samples * frame / 1e6:,.0f} MB, more than the largest of "
                f"{RING_BYTES[1] / RING_SLOTS[0] / 1e6:,.0f} MB; choose a smaller block_ms"
            )
        samples = RING_BYTES[1] // RING_SLOTS[0] // frame
    if source.record is not None:
        samples = min(samples, source.record)
    return int(samples)


def _read_samples(read_ms: float | None, source: TaskSource, block: int) -> int:
    """Samples of one read of the driver, at most."""
    if read_ms is None:
        return block
    if source.every is not None:
        raise TaskError("read_ms is for tasks with a clock: on demand, each read gives one sample")
    samples = positive("read_ms", read_ms) / 1000.0 * source.rate
    return int(min(max(1, round(min(samples, block))), block))


def _slot_count(block: int, source: TaskSource, wanted: int | None) -> int:
    size = block * source.frame
    memory = min(max(source.rate * source.frame * RING_SECONDS, RING_BYTES[0]), RING_BYTES[1])
    most = min(max(math.ceil(RING_SECONDS * source.rate / block), RING_SLOTS[1]), MOST_SLOTS)
    if wanted is not None:
        # Not more than the whole recording fills.
        most = min(most, math.ceil(wanted / block) + 1)
    return int(max(min(memory // size, most), RING_SLOTS[0]))
