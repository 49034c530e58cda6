use daqring_log::{Block, Gap, LogError, LogSummary, LogWriter, Properties};
use daqring_ring::BlockHeader;

use crate::StageOutput;

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

/// Writes blocks to a TDMS log.
pub struct LogSink(
    /// The log, freshly created.
    pub LogWriter,
);

impl Sink for LogSink {
    fn start_time(&mut self, stream: usize, unix_ns: i64) {
        self.0.set_start_time(stream, unix_ns);
    }

    fn block(
        &mut self,
        stream: usize,
        header: &BlockHeader,
        output: &StageOutput,
        data: &[u8],
    ) -> Result<(), LogError> {
        self.0.write_block(&Block {
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
        self.0.note_gap(stream, gap)
    }

    fn finish(mut self: Box<Self>, properties: Properties) -> Result<SinkSummary, LogError> {
        Ok(SinkSummary {
            log: Some(self.0.finish(properties)?),
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
