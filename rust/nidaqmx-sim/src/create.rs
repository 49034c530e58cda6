//! Creating virtual channels.

use crate::attribute::{self, Object, Value};
use crate::channel::{Channel, FROM_CUSTOM_SCALE, id};
use crate::combined::rosette;
use crate::device::Physical;
use crate::digital::grouped;
use crate::driver::driver;
use crate::error::{Error, Result, code};
use crate::names;
use crate::product::measure;
use crate::product::terminal::DEFAULT;
use crate::scale::kind;
use crate::sensor::{attr, rtd_coefficients, unit, units_attribute};
use crate::task::Task;

/// The analog inputs of a list of physical channels, each with its virtual name.
fn analog_inputs(
    physical: &str,
    wanted: &str,
    make: impl Fn(String, std::sync::Arc<crate::device::Device>, u32) -> Result<Channel>,
) -> Result<Vec<Channel>> {
    let listed = names::expand(physical)?;
    if listed.is_empty() {
        return Err(Error::new(code::PHYSICAL_CHAN_DOES_NOT_EXIST)
            .with("Physical Channel", format!("\"{physical}\"")));
    }
    let mut found = Vec::new();
    for name in &listed {
        let (device, channel) = driver().physical(name)?;
        let Physical::AnalogInput(index) = channel else {
            return Err(Error::new(code::INVALID_PHYS_CHAN_TYPE).with("Physical Channel", name));
        };
        found.push((device, index));
    }
    let full: Vec<_> = found
        .iter()
        .map(|(device, index)| device.full_name(Physical::AnalogInput(*index)))
        .collect();
    let virtual_names = names::assign(wanted, &full)?;
    virtual_names
        .into_iter()
        .zip(found)
        .map(|(name, (device, index))| make(name, device, index))
        .collect()
}

/// Which channels a create function was asked for, and what all kinds of them have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) physical: &'a str,
    pub(crate) names: &'a str,
    pub(crate) terminals: i32,
    pub(crate) measurement: i32,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) units: i32,
    pub(crate) scale: &'a str,
}

/// The units that a kind of measurement can have, besides those of a custom scale.
fn possible_units(measurement: i32) -> &'static [i32] {
    match measurement {
        measure::CURRENT | measure::CURRENT_RMS => &[10342],
        measure::THERMOCOUPLE | measure::RTD | measure::THERMISTOR | measure::BUILT_IN_SENSOR => {
            &[10143, 10144, 10325, 10145]
        }
        measure::FREQUENCY => &[10373],
        measure::CHARGE => &[16102, 16103],
        measure::CALCULATED_POWER => &[16203],
        measure::RESISTANCE => &[10384],
        measure::STRAIN | measure::ROSETTE => &[10299],
        measure::BRIDGE => &[15896, 15897],
        measure::FORCE_BRIDGE | measure::FORCE_IEPE => &[15875, 15876, 15877],
        measure::PRESSURE_BRIDGE => &[10081, 15879, 15880],
        measure::TORQUE_BRIDGE => &[15881, 15882, 15883, 15884],
        measure::ACCELEROMETER | measure::ACCEL_4_WIRE | measure::ACCEL_CHARGE => {
            &[10186, 12470, 12471]
        }
        measure::MICROPHONE => &[10081],
        measure::VELOCITY => &[15959, 15960],
        measure::LVDT | measure::EDDY_CURRENT => &[10219, 10379],
        measure::RVDT => &[10146, 10273],
        _ => &[10348],
    }
}

/// Adds analog inputs of any kind; `extra` are the attributes of the kind.
pub(crate) fn inputs(task: &Task, wanted: Wanted<'_>, extra: &[(u32, Value)]) -> Result<()> {
    let units = units_attribute(wanted.measurement);
    if wanted.units == FROM_CUSTOM_SCALE {
        driver().scale(wanted.scale)?;
    } else if !wanted.scale.is_empty() {
        return Err(
            Error::new(code::UNITS_NOT_FROM_CUSTOM_SCALE).with("Custom Scale Name", wanted.scale)
        );
    } else if !possible_units(wanted.measurement).contains(&wanted.units) {
        let row = attribute::find(Object::Channel, units as i32)?;
        return Err(Error::value(&row.display(), wanted.units));
    }
    let channels = analog_inputs(wanted.physical, wanted.names, |name, device, index| {
        let channel = Channel::analog_input(
            name,
            device,
            index,
            wanted.measurement,
            wanted.terminals,
            wanted.min,
            wanted.max,
        )?
        .with(units, Value::I32(wanted.units))
        .with(id::AI_CUSTOM_SCALE_NAME, Value::text(wanted.scale));
        let channel = extra.iter().fold(channel, |channel, (id, value)| {
            channel.with(*id, value.clone())
        });
        channel.check_range()?;
        Ok(channel)
    })?;
    task.add_channels(channels)
}

/// Attributes of an excitation: its source and its value.
pub(crate) fn excitation(source: i32, value: f64) -> Result<[(u32, Value); 2]> {
    if !matches!(source, 10200 | 10167 | 10230) {
        return Err(Error::value("DAQmx_AI_Excit_Src", source));
    }
    Ok([
        (attr::EXCIT_SRC, Value::I32(source)),
        (attr::EXCIT_VAL, Value::F64(value)),
    ])
}

/// Attributes of a bridge: its configuration, excitation and nominal resistance.
pub(crate) fn bridge(
    configuration: i32,
    source: i32,
    value: f64,
    resistance: f64,
) -> Result<Vec<(u32, Value)>> {
    if !matches!(configuration, 10182 | 10187 | 10270 | 10228) {
        return Err(Error::value("DAQmx_AI_Bridge_Cfg", configuration));
    }
    let mut all = excitation(source, value)?.to_vec();
    all.push((attr::BRIDGE_CFG, Value::I32(configuration)));
    all.push((attr::NOMINAL_RESISTANCE, Value::F64(resistance)));
    Ok(all)
}

/// Attributes of a bridge's scale between two points.
pub(crate) fn two_points(
    electrical: [f64; 2],
    electrical_units: i32,
    physical: [f64; 2],
    physical_units: i32,
) -> Vec<(u32, Value)> {
    vec![
        (attr::BRIDGE_SCALE_TYPE, Value::I32(15898)),
        (attr::ELECTRICAL_UNITS, Value::I32(electrical_units)),
        (attr::PHYSICAL_UNITS, Value::I32(physical_units)),
        (attr::FIRST_ELECTRICAL, Value::F64(electrical[0])),
        (attr::SECOND_ELECTRICAL, Value::F64(electrical[1])),
        (attr::FIRST_PHYSICAL, Value::F64(physical[0])),
        (attr::SECOND_PHYSICAL, Value::F64(physical[1])),
    ]
}

/// Attributes of a bridge's scale by a table.
pub(crate) fn table(
    electrical: Vec<f64>,
    electrical_units: i32,
    physical: Vec<f64>,
    physical_units: i32,
) -> Vec<(u32, Value)> {
    vec![
        (attr::BRIDGE_SCALE_TYPE, Value::I32(kind::TABLE)),
        (attr::ELECTRICAL_UNITS, Value::I32(electrical_units)),
        (attr::PHYSICAL_UNITS, Value::I32(physical_units)),
        (attr::TABLE_ELECTRICAL, Value::F64s(electrical)),
        (attr::TABLE_PHYSICAL, Value::F64s(physical)),
    ]
}

/// Attributes of a bridge's scale by a polynomial.
pub(crate) fn polynomial(
    forward: Vec<f64>,
    reverse: Vec<f64>,
    electrical_units: i32,
    physical_units: i32,
) -> Vec<(u32, Value)> {
    vec![
        (attr::BRIDGE_SCALE_TYPE, Value::I32(kind::POLYNOMIAL)),
        (attr::ELECTRICAL_UNITS, Value::I32(electrical_units)),
        (attr::PHYSICAL_UNITS, Value::I32(physical_units)),
        (attr::POLY_FORWARD, Value::F64s(forward)),
        (attr::POLY_REVERSE, Value::F64s(reverse)),
    ]
}

/// Attributes of a resistance that is measured with two, three or four wires.
pub(crate) fn resistance(wires: i32, source: i32, value: f64) -> Result<Vec<(u32, Value)>> {
    if !matches!(wires, 2..=4) {
        return Err(Error::value("DAQmx_AI_ResistanceCfg", wires));
    }
    let mut all = excitation(source, value)?.to_vec();
    all.push((attr::RESISTANCE_CFG, Value::I32(wires)));
    Ok(all)
}

/// Attributes of a current's shunt.
pub(crate) fn shunt(location: i32, ohms: f64) -> Result<Vec<(u32, Value)>> {
    // What NI's own current modules have, where the shunt is not the program's.
    const INTERNAL: f64 = 249.0;
    let (location, ohms) = match location {
        -1 | 10200 => (10200, INTERNAL),
        10167 => (10167, ohms),
        other => return Err(Error::value("DAQmx_AI_CurrentShunt_Loc", other)),
    };
    Ok(vec![
        (attr::SHUNT_LOC, Value::I32(location)),
        (attr::SHUNT_RESISTANCE, Value::F64(ohms)),
    ])
}

/// Attributes of a thermocouple: its type and the temperature of its cold junction.
pub(crate) fn thermocouple(
    kind: i32,
    units: i32,
    source: i32,
    value: f64,
    channel: &str,
) -> Result<Vec<(u32, Value)>> {
    let value = match source {
        10116 => value,
        // The simulated terminal block, and any channel that measures it, is at 25 degrees Celsius.
        10200 | 10113 => {
            let (slope, offset) = unit(units).unwrap_or((1.0, 0.0));
            25.0 * slope + offset
        }
        other => return Err(Error::value("DAQmx_AI_Thrmcpl_CJCSrc", other)),
    };
    if source == 10113 {
        driver().physical(channel)?;
    }
    if crate::thermocouple::find(kind).is_none() {
        return Err(Error::value("DAQmx_AI_Thrmcpl_Type", kind));
    }
    Ok(vec![
        (attr::THRMCPL_TYPE, Value::I32(kind)),
        (attr::CJC_SRC, Value::I32(source)),
        (attr::CJC_VAL, Value::F64(value)),
        (attr::CJC_CHAN, Value::text(channel)),
    ])
}

/// Attributes of an RTD.
pub(crate) fn rtd(
    kind: i32,
    wires: i32,
    source: i32,
    value: f64,
    r0: f64,
) -> Result<Vec<(u32, Value)>> {
    let [a, b, c] = match rtd_coefficients(kind) {
        Some(coefficients) => coefficients,
        // The program gives its own coefficients by attributes.
        None if kind == 10137 => rtd_coefficients(10071).unwrap_or_default(),
        None => return Err(Error::value("DAQmx_AI_RTD_Type", kind)),
    };
    let mut all = resistance(wires, source, value)?;
    all.extend([
        (attr::RTD_TYPE, Value::I32(kind)),
        (attr::RTD_R0, Value::F64(r0)),
        (attr::RTD_A, Value::F64(a)),
        (attr::RTD_B, Value::F64(b)),
        (attr::RTD_C, Value::F64(c)),
    ]);
    Ok(all)
}

/// Attributes of a thermistor; `series` where it is fed with a voltage through a resistance.
pub(crate) fn thermistor(
    coefficients: [f64; 3],
    wires: i32,
    source: i32,
    value: f64,
    series: Option<f64>,
) -> Result<Vec<(u32, Value)>> {
    let mut all = resistance(wires, source, value)?;
    let fed_with = if series.is_some() { 10322 } else { 10134 };
    all.extend([
        (attr::EXCIT_VOLTAGE_OR_CURRENT, Value::I32(fed_with)),
        (attr::THRMSTR_A, Value::F64(coefficients[0])),
        (attr::THRMSTR_B, Value::F64(coefficients[1])),
        (attr::THRMSTR_C, Value::F64(coefficients[2])),
        (attr::THRMSTR_R1, Value::F64(series.unwrap_or(0.0))),
    ]);
    Ok(all)
}

/// The sound pressure in pascals at a level in decibels above 20 micropascals.
pub(crate) fn sound_pressure(level: f64) -> f64 {
    20e-6 * 10f64.powf(level / 20.0)
}

/// The strains of gages that the measurements of a rosette are made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rosettes<'a> {
    pub(crate) physical: &'a str,
    pub(crate) names: &'a str,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) kind: i32,
    pub(crate) orientation: f64,
    pub(crate) measurements: &'a [i32],
    pub(crate) configuration: i32,
    pub(crate) excitation: (i32, f64),
    pub(crate) gage_factor: f64,
    pub(crate) resistance: f64,
    pub(crate) poisson: f64,
    pub(crate) leads: f64,
}

/// `DAQmxCreateAIRosetteStrainGageChan`: for each rosette, a channel per measurement.
pub(crate) fn rosettes(task: &Task, wanted: Rosettes<'_>) -> Result<()> {
    let each = match wanted.kind {
        rosette::RECTANGULAR | rosette::DELTA => 3,
        rosette::TEE => 2,
        other => {
            return Err(Error::value(
                "DAQmx_AI_RosetteStrainGage_RosetteType",
                other,
            ));
        }
    };
    let last = rosette::FIRST_MEASUREMENT + rosette::MEASUREMENTS.len() as i32;
    let unknown = |kind: &&i32| !(rosette::FIRST_MEASUREMENT..last).contains(*kind);
    if let Some(other) = wanted.measurements.iter().find(unknown) {
        return Err(Error::value(
            "DAQmx_AI_RosetteStrainGage_RosetteMeasType",
            other,
        ));
    }
    if wanted.measurements.is_empty() {
        return Err(Error::new(code::ROSETTE_MEASUREMENTS_NOT_SPECIFIED));
    }
    if !wanted.orientation.is_finite() {
        return Err(Error::value(
            "DAQmx_AI_RosetteStrainGage_Orientation",
            wanted.orientation,
        ));
    }
    let mut common = bridge(
        10270,
        wanted.excitation.0,
        wanted.excitation.1,
        wanted.resistance,
    )?;
    common.retain(|(id, _)| *id != attr::BRIDGE_CFG);
    common.extend([
        (attr::STRAIN_UNITS, Value::I32(10299)),
        (attr::STRAIN_CFG, Value::I32(wanted.configuration)),
        (attr::GAGE_FACTOR, Value::F64(wanted.gage_factor)),
        (attr::POISSON, Value::F64(wanted.poisson)),
        (attr::LEAD_WIRE, Value::F64(wanted.leads)),
        (attr::INITIAL_VOLTAGE, Value::F64(0.0)),
    ]);
    let gages = analog_inputs(wanted.physical, "", |name, device, index| {
        let channel = Channel::analog_input(
            name,
            device,
            index,
            measure::ROSETTE,
            DEFAULT,
            wanted.min,
            wanted.max,
        )?;
        let channel = common.iter().fold(channel, |channel, (id, value)| {
            channel.with(*id, value.clone())
        });
        channel.check_range()?;
        Ok(channel)
    })?;
    if gages.len() % each != 0 {
        return Err(Error::new(if each == 3 {
            code::INVALID_NUM_OF_ROSETTE_CHANS
        } else {
            code::INVALID_NUM_OF_TEE_CHANS
        })
        .with("Number of Physical Channels", gages.len()));
    }
    let mut made = Vec::new();
    let mut defaults = Vec::new();
    for gages in gages.chunks(each) {
        let names: Vec<_> = gages.iter().map(|gage| gage.name.clone()).collect();
        for &measurement in wanted.measurements {
            let place = (measurement - rosette::FIRST_MEASUREMENT) as usize;
            defaults.push(format!("{}_{}", names[0], rosette::MEASUREMENTS[place]));
            let mut channel = gages[0]
                .clone()
                .with(id::PHYSICAL_CHAN_NAME, Value::Str(names::join(&names)))
                .with(attr::ROSETTE_TYPE, Value::I32(wanted.kind))
                .with(attr::ROSETTE_ORIENTATION, Value::F64(wanted.orientation))
                .with(attr::ROSETTE_MEAS_TYPE, Value::I32(measurement))
                .with(attr::ROSETTE_CHANS, Value::Str(names::join(&names)));
            channel.partners = gages[1..].to_vec();
            made.push(channel);
        }
    }
    let assigned = names::assign(wanted.names, &defaults)?;
    for (channel, name) in made.iter_mut().zip(assigned) {
        channel.name = name;
    }
    task.add_channels(made)
}

/// What a channel that calculates power is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Power<'a> {
    pub(crate) voltage: &'a str,
    pub(crate) current: &'a str,
    pub(crate) names: &'a str,
    pub(crate) terminals: i32,
    pub(crate) voltages: (f64, f64),
    pub(crate) currents: (f64, f64),
    pub(crate) units: i32,
    pub(crate) shunt: (i32, f64),
    pub(crate) scale: &'a str,
}

/// `DAQmxCreateAICalculatedPowerChan`: the product of a voltage and a current each.
pub(crate) fn calculated_power(task: &Task, wanted: Power<'_>) -> Result<()> {
    if wanted.units == FROM_CUSTOM_SCALE {
        driver().scale(wanted.scale)?;
    } else if !wanted.scale.is_empty() {
        return Err(
            Error::new(code::UNITS_NOT_FROM_CUSTOM_SCALE).with("Custom Scale Name", wanted.scale)
        );
    } else if !possible_units(measure::CALCULATED_POWER).contains(&wanted.units) {
        return Err(Error::value("DAQmx_AI_Power_Units", wanted.units));
    }
    let extra = shunt(wanted.shunt.0, wanted.shunt.1)?;
    let currents = analog_inputs(wanted.current, "", |name, device, index| {
        let (min, max) = wanted.currents;
        let channel = Channel::analog_input(
            name,
            device,
            index,
            measure::CURRENT,
            wanted.terminals,
            min,
            max,
        )?
        .with(attr::CURRENT_UNITS, Value::I32(10342));
        let channel = extra.iter().fold(channel, |channel, (id, value)| {
            channel.with(*id, value.clone())
        });
        channel.check_range()?;
        Ok(channel)
    })?;
    let mut made = analog_inputs(wanted.voltage, wanted.names, |name, device, index| {
        let (min, max) = wanted.voltages;
        let channel = Channel::analog_input(
            name,
            device,
            index,
            measure::CALCULATED_POWER,
            wanted.terminals,
            min,
            max,
        )?
        .with(attr::POWER_UNITS, Value::I32(wanted.units))
        .with(id::AI_CUSTOM_SCALE_NAME, Value::text(wanted.scale))
        .with(attr::POWER_VOLTAGE_MIN, Value::F64(min))
        .with(attr::POWER_VOLTAGE_MAX, Value::F64(max))
        .with(attr::POWER_CURRENT_MIN, Value::F64(wanted.currents.0))
        .with(attr::POWER_CURRENT_MAX, Value::F64(wanted.currents.1));
        let channel = extra.iter().fold(channel, |channel, (id, value)| {
            channel.with(*id, value.clone())
        });
        channel.check_range()?;
        Ok(channel)
    })?;
    if made.len() != currents.len() {
        return Err(Error::new(code::INVALID_PHYSICAL_CHANNEL_SYNTAX)
            .with("Number of Voltage Channels", made.len())
            .with("Number of Current Channels", currents.len()));
    }
    for (channel, current) in made.iter_mut().zip(currents) {
        channel.partners = vec![current];
    }
    task.add_channels(made)
}

/// `DAQmxCreateAIPowerChan`: power supplies.
pub(crate) fn power(
    task: &Task,
    physical: &str,
    names: &str,
    voltage: f64,
    current: f64,
    enable: bool,
) -> Result<()> {
    let [volts, amperes] = crate::combined::SUPPLY;
    for (property, value, most) in [
        ("DAQmx_Pwr_Voltage_Setpoint", voltage, volts),
        ("DAQmx_Pwr_Current_Setpoint", current, amperes),
    ] {
        if !(0.0..=most).contains(&value) {
            return Err(Error::value(property, format!("{value:?}"))
                .with("Maximum Value", format!("{most:?}"))
                .with("Minimum Value", "0.0"));
        }
    }
    let channels = analog_inputs(physical, names, |name, device, index| {
        Ok(
            Channel::analog_input(name, device, index, measure::POWER, DEFAULT, 0.0, volts)?
                .with(attr::PWR_VOLTAGE_SETPOINT, Value::F64(voltage))
                .with(attr::PWR_CURRENT_SETPOINT, Value::F64(current))
                .with(attr::PWR_OUTPUT_ENABLE, Value::Bool(enable))
                .with(attr::PWR_IDLE_OUTPUT_BEHAVIOR, Value::I32(15503))
                .with(attr::PWR_REMOTE_SENSE, Value::I32(16095)),
        )
    })?;
    task.add_channels(channels)
}

/// `DAQmxCreateDIChan`: a channel for each line, or one for all of them.
pub(crate) fn digital(task: &Task, list: &str, wanted: &str, grouping: i32) -> Result<()> {
    let listed = names::expand(list)?;
    if listed.is_empty() {
        return Err(Error::new(code::PHYSICAL_CHAN_DOES_NOT_EXIST)
            .with("Physical Channel", format!("\"{list}\"")));
    }
    let mut found = Vec::new();
    for name in &listed {
        let (device, physical) = driver().physical(name)?;
        let lines = match physical {
            Physical::Line(port, line) => vec![(port, line)],
            Physical::Port(port) => {
                let width = device
                    .product
                    .ports
                    .get(port as usize)
                    .map_or(0, |port| port.width);
                (0..width).map(|line| (port, line)).collect()
            }
            _ => {
                return Err(Error::new(code::INVALID_PHYS_CHAN_TYPE).with("Physical Channel", name));
            }
        };
        found.push((device, physical, lines));
    }
    task.add_channels(grouped(
        found,
        list,
        wanted,
        grouping,
        Channel::digital_input,
    )?)
}
