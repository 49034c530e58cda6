"""Checking and repairing logs: :func:`verify` checks a file, :func:`recover` brings back what is whole of a
damaged one, :func:`defragment` rewrites a fragmented one. Reading them is :mod:`daqring.log`."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from daqring import _native
from daqring.log import Log, LogChannel, LogGroup, LogStream, existing_file, open

__all__ = [
    "Log",
    "LogChannel",
    "LogGroup",
    "LogStream",
    "Recovery",
    "Verification",
    "defragment",
    "open",
    "recover",
    "verify",
]


@dataclasses.dataclass(frozen=True)
class Verification:
    """What :func:`verify` found. ``print`` it for one line per problem and a verdict."""

    #: The file.
    path: str
    #: Whether the file is undamaged, was finished, and tells of no loss.
    complete: bool
    #: One line that says so, or exactly what is missing.
    verdict: str
    #: What is wrong, in the order of the file.
    problems: tuple[str, ...]
    #: Segments that were checked.
    segments: int
    #: Those of them with samples that were recorded without a checksum: only their headers were checked.
    unchecked: int
    #: What was found of each stream: name, blocks, samples per channel, lost and damaged ones.
    streams: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return "\n".join([*self.problems, f"{self.path}: {self.verdict}"])


def verify(path: str | os.PathLike[str]) -> Verification:
    """Checks a recording from end to end: structure, checksums, sequence, gaps. Changes nothing.

    Raises:
        FileNotFoundError, OSError: The file cannot be read.
        LogFormatError: It is no TDMS file at all.
    """
    name = existing_file(path)
    result = _native.verify(name)
    return Verification(
        path=name,
        complete=result["complete"],
        verdict=result["verdict"],
        problems=tuple(result["problems"]),
        segments=result["segments"],
        unchecked=result["unchecked"],
        streams=tuple(result["streams"]),
    )


@dataclasses.dataclass(frozen=True)
class Recovery:
    """What :func:`recover` brought back. ``print`` it for one line."""

    #: The recovered log.
    output: str
    #: Whether recorded data could not be brought back.
    lost: bool
    #: Whether the recording had been finished in order.
    was_finished: bool
    #: Segments with samples that were kept.
    segments: int
    #: Those of them that were recorded without a checksum: nobody knows whether their data are what was
    #: recorded.
    unchecked: int
    #: What was left out: pairs of the place in the file and the number of bytes.
    discarded: tuple[tuple[int, int], ...]
    #: Of each stream: name, samples per channel, those that came from its tail file, and missing ones.
    streams: tuple[dict[str, Any], ...]
    #: The same as one line.
    summary: str

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return self.summary


def recover(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    in_place: bool = False,
    overwrite: bool = False,
) -> Recovery:
    """Brings back what a crash or a damaged disk has left of a recording.

    Every segment whose checksums are right is kept (of a recording without checksums, every one whose
    header is), and what was flushed to the tail file beside
    the log; samples that are missing become a gap that the recovered log tells of.

    Args:
        path: The log. It is not changed unless `in_place`.
        output: The copy to make; by default ``NAME.recovered.tdms`` beside the log.
        in_place: Instead of making a copy, cut the file behind its last sound segment and complete it.
            Only the end of a file can be repaired so.
        overwrite: Replace an existing `output`.

    Raises:
        FileExistsError, OSError: A file cannot be read or made.
        LogFormatError: The file is no log of daqring's, or (in place) is damaged inside.
        ValueError: Both `output` and `in_place` were given.
    """
    if in_place and output is not None:
        raise ValueError("a recovery is either in place or to an output")
    result = _native.recover(existing_file(path), output, in_place=in_place, overwrite=overwrite)
    return Recovery(
        output=os.fspath(result["output"]),
        lost=result["lost"],
        was_finished=result["was_finished"],
        segments=result["segments"],
        unchecked=result["unchecked"],
        discarded=tuple(result["discarded"]),
        streams=tuple(result["streams"]),
        summary=result["summary"],
    )


def defragment(
    path: str | os.PathLike[str], output: str | os.PathLike[str], *, overwrite: bool = False
) -> dict[str, int]:
    """Rewrites a fragmented TDMS file of another program into few large segments with checksums.

    All groups, channels, properties and values are those of the original, which is not changed.

    Returns ``segments_before``, ``segments_after``, ``bytes_before`` and ``bytes_after``.

    Raises:
        FileExistsError, OSError: A file cannot be read or made.
        LogFormatError: The file is damaged, is of a kind that is not read, or is daqring's own (whose
            segments are what the recording chose, see :class:`LogOptions`).
    """
    return _native.defragment(existing_file(path), output, overwrite)
