//! The callbacks of a task: registering them, and the thread that makes them.

use std::sync::MutexGuard;

use super::reading::sleep;
use super::{Phase, State, Task};
use crate::driver::{driver, lock};
use crate::error::{Error, Result, code};
use crate::event::{Call, Callback, Events, SIGNALS};
use crate::output::is_output;

impl Task {
    /// Starts the thread that calls the program's callbacks during a run.
    pub(super) fn spawn_events(&self, number: u32) -> Result<()> {
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
    pub(super) fn call_back(&self, number: u32) {
        let mut state = lock(&self.state);
        let events = state.events;
        let every_kind = if is_output(state.family()) { 2 } else { 1 };
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
                        kind: every_kind,
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
                if run.behind() {
                    // More has come than one look finds: go on, with a pause for others.
                    drop(state);
                    self.yield_to_calls();
                    state = lock(&self.state);
                    continue;
                }
                let sleep_time = run.clock.wait_until(next).filter(|_| next != u64::MAX);
                state = sleep(&self.changed, state, sleep_time);
                continue;
            };
            state.calling = Some(std::thread::current().id());
            drop(state);
            call.make(self.handle);
            self.yield_to_calls();
            state = lock(&self.state);
            state.calling = None;
            self.changed.notify_all();
            if matches!(call, Call::Done { .. }) {
                return;
            }
        }
    }

    /// Waits until no other thread is in a callback of this task.
    pub(super) fn quiet<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State>
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
    pub(super) fn set_event(
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
        let output = is_output(self.state()?.family());
        match kind {
            1 if output => return Err(Error::new(code::EVERY_N_ACQUIRED_NOT_FOR_OUTPUT)),
            2 if output => {}
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
}
