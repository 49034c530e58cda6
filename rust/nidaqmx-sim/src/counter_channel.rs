//! Counter input channels: what they are created with, the values their attributes take, and the
//! way from attributes to a [`Counter`].

use std::sync::Arc;

use crate::attribute::Value;
use crate::channel::{Channel, FROM_CUSTOM_SCALE, channel_type, id};
use crate::conversion::Conversion;
use crate::counter::{
    Counter, Decoding, Input, Measure, Numbers, Scaling, Setup, Tallied, measurement as kind,
};
use crate::device::{Device, Physical};
use crate::driver::{Signals, driver};
use crate::error::{Error, Result, code};
use crate::names;
use crate::signal::Signal;
use crate::task::Task;
use crate::wave::{Pulses, Steady};

const RISING: i32 = 10280;
const FALLING: i32 = 10171;
const UP: i32 = 10128;
const DOWN: i32 = 10124;
const BY_LINE: i32 = 10326;
const SECONDS: i32 = 10364;
const HERTZ: i32 = 10373;
const TICKS: i32 = 10304;
const ONE_COUNTER: i32 = 10105;
const HIGH_FREQUENCY: i32 = 10157;
const LARGE_RANGE: i32 = 10205;
const HIGH: i32 = 10192;
const LOW: i32 = 10214;

/// Attributes of counter inputs.
pub(crate) mod attr {
    pub(crate) const MEAS_TYPE: u32 = 0x18A0;
    pub(crate) const MAX: u32 = 0x189C;
    pub(crate) const MIN: u32 = 0x189D;
    pub(crate) const CUSTOM_SCALE_NAME: u32 = 0x189E;
    pub(crate) const TIMEBASE_RATE: u32 = 0x18B2;
    pub(crate) const TIMEBASE_SRC: u32 = 0x143;
    pub(crate) const TIMEBASE_EDGE: u32 = 0x142;
    pub(crate) const TIMEBASE_DIV: u32 = 0x18B3;
    pub(crate) const COUNT: u32 = 0x148;
    pub(crate) const TC_REACHED: u32 = 0x150;
    pub(crate) const DATA_XFER_MECH: u32 = 0x200;
    pub(crate) const DUP_COUNT_PREVENT: u32 = 0x21AC;
    pub(crate) const PRESCALER: u32 = 0x2239;
    pub(crate) const POSSIBLY_INVALID: u32 = 0x193C;
    pub(crate) const COUNT_DIR_TERM: u32 = 0x21E1;
    pub(crate) const RESET_ENABLE: u32 = 0x2FAF;
    pub(crate) const RESET_COUNT: u32 = 0x2FB0;
    pub(crate) const RESET_TERM: u32 = 0x2FB1;
    pub(crate) const RESET_EDGE: u32 = 0x2FB2;
    pub(crate) const GATE_ENABLE: u32 = 0x30ED;
    pub(crate) const GATE_TERM: u32 = 0x30EE;
    pub(crate) const GATE_WHEN: u32 = 0x30F5;
    pub(crate) const FREQ_UNITS: u32 = 0x18A1;
    pub(crate) const FREQ_TERM: u32 = 0x18A2;
    pub(crate) const FREQ_EDGE: u32 = 0x799;
    pub(crate) const FREQ_METHOD: u32 = 0x144;
    pub(crate) const FREQ_TIME: u32 = 0x145;
    pub(crate) const FREQ_DIV: u32 = 0x147;
    pub(crate) const FREQ_AVERAGING: u32 = 0x2ED0;
    pub(crate) const PERIOD_UNITS: u32 = 0x18A3;
    pub(crate) const PERIOD_TERM: u32 = 0x18A4;
    pub(crate) const PERIOD_EDGE: u32 = 0x852;
    pub(crate) const PERIOD_METHOD: u32 = 0x192C;
    pub(crate) const PERIOD_TIME: u32 = 0x192D;
    pub(crate) const PERIOD_DIV: u32 = 0x192E;
    pub(crate) const PERIOD_AVERAGING: u32 = 0x2ED1;
    pub(crate) const WIDTH_UNITS: u32 = 0x823;
    pub(crate) const WIDTH_TERM: u32 = 0x18AA;
    pub(crate) const WIDTH_EDGE: u32 = 0x825;
    pub(crate) const SEMI_UNITS: u32 = 0x18AF;
    pub(crate) const SEMI_TERM: u32 = 0x18B0;
    pub(crate) const SEMI_EDGE: u32 = 0x22FE;
    pub(crate) const SEP_UNITS: u32 = 0x18AC;
    pub(crate) const SEP_FIRST_TERM: u32 = 0x18AD;
    pub(crate) const SEP_SECOND_TERM: u32 = 0x18AE;
    pub(crate) const SEP_FIRST_EDGE: u32 = 0x833;
    pub(crate) const SEP_SECOND_EDGE: u32 = 0x834;
    pub(crate) const PULSE_FREQ_UNITS: u32 = 0x2F0B;
    pub(crate) const PULSE_FREQ_TERM: u32 = 0x2F04;
    pub(crate) const PULSE_FREQ_EDGE: u32 = 0x2F05;
    pub(crate) const PULSE_TIME_UNITS: u32 = 0x2F13;
    pub(crate) const PULSE_TIME_TERM: u32 = 0x2F0C;
    pub(crate) const PULSE_TIME_EDGE: u32 = 0x2F0D;
    pub(crate) const PULSE_TICKS_TERM: u32 = 0x2F14;
    pub(crate) const PULSE_TICKS_EDGE: u32 = 0x2F15;
    pub(crate) const DUTY_TERM: u32 = 0x308D;
    pub(crate) const DUTY_EDGE: u32 = 0x3092;
    pub(crate) const ENCODER_A: u32 = 0x219D;
    pub(crate) const ENCODER_B: u32 = 0x219E;
    pub(crate) const ENCODER_Z: u32 = 0x219F;
    pub(crate) const ENCODER_DECODING: u32 = 0x21E6;
    pub(crate) const Z_ENABLE: u32 = 0x890;
    pub(crate) const Z_VALUE: u32 = 0x888;
    pub(crate) const Z_PHASE: u32 = 0x889;
    pub(crate) const ANGLE_UNITS: u32 = 0x18A6;
    pub(crate) const PULSES_PER_REV: u32 = 0x875;
    pub(crate) const INITIAL_ANGLE: u32 = 0x881;
    pub(crate) const LENGTH_UNITS: u32 = 0x18A9;
    pub(crate) const DIST_PER_PULSE: u32 = 0x911;
    pub(crate) const INITIAL_POS: u32 = 0x915;
    pub(crate) const VELOCITY_A: u32 = 0x30DD;
    pub(crate) const VELOCITY_B: u32 = 0x30E4;
    pub(crate) const VELOCITY_DECODING: u32 = 0x30DC;
    pub(crate) const VELOCITY_TIME: u32 = 0x30EB;
    pub(crate) const VELOCITY_DIV: u32 = 0x30EC;
    pub(crate) const ANGULAR_VELOCITY_UNITS: u32 = 0x30D8;
    pub(crate) const VELOCITY_PULSES_PER_REV: u32 = 0x30D9;
    pub(crate) const LINEAR_VELOCITY_UNITS: u32 = 0x30DA;
    pub(crate) const VELOCITY_DIST_PER_PULSE: u32 = 0x30DB;
    pub(crate) const GPS_METHOD: u32 = 0x1092;
    pub(crate) const GPS_SRC: u32 = 0x1093;
    pub(crate) const TIMESTAMP_UNITS: u32 = 0x22B3;
    pub(crate) const TIMESTAMP_INITIAL: u32 = 0x22B4;
}

/// The first attribute of each digital filter, and how many it has: enable, minimum pulse width,
/// timebase source, timebase rate, synchronisation.
fn filters(measurement: i32) -> &'static [(u32, u32)] {
    match measurement {
        kind::COUNT_EDGES => &[(0x21F6, 5), (0x21F1, 5), (0x2FB3, 5), (0x30F1, 4)],
        kind::FREQUENCY => &[(0x21E7, 5)],
        kind::PERIOD => &[(0x21EC, 5)],
        kind::PULSE_WIDTH => &[(0x220A, 5)],
        kind::SEMI_PERIOD => &[(0x2219, 5)],
        kind::TWO_EDGE_SEPARATION => &[(0x220F, 5), (0x2214, 5)],
        kind::PULSE_FREQUENCY => &[(0x2F06, 5)],
        kind::PULSE_TIME => &[(0x2F0E, 5)],
        kind::PULSE_TICKS => &[(0x2F16, 5)],
        kind::DUTY_CYCLE => &[(0x308E, 4)],
        kind::ANGULAR_POSITION | kind::LINEAR_POSITION => &[(0x21FB, 5), (0x2200, 5), (0x2205, 5)],
        kind::ANGULAR_VELOCITY | kind::LINEAR_VELOCITY => &[(0x30E0, 4), (0x30E7, 4)],
        _ => &[],
    }
}

/// The terminals of a counter: source (A), gate (Z) and auxiliary (B).
fn terminals(device: &Device, counter: u32) -> [String; 3] {
    let (source, gate, aux) = match (counter, device.product.counters) {
        (0, Some(counters)) if !counters.timed => (0, 1, 1),
        (0, _) => (8, 9, 10),
        (1, _) => (3, 4, 11),
        (2, _) => (0, 1, 2),
        _ => (5, 6, 7),
    };
    [(source, "Source"), (gate, "Gate"), (aux, "Aux")].map(|(number, own)| {
        let name = format!("/{}/PFI{number}", device.name);
        if device.has_terminal(&name) {
            name
        } else {
            format!("/{}/Ctr{counter}{own}", device.name)
        }
    })
}

/// The terminal behind a counter's own name for it, like `Ctr0Gate`.
fn behind(device: &Device, terminal: &str) -> Option<String> {
    let (_, short) = terminal.trim_start_matches('/').split_once('/')?;
    let short = short.to_ascii_lowercase();
    let rest = short.strip_prefix("ctr")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, own) = rest.split_at(digits);
    let [source, gate, aux] = terminals(device, number.parse().ok()?);
    match own {
        "source" | "a" => Some(source),
        "gate" | "z" => Some(gate),
        "aux" | "b" => Some(aux),
        _ => None,
    }
}

/// Whether an attribute of a counter input takes a value.
pub(crate) fn takes(id: u32, value: &Value) -> bool {
    let number = value.as_i32();
    let positive = |value: &Value| value.as_f64() > 0.0;
    match id {
        id::CI_COUNT_EDGES_ACTIVE_EDGE
        | attr::RESET_EDGE
        | attr::FREQ_EDGE
        | attr::PERIOD_EDGE
        | attr::WIDTH_EDGE
        | attr::SEMI_EDGE
        | attr::SEP_FIRST_EDGE
        | attr::SEP_SECOND_EDGE
        | attr::PULSE_FREQ_EDGE
        | attr::PULSE_TIME_EDGE
        | attr::PULSE_TICKS_EDGE
        | attr::DUTY_EDGE
        | attr::TIMEBASE_EDGE => matches!(number, RISING | FALLING),
        id::CI_COUNT_EDGES_DIR => matches!(number, UP | DOWN | BY_LINE),
        attr::GATE_WHEN => matches!(number, HIGH | LOW),
        attr::FREQ_UNITS | attr::PULSE_FREQ_UNITS => {
            matches!(number, HERTZ | TICKS | FROM_CUSTOM_SCALE)
        }
        attr::PERIOD_UNITS
        | attr::WIDTH_UNITS
        | attr::SEMI_UNITS
        | attr::SEP_UNITS
        | attr::PULSE_TIME_UNITS => matches!(number, SECONDS | TICKS | FROM_CUSTOM_SCALE),
        attr::TIMESTAMP_UNITS => matches!(number, SECONDS | FROM_CUSTOM_SCALE),
        attr::FREQ_METHOD | attr::PERIOD_METHOD => {
            matches!(number, ONE_COUNTER | HIGH_FREQUENCY | LARGE_RANGE)
        }
        attr::FREQ_TIME | attr::PERIOD_TIME | attr::VELOCITY_TIME | attr::TIMEBASE_RATE => {
            positive(value)
        }
        attr::FREQ_DIV | attr::PERIOD_DIV => value.as_u64() >= 4,
        attr::VELOCITY_DIV | attr::PRESCALER | attr::TIMEBASE_DIV => value.as_u64() >= 1,
        attr::PULSES_PER_REV | attr::VELOCITY_PULSES_PER_REV => value.as_u64() >= 1,
        attr::DIST_PER_PULSE | attr::VELOCITY_DIST_PER_PULSE => positive(value),
        attr::ENCODER_DECODING => matches!(number, 10090..=10092 | 10313),
        attr::VELOCITY_DECODING => matches!(number, 10090..=10092 | 10313),
        attr::Z_PHASE => matches!(number, 10040..=10043),
        attr::ANGLE_UNITS => matches!(number, 10146 | 10273 | TICKS | FROM_CUSTOM_SCALE),
        attr::LENGTH_UNITS => matches!(number, 10219 | 10379 | TICKS | FROM_CUSTOM_SCALE),
        attr::ANGULAR_VELOCITY_UNITS => matches!(number, 16080..=16082 | FROM_CUSTOM_SCALE),
        attr::LINEAR_VELOCITY_UNITS => matches!(number, 15959 | 15960 | FROM_CUSTOM_SCALE),
        attr::GPS_METHOD => matches!(number, 10070 | 10080 | 10230),
        attr::DATA_XFER_MECH => matches!(number, 10054 | 10204 | 10264 | 12590),
        _ => true,
    }
}

/// What the caller of a creating function asks for.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) list: &'a str,
    pub(crate) names: &'a str,
    pub(crate) measurement: i32,
    /// Minimum and maximum, where the measurement has them.
    pub(crate) limits: Option<(f64, f64)>,
    /// Whether the limits are frequencies.
    pub(crate) frequency: bool,
    /// The custom scale.
    pub(crate) scale: &'a str,
    /// What was given for further attributes.
    pub(crate) attributes: Vec<(u32, Value)>,
}

/// Creates counter inputs.
pub(crate) fn create(task: &Task, wanted: &Wanted<'_>) -> Result<()> {
    let listed = names::expand(wanted.list)?;
    if listed.is_empty() {
        return Err(Error::new(code::PHYSICAL_CHAN_DOES_NOT_EXIST)
            .with("Physical Channel", format!("\"{}\"", wanted.list)));
    }
    for (id, value) in &wanted.attributes {
        if !takes(*id, value) {
            return Err(Error::value(&property(*id), value.display()));
        }
    }
    let mut found = Vec::new();
    for name in &listed {
        let (device, physical) = driver().physical(name)?;
        let Physical::Counter(counter) = physical else {
            return Err(Error::new(code::INVALID_PHYS_CHAN_TYPE).with("Physical Channel", name));
        };
        let timed = device.product.counters.is_some_and(|all| all.timed);
        if !timed && wanted.measurement != kind::COUNT_EDGES {
            return Err(Error::new(code::PHYS_CHAN_MEAS_TYPE)
                .with("Property", "DAQmx_CI_MeasType")
                .with("Requested Value", wanted.measurement)
                .with("Physical Channel", name));
        }
        found.push((device, counter));
    }
    let full: Vec<_> = found
        .iter()
        .map(|(device, counter)| device.full_name(Physical::Counter(*counter)))
        .collect();
    let channels = names::assign(wanted.names, &full)?
        .into_iter()
        .zip(found)
        .map(|(name, (device, counter))| channel(name, device, counter, wanted))
        .collect::<Result<Vec<_>>>()?;
    task.add_channels(channels)
}

fn property(id: u32) -> String {
    crate::attribute::find(crate::attribute::Object::Channel, id as i32)
        .map_or_else(|_| format!("0x{id:X}"), |row| row.display())
}

fn channel(
    name: String,
    device: Arc<Device>,
    counter: u32,
    wanted: &Wanted<'_>,
) -> Result<Channel> {
    let measurement = wanted.measurement;
    let [source, gate, aux] = terminals(&device, counter);
    let timebase = timebase(&device, &name, wanted)?;
    let mechanism = if device.product.bus == crate::product::bus::USB {
        12590
    } else {
        10054
    };
    let mut all = vec![
        (id::CHAN_TYPE, Value::I32(channel_type::COUNTER_INPUT)),
        (id::CHAN_DESCR, Value::text("")),
        (id::CHAN_IS_GLOBAL, Value::Bool(false)),
        (
            id::PHYSICAL_CHAN_NAME,
            Value::Str(device.full_name(Physical::Counter(counter))),
        ),
        (attr::MEAS_TYPE, Value::I32(measurement)),
        (attr::TIMEBASE_RATE, Value::F64(timebase)),
        (
            attr::TIMEBASE_SRC,
            Value::Str(format!("/{}/{}", device.name, timebase_name(timebase))),
        ),
        (attr::TIMEBASE_EDGE, Value::I32(RISING)),
        (attr::TIMEBASE_DIV, Value::U32(1)),
        (attr::DATA_XFER_MECH, Value::I32(mechanism)),
        (attr::DUP_COUNT_PREVENT, Value::Bool(false)),
        (attr::PRESCALER, Value::U32(1)),
        (attr::POSSIBLY_INVALID, Value::U32(0)),
        (attr::COUNT, Value::U32(0)),
        (attr::TC_REACHED, Value::Bool(false)),
    ];
    if let Some((min, max)) = wanted.limits {
        all.push((attr::MIN, Value::F64(min)));
        all.push((attr::MAX, Value::F64(max)));
    }
    if measurement != kind::COUNT_EDGES && measurement != kind::PULSE_TICKS {
        all.push((attr::CUSTOM_SCALE_NAME, Value::text(wanted.scale)));
    }
    let text = |id: u32, terminal: &String| (id, Value::text(terminal.clone()));
    match measurement {
        kind::COUNT_EDGES => all.extend([
            text(id::CI_COUNT_EDGES_TERM, &source),
            text(attr::COUNT_DIR_TERM, &aux),
            (attr::RESET_ENABLE, Value::Bool(false)),
            (attr::RESET_COUNT, Value::U32(0)),
            text(attr::RESET_TERM, &gate),
            (attr::RESET_EDGE, Value::I32(RISING)),
            (attr::GATE_ENABLE, Value::Bool(false)),
            text(attr::GATE_TERM, &gate),
            (attr::GATE_WHEN, Value::I32(HIGH)),
        ]),
        kind::FREQUENCY => all.extend([
            text(attr::FREQ_TERM, &gate),
            (attr::FREQ_AVERAGING, Value::Bool(false)),
        ]),
        kind::PERIOD => all.extend([
            text(attr::PERIOD_TERM, &gate),
            (attr::PERIOD_AVERAGING, Value::Bool(false)),
        ]),
        kind::PULSE_WIDTH => all.push(text(attr::WIDTH_TERM, &gate)),
        kind::SEMI_PERIOD => all.extend([
            text(attr::SEMI_TERM, &gate),
            (attr::SEMI_EDGE, Value::I32(RISING)),
        ]),
        kind::TWO_EDGE_SEPARATION => all.extend([
            text(attr::SEP_FIRST_TERM, &aux),
            text(attr::SEP_SECOND_TERM, &gate),
        ]),
        kind::PULSE_FREQUENCY => all.extend([
            text(attr::PULSE_FREQ_TERM, &gate),
            (attr::PULSE_FREQ_EDGE, Value::I32(RISING)),
        ]),
        kind::PULSE_TIME => all.extend([
            text(attr::PULSE_TIME_TERM, &gate),
            (attr::PULSE_TIME_EDGE, Value::I32(RISING)),
        ]),
        kind::PULSE_TICKS => all.extend([
            text(attr::PULSE_TICKS_TERM, &gate),
            (attr::PULSE_TICKS_EDGE, Value::I32(RISING)),
        ]),
        kind::DUTY_CYCLE => all.push(text(attr::DUTY_TERM, &gate)),
        kind::ANGULAR_POSITION | kind::LINEAR_POSITION => all.extend([
            text(attr::ENCODER_A, &source),
            text(attr::ENCODER_B, &aux),
            text(attr::ENCODER_Z, &gate),
        ]),
        kind::ANGULAR_VELOCITY | kind::LINEAR_VELOCITY => all.extend([
            text(attr::VELOCITY_A, &source),
            text(attr::VELOCITY_B, &aux),
            (attr::VELOCITY_TIME, Value::F64(0.01)),
            (attr::VELOCITY_DIV, Value::U32(1)),
        ]),
        _ => all.extend([
            (attr::GPS_SRC, Value::text(gate.clone())),
            (attr::TIMESTAMP_INITIAL, Value::U32(0)),
        ]),
    }
    for &(first, count) in filters(measurement) {
        let filter = [
            Value::Bool(false),
            Value::F64(0.0),
            Value::text(""),
            Value::F64(0.0),
            Value::Bool(false),
        ];
        all.extend((first..first + count).zip(filter));
    }
    // What was asked for comes last, and wins.
    all.extend(wanted.attributes.iter().cloned());
    let channel = Channel::new(name, device, Physical::Counter(counter), all);
    setup(&channel, &driver().signals())?;
    Ok(channel)
}

fn timebase_name(rate: f64) -> &'static str {
    match rate {
        rate if rate >= 100e6 => "100MHzTimebase",
        rate if rate >= 80e6 => "80MHzTimebase",
        rate if rate >= 20e6 => "20MHzTimebase",
        _ => "100kHzTimebase",
    }
}

/// The fastest timebase with which the longest measurement fits into the register.
fn timebase(device: &Device, name: &str, wanted: &Wanted<'_>) -> Result<f64> {
    let fastest = device.product.counters.map_or(100e6, |all| all.timebase);
    let Some((min, max)) = wanted.limits else {
        return Ok(fastest);
    };
    if min.is_nan() || max.is_nan() || min >= max {
        return Err(Error::new(code::CTR_MIN_MAX)
            .with("Property", "DAQmx_CI_Min")
            .with("Corresponding Value", format!("{min:?}"))
            .with("Property", "DAQmx_CI_Max")
            .with("Corresponding Value", format!("{max:?}"))
            .with("Channel Name", name));
    }
    let ticks = wanted.measurement == kind::PULSE_TICKS || in_ticks(wanted);
    let velocity = matches!(
        wanted.measurement,
        kind::ANGULAR_VELOCITY | kind::LINEAR_VELOCITY
    );
    if ticks || velocity || !wanted.scale.is_empty() {
        return Ok(fastest);
    }
    let (shortest, longest) = if wanted.frequency {
        (1.0 / max, 1.0 / min)
    } else {
        (min, max)
    };
    let range = f64::from(u32::MAX);
    [fastest, 20e6, 100e3]
        .into_iter()
        .find(|rate| longest > 0.0 && longest * rate <= range)
        .filter(|rate| shortest * rate >= 1.0)
        .ok_or_else(|| {
            let (status, low, high) = if wanted.frequency {
                let most = if wanted.measurement == kind::FREQUENCY {
                    fastest / 4.0
                } else {
                    fastest
                };
                (code::COUNTER_MAX_MIN_RANGE_FREQ, 100e3 / range, most)
            } else {
                (
                    code::COUNTER_MAX_MIN_RANGE_TIME,
                    1.0 / fastest,
                    range / 100e3,
                )
            };
            Error::new(status)
                .with("Property", "DAQmx_CI_Min")
                .with("Corresponding Value", format!("{min:?}"))
                .with("Property", "DAQmx_CI_Max")
                .with("Corresponding Value", format!("{max:?}"))
                .with("Minimum Value", format!("{low:?}"))
                .with("Maximum Value", format!("{high:?}"))
                .with("Channel Name", name)
        })
}

fn in_ticks(wanted: &Wanted<'_>) -> bool {
    let units = [
        attr::FREQ_UNITS,
        attr::PERIOD_UNITS,
        attr::WIDTH_UNITS,
        attr::SEMI_UNITS,
        attr::SEP_UNITS,
        attr::PULSE_FREQ_UNITS,
        attr::PULSE_TIME_UNITS,
    ];
    wanted
        .attributes
        .iter()
        .any(|(id, value)| units.contains(id) && *value == Value::I32(TICKS))
}

/// The attribute of the channel's units, where it has one.
fn units(measurement: i32) -> Option<u32> {
    Some(match measurement {
        kind::FREQUENCY => attr::FREQ_UNITS,
        kind::PERIOD => attr::PERIOD_UNITS,
        kind::PULSE_WIDTH => attr::WIDTH_UNITS,
        kind::SEMI_PERIOD => attr::SEMI_UNITS,
        kind::TWO_EDGE_SEPARATION => attr::SEP_UNITS,
        kind::PULSE_FREQUENCY => attr::PULSE_FREQ_UNITS,
        kind::PULSE_TIME => attr::PULSE_TIME_UNITS,
        kind::ANGULAR_POSITION => attr::ANGLE_UNITS,
        kind::LINEAR_POSITION => attr::LENGTH_UNITS,
        kind::ANGULAR_VELOCITY => attr::ANGULAR_VELOCITY_UNITS,
        kind::LINEAR_VELOCITY => attr::LINEAR_VELOCITY_UNITS,
        kind::GPS_TIMESTAMP => attr::TIMESTAMP_UNITS,
        _ => return None,
    })
}

/// The other counter that a measurement with two counters takes.
pub(crate) fn partner(channel: &Channel) -> Option<u32> {
    let Physical::Counter(number) = channel.physical else {
        return None;
    };
    let method = match channel.integer(attr::MEAS_TYPE) {
        kind::FREQUENCY => attr::FREQ_METHOD,
        kind::PERIOD => attr::PERIOD_METHOD,
        _ => return None,
    };
    (channel.integer(method) != ONE_COUNTER).then_some(number ^ 1)
}

/// The counter that a channel is, with what is at its terminals.
pub(crate) fn counter(channel: &Channel, signals: &Signals) -> Result<Counter> {
    setup(channel, signals).map(Counter::new)
}

fn setup(channel: &Channel, signals: &Signals) -> Result<Setup> {
    let measurement = channel.integer(attr::MEAS_TYPE);
    let timebase = channel.number(attr::TIMEBASE_RATE);
    let scale = custom_scale(channel, measurement)?;
    let in_ticks = units(measurement).is_some_and(|units| channel.integer(units) == TICKS);
    let edge = |id: u32| channel.integer(id) == RISING;
    let (measure, scaling) = match measurement {
        kind::COUNT_EDGES => (
            Measure::Count {
                what: Tallied::Edges {
                    rising: edge(id::CI_COUNT_EDGES_ACTIVE_EDGE),
                    down: channel.integer(id::CI_COUNT_EDGES_DIR) == DOWN,
                    by_line: channel.integer(id::CI_COUNT_EDGES_DIR) == BY_LINE,
                    reset: (channel.integer(attr::RESET_ENABLE) != 0).then(|| {
                        (
                            edge(attr::RESET_EDGE),
                            channel.integer(attr::RESET_COUNT) as u32,
                        )
                    }),
                    gate: (channel.integer(attr::GATE_ENABLE) != 0)
                        .then(|| channel.integer(attr::GATE_WHEN) == HIGH),
                },
                initial: i64::from(channel.integer(id::CI_COUNT_EDGES_INITIAL_CNT) as u32),
            },
            Scaling::Number,
        ),
        kind::FREQUENCY | kind::PERIOD => {
            let frequency = measurement == kind::FREQUENCY;
            let (method, time, divisor, first) = if frequency {
                (
                    attr::FREQ_METHOD,
                    attr::FREQ_TIME,
                    attr::FREQ_DIV,
                    attr::FREQ_EDGE,
                )
            } else {
                (
                    attr::PERIOD_METHOD,
                    attr::PERIOD_TIME,
                    attr::PERIOD_DIV,
                    attr::PERIOD_EDGE,
                )
            };
            let rising = edge(first);
            match channel.integer(method) {
                HIGH_FREQUENCY => {
                    let window = channel.number(time);
                    (
                        Measure::Window {
                            rising,
                            window: ((window * 1e9) as u64).max(1),
                        },
                        match (in_ticks, frequency) {
                            (true, _) => Scaling::Number,
                            (_, true) => Scaling::CountedFrequency { window },
                            (_, false) => Scaling::CountedTime { window },
                        },
                    )
                }
                chosen => {
                    let divisor = if chosen == LARGE_RANGE {
                        u64::from(channel.integer(divisor).unsigned_abs()).max(1)
                    } else {
                        1
                    };
                    let periods = divisor as f64;
                    (
                        Measure::Period { rising, divisor },
                        match (in_ticks, frequency) {
                            (true, _) => Scaling::Number,
                            (_, true) => Scaling::Frequency { periods },
                            (_, false) => Scaling::Time { periods },
                        },
                    )
                }
            }
        }
        kind::ANGULAR_POSITION | kind::LINEAR_POSITION => position(channel, measurement),
        kind::ANGULAR_VELOCITY | kind::LINEAR_VELOCITY => velocity(channel, measurement),
        kind::GPS_TIMESTAMP => {
            let initial = if channel.integer(attr::GPS_METHOD) == 10070 {
                crate::waveform::seconds_of_the_year()
            } else {
                channel.integer(attr::TIMESTAMP_INITIAL) as u32 as f64
            };
            (Measure::Timestamp { initial }, Scaling::Number)
        }
        _ => {
            let time = if in_ticks {
                Scaling::Number
            } else {
                Scaling::Time { periods: 1.0 }
            };
            match measurement {
                kind::PULSE_WIDTH => (
                    Measure::PulseWidth {
                        rising: edge(attr::WIDTH_EDGE),
                    },
                    time,
                ),
                kind::SEMI_PERIOD => (
                    Measure::SemiPeriod {
                        first: Some(edge(attr::SEMI_EDGE)),
                    },
                    time,
                ),
                kind::TWO_EDGE_SEPARATION => (
                    Measure::Separation {
                        first: edge(attr::SEP_FIRST_EDGE),
                        second: edge(attr::SEP_SECOND_EDGE),
                    },
                    time,
                ),
                kind::DUTY_CYCLE => (
                    Measure::Pulse {
                        rising: edge(attr::DUTY_EDGE),
                    },
                    Scaling::DutyCycle,
                ),
                kind::PULSE_FREQUENCY => (
                    Measure::Pulse {
                        rising: edge(attr::PULSE_FREQ_EDGE),
                    },
                    Scaling::Number,
                ),
                kind::PULSE_TIME => (
                    Measure::Pulse {
                        rising: edge(attr::PULSE_TIME_EDGE),
                    },
                    Scaling::Number,
                ),
                _ => (
                    Measure::Pulse {
                        rising: edge(attr::PULSE_TICKS_EDGE),
                    },
                    Scaling::Number,
                ),
            }
        }
    };
    let (inputs, numbers) = inputs(channel, measurement, signals)?;
    let source = channel.text(attr::TIMEBASE_SRC);
    let ticks = if source.ends_with(timebase_name(timebase)) {
        None
    } else {
        let found = at_terminal(&channel.device, &source, signals);
        check_terminal(channel, attr::TIMEBASE_SRC)?;
        Some(found.unwrap_or_else(unconnected))
    };
    Ok(Setup {
        ticks,
        measure,
        scaling,
        scale,
        timebase,
        numbers,
        inputs,
    })
}

fn custom_scale(channel: &Channel, measurement: i32) -> Result<Option<Conversion>> {
    let name = channel.text(attr::CUSTOM_SCALE_NAME);
    let from_scale =
        units(measurement).is_none_or(|units| channel.integer(units) == FROM_CUSTOM_SCALE);
    if name.is_empty() {
        if from_scale && units(measurement).is_some() {
            return Err(Error::new(code::CUSTOM_SCALE_DOES_NOT_EXIST)
                .with("Custom Scale Name", "")
                .with("Channel Name", &channel.name));
        }
        return Ok(None);
    }
    let scale = driver().scale(&name)?;
    if !from_scale {
        return Err(Error::new(code::UNITS_NOT_FROM_CUSTOM_SCALE)
            .with("Custom Scale Name", name)
            .with("Channel Name", &channel.name));
    }
    let mut way = Conversion::default();
    way.push(scale.stage());
    Ok(Some(way))
}

fn decoding(number: i32) -> Decoding {
    match number {
        10090 => Decoding::X1,
        10091 => Decoding::X2,
        10313 => Decoding::TwoPulse,
        _ => Decoding::X4,
    }
}

/// What one count of an encoder is in the channel's units (degrees and metres for custom scales).
fn per_count(channel: &Channel, measurement: i32, decoding: Decoding) -> f64 {
    let counts = decoding.counts();
    let number = |id: u32| f64::from(channel.integer(id).unsigned_abs());
    match measurement {
        kind::ANGULAR_POSITION => {
            let turn = match channel.integer(attr::ANGLE_UNITS) {
                TICKS => return 1.0,
                10273 => std::f64::consts::TAU,
                _ => 360.0,
            };
            turn / number(attr::PULSES_PER_REV) / counts
        }
        kind::LINEAR_POSITION => {
            if channel.integer(attr::LENGTH_UNITS) == TICKS {
                return 1.0;
            }
            channel.number(attr::DIST_PER_PULSE) / counts
        }
        kind::ANGULAR_VELOCITY => {
            let turn = match channel.integer(attr::ANGULAR_VELOCITY_UNITS) {
                16080 => 60.0,
                16081 => std::f64::consts::TAU,
                _ => 360.0,
            };
            turn / number(attr::VELOCITY_PULSES_PER_REV) / counts
        }
        _ => channel.number(attr::VELOCITY_DIST_PER_PULSE) / counts,
    }
}

fn position(channel: &Channel, measurement: i32) -> (Measure, Scaling) {
    let decoding = decoding(channel.integer(attr::ENCODER_DECODING));
    let slope = per_count(channel, measurement, decoding);
    let offset = channel.number(if measurement == kind::ANGULAR_POSITION {
        attr::INITIAL_ANGLE
    } else {
        attr::INITIAL_POS
    });
    let index = (channel.integer(attr::Z_ENABLE) != 0).then(|| {
        let phase = channel.integer(attr::Z_PHASE);
        let value = channel.number(attr::Z_VALUE);
        (
            matches!(phase, 10040 | 10041),
            matches!(phase, 10040 | 10042),
            ((value - offset) / slope).round() as i64,
        )
    });
    (
        Measure::Count {
            what: Tallied::Position { decoding, index },
            initial: 0,
        },
        Scaling::Linear { offset, slope },
    )
}

fn velocity(channel: &Channel, measurement: i32) -> (Measure, Scaling) {
    let decoding = decoding(channel.integer(attr::VELOCITY_DECODING));
    let window = channel.number(attr::VELOCITY_TIME);
    (
        Measure::Velocity {
            decoding,
            window: ((window * 1e9) as u64).max(1),
        },
        Scaling::Linear {
            offset: 0.0,
            slope: per_count(channel, measurement, decoding) / window,
        },
    )
}

/// The terminals that a measurement looks at, with what each is to an encoder's signals A, B, Z.
fn watched(measurement: i32) -> &'static [(u32, usize)] {
    match measurement {
        kind::COUNT_EDGES => &[
            (id::CI_COUNT_EDGES_TERM, 0),
            (attr::COUNT_DIR_TERM, 1),
            (attr::RESET_TERM, 2),
            (attr::GATE_TERM, 2),
        ],
        kind::FREQUENCY => &[(attr::FREQ_TERM, 0)],
        kind::PERIOD => &[(attr::PERIOD_TERM, 0)],
        kind::PULSE_WIDTH => &[(attr::WIDTH_TERM, 0)],
        kind::SEMI_PERIOD => &[(attr::SEMI_TERM, 0)],
        kind::TWO_EDGE_SEPARATION => &[(attr::SEP_FIRST_TERM, 0), (attr::SEP_SECOND_TERM, 1)],
        kind::PULSE_FREQUENCY => &[(attr::PULSE_FREQ_TERM, 0)],
        kind::PULSE_TIME => &[(attr::PULSE_TIME_TERM, 0)],
        kind::PULSE_TICKS => &[(attr::PULSE_TICKS_TERM, 0)],
        kind::DUTY_CYCLE => &[(attr::DUTY_TERM, 0)],
        kind::ANGULAR_POSITION | kind::LINEAR_POSITION => &[
            (attr::ENCODER_A, 0),
            (attr::ENCODER_B, 1),
            (attr::ENCODER_Z, 2),
        ],
        kind::ANGULAR_VELOCITY | kind::LINEAR_VELOCITY => {
            &[(attr::VELOCITY_A, 0), (attr::VELOCITY_B, 1)]
        }
        _ => &[],
    }
}

/// A terminal where nothing is.
fn unconnected() -> Input {
    Input {
        wave: Arc::new(Steady(false)),
        absolute: false,
    }
}

fn check_terminal(channel: &Channel, id: u32) -> Result<String> {
    let terminal = channel.text(id);
    if channel.device.has_terminal(&terminal) || driver().has_terminal(&terminal) {
        return Ok(terminal);
    }
    Err(Error::new(code::TRIGGER_SOURCE_INVALID)
        .with("Property", property(id))
        .with("Source Terminal", terminal)
        .with("Channel Name", &channel.name))
}

fn inputs(
    channel: &Channel,
    measurement: i32,
    signals: &Signals,
) -> Result<(Vec<Input>, Option<Numbers>)> {
    let device = &channel.device;
    let own = signals.of(&device.name, &device.full_name(channel.physical));
    let mut inputs = Vec::new();
    let mut nothing = !watched(measurement).is_empty();
    for (place, &(id, which)) in watched(measurement).iter().enumerate() {
        let terminal = check_terminal(channel, id)?;
        let found = at_terminal(device, &terminal, signals).or_else(|| {
            // What was chosen for the counter is at its main terminals.
            let wave = match own {
                Signal::Encoder(all) => all[which].wave()?,
                _ if place == 0 || measurement == kind::TWO_EDGE_SEPARATION => own.wave()?,
                _ => return None,
            };
            Some(Input {
                wave,
                absolute: false,
            })
        });
        if place == 0 && found.is_some() {
            nothing = false;
        }
        inputs.push(found.unwrap_or_else(unconnected));
    }
    Ok((inputs, nothing.then(|| Numbers::new(own))))
}

/// What is at a terminal: what a task puts there, what was chosen for it, or a clock of the device.
pub(crate) fn at_terminal(device: &Device, terminal: &str, signals: &Signals) -> Option<Input> {
    let bare = terminal.trim().trim_start_matches('/');
    let full = match driver().has_terminal(bare) {
        true => bare.to_owned(),
        false => format!("{}/{bare}", device.name),
    };
    let look = |name: &str| put_there(name, signals);
    if let Some((source, inverted)) = crate::terminal::behind(&full) {
        // What a route brings counts, whatever else is at the terminal.
        return at_terminal(device, &source, signals)
            .map(|input| crate::terminal::turned(input, inverted));
    }
    look(&full)
        .or_else(|| crate::terminal::of_engine(&full))
        .or_else(|| look(&behind(device, &full)?))
        .or_else(|| look(&shared_line(&full)?))
        .or_else(|| {
            let (_, short) = full.split_once('/')?;
            let frequency = match short.to_ascii_lowercase().as_str() {
                "100mhztimebase" => 100e6,
                "20mhztimebase" => 20e6,
                "10mhzrefclock" => 10e6,
                "100khztimebase" => 100e3,
                _ => return None,
            };
            Some(Input {
                wave: Arc::new(Pulses::endless(frequency)),
                absolute: false,
            })
        })
}

/// What is at a digital line: what a task puts there, or what was chosen for it or its pin.
pub(crate) fn at_line(device: &Device, line: &str, signals: &Signals) -> Option<Input> {
    put_there(line, signals).or_else(|| {
        let (_, port) = line.split_once("/port")?;
        let (port, number) = port.split_once("/line")?;
        let (port, number): (u32, u32) = (port.parse().ok()?, number.parse().ok()?);
        let pin = port.checked_sub(1)? * 8 + number;
        put_there(&format!("{}/PFI{pin}", device.name), signals)
    })
}

fn put_there(name: &str, signals: &Signals) -> Option<Input> {
    let driven = driver().driven(name).map(|wave| Input {
        wave,
        absolute: true,
    });
    driven.or_else(|| {
        signals.chosen(name).map(|wave| Input {
            wave,
            absolute: false,
        })
    })
}

/// The line that shares its pin with a PFI terminal: PFI 0 to 7 are port 1, PFI 8 to 15 port 2.
fn shared_line(terminal: &str) -> Option<String> {
    let (device, short) = terminal.split_once('/')?;
    let number: u32 = short
        .to_ascii_uppercase()
        .strip_prefix("PFI")?
        .parse()
        .ok()?;
    Some(format!(
        "{device}/port{}/line{}",
        1 + number / 8,
        number % 8
    ))
}
