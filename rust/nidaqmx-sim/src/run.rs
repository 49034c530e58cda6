//! One run of a task, from its start to its stop: how far the acquisition is, what the input buffer
//! holds, and the ledger. The buffer is arithmetic over positions; no sample is stored.

use std::sync::Arc;

use crate::clock::Clock;
use crate::driver::driver;
use crate::error::Error;
use crate::fault::{Fault, FaultKind};
use crate::generation::Generation;
use crate::pace::Pace;
use crate::plan::Plan;

/// What the acquisition does when the buffer is full of unread samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overwrite {
    /// Not set: the acquisition goes on, and reads fail with -200279.
    Unset,
    /// The acquisition goes on; a program may read elsewhere.
    Allowed,
    /// The acquisition stops, and reads beyond the buffer fail with -200222.
    Forbidden,
}

/// The account of one run: what was produced, and where it went. In samples per channel.
///
/// `produced = delivered + overwritten + in_buffer`, at any moment. A sample that was read twice
/// (by means of the read offset) counts as delivered once. For a task of outputs, `produced` is what
/// the program wrote and `delivered` what of it was generated, each sample once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The task's name.
    pub task: String,
    /// Which run of the task this is, from 1 on.
    pub run: u32,
    /// Channels of the task.
    pub channels: usize,
    /// Samples that the device acquired.
    pub produced: u64,
    /// Samples that reads handed over.
    pub delivered: u64,
    /// Samples that were overwritten in the buffer before any read took them.
    pub overwritten: u64,
    /// Unread samples that the buffer still holds (or held when the run ended).
    pub in_buffer: u64,
    /// The input buffer's size in samples per channel.
    pub buffer_size: u64,
    /// Calls of read functions.
    pub reads: u64,
    /// How many of them failed.
    pub errors: u64,
    /// The task still runs.
    pub running: bool,
}

/// Which samples reads have taken: those below a border only counted, the others as intervals.
#[derive(Debug, Clone, Default)]
struct Delivered {
    border: u64,
    below: u64,
    parts: Vec<(u64, u64)>,
}

impl Delivered {
    fn add(&mut self, start: u64, end: u64) {
        if start < self.border {
            self.below += end.min(self.border) - start;
        }
        let (mut start, mut end) = (start.max(self.border), end);
        if start >= end {
            return;
        }
        if let Some(last) = self.parts.last_mut()
            && last.1 == start
        {
            last.1 = end;
            return;
        }
        let first = self.parts.partition_point(|part| part.1 < start);
        let last = self.parts.partition_point(|part| part.0 <= end);
        if first < last {
            start = start.min(self.parts[first].0);
            end = end.max(self.parts[last - 1].1);
        }
        self.parts.splice(first..last, [(start, end)]);
    }

    fn fold(&mut self, border: u64) {
        if border <= self.border {
            return;
        }
        let whole = self.parts.partition_point(|part| part.1 <= border);
        self.below += self
            .parts
            .drain(..whole)
            .map(|(start, end)| end - start)
            .sum::<u64>();
        if let Some(first) = self.parts.first_mut()
            && first.0 < border
        {
            self.below += border - first.0;
            first.0 = border;
        }
        self.border = border;
    }

    fn above(&self) -> u64 {
        self.parts.iter().map(|(start, end)| end - start).sum()
    }
}

/// How a run ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) acquired: u64,
    /// Why it ended, where nobody asked for it.
    pub(crate) error: Option<Error>,
}

/// What triggers do in a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trigger {
    /// The first sample after the reference trigger; `None` while it has not come.
    pub(crate) reference: Option<u64>,
    /// Samples wanted before the reference trigger, where there is one.
    pub(crate) before: Option<u64>,
    /// Samples of each record, where every trigger that a test sends starts another one.
    pub(crate) record: Option<u64>,
    /// When each of them came.
    pub(crate) times: Vec<u64>,
    /// Which sample of the signals is the run's first: a start trigger looked for it.
    pub(crate) shift: u64,
    /// Where the reference trigger is; `None` where it comes as soon as it can.
    pub(crate) expected: Option<Expected>,
    /// Counters wait for an arm start trigger.
    pub(crate) armed: bool,
    /// The engine whose start this run waits for, and how often that had started before.
    pub(crate) engine: Option<(String, u64)>,
}

/// Where a trigger was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Sample(u64),
    Never,
}

/// A time that no run reaches, with room for adding to it.
const FAR_FUTURE: u64 = 1 << 62;

/// Samples that an unthrottled run without a clock of its own is given at once in any case.
const NEAR: u64 = crate::wave::LOOK / 2;

/// One run of a task.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) number: u32,
    pub(crate) plan: Arc<Plan>,
    pub(crate) clock: Arc<Clock>,
    /// The engines whose clock this run is, for other tasks that share it.
    pub(crate) engines: Vec<String>,
    /// When the run was started, by the clock.
    pub(crate) origin: u64,
    /// When the run was started, in ticks of 100 ns since the beginning of year 1.
    pub(crate) started: i64,
    /// Simulated time at which the sample clock began; `None` while it waits for its trigger.
    pub(crate) began: Option<u64>,
    pub(crate) overwrite: Overwrite,
    /// The sample after the last one read.
    pub(crate) position: u64,
    /// End of the read that is waiting; it takes samples out of the buffer as they come.
    pub(crate) claimed: Option<u64>,
    /// How far an unthrottled run has been moved.
    granted: u64,
    /// Samples per channel that a transfer brings.
    transfer: u64,
    /// What will go wrong in this run.
    pub(crate) faults: Vec<Fault>,
    pub(crate) trigger: Trigger,
    pub(crate) ended: Option<Ended>,
    delivered: Delivered,
    pub(crate) reads: u64,
    pub(crate) errors: u64,
    /// What the run puts out, where it is one of outputs.
    pub(crate) output: Option<Generation>,
}

impl Run {
    pub(crate) fn new(
        number: u32,
        plan: Arc<Plan>,
        clock: Arc<Clock>,
        overwrite: Overwrite,
    ) -> Self {
        Self {
            number,
            plan,
            origin: clock.now(),
            engines: Vec::new(),
            clock,
            started: crate::waveform::now(),
            began: None,
            overwrite,
            position: 0,
            claimed: None,
            granted: 0,
            transfer: crate::driver::driver().transfer(),
            faults: Vec::new(),
            trigger: Trigger::default(),
            ended: None,
            delivered: Delivered::default(),
            reads: 0,
            errors: 0,
            output: None,
        }
    }

    fn on_demand(&self) -> bool {
        self.plan.pace.on_demand()
    }

    /// The clock begins: by itself, or because the start trigger has come.
    pub(crate) fn begin(&mut self, at: u64) {
        let delay = self.output.as_ref().map_or(0, |output| output.delay);
        let at = at.saturating_add(delay);
        self.began = Some(at);
        if let Some(output) = &self.output {
            output.begin(at);
        }
        self.trigger.engine = None;
        if self.trigger.armed {
            // Signals begin with the task, counters see them when they are armed.
            let lead = at.saturating_sub(self.origin);
            self.plan = Arc::new(self.plan.since(lead));
        }
        if self.plan.pace.rate().is_none() {
            self.origin = at;
        }
        if let Some(plan) = self.plan.bound(at, self.origin) {
            self.plan = Arc::new(plan);
        }
        if let Pace::Clock(rate) = self.plan.pace {
            let total = self.plan.total.filter(|_| self.trigger.before.is_none());
            for engine in &self.engines {
                driver().engine(engine, |engine| engine.begin(at, rate, total));
            }
        } else if let Pace::Arrivals(arrivals) = &self.plan.pace
            && let Some(leader) = arrivals.leader()
        {
            for engine in &self.engines {
                driver().engine(engine, |engine| engine.follow(leader, at));
            }
        }
    }

    /// Nanoseconds from the start of the run to the beginning of its clock.
    pub(crate) fn lead(&self) -> u64 {
        self.began.unwrap_or(0).saturating_sub(self.origin)
    }

    /// Begins where the engine that the run waits for has started.
    fn follow(&mut self) {
        let Some((name, seen)) = &self.trigger.engine else {
            return;
        };
        let began = driver().engine(name, |engine| {
            engine.began().filter(|_| engine.started > *seen)
        });
        if let Some(began) = began {
            self.begin(began);
        }
    }

    /// When a sample on demand is taken, in nanoseconds since the run began. Where time moves as
    /// reads need it, they are a millisecond apart.
    pub(crate) fn taken(&self, index: u64) -> u64 {
        if !self.on_demand() {
            return 0;
        }
        if self.clock.unthrottled() {
            let first = self.plan.measured_once().unwrap_or(0);
            return first.saturating_add((index + 1).saturating_mul(1_000_000));
        }
        self.began
            .map_or(0, |began| self.clock.now().saturating_sub(began))
    }

    /// When each counter will have measured once, where a read on demand has to wait for that; the
    /// end of time where nobody knows.
    pub(crate) fn ready(&mut self) -> Option<u64> {
        if !self.on_demand() {
            return None;
        }
        self.follow();
        // A count is there even before its counter is armed, a measurement is not.
        self.plan.intervals().next()?;
        let Some(began) = self.began else {
            return Some(u64::MAX);
        };
        let ready = match self.plan.measured_once() {
            Some(_) if self.clock.unthrottled() => return None,
            Some(ready) => began.saturating_add(ready),
            None => return Some(u64::MAX),
        };
        (self.clock.now() < ready).then_some(ready)
    }

    /// The first sample of a stretch at which the clock came twice within one measurement.
    pub(crate) fn overrun(&self, first: u64, end: u64) -> Option<u64> {
        if !self.plan.stops_at_overruns {
            return None;
        }
        let began = self.began?;
        let counters: Vec<_> = self.plan.intervals().collect();
        if counters.is_empty() {
            return None;
        }
        let time = |samples: u64| self.plan.pace.time(began, samples);
        (first..end).find(|index| {
            let before = (*index > 0).then(|| time(*index)).flatten();
            time(index + 1)
                .is_some_and(|at| counters.iter().any(|counter| counter.overran(before, at)))
        })
    }

    /// Samples on demand are taken now, by the clock.
    pub(crate) fn take_now(&mut self) {
        if let Some(plan) = self.plan.at(self.clock.now()) {
            self.plan = Arc::new(plan);
        }
    }

    /// Nanoseconds from the beginning to the end of so many samples.
    fn time_since(&self, samples: u64) -> u64 {
        let began = self.began.unwrap_or(0);
        self.plan.pace.time(began, samples).unwrap_or(0)
    }

    /// The samples that the clock has given, whatever became of them.
    fn clocked(&mut self, began: u64) -> u64 {
        let buffer = self.plan.buffer;
        if self.on_demand() {
            // A sample is taken when a read asks for it.
            return self.granted;
        }
        if let Some(record) = self.trigger.record {
            let now = self.clock.now();
            let pace = &self.plan.pace;
            return self
                .trigger
                .times
                .iter()
                .map(|time| pace.count(began, now.saturating_sub(*time)).min(record))
                .sum();
        }
        let lost = self
            .faults
            .iter()
            .find(|fault| fault.kind == FaultKind::ClockLost);
        if self.clock.unthrottled() && self.output.is_none() {
            let ahead = self
                .position
                .max(self.claimed.unwrap_or(0))
                .saturating_add(buffer);
            let ahead = match self.trigger.expected {
                // Not before its trigger can the run be complete.
                Some(Expected::Sample(sample)) => {
                    ahead.max(sample.saturating_add(self.plan.total.unwrap_or(0)))
                }
                _ => ahead,
            };
            let reachable = match &self.plan.pace {
                Pace::Clock(_) => ahead,
                _ if self.granted >= ahead => ahead,
                pace => {
                    // What is too far ahead to be looked at in one go comes bit by bit.
                    let near = ahead.min(self.granted.max(self.position).saturating_add(NEAR));
                    match (pace.time(began, near), pace.time(began, ahead)) {
                        (Some(_), Some(_)) => ahead,
                        (Some(_), None) => near,
                        // As many as will ever come.
                        (None, _) => pace.count(began, FAR_FUTURE).min(ahead),
                    }
                }
            };
            self.granted = self.granted.max(reachable);
            return match lost {
                Some(fault) if fault.nanoseconds() == u64::MAX => self.granted.min(fault.after),
                _ => self.granted,
            };
        }
        let pace = &self.plan.pace;
        let elapsed = self.clock.now().saturating_sub(began);
        let samples = pace.count(began, elapsed);
        match lost {
            Some(fault) if samples > fault.after => {
                let later = elapsed.saturating_sub(fault.nanoseconds());
                pace.count(began, later).max(fault.after)
            }
            _ => samples,
        }
    }

    /// When so many samples will have been acquired; the end of time where nobody knows.
    pub(crate) fn time_of(&self, samples: u64) -> u64 {
        let soon = self.clock.now().saturating_add(1_000_000);
        let Some(began) = self.began.filter(|_| !self.on_demand()) else {
            return if self.trigger.engine.is_some() {
                soon
            } else {
                u64::MAX
            };
        };
        if self.trigger.record.is_some() {
            // Within a record: look again soon.
            return soon;
        }
        let whole = samples
            .div_ceil(self.transfer)
            .saturating_mul(self.transfer);
        let mut wanted = self
            .last()
            .map_or(whole, |last| whole.min(last.max(samples)));
        for (after, stalled) in self.stalls() {
            if wanted > after {
                // What overflows is seen when the device's memory is full.
                wanted = wanted.max(after + stalled.min(self.plan.fifo + 1));
            }
        }
        let Some(time) = self.plan.pace.time(began, wanted) else {
            // Another task may make it come.
            return soon;
        };
        let mut time = began.saturating_add(time);
        for fault in &self.faults {
            if fault.kind == FaultKind::ClockLost && samples > fault.after {
                time = time.saturating_add(fault.nanoseconds());
            }
        }
        time
    }

    /// When the run will end by itself, or be complete; the end of time where nobody knows.
    pub(crate) fn ends_at(&self) -> u64 {
        let mut time = self.last().map_or(u64::MAX, |last| self.time_of(last));
        if let Some(written) = self.output.as_ref().and_then(Generation::runs_dry) {
            time = time.min(self.time_of(written + 1));
        }
        for fault in self.faults.iter().filter(|fault| fault.ending().is_some()) {
            time = time.min(self.time_of(fault.after));
        }
        for (after, stalled) in self.stalls() {
            if stalled > self.plan.fifo {
                time = time.min(self.time_of(after + 1));
            }
        }
        if self.overwrite == Overwrite::Forbidden {
            let full = self.position.max(self.claimed.unwrap_or(0)) + self.plan.buffer;
            time = time.min(self.time_of(full + 1));
        }
        if self.trigger.before.is_some() && self.trigger.reference.is_none() {
            time = time.min(self.clock.now().saturating_add(1_000_000));
        }
        time
    }

    /// Samples per channel acquired by now. May end the run, where the buffer is full and must not
    /// be overwritten, or where a fault ends it.
    pub(crate) fn acquired(&mut self) -> u64 {
        if let Some(ended) = &self.ended {
            return ended.acquired;
        }
        self.follow();
        let Some(began) = self.began else {
            // A counter that is not armed yet can be asked for its count.
            return if self.on_demand() { self.granted } else { 0 };
        };
        let buffer = self.plan.buffer;
        let raw = self.clocked(began);
        if let Some(before) = self.trigger.before
            && self.trigger.reference.is_none()
            && !driver().triggers_held()
        {
            let expected = self.trigger.expected.unwrap_or(Expected::Sample(before));
            if let Expected::Sample(sample) = expected
                && raw >= sample
            {
                self.trigger.reference = Some(sample);
            }
        }
        let total = match (self.trigger.before, self.trigger.reference) {
            (None, _) => self.plan.total,
            // Before its reference trigger the acquisition goes round in the buffer.
            (Some(_), None) => None,
            (Some(before), Some(reference)) => self
                .plan
                .total
                .map(|total| reference + total.saturating_sub(before)),
        };
        let mut acquired = total.map_or(raw, |total| raw.min(total));
        if let Some(output) = &self.output {
            acquired = output.generated(acquired, self.clock.unthrottled());
            if let Some(ended) = output.ended(acquired) {
                output.stop(began.saturating_add(self.time_since(acquired)));
                self.ended = Some(ended);
                return self.ended.as_ref().map_or(0, |ended| ended.acquired);
            }
        }
        let ending = self
            .faults
            .iter()
            .find_map(|fault| (acquired >= fault.after).then_some((fault.after, fault.ending()?)));
        if let Some((after, status)) = ending {
            self.ended = Some(Ended {
                acquired: after,
                error: Some(Error::new(status)),
            });
            if let Some(output) = &self.output {
                output.stop(began.saturating_add(self.time_since(after)));
            }
            return after;
        }
        let acquired = match self.transferred(acquired, total) {
            Ok(transferred) => transferred,
            Err(after) => {
                self.ended = Some(Ended {
                    acquired: after,
                    error: Some(Error::new(crate::error::code::INPUT_FIFO_OVERFLOW)),
                });
                return after;
            }
        };
        if self.overwrite == Overwrite::Forbidden && self.plan.total.is_none() {
            let full = self
                .position
                .max(self.claimed.unwrap_or(0))
                .saturating_add(buffer);
            if acquired > full && !self.on_demand() {
                self.ended = Some(Ended {
                    acquired: full,
                    error: Some(Error::new(
                        crate::error::code::ACQ_STOPPED_TO_PREVENT_OVERWRITE,
                    )),
                });
                return full;
            }
        }
        acquired
    }

    /// The times in which the bus takes nothing: the sample before which each begins, and how many
    /// samples are acquired meanwhile.
    fn stalls(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let rate = self.plan.pace.rate();
        let stalls = self.faults.iter();
        stalls
            .filter(|fault| fault.kind == FaultKind::BusStall)
            .filter_map(move |fault| Some((fault.after, rate?.samples_in(fault.nanoseconds()))))
    }

    /// How many of the acquired samples are in the computer; or, where the device's memory has
    /// overflowed, how many ever will be.
    fn transferred(&self, acquired: u64, total: Option<u64>) -> Result<u64, u64> {
        let mut there = if total.is_some_and(|total| acquired >= total) || self.on_demand() {
            acquired
        } else {
            acquired - acquired % self.transfer
        };
        for (after, stalled) in self.stalls() {
            if acquired > after.saturating_add(self.plan.fifo) && stalled > self.plan.fifo {
                return Err(after);
            }
            if acquired > after && acquired - after < stalled {
                there = there.min(after);
            }
        }
        Ok(there)
    }

    /// The sample after the last one of a finite acquisition, as far as it is known.
    pub(crate) fn last(&self) -> Option<u64> {
        let total = self.plan.total?;
        match (self.trigger.before, self.trigger.reference) {
            (None, _) => Some(total),
            (Some(_), None) => None,
            (Some(before), Some(reference)) => Some(reference + total.saturating_sub(before)),
        }
    }

    /// A trigger arrives: the start of the run, of a record, or its reference.
    pub(crate) fn triggered(&mut self) {
        let now = self.clock.now();
        if self.trigger.record.is_some() {
            self.trigger.times.push(now);
            if self.began.is_none() {
                self.begin(now);
            }
        } else if self.began.is_none() {
            self.begin(now);
        } else if let Some(before) = self.trigger.before
            && self.trigger.reference.is_none()
        {
            let acquired = self.acquired();
            if acquired >= before {
                self.trigger.reference = Some(acquired);
            }
        }
    }

    /// Whether more samples have come than were looked at so far: a signal had very many edges since
    /// the last look. An unthrottled run has what it was given.
    pub(crate) fn behind(&mut self) -> bool {
        self.acquired();
        self.ended.is_none() && !self.clock.unthrottled() && self.plan.pace.behind()
    }

    /// Takes samples on demand.
    pub(crate) fn grant(&mut self, end: u64) {
        self.granted = self.granted.max(end);
    }

    /// The oldest sample that the buffer still holds.
    pub(crate) fn oldest(&mut self) -> u64 {
        let acquired = self.acquired();
        self.oldest_of(acquired)
    }

    fn oldest_of(&self, acquired: u64) -> u64 {
        if self.on_demand() || self.plan.total.is_some() && self.trigger.before.is_none() {
            return 0;
        }
        acquired.saturating_sub(self.plan.buffer)
    }

    /// Unread samples; never more than the buffer holds.
    pub(crate) fn available(&mut self) -> u64 {
        let acquired = self.acquired();
        let unread = acquired.saturating_sub(self.position);
        if self.plan.total.is_some() {
            unread
        } else {
            unread.min(self.plan.buffer.max(1))
        }
    }

    /// Whether the acquisition has taken all the samples it will take.
    pub(crate) fn done(&mut self) -> bool {
        let acquired = self.acquired();
        self.ended.is_some() || self.on_demand() || self.last().is_some_and(|last| acquired >= last)
    }

    /// Ends the run where it stands.
    pub(crate) fn end(&mut self, error: Option<Error>) {
        let acquired = self.acquired();
        if self.ended.is_none() {
            self.ended = Some(Ended { acquired, error });
            if let Some(output) = &self.output {
                output.stop(self.clock.now());
            }
        }
        let engines = std::mem::take(&mut self.engines);
        if self.began.is_none() {
            // Their clock never ran: what they did earlier stays as it was.
            return;
        }
        let own = matches!(self.plan.pace, Pace::Clock(_));
        let now = self.clock.now();
        for engine in engines {
            driver().engine(&engine, |engine| {
                if own {
                    engine.end(acquired);
                } else {
                    engine.leave(now);
                }
            });
        }
    }

    /// Ends the run with an error at a sample, even if it has gone further meanwhile.
    pub(crate) fn end_at(&mut self, acquired: u64, error: Error) {
        let error = Some(error);
        self.ended = Some(Ended { acquired, error });
    }

    /// Notes that a read handed samples over.
    pub(crate) fn deliver(&mut self, start: u64, end: u64) {
        self.delivered.add(start, end);
        self.position = end;
    }

    /// The account as it stands.
    pub(crate) fn ledger(&mut self, task: &str) -> Ledger {
        let produced = self.acquired();
        if let Some(output) = &self.output {
            // For outputs: what was written, and what of it was generated.
            let written = output.written();
            return Ledger {
                task: task.to_owned(),
                run: self.number,
                channels: output.channels,
                produced: written,
                delivered: produced.min(written),
                overwritten: 0,
                in_buffer: written - produced.min(written),
                buffer_size: self.plan.buffer,
                reads: self.reads,
                errors: self.errors,
                running: self.ended.is_none(),
            };
        }
        let mut oldest = self.oldest_of(produced);
        if self.claimed.is_some() {
            oldest = oldest.min(self.position);
        }
        self.delivered.fold(oldest);
        let border = self.delivered.border;
        let above = self.delivered.above();
        Ledger {
            task: task.to_owned(),
            run: self.number,
            channels: self.plan.sources.len(),
            produced,
            delivered: self.delivered.below + above,
            overwritten: border - self.delivered.below,
            in_buffer: produced - border - above,
            buffer_size: self.plan.buffer,
            reads: self.reads,
            errors: self.errors,
            running: self.ended.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivered_counts_every_sample_once() {
        let mut delivered = Delivered::default();
        delivered.add(0, 10);
        delivered.add(10, 20);
        delivered.add(5, 15);
        delivered.add(30, 40);
        delivered.add(25, 30);
        assert_eq!(delivered.parts, [(0, 20), (25, 40)]);
        delivered.fold(27);
        assert_eq!((delivered.below, delivered.above()), (22, 13));
        delivered.add(20, 50);
        // 20..25 lie below the border and are new; 25..27 are not read twice in practice.
        assert_eq!(delivered.above(), 23);
        delivered.add(0, 0);
        delivered.fold(100);
        assert_eq!(delivered.above(), 0);
    }
}
