//! Whole recordings: order, accounting and the end of them, also when something fails.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use daqring_engine::stages::{Checksum, Decimate, Scaled};
use daqring_engine::{
    Arrival, BlockView, DerivedBlock, EngineError, Feed, Layout, Missed, NullSink, Outlet, Parcel,
    Recording, RecordingOptions, RecordingStats, SettleError, Settlement, Sink, SinkSummary, Stage,
    StageError, StageOptions, StageOutput, StreamOptions, Tap, ThreadRole, own,
};
use daqring_log::{ChannelSpec, DataType, Gap, GapCause, GroupSpec, LogError, Properties};
use daqring_ring::slots::{ReserveError, SlotOptions, SlotProducer};
use daqring_ring::{BlockHeader, BlockMeta, Policy, WaitStrategy};

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

    fn finish(&mut self, _: Properties) -> Result<SinkSummary, LogError> {
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

    fn run(
        &self,
        block: &BlockView<'_>,
        _: &mut Parcel,
        _: &mut StageOutput,
    ) -> Result<(), StageError> {
        let header = block.header;
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
    start_with(streams, workers, stages, sink, |_| {})
}

fn start_with(
    streams: usize,
    workers: usize,
    stages: Vec<Arc<dyn Stage>>,
    sink: Box<dyn Sink>,
    change: impl FnOnce(&mut RecordingOptions),
) -> (Recording, Vec<SlotProducer>) {
    let stages: Vec<_> = stages
        .into_iter()
        .map(|stage| StageOptions {
            stage,
            logged: true,
            then: Vec::new(),
        })
        .collect();
    let streams = (0..streams)
        .map(|number| StreamOptions {
            name: format!("stream {number}"),
            slots: SlotOptions::new(SLOT_BYTES, 8),
            stages: stages.clone(),
            recorded: true,
        })
        .collect();
    let mut options = RecordingOptions {
        streams,
        workers,
        wait: WaitStrategy::Park,
        feed: Vec::new(),
        on_thread: None,
    };
    change(&mut options);
    Recording::start(options, sink).expect("threads and memory can be had")
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
        notes
            .blocks
            .iter()
            .filter(|block| block.0 == 0)
            .map(|block| block.1)
            .collect::<Vec<_>>(),
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
fn a_panicking_thread_hook_stops_the_recording_and_keeps_what_came_before() {
    for broken in [ThreadRole::Worker(0), ThreadRole::Writer] {
        let (sink, notes) = Notebook::new();
        let (recording, mut producers) = start_with(1, 1, vec![], sink, |options| {
            options.on_thread = Some(Arc::new(move |role| {
                assert_ne!(role, broken, "the hook was told to panic");
            }));
        });
        let committed = commit_until_closed(&mut producers[0]);
        let failure = recording.failure().expect("it was told before the end");
        assert!(failure.contains("the hook was told to panic"), "{failure}");
        drop(producers);
        let (summary, error) = recording.finish(&[], |_| Vec::new());
        assert!(matches!(error, Some(EngineError::Panicked(_))), "{error:?}");
        assert_law(&summary.stats);
        assert_eq!(summary.stats.streams[0].written, committed);
        assert!(notes.lock().unwrap().finished);
    }
}

#[test]
fn behind_blocks_that_failed_no_loss_is_told() {
    let (mut sink, notes) = Notebook::new();
    sink.fail_at = Some(3);
    let (recording, mut producers) = start(1, 1, vec![], sink);
    let committed = commit_until_closed(&mut producers[0]);
    drop(producers);
    let gap = Gap {
        first_sample: committed * 10,
        count: Some(7),
        cause: GapCause::Overwrite,
        host_time_ns: 0,
    };
    let (summary, error) = recording.finish(&[(0, gap)], |_| Vec::new());
    assert!(error.is_some());
    let stream = summary.stats.streams[0];
    assert_eq!(
        (stream.written_samples, stream.lost, stream.end),
        (30, 0, 30)
    );
    assert_eq!(stream.failed_samples, committed * 10 - 30);
    assert!(summary.gaps[0].is_empty());
    assert!(notes.lock().unwrap().gaps.is_empty());
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
            block: &BlockView<'_>,
            _: &mut Parcel,
            _: &mut StageOutput,
        ) -> Result<(), StageError> {
            if block.header.samples == 11 {
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
        workers: 1,
        wait: WaitStrategy::Park,
        feed: Vec::new(),
        on_thread: None,
    };
    let error = Recording::start(options, Box::new(NullSink))
        .err()
        .expect("nothing to record");
    assert!(error.to_string().contains("at least one stream"));
}

#[test]
fn all_workers_serve_all_streams() {
    // One stream gives a block that keeps its worker busy; the other must not wait for it.
    struct Slow;
    impl Stage for Slow {
        fn name(&self) -> &str {
            "slow"
        }
        fn run(
            &self,
            block: &BlockView<'_>,
            _: &mut Parcel,
            _: &mut StageOutput,
        ) -> Result<(), StageError> {
            if block.header.samples == 11 {
                std::thread::sleep(Duration::from_secs(1));
            }
            Ok(())
        }
    }
    let (sink, notes) = Notebook::new();
    let (recording, mut producers) = start(2, 2, vec![Arc::new(Slow)], sink);
    let meta = BlockMeta {
        bytes: 1,
        samples: 11,
        ..BlockMeta::default()
    };
    producers[0].reserve().unwrap().commit(meta);
    for seq in 0..50 {
        commit(&mut producers[1], seq).unwrap();
    }
    while notes.lock().unwrap().blocks.len() < 50 {
        std::thread::yield_now();
    }
    assert!(
        notes
            .lock()
            .unwrap()
            .blocks
            .iter()
            .all(|block| block.0 == 1)
    );
    drop(producers);
    let (summary, error) = recording.finish(&[], |_| Vec::new());
    assert!(error.is_none());
    assert_law(&summary.stats);
    let stats = &summary.stats;
    assert_eq!(stats.workers.len(), 2);
    assert_eq!(
        stats
            .workers
            .iter()
            .map(|worker| worker.work.blocks)
            .sum::<u64>(),
        51
    );
    assert!(
        stats
            .workers
            .iter()
            .any(|worker| worker.work.longest_ns >= 1_000_000_000)
    );
    let stages: Vec<_> = stats
        .stages
        .iter()
        .map(|stage| (stage.stream, stage.name.as_str(), stage.work.blocks))
        .collect();
    assert_eq!(stages, [(0, "slow", 1), (1, "slow", 50)]);
    assert!(stats.stages[0].work.busy_ns >= 1_000_000_000);
}

/// Chains the blocks: each step checks that it sees what the steps of the block and of those before
/// it left behind. Puts out one sample per block: the running sum of the blocks' first bytes.
struct Chain {
    output: GroupSpec,
    parcel_bytes: usize,
    fail_arrival_at: Option<u64>,
    fail_settlement_at: Option<u64>,
    in_flight: Arc<std::sync::atomic::AtomicUsize>,
    most_in_flight: Arc<std::sync::atomic::AtomicUsize>,
}

#[derive(Default)]
struct ChainParcel {
    arrived: u64,
    first: u8,
}

struct ChainArrival {
    next: u64,
    fail_at: Option<u64>,
}

struct ChainSettlement {
    next: u64,
    sum: u64,
    fail_at: Option<u64>,
    in_flight: Arc<std::sync::atomic::AtomicUsize>,
}

impl Chain {
    fn new() -> Self {
        Self {
            output: GroupSpec {
                name: "sums".into(),
                channels: vec![ChannelSpec::new("sum", DataType::U64)],
                dt: Some(1.0),
                properties: Vec::new(),
            },
            parcel_bytes: 0,
            fail_arrival_at: None,
            fail_settlement_at: None,
            in_flight: Arc::default(),
            most_in_flight: Arc::default(),
        }
    }
}

impl Stage for Chain {
    fn name(&self) -> &str {
        "chain"
    }
    fn parcel(&self) -> Parcel {
        Box::new(ChainParcel::default())
    }
    fn parcel_bytes(&self) -> usize {
        self.parcel_bytes
    }
    fn arrival(&self) -> Option<Box<dyn Arrival>> {
        Some(Box::new(ChainArrival {
            next: 0,
            fail_at: self.fail_arrival_at,
        }))
    }
    fn run(
        &self,
        block: &BlockView<'_>,
        parcel: &mut Parcel,
        _: &mut StageOutput,
    ) -> Result<(), StageError> {
        use std::sync::atomic::Ordering::SeqCst;
        let now = self.in_flight.fetch_add(1, SeqCst) + 1;
        self.most_in_flight.fetch_max(now, SeqCst);
        std::thread::sleep(Duration::from_micros(block.header.seq % 5 * 300));
        let parcel = own::<ChainParcel>(parcel);
        assert_eq!(parcel.arrived, block.header.seq, "the arrival came first");
        parcel.first = block.data[0];
        Ok(())
    }
    fn settlement(&self) -> Option<Box<dyn Settlement>> {
        Some(Box::new(ChainSettlement {
            next: 0,
            sum: 0,
            fail_at: self.fail_settlement_at,
            in_flight: Arc::clone(&self.in_flight),
        }))
    }
    fn output(&self) -> Option<&GroupSpec> {
        Some(&self.output)
    }
}

impl Arrival for ChainArrival {
    fn arrive(&mut self, block: &BlockView<'_>, parcel: &mut Parcel) -> Result<(), StageError> {
        assert_eq!(self.next, block.header.seq, "arrivals come in order");
        self.next += 1;
        if self.fail_at == Some(block.header.seq) {
            return Err(StageError("it was told to fail".into()));
        }
        own::<ChainParcel>(parcel).arrived = block.header.seq;
        Ok(())
    }
}

impl Settlement for ChainSettlement {
    fn settle(
        &mut self,
        block: &BlockView<'_>,
        parcel: &mut Parcel,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), SettleError> {
        self.in_flight
            .fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(self.next, block.header.seq, "settlements come in order");
        if self.fail_at == Some(self.next) {
            return Err(StageError("it was told to fail".into()).into());
        }
        self.sum += u64::from(own::<ChainParcel>(parcel).first);
        outlet.block(&DerivedBlock {
            first_sample: self.next,
            samples: 1,
            data: &self.sum.to_le_bytes(),
            ..DerivedBlock::default()
        })?;
        self.next += 1;
        Ok(())
    }
}

#[test]
fn steps_in_order_and_work_beside_each_other() {
    let (sink, notes) = Notebook::new();
    let (recording, mut producers) = start(2, 4, vec![Arc::new(Chain::new())], sink);
    let tap = Tap::of_blocks(1000);
    recording.attach(3, Arc::clone(&tap)).unwrap();
    assert!(recording.attach(4, Arc::clone(&tap)).is_err());
    for seq in 0..200 {
        for producer in &mut producers {
            commit(producer, seq).unwrap();
        }
    }
    drop(producers);
    let (summary, error) = recording.finish(&[], |_| Vec::new());
    assert!(error.is_none(), "{error:?}");
    assert_law(&summary.stats);
    let mut sum = 0;
    let expected: Vec<u8> = (0..200)
        .flat_map(|seq| {
            sum += u64::from(content(seq)[0]);
            sum.to_le_bytes()
        })
        .collect();
    let notes = notes.lock().unwrap();
    for derived in [2, 3] {
        let data: Vec<u8> = notes
            .blocks
            .iter()
            .filter(|block| block.0 == derived)
            .flat_map(|block| block.3.clone())
            .collect();
        assert_eq!(data, expected);
    }
    let derived = &summary.stats.derived[1];
    assert_eq!((derived.name.as_str(), derived.source), ("sums", 1));
    assert_eq!(
        (derived.blocks, derived.samples, derived.written_samples),
        (200, 200, 200)
    );
    // The tap has them one by one, whatever the log makes of them.
    let tapped: Vec<u8> = tap
        .blocks()
        .iter()
        .flat_map(|block| block.data.clone())
        .collect();
    assert_eq!(tapped, expected);
}

#[test]
fn workers_run_no_further_ahead_than_their_parcels_allow() {
    let mut chain = Chain::new();
    chain.parcel_bytes = 1 << 30;
    let most = Arc::clone(&chain.most_in_flight);
    let (sink, _) = Notebook::new();
    let (recording, mut producers) = start(1, 2, vec![Arc::new(chain)], sink);
    for seq in 0..100 {
        commit(&mut producers[0], seq).unwrap();
    }
    drop(producers);
    let (summary, error) = recording.finish(&[], |_| Vec::new());
    assert!(error.is_none(), "{error:?}");
    assert_law(&summary.stats);
    assert!(most.load(std::sync::atomic::Ordering::SeqCst) <= 4);
}

#[test]
fn a_failing_arrival_or_settlement_stops_the_recording() {
    let mut arrival = Chain::new();
    arrival.fail_arrival_at = Some(20);
    let error = failing_run(4, vec![Arc::new(arrival)], Notebook::new().0);
    assert_eq!(
        error.to_string(),
        "stage 'chain' failed on block 20: it was told to fail"
    );

    let mut settlement = Chain::new();
    settlement.fail_settlement_at = Some(19);
    let error = failing_run(4, vec![Arc::new(settlement)], Notebook::new().0);
    assert_eq!(
        error.to_string(),
        "stage 'chain' failed on block 19: it was told to fail"
    );
}

#[test]
fn blocks_that_are_not_recorded_are_gated() {
    let (sink, notes) = Notebook::new();
    let (recording, mut producers) = start_with(1, 2, vec![], sink, |options| {
        options.streams[0].recorded = false;
    });
    for seq in 0..30 {
        commit(&mut producers[0], seq).unwrap();
    }
    drop(producers);
    let (summary, error) = recording.finish(&[], |_| Vec::new());
    assert!(error.is_none());
    let stream = summary.stats.streams[0];
    assert_law(&summary.stats);
    assert_eq!(
        (stream.written, stream.gated, stream.gated_samples),
        (0, 30, 300)
    );
    assert!(notes.lock().unwrap().blocks.is_empty());
}

fn feed_of(recording: &Recording) -> Arc<Feed> {
    recording.feed().expect("a feed was asked for")
}

#[test]
fn a_feed_hands_out_every_block_at_the_consumers_pace() {
    let (recording, mut producers) = start_with(2, 2, vec![], Box::new(NullSink), |options| {
        options.feed = vec![0, 1];
    });
    let feed = feed_of(&recording);
    let consumer = std::thread::spawn(move || {
        let mut seen = [0, 0];
        let mut kept = Vec::new();
        loop {
            match feed.next(Duration::from_secs(20)) {
                Ok(block) => {
                    assert_eq!(block.header.seq, seen[block.stream]);
                    assert_eq!(*block.data, content(block.header.seq));
                    seen[block.stream] += 1;
                    // More than there are slots: it must go on all the same.
                    kept.push(block);
                    std::thread::sleep(Duration::from_micros(200));
                }
                Err(Missed::Ended) => break (seen, kept),
                Err(Missed::Timeout) => panic!("the feed stopped"),
            }
        }
    });
    for seq in 0..100 {
        for producer in &mut producers {
            commit(producer, seq).unwrap();
        }
    }
    drop(producers);
    let (summary, error) = recording.finish(&[], |_| Vec::new());
    assert!(error.is_none());
    assert_law(&summary.stats);
    let (seen, kept) = consumer.join().unwrap();
    assert_eq!(seen, [100, 100]);
    for block in kept {
        assert_eq!(*block.data, content(block.header.seq));
    }
}

#[test]
fn a_feed_that_nobody_reads_holds_the_producer_and_lets_go_when_closed() {
    let (recording, mut producers) = start_with(1, 1, vec![], Box::new(NullSink), |options| {
        options.feed = vec![0];
    });
    let feed = feed_of(&recording);
    let mut committed = 0;
    while let Ok(slot) = producers[0].reserve_until(Instant::now() + Duration::from_millis(200)) {
        slot.commit(BlockMeta::default());
        committed += 1;
    }
    assert_eq!(committed, 8, "as many as there are slots");
    feed.close();
    commit(&mut producers[0], 8).unwrap();
    assert_eq!(
        feed.next(Duration::from_secs(1)).unwrap_err(),
        Missed::Ended
    );
    drop(producers);
    let (summary, error) = recording.finish(&[], |_| Vec::new());
    assert!(error.is_none());
    assert_law(&summary.stats);
}

#[test]
fn a_tap_that_nobody_reads_holds_nobody() {
    let (recording, mut producers) = start(1, 1, vec![], Box::new(NullSink));
    let tap = Tap::of_blocks(2);
    recording.attach(0, Arc::clone(&tap)).unwrap();
    for seq in 0..500 {
        commit(&mut producers[0], seq).unwrap();
    }
    drop(producers);
    let (summary, error) = recording.finish(&[], |_| Vec::new());
    assert!(error.is_none());
    assert_eq!(summary.stats.streams[0].written, 500);
    assert_eq!(tap.dropped(), (498, 4980));
    assert_eq!(tap.next(Duration::ZERO).unwrap().0.data, content(498));
    assert_eq!(tap.next(Duration::ZERO).unwrap().0.data, content(499));
    assert_eq!(tap.next(Duration::from_secs(9)).unwrap_err(), Missed::Ended);
}

#[test]
fn stages_compute_checksums_only_where_they_are_wanted() {
    const SAMPLES: usize = 1 << 20;
    for wanted in [false, true] {
        let group = GroupSpec {
            name: "task".into(),
            channels: vec![ChannelSpec::new("ai0", DataType::I16)],
            dt: Some(1e-6),
            properties: vec![],
        };
        let layout = Layout::new(group, false).unwrap();
        let scaled = Scaled::new(layout.clone(), "scaled", DataType::F64).unwrap();
        let decimated = Decimate::new(layout, "decimated", 2, 60.0, DataType::F64).unwrap();
        let (sink, notes) = Notebook::new();
        let stages: Vec<Arc<dyn Stage>> = vec![
            Arc::new(scaled.with_checksum(wanted)),
            Arc::new(decimated.with_checksum(wanted)),
        ];
        let (recording, mut producers) = start_with(1, 1, stages, sink, |options| {
            options.streams[0].slots = SlotOptions::new(2 * SAMPLES, 2);
        });
        producers[0].reserve().unwrap().commit(BlockMeta {
            bytes: 2 * SAMPLES,
            samples: SAMPLES as u64,
            ..BlockMeta::default()
        });
        drop(producers);
        let (_, error) = recording.finish(&[], |_| Vec::new());
        assert!(error.is_none(), "{error:?}");
        let notes = notes.lock().unwrap();
        for stream in [1, 2] {
            let block = notes.blocks.iter().find(|block| block.0 == stream);
            let (_, _, crc, data) = block.expect("each stage puts out a block");
            let expected = wanted.then(|| daqring_log::crc32c(data));
            assert_eq!(*crc, expected, "stream {stream}");
        }
    }
}

#[test]
fn a_tap_says_what_it_came_too_late_for() {
    let (recording, mut producers) = start(1, 1, vec![], Box::new(NullSink));
    let first = Tap::of_blocks(20);
    recording.attach(0, Arc::clone(&first)).unwrap();
    for seq in 0..5 {
        commit(&mut producers[0], seq).unwrap();
    }
    for seq in 0..5 {
        assert_eq!(
            first.next(Duration::from_secs(20)).unwrap().0.header.seq,
            seq
        );
    }
    let late = Tap::of_blocks(20);
    recording.attach(0, Arc::clone(&late)).unwrap();
    commit(&mut producers[0], 5).unwrap();
    let (block, missed) = late.next(Duration::from_secs(20)).unwrap();
    assert_eq!((block.header.seq, missed, late.dropped()), (5, 0, (0, 0)));
    assert_eq!((first.before(), late.before()), (0, 5));
    drop(producers);
    assert!(recording.finish(&[], |_| Vec::new()).1.is_none());
}

#[test]
fn what_a_ring_drops_is_accounted_for() {
    for policy in [Policy::DropOldest, Policy::DropNewest] {
        let (sink, notes) = Notebook::new();
        let stage = Arc::new(Uneven::default());
        let (recording, mut producers) = start_with(1, 2, vec![stage], sink, |options| {
            options.streams[0].slots.policy = policy;
        });
        for seq in 0..300 {
            match commit(&mut producers[0], seq) {
                Ok(()) => {}
                Err(ReserveError::Dropped) => producers[0].add_lost(10),
                Err(ReserveError::Full) => producers[0].add_lost(10),
                Err(error) => panic!("{error}"),
            }
        }
        drop(producers);
        let (summary, error) = recording.finish(&[], |_| Vec::new());
        assert!(error.is_none());
        assert_law(&summary.stats);
        let stream = summary.stats.streams[0];
        assert!(stream.written < 300, "{policy:?} dropped something");
        // Those that were dropped last are told at the end.
        assert_eq!(
            (stream.written_samples + stream.lost, stream.end),
            (3000, 3000),
            "{policy:?}: {stream:?}"
        );
        let told: u64 = summary.gaps[0].iter().filter_map(|gap| gap.count).sum();
        assert_eq!(told, stream.lost);
        let notes = notes.lock().unwrap();
        assert_eq!(notes.blocks.len() as u64, stream.written);
        for (_, gap) in &notes.gaps {
            assert_eq!(summary.gaps[0].last(), Some(gap));
        }
    }
}
