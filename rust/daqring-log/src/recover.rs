//! Brings back what a crash or a damaged medium has left of a log.
//!
//! Everything that both checksums vouch for is kept; everything else is left out, and the file says so: samples that
//! are missing become a gap, with a group of its own behind it as for any gap.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::LogError;
use crate::layout::{
    ClockPair, Gap, GapCause, LOST_UNKNOWN, Properties, PropertyValue, Timestamp, property,
};
use crate::rotate::with_suffix;
use crate::segment::{
    ALIGN, BlockStamp, HOUSEKEEPING, HeaderBuilder, IndexEntry, MetadataReader, RawIndex, RunId,
    Seal, crc32c, key, path, split_path,
};
use crate::source::{FileSource, Source};
use crate::stamped::{Stamped, find_header};
use crate::storage::{DirectIo, Disk, Medium, Storage};
use crate::stream::describe;
use crate::tables::{BlockRow, ClockRow, EventRow, GapRow, RecordRow, Tables};
use crate::tail::tail_paths;
use crate::walk::{Step, Walker};

/// Where the recovered log goes.
#[derive(Debug, Clone, Default)]
pub struct RecoverOptions {
    /// The copy's name; by default `NAME.recovered.EXT` beside the log.
    pub output: Option<PathBuf>,
    /// Replace an existing output.
    pub overwrite: bool,
    /// Cut and complete the file itself instead of making a copy. Only the end of a file can be repaired so.
    pub in_place: bool,
}

/// What came back of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveredStream {
    /// The stream's name.
    pub name: String,
    /// Samples per channel in the recovered log.
    pub samples: u64,
    /// Of these, samples that were in the tail file.
    pub from_tail: u64,
    /// Samples per channel that were recorded and could not be brought back.
    pub missing: u64,
}

/// What recovery did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoverReport {
    /// The recovered log.
    pub output: PathBuf,
    /// Per stream.
    pub streams: Vec<RecoveredStream>,
    /// Segments with samples that were kept.
    pub segments: u64,
    /// Those of them that were recorded without a checksum: nobody knows whether their data are what was written.
    pub unchecked: u64,
    /// Bytes of the log that were left out, and where they began.
    pub discarded: Vec<(u64, u64)>,
    /// The recording had been finished in order.
    pub was_finished: bool,
}

impl RecoverReport {
    /// Recorded data could not be brought back.
    pub fn lost(&self) -> bool {
        !self.discarded.is_empty() || self.streams.iter().any(|stream| stream.missing > 0)
    }
}

impl fmt::Display for RecoverReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.output.display())?;
        let streams: Vec<String> = self
            .streams
            .iter()
            .map(|stream| {
                let mut text = format!("{} {} samples per channel", stream.name, stream.samples);
                if stream.from_tail > 0 {
                    text += &format!(" ({} from its tail file)", stream.from_tail);
                }
                if stream.missing > 0 {
                    text += &format!(", {} missing", stream.missing);
                }
                text
            })
            .collect();
        match streams.is_empty() {
            true => write!(f, "no samples")?,
            false => write!(f, "{}", streams.join("; "))?,
        }
        write!(f, " in {} segments", self.segments)?;
        if self.unchecked > 0 {
            let count = self.unchecked;
            write!(
                f,
                " ({count} of them recorded without checksums: their data not checked)"
            )?;
        }
        let bytes: u64 = self.discarded.iter().map(|(_, length)| length).sum();
        if bytes > 0 {
            write!(
                f,
                "; {bytes} bytes in {} places discarded, the first at byte {}",
                self.discarded.len(),
                self.discarded[0].0
            )?;
        }
        Ok(())
    }
}

/// Recovers a log and its tail files.
///
/// # Errors
/// [`LogError::Exists`] for an output that exists, [`LogError::Unrecoverable`] for damage that cannot be repaired in
/// place and for files of other programs, and the system's own errors. The log itself is never changed unless
/// [`RecoverOptions::in_place`].
pub fn recover(log: impl AsRef<Path>, options: &RecoverOptions) -> Result<RecoverReport, LogError> {
    let log = log.as_ref();
    let open = |path: &Path| -> Result<Arc<dyn Source>, LogError> {
        let source = FileSource::open(path).map_err(|error| LogError::io("open", path, error))?;
        Ok(Arc::new(source))
    };
    let tails = tail_paths(log);
    let sources = tails
        .iter()
        .map(|tail| open(tail))
        .collect::<Result<Vec<_>, _>>()?;
    let source = open(log)?;
    if options.in_place {
        let report = in_place(log, source, &sources)?;
        for tail in tails {
            std::fs::remove_file(&tail).map_err(|error| LogError::io("remove", &tail, error))?;
        }
        return Ok(report);
    }
    let output = options
        .output
        .clone()
        .unwrap_or_else(|| with_suffix(log, ".recovered"));
    if same_file(log, &output) {
        return Err(LogError::Exists(output));
    }
    recover_sources(source, sources, Arc::new(Disk), &output, options.overwrite)
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Recovers whatever can be read at offsets into a file of `medium`.
///
/// # Errors
/// As [`recover`].
pub fn recover_sources(
    source: Arc<dyn Source>,
    tails: Vec<Arc<dyn Source>>,
    medium: Arc<dyn Medium>,
    output: &Path,
    overwrite: bool,
) -> Result<RecoverReport, LogError> {
    let mut scan = Scan::default();
    scan.log(&*source)?;
    for (at, tail) in tails.iter().enumerate() {
        // Whatever is wrong with a tail, its sound part counts.
        let _ = scan.tail(&**tail, at + 1);
    }
    if scan.run.is_none() {
        return Err(LogError::Unrecoverable(
            "no sound segment of a daqring log is in it".to_owned(),
        ));
    }
    let storage = medium
        .create(output, overwrite, DirectIo::Off)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => LogError::Exists(output.to_path_buf()),
            io::ErrorKind::WouldBlock => LogError::Locked(output.to_path_buf()),
            _ => LogError::io("create", output, error),
        })?;
    let mut sources = vec![source];
    sources.extend(tails);
    let mut copy = Copy::new(storage, output, scan.run);
    let written = copy.everything(&scan, &sources).and_then(|()| {
        copy.sync()?;
        medium
            .sync_directory(output)
            .map_err(|error| LogError::io("sync", output, error))
    });
    if let Err(error) = written {
        drop(copy);
        // Half a copy helps nobody; the log itself is untouched.
        let _ = medium.remove(output);
        return Err(error);
    }
    Ok(copy.report(&scan))
}

/// One object of a header, decoded.
struct Object {
    names: Vec<String>,
    index: RawIndex,
    properties: Properties,
}

/// A segment with samples that both checksums vouch for.
struct Sound {
    source: usize,
    stamped: Stamped,
    block: BlockStamp,
    group: String,
}

/// What a log has in it.
#[derive(Default)]
struct Scan {
    run: Option<RunId>,
    sound: Vec<Sound>,
    /// Last values of the properties of each object, by names.
    properties: BTreeMap<Vec<String>, Properties>,
    /// Stream of each group.
    stream_of: HashMap<String, String>,
    /// Streams in the order of the log.
    streams: Vec<String>,
    discarded: Vec<(u64, u64)>,
    finished: bool,
    events: Vec<EventRow>,
    clocks: Vec<ClockRow>,
    gaps_at_end: Vec<GapRow>,
    /// Samples of the sound segments by stream: first, and the one after the last.
    kept: HashMap<String, BTreeMap<u64, u64>>,
    /// Sound segments that the log's own block table has.
    in_tables: usize,
    /// End of the last sound segment, and how many segments there are before it.
    end: u64,
    segments: u64,
}

fn decode(stamped: &Stamped, metadata: &[u8]) -> Result<Vec<Object>, LogError> {
    let mut reader = MetadataReader::new(metadata, stamped.offset + 28, false);
    let mut objects = Vec::new();
    for _ in 0..reader.u32()? {
        let path = reader.text()?;
        let names = split_path(path).unwrap_or_default();
        let index = match reader.index()? {
            IndexEntry::Values {
                data_type,
                count,
                bytes: Some(bytes),
            } if data_type.size().is_none() => RawIndex::Text { count, bytes },
            IndexEntry::Values {
                data_type, count, ..
            } => RawIndex::Values { data_type, count },
            _ => RawIndex::None,
        };
        let mut properties = Vec::new();
        for _ in 0..reader.u32()? {
            let property = reader.property()?;
            if let Some(value) = property.decode(false) {
                properties.push((property.name.to_owned(), value));
            }
        }
        objects.push(Object {
            names,
            index,
            properties,
        });
    }
    Ok(objects)
}

fn set(list: &mut Properties, name: &str, value: PropertyValue) {
    match list.iter_mut().find(|(key, _)| key == name) {
        Some((_, old)) => *old = value,
        None => list.push((name.to_owned(), value)),
    }
}

impl Scan {
    fn log(&mut self, source: &dyn Source) -> Result<(), LogError> {
        let length = source
            .length()
            .map_err(|error| LogError::format(0, format!("the length is not known: {error}")))?;
        let mut walker = Walker::new(source, length);
        let mut scratch = Vec::new();
        loop {
            let offset = walker.position();
            let mut taken = None;
            match walker.next() {
                Ok(Step::End) => return Ok(()),
                Ok(Step::Segment(walked)) => {
                    if let Ok(stamped) = Stamped::parse(&walked)
                        && stamped.is_of(self.run)
                        && stamped.stamp.run.is_some()
                        && !stamped.unfinished
                        && stamped.announced == Some(stamped.end - stamped.data_at)
                    {
                        let objects = decode(&stamped, walked.metadata)?;
                        taken = Some((stamped, objects));
                    }
                }
                Ok(Step::CutOff) => {}
                Err(LogError::Format { .. }) => {}
                Err(error) => return Err(error),
            }
            let end = match taken {
                Some((stamped, objects)) => {
                    let end = stamped.end;
                    self.run = stamped.stamp.run;
                    let data_sound = stamped.data_sound(source, &mut scratch).unwrap_or(false);
                    // The header is sound in any case, so its properties count.
                    self.learn(&objects, true);
                    self.finished |= stamped.complete == Some(true);
                    if data_sound {
                        self.keep(source, 0, stamped, &objects)?;
                        self.end = end;
                        self.segments += 1;
                    } else {
                        self.discard(offset, end - offset);
                    }
                    end
                }
                None => {
                    let next = find_header(source, length, offset + 1, self.run)?;
                    let end = next.unwrap_or(length);
                    self.discard(offset, end - offset);
                    end
                }
            };
            walker.seek(end);
        }
    }

    /// Takes the segments of a tail file that the log does not have.
    fn tail(&mut self, source: &dyn Source, number: usize) -> Result<(), LogError> {
        let length = source
            .length()
            .map_err(|error| LogError::format(0, format!("the length is not known: {error}")))?;
        let mut walker = Walker::new(source, length);
        let mut scratch = Vec::new();
        while let Step::Segment(walked) = walker.next()? {
            let stamped = Stamped::parse(&walked)?;
            if !stamped.is_of(self.run) || stamped.unfinished || stamped.stamp.run.is_none() {
                break;
            }
            self.run = stamped.stamp.run;
            let objects = decode(&stamped, walked.metadata)?;
            self.learn(&objects, false);
            let (Some(group), Some(block)) = (&stamped.group, stamped.stamp.block()) else {
                break;
            };
            let stream = self.stream(group);
            // A piece of a tail lies in the log as a whole or not at all.
            let known = self.kept.get(&stream).is_some_and(|kept| {
                let before = kept.range(..=block.first_sample).next_back();
                before.is_some_and(|(_, end)| *end > block.first_sample)
            });
            if !known && stamped.data_sound(source, &mut scratch).unwrap_or(false) {
                self.keep(source, number, stamped, &objects)?;
            }
        }
        // Behind a torn segment there may be whole ones: what the tail has instead of it goes between.
        let streams: Vec<String> = self
            .sound
            .iter()
            .map(|sound| self.stream(&sound.group))
            .collect();
        let sorted = (1..self.sound.len()).all(|at| {
            let before = (0..at).rev().find(|before| streams[*before] == streams[at]);
            before.is_none_or(|before| {
                self.sound[before].block.first_sample < self.sound[at].block.first_sample
            })
        });
        if !sorted {
            let order = self.streams.clone();
            let place = |name: &String| order.iter().position(|known| known == name);
            let mut keyed: Vec<_> = streams
                .iter()
                .map(place)
                .zip(std::mem::take(&mut self.sound))
                .collect();
            keyed.sort_by_key(|(stream, sound)| (*stream, sound.block.first_sample));
            self.sound = keyed.into_iter().map(|(_, sound)| sound).collect();
        }
        Ok(())
    }

    fn discard(&mut self, offset: u64, length: u64) {
        match self.discarded.last_mut() {
            Some((begin, before)) if *begin + *before == offset => *before += length,
            _ => self.discarded.push((offset, length)),
        }
    }

    fn stream(&self, group: &str) -> String {
        if let Some(stream) = self.stream_of.get(group) {
            return stream.clone();
        }
        // The segment that named the stream is gone; the name of the group still tells.
        match group.rsplit_once(" #") {
            Some((base, number))
                if number.parse::<u32>().is_ok() && self.stream_of.contains_key(base) =>
            {
                base.to_owned()
            }
            _ => group.to_owned(),
        }
    }

    /// Learns the objects' properties. What a tail says does not replace what the log says.
    fn learn(&mut self, objects: &[Object], replace: bool) {
        for object in objects {
            if object
                .names
                .first()
                .is_some_and(|group| group == HOUSEKEEPING)
            {
                continue;
            }
            if let [group] = object.names.as_slice() {
                let said =
                    property(&object.properties, key::STREAM).and_then(PropertyValue::as_str);
                if let Some(stream) = said {
                    self.stream_of.insert(group.clone(), stream.to_owned());
                }
                let stream = self.stream(group);
                if !self.streams.contains(&stream) {
                    self.streams.push(stream);
                }
            }
            let known = self.properties.entry(object.names.clone()).or_default();
            for (name, value) in &object.properties {
                if replace || property(known, name).is_none() {
                    set(known, name, value.clone());
                }
            }
        }
    }

    fn keep(
        &mut self,
        source: &dyn Source,
        number: usize,
        stamped: Stamped,
        objects: &[Object],
    ) -> Result<(), LogError> {
        if let (Some(group), Some(block)) = (stamped.group.clone(), stamped.stamp.block()) {
            let end = block.first_sample.saturating_add(block.samples);
            let stream = self.stream(&group);
            self.kept
                .entry(stream)
                .or_default()
                .insert(block.first_sample, end);
            self.sound.push(Sound {
                source: number,
                stamped,
                block,
                group,
            });
        } else if number == 0 {
            self.tables(source, &stamped, objects)?;
            self.in_tables = self.sound.len();
        }
        Ok(())
    }

    /// Takes the rows of the log's own tables that cannot be made again.
    fn tables(
        &mut self,
        source: &dyn Source,
        stamped: &Stamped,
        objects: &[Object],
    ) -> Result<(), LogError> {
        let mut data = vec![0; (stamped.end - stamped.data_at) as usize];
        source
            .read_exact_at(&mut data, stamped.data_at)
            .map_err(|error| {
                LogError::format(stamped.data_at, format!("reading failed: {error}"))
            })?;
        let mut columns: HashMap<&str, (usize, &[u8])> = HashMap::new();
        let mut rest = data.as_slice();
        for object in objects {
            let (size, bytes) = match object.index {
                // The tables of a log are never NI-DAQmx raw data.
                RawIndex::None | RawIndex::Daqmx { .. } => continue,
                RawIndex::Values { data_type, count } => {
                    let size = data_type.size().unwrap_or(1);
                    (size, size * count as usize)
                }
                RawIndex::Text { count, bytes } => (count as usize, bytes as usize),
            };
            // The announced sum was compared with the segment's length before.
            let (column, after) = rest.split_at(bytes.min(rest.len()));
            rest = after;
            if let [_, name] = object.names.as_slice() {
                columns.insert(name, (size, column));
            }
        }
        let number = |name: &str, row: usize| -> Option<u64> {
            let (size, bytes) = columns.get(name)?;
            let value = bytes.get(row * size..(row + 1) * size)?;
            let mut word = [0; 8];
            word.get_mut(..*size)?.copy_from_slice(value);
            Some(u64::from_le_bytes(word))
        };
        for row in 0.. {
            let Some(at_end) = number("gap.at_end", row) else {
                break;
            };
            let gap = || {
                let count = number("gap.count", row)?;
                Some(GapRow {
                    stream: number("gap.stream", row)? as u32,
                    gap: Gap {
                        first_sample: number("gap.first_sample", row)?,
                        count: (count != LOST_UNKNOWN).then_some(count),
                        cause: GapCause::from_u32(number("gap.cause", row)? as u32),
                        host_time_ns: number("gap.host_time_ns", row)? as i64,
                    },
                    at_end: true,
                })
            };
            if at_end == 1 {
                self.gaps_at_end.extend(gap());
            }
        }
        for row in 0.. {
            let Some(stream) = number("clock.stream", row) else {
                break;
            };
            let pair = || {
                Some(ClockPair {
                    sample: number("clock.sample", row)?,
                    monotonic_ns: number("clock.monotonic_ns", row)? as i64,
                    utc_ns: number("clock.utc_ns", row)? as i64,
                })
            };
            self.clocks.extend(pair().map(|pair| ClockRow {
                stream: stream as u32,
                pair,
            }));
        }
        if let Some((count, text)) = columns.get("event.text")
            && let Some((ends, characters)) = text.split_at_checked(count * 4)
        {
            let mut begin = 0;
            for (row, end) in ends.chunks_exact(4).enumerate() {
                let end = u32::from_le_bytes([end[0], end[1], end[2], end[3]]) as usize;
                let text = characters.get(begin..end).map(String::from_utf8_lossy);
                begin = end;
                if let (Some(time), Some(text)) = (number("event.host_time_ns", row), text) {
                    self.events.push(EventRow {
                        host_time_ns: time as i64,
                        text: text.into_owned(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// Where a stream is in the copy.
#[derive(Default)]
struct Place {
    /// Group in the log that the last segment came from.
    from_group: Option<String>,
    /// First sample of that group, as far as known.
    group_first: u64,
    part: u32,
    introduced: bool,
    next: Option<u64>,
    samples: u64,
    from_tail: u64,
    missing: u64,
    part_samples: u64,
    /// Start time of the present part.
    start: Option<Timestamp>,
}

/// The recovered log being written.
struct Copy<'p> {
    storage: Box<dyn Storage>,
    path: &'p Path,
    run: RunId,
    end: u64,
    segments: u64,
    kept: u64,
    unchecked: u64,
    places: BTreeMap<String, Place>,
    tables: Tables,
}

impl<'p> Copy<'p> {
    fn new(storage: Box<dyn Storage>, path: &'p Path, run: Option<RunId>) -> Copy<'p> {
        Copy {
            storage,
            path,
            run: run.unwrap_or(RunId(0)),
            end: 0,
            segments: 0,
            kept: 0,
            unchecked: 0,
            places: BTreeMap::new(),
            tables: Tables::default(),
        }
    }

    fn append(&mut self, header: &[u8], data: &[u8]) -> Result<(), LogError> {
        self.storage
            .write(self.end, header, data)
            .map_err(|error| LogError::io("write to", self.path, error))?;
        self.end += (header.len() + data.len()) as u64;
        self.segments += 1;
        Ok(())
    }

    fn sync(&self) -> Result<(), LogError> {
        let target = self.storage.sync_target().and_then(|target| target.sync());
        target.map_err(|error| LogError::io("sync", self.path, error))
    }

    fn everything(&mut self, scan: &Scan, sources: &[Arc<dyn Source>]) -> Result<(), LogError> {
        for sound in &scan.sound {
            self.segment(scan, sound, &*sources[sound.source])?;
        }
        self.finish(scan, false)
    }

    /// Copies one segment behind a new header.
    fn segment(&mut self, scan: &Scan, sound: &Sound, source: &dyn Source) -> Result<(), LogError> {
        let stream = scan.stream(&sound.group);
        let index = scan
            .streams
            .iter()
            .position(|name| *name == stream)
            .unwrap_or(0) as u32;
        let mut stamp = sound.block;
        let first = self.segments == 0;
        let place = self.places.entry(stream.clone()).or_default();
        let known = stamp.lost_before != LOST_UNKNOWN;
        let begins = match known {
            true => stamp.first_sample.saturating_sub(stamp.lost_before),
            false => stamp.first_sample,
        };
        let gated = stamp.record.is_some() || GapCause::from_u32(stamp.gap) == GapCause::Gated;
        let expected = place.next;
        let missing = match expected {
            Some(next) if known && !gated => begins.saturating_sub(next),
            _ => 0,
        };
        if missing > 0 {
            stamp.lost_before = stamp.lost_before.saturating_add(missing);
            if stamp.gap == 0 {
                stamp.gap = GapCause::Damage as u32;
            }
        }
        let new_group = place.from_group.as_deref() != Some(sound.group.as_str());
        if new_group {
            place.group_first = match sound
                .stamped
                .streams
                .iter()
                .any(|(group, _)| *group == sound.group)
            {
                true => stamp.first_sample,
                // The group's beginning is gone: it was where the samples before it ended.
                false => expected.map_or(0, |next| {
                    next.saturating_add(if known { sound.block.lost_before } else { 0 })
                }),
            };
            place.from_group = Some(sound.group.clone());
        }
        if new_group || missing > 0 {
            place.part += 1;
            place.introduced = false;
            place.part_samples = 0;
        }
        if stamp.lost_before != 0 {
            let count = (stamp.lost_before != LOST_UNKNOWN).then_some(stamp.lost_before);
            self.tables.gaps.push(GapRow {
                stream: index,
                gap: Gap {
                    first_sample: count.map_or(expected.unwrap_or(0), |count| {
                        stamp.first_sample.saturating_sub(count)
                    }),
                    count,
                    cause: GapCause::from_u32(stamp.gap),
                    host_time_ns: stamp.host_time_ns,
                },
                at_end: false,
            });
        }
        place.next = Some(stamp.first_sample.saturating_add(stamp.samples));
        place.missing = place.missing.saturating_add(missing);
        if let Some(record) = stamp.record {
            self.tables.add_record(RecordRow {
                stream: index,
                first_value: place.samples,
                first_sample: stamp.first_sample,
                samples: stamp.samples,
                record,
            });
        }
        place.samples = place.samples.saturating_add(stamp.samples);
        place.part_samples = place.part_samples.saturating_add(stamp.samples);
        if sound.source > 0 {
            place.from_tail = place.from_tail.saturating_add(stamp.samples);
        }

        let mut header = HeaderBuilder::new(Vec::new());
        let root = match first {
            true => root_properties(scan, false),
            false => Vec::new(),
        };
        describe(&mut header, "/", RawIndex::None, &root);
        for other in &scan.streams {
            if *other == stream {
                self.describe_group(scan, &mut header, &stream, Some(sound), stamp.first_sample)?;
            } else if first {
                // All at once and in the log's order, by which the tables number them.
                describe(&mut header, &path(other, None), RawIndex::None, &[]);
            }
        }
        if !scan.streams.contains(&stream) {
            self.describe_group(scan, &mut header, &stream, Some(sound), stamp.first_sample)?;
        }
        let mut data = vec![0; (sound.stamped.end - sound.stamped.data_at) as usize];
        source
            .read_exact_at(&mut data, sound.stamped.data_at)
            .map_err(|error| {
                LogError::format(sound.stamped.data_at, format!("reading failed: {error}"))
            })?;
        // What was written without a checksum was never checked, and the copy must not say that it was.
        let unchecked = sound.stamped.is_unchecked();
        let data_crc = (!unchecked).then(|| crc32c(&data));
        if data_crc != sound.stamped.stamp.data_crc {
            return Err(LogError::format(
                sound.stamped.data_at,
                "the log changes while it is recovered",
            ));
        }
        let seal = Seal {
            run: self.run,
            segment: self.segments,
            block: Some(&stamp),
            data_crc,
        };
        let header = header.finish(&seal, data.len() as u64, ALIGN);
        self.tables.blocks.push(BlockRow {
            stream: index,
            stamp,
            crc32c: data_crc.unwrap_or(0),
            offset: self.end,
        });
        self.append(&header, &data)?;
        self.kept += 1;
        self.unchecked += u64::from(unchecked);
        if let Some(place) = self.places.get_mut(&stream) {
            place.introduced = true;
        }
        if self.tables.is_full() {
            self.write_tables(scan, false)?;
        }
        Ok(())
    }

    /// The objects of a stream's present group. `sound` gives the channels with their values; without it all of them
    /// are described once more, without values.
    fn describe_group(
        &mut self,
        scan: &Scan,
        header: &mut HeaderBuilder,
        stream: &str,
        sound: Option<&Sound>,
        first_sample: u64,
    ) -> Result<(), LogError> {
        let Some(place) = self.places.get_mut(stream) else {
            return Ok(());
        };
        let Some(from) = place.from_group.clone() else {
            return Ok(());
        };
        let name = match place.part {
            0 | 1 => stream.to_owned(),
            part => format!("{stream} #{part}"),
        };
        let intro = !place.introduced || sound.is_none();
        let mut group = Properties::new();
        if intro {
            group = scan
                .properties
                .get(&vec![from.clone()])
                .cloned()
                .unwrap_or_default();
            set(&mut group, key::STREAM, stream.into());
            set(&mut group, key::PART, PropertyValue::U32(place.part.max(1)));
        }
        describe(header, &path(&name, None), RawIndex::None, &group);
        let mut channels: Vec<(String, RawIndex)> = Vec::new();
        match sound {
            Some(sound) => {
                for content in &sound.stamped.contents {
                    let index = RawIndex::Values {
                        data_type: content.data_type,
                        count: content.count,
                    };
                    channels.push((content.channel.clone(), index));
                }
            }
            None => {
                let known = scan
                    .properties
                    .keys()
                    .filter(|names| names.len() == 2 && names[0] == from);
                channels.extend(known.map(|names| (names[1].clone(), RawIndex::None)));
            }
        }
        for (channel, index) in channels {
            let mut properties = Properties::new();
            if intro {
                let names = vec![from.clone(), channel.clone()];
                properties = scan.properties.get(&names).cloned().unwrap_or_default();
                let start = property(&properties, "wf_start_time").cloned();
                let dt = property(&properties, "wf_increment").and_then(PropertyValue::as_f64);
                if let (Some(PropertyValue::Timestamp(start)), Some(dt)) = (start, dt) {
                    if !place.introduced {
                        let later =
                            first_sample.saturating_sub(place.group_first) as f64 * dt * 1e9;
                        place.start = Some(match later {
                            0.0 => start,
                            later => Timestamp::from_unix_ns(
                                start.unix_ns().saturating_add(later.round() as i64),
                            ),
                        });
                    }
                    if let Some(start) = place.start {
                        set(
                            &mut properties,
                            "wf_start_time",
                            PropertyValue::Timestamp(start),
                        );
                    }
                    let samples = i32::try_from(place.part_samples).unwrap_or(i32::MAX);
                    set(&mut properties, "wf_samples", PropertyValue::I32(samples));
                }
            }
            describe(header, &path(&name, Some(&channel)), index, &properties);
        }
        Ok(())
    }

    fn write_tables(&mut self, scan: &Scan, last: bool) -> Result<(), LogError> {
        let mut header = HeaderBuilder::new(Vec::new());
        describe(
            &mut header,
            "/",
            RawIndex::None,
            &root_properties(scan, last),
        );
        if last {
            for stream in &scan.streams {
                self.describe_group(scan, &mut header, stream, None, 0)?;
            }
        }
        let data = self.tables.take(&mut header);
        let seal = Seal {
            run: self.run,
            segment: self.segments,
            block: None,
            data_crc: Some(crc32c(&data)),
        };
        let header = header.finish(&seal, data.len() as u64, ALIGN);
        self.append(&header, &data)
    }

    /// The tables and the final properties.
    fn finish(&mut self, scan: &Scan, only_new: bool) -> Result<(), LogError> {
        if !only_new {
            let row = |row: &EventRow| EventRow {
                host_time_ns: row.host_time_ns,
                text: row.text.clone(),
            };
            self.tables.events.extend(scan.events.iter().map(row));
            let row = |row: &ClockRow| ClockRow {
                stream: row.stream,
                pair: row.pair,
            };
            self.tables.clocks.extend(scan.clocks.iter().map(row));
            let row = |row: &GapRow| GapRow {
                stream: row.stream,
                gap: row.gap,
                at_end: true,
            };
            self.tables.gaps.extend(scan.gaps_at_end.iter().map(row));
        }
        if !scan.finished {
            // Nobody knows what the recording would have brought after its last sound segment.
            for (at, stream) in scan.streams.iter().enumerate() {
                if let Some(next) = self.places.get(stream).and_then(|place| place.next) {
                    self.tables.gaps.push(GapRow {
                        stream: at as u32,
                        gap: Gap {
                            first_sample: next,
                            count: None,
                            cause: GapCause::Unknown,
                            host_time_ns: 0,
                        },
                        at_end: true,
                    });
                }
            }
        }
        self.write_tables(scan, true)?;
        self.storage
            .truncate(self.end)
            .map_err(|error| LogError::io("finish", self.path, error))
    }

    fn report(&self, scan: &Scan) -> RecoverReport {
        let streams = scan.streams.iter().filter_map(|name| {
            let place = self.places.get(name)?;
            Some(RecoveredStream {
                name: name.clone(),
                samples: place.samples,
                from_tail: place.from_tail,
                missing: place.missing,
            })
        });
        RecoverReport {
            output: self.path.to_path_buf(),
            streams: streams.collect(),
            segments: self.kept,
            unchecked: self.unchecked,
            discarded: scan.discarded.clone(),
            was_finished: scan.finished,
        }
    }
}

fn root_properties(scan: &Scan, last: bool) -> Properties {
    let mut list = scan
        .properties
        .get(&Vec::new())
        .cloned()
        .unwrap_or_default();
    let discarded: u64 = scan.discarded.iter().map(|(_, length)| length).sum();
    set(
        &mut list,
        key::RECOVERED,
        format!("recovered; {discarded} bytes of the original were left out").into(),
    );
    set(&mut list, key::COMPLETE, PropertyValue::Bool(last));
    list
}

/// Cuts the file behind its last sound segment and completes it with its tails and tables.
fn in_place(
    log: &Path,
    source: Arc<dyn Source>,
    tails: &[Arc<dyn Source>],
) -> Result<RecoverReport, LogError> {
    let storage = Disk::open_for_repair(log).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => LogError::Locked(log.to_path_buf()),
        _ => LogError::io("open", log, error),
    })?;
    let mut scan = Scan::default();
    scan.log(&*source)?;
    let inside = scan.discarded.iter().find(|(offset, _)| *offset < scan.end);
    if let Some((offset, length)) = inside {
        return Err(LogError::Unrecoverable(format!(
            "in place only the end can be repaired, and {length} bytes are damaged at byte {offset}; recover it to a copy"
        )));
    }
    let before = scan.sound.len();
    for (at, tail) in tails.iter().enumerate() {
        let _ = scan.tail(&**tail, at + 1);
    }
    if scan.run.is_none() {
        return Err(LogError::Unrecoverable(
            "no sound segment of a daqring log is in it".to_owned(),
        ));
    }
    let mut copy = Copy::new(storage, log, scan.run);
    copy.end = scan.end;
    copy.segments = scan.segments;
    for (at, sound) in scan.sound[..before].iter().enumerate() {
        let stream = scan.stream(&sound.group);
        let index = scan
            .streams
            .iter()
            .position(|name| *name == stream)
            .unwrap_or(0) as u32;
        let place = copy.places.entry(stream).or_default();
        if place.from_group.as_deref() != Some(sound.group.as_str()) {
            place.from_group = Some(sound.group.clone());
            place.part += 1;
            place.introduced = true;
            place.group_first = sound.block.first_sample;
            place.part_samples = 0;
            let names = [
                sound.group.clone(),
                sound.stamped.contents[0].channel.clone(),
            ];
            let start = scan
                .properties
                .get(names.as_slice())
                .and_then(|list| property(list, "wf_start_time"));
            place.start = match start {
                Some(PropertyValue::Timestamp(start)) => Some(*start),
                _ => None,
            };
        }
        place.next = Some(sound.block.first_sample.saturating_add(sound.block.samples));
        place.samples = place.samples.saturating_add(sound.block.samples);
        place.part_samples = place.part_samples.saturating_add(sound.block.samples);
        copy.kept += 1;
        copy.unchecked += u64::from(sound.stamped.is_unchecked());
        if let Some(record) = sound.block.record.filter(|_| at >= scan.in_tables) {
            copy.tables.add_record(RecordRow {
                stream: index,
                first_value: place.samples - sound.block.samples,
                first_sample: sound.block.first_sample,
                samples: sound.block.samples,
                record,
            });
        }
        if at >= scan.in_tables {
            copy.tables.blocks.push(BlockRow {
                stream: index,
                stamp: sound.block,
                crc32c: sound.stamped.stamp.data_crc.unwrap_or(0),
                offset: sound.stamped.offset,
            });
        }
    }
    if scan.finished && scan.discarded.is_empty() {
        return Ok(copy.report(&scan));
    }
    for sound in &scan.sound[before..] {
        copy.segment(&scan, sound, &*tails[sound.source - 1])?;
    }
    copy.finish(&scan, true)?;
    copy.sync()?;
    Ok(copy.report(&scan))
}
