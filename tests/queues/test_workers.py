"""`daqring.Workers`: it ends by itself, loses nothing, and leaves no thread behind."""

import contextvars
import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError
from functools import partial

import daqring
import pytest
from daqring.queue import ShutDown
from daqring.workers import Failed, Workers


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def square(x):
    return x * x


@pytest.mark.parametrize("maxsize", [0, 1, 3, 1024])
def test_twenty_producers_and_five_workers(maxsize):
    seen = []
    done = Workers(
        seen.append, 5, producers=[partial(range, n * 50, n * 50 + 50) for n in range(20)], maxsize=maxsize
    ).run()
    assert sorted(seen) == list(range(1000))
    assert (done.done, done.queued, done.working, done.failed) == (1000, 0, 0, 0)


def test_results_are_an_iterator():
    assert sorted(Workers(square, 3, producers=[range(500)])) == [x * x for x in range(500)]
    assert list(Workers(square, 3, producers=[])) == []


def test_any_value_may_be_a_result():
    values = [None, 0, -1, "", ValueError("a value")]
    assert list(Workers(lambda x: x, 1, producers=[values])) == values


def test_put_from_outside_and_the_with_block():
    seen = []
    with Workers(seen.append, 3, maxsize=2) as pool:
        pool.put(0)
        pool.put_many(range(1, 100))
    assert sorted(seen) == list(range(100))
    with pytest.raises(ShutDown, match="closed"):
        pool.put(1)


def test_putting_more_than_fits_before_reading_the_results():
    with Workers(square, 2, maxsize=5, results=True) as pool:
        pool.put_many(range(300))
        assert sorted(pool) == [x * x for x in range(300)]


def test_a_pool_nobody_reads_from_still_ends():
    with Workers(square, 2, results=True, maxsize=1) as pool:
        pool.put_many(range(20))
    assert pool.progress().done == 20
    assert Workers(square, 2, results=True, producers=[range(20)], maxsize=1).run().done == 20


def test_the_loop_over_the_results_may_put():
    pool = Workers(lambda x: x, 2, maxsize=1, results=True)
    pool.put(0)
    seen = []
    for x in pool:
        seen.append(x)
        if x < 50:
            pool.put(x + 100)
            pool.put(x + 1)
    assert sorted(seen) == [*range(51), *range(100, 150)]


def links_of(page, pages):
    return [link for link in (3 * page + 1, 3 * page + 2, 3 * page + 3) if link < pages]


@pytest.mark.parametrize("workers", [1, 2, 7, 50])
@pytest.mark.parametrize("maxsize", [1, 100])
def test_a_crawl_of_10000_links_ends(workers, maxsize):
    fetched = []

    def fetch(page):
        fetched.append(page)
        for link in links_of(page, 10_000):
            pool.put(link)

    with Workers(fetch, workers, maxsize=maxsize) as pool:
        pool.put(0)
    assert sorted(fetched) == list(range(10_000))


def test_a_crawl_with_results():
    def fetch(page):
        pool.put_many(links_of(page, 1000))
        return page

    pool = Workers(fetch, 5, maxsize=1, results=True)
    pool.put(0)
    assert sorted(pool) == list(range(1000))


def test_items_of_one_pool_may_wait_for_each_other():
    meeting = threading.Barrier(4, timeout=20)
    assert Workers(lambda _: meeting.wait(), 4, producers=[range(40)]).run().done == 40


# Errors.


def fail_at_7(x):
    if x == 7:
        raise KeyError("seven")
    return x


def test_raise_stops_the_pool_and_names_worker_and_item():
    pool = Workers(fail_at_7, 2, producers=[range(10**9)], maxsize=3, name="sums")
    with pytest.raises(KeyError) as raised:
        pool.run()
    (note,) = raised.value.__notes__
    assert note.startswith("in sums-")
    assert note.endswith("on item 7")
    assert pool.progress().failed == 1


@pytest.mark.parametrize("use", [list, lambda pool: pool.run()])
def test_errors_come_out_wherever_the_caller_waits(use):
    with pytest.raises(KeyError):
        use(Workers(fail_at_7, 3, producers=[range(100)]))


def test_an_error_wakes_a_blocked_put():
    pool = Workers(fail_at_7, 1, maxsize=1)
    with pytest.raises(KeyError):  # noqa: SIM117
        with pool:
            pool.put_many(range(10**9))


def test_skip_counts_and_keeps():
    pool = Workers(fail_at_7, 2, producers=[range(10)], on_error="skip")
    assert sorted(pool) == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert [failed.item for failed in pool.errors] == [7]
    assert pool.progress() == (0, 0, 10, 1)


def test_return_gives_the_failure_as_a_result():
    results = list(Workers(fail_at_7, 2, producers=[range(10)], on_error="return"))
    (failed,) = [result for result in results if isinstance(result, Failed)]
    assert failed.item == 7
    assert isinstance(failed.error, KeyError)
    assert len(results) == 10


def test_retries():
    attempts = []

    def flaky(x):
        attempts.append(x)
        if attempts.count(x) < 3:
            raise OSError("not yet")
        return x

    assert sorted(Workers(flaky, 3, producers=[range(20)], retries=2)) == list(range(20))
    attempts.clear()
    with pytest.raises(OSError, match="not yet"):
        Workers(flaky, 3, producers=[range(20)], retries=1).run()


def test_a_failing_producer_stops_the_pool():
    def broken():
        yield 1
        raise OSError("no more data")

    with pytest.raises(OSError, match="no more data") as raised:
        list(Workers(square, 2, producers=[broken, range(10**9)]))
    assert "producer-0" in raised.value.__notes__[0]


def test_a_failing_setup_or_teardown_comes_out():
    def fail(*_):
        raise OSError("no connection")

    with pytest.raises(OSError, match="no connection"):
        Workers(lambda item, state: None, 3, producers=[range(10**9)], setup=fail).run()
    with pytest.raises(OSError, match="no connection"):
        Workers(square, 3, producers=[range(10)], teardown=fail).run()


def test_shutdown_of_a_queue_of_the_users_own_is_an_error_like_any_other():
    def use_own_queue(_):
        raise ShutDown

    with pytest.raises(ShutDown):
        Workers(use_own_queue, 2, producers=[range(10)]).run()


def test_wrong_arguments():
    with pytest.raises(ValueError, match="at least 1 worker"):
        Workers(square, 0)
    with pytest.raises(ValueError, match="on_error"):
        Workers(square, on_error="explode")
    with pytest.raises(ValueError, match="retries"):
        Workers(square, retries=-1)
    with pytest.raises(TypeError, match="function to call"):
        Workers(3)
    with Workers(square, 1) as pool:
        pool.put(1)
        with pytest.raises(RuntimeError, match="results=True"):
            list(pool)


def test_coroutine_functions_are_refused_in_words():
    async def fetch(url):
        return url

    with pytest.raises(TypeError, match="asyncio"):
        Workers(fetch)


# Futures.


def test_futures():
    with Workers(fail_at_7, 3, maxsize=2) as pool:
        futures = [pool.submit(x) for x in range(20)]
        assert [future.result() for future in futures if future is not futures[7]] == [
            x for x in range(20) if x != 7
        ]
        with pytest.raises(KeyError):
            futures[7].result()
    assert pool.progress().failed == 1


def test_futures_of_a_cancelled_pool_do_not_stay_open():
    entered, gate = threading.Event(), threading.Event()

    def block(x):
        entered.set()
        gate.wait()
        return x

    pool = Workers(block, 1)
    futures = [pool.submit(x) for x in range(5)]
    entered.wait()
    pool.cancel()
    gate.set()
    assert futures[0].result() == 0
    for future in futures[1:]:
        with pytest.raises(CancelledError):
            future.result(timeout=20)
    with pytest.raises(CancelledError):
        pool.join()


# State, context, cancelling.


def test_setup_and_teardown_run_once_per_worker():
    made, closed = [], []

    def connect():
        made.append(threading.current_thread().name)
        return {"thread": threading.current_thread(), "items": 0}

    def use(item, state):
        assert state["thread"] is threading.current_thread()
        state["items"] += 1

    Workers(use, 4, producers=[range(100)], setup=connect, teardown=closed.append, name="db").run()
    assert sorted(made) == ["db-0", "db-1", "db-2", "db-3"]
    assert sum(state["items"] for state in closed) == 100


def test_context_variables_are_carried_over():
    run = contextvars.ContextVar("run")
    run.set("calibration")
    assert set(Workers(lambda _: run.get(), 3, producers=[range(10)])) == {"calibration"}


def test_leaving_the_loop_early_stops_everything():
    closed = threading.Event()

    def endless():
        try:
            n = 0
            while True:
                yield n
                n += 1
        finally:
            closed.set()

    for result in Workers(square, 3, producers=[endless, endless], maxsize=4):
        if result > 100:
            break
    assert closed.is_set()


def test_an_exception_in_the_with_block_stops_everything():
    with pytest.raises(ZeroDivisionError), Workers(square, 3, producers=[iter(int, 1)]):
        1 / 0  # noqa: B018


def test_functions_see_that_they_are_cancelled():
    assert not daqring.cancelled()
    started = threading.Event()

    def patient(_):
        started.set()
        while not daqring.cancelled():
            time.sleep(0.001)

    pool = Workers(patient, 2)
    pool.put(1)
    started.wait()
    pool.cancel()
    with pytest.raises(CancelledError):
        pool.join(20)
    assert pool.cancelled


def test_join_names_who_hangs():
    gate = threading.Event()
    pool = Workers(lambda _: gate.wait(), 1, name="stuck")
    pool.put("the item")
    pool.close()
    with pytest.raises(TimeoutError) as raised:
        pool.join(0.1)
    assert "stuck-0" in str(raised.value)
    assert "'the item'" in str(raised.value)
    assert "gate.wait()" in str(raised.value)
    assert "stuck-0: " in pool.dump()
    gate.set()
    pool.join(20)


def test_random_pools_lose_and_double_nothing():
    for seed in range(150):
        chance = random.Random(seed)
        count = chance.randint(0, 60)
        failing = chance.randint(0, max(0, count - 1)) if chance.random() < 0.3 else None
        growing = chance.random() < 0.5

        def work(item, failing=failing, growing=growing, chance=chance):
            if item == failing:
                raise ValueError(item)
            if growing and isinstance(item, int):
                pool.put((item, "child"))  # noqa: B023
            if chance.random() < 0.1:
                time.sleep(0.0002)
            return item

        pool = Workers(
            work,
            chance.randint(1, 6),
            maxsize=chance.choice([0, 1, 2, 10]),
            producers=[range(k, count, 3) for k in range(3)],
        )
        expected = [*range(count), *([(n, "child") for n in range(count)] if growing else [])]
        got = []
        stop_after = chance.randint(0, 20) if chance.random() < 0.3 else None
        try:
            for result in pool:
                got.append(result)
                if len(got) == stop_after:
                    break
        except ValueError as error:
            assert error.args == (failing,)  # noqa: PT017
        else:
            if stop_after is None or len(got) < stop_after:
                assert failing is None or not count
                assert sorted(map(str, got)) == sorted(map(str, expected))
        assert len(set(got)) == len(got)
        assert set(got) <= set(expected)


def test_a_pool_left_open_does_not_keep_the_program_from_ending():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import daqring\npool = daqring.Workers(print, 2, name='left')\npool.put('worked')\n"
            "while not pool.progress().done: pass",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "worked\n")
    assert "program ends while threads of daqring still run: left-0, left-1" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() on this system")
def test_a_forked_child_is_told_that_the_threads_are_not_its_own():
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            "import os, daqring\npool = daqring.Workers(abs, 2)\npool.put(1)\n"
            "if os.fork() == 0:\n"
            "    for use in (lambda: pool.put(1), pool.join, pool.run, lambda: list(pool)):\n"
            "        try: use()\n"
            "        except RuntimeError: print('refused', flush=True)\n"
            "    os._exit(0)\n"
            "os.wait()\npool.run()",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "refused\n" * 4, done.stderr
