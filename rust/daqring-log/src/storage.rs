//! The seam between the log and the medium.
//!
//! [`Medium`] makes and removes files, [`Storage`] is one file being written, [`SyncTarget`] brings it to the medium
//! from any thread. The log's rules for crashes rest on these operations alone, so tests put a medium below them that
//! loses, reorders and refuses.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use crate::segment::ALIGN;

/// Whether the page cache is passed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DirectIo {
    /// Where the file system has it.
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
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl AlignedBuffer {
    pub(crate) fn new(length: usize) -> AlignedBuffer {
        let memory = vec![0u8; length + ALIGN];
        let start = memory.as_ptr().align_offset(ALIGN).min(ALIGN);
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
        &self.memory[self.start..self.start + self.length]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.length]
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
        system::prepare(&mut options, DirectIo::Off);
        let file = options.open(path)?;
        system::lock(&file)?;
        Ok(Box::new(DiskFile::new(file, false, false)))
    }
}

impl DiskFile {
    fn new(file: File, is_direct: bool, may_fall_back: bool) -> DiskFile {
        DiskFile {
            file,
            is_direct,
            may_fall_back,
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
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        system::prepare(&mut options, direct);
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
            let direct = match direct {
                DirectIo::Off => false,
                DirectIo::Auto => system::set_direct(&file, true).is_ok(),
                DirectIo::On => {
                    system::set_direct(&file, true)?;
                    true
                }
            };
            Ok(direct)
        })();
        match made {
            Ok(is_direct) => {
                let may_fall_back = direct == DirectIo::Auto;
                Ok(Box::new(DiskFile::new(file, is_direct, may_fall_back)))
            }
            Err(error) => {
                drop(file);
                if new {
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

    pub(super) fn prepare(_options: &mut OpenOptions, _direct: DirectIo) {}

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
    pub(super) fn prepare(options: &mut OpenOptions, direct: DirectIo) {
        options.share_mode(FILE_SHARE_READ | FILE_SHARE_DELETE);
        if direct != DirectIo::Off {
            options.custom_flags(FILE_FLAG_NO_BUFFERING);
        }
    }

    pub(super) fn lock(_file: &File) -> io::Result<()> {
        Ok(())
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

    pub(super) fn free_space(_directory: &Path) -> io::Result<Option<u64>> {
        Ok(None)
    }
}

#[cfg(not(any(windows, all(target_os = "linux", not(daqring_portable)))))]
mod system {
    use super::*;
    use std::io::{Seek, SeekFrom, Write};

    pub(super) fn prepare(_options: &mut OpenOptions, _direct: DirectIo) {}

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
