//! Whatever moment the process or the machine stops at: what was acknowledged is there, and nothing that was not
//! recorded.

mod medium;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use daqring_log::{
    Block, ChannelSpec, DataType, DirectIo, GroupSpec, LogError, LogFile, LogOptions, LogWriter,
    Medium, Position, Rotation, Segments, Source, Storage, Stored, SyncNeed, SyncPolicy,
    SyncTarget, recover_sources, verify_source,
};
use medium::{Fault, Op, Random, SimMedium, crashed, killed};

const CHANNELS: u64 = 2;

fn group() -> GroupSpec {
    GroupSpec {
        name: "Dev1".to_owned(),
        channels: (0..CHANNELS)
            .map(|c| ChannelSpec::new(format!("ai{c}"), DataType::I32))
            .collect(),
        dt: Some(0.1),
        properties: vec![],
    }
}

fn value(channel: u64, sample: u64) -> i32 {
    (sample * 3 + channel * 1_000_000 + 1) as i32
}

fn data(first: u64, count: u64) -> Vec<u8> {
    (0..CHANNELS)
        .flat_map(|c| (first..first + count).flat_map(move |i| value(c, i).to_le_bytes()))
        .collect()
}

fn write(log: &mut LogWriter, seq: u64, first: u64, count: u64) -> Result<(), LogError> {
    log.write_block(&Block {
        group: 0,
        seq,
        first_sample: first,
        samples: count,
        lost_before: 0,
        gap: 0,
        host_time_ns: 0,
        crc32c: None,
        data: &data(first, count),
    })
}

/// What was promised after an operation.
struct Promise {
    ops: usize,
    written: Position,
    durable: Position,
}

#[derive(Clone)]
struct Scenario {
    options: LogOptions,
    blocks: Vec<u64>,
    finish: bool,
    /// Syncs are done, and next files made, through a handle as on another thread, after every so many blocks.
    handle: Option<u64>,
}

/// Runs a recording and gives what it did and what it promised when.
fn run(scenario: &Scenario, medium: &SimMedium) -> Vec<Promise> {
    let mut promises = Vec::new();
    let promise = |log: &LogWriter, promises: &mut Vec<Promise>| {
        let ops = medium.0.lock().expect("no panic under the lock").ops.len();
        promises.push(Promise {
            ops,
            written: log.written(),
            durable: log.durable(),
        });
    };
    let mut log = LogWriter::create_on(
        Arc::new(medium.clone()),
        Path::new("run.tdms"),
        scenario.options.clone(),
        vec![group()],
    )
    .expect("create");
    let handle = scenario.handle.map(|_| log.sync_handle());
    let mut first = 0;
    for (seq, count) in scenario.blocks.iter().enumerate() {
        let data = data(first, *count);
        log.write_block(&Block {
            group: 0,
            seq: seq as u64,
            first_sample: first,
            samples: *count,
            lost_before: 0,
            gap: 0,
            host_time_ns: seq as i64 * 100_000_000,
            crc32c: None,
            data: &data,
        })
        .expect("write");
        first += count;
        promise(&log, &mut promises);
        if let (Some(handle), Some(every)) = (&handle, scenario.handle)
            && (seq as u64).is_multiple_of(every)
            && handle.wait(Duration::ZERO) == SyncNeed::Due
        {
            handle.sync().expect("sync");
            promise(&log, &mut promises);
        }
    }
    if scenario.finish {
        log.finish(vec![]).expect("finish");
        promise(&log, &mut promises);
    }
    promises
}

/// Samples that the first `blocks` blocks have.
fn samples(scenario: &Scenario, blocks: u64) -> u64 {
    scenario.blocks.iter().take(blocks as usize).sum()
}

/// The logs of an image with their tails.
fn logs(files: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<(PathBuf, Vec<Arc<dyn Source>>)> {
    let is_tail = |path: &&PathBuf| path.to_string_lossy().contains(".tail-");
    // Only a renaming that did not become durable leaves samples there, and these are promised to nobody.
    let is_next = |path: &&PathBuf| path.to_string_lossy().ends_with(".next");
    files
        .keys()
        .filter(|path| !is_tail(path) && !is_next(path))
        .map(|path| {
            let prefix = format!("{}.tail-", path.display());
            let tails = files
                .iter()
                .filter(|(other, _)| other.to_string_lossy().starts_with(&prefix))
                .map(|(_, bytes)| Arc::new(bytes.clone()) as Arc<dyn Source>)
                .collect();
            (path.clone(), tails)
        })
        .collect()
}

/// Checks the values of samples below `limit` and gives the number of samples, which begin at `first`.
fn check_values(file: &LogFile, first: u64, limit: u64, context: &str) -> u64 {
    let Some(at) = file.groups().iter().position(|group| group.name == "Dev1") else {
        return 0;
    };
    let mut length = None;
    for (c, channel) in file.groups()[at].channels.iter().enumerate() {
        assert_eq!(*length.get_or_insert(channel.len), channel.len, "{context}");
        let mut raw = vec![0; channel.len as usize * 4];
        file.read_raw(at, c, 0..channel.len, &mut raw)
            .expect("read");
        for (i, bytes) in raw
            .chunks_exact(4)
            .enumerate()
            .take(limit.saturating_sub(first) as usize)
        {
            let got = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            assert_eq!(
                got,
                value(c as u64, first + i as u64),
                "{context}, sample {i} of {c}"
            );
        }
    }
    length.unwrap_or(0)
}

/// The samples in all groups of a recovered log. Within a group they follow one another, and they only grow.
fn recovered_samples(file: &LogFile, context: &str) -> Vec<u64> {
    let mut found: Vec<u64> = Vec::new();
    for (at, group) in file
        .groups()
        .iter()
        .enumerate()
        .filter(|(_, group)| group.stream() == "Dev1")
    {
        let mut previous: Option<u64> = None;
        let length = group.channels.first().map_or(0, |channel| channel.len);
        let runs: Vec<Vec<u8>> = (0..group.channels.len())
            .map(|c| {
                let mut raw = vec![0; length as usize * 4];
                file.read_raw(at, c, 0..length, &mut raw).expect("read");
                raw
            })
            .collect();
        for i in 0..length as usize {
            let get = |c: usize| {
                i32::from_le_bytes(runs[c][i * 4..i * 4 + 4].try_into().expect("4 bytes"))
            };
            let sample = (get(0) as u64 - 1) / 3;
            for c in 0..CHANNELS {
                assert_eq!(get(c as usize), value(c, sample), "{context}");
            }
            if let Some(previous) = previous {
                assert_eq!(sample, previous + 1, "{context}, in {}", group.name);
            }
            assert!(found.last().is_none_or(|last| *last < sample), "{context}");
            previous = Some(sample);
            found.push(sample);
        }
    }
    found
}

/// Opens every file of an image, directly and after recovery, and gives how many samples from the first on
/// are there both ways. Read directly,
/// samples from `limit` on may be torn: only the checksums know.
fn reopen(files: &BTreeMap<PathBuf, Vec<u8>>, limit: u64, context: &str) -> (u64, u64) {
    let mut direct = 0;
    let mut recovered: Vec<u64> = Vec::new();
    for (path, tails) in logs(files) {
        let source: Arc<dyn Source> = Arc::new(files[&path].clone());
        let file = LogFile::from_sources(Arc::clone(&source), tails.clone());
        // A file whose beginning did not reach the medium is no log yet.
        if let Ok(file) = &file {
            direct += check_values(file, direct, limit, context);
        }
        if let Ok(report) = verify_source(Arc::clone(&source)) {
            assert!(!report.finished || report.is_sound(), "{context}: {report}");
        }
        let medium = SimMedium::default();
        let output = Path::new("out.tdms");
        let report = recover_sources(source, tails, Arc::new(medium.clone()), output, false);
        let Ok(report) = report else {
            continue;
        };
        let bytes = medium.0.lock().expect("no panic under the lock").files[output].clone();
        let verified = verify_source(Arc::new(bytes.clone())).expect("verify");
        assert!(verified.is_sound(), "{context}: {verified}\n{report}");
        let file = LogFile::from_source(Arc::new(bytes)).expect("open the recovered log");
        recovered.extend(recovered_samples(&file, context));
    }
    let prefix = recovered
        .iter()
        .zip(0..)
        .take_while(|(sample, i)| **sample == *i)
        .count();
    (direct, prefix as u64)
}

fn scenarios() -> Vec<(&'static str, Scenario)> {
    let gather = Segments::Gather {
        bytes: 2000,
        time: None,
    };
    let mut list = Vec::new();
    let mut add = |name, finish, blocks: Vec<u64>, change: &dyn Fn(&mut LogOptions)| {
        let mut options = LogOptions::default();
        change(&mut options);
        list.push((
            name,
            Scenario {
                options,
                blocks,
                finish,
                handle: None,
            },
        ));
    };
    add(
        "each block synced",
        true,
        vec![1000, 1, 700, 512, 3],
        &|o| {
            o.sync = SyncPolicy::EachBlock;
        },
    );
    add("synced by bytes", true, vec![300; 12], &|o| {
        o.sync = SyncPolicy::Bytes(10_000)
    });
    add("never synced", false, vec![300; 6], &|_| ());
    add(
        "gathered, flushed and synced each block",
        true,
        vec![30; 25],
        &|o| {
            o.segments = gather;
            o.sync = SyncPolicy::EachBlock;
        },
    );
    add(
        "gathered, flushed by time, synced by bytes",
        true,
        vec![17; 40],
        &|o| {
            o.segments = gather;
            o.flush_every = Some(Duration::from_millis(200));
            o.sync = SyncPolicy::Bytes(20_000);
        },
    );
    add(
        "gathered, flushed, never synced",
        false,
        vec![50; 30],
        &|o| {
            o.segments = gather;
            o.flush_every = Some(Duration::from_millis(300));
        },
    );
    add("rotated by samples", true, vec![70; 12], &|o| {
        o.rotation = Rotation {
            samples: Some(250),
            ..Rotation::default()
        };
        o.sync = SyncPolicy::EachBlock;
    });
    add("gathered and rotated by bytes", true, vec![40; 40], &|o| {
        o.segments = gather;
        o.rotation = Rotation {
            bytes: Some(12_000),
            ..Rotation::default()
        };
        o.sync = SyncPolicy::Bytes(8_000);
        o.flush_every = Some(Duration::from_millis(200));
    });
    for (name, every, blocks) in [
        ("rotated into files made ahead", 1, vec![70; 7]),
        (
            "rotated into files made ahead, sometimes too late",
            5,
            vec![90; 17],
        ),
    ] {
        let mut options = LogOptions::default();
        options.rotation.samples = Some(150);
        options.sync = SyncPolicy::EachBlock;
        list.push((
            name,
            Scenario {
                options,
                blocks,
                finish: every == 1,
                handle: Some(every),
            },
        ));
    }
    // The same with segments that are written while the next ones are gathered.
    let behind: Vec<_> = list
        .iter()
        .filter(|(_, scenario)| matches!(scenario.options.segments, Segments::Gather { .. }))
        .map(|(name, scenario)| {
            let mut scenario = scenario.clone();
            scenario.options.behind_from = 1;
            (*name, scenario)
        })
        .collect();
    assert!(behind.len() >= 4);
    list.extend(behind);
    let mut options = LogOptions::default();
    options.segments = gather;
    options.behind_from = 1;
    list.push((
        "gathered, written behind, never flushed",
        Scenario {
            options,
            blocks: vec![70; 30],
            finish: true,
            handle: None,
        },
    ));
    list
}

#[test]
fn a_killed_process_loses_only_what_waits() {
    for (name, scenario) in scenarios() {
        let medium = SimMedium::default();
        let promises = run(&scenario, &medium);
        let ops = medium
            .0
            .lock()
            .expect("no panic under the lock")
            .ops
            .clone();
        for count in 0..=ops.len() {
            let context = format!("{name}, killed after operation {count} of {}", ops.len());
            let files = killed(&ops, count);
            let (direct, recovered) = reopen(&files, u64::MAX, &context);
            let written = promises.iter().rev().find(|promise| promise.ops <= count);
            let least = samples(
                &scenario,
                written.map_or(0, |promise| promise.written.blocks),
            );
            assert!(direct >= least, "{context}: {direct} of {least} samples");
            assert!(
                recovered >= least,
                "{context}: {recovered} of {least} samples recovered"
            );
        }
    }
}

#[test]
fn a_crashed_machine_keeps_what_was_durable() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for (name, scenario) in scenarios() {
        let medium = SimMedium::default();
        let promises = run(&scenario, &medium);
        let ops = medium
            .0
            .lock()
            .expect("no panic under the lock")
            .ops
            .clone();
        for count in 0..=ops.len() {
            for variant in 0..20 {
                let context = format!("{name}, crashed after operation {count}, variant {variant}");
                let files = crashed(&ops, count, &mut random);
                let durable = promises.iter().rev().find(|promise| promise.ops <= count);
                let least = samples(
                    &scenario,
                    durable.map_or(0, |promise| promise.durable.blocks),
                );
                let (direct, recovered) = reopen(&files, least, &context);
                assert!(direct >= least, "{context}: {direct} of {least} samples");
                assert!(
                    recovered >= least,
                    "{context}: {recovered} of {least} samples recovered"
                );
            }
        }
    }
}

#[test]
fn a_torn_last_write_costs_no_whole_segment() {
    let scenario = Scenario {
        options: LogOptions::default(),
        blocks: vec![100, 1, 333],
        finish: true,
        handle: None,
    };
    let medium = SimMedium::default();
    run(&scenario, &medium);
    let bytes =
        medium.0.lock().expect("no panic under the lock").files[Path::new("run.tdms")].clone();
    let mut whole = 0;
    let mut ends = Vec::new();
    let mut at = 0;
    for count in &scenario.blocks {
        let next = u64::from_le_bytes(bytes[at + 12..at + 20].try_into().expect("8 bytes"));
        at += next as usize + 28;
        whole += count;
        ends.push((at, whole));
    }
    for cut in 0..=bytes.len() {
        let expected = ends
            .iter()
            .rev()
            .find(|(end, _)| *end <= cut)
            .map_or(0, |(_, samples)| *samples);
        let part = bytes[..cut].to_vec();
        match LogFile::from_source(Arc::new(part)) {
            Ok(file) => assert_eq!(
                check_values(&file, 0, u64::MAX, &format!("cut at {cut}")),
                expected
            ),
            Err(error) => panic!("cut at {cut}: {error}"),
        }
    }
}

#[test]
fn a_failing_medium_leaves_whole_segments_and_a_failed_writer() {
    for error in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::Other] {
        for at in 0..6 {
            for taken in [0, 1, 27, 500, 4096, 5000] {
                let medium = SimMedium::default();
                medium.0.lock().expect("no panic under the lock").fault =
                    Some(Fault { at, taken, error });
                let mut log = LogWriter::create_on(
                    Arc::new(medium.clone()),
                    Path::new("run.tdms"),
                    LogOptions::default(),
                    vec![group()],
                )
                .expect("create");
                let mut good = 0;
                let mut failure = None;
                for seq in 0..5u64 {
                    let result = write(&mut log, seq, seq * 600, 600);
                    match result {
                        Ok(()) => good += 600,
                        Err(error) => {
                            failure = Some(error);
                            break;
                        }
                    }
                }
                if failure.is_none() {
                    failure = log.finish(vec![]).err();
                }
                let failure = failure.expect("one of the writes fails");
                let full = matches!(failure, LogError::NoSpace { .. });
                assert_eq!(full, error == std::io::ErrorKind::StorageFull, "{failure}");
                assert!(matches!(log.finish(vec![]), Err(LogError::Failed(_))));
                let bytes = medium.0.lock().expect("no panic under the lock").files
                    [Path::new("run.tdms")]
                .clone();
                assert_eq!(bytes.len() as u64, log.bytes_written());
                assert_eq!(log.stored(0).map(|stored| stored.samples), Some(good));
                if good > 0 {
                    let report = verify_source(Arc::new(bytes.clone())).expect("verify");
                    assert!(report.is_sound() && !report.finished, "{report}");
                    let file = LogFile::from_source(Arc::new(bytes)).expect("open");
                    assert_eq!(check_values(&file, 0, u64::MAX, "after the failure"), good);
                }
            }
        }
    }
}

#[test]
fn after_a_failure_the_writer_knows_what_files_and_tails_have() {
    let error = std::io::ErrorKind::StorageFull;
    let mut in_tails = 0;
    for at in 1..16 {
        let medium = SimMedium::default();
        medium.0.lock().expect("no panic under the lock").fault = Some(Fault {
            at,
            taken: 4096,
            error,
        });
        let mut options = LogOptions::default();
        options.segments = Segments::Gather {
            bytes: 500 * 8,
            time: None,
        };
        let path = Path::new("run.tdms");
        let mut log = LogWriter::create_on(Arc::new(medium.clone()), path, options, vec![group()])
            .expect("create");
        for seq in 0..25u64 {
            let written = write(&mut log, seq, seq * 100, 100);
            // Two of the five blocks of a segment are in a tail, one by one.
            if written.is_err() || seq % 5 < 2 && log.flush().is_err() {
                break;
            }
        }
        assert!(log.finish(vec![]).is_err());
        let stored = log.stored(0).expect("there is such a group");
        let files = medium
            .0
            .lock()
            .expect("no panic under the lock")
            .files
            .clone();
        let tails = files.iter().filter(|(name, _)| *name != path);
        let tails = tails.map(|(_, bytes)| Arc::new(bytes.clone()) as Arc<dyn Source>);
        let file = LogFile::from_sources(Arc::new(files[path].clone()), tails.collect());
        let there = file.map_or(0, |file| {
            check_values(&file, 0, u64::MAX, "after the failure")
        });
        assert_eq!((stored.samples, stored.end), (there, there), "write {at}");
        assert_eq!(stored.blocks, there / 100);
        in_tails += there % 500;
    }
    assert!(in_tails > 0);
}

#[test]
fn a_segment_that_fails_behind_the_writer_is_taken_back() {
    for error in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::Other] {
        for at in 0..5 {
            for taken in [0, 27, 4096, 5000] {
                let medium = SimMedium::default();
                medium.0.lock().expect("no panic under the lock").fault =
                    Some(Fault { at, taken, error });
                let mut options = LogOptions::default();
                options.segments = Segments::Gather {
                    bytes: 600 * 8,
                    time: None,
                };
                options.behind_from = 1;
                let mut log = LogWriter::create_on(
                    Arc::new(medium.clone()),
                    Path::new("run.tdms"),
                    options,
                    vec![group()],
                )
                .expect("create");
                let mut failure = None;
                for seq in 0..25u64 {
                    let result = write(&mut log, seq, seq * 100, 100);
                    if let Err(error) = result {
                        failure = Some(error);
                        break;
                    }
                }
                let failure = failure
                    .or_else(|| log.finish(vec![]).err())
                    .expect("one of the writes fails");
                let full = matches!(failure, LogError::NoSpace { .. });
                assert_eq!(full, error == std::io::ErrorKind::StorageFull, "{failure}");
                assert!(matches!(log.finish(vec![]), Err(LogError::Failed(_))));
                let bytes = medium.0.lock().expect("no panic under the lock").files
                    [Path::new("run.tdms")]
                .clone();
                let summary = log.summary();
                assert_eq!(bytes.len() as u64, summary.bytes);
                assert_eq!(bytes.len() as u64, log.written().bytes);
                assert_eq!(summary.segments, at as u64);
                let good = summary.streams[0].samples;
                assert_eq!(summary.payload, good * 8);
                assert_eq!(summary.blocks, good / 100);
                assert_eq!(good, if at < 4 { at as u64 * 600 } else { 2400 });
                let stored = Stored {
                    blocks: good / 100,
                    samples: good,
                    end: good,
                };
                assert_eq!(log.stored(0), Some(stored));
                if good > 0 {
                    let report = verify_source(Arc::new(bytes.clone())).expect("verify");
                    assert!(report.is_sound() && !report.finished, "{report}");
                    let file = LogFile::from_source(Arc::new(bytes)).expect("open");
                    assert_eq!(check_values(&file, 0, u64::MAX, "after the failure"), good);
                }
            }
        }
    }
}

#[test]
fn a_storage_that_panics_behind_the_writer_fails_it() {
    struct Panics;
    impl Storage for Panics {
        fn write(&mut self, _: u64, _: &[u8], _: &[u8]) -> std::io::Result<()> {
            panic!("a panic that the test makes");
        }
        fn truncate(&mut self, _: u64) -> std::io::Result<()> {
            Ok(())
        }
        fn sync_target(&self) -> std::io::Result<Arc<dyn SyncTarget>> {
            Ok(Arc::new(NoSync))
        }
        fn is_direct(&self) -> bool {
            false
        }
    }
    struct NoSync;
    impl SyncTarget for NoSync {
        fn sync(&self) -> std::io::Result<()> {
            Ok(())
        }
    }
    struct OnlyPanics(SimMedium);
    impl Medium for OnlyPanics {
        fn create(&self, _: &Path, _: bool, _: DirectIo) -> std::io::Result<Box<dyn Storage>> {
            Ok(Box::new(Panics))
        }
        fn remove(&self, path: &Path) -> std::io::Result<()> {
            self.0.remove(path)
        }
        fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
            self.0.rename(from, to)
        }
        fn sync_directory(&self, path: &Path) -> std::io::Result<()> {
            self.0.sync_directory(path)
        }
        fn free_space(&self, path: &Path) -> std::io::Result<Option<u64>> {
            self.0.free_space(path)
        }
    }
    let mut options = LogOptions::default();
    options.segments = Segments::Gather {
        bytes: 800,
        time: None,
    };
    options.behind_from = 1;
    let medium = Arc::new(OnlyPanics(SimMedium::default()));
    let mut log = LogWriter::create_on(medium, Path::new("run.tdms"), options, vec![group()])
        .expect("create");
    for seq in 0..2 {
        write(&mut log, seq, seq * 50, 50).expect("the thread has yet to fail");
    }
    let error = log.finish(vec![]).expect_err("nothing could be written");
    assert!(error.to_string().contains("has panicked"), "{error}");
    assert!(matches!(log.finish(vec![]), Err(LogError::Failed(_))));
    assert_eq!(log.summary().streams[0].samples, 0);
}

#[test]
fn a_failed_sync_is_final() {
    let medium = SimMedium::default();
    medium
        .0
        .lock()
        .expect("no panic under the lock")
        .sync_fails_at = Some(2);
    let mut options = LogOptions::default();
    options.sync = SyncPolicy::EachBlock;
    let mut log = LogWriter::create_on(
        Arc::new(medium.clone()),
        Path::new("run.tdms"),
        options,
        vec![group()],
    )
    .expect("create");
    let data = data(0, 10);
    let block = |seq: u64| Block {
        group: 0,
        seq,
        first_sample: seq * 10,
        samples: 10,
        lost_before: 0,
        gap: 0,
        host_time_ns: 0,
        crc32c: None,
        data: &data,
    };
    log.write_block(&block(0)).expect("the first sync succeeds");
    assert!(log.write_block(&block(1)).is_err());
    assert!(matches!(
        log.write_block(&block(2)),
        Err(LogError::Failed(_))
    ));
    assert_eq!(log.durable().blocks, 1);
}

#[test]
fn a_disk_that_fills_up_is_left_in_order() {
    let medium = SimMedium::default();
    medium.0.lock().expect("no panic under the lock").capacity = Some(60_000);
    let mut options = LogOptions::default();
    options.reserve = Some(20_000);
    let mut log = LogWriter::create_on(
        Arc::new(medium.clone()),
        Path::new("run.tdms"),
        options,
        vec![group()],
    )
    .expect("create");
    let mut first = 0;
    let refused = loop {
        let result = write(&mut log, first / 500, first, 500);
        match result {
            Ok(()) => first += 500,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, LogError::DiskLow { .. }), "{refused}");
    assert!(first >= 2000);
    log.finish(vec![]).expect("there is room to finish");
    let bytes =
        medium.0.lock().expect("no panic under the lock").files[Path::new("run.tdms")].clone();
    let report = verify_source(Arc::new(bytes)).expect("verify");
    assert!(
        report.complete() && report.streams[0].samples == first,
        "{report}"
    );
}

#[test]
fn the_writer_opens_no_file_at_a_seam_and_leaves_no_empty_one() {
    for finish in [true, false] {
        let medium = SimMedium::default();
        let mut options = LogOptions::default();
        options.rotation.samples = Some(10);
        let mut log = LogWriter::create_on(
            Arc::new(medium.clone()),
            Path::new("run.tdms"),
            options,
            vec![group()],
        )
        .expect("create");
        let handle = log.sync_handle();
        let ops = |medium: &SimMedium| medium.0.lock().expect("no panic").ops.clone();
        for seq in 0..5u64 {
            // The first file's seam is one block later: it is full then, and no sooner.
            if handle.wait(Duration::ZERO) == SyncNeed::Due {
                handle.sync().expect("sync");
            }
            assert_eq!(handle.wait(Duration::ZERO), SyncNeed::Idle);
            let before = ops(&medium).len();
            write(&mut log, seq, seq * 10, 10).expect("write");
            let done = &ops(&medium)[before..];
            assert!(
                !done
                    .iter()
                    .any(|op| matches!(op, Op::Create(_) | Op::Sync(_))),
                "{done:?}"
            );
            if seq > 0 {
                assert!(
                    done.iter().any(|op| matches!(op, Op::Rename(..))),
                    "{done:?}"
                );
            }
        }
        if finish {
            log.finish(vec![]).expect("finish");
        }
        drop(log);
        let names: Vec<PathBuf> = medium
            .0
            .lock()
            .expect("no panic")
            .files
            .keys()
            .cloned()
            .collect();
        let expected: Vec<PathBuf> = (0..5).map(|n| format!("run_{n:04}.tdms").into()).collect();
        assert_eq!(names, expected);
    }
}
