//! `SlotRing`: the ring of slots, seen from Python through the buffer protocol.
//!
//! A slot's memory belongs to a `SlotMemory`, which every numpy view of it keeps alive. Releasing is
//! dropping the last reference, so a view can never see a slot that has been given to somebody else.

use std::os::raw::c_int;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use daqring_ring::slots::{
    AcquireError, ReadSlot, ReserveError, SharedSlotProducer, SlotConsumer, SlotMonitor, WriteSlot,
};
use daqring_ring::{BlockMeta, Policy, SlotOptions, slot_ring};
use pyo3::exceptions::{PyBufferError, PyMemoryError, PyRuntimeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::arguments::{Patience, Seconds};
use super::{fifo, waiting};

/// The native half of `daqring.BlockRing`.
#[pyclass(module = "daqring._native", frozen)]
struct SlotRing {
    producer: SharedSlotProducer,
    consumer: Mutex<SlotConsumer>,
    monitor: SlotMonitor,
    slot_bytes: usize,
    /// Slots whose views have outlived their `with` block, now.
    kept: Arc<AtomicUsize>,
    /// The `fork()`s before this ring was made: a child has no share in it.
    forks: u32,
}

impl SlotRing {
    fn of_this_process(&self) -> PyResult<()> {
        if self.forks == waiting::forks() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "this ring belongs to the process that this one was forked from; make another one here",
        ))
    }

    fn memory(&self, content: Content, start: *const u8, bytes: usize) -> SlotMemory {
        SlotMemory {
            content: Mutex::new(content),
            start: Start(start.cast_mut()),
            bytes,
            _ring: self.monitor.clone(),
            kept: Arc::clone(&self.kept),
            is_kept: AtomicBool::new(false),
        }
    }
}

/// Calls `attempt` with a deadline, detached, until it gives something else than a timeout that is ours;
/// the main thread looks for signals in between.
fn wait<T: Send, E: PartialEq + Send>(
    py: Python<'_>,
    patience: Patience,
    timeout: E,
    attempt: impl Fn(Option<Instant>) -> Result<T, E> + Sync,
) -> PyResult<Result<T, E>> {
    let deadline = match patience {
        Patience::No => Some(Instant::now()),
        Patience::Until(deadline) => deadline,
    };
    let main = waiting::is_main_thread(py)?;
    loop {
        let until = if main {
            let slice = Instant::now() + waiting::SIGNAL_SLICE;
            Some(deadline.map_or(slice, |deadline| deadline.min(slice)))
        } else {
            deadline
        };
        let outcome = py.detach(|| attempt(until));
        match outcome {
            Err(error) if error == timeout && deadline.is_none_or(|at| Instant::now() < at) => {
                py.check_signals()?;
            }
            outcome => return Ok(outcome),
        }
    }
}

#[pymethods]
impl SlotRing {
    #[new]
    fn new(slot_bytes: usize, slots: usize, policy: &str) -> PyResult<Self> {
        let policy = match policy {
            "wait" => Policy::Wait,
            "drop_newest" => Policy::DropNewest,
            "drop_oldest" => Policy::DropOldest,
            "fail" => Policy::Fail,
            other => {
                return Err(PyValueError::new_err(format!(
                    "'policy' must be 'wait', 'drop_newest', 'drop_oldest' or 'fail', not '{other}'"
                )));
            }
        };
        let options = SlotOptions {
            policy,
            ..SlotOptions::new(slot_bytes, slots)
        };
        let (producer, consumer) =
            slot_ring(options).map_err(|error| PyMemoryError::new_err(error.to_string()))?;
        Ok(Self {
            monitor: producer.monitor(),
            producer: producer.into_shared(),
            consumer: Mutex::new(consumer),
            slot_bytes,
            kept: Arc::default(),
            forks: waiting::forks(),
        })
    }

    /// A slot to write; None where the policy is to drop the newest block and no slot is free.
    #[pyo3(signature = (timeout = None))]
    fn reserve(&self, py: Python<'_>, timeout: Option<Seconds>) -> PyResult<Option<SlotMemory>> {
        self.of_this_process()?;
        let patience = Patience::new(true, timeout)?;
        let slots = self.monitor.capacity();
        let slot = match self.producer.try_reserve() {
            Err(ReserveError::Full) => {
                if self.kept.load(Ordering::Relaxed) >= slots {
                    return Err(PyBufferError::new_err(format!(
                        "all {slots} slots are kept by views that outlive their 'with' block: copy what you \
                         keep, as in block.copy()"
                    )));
                }
                wait(py, patience, ReserveError::Timeout, |until| match until {
                    None => self.producer.reserve(),
                    Some(until) => self.producer.reserve_until(until),
                })?
            }
            done => done,
        };
        match slot {
            Ok(slot) => {
                let start = slot.as_ptr();
                Ok(Some(self.memory(
                    Content::Write(slot),
                    start,
                    self.slot_bytes,
                )))
            }
            Err(ReserveError::Dropped) => Ok(None),
            Err(ReserveError::Closed) => Err(fifo::shut_down(py)),
            Err(_) => Err(fifo::full(py)),
        }
    }

    /// The oldest block.
    #[pyo3(signature = (timeout = None))]
    fn acquire(&self, py: Python<'_>, timeout: Option<Seconds>) -> PyResult<SlotMemory> {
        self.of_this_process()?;
        let patience = Patience::new(true, timeout)?;
        let consumer = {
            let mut consumer = lock(&self.consumer);
            match consumer.try_acquire() {
                Err(AcquireError::Empty) => Err(consumer.clone()),
                done => Ok(done),
            }
        };
        let slot = match consumer {
            Ok(done) => done,
            Err(consumer) => {
                let consumer = Mutex::new(consumer);
                wait(py, patience, AcquireError::Timeout, |until| match until {
                    None => lock(&consumer).acquire(),
                    Some(until) => lock(&consumer).acquire_until(until),
                })?
            }
        };
        match slot {
            Ok(slot) => {
                let (start, bytes) = (slot.as_ptr(), slot.len());
                Ok(self.memory(Content::Read(slot), start, bytes))
            }
            Err(AcquireError::Closed) => Err(fifo::shut_down(py)),
            Err(_) => Err(fifo::empty(py)),
        }
    }

    /// Commits a copy of a reserved slot that Python can still write to, and returns its number.
    fn commit_copy(
        &self,
        py: Python<'_>,
        memory: &SlotMemory,
        bytes: usize,
        samples: u64,
    ) -> PyResult<u64> {
        self.of_this_process()?;
        let mut spare = match self.producer.try_reserve() {
            Ok(spare) => spare,
            Err(ReserveError::Closed) => return Err(fifo::shut_down(py)),
            Err(_) => {
                return Err(PyBufferError::new_err(
                    "a view of the block outlives its 'with' block, and no slot is free to copy the block \
                     to: copy what you keep, as in block.copy(), or make the ring with more spares",
                ));
            }
        };
        py.detach(|| match &*lock(&memory.content) {
            Content::Write(slot) => {
                spare[..bytes].copy_from_slice(&slot[..bytes]);
                Ok(spare.commit(BlockMeta {
                    bytes,
                    samples,
                    ..BlockMeta::default()
                }))
            }
            _ => Err(no_longer_reserved()),
        })
    }

    /// Says that samples were lost before the next block committed.
    fn add_lost(&self, samples: u64) {
        self.producer.add_lost(samples);
    }

    /// Lets nothing more in; what was committed can still be acquired.
    fn close(&self) {
        self.monitor.close();
    }

    #[getter]
    fn closed(&self) -> bool {
        self.monitor.is_closed()
    }

    /// Blocks committed and not yet acquired.
    fn qsize(&self) -> usize {
        self.monitor.len()
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = self.monitor.counters();
        let all = PyDict::new(py);
        all.set_item("reserved", counters.reserved)?;
        all.set_item("committed", counters.committed)?;
        all.set_item("aborted", counters.aborted)?;
        all.set_item("acquired", counters.acquired)?;
        all.set_item("released", counters.released)?;
        all.set_item("dropped", counters.dropped)?;
        all.set_item("dropped_samples", counters.dropped_samples)?;
        all.set_item("refused", counters.refused)?;
        all.set_item("lost_samples", counters.declared_lost)?;
        all.set_item("high_water", counters.high_water)?;
        Ok(all)
    }
}

enum Content {
    Write(WriteSlot),
    Read(ReadSlot),
    /// Committed, aborted or released.
    Gone,
}

/// The start of a slot. The slot's memory stays where it is for as long as the ring is alive.
struct Start(*mut u8);

// SAFETY: an address; what may be done with the memory is decided by `Content`.
unsafe impl Send for Start {}
// SAFETY: as above.
unsafe impl Sync for Start {}

/// The bytes of one slot, as a buffer.
#[pyclass(module = "daqring._native", frozen)]
struct SlotMemory {
    content: Mutex<Content>,
    start: Start,
    bytes: usize,
    /// Keeps the memory alive under views that are left after a commit.
    _ring: SlotMonitor,
    kept: Arc<AtomicUsize>,
    is_kept: AtomicBool,
}

#[pymethods]
impl SlotMemory {
    /// Hands the block on and returns its number. Whoever has a view of it must not write any more.
    fn commit(&self, bytes: usize, samples: u64) -> PyResult<u64> {
        if bytes > self.bytes {
            return Err(PyValueError::new_err(format!(
                "a block of {bytes} bytes cannot be committed in a slot of {} bytes",
                self.bytes
            )));
        }
        match std::mem::replace(&mut *lock(&self.content), Content::Gone) {
            Content::Write(slot) => Ok(slot.commit(BlockMeta {
                bytes,
                samples,
                ..BlockMeta::default()
            })),
            _ => Err(no_longer_reserved()),
        }
    }

    /// Notes that views outlive the `with` block; the slot is free when the last of them is gone.
    fn keep(&self) {
        if !self.is_kept.swap(true, Ordering::Relaxed) {
            self.kept.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Number of the block, and samples lost before it.
    fn header(&self) -> PyResult<(u64, u64, u64)> {
        match &*lock(&self.content) {
            Content::Read(slot) => {
                let header = slot.header();
                Ok((header.seq, header.lost_before, header.samples))
            }
            _ => Err(PyRuntimeError::new_err(
                "only an acquired block has a header",
            )),
        }
    }

    // SAFETY: called by Python, attached, with a `Py_buffer` to fill; what is filled in stays valid while
    // the buffer is exported, because the export holds a reference to `slf` and that holds the memory.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let this = slf.get();
        let readonly = match &*lock(&this.content) {
            Content::Write(_) => 0,
            Content::Read(_) => 1,
            Content::Gone => return Err(no_longer_reserved()),
        };
        let bytes = isize::try_from(this.bytes)?;
        // SAFETY: see above; `start` points to `bytes` bytes, which only the holder of the slot writes.
        let status = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                this.start.0.cast(),
                bytes,
                readonly,
                flags,
            )
        };
        if status == 0 {
            Ok(())
        } else {
            Err(PyErr::fetch(slf.py()))
        }
    }
}

impl Drop for SlotMemory {
    fn drop(&mut self) {
        if self.is_kept.load(Ordering::Relaxed) {
            self.kept.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn no_longer_reserved() -> PyErr {
    PyBufferError::new_err("the slot has been committed, aborted or released; reserve another one")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SlotRing>()?;
    module.add_class::<SlotMemory>()
}
