//! A medium that remembers every operation, so that a test can ask what a crash at any of them could leave behind, and
//! that can be told to fail.

#![allow(dead_code)] // each test file uses its own part of it

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use daqring_log::{DirectIo, Medium, Storage, SyncTarget};

pub const SECTOR: usize = 512;

#[derive(Debug, Clone)]
pub enum Op {
    Create(PathBuf),
    Write {
        path: PathBuf,
        offset: u64,
        bytes: Vec<u8>,
    },
    Truncate {
        path: PathBuf,
        length: u64,
    },
    Sync(PathBuf),
    SyncDirectory,
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

/// What the medium is to do to the write number `at` (counted over all files).
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub at: usize,
    /// Bytes that still reach the file.
    pub taken: usize,
    pub error: io::ErrorKind,
}

#[derive(Default)]
pub struct World {
    pub ops: Vec<Op>,
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    pub open: BTreeSet<PathBuf>,
    /// Present names of files that were renamed.
    pub names: BTreeMap<PathBuf, PathBuf>,
    pub writes: usize,
    pub fault: Option<Fault>,
    pub sync_fails_at: Option<usize>,
    pub syncs: usize,
    pub capacity: Option<u64>,
}

#[derive(Clone, Default)]
pub struct SimMedium(pub Arc<Mutex<World>>);

pub struct SimFile {
    world: Arc<Mutex<World>>,
    path: PathBuf,
}

struct SimSync {
    world: Arc<Mutex<World>>,
    path: PathBuf,
}

impl World {
    /// Where the file is now that was made under this name.
    fn place(&self, path: &Path) -> PathBuf {
        self.names.get(path).cloned().unwrap_or_else(|| path.into())
    }
}

fn apply_write(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let end = offset as usize + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset as usize..end].copy_from_slice(bytes);
}

impl Medium for SimMedium {
    fn create(
        &self,
        path: &Path,
        overwrite: bool,
        _direct: DirectIo,
    ) -> io::Result<Box<dyn Storage>> {
        let mut world = self.0.lock().expect("no panic under the lock");
        if world.open.contains(path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if world.files.contains_key(path) {
            if !overwrite {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            world.ops.push(Op::Truncate {
                path: path.into(),
                length: 0,
            });
        } else {
            world.ops.push(Op::Create(path.into()));
        }
        world.names.remove(path);
        world.files.insert(path.into(), Vec::new());
        world.open.insert(path.into());
        Ok(Box::new(SimFile {
            world: Arc::clone(&self.0),
            path: path.into(),
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.0.lock().expect("no panic under the lock");
        world.ops.push(Op::Remove(path.into()));
        match world.files.remove(path) {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.0.lock().expect("no panic under the lock");
        if world.files.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        world.ops.push(Op::Rename(from.into(), to.into()));
        let file = world.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.files.insert(to.into(), file);
        if world.open.remove(from) {
            world.open.insert(to.into());
        }
        world.names.insert(from.into(), to.into());
        Ok(())
    }

    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        self.0
            .lock()
            .expect("no panic under the lock")
            .ops
            .push(Op::SyncDirectory);
        Ok(())
    }

    fn free_space(&self, _path: &Path) -> io::Result<Option<u64>> {
        let world = self.0.lock().expect("no panic under the lock");
        let used: usize = world.files.values().map(Vec::len).sum();
        Ok(world
            .capacity
            .map(|capacity| capacity.saturating_sub(used as u64)))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if let Ok(mut world) = self.world.lock() {
            let path = world.place(&self.path);
            world.open.remove(&path);
        }
    }
}

impl Storage for SimFile {
    fn write(&mut self, offset: u64, header: &[u8], data: &[u8]) -> io::Result<()> {
        let mut world = self.world.lock().expect("no panic under the lock");
        let mut bytes = [header, data].concat();
        let number = world.writes;
        world.writes += 1;
        let mut result = Ok(());
        if let Some(fault) = world.fault.filter(|fault| fault.at == number) {
            bytes.truncate(fault.taken);
            result = Err(fault.error.into());
        }
        let used: usize = world.files.values().map(Vec::len).sum();
        if let Some(capacity) = world.capacity
            && used + bytes.len() > capacity as usize
        {
            bytes.truncate(capacity as usize - used);
            result = Err(io::ErrorKind::StorageFull.into());
        }
        let path = world.place(&self.path);
        let file = world.files.get_mut(&path).expect("the file is there");
        apply_write(file, offset, &bytes);
        world.ops.push(Op::Write {
            path,
            offset,
            bytes,
        });
        result
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut world = self.world.lock().expect("no panic under the lock");
        let path = world.place(&self.path);
        let file = world.files.get_mut(&path).expect("the file is there");
        file.resize(length as usize, 0);
        world.ops.push(Op::Truncate { path, length });
        Ok(())
    }

    fn sync_target(&self) -> io::Result<Arc<dyn SyncTarget>> {
        Ok(Arc::new(SimSync {
            world: Arc::clone(&self.world),
            path: self.path.clone(),
        }))
    }

    fn is_direct(&self) -> bool {
        false
    }
}

impl SyncTarget for SimSync {
    fn sync(&self) -> io::Result<()> {
        let mut world = self.world.lock().expect("no panic under the lock");
        world.syncs += 1;
        if world.sync_fails_at == Some(world.syncs) {
            return Err(io::Error::other("the medium refused"));
        }
        let path = world.place(&self.path);
        world.ops.push(Op::Sync(path));
        Ok(())
    }
}

/// A small generator: the tests are the same each time.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub fn coin(&mut self) -> bool {
        self.next() & 0x100 != 0
    }
}

/// What the end of the process after `count` operations leaves: all of them.
pub fn killed(ops: &[Op], count: usize) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for op in &ops[..count] {
        match op {
            Op::Create(path) => {
                files.insert(path.clone(), Vec::new());
            }
            Op::Write {
                path,
                offset,
                bytes,
            } => {
                if let Some(file) = files.get_mut(path) {
                    apply_write(file, *offset, bytes);
                }
            }
            Op::Truncate { path, length } => {
                if let Some(file) = files.get_mut(path) {
                    file.resize(*length as usize, 0);
                }
            }
            Op::Remove(path) => {
                files.remove(path);
            }
            Op::Rename(from, to) => {
                if let Some(file) = files.remove(from) {
                    files.insert(to.clone(), file);
                }
            }
            Op::Sync(_) | Op::SyncDirectory => {}
        }
    }
    files
}

/// One of the images that a crash of the machine after `count` operations may leave. What was synced is there. Of the
/// rest, any sectors of any write may be there or not, a cut may have happened or not, a name that was not synced may
/// be missing, a removal or a renaming may be undone.
pub fn crashed(ops: &[Op], count: usize, random: &mut Random) -> BTreeMap<PathBuf, Vec<u8>> {
    let ops = &ops[..count];
    let directory = ops
        .iter()
        .rposition(|op| matches!(op, Op::SyncDirectory))
        .unwrap_or(0);
    let synced = |path: &Path| {
        ops.iter()
            .rposition(|op| matches!(op, Op::Sync(synced) if synced == path))
            .unwrap_or(0)
    };
    let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    // Names that a renaming gave and the crash took back.
    let mut former: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for (at, op) in ops.iter().enumerate() {
        match op {
            Op::Create(path) => {
                if at < directory || random.coin() {
                    files.insert(path.clone(), Vec::new());
                }
            }
            Op::Write {
                path,
                offset,
                bytes,
            } => {
                let safe = at < synced(path);
                let place = former.get(path).unwrap_or(path);
                let Some(file) = files.get_mut(place) else {
                    continue;
                };
                if safe {
                    apply_write(file, *offset, bytes);
                    continue;
                }
                // Nothing of it, all of it, or any of its sectors.
                let mode = random.below(4);
                for (sector, part) in bytes.chunks(SECTOR).enumerate() {
                    if mode == 0 || mode >= 2 && random.coin() {
                        continue;
                    }
                    apply_write(file, offset + (sector * SECTOR) as u64, part);
                }
            }
            Op::Truncate { path, length } => {
                let safe = at < synced(path);
                let place = former.get(path).unwrap_or(path);
                if let Some(file) = files.get_mut(place)
                    && (safe || random.coin())
                {
                    file.resize(*length as usize, 0);
                }
            }
            Op::Remove(path) => {
                if at < directory || random.coin() {
                    files.remove(path);
                }
            }
            Op::Rename(from, to) => {
                if at < directory || random.coin() {
                    if let Some(file) = files.remove(from) {
                        files.insert(to.clone(), file);
                    }
                } else {
                    former.insert(to.clone(), from.clone());
                }
            }
            Op::Sync(_) | Op::SyncDirectory => {}
        }
    }
    files
}
