//! The native reader: a thread that reads a configured DAQmx task into a ring of slots.
//!
//! Whoever configured the task hands over its handle and the addresses of a few functions of the
//! driver's library ([`Functions`]); this crate never loads a library itself. So it is the very
//! library that configured the task, real or simulated.
//!
//! The reading thread ([`Reader`]) needs nothing but the driver and the ring: no lock of an
//! interpreter, no allocation per block. It keeps these promises:
//!
//! - Every sample that the driver delivers goes into the ring, those of a short read or of a read
//!   that failed, too.
//! - The read position is checked after every read: what somebody else read is told as a [`Gap`].
//! - A stop ends the reading with what the driver holds at that moment, no more and no less.
//! - The first error that is no mere time-out ends it, with the driver's code and words
//!   ([`DriverError`]).

mod functions;
mod gap;
mod lateness;
mod reader;
mod runs;
mod status;
mod task;
mod thread;

pub use functions::{Addresses, Functions, SUPPORTED};
pub use gap::{Cause, Gap, LOST_UNKNOWN};
pub use lateness::Lateness;
pub use reader::{
    ClockSink, Ending, Losses, Outcome, Pace, Progress, Reader, ReaderOptions, StartSink,
};
pub use status::{DriverError, code};
pub use task::{DriverTask, ReadResult, SampleType};
