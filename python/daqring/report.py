"""What a recording has to say once it is over."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["Gap", "Report", "StreamReport", "combine", "gravest"]

#: Causes of gaps, as the log numbers them, and what a person should know of each.
GAP_CAUSES: dict[int, tuple[str, str]] = {
    1: ("overwrite", "the driver's buffer was full: the reader came too late"),
    2: ("device overflow", "the device's own memory was full: the bus or the computer was too slow"),
    3: ("overrun", "daqring's ring was full: the disk or a stage was too slow"),
    4: ("foreign read", "other code read from the task while it was recorded"),
    5: ("unplugged", "the device went away"),
    255: ("unknown", "the driver's count does not agree with what was read"),
}


@dataclasses.dataclass(frozen=True)
class Gap:
    """A hole in the samples of a stream.

    ``first_sample`` is the index of the first missing sample since the start of the task, per
    channel; ``count`` the number of missing samples per channel, ``None`` where nobody knows.
    """

    first_sample: int
    count: int | None
    cause: str

    def __str__(self) -> str:
        count = "an unknown number of samples" if self.count is None else f"{self.count:,} samples"
        return f"{count} from sample {self.first_sample:,} on: {self.cause}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Figures:
    """What is told of each task, and of all of them together; see :class:`Report` for the units."""

    #: Group of the log that holds the samples; several are separated by commas.
    group: str
    #: Channel names, in the order of the tasks.
    channels: tuple[str, ...]
    #: Sample rate per channel, in Hz, as the driver coerced it.
    rate: float
    #: Samples per channel that were asked for; ``None`` for an open-ended run.
    requested: int | None
    #: Samples per channel in the log.
    samples_per_channel: int
    #: Samples in the log, all channels together.
    samples: int
    #: Blocks in the log: each is a TDMS segment, or a part of one where blocks are gathered.
    blocks: int
    #: Samples per channel that were lost on their way into the log, as far as counted: the holes in it.
    lost: int
    #: Whether samples are missing whose number nobody knows.
    lost_unknown: bool
    #: The holes, in order.
    gaps: tuple[Gap, ...]
    #: Samples per channel that the driver says it acquired; more than recorded where it went on
    #: after the last sample that was asked for. ``None`` where it did not say.
    acquired: int | None
    #: Bytes of samples in the log.
    bytes: int
    #: From the start of the task to its stop.
    duration: float
    #: Bytes of samples per second of duration, in 10**6.
    mb_per_s: float
    #: Why the recording ended: finished, stopped, interrupted, no samples,
    #: overwrite, device overflow, error.
    stop_reason: str
    #: The reader that ran: native or python.
    reader: str
    #: Why it was not the native one; empty where it was.
    reader_reason: str
    #: Reads of the driver, and those that gave less than was asked for.
    reads: int
    short_reads: int
    #: Seconds for which the samples of a read had been waiting for it: median, 99th percentile, most.
    lateness_p50: float
    lateness_p99: float
    lateness_max: float
    #: Data type in the log.
    dtype: str
    #: Why this data type.
    dtype_reason: str
    #: Slots of the ring, samples per channel of a slot, and most slots that were in use at once.
    ring_slots: int
    block_samples: int
    ring_high_water: int
    #: Seconds for which the ring could still have taken samples at the worst moment.
    ring_margin: float
    #: The driver's buffer and the largest backlog seen in it.
    driver_buffer: int
    driver_buffer_note: str
    driver_high_water: int
    #: Seconds for which the driver could still have waited for us at the worst moment seen.
    driver_margin: float
    #: What went wrong, where something did.
    error: str | None = None
    #: Samples per channel that were acquired and deliberately not recorded (a trigger's gate): no loss.
    gated: int = 0
    #: Samples per channel that were acquired after the last one in the log, as far as the driver tells, and
    #: are not there because an error (a full disk, a stage, the device) ended the recording: no hole.
    unstored: int = 0

    @property
    def complete(self) -> bool:
        """Whether every sample that was asked for is in the log, or was gated, and nothing went wrong."""
        return (
            not self.samples_lost
            and not self.unstored
            and self.error is None
            and (self.requested is None or self.samples_per_channel + self.gated == self.requested)
        )

    @property
    def samples_lost(self) -> bool:
        """Whether samples are missing between others, or because a buffer was full. What was not stored
        because an error ended the recording is counted by :attr:`unstored`."""
        return self.lost > 0 or self.lost_unknown


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamReport(_Figures):
    """What was recorded of one task; see :class:`Report` for the units."""

    #: The group whose task owns this one's sample clock or start trigger, where one of the recording does.
    clock_of: str | None = None
    #: How the samples were timed: sample clock, external clock, implicit, change detection, on demand. Of
    #: the last four, the file tells the time of each sample, and the rate is the one that room was
    #: planned for.
    timing: str = "sample clock"

    def __str__(self) -> str:
        asked = "" if self.requested is None else f" of {self.requested:,}"
        clock = "" if self.clock_of is None else f", clocked by {self.clock_of}"
        lost = f"{self.lost:,}" + (" and an unknown number more" if self.lost_unknown else "")
        lost += f", not stored {self.unstored:,}" if self.unstored else ""
        return (
            f"{self.group}: {self.samples_per_channel:,} samples{asked} on each of "
            f"{len(self.channels)} channels at {self.rate:,.12g} S/s{clock}, lost {lost}, "
            f"{self.mb_per_s:,.1f} MB/s as {self.dtype}, "
            f"{self.reader} reader, {self.ring_margin:.2f} s of margin in the ring and "
            f"{self.driver_margin:.2f} s in the driver, {self.stop_reason}"
        )


@dataclasses.dataclass(frozen=True)
class Work:
    """What a stage or a worker thread has done."""

    #: Of the stage, or ``worker 0`` ...
    name: str
    #: Whose blocks: the task's name, or that of the stage before it; empty for a worker.
    of: str
    blocks: int
    #: Seconds spent on them, and the most on one, by the clock.
    busy: float
    longest: float
    #: CPU seconds of a worker's thread; ``None`` where the system does not tell, and for a stage.
    cpu: float | None = None

    def __str__(self) -> str:
        cpu = "" if self.cpu is None else f", {self.cpu:,.2f} s of CPU"
        of = f" of {self.of}" if self.of else ""
        return (
            f"{self.name}: {self.blocks:,} blocks{of} in {self.busy:,.2f} s{cpu}, "
            f"{self.longest * 1e3:,.1f} ms for one at most"
        )


@dataclasses.dataclass(frozen=True)
class Output:
    """What a stage has put out. Samples are per channel."""

    name: str
    samples: int
    #: Of these, in the log.
    written: int
    #: Missing because of gaps in the source, as far as counted, and gaps of unknown size.
    lost: int
    lost_unknown: int
    #: Records of a trigger; ``None`` where the output is none of records.
    records: int | None = None

    def __str__(self) -> str:
        records = "" if self.records is None else f"{_count(self.records, 'record')}, "
        unknown = f" and {self.lost_unknown:,} gaps of unknown size" if self.lost_unknown else ""
        missing = f", {self.lost:,} missing{unknown}" if self.lost or self.lost_unknown else ""
        return f"{self.name}: {records}{self.samples:,} samples put out, {self.written:,} in the log{missing}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


#: Reasons for the end, the gravest first.
STOP_REASONS = ("error", "device overflow", "overwrite", "no samples", "interrupted", "stopped", "finished")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report(_Figures):
    """What was recorded, what was lost, and how much room there was. ``print`` it, or :meth:`to_dict`.

    Samples are per channel unless a name says otherwise; bytes are those of the samples;
    times are in seconds; MB is 10**6 bytes.

    With several tasks, :attr:`streams` has one report for each, and here stand, over all of them: the
    sums of samples, blocks, bytes, reads and losses; the largest rate, duration and lateness; ring and
    driver of the stream that had the least margin; the gravest reason for the end.
    """

    #: Files written, in order.
    files: tuple[str, ...]
    #: Size of the files.
    file_bytes: int
    #: How the file was written: direct or buffered; none without a file.
    io: str
    #: Why: asked for, or what was measured.
    io_reason: str
    #: Longest time the log took for one block.
    slowest_write: float
    #: What was said while recording when the disk was about to be full; ``None``: nothing.
    disk_low: str | None = None
    #: One report for each task, in the order in which they were given.
    streams: tuple[StreamReport, ...] = ()
    #: What the system refused of ``pin`` and ``priority``, in sentences.
    threads: tuple[str, ...] = ()
    #: What each stage has done (the checksum is one), what each worker, and what the stages put out.
    stages: tuple[Work, ...] = ()
    workers: tuple[Work, ...] = ()
    outputs: tuple[Output, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every sample that was asked for is in the log, or was gated."""
        return super().complete and all(stream.complete for stream in self.streams)

    def to_dict(self) -> dict[str, Any]:
        """All fields and :attr:`complete`, ready for JSON."""
        return dataclasses.asdict(self) | {"complete": self.complete}

    def _users_stages(self) -> list[Work]:
        return [work for work in self.stages if work.name != "crc32c"]

    def __str__(self) -> str:
        asked = "" if self.requested is None else f" of {self.requested:,} asked for"
        lost = f"{self.lost:,}"
        if self.lost_unknown:
            lost = f"{lost} and an unknown number more" if self.lost else "an unknown number"
        lines = [
            ("file", ", ".join(self.files) or "none"),
            (
                "recorded",
                f"{self.samples_per_channel:,} samples{asked} on each of {len(self.channels)} channels, "
                f"{self.samples:,} in all, in {self.blocks:,} blocks",
            ),
            ("lost", lost),
            *((("not stored", words),) if (words := self.unstored_words()) else ()),
            *((("gated", f"{self.gated:,} samples, deliberately not recorded"),) if self.gated else ()),
            *((f"gap {number}", text) for number, text in enumerate(self.gap_lines(), 1)),
            *((f"stream {number}", str(stream)) for number, stream in enumerate(self._several(), 1)),
            (
                "rate",
                f"{self.rate:,.12g} S/s per channel, {self.mb_per_s:,.1f} MB/s over {self.duration:,.2f} s",
            ),
            ("data", f"{self.bytes:,} bytes as {self.dtype_reason}"),
            (
                "reader",
                f"{self.reader}{f' ({self.reader_reason})' if self.reader_reason else ''}, "
                f"{self.reads:,} reads, late by {self.lateness_p50 * 1e3:.2f} ms (median), "
                f"{self.lateness_p99 * 1e3:.2f} ms (99 %), {self.lateness_max * 1e3:.2f} ms (most)",
            ),
            *((f"thread {number}", text) for number, text in enumerate(self.threads, 1)),
            *((f"output {number}", str(output)) for number, output in enumerate(self.outputs, 1)),
            *((f"stage {number}", str(work)) for number, work in enumerate(self._users_stages(), 1)),
            ("file I/O", f"{self.io}{f' ({self.io_reason})' if self.io_reason else ''}"),
            (
                "ring",
                f"{self.ring_high_water} of {self.ring_slots} slots in use at most, "
                f"{self.ring_margin:.2f} s of margin",
            ),
            (
                "driver",
                f"backlog of {self.driver_high_water:,} of {self.driver_buffer:,} samples seen at most, "
                f"{self.driver_margin:.2f} s of margin (buffer {self.driver_buffer_note})",
            ),
            *((("disk", self.disk_low),) if self.disk_low else ()),
            ("ended", self.stop_reason + (f": {self.error}" if self.error else "")),
        ]
        return "\n".join(f"{name + ':':10} {text}" for name, text in lines)

    def _several(self) -> tuple[StreamReport, ...]:
        return self.streams if len(self.streams) > 1 else ()

    def unstored_words(self) -> str:
        """What was acquired and is not in the file because an error ended the recording; empty: nothing."""
        if not self.unstored:
            return ""
        parts = [
            f"{stream.unstored:,} samples" + (f" of {stream.group!r}" if self._several() else "")
            for stream in self.streams
            if stream.unstored
        ]
        return f"the last {', '.join(parts)} acquired on each channel are not in the file"

    def gap_lines(self) -> list[str]:
        """The holes in words; with several tasks with the group that each is in."""
        if not self._several():
            return [str(gap) for gap in self.gaps]
        return [f"{stream.group}: {gap}" for stream in self.streams for gap in stream.gaps]


def combine(
    streams: tuple[StreamReport, ...],
    *,
    files: tuple[str, ...],
    file_bytes: int,
    io: str,
    io_reason: str = "",
    slowest_write: float,
    error: str | None = None,
    disk_low: str | None = None,
    threads: tuple[str, ...] = (),
    lost_unknown: bool = False,
) -> Report:
    """The report of a recording from those of its streams, and from what concerns all of them.

    `error` and `lost_unknown` are those of the recording, where no stream tells them.
    """
    tight_ring = min(streams, key=lambda stream: stream.ring_margin)
    tight_driver = min(streams, key=lambda stream: stream.driver_margin)
    late = max(streams, key=lambda stream: stream.lateness_p99)
    requested = [stream.requested for stream in streams if stream.requested is not None]
    acquired = [stream.acquired for stream in streams if stream.acquired is not None]
    duration = max(stream.duration for stream in streams)
    size = sum(stream.bytes for stream in streams)
    by_reason = sorted(streams, key=lambda stream: STOP_REASONS.index(stream.stop_reason))
    return Report(
        files=files,
        group=", ".join(stream.group for stream in streams),
        channels=tuple(channel for stream in streams for channel in stream.channels),
        rate=max(stream.rate for stream in streams),
        requested=sum(requested) if len(requested) == len(streams) else None,
        samples_per_channel=sum(stream.samples_per_channel for stream in streams),
        samples=sum(stream.samples for stream in streams),
        gated=sum(stream.gated for stream in streams),
        blocks=sum(stream.blocks for stream in streams),
        lost=sum(stream.lost for stream in streams),
        unstored=sum(stream.unstored for stream in streams),
        lost_unknown=lost_unknown or any(stream.lost_unknown for stream in streams),
        gaps=tuple(gap for stream in streams for gap in stream.gaps),
        acquired=sum(acquired) if len(acquired) == len(streams) else None,
        bytes=size,
        file_bytes=file_bytes,
        duration=duration,
        mb_per_s=size / duration / 1e6 if duration > 0 else 0.0,
        stop_reason=gravest([stream.stop_reason for stream in streams]),
        reader=_joined(stream.reader for stream in streams),
        reader_reason=_joined(stream.reader_reason for stream in streams if stream.reader_reason),
        reads=sum(stream.reads for stream in streams),
        short_reads=sum(stream.short_reads for stream in streams),
        lateness_p50=late.lateness_p50,
        lateness_p99=late.lateness_p99,
        lateness_max=max(stream.lateness_max for stream in streams),
        dtype=_joined(stream.dtype for stream in streams),
        dtype_reason=_joined(stream.dtype_reason for stream in streams),
        io=io,
        io_reason=io_reason,
        ring_slots=tight_ring.ring_slots,
        block_samples=tight_ring.block_samples,
        ring_high_water=tight_ring.ring_high_water,
        ring_margin=tight_ring.ring_margin,
        driver_buffer=tight_driver.driver_buffer,
        driver_buffer_note=tight_driver.driver_buffer_note,
        driver_high_water=tight_driver.driver_high_water,
        driver_margin=tight_driver.driver_margin,
        slowest_write=slowest_write,
        error=error or next((stream.error for stream in by_reason if stream.error), None),
        disk_low=disk_low,
        streams=streams,
        threads=threads,
    )


def gravest(reasons: Sequence[str]) -> str:
    """The one of some reasons for an end that says most."""
    return min(reasons, key=STOP_REASONS.index)


def _joined(texts: Iterable[str]) -> str:
    """Different texts, each once, separated by semicolons."""
    return "; ".join(dict.fromkeys(texts))


def work_of(counts: dict[str, Any], tasks: list[str]) -> dict[str, Any]:
    """The report's fields on stages, workers and outputs, from the native module's counters."""
    names = tasks + [derived["name"] for derived in counts["derived"]]

    def work(entry: dict[str, Any], name: str, of: str) -> Work:
        return Work(name, of, entry["blocks"], entry["busy"], entry["longest"], entry.get("cpu_seconds"))

    return {
        "stages": tuple(work(stage, stage["name"], names[stage["stream"]]) for stage in counts["stages"]),
        "workers": tuple(
            work(worker, f"worker {number}", "") for number, worker in enumerate(counts["workers"])
        ),
        "outputs": tuple(
            Output(
                derived["name"],
                derived["samples"],
                derived["written_samples"],
                derived["lost"],
                derived["lost_unknown"],
                derived["records"],
            )
            for derived in counts["derived"]
        ),
    }
