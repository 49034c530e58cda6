//! Reading a log: an index of its segments, and slices of its channels in bounded memory.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::error::LogError;
use crate::layout::{
    ClockPair, DataType, Gap, GapCause, LOST_UNKNOWN, PlacedRecord, Properties, PropertyValue,
    Scale, StreamGap, property,
};
use crate::scale;
use crate::segment::{
    BlockStamp, HOUSEKEEPING, IndexEntry, MetadataReader, RunId, Stamp, key, split_path, toc,
};
use crate::source::{FileSource, Source};
use crate::stamped::Stamped;
use crate::tail::tail_paths;
use crate::walk::{Step, Walked, Walker};

/// How the file ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// With a whole segment.
    Whole,
    /// With a segment that was not written to its end; it is not read.
    Unfinished {
        /// Where that segment begins.
        offset: u64,
    },
    /// Bytes that are no segment; nothing from there on is read.
    Damaged {
        /// Where they begin.
        offset: u64,
        /// What is wrong.
        what: String,
    },
}

/// A channel of a file.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Type of the recorded values; [`DataType::F64`] for a channel that never had any.
    pub data_type: DataType,
    /// Number of values.
    pub len: u64,
    /// As the file has them, the last value of each.
    pub properties: Properties,
    id: usize,
}

impl Channel {
    /// True without values.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a property.
    pub fn property(&self, name: &str) -> Option<&PropertyValue> {
        property(&self.properties, name)
    }

    /// How the recorded values become physical ones.
    ///
    /// # Errors
    /// [`LogError::Unsupported`] for scales that this reader does not know.
    pub fn scale(&self) -> Result<Scale, LogError> {
        scale::from_properties(&self.properties)
    }

    /// The unit of the physical values; empty if the file does not say.
    pub fn unit(&self) -> &str {
        self.property("unit_string")
            .and_then(PropertyValue::as_str)
            .unwrap_or("")
    }

    /// Seconds between samples, where constant.
    pub fn dt(&self) -> Option<f64> {
        self.property("wf_increment")
            .and_then(PropertyValue::as_f64)
    }

    /// Time of the first value, Unix nanoseconds.
    pub fn start_time_ns(&self) -> Option<i64> {
        match self.property("wf_start_time") {
            Some(PropertyValue::Timestamp(time)) => Some(time.unix_ns()),
            _ => None,
        }
    }
}

/// A group of a file.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// As the file has them, the last value of each.
    pub properties: Properties,
    /// In the order of the file.
    pub channels: Vec<Channel>,
}

impl Group {
    /// The channel of this name.
    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name == name)
    }

    /// Name of the stream whose part the group is; its own where no gap divided it.
    pub fn stream(&self) -> &str {
        property(&self.properties, key::STREAM)
            .and_then(PropertyValue::as_str)
            .unwrap_or(&self.name)
    }

    /// True for the group that the log keeps about itself.
    pub fn is_housekeeping(&self) -> bool {
        self.name == HOUSEKEEPING
    }
}

/// One channel's run in the chunks of some segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Run {
    channel: u32,
    data_type: DataType,
    /// Values per chunk.
    count: u64,
    /// Bytes per chunk.
    bytes: u64,
    /// From the chunk's start; in interleaved data from the row's.
    offset: u64,
}

/// How the chunks of some segments are divided.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Layout {
    runs: Vec<Run>,
    chunk_bytes: u64,
    interleaved: bool,
    big_endian: bool,
    /// NI-DAQmx raw data: their place is known, their contents need the device's scalers.
    daqmx: bool,
}

struct Segment {
    data_at: u64,
    chunks: u64,
    layout: u32,
    source: u32,
}

/// Values of one channel that lie in one chunk.
struct Stretch<'a> {
    source: &'a dyn Source,
    layout: &'a Layout,
    run: &'a Run,
    /// Where the chunk begins in its file.
    base: u64,
    /// First value in the chunk, and how many.
    from: u64,
    count: u64,
}

impl Stretch<'_> {
    fn read(&self, size: usize, target: &mut [u8]) -> Result<(), LogError> {
        let (layout, run) = (self.layout, self.run);
        let failed =
            |at: u64| move |error| LogError::format(at, format!("reading failed: {error}"));
        if layout.interleaved {
            let row = (layout.chunk_bytes / run.count) as usize;
            let rows_at_once = (SCRATCH / row).max(1);
            let mut scratch = vec![0; rows_at_once.min(target.len() / size) * row];
            for (step, part) in target.chunks_mut(rows_at_once * size).enumerate() {
                let rows = part.len() / size;
                let at = self.base + (self.from + (step * rows_at_once) as u64) * row as u64;
                let scratch = &mut scratch[..rows * row];
                self.source.read_exact_at(scratch, at).map_err(failed(at))?;
                let offset = run.offset as usize;
                for (value, row) in part.chunks_exact_mut(size).zip(scratch.chunks_exact(row)) {
                    value.copy_from_slice(&row[offset..offset + size]);
                }
            }
        } else {
            let at = self.base + run.offset + self.from * size as u64;
            self.source.read_exact_at(target, at).map_err(failed(at))?;
        }
        if layout.big_endian {
            let unit = run.data_type.swap_unit();
            target.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
        }
        Ok(())
    }
}

/// Values of one channel from `first` on are in segment `segment`.
#[derive(Clone, Copy)]
struct Piece {
    first: u64,
    segment: u32,
    run: u32,
}

/// A file opened for reading. Reads go through the operating system's cache; no thread is excluded.
pub struct LogFile {
    /// The log, then its tails.
    sources: Vec<Arc<dyn Source>>,
    properties: Properties,
    groups: Vec<Group>,
    layouts: Vec<Layout>,
    segments: Vec<Segment>,
    /// Per channel, made when first needed.
    pieces: Vec<OnceLock<Vec<Piece>>>,
    gaps: Vec<StreamGap>,
    records: Vec<PlacedRecord>,
    tail: Tail,
    run: Option<RunId>,
    length: u64,
}

impl std::fmt::Debug for LogFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogFile")
            .field("groups", &self.groups.len())
            .field("segments", &self.segments.len())
            .field("length", &self.length)
            .field("tail", &self.tail)
            .finish_non_exhaustive()
    }
}

/// Bytes of scratch memory that a read uses at most, besides the caller's buffer.
const SCRATCH: usize = 1 << 20;
/// How far back torn segments are looked for at the end of a recording that was not finished.
const TORN_SEGMENTS: usize = 256;
const TORN_BYTES: u64 = 1 << 30;

impl LogFile {
    /// Opens a TDMS file, also one that is being recorded: what is not whole yet is not there yet.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Format`] for a file that does not begin as TDMS, [`LogError::Unsupported`].
    pub fn open(path: impl AsRef<Path>) -> Result<LogFile, LogError> {
        let path = path.as_ref();
        let open = |path: &Path| -> Result<Arc<dyn Source>, LogError> {
            let source =
                FileSource::open(path).map_err(|error| LogError::io("open", path, error))?;
            Ok(Arc::new(source))
        };
        // The tails are opened first: what leaves them meanwhile is in the log already.
        let tails: Vec<Arc<dyn Source>> = tail_paths(path)
            .iter()
            .filter_map(|tail| open(tail).ok())
            .collect();
        LogFile::from_sources(open(path)?, tails)
    }

    /// Opens whatever can be read at offsets.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_source(source: Arc<dyn Source>) -> Result<LogFile, LogError> {
        LogFile::from_sources(source, Vec::new())
    }

    /// Opens a log and its tail files: samples that wait for their segment are read as the others.
    ///
    /// # Errors
    /// As [`open`](Self::open), for the log alone; a tail that cannot be read is as good as none.
    pub fn from_sources(
        source: Arc<dyn Source>,
        tails: Vec<Arc<dyn Source>>,
    ) -> Result<LogFile, LogError> {
        let length = source
            .length()
            .map_err(|error| LogError::format(0, format!("the length is not known: {error}")))?;
        let (mut file, starts) = LogFile::index(&source, &tails, length)?;
        if let Some(torn) = file.torn_end(&starts)? {
            file = LogFile::index(&source, &tails, torn)?.0;
            file.length = length;
            file.tail = Tail::Damaged {
                offset: torn,
                what: "the recording was cut off here: the checksum of what follows is wrong"
                    .to_owned(),
            };
        }
        Ok(file)
    }

    /// Where the torn segments at the end begin that a crash of the machine may leave.
    ///
    /// Of a recording that was not finished, the last segments are read and compared with their checksums until one is
    /// sound, within bounds; usually that is the very last.
    fn torn_end(&self, starts: &[u64]) -> Result<Option<u64>, LogError> {
        let complete = property(&self.properties, key::COMPLETE);
        if self.run.is_none() || complete == Some(&PropertyValue::Bool(true)) {
            return Ok(None);
        }
        let source = &*self.sources[0];
        let mut walker = Walker::new(source, self.length);
        let mut scratch = Vec::new();
        let mut torn = None;
        for start in starts.iter().rev().take(TORN_SEGMENTS) {
            walker.seek(*start);
            let Ok(Step::Segment(walked)) = walker.next() else {
                break;
            };
            let stamped = Stamped::parse(&walked)?;
            let sound = stamped.header_sound
                && Some(stamped.data_crc(source, &mut scratch)?) == stamped.stamp.data_crc;
            if sound || self.length - start > TORN_BYTES {
                break;
            }
            torn = Some(*start);
        }
        Ok(torn)
    }

    /// Takes in the segments before `length` and then what the tails have.
    fn index(
        source: &Arc<dyn Source>,
        tails: &[Arc<dyn Source>],
        length: u64,
    ) -> Result<(LogFile, Vec<u64>), LogError> {
        let mut index = Index::default();
        let mut walker = Walker::new(&**source, length);
        let mut tail = Tail::Whole;
        let mut starts = Vec::new();
        let covers = tail_covers(tails);
        let mut scratch = Vec::new();
        loop {
            let offset = walker.position();
            let whole = match walker.next() {
                Ok(Step::End) => break,
                Ok(Step::CutOff) => Ok(false),
                Ok(Step::Segment(walked)) => {
                    if covers.is_empty() {
                        index.add(&walked)
                    } else {
                        index.add_unless_torn(&walked, &covers, &**source, &mut scratch)
                    }
                }
                Err(error) => Err(error),
            };
            match whole {
                Ok(true) => starts.push(offset),
                Ok(false) => {
                    tail = Tail::Unfinished { offset };
                    break;
                }
                Err(LogError::Format { offset: at, what }) if offset > 0 || !covers.is_empty() => {
                    tail = Tail::Damaged { offset: at, what };
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let mut sources = vec![Arc::clone(source)];
        for tail in tails {
            index.source = sources.len() as u32;
            // Whatever is wrong with a tail, its sound part counts.
            let _ = index.add_tail(&**tail);
            sources.push(Arc::clone(tail));
        }
        Ok((index.finish(sources, length, tail), starts))
    }

    /// Properties of the file.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The groups in the order of the file, the housekeeping group among them.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// Holes in the samples, as the blocks after them tell, and those noted at the end.
    pub fn gaps(&self) -> &[StreamGap] {
        &self.gaps
    }

    /// How the file ends.
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Events noted while recording: host time in Unix nanoseconds, text.
    ///
    /// # Errors
    /// [`LogError::Format`] for a damaged table.
    pub fn events(&self) -> Result<Vec<(i64, String)>, LogError> {
        let times = self.column("event.host_time_ns")?;
        let Some(group) = self.groups.iter().position(Group::is_housekeeping) else {
            return Ok(Vec::new());
        };
        let channels = &self.groups[group].channels;
        let Some(at) = channels
            .iter()
            .position(|channel| channel.name == "event.text")
        else {
            return Ok(Vec::new());
        };
        let texts = self.read_text(group, at, 0..channels[at].len)?;
        Ok(times
            .into_iter()
            .map(|time| time as i64)
            .zip(texts)
            .collect())
    }

    /// The records of triggers, in the order of the file, from the stamps of their segments.
    ///
    /// # Errors
    /// None at present.
    pub fn records(&self) -> Result<Vec<PlacedRecord>, LogError> {
        Ok(self.records.clone())
    }

    /// Readings of the clocks that belong together, each with the index of its stream.
    ///
    /// # Errors
    /// [`LogError::Format`] for a damaged table.
    pub fn clock_pairs(&self) -> Result<Vec<(u32, ClockPair)>, LogError> {
        let stream = self.column("clock.stream")?;
        let sample = self.column("clock.sample")?;
        let monotonic = self.column("clock.monotonic_ns")?;
        let utc = self.column("clock.utc_ns")?;
        let row = |at: usize| {
            let pair = ClockPair {
                sample: *sample.get(at)?,
                monotonic_ns: *monotonic.get(at)? as i64,
                utc_ns: *utc.get(at)? as i64,
            };
            Some((*stream.get(at)? as u32, pair))
        };
        Ok((0..stream.len()).map_while(row).collect())
    }

    /// True if the recording was finished in order.
    pub fn is_complete(&self) -> bool {
        self.tail == Tail::Whole
            && property(&self.properties, key::COMPLETE) == Some(&PropertyValue::Bool(true))
    }

    /// Identity of the run, for files of this project.
    pub fn run(&self) -> Option<RunId> {
        self.run
    }

    /// Number of segments with data.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// Bytes of the file when it was opened.
    pub fn file_len(&self) -> u64 {
        self.length
    }

    fn channel(&self, group: usize, channel: usize) -> Result<&Channel, LogError> {
        self.groups
            .get(group)
            .and_then(|group| group.channels.get(channel))
            .ok_or_else(|| {
                LogError::Range(format!("There is no channel {channel} in group {group}."))
            })
    }

    fn pieces(&self, channel: &Channel) -> &[Piece] {
        self.pieces[channel.id].get_or_init(|| {
            let runs: Vec<Option<u32>> = self
                .layouts
                .iter()
                .map(|layout| {
                    let at = layout
                        .runs
                        .iter()
                        .position(|run| run.channel as usize == channel.id);
                    at.map(|at| at as u32)
                })
                .collect();
            let mut pieces = Vec::new();
            let mut first = 0;
            for (at, segment) in self.segments.iter().enumerate() {
                if let Some(run) = runs[segment.layout as usize] {
                    let values = self.layouts[segment.layout as usize].runs[run as usize].count
                        * segment.chunks;
                    if values > 0 {
                        pieces.push(Piece {
                            first,
                            segment: at as u32,
                            run,
                        });
                        first += values;
                    }
                }
            }
            pieces
        })
    }

    fn check_range(channel: &Channel, range: &Range<u64>) -> Result<(), LogError> {
        if range.start > range.end || range.end > channel.len {
            return Err(LogError::Range(format!(
                "{} has {} samples; {} to {} were asked for.",
                channel.name, channel.len, range.start, range.end
            )));
        }
        Ok(())
    }

    /// Reads recorded values, little-endian, into `out`, which has room for exactly `range`.
    ///
    /// # Errors
    /// [`LogError::Range`], [`LogError::Unsupported`] for text and NI-DAQmx raw data, and errors of the medium.
    pub fn read_raw(
        &self,
        group: usize,
        channel: usize,
        range: Range<u64>,
        out: &mut [u8],
    ) -> Result<(), LogError> {
        let channel = self.channel(group, channel)?;
        LogFile::check_range(channel, &range)?;
        let size = channel
            .data_type
            .size()
            .ok_or_else(|| LogError::Unsupported("text as numbers".to_owned()))?;
        if (range.end - range.start).checked_mul(size as u64) != Some(out.len() as u64) {
            return Err(LogError::Range(format!(
                "The buffer for {} samples of {} has {} bytes.",
                range.end - range.start,
                channel.name,
                out.len()
            )));
        }
        let mut rest = out;
        self.each_stretch(channel, range, |stretch| {
            let (target, after) =
                std::mem::take(&mut rest).split_at_mut(stretch.count as usize * size);
            rest = after;
            stretch.read(size, target)
        })
    }

    /// Calls `visit` for each stretch of values that lies in one chunk.
    fn each_stretch(
        &self,
        channel: &Channel,
        range: Range<u64>,
        mut visit: impl FnMut(Stretch<'_>) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        if range.is_empty() {
            return Ok(());
        }
        let pieces = self.pieces(channel);
        let mut at = pieces
            .partition_point(|piece| piece.first <= range.start)
            .saturating_sub(1);
        let mut position = range.start;
        while position < range.end {
            let piece = &pieces[at];
            let segment = &self.segments[piece.segment as usize];
            let layout = &self.layouts[segment.layout as usize];
            if layout.daqmx {
                return Err(LogError::Unsupported(format!(
                    "NI-DAQmx raw data (channel {})",
                    channel.name
                )));
            }
            let run = &layout.runs[piece.run as usize];
            let inside = position - piece.first;
            let (chunk, from) = (inside / run.count, inside % run.count);
            let count = (run.count - from).min(range.end - position);
            let base = segment.data_at + chunk * layout.chunk_bytes;
            visit(Stretch {
                source: &*self.sources[segment.source as usize],
                layout,
                run,
                base,
                from,
                count,
            })?;
            position += count;
            if chunk + 1 == segment.chunks && from + count == run.count {
                at += 1;
            }
        }
        Ok(())
    }

    /// Reads physical values into `out`, which has room for exactly `range`.
    ///
    /// # Errors
    /// As [`read_raw`](Self::read_raw), and [`LogError::Unsupported`] for unknown scales.
    pub fn read_scaled(
        &self,
        group: usize,
        channel: usize,
        range: Range<u64>,
        out: &mut [f64],
    ) -> Result<(), LogError> {
        let (at, channel) = (channel, self.channel(group, channel)?);
        LogFile::check_range(channel, &range)?;
        if range.end - range.start != out.len() as u64 {
            return Err(LogError::Range(format!(
                "The buffer for {} samples of {} has room for {}.",
                range.end - range.start,
                channel.name,
                out.len()
            )));
        }
        let scale = channel.scale()?;
        let size = channel
            .data_type
            .size()
            .ok_or_else(|| LogError::Unsupported("text as numbers".to_owned()))?;
        // Small enough to stay in the processor's cache between reading and scaling.
        let step = (SCRATCH / 4 / size).min(out.len().max(1));
        let mut scratch = vec![0; step * size];
        let mut from = range.start;
        for part in out.chunks_mut(step) {
            let to = from + part.len() as u64;
            let raw = &mut scratch[..part.len() * size];
            self.read_raw(group, at, from..to, raw)?;
            scale::apply(&scale, channel.data_type, raw, part)?;
            from = to;
        }
        Ok(())
    }

    /// Reads the values of a text channel.
    ///
    /// # Errors
    /// [`LogError::Range`], [`LogError::Unsupported`] for other channels, [`LogError::Format`] for damaged text.
    pub fn read_text(
        &self,
        group: usize,
        channel: usize,
        range: Range<u64>,
    ) -> Result<Vec<String>, LogError> {
        let channel = self.channel(group, channel)?;
        LogFile::check_range(channel, &range)?;
        if channel.data_type != DataType::String {
            return Err(LogError::Unsupported(format!(
                "the {} values of {} as text",
                channel.data_type, channel.name
            )));
        }
        let mut texts = Vec::new();
        self.each_stretch(channel, range, |stretch| {
            let Stretch {
                source,
                layout,
                run,
                base,
                from,
                count,
            } = stretch;
            let at = base + run.offset;
            let damaged =
                |what: &str| LogError::format(at, format!("the text of {} {what}", channel.name));
            // The index was checked: the ends fit into the run, and the run fits into the file.
            let mut bytes = vec![0; run.bytes as usize];
            source
                .read_exact_at(&mut bytes, at)
                .map_err(|error| damaged(&format!("cannot be read: {error}")))?;
            let (ends, characters) = bytes.split_at(run.count as usize * 4);
            let (ends, _) = ends.as_chunks::<4>();
            let end = |index: u64| {
                let bytes = ends[index as usize];
                match layout.big_endian {
                    true => u32::from_be_bytes(bytes) as usize,
                    false => u32::from_le_bytes(bytes) as usize,
                }
            };
            for index in from..from + count {
                let start = match index {
                    0 => 0,
                    index => end(index - 1),
                };
                let value = characters
                    .get(start..end(index))
                    .ok_or_else(|| damaged("ends outside of its segment"))?;
                let value = std::str::from_utf8(value).map_err(|_| damaged("is not UTF-8"))?;
                texts.push(value.to_owned());
            }
            Ok(())
        })?;
        Ok(texts)
    }

    /// All values of a housekeeping channel, as numbers.
    fn column(&self, name: &str) -> Result<Vec<u64>, LogError> {
        let group = self.groups.iter().position(Group::is_housekeeping);
        let found = group.and_then(|group| {
            let at = self.groups[group]
                .channels
                .iter()
                .position(|c| c.name == name)?;
            Some((group, at))
        });
        let Some((group, at)) = found else {
            return Ok(Vec::new());
        };
        let channel = &self.groups[group].channels[at];
        let size = channel
            .data_type
            .size()
            .filter(|size| *size <= 8)
            .unwrap_or(8);
        let mut bytes = vec![0; channel.len as usize * size];
        self.read_raw(group, at, 0..channel.len, &mut bytes)?;
        Ok(bytes
            .chunks_exact(size)
            .map(|value| {
                let mut word = [0; 8];
                word[..size].copy_from_slice(value);
                u64::from_le_bytes(word)
            })
            .collect())
    }

    /// The gaps that no block follows are in the gap table alone.
    pub(crate) fn gaps_at_end(&self) -> Result<Vec<StreamGap>, LogError> {
        let at_end = self.column("gap.at_end")?;
        if !at_end.contains(&1) {
            return Ok(Vec::new());
        }
        let columns = [
            self.column("gap.stream")?,
            self.column("gap.first_sample")?,
            self.column("gap.count")?,
            self.column("gap.cause")?,
            self.column("gap.host_time_ns")?,
        ];
        let mut streams: Vec<&str> = Vec::new();
        for group in self.groups.iter().filter(|group| !group.is_housekeeping()) {
            if !streams.contains(&group.stream()) {
                streams.push(group.stream());
            }
        }
        let mut gaps = Vec::new();
        for (row, _) in at_end
            .iter()
            .enumerate()
            .filter(|(_, at_end)| **at_end == 1)
        {
            let get = |column: usize| columns[column].get(row).copied();
            let values = (get(0), get(1), get(2), get(3), get(4));
            let (Some(stream), Some(first_sample), Some(count), Some(cause), Some(time)) = values
            else {
                continue;
            };
            let name = streams
                .get(stream as usize)
                .copied()
                .unwrap_or_default()
                .to_owned();
            gaps.push(StreamGap {
                stream: name,
                gap: Gap {
                    first_sample,
                    count: (count != LOST_UNKNOWN).then_some(count),
                    cause: GapCause::from_u32(cause as u32),
                    host_time_ns: time as i64,
                },
            });
        }
        Ok(gaps)
    }
}

/// From which sample on a tail file has samples of a stream.
struct Cover {
    run: RunId,
    stream: String,
    first: u64,
}

/// What the tails begin with.
fn tail_covers(tails: &[Arc<dyn Source>]) -> Vec<Cover> {
    let mut covers = Vec::new();
    for tail in tails {
        let mut walker = Walker::new(&**tail, tail.length().unwrap_or(0));
        let Ok(Step::Segment(walked)) = walker.next() else {
            continue;
        };
        if let Ok(stamped) = Stamped::parse(&walked)
            && stamped.header_sound
            && let (Some(run), Some(first), Some(group)) = (
                stamped.stamp.run,
                stamped.stamp.first_sample,
                &stamped.group,
            )
        {
            let said = stamped.streams.iter().find(|(named, _)| named == group);
            covers.push(Cover {
                run,
                stream: said.map_or(group, |(_, stream)| stream).clone(),
                first,
            });
        }
    }
    covers
}

/// Properties of which the last value counts, found quickly however many there are.
#[derive(Default)]
struct PropertyMap {
    list: Properties,
    at: HashMap<String, usize>,
}

impl PropertyMap {
    fn set(&mut self, name: &str, value: PropertyValue) {
        match self.at.get(name) {
            Some(at) => self.list[*at].1 = value,
            None => {
                self.at.insert(name.to_owned(), self.list.len());
                self.list.push((name.to_owned(), value));
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Root,
    Group(usize),
    Channel(usize),
}

struct Object {
    path: Box<str>,
    kind: Kind,
    properties: PropertyMap,
}

struct ChannelEntry {
    object: usize,
    group: usize,
    name: String,
    data_type: Option<DataType>,
    /// The last raw-data index: values and bytes per chunk, and whether it was NI-DAQmx's own.
    last: Option<(u64, u64, bool)>,
    /// Place in the active list, valid if there.
    active: Option<usize>,
}

/// The active object list of TDMS, and everything learnt from metadata so far.
#[derive(Default)]
struct Index {
    objects: Vec<Object>,
    by_path: HashMap<Box<str>, usize>,
    /// Objects of the last metadata in order: the next ones are mostly the same.
    last_order: Vec<usize>,
    groups: Vec<(String, usize)>,
    group_by_name: HashMap<String, usize>,
    channels: Vec<ChannelEntry>,
    /// Channels with raw data in the current segment, in order.
    active: Vec<usize>,
    layouts: Vec<Arc<Layout>>,
    layout_by_content: HashMap<Arc<Layout>, u32>,
    current_layout: Option<u32>,
    segments: Vec<Segment>,
    gaps: Vec<StreamGap>,
    records: Vec<PlacedRecord>,
    next_sample: HashMap<String, u64>,
    /// Values that the channels of each stream have by now.
    values: HashMap<String, u64>,
    /// Streams of the groups in the tails.
    stream_of: HashMap<String, String>,
    run: Option<RunId>,
    /// Which source the segments are of.
    source: u32,
}

impl Index {
    /// Takes in a segment unless a tail has the same samples and the segment's are torn: it was not safe yet when the
    /// machine stopped, and the tail was.
    fn add_unless_torn(
        &mut self,
        walked: &Walked<'_>,
        covers: &[Cover],
        source: &dyn Source,
        scratch: &mut Vec<u8>,
    ) -> Result<bool, LogError> {
        let stamped = Stamped::parse(walked)?;
        if let (Some(block), Some(group)) = (stamped.stamp.block(), &stamped.group)
            && !stamped.unfinished
        {
            for (group, stream) in &stamped.streams {
                self.stream_of.insert(group.clone(), stream.clone());
            }
            let stream = self.stream_of.get(group).unwrap_or(group);
            let end = block.first_sample.saturating_add(block.samples);
            let covered = covers.iter().any(|cover| {
                Some(cover.run) == stamped.stamp.run && cover.stream == *stream && cover.first < end
            });
            if covered
                && (!stamped.header_sound
                    || Some(stamped.data_crc(source, scratch)?) != stamped.stamp.data_crc)
            {
                return Err(LogError::format(
                    walked.offset,
                    "the segment is torn; its samples are in the tail",
                ));
            }
        }
        self.add(walked)
    }

    /// Takes in the segments of a tail file that the log does not have.
    fn add_tail(&mut self, tail: &dyn Source) -> Result<(), LogError> {
        let length = tail
            .length()
            .map_err(|error| LogError::format(0, format!("the length is not known: {error}")))?;
        let mut walker = Walker::new(tail, length);
        let mut scratch = Vec::new();
        while let Step::Segment(walked) = walker.next()? {
            let stamped = Stamped::parse(&walked)?;
            let same_run = self.run.is_none() || stamped.stamp.run == self.run;
            if !stamped.header_sound
                || !same_run
                || stamped.unfinished
                || stamped.data_crc(tail, &mut scratch).ok() != stamped.stamp.data_crc
            {
                break;
            }
            for (group, stream) in &stamped.streams {
                self.stream_of.insert(group.clone(), stream.clone());
            }
            let stream = stamped
                .group
                .as_ref()
                .map(|group| self.stream_of.get(group).unwrap_or(group));
            let next = stream
                .and_then(|stream| self.next_sample.get(stream))
                .copied()
                .unwrap_or(0);
            if stamped
                .stamp
                .first_sample
                .is_some_and(|first| first >= next)
            {
                self.add(&walked)?;
            }
        }
        Ok(())
    }

    /// Takes in one segment; false if its data are not whole and nothing of them counts.
    fn add(&mut self, walked: &Walked<'_>) -> Result<bool, LogError> {
        let mask = walked.lead_in.toc;
        let mut stamp = Stamp::default();
        let mut layout_may_change = mask & toc::META_DATA != 0;
        if mask & toc::META_DATA != 0 {
            if walked.unfinished && self.run.is_some() {
                return Ok(false);
            }
            self.metadata(walked, &mut stamp)?;
        }
        if stamp.run.is_some() && self.run.is_none() {
            self.run = stamp.run;
        }
        if walked.unfinished && stamp.run.is_some() {
            self.forget_first();
            return Ok(false);
        }
        let interleaved = mask & toc::INTERLEAVED != 0;
        let big_endian = walked.big_endian();
        if let Some(current) = self.current_layout {
            let layout = &self.layouts[current as usize];
            layout_may_change |=
                layout.interleaved != interleaved || layout.big_endian != big_endian;
        } else {
            layout_may_change = true;
        }
        if mask & toc::RAW_DATA != 0 && walked.end > walked.data_at {
            if layout_may_change {
                self.current_layout = Some(self.layout(walked, interleaved, big_endian)?);
            }
            let Some(current) = self.current_layout else {
                return Ok(true);
            };
            let layout = &self.layouts[current as usize];
            let bytes = walked.end - walked.data_at;
            if layout.chunk_bytes == 0 {
                return Err(LogError::format(
                    walked.offset,
                    format!("{bytes} bytes of raw data belong to no channel"),
                ));
            }
            let chunks = bytes / layout.chunk_bytes;
            // Multiplied here once with checks, so that no later sum over the file can overflow.
            for run in &layout.runs {
                run.count.checked_mul(chunks).ok_or_else(|| {
                    LogError::format(walked.offset, "the number of values is impossible")
                })?;
            }
            if chunks > 0 {
                self.segments.push(Segment {
                    data_at: walked.data_at,
                    chunks,
                    layout: current,
                    source: self.source,
                });
            }
        }
        self.note_gap(&stamp);
        Ok(!walked.unfinished)
    }

    /// The very first segment is not whole: its objects exist, its values do not.
    fn forget_first(&mut self) {
        self.current_layout = None;
    }

    fn metadata(&mut self, walked: &Walked<'_>, stamp: &mut Stamp) -> Result<(), LogError> {
        let big = walked.big_endian();
        let base = walked.offset + 28;
        let mut reader = MetadataReader::new(walked.metadata, base, big);
        if walked.lead_in.toc & toc::NEW_OBJECT_LIST != 0 {
            for channel in self.active.drain(..) {
                self.channels[channel].active = None;
            }
        }
        let count = reader.u32()?;
        let mut order = std::mem::take(&mut self.last_order);
        for position in 0..count as usize {
            let path = reader.text()?;
            let object = match order.get(position) {
                Some(expected) if *self.objects[*expected].path == *path => *expected,
                _ => self.object(path, base)?,
            };
            match order.get_mut(position) {
                Some(slot) => *slot = object,
                None => order.push(object),
            }
            let kind = self.objects[object].kind;
            let index = reader.index()?;
            match kind {
                Kind::Channel(channel) => self.set_index(channel, index, base)?,
                Kind::Root | Kind::Group(_) => {
                    if !matches!(index, IndexEntry::None) {
                        return Err(LogError::format(
                            base,
                            format!("{path} is no channel and has raw data"),
                        ));
                    }
                }
            }
            let housekeeping = match kind {
                Kind::Group(group) => self.groups[group].0 == HOUSEKEEPING,
                _ => false,
            };
            for _ in 0..reader.u32()? {
                let property = reader.property()?;
                if housekeeping && stamp.accept(&property) {
                    continue;
                }
                let value = property.decode(big).ok_or_else(|| {
                    LogError::format(base, format!("the property {} is damaged", property.name))
                })?;
                self.objects[object].properties.set(property.name, value);
            }
        }
        order.truncate(count as usize);
        self.last_order = order;
        Ok(())
    }

    fn object(&mut self, path: &str, base: u64) -> Result<usize, LogError> {
        if let Some(object) = self.by_path.get(path) {
            return Ok(*object);
        }
        let names = split_path(path)
            .ok_or_else(|| LogError::format(base, format!("{path:?} is no object path")))?;
        let object = self.objects.len();
        let mut names = names.into_iter();
        let kind = match (names.next(), names.next()) {
            (None, _) => Kind::Root,
            (Some(group), None) => Kind::Group(self.group(group, Some(object))),
            (Some(group), Some(name)) => {
                let group = self.group(group, None);
                self.channels.push(ChannelEntry {
                    object,
                    group,
                    name,
                    data_type: None,
                    last: None,
                    active: None,
                });
                Kind::Channel(self.channels.len() - 1)
            }
        };
        self.objects.push(Object {
            path: path.into(),
            kind,
            properties: PropertyMap::default(),
        });
        self.by_path.insert(path.into(), object);
        Ok(object)
    }

    fn group(&mut self, name: String, object: Option<usize>) -> usize {
        const NONE: usize = usize::MAX;
        let at = match self.group_by_name.get(&name) {
            Some(at) => *at,
            None => {
                self.groups.push((name.clone(), NONE));
                self.group_by_name.insert(name, self.groups.len() - 1);
                self.groups.len() - 1
            }
        };
        if let Some(object) = object {
            self.groups[at].1 = object;
        }
        at
    }

    fn set_index(&mut self, channel: usize, index: IndexEntry, base: u64) -> Result<(), LogError> {
        let entry = &mut self.channels[channel];
        let wrong = |what: String| Err(LogError::format(base, what));
        match index {
            IndexEntry::None => {
                if let Some(at) = entry.active.take() {
                    self.active.remove(at);
                    for (at, channel) in self.active.iter().enumerate().skip(at) {
                        self.channels[*channel].active = Some(at);
                    }
                }
                return Ok(());
            }
            IndexEntry::AsBefore => {
                if entry.last.is_none() {
                    return wrong(format!(
                        "{} has its raw data as before, and there is no before",
                        entry.name
                    ));
                }
            }
            IndexEntry::Values {
                data_type,
                count,
                bytes,
            } => {
                if entry.data_type.is_some_and(|before| before != data_type) {
                    return wrong(format!(
                        "the data type of {} changes within the file",
                        entry.name
                    ));
                }
                let bytes = match (data_type.size(), bytes) {
                    (Some(size), _) => count.checked_mul(size as u64),
                    (None, Some(bytes)) => count
                        .checked_mul(4)
                        .filter(|ends| *ends <= bytes)
                        .and(Some(bytes)),
                    (None, None) => None,
                };
                let Some(bytes) = bytes else {
                    return wrong(format!(
                        "the size of the raw data of {} is impossible",
                        entry.name
                    ));
                };
                entry.data_type = Some(data_type);
                entry.last = Some((count, bytes, false));
            }
            IndexEntry::Daqmx => entry.last = Some((0, 0, true)),
        }
        if entry.active.is_none() {
            entry.active = Some(self.active.len());
            self.active.push(channel);
        }
        Ok(())
    }

    /// The layout of the current segment's chunks.
    fn layout(
        &mut self,
        walked: &Walked<'_>,
        interleaved: bool,
        big_endian: bool,
    ) -> Result<u32, LogError> {
        let wrong = |what: &str| LogError::format(walked.offset, what.to_owned());
        let mut runs = Vec::with_capacity(self.active.len());
        let mut chunk_bytes = 0u64;
        let mut row = 0u64;
        let mut daqmx = walked.lead_in.toc & toc::DAQMX_RAW != 0;
        for channel in &self.active {
            let entry = &self.channels[*channel];
            let (count, bytes, own) = entry.last.unwrap_or((0, 0, false));
            daqmx |= own;
            let data_type = entry.data_type.unwrap_or(DataType::F64);
            runs.push(Run {
                channel: *channel as u32,
                data_type,
                count,
                bytes,
                offset: if interleaved { row } else { chunk_bytes },
            });
            row += data_type.size().unwrap_or(0) as u64;
            chunk_bytes = chunk_bytes
                .checked_add(bytes)
                .ok_or_else(|| wrong("the raw data are impossibly large"))?;
        }
        if daqmx {
            return Err(LogError::Unsupported("NI-DAQmx raw data".to_owned()));
        }
        if interleaved {
            let same = runs.windows(2).all(|pair| pair[0].count == pair[1].count);
            let sized = runs.iter().all(|run| run.data_type.size().is_some());
            if !same || !sized {
                return Err(wrong("interleaved channels have different lengths"));
            }
        }
        if let Some(current) = self.current_layout {
            let layout = &self.layouts[current as usize];
            if layout.runs == runs
                && layout.interleaved == interleaved
                && layout.big_endian == big_endian
            {
                return Ok(current);
            }
        }
        let layout = Arc::new(Layout {
            runs,
            chunk_bytes,
            interleaved,
            big_endian,
            daqmx,
        });
        let next = self.layouts.len() as u32;
        let at = *self
            .layout_by_content
            .entry(Arc::clone(&layout))
            .or_insert(next);
        if at == next {
            self.layouts.push(layout);
        }
        Ok(at)
    }

    /// Name of the stream whose data the current segment has.
    fn active_stream(&self) -> Option<String> {
        let group = self.channels[*self.active.first()?].group;
        let (name, object) = &self.groups[group];
        let properties = self.objects.get(*object).map(|object| &object.properties);
        let stream = properties.and_then(|map| property(&map.list, key::STREAM));
        Some(
            stream
                .and_then(PropertyValue::as_str)
                .unwrap_or(name)
                .to_owned(),
        )
    }

    fn note_gap(&mut self, stamp: &Stamp) {
        let Some(block) = stamp.block() else {
            return;
        };
        let Some(stream) = self.active_stream() else {
            return;
        };
        if block.lost_before != 0 {
            let count = (block.lost_before != LOST_UNKNOWN).then_some(block.lost_before);
            let first_sample = match count {
                Some(count) => block.first_sample.saturating_sub(count),
                None => self.next_sample.get(&stream).copied().unwrap_or(0),
            };
            self.gaps.push(StreamGap {
                stream: stream.clone(),
                gap: Gap {
                    first_sample,
                    count,
                    cause: GapCause::from_u32(block.gap),
                    host_time_ns: block.host_time_ns,
                },
            });
        }
        self.note_record(&stream, &block);
        self.next_sample
            .insert(stream, block.first_sample.saturating_add(block.samples));
    }

    fn note_record(&mut self, stream: &str, block: &BlockStamp) {
        let values = match self.values.get_mut(stream) {
            Some(values) => values,
            None => self.values.entry(stream.to_owned()).or_default(),
        };
        let first_value = *values;
        *values = first_value.saturating_add(block.samples);
        let Some(record) = block.record else {
            return;
        };
        // Streams are numbered in the order in which their groups first appear.
        let mut known: Vec<&str> = Vec::new();
        for (group, _) in self.groups.iter().filter(|(name, _)| name != HOUSEKEEPING) {
            let name = self.stream_of.get(group).unwrap_or(group);
            if !known.contains(&name.as_str()) {
                known.push(name);
            }
        }
        let number = known.iter().position(|name| *name == stream).unwrap_or(0) as u32;
        match self.records.last_mut() {
            Some(last)
                if last.stream == number
                    && last.record == record
                    && last.first_sample.saturating_add(last.samples) == block.first_sample =>
            {
                last.samples = last.samples.saturating_add(block.samples);
            }
            _ => self.records.push(PlacedRecord {
                stream: number,
                first_value,
                samples: block.samples,
                first_sample: block.first_sample,
                record,
            }),
        }
    }

    fn finish(self, sources: Vec<Arc<dyn Source>>, length: u64, tail: Tail) -> LogFile {
        let mut chunks_of = vec![0u64; self.layouts.len()];
        for segment in &self.segments {
            chunks_of[segment.layout as usize] += segment.chunks;
        }
        let mut lengths = vec![0u64; self.channels.len()];
        for (layout, chunks) in self.layouts.iter().zip(&chunks_of) {
            for run in &layout.runs {
                let values = run.count.saturating_mul(*chunks);
                lengths[run.channel as usize] =
                    lengths[run.channel as usize].saturating_add(values);
            }
        }
        let mut properties: Vec<Properties> = self
            .objects
            .into_iter()
            .map(|object| object.properties.list)
            .collect();
        let mut take = |object: usize| {
            properties
                .get_mut(object)
                .map(std::mem::take)
                .unwrap_or_default()
        };
        let root = self
            .by_path
            .get("/")
            .map(|object| take(*object))
            .unwrap_or_default();
        let mut groups: Vec<Group> = self
            .groups
            .into_iter()
            .map(|(name, object)| Group {
                name,
                properties: take(object),
                channels: Vec::new(),
            })
            .collect();
        let channel_count = self.channels.len();
        for (id, entry) in self.channels.into_iter().enumerate() {
            groups[entry.group].channels.push(Channel {
                name: entry.name,
                data_type: entry.data_type.unwrap_or(DataType::F64),
                len: lengths[id],
                properties: take(entry.object),
                id,
            });
        }
        let layouts = {
            drop(self.layout_by_content);
            self.layouts
                .into_iter()
                .filter_map(Arc::into_inner)
                .collect::<Vec<_>>()
        };
        let mut file = LogFile {
            sources,
            properties: root,
            groups,
            layouts,
            segments: self.segments,
            pieces: std::iter::repeat_with(OnceLock::new)
                .take(channel_count)
                .collect(),
            gaps: self.gaps,
            records: self.records,
            tail,
            run: self.run,
            length,
        };
        // A damaged gap table must not hide the samples; verify tells about it.
        if let Ok(gaps) = file.gaps_at_end() {
            file.gaps.extend(gaps);
        }
        file
    }
}
