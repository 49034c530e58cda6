"""The scope beside a recording: in a process of its own, so that the recording does not depend on it."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
from typing import IO

from daqring.scope import DISPLAYS

__all__ = ["Window", "hindrance"]

logger = logging.getLogger("daqring")

#: The names that PyQtGraph finds Qt under.
QT = ("PySide6", "PyQt6", "PyQt5", "PySide2")

#: Of its process on POSIX systems, as by nice.
BACKWARD = 5


def hindrance() -> str | None:
    """Why no window can be opened here, as far as that can be told without loading Qt; ``None``: nothing."""
    missing = [] if _installed("pyqtgraph") else ["pyqtgraph"]
    if not any(map(_installed, QT)):
        missing.append(QT[0])
    if missing:
        return f"the scope needs {' and '.join(missing)}: pip install 'daqring[scope]'"
    if sys.platform.startswith("linux") and not (os.environ.keys() & DISPLAYS):
        return "there is no display to open a window on"
    return None


def _installed(module: str) -> bool:
    with contextlib.suppress(ImportError, ValueError):
        return importlib.util.find_spec(module) is not None
    return False


class Window:
    """``daqring scope`` on the file of a running recorder. It outlives this process, and may die before."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        # Ctrl-C and the end of the terminal are meant for the recording.
        apart = 0
        if sys.platform == "win32":
            apart |= subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
            apart |= subprocess.BELOW_NORMAL_PRIORITY_CLASS
        try:
            self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed in leave)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "daqring", "scope", "--wait", "--", os.fspath(path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                start_new_session=True,
                creationflags=apart,
            )
        except OSError as error:
            logger.warning("the scope cannot be opened: %s", error)
            return
        if sys.platform != "win32":
            # Drawing can wait for the recording's threads.
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, BACKWARD)

    def look(self) -> None:
        """Says in the log, once, that the window's process failed; that it was closed is nothing to tell."""
        if self._process is None or (status := self._process.poll()) is None:
            return
        self._process = None
        if status and self._said is not None:
            self._said.seek(0)
            lines = self._said.read().decode(errors="replace").strip().splitlines()
            said = f" ({lines[-1]})" if lines else ""
            logger.warning(
                "the scope has ended with status %d%s; the recording is not affected", status, said
            )

    def leave(self) -> None:
        """Lets go of the window, which stays open."""
        self.look()
        if self._said is not None:
            self._said.close()
        if self._process is not None:
            # It is nobody's to be waited for: without this its object complains that it still runs.
            self._process.returncode = 0
            self._process = None
