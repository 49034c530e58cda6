"""What `daqring.Queue` owes beyond CPython's own tests."""

import contextlib
import copy
import gc
import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
import weakref

import pytest
from daqring.queue import Empty, Full, Queue, ShutDown


def run_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


def run_script(source, **options):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, timeout=60, **options
    )


# Many at once.


def test_put_many_and_get_many_keep_the_order():
    queue = Queue()
    queue.put_many(range(5000))
    queue.put_many(i for i in range(5000, 5003))
    assert queue.get_many(3) == [0, 1, 2]
    assert queue.get_many() == list(range(3, 5003))
    assert queue.unfinished_tasks == 5003


def test_get_many_waits_for_one_item_only():
    queue = Queue()
    got = []
    thread = run_thread(lambda: got.append(queue.get_many(10)))
    queue.put("x")
    thread.join()
    assert got == [["x"]]


def test_get_many_says_when_the_time_is_over():
    queue = Queue()
    with pytest.raises(Empty):
        queue.get_many(3, timeout=0)
    with pytest.raises(Empty):
        queue.get_many(3, timeout=0.01)
    with pytest.raises(ValueError, match="at least 1"):
        queue.get_many(0)
    with pytest.raises(ValueError, match="non-negative"):
        queue.get_many(1, timeout=-1)


def test_put_many_fills_a_bounded_queue_as_it_drains():
    queue = Queue(3)
    thread = run_thread(queue.put_many, range(100))
    assert [queue.get() for _ in range(100)] == list(range(100))
    thread.join()
    assert queue.empty()


def test_put_many_tells_how_many_went_in():
    queue = Queue(3)
    with pytest.raises(Full) as raised:
        queue.put_many(range(10), timeout=0.01)
    assert raised.value.count == 3
    queue.shutdown()
    with pytest.raises(ShutDown) as raised:
        queue.put_many([1])
    assert raised.value.count == 0
    assert queue.get_many() == [0, 1, 2]


def test_put_many_of_a_failing_iterable_loses_nothing_it_had_put():
    def broken():
        yield from range(1500)
        raise OSError("source broke")

    queue = Queue()
    with pytest.raises(OSError, match="source broke"):
        queue.put_many(broken())
    assert queue.get_many() == list(range(1500))


# Clear, shutdown, iteration.


def test_clear_drops_everything_and_counts_it_as_done():
    queue = Queue(2)
    queue.put_many("ab")
    blocked = run_thread(queue.put, "c")
    assert queue.clear() == 2
    blocked.join()
    assert queue.get() == "c"
    queue.task_done()
    queue.join()


def test_clear_ends_a_join():
    queue = Queue()
    queue.put_many("ab")
    joined = run_thread(queue.join)
    queue.clear()
    joined.join()


def test_shutdown_lets_the_rest_out_and_nothing_in():
    queue = Queue()
    queue.put_many([1, 2])
    queue.shutdown()
    assert queue.is_shutdown
    with pytest.raises(ShutDown):
        queue.put(3)
    with pytest.raises(ShutDown):
        queue.put_nowait(3)
    assert (queue.get(), queue.get_nowait()) == (1, 2)
    for call in (queue.get, queue.get_nowait, queue.get_many):
        with pytest.raises(ShutDown):
            call()


def test_immediate_shutdown_drops_the_rest_and_ends_join():
    queue = Queue()
    queue.put_many([1, 2])
    assert queue.get() == 1
    joined = run_thread(queue.join)
    queue.shutdown(immediate=True)
    with pytest.raises(ShutDown):
        queue.get()
    assert queue.unfinished_tasks == 1
    queue.task_done()
    joined.join()


def test_shutdown_wakes_all_who_wait():
    empty, full = Queue(), Queue(1)
    full.put(0)
    outcomes = []

    def expect_shutdown(call, *args):
        with pytest.raises(ShutDown):
            call(*args)
        outcomes.append(True)

    threads = [run_thread(expect_shutdown, empty.get) for _ in range(5)]
    threads += [run_thread(expect_shutdown, full.put, 1) for _ in range(5)]
    empty.shutdown()
    full.shutdown()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 10


def test_iteration_ends_at_the_shutdown():
    queue = Queue()
    queue.put_many([0, None, -1])
    queue.shutdown()
    assert list(queue) == [0, None, -1]


def test_several_threads_share_an_iteration():
    queue = Queue(10)
    seen = []

    def consume():
        for item in queue:
            seen.append(item)

    threads = [run_thread(consume) for _ in range(4)]
    queue.put_many(range(2000))
    queue.shutdown()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(2000))


# Bounds and arguments.


def test_a_raised_maxsize_lets_a_blocked_put_go_on():
    queue = Queue(1)
    queue.put(0)
    thread = run_thread(queue.put, 1)
    queue.maxsize = 2
    thread.join()
    assert (queue.maxsize, queue.full(), queue.qsize()) == (2, True, 2)
    queue.maxsize = 0
    queue.put_many(range(100))
    assert queue.qsize() == 102


@pytest.mark.parametrize("timeout", [-1, -0.001])
def test_negative_timeouts_are_refused(timeout):
    queue = Queue(1)
    with pytest.raises(ValueError, match="non-negative"):
        queue.put(1, timeout=timeout)
    with pytest.raises(ValueError, match="non-negative"):
        queue.get(timeout=timeout)


def test_wrong_arguments_are_refused_and_leave_the_queue_alone():
    queue = Queue(1)
    with pytest.raises(ValueError, match="NaN"):
        queue.get(timeout=float("nan"))
    with pytest.raises(TypeError, match="seconds"):
        queue.get(timeout="soon")
    with pytest.raises(TypeError):
        queue.put()
    with pytest.raises(TypeError):
        queue.put_many(3)
    with pytest.raises(TypeError):
        Queue("many")
    assert queue.empty()
    assert queue.unfinished_tasks == 0


def test_a_timeout_beyond_the_clock_waits_without_limit():
    queue = Queue()
    got = []
    thread = run_thread(lambda: got.append(queue.get(timeout=1e300)))
    queue.put(1)
    thread.join()
    assert got == [1]


def test_task_done_too_often():
    queue = Queue()
    with pytest.raises(ValueError, match="too many times"):
        queue.task_done()


def test_generic_typing_and_no_surprise_truth():
    assert isinstance(Queue[int], types.GenericAlias) or Queue[int].__origin__ is Queue
    queue: Queue[int] = Queue[int]()
    assert queue  # as queue.Queue: no __len__, an empty queue is true
    assert not hasattr(queue, "__len__")


def test_pickling_and_copying_are_refused():
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="pickle"):
            attempt(Queue())


# Subclasses and the names of the standard class.


@pytest.mark.parametrize("name", ["mutex", "queue", "not_empty", "not_full", "all_tasks_done"])
def test_a_touch_of_the_inside_says_what_to_use_instead(name):
    with pytest.raises(AttributeError, match=f"no '{name}': .*use"):
        getattr(Queue(), name)


def test_hooks_of_a_plain_queue_are_refused_in_words():
    with pytest.raises(TypeError, match="overridden in a subclass"):
        Queue()._put(1)


class Stack(Queue):
    def _init(self, maxsize):
        self.queue = []

    def _qsize(self):
        return len(self.queue)

    def _put(self, item):
        self.queue.append(item)

    def _get(self):
        return self.queue.pop()


def test_a_subclass_may_bring_its_own_container():
    stack = Stack(3)
    stack.put_many([1, 2])
    stack.put(3)
    with pytest.raises(Full):
        stack.put_nowait(4)
    with pytest.raises(Full):
        stack.put(4, timeout=0.01)
    assert stack.full()
    assert stack.qsize() == 3
    assert stack.get() == 3
    assert stack.get_many() == [2, 1]
    assert stack.unfinished_tasks == 3
    with pytest.raises(Empty):
        stack.get(timeout=0.01)
    stack.put(9)
    assert stack.clear() == 1
    stack.maxsize = 1
    stack.put("last")
    outcomes = []

    def put_too_late():
        with pytest.raises(ShutDown):
            stack.put("never")
        outcomes.append("refused")

    blocked = run_thread(put_too_late)
    stack.shutdown()
    blocked.join()
    assert outcomes == ["refused"]
    assert list(stack) == ["last"]
    with stack.mutex:
        assert stack.queue == []


def test_a_subclass_that_keeps_the_container_may_watch():
    class Watched(Queue):
        def __init__(self):
            self.seen = []
            super().__init__(2)

        def _put(self, item):
            self.seen.append(item)
            super()._put(item)

    queue = Watched()
    queue.put("a")
    queue.put("b")
    assert (queue.get(), queue.seen) == ("a", ["a", "b"])


def test_hooks_are_never_passed_by():
    class Careless(Queue):
        def __init__(self):
            pass  # forgets Queue.__init__

        def _put(self, item):
            super()._put(("seen", item))

    queue = Careless()
    queue.put(1)
    assert (queue.get(), queue.qsize()) == (("seen", 1), 0)


def test_a_subclass_without_hooks_stays_native_and_may_carry_attributes():
    class Named(Queue):
        def __init__(self, name):
            super().__init__(1)
            self.name = name

    queue = Named("inbox")
    queue.put(1)
    assert (queue.name, queue.get(), queue.maxsize) == ("inbox", 1, 1)


# Python code in awkward places.


def test_a_destructor_may_put_into_the_queue_that_drops_it():
    queue = Queue()

    class Noisy:
        def __del__(self):
            queue.put("dropped")

    for _ in range(3):
        queue.put(Noisy())
    queue.clear()
    assert queue.get_many() == ["dropped"] * 3
    queue.put(Noisy())

    del queue.get_many(1)[0]
    assert queue.get_many() == ["dropped"]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers, which Windows has not")
def test_a_signal_handler_may_put_into_the_queue_being_used():
    queue = Queue()
    signals = 0

    def handler(*_):
        nonlocal signals
        signals += 1
        queue.put(None)

    previous = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        nones = others = 0
        while signals < 50:
            queue.put(1)
            for item in (queue.get(), *([queue.get_nowait()] if queue.qsize() else [])):
                nones += item is None
                others += item == 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    nones += sum(item is None for item in (queue.get_many() if queue.qsize() else []))
    assert nones == signals


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers, which Windows has not")
def test_a_signal_handler_may_feed_the_very_get_it_interrupts():
    queue = Queue()
    previous = signal.signal(signal.SIGALRM, lambda *_: queue.put("from the handler"))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        assert queue.get(timeout=30) == "from the handler"
    finally:
        signal.signal(signal.SIGALRM, previous)


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
@pytest.mark.parametrize(
    "blocked",
    [
        "q.get()",
        "q.get(timeout=1000)",
        "q.get_many()",
        "full.put(1)",
        "full.put_many([1])",
        "full.join()",
        "list(q)",
    ],
)
def test_ctrl_c_while_blocked_in_the_main_thread(blocked):
    done = run_script(
        f"""
        import os, signal, threading, time
        from daqring.queue import Queue
        q, full = Queue(), Queue(1)
        full.put(0)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            {blocked}
        except KeyboardInterrupt:
            q.put(1); assert q.get() == 1     # still usable
            print("interrupted")
        """
    )
    assert done.stdout == "interrupted\n", done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_a_wakeup_is_handed_on_by_who_was_interrupted():
    # The main thread is woken for the item but runs a handler first, which waits for the other thread.
    done = run_script(
        """
        import os, signal, threading, time
        from daqring.queue import Queue
        q, other_done = Queue(), threading.Event()
        threading.Thread(target=lambda: (q.get(), other_done.set()), daemon=True).start()
        def handler(*_):
            q.put("for the thread")
            assert other_done.wait(20)
            q.put("for the main thread")
        signal.signal(signal.SIGTERM, handler)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        print(q.get())
        """
    )
    assert done.stdout == "for the main thread\n", done.stderr


# Memory.


def test_cycles_through_a_queue_are_collected():
    class Canary:
        pass

    for make in (Queue, Stack):
        canary = Canary()
        queue = make()
        queue.put(queue)
        queue.put((canary, queue))
        queue.me = queue
        iterator = iter(queue)
        queue.put(iterator)
        gone = weakref.ref(canary), weakref.ref(queue)
        del canary, queue, iterator
        gc.collect()
        assert [ref() for ref in gone] == [None, None]


def test_a_queue_owns_its_items_exactly_once():
    marker = object()
    queue = Queue()
    before = sys.getrefcount(marker)
    queue.put_many([marker] * 10)
    queue.put(marker)
    assert sys.getrefcount(marker) == before + 11
    queue.get()
    queue.get_many(4)
    assert sys.getrefcount(marker) == before + 6
    queue.clear()
    assert sys.getrefcount(marker) == before
    queue.put(marker)
    del queue
    assert sys.getrefcount(marker) == before


# Forks, ends of processes.

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() on this system")


@needs_fork
def test_children_forked_while_threads_use_the_queue_can_use_it():
    done = run_script(
        """
        import os, signal, threading, time, warnings
        warnings.simplefilter("ignore")
        from daqring.queue import Queue
        q, stop = Queue(4), False
        def produce():
            while not stop: q.put(1)
        def consume():
            while not stop: q.get()
        idle = Queue()
        threads = [threading.Thread(target=f, daemon=True) for f in (produce, consume, produce, idle.get)]
        for t in threads: t.start()
        bad = 0
        for _ in range(100):
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)          # a hanging child is killed, and counted
                q.clear()
                q.put(7)
                assert q.get_many() == [7]
                got = []
                t = threading.Thread(target=lambda: got.append(idle.get()))
                t.start()
                while not got:
                    idle.put("x")         # the waiter of the parent must not swallow the wake-up
                    t.join(0.01)
                os._exit(0 if got == ["x"] else 1)
            bad += os.waitpid(pid, 0)[1] != 0
        print(bad, "of 100")
        os._exit(0)
        """
    )
    assert done.stdout == "0 of 100\n", done.stderr


def test_a_daemon_thread_blocked_in_a_queue_does_not_trouble_the_exit():
    done = run_script(
        """
        import threading, time
        from daqring.queue import Queue
        q = Queue()
        def poll():
            while True:
                try: q.get(timeout=0.001)
                except Exception: pass
        for target in (q.get, poll, poll):
            threading.Thread(target=target, daemon=True).start()
        time.sleep(0.1)
        print("bye")
        """
    )
    assert (done.stdout, done.stderr, done.returncode) == ("bye\n", "", 0)


# Conservation.


@pytest.mark.parametrize("maxsize", [0, 1, 7])
@pytest.mark.parametrize(("producers", "consumers"), [(1, 1), (5, 1), (1, 5), (6, 4)])
def test_every_item_arrives_once(maxsize, producers, consumers):
    queue = Queue(maxsize)
    each = 600
    seen = [[] for _ in range(consumers)]

    def produce(number):
        chance = random.Random(number)
        pending = [(number, i) for i in range(each)]
        while pending:
            if chance.random() < 0.3:
                count = chance.randint(1, 20)
                queue.put_many(pending[:count])
                del pending[:count]
            elif chance.random() < 0.5:
                queue.put(pending.pop(0))
            else:
                try:
                    queue.put(pending[0], timeout=0.0001)
                    del pending[0]
                except Full:
                    pass

    def consume(number):
        chance = random.Random(100 + number)
        try:
            while True:
                choice = chance.random()
                try:
                    if choice < 0.3:
                        seen[number] += queue.get_many(chance.randint(1, 20))
                    elif choice < 0.6:
                        seen[number].append(queue.get())
                    else:
                        seen[number].append(queue.get(timeout=0.0001))
                except Empty:
                    pass
        except ShutDown:
            pass

    makers = [run_thread(produce, i) for i in range(producers)]
    takers = [run_thread(consume, i) for i in range(consumers)]
    for thread in makers:
        thread.join()
    queue.shutdown()
    for thread in takers:
        thread.join()
    for items in seen:
        for maker in range(producers):
            numbers = [i for m, i in items if m == maker]
            assert numbers == sorted(numbers)
    assert sorted(item for items in seen for item in items) == [
        (m, i) for m in range(producers) for i in range(each)
    ]


def test_join_and_task_done_across_threads():
    queue = Queue(5)
    worked = []

    def work():
        for item in queue:
            worked.append(item)
            queue.task_done()

    threads = [run_thread(work) for _ in range(3)]
    for round_ in range(20):
        queue.put_many(range(50))
        queue.join()
        assert len(worked) == 50 * (round_ + 1)
    queue.shutdown()
    for thread in threads:
        thread.join()


def test_a_deadline_is_kept_although_others_take_every_item():
    queue = Queue()
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            queue.put(1)
            with contextlib.suppress(Empty):
                queue.get_nowait()

    thread = run_thread(churn)
    started = time.monotonic()
    try:
        while time.monotonic() - started < 0.5:
            try:
                queue.get(timeout=0.05)
                queue.put(1)
            except Empty:
                break
    finally:
        stop.set()
        thread.join()


# The short way into put and get, and the general one, agree.


def test_every_form_of_a_call_is_understood():
    queue = Queue(2)
    queue.put(item=1, block=False, timeout=None)
    queue.put(2, False)
    for call in (
        lambda: queue.put(3, False),
        lambda: queue.put(3, timeout=0),
        lambda: queue.put(item=3, block=False),
        lambda: Queue.put(queue, 3, block=0),
        lambda: queue.put_nowait(3),
        lambda: queue.put_nowait(item=3),
    ):
        with pytest.raises(Full):
            call()
    assert queue.get(block=False) == 1
    assert Queue.get(queue, timeout=1) == 2
    for call in (lambda: queue.get(False), lambda: queue.get(timeout=0), lambda: queue.get_nowait()):
        with pytest.raises(Empty):
            call()
    for wrong in (
        lambda: queue.put(1, 2, 3, 4),
        lambda: queue.put(what=1),
        lambda: queue.put(1, item=1),
        lambda: queue.get(nothing=1),
        lambda: queue.put_nowait(),
        lambda: queue.put_nowait(1, 2),
        lambda: queue.get_nowait(1),
        lambda: Queue.put(object(), 1),
        lambda: Queue.get(5),
    ):
        with pytest.raises(TypeError):
            wrong()
    assert queue.empty()


def test_help_shows_the_signatures():
    import inspect

    assert str(inspect.signature(Queue.put)) == "(self, /, item, block=True, timeout=None)"
    assert str(inspect.signature(Queue.get)) == "(self, /, block=True, timeout=None)"
    for name in ("put", "get", "put_nowait", "get_nowait", "put_many", "get_many", "shutdown", "clear"):
        assert getattr(Queue, name).__doc__


def test_only_a_queue_can_have_the_methods_of_one():
    from daqring import _native

    with pytest.raises(TypeError, match="derived"):
        _native._install_calls(int)
