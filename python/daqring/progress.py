"""The line on the terminal while a recording runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daqring.recorder import Recorder

__all__ = ["ProgressBar"]

WIDTH = 24


class ProgressBar:
    """One line on stderr, rewritten in place; silent where stderr is no terminal."""

    #: Seconds between two looks.
    interval = 0.1

    def __init__(self, enabled: bool | None = None) -> None:
        self._enabled = sys.stderr.isatty() if enabled is None else enabled
        self._shown = 0

    def show(self, recorder: Recorder) -> None:
        """Draws the state of a running recorder."""
        if not self._enabled:
            return
        stats = recorder.stats()
        streams = stats["streams"]
        # Of several tasks the one that is furthest; what a stage keeps from the log is done, too.
        seconds = max((stream["samples"] + stream["gated"]) / stream["rate"] for stream in streams)
        rate = stats["bytes"] / stats["elapsed"] / 1e6 if stats["elapsed"] > 0 else 0.0
        if recorder.wanted is None:
            head = f"{seconds:.1f} s, Ctrl-C ends"
        else:
            done = min((stats["samples"] + stats["gated"]) / recorder.wanted, 1.0)
            filled = round(done * WIDTH)
            bar = "#" * filled + "." * (WIDTH - filled)
            whole = max(stream["wanted"] / stream["rate"] for stream in streams)
            head = f"[{bar}] {seconds:.1f}/{whole:.1f} s"
        counts = [made["records"] for made in stats["derived"] if made["records"] is not None]
        if counts:
            head += f"  {sum(counts):,} records" if any(counts) else "  waiting for a trigger"
        self._draw(
            f"{head}  {rate:.1f} MB/s  ring {stats['ring_fill']:.0%}  "
            f"driver {stats['driver_fill']:.0%}  lost {stats['lost']:,}"
        )

    def clear(self) -> None:
        """Takes the line away."""
        if self._shown:
            self._draw("")
            sys.stderr.write("\r")
            sys.stderr.flush()

    def _draw(self, text: str) -> None:
        sys.stderr.write("\r" + text.ljust(self._shown))
        sys.stderr.flush()
        self._shown = max(self._shown, len(text))
