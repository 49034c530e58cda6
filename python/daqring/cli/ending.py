"""A recording in the foreground, and the ways in which it is told to end.

Ctrl-C, SIGTERM, SIGHUP (the terminal was closed; not under ``nohup``), and on Windows the closing of the
console, a logoff and a shutdown end it in order: the file is finished and the report told. A second
Ctrl-C (or SIGTERM) insists and leaves at once; the file is then as after a crash, for ``daqring recover``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from daqring.awake import kept_awake
from daqring.cli.arguments import EXIT_INTERRUPTED
from daqring.cli.display import Display, health_lines
from daqring.cli.window import Window
from daqring.tap_tables import TapCall, looking, prepare

if TYPE_CHECKING:
    from daqring.recorder import Recorder
    from daqring.report import Report

__all__ = ["Ending"]

logger = logging.getLogger("daqring")

#: Seconds between two looks at whether somebody asked for the end.
STEP = 0.1
#: Seconds between two pictures of the health.
SHOW_EVERY = 0.5
#: Windows ends a process 5 s after it was told that its console closes.
CONSOLE_GRACE = 4.5


class Ending:
    """Runs a recorder until it ends by itself or somebody asks. A context: handlers are put back."""

    def __init__(
        self,
        recorder: Recorder,
        *,
        keep_awake: bool = False,
        metrics: int | str | None = None,
        taps: Sequence[TapCall] = (),
        scope: str | None = None,
    ) -> None:
        self._recorder = recorder
        self._asked = threading.Event()
        self._over = threading.Event()
        self._kept: dict[int, Any] = {}
        # Of a terminal that is gone nobody can say any more that it was one.
        self._terminals = [stream for stream in (1, 2) if os.isatty(stream)]
        self._stack = contextlib.ExitStack()
        self._keep_awake = keep_awake
        self._metrics = metrics
        self._taps = taps
        #: The file to be looked at in a window meanwhile.
        self._scope = scope

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM)}:
                self._kept[number] = signal.signal(number, self._signalled)
            # Who ignores it, as nohup does, wants the recording to outlive the terminal.
            if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
                self._kept[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._hung_up)
        if sys.platform == "win32":
            self._stack.enter_context(_console_handler(self._console_closes))
        if self._keep_awake:
            self._stack.enter_context(kept_awake("recording"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._kept.items():
            signal.signal(number, handler)
        self._over.set()
        self._stack.close()

    def run(self, show: bool | None) -> Report:
        """Starts, waits, finishes; raises what :meth:`daqring.Recorder.close` raises."""
        recorder = self._recorder
        display = Display(enabled=show)
        if self._metrics is not None:
            from daqring.metrics import served

            # Before the start: an address that is taken is no reason to stop a recording.
            host, port = self._stack.enter_context(served(recorder, self._metrics))
            logger.info("metrics at http://%s:%d/metrics", host, port)
        prepare(recorder, self._taps)
        recorder.start()
        window: Window | None = None
        try:
            if self._scope is not None:
                window = Window(self._scope)
                self._stack.callback(window.leave)
            self._stack.enter_context(looking(recorder, self._taps))
            due = 0.0
            while not self._asked.is_set() and not recorder.wait(STEP):
                if window is not None:
                    window.look()
                if display.enabled and time.monotonic() >= due:
                    due = time.monotonic() + SHOW_EVERY
                    display.draw(health_lines(recorder.health().to_dict(), width=display.width))
        finally:
            if self._asked.is_set():
                recorder._end("interrupted")
            # Beside this thread, so that a second signal is heard while a slow disk is waited for.
            finishing = threading.Thread(target=self._finish, name="daqring-finish")
            finishing.start()
            while finishing.is_alive():
                finishing.join(STEP)
            display.clear()
        return recorder.close()

    def _finish(self) -> None:
        # What goes wrong is raised by close().
        with contextlib.suppress(Exception):
            self._recorder._finish()

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if self._asked.is_set():
            os.write(2, b"\ndaqring: left at once; 'daqring recover' completes the unfinished file\n")
            os._exit(EXIT_INTERRUPTED)
        self._asked.set()
        if sys.stderr.isatty():
            os.write(2, b"\ndaqring: ending in order; once more leaves at once\n")

    def _hung_up(self, number: int, frame: FrameType | None) -> None:
        # Writing to a terminal that is gone is an error, and nobody would read it.
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in self._terminals:
                os.dup2(nowhere, stream)
            os.close(nowhere)
        self._asked.set()

    def _console_closes(self) -> None:
        """In a thread of the system's: the process is ended as soon as this returns."""
        self._asked.set()
        deadline = time.monotonic() + CONSOLE_GRACE
        self._over.wait(max(0.0, deadline - time.monotonic()))


if sys.platform == "win32":

    @contextlib.contextmanager
    def _console_handler(act: Callable[[], None]) -> Any:
        """Calls `act` when the console is closed, the user logs off or the system shuts down."""
        import ctypes
        from ctypes import wintypes

        # CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT; source: documentation of HandlerRoutine.
        ends = {2, 5, 6}

        @ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)
        def handler(event: int) -> bool:
            if event not in ends:
                return False
            act()
            return True

        kernel = ctypes.windll.kernel32
        if not kernel.SetConsoleCtrlHandler(handler, True):
            logger.warning("the closing of the console will not be heard")
        try:
            yield
        finally:
            kernel.SetConsoleCtrlHandler(handler, False)
