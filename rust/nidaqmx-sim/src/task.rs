//! A task: its channels, and what its lock protects. What it can do is in the files of `task/`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::ThreadId;

use crate::attribute::{self, Object, Value};
use crate::channel::{Channel, channel_type};
use crate::counter::Counter;
use crate::counter_channel;
use crate::device::Device;
use crate::driver::{driver, lock};
use crate::error::{Error, Result, code};
use crate::event::Events;
use crate::logging::{LogSettings, TaskLog};
use crate::names;
use crate::plan::{Kind, Plan};
use crate::run::Run;
use crate::timing::{Timing, mode};
use crate::trigger::{self, Triggers};

mod attributes;
mod callbacks;
mod logging;
mod reading;
mod settings;
mod states;
mod triggers;
mod verify;
mod writing;

use attributes::ReadSettings;
pub(crate) use reading::{Claim, Request};
pub(crate) use settings::Settings;
use writing::Writing;
pub(crate) use writing::{Numbers, WriteRequest};

/// How far a task has been brought; later states imply earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Unverified,
    Verified,
    Reserved,
    Committed,
    Running,
}

/// What the task's lock protects.
#[derive(Debug)]
struct State {
    channels: Vec<Channel>,
    timing: Timing,
    buffer: Option<u32>,
    read: ReadSettings,
    logging: LogSettings,
    /// The run whose samples the driver's logger has taken to the end.
    drained: u32,
    writing: Writing,
    phase: Phase,
    /// The phase that a stop goes back to.
    rest: Phase,
    plan: Option<Arc<Plan>>,
    run: Option<Run>,
    runs: u32,
    auto_started: bool,
    triggers: Triggers,
    events: Events,
    exports: crate::terminal::Exports,
    /// A read took the last sample and stopped the task that it had started.
    finished: bool,
    /// The thread that is in a callback of this task now.
    calling: Option<ThreadId>,
    /// Why a waiting call has to give up, where a stop is not the reason.
    aborted: Option<i32>,
    cleared: bool,
}

/// Pieces in which a run catches up after a step of the clock; what is left comes later.
const PIECES: usize = 256;

/// A task.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) handle: usize,
    pub(crate) name: String,
    state: Mutex<State>,
    changed: Condvar,
    /// Calls that wait for the state.
    calls: AtomicUsize,
    /// The log of the run; taken after the state, never before it.
    log: Mutex<Option<TaskLog>>,
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
                logging: LogSettings::default(),
                drained: 0,
                writing: Writing::default(),
                phase: Phase::Unverified,
                rest: Phase::Verified,
                plan: None,
                run: None,
                runs: 0,
                auto_started: false,
                triggers: Triggers::default(),
                events: Events::default(),
                exports: Default::default(),
                finished: false,
                calling: None,
                aborted: None,
                cleared: false,
            }),
            changed: Condvar::new(),
            calls: AtomicUsize::new(0),
            log: Mutex::new(None),
        }
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.turn();
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

    /// The task's lock, for a call of the program: whoever works through a run piece by piece lets
    /// such calls go first, see [`Task::yield_to_calls`].
    fn turn(&self) -> MutexGuard<'_, State> {
        // Relaxed: only a hint of how busy the lock is.
        self.calls.fetch_add(1, Ordering::Relaxed);
        let state = lock(&self.state);
        self.calls.fetch_sub(1, Ordering::Relaxed);
        state
    }

    /// Between two pieces of work, without the lock: lets waiting calls have it. Not for ever, as
    /// a program may call again and again.
    fn yield_to_calls(&self) {
        for _ in 0..100 {
            std::thread::yield_now();
            if self.calls.load(Ordering::Relaxed) == 0 {
                break;
            }
        }
    }

    /// Wakes whoever waits for this task, for instance after the clock was stepped. What came
    /// until then is looked at, piece by piece.
    pub(crate) fn wake(&self) {
        for _ in 0..PIECES {
            let mut state = self.turn();
            let running = state.phase == Phase::Running;
            let behind = running && state.run.as_mut().is_some_and(Run::behind);
            drop(state);
            if !behind {
                break;
            }
            self.yield_to_calls();
        }
        self.changed.notify_all();
    }

    // ---- channels ----

    /// Adds channels; all of them or none.
    pub(crate) fn add_channels(&self, channels: Vec<Channel>) -> Result<()> {
        let mut state = self.resting()?;
        for (index, channel) in channels.iter().enumerate() {
            channel.check_values()?;
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
        if state.family() == channel_type::COUNTER_INPUT
            && let Some((counter, at, count)) = state.register(list, id)?
        {
            drop(state);
            return Ok(if count {
                Value::U32(counter.current(at))
            } else {
                Value::Bool(counter.passed_its_end(at))
            });
        }
        if let Some(value) = state.pulse_state(list, id) {
            return value;
        }
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
        if state.changes_pulse(id) {
            Self::for_channels(&mut state, list, |channel| channel.set(id, value.clone()))?;
            return state.change_pulses(driver().clock().now());
        }
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

    /// Whether one of the task's channels is on this device.
    pub(crate) fn uses(&self, device: &str) -> bool {
        lock(&self.state)
            .channels
            .iter()
            .any(|channel| channel.device.name.eq_ignore_ascii_case(device))
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
        let all = self.channels.iter();
        for channel in all.flat_map(|one| std::iter::once(one).chain(&one.partners)) {
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

    /// The counter whose register is asked for, the time, and whether its count is wanted. The
    /// task's lock is not held while it counts, as that may take a while.
    fn register(&self, list: &str, id: i32) -> Result<Option<(Arc<Counter>, u64, bool)>> {
        let count = match u32::try_from(id) {
            Ok(counter_channel::attr::COUNT) => true,
            Ok(counter_channel::attr::TC_REACHED) => false,
            _ => return Ok(None),
        };
        let Some(run) = self.run.as_ref().filter(|_| self.phase == Phase::Running) else {
            return Ok(None);
        };
        let names = self.channel_names(list)?;
        let place = match names.first() {
            Some(name) => self.channels.iter().position(|one| one.name == *name),
            None => Some(0),
        };
        let Some(Kind::Counter(counter)) = place
            .and_then(|place| run.plan.sources.get(place))
            .map(|source| &source.kind)
        else {
            return Ok(None);
        };
        let at = run
            .began
            .map_or(0, |began| run.clock.now().saturating_sub(began));
        Ok(Some((Arc::clone(counter), at, count)))
    }

    /// The type of the task's channels; 0 where it has none.
    fn family(&self) -> i32 {
        self.channels
            .first()
            .map_or(0, |channel| channel.integer(crate::channel::id::CHAN_TYPE))
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
