"""Every block, in Python, while it is recorded: :func:`stream`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from daqring import _native
from daqring.errors import TaskError
from daqring.recorder import Recorder
from daqring.taps import Block, StreamShape

if TYPE_CHECKING:
    from daqring.report import Report
    from daqring.tasks import Tasks

__all__ = ["Stream", "stream"]

#: How often a waiting consumer looks whether the reading is over.
LOOK = 0.1


def stream(
    tasks: Tasks,
    path: str | os.PathLike[str] | None = None,
    *,
    output: str | Sequence[str] | None = None,
    **options: Any,
) -> Stream:
    """Hands out every block of a task, in order, at the pace of your loop::

        for block in daqring.stream(task, seconds=10):
            spectrum = np.fft.rfft(block.scaled())

    Nothing is skipped: a loop that is slow for a moment uses the ring's reserve and then that of the
    driver's buffer; one that is too slow for good ends in the driver's overflow, which the last
    report and the gap tell as they do in a recording. With a `path` the blocks are recorded as well,
    and come out of here after they were written.

    Leaving the loop by ``break``, ``return`` or an exception stops the task and finishes the file;
    so does Ctrl-C (or Jupyter's interrupt). The report is in :attr:`Stream.report` then.

    Args:
        tasks: As for :class:`Recorder`; blocks of several tasks come as they arrive, each with its
            task's name.
        path: Where to record, if at all.
        output: Whose blocks: the name of a stage, for what it puts out, of a task, or several names.
            Blocks of several streams come as they are made, each with its stream's name. Default: all
            tasks, and no stage.
        options: As for :class:`Recorder`: ``seconds``, ``samples``, ``block_ms``, ``stages`` ...

    Raises:
        TaskError: The task or an argument cannot be recorded.
    """
    wanted: bool | list[str] = True
    if output is not None:
        wanted = [output] if isinstance(output, str) else list(output)
        if not wanted or not all(isinstance(name, str) for name in wanted):
            raise TaskError(f"output must be the name of a stage or a task, or several, not {output!r}")
    return Stream(Recorder(tasks, path, _feed=wanted, **options))


class Stream:
    """The blocks of a running recorder: an iterator, an asynchronous one, and something to poll.

    It starts by itself when the first block is asked for, or on entry to its ``with`` block.
    """

    def __init__(self, recorder: Recorder) -> None:
        #: The recorder behind it: for :meth:`Recorder.stats`, :meth:`Recorder.annotate` and the like.
        self.recorder = recorder
        self._started = False
        self._input_ended = False
        self._over = False
        self._shapes: dict[int, tuple[StreamShape, int]] = {}

    def __repr__(self) -> str:
        state = "over" if self._over else "running" if self._started else "begins with its first block"
        return f"<Stream of {self.recorder!r}, {state}>"

    @property
    def report(self) -> Report:
        """What was recorded, once the stream is over.

        Raises:
            RuntimeError: It still runs.
        """
        return self.recorder.report

    @property
    def ended(self) -> bool:
        """Whether no block will come any more."""
        return self._over

    def start(self) -> None:
        """Starts the task, unless that was done.

        Raises:
            DriverError, OSError: As :meth:`Recorder.start`.
        """
        if not self._started:
            self.recorder.start()
            self._started = True

    def poll(self) -> Block | None:
        """The next block if there is one now: for a timer of a user interface. Never waits.

        Raises:
            DriverError, RecordingError: As :meth:`Recorder.close`, after the last block.
        """
        return self._take(0.0)

    def next(self, timeout: float = float("inf")) -> Block | None:
        """The next block, waiting for up to `timeout` seconds; ``None``: none came, or it is over."""
        while not self._over:
            block = self._take(min(timeout, LOOK))
            timeout -= LOOK
            if block is not None or timeout <= 0:
                return block
        return None

    def _take(self, timeout: float) -> Block | None:
        if self._over:
            return None
        self.start()
        try:
            native = self.recorder._live().next_block(timeout)
            block = None if native is None else self._wrap(native)
            if block is None and not self._input_ended and self.recorder.wait(0):
                # All is read: what is on its way comes out, and then the end.
                self._input_ended = True
                self.recorder._live().end_input()
            return block
        except EOFError:
            self._over = True
            self.recorder.close()
            return None

    def close(self) -> Report:
        """Stops, and gives the report. Blocks that were not taken are only in the log. Idempotent.

        Raises:
            DriverError, RecordingError: As :meth:`Recorder.close`.
        """
        self._over = True
        self._close_feed()
        return self.recorder.close()

    def _close_feed(self) -> None:
        native = self.recorder._native
        if native is not None:
            native.close_feed()

    def _wrap(self, native: _native.Block) -> Block:
        number = native.stream
        if number not in self._shapes:
            recorder = self.recorder
            self._shapes[number] = (recorder._shape(number), recorder._start_ns(number))
        return Block(native, *self._shapes[number])

    def _leave(self, reason: str = "stopped") -> None:
        """Ends the run; what went wrong in it stays in the report."""
        self._over = True
        if self._started:
            self.recorder._end(reason)
            self._close_feed()
            self.recorder._finish()

    def __iter__(self) -> Iterator[Block]:
        try:
            while not self._over:
                try:
                    block = self._take(LOOK)
                except KeyboardInterrupt:
                    if not self._started:
                        raise
                    # As for record(): an early end, in order.
                    self._leave("interrupted")
                    self.recorder._result(stacklevel=3)
                    return
                if block is not None:
                    yield block
                    del block
        finally:
            self._leave()

    async def __aiter__(self) -> AsyncIterator[Block]:
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        loop = asyncio.get_running_loop()
        # A thread waits in the place of the loop; this works with every kind of loop.
        with ThreadPoolExecutor(1, "daqring-stream") as bridge:
            try:
                while not self._over:
                    block = await loop.run_in_executor(bridge, self._take, LOOK)
                    if block is not None:
                        yield block
                        del block
            finally:
                self._over = True
                bridge.submit(self._leave).result()

    def __enter__(self) -> Stream:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave("interrupted" if kind is not None and issubclass(kind, KeyboardInterrupt) else "stopped")
        if error is None:
            self.recorder._result(stacklevel=3)

    async def __aenter__(self) -> Stream:
        import asyncio

        await asyncio.get_running_loop().run_in_executor(None, self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        import asyncio

        await asyncio.get_running_loop().run_in_executor(None, self.__exit__, kind, error, traceback)
