//! Why a ring of values did not take or give a value.

use std::fmt;

/// Why a value was not pushed, with the value. For a batch, `V` is the number of
/// values that were pushed before.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushError<V> {
    /// The ring is full.
    Full(V),
    /// The ring was still full at the deadline.
    Timeout(V),
    /// The ring is closed.
    Closed(V),
}

impl<V> PushError<V> {
    /// What could not be pushed, or how much could.
    pub fn into_inner(self) -> V {
        match self {
            Self::Full(value) | Self::Timeout(value) | Self::Closed(value) => value,
        }
    }

    pub(crate) fn map<W>(self, f: impl FnOnce(V) -> W) -> PushError<W> {
        match self {
            Self::Full(value) => PushError::Full(f(value)),
            Self::Timeout(value) => PushError::Timeout(f(value)),
            Self::Closed(value) => PushError::Closed(f(value)),
        }
    }
}

impl<V> fmt::Display for PushError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the ring is full; wait for room or make it larger",
            Self::Timeout(_) => "the ring had no room in time; make it larger or read faster",
            Self::Closed(_) => "the ring is closed; make a new one to go on writing",
        })
    }
}

impl<V> fmt::Debug for PushError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Timeout(_) => "Timeout(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<V> std::error::Error for PushError<V> {}

/// Why no value was popped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PopError {
    /// The ring is empty.
    Empty,
    /// The ring was still empty at the deadline.
    Timeout,
    /// The ring is closed, and empty for good.
    Closed,
}

impl fmt::Display for PopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the ring is empty; try again later or wait for a value",
            Self::Timeout => "no value arrived in time; check that the producer runs",
            Self::Closed => "the ring is closed and drained; there is nothing more to read",
        })
    }
}

impl std::error::Error for PopError {}
