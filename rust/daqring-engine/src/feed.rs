use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use daqring_ring::slots::ReadSlot;
use daqring_ring::{BlockHeader, EventCount};

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

/// Hands every block of a recording to one consumer, in order, after it was stored.
///
/// The blocks stay in their slots until the consumer drops them, so that a slow consumer is felt by
/// the producers: that is the backpressure. A consumer that keeps more than half of a stream's
/// slots gets copies, so that hoarding blocks costs memory and never stops the recording.
#[derive(Debug)]
pub struct Feed {
    state: Mutex<State>,
    changed: Condvar,
    /// Per stream: slots that the consumer holds, and how many it may.
    held: Vec<(Arc<AtomicUsize>, usize)>,
    /// Per stream: its count of settled blocks, which the feed advances for those that it was given.
    settled: Vec<Arc<AtomicU64>>,
    event: Arc<EventCount>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<(usize, ReadSlot)>,
    /// No block follows.
    ended: bool,
    /// Nobody wants any.
    closed: bool,
}

impl Feed {
    /// `slots`: of each stream.
    pub(crate) fn new(
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
        if state.closed {
            return false;
        }
        state.queue.push_back((stream, slot));
        drop(state);
        self.changed.notify_one();
        true
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
        for (stream, slot) in queue {
            drop(slot);
            self.settle(stream);
        }
        self.changed.notify_all();
    }

    /// The next block, waiting for up to `timeout`.
    ///
    /// # Errors
    /// [`Missed`].
    pub fn next(&self, timeout: Duration) -> Result<Delivery, Missed> {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        let (stream, slot) = loop {
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
