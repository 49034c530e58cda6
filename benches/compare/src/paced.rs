//! A value now and then, as acquisition does it: latency, the producer's cost and
//! what waiting burns.

use std::thread;
use std::time::{Duration, Instant};

use crate::ends::{Rx, Tx};
use crate::workloads::pin;

/// Medians of one run.
#[derive(Clone, Copy, Debug)]
pub struct Paced {
    /// From before the push to after the pop.
    pub one_way: f64,
    /// What the push took the producer.
    pub push: f64,
    /// Share of a core that the consumer used.
    pub burnt: f64,
}

fn cpu_time() -> Duration {
    // SAFETY: the call fills the structure it is given.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time);
        time
    };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn paced<T: Tx, R: Rx>((mut tx, mut rx): (T, R), period: Duration, count: u64) -> Paced {
    let base = Instant::now();
    let producer = thread::spawn(move || {
        pin(0);
        let mut costs = Vec::with_capacity(count as usize);
        let start = Instant::now();
        for nth in 0..count {
            // Spins to the moment: a sleep would add the timer's own jitter.
            while start.elapsed() < period * nth as u32 {
                std::hint::spin_loop();
            }
            let before = Instant::now();
            tx.send((before - base).as_nanos() as u64);
            costs.push(before.elapsed().as_nanos() as f64);
        }
        // Kept until the consumer is done.
        (median(costs), tx)
    });
    let consumer = thread::spawn(move || {
        pin(1);
        let mut latencies = Vec::with_capacity(count as usize);
        let (began, cpu) = (Instant::now(), cpu_time());
        while latencies.len() < count as usize {
            rx.recv(|sent| {
                latencies.push((base.elapsed().as_nanos() as u64 - sent) as f64);
            });
        }
        let burnt = (cpu_time() - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
        (median(latencies), burnt)
    });
    let (push, tx) = producer.join().expect("the producer succeeds");
    let (one_way, burnt) = consumer.join().expect("the consumer succeeds");
    drop(tx);
    Paced {
        one_way,
        push,
        burnt,
    }
}
