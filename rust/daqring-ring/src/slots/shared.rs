//! What the handles of a ring of slots share.

use crate::arena::{Arena, ArenaError};
use crate::counters::Counters;
use crate::event::EventCount;
use crate::free_list::FreeList;
use crate::header::{BlockHeader, BlockMeta};
use crate::sync::{
    Arc, AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering, Padded, UnsafeCell, lock,
};
use crate::wait::Backoff;

use super::consumer::AcquireError;
use super::{Policy, SlotOptions};

/// In `state`: no reservation any more.
const CLOSED: usize = 1;
/// In `state`: one slot is being written.
const ONE_WRITER: usize = 2;

/// In `head`: the oldest block is being dropped.
const DROPPING: u64 = 1;
/// In `head`: one position.
const ONE_POSITION: u64 = 2;

pub(super) struct Shared {
    arena: Arena,
    slot_bytes: usize,
    slots: usize,
    policy: Policy,
    /// Owned by whoever owns the slot: writer, queue, reader or free list.
    headers: Box<[UnsafeCell<BlockHeader>]>,
    free: FreeList,

    /// The committed slots in order: position `p` is at `p & mask`. There are at
    /// least as many entries as slots, so a commit always finds room.
    queue: Box<[Entry]>,
    mask: u64,
    /// Next position to be acquired, twice, plus `DROPPING`.
    head: Padded<AtomicU64>,
    /// Next position to be committed; also the next `seq`.
    tail: Padded<AtomicU64>,
    /// Held for one commit or one drop.
    commits: Mutex<Commits>,
    /// Slots being written, times `ONE_WRITER`, plus `CLOSED`.
    state: Padded<AtomicUsize>,
    consumers: AtomicUsize,

    /// Consumers wait here for a commit.
    filled: Arc<EventCount>,
    /// Producers wait here for a release.
    freed: EventCount,

    reserved: AtomicU64,
    aborted: AtomicU64,
    refused: AtomicU64,
    released: Padded<AtomicU64>,
    acquired: AtomicU64,
    dropped: AtomicU64,
    dropped_samples: AtomicU64,
    high_water: AtomicU64,
}

// SAFETY: the only content that is not atomic is `headers`, each of which is
// touched by the owner of its slot alone; ownership passes with acquire and
// release through `tail` and `head`, the free list and the guards.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

struct Entry {
    slot: AtomicU32,
    /// Samples dropped right before this position.
    lost: AtomicU64,
}

#[derive(Default)]
struct Commits {
    /// Lost samples that the next commit has to tell.
    lost: u64,
    declared_lost: u64,
}

/// A block that was taken from the queue.
pub(super) struct Taken {
    pub(super) slot: u32,
    pub(super) ticket: u64,
    pub(super) header: BlockHeader,
}

impl Shared {
    pub(super) fn new(options: SlotOptions, filled: Arc<EventCount>) -> Result<Self, ArenaError> {
        let SlotOptions {
            slot_bytes,
            slots,
            policy,
            prefault,
            ..
        } = options;
        let count = u32::try_from(slots)
            .ok()
            .filter(|_| slots < FreeList::MOST)
            .ok_or(ArenaError::TooLarge { slot_bytes, slots })?;
        let entries = slots
            .checked_next_power_of_two()
            .ok_or(ArenaError::TooLarge { slot_bytes, slots })?;
        Ok(Self {
            arena: Arena::new(slot_bytes, slots, prefault)?,
            slot_bytes,
            slots,
            policy,
            headers: (0..slots)
                .map(|_| UnsafeCell::new(BlockHeader::default()))
                .collect(),
            free: FreeList::full(count),
            queue: (0..entries)
                .map(|_| Entry {
                    slot: AtomicU32::new(0),
                    lost: AtomicU64::new(0),
                })
                .collect(),
            mask: entries as u64 - 1,
            head: Padded(AtomicU64::new(0)),
            tail: Padded(AtomicU64::new(0)),
            commits: Mutex::new(Commits::default()),
            state: Padded(AtomicUsize::new(0)),
            consumers: AtomicUsize::new(1),
            freed: EventCount::with_barrier(filled.barrier()),
            filled,
            reserved: AtomicU64::new(0),
            aborted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            released: Padded(AtomicU64::new(0)),
            acquired: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            dropped_samples: AtomicU64::new(0),
            high_water: AtomicU64::new(0),
        })
    }

    pub(super) fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    pub(super) fn policy(&self) -> Policy {
        self.policy
    }

    pub(super) fn filled(&self) -> &EventCount {
        &self.filled
    }

    pub(super) fn freed(&self) -> &EventCount {
        &self.freed
    }

    /// The slot's memory. Only its owner may touch it.
    pub(super) fn memory(&self, slot: u32) -> *mut u8 {
        self.arena.slot(slot).as_ptr()
    }

    fn entry(&self, position: u64) -> &Entry {
        &self.queue[(position & self.mask) as usize]
    }

    // --- the producer's side

    /// Announces a writer, unless the ring is closed.
    pub(super) fn begin_write(&self) -> bool {
        let before = self.state.fetch_add(ONE_WRITER, Ordering::Relaxed);
        if before & CLOSED != 0 {
            self.end_write();
            return false;
        }
        true
    }

    /// After the slot was committed or given back.
    pub(super) fn end_write(&self) {
        // Release: who reads "no writer" also sees what the writers committed.
        let before = self.state.fetch_sub(ONE_WRITER, Ordering::Release);
        if before == ONE_WRITER | CLOSED {
            // Consumers were waiting for this writer before calling it a day.
            self.filled.notify_all();
        }
    }

    /// Takes a free slot for a writer that has been announced.
    ///
    /// # Safety
    /// As for [`FreeList::pop`]: no two calls at once.
    pub(super) unsafe fn take_free(&self) -> Option<u32> {
        // SAFETY: the caller's promise.
        let slot = unsafe { self.free.pop() }?;
        self.reserved.fetch_add(1, Ordering::Relaxed);
        Some(slot)
    }

    /// Takes the slot of the oldest block that nobody has acquired, for a writer
    /// that has been announced.
    pub(super) fn take_oldest(&self) -> Option<u32> {
        // Keeps other droppers out, and commits, which write the entry after.
        let mut commits = lock(&self.commits);
        let mut head = self.head.load(Ordering::Acquire);
        let position = loop {
            let position = head / ONE_POSITION;
            if position == self.tail.load(Ordering::Relaxed) {
                return None;
            }
            match self.head.compare_exchange_weak(
                head,
                head | DROPPING,
                // The load has carried it: the head never has a value twice.
                Ordering::Relaxed,
                Ordering::Acquire,
            ) {
                Ok(_) => break position,
                Err(now) => head = now,
            }
        };
        // The position is ours: consumers wait for the mark to go.
        let entry = self.entry(position);
        let slot = entry.slot.load(Ordering::Relaxed);
        let header = self.headers[slot as usize].with(|header| {
            // SAFETY: whoever takes the position owns the slot; the commit's
            // writes were published through `tail`, or made under this lock.
            unsafe { *header }
        });
        let lost = entry
            .lost
            .load(Ordering::Relaxed)
            .saturating_add(header.lost_before)
            .saturating_add(header.samples);
        let next = position + 1;
        if next == self.tail.load(Ordering::Relaxed) {
            commits.lost = commits.lost.saturating_add(lost);
        } else {
            self.entry(next).lost.store(lost, Ordering::Relaxed);
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.dropped_samples
            .fetch_add(header.samples, Ordering::Relaxed);
        self.reserved.fetch_add(1, Ordering::Relaxed);
        self.head.store(next * ONE_POSITION, Ordering::Release);
        Some(slot)
    }

    pub(super) fn none_free(&self) -> bool {
        self.free.is_empty()
    }

    pub(super) fn commit(&self, slot: u32, block: BlockMeta) -> u64 {
        assert!(
            block.bytes <= self.slot_bytes,
            "a block of {} bytes was committed in a slot of {}",
            block.bytes,
            self.slot_bytes
        );
        let seq = {
            let mut commits = lock(&self.commits);
            // Only written under this lock.
            let seq = self.tail.load(Ordering::Relaxed);
            let header = BlockHeader {
                seq,
                bytes: block.bytes,
                first_sample: block.first_sample,
                samples: block.samples,
                lost_before: block
                    .lost_before
                    .saturating_add(std::mem::take(&mut commits.lost)),
                gap: block.gap,
                host_time_ns: block.host_time_ns,
                record: block.record,
            };
            self.headers[slot as usize].with_mut(|place| {
                // SAFETY: the writer owns the slot until the store of `tail`.
                unsafe { *place = header }
            });
            let entry = self.entry(seq);
            entry.slot.store(slot, Ordering::Relaxed);
            entry.lost.store(0, Ordering::Relaxed);
            // A slot is counted as released before it can be reserved again, so
            // this never exceeds the number of slots.
            let held = (seq + 1)
                - self.released.load(Ordering::Relaxed)
                - self.dropped.load(Ordering::Relaxed);
            if held > self.high_water.load(Ordering::Relaxed) {
                self.high_water.store(held, Ordering::Relaxed);
            }
            self.tail.store(seq + 1, Ordering::Release);
            seq
        };
        self.filled.notify_one();
        self.end_write();
        seq
    }

    pub(super) fn abort(&self, slot: u32) {
        self.aborted.fetch_add(1, Ordering::Relaxed);
        self.free.push(slot);
        self.freed.notify_one();
        self.end_write();
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_lost(&self, samples: u64) {
        let mut commits = lock(&self.commits);
        commits.lost = commits.lost.saturating_add(samples);
        commits.declared_lost = commits.declared_lost.saturating_add(samples);
    }

    // --- the consumers' side

    pub(super) fn add_consumer(&self) {
        self.consumers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_consumer(&self) {
        if self.consumers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }

    /// Takes the oldest block.
    pub(super) fn take(&self) -> Result<Taken, AcquireError> {
        let mut backoff = Backoff::default();
        loop {
            let head = self.head.load(Ordering::Acquire);
            if head & DROPPING != 0 {
                // A few instructions of the producer's, if it is running.
                backoff.wait();
                continue;
            }
            let position = head / ONE_POSITION;
            if position == self.tail.load(Ordering::Acquire) {
                if self.state.load(Ordering::Acquire) != CLOSED {
                    return Err(AcquireError::Empty);
                }
                // No writer is left, so the tail is final; `state` has carried it.
                if self.tail.load(Ordering::Relaxed) == position {
                    return Err(AcquireError::Closed);
                }
                continue;
            }
            let entry = self.entry(position);
            // Valid if the exchange succeeds: while the head stands, neither is
            // this entry written again nor a block dropped.
            let slot = entry.slot.load(Ordering::Relaxed);
            let (lost, dropped) = if self.policy == Policy::DropOldest {
                (
                    entry.lost.load(Ordering::Relaxed),
                    self.dropped.load(Ordering::Relaxed),
                )
            } else {
                (0, 0)
            };
            if self
                .head
                .compare_exchange(
                    head,
                    head + ONE_POSITION,
                    // What the head carries came with its load.
                    Ordering::Release,
                    Ordering::Relaxed,
                )
                .is_err()
            {
                continue;
            }
            self.acquired.fetch_add(1, Ordering::Relaxed);
            let mut header = self.headers[slot as usize].with(|header| {
                // SAFETY: we have just become the slot's owner, and the acquire
                // load of `tail` saw the commit of this position.
                unsafe { *header }
            });
            header.lost_before = header.lost_before.saturating_add(lost);
            return Ok(Taken {
                slot,
                ticket: position - dropped,
                header,
            });
        }
    }

    pub(super) fn release(&self, slot: u32) {
        self.released.fetch_add(1, Ordering::Relaxed);
        self.free.push(slot);
        self.freed.notify_one();
    }

    // --- anyone

    pub(super) fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::Release);
        self.filled.notify_all();
        self.freed.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Committed and not yet acquired.
    pub(super) fn waiting(&self) -> u64 {
        let head = self.head.load(Ordering::Acquire) / ONE_POSITION;
        self.tail.load(Ordering::Acquire) - head
    }

    pub(super) fn high_water(&self) -> u64 {
        self.high_water.load(Ordering::Relaxed)
    }

    pub(super) fn counters(&self) -> Counters {
        let (declared_lost, untold) = {
            let commits = lock(&self.commits);
            (commits.declared_lost, commits.lost)
        };
        Counters {
            reserved: self.reserved.load(Ordering::Relaxed),
            committed: self.tail.load(Ordering::Acquire),
            aborted: self.aborted.load(Ordering::Relaxed),
            acquired: self.acquired.load(Ordering::Relaxed),
            released: self.released.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            dropped_samples: self.dropped_samples.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            declared_lost,
            untold,
            high_water: self.high_water(),
        }
    }
}
