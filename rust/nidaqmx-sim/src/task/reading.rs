//! Reading: what a read asks for and is given, and how it waits.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::time::Duration;

use super::attributes::relative;
use super::{Phase, State, Task};
use crate::attribute::Value;
use crate::channel::{Channel, channel_type};
use crate::clock::Clock;
use crate::counter::Moment;
use crate::counter_channel;
use crate::device::Physical;
use crate::driver::lock;
use crate::error::{Error, Result, code};
use crate::fault::FaultKind;
use crate::pace::Pace;
use crate::plan::{Kind, Plan, Source};
use crate::run::{Ledger, Run};

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
    /// When the run began, by the clock.
    pub(crate) began: u64,
    /// When samples on demand were taken, in nanoseconds since the run began.
    pub(crate) taken: u64,
    /// Which sample of the signals is the run's first.
    pub(crate) shift: u64,
    /// Nanoseconds from the run's start to the beginning of its clock.
    pub(crate) lead: u64,
}

impl Claim {
    /// Time from the run's first sample to the first one here, and from there to the next, in ticks
    /// of 100 ns; an interval of 0 where there is none.
    pub(crate) fn times(&self) -> (i64, i64) {
        let ticks = |time: u64| i64::try_from(time / 100).unwrap_or(i64::MAX);
        match self.plan.pace.rate() {
            Some(rate) => (
                ticks(rate.time_of(self.first)),
                (1e7 / rate.hertz()).round() as i64,
            ),
            None => (ticks(self.time_of(self.first)), 0),
        }
    }

    /// When a sample was taken, in nanoseconds since the run began.
    fn time_of(&self, index: u64) -> u64 {
        if self.plan.pace.on_demand() {
            return self.taken;
        }
        self.plan
            .pace
            .time(self.began, index.saturating_add(1))
            .unwrap_or(u64::MAX)
    }

    /// When a sample was taken, as far as it matters to its source.
    pub(crate) fn moment(&self, source: &Source, index: u64) -> Moment {
        let at = if source.timed() {
            self.time_of(index)
        } else {
            0
        };
        if matches!(source.kind, Kind::Digital(_)) {
            return Moment {
                index: self.plan.pace.tick(index).saturating_add(self.shift),
                at: at.saturating_add(self.lead),
                implicit: false,
            };
        }
        Moment {
            index,
            at,
            implicit: self.plan.pace.implicit(),
        }
    }

    /// Fills an array with what analog inputs show, which depends on the ticks of the clock: in one
    /// go, or sample by sample where a pause trigger has left ticks out.
    pub(crate) fn fill_ticks<T>(
        &self,
        first: u64,
        out: &mut [T],
        mut fill: impl FnMut(u64, &mut [T]),
    ) {
        let tick = |index: u64| self.plan.pace.tick(index).saturating_add(self.shift);
        let Pace::Arrivals(_) = self.plan.pace else {
            return fill(tick(first), out);
        };
        let mut index = first;
        let mut rest = out;
        while !rest.is_empty() {
            let begin = tick(index);
            let mut run = 1;
            while run < rest.len() && tick(index + run as u64) == begin + run as u64 {
                run += 1;
            }
            let (now, later) = rest.split_at_mut(run);
            fill(begin, now);
            index += run as u64;
            rest = later;
        }
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

    /// The lines of digital channels, by their places in the task, the highest first.
    pub(crate) fn line_names(&self, places: &[usize]) -> Result<Vec<String>> {
        let state = self.state()?;
        let channels = places.iter().filter_map(|&place| state.channels.get(place));
        Ok(channels
            .map(|channel| {
                let name = |(port, line): &(u32, u32)| {
                    channel.device.full_name(Physical::Line(*port, *line))
                };
                let lines: Vec<String> = channel.lines.iter().rev().map(name).collect();
                crate::names::join(&lines)
            })
            .collect())
    }

    /// Whether the counters to read measure this.
    pub(crate) fn check_measurement(&self, measurement: i32) -> Result<()> {
        let state = self.state()?;
        if !state.channels.is_empty() && state.family() != channel_type::COUNTER_INPUT {
            return Err(Error::new(code::READ_CHAN_TYPE_MISMATCH));
        }
        let wrong = |one: &&Channel| one.integer(counter_channel::attr::MEAS_TYPE) != measurement;
        match state.channels.iter().find(wrong) {
            Some(channel) => {
                Err(Error::new(code::WRONG_READ_FUNCTION).with("Channel Name", &channel.name))
            }
            None => Ok(()),
        }
    }

    /// Bytes that a sample of a channel takes in a read of lines.
    pub(crate) fn lines_per_channel(&self) -> Result<usize> {
        let state = self.state()?;
        if state.channels.is_empty() {
            return Err(Error::new(code::READ_NO_INPUT_CHANS));
        }
        if state.family() != channel_type::DIGITAL_INPUT {
            return Err(Error::new(code::READ_CHAN_TYPE_MISMATCH));
        }
        drop(state);
        Ok(self.get_read(0x217C)?.as_u64() as usize)
    }

    /// Whether the channels are power supplies, which have reads of their own.
    pub(crate) fn is_power(&self) -> bool {
        self.turn().channels.first().is_some_and(|channel| {
            channel.integer(crate::channel::id::AI_MEAS_TYPE) == crate::product::measure::POWER
        })
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
        self.turn().run.as_mut().map(|run| run.ledger(&self.name))
    }

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
        let mut outcome = self.claim_held(&mut held, request, &mut claimed);
        if let Ok((claim, _)) = &outcome
            && held.logging.is_on()
            && let Err(error) = held.log(self, claim)
        {
            outcome = Err(error);
        }
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
                run.plan.pace.on_demand()
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
        if crate::output::is_output(held.family()) {
            return Err(Error::new(code::READ_NO_INPUT_CHANS));
        }
        if request.family != 0 && request.family != held.family() {
            return Err(Error::new(code::READ_CHAN_TYPE_MISMATCH));
        }
        if held.logging.mode == crate::logging::mode::LOG && !crate::logging::is_logger() {
            return Err(Error::new(code::READ_NOT_SUPPORTED_FOR_LOGGING)
                .with("Property", "DAQmx_Logging_Mode")
                .with("Corresponding Value", "DAQmx_Val_Log"));
        }
        Deadline::check(request.timeout)?;
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
        // Jitter: each read comes late by another time, the same in every repetition.
        let run = held.running(number)?;
        let jitter = run
            .faults
            .iter()
            .find(|one| one.kind == FaultKind::Jitter && run.position >= one.after)
            .map(|one| one.seconds * f64::from(crate::signal::salt(0, run.reads)) / 65_536.0);
        if let Some(seconds) = jitter {
            let late = Deadline::new(&clock, seconds);
            while !late.passed(&clock) {
                held.wait(late.sleep(&clock, u64::MAX));
                held.running(number)?;
            }
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
        if plan.pace.on_demand() {
            run.grant(end);
            run.take_now();
        }
        run.claimed = Some(end);
        *claimed = true;
        // On demand a counter has to measure first.
        while let Some(ready) = held.running(number)?.ready() {
            if deadline.passed(&clock) || ready == u64::MAX && clock.unthrottled() {
                return Err(Error::new(code::SAMPLES_NOT_YET_AVAILABLE));
            }
            held.wait(deadline.sleep(&clock, ready));
        }
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
        let (end, error) = match run.overrun(first, end) {
            None => (end, error),
            Some(at) => {
                let overrun = Error::new(code::CI_OVERRUN);
                run.end_at(at, overrun.clone());
                (at, Some(overrun))
            }
        };
        run.deliver(first, end);
        let claim = Claim {
            plan: Arc::clone(&run.plan),
            sources,
            first,
            count: (end - first) as usize,
            started: run.started,
            began: run.began.unwrap_or(0),
            taken: run.taken(first),
            shift: run.trigger.shift,
            lead: run.lead(),
        };
        Ok((claim, error))
    }
}

/// The task's lock, held by a call that may have to wait.
pub(super) struct Held<'a> {
    /// Always there, except within `wait`.
    pub(super) guard: Option<MutexGuard<'a, State>>,
    pub(super) changed: &'a Condvar,
}

impl<'a> Held<'a> {
    /// Writes what a read took to the task's log, with the task's lock given free meanwhile; the
    /// log's own lock is taken first, so that a stop cannot close the file in between.
    fn log(&mut self, task: &'a Task, claim: &Claim) -> Result<()> {
        let mut log = lock(&task.log);
        drop(self.guard.take());
        let end = claim.first + claim.count as u64;
        let result = match log.as_mut() {
            Some(log) => log.append(claim, end),
            None => Ok(()),
        };
        drop(log);
        self.guard = Some(lock(&task.state));
        result
    }

    /// Lets go of the lock until something changed or the time is up; `None` waits for a change.
    pub(super) fn wait(&mut self, time: Option<Duration>) {
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

pub(super) fn sleep<'a>(
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
pub(super) fn default_count(run: &mut Run, all_available: bool) -> u64 {
    match (run.plan.pace.on_demand(), run.plan.total) {
        (true, _) => 1,
        (false, Some(total)) if !all_available => total.saturating_sub(run.position),
        _ => run.available(),
    }
}

/// When a waiting call gives up, in simulated time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(u64);

impl Deadline {
    /// Refuses a timeout that is none: not a number, or negative and not -1.
    pub(super) fn check(timeout: f64) -> Result<()> {
        if timeout == -1.0 || timeout >= 0.0 {
            Ok(())
        } else {
            Err(Error::new(code::INVALID_TIMEOUT).with("Requested Value", format!("{timeout:?}")))
        }
    }

    /// A timeout of -1 waits for ever.
    pub(super) fn new(clock: &Clock, timeout: f64) -> Self {
        if timeout < 0.0 {
            return Self(u64::MAX);
        }
        // The cast saturates, and takes NaN as 0.
        Self(clock.now().saturating_add((timeout * 1e9) as u64))
    }

    pub(super) fn passed(self, clock: &Clock) -> bool {
        self.0 != u64::MAX && clock.now() >= self.0
    }

    /// How long to sleep for something that happens at `target` at the latest.
    pub(super) fn sleep(self, clock: &Clock, target: u64) -> Option<Duration> {
        match self.0.min(target) {
            u64::MAX => None,
            until => clock.wait_until(until),
        }
    }
}
