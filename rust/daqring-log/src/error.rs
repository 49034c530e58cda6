//! What can go wrong with a log, each with the words a person needs.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An error of writing, reading, verifying or recovering a log.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogError {
    /// The output exists and overwriting was not asked for.
    Exists(PathBuf),
    /// Another process holds the output for writing.
    Locked(PathBuf),
    /// The log would be new, and beside it is what a recording of that name had not brought into its file when it was
    /// broken off.
    Orphan(PathBuf),
    /// The medium is full; the file was cut back to its last whole segment.
    NoSpace {
        /// The file being written.
        path: PathBuf,
        /// Its length after the cut.
        kept: u64,
    },
    /// The disk has less free space than was to be kept; the block was not written and the log can be finished.
    DiskLow {
        /// The file being written.
        path: PathBuf,
        /// Free bytes.
        free: u64,
        /// Bytes that were to stay free.
        reserve: u64,
    },
    /// The operating system refused an operation.
    Io {
        /// What was being done, in words that follow "Cannot".
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// The writer failed earlier and stays failed; holds the first failure's words.
    Failed(String),
    /// The writer was already finished.
    Finished,
    /// Groups, channels or options that cannot be written.
    Spec(String),
    /// A block that does not fit its stream; nothing was written and the writer goes on.
    Block(String),
    /// The bytes are not what TDMS demands.
    Format {
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The file is a log that this project wrote, and needs no rewriting.
    Own,
    /// The file is TDMS of a kind this reader does not read.
    Unsupported(String),
    /// The file cannot be recovered in the way that was asked for.
    Unrecoverable(String),
    /// No such group, channel or range of samples.
    Range(String),
}

impl LogError {
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        LogError::Io {
            doing,
            path: path.to_path_buf(),
            source,
        }
    }

    pub(crate) fn format(offset: u64, what: impl Into<String>) -> Self {
        LogError::Format {
            offset,
            what: what.into(),
        }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Exists(path) => write!(
                f,
                "{} already exists; choose another name or ask for it to be overwritten.",
                path.display()
            ),
            LogError::Locked(path) => write!(
                f,
                "{} is being written by another recording; choose another name or stop that one.",
                path.display()
            ),
            LogError::Orphan(path) => write!(
                f,
                "{} has samples of an earlier recording that was broken off; put it back beside its log and recover \
                 that, or remove it, or choose another name.",
                path.display()
            ),
            LogError::NoSpace { path, kept } => write!(
                f,
                "The disk is full: {} was cut back to its last whole segment ({kept} bytes); \
                 free some space or record to another disk.",
                path.display()
            ),
            LogError::DiskLow {
                path,
                free,
                reserve,
            } => write!(
                f,
                "The disk of {} has {free} bytes left, of which {reserve} are kept to finish the recording; free some \
                 space or record to another disk.",
                path.display()
            ),
            LogError::Io {
                doing,
                path,
                source,
            } => write!(f, "Cannot {doing} {}: {source}.", path.display()),
            LogError::Failed(first) => write!(
                f,
                "The log writer has failed and writes no more; the first failure was: {first}"
            ),
            LogError::Finished => write!(f, "The log is finished; open a new one to write more."),
            LogError::Spec(what) | LogError::Block(what) | LogError::Range(what) => {
                f.write_str(what)
            }
            LogError::Format { offset, what } => {
                write!(f, "Not a readable TDMS file: at byte {offset}, {what}.")
            }
            LogError::Unrecoverable(what) => write!(f, "This file cannot be recovered: {what}."),
            LogError::Own => write!(
                f,
                "A log of daqring's own is not defragmented: its segments are as large as the recording chose."
            ),
            LogError::Unsupported(what) => write!(f, "This reader does not read {what}."),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LogError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
