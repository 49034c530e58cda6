//! Digital inputs: lines and ports.
//!
//! As on NI's simulated devices, each port counts in binary, eight lines at a time: line `n` of a
//! port has bit `n % 8` of the sample's index.

use std::sync::Arc;

use crate::attribute::Value;
use crate::channel::{Channel, id};
use crate::counter::{Input, Moment};
use crate::device::{Device, Physical};
use crate::error::{Error, Result, code};
use crate::names;
use crate::signal::Signal;
use crate::wave::{Pulses, Since, Wave};

/// The lines of one channel, and what they show.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    /// Numbers of the lines within their ports, in the order of the channel.
    pub(crate) lines: Vec<u32>,
    /// Where each stands in a number.
    bits: Vec<u32>,
    pub(crate) invert: bool,
    pub(crate) constant: Option<u32>,
    /// The signal of each line, where it has one of its own.
    pub(crate) waves: Vec<Option<Input>>,
}

/// A physical channel and its lines: their ports and numbers.
pub(crate) type Found = (Arc<Device>, Physical, Vec<(u32, u32)>);

/// A channel for each line that was found, or one for all of them, as the grouping says; `list` and
/// `wanted` are what the program gave: physical channels and names.
pub(crate) fn grouped(
    mut found: Vec<Found>,
    list: &str,
    wanted: &str,
    grouping: i32,
    make: impl Fn(String, Arc<Device>, Physical, Vec<(u32, u32)>) -> Channel,
) -> Result<Vec<Channel>> {
    let full: Vec<_> = found
        .iter()
        .map(|(device, physical, _)| device.full_name(*physical))
        .collect();
    match grouping {
        0 => {
            let port = found
                .iter()
                .position(|(_, physical, _)| matches!(physical, Physical::Port(_)));
            if let Some(port) = port {
                return Err(
                    Error::new(code::INVALID_LINE_GROUPING).with("Physical Channel", &full[port])
                );
            }
            let named = names::assign(wanted, &full)?.into_iter().zip(found);
            Ok(named
                .map(|(name, (device, physical, lines))| make(name, device, physical, lines))
                .collect())
        }
        1 => {
            let lines: Vec<_> = found
                .iter()
                .flat_map(|(_, _, lines)| lines.clone())
                .collect();
            if lines.len() > 32 {
                return Err(Error::new(code::INVALID_LINE_GROUPING)
                    .with("Physical Channel", list)
                    .with("Number of Lines", lines.len()));
            }
            let name = match (wanted, &full[..]) {
                ("", [one]) => one.clone(),
                ("", _) => format!("{}...", full[0]),
                _ => wanted.to_owned(),
            };
            let (device, physical, _) = found.swap_remove(0);
            let channel = make(name, device, physical, lines);
            Ok(vec![channel.with(
                id::PHYSICAL_CHAN_NAME,
                Value::Str(names::flatten(&full)),
            )])
        }
        other => Err(Error::new(code::INVALID_ATTRIBUTE_VALUE)
            .with("Parameter", "lineGrouping")
            .with("Requested Value", other)),
    }
}

/// How often the ports count in a second where no clock samples them.
const COUNTS_PER_SECOND: f64 = 1000.0;

impl Lines {
    pub(crate) fn new(
        lines: Vec<(u32, u32)>,
        invert: bool,
        signal: &Signal,
        waves: Vec<Option<Input>>,
    ) -> Self {
        let bits = places(&lines);
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
            waves,
        }
    }

    /// Whether a line (by its place in the channel) is high at a sample.
    pub(crate) fn line(&self, place: usize, moment: Moment) -> bool {
        let line = self.lines.get(place).copied().unwrap_or(0);
        let high = match (self.waves.get(place), self.constant) {
            (Some(Some(input)), _) => input.wave.level(moment.at),
            (_, Some(value)) => value >> (line & 31) & 1 != 0,
            _ => moment.index >> (line % 8) & 1 != 0,
        };
        high != self.invert
    }

    /// The lines as bits of a number, each where it stands in its port.
    pub(crate) fn port_value(&self, moment: Moment) -> u32 {
        self.bits
            .iter()
            .enumerate()
            .filter(|(place, _)| self.line(*place, moment))
            .fold(0, |value, (_, bit)| value | 1 << (bit & 31))
    }

    /// Lets every line be a signal over time.
    pub(crate) fn over_time(&mut self) {
        if self.constant.is_none() {
            for (wave, line) in self.waves.iter_mut().zip(&self.lines) {
                wave.get_or_insert_with(|| Input {
                    wave: counting(*line),
                    absolute: false,
                });
            }
        }
    }

    /// Whether the lines are as a pattern of 0, 1 and X says, in their order.
    pub(crate) fn matches(&self, pattern: &str, moment: Moment) -> bool {
        pattern
            .chars()
            .enumerate()
            .all(|(place, wanted)| match wanted {
                '0' => !self.line(place, moment),
                '1' => self.line(place, moment),
                _ => true,
            })
    }

    /// Whether a line shows a signal over time.
    pub(crate) fn timed(&self) -> bool {
        self.waves.iter().any(Option::is_some)
    }

    /// The lines in a run that began at a time, where that matters to them.
    pub(crate) fn bound(&self, began: u64) -> Option<Self> {
        let absolute = |input: &Input| input.absolute;
        if !self.waves.iter().flatten().any(absolute) {
            return None;
        }
        let mut bound = self.clone();
        for input in bound.waves.iter_mut().flatten().filter(|one| one.absolute) {
            *input = Input {
                wave: Arc::new(Since {
                    wave: Arc::clone(&input.wave),
                    origin: began,
                }),
                absolute: false,
            };
        }
        Some(bound)
    }
}

/// Where lines stand in a number: as in their port, or one after the other where there are several.
pub(crate) fn places(lines: &[(u32, u32)]) -> Vec<u32> {
    let first = lines.first().map_or(0, |(port, _)| *port);
    if lines.iter().all(|(port, _)| *port == first) {
        lines.iter().map(|(_, line)| *line).collect()
    } else {
        (0..lines.len() as u32).collect()
    }
}

/// Bits of the number that lines make.
pub(crate) fn width(lines: &[(u32, u32)]) -> u32 {
    places(lines).into_iter().max().map_or(8, |bit| bit + 1)
}

/// A line over time where it has no signal of its own: its part of the binary count, a thousand
/// times a second.
pub(crate) fn counting(line: u32) -> Arc<dyn Wave> {
    Arc::new(Pulses::endless(
        COUNTS_PER_SECOND / 2.0 / f64::from(1u32 << (line % 8)),
    ))
}
