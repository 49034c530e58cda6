use std::ffi::{c_char, c_void};

/// Handle of a task, as the driver gives it.
pub(crate) type Handle = *mut c_void;

/// `DAQmxReadBinaryI16` and its kin: task, samples per channel, time-out in seconds, fill mode,
/// array, its size in samples, samples per channel that were read, reserved.
type Read =
    unsafe extern "system" fn(Handle, i32, f64, u32, *mut c_void, u32, *mut i32, *mut u32) -> i32;
/// `DAQmxReadCtrFreq` and its kin, which give two values: as above, with two arrays.
type ReadPairs = unsafe extern "system" fn(
    Handle,
    i32,
    f64,
    u32,
    *mut c_void,
    *mut c_void,
    u32,
    *mut i32,
    *mut u32,
) -> i32;
/// `DAQmxGetReadAttribute`, which is variadic: after the place of the value comes its size, for
/// attributes that have one.
type GetAttribute = unsafe extern "C" fn(Handle, i32, *mut c_void, ...) -> i32;
/// `DAQmxSetReadAttribute`, variadic, too: here with a 32-bit number.
type SetAttribute = unsafe extern "C" fn(Handle, i32, ...) -> i32;
type StopTask = unsafe extern "system" fn(Handle) -> i32;
type ExtendedErrorInfo = unsafe extern "system" fn(*mut c_char, u32) -> i32;

/// Whether the driver's variadic functions can be called here. Apple's ABI for arm64 passes
/// variadic arguments in places of their own, which a library that defines these functions with a
/// fixed signature, as the simulated driver does, would not look into.
pub const SUPPORTED: bool = cfg!(target_pointer_width = "64")
    && !cfg!(all(target_vendor = "apple", target_arch = "aarch64"));

/// Where the functions of the driver's library are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// `DAQmxReadBinaryI16`, `..U16`, `..I32`, `..U32`, `DAQmxReadAnalogF64`, `DAQmxReadDigitalU8`,
    /// `..U16`, `..U32`, `DAQmxReadCounterU32Ex`, `..F64Ex`; or, with `pairs`, `DAQmxReadPowerF64`, `DAQmxReadCtrFreq`,
    /// `..Time`, `..Ticks`.
    pub read: usize,
    /// Whether `read` fills two arrays.
    pub pairs: bool,
    /// `DAQmxGetReadAttribute`.
    pub get_read_attribute: usize,
    /// `DAQmxSetReadAttribute`; 0 where nothing is to be skipped.
    pub set_read_attribute: usize,
    /// `DAQmxStopTask`.
    pub stop_task: usize,
    /// `DAQmxGetExtendedErrorInfo`.
    pub get_extended_error_info: usize,
}

/// A function that reads.
#[derive(Clone, Copy)]
pub(crate) enum AnyRead {
    One(Read),
    Pairs(ReadPairs),
}

/// The functions of the driver's library that a reader calls.
#[derive(Clone, Copy)]
pub struct Functions {
    pub(crate) read: AnyRead,
    pub(crate) get_read_attribute: GetAttribute,
    pub(crate) set_read_attribute: Option<SetAttribute>,
    pub(crate) stop_task: StopTask,
    pub(crate) get_extended_error_info: ExtendedErrorInfo,
}

impl Functions {
    /// Takes the addresses for functions; `None` where one of them is null.
    ///
    /// # Safety
    /// Each address is that of the function that its field names, or of one with the same
    /// signature, in a library that stays loaded for as long as this or a copy of it lives.
    pub unsafe fn new(addresses: Addresses) -> Option<Self> {
        let Addresses {
            read,
            pairs,
            get_read_attribute,
            set_read_attribute,
            stop_task,
            get_extended_error_info,
        } = addresses;
        if [read, get_read_attribute, stop_task, get_extended_error_info].contains(&0) {
            return None;
        }
        // SAFETY: the caller vouches for what is at the addresses, and none of them is null.
        unsafe {
            Some(Self {
                read: match pairs {
                    false => AnyRead::One(std::mem::transmute::<usize, Read>(read)),
                    true => AnyRead::Pairs(std::mem::transmute::<usize, ReadPairs>(read)),
                },
                get_read_attribute: std::mem::transmute::<usize, GetAttribute>(get_read_attribute),
                set_read_attribute: match set_read_attribute {
                    0 => None,
                    address => Some(std::mem::transmute::<usize, SetAttribute>(address)),
                },
                stop_task: std::mem::transmute::<usize, StopTask>(stop_task),
                get_extended_error_info: std::mem::transmute::<usize, ExtendedErrorInfo>(
                    get_extended_error_info,
                ),
            })
        }
    }
}
