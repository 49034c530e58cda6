//! The writer beside a plain direct-I/O loop, in interleaved pairs on the same disk.
//!
//! `throughput [--dir DIR] [--mib 512] [--pairs 11] [--json]`: prints the median ratio and its spread for 4 MiB
//! segments without and with the checksum computed by the writer, and for 64 KiB blocks gathered into segments.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Instant;

use daqring_log::{
    Block, ChannelSpec, DataType, GroupSpec, LogOptions, LogWriter, Segments, SyncPolicy, crc32c,
};

const BLOCK: usize = 4 << 20;
const CHANNELS: usize = 8;

struct Aligned(Vec<u8>, usize);

impl Aligned {
    fn new() -> Aligned {
        let mut memory = vec![0u8; BLOCK + 4096];
        let start = memory.as_ptr().align_offset(4096);
        for (i, byte) in memory.iter_mut().enumerate() {
            *byte = (i as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3];
        }
        Aligned(memory, start)
    }

    fn bytes(&self) -> &[u8] {
        &self.0[self.1..self.1 + BLOCK]
    }
}

/// Seconds for `blocks` aligned writes of 4 MiB past the page cache, and the sync.
#[cfg(target_os = "linux")]
fn plain(path: &Path, data: &[u8], blocks: usize) -> Result<f64, Box<dyn Error>> {
    use std::os::unix::fs::{FileExt, OpenOptionsExt};
    let direct = rustix::fs::OFlags::DIRECT.bits() as i32;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .custom_flags(direct)
        .open(path)?;
    let begin = Instant::now();
    for block in 0..blocks {
        file.write_all_at(data, (block * BLOCK) as u64)?;
    }
    file.sync_data()?;
    Ok(begin.elapsed().as_secs_f64())
}

#[cfg(not(target_os = "linux"))]
fn plain(path: &Path, data: &[u8], blocks: usize) -> Result<f64, Box<dyn Error>> {
    use std::io::Write;
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let begin = Instant::now();
    for _ in 0..blocks {
        file.write_all(data)?;
    }
    file.sync_data()?;
    Ok(begin.elapsed().as_secs_f64())
}

#[derive(Clone, Copy)]
enum Way {
    GivenCrc,
    OwnCrc,
    Gathered,
}

fn log(path: &Path, data: &[u8], blocks: usize, way: Way) -> Result<f64, Box<dyn Error>> {
    let channels = (0..CHANNELS)
        .map(|c| ChannelSpec::new(format!("ai{c}"), DataType::I16))
        .collect();
    let group = GroupSpec {
        name: "Dev1".to_owned(),
        channels,
        dt: Some(1e-6),
        properties: vec![],
    };
    let mut options = LogOptions::default();
    options.sync = SyncPolicy::AtFinish;
    let (size, count) = match way {
        Way::Gathered => {
            options.segments = Segments::Gather {
                bytes: BLOCK,
                time: None,
            };
            (64 << 10, blocks * (BLOCK / (64 << 10)))
        }
        _ => (BLOCK, blocks),
    };
    let samples = (size / 2 / CHANNELS) as u64;
    let crc = match way {
        Way::GivenCrc => Some(crc32c(data)),
        _ => None,
    };
    let mut log = LogWriter::create(path, options, vec![group])?;
    let begin = Instant::now();
    for seq in 0..count as u64 {
        log.write_block(&Block {
            group: 0,
            seq,
            first_sample: seq * samples,
            samples,
            lost_before: 0,
            gap: 0,
            host_time_ns: 0,
            crc32c: crc,
            data: &data[..size],
        })?;
    }
    log.finish(vec![])?;
    Ok(begin.elapsed().as_secs_f64())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut directory, mut mib, mut pairs, mut json) =
        (std::env::temp_dir(), 512usize, 11usize, false);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or("a value is missing");
        match argument.as_str() {
            "--dir" => directory = PathBuf::from(value()?),
            "--mib" => mib = value()?.parse()?,
            "--pairs" => pairs = value()?.parse()?,
            "--json" => json = true,
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let path = directory.join(format!("daqring-throughput-{}.tdms", std::process::id()));
    let data = Aligned::new();
    let blocks = mib * (1 << 20) / BLOCK;
    let ways = [
        ("4 MiB segments, checksum given", Way::GivenCrc),
        (
            "4 MiB segments, checksum computed by the writer",
            Way::OwnCrc,
        ),
        ("64 KiB blocks gathered into 4 MiB segments", Way::Gathered),
    ];
    let mut lines = Vec::new();
    for (name, way) in ways {
        let mut ratios = Vec::new();
        let mut rates = Vec::new();
        for pair in 0..pairs {
            let run = |ours: bool| -> Result<f64, Box<dyn Error>> {
                let seconds = match ours {
                    true => log(&path, data.bytes(), blocks, way),
                    false => plain(&path, data.bytes(), blocks),
                };
                fs::remove_file(&path)?;
                seconds
            };
            // Each goes first in half of the pairs.
            let (ours, theirs) = if pair % 2 == 0 {
                let ours = run(true)?;
                (ours, run(false)?)
            } else {
                let theirs = run(false)?;
                (run(true)?, theirs)
            };
            ratios.push(theirs / ours);
            rates.push(mib as f64 * 1.048_576 / ours);
        }
        ratios.sort_by(f64::total_cmp);
        rates.sort_by(f64::total_cmp);
        let (low, middle, high) = (ratios[0], ratios[pairs / 2], ratios[pairs - 1]);
        let rate = rates[pairs / 2];
        lines.push(match json {
            true => format!(
                "{{\"name\": \"{name}\", \"ratio\": {middle:.4}, \"low\": {low:.4}, \"high\": {high:.4}, \"mb_per_s\": \
                 {rate:.0}}}"
            ),
            false => format!("{name}: {middle:.3} of the plain loop ({low:.3} to {high:.3}), {rate:.0} MB/s"),
        });
    }
    match json {
        true => println!("[{}]", lines.join(", ")),
        false => println!("{}", lines.join("\n")),
    }
    Ok(())
}
