//! What a recording can ask of its log beyond plain blocks, on a real disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use daqring_log::{
    Block, ChannelSpec, ClockPair, DataType, DirectIo, GapCause, GroupSpec, LogError, LogFile,
    LogOptions, LogWriter, Record, RecoverOptions, Rotation, Segments, SyncNeed, SyncPolicy, Tail,
    recover, verify,
};

/// A directory of the test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path =
            std::env::temp_dir().join(format!("daqring-features-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).expect("scratch directory");
        Scratch(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("scratch directory");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn group(name: &str, dt: f64) -> GroupSpec {
    GroupSpec {
        name: name.to_owned(),
        channels: vec![
            ChannelSpec::new("ai0", DataType::I16),
            ChannelSpec::new("ai1", DataType::I16),
        ],
        dt: Some(dt),
        properties: vec![],
    }
}

fn data(first: u64, count: u64) -> Vec<u8> {
    (0..2u64)
        .flat_map(|c| (first..first + count).flat_map(move |i| ((i + c * 7) as i16).to_le_bytes()))
        .collect()
}

fn write(log: &mut LogWriter, seq: u64, first: u64, count: u64) -> Result<(), LogError> {
    let host_time_ns = 1_700_000_000_000_000_000 + first as i64 * 1_000_000;
    write_at(log, seq, first, count, host_time_ns)
}

fn write_at(
    log: &mut LogWriter,
    seq: u64,
    first: u64,
    count: u64,
    host_time_ns: i64,
) -> Result<(), LogError> {
    log.write_block(&Block {
        group: 0,
        seq,
        first_sample: first,
        samples: count,
        lost_before: 0,
        gap: 0,
        host_time_ns,
        crc32c: None,
        data: &data(first, count),
    })
}

fn values(path: &Path) -> Vec<i16> {
    let file = LogFile::open(path).expect("open");
    let length = file.groups()[0].channels[0].len;
    let mut raw = vec![0; length as usize * 2];
    file.read_raw(0, 0, 0..length, &mut raw).expect("read");
    raw.chunks_exact(2)
        .map(|value| i16::from_le_bytes([value[0], value[1]]))
        .collect()
}

#[test]
fn rotation_loses_and_doubles_no_sample() {
    let scratch = Scratch::new("rotate");
    let mut options = LogOptions::default();
    options.rotation = Rotation {
        samples: Some(1000),
        ..Rotation::default()
    };
    let mut log = LogWriter::create(
        &scratch.file("run.tdms"),
        options,
        vec![group("Dev1", 1e-3)],
    )
    .expect("create");
    log.set_start_time(0, 5);
    for seq in 0..9 {
        write(&mut log, seq, seq * 333, 333).expect("write");
    }
    let summary = log.finish(vec![]).expect("finish");
    assert_eq!(
        scratch.names(),
        ["run_0000.tdms", "run_0001.tdms", "run_0002.tdms"]
    );
    assert_eq!(summary.files.len(), 3);
    let mut all = Vec::new();
    for (index, path) in summary.files.iter().enumerate() {
        let report = verify(path).expect("verify");
        assert!(report.complete(), "{report}");
        let file = LogFile::open(path).expect("open");
        let start = file.groups()[0].channels[0].start_time_ns();
        assert_eq!(start, Some(5 + index as i64 * 1_000_000_000));
        all.extend(values(path));
    }
    let expected: Vec<i16> = (0..2997).map(|i| i as i16).collect();
    assert_eq!(all, expected);
}

#[test]
fn old_files_go_when_there_are_too_many_bytes() {
    let scratch = Scratch::new("keep");
    let mut options = LogOptions::default();
    options.rotation = Rotation {
        time: Some(Duration::from_secs(1)),
        keep_bytes: Some(30_000),
        ..Rotation::default()
    };
    let path = scratch.file("ring-{index}.tdms");
    let mut log = LogWriter::create(&path, options, vec![group("Dev1", 1e-3)]).expect("create");
    for seq in 0..10 {
        write(&mut log, seq, seq * 1000, 1000).expect("write");
    }
    let summary = log.finish(vec![]).expect("finish");
    assert_eq!(summary.files.len() + summary.removed.len(), 10);
    assert_eq!(scratch.names().len(), summary.files.len());
    assert!(summary.files.len() < 10 && summary.files.len() >= 2);
    assert_eq!(
        values(summary.files.last().expect("a file")).first(),
        Some(&9000)
    );
}

#[test]
fn a_file_in_the_way_does_not_stop_a_recording() {
    let scratch = Scratch::new("way");
    std::fs::write(scratch.file("run_0001.tdms"), b"precious").expect("write");
    let mut options = LogOptions::default();
    options.rotation.samples = Some(10);
    let mut log = LogWriter::create(
        &scratch.file("run.tdms"),
        options,
        vec![group("Dev1", 1e-3)],
    )
    .expect("create");
    write(&mut log, 0, 0, 20).expect("write");
    let summary = log.finish(vec![]).expect("finish");
    assert_eq!(
        std::fs::read(scratch.file("run_0001.tdms")).expect("read"),
        b"precious"
    );
    assert_eq!(summary.files[1], scratch.file("run_0001-2.tdms"));
}

#[test]
fn flushed_samples_are_read_before_their_segment_is_written() {
    let scratch = Scratch::new("tail");
    let mut options = LogOptions::default();
    options.segments = Segments::Gather {
        bytes: 1 << 20,
        time: None,
    };
    options.flush_every = Some(Duration::from_secs(1));
    let path = scratch.file("slow.tdms");
    let mut log = LogWriter::create(&path, options, vec![group("Dev1", 0.1)]).expect("create");
    // 10 samples each second; host time is 1 ms per sample in `write`, so a flush comes every 100 blocks.
    for seq in 0..250 {
        write(&mut log, seq, seq * 10, 10).expect("write");
    }
    let flushed = values(&path).len() as u64;
    assert!((2000..=2500).contains(&flushed), "{flushed}");
    assert_eq!(std::fs::metadata(&path).expect("log").len(), 0);
    log.flush().expect("flush");
    let expected: Vec<i16> = (0..2500).map(|i| i as i16).collect();
    assert_eq!(values(&path), expected);
    assert_eq!(scratch.names(), ["slow.tdms", "slow.tdms.tail-0"]);

    // As after the end of the process: recovery makes one file of both.
    let copy = Scratch::new("tail-copy");
    for name in scratch.names() {
        std::fs::copy(scratch.file(&name), copy.file(&name)).expect("copy");
    }
    let report = recover(copy.file("slow.tdms"), &RecoverOptions::default()).expect("recover");
    assert_eq!(report.streams[0].from_tail, 2500);
    assert!(!report.lost());
    assert_eq!(values(&report.output), expected);
    let in_place = RecoverOptions {
        in_place: true,
        ..RecoverOptions::default()
    };
    let report = recover(copy.file("slow.tdms"), &in_place).expect("recover");
    assert_eq!(report.output, copy.file("slow.tdms"));
    assert_eq!(copy.names(), ["slow.recovered.tdms", "slow.tdms"]);
    assert_eq!(values(&copy.file("slow.tdms")), expected);
    assert!(verify(copy.file("slow.tdms")).expect("verify").is_sound());

    log.finish(vec![]).expect("finish");
    assert_eq!(scratch.names(), ["slow.tdms"]);
    assert_eq!(values(&path), expected);
    assert_eq!(
        LogFile::open(&path).expect("open").segment_count(),
        2,
        "one of samples, one of tables"
    );
    assert!(verify(&path).expect("verify").complete());
}

/// However long blocks are: what waits is never older than was asked for when the next block comes.
#[test]
fn a_flush_comes_before_the_samples_are_too_old() {
    let every = 1_000_000_000i64;
    for (block_ns, blocks) in [
        (1_000_000_000, 40u64),
        (300_000_000, 100),
        (7_000_000, 2000),
    ] {
        let scratch = Scratch::new(&format!("flush-{block_ns}"));
        let mut options = LogOptions::default();
        options.segments = Segments::Gather {
            bytes: 1 << 20,
            time: None,
        };
        options.flush_every = Some(Duration::from_nanos(every as u64));
        let path = scratch.file("slow.tdms");
        let mut log = LogWriter::create(&path, options, vec![group("Dev1", 0.1)]).expect("create");
        let (mut flushes, mut flushed_at) = (0, 0i64);
        for seq in 0..blocks {
            let now = (seq as i64 + 1) * block_ns;
            write_at(&mut log, seq, seq * 10, 10, now).expect("write");
            if log.written().blocks == seq + 1 {
                flushes += 1;
                flushed_at = now;
            }
            let age = now + block_ns - flushed_at;
            assert!(age <= every.max(block_ns), "{age} ns after block {seq}");
        }
        let span = blocks as i64 * block_ns;
        assert!(
            flushes <= span / (every - block_ns).max(block_ns) + 2,
            "{flushes}"
        );
    }
}

/// The host's clock may be set back while recording: flushes, segments and files do not wait until it has caught up.
#[test]
fn a_clock_that_is_set_back_holds_nothing_up() {
    const HOUR: i64 = 3_600_000_000_000;
    let at = |seq: u64| {
        let now = 1_700_000_000_000_000_000 + seq as i64 * 1_000_000_000;
        if seq < 20 { now } else { now - HOUR }
    };
    let record = |name: &str, options: LogOptions| {
        let scratch = Scratch::new(name);
        let path = scratch.file("slow.tdms");
        let mut log = LogWriter::create(&path, options, vec![group("Dev1", 0.1)]).expect("create");
        let mut waiting = Vec::new();
        for seq in 0..60 {
            write_at(&mut log, seq, seq * 10, 10, at(seq)).expect("write");
            waiting.push(seq + 1 - log.written().blocks);
        }
        let summary = log.finish(vec![]).expect("finish");
        (summary, waiting)
    };
    let mut options = LogOptions::default();
    options.segments = Segments::Gather {
        bytes: 1 << 20,
        time: None,
    };
    options.flush_every = Some(Duration::from_secs(3));
    let (_, waiting) = record("back-flush", options.clone());
    assert!(waiting.iter().all(|blocks| *blocks <= 3), "{waiting:?}");

    options.flush_every = None;
    options.segments = Segments::Gather {
        bytes: 1 << 20,
        time: Some(Duration::from_secs(10)),
    };
    let (_, waiting) = record("back-segment", options);
    assert!(waiting.iter().all(|blocks| *blocks <= 11), "{waiting:?}");

    let mut options = LogOptions::default();
    options.rotation.time = Some(Duration::from_secs(10));
    let (summary, _) = record("back-rotate", options);
    assert_eq!(summary.files.len(), 6, "{:?}", summary.files);
}

/// What the end of the process leaves in a tail is not for the next recording of the same name to write over.
#[test]
fn a_tail_without_its_log_is_not_written_over() {
    let scratch = Scratch::new("orphan");
    let path = scratch.file("slow.tdms");
    let mut options = LogOptions::default();
    options.segments = Segments::Gather {
        bytes: 1 << 20,
        time: None,
    };
    options.flush_every = Some(Duration::from_millis(1));
    let create =
        |options: &LogOptions| LogWriter::create(&path, options.clone(), vec![group("Dev1", 0.1)]);
    let mut log = create(&options).expect("create");
    write(&mut log, 0, 0, 10).expect("write");
    write(&mut log, 1, 10, 10).expect("write");
    drop(log);
    let moved = scratch.file("moved.tdms");
    std::fs::rename(&path, &moved).expect("rename");
    let tail = scratch.file("slow.tdms.tail-0");
    let error = create(&options).err().expect("the tail is in the way");
    assert!(
        matches!(&error, LogError::Orphan(path) if *path == tail),
        "{error}"
    );
    assert_eq!(scratch.names(), ["moved.tdms", "slow.tdms.tail-0"]);
    std::fs::rename(&tail, scratch.file("moved.tdms.tail-0")).expect("rename");
    assert_eq!(values(&moved).len(), 20);

    // Who has the log replaced has its tail replaced.
    let mut log = create(&options).expect("create");
    write(&mut log, 0, 0, 10).expect("write");
    drop(log);
    options.overwrite = true;
    drop(create(&options).expect("create"));
    assert_eq!(
        scratch.names(),
        ["moved.tdms", "moved.tdms.tail-0", "slow.tdms"]
    );
}

#[test]
fn what_cannot_work_is_refused_before_there_is_a_file() {
    let scratch = Scratch::new("refused");
    let refused = |name: &str, change: fn(&mut LogOptions)| {
        let mut options = LogOptions::default();
        change(&mut options);
        let created = LogWriter::create(&scratch.file(name), options, vec![group("Dev1", 0.1)]);
        let error = created.err().expect("refused");
        assert_eq!(scratch.names(), Vec::<String>::new(), "{error}");
        error.to_string()
    };
    let text = refused("a.tdms", |options| {
        options.segments = Segments::Gather {
            bytes: 1 << 40,
            time: None,
        };
    });
    assert!(text.contains("1 GiB"), "{text}");
    let text = refused("a.tdms", |options| options.reserve = Some(1 << 60));
    assert!(text.contains("are kept to finish the recording"), "{text}");
    // The name is not too long, but that of its tail file is.
    #[cfg(target_os = "linux")]
    {
        let text = refused(&"x".repeat(252), |options| {
            options.segments = Segments::Gather {
                bytes: 1 << 20,
                time: None,
            };
        });
        assert!(
            text.contains("tail-0") && text.contains("too long"),
            "{text}"
        );
    }
}

/// At a low rate all there is may be in the tail, and the log still empty.
#[test]
fn verification_counts_what_only_the_tail_has() {
    let scratch = Scratch::new("verify-tail");
    let path = scratch.file("slow.tdms");
    let mut options = LogOptions::default();
    options.segments = Segments::Gather {
        bytes: 1 << 20,
        time: Some(Duration::from_secs(1)),
    };
    options.flush_every = Some(Duration::from_millis(100));
    let mut log = LogWriter::create(&path, options, vec![group("Dev1", 0.1)]).expect("create");
    let mut next = 0;
    let mut until = |log: &mut LogWriter, blocks: u64| {
        for seq in next..blocks {
            write(log, seq, seq * 100, 100).expect("write");
        }
        next = blocks;
        log.flush().expect("flush");
    };
    until(&mut log, 3);
    assert_eq!(std::fs::metadata(&path).expect("log").len(), 0);
    let report = verify(&path).expect("verify");
    assert!(report.stamped && report.is_sound() && !report.finished && !report.complete());
    assert_eq!(
        (report.streams[0].samples, report.streams[0].in_tail),
        (0, 300)
    );
    let oldest = std::fs::read(scratch.file("slow.tdms.tail-0")).expect("read");
    until(&mut log, 13);
    assert!(std::fs::metadata(&path).expect("log").len() > 0);
    let report = verify(&path).expect("verify");
    let stream = &report.streams[0];
    assert!(stream.samples > 0 && stream.in_tail > 0, "{report}");
    assert_eq!(stream.samples + stream.in_tail, 1300);
    assert!(
        report.to_string().contains(&format!(
            "Dev1 {} samples per channel and {} more in its tail file",
            stream.samples, stream.in_tail
        )),
        "{report}"
    );
    // What of a tail is in the log, too, is not told twice.
    drop(log);
    let tail = scratch.file("slow.tdms.tail-0");
    let newest = std::fs::read(&tail).expect("read");
    std::fs::write(&tail, &oldest).expect("write");
    assert_eq!(verify(&path).expect("verify").streams[0].in_tail, 0);
    std::fs::write(&tail, &newest).expect("write");
    // A tail of another recording says nothing of this one.
    let other = scratch.file("other.tdms");
    let mut overwriting = LogOptions::default();
    overwriting.overwrite = true;
    let mut log = LogWriter::create(&other, overwriting, vec![group("Dev1", 0.1)]).expect("create");
    write(&mut log, 0, 0, 10).expect("write");
    std::fs::copy(
        scratch.file("slow.tdms.tail-0"),
        scratch.file("other.tdms.tail-0"),
    )
    .expect("copy");
    let report = verify(&other).expect("verify");
    assert_eq!(
        (report.streams[0].samples, report.streams[0].in_tail),
        (10, 0)
    );
}

#[test]
fn without_checksums_headers_are_checked_and_data_are_not() {
    let scratch = Scratch::new("unchecked");
    let path = scratch.file("a.tdms");
    let mut options = LogOptions::default();
    options.checksum = false;
    let mut log = LogWriter::create(&path, options, vec![group("Dev1", 1e-3)]).expect("create");
    for seq in 0..3 {
        write(&mut log, seq, seq * 2000, 2000).expect("write");
    }
    // As after a kill in the middle of a write.
    let (whole, cut) = (log.bytes_written(), scratch.file("cut.tdms"));
    let bytes = std::fs::read(&path).expect("read");
    std::fs::write(&cut, &bytes[..whole as usize - 100]).expect("copy");
    assert_eq!(values(&cut).len(), 4000, "opens up to the cut");
    let report = recover(&cut, &RecoverOptions::default()).expect("recover");
    assert_eq!((report.streams[0].samples, report.unchecked), (4000, 2));
    assert!(report.to_string().contains("data not checked"), "{report}");
    let recovered = verify(&report.output).expect("verify");
    assert!(recovered.is_sound(), "{recovered}");
    assert_eq!(
        recovered.unchecked, 2,
        "the copy does not say more than the log"
    );
    let in_place = RecoverOptions {
        in_place: true,
        ..RecoverOptions::default()
    };
    assert_eq!(recover(&cut, &in_place).expect("recover").unchecked, 2);

    log.finish(vec![]).expect("finish");
    let report = verify(&path).expect("verify");
    assert!(report.complete(), "{report}");
    assert_eq!(report.unchecked, 3);
    assert!(report.to_string().contains("data not checked"), "{report}");
    let file = LogFile::open(&path).expect("open");
    let says = ("daqring.checksum".to_owned(), "none".into());
    assert!(file.properties().contains(&says));

    let good = std::fs::read(&path).expect("read");
    let header = u64::from_le_bytes(good[20..28].try_into().expect("8 bytes")) as usize + 28;
    let mut bad = good.clone();
    bad[header + 50] ^= 1;
    std::fs::write(&path, &bad).expect("write");
    let report = verify(&path).expect("verify");
    assert!(report.is_sound(), "of samples nothing is known: {report}");
    for at in (28..header).step_by(5) {
        let mut bad = good.clone();
        bad[at] ^= 4;
        std::fs::write(&path, &bad).expect("write");
        let found = verify(&path).is_ok_and(|report| !report.is_sound());
        assert!(found, "byte {at} of the header");
    }
}

/// Which copy is torn after a crash of the machine, the log's or the tail's, only a checksum can tell.
#[test]
fn samples_that_a_tail_kept_safe_have_checksums_in_any_case() {
    let scratch = Scratch::new("unchecked-tail");
    let path = scratch.file("a.tdms");
    let mut options = LogOptions::default();
    options.checksum = false;
    options.segments = Segments::Gather {
        bytes: 40_000,
        time: None,
    };
    options.flush_every = Some(Duration::from_secs(12));
    let mut log = LogWriter::create(&path, options, vec![group("Dev1", 0.1)]).expect("create");
    for seq in 0..300 {
        write(&mut log, seq, seq * 100, 100).expect("write");
    }
    log.finish(vec![]).expect("finish");
    let report = verify(&path).expect("verify");
    assert!(report.complete(), "{report}");
    assert!(report.segments > 2, "{report}");
    assert_eq!(report.unchecked, 0, "{report}");
}

#[test]
fn in_place_recovery_cuts_a_torn_end() {
    let scratch = Scratch::new("in-place");
    let path = scratch.file("a.tdms");
    let mut log =
        LogWriter::create(&path, LogOptions::default(), vec![group("Dev1", 1e-3)]).expect("create");
    for seq in 0..3 {
        write(&mut log, seq, seq * 2000, 2000).expect("write");
    }
    let whole = log.bytes_written();
    drop(log);
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("open");
    file.set_len(whole - 100).expect("cut");
    drop(file);
    let options = RecoverOptions {
        in_place: true,
        ..RecoverOptions::default()
    };
    let report = recover(&path, &options).expect("recover");
    assert!(report.lost() && !report.was_finished);
    assert_eq!(report.streams[0].samples, 4000);
    let verified = verify(&path).expect("verify");
    assert!(
        verified.is_sound() && verified.finished && !verified.complete(),
        "{verified}"
    );
    assert_eq!(values(&path).len(), 4000);
    // Once more changes nothing.
    let before = std::fs::read(&path).expect("read");
    recover(&path, &options).expect("recover");
    assert_eq!(std::fs::read(&path).expect("read"), before);
}

#[test]
fn a_file_that_is_no_log_is_not_recovered() {
    let scratch = Scratch::new("foreign");
    for (name, bytes) in [
        ("text.tdms", b"hello".as_slice()),
        ("empty.tdms", b""),
        ("tag.tdms", b"TDSm"),
    ] {
        std::fs::write(scratch.file(name), bytes).expect("write");
        assert!(recover(scratch.file(name), &RecoverOptions::default()).is_err());
        assert_eq!(std::fs::read(scratch.file(name)).expect("read"), bytes);
    }
    assert_eq!(scratch.names(), ["empty.tdms", "tag.tdms", "text.tdms"]);
}

/// A file that waits for its end is an open one, and of those a process may not have many.
#[test]
fn files_that_wait_for_their_end_do_not_pile_up() {
    let scratch = Scratch::new("pile");
    let mut options = LogOptions::default();
    options.rotation.samples = Some(10);
    let path = scratch.file("run.tdms");
    let mut log = LogWriter::create(&path, options, vec![group("Dev1", 1e-3)]).expect("create");
    let _nobody_syncs = log.sync_handle();
    for seq in 0..100 {
        write(&mut log, seq, seq * 10, 10).expect("write");
    }
    let complete = |index: u32| {
        let path = scratch.file(&format!("run_{index:04}.tdms"));
        verify(path).expect("verify").complete()
    };
    assert!((0..64).all(complete));
    assert!((64..99).all(|index| !complete(index)));
    assert_eq!(log.finish(vec![]).expect("finish").files.len(), 100);
    assert!((0..100).all(complete));
}

#[test]
fn another_thread_syncs() {
    let scratch = Scratch::new("sync");
    let mut options = LogOptions::default();
    options.sync = SyncPolicy::Bytes(20_000);
    let mut log = LogWriter::create(&scratch.file("a.tdms"), options, vec![group("Dev1", 1e-3)])
        .expect("create");
    let handle = log.sync_handle();
    let thread = std::thread::spawn(move || {
        let mut syncs = 0;
        loop {
            match handle.wait(Duration::from_secs(60)) {
                SyncNeed::Due => {
                    handle.sync().expect("sync");
                    syncs += 1;
                }
                SyncNeed::Idle => {}
                SyncNeed::Closed => return (syncs, handle.durable()),
            }
        }
    });
    for seq in 0..50 {
        write(&mut log, seq, seq * 1000, 1000).expect("write");
    }
    log.finish(vec![]).expect("finish");
    let (_, durable) = thread.join().expect("join");
    assert_eq!(durable, log.written());
    assert_eq!(durable.blocks, 50);
}

fn write_record(log: &mut LogWriter, seq: u64, number: u64, first: u64, lost: u64) {
    let data = data(first, 100);
    log.write_record(
        &Block {
            group: 0,
            seq,
            first_sample: first,
            samples: 100,
            lost_before: lost,
            gap: if lost > 0 {
                GapCause::Overrun as u32
            } else {
                0
            },
            host_time_ns: 0,
            crc32c: None,
            data: &data,
        },
        &Record {
            number,
            start_time_ns: number as i64 * 1_000_000,
            pretrigger: 25,
        },
    )
    .expect("write");
}

fn check_records(path: &Path, expected: &[(u64, u64, u64)]) {
    let file = LogFile::open(path).expect("open");
    let records = file.records().expect("records");
    let found: Vec<_> = records
        .iter()
        .map(|placed| (placed.record.number, placed.first_sample, placed.samples))
        .collect();
    assert_eq!(found, expected);
    let mut first_value = 0;
    for placed in &records {
        assert_eq!(placed.first_value, first_value);
        assert_eq!(placed.record.pretrigger, 25);
        assert_eq!(
            placed.record.start_time_ns,
            placed.record.number as i64 * 1_000_000
        );
        first_value += placed.samples;
        let mut raw = vec![0; placed.samples as usize * 2];
        let range = placed.first_value..placed.first_value + placed.samples;
        file.read_raw(0, 0, range, &mut raw).expect("read");
        for (part, bytes) in raw.chunks(200).enumerate() {
            let first = placed.first_sample + part as u64 * 100;
            assert_eq!(*bytes, data(first, 100)[..200]);
        }
    }
}

#[test]
fn records_lie_in_one_group() {
    let scratch = Scratch::new("records");
    let path = scratch.file("r.tdms");
    let mut log =
        LogWriter::create(&path, LogOptions::default(), vec![group("Trig", 1e-3)]).expect("create");
    let mut expected = Vec::new();
    for number in 0..20 {
        let first = number * 5001;
        expected.push((number, first, 100));
        write_record(&mut log, number, number, first, 0);
        // What was written is known as a record at once, whatever happens to the recording.
        check_records(&path, &expected);
    }
    log.finish(vec![]).expect("finish");
    let report = verify(&path).expect("verify");
    assert!(report.complete(), "{report}");
    assert_eq!(LogFile::open(&path).expect("open").groups().len(), 2);
    check_records(&path, &expected);
}

#[test]
fn long_and_lost_records_are_told() {
    let scratch = Scratch::new("long-records");
    let path = scratch.file("r.tdms");
    let mut log =
        LogWriter::create(&path, LogOptions::default(), vec![group("Trig", 1e-3)]).expect("create");
    // One of three blocks, one behind a record that was lost, one right behind it.
    for (seq, first) in [1000, 1100, 1200].into_iter().enumerate() {
        write_record(&mut log, seq as u64, 0, first, 0);
    }
    write_record(&mut log, 3, 2, 9000, 100);
    write_record(&mut log, 4, 3, 9100, 0);
    let expected = [(0, 1000, 300), (2, 9000, 100), (3, 9100, 100)];
    check_records(&path, &expected);
    drop(log);

    let copy = scratch.file("copy.tdms");
    let mut options = RecoverOptions {
        output: Some(copy.clone()),
        ..RecoverOptions::default()
    };
    let report = recover(&path, &options).expect("recover");
    assert_eq!(
        (report.streams[0].samples, report.streams[0].missing),
        (500, 0)
    );
    check_records(&copy, &expected);
    options.output = None;
    options.in_place = true;
    recover(&path, &options).expect("recover in place");
    for path in [&path, &copy] {
        check_records(path, &expected);
        let report = verify(path).expect("verify");
        assert!(report.is_sound(), "{report}");
        assert_eq!(report.lost(), 100);
        assert_eq!(report.gaps[0].gap.first_sample, 8900);
    }
}

#[test]
fn a_torn_end_is_seen_when_the_file_is_opened() {
    let scratch = Scratch::new("torn");
    let path = scratch.file("t.tdms");
    let mut log =
        LogWriter::create(&path, LogOptions::default(), vec![group("Dev1", 1e-3)]).expect("create");
    let mut ends = Vec::new();
    for seq in 0..4 {
        write(&mut log, seq, seq * 3000, 3000).expect("write");
        ends.push(log.bytes_written());
    }
    drop(log);
    let length = |path: &Path| LogFile::open(path).expect("open").groups()[0].channels[0].len;
    assert_eq!(length(&path), 12_000);
    // What a crash of the machine may leave of the segments that no sync had covered: their headers, and zeros.
    let mut bytes = std::fs::read(&path).expect("read");
    for (torn, end) in [(1, ends[3]), (2, ends[2]), (4, ends[0])] {
        bytes[end as usize - 2000..end as usize].fill(0);
        std::fs::write(&path, &bytes).expect("write");
        let file = LogFile::open(&path).expect("open");
        if torn < 4 {
            assert_eq!(length(&path), 12_000 - torn * 3000);
            assert!(matches!(file.tail(), Tail::Damaged { .. }));
        } else {
            // A sound segment behind the torn one says that this was no crash: verify tells about it.
            assert_eq!(length(&path), 6000);
        }
        assert!(!verify(&path).expect("verify").is_sound());
    }
}

#[test]
fn groups_can_be_added_and_clocks_noted() {
    let scratch = Scratch::new("added");
    let path = scratch.file("a.tdms");
    let mut log =
        LogWriter::create(&path, LogOptions::default(), vec![group("Dev1", 1e-3)]).expect("create");
    write(&mut log, 0, 0, 100).expect("write");
    let rms = GroupSpec {
        name: "RMS".to_owned(),
        channels: vec![
            ChannelSpec::new("time", DataType::Timestamp),
            ChannelSpec::new("value", DataType::F64),
            ChannelSpec::new("line0", DataType::Bool),
        ],
        dt: None,
        properties: vec![],
    };
    assert!(matches!(
        log.add_group(group("Dev1", 1.0)),
        Err(LogError::Spec(_))
    ));
    let at = log.add_group(rms).expect("add");
    let time = daqring_log::Timestamp::from_unix_ns(1_000);
    let mut bytes = time.fraction.to_le_bytes().to_vec();
    bytes.extend(time.seconds.to_le_bytes());
    bytes.extend(2.5f64.to_le_bytes());
    bytes.push(1);
    log.write_block(&Block {
        group: at,
        seq: 0,
        first_sample: 0,
        samples: 1,
        lost_before: 0,
        gap: 0,
        host_time_ns: 0,
        crc32c: None,
        data: &bytes,
    })
    .expect("write");
    write(&mut log, 1, 100, 100).expect("write");
    let pair = ClockPair {
        sample: 150,
        monotonic_ns: -3,
        utc_ns: 12,
    };
    log.note_clock(0, pair).expect("note");
    log.finish(vec![]).expect("finish");
    let file = LogFile::open(&path).expect("open");
    let names: Vec<&str> = file
        .groups()
        .iter()
        .map(|group| group.name.as_str())
        .collect();
    assert_eq!(names, ["Dev1", "daqring", "RMS"]);
    assert!(file.groups()[2].channels[0].dt().is_none());
    let mut value = [0.0];
    file.read_scaled(2, 1, 0..1, &mut value).expect("read");
    assert_eq!(value, [2.5]);
    assert_eq!(file.clock_pairs().expect("clock pairs"), [(0, pair)]);
    assert!(verify(&path).expect("verify").complete());
}

#[test]
fn too_many_gaps_go_on_in_another_file() {
    let scratch = Scratch::new("gaps");
    let mut options = LogOptions::default();
    options.max_groups = 5;
    let mut log = LogWriter::create(&scratch.file("g.tdms"), options, vec![group("Dev1", 1e-3)])
        .expect("create");
    let mut first = 0;
    for seq in 0..12 {
        let data = data(first, 10);
        log.write_block(&Block {
            group: 0,
            seq,
            first_sample: first,
            samples: 10,
            lost_before: u64::from(seq > 0) * 3,
            gap: 1,
            host_time_ns: 0,
            crc32c: None,
            data: &data,
        })
        .expect("write");
        first += 13;
    }
    let summary = log.finish(vec![]).expect("finish");
    assert_eq!(summary.files.len(), 3);
    assert_eq!(summary.gaps.len(), 11);
    let mut gaps = 0;
    for path in &summary.files {
        let file = LogFile::open(path).expect("open");
        assert!(file.groups().len() <= 6);
        gaps += file.gaps().len();
        assert!(verify(path).expect("verify").is_sound());
    }
    assert_eq!(gaps, 11);
}

#[test]
fn tables_are_written_in_between_so_memory_stays_bounded() {
    let scratch = Scratch::new("tables");
    let path = scratch.file("t.tdms");
    let mut options = LogOptions::default();
    options.direct_io = DirectIo::Off;
    let mut log = LogWriter::create(&path, options, vec![group("Dev1", 1e-3)]).expect("create");
    for seq in 0..5000 {
        write(&mut log, seq, seq * 10, 10).expect("write");
    }
    drop(log);
    // Not finished: the tables of the first 4096 blocks are there already.
    let file = LogFile::open(&path).expect("open");
    let housekeeping = file.group("daqring").expect("housekeeping");
    assert_eq!(
        housekeeping.channel("block.seq").map(|channel| channel.len),
        Some(4096)
    );
    assert_eq!(file.groups()[0].channels[0].len, 50_000);
    assert!(verify(&path).expect("verify").is_sound());
}

#[test]
fn a_note_does_not_wait_for_the_end_of_the_recording() {
    for gathered in [false, true] {
        let scratch = Scratch::new(&format!("note-{gathered}"));
        let path = scratch.file("n.tdms");
        let mut options = LogOptions::default();
        if gathered {
            options.segments = Segments::Gather {
                bytes: 1 << 20,
                time: None,
            };
            options.flush_every = Some(Duration::ZERO);
        }
        let groups = vec![group("Dev1", 1e-3), group("Dev2", 1e-3)];
        let mut log = LogWriter::create(&path, options, groups).expect("create");
        log.annotate("valve opened", 17).expect("note");
        write(&mut log, 0, 0, 100).expect("write");
        let check = |path: &Path| {
            let file = LogFile::open(path).expect("open");
            assert_eq!(
                file.events().expect("events"),
                [(17, "valve opened".to_owned())]
            );
            let names: Vec<_> = file
                .groups()
                .iter()
                .map(|group| group.name.as_str())
                .collect();
            assert_eq!(names, ["Dev1", "Dev2", "daqring"]);
            assert_eq!(file.groups()[0].channels[1].len, 100);
        };
        check(&path);
        // As the end of the process leaves it.
        drop(log);
        check(&path);
        let copy = scratch.file("copy.tdms");
        let options = RecoverOptions {
            output: Some(copy.clone()),
            ..RecoverOptions::default()
        };
        recover(&path, &options).expect("recover");
        check(&copy);
    }
}
