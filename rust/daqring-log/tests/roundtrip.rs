//! What is written comes back, through the reader and past verification.

use std::path::PathBuf;

use daqring_log::{
    Block, ChannelSpec, DataType, Gap, GapCause, GroupSpec, LOST_UNKNOWN, LogError, LogFile,
    LogOptions, LogWriter, PropertyValue, Scale, Tail, verify,
};

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("daqring-{}-{name}.tdms", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn group(name: &str, channels: usize) -> GroupSpec {
    GroupSpec {
        name: name.to_owned(),
        channels: (0..channels)
            .map(|c| ChannelSpec::new(format!("ai{c}"), DataType::I16))
            .collect(),
        dt: Some(1e-3),
        properties: vec![],
    }
}

fn samples(channels: usize, first: u64, count: u64) -> Vec<u8> {
    (0..channels as u64)
        .flat_map(|c| {
            (first..first + count).flat_map(move |i| ((i + c * 1000) as i16).to_le_bytes())
        })
        .collect()
}

fn block(group: usize, seq: u64, first_sample: u64, samples: u64, data: &[u8]) -> Block<'_> {
    Block {
        group,
        seq,
        first_sample,
        samples,
        lost_before: 0,
        gap: 0,
        host_time_ns: 1_700_000_000_000_000_000,
        crc32c: None,
        data,
    }
}

#[test]
fn blocks_come_back_as_they_went() {
    let scratch = Scratch::new("plain");
    let mut log = LogWriter::create(&scratch.0, LogOptions::default(), vec![group("Dev1", 3)])
        .expect("create");
    log.set_start_time(0, 1_700_000_000_000_000_001);
    let mut first = 0;
    for (seq, count) in [1u64, 100, 4096, 12345].into_iter().enumerate() {
        let data = samples(3, first, count);
        log.write_block(&block(0, seq as u64, first, count, &data))
            .expect("write");
        first += count;
    }
    let summary = log.finish(vec![]).expect("finish");
    assert_eq!(summary.streams[0].samples, first);
    assert_eq!(
        summary.bytes,
        std::fs::metadata(&scratch.0).expect("file").len()
    );
    assert_eq!(summary.bytes % 4096, 0);

    let file = LogFile::open(&scratch.0).expect("open");
    assert!(file.is_complete());
    let names: Vec<&str> = file
        .groups()
        .iter()
        .map(|group| group.name.as_str())
        .collect();
    assert_eq!(names, ["Dev1", "daqring"]);
    for c in 0..3 {
        let channel = &file.groups()[0].channels[c];
        assert_eq!((channel.len, channel.data_type), (first, DataType::I16));
        assert_eq!(channel.start_time_ns(), Some(1_700_000_000_000_000_001));
        assert_eq!(
            channel.property("wf_samples"),
            Some(&PropertyValue::I32(first as i32))
        );
        for range in [0..first, 0..1, 90..5000, first - 1..first, 7..7] {
            let mut raw = vec![0; (range.end - range.start) as usize * 2];
            file.read_raw(0, c, range.clone(), &mut raw).expect("read");
            let expected: Vec<u8> = range
                .flat_map(|i| ((i + c as u64 * 1000) as i16).to_le_bytes())
                .collect();
            assert_eq!(raw, expected);
        }
        assert!(matches!(
            file.read_raw(0, c, 0..first + 1, &mut vec![0; (first as usize + 1) * 2]),
            Err(LogError::Range(_))
        ));
    }
    let report = verify(&scratch.0).expect("verify");
    assert!(report.complete(), "{report}");
    assert_eq!(report.streams[0].samples, first);
}

#[test]
fn a_gap_begins_a_group_with_its_own_start_time() {
    let scratch = Scratch::new("gap");
    let mut log = LogWriter::create(
        &scratch.0,
        LogOptions::default(),
        vec![group("Dev1", 2), group("Dev2", 1)],
    )
    .expect("create");
    let t0 = 1_700_000_000_000_000_000;
    log.set_start_time(0, t0);
    log.write_block(&block(0, 0, 0, 50, &samples(2, 0, 50)))
        .expect("write");
    log.write_block(&block(1, 0, 0, 10, &samples(1, 0, 10)))
        .expect("write");
    let data = samples(2, 80, 50);
    let mut after = block(0, 1, 80, 50, &data);
    after.lost_before = 30;
    after.gap = GapCause::Overwrite as u32;
    log.write_block(&after).expect("write");
    let data = samples(2, 130, 5);
    let mut unknown = block(0, 2, 130, 5, &data);
    unknown.lost_before = LOST_UNKNOWN;
    unknown.gap = GapCause::DeviceOverflow as u32;
    unknown.host_time_ns = t0 + 9_000_000_000;
    log.write_block(&unknown).expect("write");
    let at_end = Gap {
        first_sample: 135,
        count: Some(7),
        cause: GapCause::Unplug,
        host_time_ns: 3,
    };
    log.note_gap(0, at_end).expect("note");
    log.annotate("valve opened", 42).expect("annotate");
    let summary = log
        .finish(vec![("note".to_owned(), "x".into())])
        .expect("finish");
    assert_eq!(summary.streams[0].lost, 37);
    assert!(summary.streams[0].lost_unknown);
    assert_eq!(summary.streams[0].groups, 3);

    let file = LogFile::open(&scratch.0).expect("open");
    let names: Vec<&str> = file
        .groups()
        .iter()
        .map(|group| group.name.as_str())
        .collect();
    assert_eq!(names, ["Dev1", "Dev2", "daqring", "Dev1 #2", "Dev1 #3"]);
    assert_eq!(
        file.group("Dev1 #2").map(|group| group.stream()),
        Some("Dev1")
    );
    let start = |name: &str| {
        file.group(name)
            .and_then(|group| group.channels[0].start_time_ns())
    };
    assert_eq!(start("Dev1"), Some(t0));
    assert_eq!(start("Dev1 #2"), Some(t0 + 80_000_000));
    assert_eq!(start("Dev1 #3"), Some(t0 + 9_000_000_000 - 5_000_000));
    let counts: Vec<Option<u64>> = file.gaps().iter().map(|gap| gap.gap.count).collect();
    assert_eq!(counts, [Some(30), None, Some(7)]);
    assert_eq!(file.gaps(), summary.gaps);
    assert_eq!(
        file.events().expect("events"),
        [(42, "valve opened".to_owned())]
    );

    let report = verify(&scratch.0).expect("verify");
    assert!(report.is_sound() && !report.complete(), "{report}");
    assert_eq!((report.lost(), report.gaps.len()), (37, 3));
}

#[test]
fn scaled_values_follow_the_scale() {
    let scratch = Scratch::new("scaled");
    let mut spec = group("g", 3);
    spec.channels[1].scale = Scale::Linear {
        slope: 0.1,
        intercept: 7.0,
    };
    spec.channels[2].scale = Scale::Polynomial(vec![0.1, 0.2, 0.3, 0.4]);
    let mut log = LogWriter::create(&scratch.0, LogOptions::default(), vec![spec]).expect("create");
    log.write_block(&block(0, 0, 0, 1000, &samples(3, 0, 1000)))
        .expect("write");
    log.finish(vec![]).expect("finish");
    let file = LogFile::open(&scratch.0).expect("open");
    let mut out = vec![0.0; 1000];
    file.read_scaled(0, 1, 0..1000, &mut out).expect("read");
    assert!((0..1000).all(|i| out[i] == (i + 1000) as f64 * 0.1 + 7.0));
    file.read_scaled(0, 2, 0..1000, &mut out).expect("read");
    assert!((0..1000).all(|i| {
        let x = (i + 2000) as f64;
        out[i] == 0.1 + (0.2 + (0.3 + 0.4 * x) * x) * x
    }));
}

#[test]
fn refusals_leave_nothing_behind_and_write_nothing() {
    let scratch = Scratch::new("refused");
    let twice = vec![group("a", 1), group("a", 1)];
    assert!(matches!(
        LogWriter::create(&scratch.0, LogOptions::default(), twice),
        Err(LogError::Spec(_))
    ));
    assert!(!scratch.0.exists());

    let mut log =
        LogWriter::create(&scratch.0, LogOptions::default(), vec![group("a", 1)]).expect("create");
    assert!(matches!(
        LogWriter::create(&scratch.0, LogOptions::default(), vec![group("a", 1)]),
        Err(LogError::Exists(_))
    ));
    let mut overwrite = LogOptions::default();
    overwrite.overwrite = true;
    assert!(matches!(
        LogWriter::create(&scratch.0, overwrite, vec![group("a", 1)]),
        Err(LogError::Locked(_))
    ));
    let data = samples(1, 0, 10);
    log.write_block(&block(0, 5, 0, 10, &data)).expect("write");
    for wrong in [
        block(1, 6, 10, 10, &data),
        block(0, 6, 10, 9, &data),
        block(0, 6, 10, 0, &[]),
        block(0, 5, 10, 10, &data),
        block(0, 6, 11, 10, &data),
    ] {
        assert!(
            matches!(log.write_block(&wrong), Err(LogError::Block(_))),
            "{wrong:?}"
        );
    }
    log.write_block(&block(0, 6, 10, 10, &data))
        .expect("the writer goes on");
    log.finish(vec![]).expect("finish");
    assert!(matches!(log.finish(vec![]), Err(LogError::Finished)));
    assert!(verify(&scratch.0).expect("verify").complete());
}

#[test]
fn a_log_without_blocks_is_a_log() {
    let scratch = Scratch::new("empty");
    let mut log =
        LogWriter::create(&scratch.0, LogOptions::default(), vec![group("a", 2)]).expect("create");
    log.finish(vec![]).expect("finish");
    let file = LogFile::open(&scratch.0).expect("open");
    assert_eq!(file.groups()[0].channels.len(), 2);
    assert!(
        file.groups()[0]
            .channels
            .iter()
            .all(|channel| channel.is_empty())
    );
    assert!(verify(&scratch.0).expect("verify").complete());
}

#[test]
fn a_file_being_recorded_can_be_read() {
    let scratch = Scratch::new("live");
    let mut log =
        LogWriter::create(&scratch.0, LogOptions::default(), vec![group("a", 1)]).expect("create");
    for seq in 0..5u64 {
        log.write_block(&block(0, seq, seq * 100, 100, &samples(1, seq * 100, 100)))
            .expect("write");
        let file = LogFile::open(&scratch.0).expect("open");
        assert_eq!(file.groups()[0].channels[0].len, (seq + 1) * 100);
        assert_eq!(file.tail(), &Tail::Whole);
        assert!(!file.is_complete());
        let report = verify(&scratch.0).expect("verify");
        assert!(report.is_sound() && !report.complete(), "{report}");
    }
}
