//! The way from the voltage at the terminals to the channel's units: stages, each with its inverse.

use std::sync::Arc;

use crate::thermocouple::Reference;

/// One step of the way.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// `y = x * slope + offset`
    Linear { slope: f64, offset: f64 },
    /// Volts to degrees Celsius, with the cold junction's millivolts.
    Thermocouple {
        reference: &'static Reference,
        cold: f64,
    },
    /// Ohms to degrees Celsius, by Callendar and Van Dusen.
    Rtd { r0: f64, a: f64, b: f64, c: f64 },
    /// Ohms to degrees Celsius, by Steinhart and Hart.
    Thermistor { a: f64, b: f64, c: f64 },
    /// Volts over a resistance in series with `series` ohms at `excitation` volts, to ohms.
    Divider { excitation: f64, series: f64 },
    /// Bridge ratio to strain: `strain = p * ratio / (1 + q * ratio)`.
    Strain { p: f64, q: f64 },
    /// Interpolation between points with rising x; the outer pieces go on beyond their ends.
    Table { x: Arc<[f64]>, y: Arc<[f64]> },
    /// A polynomial, lowest power first, with the polynomial that inverts it.
    Polynomial {
        forward: Arc<[f64]>,
        reverse: Arc<[f64]>,
    },
}

impl Stage {
    pub(crate) fn scale(slope: f64) -> Self {
        Self::Linear { slope, offset: 0.0 }
    }

    /// Whether the stage changes nothing.
    fn is_identity(&self) -> bool {
        matches!(self, Self::Linear { slope, offset } if *slope == 1.0 && *offset == 0.0)
    }

    fn forward(&self, x: f64) -> f64 {
        match self {
            Self::Linear { slope, offset } => x * slope + offset,
            Self::Thermocouple { reference, cold } => reference.celsius(x * 1e3 + cold),
            Self::Rtd { r0, a, b, c } => rtd_celsius(x / r0, *a, *b, *c),
            Self::Thermistor { a, b, c } => {
                let log = x.max(1e-9).ln();
                1.0 / (a + log * (b + c * log * log)) - KELVIN
            }
            Self::Divider { excitation, series } => series * x / (excitation - x).max(1e-12),
            Self::Strain { p, q } => p * x / (1.0 + q * x),
            Self::Table { x: xs, y: ys } => interpolate(xs, ys, x),
            Self::Polynomial { forward, .. } => polynomial(forward, x),
        }
    }

    fn inverse(&self, y: f64) -> f64 {
        match self {
            Self::Linear { slope, offset } => (y - offset) / slope,
            Self::Thermocouple { reference, cold } => (reference.millivolts(y) - cold) / 1e3,
            Self::Rtd { r0, a, b, c } => r0 * rtd_ratio(y, *a, *b, *c),
            Self::Thermistor { a, b, c } => thermistor_ohms(y, *a, *b, *c),
            Self::Divider { excitation, series } => excitation * y / (series + y),
            Self::Strain { p, q } => y / (p - q * y),
            Self::Table { x: xs, y: ys } => {
                if ys.first() <= ys.last() {
                    interpolate(ys, xs, y)
                } else {
                    let falling_y: Vec<f64> = ys.iter().rev().copied().collect();
                    let falling_x: Vec<f64> = xs.iter().rev().copied().collect();
                    interpolate(&falling_y, &falling_x, y)
                }
            }
            Self::Polynomial { reverse, .. } => polynomial(reverse, y),
        }
    }
}

const KELVIN: f64 = 273.15;

fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients
        .iter()
        .rev()
        .fold(0.0, |sum, coefficient| sum * x + coefficient)
}

fn rtd_ratio(celsius: f64, a: f64, b: f64, c: f64) -> f64 {
    let above = 1.0 + celsius * (a + b * celsius);
    if celsius >= 0.0 {
        above
    } else {
        above + c * (celsius - 100.0) * celsius.powi(3)
    }
}

fn rtd_celsius(ratio: f64, a: f64, b: f64, c: f64) -> f64 {
    let root = (a * a - 4.0 * b * (1.0 - ratio)).max(0.0).sqrt();
    let above = if b == 0.0 {
        (ratio - 1.0) / a
    } else {
        (root - a) / (2.0 * b)
    };
    if above >= 0.0 {
        return above;
    }
    // Below zero the equation has the fourth power: a few steps of Newton from the quadratic.
    let mut celsius = above;
    for _ in 0..20 {
        let slope = a + 2.0 * b * celsius + c * celsius * celsius * (4.0 * celsius - 300.0);
        let step = (rtd_ratio(celsius, a, b, c) - ratio) / slope;
        celsius = (celsius - step).max(-KELVIN);
        if step.abs() < 1e-10 {
            break;
        }
    }
    celsius
}

fn thermistor_ohms(celsius: f64, a: f64, b: f64, c: f64) -> f64 {
    let target = 1.0 / (celsius + KELVIN).max(1e-3);
    // a + b L + c L^3 = target, for the logarithm L of the resistance.
    let mut log = if b == 0.0 { 1.0 } else { (target - a) / b };
    for _ in 0..60 {
        let error = a + log * (b + c * log * log) - target;
        let slope = b + 3.0 * c * log * log;
        if slope == 0.0 {
            break;
        }
        let step = error / slope;
        log -= step;
        if step.abs() < 1e-13 {
            break;
        }
    }
    log.clamp(-20.0, 50.0).exp()
}

fn interpolate(xs: &[f64], ys: &[f64], x: f64) -> f64 {
    if xs.len() < 2 || xs.len() != ys.len() {
        return ys.first().copied().unwrap_or(0.0);
    }
    let right = xs
        .partition_point(|&known| known < x)
        .clamp(1, xs.len() - 1);
    let (x0, x1, y0, y1) = (xs[right - 1], xs[right], ys[right - 1], ys[right]);
    y0 + (y1 - y0) * (x - x0) / (x1 - x0)
}

/// The whole way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conversion {
    stages: Vec<Stage>,
}

impl Conversion {
    pub(crate) fn push(&mut self, stage: Stage) {
        if !stage.is_identity() {
            self.stages.push(stage);
        }
    }

    /// Whether volts are the channel's units.
    pub(crate) fn is_identity(&self) -> bool {
        self.stages.is_empty()
    }

    /// The value in the channel's units.
    pub(crate) fn forward(&self, volts: f64) -> f64 {
        self.stages
            .iter()
            .fold(volts, |value, stage| stage.forward(value))
    }

    /// The volts behind a value.
    pub(crate) fn inverse(&self, value: f64) -> f64 {
        self.stages
            .iter()
            .rev()
            .fold(value, |value, stage| stage.inverse(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_inverts_itself() {
        let stages: [(Stage, &[f64]); 9] = [
            (
                Stage::Linear {
                    slope: -2.0,
                    offset: 7.0,
                },
                &[-3.0, 0.0, 4.5],
            ),
            (
                Stage::Thermocouple {
                    reference: crate::thermocouple::find(10073).unwrap(),
                    cold: 1.0,
                },
                &[-0.003, 0.0, 0.02],
            ),
            (
                Stage::Rtd {
                    r0: 100.0,
                    a: 3.9083e-3,
                    b: -5.775e-7,
                    c: -4.183e-12,
                },
                &[20.0, 60.0, 100.0, 138.5, 300.0],
            ),
            (
                Stage::Thermistor {
                    a: 1.295361e-3,
                    b: 2.343159e-4,
                    c: 1.018703e-7,
                },
                &[100.0, 5_000.0, 90_000.0],
            ),
            (
                Stage::Divider {
                    excitation: 2.5,
                    series: 5000.0,
                },
                &[0.1, 1.0, 2.4],
            ),
            (Stage::Strain { p: -2.0, q: 2.0 }, &[-1e-3, 0.0, 2e-3]),
            (
                Stage::Table {
                    x: Arc::new([0.0, 1.0, 3.0]),
                    y: Arc::new([10.0, 20.0, 80.0]),
                },
                &[-1.0, 0.5, 2.0, 4.0],
            ),
            (
                Stage::Table {
                    x: Arc::new([0.0, 1.0, 3.0]),
                    y: Arc::new([8.0, 2.0, 1.0]),
                },
                &[-1.0, 0.5, 2.0, 4.0],
            ),
            (
                Stage::Polynomial {
                    forward: Arc::new([1.0, 4.0]),
                    reverse: Arc::new([-0.25, 0.25]),
                },
                &[-1.0, 0.0, 9.0],
            ),
        ];
        for (stage, inputs) in stages {
            for &x in inputs {
                let y = stage.forward(x);
                let again = stage.inverse(y);
                assert!(
                    (again - x).abs() <= 1e-6 * (1e-3 + x.abs()),
                    "{stage:?}: {x} became {y} and then {again}"
                );
            }
        }
    }

    #[test]
    fn platinum_and_thermistor_meet_their_tables() {
        let pt100 = Stage::Rtd {
            r0: 100.0,
            a: 3.9083e-3,
            b: -5.775e-7,
            c: -4.183e-12,
        };
        for (ohms, celsius) in [
            (100.0, 0.0),
            (138.5055, 100.0),
            (60.2558, -100.0),
            (18.5201, -200.0),
        ] {
            assert!((pt100.forward(ohms) - celsius).abs() < 1e-3, "{ohms}");
        }
        let ntc = Stage::Thermistor {
            a: 1.295361e-3,
            b: 2.343159e-4,
            c: 1.018703e-7,
        };
        assert!((ntc.forward(5000.0) - 25.0).abs() < 0.5);
    }
}
