//! The simulated driver's control functions, as `daqring.sim` calls them.

use nidaqmx_sim::control::{
    self, ClockMode, ConfigError, DeviceSpec, Fault, FaultKind, Pulses, Signal, Toggles,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::sync::Arc;

fn refused(error: ConfigError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The names of the product types that can be simulated.
#[pyfunction]
fn sim_products() -> Vec<&'static str> {
    control::products()
}

/// A device as a dictionary describes it; every key is there.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Described {
    name: String,
    product: String,
    serial: Option<u32>,
    chassis: Option<String>,
    slot: Option<u32>,
    pxi_chassis: Option<u32>,
    hostname: Option<String>,
    address: Option<String>,
    reserved: Option<bool>,
    simulated: Option<bool>,
}

/// Replaces all devices by those that dictionaries describe.
#[pyfunction]
fn sim_configure(py: Python<'_>, devices: Vec<Described>) -> PyResult<()> {
    let specs: Vec<_> = devices
        .into_iter()
        .map(|one| DeviceSpec {
            name: one.name,
            product: one.product,
            serial: one.serial,
            chassis: one.chassis,
            slot: one.slot,
            pxi_chassis: one.pxi_chassis,
            hostname: one.hostname,
            address: one.address,
            reserved: one.reserved,
            simulated: one.simulated,
        })
        .collect();
    py.detach(|| control::configure_devices(&specs))
        .map_err(refused)
}

/// The devices as dictionaries from which the same ones can be made.
#[pyfunction]
fn sim_device_specs(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    control::device_specs()
        .into_iter()
        .map(|spec| {
            let entry = PyDict::new(py);
            entry.set_item("name", spec.name)?;
            entry.set_item("product", spec.product)?;
            entry.set_item("serial", spec.serial)?;
            entry.set_item("chassis", spec.chassis)?;
            entry.set_item("slot", spec.slot)?;
            entry.set_item("pxi_chassis", spec.pxi_chassis)?;
            entry.set_item("hostname", spec.hostname)?;
            entry.set_item("address", spec.address)?;
            entry.set_item("reserved", spec.reserved)?;
            entry.set_item("simulated", spec.simulated)?;
            Ok(entry)
        })
        .collect()
}

/// The devices as pairs of name and product type.
#[pyfunction]
fn sim_devices() -> Vec<(String, String)> {
    control::devices()
}

/// Clears every task and takes back every setting.
#[pyfunction]
fn sim_reset(py: Python<'_>) {
    py.detach(control::reset);
}

/// Clears every task.
#[pyfunction]
fn sim_clear_all(py: Python<'_>) {
    py.detach(control::clear_all);
}

/// Chooses how time moves: "real" (with a speed), "stepped" or "unthrottled".
#[pyfunction]
fn sim_set_clock(kind: &str, speed: f64) -> PyResult<()> {
    let mode = match kind {
        "real" => ClockMode::Real { speed },
        "stepped" => ClockMode::Stepped,
        "unthrottled" => ClockMode::Unthrottled,
        other => {
            return Err(PyValueError::new_err(format!(
                "There is no clock {other:?}: choose \"real\", \"stepped\" or \"unthrottled\"."
            )));
        }
    };
    control::set_clock(mode).map_err(refused)
}

/// How time moves: the kind and the speed.
#[pyfunction]
fn sim_clock() -> (&'static str, f64) {
    match control::clock() {
        ClockMode::Real { speed } => ("real", speed),
        ClockMode::Stepped => ("stepped", 0.0),
        ClockMode::Unthrottled => ("unthrottled", 0.0),
    }
}

/// Moves a stepped clock; gives the simulated seconds since it was chosen.
#[pyfunction]
fn sim_step(py: Python<'_>, seconds: f64) -> PyResult<f64> {
    py.detach(|| control::step(seconds)).map_err(refused)
}

/// Chooses a signal for a channel, a device or (name None) all others.
#[pyfunction]
#[pyo3(signature = (name, kind, value=0.0, data=None, seed=0))]
fn sim_set_signal(
    name: Option<&str>,
    kind: &str,
    value: f64,
    data: Option<&[u8]>,
    seed: u32,
) -> PyResult<()> {
    let data = data.unwrap_or_default();
    let signal = match kind {
        "sine" => Signal::Sine,
        "pattern" => Signal::Pattern,
        "constant" => Signal::Constant(value),
        // int32 and float64 in the machine's order.
        "playback" => Signal::Playback(Arc::new(
            data.as_chunks()
                .0
                .iter()
                .map(|code| i32::from_ne_bytes(*code))
                .collect(),
        )),
        "values" => Signal::Values(Arc::new(
            data.as_chunks()
                .0
                .iter()
                .map(|value| f64::from_ne_bytes(*value))
                .collect(),
        )),
        "noise" => Signal::Noise { volts: value, seed },
        other => {
            return Err(PyValueError::new_err(format!(
                "There is no signal {other:?}: choose \"sine\", \"pattern\", \"noise\", a number of \
                 volts, an array, or a TDMS file."
            )));
        }
    };
    control::set_signal(name, signal).map_err(refused)
}

/// A digital signal as Python describes it: frequency, duty cycle, delay and count of pulses, or the
/// initial level, times of changes and repetition in nanoseconds.
#[derive(FromPyObject)]
enum Digital {
    Pulses((f64, f64, f64, Option<u64>)),
    Changes((bool, Vec<u64>, Option<u64>)),
}

impl From<Digital> for Signal {
    fn from(digital: Digital) -> Self {
        match digital {
            Digital::Pulses((frequency, duty_cycle, delay, count)) => Self::Pulses(Pulses {
                frequency,
                duty_cycle,
                delay,
                count,
            }),
            Digital::Changes((initial, times, repeat)) => Self::Toggles(Toggles {
                initial,
                times: times.into(),
                repeat,
            }),
        }
    }
}

/// Chooses a digital signal for a terminal, a line or a counter; three of them are an encoder's.
#[pyfunction]
fn sim_set_digital(name: Option<&str>, signals: Vec<Digital>) -> PyResult<()> {
    let mut signals: Vec<Signal> = signals.into_iter().map(Signal::from).collect();
    let signal = match signals.len() {
        1 => signals.swap_remove(0),
        _ => Signal::Encoder(Box::new(signals.try_into().map_err(|_| {
            PyValueError::new_err("An encoder has three signals: A, B and Z.")
        })?)),
    };
    control::set_signal(name, signal).map_err(refused)
}

/// Connects an analog input to an analog output, or to nothing.
#[pyfunction]
#[pyo3(signature = (input, output=None))]
fn sim_wire(input: &str, output: Option<&str>) -> PyResult<()> {
    control::wire(input, output).map_err(refused)
}

/// The accounts of all runs, oldest first.
#[pyfunction]
fn sim_ledgers(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    py.detach(control::ledgers)
        .into_iter()
        .map(|ledger| {
            let entry = PyDict::new(py);
            entry.set_item("task", ledger.task)?;
            entry.set_item("run", ledger.run)?;
            entry.set_item("channels", ledger.channels)?;
            entry.set_item("produced", ledger.produced)?;
            entry.set_item("delivered", ledger.delivered)?;
            entry.set_item("overwritten", ledger.overwritten)?;
            entry.set_item("in_buffer", ledger.in_buffer)?;
            entry.set_item("buffer_size", ledger.buffer_size)?;
            entry.set_item("reads", ledger.reads)?;
            entry.set_item("errors", ledger.errors)?;
            entry.set_item("running", ledger.running)?;
            Ok(entry)
        })
        .collect()
}

/// Makes something go wrong with a device, once.
#[pyfunction]
fn sim_fault(py: Python<'_>, device: &str, kind: &str, after: u64, seconds: f64) -> PyResult<()> {
    let kind = match kind {
        "slow_bus" => FaultKind::SlowBus,
        "unplugged" => FaultKind::Unplugged,
        "reset" => FaultKind::Reset,
        "clock_lost" => FaultKind::ClockLost,
        "reader_stall" => FaultKind::ReaderStall,
        "short_read" => FaultKind::ShortRead,
        "late_start" => FaultKind::LateStart,
        "bus_stall" => FaultKind::BusStall,
        "slow_driver" => FaultKind::SlowDriver,
        "jitter" => FaultKind::Jitter,
        other => {
            return Err(PyValueError::new_err(format!(
                "There is no fault {other:?}: choose \"slow_bus\", \"unplugged\", \"reset\", \
                 \"clock_lost\", \"reader_stall\", \"short_read\", \"late_start\", \"bus_stall\", \
                 \"slow_driver\" or \"jitter\"."
            )));
        }
    };
    py.detach(|| {
        control::fault(
            device,
            &Fault {
                kind,
                after,
                seconds,
            },
        )
    })
    .map_err(refused)
}

/// Unplugs a device or plugs it in again.
#[pyfunction]
fn sim_plug(py: Python<'_>, device: &str, plugged: bool) -> PyResult<()> {
    py.detach(|| control::plug(device, plugged))
        .map_err(refused)
}

/// How many samples per channel a transfer brings.
#[pyfunction]
fn sim_set_transfer(samples: u64) -> PyResult<()> {
    control::set_transfer(samples).map_err(refused)
}

/// Holds triggers back or lets them come by themselves.
#[pyfunction]
fn sim_hold_triggers(hold: bool) {
    control::hold_triggers(hold);
}

/// Sends a trigger; gives the number of tasks that have one from this source.
#[pyfunction]
#[pyo3(signature = (source=None))]
fn sim_trigger(py: Python<'_>, source: Option<&str>) -> usize {
    py.detach(|| control::trigger(source))
}

/// The checkable pattern of a channel as the bytes of int16 numbers.
#[pyfunction]
fn sim_pattern(
    py: Python<'_>,
    channel: u32,
    first: u64,
    count: usize,
) -> PyResult<Bound<'_, PyBytes>> {
    let mut codes = vec![0i16; count];
    py.detach(|| control::fill_pattern(channel, first, &mut codes));
    PyBytes::new_with(py, count * 2, |bytes| {
        for (place, code) in bytes.chunks_exact_mut(2).zip(&codes) {
            place.copy_from_slice(&code.to_ne_bytes());
        }
        Ok(())
    })
}

/// Adds this part's functions to the native module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Naming one exported function keeps all of them in this library.
    std::hint::black_box(nidaqmx_sim::abi::link());
    module.add_function(wrap_pyfunction!(sim_products, module)?)?;
    module.add_function(wrap_pyfunction!(sim_configure, module)?)?;
    module.add_function(wrap_pyfunction!(sim_devices, module)?)?;
    module.add_function(wrap_pyfunction!(sim_device_specs, module)?)?;
    module.add_function(wrap_pyfunction!(sim_reset, module)?)?;
    module.add_function(wrap_pyfunction!(sim_clear_all, module)?)?;
    module.add_function(wrap_pyfunction!(sim_set_clock, module)?)?;
    module.add_function(wrap_pyfunction!(sim_clock, module)?)?;
    module.add_function(wrap_pyfunction!(sim_step, module)?)?;
    module.add_function(wrap_pyfunction!(sim_set_signal, module)?)?;
    module.add_function(wrap_pyfunction!(sim_set_digital, module)?)?;
    module.add_function(wrap_pyfunction!(sim_wire, module)?)?;
    module.add_function(wrap_pyfunction!(sim_ledgers, module)?)?;
    module.add_function(wrap_pyfunction!(sim_fault, module)?)?;
    module.add_function(wrap_pyfunction!(sim_plug, module)?)?;
    module.add_function(wrap_pyfunction!(sim_set_transfer, module)?)?;
    module.add_function(wrap_pyfunction!(sim_hold_triggers, module)?)?;
    module.add_function(wrap_pyfunction!(sim_trigger, module)?)?;
    module.add_function(wrap_pyfunction!(sim_pattern, module)?)?;
    Ok(())
}
