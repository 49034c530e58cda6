//! Reading logs.

use std::path::PathBuf;

use daqring_engine::reading;
use daqring_log::{Channel, DataType, Group, LogError, Properties, PropertyValue, StreamGap, Tail};
use pyo3::buffer::{Element, PyBuffer};
use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyComplex, PyDict};

use crate::log::{DTYPES, log_error};

/// A TDMS file that is read. Private: `daqring.open` is the way in.
#[pyclass(frozen, module = "daqring._native")]
pub(crate) struct LogFile(daqring_log::LogFile);

#[pymethods]
impl LogFile {
    /// Reads the headers of a file.
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        py.detach(|| daqring_log::LogFile::open(&path))
            .map(Self)
            .map_err(log_error)
    }

    /// Properties of the file.
    #[getter]
    fn properties<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        properties_dict(py, self.0.properties())
    }

    /// Groups and channels as dicts.
    #[getter]
    fn groups<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        self.0
            .groups()
            .iter()
            .enumerate()
            .map(|(at, group)| group_dict(py, &self.0, at, group))
            .collect()
    }

    /// Whether the recording was finished in order.
    #[getter]
    fn finished(&self) -> bool {
        self.0.is_complete()
    }

    /// The run's identity, for files of this project.
    #[getter]
    fn run(&self) -> Option<String> {
        self.0.run().map(|run| run.to_string())
    }

    /// Number of segments with data.
    #[getter]
    fn segments(&self) -> usize {
        self.0.segment_count()
    }

    /// Bytes of the file when it was opened.
    #[getter]
    fn bytes(&self) -> u64 {
        self.0.file_len()
    }

    /// How the file ends, where that is not with a whole segment.
    #[getter]
    fn tail(&self) -> Option<String> {
        match self.0.tail() {
            Tail::Whole => None,
            Tail::Unfinished { offset } => Some(format!(
                "the segment that begins at byte {offset} was not written to its end"
            )),
            Tail::Damaged { offset, what } => {
                Some(format!("damaged from byte {offset} on: {what}"))
            }
        }
    }

    /// The holes: stream, first sample, number of samples per channel or None, cause.
    #[getter]
    fn gaps(&self) -> Vec<(String, u64, Option<u64>, u32)> {
        self.0
            .gaps()
            .iter()
            .map(|StreamGap { stream, gap }| {
                (
                    stream.clone(),
                    gap.first_sample,
                    gap.count,
                    gap.cause as u32,
                )
            })
            .collect()
    }

    /// Events noted while recording: Unix nanoseconds, text.
    fn events(&self) -> PyResult<Vec<(i64, String)>> {
        self.0.events().map_err(log_error)
    }

    /// Clock readings that belong together: stream, sample, monotonic and Unix nanoseconds.
    fn clock_pairs(&self) -> PyResult<Vec<(u32, u64, i64, i64)>> {
        let pairs = self.0.clock_pairs().map_err(log_error)?;
        Ok(pairs
            .into_iter()
            .map(|(stream, pair)| (stream, pair.sample, pair.monotonic_ns, pair.utc_ns))
            .collect())
    }

    /// The records of triggers: stream, number, first value, first sample, samples, pretrigger, Unix nanoseconds.
    #[expect(clippy::type_complexity, reason = "a row of a table")]
    fn records(&self) -> PyResult<Vec<(u32, u64, u64, u64, u64, u64, i64)>> {
        let records = self.0.records().map_err(log_error)?;
        Ok(records
            .into_iter()
            .map(|placed| {
                let record = placed.record;
                (
                    placed.stream,
                    record.number,
                    placed.first_value,
                    placed.first_sample,
                    placed.samples,
                    record.pretrigger,
                    record.start_time_ns,
                )
            })
            .collect())
    }

    /// First values of the pieces of a channel, one per segment.
    fn segment_starts(&self, py: Python<'_>, group: usize, channel: usize) -> PyResult<Vec<u64>> {
        py.detach(|| self.0.segment_starts(group, channel))
            .map_err(log_error)
    }

    /// Runs of recorded numbers in some segments: offset, bytes, group, channel, first value.
    fn plain_runs(
        &self,
        py: Python<'_>,
        start: usize,
        stop: usize,
    ) -> Vec<(u64, u64, usize, usize, u64)> {
        py.detach(|| self.0.plain_runs(start..stop))
            .into_iter()
            .map(|run| (run.offset, run.bytes, run.group, run.channel, run.first))
            .collect()
    }

    /// Names of the scales of a channel in the order in which they are applied.
    fn scales(&self, group: usize, channel: usize) -> PyResult<Vec<&'static str>> {
        let scaling = self.0.scaling(group, channel).map_err(log_error)?;
        Ok(scaling.kinds().collect())
    }

    /// Fills `outs` (bytes, one buffer for each channel) with stored values.
    fn read_raw_many(
        &self,
        py: Python<'_>,
        group: usize,
        channels: Vec<usize>,
        start: u64,
        stop: u64,
        outs: Vec<PyBuffer<u8>>,
    ) -> PyResult<()> {
        fill_many(py, &outs, |outs| {
            reading::raw(&self.0, group, &channels, start..stop, outs)
        })
    }

    /// Fills `outs` (float64, one buffer for each channel) with scaled values.
    fn read_scaled_many(
        &self,
        py: Python<'_>,
        group: usize,
        channels: Vec<usize>,
        start: u64,
        stop: u64,
        outs: Vec<PyBuffer<f64>>,
    ) -> PyResult<()> {
        fill_many(py, &outs, |outs| {
            reading::scaled(&self.0, group, &channels, start..stop, outs)
        })
    }

    /// Fills `least` and `greatest` (float64) with those of the scaled values between each two `edges`.
    fn envelope(
        &self,
        py: Python<'_>,
        group: usize,
        channel: usize,
        edges: Vec<u64>,
        least: PyBuffer<f64>,
        greatest: PyBuffer<f64>,
    ) -> PyResult<()> {
        fill_many(py, &[least, greatest], |outs| match outs {
            [least, greatest] => self.0.envelope(group, channel, &edges, least, greatest),
            _ => Ok(()),
        })
    }

    /// Fills `out` (bytes) with stored values from number `start` on.
    fn read_raw(
        &self,
        py: Python<'_>,
        group: usize,
        channel: usize,
        start: u64,
        out: PyBuffer<u8>,
    ) -> PyResult<()> {
        let size = self
            .0
            .groups()
            .get(group)
            .and_then(|group| group.channels.get(channel))
            .and_then(|channel| channel.data_type.size())
            .ok_or_else(|| PyValueError::new_err("there are no numbers to read there"))?;
        let stop = start.saturating_add((out.item_count() / size) as u64);
        fill_many(py, &[out], |outs| {
            reading::raw(&self.0, group, &[channel], start..stop, outs)
        })
    }

    /// Fills `out` (float64) with scaled values from number `start` on.
    fn read_scaled(
        &self,
        py: Python<'_>,
        group: usize,
        channel: usize,
        start: u64,
        out: PyBuffer<f64>,
    ) -> PyResult<()> {
        let stop = start.saturating_add(out.item_count() as u64);
        fill_many(py, &[out], |outs| {
            reading::scaled(&self.0, group, &[channel], start..stop, outs)
        })
    }

    /// Texts number `start` to `stop` of a text channel.
    fn read_text(
        &self,
        py: Python<'_>,
        group: usize,
        channel: usize,
        start: u64,
        stop: u64,
    ) -> PyResult<Vec<String>> {
        py.detach(|| self.0.read_text(group, channel, start..stop))
            .map_err(log_error)
    }
}

/// Lets `read` fill writable, contiguous buffers while the interpreter runs on.
fn fill_many<T: Element + Send>(
    py: Python<'_>,
    buffers: &[PyBuffer<T>],
    read: impl FnOnce(&mut [&mut [T]]) -> Result<(), LogError> + Send,
) -> PyResult<()> {
    let mut places: Vec<(usize, usize)> = Vec::with_capacity(buffers.len());
    for buffer in buffers {
        if buffer.readonly() || !buffer.is_c_contiguous() {
            return Err(PyBufferError::new_err(
                "the buffer to be filled must be writable and contiguous",
            ));
        }
        let begin = buffer.buf_ptr() as usize;
        places.push((begin, begin + buffer.len_bytes()));
    }
    places.sort_unstable();
    if places.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return Err(PyBufferError::new_err("the buffers to be filled overlap"));
    }
    let mut outs: Vec<&mut [T]> = Vec::with_capacity(buffers.len());
    for buffer in buffers {
        if buffer.item_count() == 0 {
            outs.push(&mut []);
            continue;
        }
        // SAFETY: the buffer is writable, contiguous and of type T (checked by PyBuffer), overlaps no other
        // (checked above), and stays exported for as long as `buffers` live, which is longer than this call. That
        // nobody else touches it meanwhile is the caller's part: `daqring.tdms` passes arrays that it has just made
        // and not yet given away.
        outs.push(unsafe {
            std::slice::from_raw_parts_mut(buffer.buf_ptr().cast::<T>(), buffer.item_count())
        });
    }
    py.detach(|| read(&mut outs)).map_err(log_error)
}

fn group_dict<'py>(
    py: Python<'py>,
    file: &daqring_log::LogFile,
    at: usize,
    group: &Group,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("name", &group.name)?;
    dict.set_item("housekeeping", group.is_housekeeping())?;
    dict.set_item("stream", group.stream())?;
    dict.set_item("first_sample", group.first_sample)?;
    dict.set_item("properties", properties_dict(py, &group.properties)?)?;
    let channels = group
        .channels
        .iter()
        .enumerate()
        .map(|(number, channel)| channel_dict(py, channel, file.is_scaled(at, number)));
    dict.set_item("channels", channels.collect::<PyResult<Vec<_>>>()?)?;
    Ok(dict)
}

fn channel_dict<'py>(
    py: Python<'py>,
    channel: &Channel,
    scaled: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("name", &channel.name)?;
    dict.set_item("length", channel.len)?;
    dict.set_item("dtype", dtype_name(channel.data_type))?;
    // A scale that is not known shows when scaled values are asked for.
    dict.set_item("scaled", scaled)?;
    dict.set_item("unit", channel.unit())?;
    dict.set_item("dt", channel.dt())?;
    dict.set_item("start_time_ns", channel.start_time_ns())?;
    dict.set_item("properties", properties_dict(py, &channel.properties)?)?;
    Ok(dict)
}

fn dtype_name(data_type: DataType) -> &'static str {
    match data_type {
        DataType::String => "text",
        DataType::Timestamp => "timestamp",
        _ => DTYPES
            .iter()
            .find(|(_, known)| *known == data_type)
            .map_or("unknown", |(name, _)| *name),
    }
}

fn properties_dict<'py>(py: Python<'py>, properties: &Properties) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in properties {
        match value {
            PropertyValue::I8(value) => dict.set_item(name, value)?,
            PropertyValue::I16(value) => dict.set_item(name, value)?,
            PropertyValue::I32(value) => dict.set_item(name, value)?,
            PropertyValue::I64(value) => dict.set_item(name, value)?,
            PropertyValue::U8(value) => dict.set_item(name, value)?,
            PropertyValue::U16(value) => dict.set_item(name, value)?,
            PropertyValue::U32(value) => dict.set_item(name, value)?,
            PropertyValue::U64(value) => dict.set_item(name, value)?,
            PropertyValue::F32(value) => dict.set_item(name, value)?,
            PropertyValue::F64(value) => dict.set_item(name, value)?,
            PropertyValue::String(value) => dict.set_item(name, value)?,
            PropertyValue::Bool(value) => dict.set_item(name, value)?,
            PropertyValue::Timestamp(time) => {
                let numpy = py.import("numpy")?;
                dict.set_item(
                    name,
                    numpy.call_method1("datetime64", (time.unix_ns(), "ns"))?,
                )?;
            }
            PropertyValue::Complex64([re, im]) => {
                dict.set_item(
                    name,
                    PyComplex::from_doubles(py, f64::from(*re), f64::from(*im)),
                )?;
            }
            PropertyValue::Complex128([re, im]) => {
                dict.set_item(name, PyComplex::from_doubles(py, *re, *im))?;
            }
            _ => dict.set_item(name, py.None())?,
        }
    }
    Ok(dict)
}

/// Adds this part's class to the native module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<LogFile>()
}
