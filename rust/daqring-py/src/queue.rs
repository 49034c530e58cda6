//! Queues for Python threads.

use pyo3::prelude::*;

mod arguments;
mod block_ring;
mod calls;
mod fifo;
mod role;
mod spsc;
mod waiting;

/// Adds this part's classes and functions to the native module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    waiting::watch_forks(module)?;
    fifo::register(module)?;
    block_ring::register(module)?;
    spsc::register(module)
}
