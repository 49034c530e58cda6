//! The states of a task: from unverified to running and back, and waiting for the end.

use std::sync::Arc;

use super::attributes::DO_NOT_OVERWRITE;
use super::reading::{Deadline, sleep};
use super::triggers::Start;
use super::{Phase, State, Task};
use crate::channel::channel_type;
use crate::driver::driver;
use crate::error::{Error, Result, code};
use crate::fault::{Fault, FaultKind};
use crate::plan::Plan;
use crate::run::{Overwrite, Run};
use crate::trigger;

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

impl Task {
    pub(crate) fn control(&self, what: i32) -> Result<()> {
        if let Some(done) = crate::watchdog::act(self.handle, what) {
            return done;
        }
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

    pub(super) fn reserve(&self, state: &mut State) -> Result<Arc<Plan>> {
        let plan = state.verify()?;
        for device in state.devices() {
            driver().check_present(&device)?;
        }
        driver().reserve(&plan.resources, self.handle)?;
        if let Err(error) = crate::terminal::hold(self.handle) {
            if state.phase < Phase::Reserved {
                driver().release(self.handle);
            }
            return Err(error);
        }
        Ok(plan)
    }

    pub(crate) fn start(&self) -> Result<()> {
        if let Some(done) = crate::watchdog::act(self.handle, action::START) {
            return done;
        }
        let mut state = self.state()?;
        self.start_locked(&mut state, false)
    }

    pub(super) fn start_locked(&self, state: &mut State, automatic: bool) -> Result<()> {
        if state.phase == Phase::Running {
            return Ok(());
        }
        state.check_output()?;
        if crate::output::is_output(state.family()) {
            for device in state.devices() {
                crate::watchdog::check(&device)?;
            }
        }
        let plan = self.reserve(state)?;
        state.rest = state.phase.max(Phase::Verified);
        if automatic
            && plan.pace.on_demand()
            && state.family() != channel_type::COUNTER_INPUT
            && let Some(run) = state.run.as_mut()
            && run.ended.is_none()
        {
            // One read on demand after another: the signal goes on where it was.
            run.plan = plan;
            if let Some(began) = run.began {
                run.begin(began);
            }
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
        let armed = triggers.arm != trigger::kind::NONE;
        let started = triggers.start != trigger::kind::NONE && !plan.pace.on_demand();
        let triggered = armed || started;
        let waits = triggered && held;
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
        let now = clock.now();
        let start = if triggered && !held {
            state.find_start(&plan, now)
        } else {
            Start::At { after: 0, shift: 0 }
        };
        let finite = plan.total;
        let mut run = Run::new(state.runs, Arc::clone(&plan), clock, overwrite);
        run.output = state.generation(&plan)?;
        self.begin_log(state, &plan, run.started)?;
        run.faults = faults;
        if triggers.reference != trigger::kind::NONE && finite.is_some() {
            run.trigger.before = Some(u64::from(triggers.before));
        }
        if state.retriggered() && waits {
            run.trigger.record = Some(state.timing.samples);
        }
        run.engines = state.engines();
        run.trigger.armed = armed;
        match start {
            _ if waits => {}
            Start::At { after, shift } => {
                run.trigger.shift = shift;
                if !held && run.trigger.before.is_some() {
                    run.trigger.expected = state.find_reference(&plan, now, shift);
                }
                run.begin(now.saturating_add(after).saturating_add(late));
            }
            Start::With { engine } => {
                let seen = driver().engine(&engine, |engine| engine.started);
                run.trigger.engine = Some((engine, seen));
            }
            Start::Never => {}
        }
        state.run = Some(run);
        state.finished = false;
        state.phase = Phase::Running;
        state.auto_started = automatic;
        state.aborted = None;
        if state.logging.mode == crate::logging::mode::LOG {
            self.spawn_logger(state.runs)?;
        }
        if state.events.any() {
            self.spawn_events(state.runs)?;
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Puts the account of the last run aside.
    pub(super) fn archive(&self, state: &mut State) {
        if let Some(mut run) = state.run.take() {
            run.end(None);
            driver().archive(run.ledger(&self.name));
        }
    }

    pub(crate) fn stop(&self) -> Result<()> {
        if let Some(done) = crate::watchdog::act(self.handle, action::STOP) {
            return done;
        }
        self.drain_log();
        let mut state = self.state()?;
        state.finished = false;
        self.stop_locked(&mut state);
        drop(self.quiet(state));
        Ok(())
    }

    pub(super) fn stop_locked(&self, state: &mut State) {
        if state.phase != Phase::Running {
            return;
        }
        if let Some(run) = state.run.as_mut()
            && !(state.auto_started && run.plan.pace.on_demand() && state.aborted.is_none())
        {
            run.end(None);
        }
        self.end_log();
        state.rewind_output();
        state.phase = state.rest;
        if state.phase < Phase::Reserved {
            driver().release(self.handle);
        }
        self.changed.notify_all();
    }

    /// Stops at once and releases everything; waiting calls fail with `reason`.
    pub(crate) fn abort(&self, reason: i32) {
        let mut state = self.turn();
        self.abort_locked(&mut state, reason);
        drop(self.quiet(state));
    }

    pub(super) fn abort_locked(&self, state: &mut State, reason: i32) {
        state.aborted = Some(reason);
        state.finished = false;
        self.stop_locked(state);
        driver().release(self.handle);
        state.phase = state.phase.min(Phase::Verified);
        self.changed.notify_all();
    }

    pub(crate) fn clear(&self) {
        let mut state = self.turn();
        self.abort_locked(&mut state, code::RUNTIME_ABORTED_ROUTING);
        self.archive(&mut state);
        state.cleared = true;
        self.changed.notify_all();
        drop(self.quiet(state));
    }

    /// When the clock of the run under way began, as fraction of a second and seconds since 1904;
    /// `None` while it waits.
    pub(super) fn timestamp(state: &mut State) -> Option<(u64, i64)> {
        let run = state.run.as_mut()?;
        run.acquired();
        run.began?;
        let ticks = run.started.saturating_add((run.lead() / 100) as i64);
        Some(crate::waveform::since_1904(ticks))
    }

    /// `DAQmxWaitForValidTimestamp`.
    pub(crate) fn wait_for_timestamp(&self, event: i32, timeout: f64) -> Result<(u64, i64)> {
        const START_TRIGGER: i32 = 12491;
        const FIRST_SAMPLE: i32 = 16130;
        let mut state = self.state()?;
        let enabled = match event {
            START_TRIGGER => state.triggers.timestamp_enabled,
            FIRST_SAMPLE => state.timing.timestamp_enabled,
            _ => {
                return Err(
                    Error::new(code::TIMESTAMP_NOT_SUPPORTED).with("Requested Value", event)
                );
            }
        };
        if !enabled {
            return Err(Error::new(code::TIMESTAMP_NOT_ENABLED));
        }
        Deadline::check(timeout)?;
        if state.phase != Phase::Running {
            return Err(Error::new(code::TIMESTAMP_NOT_YET_RECEIVED));
        }
        let (number, clock) = (state.runs, driver().clock());
        let deadline = Deadline::new(&clock, timeout);
        loop {
            state.running(number)?;
            if let Some(time) = Self::timestamp(&mut state) {
                return Ok(time);
            }
            if deadline.passed(&clock) {
                return Err(Error::new(code::TIMESTAMP_NOT_YET_RECEIVED));
            }
            let soon = clock.now().saturating_add(1_000_000);
            state = sleep(&self.changed, state, deadline.sleep(&clock, soon));
        }
    }

    pub(crate) fn is_done(&self) -> Result<bool> {
        let mut state = self.state()?;
        if let Some(error) = state.run_error() {
            return Err(error);
        }
        Ok(state.done())
    }

    pub(crate) fn wait_until_done(&self, timeout: f64) -> Result<()> {
        Deadline::check(timeout)?;
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
}
