use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use daqring_log::{Gap, LOST_UNKNOWN, LogError, Stored};
use daqring_ring::{BlockHeader, RecordMark};

use crate::recording::Shared;
use crate::{DerivedStats, Sink, StageOutput};

/// Derived samples are gathered up to this size ...
const GATHER_BYTES: usize = 1 << 20;
/// ... or this long, by host time, before they go to the log: a block of its own for every few
/// values would be mostly header.
const GATHER_NS: i64 = 1_000_000_000;

/// Counters of a stream that a stage puts out.
#[derive(Debug, Default)]
pub(crate) struct DerivedTally {
    blocks: AtomicU64,
    samples: AtomicU64,
    written_samples: AtomicU64,
    written_bytes: AtomicU64,
    lost: AtomicU64,
    lost_unknown: AtomicU64,
    records: AtomicU64,
}

impl DerivedTally {
    pub(crate) fn snapshot(&self, name: &str, source: usize, of_records: bool) -> DerivedStats {
        DerivedStats {
            name: name.to_owned(),
            source,
            blocks: self.blocks.load(Relaxed),
            samples: self.samples.load(Relaxed),
            written_samples: self.written_samples.load(Relaxed),
            written_bytes: self.written_bytes.load(Relaxed),
            lost: self.lost.load(Relaxed),
            lost_unknown: self.lost_unknown.load(Relaxed),
            records: of_records.then(|| self.records.load(Relaxed)),
        }
    }

    /// A record, or a piece of one.
    fn recorded(&self, number: u64) {
        self.records.fetch_max(number + 1, Relaxed);
    }

    /// Of what was written, only this is in the log.
    pub(crate) fn stored_only(&self, stored: Stored) {
        let (samples, bytes) = (&self.written_samples, &self.written_bytes);
        let each = bytes.load(Relaxed).checked_div(samples.load(Relaxed));
        if let Some(each) = each {
            samples.store(stored.samples, Relaxed);
            bytes.store(stored.samples * each, Relaxed);
        }
    }

    fn wrote(&self, samples: u64, bytes: usize) {
        self.written_samples.fetch_add(samples, Relaxed);
        self.written_bytes.fetch_add(bytes as u64, Relaxed);
    }
}

/// A block that a stage puts out.
#[derive(Debug, Clone, Copy, Default)]
pub struct DerivedBlock<'a> {
    /// Index of its first sample in the derived stream: times the stream's `dt`, this is the time
    /// since sample 0 of the source.
    pub first_sample: u64,
    /// Samples per channel.
    pub samples: u64,
    /// Samples per channel that are missing in front of it because of a gap in the source.
    pub lost_before: u64,
    /// Why: a [`daqring_log::GapCause`] as a number.
    pub gap: u32,
    /// When the samples that it was made from were complete.
    pub host_time_ns: i64,
    /// Which record it is, or a piece of: as the block that it was made from says.
    pub record: Option<RecordMark>,
    /// CRC32C of `data`, where it is known already.
    pub crc32c: Option<u32>,
    /// The runs of all channels, behind that of the times where the stream has one.
    pub data: &'a [u8],
}

#[derive(Debug, Default)]
struct Gathered {
    runs: Vec<Vec<u8>>,
    /// Bytes of a sample, of each run.
    sizes: Vec<usize>,
    whole: Vec<u8>,
    header: BlockHeader,
}

/// A derived stream as the writer thread keeps it.
#[derive(Debug)]
pub(crate) struct DerivedLane {
    /// Its index among the recording's streams.
    stream: usize,
    /// Its index among the derived ones.
    index: usize,
    source: usize,
    logged: bool,
    started: bool,
    next_seq: u64,
    tap_seq: u64,
    gathered: Gathered,
}

impl DerivedLane {
    pub(crate) fn new(
        stream: usize,
        index: usize,
        source: usize,
        logged: bool,
        sizes: Vec<usize>,
    ) -> Self {
        Self {
            stream,
            index,
            source,
            logged,
            started: false,
            next_seq: 0,
            tap_seq: 0,
            gathered: Gathered {
                runs: vec![Vec::new(); sizes.len()],
                sizes,
                ..Gathered::default()
            },
        }
    }
}

/// Where a stage puts what it makes: the log and the taps of its derived stream.
pub struct Outlet<'a> {
    lane: Option<&'a mut DerivedLane>,
    sink: &'a mut dyn Sink,
    shared: &'a Shared,
}

impl<'a> Outlet<'a> {
    pub(crate) fn new(
        lane: Option<&'a mut DerivedLane>,
        sink: &'a mut dyn Sink,
        shared: &'a Shared,
    ) -> Self {
        Self { lane, sink, shared }
    }

    /// Time of sample 0 of the task's stream, in nanoseconds since 1970 (UTC).
    pub fn start_time(&self) -> i64 {
        let lane = self.lane.as_deref();
        lane.map_or(0, |lane| self.shared.start_time(lane.source))
    }

    /// Puts out a block. Empty ones are ignored.
    ///
    /// # Errors
    /// When it could not be stored.
    pub fn block(&mut self, block: &DerivedBlock<'_>) -> Result<(), LogError> {
        let Some(lane) = self.lane.as_deref_mut().filter(|_| block.samples > 0) else {
            return Ok(());
        };
        let tally = &self.shared.derived[lane.index].tally;
        tally.blocks.fetch_add(1, Relaxed);
        tally.samples.fetch_add(block.samples, Relaxed);
        if let Some(record) = block.record {
            tally.recorded(record.number);
        }
        if block.lost_before == LOST_UNKNOWN {
            tally.lost_unknown.fetch_add(1, Relaxed);
        } else {
            tally.lost.fetch_add(block.lost_before, Relaxed);
        }
        let header = BlockHeader {
            seq: lane.tap_seq,
            bytes: block.data.len(),
            first_sample: block.first_sample,
            samples: block.samples,
            lost_before: block.lost_before,
            gap: block.gap,
            host_time_ns: block.host_time_ns,
            record: block.record,
        };
        lane.tap_seq += 1;
        let stream = lane.stream;
        self.shared.feed_taps(stream, &header, block.data);
        self.log(block, header)?;
        self.shared.hand_on(stream, &header, block.data);
        Ok(())
    }

    /// Stores a block, or keeps it until there are enough of them.
    fn log(&mut self, block: &DerivedBlock<'_>, mut header: BlockHeader) -> Result<(), LogError> {
        let Some(lane) = self.lane.as_deref_mut().filter(|lane| lane.logged) else {
            return Ok(());
        };
        let breaks = block.lost_before != 0
            || block.record.is_some()
            || block.gap != 0
            || lane.gathered.header.first_sample + lane.gathered.header.samples
                != block.first_sample;
        if breaks {
            self.flush()?;
        }
        let Some(lane) = self.lane.as_deref_mut() else {
            return Ok(());
        };
        if block.record.is_some()
            || lane.gathered.header.samples == 0 && block.data.len() >= GATHER_BYTES
        {
            header.seq = lane.next_seq;
            lane.next_seq += 1;
            let output = StageOutput {
                crc32c: block.crc32c,
            };
            return self.write(&header, &output, block.data);
        }
        let gathered = &mut lane.gathered;
        if gathered.header.samples == 0 {
            gathered.header = BlockHeader {
                samples: 0,
                bytes: 0,
                ..header
            };
        }
        let (samples, mut rest) = (block.samples as usize, block.data);
        for (run, size) in gathered.runs.iter_mut().zip(&gathered.sizes) {
            let (mine, others) = rest.split_at(samples * size);
            run.extend_from_slice(mine);
            rest = others;
        }
        gathered.header.samples += block.samples;
        gathered.header.bytes += block.data.len();
        let late = block
            .host_time_ns
            .saturating_sub(gathered.header.host_time_ns)
            >= GATHER_NS;
        if late || gathered.header.bytes >= GATHER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Puts out a record, or a piece of one: the samples of one trigger. `number` is the record's,
    /// `start` the index of its first sample, `pretrigger` the samples before the trigger.
    ///
    /// # Errors
    /// When it could not be stored.
    pub fn record(
        &mut self,
        block: &DerivedBlock<'_>,
        number: u64,
        start: u64,
        pretrigger: u64,
    ) -> Result<(), LogError> {
        let Some(lane) = self.lane.as_deref_mut() else {
            return Ok(());
        };
        let shared = self.shared;
        let derived = &shared.derived[lane.index];
        derived.tally.blocks.fetch_add(1, Relaxed);
        derived.tally.samples.fetch_add(block.samples, Relaxed);
        derived.tally.recorded(number);
        let offset = (start as f64 * derived.dt * 1e9).round() as i64;
        let header = BlockHeader {
            seq: lane.next_seq,
            bytes: block.data.len(),
            first_sample: block.first_sample,
            samples: block.samples,
            host_time_ns: block.host_time_ns,
            record: Some(RecordMark {
                number,
                start_time_ns: shared.start_time(lane.source).saturating_add(offset),
                pretrigger,
            }),
            ..BlockHeader::default()
        };
        lane.next_seq += 1;
        shared.feed_taps(lane.stream, &header, block.data);
        if lane.logged {
            let output = StageOutput {
                crc32c: block.crc32c,
            };
            Self::start(lane, self.sink, shared);
            self.sink.block(lane.stream, &header, &output, block.data)?;
            derived.tally.wrote(block.samples, block.data.len());
        }
        shared.hand_on(lane.stream, &header, block.data);
        Ok(())
    }

    /// Tells a loss in the source that a record cannot tell.
    ///
    /// # Errors
    /// When it could not be stored.
    pub fn gap(&mut self, gap: Gap) -> Result<(), LogError> {
        let Some(lane) = self.lane.as_deref_mut() else {
            return Ok(());
        };
        let tally = &self.shared.derived[lane.index].tally;
        match gap.count {
            Some(count) => tally.lost.fetch_add(count, Relaxed),
            None => tally.lost_unknown.fetch_add(1, Relaxed),
        };
        match lane.logged {
            true => self.sink.final_gap(lane.stream, gap),
            false => Ok(()),
        }
    }

    /// Writes what was gathered.
    pub(crate) fn flush(&mut self) -> Result<(), LogError> {
        let Some(lane) = self.lane.as_deref_mut() else {
            return Ok(());
        };
        if lane.gathered.header.samples == 0 {
            return Ok(());
        }
        let mut header = std::mem::take(&mut lane.gathered.header);
        let mut whole = std::mem::take(&mut lane.gathered.whole);
        whole.clear();
        for run in &mut lane.gathered.runs {
            whole.extend_from_slice(run);
            run.clear();
        }
        header.seq = lane.next_seq;
        lane.next_seq += 1;
        let result = self.write(&header, &StageOutput::default(), &whole);
        if let Some(lane) = self.lane.as_deref_mut() {
            lane.gathered.whole = whole;
        }
        result
    }

    fn start(lane: &mut DerivedLane, sink: &mut dyn Sink, shared: &Shared) {
        if !lane.started {
            lane.started = true;
            sink.start_time(lane.stream, shared.start_time(lane.source));
        }
    }

    fn write(
        &mut self,
        header: &BlockHeader,
        output: &StageOutput,
        data: &[u8],
    ) -> Result<(), LogError> {
        let Some(lane) = self.lane.as_deref_mut() else {
            return Ok(());
        };
        Self::start(lane, self.sink, self.shared);
        self.sink.block(lane.stream, header, output, data)?;
        self.shared.derived[lane.index]
            .tally
            .wrote(header.samples, data.len());
        Ok(())
    }
}
