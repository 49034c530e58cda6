use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use daqring_log::{
    Block, BlockTimes, ClockPair, DiskSpace, Gap, GapCause, GroupSpec, LogError, LogSummary,
    LogWriter, Progress, Properties, Record, Runs, Stored, SyncNeed, unix_ns,
};
use daqring_ring::BlockHeader;

use crate::recording::spawn;
use crate::{EngineError, StageOutput};

/// What a finished sink has to say.
#[derive(Debug, Clone, Default)]
pub struct SinkSummary {
    /// The log's own summary, where there is a log.
    pub log: Option<LogSummary>,
}

/// Where blocks end. Called by the writer thread alone, in the order of each stream.
pub trait Sink: Send {
    /// Takes sample 0's time of a stream, in nanoseconds since 1970 (UTC).
    fn start_time(&mut self, stream: usize, unix_ns: i64);

    /// Takes one block.
    ///
    /// # Errors
    /// When it could not be stored; the recording then stops.
    fn block(
        &mut self,
        stream: usize,
        header: &BlockHeader,
        output: &StageOutput,
        data: &[u8],
    ) -> Result<(), LogError>;

    /// How often [`tick`](Self::tick) is to be called while no blocks come; `None`: never.
    fn tick_every(&self) -> Option<Duration> {
        None
    }

    /// Does what has become due with time alone. `soon`: when the next call will come at the latest.
    ///
    /// # Errors
    /// When something could not be stored; the recording then stops.
    fn tick(&mut self, soon: Duration) -> Result<(), LogError> {
        let _ = soon;
        Ok(())
    }

    /// Takes a loss that no later block reports.
    ///
    /// # Errors
    /// When it could not be stored.
    fn final_gap(&mut self, stream: usize, gap: Gap) -> Result<(), LogError>;

    /// Ends the sink, with properties for the whole run.
    ///
    /// # Errors
    /// When the end could not be stored.
    fn finish(&mut self, properties: Properties) -> Result<SinkSummary, LogError>;

    /// After a failure to finish: what there is to say all the same.
    fn summary(&self) -> SinkSummary {
        SinkSummary::default()
    }

    /// After a failure to finish: what there is of a stream, where that may be less than was taken.
    fn stored(&mut self, stream: usize) -> Option<Stored> {
        let _ = stream;
        None
    }
}

/// Writes blocks to a TDMS log. Syncs that its policy asks for happen on a thread of its own, so that a medium that
/// takes its time does not hold up the writer.
pub struct LogSink {
    log: LogWriter,
    syncer: Option<JoinHandle<()>>,
    notes: Notes,
    /// Groups that notes have made, by name: index, next sample, next block.
    added: HashMap<String, (usize, u64, u64)>,
    /// Per stream what its blocks' runs become, where they are not the file's channels already, and its start time.
    runs: HashMap<usize, Runs>,
    start_ns: HashMap<usize, i64>,
    /// Per stream its group of the log, where that has another number.
    groups: HashMap<usize, usize>,
    /// Whether the next block begins another file.
    next_file: bool,
    tick_every: Duration,
}

/// How often notes are looked for while no blocks come, at most.
const TICK: Duration = Duration::from_millis(500);

/// Something for the log besides blocks.
#[derive(Debug, Clone)]
pub enum Note {
    /// An event, with its host time in Unix nanoseconds.
    Event {
        /// In words.
        text: String,
        /// When.
        host_time_ns: i64,
    },
    /// Readings of the clocks that belong together.
    Clock {
        /// Whose samples.
        stream: usize,
        /// The readings.
        pair: ClockPair,
    },
    /// Values of a group of their own, computed while recording.
    Values {
        /// The group, as it is made by the first values of its name.
        group: GroupSpec,
        /// Time of the first value of the group, Unix nanoseconds.
        start_ns: i64,
        /// One run per channel.
        data: Vec<u8>,
        /// Values in each run.
        samples: u64,
    },
    /// The next block begins another file.
    NextFile,
}

/// Takes notes for a log from any thread. They are written with the next block, or within half a second where none comes.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<Note>>>);

impl Notes {
    /// Adds a note.
    pub fn add(&self, note: Note) {
        self.lock().push(note);
    }

    fn take(&self) -> Vec<Note> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Note>> {
        // A push or a swap leaves nothing half-done behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogSink {
    /// Takes a log that was freshly created.
    ///
    /// # Errors
    /// [`EngineError::Spawn`].
    pub fn new(mut log: LogWriter) -> Result<LogSink, EngineError> {
        // A quarter of what a crash may cost, so that looking seldom does not cost much of it.
        let flush_every = log.flush_every().map(|every| every / 4);
        let tick_every = flush_every.map_or(TICK, |every| every.clamp(TICK / 100, TICK));
        let mut syncer = None;
        if log.syncs_while_writing() {
            let handle = log.sync_handle();
            syncer = Some(spawn("daqring-sync", move || {
                loop {
                    match handle.wait(Duration::from_secs(3600)) {
                        // A failed sync makes the writer fail at its next block, with the same words.
                        SyncNeed::Due => drop(handle.sync()),
                        SyncNeed::Idle => {}
                        SyncNeed::Closed => return,
                    }
                }
            })?);
        }
        Ok(LogSink {
            log,
            syncer,
            notes: Notes::default(),
            added: HashMap::new(),
            runs: HashMap::new(),
            start_ns: HashMap::new(),
            groups: HashMap::new(),
            next_file: false,
            tick_every,
        })
    }

    /// Says what the runs of a stream's blocks become; `None`: they are the file's channels as they are.
    pub fn set_runs(&mut self, stream: usize, runs: Option<Runs>) {
        match runs {
            Some(runs) => drop(self.runs.insert(stream, runs)),
            None => drop(self.runs.remove(&stream)),
        }
    }

    /// Says which group of the log a stream is; by itself, that of its number.
    pub fn set_group(&mut self, stream: usize, group: usize) {
        self.groups.insert(stream, group);
    }

    fn group(&self, stream: usize) -> usize {
        self.groups.get(&stream).copied().unwrap_or(stream)
    }

    /// The room that the log's disk has.
    pub fn disk_space(&self) -> DiskSpace {
        self.log.disk_space()
    }

    /// How far the log has come.
    pub fn progress(&self) -> Progress {
        self.log.progress()
    }

    /// Where notes for this log are taken.
    pub fn notes(&self) -> Notes {
        self.notes.clone()
    }

    fn write_notes(&mut self) -> Result<(), LogError> {
        for note in self.notes.take() {
            match note {
                Note::Event { text, host_time_ns } => self.log.annotate(&text, host_time_ns)?,
                Note::NextFile => self.next_file = true,
                Note::Clock { stream, pair } => self.log.note_clock(stream, pair)?,
                Note::Values {
                    group,
                    start_ns,
                    data,
                    samples,
                } => match self.write_values(group, start_ns, &data, samples) {
                    // Values that do not fit must not cost the recording; the file tells of them.
                    Err(LogError::Spec(what) | LogError::Block(what)) => {
                        let text = format!("values were not written: {what}");
                        self.log.annotate(&text, unix_ns())?;
                    }
                    other => other?,
                },
            }
        }
        Ok(())
    }

    fn write_values(
        &mut self,
        group: GroupSpec,
        start_ns: i64,
        data: &[u8],
        samples: u64,
    ) -> Result<(), LogError> {
        let name = group.name.clone();
        let (index, first_sample, seq) = match self.added.get(&name) {
            Some(place) => *place,
            None => {
                let index = self.log.add_group(group)?;
                self.log.set_start_time(index, start_ns);
                (index, 0, 0)
            }
        };
        self.added.insert(name.clone(), (index, first_sample, seq));
        self.log.write_block(&Block {
            group: index,
            seq,
            first_sample,
            samples,
            lost_before: 0,
            gap: 0,
            // Whatever times the values have: by the host's, files are changed.
            host_time_ns: unix_ns(),
            crc32c: None,
            data,
        })?;
        self.added
            .insert(name, (index, first_sample + samples, seq + 1));
        Ok(())
    }
}

impl Sink for LogSink {
    fn start_time(&mut self, stream: usize, unix_ns: i64) {
        self.start_ns.insert(stream, unix_ns);
        self.log.set_start_time(self.group(stream), unix_ns);
    }

    fn block(
        &mut self,
        stream: usize,
        header: &BlockHeader,
        output: &StageOutput,
        data: &[u8],
    ) -> Result<(), LogError> {
        self.write_notes()?;
        if std::mem::take(&mut self.next_file) {
            self.log.begin_file(header.host_time_ns)?;
        }
        let mut block = Block {
            group: self.group(stream),
            seq: header.seq,
            first_sample: header.first_sample,
            samples: header.samples,
            lost_before: header.lost_before,
            gap: match (header.gap, header.lost_before) {
                // A ring that dropped blocks leaves the cause to us.
                (0, lost) if lost != 0 => GapCause::Overrun as u32,
                (gap, _) => gap,
            },
            host_time_ns: header.host_time_ns,
            crc32c: output.crc32c,
            data,
        };
        if let Some(runs) = self.runs.get_mut(&stream) {
            let when = BlockTimes {
                host_time_ns: header.host_time_ns,
                start_ns: self.start_ns.get(&stream).copied().unwrap_or(0),
                after_gap: header.lost_before != 0,
            };
            block.data = runs.convert(header.samples, data, when)?;
            block.crc32c = None;
        }
        match header.record {
            None => self.log.write_block(&block),
            Some(mark) => self.log.write_record(
                &block,
                &Record {
                    number: mark.number,
                    start_time_ns: mark.start_time_ns,
                    pretrigger: mark.pretrigger,
                },
            ),
        }
    }

    fn tick_every(&self) -> Option<Duration> {
        Some(self.tick_every)
    }

    fn tick(&mut self, soon: Duration) -> Result<(), LogError> {
        self.write_notes()?;
        self.log.tick(soon)
    }

    fn final_gap(&mut self, stream: usize, gap: Gap) -> Result<(), LogError> {
        self.log.note_gap(self.group(stream), gap)
    }

    fn finish(&mut self, properties: Properties) -> Result<SinkSummary, LogError> {
        self.write_notes()?;
        let log = Some(self.log.finish(properties)?);
        Ok(SinkSummary { log })
    }

    fn summary(&self) -> SinkSummary {
        SinkSummary {
            log: Some(self.log.summary()),
        }
    }

    fn stored(&mut self, stream: usize) -> Option<Stored> {
        self.log.stored(self.group(stream))
    }
}

impl Drop for LogSink {
    fn drop(&mut self) {
        // Closes the sync handle, also after a failure.
        self.log.abandon();
        if let Some(syncer) = self.syncer.take() {
            // It does nothing that could panic.
            let _ = syncer.join();
        }
    }
}

/// Counts blocks and forgets them: for benches, and for runs that only process.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullSink;

impl Sink for NullSink {
    fn start_time(&mut self, _: usize, _: i64) {}

    fn block(
        &mut self,
        _: usize,
        _: &BlockHeader,
        _: &StageOutput,
        _: &[u8],
    ) -> Result<(), LogError> {
        Ok(())
    }

    fn final_gap(&mut self, _: usize, _: Gap) -> Result<(), LogError> {
        Ok(())
    }

    fn finish(&mut self, _: Properties) -> Result<SinkSummary, LogError> {
        Ok(SinkSummary::default())
    }
}
