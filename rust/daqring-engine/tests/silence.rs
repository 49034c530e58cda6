//! A stream that falls silent: what it has brought, and what was noted meanwhile, does not wait for its next block.

mod disk;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use daqring_engine::{LogSink, Note};
use daqring_log::{LogFile, LogOptions, LogWriter, Segments, SyncPolicy};
use daqring_ring::BlockMeta;
use disk::{group, start};

/// Far longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_waits_is_flushed_synced_and_noted_without_another_block() {
    let path: PathBuf =
        std::env::temp_dir().join(format!("daqring-silence-{}.tdms", std::process::id()));
    let mut options = LogOptions::default();
    options.overwrite = true;
    options.segments = Segments::Gather {
        bytes: 1 << 20,
        time: None,
    };
    options.flush_every = Some(Duration::from_millis(200));
    options.sync = SyncPolicy::Every(Duration::from_millis(100));
    let log = LogWriter::create(&path, options, vec![group()]).unwrap();
    let sink = LogSink::new(log).unwrap();
    let (progress, notes) = (sink.progress(), sink.notes());
    let (recording, mut producer) = start(sink, 16);
    // By their times the blocks come every millisecond, so none of them expects the silence that follows.
    for seq in 0..5u64 {
        let mut slot = producer.reserve_until(Instant::now() + PATIENCE).unwrap();
        slot.fill(seq as u8);
        slot.commit(BlockMeta {
            bytes: 4096,
            first_sample: seq * 2048,
            samples: 2048,
            host_time_ns: seq as i64 * 1_000_000,
            ..BlockMeta::default()
        });
    }
    until("the blocks are flushed", || progress.written().blocks == 5);
    until("the blocks are synced", || progress.durable().blocks == 5);
    let samples = || LogFile::open(&path).unwrap().groups()[0].channels[0].len;
    assert_eq!(samples(), 5 * 2048);

    let before = progress.written().bytes;
    notes.add(Note::Event {
        text: "valve opened".to_owned(),
        host_time_ns: 1,
    });
    until("the note is written", || progress.written().bytes > before);
    let events = || LogFile::open(&path).unwrap().events().unwrap();
    until("the note is read", || events().len() == 1);
    assert_eq!(events()[0].1, "valve opened");

    drop(producer);
    let (summary, error) = recording.finish(&[], |_| Vec::new());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(summary.stats.streams[0].written, 5);
    std::fs::remove_file(&path).unwrap();
}
