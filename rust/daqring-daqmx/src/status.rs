use std::fmt;

/// Status codes of the driver that mean something to a reader.
pub mod code {
    /// Unread samples were overwritten in the driver's buffer.
    pub const SAMPLES_NO_LONGER_AVAILABLE: i32 = -200_279;
    /// The driver stopped rather than overwrite unread samples.
    pub const STOPPED_TO_PREVENT_OVERWRITE: i32 = -200_222;
    /// A read timed out; what had come by then was delivered.
    pub const SAMPLES_NOT_YET_AVAILABLE: i32 = -200_284;
    /// What a task tells only while it runs was asked of one that does not.
    pub const NOT_RUNNING: i32 = -200_983;
    /// The device's own memory overflowed.
    pub const DEVICE_OVERFLOWS: [i32; 4] = [-200_361, -200_010, -209_829, -200_714];
}

/// What an error of the driver means to a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Go on: the rest will come.
    Timeout,
    /// Samples were lost in the driver's buffer.
    Overwrite,
    /// Samples were lost in the device.
    DeviceOverflow,
    /// The end, for another reason.
    Failure,
}

/// An error of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverError {
    /// The status code, below 0.
    pub code: i32,
    /// The first line of the driver's own words; empty where it had none.
    pub words: String,
}

impl DriverError {
    pub(crate) fn meaning(&self) -> Meaning {
        match self.code {
            code::SAMPLES_NOT_YET_AVAILABLE => Meaning::Timeout,
            code::SAMPLES_NO_LONGER_AVAILABLE | code::STOPPED_TO_PREVENT_OVERWRITE => {
                Meaning::Overwrite
            }
            other if code::DEVICE_OVERFLOWS.contains(&other) => Meaning::DeviceOverflow,
            _ => Meaning::Failure,
        }
    }

    /// Whether the task was stopped.
    pub(crate) fn is_not_running(&self) -> bool {
        self.code == code::NOT_RUNNING
    }
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, words } = self;
        if words.is_empty() {
            write!(f, "the driver reports error {code}")
        } else if words.contains(&code.to_string()) {
            f.write_str(words)
        } else {
            write!(f, "{words} (error {code})")
        }
    }
}

impl std::error::Error for DriverError {}

#[cfg(test)]
mod tests {
    use super::{DriverError, Meaning};

    #[test]
    fn codes_mean_what_the_driver_documents() {
        for (code, meaning) in [
            (-200_284, Meaning::Timeout),
            (-200_279, Meaning::Overwrite),
            (-200_222, Meaning::Overwrite),
            (-200_361, Meaning::DeviceOverflow),
            (-200_714, Meaning::DeviceOverflow),
            (-201_003, Meaning::Failure),
            (-200_278, Meaning::Failure),
        ] {
            let words = String::new();
            assert_eq!(DriverError { code, words }.meaning(), meaning, "{code}");
        }
    }

    #[test]
    fn the_code_is_said_once() {
        let with = |words: &str| {
            let words = words.to_owned();
            DriverError { code: -7, words }.to_string()
        };
        assert_eq!(with("It broke."), "It broke. (error -7)");
        assert_eq!(with("Error -7 occurred."), "Error -7 occurred.");
        assert_eq!(with(""), "the driver reports error -7");
    }
}
