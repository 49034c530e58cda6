//! Blocks on their way to Python: losslessly, or as a tap's copies.

use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use daqring_engine::{Delivery, Missed, Tap as EngineTap, TapBlock};
use daqring_ring::BlockHeader;
use pyo3::exceptions::{PyBufferError, PyEOFError, PyIndexError, PyRuntimeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::recording::Recording;

/// How often a waiting thread looks whether the interpreter wants something of it.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);

#[expect(
    clippy::large_enum_variant,
    reason = "it lies in a Python object of its own"
)]
enum Data {
    Fed(Delivery),
    Tapped(Arc<TapBlock>),
}

/// A block of a stream: its samples through the buffer protocol, read-only, channel by channel.
#[pyclass(frozen, module = "daqring._native")]
pub(crate) struct Block {
    data: Data,
    #[pyo3(get)]
    stream: usize,
}

impl Block {
    fn header(&self) -> &BlockHeader {
        match &self.data {
            Data::Fed(delivery) => &delivery.header,
            Data::Tapped(block) => &block.header,
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::Fed(delivery) => &delivery.data,
            Data::Tapped(block) => &block.data,
        }
    }
}

#[pymethods]
impl Block {
    #[getter]
    fn seq(&self) -> u64 {
        self.header().seq
    }

    #[getter]
    fn first_sample(&self) -> u64 {
        self.header().first_sample
    }

    #[getter]
    fn samples(&self) -> u64 {
        self.header().samples
    }

    /// Samples per channel missing in front of it; `LOST_UNKNOWN` where nobody knows.
    #[getter]
    fn lost_before(&self) -> u64 {
        self.header().lost_before
    }

    /// Why, as the log numbers the causes; 0 where the ring was full, or nothing is missing.
    #[getter]
    fn gap(&self) -> u32 {
        self.header().gap
    }

    #[getter]
    fn host_time_ns(&self) -> i64 {
        self.header().host_time_ns
    }

    /// Of a record: its number, the time of its first sample (ns since 1970, UTC) and how many of its
    /// samples are before the trigger.
    #[getter]
    fn record(&self) -> Option<(u64, i64, u64)> {
        let mark = self.header().record?;
        Some((mark.number, mark.start_time_ns, mark.pretrigger))
    }

    fn __len__(&self) -> usize {
        self.bytes().len()
    }

    /// # Safety
    /// `view` is the buffer that the interpreter asks to be filled.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if flags & ffi::PyBUF_WRITABLE != 0 {
            return Err(PyBufferError::new_err("a block's samples are read-only"));
        }
        let bytes = slf.get().bytes();
        let length = ffi::Py_ssize_t::try_from(bytes.len())?;
        // SAFETY: the bytes live and stay as they are while this object lives, to which the view
        // holds a reference; with readonly = 1 nobody is let write there.
        let code = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                bytes.as_ptr().cast_mut().cast::<c_void>(),
                length,
                1,
                flags,
            )
        };
        match code {
            0 => Ok(()),
            _ => Err(PyErr::fetch(slf.py())),
        }
    }
}

/// Waits in steps, so that signals are handled meanwhile. `None`: not in time.
pub(crate) fn patiently<T: Send>(
    py: Python<'_>,
    timeout: f64,
    mut attempt: impl FnMut(Duration) -> Result<T, Missed> + Send,
) -> PyResult<Option<T>> {
    let timeout = if timeout > 0.0 { timeout } else { 0.0 };
    // What is no duration is for ever.
    let deadline = Duration::try_from_secs_f64(timeout)
        .ok()
        .and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = deadline.map_or(SIGNAL_CHECK, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        let step = left.min(SIGNAL_CHECK);
        match py.detach(|| attempt(step)) {
            Ok(value) => return Ok(Some(value)),
            Err(Missed::Ended) => return Err(PyEOFError::new_err("there are no more blocks")),
            Err(Missed::Timeout) => {}
        }
        py.check_signals()?;
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(None);
        }
    }
}

impl From<Delivery> for Block {
    fn from(delivery: Delivery) -> Self {
        Self {
            stream: delivery.stream,
            data: Data::Fed(delivery),
        }
    }
}

/// A lossy copy of a stream: the newest blocks. Private: `daqring.Recorder.tap` is the way in.
#[pyclass(frozen, module = "daqring._native")]
pub(crate) struct Tap {
    tap: Arc<EngineTap>,
    stream: usize,
    recording: Mutex<Option<Py<Recording>>>,
}

impl Tap {
    fn wrap(&self, block: Arc<TapBlock>) -> Block {
        Block {
            data: Data::Tapped(block),
            stream: self.stream,
        }
    }
}

#[pymethods]
impl Tap {
    /// Attaches a tap to a stream (those that stages put out are counted after the others). It keeps
    /// so many `blocks`, or the last `samples` samples per channel, or, with neither, one block until
    /// that is taken.
    #[new]
    #[pyo3(signature = (recording, stream, *, blocks=None, samples=None))]
    fn new(
        py: Python<'_>,
        recording: &Bound<'_, Recording>,
        stream: usize,
        blocks: Option<usize>,
        samples: Option<u64>,
    ) -> PyResult<Self> {
        let tap = match (blocks, samples) {
            (Some(blocks), None) => EngineTap::of_blocks(blocks),
            (None, Some(samples)) => EngineTap::of_samples(samples),
            (None, None) => EngineTap::glimpse(),
            _ => return Err(PyValueError::new_err("give blocks or samples, not both")),
        };
        let attached = {
            let (recording, tap) = (recording.get(), Arc::clone(&tap));
            py.detach(|| recording.with_running(|running| running.attach(stream, tap)))
        };
        match attached {
            None => return Err(PyRuntimeError::new_err("the recording was finished")),
            Some(Err(_)) => {
                return Err(PyIndexError::new_err(format!(
                    "there is no stream {stream}"
                )));
            }
            Some(Ok(())) => {}
        }
        Ok(Self {
            tap,
            stream,
            recording: Mutex::new(Some(recording.clone().unbind())),
        })
    }

    /// Waits up to `timeout` seconds for a block: it and the number of blocks dropped in front of it.
    /// `None`: none came. Raises `EOFError` when none will.
    fn next(&self, py: Python<'_>, timeout: f64) -> PyResult<Option<(Block, u64)>> {
        let found = patiently(py, timeout, |step| self.tap.next(step))?;
        Ok(found.map(|(block, missed)| (self.wrap(block), missed)))
    }

    /// What there is, oldest first; it stays.
    fn blocks(&self) -> Vec<Block> {
        let blocks = self.tap.blocks();
        blocks.into_iter().map(|block| self.wrap(block)).collect()
    }

    /// Blocks and samples per channel dropped because nobody took them in time.
    fn dropped(&self) -> (u64, u64) {
        self.tap.dropped()
    }

    /// Blocks of the stream that went by before the tap was made.
    fn before(&self) -> u64 {
        self.tap.before()
    }

    /// Takes the tap off.
    fn close(&self, py: Python<'_>) {
        let recording = self
            .recording
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(recording) = recording {
            let recording = recording.get();
            py.detach(|| {
                recording.with_running(|running| running.detach(self.stream, &self.tap));
            });
        }
    }
}
