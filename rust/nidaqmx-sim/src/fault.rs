//! Faults on demand: what goes wrong with a device, and when.

use crate::error::code;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FaultKind {
    /// The bus is too slow: the device's own memory overflows, and the run ends with -200361.
    SlowBus,
    /// The device goes away: the run ends with -201003.
    Unplugged,
    /// The device is reset: the run ends with -88709.
    Reset,
    /// The sample clock pauses for so many seconds (infinite: for ever), so that reads time out.
    ClockLost,
    /// The next read is held up for so many seconds before it begins, so that the buffer overflows
    /// where it is too small for them.
    ReaderStall,
    /// A read ends early, with half of what was asked for and -200284.
    ShortRead,
    /// The sample clock begins so many seconds after the start.
    LateStart,
    /// The bus takes no samples for so many seconds: they wait in the device's own memory, and come
    /// late; where there are more than it holds, the run ends with -200361.
    BusStall,
    /// The driver cannot transfer the samples fast enough: the run ends with -200714.
    SlowDriver,
    /// Every read is held up for a time of up to so many seconds before it begins.
    Jitter,
}

/// A fault of a device: it happens once, in the run that is under way or in the next one.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// From which sample of the run on.
    pub after: u64,
    /// How long, where the kind has a duration.
    pub seconds: f64,
}

impl Fault {
    /// The status that ends the run, for the kinds that end it.
    pub(crate) fn ending(&self) -> Option<i32> {
        match self.kind {
            FaultKind::SlowBus => Some(code::INPUT_FIFO_OVERFLOW),
            FaultKind::SlowDriver => Some(code::DRIVER_TOO_SLOW),
            FaultKind::Unplugged => Some(code::DEV_CANNOT_BE_ACCESSED),
            FaultKind::Reset => Some(code::RUNTIME_ABORTED_ROUTING),
            _ => None,
        }
    }

    pub(crate) fn nanoseconds(&self) -> u64 {
        // The cast saturates, for an endless fault, too.
        (self.seconds * 1e9) as u64
    }
}
