//! From recorded to physical values: the scales that NI's programs describe in properties, and chains of them.
//!
//! Linear and polynomial scales are computed bit for bit as numpy does it, on every processor: no fused multiply-add,
//! Horner's order.

mod sensors;
mod thermocouple;

use std::collections::HashMap;

use crate::dispatch::{Kernel, dispatch};
use crate::error::LogError;
use crate::layout::{DataType, PropertyValue};
use sensors::{Bridge, Rtd, Strain, Table, Thermistor};
use thermocouple::Thermocouple;

/// The input source that means the recorded values themselves.
const RAW: u64 = 0xFFFF_FFFF;

/// Samples that a chain takes at once: its intermediate values stay in the processor's cache.
const BLOCK: usize = 4096;

/// Where recorded values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The channel's values.
    Values,
    /// The scaler of this number in NI-DAQmx raw data.
    Scaler(u32),
}

/// Values that a step takes: recorded ones, or the result of a step before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Origin(usize),
    Step(usize),
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Linear {
        slope: f64,
        intercept: f64,
    },
    Polynomial(Vec<f64>),
    Rtd(Rtd),
    Thermistor(Thermistor),
    Strain(Strain),
    Table(Table),
    ToCelsius(Family),
    ToMicrovolts(Family),
    Add(Input),
    /// NI's programs take the left operand from the right one.
    SubtractFrom(Input),
}

#[derive(Debug, Clone, Copy)]
struct Family(&'static Thermocouple);

impl PartialEq for Family {
    fn eq(&self, other: &Family) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Step {
    kind: Kind,
    input: Input,
    name: &'static str,
}

/// How the recorded values of a channel become physical ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    origins: Vec<Origin>,
    /// Each after those whose results it takes; the last one's are the physical values.
    steps: Vec<Step>,
    /// Which origin is the result where there are no steps.
    plain: usize,
}

impl Scaling {
    /// True where the recorded values are the physical ones.
    pub fn is_identity(&self) -> bool {
        self.steps.is_empty()
    }

    /// The kinds of the scales in the order in which they are applied, by NI's names.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.steps.iter().map(|step| step.name)
    }

    pub(crate) fn none() -> Scaling {
        Scaling {
            origins: vec![Origin::Values],
            steps: Vec::new(),
            plain: 0,
        }
    }

    pub(crate) fn origins(&self) -> &[Origin] {
        &self.origins
    }

    pub(crate) fn plain_origin(&self) -> Origin {
        self.origins[self.plain]
    }

    /// Reads the scaling properties of a channel, a group or a file; `None` where there are none.
    ///
    /// # Errors
    /// [`LogError::Unsupported`] for scales of other kinds, scales that lack a property, and circles.
    pub(crate) fn from_properties(
        properties: &[(String, PropertyValue)],
    ) -> Result<Option<Scaling>, LogError> {
        let map: HashMap<&str, &PropertyValue> = properties
            .iter()
            .filter(|(name, _)| name.starts_with("NI_"))
            .map(|(name, value)| (name.as_str(), value))
            .collect();
        let count = match map.get("NI_Number_Of_Scales") {
            Some(count) => count.as_u64().unwrap_or(0),
            None => map
                .keys()
                .filter_map(|name| {
                    let number = name.strip_prefix("NI_Scale[")?;
                    let number = number.strip_suffix("]_Scale_Type")?;
                    number.parse::<u32>().ok()
                })
                .max()
                .map_or(0, |highest| u64::from(highest) + 1),
        };
        let status = map.get("NI_Scaling_Status").and_then(|v| v.as_str());
        if count == 0 || status == Some("scaled") {
            return Ok(None);
        }
        Builder::new(&map).build(count - 1).map(Some)
    }

    /// Computes physical values. `raw` has the little-endian values of each origin, `out` as many places.
    ///
    /// # Errors
    /// [`LogError::Unsupported`] for values that are no real numbers.
    pub(crate) fn apply(
        &self,
        raw: &[(DataType, &[u8])],
        out: &mut [f64],
        scratch: &mut Vec<Vec<f64>>,
    ) -> Result<(), LogError> {
        match self.steps.as_slice() {
            [] => {
                let (data_type, bytes) = raw[self.plain];
                return convert(&Simple::None, data_type, bytes, out);
            }
            [
                Step {
                    kind,
                    input: Input::Origin(at),
                    ..
                },
            ] => {
                let simple = match kind {
                    Kind::Linear { slope, intercept } => Some(Simple::Linear(*slope, *intercept)),
                    Kind::Polynomial(coefficients) => Some(Simple::Polynomial(coefficients)),
                    _ => None,
                };
                if let Some(simple) = simple {
                    let (data_type, bytes) = raw[*at];
                    return convert(&simple, data_type, bytes, out);
                }
            }
            _ => {}
        }
        let sizes: Vec<usize> = raw.iter().map(|(t, _)| t.size().unwrap_or(1)).collect();
        let mut from = 0;
        while from < out.len() {
            let count = BLOCK.min(out.len() - from);
            let parts: Vec<(DataType, &[u8])> = raw
                .iter()
                .zip(&sizes)
                .map(|((t, bytes), size)| (*t, &bytes[from * size..(from + count) * size]))
                .collect();
            self.chain(&parts, &mut out[from..from + count], scratch)?;
            from += count;
        }
        Ok(())
    }

    fn chain(
        &self,
        raw: &[(DataType, &[u8])],
        out: &mut [f64],
        scratch: &mut Vec<Vec<f64>>,
    ) -> Result<(), LogError> {
        let first = self.origins.len();
        let place = |input: Input| match input {
            Input::Origin(at) => at,
            Input::Step(at) => first + at,
        };
        let count = first + self.steps.len();
        if scratch.len() < count {
            scratch.resize_with(count, Vec::new);
        }
        // Whether values are still float32, in which numpy and so the readers built on it go on computing.
        let mut single = vec![false; count];
        for (at, (data_type, bytes)) in raw.iter().enumerate() {
            scratch[at].resize(out.len(), 0.0);
            convert(&Simple::None, *data_type, bytes, &mut scratch[at])?;
            single[at] = *data_type == DataType::F32;
        }
        for (number, step) in self.steps.iter().enumerate() {
            let input = place(step.input);
            let (before, rest) = scratch.split_at_mut(first + number);
            let result = &mut rest[0];
            result.clear();
            let values = before[input].iter().copied();
            match &step.kind {
                Kind::Linear { slope, intercept } if single[input] => {
                    let (slope, intercept) = (*slope as f32, *intercept as f32);
                    result.extend(values.map(|x| f64::from(x as f32 * slope + intercept)));
                    single[first + number] = true;
                }
                Kind::Linear { slope, intercept } => {
                    result.extend(values.map(|x| x * slope + intercept));
                }
                Kind::Polynomial(c) if c.is_empty() => result.extend(values.map(|_| 0.0)),
                Kind::Polynomial(c) => result.extend(values.map(|x| polynomial(c, x))),
                Kind::Rtd(rtd) => result.extend(values.map(|x| rtd.celsius(x))),
                Kind::Thermistor(thermistor) => {
                    result.extend(values.map(|x| thermistor.kelvin(x)));
                }
                Kind::Strain(strain) => result.extend(values.map(|x| strain.strain(x))),
                Kind::Table(table) => result.extend(values.map(|x| table.value(x))),
                Kind::ToCelsius(family) => {
                    result.extend(values.map(|x| family.0.celsius(x / 1000.0)));
                }
                Kind::ToMicrovolts(family) => {
                    result.extend(values.map(|x| 1000.0 * family.0.millivolts(x)));
                }
                Kind::Add(other) | Kind::SubtractFrom(other) => {
                    let sign = match step.kind {
                        Kind::Add(_) => 1.0,
                        _ => -1.0,
                    };
                    let other = place(*other);
                    let pairs = values.zip(&before[other]);
                    if single[input] && single[other] {
                        result.extend(pairs.map(|(x, y)| f64::from((y + sign * x) as f32)));
                        single[first + number] = true;
                    } else {
                        result.extend(pairs.map(|(x, y)| y + sign * x));
                    }
                }
            }
        }
        out.copy_from_slice(&scratch[count - 1]);
        Ok(())
    }
}

/// Turns properties into steps, the needed ones only.
struct Builder<'a> {
    map: &'a HashMap<&'a str, &'a PropertyValue>,
    origins: Vec<Origin>,
    steps: Vec<Step>,
    done: HashMap<u64, Input>,
}

/// A scale as its properties have it.
enum Described {
    Same(u64),
    Scaler,
    One(Kind, u64, &'static str),
    Two(bool, u64, u64),
}

impl<'a> Builder<'a> {
    fn new(map: &'a HashMap<&'a str, &'a PropertyValue>) -> Builder<'a> {
        Builder {
            map,
            origins: Vec::new(),
            steps: Vec::new(),
            done: HashMap::new(),
        }
    }

    fn build(mut self, last: u64) -> Result<Scaling, LogError> {
        // A stack of its own instead of recursion: chains in a hostile file may be long.
        let mut open: Vec<(u64, Option<Described>)> = vec![(last, None)];
        let mut under_way: HashMap<u64, ()> = HashMap::new();
        while let Some((number, described)) = open.pop() {
            if self.done.contains_key(&number) {
                continue;
            }
            if number == RAW {
                let input = self.origin(Origin::Values);
                self.done.insert(number, input);
                continue;
            }
            let described = match described {
                Some(described) => {
                    let input = self.step(number, described)?;
                    under_way.remove(&number);
                    self.done.insert(number, input);
                    continue;
                }
                None => self.describe(number)?,
            };
            if under_way.insert(number, ()).is_some() {
                return Err(LogError::Unsupported(
                    "scales that take each other's results in a circle".to_owned(),
                ));
            }
            let inputs = match &described {
                Described::Same(input) | Described::One(_, input, _) => vec![*input],
                Described::Two(_, left, right) => vec![*left, *right],
                Described::Scaler => Vec::new(),
            };
            open.push((number, Some(described)));
            for input in inputs {
                if under_way.contains_key(&input) {
                    return Err(LogError::Unsupported(
                        "scales that take each other's results in a circle".to_owned(),
                    ));
                }
                if input != RAW && input > last {
                    return Err(LogError::Unsupported(format!(
                        "a scale that takes the result of scale {input}, which is not there"
                    )));
                }
                open.push((input, None));
            }
        }
        let plain = match self.done[&last] {
            Input::Origin(at) => at,
            // The wanted step was made last, so it is the last one.
            Input::Step(_) => 0,
        };
        if let Input::Origin(_) = self.done[&last] {
            self.steps.clear();
        }
        Ok(Scaling {
            origins: self.origins,
            steps: self.steps,
            plain,
        })
    }

    fn origin(&mut self, origin: Origin) -> Input {
        let known = self.origins.iter().position(|known| *known == origin);
        Input::Origin(known.unwrap_or_else(|| {
            self.origins.push(origin);
            self.origins.len() - 1
        }))
    }

    fn step(&mut self, number: u64, described: Described) -> Result<Input, LogError> {
        let (kind, input, name) = match described {
            Described::Same(input) => return Ok(self.done[&input]),
            Described::Scaler => {
                let number = u32::try_from(number)
                    .map_err(|_| LogError::Unsupported(format!("the scaler {number}")))?;
                return Ok(self.origin(Origin::Scaler(number)));
            }
            Described::One(kind, input, name) => (kind, self.done[&input], name),
            Described::Two(true, left, right) => {
                (Kind::Add(self.done[&right]), self.done[&left], "Add")
            }
            Described::Two(false, left, right) => (
                Kind::SubtractFrom(self.done[&right]),
                self.done[&left],
                "Subtract",
            ),
        };
        self.steps.push(Step { kind, input, name });
        Ok(Input::Step(self.steps.len() - 1))
    }

    fn get(&self, name: &str) -> Result<&'a PropertyValue, LogError> {
        self.map
            .get(name)
            .copied()
            .ok_or_else(|| LogError::Unsupported(format!("a scale without its property {name}")))
    }

    fn f64(&self, name: &str) -> Result<f64, LogError> {
        self.get(name)?.as_f64().ok_or_else(|| {
            LogError::Unsupported(format!("a scale whose property {name} is no number"))
        })
    }

    fn u64(&self, name: &str) -> Result<u64, LogError> {
        self.get(name)?.as_u64().ok_or_else(|| {
            LogError::Unsupported(format!("a scale whose property {name} is no whole number"))
        })
    }

    /// `size` numbers; each must be there, so a hostile size ends at the first that is missing.
    fn list(&self, name: &str, size: u64) -> Result<Vec<f64>, LogError> {
        (0..size)
            .map(|k| self.f64(&format!("{name}[{k}]")))
            .collect()
    }

    fn describe(&self, number: u64) -> Result<Described, LogError> {
        let prefix = format!("NI_Scale[{number}]");
        let Some(kind) = self.map.get(format!("{prefix}_Scale_Type").as_str()) else {
            return Ok(Described::Scaler);
        };
        let kind = kind.as_str().unwrap_or_default();
        let f64 = |name: &str| self.f64(&format!("{prefix}_{kind}_{name}"));
        let u64 = |name: &str| self.u64(&format!("{prefix}_{kind}_{name}"));
        let source = || match self
            .map
            .get(format!("{prefix}_{kind}_Input_Source").as_str())
        {
            Some(source) => source.as_u64().ok_or_else(|| {
                LogError::Unsupported(format!("a scale {kind} whose input source is no number"))
            }),
            None => Ok(RAW),
        };
        Ok(match kind {
            "Linear" => Described::One(
                Kind::Linear {
                    slope: f64("Slope")?,
                    intercept: f64("Y_Intercept")?,
                },
                source()?,
                "Linear",
            ),
            "Polynomial" => {
                let size = u64("Coefficients_Size").unwrap_or(4);
                let coefficients = self.list(&format!("{prefix}_Polynomial_Coefficients"), size)?;
                Described::One(Kind::Polynomial(coefficients), source()?, "Polynomial")
            }
            "RTD" => {
                let rtd = Rtd {
                    current: f64("Current_Excitation")?,
                    r0: f64("R0_Nominal_Resistance")?,
                    a: f64("A")?,
                    b: f64("B")?,
                    c: f64("C")?,
                    lead: f64("Lead_Wire_Resistance")?,
                    wires: u64("Resistance_Configuration")?,
                };
                Described::One(Kind::Rtd(rtd), source()?, "RTD")
            }
            "Thermistor" => {
                let excitation = u64("Excitation_Type")?;
                if !Thermistor::known_excitation(excitation) {
                    return Err(LogError::Unsupported(format!(
                        "a thermistor with an excitation of type {excitation}"
                    )));
                }
                let thermistor = Thermistor {
                    excitation,
                    excitation_value: f64("Excitation_Value")?,
                    wires: u64("Resistance_Configuration")?,
                    reference: f64("R1_Reference_Resistance")?,
                    lead: f64("Lead_Wire_Resistance")?,
                    coefficients: [f64("A")?, f64("B")?, 0.0, f64("C")?],
                    offset: f64("Temperature_Offset")?,
                };
                Described::One(Kind::Thermistor(thermistor), source()?, "Thermistor")
            }
            "Strain" => {
                let number = u64("Configuration")?;
                let bridge = Bridge::find(number).ok_or_else(|| {
                    LogError::Unsupported(format!("the strain-gage configuration {number}"))
                })?;
                let strain = Strain {
                    bridge,
                    poisson: f64("Poisson_Ratio")?,
                    gage_resistance: f64("Gage_Resistance")?,
                    lead: f64("Lead_Wire_Resistance")?,
                    initial: f64("Initial_Bridge_Voltage")?,
                    gage_factor: f64("Gage_Factor")?,
                    gain: f64("Bridge_Shunt_Calibration_Gain_Adjustment")?,
                    excitation: f64("Voltage_Excitation")?,
                };
                Described::One(Kind::Strain(strain), source()?, "Strain")
            }
            "Table" => {
                let list = |name: &str| {
                    let size = u64(&format!("{name}_Size"))?;
                    self.list(&format!("{prefix}_Table_{name}"), size)
                };
                let table = Table::new(list("Pre_Scaled_Values")?, list("Scaled_Values")?);
                let table = table.ok_or_else(|| {
                    LogError::Unsupported(
                        "a table that neither rises nor falls, or whose sides differ in length"
                            .to_owned(),
                    )
                })?;
                Described::One(Kind::Table(table), source()?, "Table")
            }
            "Thermocouple" => {
                let number = u64("Thermocouple_Type").unwrap_or(10072);
                let family = Thermocouple::find(number).ok_or_else(|| {
                    LogError::Unsupported(format!("the type of thermocouple {number}"))
                })?;
                let kind = match u64("Scaling_Direction").unwrap_or(0) {
                    1 => Kind::ToMicrovolts(Family(family)),
                    _ => Kind::ToCelsius(Family(family)),
                };
                Described::One(kind, source()?, "Thermocouple")
            }
            "Add" | "Subtract" => Described::Two(
                kind == "Add",
                u64("Left_Operand_Input_Source")?,
                u64("Right_Operand_Input_Source")?,
            ),
            "AdvancedAPI" => Described::Same(source()?),
            other => return Err(LogError::Unsupported(format!("the scale {other}"))),
        })
    }
}

/// What is applied while values are converted, without an intermediate copy.
enum Simple<'a> {
    None,
    Linear(f64, f64),
    Polynomial(&'a [f64]),
}

/// Turns little-endian `raw` values into physical ones.
fn convert(
    scale: &Simple<'_>,
    data_type: DataType,
    raw: &[u8],
    out: &mut [f64],
) -> Result<(), LogError> {
    macro_rules! each {
        ($type:ty, $convert:expr) => {{
            let (values, _) = raw.as_chunks::<{ size_of::<$type>() }>();
            scaled(
                scale,
                values,
                |bytes| $convert(<$type>::from_le_bytes(*bytes)),
                out,
            );
        }};
    }
    match data_type {
        DataType::I8 => each!(i8, f64::from),
        DataType::I16 => each!(i16, f64::from),
        DataType::I32 => each!(i32, f64::from),
        DataType::I64 => each!(i64, |v| v as f64),
        DataType::U8 | DataType::Bool => each!(u8, f64::from),
        DataType::U16 => each!(u16, f64::from),
        DataType::U32 => each!(u32, f64::from),
        DataType::U64 => each!(u64, |v| v as f64),
        DataType::F32 => match *scale {
            // numpy multiplies a float32 array by a number in float32, and so do the readers built on it.
            Simple::Linear(slope, intercept) => {
                let (slope, intercept) = (slope as f32, intercept as f32);
                let convert =
                    |bytes: &[u8; 4]| f64::from(f32::from_le_bytes(*bytes) * slope + intercept);
                let (values, _) = raw.as_chunks::<4>();
                scaled(&Simple::None, values, convert, out);
            }
            _ => each!(f32, f64::from),
        },
        DataType::F64 => each!(f64, |v| v),
        other => {
            return Err(LogError::Unsupported(format!(
                "values of type {other} as numbers"
            )));
        }
    }
    Ok(())
}

fn scaled<T>(scale: &Simple<'_>, values: &[T], convert: impl Fn(&T) -> f64, out: &mut [f64]) {
    dispatch(Conversion {
        scale,
        values,
        convert,
        out,
    });
}

/// Conversion and scale in one loop.
struct Conversion<'a, T, F> {
    scale: &'a Simple<'a>,
    values: &'a [T],
    convert: F,
    out: &'a mut [f64],
}

impl<T, F: Fn(&T) -> f64> Conversion<'_, T, F> {
    #[inline(always)]
    fn each(self, scale: impl Fn(f64) -> f64) {
        for (out, value) in self.out.iter_mut().zip(self.values) {
            *out = scale((self.convert)(value));
        }
    }
}

impl<T, F: Fn(&T) -> f64> Kernel for Conversion<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match *self.scale {
            Simple::None => self.each(|x| x),
            Simple::Linear(slope, intercept) => self.each(|x| x * slope + intercept),
            Simple::Polynomial(coefficients) => match *coefficients {
                [] => self.out.fill(0.0),
                // The lengths the hardware uses, each a loop the compiler turns into vector code.
                [a, b] => self.each(|x| polynomial(&[a, b], x)),
                [a, b, c] => self.each(|x| polynomial(&[a, b, c], x)),
                [a, b, c, d] => self.each(|x| polynomial(&[a, b, c, d], x)),
                _ => self.each(|x| polynomial(coefficients, x)),
            },
        }
    }
}

/// numpy.polynomial.polynomial.polyval: the highest coefficient plus x times zero, then downwards.
#[inline(always)]
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    let (highest, lower) = match coefficients.split_last() {
        Some(parts) => parts,
        None => return 0.0,
    };
    let mut sum = highest + x * 0.0;
    for coefficient in lower.iter().rev() {
        sum = coefficient + sum * x;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, value: &str) -> (String, PropertyValue) {
        (name.to_owned(), value.into())
    }

    fn number(name: &str, value: u32) -> (String, PropertyValue) {
        (name.to_owned(), PropertyValue::U32(value))
    }

    #[test]
    fn circles_and_missing_scales_are_named() {
        let same = |at: u32, from: u32| {
            [
                text(&format!("NI_Scale[{at}]_Scale_Type"), "AdvancedAPI"),
                number(&format!("NI_Scale[{at}]_AdvancedAPI_Input_Source"), from),
            ]
        };
        for (count, pairs, words) in [
            (1, vec![same(0, 0)], "circle"),
            (2, vec![same(0, 1), same(1, 0)], "circle"),
            (1, vec![same(0, 7)], "not there"),
        ] {
            let mut properties = vec![number("NI_Number_Of_Scales", count)];
            properties.extend(pairs.into_iter().flatten());
            let error = Scaling::from_properties(&properties)
                .unwrap_err()
                .to_string();
            assert!(error.contains(words), "{error}");
        }
        let count = [number("NI_Number_Of_Scales", u32::MAX)];
        assert!(Scaling::from_properties(&count).is_ok());
    }

    #[test]
    fn a_sum_of_sums_is_computed_once_each() {
        // Each scale doubles the one before: recursion would take 2^60 steps.
        let mut properties = vec![number("NI_Number_Of_Scales", 60)];
        for at in 0..60u32 {
            let from = at.checked_sub(1).unwrap_or(u32::MAX);
            properties.push(text(&format!("NI_Scale[{at}]_Scale_Type"), "Add"));
            for side in ["Left", "Right"] {
                let name = format!("NI_Scale[{at}]_Add_{side}_Operand_Input_Source");
                properties.push(number(&name, from));
            }
        }
        let scaling = Scaling::from_properties(&properties).unwrap().unwrap();
        let mut out = [0.0; 3];
        let raw = [(DataType::I8, &[1u8, 0, 0xFF][..])];
        scaling.apply(&raw, &mut out, &mut Vec::new()).unwrap();
        let most = (1u64 << 60) as f64;
        assert_eq!(out, [most, 0.0, -most]);
    }
}
