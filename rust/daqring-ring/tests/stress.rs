//! The shipped paths under load, to be run under ThreadSanitizer and without.
//!
//! loom sees neither membarrier nor the futex, so lost wake-ups are looked for
//! here: two threads that park at once play ping-pong through rings of one place,
//! so that every single wake-up matters, on the barrier path and on the fence
//! path. A watchdog turns a hang into a failure. ThreadSanitizer does not model
//! fences, and need not: what they order is "who sees whom", while data passes
//! by acquire and release alone.
//!
//! The precompiled standard library is not instrumented. Hence `harness = false`,
//! threads that are joined one by one (which ThreadSanitizer sees, unlike the end
//! of a scope), `--cfg daqring_tsan` for a lock that it sees, and the suppressions
//! below for the fence in the drop of an `Arc`.

#[cfg(loom)]
fn main() {}

#[cfg(not(loom))]
fn main() {
    stress::main();
}

/// ThreadSanitizer asks for this by name.
#[cfg(daqring_tsan)]
// SAFETY: the name is ThreadSanitizer's, and the string is static.
#[unsafe(no_mangle)]
extern "C" fn __tsan_default_suppressions() -> *const std::ffi::c_char {
    c"race:alloc::sync::Arc*drop_slow\nrace:alloc::sync::Arc*Drop*drop\n".as_ptr()
}

#[cfg(not(loom))]
mod stress {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use daqring_ring::slots::{AcquireError, ReserveError};
    use daqring_ring::{
        Barrier, BlockMeta, EventCount, Policy, SlotOptions, WaitStrategy, Waiter, mpmc, slot_ring,
        slot_ring_with, spsc,
    };

    /// Longer than any case, and far longer than any wake-up.
    const HANG: Duration = Duration::from_secs(60);
    /// Time per case and barrier.
    const CASE: Duration = Duration::from_millis(1500);

    pub fn main() {
        watch_for_hangs();
        let cases: [(&str, fn()); 9] = [
            ("spsc ping-pong", spsc_ping_pong),
            ("spsc stream", spsc_stream),
            ("mpmc ping-pong", mpmc_ping_pong),
            ("mpmc 3 to 3", mpmc_stream),
            ("mpmc close", mpmc_close),
            ("slots ping-pong", slots_ping_pong),
            ("slots 2 to 3, out of order", slots_stream),
            ("slots drop oldest", slots_drop_oldest),
            ("one event for three rings", one_event),
        ];
        for barrier in [Barrier::Asymmetric, Barrier::Fence] {
            barrier.set_default();
            let used = Barrier::current_default();
            if used != barrier {
                println!("{barrier:?}: not on this system");
                continue;
            }
            for (name, case) in cases {
                let start = Instant::now();
                PROGRESS.store(0, Ordering::Relaxed);
                case();
                println!(
                    "{used:?}: {name}: {} steps in {:.1} s",
                    PROGRESS.load(Ordering::Relaxed),
                    start.elapsed().as_secs_f64()
                );
            }
        }
    }

    /// Steps of the running case.
    static PROGRESS: AtomicU64 = AtomicU64::new(0);

    fn step() {
        PROGRESS.fetch_add(1, Ordering::Relaxed);
    }

    fn watch_for_hangs() {
        thread::spawn(|| {
            let mut last = (u64::MAX, Instant::now());
            loop {
                thread::sleep(Duration::from_millis(100));
                let now = PROGRESS.load(Ordering::Relaxed);
                if now != last.0 {
                    last = (now, Instant::now());
                } else if last.1.elapsed() > HANG {
                    eprintln!("no step in {HANG:?}: a wake-up was lost");
                    std::process::abort();
                }
            }
        });
    }

    /// Keeps both sides from settling into one rhythm.
    fn jitter(state: &mut u64) {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        for _ in 0..(*state >> 58) {
            std::hint::spin_loop();
        }
    }

    /// Threads that are joined when it is dropped; a panic in one is passed on.
    #[derive(Default)]
    struct Team(Vec<thread::JoinHandle<()>>);

    impl Team {
        fn spawn(&mut self, work: impl FnOnce() + Send + 'static) {
            self.0.push(thread::spawn(work));
        }
    }

    impl Drop for Team {
        fn drop(&mut self) {
            for member in self.0.drain(..) {
                member.join().unwrap();
            }
        }
    }

    /// A sum over threads. Leaked: it outlives them all.
    fn sum() -> &'static AtomicU64 {
        Box::leak(Box::default())
    }

    fn spsc_ping_pong() {
        let (mut to, mut from) = spsc::ring(1, WaitStrategy::Park);
        let (mut back, mut answer) = spsc::ring(1, WaitStrategy::Park);
        let echo = thread::spawn(move || {
            let mut seed = 1;
            while let Ok(value) = from.pop() {
                jitter(&mut seed);
                if back.push(value).is_err() {
                    break;
                }
            }
        });
        let (start, mut seed, mut value) = (Instant::now(), 2, 0_u64);
        while start.elapsed() < CASE {
            to.push(value).unwrap();
            jitter(&mut seed);
            assert_eq!(answer.pop(), Ok(value));
            value += 1;
            step();
        }
        drop(to);
        echo.join().unwrap();
    }

    fn spsc_stream() {
        for (capacity, wait) in [
            (1, WaitStrategy::Park),
            (5, WaitStrategy::Park),
            (64, WaitStrategy::Adaptive),
        ] {
            let (mut producer, mut consumer) = spsc::ring::<Box<u64>>(capacity, wait);
            let end = Instant::now() + CASE / 3;
            let writer = thread::spawn(move || {
                let mut value = 0;
                while Instant::now() < end {
                    let mut deferred = producer.deferred(4);
                    for _ in 0..10 {
                        deferred.push(Box::new(value)).unwrap();
                        value += 1;
                    }
                    drop(deferred);
                    producer.push(Box::new(value)).unwrap();
                    value += 1;
                }
                value
            });
            let (mut next, mut values) = (0, Vec::new());
            loop {
                let got = if next % 3 == 0 {
                    consumer.pop().map(|value| values.push(value))
                } else {
                    consumer.pop_vec(&mut values, 7).map(|_| ())
                };
                if got.is_err() {
                    break;
                }
                for value in values.drain(..) {
                    assert_eq!(*value, next);
                    next += 1;
                    step();
                }
            }
            assert_eq!(next, writer.join().unwrap());
        }
    }

    /// Two balls between four players: every push may wake either of two.
    fn mpmc_ping_pong() {
        let (to, from) = mpmc::ring(1, WaitStrategy::Park);
        let (back, answer) = mpmc::ring(1, WaitStrategy::Park);
        let mut team = Team::default();
        let end = Instant::now() + CASE;
        for nth in 0..2 {
            let (from, back) = (from.clone(), back.clone());
            team.spawn(move || {
                let mut seed = nth;
                while let Ok(value) = from.pop() {
                    jitter(&mut seed);
                    if back.push(value).is_err() {
                        break;
                    }
                }
            });
            let (to, answer) = (to.clone(), answer.clone());
            team.spawn(move || {
                let mut seed = nth;
                while Instant::now() < end {
                    to.push(Box::new(7_u64)).unwrap();
                    jitter(&mut seed);
                    assert_eq!(answer.pop().as_deref(), Ok(&7));
                    step();
                }
            });
        }
        drop((to, from, back, answer));
    }

    fn mpmc_stream() {
        for wait in [WaitStrategy::Park, WaitStrategy::Adaptive] {
            for capacity in [1, 6] {
                let (producer, consumer) = mpmc::ring::<Box<u64>>(capacity, wait);
                let (sent, received) = (sum(), sum());
                let end = Instant::now() + CASE / 4;
                let mut team = Team::default();
                for nth in 0..3 {
                    let producer = producer.clone();
                    team.spawn(move || {
                        let mut mine = 0;
                        while Instant::now() < end {
                            if nth == 0 {
                                producer.push(Box::new(mine)).unwrap();
                                mine += 1;
                            } else {
                                let mut values = (mine..mine + 4).map(Box::new).collect();
                                producer.push_vec(&mut values).unwrap();
                                mine += 4;
                            }
                        }
                        sent.fetch_add((0..mine).sum(), Ordering::Relaxed);
                    });
                    let consumer = consumer.clone();
                    team.spawn(move || {
                        let mut values = Vec::new();
                        let mut mine = 0;
                        while consumer.pop_vec(&mut values, 1 + nth).is_ok() {
                            for value in values.drain(..) {
                                mine += *value;
                                step();
                            }
                        }
                        received.fetch_add(mine, Ordering::Relaxed);
                    });
                }
                drop((producer, consumer));
                drop(team);
                assert_eq!(
                    sent.load(Ordering::Relaxed),
                    received.load(Ordering::Relaxed)
                );
            }
        }
    }

    fn mpmc_close() {
        let start = Instant::now();
        while start.elapsed() < CASE / 2 {
            let (producer, consumer) = mpmc::ring(1, WaitStrategy::Park);
            let (accepted, popped) = (sum(), sum());
            let mut team = Team::default();
            for _ in 0..2 {
                let mine = producer.clone();
                team.spawn(move || {
                    while mine.push(1).is_ok() {
                        accepted.fetch_add(1, Ordering::Relaxed);
                    }
                });
                let mine = consumer.clone();
                team.spawn(move || {
                    while let Ok(value) = mine.pop() {
                        popped.fetch_add(value, Ordering::Relaxed);
                    }
                });
            }
            thread::yield_now();
            producer.close();
            drop(team);
            assert_eq!(
                accepted.load(Ordering::Relaxed),
                popped.load(Ordering::Relaxed)
            );
            step();
        }
    }

    fn options(slots: usize, policy: Policy) -> SlotOptions {
        SlotOptions {
            policy,
            wait: WaitStrategy::Park,
            ..SlotOptions::new(64, slots)
        }
    }

    fn meta(samples: u64) -> BlockMeta {
        BlockMeta {
            bytes: 64,
            samples,
            ..BlockMeta::default()
        }
    }

    fn slots_ping_pong() {
        let (mut to, mut from) = slot_ring(options(1, Policy::Wait)).unwrap();
        let (mut back, mut answer) = slot_ring(options(1, Policy::Wait)).unwrap();
        let echo = thread::spawn(move || {
            let mut seed = 1;
            while let Ok(block) = from.acquire() {
                jitter(&mut seed);
                let Ok(mut slot) = back.reserve() else { break };
                slot.copy_from_slice(&block);
                slot.commit(meta(1));
            }
        });
        let (start, mut value) = (Instant::now(), 0_u8);
        while start.elapsed() < CASE {
            let mut slot = to.reserve().unwrap();
            slot.fill(value);
            slot.commit(meta(1));
            let block = answer.acquire().unwrap();
            assert!(block.iter().all(|&byte| byte == value));
            value = value.wrapping_add(1);
            step();
        }
        drop(to);
        echo.join().unwrap();
    }

    fn slots_stream() {
        let (producer, consumer) = slot_ring(options(5, Policy::Wait)).unwrap();
        let producer = producer.into_shared();
        let monitor = producer.monitor();
        let end = Instant::now() + CASE;
        let mut team = Team::default();
        for nth in 0..2_u8 {
            let producer = producer.clone();
            team.spawn(move || {
                let mut value = nth;
                while Instant::now() < end {
                    let mut slot = producer.reserve().unwrap();
                    slot.fill(value);
                    value = value.wrapping_add(2);
                    if value.is_multiple_of(7) {
                        slot.abort();
                    } else {
                        slot.commit(meta(1));
                    }
                }
            });
        }
        for _ in 0..3 {
            let mut consumer = consumer.clone();
            team.spawn(move || {
                let mut held = Vec::new();
                while let Ok(block) = consumer.acquire() {
                    assert_eq!(block.ticket(), block.header().seq);
                    assert!(block.iter().all(|&byte| byte == block[0]));
                    // Never all slots, or nobody could go on.
                    if held.is_empty() && block.ticket().is_multiple_of(3) {
                        held.push(block);
                    } else {
                        drop(block);
                        held.clear();
                    }
                    step();
                }
            });
        }
        drop((producer, consumer));
        drop(team);
        let counters = monitor.counters();
        assert_eq!(counters.committed, counters.acquired);
        assert_eq!(counters.acquired, counters.released);
        assert_eq!(counters.reserved, counters.committed + counters.aborted);
    }

    fn slots_drop_oldest() {
        let (mut producer, consumer) = slot_ring(options(3, Policy::DropOldest)).unwrap();
        let monitor = producer.monitor();
        let end = Instant::now() + CASE;
        let told = sum();
        let mut team = Team::default();
        for _ in 0..2 {
            let mut consumer = consumer.clone();
            team.spawn(move || {
                loop {
                    match consumer.acquire() {
                        Ok(block) => {
                            assert!(block.iter().all(|&byte| byte == block[0]));
                            let header = block.header();
                            told.fetch_add(header.samples + header.lost_before, Ordering::Relaxed);
                            step();
                        }
                        Err(AcquireError::Closed) => break,
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
        let (mut value, mut refused) = (0_u8, 0);
        while Instant::now() < end {
            match producer.reserve() {
                Ok(mut slot) => {
                    slot.fill(value);
                    slot.commit(meta(1));
                }
                Err(ReserveError::Full) => {
                    producer.add_lost(1);
                    refused += 1;
                }
                Err(other) => panic!("{other}"),
            }
            value = value.wrapping_add(1);
        }
        // A last block tells what was lost at the end.
        loop {
            if let Ok(mut slot) = producer.try_reserve() {
                slot.fill(value);
                slot.commit(meta(1));
                break;
            }
            thread::yield_now();
        }
        drop((producer, consumer));
        drop(team);
        let counters = monitor.counters();
        assert_eq!(counters.committed, counters.acquired + counters.dropped);
        assert_eq!(counters.declared_lost, refused);
        assert_eq!(told.load(Ordering::Relaxed), counters.committed + refused);
    }

    fn one_event() {
        const RINGS: usize = 3;
        let event = Arc::new(EventCount::new());
        let end = Instant::now() + CASE;
        let mut team = Team::default();
        let mut consumers = Vec::new();
        for nth in 0..RINGS as u64 {
            let (mut producer, consumer) =
                slot_ring_with(options(1, Policy::Wait), Arc::clone(&event)).unwrap();
            consumers.push(consumer);
            team.spawn(move || {
                let mut seed = nth;
                while Instant::now() < end {
                    producer.reserve().unwrap().commit(meta(1));
                    jitter(&mut seed);
                }
            });
        }
        for _ in 0..2 {
            let mut consumers = consumers.clone();
            let event = Arc::clone(&event);
            team.spawn(move || {
                let mut waiter = Waiter::new(WaitStrategy::Park);
                loop {
                    let block = waiter.wait(&event, None, || {
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
                    if block.flatten().is_none() {
                        break;
                    }
                    step();
                }
            });
        }
    }
}
