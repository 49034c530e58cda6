//! Samples that something other than the device's own clock makes come: changes of digital lines, a
//! clock at a terminal, the clock of another task, a clock with pauses.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::clock::Rate;
use crate::counter::Input;
use crate::driver::{driver, lock};
use crate::pace::Arrivals;
use crate::wave::{Sequence, Since, Wave};

/// The signal of an input in a run that began at a time.
fn bind(input: &Input, began: u64) -> Input {
    if !input.absolute {
        return input.clone();
    }
    Input {
        wave: Arc::new(Since {
            wave: Arc::clone(&input.wave),
            origin: began,
        }),
        absolute: false,
    }
}

type Next = Box<dyn Fn(Option<u64>) -> Option<u64> + Send + Sync>;

/// Change detection: a sample whenever one of the lines has an edge that is looked for. Edges at the
/// same nanosecond are one change.
pub(crate) struct Changes {
    /// Lines, each with whether rising and falling edges count.
    lines: Vec<(Input, bool, bool)>,
    /// Nanoseconds that the device needs between two changes.
    needs: u64,
    times: Sequence<Next>,
    overflowed: Arc<AtomicBool>,
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

impl Changes {
    pub(crate) fn new(lines: Vec<(Input, bool, bool)>, needs: u64) -> Self {
        let fixed = !lines.iter().any(|(input, ..)| input.absolute);
        Self::of(lines, needs, fixed)
    }

    /// `fixed` says that nothing changes the signals once they are seen.
    fn of(lines: Vec<(Input, bool, bool)>, needs: u64, fixed: bool) -> Self {
        let overflowed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&overflowed);
        let watched: Vec<(Arc<dyn Wave>, bool)> = lines
            .iter()
            .flat_map(|(input, rising, falling)| {
                let edge = |direction| (Arc::clone(&input.wave), direction);
                [rising.then(|| edge(true)), falling.then(|| edge(false))]
            })
            .flatten()
            .collect();
        let known = Mutex::new((u64::MAX, vec![None; watched.len()]));
        let next: Next = Box::new(move |after: Option<u64>| {
            let from = after.unwrap_or(0);
            let (since, edges) = &mut *lock(&known);
            let keep = fixed && *since <= from;
            *since = from;
            for (edge, (wave, direction)) in edges.iter_mut().zip(&watched) {
                if !keep || edge.is_some_and(|edge| edge <= from) {
                    *edge = wave.next_edge(*direction, from);
                }
            }
            let next = edges.iter().flatten().copied().min()?;
            if after.is_some_and(|after| next - after < needs) {
                // Relaxed: a flag of its own.
                seen.store(true, Ordering::Relaxed);
            }
            Some(next)
        });
        Self {
            lines,
            needs,
            times: Sequence::new(next),
            overflowed,
        }
    }
}

impl Arrivals for Changes {
    fn count(&self, _began: u64, at: u64) -> u64 {
        self.times.count(at)
    }

    fn time(&self, _began: u64, samples: u64) -> Option<u64> {
        match samples.checked_sub(1) {
            None => Some(0),
            Some(last) => self.times.time(last),
        }
    }

    fn bound(&self, began: u64) -> Option<Arc<dyn Arrivals>> {
        if !self.lines.iter().any(|(input, ..)| input.absolute) {
            return None;
        }
        let bound = |(input, rising, falling): &(Input, bool, bool)| {
            (bind(input, began), *rising, *falling)
        };
        let lines = self.lines.iter().map(bound).collect();
        Some(Arc::new(Self::of(lines, self.needs, false)))
    }

    fn behind(&self) -> bool {
        self.times.behind()
    }

    fn overflowed(&self) -> bool {
        self.overflowed.load(Ordering::Relaxed)
    }
}

/// A sample clock at a terminal.
#[derive(Debug)]
pub(crate) struct Edges {
    pub(crate) input: Input,
    pub(crate) rising: bool,
    /// The rate that the program states.
    pub(crate) stated: Rate,
}

impl Arrivals for Edges {
    fn count(&self, _began: u64, at: u64) -> u64 {
        self.input.wave.edges(self.rising, at)
    }

    fn time(&self, _began: u64, samples: u64) -> Option<u64> {
        match samples.checked_sub(1) {
            None => Some(0),
            Some(last) => self.input.wave.edge(self.rising, last),
        }
    }

    fn bound(&self, began: u64) -> Option<Arc<dyn Arrivals>> {
        self.input.absolute.then(|| -> Arc<dyn Arrivals> {
            Arc::new(Self {
                input: bind(&self.input, began),
                rising: self.rising,
                stated: self.stated,
            })
        })
    }

    fn since(&self, lead: u64) -> Option<Arc<dyn Arrivals>> {
        (!self.input.absolute).then(|| -> Arc<dyn Arrivals> {
            Arc::new(Self {
                input: self.input.since(lead),
                rising: self.rising,
                stated: self.stated,
            })
        })
    }

    fn rate(&self) -> Option<Rate> {
        Some(self.stated)
    }
}

/// What the clock of one engine (`dev1/ai`) has done, run by run.
#[derive(Debug, Default)]
pub(crate) struct Engine {
    runs: Vec<Clocked>,
    /// Runs of it, ever.
    pub(crate) started: u64,
    /// Samples of runs that are no longer listed.
    before: u64,
    /// When it had the clock of another engine.
    follows: Vec<Following>,
}

/// Runs by the clock of another engine, which passes the ticks on.
#[derive(Debug, Clone)]
struct Following {
    leader: String,
    /// By the clock.
    since: u64,
    until: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Clocked {
    /// By the clock.
    began: u64,
    rate: Rate,
    /// Samples after which it ends, or has ended.
    total: Option<u64>,
    ended: bool,
    /// Its times are those of a clock that was replaced meanwhile.
    other_clock: bool,
}

impl Clocked {
    fn samples(&self, now: u64) -> u64 {
        let samples = self.rate.samples_in(now.saturating_sub(self.began));
        self.total.map_or(samples, |total| samples.min(total))
    }
}

/// Runs of an engine that are remembered one by one.
const REMEMBERED: usize = 64;

impl Engine {
    pub(crate) fn begin(&mut self, began: u64, rate: Rate, total: Option<u64>) {
        self.started += 1;
        if self.runs.len() >= REMEMBERED {
            self.before += self.runs.remove(0).samples(u64::MAX);
        }
        self.runs.push(Clocked {
            began,
            rate,
            total,
            ended: false,
            other_clock: false,
        });
    }

    pub(crate) fn end(&mut self, samples: u64) {
        if let Some(run) = self.runs.last_mut() {
            run.total = Some(run.total.map_or(samples, |total| total.min(samples)));
            run.ended = true;
            if run.other_clock {
                self.before += run.samples(u64::MAX);
                self.runs.pop();
            }
        }
    }

    /// A run by the clock of another engine begins.
    pub(crate) fn follow(&mut self, leader: &str, since: u64) {
        self.leave(since);
        if self.follows.len() >= REMEMBERED {
            self.follows.remove(0);
        }
        self.follows.push(Following {
            leader: leader.to_owned(),
            since,
            until: None,
        });
    }

    /// A run by the clock of another engine has ended.
    pub(crate) fn leave(&mut self, now: u64) {
        if let Some(last) = self.follows.last_mut() {
            last.until.get_or_insert(now);
        }
    }

    /// Another clock counts from now on: what came until now, by the old one, has come. A run that
    /// is under way goes on by the old one.
    pub(crate) fn keep(&mut self, old: u64) {
        let mut before = self.before;
        self.runs.retain_mut(|run| {
            run.other_clock = true;
            before += if run.ended { run.samples(old) } else { 0 };
            !run.ended
        });
        self.before = before;
        self.follows.retain(|span| span.until.is_none());
    }

    /// When the latest run began, by the clock.
    pub(crate) fn began(&self) -> Option<u64> {
        self.runs.last().map(|run| run.began)
    }

    /// How often it had started at a time, by the clock.
    pub(crate) fn starts(&self, now: u64) -> u64 {
        let later = self.runs.iter().filter(|run| run.began > now).count();
        self.started - later as u64
    }

    /// When it started, counted from 0, by the clock; `None` where that is not known any more or yet.
    pub(crate) fn start(&self, number: u64) -> Option<u64> {
        let forgotten = self.started - self.runs.len() as u64;
        let place = usize::try_from(number.checked_sub(forgotten)?).ok()?;
        self.runs.get(place).map(|run| run.began)
    }

    pub(crate) fn samples(&self, now: u64) -> u64 {
        self.before + self.runs.iter().map(|run| run.samples(now)).sum::<u64>()
    }

    /// When there have been so many samples, by the clock; `None` where nobody knows.
    pub(crate) fn time(&self, samples: u64) -> Option<u64> {
        let run = self.runs.last()?;
        let earlier = self.runs[..self.runs.len() - 1]
            .iter()
            .map(|run| run.samples(run.began.saturating_add(u64::MAX >> 2)))
            .sum::<u64>();
        let left = samples.checked_sub(self.before + earlier)?;
        if run.total.is_some_and(|total| left > total) {
            return None;
        }
        Some(run.began.saturating_add(run.rate.time_of(left)))
    }
}

/// The sample clock of another task.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The engine whose clock it is, like `dev1/ai`.
    pub(crate) engine: String,
    pub(crate) stated: Rate,
}

/// Engines one behind another, at most: what is more goes in a circle.
const CHAIN: usize = 32;

/// The ticks of an engine's clock between two times: its own, and those that it passes on.
fn ticks(engine: &str, from: u64, to: u64, depth: usize) -> u64 {
    let (own, spans) = driver().engine(engine, |engine| {
        let own = engine.samples(to).saturating_sub(engine.samples(from));
        (own, engine.follows.clone())
    });
    if depth == CHAIN {
        return own;
    }
    spans.iter().fold(own, |sum, span| {
        let (from, to) = (from.max(span.since), to.min(span.until.unwrap_or(to)));
        if from < to {
            sum + ticks(&span.leader, from, to, depth + 1)
        } else {
            sum
        }
    })
}

/// When an engine's clock has ticked so often since a time, by the clock; `None` where nobody knows.
fn time_of(engine: &str, from: u64, count: u64, depth: usize) -> Option<u64> {
    let span = driver().engine(engine, |engine| {
        let own = engine.began();
        let last = engine.follows.last();
        last.filter(|span| own.is_none_or(|began| began < span.since))
            .cloned()
    });
    match span {
        Some(span) if depth < CHAIN => {
            let since = from.max(span.since);
            let left = count.checked_sub(ticks(engine, from, since, depth))?;
            let time = time_of(&span.leader, since, left, depth + 1)?;
            (time <= span.until.unwrap_or(u64::MAX)).then_some(time)
        }
        _ => driver().engine(engine, |engine| {
            engine.time(count.checked_add(engine.samples(from))?)
        }),
    }
}

impl Arrivals for Shared {
    fn count(&self, began: u64, at: u64) -> u64 {
        ticks(&self.engine, began, began.saturating_add(at), 0)
    }

    fn time(&self, began: u64, samples: u64) -> Option<u64> {
        if samples == 0 {
            return Some(0);
        }
        time_of(&self.engine, began, samples, 0)?.checked_sub(began)
    }

    fn rate(&self) -> Option<Rate> {
        Some(self.stated)
    }

    fn leader(&self) -> Option<&str> {
        Some(&self.engine)
    }
}

/// Whether a tick of the clock is let through: the tick's number and its time.
pub(crate) type Open = Box<dyn Fn(u64, u64) -> bool + Send + Sync>;

/// A clock that a pause trigger stops now and then.
pub(crate) struct Gated {
    rate: Rate,
    /// What an analog or pattern trigger looks at moves on during a pause; else the pause only
    /// delays what comes.
    moves_on: bool,
    open: Open,
    /// For every so many ticks, how many were let through before.
    blocks: Mutex<Vec<u64>>,
    /// The last count did not look at all the ticks.
    behind: AtomicBool,
}

/// Ticks between two numbers that are kept.
const BLOCK: u64 = 1024;

/// Ticks that are looked at in one go.
const FAR: u64 = 1 << 18;

impl fmt::Debug for Gated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gated")
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

impl Gated {
    pub(crate) fn new(rate: Rate, moves_on: bool, open: Open) -> Self {
        Self {
            rate,
            moves_on,
            open,
            blocks: Mutex::new(vec![0]),
            behind: AtomicBool::new(false),
        }
    }

    fn is_open(&self, tick: u64) -> bool {
        (self.open)(tick, self.rate.time_of(tick + 1))
    }

    /// How many of the first ticks are let through.
    fn passed(&self, ticks: u64) -> u64 {
        let block = ticks / BLOCK;
        let mut blocks = lock(&self.blocks);
        while (blocks.len() as u64) <= block {
            let first = (blocks.len() as u64 - 1) * BLOCK;
            let open = (first..first + BLOCK)
                .filter(|tick| self.is_open(*tick))
                .count();
            let before = blocks.last().copied().unwrap_or(0);
            blocks.push(before + open as u64);
        }
        let before = blocks[block as usize];
        let rest = (block * BLOCK..ticks)
            .filter(|tick| self.is_open(*tick))
            .count();
        before + rest as u64
    }

    /// The tick that is sample `index`.
    fn tick_of(&self, index: u64) -> Option<u64> {
        let known = lock(&self.blocks).len() as u64;
        let mut block = lock(&self.blocks)
            .partition_point(|passed| *passed <= index)
            .saturating_sub(1) as u64;
        while self.passed((block + 1) * BLOCK) <= index {
            block += 1;
            if block > known + FAR / BLOCK {
                return None;
            }
        }
        let mut passed = self.passed(block * BLOCK);
        for tick in block * BLOCK..(block + 1) * BLOCK {
            if self.is_open(tick) {
                if passed == index {
                    return Some(tick);
                }
                passed += 1;
            }
        }
        None
    }
}

impl Arrivals for Gated {
    fn count(&self, _began: u64, at: u64) -> u64 {
        let known = lock(&self.blocks).len() as u64 * BLOCK;
        let (ticks, far) = (self.rate.samples_in(at), known.saturating_add(FAR));
        // Relaxed: a flag of its own.
        self.behind.store(ticks > far, Ordering::Relaxed);
        self.passed(ticks.min(far))
    }

    fn behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    fn time(&self, _began: u64, samples: u64) -> Option<u64> {
        match samples.checked_sub(1) {
            None => Some(0),
            Some(last) => self.tick_of(last).map(|tick| self.rate.time_of(tick + 1)),
        }
    }

    fn tick(&self, index: u64) -> u64 {
        if self.moves_on {
            self.tick_of(index).unwrap_or(index)
        } else {
            index
        }
    }

    fn rate(&self) -> Option<Rate> {
        Some(self.rate)
    }
}

/// The first edge of a signal so long after the start of a run, seen from there.
pub(crate) fn first_edge(input: &Input, rising: bool, started: u64, after: u64) -> Option<u64> {
    bind(input, started).wave.next_edge(rising, after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wave::Pulses;

    fn rate(hertz: f64) -> Rate {
        Rate::from_hertz(hertz)
    }

    #[test]
    fn a_gated_clock_counts_what_it_lets_through() {
        let gated = Gated::new(rate(1000.0), true, Box::new(|tick, _| tick % 10 < 3));
        for index in [0, 1, 2, 3, 5_000, 4_999, 299] {
            let tick = index / 3 * 10 + index % 3;
            assert_eq!(gated.tick(index), tick);
            let time = gated.time(0, index + 1).unwrap();
            assert_eq!(time, (tick + 1) * 1_000_000);
            assert_eq!(gated.count(0, time), index + 1);
            assert_eq!(gated.count(0, time - 1), index);
        }
        let shut = Gated::new(rate(1e6), true, Box::new(|_, _| false));
        assert_eq!((shut.count(0, 1 << 50), shut.time(0, 1)), (0, None));
    }

    #[test]
    fn changes_at_the_same_time_are_one() {
        let input = |frequency: f64| Input {
            wave: Arc::new(Pulses::endless(frequency)) as Arc<dyn Wave>,
            absolute: false,
        };
        let changes = Changes::new(
            vec![(input(1000.0), true, false), (input(500.0), true, true)],
            100,
        );
        // Rising at 0.5, 1.5 ... and both edges at 1, 2 ... milliseconds.
        assert_eq!(changes.count(0, 10_000_000), 20);
        assert_eq!(changes.time(0, 20), Some(10_000_000));
        assert!(!changes.overflowed());
        let twice = Changes::new(vec![(input(1000.0), true, false); 2], 100);
        assert_eq!(twice.count(0, 10_000_000), 10);
        let fast = Changes::new(vec![(input(20e6), true, true)], 100);
        assert_eq!(fast.count(0, 1000), 40);
        assert!(fast.overflowed());
    }

    #[test]
    fn an_engine_counts_no_run_twice_when_the_clock_is_replaced() {
        let mut engine = Engine::default();
        engine.begin(1_000_000_000, rate(1000.0), None);
        engine.end(500);
        engine.keep(9_000_000_000);
        // By the new clock the time of that run is yet to come; its samples are not.
        for now in [0, 1_200_000_000, 5_000_000_000] {
            assert_eq!((engine.samples(now), engine.starts(now)), (500, 1));
        }
        engine.begin(2_000_000_000, rate(1000.0), None);
        assert_eq!(engine.samples(2_010_000_000), 510);
        assert_eq!(engine.time(510), Some(2_010_000_000));
        // One that is under way goes on by the old clock until it ends.
        engine.keep(2_010_000_000);
        assert_eq!(engine.samples(2_020_000_000), 520);
        engine.end(20);
        assert_eq!((engine.samples(0), engine.began()), (520, None));
    }

    #[test]
    fn an_engine_remembers_its_runs() {
        let mut engine = Engine::default();
        assert_eq!(engine.samples(1 << 40), 0);
        engine.begin(1_000_000_000, rate(1000.0), Some(100));
        assert_eq!(engine.samples(1_050_000_000), 50);
        assert_eq!(engine.samples(5_000_000_000), 100);
        assert_eq!(engine.time(100), Some(1_100_000_000));
        assert_eq!(engine.time(101), None);
        engine.begin(6_000_000_000, rate(1000.0), None);
        engine.end(30);
        assert_eq!(engine.samples(7_000_000_000), 130);
        assert_eq!(engine.time(110), Some(6_010_000_000));
    }
}
