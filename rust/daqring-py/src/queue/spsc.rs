//! `SpscQueue`: the surface of `Queue` on the ring of values for one producer and one consumer.
//!
//! Each handle of the ring is behind a lock that only its own side takes, apart from the moment of a
//! shutdown, so the locks are never contended while items flow. A side may wait in the ring while it
//! holds its lock, detached from the interpreter; no Python code runs under either.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use daqring_ring::spsc::{Consumer, Producer, ring};
use daqring_ring::{PopError, PushError, WaitStrategy};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::arguments::{Patience, Seconds, Truth};
use super::fifo;
use super::role::Role;
use super::waiting::{self, WaitList, Wake};

/// What travels.
enum Item {
    Object(Py<PyAny>),
    /// Put by a native thread, which cannot make Python objects.
    Integer(i64),
}

impl Item {
    fn into_object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::Object(object) => Ok(object),
            Self::Integer(value) => Ok(value.into_pyobject(py)?.into_any().unbind()),
        }
    }
}

/// The tasks reported as done, and those who wait for all of them.
#[derive(Default)]
struct Tasks {
    done: u64,
    joiners: WaitList,
}

/// The native half of `daqring.SpscQueue`.
#[pyclass(module = "daqring._native", subclass, frozen, weakref, generic)]
struct SpscQueue {
    /// None once a native thread has it.
    producer: Mutex<Option<Producer<Item>>>,
    consumer: Mutex<Consumer<Item>>,
    putter: Role,
    getter: Role,
    /// Items ever put, and taken: each written by its side alone.
    put: Arc<AtomicU64>,
    taken: AtomicU64,
    tasks: Mutex<Tasks>,
    shut_down: std::sync::atomic::AtomicBool,
    maxsize: usize,
    forks: u32,
}

/// How an attempt to push or pop ended.
enum Outcome<T> {
    Done(T),
    Timeout,
    Closed,
}

impl SpscQueue {
    fn of_this_process(&self) -> PyResult<()> {
        if self.forks == waiting::forks() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "this SpscQueue belongs to the process that this one was forked from; make another one here, or \
             use daqring.Queue, which a child may go on using",
        ))
    }

    #[inline]
    fn as_putter(&self) -> PyResult<()> {
        if self.putter.claim() {
            Ok(())
        } else {
            Err(wrong_thread("put"))
        }
    }

    #[inline]
    fn as_getter(&self) -> PyResult<()> {
        if self.getter.claim() {
            Ok(())
        } else {
            Err(wrong_thread("get"))
        }
    }

    /// Counts an item before it is pushed, so that nobody can take and finish one that is not counted.
    #[inline]
    fn count_put(&self) {
        // Only the putter writes, so nothing is lost.
        self.put
            .store(self.put.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// The item counted last was not pushed after all.
    #[cold]
    fn uncount_put(&self) {
        self.put
            .store(self.put.load(Ordering::Relaxed) - 1, Ordering::Release);
        self.finish(0).into_iter().flatten().for_each(Wake::pay);
    }

    /// Pops and counts, under the consumer's lock: whoever holds it is the only one who writes the count.
    fn pop_many(&self, items: &mut Vec<Item>, max: usize) -> Result<(), PopError> {
        let mut consumer = lock(&self.consumer);
        let count = consumer.try_pop_vec(items, max)?;
        self.count_taken(count);
        Ok(())
    }

    #[inline]
    fn count_taken(&self, count: usize) {
        self.taken.store(
            self.taken.load(Ordering::Relaxed) + count as u64,
            Ordering::Release,
        );
    }

    fn len(&self) -> usize {
        let taken = self.taken.load(Ordering::Acquire);
        let put = self.put.load(Ordering::Acquire);
        usize::try_from(put.saturating_sub(taken))
            .unwrap_or(usize::MAX)
            .min(self.maxsize)
    }

    /// Runs `attempt` detached with deadlines until it is done or the patience is over; the main thread
    /// looks at the signals in between.
    fn wait<T: Send>(
        &self,
        py: Python<'_>,
        patience: Patience,
        mut attempt: impl FnMut(Instant) -> Outcome<T> + Send,
    ) -> PyResult<Outcome<T>> {
        self.of_this_process()?;
        let Patience::Until(deadline) = patience else {
            return Ok(Outcome::Timeout);
        };
        let main = waiting::is_main_thread(py)?;
        let far = Duration::from_secs(3600);
        loop {
            let outcome = py.detach(|| {
                let slice = Instant::now() + if main { waiting::SIGNAL_SLICE } else { far };
                attempt(deadline.map_or(slice, |deadline| deadline.min(slice)))
            });
            match outcome {
                Outcome::Timeout if deadline.is_none_or(|at| Instant::now() < at) => {
                    py.check_signals()?
                }
                outcome => return Ok(outcome),
            }
        }
    }

    fn pushed(&self, py: Python<'_>, item: Item, patience: Patience) -> PyResult<()> {
        self.count_put();
        let first = match lock(&self.producer).as_mut() {
            Some(producer) => producer.try_push(item),
            None => {
                self.uncount_put();
                return Err(native_producer());
            }
        };
        let outcome = match first {
            Ok(()) => return Ok(()),
            Err(PushError::Closed(_)) => Ok(Outcome::Closed),
            Err(error) => self.push_waiting(py, error.into_inner(), patience),
        };
        if !matches!(outcome, Ok(Outcome::Done(()))) {
            self.uncount_put();
        }
        match outcome? {
            Outcome::Done(()) => Ok(()),
            Outcome::Timeout => Err(fifo::full(py)),
            Outcome::Closed => Err(fifo::shut_down(py)),
        }
    }

    #[cold]
    fn push_waiting(
        &self,
        py: Python<'_>,
        item: Item,
        patience: Patience,
    ) -> PyResult<Outcome<()>> {
        let mut pending = Some(item);
        self.wait(py, patience, |until| {
            let mut producer = lock(&self.producer);
            let (Some(producer), Some(item)) = (producer.as_mut(), pending.take()) else {
                return Outcome::Closed;
            };
            match producer.push_until(item, until) {
                Ok(()) => Outcome::Done(()),
                Err(PushError::Closed(item)) => {
                    pending = Some(item);
                    Outcome::Closed
                }
                Err(error) => {
                    pending = Some(error.into_inner());
                    Outcome::Timeout
                }
            }
        })
    }

    /// Up to `max` items, waiting for one at least.
    fn taken(&self, py: Python<'_>, max: usize, patience: Patience) -> PyResult<Vec<Item>> {
        let mut items = Vec::new();
        match self.pop_many(&mut items, max) {
            Ok(()) => return Ok(items),
            Err(PopError::Closed) => return Err(fifo::shut_down(py)),
            Err(_) => {}
        }
        let outcome = self.wait(py, patience, |until| {
            let mut consumer = lock(&self.consumer);
            match consumer.pop_until(until) {
                Ok(item) => {
                    self.count_taken(1);
                    Outcome::Done(item)
                }
                Err(PopError::Closed) => Outcome::Closed,
                Err(_) => Outcome::Timeout,
            }
        })?;
        match outcome {
            Outcome::Done(item) => {
                items.push(item);
                // Getting the interpreter back may have taken long: what came meanwhile goes along.
                if max > 1 {
                    let _ = self.pop_many(&mut items, max - 1);
                }
                Ok(items)
            }
            Outcome::Timeout => Err(fifo::empty(py)),
            Outcome::Closed => Err(fifo::shut_down(py)),
        }
    }

    /// Counts tasks as done; `None` if there were fewer.
    fn finish(&self, count: u64) -> Option<Vec<Wake>> {
        let mut tasks = lock(&self.tasks);
        let put = self.put.load(Ordering::Acquire);
        if tasks.done + count > put {
            return None;
        }
        tasks.done += count;
        Some(if tasks.done == put {
            tasks.joiners.wake_all()
        } else {
            Vec::new()
        })
    }

    /// Takes out and counts as done all that is there, which is returned for the caller to drop.
    fn drain(&self) -> Vec<Item> {
        let mut items = Vec::new();
        let _ = self.pop_many(&mut items, usize::MAX);
        self.finish(items.len() as u64)
            .into_iter()
            .flatten()
            .for_each(Wake::pay);
        items
    }
}

#[pymethods]
impl SpscQueue {
    #[new]
    #[pyo3(signature = (maxsize = 1024))]
    fn new(maxsize: usize) -> PyResult<Self> {
        if maxsize < 1 || maxsize > isize::MAX as usize / 4 {
            return Err(PyValueError::new_err(
                "an SpscQueue is bounded: 'maxsize' must be at least 1; for an unbounded one use daqring.Queue",
            ));
        }
        let (producer, consumer) = ring(maxsize, WaitStrategy::Adaptive);
        Ok(Self {
            producer: Mutex::new(Some(producer)),
            consumer: Mutex::new(consumer),
            putter: Role::default(),
            getter: Role::default(),
            put: Arc::default(),
            taken: AtomicU64::new(0),
            tasks: Mutex::default(),
            shut_down: false.into(),
            maxsize,
            forks: waiting::forks(),
        })
    }

    /// Puts an item at the end, and waits for a free place if need be.
    #[pyo3(signature = (item, block = Truth(true), timeout = None), text_signature = "($self, item, block=True, timeout=None)")]
    fn put(
        &self,
        py: Python<'_>,
        item: Py<PyAny>,
        block: Truth,
        timeout: Option<Seconds>,
    ) -> PyResult<()> {
        self.as_putter()?;
        self.pushed(py, Item::Object(item), Patience::new(block.0, timeout)?)
    }

    /// Puts an item at the end, or raises `Full` at once.
    fn put_nowait(&self, py: Python<'_>, item: Py<PyAny>) -> PyResult<()> {
        self.put(py, item, Truth(false), None)
    }

    /// Puts every item of an iterable, in order, as it comes.
    ///
    /// `timeout` is for the whole call. `Full` and `ShutDown` carry the number of items put in their
    /// attribute `count`.
    #[pyo3(signature = (items, block = Truth(true), timeout = None), text_signature = "($self, items, block=True, timeout=None)")]
    fn put_many(
        &self,
        py: Python<'_>,
        items: &Bound<'_, PyAny>,
        block: Truth,
        timeout: Option<Seconds>,
    ) -> PyResult<()> {
        self.as_putter()?;
        let patience = Patience::new(block.0, timeout)?;
        for (count, item) in items.try_iter()?.enumerate() {
            self.pushed(py, Item::Object(item?.unbind()), patience)
                .map_err(|error| fifo::with_count(py, error, count))?;
        }
        Ok(())
    }

    /// Takes the oldest item, and waits for one if need be.
    #[pyo3(signature = (block = Truth(true), timeout = None), text_signature = "($self, block=True, timeout=None)")]
    fn get(&self, py: Python<'_>, block: Truth, timeout: Option<Seconds>) -> PyResult<Py<PyAny>> {
        self.as_getter()?;
        let patience = Patience::new(block.0, timeout)?;
        let first = {
            let mut consumer = lock(&self.consumer);
            consumer.try_pop().inspect(|_| self.count_taken(1))
        };
        let item = match first {
            Ok(item) => item,
            Err(PopError::Closed) => return Err(fifo::shut_down(py)),
            Err(_) => match self.taken(py, 1, patience)?.pop() {
                Some(item) => item,
                None => return Err(fifo::empty(py)),
            },
        };
        item.into_object(py)
    }

    /// Takes the oldest item, or raises `Empty` at once.
    fn get_nowait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.get(py, Truth(false), None)
    }

    /// Takes up to `max` items that are there, waiting for one at least.
    ///
    /// Raises `Empty` when none came within `timeout` seconds (0: at once, None: wait without limit),
    /// `ShutDown` when the queue is shut down and drained.
    #[pyo3(signature = (max = usize::MAX, timeout = None), text_signature = "($self, max=sys.maxsize, timeout=None)")]
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        max: usize,
        timeout: Option<Seconds>,
    ) -> PyResult<Bound<'py, PyList>> {
        self.as_getter()?;
        if max == 0 {
            return Err(PyValueError::new_err("'max' must be at least 1"));
        }
        let items = self.taken(py, max, Patience::new(true, timeout)?)?;
        let objects: PyResult<Vec<_>> =
            items.into_iter().map(|item| item.into_object(py)).collect();
        PyList::new(py, objects?)
    }

    /// Drops every item that is in the queue and returns how many; they count as done for `join`. For the
    /// thread that gets.
    fn clear(&self) -> PyResult<usize> {
        self.as_getter()?;
        Ok(self.drain().len())
    }

    /// Says that an item taken earlier has been worked on.
    fn task_done(&self) -> PyResult<()> {
        match self.finish(1) {
            Some(wakes) => {
                wakes.into_iter().for_each(Wake::pay);
                Ok(())
            }
            None => Err(PyValueError::new_err("task_done() called too many times")),
        }
    }

    /// Waits until every item put has been taken and reported with `task_done`.
    fn join(&self, py: Python<'_>) -> PyResult<()> {
        self.of_this_process()?;
        let main = waiting::is_main_thread(py)?;
        loop {
            let waiter = {
                let mut tasks = lock(&self.tasks);
                if tasks.done == self.put.load(Ordering::Acquire) {
                    return Ok(());
                }
                tasks.joiners.enter()
            };
            waiting::wait(py, &waiter, None, main);
            lock(&self.tasks).joiners.leave(&waiter);
            py.check_signals()?;
        }
    }

    /// Lets no more items in; `get` raises `ShutDown` once the queue is empty, or at once if `immediate`.
    /// From any thread.
    #[pyo3(signature = (immediate = Truth(false)), text_signature = "($self, immediate=False)")]
    fn shutdown(&self, py: Python<'_>, immediate: Truth) -> PyResult<()> {
        self.of_this_process()?;
        self.shut_down.store(true, Ordering::Release);
        let dropped = py.detach(|| {
            // Either side closes for both. They cannot both hold their locks for long: the ring is not
            // full and empty at once.
            loop {
                if let Ok(mut producer) = self.producer.try_lock()
                    && let Some(producer) = producer.as_mut()
                {
                    producer.close();
                    break;
                }
                if let Ok(mut consumer) = self.consumer.try_lock() {
                    consumer.close();
                    break;
                }
                std::thread::yield_now();
            }
            if immediate.0 {
                self.drain()
            } else {
                Vec::new()
            }
        });
        drop(dropped);
        Ok(())
    }

    /// The number of items in the queue.
    fn qsize(&self) -> usize {
        self.len()
    }

    /// Whether the queue is empty.
    fn empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the queue has reached `maxsize`.
    fn full(&self) -> bool {
        self.len() >= self.maxsize
    }

    /// How many items the queue holds at most.
    #[getter]
    fn maxsize(&self) -> usize {
        self.maxsize
    }

    /// How many items were put and not yet reported with `task_done`.
    #[getter]
    fn unfinished_tasks(&self) -> u64 {
        let done = lock(&self.tasks).done;
        self.put.load(Ordering::Acquire).saturating_sub(done)
    }

    /// Whether the queue was shut down.
    #[getter]
    fn is_shutdown(&self) -> bool {
        self.shut_down.load(Ordering::Acquire) || lock_if_free(&self.consumer, Consumer::is_closed)
    }

    /// Iterates over the items until the queue is shut down and drained.
    fn __iter__(slf: Py<Self>) -> SpscIterator {
        SpscIterator { queue: slf }
    }

    /// Starts a native thread that puts 0, 1, 2 ... at the rate given and then shuts the queue down: a
    /// source that never needs the interpreter, to measure and test with. It is the producer from now on.
    fn _feed_ticks(&self, count: i64, hertz: f64) -> PyResult<()> {
        self.as_putter()?;
        let mut producer = lock(&self.producer).take().ok_or_else(native_producer)?;
        let put = Arc::clone(&self.put);
        let period = Duration::try_from_secs_f64(1.0 / hertz)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        std::thread::Builder::new()
            .name("daqring-ticks".to_owned())
            .spawn(move || {
                let start = Instant::now();
                for tick in 0..count {
                    let due = start + period.mul_f64(tick as f64);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    if producer.push(Item::Integer(tick)).is_err() {
                        break;
                    }
                    put.fetch_add(1, Ordering::Release);
                }
            })?;
        Ok(())
    }
}

/// What `iter(queue)` gives.
#[pyclass(module = "daqring._native", frozen)]
struct SpscIterator {
    queue: Py<SpscQueue>,
}

#[pymethods]
impl SpscIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        fifo::until_shut_down(py, self.queue.get().get(py, Truth(true), None))
    }
}

fn wrong_thread(what: &str) -> PyErr {
    PyRuntimeError::new_err(format!(
        "this SpscQueue has a thread that {what}s already, and it is alive: one thread puts and one thread \
         gets; for several use daqring.Queue"
    ))
}

fn native_producer() -> PyErr {
    PyRuntimeError::new_err("a native thread puts into this queue; Python code can only get")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at what the lock guards, or says false while somebody waits there.
fn lock_if_free<T>(mutex: &Mutex<T>, look: impl FnOnce(&T) -> bool) -> bool {
    match mutex.try_lock() {
        Ok(content) => look(&content),
        Err(TryLockError::Poisoned(content)) => look(&content.into_inner()),
        Err(TryLockError::WouldBlock) => false,
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SpscQueue>()
}
