//! Sensors whose codes become temperatures and strains by more than a polynomial.

use super::polynomial;

/// DAQmx's numbers of the kinds of excitation.
const CURRENT_EXCITATION: u64 = 10134;
const VOLTAGE_EXCITATION: u64 = 10322;

/// Resistance of the sensor alone, without that of the wires that the measurement includes.
fn without_leads(measured: f64, excitation: u64, wires: u64, lead: f64) -> f64 {
    match (wires, excitation) {
        (3, _) => measured - lead,
        (2, CURRENT_EXCITATION) => measured - 2.0 * lead,
        _ => measured,
    }
}

/// Resistance thermometer: volts to degrees Celsius by the Callendar-Van Dusen equation
/// `R = R0 (1 + A t + B t^2 + (t - 100) C t^3)`, C only below 0 °C.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rtd {
    pub(super) current: f64,
    pub(super) r0: f64,
    pub(super) a: f64,
    pub(super) b: f64,
    pub(super) c: f64,
    pub(super) lead: f64,
    pub(super) wires: u64,
}

impl Rtd {
    pub(super) fn celsius(&self, volts: f64) -> f64 {
        let (a, b, c) = (self.a, self.b, self.c);
        let resistance = without_leads(
            volts / self.current,
            CURRENT_EXCITATION,
            self.wires,
            self.lead,
        );
        let ratio = resistance / self.r0;
        if resistance >= self.r0 {
            return (-a + (a * a - 4.0 * b * (1.0 - ratio)).sqrt()) / (2.0 * b);
        }
        // Below 0 °C the function rises and is concave, so Newton's steps from 0 come to its root from one side.
        let mut t = 0.0f64;
        for _ in 0..100 {
            let value = 1.0 + t * (a + t * (b + t * (-100.0 * c + t * c))) - ratio;
            let slope = a + t * (2.0 * b + t * (-300.0 * c + t * (4.0 * c)));
            let next = t - value / slope;
            if (next - t).abs() <= 1e-13 * t.abs() {
                return if next < 0.0 { next } else { f64::NAN };
            }
            t = next;
        }
        // Rounding may keep the last digit moving.
        let value = 1.0 + t * (a + t * (b + t * (-100.0 * c + t * c))) - ratio;
        if t < 0.0 && value.abs() <= 1e-9 * (1.0 + ratio.abs()) {
            t
        } else {
            f64::NAN
        }
    }
}

/// Thermistor: volts to Kelvin (less an offset) by the Steinhart-Hart equation `1/T = A + B ln R + C (ln R)^3`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Thermistor {
    pub(super) excitation: u64,
    pub(super) excitation_value: f64,
    pub(super) wires: u64,
    pub(super) reference: f64,
    pub(super) lead: f64,
    pub(super) coefficients: [f64; 4],
    pub(super) offset: f64,
}

impl Thermistor {
    pub(super) fn known_excitation(excitation: u64) -> bool {
        matches!(excitation, CURRENT_EXCITATION | VOLTAGE_EXCITATION)
    }

    pub(super) fn kelvin(&self, volts: f64) -> f64 {
        let measured = match self.excitation {
            CURRENT_EXCITATION => volts / self.excitation_value,
            // The lower part of a divider: R = R1 / (Vex / V - 1).
            _ => self.reference * (1.0 / (self.excitation_value * (1.0 / volts) - 1.0)),
        };
        let resistance = without_leads(measured, self.excitation, self.wires, self.lead);
        1.0 / polynomial(&self.coefficients, resistance.ln()) - self.offset
    }
}

/// How the gages of a bridge are placed; DAQmx's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bridge {
    Full1,
    Full2,
    Full3,
    Half1,
    Half2,
    Quarter,
}

impl Bridge {
    pub(super) fn find(number: u64) -> Option<Bridge> {
        Some(match number {
            10183 => Bridge::Full1,
            10184 => Bridge::Full2,
            10185 => Bridge::Full3,
            10188 => Bridge::Half1,
            10189 => Bridge::Half2,
            10271 | 10272 => Bridge::Quarter,
            _ => return None,
        })
    }
}

/// Strain gages in a Wheatstone bridge: volts to strain, by the equations of NI's strain-gage configurations.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Strain {
    pub(super) bridge: Bridge,
    pub(super) poisson: f64,
    pub(super) gage_resistance: f64,
    pub(super) lead: f64,
    pub(super) initial: f64,
    pub(super) gage_factor: f64,
    pub(super) gain: f64,
    pub(super) excitation: f64,
}

impl Strain {
    pub(super) fn strain(&self, volts: f64) -> f64 {
        let (nu, factor, gain, vex) = (self.poisson, self.gage_factor, self.gain, self.excitation);
        let v = match self.initial {
            0.0 => volts,
            initial => volts - initial,
        };
        let lead = 1.0 / (1.0 + self.lead / self.gage_resistance);
        match self.bridge {
            Bridge::Full1 => v * (-gain / (vex * factor)),
            Bridge::Full2 => v * (-gain * 2.0 / (vex * factor * (1.0 + nu))),
            Bridge::Full3 => {
                let common = -0.5 / gain;
                v / (v * (common * (1.0 - nu) * factor) + common * vex * factor * (1.0 + nu))
            }
            Bridge::Half1 => {
                let common = -factor * vex * lead / (4.0 * gain);
                v / (v * (common * 2.0 * (1.0 - nu) / vex) + common * (1.0 + nu))
            }
            Bridge::Half2 => v * (-2.0 * gain / (factor * vex * lead)),
            Bridge::Quarter => {
                (1.0 / (v * (2.0 / vex) + 1.0) - 1.0) * (2.0 * gain / (factor * lead))
            }
        }
    }
}

/// Straight lines between points; the first and the last value go on beyond the ends.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    /// Rising.
    from: Vec<f64>,
    to: Vec<f64>,
}

impl Table {
    /// `None` unless `from` rises or falls throughout and both have the same length, at least 1.
    pub(super) fn new(mut from: Vec<f64>, mut to: Vec<f64>) -> Option<Table> {
        let rising = |values: &[f64]| values.windows(2).all(|pair| pair[0] < pair[1]);
        if from.is_empty() || from.len() != to.len() {
            return None;
        }
        if !rising(&from) {
            from.reverse();
            to.reverse();
        }
        rising(&from).then_some(Table { from, to })
    }

    pub(super) fn value(&self, x: f64) -> f64 {
        let last = self.from.len() - 1;
        if x.is_nan() {
            return x;
        }
        let above = self.from.partition_point(|from| *from <= x);
        if above == 0 {
            return self.to[0];
        }
        let at = above - 1;
        if at == last {
            return self.to[last];
        }
        // At a point its own value, without rounding.
        if self.from[at] == x {
            return self.to[at];
        }
        let slope = (self.to[at + 1] - self.to[at]) / (self.from[at + 1] - self.from[at]);
        slope * (x - self.from[at]) + self.to[at]
    }
}
