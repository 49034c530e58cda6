//! Output channels: what analog outputs a product has, and channels for voltage, current, functions,
//! lines and pulses.

use std::sync::Arc;

use crate::attribute::Value;
use crate::channel::{Channel, FROM_CUSTOM_SCALE, channel_type, id};
use crate::conversion::Conversion;
use crate::device::{Device, Physical};
use crate::digital::grouped;
use crate::driver::driver;
use crate::error::{Error, Result, code};
use crate::names;
use crate::product::{Product, bus};
use crate::task::Task;

/// The analog outputs of a product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnalogOutput {
    pub(crate) channels: u32,
    pub(crate) resolution: u32,
    /// Bipolar ranges in volts, ascending.
    pub(crate) ranges: &'static [f64],
    /// Samples per second of one channel, and of each where all are used.
    pub(crate) max_rate: f64,
    pub(crate) max_rate_all: f64,
    /// Samples of the onboard memory.
    pub(crate) fifo: u32,
    /// The clock that the sample clock is divided from.
    pub(crate) timebase: u64,
}

const fn x_outputs(channels: u32, max_rate: f64, max_rate_all: f64) -> AnalogOutput {
    AnalogOutput {
        channels,
        resolution: 16,
        ranges: &[5.0, 10.0],
        max_rate,
        max_rate_all,
        fifo: 8191,
        timebase: 100_000_000,
    }
}

const fn usb_outputs(resolution: u32) -> AnalogOutput {
    AnalogOutput {
        channels: 2,
        resolution,
        ranges: &[10.0],
        max_rate: 5e3,
        max_rate_all: 5e3,
        fifo: 2047,
        timebase: 80_000_000,
    }
}

/// The analog outputs of a product; figures of public data sheets, as those of [`crate::product`].
pub(crate) fn analog_outputs(product: &Product) -> Option<AnalogOutput> {
    Some(match product.name {
        "PCIe-6363" | "PXIe-6363" | "USB-6363" | "PCIe-6353" => x_outputs(4, 2.86e6, 1.25e6),
        "PCIe-6323" | "USB-6343" => x_outputs(4, 900e3, 719e3),
        "USB-6351" => x_outputs(2, 2.86e6, 2e6),
        "PXIe-6396" | "PXIe-6376" | "USB-6366" => x_outputs(2, 3.33e6, 3.33e6),
        "PXIe-6368" => x_outputs(4, 3.33e6, 3.33e6),
        "USB-6003" => usb_outputs(16),
        "USB-6001" => usb_outputs(14),
        _ => return None,
    })
}

/// Numbers of attributes of output channels.
pub(crate) mod attr {
    pub(crate) const AO_OUTPUT_TYPE: u32 = 0x1108;
    pub(crate) const AO_VOLTAGE_UNITS: u32 = 0x1184;
    pub(crate) const AO_CURRENT_UNITS: u32 = 0x1109;
    pub(crate) const AO_MAX: u32 = 0x1186;
    pub(crate) const AO_MIN: u32 = 0x1187;
    pub(crate) const AO_CUSTOM_SCALE_NAME: u32 = 0x1188;
    pub(crate) const AO_RESOLUTION: u32 = 0x182C;
    pub(crate) const AO_RESOLUTION_UNITS: u32 = 0x182B;
    pub(crate) const AO_DAC_RNG_LOW: u32 = 0x182D;
    pub(crate) const AO_DAC_RNG_HIGH: u32 = 0x182E;
    pub(crate) const AO_TERM_CFG: u32 = 0x188E;
    pub(crate) const AO_DEV_SCALING_COEFF: u32 = 0x1931;
    pub(crate) const AO_GAIN: u32 = 0x118;
    pub(crate) const FUNC_TYPE: u32 = 0x2A18;
    pub(crate) const FUNC_FREQ: u32 = 0x2A19;
    pub(crate) const FUNC_AMPLITUDE: u32 = 0x2A1A;
    pub(crate) const FUNC_OFFSET: u32 = 0x2A1B;
    pub(crate) const FUNC_DUTY_CYCLE: u32 = 0x2A1C;
    pub(crate) const FUNC_PHASE: u32 = 0x31C4;
    pub(crate) const DO_NUM_LINES: u32 = 0x2179;
    pub(crate) const DO_INVERT_LINES: u32 = 0x1133;
    pub(crate) const CO_OUTPUT_TYPE: u32 = 0x18B5;
    pub(crate) const CO_IDLE_STATE: u32 = 0x1170;
    pub(crate) const CO_PULSE_TERM: u32 = 0x18E1;
    pub(crate) const CO_FREQ_UNITS: u32 = 0x18D5;
    pub(crate) const CO_FREQ: u32 = 0x1178;
    pub(crate) const CO_DUTY_CYCLE: u32 = 0x1176;
    pub(crate) const CO_FREQ_DELAY: u32 = 0x299;
    pub(crate) const CO_TIME_UNITS: u32 = 0x18D6;
    pub(crate) const CO_HIGH_TIME: u32 = 0x18BA;
    pub(crate) const CO_LOW_TIME: u32 = 0x18BB;
    pub(crate) const CO_TIME_DELAY: u32 = 0x18BC;
    pub(crate) const CO_HIGH_TICKS: u32 = 0x1169;
    pub(crate) const CO_LOW_TICKS: u32 = 0x1171;
    pub(crate) const CO_TICKS_DELAY: u32 = 0x298;
    pub(crate) const CO_TIMEBASE_SRC: u32 = 0x339;
    pub(crate) const CO_TIMEBASE_RATE: u32 = 0x18C2;
    pub(crate) const CO_PULSE_DONE: u32 = 0x190E;
    pub(crate) const CO_COUNT: u32 = 0x293;
    pub(crate) const CO_OUTPUT_STATE: u32 = 0x294;
}

/// Kinds of output.
pub(crate) mod kind {
    pub(crate) const VOLTAGE: i32 = 10322;
    pub(crate) const CURRENT: i32 = 10134;
    pub(crate) const FUNCTION: i32 = 14750;
    pub(crate) const PULSE_FREQ: i32 = 10119;
    pub(crate) const PULSE_TIME: i32 = 10269;
    pub(crate) const PULSE_TICKS: i32 = 10268;
    pub(crate) const HIGH: i32 = 10192;
    pub(crate) const LOW: i32 = 10214;
}

/// Whether channels of this type put something out.
pub(crate) fn is_output(family: i32) -> bool {
    matches!(
        family,
        channel_type::ANALOG_OUTPUT | channel_type::DIGITAL_OUTPUT | channel_type::COUNTER_OUTPUT
    )
}

/// The physical channels of a list; none is an error.
fn listed(list: &str) -> Result<Vec<(Arc<Device>, Physical)>> {
    let names = names::expand(list)?;
    if names.is_empty() {
        return Err(Error::new(code::PHYSICAL_CHAN_DOES_NOT_EXIST)
            .with("Physical Channel", format!("\"{list}\"")));
    }
    names.iter().map(|name| driver().physical(name)).collect()
}

/// A channel for each physical channel, with its name.
fn each(
    list: &str,
    wanted: &str,
    make: impl Fn(String, Arc<Device>, Physical) -> Result<Channel>,
) -> Result<Vec<Channel>> {
    let found = listed(list)?;
    let full: Vec<_> = found
        .iter()
        .map(|(device, physical)| device.full_name(*physical))
        .collect();
    names::assign(wanted, &full)?
        .into_iter()
        .zip(found)
        .map(|(name, (device, physical))| make(name, device, physical))
        .collect()
}

fn wrong_type(device: &Device, physical: Physical) -> Error {
    Error::new(code::INVALID_PHYS_CHAN_TYPE).with("Physical Channel", device.full_name(physical))
}

fn basics(family: i32, full_name: &str) -> Vec<(u32, Value)> {
    vec![
        (id::CHAN_TYPE, Value::I32(family)),
        (id::CHAN_DESCR, Value::text("")),
        (id::CHAN_IS_GLOBAL, Value::Bool(false)),
        (id::PHYSICAL_CHAN_NAME, Value::text(full_name)),
    ]
}

/// What an analog output is asked to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) physical: &'a str,
    pub(crate) names: &'a str,
    pub(crate) kind: i32,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) units: i32,
    pub(crate) scale: &'a str,
}

/// `DAQmxCreateAOVoltageChan`, `DAQmxCreateAOCurrentChan` and (with `extra`) function generation.
pub(crate) fn analog(task: &Task, wanted: Wanted<'_>, extra: &[(u32, Value)]) -> Result<()> {
    let (units, plain) = match wanted.kind {
        kind::CURRENT => (attr::AO_CURRENT_UNITS, 10342),
        _ => (attr::AO_VOLTAGE_UNITS, 10348),
    };
    if wanted.units == FROM_CUSTOM_SCALE {
        driver().scale(wanted.scale)?;
    } else if !wanted.scale.is_empty() {
        return Err(
            Error::new(code::UNITS_NOT_FROM_CUSTOM_SCALE).with("Custom Scale Name", wanted.scale)
        );
    } else if wanted.units != plain {
        let property = if wanted.kind == kind::CURRENT {
            "DAQmx_AO_Current_Units"
        } else {
            "DAQmx_AO_Voltage_Units"
        };
        return Err(Error::value(property, wanted.units).with("You Can Select", plain));
    }
    let channels = each(wanted.physical, wanted.names, |name, device, physical| {
        let Physical::AnalogOutput(_) = physical else {
            return Err(wrong_type(&device, physical));
        };
        let outputs =
            analog_outputs(device.product).ok_or_else(|| wrong_type(&device, physical))?;
        let full_name = device.full_name(physical);
        if wanted.kind == kind::CURRENT && !is_current_output(&device) {
            return Err(Error::new(code::PHYS_CHAN_OUTPUT_TYPE)
                .with("Property", "DAQmx_AO_OutputType")
                .with("Requested Value", wanted.kind)
                .with("Physical Channel", full_name));
        }
        let mut attributes = basics(channel_type::ANALOG_OUTPUT, &full_name);
        attributes.extend([
            (attr::AO_OUTPUT_TYPE, Value::I32(wanted.kind)),
            (units, Value::I32(wanted.units)),
            (attr::AO_MAX, Value::F64(wanted.max)),
            (attr::AO_MIN, Value::F64(wanted.min)),
            (attr::AO_CUSTOM_SCALE_NAME, Value::text(wanted.scale)),
            (
                attr::AO_RESOLUTION,
                Value::F64(f64::from(outputs.resolution)),
            ),
            (attr::AO_RESOLUTION_UNITS, Value::I32(10109)),
            (attr::AO_TERM_CFG, Value::I32(10083)),
            // The reference is the device's own, and there is no offset.
            (0x132, Value::I32(10200)),
            (0x2253, Value::I32(10200)),
            (0x2255, Value::F64(0.0)),
            (0x133, Value::Bool(false)),
            (0x183A, Value::Bool(false)),
            (0x183C, Value::I32(10235)),
            (0x188F, Value::Bool(false)),
            (0x2240, Value::I32(12526)),
            (
                0x134,
                Value::I32(if device.product.bus == bus::USB {
                    12590
                } else {
                    10054
                }),
            ),
        ]);
        attributes.extend(extra.iter().cloned());
        let channel = Channel::new(name, device, physical, attributes);
        range(&channel)?;
        Ok(channel)
    })?;
    task.add_channels(channels)
}

/// Whether the analog outputs are for currents: modules are, multifunction devices are not.
fn is_current_output(_device: &Device) -> bool {
    false
}

/// `DAQmxCreateAOFuncGenChan`.
pub(crate) fn function(
    task: &Task,
    physical: &str,
    names: &str,
    shape: i32,
    frequency: f64,
    amplitude: f64,
    offset: f64,
) -> Result<()> {
    if !matches!(shape, 14751..=14754) {
        return Err(Error::value("DAQmx_AO_FuncGen_Type", shape));
    }
    if !(frequency > 0.0 && frequency.is_finite()) {
        return Err(Error::value(
            "DAQmx_AO_FuncGen_Freq",
            format!("{frequency:?}"),
        ));
    }
    let swing = amplitude.abs();
    let wanted = Wanted {
        physical,
        names,
        kind: kind::FUNCTION,
        min: offset - swing,
        max: offset + swing,
        units: 10348,
        scale: "",
    };
    if swing == 0.0 || !swing.is_finite() || !offset.is_finite() {
        return Err(Error::value(
            "DAQmx_AO_FuncGen_Amplitude",
            format!("{amplitude:?}"),
        ));
    }
    analog(
        task,
        wanted,
        &[
            (attr::FUNC_TYPE, Value::I32(shape)),
            (attr::FUNC_FREQ, Value::F64(frequency)),
            (attr::FUNC_AMPLITUDE, Value::F64(amplitude)),
            (attr::FUNC_OFFSET, Value::F64(offset)),
            (attr::FUNC_DUTY_CYCLE, Value::F64(50.0)),
            (attr::FUNC_PHASE, Value::F64(0.0)),
        ],
    )
}

/// The value of a generated function at a time, in nanoseconds since its start.
pub(crate) fn shape(channel: &Channel) -> impl Fn(u64) -> f64 + Send + Sync + 'static {
    let kind = channel.integer(attr::FUNC_TYPE);
    let frequency = channel.number(attr::FUNC_FREQ);
    let amplitude = channel.number(attr::FUNC_AMPLITUDE);
    let offset = channel.number(attr::FUNC_OFFSET);
    let duty = channel.number(attr::FUNC_DUTY_CYCLE) / 100.0;
    let phase = channel.number(attr::FUNC_PHASE) / 360.0;
    move |nanoseconds| {
        let turn = (nanoseconds as f64 * 1e-9 * frequency + phase).rem_euclid(1.0);
        let unit = match kind {
            // Triangle, from zero upwards.
            14752 => 1.0 - 4.0 * ((turn + 0.25).rem_euclid(1.0) - 0.5).abs(),
            // Square.
            14753 => {
                if turn < duty {
                    1.0
                } else {
                    -1.0
                }
            }
            // Sawtooth.
            14754 => 2.0 * turn - 1.0,
            _ => (turn * std::f64::consts::TAU).sin(),
        };
        offset + amplitude * unit
    }
}

/// The way from volts (or amperes) to the units of an analog output.
pub(crate) fn way(channel: &Channel) -> Result<Conversion> {
    let mut way = Conversion::default();
    let units = match channel.integer(attr::AO_OUTPUT_TYPE) {
        kind::CURRENT => attr::AO_CURRENT_UNITS,
        _ => attr::AO_VOLTAGE_UNITS,
    };
    if channel.integer(units) == FROM_CUSTOM_SCALE {
        let scale = driver().scale(&channel.text(attr::AO_CUSTOM_SCALE_NAME))?;
        way.push(scale.checked()?.stage());
    }
    Ok(way)
}

/// The converter's range for a channel's minimum and maximum: its upper end, in volts.
pub(crate) fn range(channel: &Channel) -> Result<f64> {
    let (min, max) = (channel.number(attr::AO_MIN), channel.number(attr::AO_MAX));
    if min.is_nan() || max.is_nan() || min >= max {
        return Err(Error::new(code::MIN_NOT_LESS_THAN_MAX)
            .with("Property", "DAQmx_AO_Min")
            .with("Corresponding Value", format!("{min:?}"))
            .with("Property", "DAQmx_AO_Max")
            .with("Corresponding Value", format!("{max:?}"))
            .with("Channel Name", &channel.name));
    }
    let way = way(channel)?;
    let (low, high) = (way.inverse(min), way.inverse(max));
    let wanted = low.abs().max(high.abs());
    let outputs = analog_outputs(channel.device.product)
        .ok_or_else(|| wrong_type(&channel.device, channel.physical))?;
    outputs
        .ranges
        .iter()
        .copied()
        .find(|range| *range >= wanted * (1.0 - 1e-9))
        .ok_or_else(|| {
            let largest = outputs.ranges.last().copied().unwrap_or(0.0);
            let (property, value, key, limit) = if high.abs() >= low.abs() {
                ("DAQmx_AO_Max", max, "Maximum Value", largest)
            } else {
                ("DAQmx_AO_Min", min, "Minimum Value", -largest)
            };
            Error::value(property, format!("{value:?}"))
                .with(key, format!("{:?}", way.forward(limit)))
                .with("Channel Name", &channel.name)
        })
}

/// How an analog output turns numbers into volts.
#[derive(Debug, Clone)]
pub(crate) struct Converter {
    /// Volts of one code.
    step: f64,
    lowest: f64,
    highest: f64,
    way: Conversion,
}

impl Converter {
    pub(crate) fn new(channel: &Channel) -> Result<Self> {
        let range = range(channel)?;
        let bits = analog_outputs(channel.device.product).map_or(16, |outputs| outputs.resolution);
        let full = (1u64 << (bits - 1)) as f64;
        Ok(Self {
            step: range / full,
            lowest: -full,
            highest: full - 1.0,
            way: way(channel)?,
        })
    }

    /// The volts that come out for a value in the channel's units: those of the nearest code. `None`
    /// where the converter does not reach that far.
    pub(crate) fn scaled(&self, value: f64) -> Option<f64> {
        let code = (self.way.inverse(value) / self.step).round();
        // The very end of the range is a code more than there is.
        (code >= self.lowest && code <= self.highest + 1.0)
            .then(|| code.min(self.highest) * self.step)
    }

    /// The volts of a code.
    pub(crate) fn code(&self, code: i32) -> Option<f64> {
        let code = f64::from(code);
        (code >= self.lowest && code <= self.highest).then_some(code * self.step)
    }
}

/// Attributes of output channels that are computed; `None` where the number is not one of them.
pub(crate) fn computed(channel: &Channel, id: u32) -> Option<Result<Value>> {
    if !matches!(channel.physical, Physical::AnalogOutput(_)) {
        return None;
    }
    Some(match id {
        attr::AO_DAC_RNG_HIGH => range(channel).map(Value::F64),
        attr::AO_DAC_RNG_LOW => range(channel).map(|range| Value::F64(-range)),
        attr::AO_GAIN => Ok(Value::F64(1.0)),
        attr::AO_DEV_SCALING_COEFF => Converter::new(channel)
            .map(|converter| Value::F64s(vec![0.0, 1.0 / converter.step, 0.0, 0.0])),
        _ => return None,
    })
}

/// The attributes of a pulse: `DAQmxCreateCOPulseChan...` by frequency, time or ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pulse<'a> {
    Frequency {
        units: i32,
        delay: f64,
        frequency: f64,
        duty_cycle: f64,
    },
    Time {
        units: i32,
        delay: f64,
        low: f64,
        high: f64,
    },
    Ticks {
        source: &'a str,
        delay: i32,
        low: i32,
        high: i32,
    },
}

/// `DAQmxCreateDOChan`: a channel for each line, or one for all of them.
pub(crate) fn digital(task: &Task, list: &str, wanted: &str, grouping: i32) -> Result<()> {
    let mut found = Vec::new();
    for (device, physical) in listed(list)? {
        let lines: Vec<(u32, u32)> = match physical {
            Physical::Line(port, line) => vec![(port, line)],
            Physical::Port(port) => {
                let ports = device.product.ports.get(port as usize);
                let width = ports.map_or(0, |port| port.width);
                (0..width).map(|line| (port, line)).collect()
            }
            _ => return Err(wrong_type(&device, physical)),
        };
        found.push((device, physical, lines));
    }
    task.add_channels(grouped(found, list, wanted, grouping, lines_of)?)
}

fn lines_of(
    name: String,
    device: Arc<Device>,
    physical: Physical,
    lines: Vec<(u32, u32)>,
) -> Channel {
    let mut attributes = basics(channel_type::DIGITAL_OUTPUT, &device.full_name(physical));
    attributes.extend([
        (attr::DO_NUM_LINES, Value::U32(lines.len() as u32)),
        (attr::DO_INVERT_LINES, Value::Bool(false)),
        // Active drive, not high-impedance, 3.3 V.
        (0x1137, Value::I32(12573)),
        (0x18F3, Value::Bool(false)),
        (0x296E, Value::I32(14620)),
        (0x2265, Value::Bool(false)),
        (0x2266, Value::I32(10054)),
        (0x2267, Value::I32(10235)),
        (0x296B, Value::Bool(false)),
    ]);
    let mut channel = Channel::new(name, device, physical, attributes);
    for line in &lines {
        crate::route::line(&channel.device, *line);
    }
    channel.lines = lines;
    channel
}

/// The terminal at which a counter's pulses come out where nobody chooses one.
pub(crate) fn default_pulse_terminal(device: &Device, counter: u32) -> String {
    format!("/{}/PFI{}", device.name, 12 + counter)
}

/// `DAQmxCreateCOPulseChan...`.
pub(crate) fn pulses(
    task: &Task,
    list: &str,
    wanted: &str,
    idle: i32,
    pulse: Pulse<'_>,
) -> Result<()> {
    if !matches!(idle, kind::HIGH | kind::LOW) {
        return Err(Error::value("DAQmx_CO_Pulse_IdleState", idle));
    }
    let channels = each(list, wanted, |name, device, physical| {
        let Physical::Counter(counter) = physical else {
            return Err(wrong_type(&device, physical));
        };
        let counters = device.product.counters.filter(|counters| counters.timed);
        let counters = counters.ok_or_else(|| {
            Error::new(code::PHYS_CHAN_OUTPUT_TYPE)
                .with("Property", "DAQmx_CO_OutputType")
                .with("Physical Channel", device.full_name(physical))
        })?;
        let mut attributes = basics(channel_type::COUNTER_OUTPUT, &device.full_name(physical));
        attributes.extend([
            (attr::CO_IDLE_STATE, Value::I32(idle)),
            (
                attr::CO_PULSE_TERM,
                Value::Str(default_pulse_terminal(&device, counter)),
            ),
            (
                attr::CO_TIMEBASE_SRC,
                Value::Str(format!("/{}/100MHzTimebase", device.name)),
            ),
            (attr::CO_TIMEBASE_RATE, Value::F64(counters.timebase)),
            (0x341, Value::I32(10280)),
            (0x295, Value::U32(0)),
            (0x226D, Value::U32(1)),
            (0x2EC9, Value::Bool(false)),
            (0x2ECC, Value::I32(10054)),
            (0x2ECB, Value::Bool(false)),
            (0x29F2, Value::I32(14708)),
        ]);
        match pulse {
            Pulse::Frequency {
                units,
                delay,
                frequency,
                duty_cycle,
            } => {
                if units != 10373 {
                    return Err(Error::value("DAQmx_CO_Pulse_Freq_Units", units));
                }
                attributes.extend([
                    (attr::CO_OUTPUT_TYPE, Value::I32(kind::PULSE_FREQ)),
                    (attr::CO_FREQ_UNITS, Value::I32(units)),
                    (attr::CO_FREQ_DELAY, Value::F64(delay)),
                    (attr::CO_FREQ, Value::F64(frequency)),
                    (attr::CO_DUTY_CYCLE, Value::F64(duty_cycle)),
                ]);
            }
            Pulse::Time {
                units,
                delay,
                low,
                high,
            } => {
                if units != 10364 {
                    return Err(Error::value("DAQmx_CO_Pulse_Time_Units", units));
                }
                attributes.extend([
                    (attr::CO_OUTPUT_TYPE, Value::I32(kind::PULSE_TIME)),
                    (attr::CO_TIME_UNITS, Value::I32(units)),
                    (attr::CO_TIME_DELAY, Value::F64(delay)),
                    (attr::CO_LOW_TIME, Value::F64(low)),
                    (attr::CO_HIGH_TIME, Value::F64(high)),
                ]);
            }
            Pulse::Ticks {
                source,
                delay,
                low,
                high,
            } => {
                attributes.extend([
                    (attr::CO_OUTPUT_TYPE, Value::I32(kind::PULSE_TICKS)),
                    (attr::CO_TICKS_DELAY, Value::U32(delay.max(0) as u32)),
                    (attr::CO_LOW_TICKS, Value::U32(low.max(0) as u32)),
                    (attr::CO_HIGH_TICKS, Value::U32(high.max(0) as u32)),
                ]);
                if !source.is_empty() {
                    attributes.push((attr::CO_TIMEBASE_SRC, Value::text(source)));
                    if let Some(rate) = timebase(source) {
                        attributes.push((attr::CO_TIMEBASE_RATE, Value::F64(rate)));
                    }
                }
            }
        }
        let channel = Channel::new(name, device, physical, attributes);
        crate::pulse::Ticks::of(&channel)?;
        // Whoever looks at the terminal from now on sees this output.
        crate::route::counter(&channel);
        Ok(channel)
    })?;
    task.add_channels(channels)
}

/// The rate of a device's own timebase terminal; `None` for any other terminal.
pub(crate) fn timebase(terminal: &str) -> Option<f64> {
    let name = terminal.rsplit('/').next().unwrap_or(terminal);
    Some(match name.to_ascii_lowercase().as_str() {
        "100mhztimebase" => 100e6,
        "20mhztimebase" => 20e6,
        "10mhzrefclk" => 10e6,
        "100khztimebase" => 100e3,
        _ => return None,
    })
}
