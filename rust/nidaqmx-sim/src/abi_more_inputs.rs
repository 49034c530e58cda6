//! The exported functions that create analog inputs of the rarer kinds, and that read power.

use std::ffi::c_char;

use crate::abi::{Handle, done, export, guarded, with_task};
use crate::attribute::{Value, load_list, load_text};
use crate::create::{Power, Rosettes, Wanted, calculated_power, inputs, power, rosettes, shunt};
use crate::driver::driver;
use crate::error::{Error, Result, code};
use crate::product::measure;
use crate::product::terminal::DEFAULT;
use crate::read::{self, Fill};
use crate::sensor::{attr, unit};

/// Where a read of power puts voltages or currents.
///
/// # Safety
/// `array` is null or valid for writes of `size` elements.
unsafe fn power_array<'a, T>(array: *mut T, size: u32) -> Result<&'a mut [T]> {
    if size == 0 {
        return Ok(&mut []);
    }
    if array.is_null() || !array.is_aligned() {
        return Err(Error::new(code::NULL_POINTER));
    }
    // SAFETY: not null, aligned, and the caller promises `size` elements.
    Ok(unsafe { std::slice::from_raw_parts_mut(array, size as usize) })
}

/// Writes how many samples were read, where the caller wants to know.
///
/// # Safety
/// `count` is null or valid for a write.
unsafe fn offer(count: *mut i32, samples: usize) {
    if !count.is_null() {
        // SAFETY: not null, and the caller promises a place.
        unsafe { count.write_unaligned(i32::try_from(samples).unwrap_or(i32::MAX)) };
    }
}

export! {
    /// Adds channels that measure the RMS value of a voltage.
    fn DAQmxCreateAIVoltageRMSChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        terminals: i32,
        min: f64,
        max: f64,
        units: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals,
            measurement: measure::VOLTAGE_RMS,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &[])))
    }

    /// Adds channels that measure the RMS value of a current.
    fn DAQmxCreateAICurrentRMSChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        terminals: i32,
        min: f64,
        max: f64,
        units: i32,
        location: i32,
        ohms: f64,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals,
            measurement: measure::CURRENT_RMS,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &shunt(location, ohms)?)))
    }

    /// Adds channels that measure frequency by way of a converter that makes it a voltage.
    fn DAQmxCreateAIFreqVoltageChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        threshold: f64,
        hysteresis: f64,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::FREQUENCY,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &[
            (attr::FREQ_THRESHOLD, Value::F64(threshold)),
            (attr::FREQ_HYSTERESIS, Value::F64(hysteresis)),
        ])))
    }

    /// Adds channels that measure charge.
    fn DAQmxCreateAIChargeChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        terminals: i32,
        min: f64,
        max: f64,
        units: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals,
            measurement: measure::CHARGE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &[])))
    }

    /// Adds channels with accelerometers that give charge.
    fn DAQmxCreateAIAccelChargeChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        terminals: i32,
        min: f64,
        max: f64,
        units: i32,
        sensitivity: f64,
        sensitivity_units: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals,
            measurement: measure::ACCEL_CHARGE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &[
            (attr::ACCEL_CHARGE_SENSITIVITY, Value::F64(sensitivity)),
            (attr::ACCEL_CHARGE_SENSITIVITY_UNITS, Value::I32(sensitivity_units)),
        ])))
    }

    /// Adds channels that measure temperature with the device's own sensor.
    fn DAQmxCreateAITempBuiltInSensorChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        units: i32,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        // A device is never colder than freezing or warmer than 50 degrees Celsius here.
        let (slope, offset) = unit(units).unwrap_or((1.0, 0.0));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::BUILT_IN_SENSOR,
            min: offset,
            max: 50.0 * slope + offset,
            units,
            scale: "",
        };
        done(with_task(task, |task| inputs(task, wanted, &[])))
    }

    /// Adds the measurements of strain gage rosettes.
    fn DAQmxCreateAIRosetteStrainGageChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        kind: i32,
        orientation: f64,
        measurements: *const i32,
        count: u32,
        configuration: i32,
        source: i32,
        value: f64,
        gage_factor: f64,
        resistance: f64,
        poisson: f64,
        leads: f64,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let measurements = load_list(measurements, count as usize)?;
        let wanted = Rosettes {
            physical: &physical,
            names: &names,
            min,
            max,
            kind,
            orientation,
            measurements: &measurements,
            configuration,
            excitation: (source, value),
            gage_factor,
            resistance,
            poisson,
            leads,
        };
        done(with_task(task, |task| rosettes(task, wanted)))
    }

    /// Adds channels that calculate power from a voltage and a current.
    fn DAQmxCreateAICalculatedPowerChan(
        task: Handle,
        voltage: *const c_char,
        current: *const c_char,
        names: *const c_char,
        terminals: i32,
        voltage_min: f64,
        voltage_max: f64,
        current_min: f64,
        current_max: f64,
        units: i32,
        location: i32,
        ohms: f64,
        scale: *const c_char,
    ) {
        let (voltage, current, names) = (load_text(voltage), load_text(current), load_text(names));
        let scale = load_text(scale);
        let wanted = Power {
            voltage: &voltage,
            current: &current,
            names: &names,
            terminals,
            voltages: (voltage_min, voltage_max),
            currents: (current_min, current_max),
            units,
            shunt: (location, ohms),
            scale: &scale,
        };
        done(with_task(task, |task| calculated_power(task, wanted)))
    }

    /// Adds power supplies that measure what they deliver.
    fn DAQmxCreateAIPowerChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        voltage: f64,
        current: f64,
        enable: u32,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        done(with_task(task, |task| power(task, &physical, &names, voltage, current, enable != 0)))
    }

    /// Reads voltages and currents of power supplies.
    fn DAQmxReadPowerF64(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        voltages: *mut f64,
        currents: *mut f64,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        offer(count, 0);
        let task = driver().task(task as usize)?;
        let (voltages, currents) = (power_array(voltages, size)?, power_array(currents, size)?);
        let outcome = read::read_power(&task, samples, timeout, Fill::new(fill), voltages, currents);
        offer(count, outcome.samples);
        done(outcome.error.map_or(Ok(()), |error| Err(error.in_task(&task.name))))
    }

    /// Reads the codes of voltages and currents of power supplies.
    fn DAQmxReadPowerBinaryI16(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        voltages: *mut i16,
        currents: *mut i16,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        offer(count, 0);
        let task = driver().task(task as usize)?;
        let (voltages, currents) = (power_array(voltages, size)?, power_array(currents, size)?);
        let outcome = read::read_power(&task, samples, timeout, Fill::new(fill), voltages, currents);
        offer(count, outcome.samples);
        done(outcome.error.map_or(Ok(()), |error| Err(error.in_task(&task.name))))
    }

    /// Reads one voltage and one current of a power supply.
    fn DAQmxReadPowerScalarF64(
        task: Handle,
        timeout: f64,
        voltage: *mut f64,
        current: *mut f64,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        let task = driver().task(task as usize)?;
        if voltage.is_null() || current.is_null() {
            return Err(Error::new(code::NULL_POINTER).in_task(&task.name));
        }
        let (mut volts, mut amperes) = ([0.0f64], [0.0f64]);
        let outcome =
            read::read_power(&task, 1, timeout, Ok(Fill::ByChannel), &mut volts, &mut amperes);
        if outcome.samples == 1 {
            voltage.write_unaligned(volts[0]);
            current.write_unaligned(amperes[0]);
        }
        done(outcome.error.map_or(Ok(()), |error| Err(error.in_task(&task.name))))
    }
}
