use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use daqring_log::LOST_UNKNOWN;
use daqring_ring::{BlockHeader, Counters};

/// Counters of one stream that its threads advance; read at any time.
#[derive(Debug, Default)]
pub(crate) struct StreamTally {
    pub(crate) written_blocks: AtomicU64,
    pub(crate) written_samples: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) failed_blocks: AtomicU64,
    pub(crate) failed_samples: AtomicU64,
    pub(crate) lost_before: AtomicU64,
    pub(crate) lost_unknown: AtomicU64,
}

impl StreamTally {
    pub(crate) fn failed(&self, samples: u64) {
        self.failed_blocks.fetch_add(1, Relaxed);
        self.failed_samples.fetch_add(samples, Relaxed);
    }

    pub(crate) fn wrote(&self, header: &BlockHeader, bytes: usize) {
        self.written_blocks.fetch_add(1, Relaxed);
        self.written_samples.fetch_add(header.samples, Relaxed);
        self.written_bytes.fetch_add(bytes as u64, Relaxed);
        if header.gap != 0 || header.lost_before != 0 {
            self.lost(header.lost_before);
        }
    }

    /// Counts a loss: samples per channel, [`LOST_UNKNOWN`] where the number is not known.
    pub(crate) fn lost(&self, samples: u64) {
        if samples == LOST_UNKNOWN {
            self.lost_unknown.fetch_add(1, Relaxed);
        } else {
            self.lost_before.fetch_add(samples, Relaxed);
        }
    }

    pub(crate) fn snapshot(&self, ring: Counters, slots: usize) -> StreamStats {
        StreamStats {
            slots: slots as u64,
            high_water: ring.high_water,
            committed: ring.committed,
            dropped: ring.dropped,
            dropped_samples: ring.dropped_samples,
            written: self.written_blocks.load(Relaxed),
            written_samples: self.written_samples.load(Relaxed),
            written_bytes: self.written_bytes.load(Relaxed),
            gated: 0,
            failed: self.failed_blocks.load(Relaxed),
            failed_samples: self.failed_samples.load(Relaxed),
            lost: self.lost_before.load(Relaxed),
            lost_unknown: self.lost_unknown.load(Relaxed),
        }
    }
}

/// A look at one stream. Samples are per channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Slots of the stream's arena.
    pub slots: u64,
    /// Most slots that were ever committed and not yet released at once.
    pub high_water: u64,
    /// Blocks that the producer committed.
    pub committed: u64,
    /// Committed blocks dropped because the ring was full.
    pub dropped: u64,
    /// Samples in dropped blocks.
    pub dropped_samples: u64,
    /// Blocks in the log.
    pub written: u64,
    /// Samples in the log.
    pub written_samples: u64,
    /// Bytes of samples in the log.
    pub written_bytes: u64,
    /// Blocks deliberately not recorded.
    pub gated: u64,
    /// Blocks that a failure kept out of the log.
    pub failed: u64,
    /// Samples in failed blocks.
    pub failed_samples: u64,
    /// Samples that the producers reported as lost, in front of a block or at the end.
    pub lost: u64,
    /// Gaps of unknown size.
    pub lost_unknown: u64,
}

impl StreamStats {
    /// Whether every committed block is accounted for. Meaningful once the recording is at rest.
    pub fn law_holds(&self) -> bool {
        self.committed == self.written + self.gated + self.dropped + self.failed
    }
}

/// A look at a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordingStats {
    /// One entry per stream.
    pub streams: Vec<StreamStats>,
    /// Longest time that the sink took for one block, in nanoseconds.
    pub slowest_write_ns: u64,
}
