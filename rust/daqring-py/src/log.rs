//! Descriptions of groups and properties on their way into the log, and its errors on their way out.

use std::path::PathBuf;
use std::time::Duration;

use daqring_engine::of_records;
use daqring_log::{
    ChannelSpec, DataType, DirectIo, GroupSpec, LogError, LogOptions, Properties, PropertyValue,
    RecoverOptions, Rotation, Run, Runs, Scale, Segments, SyncPolicy, Times,
};
use pyo3::exceptions::{PyOSError, PyOverflowError, PyValueError};
use pyo3::import_exception;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString};

import_exception!(daqring.errors, LogFormatError);
import_exception!(daqring.errors, RecordingError);

/// A group as Python describes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct GroupArgument {
    pub(crate) name: String,
    dt: Option<f64>,
    properties: PropertiesArgument,
    channels: Vec<ChannelArgument>,
    #[pyo3(default)]
    times: Option<TimesArgument>,
    #[pyo3(default)]
    pub(crate) records: bool,
}

/// The channel of times of a group without constant interval.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct TimesArgument {
    name: String,
    from: String,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct ChannelArgument {
    name: String,
    dtype: String,
    unit: String,
    scale: Option<Vec<f64>>,
    properties: PropertiesArgument,
    #[pyo3(default)]
    lines: Option<Vec<LineArgument>>,
}

/// One line of a digital port.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct LineArgument {
    name: String,
    bit: u8,
    properties: PropertiesArgument,
}

/// How a log is stored, as Python describes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct LogArgument {
    sync_each_block: bool,
    sync_bytes: Option<u64>,
    sync_seconds: Option<f64>,
    segment_bytes: Option<usize>,
    segment_seconds: Option<f64>,
    flush_seconds: Option<f64>,
    rotate_bytes: Option<u64>,
    rotate_samples: Option<u64>,
    rotate_seconds: Option<f64>,
    keep_bytes: Option<u64>,
    reserve_bytes: Option<u64>,
    direct_io: Option<bool>,
    pub(crate) checksum: bool,
}

impl LogArgument {
    /// Blocks of fewer bytes than this become parts of segments.
    pub(crate) fn gathers_up_to(&self) -> Option<usize> {
        self.segment_bytes
    }

    pub(crate) fn into_options(self) -> PyResult<LogOptions> {
        let duration = |seconds: Option<f64>| {
            seconds
                .map(Duration::try_from_secs_f64)
                .transpose()
                .map_err(|_| {
                    PyValueError::new_err("a time must be a finite number of seconds, 0 or more")
                })
        };
        let mut options = LogOptions::default();
        options.sync = match (self.sync_bytes, duration(self.sync_seconds)?) {
            _ if self.sync_each_block => SyncPolicy::EachBlock,
            (Some(bytes), _) => SyncPolicy::Bytes(bytes),
            (None, Some(time)) => SyncPolicy::Every(time),
            (None, None) => SyncPolicy::AtFinish,
        };
        if let Some(bytes) = self.segment_bytes {
            let time = duration(self.segment_seconds)?;
            options.segments = Segments::Gather { bytes, time };
        }
        options.flush_every = duration(self.flush_seconds)?;
        options.rotation = Rotation {
            bytes: self.rotate_bytes,
            samples: self.rotate_samples,
            time: duration(self.rotate_seconds)?,
            keep_bytes: self.keep_bytes,
        };
        options.reserve = self.reserve_bytes;
        options.checksum = self.checksum;
        options.direct_io = match self.direct_io {
            None => DirectIo::Auto,
            Some(true) => DirectIo::On,
            Some(false) => DirectIo::Off,
        };
        Ok(options)
    }
}

impl GroupArgument {
    /// The runs of a block as stages see them: a channel for each, and whether a run of times is in
    /// front. A run that is one line of a port is 0 or 1, by its scale.
    pub(crate) fn runs(&self) -> PyResult<(GroupSpec, bool)> {
        let mut channels = Vec::new();
        for channel in &self.channels {
            let mut spec = ChannelSpec::new(
                channel.name.as_str(),
                data_type(&channel.dtype).ok_or_else(|| unknown_type(&channel.dtype))?,
            );
            spec.unit.clone_from(&channel.unit);
            spec.properties.clone_from(&channel.properties.0);
            spec.scale = match (channel.lines.as_deref(), &channel.scale) {
                (Some([line]), _) => Scale::Linear {
                    slope: 0.5_f64.powi(i32::from(line.bit)),
                    intercept: 0.0,
                },
                (_, Some(scale)) => Scale::Polynomial(scale.clone()),
                (_, None) => Scale::None,
            };
            channels.push(spec);
        }
        let group = GroupSpec {
            name: self.name.clone(),
            channels,
            dt: self.dt,
            properties: match self.records {
                true => vec![of_records()],
                false => Vec::new(),
            },
        };
        let timed = self
            .times
            .as_ref()
            .is_some_and(|times| times.from == "slot");
        Ok((group, timed))
    }

    /// The group as the file has it, and how the runs of a block become its channels.
    pub(crate) fn into_spec(self) -> PyResult<(GroupSpec, Option<Runs>)> {
        let mut channels = Vec::new();
        let mut runs = Vec::new();
        let mut times = None;
        if let Some(argument) = self.times {
            if self.dt.is_some() {
                return Err(PyValueError::new_err(
                    "a group has either a constant dt or a channel of times",
                ));
            }
            match argument.from.as_str() {
                "slot" => runs.push(Run::UnixTimes),
                "host" => times = Some(Times::Host),
                "periods" => times = Some(Times::Periods),
                "frequencies" => times = Some(Times::Frequencies),
                other => {
                    return Err(PyValueError::new_err(format!(
                        "times come from 'slot', 'host', 'periods' or 'frequencies', not {other:?}"
                    )));
                }
            }
            channels.push(ChannelSpec::new(argument.name, DataType::Timestamp));
        }
        for channel in self.channels {
            let (spec, lines) = channel.into_spec()?;
            let size = spec.data_type.size().unwrap_or(0);
            match lines {
                None => {
                    runs.push(Run::Values(size));
                    channels.push(spec);
                }
                Some(lines) => {
                    runs.push(Run::Lines {
                        size,
                        bits: lines.iter().map(|line| line.bit).collect(),
                    });
                    channels.extend(lines.into_iter().map(|line| {
                        let mut spec = ChannelSpec::new(line.name, DataType::Bool);
                        spec.properties = line.properties.0;
                        spec
                    }));
                }
            }
        }
        let mut properties = self.properties.0;
        if self.records {
            properties.push(("daqring.kind".to_owned(), "records".into()));
        }
        let spec = GroupSpec {
            name: self.name,
            channels,
            dt: self.dt,
            properties,
        };
        Ok((spec, Runs::new(runs, times).map_err(log_error)?))
    }
}

impl ChannelArgument {
    fn into_spec(self) -> PyResult<(ChannelSpec, Option<Vec<LineArgument>>)> {
        let data_type = data_type(&self.dtype).ok_or_else(|| unknown_type(&self.dtype))?;
        let spec = ChannelSpec {
            name: self.name,
            data_type,
            unit: self.unit,
            scale: self.scale.map_or(Scale::None, Scale::Polynomial),
            properties: self.properties.0,
        };
        Ok((spec, self.lines))
    }
}

fn unknown_type(dtype: &str) -> PyErr {
    PyValueError::new_err(format!("samples of type {dtype} cannot be recorded"))
}

/// The names that numpy gives to the types of samples.
pub(crate) const DTYPES: [(&str, DataType); 13] = [
    ("int8", DataType::I8),
    ("int16", DataType::I16),
    ("int32", DataType::I32),
    ("int64", DataType::I64),
    ("uint8", DataType::U8),
    ("uint16", DataType::U16),
    ("uint32", DataType::U32),
    ("uint64", DataType::U64),
    ("float32", DataType::F32),
    ("float64", DataType::F64),
    ("bool", DataType::Bool),
    ("complex64", DataType::Complex64),
    ("complex128", DataType::Complex128),
];

pub(crate) fn data_type(dtype: &str) -> Option<DataType> {
    DTYPES
        .iter()
        .find(|(name, _)| *name == dtype)
        .map(|(_, data_type)| *data_type)
}

/// Properties from a dict of bool, int, float, str or datetime.
#[derive(Default)]
pub(crate) struct PropertiesArgument(pub(crate) Properties);

impl<'py> FromPyObject<'_, 'py> for PropertiesArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let mut properties = Vec::new();
        for (name, value) in object.cast::<PyDict>()?.iter() {
            let Ok(name) = name.cast::<PyString>() else {
                return Err(PyValueError::new_err(format!(
                    "the name of a property must be text, not {name}"
                )));
            };
            let name = name.to_str()?.to_owned();
            let value = property_value(&value).map_err(|_| {
                PyValueError::new_err(format!(
                    "property '{name}' must be a bool, an int of 64 bits, a float, text or a datetime"
                ))
            })?;
            properties.push((name, value));
        }
        Ok(Self(properties))
    }
}

/// A count, as an int of that size from Python would be.
pub(crate) fn count_property(count: u64) -> PropertyValue {
    match (i32::try_from(count), i64::try_from(count)) {
        (Ok(count), _) => PropertyValue::I32(count),
        (_, Ok(count)) => PropertyValue::I64(count),
        _ => PropertyValue::U64(count),
    }
}

fn property_value(value: &Bound<'_, PyAny>) -> PyResult<PropertyValue> {
    if let Ok(value) = value.extract::<bool>() {
        return Ok(PropertyValue::Bool(value));
    }
    if let Ok(value) = value.extract::<i64>() {
        return Ok(i32::try_from(value).map_or(PropertyValue::I64(value), PropertyValue::I32));
    }
    if value.is_instance_of::<PyInt>() {
        return Err(PyOverflowError::new_err("beyond 64 bits"));
    }
    if let Ok(value) = value.extract::<f64>() {
        return Ok(PropertyValue::F64(value));
    }
    if let Ok(value) = value.cast::<PyString>() {
        return Ok(PropertyValue::String(value.to_str()?.to_owned()));
    }
    // A datetime; one without a zone is local time, as Python has it.
    let seconds: f64 = value.call_method0("timestamp")?.extract()?;
    Ok(PropertyValue::timestamp_ns(
        (seconds * 1e6).round() as i64 * 1000,
    ))
}

/// A log's error as the Python exception that fits it.
pub(crate) fn log_error(error: LogError) -> PyErr {
    let text = error.to_string();
    match error {
        LogError::Exists(path) => os_error(errno::EXISTS, "the file exists already", path),
        LogError::Locked(path) => {
            os_error(errno::BUSY, "another recording is writing this file", path)
        }
        LogError::NoSpace { path, kept } => {
            let text = format!(
                "the disk is full; the file was cut back to its last whole segment ({kept} bytes)"
            );
            os_error(errno::NO_SPACE, &text, path)
        }
        LogError::DiskLow {
            path,
            free,
            reserve,
        } => {
            let size = |bytes: u64| match bytes {
                1_000_000_000.. => format!("{:.1} GB", bytes as f64 / 1e9),
                _ => format!("{:.1} MB", bytes as f64 / 1e6),
            };
            let text = format!(
                "the disk is nearly full: {} are left, and {} are to stay free (reserve)",
                size(free),
                size(reserve)
            );
            os_error(errno::NO_SPACE, &text, path)
        }
        LogError::Orphan(path) => os_error(
            errno::EXISTS,
            "beside the log there are samples of an earlier recording of this name that was broken off; put them \
             back beside their log and recover that, or remove them, or choose another name",
            path,
        ),
        LogError::Io { path, source, .. } => system_error(&source, path),
        LogError::Format { .. }
        | LogError::Unsupported(_)
        | LogError::Unrecoverable(_)
        | LogError::Own => LogFormatError::new_err(text),
        LogError::Failed(_) | LogError::Finished => RecordingError::new_err(text),
        _ => PyValueError::new_err(text),
    }
}

/// An OSError with code, words and file; Python picks the subclass that fits the code.
fn os_error(code: i32, words: &str, path: PathBuf) -> PyErr {
    // As text: Python shows a path object by its type.
    PyOSError::new_err((code, words.to_owned(), path.into_os_string()))
}

/// The error of a system call.
fn system_error(source: &std::io::Error, path: PathBuf) -> PyErr {
    let Some(code) = source.raw_os_error() else {
        return PyOSError::new_err(format!("{}: {source}", path.display()));
    };
    if cfg!(windows) {
        // Windows numbers its errors by itself: the fourth argument, from which Python derives the first.
        return PyOSError::new_err((0, source.to_string(), path.into_os_string(), code));
    }
    let words = Python::attach(|py| -> PyResult<String> {
        py.import("os")?
            .call_method1("strerror", (code,))?
            .extract()
    });
    os_error(code, &words.unwrap_or_else(|_| source.to_string()), path)
}

/// Numbers that Linux, macOS and the C runtime of Windows share.
mod errno {
    pub(super) const EXISTS: i32 = 17;
    pub(super) const BUSY: i32 = 16;
    pub(super) const NO_SPACE: i32 = 28;
}

/// Checks a file from end to end.
#[pyfunction]
fn verify(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyDict>> {
    let report = py
        .detach(|| daqring_log::verify(&path))
        .map_err(log_error)?;
    let dict = PyDict::new(py);
    dict.set_item("complete", report.complete())?;
    dict.set_item("verdict", report.to_string())?;
    dict.set_item(
        "problems",
        report
            .problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
    )?;
    dict.set_item("segments", report.segments)?;
    dict.set_item("unchecked", report.unchecked)?;
    let streams = report.streams.iter().map(|stream| {
        let entry = PyDict::new(py);
        entry.set_item("name", &stream.name)?;
        entry.set_item("blocks", stream.blocks)?;
        entry.set_item("samples", stream.samples)?;
        entry.set_item("lost", stream.lost)?;
        entry.set_item("lost_unknown", stream.lost_unknown)?;
        entry.set_item("damaged", stream.damaged)?;
        entry.set_item("in_tail", stream.in_tail)?;
        Ok(entry)
    });
    dict.set_item("streams", streams.collect::<PyResult<Vec<_>>>()?)?;
    Ok(dict)
}

/// Brings back what is whole of a damaged or unfinished log.
#[pyfunction]
#[pyo3(signature = (path, output, *, in_place, overwrite))]
fn recover(
    py: Python<'_>,
    path: PathBuf,
    output: Option<PathBuf>,
    in_place: bool,
    overwrite: bool,
) -> PyResult<Bound<'_, PyDict>> {
    let options = RecoverOptions {
        output,
        overwrite,
        in_place,
    };
    let report = py
        .detach(|| daqring_log::recover(&path, &options))
        .map_err(log_error)?;
    let dict = PyDict::new(py);
    dict.set_item("output", &report.output)?;
    dict.set_item("lost", report.lost())?;
    dict.set_item("was_finished", report.was_finished)?;
    dict.set_item("segments", report.segments)?;
    dict.set_item("unchecked", report.unchecked)?;
    dict.set_item("discarded", &report.discarded)?;
    dict.set_item("summary", report.to_string())?;
    let streams = report.streams.iter().map(|stream| {
        let entry = PyDict::new(py);
        entry.set_item("name", &stream.name)?;
        entry.set_item("samples", stream.samples)?;
        entry.set_item("from_tail", stream.from_tail)?;
        entry.set_item("missing", stream.missing)?;
        Ok(entry)
    });
    dict.set_item("streams", streams.collect::<PyResult<Vec<_>>>()?)?;
    Ok(dict)
}

/// Rewrites a fragmented file of another program into large segments.
#[pyfunction]
fn defragment(
    py: Python<'_>,
    path: PathBuf,
    output: PathBuf,
    overwrite: bool,
) -> PyResult<Bound<'_, PyDict>> {
    let report = py
        .detach(|| daqring_log::defragment(&path, &output, overwrite))
        .map_err(log_error)?;
    let dict = PyDict::new(py);
    dict.set_item("segments_before", report.segments_before)?;
    dict.set_item("segments_after", report.segments_after)?;
    dict.set_item("bytes_before", report.bytes_before)?;
    dict.set_item("bytes_after", report.bytes_after)?;
    Ok(dict)
}

/// Adds this part's classes and functions to the native module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("LOST_UNKNOWN", daqring_log::LOST_UNKNOWN)?;
    module.add_function(wrap_pyfunction!(verify, module)?)?;
    module.add_function(wrap_pyfunction!(recover, module)?)?;
    module.add_function(wrap_pyfunction!(defragment, module)?)
}
