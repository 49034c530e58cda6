"""`Workers`: a bounded queue and the threads that work on it, ended and joined by themselves."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, Generic, Literal, NamedTuple, NoReturn, Self, TypeVar, overload

from daqring._crew import IDLE, Crew, Member, cancelled, short
from daqring.queue import Queue, ShutDown

__all__ = ["Failed", "Progress", "Workers", "cancelled"]

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")

_SKIPPED: Any = object()
_ERRORS_KEPT = 100


class Failed(NamedTuple):
    """An item that failed for good: what ``on_error="return"`` puts among the results."""

    item: Any
    error: Exception


class Progress(NamedTuple):
    """How far a pool has come, in items."""

    queued: int
    working: int
    done: int
    failed: int


class _Job:
    """An item somebody holds a future for."""

    __slots__ = ("future", "item")

    def __init__(self, item: Any) -> None:
        self.item = item
        self.future: Future[Any] = Future()


class Workers(Generic[T, R]):
    """Threads that call ``function(item)`` for every item put, until nothing is left to do.

    The end comes by itself: when all ``producers`` are exhausted, nobody outside can put any more
    (`close`, leaving the ``with`` block, `run`, or iterating) and no item is queued or being worked on.
    The function may therefore `put` new work, at any ``maxsize``, without a deadlock.

    - ``workers``: how many threads.
    - ``producers``: iterables, or functions that return one (a generator function, say); each is run in
      a thread of its own, which waits while the queue is full.
    - ``maxsize``: the bound of the queue; 0 or less: none.
    - ``setup``, ``teardown``: called in each worker thread at its start and end. With ``setup`` the
      function is called as ``function(item, state)`` and the teardown as ``teardown(state)``, where the
      state is what ``setup()`` returned; without, as ``teardown()``.
    - ``retries``: how often an item is tried again after an exception.
    - ``on_error``: what an item that fails for good does. ``"raise"`` stops the pool, and the caller gets
      the exception with worker and item in a note; ``"skip"`` counts it and keeps it in ``errors`` (the
      first 100); ``"return"`` puts a `Failed` among the results.
    - ``results``: keep what the function returns, for iteration. Iterating over a pool that has not
      started yet sets it.
    - ``name``: what the threads are called; by default the function's name.
    - ``grace``: how many seconds to wait for running items when the pool is stopped early.

    The threads see a copy of the context variables of whoever started the pool. A pool runs once.

        with Workers(store, workers=5, producers=[partial(measure, n) for n in range(20)]) as pool:
            pass                                # everything measured is stored here

        for page in Workers(fetch, workers=8, producers=[urls]):
            ...
    """

    @overload
    def __init__(
        self,
        function: Callable[[T], R],
        workers: int = 4,
        *,
        producers: Iterable[Iterable[T] | Callable[[], Iterable[T]]] = (),
        maxsize: int = 1024,
        setup: None = None,
        teardown: Callable[[], Any] | None = None,
        on_error: Literal["raise", "skip", "return"] = "raise",
        retries: int = 0,
        results: bool = False,
        name: str | None = None,
        grace: float = 10.0,
    ) -> None: ...

    @overload
    def __init__(
        self,
        function: Callable[[T, S], R],
        workers: int = 4,
        *,
        producers: Iterable[Iterable[T] | Callable[[], Iterable[T]]] = (),
        maxsize: int = 1024,
        setup: Callable[[], S],
        teardown: Callable[[S], Any] | None = None,
        on_error: Literal["raise", "skip", "return"] = "raise",
        retries: int = 0,
        results: bool = False,
        name: str | None = None,
        grace: float = 10.0,
    ) -> None: ...

    def __init__(
        self,
        function: Callable[..., R],
        workers: int = 4,
        *,
        producers: Iterable[Iterable[T] | Callable[[], Iterable[T]]] = (),
        maxsize: int = 1024,
        setup: Callable[[], Any] | None = None,
        teardown: Callable[..., Any] | None = None,
        on_error: Literal["raise", "skip", "return"] = "raise",
        retries: int = 0,
        results: bool = False,
        name: str | None = None,
        grace: float = 10.0,
    ) -> None:
        need_whole("workers", workers)
        if workers < 1:
            raise ValueError(f"a pool needs at least 1 worker, not {workers}")
        if retries < 0:
            raise ValueError(f"'retries' must not be negative: {retries}")
        if on_error not in ("raise", "skip", "return"):
            raise ValueError(f"'on_error' must be 'raise', 'skip' or 'return', not {on_error!r}")
        refuse_coroutine(function)
        self.errors: list[Failed] = []
        self._function = function
        self._workers = workers
        self._producers = _checked(producers)
        self._setup = setup
        self._teardown = teardown
        self._on_error = on_error
        self._retries = retries
        self._name = name or stage_name(function)
        self._grace = grace
        self._queue: Queue[Any] = Queue(maxsize)
        self._results: Queue[Any] | None = Queue(maxsize) if results else None
        self._crew = Crew(self._shut)
        self._lock = threading.Lock()
        self._started = False
        self._closed = False
        self._reader: int | None = None
        self._failures = 0
        self._done = [0] * workers
        # What is unfinished in the queue, and so keeps the pool going: items put, the producers, and
        # whoever is outside, as one. An item is finished when its result has been read.
        self._queue._hold()

    # Feeding.

    def put(self, item: T) -> None:
        """Give an item to the workers; waits while the queue is full.

        Never waits when called from a worker or from the loop over the results, which would wait for
        themselves: there the queue may grow beyond ``maxsize``.
        """
        self._give(item)

    def put_many(self, items: Iterable[T]) -> None:
        """`put` each of them."""
        for item in items:
            self._give(item)

    def submit(self, item: T) -> Future[R]:
        """As `put`; the outcome, result or exception, goes to the returned future alone."""
        job = _Job(item)
        self._give(job)
        return job.future

    def _give(self, item: Any) -> None:
        inside = self._crew.has_current_thread() or self._reader == threading.get_ident()
        if not inside:
            self._crew.check_process()
            if self._closed:
                raise ShutDown("the pool is closed: only its own workers may still put")
            if not self._started:
                self.start()
        try:
            if inside:
                self._queue._put_beyond(item)
            else:
                self._queue.put(item)
        except ShutDown:
            if inside and self._crew.stopping:
                # The worker will find out at its next item; its own work is not to blame.
                if type(item) is _Job:
                    item.future.cancel()
                return
            self._raise_error()
            raise CancelledError("the pool was cancelled") from None

    # The life of a pool.

    def start(self) -> None:
        """Start the threads; `put`, `run`, iterating and entering with producers do it by themselves."""
        self._crew.check_process()
        with self._lock:
            if self._started:
                return
            self._started = True
            for _ in self._producers:
                self._queue._hold()
            bodies: list[tuple[str, Callable[[Member], None]]] = []
            for number in range(self._workers):
                bodies.append((f"{self._name}-{number}", self._worker(number)))
            for number, producer in enumerate(self._producers):
                bodies.append((f"{self._name}-producer-{number}", self._producer(producer)))
            self._crew.start(bodies)

    def close(self) -> None:
        """Nothing comes from outside any more: the pool ends when its work is done."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._finish()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end of all work.

        Raises the first error, `concurrent.futures.CancelledError` after `cancel`, and `TimeoutError`
        with the names, items and stacks of those still at work.
        """
        hanging = self._crew.join(timeout)
        if hanging:
            raise TimeoutError(f"the pool did not end within {timeout} s:\n{self._crew.names_of(hanging)}")
        self._raise_error()
        if self._crew.was_cancelled:
            raise CancelledError("the pool was cancelled")

    def run(self) -> Progress:
        """Work until the end, without results; returns the counts."""
        if self._results is not None:
            for _ in self:
                pass
            return self.progress()
        try:
            self.start()
            self.close()
            self.join()
        finally:
            self._leave()
        return self.progress()

    def cancel(self) -> None:
        """Drop what is queued and stop; a function at work may ask `daqring.cancelled()`."""
        self._crew.cancel()

    @property
    def cancelled(self) -> bool:
        """Whether the pool was cancelled."""
        return self._crew.was_cancelled

    def progress(self) -> Progress:
        """How far it has come: items queued, being worked on, done and failed for good."""
        working = sum(member.item is not IDLE for member in self._crew.members[: self._workers])
        return Progress(self._queue.qsize(), working, sum(self._done), self._failures)

    def dump(self) -> str:
        """What each thread is doing, for how long, and where: for a look at a pool that hangs."""
        lines = [f"queue: {self._queue.qsize()} of {self._queue.maxsize} items"]
        for member in self._crew.members:
            lines.append(member.describe())
            if member.item is not IDLE:
                lines.append(member.stack().rstrip())
        return "\n".join(lines)

    def __enter__(self) -> Self:
        if self._producers:
            self.start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None:
            self._leave()
            return
        try:
            if self._results is not None and self._started and not self._closed:
                for _ in self:
                    pass
            else:
                self.close()
                if self._reader is None and not self._crew.was_cancelled:
                    self.join()
        finally:
            self._leave()

    def __iter__(self) -> Iterator[R]:
        """The results, in the order in which the work is finished, until the end.

        Closes the pool to the outside; the loop itself may `put`. Leaving the loop early cancels.
        """
        with self._lock:
            if not self._started and self._results is None:
                self._results = Queue(self._queue.maxsize)
            results = self._results
        if results is None:
            raise RuntimeError(
                "this pool keeps no results: make it with results=True, or iterate over it before it starts"
            )
        return self._iterate(results)

    def _iterate(self, results: Queue[Any]) -> Iterator[R]:
        self._reader = threading.get_ident()
        try:
            self.start()
            self.close()
            while True:
                try:
                    result = results.get()
                except ShutDown:
                    break
                if result is not _SKIPPED:
                    yield result
                self._finish()
            self.join()
        finally:
            self._reader = None
            self._leave()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "a daqring.Workers cannot be pickled or copied: it belongs to the threads of one process"
        )

    # Inside.

    def _finish(self) -> None:
        if self._queue._finish():
            self._queue.shutdown()
            if self._results is not None:
                self._results.shutdown()

    def _shut(self) -> None:
        for job in self._drain():
            if type(job) is _Job:
                job.future.cancel()
        self._queue.shutdown(immediate=True)
        if self._results is not None:
            self._results.shutdown(immediate=True)

    def _drain(self) -> list[Any]:
        # Not shut down first: a job that was put is either here or at a worker.
        self._queue.shutdown()
        try:
            return self._queue.get_many(timeout=0)
        except ShutDown:
            return []

    def _raise_error(self) -> None:
        if self._crew.error is not None:
            raise self._crew.error

    def _leave(self) -> None:
        """After the end, or instead of it: nobody is left."""
        if any(member.thread.is_alive() for member in self._crew.members):
            self._crew.cancel()
            hanging = self._crew.join(self._grace)
            if hanging:
                warnings.warn(
                    f"threads of a cancelled pool still run after {self._grace} s:\n"
                    + self._crew.names_of(hanging),
                    RuntimeWarning,
                    stacklevel=3,
                )

    def _producer(self, producer: Iterable[T] | Callable[[], Iterable[T]]) -> Callable[[Member], None]:
        def produce(member: Member) -> None:
            items = None
            try:
                items = producer() if callable(producer) else producer
                if items is not None:
                    self._queue.put_many(items)
            except ShutDown:
                if not self._crew.stopping:
                    raise
            except BaseException as error:
                error.add_note(f"in {member.name} of a daqring.Workers")
                raise
            finally:
                close_generator(items)
            self._finish()

        return produce

    def _worker(self, number: int) -> Callable[[Member], None]:
        def work(member: Member) -> None:
            if self._setup is None:
                self._work(member, number, self._function)
                if self._teardown is not None:
                    self._teardown()
                return
            state = self._setup()
            function = self._function
            try:
                self._work(member, number, lambda item: function(item, state))
            finally:
                if self._teardown is not None:
                    self._teardown(state)

        return work

    def _work(self, member: Member, number: int, function: Callable[[Any], Any]) -> None:
        get, results, done = self._queue.get, self._results, self._done
        monotonic = time.monotonic
        while True:
            member.item = IDLE
            try:
                item = get()
            except ShutDown:
                return
            member.since = monotonic()
            member.item = item
            if type(item) is _Job:
                self._do_job(item, function)
                result = _SKIPPED
            else:
                try:
                    result = function(item)
                except Exception as error:
                    result = self._try_again(member, function, item, error)
                except BaseException as error:
                    error.add_note(f"in {member.name} of a daqring.Workers, on item {short(item)}")
                    raise
            done[number] += 1
            if results is None or result is _SKIPPED:
                self._finish()
            else:
                try:
                    if self._reader is None:
                        # Nobody reads yet, perhaps because they are still putting: waiting might
                        # be for ever.
                        results._put_beyond(result)
                    else:
                        results.put(result)
                except ShutDown:
                    return

    def _do_job(self, job: _Job, function: Callable[[Any], Any]) -> None:
        future = job.future
        if not future.set_running_or_notify_cancel():
            return
        for attempt in range(self._retries + 1):
            try:
                result = function(job.item)
            except Exception as error:
                if attempt == self._retries:
                    self._count_failure(Failed(job.item, error))
                    future.set_exception(error)
                    return
            except BaseException as error:
                future.set_exception(error)
                raise
            else:
                future.set_result(result)
                return

    def _try_again(self, member: Member, function: Callable[[Any], Any], item: Any, error: Exception) -> Any:
        for _ in range(self._retries):
            if self._crew.stopping:
                break
            try:
                return function(item)
            except Exception as another:
                error = another
        self._count_failure(Failed(item, error))
        if self._on_error == "raise":
            error.add_note(f"in {member.name} of a daqring.Workers, on item {short(item)}")
            raise error
        return Failed(item, error) if self._on_error == "return" else _SKIPPED

    def _count_failure(self, failed: Failed) -> None:
        with self._lock:
            self._failures += 1
            if len(self.errors) < _ERRORS_KEPT:
                self.errors.append(failed)


def _checked(producers: Any) -> list[Any]:
    if callable(producers) or not hasattr(producers, "__iter__"):
        raise TypeError(
            f"'producers' is a list, with a thread for each of it: producers=[{short(producers)}]"
        )
    checked = []
    # One by one: a source that never ends is noticed by the first item that it gives.
    for producer in producers:
        if (
            not callable(producer)
            and not hasattr(producer, "__iter__")
            and not hasattr(producer, "__getitem__")
        ):
            raise TypeError(
                "'producers' are iterables, or functions that return one, with a thread for each, and "
                f"{short(producer)} is neither; a single source goes into a list: producers=[source]"
            )
        checked.append(producer)
    return checked


def need_whole(name: str, value: Any) -> None:
    """Refuses what is no count, in words."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"'{name}' must be a whole number, not {short(value)}")


def stage_name(function: Any) -> str:
    """What threads that run the function are called."""
    function = getattr(function, "func", function)
    return str(getattr(function, "__name__", type(function).__name__)).strip("<>")


def close_generator(items: Any) -> None:
    """Run the ``finally`` clauses of a generator that was not exhausted."""
    if hasattr(items, "close") and hasattr(items, "send"):
        items.close()


def refuse_coroutine(function: Any) -> None:
    """A coroutine function called in a thread would do nothing at all."""
    import inspect

    if not callable(function):
        raise TypeError(f"a worker needs a function to call, not {short(function)}")
    call = getattr(function, "__call__", None)  # noqa: B004
    if any(map(inspect.iscoroutinefunction, (function, call))) or any(
        map(inspect.isasyncgenfunction, (function, call))
    ):
        raise TypeError(
            f"'{stage_name(function)}' is a coroutine function; the workers are threads, which call plain "
            "functions. Give a function that runs it, as in lambda item: asyncio.run(f(item)), or hand "
            "the work to a running loop with asyncio.run_coroutine_threadsafe(f(item), loop).result()"
        )
