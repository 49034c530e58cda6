//! Threads and policy of a recording.
//!
//! A [`Recording`] owns everything between the producers and the file: one arena of slots per
//! stream, the workers that process committed blocks, the restoring of their order, and the writer
//! thread that hands them to the log. Nothing here knows Python, and nothing here knows a byte
//! offset of the file.
//!
//! The law it keeps, checked by [`StreamStats::law_holds`] once all is at rest:
//! `committed = written + gated + dropped + failed`, in blocks.

#![forbid(unsafe_code)]

mod error;
mod recording;
mod reorder;
mod sink;
mod stage;
mod stats;
mod worker;

pub use error::EngineError;
pub use recording::{Recording, RecordingOptions, RecordingSummary, StreamOptions};
pub use sink::{LogSink, Note, Notes, NullSink, Sink, SinkSummary};
pub use stage::{Checksum, Stage, StageError, StageOutput};
pub use stats::{RecordingStats, StreamStats};
