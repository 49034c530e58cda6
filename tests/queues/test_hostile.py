"""The programs of the recipes with somebody dying, stalling or leaving at the worst moment: nothing hangs.

Every case runs in a thread that must come to its end, so that a deadlock fails the test in place of the
run.
"""

from __future__ import annotations

import itertools
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import daqring
import pytest
from daqring.queue import ShutDown

LIMIT = 20.0


class Quit(BaseException):
    """No Exception: what careless code does not catch."""


def ends(run: Callable[[], Any]) -> Any:
    """What `run` gives or raises, if it ends at all; afterwards none of its threads is left."""
    before = set(threading.enumerate())
    result: list[Any] = []

    def call() -> None:
        try:
            result.append((run(), None))
        except BaseException as error:
            result.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(LIMIT)
    assert not thread.is_alive(), "it hangs"
    deadline = time.monotonic() + LIMIT
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left, f"threads are left: {left}"
    value, error = result[0]
    if error is not None:
        raise error
    return value


def numbers(upto: int = 10_000):
    yield from range(upto)


def dies(after: int, error: BaseException):
    yield from range(after)
    raise error


def with_workers(source, function, **options):
    return sum(daqring.Workers(function, 5, producers=[source, *(numbers() for _ in range(4))], **options))


def with_pipeline(source, function, **options):
    return sum(daqring.Pipeline(source, **options).map(function, workers=3))


PROGRAMS = [with_workers, with_pipeline]
DEATHS = [ValueError("dead"), Quit("dead"), SystemExit("dead"), MemoryError("dead")]


@pytest.mark.parametrize("maxsize", [1, 7, 1024])
@pytest.mark.parametrize("death", DEATHS, ids=lambda death: type(death).__name__)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_producer_dies(program, death, maxsize):
    with pytest.raises(type(death), match="dead"):
        ends(lambda: program(dies(100, death), lambda item: item, maxsize=maxsize))


@pytest.mark.parametrize("maxsize", [1, 7, 1024])
@pytest.mark.parametrize("death", DEATHS, ids=lambda death: type(death).__name__)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_consumer_dies(program, death, maxsize):
    def work(item):
        if item == 100:
            raise death
        return item

    with pytest.raises(type(death), match="dead"):
        ends(lambda: program(numbers(), work, maxsize=maxsize))


@pytest.mark.parametrize("program", PROGRAMS)
def test_all_consumers_die_at_once(program):
    barrier = threading.Barrier(3)

    def work(item):
        if item < 3:
            barrier.wait(LIMIT)
            raise ValueError("dead")
        return item

    with pytest.raises((ValueError, threading.BrokenBarrierError)):
        ends(lambda: with_pipeline(numbers(), work) if program is with_pipeline else sum(
            daqring.Workers(work, 3, producers=[numbers()], maxsize=2)))  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_consumer_that_leaves_its_thread(program):
    """sys.exit() in a thread ends only that thread, silently; here it comes out."""

    def work(item):
        if item == 50:
            sys.exit("left")
        return item

    with pytest.raises(SystemExit, match="left"):
        ends(lambda: program(numbers(), work, maxsize=3))


@pytest.mark.parametrize("program", PROGRAMS)
def test_slow_consumers_hold_the_producer(program):
    made = []

    def source():
        for number in range(40):
            made.append(number)
            yield number

    ahead = []

    def work(item):
        ahead.append(len(made))
        time.sleep(0.005)
        return item

    if program is with_pipeline:
        total = ends(lambda: sum(daqring.Pipeline(source(), maxsize=2).map(work, workers=2)))
    else:
        total = ends(lambda: sum(daqring.Workers(work, 2, producers=[source()], maxsize=2)))
    assert total == sum(range(40))
    # Never more than what queue and workers hold, and what the producer has in its hands.
    assert all(number <= done + 2 + 2 * 2 + 2 for done, number in enumerate(ahead))


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_reader_leaves_while_all_wait(program):
    """The loop ends after one result; producers wait for room, workers to hand on."""

    def first():
        if program is with_pipeline:
            results = iter(daqring.Pipeline(numbers(), maxsize=1).map(lambda item: item, workers=3))
        else:
            results = iter(daqring.Workers(lambda item: item, 3, producers=[numbers()], maxsize=1))
        for _ in results:
            time.sleep(0.1)
            break
        results.close()
        return True

    assert ends(first)


@pytest.mark.parametrize("maxsize", [0, 1, 3])
@pytest.mark.parametrize("immediate", [False, True])
def test_a_queue_is_closed_while_many_put_and_get(maxsize, immediate):
    """Whatever was put comes out once (or was dropped by an immediate close), and everybody is told."""
    for _ in range(5):
        shared: daqring.Queue[int] = daqring.Queue(maxsize)
        put: list[int] = []
        got: list[int] = []
        told = []

        def producer(first: int, shared=shared, put=put, told=told) -> None:
            try:
                for number in itertools.count(first):
                    shared.put(number)
                    put.append(number)
                    if number % 50 == 0:
                        time.sleep(0.0005)  # or an unbounded queue grows without bounds
            except ShutDown:
                told.append("producer")

        def consumer(shared=shared, got=got, told=told) -> None:
            try:
                while True:
                    got.append(shared.get())
            except ShutDown:
                told.append("consumer")

        def run(shared=shared, producer=producer, consumer=consumer) -> None:
            threads = [threading.Thread(target=producer, args=(10**9 * n,)) for n in range(3)]
            threads += [threading.Thread(target=consumer) for _ in range(3)]
            for thread in threads:
                thread.start()
            time.sleep(0.01)
            shared.shutdown(immediate)
            for thread in threads:
                thread.join()

        ends(run)
        assert sorted(told) == ["consumer"] * 3 + ["producer"] * 3
        # A put that returned had its item in the queue, and one that raised had not.
        assert len(set(got)) == len(got)
        assert set(got) <= set(put)
        assert immediate or len(got) == len(put)


def test_a_plain_queue_whose_consumer_died_can_be_closed_by_who_notices():
    """A queue alone knows nothing of threads: the way out is a timeout or a close, which wakes all."""
    shared: daqring.Queue[int] = daqring.Queue(2)

    def run() -> str:
        def consumer() -> None:
            try:
                shared.get()
                raise ValueError("dead")
            except ValueError:
                shared.shutdown()

        threading.Thread(target=consumer).start()
        try:
            for number in range(100):
                shared.put(number)
        except ShutDown:
            return "told"
        return "not told"

    assert ends(run) == "told"
    with pytest.raises(queue.Full):
        full: daqring.Queue[int] = daqring.Queue(1)
        full.put(1)
        full.put(2, timeout=0.01)
