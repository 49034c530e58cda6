//! Every interleaving of small programs, preemptions bounded.
//!
//! loom replaces the atomics, locks and parking of the crate, so it checks the
//! fence form of the barrier; a wake-up that is lost shows as a deadlock, a
//! missing ordering as a race on a cell. What it cannot see, membarrier and the
//! futex, is stressed in `stress.rs`.
#![cfg(loom)]

use daqring_ring::slots::{AcquireError, ReserveError, SlotConsumer, SlotProducer};
use daqring_ring::{
    Barrier, BlockMeta, EventCount, Policy, PopError, PushError, SlotOptions, WaitStrategy, Waiter,
    mpmc, slot_ring, spsc,
};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

fn model(preemptions: usize, program: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(program);
}

/// As `model`, in the asymmetric form: the program must not wait.
fn model_without_fences(preemptions: usize, program: impl Fn() + Sync + Send + 'static) {
    Barrier::Asymmetric.set_default();
    model(preemptions, program);
}

/// Memory that nothing guards: it is read after what should order that, or loom
/// tells of a race.
struct Note(UnsafeCell<u32>);

// SAFETY: loom checks every access.
unsafe impl Send for Note {}
// SAFETY: as above.
unsafe impl Sync for Note {}

impl Note {
    fn new() -> Arc<Self> {
        Arc::new(Self(UnsafeCell::new(0)))
    }

    fn write(&self) {
        // SAFETY: loom checks it.
        self.0.with_mut(|place| unsafe { *place = 7 });
    }

    fn is_written(&self) -> bool {
        // SAFETY: loom checks it.
        self.0.with(|place| unsafe { *place == 7 })
    }
}

/// Tries until there is a result.
fn until<R>(mut attempt: impl FnMut() -> Option<R>) -> R {
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        thread::yield_now();
    }
}

/// Each writes its note, then drops its handle; gives the notes.
fn notes_then_drop<H: Send + 'static>(handles: [H; 2]) -> [Arc<Note>; 2] {
    handles.map(|handle| {
        let note = Note::new();
        let told = Arc::clone(&note);
        thread::spawn(move || {
            told.write();
            drop(handle);
        });
        note
    })
}

fn waiter() -> Waiter {
    Waiter::new(WaitStrategy::Park)
}

/// Takes one from `left` if there is one.
fn take(left: &AtomicUsize) -> Option<()> {
    left.fetch_update(Ordering::Acquire, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    })
    .ok()
    .map(|_| ())
}

#[test]
fn event_no_wake_up_is_lost() {
    model(4, || {
        let shared = Arc::new((EventCount::new(), AtomicUsize::new(0)));
        let notifier = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.1.store(1, Ordering::Release);
                shared.0.notify_one();
            })
        };
        let (event, value) = &*shared;
        let got = waiter().wait(event, None, || {
            (value.load(Ordering::Acquire) == 1).then_some(())
        });
        assert_eq!(got, Some(()));
        notifier.join().unwrap();
    });
}

/// Two notifications, two sleepers: one may be satisfied while it is being
/// notified, and must hand that notification on.
#[test]
fn event_a_notification_that_is_not_needed_is_handed_on() {
    model(2, || {
        let shared = Arc::new((EventCount::new(), AtomicUsize::new(0)));
        let sleepers: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (event, left) = &*shared;
                    waiter().wait(event, None, || take(left)).unwrap();
                })
            })
            .collect();
        for _ in 0..2 {
            shared.1.fetch_add(1, Ordering::Release);
            shared.0.notify_one();
        }
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
    });
}

#[test]
fn spsc_waits_on_both_sides() {
    model(3, || {
        let (mut producer, mut consumer) = spsc::ring(1, WaitStrategy::Park);
        let writer = thread::spawn(move || {
            for value in 0..3 {
                producer.push(Box::new(value)).unwrap();
            }
        });
        for value in 0..3 {
            assert_eq!(consumer.pop(), Ok(Box::new(value)));
        }
        assert_eq!(consumer.pop(), Err(PopError::Closed));
        writer.join().unwrap();
    });
}

#[test]
fn spsc_batches_and_deferred_publication() {
    model(3, || {
        let (mut producer, mut consumer) = spsc::ring(2, WaitStrategy::Park);
        let writer = thread::spawn(move || {
            let mut deferred = producer.deferred(2);
            deferred.push(0).unwrap();
            deferred.push(1).unwrap();
            drop(deferred);
            producer.push_slice(&[2, 3]).unwrap();
        });
        let mut next = 0;
        let mut values = [0; 2];
        while let Ok(count) = consumer.pop_slice(&mut values) {
            for value in &values[..count] {
                assert_eq!(*value, next);
                next += 1;
            }
        }
        assert_eq!(next, 4);
        writer.join().unwrap();
    });
}

/// Without a wait, whose fences would order everything: "closed" must not overtake the last value.
#[test]
fn spsc_closed_is_told_after_the_last_value() {
    model(3, || {
        let (mut producer, mut consumer) = spsc::ring(1, WaitStrategy::Park);
        let writer = thread::spawn(move || {
            producer.try_push(Box::new(7)).unwrap();
        });
        let mut got = None;
        loop {
            match consumer.try_pop() {
                Ok(value) => got = Some(value),
                Err(PopError::Closed) => break,
                Err(_) => thread::yield_now(),
            }
        }
        assert_eq!(got, Some(Box::new(7)));
        writer.join().unwrap();
    });
}

#[test]
fn spsc_close_by_the_consumer_wakes_the_producer() {
    model(3, || {
        let (mut producer, mut consumer) = spsc::ring(1, WaitStrategy::Park);
        let writer = thread::spawn(move || {
            let mut pushed = 0;
            while producer.push(Box::new(pushed)).is_ok() {
                pushed += 1;
            }
        });
        assert_eq!(consumer.pop(), Ok(Box::new(0)));
        drop(consumer);
        writer.join().unwrap();
    });
}

#[test]
fn mpmc_two_producers_one_consumer() {
    model(2, || {
        let (producer, consumer) = mpmc::ring(2, WaitStrategy::Park);
        let other = producer.clone();
        let writers = [
            thread::spawn(move || producer.push(Box::new(1)).unwrap()),
            thread::spawn(move || other.push(Box::new(2)).unwrap()),
        ];
        let sum = *consumer.pop().unwrap() + *consumer.pop().unwrap();
        assert_eq!(sum, 3);
        assert_eq!(consumer.pop(), Err(PopError::Closed));
        for writer in writers {
            writer.join().unwrap();
        }
    });
}

#[test]
fn mpmc_one_producer_two_consumers() {
    model(2, || {
        let (producer, consumer) = mpmc::ring::<Box<i32>>(2, WaitStrategy::Park);
        let other = consumer.clone();
        let reader = thread::spawn(move || *other.pop().unwrap());
        producer.try_push(Box::new(1)).unwrap();
        producer.try_push(Box::new(2)).unwrap();
        assert_eq!(*consumer.pop().unwrap() + reader.join().unwrap(), 3);
    });
}

/// Batches claim several cells by one exchange, over the end of a lap.
#[test]
fn mpmc_batches_against_single_values() {
    model(2, || {
        let (producer, consumer) = mpmc::ring(3, WaitStrategy::Park);
        producer.try_push(0).unwrap();
        assert_eq!(consumer.try_pop(), Ok(0));
        let other = producer.clone();
        let writer = thread::spawn(move || other.push_slice(&[1, 2]).unwrap());
        producer.push(10).unwrap();
        drop(producer);
        let mut values = [0; 3];
        let mut got = Vec::new();
        while let Ok(count) = consumer.pop_slice(&mut values) {
            got.extend_from_slice(&values[..count]);
        }
        let one = got.iter().position(|&value| value == 1).unwrap();
        let two = got.iter().position(|&value| value == 2).unwrap();
        assert!(one < two && got.contains(&10) && got.len() == 3);
        writer.join().unwrap();
    });
}

/// What is accepted is drained, whatever the close meets.
#[test]
fn mpmc_close_against_push() {
    model(2, || {
        let (producer, consumer) = mpmc::ring(2, WaitStrategy::Park);
        let other = producer.clone();
        let writer = thread::spawn(move || match other.push(Box::new(1)) {
            Ok(()) => 1,
            Err(PushError::Closed(value)) => *value - 1,
            Err(_) => unreachable!(),
        });
        let closer = thread::spawn(move || producer.close());
        let mut popped = 0;
        while consumer.pop().is_ok() {
            popped += 1;
        }
        assert_eq!(popped, writer.join().unwrap());
        closer.join().unwrap();
    });
}

fn slots(slots: usize, policy: Policy) -> (SlotProducer, SlotConsumer) {
    slot_ring(SlotOptions {
        policy,
        wait: WaitStrategy::Park,
        prefault: false,
        ..SlotOptions::new(1, slots)
    })
    .unwrap()
}

fn block(samples: u64) -> BlockMeta {
    BlockMeta {
        samples,
        ..BlockMeta::default()
    }
}

#[test]
fn slots_wait_on_both_sides() {
    model(2, || {
        let (mut producer, mut consumer) = slots(1, Policy::Wait);
        let writer = thread::spawn(move || {
            for samples in 0..2 {
                assert_eq!(producer.reserve().unwrap().commit(block(samples)), samples);
            }
        });
        for samples in 0..2 {
            let block = consumer.acquire().unwrap();
            assert_eq!(block.header().samples, samples);
            assert_eq!(block.ticket(), samples);
        }
        assert_eq!(consumer.acquire().unwrap_err(), AcquireError::Closed);
        writer.join().unwrap();
    });
}

/// Two releasers against the popper of the free list.
#[test]
fn slots_are_released_by_two_and_reserved_by_one() {
    model(2, || {
        let (mut producer, mut consumer) = slots(2, Policy::Wait);
        producer.reserve().unwrap().commit(block(0));
        producer.reserve().unwrap().commit(block(1));
        let releasers = [consumer.acquire().unwrap(), consumer.acquire().unwrap()]
            .map(|block| thread::spawn(move || drop(block)));
        let first = producer.reserve().unwrap();
        let second = producer.reserve().unwrap();
        assert_ne!(first.as_ptr(), second.as_ptr());
        assert_eq!(producer.try_reserve().unwrap_err(), ReserveError::Full);
        for releaser in releasers {
            releaser.join().unwrap();
        }
    });
}

#[test]
fn slots_two_consumers() {
    model(2, || {
        let (mut producer, consumer) = slots(2, Policy::Wait);
        let drain = |mut consumer: SlotConsumer| {
            let mut seen = 0;
            while let Ok(block) = consumer.acquire() {
                assert_eq!(block.ticket(), block.header().seq);
                seen += block.header().samples;
            }
            seen
        };
        let other = consumer.clone();
        let reader = thread::spawn(move || drain(other));
        producer.reserve().unwrap().commit(block(1));
        producer.reserve().unwrap().commit(block(2));
        drop(producer);
        assert_eq!(drain(consumer) + reader.join().unwrap(), 3);
    });
}

/// The oldest block is dropped or acquired, never both, and the loss is told.
#[test]
fn slots_drop_oldest_against_acquire() {
    model(2, || {
        let (mut producer, mut consumer) = slots(2, Policy::DropOldest);
        producer.reserve().unwrap().commit(block(1));
        producer.reserve().unwrap().commit(block(10));
        let reader = thread::spawn(move || {
            let (mut seen, mut lost, mut tickets) = (0, 0, 0);
            while let Ok(block) = consumer.acquire() {
                assert_eq!(block.ticket(), tickets);
                tickets += 1;
                seen += block.header().samples;
                lost += block.header().lost_before;
            }
            (seen, lost)
        });
        producer.reserve().unwrap().commit(block(100));
        let dropped = producer.counters().dropped_samples;
        drop(producer);
        let (seen, lost) = reader.join().unwrap();
        assert_eq!(lost, dropped);
        assert_eq!(seen + lost, 111);
    });
}

/// "Closed" is only said when no writer can still commit.
#[test]
fn slots_close_against_a_commit() {
    model(2, || {
        let (mut producer, mut consumer) = slots(1, Policy::Wait);
        let slot = producer.reserve().unwrap();
        let closer = thread::spawn(move || drop(producer));
        let writer = thread::spawn(move || slot.commit(block(1)));
        assert_eq!(consumer.acquire().unwrap().header().samples, 1);
        assert_eq!(consumer.acquire().unwrap_err(), AcquireError::Closed);
        closer.join().unwrap();
        writer.join().unwrap();
    });
}

#[test]
fn slots_close_against_a_waiting_reservation() {
    model(3, || {
        let (mut producer, consumer) = slots(1, Policy::Wait);
        producer.reserve().unwrap().commit(block(1));
        let writer = thread::spawn(move || {
            assert_eq!(producer.reserve().unwrap_err(), ReserveError::Closed);
        });
        consumer.monitor().close();
        writer.join().unwrap();
    });
}

#[test]
fn spsc_cells_are_used_again_without_fences() {
    model_without_fences(3, || {
        let (mut producer, mut consumer) = spsc::ring(1, WaitStrategy::Park);
        let writer = thread::spawn(move || {
            for value in 0..2 {
                until(|| producer.try_push(Box::new(value)).ok());
            }
        });
        for value in 0..2 {
            assert_eq!(until(|| consumer.try_pop().ok()), Box::new(value));
        }
        writer.join().unwrap();
    });
}

#[test]
fn spsc_slices_without_fences() {
    model_without_fences(3, || {
        let (mut producer, mut consumer) = spsc::ring(2, WaitStrategy::Park);
        let writer = thread::spawn(move || {
            let mut deferred = producer.deferred(2);
            deferred.try_push(0).unwrap();
            deferred.try_push(1).unwrap();
            drop(deferred);
            let count = until(|| producer.try_push_slice(&[2, 3]).ok().filter(|&n| n > 0));
            assert!(count <= 2);
        });
        let (mut next, mut values) = (0, [0; 2]);
        while let Some(count) = until(|| match consumer.try_pop_slice(&mut values) {
            Err(PopError::Empty) | Ok(0) => None,
            done => Some(done.ok()),
        }) {
            for value in &values[..count] {
                assert_eq!(*value, next);
                next += 1;
            }
        }
        assert!(next > 2);
        writer.join().unwrap();
    });
}

/// What the producer did before it closed is told with "closed", to who pops and
/// to who asks.
#[test]
fn spsc_closed_tells_what_was_before_without_fences() {
    model_without_fences(3, || {
        let (mut producer, mut consumer) = spsc::ring(1, WaitStrategy::Park);
        let note = Note::new();
        let told = Arc::clone(&note);
        thread::spawn(move || {
            producer.try_push(Box::new(7)).unwrap();
            told.write();
        });
        let mut got = None;
        until(|| match consumer.try_pop() {
            Err(PopError::Closed) => Some(()),
            Err(_) => None,
            Ok(value) => {
                got = Some(value);
                None
            }
        });
        assert_eq!(got, Some(Box::new(7)));
        assert!(note.is_written());
    });
}

#[test]
fn spsc_is_closed_tells_what_was_before_without_fences() {
    model_without_fences(3, || {
        let (producer, consumer) = spsc::ring::<u32>(1, WaitStrategy::Park);
        let note = Note::new();
        let told = Arc::clone(&note);
        thread::spawn(move || {
            told.write();
            drop(consumer);
        });
        until(|| producer.is_closed().then_some(()));
        assert!(note.is_written());
    });
    model_without_fences(3, || {
        let (producer, consumer) = spsc::ring::<u32>(1, WaitStrategy::Park);
        let note = Note::new();
        let told = Arc::clone(&note);
        thread::spawn(move || {
            told.write();
            drop(producer);
        });
        until(|| consumer.is_closed().then_some(()));
        assert!(note.is_written());
    });
}

#[test]
fn mpmc_cells_are_used_again_without_fences() {
    model_without_fences(3, || {
        let (producer, consumer) = mpmc::ring(1, WaitStrategy::Park);
        let writer = thread::spawn(move || {
            for value in 0..2 {
                until(|| producer.try_push(Box::new(value)).ok());
            }
        });
        for value in 0..2 {
            assert_eq!(until(|| consumer.try_pop().ok()), Box::new(value));
        }
        writer.join().unwrap();
    });
}

/// "Full" and "empty" are no lies to who knows better, and "closed" comes last.
#[test]
fn mpmc_two_producers_without_fences() {
    model_without_fences(2, || {
        let (producer, consumer) = mpmc::ring(2, WaitStrategy::Park);
        let other = producer.clone();
        thread::spawn(move || producer.try_push(Box::new(1)).unwrap());
        thread::spawn(move || other.try_push(Box::new(2)).unwrap());
        let mut sum = 0;
        until(|| match consumer.try_pop() {
            Err(PopError::Closed) => Some(()),
            Err(_) => None,
            Ok(value) => {
                sum += *value;
                None
            }
        });
        assert_eq!(sum, 3);
    });
}

/// The last of several closes; what all did before is told.
#[test]
fn mpmc_closed_tells_what_was_before_without_fences() {
    model_without_fences(2, || {
        let (producer, consumer) = mpmc::ring::<u32>(1, WaitStrategy::Park);
        let notes = notes_then_drop([producer.clone(), producer]);
        until(|| (consumer.try_pop() == Err(PopError::Closed)).then_some(()));
        assert!(notes.iter().all(|note| note.is_written()));
    });
}

#[test]
fn mpmc_is_closed_tells_what_was_before_without_fences() {
    model_without_fences(2, || {
        let (producer, consumer) = mpmc::ring::<u32>(1, WaitStrategy::Park);
        let notes = notes_then_drop([consumer.clone(), consumer]);
        until(|| producer.is_closed().then_some(()));
        assert!(notes.iter().all(|note| note.is_written()));
    });
}

/// The slot goes round: written, read, given back, written.
#[test]
fn slots_are_used_again_without_fences() {
    model_without_fences(3, || {
        let (mut producer, mut consumer) = slots(1, Policy::Wait);
        let writer = thread::spawn(move || {
            for samples in 0..2 {
                let slot = until(|| producer.try_reserve().ok());
                slot.commit(block(samples));
            }
        });
        for samples in 0..2 {
            let block = until(|| consumer.try_acquire().ok());
            assert_eq!(block.header().samples, samples);
        }
        writer.join().unwrap();
    });
}

/// Slots that two gave back, one after the other, are all free for the producer.
#[test]
fn slots_are_released_by_two_without_fences() {
    model_without_fences(2, || {
        let (mut producer, mut consumer) = slots(2, Policy::Wait);
        producer.try_reserve().unwrap().commit(block(0));
        producer.try_reserve().unwrap().commit(block(1));
        for block in [
            consumer.try_acquire().unwrap(),
            consumer.try_acquire().unwrap(),
        ] {
            thread::spawn(move || drop(block));
        }
        for samples in 2..4 {
            let slot = until(|| producer.try_reserve().ok());
            slot.commit(block(samples));
        }
    });
}

/// "Closed" is only said when no writer can still commit, and after what it committed.
#[test]
fn slots_close_against_a_commit_without_fences() {
    model_without_fences(2, || {
        let (mut producer, mut consumer) = slots(1, Policy::Wait);
        let slot = producer.try_reserve().unwrap();
        thread::spawn(move || drop(producer));
        thread::spawn(move || slot.commit(block(1)));
        let mut seen = 0;
        until(|| match consumer.try_acquire() {
            Err(AcquireError::Closed) => Some(()),
            Err(_) => None,
            Ok(block) => {
                seen += block.header().samples;
                None
            }
        });
        assert_eq!(seen, 1);
    });
}

#[test]
fn slots_is_closed_tells_what_was_before_without_fences() {
    model_without_fences(2, || {
        let (producer, consumer) = slots(1, Policy::Wait);
        let monitor = producer.monitor();
        let notes = notes_then_drop([consumer.clone(), consumer]);
        until(|| monitor.is_closed().then_some(()));
        assert!(notes.iter().all(|note| note.is_written()));
    });
}

/// What waits is never less than nothing, whoever looks.
#[test]
fn slots_what_waits_is_counted_without_fences() {
    model_without_fences(2, || {
        let (mut producer, mut consumer) = slots(1, Policy::Wait);
        let monitor = producer.monitor();
        let writer = thread::spawn(move || producer.try_reserve().unwrap().commit(block(1)));
        let reader = thread::spawn(move || until(|| consumer.try_acquire().ok()).header().samples);
        // A thread of its own: this one would always look first.
        let onlooker = thread::spawn(move || assert!(monitor.len() <= 1));
        assert_eq!(reader.join().unwrap(), 1);
        writer.join().unwrap();
        onlooker.join().unwrap();
    });
}

/// As `slots_drop_oldest_against_acquire`.
#[test]
fn slots_drop_oldest_without_fences() {
    model_without_fences(2, || {
        let (mut producer, mut consumer) = slots(2, Policy::DropOldest);
        producer.try_reserve().unwrap().commit(block(1));
        producer.try_reserve().unwrap().commit(block(10));
        let reader = thread::spawn(move || {
            let (mut seen, mut lost, mut tickets) = (0, 0, 0);
            until(|| match consumer.try_acquire() {
                Err(AcquireError::Closed) => Some(()),
                Err(_) => None,
                Ok(block) => {
                    assert_eq!(block.ticket(), tickets);
                    tickets += 1;
                    seen += block.header().samples;
                    lost += block.header().lost_before;
                    None
                }
            });
            (seen, lost)
        });
        until(|| producer.try_reserve().ok()).commit(block(100));
        let dropped = producer.counters().dropped_samples;
        drop(producer);
        let (seen, lost) = reader.join().unwrap();
        assert_eq!((lost, seen + lost), (dropped, 111));
    });
}
