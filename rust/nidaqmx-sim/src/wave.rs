//! Digital signals over time: what is at a terminal or a line, and when it changes.
//!
//! Times are nanoseconds. A signal that a test chose begins when the task that sees it starts, so
//! that every run is the same; a signal that another task makes has the clock's own time, and is
//! seen through [`Since`].

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::driver::lock;

/// A digital signal.
pub(crate) trait Wave: fmt::Debug + Send + Sync {
    /// Whether it is high at a time.
    fn level(&self, at: u64) -> bool;
    /// How many edges of one direction there were, up to and including `at`.
    fn edges(&self, rising: bool, at: u64) -> u64;
    /// When edge `number` of one direction comes, counted from 0; `None` where nobody knows of it.
    fn edge(&self, rising: bool, number: u64) -> Option<u64>;

    /// The first edge of one direction after `at`.
    fn next_edge(&self, rising: bool, at: u64) -> Option<u64> {
        self.edge(rising, self.edges(rising, at))
    }

    /// The first change after `at`.
    fn next_change(&self, at: u64) -> Option<u64> {
        match (self.next_edge(true, at), self.next_edge(false, at)) {
            (Some(rising), Some(falling)) => Some(rising.min(falling)),
            (one, other) => one.or(other),
        }
    }
}

/// A signal that never changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steady(pub(crate) bool);

impl Wave for Steady {
    fn level(&self, _at: u64) -> bool {
        self.0
    }

    fn edges(&self, _rising: bool, _at: u64) -> u64 {
        0
    }

    fn edge(&self, _rising: bool, _number: u64) -> Option<u64> {
        None
    }
}

/// A regular train of pulses: in each period low first, then high.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pulses {
    /// Periods per second.
    pub frequency: f64,
    /// The part of a period that is high.
    pub duty_cycle: f64,
    /// Seconds of low before the first period.
    pub delay: f64,
    /// How many pulses come; endless where `None`.
    pub count: Option<u64>,
}

impl Pulses {
    pub(crate) fn endless(frequency: f64) -> Self {
        Self {
            frequency,
            duty_cycle: 0.5,
            delay: 0.0,
            count: None,
        }
    }

    /// When an edge comes, whether or not there are so many pulses.
    fn time(&self, rising: bool, number: u64) -> f64 {
        let within = if rising { 1.0 - self.duty_cycle } else { 1.0 };
        ((number as f64 + within) / self.frequency + self.delay) * 1e9
    }
}

impl Wave for Pulses {
    fn level(&self, at: u64) -> bool {
        self.edges(true, at) > self.edges(false, at)
    }

    fn edges(&self, rising: bool, at: u64) -> u64 {
        let within = if rising { 1.0 - self.duty_cycle } else { 1.0 };
        // The cast saturates at zero. It may be one off; the times of the edges decide.
        let mut number = ((at as f64 / 1e9 - self.delay) * self.frequency - within + 1.0) as u64;
        while number > 0 && self.time(rising, number - 1).round() > at as f64 {
            number -= 1;
        }
        while self.time(rising, number).round() <= at as f64 {
            number += 1;
        }
        self.count.map_or(number, |count| number.min(count))
    }

    fn edge(&self, rising: bool, number: u64) -> Option<u64> {
        if self.count.is_some_and(|count| number >= count) {
            return None;
        }
        Some(self.time(rising, number).round() as u64)
    }
}

/// A signal that changes at given times, once or again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Toggles {
    /// The level at the beginning.
    pub initial: bool,
    /// When it changes, in nanoseconds, ascending.
    pub times: Arc<[u64]>,
    /// After how many nanoseconds everything begins again. The number of changes is even then.
    pub repeat: Option<u64>,
}

impl Toggles {
    /// Changes up to and including `at`.
    fn changes(&self, at: u64) -> u64 {
        let within = |at| self.times.partition_point(|time| *time <= at) as u64;
        match self.repeat {
            Some(repeat) => at / repeat * self.times.len() as u64 + within(at % repeat),
            None => within(at),
        }
    }

    /// Edges of one direction among so many changes: every second change, from the first or the
    /// second on.
    fn among(&self, rising: bool, changes: u64) -> u64 {
        (changes + u64::from(rising != self.initial)) / 2
    }
}

impl Wave for Toggles {
    fn level(&self, at: u64) -> bool {
        self.initial != (self.changes(at) % 2 == 1)
    }

    fn edges(&self, rising: bool, at: u64) -> u64 {
        self.among(rising, self.changes(at))
    }

    fn edge(&self, rising: bool, number: u64) -> Option<u64> {
        let change = number
            .checked_mul(2)?
            .checked_add(u64::from(rising == self.initial))?;
        let count = self.times.len() as u64;
        match self.repeat {
            Some(repeat) if count > 0 => (change / count)
                .checked_mul(repeat)?
                .checked_add(self.times[(change % count) as usize]),
            _ => self.times.get(usize::try_from(change).ok()?).copied(),
        }
    }
}

/// A signal in the clock's time as a task sees it that started at `origin`.
#[derive(Debug)]
pub(crate) struct Since {
    pub(crate) wave: Arc<dyn Wave>,
    pub(crate) origin: u64,
}

impl Wave for Since {
    fn level(&self, at: u64) -> bool {
        self.wave.level(self.origin.saturating_add(at))
    }

    fn edges(&self, rising: bool, at: u64) -> u64 {
        let before = self.wave.edges(rising, self.origin);
        let until = self.wave.edges(rising, self.origin.saturating_add(at));
        until.saturating_sub(before)
    }

    fn edge(&self, rising: bool, number: u64) -> Option<u64> {
        let before = self.wave.edges(rising, self.origin);
        let time = self.wave.edge(rising, number.checked_add(before)?)?;
        time.checked_sub(self.origin)
    }

    fn next_edge(&self, rising: bool, at: u64) -> Option<u64> {
        let time = self
            .wave
            .next_edge(rising, self.origin.saturating_add(at))?;
        time.checked_sub(self.origin)
    }
}

/// Something that happens again and again, each time found from the time before: `next` gives the
/// first one after a time. Times that were found are kept in part, so that it can be asked anywhere.
///
/// One call looks at a bounded number of events, so that no lock above it is held for long: what lies
/// further ahead is found by the calls that follow.
pub(crate) struct Sequence<F> {
    next: F,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    /// The times of every so many events: 0, STRIDE, 2 * STRIDE ...
    marks: Vec<u64>,
    /// The event asked for last, and its time.
    last: Option<(u64, u64)>,
    /// How many events were found, and the time of the last of them.
    end: Option<(u64, u64)>,
    /// The last count stopped before its end.
    behind: bool,
}

/// Events between two that are kept.
const STRIDE: u64 = 1024;

/// Events that one call looks at: more than an unthrottled run is given at once.
pub(crate) const LOOK: u64 = 1 << 16;

/// Events that are looked at for a value: a signal of this many events in one sample is not served.
const FAR: u64 = 1 << 24;

impl<F> fmt::Debug for Sequence<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequence").finish_non_exhaustive()
    }
}

impl<F: Fn(Option<u64>) -> Option<u64>> Sequence<F> {
    /// `next` is given the time of the event before, or `None` for the first one.
    pub(crate) fn new(next: F) -> Self {
        Self {
            next,
            found: Mutex::default(),
        }
    }

    /// When event `number` comes, counted from 0; `None` where it never does, or too far ahead.
    pub(crate) fn time(&self, number: u64) -> Option<u64> {
        let mut found = lock(&self.found);
        let (mut index, mut time) = match found.last {
            Some((index, time)) if index <= number && number - index < STRIDE => (index, time),
            _ => {
                let mark = (number / STRIDE).min((found.marks.len() as u64).saturating_sub(1));
                match found.marks.get(mark as usize) {
                    Some(time) => (mark * STRIDE, *time),
                    None => {
                        let time = (self.next)(None)?;
                        found.note(0, time);
                        (0, time)
                    }
                }
            }
        };
        if number - index > LOOK {
            return None;
        }
        while index < number {
            time = (self.next)(Some(time))?;
            index += 1;
            found.note(index, time);
        }
        found.last = Some((index, time));
        Some(time)
    }

    /// How many events there were, up to and including `at`, as far as one call finds them.
    pub(crate) fn count(&self, at: u64) -> u64 {
        self.count_within(at, LOOK)
    }

    /// How many events there were, where a value depends on it.
    pub(crate) fn count_all(&self, at: u64) -> u64 {
        self.count_within(at, FAR)
    }

    /// Whether the last count has not come to its end.
    pub(crate) fn behind(&self) -> bool {
        lock(&self.found).behind
    }

    fn count_within(&self, at: u64, look: u64) -> u64 {
        let mut found = lock(&self.found);
        found.behind = false;
        let known = found.end.filter(|(_, time)| *time <= at);
        let (mut index, mut time) = match known {
            Some((count, time)) => (count - 1, time),
            None => match found.marks.partition_point(|mark| *mark <= at) {
                0 => match (self.next)(None) {
                    Some(time) if time <= at => {
                        found.note(0, time);
                        (0, time)
                    }
                    _ => return 0,
                },
                marks => ((marks as u64 - 1) * STRIDE, found.marks[marks - 1]),
            },
        };
        let first = index;
        while let Some(next) = (self.next)(Some(time)).filter(|next| *next <= at) {
            if index - first >= look {
                found.behind = true;
                break;
            }
            index += 1;
            time = next;
            found.note(index, time);
        }
        index + 1
    }
}

impl Found {
    fn note(&mut self, index: u64, time: u64) {
        if index.is_multiple_of(STRIDE) && index / STRIDE == self.marks.len() as u64 {
            self.marks.push(time);
        }
        if self.end.is_none_or(|(count, _)| count <= index) {
            self.end = Some((index + 1, time));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn check(wave: &dyn Wave, until: u64) {
        let (mut rising, mut falling) = (0, 0);
        let mut level = wave.level(0);
        for at in 1..until {
            if wave.level(at) != level {
                level = !level;
                let (number, direction) = if level {
                    rising += 1;
                    (rising - 1, true)
                } else {
                    falling += 1;
                    (falling - 1, false)
                };
                assert_eq!(wave.edge(direction, number), Some(at), "{wave:?}");
                assert_eq!(wave.next_edge(direction, at - 1), Some(at), "{wave:?}");
                assert_eq!(wave.next_change(at - 1), Some(at), "{wave:?}");
            }
            assert_eq!(wave.edges(true, at), rising, "{wave:?} at {at}");
            assert_eq!(wave.edges(false, at), falling, "{wave:?} at {at}");
        }
        assert!(rising > 0 || falling > 0);
    }

    #[test]
    fn levels_edges_and_their_times_belong_together() {
        let odd = Pulses {
            frequency: 33.3e6,
            duty_cycle: 0.3,
            delay: 100e-9,
            count: None,
        };
        check(&odd, 5_000);
        check(
            &Pulses {
                count: Some(3),
                ..odd
            },
            5_000,
        );
        let toggles = Toggles {
            initial: true,
            times: Arc::from([5, 9, 30, 31]),
            repeat: Some(50),
        };
        check(&toggles, 1_000);
        check(
            &Since {
                wave: Arc::new(toggles.clone()),
                origin: 77,
            },
            1_000,
        );
        check(
            &Toggles {
                repeat: None,
                initial: false,
                ..toggles
            },
            100,
        );
    }

    #[test]
    fn edges_are_found_far_away() {
        let wave = Pulses::endless(1e6);
        for number in [0, 1, 1_000_000, 1 << 40] {
            let time = wave.edge(true, number).unwrap();
            assert_eq!(time, number * 1000 + 500);
            assert_eq!(wave.edges(true, time), number + 1);
            assert_eq!(wave.edges(true, time - 1), number);
        }
    }

    #[test]
    fn a_sequence_is_the_same_wherever_it_is_asked() {
        let make = || {
            let wave = Pulses::endless(1e6);
            Sequence::new(move |after: Option<u64>| wave.next_change(after.unwrap_or(0)))
        };
        let sequence = make();
        assert_eq!(sequence.time(5_000), Some(2_500_500));
        assert_eq!(sequence.count(2_500_500), 5_001);
        assert_eq!(sequence.count(2_500_499), 5_000);
        assert_eq!(sequence.time(3), Some(2_000));
        assert_eq!(sequence.time(4_999), Some(2_500_000));
        assert_eq!(make().count(10_000_000), 20_000);
        assert_eq!(make().count(0), 0);
        let few = Pulses {
            count: Some(2),
            ..Pulses::endless(1e6)
        };
        let few = Sequence::new(move |after: Option<u64>| few.next_change(after.unwrap_or(0)));
        assert_eq!(
            (few.count(1 << 40), few.time(3), few.time(4)),
            (4, Some(2_000), None)
        );
    }

    #[test]
    fn one_look_at_a_sequence_is_bounded() {
        let asked = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&asked);
        let next = move |after: Option<u64>| {
            counted.fetch_add(1, Ordering::Relaxed);
            Some(after.map_or(1, |after| after + 1))
        };
        let sequence = Sequence::new(next);
        assert_eq!(sequence.time(1 << 40), None);
        let mut before = 0;
        for looks in 1..=100 {
            let found = sequence.count(1_000_000);
            assert_eq!(found, (1 + looks * LOOK).min(1_000_000));
            assert_eq!(sequence.behind(), found < 1_000_000);
            let work = asked.load(Ordering::Relaxed);
            assert!(work - before <= LOOK + 2, "{}", work - before);
            before = work;
            if found == 1_000_000 {
                assert_eq!(sequence.time(999_999), Some(1_000_000));
                return;
            }
        }
        panic!("the end was not reached");
    }
}
