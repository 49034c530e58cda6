"""The thread that looks after a running recording, where there is something to look after."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daqring.recorder import Recorder

__all__ = ["Watch"]

#: Seconds between two looks.
PERIOD = 0.05


class Watch:
    """Calls ``recorder._look()`` again and again, until that says that there is no more to look after.

    It holds no reference to the recorder between two looks: who forgets a recorder frees its tasks.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._ended = threading.Event()
        self._hurry = threading.Event()
        watched, ended, hurry = weakref.ref(recorder), self._ended, self._hurry

        def run() -> None:
            try:
                while (recorder := watched()) is not None and recorder._look():
                    del recorder
                    hurry.wait(PERIOD)
                    hurry.clear()
            finally:
                ended.set()

        self._thread = threading.Thread(target=run, name="daqring-watch", daemon=True)
        self._thread.start()

    def hurry(self) -> None:
        """Lets it look at once."""
        self._hurry.set()

    def wait(self, timeout: float | None) -> bool:
        """Waits until there is nothing to look after any more; whether that is so."""
        return self._ended.wait(timeout)

    def join(self) -> None:
        """Waits for the end of the thread."""
        if threading.current_thread() is not self._thread:
            self._thread.join()
