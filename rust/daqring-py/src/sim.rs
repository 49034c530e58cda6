//! Placeholder until the part lands.

use pyo3::prelude::*;

/// Adds this part's classes and functions to the native module.
pub(crate) fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
