//! A device: a product type under a name, and the physical channels it has.

use crate::attribute::{self, Object, Value};
use crate::error::{Error, Result, code};
use crate::output::analog_outputs;
use crate::product::{Differential, Product, bus, category, measure, terminal};

/// One simulated device.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) product: &'static Product,
    pub(crate) serial: u32,
    /// The chassis that a module sits in, and its slot.
    pub(crate) chassis: Option<(String, u32)>,
    /// The modules of a chassis.
    pub(crate) modules: Vec<String>,
    /// How a network chassis is reached.
    pub(crate) network: Option<crate::network::Network>,
    /// Number of the PXI chassis and of the slot; `u32::MAX` where they are not known.
    pub(crate) pxi: (u32, u32),
    /// What the device says of itself; nothing else depends on it.
    pub(crate) simulated: bool,
}

/// Where internal channels begin among the numbers of analog inputs.
pub(crate) const INTERNAL: u32 = 0x1000;

/// Internal channels, by their numbers from [`INTERNAL`] on.
const INTERNAL_NAMES: [&str; 3] = ["_boardTempSensor_vs_aignd", "_cjTemp", "power"];

/// A physical channel of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Physical {
    AnalogInput(u32),
    Port(u32),
    Line(u32, u32),
    Counter(u32),
    AnalogOutput(u32),
}

/// From here on among the numbers of analog inputs they are the device's own outputs: output 0
/// against ground and so on.
pub(crate) const LOOPBACK: u32 = 0x2000;

/// The internal input at ground.
const GROUND: u32 = LOOPBACK + 0x900;

impl Device {
    /// The physical channel of a name without the device's part, like `ai3` or `port0/line7`.
    pub(crate) fn physical(&self, channel: &str) -> Option<Physical> {
        let channel = channel.to_ascii_lowercase();
        let number = |text: &str| -> Option<u32> {
            (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
                .then(|| text.parse().ok())?
        };
        if channel == "_aognd_vs_aognd" {
            let found = self.product.ai.is_some() && analog_outputs(self.product).is_some();
            return found.then_some(Physical::AnalogInput(GROUND));
        }
        if let Some(output) = channel
            .strip_prefix("_ao")
            .and_then(|rest| rest.strip_suffix("_vs_aognd"))
        {
            self.product.ai.as_ref()?;
            let index = number(output)?;
            let outputs = analog_outputs(self.product)?.channels;
            return (index < outputs).then_some(Physical::AnalogInput(LOOPBACK + index));
        }
        if let Some(index) = channel.strip_prefix("ao").and_then(number) {
            let outputs = analog_outputs(self.product)?.channels;
            return (index < outputs).then_some(Physical::AnalogOutput(index));
        }
        if let Some(index) = channel.strip_prefix("ai").and_then(number) {
            let inputs = self.product.ai.as_ref()?;
            return (index < inputs.channels).then_some(Physical::AnalogInput(index));
        }
        if let Some(index) = (0u32..)
            .zip(INTERNAL_NAMES)
            .find(|(_, name)| name.eq_ignore_ascii_case(&channel))
            .map(|(index, _)| INTERNAL + index)
        {
            return self
                .has_internal(index)
                .then_some(Physical::AnalogInput(index));
        }
        // The counters of a chassis are written with an underscore.
        let plain = match channel.strip_prefix('_') {
            Some(rest) if self.product.slots > 0 => rest,
            Some(_) => return None,
            None => channel.as_str(),
        };
        if let Some(index) = plain.strip_prefix("ctr").and_then(number) {
            let counters = self.product.counters?;
            return (index < counters.count).then_some(Physical::Counter(index));
        }
        let port = channel.strip_prefix("port")?;
        let (port, line) = match port.split_once('/') {
            Some((port, line)) => (
                number(port)?,
                Some(line.strip_prefix("line").and_then(number)?),
            ),
            None => (number(port)?, None),
        };
        let width = self.product.ports.get(port as usize)?.width;
        match line {
            None => Some(Physical::Port(port)),
            Some(line) => (line < width).then_some(Physical::Line(port, line)),
        }
    }

    /// The full name of a physical channel as the driver writes it.
    pub(crate) fn full_name(&self, physical: Physical) -> String {
        match physical {
            Physical::AnalogInput(GROUND) => format!("{}/_aognd_vs_aognd", self.name),
            Physical::AnalogInput(index) if index >= LOOPBACK => {
                format!("{}/_ao{}_vs_aognd", self.name, index - LOOPBACK)
            }
            Physical::AnalogOutput(index) => format!("{}/ao{index}", self.name),
            Physical::AnalogInput(index) if index >= INTERNAL => format!(
                "{}/{}",
                self.name,
                INTERNAL_NAMES
                    .get((index - INTERNAL) as usize)
                    .unwrap_or(&"")
            ),
            Physical::AnalogInput(index) => format!("{}/ai{index}", self.name),
            Physical::Counter(index) if self.product.slots > 0 => {
                format!("{}/_ctr{index}", self.name)
            }
            Physical::Port(port) => format!("{}/port{port}", self.name),
            Physical::Line(port, line) => format!("{}/port{port}/line{line}", self.name),
            Physical::Counter(index) => format!("{}/ctr{index}", self.name),
        }
    }

    /// Whether the device has an internal channel.
    fn has_internal(&self, index: u32) -> bool {
        let Some(inputs) = &self.product.ai else {
            return false;
        };
        let measures = |kind| inputs.measurements.contains(&kind);
        match index - INTERNAL {
            0 => self.chassis.is_none() && measures(measure::BUILT_IN_SENSOR),
            1 => self.chassis.is_some() && measures(measure::BUILT_IN_SENSOR),
            _ => measures(measure::POWER),
        }
    }

    /// The device that owns the clocks: the chassis of a module, else the device itself.
    pub(crate) fn clock_owner(&self) -> &str {
        self.chassis.as_ref().map_or(&self.name, |(name, _)| name)
    }

    /// The terminal configurations of an analog input.
    pub(crate) fn terminals(&self, index: u32) -> Vec<i32> {
        let Some(inputs) = &self.product.ai else {
            return Vec::new();
        };
        let differential = match inputs.differential {
            Differential::All => true,
            // What is inside of the device has no partner to choose.
            Differential::LowerHalf if index >= INTERNAL => true,
            Differential::LowerHalf => {
                index % inputs.channels.min(16) < inputs.channels.min(16) / 2
            }
        };
        inputs
            .terminals
            .iter()
            .copied()
            .filter(|&config| config != terminal::DIFF || differential)
            .collect()
    }

    /// The value of a device attribute.
    pub(crate) fn get(&self, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::Device, id)?;
        let product = self.product;
        let ai = product.ai.as_ref();
        let ao = analog_outputs(product);
        let names = |channels: Vec<Physical>| {
            let names: Vec<_> = channels
                .into_iter()
                .map(|one| self.full_name(one))
                .collect();
            Value::Str(names.join(", "))
        };
        let unsupported = || {
            Error::new(code::ATTRIBUTE_NOT_SUPPORTED)
                .with("Property", row.display())
                .with("Device", &self.name)
        };
        let counters = product.counters;
        let usage = |has: bool| {
            Value::I32s(if has && product.digital_trigger {
                if product.analog_trigger {
                    vec![12489, 12490, 12491]
                } else {
                    vec![12491]
                }
            } else {
                Vec::new()
            })
        };
        let timed_port = product.ports.iter().any(|port| port.timed);
        let digital = |has: bool| {
            Value::I32s(if has && product.digital_trigger {
                vec![12491]
            } else {
                Vec::new()
            })
        };
        let bipolar = |ranges: &[f64]| {
            Value::F64s(ranges.iter().flat_map(|&range| [-range, range]).collect())
        };
        Ok(match row.id {
            0x631 => Value::text(product.name),
            0x632 => Value::U32(self.serial),
            0x22CA => Value::Bool(self.simulated),
            0x231D => Value::U32(product.number),
            0x231E => names(
                (0..ai.map_or(0, |ai| ai.channels))
                    .map(Physical::AnalogInput)
                    .collect(),
            ),
            0x231F => names(
                (0..ao.map_or(0, |ao| ao.channels))
                    .map(Physical::AnalogOutput)
                    .collect(),
            ),
            0x2322 => names(self.lines()),
            0x2323 => names(
                (0..product.ports.len() as u32)
                    .map(Physical::Port)
                    .collect(),
            ),
            0x2325 => names(
                (0..counters
                    .filter(|counters| counters.timed)
                    .map_or(0, |counters| counters.count))
                    .map(Physical::Counter)
                    .collect(),
            ),
            0x2320 => names(self.lines()),
            0x2321 => names(
                (0..product.ports.len() as u32)
                    .map(Physical::Port)
                    .collect(),
            ),
            0x2324 => names(
                (0..counters.map_or(0, |counters| counters.count))
                    .map(Physical::Counter)
                    .collect(),
            ),
            0x2326 => Value::I32(product.bus),
            0x29A9 => Value::I32(product.category),
            0x2984 => Value::Bool(product.analog_trigger),
            0x2985 => Value::Bool(product.digital_trigger),
            0x2986 => usage(ai.is_some()),
            0x2987 => digital(ao.is_some()),
            0x2989 => digital(timed_port),
            0x298B => digital(counters.is_some_and(|counters| counters.timed)),
            0x2988 => usage(product.ports.iter().any(|port| port.timed)),
            0x298A => Value::I32s(Vec::new()),
            0x298C => Value::F64(ai.ok_or_else(unsupported)?.max_single_rate),
            0x298D => Value::F64(ai.ok_or_else(unsupported)?.max_multi_rate),
            0x298E => {
                let ai = ai.ok_or_else(unsupported)?;
                let slowest = ai.timebase as f64 / f64::from(u32::MAX);
                Value::F64(if ai.min_rate > 0.0 {
                    ai.min_rate
                } else {
                    slowest
                })
            }
            0x298F => Value::Bool(ai.ok_or_else(unsupported)?.simultaneous),
            0x2990 => bipolar(ai.map_or(&[], |ai| ai.ranges)),
            0x2991 => bipolar(ai.map_or(&[], |ai| ai.current_ranges)),
            0x2994 => Value::I32s(match ai {
                Some(ai) if ai.dynamic_signals => vec![10045, 10050],
                Some(_) => vec![10050],
                None => Vec::new(),
            }),
            // Sample clocks of outputs, their rates and ranges.
            0x2996 => Value::Bool(ao.is_some() && product.category == category::X_SERIES),
            0x2997 => Value::F64(ao.ok_or_else(unsupported)?.max_rate),
            0x2998 => {
                let ao = ao.ok_or_else(unsupported)?;
                Value::F64(ao.timebase as f64 / f64::from(u32::MAX))
            }
            0x299B => bipolar(ao.map_or(&[], |ao| ao.ranges)),
            0x299C => bipolar(&[]),
            0x299D => Value::F64s(Vec::new()),
            0x299A => {
                if product.di_max_rate == 0.0 {
                    return Err(unsupported());
                }
                Value::F64(product.di_max_rate)
            }
            0x29A1 => Value::U32(counters.ok_or_else(unsupported)?.bits),
            0x29A2 => Value::F64(counters.ok_or_else(unsupported)?.timebase),
            0x2999 => {
                if product.di_max_rate == 0.0 {
                    return Err(unsupported());
                }
                Value::F64(product.di_max_rate)
            }
            0x299E => Value::Bool(counters.is_some_and(|counters| counters.timed)),
            0x299F => Value::U32(counters.ok_or_else(unsupported)?.bits),
            0x29A0 => Value::F64(counters.ok_or_else(unsupported)?.timebase),
            0x29B6 if product.slots > 0 => Value::Str(self.modules.join(", ")),
            0x2329 if self.on_pxi() => Value::U32(self.pxi.0),
            0x232A if self.on_pxi() => Value::U32(self.pxi.1),
            0x2A8B => Value::text(
                self.network
                    .as_ref()
                    .ok_or_else(unsupported)?
                    .hostname
                    .clone(),
            ),
            0x2A8C => Value::text(
                self.network
                    .as_ref()
                    .ok_or_else(unsupported)?
                    .address
                    .clone(),
            ),
            0x2A8D => {
                self.network.as_ref().ok_or_else(unsupported)?;
                Value::text("0.0.0.0")
            }
            0x2993 => Value::F64s(ai.map_or_else(Vec::new, |ai| {
                let largest = ai.ranges.last().copied().unwrap_or(1.0);
                ai.ranges.iter().map(|range| largest / range).collect()
            })),
            0x2FD0 => bipolar(ai.map_or(&[], |ai| ai.bridge_ranges)),
            0x3111 if ai.is_some_and(|ai| ai.measurements.contains(&measure::CHARGE)) => {
                let most = crate::sensor::COULOMBS_PER_VOLT
                    * ai.and_then(|ai| ai.ranges.last()).copied().unwrap_or(0.0);
                Value::F64s(vec![-most, most])
            }
            0x29CB if ai.is_some_and(|ai| ai.dynamic_signals) => {
                Value::F64s(if self.chassis.is_some() {
                    vec![0.0, 0.002]
                } else {
                    vec![0.0, 0.004, 0.01, 0.02]
                })
            }
            // Lists of what no simulated device has.
            0x2992 | 0x2995 | 0x29C9 | 0x29CA | 0x29CB | 0x29CF | 0x2A15 | 0x3111 | 0x30C8
            | 0x30C9 => Value::F64s(Vec::new()),
            0x3107 | 0x3023 | 0x3024 | 0x31F2 => Value::I32s(Vec::new()),
            0x2F6E | 0x2F6F | 0x31F3 | 0x31F5 => Value::U32s(Vec::new()),
            0x2F6D | 0x3022 | 0x31F1 | 0x31F4 => Value::text(""),
            0x301F => Value::Bool(false),
            0x3141 | 0x3142 => Value::U32(0),
            0x29B7 => Value::text(self.chassis.as_ref().ok_or_else(unsupported)?.0.clone()),
            0x29B8 => Value::U32(self.chassis.as_ref().ok_or_else(unsupported)?.1),
            0x2A40 => Value::Str(self.terminal_names().join(", ")),
            0x2FD2 => Value::I32s(ai.map_or_else(Vec::new, |ai| ai.measurements.to_vec())),
            0x2FD3 => Value::I32s(if ao.is_some() {
                vec![10322, 14750]
            } else {
                Vec::new()
            }),
            0x2FD5 => Value::I32s(match counters {
                Some(counters) if counters.timed => vec![10119, 10269, 10268],
                _ => Vec::new(),
            }),
            0x2FDE | 0x2FDF => Value::I32s(match counters {
                Some(counters) if counters.timed => vec![10178, 10123],
                _ => Vec::new(),
            }),
            0x2FDD => Value::I32s(if ao.is_some() {
                vec![10178, 10123]
            } else {
                Vec::new()
            }),
            0x2FD4 => Value::I32s(match counters {
                Some(counters) if counters.timed => crate::counter::MEASUREMENTS.to_vec(),
                Some(_) => vec![crate::counter::COUNT_EDGES],
                None => Vec::new(),
            }),
            0x2FD6 => Value::Bool(false),
            0x2FDC => Value::I32s(if ai.is_some() {
                vec![10178, 10123]
            } else {
                Vec::new()
            }),
            0x3163 => Value::U32(u32::from(ai.is_some())),
            _ => return Err(unsupported()),
        })
    }

    fn on_pxi(&self) -> bool {
        self.product.bus == bus::PXIE
    }

    pub(crate) fn lines(&self) -> Vec<Physical> {
        (0u32..)
            .zip(self.product.ports)
            .flat_map(|(port, &ports)| (0..ports.width).map(move |line| Physical::Line(port, line)))
            .collect()
    }

    /// Whether there is a terminal of this name, with or without the device's.
    pub(crate) fn has_terminal(&self, name: &str) -> bool {
        let bare = name.trim().trim_start_matches('/');
        self.terminal_names().iter().any(|known| {
            let known = known.trim_start_matches('/');
            known.eq_ignore_ascii_case(bare)
                || known
                    .split_once('/')
                    .is_some_and(|(_, short)| short.eq_ignore_ascii_case(bare))
        })
    }

    /// Whether the device's clocks can follow a reference clock.
    pub(crate) fn has_reference_clock(&self) -> bool {
        self.product.digital_trigger
            && self.product.category != category::USB
            && self.product.slots == 0
            && self.chassis.is_none()
    }

    /// Whether it is a board in a PXI chassis, whose lines all boards share.
    pub(crate) fn on_backplane(&self) -> bool {
        self.has_reference_clock() && self.product.name.starts_with("PXI")
    }

    /// The terminals that triggers and clocks can come from.
    pub(crate) fn terminal_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let mut add = |name: String| names.push(format!("/{}/{name}", self.name));
        if self.product.slots > 0 {
            for name in [
                "PFI0",
                "PFI1",
                "20MHzTimebase",
                "80MHzTimebase",
                "100kHzTimebase",
                "ai/SampleClock",
                "ai/StartTrigger",
                "ai/ReferenceTrigger",
                "ai/SampleClockTimebase",
                "di/SampleClock",
                "di/StartTrigger",
                "di/ReferenceTrigger",
            ] {
                add(name.to_owned());
            }
            for counter in 0..self.product.counters.map_or(0, |counters| counters.count) {
                for name in ["Gate", "Source", "InternalOutput"] {
                    add(format!("Ctr{counter}{name}"));
                }
            }
            return names;
        }
        if let Some((chassis, _)) = &self.chassis {
            // A module uses the engines of its chassis, and its own digital lines.
            for number in 0..self
                .product
                .ports
                .iter()
                .map(|port| port.width)
                .sum::<u32>()
                .min(8)
            {
                add(format!("PFI{number}"));
            }
            let engines: &[&str] = &[
                "PFI0",
                "PFI1",
                "20MHzTimebase",
                "80MHzTimebase",
                "100kHzTimebase",
                "ai/SampleClock",
                "ai/StartTrigger",
                "ai/ReferenceTrigger",
                "ai/SampleClockTimebase",
                "di/SampleClock",
                "di/StartTrigger",
                "di/ReferenceTrigger",
            ];
            names.extend(engines.iter().map(|name| format!("/{chassis}/{name}")));
            return names;
        }
        let lines: u32 = self
            .product
            .ports
            .iter()
            .skip(1)
            .map(|port| port.width)
            .sum();
        for number in 0..lines.min(16) {
            add(format!("PFI{number}"));
        }
        if self.product.digital_trigger && self.product.category != category::USB {
            for number in 0..8 {
                add(format!("RTSI{number}"));
            }
            for number in 0..8 {
                add(format!("PXI_Trig{number}"));
            }
            if self.product.name.starts_with("PXI") {
                add("PXI_Clk10".to_owned());
                add("PXI_Star".to_owned());
            }
            if self.product.name.starts_with("PXIe") {
                for name in ["PXIe_Clk100", "PXIe_DStarA", "PXIe_DStarB"] {
                    add(name.to_owned());
                }
            }
        }
        if self.product.analog_trigger {
            for name in ["APFI0", "AnalogComparisonEvent"] {
                add(name.to_owned());
            }
        }
        if self.product.ai.is_some() {
            for name in [
                "SampleClock",
                "StartTrigger",
                "ReferenceTrigger",
                "SampleClockTimebase",
            ] {
                add(format!("ai/{name}"));
            }
            for name in [
                "10MHzRefClock",
                "20MHzTimebase",
                "100MHzTimebase",
                "100kHzTimebase",
            ] {
                add(name.to_owned());
            }
        }
        if self.product.ports.iter().any(|port| port.timed) {
            for name in ["SampleClock", "StartTrigger", "ReferenceTrigger"] {
                add(format!("di/{name}"));
            }
            for name in ["SampleClock", "StartTrigger"] {
                add(format!("do/{name}"));
            }
        }
        if analog_outputs(self.product).is_some() && self.product.category == category::X_SERIES {
            for name in ["SampleClock", "StartTrigger", "SampleClockTimebase"] {
                add(format!("ao/{name}"));
            }
        }
        for counter in 0..self.product.counters.map_or(0, |counters| counters.count) {
            for name in [
                "Gate",
                "Source",
                "Aux",
                "A",
                "B",
                "Z",
                "SampleClock",
                "InternalOutput",
            ] {
                add(format!("Ctr{counter}{name}"));
            }
        }
        names
    }

    /// The value of an attribute of a physical channel.
    pub(crate) fn get_physical(&self, physical: Physical, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::PhysicalChannel, id)?;
        let unsupported = || {
            Error::new(code::ATTRIBUTE_NOT_SUPPORTED)
                .with("Property", row.display())
                .with("Physical Channel", self.full_name(physical))
        };
        let port = match physical {
            Physical::Port(port) | Physical::Line(port, _) => {
                self.product.ports.get(port as usize).copied()
            }
            _ => None,
        };
        Ok(match (row.id, physical) {
            (0x2342, Physical::AnalogInput(index)) => Value::I32s(self.terminals(index)),
            (0x29A3, Physical::AnalogOutput(_)) => Value::I32s(vec![10083]),
            (0x2FD9, Physical::AnalogOutput(_)) => Value::I32s(vec![10322, 14750]),
            (0x304E, Physical::AnalogOutput(_)) => Value::I32s(vec![10322]),
            (0x2A1E, Physical::AnalogOutput(_)) => Value::Bool(false),
            (0x2FDB, Physical::Counter(_)) => Value::I32s(match self.product.counters {
                Some(counters) if counters.timed => vec![10119, 10269, 10268],
                _ => Vec::new(),
            }),
            (0x29A7, _) => match physical {
                Physical::Port(_) => Value::U32(port.ok_or_else(unsupported)?.width),
                Physical::Line(..) => Value::U32(1),
                _ => return Err(unsupported()),
            },
            (0x29A8, _) => Value::Bool(port.ok_or_else(unsupported)?.timed),
            (0x2FE1, _) => Value::I32s(if port.ok_or_else(unsupported)?.timed {
                vec![10178, 10123]
            } else {
                Vec::new()
            }),
            (0x2FD7, Physical::AnalogInput(_)) => {
                let inputs = self.product.ai.as_ref().ok_or_else(unsupported)?;
                Value::I32s(inputs.measurements.to_vec())
            }
            (0x29A4, _) => match physical {
                Physical::Port(_) => Value::U32(port.ok_or_else(unsupported)?.width),
                Physical::Line(..) => Value::U32(1),
                _ => return Err(unsupported()),
            },
            (0x29A5 | 0x29A6, _) => Value::Bool(port.ok_or_else(unsupported)?.timed),
            (0x2FE0, _) => Value::I32s(if port.ok_or_else(unsupported)?.timed {
                vec![10178, 10123]
            } else {
                Vec::new()
            }),
            (0x2FDA, Physical::Counter(_)) => Value::I32s(match self.product.counters {
                Some(counters) if counters.timed => crate::counter::MEASUREMENTS.to_vec(),
                _ => vec![crate::counter::COUNT_EDGES],
            }),
            _ => return Err(unsupported()),
        })
    }
}

/// Whether channels of these devices can be in one task: modules of one chassis, or boards of one
/// family whose clocks the driver can share.
pub(crate) fn share_a_task(devices: &[std::sync::Arc<Device>]) -> bool {
    let [first, others @ ..] = devices else {
        return true;
    };
    others
        .iter()
        .all(|other| match (&first.chassis, &other.chassis) {
            (Some((one, _)), Some((another, _))) => one == another,
            (None, None) => {
                first.product.bus != bus::USB
                    && other.product.bus == first.product.bus
                    && (first.product.name == other.product.name
                        || first.product.category == other.product.category
                            && matches!(
                                first.product.category,
                                category::X_SERIES | category::DSA | category::SC_EXPRESS
                            ))
            }
            _ => false,
        })
}

/// The analog engines that a task on this device needs for itself.
pub(crate) fn analog_engines(device: &Device) -> Vec<String> {
    let name = device.name.to_ascii_lowercase();
    match &device.chassis {
        // A chassis has three timing engines for analog inputs, and a module belongs to one task.
        Some((chassis, _)) => vec![
            format!("{name}/ai"),
            format!("{}/ai?3", chassis.to_ascii_lowercase()),
        ],
        None => vec![format!("{name}/ai")],
    }
}

/// `DAQmxResetDevice`: aborts the tasks that use the device, takes routes between its terminals away
/// and puts its outputs back to what they are after power-up.
pub(crate) fn reset(name: &str) -> Result<()> {
    let driver = crate::driver::driver();
    let device = driver.device(name)?;
    for task in driver.tasks() {
        if task.uses(&device.name) {
            task.abort(code::RUNTIME_ABORTED_ROUTING);
        }
    }
    driver.check_present(&device)?;
    crate::terminal::forget(Some(&device.name));
    crate::rest::power_up(&device);
    Ok(())
}
