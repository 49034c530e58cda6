//! What outputs put on wires, over the clock's time, and how an input sees it.
//!
//! A wire is the history of one output: pieces, each from a time on. Analog outputs put volts (or
//! amperes) on it, lines 0 or 1. Whoever looks gives the time in the clock's nanoseconds.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::clock::Rate;
use crate::content::Content;
use crate::driver::lock;
use crate::pulse::Train;
use crate::scaling::{Polynomial, invert};
use crate::wave::Wave;

/// Pieces of the past that a wire keeps.
const PIECES: usize = 1 << 16;

/// A time that has not come and that nobody knows.
const UNKNOWN: u64 = u64::MAX;

/// When a generation runs. Shared by the run that sets it and the wires that show it.
#[derive(Debug)]
pub(crate) struct Timeline {
    pub(crate) rate: Rate,
    /// Samples of a finite generation.
    pub(crate) total: Option<u64>,
    began: AtomicU64,
    stopped: AtomicU64,
}

impl Timeline {
    pub(crate) fn new(rate: Rate, total: Option<u64>) -> Self {
        Self {
            rate,
            total,
            began: AtomicU64::new(UNKNOWN),
            stopped: AtomicU64::new(UNKNOWN),
        }
    }

    /// The generation begins; only the first call counts.
    pub(crate) fn begin(&self, at: u64) {
        // Relaxed: the number is all that is passed on, and each reader takes it by itself.
        let _ = self
            .began
            .compare_exchange(UNKNOWN, at, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The generation ends; what was out then stays. Only the first call counts.
    pub(crate) fn stop(&self, at: u64) {
        // Relaxed: as above.
        let _ = self
            .stopped
            .compare_exchange(UNKNOWN, at, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) fn began(&self) -> Option<u64> {
        // Relaxed: as above.
        Some(self.began.load(Ordering::Relaxed)).filter(|began| *began != UNKNOWN)
    }

    pub(crate) fn stopped(&self) -> Option<u64> {
        // Relaxed: as above.
        Some(self.stopped.load(Ordering::Relaxed)).filter(|stopped| *stopped != UNKNOWN)
    }

    /// The sample that is out at a time; `None` before the first.
    pub(crate) fn sample(&self, at: u64) -> Option<u64> {
        let began = self.began()?;
        let at = self.stopped().map_or(at, |stopped| at.min(stopped));
        let index = self.rate.samples_in(at.checked_sub(began)?);
        Some(match self.total {
            Some(0) => return None,
            Some(total) => index.min(total - 1),
            None => index,
        })
    }
}

/// What is on a wire from a time on.
#[derive(Clone)]
pub(crate) enum Piece {
    Steady {
        from: u64,
        value: f64,
    },
    /// Samples that a program wrote, as a clock puts them out.
    Clocked {
        content: Arc<Content>,
        lane: usize,
        pace: Arc<Timeline>,
        /// The bit of a line, and whether it is inverted.
        bit: Option<(u32, bool)>,
    },
    /// Pulses of a counter.
    Pulses {
        train: Arc<Train>,
        pace: Arc<Timeline>,
    },
    /// A function of the time since the beginning, in nanoseconds.
    Function {
        pace: Arc<Timeline>,
        function: Arc<dyn Fn(u64) -> f64 + Send + Sync>,
    },
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Piece({:?})", self.from())
    }
}

impl Piece {
    /// From when on it holds; `None` while it waits.
    pub(crate) fn from(&self) -> Option<u64> {
        match self {
            Self::Steady { from, .. } => Some(*from),
            Self::Clocked { pace, .. }
            | Self::Pulses { pace, .. }
            | Self::Function { pace, .. } => pace.began(),
        }
    }

    fn value(&self, at: u64) -> Option<f64> {
        match self {
            Self::Steady { from, value } => (*from <= at).then_some(*value),
            Self::Clocked {
                content,
                lane,
                pace,
                bit,
            } => {
                let value = content.value(*lane, pace.sample(at)?);
                Some(match bit {
                    None => value,
                    Some((bit, inverted)) => {
                        f64::from(u8::from((value as u32 >> bit & 1 != 0) != *inverted))
                    }
                })
            }
            Self::Pulses { train, pace } => {
                (pace.began()? <= at).then(|| f64::from(u8::from(train.level(at))))
            }
            Self::Function { pace, function } => {
                let began = pace.began()?;
                let at = pace.stopped().map_or(at, |stopped| at.min(stopped));
                Some(function(at.checked_sub(began)?))
            }
        }
    }
}

/// The history of one output.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    pieces: Mutex<Vec<Piece>>,
    /// How far the edges of a line were counted.
    counted: Mutex<Counted>,
}

/// Edges of a line up to and including a time.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    at: u64,
    rising: u64,
    falling: u64,
}

/// Samples that are looked at in one search for the next change of a line.
const FAR: usize = 1 << 22;

impl Wire {
    pub(crate) fn push(&self, piece: Piece) {
        let mut pieces = lock(&self.pieces);
        if pieces.len() >= PIECES {
            pieces.drain(..PIECES / 2);
        }
        pieces.push(piece);
        *lock(&self.counted) = Counted::default();
    }

    /// The first time after `at` at which something may change; `None` where nobody knows of one.
    fn next_event(&self, at: u64) -> Option<u64> {
        let pieces = lock(&self.pieces);
        pieces
            .iter()
            .rev()
            .filter_map(|piece| {
                let from = piece.from()?;
                if from > at {
                    return Some(from);
                }
                if let Piece::Pulses { train, .. } = piece {
                    return train.next_change(at);
                }
                let Piece::Clocked { pace, .. } = piece else {
                    return None;
                };
                let next = pace.rate.samples_in(at - from) + 1;
                let time = from.saturating_add(pace.rate.time_of(next));
                let over = pace.total.is_some_and(|total| next >= total)
                    || pace.stopped().is_some_and(|stopped| time > stopped);
                (!over).then_some(time)
            })
            .min()
    }

    /// The first change of a line after `at`: when, and whether it rises.
    fn change(&self, at: u64) -> Option<(u64, bool)> {
        let before = self.level(at);
        let mut at = at;
        for _ in 0..FAR {
            at = self.next_event(at)?;
            if self.level(at) != before {
                return Some((at, !before));
            }
        }
        None
    }

    /// Counts changes from where it was left (or from the beginning) as long as `more` wants.
    fn count(
        &self,
        reset: impl Fn(&Counted) -> bool,
        more: impl Fn(&Counted, u64, bool) -> bool,
    ) -> Counted {
        let mut counted = *lock(&self.counted);
        if reset(&counted) {
            counted = Counted::default();
        }
        while let Some((time, rises)) = self.change(counted.at)
            && more(&counted, time, rises)
        {
            counted.at = time;
            *(if rises {
                &mut counted.rising
            } else {
                &mut counted.falling
            }) += 1;
        }
        *lock(&self.counted) = counted;
        counted
    }

    /// The values at the given times; 0 before anything was put out.
    pub(crate) fn fill(&self, times: impl Iterator<Item = u64>, mut put: impl FnMut(f64)) {
        let pieces = lock(&self.pieces);
        for at in times {
            put(pieces
                .iter()
                .rev()
                .find_map(|piece| piece.value(at))
                .unwrap_or(0.0));
        }
    }

    pub(crate) fn value(&self, at: u64) -> f64 {
        let mut value = 0.0;
        self.fill(std::iter::once(at), |found| value = found);
        value
    }
}

impl Wire {
    /// The trains of a counter's output, each with the time at which the next one takes over; `None`
    /// where something else is on the wire, too.
    fn trains(&self) -> Option<Vec<(Arc<Train>, u64)>> {
        let pieces = lock(&self.pieces);
        let mut until = u64::MAX;
        let mut trains = Vec::new();
        for piece in pieces.iter().rev() {
            let Piece::Pulses { train, pace } = piece else {
                return None;
            };
            let Some(began) = pace.began() else { continue };
            trains.push((Arc::clone(train), until.saturating_sub(1)));
            until = began;
        }
        trains.reverse();
        Some(trains)
    }
}

impl Wave for Wire {
    fn level(&self, at: u64) -> bool {
        self.value(at) != 0.0
    }

    fn edges(&self, rising: bool, at: u64) -> u64 {
        if let Some(trains) = self.trains() {
            return trains
                .iter()
                .map(|(train, last)| train.edges(rising, at.min(*last)))
                .sum();
        }
        let counted = self.count(|from| from.at > at, |_, time, _| time <= at);
        if rising {
            counted.rising
        } else {
            counted.falling
        }
    }

    fn edge(&self, rising: bool, number: u64) -> Option<u64> {
        if let Some(trains) = self.trains() {
            let mut number = number;
            for (train, last) in trains {
                if let Some(time) = train.edge(rising, number).filter(|time| *time <= last) {
                    return Some(time);
                }
                number = number.checked_sub(train.edges(rising, last))?;
            }
            return None;
        }
        let of = |counted: &Counted| {
            if rising {
                counted.rising
            } else {
                counted.falling
            }
        };
        let counted = self.count(
            |from| of(from) > number,
            |counted, _, rises| rises != rising || of(counted) < number,
        );
        let (time, rises) = self.change(counted.at)?;
        (rises == rising && of(&counted) == number).then_some(time)
    }

    fn next_edge(&self, rising: bool, at: u64) -> Option<u64> {
        if self.trains().is_some() {
            return self.edge(rising, self.edges(rising, at));
        }
        let mut at = at;
        for _ in 0..2 {
            let (time, rises) = self.change(at)?;
            if rises == rising {
                return Some(time);
            }
            at = time;
        }
        None
    }
}

/// The wires of outputs, by the physical channel in lower case.
fn wires() -> &'static Mutex<HashMap<String, Arc<Wire>>> {
    static WIRES: OnceLock<Mutex<HashMap<String, Arc<Wire>>>> = OnceLock::new();
    WIRES.get_or_init(Mutex::default)
}

fn key(name: &str) -> String {
    name.trim().trim_start_matches('/').to_ascii_lowercase()
}

/// The wire of an output; there is one as soon as somebody asks for it.
pub(crate) fn of(output: &str) -> Arc<Wire> {
    Arc::clone(lock(wires()).entry(key(output)).or_default())
}

/// Takes everything off the wires; of one device, or of all.
pub(crate) fn forget(device: Option<&str>) {
    match device {
        None => lock(wires()).clear(),
        Some(device) => {
            let prefix = format!("{}/", key(device));
            lock(wires()).retain(|name, _| !name.starts_with(&prefix));
        }
    }
}

/// Another clock counts from now on: what is on the wires stays there.
pub(crate) fn keep(old: u64) {
    for wire in lock(wires()).values() {
        let value = wire.value(old);
        lock(&wire.pieces).clear();
        wire.push(Piece::Steady { from: 0, value });
    }
}

/// What an analog input sees of a wire: sample by sample, as codes of its converter.
#[derive(Debug, Clone)]
pub(crate) struct Sampled {
    pub(crate) wire: Arc<Wire>,
    pub(crate) polynomial: Polynomial,
    pub(crate) bits: u32,
    /// When the run began that looks at it.
    pub(crate) origin: u64,
    /// Its rate; `None` on demand.
    pub(crate) rate: Option<Rate>,
}

impl Sampled {
    /// The codes from sample `first` on.
    pub(crate) fn fill<T>(&self, first: u64, out: &mut [T], convert: impl Fn(i32) -> T) {
        let (origin, rate) = (self.origin, self.rate);
        let times = (first..).take(out.len()).map(move |index| {
            origin.saturating_add(rate.map_or(0, |rate| rate.time_of(index + 1)))
        });
        let mut places = out.iter_mut();
        // Neighbouring samples are often the same.
        let mut last = (f64::NAN, 0);
        self.wire.fill(times, |volts| {
            if volts != last.0 {
                last = (volts, invert(&self.polynomial, volts, self.bits));
            }
            if let Some(place) = places.next() {
                *place = convert(last.1);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_edges() {
        let line = Wire::default();
        let steady = |from, value| Piece::Steady { from, value };
        line.push(steady(5, 1.0));
        line.push(steady(8, 0.0));
        let content = Arc::new(Content::new(1, 4, true));
        content.write(0, &[2.0, 0.0, 2.0, 2.0], 0);
        let rate = Rate::from_hertz(1e8);
        let pace = Arc::new(Timeline::new(rate, None));
        pace.begin(20);
        line.push(Piece::Clocked {
            content,
            lane: 0,
            pace,
            bit: Some((1, false)),
        });
        // High at 5..8, 20..30, 40..70, 80..110 ...
        let rising: Vec<_> = (0..5).filter_map(|n| line.edge(true, n)).collect();
        assert_eq!(rising, [5, 20, 40, 80, 120]);
        assert_eq!(line.edge(false, 1), Some(30));
        assert_eq!(
            (
                line.edges(true, 4),
                line.edges(true, 40),
                line.edges(false, 40)
            ),
            (0, 3, 2)
        );
        assert_eq!(line.edges(true, 20), 2);
        assert_eq!(
            (line.next_edge(true, 20), line.next_edge(false, 20)),
            (Some(40), Some(30))
        );
    }

    #[test]
    fn a_wire_shows_what_was_put_out_when() {
        let wire = Wire::default();
        assert_eq!(wire.value(5), 0.0);
        wire.push(Piece::Steady {
            from: 10,
            value: 2.0,
        });
        let content = Arc::new(Content::new(1, 2, true));
        content.write(0, &[3.0, 4.0], 0);
        let rate = Rate {
            numerator: 1_000_000_000,
            denominator: 10,
        };
        let pace = Arc::new(Timeline::new(rate, Some(3)));
        wire.push(Piece::Clocked {
            content,
            lane: 0,
            pace: Arc::clone(&pace),
            bit: None,
        });
        assert_eq!(
            (wire.value(9), wire.value(10), wire.value(99)),
            (0.0, 2.0, 2.0)
        );
        pace.begin(20);
        let seen: Vec<_> = [19, 20, 29, 30, 40, 50, 90].map(|at| wire.value(at)).into();
        assert_eq!(seen, [2.0, 3.0, 3.0, 4.0, 3.0, 3.0, 3.0]);
        pace.stop(35);
        assert_eq!(wire.value(90), 4.0);
        wire.push(Piece::Steady {
            from: 60,
            value: 1.0,
        });
        assert_eq!((wire.value(59), wire.value(60)), (4.0, 1.0));
    }
}
