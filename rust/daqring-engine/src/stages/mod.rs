//! The stages that come with the crate, one file each.

mod bins;
mod crc32c;
mod decimate;
mod envelope;
mod extremes;
mod lines;
mod scale;
mod statistics;
mod trigger;

pub use crc32c::Checksum;
pub use decimate::{Decimate, FilterDesign};
pub use envelope::Envelope;
pub use lines::DigitalLines;
pub use scale::Scaled;
pub use statistics::Statistics;
pub use trigger::{Condition, Manual, Trigger, TriggerOptions};
