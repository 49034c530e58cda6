//! Writing a log: one block, one segment, never patched afterwards.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::durable::{Durable, Position, SyncHandle};
use crate::error::LogError;
use crate::layout::{
    Block, ChannelSpec, Gap, GapCause, GroupSpec, LOST_UNKNOWN, Properties, PropertyValue,
    StreamGap,
};
use crate::segment::{
    ALIGN, BlockStamp, HOUSEKEEPING, HeaderBuilder, RawIndex, RunId, Seal, crc32c, key, path,
    scale_properties,
};
use crate::storage::{DirectIo, Disk, Medium, Storage};
use crate::tables::{BlockRow, EventRow, GapRow, Tables};

/// Version of what FORMAT.md describes.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// When what was written is brought to the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SyncPolicy {
    /// When the log is finished.
    #[default]
    AtFinish,
    /// After every block.
    EachBlock,
    /// After this many bytes.
    Bytes(u64),
    /// After this much time.
    Every(Duration),
}

/// How a log is written.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogOptions {
    /// Replace an existing file.
    pub overwrite: bool,
    /// Whether the page cache is passed by.
    pub direct_io: DirectIo,
    /// When what was written is brought to the medium.
    pub sync: SyncPolicy,
    /// Properties of the file.
    pub root_properties: Properties,
    /// The most groups that gaps may make of the streams; after that, a gap is only in the gap table and in the block
    /// that follows it, and the time axis of its group is no longer exact.
    pub max_groups: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions {
            overwrite: false,
            direct_io: DirectIo::Auto,
            sync: SyncPolicy::AtFinish,
            root_properties: Vec::new(),
            max_groups: 1000,
        }
    }
}

/// What was written of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamSummary {
    /// Name of the stream's first group.
    pub name: String,
    /// Blocks.
    pub blocks: u64,
    /// Samples per channel.
    pub samples: u64,
    /// Samples per channel that are known to be missing.
    pub lost: u64,
    /// Some gap's size is not known.
    pub lost_unknown: bool,
    /// Groups the stream was divided into by gaps.
    pub groups: u32,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogSummary {
    /// The files, in order.
    pub files: Vec<PathBuf>,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of samples.
    pub payload: u64,
    /// Segments of all files.
    pub segments: u64,
    /// Blocks of all streams.
    pub blocks: u64,
    /// Per stream, in the order of the groups.
    pub streams: Vec<StreamSummary>,
    /// Every hole.
    pub gaps: Vec<StreamGap>,
    /// Whether the page cache was passed by.
    pub direct_io: bool,
    /// Identity of the run, as in every segment.
    pub run: RunId,
}

/// One output file: segments one behind the other.
struct OutputFile {
    path: PathBuf,
    storage: Box<dyn Storage>,
    end: u64,
    segments: u64,
}

/// A part of a stream that a gap has ended; its final count is still to be told.
struct ClosedPart {
    channel_paths: Vec<String>,
    samples: u64,
}

/// A group's samples as they come.
struct Stream {
    spec: GroupSpec,
    /// Paths of the channels of the current part.
    group_path: String,
    channel_paths: Vec<String>,
    start_ns: Option<i64>,
    /// 1 for the first group, 2 for `name #2`, and so on.
    part: u32,
    /// Whether the current part's objects were written with their properties.
    introduced: bool,
    part_samples: u64,
    closed: Option<ClosedPart>,
    next_sample: Option<u64>,
    next_seq: Option<u64>,
    blocks: u64,
    samples: u64,
    lost: u64,
    lost_unknown: bool,
}

impl Stream {
    fn new(spec: GroupSpec) -> Stream {
        let mut stream = Stream {
            spec,
            group_path: String::new(),
            channel_paths: Vec::new(),
            start_ns: None,
            part: 0,
            introduced: false,
            part_samples: 0,
            closed: None,
            next_sample: None,
            next_seq: None,
            blocks: 0,
            samples: 0,
            lost: 0,
            lost_unknown: false,
        };
        stream.next_part();
        stream
    }

    fn next_part(&mut self) {
        if self.introduced {
            self.closed = Some(ClosedPart {
                channel_paths: std::mem::take(&mut self.channel_paths),
                samples: self.part_samples,
            });
        }
        self.part += 1;
        self.introduced = false;
        self.part_samples = 0;
        let name = part_name(&self.spec.name, self.part);
        self.group_path = path(&name, None);
        self.channel_paths = self
            .spec
            .channels
            .iter()
            .map(|channel| path(&name, Some(&channel.name)))
            .collect();
    }

    /// Time of the block's first sample, Unix nanoseconds.
    fn time_of(&self, block: &BlockStamp) -> i64 {
        match (self.start_ns, self.spec.dt) {
            (Some(start), Some(dt)) if !self.lost_unknown => {
                start.saturating_add((block.first_sample as f64 * dt * 1e9).round() as i64)
            }
            // After a hole of unknown size only the host's clock says where we are: the block was complete then.
            (_, Some(dt)) => block
                .host_time_ns
                .saturating_sub((block.samples as f64 * dt * 1e9).round() as i64),
            (_, None) => block.host_time_ns,
        }
    }
}

fn part_name(name: &str, part: u32) -> String {
    match part {
        1 => name.to_owned(),
        part => format!("{name} #{part}"),
    }
}

enum Phase {
    Open,
    Failed(String),
    Finished,
}

/// Writes a log.
///
/// After a failure of the medium the writer stays failed: the file was cut to its last whole segment and every further
/// call says [`LogError::Failed`]. A log that is dropped unfinished stays readable; only its tables are missing.
pub struct LogWriter {
    medium: Box<dyn Medium>,
    options: LogOptions,
    run: RunId,
    phase: Phase,
    file: OutputFile,
    streams: Vec<Stream>,
    groups_made: usize,
    tables: Tables,
    gaps: Vec<StreamGap>,
    header: Vec<u8>,
    payload: u64,
    blocks: u64,
    durable: Arc<Durable>,
    /// A handle was taken: syncs are somebody else's work.
    synced_elsewhere: bool,
    last_sync: (Instant, u64),
}

impl LogWriter {
    /// Makes the file and its lock; nothing is left behind if that fails.
    ///
    /// # Errors
    /// [`LogError::Exists`], [`LogError::Locked`], [`LogError::Spec`] for groups that cannot be written, and the
    /// system's own errors.
    pub fn create(
        path: &Path,
        options: LogOptions,
        groups: Vec<GroupSpec>,
    ) -> Result<LogWriter, LogError> {
        LogWriter::create_on(Box::new(Disk), path, options, groups)
    }

    /// As [`create`](Self::create), on a medium of the caller's.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_on(
        medium: Box<dyn Medium>,
        path: &Path,
        options: LogOptions,
        groups: Vec<GroupSpec>,
    ) -> Result<LogWriter, LogError> {
        check(&groups)?;
        let storage = medium
            .create(path, options.overwrite, options.direct_io)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => LogError::Exists(path.to_path_buf()),
                io::ErrorKind::WouldBlock => LogError::Locked(path.to_path_buf()),
                _ => LogError::io("create", path, error),
            })?;
        let durable = Arc::new(Durable::default());
        let prepared = storage
            .sync_target()
            .and_then(|target| medium.sync_directory(path).map(|()| target));
        match prepared {
            Ok(target) => durable.add_target(target),
            Err(error) => {
                drop(storage);
                if !options.overwrite {
                    // Only what was made here is removed; the error to tell is the first one.
                    let _ = medium.remove(path);
                }
                return Err(LogError::io("create", path, error));
            }
        }
        let groups_made = groups.len();
        Ok(LogWriter {
            medium,
            options,
            run: RunId::random(),
            phase: Phase::Open,
            file: OutputFile {
                path: path.to_path_buf(),
                storage,
                end: 0,
                segments: 0,
            },
            streams: groups.into_iter().map(Stream::new).collect(),
            groups_made,
            tables: Tables::default(),
            gaps: Vec::new(),
            header: Vec::new(),
            payload: 0,
            blocks: 0,
            durable,
            synced_elsewhere: false,
            last_sync: (Instant::now(), 0),
        })
    }

    /// Time of the stream's sample 0, Unix nanoseconds. Counts for groups that begin after the call.
    pub fn set_start_time(&mut self, group: usize, unix_ns: i64) {
        if let Some(stream) = self.streams.get_mut(group) {
            stream.start_ns = Some(unix_ns);
        }
    }

    /// Identity of the run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Whether the page cache is passed by.
    pub fn is_direct(&self) -> bool {
        self.file.storage.is_direct()
    }

    /// Bytes in all files so far.
    pub fn bytes_written(&self) -> u64 {
        self.file.end
    }

    /// What a crash of the machine cannot take away any more.
    pub fn durable(&self) -> Position {
        self.durable.position()
    }

    /// Lets another thread do the syncs; from now on the writer only says when one is due.
    pub fn sync_handle(&mut self) -> SyncHandle {
        self.synced_elsewhere = true;
        SyncHandle(Arc::clone(&self.durable))
    }

    fn ready(&mut self) -> Result<(), LogError> {
        if let (Phase::Open, Some(failure)) = (&self.phase, self.durable.failure()) {
            self.phase = Phase::Failed(failure);
        }
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Failed(first) => Err(LogError::Failed(first.clone())),
            Phase::Finished => Err(LogError::Finished),
        }
    }

    /// Writes one block as one segment.
    ///
    /// # Errors
    /// [`LogError::Block`] for a block that does not fit its stream: nothing was written and the writer goes on.
    /// Any other error is final.
    pub fn write_block(&mut self, block: &Block<'_>) -> Result<(), LogError> {
        self.ready()?;
        let stream = self.stream_for(block)?;
        let cause = GapCause::from_u32(block.gap);
        if block.lost_before != 0 {
            let count = (block.lost_before != LOST_UNKNOWN).then_some(block.lost_before);
            let first_sample = match count {
                Some(count) => block.first_sample - count,
                None => self.streams[stream].next_sample.unwrap_or(0),
            };
            self.record_gap(
                stream,
                Gap {
                    first_sample,
                    count,
                    cause,
                    host_time_ns: block.host_time_ns,
                },
                false,
            );
            // Where nothing was written yet, there is no time axis to break.
            if self.streams[stream].introduced && self.groups_made < self.options.max_groups {
                self.streams[stream].next_part();
                self.groups_made += 1;
            }
        }
        let stamp = BlockStamp {
            seq: block.seq,
            blocks: 1,
            first_sample: block.first_sample,
            samples: block.samples,
            lost_before: block.lost_before,
            gap: block.gap,
            host_time_ns: block.host_time_ns,
        };
        let state = &mut self.streams[stream];
        state.next_seq = Some(block.seq.wrapping_add(1));
        state.next_sample = Some(block.first_sample.saturating_add(block.samples));
        let crc = block.crc32c.unwrap_or_else(|| crc32c(block.data));
        self.write_segment(stream, &stamp, crc, block.data)?;
        self.sync_if_due()
    }

    /// Checks a block against its stream.
    fn stream_for(&self, block: &Block<'_>) -> Result<usize, LogError> {
        let refuse = |what: String| Err(LogError::Block(what));
        let Some(stream) = self.streams.get(block.group) else {
            return refuse(format!(
                "The block names group {}, the log has {}.",
                block.group,
                self.streams.len()
            ));
        };
        let name = &stream.spec.name;
        let expected = (stream.spec.sample_bytes() as u64).checked_mul(block.samples);
        if block.samples == 0 || expected != Some(block.data.len() as u64) {
            return refuse(format!(
                "A block of {name} with {} samples per channel has {} bytes of data; expected are {} per sample and at \
                 least one sample.",
                block.samples,
                block.data.len(),
                stream.spec.sample_bytes()
            ));
        }
        if let Some(next) = stream.next_seq
            && block.seq < next
        {
            return refuse(format!(
                "Block {} of {name} comes after block {}.",
                block.seq,
                next - 1
            ));
        }
        let known = block.lost_before != LOST_UNKNOWN;
        let from = stream.next_sample.unwrap_or(match known {
            true => block.first_sample.saturating_sub(block.lost_before),
            false => 0,
        });
        let fits = match known {
            true => from.checked_add(block.lost_before) == Some(block.first_sample),
            false => block.first_sample >= from,
        };
        if !fits || block.first_sample.checked_add(block.samples).is_none() {
            return refuse(format!(
                "A block of {name} begins at sample {} with {} lost before it, where sample {from} was expected next.",
                block.first_sample, block.lost_before
            ));
        }
        Ok(block.group)
    }

    fn record_gap(&mut self, stream: usize, gap: Gap, at_end: bool) {
        let state = &mut self.streams[stream];
        match gap.count {
            Some(count) => state.lost += count,
            None => state.lost_unknown = true,
        }
        self.gaps.push(StreamGap {
            stream: state.spec.name.clone(),
            gap,
        });
        self.tables.gaps.push(GapRow {
            stream: stream as u32,
            gap,
            at_end,
        });
    }

    /// Notes a loss that no block follows: the run ended with it.
    ///
    /// # Errors
    /// [`LogError::Block`] if there is no such group; [`LogError::Failed`], [`LogError::Finished`].
    pub fn note_gap(&mut self, group: usize, gap: Gap) -> Result<(), LogError> {
        self.ready()?;
        if group >= self.streams.len() {
            return Err(LogError::Block(format!(
                "There is no group {group} to note a gap in."
            )));
        }
        self.record_gap(group, gap, true);
        Ok(())
    }

    /// Notes an event of the run: a text with its host time, in the file's event table.
    ///
    /// # Errors
    /// [`LogError::Failed`], [`LogError::Finished`].
    pub fn annotate(&mut self, text: &str, host_time_ns: i64) -> Result<(), LogError> {
        self.ready()?;
        self.tables.events.push(EventRow {
            host_time_ns,
            text: text.to_owned(),
        });
        if self.tables.is_full() {
            self.write_tables(false, &[])?;
        }
        Ok(())
    }

    /// Encodes the header of a block's segment and writes both.
    fn write_segment(
        &mut self,
        stream: usize,
        stamp: &BlockStamp,
        data_crc: u32,
        data: &[u8],
    ) -> Result<(), LogError> {
        let mut header = HeaderBuilder::new(std::mem::take(&mut self.header));
        let first = self.file.segments == 0;
        let root = match first {
            true => self.root_properties(),
            false => Vec::new(),
        };
        describe(&mut header, "/", RawIndex::None, &root);
        for at in 0..self.streams.len() {
            if at == stream {
                describe_block(&mut header, &mut self.streams[at], stamp);
            } else if first {
                // Every group is named at once, so that they come in the order given and before the housekeeping.
                describe(
                    &mut header,
                    &self.streams[at].group_path,
                    RawIndex::None,
                    &[],
                );
            }
        }
        let seal = Seal {
            run: self.run,
            segment: self.file.segments,
            block: Some(stamp),
            data_crc,
        };
        let bytes = header.finish(&seal, data.len() as u64, ALIGN);
        let offset = self.file.end;
        self.append(bytes, data)?;
        let state = &mut self.streams[stream];
        state.introduced = true;
        state.part_samples += stamp.samples;
        state.samples += stamp.samples;
        state.blocks += stamp.blocks;
        self.blocks += stamp.blocks;
        self.payload += data.len() as u64;
        self.advance();
        self.tables.blocks.push(BlockRow {
            stream: stream as u32,
            stamp: *stamp,
            crc32c: data_crc,
            offset,
        });
        if self.tables.is_full() {
            self.write_tables(false, &[])?;
        }
        Ok(())
    }

    /// Puts one whole segment at the file's end.
    fn append(&mut self, header: Vec<u8>, data: &[u8]) -> Result<(), LogError> {
        let result = self.file.storage.write(self.file.end, &header, data);
        match result {
            Ok(()) => {
                self.file.end += (header.len() + data.len()) as u64;
                self.file.segments += 1;
                self.header = header;
                Ok(())
            }
            Err(error) => Err(self.fail("write to", error)),
        }
    }

    #[cold]
    fn fail(&mut self, doing: &'static str, error: io::Error) -> LogError {
        // Whatever reached the file of the segment that failed goes; a reader sees whole segments only.
        let cut = self.file.storage.truncate(self.file.end);
        let full = error.kind() == io::ErrorKind::StorageFull
            || error.kind() == io::ErrorKind::QuotaExceeded;
        let error = match (full, cut) {
            (true, Ok(())) => LogError::NoSpace {
                path: self.file.path.clone(),
                kept: self.file.end,
            },
            _ => LogError::io(doing, &self.file.path, error),
        };
        self.phase = Phase::Failed(error.to_string());
        self.durable.close();
        error
    }

    fn advance(&self) {
        self.durable.advance(Position {
            blocks: self.blocks,
            bytes: self.file.end,
        });
    }

    fn sync_if_due(&mut self) -> Result<(), LogError> {
        let due = match self.options.sync {
            SyncPolicy::AtFinish => false,
            SyncPolicy::EachBlock => true,
            SyncPolicy::Bytes(bytes) => self.file.end - self.last_sync.1 >= bytes,
            SyncPolicy::Every(time) => self.last_sync.0.elapsed() >= time,
        };
        if !due {
            return Ok(());
        }
        self.last_sync = (Instant::now(), self.file.end);
        if self.synced_elsewhere {
            self.durable.ask();
            Ok(())
        } else {
            self.sync()
        }
    }

    /// Hands everything to the operating system. Blocks are written as they come: nothing is held back here.
    ///
    /// # Errors
    /// [`LogError::Failed`], [`LogError::Finished`].
    pub fn flush(&mut self) -> Result<(), LogError> {
        self.ready()
    }

    /// Returns when everything written so far is durable.
    ///
    /// # Errors
    /// The medium's error; the writer is failed then.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.ready()?;
        match self.durable.sync() {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = LogError::io("sync", &self.file.path, error);
                self.phase = Phase::Failed(error.to_string());
                self.durable.close();
                Err(error)
            }
        }
    }

    /// Properties of the root, as the first segment has them.
    fn root_properties(&self) -> Properties {
        let mut list = self.options.root_properties.clone();
        list.push((key::FORMAT.to_owned(), PropertyValue::U32(FORMAT_VERSION)));
        list.push((key::COMPLETE.to_owned(), PropertyValue::Bool(false)));
        list
    }

    /// Writes the tables collected so far, and at the end what is known only then.
    fn write_tables(
        &mut self,
        last: bool,
        properties: &[(String, PropertyValue)],
    ) -> Result<(), LogError> {
        let mut header = HeaderBuilder::new(std::mem::take(&mut self.header));
        let mut root = match self.file.segments {
            0 => self.root_properties(),
            _ => Vec::new(),
        };
        if last {
            root.extend_from_slice(properties);
            root.retain(|(name, _)| name != key::COMPLETE);
            root.push((key::COMPLETE.to_owned(), PropertyValue::Bool(true)));
        }
        describe(&mut header, "/", RawIndex::None, &root);
        if last {
            for state in &self.streams {
                describe_end(&mut header, state);
            }
        }
        let data = self.tables.take(&mut header);
        let seal = Seal {
            run: self.run,
            segment: self.file.segments,
            block: None,
            data_crc: crc32c(&data),
        };
        let bytes = header.finish(&seal, data.len() as u64, ALIGN);
        self.append(bytes, &data)?;
        self.advance();
        Ok(())
    }

    /// Completes the file: tables, final properties, sync.
    ///
    /// # Errors
    /// [`LogError::Failed`] after an earlier failure, [`LogError::Finished`] the second time, and the medium's own.
    pub fn finish(&mut self, properties: Properties) -> Result<LogSummary, LogError> {
        self.ready()?;
        self.write_tables(true, &properties)?;
        if let Err(error) = self.file.storage.truncate(self.file.end) {
            return Err(self.fail("finish", error));
        }
        self.durable.close_targets();
        self.sync()?;
        if let Err(error) = self.medium.sync_directory(&self.file.path) {
            return Err(self.fail("finish", error));
        }
        self.phase = Phase::Finished;
        self.durable.close();
        Ok(self.summary())
    }

    /// What was written so far.
    pub fn summary(&self) -> LogSummary {
        LogSummary {
            files: vec![self.file.path.clone()],
            bytes: self.file.end,
            payload: self.payload,
            segments: self.file.segments,
            blocks: self.blocks,
            streams: self
                .streams
                .iter()
                .map(|stream| StreamSummary {
                    name: stream.spec.name.clone(),
                    blocks: stream.blocks,
                    samples: stream.samples,
                    lost: stream.lost,
                    lost_unknown: stream.lost_unknown,
                    groups: stream.part,
                })
                .collect(),
            gaps: self.gaps.clone(),
            direct_io: self.file.storage.is_direct(),
            run: self.run,
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.durable.close();
    }
}

fn describe(
    header: &mut HeaderBuilder,
    path: &str,
    index: RawIndex,
    properties: &[(String, PropertyValue)],
) {
    header.object(path, index, properties.len());
    for (name, value) in properties {
        header.property(name, value);
    }
}

/// A stream's objects in the header of a block.
fn describe_block(header: &mut HeaderBuilder, state: &mut Stream, stamp: &BlockStamp) {
    let intro = !state.introduced;
    if let Some(part) = state.closed.take() {
        for path in &part.channel_paths {
            describe(header, path, RawIndex::None, &[wf_samples(part.samples)]);
        }
    }
    let properties = match intro {
        true => group_properties(state),
        false => Vec::new(),
    };
    describe(header, &state.group_path, RawIndex::None, &properties);
    let start_ns = state.time_of(stamp);
    for (channel, path) in state.spec.channels.iter().zip(&state.channel_paths) {
        let properties = match intro {
            true => channel_properties(channel, state.spec.dt, Some(start_ns), stamp.samples),
            false => Vec::new(),
        };
        let index = RawIndex::Values {
            data_type: channel.data_type,
            count: stamp.samples,
        };
        describe(header, path, index, &properties);
    }
}

/// A stream's objects at the end of the file: the final count, or all of it where no block ever came.
fn describe_end(header: &mut HeaderBuilder, state: &Stream) {
    let group = match state.introduced {
        true => Vec::new(),
        false => group_properties(state),
    };
    describe(header, &state.group_path, RawIndex::None, &group);
    for (channel, path) in state.spec.channels.iter().zip(&state.channel_paths) {
        let properties = match state.introduced {
            true => vec![wf_samples(state.part_samples)],
            false => channel_properties(channel, state.spec.dt, state.start_ns, 0),
        };
        describe(header, path, RawIndex::None, &properties);
    }
}

fn wf_samples(samples: u64) -> (String, PropertyValue) {
    let samples = i32::try_from(samples).unwrap_or(i32::MAX);
    ("wf_samples".to_owned(), PropertyValue::I32(samples))
}

fn group_properties(state: &Stream) -> Properties {
    let mut list = state.spec.properties.clone();
    list.push((key::STREAM.to_owned(), state.spec.name.as_str().into()));
    list.push((key::PART.to_owned(), PropertyValue::U32(state.part)));
    list
}

fn channel_properties(
    channel: &ChannelSpec,
    dt: Option<f64>,
    start_ns: Option<i64>,
    samples: u64,
) -> Properties {
    let mut list = Vec::new();
    if let Some(dt) = dt {
        if let Some(start) = start_ns {
            list.push((
                "wf_start_time".to_owned(),
                PropertyValue::timestamp_ns(start),
            ));
        }
        list.push(("wf_start_offset".to_owned(), PropertyValue::F64(0.0)));
        list.push(("wf_increment".to_owned(), PropertyValue::F64(dt)));
        list.push(wf_samples(samples));
    }
    if !channel.unit.is_empty() {
        list.push(("unit_string".to_owned(), channel.unit.as_str().into()));
        list.push((
            "NI_UnitDescription".to_owned(),
            channel.unit.as_str().into(),
        ));
    }
    list.push(("NI_ChannelName".to_owned(), channel.name.as_str().into()));
    list.extend(scale_properties(&channel.scale));
    list.extend_from_slice(&channel.properties);
    list
}

/// Refuses groups that could not be told apart or read back.
fn check(groups: &[GroupSpec]) -> Result<(), LogError> {
    let refuse = |what: String| Err(LogError::Spec(what));
    if groups.is_empty() {
        return refuse("A log needs at least one group.".to_owned());
    }
    let mut names = HashSet::new();
    for group in groups {
        let name = &group.name;
        if name.is_empty() || name == HOUSEKEEPING {
            return refuse(format!(
                "A group cannot be named {name:?}; choose a name that is not empty and not {HOUSEKEEPING}."
            ));
        }
        if !names.insert(name) {
            return refuse(format!(
                "Two groups are named {name}; each needs a name of its own."
            ));
        }
        if let Some((base, number)) = name.rsplit_once(" #")
            && number.parse::<u32>().is_ok()
            && groups.iter().any(|other| other.name == base)
        {
            return refuse(format!(
                "The group {name} would be mistaken for a part of {base} after a gap; choose another name."
            ));
        }
        if group.dt.is_some_and(|dt| !dt.is_finite() || dt <= 0.0) {
            return refuse(format!(
                "The sample interval of {name} must be a positive number of seconds."
            ));
        }
        if group.channels.is_empty() {
            return refuse(format!("The group {name} has no channels."));
        }
        let mut channels = HashSet::new();
        for channel in &group.channels {
            if channel.name.is_empty() {
                return refuse(format!("A channel of {name} has no name."));
            }
            if !channels.insert(&channel.name) {
                return refuse(format!(
                    "Two channels of {name} are named {}.",
                    channel.name
                ));
            }
            if channel.data_type.size().is_none() {
                return refuse(format!(
                    "The channel {} of {name} holds text; blocks hold values of fixed size.",
                    channel.name
                ));
            }
        }
    }
    Ok(())
}
