//! Damage of every kind to a finished log: verification finds it, recovery brings back what is whole.

mod medium;

use std::path::Path;
use std::sync::Arc;

use daqring_log::{
    Block, ChannelSpec, DataType, GroupSpec, LogFile, LogOptions, LogWriter, ProblemKind,
    PropertyValue, Scale, Source, recover_sources, verify_source,
};
use medium::SimMedium;

const BLOCKS: u64 = 6;
const SAMPLES: u64 = 300;

/// A small log whose segments have one page of header and data.
fn log() -> Vec<u8> {
    let medium = SimMedium::default();
    let mut channel = ChannelSpec::new("ai0", DataType::I16);
    channel.scale = Scale::Linear {
        slope: 0.5,
        intercept: 1.0,
    };
    let group = GroupSpec {
        name: "Dev1".to_owned(),
        channels: vec![channel, ChannelSpec::new("ai1", DataType::I16)],
        dt: Some(0.001),
        properties: vec![("user".to_owned(), PropertyValue::I32(7))],
    };
    let mut log = LogWriter::create_on(
        Arc::new(medium.clone()),
        Path::new("a.tdms"),
        LogOptions::default(),
        vec![group],
    )
    .expect("create");
    log.set_start_time(0, 1_000_000_000);
    for seq in 0..BLOCKS {
        let first = seq * SAMPLES;
        let data: Vec<u8> = (0..2)
            .flat_map(|c| {
                (first..first + SAMPLES).flat_map(move |i| (i as i16 + c * 10_000).to_le_bytes())
            })
            .collect();
        log.write_block(&Block {
            group: 0,
            seq,
            first_sample: first,
            samples: SAMPLES,
            lost_before: 0,
            gap: 0,
            host_time_ns: 0,
            crc32c: None,
            data: &data,
        })
        .expect("write");
    }
    log.annotate("ended", 5).expect("annotate");
    log.finish(vec![]).expect("finish");
    let world = medium.0.lock().expect("no panic under the lock");
    world.files[Path::new("a.tdms")].clone()
}

fn segments(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut list = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let next = u64::from_le_bytes(bytes[at + 12..at + 20].try_into().expect("8 bytes"));
        list.push(at..at + 28 + next as usize);
        at += 28 + next as usize;
    }
    list
}

/// Recovers and gives the samples of the first channel in all groups, in order.
fn recovered(bytes: Vec<u8>, context: &str) -> Option<Vec<i16>> {
    let medium = SimMedium::default();
    let source: Arc<dyn Source> = Arc::new(bytes);
    let out = Path::new("out.tdms");
    recover_sources(source, vec![], Arc::new(medium.clone()), out, false).ok()?;
    let bytes = medium.0.lock().expect("no panic under the lock").files[out].clone();
    let report = verify_source(Arc::new(bytes.clone())).expect("verify");
    assert!(report.is_sound(), "{context}: {report}");
    let file = LogFile::from_source(Arc::new(bytes)).expect("open");
    let mut values = Vec::new();
    for (at, group) in file
        .groups()
        .iter()
        .enumerate()
        .filter(|(_, group)| !group.is_housekeeping())
    {
        let length = group.channels[0].len;
        let mut raw = vec![0; length as usize * 2];
        file.read_raw(at, 0, 0..length, &mut raw).expect("read");
        let first = values.len();
        values.extend(
            raw.chunks_exact(2)
                .map(|value| i16::from_le_bytes([value[0], value[1]])),
        );
        // The time axis is right behind a hole, too, and the scale is there whatever was damaged.
        if values.len() > first {
            let start = group.channels[0].start_time_ns().expect("start time");
            assert_eq!(
                start,
                1_000_000_000 + i64::from(values[first]) * 1_000_000,
                "{context}"
            );
            let scaling = file.scaling(at, 0).expect("scaling");
            assert_eq!(scaling.kinds().collect::<Vec<_>>(), ["Linear"], "{context}");
        }
    }
    Some(values)
}

#[test]
fn every_flipped_bit_is_found() {
    let good = log();
    assert!(
        verify_source(Arc::new(good.clone()))
            .expect("verify")
            .complete()
    );
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        match verify_source(Arc::new(bad)) {
            Ok(report) => assert!(!report.is_sound(), "byte {at}: {report}"),
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
}

#[test]
fn recovery_loses_the_damaged_segment_and_no_other() {
    let good = log();
    let segments = segments(&good);
    assert_eq!(segments.len() as u64, BLOCKS + 1);
    for (number, segment) in segments.iter().enumerate() {
        for at in [
            0,
            5,
            13,
            21,
            40,
            200,
            segment.len() - 1100,
            segment.len() - 1,
        ] {
            let mut bad = good.clone();
            bad[segment.start + at] ^= 0x40;
            let context = format!("segment {number}, byte {at}");
            let values = recovered(bad, &context).expect("recover");
            let kept = (0..BLOCKS * SAMPLES).filter(|i| i / SAMPLES != number as u64);
            let expected: Vec<i16> = kept.map(|i| i as i16).collect();
            assert_eq!(values, expected, "{context}");
        }
    }
}

#[test]
fn zeroed_pages_are_found_and_cost_only_themselves() {
    let good = log();
    for page in 0..good.len() / 4096 {
        let mut bad = good.clone();
        bad[page * 4096..(page + 1) * 4096].fill(0);
        let report = verify_source(Arc::new(bad.clone())).expect("verify");
        assert!(!report.is_sound(), "page {page}: {report}");
        let context = format!("page {page}");
        let values = recovered(bad, &context).expect("recover");
        assert!(
            values.len() as u64 >= (BLOCKS - 1) * SAMPLES,
            "{context}: {}",
            values.len()
        );
    }
}

#[test]
fn segments_that_vanish_or_change_places_are_found() {
    let good = log();
    let segments = segments(&good);
    let rebuilt = |order: &[usize]| -> Vec<u8> {
        order
            .iter()
            .flat_map(|segment| good[segments[*segment].clone()].to_vec())
            .collect()
    };
    let kinds = |order: &[usize]| -> Vec<ProblemKind> {
        let report = verify_source(Arc::new(rebuilt(order))).expect("verify");
        report.problems.iter().map(|problem| problem.kind).collect()
    };
    assert_eq!(kinds(&[0, 1, 2, 3, 4, 5, 6]), []);
    assert!(kinds(&[0, 1, 3, 4, 5, 6]).contains(&ProblemKind::Missing));
    assert!(kinds(&[0, 2, 1, 3, 4, 5, 6]).contains(&ProblemKind::Sequence));
    assert!(kinds(&[0, 1, 2, 2, 3, 4, 5, 6]).contains(&ProblemKind::Sequence));
    assert!(kinds(&[0, 1, 2, 3, 4, 5, 6, 6]).contains(&ProblemKind::Sequence));
    let unfinished = verify_source(Arc::new(rebuilt(&[0, 1, 2]))).expect("verify");
    assert!(unfinished.is_sound() && !unfinished.finished);
}

#[test]
fn no_truncation_is_called_complete() {
    let good = log();
    for cut in 1..good.len() {
        match verify_source(Arc::new(good[..cut].to_vec())) {
            Ok(report) => assert!(!report.complete(), "cut at {cut}: {report}"),
            Err(_) => assert!(cut < 4096, "cut at {cut}"),
        }
    }
}

#[test]
fn a_recovered_log_says_what_is_missing() {
    let mut bad = log();
    let hit = segments(&bad)[2].clone();
    bad[hit.end - 3] ^= 1;
    let medium = SimMedium::default();
    let out = Path::new("out.tdms");
    let source: Arc<dyn Source> = Arc::new(bad);
    let report =
        recover_sources(source, vec![], Arc::new(medium.clone()), out, false).expect("recover");
    assert!(report.lost() && report.was_finished);
    assert_eq!(report.streams[0].missing, SAMPLES);
    let bytes = medium.0.lock().expect("no panic under the lock").files[out].clone();
    let file = LogFile::from_source(Arc::new(bytes.clone())).expect("open");
    assert_eq!(file.gaps().len(), 1);
    assert_eq!(file.gaps()[0].gap.first_sample, 2 * SAMPLES);
    assert_eq!(file.gaps()[0].gap.count, Some(SAMPLES));
    assert_eq!(file.events().expect("events"), [(5, "ended".to_owned())]);
    let names: Vec<&str> = file
        .groups()
        .iter()
        .map(|group| group.name.as_str())
        .collect();
    assert_eq!(names, ["Dev1", "daqring", "Dev1 #2"]);
    assert_eq!(
        daqring_log::property(&file.groups()[2].properties, "user"),
        Some(&PropertyValue::I32(7))
    );
    let verified = verify_source(Arc::new(bytes)).expect("verify");
    assert!(verified.is_sound() && !verified.complete());
    assert_eq!(verified.lost(), SAMPLES);
}
