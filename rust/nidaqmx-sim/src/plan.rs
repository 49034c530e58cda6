//! A verified task: everything that a run needs, fixed when the task starts.

use crate::clock::Rate;
use crate::combined::Combined;
use crate::conversion::Conversion;
use crate::digital::{Count, Lines};
use crate::scaling::{Polynomial, evaluate};
use crate::signal::Generator;

/// What kind of channel a source is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Analog,
    Digital(Lines),
    Counter(Count),
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
    pub(crate) fn number(&self, index: u64) -> u32 {
        match &self.kind {
            Kind::Analog => 0,
            Kind::Digital(lines) => lines.port_value(index),
            Kind::Counter(count) => count.value(index),
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
#[derive(Debug)]
pub(crate) struct Plan {
    /// Samples per second; `None` on demand.
    pub(crate) rate: Option<Rate>,
    /// Samples per channel of a finite acquisition.
    pub(crate) total: Option<u64>,
    /// Samples per channel that the input buffer holds.
    pub(crate) buffer: u64,
    pub(crate) sources: Vec<Source>,
    /// Engines of devices that the task needs for itself while it is reserved.
    pub(crate) resources: Vec<String>,
    /// The choice of signals that the sources were made from.
    pub(crate) signals: u64,
}
