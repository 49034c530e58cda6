"""`Pipeline`: stages of work, each in threads of its own, joined by bounded queues."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Generic, NoReturn, TypeVar, cast

from daqring._crew import IDLE, Crew, Member, short
from daqring.queue import Empty, Queue, ShutDown
from daqring.workers import close_generator, need_whole, refuse_coroutine, stage_name

__all__ = ["Pipeline"]

T = TypeVar("T")
U = TypeVar("U")

Emit = Callable[[Any], None]

#: Results of one `get_many` in the caller's loop.
_READ_AHEAD = 1024

#: Results that may wait for an older one in an ordered stage whose queue has no bound.
_UNBOUNDED_WINDOW = 1024


class _Edge:
    """A queue between stages, shut down when the last of those that write to it has ended."""

    def __init__(self, maxsize: int) -> None:
        self.queue: Queue[Any] = Queue(maxsize)
        self.writers = 0
        self.read = False
        self._lock = threading.Lock()

    def writer_ended(self) -> None:
        with self._lock:
            self.writers -= 1
            ended = self.writers == 0
        if ended:
            self.queue.shutdown()


class _Stage:
    """What some threads do: take from one edge, work, put into others."""

    kind = "stage"

    def __init__(self, name: str, workers: int, source: _Edge | None) -> None:
        self.name = name
        self.workers = workers
        self.source = source
        self.targets: list[_Edge] = []
        self.route: Callable[[Any], bool] | None = None

    def connect(self, *targets: _Edge) -> None:
        self.targets = list(targets)
        for target in targets:
            target.writers += self.workers

    def emitter(self) -> Emit:
        """The function that hands a result on."""
        if not self.targets:
            return _discard
        puts = [target.queue.put for target in self.targets]
        if self.route is not None:
            route, (yes, no) = self.route, puts
            return lambda item: (yes if route(item) else no)(item)
        if len(puts) == 1:
            return puts[0]

        def emit_to_all(item: Any) -> None:
            for put in puts:
                put(item)

        return emit_to_all

    def body(self, graph: _Graph, number: int) -> Callable[[Member], None]:
        def run(member: Member) -> None:
            try:
                self.work(graph, member, self.emitter())
            except _Stopped:
                return
            except BaseException as error:
                self.note(member, error)
                raise
            for target in self.targets:
                target.writer_ended()

        return run

    def window(self) -> int:
        """How many results of an ordered stage may wait for an older one."""
        bound = self.source.queue.maxsize if self.source is not None else 0
        return max(4 * self.workers, bound if bound > 0 else _UNBOUNDED_WINDOW)

    def note(self, member: Member, error: BaseException) -> None:
        on = "" if member.item is IDLE else f", on item {short(member.item)}"
        error.add_note(f"in stage '{self.name}' of a daqring.Pipeline{on}")

    def work(self, graph: _Graph, member: Member, emit: Emit) -> None:
        raise NotImplementedError


class _Stopped(Exception):
    """The pipeline is being stopped: end without another word."""


def _discard(item: Any) -> None:
    pass


class _Source(_Stage):
    kind = "source"

    def __init__(self, items: Any, name: str) -> None:
        super().__init__(name, 1, None)
        self.items = items

    def work(self, graph: _Graph, member: Member, emit: Emit) -> None:
        items = None
        try:
            member.since = time.monotonic()
            member.item = self.items
            made = callable(self.items) and not hasattr(type(self.items), "__iter__")
            items = iter(self.items() if made else self.items)
            if len(self.targets) == 1 and self.route is None:
                self.targets[0].queue.put_many(items)
            else:
                for item in items:
                    emit(item)
        except ShutDown:
            if not graph.crew.stopping:
                raise
            raise _Stopped from None
        finally:
            close_generator(items)

    def note(self, member: Member, error: BaseException) -> None:
        error.add_note(f"in stage '{self.name}' of a daqring.Pipeline, which reads its source")


class _Steps(_Stage):
    """Maps and filters, one after the other, on each item."""

    def __init__(
        self,
        name: str,
        workers: int,
        source: _Edge,
        ordered: bool,
        executor: Executor | None,
    ) -> None:
        super().__init__(name, workers, source)
        self.ordered = ordered and workers > 1
        self.executor = executor
        self.sequence = _Sequence() if self.ordered else None
        #: (function, whether it is a filter, its name)
        self.steps: list[tuple[Callable[[Any], Any], bool, str]] = []

    def add(self, function: Callable[[Any], Any], is_filter: bool, name: str) -> None:
        self.steps.append((function, is_filter, name))

    def work(self, graph: _Graph, member: Member, emit: Emit) -> None:
        assert self.source is not None
        steps = [(self._called(graph, step), is_filter) for step, is_filter, _ in self.steps]
        get = self.source.queue.get
        if self.sequence is not None:
            self._work_in_order(graph, member, emit, steps)
            return
        single = steps[0][0] if len(steps) == 1 else None
        filtering = steps[0][1]
        monotonic = time.monotonic
        while True:
            member.item = IDLE
            try:
                item = get()
            except ShutDown:
                self._end(graph)
                return
            member.since = monotonic()
            member.item = item
            if single is not None:
                result = single(item)
                if filtering:
                    if not result:
                        continue
                    result = item
            else:
                result = item
                for step, is_filter in steps:
                    outcome = step(result)
                    if not is_filter:
                        result = outcome
                    elif not outcome:
                        break
                else:
                    outcome = True
                if is_filter and not outcome:
                    continue
            try:
                emit(result)
            except ShutDown:
                self._stopped(graph)

    def _work_in_order(
        self, graph: _Graph, member: Member, emit: Emit, steps: list[tuple[Callable[[Any], Any], bool]]
    ) -> None:
        assert self.source is not None
        assert self.sequence is not None
        take, sequence = self.source.queue._take, self.sequence
        window = self.window()
        while True:
            member.item = IDLE
            try:
                number, (item,) = take(1)
            except ShutDown:
                self._end(graph)
                return
            member.since = time.monotonic()
            member.item = item
            results = [item]
            for step, is_filter in steps:
                outcome = step(results[0])
                if not is_filter:
                    results[0] = outcome
                elif not outcome:
                    results = []
                    break
            try:
                sequence.deliver(number, results, emit, window, graph.crew)
            except ShutDown:
                self._stopped(graph)

    def _called(self, graph: _Graph, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        executor = self.executor
        if executor is None:
            return function

        def call(item: Any) -> Any:
            future = executor.submit(function, item)
            while True:
                try:
                    return future.result(timeout=0.1)
                except FutureTimeout:
                    if future.done():
                        raise  # the function's own
                    if graph.crew.stopping:
                        future.cancel()
                        raise _Stopped from None

        return call

    def _end(self, graph: _Graph) -> None:
        if graph.crew.stopping:
            raise _Stopped

    def _stopped(self, graph: _Graph) -> None:
        if not graph.crew.stopping:
            raise RuntimeError("a queue inside the pipeline was shut down from outside")
        raise _Stopped from None


class _Sequence:
    """Puts results back into the order in which their items were taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turn = threading.Condition(self._lock)
        self._waiting = 0
        self._ready: dict[int, list[Any]] = {}
        self._next = 0
        self._emitting = False

    def deliver(self, number: int, results: list[Any], emit: Emit, window: int, crew: Crew) -> None:
        """Hand in the results of item `number`; emits all whose turn has come.

        Waits while more than `window` results wait for an older one; never with the oldest itself.
        """
        with self._lock:
            while number >= self._next + window and not crew.stopping:
                self._waiting += 1
                self._turn.wait(0.1)
                self._waiting -= 1
            if self._emitting or number != self._next:
                self._ready[number] = results
                return
            self._emitting = True
        while True:
            for result in results:
                emit(result)
            with self._lock:
                self._next += 1
                if self._waiting and (self._next % 16 == 0 or not self._ready):
                    self._turn.notify_all()
                due = self._ready.pop(self._next, None)
                if due is None:
                    self._emitting = False
                    return
                results = due


class _FlatMap(_Stage):
    def __init__(
        self, function: Callable[[Any], Iterable[Any]], name: str, workers: int, source: _Edge, ordered: bool
    ) -> None:
        super().__init__(name, workers, source)
        self.function = function
        self.sequence = _Sequence() if ordered and workers > 1 else None

    def work(self, graph: _Graph, member: Member, emit: Emit) -> None:
        assert self.source is not None
        take = self.source.queue._take
        while True:
            member.item = IDLE
            try:
                number, (item,) = take(1)
            except ShutDown:
                if graph.crew.stopping:
                    raise _Stopped from None
                return
            member.since = time.monotonic()
            member.item = item
            results = self.function(item)
            try:
                if self.sequence is not None:
                    collected = list(results)
                    self.sequence.deliver(number, collected, emit, self.window(), graph.crew)
                else:
                    for result in results:
                        emit(result)
            except ShutDown:
                if not graph.crew.stopping:
                    raise
                raise _Stopped from None
            finally:
                close_generator(results)


class _Batch(_Stage):
    def __init__(self, size: int, within: float | None, name: str, source: _Edge) -> None:
        super().__init__(name, 1, source)
        self.size = size
        self.within = within

    def work(self, graph: _Graph, member: Member, emit: Emit) -> None:
        assert self.source is not None
        queue = self.source.queue
        batch: list[Any] = []
        deadline = 0.0
        ended = False
        while not ended:
            timeout = None
            if batch and self.within is not None:
                timeout = max(0.0, deadline - time.monotonic())
            try:
                taken = queue.get_many(self.size - len(batch), timeout)
                if not batch and self.within is not None:
                    deadline = time.monotonic() + self.within
                batch += taken
                if len(batch) < self.size:
                    continue
            except Empty:
                pass
            except ShutDown:
                ended = True
            if graph.crew.stopping:
                raise _Stopped
            if batch:
                try:
                    emit(batch)
                except ShutDown:
                    if not graph.crew.stopping:
                        raise
                    raise _Stopped from None
                batch = []


class _Graph:
    """All stages and edges that hang together; runs once."""

    def __init__(self, maxsize: int, grace: float, name: str) -> None:
        self.maxsize = maxsize
        self.grace = grace
        self.name = name
        self.stages: list[_Stage] = []
        self.edges: list[_Edge] = []
        self.crew = Crew(self.shut)
        self.started = False
        self.absorbed_by: _Graph | None = None

    def whole(self) -> _Graph:
        graph = self
        while graph.absorbed_by is not None:
            graph = graph.absorbed_by
        return graph

    def absorb(self, other: _Graph) -> None:
        if other is self:
            return
        self.stages += other.stages
        self.edges += other.edges
        other.absorbed_by = self

    def edge(self, maxsize: int | None = None) -> _Edge:
        edge = _Edge(self.maxsize if maxsize is None else maxsize)
        self.edges.append(edge)
        return edge

    def shut(self) -> None:
        for edge in self.edges:
            edge.queue.shutdown(immediate=True)

    def start(self) -> None:
        self.crew.check_process()
        if self.started:
            raise RuntimeError("a pipeline runs once: its source is used up. Build another one")
        unread = [stage.name for stage in self.stages if any(not edge.read for edge in stage.targets)]
        if unread:
            raise RuntimeError(
                f"what stage '{unread[0]}' puts out is read by nobody, and would block the others: give "
                "the branch a sink(), or merge() it"
            )
        self.started = True
        bodies = []
        for stage in self.stages:
            for number in range(stage.workers):
                bodies.append((f"{stage.name}-{number}", stage.body(self, number)))
        self.crew.start(bodies)

    def join(self, timeout: float | None) -> None:
        hanging = self.crew.join(timeout)
        if hanging:
            raise TimeoutError(
                f"the pipeline did not end within {timeout} s; still at work:\n{self.crew.names_of(hanging)}"
            )
        if self.crew.error is not None:
            raise self.crew.error
        if self.crew.was_cancelled:
            raise CancelledError("the pipeline was cancelled")

    def leave(self) -> None:
        """After the end, or instead of it: nobody is left."""
        if not any(member.thread.is_alive() for member in self.crew.members):
            return
        self.crew.cancel()
        hanging = self.crew.join(self.grace)
        if hanging:
            warnings.warn(
                f"stages of a stopped pipeline still run after {self.grace} s:\n"
                + self.crew.names_of(hanging),
                RuntimeWarning,
                stacklevel=3,
            )


class Pipeline(Generic[T]):
    """Items from a source through stages of work, each in its own threads, to a loop or to sinks.

        for line in Pipeline(read_blocks).map(parse, workers=5, ordered=True).filter(bool).map(render):
            print(line)

    ``source`` is an iterable, or a function that returns one (called in the source's thread). A
    generator is advanced as the stages keep up and closed when the pipeline stops early. Between two
    stages lies a queue of ``maxsize`` items: a slow stage slows those before it, and memory stays bounded
    (give a smaller ``maxsize`` where items are large). Any value may travel: ``None``, 0, exceptions; the
    end of the stream is not a value.

    The first exception in any stage stops all of them, and the caller gets it with stage and item in a
    note. When the loop is left early, the pipeline is stopped and its threads are joined, for up to
    ``grace`` seconds; a function that takes long over one item may look at `daqring.cancelled()`.

    A stage is any callable. One that leaves the interpreter while it works - a ctypes or cffi function, a
    numba function compiled with ``nogil=True``, most of numpy - lets the workers of a stage use several
    cores; a stage of Python code needs an ``executor`` of processes for that.

    A pipeline is built once and runs once. Each of its methods continues it, so the one before can not be
    continued again (`tee` is for that). Graphs have no cycles by construction: work that makes new work
    is for `daqring.Workers`.
    """

    def __init__(
        self,
        source: Iterable[T] | Callable[[], Iterable[T]],
        *,
        maxsize: int = 1024,
        grace: float = 10.0,
        name: str = "source",
    ) -> None:
        if hasattr(source, "__aiter__"):
            raise TypeError("a pipeline's stages are threads: it cannot read from an asynchronous iterable")
        if not callable(source) and not hasattr(source, "__iter__") and not hasattr(source, "__getitem__"):
            raise TypeError(f"a pipeline reads from an iterable, which {short(source)} is not")
        self._graph_ = _Graph(maxsize, grace, name)
        self._continued = False
        stage = _Source(source, name)
        self._end: _Edge | None = self._graph_.edge()
        stage.connect(self._end)
        self._last: _Stage = stage
        self._graph_.stages.append(stage)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "a daqring.Pipeline cannot be pickled or copied: it belongs to the threads of one process; a "
            "stage that is to compute in others takes executor=ProcessPoolExecutor()"
        )

    @property
    def _graph(self) -> _Graph:
        return self._graph_.whole()

    @classmethod
    def _at(cls, graph: _Graph, end: _Edge | None, last: _Stage) -> Pipeline[Any]:
        self = cls.__new__(cls)
        self._graph_, self._end, self._last, self._continued = graph, end, last, False
        return self

    def _continue(self) -> _Edge:
        """Take the open end, to be read by whoever asks."""
        if self._graph.started:
            raise RuntimeError("the pipeline has been started; it can not be continued")
        if self._end is None:
            raise RuntimeError("the pipeline ends in a sink here; it can not be continued")
        if self._continued:
            raise RuntimeError("the pipeline goes on elsewhere from here; use tee() to send items two ways")
        self._continued = True
        return self._end

    def _extend(self, stage: _Stage, maxsize: int | None) -> Pipeline[Any]:
        graph = self._graph
        assert stage.source is not None
        stage.source.read = True
        edge = graph.edge(maxsize)
        stage.connect(edge)
        graph.stages.append(stage)
        return self._at(graph, edge, stage)

    # Stages.

    def map(
        self,
        function: Callable[[T], U],
        *,
        workers: int = 1,
        ordered: bool = False,
        executor: Executor | None = None,
        maxsize: int | None = None,
        name: str | None = None,
    ) -> Pipeline[U]:
        """Replace each item by ``function(item)``, in ``workers`` threads.

        With several workers the results come in the order they are ready, or with ``ordered=True`` in
        the order of the items (a slow item then holds back those after it, up to ``maxsize``).
        ``workers=0`` runs the function in the threads of the stage before. With an ``executor`` (a
        ``ProcessPoolExecutor``, for work that keeps a core busy) the threads only hand items over and
        wait; function and items must be picklable for processes.
        """
        return self._step(function, False, workers, ordered, executor, maxsize, name)

    def filter(
        self,
        function: Callable[[T], Any],
        *,
        workers: int = 0,
        ordered: bool = False,
        executor: Executor | None = None,
        maxsize: int | None = None,
        name: str | None = None,
    ) -> Pipeline[T]:
        """Keep the items for which ``function(item)`` is true; by default in the threads before it."""
        return self._step(function, True, workers, ordered, executor, maxsize, name)

    def _step(
        self,
        function: Callable[[Any], Any],
        is_filter: bool,
        workers: int,
        ordered: bool,
        executor: Executor | None,
        maxsize: int | None,
        name: str | None,
    ) -> Pipeline[Any]:
        refuse_coroutine(function)
        need_whole("workers", workers)
        if workers < 0:
            raise ValueError(f"'workers' must not be negative: {workers}")
        name = name or stage_name(function)
        end = self._continue()
        last = self._last
        if workers == 0:
            if isinstance(last, _Steps) and executor is last.executor and last.targets == [end]:
                last.add(function, is_filter, name)
                last.name += f"+{name}"
                return self._at(self._graph, end, last)
            workers = 1
        stage = _Steps(name, workers, end, ordered, executor)
        stage.add(function, is_filter, name)
        return self._extend(stage, maxsize)

    def flat_map(
        self,
        function: Callable[[T], Iterable[U]],
        *,
        workers: int = 1,
        ordered: bool = False,
        maxsize: int | None = None,
        name: str | None = None,
    ) -> Pipeline[U]:
        """Replace each item by all that ``function(item)`` yields.

        A generator's items go on as they come, except with ``ordered=True`` and several workers, where
        those of one item are collected first.
        """
        refuse_coroutine(function)
        _need_workers(workers)
        end = self._continue()
        stage = _FlatMap(function, name or stage_name(function), workers, end, ordered)
        return self._extend(stage, maxsize)

    def batch(
        self, size: int, *, within: float | None = None, maxsize: int | None = None, name: str = "batch"
    ) -> Pipeline[list[T]]:
        """Collect ``size`` items into a list; the last may be shorter.

        ``within`` seconds after its first item a list goes on however short it is.
        """
        need_whole("size", size)
        if size < 1:
            raise ValueError(f"a batch holds at least 1 item, not {size}")
        return self._extend(_Batch(size, within, name, self._continue()), maxsize)

    # Branches.

    def tee(self, branches: int = 2) -> tuple[Pipeline[T], ...]:
        """Send every item into each of several branches (the same object: do not change it in place).

        Every branch must end in a `sink`, or be merged: the slowest sets the pace of all.
        """
        if branches < 2:
            raise ValueError(f"tee() makes at least 2 branches, not {branches}")
        return self._branch(branches, None)

    def partition(self, function: Callable[[T], Any]) -> tuple[Pipeline[T], Pipeline[T]]:
        """Send each item into the first branch where ``function(item)`` is true, else into the second."""
        refuse_coroutine(function)
        yes, no = self._branch(2, function)
        return yes, no

    def _branch(self, branches: int, route: Callable[[Any], Any] | None) -> tuple[Pipeline[T], ...]:
        end = self._continue()
        graph, last = self._graph, self._last
        if end.writers != last.workers or last.route is not None or last.targets != [end]:
            # Written by several stages, or a branch itself: put a stage between that can choose.
            stage = _Steps("branch", 1, end, False, None)
            stage.add(_same, False, "branch")
            end.read = True
            graph.stages.append(stage)
            last = stage
        else:
            graph.edges.remove(end)
        edges = [graph.edge(end.queue.maxsize) for _ in range(branches)]
        last.connect(*edges)
        last.route = route
        return tuple(self._at(graph, edge, last) for edge in edges)

    def merge(self, *others: Pipeline[Any], maxsize: int | None = None) -> Pipeline[Any]:
        """Join the items of several pipelines or branches into one, as they come."""
        if not others:
            raise ValueError("merge() needs another pipeline to merge with")
        parts: list[Pipeline[Any]] = [self, *others]
        ends = [part._continue() for part in parts]
        graph = self._graph
        for part in others:
            graph.absorb(part._graph)
        merged = graph.edge(maxsize)
        for part, end in zip(parts, ends, strict=True):
            # Whoever wrote to the old end writes to the new one.
            for stage in graph.stages:
                count = stage.targets.count(end)
                if count:
                    stage.targets = [merged if target is end else target for target in stage.targets]
                    merged.writers += count * stage.workers
            graph.edges.remove(end)
            part._end = None
        between = _Merged(merged)
        return self._at(graph, merged, between)

    # Running.

    def sink(
        self, function: Callable[[T], Any], *, workers: int = 1, name: str | None = None
    ) -> Pipeline[None]:
        """End here: ``function(item)`` is called for each item, and its result dropped."""
        refuse_coroutine(function)
        _need_workers(workers)
        end = self._continue()
        end.read = True
        stage = _Steps(name or stage_name(function), workers, end, False, None)
        stage.add(function, False, stage.name)
        graph = self._graph
        graph.stages.append(stage)
        return cast("Pipeline[None]", self._at(graph, None, stage))

    def __iter__(self) -> Iterator[T]:
        """Run the pipeline and give what comes out of it. Leaving the loop early stops it."""
        end = self._continue()
        graph = self._graph
        end.read = True
        try:
            graph.start()
            while True:
                try:
                    items = end.queue.get_many(_READ_AHEAD)
                except ShutDown:
                    break
                yield from items
            graph.join(None)
        finally:
            graph.leave()

    def run(self, timeout: float | None = None) -> None:
        """Run the pipeline to its end; what comes out of an open end is dropped.

        Raises the first error of a stage, and `TimeoutError` after ``timeout`` seconds, naming the stages
        that are still at work; they are stopped then.
        """
        self.start()
        try:
            self.join(timeout)
        finally:
            self._graph.leave()

    def start(self) -> Pipeline[T]:
        """Run in the background, dropping what comes out of an open end; `join` waits for the end."""
        if self._end is not None:
            self.sink(_discard, name="end")
        self._graph.start()
        return self

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end of a started pipeline.

        Raises its first error; `concurrent.futures.CancelledError` after `cancel`; and `TimeoutError` when
        it has not ended within ``timeout`` seconds, naming who is still at work, on which item, and where.
        """
        self._graph.join(timeout)

    def cancel(self) -> None:
        """Stop: drop what is on its way, start no other item."""
        self._graph.crew.cancel()

    def dump(self) -> str:
        """Every stage's queue, and every worker's item, how long it has had it, and where it is.

        May be called from any thread, or from a signal handler, while the pipeline runs.
        """
        graph = self._graph
        members = iter(list(graph.crew.members))
        lines = []
        for stage in graph.stages:
            if stage.source is None:
                lines.append(f"{stage.name}: source")
            else:
                queue = stage.source.queue
                lines.append(f"{stage.name}: {queue.qsize()} of {queue.maxsize} items wait")
            if graph.started:
                for _ in range(stage.workers):
                    member = next(members)
                    lines.append(f"  {member.describe()}")
                    if member.item is not IDLE:
                        lines += [f"    {line}" for line in member.stack().splitlines()]
        return "\n".join(lines)


class _Merged(_Stage):
    """Stands for the several stages that write to a merged edge; has no threads."""

    def __init__(self, edge: _Edge) -> None:
        super().__init__("merge", 0, None)
        self.targets = [edge]


def _same(item: Any) -> Any:
    return item


def _need_workers(workers: int) -> None:
    need_whole("workers", workers)
    if workers < 1:
        raise ValueError(f"a stage needs at least 1 worker, not {workers}")
