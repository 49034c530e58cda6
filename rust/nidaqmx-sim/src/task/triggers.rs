//! The triggers of a task, and what goes wrong in it on demand.

use super::{Phase, State, Task};
use std::sync::Arc;

use crate::arrivals::{self, Gated, Open};
use crate::attribute::Value;
use crate::channel::channel_type;
use crate::counter::{Input, Moment};
use crate::counter_channel;
use crate::device::Physical;
use crate::digital::Lines;
use crate::driver::{Signals, driver};
use crate::error::{Error, Result, code};
use crate::fault::Fault;
use crate::names;
use crate::pace::Pace;
use crate::plan::{Kind, Plan, Source};
use crate::run::Expected;
use crate::signal::Signal;
use crate::timing::timing_type;
use crate::trigger::{self, Triggers};

impl Task {
    pub(crate) fn get_trigger(&self, id: i32) -> Result<Value> {
        const START_TRIGGER_TIMESTAMP: i32 = 0x314B;
        let mut state = self.state()?;
        if id != START_TRIGGER_TIMESTAMP {
            return state.triggers.get(id);
        }
        if !state.triggers.timestamp_enabled {
            return Err(Error::new(code::TIMESTAMP_NOT_ENABLED));
        }
        let (fraction, seconds) = Self::timestamp(&mut state)
            .ok_or_else(|| Error::new(code::TIMESTAMP_NOT_YET_RECEIVED))?;
        Ok(Value::Time(fraction, seconds))
    }

    /// Changes the triggers, all of it or nothing.
    pub(crate) fn set_trigger(
        &self,
        change: impl FnOnce(&mut Triggers) -> Result<()>,
    ) -> Result<()> {
        let mut state = self.state()?;
        if state.phase == Phase::Running {
            return Err(Error::new(code::CANNOT_SET_WHILE_RUNNING));
        }
        if state.channels.is_empty() {
            return Err(Error::new(code::NO_CHANS_IN_TASK));
        }
        let mut triggers = state.triggers.clone();
        change(&mut triggers)?;
        state.triggers = triggers;
        state.unverify();
        Ok(())
    }

    pub(crate) fn get_export(&self, id: i32) -> Result<Value> {
        self.state()?.exports.get(id)
    }

    /// Changes what the task exports, all of it or nothing.
    pub(crate) fn set_exports(
        &self,
        change: impl FnOnce(&mut crate::terminal::Exports) -> Result<()>,
    ) -> Result<()> {
        let mut state = self.state()?;
        if state.phase == Phase::Running {
            return Err(Error::new(code::CANNOT_SET_WHILE_RUNNING));
        }
        let family = state.family();
        let Some(channel) = state.channels.first() else {
            return Err(Error::new(code::NO_CHANS_IN_TASK));
        };
        let mut exports = state.exports.clone();
        change(&mut exports)?;
        exports.announce(self.handle, &channel.device, family, channel.physical);
        state.exports = exports;
        state.unverify();
        if state.phase >= Phase::Reserved {
            crate::terminal::hold(self.handle)?;
        }
        Ok(())
    }

    /// A trigger arrives, where the task waits for one from this source (or from any).
    pub(crate) fn triggered(&self, source: Option<&str>) -> bool {
        let mut guard = self.turn();
        let state = &mut *guard;
        if state.phase != Phase::Running {
            return false;
        }
        let fits = |known: &str, kind: i32| {
            kind != trigger::kind::NONE
                && source.is_none_or(|source| {
                    known
                        .trim_start_matches('/')
                        .eq_ignore_ascii_case(source.trim_start_matches('/'))
                })
        };
        let fits = fits(&state.triggers.arm_source, state.triggers.arm)
            || fits(&state.triggers.start_source, state.triggers.start)
            || fits(&state.triggers.reference_source, state.triggers.reference);
        if let Some(run) = state.run.as_mut().filter(|_| fits) {
            run.triggered();
        }
        self.changed.notify_all();
        fits
    }

    /// Gives a fault to the run that is under way; false where there is none.
    pub(crate) fn fault(&self, fault: &Fault) -> bool {
        let mut guard = self.turn();
        let state = &mut *guard;
        let Some(run) = state.run.as_mut().filter(|_| state.phase == Phase::Running) else {
            return false;
        };
        let mut fault = fault.clone();
        fault.after = fault.after.max(run.acquired());
        run.faults.push(fault);
        self.changed.notify_all();
        true
    }
}

/// When a run begins.
#[derive(Debug)]
pub(super) enum Start {
    /// So many nanoseconds after the start, with this sample of the signals.
    At {
        after: u64,
        shift: u64,
    },
    /// With the next start of another engine.
    With {
        engine: String,
    },
    Never,
}

/// The terminal that a signal comes from, as routes bring it to a terminal; in lower case.
pub(super) fn source_of(devices: &[Arc<crate::device::Device>], terminal: &str) -> String {
    let bare = terminal.trim().trim_start_matches('/').to_ascii_lowercase();
    let full = match devices.first() {
        Some(device) if !driver().has_terminal(&bare) => {
            format!("{}/{bare}", device.name.to_ascii_lowercase())
        }
        _ => bare.clone(),
    };
    crate::terminal::behind(&full).map_or(bare, |(source, _)| source)
}

/// Samples that are looked at for a trigger; all signals repeat themselves within fewer.
const LOOKED_AT: u64 = 1 << 20;

/// The lines of a digital pattern.
fn pattern_lines(source: &str, signals: &Signals) -> Result<Lines> {
    let mut lines = Vec::new();
    let mut waves = Vec::new();
    let mut signal = Signal::Sine;
    for name in names::expand(source)? {
        let (device, physical) = driver().physical(&name)?;
        let found = match physical {
            Physical::Line(port, line) => vec![(port, line)],
            Physical::Port(port) => (0..device.product.ports[port as usize].width)
                .map(|line| (port, line))
                .collect(),
            _ => {
                return Err(Error::new(code::INVALID_PHYS_CHAN_TYPE).with("Physical Channel", name));
            }
        };
        for (port, line) in found {
            let full = device.full_name(Physical::Line(port, line));
            signal = signals.of(&device.name, &full).clone();
            waves.push(counter_channel::at_line(&device, &full, signals));
            lines.push((port, line));
        }
    }
    Ok(Lines::new(lines, false, &signal, waves))
}

impl State {
    /// The source of the task's plan that is an analog trigger's channel.
    fn analog_source<'a>(&self, plan: &'a Plan, name: &str) -> Option<&'a Source> {
        let bare = name.trim().trim_start_matches('/');
        let place = self.channels.iter().position(|channel| {
            let physical = channel.device.full_name(channel.physical);
            channel.name.eq_ignore_ascii_case(bare) || physical.eq_ignore_ascii_case(bare)
        })?;
        let source = plan.sources.get(place)?;
        matches!(source.kind, Kind::Analog).then_some(source)
    }

    /// When a run that is started now begins, as its start trigger says.
    pub(super) fn find_start(&self, plan: &Plan, now: u64) -> Start {
        let triggers = &self.triggers;
        let source = triggers.start_source.trim();
        let at_once = Start::At { after: 0, shift: 0 };
        if triggers.arm != trigger::kind::NONE {
            let armed = self.find_edge(&triggers.arm_source, triggers.arms_rising(), now, 0);
            return match armed {
                Start::At { after, .. } if triggers.start == trigger::kind::DIGITAL_EDGE => {
                    self.find_edge(source, triggers.is_rising(true), now, after)
                }
                armed => armed,
            };
        }
        if triggers.start == trigger::kind::NONE {
            return at_once;
        }
        let rate = plan.pace.rate();
        let sample = |found: Option<u64>| match (found, rate) {
            (Some(shift), Some(rate)) => Start::At {
                after: rate.time_of(shift),
                shift,
            },
            _ => Start::Never,
        };
        match triggers.start {
            trigger::kind::DIGITAL_EDGE => self.find_edge(source, triggers.is_rising(true), now, 0),
            trigger::kind::DIGITAL_PATTERN => sample(self.find_pattern(plan, true, 0)),
            _ => match self.analog_source(plan, source) {
                None => at_once,
                Some(source) => sample(self.find_crossing(source, true, 0, 0)),
            },
        }
    }

    /// The first edge at a terminal, so long after the start.
    fn find_edge(&self, source: &str, rising: bool, now: u64, earliest: u64) -> Start {
        let at_once = Start::At {
            after: earliest,
            shift: 0,
        };
        let bare = source_of(&self.devices(), source);
        let engine = bare
            .strip_suffix("/starttrigger")
            .or_else(|| bare.strip_suffix("/sampleclock"));
        if let Some(engine) = engine
            && (engine.ends_with("/ai") || engine.ends_with("/di"))
        {
            return if self.engines().iter().any(|own| own == engine) {
                at_once
            } else {
                Start::With {
                    engine: engine.to_owned(),
                }
            };
        }
        match self.signal_at(source) {
            None => at_once,
            Some(input) => match arrivals::first_edge(&input, rising, now, earliest) {
                Some(after) => Start::At { after, shift: 0 },
                None => Start::Never,
            },
        }
    }

    /// Whether the arm start trigger fits the channels and the device.
    fn check_arm(&self) -> Result<()> {
        if self.triggers.arm == trigger::kind::NONE {
            return Ok(());
        }
        let counters = [channel_type::COUNTER_INPUT, channel_type::COUNTER_OUTPUT];
        if !counters.contains(&self.family()) {
            return Err(trigger::unsupported("DAQmx_ArmStartTrig_Type".to_owned()));
        }
        let source = self.triggers.arm_source.trim();
        let known = |device: &Arc<crate::device::Device>| {
            device.product.digital_trigger && device.has_terminal(source)
        };
        if self.devices().iter().any(known) {
            Ok(())
        } else {
            Err(Error::new(code::TRIGGER_SOURCE_INVALID)
                .with("Property", "DAQmx_DigEdge_ArmStartTrig_Src")
                .with("Source Terminal", source))
        }
    }

    /// Where the reference trigger of a run is, that begins with sample `shift` of the signals.
    pub(super) fn find_reference(&self, plan: &Plan, now: u64, shift: u64) -> Option<Expected> {
        let triggers = &self.triggers;
        let before = u64::from(triggers.before);
        let found = match triggers.reference {
            trigger::kind::DIGITAL_EDGE => {
                let input = self.signal_at(&triggers.reference_source)?;
                let earliest = plan.pace.time(now, before)?;
                arrivals::first_edge(&input, triggers.is_rising(false), now, earliest)
                    .map(|edge| plan.pace.count(now, edge).max(before))
            }
            trigger::kind::DIGITAL_PATTERN => self
                .find_pattern(plan, false, shift + before)
                .map(|sample| sample - shift),
            _ => {
                let source = self.analog_source(plan, &triggers.reference_source)?;
                self.find_crossing(source, false, shift, shift + before)
                    .map(|sample| sample - shift)
            }
        };
        Some(found.map_or(Expected::Never, Expected::Sample))
    }

    fn signal_at(&self, terminal: &str) -> Option<Input> {
        let signals = driver().signals();
        self.devices()
            .iter()
            .find_map(|device| counter_channel::at_terminal(device, terminal, &signals))
    }

    /// The first sample from `earliest` on at which the signal crosses as the trigger says.
    fn find_crossing(
        &self,
        source: &Source,
        start: bool,
        first: u64,
        earliest: u64,
    ) -> Option<u64> {
        let crossing = self.triggers.crossing(start)?;
        let mut armed = false;
        let mut values = [0.0; 1024];
        let mut index = first;
        while index < earliest.saturating_add(LOOKED_AT) {
            source.fill_f64(index, &mut values);
            for (offset, value) in (0u64..).zip(values) {
                if crossing.at(value, &mut armed) && index + offset >= earliest {
                    return Some(index + offset);
                }
            }
            index += values.len() as u64;
        }
        None
    }

    /// The first sample from `earliest` on at which the lines match as the trigger says.
    fn find_pattern(&self, plan: &Plan, start: bool, earliest: u64) -> Option<u64> {
        let source = if start {
            &self.triggers.start_source
        } else {
            &self.triggers.reference_source
        };
        let lines = pattern_lines(source, &driver().signals()).ok()?;
        let (pattern, wanted) = self.triggers.pattern(start);
        let rate = plan.pace.rate()?;
        (earliest..earliest.saturating_add(LOOKED_AT)).find(|index| {
            let moment = Moment {
                index: *index,
                at: rate.time_of(index + 1),
                implicit: false,
            };
            lines.matches(pattern, moment) == wanted
        })
    }

    /// The clock with the pauses that the pause trigger makes.
    pub(super) fn paused(&self, plan: &Plan) -> Result<Pace> {
        let pause = self.triggers.pause.clone();
        if pause.kind == trigger::kind::NONE {
            return Ok(plan.pace.clone());
        }
        if self.triggers.reference != trigger::kind::NONE {
            return Err(Error::new(code::REF_AND_PAUSE_TRIG));
        }
        if self.family() == channel_type::COUNTER_INPUT {
            return Err(Error::new(if plan.pace.on_demand() {
                code::PAUSE_TRIG_TYPE_AND_TIMING
            } else {
                code::COUNTER_PAUSE_AND_SAMPLE_CLOCK
            }));
        }
        let Pace::Clock(rate) = plan.pace else {
            return Err(Error::new(code::PAUSE_TRIG_TYPE_AND_TIMING)
                .with("Property", "DAQmx_PauseTrig_Type")
                .with("Requested Value", pause.kind));
        };
        let missing = || {
            Error::new(code::TRIGGER_SOURCE_INVALID).with("Source Terminal", pause.source.clone())
        };
        let (moves_on, open): (bool, Open) = match pause.kind {
            trigger::kind::DIGITAL_LEVEL => {
                if !self
                    .devices()
                    .iter()
                    .any(|device| device.has_terminal(&pause.source))
                {
                    return Err(missing());
                }
                let Some(input) = self.signal_at(&pause.source) else {
                    // Nothing is there that could pause.
                    return Ok(plan.pace.clone());
                };
                let stops = pause.stops_when();
                (
                    false,
                    Box::new(move |_, time| input.wave.level(time) != stops),
                )
            }
            trigger::kind::DIGITAL_PATTERN => {
                let lines = pattern_lines(&pause.source, &driver().signals())?;
                if lines.lines.len() != pause.pattern.len() {
                    return Err(
                        Error::new(code::PAUSE_TRIG_PATTERN_SIZE).with("Pattern", &pause.pattern)
                    );
                }
                let open = move |index, at| {
                    let moment = Moment {
                        index,
                        at,
                        implicit: false,
                    };
                    lines.matches(&pause.pattern, moment) != pause.stops_when()
                };
                (true, Box::new(open))
            }
            _ => {
                let source = self
                    .analog_source(plan, &pause.source)
                    .ok_or_else(missing)?;
                let source = source.clone();
                let open = move |tick, _| {
                    let mut value = [0.0];
                    source.fill_f64(tick, &mut value);
                    !pause.stops(value[0])
                };
                (true, Box::new(open))
            }
        };
        Ok(Pace::Arrivals(Arc::new(Gated::new(rate, moves_on, open))))
    }

    fn check_pattern_trigger(&self, source: &str, start: bool) -> Result<()> {
        let lines = pattern_lines(source, &driver().signals())?;
        let (pattern, _) = self.triggers.pattern(start);
        if lines.lines.is_empty() || lines.lines.len() != pattern.chars().count() {
            return Err(Error::new(if start {
                code::START_TRIG_PATTERN_SIZE
            } else {
                code::REF_TRIG_PATTERN_SIZE
            })
            .with("Pattern", pattern)
            .with("Number of Lines", lines.lines.len()));
        }
        if self.family() != channel_type::DIGITAL_INPUT {
            return Err(Error::new(code::START_TRIG_PATTERN_CHAN_NOT_IN_TASK)
                .with("Source Terminal", source));
        }
        Ok(())
    }

    /// Whether the triggers fit the device and the timing.
    pub(super) fn check_triggers(&self, clocked: bool, total: Option<u64>) -> Result<()> {
        self.check_arm()?;
        let sources = [
            (self.triggers.start, &self.triggers.start_source),
            (self.triggers.reference, &self.triggers.reference_source),
        ];
        for (kind, source) in sources {
            if kind == trigger::kind::NONE {
                continue;
            }
            if !clocked {
                return Err(Error::value("DAQmx_SampTimingType", timing_type::ON_DEMAND));
            }
            if kind == trigger::kind::DIGITAL_PATTERN {
                let start = std::ptr::eq(source, &self.triggers.start_source);
                self.check_pattern_trigger(source, start)?;
                continue;
            }
            let bare = source.trim_start_matches('/');
            let devices = self.devices();
            let analog = kind != trigger::kind::DIGITAL_EDGE;
            let known = devices.iter().any(|device| {
                let supported = if analog {
                    device.product.analog_trigger
                } else {
                    device.product.digital_trigger
                };
                supported
                    && device.terminal_names().iter().any(|name| {
                        let name = name.trim_start_matches('/');
                        name.eq_ignore_ascii_case(bare)
                            || name
                                .split_once('/')
                                .is_some_and(|(_, short)| short.eq_ignore_ascii_case(bare))
                    })
            });
            let channel = analog
                && self.channels.iter().any(|channel| {
                    channel.device.product.analog_trigger
                        && (channel.name.eq_ignore_ascii_case(bare)
                            || channel
                                .device
                                .full_name(channel.physical)
                                .eq_ignore_ascii_case(bare))
                });
            // Boards of one chassis wait for each other's start.
            let other = !analog
                && bare.to_ascii_lowercase().ends_with("/starttrigger")
                && driver().has_terminal(bare)
                && devices.iter().all(|one| one.on_backplane())
                && bare
                    .split_once('/')
                    .and_then(|(name, _)| driver().device(name).ok())
                    .is_some_and(|one| one.on_backplane());
            if !known && !channel && !other {
                return Err(
                    Error::new(code::TRIGGER_SOURCE_INVALID).with("Source Terminal", source)
                );
            }
        }
        if self.triggers.reference != trigger::kind::NONE {
            let before = u64::from(self.triggers.before);
            if total.is_none_or(|total| before + 2 > total) {
                return Err(Error::value("DAQmx_RefTrig_PretrigSamples", before)
                    .with("Property", "DAQmx_SampQuant_SampPerChan")
                    .with("Corresponding Value", self.timing.samples));
            }
        }
        Ok(())
    }
}
