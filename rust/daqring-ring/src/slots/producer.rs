//! The producer's side: reserve, fill, commit.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

use crate::counters::Counters;
use crate::header::BlockMeta;
use crate::sync::{Arc, Mutex, lock};
use crate::wait::{WaitStrategy, Waiter};

use super::shared::Shared;
use super::{Policy, SlotMonitor};

/// Why there is no slot to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReserveError {
    /// Every slot is being written, waiting or being read.
    Full,
    /// Every slot is taken and the ring drops the newest block: throw it away
    /// and declare its samples by [`SlotProducer::add_lost`].
    Dropped,
    /// No slot was released before the deadline.
    Timeout,
    /// The ring is closed.
    Closed,
}

impl fmt::Display for ReserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "every slot of the ring is taken; give it more slots or read faster",
            Self::Dropped => {
                "every slot of the ring is taken, so this block is dropped; \
                 give the ring more slots or read faster"
            }
            Self::Timeout => {
                "no slot of the ring was released in time; give it more slots or read faster"
            }
            Self::Closed => "the ring is closed; make a new one to go on writing",
        })
    }
}

impl std::error::Error for ReserveError {}

/// The producer of a ring of slots. Dropping it closes the ring.
pub struct SlotProducer {
    shared: Arc<Shared>,
    waiter: Waiter,
    /// One thread at a time: the free list has a single popper.
    not_sync: PhantomData<std::cell::Cell<()>>,
}

impl SlotProducer {
    pub(super) fn new(shared: Arc<Shared>, wait: WaitStrategy) -> Self {
        Self {
            shared,
            waiter: Waiter::new(wait),
            not_sync: PhantomData,
        }
    }

    /// A slot to write, if one is free. Never waits, drops or counts a refusal.
    ///
    /// # Errors
    /// [`ReserveError::Full`] or [`ReserveError::Closed`].
    pub fn try_reserve(&mut self) -> Result<WriteSlot, ReserveError> {
        try_reserve(&self.shared)
    }

    /// A slot to write; what happens when none is free is the ring's [`Policy`].
    ///
    /// # Errors
    /// [`ReserveError::Closed`], and what the policy says.
    pub fn reserve(&mut self) -> Result<WriteSlot, ReserveError> {
        self.reserve_before(None)
    }

    /// As [`reserve`](Self::reserve), waiting no longer than to the deadline.
    ///
    /// # Errors
    /// [`ReserveError::Timeout`] besides those of [`reserve`](Self::reserve).
    pub fn reserve_until(&mut self, deadline: Instant) -> Result<WriteSlot, ReserveError> {
        self.reserve_before(Some(deadline))
    }

    fn reserve_before(&mut self, deadline: Option<Instant>) -> Result<WriteSlot, ReserveError> {
        let shared = &self.shared;
        reserve(shared, &mut self.waiter, deadline, || try_reserve(shared))
    }

    /// Declares samples per channel as lost: they are added to the `lost_before`
    /// of the next block committed.
    pub fn add_lost(&mut self, samples: u64) {
        self.shared.add_lost(samples);
    }

    /// No block after this one. Slots being written may still be committed;
    /// consumers get the rest, then "closed".
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

    /// What happens when every slot is taken.
    pub fn policy(&self) -> Policy {
        self.shared.policy()
    }

    /// Turns it into a producer that several threads may use.
    pub fn into_shared(self) -> SharedSlotProducer {
        SharedSlotProducer {
            producer: Arc::new(Mutex::new(self)),
        }
    }
}

impl Drop for SlotProducer {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for SlotProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotProducer").finish_non_exhaustive()
    }
}

/// Only from `SlotProducer::try_reserve` and `reserve_before`, which are
/// exclusive: no two calls at once per ring.
fn try_reserve(shared: &Arc<Shared>) -> Result<WriteSlot, ReserveError> {
    if shared.none_free() && !shared.is_closed() {
        return Err(ReserveError::Full);
    }
    if !shared.begin_write() {
        return Err(ReserveError::Closed);
    }
    // SAFETY: there is one `SlotProducer` per ring, it is borrowed mutably by
    // our callers, and sharing it goes through a lock.
    match unsafe { shared.take_free() } {
        Some(slot) => Ok(WriteSlot::new(Arc::clone(shared), slot)),
        None => {
            shared.end_write();
            Err(ReserveError::Full)
        }
    }
}

fn reserve(
    shared: &Arc<Shared>,
    waiter: &mut Waiter,
    deadline: Option<Instant>,
    mut attempt: impl FnMut() -> Result<WriteSlot, ReserveError>,
) -> Result<WriteSlot, ReserveError> {
    match attempt() {
        Err(ReserveError::Full) => {}
        done => return done,
    }
    match shared.policy() {
        Policy::Fail => {
            shared.refuse();
            Err(ReserveError::Full)
        }
        Policy::DropNewest => {
            shared.refuse();
            Err(ReserveError::Dropped)
        }
        Policy::DropOldest => {
            if !shared.begin_write() {
                return Err(ReserveError::Closed);
            }
            if let Some(slot) = shared.take_oldest() {
                return Ok(WriteSlot::new(Arc::clone(shared), slot));
            }
            shared.end_write();
            // All were acquired in the meantime: perhaps some are released too.
            attempt().inspect_err(|&error| {
                if error == ReserveError::Full {
                    shared.refuse();
                }
            })
        }
        Policy::Wait => waiter
            .wait(shared.freed(), deadline, || match attempt() {
                Err(ReserveError::Full) => None,
                done => Some(done),
            })
            .unwrap_or(Err(ReserveError::Timeout)),
    }
}

/// The producer's side for several threads: cloned, and usable through `&`.
/// Dropping the last clone closes the ring.
///
/// Who reserves holds a lock for a few instructions, never while it waits or
/// writes. Blocks are numbered in the order of their commits.
#[derive(Clone, Debug)]
pub struct SharedSlotProducer {
    producer: Arc<Mutex<SlotProducer>>,
}

impl SharedSlotProducer {
    /// As [`SlotProducer::try_reserve`].
    ///
    /// # Errors
    /// As [`SlotProducer::try_reserve`].
    pub fn try_reserve(&self) -> Result<WriteSlot, ReserveError> {
        lock(&self.producer).try_reserve()
    }

    /// As [`SlotProducer::reserve`].
    ///
    /// # Errors
    /// As [`SlotProducer::reserve`].
    pub fn reserve(&self) -> Result<WriteSlot, ReserveError> {
        self.reserve_before(None)
    }

    /// As [`SlotProducer::reserve_until`].
    ///
    /// # Errors
    /// As [`SlotProducer::reserve_until`].
    pub fn reserve_until(&self, deadline: Instant) -> Result<WriteSlot, ReserveError> {
        self.reserve_before(Some(deadline))
    }

    fn reserve_before(&self, deadline: Option<Instant>) -> Result<WriteSlot, ReserveError> {
        let (shared, strategy) = {
            let producer = lock(&self.producer);
            (Arc::clone(&producer.shared), producer.waiter.strategy())
        };
        let mut waiter = Waiter::new(strategy);
        reserve(&shared, &mut waiter, deadline, || self.try_reserve())
    }

    /// As [`SlotProducer::add_lost`].
    pub fn add_lost(&self, samples: u64) {
        lock(&self.producer).add_lost(samples);
    }

    /// As [`SlotProducer::close`].
    pub fn close(&self) {
        lock(&self.producer).close();
    }

    /// As [`SlotProducer::counters`].
    pub fn counters(&self) -> Counters {
        lock(&self.producer).counters()
    }

    /// As [`SlotProducer::monitor`].
    pub fn monitor(&self) -> SlotMonitor {
        lock(&self.producer).monitor()
    }
}

/// A reserved slot: `slot_bytes` bytes to fill. Dropping it aborts.
///
/// The bytes are those of whatever block was here before (zeros at first).
#[must_use = "a slot that is not committed is aborted"]
pub struct WriteSlot {
    shared: Arc<Shared>,
    slot: u32,
    memory: *mut u8,
}

// SAFETY: the guard owns the slot exclusively, wherever it is.
unsafe impl Send for WriteSlot {}
// SAFETY: through `&` it only lends `&[u8]`.
unsafe impl Sync for WriteSlot {}

impl WriteSlot {
    fn new(shared: Arc<Shared>, slot: u32) -> Self {
        let memory = shared.memory(slot);
        Self {
            shared,
            slot,
            memory,
        }
    }

    /// Hands the block to the consumers and returns its number. Numbers are
    /// given in the order of the commits, without holes. It may be called after
    /// the ring was closed: consumers get it still.
    ///
    /// # Panics
    /// If `block.bytes` exceeds the slot; the slot is then aborted.
    pub fn commit(self, block: BlockMeta) -> u64 {
        let seq = self.shared.commit(self.slot, block);
        // Only the guard's share of the ring is left to drop, not the slot.
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: read once, and `this` is never dropped nor used again.
        drop(unsafe { std::ptr::read(&this.shared) });
        seq
    }

    /// Gives the slot back without a block.
    pub fn abort(self) {}

    /// Start of the slot, a multiple of 4096.
    pub fn as_ptr(&self) -> *const u8 {
        self.memory
    }

    /// Start of the slot, a multiple of 4096. Valid for writes of the slot's
    /// length while the guard lives.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.memory
    }
}

impl Deref for WriteSlot {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the slot has `slot_bytes` initialised bytes, and its owner,
        // this guard, is borrowed.
        unsafe { std::slice::from_raw_parts(self.memory, self.shared.slot_bytes()) }
    }
}

impl DerefMut for WriteSlot {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.memory, self.shared.slot_bytes()) }
    }
}

impl Drop for WriteSlot {
    fn drop(&mut self) {
        self.shared.abort(self.slot);
    }
}

impl fmt::Debug for WriteSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteSlot").finish_non_exhaustive()
    }
}
