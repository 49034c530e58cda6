//! The workers: all of them serve all streams.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SendError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use daqring_ring::slots::{AcquireError, ReadSlot, SlotConsumer};
use daqring_ring::{Policy, WaitStrategy, Waiter};

use crate::error::panic_message;
use crate::recording::Shared;
use crate::stats::{WorkTally, thread_cpu_ns};
use crate::{Arrival, BlockView, EngineError, Parcel, Stage, StageError, StageOutput};

/// Parcels of one stream take about this much memory at most, unless fewer than two blocks per
/// worker would fit.
const PARCELS_BYTES: usize = 64 << 20;

/// A processed block on its way from a worker to the writer.
pub(crate) struct Finished {
    pub(crate) stream: usize,
    pub(crate) slot: ReadSlot,
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
        let arrivals: Vec<_> = stages.iter().map(|stage| stage.arrival()).collect();
        let bytes: usize = stages.iter().map(|stage| stage.parcel_bytes()).sum();
        let most = match policy {
            // Only blocks that nobody has acquired can be dropped.
            Policy::DropOldest => 0,
            _ => PARCELS_BYTES / bytes.max(1),
        };
        let window = most.max(2 * workers).min(slots.saturating_sub(1).max(1));
        let window = if most >= slots { slots } else { window };
        let gated = window < slots || arrivals.iter().any(Option::is_some);
        Self {
            tallies: stages.iter().map(|_| WorkTally::default()).collect(),
            gate: gated.then(|| {
                Mutex::new(Gate {
                    arrivals,
                    acquired: 0,
                    broken: false,
                })
            }),
            window: window as u64,
            settled: Arc::default(),
            spare: Mutex::new(Vec::with_capacity(slots)),
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

struct Found<'a> {
    stream: usize,
    slot: ReadSlot,
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
    pub(crate) fn run(mut self, finished: &SyncSender<Finished>) {
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
            let begin = Instant::now();
            let stream = found.stream;
            // Streams take turns, so that a busy one does not starve the others.
            next = stream + 1;
            let item = process(found, shared);
            tally.did(begin.elapsed());
            if cpu_asked.is_none_or(|asked| begin - asked > Duration::from_secs(1)) {
                cpu_asked = Some(begin);
                thread_cpu_ns().inspect(|&ns| tally.cpu(ns));
            }
            // Where the writer is gone (it said why), the rings are closed: drain and account.
            if let Err(SendError(lost)) = finished.send(item) {
                let samples = lost.slot.header().samples;
                shared.streams[stream].tally.failed(samples);
            }
        }
        thread_cpu_ns().inspect(|&ns| tally.cpu(ns));
    }
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
                return Some(Some(Found { stream, slot, gate }));
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

fn process(found: Found<'_>, shared: &Shared) -> Finished {
    let Found { stream, slot, gate } = found;
    let work = &shared.work[stream];
    let mut parcels = work.parcels();
    let mut output = Some(StageOutput::default());
    let block = BlockView {
        header: slot.header(),
        data: &slot,
    };
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
        slot,
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
