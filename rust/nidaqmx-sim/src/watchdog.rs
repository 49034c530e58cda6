//! Watchdog tasks: where nobody resets their timer in time, outputs go to states chosen before.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::attribute::{self, Object, Value};
use crate::device::{Device, Physical};
use crate::driver::{driver, lock};
use crate::error::{Error, Result, code};
use crate::product::bus;
use crate::rest::{HIGH, LOW, TRISTATE};
use crate::wire::Piece;
use crate::{names, route, wire};

const NO_CHANGE: i32 = 10160;
const VOLTAGE: i32 = 10322;

/// One watchdog timer.
#[derive(Debug)]
struct Dog {
    device: Arc<Device>,
    /// Seconds; never, where it is -1.
    timeout: f64,
    /// When the timer began, by the clock; `None` while the task does not run.
    since: Option<u64>,
    expired: bool,
    lines: BTreeMap<(u32, u32), i32>,
    volts: BTreeMap<u32, (f64, i32)>,
}

/// Watchdogs by the handles of their tasks; no other lock is waited for that is held elsewhere.
fn dogs() -> &'static Mutex<BTreeMap<usize, Dog>> {
    static DOGS: OnceLock<Mutex<BTreeMap<usize, Dog>>> = OnceLock::new();
    DOGS.get_or_init(Mutex::default)
}

/// Whether there is any: most programs have none, and pay for one load only.
static ANY: AtomicBool = AtomicBool::new(false);

fn check_timeout(timeout: f64) -> Result<()> {
    if timeout == -1.0 || (1e-6..=4294.0).contains(&timeout) {
        return Ok(());
    }
    Err(Error::new(code::WATCHDOG_TIMEOUT)
        .with("Property", "DAQmx_Watchdog_Timeout")
        .with("Requested Value", format!("{timeout:?}")))
}

/// `DAQmxCreateWatchdogTimerTaskEx`.
pub(crate) fn create(device: &str, name: &str, timeout: f64) -> Result<usize> {
    let device = driver().device(device)?;
    let has_outputs = device.product.ports.iter().any(|port| port.timed);
    if device.product.bus == bus::USB || !has_outputs {
        return Err(Error::new(code::WATCHDOG_NOT_SUPPORTED).with("Device", &device.name));
    }
    check_timeout(timeout)?;
    let handle = driver().create_task(name)?;
    let dog = Dog {
        device,
        timeout,
        since: None,
        expired: false,
        lines: BTreeMap::new(),
        volts: BTreeMap::new(),
    };
    lock(dogs()).insert(handle, dog);
    // Relaxed: whoever has the handle has it from here.
    ANY.store(true, Ordering::Relaxed);
    Ok(handle)
}

/// Lets timers that have run out take effect.
pub(crate) fn poll() {
    // Relaxed: as above.
    if !ANY.load(Ordering::Relaxed) {
        return;
    }
    let now = driver().clock().now();
    for dog in lock(dogs()).values_mut() {
        let Some(since) = dog.since.filter(|_| !dog.expired && dog.timeout > 0.0) else {
            continue;
        };
        let from = since.saturating_add((dog.timeout * 1e9) as u64);
        if now < from {
            continue;
        }
        dog.expired = true;
        for (&(port, line), &state) in &dog.lines {
            if state == HIGH || state == LOW {
                let value = f64::from(u8::from(state == HIGH));
                route::line(&dog.device, (port, line)).push(Piece::Steady { from, value });
            }
        }
        for (&number, &(value, kind)) in &dog.volts {
            if kind == VOLTAGE {
                let name = dog.device.full_name(Physical::AnalogOutput(number));
                wire::of(&name).push(Piece::Steady { from, value });
            }
        }
    }
}

/// Does something with the watchdog of a task; `None` where the task is none.
fn with<T>(handle: usize, act: impl FnOnce(&mut Dog) -> Result<T>) -> Option<Result<T>> {
    // Relaxed: as above.
    if !ANY.load(Ordering::Relaxed) {
        return None;
    }
    lock(dogs()).get_mut(&handle).map(act)
}

fn watched<T>(handle: usize, act: impl FnOnce(&mut Dog) -> Result<T>) -> Result<T> {
    with(handle, act).unwrap_or_else(|| Err(Error::new(code::NOT_A_WATCHDOG)))
}

/// An action of `DAQmxTaskControl`, or start (0) or stop (1); `None` where the task is no watchdog.
pub(crate) fn act(handle: usize, action: i32) -> Option<Result<()>> {
    with(handle, |dog| {
        match action {
            0 if dog.since.is_none() => {
                driver().check_present(&dog.device)?;
                dog.since = Some(driver().clock().now());
            }
            1 | 5 | 6 => (dog.since, dog.expired) = (None, false),
            0 | 2..=4 => {}
            _ => return Err(Error::new(code::INVALID_TASK_ACTION).with("Requested Value", action)),
        }
        Ok(())
    })
}

/// `DAQmxControlWatchdogTask`.
pub(crate) fn control(handle: usize, action: i32) -> Result<()> {
    watched(handle, |dog| {
        if dog.since.is_none() {
            return Err(Error::new(code::CANNOT_PERFORM_WHEN_NOT_RUNNING));
        }
        match action {
            0 if dog.expired => return Err(Error::new(code::CANT_RESET_EXPIRED_WATCHDOG)),
            0 | 1 => (dog.since, dog.expired) = (Some(driver().clock().now()), false),
            _ => return Err(Error::new(code::INVALID_TASK_ACTION).with("Requested Value", action)),
        }
        Ok(())
    })
}

/// A task is gone.
pub(crate) fn forget(handle: usize) {
    lock(dogs()).remove(&handle);
}

/// Whether outputs of a device can be written.
pub(crate) fn check(device: &Device) -> Result<()> {
    // Relaxed: as above.
    if ANY.load(Ordering::Relaxed)
        && lock(dogs())
            .values()
            .any(|dog| dog.expired && dog.device.name == device.name)
    {
        return Err(Error::new(code::WRITE_AFTER_WATCHDOG).with("Device", &device.name));
    }
    Ok(())
}

/// The channels of a list, which have to be outputs of the watchdog's device.
fn channels(dog: &Dog, list: &str) -> Result<Vec<Physical>> {
    let mut found = Vec::new();
    for name in names::expand(list)? {
        let (device, physical) = driver().physical(&name)?;
        let wrong = || Error::new(code::INVALID_PHYS_CHAN_TYPE).with("Physical Channel", &name);
        if device.name != dog.device.name {
            return Err(wrong());
        }
        match physical {
            Physical::Port(port) => {
                let width = device.product.ports[port as usize].width;
                found.extend((0..width).map(|line| Physical::Line(port, line)));
            }
            Physical::Line(..) | Physical::AnalogOutput(_) => found.push(physical),
            _ => return Err(wrong()),
        }
    }
    Ok(found)
}

/// Sets one attribute of some channels.
fn apply(dog: &mut Dog, list: &str, id: u32, value: &Value) -> Result<()> {
    let name = |id: u32| {
        attribute::find(Object::Watchdog, id as i32).map_or(String::new(), |row| row.display())
    };
    let found = channels(dog, list)?;
    for physical in found {
        match (id, physical) {
            (0x21A7, Physical::Line(port, line)) => {
                let state = value.as_i32();
                if !matches!(state, HIGH | LOW | TRISTATE | NO_CHANGE) {
                    return Err(Error::value(&name(id), state));
                }
                dog.lines.insert((port, line), state);
            }
            (0x305E, Physical::AnalogOutput(number)) => {
                let kind = value.as_i32();
                if !matches!(kind, VOLTAGE | NO_CHANGE) {
                    return Err(Error::value(&name(id), kind));
                }
                dog.volts.entry(number).or_insert((0.0, VOLTAGE)).1 = kind;
            }
            (0x305F, Physical::AnalogOutput(number)) => {
                let volts = value.as_f64();
                if volts.is_nan() || volts.abs() > 10.0 {
                    return Err(Error::value(&name(id), value.display()));
                }
                dog.volts.entry(number).or_insert((0.0, VOLTAGE)).0 = volts;
            }
            _ => {
                return Err(Error::new(code::INVALID_PHYS_CHAN_TYPE)
                    .with("Physical Channel", dog.device.full_name(physical)));
            }
        }
    }
    Ok(())
}

/// The expiration states of lists of channels, one value for each channel.
pub(crate) fn configure(handle: usize, list: &str, id: u32, values: &[Value]) -> Result<()> {
    watched(handle, |dog| {
        if dog.since.is_some() {
            return Err(Error::new(code::CANNOT_SET_WHILE_RUNNING));
        }
        let names = names::expand(list)?;
        if names.len() != values.len() {
            return Err(
                Error::value("DAQmx_Watchdog_States", values.len()).with("Channels", names.len())
            );
        }
        for (name, value) in names.iter().zip(values) {
            apply(dog, name, id, value)?;
        }
        Ok(())
    })
}

pub(crate) fn get(handle: usize, list: &str, id: i32) -> Result<Value> {
    let row = attribute::readable(Object::Watchdog, id)?;
    watched(handle, |dog| match row.id {
        0x21A8 if dog.since.is_none() => {
            Err(Error::new(code::CANNOT_PERFORM_WHEN_NOT_RUNNING).with("Property", row.display()))
        }
        0x21A8 => Ok(Value::Bool(dog.expired)),
        0x21A9 => Ok(Value::F64(dog.timeout)),
        0x21A7 | 0x305E | 0x305F => {
            let found = channels(dog, list)?;
            match (row.id, found.first()) {
                (0x21A7, Some(Physical::Line(port, line))) => Ok(Value::I32(
                    dog.lines.get(&(*port, *line)).copied().unwrap_or(NO_CHANGE),
                )),
                (0x305E, Some(Physical::AnalogOutput(number))) => Ok(Value::I32(
                    dog.volts.get(number).map_or(NO_CHANGE, |(_, kind)| *kind),
                )),
                (0x305F, Some(Physical::AnalogOutput(number))) => Ok(Value::F64(
                    dog.volts.get(number).map_or(0.0, |(volts, _)| *volts),
                )),
                _ => Err(Error::new(code::INVALID_PHYS_CHAN_TYPE).with("Physical Channel", list)),
            }
        }
        _ => Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK).with("Property", row.display())),
    })
}

pub(crate) fn set(handle: usize, list: &str, id: i32, value: &Value) -> Result<()> {
    let row = attribute::writable(Object::Watchdog, id)?;
    watched(handle, |dog| {
        if dog.since.is_some() {
            return Err(Error::new(code::CANNOT_SET_WHILE_RUNNING).with("Property", row.display()));
        }
        match row.id {
            0x21A9 => {
                check_timeout(value.as_f64())?;
                dog.timeout = value.as_f64();
                Ok(())
            }
            0x21A7 | 0x305E | 0x305F => apply(dog, list, row.id, value),
            _ => {
                Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK)
                    .with("Property", row.display()))
            }
        }
    })
}
