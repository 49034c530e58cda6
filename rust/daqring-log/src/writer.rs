//! Writing a log: one block, one segment, never patched afterwards.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::behind::{Behind, Done, Job};
use crate::durable::{Closing, Durable, Position, Progress, Request, SyncHandle};
use crate::error::LogError;
use crate::gather::{Gather, Piece};
use crate::layout::{
    Block, ClockPair, Gap, GapCause, GroupSpec, LOST_UNKNOWN, Properties, PropertyValue, Record,
    StreamGap,
};
use crate::rotate::{Rotation, file_name, with_suffix};
use crate::segment::{
    ALIGN, BlockStamp, HOUSEKEEPING, HeaderBuilder, RawIndex, RunId, Seal, crc32c, key,
};
use crate::space::{DiskSpace, SpaceWatch};
use crate::storage::{AlignedBuffer, DirectIo, Disk, Medium, Storage, SyncTarget};
use crate::stream::{Stream, describe};
use crate::tables::{BlockRow, ClockRow, EventRow, GapRow, RecordRow, Tables};
use crate::tail::{TailFile, tail_path, tail_paths};

/// Version of what FORMAT.md describes.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// A segment that is gathered lies in memory, once for each stream.
const MOST_GATHERED: usize = 1 << 30;
/// Notes are brought into the file at most this often.
const NOTES_EVERY: Duration = Duration::from_secs(1);

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

/// What becomes a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Segments {
    /// Each block, as it comes. For blocks of 1 MiB and more.
    #[default]
    EachBlock,
    /// Blocks are gathered until there are `bytes` of samples, or until `time` of host time has passed since the first
    /// of them. A block that is larger goes out as it is.
    Gather {
        /// Bytes of samples in a segment.
        bytes: usize,
        /// The longest time that a segment spans.
        time: Option<Duration>,
    },
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
    /// Whether segments of samples have a checksum of their data. The header of every segment has one in any case, and so
    /// have samples that a tail file kept safe.
    pub checksum: bool,
    /// What becomes a segment.
    pub segments: Segments,
    /// Gathered segments of at least so many bytes are written by a thread of their own while the next one is gathered,
    /// which takes one more buffer. A failure is told by the call after it.
    pub behind_from: usize,
    /// How much host time of gathered samples the end of this process may cost at most. They go to a small file beside
    /// the log until their segment is full. `None`: whatever waits for its segment.
    pub flush_every: Option<Duration>,
    /// When the recording goes on in another file. With rotation the path is a template, see [`Rotation`].
    pub rotation: Rotation,
    /// Blocks are refused ([`LogError::DiskLow`]) once the disk has less free space than this, so that the log can be
    /// finished in order.
    pub reserve: Option<u64>,
    /// Properties of the file.
    pub root_properties: Properties,
    /// The most groups that gaps may make of the streams in one file; after that, the log goes on in another file.
    pub max_groups: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions {
            overwrite: false,
            direct_io: DirectIo::Auto,
            sync: SyncPolicy::AtFinish,
            checksum: true,
            segments: Segments::EachBlock,
            behind_from: 1 << 20,
            flush_every: None,
            rotation: Rotation::default(),
            reserve: None,
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
    /// Groups the stream was divided into by gaps and by the change of files.
    pub groups: u32,
}

/// What there is of a stream in the files, tails included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Whole blocks.
    pub blocks: u64,
    /// Samples per channel.
    pub samples: u64,
    /// Index after the last of them; 0 where there is none.
    pub end: u64,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogSummary {
    /// The files that there are, in order.
    pub files: Vec<PathBuf>,
    /// Files that were removed to keep within [`Rotation::keep_bytes`].
    pub removed: Vec<PathBuf>,
    /// Bytes of all files, removed ones included.
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
    /// Why, in a few words.
    pub io_reason: String,
    /// Identity of the run, as in every segment.
    pub run: RunId,
}

/// One output file: segments one behind the other.
struct OutputFile {
    path: PathBuf,
    /// `None` while it is lent to the thread that writes behind.
    storage: Option<Box<dyn Storage>>,
    /// As the storage said when it was last here.
    is_direct: bool,
    io_reason: String,
    target: Arc<dyn SyncTarget>,
    end: u64,
    segments: u64,
    /// Number of the file in its recording.
    index: u32,
    /// Host time of the first block.
    began_ns: Option<i64>,
}

impl OutputFile {
    fn new(
        path: PathBuf,
        storage: Box<dyn Storage>,
        target: Arc<dyn SyncTarget>,
        index: u32,
    ) -> OutputFile {
        OutputFile {
            path,
            is_direct: storage.is_direct(),
            io_reason: storage.io_reason(),
            storage: Some(storage),
            target,
            end: 0,
            segments: 0,
            index,
            began_ns: None,
        }
    }

    /// The storage, unless the thread that it was lent to took it along.
    fn here(&mut self) -> io::Result<&mut Box<dyn Storage>> {
        let gone = || io::Error::other("the file went with the thread that wrote it");
        self.storage.as_mut().ok_or_else(gone)
    }

    fn write(&mut self, header: &[u8], data: &[u8]) -> io::Result<()> {
        let offset = self.end;
        let storage = self.here()?;
        let written = storage.write(offset, header, data);
        self.note_io();
        written
    }

    /// Writing may find out that the page cache cannot be passed by.
    fn note_io(&mut self) {
        if let Some(storage) = &self.storage
            && storage.is_direct() != self.is_direct
        {
            self.is_direct = storage.is_direct();
            self.io_reason = storage.io_reason();
        }
    }

    /// Cuts the file behind its last whole segment.
    fn cut(&mut self) -> io::Result<()> {
        let end = self.end;
        self.here()?.truncate(end)
    }
}

/// Samples of a segment: the caller's, or a buffer that goes along, with the bytes of it that count.
enum Samples<'a> {
    Lent(&'a [u8]),
    Given(AlignedBuffer, usize),
}

impl Samples<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Samples::Lent(data) => data,
            Samples::Given(buffer, length) => &buffer.bytes()[..*length],
        }
    }
}

/// A segment that is being written behind. It is counted already, and taken back if writing it fails.
struct Pending {
    stream: usize,
    stamp: BlockStamp,
    /// Whether it is the first of its group.
    introduces: bool,
    offset: u64,
    /// Bytes of the segment, and of the samples in it.
    length: u64,
    payload: u64,
}

enum Phase {
    Open,
    Failed(String),
    Finished,
}

/// The directory's sync, as one more thing to bring to the medium.
struct DirectorySync {
    medium: Arc<dyn Medium>,
    path: PathBuf,
}

impl SyncTarget for DirectorySync {
    fn sync(&self) -> io::Result<()> {
        self.medium.sync_directory(&self.path)
    }
}

/// Writes a log.
///
/// After a failure of the medium the writer stays failed: the file was cut to its last whole segment and every further
/// call says [`LogError::Failed`]. A log that is dropped unfinished stays readable; only its tables are missing.
pub struct LogWriter {
    medium: Arc<dyn Medium>,
    template: PathBuf,
    options: LogOptions,
    run: RunId,
    phase: Phase,
    file: OutputFile,
    streams: Vec<Stream>,
    /// Groups in the current file.
    groups_made: usize,
    tables: Tables,
    gaps: Vec<StreamGap>,
    header: Vec<u8>,
    behind: Option<Behind>,
    pending: Option<Pending>,
    /// For the segment after the one that is being written.
    spare: AlignedBuffer,
    payload: u64,
    blocks: u64,
    segments: u64,
    /// Files before the current one, with their lengths.
    closed: Vec<(PathBuf, u64)>,
    removed: Vec<PathBuf>,
    removed_bytes: u64,
    /// Bytes handed to the operating system, for the log and its tails, over all files.
    handed: u64,
    durable: Arc<Durable>,
    /// A handle was taken: syncs are somebody else's work.
    synced_elsewhere: bool,
    last_sync: (Instant, u64),
    last_notes: Option<Instant>,
    /// Since when samples wait that are neither in a segment nor in a tail.
    waits_since: Option<Instant>,
    space: SpaceWatch,
}

/// Now by the host's clock, in nanoseconds since 1970 (UTC), as in [`Block::host_time_ns`].
pub fn unix_ns() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Whether two readings of the host's clock are at least `time` apart. It may have been set back in between, and
/// nothing is to wait until it has caught up.
fn is_far(now_ns: i64, then_ns: i64, time: Duration) -> bool {
    u128::from(now_ns.abs_diff(then_ns)) >= time.as_nanos()
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

impl LogWriter {
    /// Makes the file and its lock; nothing is left behind if that fails.
    ///
    /// # Errors
    /// [`LogError::Exists`], [`LogError::Locked`], [`LogError::Orphan`], [`LogError::Spec`] for groups that cannot be
    /// written, [`LogError::DiskLow`], and the system's own errors.
    pub fn create(
        path: &Path,
        options: LogOptions,
        groups: Vec<GroupSpec>,
    ) -> Result<LogWriter, LogError> {
        let first = file_name(path, options.rotation.is_on(), 0, unix_ns());
        if let Segments::Gather { .. } = options.segments {
            let tail = tail_path(&first, groups.len().saturating_sub(1));
            // Better now than at the first flush.
            if let Err(error) = std::fs::symlink_metadata(&tail)
                && error.kind() == io::ErrorKind::InvalidFilename
            {
                return Err(LogError::io("create", &tail, error));
            }
        }
        let waits = |tail: &PathBuf| std::fs::metadata(tail).is_ok_and(|tail| tail.len() > 0);
        let orphan = tail_paths(&first).into_iter().find(waits);
        let overwrite = options.overwrite;
        if let Some(tail) = orphan.filter(|_| !overwrite && !first.exists()) {
            return Err(LogError::Orphan(tail));
        }
        let log = LogWriter::create_on(Arc::new(Disk), path, options, groups)?;
        if overwrite {
            // Of the recording whose place this one takes. One that stays is known by its run.
            let tails = tail_paths(&log.file.path).into_iter();
            tails.for_each(|tail| drop(std::fs::remove_file(tail)));
        }
        Ok(log)
    }

    /// As [`create`](Self::create), on a medium of the caller's.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_on(
        medium: Arc<dyn Medium>,
        path: &Path,
        options: LogOptions,
        groups: Vec<GroupSpec>,
    ) -> Result<LogWriter, LogError> {
        check(&groups)?;
        if let Segments::Gather { bytes, .. } = options.segments
            && !(1..=MOST_GATHERED).contains(&bytes)
        {
            return Err(LogError::Spec(format!(
                "Segments of {bytes} bytes cannot be gathered; they have from 1 byte to 1 GiB."
            )));
        }
        if options.rotation.samples == Some(0) {
            return Err(LogError::Spec(
                "Files of 0 samples cannot be written.".to_owned(),
            ));
        }
        let durable = Arc::new(Durable::default());
        let first = file_name(path, options.rotation.is_on(), 0, unix_ns());
        check_room(&*medium, &first, &options)?;
        let file = open_file(&medium, &durable, &first, &options, 0)?;
        // The first name is made durable at once: a wrong disk should show before the experiment begins.
        if let Err(error) = medium.sync_directory(&first) {
            drop(file);
            if !options.overwrite {
                // Only what was made here is removed; the error to tell is the first one.
                let _ = medium.remove(&first);
            }
            return Err(LogError::io("create", &first, error));
        }
        let groups_made = groups.len();
        let space = SpaceWatch::new(options.reserve, options.rotation.keep_bytes.is_some());
        Ok(LogWriter {
            medium,
            template: path.to_path_buf(),
            options,
            run: RunId::random(),
            phase: Phase::Open,
            file,
            streams: groups.into_iter().map(Stream::new).collect(),
            groups_made,
            tables: Tables::default(),
            gaps: Vec::new(),
            header: Vec::new(),
            behind: None,
            pending: None,
            spare: AlignedBuffer::new(0),
            payload: 0,
            blocks: 0,
            segments: 0,
            closed: Vec::new(),
            removed: Vec::new(),
            removed_bytes: 0,
            handed: 0,
            durable,
            synced_elsewhere: false,
            last_sync: (Instant::now(), 0),
            last_notes: None,
            waits_since: None,
            space,
        })
    }

    /// Time of the stream's sample 0, Unix nanoseconds. Counts for groups that begin after the call.
    pub fn set_start_time(&mut self, group: usize, unix_ns: i64) {
        if let Some(stream) = self.streams.get_mut(group) {
            stream.start_ns = Some(unix_ns);
        }
    }

    /// Adds a group while recording (results of one's own, say) and gives its index.
    ///
    /// # Errors
    /// [`LogError::Spec`] for a group that cannot be written beside the others; [`LogError::Failed`],
    /// [`LogError::Finished`].
    pub fn add_group(&mut self, group: GroupSpec) -> Result<usize, LogError> {
        self.ready()?;
        let mut all: Vec<GroupSpec> = self
            .streams
            .iter()
            .map(|stream| stream.spec.clone())
            .collect();
        all.push(group.clone());
        check(&all)?;
        self.streams.push(Stream::new(group));
        self.groups_made += 1;
        Ok(self.streams.len() - 1)
    }

    /// Identity of the run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The file being written at the moment.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Whether the page cache is passed by.
    pub fn is_direct(&self) -> bool {
        self.file.is_direct
    }

    /// Bytes in all files so far.
    pub fn bytes_written(&self) -> u64 {
        let coming = self.pending.as_ref().map_or(0, |pending| pending.length);
        self.removed_bytes
            + self.closed.iter().map(|(_, length)| length).sum::<u64>()
            + self.file.end
            - coming
    }

    /// What was handed to the operating system: the end of this process does not take it away.
    pub fn written(&self) -> Position {
        let (blocks, bytes) = match &self.pending {
            Some(pending) => (pending.stamp.blocks, pending.length),
            None => (0, 0),
        };
        Position {
            blocks: self.blocks - blocks,
            bytes: self.handed - bytes,
        }
    }

    /// What a crash of the machine cannot take away any more.
    pub fn durable(&self) -> Position {
        self.durable.position()
    }

    /// How far it has come, for any thread to look at.
    pub fn progress(&self) -> Progress {
        Progress(Arc::clone(&self.durable))
    }

    /// Why, in a few words.
    pub fn io_reason(&self) -> String {
        self.file.io_reason.clone()
    }

    /// The room that the disk has; follows the recording.
    pub fn disk_space(&self) -> DiskSpace {
        self.space.told()
    }

    /// [`LogOptions::flush_every`].
    pub fn flush_every(&self) -> Option<Duration> {
        self.options.flush_every
    }

    /// True if syncs are due before the log is finished: a thread that does them is of use then.
    pub fn syncs_while_writing(&self) -> bool {
        self.options.sync != SyncPolicy::AtFinish || self.options.rotation.is_on()
    }

    /// Lets another thread do the syncs; from now on the writer only says when one is due.
    pub fn sync_handle(&mut self) -> SyncHandle {
        self.synced_elsewhere = true;
        self.ask_for_next();
        SyncHandle(Arc::clone(&self.durable))
    }

    /// Has the next file of a rotation made ahead, so that the writer need not wait for an `open` at the seam.
    fn ask_for_next(&self) {
        if !self.options.rotation.is_on() {
            return;
        }
        let mut path = self.file.path.clone().into_os_string();
        path.push(".next");
        self.durable.ask_for(Request {
            medium: Arc::clone(&self.medium),
            path: path.into(),
            direct: self.options.direct_io,
        });
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

    /// Writes one block, as a segment of its own or gathered with others.
    ///
    /// # Errors
    /// [`LogError::Block`] for a block that does not fit its stream and [`LogError::DiskLow`] where it would leave too
    /// little room to finish: nothing was written and the writer goes on. Any other error is final.
    pub fn write_block(&mut self, block: &Block<'_>) -> Result<(), LogError> {
        self.ready()?;
        self.settle(false)?;
        self.check_block(block)?;
        self.check_space(block.data.len() as u64)?;
        let at = block.group;
        if block.lost_before != 0 {
            self.gap_before(block)?;
        }
        let mut stamp = BlockStamp {
            seq: block.seq,
            blocks: 1,
            first_sample: block.first_sample,
            samples: block.samples,
            lost_before: block.lost_before,
            gap: block.gap,
            host_time_ns: block.host_time_ns,
            record: None,
        };
        let stream = &mut self.streams[at];
        stream.next_seq = Some(block.seq.wrapping_add(1));
        stream.next_sample = Some(block.first_sample.saturating_add(block.samples));
        self.rotate_if_due(block)?;
        self.file.began_ns.get_or_insert(block.host_time_ns);

        let mut from = 0;
        while from < block.samples {
            let mut count = block.samples - from;
            if let Some(limit) = self.options.rotation.samples {
                let stream = &self.streams[at];
                let waiting = stream
                    .gather
                    .as_ref()
                    .map_or(0, |gather| gather.stamp.samples);
                let room = limit.saturating_sub(stream.file_samples + waiting);
                if room == 0 {
                    self.rotate(block.host_time_ns)?;
                    self.file.began_ns.get_or_insert(block.host_time_ns);
                    continue;
                }
                count = count.min(room);
            }
            let piece = Piece {
                data: block.data,
                whole: block.samples,
                from,
                count,
            };
            let last = from + count == block.samples;
            stamp.first_sample = block.first_sample + from;
            stamp.samples = count;
            stamp.blocks = u64::from(last);
            self.accept(at, &piece, stamp, block.crc32c)?;
            stamp.lost_before = 0;
            stamp.gap = 0;
            from += count;
        }
        self.write_waiting_notes()?;
        self.flush_if_due(at, block.host_time_ns)?;
        if self.waits_since.is_none() && self.waits() {
            self.waits_since = Some(Instant::now());
        }
        self.sync_if_due()
    }

    /// Does what has become due with time alone, while no blocks come: samples that would wait longer than
    /// [`LogOptions::flush_every`] are flushed, notes are written, syncs are done or asked for. `soon`: when the next
    /// call will come at the latest.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn tick(&mut self, soon: Duration) -> Result<(), LogError> {
        self.ready()?;
        self.settle(false)?;
        self.write_waiting_notes()?;
        if let (Some(every), Some(since)) = (self.options.flush_every, self.waits_since)
            && since.elapsed() + soon > every
        {
            self.flush()?;
        }
        match self.handed == self.last_sync.1 {
            true => Ok(()),
            false => self.sync_if_due(),
        }
    }

    /// Whether some samples are in no file yet.
    fn waits(&self) -> bool {
        let waiting = |stream: &Stream| {
            let gather = stream.gather.as_ref();
            gather.is_some_and(|gather| gather.stamp.samples > gather.flushed)
        };
        self.streams.iter().any(waiting)
    }

    /// Writes samples of one trigger into a group of records: no gap is made of what lies between them.
    ///
    /// They go out as a segment of their own. A long record comes in several blocks that follow one another, all with
    /// the same `record`. `lost_before` is a loss among what was wanted; it is told as a gap.
    ///
    /// # Errors
    /// As [`write_block`](Self::write_block).
    pub fn write_record(&mut self, block: &Block<'_>, record: &Record) -> Result<(), LogError> {
        self.ready()?;
        self.settle(false)?;
        let mut cause = block.gap;
        let known = block.lost_before != LOST_UNKNOWN;
        if let Some(stream) = self.streams.get_mut(block.group)
            && let Some(next) = stream.next_sample
            && known
            && let Some(begins) = block.first_sample.checked_sub(block.lost_before)
            && begins > next
        {
            // What lies between records was not wanted.
            stream.next_sample = Some(begins);
            if block.lost_before == 0 {
                cause = GapCause::Gated as u32;
            }
        }
        self.check_block(block)?;
        self.check_space(block.data.len() as u64)?;
        if block.lost_before != 0 {
            let count = known.then_some(block.lost_before);
            let first_sample = match count {
                Some(count) => block.first_sample - count,
                None => self.streams[block.group].next_sample.unwrap_or(0),
            };
            let gap = Gap {
                first_sample,
                count,
                cause: GapCause::from_u32(block.gap),
                host_time_ns: block.host_time_ns,
            };
            self.record_gap(block.group, gap, false);
        }
        self.rotate_if_due(block)?;
        self.file.began_ns.get_or_insert(block.host_time_ns);
        let stream = &mut self.streams[block.group];
        stream.next_seq = Some(block.seq.wrapping_add(1));
        stream.next_sample = Some(block.first_sample.saturating_add(block.samples));
        let first_value = stream.file_samples;
        let stamp = BlockStamp {
            seq: block.seq,
            blocks: 1,
            first_sample: block.first_sample,
            samples: block.samples,
            lost_before: block.lost_before,
            gap: cause,
            host_time_ns: block.host_time_ns,
            record: Some(*record),
        };
        self.tables.add_record(RecordRow {
            stream: block.group as u32,
            first_value,
            first_sample: block.first_sample,
            samples: block.samples,
            record: *record,
        });
        let crc = self.data_crc(block.group, block.crc32c, block.data);
        self.write_segment(block.group, &stamp, crc, Samples::Lent(block.data))?;
        self.write_waiting_notes()?;
        self.sync_if_due()
    }

    /// Takes in a piece of a block: straight into a segment, or into the gathered samples.
    fn accept(
        &mut self,
        at: usize,
        piece: &Piece<'_>,
        mut stamp: BlockStamp,
        crc: Option<u32>,
    ) -> Result<(), LogError> {
        let whole = piece.count == piece.whole;
        let limit = match self.options.segments {
            Segments::EachBlock => 0,
            Segments::Gather { bytes, .. } => bytes,
        };
        let stream = &mut self.streams[at];
        let sizes: Vec<usize> = stream.sizes().collect();
        let nothing_waits = stream.gather.as_ref().is_none_or(Gather::is_empty);
        if nothing_waits && piece.count as usize * sizes.iter().sum::<usize>() >= limit {
            return if whole {
                let crc = self.data_crc(at, crc, piece.data);
                self.write_segment(at, &stamp, crc, Samples::Lent(piece.data))
            } else {
                let data = piece.to_vec(&sizes);
                let crc = self.data_crc(at, None, &data);
                self.write_segment(at, &stamp, crc, Samples::Lent(&data))
            };
        }
        let ends = stamp.blocks;
        let (mut from, end) = (piece.from, piece.from + piece.count);
        while from < end {
            let stream = &mut self.streams[at];
            let gather = stream
                .gather
                .get_or_insert_with(|| Gather::new(sizes.clone(), limit));
            let count = gather.room().min(end - from);
            stamp.blocks = if from + count == end { ends } else { 0 };
            let part = Piece {
                from,
                count,
                ..*piece
            };
            gather.add(&part, &stamp);
            from += count;
            stamp.first_sample += count;
            stamp.lost_before = 0;
            stamp.gap = 0;
            let full = gather.room() == 0;
            let late = match self.options.segments {
                Segments::Gather {
                    time: Some(time), ..
                } => is_far(stamp.host_time_ns, gather.stamp.host_time_ns, time),
                _ => false,
            };
            if full || late {
                self.close_gathered(at)?;
            }
        }
        Ok(())
    }

    /// The checksum that a segment of samples is to have; `known` where somebody computed it already.
    fn data_crc(&self, at: usize, known: Option<u32>, data: &[u8]) -> Option<u32> {
        // Which of two copies is torn, the log's or the tail's, only a checksum can tell.
        let wanted = self.options.checksum || self.streams[at].tail.is_some();
        wanted.then(|| known.unwrap_or_else(|| crc32c(data)))
    }

    /// Makes a segment of what a stream has gathered. After a failure all of it is where it was.
    fn close_gathered(&mut self, at: usize) -> Result<(), LogError> {
        let Some(mut gather) = self.streams[at].gather.take() else {
            return Ok(());
        };
        let mut stored = Ok(());
        if !gather.is_empty() {
            // Blocks that the tail file brought to safety were counted when that happened.
            self.blocks -= gather.flushed_blocks;
            stored = self.store_gathered(at, &mut gather);
            match &stored {
                Ok(()) => {
                    gather.clear();
                    if let Some(tail) = &mut self.streams[at].tail {
                        tail.superseded = Some(self.handed);
                    }
                }
                Err(_) => self.blocks += gather.flushed_blocks,
            }
        }
        self.streams[at].gather = Some(gather);
        stored
    }

    fn store_gathered(&mut self, at: usize, gather: &mut Gather) -> Result<(), LogError> {
        let in_tail = gather.flushed != 0;
        let (stamp, data) = gather.close();
        let crc = self.data_crc(at, None, data);
        let length = data.len();
        // What a tail holds as well is written here and now: the two must not be on their way at once.
        if in_tail || length < self.options.behind_from || !self.can_lend() {
            return self.write_segment(at, &stamp, crc, Samples::Lent(data));
        }
        // Two buffers in all: the other one comes back first.
        self.settle(true)?;
        let spare = std::mem::replace(&mut self.spare, AlignedBuffer::new(0));
        let given = Samples::Given(gather.swap(spare), length);
        self.write_segment(at, &stamp, crc, given)
    }

    fn close_all_gathered(&mut self) -> Result<(), LogError> {
        (0..self.streams.len()).try_for_each(|at| self.close_gathered(at))?;
        self.settle(true)
    }

    /// Whether segments can be written behind.
    fn can_lend(&mut self) -> bool {
        if self.behind.is_none() {
            // A system without room for one more thread has it done by this one.
            self.behind = Behind::start().ok();
        }
        self.behind.is_some()
    }

    /// Takes back what was lent, if it is written, or once it is. A failure to write it is told here.
    fn settle(&mut self, wait: bool) -> Result<(), LogError> {
        let (Some(behind), true) = (&self.behind, self.pending.is_some()) else {
            return Ok(());
        };
        let result = match behind.take(wait) {
            Ok(None) => return Ok(()),
            Ok(Some(Done { job, result })) => {
                self.file.storage = Some(job.storage);
                self.file.note_io();
                self.header = job.header;
                self.spare = job.data;
                result
            }
            Err(gone) => Err(gone),
        };
        let pending = self.pending.take();
        let (Some(pending), Err(error)) = (pending, result) else {
            self.advance();
            return Ok(());
        };
        self.file.end = pending.offset;
        self.file.segments -= 1;
        self.segments -= 1;
        self.handed -= pending.length;
        self.payload -= pending.payload;
        self.blocks -= pending.stamp.blocks;
        self.streams[pending.stream].take_back(&pending.stamp, pending.introduces);
        // Nothing was written since, so the tables still have its row.
        self.tables.blocks.pop();
        let cut = self.file.cut();
        Err(self.fail("write to", error, cut))
    }

    fn gap_before(&mut self, block: &Block<'_>) -> Result<(), LogError> {
        let at = block.group;
        let count = (block.lost_before != LOST_UNKNOWN).then_some(block.lost_before);
        let first_sample = match count {
            Some(count) => block.first_sample - count,
            None => self.streams[at].next_sample.unwrap_or(0),
        };
        self.close_gathered(at)?;
        // What is still on its way belongs to the group before the hole.
        self.settle(true)?;
        let gap = Gap {
            first_sample,
            count,
            cause: GapCause::from_u32(block.gap),
            host_time_ns: block.host_time_ns,
        };
        // Where nothing was written yet, there is no time axis to break.
        let breaks = self.streams[at].part.introduced;
        if breaks && self.groups_made >= self.options.max_groups {
            self.rotate(block.host_time_ns)?;
        } else if breaks {
            self.streams[at].next_part();
            self.groups_made += 1;
        }
        self.record_gap(at, gap, false);
        Ok(())
    }

    /// Checks a block against its stream.
    fn check_block(&self, block: &Block<'_>) -> Result<(), LogError> {
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
        Ok(())
    }

    /// Refuses a block that would leave too little room on the disk.
    fn check_space(&mut self, more: u64) -> Result<(), LogError> {
        let (medium, path) = (&self.medium, &self.file.path);
        let answer = self.space.check(self.handed, more, || {
            medium
                .free_space(path)
                .map_err(|error| LogError::io("ask for the free space of the disk of", path, error))
        });
        // Without a reserve a disk that does not say is none of the writer's business.
        let answer = match answer {
            Err(_) if self.options.reserve.is_none() => return Ok(()),
            other => other?,
        };
        answer.map_err(|low| LogError::DiskLow {
            path: self.file.path.clone(),
            free: low.free,
            reserve: low.reserve,
        })
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
        self.write_full_tables()
    }

    /// Notes that a sample of a group and two readings of the host's clocks belong together.
    ///
    /// # Errors
    /// [`LogError::Failed`], [`LogError::Finished`].
    pub fn note_clock(&mut self, group: usize, pair: ClockPair) -> Result<(), LogError> {
        self.ready()?;
        self.tables.clocks.push(ClockRow {
            stream: group as u32,
            pair,
        });
        self.write_full_tables()
    }

    /// Notes are nowhere but in the tables, so they do not wait for the end: with the next block they are written, but
    /// not more often than once in [`NOTES_EVERY`].
    fn write_waiting_notes(&mut self) -> Result<(), LogError> {
        let recent = |when: Instant| when.elapsed() < NOTES_EVERY;
        if self.tables.events.is_empty() || self.last_notes.is_some_and(recent) {
            return Ok(());
        }
        self.last_notes = Some(Instant::now());
        self.write_tables(None)
    }

    fn write_full_tables(&mut self) -> Result<(), LogError> {
        match self.tables.is_full() {
            true => self.write_tables(None),
            false => Ok(()),
        }
    }

    /// Encodes the header of a block's segment and writes both.
    fn write_segment(
        &mut self,
        at: usize,
        stamp: &BlockStamp,
        data_crc: Option<u32>,
        samples: Samples<'_>,
    ) -> Result<(), LogError> {
        let payload = samples.bytes().len() as u64;
        let introduces = !self.streams[at].part.introduced;
        let mut header = HeaderBuilder::new(std::mem::take(&mut self.header));
        let first = self.file.segments == 0;
        let root = match first {
            true => self.root_properties(),
            false => Vec::new(),
        };
        describe(&mut header, "/", RawIndex::None, &root);
        for other in 0..self.streams.len() {
            if other == at {
                self.streams[at].describe_block(&mut header, stamp);
            } else if first {
                // Every group is named at once, so that they come in the order given and before the housekeeping.
                describe(
                    &mut header,
                    &self.streams[other].part.group_path,
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
        let bytes = header.finish(&seal, payload, ALIGN);
        let offset = self.file.end;
        match samples {
            Samples::Lent(data) => self.append(bytes, data)?,
            Samples::Given(buffer, length) => {
                let pending = Pending {
                    stream: at,
                    stamp: *stamp,
                    introduces,
                    offset,
                    length: bytes.len() as u64 + payload,
                    payload,
                };
                self.lend(bytes, buffer, length, pending)?;
            }
        }
        self.streams[at].count(stamp);
        self.blocks += stamp.blocks;
        self.payload += payload;
        self.advance();
        self.tables.blocks.push(BlockRow {
            stream: at as u32,
            stamp: *stamp,
            crc32c: data_crc.unwrap_or(0),
            offset,
        });
        self.write_full_tables()
    }

    /// Puts one whole segment at the file's end.
    fn append(&mut self, header: Vec<u8>, data: &[u8]) -> Result<(), LogError> {
        self.settle(true)?;
        match self.file.write(&header, data) {
            Ok(()) => {
                self.count_segment((header.len() + data.len()) as u64);
                self.header = header;
                Ok(())
            }
            Err(error) => {
                // Whatever reached the file of the segment that failed goes; a reader sees whole segments only.
                let cut = self.file.cut();
                Err(self.fail("write to", error, cut))
            }
        }
    }

    /// Puts one whole segment at the file's end, and goes on before it is written.
    fn lend(
        &mut self,
        header: Vec<u8>,
        data: AlignedBuffer,
        length: usize,
        pending: Pending,
    ) -> Result<(), LogError> {
        self.settle(true)?;
        let (Some(behind), Some(storage)) = (&self.behind, self.file.storage.take()) else {
            let bytes = &data.bytes()[..length];
            return self.append(header, bytes);
        };
        let job = Job {
            storage,
            offset: self.file.end,
            header,
            data,
            length,
        };
        match behind.lend(job) {
            Ok(()) => {
                self.count_segment(pending.length);
                self.pending = Some(pending);
                Ok(())
            }
            Err(job) => {
                self.file.storage = Some(job.storage);
                self.append(job.header, &job.data.bytes()[..length])
            }
        }
    }

    fn count_segment(&mut self, length: u64) {
        self.file.end += length;
        self.file.segments += 1;
        self.segments += 1;
        self.handed += length;
    }

    #[cold]
    fn fail(&mut self, doing: &'static str, error: io::Error, cut: io::Result<()>) -> LogError {
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
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
        self.durable.advance(self.written());
    }

    /// Flushes where the samples that wait would be older than they may be when the next block comes.
    fn flush_if_due(&mut self, at: usize, host_time_ns: i64) -> Result<(), LogError> {
        let Some(every) = self.options.flush_every else {
            return Ok(());
        };
        match self.streams[at].ages_beyond(nanos(every), host_time_ns) {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Hands everything to the operating system: samples that wait for their segment go to the tail file.
    ///
    /// # Errors
    /// [`LogError::Failed`], [`LogError::Finished`], and the medium's own, which are final.
    pub fn flush(&mut self) -> Result<(), LogError> {
        self.ready()?;
        self.settle(true)?;
        for at in 0..self.streams.len() {
            if let Err(error) = self.flush_stream(at) {
                let cut = match &mut self.streams[at].tail {
                    Some(tail) => tail.storage.truncate(tail.end),
                    None => Ok(()),
                };
                return Err(self.fail("write the tail of", error, cut));
            }
            self.streams[at].flushed_ns = self.streams[at].last_ns;
        }
        self.waits_since = None;
        self.advance();
        Ok(())
    }

    fn flush_stream(&mut self, at: usize) -> io::Result<()> {
        let stream = &mut self.streams[at];
        let Some((stamp, data)) = stream.gather.as_ref().and_then(Gather::unflushed) else {
            return Ok(());
        };
        let mut tail = match stream.tail.take() {
            Some(tail) => tail,
            None => {
                let (tail, target) = TailFile::create(&*self.medium, &self.file.path, at)?;
                self.durable.add_target(target);
                self.durable.add_once(directory(&self.medium, &tail.path));
                tail
            }
        };
        let result = tail
            .begin_anew(self.handed, self.durable.position().bytes)
            .and_then(|()| tail.append(self.run, stream, &stamp, &data));
        stream.tail = Some(tail);
        self.handed += result?;
        if let Some(gather) = &mut stream.gather {
            gather.flushed += stamp.samples;
            gather.flushed_blocks += stamp.blocks;
        }
        self.blocks += stamp.blocks;
        Ok(())
    }

    fn sync_if_due(&mut self) -> Result<(), LogError> {
        let due = match self.options.sync {
            SyncPolicy::AtFinish => false,
            SyncPolicy::EachBlock => true,
            SyncPolicy::Bytes(bytes) => self.handed - self.last_sync.1 >= bytes,
            SyncPolicy::Every(time) => self.last_sync.0.elapsed() >= time,
        };
        if !due {
            return Ok(());
        }
        match self.synced_elsewhere {
            true => self.flush()?,
            false => self.sync()?,
        }
        self.last_sync = (Instant::now(), self.handed);
        if self.synced_elsewhere {
            self.durable.ask();
        }
        Ok(())
    }

    /// Returns when every block given so far is durable.
    ///
    /// # Errors
    /// The medium's error; the writer is failed then.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.flush()?;
        match self.durable.sync() {
            Ok(_) => Ok(()),
            Err(error) => Err(self.fail("sync", error, Ok(()))),
        }
    }

    fn rotate_if_due(&mut self, block: &Block<'_>) -> Result<(), LogError> {
        let rotation = &self.options.rotation;
        let waiting: u64 = self
            .streams
            .iter()
            .filter_map(|stream| stream.gather.as_ref())
            .map(Gather::bytes)
            .sum();
        let empty = self.file.segments == 0 && waiting == 0;
        let long = rotation
            .bytes
            .is_some_and(|bytes| self.file.end + waiting + block.data.len() as u64 > bytes);
        let late = rotation
            .time
            .zip(self.file.began_ns)
            .is_some_and(|(time, began)| is_far(block.host_time_ns, began, time));
        match !empty && (long || late) {
            true => self.rotate(block.host_time_ns),
            false => Ok(()),
        }
    }

    /// Goes on in another file from the next block on, whatever the [`Rotation`] says; unless nothing is in
    /// the current one. It is named as after a rotation.
    ///
    /// # Errors
    /// The medium's error, or that the file is there already; the writer is failed then.
    pub fn begin_file(&mut self, host_time_ns: i64) -> Result<(), LogError> {
        let gathered = |stream: &Stream| stream.gather.as_ref().is_some_and(|own| own.bytes() > 0);
        match self.file.segments == 0 && !self.streams.iter().any(gathered) {
            true => Ok(()),
            false => self.rotate(host_time_ns),
        }
    }

    /// Completes the current file and goes on in the next.
    fn rotate(&mut self, host_time_ns: i64) -> Result<(), LogError> {
        let index = self.file.index + 1;
        let mut next = file_name(
            &self.template,
            self.options.rotation.is_on(),
            index,
            host_time_ns,
        );
        // Also a name of a file that is to be removed: the removal may still wait for its sync.
        let ours = |path: &PathBuf| *path == next;
        if ours(&self.file.path)
            || self.closed.iter().any(|(path, _)| ours(path))
            || self.removed.iter().any(ours)
        {
            next = with_suffix(&next, &format!("_{index:04}"));
        }
        self.close_all_gathered()?;
        // As at the end: the mark of a finished file comes after everything it vouches for is durable. Where somebody
        // else does the syncs, that is who writes it.
        let mut last_segment = None;
        if self.synced_elsewhere {
            last_segment = Some(self.table_segment(Some(&[])));
        } else {
            self.sync()?;
            self.close_file(&[])?;
        }
        self.durable.close_targets();
        let next = match self.prepared_file(&next, index) {
            Some(file) => Ok(file),
            None => self.next_file(&next, index),
        };
        let file = match next {
            Ok(file) => file,
            Err(error) => {
                if let Some((header, data)) = last_segment
                    && self.sync().is_ok()
                {
                    // The file is whole without it; the failure to tell is the first one.
                    let _ = self.append(header, &data);
                }
                self.phase = Phase::Failed(error.to_string());
                return Err(error);
            }
        };
        self.durable.add_once(directory(&self.medium, &file.path));
        let mut last = std::mem::replace(&mut self.file, file);
        let mut behind = false;
        if let Some((header, data)) = last_segment
            && let Some(storage) = last.storage
        {
            let length = (header.len() + data.len()) as u64;
            behind = self.durable.add_closing(Closing {
                path: last.path.clone(),
                storage,
                target: last.target,
                offset: last.end,
                header,
                data,
            });
            last.end += length;
            self.handed += length;
            self.segments += 1;
            self.advance();
        }
        self.closed.push((last.path, last.end));
        for stream in &mut self.streams {
            stream.next_file();
            if let Some(tail) = stream.tail.take() {
                self.durable
                    .remove_after_sync(Arc::clone(&self.medium), tail.path);
            }
        }
        self.groups_made = self.streams.len();
        if let Some(keep) = self.options.rotation.keep_bytes {
            // Room is kept for the file that begins now: it becomes about as long as the last one.
            let next = self.closed.last().map_or(0, |(_, length)| *length);
            let mut all: u64 = next + self.closed.iter().map(|(_, length)| length).sum::<u64>();
            while all > keep && !self.closed.is_empty() {
                let (path, length) = self.closed.remove(0);
                all -= length;
                self.removed_bytes += length;
                self.durable
                    .remove_after_sync(Arc::clone(&self.medium), path.clone());
                self.removed.push(path);
            }
        }
        if self.synced_elsewhere {
            self.ask_for_next();
            if !behind {
                self.durable.ask();
                return Ok(());
            }
            // Files are changed faster than they can be brought to the medium: the ring waits with the writer.
        }
        self.sync()
    }

    /// The file that was made ahead, under its name.
    fn prepared_file(&self, next: &Path, index: u32) -> Option<OutputFile> {
        let prepared = self.durable.take_prepared()?;
        let mut path = next.to_path_buf();
        let mut attempt = 2;
        loop {
            match self.medium.rename(&prepared.path, &path) {
                Ok(()) => break,
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists
                        && !self.options.overwrite
                        && attempt < 1000 =>
                {
                    path = with_suffix(next, &format!("-{attempt}"));
                    attempt += 1;
                }
                // A file to be overwritten is opened as the first one was.
                Err(_) => {
                    prepared.remove();
                    return None;
                }
            }
        }
        self.durable.add_target(Arc::clone(&prepared.target));
        let (storage, target) = (prepared.storage, prepared.target);
        Some(OutputFile::new(path, storage, target, index))
    }

    /// A file that is made now.
    fn next_file(&self, next: &Path, index: u32) -> Result<OutputFile, LogError> {
        let mut file = open_file(&self.medium, &self.durable, next, &self.options, index);
        let mut attempt = 2;
        while let Err(LogError::Exists(_)) = &file
            && attempt < 1000
        {
            // In the middle of a recording a file that is in the way is no reason to stop.
            let other = with_suffix(next, &format!("-{attempt}"));
            file = open_file(&self.medium, &self.durable, &other, &self.options, index);
            attempt += 1;
        }
        file
    }

    /// Writes what completes a file.
    fn close_file(&mut self, properties: &[(String, PropertyValue)]) -> Result<(), LogError> {
        self.close_all_gathered()?;
        self.write_tables(Some(properties))?;
        if let Err(error) = self.file.cut() {
            return Err(self.fail("finish", error, Ok(())));
        }
        Ok(())
    }

    /// Properties of the root, as the first segment has them.
    fn root_properties(&self) -> Properties {
        let mut list = self.options.root_properties.clone();
        list.push((key::FORMAT.to_owned(), PropertyValue::U32(FORMAT_VERSION)));
        list.push((key::FILE.to_owned(), PropertyValue::U32(self.file.index)));
        if !self.options.checksum {
            list.push((key::CHECKSUM.to_owned(), "none".into()));
        }
        if let Some((before, _)) = self.closed.last()
            && let Some(name) = before.file_name()
        {
            list.push((
                key::PREVIOUS.to_owned(),
                name.to_string_lossy().as_ref().into(),
            ));
        }
        list.push((key::COMPLETE.to_owned(), PropertyValue::Bool(false)));
        list
    }

    /// Writes the tables collected so far and says all properties again; with `last`, as the file's end.
    fn write_tables(&mut self, last: Option<&[(String, PropertyValue)]>) -> Result<(), LogError> {
        let (header, data) = self.table_segment(last);
        self.append(header, &data)?;
        self.advance();
        Ok(())
    }

    /// The segment with the tables collected so far, header and data.
    fn table_segment(&mut self, last: Option<&[(String, PropertyValue)]>) -> (Vec<u8>, Vec<u8>) {
        let mut header = HeaderBuilder::new(std::mem::take(&mut self.header));
        let mut root = self.root_properties();
        if let Some(properties) = last {
            root.extend_from_slice(properties);
            root.retain(|(name, _)| name != key::COMPLETE);
            root.push((key::COMPLETE.to_owned(), PropertyValue::Bool(true)));
        }
        describe(&mut header, "/", RawIndex::None, &root);
        for stream in &self.streams {
            if last.is_some() || stream.part.introduced {
                stream.describe_end(&mut header);
            } else if self.file.segments == 0 {
                describe(&mut header, &stream.part.group_path, RawIndex::None, &[]);
            }
        }
        let data = self.tables.take(&mut header);
        let seal = Seal {
            run: self.run,
            segment: self.file.segments,
            block: None,
            data_crc: Some(crc32c(&data)),
        };
        (header.finish(&seal, data.len() as u64, ALIGN), data)
    }

    /// Completes the log: what waits for its segment, tables, final properties, sync.
    ///
    /// # Errors
    /// [`LogError::Failed`] after an earlier failure, [`LogError::Finished`] the second time, and the medium's own.
    pub fn finish(&mut self, properties: Properties) -> Result<LogSummary, LogError> {
        self.ready()?;
        self.close_all_gathered()?;
        // The mark of a finished recording comes after everything it vouches for is durable.
        self.sync()?;
        self.close_file(&properties)?;
        for stream in &mut self.streams {
            if let Some(tail) = stream.tail.take() {
                self.durable
                    .remove_after_sync(Arc::clone(&self.medium), tail.path);
            }
        }
        self.durable
            .add_once(directory(&self.medium, &self.file.path));
        self.sync()?;
        self.phase = Phase::Finished;
        self.durable.close();
        Ok(self.summary())
    }

    /// What there is of a stream in the files: after a failure, less than was taken. What waits in memory
    /// for its segment is not there.
    pub fn stored(&mut self, group: usize) -> Option<Stored> {
        // Its failure is told by it having been taken back.
        let _ = self.settle(true);
        let stream = self.streams.get(group)?;
        let mut stored = Stored {
            blocks: stream.blocks,
            samples: stream.samples,
            end: stream.end,
        };
        if let Some(gather) = stream.gather.as_ref().filter(|gather| gather.flushed > 0) {
            stored.blocks += gather.flushed_blocks;
            stored.samples += gather.flushed;
            stored.end = gather.stamp.first_sample + gather.flushed;
        }
        Some(stored)
    }

    /// Ends without a mark: the file stays as it is, as after a crash. Nothing can be written any more.
    pub fn abandon(&mut self) {
        // Nobody is left to be told of a failure; the file is cut to its last whole segment all the same.
        let _ = self.settle(true);
        self.durable.close();
    }

    /// What was written so far.
    pub fn summary(&self) -> LogSummary {
        let mut files: Vec<PathBuf> = self.closed.iter().map(|(path, _)| path.clone()).collect();
        files.push(self.file.path.clone());
        LogSummary {
            files,
            removed: self.removed.clone(),
            bytes: self.bytes_written(),
            payload: self.payload,
            segments: self.segments,
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
                    groups: stream.groups,
                })
                .collect(),
            gaps: self.gaps.clone(),
            direct_io: self.file.is_direct,
            io_reason: self.file.io_reason.clone(),
            run: self.run,
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.abandon();
    }
}

fn directory(medium: &Arc<dyn Medium>, path: &Path) -> Arc<dyn SyncTarget> {
    Arc::new(DirectorySync {
        medium: Arc::clone(medium),
        path: path.to_path_buf(),
    })
}

/// Refuses a recording that would end with its first block.
fn check_room(medium: &dyn Medium, path: &Path, options: &LogOptions) -> Result<(), LogError> {
    let (Some(reserve), Ok(Some(free))) = (options.reserve, medium.free_space(path)) else {
        return Ok(());
    };
    let replaced = match options.overwrite {
        true => std::fs::metadata(path).map_or(0, |data| data.len()),
        false => 0,
    };
    match free.saturating_add(replaced) < reserve {
        true => Err(LogError::DiskLow {
            path: path.to_path_buf(),
            free,
            reserve,
        }),
        false => Ok(()),
    }
}

fn open_file(
    medium: &Arc<dyn Medium>,
    durable: &Durable,
    path: &Path,
    options: &LogOptions,
    index: u32,
) -> Result<OutputFile, LogError> {
    let storage = medium
        .create(path, options.overwrite, options.direct_io)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => LogError::Exists(path.to_path_buf()),
            io::ErrorKind::WouldBlock => LogError::Locked(path.to_path_buf()),
            // Windows: the file is open without room for another writer (ERROR_SHARING_VIOLATION).
            _ if cfg!(windows) && error.raw_os_error() == Some(32) => {
                LogError::Locked(path.to_path_buf())
            }
            _ => LogError::io("create", path, error),
        })?;
    let target = storage
        .sync_target()
        .map_err(|error| LogError::io("create", path, error))?;
    durable.add_target(Arc::clone(&target));
    Ok(OutputFile::new(path.to_path_buf(), storage, target, index))
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
