//! From segment to segment through a file, in bounded memory.

use std::time::{Duration, Instant};

use crate::error::LogError;
use crate::segment::{LEAD_IN, LeadIn, TAG, UNFINISHED, toc};
use crate::source::Source;

/// A segment as it lies in the file.
pub(crate) struct Walked<'a> {
    pub(crate) offset: u64,
    pub(crate) lead_in: LeadIn,
    pub(crate) lead_in_bytes: [u8; LEAD_IN],
    pub(crate) metadata: &'a [u8],
    /// Where its raw data begin.
    pub(crate) data_at: u64,
    /// Where it ends by its own words, or the file's end if it does not say.
    pub(crate) end: u64,
    /// It does not say where it ends, or the file ends before.
    pub(crate) unfinished: bool,
}

impl Walked<'_> {
    pub(crate) fn big_endian(&self) -> bool {
        self.lead_in.toc & toc::BIG_ENDIAN != 0
    }
}

/// What lies where the next segment should begin.
pub(crate) enum Step<'a> {
    Segment(Walked<'a>),
    /// The file ends here.
    End,
    /// The file ends inside the header of the segment that begins here.
    CutOff,
}

/// Reads headers through a window that is large where segments are small.
pub(crate) struct Walker<'s> {
    source: &'s dyn Source,
    length: u64,
    at: u64,
    window: Vec<u8>,
    window_at: u64,
    want: usize,
    /// The last reading took so long that it came from the disk.
    slow: bool,
    /// Bytes from the segment before to the present one, and up to where the system was told to read ahead.
    stride: u64,
    told: u64,
}

/// A reading that takes longer is not from the system's cache.
const SLOW: Duration = Duration::from_micros(40);
/// Headers that are read ahead where segments follow each other at equal distances: a disk has them side by side in
/// little more time than one.
const AHEAD: u64 = 256;
const SMALL: u64 = 32 << 10;
const LARGE_WINDOW: usize = 256 << 10;
const SMALL_WINDOW: usize = 4096;

impl<'s> Walker<'s> {
    pub(crate) fn new(source: &'s dyn Source, length: u64) -> Walker<'s> {
        Walker {
            source,
            length,
            at: 0,
            window: Vec::new(),
            window_at: 0,
            want: SMALL_WINDOW,
            slow: false,
            stride: 0,
            told: 0,
        }
    }

    /// Where the next segment begins.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// Goes on at another place.
    pub(crate) fn seek(&mut self, offset: u64) {
        self.at = offset;
    }

    /// Makes `[at, at + count)` part of the window; the caller has checked that the file is that long.
    fn fill(&mut self, at: u64, count: usize) -> Result<usize, LogError> {
        let inside = at
            .checked_sub(self.window_at)
            .filter(|skip| skip + count as u64 <= self.window.len() as u64);
        if let Some(skip) = inside {
            return Ok(skip as usize);
        }
        let rest = self.length - at;
        let size = (self.want.max(count) as u64).min(rest) as usize;
        self.window.resize(size, 0);
        self.window_at = at;
        let begin = Instant::now();
        if let Err(error) = self.source.read_exact_at(&mut self.window, at) {
            self.window.clear();
            return Err(LogError::format(at, format!("reading failed: {error}")));
        }
        self.slow = begin.elapsed() > SLOW;
        Ok(0)
    }

    /// Has the next headers read, if they come from the disk and lie where one would guess.
    fn read_ahead(&mut self, offset: u64, end: u64) {
        let stride = end - offset;
        if self.slow && stride == self.stride && stride >= SMALL {
            let mut at = end.max(self.told);
            for _ in 0..AHEAD {
                if at >= self.length {
                    break;
                }
                self.source.will_need(at, SMALL_WINDOW as u64);
                at += stride;
            }
            self.told = at;
        }
        self.slow = false;
        self.stride = stride;
    }

    /// The next segment. An error leaves the position where it is. A segment that is cut off inside its data is given
    /// as unfinished.
    pub(crate) fn next(&mut self) -> Result<Step<'_>, LogError> {
        let offset = self.at;
        let rest = self.length.saturating_sub(offset);
        if rest == 0 {
            return Ok(Step::End);
        }
        if rest < LEAD_IN as u64 {
            let skip = self.fill(offset, rest as usize)?;
            let there = &self.window[skip..skip + rest as usize];
            return match there.iter().zip(&TAG).all(|(byte, tag)| byte == tag) {
                true => Ok(Step::CutOff),
                false => Err(LogError::format(
                    offset,
                    "a segment should begin with TDSm, there is something else",
                )),
            };
        }
        let skip = self.fill(offset, LEAD_IN)?;
        let mut lead_in_bytes = [0; LEAD_IN];
        lead_in_bytes.copy_from_slice(&self.window[skip..skip + LEAD_IN]);
        let lead_in = LeadIn::parse(&lead_in_bytes, offset)?;
        let body = rest - LEAD_IN as u64;
        if lead_in.raw > body {
            return Ok(Step::CutOff);
        }
        let unfinished = lead_in.next == UNFINISHED || lead_in.next > body;
        let end = match unfinished {
            true => self.length,
            false => offset + LEAD_IN as u64 + lead_in.next,
        };
        let header = LEAD_IN as u64 + lead_in.raw;
        let header_length = usize::try_from(header)
            .map_err(|_| LogError::format(offset, "the metadata are larger than the memory"))?;
        self.want = match end - offset < SMALL {
            true => LARGE_WINDOW,
            false => header_length.next_multiple_of(SMALL_WINDOW),
        };
        let skip = self.fill(offset, header_length)?;
        self.read_ahead(offset, end);
        self.at = end;
        Ok(Step::Segment(Walked {
            offset,
            lead_in,
            lead_in_bytes,
            metadata: &self.window[skip + LEAD_IN..skip + header_length],
            data_at: offset + header,
            end,
            unfinished,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Mutex;

    /// Segments of a megabyte on a disk that takes its time; notes what it was told to read ahead.
    struct Disk {
        segments: u64,
        told: Mutex<Vec<u64>>,
    }

    const SEGMENT: u64 = 1 << 20;

    impl Source for Disk {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            if !self.told.lock().unwrap().contains(&offset) {
                std::thread::sleep(2 * SLOW);
            }
            let mut lead_in = [0; LEAD_IN];
            lead_in[..4].copy_from_slice(&TAG);
            lead_in[8..12].copy_from_slice(&4713u32.to_le_bytes());
            lead_in[12..20].copy_from_slice(&(SEGMENT - LEAD_IN as u64).to_le_bytes());
            for (byte, at) in buffer.iter_mut().zip(offset % SEGMENT..) {
                *byte = *lead_in.get(at as usize).unwrap_or(&0);
            }
            Ok(buffer.len())
        }

        fn length(&self) -> io::Result<u64> {
            Ok(self.segments * SEGMENT)
        }

        fn will_need(&self, offset: u64, _count: u64) {
            self.told.lock().unwrap().push(offset);
        }
    }

    #[test]
    fn headers_on_a_slow_disk_are_read_ahead_once_each() {
        let segments = 3 * AHEAD + 17;
        let disk = Disk {
            segments,
            told: Mutex::new(Vec::new()),
        };
        let mut walker = Walker::new(&disk, segments * SEGMENT);
        let mut found = 0;
        while let Ok(Step::Segment(walked)) = walker.next() {
            assert_eq!(walked.offset, found * SEGMENT);
            found += 1;
        }
        assert_eq!(found, segments);
        let told = disk.told.into_inner().unwrap();
        assert!(told.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(
            told.iter()
                .all(|at| at % SEGMENT == 0 && *at < segments * SEGMENT)
        );
        // All but the first two, which tell the distance, and one in front of each further batch.
        assert!(told.len() as u64 >= segments - 2 - segments / AHEAD);
    }
}
