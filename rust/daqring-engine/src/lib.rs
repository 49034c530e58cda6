//! Threads and policy of a recording.
//!
//! A [`Recording`] owns everything between the producers and the file: one arena of slots per
//! stream, the pool of workers that process committed blocks, the restoring of their order, and the
//! writer thread that hands them to the log. Nothing here knows Python, and nothing here knows a
//! byte offset of the file.
//!
//! Work on a block is a [`Stage`]; those that come with the crate are in [`stages`], one file each.
//!
//! The law it keeps, checked by [`StreamStats::law_holds`] once all is at rest:
//! `committed = written + gated + dropped + failed`, in blocks.

#![forbid(unsafe_code)]

mod derived;
mod dispatch;
mod error;
mod feed;
mod layout;
mod pool;
pub mod reading;
mod recording;
mod reorder;
mod samples;
mod sink;
mod stage;
pub mod stages;
mod stats;
mod tap;
mod writer;

pub use derived::{DerivedBlock, Outlet};
pub use dispatch::{Kernel, dispatch};
pub use error::EngineError;
pub use feed::{Delivery, Feed, FeedData, Missed};
pub use layout::{Layout, of_records};
pub use recording::{
    Recording, RecordingOptions, RecordingSummary, StageOptions, StreamOptions, TapError,
    ThreadHook, ThreadRole,
};
pub use sink::{LogSink, Note, Notes, NullSink, Sink, SinkSummary};
pub use stage::{
    Arrival, BlockView, Parcel, SettleError, Settlement, Stage, StageError, StageOutput, own,
};
pub use stats::{DerivedStats, RecordingStats, StageStats, StreamStats, WorkStats, WorkerStats};
pub use tap::{Tap, TapBlock};
