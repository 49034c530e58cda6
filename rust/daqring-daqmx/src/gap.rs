/// A loss of unknown size, as a block's header carries it.
pub const LOST_UNKNOWN: u64 = u64::MAX;

/// Why samples are missing; the numbers are those of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Cause {
    /// They were overwritten in the driver's buffer.
    Overwrite = 1,
    /// The device's own memory overflowed.
    DeviceOverflow = 2,
    /// The ring was full and was told to drop the newest samples.
    Overrun = 3,
    /// Somebody else read from the task.
    ForeignRead = 4,
    /// The device went away.
    Unplugged = 5,
    /// Nobody knows.
    Unknown = 255,
}

impl Cause {
    /// The cause of a number; what is not known is [`Cause::Unknown`].
    pub fn from_u32(number: u32) -> Self {
        match number {
            1 => Self::Overwrite,
            2 => Self::DeviceOverflow,
            4 => Self::ForeignRead,
            5 => Self::Unplugged,
            _ => Self::Unknown,
        }
    }
}

/// A hole in the samples, per channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Index of the first missing sample since the start of the task.
    pub first_sample: u64,
    /// Missing samples; `None`: nobody knows.
    pub count: Option<u64>,
    /// Why they are missing.
    pub cause: Cause,
}
