//! What a device is like after power-up or a reset, and what it says of its calibration.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::attribute::{self, Object, Value};
use crate::device::{Device, Physical};
use crate::driver::{driver, lock};
use crate::error::{Error, Result, code};
use crate::wire::Piece;
use crate::{names, output, route, wire};

pub(crate) const HIGH: i32 = 10192;
pub(crate) const LOW: i32 = 10214;
pub(crate) const TRISTATE: i32 = 10310;

const FIVE_VOLTS: i32 = 14619;
const VOLTAGE: i32 = 0;

/// A minute of the calendar: year, month, day, hour, minute.
pub(crate) type Minute = [u32; 5];

/// When every device was calibrated outside of the computer.
const EXTERNAL: Minute = [2025, 1, 15, 9, 30];

/// Degrees Celsius at the calibrations, and of the device now.
const CALIBRATED_AT: f64 = 23.0;
const TEMPERATURE: f64 = 30.0;

/// Months until a device is to be calibrated again.
const INTERVAL: u32 = 24;

/// Characters that a program can leave in a device.
const USER_INFO: usize = 4;

/// What was set; keys are in lower case.
#[derive(Debug, Default)]
struct Set {
    lines: HashMap<String, i32>,
    analog: HashMap<String, (f64, i32)>,
    family: HashMap<String, i32>,
    info: HashMap<String, String>,
    self_calibrated: HashMap<String, Minute>,
}

fn set() -> &'static Mutex<Set> {
    static SET: OnceLock<Mutex<Set>> = OnceLock::new();
    SET.get_or_init(Mutex::default)
}

fn key(name: &str) -> String {
    name.trim().trim_start_matches('/').to_ascii_lowercase()
}

/// Everything is as delivered again.
pub(crate) fn forget() {
    *lock(set()) = Set::default();
}

/// The lines of a list of lines and ports of a device.
fn lines(device: &Device, list: &str) -> Result<Vec<(u32, u32)>> {
    let mut found = Vec::new();
    for name in names::expand(list)? {
        let (owner, physical) = driver().physical(&name)?;
        let wrong = || {
            Error::new(code::INVALID_PHYS_CHAN_TYPE)
                .with("Physical Channel", &name)
                .with("Device", &device.name)
        };
        if owner.name != device.name {
            return Err(wrong());
        }
        match physical {
            Physical::Line(port, line) => found.push((port, line)),
            Physical::Port(port) => {
                let width = device.product.ports[port as usize].width;
                found.extend((0..width).map(|line| (port, line)));
            }
            _ => return Err(wrong()),
        }
    }
    Ok(found)
}

pub(crate) fn digital(device: &str, list: &str) -> Result<i32> {
    let device = driver().device(device)?;
    let set = lock(set());
    let states: Vec<i32> = lines(&device, list)?
        .into_iter()
        .map(|(port, line)| {
            let name = key(&device.full_name(Physical::Line(port, line)));
            set.lines.get(&name).copied().unwrap_or(TRISTATE)
        })
        .collect();
    match states.as_slice() {
        [] => Err(Error::new(code::NO_PHYSICAL_CHANNEL).with("Device", &device.name)),
        [first, others @ ..] if others.iter().all(|other| other == first) => Ok(*first),
        // One answer for lines that differ cannot be given.
        [first, ..] => {
            Err(Error::value("DAQmx_PowerUpState", first).with("Physical Channel", list))
        }
    }
}

/// Sets the power-up states of lines, all or none.
pub(crate) fn set_digital(device: &str, states: &[(String, i32)]) -> Result<()> {
    let device = driver().device(device)?;
    let mut wanted = Vec::new();
    for (list, state) in states {
        if !matches!(*state, HIGH | LOW | TRISTATE) {
            return Err(Error::value("DAQmx_PowerUpState", state).with("Physical Channel", list));
        }
        let found = lines(&device, list)?;
        if found.is_empty() {
            return Err(Error::new(code::NO_PHYSICAL_CHANNEL).with("Device", &device.name));
        }
        wanted.extend(found.into_iter().map(|line| (line, *state)));
    }
    let mut set = lock(set());
    for ((port, line), state) in wanted {
        set.lines
            .insert(key(&device.full_name(Physical::Line(port, line))), state);
    }
    Ok(())
}

/// The analog outputs of a list.
fn outputs(list: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for name in names::expand(list)? {
        let (device, physical) = driver().physical(&name)?;
        if !matches!(physical, Physical::AnalogOutput(_)) {
            return Err(Error::new(code::INVALID_PHYS_CHAN_TYPE).with("Physical Channel", name));
        }
        found.push(device.full_name(physical));
    }
    if found.is_empty() {
        return Err(Error::new(code::NO_PHYSICAL_CHANNEL));
    }
    Ok(found)
}

/// Volts and kinds of output after power-up.
pub(crate) fn analog(list: &str) -> Result<Vec<(f64, i32)>> {
    let names = outputs(list)?;
    let set = lock(set());
    Ok(names
        .iter()
        .map(|name| {
            set.analog
                .get(&key(name))
                .copied()
                .unwrap_or((0.0, VOLTAGE))
        })
        .collect())
}

pub(crate) fn set_analog(list: &str, states: &[(f64, i32)]) -> Result<()> {
    let names = outputs(list)?;
    if names.len() != states.len() {
        return Err(Error::value("DAQmx_PowerUpStates", states.len()).with("Channels", names.len()));
    }
    for (name, (volts, kind)) in names.iter().zip(states) {
        let named = |property: &str, value: String| {
            Err(Error::value(property, value).with("Physical Channel", name))
        };
        // The boards that are simulated put out volts.
        if *kind != VOLTAGE {
            return named("DAQmx_PowerUpOutputType", kind.to_string());
        }
        if volts.is_nan() || volts.abs() > 10.0 {
            return named("DAQmx_PowerUpState", format!("{volts:?}"));
        }
    }
    let mut set = lock(set());
    for (name, state) in names.iter().zip(states) {
        set.analog.insert(key(name), *state);
    }
    Ok(())
}

fn with_lines(device: &str) -> Result<std::sync::Arc<Device>> {
    let device = driver().device(device)?;
    if device.product.ports.is_empty() {
        return Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED).with("Device", &device.name));
    }
    Ok(device)
}

pub(crate) fn family(device: &str) -> Result<i32> {
    let device = with_lines(device)?;
    let known = lock(set()).family.get(&key(&device.name)).copied();
    Ok(known.unwrap_or(FIVE_VOLTS))
}

pub(crate) fn set_family(device: &str, family: i32) -> Result<()> {
    let device = with_lines(device)?;
    if !matches!(family, 16184 | 14620 | 14621 | FIVE_VOLTS) {
        return Err(Error::value("DAQmx_LogicFamily", family).with("Device", &device.name));
    }
    lock(set()).family.insert(key(&device.name), family);
    Ok(())
}

/// Puts the outputs of a device into the state after power-up.
pub(crate) fn power_up(device: &Device) {
    wire::forget(Some(&device.name));
    driver().undrive(&device.name);
    let from = driver().clock().now();
    let (analog, digital) = {
        let set = lock(set());
        (set.analog.clone(), set.lines.clone())
    };
    let count = output::analog_outputs(device.product).map_or(0, |outputs| outputs.channels);
    for number in 0..count {
        let name = device.full_name(Physical::AnalogOutput(number));
        let (value, _) = analog.get(&key(&name)).copied().unwrap_or_default();
        wire::of(&name).push(Piece::Steady { from, value });
    }
    for physical in device.lines() {
        let Physical::Line(port, line) = physical else {
            continue;
        };
        let value = match digital.get(&key(&device.full_name(physical))) {
            Some(&HIGH) => 1.0,
            Some(&LOW) => 0.0,
            _ => continue,
        };
        route::line(device, (port, line)).push(Piece::Steady { from, value });
    }
    driver().changed_signals();
}

/// A device that can be calibrated.
fn calibrated(device: &str) -> Result<std::sync::Arc<Device>> {
    let device = driver().device(device)?;
    if device.product.ai.is_none() {
        return Err(Error::new(code::CAL_FUNCTION_NOT_SUPPORTED).with("Device", &device.name));
    }
    Ok(device)
}

pub(crate) fn external_date(device: &str) -> Result<Minute> {
    calibrated(device).map(|_| EXTERNAL)
}

pub(crate) fn self_date(device: &str) -> Result<Minute> {
    let device = calibrated(device)?;
    let known = lock(set()).self_calibrated.get(&key(&device.name)).copied();
    Ok(known.unwrap_or(EXTERNAL))
}

/// A calibration of the device by itself, now.
pub(crate) fn self_calibrate(device: &str) -> Result<()> {
    let device = calibrated(device)?;
    driver().check_present(&device)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    lock(set())
        .self_calibrated
        .insert(key(&device.name), minute(now));
    Ok(())
}

/// The external calibration counts again.
pub(crate) fn restore(device: &str) -> Result<()> {
    let device = calibrated(device)?;
    driver().check_present(&device)?;
    lock(set()).self_calibrated.remove(&key(&device.name));
    Ok(())
}

/// Seconds since 1970 as the calendar has them, in UTC.
fn minute(seconds: u64) -> Minute {
    let (mut days, rest) = (seconds / 86_400, seconds % 86_400);
    let leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    [
        year as u32,
        month,
        days as u32 + 1,
        (rest / 3600) as u32,
        (rest / 60 % 60) as u32,
    ]
}

/// An attribute of calibration.
pub(crate) fn get(device: &str, id: i32) -> Result<Value> {
    let row = attribute::readable(Object::CalibrationInfo, id)?;
    let device = driver().device(device)?;
    if row.id == 0x1860 {
        return Ok(Value::Bool(device.product.ai.is_some()));
    }
    calibrated(&device.name)?;
    Ok(match row.id {
        0x1861 => {
            let known = lock(set()).info.get(&key(&device.name)).cloned();
            Value::Str(known.unwrap_or_default())
        }
        0x1864 | 0x1867 => Value::F64(CALIBRATED_AT),
        0x1868 => Value::U32(INTERVAL),
        0x191C => Value::U32(USER_INFO as u32),
        0x223B => Value::F64(TEMPERATURE),
        _ => {
            return Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED)
                .with("Property", row.display())
                .with("Device", &device.name));
        }
    })
}

pub(crate) fn set_info(device: &str, id: i32, value: &Value) -> Result<()> {
    let row = attribute::writable(Object::CalibrationInfo, id)?;
    let device = calibrated(device)?;
    if row.id != 0x1861 {
        return Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED)
            .with("Property", row.display())
            .with("Device", &device.name));
    }
    if value.as_str().len() > USER_INFO {
        return Err(Error::value(&row.display(), value.as_str()).with("Maximum Length", USER_INFO));
    }
    lock(set())
        .info
        .insert(key(&device.name), value.as_str().to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::minute;

    #[test]
    fn seconds_are_minutes_of_the_calendar() {
        assert_eq!(minute(0), [1970, 1, 1, 0, 0]);
        assert_eq!(minute(951_782_400), [2000, 2, 29, 0, 0]);
        assert_eq!(minute(1_735_689_599), [2024, 12, 31, 23, 59]);
        assert_eq!(minute(1_772_323_200), [2026, 3, 1, 0, 0]);
    }
}
