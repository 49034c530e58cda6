//! The consumers' side: acquire, read, release.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Instant;

use crate::counters::Counters;
use crate::header::BlockHeader;
use crate::sync::Arc;
use crate::wait::{WaitStrategy, Waiter};

use super::SlotMonitor;
use super::shared::{Shared, Taken};

/// Why there is no block to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// No block is waiting.
    Empty,
    /// No block came before the deadline.
    Timeout,
    /// The ring is closed, every block has been acquired and none can follow.
    Closed,
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "no block is waiting in the ring; try again later or wait for one",
            Self::Timeout => "no block arrived in time; check that the producer runs",
            Self::Closed => "the ring is closed and drained; there is nothing more to read",
        })
    }
}

impl std::error::Error for AcquireError {}

/// A consumer of a ring of slots. Cloned, it shares the blocks with its clones:
/// each block goes to one of them. Dropping the last one closes the ring.
pub struct SlotConsumer {
    shared: Arc<Shared>,
    waiter: Waiter,
    not_sync: PhantomData<std::cell::Cell<()>>,
}

impl SlotConsumer {
    /// For the first consumer, which the ring has counted already.
    pub(super) fn new(shared: Arc<Shared>, wait: WaitStrategy) -> Self {
        Self {
            shared,
            waiter: Waiter::new(wait),
            not_sync: PhantomData,
        }
    }

    /// The oldest block, if any is waiting.
    ///
    /// # Errors
    /// [`AcquireError::Empty`] or [`AcquireError::Closed`].
    pub fn try_acquire(&mut self) -> Result<ReadSlot, AcquireError> {
        ReadSlot::take(&self.shared)
    }

    /// The oldest block, waiting for one.
    ///
    /// # Errors
    /// [`AcquireError::Closed`].
    pub fn acquire(&mut self) -> Result<ReadSlot, AcquireError> {
        self.acquire_before(None)
    }

    /// The oldest block, waiting no longer than to the deadline.
    ///
    /// # Errors
    /// [`AcquireError::Timeout`] or [`AcquireError::Closed`].
    pub fn acquire_until(&mut self, deadline: Instant) -> Result<ReadSlot, AcquireError> {
        self.acquire_before(Some(deadline))
    }

    fn acquire_before(&mut self, deadline: Option<Instant>) -> Result<ReadSlot, AcquireError> {
        let shared = &self.shared;
        self.waiter
            .wait(shared.filled(), deadline, || match ReadSlot::take(shared) {
                Err(AcquireError::Empty) => None,
                done => Some(done),
            })
            .unwrap_or(Err(AcquireError::Timeout))
    }

    /// Gives up for all consumers: the producer's reservations fail from now on,
    /// also one that is waiting. What was committed can still be acquired.
    pub fn close(&mut self) {
        self.shared.close();
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// A handle to watch and close the ring with, from any thread.
    pub fn monitor(&self) -> SlotMonitor {
        SlotMonitor::new(Arc::clone(&self.shared))
    }
}

impl Clone for SlotConsumer {
    fn clone(&self) -> Self {
        self.shared.add_consumer();
        Self::new(Arc::clone(&self.shared), self.waiter.strategy())
    }
}

impl Drop for SlotConsumer {
    fn drop(&mut self) {
        self.shared.remove_consumer();
    }
}

impl fmt::Debug for SlotConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotConsumer").finish_non_exhaustive()
    }
}

/// An acquired block: its bytes and its header. Dropping it releases the slot,
/// in any order among the blocks acquired, from any thread.
#[must_use = "dropping the block releases it"]
pub struct ReadSlot {
    shared: Arc<Shared>,
    memory: *const u8,
    slot: u32,
    ticket: u64,
    header: BlockHeader,
}

// SAFETY: the guard owns the slot exclusively, wherever it is.
unsafe impl Send for ReadSlot {}
// SAFETY: through `&` it only lends `&[u8]`.
unsafe impl Sync for ReadSlot {}

impl ReadSlot {
    fn take(shared: &Arc<Shared>) -> Result<Self, AcquireError> {
        let Taken {
            slot,
            ticket,
            header,
        } = shared.take()?;
        Ok(Self {
            shared: Arc::clone(shared),
            memory: shared.memory(slot),
            slot,
            ticket,
            header,
        })
    }

    /// What is said about the block.
    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// Number of this acquisition in the ring: 0, 1, 2 ... over all consumers,
    /// in the order of the blocks and without holes.
    pub fn ticket(&self) -> u64 {
        self.ticket
    }
}

impl Deref for ReadSlot {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: commit checked that `bytes` fit in the slot, all of which is
        // initialised, and nobody writes before this guard is dropped.
        unsafe { std::slice::from_raw_parts(self.memory, self.header.bytes) }
    }
}

impl Drop for ReadSlot {
    fn drop(&mut self) {
        self.shared.release(self.slot);
    }
}

impl fmt::Debug for ReadSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadSlot")
            .field("header", &self.header)
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
