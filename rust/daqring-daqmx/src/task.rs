use std::ffi::c_void;

use crate::functions::{AnyRead, Functions, Handle};
use crate::runs::move_runs;
use crate::status::DriverError;

/// Read attributes, by their numbers in the driver's header.
const CURRENT_READ_POSITION: i32 = 0x1221;
const AVAILABLE_SAMPLES: i32 = 0x1223;
const TOTAL_ACQUIRED: i32 = 0x192A;
const RELATIVE_TO: i32 = 0x190A;
const OFFSET: i32 = 0x190B;
/// Values of `RELATIVE_TO`.
const CURRENT_POSITION: i32 = 10425;
const MOST_RECENT: i32 = 10428;

/// All samples of a channel, then those of the next.
const GROUP_BY_CHANNEL: u32 = 0;

/// The package that most people use gives the driver as much room for its words.
const WORDS: usize = 2048;

/// What a read function delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleType {
    /// Codes, `DAQmxReadBinaryI16`.
    I16,
    /// Codes or ports, `DAQmxReadBinaryU16`, `DAQmxReadDigitalU16`.
    U16,
    /// Codes, `DAQmxReadBinaryI32`.
    I32,
    /// Codes, ports or counts: `DAQmxReadBinaryU32` and others.
    U32,
    /// Values in the channels' units, `DAQmxReadAnalogF64` and others.
    F64,
    /// Ports, `DAQmxReadDigitalU8`.
    U8,
}

impl SampleType {
    /// Bytes of a sample.
    pub const fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 => 4,
            Self::F64 => 8,
        }
    }
}

/// What came of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "samples and errors may come together"]
pub struct ReadResult {
    /// Samples per channel that are in the array now, one channel after the other, packed.
    pub samples: usize,
    /// The error that came with them or instead of them.
    pub error: Option<DriverError>,
}

/// A configured task of the driver, as a reader uses it.
pub struct DriverTask {
    functions: Functions,
    handle: Handle,
    channels: usize,
    sample: SampleType,
}

// SAFETY: the driver's functions may be called from any thread, and a handle is only a number to
// them: they check it.
unsafe impl Send for DriverTask {}

impl DriverTask {
    /// Takes over the reading of a task with this many channels. Where the function reads pairs,
    /// there are two for each of the task: the first values of all, then the second ones.
    ///
    /// # Safety
    /// `functions.read` delivers samples of the type `sample`, and `handle` is or was a handle that
    /// the same library gave out for a task with at most `channels` channels to read.
    pub unsafe fn new(
        functions: Functions,
        handle: usize,
        channels: usize,
        sample: SampleType,
    ) -> Self {
        Self {
            functions,
            handle: handle as Handle,
            channels,
            sample,
        }
    }

    /// Bytes of one sample of all channels.
    pub fn frame(&self) -> usize {
        self.channels * self.sample.size()
    }

    /// Channels of the task.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Reads up to `samples` per channel, waiting for them up to `timeout` seconds.
    ///
    /// # Panics
    /// Where `out` is too small or not aligned for the samples.
    pub fn read(&self, samples: usize, timeout: f64, out: &mut [u8]) -> ReadResult {
        let elements = samples * self.channels;
        assert!(
            elements * self.sample.size() <= out.len()
                && out.as_ptr().addr().is_multiple_of(self.sample.size()),
            "the array does not suit a read of {samples} samples"
        );
        let (count, elements) = (
            i32::try_from(samples).expect("a read of less than 2^31 samples"),
            u32::try_from(elements).expect("a read of less than 2^32 values"),
        );
        let mut read = 0;
        let size = self.sample.size();
        let status = match self.functions.read {
            // SAFETY: the array has room for `elements` aligned samples and is ours until the call
            // returns; the other pointer is null, as documented.
            AnyRead::One(function) => unsafe {
                function(
                    self.handle,
                    count,
                    timeout,
                    GROUP_BY_CHANNEL,
                    out.as_mut_ptr().cast::<c_void>(),
                    elements,
                    &mut read,
                    std::ptr::null_mut(),
                )
            },
            AnyRead::Pairs(function) => {
                let each = elements / 2;
                let (first, second) = out.split_at_mut(each as usize * size);
                assert!(self.channels.is_multiple_of(2) && second.len() >= each as usize * size);
                // SAFETY: each of the two arrays has room for `each` aligned samples and is ours until
                // the call returns; the other pointer is null, as documented.
                unsafe {
                    function(
                        self.handle,
                        count,
                        timeout,
                        GROUP_BY_CHANNEL,
                        first.as_mut_ptr().cast::<c_void>(),
                        second.as_mut_ptr().cast::<c_void>(),
                        each,
                        &mut read,
                        std::ptr::null_mut(),
                    )
                }
            }
        };
        // A driver that claims more than was asked for would make us read beyond the array.
        let got = usize::try_from(read).unwrap_or(0).min(samples);
        if got < samples && matches!(self.functions.read, AnyRead::Pairs(_)) {
            // As the driver packs other kinds of short reads.
            let half = self.channels / 2 * size;
            move_runs(out, 2, got * half, samples * half, got * half);
        }
        ReadResult {
            samples: got,
            error: self.error(status),
        }
    }

    /// Samples per channel that wait in the driver's buffer; `None` where it does not say.
    pub fn available(&self) -> Option<u64> {
        self.ask_available().ok()
    }

    /// The same, or why the driver does not say.
    ///
    /// # Errors
    /// What the driver says: the device is gone, somebody has stopped the task ...
    pub fn ask_available(&self) -> Result<u64, DriverError> {
        let mut value = 0u32;
        let status = self.get(AVAILABLE_SAMPLES, &mut value);
        self.error(status).map_or(Ok(u64::from(value)), Err)
    }

    /// Index of the next sample to be read; `None` where the driver does not say.
    pub fn position(&self) -> Option<u64> {
        let mut value = 0u64;
        (self.get(CURRENT_READ_POSITION, &mut value) >= 0).then_some(value)
    }

    /// Samples per channel acquired since the start; `None` where the driver does not say.
    pub fn acquired(&self) -> Option<u64> {
        let mut value = 0u64;
        (self.get(TOTAL_ACQUIRED, &mut value) >= 0).then_some(value)
    }

    /// Lets the next read begin `samples` before the newest; whether the driver agrees.
    pub fn read_newest(&self, samples: u64) -> bool {
        let back = i32::try_from(samples).unwrap_or(i32::MAX);
        self.set(RELATIVE_TO, MOST_RECENT) && self.set(OFFSET, -back)
    }

    /// Lets reads follow one on the other again.
    pub fn read_on(&self) -> bool {
        self.set(OFFSET, 0) && self.set(RELATIVE_TO, CURRENT_POSITION)
    }

    fn set(&self, attribute: i32, value: i32) -> bool {
        let Some(function) = self.functions.set_read_attribute else {
            return false;
        };
        // SAFETY: both attributes that are set are 32-bit numbers, and so is `value`.
        unsafe { function(self.handle, attribute, value) == 0 }
    }

    /// Negative: the driver refuses.
    fn get<T>(&self, attribute: i32, value: &mut T) -> i32 {
        // SAFETY: the attributes asked for have the type of `value` (the constants and their users
        // are side by side above), whose size goes along.
        unsafe {
            (self.functions.get_read_attribute)(
                self.handle,
                attribute,
                std::ptr::from_mut(value).cast::<c_void>(),
                size_of::<T>() as u32,
            )
        }
    }

    /// Stops the task.
    ///
    /// # Errors
    /// What the driver says.
    pub fn stop(&self) -> Result<(), DriverError> {
        // SAFETY: the function takes the handle alone.
        let status = unsafe { (self.functions.stop_task)(self.handle) };
        self.error(status).map_or(Ok(()), Err)
    }

    /// The error of the call just made: its words are kept per thread until the next call.
    fn error(&self, status: i32) -> Option<DriverError> {
        if status >= 0 {
            return None;
        }
        let mut buffer = [0u8; WORDS];
        // SAFETY: the buffer has the size that is told.
        let told = unsafe {
            (self.functions.get_extended_error_info)(buffer.as_mut_ptr().cast(), WORDS as u32)
        };
        let end = buffer.iter().position(|&byte| byte == 0).unwrap_or(WORDS);
        let words = if told < 0 { &[][..] } else { &buffer[..end] };
        let words = String::from_utf8_lossy(words);
        let first = words.trim().lines().next().unwrap_or_default();
        Some(DriverError {
            code: status,
            words: first.trim().to_owned(),
        })
    }
}

impl std::fmt::Debug for DriverTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DriverTask")
            .field("handle", &self.handle)
            .field("channels", &self.channels)
            .field("sample", &self.sample)
            .finish_non_exhaustive()
    }
}
