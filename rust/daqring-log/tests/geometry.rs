//! Any geometry comes back: channels, types, block sizes, gaps, gathering, rotation.

mod medium;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daqring_log::{
    Block, ChannelSpec, DataType, GroupSpec, LogFile, LogOptions, LogWriter, Rotation, Segments,
    verify_source,
};
use medium::SimMedium;
use proptest::collection::vec;
use proptest::prelude::*;

const TYPES: [DataType; 12] = [
    DataType::I8,
    DataType::I16,
    DataType::I32,
    DataType::I64,
    DataType::U8,
    DataType::U16,
    DataType::U32,
    DataType::U64,
    DataType::F32,
    DataType::F64,
    DataType::Bool,
    DataType::Timestamp,
];

/// Bytes of one value: anything that tells samples and channels apart.
fn value(data_type: DataType, channel: usize, sample: u64) -> Vec<u8> {
    let size = data_type.size().unwrap_or(0);
    let mixed = (sample + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (channel as u64) << 40;
    mixed.to_le_bytes().into_iter().cycle().take(size).collect()
}

fn run_of(data_type: DataType, channel: usize, samples: std::ops::Range<u64>) -> Vec<u8> {
    samples
        .flat_map(|sample| value(data_type, channel, sample))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_geometry_comes_back(
        types in vec(0..TYPES.len(), 1..9),
        blocks in vec((1u64..700, prop_oneof![4 => Just(0u64), 1 => 1u64..50]), 1..25),
        gather in prop_oneof![Just(None), (1usize..20_000).prop_map(Some)],
        flush_ms in prop_oneof![Just(None), (1u64..500).prop_map(Some)],
        rotate_samples in prop_oneof![2 => Just(None), 1 => (1u64..3000).prop_map(Some)],
        rotate_bytes in prop_oneof![3 => Just(None), 1 => (5000u64..100_000).prop_map(Some)],
        name in "\\PC{1,12}",
    ) {
        prop_assume!(name != "daqring");
        let types: Vec<DataType> = types.into_iter().map(|at| TYPES[at]).collect();
        let medium = SimMedium::default();
        let mut options = LogOptions::default();
        options.segments = gather.map_or(Segments::EachBlock, |bytes| Segments::Gather { bytes, time: None });
        options.flush_every = flush_ms.map(Duration::from_millis);
        options.rotation = Rotation { samples: rotate_samples, bytes: rotate_bytes, ..Rotation::default() };
        let channels = types.iter().enumerate().map(|(c, t)| ChannelSpec::new(format!("{name}{c}"), *t)).collect();
        let group = GroupSpec { name: name.clone(), channels, dt: Some(0.25), properties: vec![] };
        let mut log = LogWriter::create_on(Arc::new(medium.clone()), Path::new("g.tdms"), options, vec![group])
            .expect("create");
        log.set_start_time(0, 0);
        let mut next = 0;
        let mut kept: Vec<u64> = Vec::new();
        for (seq, (count, lost)) in blocks.iter().enumerate() {
            next += lost;
            let data: Vec<u8> =
                types.iter().enumerate().flat_map(|(c, t)| run_of(*t, c, next..next + count)).collect();
            log.write_block(&Block {
                group: 0,
                seq: seq as u64,
                first_sample: next,
                samples: *count,
                lost_before: *lost,
                gap: u32::from(*lost > 0),
                host_time_ns: seq as i64 * 100_000_000,
                crc32c: None,
                data: &data,
            })
            .expect("write");
            kept.extend(next..next + count);
            next += count;
        }
        let summary = log.finish(vec![]).expect("finish");
        prop_assert_eq!(summary.streams[0].samples, kept.len() as u64);
        prop_assert_eq!(summary.blocks, blocks.len() as u64);

        let world = medium.0.lock().expect("no panic under the lock");
        prop_assert_eq!(world.files.len(), summary.files.len());
        let mut at = 0;
        let mut gaps = 0;
        for path in &summary.files {
            let bytes = world.files[path].clone();
            let report = verify_source(Arc::new(bytes.clone())).expect("verify");
            prop_assert!(report.is_sound() && report.finished, "{}", report);
            let file = LogFile::from_source(Arc::new(bytes)).expect("open");
            gaps += file.gaps().len();
            for (g, group) in file.groups().iter().enumerate().filter(|(_, group)| !group.is_housekeeping()) {
                let length = group.channels[0].len;
                if length == 0 {
                    continue;
                }
                let first = kept[at];
                if let Some(limit) = rotate_samples {
                    prop_assert!(length <= limit);
                }
                prop_assert_eq!(group.channels[0].start_time_ns(), Some(first as i64 * 250_000_000));
                for (c, channel) in group.channels.iter().enumerate() {
                    prop_assert_eq!(channel.len, length);
                    let size = types[c].size().expect("sized");
                    let mut raw = vec![0; length as usize * size];
                    file.read_raw(g, c, 0..length, &mut raw).expect("read");
                    prop_assert_eq!(&raw, &run_of(types[c], c, first..first + length));
                    let part = length / 3..length / 3 + (length / 2).min(length - length / 3);
                    let mut raw = vec![0; (part.end - part.start) as usize * size];
                    file.read_raw(g, c, part.clone(), &mut raw).expect("read");
                    prop_assert_eq!(&raw, &run_of(types[c], c, first + part.start..first + part.end));
                }
                at += length as usize;
            }
        }
        prop_assert_eq!(at, kept.len());
        prop_assert_eq!(gaps, blocks.iter().filter(|(_, lost)| *lost > 0).count());
    }
}
