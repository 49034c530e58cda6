//! Results per bin of so many samples, whatever the blocks are.
//!
//! Bins lie on a grid of the stream's sample numbers, so they do not depend on how the stream was
//! cut into blocks. Workers compute the part of each bin that lies in their block; the settlement
//! puts the parts of a bin together, in order. Only bins that are whole are given out: one that a
//! gap or the end has cut is missing, and where a gap did it, told as missing.

use daqring_log::LOST_UNKNOWN;

use crate::{BlockView, DerivedBlock, Outlet, Parcel, SettleError, Settlement, own};

/// What is known of the samples of one channel in a part of a bin.
pub(crate) trait Part: Clone + Send + 'static {
    /// Adds what is known of the samples that follow.
    fn merge(&mut self, later: &Self);
}

/// The parts of the bins that lie in one block.
pub(crate) struct Parts<P> {
    first_bin: u64,
    counts: Vec<u64>,
    /// Channel by channel, each with one part per bin.
    parts: Vec<P>,
}

impl<P> Default for Parts<P> {
    fn default() -> Self {
        Self {
            first_bin: 0,
            counts: Vec::new(),
            parts: Vec::new(),
        }
    }
}

impl<P: Part> Parts<P> {
    /// Fills in the parts of a block: `part` computes that of some samples (offset and number) of a
    /// channel.
    pub(crate) fn fill(
        &mut self,
        block: &BlockView<'_>,
        every: u64,
        channels: usize,
        mut part: impl FnMut(usize, usize, usize) -> P,
    ) {
        let (first, samples) = (block.header.first_sample, block.header.samples);
        self.first_bin = first / every;
        self.counts.clear();
        self.parts.clear();
        let mut done = 0;
        while done < samples {
            let left = every - (first + done) % every;
            let count = left.min(samples - done);
            self.counts.push(count);
            done += count;
        }
        for channel in 0..channels {
            let mut at = 0;
            for &count in &self.counts {
                let count = count as usize;
                self.parts.push(part(channel, at, count));
                at += count;
            }
        }
    }
}

/// Puts parts together.
pub(crate) struct Binning<P, W> {
    every: u64,
    channels: usize,
    /// The bin that is not whole yet.
    pending: Option<(u64, u64, Vec<P>)>,
    /// The bin after the last one given out.
    next: Option<u64>,
    /// A loss of unknown size lies in front of the next bin.
    unknown: bool,
    gap: u32,
    /// Writes a part of a whole bin into the runs of its channel.
    write: W,
    runs: Vec<Vec<u8>>,
    whole: Vec<u8>,
    first: u64,
    count: u64,
    lost: u64,
}

impl<P: Part, W: FnMut(usize, &P, u64, &mut [Vec<u8>]) + Send> Binning<P, W> {
    /// `outputs`: runs per channel.
    pub(crate) fn new(every: u64, channels: usize, outputs: usize, write: W) -> Self {
        Self {
            every,
            channels,
            pending: None,
            next: None,
            unknown: false,
            gap: 0,
            write,
            runs: vec![Vec::new(); channels * outputs],
            whole: Vec::new(),
            first: 0,
            count: 0,
            lost: 0,
        }
    }

    fn put_out(&mut self, host_time_ns: i64, outlet: &mut Outlet<'_>) -> Result<(), SettleError> {
        if self.count == 0 {
            return Ok(());
        }
        self.whole.clear();
        for run in &mut self.runs {
            self.whole.extend_from_slice(run);
            run.clear();
        }
        let gap = if self.lost == 0 {
            0
        } else {
            std::mem::take(&mut self.gap)
        };
        outlet.block(&DerivedBlock {
            first_sample: self.first,
            samples: std::mem::take(&mut self.count),
            lost_before: std::mem::take(&mut self.lost),
            gap,
            host_time_ns,
            record: None,
            crc32c: None,
            data: &self.whole,
        })?;
        Ok(())
    }
}

impl<P: Part, W: FnMut(usize, &P, u64, &mut [Vec<u8>]) + Send> Settlement for Binning<P, W> {
    fn settle(
        &mut self,
        block: &BlockView<'_>,
        parcel: &mut Parcel,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), SettleError> {
        let header = block.header;
        if header.gap != 0 || header.lost_before != 0 {
            self.pending = None;
            self.gap = header.gap;
            self.unknown |= header.lost_before == LOST_UNKNOWN;
        }
        let Parts {
            first_bin,
            counts,
            parts,
        } = own::<Parts<P>>(parcel);
        for (index, &count) in counts.iter().enumerate() {
            let bin = *first_bin + index as u64;
            let mine = (0..self.channels).map(|channel| &parts[channel * counts.len() + index]);
            let mut known = match self.pending.take() {
                Some((pending, had, mut sums)) if pending == bin => {
                    for (sum, part) in sums.iter_mut().zip(mine) {
                        sum.merge(part);
                    }
                    (had + count, sums)
                }
                _ => (count, mine.cloned().collect()),
            };
            if known.0 < self.every {
                self.pending = Some((bin, known.0, known.1));
                continue;
            }
            let skipped = self.next.map_or(0, |next| bin.saturating_sub(next));
            let lost = match std::mem::take(&mut self.unknown) {
                true if self.next.is_some() => LOST_UNKNOWN,
                _ => skipped,
            };
            if lost != 0 {
                self.put_out(header.host_time_ns, outlet)?;
            }
            if self.count == 0 {
                self.first = bin;
                self.lost = lost;
            }
            let outputs = self.runs.len() / self.channels;
            for (channel, part) in known.1.iter_mut().enumerate() {
                let runs = &mut self.runs[channel * outputs..][..outputs];
                (self.write)(channel, part, self.every, runs);
            }
            self.count += 1;
            self.next = Some(bin + 1);
        }
        self.put_out(header.host_time_ns, outlet)
    }
}
