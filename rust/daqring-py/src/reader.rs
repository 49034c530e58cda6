//! The native reader, as Python starts, watches and stops it.

use std::time::{Duration, Instant};

use daqring_daqmx::{
    Addresses, Cause, DriverTask, Ending, Functions, Gap, LOST_UNKNOWN, Pace, ReaderOptions,
    SampleType,
};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::recording::Recording;

const _: () = assert!(LOST_UNKNOWN == daqring_log::LOST_UNKNOWN);

/// How often a waiting thread looks whether the interpreter wants something of it.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);

/// Where the functions of the driver's library are, by their names' roles.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct FunctionsArgument {
    read: usize,
    get_read_attribute: usize,
    #[pyo3(default)]
    set_read_attribute: usize,
    stop_task: usize,
    get_extended_error_info: usize,
}

/// What to read and how.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct TaskArgument {
    handle: usize,
    dtype: String,
    channels: usize,
    #[pyo3(default)]
    pairs: bool,
    #[pyo3(default)]
    timed: bool,
    #[pyo3(default = true)]
    steady: bool,
    #[pyo3(default)]
    every: Option<f64>,
    #[pyo3(default)]
    record: Option<u64>,
    #[pyo3(default)]
    pretrigger: u64,
    #[pyo3(default)]
    shift: u64,
    #[pyo3(default)]
    gap: Option<(Option<u64>, u32)>,
    #[pyo3(default)]
    keep_open: bool,
    #[pyo3(default)]
    skip_lost: bool,
    block: u64,
    most: u64,
    rate: f64,
    position: u64,
    end: Option<u64>,
    stop_task: bool,
    monotonic_ns: Option<i64>,
    #[pyo3(default)]
    starts_later: bool,
}

/// A thread that reads a task into a stream of a recording, without the interpreter. Private:
/// `daqring.Recorder` is the way in.
#[pyclass(frozen, module = "daqring._native")]
pub(crate) struct Reader(
    /// Taken by `drop` alone.
    Option<daqring_daqmx::Reader>,
);

impl TaskArgument {
    fn pace(&self) -> PyResult<Pace> {
        Ok(match (self.every, self.record) {
            (Some(every), _) => Pace::OnDemand(
                Duration::try_from_secs_f64(every)
                    .ok()
                    .filter(|every| !every.is_zero())
                    .ok_or_else(|| PyValueError::new_err("every must be above 0 seconds"))?,
            ),
            (None, Some(samples)) if samples > 0 => Pace::Records {
                samples,
                pretrigger: self.pretrigger,
            },
            (None, Some(_)) => return Err(PyValueError::new_err("a record must have samples")),
            (None, None) if self.steady => Pace::Steady,
            (None, None) => Pace::Unsteady,
        })
    }
}

fn sample_type(dtype: &str) -> PyResult<SampleType> {
    Ok(match dtype {
        "uint8" => SampleType::U8,
        "int16" => SampleType::I16,
        "uint16" => SampleType::U16,
        "int32" => SampleType::I32,
        "uint32" => SampleType::U32,
        "float64" => SampleType::F64,
        other => {
            return Err(PyValueError::new_err(format!(
                "samples of type {other} cannot be read"
            )));
        }
    })
}

type GapTuple = (u64, Option<u64>, u32);

fn gap_tuple(gap: &Gap) -> GapTuple {
    (gap.first_sample, gap.count, gap.cause as u32)
}

impl Drop for Reader {
    fn drop(&mut self) {
        // The thread ends within the time of a read; the interpreter need not wait for that.
        let reader = self.0.take();
        Python::try_attach(|py| py.detach(|| drop(reader)));
    }
}

impl Reader {
    fn reader(&self) -> PyResult<&daqring_daqmx::Reader> {
        self.0
            .as_ref()
            .ok_or_else(|| PyRuntimeError::new_err("the reader is gone"))
    }
}

#[pymethods]
impl Reader {
    /// Starts the thread `daqring-acquire-<stream>`. The addresses must be those of the library
    /// that gave out the task's handle.
    #[new]
    fn new(
        py: Python<'_>,
        recording: &Bound<'_, Recording>,
        stream: usize,
        functions: FunctionsArgument,
        task: TaskArgument,
    ) -> PyResult<Self> {
        let recording = recording.get();
        py.detach(|| {
            let sample = sample_type(&task.dtype)?;
            let pace = task.pace()?;
            let time = if task.timed { size_of::<i64>() } else { 0 };
            let frame = task.channels.saturating_mul(sample.size()) + time;
            let slot = recording.slot_bytes(stream)?;
            let fits = usize::try_from(task.block)
                .ok()
                .and_then(|block| block.checked_mul(frame))
                .is_some_and(|bytes| bytes <= slot && bytes <= i32::MAX as usize);
            if task.channels == 0 || task.block == 0 || task.most == 0 || !fits {
                return Err(PyValueError::new_err(format!(
                    "a block of {} samples on {} channels does not suit slots of {slot} bytes",
                    task.block, task.channels
                )));
            }
            if !(task.rate.is_finite() && task.rate > 0.0) {
                return Err(PyValueError::new_err("the rate must be above 0"));
            }
            let addresses = Addresses {
                read: functions.read,
                pairs: task.pairs,
                get_read_attribute: functions.get_read_attribute,
                set_read_attribute: functions.set_read_attribute,
                stop_task: functions.stop_task,
                get_extended_error_info: functions.get_extended_error_info,
            };
            // SAFETY: `daqring.source` takes the addresses from the library that nidaqmx loaded,
            // by name and for the dtype given here, and the interpreter never unloads it; handle
            // and number of channels are those of a task made with it.
            let driver = unsafe {
                let functions = Functions::new(addresses).ok_or_else(|| {
                    PyValueError::new_err("a function of the driver is at no address")
                })?;
                DriverTask::new(functions, task.handle, task.channels, sample)
            };
            let producer = recording.take_producer(stream)?;
            let placement = recording.placement();
            let options = ReaderOptions {
                name: format!("daqring-acquire-{stream}"),
                block: task.block,
                most: task.most.min(task.block),
                rate: task.rate,
                pace,
                timed: task.timed,
                position: task.position,
                end: task.end,
                stop_task: task.stop_task,
                shift: task.shift,
                gap: task
                    .gap
                    .map(|(count, cause)| (count, Cause::from_u32(cause))),
                keep_open: task.keep_open,
                skip_lost: task.skip_lost,
                clock: task
                    .monotonic_ns
                    .map(|now| recording.clock_sink(stream, now)),
                start: if task.starts_later {
                    recording.start_sink(stream)
                } else {
                    None
                },
                on_thread: Some(Box::new(move || placement.reader(stream))),
            };
            daqring_daqmx::Reader::start(driver, producer, options)
                .map(|reader| Self(Some(reader)))
                .map_err(|error| {
                    PyOSError::new_err(format!("the reading thread cannot be started: {error}"))
                })
        })
    }

    /// Asks the thread to end with what the driver has acquired until now.
    fn stop(&self) -> PyResult<()> {
        self.reader().map(daqring_daqmx::Reader::stop)
    }

    /// Takes an error that ends the reading from now on as brought about.
    fn abandon(&self) -> PyResult<()> {
        self.reader().map(daqring_daqmx::Reader::abandon)
    }

    /// Waits up to `timeout` seconds (None: without limit) for the end; whether it has come.
    /// Signals are handled meanwhile.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        // What is not a duration is for ever (inf) or no time at all (negative, nan).
        let deadline = timeout.and_then(|seconds| {
            let seconds = if seconds > 0.0 { seconds } else { 0.0 };
            Instant::now().checked_add(Duration::try_from_secs_f64(seconds).ok()?)
        });
        let reader = self.reader()?;
        loop {
            let left = deadline.map_or(SIGNAL_CHECK, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            let ended = py.detach(|| reader.wait(left.min(SIGNAL_CHECK)));
            py.check_signals()?;
            if ended || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(ended);
            }
        }
    }

    /// Gives the producer of a stream back to the recording, where the reading has ended and was to
    /// keep it open; a reader may then follow.
    fn give_back(&self, recording: &Bound<'_, Recording>, stream: usize) -> PyResult<()> {
        if let Some(producer) = self.reader()?.take_producer() {
            recording.get().return_producer(stream, producer)?;
        }
        Ok(())
    }

    /// The losses until now: first sample, samples per channel or None, cause.
    fn gaps(&self) -> PyResult<Vec<GapTuple>> {
        Ok(self.reader()?.gaps().iter().map(gap_tuple).collect())
    }

    /// The counters now. `losses`: holes, samples in them, holes of unknown size.
    fn progress<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let progress = self.reader()?.progress();
        let dict = PyDict::new(py);
        dict.set_item("reads", progress.reads)?;
        dict.set_item("short_reads", progress.short_reads)?;
        dict.set_item("backlog", progress.backlog)?;
        dict.set_item("backlog_high_water", progress.backlog_high_water)?;
        let losses = progress.losses;
        dict.set_item("losses", (losses.gaps, losses.samples, losses.unknown))?;
        Ok(dict)
    }

    /// What came of it, once it has ended; else None.
    fn outcome<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(outcome) = self.reader()?.outcome() else {
            return Ok(None);
        };
        let dict = PyDict::new(py);
        let (ending, code, message) = match &outcome.ending {
            Ending::Finished => ("finished", None, None),
            Ending::Stopped => ("stopped", None, None),
            Ending::RingClosed => ("ring closed", None, None),
            Ending::RingFull => ("ring full", None, None),
            Ending::Driver(error) => ("driver", Some(error.code), Some(error.to_string())),
            Ending::Panicked(message) => ("panicked", None, Some(message.clone())),
        };
        dict.set_item("ending", ending)?;
        dict.set_item("code", code)?;
        dict.set_item("message", message)?;
        dict.set_item("gap", outcome.gap.as_ref().map(gap_tuple))?;
        dict.set_item("position", outcome.position)?;
        dict.set_item("reached", outcome.reached)?;
        dict.set_item("acquired", outcome.acquired)?;
        dict.set_item("ended_ago", outcome.ended.elapsed().as_secs_f64())?;
        let lateness = [
            outcome.lateness.quantile(0.5),
            outcome.lateness.quantile(0.99),
            outcome.lateness.max(),
        ];
        dict.set_item("lateness", lateness.map(|late| late.as_secs_f64()))?;
        Ok(Some(dict))
    }
}

/// Adds this part's classes to the native module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("NATIVE_READER", daqring_daqmx::SUPPORTED)?;
    module.add_class::<Reader>()
}
