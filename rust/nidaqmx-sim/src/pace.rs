//! When samples come: by the device's clock, by themselves, or on demand.

use std::fmt;
use std::sync::Arc;

use crate::clock::Rate;
use crate::counter::Counter;

/// What makes samples come.
#[derive(Debug, Clone)]
pub(crate) enum Pace {
    /// A read takes them.
    OnDemand,
    /// A clock of this rate.
    Clock(Rate),
    /// Each measurement of the counters is one.
    Implicit(Vec<Arc<Counter>>),
    /// Something else says when.
    Arrivals(Arc<dyn Arrivals>),
}

/// Something that says when samples come. Times are nanoseconds since the run began.
pub(crate) trait Arrivals: fmt::Debug + Send + Sync {
    /// How many samples have come at a time; `began` is when the run did, by the clock.
    fn count(&self, began: u64, at: u64) -> u64;
    /// When so many samples have come; `None` where nobody knows.
    fn time(&self, began: u64, samples: u64) -> Option<u64>;
    /// The same in a run that began at a time, where that changes anything.
    fn bound(&self, _began: u64) -> Option<Arc<dyn Arrivals>> {
        None
    }
    /// The same in a run that sees chosen signals from a time on, where that changes anything.
    fn since(&self, _lead: u64) -> Option<Arc<dyn Arrivals>> {
        None
    }
    /// Which sample of the ungated clock a sample is.
    fn tick(&self, index: u64) -> u64 {
        index
    }
    /// Whether the last count has not looked at everything that came until then: it goes on with
    /// the next one.
    fn behind(&self) -> bool {
        false
    }
    /// Whether something came faster than the device can take it.
    fn overflowed(&self) -> bool {
        false
    }
    /// The rate, where samples come at one on the whole.
    fn rate(&self) -> Option<Rate> {
        None
    }
    /// The engine (`dev1/ai`) whose sample clock it is, where it is one's.
    fn leader(&self) -> Option<&str> {
        None
    }
}

impl Pace {
    pub(crate) fn on_demand(&self) -> bool {
        matches!(self, Self::OnDemand)
    }

    pub(crate) fn implicit(&self) -> bool {
        matches!(self, Self::Implicit(_))
    }

    /// Samples per second, where a clock says so.
    pub(crate) fn rate(&self) -> Option<Rate> {
        match self {
            Self::Clock(rate) => Some(*rate),
            Self::Arrivals(arrivals) => arrivals.rate(),
            _ => None,
        }
    }

    /// How many samples have come at a time since the run began.
    pub(crate) fn count(&self, began: u64, at: u64) -> u64 {
        match self {
            Self::OnDemand => 0,
            Self::Clock(rate) => rate.samples_in(at),
            Self::Implicit(counters) => counters
                .iter()
                .map(|counter| counter.completed(at))
                .min()
                .unwrap_or(0),
            Self::Arrivals(arrivals) => arrivals.count(began, at),
        }
    }

    /// Whether the last count has not looked at everything that came until then.
    pub(crate) fn behind(&self) -> bool {
        match self {
            Self::OnDemand | Self::Clock(_) => false,
            Self::Implicit(counters) => counters.iter().any(|counter| counter.behind()),
            Self::Arrivals(arrivals) => arrivals.behind(),
        }
    }

    /// When so many samples have come; `None` where nobody knows.
    pub(crate) fn time(&self, began: u64, samples: u64) -> Option<u64> {
        match self {
            Self::OnDemand => None,
            Self::Clock(rate) => Some(rate.time_of(samples)),
            Self::Implicit(counters) => {
                let last = samples.checked_sub(1);
                counters
                    .iter()
                    .map(|counter| last.map_or(Some(0), |last| counter.completes(last)))
                    .try_fold(0, |latest: u64, time| Some(latest.max(time?)))
            }
            Self::Arrivals(arrivals) => arrivals.time(began, samples),
        }
    }

    /// Which sample of an ungated clock a sample is: what it shows depends on that.
    pub(crate) fn tick(&self, index: u64) -> u64 {
        match self {
            Self::Arrivals(arrivals) => arrivals.tick(index),
            _ => index,
        }
    }
}
