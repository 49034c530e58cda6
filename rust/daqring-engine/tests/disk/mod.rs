//! A recording into a log on the disk, whose files a test may put something in front of.

#![allow(dead_code)] // each test file uses its own part of it

use std::io;
use std::path::Path;

use daqring_engine::{LogSink, Recording, RecordingOptions, StreamOptions};
use daqring_log::{ChannelSpec, DataType, DirectIo, Disk, GroupSpec, Medium, Storage};
use daqring_ring::WaitStrategy;
use daqring_ring::slots::{SlotOptions, SlotProducer};

/// The disk, each of whose files is handed to the function.
pub struct WithFiles<F>(pub F);

impl<F> Medium for WithFiles<F>
where
    F: Fn(&Path, Box<dyn Storage>) -> Box<dyn Storage> + Send + Sync,
{
    fn create(&self, path: &Path, over: bool, direct: DirectIo) -> io::Result<Box<dyn Storage>> {
        Ok(self.0(path, Disk.create(path, over, direct)?))
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

/// One channel of int16 at 1 kS/s.
pub fn group() -> GroupSpec {
    GroupSpec {
        name: "Dev1".to_owned(),
        channels: vec![ChannelSpec::new("ai0", DataType::I16)],
        dt: Some(1e-3),
        properties: vec![],
    }
}

/// Records blocks of up to 4096 bytes, of which the ring holds `slots`.
pub fn start(sink: LogSink, slots: usize) -> (Recording, SlotProducer) {
    let (recording, mut producers) = Recording::start(
        RecordingOptions {
            streams: vec![StreamOptions {
                name: "Dev1".to_owned(),
                slots: SlotOptions {
                    wait: WaitStrategy::Park,
                    ..SlotOptions::new(4096, slots)
                },
                stages: vec![],
                recorded: true,
            }],
            workers: 1,
            wait: WaitStrategy::Park,
            feed: Vec::new(),
            on_thread: None,
        },
        Box::new(sink),
    )
    .unwrap();
    (recording, producers.remove(0))
}
