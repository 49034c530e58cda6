//! The bodies: one for all contenders. Each checks what it received and returns
//! the time it took.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::ends::{Rx, Tx};

/// Pins the calling thread, so that two threads are on two cores.
pub fn pin(core: usize) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    // SAFETY: an all-zero set is a valid set, and both calls only touch it.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core % cores, &mut set);
        libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set);
    }
}

fn mix(sum: u64, value: u64) -> u64 {
    sum.wrapping_add(value ^ (value << 7))
}

fn expected(values: std::ops::Range<u64>) -> u64 {
    values.fold(0, mix)
}

/// One producer, one consumer, one value at a time.
pub fn stream<T: Tx, R: Rx>((mut tx, mut rx): (T, R), count: u64) -> Duration {
    timed_pair(
        move || tx.send_range(0..count),
        move || {
            let mut next = 0;
            while next < count {
                rx.recv(|value| {
                    assert_eq!(value, next);
                    next += 1;
                });
            }
        },
    )
}

/// One producer, one consumer, `batch` values at a time.
pub fn batches<T: Tx, R: Rx>((mut tx, mut rx): (T, R), count: u64, batch: usize) -> Duration {
    let count = count.next_multiple_of(batch as u64);
    timed_pair(
        move || {
            let mut values: Vec<u64> = (0..batch as u64).collect();
            for _ in 0..count / batch as u64 {
                tx.send_slice(&values);
                for value in &mut values {
                    *value += batch as u64;
                }
            }
        },
        move || {
            let (mut received, mut sum) = (0, 0);
            while received < count {
                rx.recv_slice(batch, |value| {
                    sum = mix(sum, value);
                    received += 1;
                });
            }
            assert_eq!((received, sum), (count, expected(0..count)));
        },
    )
}

/// Both on cores of their own; from the start of both to the end of the consumer.
fn timed_pair(
    produce: impl FnOnce() + Send + 'static,
    consume: impl FnOnce() + Send + 'static,
) -> Duration {
    let start = std::sync::Arc::new(Barrier::new(2));
    let producer = {
        let start = start.clone();
        thread::spawn(move || {
            pin(0);
            start.wait();
            let began = Instant::now();
            produce();
            began
        })
    };
    let consumer = thread::spawn(move || {
        pin(1);
        start.wait();
        let began = Instant::now();
        consume();
        (began, Instant::now())
    });
    let first = producer.join().expect("the producer succeeds");
    let (second, ended) = consumer.join().expect("the consumer succeeds");
    ended - first.min(second)
}

/// There and back, `count` times.
pub fn ping_pong<T: Tx, R: Rx>(there: (T, R), back: (T, R), count: u64) -> Duration {
    let ((mut tx, mut from), (mut to, mut rx)) = (there, back);
    let echo = thread::spawn(move || {
        pin(0);
        let mut left = count;
        while left > 0 {
            let mut got = 0;
            from.recv(|value| got = value);
            to.send(got);
            left -= 1;
        }
    });
    let caller = thread::spawn(move || {
        pin(1);
        let began = Instant::now();
        for sent in 0..count {
            tx.send(sent);
            rx.recv(|value| assert_eq!(value, sent));
        }
        began.elapsed()
    });
    echo.join().expect("the echo succeeds");
    caller.join().expect("the caller succeeds")
}

const END: u64 = u64::MAX;

/// Several producers and consumers, `batch` values at a time (1: single ones).
pub fn many<T: Tx + Clone, R: Rx + Clone>(
    (tx, rx): (T, R),
    producers: u64,
    consumers: u64,
    count: u64,
    batch: usize,
) -> Duration {
    let each = count.div_ceil(producers).next_multiple_of(batch as u64);
    let start = Barrier::new((producers + consumers) as usize + 1);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..consumers)
            .map(|_| {
                let (mut rx, mut tx) = (rx.clone(), tx.clone());
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let began = Instant::now();
                    let (mut sum, mut ends) = (0_u64, 0);
                    while ends == 0 {
                        let mut take = |value| {
                            if value == END {
                                ends += 1;
                            } else {
                                sum = mix(sum, value);
                            }
                        };
                        if batch == 1 {
                            rx.recv(&mut take);
                        } else {
                            rx.recv_slice(batch, &mut take);
                        }
                    }
                    // A batch may have held the ends of others.
                    for _ in 1..ends {
                        tx.send(END);
                    }
                    (sum, began)
                })
            })
            .collect();
        let writers: Vec<_> = (0..producers)
            .map(|nth| {
                let mut tx = tx.clone();
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let began = Instant::now();
                    let mine = nth * each..(nth + 1) * each;
                    if batch == 1 {
                        tx.send_range(mine);
                    } else {
                        let mut values: Vec<u64> =
                            (mine.start..mine.start + batch as u64).collect();
                        for _ in 0..each / batch as u64 {
                            tx.send_slice(&values);
                            for value in &mut values {
                                *value += batch as u64;
                            }
                        }
                    }
                    began
                })
            })
            .collect();
        start.wait();
        // From the first to start: this thread may itself be late.
        let mut began = Instant::now();
        for writer in writers {
            began = began.min(writer.join().expect("the producer succeeds"));
        }
        let mut tx = tx;
        for _ in 0..consumers {
            tx.send(END);
        }
        let mut sum = 0_u64;
        for reader in readers {
            let (part, start) = reader.join().expect("the consumer succeeds");
            sum = sum.wrapping_add(part);
            began = began.min(start);
        }
        let took = began.elapsed();
        assert_eq!(sum, expected(0..each * producers));
        took
    })
}
