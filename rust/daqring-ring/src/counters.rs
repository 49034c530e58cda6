//! The counts that the law of conservation is checked with.

/// What has happened to the slots of a ring so far.
///
/// Each is counted where it happens, independently of the others. At rest:
/// `reserved = committed + aborted + being written`,
/// `committed = acquired + dropped + waiting` and
/// `acquired = released + being read`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Slots given to the producer.
    pub reserved: u64,
    /// Blocks committed.
    pub committed: u64,
    /// Slots given back without a block.
    pub aborted: u64,
    /// Blocks given to a consumer.
    pub acquired: u64,
    /// Blocks given back by a consumer.
    pub released: u64,
    /// Blocks dropped after their commit, before anyone acquired them
    /// ([`Policy::DropOldest`](crate::Policy::DropOldest)).
    pub dropped: u64,
    /// Samples per channel in those blocks.
    pub dropped_samples: u64,
    /// Reservations refused because the ring was full, under a policy that does
    /// not wait.
    pub refused: u64,
    /// Samples per channel declared by
    /// [`add_lost`](crate::slots::SlotProducer::add_lost).
    pub declared_lost: u64,
    /// Samples per channel, dropped or declared as lost, that no block tells because none was committed
    /// since; `u64::MAX` where their number is not known.
    pub untold: u64,
    /// The most blocks that were ever committed and not yet released.
    pub high_water: u64,
}
