//! Writing to outputs: what a write asks for, how it waits, and what a run of outputs begins with.

use std::sync::Arc;

use super::reading::{Deadline, Held};
use super::{Phase, State, Task};
use crate::attribute::{self, Object, Value};
use crate::channel::{Channel, channel_type};
use crate::clock::Rate;
use crate::content::Content;
use crate::device::{Device, Physical};
use crate::digital;
use crate::driver::driver;
use crate::error::{Error, Result, code};
use crate::generation::Generation;
use crate::output::{self, analog_outputs, attr, is_output, kind};
use crate::pace::Pace;
use crate::plan::Plan;
use crate::pulse::{Ticks, Train};
use crate::route;
use crate::run::Run;
use crate::timing::{ClockLimits, mode, timing_type};
use crate::wave::Wave;
use crate::wire::{Piece, Timeline};

const ALLOW_REGENERATION: i32 = 10097;
const DO_NOT_ALLOW_REGENERATION: i32 = 10158;

/// What a write is relative to.
const FIRST_SAMPLE: i32 = 10424;
const CURRENT_WRITE_POSITION: i32 = 10430;

/// Numbers that an output buffer holds at most.
const LARGEST: u64 = 1 << 27;

/// The rate at which a generated function is said to run.
const FUNCTION_RATE: u64 = 1_000_000;

/// How writes behave, as set, and what was written.
#[derive(Debug)]
pub(super) struct Writing {
    regeneration: i32,
    relative_to: i32,
    offset: i32,
    wait_mode: i32,
    sleep_time: f64,
    next_is_last: bool,
    /// The size of the output buffer, where a program set it.
    buffer: Option<u32>,
    content: Option<Arc<Content>>,
    /// The place after the last sample written.
    position: u64,
}

impl Default for Writing {
    fn default() -> Self {
        Self {
            regeneration: ALLOW_REGENERATION,
            relative_to: CURRENT_WRITE_POSITION,
            offset: 0,
            wait_mode: 12523,
            sleep_time: 0.001,
            next_is_last: false,
            buffer: None,
            content: None,
            position: 0,
        }
    }
}

/// Turns the caller's samples into numbers for the channels: all of the first sample, then all of
/// the second; volts (or amperes) for analog outputs, bits for lines, two numbers for pulses.
pub(crate) type Numbers<'a> = &'a dyn Fn(&[Channel], usize) -> Result<Vec<f64>>;

/// What the caller of a write asks for.
pub(crate) struct WriteRequest<'a> {
    /// Samples per channel.
    pub(crate) samples: i32,
    pub(crate) auto_start: bool,
    pub(crate) timeout: f64,
    /// The type of channels that the function writes to; 0 for any.
    pub(crate) family: i32,
    /// The function writes to one channel only.
    pub(crate) scalar: bool,
    pub(crate) numbers: Numbers<'a>,
}

impl Task {
    /// Writes samples; gives how many per channel were written, also beside an error.
    pub(crate) fn write(&self, request: &WriteRequest<'_>) -> (u64, Option<Error>) {
        let mut held = match self.state() {
            Ok(state) => Held {
                guard: Some(state),
                changed: &self.changed,
            },
            Err(error) => return (0, Some(error)),
        };
        for device in held.devices() {
            if let Err(error) = crate::watchdog::check(&device) {
                return (0, Some(error));
            }
        }
        let mut written = 0;
        let outcome = self.write_held(&mut held, request, &mut written);
        let state = &mut *held;
        if let Some(run) = state.run.as_mut() {
            run.reads += 1;
            run.errors += u64::from(outcome.is_err());
        }
        self.changed.notify_all();
        (written, outcome.err())
    }

    fn write_held(
        &self,
        held: &mut Held<'_>,
        request: &WriteRequest<'_>,
        written: &mut u64,
    ) -> Result<()> {
        let family = held.family();
        if held.channels.is_empty() || !is_output(family) {
            return Err(Error::new(code::WRITE_NO_OUTPUT_CHANS));
        }
        if request.family != 0 && request.family != family {
            return Err(Error::new(code::WRITE_CHAN_TYPE_MISMATCH));
        }
        if request.scalar && held.channels.len() != 1 {
            return Err(Error::new(code::WRITE_MULTI_CHANS));
        }
        let samples = usize::try_from(request.samples)
            .ok()
            .filter(|samples| *samples > 0)
            .ok_or_else(|| {
                Error::new(code::INVALID_SAMPLES_TO_WRITE).with("Requested Value", request.samples)
            })?;
        if held
            .channels
            .iter()
            .any(|channel| channel.integer(attr::AO_OUTPUT_TYPE) == kind::FUNCTION)
        {
            return Err(Error::new(code::WRITE_CHAN_TYPE_MISMATCH));
        }
        let numbers = (request.numbers)(&held.channels, samples)?;
        if family == channel_type::COUNTER_OUTPUT && !held.pulses_buffered(samples) {
            self.write_pulse(held, request, samples, &numbers)?;
            *written = 1;
            return Ok(());
        }
        if family != channel_type::COUNTER_OUTPUT && held.timing.kind == timing_type::ON_DEMAND {
            return self.write_now(held, request, samples, &numbers, written);
        }
        self.write_buffered(held, request, &numbers, samples as u64, written)
    }

    /// On demand: every value is out at once.
    fn write_now(
        &self,
        held: &mut Held<'_>,
        request: &WriteRequest<'_>,
        samples: usize,
        numbers: &[f64],
        written: &mut u64,
    ) -> Result<()> {
        if held.phase != Phase::Running {
            if !request.auto_start {
                return Err(Error::new(code::WRITE_NOT_STARTED));
            }
            self.start_locked(held, true)?;
        }
        if let Some(error) = held.run_error() {
            return Err(error);
        }
        let now = driver().clock().now();
        let lanes = held.channels.len();
        for sample in numbers.chunks_exact(lanes).take(samples) {
            for (channel, value) in held.channels.iter().zip(sample) {
                put(channel, *value, now);
            }
        }
        *written = samples as u64;
        if held.auto_started {
            self.stop_locked(held);
        }
        Ok(())
    }

    /// One pulse instead of the one that a counter puts out.
    fn write_pulse(
        &self,
        held: &mut Held<'_>,
        request: &WriteRequest<'_>,
        samples: usize,
        numbers: &[f64],
    ) -> Result<()> {
        if samples != 1 {
            return Err(Error::new(code::WRITE_ONE_SAMPLE).with("Requested Value", samples));
        }
        let running = held.phase == Phase::Running;
        let first = held.channels.first();
        let output = first.map_or(0, |channel| channel.integer(attr::CO_OUTPUT_TYPE));
        if !running && !request.auto_start {
            return Err(Error::new(match output {
                kind::PULSE_FREQ => code::CO_NOT_RUNNING_FREQ,
                kind::PULSE_TIME => code::CO_NOT_RUNNING_TIME,
                _ => code::CO_NOT_RUNNING_TICKS,
            }));
        }
        let endless =
            held.timing.kind == timing_type::IMPLICIT && held.timing.mode == mode::CONTINUOUS;
        if running && !endless {
            return Err(Error::new(code::CANNOT_WRITE_FINITE_CO));
        }
        let mut changed = held.channels.clone();
        for (channel, pair) in changed.iter_mut().zip(numbers.chunks_exact(2)) {
            set_pulse(channel, pair[0], pair[1])?;
        }
        held.channels = changed;
        if running {
            held.change_pulses(driver().clock().now())
        } else {
            held.unverify();
            self.start_locked(held, false)
        }
    }

    fn write_buffered(
        &self,
        held: &mut Held<'_>,
        request: &WriteRequest<'_>,
        numbers: &[f64],
        samples: u64,
        written: &mut u64,
    ) -> Result<()> {
        Deadline::check(request.timeout)?;
        let lanes = (numbers.len() as u64 / samples).max(1) as usize;
        if held.phase != Phase::Running {
            let content = held.prepare(lanes, samples)?;
            if held.phase < Phase::Committed {
                self.reserve(held)?;
                held.phase = Phase::Committed;
            }
            let place = held.place()?;
            let fits = content.size.saturating_sub(place).min(samples);
            if fits < samples && held.writing.buffer.is_none() {
                return Err(Error::new(code::OUTPUT_BUFFER_AUTO)
                    .with("Requested Number of Samples per Channel", samples)
                    .with("Buffer Size", content.size));
            }
            content.write(place, &numbers[..fits as usize * lanes], 0);
            held.writing.position = place + fits;
            *written = fits;
            if fits < samples {
                return Err(Error::new(code::NO_MORE_SPACE).with("Buffer Size", content.size));
            }
            held.unverify();
            if request.auto_start {
                self.start_locked(held, false)?;
            }
            return Ok(());
        }
        let number = held.runs;
        let clock = Arc::clone(&held.running(number)?.clock);
        let deadline = Deadline::new(&clock, request.timeout);
        let content = held.writing.content.clone();
        let content = content.ok_or_else(|| Error::new(code::OUTPUT_BUFFER_EMPTY))?;
        if content.lanes != lanes {
            return Err(Error::new(code::WRITE_CHAN_TYPE_MISMATCH));
        }
        let never = |error: Error| match error.code() {
            code::SAMPLES_WILL_NEVER_BE_AVAILABLE => Error::new(code::SAMPLES_NEVER_GENERATED),
            _ => error,
        };
        loop {
            let run = held.running(number).map_err(never)?;
            let generated = run.acquired();
            if let Some(ended) = &run.ended {
                let error = ended.error.clone();
                return Err(error.unwrap_or_else(|| Error::new(code::SAMPLES_NEVER_GENERATED)));
            }
            let total = run.plan.total;
            held.catch_up(&content, generated);
            let place = held.place()?;
            if place < generated {
                return Err(Error::new(code::SAMPLES_NO_LONGER_WRITEABLE)
                    .with("Property", "DAQmx_Write_RelativeTo")
                    .with("Corresponding Value", held.writing.relative_to)
                    .with("Property", "DAQmx_Write_Offset")
                    .with("Corresponding Value", held.writing.offset));
            }
            let left = samples - *written;
            if let Some(total) = total.filter(|_| !content.regenerates())
                && place + left > total
            {
                return Err(Error::new(code::BEYOND_FINAL_SAMPLE)
                    .with("Property", "DAQmx_SampQuant_SampPerChan")
                    .with("Corresponding Value", total));
            }
            let space = content.size.saturating_sub(place - generated);
            let count = space.min(left);
            if count > 0 {
                let from = *written as usize * lanes;
                let part = &numbers[from..from + count as usize * lanes];
                content.write(place, part, generated);
                held.extend_pulses(part)?;
                *written += count;
                held.writing.position = place + count;
                // A place that was chosen counts for the first sample of a write.
                if held.writing.relative_to == FIRST_SAMPLE && *written < samples {
                    held.writing.offset = held
                        .writing
                        .offset
                        .saturating_add(i32::try_from(count).unwrap_or(i32::MAX));
                }
            }
            if *written == samples {
                if held.writing.next_is_last
                    && let Some(output) = held.run.as_mut().and_then(|run| run.output.as_mut())
                {
                    output.complete = true;
                }
                return Ok(());
            }
            if deadline.passed(&clock) {
                return Err(Error::new(code::SAMPLES_CANNOT_YET_BE_WRITTEN)
                    .with("Samples per Channel Written", *written));
            }
            let run = held.running(number).map_err(never)?;
            // In portions: a half of the buffer at a time is enough to keep the generation fed.
            let wanted = (samples - *written).min((content.size / 2).max(1));
            let target = run.time_of(generated + wanted).min(run.ends_at());
            held.wait(deadline.sleep(&clock, target));
        }
    }

    /// The value of a write attribute.
    pub(crate) fn get_write(&self, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::Write, id)?;
        let mut state = self.state()?;
        let unsupported =
            || Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK).with("Property", row.display());
        if !is_output(state.family()) {
            return Err(Error::new(code::WRITE_NO_OUTPUT_CHANS));
        }
        let buffered = state.timing.kind != timing_type::ON_DEMAND;
        if matches!(row.id, 0x1458 | 0x1460 | 0x192B) {
            if state.phase < Phase::Reserved {
                return Err(
                    Error::new(code::PROPERTY_NEEDS_RESERVED_TASK).with("Property", row.display())
                );
            }
            if !buffered {
                return Err(Error::new(code::NOT_OUTPUT_BUFFERED).with("Property", row.display()));
            }
            let generated = state.run.as_mut().map_or(0, Run::acquired);
            let running = state.phase == Phase::Running;
            return Ok(match row.id {
                0x1458 => Value::U64(state.writing.position),
                0x192B => Value::U64(generated),
                _ => {
                    let size = state.output_buffer();
                    let unsent = if running {
                        state.writing.position.saturating_sub(generated)
                    } else {
                        state.writing.position
                    };
                    let space = size.saturating_sub(unsent);
                    Value::U32(u32::try_from(space).unwrap_or(u32::MAX))
                }
            });
        }
        let writing = &state.writing;
        Ok(match row.id {
            0x1453 => Value::I32(writing.regeneration),
            0x190C => Value::I32(writing.relative_to),
            0x190D => Value::I32(writing.offset),
            0x217D => Value::U32(
                state
                    .channels
                    .iter()
                    .map(Channel::raw_bits)
                    .max()
                    .unwrap_or(0)
                    / 8,
            ),
            0x217E => Value::U32(state.channels.len() as u32),
            0x217F => {
                if state.family() != channel_type::DIGITAL_OUTPUT {
                    return Err(unsupported());
                }
                let lines = state.channels.iter().map(|channel| channel.lines.len());
                Value::U32(lines.max().unwrap_or(0) as u32)
            }
            0x22B1 => Value::I32(writing.wait_mode),
            0x22B2 => Value::F64(writing.sleep_time),
            0x296C => Value::Bool(writing.next_is_last),
            // Nothing is connected that could overload an output.
            0x29E8 | 0x29EA | 0x29EC | 0x2A84 | 0x3053 | 0x3084 | 0x30BB | 0x313F => {
                Value::Bool(false)
            }
            0x29E9 | 0x29EB | 0x29ED | 0x3054 | 0x3083 | 0x3085 | 0x30BC | 0x3140 => {
                Value::text("")
            }
            _ => return Err(unsupported()),
        })
    }

    pub(crate) fn set_write(&self, id: i32, value: &Value) -> Result<()> {
        let row = attribute::writable(Object::Write, id)?;
        let mut state = self.state()?;
        if !is_output(state.family()) {
            return Err(Error::new(code::WRITE_NO_OUTPUT_CHANS));
        }
        let number = value.as_i32();
        let refused = || Err(Error::value(&row.display(), value.display()));
        match row.id {
            0x1453 => {
                if !matches!(number, ALLOW_REGENERATION | DO_NOT_ALLOW_REGENERATION) {
                    return refused();
                }
                state.not_running(Object::Write, id)?;
                state.writing.regeneration = number;
            }
            0x190C => {
                if !matches!(number, FIRST_SAMPLE | CURRENT_WRITE_POSITION) {
                    return refused();
                }
                state.writing.relative_to = number;
            }
            0x190D => state.writing.offset = number,
            0x22B1 => {
                if !matches!(number, 12523 | 12524 | 12525 | 12547) {
                    return refused();
                }
                state.writing.wait_mode = number;
            }
            0x22B2 => {
                if value.as_f64().is_nan() || value.as_f64() < 0.0 {
                    return refused();
                }
                state.writing.sleep_time = value.as_f64();
            }
            0x296C => state.writing.next_is_last = value.as_bool(),
            _ => {
                return Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK)
                    .with("Property", row.display()));
            }
        }
        Ok(())
    }

    pub(crate) fn reset_write(&self, id: i32) -> Result<()> {
        let row = attribute::resettable(Object::Write, id)?;
        let mut state = self.state()?;
        let default = Writing::default();
        match row.id {
            0x1453 => {
                state.not_running(Object::Write, id)?;
                state.writing.regeneration = default.regeneration;
            }
            0x190C => state.writing.relative_to = default.relative_to,
            0x190D => state.writing.offset = default.offset,
            0x22B1 => state.writing.wait_mode = default.wait_mode,
            0x22B2 => state.writing.sleep_time = default.sleep_time,
            0x296C => state.writing.next_is_last = default.next_is_last,
            _ => {
                return Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK)
                    .with("Property", row.display()));
            }
        }
        Ok(())
    }
}

/// Puts a value out from now on.
fn put(channel: &Channel, value: f64, now: u64) {
    match channel.physical {
        Physical::AnalogOutput(_) => {
            let name = channel.device.full_name(channel.physical);
            crate::wire::of(&name).push(Piece::Steady { from: now, value });
        }
        _ => {
            let inverted = channel.integer(attr::DO_INVERT_LINES) != 0;
            for (line, bit) in channel.lines.iter().zip(digital::places(&channel.lines)) {
                let high = ((value as u32) >> (bit & 31) & 1 != 0) != inverted;
                route::line(&channel.device, *line).push(Piece::Steady {
                    from: now,
                    value: f64::from(u8::from(high)),
                });
            }
        }
    }
}

/// Changes the pulse of a counter output: its attributes, after a check.
fn set_pulse(channel: &mut Channel, first: f64, second: f64) -> Result<()> {
    let timebase = channel.number(attr::CO_TIMEBASE_RATE);
    let output = channel.integer(attr::CO_OUTPUT_TYPE);
    Ticks::written(output, timebase, first, second)?;
    let [one, two] = match output {
        kind::PULSE_FREQ => [
            (attr::CO_FREQ, Value::F64(first)),
            (attr::CO_DUTY_CYCLE, Value::F64(second)),
        ],
        kind::PULSE_TIME => [
            (attr::CO_HIGH_TIME, Value::F64(first)),
            (attr::CO_LOW_TIME, Value::F64(second)),
        ],
        _ => [
            (attr::CO_HIGH_TICKS, Value::U32(first as u32)),
            (attr::CO_LOW_TICKS, Value::U32(second as u32)),
        ],
    };
    channel.set(one.0 as i32, one.1)?;
    channel.set(two.0 as i32, two.1)
}

impl State {
    /// What the clock of a device can do for outputs.
    pub(super) fn output_limits(
        family: i32,
        device: &Device,
        channels: usize,
    ) -> Option<ClockLimits> {
        match family {
            channel_type::DIGITAL_OUTPUT => ClockLimits::digital(device),
            channel_type::COUNTER_OUTPUT => ClockLimits::counter(device),
            _ => {
                let outputs = analog_outputs(device.product)?;
                let fastest = if channels <= 1 {
                    outputs.max_rate
                } else {
                    outputs.max_rate_all
                };
                Some(ClockLimits {
                    timebase: outputs.timebase,
                    min_divisor: 1,
                    step: 1,
                    slowest: outputs.timebase as f64 / f64::from(u32::MAX),
                    fastest_single: outputs.max_rate,
                    fastest,
                })
            }
        }
    }

    /// The engines that an output needs for itself.
    pub(super) fn output_resources(channel: &Channel, clocked: bool, all: &mut Vec<String>) {
        let device = channel.device.name.to_ascii_lowercase();
        let mut add = |engine: String| {
            if !all.contains(&engine) {
                all.push(engine);
            }
        };
        match channel.physical {
            Physical::AnalogOutput(index) => {
                add(format!("{device}/ao{index}"));
                if clocked {
                    add(format!("{device}/ao"));
                }
            }
            Physical::Counter(number) => add(format!("{device}/ctr{number}")),
            _ => {
                for (port, line) in &channel.lines {
                    add(format!("{device}/port{port}/line{line}/out"));
                }
                if clocked {
                    add(format!("{device}/do"));
                }
            }
        }
    }

    /// Checks a task of outputs and fixes what a run needs.
    pub(super) fn verify_output(&mut self) -> Result<Arc<Plan>> {
        let family = self.family();
        let function = |channel: &Channel| channel.integer(attr::AO_OUTPUT_TYPE) == kind::FUNCTION;
        let finite = self.timing.mode == mode::FINITE && !self.retriggered();
        let (rate, total) = match (family, self.timing.kind) {
            (channel_type::COUNTER_OUTPUT, _) => {
                let (rate, total) = self.pulse_rate()?;
                (Some(rate), total)
            }
            _ if self.channels.iter().any(function) => {
                let rate = Rate {
                    numerator: FUNCTION_RATE,
                    denominator: 1,
                };
                (Some(rate), None)
            }
            (_, timing_type::IMPLICIT) => {
                return Err(Error::value("DAQmx_SampTimingType", self.timing.kind)
                    .with("You Can Select", "DAQmx_Val_OnDemand, DAQmx_Val_SampClk"));
            }
            _ => {
                let rate = self.sample_rate()?;
                let total = (rate.is_some() && finite).then_some(self.timing.samples);
                (rate, total)
            }
        };
        for channel in &self.channels {
            if let Physical::AnalogOutput(_) = channel.physical {
                output::range(channel)?;
            }
        }
        if self.events.every.is_some() && (rate.is_none() || family == channel_type::COUNTER_OUTPUT)
        {
            return Err(Error::new(code::EVERY_N_NOT_FOR_UNBUFFERED));
        }
        self.check_triggers(rate.is_some(), None)?;
        let untimed = self.channels.iter().find(|channel| {
            let ports = channel.device.product.ports;
            channel
                .lines
                .iter()
                .any(|(port, _)| ports.get(*port as usize).is_some_and(|port| !port.timed))
        });
        if let Some(channel) = untimed.filter(|_| rate.is_some()) {
            return Err(Error::value("DAQmx_SampTimingType", self.timing.kind)
                .with("You Can Select", "DAQmx_Val_OnDemand")
                .with("Channel Name", &channel.name));
        }
        let plan = Arc::new(Plan {
            pace: rate.map_or(Pace::OnDemand, Pace::Clock),
            stops_at_overruns: false,
            total,
            buffer: self.output_buffer(),
            fifo: u64::MAX / 2,
            sources: Vec::new(),
            resources: self.resources(rate.is_some()),
            signals: driver().signals().version,
        });
        self.plan = Some(Arc::clone(&plan));
        self.phase = self.phase.max(Phase::Verified);
        Ok(plan)
    }

    /// The size of the output buffer in samples per channel.
    pub(super) fn output_buffer(&self) -> u64 {
        match (self.writing.buffer, &self.writing.content) {
            (Some(size), _) => u64::from(size),
            (None, Some(content)) => content.size,
            (None, None) => 0,
        }
    }

    pub(super) fn set_output_buffer(&mut self, size: Option<u32>) {
        self.writing.buffer = size;
        self.unverify();
    }

    fn regenerates(&self) -> bool {
        self.writing.regeneration == ALLOW_REGENERATION
    }

    /// Whether pulses are written to a buffer, rather than changed one by one.
    fn pulses_buffered(&self, samples: usize) -> bool {
        self.timing.kind == timing_type::SAMPLE_CLOCK
            || self.writing.content.is_some()
            || self.timing.kind == timing_type::IMPLICIT
                && self.phase != Phase::Running
                && (samples > 1 || self.writing.buffer.is_some_and(|size| size > 0))
    }

    /// The buffer that a write before the start goes to.
    fn prepare(&mut self, lanes: usize, samples: u64) -> Result<Arc<Content>> {
        let regenerate = self.regenerates();
        if self.writing.buffer == Some(0) {
            return Err(Error::new(code::OUTPUT_BUFFER_ZERO));
        }
        let set = self.writing.buffer.map(u64::from);
        if let Some(content) = &self.writing.content
            && content.lanes == lanes
            && content.regenerates() == regenerate
            && set.is_none_or(|size| size == content.size)
        {
            return Ok(Arc::clone(content));
        }
        let size = set.unwrap_or(samples);
        if size.saturating_mul(lanes as u64) > LARGEST {
            return Err(Error::new(code::MEMORY_FULL).with("Buffer Size", size));
        }
        let content = Arc::new(Content::new(lanes, size, regenerate));
        self.writing.content = Some(Arc::clone(&content));
        self.writing.position = 0;
        Ok(content)
    }

    /// Where the next write goes.
    fn place(&self) -> Result<u64> {
        let base = if self.writing.relative_to == FIRST_SAMPLE {
            0
        } else {
            self.writing.position
        };
        let place = i64::try_from(base)
            .unwrap_or(i64::MAX)
            .saturating_add(i64::from(self.writing.offset));
        u64::try_from(place).map_err(|_| {
            Error::new(code::NEGATIVE_WRITE_SAMPLE_NUMBER)
                .with("Position", base)
                .with("Offset", self.writing.offset)
        })
    }

    /// Where a regenerated buffer went round since the last write, the next one goes on at the same
    /// place of the buffer in the round to come.
    fn catch_up(&mut self, content: &Content, generated: u64) {
        if content.regenerates() && content.size > 0 && self.writing.position < generated {
            let behind = generated - self.writing.position;
            self.writing.position += behind.div_ceil(content.size) * content.size;
        }
    }

    /// Whether a task of outputs has what it needs to start.
    pub(super) fn check_output(&mut self) -> Result<()> {
        let family = self.family();
        if !is_output(family) || self.timing.kind == timing_type::ON_DEMAND {
            return Ok(());
        }
        if family == channel_type::COUNTER_OUTPUT && !self.pulses_buffered(0) {
            return Ok(());
        }
        let Some(content) = self
            .writing
            .content
            .as_ref()
            .filter(|content| content.written() > 0)
        else {
            return Err(Error::new(code::OUTPUT_BUFFER_EMPTY));
        };
        if content.regenerates() != self.regenerates() {
            return Err(Error::new(code::CHANGED_REGENERATION));
        }
        if self
            .writing
            .buffer
            .is_some_and(|size| u64::from(size) != content.size)
        {
            return Err(Error::new(code::CHANGED_BUFFER_SIZE));
        }
        if content.size < 2 && family != channel_type::COUNTER_OUTPUT {
            return Err(Error::new(code::OUTPUT_BUFFER_TOO_SMALL).with("Buffer Size", content.size));
        }
        Ok(())
    }

    /// What is left of the buffer after a run.
    pub(super) fn rewind_output(&mut self) {
        if let Some(content) = self.writing.content.take() {
            self.writing.content = content.again().map(Arc::new);
            self.writing.position = self
                .writing
                .content
                .as_ref()
                .map_or(0, |content| content.written());
            self.plan = None;
        }
    }

    /// What a run that starts now puts out; `None` for inputs.
    pub(super) fn generation(&self, plan: &Plan) -> Result<Option<Generation>> {
        let family = self.family();
        if !is_output(family) {
            return Ok(None);
        }
        let pace = Arc::new(Timeline::new(
            plan.pace.rate().unwrap_or(Rate::from_hertz(1.0)),
            plan.total,
        ));
        let content = self
            .writing
            .content
            .clone()
            .filter(|_| !plan.pace.on_demand());
        let mut generation = Generation {
            channels: self.channels.len(),
            pace: Arc::clone(&pace),
            content: content.clone(),
            trains: Vec::new(),
            delay: 0,
            complete: self.writing.next_is_last,
        };
        for (lane, channel) in self.channels.iter().enumerate() {
            match channel.physical {
                Physical::AnalogOutput(_) => {
                    let name = channel.device.full_name(channel.physical);
                    let wire = crate::wire::of(&name);
                    if channel.integer(attr::AO_OUTPUT_TYPE) == kind::FUNCTION {
                        wire.push(Piece::Function {
                            pace: Arc::clone(&pace),
                            function: Arc::new(output::shape(channel)),
                        });
                    } else if let Some(content) = &content {
                        wire.push(Piece::Clocked {
                            content: Arc::clone(content),
                            lane,
                            pace: Arc::clone(&pace),
                            bit: None,
                        });
                    }
                }
                Physical::Counter(_) => {
                    let (train, delay) = self.train(lane, channel, plan, &pace)?;
                    let train = Arc::new(train);
                    generation.delay = generation.delay.max(delay);
                    if let Some(wire) = route::counter(channel) {
                        wire.push(Piece::Pulses {
                            train: Arc::clone(&train),
                            pace: Arc::clone(&pace),
                        });
                    }
                    generation.trains.push(train);
                }
                _ => {
                    let Some(content) = &content else { continue };
                    let inverted = channel.integer(attr::DO_INVERT_LINES) != 0;
                    for (line, bit) in channel.lines.iter().zip(digital::places(&channel.lines)) {
                        route::line(&channel.device, *line).push(Piece::Clocked {
                            content: Arc::clone(content),
                            lane,
                            pace: Arc::clone(&pace),
                            bit: Some((bit, inverted)),
                        });
                    }
                }
            }
        }
        Ok(Some(generation))
    }

    /// The pulses in a buffer, as ticks, for one channel.
    fn buffered_pulses(
        &self,
        lane: usize,
        channel: &Channel,
        numbers: &[f64],
    ) -> Result<Vec<Ticks>> {
        let timebase = channel.number(attr::CO_TIMEBASE_RATE);
        let output = channel.integer(attr::CO_OUTPUT_TYPE);
        numbers
            .chunks_exact(self.channels.len() * 2)
            .map(|sample| Ticks::written(output, timebase, sample[lane * 2], sample[lane * 2 + 1]))
            .collect()
    }

    /// Everything in the buffer before the start.
    fn buffered_numbers(&self) -> Option<(Vec<f64>, bool)> {
        let content = self.writing.content.as_ref()?;
        let count = content.written().min(content.size);
        let numbers = (0..count)
            .flat_map(|sample| (0..content.lanes).map(move |lane| content.value(lane, sample)))
            .collect();
        Some((numbers, content.regenerates()))
    }

    /// Nanoseconds that each pulse of a buffer stands for, where a clock says so.
    fn pulse_interval(&self) -> Result<Option<f64>> {
        if self.timing.kind != timing_type::SAMPLE_CLOCK {
            return Ok(None);
        }
        let rate = self.sample_rate()?;
        Ok(rate.map(|rate| 1e9 / rate.hertz()))
    }

    fn train(
        &self,
        lane: usize,
        channel: &Channel,
        plan: &Plan,
        pace: &Arc<Timeline>,
    ) -> Result<(Train, u64)> {
        let pulse = Ticks::of(channel)?;
        let idle_high = channel.integer(attr::CO_IDLE_STATE) == kind::HIGH;
        let delay = pulse.nanoseconds(pulse.delay).round() as u64;
        let interval = self.pulse_interval()?;
        let train = match self.buffered_numbers() {
            Some((numbers, again)) => {
                let pulses = self.buffered_pulses(lane, channel, &numbers)?;
                let limit = plan.total.filter(|_| interval.is_none());
                Train::listed(&pulses, interval, again, limit, idle_high, Arc::clone(pace))
            }
            None => Train::regular(pulse, plan.total, idle_high, Arc::clone(pace)),
        };
        Ok((train, delay))
    }

    /// Pulses per second and how many, for a task of counter outputs. What is not configured is one
    /// pulse.
    fn pulse_rate(&self) -> Result<(Rate, Option<u64>)> {
        let mut slowest: Option<Rate> = None;
        for channel in &self.channels {
            let pulse = Ticks::of(channel)?;
            let rate = Rate {
                numerator: pulse.timebase.round().max(1.0) as u64,
                denominator: pulse.period().round().max(1.0) as u64,
            };
            if slowest.is_none_or(|known| rate.hertz() < known.hertz()) {
                slowest = Some(rate);
            }
        }
        let mut rate = slowest.ok_or_else(|| Error::new(code::NO_CHANS_IN_TASK))?;
        let total = match (self.timing.kind, self.timing.mode) {
            (timing_type::SAMPLE_CLOCK, mode::FINITE) => Some(self.timing.samples),
            (timing_type::IMPLICIT, mode::FINITE) => Some(self.timing.samples),
            (timing_type::SAMPLE_CLOCK | timing_type::IMPLICIT, _) => None,
            _ => Some(1),
        };
        if self.timing.kind == timing_type::SAMPLE_CLOCK {
            rate = self.sample_rate()?.unwrap_or(rate);
        } else if let Some((numbers, _)) = self.buffered_numbers()
            && let Some(channel) = self.channels.first()
        {
            let pulses = self.buffered_pulses(0, channel, &numbers)?;
            let duration: f64 = pulses
                .iter()
                .map(|pulse| pulse.nanoseconds(pulse.period()))
                .sum();
            if duration >= 1.0 {
                rate = Rate {
                    numerator: pulses.len() as u64 * 1_000_000_000,
                    denominator: duration.round() as u64,
                };
            }
        }
        Ok((rate, total))
    }

    /// Lets the pulses that are put out be those of the channels' attributes.
    pub(super) fn change_pulses(&mut self, now: u64) -> Result<()> {
        let Some(output) = self.run.as_ref().and_then(|run| run.output.clone()) else {
            return Ok(());
        };
        for (channel, train) in self.channels.iter().zip(&output.trains) {
            train.change(Ticks::of(channel)?, now);
        }
        Ok(())
    }

    /// Adds pulses that were written while a task runs.
    fn extend_pulses(&mut self, numbers: &[f64]) -> Result<()> {
        let Some(output) = self.run.as_ref().and_then(|run| run.output.clone()) else {
            return Ok(());
        };
        if output.runs_dry().is_none() {
            return Ok(());
        }
        let interval = self.pulse_interval()?;
        for (lane, (channel, train)) in self.channels.iter().zip(&output.trains).enumerate() {
            train.extend(&self.buffered_pulses(lane, channel, numbers)?, interval);
        }
        Ok(())
    }

    /// Attributes of a counter output that change while it runs; `None` where the number is not one
    /// of them.
    pub(super) fn pulse_state(&mut self, channel: &str, id: i32) -> Option<Result<Value>> {
        if self.family() != channel_type::COUNTER_OUTPUT
            || !matches!(
                id as u32,
                attr::CO_PULSE_DONE | attr::CO_COUNT | attr::CO_OUTPUT_STATE
            )
        {
            return None;
        }
        let done = self.done();
        let names = match self.channel_names(channel) {
            Ok(names) => names,
            Err(error) => return Some(Err(error)),
        };
        let place = names
            .first()
            .and_then(|name| self.channels.iter().position(|known| known.name == *name))
            .unwrap_or(0);
        let idle = self.channels[place].integer(attr::CO_IDLE_STATE);
        let train = self
            .run
            .as_ref()
            .and_then(|run| run.output.as_ref())
            .and_then(|output| output.trains.get(place).cloned());
        let now = driver().clock().now();
        Some(Ok(match id as u32 {
            attr::CO_PULSE_DONE => Value::Bool(done),
            attr::CO_COUNT => Value::U32(train.map_or(0, |train| train.begun(now)) as u32),
            _ => Value::I32(match train {
                Some(train) if train.level(now) => kind::HIGH,
                Some(_) => kind::LOW,
                None => idle,
            }),
        }))
    }

    /// Whether an attribute may be set while the task runs: the pulse of a counter output.
    pub(super) fn changes_pulse(&self, id: i32) -> bool {
        self.phase == Phase::Running
            && self.family() == channel_type::COUNTER_OUTPUT
            && self.timing.kind == timing_type::IMPLICIT
            && self.timing.mode == mode::CONTINUOUS
            && self.writing.content.is_none()
            && matches!(
                id as u32,
                attr::CO_FREQ
                    | attr::CO_DUTY_CYCLE
                    | attr::CO_HIGH_TIME
                    | attr::CO_LOW_TIME
                    | attr::CO_HIGH_TICKS
                    | attr::CO_LOW_TICKS
            )
    }
}
