//! Bytes that nobody meant well: no panic, no endless loop, no allocation that the file's size does not justify.
//!
//! The mutations are made of a sound log with a gap, text and tables, so that they get far into the parser. The fuzz
//! targets in `rust/fuzz` do the same for longer and with coverage.

mod medium;

use std::path::Path;
use std::sync::Arc;

use daqring_log::{
    Block, ChannelSpec, DataType, GroupSpec, LogFile, LogOptions, LogWriter, Scale, Source, crc32c,
    recover_sources, verify_source,
};
use medium::{Random, SimMedium};
use proptest::prelude::*;

fn seed() -> Vec<u8> {
    let medium = SimMedium::default();
    let mut channel = ChannelSpec::new("ai0", DataType::I16);
    channel.scale = Scale::Polynomial(vec![1.0, 2.0]);
    let group = GroupSpec {
        name: "Dev1".to_owned(),
        channels: vec![channel, ChannelSpec::new("t", DataType::Timestamp)],
        dt: Some(0.001),
        properties: vec![],
    };
    let mut log = LogWriter::create_on(
        Arc::new(medium.clone()),
        Path::new("a.tdms"),
        LogOptions::default(),
        vec![group],
    )
    .expect("create");
    log.annotate("begun", 5).expect("annotate");
    for seq in 0..3u64 {
        log.write_block(&Block {
            group: 0,
            seq,
            first_sample: seq * 12,
            samples: 10,
            lost_before: u64::from(seq > 0) * 2,
            gap: 1,
            host_time_ns: 0,
            crc32c: None,
            data: &[7; 180],
        })
        .expect("write");
    }
    log.finish(vec![]).expect("finish");
    let world = medium.0.lock().expect("no panic under the lock");
    world.files[Path::new("a.tdms")].clone()
}

/// Makes the checksums of a mutated log right again, so that the mutation is believed.
fn restamp(bytes: &mut [u8]) {
    let find = |header: &[u8], name: &str| {
        let at = header
            .windows(name.len())
            .position(|window| window == name.as_bytes())?;
        let value = at + name.len() + 4;
        (value + 4 <= header.len()).then_some(value)
    };
    for begin in (0..bytes.len().saturating_sub(28)).step_by(4096) {
        let word = |at: usize| -> usize {
            let bytes: [u8; 8] = bytes[begin + at..begin + at + 8]
                .try_into()
                .expect("8 bytes");
            usize::try_from(u64::from_le_bytes(bytes)).unwrap_or(usize::MAX)
        };
        let (next, raw) = (word(12), word(20));
        let body = bytes.len() - begin - 28;
        if &bytes[begin..begin + 4] != b"TDSm" || raw > body {
            continue;
        }
        let data_end = begin + 28 + next.clamp(raw, body);
        let data_crc = crc32c(&bytes[begin + 28 + raw..data_end]);
        let header = &mut bytes[begin..begin + 28 + raw];
        if let Some(at) = find(header, "daqring.crc32c") {
            header[at..at + 4].copy_from_slice(&data_crc.to_le_bytes());
        }
        if let Some(at) = find(header, "daqring.header_crc32c") {
            header[at..at + 4].fill(0);
            let crc = crc32c(header);
            header[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        }
    }
}

/// Does everything that can be done with a file somebody has sent.
fn read_everything(bytes: Vec<u8>) {
    let source: Arc<dyn Source> = Arc::new(bytes);
    let length = source.length().expect("in memory");
    if let Ok(file) = LogFile::from_sources(Arc::clone(&source), vec![Arc::clone(&source)]) {
        for (g, group) in file.groups().iter().enumerate() {
            for (c, channel) in group.channels.iter().enumerate() {
                let end = channel.len.min(100);
                // Twice the file, since it is its own tail here.
                assert!(channel.len <= 2 * length);
                match channel.data_type.size() {
                    Some(size) => {
                        let _ = file.read_raw(g, c, 0..end, &mut vec![0; end as usize * size]);
                        let last = channel.len - end..channel.len;
                        let _ = file.read_raw(g, c, last, &mut vec![0; end as usize * size]);
                        let _ = file.read_scaled(g, c, 0..end, &mut vec![0.0; end as usize]);
                    }
                    None => drop(file.read_text(g, c, 0..end)),
                }
            }
        }
        let _ = (file.events(), file.records(), file.clock_pairs());
    }
    let _ = verify_source(Arc::clone(&source)).map(|report| report.to_string());
    let medium = Arc::new(SimMedium::default());
    let tails = vec![Arc::clone(&source)];
    let _ = recover_sources(source, tails, medium, Path::new("out.tdms"), false);
}

#[test]
fn mutated_logs() {
    let good = seed();
    let mut random = Random(0xD1B5_4A32_D192_ED03);
    let interesting = [
        0u32,
        1,
        20,
        28,
        0x7F,
        0xFF,
        0x1269,
        0x7FFF_FFFF,
        0xFFFF_FFFF,
        0x8000_0000,
    ];
    for _ in 0..6_000 {
        let mut bad = good.clone();
        for _ in 0..1 + random.below(4) {
            // Headers are where it gets interesting: the first KB of each segment.
            let segment = random.below(bad.len() as u64 / 4096) * 4096;
            let at = ((segment + random.below(1200)) as usize).min(bad.len() - 8);
            match random.below(5) {
                0 => bad[at] ^= 1 << random.below(8),
                1 => {
                    let value = interesting[random.below(interesting.len() as u64) as usize];
                    bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
                }
                2 => bad[at..at + 8].fill(0xFF),
                3 => {
                    let from = random.below(bad.len() as u64 - 64) as usize;
                    let part = bad[from..from + 64].to_vec();
                    let at = at.min(bad.len() - 64);
                    bad[at..at + 64].copy_from_slice(&part);
                }
                _ => bad.truncate(at.max(16)),
            }
            if bad.len() < 8192 {
                break;
            }
        }
        read_everything(bad.clone());
        restamp(&mut bad);
        read_everything(bad);
    }
}

#[test]
fn a_restamped_log_is_sound() {
    let mut log = seed();
    let before = log.clone();
    restamp(&mut log);
    assert!(log == before, "the checksums were right");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_metadata(
        mask in any::<u8>(),
        next in prop_oneof![any::<u64>(), 0u64..400],
        raw in prop_oneof![any::<u64>(), 0u64..400],
        body in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>(), 1 => Just(0xFFu8)], 0..400),
    ) {
        let mut bytes = b"TDSm".to_vec();
        bytes.extend([mask, 0, 0, 0]);
        bytes.extend(4713u32.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        bytes.extend(raw.to_le_bytes());
        bytes.extend(body);
        read_everything(bytes);
    }
}
