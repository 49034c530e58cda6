"""Keeping the computer from sleeping while a recording runs, where the system allows it."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

__all__ = ["kept_awake"]

logger = logging.getLogger("daqring")


@contextlib.contextmanager
def kept_awake(reason: str) -> Iterator[str]:
    """Keeps the computer awake within the context; gives how, or an empty text where nothing can.

    Windows: ``SetThreadExecutionState`` of the calling thread, which has to stay until the end.
    macOS: ``caffeinate``. Linux: ``systemd-inhibit``. All three end by themselves with the process.
    """
    if sys.platform == "win32":
        yield from _windows()
    elif sys.platform == "darwin":
        yield from _beside(["caffeinate", "-i", "-s", "-w", str(os.getpid())])
    else:
        yield from _beside(
            [
                *("systemd-inhibit", "--what=sleep:idle", "--who=daqring", f"--why={reason}", "--mode=block"),
                # Ends as soon as its input does: with this process at the latest.
                "cat",
            ]
        )


if sys.platform == "win32":

    def _windows() -> Iterator[str]:
        import ctypes

        # Source: the documentation of SetThreadExecutionState.
        continuous, system_required = 0x80000000, 0x00000001
        kernel = ctypes.windll.kernel32
        if not kernel.SetThreadExecutionState(continuous | system_required):
            logger.warning("the computer cannot be kept from sleeping: SetThreadExecutionState refuses")
            yield ""
            return
        try:
            yield "SetThreadExecutionState"
        finally:
            kernel.SetThreadExecutionState(continuous)


def _beside(command: list[str]) -> Iterator[str]:
    """A program that keeps the system awake as long as it runs."""
    program = shutil.which(command[0])
    if program is None:
        logger.warning("the computer cannot be kept from sleeping: there is no %s here", command[0])
        yield ""
        return
    process = subprocess.Popen(
        [program, *command[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C is for the recording: the sleep stays prevented until that has ended.
        start_new_session=True,
    )
    try:
        # A refusal (no session, no rights) comes at once.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.3)
            logger.warning("the computer cannot be kept from sleeping: %s refuses", command[0])
            yield ""
            return
        yield command[0]
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
        process.wait()
