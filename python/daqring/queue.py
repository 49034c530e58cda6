"""Queues for threads: change ``import queue`` to ``from daqring import queue``."""

from __future__ import annotations

from queue import Empty, Full, LifoQueue, PriorityQueue, SimpleQueue
from typing import Any, Generic, NoReturn, Self, TypeVar

from daqring._native import Queue as _NativeQueue
from daqring._native import ShutDown, _install_calls
from daqring._native import SpscQueue as _NativeSpscQueue

__all__ = ["Empty", "Full", "LifoQueue", "PriorityQueue", "Queue", "ShutDown", "SimpleQueue", "SpscQueue"]

T = TypeVar("T")


class _Absent:
    """A name of `queue.Queue` that has no meaning here: a touch says what to use instead."""

    def __init__(self, advice: str) -> None:
        self.advice = advice

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    # Only __get__: a subclass may still keep a container of its own under the name.
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is not None and instance._hooks is not None:
            return getattr(instance._hooks, {"queue": "items"}.get(self.name, self.name))
        raise AttributeError(f"daqring.Queue has no '{self.name}': {self.advice}")


class Queue(_NativeQueue[T], Generic[T]):
    """`queue.Queue`, in native code: the same methods, exceptions and guarantees, many times faster.

    ``maxsize`` bounds the number of items; 0 or less means unbounded. It may be changed at any time.
    Beyond the standard class there are `put_many`, `get_many`, `clear`, `shutdown` on every Python
    version, and iteration: ``for item in queue`` ends when the queue is shut down and drained.

    A subclass that overrides ``_init``, ``_qsize``, ``_put`` or ``_get`` works, at the speed of the
    standard library. There is no ``mutex`` and no ``queue`` to reach into otherwise: nothing in Python
    guards the items.
    """

    _hooks: Any = None

    mutex = _Absent(
        "no Python lock guards it. To do several things at once use put_many, get_many, clear or "
        "shutdown(immediate=True); to look at its state use qsize, empty, full or unfinished_tasks"
    )
    queue = _Absent(
        "its items are not held in a Python object: use clear() to drop them, get_many(timeout=0) to take "
        "what is there, qsize() to count them"
    )
    not_empty = _Absent("use get, or get_many to take all that is there")
    not_full = _Absent("use put, or put_many")
    all_tasks_done = _Absent("use join, or unfinished_tasks")

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        if cls is not Queue and _overrides_hooks(cls):
            from daqring._queue_hooks import HookedQueue

            self._hooks = HookedQueue(self)
            self._set_hooked(self._hooks)
        return self

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        if self._hooks is not None:
            self._hooks.maxsize = maxsize
            self._init(maxsize)

    def _init(self, maxsize: int) -> None:
        self._need_hooks("_init")

    def _qsize(self) -> int:
        self._need_hooks("_qsize")
        return len(self.queue)

    def _put(self, item: T) -> None:
        self._need_hooks("_put")
        self.queue.append(item)

    def _get(self) -> T:
        self._need_hooks("_get")
        item: T = self.queue.popleft()
        return item

    def _need_hooks(self, name: str) -> None:
        if self._hooks is None:
            raise TypeError(
                f"daqring.Queue.{name} is only there to be overridden in a subclass: a plain "
                "Queue keeps its items in native code. Use put, get and qsize."
            )

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "a daqring.Queue cannot be pickled or copied: it belongs to the threads of one process"
        )


_install_calls(Queue)


def _overrides_hooks(cls: type) -> bool:
    return any(getattr(cls, hook) is not getattr(Queue, hook) for hook in ("_init", "_qsize", "_put", "_get"))


class SpscQueue(_NativeSpscQueue[T], Generic[T]):
    """A bounded queue from one thread to one other, on a lock-free ring.

    The methods are those of `Queue`. The first thread that puts is the producer and the first that gets the
    consumer, until it ends; another one that tries gets a `RuntimeError`. Any thread may look, `join`,
    call `task_done` and `shutdown`.

    Between Python threads `Queue` is as fast, because the interpreter lets one run at a time; what this one
    adds is the check, and that a native thread can put into it without ever needing the interpreter.
    It does not work across a ``fork()``, and a reference cycle through its items is not collected.
    """

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a daqring.SpscQueue cannot be pickled or copied: it belongs to two threads")
