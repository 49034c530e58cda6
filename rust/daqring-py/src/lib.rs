//! The extension module `daqring._native`: converts, detaches from the interpreter, maps errors.

use pyo3::prelude::*;

mod log;
mod log_file;
mod placement;
mod queue;
mod reader;
mod recording;
mod sim;
mod slot;
mod stages;
mod stream;

/// The native half of daqring; use the `daqring` package instead of importing this module.
#[pymodule(gil_used = false)]
mod _native {
    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("DEBUG_BUILD", cfg!(debug_assertions))?;
        module.add_class::<recording::Recording>()?;
        module.add_class::<slot::Slot>()?;
        module.add_class::<stream::Block>()?;
        module.add_class::<stream::Tap>()?;
        stages::register(module)?;
        log::register(module)?;
        log_file::register(module)?;
        placement::register(module)?;
        reader::register(module)?;
        sim::register(module)?;
        queue::register(module)?;
        Ok(())
    }
}
