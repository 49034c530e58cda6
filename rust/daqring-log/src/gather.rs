//! Small blocks on their way to becoming one segment.
//!
//! What a crash may cost and what the file looks like for ever are two things: blocks wait here for a segment worth its
//! header, while their samples are already in the tail file (see FORMAT.md).

use crate::segment::BlockStamp;
use crate::storage::AlignedBuffer;

/// Samples of one stream that are not in a segment yet: one run per channel, each with room for `capacity`.
pub(crate) struct Gather {
    buffer: AlignedBuffer,
    /// Sizes of the channels' values.
    sizes: Vec<usize>,
    capacity: u64,
    /// What is gathered, as the stamp of the segment it will be.
    pub(crate) stamp: BlockStamp,
    /// What of it is in the tail file: samples and blocks.
    pub(crate) flushed: u64,
    pub(crate) flushed_blocks: u64,
}

/// Some samples of a block: all of them, or those that fit.
pub(crate) struct Piece<'a> {
    pub(crate) data: &'a [u8],
    /// Samples per channel in `data`.
    pub(crate) whole: u64,
    /// First sample to take, and how many.
    pub(crate) from: u64,
    pub(crate) count: u64,
}

impl Piece<'_> {
    /// The channels' runs of the piece.
    pub(crate) fn runs<'s>(&'s self, sizes: &'s [usize]) -> impl Iterator<Item = &'s [u8]> + 's {
        let mut begin = 0;
        sizes.iter().map(move |size| {
            let from = begin + self.from as usize * size;
            begin += self.whole as usize * size;
            &self.data[from..from + self.count as usize * size]
        })
    }

    /// The piece as a block's data of its own.
    pub(crate) fn to_vec(&self, sizes: &[usize]) -> Vec<u8> {
        let mut data = Vec::with_capacity(self.count as usize * sizes.iter().sum::<usize>());
        self.runs(sizes).for_each(|run| data.extend_from_slice(run));
        data
    }
}

impl Gather {
    /// Room for about `bytes`: a number of samples that fills whole sectors where one is near.
    pub(crate) fn new(sizes: Vec<usize>, bytes: usize) -> Gather {
        let row: usize = sizes.iter().sum();
        let fit = (bytes / row.max(1)).max(1);
        let capacity = match fit {
            0..=4095 => fit,
            fit => fit / 4096 * 4096,
        };
        Gather {
            buffer: AlignedBuffer::new(capacity * row),
            sizes,
            capacity: capacity as u64,
            stamp: BlockStamp::default(),
            flushed: 0,
            flushed_blocks: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stamp.samples == 0
    }

    pub(crate) fn room(&self) -> u64 {
        self.capacity - self.stamp.samples
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.stamp.samples * self.sizes.iter().sum::<usize>() as u64
    }

    /// Adds a piece that fits. `stamp` is that of its block, with `blocks` 1 if the piece ends it and 0 if not.
    pub(crate) fn add(&mut self, piece: &Piece<'_>, stamp: &BlockStamp) {
        let filled = self.stamp.samples as usize;
        let memory = self.buffer.bytes_mut();
        let mut begin = 0;
        for (run, size) in piece.runs(&self.sizes).zip(&self.sizes) {
            memory[begin + filled * size..][..run.len()].copy_from_slice(run);
            begin += self.capacity as usize * size;
        }
        if filled == 0 {
            self.stamp = BlockStamp {
                samples: 0,
                blocks: 0,
                ..*stamp
            };
        }
        self.stamp.samples += piece.count;
        self.stamp.blocks += stamp.blocks;
    }

    /// The stamp and the samples that the tail file does not have yet.
    pub(crate) fn unflushed(&self) -> Option<(BlockStamp, Vec<u8>)> {
        let count = self.stamp.samples - self.flushed;
        if count == 0 {
            return None;
        }
        let piece = Piece {
            data: self.buffer.bytes(),
            whole: self.capacity,
            from: self.flushed,
            count,
        };
        let begins = self.flushed == 0;
        let stamp = BlockStamp {
            seq: self.stamp.seq + self.flushed_blocks,
            blocks: self.stamp.blocks - self.flushed_blocks,
            first_sample: self.stamp.first_sample + self.flushed,
            samples: count,
            lost_before: if begins { self.stamp.lost_before } else { 0 },
            gap: if begins { self.stamp.gap } else { 0 },
            host_time_ns: self.stamp.host_time_ns,
            record: None,
        };
        Some((stamp, piece.to_vec(&self.sizes)))
    }

    /// Moves the runs together and gives them as a segment's data.
    pub(crate) fn close(&mut self) -> (BlockStamp, &[u8]) {
        let filled = self.stamp.samples as usize;
        let memory = self.buffer.bytes_mut();
        let (mut from, mut to) = (0, 0);
        for size in &self.sizes {
            memory.copy_within(from..from + filled * size, to);
            from += self.capacity as usize * size;
            to += filled * size;
        }
        (self.stamp, &self.buffer.bytes()[..to])
    }

    /// The buffer with a closed segment's data, for another one, which is made as large as it has to be.
    pub(crate) fn swap(&mut self, mut other: AlignedBuffer) -> AlignedBuffer {
        other.grow(self.capacity as usize * self.sizes.iter().sum::<usize>());
        std::mem::replace(&mut self.buffer, other)
    }

    /// Empty again.
    pub(crate) fn clear(&mut self) {
        self.stamp = BlockStamp::default();
        self.flushed = 0;
        self.flushed_blocks = 0;
    }
}
