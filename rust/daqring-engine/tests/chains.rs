//! Stages behind stages: order, accounting and the end, also when one fails or nobody takes what comes out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use daqring_engine::{
    Arrival, BlockView, DerivedBlock, Feed, Missed, NullSink, Outlet, Parcel, Recording,
    RecordingOptions, SettleError, Settlement, Stage, StageError, StageOptions, StageOutput,
    StreamOptions, own,
};
use daqring_log::{ChannelSpec, DataType, GroupSpec};
use daqring_ring::slots::{ReserveError, SlotOptions, SlotProducer};
use daqring_ring::{BlockMeta, WaitStrategy};

/// Adds one to every byte, slowly for some blocks, and puts the block out `times` times.
struct AddOne {
    group: GroupSpec,
    times: usize,
    /// Puts out one block more at the very end.
    last: bool,
    ordered: bool,
    panic_at: Option<u64>,
    fail_at: Option<u64>,
    arrived: Arc<AtomicU64>,
}

impl AddOne {
    fn new(name: &str, times: usize) -> Self {
        Self {
            group: GroupSpec {
                name: name.into(),
                channels: vec![ChannelSpec::new("a", DataType::U8)],
                dt: Some(1.0),
                properties: vec![],
            },
            times,
            last: false,
            ordered: false,
            panic_at: None,
            fail_at: None,
            arrived: Arc::default(),
        }
    }
}

impl Stage for AddOne {
    fn name(&self) -> &str {
        &self.group.name
    }

    fn run(
        &self,
        block: &BlockView<'_>,
        parcel: &mut Parcel,
        _: &mut StageOutput,
    ) -> Result<(), StageError> {
        let seq = block.header.seq;
        std::thread::sleep(Duration::from_micros(seq % 4 * 150));
        assert_ne!(self.panic_at, Some(seq), "the stage was told to panic");
        if self.fail_at == Some(seq) {
            return Err(StageError("it was told to fail".into()));
        }
        let out = own::<Vec<u8>>(parcel);
        out.clear();
        out.extend(block.data.iter().map(|byte| byte.wrapping_add(1)));
        Ok(())
    }

    fn parcel(&self) -> Parcel {
        Box::new(Vec::<u8>::new())
    }

    fn output(&self) -> Option<&GroupSpec> {
        Some(&self.group)
    }

    fn arrival(&self) -> Option<Box<dyn Arrival>> {
        let arrived = Arc::clone(&self.arrived);
        self.ordered
            .then(|| -> Box<dyn Arrival> { Box::new(InOrder { next: 0, arrived }) })
    }

    fn settlement(&self) -> Option<Box<dyn Settlement>> {
        Some(Box::new(PutOut {
            times: self.times,
            last: self.last,
            next: 0,
        }))
    }
}

struct InOrder {
    next: u64,
    arrived: Arc<AtomicU64>,
}

impl Arrival for InOrder {
    fn arrive(&mut self, block: &BlockView<'_>, _: &mut Parcel) -> Result<(), StageError> {
        assert_eq!(block.header.seq, self.next);
        self.next += 1;
        self.arrived.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

struct PutOut {
    times: usize,
    last: bool,
    next: u64,
}

impl PutOut {
    fn put(&mut self, data: &[u8], outlet: &mut Outlet<'_>) -> Result<(), SettleError> {
        outlet.block(&DerivedBlock {
            first_sample: self.next,
            samples: data.len() as u64,
            data,
            ..DerivedBlock::default()
        })?;
        self.next += data.len() as u64;
        Ok(())
    }
}

impl Settlement for PutOut {
    fn settle(
        &mut self,
        _: &BlockView<'_>,
        parcel: &mut Parcel,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), SettleError> {
        let data = std::mem::take(own::<Vec<u8>>(parcel));
        for _ in 0..self.times {
            self.put(&data, outlet)?;
        }
        Ok(())
    }

    fn finish(&mut self, outlet: &mut Outlet<'_>) -> Result<(), SettleError> {
        if self.last {
            self.put(&[200], outlet)?;
        }
        Ok(())
    }
}

fn behind(stage: AddOne, then: Vec<StageOptions>) -> StageOptions {
    StageOptions {
        stage: Arc::new(stage),
        logged: true,
        then,
    }
}

fn start(
    stages: Vec<StageOptions>,
    workers: usize,
    slot_bytes: usize,
    feed: Vec<usize>,
) -> (Recording, SlotProducer) {
    let options = RecordingOptions {
        streams: vec![StreamOptions {
            name: "task".into(),
            slots: SlotOptions::new(slot_bytes, 4),
            stages,
            recorded: true,
        }],
        workers,
        wait: WaitStrategy::Park,
        feed,
        on_thread: None,
    };
    let (recording, mut producers) = Recording::start(options, Box::new(NullSink)).unwrap();
    (recording, producers.remove(0))
}

fn commit(producer: &mut SlotProducer, seq: u64, bytes: usize) -> Result<(), ReserveError> {
    let mut slot = producer.reserve_until(Instant::now() + Duration::from_secs(20))?;
    slot[..bytes].fill(seq as u8);
    slot.commit(BlockMeta {
        bytes,
        first_sample: seq * bytes as u64,
        samples: bytes as u64,
        ..BlockMeta::default()
    });
    Ok(())
}

/// All that a feed gives, until it ends.
fn all_of(feed: &Feed) -> Vec<(usize, u64, Vec<u8>)> {
    let mut got = Vec::new();
    loop {
        match feed.next(Duration::from_secs(20)) {
            Ok(block) => got.push((block.stream, block.header.first_sample, block.data.to_vec())),
            Err(Missed::Ended) => return got,
            Err(Missed::Timeout) => panic!("the feed stopped"),
        }
    }
}

#[test]
fn every_block_goes_through_every_stage_in_order() {
    for workers in [1, 2, 4] {
        let mut third = AddOne::new("third", 1);
        third.ordered = true;
        let arrived = Arc::clone(&third.arrived);
        let mut first = AddOne::new("first", 2);
        first.last = true;
        let stages = vec![behind(
            first,
            vec![
                behind(AddOne::new("second", 1), vec![behind(third, Vec::new())]),
                behind(AddOne::new("beside", 3), Vec::new()),
            ],
        )];
        // 0 task, 1 first, 2 second, 3 third, 4 beside.
        let (recording, mut producer) = start(stages, workers, 64, vec![1, 3, 4]);
        let feed = recording.feed().unwrap();
        let taking = std::thread::spawn(move || all_of(&feed));
        for seq in 0..200 {
            commit(&mut producer, seq, 10).unwrap();
        }
        drop(producer);
        let (summary, error) = recording.finish(&[], |_| Vec::new());
        assert!(error.is_none(), "{error:?}");
        assert!(summary.stats.streams[0].law_holds());
        let got = taking.join().unwrap();
        // What comes at the very end of the first stage goes through the others, too.
        for (stream, added, copies) in [(1, 1, 2), (3, 3, 2), (4, 2, 6)] {
            let mine: Vec<_> = got.iter().filter(|block| block.0 == stream).collect();
            assert_eq!(mine.len(), 200 * copies + copies / 2, "stream {stream}");
            let mut next = 0;
            for (number, (_, first, data)) in mine.iter().enumerate() {
                assert_eq!(*first, next);
                next += data.len() as u64;
                let value = match number / copies {
                    200 => 200 + added - 1,
                    seq => seq + added,
                };
                assert!(
                    data.iter().all(|&byte| byte == value as u8),
                    "stream {stream}"
                );
            }
        }
        assert_eq!(arrived.load(Ordering::Relaxed), 401);
        let samples: Vec<_> = summary
            .stats
            .derived
            .iter()
            .map(|own| own.samples)
            .collect();
        assert_eq!(samples, [4001, 4001, 4001, 12_003]);
        let stages = &summary.stats.stages;
        let blocks: Vec<_> = stages
            .iter()
            .map(|own| (own.stream, own.work.blocks))
            .collect();
        // Blocks at the very end are worked on by the writer, and counted.
        assert_eq!(blocks, [(0, 200), (1, 401), (1, 401), (2, 401)]);
    }
}

#[test]
fn a_panic_or_an_error_far_behind_ends_the_run_and_nothing_hangs() {
    for (panic_at, fail_at, words) in [
        (Some(30), None, "it panicked: assertion"),
        (None, Some(30), "it was told to fail"),
    ] {
        for ordered in [false, true] {
            let mut second = AddOne::new("second", 1);
            (second.panic_at, second.fail_at, second.ordered) = (panic_at, fail_at, ordered);
            let stages = vec![behind(
                AddOne::new("first", 1),
                vec![behind(
                    second,
                    vec![behind(AddOne::new("third", 1), vec![])],
                )],
            )];
            let (recording, mut producer) = start(stages, 3, 64, Vec::new());
            let mut committed = 0;
            while commit(&mut producer, committed, 10).is_ok() {
                committed += 1;
                assert!(committed < 100_000, "the producer was not told");
            }
            drop(producer);
            let (summary, error) = recording.finish(&[], |_| Vec::new());
            let error = error.expect("it failed").to_string();
            assert!(
                error.contains("stage 'second' failed on block 30"),
                "{error}"
            );
            assert!(error.contains(words), "{error}");
            assert!(summary.stats.streams[0].law_holds());
            assert_eq!(summary.stats.streams[0].written, committed);
            // Nothing comes out of the failed stage behind the block before.
            assert_eq!(summary.stats.derived[1].samples, 300);
            assert_eq!(summary.stats.derived[2].samples, 300);
        }
    }
}

#[test]
fn a_consumer_that_takes_nothing_holds_the_producer_and_lets_go_when_closed() {
    let stages = vec![behind(AddOne::new("first", 1), Vec::new())];
    let bytes = 4 << 20;
    let (recording, mut producer) = start(stages, 1, bytes, vec![1]);
    let feed = recording.feed().unwrap();
    let mut committed = 0;
    while let Ok(mut slot) = producer.reserve_until(Instant::now() + Duration::from_millis(500)) {
        slot[0] = 1;
        slot.commit(BlockMeta {
            bytes,
            samples: bytes as u64,
            ..BlockMeta::default()
        });
        committed += 1;
    }
    // 32 MiB in the feed, one block at the writer's hands, four in the slots at most.
    assert!((9..=13).contains(&committed), "{committed}");
    assert!(feed.next(Duration::from_secs(20)).is_ok());
    commit(&mut producer, 0, 10).unwrap();
    feed.close();
    for seq in 0..20 {
        commit(&mut producer, seq, 10).unwrap();
    }
    drop(producer);
    let (summary, error) = recording.finish(&[], |_| Vec::new());
    assert!(error.is_none());
    assert_eq!(summary.stats.streams[0].written, committed + 21);
}

#[test]
fn a_recording_that_is_dropped_while_the_writer_waits_for_a_consumer_ends() {
    let stages = vec![behind(
        AddOne::new("first", 4),
        vec![behind(AddOne::new("second", 1), Vec::new())],
    )];
    let bytes = 4 << 20;
    let (recording, mut producer) = start(stages, 2, bytes, vec![1, 2]);
    for _ in 0..4 {
        commit(&mut producer, 0, bytes).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    drop(recording);
    assert_eq!(commit(&mut producer, 0, 10), Err(ReserveError::Closed));
}

#[test]
fn a_stage_behind_one_that_puts_out_nothing_is_refused() {
    let nothing = StageOptions {
        stage: Arc::new(daqring_engine::stages::Checksum),
        logged: false,
        then: vec![behind(AddOne::new("first", 1), Vec::new())],
    };
    let options = RecordingOptions {
        streams: vec![StreamOptions {
            name: "task".into(),
            slots: SlotOptions::new(64, 4),
            stages: vec![nothing],
            recorded: true,
        }],
        workers: 1,
        wait: WaitStrategy::Park,
        feed: Vec::new(),
        on_thread: None,
    };
    let error = Recording::start(options, Box::new(NullSink)).err().unwrap();
    assert!(
        error
            .to_string()
            .contains("stage 'crc32c' puts out nothing"),
        "{error}"
    );
}
