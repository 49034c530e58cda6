//! A reserved slot as a writable Python buffer.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daqring_ring::slots::{SlotMonitor, WriteSlot};
use daqring_ring::{BlockMeta, RecordMark};
use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;

/// A slot that may still be written: shared by [`Slot`], which gives it away, and by the recording,
/// which takes it back at its end.
#[derive(Clone)]
pub(crate) struct Reserved(Arc<Mutex<Option<WriteSlot>>>);

impl Reserved {
    fn lock(&self) -> MutexGuard<'_, Option<WriteSlot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is neither committed nor aborted.
    pub(crate) fn is_held(&self) -> bool {
        self.lock().is_some()
    }

    /// Aborts the slot if it is neither committed nor aborted yet. Views of it stay valid (their
    /// [`Slot`] keeps the arena), but nobody will read what is written there.
    pub(crate) fn take_back(&self) {
        drop(self.lock().take());
    }
}

/// A reserved slot: fill it through the buffer protocol, then commit it. Dropping it without a
/// commit gives it back unused.
#[pyclass(frozen, module = "daqring._native")]
pub(crate) struct Slot {
    reserved: Reserved,
    exports: AtomicUsize,
    /// Keeps the arena for views that outlive the recording.
    _arena: SlotMonitor,
}

impl Slot {
    pub(crate) fn new(slot: WriteSlot, arena: SlotMonitor) -> (Self, Reserved) {
        let reserved = Reserved(Arc::new(Mutex::new(Some(slot))));
        let slot = Self {
            reserved: reserved.clone(),
            exports: AtomicUsize::new(0),
            _arena: arena,
        };
        (slot, reserved)
    }

    fn lock(&self) -> MutexGuard<'_, Option<WriteSlot>> {
        self.reserved.lock()
    }

    /// Takes the slot out, unless somebody still looks at its memory.
    fn take(&self) -> PyResult<WriteSlot> {
        let mut slot = self.lock();
        // Exports are counted under the lock, so that none can begin between this look and the
        // taking.
        if self.exports.load(Ordering::Acquire) > 0 {
            return Err(PyBufferError::new_err(
                "the slot cannot be given away while an array or a memoryview of it lives; delete it first",
            ));
        }
        slot.take()
            .ok_or_else(|| PyValueError::new_err("the slot was committed or aborted already"))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // No view lives: each holds a reference to this object.
        self.reserved.take_back();
    }
}

#[pymethods]
impl Slot {
    /// Publishes the first `bytes` bytes as one block and returns its number in the stream.
    /// `record`: (number, time of its first sample in ns since 1970, samples before the trigger) where
    /// these are samples of one trigger.
    #[pyo3(signature = (bytes, *, samples, first_sample, lost_before=0, gap=0, host_time_ns=0, record=None))]
    #[expect(clippy::too_many_arguments, reason = "named in Python")]
    fn commit(
        &self,
        bytes: usize,
        samples: u64,
        first_sample: u64,
        lost_before: u64,
        gap: u32,
        host_time_ns: i64,
        record: Option<(u64, i64, u64)>,
    ) -> PyResult<u64> {
        let slot = self.take()?;
        if bytes > slot.len() {
            let message = format!("{bytes} bytes do not fit into a slot of {}", slot.len());
            *self.lock() = Some(slot);
            return Err(PyValueError::new_err(message));
        }
        Ok(slot.commit(BlockMeta {
            bytes,
            first_sample,
            samples,
            lost_before,
            gap,
            host_time_ns,
            record: record.map(|(number, start_time_ns, pretrigger)| RecordMark {
                number,
                start_time_ns,
                pretrigger,
            }),
        }))
    }

    /// Gives the slot back without publishing it.
    fn abort(&self) -> PyResult<()> {
        self.take().map(WriteSlot::abort)
    }

    /// Bytes that fit in.
    fn __len__(&self) -> PyResult<usize> {
        let slot = self.lock();
        Ok(slot.as_ref().ok_or_else(gone)?.len())
    }

    /// # Safety
    /// `view` is the buffer that the interpreter asks to be filled.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let this = slf.get();
        let mut guard = this.lock();
        let slot = guard.as_mut().ok_or_else(gone)?;
        let length = ffi::Py_ssize_t::try_from(slot.len())?;
        // SAFETY: the memory is the slot's for as long as an export lives: `take` refuses until
        // then, and after `Reserved::take_back` the ring is closed, so that nobody reserves the slot
        // again. It stays mapped: the view holds a reference to `self`, which keeps the arena.
        let code = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                slot.as_mut_ptr().cast::<c_void>(),
                length,
                0,
                flags,
            )
        };
        if code != 0 {
            return Err(PyErr::fetch(slf.py()));
        }
        this.exports.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// # Safety
    /// Called by the interpreter once for every buffer that `__getbuffer__` filled.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        // Release, with the Acquire in `take`: what was written through the view comes before a
        // commit that sees the view gone.
        self.exports.fetch_sub(1, Ordering::Release);
    }
}

#[cold]
fn gone() -> PyErr {
    PyValueError::new_err("the slot was committed or aborted already")
}
