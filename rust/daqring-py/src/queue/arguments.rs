//! What the queues' methods take, with the meaning it has in the standard library's `queue`.

use std::time::{Duration, Instant};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// Any object, as `if` would judge it.
pub(super) struct Truth(pub(super) bool);

impl<'a, 'py> FromPyObject<'a, 'py> for Truth {
    type Error = PyErr;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        object.is_truthy().map(Self)
    }
}

/// A timeout in seconds.
pub(super) struct Seconds(f64);

impl<'a, 'py> FromPyObject<'a, 'py> for Seconds {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let seconds = object.extract::<f64>().map_err(|error| {
            if error.is_instance_of::<PyTypeError>(object.py()) {
                PyTypeError::new_err("'timeout' must be a number of seconds or None")
            } else {
                error
            }
        })?;
        if seconds.is_nan() {
            return Err(PyValueError::new_err(
                "'timeout' must be a number of seconds, not NaN",
            ));
        }
        Ok(Self(seconds))
    }
}

impl Seconds {
    pub(super) fn value(self) -> f64 {
        self.0
    }
}

/// How long a call may wait.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    /// Not at all.
    No,
    /// Until then; `None` where the time lies beyond what the clock can express.
    Until(Option<Instant>),
}

impl Patience {
    /// From `block` and `timeout`; a negative timeout is a `ValueError` when it matters.
    #[inline]
    pub(super) fn new(block: bool, timeout: Option<Seconds>) -> PyResult<Self> {
        match timeout {
            _ if !block => Ok(Self::No),
            None => Ok(Self::Until(None)),
            Some(Seconds(seconds)) if seconds < 0.0 => Err(PyValueError::new_err(
                "'timeout' must be a non-negative number",
            )),
            Some(Seconds(seconds)) => Ok(Self::Until(
                Duration::try_from_secs_f64(seconds)
                    .ok()
                    .and_then(|wait| Instant::now().checked_add(wait)),
            )),
        }
    }
}
