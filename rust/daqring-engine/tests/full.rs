//! A disk that fills up: what was taken, but was still being gathered, is not said to be stored.

mod disk;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daqring_engine::LogSink;
use daqring_log::{
    GapCause, LogFile, LogOptions, LogWriter, Segments, Storage, SyncTarget, verify,
};
use daqring_ring::BlockMeta;
use disk::{WithFiles, group, start};

/// A file that has room for so many writes.
struct FullFile(Box<dyn Storage>, usize);

impl Storage for FullFile {
    fn write(&mut self, offset: u64, header: &[u8], data: &[u8]) -> io::Result<()> {
        self.1 = self.1.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        self.0.write(offset, header, data)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }

    fn sync_target(&self) -> io::Result<Arc<dyn SyncTarget>> {
        self.0.sync_target()
    }

    fn is_direct(&self) -> bool {
        self.0.is_direct()
    }
}

const SAMPLES: u64 = 500;
const LOST: u64 = 70;

/// Commits blocks of 500 samples until the recording has failed, with a hole in front of block `hole`.
fn record(name: &str, room: usize, behind: bool, flushed: bool, hole: u64) {
    let path = std::env::temp_dir().join(format!("daqring-{name}-{}.tdms", std::process::id()));
    let mut options = LogOptions::default();
    options.overwrite = true;
    options.segments = Segments::Gather {
        bytes: 8192,
        time: None,
    };
    options.behind_from = if behind { 1 } else { usize::MAX };
    options.flush_every = flushed.then_some(Duration::from_micros(1));
    // Of the log itself; tails always have room.
    let full = WithFiles(move |path: &Path, file| -> Box<dyn Storage> {
        let tail = path.to_string_lossy().contains(".tail-");
        Box::new(FullFile(file, if tail { usize::MAX } else { room }))
    });
    let log = LogWriter::create_on(Arc::new(full), &path, options, vec![group()]).unwrap();
    let (recording, mut producer) = start(LogSink::new(log).unwrap(), 4);
    let mut next = 0;
    for seq in 0..10_000 {
        let Ok(slot) = producer.reserve_until(Instant::now() + Duration::from_secs(60)) else {
            break;
        };
        let lost_before = if seq == hole { LOST } else { 0 };
        next += lost_before;
        slot.commit(BlockMeta {
            bytes: 2 * SAMPLES as usize,
            first_sample: next,
            samples: SAMPLES,
            lost_before,
            gap: if lost_before == 0 {
                0
            } else {
                GapCause::Overwrite as u32
            },
            host_time_ns: seq as i64 * 1_000_000,
            ..BlockMeta::default()
        });
        next += SAMPLES;
    }
    drop(producer);
    let (summary, error) = recording.finish(&[], |_| Vec::new());
    let error = error.unwrap().to_string();
    assert!(error.contains("full"), "{error}");
    let stats = &summary.stats.streams[0];
    let context = format!("{name} {room} {behind} {flushed} {hole}: {stats:?}");
    assert!(stats.law_holds(), "{context}");

    let stored = match LogFile::open(&path) {
        Ok(file) => {
            let groups = file.groups().iter();
            let lengths = groups.filter_map(|group| group.channels.first());
            lengths.map(|channel| channel.len).sum()
        }
        // Not one segment had room.
        Err(_) => 0,
    };
    assert_eq!(stats.written_samples, stored, "{context}");
    assert_eq!(stats.written_bytes, 2 * stored, "{context}");
    let log = summary.sink.log.expect("a failed log tells of itself, too");
    assert_eq!(log.files, std::slice::from_ref(&path), "{context}");
    let length = std::fs::metadata(&path).unwrap().len();
    assert_eq!(log.bytes, length, "{context}");
    // What is behind the last stored sample was either not stored, or lost there.
    let told: u64 = summary.gaps[0].iter().filter_map(|gap| gap.count).sum();
    assert_eq!(stats.lost, told, "{context}");
    assert_eq!(stats.end, stored + told, "{context}");
    assert!(
        stats.failed_samples > 0 || stored == next - LOST,
        "{context}"
    );
    if room > 0 {
        assert!(verify(&path).unwrap().is_sound(), "{context}");
        assert!(stored >= SAMPLES, "{context}");
    }
    for tail in [path.clone(), path.with_extension("tdms.tail-0")] {
        let _ = std::fs::remove_file(tail);
    }
}

#[test]
fn only_what_is_in_the_file_is_said_to_be_stored() {
    for room in [0, 1, 3] {
        for behind in [false, true] {
            for flushed in [false, true] {
                for hole in [1, 8, 9, 25, 33, u64::MAX] {
                    record("full", room, behind, flushed, hole);
                }
            }
        }
    }
}
