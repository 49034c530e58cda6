//! A ring of slots: blocks are written and read in place.
//!
//! The producer [reserves](SlotProducer::reserve) a slot, fills it and
//! [commits](WriteSlot::commit) it; a consumer [acquires](SlotConsumer::acquire)
//! the oldest block, reads it and releases it by dropping the guard, in any
//! order. Blocks leave in the order of their commits. Guards own a share of the
//! ring: they may outlive the handles and move between threads.
//!
//! ```
//! use daqring_ring::{BlockMeta, SlotOptions, slot_ring};
//!
//! let (mut producer, mut consumer) = slot_ring(SlotOptions::new(1 << 20, 8))?;
//! let reader = std::thread::spawn(move || {
//!     let mut bytes = 0;
//!     while let Ok(block) = consumer.acquire() {
//!         bytes += block.len(); // block is a &[u8]
//!     }
//!     bytes
//! });
//! for _ in 0..100 {
//!     let mut slot = producer.reserve().expect("the reader lives");
//!     slot[..4].copy_from_slice(b"data");
//!     slot.commit(BlockMeta { bytes: 4, samples: 2, ..BlockMeta::default() });
//! }
//! drop(producer); // the rest is drained, then acquire() says Closed
//! assert_eq!(reader.join().unwrap(), 400);
//! # Ok::<(), daqring_ring::ArenaError>(())
//! ```
//!
//! A consumer cannot be used from two threads at once, but cloned:
//! ```compile_fail
//! fn shared<T: Sync>(_: &T) {}
//! let (_, consumer) = daqring_ring::slot_ring(daqring_ring::SlotOptions::new(1, 1)).unwrap();
//! shared(&consumer);
//! ```
//! Nor can a producer, which has to become a [`SharedSlotProducer`] for that:
//! ```compile_fail
//! fn shared<T: Sync>(_: &T) {}
//! let (producer, _) = daqring_ring::slot_ring(daqring_ring::SlotOptions::new(1, 1)).unwrap();
//! shared(&producer);
//! ```
//! A block is committed once:
//! ```compile_fail
//! use daqring_ring::BlockMeta;
//! let (mut producer, _c) = daqring_ring::slot_ring(daqring_ring::SlotOptions::new(1, 1)).unwrap();
//! let slot = producer.reserve().unwrap();
//! slot.commit(BlockMeta::default());
//! slot.commit(BlockMeta::default());
//! ```
//! and its bytes do not outlive the guard:
//! ```compile_fail
//! let (mut producer, _c) = daqring_ring::slot_ring(daqring_ring::SlotOptions::new(1, 1)).unwrap();
//! let bytes: &mut [u8] = {
//!     let mut slot = producer.reserve().unwrap();
//!     &mut slot
//! };
//! bytes[0] = 1;
//! ```

mod consumer;
mod monitor;
mod producer;
mod shared;

use crate::arena::ArenaError;
use crate::event::EventCount;
use crate::sync::Arc;
use crate::wait::WaitStrategy;

pub use consumer::{AcquireError, ReadSlot, SlotConsumer};
pub use monitor::SlotMonitor;
pub use producer::{ReserveError, SharedSlotProducer, SlotProducer, WriteSlot};
use shared::Shared;

/// What the producer does when every slot is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Wait for a slot to be released. Loses nothing.
    #[default]
    Wait,
    /// Refuse with [`ReserveError::Dropped`]; the producer throws its block away
    /// and declares its samples by [`SlotProducer::add_lost`].
    DropNewest,
    /// Drop the oldest block that nobody has acquired and hand out its slot. Its
    /// samples are counted in the `lost_before` of the block after it. Refuses
    /// with [`ReserveError::Full`] when all blocks are acquired.
    DropOldest,
    /// Refuse with [`ReserveError::Full`].
    Fail,
}

/// What a ring of slots is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotOptions {
    /// Bytes of one slot: the largest block.
    pub slot_bytes: usize,
    /// Number of slots.
    pub slots: usize,
    /// What happens when all are taken.
    pub policy: Policy,
    /// How both sides wait.
    pub wait: WaitStrategy,
    /// Touch the memory, so that no page fault meets the stream: the first 32 MiB now,
    /// and the rest from a second later on beside its use, 20 MB a second (Linux 5.14
    /// and later; elsewhere all of it now).
    pub prefault: bool,
}

impl SlotOptions {
    /// Waits when full, adaptively, and is prefaulted.
    pub fn new(slot_bytes: usize, slots: usize) -> Self {
        Self {
            slot_bytes,
            slots,
            policy: Policy::default(),
            wait: WaitStrategy::default(),
            prefault: true,
        }
    }
}

/// Makes a ring of slots.
///
/// # Errors
/// [`ArenaError`] if the memory cannot be had.
pub fn slot_ring(options: SlotOptions) -> Result<(SlotProducer, SlotConsumer), ArenaError> {
    slot_ring_with(options, Arc::new(EventCount::new()))
}

/// Makes a ring of slots whose consumers sleep on `consumer_event`, which other
/// rings may share: then wait with a [`Waiter`](crate::Waiter) and a check that
/// tries all of them.
///
/// # Errors
/// [`ArenaError`] if the memory cannot be had.
pub fn slot_ring_with(
    options: SlotOptions,
    consumer_event: Arc<EventCount>,
) -> Result<(SlotProducer, SlotConsumer), ArenaError> {
    let shared = Arc::new(Shared::new(options, consumer_event)?);
    Ok((
        SlotProducer::new(Arc::clone(&shared), options.wait),
        SlotConsumer::new(shared, options.wait),
    ))
}
