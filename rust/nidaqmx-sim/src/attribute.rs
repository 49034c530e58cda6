//! Attributes: their table, the values they take, and how values cross the C interface.

use std::ffi::{CStr, c_char, c_void};

use crate::attribute_table::ATTRIBUTES;
use crate::error::{Error, Result, code};

/// What an attribute belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(dead_code)]
pub(crate) enum Object {
    Buffer,
    CalibrationInfo,
    Channel,
    Device,
    ExportSignal,
    PersistedChannel,
    PersistedScale,
    PersistedTask,
    PhysicalChannel,
    Read,
    RealTime,
    Scale,
    System,
    Task,
    Timing,
    Trigger,
    Watchdog,
    Write,
}

/// The C type of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    I32,
    U32,
    U64,
    F64,
    Bool,
    Str,
    I32s,
    U32s,
    U8s,
    F64s,
    Time,
}

/// Whether an attribute can be read, written or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    ReadWrite,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub(crate) object: Object,
    pub(crate) id: u32,
    pub(crate) kind: Kind,
    pub(crate) access: Access,
    pub(crate) resettable: bool,
    pub(crate) name: &'static str,
}

impl Attribute {
    pub(crate) const fn row(
        object: Object,
        id: u32,
        kind: Kind,
        access: Access,
        resettable: bool,
        name: &'static str,
    ) -> Self {
        Self {
            object,
            id,
            kind,
            access,
            resettable,
            name,
        }
    }

    /// The name as the extended error text shows it.
    pub(crate) fn display(&self) -> String {
        format!("DAQmx_{}", self.name)
    }
}

/// The row of an attribute, or the error that there is none.
pub(crate) fn find(object: Object, id: i32) -> Result<&'static Attribute> {
    let id = u32::try_from(id).unwrap_or(0);
    ATTRIBUTES
        .binary_search_by(|row| (row.object, row.id).cmp(&(object, id)))
        .map(|index| &ATTRIBUTES[index])
        .map_err(|_| {
            Error::new(code::INVALID_ATTRIBUTE).with("Attribute Number", format!("0x{id:X}"))
        })
}

/// The row of an attribute that can be read.
pub(crate) fn readable(object: Object, id: i32) -> Result<&'static Attribute> {
    let row = find(object, id)?;
    if row.access == Access::Write {
        return Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED).with("Property", row.display()));
    }
    Ok(row)
}

/// The row of an attribute that can be set.
pub(crate) fn writable(object: Object, id: i32) -> Result<&'static Attribute> {
    let row = find(object, id)?;
    if row.access == Access::Read {
        return Err(Error::new(code::ATTRIBUTE_READ_ONLY).with("Property", row.display()));
    }
    Ok(row)
}

/// The row of an attribute that can be reset.
pub(crate) fn resettable(object: Object, id: i32) -> Result<&'static Attribute> {
    let row = find(object, id)?;
    if !row.resettable {
        return Err(Error::new(code::ATTRIBUTE_NOT_RESETTABLE).with("Property", row.display()));
    }
    Ok(row)
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
#[allow(dead_code)]
pub(crate) enum Value {
    I32(i32),
    U32(u32),
    U64(u64),
    F64(f64),
    Bool(bool),
    Str(String),
    I32s(Vec<i32>),
    U32s(Vec<u32>),
    F64s(Vec<f64>),
    Time(u64, i64),
}

impl Value {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Str(text.into())
    }

    pub(crate) fn as_i32(&self) -> i32 {
        match self {
            Self::I32(value) => *value,
            Self::U32(value) => *value as i32,
            Self::Bool(value) => i32::from(*value),
            _ => 0,
        }
    }

    pub(crate) fn as_u64(&self) -> u64 {
        match self {
            Self::U64(value) => *value,
            Self::U32(value) => u64::from(*value),
            Self::I32(value) => *value as u64,
            Self::Bool(value) => u64::from(*value),
            _ => 0,
        }
    }

    pub(crate) fn as_bool(&self) -> bool {
        self.as_u64() != 0
    }

    pub(crate) fn as_f64(&self) -> f64 {
        match self {
            Self::F64(value) => *value,
            _ => 0.0,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Str(value) => value,
            _ => "",
        }
    }

    #[allow(dead_code)]
    pub(crate) fn as_f64s(&self) -> &[f64] {
        match self {
            Self::F64s(values) => values,
            _ => &[],
        }
    }

    /// How the extended error text shows the value.
    pub(crate) fn display(&self) -> String {
        match self {
            Self::I32(value) => value.to_string(),
            Self::U32(value) => value.to_string(),
            Self::U64(value) => value.to_string(),
            Self::F64(value) => format!("{value:?}"),
            Self::Bool(value) => i32::from(*value).to_string(),
            Self::Str(value) => value.clone(),
            Self::I32s(values) => format!("{values:?}"),
            Self::U32s(values) => format!("{values:?}"),
            Self::F64s(values) => format!("{values:?}"),
            Self::Time(lsb, msb) => format!("{msb} s + {lsb}/2^64 s"),
        }
    }
}

/// Writes a value where a caller wants it. For strings and lists: the needed size where `size`
/// is 0 or `out` is null, else 0.
///
/// # Safety
/// `out` is null or valid for writes of the attribute's type, or of `size` bytes or elements.
pub(crate) unsafe fn store(value: &Value, out: *mut c_void, size: u32) -> Result<i32> {
    /// # Safety
    /// `out` is null or valid for a write of `T`; it need not be aligned.
    unsafe fn scalar<T>(value: T, out: *mut c_void) -> Result<i32> {
        if out.is_null() {
            return Err(Error::new(code::NULL_POINTER).with("Parameter", "value"));
        }
        // SAFETY: not null, and the caller promises room for one T.
        unsafe { out.cast::<T>().write_unaligned(value) };
        Ok(0)
    }
    /// # Safety
    /// `out` is null or valid for writes of `size` elements.
    unsafe fn list<T: Copy>(values: &[T], out: *mut c_void, size: u32) -> Result<i32> {
        if size == 0 || out.is_null() {
            return Ok(i32::try_from(values.len()).unwrap_or(i32::MAX));
        }
        if (size as usize) < values.len() {
            return Err(Error::new(code::WRITE_BUFFER_TOO_SMALL));
        }
        for (index, value) in values.iter().enumerate() {
            // SAFETY: index < size, and the caller promises room for `size` elements.
            unsafe { out.cast::<T>().add(index).write_unaligned(*value) };
        }
        Ok(0)
    }
    // SAFETY: the caller's promise is passed on unchanged.
    unsafe {
        match value {
            Value::I32(value) => scalar(*value, out),
            Value::U32(value) => scalar(*value, out),
            Value::U64(value) => scalar(*value, out),
            Value::F64(value) => scalar(*value, out),
            Value::Bool(value) => scalar(u32::from(*value), out),
            Value::Time(lsb, msb) => scalar([*lsb, *msb as u64], out),
            Value::Str(text) => store_text(text, out.cast(), size),
            Value::I32s(values) => list(values, out, size),
            Value::U32s(values) => list(values, out, size),
            Value::F64s(values) => list(values, out, size),
        }
    }
}

/// Writes a string with its terminating zero; gives the needed size where `size` is 0 or `out` null.
///
/// # Safety
/// `out` is null or valid for writes of `size` bytes.
pub(crate) unsafe fn store_text(text: &str, out: *mut c_char, size: u32) -> Result<i32> {
    let needed = text.len() + 1;
    if size == 0 || out.is_null() {
        return Ok(i32::try_from(needed).unwrap_or(i32::MAX));
    }
    if (size as usize) < needed {
        return Err(Error::new(code::BUFFER_TOO_SMALL_FOR_STRING));
    }
    // SAFETY: `needed` bytes fit into the `size` bytes that the caller promises.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), out.cast::<u8>(), text.len());
        out.add(text.len()).write(0);
    }
    Ok(0)
}

/// Writes a string, cut to fit where it is too long. For error texts.
///
/// # Safety
/// `out` is null or valid for writes of `size` bytes.
pub(crate) unsafe fn store_text_cut(text: &str, out: *mut c_char, size: u32) -> Result<i32> {
    let mut end = text.len();
    if size > 0 && (size as usize) < text.len() + 1 {
        end = size as usize - 1;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
    }
    // SAFETY: the caller's promise is passed on; the text fits by construction.
    unsafe { store_text(&text[..end], out, size) }
}

/// Reads a C string; null counts as empty. Bytes that are not UTF-8 are replaced.
///
/// # Safety
/// `text` is null or points to a zero-terminated string.
pub(crate) unsafe fn load_text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller promises the terminating zero.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// Reads `count` elements; null with a count of 0 is empty.
///
/// # Safety
/// `values` is null or valid for reads of `count` elements.
pub(crate) unsafe fn load_list<T: Copy>(values: *const T, count: usize) -> Result<Vec<T>> {
    if values.is_null() {
        return if count == 0 {
            Ok(Vec::new())
        } else {
            Err(Error::new(code::NULL_POINTER).with("Parameter", "array"))
        };
    }
    // SAFETY: each index is below `count`, for which the caller promises reads.
    Ok((0..count)
        .map(|index| unsafe { values.add(index).read_unaligned() })
        .collect())
}

/// What a variadic setter receives, as registers: an integer or pointer, a count, a float.
///
/// Rust cannot define C-variadic functions. On x86-64 System V (and AArch64 outside of Apple's and
/// Microsoft's conventions) the integer and the float register file each hold the first variadic
/// argument of their kind, so a fixed signature sees both. On Windows x64 a variadic float is
/// duplicated into the integer register of its position, and Apple's AArch64 puts it on the stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registers {
    pub(crate) integer: usize,
    pub(crate) count: u32,
    pub(crate) float: f64,
}

impl Registers {
    fn float(self) -> f64 {
        if cfg!(windows) {
            f64::from_bits(self.integer as u64)
        } else {
            self.float
        }
    }

    /// The value that a caller passed for an attribute of this kind.
    ///
    /// # Safety
    /// For strings and lists `integer` is null or a valid pointer (to `count` elements).
    pub(crate) unsafe fn value(self, kind: Kind) -> Result<Value> {
        let count = self.count as usize;
        // SAFETY: the caller promises that pointers are valid for the attribute's kind.
        unsafe {
            Ok(match kind {
                Kind::I32 => Value::I32(self.integer as u32 as i32),
                Kind::U32 => Value::U32(self.integer as u32),
                Kind::U64 => Value::U64(self.integer as u64),
                Kind::F64 => Value::F64(self.float()),
                Kind::Bool => Value::Bool(self.integer as u32 != 0),
                Kind::Str => Value::Str(load_text(self.integer as *const c_char)),
                Kind::I32s => Value::I32s(load_list(self.integer as *const i32, count)?),
                Kind::U32s => Value::U32s(load_list(self.integer as *const u32, count)?),
                Kind::F64s => Value::F64s(load_list(self.integer as *const f64, count)?),
                Kind::U8s | Kind::Time => {
                    return Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED));
                }
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_findable() {
        assert!(
            ATTRIBUTES
                .windows(2)
                .all(|pair| { (pair[0].object, pair[0].id) < (pair[1].object, pair[1].id) })
        );
        let row = find(Object::Timing, 0x1344).unwrap();
        assert_eq!((row.kind, row.name), (Kind::F64, "SampClkRate"));
        assert_eq!(
            find(Object::Timing, -7).unwrap_err().code(),
            code::INVALID_ATTRIBUTE
        );
        assert_eq!(
            writable(Object::Read, 0x1221).unwrap_err().code(),
            code::ATTRIBUTE_READ_ONLY
        );
    }

    #[test]
    fn strings_report_their_size_and_refuse_short_buffers() {
        let mut buffer = [1u8; 8];
        let out = buffer.as_mut_ptr().cast::<c_char>();
        // SAFETY: the buffer has 8 bytes and no larger size is given.
        unsafe {
            assert_eq!(store_text("abc", out, 0).unwrap(), 4);
            assert_eq!(store_text("abc", std::ptr::null_mut(), 9).unwrap(), 4);
            let short = store_text("abc", out, 3).unwrap_err();
            assert_eq!(short.code(), code::BUFFER_TOO_SMALL_FOR_STRING);
            assert_eq!(store_text("abc", out, 4).unwrap(), 0);
            assert_eq!(&buffer[..5], b"abc\0\x01");
            assert_eq!(store_text_cut("abcdefghijk", out, 8).unwrap(), 0);
        }
        assert_eq!(&buffer, b"abcdefg\0");
    }
}
