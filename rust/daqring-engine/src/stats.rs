use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daqring_log::{Gap, Stored};
use daqring_ring::{BlockHeader, Counters, Policy};

use crate::writer::gap_in_front_of;

/// Counters of one stream that its threads advance; read at any time.
#[derive(Debug, Default)]
pub(crate) struct StreamTally {
    pub(crate) written_blocks: AtomicU64,
    pub(crate) written_samples: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) gated_blocks: AtomicU64,
    pub(crate) gated_samples: AtomicU64,
    pub(crate) failed_blocks: AtomicU64,
    pub(crate) failed_samples: AtomicU64,
    pub(crate) lost_before: AtomicU64,
    pub(crate) lost_unknown: AtomicU64,
    /// The holes that the sink was told of.
    gaps: Mutex<Vec<Gap>>,
    /// Whether the ring itself drops blocks, and in how many places it did.
    ring_drops: bool,
    overruns: AtomicU64,
    /// Index after the last sample that was written, gated or told as lost.
    pub(crate) end: AtomicU64,
}

impl StreamTally {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            ring_drops: policy == Policy::DropOldest,
            ..Self::default()
        }
    }

    pub(crate) fn failed(&self, samples: u64) {
        self.failed_blocks.fetch_add(1, Relaxed);
        self.failed_samples.fetch_add(samples, Relaxed);
    }

    pub(crate) fn wrote(&self, header: &BlockHeader, bytes: usize) {
        self.written_blocks.fetch_add(1, Relaxed);
        self.written_samples.fetch_add(header.samples, Relaxed);
        self.written_bytes.fetch_add(bytes as u64, Relaxed);
        self.lost_in_front_of(header);
    }

    pub(crate) fn gated(&self, header: &BlockHeader) {
        self.gated_blocks.fetch_add(1, Relaxed);
        self.gated_samples.fetch_add(header.samples, Relaxed);
        self.lost_in_front_of(header);
    }

    fn lost_in_front_of(&self, header: &BlockHeader) {
        if header.gap != 0 || header.lost_before != 0 {
            self.lost(gap_in_front_of(header));
        }
        if self.ring_drops && header.gap == 0 && header.lost_before != 0 {
            self.overruns.fetch_add(1, Relaxed);
        }
        let end = header.first_sample.saturating_add(header.samples);
        self.end.store(end, Relaxed);
    }

    fn gaps_locked(&self) -> MutexGuard<'_, Vec<Gap>> {
        // A panic between two pushes leaves whole entries.
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn gaps(&self) -> Vec<Gap> {
        self.gaps_locked().clone()
    }

    /// Of what was written, only this is in the log.
    pub(crate) fn stored_only(&self, stored: Stored) {
        let (samples, bytes) = (&self.written_samples, &self.written_bytes);
        let Some(each) = bytes.load(Relaxed).checked_div(samples.load(Relaxed)) else {
            return;
        };
        // Wrapping: a part of the block that failed, or all of it, may be there.
        let failed = samples.load(Relaxed).wrapping_sub(stored.samples);
        self.failed_samples.fetch_add(failed, Relaxed);
        samples.store(stored.samples, Relaxed);
        bytes.store(stored.samples * each, Relaxed);
        let blocks = self.written_blocks.swap(stored.blocks, Relaxed);
        let failed = blocks.wrapping_sub(stored.blocks);
        self.failed_blocks.fetch_add(failed, Relaxed);
        self.end.store(stored.end, Relaxed);
        let mut gaps = self.gaps_locked();
        gaps.retain(|gap| gap.first_sample < stored.end);
        let lost = gaps.iter().filter_map(|gap| gap.count).sum();
        self.lost_before.store(lost, Relaxed);
        let unknown = gaps.iter().filter(|gap| gap.count.is_none()).count();
        self.lost_unknown.store(unknown as u64, Relaxed);
    }

    /// Counts a loss that the sink was told of.
    pub(crate) fn lost(&self, gap: Gap) {
        match gap.count {
            None => self.lost_unknown.fetch_add(1, Relaxed),
            Some(count) => self.lost_before.fetch_add(count, Relaxed),
        };
        let end = gap.first_sample.saturating_add(gap.count.unwrap_or(0));
        self.end.fetch_max(end, Relaxed);
        self.gaps_locked().push(gap);
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
            gated: self.gated_blocks.load(Relaxed),
            gated_samples: self.gated_samples.load(Relaxed),
            failed: self.failed_blocks.load(Relaxed),
            failed_samples: self.failed_samples.load(Relaxed),
            lost: self.lost_before.load(Relaxed),
            lost_unknown: self.lost_unknown.load(Relaxed),
            overruns: self.overruns.load(Relaxed),
            end: self.end.load(Relaxed),
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
    /// Samples in those.
    pub gated_samples: u64,
    /// Blocks that a failure kept out of the log.
    pub failed: u64,
    /// Samples in failed blocks.
    pub failed_samples: u64,
    /// Samples whose loss the sink was told of, in front of a block or at the end. What a failure kept
    /// out of the log is not among them.
    pub lost: u64,
    /// Gaps of unknown size.
    pub lost_unknown: u64,
    /// Places in which the ring itself dropped blocks.
    pub overruns: u64,
    /// Index after the last sample that was written, gated or told as lost; 0 before there is any.
    pub end: u64,
}

impl StreamStats {
    /// Whether every committed block is accounted for. Meaningful once the recording is at rest.
    pub fn law_holds(&self) -> bool {
        self.committed == self.written + self.gated + self.dropped + self.failed
    }
}

/// What a stage or a worker has done.
#[derive(Debug, Default)]
pub(crate) struct WorkTally {
    blocks: AtomicU64,
    busy_ns: AtomicU64,
    longest_ns: AtomicU64,
    cpu_ns: AtomicU64,
}

impl WorkTally {
    pub(crate) fn did(&self, elapsed: Duration) {
        let ns = nanos(elapsed);
        self.blocks.fetch_add(1, Relaxed);
        self.busy_ns.fetch_add(ns, Relaxed);
        self.longest_ns.fetch_max(ns, Relaxed);
    }

    /// Time that belongs to a block counted elsewhere.
    pub(crate) fn also(&self, elapsed: Duration) {
        let ns = nanos(elapsed);
        self.busy_ns.fetch_add(ns, Relaxed);
        self.longest_ns.fetch_max(ns, Relaxed);
    }

    pub(crate) fn cpu(&self, ns: u64) {
        self.cpu_ns.store(ns, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> WorkStats {
        WorkStats {
            blocks: self.blocks.load(Relaxed),
            busy_ns: self.busy_ns.load(Relaxed),
            longest_ns: self.longest_ns.load(Relaxed),
        }
    }

    pub(crate) fn cpu_ns(&self) -> Option<u64> {
        Some(self.cpu_ns.load(Relaxed)).filter(|&ns| ns != 0)
    }
}

fn nanos(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// CPU time that this thread has used, in nanoseconds, where the system tells without a call of
/// its own library.
pub(crate) fn thread_cpu_ns() -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    // First field of the kernel's schedstat: time on a processor, in nanoseconds.
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// Blocks done and the time they took, on the wall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkStats {
    /// Blocks.
    pub blocks: u64,
    /// Time spent on them, in nanoseconds.
    pub busy_ns: u64,
    /// The longest time of one step on one block, in nanoseconds.
    pub longest_ns: u64,
}

/// A look at one worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// What it did.
    pub work: WorkStats,
    /// Its CPU time in nanoseconds, at most a second old; `None` where the system does not tell.
    pub cpu_ns: Option<u64>,
}

/// A look at one stage of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageStats {
    /// Index of the stream it works on.
    pub stream: usize,
    /// Its name.
    pub name: String,
    /// What it did.
    pub work: WorkStats,
}

/// A look at a stream that a stage puts out. Samples are per channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DerivedStats {
    /// Name of its group.
    pub name: String,
    /// Index of the stream it comes from.
    pub source: usize,
    /// Blocks (or records) put out.
    pub blocks: u64,
    /// Samples put out.
    pub samples: u64,
    /// Samples in the log.
    pub written_samples: u64,
    /// Bytes of samples in the log.
    pub written_bytes: u64,
    /// Samples that are missing because of gaps in the source.
    pub lost: u64,
    /// Gaps of unknown size.
    pub lost_unknown: u64,
    /// Records put out; `None` where it is no stream of records.
    pub records: Option<u64>,
}

/// A look at a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordingStats {
    /// One entry per stream.
    pub streams: Vec<StreamStats>,
    /// Streams that stages put out; their indices follow those of `streams`.
    pub derived: Vec<DerivedStats>,
    /// The stages, stream by stream in the order of their work.
    pub stages: Vec<StageStats>,
    /// The workers.
    pub workers: Vec<WorkerStats>,
    /// Longest time that the sink took for one block, in nanoseconds.
    pub slowest_write_ns: u64,
}
