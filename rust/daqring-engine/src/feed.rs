use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use daqring_ring::slots::ReadSlot;
use daqring_ring::{BlockHeader, EventCount};

/// So much of what stages put out waits for the consumer at most, and one block more.
const MADE_BYTES: usize = 32 << 20;

/// The data of a delivered block: in its slot, which is released when this is dropped, or a copy.
#[derive(Debug)]
pub struct FeedData(Place);

#[derive(Debug)]
enum Place {
    Slot {
        slot: ReadSlot,
        held: Arc<AtomicUsize>,
    },
    Copy(Vec<u8>),
}

/// A block on its way to the consumer.
#[derive(Debug)]
enum Waiting {
    /// Of a task, in its slot.
    Slot(ReadSlot),
    /// What a stage put out.
    Made(BlockHeader, Vec<u8>),
}

impl Deref for FeedData {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::Slot { slot, .. } => slot,
            Place::Copy(data) => data,
        }
    }
}

impl Drop for FeedData {
    fn drop(&mut self) {
        if let Place::Slot { held, .. } = &self.0 {
            held.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A block that was handed out losslessly.
#[derive(Debug)]
pub struct Delivery {
    /// Index of its stream.
    pub stream: usize,
    /// What is said about it.
    pub header: BlockHeader,
    /// The runs of its channels.
    pub data: FeedData,
}

/// Why no block was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// None came in time.
    Timeout,
    /// None will come any more.
    Ended,
}

/// Hands every block of some streams of a recording to one consumer, in order, after it was stored.
///
/// The blocks of a task stay in their slots until the consumer drops them, so that a slow consumer
/// is felt by the producers: that is the backpressure. A consumer that keeps more than half of a
/// stream's slots gets copies, so that hoarding blocks costs memory and never stops the recording.
///
/// What a stage puts out has no slots and is copied. When 32 MiB of that wait for the
/// consumer, the writer does, too; then the slots fill up behind it.
#[derive(Debug)]
pub struct Feed {
    state: Mutex<State>,
    changed: Condvar,
    /// The writer waits here until copies were taken.
    taken: Condvar,
    /// Whether it hands out the blocks of a stream, those that stages put out after the others.
    wanted: Vec<bool>,
    /// Per stream: slots that the consumer holds, and how many it may.
    held: Vec<(Arc<AtomicUsize>, usize)>,
    /// Per stream: its count of settled blocks, which the feed advances for those that it was given.
    settled: Vec<Arc<AtomicU64>>,
    event: Arc<EventCount>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<(usize, Waiting)>,
    /// Bytes of the copies among them.
    made_bytes: usize,
    /// No block follows.
    ended: bool,
    /// Nobody wants any.
    closed: bool,
}

impl Feed {
    /// `wanted`: per stream, those that stages put out after the others; `slots`: of each task's.
    pub(crate) fn new(
        wanted: Vec<bool>,
        slots: &[usize],
        settled: Vec<Arc<AtomicU64>>,
        event: Arc<EventCount>,
    ) -> Self {
        Self {
            // There are never more blocks than slots.
            state: Mutex::new(State {
                queue: VecDeque::with_capacity(slots.iter().sum()),
                ..State::default()
            }),
            changed: Condvar::new(),
            taken: Condvar::new(),
            wanted,
            held: slots
                .iter()
                .map(|slots| (Arc::default(), (slots / 2).max(1)))
                .collect(),
            settled,
            event,
        }
    }

    /// A block was taken: the pool may go on with another one.
    fn settle(&self, stream: usize) {
        self.settled[stream].fetch_add(1, Ordering::Release);
        self.event.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is half-done behind a push or a pop.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer thread's side: hands a block over; whether anybody wants it.
    pub(crate) fn push(&self, stream: usize, slot: ReadSlot) -> bool {
        let mut state = self.state();
        if state.closed || !self.wanted[stream] {
            return false;
        }
        state.queue.push_back((stream, Waiting::Slot(slot)));
        drop(state);
        self.changed.notify_one();
        true
    }

    /// The writer thread's side: hands over what a stage put out, and waits while too much of that
    /// was not taken.
    pub(crate) fn push_made(&self, stream: usize, header: &BlockHeader, data: &[u8]) {
        if !self.wanted[stream] {
            return;
        }
        let mut state = self.state();
        while state.made_bytes >= MADE_BYTES && !state.closed {
            state = self
                .taken
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return;
        }
        drop(state);
        // Nobody else adds to it, so it is still true that there is room.
        let copy = Waiting::Made(*header, data.to_vec());
        let mut state = self.state();
        if !state.closed {
            state.made_bytes += data.len();
            state.queue.push_back((stream, copy));
        }
        drop(state);
        self.changed.notify_one();
    }

    /// No block follows.
    pub(crate) fn end(&self) {
        self.state().ended = true;
        self.changed.notify_all();
    }

    /// The consumer wants no more: what is queued is released, the recording goes on without it.
    pub fn close(&self) {
        let queue = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.queue)
        };
        for (stream, block) in queue {
            if let Waiting::Slot(slot) = block {
                drop(slot);
                self.settle(stream);
            }
        }
        self.changed.notify_all();
        self.taken.notify_all();
    }

    /// The next block, waiting for up to `timeout`.
    ///
    /// # Errors
    /// [`Missed`].
    pub fn next(&self, timeout: Duration) -> Result<Delivery, Missed> {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        let (stream, block) = loop {
            if let Some(next) = state.queue.pop_front() {
                break next;
            }
            if state.ended || state.closed {
                return Err(Missed::Ended);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Missed::Timeout);
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        };
        let slot = match block {
            Waiting::Slot(slot) => slot,
            Waiting::Made(header, data) => {
                state.made_bytes -= data.len();
                drop(state);
                self.taken.notify_one();
                return Ok(Delivery {
                    stream,
                    header,
                    data: FeedData(Place::Copy(data)),
                });
            }
        };
        drop(state);
        self.settle(stream);
        let header = *slot.header();
        let (held, most) = &self.held[stream];
        let place = if held.load(Ordering::Relaxed) < *most {
            held.fetch_add(1, Ordering::Relaxed);
            Place::Slot {
                slot,
                held: Arc::clone(held),
            }
        } else {
            Place::Copy(slot.to_vec())
        };
        Ok(Delivery {
            stream,
            header,
            data: FeedData(place),
        })
    }
}
