//! Creating virtual channels.

use crate::channel::{Channel, FROM_CUSTOM_SCALE, id};
use crate::device::Physical;
use crate::driver::driver;
use crate::error::{Error, Result, code};
use crate::names;
use crate::product::measure;
use crate::task::Task;

const VOLTS: i32 = 10348;

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

/// `DAQmxCreateAIVoltageChan`.
#[allow(clippy::too_many_arguments)]
pub(crate) fn voltage(
    task: &Task,
    physical: &str,
    wanted: &str,
    terminals: i32,
    min: f64,
    max: f64,
    units: i32,
    scale: &str,
) -> Result<()> {
    if units == FROM_CUSTOM_SCALE || !scale.is_empty() {
        return Err(Error::new(code::CUSTOM_SCALE_DOES_NOT_EXIST).with("Custom Scale Name", scale));
    }
    if units != VOLTS {
        return Err(Error::value("DAQmx_AI_Voltage_Units", units));
    }
    let channels = analog_inputs(physical, wanted, |name, device, index| {
        Channel::analog_input(name, device, index, measure::VOLTAGE, terminals, min, max)
            .map(|channel| channel.with(id::AI_VOLTAGE_UNITS, crate::attribute::Value::I32(units)))
    })?;
    task.add_channels(channels)
}
