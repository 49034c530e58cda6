//! Whole recordings: order, accounting and the end of them, also when something fails.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use daqring_engine::{
    Checksum, EngineError, NullSink, Recording, RecordingOptions, RecordingStats, Sink,
    SinkSummary, Stage, StageError, StageOutput, StreamOptions,
};
use daqring_log::{Gap, GapCause, LogError, Properties};
use daqring_ring::slots::{ReserveError, SlotOptions, SlotProducer};
use daqring_ring::{BlockHeader, BlockMeta};

const SLOT_BYTES: usize = 64;

/// What a [`Notebook`] wrote down.
#[derive(Default)]
struct Notes {
    blocks: Vec<(usize, u64, Option<u32>, Vec<u8>)>,
    start_times: Vec<(usize, i64)>,
    gaps: Vec<(usize, Gap)>,
    finished: bool,
}

/// A sink that remembers everything, and fails or panics at a chosen block.
struct Notebook {
    notes: Arc<Mutex<Notes>>,
    fail_at: Option<u64>,
    panic_at: Option<u64>,
}

impl Notebook {
    fn new() -> (Box<Self>, Arc<Mutex<Notes>>) {
        let notes = Arc::new(Mutex::new(Notes::default()));
        (
            Box::new(Self {
                notes: Arc::clone(&notes),
                fail_at: None,
                panic_at: None,
            }),
            notes,
        )
    }
}

impl Sink for Notebook {
    fn start_time(&mut self, stream: usize, unix_ns: i64) {
        self.notes
            .lock()
            .unwrap()
            .start_times
            .push((stream, unix_ns));
    }

    fn block(
        &mut self,
        stream: usize,
        header: &BlockHeader,
        output: &StageOutput,
        data: &[u8],
    ) -> Result<(), LogError> {
        assert_ne!(
            self.panic_at,
            Some(header.seq),
            "the sink was told to panic"
        );
        if self.fail_at == Some(header.seq) {
            return Err(LogError::Failed("the sink was told to fail".into()));
        }
        self.notes
            .lock()
            .unwrap()
            .blocks
            .push((stream, header.seq, output.crc32c, data.to_vec()));
        Ok(())
    }

    fn final_gap(&mut self, stream: usize, gap: Gap) -> Result<(), LogError> {
        self.notes.lock().unwrap().gaps.push((stream, gap));
        Ok(())
    }

    fn finish(self: Box<Self>, _: Properties) -> Result<SinkSummary, LogError> {
        self.notes.lock().unwrap().finished = true;
        Ok(SinkSummary::default())
    }
}

/// A stage that takes its time, longer for some blocks than for others, and fails or panics at one.
#[derive(Default)]
struct Uneven {
    fail_at: Option<u64>,
    panic_at: Option<u64>,
}

impl Stage for Uneven {
    fn name(&self) -> &str {
        "uneven"
    }

    fn run(&self, header: &BlockHeader, _: &[u8], _: &mut StageOutput) -> Result<(), StageError> {
        std::thread::sleep(Duration::from_micros(header.seq % 5 * 300));
        assert_ne!(
            self.panic_at,
            Some(header.seq),
            "the stage was told to panic"
        );
        if self.fail_at == Some(header.seq) {
            return Err(StageError("it was told to fail".into()));
        }
        Ok(())
    }
}

fn start(
    streams: usize,
    workers: usize,
    stages: Vec<Arc<dyn Stage>>,
    sink: Box<dyn Sink>,
) -> (Recording, Vec<SlotProducer>) {
    let streams = (0..streams)
        .map(|number| StreamOptions {
            name: format!("stream {number}"),
            slots: SlotOptions::new(SLOT_BYTES, 8),
            workers,
        })
        .collect();
    Recording::start(RecordingOptions { streams, stages }, sink)
        .expect("threads and memory can be had")
}

/// Commits block number `seq` with a content of its own; `Err` once the ring is closed.
fn commit(producer: &mut SlotProducer, seq: u64) -> Result<(), ReserveError> {
    let mut slot = producer.reserve_until(Instant::now() + Duration::from_secs(20))?;
    let content = content(seq);
    slot[..content.len()].copy_from_slice(&content);
    slot.commit(BlockMeta {
        bytes: content.len(),
        first_sample: seq * 10,
        samples: 10,
        lost_before: 0,
        gap: 0,
        host_time_ns: 0,
        ..BlockMeta::default()
    });
    Ok(())
}

fn content(seq: u64) -> Vec<u8> {
    (0..SLOT_BYTES as u64 - seq % 3)
        .map(|i| (seq * 7 + i) as u8)
        .collect()
}

fn assert_law(stats: &RecordingStats) {
    for stream in &stats.streams {
        assert!(stream.law_holds(), "{stream:?}");
    }
}

#[test]
fn blocks_of_each_stream_arrive_whole_and_in_order() {
    let (sink, notes) = Notebook::new();
    let (recording, mut producers) = start(
        3,
        4,
        vec![Arc::new(Uneven::default()), Arc::new(Checksum)],
        sink,
    );
    recording.set_start_time(1, 42);
    for seq in 0..200 {
        for producer in &mut producers {
            commit(producer, seq).unwrap();
        }
    }
    drop(producers);
    let (summary, error) = recording.finish(&[], |_| Vec::new());
    assert!(error.is_none(), "{error:?}");
    assert_law(&summary.stats);
    let notes = notes.lock().unwrap();
    assert!(notes.finished);
    assert!(notes.start_times.contains(&(1, 42)));
    assert_eq!(notes.start_times.len(), 3);
    for stream in 0..3 {
        let blocks: Vec<_> = notes
            .blocks
            .iter()
            .filter(|block| block.0 == stream)
            .collect();
        assert_eq!(blocks.len(), 200);
        for (expected, (_, seq, crc, data)) in blocks.into_iter().enumerate() {
            assert_eq!(*seq, expected as u64);
            assert_eq!(*data, content(*seq));
            assert_eq!(*crc, Some(daqring_log::crc32c(data)));
        }
        assert_eq!(summary.stats.streams[stream].written_samples, 2000);
    }
}

/// Commits until the ring closes; gives the number of commits.
fn commit_until_closed(producer: &mut SlotProducer) -> u64 {
    for seq in 0..1_000_000 {
        match commit(producer, seq) {
            Ok(()) => {}
            Err(ReserveError::Closed) => return seq,
            Err(error) => panic!("the producer was neither served nor told: {error}"),
        }
    }
    panic!("the failure never reached the producer");
}

/// Runs a recording that must fail at block 20 and gives its error; everything before that block is
/// in the sink, nothing after it.
fn failing_run(workers: usize, stages: Vec<Arc<dyn Stage>>, sink: Box<Notebook>) -> EngineError {
    let notes = Arc::clone(&sink.notes);
    let sink_panics = sink.panic_at.is_some();
    let (recording, mut producers) = start(1, workers, stages, sink);
    let committed = commit_until_closed(&mut producers[0]);
    assert!(recording.failure().is_some());
    drop(producers);
    let (summary, error) = recording.finish(&[], |_| Vec::new());
    let stream = summary.stats.streams[0];
    assert_eq!(stream.committed, committed);
    assert_eq!(stream.written, 20);
    let notes = notes.lock().unwrap();
    assert_eq!(
        notes.blocks.iter().map(|block| block.1).collect::<Vec<_>>(),
        (0..20).collect::<Vec<_>>()
    );
    if !sink_panics {
        assert!(stream.failed > 0);
        assert_law(&summary.stats);
        assert!(
            notes.finished,
            "a failed recording is finished all the same"
        );
    }
    error.expect("the failure comes out")
}

#[test]
fn a_failing_stage_stops_the_recording_and_keeps_what_came_before() {
    for workers in [1, 4] {
        let stage = Arc::new(Uneven {
            fail_at: Some(20),
            ..Uneven::default()
        });
        let error = failing_run(workers, vec![stage], Notebook::new().0);
        assert_eq!(
            error.to_string(),
            "stage 'uneven' failed on block 20: it was told to fail"
        );
    }
}

#[test]
fn a_panicking_stage_does_the_same() {
    let stage = Arc::new(Uneven {
        panic_at: Some(20),
        ..Uneven::default()
    });
    let error = failing_run(2, vec![stage], Notebook::new().0);
    assert!(
        error.to_string().contains("the stage was told to panic"),
        "{error}"
    );
}

#[test]
fn a_failing_sink_stops_the_recording() {
    let (mut sink, _) = Notebook::new();
    sink.fail_at = Some(20);
    let error = failing_run(2, vec![], sink);
    assert!(
        error.to_string().contains("the sink was told to fail"),
        "{error}"
    );
}

#[test]
fn a_panicking_sink_stops_the_recording() {
    let (mut sink, notes) = Notebook::new();
    sink.panic_at = Some(20);
    // The panic must not poison the notes.
    drop(notes);
    let error = failing_run(2, vec![], sink);
    assert!(matches!(error, EngineError::Panicked(_)), "{error}");
}

#[test]
fn a_failing_stage_of_one_stream_keeps_what_others_committed() {
    struct NotEleven;
    impl Stage for NotEleven {
        fn name(&self) -> &str {
            "not eleven"
        }
        fn run(
            &self,
            header: &BlockHeader,
            _: &[u8],
            _: &mut StageOutput,
        ) -> Result<(), StageError> {
            if header.samples == 11 {
                Err(StageError("eleven".into()))
            } else {
                Ok(())
            }
        }
    }
    let (sink, notes) = Notebook::new();
    let (recording, mut producers) = start(2, 1, vec![Arc::new(NotEleven)], sink);
    for seq in 0..5 {
        commit(&mut producers[0], seq).unwrap();
    }
    let meta = BlockMeta {
        bytes: 1,
        first_sample: 0,
        samples: 11,
        lost_before: 0,
        gap: 0,
        host_time_ns: 0,
        ..BlockMeta::default()
    };
    producers[1].reserve().unwrap().commit(meta);
    drop(producers);
    let (summary, error) = recording.finish(&[], |_| Vec::new());
    assert!(error.unwrap().to_string().contains("eleven"));
    assert_law(&summary.stats);
    assert_eq!(notes.lock().unwrap().blocks.len(), 5);
    assert_eq!(
        (
            summary.stats.streams[1].failed,
            summary.stats.streams[1].failed_samples
        ),
        (1, 11)
    );
}

#[test]
fn losses_are_counted_where_they_are_told() {
    let (sink, notes) = Notebook::new();
    let (recording, mut producers) = start(1, 1, vec![], sink);
    let block = |first_sample, lost_before, gap| BlockMeta {
        bytes: 4,
        first_sample,
        samples: 2,
        lost_before,
        gap,
        host_time_ns: 0,
        ..BlockMeta::default()
    };
    producers[0].reserve().unwrap().commit(block(0, 0, 0));
    producers[0]
        .reserve()
        .unwrap()
        .commit(block(9, 7, GapCause::Foreign as u32));
    producers[0]
        .reserve()
        .unwrap()
        .commit(block(11, u64::MAX, GapCause::Unknown as u32));
    drop(producers);
    let gap = Gap {
        first_sample: 13,
        count: Some(5),
        cause: GapCause::Overwrite,
        host_time_ns: 1,
    };
    let (summary, error) = recording.finish(&[(0, gap)], |_| Vec::new());
    assert!(error.is_none());
    let stream = summary.stats.streams[0];
    assert_eq!(
        (stream.lost, stream.lost_unknown, stream.written_samples),
        (12, 1, 6)
    );
    assert_eq!(notes.lock().unwrap().gaps, [(0, gap)]);
}

#[test]
fn a_dropped_recording_ends_its_threads_and_tells_the_producer() {
    let (recording, mut producers) = start(1, 2, vec![], Box::new(NullSink));
    commit(&mut producers[0], 0).unwrap();
    drop(recording);
    assert_eq!(commit(&mut producers[0], 1), Err(ReserveError::Closed));
}

#[test]
fn no_streams_no_recording() {
    let options = RecordingOptions {
        streams: Vec::new(),
        stages: Vec::new(),
    };
    let error = Recording::start(options, Box::new(NullSink))
        .err()
        .expect("nothing to record");
    assert!(error.to_string().contains("at least one stream"));
}
