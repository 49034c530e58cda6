//! When samples are taken: sample clock or on demand, how many, how fast.

use crate::attribute::{self, Object, Value};
use crate::clock::Rate;
use crate::device::Device;
use crate::error::{Error, Result, code};

/// Sample timing types.
pub(crate) mod timing_type {
    pub(crate) const SAMPLE_CLOCK: i32 = 10388;
    pub(crate) const ON_DEMAND: i32 = 10390;
    pub(crate) const IMPLICIT: i32 = 10451;
    pub(crate) const CHANGE_DETECTION: i32 = 12504;
}

/// Acquisition modes.
pub(crate) mod mode {
    pub(crate) const FINITE: i32 = 10178;
    pub(crate) const CONTINUOUS: i32 = 10123;
}

pub(crate) const EDGE_RISING: i32 = 10280;
pub(crate) const EDGE_FALLING: i32 = 10171;

/// The timing of a task, as set.
#[derive(Debug, Clone)]
pub(crate) struct Timing {
    pub(crate) kind: i32,
    pub(crate) mode: i32,
    pub(crate) rate: f64,
    pub(crate) samples: u64,
    pub(crate) source: String,
    pub(crate) edge: i32,
    pub(crate) timestamp_enabled: bool,
    /// The lines whose rising and falling edges are changes.
    pub(crate) changes: [String; 2],
    /// Whether a sample clock that overruns a measurement ends the run.
    pub(crate) stops_at_overruns: bool,
    /// The reference clock of boards; every simulated oscillator keeps the same time without one.
    pub(crate) reference: String,
    reference_rate: Option<f64>,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            kind: timing_type::ON_DEMAND,
            mode: mode::CONTINUOUS,
            rate: 1000.0,
            samples: 1000,
            source: String::new(),
            edge: EDGE_RISING,
            timestamp_enabled: false,
            changes: Default::default(),
            stops_at_overruns: true,
            reference: String::new(),
            reference_rate: None,
        }
    }
}

/// What the clock of a device can do for a number of channels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockLimits {
    pub(crate) timebase: u64,
    pub(crate) min_divisor: u64,
    /// Divisors are multiples of this.
    pub(crate) step: u64,
    pub(crate) slowest: f64,
    /// For one channel, whatever the number of channels.
    pub(crate) fastest_single: f64,
    /// For the channels of the task.
    pub(crate) fastest: f64,
}

impl ClockLimits {
    /// The limits for so many analog inputs of a device.
    pub(crate) fn analog(device: &Device, channels: usize) -> Option<Self> {
        let ai = device.product.ai.as_ref()?;
        let fastest = if ai.simultaneous || channels <= 1 {
            if channels <= 1 {
                ai.max_single_rate
            } else {
                ai.max_multi_rate
            }
        } else {
            ai.max_multi_rate / channels as f64
        };
        Some(Self {
            timebase: ai.timebase,
            min_divisor: ai.min_divisor,
            step: ai.divisor_step,
            slowest: if ai.min_rate > 0.0 {
                ai.min_rate
            } else {
                ai.timebase as f64 / f64::from(u32::MAX)
            },
            fastest_single: ai.max_single_rate,
            fastest,
        })
    }

    /// The limits for the digital inputs of a device; `None` where they have no clock.
    pub(crate) fn digital(device: &Device) -> Option<Self> {
        let fastest = device.product.di_max_rate;
        (fastest > 0.0).then_some(Self {
            timebase: 100_000_000,
            min_divisor: 1,
            step: 1,
            slowest: 100e6 / f64::from(u32::MAX),
            fastest_single: fastest,
            fastest,
        })
    }

    /// The limits for a counter of a device; `None` where it has no sample clock.
    pub(crate) fn counter(device: &Device) -> Option<Self> {
        let counters = device.product.counters.filter(|counters| counters.timed)?;
        let fastest = counters.timebase / 4.0;
        Some(Self {
            timebase: counters.timebase as u64,
            min_divisor: 1,
            step: 1,
            slowest: counters.timebase / f64::from(u32::MAX),
            fastest_single: fastest,
            fastest,
        })
    }

    /// The rate that the clock makes when asked for `rate`: the timebase divided by a whole number,
    /// not slower than asked where the device can.
    pub(crate) fn coerce(&self, rate: f64) -> Result<Rate> {
        if !(rate >= self.slowest && rate <= self.fastest_single) {
            return Err(Error::value("DAQmx_SampClk_Rate", format!("{rate:?}"))
                .with("Maximum Value", format!("{:?}", self.fastest))
                .with("Minimum Value", format!("{:?}", self.slowest)));
        }
        if rate > self.fastest * (1.0 + 1e-9) {
            return Err(Error::new(code::SAMPLE_RATE_NUM_CHANS)
                .with("Property", "DAQmx_SampClk_Rate")
                .with("Requested Value", format!("{rate:?}"))
                .with("Maximum Value", format!("{:?}", self.fastest)));
        }
        let exact = self.timebase as f64 / rate;
        let mut divisor = (exact * (1.0 + 1e-12)).floor().max(1.0) as u64;
        let fastest = (self.timebase as f64 / self.fastest / (1.0 + 1e-9)).ceil() as u64;
        divisor = divisor.max(self.min_divisor).max(fastest.min(divisor + 1));
        divisor = (divisor / self.step * self.step).max(self.step);
        Ok(Rate {
            numerator: self.timebase,
            denominator: divisor,
        })
    }
}

/// The input buffer of a continuous acquisition where nobody set one.
pub(crate) fn default_buffer(rate: Option<f64>, samples: u64) -> u64 {
    let by_rate = match rate {
        None => 10_000,
        Some(rate) => by_rate(rate),
    };
    by_rate.max(samples)
}

fn by_rate(rate: f64) -> u64 {
    match rate {
        rate if rate <= 100.0 => 1_000,
        rate if rate <= 10_000.0 => 10_000,
        rate if rate <= 1_000_000.0 => 100_000,
        _ => 1_000_000,
    }
}

impl Timing {
    /// `DAQmxCfgSampClkTiming`.
    pub(crate) fn sample_clock(
        &mut self,
        source: &str,
        rate: f64,
        edge: i32,
        acquisition: i32,
        samples: u64,
    ) -> Result<()> {
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(Error::value("DAQmx_SampClk_Rate", format!("{rate:?}")));
        }
        check_edge(edge)?;
        check_mode(acquisition)?;
        if acquisition == mode::FINITE {
            check_samples(samples)?;
        }
        self.kind = timing_type::SAMPLE_CLOCK;
        self.mode = acquisition;
        self.rate = rate;
        self.samples = samples;
        self.edge = edge;
        source.clone_into(&mut self.source);
        Ok(())
    }

    /// `DAQmxCfgImplicitTiming`.
    pub(crate) fn implicit(&mut self, acquisition: i32, samples: u64) -> Result<()> {
        check_mode(acquisition)?;
        if acquisition == mode::FINITE {
            check_samples(samples)?;
        }
        self.kind = timing_type::IMPLICIT;
        self.mode = acquisition;
        self.samples = samples;
        Ok(())
    }

    /// `DAQmxCfgChangeDetectionTiming`.
    pub(crate) fn change_detection(
        &mut self,
        rising: &str,
        falling: &str,
        acquisition: i32,
        samples: u64,
    ) -> Result<()> {
        check_mode(acquisition)?;
        if acquisition == mode::FINITE {
            check_samples(samples)?;
        }
        self.kind = timing_type::CHANGE_DETECTION;
        self.changes = [rising.trim().to_owned(), falling.trim().to_owned()];
        self.mode = acquisition;
        self.samples = samples;
        Ok(())
    }

    /// A kind of timing that no simulated device has: it is refused when the task is verified.
    pub(crate) fn unsupported(&mut self, kind: i32, acquisition: i32, samples: u64) -> Result<()> {
        check_mode(acquisition)?;
        self.kind = kind;
        self.mode = acquisition;
        self.samples = samples;
        Ok(())
    }

    /// Whether the clock comes from the device itself.
    pub(crate) fn onboard(&self) -> bool {
        self.source.is_empty() || self.source.eq_ignore_ascii_case("OnboardClock")
    }

    /// The terminal of the reference clock.
    pub(crate) fn reference_source(&self) -> &str {
        match self.reference.trim() {
            "" => "None",
            source => source,
        }
    }

    /// The rate of the reference clock: as stated, or that of the terminal.
    pub(crate) fn reference_rate(&self) -> f64 {
        let fast = self.reference.trim().ends_with("Clk100");
        self.reference_rate
            .unwrap_or(if fast { 100e6 } else { 10e6 })
    }

    /// Sets a timing attribute.
    pub(crate) fn set(&mut self, id: i32, value: Value) -> Result<()> {
        let row = attribute::writable(Object::Timing, id)?;
        match row.id {
            0x1347 => match value.as_i32() {
                kind @ (timing_type::SAMPLE_CLOCK
                | timing_type::ON_DEMAND
                | timing_type::IMPLICIT
                | timing_type::CHANGE_DETECTION) => self.kind = kind,
                other => return Err(Error::value("DAQmx_SampTimingType", other)),
            },
            0x1344 => {
                let rate = value.as_f64();
                if !(rate > 0.0 && rate.is_finite()) {
                    return Err(Error::value("DAQmx_SampClk_Rate", format!("{rate:?}")));
                }
                self.rate = rate;
                // A rate makes sense with a clock only.
                self.kind = timing_type::SAMPLE_CLOCK;
            }
            0x1300 => {
                check_mode(value.as_i32())?;
                self.mode = value.as_i32();
            }
            0x1310 => {
                check_samples(value.as_u64())?;
                self.samples = value.as_u64();
            }
            0x1852 => value.as_str().clone_into(&mut self.source),
            0x1301 => {
                check_edge(value.as_i32())?;
                self.edge = value.as_i32();
            }
            0x1315 => {
                let rate = value.as_f64();
                if !(rate > 0.0 && rate.is_finite()) {
                    return Err(Error::value("DAQmx_RefClk_Rate", format!("{rate:?}")));
                }
                self.reference_rate = Some(rate);
            }
            0x1316 => value.as_str().clone_into(&mut self.reference),
            0x3139 => self.timestamp_enabled = value.as_bool(),
            0x2195 => value.as_str().trim().clone_into(&mut self.changes[0]),
            0x2196 => value.as_str().trim().clone_into(&mut self.changes[1]),
            0x2EFC => match value.as_i32() {
                15862 => self.stops_at_overruns = true,
                15863 => self.stops_at_overruns = false,
                other => return Err(Error::value("DAQmx_SampClk_OverrunBehavior", other)),
            },
            _ => {
                return Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK)
                    .with("Property", row.display()));
            }
        }
        Ok(())
    }

    /// Resets a timing attribute to its default.
    pub(crate) fn reset(&mut self, id: i32) -> Result<()> {
        let row = attribute::resettable(Object::Timing, id)?;
        let default = Self::default();
        match row.id {
            0x1347 => self.kind = default.kind,
            0x1344 => self.rate = default.rate,
            0x1300 => self.mode = default.mode,
            0x1310 => self.samples = default.samples,
            0x1852 => self.source = default.source,
            0x1301 => self.edge = default.edge,
            0x1315 => self.reference_rate = None,
            0x1316 => self.reference.clear(),
            0x3139 => self.timestamp_enabled = default.timestamp_enabled,
            0x2195 => self.changes[0].clear(),
            0x2196 => self.changes[1].clear(),
            0x2EFC => self.stops_at_overruns = default.stops_at_overruns,
            _ => {
                return Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK)
                    .with("Property", row.display()));
            }
        }
        Ok(())
    }
}

fn check_edge(edge: i32) -> Result<()> {
    if edge == EDGE_RISING || edge == EDGE_FALLING {
        Ok(())
    } else {
        Err(Error::value("DAQmx_SampClk_ActiveEdge", edge))
    }
}

fn check_mode(acquisition: i32) -> Result<()> {
    if acquisition == mode::FINITE || acquisition == mode::CONTINUOUS {
        Ok(())
    } else {
        Err(Error::value("DAQmx_SampQuant_SampMode", acquisition))
    }
}

fn check_samples(samples: u64) -> Result<()> {
    // The driver's counter has 48 bits or fewer; a negative number passed as unsigned lands here.
    if (2..1 << 48).contains(&samples) {
        Ok(())
    } else {
        Err(Error::value("DAQmx_SampQuant_SampPerChan", samples).with("Minimum Value", 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> ClockLimits {
        ClockLimits {
            timebase: 100_000_000,
            min_divisor: 1,
            step: 1,
            slowest: 0.03,
            fastest_single: 2e6,
            fastest: 125e3,
        }
    }

    #[test]
    fn rates_are_divided_from_the_timebase() {
        let limits = ClockLimits {
            fastest: 2e6,
            ..limits()
        };
        assert_eq!(limits.coerce(1e6).unwrap().denominator, 100);
        let odd = limits.coerce(44_100.0).unwrap();
        assert_eq!(odd.denominator, 2267);
        assert!(odd.hertz() >= 44_100.0);
        let fast = ClockLimits {
            min_divisor: 7,
            fastest_single: 14.29e6,
            fastest: 14.29e6,
            ..limits
        };
        assert_eq!(fast.coerce(14.29e6).unwrap().denominator, 7);
        assert_eq!(fast.coerce(14e6).unwrap().denominator, 7);
    }

    #[test]
    fn rates_out_of_reach_are_refused() {
        assert_eq!(
            limits().coerce(2.1e6).unwrap_err().code(),
            code::INVALID_ATTRIBUTE_VALUE
        );
        assert_eq!(
            limits().coerce(126e3).unwrap_err().code(),
            code::SAMPLE_RATE_NUM_CHANS
        );
        assert_eq!(limits().coerce(125e3).unwrap().denominator, 800);
        assert_eq!(
            limits().coerce(0.001).unwrap_err().code(),
            code::INVALID_ATTRIBUTE_VALUE
        );
    }

    #[test]
    fn the_default_buffer_follows_the_rate() {
        assert_eq!(default_buffer(Some(100.0), 10), 1_000);
        assert_eq!(default_buffer(Some(1000.0), 10), 10_000);
        assert_eq!(default_buffer(Some(1e6), 10), 100_000);
        assert_eq!(default_buffer(Some(1.1e6), 10), 1_000_000);
        assert_eq!(default_buffer(Some(1e6), 200_000), 200_000);
        assert_eq!(default_buffer(None, 10), 10_000);
    }
}
