//! Bytes to read a log from, at any offset and from several threads. No mapping: a file that shrinks under a reader
//! gives an error, never a signal.

use std::fs::File;
use std::io;
use std::path::Path;

/// Bytes that can be read at any offset.
pub trait Source: Send + Sync {
    /// Reads up to `buffer.len()` bytes at `offset`; 0 only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// The number of bytes there are now.
    fn length(&self) -> io::Result<u64>;

    /// Says that these bytes will be read soon. A hint: nothing need come of it.
    fn will_need(&self, offset: u64, count: u64) {
        let _ = (offset, count);
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where there are fewer bytes.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    buffer = &mut buffer[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Source for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.len());
        let count = buffer.len().min(self.len() - from);
        buffer[..count].copy_from_slice(&self[from..from + count]);
        Ok(count)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl Source for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.as_slice().read_at(buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

/// A file opened for reading.
pub(crate) struct FileSource(system::Handle);

impl FileSource {
    pub(crate) fn open(path: &Path) -> io::Result<FileSource> {
        Ok(FileSource(system::Handle::new(File::open(path)?)))
    }
}

impl Source for FileSource {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn will_need(&self, offset: u64, count: u64) {
        self.0.will_need(offset, count);
    }
}

#[cfg(all(any(unix, windows), not(daqring_portable)))]
mod system {
    use super::*;

    pub(super) struct Handle(File);

    impl Handle {
        pub(super) fn new(file: File) -> Handle {
            Handle(file)
        }

        #[cfg(unix)]
        pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            std::os::unix::fs::FileExt::read_at(&self.0, buffer, offset)
        }

        #[cfg(windows)]
        pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            std::os::windows::fs::FileExt::seek_read(&self.0, buffer, offset)
        }

        pub(super) fn length(&self) -> io::Result<u64> {
            Ok(self.0.metadata()?.len())
        }

        #[cfg(target_os = "linux")]
        pub(super) fn will_need(&self, offset: u64, count: u64) {
            let count = std::num::NonZeroU64::new(count);
            // It is a hint: what the system does not take is read when it is needed.
            let _ = rustix::fs::fadvise(&self.0, offset, count, rustix::fs::Advice::WillNeed);
        }

        #[cfg(not(target_os = "linux"))]
        pub(super) fn will_need(&self, _offset: u64, _count: u64) {}
    }
}

#[cfg(not(all(any(unix, windows), not(daqring_portable))))]
mod system {
    use super::*;
    use std::io::{Read, Seek, SeekFrom};
    use std::sync::{Mutex, PoisonError};

    pub(super) struct Handle(Mutex<File>);

    impl Handle {
        pub(super) fn new(file: File) -> Handle {
            Handle(Mutex::new(file))
        }

        pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(offset))?;
            file.read(buffer)
        }

        pub(super) fn length(&self) -> io::Result<u64> {
            let file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(file.metadata()?.len())
        }

        pub(super) fn will_need(&self, _offset: u64, _count: u64) {}
    }
}
