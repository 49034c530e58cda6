//! The extension module `daqring._native`: converts, detaches from the interpreter, maps errors.

use pyo3::prelude::*;

mod queue;
mod sim;

/// The native half of daqring; use the `daqring` package instead of importing this module.
#[pymodule(gil_used = false)]
mod _native {
    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("DEBUG_BUILD", cfg!(debug_assertions))?;
        sim::register(module)?;
        queue::register(module)?;
        Ok(())
    }
}
