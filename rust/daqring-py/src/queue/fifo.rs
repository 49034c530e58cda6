//! `Queue`: the standard library's `queue.Queue` on a native deque.
//!
//! One short lock guards everything. No Python code runs while it is held (objects leave it before they
//! are dropped, nothing is allocated from Python under it), it is only ever taken by threads attached to
//! the interpreter, and nobody waits while holding it. So a destructor or a signal handler may use the
//! queue again at any point, and a `fork()` (which Python makes attached) never copies it locked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use pyo3::exceptions::{PyException, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};

use super::arguments::{Patience, Seconds, Truth};
use super::waiting::{self, WaitList, Waiter, Wake};

static EMPTY: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static FULL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static SHUT_DOWN: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Room for this many items stays allocated however empty the queue gets.
const KEPT_CAPACITY: usize = 4096;

/// `put_many` takes this many items at a time from what has a length.
const PUT_CHUNK: usize = 1024;

#[derive(Default)]
struct State {
    items: VecDeque<Py<PyAny>>,
    /// Unbounded where not positive.
    maxsize: isize,
    unfinished: usize,
    shut_down: bool,
    getters: WaitList,
    putters: WaitList,
    joiners: WaitList,
    /// Items ever taken out, to number the batches of `_take`.
    taken: u64,
}

impl State {
    #[inline]
    fn has_room(&self) -> bool {
        self.maxsize <= 0 || self.items.len() < self.maxsize.unsigned_abs()
    }

    fn room(&self) -> usize {
        if self.maxsize <= 0 {
            usize::MAX
        } else {
            self.maxsize.unsigned_abs().saturating_sub(self.items.len())
        }
    }

    #[inline]
    fn push(&mut self, item: Py<PyAny>) -> Wake {
        self.items.push_back(item);
        self.unfinished += 1;
        self.getters.wake_one()
    }

    #[inline]
    fn pop(&mut self) -> Option<(Py<PyAny>, Wake)> {
        let item = self.items.pop_front()?;
        self.taken += 1;
        if self.items.capacity() > KEPT_CAPACITY {
            self.give_back_memory();
        }
        let wake = if self.has_room() {
            self.putters.wake_one()
        } else {
            Wake::NONE
        };
        Some((item, wake))
    }

    /// After a backlog: halves the buffer each time seven eighths of it have become free.
    fn give_back_memory(&mut self) {
        if self.items.len() < self.items.capacity() / 8 {
            self.items.shrink_to(self.items.capacity() / 2);
        }
    }

    /// Both rules of the waiting lists, restored after any other change.
    fn rebalance(&mut self) -> [Wake; 2] {
        let getter = if self.items.is_empty() && !self.shut_down {
            Wake::NONE
        } else {
            self.getters.wake_one()
        };
        let putter = if self.has_room() || self.shut_down {
            self.putters.wake_one()
        } else {
            Wake::NONE
        };
        [getter, putter]
    }
}

/// Which list a call waits in.
#[derive(Clone, Copy)]
enum Side {
    Getters,
    Putters,
    Joiners,
}

impl Side {
    fn list(self, state: &mut State) -> &mut WaitList {
        match self {
            Self::Getters => &mut state.getters,
            Self::Putters => &mut state.putters,
            Self::Joiners => &mut state.joiners,
        }
    }
}

/// The native half of `daqring.Queue`.
#[pyclass(
    name = "Queue",
    module = "daqring._native",
    subclass,
    frozen,
    weakref,
    generic
)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Where a subclass overrides `_put` and its kin: the Python object that does everything instead.
    hooked: OnceLock<Py<PyAny>>,
}

impl Queue {
    #[inline]
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn hooked<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, PyAny>> {
        self.hooked.get().map(|hooked| hooked.bind(py))
    }

    /// Puts the item that `make` gives, if that takes no waiting, no hook and no exception.
    ///
    /// `make` runs under the lock and must not run Python code: taking a reference does not.
    #[inline]
    pub(super) fn put_at_once(&self, make: impl FnOnce() -> Py<PyAny>) -> bool {
        let wake = {
            let mut state = self.lock();
            if self.hooked.get().is_some() || state.shut_down || !state.has_room() {
                return false;
            }
            state.push(make())
        };
        wake.pay();
        true
    }

    /// Takes an item, if that takes no waiting, no hook and no exception.
    #[inline]
    pub(super) fn get_at_once(&self) -> Option<Py<PyAny>> {
        // A queue with hooks keeps its items elsewhere: this one is empty.
        let (item, wake) = self.lock().pop()?;
        wake.pay();
        Some(item)
    }

    /// Tries, and waits in `side` between the tries. `Ok(None)` when the patience is over.
    ///
    /// `attempt` runs under the lock and must not run Python code.
    #[cold]
    fn wait_for<T>(
        &self,
        py: Python<'_>,
        side: Side,
        patience: Patience,
        mut attempt: impl FnMut(&mut State) -> Option<T>,
    ) -> PyResult<Option<T>> {
        let main = waiting::is_main_thread(py)?;
        let mut waiter: Option<Arc<Waiter>> = None;
        loop {
            let (done, wakes) = {
                let mut state = self.lock();
                if let Some(waiter) = waiter.take() {
                    side.list(&mut state).leave(&waiter);
                }
                let done = attempt(&mut state);
                (done, state.rebalance())
            };
            wakes.into_iter().for_each(Wake::pay);
            if done.is_some() {
                return Ok(done);
            }
            // Not in any list here: the handlers may use this queue, or block elsewhere.
            py.check_signals()?;
            let deadline = match patience {
                Patience::Until(deadline) if deadline.is_none_or(|at| Instant::now() < at) => {
                    deadline
                }
                _ => return Ok(None),
            };
            let (done, entered) = {
                let mut state = self.lock();
                match attempt(&mut state) {
                    None => (None, Some(side.list(&mut state).enter())),
                    done => (done, None),
                }
            };
            if done.is_some() {
                return Ok(done);
            }
            if let Some(entered) = entered {
                waiting::wait(py, &entered, deadline, main);
                waiter = Some(entered);
            }
        }
    }

    #[cold]
    fn put_slowly(
        &self,
        py: Python<'_>,
        item: Py<PyAny>,
        block: bool,
        timeout: Option<Seconds>,
    ) -> PyResult<()> {
        let bounded = {
            let state = self.lock();
            if state.shut_down {
                return Err(shut_down(py));
            }
            state.maxsize > 0
        };
        let patience = if bounded {
            Patience::new(block, timeout)?
        } else {
            Patience::Until(None)
        };
        let mut item = Some(item);
        let outcome = self.wait_for(py, Side::Putters, patience, |state| {
            if state.shut_down {
                return Some((false, Wake::NONE));
            }
            if !state.has_room() {
                return None;
            }
            item.take().map(|item| (true, state.push(item)))
        });
        match outcome? {
            Some((true, wake)) => {
                wake.pay();
                Ok(())
            }
            Some((false, _)) => Err(shut_down(py)),
            None => Err(full(py)),
        }
    }

    #[cold]
    fn get_slowly(&self, py: Python<'_>, patience: Patience) -> PyResult<Py<PyAny>> {
        let outcome = self.wait_for(py, Side::Getters, patience, |state| match state.pop() {
            Some((item, wake)) => Some(Some((item, wake))),
            None if state.shut_down => Some(None),
            None => None,
        })?;
        match outcome {
            Some(Some((item, wake))) => {
                wake.pay();
                Ok(item)
            }
            Some(None) => Err(shut_down(py)),
            None => Err(empty(py)),
        }
    }

    /// Up to `max` items and the number of the first, waiting for one at least.
    fn take(
        &self,
        py: Python<'_>,
        max: usize,
        patience: Patience,
    ) -> PyResult<(u64, Vec<Py<PyAny>>)> {
        let drain = |state: &mut State| {
            let count = state.items.len().min(max);
            if count == 0 {
                return state.shut_down.then(|| (0, Vec::new(), Wake::NONE));
            }
            let first = state.taken;
            state.taken += count as u64;
            let items: Vec<_> = state.items.drain(..count).collect();
            if state.items.capacity() > KEPT_CAPACITY {
                state.give_back_memory();
            }
            let wake = if state.has_room() {
                state.putters.wake_one()
            } else {
                Wake::NONE
            };
            Some((first, items, wake))
        };
        let at_once = drain(&mut self.lock());
        let taken = match at_once {
            Some(taken) => Some(taken),
            None => self.wait_for(py, Side::Getters, patience, drain)?,
        };
        match taken {
            Some((first, items, wake)) => {
                wake.pay();
                if items.is_empty() {
                    Err(shut_down(py))
                } else {
                    Ok((first, items))
                }
            }
            None => Err(empty(py)),
        }
    }
}

#[pymethods]
impl Queue {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            state: Mutex::default(),
            hooked: OnceLock::new(),
        }
    }

    #[pyo3(signature = (maxsize = 0))]
    fn __init__(slf: &Bound<'_, Self>, maxsize: isize) -> PyResult<()> {
        slf.get().lock().maxsize = maxsize;
        Ok(())
    }

    /// Hands every call to `core`, the Python object that runs a subclass's `_put` and its kin.
    fn _set_hooked(&self, core: Py<PyAny>) -> PyResult<()> {
        self.hooked.set(core).map_err(|_| {
            PyException::new_err("this queue's hooks are set up already: __init__ runs once")
        })
    }

    /// Puts an item at the end, and waits for a free place if need be.
    #[inline]
    #[pyo3(signature = (item, block = Truth(true), timeout = None), text_signature = "($self, item, block=True, timeout=None)")]
    fn put(
        &self,
        py: Python<'_>,
        item: Py<PyAny>,
        block: Truth,
        timeout: Option<Seconds>,
    ) -> PyResult<()> {
        if let Some(hooked) = self.hooked(py) {
            return hooked
                .call_method1("put", (item, block.0, timeout.map(Seconds::value)))
                .map(drop);
        }
        let wake = {
            let mut state = self.lock();
            if state.shut_down || timeout.is_some() || !state.has_room() {
                drop(state);
                return self.put_slowly(py, item, block.0, timeout);
            }
            state.push(item)
        };
        wake.pay();
        Ok(())
    }

    /// Puts an item at the end, or raises `Full` at once.
    #[inline]
    fn put_nowait(&self, py: Python<'_>, item: Py<PyAny>) -> PyResult<()> {
        self.put(py, item, Truth(false), None)
    }

    /// Takes the oldest item, and waits for one if need be.
    #[inline]
    #[pyo3(signature = (block = Truth(true), timeout = None), text_signature = "($self, block=True, timeout=None)")]
    fn get(&self, py: Python<'_>, block: Truth, timeout: Option<Seconds>) -> PyResult<Py<PyAny>> {
        if let Some(hooked) = self.hooked(py) {
            return hooked
                .call_method1("get", (block.0, timeout.map(Seconds::value)))
                .map(Bound::unbind);
        }
        let patience = Patience::new(block.0, timeout)?;
        let popped = self.lock().pop();
        match popped {
            Some((item, wake)) => {
                wake.pay();
                Ok(item)
            }
            None => self.get_slowly(py, patience),
        }
    }

    /// Takes the oldest item, or raises `Empty` at once.
    #[inline]
    fn get_nowait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.get(py, Truth(false), None)
    }

    /// Puts every item of an iterable, in order.
    ///
    /// Waits for places as `put` does; `timeout` is for the whole call. Raises `Full` or `ShutDown` with
    /// the number of items that were put in its attribute `count`; the rest was not put. Only what has a
    /// length is read ahead, 1,024 items at a time: a slow generator's items go in as they come.
    #[pyo3(signature = (items, block = Truth(true), timeout = None), text_signature = "($self, items, block=True, timeout=None)")]
    fn put_many(
        &self,
        py: Python<'_>,
        items: &Bound<'_, PyAny>,
        block: Truth,
        timeout: Option<Seconds>,
    ) -> PyResult<()> {
        if let Some(hooked) = self.hooked(py) {
            return hooked
                .call_method1("put_many", (items, block.0, timeout.map(Seconds::value)))
                .map(drop);
        }
        let patience = Patience::new(block.0, timeout)?;
        let ahead = if items.len().is_ok() { PUT_CHUNK } else { 1 };
        let mut source = items.try_iter()?;
        let mut put = 0_usize;
        let mut chunk = VecDeque::with_capacity(ahead);
        let mut ended = Ok(false);
        while matches!(ended, Ok(false)) {
            while chunk.len() < ahead {
                match source.next() {
                    Some(Ok(item)) => chunk.push_back(item.unbind()),
                    Some(Err(error)) => {
                        ended = Err(error);
                        break;
                    }
                    None => {
                        ended = Ok(true);
                        break;
                    }
                }
            }
            while !chunk.is_empty() {
                let mut push = |state: &mut State| {
                    if state.shut_down {
                        return Some((None, Wake::NONE));
                    }
                    let count = state.room().min(chunk.len());
                    if count == 0 {
                        return None;
                    }
                    state.items.extend(chunk.drain(..count));
                    state.unfinished += count;
                    Some((Some(count), state.getters.wake_one()))
                };
                let at_once = push(&mut self.lock());
                let pushed = match at_once {
                    Some(pushed) => Some(pushed),
                    None => self.wait_for(py, Side::Putters, patience, push)?,
                };
                match pushed {
                    Some((Some(count), wake)) => {
                        wake.pay();
                        put += count;
                    }
                    Some((None, _)) => return Err(with_count(py, shut_down(py), put)),
                    None => return Err(with_count(py, full(py), put)),
                }
            }
        }
        ended.map(drop)
    }

    /// Takes up to `max` items that are there, waiting for one at least.
    ///
    /// Returns a list of 1 to `max` items. Raises `Empty` when none came within `timeout` seconds (0: at
    /// once, None: wait without limit), `ShutDown` when the queue is shut down and drained.
    #[pyo3(signature = (max = usize::MAX, timeout = None), text_signature = "($self, max=sys.maxsize, timeout=None)")]
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        max: usize,
        timeout: Option<Seconds>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if max == 0 {
            return Err(PyValueError::new_err("'max' must be at least 1"));
        }
        if let Some(hooked) = self.hooked(py) {
            return hooked.call_method1("get_many", (max, timeout.map(Seconds::value)));
        }
        let (_, items) = self.take(py, max, Patience::new(true, timeout)?)?;
        Ok(PyList::new(py, items)?.into_any())
    }

    /// As `get_many`, with the number of the first item in the order in which items leave the queue.
    #[pyo3(signature = (max))]
    fn _take<'py>(&self, py: Python<'py>, max: usize) -> PyResult<(u64, Bound<'py, PyList>)> {
        let (first, items) = self.take(py, max.max(1), Patience::Until(None))?;
        Ok((first, PyList::new(py, items)?))
    }

    /// Puts an item although the queue may be full: for those who would otherwise wait for themselves.
    fn _put_beyond(&self, py: Python<'_>, item: Py<PyAny>) -> PyResult<()> {
        let wake = {
            let mut state = self.lock();
            if state.shut_down {
                drop(state);
                return Err(shut_down(py));
            }
            state.push(item)
        };
        wake.pay();
        Ok(())
    }

    /// Counts one more unfinished task, for somebody who may still put.
    fn _hold(&self) {
        self.lock().unfinished += 1;
    }

    /// As `task_done`; returns whether nothing is unfinished any more.
    fn _finish(&self) -> bool {
        let (ended, wakes) = {
            let mut state = self.lock();
            state.unfinished = state.unfinished.saturating_sub(1);
            let ended = state.unfinished == 0;
            (
                ended,
                if ended {
                    state.joiners.wake_all()
                } else {
                    Vec::new()
                },
            )
        };
        wakes.into_iter().for_each(Wake::pay);
        ended
    }

    /// Drops every item that is in the queue and returns how many; they count as done for `join`.
    fn clear(&self, py: Python<'_>) -> PyResult<usize> {
        if let Some(hooked) = self.hooked(py) {
            return hooked.call_method0("clear")?.extract();
        }
        let (items, wakes, joined) = {
            let mut state = self.lock();
            let items = std::mem::take(&mut state.items);
            state.taken += items.len() as u64;
            state.unfinished = state.unfinished.saturating_sub(items.len());
            let joined = if state.unfinished == 0 {
                state.joiners.wake_all()
            } else {
                Vec::new()
            };
            (items, state.rebalance(), joined)
        };
        wakes.into_iter().chain(joined).for_each(Wake::pay);
        Ok(items.len())
    }

    /// Says that an item taken earlier has been worked on.
    fn task_done(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(hooked) = self.hooked(py) {
            return hooked.call_method0("task_done").map(drop);
        }
        let wakes = {
            let mut state = self.lock();
            match state.unfinished {
                0 => return Err(PyValueError::new_err("task_done() called too many times")),
                1 => {
                    state.unfinished = 0;
                    state.joiners.wake_all()
                }
                _ => {
                    state.unfinished -= 1;
                    return Ok(());
                }
            }
        };
        wakes.into_iter().for_each(Wake::pay);
        Ok(())
    }

    /// Waits until every item put has been taken and reported with `task_done`.
    fn join(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(hooked) = self.hooked(py) {
            return hooked.call_method0("join").map(drop);
        }
        self.wait_for(py, Side::Joiners, Patience::Until(None), |state| {
            (state.unfinished == 0).then_some(())
        })
        .map(drop)
    }

    /// Lets no more items in; `get` raises `ShutDown` once the queue is empty, or at once if `immediate`.
    #[pyo3(signature = (immediate = Truth(false)), text_signature = "($self, immediate=False)")]
    fn shutdown(&self, py: Python<'_>, immediate: Truth) -> PyResult<()> {
        if let Some(hooked) = self.hooked(py) {
            return hooked.call_method1("shutdown", (immediate.0,)).map(drop);
        }
        let (dropped, wakes) = {
            let mut state = self.lock();
            state.shut_down = true;
            let mut wakes = Vec::new();
            let mut dropped = VecDeque::new();
            if immediate.0 {
                dropped = std::mem::take(&mut state.items);
                state.taken += dropped.len() as u64;
                state.unfinished = state.unfinished.saturating_sub(dropped.len());
                wakes = state.joiners.wake_all();
            }
            wakes.extend(state.getters.wake_all());
            wakes.extend(state.putters.wake_all());
            (dropped, wakes)
        };
        wakes.into_iter().for_each(Wake::pay);
        drop(dropped);
        Ok(())
    }

    /// The number of items in the queue.
    fn qsize(&self, py: Python<'_>) -> PyResult<usize> {
        match self.hooked(py) {
            Some(hooked) => hooked.call_method0("qsize")?.extract(),
            None => Ok(self.lock().items.len()),
        }
    }

    /// Whether the queue is empty.
    fn empty(&self, py: Python<'_>) -> PyResult<bool> {
        match self.hooked(py) {
            Some(hooked) => hooked.call_method0("empty")?.extract(),
            None => Ok(self.lock().items.is_empty()),
        }
    }

    /// Whether the queue has reached `maxsize`.
    fn full(&self, py: Python<'_>) -> PyResult<bool> {
        match self.hooked(py) {
            Some(hooked) => hooked.call_method0("full")?.extract(),
            None => Ok(!self.lock().has_room()),
        }
    }

    /// How many items the queue may hold; 0 or less: any number. May be changed at any time.
    #[getter]
    fn maxsize(&self, py: Python<'_>) -> PyResult<isize> {
        match self.hooked(py) {
            Some(hooked) => hooked.getattr("maxsize")?.extract(),
            None => Ok(self.lock().maxsize),
        }
    }

    #[setter]
    fn set_maxsize(&self, py: Python<'_>, maxsize: isize) -> PyResult<()> {
        if let Some(hooked) = self.hooked(py) {
            return hooked.setattr("maxsize", maxsize);
        }
        let wakes = {
            let mut state = self.lock();
            state.maxsize = maxsize;
            state.rebalance()
        };
        wakes.into_iter().for_each(Wake::pay);
        Ok(())
    }

    /// How many items were put and not yet reported with `task_done`.
    #[getter]
    fn unfinished_tasks(&self, py: Python<'_>) -> PyResult<usize> {
        match self.hooked(py) {
            Some(hooked) => hooked.getattr("unfinished_tasks")?.extract(),
            None => Ok(self.lock().unfinished),
        }
    }

    /// Whether the queue was shut down.
    #[getter]
    fn is_shutdown(&self, py: Python<'_>) -> PyResult<bool> {
        match self.hooked(py) {
            Some(hooked) => hooked.getattr("is_shutdown")?.extract(),
            None => Ok(self.lock().shut_down),
        }
    }

    /// Iterates over the items until the queue is shut down and drained.
    fn __iter__(slf: Py<Self>) -> QueueIterator {
        QueueIterator { queue: slf }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(hooked) = self.hooked.get() {
            visit.call(hooked)?;
        }
        if let Ok(state) = self.state.try_lock() {
            for item in &state.items {
                visit.call(item)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let items = std::mem::take(&mut self.lock().items);
        drop(items);
    }
}

/// What `iter(queue)` gives.
#[pyclass(module = "daqring._native", frozen)]
struct QueueIterator {
    queue: Py<Queue>,
}

#[pymethods]
impl QueueIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        until_shut_down(py, self.queue.get().get(py, Truth(true), None))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.queue)
    }
}

fn raise(class: PyResult<&Bound<'_, PyType>>) -> PyErr {
    match class.and_then(|class| class.call0()) {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

#[cold]
pub(super) fn empty(py: Python<'_>) -> PyErr {
    raise(EMPTY.import(py, "queue", "Empty"))
}

#[cold]
pub(super) fn full(py: Python<'_>) -> PyErr {
    raise(FULL.import(py, "queue", "Full"))
}

#[cold]
pub(super) fn shut_down(py: Python<'_>) -> PyErr {
    raise(shut_down_type(py))
}

/// `queue.ShutDown` where Python has it (3.13), else our own of that name.
fn shut_down_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    let class =
        SHUT_DOWN.get_or_try_init(py, || match py.import("queue")?.getattr("ShutDown") {
            Ok(class) => Ok(class.cast_into::<PyType>()?.unbind()),
            Err(_) => PyErr::new_type(
                py,
                c"daqring.queue.ShutDown",
                Some(c"Raised when put/get is called on a queue that was shut down."),
                None,
                None,
            ),
        })?;
    Ok(class.bind(py))
}

/// What an iterator gives for the outcome of a `get`: the end instead of `ShutDown`.
pub(super) fn until_shut_down(
    py: Python<'_>,
    outcome: PyResult<Py<PyAny>>,
) -> PyResult<Option<Py<PyAny>>> {
    match outcome {
        Ok(item) => Ok(Some(item)),
        Err(error) if error.matches(py, shut_down_type(py)?)? => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn with_count(py: Python<'_>, error: PyErr, count: usize) -> PyErr {
    match error.value(py).setattr("count", count) {
        Ok(()) => error,
        Err(other) => other,
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Queue>()?;
    super::calls::_install_calls(&module.py().get_type::<Queue>())?;
    module.add_function(wrap_pyfunction!(super::calls::_install_calls, module)?)?;
    module.add("ShutDown", shut_down_type(module.py())?)
}
