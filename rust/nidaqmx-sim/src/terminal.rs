//! Routes between terminals: those that a program connects, and signals that tasks export.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use crate::attribute::{self, Object, Value};
use crate::channel::channel_type;
use crate::counter::Input;
use crate::device::{Device, Physical};
use crate::driver::{driver, lock};
use crate::error::{Error, Result, code};
use crate::wave::Wave;

/// One route. Names are in lower case, without the slash in front.
#[derive(Debug, Clone)]
struct Route {
    source: String,
    destination: String,
    inverted: bool,
    /// The task that exports the signal; `None` where the program connected the terminals.
    owner: Option<usize>,
    /// Whether that task has its resources now.
    held: bool,
}

fn routes() -> &'static Mutex<Vec<Route>> {
    static ROUTES: OnceLock<Mutex<Vec<Route>>> = OnceLock::new();
    ROUTES.get_or_init(Mutex::default)
}

fn key(name: &str) -> String {
    name.trim().trim_start_matches('/').to_ascii_lowercase()
}

/// The device of a terminal's full name.
fn device_of(terminal: &str) -> Option<Arc<Device>> {
    let bare = terminal.trim().trim_start_matches('/');
    let (device, _) = bare.split_once('/')?;
    let device = driver().device(device).ok()?;
    device.has_terminal(bare).then_some(device)
}

/// Whether signals can be put out at a terminal: it is a pin or a line of the trigger bus.
fn is_pin(terminal: &str) -> bool {
    let name = key(terminal);
    let short = name.split_once('/').map_or("", |(_, short)| short);
    ["pfi", "rtsi", "pxi_trig"].iter().any(|start| {
        short
            .strip_prefix(start)
            .is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

/// `DAQmxConnectTerms`.
pub(crate) fn connect(source: &str, destination: &str, modifier: i32) -> Result<()> {
    let named = |number: i32| {
        Error::new(number)
            .with("Source Terminal", source.trim())
            .with("Destination Terminal", destination.trim())
    };
    if !matches!(modifier, 0 | 1) {
        return Err(named(code::INVALID_SIGNAL_MODIFIER).with("Requested Value", modifier));
    }
    let from = device_of(source).ok_or_else(|| named(code::TRIGGER_SOURCE_INVALID))?;
    let to = device_of(destination).ok_or_else(|| named(code::ROUTE_DESTINATION_INVALID))?;
    driver().check_present(&from)?;
    driver().check_present(&to)?;
    if key(source) == key(destination) {
        return Err(named(code::ROUTE_TO_ITSELF));
    }
    if from.name != to.name {
        return Err(named(code::NO_TRIGGER_LINE));
    }
    if !is_pin(destination) {
        return Err(named(code::ROUTE_NOT_SUPPORTED));
    }
    let wanted = Route {
        source: key(source),
        destination: key(destination),
        inverted: modifier == 1,
        owner: None,
        held: true,
    };
    let mut routes = lock(routes());
    for known in routes.iter().filter(|known| known.held) {
        if known.destination != wanted.destination {
            continue;
        }
        if known.owner.is_some() || known.source != wanted.source {
            return Err(named(code::ROUTE_IN_USE));
        }
        if known.inverted != wanted.inverted {
            return Err(named(code::INVERSION_IN_USE));
        }
        // The route is there already.
        return Ok(());
    }
    routes.push(wanted);
    drop(routes);
    driver().changed_signals();
    Ok(())
}

/// `DAQmxDisconnectTerms`. Where there is no such route, nothing happens.
pub(crate) fn disconnect(source: &str, destination: &str) -> Result<()> {
    if device_of(source).is_none() {
        return Err(Error::new(code::TRIGGER_SOURCE_INVALID).with("Source Terminal", source.trim()));
    }
    if device_of(destination).is_none() {
        return Err(Error::new(code::ROUTE_DESTINATION_INVALID)
            .with("Destination Terminal", destination.trim()));
    }
    let (source, destination) = (key(source), key(destination));
    lock(routes()).retain(|route| {
        route.owner.is_some() || route.source != source || route.destination != destination
    });
    driver().changed_signals();
    Ok(())
}

/// `DAQmxTristateOutputTerm`: nothing is put out at the terminal any more.
pub(crate) fn tristate(terminal: &str) -> Result<()> {
    let named = |number: i32| Error::new(number).with("Terminal", terminal.trim());
    device_of(terminal).ok_or_else(|| named(code::INVALID_TERMINAL))?;
    if !is_pin(terminal) {
        return Err(named(code::CANNOT_TRISTATE));
    }
    let name = key(terminal);
    let mut routes = lock(routes());
    if routes
        .iter()
        .any(|route| route.destination == name && route.owner.is_some() && route.held)
    {
        return Err(named(code::CANNOT_TRISTATE_BUSY));
    }
    routes.retain(|route| route.destination != name || route.owner.is_some());
    drop(routes);
    driver().drive(&name, None);
    driver().changed_signals();
    Ok(())
}

/// Takes the program's routes away: those of one device, or all.
pub(crate) fn forget(device: Option<&str>) {
    let prefix = device.map(|device| format!("{}/", key(device)));
    lock(routes()).retain(|route| match &prefix {
        None => false,
        Some(prefix) => route.owner.is_some() || !route.destination.starts_with(prefix),
    });
}

/// Where a terminal's signal comes from, in lower case, and whether it is inverted on its way.
pub(crate) fn behind(terminal: &str) -> Option<(String, bool)> {
    let routes = lock(routes());
    let (mut name, mut inverted) = (key(terminal), false);
    // Each step takes another route, so that a circle ends as well.
    for step in 0..=routes.len() {
        let into = |held: bool| {
            let name = &name;
            routes
                .iter()
                .find(move |route| route.destination == *name && route.held == held)
        };
        match into(true).or_else(|| into(false)) {
            Some(route) => {
                name.clone_from(&route.source);
                inverted ^= route.inverted;
            }
            None => return (step > 0).then_some((name, inverted)),
        }
    }
    None
}

/// The signal that a route brings, turned over where the route does that.
pub(crate) fn turned(input: Input, inverted: bool) -> Input {
    if !inverted {
        return input;
    }
    Input {
        wave: Arc::new(Inverted(input.wave)),
        absolute: input.absolute,
    }
}

/// A signal turned over.
#[derive(Debug)]
struct Inverted(Arc<dyn Wave>);

impl Wave for Inverted {
    fn level(&self, at: u64) -> bool {
        !self.0.level(at)
    }

    fn edges(&self, rising: bool, at: u64) -> u64 {
        self.0.edges(!rising, at)
    }

    fn edge(&self, rising: bool, number: u64) -> Option<u64> {
        self.0.edge(!rising, number)
    }
}

/// How long the pulses of clocks and triggers are, in nanoseconds.
const PULSE: u64 = 25;

/// What an engine puts out: a pulse for each sample, or one for each start. By the clock's time.
#[derive(Debug)]
struct Pulsing {
    engine: String,
    starts: bool,
}

impl Pulsing {
    fn count(&self, at: u64) -> u64 {
        driver().engine(&self.engine, |engine| match self.starts {
            true => engine.starts(at),
            false => engine.samples(at),
        })
    }
}

impl Wave for Pulsing {
    fn level(&self, at: u64) -> bool {
        self.count(at) > at.checked_sub(PULSE).map_or(0, |at| self.count(at))
    }

    fn edges(&self, rising: bool, at: u64) -> u64 {
        match rising {
            true => self.count(at),
            false => at.checked_sub(PULSE).map_or(0, |at| self.count(at)),
        }
    }

    fn edge(&self, rising: bool, number: u64) -> Option<u64> {
        let time = driver().engine(&self.engine, |engine| match self.starts {
            true => engine.start(number),
            false => engine.time(number + 1),
        })?;
        Some(if rising { time } else { time + PULSE })
    }
}

/// What an engine puts at a terminal of its own, like `dev1/ai/SampleClock`.
pub(crate) fn of_engine(terminal: &str) -> Option<Input> {
    let name = key(terminal);
    let (engine, starts) = match name.strip_suffix("/sampleclock") {
        Some(engine) => (engine, false),
        None => (name.strip_suffix("/starttrigger")?, true),
    };
    matches!(engine.rsplit_once('/')?.1, "ai" | "di").then(|| Input {
        wave: Arc::new(Pulsing {
            engine: engine.to_owned(),
            starts,
        }),
        absolute: true,
    })
}

/// The signals that `DAQmxExportSignal` knows, and the attributes for their terminals.
const SIGNALS: [(i32, u32); 12] = [
    (12484, 0x1687),
    (12536, 0x226E),
    (12486, 0x1657),
    (12487, 0x1663),
    (12488, 0x1645),
    (12490, 0x590),
    (12491, 0x584),
    (12492, 0x1651),
    (12493, 0x18ED),
    (12494, 0x1717),
    (12511, 0x2197),
    (12512, 0x21AA),
];

const ACTIVE_HIGH: i32 = 10095;
const ACTIVE_LOW: i32 = 10096;
const PULSES: i32 = 10265;
const TOGGLES: i32 = 10307;
const LEVEL: i32 = 10210;
const LOW: i32 = 10214;
const HIGH: i32 = 10192;

/// The values that an attribute of exported signals takes, its default first.
fn choices(id: u32) -> Option<&'static [i32]> {
    Some(match id {
        0x585 | 0x591 | 0x1664 | 0x1718 | 0x1616 | 0x2303 => &[ACTIVE_HIGH, ACTIVE_LOW],
        0x174F => &[PULSES, TOGGLES],
        0x186B => &[PULSES, LEVEL],
        0x186A => &[LOW, HIGH],
        _ => return None,
    })
}

/// What a task exports.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exports(BTreeMap<u32, Value>);

impl Exports {
    pub(crate) fn get(&self, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::ExportSignal, id)?;
        if let Some(value) = self.0.get(&row.id) {
            return Ok(value.clone());
        }
        if let Some(values) = choices(row.id) {
            return Ok(Value::I32(values[0]));
        }
        if SIGNALS.iter().any(|(_, terminal)| *terminal == row.id) {
            return Ok(Value::text(""));
        }
        Err(unsupported(row.display()))
    }

    pub(crate) fn set(&mut self, id: i32, value: &Value) -> Result<()> {
        let row = attribute::writable(Object::ExportSignal, id)?;
        if let Some(values) = choices(row.id) {
            if !values.contains(&value.as_i32()) {
                return Err(Error::value(&row.display(), value.display()));
            }
        } else if SIGNALS.iter().any(|(_, terminal)| *terminal == row.id) {
            for one in terminals(value.as_str()) {
                let named = |number: i32| {
                    Error::new(number)
                        .with("Property", row.display())
                        .with("Destination Terminal", one)
                };
                device_of(one).ok_or_else(|| named(code::ROUTE_DESTINATION_INVALID))?;
                if !is_pin(one) {
                    return Err(named(code::ROUTE_NOT_SUPPORTED));
                }
            }
        } else {
            return Err(unsupported(row.display()));
        }
        self.0.insert(row.id, value.clone());
        Ok(())
    }

    pub(crate) fn reset(&mut self, id: i32) -> Result<()> {
        let row = attribute::resettable(Object::ExportSignal, id)?;
        self.get(id)?;
        self.0.remove(&row.id);
        Ok(())
    }

    /// `DAQmxExportSignal`.
    pub(crate) fn export(&mut self, signal: i32, output: &str) -> Result<()> {
        let found = SIGNALS.iter().find(|(known, _)| *known == signal);
        let (_, id) = found.ok_or_else(|| Error::value("DAQmx_Signal", signal))?;
        self.set(*id as i32, &Value::text(output))
    }

    /// The routes that the exports of a task make, by its first channel's device and what it does.
    fn routes(&self, owner: usize, device: &Device, kind: i32, physical: Physical) -> Vec<Route> {
        let engine = match kind {
            channel_type::ANALOG_INPUT => "ai",
            channel_type::DIGITAL_INPUT => "di",
            channel_type::ANALOG_OUTPUT => "ao",
            channel_type::DIGITAL_OUTPUT => "do",
            _ => "",
        };
        let name = device.clock_owner();
        let mut all = Vec::new();
        for (id, value) in &self.0 {
            let (source, polarity) = match (*id, physical) {
                (0x1663, _) => (format!("{name}/{engine}/SampleClock"), 0x1664),
                (0x584, _) => (format!("{name}/{engine}/StartTrigger"), 0x585),
                (0x1717, Physical::Counter(number)) => {
                    (format!("{name}/Ctr{number}InternalOutput"), 0x1718)
                }
                (0x1657, _) => (format!("{name}/20MHzTimebase"), 0),
                (0x226E, _) => (format!("{name}/10MHzRefClock"), 0),
                // The others are noted and put nothing out.
                _ => continue,
            };
            let inverted = self
                .0
                .get(&polarity)
                .is_some_and(|value| value.as_i32() == ACTIVE_LOW);
            all.extend(terminals(value.as_str()).map(|terminal| Route {
                source: key(&source),
                destination: key(terminal),
                inverted,
                owner: Some(owner),
                held: false,
            }));
        }
        all
    }

    /// Makes the routes known to tasks that wait for these signals.
    pub(crate) fn announce(&self, owner: usize, device: &Device, kind: i32, physical: Physical) {
        let new = self.routes(owner, device, kind, physical);
        let mut routes = lock(routes());
        routes.retain(|route| route.owner != Some(owner));
        routes.extend(new);
        drop(routes);
        driver().changed_signals();
    }
}

fn terminals(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|one| !one.is_empty())
}

fn unsupported(property: String) -> Error {
    Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK).with("Property", property)
}

/// Takes the terminals of a task's exports, all or none.
pub(crate) fn hold(owner: usize) -> Result<()> {
    let mut routes = lock(routes());
    let busy = routes.iter().find(|route| {
        route.owner == Some(owner)
            && routes.iter().any(|other| {
                other.held && other.owner != Some(owner) && other.destination == route.destination
            })
    });
    if let Some(route) = busy {
        return Err(Error::new(code::ROUTE_IN_USE_IN_TASK)
            .with("Source Terminal", format!("/{}", route.source))
            .with("Destination Terminal", format!("/{}", route.destination)));
    }
    for route in routes.iter_mut().filter(|route| route.owner == Some(owner)) {
        route.held = true;
    }
    Ok(())
}

/// Gives the terminals of a task's exports free.
pub(crate) fn release(owner: usize) {
    for route in lock(routes())
        .iter_mut()
        .filter(|route| route.owner == Some(owner))
    {
        route.held = false;
    }
}

/// A task is gone, and its exports with it.
pub(crate) fn withdraw(owner: usize) {
    lock(routes()).retain(|route| route.owner != Some(owner));
}
