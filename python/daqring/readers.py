"""The two readers of a task: a native thread, and a Python thread for where that cannot be.

Both keep one law: every sample that the driver delivers goes into the ring; a read position that
somebody else moved is told as a gap; a stop ends with what the driver holds at that moment; the
first error of the driver that is no time-out ends the reading, in the driver's words.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
import weakref
from collections import Counter
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from daqring import _native
from daqring.errors import DriverError, RecordingError, TaskError
from daqring.source import (
    NOT_RUNNING_CODE,
    OVERFLOW_CODES,
    OVERWRITE_CODES,
    PAIRS,
    TIMEOUT_CODE,
    NativeUnavailable,
    ReadFailure,
    TaskSource,
)

__all__ = ["GapTuple", "NativeReader", "Outcome", "Plan", "PythonReader", "Reader", "ReaderChoice", "choose"]

ReaderChoice = Literal["auto", "native", "python"]

#: First missing sample, number of missing samples per channel (None: unknown), cause as the log numbers it.
GapTuple = tuple[int, int | None, int]

RING_FULL = "the ring is full, and overflow='fail' was asked for"

#: Longest that a read of the Python reader may wait in the driver; its samples are there when it begins.
READ_TIMEOUT = 2.0

#: A block that is not full so long after it could have been is given away.
FLUSH = 1.0

#: Between two looks for samples that come when they like.
UNSTEADY_PAUSE = 0.002

#: Between two readings of the driver's count and the host's clocks that go into the log.
CLOCK_PERIOD_NS = 10_000_000_000

_OVERWRITE, _OVERFLOW, _OVERRUN, _FOREIGN = 1, 2, 3, 4


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a reader shall read, in samples per channel."""

    #: Number of the stream of the recording that it feeds.
    stream: int
    #: Index of the first sample that will be read.
    first: int
    #: How many; ``None``: until a stop.
    wanted: int | None
    #: Of a block.
    block: int
    #: Of one read, at most.
    most: int
    #: Whether it stops the task at the end.
    stop_task: bool
    #: Whether it tells the log from time to time which sample belongs to which time of the host.
    clock_notes: bool
    #: Whether each sample gets the time at which it was seen: i64 nanoseconds since 1970, in front of
    #: the channels.
    timed: bool = False
    #: Whether samples come at the rate. Else they are taken as they come.
    steady: bool = True
    #: Seconds between two reads on demand; ``None``: the task has a clock.
    every: float | None = None
    #: Samples of a record, where triggers begin records, and how many of them are before the trigger.
    record: int | None = None
    pretrigger: int = 0
    #: What the driver's count of samples lacks, since the stream began.
    shift: int = 0
    #: How many samples are missing in front of the first one, if known, and why.
    gap: tuple[int | None, int] | None = None
    #: Whether another reader may follow.
    keep_open: bool = False
    #: Whether to go on behind what was overwritten.
    skip_lost: bool = False
    #: Whether the first sample comes some time after the start: its time is taken from the driver's count.
    starts_later: bool = False

    @property
    def end(self) -> int | None:
        """Index after the last sample that is wanted."""
        return None if self.wanted is None else self.first + self.wanted


class Losses(NamedTuple):
    """How much was lost."""

    #: Holes.
    gaps: int = 0
    #: Samples per channel in them, as far as counted.
    samples: int = 0
    #: Holes whose size nobody knows.
    unknown: int = 0

    def plus(self, gap: GapTuple) -> Losses:
        """With another hole."""
        return Losses(self.gaps + 1, self.samples + (gap[1] or 0), self.unknown + (gap[1] is None))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of the reading."""

    #: finished, overwrite, device overflow or error; ``None`` where a stop ended it.
    stop_reason: str | None
    #: The driver's error that ended it.
    failure: DriverError | None
    #: A defect of ours that ended it.
    crash: BaseException | None
    #: The losses, in order, and the one of them that neither a block nor the ring tells.
    gaps: tuple[GapTuple, ...]
    final_gap: GapTuple | None
    #: Samples per channel that the driver says it acquired.
    acquired: int | None
    #: Most samples per channel that were seen in the driver's buffer.
    backlog_high_water: int
    reads: int
    short_reads: int
    #: Index after the last sample of the stream that was read, and after the last one that was acquired, as
    #: far as the driver tells.
    position: int
    reached: int
    #: For how long the samples of a read had been waiting when it began: median, 99th percentile, most.
    lateness: tuple[float, float, float]
    #: When the reading ended, by :func:`time.monotonic`.
    ended_at: float


class Reader(Protocol):
    """A running reader."""

    @property
    def backlog(self) -> int:
        """Samples per channel in the driver's buffer when last seen."""

    @property
    def backlog_high_water(self) -> int:
        """The most that were seen there."""

    @property
    def losses(self) -> Losses:
        """What was lost until now."""

    def stop(self) -> None:
        """Asks it to end with what the driver has acquired until now; returns at once."""

    def abandon(self) -> None:
        """Takes an error that ends the reading from now on as brought about."""

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the end; whether it has come."""

    def outcome(self) -> Outcome:
        """What came of it; after the end."""

    def give_back(self) -> None:
        """Lets another reader follow, after the end."""


def choose(choice: ReaderChoice, source: TaskSource) -> tuple[dict[str, int] | None, str]:
    """The functions of the driver for a native reader, or ``None`` and why it has to be the Python one.

    Raises:
        TaskError: The native reader was asked for and cannot be had.
    """
    if choice not in ("auto", "native", "python"):
        raise TaskError(f"reader must be 'auto', 'native' or 'python', not {choice!r}")
    if choice == "python":
        return None, "reader='python' was asked for"
    try:
        if not _native.NATIVE_READER:
            raise NativeUnavailable("the driver's variadic functions cannot be called on this platform")
        return source.native_functions(), ""
    except NativeUnavailable as error:
        if choice == "native":
            raise TaskError(f"reader='native' cannot be had: {error}; use reader='auto'") from error
        return None, str(error)


class NativeReader:
    """Reads in a thread of its own that never needs the interpreter."""

    def __init__(
        self, recording: _native.Recording, source: TaskSource, plan: Plan, functions: dict[str, int]
    ) -> None:
        self._recording, self._stream = recording, plan.stream
        self._reader = _native.Reader(
            recording,
            plan.stream,
            functions,
            {
                "handle": source.handle,
                "dtype": source.dtype.name,
                "channels": len(source.channels),
                "pairs": source.kind in PAIRS,
                "timed": plan.timed,
                "steady": plan.steady,
                "every": plan.every,
                "record": plan.record,
                "pretrigger": plan.pretrigger,
                "shift": plan.shift,
                "gap": plan.gap,
                "keep_open": plan.keep_open,
                "skip_lost": plan.skip_lost,
                "starts_later": plan.starts_later,
                "block": plan.block,
                "most": plan.most,
                "rate": source.rate,
                "position": plan.first,
                "end": plan.end,
                "stop_task": plan.stop_task,
                "monotonic_ns": time.monotonic_ns() if plan.clock_notes else None,
            },
        )

    def give_back(self) -> None:
        self._reader.give_back(self._recording, self._stream)

    def stop(self) -> None:
        self._reader.stop()

    def abandon(self) -> None:
        self._reader.abandon()

    def wait(self, timeout: float | None = None) -> bool:
        return self._reader.wait(timeout)

    @property
    def backlog(self) -> int:
        return int(self._reader.progress()["backlog"])

    @property
    def backlog_high_water(self) -> int:
        return int(self._reader.progress()["backlog_high_water"])

    @property
    def losses(self) -> Losses:
        return Losses(*self._reader.progress()["losses"])

    def outcome(self) -> Outcome:
        ended_at = time.monotonic()
        ended = self._reader.outcome()
        if ended is None:
            raise RuntimeError("the reading goes on")
        progress = self._reader.progress()
        reason, failure, crash = None, None, None
        match ended["ending"]:
            case "finished":
                reason = "finished"
            case "driver":
                reason = _reason_of(ended["code"])
                failure = _driver_error(ended["message"], ended["code"])
            case "panicked":
                reason, crash = "error", RuntimeError(ended["message"])
            case "ring closed":
                reason = "error"
            case "ring full":
                reason, crash = "error", RecordingError(RING_FULL)
        return Outcome(
            stop_reason=reason,
            failure=failure,
            crash=crash,
            gaps=tuple(self._reader.gaps()),
            final_gap=ended["gap"],
            acquired=ended["acquired"],
            backlog_high_water=progress["backlog_high_water"],
            reads=progress["reads"],
            short_reads=progress["short_reads"],
            position=ended["position"],
            reached=ended["reached"],
            lateness=tuple(ended["lateness"]),
            ended_at=ended_at - ended["ended_ago"],
        )


class Filling:
    """A block that several reads fill."""

    def __init__(self, slot: _native.Slot, packed: np.ndarray, block: int, fields: dict[str, Any]) -> None:
        self.slot = slot
        self.samples = 0
        #: What its commit will say.
        self.fields = fields
        self.since = time.monotonic()
        channels = len(packed)
        memory = np.frombuffer(memoryview(slot), packed.dtype, channels * block)
        #: The runs of the channels, as far apart as those of a full block.
        self._runs: np.ndarray | None = memory.reshape(channels, block)
        self.add(packed.copy())

    def add(self, packed: np.ndarray) -> None:
        """A read goes behind what is there."""
        assert self._runs is not None
        count = packed.shape[1]
        self._runs[:, self.samples : self.samples + count] = packed
        self.samples += count

    def pack(self) -> int:
        """Moves the runs together and lets go of the slot's memory; their bytes."""
        assert self._runs is not None
        packed = self._runs[:, : self.samples]
        size = packed.nbytes
        if self.samples < self._runs.shape[1]:
            self._runs.reshape(-1)[: packed.size] = packed.reshape(-1).copy()
        self._runs = None
        return size


class PythonReader:
    """Reads in a Python thread, through nidaqmx's stream readers; needs the GIL between two reads."""

    def __init__(self, recording: _native.Recording, source: TaskSource, plan: Plan) -> None:
        self._recording = recording
        self._source = source
        self._plan = plan
        self._stopping = threading.Event()
        self._done = threading.Event()
        self._abandoned = False
        self._position = plan.first
        self._shift = plan.shift  # what the driver's count of samples lacks, since somebody began it anew
        self._resume = plan.gap  # until it is told
        self._skipped = False
        self._seen = 0  # so many samples had been acquired, by those that waited when last seen
        self._restarted = False  # until it is told
        self._gaps: list[GapTuple] = []
        self._losses = Losses()
        self._final_gap: GapTuple | None = None
        self._dropped: GapTuple | None = None  # since the last block, because the ring was full
        self._stop_reason: str | None = None
        self._failure: DriverError | None = None
        self._crash: BaseException | None = None
        self._acquired: int | None = None
        self._reached = 0
        self._backlog = self._backlog_high_water = 0
        self._reads = self._short_reads = 0
        self._lateness = Lateness()
        self._ended_at = 0.0
        self._record_start: int | None = None
        self._starts_later = plan.starts_later  # until it is told
        # Reads that are shorter than a block are put together.
        self._gathers = plan.most < plan.block and plan.every is None and not plan.timed
        self._filling: Filling | None = None
        self._flush = FLUSH + plan.block / source.rate
        self._next_clock: float = 0 if plan.clock_notes else math.inf
        name = f"daqring-acquire-{plan.stream}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def backlog(self) -> int:
        return self._backlog

    @property
    def backlog_high_water(self) -> int:
        return self._backlog_high_water

    @property
    def losses(self) -> Losses:
        return self._losses

    def give_back(self) -> None:
        """The stream was never closed."""

    def stop(self) -> None:
        self._stopping.set()

    def abandon(self) -> None:
        self._abandoned = True
        self._stopping.set()

    def wait(self, timeout: float | None = None) -> bool:
        if not self._done.wait(timeout):
            return False
        self._thread.join()
        return True

    def outcome(self) -> Outcome:
        return Outcome(
            stop_reason=self._stop_reason,
            failure=self._failure,
            crash=self._crash,
            gaps=tuple(self._gaps),
            final_gap=self._final_gap,
            acquired=self._acquired,
            backlog_high_water=self._backlog_high_water,
            reads=self._reads,
            short_reads=self._short_reads,
            position=self._position,
            reached=max(self._position, self._reached),
            lateness=(self._lateness.quantile(0.5), self._lateness.quantile(0.99), self._lateness.most),
            ended_at=self._ended_at,
        )

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._recording.place_reader(self._plan.stream)
            try:
                self._read_all()
            finally:
                self._give_away()
        except BaseException as error:  # a defect of ours must come out at the caller, too
            self._crash = error
        finally:
            if self._resume is not None:
                gap = (self._position - (self._resume[0] or 0), *self._resume)
                self._tell(gap)
                self._final_gap = self._final_gap or gap
            self._acquired = self._source.acquired()
            if self._acquired is not None and self._plan.record is None and self._plan.every is None:
                # Of records, the driver also counts what it keeps for their begin.
                self._reached = self._acquired + self._shift
            if self._plan.stop_task:
                self._source.stop()
            self._ended_at = time.monotonic()
            self._done.set()

    def _read_all(self) -> None:
        source, plan = self._source, self._plan
        channels, itemsize = len(source.channels), source.dtype.itemsize
        end = plan.end
        tick = time.monotonic()
        while end is None or self._position < end:
            count = self._next_read(end)
            if self._skipped:
                timeout = 0.0
            elif plan.every is not None:
                if self._stopping.wait(max(tick - time.monotonic(), 0.0)):
                    break
                timeout, tick = READ_TIMEOUT, self._next_tick(tick, plan.every)
            else:
                try:
                    awaited = self._await_samples(count if plan.steady else 1)
                except ReadFailure as error:
                    self._failed(error.with_traceback(None), end)
                    return
                if awaited is None:
                    # A stop: take what is there now, and no more.
                    try:
                        backlog = source.ask_backlog()
                    except ReadFailure as error:
                        self._failed(error.with_traceback(None), end)
                        return
                    self._see_backlog(backlog)
                    left = backlog if end is None else min(backlog, end - self._position)
                    end = self._position + left
                    if self._position >= end:
                        break
                    awaited, count = READ_TIMEOUT, self._next_read(end)
                elif not plan.steady:
                    count = min(count, max(self._backlog, 1))
                timeout = awaited
            filling = self._filling
            memory: memoryview
            if filling is not None:
                slot, memory = None, memoryview(bytearray(channels * itemsize * count))
            else:
                try:
                    slot = self._reserve()
                except BlockingIOError:
                    if not self._drop(count, timeout, end):
                        return
                    continue
                if slot is None:
                    self._stop_reason = "error"
                    return
                memory = memoryview(slot)
            failure: ReadFailure | None = None
            # Behind the places of the times, where there are such.
            offset = 8 * count if plan.timed else 0
            into = np.frombuffer(memory, source.dtype, channels * count, offset).reshape(channels, count)
            asked = time.time_ns()
            try:
                got = source.read(into, count, timeout)
            except ReadFailure as error:
                failure = error.with_traceback(None)
                got = error.got
            now = time.time_ns()
            size = channels * itemsize * got
            if plan.timed and got:
                seen = (asked + now) // 2 if plan.every is not None else now
                memory[8 * got : 8 * got + size] = memory[offset : offset + size].tobytes()
                np.frombuffer(memory, np.int64, got)[:] = seen
                size += 8 * got
            self._reads += 1
            self._short_reads += got < count
            if slot is None:
                if got and not self._append(into.reshape(-1)[: channels * got].reshape(channels, got), now):
                    return
                del into, memory
            else:
                del into, memory
                if got:
                    self._keep_read(slot, got, size, now)
                else:
                    slot.abort()
            self._give_away_if_due()
            if failure is not None and failure.code != TIMEOUT_CODE:
                if plan.skip_lost and failure.code in OVERWRITE_CODES and source.read_newest(plan.most):
                    self._skipped = True
                    continue
                self._failed(failure, end)
                return
            if self._skipped:
                self._skipped = False
                if not source.read_on():
                    return
            if self._abandoned:
                return
            self._note_clock()
        if plan.end is not None and self._position >= plan.end:
            self._stop_reason = "finished"

    def _append(self, packed: np.ndarray, now: int) -> bool:
        """A read goes behind what the block has; behind a gap it begins a new one. Whether the reading
        goes on."""
        filling, got = self._filling, packed.shape[1]
        after = self._source.position() if not self._plan.pretrigger else None
        follows = after is None or (not self._restarted and after + self._shift - got == self._position)
        if filling is not None and follows:
            filling.add(packed)
            filling.fields["host_time_ns"] = now
            self._position += got
            return True
        self._give_away()
        try:
            slot = self._reserve()
        except BlockingIOError:
            self._drop_read(got)
            return True
        if slot is None:
            # It was read, and nobody takes it.
            self._position += got
            self._stop_reason = "error"
            return False
        memory = memoryview(slot)
        memory[: packed.nbytes] = packed.tobytes()
        del memory
        self._keep_read(slot, got, packed.nbytes, now)
        return True

    def _keep_read(self, slot: _native.Slot, got: int, size: int, now: int) -> None:
        """Publishes a read, or lets it be the begin of a block."""
        said = self._told(slot, got, size, now)
        if said is None:
            return
        size, fields = said
        if not self._gathers:
            slot.commit(size, **fields)
            return
        dtype, channels = self._source.dtype, len(self._source.channels)
        packed = np.frombuffer(memoryview(slot), dtype, size // dtype.itemsize).reshape(channels, -1)
        self._filling = Filling(slot, packed, self._plan.block, fields)

    def _give_away(self) -> None:
        """Hands over the block that is being filled, if there is one."""
        filling, self._filling = self._filling, None
        if filling is not None:
            size = filling.pack()
            filling.slot.commit(size, **filling.fields | {"samples": filling.samples})

    def _give_away_if_due(self) -> None:
        filling, record = self._filling, self._plan.record
        if filling is None:
            return
        if record is not None and self._position % record == 0:
            self._record_start = None
            self._give_away()
        elif filling.samples == self._plan.block or time.monotonic() - filling.since > self._flush:
            self._give_away()

    def _drop(self, count: int, timeout: float, end: int | None) -> bool:
        """Reads what there is no slot for; whether the reading goes on."""
        failure: ReadFailure | None = None
        into = np.empty((len(self._source.channels), count), self._source.dtype)
        try:
            got = self._source.read(into, count, timeout)
        except ReadFailure as error:
            failure = error.with_traceback(None)
            got = error.got
        self._reads += 1
        self._short_reads += got < count
        if got:
            self._drop_read(got)
        if failure is not None and failure.code != TIMEOUT_CODE:
            self._failed(failure, end)
            return False
        return not self._abandoned

    def _drop_read(self, got: int) -> None:
        """What was just read is lost: the next block tells of it, or the end does."""
        self._recording.add_lost(self._plan.stream, got)
        if self._dropped is None:
            self._dropped = (self._position, got, _OVERRUN)
            self._tell(self._dropped)
        else:
            first, before, cause = self._dropped
            self._dropped = self._gaps[-1] = (first, (before or 0) + got, cause)
            self._losses = self._losses._replace(samples=self._losses.samples + got)
        self._position += got

    def _tell(self, gap: GapTuple) -> None:
        self._gaps.append(gap)
        self._losses = self._losses.plus(gap)

    def _next_read(self, end: int | None) -> int:
        """How much to read next, at most: not beyond the block, the end, nor a record."""
        if self._plan.every is not None:
            return 1
        count = self._plan.most
        if self._filling is not None:
            count = min(count, self._plan.block - self._filling.samples)
        if self._plan.record is not None:
            count = min(count, self._plan.record - self._position % self._plan.record)
        return count if end is None else min(count, end - self._position)

    @staticmethod
    def _next_tick(tick: float, every: float) -> float:
        """When to read next; what was missed is not made up for."""
        now = time.monotonic()
        return tick + every * max(1, math.ceil((now - tick) / every))

    def _note_clock(self) -> None:
        """Puts the driver's count and the clocks into the log, read one right after the other."""
        monotonic = time.monotonic_ns()
        if monotonic >= self._next_clock and (backlog := self._source.backlog()) is not None:
            self._next_clock = monotonic + CLOCK_PERIOD_NS
            self._recording.note_clock(self._plan.stream, self._position + backlog, monotonic, time.time_ns())

    def _await_samples(self, count: int) -> float | None:
        """Waits until a read of `count` samples will not block; its time-out, or None for a stop.

        A stop must not have to wait for samples, and a read that is broken off in the driver would
        lose what it had. Where the samples are long overdue (a trigger, an error that only a read
        tells), it is left to the driver to say so, by a read that does not wait.
        """
        source = self._source
        expected = count / source.rate if self._plan.steady else 0.0
        overdue = time.monotonic() + 2 * expected + 1.0
        while not self._stopping.is_set():
            try:
                backlog = source.ask_backlog()
            except ReadFailure as error:
                if error.code == NOT_RUNNING_CODE:
                    raise  # somebody else has stopped the task, and a read would start it anew
                return 0.0
            self._see_backlog(backlog)
            self._backlog = backlog
            self._backlog_high_water = max(self._backlog_high_water, backlog)
            self._note_record(backlog)
            self._note_start(backlog)
            if backlog >= count:
                if self._plan.steady:
                    self._lateness.note((backlog - count) / source.rate)
                return READ_TIMEOUT
            if time.monotonic() > overdue:
                return 0.0
            pause = (count - backlog) / source.rate if self._plan.steady else UNSTEADY_PAUSE
            self._stopping.wait(min(max(pause, 0.0005), 0.1 if self._plan.record is None else 0.005))
        return None

    def _see_backlog(self, backlog: int) -> None:
        """Samples that wait do not vanish: somebody else reads, or the task was restarted, which the read
        position alone does not tell where it is the same again."""
        seen = self._position + backlog
        if seen >= self._seen:
            self._seen = seen
        elif (
            self._plan.record is None
            and (acquired := self._source.acquired()) is not None
            and acquired + self._shift < self._seen
        ):
            self._restarted = True
            self._seen = seen

    def _note_start(self, seen: int) -> None:
        """The time of the first sample, once there are samples: so many behind the position."""
        if self._starts_later and seen:
            self._starts_later = False
            ago = round((self._position + seen) / self._source.rate * 1e9)
            self._recording.later_start(self._plan.stream, time.time_ns() - ago)

    def _note_record(self, backlog: int) -> None:
        """The time at which a record began, when its first samples are seen."""
        record = self._plan.record
        if record is not None and backlog and self._record_start is None:
            seen = min(self._position % record + backlog, record)
            self._record_start = time.time_ns() - round(seen / self._source.rate * 1e9)

    def _reserve(self) -> _native.Slot | None:
        """An empty slot; waits for as long as the log needs. None when the recording failed."""
        while (slot := self._recording.reserve(self._plan.stream, 0.25)) is None:
            if self._recording.failure() is not None:
                return None
        return slot

    def _told(self, slot: _native.Slot, got: int, size: int, now: int) -> tuple[int, dict[str, Any]] | None:
        """What the commit of a read says, with the driver's word on which samples these were, and the
        bytes of those that are wanted; `None`: none are."""
        plan = self._plan
        self._note_start(got)
        checked = plan.every is None and not plan.pretrigger
        after = self._source.position() if checked else None
        first = self._position if after is None else after + self._shift - got
        lost = first - self._position
        restarted, self._restarted = self._restarted, False
        record = None
        if plan.record is not None:
            start = now if self._record_start is None else self._record_start
            record = (first // plan.record, start, plan.pretrigger)
            if (first + got) % plan.record == 0:
                self._record_start = None
        why = _OVERWRITE if self._skipped else _FOREIGN
        if lost > 0 and plan.end is not None and first + got > plan.end:
            kept = max(plan.end - first, 0)
            if not kept:
                # The hole reaches to the end.
                slot.abort()
                self._final_gap = (self._position, plan.end - self._position, why)
                self._tell(self._final_gap)
                self._position = plan.end
                return None
            size = self._keep(slot, got, kept)
            got = kept
        count: int | None = 0
        if self._resume is not None:
            resumed, why = self._resume
            self._resume = None
            count = resumed if not lost and not restarted else None
            if lost < 0:
                self._shift -= lost
                first = self._position
            self._tell((first - (count or 0), count, why))
        elif lost or restarted:
            # Somebody else moved the read position. Where that was back, nobody knows how much time has
            # passed: the samples count as the next ones behind a hole of unknown size.
            count = lost if lost > 0 else None
            if count is None:
                self._shift -= lost
                first = self._position
            self._tell((self._position, count, why))
        else:
            why = 0
        self._position = first + got
        self._dropped = None
        return size, {
            "samples": got,
            "first_sample": first,
            "lost_before": _native.LOST_UNKNOWN if count is None else count,
            "gap": why,
            "host_time_ns": now,
            "record": record,
        }

    def _keep(self, slot: _native.Slot, got: int, kept: int) -> int:
        """Takes the samples behind the first few out of what lies packed in a slot; its size then."""
        dtype, channels = self._source.dtype, len(self._source.channels)
        memory = memoryview(slot)
        head = 8 * got if self._plan.timed else 0
        runs = np.frombuffer(memory, dtype, channels * got, head).reshape(channels, got)
        packed = runs[:, :kept].tobytes()
        start = 8 * kept if self._plan.timed else 0
        memory[start : start + len(packed)] = packed
        return start + len(packed)

    def _failed(self, failure: ReadFailure, end: int | None) -> None:
        """The driver ended the reading: find out what is missing."""
        if self._abandoned:
            return
        self._stop_reason = _reason_of(failure.code)
        self._failure = _driver_error(str(failure), failure.code)
        if self._stop_reason == "overwrite":
            acquired = self._source.acquired()
            limit = math.inf if end is None else end
            lost = None if acquired is None else int(min(acquired + self._shift, limit)) - self._position
            if lost is not None and lost <= 0:
                lost = None
            self._final_gap = (self._position, lost, _OVERWRITE)
        elif self._stop_reason == "device overflow":
            self._final_gap = (self._position, None, _OVERFLOW)
        if self._final_gap is not None:
            self._tell(self._final_gap)


def _driver_error(words: str, code: int) -> DriverError:
    if code == NOT_RUNNING_CODE:
        words += "; the task was stopped by others than the recorder"
    return DriverError(words, code)


def _reason_of(code: int) -> str:
    if code in OVERWRITE_CODES:
        return "overwrite"
    return "device overflow" if code in OVERFLOW_CODES else "error"


class Lateness:
    """A histogram of seconds, right within 9 percent: eight buckets per doubling of microseconds."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.most = 0.0

    def note(self, seconds: float) -> None:
        """Counts one."""
        self._buckets[round(math.log2(seconds * 1e6 + 1.0) * 8)] += 1
        self.most = max(self.most, seconds)

    def quantile(self, share: float) -> float:
        """The seconds that this share (0 to 1) did not exceed; 0 where nothing was counted."""
        rank = max(math.ceil(share * self._buckets.total()), 1)
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return float(min((2 ** (bucket / 8) - 1) * 1e-6, self.most))
        return 0.0


class TaskGuard:
    """Keeps a task from being stopped or closed by others while a reader reads it.

    nidaqmx's tasks have slots and so no room for a method of their own; they are given a class
    derived from theirs for as long as it lasts.
    """

    def __init__(self, task: Any, reader: Reader) -> None:
        self._task = task
        # Without the guard of a recorder whose reading has ended and which is not closed yet.
        self._class = getattr(type(task), "_daqring_class", type(task))
        # Who forgets a recorder must be able to close the task.
        alive = weakref.ref(reader)

        def guarded(name: str) -> Any:
            original = getattr(self._class, name)

            def method(task: Any, *args: Any, **options: Any) -> Any:
                reader = alive()
                if reader is not None and not reader.wait(0):
                    raise TaskError(
                        f"task.{name}() was called while the task is being recorded; "
                        "stop or close the recorder first"
                    )
                return original(task, *args, **options)

            method.__doc__ = original.__doc__
            return method

        names = [name for name in ("close", "clear", "stop") if hasattr(self._class, name)]
        space: dict[str, Any] = {name: guarded(name) for name in names}
        space |= {"__slots__": (), "_daqring_class": self._class, "_daqring_reader": alive}
        self._guarded = type(self._class.__name__, (self._class,), space)
        task.__class__ = self._guarded

    @staticmethod
    def is_on(task: Any) -> bool:
        """Whether a reader reads the task now."""
        alive = getattr(type(task), "_daqring_reader", None)
        reader = None if alive is None else alive()
        return reader is not None and not reader.wait(0)

    def lift(self) -> None:
        """Makes the task what it was."""
        if type(self._task) is self._guarded:
            self._task.__class__ = self._class
