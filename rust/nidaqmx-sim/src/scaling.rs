//! The way from a code of the converter to volts: a polynomial of four coefficients.

/// Coefficients of the device polynomial, lowest power first.
pub(crate) type Polynomial = [f64; 4];

/// The polynomial of one channel in one range.
///
/// Gain and offset differ a little from channel to channel and the higher powers are not zero, as
/// on a calibrated device, so that a program that scales wrongly is seen to.
pub(crate) fn device_polynomial(channel: u32, range: f64, bits: u32) -> Polynomial {
    let full = (1u64 << (bits - 1)) as f64;
    // A little more than the range, so that its ends stay inside of the codes.
    let gain = range * 1.0125 / full * (1.0 + 1e-5 * f64::from(channel % 16));
    let offset = range * 1e-5 * (f64::from(channel % 7) - 3.0);
    [
        offset,
        gain,
        gain * 3.0e-8 / full,
        gain * -2.0e-8 / (full * full),
    ]
}

/// Horner's scheme, each step rounded: the order in which `numpy.polynomial.polynomial.polyval`
/// computes, so that both give the same bits.
#[inline(always)]
pub(crate) fn evaluate(polynomial: &Polynomial, code: f64) -> f64 {
    let mut value = polynomial[3] + code * 0.0;
    value = polynomial[2] + value * code;
    value = polynomial[1] + value * code;
    polynomial[0] + value * code
}

/// The code whose value is nearest to so many volts, within the converter's limits.
pub(crate) fn invert(polynomial: &Polynomial, volts: f64, bits: u32) -> i32 {
    let full = (1i64 << (bits - 1)) as f64;
    let mut code = (volts - polynomial[0]) / polynomial[1];
    for _ in 0..3 {
        let slope = polynomial[1] + code * (2.0 * polynomial[2] + 3.0 * polynomial[3] * code);
        code -= (evaluate(polynomial, code) - volts) / slope;
    }
    if code.is_nan() {
        0
    } else {
        code.round().clamp(-full, full - 1.0) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inversion_finds_the_code_again() {
        for bits in [14, 16, 24] {
            for channel in [0, 3, 31] {
                let polynomial = device_polynomial(channel, 5.0, bits);
                let full = 1i32 << (bits - 1);
                for code in [-full, -full / 3, -1, 0, 1, full / 7, full - 1] {
                    let volts = evaluate(&polynomial, f64::from(code));
                    assert_eq!(invert(&polynomial, volts, bits), code);
                }
                assert!(evaluate(&polynomial, f64::from(full - 1)) > 5.0);
            }
        }
        let polynomial = device_polynomial(0, 10.0, 16);
        assert_eq!(invert(&polynomial, 1e9, 16), 32767);
        assert_eq!(invert(&polynomial, f64::NAN, 16), 0);
    }
}
