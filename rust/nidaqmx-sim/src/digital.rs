//! Digital inputs: lines and ports.
//!
//! As on NI's simulated devices, each port counts in binary, eight lines at a time: line `n` of a
//! port has bit `n % 8` of the sample's index.

use crate::signal::Signal;

/// The lines of one channel, and what they show.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    /// Numbers of the lines within their ports, in the order of the channel.
    pub(crate) lines: Vec<u32>,
    /// Where each stands in a number.
    bits: Vec<u32>,
    pub(crate) invert: bool,
    pub(crate) constant: Option<u32>,
}

impl Lines {
    pub(crate) fn new(lines: Vec<(u32, u32)>, invert: bool, signal: &Signal) -> Self {
        let bits = bits(&lines);
        let lines = lines.into_iter().map(|(_, line)| line).collect();
        let constant = match signal {
            Signal::Constant(value) => Some(*value as i64 as u32),
            _ => None,
        };
        Self {
            lines,
            bits,
            invert,
            constant,
        }
    }

    /// Whether a line is high at a sample.
    pub(crate) fn line(&self, line: u32, index: u64) -> bool {
        let high = match self.constant {
            Some(value) => value >> (line & 31) & 1 != 0,
            None => index >> (line % 8) & 1 != 0,
        };
        high != self.invert
    }

    /// The lines as bits of a number, each where it stands in its port.
    pub(crate) fn port_value(&self, index: u64) -> u32 {
        self.lines
            .iter()
            .zip(&self.bits)
            .filter(|(line, _)| self.line(**line, index))
            .fold(0, |value, (_, bit)| value | 1 << (bit & 31))
    }
}

/// Where lines stand in a number: as in their port, or one after the other where there are several.
fn bits(lines: &[(u32, u32)]) -> Vec<u32> {
    let first = lines.first().map_or(0, |(port, _)| *port);
    if lines.iter().all(|(port, _)| *port == first) {
        lines.iter().map(|(_, line)| *line).collect()
    } else {
        (0..lines.len() as u32).collect()
    }
}

/// Bits of the number that lines make.
pub(crate) fn width(lines: &[(u32, u32)]) -> u32 {
    bits(lines).into_iter().max().map_or(8, |bit| bit + 1)
}

/// Counter inputs that count edges: nothing happens at their terminals, unless a signal is chosen.
#[derive(Debug, Clone)]
pub(crate) struct Count {
    pub(crate) initial: u32,
    pub(crate) down: bool,
    pub(crate) signal: Signal,
}

impl Count {
    /// The count at a sample: 0 edges by default, one per sample for the pattern, or the constant.
    pub(crate) fn value(&self, index: u64) -> u32 {
        let edges = match &self.signal {
            Signal::Sine => 0,
            Signal::Pattern => index as u32,
            Signal::Constant(value) => *value as i64 as u32,
            Signal::Playback(codes) if codes.is_empty() => 0,
            Signal::Pulses(_) | Signal::Toggles(_) | Signal::Encoder(_) => 0,
            Signal::Playback(codes) => codes[(index % codes.len() as u64) as usize] as u32,
        };
        if self.down {
            self.initial.wrapping_sub(edges)
        } else {
            self.initial.wrapping_add(edges)
        }
    }
}
