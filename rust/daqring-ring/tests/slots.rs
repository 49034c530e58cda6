//! What a ring of slots promises, one promise per test.
#![cfg(not(loom))]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use daqring_ring::slots::{AcquireError, ReserveError, SlotConsumer, SlotProducer};
use daqring_ring::{
    BlockMeta, EventCount, Policy, SlotOptions, WaitStrategy, Waiter, slot_ring, slot_ring_with,
};

fn ring(slots: usize, policy: Policy, wait: WaitStrategy) -> (SlotProducer, SlotConsumer) {
    slot_ring(SlotOptions {
        policy,
        wait,
        prefault: false,
        ..SlotOptions::new(16, slots)
    })
    .unwrap()
}

fn block(samples: u64) -> BlockMeta {
    BlockMeta {
        bytes: 8,
        samples,
        ..BlockMeta::default()
    }
}

fn commit(producer: &mut SlotProducer, value: u64) -> u64 {
    let mut slot = producer.reserve().unwrap();
    slot[..8].copy_from_slice(&value.to_le_bytes());
    slot.commit(block(1))
}

fn value(block: &[u8]) -> u64 {
    u64::from_le_bytes(block.try_into().unwrap())
}

#[test]
fn header_and_bytes_arrive_as_committed() {
    let (mut producer, mut consumer) = ring(2, Policy::Wait, WaitStrategy::Park);
    producer.add_lost(5);
    let mut slot = producer.reserve().unwrap();
    assert_eq!(slot.len(), 16);
    assert_eq!(slot.as_ptr() as usize % 4096, 0);
    slot.copy_from_slice(b"0123456789abcdef");
    let seq = slot.commit(BlockMeta {
        bytes: 10,
        first_sample: 100,
        samples: 5,
        lost_before: 2,
        gap: 7,
        host_time_ns: -1,
        ..BlockMeta::default()
    });
    assert_eq!(seq, 0);
    let block = consumer.acquire().unwrap();
    assert_eq!(&*block, b"0123456789");
    let header = *block.header();
    assert_eq!((header.seq, header.bytes), (0, 10));
    assert_eq!((header.first_sample, header.samples), (100, 5));
    assert_eq!((header.lost_before, header.gap), (7, 7));
    assert_eq!(header.host_time_ns, -1);
    assert_eq!(block.ticket(), 0);
    drop(block);

    // A loss is told once.
    commit(&mut producer, 1);
    assert_eq!(consumer.acquire().unwrap().header().lost_before, 0);
}

#[test]
fn an_aborted_slot_leaves_no_hole() {
    let (mut producer, mut consumer) = ring(2, Policy::Fail, WaitStrategy::Park);
    assert_eq!(commit(&mut producer, 1), 0);
    producer.reserve().unwrap().abort();
    drop(producer.reserve().unwrap());
    assert_eq!(commit(&mut producer, 2), 1);
    assert_eq!(value(&consumer.acquire().unwrap()), 1);
    assert_eq!(value(&consumer.acquire().unwrap()), 2);
    let counters = producer.counters();
    assert_eq!((counters.reserved, counters.aborted), (4, 2));
    assert_eq!((counters.committed, counters.released), (2, 2));
}

#[test]
fn blocks_are_numbered_by_commit_not_by_reservation() {
    let (mut producer, mut consumer) = ring(2, Policy::Wait, WaitStrategy::Park);
    let first = producer.reserve().unwrap();
    let second = producer.reserve().unwrap();
    assert_eq!(producer.try_reserve().unwrap_err(), ReserveError::Full);
    assert_eq!(second.commit(block(2)), 0);
    assert_eq!(first.commit(block(1)), 1);
    assert_eq!(consumer.acquire().unwrap().header().samples, 2);
    assert_eq!(consumer.acquire().unwrap().header().samples, 1);
}

#[test]
fn slots_are_released_in_any_order_and_the_last_is_used_first() {
    let (mut producer, mut consumer) = ring(3, Policy::Fail, WaitStrategy::Park);
    for value in 0..3 {
        commit(&mut producer, value);
    }
    let (a, b, c) = (
        consumer.acquire().unwrap(),
        consumer.acquire().unwrap(),
        consumer.acquire().unwrap(),
    );
    assert_eq!((a.ticket(), b.ticket(), c.ticket()), (0, 1, 2));
    assert_eq!(consumer.try_acquire().unwrap_err(), AcquireError::Empty);
    assert_eq!(producer.reserve().unwrap_err(), ReserveError::Full);
    let address = b.as_ptr();
    drop(c);
    drop(b);
    let slot = producer.reserve().unwrap();
    assert_eq!(slot.as_ptr(), address);
    assert_eq!(value(&a), 0);
    assert_eq!(producer.counters().high_water, 3);
    assert_eq!(producer.counters().refused, 1);
}

#[test]
fn drop_newest_refuses_and_tells_the_loss_in_the_next_block() {
    let (mut producer, mut consumer) = ring(1, Policy::DropNewest, WaitStrategy::Park);
    commit(&mut producer, 0);
    for _ in 0..3 {
        assert_eq!(producer.reserve().unwrap_err(), ReserveError::Dropped);
        producer.add_lost(10);
    }
    drop(consumer.acquire().unwrap());
    commit(&mut producer, 1);
    let block = consumer.acquire().unwrap();
    assert_eq!((block.header().seq, block.header().lost_before), (1, 30));
    let counters = producer.counters();
    assert_eq!((counters.refused, counters.declared_lost), (3, 30));
    assert_eq!((counters.committed, counters.dropped), (2, 0));
}

#[test]
fn drop_oldest_tells_the_loss_in_the_block_after() {
    let (mut producer, mut consumer) = ring(3, Policy::DropOldest, WaitStrategy::Park);
    for value in 0..3 {
        commit(&mut producer, value);
    }
    let held = consumer.acquire().unwrap(); // 0 can no longer be dropped
    for value in 3..6 {
        commit(&mut producer, value); // drops 1, 2, 3
    }
    let block = consumer.acquire().unwrap();
    assert_eq!((value(&block), block.header().seq), (4, 4));
    assert_eq!(block.header().lost_before, 3);
    assert_eq!((held.ticket(), block.ticket()), (0, 1));
    let last = consumer.acquire().unwrap();
    assert_eq!((value(&last), last.header().lost_before), (5, 0));
    assert_eq!(last.ticket(), 2);

    // Everything is acquired: nothing can be dropped.
    assert_eq!(producer.reserve().unwrap_err(), ReserveError::Full);
    let counters = producer.counters();
    assert_eq!((counters.dropped, counters.dropped_samples), (3, 3));
    assert_eq!((counters.committed, counters.acquired), (6, 3));
    assert_eq!(counters.refused, 1);
}

#[test]
fn a_dropped_block_hands_its_own_loss_on() {
    let (mut producer, mut consumer) = ring(1, Policy::DropOldest, WaitStrategy::Park);
    producer.add_lost(100);
    commit(&mut producer, 0);
    commit(&mut producer, 1); // drops the only block: 1 sample and the 100 before it
    assert_eq!(consumer.acquire().unwrap().header().lost_before, 101);
}

#[test]
fn what_no_block_tells_any_more_is_known() {
    let (mut producer, mut consumer) = ring(1, Policy::DropOldest, WaitStrategy::Park);
    producer.add_lost(100);
    assert_eq!(producer.counters().untold, 100);
    commit(&mut producer, 0);
    assert_eq!(producer.counters().untold, 0);
    producer.reserve().unwrap().abort(); // drops the block, and no other takes its place
    producer.close();
    assert_eq!(consumer.acquire().unwrap_err(), AcquireError::Closed);
    assert_eq!(producer.counters().untold, 101);
}

#[test]
fn close_by_the_producer_leaves_the_rest_to_drain() {
    let (mut producer, mut consumer) = ring(4, Policy::Wait, WaitStrategy::Park);
    commit(&mut producer, 0);
    let writing = producer.reserve().unwrap();
    producer.close();
    assert_eq!(producer.reserve().unwrap_err(), ReserveError::Closed);
    drop(producer);
    drop(consumer.acquire().unwrap());
    // The slot that is being written may still become a block.
    assert_eq!(consumer.try_acquire().unwrap_err(), AcquireError::Empty);
    writing.commit(block(9));
    assert_eq!(consumer.acquire().unwrap().header().samples, 9);
    assert_eq!(consumer.acquire().unwrap_err(), AcquireError::Closed);
}

#[test]
fn the_last_writer_wakes_a_consumer_that_waits_for_the_end() {
    for commits in [false, true] {
        let (mut producer, mut consumer) = ring(4, Policy::Wait, WaitStrategy::Park);
        let writing = producer.reserve().unwrap();
        drop(producer);
        let consumer = thread::spawn(move || {
            let mut blocks = 0;
            while consumer.acquire().is_ok() {
                blocks += 1;
            }
            blocks
        });
        thread::sleep(Duration::from_millis(10));
        if commits {
            writing.commit(block(1));
        } else {
            writing.abort();
        }
        assert_eq!(consumer.join().unwrap(), u32::from(commits));
    }
}

#[test]
fn close_by_the_consumer_ends_a_waiting_reservation() {
    for by_drop in [false, true] {
        let (mut producer, mut consumer) = ring(1, Policy::Wait, WaitStrategy::Park);
        commit(&mut producer, 0);
        let producer = thread::spawn(move || producer.reserve().unwrap_err());
        thread::sleep(Duration::from_millis(10));
        if by_drop {
            let clone = consumer.clone();
            drop(consumer);
            drop(clone);
        } else {
            consumer.close();
            assert_eq!(value(&consumer.acquire().unwrap()), 0);
            assert_eq!(consumer.acquire().unwrap_err(), AcquireError::Closed);
        }
        assert_eq!(producer.join().unwrap(), ReserveError::Closed);
    }
}

#[test]
fn the_monitor_closes_from_outside_and_wakes_everybody() {
    let (mut producer, consumer) = ring(1, Policy::Wait, WaitStrategy::Adaptive);
    let monitor = producer.monitor();
    let held = producer.reserve().unwrap();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let mut consumer = consumer.clone();
            thread::spawn(move || consumer.acquire().unwrap_err())
        })
        .collect();
    let producer = thread::spawn(move || producer.reserve().unwrap_err());
    thread::sleep(Duration::from_millis(10));
    monitor.close();
    assert_eq!(producer.join().unwrap(), ReserveError::Closed);
    held.abort();
    for thread in waiting {
        assert_eq!(thread.join().unwrap(), AcquireError::Closed);
    }
    assert!(monitor.is_closed() && monitor.is_empty());
    assert_eq!(monitor.capacity(), 1);
}

#[test]
fn deadlines_are_kept() {
    let (mut producer, mut consumer) = ring(1, Policy::Wait, WaitStrategy::Park);
    let soon = || Instant::now() + Duration::from_millis(5);
    assert_eq!(
        consumer.acquire_until(soon()).unwrap_err(),
        AcquireError::Timeout
    );
    commit(&mut producer, 0);
    assert_eq!(
        producer.reserve_until(soon()).unwrap_err(),
        ReserveError::Timeout
    );
    assert!(consumer.acquire_until(soon()).is_ok());
}

#[test]
#[should_panic(expected = "a block of 17 bytes was committed in a slot of 16")]
fn more_bytes_than_the_slot_has_is_a_panic() {
    let (mut producer, _consumer) = ring(1, Policy::Wait, WaitStrategy::Park);
    producer.reserve().unwrap().commit(BlockMeta {
        bytes: 17,
        ..BlockMeta::default()
    });
}

#[test]
fn guards_outlive_their_handles() {
    let (mut producer, mut consumer) = ring(2, Policy::Wait, WaitStrategy::Park);
    commit(&mut producer, 42);
    let read = consumer.acquire().unwrap();
    let mut written = producer.reserve().unwrap();
    drop((producer, consumer));
    written[0] = 1;
    written.commit(block(1));
    assert_eq!(thread::spawn(move || value(&read)).join().unwrap(), 42);
}

#[test]
fn one_event_serves_several_rings() {
    const RINGS: usize = 3;
    const BLOCKS: u64 = 300;
    let event = Arc::new(EventCount::new());
    let mut consumers = Vec::new();
    let mut producers = Vec::new();
    for _ in 0..RINGS {
        let (mut producer, consumer) =
            slot_ring_with(SlotOptions::new(16, 2), Arc::clone(&event)).unwrap();
        consumers.push(consumer);
        producers.push(thread::spawn(move || {
            for value in 0..BLOCKS {
                commit(&mut producer, value);
            }
        }));
    }
    let total = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            let mut consumers = consumers.clone();
            let (event, total) = (&event, &total);
            scope.spawn(move || {
                let mut waiter = Waiter::new(WaitStrategy::Park);
                loop {
                    let got = waiter.wait(event, None, || {
                        let mut closed = 0;
                        for consumer in &mut consumers {
                            match consumer.try_acquire() {
                                Ok(block) => return Some(Some(block)),
                                Err(AcquireError::Closed) => closed += 1,
                                Err(_) => {}
                            }
                        }
                        (closed == RINGS).then_some(None)
                    });
                    match got.flatten() {
                        Some(block) => total.fetch_add(value(&block), Ordering::Relaxed),
                        None => break,
                    };
                }
            });
        }
    });
    for producer in producers {
        producer.join().unwrap();
    }
    let once: u64 = (0..BLOCKS).sum();
    assert_eq!(total.into_inner(), once * RINGS as u64);
}

#[test]
fn every_block_is_seen_once_whatever_the_number_of_threads() {
    for threads in 1..=8 {
        for wait in [WaitStrategy::Park, WaitStrategy::Adaptive] {
            conserve(threads, wait);
        }
    }
}

fn conserve(threads: u64, wait: WaitStrategy) {
    const EACH: u64 = 500;
    let (producer, consumer) = ring(4, Policy::Wait, wait);
    let producer = producer.into_shared();
    let monitor = producer.monitor();
    let (sum, tickets) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..threads {
            let mut consumer = consumer.clone();
            let (sum, tickets) = (&sum, &tickets);
            scope.spawn(move || {
                let mut last = None;
                while let Ok(block) = consumer.acquire() {
                    assert!(last < Some(block.ticket()));
                    assert_eq!(block.header().seq, block.ticket());
                    last = Some(block.ticket());
                    sum.fetch_add(value(&block), Ordering::Relaxed);
                    tickets.fetch_add(block.ticket(), Ordering::Relaxed);
                }
            });
        }
        for _ in 0..threads {
            let producer = producer.clone();
            scope.spawn(move || {
                for value in 0..EACH {
                    let mut slot = producer.reserve().unwrap();
                    slot[..8].copy_from_slice(&value.to_le_bytes());
                    slot.commit(block(1));
                }
            });
        }
        drop(producer);
    });
    assert_eq!(sum.into_inner(), threads * (0..EACH).sum::<u64>());
    assert_eq!(tickets.into_inner(), (0..threads * EACH).sum::<u64>());
    let counters = monitor.counters();
    assert_eq!(counters.committed, threads * EACH);
    assert_eq!(counters.acquired, threads * EACH);
    assert_eq!(counters.released, threads * EACH);
    assert_eq!(counters.reserved, threads * EACH);
    assert!(counters.high_water <= 4);
}

/// Every sample of a lossy ring is either read or told as lost, in order.
#[test]
fn drop_oldest_accounts_for_every_sample_under_contention() {
    for consumers in 1..=4_u64 {
        const BLOCKS: u64 = 20_000;
        let (mut producer, consumer) = ring(4, Policy::DropOldest, WaitStrategy::Park);
        let monitor = producer.monitor();
        let mut refused = 0;
        let mut seen: Vec<(u64, u64, u64)> = thread::scope(|scope| {
            let readers: Vec<_> = (0..consumers)
                .map(|_| {
                    let mut consumer = consumer.clone();
                    scope.spawn(move || {
                        let mut seen = Vec::new();
                        while let Ok(block) = consumer.acquire() {
                            seen.push((block.ticket(), value(&block), block.header().lost_before));
                        }
                        seen
                    })
                })
                .collect();
            for value in 0..BLOCKS {
                match producer.reserve() {
                    Ok(mut slot) => {
                        slot[..8].copy_from_slice(&value.to_le_bytes());
                        slot.commit(block(1));
                    }
                    Err(ReserveError::Full) => {
                        producer.add_lost(1);
                        refused += 1;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            // The tail of the stream must be a block, not a loss.
            loop {
                if let Ok(mut slot) = producer.try_reserve() {
                    slot[..8].copy_from_slice(&BLOCKS.to_le_bytes());
                    slot.commit(block(1));
                    break;
                }
                thread::yield_now();
            }
            drop(producer);
            readers
                .into_iter()
                .flat_map(|reader| reader.join().unwrap())
                .collect()
        });
        seen.sort_unstable();
        let mut next = 0;
        for (index, &(ticket, value, lost)) in seen.iter().enumerate() {
            assert_eq!(ticket, index as u64, "tickets are dense");
            assert_eq!(value, next + lost, "what is missing is told here");
            next = value + 1;
        }
        assert_eq!(next, BLOCKS + 1);
        let counters = monitor.counters();
        assert_eq!(counters.refused, refused);
        assert_eq!(counters.acquired, seen.len() as u64);
        assert_eq!(counters.committed, counters.acquired + counters.dropped);
        assert_eq!(counters.committed + refused, BLOCKS + 1);
    }
}
