//! The tail file: what was acknowledged before its segment was full.
//!
//! It stands beside the log as `NAME.tail-N`, one per stream, and is a small TDMS file itself. It is only appended to;
//! once the segment that holds the same samples is at least as safe as the tail was, it begins anew from length 0.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::segment::{ALIGN, BlockStamp, HeaderBuilder, RawIndex, RunId, Seal, crc32c};
use crate::storage::{DirectIo, Medium, Storage, SyncTarget};
use crate::stream::{Stream, describe};

/// One stream's tail.
pub(crate) struct TailFile {
    pub(crate) path: PathBuf,
    pub(crate) storage: Box<dyn Storage>,
    pub(crate) end: u64,
    segments: u64,
    /// Which group was introduced since the file was last emptied.
    introduced: Option<u32>,
    /// Bytes handed out by the writer when the present contents began.
    began: u64,
    /// All contents are in the log, too, which is safe once this many bytes are durable.
    pub(crate) superseded: Option<u64>,
}

/// The tail file of stream `stream` of the log at `log`.
pub(crate) fn tail_path(log: &Path, stream: usize) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(OsString::from(format!(".tail-{stream}")));
    PathBuf::from(name)
}

/// The tail files that stand beside the log at `log`.
pub(crate) fn tail_paths(log: &Path) -> Vec<PathBuf> {
    let Some(name) = log.file_name() else {
        return Vec::new();
    };
    let prefix = format!("{}.tail-", name.to_string_lossy());
    let directory = match log.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let number = name.strip_prefix(&prefix);
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

impl TailFile {
    pub(crate) fn create(
        medium: &dyn Medium,
        log: &Path,
        stream: usize,
    ) -> io::Result<(TailFile, Arc<dyn SyncTarget>)> {
        let path = tail_path(log, stream);
        let storage = medium.create(&path, true, DirectIo::Off)?;
        let target = storage.sync_target()?;
        let tail = TailFile {
            path,
            storage,
            end: 0,
            segments: 0,
            introduced: None,
            began: 0,
            superseded: None,
        };
        Ok((tail, target))
    }

    /// Empties the file if everything in it is in the log and as safe there as here.
    ///
    /// `handed` are the bytes that the writer has handed out so far, `durable` those of them that a sync has covered.
    pub(crate) fn begin_anew(&mut self, handed: u64, durable: u64) -> io::Result<()> {
        let Some(needed) = self.superseded else {
            return Ok(());
        };
        // Contents that no sync ever covered were promised to survive the process only, and so does the log.
        if durable >= needed || durable <= self.began {
            self.storage.truncate(0)?;
            self.end = 0;
            self.segments = 0;
            self.introduced = None;
            self.began = handed;
        }
        self.superseded = None;
        Ok(())
    }

    /// Appends samples of the stream.
    pub(crate) fn append(
        &mut self,
        run: RunId,
        stream: &mut Stream,
        stamp: &BlockStamp,
        data: &[u8],
    ) -> io::Result<u64> {
        stream.settle_start(stamp);
        let mut header = HeaderBuilder::new(Vec::new());
        describe(&mut header, "/", RawIndex::None, &[]);
        let intro = self.introduced != Some(stream.part.number);
        stream.describe_values(&mut header, intro, stamp.samples);
        let seal = Seal {
            run,
            segment: self.segments,
            block: Some(stamp),
            data_crc: Some(crc32c(data)),
        };
        let header = header.finish(&seal, data.len() as u64, ALIGN);
        self.storage.write(self.end, &header, data)?;
        let length = (header.len() + data.len()) as u64;
        self.end += length;
        self.segments += 1;
        self.introduced = Some(stream.part.number);
        Ok(length)
    }
}
