//! A verified task: everything that a run needs, fixed when the task starts.

use std::sync::Arc;

use crate::combined::Combined;
use crate::conversion::Conversion;
use crate::counter::{Counter, Moment};
use crate::digital::Lines;
use crate::pace::Pace;
use crate::scaling::{Polynomial, evaluate};
use crate::signal::Generator;

/// What kind of channel a source is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Analog,
    Digital(Lines),
    Counter(Arc<Counter>),
}

/// What one channel delivers.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) kind: Kind,
    /// Codes and their scaling, for analog inputs.
    pub(crate) generator: Generator,
    pub(crate) polynomial: Polynomial,
    /// Bits of the converter.
    pub(crate) bits: u32,
    /// Bits of a sample in raw reads.
    pub(crate) raw_bits: u32,
    /// From volts to the channel's units, where they are not volts.
    pub(crate) way: Option<Conversion>,
    /// The other inputs of a channel that several make together.
    pub(crate) combined: Option<Box<Combined>>,
}

/// Samples generated at a time where they are converted on the way.
const CHUNK: usize = 4096;

impl Source {
    /// A source without codes.
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            generator: Generator::Constant(0),
            polynomial: [0.0, 1.0, 0.0, 0.0],
            bits: 32,
            raw_bits: 32,
            way: None,
            combined: None,
        }
    }

    /// One sample of a digital input or a counter.
    pub(crate) fn number(&self, moment: Moment) -> u32 {
        match &self.kind {
            Kind::Analog => 0,
            Kind::Digital(lines) => lines.port_value(moment),
            Kind::Counter(counter) => counter.raw(moment),
        }
    }

    /// Whether what a sample shows depends on its time, not on its index alone.
    pub(crate) fn timed(&self) -> bool {
        match &self.kind {
            Kind::Analog => false,
            Kind::Digital(lines) => lines.timed(),
            Kind::Counter(counter) => counter.setup().numbers.is_none(),
        }
    }

    /// Scaled values from sample `first` on.
    pub(crate) fn fill_f64(&self, first: u64, out: &mut [f64]) {
        self.fill_own(first, out);
        if let Some(combined) = &self.combined {
            combined.apply(first, out);
        }
    }

    /// Scaled values of the channel's first input.
    fn fill_own(&self, first: u64, out: &mut [f64]) {
        let mut index = first;
        if self.bits <= 16 {
            let mut codes = [0i16; CHUNK];
            for part in out.chunks_mut(CHUNK) {
                let codes = &mut codes[..part.len()];
                self.generator.fill_i16(index, codes);
                for (value, code) in part.iter_mut().zip(codes.iter()) {
                    *value = evaluate(&self.polynomial, f64::from(*code));
                }
                index += part.len() as u64;
            }
        } else {
            let mut codes = [0i32; CHUNK];
            for part in out.chunks_mut(CHUNK) {
                let codes = &mut codes[..part.len()];
                self.generator.fill_i32(index, codes);
                for (value, code) in part.iter_mut().zip(codes.iter()) {
                    *value = evaluate(&self.polynomial, f64::from(*code));
                }
                index += part.len() as u64;
            }
        }
        if let Some(way) = &self.way {
            for value in out {
                *value = way.forward(*value);
            }
        }
    }
}

/// Everything that a run needs.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// What makes samples come.
    pub(crate) pace: Pace,
    /// A sample clock that comes twice within one measurement of a counter ends the run.
    pub(crate) stops_at_overruns: bool,
    /// Samples per channel of a finite acquisition.
    pub(crate) total: Option<u64>,
    /// Samples per channel that the devices' own memory holds.
    pub(crate) fifo: u64,
    /// Samples per channel that the input buffer holds.
    pub(crate) buffer: u64,
    pub(crate) sources: Vec<Source>,
    /// Engines of devices that the task needs for itself while it is reserved.
    pub(crate) resources: Vec<String>,
    /// The choice of signals that the sources were made from.
    pub(crate) signals: u64,
}

impl Plan {
    /// The plan of a run that began at a time, where signals with the clock's times make
    /// another one. Lines are seen since its start, at `origin`.
    pub(crate) fn bound(&self, began: u64, origin: u64) -> Option<Self> {
        let mut changed = false;
        let mut plan = self.clone();
        for source in &mut plan.sources {
            if let Generator::Wire(sampled) = &mut source.generator {
                (sampled.origin, sampled.rate) = (began, self.pace.rate());
                changed = true;
            }
            let bound = match &source.kind {
                Kind::Analog => None,
                Kind::Digital(lines) => lines.bound(origin).map(Kind::Digital),
                Kind::Counter(counter) => counter
                    .bound(began)
                    .map(|counter| Kind::Counter(Arc::new(counter))),
            };
            if let Some(kind) = bound {
                source.kind = kind;
                changed = true;
            }
        }
        match &self.pace {
            Pace::Implicit(_) if changed => plan.pace = plan.implicit(),
            Pace::Arrivals(arrivals) => {
                if let Some(arrivals) = arrivals.bound(began) {
                    plan.pace = Pace::Arrivals(arrivals);
                    changed = true;
                }
            }
            _ => {}
        }
        changed.then_some(plan)
    }

    /// The plan of counters that see chosen signals from a time on.
    pub(crate) fn since(&self, lead: u64) -> Self {
        let mut plan = self.clone();
        for source in &mut plan.sources {
            if let Kind::Counter(counter) = &source.kind {
                source.kind = Kind::Counter(Arc::new(counter.since(lead)));
            }
        }
        match &self.pace {
            Pace::Implicit(_) => plan.pace = plan.implicit(),
            Pace::Arrivals(arrivals) => {
                if let Some(arrivals) = arrivals.since(lead) {
                    plan.pace = Pace::Arrivals(arrivals);
                }
            }
            _ => {}
        }
        plan
    }

    fn counters(&self) -> impl Iterator<Item = &Arc<Counter>> {
        self.sources.iter().filter_map(|source| match &source.kind {
            Kind::Counter(counter) => Some(counter),
            _ => None,
        })
    }

    /// The counters that a clock can overrun.
    pub(crate) fn intervals(&self) -> impl Iterator<Item = &Arc<Counter>> {
        self.counters()
            .filter(|counter| counter.is_interval() && counter.setup().numbers.is_none())
    }

    /// The pace of the counters' own measurements.
    pub(crate) fn implicit(&self) -> Pace {
        Pace::Implicit(self.counters().cloned().collect())
    }

    /// When every counter has measured once, since the run began; `None` where nobody knows.
    pub(crate) fn measured_once(&self) -> Option<u64> {
        self.intervals()
            .map(|counter| counter.completes(0))
            .try_fold(0, |latest: u64, time| Some(latest.max(time?)))
    }

    /// The plan of samples that are taken on demand at a time of the clock, where an analog input
    /// looks at an output; `None` where none does.
    pub(crate) fn at(&self, now: u64) -> Option<Self> {
        let wired = |source: &Source| matches!(source.generator, Generator::Wire(_));
        if !self.sources.iter().any(wired) {
            return None;
        }
        let mut plan = self.clone();
        for source in &mut plan.sources {
            if let Generator::Wire(sampled) = &mut source.generator {
                (sampled.origin, sampled.rate) = (now, None);
            }
        }
        Some(plan)
    }
}
