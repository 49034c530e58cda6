"""Recorders that a program leaves running: they are closed when it forgets them, or when it ends.

Without that the threads of a recording would run into an interpreter that is being torn down: what they
have not written would be missing, and a stage that is a Python function would abort the process.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import warnings
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daqring.recorder import Recorder

__all__ = ["add", "discard", "forgotten"]

logger = logging.getLogger("daqring")

_running: weakref.WeakSet[Recorder] = weakref.WeakSet()
#: Those that are being closed because the program forgot them.
_forgotten: set[Recorder] = set()
#: May be taken again by its thread: a recorder is forgotten wherever the garbage is collected.
_lock = threading.RLock()
_registered = False
#: Whether the program has ended.
_ended = False


def add(recorder: Recorder) -> None:
    """It has been started."""
    global _registered
    with _lock:
        if not _registered:
            # At the first start, not at import: what others registered before comes after it, and what a
            # program registers after it to close its recorders by itself comes first.
            atexit.register(_close_all)
            _registered = True
        _running.add(recorder)


def discard(recorder: Recorder) -> None:
    """Its file is finished."""
    with _lock:
        _running.discard(recorder)


def forgotten(recorder: Recorder) -> None:
    """Nobody but the caller, who finalizes it, refers to a recorder that runs."""
    with _lock:
        if _ended:
            return
        _forgotten.add(recorder)
    logger.warning("%s was not closed, and the program forgot it: its file is finished now", recorder)
    recorder._end("stopped")
    if threading.current_thread() is threading.main_thread():
        _close(recorder)
        return
    # This may be one of the threads that its end waits for.
    with contextlib.suppress(RuntimeError):  # the interpreter ends, and closes it
        threading.Thread(target=_close, args=(recorder,), name="daqring-close", daemon=True).start()


def _close_all() -> None:
    """Closes what runs at the end of the program, whose exit status stays as it is."""
    global _ended
    with _lock:
        _ended = True
        recorders = {*_running, *_forgotten}
        # The threads of a recorder from before a fork are not in this process.
        recorders = {recorder for recorder in recorders if recorder._pid == os.getpid()}
        told = set(_forgotten)
    for recorder in recorders:
        if recorder not in told:
            logger.warning("%s was not closed: its file is finished now, as the program ends", recorder)
        recorder._end("stopped")
    for recorder in recorders:
        _close(recorder)


def _close(recorder: Recorder) -> None:
    """Closes it; what goes wrong is told, and raises nothing."""
    try:
        if recorder._native is not None:
            # Nobody takes blocks out of a stream any more.
            recorder._native.close_feed()
        recorder.close()
    except BaseException as error:
        logger.error("%s: %s", recorder, " ".join(str(error).split()) or repr(error))
    try:
        warnings.warn(f"unclosed {recorder!r}", ResourceWarning, source=recorder, stacklevel=1)
    except ResourceWarning as warning:
        # Where warnings are errors: nobody is there to be told by one.
        logger.error("%s", warning)
    with _lock:
        _running.discard(recorder)
        _forgotten.discard(recorder)
