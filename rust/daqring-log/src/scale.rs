//! From recorded to physical values, bit for bit as numpy does it: no fused multiply-add, Horner's order.

use crate::error::LogError;
use crate::layout::{DataType, PropertyValue, Scale, property};

/// Reads the NI scaling properties of a channel.
///
/// # Errors
/// [`LogError::Unsupported`] for scales other than linear and polynomial.
pub(crate) fn from_properties(properties: &[(String, PropertyValue)]) -> Result<Scale, LogError> {
    let number = |name: &str| property(properties, name).and_then(PropertyValue::as_f64);
    let text = |name: &str| property(properties, name).and_then(PropertyValue::as_str);
    let count = property(properties, "NI_Number_Of_Scales").and_then(PropertyValue::as_u64);
    if text("NI_Scaling_Status") == Some("scaled") || count.unwrap_or(0) == 0 {
        return Ok(Scale::None);
    }
    if count != Some(1) {
        return Err(LogError::Unsupported("chains of scales".to_owned()));
    }
    let missing =
        |name: &str| LogError::Unsupported(format!("a scale without its property {name}"));
    match text("NI_Scale[0]_Scale_Type") {
        Some("Linear") => {
            let get = |name: &str| number(name).ok_or_else(|| missing(name));
            Ok(Scale::Linear {
                slope: get("NI_Scale[0]_Linear_Slope")?,
                intercept: get("NI_Scale[0]_Linear_Y_Intercept")?,
            })
        }
        Some("Polynomial") => {
            let size = property(properties, "NI_Scale[0]_Polynomial_Coefficients_Size")
                .and_then(PropertyValue::as_u64)
                .unwrap_or(4);
            // Each coefficient must be there, so a hostile size ends at the first that is missing.
            let mut coefficients = Vec::new();
            for k in 0..size {
                let name = format!("NI_Scale[0]_Polynomial_Coefficients[{k}]");
                coefficients.push(number(&name).ok_or_else(|| missing(&name))?);
            }
            Ok(Scale::Polynomial(coefficients))
        }
        Some(other) => Err(LogError::Unsupported(format!("the scale {other}"))),
        None => Err(missing("NI_Scale[0]_Scale_Type")),
    }
}

/// Turns little-endian `raw` values into physical ones.
///
/// # Errors
/// [`LogError::Unsupported`] for values that are no real numbers.
pub(crate) fn apply(
    scale: &Scale,
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
            Scale::Linear { slope, intercept } => {
                let (slope, intercept) = (slope as f32, intercept as f32);
                let convert =
                    |bytes: &[u8; 4]| f64::from(f32::from_le_bytes(*bytes) * slope + intercept);
                let (values, _) = raw.as_chunks::<4>();
                scaled(&Scale::None, values, convert, out);
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

fn scaled<T>(scale: &Scale, values: &[T], convert: impl Fn(&T) -> f64, out: &mut [f64]) {
    let pairs = out.iter_mut().zip(values);
    match scale {
        Scale::None => pairs.for_each(|(out, value)| *out = convert(value)),
        Scale::Linear { slope, intercept } => {
            pairs.for_each(|(out, value)| *out = convert(value) * slope + intercept);
        }
        Scale::Polynomial(coefficients) => match coefficients.as_slice() {
            [] => out.fill(0.0),
            // The lengths the hardware uses, each a loop the compiler turns into vector code.
            [a, b] => horner(&[*a, *b], pairs.map(|(o, v)| (o, convert(v)))),
            [a, b, c] => horner(&[*a, *b, *c], pairs.map(|(o, v)| (o, convert(v)))),
            [a, b, c, d] => horner(&[*a, *b, *c, *d], pairs.map(|(o, v)| (o, convert(v)))),
            any => pairs.for_each(|(out, value)| *out = polynomial(any, convert(value))),
        },
    }
}

fn horner<'o, const N: usize>(
    coefficients: &[f64; N],
    pairs: impl Iterator<Item = (&'o mut f64, f64)>,
) {
    pairs.for_each(|(out, x)| *out = polynomial(coefficients, x));
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
