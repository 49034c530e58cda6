//! The running recording, as Python drives it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use daqring_engine::stages::Manual;
use daqring_engine::{
    EngineError, Feed, Layout, LogSink, Note, Notes, NullSink, RecordingOptions, RecordingStats,
    Sink, StreamOptions, StreamStats, WorkStats,
};
use daqring_log::{
    ClockPair, DiskSpace, Gap, GapCause, GroupSpec, LogOptions, LogWriter, Progress, Properties,
    PropertyValue, Scale, unix_ns,
};
use daqring_ring::slots::{ReserveError, SlotOptions, SlotProducer};
use daqring_ring::{Policy, WaitStrategy};
use pyo3::exceptions::{PyBlockingIOError, PyIndexError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::log::{GroupArgument, LogArgument, PropertiesArgument, count_property, log_error};
use crate::placement::{Placement, PlacementArgument};
use crate::slot::{Reserved, Slot};
use crate::stages::{OutputGroup, StageArgument, build};
use crate::stream::{Block, patiently};

/// One stream as Python describes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct StreamArgument {
    group: GroupArgument,
    slot_bytes: usize,
    slots: usize,
    #[pyo3(default)]
    stages: Vec<StageArgument>,
    /// Whether the blocks themselves go to the log.
    #[pyo3(default = true)]
    record: bool,
    #[pyo3(default)]
    overflow: Option<String>,
}

/// Rings, workers, writer and log of a recording. Private: `daqring.Recorder` is the way in.
///
/// Each of `streams` is a dict and becomes a group of the log:
///
/// - `"group"`: a dict of
///     - `"name"`: text; `"properties"`: a dict of bool, int, float, str or datetime;
///     - `"dt"`: seconds from one sample to the next, or None where that is not constant;
///     - `"channels"`: a list of dicts, one for each run of a slot, in their order: `"name"`, `"dtype"`
///       (numpy's name), `"unit"` (text), `"scale"` (coefficients in ascending powers, or None),
///       `"properties"`. A run that is a digital port (uint8 to uint64) may have `"lines"`, a list of
///       dicts with `"name"`, `"bit"` (0: least significant) and `"properties"`: each becomes a boolean
///       channel, and the run itself is not written;
///     - `"times"` (optional, only without `dt`): a dict of `"name"` and `"from"`; becomes the group's
///       first channel, of timestamps. From `"slot"`: the first run of a slot, before those of the
///       channels, has the times as int64 ns since 1970 (numpy's `datetime64[ns]`). `"host"`: spread
///       evenly from one block's `host_time_ns` (the start time, at first) to the next one's. `"periods"`
///       or `"frequencies"`: the start time plus the sum of the first float channel's values (s), or of
///       their inverses (Hz);
///     - `"records"` (optional, bool): the blocks are samples of triggers, committed with `record=`.
/// - `"slot_bytes"`, `"slots"`: size and number of the ring's slots.
/// - `"stages"` (optional): a list of dicts, see `daqring.stages`; `"record"` (optional, default true):
///   whether the blocks themselves are logged; `"overflow"` (optional): `"wait"`, `"drop_newest"`,
///   `"drop_oldest"` or `"fail"`.
///
/// The samples of a block are one run per channel, one behind the other, little-endian.
#[pyclass(frozen, module = "daqring._native")]
pub(crate) struct Recording {
    // Held only inside detached sections, or for a moment.
    running: Mutex<Option<daqring_engine::Recording>>,
    producers: Vec<Mutex<Option<SlotProducer>>>,
    outstanding: Mutex<Vec<Reserved>>,
    notes: Notes,
    feed: Option<Arc<Feed>>,
    /// What stages put out.
    derived: Vec<OutputGroup>,
    manuals: Vec<(String, Arc<Manual>)>,
    /// What stages use; dropped after `running`, whose threads have ended then.
    _keep: Vec<Py<PyAny>>,
    space: Option<DiskSpace>,
    /// Holds the file open, and so ends with the recording.
    progress: Mutex<Option<Progress>>,
    placement: Arc<Placement>,
    /// Of all streams, once it is finished.
    start_times: OnceLock<Vec<i64>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recording {
    /// Does something with the running recording; `None` once it is finished. Call it detached.
    pub(crate) fn with_running<T>(
        &self,
        look: impl FnOnce(&daqring_engine::Recording) -> T,
    ) -> Option<T> {
        self.running().as_ref().map(look)
    }

    fn running(&self) -> MutexGuard<'_, Option<daqring_engine::Recording>> {
        lock(&self.running)
    }

    fn producer(&self, stream: usize) -> PyResult<MutexGuard<'_, Option<SlotProducer>>> {
        let producer = self
            .producers
            .get(stream)
            .ok_or_else(|| PyIndexError::new_err(format!("there is no stream {stream}")))?;
        Ok(lock(producer))
    }

    /// Bytes of a slot of a stream.
    pub(crate) fn slot_bytes(&self, stream: usize) -> PyResult<usize> {
        let producer = self.producer(stream)?;
        let slots = producer.as_ref().map(SlotProducer::monitor);
        Ok(slots.ok_or_else(taken)?.slot_bytes())
    }

    /// Puts what a native reader tells into the log, with the clocks of that moment; now it is
    /// `monotonic_ns` by Python's monotonic clock.
    pub(crate) fn clock_sink(
        &self,
        stream: usize,
        monotonic_ns: i64,
    ) -> Box<dyn FnMut(u64) + Send> {
        let (notes, begin) = (self.notes.clone(), Instant::now());
        Box::new(move |sample| {
            let elapsed = i64::try_from(begin.elapsed().as_nanos()).unwrap_or(i64::MAX);
            let pair = ClockPair {
                sample,
                monotonic_ns: monotonic_ns.saturating_add(elapsed),
                utc_ns: unix_ns(),
            };
            notes.add(Note::Clock { stream, pair });
        })
    }

    /// Takes the time of a stream's first sample from a native reader, where that comes after the start.
    pub(crate) fn start_sink(&self, stream: usize) -> Option<Box<dyn FnOnce(i64) + Send>> {
        self.with_running(|running| Box::new(running.later_start(stream)) as Box<_>)
    }

    /// Takes the producer of a stream back from a native reader.
    pub(crate) fn return_producer(&self, stream: usize, producer: SlotProducer) -> PyResult<()> {
        *self.producer(stream)? = Some(producer);
        Ok(())
    }

    /// Where the threads run.
    pub(crate) fn placement(&self) -> Arc<Placement> {
        Arc::clone(&self.placement)
    }

    /// Hands the producer of a stream to a native reader.
    pub(crate) fn take_producer(&self, stream: usize) -> PyResult<SlotProducer> {
        self.producer(stream)?.take().ok_or_else(taken)
    }
}

impl Drop for Recording {
    /// Nobody finished it. Its threads are waited for without the interpreter, which a user's function
    /// may need to come to its end.
    fn drop(&mut self) {
        let running = self.running().take();
        if running.is_some() {
            Python::attach(|py| py.detach(|| drop(running)));
        }
    }
}

fn taken() -> PyErr {
    PyRuntimeError::new_err("the stream has a reader already, or the recording was finished")
}

#[pymethods]
impl Recording {
    /// Creates the log (`path=None`: no log) and starts the threads.
    #[new]
    #[pyo3(signature = (
        path, streams, *, workers=1, overwrite=false, crc=None, feed=Vec::new(), properties=None, log=None,
        placement=None
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        path: Option<PathBuf>,
        streams: Vec<StreamArgument>,
        workers: usize,
        overwrite: bool,
        crc: Option<bool>,
        feed: Vec<String>,
        properties: Option<PropertiesArgument>,
        log: Option<LogArgument>,
        placement: Option<PlacementArgument>,
    ) -> PyResult<Self> {
        py.detach(|| {
            let placement = Arc::new(Placement::new(placement.unwrap_or_default()));
            let place = Arc::clone(&placement);
            let wanted = path.is_some() && log.as_ref().is_none_or(|log| log.checksum);
            let mut groups = Vec::new();
            let mut options = Vec::new();
            let mut conversions = Vec::new();
            let mut derived = Vec::new();
            let mut manuals = Vec::new();
            let mut keep = Vec::new();
            let gathered = log.as_ref().and_then(LogArgument::gathers_up_to);
            for stream in streams {
                let policy = match stream.overflow.as_deref() {
                    None | Some("wait") => Policy::Wait,
                    Some("drop_newest") => Policy::DropNewest,
                    Some("drop_oldest") => Policy::DropOldest,
                    Some("fail") => Policy::Fail,
                    Some(other) => {
                        return Err(PyValueError::new_err(format!(
                            "overflow must be wait, drop_newest, drop_oldest or fail, not {other:?}"
                        )));
                    }
                };
                let records = stream.group.records;
                let (seen, timed) = stream.group.runs()?;
                let (group, runs) = stream.group.into_spec()?;
                // Where a block goes into the log as it is, the workers spare the writer the checksum.
                let whole = runs.is_none()
                    && (records || gathered.is_none_or(|bytes| stream.slot_bytes >= bytes));
                let checksum = crc.unwrap_or(wanted && whole) && stream.record;
                let stages = build(stream.stages, checksum, crc.unwrap_or(wanted), || {
                    Layout::new(seen, timed)
                })
                .map_err(engine_error)?;
                options.push(StreamOptions {
                    name: group.name.clone(),
                    // Blocks come every few milliseconds or more rarely: spinning for them would burn a
                    // core that the disk, the driver and the program can use.
                    slots: SlotOptions {
                        wait: WaitStrategy::Park,
                        policy,
                        ..SlotOptions::new(stream.slot_bytes, stream.slots)
                    },
                    stages: stages.options,
                    recorded: stream.record,
                });
                derived.extend(stages.outputs);
                manuals.extend(stages.manuals);
                keep.extend(stages.keep);
                groups.push(group);
                conversions.push(runs);
            }
            let names = groups.iter().map(|group| &group.name);
            let names: Vec<_> = names
                .chain(derived.iter().map(|output| &output.runs.name))
                .collect();
            let feed = feed
                .iter()
                .map(|wanted| {
                    let found = names.iter().position(|name| *name == wanted);
                    found.ok_or_else(|| {
                        PyValueError::new_err(format!("there is no stream '{wanted}'"))
                    })
                })
                .collect::<PyResult<Vec<_>>>()?;
            let mut logged = Vec::new();
            let sources = groups.len();
            for (number, output) in derived
                .iter()
                .enumerate()
                .filter(|(_, output)| output.logged)
            {
                let (group, runs) = output.in_file().map_err(log_error)?;
                logged.push((sources + number, groups.len(), runs));
                groups.push(group);
            }
            let mut notes = Notes::default();
            let mut space = None;
            let mut progress = None;
            let sink: Box<dyn Sink> = match path {
                None => Box::new(NullSink),
                Some(path) => {
                    let root_properties = properties.unwrap_or_default().0;
                    let mut log_options = match log {
                        Some(log) => log.into_options()?,
                        None => LogOptions::default(),
                    };
                    log_options.overwrite = overwrite;
                    log_options.root_properties = root_properties;
                    let log = LogWriter::create(&path, log_options, groups).map_err(log_error)?;
                    let mut sink = LogSink::new(log).map_err(engine_error)?;
                    for (stream, runs) in conversions.into_iter().enumerate() {
                        sink.set_runs(stream, runs);
                    }
                    for (stream, group, runs) in logged {
                        sink.set_group(stream, group);
                        sink.set_runs(stream, runs);
                    }
                    notes = sink.notes();
                    space = Some(sink.disk_space());
                    progress = Some(sink.progress());
                    Box::new(sink)
                }
            };
            let (running, producers) = daqring_engine::Recording::start(
                RecordingOptions {
                    streams: options,
                    workers,
                    wait: WaitStrategy::Park,
                    feed,
                    on_thread: Some(Arc::new(move |role| place.thread(role))),
                },
                sink,
            )
            .map_err(engine_error)?;
            Ok(Self {
                feed: running.feed(),
                derived,
                manuals,
                _keep: keep,
                running: Mutex::new(Some(running)),
                producers: producers
                    .into_iter()
                    .map(|producer| Mutex::new(Some(producer)))
                    .collect(),
                outstanding: Mutex::new(Vec::new()),
                notes,
                space,
                progress: Mutex::new(progress),
                placement,
                start_times: OnceLock::new(),
            })
        })
    }

    /// Puts the calling thread, the reader of a stream, where it is to run.
    fn place_reader(&self, stream: usize) {
        self.placement.reader(stream);
    }

    /// What the system refused of the placement of threads, in sentences.
    fn refusals(&self) -> Vec<String> {
        self.placement.refusals()
    }

    /// The groups that stages put out, in the order of their stream numbers, which follow those of
    /// the other streams.
    fn derived<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        self.derived
            .iter()
            .map(|output| {
                let group = group_dict(py, &output.runs)?;
                let times = output.timed.then(|| {
                    let times = PyDict::new(py);
                    times.set_item("name", "time")?;
                    times.set_item("from", "slot")?;
                    PyResult::Ok(times)
                });
                group.set_item("times", times.transpose()?)?;
                Ok(group)
            })
            .collect()
    }

    /// Asks the trigger stages with this name (`None`: all) for a record now; how many there are.
    #[pyo3(signature = (name=None))]
    fn capture(&self, name: Option<&str>) -> usize {
        let asked = self
            .manuals
            .iter()
            .filter(|(stage, _)| name.is_none_or(|name| name == stage));
        asked.inspect(|(_, manual)| manual.capture()).count()
    }

    /// Waits up to `timeout` seconds for the next block, after it was stored. `None`: none came.
    /// Raises `EOFError` when none will.
    fn next_block(&self, py: Python<'_>, timeout: f64) -> PyResult<Option<Block>> {
        let feed = self
            .feed
            .as_ref()
            .ok_or_else(|| PyRuntimeError::new_err("the recording was started without a feed"))?;
        Ok(patiently(py, timeout, |step| feed.next(step))?.map(Block::from))
    }

    /// No more blocks are wanted; those that wait are let go.
    fn close_feed(&self, py: Python<'_>) {
        if let Some(feed) = &self.feed {
            py.detach(|| feed.close());
        }
    }

    /// No block follows: producers that nobody reads into are given back, and what is committed is
    /// drained.
    fn end_input(&self, py: Python<'_>) {
        py.detach(|| {
            for producer in &self.producers {
                drop(lock(producer).take());
            }
        });
    }

    /// Declares samples per channel as lost in front of the next block of a stream.
    fn add_lost(&self, py: Python<'_>, stream: usize, samples: u64) -> PyResult<()> {
        py.detach(|| {
            if let Some(producer) = self.producer(stream)?.as_mut() {
                producer.add_lost(samples);
            }
            Ok(())
        })
    }

    /// Notes an event; it is written with the next block.
    fn annotate(&self, text: String, host_time_ns: i64) {
        self.notes.add(Note::Event { text, host_time_ns });
    }

    /// Lets the next block begin another file.
    fn next_file(&self) {
        self.notes.add(Note::NextFile);
    }

    /// Notes that a sample and readings of the host's clocks belong together.
    fn note_clock(&self, stream: usize, sample: u64, monotonic_ns: i64, utc_ns: i64) {
        let pair = ClockPair {
            sample,
            monotonic_ns,
            utc_ns,
        };
        self.notes.add(Note::Clock { stream, pair });
    }

    /// Adds values to a group of their own: `data` has one run of `samples` values per channel.
    fn write_values(
        &self,
        group: GroupArgument,
        start_ns: i64,
        samples: u64,
        data: Vec<u8>,
    ) -> PyResult<()> {
        let (group, None) = group.into_spec()? else {
            return Err(PyValueError::new_err(
                "values of one's own have a constant interval and no lines",
            ));
        };
        self.notes.add(Note::Values {
            group,
            start_ns,
            data,
            samples,
        });
        Ok(())
    }

    /// Waits up to `timeout` seconds for an empty slot. `None`: none came free in time, or the
    /// recording failed or was finished. Raises `BlockingIOError` where the ring is full and drops the
    /// newest: what is read then is to be dropped and told by `add_lost`; `RecordingError` where it fails.
    #[pyo3(signature = (stream, timeout))]
    fn reserve(&self, py: Python<'_>, stream: usize, timeout: f64) -> PyResult<Option<Slot>> {
        let timeout = Duration::try_from_secs_f64(timeout).map_err(|_| {
            PyValueError::new_err("timeout must be a finite number of seconds, 0 or more")
        })?;
        py.detach(|| {
            let mut guard = self.producer(stream)?;
            let Some(producer) = guard.as_mut() else {
                return Ok(None);
            };
            let deadline = Instant::now() + timeout;
            loop {
                match producer.reserve_until(deadline) {
                    Ok(slot) => {
                        let (slot, reserved) = Slot::new(slot, producer.monitor());
                        let mut outstanding = lock(&self.outstanding);
                        outstanding.retain(Reserved::is_held);
                        outstanding.push(reserved);
                        return Ok(Some(slot));
                    }
                    Err(ReserveError::Dropped) => {
                        return Err(PyBlockingIOError::new_err(
                            "the ring is full: drop what comes",
                        ));
                    }
                    Err(ReserveError::Full) if producer.policy() == Policy::Fail => {
                        return Err(crate::log::RecordingError::new_err(
                            "the ring is full, and overflow='fail' was asked for",
                        ));
                    }
                    // All blocks are being worked on, so that not even the oldest can be dropped.
                    Err(ReserveError::Full) if Instant::now() < deadline => {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Err(_) => return Ok(None),
                }
            }
        })
    }

    /// Tells that no more blocks of a stream will come.
    fn close_stream(&self, py: Python<'_>, stream: usize) -> PyResult<()> {
        py.detach(|| {
            drop(self.producer(stream)?.take());
            Ok(())
        })
    }

    /// Sets the time of sample 0 of a stream (ns since 1970, UTC); before its first commit.
    fn set_start_time(&self, py: Python<'_>, stream: usize, unix_ns: i64) -> PyResult<()> {
        py.detach(|| {
            drop(self.producer(stream)?); // checks the number
            if let Some(running) = self.running().as_ref() {
                running.set_start_time(stream, unix_ns);
            }
            Ok(())
        })
    }

    /// Moves the time of sample 0 of a stream to a later one; before its first commit.
    fn later_start(&self, py: Python<'_>, stream: usize, unix_ns: i64) -> PyResult<()> {
        py.detach(|| {
            drop(self.producer(stream)?); // checks the number
            if let Some(later) = self.start_sink(stream) {
                later(unix_ns);
            }
            Ok(())
        })
    }

    /// Time of sample 0 of a stream (those that stages put out: of their source), ns since 1970 (UTC).
    fn start_time(&self, py: Python<'_>, stream: usize) -> i64 {
        let time = py.detach(|| {
            self.with_running(|running| running.start_time(stream))
                .or_else(|| self.start_times.get()?.get(stream).copied())
        });
        time.unwrap_or(0)
    }

    /// The first failure as a sentence, or `None`.
    fn failure(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| {
            self.running()
                .as_ref()
                .and_then(daqring_engine::Recording::failure)
        })
    }

    /// The counters now, as a dict; `None` once finished.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let stats = py.detach(|| {
            self.running()
                .as_ref()
                .map(daqring_engine::Recording::stats)
        });
        let Some(stats) = stats else {
            return Ok(None);
        };
        let dict = stats_dict(py, &stats)?;
        let space = self.space.as_ref();
        let left = space.and_then(DiskSpace::time_left);
        dict.set_item("disk_free", space.and_then(DiskSpace::free))?;
        dict.set_item("disk_seconds", left.map(|left| left.as_secs_f64()))?;
        let durable = lock(&self.progress).as_ref().map(Progress::durable);
        dict.set_item("durable_blocks", durable.map(|durable| durable.blocks))?;
        dict.set_item("durable_bytes", durable.map(|durable| durable.bytes))?;
        Ok(Some(dict))
    }

    /// Drains the rings, ends the threads and finishes the log. `final_gaps`: (stream, first
    /// sample, samples lost per channel or None, cause). `acquired`: for each stream the index of its
    /// first sample, and that after the last one that should be in the log. Returns the counters at
    /// rest, of each stream the holes that the log tells (first sample, number or None, cause) and the
    /// samples that are not in the log without being lost, what the log says of itself and, where the
    /// recording failed, the exception.
    #[pyo3(signature = (final_gaps, properties, acquired=Vec::new()))]
    fn finish<'py>(
        &self,
        py: Python<'py>,
        final_gaps: Vec<(usize, u64, Option<u64>, u32)>,
        properties: PropertiesArgument,
        acquired: Vec<(u64, u64)>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let ended = py.detach(|| {
            let mut place = self.running();
            let running = place.take()?;
            let streams = 0..self.producers.len() + self.derived.len();
            let times = streams.map(|stream| running.start_time(stream));
            // Before anybody finds that it is gone.
            self.start_times.get_or_init(|| times.collect());
            drop(place);
            if let Some(feed) = &self.feed {
                // Who has not taken a block by now does not want it; the log has it.
                feed.close();
            }
            for producer in &self.producers {
                drop(lock(producer).take());
            }
            // The rings are closed now, but would wait for slots that are still being written. Who
            // forgot one, or died with one in a traceback, must not keep the file from its end.
            lock(&self.outstanding)
                .drain(..)
                .for_each(|reserved| reserved.take_back());
            let gaps: Vec<_> = final_gaps
                .into_iter()
                .filter(|gap| gap.0 < self.producers.len())
                .map(|(stream, first_sample, count, cause)| {
                    let cause = GapCause::from_u32(cause);
                    (
                        stream,
                        Gap {
                            first_sample,
                            count,
                            cause,
                            host_time_ns: unix_ns(),
                        },
                    )
                })
                .collect();
            let done = running.finish(&gaps, |stats| {
                let mut properties = properties.0;
                properties.extend(losses(stats, &acquired));
                properties
            });
            drop(lock(&self.progress).take());
            Some(done)
        });
        let (summary, error) =
            ended.ok_or_else(|| PyRuntimeError::new_err("the recording was finished already"))?;
        let dict = stats_dict(py, &summary.stats)?;
        let gaps: Vec<Vec<_>> = summary
            .gaps
            .iter()
            .map(|gaps| {
                let tuples = gaps
                    .iter()
                    .map(|gap| (gap.first_sample, gap.count, gap.cause as u32));
                tuples.collect()
            })
            .collect();
        dict.set_item("gaps", gaps)?;
        dict.set_item("unstored", unstored(&summary.stats, &acquired))?;
        let log = summary.sink.log.as_ref();
        dict.set_item("file_bytes", log.map(|log| log.bytes))?;
        dict.set_item("files", log.map(|log| log.files.clone()))?;
        dict.set_item("segments", log.map(|log| log.segments))?;
        dict.set_item(
            "io",
            log.map(|log| if log.direct_io { "direct" } else { "buffered" }),
        )?;
        dict.set_item("io_reason", log.map(|log| log.io_reason.clone()))?;
        dict.set_item(
            "law_holds",
            summary.stats.streams.iter().all(StreamStats::law_holds),
        )?;
        dict.set_item(
            "error",
            error.map(|error| engine_error(error).into_value(py)),
        )?;
        Ok(dict)
    }
}

/// Of each stream, the samples per channel behind the last one that the log has, up to where it should
/// have them.
fn unstored(stats: &RecordingStats, acquired: &[(u64, u64)]) -> Vec<u64> {
    let streams = stats.streams.iter().zip(acquired);
    streams
        .map(|(stream, (first, after))| after.saturating_sub(stream.end.max(*first)))
        .collect()
}

/// What the log says of all that is not in it, as far as the counters at rest know it.
fn losses(stats: &RecordingStats, acquired: &[(u64, u64)]) -> Properties {
    let lost: u64 = stats.streams.iter().map(|stream| stream.lost).sum();
    let unknown = stats.streams.iter().any(|stream| stream.lost_unknown > 0);
    let unstored: u64 = unstored(stats, acquired).iter().sum();
    let mut properties = vec![
        ("daqring.lost".to_owned(), count_property(lost)),
        (
            "daqring.lost_unknown".to_owned(),
            PropertyValue::Bool(unknown),
        ),
    ];
    if unstored > 0 {
        properties.push(("daqring.unstored".to_owned(), count_property(unstored)));
    }
    properties
}

fn group_dict<'py>(py: Python<'py>, group: &GroupSpec) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("name", &group.name)?;
    dict.set_item("dt", group.dt)?;
    let mut channels = Vec::new();
    for channel in &group.channels {
        let entry = PyDict::new(py);
        entry.set_item("name", &channel.name)?;
        entry.set_item("dtype", channel.data_type.name())?;
        entry.set_item("unit", &channel.unit)?;
        entry.set_item(
            "scale",
            match &channel.scale {
                Scale::Polynomial(coefficients) => Some(coefficients.clone()),
                Scale::Linear { slope, intercept } => Some(vec![*intercept, *slope]),
                _ => None,
            },
        )?;
        channels.push(entry);
    }
    dict.set_item("channels", channels)?;
    Ok(dict)
}

fn stats_dict<'py>(py: Python<'py>, stats: &RecordingStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let mut streams = Vec::new();
    for stream in &stats.streams {
        let entry = PyDict::new(py);
        for (name, value) in [
            ("slots", stream.slots),
            ("high_water", stream.high_water),
            ("committed", stream.committed),
            ("dropped", stream.dropped),
            ("dropped_samples", stream.dropped_samples),
            ("written", stream.written),
            ("written_samples", stream.written_samples),
            ("written_bytes", stream.written_bytes),
            ("gated", stream.gated),
            ("gated_samples", stream.gated_samples),
            ("failed", stream.failed),
            ("failed_samples", stream.failed_samples),
            ("lost", stream.lost),
            ("lost_unknown", stream.lost_unknown),
            ("overruns", stream.overruns),
        ] {
            entry.set_item(name, value)?;
        }
        streams.push(entry);
    }
    dict.set_item("streams", streams)?;
    dict.set_item("slowest_write_ns", stats.slowest_write_ns)?;
    let mut stages = Vec::new();
    for stage in &stats.stages {
        let entry = work_dict(py, &stage.work)?;
        entry.set_item("stream", stage.stream)?;
        entry.set_item("name", &stage.name)?;
        stages.push(entry);
    }
    dict.set_item("stages", stages)?;
    let mut workers = Vec::new();
    for worker in &stats.workers {
        let entry = work_dict(py, &worker.work)?;
        entry.set_item("cpu_seconds", worker.cpu_ns.map(|ns| ns as f64 / 1e9))?;
        workers.push(entry);
    }
    dict.set_item("workers", workers)?;
    let mut derived = Vec::new();
    for stream in &stats.derived {
        let entry = PyDict::new(py);
        entry.set_item("name", &stream.name)?;
        entry.set_item("source", stream.source)?;
        entry.set_item("blocks", stream.blocks)?;
        entry.set_item("samples", stream.samples)?;
        entry.set_item("written_samples", stream.written_samples)?;
        entry.set_item("written_bytes", stream.written_bytes)?;
        entry.set_item("lost", stream.lost)?;
        entry.set_item("lost_unknown", stream.lost_unknown)?;
        entry.set_item("records", stream.records)?;
        derived.push(entry);
    }
    dict.set_item("derived", derived)?;
    Ok(dict)
}

/// Blocks, and seconds spent on them.
fn work_dict<'py>(py: Python<'py>, work: &WorkStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("blocks", work.blocks)?;
    dict.set_item("busy", work.busy_ns as f64 / 1e9)?;
    dict.set_item("longest", work.longest_ns as f64 / 1e9)?;
    Ok(dict)
}

fn engine_error(error: EngineError) -> PyErr {
    match error {
        EngineError::Log(error) => log_error(error),
        EngineError::Options(_) => PyValueError::new_err(error.to_string()),
        _ => crate::log::RecordingError::new_err(error.to_string()),
    }
}
