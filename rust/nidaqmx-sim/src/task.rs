//! A task: its channels and settings, its states, and the waiting of its readers.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use crate::attribute::{self, Object, Value};
use crate::channel::{Channel, channel_type};
use crate::clock::{Clock, Rate};
use crate::device::{Device, Physical};
use crate::driver::{driver, lock};
use crate::error::{Error, Result, code};
use crate::event::{Call, Callback, Events, SIGNALS};
use crate::fault::{Fault, FaultKind};
use crate::names;
use crate::plan::Plan;
use crate::product::bus;
use crate::run::{Ledger, Overwrite, Run};
use crate::timing::{ClockLimits, Timing, default_buffer, mode, timing_type};
use crate::trigger::{self, Triggers};

/// How far a task has been brought; later states imply earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Unverified,
    Verified,
    Reserved,
    Committed,
    Running,
}

/// Actions of `DAQmxTaskControl`.
mod action {
    pub(super) const START: i32 = 0;
    pub(super) const STOP: i32 = 1;
    pub(super) const VERIFY: i32 = 2;
    pub(super) const COMMIT: i32 = 3;
    pub(super) const RESERVE: i32 = 4;
    pub(super) const UNRESERVE: i32 = 5;
    pub(super) const ABORT: i32 = 6;
}

/// What a read is relative to.
mod relative {
    pub(super) const FIRST_SAMPLE: i32 = 10424;
    pub(super) const CURRENT_READ_POSITION: i32 = 10425;
    pub(super) const REFERENCE_TRIGGER: i32 = 10426;
    pub(super) const FIRST_PRETRIGGER_SAMPLE: i32 = 10427;
    pub(super) const MOST_RECENT_SAMPLE: i32 = 10428;
}

const OVERWRITE_UNREAD: i32 = 10252;
const DO_NOT_OVERWRITE: i32 = 10159;

/// How reads behave, as set.
#[derive(Debug, Clone)]
struct ReadSettings {
    overwrite: Option<i32>,
    /// As set; by default the current position, or the first sample of a reference trigger's record.
    relative_to: Option<i32>,
    offset: i32,
    all_available: bool,
    auto_start: bool,
    wait_mode: i32,
    sleep_time: f64,
    channels: Option<Vec<String>>,
}

impl Default for ReadSettings {
    fn default() -> Self {
        Self {
            overwrite: None,
            relative_to: None,
            offset: 0,
            all_available: false,
            auto_start: true,
            wait_mode: 12523,
            sleep_time: 0.001,
            channels: None,
        }
    }
}

/// What the task's lock protects.
#[derive(Debug)]
struct State {
    channels: Vec<Channel>,
    timing: Timing,
    buffer: Option<u32>,
    read: ReadSettings,
    phase: Phase,
    /// The phase that a stop goes back to.
    rest: Phase,
    plan: Option<Arc<Plan>>,
    run: Option<Run>,
    runs: u32,
    auto_started: bool,
    triggers: Triggers,
    events: Events,
    /// A read took the last sample and stopped the task that it had started.
    finished: bool,
    /// The thread that is in a callback of this task now.
    calling: Option<ThreadId>,
    /// Why a waiting call has to give up, where a stop is not the reason.
    aborted: Option<i32>,
    cleared: bool,
}

/// A task.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) handle: usize,
    pub(crate) name: String,
    state: Mutex<State>,
    changed: Condvar,
}

/// Samples that a read was given: all channels of the plan, from `first` on.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) plan: Arc<Plan>,
    /// Indices into the plan's sources.
    pub(crate) sources: Vec<usize>,
    pub(crate) first: u64,
    pub(crate) count: usize,
    /// When the run began, in ticks of 100 ns since the beginning of year 1.
    pub(crate) started: i64,
}

impl Claim {
    /// Time from the run's first sample to the first one here, in ticks of 100 ns.
    pub(crate) fn rate_time(&self) -> i64 {
        let time = self.plan.rate.map_or(0, |rate| rate.time_of(self.first));
        i64::try_from(time / 100).unwrap_or(i64::MAX)
    }

    /// Bytes of one raw sample.
    pub(crate) fn raw_width(&self) -> usize {
        let sources = self.sources.iter().map(|&index| &self.plan.sources[index]);
        sources
            .map(|source| source.raw_bits as usize / 8)
            .max()
            .unwrap_or(2)
    }
}

/// What the caller of a read asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    /// Samples per channel; -1 for what is there.
    pub(crate) samples: i32,
    pub(crate) timeout: f64,
    /// Elements that the caller's array holds.
    pub(crate) capacity: usize,
    /// Elements that a sample of a channel takes.
    pub(crate) width: usize,
    /// The type of channels that the function reads; 0 for any.
    pub(crate) family: i32,
    /// The function reads one channel only.
    pub(crate) scalar: bool,
    /// Bits of the widest raw sample that the function can hand over.
    pub(crate) widest: u32,
}

impl Task {
    pub(crate) fn new(handle: usize, name: String) -> Self {
        Self {
            handle,
            name,
            state: Mutex::new(State {
                channels: Vec::new(),
                timing: Timing::default(),
                buffer: None,
                read: ReadSettings::default(),
                phase: Phase::Unverified,
                rest: Phase::Verified,
                plan: None,
                run: None,
                runs: 0,
                auto_started: false,
                triggers: Triggers::default(),
                events: Events::default(),
                finished: false,
                calling: None,
                aborted: None,
                cleared: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        let state = lock(&self.state);
        if state.cleared {
            Err(Error::new(code::INVALID_TASK))
        } else {
            Ok(state)
        }
    }

    /// The state, where no run is under way.
    fn resting(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state()?;
        if state.phase == Phase::Running {
            return Err(Error::new(code::CANNOT_PERFORM_WHILE_RUNNING));
        }
        Ok(state)
    }

    /// Wakes whoever waits for this task, for instance after the clock was stepped.
    pub(crate) fn wake(&self) {
        drop(lock(&self.state));
        self.changed.notify_all();
    }

    // ---- channels ----

    /// Adds channels; all of them or none.
    pub(crate) fn add_channels(&self, channels: Vec<Channel>) -> Result<()> {
        let mut state = self.resting()?;
        for (index, channel) in channels.iter().enumerate() {
            let mut others = state.channels.iter().chain(&channels[..index]);
            if others.any(|known| known.name.eq_ignore_ascii_case(&channel.name)) {
                return Err(
                    Error::new(code::CHAN_ALREADY_IN_TASK).with("Channel Name", &channel.name)
                );
            }
            let kind = channel.integer(crate::channel::id::CHAN_TYPE);
            let other = |known: &&Channel| known.integer(crate::channel::id::CHAN_TYPE) != kind;
            if let Some(known) = state.channels.iter().find(other) {
                return Err(Error::new(code::MULTI_CHAN_TYPES_IN_TASK)
                    .with("Channel Name", &known.name)
                    .with("Channel Name", &channel.name));
            }
        }
        let created: Vec<_> = channels
            .iter()
            .map(|channel| channel.name.as_str())
            .collect();
        driver().set_last_channel(&names::flatten(&created));
        state.channels.extend(channels);
        state.unverify();
        Ok(())
    }

    /// Does something to each channel of a list of names; an empty list means all.
    fn for_channels<T>(
        state: &mut State,
        list: &str,
        mut act: impl FnMut(&mut Channel) -> Result<T>,
    ) -> Result<Vec<T>> {
        if state.channels.is_empty() {
            return Err(Error::new(code::NO_CHANS_IN_TASK));
        }
        if list.trim().is_empty() {
            return state.channels.iter_mut().map(act).collect();
        }
        let mut results = Vec::new();
        for name in state.channel_names(list)? {
            let channel = state
                .channels
                .iter_mut()
                .find(|channel| channel.name == name);
            results.push(act(
                channel.ok_or_else(|| Error::new(code::INVALID_CHANNEL))?
            )?);
        }
        Ok(results)
    }

    pub(crate) fn get_channel(&self, list: &str, id: i32) -> Result<Value> {
        let mut state = self.state()?;
        let values = Self::for_channels(&mut state, list, |channel| channel.get(id))?;
        let mut values = values.into_iter();
        let first = values
            .next()
            .ok_or_else(|| Error::new(code::INVALID_CHANNEL))?;
        if values.any(|other| other != first) {
            // The driver cannot give one value for channels that differ.
            let row = attribute::find(Object::Channel, id)?;
            return Err(Error::value(&row.display(), first.display()).with("Channel Name", list));
        }
        Ok(first)
    }

    pub(crate) fn set_channel(&self, list: &str, id: i32, value: &Value) -> Result<()> {
        let mut state = self.state()?;
        state.not_running(Object::Channel, id)?;
        Self::for_channels(&mut state, list, |channel| channel.set(id, value.clone()))?;
        state.unverify();
        Ok(())
    }

    pub(crate) fn reset_channel(&self, list: &str, id: i32) -> Result<()> {
        let mut state = self.state()?;
        state.not_running(Object::Channel, id)?;
        Self::for_channels(&mut state, list, |channel| channel.reset(id))?;
        state.unverify();
        Ok(())
    }

    // ---- timing ----

    /// Changes the timing, all of it or nothing.
    pub(crate) fn set_timing(&self, change: impl FnOnce(&mut Timing) -> Result<()>) -> Result<()> {
        let mut state = self.state()?;
        if state.phase == Phase::Running {
            return Err(Error::new(code::CANNOT_SET_WHILE_RUNNING));
        }
        if state.channels.is_empty() {
            return Err(Error::new(code::NO_CHANS_IN_TASK));
        }
        let mut timing = state.timing.clone();
        change(&mut timing)?;
        state.timing = timing;
        state.unverify();
        Ok(())
    }

    pub(crate) fn get_timing(&self, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::Timing, id)?;
        let state = self.state()?;
        let timing = &state.timing;
        let limits = || {
            state
                .clock_limits()
                .ok_or_else(|| Error::new(code::NO_CHANS_IN_TASK))
        };
        let device = || {
            state
                .channels
                .first()
                .map(|channel| Arc::clone(&channel.device))
                .ok_or_else(|| Error::new(code::NO_CHANS_IN_TASK))
        };
        let unsupported =
            || Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK).with("Property", row.display());
        Ok(match row.id {
            0x1347 => Value::I32(timing.kind),
            0x1344 => Value::F64(state.sample_rate()?.map_or(timing.rate, Rate::hertz)),
            0x1300 => Value::I32(timing.mode),
            0x1310 => Value::U64(timing.samples),
            0x1301 => Value::I32(timing.edge),
            0x1852 => Value::Str(if timing.onboard() {
                "OnboardClock".to_owned()
            } else {
                timing.source.clone()
            }),
            0x22C8 => Value::F64(limits()?.fastest),
            0x1303 => Value::F64(limits()?.timebase as f64),
            0x18EB => match state.sample_rate()? {
                Some(rate) if timing.onboard() => {
                    Value::U32(u32::try_from(rate.denominator).unwrap_or(u32::MAX))
                }
                _ => return Err(unsupported()),
            },
            0x2F1B => Value::Str(format!("/{}/ai/SampleClock", device()?.name)),
            0x1848 | 0x22C9 => {
                let device = device()?;
                let ai = device.product.ai.as_ref().ok_or_else(unsupported)?;
                if ai.simultaneous {
                    return Err(unsupported());
                }
                Value::F64(ai.max_multi_rate)
            }
            0x3139 => Value::Bool(timing.timestamp_enabled),
            _ => return Err(unsupported()),
        })
    }

    // ---- buffer ----

    pub(crate) fn get_buffer(&self, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::Buffer, id)?;
        let state = self.state()?;
        match row.id {
            0x186C => Ok(Value::U32(
                u32::try_from(state.buffer_size()).unwrap_or(u32::MAX),
            )),
            0x230A => {
                let channel = state
                    .channels
                    .first()
                    .ok_or_else(|| Error::new(code::NO_CHANS_IN_TASK))?;
                let fifo = channel.device.product.ai.as_ref().map_or(0, |ai| ai.fifo);
                Ok(Value::U32(fifo))
            }
            _ => {
                Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK)
                    .with("Property", row.display()))
            }
        }
    }

    pub(crate) fn set_buffer(&self, id: i32, value: Option<&Value>) -> Result<()> {
        let row = match value {
            Some(_) => attribute::writable(Object::Buffer, id)?,
            None => attribute::resettable(Object::Buffer, id)?,
        };
        let mut state = self.state()?;
        if row.id != 0x186C {
            return Err(
                Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK).with("Property", row.display())
            );
        }
        state.not_running(Object::Buffer, id)?;
        state.buffer = value.map(|value| u32::try_from(value.as_u64()).unwrap_or(u32::MAX));
        state.unverify();
        Ok(())
    }

    // ---- read attributes ----

    pub(crate) fn get_read(&self, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::Read, id)?;
        let mut state = self.state()?;
        let unsupported =
            || Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK).with("Property", row.display());
        let not_reserved =
            || Error::new(code::PROPERTY_NEEDS_RESERVED_TASK).with("Property", row.display());
        if matches!(row.id, 0x1221 | 0x1223 | 0x192A) {
            if state.phase < Phase::Reserved {
                return Err(not_reserved());
            }
            let Some(run) = state.run.as_mut() else {
                return Ok(if row.id == 0x1223 {
                    Value::U32(0)
                } else {
                    Value::U64(0)
                });
            };
            return Ok(match row.id {
                0x1221 => Value::U64(run.position),
                0x1223 => Value::U32(u32::try_from(run.available()).unwrap_or(u32::MAX)),
                _ => Value::U64(run.acquired()),
            });
        }
        let state = &mut *state;
        let read = &state.read;
        Ok(match row.id {
            0x1211 => Value::I32(read.overwrite.unwrap_or(DO_NOT_OVERWRITE)),
            0x1215 => Value::Bool(read.all_available),
            0x1823 => Value::Str(names::join(&state.read_names()?)),
            0x1826 => Value::Bool(read.auto_start),
            0x190A => Value::I32(state.relative_to()),
            0x190B => Value::I32(read.offset),
            0x217A => {
                let names = state.read_names()?;
                let widths = state
                    .channels
                    .iter()
                    .filter(|one| names.contains(&one.name));
                let bits = widths.map(Channel::raw_bits).max();
                Value::U32(bits.unwrap_or(0) / 8)
            }
            0x217B => Value::U32(state.read_names()?.len() as u32),
            0x217C => {
                if state.family() != channel_type::DIGITAL_INPUT {
                    return Err(unsupported());
                }
                let names = state.read_names()?;
                let read = state
                    .channels
                    .iter()
                    .filter(|one| names.contains(&one.name));
                Value::U32(read.map(|one| one.lines.len()).max().unwrap_or(0) as u32)
            }
            0x2232 => Value::I32(read.wait_mode),
            0x22B0 => Value::F64(read.sleep_time),
            0x31E8 => {
                let count = match state.run.as_mut() {
                    Some(run) if state.phase == Phase::Running => {
                        default_count(run, state.read.all_available)
                    }
                    _ if state.timing.kind == timing_type::ON_DEMAND => 1,
                    _ if state.timing.mode == mode::FINITE && !state.read.all_available => {
                        state.timing.samples
                    }
                    _ => 0,
                };
                Value::U32(u32::try_from(count).unwrap_or(u32::MAX))
            }
            // The input never overloads: nothing is connected that could.
            0x2174 => Value::Bool(false),
            0x2175 => Value::text(""),
            // Logging is off.
            0x2EC5 => Value::I32(10231),
            0x2EC4 | 0x2EC6 => Value::text(""),
            0x2EC7 => Value::I32(15846),
            _ => return Err(unsupported()),
        })
    }

    pub(crate) fn set_read(&self, id: i32, value: &Value) -> Result<()> {
        let row = attribute::writable(Object::Read, id)?;
        let mut state = self.state()?;
        let running = state.phase == Phase::Running;
        let number = value.as_i32();
        match row.id {
            0x1211 => {
                if !matches!(number, OVERWRITE_UNREAD | DO_NOT_OVERWRITE) {
                    return Err(Error::value("DAQmx_Read_OverWrite", number));
                }
                state.not_running(Object::Read, id)?;
                state.read.overwrite = Some(number);
            }
            0x1215 => state.read.all_available = value.as_bool(),
            0x1823 => {
                let names = state.channel_names(value.as_str())?;
                state.read.channels = (!names.is_empty()).then_some(names);
            }
            0x1826 => state.read.auto_start = value.as_bool(),
            0x190A => {
                if !(relative::FIRST_SAMPLE..=relative::MOST_RECENT_SAMPLE).contains(&number) {
                    return Err(Error::value("DAQmx_Read_RelativeTo", number));
                }
                state.read.relative_to = Some(number);
            }
            0x190B => state.read.offset = number,
            0x2232 => {
                if !matches!(number, 12523 | 12524 | 12525 | 12547) {
                    return Err(Error::value("DAQmx_Read_WaitMode", number));
                }
                state.read.wait_mode = number;
            }
            0x22B0 => {
                if value.as_f64().is_nan() || value.as_f64() < 0.0 {
                    return Err(Error::value("DAQmx_Read_SleepTime", value.display()));
                }
                state.read.sleep_time = value.as_f64();
            }
            0x2EC5 if number == 10231 => {}
            _ => {
                return Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK)
                    .with("Property", row.display()));
            }
        }
        if !running {
            state.unverify();
        }
        Ok(())
    }

    pub(crate) fn reset_read(&self, id: i32) -> Result<()> {
        let row = attribute::resettable(Object::Read, id)?;
        let mut state = self.state()?;
        let default = ReadSettings::default();
        match row.id {
            0x1211 => {
                state.not_running(Object::Read, id)?;
                state.read.overwrite = default.overwrite;
            }
            0x1215 => state.read.all_available = default.all_available,
            0x1823 => state.read.channels = None,
            0x1826 => state.read.auto_start = default.auto_start,
            0x190A => state.read.relative_to = default.relative_to,
            0x190B => state.read.offset = default.offset,
            0x2232 => state.read.wait_mode = default.wait_mode,
            0x22B0 => state.read.sleep_time = default.sleep_time,
            0x2EC4..=0x2EC7 => {}
            _ => {
                return Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK)
                    .with("Property", row.display()));
            }
        }
        Ok(())
    }

    // ---- task attributes ----

    pub(crate) fn get_task(&self, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::Task, id)?;
        let mut state = self.state()?;
        Ok(match row.id {
            0x1273 => {
                let names: Vec<_> = state.channels.iter().map(|one| one.name.clone()).collect();
                Value::Str(names::join(&names))
            }
            0x1274 => Value::Bool(state.done()),
            0x1276 => Value::Str(self.name.clone()),
            0x2181 => Value::U32(state.channels.len() as u32),
            0x230E => {
                let names: Vec<_> = state
                    .devices()
                    .iter()
                    .map(|device| device.name.clone())
                    .collect();
                Value::Str(names::join(&names))
            }
            0x29BA => Value::U32(state.devices().len() as u32),
            _ => {
                return Err(
                    Error::new(code::ATTRIBUTE_NOT_SUPPORTED).with("Property", row.display())
                );
            }
        })
    }

    // ---- states ----

    pub(crate) fn control(&self, what: i32) -> Result<()> {
        match what {
            action::START => self.start(),
            action::STOP => self.stop(),
            action::VERIFY => {
                let mut state = self.state()?;
                if state.phase < Phase::Verified {
                    state.verify()?;
                }
                Ok(())
            }
            action::RESERVE | action::COMMIT => {
                let goal = if what == action::RESERVE {
                    Phase::Reserved
                } else {
                    Phase::Committed
                };
                let mut state = self.state()?;
                if state.phase < goal {
                    self.reserve(&mut state)?;
                    state.phase = goal;
                }
                Ok(())
            }
            action::UNRESERVE => {
                let mut state = self.resting()?;
                driver().release(self.handle);
                state.phase = state.phase.min(Phase::Verified);
                Ok(())
            }
            action::ABORT => {
                self.abort(code::RUNTIME_ABORTED_ROUTING);
                Ok(())
            }
            _ => Err(Error::new(code::INVALID_TASK_ACTION).with("Requested Value", what)),
        }
    }

    fn reserve(&self, state: &mut State) -> Result<Arc<Plan>> {
        let plan = state.verify()?;
        for device in state.devices() {
            if driver().is_unplugged(&device.name) {
                return Err(Error::new(code::DEV_CANNOT_BE_ACCESSED).with("Device", &device.name));
            }
        }
        driver().reserve(&plan.resources, self.handle)?;
        Ok(plan)
    }

    pub(crate) fn start(&self) -> Result<()> {
        let mut state = self.state()?;
        self.start_locked(&mut state, false)
    }

    fn start_locked(&self, state: &mut State, automatic: bool) -> Result<()> {
        if state.phase == Phase::Running {
            return Ok(());
        }
        let plan = self.reserve(state)?;
        state.rest = state.phase.max(Phase::Verified);
        if automatic
            && plan.rate.is_none()
            && let Some(run) = state.run.as_mut()
            && run.ended.is_none()
        {
            // One read on demand after another: the signal goes on where it was.
            run.plan = plan;
            state.phase = Phase::Running;
            state.auto_started = true;
            state.aborted = None;
            return Ok(());
        }
        state.runs += 1;
        self.archive(state);
        let overwrite = match state.read.overwrite {
            None => Overwrite::Unset,
            Some(DO_NOT_OVERWRITE) => Overwrite::Forbidden,
            Some(_) => Overwrite::Allowed,
        };
        let clock = driver().clock();
        let held = driver().triggers_held();
        let triggers = &state.triggers;
        let waits = triggers.start != trigger::kind::NONE && held && plan.rate.is_some();
        let delay = if triggers.start == trigger::kind::NONE {
            0.0
        } else {
            triggers.delay
        };
        let mut faults = driver().take_faults(&state.devices());
        let late: u64 = faults
            .iter()
            .filter(|fault| fault.kind == FaultKind::LateStart)
            .map(Fault::nanoseconds)
            .fold((delay * 1e9) as u64, u64::saturating_add);
        faults.retain(|fault| fault.kind != FaultKind::LateStart);
        let began = (!waits).then(|| clock.now().saturating_add(late));
        let finite = plan.total;
        let mut run = Run::new(state.runs, plan, clock, overwrite, began);
        run.faults = faults;
        if triggers.reference != trigger::kind::NONE && finite.is_some() {
            run.trigger.before = Some(u64::from(triggers.before));
        }
        if state.retriggered() && waits {
            run.trigger.record = Some(state.timing.samples);
        }
        state.run = Some(run);
        state.finished = false;
        state.phase = Phase::Running;
        state.auto_started = automatic;
        state.aborted = None;
        if state.events.any() {
            self.spawn_events(state.runs)?;
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Starts the thread that calls the program's callbacks during a run.
    fn spawn_events(&self, number: u32) -> Result<()> {
        let handle = self.handle;
        std::thread::Builder::new()
            .name("nidaqmx-sim-events".to_owned())
            .spawn(move || {
                if let Ok(task) = driver().task(handle) {
                    task.call_back(number);
                }
            })
            .map(drop)
            .map_err(|error| Error::new(code::UNEXPECTED).with("Reason", error))
    }

    /// Calls the callbacks of one run as they become due, until the run is over.
    fn call_back(&self, number: u32) {
        let mut state = lock(&self.state);
        let events = state.events;
        let (mut samples, mut signals) = (0u64, 0u64);
        loop {
            let over = state.running(number).is_err();
            // A read that took the last sample has stopped a task that a read had started.
            let finished = over && state.runs == number && state.finished;
            if over && !finished {
                return;
            }
            let Some(run) = state.run.as_mut() else {
                return;
            };
            let (acquired, done) = (run.acquired(), run.done());
            let status = run
                .ended
                .as_ref()
                .and_then(|ended| ended.error.as_ref())
                .map_or(0, Error::code);
            let mut next = u64::MAX;
            let due = match (events.every, events.signal, events.done) {
                // What was pending at a stop is discarded; only the end itself is told.
                (Some((every, callback)), _, _)
                    if !finished && acquired.saturating_sub(samples) >= u64::from(every) =>
                {
                    samples += u64::from(every);
                    Some(Call::Every {
                        callback,
                        samples: every,
                    })
                }
                (_, Some((signal, callback)), _) if !finished && acquired > signals => {
                    signals += 1;
                    Some(Call::Signal { callback, signal })
                }
                (_, _, Some(callback)) if done => Some(Call::Done { callback, status }),
                (every, signal, _) => {
                    if let Some((every, _)) = every {
                        next = run.time_of(samples + u64::from(every));
                    }
                    if signal.is_some() {
                        next = next.min(run.time_of(signals + 1));
                    }
                    next = next.min(run.ends_at());
                    None
                }
            };
            let Some(call) = due else {
                if done || finished {
                    return;
                }
                let sleep_time = run.clock.wait_until(next).filter(|_| next != u64::MAX);
                state = sleep(&self.changed, state, sleep_time);
                continue;
            };
            state.calling = Some(std::thread::current().id());
            drop(state);
            call.make(self.handle);
            state = lock(&self.state);
            state.calling = None;
            self.changed.notify_all();
            if matches!(call, Call::Done { .. }) {
                return;
            }
        }
    }

    /// Waits until no other thread is in a callback of this task.
    fn quiet<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State>
    where
        Self: 'a,
    {
        let me = std::thread::current().id();
        while state.calling.is_some_and(|thread| thread != me) {
            state = sleep(&self.changed, state, None);
        }
        state
    }

    /// Registers or (with no callback) unregisters a callback.
    fn set_event(
        &self,
        callback: Option<Callback>,
        already: i32,
        change: impl FnOnce(&mut Events) -> bool,
    ) -> Result<()> {
        let mut state = self.state()?;
        if state.phase == Phase::Running {
            return Err(Error::new(if callback.is_some() {
                code::CANNOT_REGISTER_EVENT_WHILE_RUNNING
            } else {
                code::CANNOT_UNREGISTER_EVENT_WHILE_RUNNING
            }));
        }
        let mut events = state.events;
        if change(&mut events) && callback.is_some() {
            return Err(Error::new(already));
        }
        state.events = events;
        drop(self.quiet(state));
        Ok(())
    }

    /// `DAQmxRegisterEveryNSamplesEvent`.
    pub(crate) fn on_every(
        &self,
        kind: i32,
        samples: u32,
        callback: Option<Callback>,
    ) -> Result<()> {
        match kind {
            1 => {}
            2 => return Err(Error::new(code::EVERY_N_TRANSFERRED_NOT_FOR_INPUT)),
            other => {
                return Err(Error::new(code::INVALID_ATTRIBUTE_VALUE)
                    .with("Parameter", "everyNsamplesEventType")
                    .with("Requested Value", other));
            }
        }
        if callback.is_some() && samples == 0 {
            return Err(Error::new(code::EVERY_N_INTERVAL_ZERO));
        }
        self.set_event(callback, code::EVERY_N_EVENT_ALREADY_REGISTERED, |events| {
            let already = events.every.is_some();
            events.every = callback.map(|callback| (samples, callback));
            already
        })
    }

    /// `DAQmxRegisterDoneEvent`.
    pub(crate) fn on_done(&self, callback: Option<Callback>) -> Result<()> {
        self.set_event(callback, code::DONE_EVENT_ALREADY_REGISTERED, |events| {
            let already = events.done.is_some();
            events.done = callback;
            already
        })
    }

    /// `DAQmxRegisterSignalEvent`.
    pub(crate) fn on_signal(&self, signal: i32, callback: Option<Callback>) -> Result<()> {
        if !SIGNALS.contains(&signal) {
            return Err(
                Error::new(code::SIGNAL_EVENT_NOT_SUPPORTED).with("Requested Value", signal)
            );
        }
        self.set_event(callback, code::SIGNAL_EVENT_ALREADY_REGISTERED, |events| {
            let already = events.signal.is_some();
            events.signal = callback.map(|callback| (signal, callback));
            already
        })
    }

    // ---- triggers and faults ----

    pub(crate) fn get_trigger(&self, id: i32) -> Result<Value> {
        self.state()?.triggers.get(id)
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

    /// A trigger arrives, where the task waits for one from this source (or from any).
    pub(crate) fn triggered(&self, source: Option<&str>) -> bool {
        let mut guard = lock(&self.state);
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
        let fits = fits(&state.triggers.start_source, state.triggers.start)
            || fits(&state.triggers.reference_source, state.triggers.reference);
        if let Some(run) = state.run.as_mut().filter(|_| fits) {
            run.triggered();
        }
        self.changed.notify_all();
        fits
    }

    /// Gives a fault to the run that is under way; false where there is none.
    pub(crate) fn fault(&self, fault: &Fault) -> bool {
        let mut guard = lock(&self.state);
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

    /// Puts the account of the last run aside.
    fn archive(&self, state: &mut State) {
        if let Some(mut run) = state.run.take() {
            run.end(None);
            driver().archive(run.ledger(&self.name));
        }
    }

    pub(crate) fn stop(&self) -> Result<()> {
        let mut state = self.state()?;
        state.finished = false;
        self.stop_locked(&mut state);
        drop(self.quiet(state));
        Ok(())
    }

    fn stop_locked(&self, state: &mut State) {
        if state.phase != Phase::Running {
            return;
        }
        if let Some(run) = state.run.as_mut()
            && !(state.auto_started && run.plan.rate.is_none() && state.aborted.is_none())
        {
            run.end(None);
        }
        state.phase = state.rest;
        if state.phase < Phase::Reserved {
            driver().release(self.handle);
        }
        self.changed.notify_all();
    }

    /// Stops at once and releases everything; waiting calls fail with `reason`.
    pub(crate) fn abort(&self, reason: i32) {
        let mut state = lock(&self.state);
        self.abort_locked(&mut state, reason);
        drop(self.quiet(state));
    }

    fn abort_locked(&self, state: &mut State, reason: i32) {
        state.aborted = Some(reason);
        state.finished = false;
        self.stop_locked(state);
        driver().release(self.handle);
        state.phase = state.phase.min(Phase::Verified);
        self.changed.notify_all();
    }

    pub(crate) fn clear(&self) {
        let mut state = lock(&self.state);
        self.abort_locked(&mut state, code::RUNTIME_ABORTED_ROUTING);
        self.archive(&mut state);
        state.cleared = true;
        self.changed.notify_all();
        drop(self.quiet(state));
    }

    /// Whether one of the task's channels is on this device.
    pub(crate) fn uses(&self, device: &str) -> bool {
        lock(&self.state)
            .channels
            .iter()
            .any(|channel| channel.device.name.eq_ignore_ascii_case(device))
    }

    pub(crate) fn is_done(&self) -> Result<bool> {
        let mut state = self.state()?;
        if let Some(error) = state.run_error() {
            return Err(error);
        }
        Ok(state.done())
    }

    pub(crate) fn wait_until_done(&self, timeout: f64) -> Result<()> {
        let mut state = self.state()?;
        let Some(run) = state.run.as_ref().filter(|_| state.phase == Phase::Running) else {
            return Ok(());
        };
        let (number, clock) = (run.number, Arc::clone(&run.clock));
        let deadline = Deadline::new(&clock, timeout);
        loop {
            if state.cleared || state.aborted.is_some() && state.phase != Phase::Running {
                return Err(Error::new(
                    state.aborted.unwrap_or(code::RUNTIME_ABORTED_ROUTING),
                ));
            }
            if state.phase != Phase::Running || state.runs != number {
                return Ok(());
            }
            if let Some(error) = state.run_error() {
                return Err(error);
            }
            if state.done() {
                return Ok(());
            }
            let target = state.run.as_ref().map_or(u64::MAX, Run::ends_at);
            if deadline.passed(&clock) {
                return Err(Error::new(code::WAIT_UNTIL_DONE_TIMED_OUT));
            }
            state = sleep(&self.changed, state, deadline.sleep(&clock, target));
        }
    }

    /// Names and units of channels, by their places in the task.
    pub(crate) fn names_of(&self, places: &[usize]) -> Result<Vec<(String, Option<&'static str>)>> {
        use crate::channel::id;
        let state = self.state()?;
        Ok(places
            .iter()
            .filter_map(|&place| state.channels.get(place))
            .map(|channel| {
                let measurement = channel.integer(id::AI_MEAS_TYPE);
                let unit = channel.integer(crate::sensor::units_attribute(measurement));
                (channel.name.clone(), crate::waveform::unit_name(unit))
            })
            .collect())
    }

    /// Bytes that a sample of a channel takes in a read of lines.
    pub(crate) fn lines_per_channel(&self) -> Result<usize> {
        if self.state()?.family() != channel_type::DIGITAL_INPUT {
            return Err(Error::new(code::READ_CHAN_TYPE_MISMATCH));
        }
        Ok(self.get_read(0x217C)?.as_u64() as usize)
    }

    /// Bytes of one raw sample of the channels to read.
    pub(crate) fn raw_width(&self) -> Result<usize> {
        match self.get_read(0x217A)? {
            Value::U32(bytes) if bytes > 0 => Ok(bytes as usize),
            _ => Err(Error::new(code::READ_NO_INPUT_CHANS)),
        }
    }

    /// The account of the current or last run.
    pub(crate) fn ledger(&self) -> Option<Ledger> {
        lock(&self.state)
            .run
            .as_mut()
            .map(|run| run.ledger(&self.name))
    }

    // ---- reading ----

    /// Waits for samples and takes them. Where an error comes with samples (a timeout), both are
    /// given.
    pub(crate) fn claim(&self, request: Request) -> (Option<Claim>, Option<Error>) {
        let mut held = match self.state() {
            Ok(state) => Held {
                guard: Some(state),
                changed: &self.changed,
            },
            Err(error) => return (None, Some(error)),
        };
        let mut claimed = false;
        let outcome = self.claim_held(&mut held, request, &mut claimed);
        let state = &mut *held;
        if let Some(run) = state.run.as_mut() {
            if claimed {
                run.claimed = None;
            }
            run.reads += 1;
            run.errors += u64::from(!matches!(outcome, Ok((_, None))));
        }
        // A task that a read started is stopped after its last sample; on demand, each is the last.
        let finished = state.auto_started
            && state.run.as_ref().is_some_and(|run| {
                run.plan.rate.is_none()
                    || matches!(outcome, Ok((_, None)))
                        && run.last().is_some_and(|last| run.position >= last)
            });
        if finished {
            state.finished = state.phase == Phase::Running;
            self.stop_locked(state);
        }
        if claimed {
            self.changed.notify_all();
        }
        match outcome {
            Ok((claim, error)) => (Some(claim), error),
            Err(error) => (None, Some(error)),
        }
    }

    fn claim_held(
        &self,
        held: &mut Held<'_>,
        request: Request,
        claimed: &mut bool,
    ) -> Result<(Claim, Option<Error>)> {
        if held.channels.is_empty() {
            return Err(Error::new(code::READ_NO_INPUT_CHANS));
        }
        if request.family != 0 && request.family != held.family() {
            return Err(Error::new(code::READ_CHAN_TYPE_MISMATCH));
        }
        if held.phase != Phase::Running {
            if !held.read.auto_start {
                return Err(Error::new(code::READ_AUTO_START_OFF));
            }
            self.start_locked(held, true)?;
        }
        let number = held.runs;
        let sources = held.read_indices()?;
        if request.scalar && sources.len() != 1 {
            return Err(Error::new(code::MULTI_CHAN_SCALAR_READ));
        }
        let clock = Arc::clone(&held.running(number)?.clock);
        let deadline = Deadline::new(&clock, request.timeout);
        // One read at a time: a second reader waits for its turn.
        while held.running(number)?.claimed.is_some() {
            if deadline.passed(&clock) {
                return Err(Error::new(code::SAMPLES_NOT_YET_AVAILABLE));
            }
            held.wait(deadline.sleep(&clock, u64::MAX));
        }
        // A stalled reader: it comes too late for its samples.
        let position = held.running(number)?.position;
        let faults = &mut held.running(number)?.faults;
        if let Some(index) = faults
            .iter()
            .position(|one| one.kind == FaultKind::ReaderStall && position >= one.after)
        {
            let stall = Deadline::new(&clock, faults.remove(index).seconds);
            while !stall.passed(&clock) {
                held.wait(stall.sleep(&clock, u64::MAX));
                held.running(number)?;
            }
        }
        let plan = &held.running(number)?.plan;
        if sources
            .iter()
            .any(|&index| plan.sources[index].raw_bits > request.widest)
        {
            return Err(Error::new(code::WRONG_READ_FUNCTION));
        }
        let all_available = held.read.all_available;
        let (relative_to, offset) = (held.relative_to(), i64::from(held.read.offset));
        if matches!(
            relative_to,
            relative::REFERENCE_TRIGGER | relative::FIRST_PRETRIGGER_SAMPLE
        ) {
            // The record is known when it is complete.
            while !held.running(number)?.done() {
                if deadline.passed(&clock) {
                    return Err(Error::new(code::SAMPLES_NOT_YET_AVAILABLE));
                }
                let soon = clock.now().saturating_add(1_000_000);
                let run = held.running(number)?;
                let target = run.last().map_or(soon, |last| run.time_of(last).max(soon));
                held.wait(deadline.sleep(&clock, target));
            }
        }
        let run = held.running(number)?;
        let plan = Arc::clone(&run.plan);
        let count = match request.samples {
            -1 => default_count(run, all_available),
            samples => u64::try_from(samples).map_err(|_| {
                Error::new(code::INVALID_ATTRIBUTE_VALUE)
                    .with("Parameter", "numSampsPerChan")
                    .with("Requested Value", samples)
            })?,
        };
        let needed = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .saturating_mul(request.width)
            .saturating_mul(sources.len());
        if needed > request.capacity {
            return Err(Error::new(code::READ_BUFFER_TOO_SMALL)
                .with("Requested Number of Samples per Channel", count)
                .with("Number of Channels", sources.len())
                .with("Array Size in Samples", request.capacity));
        }
        let base = match relative_to {
            relative::FIRST_SAMPLE => 0,
            relative::MOST_RECENT_SAMPLE => run.acquired(),
            relative::REFERENCE_TRIGGER | relative::FIRST_PRETRIGGER_SAMPLE => {
                let Some(before) = run.trigger.before else {
                    return Err(Error::new(code::NO_REF_TRIG));
                };
                let reference = run.trigger.reference.unwrap_or(0);
                if relative_to == relative::REFERENCE_TRIGGER {
                    reference
                } else {
                    reference - before
                }
            }
            _ => run.position,
        };
        let first = u64::try_from(
            i64::try_from(base)
                .unwrap_or(i64::MAX)
                .saturating_add(offset),
        )
        .map_err(|_| {
            Error::new(code::NEGATIVE_READ_SAMPLE_NUMBER)
                .with("Position", base)
                .with("Offset", offset)
        })?;
        let end = first.saturating_add(count);
        if first < run.oldest() {
            return Err(Error::new(code::SAMPLES_NO_LONGER_AVAILABLE)
                .with("Property", "DAQmx_Read_RelativeTo")
                .with("Corresponding Value", relative_to)
                .with("Property", "DAQmx_Read_Offset")
                .with("Corresponding Value", offset));
        }
        if run.last().is_some_and(|last| end > last) {
            return Err(Error::new(code::SAMPLES_WILL_NEVER_BE_AVAILABLE));
        }
        if plan.rate.is_none() {
            run.grant(end);
        }
        run.claimed = Some(end);
        *claimed = true;
        let (end, error) = loop {
            let run = held.running(number)?;
            let acquired = run.acquired();
            if let Some(index) = run
                .faults
                .iter()
                .position(|one| one.kind == FaultKind::ShortRead && acquired >= one.after)
            {
                run.faults.remove(index);
                let half = (first + count / 2).min(acquired).max(first);
                break (half, Some(Error::new(code::SAMPLES_NOT_YET_AVAILABLE)));
            }
            if acquired >= end {
                break (end, None);
            }
            if let Some(ended) = &run.ended {
                let error = ended.error.clone();
                return Err(
                    error.unwrap_or_else(|| Error::new(code::SAMPLES_WILL_NEVER_BE_AVAILABLE))
                );
            }
            if deadline.passed(&clock) {
                break (
                    acquired.max(first),
                    Some(Error::new(code::SAMPLES_NOT_YET_AVAILABLE)),
                );
            }
            let target = run.time_of(end).min(run.ends_at());
            held.wait(deadline.sleep(&clock, target));
        };
        let run = held.running(number)?;
        run.deliver(first, end);
        let started = run.started;
        Ok((
            Claim {
                plan,
                sources,
                first,
                count: (end - first) as usize,
                started,
            },
            error,
        ))
    }
}

/// The task's lock, held by a call that may have to wait.
struct Held<'a> {
    /// Always there, except within `wait`.
    guard: Option<MutexGuard<'a, State>>,
    changed: &'a Condvar,
}

impl Held<'_> {
    /// Lets go of the lock until something changed or the time is up; `None` waits for a change.
    fn wait(&mut self, time: Option<Duration>) {
        if let Some(guard) = self.guard.take() {
            self.guard = Some(sleep(self.changed, guard, time));
        }
    }
}

impl Deref for Held<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.guard
            .as_ref()
            .expect("the lock is held outside of wait")
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.guard
            .as_mut()
            .expect("the lock is held outside of wait")
    }
}

fn sleep<'a>(
    changed: &Condvar,
    guard: MutexGuard<'a, State>,
    time: Option<Duration>,
) -> MutexGuard<'a, State> {
    match time {
        None => changed.wait(guard).unwrap_or_else(PoisonError::into_inner),
        Some(time) => {
            let time = time.min(Duration::from_secs(3600));
            changed
                .wait_timeout(guard, time)
                .unwrap_or_else(PoisonError::into_inner)
                .0
        }
    }
}

/// What "all that is there" means for a read.
fn default_count(run: &mut Run, all_available: bool) -> u64 {
    match (run.plan.rate, run.plan.total) {
        (None, _) => 1,
        (Some(_), Some(total)) if !all_available => total.saturating_sub(run.position),
        _ => run.available(),
    }
}

/// When a waiting call gives up, in simulated time.
#[derive(Debug, Clone, Copy)]
struct Deadline(u64);

impl Deadline {
    /// A negative timeout waits for ever.
    fn new(clock: &Clock, timeout: f64) -> Self {
        if timeout < 0.0 {
            return Self(u64::MAX);
        }
        // The cast saturates, and takes NaN as 0.
        Self(clock.now().saturating_add((timeout * 1e9) as u64))
    }

    fn passed(self, clock: &Clock) -> bool {
        self.0 != u64::MAX && clock.now() >= self.0
    }

    /// How long to sleep for something that happens at `target` at the latest.
    fn sleep(self, clock: &Clock, target: u64) -> Option<Duration> {
        match self.0.min(target) {
            u64::MAX => None,
            until => clock.wait_until(until),
        }
    }
}

impl State {
    fn not_running(&self, object: Object, id: i32) -> Result<()> {
        if self.phase == Phase::Running {
            let row = attribute::find(object, id)?;
            return Err(Error::new(code::CANNOT_SET_WHILE_RUNNING).with("Property", row.display()));
        }
        Ok(())
    }

    /// Something changed: what was verified has to be verified again.
    fn unverify(&mut self) {
        self.plan = None;
        if self.phase == Phase::Verified {
            self.phase = Phase::Unverified;
        }
    }

    fn devices(&self) -> Vec<Arc<Device>> {
        let mut devices: Vec<Arc<Device>> = Vec::new();
        for channel in &self.channels {
            if !devices
                .iter()
                .any(|device| device.name == channel.device.name)
            {
                devices.push(Arc::clone(&channel.device));
            }
        }
        devices
    }

    /// The names of a list, as channels of this task. Ranges are expanded.
    fn channel_names(&self, list: &str) -> Result<Vec<String>> {
        let known = |name: &str| {
            self.channels
                .iter()
                .find(|channel| channel.name.eq_ignore_ascii_case(name.trim()))
                .map(|channel| channel.name.clone())
        };
        if let Some(name) = known(list) {
            return Ok(vec![name]);
        }
        let missing = |name: &str| Error::new(code::INVALID_CHANNEL).with("Channel Name", name);
        let mut found = Vec::new();
        for part in list
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            if let Some(name) = known(part) {
                found.push(name);
                continue;
            }
            for name in names::expand(part).map_err(|_| missing(part))? {
                found.push(known(&name).ok_or_else(|| missing(&name))?);
            }
        }
        Ok(found)
    }

    fn read_names(&self) -> Result<Vec<String>> {
        if self.channels.is_empty() {
            return Err(Error::new(code::NO_CHANS_IN_TASK));
        }
        Ok(match &self.read.channels {
            Some(names) => names.clone(),
            None => self
                .channels
                .iter()
                .map(|channel| channel.name.clone())
                .collect(),
        })
    }

    fn read_indices(&self) -> Result<Vec<usize>> {
        let Some(names) = &self.read.channels else {
            return Ok((0..self.channels.len()).collect());
        };
        names
            .iter()
            .map(|name| {
                self.channels
                    .iter()
                    .position(|channel| channel.name == *name)
                    .ok_or_else(|| Error::new(code::INVALID_CHANNEL).with("Channel Name", name))
            })
            .collect()
    }

    /// What the clocks of the task's devices have in common.
    fn clock_limits(&self) -> Option<ClockLimits> {
        let mut common: Option<ClockLimits> = None;
        for device in self.devices() {
            let count = self
                .channels
                .iter()
                .filter(|channel| channel.device.name == device.name)
                .count();
            let limits = match self.family() {
                channel_type::DIGITAL_INPUT => ClockLimits::digital(&device)?,
                channel_type::COUNTER_INPUT => ClockLimits::counter(&device)?,
                _ => ClockLimits::analog(&device, count)?,
            };
            common = Some(match common {
                None => limits,
                Some(common) => ClockLimits {
                    slowest: common.slowest.max(limits.slowest),
                    fastest_single: common.fastest_single.min(limits.fastest_single),
                    fastest: common.fastest.min(limits.fastest),
                    ..common
                },
            });
        }
        common
    }

    /// The type of the task's channels; 0 where it has none.
    fn family(&self) -> i32 {
        self.channels
            .first()
            .map_or(0, |channel| channel.integer(crate::channel::id::CHAN_TYPE))
    }

    /// The engines of devices that the task needs for itself.
    fn resources(&self, clocked: bool) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for channel in &self.channels {
            let device = channel.device.name.to_ascii_lowercase();
            let engine = match channel.physical {
                Physical::AnalogInput(_) => format!("{device}/ai"),
                Physical::Counter(number) => format!("{device}/ctr{number}"),
                // On demand, any number of tasks can read the same lines.
                Physical::Port(_) | Physical::Line(..) if !clocked => continue,
                Physical::Port(_) | Physical::Line(..) => format!("{device}/di"),
            };
            if !all.contains(&engine) {
                all.push(engine);
            }
        }
        all
    }

    /// The rate as the clock makes it; `None` on demand.
    fn sample_rate(&self) -> Result<Option<Rate>> {
        if self.timing.kind == timing_type::ON_DEMAND {
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

    fn buffer_size(&self) -> u64 {
        if let Some(size) = self.buffer {
            return u64::from(size);
        }
        match (self.timing.kind, self.timing.mode) {
            (timing_type::ON_DEMAND, _) => 0,
            (_, mode::FINITE) if !self.retriggered() => self.timing.samples,
            _ => {
                let rate = self.sample_rate().ok().flatten();
                default_buffer(
                    rate.map_or(self.timing.rate, Rate::hertz),
                    self.timing.samples,
                )
            }
        }
    }

    /// Checks everything together and fixes what a run needs.
    fn verify(&mut self) -> Result<Arc<Plan>> {
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
        let devices = self.devices();
        if let [first, others @ ..] = devices.as_slice()
            && others.iter().any(|other| {
                first.product.name != other.product.name || first.product.bus == bus::USB
            })
        {
            return Err(Error::new(code::MULTI_DEVS_IN_TASK));
        }
        let rate = self.sample_rate()?;
        let finite = rate.is_some() && self.timing.mode == mode::FINITE && !self.retriggered();
        let total = finite.then_some(self.timing.samples);
        if self.events.every.is_some() && rate.is_none() {
            return Err(Error::new(code::EVERY_N_NOT_FOR_UNBUFFERED));
        }
        self.check_triggers(rate.is_some(), total)?;
        let buffer = self.buffer_size();
        if rate.is_some() && buffer == 0 {
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
            .map(|channel| {
                let physical = channel.device.full_name(channel.physical);
                channel.source(signals.of(&channel.device.name, &physical))
            })
            .collect::<Result<Vec<_>>>()?;
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
        let resources = self.resources(rate.is_some());
        let plan = Arc::new(Plan {
            rate,
            total,
            buffer,
            sources,
            resources,
            signals: signals.version,
        });
        self.plan = Some(Arc::clone(&plan));
        self.phase = self.phase.max(Phase::Verified);
        Ok(plan)
    }

    /// Whether the triggers fit the device and the timing.
    fn check_triggers(&self, clocked: bool, total: Option<u64>) -> Result<()> {
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
            if !known && !channel {
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

    /// What reads are relative to.
    fn relative_to(&self) -> i32 {
        self.read
            .relative_to
            .unwrap_or(if self.triggers.reference == trigger::kind::NONE {
                relative::CURRENT_READ_POSITION
            } else {
                relative::FIRST_PRETRIGGER_SAMPLE
            })
    }

    /// Whether every start trigger starts a record of its own.
    fn retriggered(&self) -> bool {
        self.triggers.retriggerable
            && self.triggers.start != trigger::kind::NONE
            && self.timing.mode == mode::FINITE
    }

    /// Whether there is nothing left to wait for.
    fn done(&mut self) -> bool {
        match self.run.as_mut() {
            Some(run) if self.phase == Phase::Running => run.done(),
            _ => true,
        }
    }

    /// Why the run ended by itself, where it did with an error.
    fn run_error(&mut self) -> Option<Error> {
        if self.phase != Phase::Running {
            return None;
        }
        let run = self.run.as_mut()?;
        run.acquired();
        run.ended.as_ref()?.error.clone()
    }

    /// The run of this number, or why it is no longer under way.
    fn running(&mut self, number: u32) -> Result<&mut Run> {
        if let Some(reason) = self.aborted {
            return Err(Error::new(reason));
        }
        if self.cleared {
            return Err(Error::new(code::RUNTIME_ABORTED_ROUTING));
        }
        if self.phase != Phase::Running || self.runs != number {
            return Err(Error::new(code::SAMPLES_WILL_NEVER_BE_AVAILABLE));
        }
        self.run
            .as_mut()
            .ok_or_else(|| Error::new(code::SAMPLES_WILL_NEVER_BE_AVAILABLE))
    }
}
