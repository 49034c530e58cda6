"""Functions of one's own that look at a recording while it runs, from tables of plain values.

Each is called in a thread of its own with a tap and the recorder::

    def look(tap, recorder):
        for block in tap:
            if block.scaled()[0].max() > 9.5:
                recorder.capture()

What a tap is slow for is dropped and counted; the recording never waits for it, and goes on where the
function ends or fails.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from daqring.task_tables import TableError, suggestion
from daqring.toml_lines import KeyPath

if TYPE_CHECKING:
    from daqring.recorder import Recorder

__all__ = ["KEYS", "TapCall", "check_taps", "looking", "prepare"]

logger = logging.getLogger("daqring")

KEYS = ("call", "kind", "stream", "depth", "rate")
#: Seconds that functions have to come to their ends once the recording is over.
PATIENCE = 5.0


@dataclasses.dataclass(frozen=True)
class TapCall:
    """A function, and the tap that it is given."""

    function: Callable[[Any, Recorder], Any]
    #: Arguments of :meth:`daqring.Recorder.tap`.
    arguments: dict[str, Any]


def check_taps(tables: object, path: KeyPath) -> None:
    """Checks the tables, without importing the functions.

    Raises:
        TableError: They cannot be taps.
    """
    for number, table in enumerate(tables if isinstance(tables, list) else []):
        here: KeyPath = (*path, number)
        if not isinstance(table, dict):
            raise TableError("must be a table", here)
        for key, value in table.items():
            if key not in KEYS:
                raise TableError(f"no such key of a tap{suggestion(key, KEYS)}", (*here, key))
            if key in ("call", "stream") and (not isinstance(value, str) or not value):
                raise TableError(f"{value!r} must be a text", (*here, key))
            if key == "kind" and value not in ("blocks", "envelope"):
                raise TableError(f"{value!r} must be one of blocks, envelope", (*here, key))
            whole = isinstance(value, int) and not isinstance(value, bool)
            if key == "depth" and (not whole or not 1 <= value <= 1_000_000):
                raise TableError(f"{value!r} must be a whole number from 1 to 1,000,000", (*here, key))
            if key == "rate" and not ((whole or isinstance(value, float)) and 0 < value < float("inf")):
                raise TableError(f"{value!r} must be a finite number above 0", (*here, key))
        if "call" not in table:
            raise TableError('call is missing: the function, such as "view.py:show"', here)


def prepare(recorder: Recorder, calls: Sequence[TapCall]) -> None:
    """Lets the taps of the functions be there when a recorder starts, so that they see the first block.
    The start raises ValueError where there is no such stream."""
    recorder._taps_from_start = [call.arguments for call in calls]


@contextlib.contextmanager
def looking(recorder: Recorder, calls: Sequence[TapCall]) -> Iterator[None]:
    """Lets the functions look at a running recorder, to its end, through the taps that were prepared."""
    taps = list(zip(calls, recorder._first_taps, strict=True))
    threads = [
        threading.Thread(
            target=_call, args=(call.function, tap, recorder), name=f"daqring-tap-{number}", daemon=True
        )
        for number, (call, tap) in enumerate(taps)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for (_, tap), thread in zip(taps, threads, strict=True):
            thread.join(PATIENCE)
            if thread.is_alive():
                logger.warning("%s has not ended; it is left alone", thread.name)
            tap.close()


def _call(function: Callable[[Any, Recorder], Any], tap: Any, recorder: Recorder) -> None:
    try:
        function(tap, recorder)
    except Exception:
        name = getattr(function, "__qualname__", repr(function))
        logger.exception("the tap %s failed; the recording goes on without it", name)
    finally:
        # Until then every block would be copied for it.
        tap.close()
