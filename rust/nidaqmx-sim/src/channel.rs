//! Virtual channels: a name, a physical channel, and the attributes it was created with.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::attribute::{self, Object, Value};
use crate::counter_channel;
use crate::device::{Device, Physical};
use crate::digital::Lines;
use crate::driver::Signals;
use crate::error::{Error, Result, code};
use crate::plan::{Kind, Source};
use crate::product::{AnalogInput, Differential, bus, measure, terminal};
use crate::scaling::{Polynomial, device_polynomial, invert};
use crate::sensor::conversion;
use crate::signal::{Generator, Signal};
use crate::wire::Sampled;

/// Channel types.
pub(crate) mod channel_type {
    pub(crate) const ANALOG_INPUT: i32 = 10100;
    pub(crate) const DIGITAL_INPUT: i32 = 10151;
    pub(crate) const COUNTER_INPUT: i32 = 10131;
    pub(crate) const ANALOG_OUTPUT: i32 = 10102;
    pub(crate) const DIGITAL_OUTPUT: i32 = 10153;
    pub(crate) const COUNTER_OUTPUT: i32 = 10132;
}

/// Numbers of attributes that the code speaks of.
pub(crate) mod id {
    pub(crate) const CHAN_TYPE: u32 = 0x187F;
    pub(crate) const CHAN_DESCR: u32 = 0x1926;
    pub(crate) const CHAN_IS_GLOBAL: u32 = 0x2304;
    pub(crate) const PHYSICAL_CHAN_NAME: u32 = 0x18F5;
    pub(crate) const AI_MEAS_TYPE: u32 = 0x695;
    pub(crate) const AI_MAX: u32 = 0x17DD;
    pub(crate) const AI_MIN: u32 = 0x17DE;
    pub(crate) const AI_CUSTOM_SCALE_NAME: u32 = 0x17E0;
    pub(crate) const AI_TERM_CFG: u32 = 0x1097;
    pub(crate) const AI_RNG_HIGH: u32 = 0x1815;
    pub(crate) const AI_RNG_LOW: u32 = 0x1816;
    pub(crate) const AI_RESOLUTION: u32 = 0x1765;
    pub(crate) const AI_RESOLUTION_UNITS: u32 = 0x1764;
    pub(crate) const AI_RAW_SAMP_SIZE: u32 = 0x22DA;
    pub(crate) const AI_RAW_SAMP_JUSTIFICATION: u32 = 0x50;
    pub(crate) const AI_DEV_SCALING_COEFF: u32 = 0x1930;
    pub(crate) const AI_COUPLING: u32 = 0x64;
    pub(crate) const AI_DATA_XFER_MECH: u32 = 0x1821;
    pub(crate) const AI_VOLTAGE_UNITS: u32 = 0x1094;
    pub(crate) const AI_GAIN: u32 = 0x1818;
    pub(crate) const AI_IS_TEDS: u32 = 0x2983;
    pub(crate) const AI_RAW_DATA_COMPRESSION: u32 = 0x22D8;
    pub(crate) const DI_NUM_LINES: u32 = 0x2178;
    pub(crate) const DI_INVERT_LINES: u32 = 0x793;
    pub(crate) const CI_COUNT_EDGES_ACTIVE_EDGE: u32 = 0x697;
    pub(crate) const CI_COUNT_EDGES_INITIAL_CNT: u32 = 0x698;
    pub(crate) const CI_COUNT_EDGES_DIR: u32 = 0x696;
    pub(crate) const CI_COUNT_EDGES_TERM: u32 = 0x18C7;
}

/// Units "from a custom scale".
pub(crate) const FROM_CUSTOM_SCALE: i32 = 10065;

/// A virtual channel.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    pub(crate) name: String,
    pub(crate) device: Arc<Device>,
    pub(crate) physical: Physical,
    /// Attributes as set; what is not here is computed or not supported.
    attributes: BTreeMap<u32, Value>,
    created: BTreeMap<u32, Value>,
    /// The lines of a digital channel: port and number.
    pub(crate) lines: Vec<(u32, u32)>,
    /// The other inputs of a channel that several make together.
    pub(crate) partners: Vec<Channel>,
}

impl Channel {
    /// An analog input of a kind of measurement, with its minimum and maximum.
    pub(crate) fn analog_input(
        name: String,
        device: Arc<Device>,
        index: u32,
        measurement: i32,
        terminals: i32,
        min: f64,
        max: f64,
    ) -> Result<Self> {
        let ai = device
            .product
            .ai
            .as_ref()
            .ok_or_else(|| Error::new(code::INVALID_PHYS_CHAN_TYPE))?;
        let physical = Physical::AnalogInput(index);
        let full_name = device.full_name(physical);
        if !ai.measurements.contains(&measurement) {
            return Err(Error::new(code::PHYS_CHAN_MEAS_TYPE)
                .with("Property", "DAQmx_AI_MeasType")
                .with("Requested Value", measurement)
                .with("Physical Channel", full_name));
        }
        let possible = device.terminals(index);
        let terminals = if terminals == terminal::DEFAULT {
            possible.first().copied().unwrap_or(terminal::RSE)
        } else if possible.contains(&terminals) {
            terminals
        } else {
            return Err(Error::value("DAQmx_AI_TermCfg", terminals)
                .with("You Can Select", format!("{possible:?}"))
                .with("Physical Channel", full_name));
        };
        if terminals == terminal::DIFF
            && ai.differential == Differential::LowerHalf
            && !possible.contains(&terminal::DIFF)
        {
            return Err(Error::value("DAQmx_AI_TermCfg", terminals));
        }
        let mechanism = if matches!(device.product.bus, bus::USB | bus::COMPACT_DAQ) {
            12590
        } else {
            10054
        };
        let created = BTreeMap::from([
            (id::CHAN_TYPE, Value::I32(channel_type::ANALOG_INPUT)),
            (id::CHAN_DESCR, Value::text("")),
            (id::CHAN_IS_GLOBAL, Value::Bool(false)),
            (id::PHYSICAL_CHAN_NAME, Value::Str(full_name)),
            (id::AI_MEAS_TYPE, Value::I32(measurement)),
            (id::AI_MAX, Value::F64(max)),
            (id::AI_MIN, Value::F64(min)),
            (id::AI_CUSTOM_SCALE_NAME, Value::text("")),
            (id::AI_TERM_CFG, Value::I32(terminals)),
            (id::AI_RESOLUTION, Value::F64(f64::from(ai.resolution))),
            (id::AI_RESOLUTION_UNITS, Value::I32(10109)),
            (id::AI_RAW_SAMP_SIZE, Value::U32(ai.raw_bits)),
            (id::AI_RAW_SAMP_JUSTIFICATION, Value::I32(10279)),
            (id::AI_COUPLING, Value::I32(10050)),
            (id::AI_DATA_XFER_MECH, Value::I32(mechanism)),
            (id::AI_IS_TEDS, Value::Bool(false)),
            (id::AI_RAW_DATA_COMPRESSION, Value::I32(10230)),
        ]);
        Ok(Self {
            name,
            device,
            physical,
            attributes: created.clone(),
            created,
            lines: Vec::new(),
            partners: Vec::new(),
        })
    }

    /// A digital input of one or more lines.
    pub(crate) fn digital_input(
        name: String,
        device: Arc<Device>,
        physical: Physical,
        lines: Vec<(u32, u32)>,
    ) -> Self {
        let full_name = device.full_name(physical);
        let created = BTreeMap::from([
            (id::CHAN_TYPE, Value::I32(channel_type::DIGITAL_INPUT)),
            (id::CHAN_DESCR, Value::text("")),
            (id::CHAN_IS_GLOBAL, Value::Bool(false)),
            (id::PHYSICAL_CHAN_NAME, Value::Str(full_name)),
            (id::DI_NUM_LINES, Value::U32(lines.len() as u32)),
            (id::DI_INVERT_LINES, Value::Bool(false)),
        ]);
        Self {
            name,
            device,
            physical,
            attributes: created.clone(),
            created,
            lines,
            partners: Vec::new(),
        }
    }

    /// A channel with these attributes; of two of one number the later counts.
    pub(crate) fn new(
        name: String,
        device: Arc<Device>,
        physical: Physical,
        attributes: Vec<(u32, Value)>,
    ) -> Self {
        let created: BTreeMap<u32, Value> = attributes.into_iter().collect();
        Self {
            name,
            device,
            physical,
            attributes: created.clone(),
            created,
            lines: Vec::new(),
            partners: Vec::new(),
        }
    }

    /// Adds an attribute that belongs to the kind of channel.
    pub(crate) fn with(mut self, id: u32, value: Value) -> Self {
        self.created.insert(id, value.clone());
        self.attributes.insert(id, value);
        self
    }

    fn is_analog(&self) -> bool {
        matches!(self.physical, Physical::AnalogInput(_))
    }

    /// Bits of a sample in raw reads.
    pub(crate) fn raw_bits(&self) -> u32 {
        match self.physical {
            Physical::AnalogInput(_) => self.inputs().map_or(16, |ai| ai.raw_bits),
            Physical::Counter(_) => 32,
            Physical::AnalogOutput(_) => 16,
            Physical::Port(_) | Physical::Line(..) => match crate::digital::width(&self.lines) {
                ..=8 => 8,
                9..=16 => 16,
                _ => 32,
            },
        }
    }

    fn inputs(&self) -> Option<&AnalogInput> {
        self.device.product.ai.as_ref()
    }

    pub(crate) fn number(&self, id: u32) -> f64 {
        self.attributes.get(&id).map_or(0.0, Value::as_f64)
    }

    pub(crate) fn integer(&self, id: u32) -> i32 {
        self.attributes.get(&id).map_or(0, Value::as_i32)
    }

    pub(crate) fn unsigned(&self, id: u32) -> u32 {
        self.attributes
            .get(&id)
            .map_or(0, |value| u32::try_from(value.as_u64()).unwrap_or(u32::MAX))
    }

    pub(crate) fn text(&self, id: u32) -> String {
        self.attributes
            .get(&id)
            .map_or_else(String::new, |value| value.as_str().to_owned())
    }

    pub(crate) fn list(&self, id: u32) -> Vec<f64> {
        self.attributes
            .get(&id)
            .map_or_else(Vec::new, |value| value.as_f64s().to_vec())
    }

    /// The channel's minimum and maximum in its units.
    fn limits(&self) -> (f64, f64) {
        (self.number(id::AI_MIN), self.number(id::AI_MAX))
    }

    /// The voltages at the channel's minimum and maximum.
    fn volts(&self) -> Result<(f64, f64)> {
        let (min, max) = self.limits();
        let way = conversion(self)?;
        let (low, high) = (way.inverse(min), way.inverse(max));
        if low.is_finite() && high.is_finite() {
            return Ok((low, high));
        }
        Err(Error::value("DAQmx_AI_Max", format!("{max:?}")).with("Channel Name", &self.name))
    }

    /// Checks minimum, maximum and sensor together.
    pub(crate) fn check_range(&self) -> Result<()> {
        let (min, max) = self.limits();
        if min.is_nan() || max.is_nan() || min >= max {
            return Err(Error::new(code::MIN_NOT_LESS_THAN_MAX)
                .with("Property", "DAQmx_AI_Min")
                .with("Corresponding Value", format!("{min:?}"))
                .with("Property", "DAQmx_AI_Max")
                .with("Corresponding Value", format!("{max:?}"))
                .with("Channel Name", &self.name));
        }
        self.range().map(|_| ())
    }

    /// The device's range that takes the channel's minimum and maximum: its upper end.
    fn range(&self) -> Result<f64> {
        let inputs = self.inputs();
        // The ranges of bridges move with the excitation.
        let ranges: Vec<f64> = match inputs {
            Some(ai) if !ai.bridge_ranges.is_empty() && self.is_bridge() => {
                let volts = self.number(crate::sensor::attr::EXCIT_VAL).abs();
                ai.bridge_ranges.iter().map(|ratio| ratio * volts).collect()
            }
            Some(ai) => ai.ranges.to_vec(),
            None => Vec::new(),
        };
        let (min, max) = self.limits();
        let (low, high) = self.volts()?;
        let wanted = low.abs().max(high.abs());
        if let Some(high) = self.attributes.get(&id::AI_RNG_HIGH) {
            let high = high.as_f64();
            if let Some(range) = ranges.iter().find(|&&range| range >= high) {
                return Ok(*range);
            }
        }
        ranges
            .iter()
            .copied()
            .find(|range| *range >= wanted * (1.0 - 1e-9))
            .ok_or_else(|| {
                let largest = ranges.last().copied().unwrap_or(0.0);
                let ends = conversion(self).map_or([-largest, largest], |way| {
                    [way.forward(-largest), way.forward(largest)]
                });
                let (property, value, limit) = if high.abs() >= low.abs() {
                    ("DAQmx_AI_Max", max, ("Maximum Value", ends[0].max(ends[1])))
                } else {
                    ("DAQmx_AI_Min", min, ("Minimum Value", ends[0].min(ends[1])))
                };
                Error::value(property, format!("{value:?}"))
                    .with(limit.0, format!("{:?}", limit.1))
                    .with("Channel Name", &self.name)
            })
    }

    fn is_bridge(&self) -> bool {
        matches!(
            self.integer(id::AI_MEAS_TYPE),
            measure::BRIDGE
                | measure::STRAIN
                | measure::ROSETTE
                | measure::FORCE_BRIDGE
                | measure::PRESSURE_BRIDGE
                | measure::TORQUE_BRIDGE
        )
    }

    fn polynomial(&self) -> Result<Polynomial> {
        let bits = self.inputs().map_or(16, |ai| ai.resolution);
        let index = match self.physical {
            Physical::AnalogInput(index) => index,
            _ => 0,
        };
        Ok(device_polynomial(index, self.range()?, bits))
    }

    /// The value of an attribute.
    pub(crate) fn get(&self, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::Channel, id)?;
        if let Some(value) = self.attributes.get(&row.id) {
            return Ok(value.clone());
        }
        if let Some(value) = crate::output::computed(self, row.id) {
            return value;
        }
        if !self.is_analog() {
            return Err(self.unsupported(row.display()));
        }
        let measurement = self.integer(id::AI_MEAS_TYPE);
        if measurement == measure::POWER {
            return match row.id {
                0x31D7 => Ok(Value::I32(
                    if self.integer(crate::sensor::attr::PWR_OUTPUT_ENABLE) != 0 {
                        15504
                    } else {
                        15503
                    },
                )),
                0x31D9 => Ok(Value::F64s(crate::combined::supply_polynomial(0).to_vec())),
                0x31DA => Ok(Value::F64s(crate::combined::supply_polynomial(1).to_vec())),
                _ => Err(self.unsupported(row.display())),
            };
        }
        match row.id {
            id::AI_RNG_HIGH => Ok(Value::F64(self.range()?)),
            id::AI_RNG_LOW => Ok(Value::F64(-self.range()?)),
            id::AI_GAIN => {
                let largest = self.inputs().and_then(|ai| ai.ranges.last().copied());
                Ok(Value::F64(largest.unwrap_or(1.0) / self.range()?))
            }
            id::AI_DEV_SCALING_COEFF => Ok(Value::F64s(self.polynomial()?.to_vec())),
            _ => Err(self.unsupported(row.display())),
        }
    }

    fn unsupported(&self, property: String) -> Error {
        Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK)
            .with("Property", property)
            .with("Channel Name", &self.name)
    }

    /// Refuses values that are none of an enumeration, and numbers that are none.
    fn check_value(&self, id: u32, value: &Value) -> Result<()> {
        let known = crate::enumeration::values(id);
        let wrong = match (value, known) {
            (Value::I32(number), Some(known)) => !known.contains(number),
            (Value::F64(number), _) => !number.is_finite(),
            _ => false,
        };
        if !wrong {
            return Ok(());
        }
        let row = attribute::find(Object::Channel, id as i32)?;
        let mut error = Error::value(&row.display(), value.display());
        if let Some(known) = known {
            error = error.with("You Can Select", format!("{known:?}"));
        }
        Err(error.with("Channel Name", &self.name))
    }

    /// Refuses a new channel with such values.
    pub(crate) fn check_values(&self) -> Result<()> {
        self.attributes
            .iter()
            .try_for_each(|(id, value)| self.check_value(*id, value))
    }

    /// Sets an attribute.
    pub(crate) fn set(&mut self, id: i32, value: Value) -> Result<()> {
        let row = attribute::writable(Object::Channel, id)?;
        let computed = matches!(row.id, id::AI_RNG_HIGH | id::AI_RNG_LOW) && self.is_analog();
        if !self.attributes.contains_key(&row.id) && !computed {
            return Err(self.unsupported(row.display()));
        }
        match row.id {
            id::PHYSICAL_CHAN_NAME => return Err(self.unsupported(row.display())),
            id::AI_TERM_CFG => {
                let Physical::AnalogInput(index) = self.physical else {
                    return Err(self.unsupported(row.display()));
                };
                let possible = self.device.terminals(index);
                if !possible.contains(&value.as_i32()) {
                    return Err(Error::value("DAQmx_AI_TermCfg", value.as_i32())
                        .with("You Can Select", format!("{possible:?}"))
                        .with("Channel Name", &self.name));
                }
            }
            id::AI_CUSTOM_SCALE_NAME => {
                crate::driver::driver().scale(value.as_str())?;
            }
            id::AI_COUPLING => {
                let ac = self.inputs().is_some_and(|ai| ai.dynamic_signals);
                if value.as_i32() != 10050 && !(ac && value.as_i32() == 10045) {
                    return Err(Error::value("DAQmx_AI_Coupling", value.as_i32())
                        .with("Channel Name", &self.name));
                }
            }
            _ if matches!(self.physical, Physical::Counter(_))
                && !counter_channel::takes(row.id, &value) =>
            {
                return Err(
                    Error::value(&row.display(), value.display()).with("Channel Name", &self.name)
                );
            }
            _ => {}
        }
        self.check_value(row.id, &value)?;
        // Minimum and maximum may be set one after the other: they are checked when the task is.
        self.attributes.insert(row.id, value);
        Ok(())
    }

    /// Resets an attribute to what the channel was created with.
    pub(crate) fn reset(&mut self, id: i32) -> Result<()> {
        let row = attribute::resettable(Object::Channel, id)?;
        match self.created.get(&row.id) {
            Some(value) => {
                self.attributes.insert(row.id, value.clone());
            }
            None if matches!(row.id, id::AI_RNG_HIGH | id::AI_RNG_LOW) && self.is_analog() => {
                self.attributes.remove(&row.id);
            }
            None => return Err(self.unsupported(row.display())),
        }
        Ok(())
    }

    /// What the channel delivers in a run.
    pub(crate) fn source(&self, signals: &Signals) -> Result<Source> {
        let signal = signals.of(&self.device.name, &self.device.full_name(self.physical));
        match self.physical {
            Physical::Counter(_) => {
                let counter = counter_channel::counter(self, signals)?;
                return Ok(Source::new(Kind::Counter(Arc::new(counter))));
            }
            Physical::Port(_) | Physical::Line(..) => {
                let lines = self.lines.clone();
                let invert = self.integer(id::DI_INVERT_LINES) != 0;
                let waves = lines
                    .iter()
                    .map(|(port, line)| {
                        let name = self.device.full_name(Physical::Line(*port, *line));
                        counter_channel::at_line(&self.device, &name, signals)
                    })
                    .collect();
                let mut source =
                    Source::new(Kind::Digital(Lines::new(lines, invert, signal, waves)));
                source.raw_bits = self.raw_bits();
                return Ok(source);
            }
            // Nothing is read from an output.
            Physical::AnalogOutput(_) => return Err(Error::new(code::INVALID_PHYS_CHAN_TYPE)),
            Physical::AnalogInput(_) => {}
        }
        if self.integer(id::AI_MEAS_TYPE) == measure::POWER {
            return Ok(crate::combined::supply(self));
        }
        self.check_range()?;
        let ai = self
            .inputs()
            .ok_or_else(|| Error::new(code::INVALID_PHYS_CHAN_TYPE))?;
        let Physical::AnalogInput(index) = self.physical else {
            return Err(Error::new(code::INVALID_PHYS_CHAN_TYPE));
        };
        let polynomial = self.polynomial()?;
        let bits = ai.resolution;
        let wire = crate::route::wire_of(&self.device, self.physical);
        let generator = match signal {
            _ if let Some(wire) = wire => Generator::Wire(Sampled {
                wire,
                polynomial,
                bits,
                origin: 0,
                rate: None,
            }),
            Signal::Pattern => Generator::Pattern {
                channel: index,
                shift: bits.saturating_sub(16),
            },
            Signal::Constant(volts) => Generator::Constant(invert(&polynomial, *volts, bits)),
            Signal::Playback(codes) => Generator::playback(codes, bits),
            Signal::Values(values) => {
                let way = conversion(self)?;
                let code = |value: &f64| invert(&polynomial, way.inverse(*value), bits);
                Generator::playback(&values.iter().map(code).collect::<Vec<_>>(), bits)
            }
            Signal::Noise { volts, seed } => {
                let middle = f64::from(invert(&polynomial, 0.0, bits));
                Generator::noise(index, *seed, middle, volts / polynomial[1], bits)
            }
            // A digital signal is nothing that an analog input could measure.
            Signal::Pulses(_) | Signal::Toggles(_) | Signal::Encoder(_) => {
                Generator::Constant(invert(&polynomial, 0.0, bits))
            }
            Signal::Sine => {
                let (min, max) = self.volts()?;
                let low = f64::from(invert(&polynomial, min, bits));
                let high = f64::from(invert(&polynomial, max, bits));
                Generator::sine(index, low, high, (high - low).abs() / 2.0 * 0.03, bits)
            }
        };
        let way = conversion(self)?;
        let way = (!way.is_identity()).then_some(way);
        let source = Source {
            kind: Kind::Analog,
            generator,
            polynomial,
            bits,
            raw_bits: ai.raw_bits,
            way,
            combined: None,
        };
        if self.partners.is_empty() {
            Ok(source)
        } else {
            crate::combined::combine(self, source)
        }
    }
}
