//! A disk that stalls for seconds costs nothing while the ring holds, and is told afterwards.

mod disk;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use daqring_engine::LogSink;
use daqring_log::{LogFile, LogOptions, LogWriter, Storage, SyncPolicy, SyncTarget, verify};
use daqring_ring::BlockMeta;
use disk::{WithFiles, group, start};

const STALL: Duration = Duration::from_millis(1500);

/// Files of a disk whose write number 3, or whose every sync, takes as long as [`STALL`].
#[derive(Clone)]
struct Stalling {
    writes: Arc<AtomicUsize>,
    in_syncs: bool,
}

struct StallingFile(Box<dyn Storage>, Stalling);

struct StallingSync(Arc<dyn SyncTarget>);

impl Storage for StallingFile {
    fn write(&mut self, offset: u64, header: &[u8], data: &[u8]) -> io::Result<()> {
        if self.1.writes.fetch_add(1, Ordering::Relaxed) == 3 && !self.1.in_syncs {
            std::thread::sleep(STALL);
        }
        self.0.write(offset, header, data)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }

    fn sync_target(&self) -> io::Result<Arc<dyn SyncTarget>> {
        let target = self.0.sync_target()?;
        match self.1.in_syncs {
            true => Ok(Arc::new(StallingSync(target))),
            false => Ok(target),
        }
    }

    fn is_direct(&self) -> bool {
        self.0.is_direct()
    }
}

impl SyncTarget for StallingSync {
    fn sync(&self) -> io::Result<()> {
        std::thread::sleep(STALL);
        self.0.sync()
    }
}

/// Commits `blocks` blocks, all of which the ring can hold; gives the longest wait for a slot and for the sink.
fn record(name: &str, in_syncs: bool, blocks: u64) -> (Duration, Duration) {
    let path = std::env::temp_dir().join(format!("daqring-{name}-{}.tdms", std::process::id()));
    let stalling = Stalling {
        writes: Arc::default(),
        in_syncs,
    };
    let mut options = LogOptions::default();
    options.overwrite = true;
    if in_syncs {
        options.sync = SyncPolicy::EachBlock;
    }
    let log = LogWriter::create_on(
        Arc::new(WithFiles(move |_: &Path, file| -> Box<dyn Storage> {
            Box::new(StallingFile(file, stalling.clone()))
        })),
        &path,
        options,
        vec![group()],
    )
    .unwrap();
    let (recording, mut producer) = start(LogSink::new(log).unwrap(), blocks as usize);
    let mut longest = Duration::ZERO;
    for seq in 0..blocks {
        let begin = Instant::now();
        let mut slot = producer.reserve_until(begin + 20 * STALL).unwrap();
        longest = longest.max(begin.elapsed());
        for (i, place) in slot.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            *place = ((seq * 2048 + i as u64) as i16).to_le_bytes();
        }
        slot.commit(BlockMeta {
            bytes: 4096,
            first_sample: seq * 2048,
            samples: 2048,
            ..BlockMeta::default()
        });
    }
    drop(producer);
    let (summary, error) = recording.finish(&[], |_| Vec::new());
    assert!(error.is_none(), "{error:?}");
    let stats = &summary.stats.streams[0];
    assert!(stats.law_holds());
    assert_eq!((stats.written, stats.lost, stats.dropped), (blocks, 0, 0));
    assert!(verify(&path).unwrap().complete());
    let file = LogFile::open(&path).unwrap();
    let mut raw = vec![0; blocks as usize * 4096];
    file.read_raw(0, 0, 0..blocks * 2048, &mut raw).unwrap();
    let whole = raw.as_chunks::<2>().0.iter().enumerate();
    assert!(
        whole
            .into_iter()
            .all(|(i, value)| i16::from_le_bytes(*value) == i as i16)
    );
    std::fs::remove_file(&path).unwrap();
    (
        longest,
        Duration::from_nanos(summary.stats.slowest_write_ns),
    )
}

#[test]
fn a_write_that_stalls_costs_nothing_while_the_ring_holds() {
    let (wait, slowest) = record("stall-write", false, 24);
    // The producer found a slot each time, and the report tells of the stall.
    assert!(wait < STALL / 2, "{wait:?}");
    assert!(slowest >= STALL, "{slowest:?}");
}

#[test]
fn syncs_that_stall_do_not_hold_up_the_writer() {
    let (wait, slowest) = record("stall-sync", true, 24);
    assert!(wait < STALL / 2, "{wait:?}");
    assert!(slowest < STALL, "{slowest:?}");
}
