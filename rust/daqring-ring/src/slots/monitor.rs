//! Watching and closing a ring from outside.

use std::fmt;

use crate::counters::Counters;
use crate::sync::Arc;

use super::shared::Shared;

/// Watches a ring of slots and can close it, from any thread. It keeps the
/// memory alive, but not the ring open.
#[derive(Clone)]
pub struct SlotMonitor {
    shared: Arc<Shared>,
}

impl SlotMonitor {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Closes the ring and wakes both sides: reservations fail, consumers get
    /// the rest (also what is being written now), then "closed".
    pub fn close(&self) {
        self.shared.close();
    }

    /// Has any side closed the ring?
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// The most blocks that were ever committed and not yet released.
    pub fn high_water(&self) -> u64 {
        self.shared.high_water()
    }

    /// Blocks committed and not yet acquired.
    pub fn len(&self) -> usize {
        self.shared.waiting() as usize
    }

    /// Is no block waiting?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of slots.
    pub fn capacity(&self) -> usize {
        self.shared.slots()
    }

    /// Bytes of one slot.
    pub fn slot_bytes(&self) -> usize {
        self.shared.slot_bytes()
    }
}

impl fmt::Debug for SlotMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotMonitor")
            .field("counters", &self.counters())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
