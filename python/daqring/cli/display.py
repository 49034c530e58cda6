"""The health of recordings as lines of text."""

from __future__ import annotations

import os
import shutil
import sys
from typing import IO, Any

__all__ = ["Display", "duration", "health_lines", "size"]

COLOURS = {"GOOD": "\x1b[32m", "WATCH": "\x1b[33m", "BAD": "\x1b[1;31m"}
PLAIN = "\x1b[0m"
WIDTH = 24
INDENT = " " * 6
#: Values of channels are shown on so many lines.
VALUE_LINES = 3


def duration(seconds: float) -> str:
    """A time in the units that a person would choose: ``3 d 4 h``, ``2.5 s``, ``4 ms``."""
    if seconds < 1.0:
        return f"{seconds * 1e3:,.0f} ms"
    if seconds < 60.0:
        return f"{seconds:.1f} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    if hours < 48:
        return f"{hours} h {minutes % 60} min"
    return f"{days:,} d {hours % 24} h" if days < 1000 else "years"


def size(count: float) -> str:
    """Bytes in decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def health_lines(health: dict[str, Any], head: str = "", width: int = 100) -> list[str]:
    """Lines that tell a health (:meth:`daqring.health.Health.to_dict`), the verdict first; not coloured."""
    wanted = health["wanted"]
    begin = f"{health['verdict']:5} {head}"
    lost = f"{health['lost']:,}" + (" and more" if health["lost_unknown"] else "")
    # A process that runs another version of daqring may not tell the rest.
    gated, records = health.get("gated", 0), health.get("records", {})
    figures = [duration(health["elapsed"])]
    if health["samples"] or not records:
        figures.append(f"{health['samples']:,} samples")
    figures += [_told(name, count, several=len(records) > 1) for name, count in records.items()]
    figures += [size(health["bytes"] + health.get("stage_bytes", 0)), f"lost {lost}"]
    if wanted:
        done = min((health["samples"] + gated) / wanted, 1.0)
        # The bar takes the room that is there: what is told behind it counts more.
        room = width - len(begin + f"[] {done:.0%} " + ", ".join(figures))
        long = min(WIDTH, room)
        filled = round(done * long)
        begin += f"[{'#' * filled}{'.' * (long - filled)}] {done:.0%} " if long > 3 else f"{done:.0%} "
    lines = _filled(begin, figures, ", ", width)
    actual, wanted_rate = health["actual_mb_per_s"], health["wanted_mb_per_s"]
    slow = wanted_rate < 0.1
    figures = [
        f"{actual * 1e3:,.1f} of {wanted_rate * 1e3:,.1f} kB/s"
        if slow
        else f"{actual:,.1f} of {wanted_rate:,.1f} MB/s",
        *(["the rest is gated"] if gated else []),
        f"room: ring {duration(health['ring_margin'])}, driver {duration(health['driver_margin'])}",
        f"slowest write {duration(health['slowest_write'])}",
    ]
    if health["disk_seconds"] is not None:
        figures.append(f"disk lasts {duration(health['disk_seconds'])}")
    lines += _filled(INDENT, figures, "; ", width)
    for reason in health["reasons"]:
        lines += _filled(f"{INDENT}! ", reason.split(" "), " ", width)
    stale = health.get("stale", {})
    values = [
        f"{short} {value:.6g} {unit}".rstrip() + (f" ({duration(stale[name])} old)" if name in stale else "")
        for short, (name, (value, unit)) in zip(
            _shortened(list(health["values"])), health["values"].items(), strict=True
        )
    ]
    if values:
        lines += _some(values, width)
    return [line if len(line) <= width else line[: width - 1] + "…" for line in lines]


def _told(name: str, count: int, *, several: bool) -> str:
    """How many records a trigger has made."""
    of = f" of {name}" if several else ""
    if not count:
        return f"no record{of} yet (waiting for a trigger)"
    return f"{count:,} record{'s' if count > 1 else ''}{of}"


def _filled(begin: str, parts: list[str], between: str, width: int) -> list[str]:
    """The parts behind `begin`, on as many lines as they need, indented from the second on."""
    lines = [begin]
    empty = True
    for part in parts:
        if not empty and len(lines[-1]) + len(between) + len(part) > width:
            lines[-1] += between.rstrip()
            lines.append(INDENT)
            empty = True
        lines[-1] += part if empty else between + part
        empty = False
    return lines


def _some(values: list[str], width: int) -> list[str]:
    """As many of the values as the lines for them hold."""
    for count in range(min(len(values), VALUE_LINES * width // 4), 0, -1):
        more = [f"and {len(values) - count} more"] if count < len(values) else []
        told = _filled(INDENT, values[:count] + more, "  ", width)
        if len(told) <= VALUE_LINES:
            return told
    return [f"{INDENT}{len(values)} channels"]


def _shortened(names: list[str]) -> list[str]:
    """The ends of paths, as long as they need to be to tell them apart."""
    for count in range(1, 1 + max((name.count("/") for name in names), default=0)):
        short = ["/".join(name.split("/")[-count:]) for name in names]
        if len(set(short)) == len(names):
            return short
    return names


class Display:
    """A few lines on a terminal, rewritten in place; silent where the stream is no terminal."""

    def __init__(self, stream: IO[str] | None = None, enabled: bool | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self.enabled = self._stream.isatty() if enabled is None else enabled
        self._drawn = 0
        if self.enabled and sys.platform == "win32":
            # An empty command lets the console understand the sequences below.
            os.system("")

    @property
    def width(self) -> int:
        """Columns that a line may have."""
        return max(40, shutil.get_terminal_size().columns - 1)

    def draw(self, lines: list[str]) -> None:
        """Puts these lines in the place of the ones drawn before."""
        if not self.enabled:
            return
        # What is higher than the terminal could not be rewritten.
        height = max(2, shutil.get_terminal_size().lines - 1)
        if len(lines) > height:
            lines = [*lines[: height - 1], f"... and {len(lines) - height + 1} lines more"]
        text = f"\x1b[{self._drawn}F" if self._drawn else ""
        coloured = "NO_COLOR" not in os.environ
        for line in lines:
            for word, colour in COLOURS.items() if coloured else ():
                if line.startswith(word):
                    line = f"{colour}{word}{PLAIN}{line[len(word) :]}"
            text += f"{line}\x1b[K\n"
        # What was longer before is taken away.
        self._stream.write(text + "\x1b[J")
        self._stream.flush()
        self._drawn = len(lines)

    def clear(self) -> None:
        """Takes the lines away."""
        if self._drawn:
            self.draw([])
