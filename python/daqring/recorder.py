"""Recording a task into a log: :func:`record` and :class:`Recorder`."""

from __future__ import annotations

import datetime
import errno
import math
import operator
import os
import platform
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from daqring import _native
from daqring.errors import DriverError, RecordingError, SamplesLostWarning, TaskError
from daqring.log_options import LogOptions
from daqring.progress import ProgressBar
from daqring.readers import NativeReader, Outcome, Plan, PythonReader, Reader, ReaderChoice, TaskGuard, choose
from daqring.report import GAP_CAUSES, Gap, Report
from daqring.source import DtypeChoice, TaskSource, driver_words

if TYPE_CHECKING:
    import nidaqmx

__all__ = ["Recorder", "record"]

Property = bool | int | float | str | datetime.datetime

#: A block is this large unless `block_ms` says otherwise, and at least / at most that long.
BLOCK_BYTES = 4 << 20
BLOCK_SECONDS = (0.02, 1.0)
#: What direct I/O writes without a copy is a multiple of this.
PAGE = 4096
#: The ring holds this much time, within these bounds of memory and slots.
RING_SECONDS = 2.0
RING_BYTES = (32 << 20, 256 << 20)
RING_SLOTS = (4, 256)
#: A read comes back within this time; what takes longer is broken off.
STUCK = 5.0


def record(
    task: nidaqmx.Task,
    path: str | os.PathLike[str],
    *,
    seconds: float | None = None,
    samples: int | None = None,
    block_ms: float | None = None,
    overwrite: bool = False,
    dtype: DtypeChoice = "auto",
    buffer_seconds: float = 4.0,
    workers: int = 1,
    reader: ReaderChoice = "auto",
    properties: Mapping[str, Property] | None = None,
    log: LogOptions | None = None,
    progress: bool | None = None,
) -> Report:
    """Records a configured analog-input task into a TDMS file and says what came of it.

    Args:
        task: A :class:`nidaqmx.Task` with analog input channels and a sample clock, continuous or
            finite. It is left as it was found: a task that was not running is stopped at the end,
            one that ran goes on.
        path: The file to make.
        seconds: How long to record, turned into samples by the rate that the driver coerced.
        samples: How many samples per channel to record; instead of `seconds`. With neither, a finite
            task is recorded whole and a continuous one until Ctrl-C.
        block_ms: Length of a block (one read of the driver, one TDMS segment) in milliseconds.
            Default: 4 MiB, but between 20 ms and 1 s.
        overwrite: Replace an existing file.
        dtype: ``"auto"`` records integer codes with the device's scaling where that says everything,
            else float64 in the channels' units; ``"raw"`` and ``"float64"`` force it.
        buffer_seconds: The driver's buffer is raised to this much for the time of the recording,
            unless it was set by hand.
        workers: Threads that compute checksums.
        reader: ``"native"`` reads the driver from a thread that never needs the interpreter, through
            the library that nidaqmx loaded; ``"python"`` reads by nidaqmx in a Python thread.
            ``"auto"``: native where it can be had; the report says which it was, and why.
        properties: Properties of the file, such as ``{"operator": "Ada"}``.
        log: How it is stored: syncs, segments, rotation of files, free space; see :class:`LogOptions`.
        progress: Show a progress bar on stderr; by default only on a terminal.

    Returns:
        The :class:`Report`. Ctrl-C ends the recording early but in order, with the report
        (``stop_reason == "interrupted"``).

    Raises:
        TaskError: The task or an argument cannot be recorded; nothing was started.
        FileExistsError, OSError: The file cannot be made.
        DriverError: The driver stopped the recording by an error that is not a loss of samples
            (device removed, ...). ``error.report`` says what was recorded.
        RecordingError: The disk or a stage failed. ``error.report`` says what was recorded.

    Warns:
        SamplesLostWarning: Samples are missing; the report and the file say which.
    """
    recorder = Recorder(
        task,
        path,
        seconds=seconds,
        samples=samples,
        block_ms=block_ms,
        overwrite=overwrite,
        dtype=dtype,
        buffer_seconds=buffer_seconds,
        workers=workers,
        reader=reader,
        properties=properties,
        log=log,
    )
    bar = ProgressBar(enabled=progress)
    recorder.start()
    try:
        while not recorder.wait(bar.interval):
            bar.show(recorder)
    except KeyboardInterrupt:
        recorder._end("interrupted")
    finally:
        try:
            recorder._finish()
        finally:
            bar.clear()
    return recorder._result(stacklevel=3)


class Recorder:
    """Records a task in the background, from :meth:`start` to :meth:`close`.

    As a context manager it starts on entry and closes on exit::

        with daqring.Recorder(task, "run.tdms") as recorder:
            do_the_experiment()
        print(recorder.report)

    The arguments are those of :func:`record`. While it runs, nobody else may read from the task: what
    others read is missing here, and told as a gap. ``task.stop()`` and ``task.close()`` raise
    :class:`TaskError` until the reading has ended.
    """

    def __init__(
        self,
        task: nidaqmx.Task,
        path: str | os.PathLike[str],
        *,
        seconds: float | None = None,
        samples: int | None = None,
        block_ms: float | None = None,
        overwrite: bool = False,
        dtype: DtypeChoice = "auto",
        buffer_seconds: float = 4.0,
        workers: int = 1,
        reader: ReaderChoice = "auto",
        properties: Mapping[str, Property] | None = None,
        log: LogOptions | None = None,
    ) -> None:
        if _native.DEBUG_BUILD:
            warnings.warn("this is a debug build of daqring: it is slow", RuntimeWarning, stacklevel=2)
        self._path = Path(path)
        if self._path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder, not a file to be made", str(self._path))
        self._overwrite = bool(overwrite)
        self._source = TaskSource(task, dtype)
        self._wanted = _wanted(seconds, samples, self._source)
        self._block = _block_samples(block_ms, self._source, self._wanted)
        self._slots = _slot_count(self._block, self._source)
        self._buffer_seconds = _positive("buffer_seconds", buffer_seconds)
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise TaskError(f"workers must be a whole number of 1 or more, not {workers!r}")
        self._workers = workers
        self._functions, self._reader_reason = choose(reader, self._source)
        self._properties = dict(properties or {})
        second = self._source.rate * len(self._source.channels) * self._source.dtype.itemsize
        # Blocks of a chosen length stay segments of their own.
        self._log = (log or LogOptions()).to_native(second if block_ms is None else math.inf)
        self._results: dict[str, tuple[str, tuple[str, ...]]] = {}

        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._native: _native.Recording | None = None
        self._reader: Reader | None = None
        self._guard: TaskGuard | None = None
        self._outcome: Outcome | None = None
        self._asked_to_stop = False
        self._started_at = 0.0
        self._report: Report | None = None
        self._error: Exception | None = None
        self._told = False

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Creates the file, starts the threads and then the task.

        Raises:
            RuntimeError: It was started before.
            FileExistsError, OSError: The file cannot be made.
            DriverError: The driver refuses to start the task; no file is left behind.
        """
        self._check_process()
        if self._native is not None or self._report is not None:
            raise RuntimeError("a Recorder records once; make a new one for another recording")
        source = self._source
        with driver_words():
            source.verify()
        native = _native.Recording(
            self._path,
            [
                {
                    "group": self._group(),
                    "slot_bytes": self._block * len(source.channels) * source.dtype.itemsize,
                    "slots": self._slots,
                    "workers": self._workers,
                }
            ],
            overwrite=self._overwrite,
            properties=self._description(),
            log=self._log,
        )
        try:
            with driver_words():
                self._buffer = source.prepare_buffer(self._buffer_seconds)
                self._started_at = time.monotonic()
                first, start_time = source.start()
            if source.finite is not None and self._wanted is not None:
                # Of a finite task that runs already, some may have been read before.
                self._wanted = min(self._wanted, source.finite - first)
            native.set_start_time(0, start_time)
            most = self._block
            if source.finite is None:
                # More than a small buffer holds is never there at once.
                most = min(most, max(1, self._buffer.used // 2))
            plan = Plan(first=first, wanted=self._wanted, block=self._block, most=most)
            reader: Reader
            if self._functions is None:
                reader = PythonReader(native, source, plan)
            else:
                reader = NativeReader(native, source, plan, self._functions)
        except BaseException:
            if self._started_at:
                source.stop()
            source.restore()
            for path in native.finish([], {})["files"] or ():
                Path(path).unlink(missing_ok=True)
            raise
        self._native, self._reader = native, reader
        self._guard = TaskGuard(source.task, reader)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until all samples are read or the recording failed; True if so, False after `timeout` s."""
        self._check_process()
        if self._report is not None:
            return True
        if self._reader is None:
            raise RuntimeError("the recorder is not running")
        return self._reader.wait(timeout)

    def stop(self) -> None:
        """Asks the recording to end with what the driver has acquired until now. Returns at once."""
        self._check_process()
        self._end("stopped")

    def close(self) -> Report:
        """Stops, writes out what was read, finishes the file, and gives the report. Idempotent.

        Raises:
            DriverError, RecordingError: As :func:`record`; once.

        Warns:
            SamplesLostWarning: Once, where samples are missing.
        """
        self._finish()
        return self._result(stacklevel=3)

    def __enter__(self) -> Recorder:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._end("interrupted")
        self._finish()
        if error is None:
            self._result(stacklevel=3)
        elif self._error is not None and not self._told:
            self._told = True
            error.add_note(f"The recording failed, too: {self._error}")

    # -- looking at it ------------------------------------------------------------------------

    @property
    def report(self) -> Report:
        """The report, once the recorder is closed.

        Raises:
            RuntimeError: It is still running or never ran.
        """
        if self._report is None:
            raise RuntimeError("there is no report before the recorder is closed")
        return self._report

    @property
    def wanted(self) -> int | None:
        """Samples per channel to be recorded, ``None`` if open-ended."""
        return self._wanted

    @property
    def rate(self) -> float:
        """Sample rate per channel in Hz, as the driver coerced it."""
        return self._source.rate

    def stats(self) -> dict[str, Any]:
        """A look at the running recording.

        ``samples``: samples per channel in the log; ``bytes``: of samples in the log; ``lost``: per
        channel, as known by now; ``elapsed``: seconds since the start; ``ring_fill`` and
        ``driver_fill``: between 0 and 1, as last seen.
        """
        self._check_process()
        native = self._native
        reader = self._reader
        counts = None if native is None else native.stats()
        if counts is None or reader is None:
            raise RuntimeError("the recorder is not running")
        stream = counts["streams"][0]
        waiting = stream["committed"] - stream["written"] - stream["failed"]
        return {
            "samples": stream["written_samples"],
            "bytes": stream["written_bytes"],
            "lost": sum(count or 0 for _, count, _ in reader.gaps),
            "elapsed": time.monotonic() - self._started_at,
            "ring_fill": waiting / stream["slots"],
            "driver_fill": reader.backlog / max(self._buffer.used, 1),
        }

    # -- adding to it -------------------------------------------------------------------------

    def annotate(self, text: str) -> None:
        """Notes an event, such as ``"valve opened"``, with the time of the call. From any thread.

        ``daqring.open(path).events`` and ``daqring info`` tell it.

        Raises:
            RuntimeError: The recorder is not running.
        """
        self._running().annotate(str(text), time.time_ns())

    def write(
        self,
        name: str,
        values: npt.ArrayLike,
        *,
        t0: float | np.datetime64 | datetime.datetime,
        dt: float,
        unit: str = "",
        channels: Sequence[str] = ("value",),
    ) -> None:
        """Writes results of your own processing into the log, as a group `name`. From any thread.

        Further calls append; the group's type, channels and times are those of the first call.

        Args:
            name: The group; not that of the task.
            values: One-dimensional (samples), or channels x samples; any real numeric dtype.
            t0: Time of the first value: seconds since 1970 (UTC), or a date and time.
            dt: Seconds between two values.
            unit: Unit of the values.
            channels: Names of the channels, one for each row of `values`.

        Raises:
            ValueError: The arguments do not fit together, or not to the first call.
            RuntimeError: The recorder is not running.
        """
        array = np.asarray(values)
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise ValueError(f"values must be real numbers, not {array.dtype}")
        array = np.ascontiguousarray(np.atleast_2d(array), array.dtype.newbyteorder("<"))
        if array.ndim != 2 or array.shape[0] != len(channels) or not array.shape[1]:
            raise ValueError(
                f"values of the shape {array.shape} do not fit {len(channels)} channels x 1 or more samples"
            )
        if not name or name in (self._source.name, "daqring"):
            raise ValueError(f"results cannot be written as group {name!r}; choose another name")
        kind = (array.dtype.name, tuple(channels))
        if self._results.setdefault(name, kind) != kind:
            raise ValueError(f"group {name!r} was begun with other channels or another dtype")
        group = {
            "name": name,
            "dt": _positive("dt", dt),
            "properties": {},
            "channels": [
                {"name": channel, "dtype": array.dtype.name, "unit": unit, "scale": None, "properties": {}}
                for channel in channels
            ],
        }
        self._running().write_values(group, _unix_ns(t0), array.shape[1], array.tobytes())

    def _running(self) -> _native.Recording:
        self._check_process()
        if self._native is None or self._report is not None:
            raise RuntimeError("the recorder is not running")
        return self._native

    # -- the end ------------------------------------------------------------------------------

    def _end(self, reason: str) -> None:
        with self._lock:
            reader = self._reader
            if reader is None:
                return
            if not self._asked_to_stop:
                self._asked_to_stop = True
                self._stop_reason = reason
            reader.stop()

    def _finish(self) -> None:
        self._check_process()
        self._end("stopped")
        with self._lock:
            native, reader = self._native, self._reader
            if native is None or reader is None or self._report is not None:
                return
            # A read comes back within its timeout; this is for a driver that does not keep it.
            if not reader.wait(STUCK):
                reader.abandon()
                self._source.interrupt()
                reader.wait()
            if self._guard is not None:
                self._guard.lift()
            self._source.restore()
            outcome = self._outcome = reader.outcome()
            if outcome.stop_reason is not None:
                self._stop_reason = outcome.stop_reason
            final = [] if outcome.final_gap is None else [(0, *outcome.final_gap)]
            counts = native.finish(final, self._final_properties(outcome))
            self._report = self._make_report(counts, outcome)
            self._error = self._pick_error(counts, outcome)

    def _pick_error(self, counts: dict[str, Any], outcome: Outcome) -> Exception | None:
        error: RecordingError | DriverError
        if counts["error"] is not None:
            error = RecordingError(f"the recording stopped: {counts['error']}")
            error.__cause__ = counts["error"]
        elif outcome.crash is not None:
            error = RecordingError(f"the reading thread stopped by an internal error: {outcome.crash!r}")
            error.__cause__ = outcome.crash
        elif not counts["law_holds"]:
            error = RecordingError(f"blocks are missing that nobody accounts for: {counts['streams'][0]}")
        elif outcome.failure is not None and outcome.final_gap is None:
            error = outcome.failure
        else:
            return None
        error.report = self._report
        return error

    def _result(self, stacklevel: int) -> Report:
        """The report; tells an error or a loss once."""
        report = self.report
        if not self._told:
            self._told = True
            if report.samples_lost:
                warnings.warn(_loss_sentence(report), SamplesLostWarning, stacklevel=stacklevel)
            if self._error is not None:
                raise self._error
        return report

    def _make_report(self, counts: dict[str, Any], outcome: Outcome) -> Report:
        source = self._source
        stream = counts["streams"][0]
        if counts["error"] is not None or outcome.crash is not None:
            self._stop_reason = "error"
        gaps = [Gap(first, count, GAP_CAUSES[cause][0]) for first, count, cause in outcome.gaps]
        error = counts["error"] or outcome.crash or outcome.failure
        duration = outcome.ended_at - self._started_at
        free = stream["slots"] - stream["high_water"]
        return Report(
            files=tuple(map(str, counts["files"] or (self._path,))),
            group=source.name,
            channels=tuple(channel.name for channel in source.channels),
            rate=source.rate,
            requested=self._wanted,
            samples_per_channel=stream["written_samples"],
            samples=stream["written_samples"] * len(source.channels),
            blocks=stream["written"],
            lost=sum(gap.count or 0 for gap in gaps) + stream["failed_samples"] + stream["dropped_samples"],
            # Where blocks went that no counter knows, nobody knows either.
            lost_unknown=any(gap.count is None for gap in gaps) or not counts["law_holds"],
            gaps=tuple(gaps),
            acquired=outcome.acquired,
            bytes=stream["written_bytes"],
            file_bytes=counts["file_bytes"] or 0,
            duration=duration,
            mb_per_s=stream["written_bytes"] / duration / 1e6 if duration > 0 else 0.0,
            stop_reason=self._stop_reason,
            reader="python" if self._functions is None else "native",
            reader_reason=self._reader_reason,
            reads=outcome.reads,
            short_reads=outcome.short_reads,
            lateness_p50=outcome.lateness[0],
            lateness_p99=outcome.lateness[1],
            lateness_max=outcome.lateness[2],
            dtype=source.dtype.name,
            dtype_reason=source.dtype_reason,
            io=counts["io"] or "no",
            ring_slots=stream["slots"],
            block_samples=self._block,
            ring_high_water=stream["high_water"],
            ring_margin=free * self._block / source.rate,
            driver_buffer=self._buffer.used,
            driver_buffer_note=self._buffer.note,
            driver_high_water=outcome.backlog_high_water,
            driver_margin=max(self._buffer.used - outcome.backlog_high_water, 0) / source.rate,
            slowest_write=counts["slowest_write_ns"] / 1e9,
            error=None if error is None else str(error),
        )

    # -- what goes into the file --------------------------------------------------------------

    def _group(self) -> dict[str, Any]:
        source = self._source
        return {
            "name": source.name,
            "dt": 1.0 / source.rate,
            "properties": {"rate": source.rate},
            "channels": [
                {
                    "name": channel.name,
                    "dtype": source.dtype.name,
                    "unit": channel.unit,
                    "scale": channel.scale,
                    "properties": {
                        "physical_channel": channel.physical,
                        "minimum": channel.minimum,
                        "maximum": channel.maximum,
                        **({"description": channel.description} if channel.description else {}),
                    },
                }
                for channel in source.channels
            ],
        }

    def _description(self) -> dict[str, Property]:
        return {
            **self._properties,
            "daqring.version": _native.__version__,
            "daqring.host": platform.node(),
            "daqring.platform": platform.platform(),
            "daqring.python": sys.version.split()[0],
        }

    def _final_properties(self, outcome: Outcome) -> dict[str, Property]:
        known = sum(count or 0 for _, count, _ in outcome.gaps)
        return {
            "daqring.stop_reason": self._stop_reason,
            "daqring.reader": "python" if self._functions is None else "native",
            "daqring.lost": known,
            "daqring.lost_unknown": any(count is None for _, count, _ in outcome.gaps),
            **({} if self._wanted is None else {"daqring.requested": self._wanted}),
            **({} if outcome.acquired is None else {"daqring.acquired": outcome.acquired}),
        }

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise RuntimeError("a Recorder does not survive a fork; make it in the process that uses it")


def _unix_ns(moment: float | np.datetime64 | datetime.datetime) -> int:
    if isinstance(moment, datetime.datetime):
        return round(moment.timestamp() * 1e6) * 1000
    if isinstance(moment, np.datetime64):
        return int(moment.astype("datetime64[ns]").astype(np.int64))
    return round(float(moment) * 1e9)


def _positive(name: str, value: float) -> float:
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
    if seconds is not None:
        wanted = max(1, round(_positive("seconds", seconds) * source.rate))
    elif samples is not None:
        try:
            wanted = operator.index(samples)
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
    frame = len(source.channels) * source.dtype.itemsize
    if block_ms is not None:
        samples = _positive("block_ms", block_ms) / 1000.0 * source.rate
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
    return int(samples)


def _slot_count(block: int, source: TaskSource) -> int:
    size = block * len(source.channels) * source.dtype.itemsize
    rate = source.rate * len(source.channels) * source.dtype.itemsize
    memory = min(max(rate * RING_SECONDS, RING_BYTES[0]), RING_BYTES[1])
    return int(min(max(memory // size, RING_SLOTS[0]), RING_SLOTS[1]))


def _loss_sentence(report: Report) -> str:
    parts = "; ".join(str(gap) for gap in report.gaps) or f"{report.lost:,} samples per channel"
    causes = {gap.cause for gap in report.gaps}
    advice = {
        "overwrite": " Raise buffer_seconds, or keep other Python code from holding the interpreter.",
        "device overflow": " Lower the rate, or give the device a faster bus.",
        "foreign read": " Read from the task nowhere else while it is recorded.",
    }
    return f"samples were lost: {parts}." + "".join(advice.get(cause, "") for cause in sorted(causes))
