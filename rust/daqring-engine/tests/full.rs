//! A disk that fills up: what was taken, but was still being gathered, is not said to be stored.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daqring_engine::{LogSink, Recording, RecordingOptions, StreamOptions};
use daqring_log::{
    ChannelSpec, DataType, DirectIo, Disk, GapCause, GroupSpec, LogFile, LogOptions, LogWriter,
    Medium, Segments, Storage, SyncTarget, verify,
};
use daqring_ring::slots::SlotOptions;
use daqring_ring::{BlockMeta, WaitStrategy};

/// A disk on which the log itself has room for so many segments; tails always have.
struct Full(usize);

struct FullFile(Box<dyn Storage>, usize);

impl Medium for Full {
    fn create(&self, path: &Path, over: bool, direct: DirectIo) -> io::Result<Box<dyn Storage>> {
        let file = Disk.create(path, over, direct)?;
        let tail = path.to_string_lossy().contains(".tail-");
        Ok(Box::new(FullFile(
            file,
            if tail { usize::MAX } else { self.0 },
        )))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        Disk.sync_directory(path)
    }

    fn free_space(&self, path: &Path) -> io::Result<Option<u64>> {
        Disk.free_space(path)
    }
}

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
    let group = GroupSpec {
        name: "Dev1".to_owned(),
        channels: vec![ChannelSpec::new("ai0", DataType::I16)],
        dt: Some(1e-3),
        properties: vec![],
    };
    let log = LogWriter::create_on(Arc::new(Full(room)), &path, options, vec![group]).unwrap();
    let (recording, mut producers) = Recording::start(
        RecordingOptions {
            streams: vec![StreamOptions {
                name: "Dev1".to_owned(),
                slots: SlotOptions {
                    wait: WaitStrategy::Park,
                    ..SlotOptions::new(4096, 4)
                },
                stages: vec![],
                recorded: true,
            }],
            workers: 1,
            wait: WaitStrategy::Park,
            feed: Vec::new(),
            on_thread: None,
        },
        Box::new(LogSink::new(log).unwrap()),
    )
    .unwrap();
    let mut next = 0;
    for seq in 0..10_000 {
        let Ok(slot) = producers[0].reserve_until(Instant::now() + Duration::from_secs(60)) else {
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
    drop(producers);
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
