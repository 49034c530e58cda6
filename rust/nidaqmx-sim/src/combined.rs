//! Channels that several inputs make together: calculated power, rosettes of strain gages, and the
//! power supply that measures its own voltage and current.

use crate::channel::{Channel, id};
use crate::conversion::{Conversion, Stage};
use crate::driver::driver;
use crate::error::{Error, Result, code};
use crate::plan::{Kind, Source};
use crate::product::measure;
use crate::scaling::{device_polynomial, invert};
use crate::sensor::attr;
use crate::signal::Generator;

/// Bits of a raw sample that says: there are no codes of the whole, read scaled values.
pub(crate) const SCALED_ONLY: u32 = 80;
/// Bits of a raw sample that says: read voltage and current together.
pub(crate) const PAIR: u32 = 128;

/// What becomes of the values of several inputs.
#[derive(Debug, Clone)]
enum Rule {
    /// The product of two, and a custom scale.
    Product(Conversion),
    /// One measurement of a rosette.
    Rosette(Rosette),
    /// Nothing: the reader takes both.
    Pair,
}

/// The other inputs of a channel, and what becomes of them.
#[derive(Debug, Clone)]
pub(crate) struct Combined {
    rule: Rule,
    pub(crate) others: Vec<Source>,
}

/// Samples handled at a time.
const CHUNK: usize = 1024;

impl Combined {
    /// Combines the values of the channel's first input in `out`, from sample `first` on, with
    /// those of the others.
    pub(crate) fn apply(&self, first: u64, out: &mut [f64]) {
        let mut index = first;
        let mut values = vec![[0.0; CHUNK]; self.others.len()];
        for part in out.chunks_mut(CHUNK) {
            for (source, values) in self.others.iter().zip(&mut values) {
                source.fill_f64(index, &mut values[..part.len()]);
            }
            for (place, value) in part.iter_mut().enumerate() {
                *value = match &self.rule {
                    Rule::Product(way) => way.forward(*value * values[0][place]),
                    Rule::Rosette(rosette) => {
                        let third = values.get(1).map_or(0.0, |third| third[place]);
                        rosette.measure([*value, values[0][place], third])
                    }
                    Rule::Pair => *value,
                };
            }
            index += part.len() as u64;
        }
    }
}

/// One measurement of a rosette.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rosette {
    pub(crate) kind: i32,
    pub(crate) measurement: i32,
    /// Degrees from the x axis to the first gage.
    pub(crate) orientation: f64,
}

/// Kinds of rosettes.
pub(crate) mod rosette {
    pub(crate) const RECTANGULAR: i32 = 15968;
    pub(crate) const DELTA: i32 = 15969;
    pub(crate) const TEE: i32 = 15970;
    /// Measurements, in this order from the first number on.
    pub(crate) const FIRST_MEASUREMENT: i32 = 15971;
    pub(crate) const MEASUREMENTS: [&str; 8] = [
        "PrincipalStrain1",
        "PrincipalStrain2",
        "PrincipalStrainAngle",
        "CartesianStrainX",
        "CartesianStrainY",
        "CartesianShearStrainXY",
        "MaxShearStrain",
        "MaxShearStrainAngle",
    ];
}

impl Rosette {
    /// From the strains of the gages (at 0, 45 and 90, at 0, 60 and 120, or at 0 and 90 degrees) to
    /// the measurement, by Mohr's circle. Angles in degrees, from the x axis.
    fn measure(&self, gages: [f64; 3]) -> f64 {
        let [a, b, c] = gages;
        let (along, across, shear) = match self.kind {
            rosette::DELTA => (
                a,
                (2.0 * b + 2.0 * c - a) / 3.0,
                2.0 * (b - c) / 3f64.sqrt(),
            ),
            // The gages of a tee lie in the principal directions.
            rosette::TEE => (a, b, 0.0),
            _ => (a, c, 2.0 * b - a - c),
        };
        let (middle, difference) = ((along + across) / 2.0, along - across);
        let radius = difference.hypot(shear) / 2.0;
        let angle = shear.atan2(difference).to_degrees() / 2.0 + self.orientation;
        let (sine, cosine) = (2.0 * self.orientation).to_radians().sin_cos();
        let part = (difference * cosine - shear * sine) / 2.0;
        match self.measurement - rosette::FIRST_MEASUREMENT {
            0 => middle + radius,
            1 => middle - radius,
            2 => angle,
            3 => middle + part,
            4 => middle - part,
            5 => difference * sine + shear * cosine,
            6 => 2.0 * radius,
            _ => angle - 45.0,
        }
    }
}

/// The source of a channel with partners: `own` is that of its first input.
pub(crate) fn combine(channel: &Channel, mut own: Source) -> Result<Source> {
    let signals = driver().signals();
    let mut others = Vec::new();
    for partner in &channel.partners {
        others.push(partner.source(&signals)?);
    }
    let rule = match channel.integer(id::AI_MEAS_TYPE) {
        measure::CALCULATED_POWER => {
            let mut way = Conversion::default();
            if let Some(scale) = crate::sensor::custom_scale(channel)? {
                way.push(scale.stage());
            }
            own.raw_bits = SCALED_ONLY;
            Rule::Product(way)
        }
        measure::ROSETTE => {
            own.raw_bits = SCALED_ONLY;
            Rule::Rosette(Rosette {
                kind: channel.integer(attr::ROSETTE_TYPE),
                measurement: channel.integer(attr::ROSETTE_MEAS_TYPE),
                orientation: channel.number(attr::ROSETTE_ORIENTATION),
            })
        }
        other => return Err(Error::new(code::PHYS_CHAN_MEAS_TYPE).with("Requested Value", other)),
    };
    own.combined = Some(Box::new(Combined { rule, others }));
    Ok(own)
}

/// Volts and amperes that a power supply can deliver.
pub(crate) const SUPPLY: [f64; 2] = [10.0, 3.0];
/// The load that is connected: amperes per ampere of the limit.
const LOAD: f64 = 0.5;

/// The coefficients of a power supply's voltage (0) or current (1).
pub(crate) fn supply_polynomial(which: usize) -> [f64; 4] {
    device_polynomial(which as u32, SUPPLY[which.min(1)], 16)
}

/// The source of a power supply's channel: its voltage, with the current beside it. The supply
/// holds the voltage that was set, and the load draws half of the current that was set.
pub(crate) fn supply(channel: &Channel) -> Source {
    let on = channel.integer(attr::PWR_OUTPUT_ENABLE) != 0;
    let measured = |which: usize, value: f64| {
        let mut source = Source::new(Kind::Analog);
        source.polynomial = supply_polynomial(which);
        source.bits = 16;
        source.raw_bits = PAIR;
        let code = f64::from(invert(&source.polynomial, if on { value } else { 0.0 }, 16));
        source.generator = Generator::sine(which as u32, code, code, 3.0, 16);
        source
    };
    let mut own = measured(0, channel.number(attr::PWR_VOLTAGE_SETPOINT));
    let current = measured(1, channel.number(attr::PWR_CURRENT_SETPOINT) * LOAD);
    own.combined = Some(Box::new(Combined {
        rule: Rule::Pair,
        others: vec![current],
    }));
    own
}

/// The way of a frequency that a converter turns into a voltage: 5 V stand for the end of its range.
pub(crate) fn frequency(max: f64) -> Stage {
    const RANGES: [f64; 10] = [250.0, 500.0, 1e3, 2e3, 4e3, 8e3, 16e3, 32e3, 64e3, 128e3];
    let full = RANGES.into_iter().find(|&range| range >= max);
    Stage::scale(full.unwrap_or(128e3) / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rosettes_find_the_strain_that_the_gages_saw() {
        // Strains along, across and shear of a sheet; gages at the angles of each kind of rosette.
        let (x, y, shear) = (300e-6, -120e-6, 80e-6);
        let at = |degrees: f64| {
            let (sine, cosine) = (2.0 * degrees).to_radians().sin_cos();
            (x + y) / 2.0 + (x - y) / 2.0 * cosine + shear / 2.0 * sine
        };
        for (kind, angles) in [
            (rosette::RECTANGULAR, [0.0, 45.0, 90.0]),
            (rosette::DELTA, [0.0, 60.0, 120.0]),
        ] {
            for orientation in [0.0, 30.0, -75.0] {
                let gages = angles.map(|angle| at(angle + orientation));
                let measured = |number| {
                    Rosette {
                        kind,
                        measurement: rosette::FIRST_MEASUREMENT + number,
                        orientation,
                    }
                    .measure(gages)
                };
                let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
                close(measured(3), x);
                close(measured(4), y);
                close(measured(5), shear);
                let radius = ((x - y) / 2.0).hypot(shear / 2.0);
                close(measured(0), (x + y) / 2.0 + radius);
                close(measured(1), (x + y) / 2.0 - radius);
                close(measured(6), 2.0 * radius);
                close(at(measured(2)), measured(0));
            }
        }
        let tee = Rosette {
            kind: rosette::TEE,
            measurement: rosette::FIRST_MEASUREMENT + 1,
            orientation: 0.0,
        };
        assert!((tee.measure([5e-6, 9e-6, 0.0]) - 5e-6).abs() < 1e-12);
    }
}
