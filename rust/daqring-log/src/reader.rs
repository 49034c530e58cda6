//! Reading a log: an index of its segments, and slices of its channels in bounded memory.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::chunk::{Layout, Rows, Run, SCRATCH, Stretch};
use crate::error::LogError;
use crate::layout::{
    ClockPair, DataType, Gap, GapCause, LOST_UNKNOWN, PlacedRecord, Properties, PropertyValue,
    StreamGap, property,
};
use crate::scale::{Origin, Scaling};
use crate::segment::{
    BlockStamp, DaqmxIndex, HOUSEKEEPING, IndexEntry, MetadataReader, RunId, Stamp, key,
    split_path, toc,
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
    /// Number of its scaling.
    id: usize,
    /// Its values, or those of each of its DAQmx scalers with the scaler's number.
    tracks: Vec<Track>,
}

/// Values of one type that a channel has in the file.
#[derive(Debug, Clone, Copy)]
struct Track {
    id: u32,
    data_type: DataType,
    scaler: Option<u32>,
    len: u64,
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
    /// Index in its stream of the group's first sample, for files of this project.
    pub first_sample: Option<u64>,
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

struct Segment {
    data_at: u64,
    chunks: u64,
    layout: u32,
    source: u32,
}

/// Values of one channel from `first` on are in segment `segment`.
#[derive(Clone, Copy)]
struct Piece {
    first: u64,
    segment: u32,
    run: u32,
}

/// Recorded numbers that lie side by side in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainRun {
    /// Where in the file.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// Index of the group.
    pub group: usize,
    /// Index of the channel in its group.
    pub channel: usize,
    /// Number of the first value in its channel.
    pub first: u64,
}

/// A file opened for reading. Reads go through the operating system's cache; no thread is excluded.
pub struct LogFile {
    /// The log, then its tails.
    sources: Vec<Arc<dyn Source>>,
    properties: Properties,
    groups: Vec<Group>,
    layouts: Vec<Layout>,
    segments: Vec<Segment>,
    /// Per track, made when first needed.
    pieces: Vec<OnceLock<Vec<Piece>>>,
    /// Per channel, made when first needed.
    scalings: Vec<OnceLock<Result<Arc<Scaling>, String>>>,
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
            let sound = stamped.header_sound && stamped.data_sound(source, &mut scratch)?;
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

    /// How the recorded values of a channel become physical ones: by its own scales, or else its group's or its
    /// file's.
    ///
    /// # Errors
    /// [`LogError::Unsupported`] for scales that this reader does not know, [`LogError::Range`].
    pub fn scaling(&self, group: usize, channel: usize) -> Result<Arc<Scaling>, LogError> {
        let entry = self.channel(group, channel)?;
        let read = || {
            for properties in [
                &entry.properties,
                &self.groups[group].properties,
                &self.properties,
            ] {
                match Scaling::from_properties(properties) {
                    Ok(None) => {}
                    Ok(Some(scaling)) => return Ok(Arc::new(scaling)),
                    Err(LogError::Unsupported(what)) => return Err(what),
                    Err(other) => return Err(other.to_string()),
                }
            }
            Ok(Arc::new(Scaling::none()))
        };
        self.scalings[entry.id]
            .get_or_init(read)
            .clone()
            .map_err(LogError::Unsupported)
    }

    /// True where physical values are other than the recorded ones, or cannot be made of them.
    pub fn is_scaled(&self, group: usize, channel: usize) -> bool {
        let Ok(entry) = self.channel(group, channel) else {
            return false;
        };
        match self.scaling(group, channel) {
            Ok(scaling) if scaling.is_identity() => {
                // Another scaler's values than the first one's.
                entry.track(scaling.plain_origin()).map(|track| track.id)
                    != entry.tracks.first().map(|track| track.id)
            }
            _ => true,
        }
    }

    /// First values of the pieces in which the values of a channel lie in the file: one per segment.
    ///
    /// # Errors
    /// [`LogError::Range`].
    pub fn segment_starts(&self, group: usize, channel: usize) -> Result<Vec<u64>, LogError> {
        let channel = self.channel(group, channel)?;
        let track = channel.tracks.first();
        Ok(track.map_or_else(Vec::new, |track| {
            self.pieces(track.id)
                .iter()
                .map(|piece| piece.first)
                .collect()
        }))
    }

    /// Where recorded numbers lie in the file as numpy has them: little-endian, side by side, in whole bytes. In the
    /// order of the file, for some of its segments (of [`segment_count`](Self::segment_count)).
    pub fn plain_runs(&self, segments: Range<usize>) -> Vec<PlainRun> {
        let mut owners = vec![None; self.pieces.len()];
        for (group, entry) in self.groups.iter().enumerate() {
            for (channel, entry) in entry.channels.iter().enumerate() {
                if let [track] = entry.tracks.as_slice() {
                    owners[track.id as usize] = Some((group, channel));
                }
            }
        }
        let mut found = Vec::new();
        for at in segments.start..segments.end.min(self.segments.len()) {
            let segment = &self.segments[at];
            let layout = &self.layouts[segment.layout as usize];
            if segment.source != 0 || layout.big_endian {
                continue;
            }
            let begin = found.len();
            for run in &layout.runs {
                let Some((group, channel)) = owners[run.track as usize] else {
                    continue;
                };
                if !run.contiguous() || run.bit.is_some() || run.count == 0 {
                    continue;
                }
                let pieces = self.pieces(run.track);
                let place = pieces.partition_point(|piece| (piece.segment as usize) < at);
                let Some(piece) = pieces.get(place) else {
                    continue;
                };
                for chunk in 0..segment.chunks {
                    found.push(PlainRun {
                        offset: segment.data_at + chunk * layout.chunk_bytes + run.base,
                        bytes: run.count * run.stride,
                        group,
                        channel,
                        first: piece.first + chunk * run.count,
                    });
                }
            }
            found[begin..].sort_by_key(|run| run.offset);
        }
        found
    }

    fn pieces(&self, track: u32) -> &[Piece] {
        self.pieces[track as usize].get_or_init(|| {
            let runs: Vec<Option<u32>> = self
                .layouts
                .iter()
                .map(|layout| {
                    let at = layout.runs.iter().position(|run| run.track == track);
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
        if channel.tracks.len() > 1 {
            return Err(LogError::Unsupported(format!(
                "the recorded values of {} as one array: it has {} NI-DAQmx scalers; read scaled values",
                channel.name,
                channel.tracks.len()
            )));
        }
        match channel.tracks.first() {
            Some(track) => self.read_track(track, range, out, &mut Rows::default()),
            None => Ok(()),
        }
    }

    /// Reads recorded values of several channels of a group, as [`read_raw`](Self::read_raw) does for one; those of
    /// interleaved data in one pass.
    ///
    /// # Errors
    /// As [`read_raw`](Self::read_raw).
    pub fn read_raw_many(
        &self,
        group: usize,
        channels: &[usize],
        range: Range<u64>,
        outs: &mut [&mut [u8]],
    ) -> Result<(), LogError> {
        let mut rows = Rows::default();
        for window in self.windows(group, channels, range.clone())? {
            for (channel, out) in channels.iter().zip(outs.iter_mut()) {
                let entry = self.channel(group, *channel)?;
                let size = entry.data_type.size().unwrap_or(0) as u64;
                let [track] = entry.tracks.as_slice() else {
                    self.read_raw(group, *channel, range.clone(), out)?;
                    continue;
                };
                LogFile::check_range(entry, &range)?;
                let place = |value: u64| ((value - range.start) * size) as usize;
                let part = out.get_mut(place(window.start)..place(window.end));
                let part = part.ok_or_else(|| {
                    LogError::Range(format!("The buffer for {} is too small.", entry.name))
                })?;
                self.read_track(track, window.clone(), part, &mut rows)?;
            }
        }
        Ok(())
    }

    /// Reads physical values of several channels of a group, as [`read_scaled`](Self::read_scaled) does for one;
    /// those of interleaved data in one pass.
    ///
    /// # Errors
    /// As [`read_scaled`](Self::read_scaled).
    pub fn read_scaled_many(
        &self,
        group: usize,
        channels: &[usize],
        range: Range<u64>,
        outs: &mut [&mut [f64]],
    ) -> Result<(), LogError> {
        let mut rows = Rows::default();
        for window in self.windows(group, channels, range.clone())? {
            for (channel, out) in channels.iter().zip(outs.iter_mut()) {
                let place = |value: u64| (value - range.start) as usize;
                let part = out.get_mut(place(window.start)..place(window.end));
                let part = part.ok_or_else(|| {
                    LogError::Range("The buffer for scaled values is too small.".to_owned())
                })?;
                self.read_scaled_rows(group, *channel, window.clone(), part, &mut rows)?;
            }
        }
        Ok(())
    }

    /// Divides a range so that the channels of interleaved data find the rows that another has read.
    fn windows(
        &self,
        group: usize,
        channels: &[usize],
        range: Range<u64>,
    ) -> Result<Vec<Range<u64>>, LogError> {
        let mut widest = 0;
        for channel in channels {
            let entry = self.channel(group, *channel)?;
            LogFile::check_range(entry, &range)?;
            for layout in &self.layouts {
                for track in &entry.tracks {
                    let run = layout.runs.iter().find(|run| run.track == track.id);
                    if let Some(run) = run.filter(|run| !run.contiguous()) {
                        widest = widest.max(run.stride);
                    }
                }
            }
        }
        if widest == 0 || channels.len() < 2 {
            return Ok(vec![range]);
        }
        let step = (SCRATCH as u64 / 4 / widest).max(1);
        let mut windows = Vec::new();
        let mut from = range.start;
        while from < range.end {
            let to = from.saturating_add(step).min(range.end);
            windows.push(from..to);
            from = to;
        }
        Ok(windows)
    }

    fn read_track(
        &self,
        track: &Track,
        range: Range<u64>,
        out: &mut [u8],
        rows: &mut Rows,
    ) -> Result<(), LogError> {
        let size = track.data_type.size().unwrap_or(1);
        let mut rest = out;
        self.each_stretch(track, range, |stretch| {
            let (target, after) =
                std::mem::take(&mut rest).split_at_mut(stretch.count as usize * size);
            rest = after;
            stretch.read(size, target, rows)
        })
    }

    /// Calls `visit` for each stretch of values that lies in one chunk, or in several whose rows follow each other.
    fn each_stretch(
        &self,
        track: &Track,
        range: Range<u64>,
        mut visit: impl FnMut(Stretch<'_>) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        if range.is_empty() {
            return Ok(());
        }
        let pieces = self.pieces(track.id);
        let mut at = pieces
            .partition_point(|piece| piece.first <= range.start)
            .saturating_sub(1);
        let mut position = range.start;
        while position < range.end {
            let Some(piece) = pieces.get(at) else {
                return Err(LogError::Range("There are fewer samples.".to_owned()));
            };
            let segment = &self.segments[piece.segment as usize];
            let layout = &self.layouts[segment.layout as usize];
            let run = &layout.runs[piece.run as usize];
            let inside = position - piece.first;
            let total = run.count * segment.chunks;
            // Where chunks are nothing but rows, all of them are as one.
            let one = run.stride.checked_mul(run.count) == Some(layout.chunk_bytes);
            let length = if one { total } else { run.count };
            let (chunk, from) = (inside / length, inside % length);
            let count = (length - from).min(range.end - position);
            visit(Stretch {
                source: &*self.sources[segment.source as usize],
                number: segment.source,
                layout,
                run,
                chunk: segment.data_at + chunk * layout.chunk_bytes,
                from,
                count,
            })?;
            position += count;
            if inside + count == total {
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
        LogFile::check_range(self.channel(group, channel)?, &range)?;
        self.read_scaled_rows(group, channel, range, out, &mut Rows::default())
    }

    fn read_scaled_rows(
        &self,
        group: usize,
        channel: usize,
        range: Range<u64>,
        out: &mut [f64],
        rows: &mut Rows,
    ) -> Result<(), LogError> {
        let entry = self.channel(group, channel)?;
        if range.end - range.start != out.len() as u64 {
            return Err(LogError::Range(format!(
                "The buffer for {} samples of {} has room for {}.",
                range.end - range.start,
                entry.name,
                out.len()
            )));
        }
        let scaling = self.scaling(group, channel)?;
        let mut tracks = Vec::new();
        let mut row = 0;
        for origin in scaling.origins() {
            let track = entry.track(*origin).ok_or_else(|| {
                LogError::Unsupported(format!("{}: it has no values for {origin:?}", entry.name))
            })?;
            let size = track
                .data_type
                .size()
                .ok_or_else(|| LogError::Unsupported("text as numbers".to_owned()))?;
            if track.len != entry.len {
                return Err(LogError::Unsupported(format!(
                    "{}, whose NI-DAQmx scalers have different numbers of values",
                    entry.name
                )));
            }
            row += size;
            tracks.push((track, size));
        }
        // Small enough to stay in the processor's cache between reading and scaling.
        let step = (SCRATCH / 4 / row.max(1)).min(out.len()).max(1);
        let mut raw: Vec<Vec<u8>> = tracks
            .iter()
            .map(|(_, size)| vec![0; step * size])
            .collect();
        let mut scratch = Vec::new();
        let mut from = range.start;
        for part in out.chunks_mut(step) {
            let to = from + part.len() as u64;
            let mut values = Vec::with_capacity(tracks.len());
            for ((track, size), bytes) in tracks.iter().zip(&mut raw) {
                let bytes = &mut bytes[..part.len() * size];
                self.read_track(track, from..to, bytes, rows)?;
                values.push((track.data_type, &*bytes));
            }
            scaling.apply(&values, part, &mut scratch)?;
            from = to;
        }
        Ok(())
    }

    /// The least and the greatest physical value between each two of the `edges`, which rise; NaN where there is none.
    ///
    /// # Errors
    /// As [`read_scaled`](Self::read_scaled), and where the places do not fit the edges.
    pub fn envelope(
        &self,
        group: usize,
        channel: usize,
        edges: &[u64],
        least: &mut [f64],
        greatest: &mut [f64],
    ) -> Result<(), LogError> {
        let places = edges.len().saturating_sub(1);
        let rising = edges.windows(2).all(|pair| pair[0] <= pair[1]);
        if least.len() != places || greatest.len() != places || !rising {
            return Err(LogError::Range(
                "An envelope needs rising edges, and a place less than those.".to_owned(),
            ));
        }
        least.fill(f64::NAN);
        greatest.fill(f64::NAN);
        let (Some(first), Some(last)) = (edges.first(), edges.last()) else {
            return Ok(());
        };
        LogFile::check_range(self.channel(group, channel)?, &(*first..*last))?;
        let mut scratch = vec![0.0; (SCRATCH / 8).min((last - first) as usize)];
        let mut rows = Rows::default();
        let (mut position, mut bucket) = (*first, 0);
        while position < *last {
            let end = (position + scratch.len() as u64).min(*last);
            let values = &mut scratch[..(end - position) as usize];
            self.read_scaled_rows(group, channel, position..end, values, &mut rows)?;
            let mut done = 0;
            while done < values.len() {
                while edges[bucket + 1] <= position + done as u64 {
                    bucket += 1;
                }
                let until = ((edges[bucket + 1] - position) as usize).min(values.len());
                let (mut low, mut high) = (least[bucket], greatest[bucket]);
                for value in &values[done..until] {
                    low = low.min(*value);
                    high = high.max(*value);
                }
                (least[bucket], greatest[bucket]) = (low, high);
                done = until;
            }
            position = end;
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
        let Some(track) = channel.tracks.first() else {
            return Ok(texts);
        };
        self.each_stretch(track, range, |stretch| {
            let Stretch {
                source,
                layout,
                run,
                chunk,
                from,
                count,
                ..
            } = stretch;
            let at = chunk + run.base;
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
    tracks: Vec<Track>,
    last: Option<LastIndex>,
    /// Place in the active list, valid if there.
    active: Option<usize>,
    /// It is in the active list and has data in the current segment.
    has_data: bool,
}

/// The last raw-data index of a channel.
enum LastIndex {
    /// Values and bytes per chunk.
    Values(u64, u64),
    Daqmx(DaqmxIndex),
}

impl ChannelEntry {
    /// Notes values of a type under the number of a scaler, or of none.
    fn track(
        &mut self,
        scaler: Option<u32>,
        data_type: DataType,
        tracks: &mut u32,
        base: u64,
    ) -> Result<(), LogError> {
        let same = |track: &&Track| track.scaler == scaler;
        let fits = match self.tracks.iter().find(same) {
            Some(track) => track.data_type == data_type,
            // Values of its own and those of scalers do not go together.
            None => self
                .tracks
                .iter()
                .all(|track| track.scaler.is_some() == scaler.is_some()),
        };
        if !fits {
            let what = format!("the data type of {} changes within the file", self.name);
            return Err(LogError::format(base, what));
        }
        if !self.tracks.iter().any(|track| track.scaler == scaler) {
            self.tracks.push(Track {
                id: *tracks,
                data_type,
                scaler,
                len: 0,
            });
            *tracks += 1;
        }
        Ok(())
    }
}

impl Channel {
    fn track(&self, origin: Origin) -> Option<&Track> {
        match origin {
            Origin::Values => self.tracks.first(),
            Origin::Scaler(number) => {
                let mut tracks = self.tracks.iter();
                tracks.find(|track| track.scaler.is_none_or(|scaler| scaler == number))
            }
        }
    }
}

/// Where the scalers of NI-DAQmx raw data find their values: each chunk has the rows of one buffer after the other.
fn daqmx_runs(channels: &[&ChannelEntry], offset: u64) -> Result<(Vec<Run>, u64), LogError> {
    let wrong = |what: &str| LogError::format(offset, what.to_owned());
    let indexes = channels.iter().filter_map(|channel| match &channel.last {
        Some(LastIndex::Daqmx(index)) => Some((*channel, index)),
        _ => None,
    });
    let indexes: Vec<(&ChannelEntry, &DaqmxIndex)> = indexes.collect();
    let widths = indexes
        .first()
        .map_or(&[][..], |(_, index)| &index.widths[..]);
    let mut counts = vec![0u64; widths.len()];
    for (_, index) in &indexes {
        if index.widths != widths {
            return Err(wrong(
                "channels of NI-DAQmx raw data tell of different rows",
            ));
        }
        for scaler in &index.scalers {
            let count = counts.get_mut(scaler.buffer as usize);
            let count = count.ok_or_else(|| wrong("a NI-DAQmx scaler is in no buffer"))?;
            *count = index.count.max(*count);
        }
    }
    let mut bases = Vec::with_capacity(widths.len());
    let mut chunk_bytes = 0u64;
    for (width, count) in widths.iter().zip(&counts) {
        bases.push(chunk_bytes);
        chunk_bytes = count
            .checked_mul(u64::from(*width))
            .and_then(|bytes| bytes.checked_add(chunk_bytes))
            .ok_or_else(|| wrong("the raw data are impossibly large"))?;
    }
    let mut runs = Vec::new();
    for (channel, index) in indexes {
        for scaler in &index.scalers {
            let size = scaler.data_type.size().unwrap_or(0) as u64;
            let width = u64::from(widths[scaler.buffer as usize]);
            if u64::from(scaler.offset) + size > width {
                return Err(wrong("a NI-DAQmx scaler lies outside of its row"));
            }
            let number = index.data_type.is_none().then_some(scaler.id);
            let track = channel.tracks.iter().find(|track| track.scaler == number);
            runs.push(Run {
                track: track.map_or(0, |track| track.id),
                data_type: scaler.data_type,
                count: index.count,
                bytes: index.count * size,
                base: bases[scaler.buffer as usize],
                stride: width,
                offset: u64::from(scaler.offset),
                bit: scaler.bit,
            });
        }
    }
    Ok((runs, chunk_bytes))
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
    /// Channels that the current segment may have raw data of, in order.
    active: Vec<usize>,
    /// Number of tracks so far.
    tracks: u32,
    layouts: Vec<Arc<Layout>>,
    layout_by_content: HashMap<Arc<Layout>, u32>,
    current_layout: Option<u32>,
    /// There were metadata since.
    layout_may_change: bool,
    segments: Vec<Segment>,
    gaps: Vec<StreamGap>,
    records: Vec<PlacedRecord>,
    next_sample: HashMap<String, u64>,
    /// Values that the channels of each stream have by now.
    values: HashMap<String, u64>,
    /// Per group, the first sample of its first block.
    first_samples: HashMap<usize, u64>,
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
            if covered && (!stamped.header_sound || !stamped.data_sound(source, scratch)?) {
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
            if !stamped.is_of(self.run)
                || stamped.unfinished
                || !stamped.data_sound(tail, &mut scratch).unwrap_or(false)
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
        // Also metadata of segments before that had no data.
        self.layout_may_change |= mask & toc::META_DATA != 0;
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
            self.layout_may_change |=
                layout.interleaved != interleaved || layout.big_endian != big_endian;
        } else {
            self.layout_may_change = true;
        }
        if mask & toc::RAW_DATA != 0 && walked.end > walked.data_at {
            if self.layout_may_change {
                self.current_layout = Some(self.layout(walked, interleaved, big_endian)?);
                self.layout_may_change = false;
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
            let (chunks, rest) = (bytes / layout.chunk_bytes, bytes % layout.chunk_bytes);
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
            if rest > 0
                && let Some(layout) = self.partial(current, rest, walked.unfinished)
            {
                self.segments.push(Segment {
                    data_at: walked.data_at + bytes - rest,
                    chunks: 1,
                    layout,
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
                self.channels[channel].has_data = false;
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
                    tracks: Vec::new(),
                    last: None,
                    active: None,
                    has_data: false,
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
        // A channel keeps its place among the others also while it has no data.
        if entry.active.is_none() {
            entry.active = Some(self.active.len());
            self.active.push(channel);
        }
        entry.has_data = !matches!(index, IndexEntry::None);
        match index {
            IndexEntry::None => {}
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
                entry.track(None, data_type, &mut self.tracks, base)?;
                entry.data_type = Some(data_type);
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
                entry.last = Some(LastIndex::Values(count, bytes));
            }
            IndexEntry::Daqmx(daqmx) => {
                for scaler in &daqmx.scalers {
                    let number = daqmx.data_type.is_none().then_some(scaler.id);
                    entry.track(number, scaler.data_type, &mut self.tracks, base)?;
                }
                entry.data_type = entry.tracks.first().map(|track| track.data_type);
                entry.last = Some(LastIndex::Daqmx(daqmx));
            }
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
        let channels = self.active.iter().map(|channel| &self.channels[*channel]);
        let channels: Vec<&ChannelEntry> = channels.filter(|channel| channel.has_data).collect();
        let of_daqmx = channels
            .iter()
            .filter(|channel| matches!(channel.last, Some(LastIndex::Daqmx(_))))
            .count();
        let (runs, chunk_bytes) = if of_daqmx > 0 {
            if of_daqmx != channels.len() {
                return Err(LogError::Unsupported(
                    "segments that have both NI-DAQmx raw data and other data".to_owned(),
                ));
            }
            daqmx_runs(&channels, walked.offset)?
        } else {
            let mut runs = Vec::with_capacity(channels.len());
            let (mut chunk_bytes, mut row) = (0u64, 0u64);
            // A single channel of text is not interleaved, whatever the segment says.
            let text = |entry: &&ChannelEntry| entry.data_type == Some(DataType::String);
            let interleaved = interleaved && !(channels.len() == 1 && channels.iter().all(text));
            for entry in &channels {
                let Some(LastIndex::Values(count, bytes)) = entry.last else {
                    continue;
                };
                let data_type = entry.data_type.unwrap_or(DataType::F64);
                let size = data_type.size().unwrap_or(0) as u64;
                runs.push(Run {
                    track: entry.tracks.first().map_or(0, |track| track.id),
                    data_type,
                    count,
                    bytes,
                    base: if interleaved { 0 } else { chunk_bytes },
                    stride: size,
                    offset: if interleaved { row } else { 0 },
                    bit: None,
                });
                row += size;
                chunk_bytes = chunk_bytes
                    .checked_add(bytes)
                    .ok_or_else(|| wrong("the raw data are impossibly large"))?;
            }
            if interleaved {
                let same = runs.windows(2).all(|pair| pair[0].count == pair[1].count);
                let sized = runs.iter().all(|run| run.stride > 0);
                if !same || !sized {
                    return Err(wrong("interleaved channels have different lengths"));
                }
                runs.iter_mut().for_each(|run| run.stride = row);
            }
            (runs, chunk_bytes)
        };
        if let Some(current) = self.current_layout {
            let layout = &self.layouts[current as usize];
            if layout.runs == runs
                && layout.interleaved == interleaved
                && layout.big_endian == big_endian
            {
                return Ok(current);
            }
        }
        Ok(self.keep_layout(Layout {
            runs,
            chunk_bytes,
            interleaved,
            big_endian,
        }))
    }

    fn keep_layout(&mut self, layout: Layout) -> u32 {
        let layout = Arc::new(layout);
        let next = self.layouts.len() as u32;
        let at = *self
            .layout_by_content
            .entry(Arc::clone(&layout))
            .or_insert(next);
        if at == next {
            self.layouts.push(layout);
        }
        at
    }

    /// The layout of a last chunk of which there are only `bytes`; `None` if no value is whole.
    ///
    /// What of it counts is what npTDMS reads: of interleaved data whole rows, of a segment that was cut off the
    /// values one channel after the other, of one that was not the same share of each channel.
    fn partial(&mut self, layout: u32, bytes: u64, unfinished: bool) -> Option<u32> {
        let whole = &self.layouts[layout as usize];
        let mut runs = whole.runs.clone();
        if runs.iter().any(|run| run.stride == 0) {
            return None;
        }
        let rows = runs
            .iter()
            .any(|run| !run.contiguous() || run.bit.is_some());
        let share = |count: u64| {
            (u128::from(count) * u128::from(bytes) / u128::from(whole.chunk_bytes)) as u64
        };
        if rows {
            for run in &mut runs {
                let there = bytes.saturating_sub(run.base) / run.stride;
                run.count = run.count.min(there);
            }
        } else {
            let (mut left, mut base) = (bytes, 0);
            for run in &mut runs {
                let full = run.count;
                run.count = match unfinished {
                    true => run.count.min(left / run.stride),
                    false => share(run.count),
                };
                run.bytes = run.count * run.stride;
                // Behind a channel that is cut off there is nothing.
                left = if run.count < full {
                    0
                } else {
                    left.saturating_sub(run.bytes)
                };
                if !unfinished {
                    run.base = base;
                }
                base += run.bytes;
            }
        }
        if runs.iter().all(|run| run.count == 0) {
            return None;
        }
        let (interleaved, big_endian) = (whole.interleaved, whole.big_endian);
        Some(self.keep_layout(Layout {
            runs,
            chunk_bytes: bytes,
            interleaved,
            big_endian,
        }))
    }

    /// The group whose data the current segment has.
    fn active_group(&self) -> Option<usize> {
        let mut channels = self.active.iter().map(|channel| &self.channels[*channel]);
        channels
            .find(|channel| channel.has_data)
            .map(|channel| channel.group)
    }

    /// Name of the stream whose data the current segment has.
    fn active_stream(&self) -> Option<String> {
        let group = self.active_group()?;
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
        if let Some(group) = self.active_group() {
            self.first_samples
                .entry(group)
                .or_insert(block.first_sample);
        }
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
        let mut lengths = vec![0u64; self.tracks as usize];
        for (layout, chunks) in self.layouts.iter().zip(&chunks_of) {
            for run in &layout.runs {
                let values = run.count.saturating_mul(*chunks);
                lengths[run.track as usize] = lengths[run.track as usize].saturating_add(values);
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
            .enumerate()
            .map(|(at, (name, object))| Group {
                name,
                properties: take(object),
                channels: Vec::new(),
                first_sample: self.first_samples.get(&at).copied(),
            })
            .collect();
        let channel_count = self.channels.len();
        for (id, mut entry) in self.channels.into_iter().enumerate() {
            for track in &mut entry.tracks {
                track.len = lengths[track.id as usize];
            }
            let len = entry.tracks.iter().map(|track| track.len).max();
            groups[entry.group].channels.push(Channel {
                name: entry.name,
                data_type: entry.data_type.unwrap_or(DataType::F64),
                len: len.unwrap_or(0),
                properties: take(entry.object),
                id,
                tracks: entry.tracks,
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
                .take(self.tracks as usize)
                .collect(),
            scalings: std::iter::repeat_with(OnceLock::new)
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
