//! Waiting for a ring: spin, then yield, then park.

use std::time::{Duration, Instant};

use crate::event::EventCount;
use crate::sync::{AtomicU64, Ordering, spin_loop, yield_now};

/// What a handle does while its ring is full or empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitStrategy {
    /// Spin, giving up the core now and then, and never park. The lowest
    /// latency at any pace, for a whole core.
    Spin,
    /// Spin for as long as recent waits lasted if they were short, otherwise
    /// hardly at all, then park.
    #[default]
    Adaptive,
    /// Spin for about a microsecond and park.
    Park,
}

/// Waits without a clock come first. A `spin_loop` takes 10 to 40 ns, so these
/// are about 2 us in all: longer than a partner on another core takes to answer.
#[derive(Clone, Copy)]
struct Hot {
    /// Checks with one `spin_loop` in between.
    close: u32,
    /// Then checks with 2 to the power of these in between.
    spread: (u32, u32),
}

/// Where a check is one load, of a line that is seldom written.
const EAGER: Hot = Hot {
    close: 40,
    spread: (1, 4),
};
/// Where every check takes lines away from those who make it succeed.
const PATIENT: Hot = Hot {
    close: 0,
    spread: (3, 6),
};

/// Checks between two yields, at about 25 ns each.
const WARM_CHECKS: u32 = 16;
/// The most that one yield and the checks after it count for.
const LONGEST_TURN: Duration = Duration::from_micros(2);
/// Waits shorter than this are worth a spin of their full length.
const LONGEST_SPIN: Duration = Duration::from_micros(250);
/// What a park and a wake-up cost together: spinning for that long at most
/// doubles the cost of a wait that then parks after all.
const SHORTEST_SPIN: Duration = Duration::from_micros(10);

/// One thread's way of waiting, with what it has learned about its waits.
#[derive(Clone, Debug)]
pub struct Waiter {
    strategy: WaitStrategy,
    /// The recent length of a wait that outlasted the hot checks.
    usual: Duration,
}

impl Waiter {
    /// A waiter that has learned nothing yet.
    pub fn new(strategy: WaitStrategy) -> Self {
        Self {
            strategy,
            usual: Duration::ZERO,
        }
    }

    /// For a handle that several threads use: what they learned is kept in `pace`.
    pub(crate) fn at_pace(strategy: WaitStrategy, pace: &AtomicU64) -> Self {
        Self {
            strategy,
            usual: Duration::from_nanos(pace.load(Ordering::Relaxed)),
        }
    }

    /// Leaves to others what was learned.
    pub(crate) fn remember(&self, pace: &AtomicU64) {
        let usual = self.usual.as_nanos() as u64;
        if pace.load(Ordering::Relaxed) != usual {
            pace.store(usual, Ordering::Relaxed);
        }
    }

    /// The strategy it was made with.
    pub fn strategy(&self) -> WaitStrategy {
        self.strategy
    }

    /// Waits until `check` gives a value, which it returns, or until the
    /// deadline has passed: `None`.
    ///
    /// `check` is called often and must neither wait nor panic. Whoever makes it
    /// succeed must notify `event` afterwards.
    pub fn wait<R>(
        &mut self,
        event: &EventCount,
        deadline: Option<Instant>,
        mut check: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        if !cfg!(loom)
            && let Some(value) = Self::spin(EAGER, &mut check)
        {
            return Some(value);
        }
        self.wait_longer(event, deadline, EAGER, check)
    }

    /// As [`wait`](Self::wait), for a `check` that gets in the way of others.
    pub(crate) fn wait_patiently<R>(
        &mut self,
        event: &EventCount,
        deadline: Option<Instant>,
        mut check: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        if !cfg!(loom)
            && let Some(value) = Self::spin(PATIENT, &mut check)
        {
            return Some(value);
        }
        self.wait_longer(event, deadline, PATIENT, check)
    }

    fn spin<R>(hot: Hot, check: &mut impl FnMut() -> Option<R>) -> Option<R> {
        for _ in 0..hot.close {
            spin_loop();
            if let Some(value) = check() {
                return Some(value);
            }
        }
        for step in hot.spread.0..=hot.spread.1 {
            for _ in 0..1 << step {
                spin_loop();
            }
            if let Some(value) = check() {
                return Some(value);
            }
        }
        None
    }

    #[cold]
    fn wait_longer<R>(
        &mut self,
        event: &EventCount,
        deadline: Option<Instant>,
        hot: Hot,
        mut check: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        if cfg!(loom) {
            return event.sleep(deadline, check);
        }
        if self.strategy == WaitStrategy::Park {
            // One chance for a partner that shares our core.
            yield_now();
            if let Some(value) = check() {
                return Some(value);
            }
            return event.sleep(deadline, check);
        }
        let start = Instant::now();
        let budget = self.budget();
        let (mut now, mut spun) = (start, Duration::ZERO);
        while budget.is_none_or(|budget| spun < budget) {
            if deadline.is_some_and(|deadline| now >= deadline) {
                return check();
            }
            yield_now();
            let mut value = check();
            if hot.close > 0 {
                for _ in 0..WARM_CHECKS {
                    if value.is_some() {
                        break;
                    }
                    spin_loop();
                    value = check();
                }
            }
            let before = std::mem::replace(&mut now, Instant::now());
            if value.is_some() {
                self.learn(now - start);
                return value;
            }
            // A long yield is time that somebody else used: not ours to save.
            spun += (now - before).min(LONGEST_TURN);
        }
        let value = event.sleep(deadline, check);
        self.learn(start.elapsed());
        value
    }

    /// How long to spin; `None` for ever.
    fn budget(&self) -> Option<Duration> {
        match self.strategy {
            WaitStrategy::Spin => None,
            WaitStrategy::Park => Some(Duration::ZERO),
            WaitStrategy::Adaptive if self.usual <= LONGEST_SPIN => {
                Some((self.usual * 2).max(SHORTEST_SPIN))
            }
            WaitStrategy::Adaptive => Some(SHORTEST_SPIN),
        }
    }

    fn learn(&mut self, waited: Duration) {
        // A moving average over about four waits. One very long wait (the
        // stream paused) must not drown what the pace was before.
        let waited = waited.min(LONGEST_SPIN * 4);
        self.usual = (self.usual * 3 + waited) / 4;
    }
}

/// For the short time in which another thread finishes what it has begun: spins
/// a little longer each time, then gives up the core each time.
#[derive(Default)]
pub(crate) struct Backoff {
    step: u32,
}

impl Backoff {
    const SPIN_STEPS: u32 = 5;

    pub(crate) fn wait(&mut self) {
        if self.step < Self::SPIN_STEPS && !cfg!(loom) {
            for _ in 0..1 << self.step {
                spin_loop();
            }
            self.step += 1;
        } else {
            yield_now();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn spins_as_long_as_recent_waits_if_these_were_short() {
        let mut waiter = Waiter::new(WaitStrategy::Adaptive);
        assert_eq!(waiter.budget(), Some(SHORTEST_SPIN));
        for _ in 0..32 {
            waiter.learn(Duration::from_micros(100));
        }
        assert!(waiter.budget().unwrap() >= Duration::from_micros(150));
        for _ in 0..32 {
            waiter.learn(Duration::from_millis(1));
        }
        assert_eq!(waiter.budget(), Some(SHORTEST_SPIN));
    }

    #[test]
    fn one_pause_of_the_stream_is_soon_forgotten() {
        let mut waiter = Waiter::new(WaitStrategy::Adaptive);
        for _ in 0..32 {
            waiter.learn(Duration::from_micros(100));
        }
        waiter.learn(Duration::from_secs(60));
        for _ in 0..4 {
            waiter.learn(Duration::from_micros(100));
        }
        assert!(waiter.budget().unwrap() > Duration::from_micros(100));
    }

    #[test]
    fn a_deadline_ends_the_wait_under_every_strategy() {
        for strategy in [
            WaitStrategy::Spin,
            WaitStrategy::Adaptive,
            WaitStrategy::Park,
        ] {
            let event = EventCount::new();
            let deadline = Instant::now() + Duration::from_millis(5);
            let got: Option<()> = Waiter::new(strategy).wait(&event, Some(deadline), || None);
            assert_eq!(got, None);
            assert!(Instant::now() >= deadline);
        }
    }
}
