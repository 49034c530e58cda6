//! Writes a log of a given geometry whose every value follows from its place, for tests with other readers.
//!
//! `write_geometry OUT CHANNELS TYPE SAMPLES_PER_BLOCK BLOCKS [GAP_BEFORE_BLOCK]`: value `i` of channel `c` is
//! `(i * 7 + c * 1000)` in the type's arithmetic.

use std::error::Error;
use std::path::Path;

use daqring_log::{Block, ChannelSpec, DataType, GroupSpec, LogOptions, LogWriter, Scale};

fn value(data_type: DataType, x: i64, out: &mut Vec<u8>) {
    match data_type {
        DataType::Bool => out.push((x & 1) as u8),
        DataType::I8 | DataType::U8 => out.push(x as u8),
        DataType::I16 | DataType::U16 => out.extend_from_slice(&(x as u16).to_le_bytes()),
        DataType::I32 | DataType::U32 => out.extend_from_slice(&(x as u32).to_le_bytes()),
        DataType::F32 => out.extend_from_slice(&(x as f32).to_le_bytes()),
        DataType::F64 => out.extend_from_slice(&(x as f64).to_le_bytes()),
        _ => out.extend_from_slice(&x.to_le_bytes()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, out, channels, data_type, samples, blocks, rest @ ..] = arguments.as_slice() else {
        return Err(
            "write_geometry OUT CHANNELS TYPE SAMPLES_PER_BLOCK BLOCKS [GAP_BEFORE_BLOCK]".into(),
        );
    };
    let (channels, samples, blocks): (i64, u64, u64) =
        (channels.parse()?, samples.parse()?, blocks.parse()?);
    let gap_before: Option<u64> = rest.first().map(|text| text.parse()).transpose()?;
    let data_type = [
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
    ]
    .into_iter()
    .find(|known| known.name() == data_type)
    .ok_or("unknown type")?;
    let specs = (0..channels)
        .map(|c| ChannelSpec {
            name: match c {
                0 => "it's µ/\"0\"".to_owned(),
                c => format!("ai{c}"),
            },
            data_type,
            unit: "V".to_owned(),
            scale: match c % 3 {
                0 => Scale::None,
                1 => Scale::Linear {
                    slope: 0.1,
                    intercept: -3.3,
                },
                _ => Scale::Polynomial(vec![0.123, 1.0 / 3.0, 1e-7, -1e-12]),
            },
            properties: vec![("c".to_owned(), daqring_log::PropertyValue::I64(c))],
        })
        .collect();
    let group = GroupSpec {
        name: "Gruppe 'ü'".to_owned(),
        channels: specs,
        dt: Some(1e-4),
        properties: vec![("user".to_owned(), "me".into())],
    };
    let mut options = LogOptions::default();
    options.root_properties = vec![("title".to_owned(), "geometry".into())];
    options.overwrite = true;
    let mut log = LogWriter::create(Path::new(out), options, vec![group])?;
    log.set_start_time(0, 1_700_000_000_123_456_789);
    log.annotate("begun", 1)?;
    let mut next = 0;
    for seq in 0..blocks {
        let lost = match gap_before {
            Some(block) if block == seq => 5,
            _ => 0,
        };
        next += lost;
        let mut data = Vec::new();
        for c in 0..channels {
            for i in next..next + samples {
                value(data_type, i as i64 * 7 + c * 1000, &mut data);
            }
        }
        log.write_block(&Block {
            group: 0,
            seq,
            first_sample: next,
            samples,
            lost_before: lost,
            gap: u32::from(lost > 0),
            host_time_ns: 0,
            crc32c: None,
            data: &data,
        })?;
        next += samples;
    }
    log.annotate("ended: ü", 2)?;
    let summary = log.finish(vec![(
        "final".to_owned(),
        daqring_log::PropertyValue::F64(1.5),
    )])?;
    println!("{} bytes, {} segments", summary.bytes, summary.segments);
    Ok(())
}
