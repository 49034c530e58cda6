//! The workers: all of them serve all streams.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SendError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use daqring_ring::slots::{AcquireError, ReadSlot, SlotConsumer};
use daqring_ring::{BlockHeader, Policy, WaitStrategy, Waiter};

use crate::error::panic_message;
use crate::recording::Shared;
use crate::stats::{WorkTally, thread_cpu_ns};
use crate::{Arrival, BlockView, EngineError, Parcel, Stage, StageError, StageOutput};

/// Parcels of one stream take about this much memory at most, unless fewer than two blocks per
/// worker would fit.
const PARCELS_BYTES: usize = 64 << 20;

/// A block that a stage has put out and other stages work on.
pub(crate) struct Made {
    pub(crate) header: BlockHeader,
    pub(crate) data: Vec<u8>,
    ticket: u64,
}

/// Blocks that wait for the stages behind the one that put them out.
#[derive(Default)]
pub(crate) struct MadeQueue {
    waiting: VecDeque<Made>,
    tickets: u64,
    spare: Vec<Vec<u8>>,
}

impl MadeQueue {
    pub(crate) fn push(&mut self, header: &BlockHeader, data: &[u8]) {
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(data);
        self.waiting.push_back(Made {
            header: *header,
            data: copy,
            ticket: self.tickets,
        });
        self.tickets += 1;
    }

    pub(crate) fn take_back(&mut self, made: Made) {
        self.spare.push(made.data);
    }
}

/// Where a block's samples are.
pub(crate) enum Place {
    Slot(ReadSlot),
    Made(Made),
}

impl Place {
    pub(crate) fn view(&self) -> BlockView<'_> {
        match self {
            Self::Slot(slot) => BlockView {
                header: slot.header(),
                data: slot,
            },
            Self::Made(made) => BlockView {
                header: &made.header,
                data: &made.data,
            },
        }
    }

    pub(crate) fn ticket(&self) -> u64 {
        match self {
            Self::Slot(slot) => slot.ticket(),
            Self::Made(made) => made.ticket,
        }
    }
}

/// What a worker tells the writer.
pub(crate) enum Message {
    Finished(Finished),
    /// All streams of tasks are closed and drained, and what this worker took of them was sent.
    NoMoreInput,
}

/// A processed block on its way from a worker to the writer.
pub(crate) struct Finished {
    pub(crate) stream: usize,
    pub(crate) place: Place,
    /// One per stage.
    pub(crate) parcels: Vec<Parcel>,
    /// `None`: a stage failed, the block must not be written.
    pub(crate) output: Option<StageOutput>,
}

/// The work on one stream's blocks.
pub(crate) struct StreamWork {
    pub(crate) stages: Vec<Arc<dyn Stage>>,
    pub(crate) tallies: Vec<WorkTally>,
    /// Where blocks must be met in order, or not too many at once.
    gate: Option<Mutex<Gate>>,
    /// Blocks that may be past the gate and not yet settled.
    window: u64,
    pub(crate) settled: Arc<AtomicU64>,
    spare: Mutex<Vec<Vec<Parcel>>>,
}

/// Passed by one worker at a time, from before it acquires a block until the block has arrived.
struct Gate {
    arrivals: Vec<Option<Box<dyn Arrival>>>,
    acquired: u64,
    /// An arrival failed: its state is worth nothing any more.
    broken: bool,
}

impl StreamWork {
    pub(crate) fn new(
        stages: Vec<Arc<dyn Stage>>,
        slots: usize,
        workers: usize,
        policy: Policy,
    ) -> Self {
        let bytes: usize = stages.iter().map(|stage| stage.parcel_bytes()).sum();
        let most = match policy {
            // Only blocks that nobody has acquired can be dropped.
            Policy::DropOldest => 0,
            _ => PARCELS_BYTES / bytes.max(1),
        };
        let window = most.max(2 * workers).min(slots.saturating_sub(1).max(1));
        let window = if most >= slots { slots } else { window };
        let work = Self::with_window(stages, window as u64, window < slots);
        work.spare().reserve(slots);
        work
    }

    /// For what a stage puts out: the number of blocks is bounded by that of their sources.
    pub(crate) fn behind_a_stage(stages: Vec<Arc<dyn Stage>>) -> Self {
        Self::with_window(stages, u64::MAX, false)
    }

    /// `narrow` says that the window holds fewer blocks than there can be.
    fn with_window(stages: Vec<Arc<dyn Stage>>, window: u64, narrow: bool) -> Self {
        let arrivals: Vec<_> = stages.iter().map(|stage| stage.arrival()).collect();
        let gated = narrow || arrivals.iter().any(Option::is_some);
        Self {
            tallies: stages.iter().map(|_| WorkTally::default()).collect(),
            gate: gated.then(|| {
                Mutex::new(Gate {
                    arrivals,
                    acquired: 0,
                    broken: false,
                })
            }),
            window,
            settled: Arc::default(),
            spare: Mutex::default(),
            stages,
        }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<Parcel>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parcels(&self) -> Vec<Parcel> {
        if self.stages.is_empty() {
            return Vec::new();
        }
        let spare = self.spare().pop();
        spare.unwrap_or_else(|| self.stages.iter().map(|stage| stage.parcel()).collect())
    }

    /// A block has been settled: its parcels serve again, and, unless a feed has it, one more may pass
    /// the gate.
    pub(crate) fn settle(&self, parcels: Vec<Parcel>, fed: bool, shared: &Shared) {
        if !parcels.is_empty() {
            self.spare().push(parcels);
        }
        if self.gate.is_some() && !fed {
            // Release, with the Acquire in `look`: the parcels are back before the place is.
            self.settled.fetch_add(1, Ordering::Release);
            shared.event.notify_one();
        }
    }
}

pub(crate) struct Found<'a> {
    stream: usize,
    place: Place,
    gate: Option<MutexGuard<'a, Gate>>,
}

/// What a worker needs.
pub(crate) struct Worker<'a> {
    pub(crate) number: usize,
    /// One per stream, until that is closed and drained.
    pub(crate) consumers: Vec<Option<SlotConsumer>>,
    pub(crate) wait: WaitStrategy,
    pub(crate) shared: &'a Shared,
}

impl<'a> Worker<'a> {
    /// Acquires blocks of any stream, runs the stages, hands them on. Ends when all streams are
    /// closed and drained.
    pub(crate) fn run(mut self, finished: &SyncSender<Message>) {
        let shared = self.shared;
        let tally = &shared.workers[self.number];
        let mut waiter = Waiter::new(self.wait);
        let mut next = self.number;
        let mut cpu_asked: Option<Instant> = None;
        let mut consumers = std::mem::take(&mut self.consumers);
        while consumers.iter().any(Option::is_some) {
            let found = match look(&mut consumers, next, shared) {
                Some(found) => Some(found),
                None => waiter.wait(&shared.event, None, || look(&mut consumers, next, shared)),
            };
            let Some(Some(found)) = found else {
                // A stream ended: the others are still looked at, and so by every other worker.
                continue;
            };
            if found.stream < consumers.len() {
                // Streams take turns, so that a busy one does not starve the others.
                next = found.stream + 1;
            }
            self.work_on(found, finished, &mut cpu_asked);
        }
        if shared.has_chains() {
            // The writer may still give us what stages have put out; it knows when that is over.
            drop(finished.send(Message::NoMoreInput));
            let look = || match look_behind_stages(shared) {
                Some(found) => Some(Some(found)),
                None => shared.no_more_work().then_some(None),
            };
            while let Some(Some(found)) = look().or_else(|| waiter.wait(&shared.event, None, look))
            {
                self.work_on(found, finished, &mut cpu_asked);
            }
        }
        thread_cpu_ns().inspect(|&ns| tally.cpu(ns));
    }

    fn work_on(
        &self,
        found: Found<'_>,
        finished: &SyncSender<Message>,
        cpu_asked: &mut Option<Instant>,
    ) {
        let tally = &self.shared.workers[self.number];
        let begin = Instant::now();
        let stream = found.stream;
        let item = process(found, self.shared);
        tally.did(begin.elapsed());
        if cpu_asked.is_none_or(|asked| begin - asked > Duration::from_secs(1)) {
            *cpu_asked = Some(begin);
            thread_cpu_ns().inspect(|&ns| tally.cpu(ns));
        }
        // Where the writer is gone (it said why), the rings are closed: drain and account.
        if let Err(SendError(Message::Finished(lost))) = finished.send(Message::Finished(item))
            && let Some(stream) = self.shared.streams.get(stream)
        {
            stream.tally.failed(lost.place.view().header.samples);
        }
    }
}

/// A block that a stage has put out, for the stages behind it.
pub(crate) fn look_behind_stages(shared: &Shared) -> Option<Found<'_>> {
    if shared.made_waits.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let sources = shared.streams.len();
    for (index, derived) in shared.derived.iter().enumerate() {
        let Some(queue) = &derived.queue else {
            continue;
        };
        let stream = sources + index;
        let gate = match shared.work[stream].gate.as_ref().map(Mutex::try_lock) {
            None => None,
            Some(Ok(gate)) => Some(gate),
            Some(Err(TryLockError::Poisoned(gate))) => Some(gate.into_inner()),
            // Who is in there calls when the gate opens.
            Some(Err(TryLockError::WouldBlock)) => continue,
        };
        let made = queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .waiting
            .pop_front();
        if let Some(made) = made {
            shared.made_waits.fetch_sub(1, Ordering::Relaxed);
            return Some(Found {
                stream,
                place: Place::Made(made),
                gate,
            });
        }
    }
    None
}

/// A block of any stream: `Some(None)` when there is none because a stream has ended.
///
/// What can make it succeed later is announced on the one event count of all workers: a commit and a
/// close by the ring, a gate that opens and a block that settles by whoever does that.
fn look<'a>(
    consumers: &mut [Option<SlotConsumer>],
    next: usize,
    shared: &'a Shared,
) -> Option<Option<Found<'a>>> {
    // First, so that what waits between two stages is never more than came of the blocks that were
    // on their way to the writer.
    if let Some(found) = look_behind_stages(shared) {
        return Some(Some(found));
    }
    let count = consumers.len();
    for stream in (next..next + count).map(|stream| stream % count) {
        let Some(consumer) = &mut consumers[stream] else {
            continue;
        };
        let work = &shared.work[stream];
        let mut gate = match work.gate.as_ref().map(Mutex::try_lock) {
            None => None,
            Some(Ok(gate)) => Some(gate),
            Some(Err(TryLockError::Poisoned(gate))) => Some(gate.into_inner()),
            // Who is in there calls when the gate opens.
            Some(Err(TryLockError::WouldBlock)) => continue,
        };
        if let Some(gate) = &gate
            && gate.acquired - work.settled.load(Ordering::Acquire) >= work.window
            && !shared.writer_is_gone()
        {
            continue;
        }
        match consumer.try_acquire() {
            Ok(slot) => {
                if let Some(gate) = &mut gate {
                    gate.acquired += 1;
                }
                return Some(Some(Found {
                    stream,
                    place: Place::Slot(slot),
                    gate,
                }));
            }
            Err(AcquireError::Closed) => {
                let gated = gate.is_some();
                drop(gate);
                consumers[stream] = None;
                if gated {
                    // Others may have found the gate shut just now; they have to learn it, too.
                    shared.event.notify_all();
                }
                return Some(None);
            }
            Err(_) => {}
        }
    }
    None
}

pub(crate) fn process(found: Found<'_>, shared: &Shared) -> Finished {
    let Found {
        stream,
        place,
        gate,
    } = found;
    let work = &shared.work[stream];
    let mut parcels = work.parcels();
    let mut output = Some(StageOutput::default());
    let block = place.view();
    if let Some(mut gate) = gate {
        if gate.broken {
            output = None;
        }
        let Gate {
            arrivals, broken, ..
        } = &mut *gate;
        for (index, arrival) in arrivals.iter_mut().enumerate() {
            let Some(arrival) = arrival.as_mut().filter(|_| output.is_some()) else {
                continue;
            };
            let begin = Instant::now();
            let arrived = caught(|| arrival.arrive(&block, &mut parcels[index]));
            work.tallies[index].also(begin.elapsed());
            if let Err(error) = arrived {
                *broken = true;
                output = None;
                shared.fail(error.on(&*work.stages[index], &block));
            }
        }
        drop(gate);
        // After the gate opened: somebody may have found it shut.
        shared.event.notify_one();
    } else if shared.anything_waits() {
        // A notification for a block wakes one worker, who may have taken another one.
        shared.event.notify_one();
    }
    for (index, stage) in work.stages.iter().enumerate() {
        let Some(out) = &mut output else {
            break;
        };
        let begin = Instant::now();
        let result = caught(|| stage.run(&block, &mut parcels[index], out));
        work.tallies[index].did(begin.elapsed());
        if let Err(error) = result {
            output = None;
            shared.fail(error.on(&**stage, &block));
        }
    }
    Finished {
        stream,
        place,
        parcels,
        output,
    }
}

/// Runs a step of a stage; a panic becomes an error.
pub(crate) fn caught<E>(step: impl FnOnce() -> Result<(), E>) -> Result<(), E>
where
    E: From<StageError>,
{
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|payload| {
        Err(StageError(format!("it panicked: {}", panic_message(&*payload))).into())
    })
}

impl StageError {
    /// As an error of the recording.
    pub(crate) fn on(self, stage: &dyn Stage, block: &BlockView<'_>) -> EngineError {
        EngineError::Stage {
            stage: stage.name().to_owned(),
            seq: block.header.seq,
            message: self.0,
        }
    }
}
