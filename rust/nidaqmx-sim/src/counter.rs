//! Counter inputs: which measurements there are.

/// Counting edges.
pub(crate) const COUNT_EDGES: i32 = 10125;

/// The measurements of a full counter.
pub(crate) const MEASUREMENTS: &[i32] = &[COUNT_EDGES];
