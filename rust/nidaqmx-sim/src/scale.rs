//! Custom scales: linear, map ranges, polynomial and table.

use std::sync::Arc;

use crate::attribute::{self, Object, Value};
use crate::conversion::Stage;
use crate::error::{Error, Result, code};

/// Kinds of scale.
pub(crate) mod kind {
    pub(crate) const LINEAR: i32 = 10447;
    pub(crate) const MAP: i32 = 10448;
    pub(crate) const POLYNOMIAL: i32 = 10449;
    pub(crate) const TABLE: i32 = 10450;
}

/// What a scale computes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Rule {
    Linear {
        slope: f64,
        intercept: f64,
    },
    Map {
        raw: [f64; 2],
        scaled: [f64; 2],
    },
    Polynomial {
        forward: Vec<f64>,
        reverse: Vec<f64>,
    },
    Table {
        raw: Vec<f64>,
        scaled: Vec<f64>,
    },
}

/// A custom scale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scale {
    pub(crate) name: String,
    pub(crate) rule: Rule,
    /// The units of what goes in.
    pub(crate) raw_units: i32,
    pub(crate) scaled_units: String,
    pub(crate) description: String,
}

impl Scale {
    /// A checked scale.
    pub(crate) fn new(name: &str, rule: Rule, raw_units: i32, scaled_units: &str) -> Result<Self> {
        if crate::sensor::unit(raw_units).is_none() {
            return Err(Error::value("DAQmx_Scale_PreScaledUnits", raw_units)
                .with("Custom Scale Name", name));
        }
        check(&rule).map_err(|error| error.with("Custom Scale Name", name))?;
        Ok(Self {
            name: name.to_owned(),
            rule,
            raw_units,
            scaled_units: scaled_units.to_owned(),
            description: String::new(),
        })
    }

    /// The scale as a step of a channel's way.
    pub(crate) fn stage(&self) -> Stage {
        match &self.rule {
            Rule::Linear { slope, intercept } => Stage::Linear {
                slope: *slope,
                offset: *intercept,
            },
            Rule::Map { raw, scaled } => {
                let slope = (scaled[1] - scaled[0]) / (raw[1] - raw[0]);
                Stage::Linear {
                    slope,
                    offset: scaled[0] - raw[0] * slope,
                }
            }
            Rule::Polynomial { forward, reverse } => Stage::Polynomial {
                forward: Arc::from(forward.as_slice()),
                reverse: Arc::from(reverse.as_slice()),
            },
            Rule::Table { raw, scaled } => Stage::Table {
                x: Arc::from(raw.as_slice()),
                y: Arc::from(scaled.as_slice()),
            },
        }
    }

    /// The value of a scale attribute.
    pub(crate) fn get(&self, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::Scale, id)?;
        Ok(match (row.id, &self.rule) {
            (0x1226, _) => Value::text(self.description.clone()),
            (0x18F7, _) => Value::I32(self.raw_units),
            (0x191B, _) => Value::text(self.scaled_units.clone()),
            (0x1929, Rule::Linear { .. }) => Value::I32(kind::LINEAR),
            (0x1929, Rule::Map { .. }) => Value::I32(kind::MAP),
            (0x1929, Rule::Polynomial { .. }) => Value::I32(kind::POLYNOMIAL),
            (0x1929, Rule::Table { .. }) => Value::I32(kind::TABLE),
            (0x1227, Rule::Linear { slope, .. }) => Value::F64(*slope),
            (0x1228, Rule::Linear { intercept, .. }) => Value::F64(*intercept),
            (0x1229, Rule::Map { scaled, .. }) => Value::F64(scaled[1]),
            (0x1230, Rule::Map { scaled, .. }) => Value::F64(scaled[0]),
            (0x1231, Rule::Map { raw, .. }) => Value::F64(raw[1]),
            (0x1232, Rule::Map { raw, .. }) => Value::F64(raw[0]),
            (0x1234, Rule::Polynomial { forward, .. }) => Value::F64s(forward.clone()),
            (0x1235, Rule::Polynomial { reverse, .. }) => Value::F64s(reverse.clone()),
            (0x1236, Rule::Table { scaled, .. }) => Value::F64s(scaled.clone()),
            (0x1237, Rule::Table { raw, .. }) => Value::F64s(raw.clone()),
            _ => return Err(self.wrong_kind(row.display())),
        })
    }

    fn wrong_kind(&self, property: String) -> Error {
        Error::new(code::PROPERTY_NOT_FOR_SCALE)
            .with("Property", property)
            .with("Custom Scale Name", &self.name)
    }

    /// Sets a scale attribute.
    pub(crate) fn set(&mut self, id: i32, value: Value) -> Result<()> {
        let row = attribute::writable(Object::Scale, id)?;
        let mut rule = self.rule.clone();
        match (row.id, &mut rule) {
            (0x1226, _) => value.as_str().clone_into(&mut self.description),
            (0x18F7, _) => {
                if crate::sensor::unit(value.as_i32()).is_none() {
                    return Err(Error::value("DAQmx_Scale_PreScaledUnits", value.as_i32()));
                }
                self.raw_units = value.as_i32();
            }
            (0x191B, _) => value.as_str().clone_into(&mut self.scaled_units),
            (0x1227, Rule::Linear { slope, .. }) => *slope = value.as_f64(),
            (0x1228, Rule::Linear { intercept, .. }) => *intercept = value.as_f64(),
            (0x1229, Rule::Map { scaled, .. }) => scaled[1] = value.as_f64(),
            (0x1230, Rule::Map { scaled, .. }) => scaled[0] = value.as_f64(),
            (0x1231, Rule::Map { raw, .. }) => raw[1] = value.as_f64(),
            (0x1232, Rule::Map { raw, .. }) => raw[0] = value.as_f64(),
            (0x1234, Rule::Polynomial { forward, .. }) => *forward = value.as_f64s().to_vec(),
            (0x1235, Rule::Polynomial { reverse, .. }) => *reverse = value.as_f64s().to_vec(),
            (0x1236, Rule::Table { scaled, .. }) => *scaled = value.as_f64s().to_vec(),
            (0x1237, Rule::Table { raw, .. }) => *raw = value.as_f64s().to_vec(),
            _ => return Err(self.wrong_kind(row.display())),
        }
        // Both lists of a table are set one after the other: their lengths are checked at use.
        if !matches!(rule, Rule::Table { .. }) {
            check(&rule).map_err(|error| error.with("Custom Scale Name", &self.name))?;
        }
        self.rule = rule;
        Ok(())
    }

    /// The rule's check, at use.
    pub(crate) fn checked(&self) -> Result<&Self> {
        check(&self.rule).map_err(|error| error.with("Custom Scale Name", &self.name))?;
        Ok(self)
    }
}

fn check(rule: &Rule) -> Result<()> {
    let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
    match rule {
        Rule::Linear { slope, intercept } => {
            if *slope == 0.0 || !finite(&[*slope, *intercept]) {
                return Err(Error::new(code::ZERO_SLOPE));
            }
        }
        Rule::Map { raw, scaled } => {
            if raw[0] == raw[1] || !finite(raw) {
                return Err(Error::new(code::PRE_SCALED_MIN_EQUAL_MAX));
            }
            if scaled[0] == scaled[1] || !finite(scaled) {
                return Err(Error::new(code::SCALED_MIN_EQUAL_MAX));
            }
        }
        Rule::Polynomial { forward, reverse } => {
            for (coefficients, empty, zero) in [
                (forward, code::NO_FORWARD_COEFFS, code::ZERO_FORWARD_COEFFS),
                (reverse, code::NO_REVERSE_COEFFS, code::ZERO_REVERSE_COEFFS),
            ] {
                if coefficients.is_empty() {
                    return Err(Error::new(empty));
                }
                if coefficients.iter().all(|&one| one == 0.0) || !finite(coefficients) {
                    return Err(Error::new(zero));
                }
            }
        }
        Rule::Table { raw, scaled } => {
            if raw.len() != scaled.len() {
                return Err(Error::new(code::TABLE_LENGTHS));
            }
            if raw.len() < 2 {
                return Err(Error::new(code::FEWER_THAN_2_PRE_SCALED));
            }
            let rising = raw.windows(2).all(|pair| pair[0] < pair[1]);
            if !rising || !finite(raw) {
                return Err(Error::new(code::REPEATED_PRE_SCALED));
            }
            let monotonic = scaled.windows(2).all(|pair| pair[0] < pair[1])
                || scaled.windows(2).all(|pair| pair[0] > pair[1]);
            if !monotonic || !finite(scaled) {
                return Err(Error::new(code::REPEATED_SCALED));
            }
        }
    }
    Ok(())
}

/// `DAQmxCalculateReversePolyCoeff`: the polynomial of so many coefficients that inverts another
/// best (least squares) at `points` places between two values of x.
pub(crate) fn reverse_polynomial(
    forward: &[f64],
    min: f64,
    max: f64,
    points: i32,
    order: i32,
) -> Result<Vec<f64>> {
    if min.is_nan() || max.is_nan() || min >= max {
        return Err(Error::new(code::MIN_NOT_LESS_THAN_MAX));
    }
    let order = if order < 0 {
        forward.len().max(1) - 1
    } else {
        order as usize
    };
    if order > 64 {
        return Err(Error::value("Reverse Polynomial Order", order));
    }
    let terms = order + 1;
    let points = usize::try_from(points)
        .unwrap_or(0)
        .clamp(terms.max(2), 100_000);
    let evaluate = |x: f64| forward.iter().rev().fold(0.0, |sum, c| sum * x + c);
    // Columns are scaled to the range of y, and the small system is solved by elimination.
    let samples: Vec<(f64, f64)> = (0..points)
        .map(|index| {
            let x = min + (max - min) * index as f64 / (points - 1) as f64;
            (evaluate(x), x)
        })
        .collect();
    let largest = samples
        .iter()
        .fold(0.0f64, |most, (y, _)| most.max(y.abs()));
    let unit = if largest > 0.0 { largest } else { 1.0 };
    let mut system = vec![vec![0.0; terms + 1]; terms];
    for (y, x) in &samples {
        let mut powers = vec![1.0; terms];
        for index in 1..terms {
            powers[index] = powers[index - 1] * y / unit;
        }
        for (row, power) in system.iter_mut().zip(&powers) {
            for (cell, other) in row.iter_mut().zip(&powers) {
                *cell += power * other;
            }
            row[terms] += power * x;
        }
    }
    for pivot in 0..terms {
        let best = (pivot..terms)
            .max_by(|&a, &b| system[a][pivot].abs().total_cmp(&system[b][pivot].abs()))
            .unwrap_or(pivot);
        system.swap(pivot, best);
        if system[pivot][pivot].abs() < 1e-300 {
            return Err(Error::new(code::ZERO_REVERSE_COEFFS));
        }
        let (above, below) = system.split_at_mut(pivot + 1);
        let lead = &above[pivot];
        for row in below {
            let factor = row[pivot] / lead[pivot];
            for (cell, other) in row.iter_mut().zip(lead).skip(pivot) {
                *cell -= factor * other;
            }
        }
    }
    let mut solution = vec![0.0; terms];
    for index in (0..terms).rev() {
        let known: f64 = (index + 1..terms)
            .map(|other| system[index][other] * solution[other])
            .sum();
        solution[index] = (system[index][terms] - known) / system[index][index];
    }
    let mut power = 1.0;
    for coefficient in &mut solution {
        *coefficient /= power;
        power *= unit;
    }
    Ok(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_inverted_exactly_and_a_curve_nearly() {
        let line = reverse_polynomial(&[3.0, 2.0], -5.0, 5.0, 100, 1).unwrap();
        assert!((line[0] + 1.5).abs() < 1e-9 && (line[1] - 0.5).abs() < 1e-9);
        let curve = reverse_polynomial(&[0.0, 1.0, 0.05], 0.0, 3.0, 500, 5).unwrap();
        for x in [0.1, 1.0, 2.9] {
            let y = x + 0.05 * x * x;
            let again = curve.iter().rev().fold(0.0, |sum, c| sum * y + c);
            assert!((again - x).abs() < 1e-4, "{x} came back as {again}");
        }
        assert!(reverse_polynomial(&[1.0], 1.0, 1.0, 10, 1).is_err());
    }

    #[test]
    fn useless_scales_are_refused() {
        let refused = |rule: Rule| Scale::new("s", rule, 10348, "").unwrap_err().code();
        assert_eq!(
            refused(Rule::Linear {
                slope: 0.0,
                intercept: 1.0
            }),
            code::ZERO_SLOPE
        );
        assert_eq!(
            refused(Rule::Table {
                raw: vec![0.0, 1.0],
                scaled: vec![0.0]
            }),
            code::TABLE_LENGTHS
        );
        assert_eq!(
            refused(Rule::Table {
                raw: vec![0.0, 0.0],
                scaled: vec![0.0, 1.0]
            }),
            code::REPEATED_PRE_SCALED
        );
        assert_eq!(
            refused(Rule::Polynomial {
                forward: vec![1.0],
                reverse: vec![]
            }),
            code::NO_REVERSE_COEFFS
        );
        assert_eq!(
            refused(Rule::Map {
                raw: [1.0, 1.0],
                scaled: [0.0, 1.0]
            }),
            code::PRE_SCALED_MIN_EQUAL_MAX
        );
    }
}
