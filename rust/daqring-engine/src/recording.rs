use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use daqring_log::{Gap, LOST_UNKNOWN, Properties};
use daqring_ring::slots::{SlotMonitor, SlotOptions, SlotProducer, slot_ring};

use crate::error::panic_message;
use crate::stats::StreamTally;
use crate::worker::{run_worker, run_writer};
use crate::{EngineError, RecordingStats, Sink, SinkSummary, Stage};

/// One stream of a recording.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    /// Name used in thread names.
    pub name: String,
    /// Size, number, policy and waiting of the stream's slots.
    pub slots: SlotOptions,
    /// Worker threads that serve this stream, at least 1.
    pub workers: usize,
}

/// Everything a recording is started with.
pub struct RecordingOptions {
    /// The streams; the sink knows them by their position here.
    pub streams: Vec<StreamOptions>,
    /// Work done on every block, in this order.
    pub stages: Vec<Arc<dyn Stage>>,
}

/// How a recording ended.
#[derive(Debug, Clone, Default)]
pub struct RecordingSummary {
    /// The counters at rest.
    pub stats: RecordingStats,
    /// What the sink said.
    pub sink: SinkSummary,
}

pub(crate) struct SharedStream {
    pub(crate) tally: StreamTally,
    monitor: SlotMonitor,
    slots: usize,
    start_time: AtomicI64,
}

/// What all threads of a recording see.
pub(crate) struct Shared {
    pub(crate) streams: Vec<SharedStream>,
    error: Mutex<Option<EngineError>>,
    has_failed: AtomicBool,
    slowest_write_ns: AtomicU64,
}

impl Shared {
    fn error(&self) -> MutexGuard<'_, Option<EngineError>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the recording: the first error stays, all rings close, waiting producers return.
    #[cold]
    pub(crate) fn fail(&self, error: EngineError) {
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
        let mut producers = Vec::new();
        let mut consumers = Vec::new();
        let mut streams = Vec::new();
        for stream in &options.streams {
            let (producer, consumer) = slot_ring(stream.slots)?;
            streams.push(SharedStream {
                tally: StreamTally::default(),
                monitor: producer.monitor(),
                slots: stream.slots.slots,
                start_time: AtomicI64::new(0),
            });
            producers.push(producer);
            consumers.push(consumer);
        }
        let shared = Arc::new(Shared {
            streams,
            error: Mutex::new(None),
            has_failed: AtomicBool::new(false),
            slowest_write_ns: AtomicU64::new(0),
        });

        let windows: Vec<usize> = options
            .streams
            .iter()
            .map(|stream| stream.slots.slots)
            .collect();
        // A place for every slot there is: a worker never waits for the writer here, only a
        // producer waits, and it waits for a slot.
        let (send, receive) = sync_channel(windows.iter().sum());
        let mut recording = Self {
            shared: Arc::clone(&shared),
            workers: Vec::new(),
            writer: None,
        };
        recording.writer = Some(spawn("daqring-writer", move || {
            let writing = AssertUnwindSafe(|| run_writer(sink, receive, &windows, &shared));
            catch_unwind(writing)
                .inspect_err(|payload| {
                    shared.fail(EngineError::Panicked(panic_message(&**payload)))
                })
                .ok()
        })?);
        let stages: Arc<[Arc<dyn Stage>]> = options.stages.into();
        for (index, (stream, consumer)) in options.streams.iter().zip(consumers).enumerate() {
            for number in 0..stream.workers.max(1) {
                let (consumer, send) = (consumer.clone(), send.clone());
                let (shared, stages) = (Arc::clone(&recording.shared), Arc::clone(&stages));
                let name = format!("daqring-worker-{index}.{number}");
                recording.workers.push(spawn(&name, move || {
                    run_worker(index, consumer, &stages, &shared, &send)
                })?);
            }
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

    /// The counters now.
    pub fn stats(&self) -> RecordingStats {
        RecordingStats {
            streams: self
                .shared
                .streams
                .iter()
                .map(|stream| {
                    stream
                        .tally
                        .snapshot(stream.monitor.counters(), stream.slots)
                })
                .collect(),
            slowest_write_ns: self.shared.slowest_write_ns.load(Ordering::Relaxed),
        }
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
    /// each with its stream.
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
            for &(stream, gap) in final_gaps {
                self.shared.streams[stream]
                    .tally
                    .lost(gap.count.unwrap_or(LOST_UNKNOWN));
                if let Err(error) = sink.final_gap(stream, gap) {
                    late_error = Some(error.into());
                }
            }
            match sink.finish(properties(&self.stats())) {
                Ok(done) => summary.sink = done,
                Err(error) => late_error = Some(error.into()),
            }
        }
        summary.stats = self.stats();
        let error = self.shared.error().take().or(late_error);
        (summary, error)
    }

    fn join(&mut self) -> Option<Box<dyn Sink>> {
        for stream in &self.shared.streams {
            stream.monitor.close();
        }
        for worker in self.workers.drain(..) {
            if let Err(payload) = worker.join() {
                self.shared
                    .fail(EngineError::Panicked(panic_message(&*payload)));
            }
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
        drop(self.join());
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
