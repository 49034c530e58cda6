//! Pulses of counter outputs, in ticks of the counter's timebase.

use std::sync::{Arc, Mutex};

use crate::channel::Channel;
use crate::driver::lock;
use crate::error::{Error, Result};
use crate::output::{attr, kind};
use crate::wave::Wave;
use crate::wire::Timeline;

/// How one pulse follows the other, in ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ticks {
    /// Ticks per second.
    pub(crate) timebase: f64,
    pub(crate) delay: f64,
    pub(crate) high: f64,
    pub(crate) low: f64,
}

/// The shortest part of a pulse that a counter makes.
const SHORTEST: f64 = 2.0;

/// The longest: what 32 bits count.
const LONGEST: f64 = 4_294_967_296.0;

fn checked(ticks: f64, property: &str, asked: impl std::fmt::Display) -> Result<f64> {
    if (SHORTEST..=LONGEST).contains(&ticks) {
        Ok(ticks)
    } else {
        Err(Error::value(property, asked)
            .with("Minimum Ticks", SHORTEST)
            .with("Maximum Ticks", LONGEST))
    }
}

impl Ticks {
    /// A frequency in hertz and the part of a period that is high.
    pub(crate) fn frequency(timebase: f64, frequency: f64, duty: f64) -> Result<Self> {
        if !(frequency > 0.0 && frequency.is_finite()) {
            return Err(Error::value(
                "DAQmx_CO_Pulse_Freq",
                format!("{frequency:?}"),
            ));
        }
        if !(duty > 0.0 && duty < 1.0) {
            return Err(Error::value("DAQmx_CO_Pulse_DutyCyc", format!("{duty:?}")));
        }
        let period = (timebase / frequency).round();
        let property = "DAQmx_CO_Pulse_Freq";
        checked(period / 2.0, property, format!("{frequency:?}"))?;
        let high = (period * duty).round().clamp(SHORTEST, period - SHORTEST);
        Ok(Self {
            timebase,
            delay: 0.0,
            high: checked(high, property, format!("{frequency:?}"))?,
            low: checked(period - high, property, format!("{frequency:?}"))?,
        })
    }

    /// Times in seconds.
    pub(crate) fn times(timebase: f64, high: f64, low: f64) -> Result<Self> {
        let ticks = |seconds: f64| (seconds * timebase).round();
        Ok(Self {
            timebase,
            delay: 0.0,
            high: checked(ticks(high), "DAQmx_CO_Pulse_HighTime", format!("{high:?}"))?,
            low: checked(ticks(low), "DAQmx_CO_Pulse_LowTime", format!("{low:?}"))?,
        })
    }

    /// Ticks.
    pub(crate) fn counts(timebase: f64, high: f64, low: f64) -> Result<Self> {
        Ok(Self {
            timebase,
            delay: 0.0,
            high: checked(high, "DAQmx_CO_Pulse_HighTicks", high)?,
            low: checked(low, "DAQmx_CO_Pulse_LowTicks", low)?,
        })
    }

    /// Two numbers as a write function for this kind of output gives them.
    pub(crate) fn written(output: i32, timebase: f64, first: f64, second: f64) -> Result<Self> {
        match output {
            kind::PULSE_FREQ => Self::frequency(timebase, first, second),
            kind::PULSE_TIME => Self::times(timebase, first, second),
            _ => Self::counts(timebase, first, second),
        }
    }

    /// The pulse that a channel was created with, or set to.
    pub(crate) fn of(channel: &Channel) -> Result<Self> {
        let timebase = channel.number(attr::CO_TIMEBASE_RATE);
        let timebase = if timebase > 0.0 { timebase } else { 100e6 };
        let (mut pulse, delay) = match channel.integer(attr::CO_OUTPUT_TYPE) {
            kind::PULSE_FREQ => (
                Self::frequency(
                    timebase,
                    channel.number(attr::CO_FREQ),
                    channel.number(attr::CO_DUTY_CYCLE),
                )?,
                channel.number(attr::CO_FREQ_DELAY) * timebase,
            ),
            kind::PULSE_TIME => (
                Self::times(
                    timebase,
                    channel.number(attr::CO_HIGH_TIME),
                    channel.number(attr::CO_LOW_TIME),
                )?,
                channel.number(attr::CO_TIME_DELAY) * timebase,
            ),
            _ => (
                Self::counts(
                    timebase,
                    f64::from(channel.unsigned(attr::CO_HIGH_TICKS)),
                    f64::from(channel.unsigned(attr::CO_LOW_TICKS)),
                )?,
                f64::from(channel.unsigned(attr::CO_TICKS_DELAY)),
            ),
        };
        if !(0.0..=LONGEST).contains(&delay) {
            return Err(Error::value(
                "DAQmx_CO_Pulse_Time_InitialDelay",
                format!("{:?}", delay / timebase),
            )
            .with("Channel Name", &channel.name));
        }
        pulse.delay = delay.round();
        Ok(pulse)
    }

    pub(crate) fn period(&self) -> f64 {
        self.high + self.low
    }

    /// Nanoseconds of so many ticks.
    pub(crate) fn nanoseconds(&self, ticks: f64) -> f64 {
        ticks * 1e9 / self.timebase
    }
}

/// Pulses one after the other that are alike.
#[derive(Debug, Clone, Copy)]
struct Segment {
    /// Nanoseconds from the beginning of the train to its first pulse.
    start: f64,
    /// The number of its first pulse.
    first: u64,
    /// How many; endless where `None`.
    count: Option<u64>,
    pulse: Ticks,
}

/// The pulses of a counter output over the clock's time. Each pulse begins with an edge away from
/// the idle state, which is also where the output is before, after and when it was stopped.
#[derive(Debug)]
pub(crate) struct Train {
    idle_high: bool,
    pace: Arc<Timeline>,
    segments: Mutex<Vec<Segment>>,
    /// Pulses and nanoseconds after which everything comes again.
    cycle: Option<(u64, f64)>,
    /// Pulses after which it ends.
    limit: Option<u64>,
}

impl Train {
    /// So many equal pulses, or an endless train of them.
    pub(crate) fn regular(
        pulse: Ticks,
        count: Option<u64>,
        idle_high: bool,
        pace: Arc<Timeline>,
    ) -> Self {
        Self {
            idle_high,
            pace,
            segments: Mutex::new(vec![Segment {
                start: 0.0,
                first: 0,
                count,
                pulse,
            }]),
            cycle: None,
            limit: count,
        }
    }

    /// Pulses that differ, once or again and again, up to a limit. With `interval`, each stands for
    /// so many nanoseconds, in which it is repeated.
    pub(crate) fn listed(
        pulses: &[Ticks],
        interval: Option<f64>,
        again: bool,
        limit: Option<u64>,
        idle_high: bool,
        pace: Arc<Timeline>,
    ) -> Self {
        let mut train = Self {
            idle_high,
            pace,
            segments: Mutex::default(),
            cycle: None,
            limit,
        };
        let (count, end) = train.extend(pulses, interval);
        train.cycle = again.then_some((count, end));
        train
    }

    /// Adds pulses at the end; gives the number of all, and where they end.
    pub(crate) fn extend(&self, pulses: &[Ticks], interval: Option<f64>) -> (u64, f64) {
        let mut segments = lock(&self.segments);
        let length = |segment: &Segment| {
            interval.unwrap_or_else(|| segment.pulse.nanoseconds(segment.pulse.period()))
        };
        let (mut first, mut start) = segments.last().map_or((0, 0.0), |last| {
            (
                last.first + last.count.unwrap_or(0),
                last.start + length(last),
            )
        });
        for pulse in pulses {
            let period = pulse.nanoseconds(pulse.period());
            let count = interval.map_or(1, |interval| ((interval / period) as u64).max(1));
            let segment = Segment {
                start,
                first,
                count: Some(count),
                pulse: *pulse,
            };
            first += count;
            start += length(&segment);
            segments.push(segment);
        }
        (first, start)
    }

    /// From the next pulse on they are different.
    pub(crate) fn change(&self, pulse: Ticks, at: u64) {
        let number = self.begun(at);
        let mut segments = lock(&self.segments);
        let Some(last) = segments.last_mut() else {
            return;
        };
        let count = number.saturating_sub(last.first);
        let start = last.start + count as f64 * last.pulse.nanoseconds(last.pulse.period());
        if count == 0 {
            last.pulse = pulse;
            return;
        }
        last.count = Some(count);
        segments.push(Segment {
            start,
            first: number,
            count: None,
            pulse,
        });
    }

    /// When pulse `number` begins and where its first part ends, in nanoseconds after the beginning.
    fn pulse(&self, number: u64) -> Option<(f64, f64)> {
        if self.limit.is_some_and(|limit| number >= limit) {
            return None;
        }
        let (number, shift) = match self.cycle {
            Some((0, _)) => return None,
            Some((pulses, duration)) => (number % pulses, (number / pulses) as f64 * duration),
            None => (number, 0.0),
        };
        let segments = lock(&self.segments);
        let place = segments.partition_point(|segment| segment.first <= number);
        let segment = segments.get(place.checked_sub(1)?)?;
        let within = number - segment.first;
        if segment.count.is_some_and(|count| within >= count) {
            return None;
        }
        let pulse = &segment.pulse;
        let start = shift + segment.start + within as f64 * pulse.nanoseconds(pulse.period());
        let part = if self.idle_high {
            pulse.low
        } else {
            pulse.high
        };
        Some((start, start + pulse.nanoseconds(part)))
    }

    fn time(&self, active: bool, number: u64) -> Option<u64> {
        let began = self.pace.began()?;
        let (start, middle) = self.pulse(number)?;
        let at = began.saturating_add((if active { start } else { middle }).round() as u64);
        match self.pace.stopped() {
            // A stop ends the pulse that was under way.
            Some(stopped) if at > stopped => {
                let begun = began.saturating_add(start.round() as u64);
                (!active && begun <= stopped).then_some(stopped)
            }
            _ => Some(at),
        }
    }

    /// Pulses that had begun (or, `false`, whose first part had ended) at a time.
    fn count(&self, active: bool, at: u64) -> u64 {
        // Doubling and bisection over the number: times rise with it.
        let reached = |number| self.time(active, number).is_some_and(|time| time <= at);
        if !reached(0) {
            return 0;
        }
        let (mut low, mut step) = (0u64, 1u64);
        while reached(low.saturating_add(step)) && step < 1 << 62 {
            low += step;
            step *= 2;
        }
        let mut high = low.saturating_add(step);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if reached(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        low + 1
    }

    /// Pulses that had begun at a time.
    pub(crate) fn begun(&self, at: u64) -> u64 {
        self.count(true, at)
    }
}

impl Wave for Train {
    fn level(&self, at: u64) -> bool {
        (self.count(true, at) > self.count(false, at)) != self.idle_high
    }

    fn edges(&self, rising: bool, at: u64) -> u64 {
        self.count(rising != self.idle_high, at)
    }

    fn edge(&self, rising: bool, number: u64) -> Option<u64> {
        self.time(rising != self.idle_high, number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Rate;

    fn pace() -> Arc<Timeline> {
        Arc::new(Timeline::new(Rate::from_hertz(1.0), None))
    }

    fn ticks(high: f64, low: f64) -> Ticks {
        Ticks::counts(1e9, high, low).unwrap()
    }

    #[test]
    fn pulses_are_rounded_to_ticks_and_refused_out_of_reach() {
        let pulse = Ticks::frequency(100e6, 1e6, 0.25).unwrap();
        assert_eq!((pulse.high, pulse.low), (25.0, 75.0));
        assert_eq!(Ticks::times(100e6, 1e-6, 2e-6).unwrap().period(), 300.0);
        assert!(Ticks::frequency(100e6, 60e6, 0.5).is_err());
        assert!(Ticks::frequency(100e6, 1e3, 1.0).is_err());
        assert!(Ticks::times(100e6, 0.0, 1.0).is_err());
        assert!(Ticks::counts(100e6, 1.0, 5.0).is_err());
    }

    #[test]
    fn a_train_begins_with_an_edge_away_from_idle() {
        let pace = pace();
        let train = Train::regular(ticks(3.0, 7.0), Some(2), false, Arc::clone(&pace));
        assert!(!train.level(100));
        assert_eq!(train.edge(true, 0), None);
        pace.begin(100);
        let levels: Vec<_> = [99, 100, 102, 103, 110, 113, 120]
            .map(|at| train.level(at))
            .into();
        assert_eq!(levels, [false, true, true, false, true, false, false]);
        assert_eq!((train.edges(true, 1000), train.edges(false, 1000)), (2, 2));
        assert_eq!(
            (train.edge(true, 1), train.edge(true, 2)),
            (Some(110), None)
        );
        let other = Train::regular(ticks(3.0, 7.0), None, true, pace);
        assert_eq!(
            (other.level(99), other.level(100), other.level(107)),
            (true, false, true)
        );
        assert_eq!(other.edge(false, 1 << 40), Some(100 + 10 * (1 << 40)));
        assert_eq!(other.edges(false, 100 + 10 * (1 << 40)), (1 << 40) + 1);
    }

    #[test]
    fn a_change_holds_from_the_next_pulse_and_a_stop_at_once() {
        let pace = pace();
        let train = Train::regular(ticks(5.0, 5.0), None, false, Arc::clone(&pace));
        pace.begin(0);
        train.change(ticks(20.0, 20.0), 12);
        let rising: Vec<_> = (0..4).map(|n| train.edge(true, n)).collect();
        assert_eq!(rising, [Some(0), Some(10), Some(20), Some(60)]);
        pace.stop(65);
        assert_eq!(
            (train.edge(false, 3), train.edge(true, 4)),
            (Some(65), None)
        );
        assert!(!train.level(65));
    }

    #[test]
    fn a_list_comes_again() {
        let pace = pace();
        let list = [ticks(2.0, 2.0), ticks(3.0, 3.0)];
        let train = Train::listed(&list, None, true, None, false, Arc::clone(&pace));
        pace.begin(0);
        let rising: Vec<_> = (0..5).filter_map(|n| train.edge(true, n)).collect();
        assert_eq!(rising, [0, 4, 10, 14, 20]);
        let once = Train::listed(&list, None, false, None, false, Arc::clone(&pace));
        assert_eq!(once.edges(true, 1_000), 2);
        once.extend(&list, None);
        assert_eq!(once.edge(true, 3), Some(14));
        // Each for 12 ns: three of the first, then two of the second.
        let clocked = Train::listed(&list, Some(12.0), true, Some(7), false, pace);
        let rising: Vec<_> = (0..9).filter_map(|n| clocked.edge(true, n)).collect();
        assert_eq!(rising, [0, 4, 8, 12, 18, 24, 28]);
    }
}
