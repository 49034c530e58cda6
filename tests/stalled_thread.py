"""A disk that does not answer, from outside: holds one thread of another process, as a write that hangs does.

The thread that writes the log stands still and nothing else does, which is what the others of its process
see of a stalled disk. By ptrace, so that no line of the product knows of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["bury", "can_stall", "stalled", "thread_of"]

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
#: Of waitpid: of a thread, too.
WALL = 0x40000000


def thread_of(pid: int, name: str) -> int:
    """The number of a process's only thread of this name."""
    (found,) = [
        int(thread.name)
        for thread in Path(f"/proc/{pid}/task").iterdir()
        if (thread / "comm").read_text().strip() == name
    ]
    return found


def _ptrace(request: int, thread: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    library.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if library.ptrace(request, thread, None, None):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), f"ptrace of thread {thread}")


@contextlib.contextmanager
def stalled(pid: int, name: str = "daqring-writer") -> Iterator[int]:
    """Holds the thread of this name within the context; gives its number.

    Whoever lets the process end within the context calls :func:`bury` before waiting for it.
    """
    thread = thread_of(pid, name)
    _ptrace(SEIZE, thread)
    _ptrace(INTERRUPT, thread)
    os.waitpid(thread, WALL)
    try:
        yield thread
    finally:
        with contextlib.suppress(ProcessLookupError):
            _ptrace(DETACH, thread)


def bury(thread: int) -> None:
    """Waits until a held thread was ended with its process, which does not end before that."""
    os.waitpid(thread, WALL)


def can_stall() -> bool:
    """Whether this system lets a process hold a thread of its child."""
    if not sys.platform.startswith("linux"):
        return False
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        _ptrace(SEIZE, child)
    except OSError:
        return False
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, WALL)
    return True
