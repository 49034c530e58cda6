//! The stages that come with the crate, one file each.

mod crc32c;

pub use crc32c::Checksum;
