//! Time as the simulated hardware sees it: real, scaled, stepped by a test, or unthrottled.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How simulated time moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ClockMode {
    /// With the computer's monotonic clock, `speed` times as fast.
    Real {
        /// Simulated seconds per second.
        speed: f64,
    },
    /// Only when [`crate::control::step`] moves it.
    Stepped,
    /// Per task, just as far as its reads need: nothing ever overflows, and reads never wait.
    Unthrottled,
}

/// A source of simulated time, in nanoseconds since its creation.
#[derive(Debug)]
pub(crate) struct Clock {
    mode: ClockMode,
    origin: Instant,
    stepped: Mutex<u64>,
}

impl Clock {
    pub(crate) fn new(mode: ClockMode) -> Self {
        Self {
            mode,
            origin: Instant::now(),
            stepped: Mutex::new(0),
        }
    }

    pub(crate) fn mode(&self) -> ClockMode {
        self.mode
    }

    pub(crate) fn unthrottled(&self) -> bool {
        self.mode == ClockMode::Unthrottled
    }

    /// Nanoseconds of simulated time.
    pub(crate) fn now(&self) -> u64 {
        match self.mode {
            ClockMode::Real { speed } => {
                let elapsed = self.origin.elapsed();
                if speed == 1.0 {
                    elapsed.as_nanos() as u64
                } else {
                    (elapsed.as_nanos() as f64 * speed) as u64
                }
            }
            ClockMode::Stepped => *self
                .stepped
                .lock()
                .unwrap_or_else(|poison| poison.into_inner()),
            ClockMode::Unthrottled => self.origin.elapsed().as_nanos() as u64,
        }
    }

    /// Moves a stepped clock; gives the new time, or `None` for the other clocks.
    pub(crate) fn step(&self, nanoseconds: u64) -> Option<u64> {
        if self.mode != ClockMode::Stepped {
            return None;
        }
        let mut now = self
            .stepped
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        *now = now.saturating_add(nanoseconds);
        Some(*now)
    }

    /// How long to sleep until simulated time reaches `target`; `None` where only a notification
    /// can tell.
    pub(crate) fn wait_until(&self, target: u64) -> Option<Duration> {
        match self.mode {
            ClockMode::Real { speed } => {
                let left = target.saturating_sub(self.now());
                Some(Duration::from_nanos((left as f64 / speed).min(1e18) as u64))
            }
            ClockMode::Stepped => None,
            ClockMode::Unthrottled => Some(Duration::from_nanos(target.saturating_sub(self.now()))),
        }
    }
}

/// A sample rate as an exact ratio: samples per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) numerator: u64,
    pub(crate) denominator: u64,
}

const NANOSECONDS: u128 = 1_000_000_000;

impl Rate {
    pub(crate) fn hertz(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    /// A rate that no timebase makes, to a millionth of a hertz.
    pub(crate) fn from_hertz(rate: f64) -> Self {
        Self {
            numerator: (rate * 1e6).round().clamp(1.0, 1e18) as u64,
            denominator: 1_000_000,
        }
    }

    /// The samples that have arrived after so many nanoseconds.
    pub(crate) fn samples_in(self, nanoseconds: u64) -> u64 {
        let ticks = u128::from(nanoseconds) * u128::from(self.numerator);
        (ticks / (u128::from(self.denominator) * NANOSECONDS)).min(u128::from(u64::MAX)) as u64
    }

    /// The first nanosecond at which so many samples have arrived.
    pub(crate) fn time_of(self, samples: u64) -> u64 {
        let ticks = u128::from(samples) * u128::from(self.denominator) * NANOSECONDS;
        ticks
            .div_ceil(u128::from(self.numerator))
            .min(u128::from(u64::MAX)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_and_times_are_inverse() {
        for (numerator, denominator) in [(100_000_000, 7), (100_000_000, 100), (80_000_000, 800)] {
            let rate = Rate {
                numerator,
                denominator,
            };
            for samples in [0, 1, 2, 999, 4096, 14_285_714, 1 << 40] {
                let time = rate.time_of(samples);
                assert_eq!(rate.samples_in(time), samples, "{rate:?} {samples}");
                if samples > 0 {
                    assert_eq!(rate.samples_in(time - 1), samples - 1);
                }
            }
        }
    }

    #[test]
    fn only_a_stepped_clock_steps() {
        let clock = Clock::new(ClockMode::Stepped);
        assert_eq!(clock.now(), 0);
        assert_eq!(clock.step(5), Some(5));
        assert_eq!(clock.now(), 5);
        assert_eq!(Clock::new(ClockMode::Real { speed: 1.0 }).step(5), None);
    }
}
