//! Writes a slow recording by a clock of its own: a block each second, flushed each second, a segment each ten minutes.
//!
//! `write_slow OUT SECONDS RATE CHANNELS [PACE_MS]`: value `i` of channel `c` is `i * 3 + c` (i32). With `PACE_MS` it waits
//! that long between blocks and says after each on its output how many samples are written; it never finishes then.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use daqring_log::{Block, ChannelSpec, DataType, GroupSpec, LogOptions, LogWriter, Segments};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, out, seconds, rate, channels, rest @ ..] = arguments.as_slice() else {
        return Err("write_slow OUT SECONDS RATE CHANNELS [PACE_MS]".into());
    };
    let (seconds, rate, channels): (u64, u64, i64) =
        (seconds.parse()?, rate.parse()?, channels.parse()?);
    let pace: Option<u64> = rest.first().map(|text| text.parse()).transpose()?;
    let mut options = LogOptions::default();
    options.segments = Segments::Gather {
        bytes: 4 << 20,
        time: Some(Duration::from_secs(600)),
    };
    options.flush_every = Some(Duration::from_secs(1));
    let group = GroupSpec {
        name: "Slow".to_owned(),
        channels: (0..channels)
            .map(|c| ChannelSpec::new(format!("ai{c}"), DataType::I32))
            .collect(),
        dt: Some(1.0 / rate as f64),
        properties: vec![],
    };
    let mut log = LogWriter::create(Path::new(out), options, vec![group])?;
    log.set_start_time(0, 1_700_000_000_000_000_000);
    for second in 0..seconds {
        let first = second * rate;
        let data: Vec<u8> = (0..channels)
            .flat_map(|c| {
                (first..first + rate).flat_map(move |i| ((i as i64 * 3 + c) as i32).to_le_bytes())
            })
            .collect();
        log.write_block(&Block {
            group: 0,
            seq: second,
            first_sample: first,
            samples: rate,
            lost_before: 0,
            gap: 0,
            host_time_ns: 1_700_000_000_000_000_000 + second as i64 * 1_000_000_000,
            crc32c: None,
            data: &data,
        })?;
        if let Some(pace) = pace {
            println!("{}", log.written().blocks * rate);
            std::io::stdout().flush()?;
            std::thread::sleep(Duration::from_millis(pace));
        }
    }
    let summary = log.finish(vec![])?;
    println!(
        "{} bytes, {} segments, {} of samples",
        summary.bytes, summary.segments, summary.payload
    );
    Ok(())
}
