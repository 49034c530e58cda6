//! How the runs of a block become the channels of a group: ports unpacked into lines, times.
//!
//! A driver gives digital ports as integers and no times at all. What a file should hold is one boolean channel per
//! line and, where the interval between samples is not constant, a channel of times.

use crate::error::LogError;
use crate::layout::Timestamp;
use crate::storage::AlignedBuffer;

/// One run of a block, as its producer fills it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Run {
    /// The values of one channel, of this many bytes each.
    Values(usize),
    /// A digital port: little-endian integers of `size` bytes, each of whose `bits` becomes a boolean channel.
    Lines {
        /// 1, 2, 4 or 8.
        size: usize,
        /// Numbers of bits, 0 the least significant.
        bits: Vec<u8>,
    },
    /// Times as i64 nanoseconds since 1970; become timestamps.
    UnixTimes,
}

impl Run {
    fn size(&self) -> usize {
        match self {
            Run::Values(size) | Run::Lines { size, .. } => *size,
            Run::UnixTimes => 8,
        }
    }

    /// Bytes per sample in the file.
    fn file_size(&self) -> usize {
        match self {
            Run::Values(size) => *size,
            Run::Lines { bits, .. } => bits.len(),
            Run::UnixTimes => TIMESTAMP,
        }
    }
}

/// Where the times come from that the blocks do not have; they become the group's first channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Times {
    /// Spread evenly from the block before to the host time of the block.
    Host,
    /// From the start, each sample later by the value of the first run of floats, in seconds.
    Periods,
    /// The same with the inverse of the value, in hertz.
    Frequencies,
}

const TIMESTAMP: usize = 16;

/// What the runs of a stream's blocks are, and what they become.
pub struct Runs {
    runs: Vec<Run>,
    times: Option<Times>,
    out: AlignedBuffer,
    /// Host time of the block before.
    before_ns: Option<i64>,
    /// Sums of periods count from here, and how far they have come, in seconds.
    origin_ns: Option<i64>,
    sum: f64,
}

/// When a block was acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockTimes {
    /// Host time of its completion, Unix nanoseconds.
    pub host_time_ns: i64,
    /// Time of the stream's start, Unix nanoseconds.
    pub start_ns: i64,
    /// Samples are missing before it.
    pub after_gap: bool,
}

impl Runs {
    /// `None` where blocks are what the file holds already.
    ///
    /// # Errors
    /// [`LogError::Spec`] where the times are to be sums and no run has floats.
    pub fn new(runs: Vec<Run>, times: Option<Times>) -> Result<Option<Runs>, LogError> {
        for run in &runs {
            if let Run::Lines { size, bits } = run
                && (!matches!(size, 1 | 2 | 4 | 8)
                    || bits.is_empty()
                    || bits.iter().any(|bit| usize::from(*bit) >= size * 8))
            {
                return Err(LogError::Spec(format!(
                    "Lines are the bits 0 to {} of a port of {size} bytes, not {bits:?}.",
                    size * 8 - 1
                )));
            }
        }
        let runs = Runs {
            runs,
            times,
            out: AlignedBuffer::new(0),
            before_ns: None,
            origin_ns: None,
            sum: 0.0,
        };
        if matches!(times, Some(Times::Periods | Times::Frequencies)) && runs.floats().is_none() {
            return Err(LogError::Spec(
                "Times that are sums of periods or frequencies need a channel of floats."
                    .to_owned(),
            ));
        }
        let plain = times.is_none() && runs.runs.iter().all(|run| matches!(run, Run::Values(_)));
        Ok((!plain).then_some(runs))
    }

    /// Where in a sample the first run of floats is, and their size.
    fn floats(&self) -> Option<(usize, usize)> {
        let mut at = 0;
        for run in &self.runs {
            if let Run::Values(size @ (4 | 8)) = run {
                return Some((at, *size));
            }
            at += run.size();
        }
        None
    }

    /// The channels of the file, as runs one behind the other.
    ///
    /// # Errors
    /// [`LogError::Block`] for a block that is not made of the runs.
    pub fn convert(
        &mut self,
        samples: u64,
        data: &[u8],
        when: BlockTimes,
    ) -> Result<&[u8], LogError> {
        let row: usize = self.runs.iter().map(Run::size).sum();
        let count = usize::try_from(samples).unwrap_or(usize::MAX);
        if count.checked_mul(row) != Some(data.len()) {
            return Err(LogError::Block(format!(
                "A block of {samples} samples has {} bytes of data; expected are {row} per sample.",
                data.len()
            )));
        }
        let times = if self.times.is_some() { TIMESTAMP } else { 0 };
        let wide = times + self.runs.iter().map(Run::file_size).sum::<usize>();
        let total = count
            .checked_mul(wide)
            .ok_or_else(|| LogError::Block(format!("A block of {samples} samples is too long.")))?;
        let mut out = std::mem::replace(&mut self.out, AlignedBuffer::new(0));
        out.grow(total);
        let mut rest = &mut out.bytes_mut()[..total];
        if let Some(times) = self.times {
            let (target, after) = rest.split_at_mut(count * TIMESTAMP);
            self.fill_times(times, count, data, when, target);
            rest = after;
        }
        let mut from = data;
        for run in &self.runs {
            let (source, behind) = from.split_at(count * run.size());
            let (target, after) = rest.split_at_mut(count * run.file_size());
            match run {
                Run::Values(_) => target.copy_from_slice(source),
                Run::Lines { size, bits } => {
                    for (line, bit) in target.chunks_exact_mut(count.max(1)).zip(bits) {
                        unpack(source, *size, *bit, line);
                    }
                }
                Run::UnixTimes => {
                    for (place, ns) in target.chunks_exact_mut(TIMESTAMP).zip(source.as_chunks().0)
                    {
                        put_time(place, i64::from_le_bytes(*ns));
                    }
                }
            }
            (from, rest) = (behind, after);
        }
        self.before_ns = Some(when.host_time_ns);
        self.out = out;
        Ok(&self.out.bytes()[..total])
    }

    fn fill_times(
        &mut self,
        times: Times,
        count: usize,
        data: &[u8],
        when: BlockTimes,
        target: &mut [u8],
    ) {
        let places = target.chunks_exact_mut(TIMESTAMP);
        let end = when.host_time_ns;
        if times == Times::Host {
            let begin = match self.before_ns {
                // How long the samples of this block took is not known then.
                _ if when.after_gap => end,
                Some(before) => before.min(end),
                None if when.start_ns > 0 => when.start_ns.min(end),
                None => end,
            };
            let span = i128::from(end) - i128::from(begin);
            for (number, place) in places.enumerate() {
                let passed = span * (number as i128 + 1) / count.max(1) as i128;
                put_time(place, begin.saturating_add(passed as i64));
            }
            return;
        }
        let Some((at, size)) = self.floats() else {
            return;
        };
        let run = &data[at * count..][..size * count];
        let seconds = move |number: usize| {
            let value = match size {
                4 => f64::from(f32::from_le_bytes(run.as_chunks().0[number])),
                _ => f64::from_le_bytes(run.as_chunks().0[number]),
            };
            let value = match times {
                Times::Frequencies => value.recip(),
                _ => value,
            };
            // A value that is no time (an overflow of the counter, say) must not spoil all that follow.
            if value.is_finite() && value > 0.0 {
                value
            } else {
                0.0
            }
        };
        if when.after_gap || self.origin_ns.is_none() {
            let span: f64 = (0..count).map(seconds).sum();
            self.sum = 0.0;
            self.origin_ns = Some(match when.start_ns {
                start if start > 0 && !when.after_gap => start,
                _ => end.saturating_sub((span * 1e9).round() as i64),
            });
        }
        let origin = self.origin_ns.unwrap_or(end);
        for (number, place) in places.enumerate() {
            self.sum += seconds(number);
            put_time(
                place,
                origin.saturating_add((self.sum * 1e9).round() as i64),
            );
        }
    }
}

fn put_time(place: &mut [u8], unix_ns: i64) {
    let time = Timestamp::from_unix_ns(unix_ns);
    place[..8].copy_from_slice(&time.fraction.to_le_bytes());
    place[8..].copy_from_slice(&time.seconds.to_le_bytes());
}

/// One bit of each integer, as a byte of 0 or 1.
fn unpack(source: &[u8], size: usize, bit: u8, line: &mut [u8]) {
    // The byte of a little-endian integer that has the bit; a fixed stride lets the compiler use wide registers.
    let (at, shift) = (usize::from(bit / 8), bit % 8);
    fn strided<const N: usize>(source: &[u8], at: usize, shift: u8, line: &mut [u8]) {
        for (place, value) in line.iter_mut().zip(source.as_chunks::<N>().0) {
            *place = value[at] >> shift & 1;
        }
    }
    match size {
        1 => strided::<1>(source, at, shift, line),
        2 => strided::<2>(source, at, shift, line),
        4 => strided::<4>(source, at, shift, line),
        _ => strided::<8>(source, at, shift, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHEN: BlockTimes = BlockTimes {
        host_time_ns: 2_000_000_000,
        start_ns: 1_000_000_000,
        after_gap: false,
    };

    fn times(bytes: &[u8], count: usize) -> Vec<i64> {
        let time = |place: &[u8; 16]| {
            Timestamp {
                fraction: u64::from_le_bytes(*place.first_chunk().unwrap()),
                seconds: i64::from_le_bytes(*place.last_chunk().unwrap()),
            }
            .unix_ns()
        };
        bytes[..count * 16].as_chunks().0.iter().map(time).collect()
    }

    #[test]
    fn every_bit_of_a_port_becomes_a_line() {
        for size in [1usize, 2, 4, 8] {
            let values: Vec<u64> = (0..1001u64)
                .map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
                .collect();
            let data: Vec<u8> = values
                .iter()
                .flat_map(|value| value.to_le_bytes()[..size].to_vec())
                .collect();
            let bits: Vec<u8> = (0..size as u8 * 8).rev().collect();
            let lines = Run::Lines {
                size,
                bits: bits.clone(),
            };
            let mut runs = Runs::new(vec![lines], None).unwrap().unwrap();
            let out = runs.convert(1001, &data, WHEN).unwrap();
            assert_eq!(out.len(), 1001 * size * 8);
            for (line, bit) in out.chunks(1001).zip(bits) {
                let expected: Vec<u8> = values.iter().map(|v| (v >> bit & 1) as u8).collect();
                assert_eq!(line, expected);
            }
        }
    }

    #[test]
    fn host_times_are_spread_between_blocks() {
        let mut runs = Runs::new(vec![Run::Values(1)], Some(Times::Host))
            .unwrap()
            .unwrap();
        let out = runs.convert(4, &[1, 2, 3, 4], WHEN).unwrap();
        let from_start = [1_250_000_000, 1_500_000_000, 1_750_000_000, 2_000_000_000];
        assert_eq!(times(out, 4), from_start);
        assert_eq!(out[64..], [1, 2, 3, 4]);
        let host_time_ns = 3_000_000_000;
        let next = BlockTimes {
            host_time_ns,
            ..WHEN
        };
        assert_eq!(
            times(runs.convert(2, &[1, 2], next).unwrap(), 2),
            [2_500_000_000, host_time_ns]
        );
        let late = BlockTimes {
            host_time_ns: 9_000_000_000,
            after_gap: true,
            ..WHEN
        };
        assert_eq!(
            times(runs.convert(2, &[1, 2], late).unwrap(), 2),
            [9_000_000_000; 2]
        );
    }

    #[test]
    fn periods_add_up() {
        let data =
            |values: &[f64]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let mut runs = Runs::new(vec![Run::Values(8)], Some(Times::Periods))
            .unwrap()
            .unwrap();
        let out = runs
            .convert(3, &data(&[0.25, f64::NAN, 0.5]), WHEN)
            .unwrap();
        assert_eq!(times(out, 3), [1_250_000_000, 1_250_000_000, 1_750_000_000]);
        let out = runs.convert(1, &data(&[1.0]), WHEN).unwrap();
        assert_eq!(times(out, 1), [2_750_000_000]);
        // Behind a gap only the host's clock says where we are.
        let late = BlockTimes {
            host_time_ns: 9_000_000_000,
            after_gap: true,
            ..WHEN
        };
        let out = runs.convert(2, &data(&[1.0, 2.0]), late).unwrap();
        assert_eq!(times(out, 2), [7_000_000_000, 9_000_000_000]);
        let mut runs = Runs::new(vec![Run::Values(8)], Some(Times::Frequencies))
            .unwrap()
            .unwrap();
        let out = runs.convert(2, &data(&[4.0, 0.0]), WHEN).unwrap();
        assert_eq!(times(out, 2), [1_250_000_000, 1_250_000_000]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let lines = |bits: &[u8]| Run::Lines {
            size: 1,
            bits: bits.to_vec(),
        };
        assert!(Runs::new(vec![lines(&[8])], None).is_err());
        assert!(Runs::new(vec![lines(&[])], None).is_err());
        assert!(Runs::new(vec![Run::Values(2)], Some(Times::Periods)).is_err());
        assert!(Runs::new(vec![Run::Values(2)], None).unwrap().is_none());
        let mut runs = Runs::new(vec![lines(&[0])], None).unwrap().unwrap();
        assert!(matches!(
            runs.convert(3, &[0, 1], WHEN),
            Err(LogError::Block(_))
        ));
    }
}
