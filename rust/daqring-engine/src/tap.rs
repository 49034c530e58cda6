use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use daqring_ring::BlockHeader;

use crate::Missed;

/// A copy of a block, for looking at.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TapBlock {
    /// What is said about it.
    pub header: BlockHeader,
    /// The runs of its channels.
    pub data: Vec<u8>,
}

/// A lossy copy of a stream: the newest blocks, up to a number of blocks or samples. The oldest are
/// dropped and counted.
///
/// It can never slow the sink: the writer thread copies each block and waits for nobody. Its lock
/// is only ever held to put in or take out a pointer.
#[derive(Debug)]
pub struct Tap {
    state: Mutex<State>,
    changed: Condvar,
    most_blocks: usize,
    most_samples: u64,
    /// Blocks that come while it is full are passed over, and not copied.
    keeps_oldest: bool,
}

#[derive(Debug, Default)]
struct State {
    blocks: VecDeque<Arc<TapBlock>>,
    samples: u64,
    dropped: u64,
    dropped_samples: u64,
    /// Dropped since the last block was taken.
    missed: u64,
    /// Went by before it was attached.
    before: u64,
    ended: bool,
}

impl Tap {
    /// Keeps up to `blocks` blocks.
    pub fn of_blocks(blocks: usize) -> Arc<Self> {
        Arc::new(Self::new(blocks.max(1), u64::MAX, false))
    }

    /// Keeps one block until it is taken and passes over what comes meanwhile: a look from time to
    /// time costs one copy for each look.
    pub fn glimpse() -> Arc<Self> {
        Arc::new(Self::new(1, u64::MAX, true))
    }

    /// Keeps the last `samples` samples per channel, in whole blocks.
    pub fn of_samples(samples: u64) -> Arc<Self> {
        Arc::new(Self::new(usize::MAX, samples, false))
    }

    fn new(most_blocks: usize, most_samples: u64, keeps_oldest: bool) -> Self {
        Self {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            most_blocks,
            most_samples,
            keeps_oldest,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is half-done behind a push or a pop.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer thread's side.
    pub(crate) fn push(&self, header: &BlockHeader, data: &[u8]) {
        let mut spare = None;
        {
            let mut state = self.state();
            if self.keeps_oldest && state.blocks.len() >= self.most_blocks {
                state.dropped += 1;
                state.dropped_samples += header.samples;
                state.missed += 1;
                return;
            }
            while state.blocks.len() >= self.most_blocks
                || state.blocks.front().is_some_and(|oldest| {
                    // Without the oldest there are still enough.
                    state.samples + header.samples - oldest.header.samples >= self.most_samples
                })
            {
                let Some(oldest) = state.blocks.pop_front() else {
                    break;
                };
                state.samples -= oldest.header.samples;
                state.dropped += 1;
                state.dropped_samples += oldest.header.samples;
                state.missed += 1;
                spare = Some(oldest);
            }
        }
        // Memory of a dropped block that nobody looks at any more serves again.
        let mut block = spare.and_then(Arc::into_inner).unwrap_or_default();
        block.header = *header;
        block.data.clear();
        block.data.extend_from_slice(data);
        let mut state = self.state();
        state.samples += header.samples;
        state.blocks.push_back(Arc::new(block));
        drop(state);
        self.changed.notify_one();
    }

    pub(crate) fn attached_after(&self, blocks: u64) {
        self.state().before = blocks;
    }

    pub(crate) fn end(&self) {
        self.state().ended = true;
        self.changed.notify_all();
    }

    /// Takes the oldest block there is, with the number of blocks dropped since the one taken
    /// before, waiting for up to `timeout`.
    ///
    /// # Errors
    /// [`Missed`].
    pub fn next(&self, timeout: Duration) -> Result<(Arc<TapBlock>, u64), Missed> {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.state();
        loop {
            if let Some(block) = state.blocks.pop_front() {
                state.samples -= block.header.samples;
                return Ok((block, std::mem::take(&mut state.missed)));
            }
            if state.ended {
                return Err(Missed::Ended);
            }
            let left = deadline.map_or(timeout, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return Err(Missed::Timeout);
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// What there is, oldest first, left where it is.
    pub fn blocks(&self) -> Vec<Arc<TapBlock>> {
        self.state().blocks.iter().cloned().collect()
    }

    /// Blocks of the stream that went by before it was attached.
    pub fn before(&self) -> u64 {
        self.state().before
    }

    /// Blocks and samples per channel dropped because nobody took them in time.
    pub fn dropped(&self) -> (u64, u64) {
        let state = self.state();
        (state.dropped, state.dropped_samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(seq: u64, samples: u64) -> BlockHeader {
        BlockHeader {
            seq,
            samples,
            ..BlockHeader::default()
        }
    }

    #[test]
    fn a_glimpse_copies_nothing_until_it_is_taken() {
        let tap = Tap::glimpse();
        for seq in 0..5 {
            tap.push(&header(seq, 10), &[seq as u8]);
        }
        assert_eq!(tap.dropped(), (4, 40));
        assert_eq!(tap.next(Duration::ZERO).unwrap().0.header.seq, 0);
        tap.push(&header(5, 10), &[5]);
        let (block, missed) = tap.next(Duration::ZERO).unwrap();
        assert_eq!(
            (block.header.seq, &block.data[..], missed),
            (5, &[5][..], 0)
        );
    }

    #[test]
    fn keeps_the_newest_and_counts_the_rest() {
        let tap = Tap::of_blocks(2);
        for seq in 0..5 {
            tap.push(&header(seq, 10), &[seq as u8]);
        }
        assert_eq!(tap.dropped(), (3, 30));
        let (block, missed) = tap.next(Duration::ZERO).unwrap();
        assert_eq!(
            (block.header.seq, &block.data[..], missed),
            (3, &[3][..], 3)
        );
        let (block, missed) = tap.next(Duration::ZERO).unwrap();
        assert_eq!((block.header.seq, missed), (4, 0));
        assert_eq!(tap.next(Duration::ZERO).unwrap_err(), Missed::Timeout);
        tap.end();
        assert_eq!(tap.next(Duration::MAX).unwrap_err(), Missed::Ended);
    }

    #[test]
    fn keeps_as_many_samples_as_were_asked_for() {
        let tap = Tap::of_samples(25);
        for seq in 0..9 {
            tap.push(&header(seq, 10), &[]);
        }
        let seqs: Vec<_> = tap.blocks().iter().map(|block| block.header.seq).collect();
        assert_eq!(seqs, [6, 7, 8]);
    }

    #[test]
    fn a_block_in_use_is_not_written_over() {
        let tap = Tap::of_blocks(1);
        tap.push(&header(0, 1), &[1, 2, 3]);
        let held = tap.blocks();
        tap.push(&header(1, 1), &[4, 5, 6]);
        tap.push(&header(2, 1), &[7, 8, 9]);
        assert_eq!(held[0].data, [1, 2, 3]);
        assert_eq!(tap.blocks()[0].data, [7, 8, 9]);
    }
}
