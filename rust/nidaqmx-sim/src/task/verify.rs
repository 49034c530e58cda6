//! Verifying a task: everything checked together, and what a run needs fixed in a plan.

use std::sync::Arc;

use super::{Phase, State};
use crate::arrivals::{Changes, Edges, Shared};
use crate::channel::channel_type;
use crate::clock::Rate;
use crate::counter::Input;
use crate::counter_channel;
use crate::device::{Device, Physical};
use crate::digital::counting;
use crate::driver::driver;
use crate::error::{Error, Result, code};
use crate::event;
use crate::names;
use crate::output::is_output;
use crate::pace::{Arrivals, Pace};
use crate::plan::{Kind, Plan, Source};
use crate::timing::{ClockLimits, default_buffer, mode, timing_type};

impl State {
    /// What the clocks of the task's devices have in common.
    pub(super) fn clock_limits(&self) -> Option<ClockLimits> {
        let mut common: Option<ClockLimits> = None;
        for device in self.devices() {
            // Inputs that several channels share are converted once.
            let mut inputs: Vec<_> = self
                .channels
                .iter()
                .flat_map(|channel| std::iter::once(channel).chain(&channel.partners))
                .filter(|channel| channel.device.name == device.name)
                .map(|channel| channel.physical)
                .collect();
            if self
                .channels
                .iter()
                .any(|channel| !channel.partners.is_empty())
            {
                let mut seen = Vec::new();
                inputs.retain(|one| !seen.contains(one) && (seen.push(*one), true).1);
            }
            let count = inputs.len();
            let limits = match self.family() {
                channel_type::DIGITAL_INPUT => ClockLimits::digital(&device)?,
                channel_type::COUNTER_INPUT => ClockLimits::counter(&device)?,
                family if is_output(family) => Self::output_limits(family, &device, count)?,
                _ => ClockLimits::analog(&device, count)?,
            };
            common = Some(match common {
                None => limits,
                // An oscillator of a module's own cannot follow the others: they follow it.
                Some(common) => ClockLimits {
                    timebase: if limits.step > common.step {
                        limits.timebase
                    } else {
                        common.timebase
                    },
                    step: common.step.max(limits.step),
                    min_divisor: if limits.step > common.step {
                        limits.min_divisor
                    } else {
                        common.min_divisor
                    },
                    slowest: common.slowest.max(limits.slowest),
                    fastest_single: common.fastest_single.min(limits.fastest_single),
                    fastest: common.fastest.min(limits.fastest),
                },
            });
        }
        common
    }

    /// The engines of devices that the task needs for itself.
    pub(super) fn resources(&self, clocked: bool) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for channel in &self.channels {
            let device = channel.device.name.to_ascii_lowercase();
            if is_output(self.family()) {
                Self::output_resources(channel, clocked, &mut all);
                continue;
            }
            if let Physical::AnalogInput(_) = channel.physical {
                for one in std::iter::once(channel).chain(&channel.partners) {
                    for engine in crate::device::analog_engines(&one.device) {
                        if !all.contains(&engine) {
                            all.push(engine);
                        }
                    }
                }
                continue;
            }
            let engine = match channel.physical {
                Physical::AnalogInput(_) | Physical::AnalogOutput(_) => continue,
                Physical::Counter(number) => format!("{device}/ctr{number}"),
                // On demand, any number of tasks can read the same lines.
                Physical::Port(_) | Physical::Line(..) if !clocked => continue,
                Physical::Port(_) | Physical::Line(..) => format!("{device}/di"),
            };
            if !all.contains(&engine) {
                all.push(engine);
            }
            if let Some(partner) = counter_channel::partner(channel) {
                all.push(format!("{device}/ctr{partner}"));
            }
        }
        all
    }

    /// The rate as the clock makes it; `None` on demand.
    pub(super) fn sample_rate(&self) -> Result<Option<Rate>> {
        if self.timing.kind != timing_type::SAMPLE_CLOCK {
            return Ok(None);
        }
        let limits = self
            .clock_limits()
            .ok_or_else(|| Error::new(code::NO_CHANS_IN_TASK))?;
        let rate = limits.coerce(self.timing.rate)?;
        // A clock from outside comes as fast as the program says it does.
        Ok(Some(if self.timing.onboard() {
            rate
        } else {
            Rate::from_hertz(self.timing.rate)
        }))
    }

    pub(super) fn buffer_size(&self) -> u64 {
        if let Some(size) = self.buffer {
            return u64::from(size);
        }
        match (self.timing.kind, self.timing.mode) {
            (timing_type::ON_DEMAND, _) => 0,
            (_, mode::FINITE) if !self.retriggered() => self.timing.samples,
            (timing_type::SAMPLE_CLOCK, _) => {
                let rate = self.sample_rate().ok().flatten();
                default_buffer(
                    Some(rate.map_or(self.timing.rate, Rate::hertz)),
                    self.timing.samples,
                )
            }
            _ => default_buffer(None, self.timing.samples),
        }
    }

    /// What makes samples come, for a plan that has everything else.
    fn pace(&self, plan: &Plan) -> Result<Pace> {
        let refused = |possible: &str| {
            Error::value("DAQmx_SampTimingType", self.timing.kind).with("You Can Select", possible)
        };
        let counters = self.family() == channel_type::COUNTER_INPUT;
        if counters && !plan.pace.on_demand() && plan.sources.len() > 1 {
            return Err(Error::new(code::MULTIPLE_BUFFERED_COUNTERS));
        }
        match self.timing.kind {
            timing_type::IMPLICIT => {
                if !counters {
                    return Err(refused("DAQmx_Val_SampClk, DAQmx_Val_OnDemand"));
                }
                let every = |source: &Source| match &source.kind {
                    Kind::Counter(counter) => counter.is_interval(),
                    _ => false,
                };
                if !plan.sources.iter().all(every) {
                    return Err(refused("DAQmx_Val_SampClk, DAQmx_Val_OnDemand"));
                }
                if plan.sources.len() > 1 {
                    return Err(Error::new(code::MULTIPLE_BUFFERED_COUNTERS));
                }
                Ok(plan.implicit())
            }
            timing_type::CHANGE_DETECTION => self.changes().map(Pace::Arrivals),
            timing_type::SAMPLE_CLOCK => self.clock(plan),
            timing_type::ON_DEMAND => Ok(Pace::OnDemand),
            _ => Err(refused(match self.family() {
                channel_type::DIGITAL_INPUT => {
                    "DAQmx_Val_SampClk, DAQmx_Val_OnDemand, DAQmx_Val_ChangeDetection"
                }
                channel_type::COUNTER_INPUT => {
                    "DAQmx_Val_SampClk, DAQmx_Val_OnDemand, DAQmx_Val_Implicit"
                }
                _ => "DAQmx_Val_SampClk, DAQmx_Val_OnDemand",
            })),
        }
    }

    /// Samples per channel that the memory of every device of the task holds.
    fn fifo(&self) -> u64 {
        let of = |device: &crate::device::Device| {
            let count = self
                .channels
                .iter()
                .filter(|channel| channel.device.name == device.name)
                .count()
                .max(1) as u64;
            let all = device
                .product
                .ai
                .as_ref()
                .map_or(2047, |ai| u64::from(ai.fifo));
            (all / count).max(1)
        };
        let devices = self.devices();
        devices.iter().map(|one| of(one)).min().unwrap_or(1)
    }

    /// The changes that the task's timing looks for.
    fn changes(&self) -> Result<Arc<dyn Arrivals>> {
        if self.family() != channel_type::DIGITAL_INPUT {
            return Err(Error::value("DAQmx_SampTimingType", self.timing.kind)
                .with("You Can Select", "DAQmx_Val_SampClk, DAQmx_Val_OnDemand"));
        }
        type Watched = (Arc<Device>, (u32, u32), [bool; 2]);
        let mut lines: Vec<Watched> = Vec::new();
        for (direction, list) in self.timing.changes.iter().enumerate() {
            for name in names::expand(list)? {
                let (device, physical) = driver().physical(&name)?;
                let found = match physical {
                    Physical::Line(port, line) => vec![(port, line)],
                    Physical::Port(port) => {
                        let width = device.product.ports[port as usize].width;
                        (0..width).map(|line| (port, line)).collect()
                    }
                    _ => {
                        return Err(
                            Error::new(code::INVALID_PHYS_CHAN_TYPE).with("Physical Channel", name)
                        );
                    }
                };
                for line in found {
                    let mine = self.channels.iter().any(|channel| {
                        channel.device.name == device.name && channel.lines.contains(&line)
                    });
                    if !mine {
                        return Err(Error::new(code::CHANGE_DETECTION_CHAN_NOT_IN_TASK)
                            .with("Physical Channel", &name));
                    }
                    if !device.product.ports[line.0 as usize].timed {
                        return Err(Error::new(code::NO_CHANGE_DETECTION_ON_LINE)
                            .with("Physical Channel", &name));
                    }
                    let known = lines
                        .iter_mut()
                        .find(|(one, known, _)| one.name == device.name && *known == line);
                    match known {
                        Some((.., directions)) => directions[direction] = true,
                        None => {
                            let mut directions = [false; 2];
                            directions[direction] = true;
                            lines.push((Arc::clone(&device), line, directions));
                        }
                    }
                }
            }
        }
        let Some((device, ..)) = lines.first() else {
            return Err(Error::new(code::NO_CHANS_FOR_CHANGE_DETECT));
        };
        let needs = (1e9 / device.product.di_max_rate.max(1.0)) as u64;
        let signals = driver().signals();
        let watched = lines
            .iter()
            .map(|(device, (port, line), directions)| {
                let name = device.full_name(Physical::Line(*port, *line));
                let input = counter_channel::at_line(device, &name, &signals);
                let input = input.unwrap_or_else(|| Input {
                    wave: counting(*line),
                    absolute: false,
                });
                (input, directions[0], directions[1])
            })
            .collect();
        Ok(Arc::new(Changes::new(watched, needs)))
    }

    /// The sample clock: the device's own, that of another task, or a signal at a terminal.
    fn clock(&self, plan: &Plan) -> Result<Pace> {
        let Pace::Clock(rate) = &plan.pace else {
            return Ok(plan.pace.clone());
        };
        let rate = *rate;
        if self.timing.onboard() {
            return Ok(Pace::Clock(rate));
        }
        let source = super::triggers::source_of(&self.devices(), &self.timing.source);
        if let Some(engine) = source.strip_suffix("/sampleclock")
            && (engine.ends_with("/ai") || engine.ends_with("/di"))
        {
            return Ok(if self.engines().iter().any(|own| own == engine) {
                Pace::Clock(rate)
            } else {
                Pace::Arrivals(Arc::new(Shared {
                    engine: engine.to_owned(),
                    stated: rate,
                }))
            });
        }
        let signals = driver().signals();
        let input = self
            .devices()
            .iter()
            .find_map(|device| counter_channel::at_terminal(device, &self.timing.source, &signals));
        if let Some(input) = input {
            return Ok(Pace::Arrivals(Arc::new(Edges {
                input,
                rising: self.timing.edge == crate::timing::EDGE_RISING,
                stated: rate,
            })));
        }
        let source = self.timing.source.trim();
        let known = source.is_empty()
            || source.eq_ignore_ascii_case("OnboardClock")
            || driver().has_terminal(source)
            || self
                .devices()
                .iter()
                .any(|device| device.has_terminal(source));
        if !known {
            return Err(Error::new(code::TRIGGER_SOURCE_INVALID)
                .with("Property", "DAQmx_SampClk_Src")
                .with("Source Terminal", source));
        }
        Ok(Pace::Clock(rate))
    }

    /// Whether the devices have the reference clock that the task asks for.
    fn check_reference_clock(&self) -> Result<()> {
        let source = self.timing.reference_source();
        if source.eq_ignore_ascii_case("None") {
            return Ok(());
        }
        for device in self.devices() {
            if !device.has_reference_clock() {
                return Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK)
                    .with("Property", "DAQmx_RefClk_Src")
                    .with("Device", &device.name));
            }
            let known = source.eq_ignore_ascii_case("OnboardClock") || device.has_terminal(source);
            if !known {
                return Err(Error::new(code::TRIGGER_SOURCE_INVALID)
                    .with("Property", "DAQmx_RefClk_Src")
                    .with("Source Terminal", source));
            }
        }
        Ok(())
    }

    /// The engines whose sample clock is this task's, like `dev1/ai`.
    pub(super) fn engines(&self) -> Vec<String> {
        let kind = match self.family() {
            channel_type::ANALOG_INPUT => "ai",
            channel_type::DIGITAL_INPUT => "di",
            _ => return Vec::new(),
        };
        let mut engines = Vec::new();
        for device in self.devices() {
            engines.push(format!("{}/{kind}", device.name.to_ascii_lowercase()));
            if let Some((chassis, _)) = &device.chassis {
                engines.push(format!("{}/{kind}", chassis.to_ascii_lowercase()));
            }
        }
        engines.sort();
        engines.dedup();
        engines
    }

    /// Checks everything together and fixes what a run needs.
    pub(super) fn verify(&mut self) -> Result<Arc<Plan>> {
        if self.channels.is_empty() {
            return Err(Error::new(code::NO_CHANS_IN_TASK));
        }
        let signals = driver().signals();
        if let Some(plan) = &self.plan
            && plan.signals == signals.version
        {
            self.phase = self.phase.max(Phase::Verified);
            return Ok(Arc::clone(plan));
        }
        if !crate::device::share_a_task(&self.devices()) {
            return Err(Error::new(code::MULTI_DEVS_IN_TASK));
        }
        if is_output(self.family()) {
            return self.verify_output();
        }
        let rate = self.sample_rate()?;
        let clocked = self.timing.kind != timing_type::ON_DEMAND;
        let finite = clocked && self.timing.mode == mode::FINITE && !self.retriggered();
        let total = finite.then_some(self.timing.samples);
        if self.events.every.is_some() && !clocked {
            return Err(Error::new(code::EVERY_N_NOT_FOR_UNBUFFERED));
        }
        if let Some((event::CHANGE_DETECTED, _)) = self.events.signal
            && self.timing.kind != timing_type::CHANGE_DETECTION
        {
            return Err(Error::new(code::SIGNAL_EVENT_NOT_SUPPORTED)
                .with("Requested Value", event::CHANGE_DETECTED));
        }
        self.check_triggers(clocked, total)?;
        self.check_reference_clock()?;
        let buffer = self.buffer_size();
        if clocked && buffer == 0 {
            return Err(Error::value("DAQmx_Buf_Input_BufSize", 0).with("Minimum Value", 1));
        }
        if total.is_some_and(|total| buffer < total) {
            return Err(Error::value("DAQmx_Buf_Input_BufSize", buffer)
                .with("Minimum Value", self.timing.samples)
                .with("Property", "DAQmx_SampQuant_SampPerChan")
                .with("Corresponding Value", self.timing.samples));
        }
        let sources = self
            .channels
            .iter()
            .map(|channel| channel.source(&signals))
            .collect::<Result<Vec<_>>>()?;
        let untimed = self.channels.iter().find(|channel| {
            let ports = channel.device.product.ports;
            channel
                .lines
                .iter()
                .any(|(port, _)| ports.get(*port as usize).is_some_and(|port| !port.timed))
        });
        if let Some(channel) = untimed.filter(|_| clocked) {
            return Err(Error::value("DAQmx_SampTimingType", self.timing.kind)
                .with("You Can Select", "DAQmx_Val_OnDemand")
                .with("Channel Name", &channel.name));
        }
        let resources = self.resources(clocked);
        let mut plan = Plan {
            pace: rate.map_or(Pace::OnDemand, Pace::Clock),
            stops_at_overruns: self.timing.stops_at_overruns,
            total,
            fifo: self.fifo(),
            buffer,
            sources,
            resources,
            signals: signals.version,
        };
        plan.pace = self.pace(&plan)?;
        plan.pace = self.paused(&plan)?;
        if self.timing.kind == timing_type::CHANGE_DETECTION {
            for source in &mut plan.sources {
                if let Kind::Digital(lines) = &mut source.kind {
                    lines.over_time();
                }
            }
        }
        let plan = Arc::new(plan);
        self.check_logging(&plan)?;
        self.plan = Some(Arc::clone(&plan));
        self.phase = self.phase.max(Phase::Verified);
        Ok(plan)
    }
}
