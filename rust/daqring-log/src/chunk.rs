//! How values lie in the chunks of a segment, and reading them: contiguous, interleaved, NI-DAQmx raw data.

use crate::error::LogError;
use crate::layout::DataType;
use crate::source::Source;

/// Bytes of scratch memory that a read uses at most, besides the caller's buffer.
pub(crate) const SCRATCH: usize = 1 << 20;

/// The values of one track (a channel, or one of its scalers) in the chunks of some segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    pub(crate) track: u32,
    pub(crate) data_type: DataType,
    /// Values per chunk.
    pub(crate) count: u64,
    /// Bytes per chunk; counts for text.
    pub(crate) bytes: u64,
    /// Where its rows begin in the chunk.
    pub(crate) base: u64,
    /// Bytes from one value to the next; 0 for text.
    pub(crate) stride: u64,
    /// Where in its row a value begins.
    pub(crate) offset: u64,
    /// For a digital line: which bit of the value.
    pub(crate) bit: Option<u8>,
}

impl Run {
    /// Values lie side by side.
    pub(crate) fn contiguous(&self) -> bool {
        Some(self.stride) == self.data_type.size().map(|size| size as u64)
    }
}

/// How the chunks of some segments are divided.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Layout {
    pub(crate) runs: Vec<Run>,
    pub(crate) chunk_bytes: u64,
    pub(crate) interleaved: bool,
    pub(crate) big_endian: bool,
}

/// Rows that were read last: the channels of interleaved data share them.
#[derive(Default)]
pub(crate) struct Rows {
    bytes: Vec<u8>,
    length: usize,
    at: u64,
    source: u32,
}

impl Rows {
    /// The bytes `[at, at + count)` of the source.
    fn get(
        &mut self,
        source: &dyn Source,
        number: u32,
        at: u64,
        count: usize,
    ) -> std::io::Result<&[u8]> {
        let there = self.source == number
            && at
                .checked_sub(self.at)
                .is_some_and(|skip| skip + count as u64 <= self.length as u64);
        if !there {
            if self.bytes.len() < count {
                self.bytes.resize(count, 0);
            }
            self.length = 0;
            source.read_exact_at(&mut self.bytes[..count], at)?;
            (self.source, self.at, self.length) = (number, at, count);
        }
        let skip = (at - self.at) as usize;
        Ok(&self.bytes[skip..skip + count])
    }
}

/// Values of one track that lie in one chunk, or in several whose rows follow each other.
pub(crate) struct Stretch<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) number: u32,
    pub(crate) layout: &'a Layout,
    pub(crate) run: &'a Run,
    /// Where the chunk begins in its file.
    pub(crate) chunk: u64,
    /// First value in the chunk, and how many.
    pub(crate) from: u64,
    pub(crate) count: u64,
}

impl Stretch<'_> {
    /// Reads the values, little-endian.
    pub(crate) fn read(
        &self,
        size: usize,
        target: &mut [u8],
        rows: &mut Rows,
    ) -> Result<(), LogError> {
        let run = self.run;
        let begin = self.chunk + run.base + self.from * run.stride;
        let failed =
            |at: u64| move |error| LogError::format(at, format!("reading failed: {error}"));
        if run.contiguous() {
            self.source
                .read_exact_at(target, begin)
                .map_err(failed(begin))?;
        } else {
            let stride = run.stride as usize;
            let at_once = (SCRATCH / stride).max(1);
            let mut at = begin;
            for part in target.chunks_mut(at_once * size) {
                let count = part.len() / size;
                let bytes = rows
                    .get(self.source, self.number, at, count * stride)
                    .map_err(failed(at))?;
                let offset = run.offset as usize;
                match size {
                    1 => pick::<1>(bytes, stride, offset, part),
                    2 => pick::<2>(bytes, stride, offset, part),
                    4 => pick::<4>(bytes, stride, offset, part),
                    8 => pick::<8>(bytes, stride, offset, part),
                    _ => pick::<16>(bytes, stride, offset, part),
                }
                at += (count * stride) as u64;
            }
        }
        if self.layout.big_endian {
            match run.data_type.swap_unit() {
                2 => turn::<2>(target),
                4 => turn::<4>(target),
                8 => turn::<8>(target),
                16 => turn::<16>(target),
                _ => {}
            }
        }
        if let Some(bit) = run.bit {
            for value in target.chunks_exact_mut(size) {
                let line = value[0] >> bit & 1;
                value.fill(0);
                value[0] = line;
            }
        }
        Ok(())
    }
}

/// One value of `SIZE` bytes out of every row.
fn pick<const SIZE: usize>(rows: &[u8], stride: usize, offset: usize, out: &mut [u8]) {
    let (out, _) = out.as_chunks_mut::<SIZE>();
    for (value, row) in out.iter_mut().zip(rows.chunks_exact(stride)) {
        if let Some(bytes) = row[offset..].first_chunk() {
            *value = *bytes;
        }
    }
}

/// Turns the bytes of each value around.
fn turn<const SIZE: usize>(values: &mut [u8]) {
    values
        .as_chunks_mut::<SIZE>()
        .0
        .iter_mut()
        .for_each(|value| value.reverse());
}
