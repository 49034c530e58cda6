"""`daqring.Pipeline`: every item once, errors at the caller, and no thread left whatever happens."""

import contextvars
import ctypes
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from collections import Counter
from concurrent.futures import CancelledError, ProcessPoolExecutor, ThreadPoolExecutor

import daqring
import pytest
from daqring.pipeline import Pipeline
from daqring.queue import Queue, ShutDown


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def double(x):
    return 2 * x


def even(x):
    return x % 2 == 0


# What goes through.


@pytest.mark.parametrize("maxsize", [0, 1, 1024])
@pytest.mark.parametrize("workers", [1, 3])
def test_map_and_filter(workers, maxsize):
    results = Pipeline(range(1000), maxsize=maxsize).map(double, workers=workers).filter(lambda x: x % 3)
    assert sorted(results.map(str)) == sorted(str(2 * x) for x in range(1000) if 2 * x % 3)


@pytest.mark.parametrize("maxsize", [1, 10, 1024])
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_ordered_keeps_the_order(workers, maxsize):
    chance = random.Random(1)
    naps = [chance.random() * 0.001 if chance.random() < 0.2 else 0 for _ in range(500)]

    def slowly(x):
        time.sleep(naps[x])
        return x

    pipeline = Pipeline(range(500), maxsize=maxsize).map(slowly, workers=workers, ordered=True)
    assert list(pipeline.filter(even, workers=workers, ordered=True)) == list(range(0, 500, 2))


def test_an_ordered_stage_holds_back_a_bounded_number():
    gate = threading.Event()
    started = []

    def first_is_slow(x):
        started.append(x)
        if x == 0:
            gate.wait()
        return x

    results = iter(Pipeline(range(100_000)).map(first_is_slow, workers=4, ordered=True))
    threading.Timer(0.3, gate.set).start()
    assert [next(results) for _ in range(10)] == list(range(10))
    assert next(results) == 10
    results.close()


def test_any_value_travels():
    values = [None, 0, -1, "", [], ValueError("a value"), ShutDown(), StopIteration(), Ellipsis, {}]
    same = Pipeline(values).map(lambda x: x).filter(lambda _: True).flat_map(lambda x: [x]).map(lambda x: x)
    assert list(map(id, same)) == list(map(id, values))
    assert list(Pipeline([None, 1]).map(lambda x: x, workers=2, ordered=True).batch(2)) == [[None, 1]]


def test_flat_map_passes_things_on_as_they_come():
    def count_up(_):
        n = 0
        while True:
            yield n
            n += 1

    results = iter(Pipeline([0], maxsize=4).flat_map(count_up))
    assert [next(results) for _ in range(20)] == list(range(20))
    results.close()
    ordered = Pipeline(range(100)).flat_map(lambda x: [x] * (x % 4), workers=3, ordered=True)
    assert list(ordered) == [x for x in range(100) for _ in range(x % 4)]


def test_batch():
    assert list(Pipeline(range(10)).batch(4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert list(Pipeline([]).batch(4)) == []
    assert list(Pipeline(range(3), maxsize=1).batch(2)) == [[0, 1], [2]]


def test_batch_within_a_time():
    gate = threading.Event()

    def source():
        yield 1
        gate.wait()
        yield 2

    results = iter(Pipeline(source).batch(100, within=0.02))
    assert next(results) == [1]
    gate.set()
    assert list(results) == [[2]]


def test_tee_partition_and_merge():
    left, right = Pipeline(range(100), maxsize=3).tee()
    yes, no = left.partition(even)
    merged = Pipeline.merge(right.map(lambda x: ("all", x)), yes.map(lambda x: ("even", x)), no)
    expected = [("all", x) for x in range(100)]
    expected += [("even", x) if even(x) else x for x in range(100)]
    assert Counter(merged) == Counter(expected)


def test_merge_of_several_sources_and_a_tee_of_the_merger():
    merged = Pipeline(range(50)).merge(Pipeline(range(50, 80)).map(double), Pipeline("abc"))
    kept, seen = merged.tee()
    counted = []
    seen.sink(counted.append, workers=2)
    expected = [*range(50), *(2 * x for x in range(50, 80)), *"abc"]
    assert Counter(kept) == Counter(expected)
    assert Counter(counted) == Counter(expected)


def test_sinks_and_run():
    written = []
    Pipeline(range(100)).map(double).sink(written.append).run(timeout=60)
    assert written == [2 * x for x in range(100)]
    Pipeline(range(100)).map(written.append).run()
    assert len(written) == 200


def test_a_queue_is_a_source():
    inbox = Queue()
    inbox.put_many(range(5))
    inbox.shutdown()
    assert list(Pipeline(inbox).map(double)) == [0, 2, 4, 6, 8]


def test_executors_for_work_that_keeps_a_core_busy():
    with ThreadPoolExecutor(2) as executor:
        assert list(Pipeline(range(50)).map(double, workers=3, ordered=True, executor=executor)) == list(
            range(0, 100, 2)
        )
    with ProcessPoolExecutor(2, mp_context=__import__("multiprocessing").get_context("spawn")) as executor:
        assert sorted(Pipeline(range(-5, 5)).map(abs, workers=2, executor=executor)) == sorted(
            map(abs, range(-5, 5))
        )


def test_native_functions_are_stages():
    """A ctypes function runs without the interpreter lock; to the pipeline it is a callable as any other."""
    library = ctypes.cdll.msvcrt if os.name == "nt" else ctypes.CDLL(None)
    assert list(Pipeline(range(-3, 3)).map(library.labs, workers=2, ordered=True)) == [3, 2, 1, 0, 1, 2]


def test_context_variables_are_carried_over():
    run = contextvars.ContextVar("run")
    run.set("A7")
    assert list(Pipeline([1]).map(lambda _: run.get())) == ["A7"]


def test_a_source_is_advanced_no_further_than_the_queues_allow():
    advanced = []

    def source():
        for n in range(10_000):
            advanced.append(n)
            yield n

    results = iter(Pipeline(source, maxsize=5).map(double))
    next(results)
    time.sleep(0.05)
    assert len(advanced) < 60
    results.close()


# Ends.


def test_an_early_break_closes_the_source():
    closed = threading.Event()

    def source():
        try:
            yield from iter(int, 1)
        finally:
            closed.set()

    for item in (source, source()):
        closed.clear()
        for _ in Pipeline(item, maxsize=3).map(double, workers=3, ordered=True).flat_map(lambda x: [x, x]):
            break
        assert closed.is_set()


def fail_at_50(x):
    if x == 50:
        raise KeyError("fifty")
    return x


BUILDERS = {
    "map": lambda p: p.map(fail_at_50),
    "map of several": lambda p: p.map(fail_at_50, workers=4),
    "ordered map": lambda p: p.map(fail_at_50, workers=4, ordered=True),
    "fused": lambda p: p.map(double).map(lambda x: fail_at_50(x // 2), workers=0),
    "filter": lambda p: p.filter(fail_at_50),
    "flat_map": lambda p: p.flat_map(lambda x: [fail_at_50(x)]),
    "sink": lambda p: p.sink(fail_at_50),
    "partition": lambda p: Pipeline.merge(*p.map(lambda x: x).partition(fail_at_50)),
}


@pytest.mark.parametrize("which", BUILDERS)
def test_the_first_error_stops_all_and_says_where(which):
    pipeline = BUILDERS[which](Pipeline(iter(range(10**9)), maxsize=10))
    with pytest.raises(KeyError, match="fifty") as raised:
        pipeline.run(timeout=60)
    (note,) = raised.value.__notes__
    assert "in stage '" in note
    assert note.endswith("on item 50") or which == "fused"


def test_a_failing_source():
    def source():
        yield 1
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged") as raised:
        list(Pipeline(source, name="sensor").map(double))
    assert raised.value.__notes__ == ["in stage 'sensor' of a daqring.Pipeline, which reads its source"]
    with pytest.raises(TypeError):
        list(Pipeline(lambda: 3))


def test_an_item_whose_repr_fails_does_not_hide_the_error():
    class Odd:
        def __repr__(self):
            raise RuntimeError

    with pytest.raises(ZeroDivisionError) as raised:
        list(Pipeline([Odd()]).map(lambda _: 1 / 0))
    assert "Odd" in raised.value.__notes__[0]


def test_an_error_in_the_loop_stops_the_stages():
    def divide():
        for x in Pipeline(iter(int, 1)).map(double):
            1 / x

    with pytest.raises(ZeroDivisionError):
        divide()


def test_an_error_of_a_process_pool_comes_out():
    with ThreadPoolExecutor(2) as executor, pytest.raises(KeyError):
        list(Pipeline(range(100)).map(fail_at_50, workers=3, executor=executor))


def test_cancel_from_elsewhere():
    pipeline = Pipeline(iter(int, 1)).map(double, workers=2).start()
    pipeline.cancel()
    with pytest.raises(CancelledError):
        pipeline.join(20)


def test_functions_see_that_they_are_cancelled():
    started = threading.Event()

    def patient(_):
        started.set()
        while not daqring.cancelled():
            time.sleep(0.001)

    pipeline = Pipeline([1]).map(patient).start()
    started.wait()
    pipeline.cancel()
    with pytest.raises(CancelledError):
        pipeline.join(20)


def test_join_and_dump_name_who_hangs():
    gate = threading.Event()

    def hang(item):
        if item == "the bad one":
            gate.wait()

    pipeline = Pipeline(["good", "the bad one", "behind"], maxsize=7).map(hang, name="hang").start()
    with pytest.raises(TimeoutError) as raised:
        pipeline.join(0.2)
    for text in (str(raised.value), pipeline.dump()):
        assert "hang-0: " in text
        assert "s on 'the bad one'" in text
        assert "gate.wait()" in text
    assert "hang: 1 of 7 items wait" in pipeline.dump()
    gate.set()
    pipeline.join(20)


def test_a_stage_that_does_not_stop_is_named_and_left():
    gate = threading.Event()
    results = iter(Pipeline([1, 2, 3], grace=0.1).map(lambda x: x if x < 3 else gate.wait(), name="deaf"))
    next(results)
    time.sleep(0.05)
    with pytest.warns(RuntimeWarning, match="deaf-0"):
        results.close()
    gate.set()
    for thread in threading.enumerate():
        if thread.name == "deaf-0":
            thread.join()


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_ctrl_c_in_the_loop_ends_the_program():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(
                """
                import os, signal, threading, time, daqring
                threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
                def source():
                    while not daqring.cancelled():
                        time.sleep(0.01)
                        yield 1
                try:
                    for _ in daqring.Pipeline(source).map(lambda x: x, workers=3).filter(lambda x: False):
                        pass
                except KeyboardInterrupt:
                    print(threading.active_count())
                """
            ),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "1\n", done.stderr


# Misuse.


def test_misuse_is_refused_in_words():
    pipeline = Pipeline([1])
    pipeline.map(double)
    with pytest.raises(RuntimeError, match="tee"):
        pipeline.map(double)
    with pytest.raises(RuntimeError, match="sink"):
        Pipeline([1]).sink(double).map(double)
    one, _ = Pipeline([1]).tee()
    with pytest.raises(RuntimeError, match="read by nobody"):
        list(one)
    once = Pipeline([1]).sink(double)
    once.run()
    with pytest.raises(RuntimeError, match="runs once"):
        once.run()
    with pytest.raises(TypeError, match="iterable"):
        Pipeline(3)
    for wrong in (
        lambda: Pipeline([1]).map(double, workers=-1),
        lambda: Pipeline([1]).flat_map(double, workers=0),
        lambda: Pipeline([1]).batch(0),
        lambda: Pipeline([1]).tee(1),
        lambda: Pipeline([1]).merge(),
    ):
        with pytest.raises(ValueError, match=r"worker|batch|branch|merge"):
            wrong()

    async def fetch(_):
        pass

    async def generate():
        yield 1

    with pytest.raises(TypeError, match="asyncio"):
        Pipeline([1]).map(fetch)
    with pytest.raises(TypeError, match="asynchronous"):
        Pipeline(generate())


# 1,000 random graphs, against what they ought to give.


class Model:
    """The same graph in plain lists."""

    def __init__(self, chance):
        self.chance = chance
        self.sinks = []
        self.failing = chance.random() < 0.25
        self.maxsize = chance.choice([0, 1, 2, 5, 1024])

    def function(self, tag):
        rate = 0.02 if self.failing else 0.0
        nap = 0.0005 if self.chance.random() < 0.1 else 0

        def apply(item):
            if rate and zlib.crc32(repr((item, tag)).encode()) % 97 < 97 * rate:
                raise Failure(item)
            if nap and item[1] % 13 == 0:
                time.sleep(nap)
            return (item[0] + tag, item[1])

        return apply

    def grow(self, pipeline, items, depth):
        """Add random stages; gives the pipeline's open ends, each with the items that should come out."""
        chance = self.chance
        for _ in range(chance.randint(0, 3)):
            workers, ordered = chance.randint(1, 3), chance.random() < 0.5
            kind = chance.choice(["map", "map", "filter", "flat_map", "fused"])
            tag = chance.choice("abcdefgh")
            if kind in ("map", "fused"):
                function = self.function(tag)
                pipeline = pipeline.map(function, workers=workers if kind == "map" else 0, ordered=ordered)
                items = [(name + tag, n) for name, n in items]
            elif kind == "filter":
                keep = chance.randint(2, 5)
                pipeline = pipeline.filter(
                    lambda item, keep=keep: item[1] % keep, workers=chance.randint(0, 2), ordered=ordered
                )
                items = [item for item in items if item[1] % keep]
            else:
                pipeline = pipeline.flat_map(
                    lambda item: [(item[0] + str(k), item[1]) for k in range(item[1] % 3)],
                    workers=workers,
                    ordered=ordered,
                )
                items = [(name + str(k), n) for name, n in items for k in range(n % 3)]
        if depth and chance.random() < 0.5:
            if chance.random() < 0.5:
                branches = pipeline.map(lambda x: x, workers=0).tee(2)
                both = [(branches[0].map(lambda x: ("L" + x[0], x[1])), [("L" + a, n) for a, n in items])]
                both.append((branches[1], items))
            else:
                yes, no = pipeline.partition(lambda item: item[1] % 2)
                both = [(yes, [i for i in items if i[1] % 2]), (no, [i for i in items if not i[1] % 2])]
            ends = [self.grow(branch, content, depth - 1) for branch, content in both]
            if chance.random() < 0.3:
                seen = []
                side, content = ends.pop()
                side.sink(seen.append, workers=chance.randint(1, 2))
                self.sinks.append((seen, content))
                return ends[0]
            return ends[0][0].merge(ends[1][0]), ends[0][1] + ends[1][1]
        return pipeline, items


class Failure(Exception):
    pass


@pytest.mark.parametrize("block", range(10))
def test_a_thousand_random_graphs(block):
    finished, threads = 0, threading.active_count()
    for seed in range(100 * block, 100 * block + 100):
        chance = random.Random(seed)
        model = Model(chance)
        items = [("", n) for n in range(chance.choice([0, 1, 7, 60]))]
        pipeline, expected = model.grow(Pipeline(list(items), maxsize=model.maxsize), items, 2)
        end = chance.choice(["read", "read", "break", "cancel"])
        stop_after = chance.randint(0, 30)
        got = []
        try:
            if end == "cancel":
                timer = threading.Timer(chance.random() * 0.003, pipeline.cancel)
                timer.start()
            try:
                for item in pipeline:
                    got.append(item)
                    if end == "break" and len(got) > stop_after:
                        break
                else:
                    assert Counter(got) == Counter(expected), seed
                    for seen, content in model.sinks:
                        assert Counter(seen) == Counter(content), seed
                    finished += 1
            except Failure as error:
                assert model.failing, seed
                assert "in stage" in error.__notes__[0]  # noqa: PT017
            except CancelledError:
                assert end == "cancel", seed
        finally:
            if end == "cancel":
                timer.cancel()
                timer.join()
        assert not Counter(got) - Counter(expected), seed
        for seen, content in model.sinks:
            assert not Counter(seen) - Counter(content), seed
        assert threading.active_count() == threads, (seed, threading.enumerate())
    assert finished > 20
