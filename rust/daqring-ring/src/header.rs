//! What is said about a block.

/// Whose samples a block holds, where they are those of one trigger. Long records
/// come in several blocks, which all say the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordMark {
    /// Number of the record in its stream.
    pub number: u64,
    /// Time of the record's first sample, in nanoseconds of Unix time.
    pub start_time_ns: i64,
    /// Samples per channel before the trigger.
    pub pretrigger: u64,
}

/// What the producer knows about a block when it commits it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockMeta {
    /// Bytes filled, from the start of the slot.
    pub bytes: usize,
    /// Index of the block's first sample in its stream, per channel. Lost
    /// samples count, so that time stays true.
    pub first_sample: u64,
    /// Samples per channel.
    pub samples: u64,
    /// Samples per channel lost since the block before, besides those declared
    /// by [`add_lost`](crate::slots::SlotProducer::add_lost), which are added.
    pub lost_before: u64,
    /// Why they were lost: a code that the ring only carries. 0 is "no gap" or,
    /// with `lost_before` above 0, "the ring was full".
    pub gap: u32,
    /// When the block was complete, in nanoseconds of Unix time.
    pub host_time_ns: i64,
    /// The trigger whose samples these are; `None` in a stream that goes on.
    pub record: Option<RecordMark>,
}

/// What the consumer learns about a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockHeader {
    /// Number of the block in its stream, given at commit: 0, 1, 2 ... A block
    /// dropped after its commit leaves its number unused.
    pub seq: u64,
    /// Bytes filled, from the start of the slot.
    pub bytes: usize,
    /// Index of the block's first sample in its stream, per channel.
    pub first_sample: u64,
    /// Samples per channel.
    pub samples: u64,
    /// Samples per channel lost since the block that was acquired before this
    /// one, whoever lost them.
    pub lost_before: u64,
    /// The producer's code for why.
    pub gap: u32,
    /// When the block was complete, in nanoseconds of Unix time.
    pub host_time_ns: i64,
    /// The trigger whose samples these are; `None` in a stream that goes on.
    pub record: Option<RecordMark>,
}
