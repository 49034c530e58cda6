"""The threads behind `Workers` and `Pipeline`: started, watched, stopped and joined together."""

from __future__ import annotations

import atexit
import contextvars
import os
import reprlib
import sys
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterable
from typing import Any

IDLE: Any = object()

_current: contextvars.ContextVar[Crew | None] = contextvars.ContextVar("daqring.crew", default=None)
_alive: weakref.WeakSet[Crew] = weakref.WeakSet()


def cancelled() -> bool:
    """Whether the `Workers` or the `Pipeline` that runs the calling function wants to stop.

    For functions that take long over one item: look now and then, and return early. False in a thread
    that belongs to neither.
    """
    crew = _current.get()
    return crew is not None and crew.stopping


def short(item: object) -> str:
    """`repr(item)`, cut to a line; never fails."""
    try:
        text = reprlib.repr(item)
    except Exception as error:
        text = f"<{type(item).__name__} whose repr raises {type(error).__name__}>"
    text = " ".join(text.split())
    return text if len(text) <= 120 else text[:117] + "..."


class Member:
    """One thread of a crew, and what it has in its hands."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.item = IDLE
        self.since = 0.0
        self.thread = threading.Thread(name=name, daemon=True)

    def describe(self) -> str:
        """One line: idle, or the item and how long it has been worked on."""
        item, since = self.item, self.since
        if not self.thread.is_alive():
            return f"{self.name}: ended"
        if item is IDLE:
            return f"{self.name}: waiting for work"
        return f"{self.name}: {time.monotonic() - since:.3f} s on {short(item)}"

    def stack(self) -> str:
        """Where the thread is, innermost call last, without our own frames around it."""
        frame = sys._current_frames().get(self.thread.ident or 0)
        entries = traceback.extract_stack(frame) if frame else []
        entries = [entry for entry in entries if entry.filename not in _OWN_FILES]
        return "".join(traceback.StackSummary.from_list(entries).format())


class Crew:
    """A group of threads that ends as one: the first error stops all, and is what the caller sees."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self.members: list[Member] = []
        self.error: BaseException | None = None
        #: Set with the first error or by `cancel`: nobody starts another item.
        self.stopping = False
        self.was_cancelled = False
        self._stop = stop
        self._lock = threading.Lock()
        self._process = os.getpid()

    def start(self, bodies: Iterable[tuple[str, Callable[[Member], None]]]) -> None:
        """Start a thread for each body; they see copies of the caller's context variables."""
        for name, body in bodies:
            member = Member(name)
            context = contextvars.copy_context()
            member.thread = threading.Thread(
                name=name, target=context.run, args=(self._run, member, body), daemon=True
            )
            self.members.append(member)
        _alive.add(self)
        try:
            for member in self.members:
                if member.thread.ident is None:
                    member.thread.start()
        except BaseException:
            self.cancel()
            raise

    def _run(self, member: Member, body: Callable[[Member], None]) -> None:
        _current.set(self)
        try:
            body(member)
        except BaseException as error:
            self.fail(error)
        member.item = IDLE

    def fail(self, error: BaseException) -> None:
        """Stop everybody for this error, unless there was one before."""
        with self._lock:
            if self.error is None and not self.was_cancelled:
                self.error = error
            self.stopping = True
        self._stop()

    def cancel(self) -> None:
        """Stop everybody."""
        with self._lock:
            if not self.stopping:
                self.was_cancelled = True
            self.stopping = True
        self._stop()

    def check_process(self) -> None:
        """Refuse to go on in the child of a ``fork()``, which has none of the threads."""
        if os.getpid() != self._process:
            raise RuntimeError(
                "the threads of this pool or pipeline live in the process that this one was forked from; "
                "make another one here"
            )

    def has_current_thread(self) -> bool:
        """Whether the caller is one of us (or runs in a context that one of us handed on)."""
        return _current.get() is self

    def join(self, timeout: float | None) -> list[Member]:
        """Wait for the end of all; returns those that are still at it when the time is over."""
        self.check_process()
        deadline = None if timeout is None else time.monotonic() + timeout
        for member in self.members:
            if member.thread.ident is None or member.thread is threading.current_thread():
                continue
            member.thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return [
            member
            for member in self.members
            if member.thread.is_alive() and member.thread is not threading.current_thread()
        ]

    def names_of(self, hanging: list[Member]) -> str:
        """Who is still at it, with what, and where: for a message."""
        return "\n".join(f"  {member.describe()}\n{member.stack()}".rstrip() for member in hanging)


def timed(member: Member, item: object) -> None:
    """Note what the member has in its hands from now on."""
    member.item = item
    member.since = time.monotonic()


@atexit.register
def _stop_the_forgotten() -> None:
    # The threads are daemons, so that a program that leaves a pool open can end at all.
    crews = [crew for crew in _alive if any(member.thread.is_alive() for member in crew.members)]
    for crew in crews:
        names = ", ".join(member.name for member in crew.members[:4])
        warnings.warn(f"the program ends while threads of daqring still run: {names} ...", stacklevel=1)
        crew.cancel()
    for crew in crews:
        crew.join(2.0)


_OWN_FILES = {__file__, threading.__file__}
