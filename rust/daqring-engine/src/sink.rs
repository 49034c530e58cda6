use std::thread::JoinHandle;
use std::time::Duration;

use daqring_log::{Block, Gap, LogError, LogSummary, LogWriter, Properties, SyncNeed};
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

    /// Takes a loss that no later block reports.
    ///
    /// # Errors
    /// When it could not be stored.
    fn final_gap(&mut self, stream: usize, gap: Gap) -> Result<(), LogError>;

    /// Ends the sink, with properties for the whole run.
    ///
    /// # Errors
    /// When the end could not be stored.
    fn finish(self: Box<Self>, properties: Properties) -> Result<SinkSummary, LogError>;
}

/// Writes blocks to a TDMS log. Syncs that its policy asks for happen on a thread of its own, so that a medium that
/// takes its time does not hold up the writer.
pub struct LogSink {
    log: LogWriter,
    syncer: Option<JoinHandle<()>>,
}

impl LogSink {
    /// Takes a log that was freshly created.
    ///
    /// # Errors
    /// [`EngineError::Spawn`].
    pub fn new(mut log: LogWriter) -> Result<LogSink, EngineError> {
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
        Ok(LogSink { log, syncer })
    }
}

impl Sink for LogSink {
    fn start_time(&mut self, stream: usize, unix_ns: i64) {
        self.log.set_start_time(stream, unix_ns);
    }

    fn block(
        &mut self,
        stream: usize,
        header: &BlockHeader,
        output: &StageOutput,
        data: &[u8],
    ) -> Result<(), LogError> {
        self.log.write_block(&Block {
            group: stream,
            seq: header.seq,
            first_sample: header.first_sample,
            samples: header.samples,
            lost_before: header.lost_before,
            gap: header.gap,
            host_time_ns: header.host_time_ns,
            crc32c: output.crc32c,
            data,
        })
    }

    fn final_gap(&mut self, stream: usize, gap: Gap) -> Result<(), LogError> {
        self.log.note_gap(stream, gap)
    }

    fn finish(mut self: Box<Self>, properties: Properties) -> Result<SinkSummary, LogError> {
        let finished = self.log.finish(properties);
        let syncer = self.syncer.take();
        // Closes the sync handle, also after a failure.
        drop(self);
        if let Some(syncer) = syncer {
            // It does nothing that could panic.
            let _ = syncer.join();
        }
        Ok(SinkSummary {
            log: Some(finished?),
        })
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

    fn finish(self: Box<Self>, _: Properties) -> Result<SinkSummary, LogError> {
        Ok(SinkSummary::default())
    }
}
