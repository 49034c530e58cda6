use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SendError, SyncSender};
use std::time::Instant;

use daqring_ring::slots::{ReadSlot, SlotConsumer};

use crate::error::panic_message;
use crate::recording::Shared;
use crate::reorder::Reorder;
use crate::{EngineError, Sink, Stage, StageOutput};

/// A processed block on its way from a worker to the writer.
pub(crate) struct Finished {
    stream: usize,
    slot: ReadSlot,
    /// `None`: a stage failed, the block must not be written.
    output: Option<StageOutput>,
}

/// A worker: acquires blocks of one stream, runs the stages, hands them on. Ends when the stream
/// is closed and drained.
pub(crate) fn run_worker(
    stream: usize,
    mut consumer: SlotConsumer,
    stages: &[Arc<dyn Stage>],
    shared: &Shared,
    finished: &SyncSender<Finished>,
) {
    while let Ok(slot) = consumer.acquire() {
        let output = run_stages(&slot, stages, shared);
        // Where the writer is gone (it said why), the ring is closed: drain it and account for it.
        if let Err(SendError(lost)) = finished.send(Finished {
            stream,
            slot,
            output,
        }) {
            shared.streams[stream]
                .tally
                .failed(lost.slot.header().samples);
        }
    }
}

fn run_stages(slot: &ReadSlot, stages: &[Arc<dyn Stage>], shared: &Shared) -> Option<StageOutput> {
    let mut output = StageOutput::default();
    for stage in stages {
        let result = catch_unwind(AssertUnwindSafe(|| {
            stage.run(slot.header(), slot, &mut output)
        }));
        let message = match result {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.0,
            Err(payload) => format!("it panicked: {}", panic_message(&*payload)),
        };
        shared.fail(EngineError::Stage {
            stage: stage.name().to_owned(),
            seq: slot.header().seq,
            message,
        });
        return None;
    }
    Some(output)
}

/// The writer: restores the order of each stream and feeds the sink. Ends when all workers are
/// gone. After a failure it goes on taking blocks, so that nobody waits for a slot for ever, and
/// counts them as failed.
pub(crate) fn run_writer(
    mut sink: Box<dyn Sink>,
    finished: Receiver<Finished>,
    windows: &[usize],
    shared: &Shared,
) -> Box<dyn Sink> {
    let mut orders: Vec<Reorder<Finished>> =
        windows.iter().map(|&slots| Reorder::new(slots)).collect();
    let mut started = vec![false; windows.len()];
    // Once a block of a stream is missing from the file, no later one of it may follow there; a
    // sink that failed takes nothing at all any more.
    let mut broken = vec![false; windows.len()];
    for item in finished {
        let stream = item.stream;
        orders[stream].insert(item.slot.ticket(), item);
        while let Some(Finished { slot, output, .. }) = orders[stream].pop() {
            let tally = &shared.streams[stream].tally;
            let header = slot.header();
            let Some(output) = output.filter(|_| !broken[stream]) else {
                broken[stream] = true;
                tally.failed(header.samples);
                continue;
            };
            if !started[stream] {
                started[stream] = true;
                sink.start_time(stream, shared.start_time(stream));
            }
            let before = Instant::now();
            let result = sink.block(stream, header, &output, &slot);
            shared.wrote_in(before.elapsed());
            match result {
                Ok(()) => tally.wrote(header, slot.len()),
                Err(error) => {
                    broken.fill(true);
                    tally.failed(header.samples);
                    shared.fail(error.into());
                }
            }
        }
    }
    debug_assert!(orders.iter().all(|order| order.waiting() == 0));
    sink
}
