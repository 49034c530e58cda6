"""A log as text: the tree of its groups and channels, its gaps, records and events, its health."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from daqring.log import Log, LogChannel, LogGroup

__all__ = ["describe"]

#: Lines of gaps, records and events that are shown.
MOST = 10
NOT_WANTED = "deliberately not recorded"


def describe(log: Log) -> str:
    """What is in a log: one string of lines."""
    lines = [log.path]
    if len(log.paths) > 1:
        lines[0] += f" and {len(log.paths) - 1} more files, to {log.paths[-1]}"
    segments = log.to_dict()["segments"]
    lines.append(f"  {_bytes(log.size)} in {segments:,} segments")
    if log.properties.get("daqring.checksum") == "none":
        lines.append(
            "  recorded without checksums but where a tail file needed them: "
            "'daqring verify' tells what can be checked"
        )
    for name, value in log.properties.items():
        first, *more = str(value).rstrip("\n").split("\n")
        # Text of several lines, such as the run file, stands below its name.
        lines += (
            [f"  {name} =", *(f"    | {one}".rstrip() for one in (first, *more))]
            if more
            else [f"  {name} = {first}"]
        )
    for group in log.groups.values():
        if not group.housekeeping:
            lines += _group(group)
    wanted = [(stream, gap) for stream, gap in log.gaps if gap.cause != NOT_WANTED]
    records, events = log.records, log.events
    lines += _some([f"event at {time} UTC: {text}" for time, text in events], "events")
    lines += _some(
        [
            f"record {one.number} of {one.stream}: {one.samples:,} samples "
            f"({one.pretrigger:,} before the trigger) from {one.t0} UTC"
            for one in records
        ],
        "records",
    )
    lines += _some([f"gap in {stream}: {gap}" for stream, gap in wanted], "gaps")
    if not wanted:
        lines.append("no gaps recorded")
    if log.problem:
        lines.append(f"damaged: {log.problem}")
    if not log.finished:
        lines.append("the recording was not finished, or is still running")
    return "\n".join(lines)


def _some(lines: list[str], what: str) -> list[str]:
    if len(lines) <= MOST:
        return lines
    return [*lines[: MOST - 1], f"and {len(lines) - MOST + 1:,} more {what}"]


def _group(group: LogGroup) -> list[str]:
    channels = group.channels
    lines = [f"group {group.name}" + (f": {len(channels)} channels" if channels else ": no channels")]
    lines += [
        f"  | {name} = {value}"
        for name, value in group.properties.items()
        if not name.startswith(("NI_", "daqring."))
    ]
    for number, channel in enumerate(channels):
        lines.append(("  └─ " if number + 1 == len(channels) else "  ├─ ") + _channel(channel))
    return lines


def _channel(channel: LogChannel) -> str:
    out = f"{channel.name}: {len(channel):,} samples, {channel.raw.dtype}"
    if channel.dtype != channel.raw.dtype:
        out += f" read as {channel.dtype}"
    if channel.unit:
        out += f", {channel.unit}"
    if channel.dt:
        out += f", {1 / channel.dt:,.12g} S/s, {_duration(len(channel) * channel.dt)}"
    if channel.t0 is not None:
        out += f", from {channel.t0} UTC"
    return out


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.6g} s"
    return str(np.timedelta64(round(seconds), "s").item())


def _bytes(count: int) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count} bytes"
