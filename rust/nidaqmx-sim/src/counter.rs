//! Counter inputs: measurements of the digital signals at a counter's terminals.
//!
//! A measurement of an interval (period, pulse, separation ...) lies between edges and is there when
//! its last edge has come: measurement `n` is the n-th one since the counter was started. It is
//! counted in ticks of the counter's timebase, as hardware does, so that it is rounded like there.
//! A count or a position is what it is at the moment of the sample.
//!
//! Where nothing digital was chosen for a counter, it takes numbers from the signal that was chosen
//! for it ([`Numbers`]): zeros by default, as on NI's simulated devices.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::conversion::Conversion;
use crate::driver::lock;
use crate::signal::Signal;
use crate::wave::{LOOK, Sequence, Since, Wave};

/// Counter measurements, as `DAQmx_CI_MeasType` names them.
pub(crate) mod measurement {
    pub(crate) const COUNT_EDGES: i32 = 10125;
    pub(crate) const FREQUENCY: i32 = 10179;
    pub(crate) const PERIOD: i32 = 10256;
    pub(crate) const PULSE_WIDTH: i32 = 10359;
    pub(crate) const SEMI_PERIOD: i32 = 10289;
    pub(crate) const PULSE_FREQUENCY: i32 = 15864;
    pub(crate) const PULSE_TIME: i32 = 15865;
    pub(crate) const PULSE_TICKS: i32 = 15866;
    pub(crate) const DUTY_CYCLE: i32 = 16070;
    pub(crate) const ANGULAR_POSITION: i32 = 10360;
    pub(crate) const LINEAR_POSITION: i32 = 10361;
    pub(crate) const ANGULAR_VELOCITY: i32 = 16078;
    pub(crate) const LINEAR_VELOCITY: i32 = 16079;
    pub(crate) const TWO_EDGE_SEPARATION: i32 = 10267;
    pub(crate) const GPS_TIMESTAMP: i32 = 10362;
}

/// The measurements of a counter with a sample clock.
pub(crate) const MEASUREMENTS: &[i32] = &[
    measurement::COUNT_EDGES,
    measurement::FREQUENCY,
    measurement::PERIOD,
    measurement::PULSE_WIDTH,
    measurement::SEMI_PERIOD,
    measurement::PULSE_FREQUENCY,
    measurement::PULSE_TIME,
    measurement::PULSE_TICKS,
    measurement::DUTY_CYCLE,
    measurement::ANGULAR_POSITION,
    measurement::LINEAR_POSITION,
    measurement::ANGULAR_VELOCITY,
    measurement::LINEAR_VELOCITY,
    measurement::TWO_EDGE_SEPARATION,
    measurement::GPS_TIMESTAMP,
];

/// The measurement of a counter without one.
pub(crate) const COUNT_EDGES: i32 = measurement::COUNT_EDGES;

/// What is at one of a counter's terminals.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) wave: Arc<dyn Wave>,
    /// Its times are the clock's, not those since the start of the counter.
    pub(crate) absolute: bool,
}

impl Input {
    /// The same, seen from a time on.
    pub(crate) fn since(&self, origin: u64) -> Self {
        Self {
            wave: Arc::new(Since {
                wave: Arc::clone(&self.wave),
                origin,
            }),
            absolute: self.absolute,
        }
    }
}

/// How the signals A and B of an encoder become a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decoding {
    X1,
    X2,
    X4,
    TwoPulse,
}

impl Decoding {
    /// Counts per period of the signal A.
    pub(crate) fn counts(self) -> f64 {
        match self {
            Self::X1 | Self::TwoPulse => 1.0,
            Self::X2 => 2.0,
            Self::X4 => 4.0,
        }
    }
}

/// What is counted, where it is counted up and down.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tallied {
    /// Edges of the first input. The second says the direction (high is up), the third resets the
    /// count to a number on one of its edges, the fourth lets edges pass at one of its levels.
    Edges {
        rising: bool,
        down: bool,
        by_line: bool,
        reset: Option<(bool, u32)>,
        gate: Option<bool>,
    },
    /// The position of an encoder: A, B, and (as levels of A and B, and the count) the index Z.
    Position {
        decoding: Decoding,
        index: Option<(bool, bool, i64)>,
    },
}

/// What a counter measures.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Measure {
    Count {
        what: Tallied,
        initial: i64,
    },
    /// From an edge to the next one of its direction but `divisor - 1`.
    Period {
        rising: bool,
        divisor: u64,
    },
    /// The edges within windows of so many nanoseconds.
    Window {
        rising: bool,
        window: u64,
    },
    PulseWidth {
        rising: bool,
    },
    /// From each edge to the next one, beginning with an edge of one direction where it matters.
    SemiPeriod {
        first: Option<bool>,
    },
    /// Both parts of a period that begins with an edge of this direction.
    Pulse {
        rising: bool,
    },
    /// From an edge of the first input to the next of the second one.
    Separation {
        first: bool,
        second: bool,
    },
    /// Counts of an encoder within so many nanoseconds before the sample.
    Velocity {
        decoding: Decoding,
        window: u64,
    },
    /// Seconds since a beginning.
    Timestamp {
        initial: f64,
    },
}

/// How what was counted becomes a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scaling {
    /// The number itself.
    Number,
    /// Periods per second from the ticks of so many periods.
    Frequency {
        periods: f64,
    },
    /// Seconds from ticks of so many periods.
    Time {
        periods: f64,
    },
    /// Periods per second from the edges within a window of seconds.
    CountedFrequency {
        window: f64,
    },
    CountedTime {
        window: f64,
    },
    /// `offset + number * slope`.
    Linear {
        offset: f64,
        slope: f64,
    },
    /// The part of a period that is high.
    DutyCycle,
}

/// What the numbers of a counter without a digital signal are.
#[derive(Debug, Clone)]
pub(crate) enum Numbers {
    /// 0, all the time.
    Zeros,
    /// The sample's index.
    Index,
    /// The same value all the time, in the channel's units.
    Constant(f64),
    /// These numbers, again and again.
    Playback(Arc<Vec<i32>>),
}

impl Numbers {
    pub(crate) fn new(signal: &Signal) -> Self {
        match signal {
            Signal::Pattern => Self::Index,
            Signal::Constant(value) => Self::Constant(*value),
            Signal::Playback(codes) if !codes.is_empty() => Self::Playback(Arc::clone(codes)),
            _ => Self::Zeros,
        }
    }

    fn number(&self, index: u64) -> i64 {
        match self {
            Self::Zeros => 0,
            Self::Index => i64::from(index as u32),
            Self::Constant(value) => *value as i64,
            Self::Playback(codes) => i64::from(codes[(index % codes.len() as u64) as usize]),
        }
    }
}

/// What a counter channel measures, and of what.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) measure: Measure,
    pub(crate) scaling: Scaling,
    /// The custom scale, where there is one.
    pub(crate) scale: Option<Conversion>,
    /// Ticks per second.
    pub(crate) timebase: f64,
    /// What ticks instead, where it is a signal from outside.
    pub(crate) ticks: Option<Input>,
    /// Numbers instead of signals.
    pub(crate) numbers: Option<Numbers>,
    /// The signals, in the order that the measurement wants them.
    pub(crate) inputs: Vec<Input>,
}

/// When a sample is taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Which sample of the run it is.
    pub(crate) index: u64,
    /// Nanoseconds since the run began.
    pub(crate) at: u64,
    /// The sample is measurement number `index`, not what a clock found.
    pub(crate) implicit: bool,
}

/// Measurements without signals that come in a second.
const NUMBERS_PER_SECOND: u64 = 1000;

type Next = Box<dyn Fn(Option<u64>) -> Option<u64> + Send + Sync>;

/// A counter that measures.
pub(crate) struct Counter {
    setup: Setup,
    /// Where separations begin.
    separations: Option<Sequence<Next>>,
    /// The counts at the sample asked for last, and at the beginning of its window.
    tallies: [Mutex<Tally>; 2],
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter")
            .field("setup", &self.setup)
            .finish_non_exhaustive()
    }
}

impl Counter {
    pub(crate) fn new(setup: Setup) -> Self {
        let separations = match (&setup.measure, setup.inputs.as_slice()) {
            (Measure::Separation { first, second }, [one, other, ..]) => {
                let (one, other) = (Arc::clone(&one.wave), Arc::clone(&other.wave));
                let (first, second) = (*first, *second);
                let next: Next = Box::new(move |begun: Option<u64>| match begun {
                    None => one.edge(first, 0),
                    Some(begun) => one.next_edge(first, other.next_edge(second, begun)? - 1),
                });
                Some(Sequence::new(next))
            }
            _ => None,
        };
        Self {
            setup,
            separations,
            tallies: Default::default(),
        }
    }

    /// The counter in a run that began at a time, where that matters to it.
    pub(crate) fn bound(&self, began: u64) -> Option<Self> {
        let mut all = self.setup.inputs.iter().chain(&self.setup.ticks);
        if !all.any(|input| input.absolute) {
            return None;
        }
        let mut setup = self.setup.clone();
        for input in setup.inputs.iter_mut().chain(&mut setup.ticks) {
            if input.absolute {
                *input = Input {
                    wave: Arc::new(Since {
                        wave: Arc::clone(&input.wave),
                        origin: began,
                    }),
                    absolute: false,
                };
            }
        }
        Some(Self::new(setup))
    }

    /// The counter, seeing chosen signals from a time on.
    pub(crate) fn since(&self, lead: u64) -> Self {
        let mut setup = self.setup.clone();
        for input in setup.inputs.iter_mut().chain(&mut setup.ticks) {
            if !input.absolute {
                *input = input.since(lead);
            }
        }
        Self::new(setup)
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Whether samples are measurements that come by themselves, not a state at any moment.
    pub(crate) fn is_interval(&self) -> bool {
        !matches!(
            self.setup.measure,
            Measure::Count { .. } | Measure::Velocity { .. } | Measure::Timestamp { .. }
        )
    }

    fn wave(&self, input: usize) -> Option<&dyn Wave> {
        self.setup.inputs.get(input).map(|input| &*input.wave)
    }

    /// How many measurements are complete at a time, as far as one look finds them.
    pub(crate) fn completed(&self, at: u64) -> u64 {
        self.completed_among(at, Sequence::count)
    }

    /// How many measurements are complete at a time, where a value depends on it.
    fn completed_all(&self, at: u64) -> u64 {
        self.completed_among(at, Sequence::count_all)
    }

    /// Whether the last look has not found everything.
    pub(crate) fn behind(&self) -> bool {
        self.separations.as_ref().is_some_and(Sequence::behind)
    }

    fn completed_among(&self, at: u64, count: impl Fn(&Sequence<Next>, u64) -> u64) -> u64 {
        if self.setup.numbers.is_some() {
            return (u128::from(at) * u128::from(NUMBERS_PER_SECOND) / 1_000_000_000) as u64;
        }
        let Some(wave) = self.wave(0) else { return 0 };
        match self.setup.measure {
            Measure::Period { rising, divisor } => {
                wave.edges(rising, at).saturating_sub(1) / divisor
            }
            Measure::Window { window, .. } => at / window,
            Measure::PulseWidth { rising } => {
                let begun = wave.edges(rising, at);
                begun.saturating_sub(u64::from(wave.level(at) == rising))
            }
            Measure::SemiPeriod { first } => (wave.edges(true, at) + wave.edges(false, at))
                .saturating_sub(1 + self.skipped(wave, first)),
            Measure::Pulse { rising } => wave.edges(rising, at).saturating_sub(1),
            Measure::Separation { second, .. } => {
                let Some(begun) = &self.separations else {
                    return 0;
                };
                let count = count(begun, at);
                let open = count.checked_sub(1).is_some_and(|last| {
                    let ended = begun
                        .time(last)
                        .and_then(|time| self.wave(1)?.next_edge(second, time));
                    ended.is_none_or(|ended| ended > at)
                });
                count - u64::from(open)
            }
            Measure::Count { .. } | Measure::Velocity { .. } | Measure::Timestamp { .. } => {
                u64::MAX
            }
        }
    }

    /// Edges before the one that the first semi-period begins with.
    fn skipped(&self, wave: &dyn Wave, first: Option<bool>) -> u64 {
        first.map_or(0, |first| u64::from(wave.level(0) == first))
    }

    /// The edge of any direction with this number.
    fn any_edge(wave: &dyn Wave, number: u64) -> Option<u64> {
        wave.edge(wave.level(0) == (number % 2 == 1), number / 2)
    }

    /// The edges of a measurement: first, middle (where it has one) and last.
    fn edges(&self, number: u64) -> Option<[u64; 3]> {
        let wave = self.wave(0)?;
        Some(match self.setup.measure {
            Measure::Period { rising, divisor } => {
                let first = number.checked_mul(divisor)?;
                let begin = wave.edge(rising, first)?;
                let end = wave.edge(rising, first.checked_add(divisor)?)?;
                [begin, end, end]
            }
            Measure::Window { window, .. } => {
                let begin = number.checked_mul(window)?;
                let end = begin.checked_add(window)?;
                [begin, end, end]
            }
            Measure::PulseWidth { rising } => {
                let begin = wave.edge(rising, number)?;
                let end = wave.next_edge(!rising, begin)?;
                [begin, end, end]
            }
            Measure::SemiPeriod { first } => {
                let number = number.checked_add(self.skipped(wave, first))?;
                let end = Self::any_edge(wave, number.checked_add(1)?)?;
                [Self::any_edge(wave, number)?, end, end]
            }
            Measure::Pulse { rising } => {
                let begin = wave.edge(rising, number)?;
                [
                    begin,
                    wave.next_edge(!rising, begin)?,
                    wave.edge(rising, number.checked_add(1)?)?,
                ]
            }
            Measure::Separation { second, .. } => {
                let begin = self.separations.as_ref()?.time(number)?;
                let end = self.wave(1)?.next_edge(second, begin)?;
                [begin, end, end]
            }
            Measure::Count { .. } | Measure::Velocity { .. } | Measure::Timestamp { .. } => {
                [0, 0, 0]
            }
        })
    }

    /// When a measurement is complete; `None` where nobody knows of its edges.
    pub(crate) fn completes(&self, number: u64) -> Option<u64> {
        if self.setup.numbers.is_some() {
            return (number.checked_add(1)?).checked_mul(1_000_000_000 / NUMBERS_PER_SECOND);
        }
        self.edges(number).map(|[.., end]| end)
    }

    fn ticks(&self, from: u64, to: u64) -> u64 {
        if let Some(ticks) = &self.setup.ticks {
            return ticks.wave.edges(true, to) - ticks.wave.edges(true, from);
        }
        let tick = |time: u64| (time as f64 * self.setup.timebase / 1e9 + 1e-6) as u64;
        tick(to).saturating_sub(tick(from))
    }

    /// The number of the measurement that a sample shows; `None` before the first is complete.
    fn measurement(&self, moment: Moment) -> Option<u64> {
        if moment.implicit {
            Some(moment.index)
        } else {
            self.completed_all(moment.at).checked_sub(1)
        }
    }

    /// Whether a clock came again before another measurement was complete.
    pub(crate) fn overran(&self, before: Option<u64>, at: u64) -> bool {
        self.is_interval()
            && self.setup.numbers.is_none()
            && self.completed_all(at) == before.map_or(0, |before| self.completed_all(before))
    }

    /// The number that the counter's register holds at a sample.
    fn number(&self, moment: Moment) -> i64 {
        if let Some(numbers) = &self.setup.numbers {
            let number = numbers.number(moment.index);
            return match &self.setup.measure {
                Measure::Count {
                    what: Tallied::Edges { down: true, .. },
                    initial,
                } => initial.wrapping_sub(number),
                Measure::Count { initial, .. } => initial.wrapping_add(number),
                _ => number,
            };
        }
        match &self.setup.measure {
            Measure::Count { what, initial } => {
                initial.wrapping_add(self.tally(what, moment.at, 0))
            }
            Measure::Velocity { decoding, window } => {
                let what = Tallied::Position {
                    decoding: *decoding,
                    index: None,
                };
                let before = self.tally(&what, moment.at.saturating_sub(*window), 1);
                self.tally(&what, moment.at, 0) - before
            }
            Measure::Timestamp { initial } => (initial + moment.at as f64 / 1e9) as i64,
            Measure::Window { rising, .. } => {
                let Some(([begin, end, _], wave)) = self
                    .measurement(moment)
                    .and_then(|number| self.edges(number))
                    .zip(self.wave(0))
                else {
                    return 0;
                };
                (wave.edges(*rising, end) - wave.edges(*rising, begin)) as i64
            }
            _ => match self
                .measurement(moment)
                .and_then(|number| self.edges(number))
            {
                Some([begin, _, end]) => self.ticks(begin, end) as i64,
                None => 0,
            },
        }
    }

    /// What the register shows at a time.
    pub(crate) fn current(&self, at: u64) -> u32 {
        self.raw(Moment {
            index: 0,
            at,
            implicit: false,
        })
    }

    /// Whether the count has gone beyond the end of the register.
    pub(crate) fn passed_its_end(&self, at: u64) -> bool {
        let number = self.number(Moment {
            index: 0,
            at,
            implicit: false,
        });
        u32::try_from(number).is_err()
    }

    /// What a read of whole numbers gives.
    pub(crate) fn raw(&self, moment: Moment) -> u32 {
        self.number(moment) as u32
    }

    /// What a read of values gives, in the channel's units.
    pub(crate) fn value(&self, moment: Moment) -> f64 {
        if let (Some(Numbers::Constant(value)), false) = (
            &self.setup.numbers,
            matches!(self.setup.measure, Measure::Count { .. }),
        ) {
            return *value;
        }
        let value = match self.setup.scaling {
            Scaling::DutyCycle => {
                let (high, low) = self.pulse(moment);
                ratio(f64::from(high), f64::from(high) + f64::from(low))
            }
            _ if matches!(self.setup.measure, Measure::Timestamp { .. }) => self.seconds(moment),
            // The count of a register of 32 bits, but the position of an encoder has a sign.
            Scaling::Number
                if matches!(
                    self.setup.measure,
                    Measure::Count {
                        what: Tallied::Edges { .. },
                        ..
                    }
                ) =>
            {
                f64::from(self.raw(moment))
            }
            scaling => self.scaled(scaling, self.number(moment) as f64),
        };
        self.setup
            .scale
            .as_ref()
            .map_or(value, |scale| scale.forward(value))
    }

    fn seconds(&self, moment: Moment) -> f64 {
        match (&self.setup.measure, &self.setup.numbers) {
            (Measure::Timestamp { initial }, None) => initial + moment.at as f64 / 1e9,
            _ => self.number(moment) as f64,
        }
    }

    fn scaled(&self, scaling: Scaling, number: f64) -> f64 {
        let timebase = self.setup.timebase;
        match scaling {
            Scaling::Number | Scaling::DutyCycle => number,
            Scaling::Frequency { periods } => ratio(periods * timebase, number),
            Scaling::Time { periods } => number / timebase / periods,
            Scaling::CountedFrequency { window } => number / window,
            Scaling::CountedTime { window } => ratio(window, number),
            Scaling::Linear { offset, slope } => offset + number * slope,
        }
    }

    /// The ticks of the high and the low part of a pulse.
    pub(crate) fn pulse(&self, moment: Moment) -> (u32, u32) {
        if let Some(numbers) = &self.setup.numbers {
            let number = numbers.number(moment.index) as u32;
            return (number, number);
        }
        let rising = matches!(self.setup.measure, Measure::Pulse { rising: true });
        let Some([begin, middle, end]) = self
            .measurement(moment)
            .and_then(|number| self.edges(number))
        else {
            return (0, 0);
        };
        let (first, second) = (self.ticks(begin, middle), self.ticks(middle, end));
        if rising {
            (first as u32, second as u32)
        } else {
            (second as u32, first as u32)
        }
    }

    /// A pulse as frequency and duty cycle.
    pub(crate) fn pulse_frequency(&self, moment: Moment) -> (f64, f64) {
        let (high, low) = self.pulse(moment);
        let (high, low) = (f64::from(high), f64::from(low));
        (
            ratio(self.setup.timebase, high + low),
            ratio(high, high + low),
        )
    }

    /// A pulse as high and low time.
    pub(crate) fn pulse_time(&self, moment: Moment) -> (f64, f64) {
        let (high, low) = self.pulse(moment);
        (
            f64::from(high) / self.setup.timebase,
            f64::from(low) / self.setup.timebase,
        )
    }

    /// The count at a time, from 0 at the beginning.
    fn tally(&self, what: &Tallied, at: u64, which: usize) -> i64 {
        let waves: Vec<&dyn Wave> = self.setup.inputs.iter().map(|input| &*input.wave).collect();
        if let (
            Tallied::Edges {
                rising,
                down,
                by_line: false,
                reset: None,
                gate: None,
            },
            Some(wave),
        ) = (what, waves.first())
        {
            let edges = wave.edges(*rising, at) as i64;
            return if *down { -edges } else { edges };
        }
        let initial = match self.setup.measure {
            Measure::Count { initial, .. } => initial,
            _ => 0,
        };
        loop {
            // The lock is held for one look only: others may ask for another time.
            let look = lock(&self.tallies[which]).look(what, &waves, at, initial);
            if let Some(count) = look {
                return count;
            }
            std::thread::yield_now();
        }
    }
}

/// `0` where the divisor is.
fn ratio(number: f64, divisor: f64) -> f64 {
    if divisor == 0.0 {
        0.0
    } else {
        number / divisor
    }
}

/// A count that goes from change to change. Counts on the way are kept in part, so that it can be
/// asked anywhere.
#[derive(Debug, Default)]
struct Tally {
    /// The counts after every so many changes.
    marks: Vec<Counted>,
    /// Where the last look has come to.
    last: Option<Counted>,
}

/// A count at a time.
#[derive(Debug, Clone, Copy)]
struct Counted {
    at: u64,
    count: i64,
    /// Edges of the first input until then, where they are what is counted.
    edges: u64,
    /// Changes that were looked at until then.
    changes: u64,
}

/// Changes between two counts that are kept.
const STRIDE: u64 = 1024;

impl Tally {
    /// The count at a time; `None` where one look does not come so far: the next one goes on.
    fn look(&mut self, what: &Tallied, waves: &[&dyn Wave], at: u64, initial: i64) -> Option<i64> {
        let marks = self.marks.partition_point(|mark| mark.at <= at);
        let known = self.marks[..marks].last().copied();
        let last = self.last.filter(|last| last.at <= at);
        let mut counted = match (known, last) {
            (Some(mark), Some(last)) if mark.at > last.at => mark,
            (mark, last) => last.or(mark).unwrap_or_else(|| Counted::new(what, waves)),
        };
        let mut done = false;
        for _ in 0..LOOK {
            done = !counted.step(what, waves, at, initial);
            if done {
                break;
            }
            let mark = counted.changes.is_multiple_of(STRIDE);
            if mark && self.marks.last().is_none_or(|last| last.at < counted.at) {
                self.marks.push(counted);
            }
        }
        self.last = Some(counted);
        done.then_some(counted.count)
    }
}

impl Counted {
    fn new(what: &Tallied, waves: &[&dyn Wave]) -> Self {
        let edges = match (what, waves.first()) {
            (Tallied::Edges { rising, .. }, Some(wave)) => wave.edges(*rising, 0),
            _ => 0,
        };
        Self {
            at: 0,
            count: 0,
            edges,
            changes: 0,
        }
    }

    /// Goes to the next change that matters, or to `end` where none comes before; tells whether
    /// one came.
    fn step(&mut self, what: &Tallied, waves: &[&dyn Wave], end: u64, initial: i64) -> bool {
        // Edges are counted without looking at each: what is looked at is how they count.
        let watched = |input: usize| match what {
            Tallied::Edges {
                by_line,
                reset,
                gate,
                ..
            } => match input {
                0 => false,
                1 => *by_line,
                2 => reset.is_some(),
                _ => gate.is_some(),
            },
            Tallied::Position { .. } => true,
        };
        let change = (waves.iter().enumerate())
            .filter(|(input, _)| watched(*input))
            .filter_map(|(_, wave)| wave.next_change(self.at))
            .min()
            .filter(|change| *change <= end);
        let now = change.unwrap_or(end);
        let level = |input: usize, at: u64| waves.get(input).is_some_and(|wave| wave.level(at));
        match what {
            Tallied::Edges {
                rising,
                down,
                by_line,
                reset,
                gate,
            } => {
                if let Some(wave) = waves.first() {
                    let edges = wave.edges(*rising, now);
                    if gate.is_none_or(|high| level(3, self.at) == high) {
                        let down = if *by_line { !level(1, self.at) } else { *down };
                        let passed = edges.saturating_sub(self.edges) as i64;
                        self.count += if down { -passed } else { passed };
                    }
                    self.edges = edges;
                }
                if let Some((rising, count)) = reset
                    && change.is_some()
                    && level(2, now - 1) != *rising
                    && level(2, now) == *rising
                {
                    self.count = i64::from(*count) - initial;
                }
            }
            Tallied::Position { decoding, index } => {
                if let Some(change) = change {
                    let before = change - 1;
                    let edge = |input: usize, rising: bool| {
                        waves.get(input).is_some()
                            && level(input, before) != rising
                            && level(input, change) == rising
                    };
                    self.count += step(*decoding, &edge, &|input| level(input, before));
                    if let Some((a, b, count)) = index {
                        let fits = |at| level(2, at) && level(0, at) == *a && level(1, at) == *b;
                        if fits(change) && !fits(before) {
                            self.count = *count;
                        }
                    }
                }
            }
        }
        self.at = now;
        self.changes += u64::from(change.is_some());
        change.is_some()
    }
}

/// How far a change of A or B moves the position.
fn step(
    decoding: Decoding,
    edge: &dyn Fn(usize, bool) -> bool,
    level: &dyn Fn(usize) -> bool,
) -> i64 {
    let (a, b) = (level(0), level(1));
    let signed = |up: bool| if up { 1 } else { -1 };
    match decoding {
        Decoding::TwoPulse => i64::from(edge(0, true)) - i64::from(edge(1, true)),
        // Forwards at the rising edges of A, backwards at the falling ones: those with B low.
        Decoding::X1 => match (edge(0, true), edge(0, false)) {
            (true, _) if !b => 1,
            (_, true) if !b => -1,
            _ => 0,
        },
        Decoding::X2 | Decoding::X4 => {
            let mut moved = 0;
            if edge(0, true) {
                moved += signed(!b);
            }
            if edge(0, false) {
                moved += signed(b);
            }
            if decoding == Decoding::X4 {
                if edge(1, true) {
                    moved += signed(a);
                }
                if edge(1, false) {
                    moved += signed(!a);
                }
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::wave::Pulses;

    fn counter(measure: Measure, scaling: Scaling, inputs: Vec<Arc<dyn Wave>>) -> Counter {
        Counter::new(Setup {
            measure,
            scaling,
            scale: None,
            timebase: 100e6,
            ticks: None,
            numbers: None,
            inputs: inputs
                .into_iter()
                .map(|wave| Input {
                    wave,
                    absolute: false,
                })
                .collect(),
        })
    }

    fn pulses(frequency: f64, duty_cycle: f64, delay: f64) -> Arc<dyn Wave> {
        Arc::new(Pulses {
            frequency,
            duty_cycle,
            delay,
            count: None,
        })
    }

    fn number(index: u64) -> Moment {
        Moment {
            index,
            at: 0,
            implicit: true,
        }
    }

    fn at(at: u64) -> Moment {
        Moment {
            index: 0,
            at,
            implicit: false,
        }
    }

    #[test]
    fn measurements_are_complete_when_their_last_edge_has_come() {
        let wave = || vec![pulses(1e5, 0.3, 2e-6), pulses(1e5, 0.2, 0.0)];
        let measures = [
            Measure::Period {
                rising: true,
                divisor: 1,
            },
            Measure::Period {
                rising: false,
                divisor: 4,
            },
            Measure::Window {
                rising: true,
                window: 1_000_000,
            },
            Measure::PulseWidth { rising: true },
            Measure::PulseWidth { rising: false },
            Measure::SemiPeriod { first: None },
            Measure::SemiPeriod { first: Some(false) },
            Measure::Pulse { rising: true },
            Measure::Separation {
                first: true,
                second: true,
            },
        ];
        for measure in measures {
            let one = counter(measure.clone(), Scaling::Number, wave());
            for number in [0, 1, 2, 99] {
                let time = one.completes(number).unwrap();
                assert_eq!(one.completed(time), number + 1, "{measure:?} {number}");
                assert_eq!(one.completed(time - 1), number, "{measure:?} {number}");
            }
        }
    }

    #[test]
    fn what_is_measured_is_what_is_there() {
        let wave = || vec![pulses(1e5, 0.3, 2e-6), pulses(1e5, 0.2, 0.0)];
        let raw = |measure| counter(measure, Scaling::Number, wave()).raw(number(5));
        let period = Measure::Period {
            rising: true,
            divisor: 1,
        };
        assert_eq!(raw(period), 1000);
        assert_eq!(raw(Measure::PulseWidth { rising: true }), 300);
        assert_eq!(raw(Measure::PulseWidth { rising: false }), 700);
        assert_eq!(raw(Measure::SemiPeriod { first: Some(true) }), 700);
        assert_eq!(raw(Measure::SemiPeriod { first: Some(false) }), 300);
        // Rising edges at 9 and at 8 microseconds of each period of 10.
        assert_eq!(
            raw(Measure::Separation {
                first: true,
                second: true
            }),
            900
        );
        let pulse = counter(Measure::Pulse { rising: false }, Scaling::Number, wave());
        assert_eq!(pulse.pulse(number(3)), (300, 700));
        assert_eq!(pulse.pulse_frequency(number(3)), (1e5, 0.3));
    }

    #[test]
    fn encoders_are_decoded() {
        // A leads B by a quarter of a period.
        let (a, b) = (pulses(1000.0, 0.5, 0.0), pulses(1000.0, 0.5, 0.25e-3));
        for (decoding, per_period) in [(Decoding::X1, 1), (Decoding::X2, 2), (Decoding::X4, 4)] {
            let measure = Measure::Count {
                what: Tallied::Position {
                    decoding,
                    index: None,
                },
                initial: 0,
            };
            let forwards = counter(
                measure.clone(),
                Scaling::Number,
                vec![Arc::clone(&a), Arc::clone(&b)],
            );
            let backwards = counter(
                measure,
                Scaling::Number,
                vec![Arc::clone(&b), Arc::clone(&a)],
            );
            let (there, back) = (
                forwards.value(at(100_400_000)),
                backwards.value(at(100_400_000)),
            );
            assert!(
                (there - 100.0 * f64::from(per_period)).abs() <= 1.0,
                "{there}"
            );
            assert!(
                (back + 100.0 * f64::from(per_period)).abs() <= 1.0,
                "{back}"
            );
            // Going back in time gives what was given then.
            let then = forwards.value(at(50_400_000));
            assert_eq!(forwards.value(at(100_400_000)), there);
            assert_eq!(forwards.value(at(50_400_000)), then);
        }
    }

    #[test]
    fn counts_are_gated_reset_and_directed() {
        let count = |what, inputs| {
            counter(
                Measure::Count { what, initial: 10 },
                Scaling::Number,
                inputs,
            )
        };
        let edges = Tallied::Edges {
            rising: true,
            down: false,
            by_line: false,
            reset: None,
            gate: None,
        };
        let plain = count(edges.clone(), vec![pulses(1e6, 0.5, 0.0)]);
        assert_eq!(plain.raw(at(100_000)), 110);
        let gate = pulses(1e4, 0.25, 0.0);
        let low: Arc<dyn Wave> = Arc::new(crate::wave::Steady(false));
        let inputs = || {
            vec![
                pulses(1e6, 0.5, 0.0),
                Arc::clone(&gate),
                Arc::clone(&gate),
                Arc::clone(&gate),
            ]
        };
        let Tallied::Edges { rising, .. } = edges else {
            unreachable!()
        };
        let with = |by_line, reset, gate| Tallied::Edges {
            rising,
            down: false,
            by_line,
            reset,
            gate,
        };
        assert_eq!(
            count(with(false, None, Some(true)), inputs()).raw(at(400_000)),
            110
        );
        assert_eq!(
            count(with(false, None, Some(false)), inputs()).raw(at(400_000)),
            310
        );
        // Up for a quarter of the time, down for three.
        let line = count(with(true, None, None), inputs());
        assert_eq!(line.raw(at(400_000)) as i32, 10 - 200);
        let reset = count(with(false, Some((true, 3)), None), inputs());
        assert_eq!(reset.raw(at(400_000)), 3 + 25);
        let mut held = inputs();
        held[2] = low;
        assert_eq!(
            count(with(false, Some((true, 3)), None), held).raw(at(400_000)),
            410
        );
    }

    /// A signal that counts how often it is asked.
    #[derive(Debug)]
    struct Asked {
        wave: Arc<dyn Wave>,
        times: AtomicU64,
    }

    impl Wave for Asked {
        fn level(&self, at: u64) -> bool {
            self.times.fetch_add(1, Ordering::Relaxed);
            self.wave.level(at)
        }

        fn edges(&self, rising: bool, at: u64) -> u64 {
            self.times.fetch_add(1, Ordering::Relaxed);
            self.wave.edges(rising, at)
        }

        fn edge(&self, rising: bool, number: u64) -> Option<u64> {
            self.wave.edge(rising, number)
        }
    }

    #[test]
    fn one_look_at_a_fast_encoder_is_bounded() {
        let (a, b) = (pulses(10e6, 0.5, 0.0), pulses(10e6, 0.5, 25e-9));
        let asked = Asked {
            wave: a,
            times: AtomicU64::new(0),
        };
        let what = Tallied::Position {
            decoding: Decoding::X4,
            index: None,
        };
        let waves: [&dyn Wave; 2] = [&asked, &*b];
        let mut tally = Tally::default();
        // 400,000 changes in 10 ms: far more than one look finds.
        let (mut looks, mut before) = (1, 0);
        let count = loop {
            let found = tally.look(&what, &waves, 10_000_000, 0);
            let work = asked.times.load(Ordering::Relaxed);
            assert!(work - before <= 20 * LOOK, "{}", work - before);
            before = work;
            if let Some(count) = found {
                break count;
            }
            looks += 1;
        };
        assert_eq!(looks, 400_000_u64.div_ceil(LOOK));
        assert!((count - 400_000).abs() <= 2, "{count}");
        // What lies between is found from what was kept, not from the beginning.
        let middle = tally.look(&what, &waves, 5_000_000, 0).unwrap();
        assert!((middle - 200_000).abs() <= 2, "{middle}");
        assert_eq!(tally.look(&what, &waves, 10_000_000, 0), Some(count));
        let work = asked.times.load(Ordering::Relaxed) - before;
        assert!(work < 50 * STRIDE, "{work}");
    }

    #[test]
    fn a_fast_signal_with_a_slow_gate_is_not_counted_edge_by_edge() {
        let asked = Arc::new(Asked {
            wave: pulses(10e6, 0.5, 0.0),
            times: AtomicU64::new(0),
        });
        let what = Tallied::Edges {
            rising: true,
            down: false,
            by_line: false,
            reset: None,
            gate: Some(true),
        };
        let gate = pulses(10.0, 0.5, 0.0);
        let wave: Arc<dyn Wave> = Arc::clone(&asked) as _;
        let inputs = vec![wave, Arc::clone(&gate), Arc::clone(&gate), gate];
        let count = counter(Measure::Count { what, initial: 0 }, Scaling::Number, inputs);
        // Half of a hundred seconds.
        assert_eq!(count.raw(at(100_000_000_000)), 500_000_000);
        let work = asked.times.load(Ordering::Relaxed);
        assert!(work < 5_000, "{work}");
    }
}
