use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use daqring_log::{Gap, GapCause, LOST_UNKNOWN, Properties, unix_ns};
use daqring_ring::slots::{SlotMonitor, SlotOptions, SlotProducer, slot_ring_with};
use daqring_ring::{BlockHeader, EventCount, WaitStrategy};

use crate::derived::{DerivedLane, DerivedTally};
use crate::error::panic_message;
use crate::pool::{MadeQueue, StreamWork, Worker};
use crate::reorder::Reorder;
use crate::stats::{StreamTally, WorkTally};
use crate::writer::{Lane, run_writer};
use crate::{
    EngineError, Feed, RecordingStats, Sink, SinkSummary, Stage, StageStats, Tap, WorkerStats,
    of_records,
};

/// A stage of a stream.
#[derive(Clone)]
pub struct StageOptions {
    /// The work.
    pub stage: Arc<dyn Stage>,
    /// Whether what it puts out goes to the log.
    pub logged: bool,
    /// Stages that work on what it puts out.
    pub then: Vec<StageOptions>,
}

/// One stream of a recording.
#[derive(Clone)]
pub struct StreamOptions {
    /// Name used in messages.
    pub name: String,
    /// Size, number, policy and waiting of the stream's slots.
    pub slots: SlotOptions,
    /// Work done on every block, in this order.
    pub stages: Vec<StageOptions>,
    /// Whether its blocks go to the sink; if not, they count as gated.
    pub recorded: bool,
}

/// Everything a recording is started with.
///
/// The sink knows the streams by their position here. What stages put out are streams, too: their
/// numbers follow, stream by stream and stage by stage, each followed by those of the stages that
/// work on it.
pub struct RecordingOptions {
    /// The streams.
    pub streams: Vec<StreamOptions>,
    /// Threads that run the stages of all streams, at least 1.
    pub workers: usize,
    /// How workers wait for blocks.
    pub wait: WaitStrategy,
    /// Numbers of the streams whose every block is handed out by [`Recording::feed`], after it was
    /// stored; empty: there is no feed.
    pub feed: Vec<usize>,
    /// Called in each thread of the recording before its first work; a panic there ends the recording.
    pub on_thread: Option<ThreadHook>,
}

/// A thread of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadRole {
    /// Worker with this number: checksums and stages.
    Worker(usize),
    /// Feeds the sink.
    Writer,
}

/// What a thread does before its first work, such as choosing its core.
pub type ThreadHook = Arc<dyn Fn(ThreadRole) + Send + Sync>;

/// Why there is no tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapError {
    /// There is no stream with that number.
    NoSuchStream,
}

/// How a recording ended.
#[derive(Debug, Clone, Default)]
pub struct RecordingSummary {
    /// The counters at rest.
    pub stats: RecordingStats,
    /// Of each stream, the holes that the sink was told of, in order.
    pub gaps: Vec<Vec<Gap>>,
    /// What the sink said.
    pub sink: SinkSummary,
}

pub(crate) struct SharedStream {
    pub(crate) tally: StreamTally,
    monitor: SlotMonitor,
    slots: usize,
    start_time: AtomicI64,
}

/// A stream that a stage puts out.
pub(crate) struct SharedDerived {
    name: String,
    /// The task's stream that it comes from, if by way of other stages.
    source: usize,
    pub(crate) dt: f64,
    of_records: bool,
    pub(crate) tally: DerivedTally,
    /// Where stages work on it: what they have not taken yet.
    pub(crate) queue: Option<Mutex<MadeQueue>>,
}

/// Who looks at a stream.
#[derive(Default)]
struct StreamTaps {
    taps: Vec<Arc<Tap>>,
    /// Blocks that were shown to whoever looked.
    blocks: u64,
}

/// What all threads of a recording see.
pub(crate) struct Shared {
    pub(crate) streams: Vec<SharedStream>,
    pub(crate) derived: Vec<SharedDerived>,
    pub(crate) work: Vec<StreamWork>,
    pub(crate) workers: Vec<WorkTally>,
    /// All workers wait here, for whatever may let them go on.
    pub(crate) event: Arc<EventCount>,
    pub(crate) feed: Option<Arc<Feed>>,
    /// Blocks in the queues behind stages.
    pub(crate) made_waits: AtomicUsize,
    /// Blocks that were put into such a queue and have not come back to the writer, who counts them.
    pub(crate) made_on_the_way: AtomicUsize,
    /// No more of them will come.
    no_more_made: AtomicBool,
    /// Of each stream, derived ones after the others.
    taps: Vec<Mutex<StreamTaps>>,
    error: Mutex<Option<EngineError>>,
    has_failed: AtomicBool,
    pub(crate) sink_failed: AtomicBool,
    writer_gone: AtomicBool,
    slowest_write_ns: AtomicU64,
}

impl Shared {
    fn error(&self) -> MutexGuard<'_, Option<EngineError>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the recording: the first error stays, all rings close, waiting producers return.
    #[cold]
    pub(crate) fn fail(&self, error: EngineError) {
        if matches!(error, EngineError::Log(_)) {
            self.sink_failed.store(true, Ordering::Relaxed);
        }
        self.error().get_or_insert(error);
        // Release: who sees the flag finds the error (`Recording::failure` reads it with Acquire).
        self.has_failed.store(true, Ordering::Release);
        for stream in &self.streams {
            stream.monitor.close();
        }
    }

    pub(crate) fn start_time(&self, stream: usize) -> i64 {
        self.streams[stream].start_time.load(Ordering::Relaxed)
    }

    pub(crate) fn writer_is_gone(&self) -> bool {
        self.writer_gone.load(Ordering::Acquire)
    }

    /// Whether any stage works on what another one puts out.
    pub(crate) fn has_chains(&self) -> bool {
        self.derived.iter().any(|derived| derived.queue.is_some())
    }

    /// Whether nothing will be put into the queues behind stages any more.
    pub(crate) fn no_more_work(&self) -> bool {
        self.no_more_made.load(Ordering::Acquire) || self.writer_is_gone()
    }

    pub(crate) fn end_of_work(&self) {
        self.no_more_made.store(true, Ordering::Release);
        self.event.notify_all();
    }

    /// Writer thread: gives what a stage put out to the stages behind it and to the feed.
    pub(crate) fn hand_on(&self, stream: usize, header: &BlockHeader, data: &[u8]) {
        let derived = &self.derived[stream - self.streams.len()];
        if let Some(queue) = &derived.queue {
            self.made_on_the_way.fetch_add(1, Ordering::Relaxed);
            // Before the block is there, so that it never falls below 0.
            self.made_waits.fetch_add(1, Ordering::Relaxed);
            queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(header, data);
            self.event.notify_one();
        }
        if let Some(feed) = &self.feed {
            feed.push_made(stream, header, data);
        }
    }

    /// Whether any stream has a block that no worker has taken.
    pub(crate) fn anything_waits(&self) -> bool {
        self.made_waits.load(Ordering::Relaxed) > 0
            || self.streams.iter().any(|stream| !stream.monitor.is_empty())
    }

    fn taps(&self, stream: usize) -> MutexGuard<'_, StreamTaps> {
        self.taps[stream]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn feed_taps(&self, stream: usize, header: &BlockHeader, data: &[u8]) {
        let mut looking = self.taps(stream);
        looking.blocks += 1;
        for tap in &looking.taps {
            tap.push(header, data);
        }
    }

    /// The writer ends, in whatever way.
    fn no_more_writing(&self) {
        self.writer_gone.store(true, Ordering::Release);
        self.event.notify_all();
        if let Some(feed) = &self.feed {
            feed.end();
        }
        for stream in 0..self.taps.len() {
            for tap in &self.taps(stream).taps {
                tap.end();
            }
        }
    }

    pub(crate) fn wrote_in(&self, elapsed: Duration) {
        let ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.slowest_write_ns.fetch_max(ns, Ordering::Relaxed);
    }
}

/// A running recording. Dropping it without [`Recording::finish`] closes the rings, waits for the
/// threads and leaves the file without its end, as a crash would.
pub struct Recording {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<Option<Box<dyn Sink>>>>,
}

impl Recording {
    /// Makes the rings and starts the threads; gives one producer per stream.
    ///
    /// # Errors
    /// When there is no stream, memory for a ring or a thread cannot be had.
    pub fn start(
        options: RecordingOptions,
        sink: Box<dyn Sink>,
    ) -> Result<(Self, Vec<SlotProducer>), EngineError> {
        if options.streams.is_empty() {
            return Err(EngineError::Options(
                "a recording needs at least one stream".into(),
            ));
        }
        let worker_count = options.workers.max(1);
        let event = Arc::new(EventCount::new());
        let mut producers = Vec::new();
        let mut consumers = Vec::new();
        let mut streams = Vec::new();
        let mut work = Vec::new();
        let mut lanes = Vec::new();
        let mut outputs = Outputs::default();
        let sources = options.streams.len();
        for (source, stream) in options.streams.iter().enumerate() {
            let (producer, consumer) = slot_ring_with(stream.slots, Arc::clone(&event))?;
            streams.push(SharedStream {
                tally: StreamTally::new(stream.slots.policy),
                monitor: producer.monitor(),
                slots: stream.slots.slots,
                start_time: AtomicI64::new(0),
            });
            producers.push(producer);
            consumers.push(consumer);
            let derived = outputs.of(&stream.stages, source, sources)?;
            let stages = stages_of(&stream.stages);
            let window = stream.slots.slots;
            lanes.push(Lane::new(
                Reorder::new(window),
                stream.recorded,
                &stages,
                derived,
            ));
            let policy = stream.slots.policy;
            work.push(StreamWork::new(stages, window, worker_count, policy));
        }
        let mut derived = Vec::new();
        for Output {
            shared,
            stages,
            outputs,
        } in outputs.0
        {
            derived.push(shared);
            lanes.push(Lane::new(Reorder::unbounded(), false, &stages, outputs));
            work.push(StreamWork::behind_a_stage(stages));
        }
        let slots: Vec<usize> = streams.iter().map(|stream| stream.slots).collect();
        let feed = (!options.feed.is_empty()).then(|| {
            let settled = work.iter().map(|work| Arc::clone(&work.settled)).collect();
            let wanted = (0..work.len()).map(|stream| options.feed.contains(&stream));
            let event = Arc::clone(&event);
            Arc::new(Feed::new(wanted.collect(), &slots, settled, event))
        });
        let shared = Arc::new(Shared {
            taps: (0..sources + derived.len())
                .map(|_| Mutex::default())
                .collect(),
            streams,
            derived,
            work,
            workers: (0..worker_count).map(|_| WorkTally::default()).collect(),
            event,
            feed,
            made_waits: AtomicUsize::new(0),
            made_on_the_way: AtomicUsize::new(0),
            no_more_made: AtomicBool::new(false),
            error: Mutex::new(None),
            has_failed: AtomicBool::new(false),
            sink_failed: AtomicBool::new(false),
            writer_gone: AtomicBool::new(false),
            slowest_write_ns: AtomicU64::new(0),
        });

        // A place for every slot there is: with a block of a task, a worker never waits for the
        // writer here, only a producer waits, and it waits for a slot.
        let (send, receive) = sync_channel(slots.iter().sum());
        let mut recording = Self {
            shared: Arc::clone(&shared),
            workers: Vec::new(),
            writer: None,
        };
        let on_thread = options.on_thread.clone();
        recording.writer = Some(spawn("daqring-writer", move || {
            call_hook(on_thread, ThreadRole::Writer, &shared);
            let writing =
                AssertUnwindSafe(|| run_writer(sink, receive, &mut lanes, worker_count, &shared));
            let sink = catch_unwind(writing)
                .inspect_err(|payload| {
                    shared.fail(EngineError::Panicked(panic_message(&**payload)))
                })
                .ok();
            shared.no_more_writing();
            sink
        })?);
        for number in 0..worker_count {
            let send = send.clone();
            let shared = Arc::clone(&recording.shared);
            let consumers = consumers.iter().cloned().map(Some).collect();
            let wait = options.wait;
            let on_thread = options.on_thread.clone();
            let name = format!("daqring-worker-{number}");
            recording.workers.push(spawn(&name, move || {
                call_hook(on_thread, ThreadRole::Worker(number), &shared);
                let worker = Worker {
                    number,
                    consumers,
                    wait,
                    shared: &shared,
                };
                let working = AssertUnwindSafe(|| worker.run(&send));
                if let Err(payload) = catch_unwind(working) {
                    // At once: who waits for a slot may have nobody left to wait for.
                    shared.fail(EngineError::Panicked(panic_message(&*payload)));
                }
            })?);
        }
        Ok((recording, producers))
    }

    /// Sets the time of sample 0 of a stream, in nanoseconds since 1970 (UTC). To be called before
    /// the stream's first commit.
    pub fn set_start_time(&self, stream: usize, unix_ns: i64) {
        self.shared.streams[stream]
            .start_time
            .store(unix_ns, Ordering::Relaxed);
    }

    /// Moves the time of sample 0 of a stream to a later one, from any thread, before its first commit:
    /// where the first sample comes some time after the start.
    pub fn later_start(&self, stream: usize) -> impl FnOnce(i64) + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move |unix_ns| {
            // Relaxed: the commit that follows publishes it.
            shared.streams[stream]
                .start_time
                .fetch_max(unix_ns, Ordering::Relaxed);
        }
    }

    /// The counters now.
    pub fn stats(&self) -> RecordingStats {
        let shared = &self.shared;
        let mut stages = Vec::new();
        for (stream, work) in shared.work.iter().enumerate() {
            for (stage, tally) in work.stages.iter().zip(&work.tallies) {
                stages.push(StageStats {
                    stream,
                    name: stage.name().to_owned(),
                    work: tally.snapshot(),
                });
            }
        }
        RecordingStats {
            streams: shared
                .streams
                .iter()
                .map(|stream| {
                    stream
                        .tally
                        .snapshot(stream.monitor.counters(), stream.slots)
                })
                .collect(),
            derived: shared
                .derived
                .iter()
                .map(|derived| {
                    let SharedDerived { name, source, .. } = derived;
                    derived.tally.snapshot(name, *source, derived.of_records)
                })
                .collect(),
            stages,
            workers: shared
                .workers
                .iter()
                .map(|worker| WorkerStats {
                    work: worker.snapshot(),
                    cpu_ns: worker.cpu_ns(),
                })
                .collect(),
            slowest_write_ns: shared.slowest_write_ns.load(Ordering::Relaxed),
        }
    }

    /// Where every block is handed out, if [`RecordingOptions::feed`] asked for it. Close it before
    /// [`finish`](Self::finish) unless somebody goes on taking blocks.
    pub fn feed(&self) -> Option<Arc<Feed>> {
        self.shared.feed.clone()
    }

    /// Time of sample 0 of a stream, in nanoseconds since 1970 (UTC); 0 before it is set.
    pub fn start_time(&self, stream: usize) -> i64 {
        let sources = self.shared.streams.len();
        let source = match stream.checked_sub(sources) {
            None => stream,
            Some(derived) => match self.shared.derived.get(derived) {
                Some(derived) => derived.source,
                None => return 0,
            },
        };
        self.shared.start_time(source)
    }

    /// Attaches a tap to a stream, derived ones counted after the others.
    ///
    /// # Errors
    /// [`TapError`].
    pub fn attach(&self, stream: usize, tap: Arc<Tap>) -> Result<(), TapError> {
        if stream >= self.shared.taps.len() {
            return Err(TapError::NoSuchStream);
        }
        if self.shared.writer_is_gone() {
            tap.end();
        }
        let mut looking = self.shared.taps(stream);
        tap.attached_after(looking.blocks);
        looking.taps.push(tap);
        Ok(())
    }

    /// Takes a tap off again.
    pub fn detach(&self, stream: usize, tap: &Arc<Tap>) {
        if stream < self.shared.taps.len() {
            self.shared
                .taps(stream)
                .taps
                .retain(|other| !Arc::ptr_eq(other, tap));
        }
        tap.end();
    }

    /// The first failure as a sentence, once there is one.
    pub fn failure(&self) -> Option<String> {
        if !self.shared.has_failed.load(Ordering::Acquire) {
            return None;
        }
        self.shared.error().as_ref().map(ToString::to_string)
    }

    /// Closes the rings, waits until every committed block is written or counted as failed, and
    /// finishes the log, also after a failure. `final_gaps` are losses that no later block tells,
    /// each with its stream; those at the rings are known. Of a stream that a failure kept blocks of out
    /// of the log, no loss behind these is told.
    ///
    /// `properties` is called with the counters at rest and gives the properties of the log.
    ///
    /// The summary is there even where the recording failed; then the error comes with it.
    pub fn finish(
        mut self,
        final_gaps: &[(usize, Gap)],
        properties: impl FnOnce(&RecordingStats) -> Properties,
    ) -> (RecordingSummary, Option<EngineError>) {
        let sink = self.join();
        let mut summary = RecordingSummary::default();
        let mut late_error = None;
        if let Some(mut sink) = sink {
            for (stream, gap) in self.untold().chain(final_gaps.iter().copied()) {
                let tally = &self.shared.streams[stream].tally;
                // Where a failure kept blocks out, the hole begins with those, and is no loss.
                if tally.failed_blocks.load(Ordering::Relaxed) > 0 {
                    continue;
                }
                match sink.final_gap(stream, gap) {
                    Ok(()) => tally.lost(gap),
                    Err(error) => late_error = Some(error.into()),
                }
            }
            match sink.finish(properties(&self.stats())) {
                Ok(done) => summary.sink = done,
                Err(error) => {
                    late_error = Some(error.into());
                    self.correct(&mut *sink);
                    summary.sink = sink.summary();
                }
            }
        }
        summary.stats = self.stats();
        let streams = self.shared.streams.iter();
        summary.gaps = streams.map(|stream| stream.tally.gaps()).collect();
        let error = self.shared.error().take().or(late_error);
        (summary, error)
    }

    /// The sink took blocks that it could not store in the end: they are no written ones.
    fn correct(&self, sink: &mut dyn Sink) {
        for (number, stream) in self.shared.streams.iter().enumerate() {
            if let Some(stored) = sink.stored(number) {
                stream.tally.stored_only(stored);
            }
        }
        for (number, derived) in (self.shared.streams.len()..).zip(&self.shared.derived) {
            if let Some(stored) = sink.stored(number) {
                derived.tally.stored_only(stored);
            }
        }
    }

    /// What was lost at the rings last, where no block followed that could tell it.
    fn untold(&self) -> impl Iterator<Item = (usize, Gap)> {
        let streams = self.shared.streams.iter().enumerate();
        streams.filter_map(|(number, stream)| {
            let count = stream.monitor.counters().untold;
            let gap = Gap {
                first_sample: stream.tally.end.load(Ordering::Relaxed),
                count: (count != LOST_UNKNOWN).then_some(count),
                cause: GapCause::Overrun,
                host_time_ns: unix_ns(),
            };
            (count > 0).then_some((number, gap))
        })
    }

    fn join(&mut self) -> Option<Box<dyn Sink>> {
        for stream in &self.shared.streams {
            stream.monitor.close();
        }
        for worker in self.workers.drain(..) {
            // Its panic has been told.
            drop(worker.join());
        }
        match self.writer.take()?.join() {
            Ok(sink) => sink,
            Err(payload) => {
                self.shared
                    .fail(EngineError::Panicked(panic_message(&*payload)));
                None
            }
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(feed) = self.shared.feed.as_ref().filter(|_| self.writer.is_some()) {
            // The writer may be waiting for a consumer.
            feed.close();
        }
        drop(self.join());
    }
}

/// A panic of the hook ends the recording; the thread does its work all the same, so that what is in the
/// rings is written and nobody waits for it.
fn call_hook(hook: Option<ThreadHook>, role: ThreadRole, shared: &Shared) {
    let called = catch_unwind(AssertUnwindSafe(|| hook.map(|hook| hook(role))));
    if let Err(payload) = called {
        shared.fail(EngineError::Panicked(panic_message(&*payload)));
    }
}

fn stages_of(options: &[StageOptions]) -> Vec<Arc<dyn Stage>> {
    options.iter().map(|own| Arc::clone(&own.stage)).collect()
}

/// What stages put out, in the order of the streams' numbers.
#[derive(Default)]
struct Outputs(Vec<Output>);

struct Output {
    shared: SharedDerived,
    /// Those that work on it, and what they put out.
    stages: Vec<Arc<dyn Stage>>,
    outputs: Vec<Option<DerivedLane>>,
}

impl Outputs {
    /// Adds what the stages of a stream put out, and those behind them; gives what the writer keeps of
    /// each.
    fn of(
        &mut self,
        options: &[StageOptions],
        source: usize,
        sources: usize,
    ) -> Result<Vec<Option<DerivedLane>>, EngineError> {
        let mut lanes = Vec::new();
        for StageOptions {
            stage,
            logged,
            then,
        } in options
        {
            let Some(group) = stage.output() else {
                if !then.is_empty() {
                    return Err(EngineError::Options(format!(
                        "stage '{}' puts out nothing that another stage could work on",
                        stage.name()
                    )));
                }
                lanes.push(None);
                continue;
            };
            let index = self.0.len();
            self.0.push(Output {
                shared: SharedDerived {
                    name: group.name.clone(),
                    source,
                    dt: group.dt.unwrap_or(0.0),
                    of_records: group.properties.contains(&of_records()),
                    tally: DerivedTally::default(),
                    queue: (!then.is_empty()).then(Mutex::default),
                },
                stages: stages_of(then),
                outputs: Vec::new(),
            });
            let times = stage.puts_out_times().then_some(8);
            let channels = group.channels.iter();
            let sizes = channels.map(|channel| channel.data_type.size().unwrap_or(0));
            let sizes = times.into_iter().chain(sizes).collect();
            lanes.push(Some(DerivedLane::new(
                sources + index,
                index,
                source,
                *logged,
                sizes,
            )));
            self.0[index].outputs = self.of(then, source, sources)?;
        }
        Ok(lanes)
    }
}

pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, EngineError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(EngineError::Spawn)
}
