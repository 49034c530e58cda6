//! The seam between the log and the medium.
//!
//! [`Medium`] makes and removes files, [`Storage`] is one file being written, [`SyncTarget`] brings it to the medium
//! from any thread. The log's rules for crashes rest on these operations alone, so tests put a medium below them that
//! loses, reorders and refuses.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::segment::ALIGN;
use crate::space::{Known, Measured, known, remember};

/// Whether the page cache is passed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DirectIo {
    /// Where writing a few MiB past the cache is not slower than through it, measured once per file system and process.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Always; creating the log fails where the file system has no direct I/O.
    On,
}

/// Where files are made.
pub trait Medium: Send + Sync {
    /// Makes a file for writing and locks it against other writers.
    ///
    /// An existing file is an error ([`io::ErrorKind::AlreadyExists`]) unless `overwrite`, and then it is emptied once it
    /// is locked. A lock held elsewhere is [`io::ErrorKind::WouldBlock`].
    fn create(
        &self,
        path: &Path,
        overwrite: bool,
        direct: DirectIo,
    ) -> io::Result<Box<dyn Storage>>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name in the same directory. A file that has it already is
    /// [`io::ErrorKind::AlreadyExists`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in the directory of `path` durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Free bytes on the disk of `path`; `None` where that cannot be asked for.
    fn free_space(&self, path: &Path) -> io::Result<Option<u64>>;
}

/// A file being written.
pub trait Storage: Send {
    /// Writes `header` and right behind it `data`, both whole, at `offset`.
    fn write(&mut self, offset: u64, header: &[u8], data: &[u8]) -> io::Result<()>;

    /// Cuts the file to `length`.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// The file's sync, for any thread.
    fn sync_target(&self) -> io::Result<Arc<dyn SyncTarget>>;

    /// Whether writes pass the page cache by.
    fn is_direct(&self) -> bool;

    /// Why, in a few words; empty where nobody decided.
    fn io_reason(&self) -> String {
        String::new()
    }
}

/// Brings what was written to the medium.
pub trait SyncTarget: Send + Sync {
    /// Returns when everything written before the call is durable.
    fn sync(&self) -> io::Result<()>;
}

impl SyncTarget for File {
    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Memory that begins at a multiple of [`ALIGN`].
pub(crate) struct AlignedBuffer {
    memory: Memory,
    start: usize,
    length: usize,
}

/// Where the memory of a buffer comes from.
enum Memory {
    Heap(Vec<u8>),
    /// Whole huge pages, where the system gives them: the disk gets long stretches of memory and not single pages, and
    /// copying into it needs few translations of addresses.
    #[cfg(all(target_os = "linux", not(daqring_portable)))]
    Huge(memmap2::MmapMut),
}

impl Memory {
    /// `length` bytes and an offset into the memory at which they are aligned.
    fn take(length: usize) -> (Memory, usize) {
        #[cfg(all(target_os = "linux", not(daqring_portable)))]
        if length >= HUGE_PAGE
            && let Ok(map) =
                memmap2::MmapMut::map_anon(length.next_multiple_of(HUGE_PAGE) + HUGE_PAGE)
        {
            // A wish, so its failure does not matter.
            let _ = map.advise(memmap2::Advice::HugePage);
            let start = map.as_ptr().align_offset(HUGE_PAGE).min(HUGE_PAGE);
            return (Memory::Huge(map), start);
        }
        let memory = vec![0u8; length + ALIGN];
        let start = memory.as_ptr().align_offset(ALIGN).min(ALIGN);
        (Memory::Heap(memory), start)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Memory::Heap(memory) => memory,
            #[cfg(all(target_os = "linux", not(daqring_portable)))]
            Memory::Huge(memory) => memory,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Memory::Heap(memory) => memory,
            #[cfg(all(target_os = "linux", not(daqring_portable)))]
            Memory::Huge(memory) => memory,
        }
    }
}

/// Size of a huge page on most machines; elsewhere the buffer is aligned more than it needs to be.
#[cfg(all(target_os = "linux", not(daqring_portable)))]
const HUGE_PAGE: usize = 2 << 20;

impl AlignedBuffer {
    pub(crate) fn new(length: usize) -> AlignedBuffer {
        let (memory, start) = Memory::take(length);
        AlignedBuffer {
            memory,
            start,
            length,
        }
    }

    pub(crate) fn grow(&mut self, length: usize) {
        if length > self.length {
            *self = AlignedBuffer::new(length.next_multiple_of(ALIGN));
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory.bytes()[self.start..self.start + self.length]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory.bytes_mut()[self.start..self.start + self.length]
    }
}

fn is_aligned(data: &[u8]) -> bool {
    data.as_ptr().addr().is_multiple_of(ALIGN) && data.len().is_multiple_of(ALIGN)
}

/// The operating system's files.
#[derive(Debug, Default, Clone, Copy)]
pub struct Disk;

impl Disk {
    /// Opens a file to change it where it stands, locked against other writers.
    pub(crate) fn open_for_repair(path: &Path) -> io::Result<Box<dyn Storage>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        system::prepare(&mut options, false);
        let file = options.open(path)?;
        system::lock(&file)?;
        Ok(Box::new(DiskFile::new(file, false, false, "")))
    }
}

impl DiskFile {
    fn new(file: File, is_direct: bool, may_fall_back: bool, reason: &str) -> DiskFile {
        DiskFile {
            file,
            is_direct,
            may_fall_back,
            reason: reason.to_owned(),
            header: AlignedBuffer::new(ALIGN),
            bounce: AlignedBuffer::new(0),
        }
    }
}

impl Medium for Disk {
    fn create(
        &self,
        path: &Path,
        overwrite: bool,
        direct: DirectIo,
    ) -> io::Result<Box<dyn Storage>> {
        let asked = |is_direct| Measured {
            is_direct,
            reason: "asked for".to_owned(),
        };
        let mut choice = match direct {
            DirectIo::Auto => choose(parent(path)),
            DirectIo::On => asked(true),
            DirectIo::Off => asked(false),
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        system::prepare(&mut options, choice.is_direct);
        let (file, new) = match options.clone().create_new(true).open(path) {
            Ok(file) => (file, true),
            Err(error) if overwrite && error.kind() == io::ErrorKind::AlreadyExists => {
                (options.open(path)?, false)
            }
            Err(error) => return Err(error),
        };
        let made = (|| {
            system::lock(&file)?;
            if !new {
                file.set_len(0)?;
            }
            if choice.is_direct
                && let Err(error) = system::set_direct(&file, true)
            {
                if direct == DirectIo::On {
                    return Err(error);
                }
                choice.is_direct = false;
                choice.reason = NO_DIRECT.to_owned();
            }
            Ok(())
        })();
        match made {
            Ok(()) => {
                let may_fall_back = direct == DirectIo::Auto;
                let (is_direct, reason) = (choice.is_direct, &choice.reason);
                Ok(Box::new(DiskFile::new(
                    file,
                    is_direct,
                    may_fall_back,
                    reason,
                )))
            }
            Err(error) => {
                drop(file);
                // One that is locked by now is another writer's, who asked to overwrite.
                if new && error.kind() != io::ErrorKind::WouldBlock {
                    // Nothing half-made stays behind; the first error is the one to tell.
                    let _ = std::fs::remove_file(path);
                }
                Err(error)
            }
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        system::rename(from, to)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        system::sync_directory(parent(path))
    }

    fn free_space(&self, path: &Path) -> io::Result<Option<u64>> {
        system::free_space(parent(path))
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

const NO_DIRECT: &str = "the file system has no direct I/O";
/// How long measuring goes on, and what is written at a time.
const PROBE_TIME: Duration = Duration::from_millis(150);
const PROBE_BYTES: usize = 2 << 20;
const PROBE_ROUNDS: usize = 4;
/// Writing through the cache costs several times the processor time and takes the memory of others, so past it may be this
/// much slower. What is left are file systems on which direct I/O is a burden (some network and layered ones); a busy
/// neighbour on the same disk must not tip the choice.
const DIRECT_ENOUGH: f64 = 0.2;

/// Which way to write into a directory: measured, or remembered of its file system.
fn choose(directory: &Path) -> Measured {
    static KNOWN: Known = Mutex::new(Vec::new());
    let device = device(directory);
    if let Some(measured) = device.and_then(|device| known(&KNOWN, device)) {
        return measured;
    }
    let measured = match probe(directory) {
        Ok(rates) => decide(rates),
        // Whoever cannot write a probe may still write a log, and will be told by that.
        Err(error) => Measured {
            is_direct: true,
            reason: format!("not measured: {error}"),
        },
    };
    if let Some(device) = device {
        remember(&KNOWN, device, &measured);
    }
    measured
}

/// From bytes per second past the cache, where the file system has that, and through it.
fn decide((direct, buffered): (Option<f64>, f64)) -> Measured {
    let Some(direct) = direct else {
        return Measured {
            is_direct: false,
            reason: NO_DIRECT.to_owned(),
        };
    };
    let is_direct = direct >= buffered * DIRECT_ENOUGH;
    let mb = |rate: f64| (rate / 1e6).round();
    Measured {
        is_direct,
        reason: format!(
            "measured at the start: {} MB/s direct, {} MB/s through the cache",
            mb(direct),
            mb(buffered)
        ),
    }
}

/// Writes and syncs both ways in turn, into files of its own that are gone afterwards.
fn probe(directory: &Path) -> io::Result<(Option<f64>, f64)> {
    struct Probe(PathBuf, File);
    impl Drop for Probe {
        fn drop(&mut self) {
            // It is removed already where open files can be.
            let _ = std::fs::remove_file(&self.0);
        }
    }
    let open = |is_direct: bool| -> io::Result<Probe> {
        let name = format!(".daqring-probe-{}-{is_direct}", std::process::id());
        let path = directory.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        system::prepare(&mut options, is_direct);
        let file = options.open(&path)?;
        let probe = Probe(path, file);
        if cfg!(unix) {
            std::fs::remove_file(&probe.0)?;
        }
        Ok(probe)
    };
    let buffered = open(false)?;
    let direct = open(true)?;
    let has_direct = system::set_direct(&direct.1, true).is_ok();
    let mut data = AlignedBuffer::new(PROBE_BYTES);
    // Some file systems do not store zeros, and some compress what repeats.
    let mut word = 0x9E37_79B9_7F4A_7C15u64;
    for bytes in data.bytes_mut().as_chunks_mut::<8>().0 {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        *bytes = word.to_le_bytes();
    }
    let begin = Instant::now();
    let write = |file: &File, round: usize| -> io::Result<Duration> {
        let begin = Instant::now();
        let offset = (round * PROBE_BYTES) as u64;
        system::write_both(file, offset, data.bytes(), &[])?;
        file.sync_data()?;
        Ok(begin.elapsed())
    };
    // The best round of each way: the others say what else the disk was doing.
    let mut took = (Duration::MAX, Duration::MAX);
    for round in 0..PROBE_ROUNDS {
        if round > 0 && begin.elapsed() > PROBE_TIME {
            break;
        }
        let one = match has_direct.then(|| write(&direct.1, round)) {
            Some(Ok(took)) => Some(took),
            Some(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => None,
            Some(Err(error)) => return Err(error),
            None => None,
        };
        let Some(one) = one else {
            return Ok((None, 0.0));
        };
        let other = write(&buffered.1, round)?;
        took = (took.0.min(one), took.1.min(other));
    }
    let rate = |took: Duration| PROBE_BYTES as f64 / took.as_secs_f64().max(1e-9);
    Ok((Some(rate(took.0)), rate(took.1)))
}

/// Identity of the directory's file system.
#[cfg(unix)]
fn device(directory: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(directory).ok().map(|data| data.dev())
}

/// Identity of the directory: volumes may be mounted anywhere.
#[cfg(not(unix))]
fn device(directory: &Path) -> Option<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    directory.canonicalize().ok()?.hash(&mut hasher);
    Some(hasher.finish())
}

/// Renames where the system cannot do so without replacing: two steps, and the lock on the files is the caller's.
#[cfg(not(all(target_os = "linux", not(daqring_portable))))]
fn rename_in_two_steps(from: &Path, to: &Path) -> io::Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(from, to)
}

#[cfg(unix)]
fn free_space_unix(directory: &Path) -> io::Result<Option<u64>> {
    let status = rustix::fs::statvfs(directory)?;
    Ok(Some(status.f_bavail.saturating_mul(status.f_frsize)))
}

/// Largest bounce buffer; longer segments that are not aligned in memory go out in pieces of this size.
const BOUNCE: usize = 4 << 20;

struct DiskFile {
    file: File,
    is_direct: bool,
    may_fall_back: bool,
    reason: String,
    header: AlignedBuffer,
    bounce: AlignedBuffer,
}

impl DiskFile {
    fn write_direct(&mut self, offset: u64, header: &[u8], data: &[u8]) -> io::Result<()> {
        if header.len().is_multiple_of(ALIGN) && is_aligned(data) {
            self.header.grow(header.len());
            self.header.bytes_mut()[..header.len()].copy_from_slice(header);
            let header = &self.header.bytes()[..header.len()];
            return system::write_both(&self.file, offset, header, data);
        }
        let total = header.len() + data.len();
        if !total.is_multiple_of(ALIGN) || !offset.is_multiple_of(ALIGN as u64) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "direct I/O needs whole sectors",
            ));
        }
        self.bounce.grow(total.min(BOUNCE));
        let mut done = 0;
        while done < total {
            let length = (total - done).min(BOUNCE);
            let target = &mut self.bounce.bytes_mut()[..length];
            let from_header = header.len().saturating_sub(done).min(length);
            target[..from_header].copy_from_slice(&header[done.min(header.len())..][..from_header]);
            let data_at = (done + from_header).saturating_sub(header.len());
            target[from_header..].copy_from_slice(&data[data_at..][..length - from_header]);
            system::write_both(
                &self.file,
                offset + done as u64,
                &self.bounce.bytes()[..length],
                &[],
            )?;
            done += length;
        }
        Ok(())
    }
}

impl Storage for DiskFile {
    fn write(&mut self, offset: u64, header: &[u8], data: &[u8]) -> io::Result<()> {
        if !self.is_direct {
            return system::write_both(&self.file, offset, header, data);
        }
        match self.write_direct(offset, header, data) {
            // A file system may take the flag and refuse the write.
            Err(error) if self.may_fall_back && error.kind() == io::ErrorKind::InvalidInput => {
                system::set_direct(&self.file, false)?;
                self.is_direct = false;
                self.reason = "the file system refused a direct write".to_owned();
                system::write_both(&self.file, offset, header, data)
            }
            other => other,
        }
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync_target(&self) -> io::Result<Arc<dyn SyncTarget>> {
        Ok(Arc::new(self.file.try_clone()?))
    }

    fn is_direct(&self) -> bool {
        self.is_direct
    }

    fn io_reason(&self) -> String {
        self.reason.clone()
    }
}

/// Calls `write` until both parts are written; it gives the number of bytes it took.
fn write_whole(
    offset: u64,
    mut header: &[u8],
    mut data: &[u8],
    mut write: impl FnMut(u64, &[IoSlice<'_>]) -> io::Result<usize>,
) -> io::Result<()> {
    let mut at = offset;
    while !header.is_empty() || !data.is_empty() {
        let taken = match write(at, &[IoSlice::new(header), IoSlice::new(data)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        at += taken as u64;
        let from_header = taken.min(header.len());
        header = &header[from_header..];
        data = &data[taken - from_header..];
    }
    Ok(())
}

#[cfg(all(target_os = "linux", not(daqring_portable)))]
mod system {
    use super::*;
    use rustix::fs::{FlockOperation, OFlags, fcntl_getfl, fcntl_setfl, flock};

    pub(super) fn prepare(_options: &mut OpenOptions, _direct: bool) {}

    pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // The file system does not know how.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                if to.symlink_metadata().is_ok() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                std::fs::rename(from, to)
            }
            other => Ok(other?),
        }
    }

    pub(super) fn lock(file: &File) -> io::Result<()> {
        Ok(flock(file, FlockOperation::NonBlockingLockExclusive)?)
    }

    pub(super) fn set_direct(file: &File, on: bool) -> io::Result<()> {
        let mut flags = fcntl_getfl(file)?;
        flags.set(OFlags::DIRECT, on);
        Ok(fcntl_setfl(file, flags)?)
    }

    pub(super) fn write_both(
        file: &File,
        offset: u64,
        header: &[u8],
        data: &[u8],
    ) -> io::Result<()> {
        write_whole(offset, header, data, |at, parts| {
            Ok(rustix::io::pwritev(file, parts, at)?)
        })
    }

    pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    pub(super) fn free_space(directory: &Path) -> io::Result<Option<u64>> {
        free_space_unix(directory)
    }
}

#[cfg(windows)]
mod system {
    use super::*;
    use std::os::windows::fs::{FileExt, OpenOptionsExt};

    const FILE_FLAG_NO_BUFFERING: u32 = 0x2000_0000;
    const FILE_SHARE_READ: u32 = 1;
    const FILE_SHARE_DELETE: u32 = 4;

    /// Unbuffered when asked for, and closed to other writers from the moment it is opened. It may be removed while a
    /// sync handle still holds it.
    pub(super) fn prepare(options: &mut OpenOptions, direct: bool) {
        options.share_mode(FILE_SHARE_READ | FILE_SHARE_DELETE);
        if direct {
            options.custom_flags(FILE_FLAG_NO_BUFFERING);
        }
    }

    pub(super) fn lock(_file: &File) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
        rename_in_two_steps(from, to)
    }

    /// The flag is given when the file is opened and stays; all writes are whole sectors.
    pub(super) fn set_direct(_file: &File, _on: bool) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn write_both(
        file: &File,
        offset: u64,
        header: &[u8],
        data: &[u8],
    ) -> io::Result<()> {
        write_whole(offset, header, data, |at, parts| {
            let part = parts.iter().find(|part| !part.is_empty());
            part.map_or(Ok(0), |part| file.seek_write(part, at))
        })
    }

    pub(super) fn sync_directory(_directory: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn free_space(directory: &Path) -> io::Result<Option<u64>> {
        fs4::available_space(directory).map(Some)
    }
}

#[cfg(not(any(windows, all(target_os = "linux", not(daqring_portable)))))]
mod system {
    use super::*;
    use std::io::{Seek, SeekFrom, Write};

    pub(super) fn prepare(_options: &mut OpenOptions, _direct: bool) {}

    pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
        rename_in_two_steps(from, to)
    }

    #[cfg(unix)]
    pub(super) fn lock(file: &File) -> io::Result<()> {
        use rustix::fs::{FlockOperation, flock};
        Ok(flock(file, FlockOperation::NonBlockingLockExclusive)?)
    }

    pub(super) fn set_direct(_file: &File, on: bool) -> io::Result<()> {
        match on {
            true => Err(io::ErrorKind::Unsupported.into()),
            false => Ok(()),
        }
    }

    pub(super) fn write_both(
        mut file: &File,
        offset: u64,
        header: &[u8],
        data: &[u8],
    ) -> io::Result<()> {
        write_whole(offset, header, data, |at, parts| {
            file.seek(SeekFrom::Start(at))?;
            file.write_vectored(parts)
        })
    }

    #[cfg(unix)]
    pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    #[cfg(unix)]
    pub(super) fn free_space(directory: &Path) -> io::Result<Option<u64>> {
        free_space_unix(directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_every_size_are_aligned_and_zeroed() {
        for length in [0, 1, 4096, (2 << 20) - 1, 2 << 20, (4 << 20) + 4096] {
            let mut buffer = AlignedBuffer::new(length);
            assert_eq!(buffer.bytes().len(), length);
            assert!(buffer.bytes().as_ptr().addr().is_multiple_of(ALIGN));
            assert!(buffer.bytes().iter().all(|byte| *byte == 0));
            buffer.bytes_mut().fill(7);
            buffer.grow(length + 1);
            assert!(buffer.bytes().len() > length);
            assert!(buffer.bytes().iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn past_the_cache_unless_that_is_a_burden() {
        assert!(decide((Some(2e9), 1e9)).is_direct);
        assert!(decide((Some(0.3e9), 1e9)).is_direct);
        let slow = decide((Some(0.1e9), 1e9));
        assert!(!slow.is_direct);
        assert_eq!(
            slow.reason,
            "measured at the start: 100 MB/s direct, 1000 MB/s through the cache"
        );
        let none = decide((None, 1e9));
        assert_eq!((none.is_direct, none.reason.as_str()), (false, NO_DIRECT));
    }

    #[test]
    fn measuring_leaves_nothing_behind() {
        let directory = std::env::temp_dir().join(format!("daqring-probe-{}", std::process::id()));
        std::fs::create_dir(&directory).expect("directory");
        let (direct, buffered) = probe(&directory).expect("probe");
        assert!(direct.is_none_or(|rate| rate > 0.0 && buffered > 0.0));
        assert_eq!(std::fs::read_dir(&directory).expect("list").count(), 0);
        let taken = directory.join("taken");
        std::fs::write(&taken, b"x").expect("write");
        std::fs::write(directory.join("other"), b"y").expect("write");
        let error = Disk
            .rename(&directory.join("other"), &taken)
            .expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        Disk.rename(&directory.join("other"), &directory.join("free"))
            .expect("rename");
        assert!(
            Disk.free_space(&taken)
                .expect("free space")
                .is_none_or(|free| free > 0)
        );
        std::fs::remove_dir_all(&directory).expect("remove");
    }
}
