"""Recording tasks into a log: :func:`record` and :class:`Recorder`."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import errno
import itertools
import logging
import math
import os
import platform
import re
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, overload

import numpy as np
import numpy.typing as npt

from daqring import _native, unclosed
from daqring.acquisition import Acquisition, positive
from daqring.errors import (
    DaqringError,
    DiskLowWarning,
    DriverError,
    RecordingError,
    SamplesLostWarning,
    TaskError,
)
from daqring.health import Health
from daqring.log_options import LogOptions
from daqring.log_options import _seconds as seconds_in
from daqring.monitor import HISTORY_GROUP, Monitor, verdicts
from daqring.placement import Pin, Priority, placement
from daqring.progress import ProgressBar
from daqring.properties import Properties, Property, is_text, share_out
from daqring.readers import Outcome, ReaderChoice
from daqring.report import Report, combine, gravest, work_of
from daqring.restart import RESTARTS, Restart
from daqring.source import DtypeChoice, TimesChoice, describe, driver_words
from daqring.stages import Stages, StreamInfo, plan, whole
from daqring.stages import names as stage_names
from daqring.start_order import links
from daqring.taps import EnvelopeTap, History, StreamShape, Tap
from daqring.tasks import Tasks, TaskSet
from daqring.watch import Watch

if TYPE_CHECKING:
    import nidaqmx

__all__ = ["Recorder", "record"]

logger = logging.getLogger("daqring")

OnLoss = Literal["stop", "continue"]
Overflow = Literal["wait", "drop_newest", "drop_oldest", "fail"]
#: Signals that ask a process to end: by itself, and because its terminal was closed.
ENDINGS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
#: A read comes back within this time; what takes longer is broken off.
STUCK = 5.0


def record(
    tasks: Tasks,
    path: str | os.PathLike[str] | None,
    *,
    seconds: float | None = None,
    samples: int | None = None,
    block_ms: float | None = None,
    read_ms: float | None = None,
    overwrite: bool = False,
    dtype: DtypeChoice = "auto",
    buffer_seconds: float = 4.0,
    workers: int = 1,
    reader: ReaderChoice = "auto",
    every: float | None = None,
    times: TimesChoice = "auto",
    properties: Properties | None = None,
    log: LogOptions | None = None,
    name: str | None = None,
    history: float | str | None = None,
    stages: Stages = (),
    overflow: Overflow = "wait",
    restart: Restart | None = None,
    on_loss: OnLoss = "stop",
    no_samples: float | None = None,
    pin: Pin | None = None,
    priority: Priority = "normal",
    progress: bool | None = None,
) -> Report:
    """Records configured tasks into a TDMS file and says what came of it.

    Args:
        tasks: A :class:`nidaqmx.Task` with input channels, continuous or finite; a sequence of such
            tasks, on one device or several; or a function without arguments that makes and returns
            them. Each task is read by a thread of its own into a group of the file, named after the
            task, or ``ai``, ``di`` or ``ci`` where the task has no name. Tasks are left as they were
            found: one that was not running is stopped at the end, one that ran goes on; those that a
            function made are closed. Where a task takes its sample clock or its start trigger from
            another one, it is started before that one; else they are started in the order given.
        path: The file to make; ``None``: none.
        seconds: How long to record, turned into samples by the rate that the driver coerced.
        samples: How many samples per channel of each task to record; instead of `seconds`. With
            neither, a finite task is recorded whole and a continuous one until Ctrl-C.
        block_ms: Length of a block in milliseconds: what stages, :func:`daqring.stream` and live views
            get at once. Default: 4 MiB, but between 20 ms and 1 s. In the file a block is a segment, or,
            where many small ones come, a part of one; see ``LogOptions.segment``.
        read_ms: Longest read of the driver in milliseconds. Default: a block. Shorter reads keep the
            driver's buffer emptier; they are put behind one another until the block is full.
        overwrite: Replace an existing file.
        dtype: ``"auto"`` records integer codes with the device's scaling where that says everything,
            else float64 in the channels' units; ``"raw"`` and ``"float64"`` force it.
        buffer_seconds: The driver's buffer is raised to this much for the time of the recording,
            unless it was set by hand.
        workers: Threads that compute checksums and run stages.
        reader: ``"native"`` reads the driver from a thread that never needs the interpreter, through
            the library that nidaqmx loaded; ``"python"`` reads by nidaqmx in a Python thread.
            ``"auto"``: native where it can be had; the report says which it was, and why.
        every: Seconds between two reads of a task without a clock, which is read on demand.
        times: Where the times of the samples come from. ``"auto"``: from the rate, where there is one.
            Tasks on demand, with change detection, implicit timing, or a clock from outside (a PFI line
            that no other task of the recording drives) get a channel ``time`` instead: from the host's
            clock when a sample was seen, or from the measured periods where a counter measures these.
            ``"regular"``: by the rate all the same. ``"host"``: from the host's clock.
        properties: Properties of the file, such as ``{"operator": "Ada"}``. A mapping under the name of a
            task, or ``task/channel``, has those of its group or channel:
            ``{"rig": {"fixture": 3}, "rig/Dev1/ai0": {"sensor": "K-12"}}``.
        log: How it is stored: syncs, segments, rotation of files, free space; see :class:`LogOptions`.
        name: What ``daqring top`` and ``daqring stop`` call it; by default like the file.
        history: Note the health of the recording in the log so often, in a group ``health``: seconds,
            or text such as ``"10 s"``.
        stages: Work on the samples while they are recorded, see :mod:`daqring.stages`: a list for each
            task alike, or lists by the names of the tasks.
        overflow: What happens when the ring is full because the disk or a stage is too slow for
            longer than it lasts. ``"wait"`` loses nothing as long as the driver's buffer holds;
            ``"drop_newest"`` and ``"drop_oldest"`` drop samples, told as gaps (overrun); ``"fail"``
            ends the recording.
        restart: Make the tasks anew and go on after a failure, see :class:`Restart`; `tasks` is then a
            function.
        on_loss: After an overwrite in the driver's buffer, ``"stop"`` in order, or ``"continue"`` behind
            a counted gap; the driver is then told to overwrite what is not read in time.
        no_samples: End in order, or `restart`, when no sample came for so many seconds. Waiting for a
            start trigger does not count. ``None``: wait for ever.
        pin: Cores that the threads are bound to, by the system's numbers, such as
            ``{"acquire": 0, "workers": [1, 2], "writer": 3}``: ``"acquire"`` are the readers, one for each
            task. Each thread gets one core; several threads of a kind take those of its list in turn.
            Kinds that are not named run where the system likes.
        priority: ``"high"``: readers and writer, which sleep most of the time, come before all that
            compute. Workers never do. What the system refuses of this and of `pin` stands in the report's
            ``threads`` and is logged; the recording goes on without it.
        progress: Show a progress bar on stderr; by default only on a terminal.

    Returns:
        The :class:`Report`. Ctrl-C ends the recording early but in order, with the report
        (``stop_reason == "interrupted"``); pressed again, it changes nothing: the file is finished.

    Raises:
        TaskError: The task or an argument cannot be recorded; nothing was started.
        FileExistsError, OSError: The file cannot be made.
        DriverError: The driver stopped the recording by an error that is not a loss of samples
            (device removed, ...). ``error.report`` says what was recorded.
        RecordingError: The disk or a stage failed. ``error.report`` says what was recorded.

    Warns:
        SamplesLostWarning: Samples are missing; the report and the file say which.
        DiskLowWarning: The disk will be full before the recording ends, see ``LogOptions.warn_left``.
    """
    recorder = Recorder(
        tasks,
        path,
        seconds=seconds,
        samples=samples,
        block_ms=block_ms,
        read_ms=read_ms,
        overwrite=overwrite,
        dtype=dtype,
        buffer_seconds=buffer_seconds,
        workers=workers,
        reader=reader,
        every=every,
        times=times,
        properties=properties,
        log=log,
        name=name,
        history=history,
        stages=stages,
        overflow=overflow,
        restart=restart,
        on_loss=on_loss,
        no_samples=no_samples,
        pin=pin,
        priority=priority,
    )
    bar = ProgressBar(enabled=progress)
    with _ended_by_signals():
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
    """Records tasks in the background, from :meth:`start` to :meth:`close`.

    As a context manager it starts on entry and closes on exit::

        with daqring.Recorder(task, "run.tdms") as recorder:
            do_the_experiment()
        print(recorder.report)

    The arguments are those of :func:`record`. While it runs, nobody else may read from the tasks: what
    others read is missing here, and told as a gap. ``task.stop()`` and ``task.close()`` raise
    :class:`TaskError` until the reading has ended.

    With several tasks, the end of one by an error or a loss ends the others in order, too; one that
    has all its samples leaves the others running.

    One that still runs when the program forgets it, or ends, is closed then, and the logging tells it.
    """

    def __init__(
        self,
        tasks: Tasks,
        path: str | os.PathLike[str] | None,
        *,
        seconds: float | None = None,
        samples: int | None = None,
        block_ms: float | None = None,
        read_ms: float | None = None,
        overwrite: bool = False,
        dtype: DtypeChoice = "auto",
        buffer_seconds: float = 4.0,
        workers: int = 1,
        reader: ReaderChoice = "auto",
        every: float | None = None,
        times: TimesChoice = "auto",
        properties: Properties | None = None,
        log: LogOptions | None = None,
        name: str | None = None,
        history: float | str | None = None,
        stages: Stages = (),
        overflow: Overflow = "wait",
        keep_seconds: float | None = None,
        restart: Restart | None = None,
        on_loss: OnLoss = "stop",
        no_samples: float | None = None,
        pin: Pin | None = None,
        priority: Priority = "normal",
        _feed: bool | Sequence[str] = False,
    ) -> None:
        if _native.DEBUG_BUILD:
            warnings.warn("this is a debug build of daqring: it is slow", RuntimeWarning, stacklevel=2)
        self._path = None if path is None else Path(path)
        if self._path is not None and self._path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder, not a file to be made", str(self._path))
        threads = whole(workers)
        if threads is None or threads < 1:
            raise TaskError(f"workers must be a whole number of 1 or more, not {workers!r}")
        if name is not None and not isinstance(name, str):
            raise TaskError(f"name must be a text, not {name!r}")
        if log is not None and not isinstance(log, LogOptions):
            raise TaskError(
                f"log must be daqring.LogOptions(...), such as LogOptions(sync='1 s'), not {log!r}"
            )
        if properties is not None and not isinstance(properties, Mapping):
            raise TaskError(f"properties must be a dict such as {{'operator': 'Ada'}}, not {properties!r}")
        self._name = name
        self._placement = placement(pin, priority)
        try:
            self._history = seconds_in("history", history)
        except ValueError as error:
            raise TaskError(str(error)) from None
        if overflow not in ("wait", "drop_newest", "drop_oldest", "fail"):
            raise TaskError(f"overflow must be wait, drop_newest, drop_oldest or fail, not {overflow!r}")
        self._overwrite = bool(overwrite)
        self._workers = threads
        self._overflow = overflow
        self._keep_seconds = None if keep_seconds is None else positive("keep_seconds", keep_seconds)
        self._histories: dict[int, History] = {}
        self._log_options = log or LogOptions()
        self._wishes: dict[str, Any] = {
            **{"seconds": seconds, "samples": samples, "block_ms": block_ms, "read_ms": read_ms},
            **{"dtype": dtype},
            **{"buffer_seconds": buffer_seconds, "reader": reader, "every": every, "times": times},
        }
        if on_loss not in ("stop", "continue"):
            raise TaskError(f"on_loss must be 'stop' or 'continue', not {on_loss!r}")
        self._on_loss = on_loss
        self._no_samples = None if no_samples is None else positive("no_samples", no_samples)
        self._restart = _checked_restart(restart, tasks, self._no_samples)
        self._restarts = 0
        #: While tasks are made anew: why, how often it was tried, when it is tried next.
        self._pending: tuple[str, int, float] | None = None
        self._seen: dict[int, tuple[Any, float]] = {}
        self._silent: str | None = None
        self._tasks = TaskSet(tasks)
        try:
            self._acquisitions = self._prepare(self._tasks)
            #: Those of the file.
            self._properties = share_out(properties or {}, self._acquisitions)
            self._stages = plan(stages, [_info(acquisition) for acquisition in self._acquisitions])
            self._feed = self._handed_out(_feed)
        except BaseException:
            self._tasks.close()
            raise
        smallest = min(acquisition.block * acquisition.frame for acquisition in self._acquisitions)
        self._log = self._log_options.to_native(
            self._bytes_per_second, None if block_ms is None else smallest
        )
        self._results: dict[str, tuple[str, tuple[str, ...]]] = {}
        #: Arguments of the taps that see the first block, and those taps once it is started.
        self._taps_from_start: list[dict[str, Any]] = []
        self._first_taps: list[Tap | EnvelopeTap] = []

        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._native: _native.Recording | None = None
        self._watch: Watch | None = None
        self._monitor: Monitor | None = None
        self._stop_reason = "stopped"
        self._asked_to_stop = False
        self._started_at = 0.0
        self._report: Report | None = None
        self._error: Exception | None = None
        self._told = False
        #: Without having been started, and the tasks with it.
        self._closed = False
        #: What there is to say of the disk, and whether it was said in a warning.
        self._disk_low: str | None = None
        self._disk_told = False
        self._disk_next = 0.0

    def _prepare(self, tasks: TaskSet) -> list[Acquisition]:
        """The streams of the tasks, with everything checked that can be checked without a start."""
        acquisitions = []
        try:
            found = links(tasks.tasks)
        except Exception as error:
            if getattr(error, "error_code", None) is None:
                raise
            raise TaskError(f"the driver refuses a task as it is configured: {describe(error)}") from error
        for number, task in enumerate(tasks.tasks):
            try:
                linked = number in found.owner_of
                acquisitions.append(Acquisition(number, task, linked=linked, **self._wishes))
            except TaskError as error:
                if len(tasks.tasks) > 1:
                    raise TaskError(f"{_called(number, task)}: {error}") from error
                raise
        taken = {each.name for each in acquisitions if not each.source.unnamed}
        for acquisition in acquisitions:
            if acquisition.source.unnamed:
                acquisition.source.name = _free_name(acquisition.name, taken)
                taken.add(acquisition.name)
            acquisition.keep_open = self._restart is not None
            acquisition.skip_lost = self._on_loss == "continue"
            if self._restart is not None and acquisition.source.finite is not None:
                raise TaskError(
                    f"task {acquisition.name!r} is finite and would begin from its first sample again; "
                    "a restart needs continuous tasks (with samples= or seconds= for their length)"
                )
        for number, owner in found.owner_of.items():
            _check_clock(acquisitions[number], acquisitions[owner], found.via[number])
            acquisitions[number].clock_of = acquisitions[owner].name
            acquisitions[number].clock_via = found.via[number]
            acquisitions[owner].leads = True
        self._links = found
        return acquisitions

    def _handed_out(self, wanted: bool | Sequence[str]) -> list[str]:
        """Names of the streams whose blocks are handed out losslessly."""
        tasks = [acquisition.name for acquisition in self._acquisitions]
        if isinstance(wanted, bool):
            return tasks if wanted else []
        known = tasks + [name for planned in self._stages for name in stage_names(planned)]
        for name in wanted:
            if name not in known:
                raise TaskError(
                    f"there is no stream {name!r} to hand out, only {', '.join(map(repr, known))}"
                )
        return list(wanted)

    @property
    def _bytes_per_second(self) -> float:
        return sum(acquisition.bytes_per_second for acquisition in self._acquisitions)

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Creates the file, starts the threads and then the tasks.

        Raises:
            RuntimeError: It was started before.
            TaskError: A task is being recorded already, or was changed since the recorder was made.
            FileExistsError, OSError: The file cannot be made.
            DriverError: The driver refuses to start a task; those that were started are stopped and
                put back as they were, and no file is left behind.
        """
        self._check_process()
        if self._native is not None or self._report is not None:
            raise RuntimeError("a Recorder records once; make a new one for another recording")
        if self._closed:
            raise RuntimeError("the recorder was closed, and its tasks with it; make a new one")
        acquisitions = self._acquisitions
        try:
            for acquisition in acquisitions:
                with self._words_of(acquisition):
                    acquisition.verify()
            native = _native.Recording(
                self._path,
                [
                    {**acquisition.stream(), **stages, "overflow": self._overflow}
                    for acquisition, stages in zip(acquisitions, self._stages, strict=True)
                ],
                workers=self._workers,
                feed=self._feed,
                overwrite=self._overwrite,
                properties=self._description(),
                log=self._log,
                placement=self._placement,
            )
        except BaseException as error:
            self._tasks.close()
            if isinstance(error, ValueError) and not isinstance(error, DaqringError):
                # What only the stages themselves know.
                raise TaskError(str(error)) from error
            raise
        try:
            self._native = native
            self._first_taps = [self.tap(**arguments) for arguments in self._taps_from_start]
            self._begin(native)
        except BaseException:
            self._native = None
            for acquisition in acquisitions:
                acquisition.undo()
            for path in native.finish([], {})["files"] or ():
                Path(path).unlink(missing_ok=True)
            self._tasks.close()
            raise
        try:
            self._look_after()
        except BaseException:
            # Such as Ctrl-C: it runs, and nobody would end it.
            self._finish()
            raise
        logger.info("recording %s", self)

    def _look_after(self) -> None:
        if self._keep_seconds is not None:
            for number, acquisition in enumerate(self._acquisitions):
                if acquisition.source.dt is not None:
                    self._kept(number, self._keep_seconds)
        if len(self._acquisitions) > 1 or self._restart is not None or self._no_samples is not None:
            self._watch = Watch(self)
        self._monitor = Monitor(self, self._called_by_viewers(), history=self._history)
        unclosed.add(self)

    def _begin(self, native: _native.Recording) -> None:
        acquisitions = self._acquisitions
        for acquisition in acquisitions:
            with self._words_of(acquisition):
                acquisition.prepare()
        self._started_at = time.monotonic()
        for number in self._links.order:
            with self._words_of(acquisitions[number]):
                acquisitions[number].start()
        for acquisition in acquisitions:
            owner = acquisitions[self._links.root(acquisition.number)]
            acquisition.read(native, owner, logged=self._path is not None)

    @contextlib.contextmanager
    def _words_of(self, acquisition: Acquisition) -> Iterator[None]:
        """The driver's errors as ours, with the name of the task where there are several."""
        try:
            with driver_words():
                yield
        except DriverError as error:
            if len(self._acquisitions) > 1:
                raise DriverError(f"task {acquisition.name!r}: {error}", error.code) from error
            raise

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "a Recorder cannot be pickled or copied: it belongs to this process; others can read what it "
            "records, by daqring.open"
        )

    def __repr__(self) -> str:
        names = ", ".join(acquisition.name for acquisition in self._acquisitions)
        return f"<Recorder of {names} into {'nothing' if self._path is None else str(self._path)!r}>"

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until all samples are read or the recording failed; True if so, False after `timeout` s.

        Warns:
            DiskLowWarning: Once, when the disk will be full before the recording ends. A program that
                does not wait is warned, too, by a thread of the recorder's.
        """
        self._check_process()
        if self._report is not None:
            return True
        if self._native is None:
            raise self._not_running()
        self._warn_of_disk(stacklevel=3)
        if self._watch is None:
            (acquisition,) = self._acquisitions
            return acquisition.reader is not None and acquisition.reader.wait(timeout)
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        # In steps: a wait without end cannot be interrupted on every system.
        while not self._watch.wait(max(0.0, min(deadline - time.monotonic(), 0.25))):
            if time.monotonic() >= deadline:
                return False
        return True

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

    def __del__(self) -> None:
        # It may not have been made to its end; and of a parent process there are no threads here.
        if getattr(self, "_pid", None) != os.getpid() or self._report is not None:
            return
        if self._native is not None:
            unclosed.forgotten(self)
        else:
            self._give_up()

    # -- looking at it ------------------------------------------------------------------------

    @property
    def report(self) -> Report:
        """The report, once the recorder is closed.

        Raises:
            RuntimeError: It is still running or never ran.
        """
        if self._report is None:
            if self._monitor is None and not self._closed:
                raise self._not_running()
            raise RuntimeError(
                "there is no report: the recorder never ran"
                if self._closed
                else "there is no report before the recorder is closed: call close(), or leave its with block"
            )
        return self._report

    def health(self) -> Health:
        """Whether the running recording keeps up: figures, and a verdict with its reasons.

        Raises:
            RuntimeError: The recorder is not running.
        """
        self._check_process()
        if self._monitor is None or self._report is not None:
            raise self._not_running()
        return self._monitor.look(self)

    @property
    def name(self) -> str | None:
        """What ``daqring top`` calls the running recorder; ``None`` where it does not show it."""
        return None if self._monitor is None else self._monitor.name

    def _not_running(self) -> RuntimeError:
        if self._monitor is None:
            return RuntimeError("the recorder was not started: call start(), or use it in a with block")
        return RuntimeError("the recorder is not running")

    def _called_by_viewers(self) -> str:
        if self._name is not None:
            return self._name
        return self._acquisitions[0].name if self._path is None else self._path.stem

    @property
    def wanted(self) -> int | None:
        """Samples per channel to be recorded, ``None`` if open-ended; with several tasks their sum."""
        wanted = [acquisition.wanted for acquisition in self._acquisitions]
        return None if None in wanted else sum(count or 0 for count in wanted)

    @property
    def rate(self) -> float:
        """Sample rate per channel in Hz, as the driver coerced it; with several tasks the largest."""
        return max(acquisition.source.rate for acquisition in self._acquisitions)

    def stats(self) -> dict[str, Any]:
        """A look at the running recording. Cheap: it asks neither the driver nor the disk for samples.

        Of every stream, in ``streams`` (a list in the order of the tasks):

        ``name``, ``channels`` (how many), ``rate``, ``dtype``, ``reader``, ``running``
            What it is, and whether it is still read.
        ``wanted``, ``samples``
            Samples per channel to be recorded (``None``: open-ended), and in the log.
        ``bytes``
            Of samples in the log.
        ``gated``
            Samples per channel that a stage kept from the log on purpose.
        ``arrived_blocks``, ``waiting_blocks``, ``backlog``
            Blocks that were read, those of them that the log has not taken yet, and the samples per
            channel that wait in the driver's buffer.
        ``wanted_mb_per_s``, ``actual_mb_per_s``
            10**6 bytes per second that the task brings, and that the log has taken since the start.
        ``lost``, ``lost_unknown``, ``gaps``
            Samples per channel that are missing as far as counted, whether more are missing that
            nobody counted, and the number of holes.
        ``ring_fill``, ``ring_high_water``, ``ring_margin_s``
            How full the ring is and was at most (0 to 1), and the seconds until it would be full if
            the log took nothing any more.
        ``driver_fill``, ``driver_high_water``, ``driver_margin_s``
            The same of the driver's buffer, as last seen, if nobody read any more.

        Over all streams: the sums ``samples``, ``gated``, ``bytes``, ``wanted_mb_per_s``,
        ``actual_mb_per_s``, ``lost``, ``gaps``; whether any ``lost_unknown``; the fullest ``ring_fill``,
        ``ring_high_water``, ``driver_fill``, ``driver_high_water``; the smallest ``ring_margin_s``,
        ``driver_margin_s``; and

        ``elapsed``
            Seconds since the start.
        ``restarts``, ``restarting``
            How often the tasks were made anew, and whether that is being tried now.
        ``failure``
            What has ended the recording, or is being answered by a restart; ``None``: nothing.
        ``slowest_write_s``
            Longest time that the log took for one block.
        ``disk_free``, ``disk_seconds``
            Bytes free where the log is, above what is to be kept free, and for how many seconds that
            lasts at the rate at which the log has grown (at first, at the wanted rate). ``None`` without
            a log; the seconds also where `keep` removes old files.
        ``durable_blocks``, ``durable_bytes``
            Blocks of all streams, and bytes of the files, that a sync has brought to the medium: no crash
            of the machine takes these away. ``LogOptions.sync`` says when that is done. ``None`` without
            a log.

        ``stages``
            Of every stage of every stream (its number in ``stream``): ``name``, ``blocks``, seconds
            ``busy`` and the ``longest`` for one block.
        ``derived``
            Of every stream that a stage puts out: ``name``, ``samples``, ``written_samples``,
            ``written_bytes``, ``lost``, and ``records`` (of a trigger; ``None`` where it has none).
        ``workers``
            Of every worker: ``blocks``, ``busy``, ``longest`` and its ``cpu_seconds`` (``None`` where
            the system does not tell).

        Raises:
            RuntimeError: The recorder is not running.
        """
        self._check_process()
        counts = None if self._native is None else self._native.stats()
        if counts is None:
            raise self._not_running()
        elapsed = time.monotonic() - self._started_at
        streams = [
            acquisition.stats(stream, elapsed)
            for acquisition, stream in zip(self._acquisitions, counts["streams"], strict=True)
        ]
        total: dict[str, Any] = {}
        for name in ("samples", "gated", "bytes", "wanted_mb_per_s", "actual_mb_per_s", "lost", "gaps"):
            total[name] = sum(stream[name] for stream in streams)
        total["lost_unknown"] = any(stream["lost_unknown"] for stream in streams)
        for name in ("ring_fill", "ring_high_water", "driver_fill", "driver_high_water"):
            total[name] = max(stream[name] for stream in streams)
        for name in ("ring_margin_s", "driver_margin_s"):
            total[name] = min(stream[name] for stream in streams)
        free = self._disk_free()
        left = counts["disk_seconds"]
        if left is None and free is not None and self._log_options.keep is None:
            left = free / self._bytes_per_second
        return {
            **total,
            "elapsed": elapsed,
            "restarts": self._restarts,
            "restarting": self._pending is not None,
            "failure": self._failure(),
            "slowest_write_s": counts["slowest_write_ns"] / 1e9,
            "disk_free": free,
            "disk_seconds": left,
            "durable_blocks": counts["durable_blocks"],
            "durable_bytes": counts["durable_bytes"],
            "streams": streams,
            "stages": counts["stages"],
            "derived": counts["derived"],
            "workers": counts["workers"],
        }

    def _failure(self) -> str | None:
        """What has gone wrong in a recording that is not closed yet."""
        pending, native = self._pending, self._native
        if pending is not None:
            why, tries, _ = pending
            return f"{why}: the tasks are made anew" + (f", {tries} tries so far" if tries else "")
        if native is not None and (broken := native.failure()) is not None:
            return str(broken)
        if self._silent is not None:
            return self._silent
        for acquisition in self._acquisitions:
            if acquisition.reader is not None and acquisition.ended():
                outcome = acquisition.reader.outcome()
                if (error := outcome.crash or outcome.failure) is not None:
                    return f"task {acquisition.name!r} ended: {error}"
        return None

    def _warn_of_disk(self, stacklevel: int) -> None:
        """Warns once if the disk is full before the recording ends, or soon where it has no end."""
        now = time.monotonic()
        if self._disk_low is None and self._path is not None and now >= self._disk_next:
            self._disk_next = now + 1.0
            with contextlib.suppress(RuntimeError):
                self._see_disk(self.stats())
        self._tell_of_disk(stacklevel + 1)

    def _tell_of_disk(self, stacklevel: int) -> None:
        """Warns of what there is to say, once; `stacklevel` as if this were written at the caller's."""
        if self._disk_low is not None and not self._disk_told:
            self._disk_told = True
            warnings.warn(self._disk_low, DiskLowWarning, stacklevel=stacklevel)

    def _look_at_disk(self, stats: dict[str, Any]) -> None:
        """The same from a thread of our own, for a program that does not wait."""
        if self._disk_low is None:
            self._see_disk(stats)
        try:
            self._tell_of_disk(3)
        except DiskLowWarning:
            # Where warnings are errors, the program has to get it: at its next wait, or at the end.
            self._disk_told = False

    def _see_disk(self, stats: dict[str, Any]) -> None:
        """Finds out whether there is something to say, and puts it into the log and the logging."""
        if self._path is None or self._disk_low is not None:
            return
        left = stats["disk_seconds"]
        needed = max(
            (stream["wanted"] - stream["samples"] - stream["gated"]) / stream["rate"]
            if stream["wanted"] is not None and stream["rate"]
            else math.inf
            for stream in stats["streams"]
        )
        if left is None or left >= min(self._log_options.warn_seconds, needed):
            return
        free = stats["disk_free"] / 1e9
        room = f"{free:,.2f} GB" if free >= 1.0 else f"{free * 1e3:,.1f} MB"
        self._disk_low = (
            f"the disk of {self._path} has {room} left for the recording, "
            f"which lasts {left:,.0f} s: free some space, or the recording ends then"
        )
        verdicts.warning("%s: %s", self, self._disk_low)
        with contextlib.suppress(RuntimeError):
            self.annotate(self._disk_low)

    def _disk_free(self) -> int | None:
        if self._path is None:
            return None
        try:
            free = shutil.disk_usage(self._path.absolute().parent).free
        except OSError:
            return None
        return max(0, free - (self._log["reserve_bytes"] or 0))

    # -- looking at its samples ---------------------------------------------------------------

    def latest(self, seconds: float, *, stream: str | None = None, scaled: bool = True) -> npt.NDArray[Any]:
        """A copy of the last `seconds` of samples, channels x samples; fewer where there are no more.

        The recorder keeps them from the first call on, or from its start with ``keep_seconds=``; a
        longer time is kept from the call on that asks for it. Keeping costs one copy of the samples
        and never holds up the recording. It ends at a gap: what is returned is without holes.

        Args:
            seconds: How much.
            stream: Of which stream: a task's name, or that of a stage. Default: the first task.
            scaled: float64 in the channels' units; else the samples as recorded.

        Raises:
            RuntimeError: The recorder is not running.
            ValueError: There is no such stream, its blocks are no arrays of numbers, or its samples do
                not come at a constant rate (a tap gives these, with their times).
        """
        number = self._stream_number(stream)
        return self._kept(number, positive("seconds", seconds)).latest(seconds, scaled)

    @overload
    def tap(
        self,
        kind: Literal["blocks"] = "blocks",
        *,
        stream: str | None = None,
        depth: int = 8,
        rate: float = 1000.0,
    ) -> Tap: ...

    @overload
    def tap(
        self,
        kind: Literal["envelope"],
        *,
        stream: str | None = None,
        depth: int = 8,
        rate: float = 1000.0,
    ) -> EnvelopeTap: ...

    def tap(
        self,
        kind: Literal["blocks", "envelope"] = "blocks",
        *,
        stream: str | None = None,
        depth: int = 8,
        rate: float = 1000.0,
    ) -> Tap | EnvelopeTap:
        """Blocks as they come, for a display: lossy, drop-counted, and never in the recording's way.

        It begins with the next block that is stored; ``tap.before`` counts those that were stored before it
        was made. The taps of a run file see the first one, too.

        Args:
            kind: ``"blocks"``: whole blocks (:class:`Block`); ``"envelope"``: the least and greatest
                value of every 1/`rate` s (:class:`Span`).
            stream: Of which stream: a task's name, or that of a stage. Default: the first task.
            depth: The number of blocks that are kept for who comes late.
            rate: Of the envelope, in Hz.

        Raises:
            RuntimeError: The recorder is not running.
            ValueError: There is no such stream, or an argument makes no sense.
        """
        number = self._stream_number(stream)
        native, shape = self._live(), self._shape(number)
        number_kept = whole(depth)
        if number_kept is None or number_kept < 1:
            raise ValueError(f"depth must be a whole number of 1 or more, not {depth!r}")
        if kind == "blocks":
            return Tap(native, number, shape, depth=number_kept)
        if kind == "envelope":
            _check_rate(shape)
            every = max(1, round(1.0 / (positive("rate", rate) * shape.dt)))
            return EnvelopeTap(native, number, shape, depth=number_kept, every=every)
        raise ValueError(f"kind must be 'blocks' or 'envelope', not {kind!r}")

    def _glimpse(self, stream: str) -> Tap:
        """A tap that costs one copy of a block for each look, however many blocks go by."""
        number = self._stream_number(stream)
        return Tap(self._live(), number, self._shape(number), depth=None)

    def capture(self, name: str | None = None) -> None:
        """Takes a record now, by the :class:`daqring.stages.Trigger` of that name, or by all there are.

        It is around the sample that was the newest at this moment by the host's clock, and written when
        the samples after it have come, or at the end. While a record is being taken, it begins behind that.

        Raises:
            RuntimeError: The recorder is not running.
            ValueError: It has no such stage.
        """
        if not self._live().capture(name):
            raise ValueError(
                "the recorder has no trigger stage" + ("" if name is None else f" named {name!r}")
            )

    def _live(self) -> _native.Recording:
        self._check_process()
        if self._native is None or self._report is not None:
            raise self._not_running()
        return self._native

    def _groups(self) -> list[dict[str, Any]]:
        groups = [acquisition.stream()["group"] for acquisition in self._acquisitions]
        return groups + self._live().derived()

    def _stream_number(self, name: str | None) -> int:
        names = [group["name"] for group in self._groups()]
        if name is None:
            return 0
        if name not in names:
            raise ValueError(f"there is no stream {name!r}, only {', '.join(map(repr, names))}")
        return names.index(name)

    def _shape(self, number: int) -> StreamShape:
        group = self._groups()[number]
        # Of the stages' streams, too, which follow those of the tasks.
        sources = [
            *self._acquisitions,
            *(
                acquisition
                for acquisition, planned in zip(self._acquisitions, self._stages, strict=True)
                for _ in stage_names(planned)
            ),
        ]
        shape = StreamShape.of_group(group, sources[number].source.record)
        if shape is None:
            raise ValueError(f"the blocks of {group['name']!r} are no arrays of numbers")
        return shape

    def _start_ns(self, number: int) -> int:
        return self._live().start_time(number)

    def _kept(self, number: int, seconds: float) -> History:
        history = self._histories.get(number)
        if history is None or history.seconds < seconds:
            shape = self._shape(number)
            _check_rate(shape)
            longer = History(self._live(), number, shape, seconds)
            if history is not None:
                history.close()
            history = self._histories[number] = longer
        return history

    # -- adding to it -------------------------------------------------------------------------

    def annotate(self, text: str) -> None:
        """Notes an event, such as ``"valve opened"``, with the time of the call. From any thread.

        ``daqring.open(path).events`` and ``daqring info`` tell it.

        Raises:
            RuntimeError: The recorder is not running.
        """
        # A note is not worth an error over a character that is none.
        self._running().annotate(str(text).encode(errors="replace").decode(), time.time_ns())

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
            ValueError: The arguments do not fit together, or not to the first call; or the name is that of a
                task, a stage or the health, or could be taken for a group behind a gap (``rig #2``).
            RuntimeError: The recorder is not running.
        """
        if name == HISTORY_GROUP and self._history is not None:
            raise ValueError(f"results cannot be written as group {name!r}: the history of health is there")
        self._write_results(name, values, t0=t0, dt=dt, unit=unit, channels=tuple(channels))

    def _write_results(
        self,
        name: str,
        values: npt.ArrayLike,
        *,
        t0: float | np.datetime64 | datetime.datetime,
        dt: float,
        unit: str,
        channels: tuple[str, ...],
    ) -> None:
        running = self._running()
        array = np.asarray(values)
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8 or array.dtype == np.float16:
            raise ValueError(f"values must be real numbers, not {array.dtype}")
        array = np.ascontiguousarray(np.atleast_2d(array), array.dtype.newbyteorder("<"))
        if array.ndim != 2 or array.shape[0] != len(channels) or not array.shape[1]:
            raise ValueError(
                f"values of the shape {array.shape} do not fit {len(channels)} channels x 1 or more samples"
            )
        taken = {group["name"] for group in self._groups()}
        _check_results(name, channels, unit, taken)
        start_ns = _unix_ns(t0)
        kind = (array.dtype.name, channels)
        if self._results.setdefault(name, kind) != kind:
            raise ValueError(f"group {name!r} was begun with other channels or another dtype")
        group = {
            "name": name,
            "dt": positive("dt", dt),
            "properties": {},
            "channels": [
                {"name": channel, "dtype": array.dtype.name, "unit": unit, "scale": None, "properties": {}}
                for channel in channels
            ],
        }
        running.write_values(group, start_ns, array.shape[1], array.tobytes())

    def _running(self) -> _native.Recording:
        self._check_process()
        if self._native is None or self._report is not None:
            raise self._not_running()
        if self._path is None:
            raise RuntimeError("this recorder has no log; give it a path")
        return self._native

    # -- the end ------------------------------------------------------------------------------

    def _end(self, reason: str) -> None:
        with self._lock:
            if not self._asked_to_stop:
                self._asked_to_stop = True
                self._stop_reason = reason
            self._stop_readers()
        if self._watch is not None:
            self._watch.hurry()

    def _stop_readers(self) -> None:
        for acquisition in self._acquisitions:
            if acquisition.reader is not None:
                acquisition.reader.stop()

    def _look(self) -> bool:
        """What the watch does again and again; whether it is to go on."""
        if self._pending is not None:
            return self._try_again() or self._close_streams()
        ended = [acquisition.ended() for acquisition in self._acquisitions]
        self._look_for_silence(ended)
        reasons = [
            acquisition.reader.outcome().stop_reason
            for acquisition, over in zip(self._acquisitions, ended, strict=True)
            if over and acquisition.reader is not None
        ]
        bad = [reason for reason in reasons if reason not in (None, "finished")]
        if bad and not all(ended):
            # What is recorded together ends together.
            self._stop_readers()
        if not all(ended):
            return True
        why = gravest(bad) if bad else "no samples" if self._silent is not None else None
        why = "device error" if why == "error" else why
        for acquisition in self._acquisitions:
            acquisition.free()
        if self._restart is not None and why in self._restart.reasons and not self._asked_to_stop:
            native = self._native
            if native is not None and native.failure() is None and not self._crashed():
                return self._make_way(why)
        return self._close_streams()

    def _crashed(self) -> bool:
        return any(
            acquisition.reader is not None and acquisition.reader.outcome().crash is not None
            for acquisition in self._acquisitions
        )

    def _look_for_silence(self, ended: list[bool]) -> None:
        """Ends the reading where no sample has come for too long."""
        counts = None if self._native is None else self._native.stats()
        if self._no_samples is None or counts is None or self._silent is not None or self._asked_to_stop:
            return
        now = time.monotonic()
        for acquisition, over, stream in zip(self._acquisitions, ended, counts["streams"], strict=True):
            if over or acquisition.reader is None or acquisition.source.record is not None:
                continue
            backlog = acquisition.reader.backlog
            sign = (id(acquisition), stream["committed"], backlog)
            before, since = self._seen.get(acquisition.number, (None, now))
            begun = stream["committed"] or backlog or not acquisition.waits_for_trigger
            if sign != before or not begun:
                self._seen[acquisition.number] = (sign, now)
            elif now - since >= self._no_samples:
                self._silent = (
                    f"no samples came from task {acquisition.name!r} for {self._no_samples:g} s; "
                    "check its clock and its trigger"
                )
                logger.warning("%s", self._silent)
                self._stop_readers()
                return

    def _make_way(self, why: str) -> bool:
        """Takes leave of tasks that failed; others are tried from now on."""
        logger.warning("%s: %s; the tasks are made anew", self, why)
        if self._native is not None:
            for acquisition in self._acquisitions:
                acquisition.make_way()
            if self._path is not None:
                self._native.annotate(f"{why}: the tasks are made anew", time.time_ns())
        self._tasks.close()
        self._pending = (why, 0, time.monotonic())
        return True

    def _try_again(self) -> bool:
        """Makes the tasks anew when that is due; whether the watch is to go on."""
        restart, pending, native = self._restart, self._pending, self._native
        if restart is None or pending is None or native is None or self._asked_to_stop:
            return False
        why, tries, due = pending
        if time.monotonic() < due:
            return True
        if restart.into == "file" and self._path is not None and self._unwritten(native):
            # What the old tasks brought belongs into the old file.
            return True
        tasks: TaskSet | None = None
        acquisitions: list[Acquisition] = []
        try:
            tasks = TaskSet(self._tasks.factory) if self._tasks.factory is not None else self._tasks
            acquisitions = self._prepare(tasks)
            if len(acquisitions) != len(self._acquisitions) or not all(
                new.like(old) for new, old in zip(acquisitions, self._acquisitions, strict=True)
            ):
                raise TaskError(
                    "the function that makes the tasks made others than before; tasks have to have the same "
                    "names, channels and rates"
                )
            for new, old in zip(acquisitions, self._acquisitions, strict=True):
                new.continue_from(old, RESTARTS[why])
                new.prepare()
            for number in self._links.order:
                acquisitions[number].start()
            if restart.into == "file" and self._path is not None:
                native.next_file()
            for new in acquisitions:
                owner = acquisitions[self._links.root(new.number)]
                new.read(native, owner, logged=self._path is not None)
        except Exception as error:
            for new in acquisitions:
                new.undo()
            if tasks is not None:
                tasks.close()
            tries += 1
            logger.warning("%s: try %d to make the tasks anew failed: %s", self, tries, error)
            if restart.attempts is not None and tries >= restart.attempts:
                logger.error("%s: given up after %d tries", self, tries)
                return False
            self._pending = (why, tries, time.monotonic() + restart.wait)
            return True
        self._tasks, self._acquisitions = tasks, acquisitions
        self._pending, self._silent = None, None
        self._seen.clear()
        self._restarts += 1
        logger.warning("%s: going on with new tasks", self)
        if self._asked_to_stop:
            self._stop_readers()
        return True

    def _unwritten(self, native: _native.Recording) -> bool:
        """Whether blocks are on their way into the log."""
        counts = native.stats()
        return counts is not None and any(
            stream["committed"] > sum(stream[way] for way in ("written", "gated", "dropped", "failed"))
            for stream in counts["streams"]
        )

    def _close_streams(self) -> bool:
        """No more samples will come; the watch is not to go on."""
        if self._restart is not None and self._native is not None:
            for acquisition in self._acquisitions:
                acquisition.make_way()
                self._native.close_stream(acquisition.number)
        return False

    def _finish(self) -> None:
        self._check_process()
        self._end("stopped")
        if self._report is not None:
            return
        if self._native is None:
            self._give_up()
            return
        with _unbroken(self, again=self._stop_reason == "interrupted"), contextlib.ExitStack() as at_the_end:
            if self._monitor is not None:
                at_the_end.callback(self._monitor.withdraw)
                self._monitor.end()
            self._finish_log()

    def _give_up(self) -> None:
        """Nobody started it: what a function made for it is closed."""
        self._closed = self._tasks.factory is not None
        self._tasks.close()

    def _finish_log(self) -> None:
        with self._lock:
            native = self._native
            if native is None or self._report is not None:
                return
            deadline = time.monotonic() + STUCK
            while True:
                for acquisition in self._acquisitions:
                    # A read comes back within its timeout; this is for a driver that does not keep it.
                    acquisition.wait(max(deadline - time.monotonic(), 0.0))
                if self._watch is None:
                    break
                self._watch.hurry()
                if self._watch.wait(0.05):
                    self._watch.join()
                    break
            outcomes = [acquisition.finish() for acquisition in self._acquisitions]
            final = [
                (acquisition.number, *outcome.final_gap)
                for acquisition, outcome in zip(self._acquisitions, outcomes, strict=True)
                if outcome.final_gap is not None
            ]
            reason = self._reason(native.failure(), outcomes)
            acquired = [
                acquisition.acquired(outcome)
                for acquisition, outcome in zip(self._acquisitions, outcomes, strict=True)
            ]
            counts = native.finish(final, self._final_properties(reason, outcomes), acquired)
            self._report = self._make_report(counts, outcomes)
            self._error = self._pick_error(counts, outcomes)
            self._tasks.close()
            unclosed.discard(self)
        self._log_end()

    def _pick_error(self, counts: dict[str, Any], outcomes: list[Outcome]) -> Exception | None:
        error: RecordingError | DriverError
        crash = next((outcome.crash for outcome in outcomes if outcome.crash is not None), None)
        failures = [
            (acquisition, outcome.failure)
            for acquisition, outcome in zip(self._acquisitions, outcomes, strict=True)
            if outcome.failure is not None and outcome.final_gap is None
        ]
        missing = "" if self._report is None else self._report.unstored_words()
        behind = missing and f" ({missing})"
        if counts["error"] is not None:
            error = RecordingError(f"the recording stopped: {counts['error']}{behind}")
            error.__cause__ = counts["error"]
        elif isinstance(crash, RecordingError):
            error = RecordingError(f"the recording stopped: {crash}{behind}")
        elif crash is not None:
            error = RecordingError(f"the reading thread stopped by an internal error: {crash!r}{behind}")
            error.__cause__ = crash
        elif not counts["law_holds"]:
            error = RecordingError(f"blocks are missing that nobody accounts for: {counts['streams']}")
        elif self._silent is not None:
            error = RecordingError(self._silent)
        elif failures:
            acquisition, error = failures[0]
            if len(self._acquisitions) > 1:
                error = DriverError(f"task {acquisition.name!r}: {error}", error.code)
            if missing:
                # The driver's words stay as they are.
                error.add_note(f"When the recording ended: {missing}.")
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
            self._tell_of_disk(stacklevel + 1)
        return report

    def _reason(self, failure: object, outcomes: list[Outcome], number: int | None = None) -> str:
        """Why the recording, or stream `number` of it, ended."""
        if failure is not None:
            return "error"
        if self._silent is not None:
            return "no samples"
        of = outcomes if number is None else [outcomes[number]]
        reasons = [
            "error" if outcome.crash is not None else outcome.stop_reason or self._stop_reason
            for outcome in of
        ]
        return gravest(reasons)

    def _make_report(self, counts: dict[str, Any], outcomes: list[Outcome]) -> Report:
        streams = tuple(
            acquisition.report(
                counts["streams"][number],
                counts["gaps"][number],
                counts["unstored"][number],
                outcomes[number],
                stop_reason=self._reason(counts["error"], outcomes, number),
            )
            for number, acquisition in enumerate(self._acquisitions)
        )
        expected = () if self._path is None else (self._path,)
        report = combine(
            streams,
            files=tuple(map(str, counts["files"] or expected)),
            file_bytes=counts["file_bytes"] or 0,
            io=counts["io"] or "none",
            io_reason=counts["io_reason"] or "",
            slowest_write=counts["slowest_write_ns"] / 1e9,
            error=self._silent if counts["error"] is None else str(counts["error"]),
            disk_low=self._disk_low,
            threads=() if self._native is None else tuple(self._native.refusals()),
            # Where blocks went that no counter knows, nobody knows either.
            lost_unknown=not counts["law_holds"],
        )
        names = [acquisition.name for acquisition in self._acquisitions]
        return dataclasses.replace(report, **work_of(counts, names))

    def _log_end(self) -> None:
        report = self._report
        if report is not None:
            for refusal in report.threads:
                logger.warning("%s: %s", self, refusal)
            level = logging.WARNING if report.samples_lost or self._error is not None else logging.INFO
            # Whoever has not set up logging is told by a warning or an exception.
            verdicts.log(
                level,
                "%s ended (%s%s): %d samples in all, lost %d%s%s",
                self,
                report.stop_reason,
                # On one line.
                f": {' '.join(str(self._error).split())}" if self._error is not None else "",
                report.samples,
                report.lost,
                " and an unknown number more" if report.lost_unknown else "",
                f", {report.unstored} not stored" if report.unstored else "",
            )

    # -- what goes into the file --------------------------------------------------------------

    def _description(self) -> dict[str, Property]:
        return {
            **self._properties,
            "daqring.version": _native.__version__,
            "daqring.host": platform.node(),
            "daqring.platform": platform.platform(),
            "daqring.python": sys.version.split()[0],
        }

    def _final_properties(self, reason: str, outcomes: list[Outcome]) -> dict[str, Property]:
        acquired = [outcome.acquired for outcome in outcomes]
        wanted = self.wanted
        return {
            "daqring.stop_reason": reason,
            "daqring.reader": "; ".join(
                dict.fromkeys(acquisition.reader_kind for acquisition in self._acquisitions)
            ),
            **({} if wanted is None else {"daqring.requested": wanted}),
            **({} if None in acquired else {"daqring.acquired": sum(count or 0 for count in acquired)}),
        }

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise RuntimeError("a Recorder does not survive a fork; make it in the process that uses it")


def _check_clock(follower: Acquisition, owner: Acquisition, terminal: str) -> None:
    """Who has another task's sample clock has its rate, whatever it was configured for."""
    clocked = terminal.lower().endswith("/sampleclock") and follower.source.dt is not None
    if clocked and not math.isclose(follower.source.rate, owner.source.rate, rel_tol=0.01):
        raise TaskError(
            f"task {follower.name!r} takes its sample clock from task {owner.name!r} ({terminal}), which has "
            f"{owner.source.rate:,g} samples per second, and was configured for {follower.source.rate:,g}: "
            "its times would be wrong; configure both for the same rate, or record by times='host'"
        )


def _check_results(name: object, channels: tuple[object, ...], unit: object, taken: set[str]) -> None:
    """Refuses results that the log could not hold beside its other groups."""
    for text in (name, unit, *channels):
        if not isinstance(text, str) or not is_text(text):
            raise ValueError(f"names and units of results must be text, not {text!r}")
    if name == "" or name == "daqring" or name in taken:
        raise ValueError(f"results cannot be written as group {name!r}; choose another name")
    if re.fullmatch(r".* #\d+", str(name), re.DOTALL):
        raise ValueError(
            f"results cannot be written as group {name!r}: so the parts of a group behind its gaps are called"
        )
    if "" in channels or len(set(channels)) < len(channels):
        raise ValueError(f"each channel of group {name!r} needs a name of its own, not {channels!r}")


def _unix_ns(moment: float | np.datetime64 | datetime.datetime) -> int:
    if isinstance(moment, str) or (isinstance(moment, np.datetime64) and np.isnat(moment)):
        raise ValueError(f"t0 must be seconds since 1970 or a date and time, not {moment!r}")
    if isinstance(moment, np.datetime64):
        # Beyond its range a finer unit would come round at the other end.
        seconds = float(moment.astype("datetime64[s]").astype(np.int64))
    else:
        seconds = moment.timestamp() if isinstance(moment, datetime.datetime) else float(moment)
    if not abs(seconds) < 9.2e9:
        raise ValueError(f"t0 must be a time between the years 1678 and 2261, not {moment!r}")
    if isinstance(moment, datetime.datetime):
        return round(seconds * 1e6) * 1000
    if isinstance(moment, np.datetime64):
        return int(moment.astype("datetime64[ns]").astype(np.int64))
    return round(seconds * 1e9)


def _info(acquisition: Acquisition) -> StreamInfo:
    source = acquisition.source
    return StreamInfo(
        name=source.name,
        channels=tuple(channel.name for channel in source.channels),
        rate=source.rate,
        dtype=source.dtype,
        steady=source.dt is not None,
        records=source.record is not None,
        sums_of_values=source.times in ("periods", "frequencies"),
    )


def _check_rate(shape: StreamShape) -> None:
    if math.isnan(shape.dt):
        raise ValueError(
            f"the samples of {shape.name!r} do not come at a constant rate; take blocks by tap()"
        )


def _checked_restart(restart: Restart | None, tasks: Tasks, no_samples: float | None) -> Restart | None:
    if restart is None:
        return None
    if not isinstance(restart, Restart):
        raise TaskError(f"restart must be a daqring.Restart, not {restart!r}")
    if not TaskSet.is_factory(tasks):
        raise TaskError(
            "a restart needs a function that makes the tasks, because the task of a device that went away "
            "cannot be used again; give daqring.record(make_tasks, ...) instead of the tasks"
        )
    if "no samples" in restart.reasons and no_samples is None:
        raise TaskError("a restart on 'no samples' needs no_samples=, the seconds after which that is so")
    return restart


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A request to end (SIGTERM, SIGHUP) is taken as Ctrl-C, where nobody else takes it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    ours = [number for number in ENDINGS if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def _unbroken(recorder: Recorder, *, again: bool) -> Iterator[None]:
    """In the main thread, Ctrl-C and SIGTERM wait until the file is finished; where one ended the
    recording already, `again`, more of them change nothing."""
    handlers: dict[int, Any] = {}
    came: list[int] = []

    def later(number: int, frame: object) -> None:
        if not came:
            logger.warning("%s is still being finished; please wait", recorder)
        came.append(number)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, *ENDINGS):
            handler = signal.getsignal(number)
            if callable(handler):
                handlers[number] = handler
                signal.signal(number, later)
    try:
        yield
    finally:
        for kept, handler in handlers.items():
            signal.signal(kept, handler)
    for late in dict.fromkeys(came):
        if not again:
            handlers[late](late, None)


def _called(number: int, task: nidaqmx.Task) -> str:
    """The name of a task, or its number where it does not tell."""
    try:
        return f"task {task.name!r}"
    except Exception:
        return f"task number {number + 1}"


def _free_name(name: str, taken: set[str]) -> str:
    """The name, or with the first number behind it that makes it unlike all others."""
    if name not in taken:
        return name
    return next(f"{name} {number}" for number in itertools.count(2) if f"{name} {number}" not in taken)


def _loss_sentence(report: Report) -> str:
    parts = "; ".join(report.gap_lines()) or f"{report.lost:,} samples per channel"
    causes = {gap.cause for gap in report.gaps}
    advice = {
        "overwrite": " Raise buffer_seconds, or keep other Python code from holding the interpreter.",
        "device overflow": " Lower the rate, or give the device a faster bus.",
        "foreign read": " Read from the task nowhere else while it is recorded.",
    }
    return f"samples were lost: {parts}." + "".join(advice.get(cause, "") for cause in sorted(causes))
