//! Samples as numbers: little-endian bytes in, any alignment.

use daqring_log::{DataType, Scale};

use crate::dispatch::{Kernel, dispatch};

/// Whether samples of the type are real numbers that stages can work on.
pub(crate) fn is_real(data_type: DataType) -> bool {
    matches!(
        data_type,
        DataType::I8
            | DataType::U8
            | DataType::Bool
            | DataType::I16
            | DataType::U16
            | DataType::I32
            | DataType::U32
            | DataType::F32
            | DataType::F64
    )
}

/// A type of samples.
pub(crate) trait Sample: Copy + PartialOrd + Send + Sync + 'static {
    /// Its bytes.
    type Bytes: Copy;
    /// Whether sums of it are exact in integers.
    const INTEGER: bool;
    /// Least and greatest value.
    const LEAST: Self;
    const GREATEST: Self;
    /// What there is of no values: not a number, where the type has that.
    const NOTHING: Self;

    fn values(run: &[u8]) -> &[Self::Bytes];
    fn get(bytes: &Self::Bytes) -> Self;
    fn to_f64(self) -> f64;
    /// For integers of up to 32 bits.
    fn to_i64(self) -> i64;
    fn put(self, out: &mut Vec<u8>);
}

macro_rules! samples {
    ($($type:ty, $integer:expr, $least:expr, $greatest:expr, $nothing:expr;)*) => {$(
        impl Sample for $type {
            type Bytes = [u8; size_of::<$type>()];
            const INTEGER: bool = $integer;
            const LEAST: Self = $least;
            const GREATEST: Self = $greatest;
            const NOTHING: Self = $nothing;

            #[inline(always)]
            fn values(run: &[u8]) -> &[Self::Bytes] {
                run.as_chunks().0
            }

            #[inline(always)]
            fn get(bytes: &Self::Bytes) -> Self {
                <$type>::from_le_bytes(*bytes)
            }

            #[inline(always)]
            #[allow(clippy::cast_lossless, clippy::unnecessary_cast)]
            fn to_f64(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            #[allow(clippy::cast_lossless, clippy::unnecessary_cast)]
            fn to_i64(self) -> i64 {
                self as i64
            }

            fn put(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

samples! {
    i8, true, i8::MIN, i8::MAX, 0;
    u8, true, u8::MIN, u8::MAX, 0;
    i16, true, i16::MIN, i16::MAX, 0;
    u16, true, u16::MIN, u16::MAX, 0;
    i32, true, i32::MIN, i32::MAX, 0;
    u32, true, u32::MIN, u32::MAX, 0;
    f32, false, f32::NEG_INFINITY, f32::INFINITY, f32::NAN;
    f64, false, f64::NEG_INFINITY, f64::INFINITY, f64::NAN;
}

/// Runs an expression with `$S` standing for the type of the samples. The types are those of
/// [`is_real`], which [`crate::Layout`] has checked.
macro_rules! for_type {
    ($data_type:expr, $S:ident => $run:expr) => {
        match $data_type {
            daqring_log::DataType::I8 => {
                type $S = i8;
                $run
            }
            // Lines are 0 or 1.
            daqring_log::DataType::U8 | daqring_log::DataType::Bool => {
                type $S = u8;
                $run
            }
            daqring_log::DataType::I16 => {
                type $S = i16;
                $run
            }
            daqring_log::DataType::U16 => {
                type $S = u16;
                $run
            }
            daqring_log::DataType::I32 => {
                type $S = i32;
                $run
            }
            daqring_log::DataType::U32 => {
                type $S = u32;
                $run
            }
            daqring_log::DataType::F32 => {
                type $S = f32;
                $run
            }
            _ => {
                type $S = f64;
                $run
            }
        }
    };
}
pub(crate) use for_type;

/// The polynomial of a scale, ascending; empty where there is nothing to scale.
pub(crate) fn coefficients(scale: &Scale) -> Vec<f64> {
    match scale {
        Scale::Linear { slope, intercept } => vec![*intercept, *slope],
        Scale::Polynomial(coefficients) => coefficients.clone(),
        _ => Vec::new(),
    }
}

/// As numpy's `polyval`: highest coefficient first, no fused operations.
#[inline(always)]
pub(crate) fn polynomial<const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    let mut sum = coefficients[N - 1];
    for k in (0..N - 1).rev() {
        sum = coefficients[k] + sum * x;
    }
    sum
}

/// A number to be written as bytes.
pub(crate) trait Float: Copy + 'static {
    type Out: Copy;
    fn store(value: f64, out: &mut Self::Out);
    fn places(out: &mut [u8]) -> &mut [Self::Out];
}

impl Float for f64 {
    type Out = [u8; 8];

    #[inline(always)]
    fn store(value: f64, out: &mut [u8; 8]) {
        *out = value.to_le_bytes();
    }

    fn places(out: &mut [u8]) -> &mut [[u8; 8]] {
        out.as_chunks_mut().0
    }
}

impl Float for f32 {
    type Out = [u8; 4];

    #[inline(always)]
    fn store(value: f64, out: &mut [u8; 4]) {
        *out = (value as f32).to_le_bytes();
    }

    fn places(out: &mut [u8]) -> &mut [[u8; 4]] {
        out.as_chunks_mut().0
    }
}

struct Scaling<'a, S: Sample, F: Float> {
    values: &'a [S::Bytes],
    out: &'a mut [F::Out],
    coefficients: &'a [f64],
}

impl<S: Sample, F: Float> Scaling<'_, S, F> {
    #[inline(always)]
    fn with<const N: usize>(self, coefficients: [f64; N]) {
        for (out, value) in self.out.iter_mut().zip(self.values) {
            F::store(polynomial(&coefficients, S::get(value).to_f64()), out);
        }
    }
}

impl<S: Sample, F: Float> Kernel for Scaling<'_, S, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match *self.coefficients {
            [] => {
                for (out, value) in self.out.iter_mut().zip(self.values) {
                    F::store(S::get(value).to_f64(), out);
                }
            }
            [a] => self.with([a]),
            [a, b] => self.with([a, b]),
            [a, b, c] => self.with([a, b, c]),
            [a, b, c, d] => self.with([a, b, c, d]),
            ref any => {
                for (out, value) in self.out.iter_mut().zip(self.values) {
                    let x = S::get(value).to_f64();
                    let sum = any.iter().rev().fold(0.0, |sum, k| k + sum * x);
                    F::store(sum, out);
                }
            }
        }
    }
}

/// Scales the samples of a run into floats, as bytes. `coefficients` as from [`coefficients`].
pub(crate) fn scale_run<S: Sample, F: Float>(run: &[u8], coefficients: &[f64], out: &mut [u8]) {
    dispatch(Scaling::<S, F> {
        values: S::values(run),
        out: F::places(out),
        coefficients,
    });
}

struct Physical<'a, S: Sample> {
    values: &'a [S::Bytes],
    out: &'a mut [f64],
    coefficients: &'a [f64],
}

impl<S: Sample> Physical<'_, S> {
    #[inline(always)]
    fn with<const N: usize>(self, coefficients: [f64; N]) {
        for (out, value) in self.out.iter_mut().zip(self.values) {
            *out = polynomial(&coefficients, S::get(value).to_f64());
        }
    }
}

impl<S: Sample> Kernel for Physical<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match *self.coefficients {
            [] => {
                for (out, value) in self.out.iter_mut().zip(self.values) {
                    *out = S::get(value).to_f64();
                }
            }
            [a] => self.with([a]),
            [a, b] => self.with([a, b]),
            [a, b, c] => self.with([a, b, c]),
            [a, b, c, d] => self.with([a, b, c, d]),
            ref any => {
                for (out, value) in self.out.iter_mut().zip(self.values) {
                    let x = S::get(value).to_f64();
                    *out = any.iter().rev().fold(0.0, |sum, k| k + sum * x);
                }
            }
        }
    }
}

/// Scales the samples of a run into numbers.
pub(crate) fn physical(data_type: DataType, run: &[u8], coefficients: &[f64], out: &mut [f64]) {
    for_type!(data_type, S => dispatch(Physical::<S> {
        values: S::values(run),
        out,
        coefficients,
    }));
}

/// Whether the scale is increasing over all codes of the type (or at least -2^31 .. 2^32 for floats,
/// which carry no scale in a recording); `None` where it is neither increasing nor decreasing.
pub(crate) fn direction(data_type: DataType, coefficients: &[f64]) -> Option<bool> {
    let (least, greatest) = for_type!(data_type, S => (S::LEAST.to_f64(), S::GREATEST.to_f64()));
    match coefficients {
        [] => return Some(true),
        [_] => return None,
        [_, slope] => return (*slope != 0.0).then_some(*slope > 0.0),
        _ if !least.is_finite() => return None,
        _ => {}
    }
    // The derivative, looked at in so many places that a cubic cannot turn between two of them
    // without it showing by more than rounding.
    let slope = |x: f64| {
        coefficients
            .iter()
            .enumerate()
            .skip(1)
            .rev()
            .fold(0.0, |sum, (k, c)| c * k as f64 + sum * x)
    };
    let steps = 1 << 12;
    let at = |step: i32| slope(least + (greatest - least) * f64::from(step) / f64::from(steps));
    let rising = at(0) > 0.0;
    (0..=steps)
        .all(|step| {
            if rising {
                at(step) > 0.0
            } else {
                at(step) < 0.0
            }
        })
        .then_some(rising)
}
