//! Checks a log without changing it: structure, both checksums, sequence, gaps, alignment.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::error::LogError;
use crate::layout::{Gap, GapCause, LOST_UNKNOWN, PropertyValue, StreamGap, property};
use crate::reader::LogFile;
use crate::segment::{ALIGN, RunId, key};
use crate::source::{FileSource, Source};
use crate::stamped::{Stamped, find_header};
use crate::tail::tail_paths;
use crate::walk::{Step, Walker};

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// Lead-in or metadata cannot be followed, or contradict themselves.
    Structure,
    /// The header is not what was written.
    HeaderCrc,
    /// The samples are not what was written.
    DataCrc,
    /// A segment of another run, or out of order.
    Sequence,
    /// Samples are missing that no gap tells about.
    Missing,
    /// A segment does not begin where it should.
    Alignment,
    /// The last segment was not written to its end.
    Unfinished,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where in the file.
    pub offset: u64,
    /// What kind.
    pub kind: ProblemKind,
    /// In words.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.what)
    }
}

/// What was found of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamCheck {
    /// The stream's name.
    pub name: String,
    /// Sound blocks.
    pub blocks: u64,
    /// Samples per channel in sound blocks.
    pub samples: u64,
    /// Samples per channel that gaps say were lost before they reached the file.
    pub lost: u64,
    /// Some gap's size is not known.
    pub lost_unknown: bool,
    /// Samples per channel that were recorded and are damaged or gone.
    pub damaged: u64,
    /// Sound samples per channel that only the tail file has: recovery puts them into the log.
    pub in_tail: u64,
}

/// What verification found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The file has this project's stamps; without them only the structure can be checked.
    pub stamped: bool,
    /// The recording was finished in order.
    pub finished: bool,
    /// Bytes of the file.
    pub bytes: u64,
    /// Segments that could be followed.
    pub segments: u64,
    /// Segments of samples that were written without a checksum: their headers were checked, their data were not.
    pub unchecked: u64,
    /// Per stream.
    pub streams: Vec<StreamCheck>,
    /// Samples that were acquired, and that the error that ended the recording kept out of the file; per channel, over
    /// all streams.
    pub unstored: u64,
    /// Losses that were recorded as such.
    pub gaps: Vec<StreamGap>,
    /// What is wrong, in the order of the file; at most [`VerifyReport::MOST_PROBLEMS`].
    pub problems: Vec<Problem>,
    /// How many problems there are.
    pub problem_count: u64,
}

impl VerifyReport {
    /// Problems that are told one by one.
    pub const MOST_PROBLEMS: usize = 1000;

    /// Nothing is wrong with the file (it may tell of losses).
    pub fn is_sound(&self) -> bool {
        self.problem_count == 0
    }

    /// Sound, finished, and no sample was lost or kept out by an error.
    pub fn complete(&self) -> bool {
        self.is_sound() && self.finished && self.gaps.is_empty() && self.unstored == 0
    }

    /// Samples per channel that gaps say were lost, over all streams.
    pub fn lost(&self) -> u64 {
        self.streams
            .iter()
            .fold(0, |sum, stream| sum.saturating_add(stream.lost))
    }

    fn problem(&mut self, offset: u64, kind: ProblemKind, what: impl Into<String>) {
        self.problem_count += 1;
        if self.problems.len() < VerifyReport::MOST_PROBLEMS {
            let what = what.into();
            self.problems.push(Problem { offset, kind, what });
        }
    }

    fn stream(&mut self, name: &str) -> &mut StreamCheck {
        let at = self.streams.iter().position(|stream| stream.name == name);
        let at = at.unwrap_or_else(|| {
            self.streams.push(StreamCheck {
                name: name.to_owned(),
                blocks: 0,
                samples: 0,
                lost: 0,
                lost_unknown: false,
                damaged: 0,
                in_tail: 0,
            });
            self.streams.len() - 1
        });
        &mut self.streams[at]
    }
}

impl fmt::Display for VerifyReport {
    /// One line that says whether the recording is complete and what is missing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let samples: Vec<String> = self
            .streams
            .iter()
            .map(|stream| {
                let tail = match stream.in_tail {
                    0 => String::new(),
                    more => format!(" and {more} more in its tail file"),
                };
                format!(
                    "{} {} samples per channel{tail}",
                    stream.name, stream.samples
                )
            })
            .collect();
        let samples = match samples.is_empty() {
            true => "no samples".to_owned(),
            false => samples.join(", "),
        };
        let verdict = if self.problem_count > 0 {
            "DAMAGED"
        } else if !self.stamped {
            "structure sound (no checksums in this file)"
        } else if !self.finished {
            "sound, not finished"
        } else if !self.gaps.is_empty() || self.unstored > 0 {
            "INCOMPLETE"
        } else {
            "complete"
        };
        write!(f, "{verdict}: {samples} in {} segments", self.segments)?;
        match self.unchecked {
            0 => {}
            // Beside those of samples there are the segments of the log's own tables, and those that
            // replaced pieces of a tail have checksums in any log.
            count => write!(
                f,
                " ({count} of them recorded without checksums: their data not checked)"
            )?,
        }
        if !self.gaps.is_empty() {
            let unknown = self.streams.iter().any(|stream| stream.lost_unknown);
            let lost = match (self.lost(), unknown) {
                (0, true) => "an unknown number lost".to_owned(),
                (lost, true) => format!("{lost} lost and an unknown number more"),
                (lost, false) => format!("{lost} lost"),
            };
            let gaps = match self.gaps.len() {
                1 => "1 gap".to_owned(),
                count => format!("{count} gaps"),
            };
            write!(f, "; {lost} in {gaps} (first: {})", self.gaps[0].gap.cause)?;
        }
        if self.unstored > 0 {
            let count = self.unstored;
            write!(
                f,
                "; an error ended the recording and kept out the last {count} samples acquired"
            )?;
        }
        let damaged = self
            .streams
            .iter()
            .fold(0u64, |sum, stream| sum.saturating_add(stream.damaged));
        if damaged > 0 {
            write!(f, "; {damaged} samples per channel damaged")?;
        }
        if let Some(first) = self.problems.first() {
            write!(f, "; {} problems, the first {first}", self.problem_count)?;
        }
        Ok(())
    }
}

/// Checks a file.
///
/// # Errors
/// [`LogError::Io`] if it cannot be opened, [`LogError::Format`] if it is no TDMS file at all. Whatever else is wrong
/// is in the report.
pub fn verify(path: impl AsRef<Path>) -> Result<VerifyReport, LogError> {
    let path = path.as_ref();
    let source = FileSource::open(path).map_err(|error| LogError::io("open", path, error))?;
    let mut tails: Vec<Box<dyn Source>> = Vec::new();
    for tail in tail_paths(path) {
        // The recording may still run and remove it just now.
        if let Ok(tail) = FileSource::open(&tail) {
            tails.push(Box::new(tail));
        }
    }
    check(Arc::new(source), &tails)
}

/// What the next block of a stream should say.
#[derive(Default, Clone, Copy)]
struct Expected {
    seq: u64,
    sample: u64,
    begun: bool,
}

/// Checks whatever can be read at offsets.
///
/// # Errors
/// As [`verify`].
pub fn verify_source(source: Arc<dyn Source>) -> Result<VerifyReport, LogError> {
    check(source, &[])
}

fn check(source: Arc<dyn Source>, tails: &[Box<dyn Source>]) -> Result<VerifyReport, LogError> {
    let length = source
        .length()
        .map_err(|error| LogError::format(0, format!("the length is not known: {error}")))?;
    let mut report = VerifyReport {
        stamped: false,
        finished: false,
        bytes: length,
        segments: 0,
        unchecked: 0,
        streams: Vec::new(),
        unstored: 0,
        gaps: Vec::new(),
        problems: Vec::new(),
        problem_count: 0,
    };
    let mut check = Check {
        source: &*source,
        length,
        report: &mut report,
        run: None,
        next_segment: 0,
        finished: false,
        streams: HashMap::new(),
        expected: HashMap::new(),
        scratch: Vec::new(),
    };
    let walked = check.walk();
    if !check.finished {
        tails.iter().for_each(|tail| check.tail(&**tail));
    }
    // A recording of low rate has all it has in its tail for a minute.
    if length > 0 || check.run.is_none() {
        walked?;
    }
    let (stamped, finished) = (check.run.is_some(), check.finished);
    report.stamped = stamped;
    report.finished = finished;
    if stamped && length > 0 {
        // Losses that no block follows are in the gap table alone.
        let at_end = |file: LogFile| {
            let unstored = property(file.properties(), key::UNSTORED);
            let unstored = unstored.and_then(PropertyValue::as_u64).unwrap_or(0);
            Ok((file.gaps_at_end()?, unstored))
        };
        match LogFile::from_source(source).and_then(at_end) {
            Ok((gaps, unstored)) => {
                report.unstored = unstored;
                for gap in &gaps {
                    let stream = report.stream(&gap.stream);
                    match gap.gap.count {
                        Some(count) => stream.lost = stream.lost.saturating_add(count),
                        None => stream.lost_unknown = true,
                    }
                }
                report.gaps.extend(gaps);
            }
            Err(error) => report.problem(0, ProblemKind::Structure, error.to_string()),
        }
    }
    Ok(report)
}

struct Check<'s, 'r> {
    source: &'s dyn Source,
    length: u64,
    report: &'r mut VerifyReport,
    run: Option<RunId>,
    next_segment: u64,
    finished: bool,
    /// Stream of each group.
    streams: HashMap<String, String>,
    expected: HashMap<String, Expected>,
    scratch: Vec<u8>,
}

impl Check<'_, '_> {
    fn walk(&mut self) -> Result<(), LogError> {
        let mut walker = Walker::new(self.source, self.length);
        loop {
            let offset = walker.position();
            let step = match walker.next() {
                Ok(Step::End) => {
                    if offset == 0 {
                        return Err(LogError::format(
                            0,
                            "the file is empty: nothing was recorded into it, or not yet",
                        ));
                    }
                    return Ok(());
                }
                Ok(Step::CutOff) => Err((
                    ProblemKind::Unfinished,
                    "the file ends inside the header of a segment".to_owned(),
                )),
                Ok(Step::Segment(walked)) => match Stamped::parse(&walked) {
                    Ok(stamped) => Ok(stamped),
                    Err(LogError::Format { what, .. }) => Err((ProblemKind::Structure, what)),
                    Err(error) => Err((ProblemKind::Structure, error.to_string())),
                },
                Err(LogError::Format { what, .. }) => Err((ProblemKind::Structure, what)),
                Err(error) => return Err(error),
            };
            let next = match step {
                Ok(stamped) => self.segment(&stamped)?,
                Err((kind, what)) => {
                    if offset == 0
                        && find_header(self.source, self.length, ALIGN as u64, None)?.is_none()
                    {
                        return Err(LogError::format(0, what));
                    }
                    self.report.problem(offset, kind, what);
                    None
                }
            };
            let next = match next {
                Some(next) => Some(next),
                None => find_header(self.source, self.length, offset + 1, self.run)?,
            };
            match next {
                Some(next) => walker.seek(next),
                None => return Ok(()),
            }
        }
    }

    /// Counts what a tail file has beyond the log. What is not sound in it was not promised to anybody.
    fn tail(&mut self, source: &dyn Source) {
        let Ok(length) = source.length() else {
            return;
        };
        let mut walker = Walker::new(source, length);
        while let Ok(Step::Segment(walked)) = walker.next() {
            let Ok(stamped) = Stamped::parse(&walked) else {
                return;
            };
            let run = stamped.stamp.run;
            if !stamped.is_of(self.run)
                || stamped.unfinished
                || run.is_none()
                || !stamped
                    .data_sound(source, &mut self.scratch)
                    .unwrap_or(false)
            {
                return;
            }
            self.run = run;
            self.streams.extend(stamped.streams.iter().cloned());
            let (Some(group), Some(block)) = (&stamped.group, stamped.stamp.block()) else {
                return;
            };
            let name = self.streams.get(group).unwrap_or(group).clone();
            let expected = self.expected.get(&name).copied().unwrap_or_default();
            if !expected.begun || block.first_sample >= expected.sample {
                let stream = self.report.stream(&name);
                stream.in_tail = stream.in_tail.saturating_add(block.samples);
            }
        }
    }

    /// Checks one segment; `None` if the next one has to be searched.
    fn segment(&mut self, stamped: &Stamped) -> Result<Option<u64>, LogError> {
        let offset = stamped.offset;
        let stamp = &stamped.stamp;
        self.report.segments += 1;
        if self.run.is_none() && stamp.run.is_none() && stamp.header_crc.is_none() {
            return Ok(self.foreign(stamped));
        }
        if !stamped.header_sound {
            self.report.problem(
                offset,
                ProblemKind::HeaderCrc,
                "the header's checksum is wrong; the segment cannot be trusted",
            );
            return Ok(None);
        }
        if self.finished {
            self.report.problem(
                offset,
                ProblemKind::Sequence,
                "a segment follows the one that finished the recording",
            );
        }
        match (self.run, stamp.run) {
            (None, run) => self.run = run,
            (known, run) if known == run => {}
            _ => {
                self.report.problem(
                    offset,
                    ProblemKind::Sequence,
                    "the segment is of another run",
                );
                return Ok(Some(stamped.end));
            }
        }
        if !offset.is_multiple_of(ALIGN as u64) {
            self.report.problem(
                offset,
                ProblemKind::Alignment,
                format!("the segment does not begin at a multiple of {ALIGN}"),
            );
        }
        let number = stamp.segment.unwrap_or(self.next_segment);
        if number != self.next_segment {
            self.report.problem(
                offset,
                ProblemKind::Sequence,
                format!(
                    "segment {number} stands where segment {} was expected",
                    self.next_segment
                ),
            );
        }
        self.next_segment = number.saturating_add(1);
        self.streams.extend(stamped.streams.iter().cloned());
        if stamped.unfinished {
            self.report.problem(
                offset,
                ProblemKind::Unfinished,
                "the last segment was not written to its end",
            );
            return Ok(None);
        }
        let mut sound = true;
        if stamped.announced != Some(stamped.end - stamped.data_at) {
            self.report.problem(
                offset,
                ProblemKind::Structure,
                "the segment's length is not that of its channels",
            );
            sound = false;
        }
        match stamped.data_crc(self.source, &mut self.scratch) {
            Ok(_) if stamped.is_unchecked() => self.report.unchecked += 1,
            Ok(crc) if Some(crc) == stamp.data_crc => {}
            Ok(_) => {
                self.report.problem(
                    stamped.data_at,
                    ProblemKind::DataCrc,
                    match stamped.is_housekeeping() {
                        true => "the checksum of the log's own tables is wrong".to_owned(),
                        false => format!(
                            "the checksum of the samples of segment {number} is wrong (group {}, first sample {}, {} \
                             samples)",
                            stamped.group.as_deref().unwrap_or("?"),
                            stamp.first_sample.unwrap_or(0),
                            stamp.samples.unwrap_or(0)
                        ),
                    },
                );
                sound = false;
            }
            Err(error) => {
                self.report
                    .problem(stamped.data_at, ProblemKind::DataCrc, error.to_string());
                sound = false;
            }
        }
        self.block(stamped, sound);
        self.finished |= stamped.complete == Some(true);
        Ok(Some(stamped.end))
    }

    fn foreign(&mut self, stamped: &Stamped) -> Option<u64> {
        if stamped.unfinished {
            self.report.problem(
                stamped.offset,
                ProblemKind::Unfinished,
                "the last segment was not written to its end",
            );
            return None;
        }
        self.finished = stamped.end == self.length;
        Some(stamped.end)
    }

    /// Checks a block's place in its stream.
    fn block(&mut self, stamped: &Stamped, sound: bool) {
        let (Some(group), Some(block)) = (&stamped.group, stamped.stamp.block()) else {
            if let Some(group) = stamped
                .group
                .as_ref()
                .filter(|_| !stamped.is_housekeeping())
            {
                // Values without a place in a stream, as in a file that was rewritten.
                let most = stamped
                    .contents
                    .iter()
                    .map(|content| content.count)
                    .max()
                    .unwrap_or(0);
                let stream = self.report.stream(group);
                match sound {
                    true => stream.samples = stream.samples.saturating_add(most),
                    false => stream.damaged = stream.damaged.saturating_add(most),
                }
            }
            return;
        };
        let offset = stamped.offset;
        let name = self
            .streams
            .get(group)
            .cloned()
            .unwrap_or_else(|| group.clone());
        let expected = self.expected.get(&name).copied().unwrap_or_default();
        if stamped
            .contents
            .iter()
            .any(|content| content.count != block.samples)
        {
            self.report.problem(
                offset,
                ProblemKind::Structure,
                "the channels' lengths are not the block's",
            );
        }
        if expected.begun && block.seq < expected.seq {
            self.report.problem(
                offset,
                ProblemKind::Sequence,
                format!(
                    "block {} of {name} comes after block {}",
                    block.seq,
                    expected.seq.saturating_sub(1)
                ),
            );
        }
        let known = block.lost_before != LOST_UNKNOWN;
        let begins = match known {
            true => block.first_sample.saturating_sub(block.lost_before),
            false => expected.sample.min(block.first_sample),
        };
        let gated = block.record.is_some() || GapCause::from_u32(block.gap) == GapCause::Gated;
        if expected.begun && begins > expected.sample && !gated {
            let missing = begins - expected.sample;
            self.report.problem(
                offset,
                ProblemKind::Missing,
                format!(
                    "{missing} samples of {name} are missing before it, from sample {}",
                    expected.sample
                ),
            );
            let stream = self.report.stream(&name);
            stream.damaged = stream.damaged.saturating_add(missing);
        } else if expected.begun && begins < expected.sample {
            self.report.problem(
                offset,
                ProblemKind::Sequence,
                format!(
                    "the samples of {name} from {begins} on stand twice (expected was {})",
                    expected.sample
                ),
            );
        }
        let stream = self.report.stream(&name);
        if sound {
            stream.blocks = stream.blocks.saturating_add(block.blocks);
            stream.samples = stream.samples.saturating_add(block.samples);
        } else {
            stream.damaged = stream.damaged.saturating_add(block.samples);
        }
        if block.lost_before != 0 {
            match known {
                true => stream.lost = stream.lost.saturating_add(block.lost_before),
                false => stream.lost_unknown = true,
            }
            self.report.gaps.push(StreamGap {
                stream: name.clone(),
                gap: Gap {
                    first_sample: begins,
                    count: known.then_some(block.lost_before),
                    cause: GapCause::from_u32(block.gap),
                    host_time_ns: block.host_time_ns,
                },
            });
        }
        self.expected.insert(
            name,
            Expected {
                seq: block.seq.saturating_add(block.blocks),
                sample: block.first_sample.saturating_add(block.samples),
                begun: true,
            },
        );
    }
}
