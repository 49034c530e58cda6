//! A task's log: it begins with a run, takes what reads hand over or what the driver's own thread
//! takes, and ends with the run.

use std::sync::Arc;
use std::time::Duration;

use super::reading::sleep;
use super::{Phase, Request, State, Task};
use crate::driver::{driver, lock};
use crate::error::{Error, Result, code};
use crate::logging::{TaskLog, become_logger, is_logger, mode};
use crate::plan::Plan;

impl State {
    /// Whether logging fits the rest of the task.
    pub(super) fn check_logging(&self, plan: &Plan) -> Result<()> {
        if !self.logging.is_on() {
            return Ok(());
        }
        let width = |bits: u32| u64::from(bits.min(64)).div_ceil(8);
        let bytes = plan.sources.iter().map(|one| width(one.raw_bits)).sum();
        if self.channels.iter().any(|channel| {
            channel.integer(crate::channel::id::AI_MEAS_TYPE) == crate::product::measure::POWER
        }) {
            return Err(Error::new(code::NOT_SUPPORTED_FOR_LOGGING));
        }
        self.logging
            .check(!plan.pace.on_demand(), self.read.is_moved(), bytes)
    }
}

impl Task {
    /// Changes how the task logs; only while it does not run.
    pub(crate) fn configure_logging(
        &self,
        path: &str,
        mode: i32,
        group: &str,
        operation: i32,
    ) -> Result<()> {
        let mut state = self.state()?;
        if state.phase == Phase::Running {
            return Err(Error::new(code::CANNOT_SET_WHILE_RUNNING));
        }
        state.logging.configure(path, mode, group, operation)?;
        state.unverify();
        Ok(())
    }

    /// `DAQmxStartNewFile`.
    pub(crate) fn start_new_file(&self, path: &str) -> Result<()> {
        drop(self.state()?);
        match lock(&self.log).as_mut() {
            Some(log) => log.start_new_file(path),
            None => Err(Error::new(code::CANNOT_PERFORM_WHEN_NOT_RUNNING)),
        }
    }

    /// Opens the log of a run that is about to begin.
    pub(super) fn begin_log(&self, state: &State, plan: &Plan, started: i64) -> Result<()> {
        if !state.logging.is_on() {
            return Ok(());
        }
        let names: Vec<_> = state
            .channels
            .iter()
            .map(|channel| {
                use crate::channel::id;
                let kind = channel.integer(id::AI_MEAS_TYPE);
                let unit = channel.integer(crate::sensor::units_attribute(kind));
                (channel.name.clone(), crate::waveform::unit_name(unit))
            })
            .collect();
        let log = TaskLog::begin(&state.logging, &self.name, plan, &names, started)?;
        *lock(&self.log) = Some(log);
        Ok(())
    }

    /// Closes the log's file.
    pub(super) fn end_log(&self) {
        *lock(&self.log) = None;
    }

    /// Starts the thread that logs where no read can.
    pub(super) fn spawn_logger(&self, number: u32) -> Result<()> {
        let handle = self.handle;
        std::thread::Builder::new()
            .name("nidaqmx-sim-logger".to_owned())
            .spawn(move || {
                become_logger();
                if let Ok(task) = driver().task(handle) {
                    task.log_run(number);
                    lock(&task.state).drained = number;
                    task.changed.notify_all();
                }
            })
            .map(drop)
            .map_err(|error| Error::new(code::UNEXPECTED).with("Reason", error))
    }

    /// Takes the samples of one run as they come, until it is over.
    fn log_run(&self, number: u32) {
        loop {
            let mut state = lock(&self.state);
            let settings = state.logging.clone();
            let count = loop {
                let Ok(run) = state.running(number) else {
                    return;
                };
                let rate = run.plan.pace.rate().map_or(1.0, crate::clock::Rate::hertz);
                let chunk = settings.chunk(rate, run.plan.buffer);
                let there = run.available();
                let over = run.done();
                if over && there == 0 {
                    return;
                }
                if over || there >= chunk {
                    if run.clock.unthrottled() && !over {
                        // Time moves as reads ask for it: the disk must not fill up at that pace.
                        let pause = Duration::from_secs_f64((chunk as f64 / rate).min(1.0));
                        drop(state);
                        std::thread::sleep(pause);
                    } else {
                        drop(state);
                    }
                    break there.min(chunk.max(1));
                }
                let clock = Arc::clone(&run.clock);
                let target = run.time_of(run.position + chunk).min(run.ends_at());
                let wait = clock.wait_until(target).filter(|_| target != u64::MAX);
                state = sleep(&self.changed, state, wait);
            };
            let (claim, _) = self.claim(Request {
                samples: i32::try_from(count).unwrap_or(i32::MAX),
                timeout: 0.0,
                capacity: usize::MAX,
                width: 1,
                family: 0,
                scalar: false,
                widest: u32::MAX,
            });
            // A failure is kept by the run itself (or by the log, which then writes no more).
            if claim.is_none() {
                return;
            }
        }
    }

    /// Before a stop: the samples that were acquired up to now go into the log.
    pub(super) fn drain_log(&self) {
        let mut state = self.turn();
        if state.logging.mode != mode::LOG || state.phase != Phase::Running || is_logger() {
            return;
        }
        let number = state.runs;
        if let Some(run) = state.run.as_mut() {
            run.end(None);
        }
        self.changed.notify_all();
        while state.drained != number && state.phase == Phase::Running && state.runs == number {
            state = sleep(&self.changed, state, None);
        }
    }
}
