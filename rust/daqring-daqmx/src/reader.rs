//! The reading thread.

use std::cmp::Ordering;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use daqring_ring::slots::{Policy, ReserveError, SlotProducer, WriteSlot};
use daqring_ring::{BlockMeta, RecordMark};

use crate::gap::{Cause, Gap, LOST_UNKNOWN};
use crate::lateness::Lateness;
use crate::runs::{append_runs, move_runs};
use crate::status::{DriverError, Meaning};
use crate::task::{DriverTask, ReadResult};
use crate::thread;

/// Longest that a read of samples that are there waits in the driver.
const READ_TIMEOUT: f64 = 0.25;
/// Samples that are so much overdue are asked for all the same, without waiting: the driver then says why.
const OVERDUE: Duration = Duration::from_secs(1);
/// A block that is not full so long after it could have been is given away.
const FLUSH: Duration = Duration::from_secs(1);
/// Shortest pause between two looks at the driver's buffer, while it fills and while it does not.
const SHORTEST_PAUSE: Duration = Duration::from_micros(50);
const IDLE_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Bytes of the time of a sample.
const TIME: usize = size_of::<i64>();

/// Between two readings of the driver's count and the host's clocks.
const CLOCK_PERIOD: Duration = Duration::from_secs(10);

/// Takes the index of the sample that the driver acquires now, from time to time.
pub type ClockSink = Box<dyn FnMut(u64) + Send>;

/// Takes the Unix time of the task's first sample, in nanoseconds, before the first block is given away.
pub type StartSink = Box<dyn FnOnce(i64) + Send>;

/// How a task is read. Samples are per channel and counted from the start of the task.
pub struct ReaderOptions {
    /// Name of the thread.
    pub name: String,
    /// Samples of a full block: a slot holds as many.
    pub block: u64,
    /// Samples of a read, at most; not more than a block.
    pub most: u64,
    /// Sample rate in Hz.
    pub rate: f64,
    /// When samples come, and which belong together.
    pub pace: Pace,
    /// Put the time at which each sample was seen in front of the channels, as i64 nanoseconds since
    /// 1970. A slot then holds eight bytes more per sample.
    pub timed: bool,
    /// Index of the first sample that will be read.
    pub position: u64,
    /// What the driver's count of samples lacks: it began anew since the stream began.
    pub shift: u64,
    /// What is missing before the first sample that will be read: how many, if known, and why.
    pub gap: Option<(Option<u64>, Cause)>,
    /// Keep the ring open at the end, for [`Reader::take_producer`].
    pub keep_open: bool,
    /// After an overwrite, skip what is lost and go on.
    pub skip_lost: bool,
    /// Where to end; `None`: on a stop only.
    pub end: Option<u64>,
    /// Stop the task at the end.
    pub stop_task: bool,
    /// Called after the first read and every ten seconds; must return at once.
    pub clock: Option<ClockSink>,
    /// Called once where the first sample comes later than the start, such as after a trigger. The time is
    /// that of the driver's count: now, less the samples until now at the rate.
    pub start: Option<StartSink>,
    /// Called in the thread before the first read, such as to choose its core. A panic there is one of
    /// the reading.
    pub on_thread: Option<Box<dyn FnOnce() + Send>>,
}

/// When the samples of a task come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At the rate.
    Steady,
    /// When they like; they are taken as they come.
    Unsteady,
    /// Each trigger brings a record of this many samples, at the rate; some of them from before it.
    Records {
        /// Samples of a record.
        samples: u64,
        /// Of these, before the trigger.
        pretrigger: u64,
    },
    /// When they are read: one every so often.
    OnDemand(Duration),
}

/// Why the reading ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All samples that were asked for were read.
    Finished,
    /// A stop.
    Stopped,
    /// The ring was closed from the other side.
    RingClosed,
    /// The ring was full, and its policy is to end then.
    RingFull,
    /// The driver ended it. [`Outcome::gap`] tells the loss where it is one.
    Driver(DriverError),
    /// A defect of this crate, or of what it was given to call.
    Panicked(String),
}

/// What came of the reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Why it ended.
    pub ending: Ending,
    /// A loss at the end, that no block tells; what the ring dropped last, it knows itself.
    pub gap: Option<Gap>,
    /// Index of the sample after the last one read.
    pub position: u64,
    /// Index of the sample after the last one that was acquired, as far as the driver tells; not before
    /// the position.
    pub reached: u64,
    /// Samples that the driver says it acquired, where it says so.
    pub acquired: Option<u64>,
    /// For how long samples had been waiting when they were read.
    pub lateness: Lateness,
    /// When the reading ended.
    pub ended: Instant,
}

/// A look at the running thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Reads until now.
    pub reads: u64,
    /// Reads that gave less than was asked for.
    pub short_reads: u64,
    /// Samples that waited in the driver's buffer when last seen.
    pub backlog: u64,
    /// Most that were seen there.
    pub backlog_high_water: u64,
    /// The losses until now.
    pub losses: Losses,
}

/// How much was lost: the sum of [`Reader::gaps`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Holes.
    pub gaps: u64,
    /// Samples in them, as far as counted.
    pub samples: u64,
    /// Holes whose size nobody knows.
    pub unknown: u64,
}

/// The losses, and their sum, which is looked at far more often.
#[derive(Default)]
struct Gaps {
    list: Vec<Gap>,
    sum: Losses,
}

impl Gaps {
    fn push(&mut self, gap: Gap) {
        self.list.push(gap);
        self.sum.gaps += 1;
        match gap.count {
            Some(count) => self.sum.samples += count,
            None => self.sum.unknown += 1,
        }
    }

    /// So many more samples are lost at the end of the last gap.
    fn grow(&mut self, samples: u64) {
        if let Some(count) = self.list.last_mut().and_then(|gap| gap.count.as_mut()) {
            *count += samples;
            self.sum.samples += samples;
        }
    }
}

#[derive(Default)]
struct Shared {
    stopping: Mutex<bool>,
    stop: Condvar,
    abandoned: AtomicBool,
    reads: AtomicU64,
    short_reads: AtomicU64,
    backlog: AtomicU64,
    backlog_high_water: AtomicU64,
    gaps: Mutex<Gaps>,
    outcome: Mutex<Option<Outcome>>,
    ended: Condvar,
    producer: Mutex<Option<SlotProducer>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread that reads a task. Dropping it stops and joins the thread.
pub struct Reader {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Starts reading a running task into a ring whose slots hold a block each.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        task: DriverTask,
        producer: SlotProducer,
        options: ReaderOptions,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let name = options.name.clone();
        let thread = thread::spawn(&name, move || {
            read_task(task, producer, options, &for_thread)
        })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Asks the thread to end with what the driver has acquired until now. Returns at once.
    pub fn stop(&self) {
        *lock(&self.shared.stopping) = true;
        self.shared.stop.notify_all();
    }

    /// From now on an error of the driver is not one of the recording: it was brought about to end
    /// a read that did not come back.
    pub fn abandon(&self) {
        self.shared.abandoned.store(true, Relaxed);
        self.stop();
    }

    /// Waits for the end; true if it has come, false after `timeout`.
    pub fn wait(&self, timeout: Duration) -> bool {
        let outcome = lock(&self.shared.outcome);
        let (outcome, _) = self
            .shared
            .ended
            .wait_timeout_while(outcome, timeout, |outcome| outcome.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        outcome.is_some()
    }

    /// What came of it, once it has ended.
    pub fn outcome(&self) -> Option<Outcome> {
        lock(&self.shared.outcome).clone()
    }

    /// The ring's producer, once the reading has ended, where it was to be kept open.
    pub fn take_producer(&self) -> Option<SlotProducer> {
        lock(&self.shared.producer).take()
    }

    /// The losses until now, in order.
    pub fn gaps(&self) -> Vec<Gap> {
        lock(&self.shared.gaps).list.clone()
    }

    /// The counters now.
    pub fn progress(&self) -> Progress {
        Progress {
            reads: self.shared.reads.load(Relaxed),
            short_reads: self.shared.short_reads.load(Relaxed),
            backlog: self.shared.backlog.load(Relaxed),
            backlog_high_water: self.shared.backlog_high_water.load(Relaxed),
            losses: lock(&self.shared.gaps).sum,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread is in the outcome.
            let _ = thread.join();
        }
    }
}

/// The thread: reads, stops the task, says how it ended.
fn read_task(
    task: DriverTask,
    producer: SlotProducer,
    mut options: ReaderOptions,
    shared: &Shared,
) {
    let stop_task = options.stop_task;
    let on_thread = options.on_thread.take();
    let mut reading = Reading {
        flush: flush_after(&options),
        wanted: options.end,
        end: options.end,
        position: options.position,
        shift: options.shift,
        resume: options.gap,
        skipped: false,
        seen: 0,
        restarted: false,
        task,
        producer,
        options,
        shared,
        filling: None,
        scratch: Vec::new(),
        lateness: Lateness::default(),
        gap: None,
        dropped: None,
        ring_full: false,
        clock_told: None,
        record_start: None,
    };
    let ending = catch_unwind(AssertUnwindSafe(|| {
        if let Some(hook) = on_thread {
            hook();
        }
        reading.run()
    }))
    .unwrap_or_else(|payload| Ending::Panicked(panic_message(&*payload)));
    reading.tell_resume();
    let acquired = reading.task.acquired();
    let reached = match reading.options.pace {
        Pace::Steady | Pace::Unsteady => acquired.map_or(0, |count| count + reading.shift),
        // Of records, the driver also counts what it keeps for their begin.
        Pace::Records { .. } | Pace::OnDemand(_) => 0,
    };
    if stop_task {
        // A task that failed or is gone need not be stopped, and the reason was told already.
        let _ = reading.task.stop();
    }
    let outcome = Outcome {
        ending,
        gap: reading.gap,
        position: reading.position,
        reached: reached.max(reading.position),
        acquired,
        lateness: reading.lateness,
        ended: Instant::now(),
    };
    if reading.options.keep_open {
        *lock(&shared.producer) = Some(reading.producer);
    } else {
        drop(reading); // closes the ring
    }
    *lock(&shared.outcome) = Some(outcome);
    shared.ended.notify_all();
}

fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// A block that is being filled.
struct Filling {
    slot: WriteSlot,
    samples: u64,
    /// Samples between the starts of two runs.
    apart: u64,
    first_sample: u64,
    lost_before: u64,
    cause: Option<Cause>,
    host_time_ns: i64,
    since: Instant,
}

/// The reading as the thread goes about it.
struct Reading<'a> {
    task: DriverTask,
    producer: SlotProducer,
    options: ReaderOptions,
    shared: &'a Shared,
    /// So old a block may become.
    flush: Duration,
    /// Where the caller wants it to end, and where it ends since a stop.
    wanted: Option<u64>,
    end: Option<u64>,
    position: u64,
    /// What the driver's count of samples lacks, since somebody began it anew.
    shift: u64,
    /// What is missing before the first sample, until it is told.
    resume: Option<(Option<u64>, Cause)>,
    /// The read position was moved by us, behind what was overwritten.
    skipped: bool,
    /// So many samples had been acquired, by those that waited when last seen.
    seen: u64,
    /// Some of them vanished, and the driver counts anew: somebody has restarted the task.
    restarted: bool,
    filling: Option<Filling>,
    /// For reads that cannot go straight into a slot; made when first needed.
    scratch: Vec<u64>,
    lateness: Lateness,
    gap: Option<Gap>,
    /// What was dropped since the last block, because the ring was full.
    dropped: Option<Gap>,
    ring_full: bool,
    clock_told: Option<Instant>,
    /// Unix time of the first sample of the record that is being read, in nanoseconds.
    record_start: Option<i64>,
}

/// The ring was closed.
struct Closed;

/// What came of waiting for samples.
enum Awaited {
    /// A read will not block: so many are there.
    There(u64),
    /// They should have been there long ago: a trigger that has not come, an error that only a read
    /// tells. A read that does not wait lets the driver say so.
    Overdue,
    /// A stop.
    Stop,
    /// Somebody else has stopped the task. A read would start it anew.
    NotRunning(DriverError),
}

/// Where samples that were just read begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Where the last ones ended.
    Next,
    /// At this index, behind a hole.
    Later(u64),
    /// So many samples too early: somebody restarted the task, or set the position back. How much
    /// time has passed, nobody knows, so that they count as the next ones behind a hole of unknown
    /// size.
    Earlier(u64),
}

impl Reading<'_> {
    fn run(&mut self) -> Ending {
        let ending = self.read_all();
        self.give_away();
        match ending {
            Ok(Some(error)) if !self.shared.abandoned.load(Relaxed) => {
                self.note_loss(&error);
                Ending::Driver(error)
            }
            Err(Closed) if self.ring_full => Ending::RingFull,
            Err(Closed) => Ending::RingClosed,
            _ if self.wanted.is_some_and(|end| self.position >= end) => Ending::Finished,
            _ => Ending::Stopped,
        }
    }

    /// Reads to the end, a stop, or the driver's error.
    fn read_all(&mut self) -> Result<Option<DriverError>, Closed> {
        if let Pace::OnDemand(every) = self.options.pace {
            return self.read_on_demand(every);
        }
        while self.end.is_none_or(|end| self.position < end) {
            let mut count = self.next_read();
            let mut timeout = READ_TIMEOUT;
            match self.await_samples(count) {
                Awaited::There(backlog) => count = count.min(backlog),
                Awaited::Overdue => timeout = 0.0,
                Awaited::NotRunning(error) => return Ok(Some(error)),
                Awaited::Stop => {
                    // What is there now, and no more.
                    let backlog = match self.task.ask_available() {
                        Ok(backlog) => backlog,
                        Err(error) => return Ok(Some(error)),
                    };
                    self.note_restart(backlog);
                    let end = self.position + backlog;
                    self.end = Some(self.end.map_or(end, |earlier| earlier.min(end)));
                    count = self.next_read();
                    if count == 0 {
                        break;
                    }
                }
            }
            let result = self.read(count as usize, timeout)?;
            if let Some(error) = result.error
                && error.meaning() != Meaning::Timeout
            {
                if !self.skip_lost(&error)? {
                    return Ok(Some(error));
                }
                self.end_record();
            }
            if self.shared.abandoned.load(Relaxed) {
                return Ok(None);
            }
            self.tell_clock();
            if self.filling.as_ref().is_some_and(|filling| {
                filling.samples == self.options.block || filling.since.elapsed() > self.flush
            }) {
                self.give_away();
            }
            self.end_record();
        }
        Ok(None)
    }

    /// Goes on behind what was overwritten, where that is wanted and can be had. How much it was, the
    /// read position tells.
    fn skip_lost(&mut self, error: &DriverError) -> Result<bool, Closed> {
        let wanted = self.options.skip_lost
            && error.meaning() == Meaning::Overwrite
            && matches!(self.options.pace, Pace::Steady | Pace::Unsteady);
        let most = self.options.most;
        if !wanted || !self.task.read_newest(most) {
            return Ok(false);
        }
        self.give_away();
        self.skipped = true;
        let result = self.read(most as usize, 0.0);
        let on = self.task.read_on();
        self.skipped = false;
        Ok(on && result?.samples > 0)
    }

    /// Tells what is missing before the first sample, where no sample came.
    fn tell_resume(&mut self) {
        if let Some((count, cause)) = self.resume.take() {
            let gap = Gap {
                first_sample: self.position.saturating_sub(count.unwrap_or(0)),
                count,
                cause,
            };
            lock(&self.shared.gaps).push(gap);
            self.gap.get_or_insert(gap);
        }
    }

    /// Reads one sample after the other, when it is due. What was missed is not made up for.
    fn read_on_demand(&mut self, every: Duration) -> Result<Option<DriverError>, Closed> {
        let mut due = Instant::now();
        while self.end.is_none_or(|end| self.position < end) {
            if self.pause(due.saturating_duration_since(Instant::now())) {
                break;
            }
            self.lateness.note(due.elapsed());
            let result = self.read(1, READ_TIMEOUT)?;
            if let Some(error) = result.error
                && error.meaning() != Meaning::Timeout
            {
                return Ok(Some(error));
            }
            if self.filling.as_ref().is_some_and(|filling| {
                filling.samples == self.options.block || filling.since.elapsed() + every > FLUSH
            }) {
                self.give_away();
            }
            let missed = due.elapsed().as_nanos() / every.as_nanos().max(1);
            due += every.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX - 1) + 1);
        }
        Ok(None)
    }

    /// No block holds samples of two records.
    fn end_record(&mut self) {
        if let Pace::Records { samples, .. } = self.options.pace
            && self.position.is_multiple_of(samples)
        {
            self.give_away();
            self.record_start = None;
        }
    }

    fn tell_clock(&mut self) {
        let due = self
            .clock_told
            .is_none_or(|told| told.elapsed() >= CLOCK_PERIOD);
        if due
            && let Some(clock) = &mut self.options.clock
            && let Some(backlog) = self.task.available()
        {
            clock(self.position + backlog);
            self.clock_told = Some(Instant::now());
        }
    }

    /// How much to read next: not beyond the block, nor beyond the end.
    fn next_read(&self) -> u64 {
        let filled = self.filling.as_ref().map_or(0, |filling| filling.samples);
        let mut room = self.options.most.min(self.options.block - filled);
        if let Pace::Records { samples, .. } = self.options.pace {
            room = room.min(samples - self.position % samples);
        }
        self.end
            .map_or(room, |end| room.min(end.saturating_sub(self.position)))
    }

    /// Waits until a read of `count` samples will not block, a stop comes, or they are long overdue.
    fn await_samples(&mut self, count: u64) -> Awaited {
        let rate = self.options.rate;
        let seconds = |samples: u64| {
            Duration::try_from_secs_f64(samples as f64 / rate).unwrap_or(LONGEST_PAUSE)
        };
        let (steady, longest) = match self.options.pace {
            Pace::Unsteady | Pace::OnDemand(_) => (false, IDLE_PAUSE),
            // The begin of a record is to be noticed.
            Pace::Records { .. } => (true, 5 * IDLE_PAUSE),
            Pace::Steady => (true, LONGEST_PAUSE),
        };
        let count = if steady { count } else { 1 };
        let overdue = Instant::now() + 2 * seconds(if steady { count } else { 0 }) + OVERDUE;
        let mut before = None;
        let mut shortest = SHORTEST_PAUSE;
        loop {
            if *lock(&self.shared.stopping) {
                return Awaited::Stop;
            }
            let backlog = match self.task.ask_available() {
                Ok(backlog) => backlog,
                Err(error) if error.is_not_running() => return Awaited::NotRunning(error),
                Err(_) => return Awaited::Overdue,
            };
            self.note_restart(backlog);
            self.shared.backlog.store(backlog, Relaxed);
            self.shared.backlog_high_water.fetch_max(backlog, Relaxed);
            self.note_record(backlog);
            if backlog > 0 {
                self.tell_start(backlog);
            }
            if backlog >= count {
                if steady {
                    self.lateness.note(seconds(backlog - count));
                }
                return Awaited::There(backlog);
            }
            if Instant::now() > overdue {
                return Awaited::Overdue;
            }
            // Devices that deliver in lumps are not to be asked without end.
            shortest = if before == Some(backlog) {
                (shortest * 2).min(IDLE_PAUSE)
            } else {
                SHORTEST_PAUSE
            };
            before = Some(backlog);
            self.pause(seconds(count - backlog).clamp(shortest, longest));
        }
    }

    /// Samples that wait do not vanish: somebody else reads, or the task was restarted, which the read
    /// position alone does not tell where it is the same again.
    fn note_restart(&mut self, backlog: u64) {
        let seen = self.position + backlog;
        if seen >= self.seen {
            self.seen = seen;
        } else if let Pace::Steady | Pace::Unsteady = self.options.pace
            && let Some(acquired) = self.task.acquired()
            && acquired + self.shift < self.seen
        {
            self.restarted = true;
            self.seen = seen;
        }
    }

    /// When the task's first sample came, once there are samples: so many that are not read yet.
    fn tell_start(&mut self, backlog: u64) {
        if let Some(tell) = self.options.start.take() {
            let seen = self.position + backlog;
            tell(unix_ns() - (seen as f64 / self.options.rate * 1e9) as i64);
        }
    }

    /// When the record began whose samples are seen for the first time.
    fn note_record(&mut self, backlog: u64) {
        if let Pace::Records { samples, .. } = self.options.pace
            && self.record_start.is_none()
            && backlog > 0
        {
            let seen = (self.position % samples + backlog).min(samples);
            self.record_start = Some(unix_ns() - (seen as f64 / self.options.rate * 1e9) as i64);
        }
    }

    /// Sleeps, but not beyond a stop; whether that has come.
    fn pause(&self, duration: Duration) -> bool {
        let stopping = lock(&self.shared.stopping);
        let (stopping, _) = self
            .shared
            .stop
            .wait_timeout_while(stopping, duration, |stopping| !*stopping)
            .unwrap_or_else(PoisonError::into_inner);
        *stopping
    }

    /// Reads once and keeps whatever came: straight into an empty slot, or behind what is in the
    /// slot already.
    fn read(&mut self, count: usize, timeout: f64) -> Result<ReadResult, Closed> {
        if self.filling.is_none() && !self.options.timed {
            if let Some(mut slot) = self.reserve()? {
                let result = self.task.read(count, timeout, &mut slot);
                self.count_read(count, &result);
                if result.samples > 0 {
                    self.begin(slot, result.samples as u64);
                }
                return Ok(result);
            }
            return Ok(self.read_and_drop(count, timeout));
        }
        let bytes = count * self.task.frame();
        let words = bytes.div_ceil(size_of::<u64>());
        if self.scratch.len() < words {
            self.scratch.resize(words, 0);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let before = unix_ns();
        let result = self.task.read(count, timeout, bytes_of_mut(&mut scratch));
        self.count_read(count, &result);
        if result.samples > 0 {
            let bytes = result.samples * self.task.frame();
            let mut time = unix_ns();
            if let Pace::OnDemand(_) = self.options.pace {
                time = before + (time - before) / 2;
            }
            self.append(&bytes_of_mut(&mut scratch)[..bytes], result.samples as u64)?;
            self.note_times(result.samples as u64, time);
        }
        self.scratch = scratch;
        Ok(result)
    }

    /// Bytes of a slot in front of the channels.
    fn head(&self) -> usize {
        match self.options.timed {
            true => self.options.block as usize * TIME,
            false => 0,
        }
    }

    /// The time of the samples that were just added to the block.
    fn note_times(&mut self, samples: u64, time: i64) {
        if self.options.timed
            && let Some(filling) = &mut self.filling
        {
            let last = filling.samples as usize * TIME;
            let first = last.saturating_sub(samples as usize * TIME);
            for place in filling.slot[first..last].chunks_exact_mut(TIME) {
                place.copy_from_slice(&time.to_le_bytes());
            }
        }
    }

    fn count_read(&self, count: usize, result: &ReadResult) {
        self.shared.reads.fetch_add(1, Relaxed);
        if result.samples < count {
            self.shared.short_reads.fetch_add(1, Relaxed);
        }
    }

    /// Reads what there is no slot for.
    fn read_and_drop(&mut self, count: usize, timeout: f64) -> ReadResult {
        let words = (count * self.task.frame()).div_ceil(size_of::<u64>());
        if self.scratch.len() < words {
            self.scratch.resize(words, 0);
        }
        let result = self
            .task
            .read(count, timeout, bytes_of_mut(&mut self.scratch));
        self.count_read(count, &result);
        self.drop_read(result.samples as u64);
        result
    }

    /// What was just read is lost: the next block tells of it, or the end does.
    fn drop_read(&mut self, samples: u64) {
        if samples == 0 {
            return;
        }
        self.producer.add_lost(samples);
        let before = self.dropped.and_then(|gap| gap.count).unwrap_or(0);
        let gap = Gap {
            first_sample: self.position - before,
            count: Some(before + samples),
            cause: Cause::Overrun,
        };
        match before {
            0 => lock(&self.shared.gaps).push(gap),
            _ => lock(&self.shared.gaps).grow(samples),
        }
        self.dropped = Some(gap);
        self.position += samples;
    }

    /// Waits for an empty slot for as long as it takes. `None`: the ring is full, and what is read now
    /// is to be dropped.
    fn reserve(&mut self) -> Result<Option<WriteSlot>, Closed> {
        loop {
            match self
                .producer
                .reserve_until(Instant::now() + Duration::from_millis(250))
            {
                Ok(slot) => return Ok(Some(slot)),
                Err(ReserveError::Closed) => return Err(Closed),
                Err(ReserveError::Dropped) => return Ok(None),
                Err(ReserveError::Full) if self.producer.policy() == Policy::Fail => {
                    self.ring_full = true;
                    return Err(Closed);
                }
                Err(_) if self.shared.abandoned.load(Relaxed) => return Err(Closed),
                // All blocks are being worked on, so that not even the oldest can be dropped.
                Err(ReserveError::Full) => std::thread::sleep(Duration::from_millis(1)),
                Err(_) => {}
            }
        }
    }

    /// A read is the begin of a block.
    fn begin(&mut self, mut slot: WriteSlot, samples: u64) {
        let from = self.first_of(samples);
        if let Some(samples) = self.keep(&mut slot, samples, from) {
            self.begin_at(slot, samples, from);
        }
    }

    /// How many of the samples that lie packed in a slot are wanted: behind a hole it may be fewer than
    /// were read, or none; the rest is taken out.
    fn keep(&mut self, slot: &mut WriteSlot, samples: u64, from: From) -> Option<u64> {
        let (From::Later(first), Some(end)) = (from, self.end) else {
            return Some(samples);
        };
        let kept = samples.min(end.saturating_sub(first));
        if kept == 0 {
            // The hole reaches to the end.
            let gap = Gap {
                first_sample: self.position,
                count: Some(end - self.position),
                cause: self.cause_of_jump(),
            };
            lock(&self.shared.gaps).push(gap);
            self.gap = Some(gap);
            self.position = end;
            return None;
        }
        let channels = self.task.channels();
        let size = self.task.frame() / channels;
        let run = kept as usize * size;
        let head = self.head();
        move_runs(
            &mut slot[head..],
            channels,
            run,
            samples as usize * size,
            run,
        );
        Some(kept)
    }

    fn cause_of_jump(&self) -> Cause {
        match self.skipped {
            true => Cause::Overwrite,
            false => Cause::ForeignRead,
        }
    }

    fn begin_at(&mut self, slot: WriteSlot, samples: u64, from: From) {
        let (mut lost_before, mut cause) = (0, None);
        let mut first_sample = self.position;
        if from != From::Next {
            // Somebody else moved the read position.
            let count = match from {
                From::Later(first) => {
                    first_sample = first;
                    Some(first - self.position)
                }
                From::Next | From::Earlier(_) => None,
            };
            if let From::Earlier(by) = from {
                self.shift += by;
            }
            let why = self.cause_of_jump();
            lost_before = count.unwrap_or(LOST_UNKNOWN);
            cause = Some(why);
            lock(&self.shared.gaps).push(Gap {
                first_sample: self.position,
                count,
                cause: why,
            });
        }
        if let Some((count, why)) = self.resume.take() {
            let count = count.filter(|_| from == From::Next);
            lost_before = count.unwrap_or(LOST_UNKNOWN);
            cause = Some(why);
            lock(&self.shared.gaps).push(Gap {
                first_sample: self.position.saturating_sub(count.unwrap_or(0)),
                count,
                cause: why,
            });
        }
        self.position = first_sample + samples;
        self.dropped = None;
        self.tell_start(0);
        self.filling = Some(Filling {
            slot,
            samples,
            apart: samples,
            first_sample,
            lost_before,
            cause,
            host_time_ns: unix_ns(),
            since: Instant::now(),
        });
    }

    /// A read goes behind what the block has; behind a gap it begins a new one.
    fn append(&mut self, packed: &[u8], samples: u64) -> Result<(), Closed> {
        let from = self.first_of(samples);
        let head = self.head();
        if from != From::Next || self.filling.is_none() {
            self.give_away();
            let reserved = match self.reserve() {
                Ok(reserved) => reserved,
                Err(closed) => {
                    // It was read, and nobody takes it.
                    self.position += samples;
                    return Err(closed);
                }
            };
            let Some(mut slot) = reserved else {
                self.drop_read(samples);
                return Ok(());
            };
            slot[head..][..packed.len()].copy_from_slice(packed);
            if let Some(samples) = self.keep(&mut slot, samples, from) {
                self.begin_at(slot, samples, from);
            }
            return Ok(());
        }
        let Some(filling) = self.filling.as_mut() else {
            return Ok(());
        };
        let channels = self.task.channels();
        let size = self.task.frame() / channels;
        let in_bytes = |samples: u64| samples as usize * size;
        if filling.apart != self.options.block {
            move_runs(
                &mut filling.slot[head..],
                channels,
                in_bytes(filling.samples),
                in_bytes(filling.apart),
                in_bytes(self.options.block),
            );
            filling.apart = self.options.block;
        }
        append_runs(
            &mut filling.slot[head..],
            packed,
            channels,
            in_bytes(samples),
            in_bytes(filling.samples),
            in_bytes(filling.apart),
        );
        filling.samples += samples;
        filling.host_time_ns = unix_ns();
        self.position += samples;
        Ok(())
    }

    /// Which samples were just read, by the driver's account.
    fn first_of(&mut self, samples: u64) -> From {
        let restarted = std::mem::take(&mut self.restarted);
        // Without a buffer there is no position in it, and before a trigger it has no fixed begin.
        if let Pace::OnDemand(_)
        | Pace::Records {
            pretrigger: 1.., ..
        } = self.options.pace
        {
            return From::Next;
        }
        let after = self.task.position().map(|after| after + self.shift);
        let Some(first) = after.and_then(|after| after.checked_sub(samples)) else {
            return From::Next;
        };
        match first.cmp(&self.position) {
            Ordering::Equal if restarted => From::Earlier(0),
            Ordering::Equal => From::Next,
            Ordering::Greater => From::Later(first),
            Ordering::Less => From::Earlier(self.position - first),
        }
    }

    /// Hands the block to the consumers, if there is one.
    fn give_away(&mut self) {
        let Some(mut filling) = self.filling.take() else {
            return;
        };
        let (channels, head) = (self.task.channels(), self.head());
        let size = self.task.frame() / channels;
        let run = filling.samples as usize * size;
        let apart = filling.apart as usize * size;
        move_runs(&mut filling.slot[head..], channels, run, apart, run);
        let mut times = 0;
        if self.options.timed {
            times = filling.samples as usize * TIME;
            filling.slot.copy_within(head..head + run * channels, times);
        }
        let record = match self.options.pace {
            Pace::Records {
                samples,
                pretrigger,
            } => Some(RecordMark {
                number: filling.first_sample / samples,
                start_time_ns: self.record_start.unwrap_or(filling.host_time_ns),
                pretrigger,
            }),
            _ => None,
        };
        filling.slot.commit(BlockMeta {
            bytes: times + run * channels,
            first_sample: filling.first_sample,
            samples: filling.samples,
            lost_before: filling.lost_before,
            gap: filling.cause.map_or(0, |cause| cause as u32),
            host_time_ns: filling.host_time_ns,
            record,
        });
    }

    /// What an error of the driver means for the samples.
    fn note_loss(&mut self, error: &DriverError) {
        let (cause, count) = match error.meaning() {
            Meaning::Overwrite => {
                let limit = self.end.unwrap_or(u64::MAX);
                let acquired = self.task.acquired();
                let acquired = acquired.map(|acquired| (acquired + self.shift).min(limit));
                let count = acquired
                    .and_then(|acquired| acquired.checked_sub(self.position))
                    .filter(|&count| count > 0);
                (Cause::Overwrite, count)
            }
            Meaning::DeviceOverflow => (Cause::DeviceOverflow, None),
            Meaning::Timeout | Meaning::Failure => return,
        };
        let gap = Gap {
            first_sample: self.position,
            count,
            cause,
        };
        lock(&self.shared.gaps).push(gap);
        self.gap = Some(gap);
    }
}

/// How old a block may become: where samples come at a rate, the time that a whole one takes and a
/// bit more, so that only samples that fail to come make it shorter.
fn flush_after(options: &ReaderOptions) -> Duration {
    let whole = match options.pace {
        Pace::Steady | Pace::Records { .. } => options.block as f64 / options.rate,
        Pace::Unsteady | Pace::OnDemand(_) => 0.0,
    };
    Duration::try_from_secs_f64(whole)
        .unwrap_or(FLUSH)
        .saturating_add(FLUSH)
}

/// The bytes of aligned memory.
fn bytes_of_mut(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: any eight bytes are a number and any number is eight bytes, and the borrow goes along.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), size_of_val(words)) }
}

fn unix_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| {
            i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX)
        })
}
