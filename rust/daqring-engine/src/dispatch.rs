//! The same code, compiled for what the processor has; the log's readers need it too, so it is there.

pub use daqring_log::{Kernel, dispatch};
