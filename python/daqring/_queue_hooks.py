"""The slow path of `daqring.Queue`: subclasses that override `_init`, `_qsize`, `_put` or `_get`.

Their hooks expect what the standard library gives them: one thread at a time, and a queue that they may
keep wherever they like. So everything happens here, in Python, under one `threading` lock.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from queue import Empty, Full
from typing import Any

from daqring._native import ShutDown


class HookedQueue:
    """All of a queue but its container, which is `owner`'s."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.maxsize = 0
        self.items: deque[Any] = deque()
        self.unfinished_tasks = 0
        self.is_shutdown = False
        self.mutex = threading.Lock()
        self.not_empty = threading.Condition(self.mutex)
        self.not_full = threading.Condition(self.mutex)
        self.all_tasks_done = threading.Condition(self.mutex)

    def _wait(
        self, condition: threading.Condition, ready: Callable[[], bool], block: bool, timeout: float | None
    ) -> bool:
        """Wait under the lock until `ready()`; False when the time is over."""
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        if not block:
            return ready()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not ready():
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                return False
            condition.wait(remaining)
        return True

    def _has_room(self) -> bool:
        return self.is_shutdown or self.maxsize <= 0 or self.owner._qsize() < self.maxsize

    def _has_item(self) -> bool:
        return self.is_shutdown or self.owner._qsize() > 0

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        with self.mutex:
            if self.is_shutdown:
                raise ShutDown
            if self.maxsize > 0 and not self._wait(self.not_full, self._has_room, block, timeout):
                raise Full
            if self.is_shutdown:
                raise ShutDown
            self.owner._put(item)
            self.unfinished_tasks += 1
            self.not_empty.notify()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        with self.mutex:
            if not self._wait(self.not_empty, self._has_item, block, timeout):
                raise Empty
            if not self.owner._qsize():
                raise ShutDown
            item = self.owner._get()
            self.not_full.notify()
            return item

    def put_many(self, items: Iterable[Any], block: bool = True, timeout: float | None = None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        count = 0
        try:
            for item in items:
                self.put(item, block, None if deadline is None else max(0.0, deadline - time.monotonic()))
                count += 1
        except (Full, ShutDown) as error:
            error.count = count  # type: ignore[union-attr]
            raise

    def get_many(self, max: int = sys.maxsize, timeout: float | None = None) -> list[Any]:
        taken = [self.get(True, timeout)]
        while len(taken) < max:
            try:
                taken.append(self.get(False))
            except (Empty, ShutDown):
                break
        return taken

    def clear(self) -> int:
        with self.mutex:
            return self._drain()

    def _drain(self) -> int:
        count = 0
        while self.owner._qsize():
            self.owner._get()
            count += 1
        self.unfinished_tasks = max(0, self.unfinished_tasks - count)
        if self.unfinished_tasks == 0:
            self.all_tasks_done.notify_all()
        self.not_full.notify_all()
        return count

    def task_done(self) -> None:
        with self.all_tasks_done:
            if self.unfinished_tasks <= 0:
                raise ValueError("task_done() called too many times")
            self.unfinished_tasks -= 1
            if self.unfinished_tasks == 0:
                self.all_tasks_done.notify_all()

    def join(self) -> None:
        with self.all_tasks_done:
            while self.unfinished_tasks:
                self.all_tasks_done.wait()

    def shutdown(self, immediate: bool = False) -> None:
        with self.mutex:
            self.is_shutdown = True
            if immediate:
                self._drain()
                self.all_tasks_done.notify_all()
            self.not_empty.notify_all()
            self.not_full.notify_all()

    def qsize(self) -> int:
        with self.mutex:
            return int(self.owner._qsize())

    def empty(self) -> bool:
        return self.qsize() == 0

    def full(self) -> bool:
        return 0 < self.maxsize <= self.qsize()
