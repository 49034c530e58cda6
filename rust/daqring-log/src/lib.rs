//! Streaming TDMS 2.0 logs: a writer whose every segment stands for itself, a reader, verification.
//!
//! What is written is laid down in `FORMAT.md`. In short: one block of samples is one self-describing segment, aligned
//! to 4096 bytes, with checksums of its header and of its samples, written once and never touched again. Whatever
//! moment a recording is killed at, the file opens with every whole segment.
//!
//! ```
//! use daqring_log::{Block, ChannelSpec, DataType, GroupSpec, LogFile, LogOptions, LogWriter, Scale};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = std::env::temp_dir().join(format!("daqring-log-doc-{}.tdms", std::process::id()));
//! let mut channel = ChannelSpec::new("ai0", DataType::I16);
//! channel.unit = "V".to_owned();
//! channel.scale = Scale::Linear { slope: 10.0 / 32768.0, intercept: 0.0 };
//! let group = GroupSpec {
//!     name: "Dev1".to_owned(),
//!     channels: vec![channel],
//!     dt: Some(1e-3),
//!     properties: vec![],
//! };
//! let mut log = LogWriter::create(&path, LogOptions::default(), vec![group])?;
//! log.set_start_time(0, 1_700_000_000_000_000_000);
//! let data: Vec<u8> = (0..100i16).flat_map(i16::to_le_bytes).collect();
//! log.write_block(&Block {
//!     group: 0,
//!     seq: 0,
//!     first_sample: 0,
//!     samples: 100,
//!     lost_before: 0,
//!     gap: 0,
//!     host_time_ns: 0,
//!     crc32c: None,
//!     data: &data,
//! })?;
//! log.finish(vec![("operator".to_owned(), "Ada".into())])?;
//!
//! let file = LogFile::open(&path)?;
//! let mut volts = vec![0.0; 100];
//! file.read_scaled(0, 0, 0..100, &mut volts)?;
//! assert_eq!(volts[16], 16.0 * 10.0 / 32768.0);
//! assert!(daqring_log::verify(&path)?.complete());
//! # std::fs::remove_file(&path)?;
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]

mod behind;
mod chunk;
mod defragment;
mod dispatch;
mod durable;
mod error;
mod gather;
mod layout;
mod plain;
mod reader;
mod recover;
mod rotate;
mod runs;
mod scale;
mod segment;
mod source;
mod space;
mod stamped;
mod storage;
mod stream;
mod tables;
mod tail;
mod verify;
mod walk;
mod writer;

pub use defragment::{DefragmentReport, defragment};
pub use dispatch::{Kernel, dispatch};
pub use durable::{Position, Progress, SyncHandle, SyncNeed};
pub use error::LogError;
pub use layout::{
    Block, ChannelSpec, ClockPair, DataType, Gap, GapCause, GroupSpec, LOST_UNKNOWN, PlacedRecord,
    Properties, PropertyValue, Record, Scale, StreamGap, Timestamp, property,
};
pub use plain::{daqmx_segment, plain_segment};
pub use reader::{Channel, Group, LogFile, PlainRun, Tail};
pub use recover::{RecoverOptions, RecoverReport, RecoveredStream, recover, recover_sources};
pub use rotate::Rotation;
pub use runs::{BlockTimes, Run, Runs, Times};
pub use scale::Scaling;
pub use segment::{RunId, crc32c};
pub use source::Source;
pub use space::DiskSpace;
pub use storage::{DirectIo, Disk, Medium, Storage, SyncTarget};
pub use verify::{Problem, ProblemKind, StreamCheck, VerifyReport, verify, verify_source};
pub use writer::{
    LogOptions, LogSummary, LogWriter, Segments, Stored, StreamSummary, SyncPolicy, unix_ns,
};
