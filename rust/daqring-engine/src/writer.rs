//! The writer: restores the order of each stream and feeds the sink.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use daqring_log::{Gap, GapCause, LOST_UNKNOWN, LogError};
use daqring_ring::BlockHeader;

use crate::derived::DerivedLane;
use crate::pool::{Finished, Message, Place, caught, look_behind_stages, process};
use crate::recording::Shared;
use crate::reorder::Reorder;
use crate::stage::SettleError;
use crate::{BlockView, EngineError, Outlet, Settlement, Sink, Stage};

/// A stream as the writer keeps it.
pub(crate) struct Lane {
    pub(crate) order: Reorder<Finished>,
    /// Whether its blocks go to the sink.
    pub(crate) recorded: bool,
    started: bool,
    /// Once a block is missing from the file, no later one of the stream may follow there.
    broken: bool,
    pub(crate) settlements: Vec<Option<Box<dyn Settlement>>>,
    /// What each stage puts out.
    pub(crate) outputs: Vec<Option<DerivedLane>>,
}

impl Lane {
    pub(crate) fn new(
        order: Reorder<Finished>,
        recorded: bool,
        stages: &[Arc<dyn Stage>],
        outputs: Vec<Option<DerivedLane>>,
    ) -> Self {
        Self {
            order,
            recorded,
            started: false,
            broken: false,
            settlements: stages.iter().map(|stage| stage.settlement()).collect(),
            outputs,
        }
    }
}

/// Ends when all workers are gone. After a failure it goes on taking blocks, so that nobody waits
/// for a slot for ever, and counts them as failed.
pub(crate) fn run_writer(
    mut sink: Box<dyn Sink>,
    finished: Receiver<Message>,
    lanes: &mut [Lane],
    workers: usize,
    shared: &Shared,
) -> Box<dyn Sink> {
    // Workers that have no more blocks of tasks. Once those are all, all such blocks are here, and only
    // what the writer itself gives to stages behind others is still on its way.
    let mut done = 0;
    let every = sink.tick_every();
    loop {
        let message = match every {
            Some(every) => finished.recv_timeout(every),
            None => finished.recv().map_err(RecvTimeoutError::from),
        };
        // While blocks come, only what they leave waiting is looked after.
        let mut soon = Duration::ZERO;
        match message {
            Ok(Message::Finished(item)) => take_in_turn(&mut *sink, item, lanes, shared),
            Ok(Message::NoMoreInput) => done += 1,
            Err(RecvTimeoutError::Timeout) => soon = every.unwrap_or_default(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if every.is_some()
            && !shared.sink_failed.load(Ordering::Relaxed)
            && let Err(error) = sink.tick(soon)
        {
            for lane in &mut *lanes {
                lane.broken = true;
            }
            shared.fail(error.into());
        }
        if done == workers && shared.made_on_the_way.load(Ordering::Relaxed) == 0 {
            shared.end_of_work();
        }
    }
    debug_assert!(lanes.iter().all(|lane| lane.order.waiting() == 0));
    // Stages come before those behind them, so each is asked after it has seen all.
    for stream in 0..lanes.len() {
        if let Err(error) = end(&mut *sink, &mut lanes[stream], stream, shared) {
            shared.fail(error);
        }
        // The workers are gone; what came out at the end is worked on here.
        while let Some(found) = look_behind_stages(shared) {
            take_in_turn(&mut *sink, process(found, shared), lanes, shared);
        }
    }
    sink
}

fn take_in_turn(sink: &mut dyn Sink, item: Finished, lanes: &mut [Lane], shared: &Shared) {
    let stream = item.stream;
    lanes[stream].order.insert(item.place.ticket(), item);
    while let Some(item) = lanes[stream].order.pop() {
        if let Err(error) = take(sink, item, &mut lanes[stream], shared) {
            if matches!(error, EngineError::Log(_)) {
                // A sink that failed takes nothing at all any more.
                for lane in &mut *lanes {
                    lane.broken = true;
                }
            }
            lanes[stream].broken = true;
            shared.fail(error);
        }
    }
}

/// One block, in its turn.
fn take(
    sink: &mut dyn Sink,
    item: Finished,
    lane: &mut Lane,
    shared: &Shared,
) -> Result<(), EngineError> {
    let Finished {
        stream,
        place,
        mut parcels,
        output,
    } = item;
    let work = &shared.work[stream];
    let slot = match place {
        Place::Slot(slot) => slot,
        Place::Made(made) => {
            let block = BlockView {
                header: &made.header,
                data: &made.data,
            };
            let result = match output.filter(|_| !lane.broken) {
                Some(_) => settle(sink, &block, &mut parcels, lane, stream, shared),
                None => {
                    lane.broken = true;
                    Ok(())
                }
            };
            work.settle(parcels, true, shared);
            if let Some(queue) = &shared.derived[stream - shared.streams.len()].queue {
                queue
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take_back(made);
            }
            shared.made_on_the_way.fetch_sub(1, Ordering::Relaxed);
            return result;
        }
    };
    let tally = &shared.streams[stream].tally;
    let header = slot.header();
    let (mut result, mut fed) = (Ok(()), false);
    match output.filter(|_| !lane.broken) {
        None => {
            lane.broken = true;
            tally.failed(header.samples);
        }
        Some(output) => {
            let stored = if lane.recorded {
                if !lane.started {
                    lane.started = true;
                    sink.start_time(stream, shared.start_time(stream));
                }
                let before = Instant::now();
                let stored = sink.block(stream, header, &output, &slot);
                shared.wrote_in(before.elapsed());
                stored
            } else {
                tell_gap(sink, stream, header)
            };
            match stored {
                Err(error) => {
                    tally.failed(header.samples);
                    result = Err(error.into());
                }
                Ok(()) => {
                    match lane.recorded {
                        true => tally.wrote(header, slot.len()),
                        false => tally.gated(header),
                    }
                    let block = BlockView {
                        header,
                        data: &slot,
                    };
                    result = settle(sink, &block, &mut parcels, lane, stream, shared);
                    shared.feed_taps(stream, header, &slot);
                }
            }
            if let Some(feed) = shared.feed.as_ref().filter(|_| result.is_ok()) {
                fed = feed.push(stream, slot);
            }
        }
    }
    work.settle(parcels, fed, shared);
    result
}

/// A loss in front of a block that is not recorded.
fn tell_gap(sink: &mut dyn Sink, stream: usize, header: &BlockHeader) -> Result<(), LogError> {
    if header.lost_before == 0 && header.gap == 0 {
        return Ok(());
    }
    sink.final_gap(stream, gap_in_front_of(header))
}

/// The loss that a block's header tells.
pub(crate) fn gap_in_front_of(header: &BlockHeader) -> Gap {
    let count = (header.lost_before != LOST_UNKNOWN).then_some(header.lost_before);
    let cause = match header.gap {
        // A ring that drops blocks leaves the cause to us.
        0 => GapCause::Overrun,
        code => GapCause::from_u32(code),
    };
    Gap {
        first_sample: header.first_sample.saturating_sub(count.unwrap_or(0)),
        count,
        cause,
        host_time_ns: header.host_time_ns,
    }
}

fn settle(
    sink: &mut dyn Sink,
    block: &BlockView<'_>,
    parcels: &mut [crate::Parcel],
    lane: &mut Lane,
    stream: usize,
    shared: &Shared,
) -> Result<(), EngineError> {
    let work = &shared.work[stream];
    for (index, settlement) in lane.settlements.iter_mut().enumerate() {
        let Some(settlement) = settlement else {
            continue;
        };
        let begin = Instant::now();
        let mut outlet = Outlet::new(lane.outputs[index].as_mut(), sink, shared);
        let settled: Result<(), SettleError> =
            caught(|| settlement.settle(block, &mut parcels[index], &mut outlet));
        work.tallies[index].also(begin.elapsed());
        settled.map_err(|error| error.on(&*work.stages[index], block))?;
    }
    Ok(())
}

/// After the last block: what stages still hold.
fn end(
    sink: &mut dyn Sink,
    lane: &mut Lane,
    stream: usize,
    shared: &Shared,
) -> Result<(), EngineError> {
    let nothing = BlockHeader::default();
    let block = BlockView {
        header: &nothing,
        data: &[],
    };
    for (index, settlement) in lane.settlements.iter_mut().enumerate() {
        let mut outlet = Outlet::new(lane.outputs[index].as_mut(), sink, shared);
        if let Some(settlement) = settlement.as_mut().filter(|_| !lane.broken) {
            let done: Result<(), SettleError> = caught(|| settlement.finish(&mut outlet));
            done.map_err(|error| error.on(&*shared.work[stream].stages[index], &block))?;
        }
        if !shared.sink_failed.load(Ordering::Relaxed) {
            outlet.flush()?;
        }
    }
    Ok(())
}
