"""`daqring.SpscQueue`: the surface of `Queue`, one thread on each side."""

import copy
import gc
import os
import subprocess
import sys
import textwrap
import threading

import pytest
from daqring.queue import Empty, Full, ShutDown, SpscQueue


def run_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


def in_another_thread(function, *args):
    outcome = []

    def call():
        try:
            outcome.append(function(*args))
        except Exception as error:
            outcome.append(error)

    run_thread(call).join()
    return outcome[0]


def test_put_and_get_in_every_form():
    queue = SpscQueue(3)
    queue.put(1)
    queue.put(2, timeout=1)
    queue.put_nowait(3)
    assert (queue.qsize(), queue.full(), queue.empty(), queue.maxsize) == (3, True, False, 3)
    for call in (
        lambda: queue.put(4, False),
        lambda: queue.put(4, timeout=0.01),
        lambda: queue.put_nowait(4),
    ):
        with pytest.raises(Full):
            call()
    assert queue.qsize() == 3
    assert [queue.get(), queue.get(timeout=1), queue.get_nowait()] == [1, 2, 3]
    for call in (lambda: queue.get(False), lambda: queue.get(timeout=0.01), queue.get_nowait):
        with pytest.raises(Empty):
            call()
    with pytest.raises(ValueError, match="non-negative"):
        queue.get(timeout=-1)
    with pytest.raises(ValueError, match="bounded"):
        SpscQueue(0)


@pytest.mark.parametrize("maxsize", [1, 2, 100])
def test_every_item_arrives_in_order(maxsize):
    queue = SpscQueue(maxsize)

    def produce():
        queue.put_many(range(1000))
        for number in range(1000, 3000):
            queue.put(number)
        queue.shutdown()

    producer = run_thread(produce)
    seen = queue.get_many()
    seen += [queue.get() for _ in range(500)]
    seen += list(queue)
    producer.join()
    assert seen == list(range(3000))
    with pytest.raises(ShutDown):
        queue.get()


def test_only_one_thread_puts_and_only_one_gets():
    queue = SpscQueue()
    queue.put(1)
    for attempt in (lambda: queue.put(2), lambda: queue.put_many([2])):
        assert "one thread puts" in str(in_another_thread(attempt))
    assert in_another_thread(queue.get) == 1
    queue.put(2)
    assert in_another_thread(queue.get) == 2  # the thread that got before has ended
    assert in_another_thread(queue.qsize) == 0
    queue.put_many([3, 4])
    assert queue.get() == 3
    assert isinstance(in_another_thread(queue.get_nowait), RuntimeError)
    assert isinstance(in_another_thread(queue.clear), RuntimeError)


def test_shutdown_from_any_thread_wakes_both_sides():
    empty, full = SpscQueue(1), SpscQueue(1)
    full_ready = threading.Event()
    outcomes = []

    def get():
        with pytest.raises(ShutDown):
            empty.get()
        outcomes.append("get")

    def put():
        full.put(0)
        full_ready.set()
        with pytest.raises(ShutDown):
            full.put(1)
        outcomes.append("put")

    threads = [run_thread(get), run_thread(put)]
    full_ready.wait()
    empty.shutdown()
    full.shutdown()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["get", "put"]
    assert full.is_shutdown
    assert full.get() == 0
    full.task_done()
    full.join()


def test_immediate_shutdown_drops_the_rest():
    queue = SpscQueue()
    queue.put_many(range(10))
    assert queue.get() == 0
    queue.shutdown(immediate=True)
    with pytest.raises(ShutDown):
        queue.get()
    with pytest.raises(ShutDown) as raised:
        queue.put_many([1])
    assert raised.value.count == 0
    assert queue.unfinished_tasks == 1
    queue.task_done()
    queue.join()


def test_join_waits_for_all_tasks():
    queue = SpscQueue(4)
    worked = []

    def work():
        for item in queue:
            worked.append(item)
            queue.task_done()

    worker = run_thread(work)
    for number in range(20):
        queue.put_many(range(50))
        queue.join()
        assert len(worked) == 50 * (number + 1)
    queue.shutdown()
    worker.join()
    with pytest.raises(ValueError, match="too many times"):
        queue.task_done()


def test_clear():
    queue = SpscQueue()
    queue.put_many("abc")
    assert queue.clear() == 3
    queue.join()
    assert queue.empty()


def test_items_are_owned_exactly_once():
    marker = object()
    before = sys.getrefcount(marker)
    queue = SpscQueue(20)
    queue.put_many([marker] * 10)
    queue.get()
    queue.get_many(4)
    assert sys.getrefcount(marker) == before + 5
    with pytest.raises(Full):
        queue.put_many([marker] * 100, timeout=0)
    assert sys.getrefcount(marker) == before + 20
    del queue
    gc.collect()
    assert sys.getrefcount(marker) == before


def test_a_native_producer_never_needs_the_interpreter():
    queue = SpscQueue(3000)
    queue._feed_ticks(3000, 20_000.0)
    with pytest.raises(RuntimeError, match="native"):
        queue.put(1)
    sum(range(3_000_000))  # keeps the interpreter for a while
    seen = []
    for tick in queue:
        seen.append(tick)
    assert seen == list(range(3000))


def test_generic_typing_and_no_copies():
    assert SpscQueue[int](3).maxsize == 3
    with pytest.raises(TypeError, match="pickled"):
        copy.copy(SpscQueue())


def run_script(source):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, timeout=60
    )


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
@pytest.mark.parametrize("blocked", ["q.get()", "full.put(1)", "full.join()", "q.get_many(5, 1000)"])
def test_ctrl_c_while_blocked_in_the_main_thread(blocked):
    done = run_script(
        f"""
        import os, signal, threading
        from daqring.queue import SpscQueue
        q, full = SpscQueue(), SpscQueue(1)
        full.put(0)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            {blocked}
        except KeyboardInterrupt:
            q.put(1); assert q.get() == 1
            print("interrupted")
        """
    )
    assert done.stdout == "interrupted\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() on this system")
def test_a_forked_child_is_told():
    done = run_script(
        """
        import os
        from daqring.queue import SpscQueue
        q = SpscQueue()
        if os.fork() == 0:
            try:
                q.get()
            except RuntimeError as error:
                print(error, flush=True)
            os._exit(0)
        os.wait()
        """
    )
    assert "forked" in done.stdout, done.stderr
