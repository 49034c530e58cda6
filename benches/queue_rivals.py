"""The queues that `queues.py` compares, each behind the same two functions."""

from __future__ import annotations

import collections
import importlib
import multiprocessing
import queue
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import daqring

BOUND = 1024


class Ends(NamedTuple):
    """One queue: how to put, how to get, and how to be rid of it."""

    put: Callable[[Any], Any]
    get: Callable[[], Any]
    close: Callable[[], Any] = lambda: None


def standard() -> Ends:
    inbox: queue.Queue[Any] = queue.Queue(BOUND)
    return Ends(inbox.put, inbox.get)


def simple() -> Ends:
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    return Ends(inbox.put, inbox.get)


def deque_and_event() -> Ends:
    items: collections.deque[Any] = collections.deque()
    filled = threading.Event()

    def put(item: Any) -> None:
        items.append(item)
        filled.set()

    def get() -> Any:
        while True:
            try:
                return items.popleft()
            except IndexError:
                filled.clear()
                if not items:
                    filled.wait()

    return Ends(put, get)


def processes() -> Ends:
    inbox = multiprocessing.Queue(BOUND)

    def close() -> None:
        inbox.close()
        inbox.join_thread()

    return Ends(inbox.put, inbox.get, close)


def janus() -> Ends:
    both = importlib.import_module("janus").Queue(BOUND)
    return Ends(both.sync_q.put, both.sync_q.get)


def culsans() -> Ends:
    both = importlib.import_module("culsans").Queue(BOUND)
    return Ends(both.sync_q.put, both.sync_q.get)


def faster_fifo() -> Ends:
    inbox = importlib.import_module("faster_fifo").Queue(max_size_bytes=64 << 20)
    return Ends(inbox.put, lambda: inbox.get(timeout=60.0), inbox.close)


def ours() -> Ends:
    inbox: daqring.Queue[Any] = daqring.Queue(BOUND)
    return Ends(inbox.put, inbox.get)


def ours_unbounded() -> Ends:
    inbox: daqring.Queue[Any] = daqring.Queue()
    return Ends(inbox.put, inbox.get)


def ours_spsc() -> Ends:
    inbox: Any = daqring.SpscQueue(BOUND)
    return Ends(inbox.put, inbox.get)


class Rival(NamedTuple):
    make: Callable[[], Ends]
    #: The module that has to be installed, if it is not the standard library's.
    needs: str | None = None
    #: Items leave the process or are pickled: large blocks are copied whatever one does.
    copies: bool = False
    #: For one producer and one consumer only.
    single: bool = False


RIVALS = {
    "queue.Queue(1024)": Rival(standard),
    "queue.SimpleQueue": Rival(simple),
    "deque + Event": Rival(deque_and_event),
    "multiprocessing.Queue(1024)": Rival(processes, copies=True),
    "janus(1024)": Rival(janus, "janus"),
    "culsans(1024)": Rival(culsans, "culsans"),
    "faster-fifo(64 MiB)": Rival(faster_fifo, "faster_fifo", copies=True),
    "daqring.Queue(1024)": Rival(ours),
    "daqring.Queue()": Rival(ours_unbounded),
    "daqring.SpscQueue(1024)": Rival(ours_spsc, single=True),
}


def installed() -> tuple[dict[str, Rival], list[str]]:
    """The rivals that can be run here, and the names of the others."""
    found, missing = {}, []
    for name, rival in RIVALS.items():
        try:
            if rival.needs is not None:
                importlib.import_module(rival.needs)
            rival.make().close()
        except Exception as error:
            missing.append(f"{name} ({type(error).__name__}: {error})")
        else:
            found[name] = rival
    return found, missing
