//! Rewrites a TDMS file that another program wrote into few large, self-describing segments with checksums.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::LogError;
use crate::layout::{DataType, Properties, PropertyValue};
use crate::reader::{Group, LogFile};
use crate::segment::{ALIGN, HeaderBuilder, RawIndex, RunId, Seal, crc32c, key, path};
use crate::storage::{DirectIo, Disk, Medium, Storage};
use crate::stream::describe;

/// Bytes of samples in a segment of the new file.
const SEGMENT: u64 = 4 << 20;
/// Texts in a segment of the new file: their length is not known before they are read.
const TEXTS: u64 = 4096;

/// What was rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefragmentReport {
    /// The new file.
    pub output: PathBuf,
    /// Segments with data before.
    pub segments_before: usize,
    /// Segments of the new file.
    pub segments_after: u64,
    /// Bytes before.
    pub bytes_before: u64,
    /// Bytes of the new file.
    pub bytes_after: u64,
}

/// Copies every group, channel, property and value of a TDMS file into a new file of large segments.
///
/// # Errors
/// [`LogError::Exists`] for an output that exists, [`LogError::Unsupported`] for what the reader does not read,
/// [`LogError::Own`], [`LogError::Format`] for damage, and the system's own errors. The file itself is only read.
pub fn defragment(
    log: impl AsRef<Path>,
    output: impl AsRef<Path>,
    overwrite: bool,
) -> Result<DefragmentReport, LogError> {
    let output = output.as_ref();
    let file = LogFile::open(&log)?;
    if file.run().is_some() {
        return Err(LogError::Own);
    }
    if let crate::Tail::Damaged { offset, what } = file.tail() {
        return Err(LogError::format(*offset, what.clone()));
    }
    let medium = Disk;
    let same = matches!((log.as_ref().canonicalize(), output.canonicalize()), (Ok(one), Ok(other)) if one == other);
    if same {
        return Err(LogError::Exists(output.to_path_buf()));
    }
    let storage = medium
        .create(output, overwrite, DirectIo::Off)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => LogError::Exists(output.to_path_buf()),
            io::ErrorKind::WouldBlock => LogError::Locked(output.to_path_buf()),
            _ => LogError::io("create", output, error),
        })?;
    let mut copy = Rewrite {
        file: &file,
        storage,
        output,
        run: RunId::random(),
        end: 0,
        segments: 0,
    };
    let done = copy.everything().and_then(|()| {
        medium
            .sync_directory(output)
            .map_err(|error| LogError::io("sync", output, error))
    });
    let (segments_after, bytes_after) = (copy.segments, copy.end);
    if let Err(error) = done {
        drop(copy);
        // Half a copy helps nobody; the file itself is untouched.
        let _ = medium.remove(output);
        return Err(error);
    }
    Ok(DefragmentReport {
        output: output.to_path_buf(),
        segments_before: file.segment_count(),
        segments_after,
        bytes_before: file.file_len(),
        bytes_after,
    })
}

struct Rewrite<'f> {
    file: &'f LogFile,
    storage: Box<dyn Storage>,
    output: &'f Path,
    run: RunId,
    end: u64,
    segments: u64,
}

impl Rewrite<'_> {
    fn everything(&mut self) -> Result<(), LogError> {
        let file = self.file;
        for (at, group) in file.groups().iter().enumerate() {
            let mut done = vec![0; group.channels.len()];
            let mut first = true;
            while first
                || group
                    .channels
                    .iter()
                    .zip(&done)
                    .any(|(channel, done)| *done < channel.len)
            {
                self.segment(at, group, &mut done, first)?;
                first = false;
            }
        }
        let mut root = file.properties().clone();
        root.push((key::COMPLETE.to_owned(), PropertyValue::Bool(true)));
        self.sync()?;
        let mut header = HeaderBuilder::new(Vec::new());
        describe(&mut header, "/", RawIndex::None, &root);
        self.append(header, &[])?;
        self.sync()
    }

    /// The next values of a group's channels: about [`SEGMENT`] bytes.
    fn segment(
        &mut self,
        at: usize,
        group: &Group,
        done: &mut [u64],
        first: bool,
    ) -> Result<(), LogError> {
        let file = self.file;
        let mut header = HeaderBuilder::new(Vec::new());
        let none = Properties::new();
        let root = if self.segments == 0 {
            file.properties()
        } else {
            &none
        };
        describe(&mut header, "/", RawIndex::None, root);
        if self.segments == 0 {
            // Every group is named at once, so that they keep their order.
            for group in file.groups() {
                describe(
                    &mut header,
                    &path(&group.name, None),
                    RawIndex::None,
                    &group.properties,
                );
            }
        }
        describe(&mut header, &path(&group.name, None), RawIndex::None, &none);
        let left = |done: &[u64]| {
            let sizes = group
                .channels
                .iter()
                .zip(done)
                .filter(|(channel, done)| **done < channel.len);
            sizes
                .map(|(channel, _)| channel.data_type.size().unwrap_or(16) as u64)
                .sum::<u64>()
        };
        let share = (SEGMENT / left(done).max(1)).max(1);
        let mut data = Vec::new();
        for (number, channel) in group.channels.iter().enumerate() {
            let begin = done[number];
            let most = if channel.data_type == DataType::String {
                TEXTS
            } else {
                share
            };
            let count = (channel.len - begin).min(most);
            done[number] += count;
            let index = match channel.data_type.size() {
                _ if count == 0 => RawIndex::None,
                Some(size) => {
                    let from = data.len();
                    data.resize(from + count as usize * size, 0);
                    file.read_raw(at, number, begin..begin + count, &mut data[from..])?;
                    RawIndex::Values {
                        data_type: channel.data_type,
                        count,
                    }
                }
                None => {
                    let from = data.len();
                    let texts = file.read_text(at, number, begin..begin + count)?;
                    let mut end = 0u32;
                    for text in &texts {
                        end += text.len() as u32;
                        data.extend_from_slice(&end.to_le_bytes());
                    }
                    texts
                        .iter()
                        .for_each(|text| data.extend_from_slice(text.as_bytes()));
                    RawIndex::Text {
                        count,
                        bytes: (data.len() - from) as u64,
                    }
                }
            };
            if first || count > 0 {
                let properties = if first { &channel.properties } else { &none };
                describe(
                    &mut header,
                    &path(&group.name, Some(&channel.name)),
                    index,
                    properties,
                );
            }
        }
        self.append(header, &data)
    }

    fn append(&mut self, header: HeaderBuilder, data: &[u8]) -> Result<(), LogError> {
        let seal = Seal {
            run: self.run,
            segment: self.segments,
            block: None,
            data_crc: Some(crc32c(data)),
        };
        let header = header.finish(&seal, data.len() as u64, ALIGN);
        self.storage
            .write(self.end, &header, data)
            .map_err(|error| LogError::io("write to", self.output, error))?;
        self.end += (header.len() + data.len()) as u64;
        self.segments += 1;
        Ok(())
    }

    fn sync(&self) -> Result<(), LogError> {
        let target: io::Result<Arc<_>> = self.storage.sync_target();
        target
            .and_then(|target| target.sync())
            .map_err(|error| LogError::io("sync", self.output, error))
    }
}
