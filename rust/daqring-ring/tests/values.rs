//! What the rings of values promise.
#![cfg(not(loom))]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use daqring_ring::{PopError, PushError, WaitStrategy, mpmc, spsc};

const STRATEGIES: [WaitStrategy; 3] = [
    WaitStrategy::Spin,
    WaitStrategy::Adaptive,
    WaitStrategy::Park,
];

/// Counts how many of its kind are alive.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn any_capacity_holds_exactly_that_many() {
    for capacity in 1..=9 {
        let (mut producer, mut consumer) = spsc::ring(capacity, WaitStrategy::Park);
        let (many, several) = mpmc::ring(capacity, WaitStrategy::Park);
        // Several laps, so that every index meets the wrap.
        for _ in 0..5 {
            for value in 0..capacity {
                producer.try_push(value).unwrap();
                many.try_push(value).unwrap();
                assert_eq!((many.len(), producer.len()), (value + 1, value + 1));
            }
            assert_eq!(producer.try_push(99), Err(PushError::Full(99)));
            assert_eq!(many.try_push(99), Err(PushError::Full(99)));
            for value in 0..capacity {
                assert_eq!(consumer.try_pop(), Ok(value));
                assert_eq!(several.try_pop(), Ok(value));
            }
            assert_eq!(consumer.try_pop(), Err(PopError::Empty));
            assert_eq!(several.try_pop(), Err(PopError::Empty));
            assert!(consumer.is_empty() && several.is_empty());
        }
    }
}

#[test]
fn batches_cross_the_wrap() {
    let (mut producer, mut consumer) = spsc::ring(5, WaitStrategy::Park);
    let (many, several) = mpmc::ring(5, WaitStrategy::Park);
    let mut got = [0; 8];
    let mut next = 0_u64;
    for count in [3, 4, 5, 1, 5, 2, 7, 9] {
        let values: Vec<u64> = (next..next + count).collect();
        let fits = values.len().min(5);
        assert_eq!(producer.try_push_slice(&values), Ok(fits));
        assert_eq!(many.try_push_slice(&values), Ok(fits));
        if fits == 5 {
            assert_eq!(producer.try_push_slice(&values), Err(PushError::Full(0)));
            assert_eq!(many.try_push_slice(&values), Err(PushError::Full(0)));
        }
        assert_eq!(consumer.try_pop_slice(&mut got), Ok(fits));
        assert_eq!(got[..fits], values[..fits]);
        assert_eq!(several.try_pop_slice(&mut got), Ok(fits));
        assert_eq!(got[..fits], values[..fits]);
        assert_eq!(consumer.try_pop_slice(&mut got), Err(PopError::Empty));
        assert_eq!(several.try_pop_slice(&mut got), Err(PopError::Empty));
        next += count;
    }
    assert_eq!(producer.try_push_slice(&[]), Ok(0));
    assert_eq!(many.try_push_slice(&[]), Ok(0));
    assert_eq!(several.try_pop_slice(&mut []), Ok(0));
}

#[test]
fn vectors_are_moved_from_and_to() {
    let (many, several) = mpmc::ring(4, WaitStrategy::Park);
    let mut values: Vec<String> = (0..6).map(|n| n.to_string()).collect();
    assert_eq!(many.try_push_vec(&mut values), Ok(4));
    assert_eq!(values, ["4", "5"]);
    assert_eq!(many.try_push_vec(&mut values), Err(PushError::Full(0)));
    assert_eq!(
        many.push_vec_until(&mut values, Instant::now()),
        Err(PushError::Timeout(0))
    );
    let mut got = Vec::new();
    assert_eq!(several.try_pop_vec(&mut got, 3), Ok(3));
    assert_eq!(several.pop_vec(&mut got, 99), Ok(1));
    assert_eq!(got, ["0", "1", "2", "3"]);
    many.push_vec(&mut values).unwrap();
    many.close();
    assert_eq!(several.pop_vec(&mut got, 99), Ok(2));
    assert_eq!(several.pop_vec(&mut got, 99), Err(PopError::Closed));
    values.push("6".into());
    assert_eq!(many.push_vec(&mut values), Err(PushError::Closed(0)));
    assert_eq!(values, ["6"]);
}

#[test]
fn a_deferred_value_is_seen_when_published() {
    let (mut producer, mut consumer) = spsc::ring(8, WaitStrategy::Park);
    let mut deferred = producer.deferred(3);
    deferred.try_push(0).unwrap();
    deferred.try_push(1).unwrap();
    assert_eq!(consumer.try_pop(), Err(PopError::Empty));
    deferred.try_push(2).unwrap();
    assert_eq!(consumer.try_pop(), Ok(0));
    deferred.try_push(3).unwrap();
    deferred.publish();
    deferred.try_push(4).unwrap();
    drop(deferred);
    for value in 1..5 {
        assert_eq!(consumer.try_pop(), Ok(value));
    }

    // A full ring is published, or both sides would wait for ever.
    let mut deferred = producer.deferred(100);
    for value in 0..8 {
        deferred.try_push(value).unwrap();
    }
    assert_eq!(deferred.try_push(8), Err(PushError::Full(8)));
    assert_eq!(consumer.try_pop(), Ok(0));
    deferred.push(8).unwrap();
    drop(deferred);
    assert_eq!(consumer.len(), 8);
}

#[test]
fn a_chunk_takes_what_was_iterated() {
    let (mut producer, mut consumer) = spsc::ring(8, WaitStrategy::Park);
    assert_eq!(producer.try_push_iter(&mut (0..20)), Ok(8));
    let mut chunk = consumer.chunk(5).unwrap();
    assert_eq!(chunk.len(), 5);
    assert_eq!((chunk.next(), chunk.next()), (Some(0), Some(1)));
    drop(chunk);
    assert_eq!(consumer.len(), 6);
    let mut values = Vec::new();
    assert_eq!(consumer.try_pop_vec(&mut values, 4), Ok(4));
    assert_eq!(values, [2, 3, 4, 5]);
    producer.close();
    assert_eq!(consumer.chunk(99).unwrap().collect::<Vec<_>>(), [6, 7]);
    assert_eq!(consumer.chunk(99).unwrap_err(), PopError::Closed);
    assert_eq!(
        producer.try_push_iter(&mut (0..1)),
        Err(PushError::Closed(0))
    );
}

#[test]
fn nothing_leaks_and_nothing_is_dropped_twice() {
    let alive = Arc::new(AtomicUsize::new(0));
    for capacity in [1, 3, 4] {
        for popped in 0..=capacity {
            let (mut producer, mut consumer) = spsc::ring(capacity, WaitStrategy::Park);
            let (many, several) = mpmc::ring(capacity, WaitStrategy::Park);
            for _ in 0..capacity {
                assert!(producer.try_push(Counted::new(&alive)).is_ok());
                assert!(many.try_push(Counted::new(&alive)).is_ok());
            }
            assert!(producer.try_push(Counted::new(&alive)).is_err());
            assert!(many.try_push(Counted::new(&alive)).is_err());
            for _ in 0..popped {
                assert!(consumer.try_pop().is_ok() && several.try_pop().is_ok());
            }
            assert_eq!(alive.load(Ordering::Relaxed), 2 * (capacity - popped));
        }
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn forgotten_guards_do_no_harm() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (mut producer, mut consumer) = spsc::ring(8, WaitStrategy::Park);
    let mut deferred = producer.deferred(4);
    for _ in 0..5 {
        assert!(deferred.try_push(Counted::new(&alive)).is_ok());
    }
    // The fifth was never published: it leaks, and its place is used again.
    std::mem::forget(deferred);
    assert_eq!(consumer.len(), 4);
    assert!(producer.try_push(Counted::new(&alive)).is_ok());
    assert_eq!(consumer.len(), 5);
    let mut chunk = consumer.chunk(5).unwrap();
    drop((chunk.next(), chunk.next()));
    std::mem::forget(chunk);
    assert_eq!(alive.load(Ordering::Relaxed), 4);
    drop((producer, consumer));
    assert_eq!(alive.load(Ordering::Relaxed), 1);
}

#[test]
fn an_iterator_that_panics_leaves_what_it_gave() {
    let (mut producer, mut consumer) = spsc::ring(8, WaitStrategy::Park);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        producer.try_push_iter(&mut (0..8).inspect(|&n| assert!(n < 3, "stop")))
    }));
    assert!(result.is_err());
    assert_eq!(consumer.chunk(9).unwrap().collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn either_side_closes_and_the_rest_is_drained() {
    for by_consumer in [false, true] {
        let (mut producer, mut consumer) = spsc::ring(4, WaitStrategy::Park);
        let (many, several) = mpmc::ring(4, WaitStrategy::Park);
        producer.try_push(1).unwrap();
        many.try_push(1).unwrap();
        if by_consumer {
            consumer.close();
            several.close();
        } else {
            producer.close();
            many.close();
        }
        assert!(producer.is_closed() && consumer.is_closed());
        assert!(many.is_closed() && several.is_closed());
        assert_eq!(producer.try_push(2), Err(PushError::Closed(2)));
        assert_eq!(producer.push(2), Err(PushError::Closed(2)));
        assert_eq!(producer.try_push_slice(&[2]), Err(PushError::Closed(0)));
        assert_eq!(many.try_push(2), Err(PushError::Closed(2)));
        assert_eq!(many.push(2), Err(PushError::Closed(2)));
        assert_eq!(many.push_slice(&[2]), Err(PushError::Closed(0)));
        assert_eq!((consumer.pop(), several.pop()), (Ok(1), Ok(1)));
        assert_eq!(consumer.pop(), Err(PopError::Closed));
        assert_eq!(several.pop(), Err(PopError::Closed));
        assert_eq!(consumer.try_pop(), Err(PopError::Closed));
        assert_eq!(several.try_pop(), Err(PopError::Closed));
    }
}

#[test]
fn closing_wakes_who_waits() {
    for wait in STRATEGIES {
        let (mut producer, mut consumer) = spsc::ring::<u8>(1, wait);
        let (many, several) = mpmc::ring::<u8>(1, wait);
        thread::scope(|scope| {
            let first = scope.spawn(|| consumer.pop());
            let others = [(); 3].map(|()| {
                let several = several.clone();
                scope.spawn(move || several.pop())
            });
            thread::sleep(Duration::from_millis(5));
            producer.close();
            drop(many);
            assert_eq!(first.join().unwrap(), Err(PopError::Closed));
            for other in others {
                assert_eq!(other.join().unwrap(), Err(PopError::Closed));
            }
        });

        let (mut producer, consumer) = spsc::ring(1, wait);
        let (many, several) = mpmc::ring(1, wait);
        producer.try_push(0).unwrap();
        many.try_push(0).unwrap();
        thread::scope(|scope| {
            let first = scope.spawn(|| producer.push(1));
            let others = [(); 3].map(|()| {
                let many = many.clone();
                scope.spawn(move || many.push_slice(&[1]))
            });
            thread::sleep(Duration::from_millis(5));
            drop((consumer, several));
            assert_eq!(first.join().unwrap(), Err(PushError::Closed(1)));
            for other in others {
                assert_eq!(other.join().unwrap(), Err(PushError::Closed(0)));
            }
        });
    }
}

#[test]
fn deadlines_are_kept() {
    for wait in STRATEGIES {
        let (mut producer, mut consumer) = spsc::ring(1, wait);
        let (many, several) = mpmc::ring(1, wait);
        let soon = || Instant::now() + Duration::from_millis(3);
        assert_eq!(consumer.pop_until(soon()), Err(PopError::Timeout));
        assert_eq!(several.pop_until(soon()), Err(PopError::Timeout));
        producer.try_push(1).unwrap();
        many.try_push(1).unwrap();
        assert_eq!(producer.push_until(2, soon()), Err(PushError::Timeout(2)));
        assert_eq!(many.push_until(2, soon()), Err(PushError::Timeout(2)));
        assert_eq!(
            producer.push_slice_until(&[2], soon()),
            Err(PushError::Timeout(0))
        );
        assert_eq!(consumer.pop_until(soon()), Ok(1));
        assert_eq!(several.pop_until(soon()), Ok(1));
    }
}

#[test]
fn one_producer_to_one_consumer_keeps_order_and_loses_nothing() {
    const COUNT: u64 = 100_000;
    for wait in STRATEGIES {
        for capacity in [1, 7, 1024] {
            let count = if capacity == 1 { COUNT / 50 } else { COUNT };
            let (mut producer, mut consumer) = spsc::ring(capacity, wait);
            thread::scope(|scope| {
                scope.spawn(move || {
                    let mut next = 0;
                    let mut deferred = producer.deferred(16);
                    while next < count / 2 {
                        deferred.push(next).unwrap();
                        next += 1;
                    }
                    drop(deferred);
                    while next < count {
                        let end = (next + 37).min(count);
                        producer
                            .push_slice(&(next..end).collect::<Vec<_>>())
                            .unwrap();
                        next = end;
                    }
                });
                let mut next = 0;
                let mut values = [0; 29];
                while next < count / 3 {
                    assert_eq!(consumer.pop(), Ok(next));
                    next += 1;
                }
                while let Ok(got) = consumer.pop_slice(&mut values) {
                    for value in &values[..got] {
                        assert_eq!(*value, next);
                        next += 1;
                    }
                }
                assert_eq!(next, count);
            });
        }
    }
}

#[test]
fn every_value_is_seen_once_whatever_the_number_of_threads() {
    for wait in STRATEGIES {
        for (producers, consumers) in [(1, 1), (1, 4), (4, 1), (2, 2), (3, 5), (8, 8)] {
            for capacity in [1, 6, 64] {
                conserve(producers, consumers, capacity, wait);
            }
        }
    }
}

fn conserve(producers: u64, consumers: usize, capacity: usize, wait: WaitStrategy) {
    const EACH: u64 = 600;
    let (producer, consumer) = mpmc::ring(capacity, wait);
    let (sum, count) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for nth in 0..consumers {
            let consumer = consumer.clone();
            let (sum, count) = (&sum, &count);
            scope.spawn(move || {
                // The values of one producer arrive in its order.
                let mut last = vec![None; producers as usize];
                let mut batch = Vec::new();
                loop {
                    batch.clear();
                    let got = if nth % 2 == 0 {
                        consumer.pop().map(|value| batch.push(value))
                    } else {
                        consumer.pop_vec(&mut batch, 5).map(|_| ())
                    };
                    if got.is_err() {
                        break;
                    }
                    for &value in &batch {
                        let last = &mut last[(value / EACH) as usize];
                        assert!(*last < Some(value));
                        *last = Some(value);
                        sum.fetch_add(value, Ordering::Relaxed);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for nth in 0..producers {
            let producer = producer.clone();
            scope.spawn(move || {
                let mine: Vec<u64> = (nth * EACH..(nth + 1) * EACH).collect();
                for batch in mine.chunks(4) {
                    if nth % 2 == 0 {
                        producer.push_slice(batch).unwrap();
                    } else {
                        for &value in batch {
                            producer.push(value).unwrap();
                        }
                    }
                }
            });
        }
        drop((producer, consumer));
    });
    assert_eq!(count.into_inner(), producers * EACH);
    assert_eq!(sum.into_inner(), (0..producers * EACH).sum::<u64>());
}

/// A push that was answered with success is popped by somebody, however it races
/// with the close.
#[test]
fn what_was_accepted_before_the_close_is_drained() {
    for _ in 0..300 {
        let (producer, consumer) = mpmc::ring(4, WaitStrategy::Adaptive);
        let accepted = AtomicU64::new(0);
        let popped = thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while producer.push(1_u64).is_ok() {
                        accepted.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let closer = scope.spawn(|| {
                for _ in 0..20 {
                    thread::yield_now();
                }
                producer.close();
            });
            let popped = std::iter::from_fn(|| consumer.pop().ok()).sum::<u64>();
            closer.join().unwrap();
            popped
        });
        assert_eq!(popped, accepted.into_inner());
    }
}
