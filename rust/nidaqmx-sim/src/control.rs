//! What a test or a program that knows it runs on the simulator can do: choose devices, move the
//! clock, choose signals, read the ledger.

use crate::driver::{self, driver};
use crate::product;
use std::fmt;

pub use crate::clock::ClockMode;
pub use crate::configuration::{DeviceSpec, configure_devices, device_specs};
pub use crate::fault::{Fault, FaultKind};
pub use crate::run::Ledger;
pub use crate::signal::{PATTERN_BLOCK, SINE_PERIOD, Signal, fill_pattern, salt};
pub use crate::wave::{Pulses, Toggles};

/// Why the simulator could not be configured as asked. `Display` says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// The names of the product types that can be simulated.
#[must_use]
pub fn products() -> Vec<&'static str> {
    product::all().map(|product| product.name).collect()
}

/// Replaces all devices by pairs of name and product type; see [`configure_devices`].
///
/// # Errors
/// As [`configure_devices`].
pub fn configure(devices: &[(String, String)]) -> Result<(), ConfigError> {
    let specs: Vec<_> = devices
        .iter()
        .map(|(name, product)| DeviceSpec {
            name: name.clone(),
            product: product.clone(),
            ..DeviceSpec::default()
        })
        .collect();
    configure_devices(&specs)
}

/// The devices as pairs of name and product type.
#[must_use]
pub fn devices() -> Vec<(String, String)> {
    driver()
        .devices()
        .iter()
        .map(|device| (device.name.clone(), device.product.name.to_owned()))
        .collect()
}

pub(crate) fn abort_all() {
    for task in driver().tasks() {
        task.abort(crate::error::code::RUNTIME_ABORTED_ROUTING);
    }
}

/// Back to the beginning: every task is cleared, devices, clock and signals are the defaults, the
/// ledgers of past tasks are forgotten.
pub fn reset() {
    clear_all();
    let driver = driver();
    driver.set_devices(driver::default_devices());
    driver.set_clock(ClockMode::Real { speed: 1.0 });
    driver.reset_signals();
    driver.forget_scales();
    driver.forget_faults();
    driver.forget_archive();
    driver.set_transfer(1);
    driver.network.forget();
    driver.saved.forget();
    crate::wire::forget(None);
    crate::route::forget();
    crate::terminal::forget(None);
    crate::rest::forget();
}

/// Clears every task; calls that wait in one fail.
pub fn clear_all() {
    for task in driver().tasks() {
        // Another thread may have cleared it in the meantime.
        let _ = driver().clear_task(task.handle);
    }
}

/// Chooses how time moves, for tasks that start from now on.
///
/// # Errors
/// Where the speed is not a number greater than zero.
pub fn set_clock(mode: ClockMode) -> Result<(), ConfigError> {
    if let ClockMode::Real { speed } = mode
        && !(speed > 0.0 && speed.is_finite())
    {
        return Err(ConfigError(format!(
            "The clock's speed has to be a number greater than zero, not {speed}."
        )));
    }
    crate::wire::keep(driver().clock().now());
    driver().set_clock(mode);
    Ok(())
}

/// How time moves for tasks that start now.
#[must_use]
pub fn clock() -> ClockMode {
    driver().clock().mode()
}

/// Moves a stepped clock and wakes every reader whose samples have come. Gives the time since the
/// clock was chosen, in seconds.
///
/// # Errors
/// Where the clock is not stepped, or the step is negative or not a number.
pub fn step(seconds: f64) -> Result<f64, ConfigError> {
    if !(seconds >= 0.0 && seconds.is_finite()) {
        return Err(ConfigError(format!(
            "A step has to be zero seconds or more, not {seconds}."
        )));
    }
    let now = driver()
        .clock()
        .step((seconds * 1e9).round() as u64)
        .ok_or_else(|| {
            ConfigError(
                "Only a stepped clock can be stepped: choose it before the task starts.".to_owned(),
            )
        })?;
    for task in driver().tasks() {
        task.wake();
    }
    Ok(now as f64 / 1e9)
}

/// Chooses the signal of a channel (`Dev1/ai0`), of a device (`Dev1`), or of all that have none of
/// their own. It holds for tasks that start from now on.
///
/// # Errors
/// Where the device or the channel does not exist.
pub fn set_signal(name: Option<&str>, signal: Signal) -> Result<(), ConfigError> {
    if let Some(name) = name {
        let known = if name.contains('/') {
            driver().physical(name).is_ok() || driver().has_terminal(name)
        } else {
            driver().device(name).is_ok()
        };
        if !known {
            return Err(ConfigError(format!(
                "{name:?} is neither a device nor a channel nor a terminal of the simulator."
            )));
        }
    }
    check_signal(&signal)?;
    driver().set_signal(name, signal);
    Ok(())
}

/// Whether a digital signal can be: its times and numbers make sense.
fn check_signal(signal: &Signal) -> Result<(), ConfigError> {
    match signal {
        Signal::Pulses(pulses) => {
            let Pulses {
                frequency,
                duty_cycle,
                delay,
                ..
            } = *pulses;
            // Above this, high and low last less than the clock's nanosecond.
            if !(frequency > 0.0 && frequency <= 1e9) {
                return Err(ConfigError(format!(
                    "The frequency of pulses has to be more than 0 and at most 1e9 Hz, not {frequency}."
                )));
            }
            if !(duty_cycle > 0.0 && duty_cycle < 1.0) {
                return Err(ConfigError(format!(
                    "The duty cycle of pulses has to lie between 0 and 1, not at {duty_cycle}."
                )));
            }
            if !(0.0..1e9).contains(&delay) {
                return Err(ConfigError(format!(
                    "The delay of pulses has to be zero seconds or more, not {delay}."
                )));
            }
            Ok(())
        }
        Signal::Toggles(toggles) => check_toggles(toggles),
        Signal::Noise { volts, .. } if !(volts.is_finite() && *volts >= 0.0) => Err(ConfigError(
            format!("Noise has to be of zero volts or more, not {volts}."),
        )),
        Signal::Values(values) if values.iter().any(|value| !value.is_finite()) => Err(
            ConfigError("A signal's values have to be finite.".to_owned()),
        ),
        Signal::Encoder(signals) => signals.iter().try_for_each(check_signal),
        _ => Ok(()),
    }
}

fn check_toggles(toggles: &Toggles) -> Result<(), ConfigError> {
    let rising = toggles.times.windows(2).all(|pair| pair[0] < pair[1]);
    if !rising || toggles.times.first() == Some(&0) {
        return Err(ConfigError(
            "The times of changes have to be greater than zero and to rise.".to_owned(),
        ));
    }
    if let Some(repeat) = toggles.repeat {
        if toggles.times.last().is_some_and(|last| *last > repeat) || repeat == 0 {
            return Err(ConfigError(
                "Changes can begin again only after the last of them.".to_owned(),
            ));
        }
        if !toggles.times.len().is_multiple_of(2) {
            return Err(ConfigError(
                "Changes that begin again have to be even in number, to end where they began."
                    .to_owned(),
            ));
        }
    }
    Ok(())
}

/// Connects an analog input to an analog output by a wire, or (with none) to nothing. It holds for
/// tasks that start from now on.
///
/// # Errors
/// Where one of them does not exist, or is of another kind.
pub fn wire(input: &str, output: Option<&str>) -> Result<(), ConfigError> {
    use crate::device::Physical;
    let found = driver().physical(input).ok();
    if !matches!(found, Some((_, Physical::AnalogInput(_)))) {
        return Err(ConfigError(format!(
            "{input:?} is not an analog input of the simulator."
        )));
    }
    if let Some(output) = output {
        let found = driver().physical(output).ok();
        if !matches!(found, Some((_, Physical::AnalogOutput(_)))) {
            return Err(ConfigError(format!(
                "{output:?} is not an analog output of the simulator."
            )));
        }
    }
    crate::route::connect(input, output);
    driver().changed_signals();
    Ok(())
}

/// The accounts of all runs, oldest first: those of cleared tasks, then those of tasks that exist.
#[must_use]
pub fn ledgers() -> Vec<Ledger> {
    let mut ledgers = driver().archived();
    ledgers.extend(driver().tasks().iter().filter_map(|task| task.ledger()));
    ledgers
}

/// The account of the latest run of a task of this name.
#[must_use]
pub fn ledger(task: &str) -> Option<Ledger> {
    ledgers()
        .into_iter()
        .rev()
        .find(|ledger| ledger.task == task)
}

/// Makes something go wrong with a device, once: in the runs under way on it, or in the next one.
///
/// # Errors
/// Where there is no such device, or the duration is negative or not a number.
pub fn fault(device: &str, fault: &Fault) -> Result<(), ConfigError> {
    let device = known_device(device)?;
    if fault.seconds.is_nan() || fault.seconds < 0.0 {
        return Err(ConfigError(format!(
            "A fault has to last zero seconds or more, not {}.",
            fault.seconds
        )));
    }
    let tasks = driver().tasks();
    let mut given = false;
    for task in tasks.iter().filter(|task| task.uses(&device)) {
        given |= task.fault(fault);
    }
    if !given {
        driver().add_fault(&device, fault.clone());
    }
    Ok(())
}

/// Unplugs a device (what runs on it ends with -201003, and nothing can start) or plugs it in again.
///
/// # Errors
/// Where there is no such device.
pub fn plug(device: &str, plugged: bool) -> Result<(), ConfigError> {
    let device = known_device(device)?;
    driver().set_plugged(&device, plugged);
    if !plugged {
        let fault = Fault {
            kind: FaultKind::Unplugged,
            after: 0,
            seconds: 0.0,
        };
        for task in driver().tasks().iter().filter(|task| task.uses(&device)) {
            task.fault(&fault);
        }
    }
    Ok(())
}

fn known_device(device: &str) -> Result<String, ConfigError> {
    driver()
        .device(device)
        .map(|device| device.name.clone())
        .map_err(|_| ConfigError(format!("{device:?} is not a device of the simulator.")))
}

/// How many samples per channel of a task come into the buffer at a time, as a bus transfers them;
/// 1 for each as it is acquired. It holds for tasks that start from now on.
///
/// # Errors
/// Where it is 0.
pub fn set_transfer(samples: u64) -> Result<(), ConfigError> {
    if samples == 0 {
        return Err(ConfigError(
            "A transfer has to have one sample or more.".to_owned(),
        ));
    }
    driver().set_transfer(samples);
    Ok(())
}

/// Holds triggers back, or lets them come by themselves again, for tasks that start from now on.
pub fn hold_triggers(hold: bool) {
    driver().hold_triggers(hold);
}

/// Sends a trigger from a terminal (or from wherever each task expects it); gives the number of
/// tasks that have a trigger from there.
pub fn trigger(source: Option<&str>) -> usize {
    driver()
        .tasks()
        .iter()
        .filter(|task| task.triggered(source))
        .count()
}
