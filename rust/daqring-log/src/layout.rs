//! What a log is made of: data types, property values, scales, channels and groups.

use std::fmt;

/// Seconds between the TDMS epoch (1904-01-01 UTC) and the Unix epoch.
pub(crate) const EPOCH_1904: i64 = 2_082_844_800;

/// The type of a channel's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataType {
    /// Signed, 8 bits.
    I8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// IEEE 754, 32 bits.
    F32,
    /// IEEE 754, 64 bits.
    F64,
    /// One byte, 0 or 1.
    Bool,
    /// 16 bytes, see [`Timestamp`].
    Timestamp,
    /// UTF-8 text of any length.
    String,
    /// Two F32: real, imaginary.
    Complex64,
    /// Two F64: real, imaginary.
    Complex128,
}

impl DataType {
    /// Bytes of one value; `None` for text, whose values have no fixed size.
    pub const fn size(self) -> Option<usize> {
        Some(match self {
            DataType::I8 | DataType::U8 | DataType::Bool => 1,
            DataType::I16 | DataType::U16 => 2,
            DataType::I32 | DataType::U32 | DataType::F32 => 4,
            DataType::I64 | DataType::U64 | DataType::F64 | DataType::Complex64 => 8,
            DataType::Timestamp | DataType::Complex128 => 16,
            DataType::String => return None,
        })
    }

    /// The number TDMS gives the type.
    pub const fn tdms_id(self) -> u32 {
        match self {
            DataType::I8 => 1,
            DataType::I16 => 2,
            DataType::I32 => 3,
            DataType::I64 => 4,
            DataType::U8 => 5,
            DataType::U16 => 6,
            DataType::U32 => 7,
            DataType::U64 => 8,
            DataType::F32 => 9,
            DataType::F64 => 0x0A,
            DataType::String => 0x20,
            DataType::Bool => 0x21,
            DataType::Timestamp => 0x44,
            DataType::Complex64 => 0x0008_000C,
            DataType::Complex128 => 0x0010_000D,
        }
    }

    /// The type with this TDMS number. Floats "with unit" are floats.
    pub const fn from_tdms_id(id: u32) -> Option<DataType> {
        Some(match id {
            1 => DataType::I8,
            2 => DataType::I16,
            3 => DataType::I32,
            4 => DataType::I64,
            5 => DataType::U8,
            6 => DataType::U16,
            7 => DataType::U32,
            8 => DataType::U64,
            9 | 0x19 => DataType::F32,
            0x0A | 0x1A => DataType::F64,
            0x20 => DataType::String,
            0x21 => DataType::Bool,
            0x44 => DataType::Timestamp,
            0x0008_000C => DataType::Complex64,
            0x0010_000D => DataType::Complex128,
            _ => return None,
        })
    }

    /// numpy's name of the type, as far as numpy has one.
    pub const fn name(self) -> &'static str {
        match self {
            DataType::I8 => "int8",
            DataType::I16 => "int16",
            DataType::I32 => "int32",
            DataType::I64 => "int64",
            DataType::U8 => "uint8",
            DataType::U16 => "uint16",
            DataType::U32 => "uint32",
            DataType::U64 => "uint64",
            DataType::F32 => "float32",
            DataType::F64 => "float64",
            DataType::Bool => "bool",
            DataType::Timestamp => "timestamp",
            DataType::String => "string",
            DataType::Complex64 => "complex64",
            DataType::Complex128 => "complex128",
        }
    }

    /// The size of the unit whose bytes change places between byte orders.
    pub(crate) const fn swap_unit(self) -> usize {
        match self {
            DataType::Complex64 => 4,
            DataType::Complex128 => 8,
            // A big-endian timestamp has its two halves in the other order, too: all 16 bytes turn.
            DataType::Timestamp => 16,
            other => match other.size() {
                Some(size) => size,
                None => 1,
            },
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A moment as TDMS stores it: seconds since 1904-01-01 UTC and a fraction in units of 2^-64 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds since 1904-01-01 00:00:00 UTC.
    pub seconds: i64,
    /// The rest, in units of 2^-64 s.
    pub fraction: u64,
}

impl Timestamp {
    /// The moment `ns` nanoseconds after the Unix epoch.
    pub fn from_unix_ns(ns: i64) -> Timestamp {
        let rest = ns.rem_euclid(1_000_000_000) as u64;
        Timestamp {
            seconds: ns.div_euclid(1_000_000_000) + EPOCH_1904,
            // 2^64 / 10^9 is this whole number and 709,551,616 / 10^9; no product here exceeds 64 bits. Rounded up, so
            // that the way back (rounded to nearest) gives the same nanosecond.
            fraction: rest * 18_446_744_073 + (rest * 709_551_616).div_ceil(1_000_000_000),
        }
    }

    /// Nanoseconds since the Unix epoch, rounded; saturates outside of the years 1677 to 2262.
    pub fn unix_ns(self) -> i64 {
        let ns = (u128::from(self.fraction) * 1_000_000_000 + (1 << 63)) >> 64;
        let whole = i128::from(self.seconds) - i128::from(EPOCH_1904);
        let ns = whole * 1_000_000_000 + ns as i128;
        ns.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }
}

/// The value of a property.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum PropertyValue {
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    F32(f32),
    F64(f64),
    String(String),
    Bool(bool),
    Timestamp(Timestamp),
    /// Complex number of two F32; this crate reads it and does not write it.
    Complex64([f32; 2]),
    /// Complex number of two F64; this crate reads it and does not write it.
    Complex128([f64; 2]),
}

impl PropertyValue {
    /// A timestamp from nanoseconds since the Unix epoch.
    pub fn timestamp_ns(unix_ns: i64) -> PropertyValue {
        PropertyValue::Timestamp(Timestamp::from_unix_ns(unix_ns))
    }

    /// The type's TDMS name.
    pub fn data_type(&self) -> DataType {
        match self {
            PropertyValue::I8(_) => DataType::I8,
            PropertyValue::I16(_) => DataType::I16,
            PropertyValue::I32(_) => DataType::I32,
            PropertyValue::I64(_) => DataType::I64,
            PropertyValue::U8(_) => DataType::U8,
            PropertyValue::U16(_) => DataType::U16,
            PropertyValue::U32(_) => DataType::U32,
            PropertyValue::U64(_) => DataType::U64,
            PropertyValue::F32(_) => DataType::F32,
            PropertyValue::F64(_) => DataType::F64,
            PropertyValue::String(_) => DataType::String,
            PropertyValue::Bool(_) => DataType::Bool,
            PropertyValue::Timestamp(_) => DataType::Timestamp,
            PropertyValue::Complex64(_) => DataType::Complex64,
            PropertyValue::Complex128(_) => DataType::Complex128,
        }
    }

    /// The value as a float, if it is a number.
    pub fn as_f64(&self) -> Option<f64> {
        Some(match *self {
            PropertyValue::I8(v) => v.into(),
            PropertyValue::I16(v) => v.into(),
            PropertyValue::I32(v) => v.into(),
            PropertyValue::I64(v) => v as f64,
            PropertyValue::U8(v) => v.into(),
            PropertyValue::U16(v) => v.into(),
            PropertyValue::U32(v) => v.into(),
            PropertyValue::U64(v) => v as f64,
            PropertyValue::F32(v) => v.into(),
            PropertyValue::F64(v) => v,
            _ => return None,
        })
    }

    /// The value as an unsigned integer, if it is one.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            PropertyValue::I8(v) => u64::try_from(v).ok(),
            PropertyValue::I16(v) => u64::try_from(v).ok(),
            PropertyValue::I32(v) => u64::try_from(v).ok(),
            PropertyValue::I64(v) => u64::try_from(v).ok(),
            PropertyValue::U8(v) => Some(v.into()),
            PropertyValue::U16(v) => Some(v.into()),
            PropertyValue::U32(v) => Some(v.into()),
            PropertyValue::U64(v) => Some(v),
            _ => None,
        }
    }

    /// The value as text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            PropertyValue::String(v) => Some(v),
            _ => None,
        }
    }
}

impl fmt::Display for PropertyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PropertyValue::I8(v) => v.fmt(f),
            PropertyValue::I16(v) => v.fmt(f),
            PropertyValue::I32(v) => v.fmt(f),
            PropertyValue::I64(v) => v.fmt(f),
            PropertyValue::U8(v) => v.fmt(f),
            PropertyValue::U16(v) => v.fmt(f),
            PropertyValue::U32(v) => v.fmt(f),
            PropertyValue::U64(v) => v.fmt(f),
            PropertyValue::F32(v) => v.fmt(f),
            PropertyValue::F64(v) => v.fmt(f),
            PropertyValue::String(v) => v.fmt(f),
            PropertyValue::Bool(v) => v.fmt(f),
            PropertyValue::Timestamp(v) => write!(f, "{} ns", v.unix_ns()),
            PropertyValue::Complex64([re, im]) => write!(f, "{re}+{im}j"),
            PropertyValue::Complex128([re, im]) => write!(f, "{re}+{im}j"),
        }
    }
}

impl From<&str> for PropertyValue {
    fn from(value: &str) -> Self {
        PropertyValue::String(value.to_owned())
    }
}

impl From<String> for PropertyValue {
    fn from(value: String) -> Self {
        PropertyValue::String(value)
    }
}

/// Names and values, in the order in which they are written.
pub type Properties = Vec<(String, PropertyValue)>;

/// The value of a property, if it is there.
pub fn property<'a>(
    properties: &'a [(String, PropertyValue)],
    name: &str,
) -> Option<&'a PropertyValue> {
    properties
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

/// How recorded values become physical ones. Written as NI's scaling properties.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Scale {
    /// The values are physical already.
    #[default]
    None,
    /// `slope * x + intercept`
    Linear {
        /// Per unit of the recorded value.
        slope: f64,
        /// At a recorded value of 0.
        intercept: f64,
    },
    /// Coefficients in ascending order of the power of x.
    Polynomial(Vec<f64>),
}

/// A channel to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelSpec {
    /// Any text that is not empty; unique in its group.
    pub name: String,
    /// The type of the recorded values.
    pub data_type: DataType,
    /// The unit of the physical (scaled) values.
    pub unit: String,
    /// From recorded to physical values.
    pub scale: Scale,
    /// The user's own.
    pub properties: Properties,
}

impl ChannelSpec {
    /// A channel without unit, scale and properties.
    pub fn new(name: impl Into<String>, data_type: DataType) -> ChannelSpec {
        ChannelSpec {
            name: name.into(),
            data_type,
            unit: String::new(),
            scale: Scale::None,
            properties: Vec::new(),
        }
    }
}

/// A group to be written: the channels of one stream.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSpec {
    /// Any text that is not empty; unique in the file.
    pub name: String,
    /// In the order in which their runs lie in a block.
    pub channels: Vec<ChannelSpec>,
    /// Seconds from one sample to the next; `None` where it is not constant.
    pub dt: Option<f64>,
    /// The user's own.
    pub properties: Properties,
}

impl GroupSpec {
    /// Bytes of one sample of all channels.
    pub(crate) fn sample_bytes(&self) -> usize {
        self.channels
            .iter()
            .map(|channel| channel.data_type.size().unwrap_or(0))
            .sum()
    }
}

/// Why samples are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum GapCause {
    /// Nothing is missing.
    None = 0,
    /// The driver's buffer in host memory was overwritten before it was read (-200279, -200222).
    Overwrite = 1,
    /// The device's own memory overflowed (-200361 and kin).
    DeviceOverflow = 2,
    /// Our ring was full.
    Overrun = 3,
    /// Another reader took samples from the task.
    Foreign = 4,
    /// The device went away.
    Unplug = 5,
    /// Damage to the log itself: bytes that recovery could not bring back.
    Damage = 6,
    /// Deliberately not recorded, as between the records of a trigger: no loss.
    Gated = 7,
    /// Not known.
    Unknown = 255,
}

impl GapCause {
    /// The cause with this number; what is not known is [`GapCause::Unknown`].
    pub const fn from_u32(value: u32) -> GapCause {
        match value {
            0 => GapCause::None,
            1 => GapCause::Overwrite,
            2 => GapCause::DeviceOverflow,
            3 => GapCause::Overrun,
            4 => GapCause::Foreign,
            5 => GapCause::Unplug,
            6 => GapCause::Damage,
            7 => GapCause::Gated,
            _ => GapCause::Unknown,
        }
    }
}

impl fmt::Display for GapCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GapCause::None => "none",
            GapCause::Overwrite => "overwritten in the driver's buffer",
            GapCause::DeviceOverflow => "overflow of the device's memory",
            GapCause::Overrun => "the ring was full",
            GapCause::Foreign => "read by somebody else",
            GapCause::Unplug => "the device was unplugged",
            GapCause::Damage => "the file was damaged",
            GapCause::Gated => "deliberately not recorded",
            GapCause::Unknown => "unknown",
        })
    }
}

/// `lost_before` of a block before which an unknown number of samples is missing.
pub const LOST_UNKNOWN: u64 = u64::MAX;

/// A hole in the samples of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Index (per channel, from the stream's start) of the first missing sample.
    pub first_sample: u64,
    /// Samples missing per channel; `None` where that cannot be known.
    pub count: Option<u64>,
    /// Why.
    pub cause: GapCause,
    /// Host time at which it was noticed, Unix nanoseconds.
    pub host_time_ns: i64,
}

/// A [`Gap`] and the stream it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamGap {
    /// The stream's name, which is its first group's.
    pub stream: String,
    /// The hole.
    pub gap: Gap,
}

/// The samples of all channels of one stream over some time: what one call writes.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// Index of the group among those given to [`LogWriter::create`](crate::LogWriter::create).
    pub group: usize,
    /// Number of the block in its stream; grows by one each.
    pub seq: u64,
    /// Index of the block's first sample in its stream, lost samples counted.
    pub first_sample: u64,
    /// Samples per channel.
    pub samples: u64,
    /// Samples per channel that are missing right before this block; [`LOST_UNKNOWN`] if unknown.
    pub lost_before: u64,
    /// A [`GapCause`] as a number.
    pub gap: u32,
    /// Host time of the block's acquisition, Unix nanoseconds.
    pub host_time_ns: i64,
    /// CRC32C of `data` where somebody has computed it already.
    pub crc32c: Option<u32>,
    /// The channels' runs, one after the other, each `samples` values long, little-endian.
    pub data: &'a [u8],
}

/// One trigger's samples: what [`LogWriter::write_record`](crate::LogWriter::write_record) notes about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Number of the record in its stream.
    pub number: u64,
    /// Time of its first sample, Unix nanoseconds.
    pub start_time_ns: i64,
    /// Samples per channel before the trigger.
    pub pretrigger: u64,
}

/// A [`Record`] and where its samples are in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedRecord {
    /// Index of the stream in the file.
    pub stream: u32,
    /// Index of its first value in the group's channels.
    pub first_value: u64,
    /// Samples per channel.
    pub samples: u64,
    /// Index of its first sample in the stream.
    pub first_sample: u64,
    /// The record.
    pub record: Record,
}

/// Readings that belong together: a sample of the device's clock and two of the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockPair {
    /// Index of the sample in its stream.
    pub sample: u64,
    /// The host's monotonic clock, nanoseconds.
    pub monotonic_ns: i64,
    /// The host's clock, Unix nanoseconds.
    pub utc_ns: i64,
}
