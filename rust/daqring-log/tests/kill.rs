//! `kill -9` of a real recording at random moments: what it had said was written is there.
//!
//! The test runs itself again as the recorder, which says on its output how many samples it has handed over.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use daqring_log::{
    Block, ChannelSpec, DataType, GroupSpec, LogFile, LogOptions, LogWriter, RecoverOptions,
    Rotation, Segments, recover, verify,
};

const ROUNDS: u64 = 200;
const PATH: &str = "DAQRING_KILL_TEST_PATH";
const WAY: &str = "DAQRING_KILL_TEST_WAY";

fn value(sample: u64) -> i32 {
    (sample * 5 + 3) as i32
}

/// The recorder; does nothing unless the other test has started it.
#[test]
fn recorder() {
    let (Ok(path), Ok(way)) = (std::env::var(PATH), std::env::var(WAY)) else {
        return;
    };
    let mut options = LogOptions::default();
    match way.as_str() {
        "blocks" => {}
        "gathered" => {
            options.segments = Segments::Gather {
                bytes: 40_000,
                time: None,
            };
            options.flush_every = Some(Duration::from_secs(1));
        }
        _ => {
            options.segments = Segments::Gather {
                bytes: 10_000,
                time: None,
            };
            options.flush_every = Some(Duration::from_secs(1));
            options.rotation = Rotation {
                samples: Some(20_000),
                ..Rotation::default()
            };
        }
    }
    let group = GroupSpec {
        name: "Dev1".to_owned(),
        channels: vec![ChannelSpec::new("ai0", DataType::I32)],
        dt: Some(1e-3),
        properties: vec![],
    };
    let mut log = LogWriter::create(Path::new(&path), options, vec![group]).expect("create");
    let mut out = std::io::stdout().lock();
    for seq in 0.. {
        let count = 100 + seq % 300;
        let first = (0..seq).map(|seq| 100 + seq % 300).sum::<u64>();
        let data: Vec<u8> = (first..first + count)
            .flat_map(|i| value(i).to_le_bytes())
            .collect();
        log.write_block(&Block {
            group: 0,
            seq,
            first_sample: first,
            samples: count,
            lost_before: 0,
            gap: 0,
            host_time_ns: seq as i64 * 400_000_000,
            crc32c: None,
            data: &data,
        })
        .expect("write");
        let written: u64 = (0..log.written().blocks).map(|seq| 100 + seq % 300).sum();
        writeln!(out, "written {written}").expect("the other test reads");
        out.flush().expect("the other test reads");
    }
}

fn samples(path: &Path) -> Vec<i32> {
    let file = LogFile::open(path).expect("open");
    let Some(at) = file.groups().iter().position(|group| group.name == "Dev1") else {
        return Vec::new();
    };
    let length = file.groups()[at].channels[0].len;
    let mut raw = vec![0; length as usize * 4];
    file.read_raw(at, 0, 0..length, &mut raw).expect("read");
    raw.chunks_exact(4)
        .map(|value| i32::from_le_bytes([value[0], value[1], value[2], value[3]]))
        .collect()
}

#[test]
fn a_killed_recording_keeps_what_was_written() {
    let directory = std::env::temp_dir().join(format!("daqring-kill-{}", std::process::id()));
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    for round in 0..ROUNDS {
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir(&directory).expect("scratch directory");
        let way = ["blocks", "gathered", "rotated"][round as usize % 3];
        let mut child = Command::new(std::env::current_exe().expect("own path"))
            .args(["recorder", "--exact", "--nocapture"])
            .env(PATH, directory.join("k.tdms"))
            .env(WAY, way)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("spawn");
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let lines = state % 150;
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut written = 0;
        let mut seen = 0;
        let mut line = String::new();
        while seen <= lines && output.read_line(&mut line).expect("read") > 0 {
            if let Some((_, number)) = line.trim().split_once("written ") {
                written = number.parse().expect("a number");
                seen += 1;
            }
            line.clear();
        }
        child.kill().expect("kill");
        child.wait().expect("wait");

        let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
            .expect("scratch directory")
            .map(|entry| entry.expect("entry").path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "tdms")
            })
            .collect();
        files.sort();
        let context = format!("round {round}, {way}, after {seen} blocks");
        let mut all = Vec::new();
        let mut again = Vec::new();
        for path in &files {
            all.extend(samples(path));
            match recover(path, &RecoverOptions::default()) {
                Ok(report) => {
                    assert!(
                        verify(&report.output).expect("verify").is_sound(),
                        "{context}"
                    );
                    again.extend(samples(&report.output));
                }
                // The next file was made and nothing had been written to it yet.
                Err(error) => assert_eq!(
                    std::fs::metadata(path).expect("file").len(),
                    0,
                    "{context}: {error}"
                ),
            }
        }
        assert!(
            all.len() as u64 >= written,
            "{context}: {} of {written}",
            all.len()
        );
        assert!(
            all.iter().zip(0..).all(|(got, i)| *got == value(i)),
            "{context}"
        );
        assert_eq!(all, again, "{context}");
    }
    let _ = std::fs::remove_dir_all(&directory);
}
