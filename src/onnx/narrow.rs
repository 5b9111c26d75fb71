//! Numbers of 8 bits and less: floats with few bits (OCP 8-bit and microscaling formats, arXiv 2209.05433 and 2310.10537)
//! and whole numbers of 2 and 4 bits. They are held as what they stand for, in single precision or as bytes.

use super::proto::data_type as kind;

/// How a float of few bits is laid out: a sign bit, then so many bits of exponent and mantissa.
struct Format {
    exponent: u32,
    mantissa: u32,
    bias: i32,
    special: Special,
}

/// Which bits of a format are no finite numbers.
#[derive(PartialEq)]
enum Special {
    /// The largest exponent, as in IEEE 754: infinities and NaN.
    Exponent,
    /// All bits of exponent and mantissa: NaN. There is no infinity.
    AllOnes,
    /// The sign alone: NaN. There is no negative zero and no infinity.
    NegativeZero,
    /// None.
    Nothing,
}

fn format(code: i32) -> Option<Format> {
    let (exponent, mantissa, bias, special) = match code {
        kind::FLOAT8E4M3FN => (4, 3, 7, Special::AllOnes),
        kind::FLOAT8E4M3FNUZ => (4, 3, 8, Special::NegativeZero),
        kind::FLOAT8E5M2 => (5, 2, 15, Special::Exponent),
        kind::FLOAT8E5M2FNUZ => (5, 2, 16, Special::NegativeZero),
        kind::FLOAT4E2M1 => (2, 1, 1, Special::Nothing),
        _ => return None,
    };
    Some(Format { exponent, mantissa, bias, special })
}

impl Format {
    /// What the bits stand for.
    fn value(&self, bits: u8) -> f32 {
        let (e, m) = (self.exponent, self.mantissa);
        let sign = if bits >> (e + m) & 1 == 1 { -1.0 } else { 1.0 };
        let (exponent, mantissa) = (i32::from(bits >> m) & ((1 << e) - 1), bits & ((1 << m) - 1));
        match self.special {
            Special::NegativeZero if bits == 1 << (e + m) => return f32::NAN,
            Special::AllOnes if exponent == (1 << e) - 1 && mantissa == (1 << m) - 1 => return f32::NAN,
            Special::Exponent if exponent == (1 << e) - 1 => {
                return if mantissa == 0 { sign * f32::INFINITY } else { f32::NAN };
            }
            _ => {}
        }
        let fraction = f32::from(mantissa) / (1 << m) as f32;
        match exponent {
            0 => sign * fraction * 2f32.powi(1 - self.bias),
            _ => sign * (1.0 + fraction) * 2f32.powi(exponent - self.bias),
        }
    }

    /// The nearest number of the format, the even one of two. What is too large becomes the largest one, or without
    /// `saturate` what the format has for it.
    fn nearest(&self, x: f32, saturate: bool) -> f32 {
        let beyond = match self.special {
            Special::Exponent => f32::INFINITY,
            _ => f32::NAN,
        };
        if x.is_nan() {
            return if self.special == Special::Nothing { 0.0 } else { x };
        }
        let all = (0..1u8 << (self.exponent + self.mantissa)).map(|bits| self.value(bits));
        let largest = all.filter(|v| v.is_finite()).fold(0.0, f32::max);
        let least = 1 - self.bias;
        let size = x.abs();
        // The step between neighbours is that of the exponent; below the least one it stays.
        let exponent = if size > 0.0 && size.is_finite() { size.log2().floor() as i32 } else { least };
        let exponent = if 2f32.powi(exponent) > size { exponent - 1 } else { exponent }.max(least);
        let step = 2f32.powi(exponent - self.mantissa as i32);
        let rounded = if size.is_finite() { (size / step).round_ties_even() * step } else { size };
        let kept = if rounded <= largest {
            rounded
        } else if saturate || self.special == Special::Nothing {
            largest
        } else {
            beyond
        };
        // A format without a negative zero has one zero.
        if kept == 0.0 && self.special == Special::NegativeZero { 0.0 } else { kept.copysign(x) }
    }
}

/// How many values one byte holds; `None` for a type that is not one of these.
pub(super) fn per_byte(code: i32) -> Option<usize> {
    match code {
        _ if format(code).is_some_and(|f| f.exponent + f.mantissa > 3) => Some(1),
        kind::FLOAT8E8M0 => Some(1),
        kind::FLOAT4E2M1 | kind::INT4 | kind::UINT4 => Some(2),
        kind::INT2 | kind::UINT2 => Some(4),
        _ => None,
    }
}

/// Whether a type's values are floats.
pub(super) fn is_float(code: i32) -> bool {
    code == kind::FLOAT8E8M0 || format(code).is_some()
}

/// The bits of each of `len` values, the lowest of a byte first.
pub(super) fn unpacked(bytes: &[u8], per_byte: usize, len: usize) -> Vec<u8> {
    let width = 8 / per_byte;
    let one = |i: usize| bytes[i / per_byte] >> (i % per_byte * width) & (u8::MAX >> (8 - width));
    (0..len.min(bytes.len() * per_byte)).map(one).collect()
}

/// The float that bits stand for.
pub(super) fn float(code: i32, bits: u8) -> f32 {
    match format(code) {
        Some(format) => format.value(bits),
        None if bits == u8::MAX => f32::NAN,
        // A power of two.
        None => 2f64.powi(i32::from(bits) - 127) as f32,
    }
}

/// The whole number that bits stand for.
pub(super) fn whole(code: i32, bits: u8) -> i8 {
    match code {
        kind::INT4 => (bits << 4) as i8 >> 4,
        kind::INT2 => (bits << 6) as i8 >> 6,
        _ => bits as i8,
    }
}

/// A float rounded to a type of few bits.
pub(super) fn rounded(code: i32, x: f32, saturate: bool, towards: &str) -> f32 {
    if let Some(format) = format(code) {
        return format.nearest(x, saturate);
    }
    if !(x.is_finite() && x >= 0.0) {
        return f32::NAN;
    }
    let power = f64::from(x).log2();
    let power = match towards {
        "down" => power.floor(),
        "nearest" => f64::from((x.to_bits() >> 23) as i32 - 127 + i32::from(x.to_bits() & 0x0040_0000 != 0)),
        _ => power.ceil(),
    };
    2f64.powf(power.clamp(-127.0, 127.0)) as f32
}

/// The least and the largest whole number of a type of 16 bits or less.
pub(super) fn range(code: i32) -> Option<[i64; 2]> {
    Some(match code {
        kind::INT8 => [-128, 127],
        kind::UINT8 => [0, 255],
        kind::INT16 => [-32768, 32767],
        kind::UINT16 => [0, 65535],
        kind::INT4 => [-8, 7],
        kind::UINT4 => [0, 15],
        kind::INT2 => [-2, 1],
        kind::UINT2 => [0, 3],
        _ => return None,
    })
}

/// A whole number as a type of few bits keeps it: its lowest bits.
pub(super) fn wrapped([low, high]: [i64; 2], value: i64) -> i64 {
    (value - low).rem_euclid(high - low + 1) + low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_have_their_largest_and_least_numbers() {
        for (code, largest, least) in [
            (kind::FLOAT8E4M3FN, 448.0, 2f32.powi(-9)),
            (kind::FLOAT8E4M3FNUZ, 240.0, 2f32.powi(-10)),
            (kind::FLOAT8E5M2, 57344.0, 2f32.powi(-16)),
            (kind::FLOAT8E5M2FNUZ, 57344.0, 2f32.powi(-17)),
            (kind::FLOAT4E2M1, 6.0, 0.5),
        ] {
            let values: Vec<f32> = (0..=127).map(|b| float(code, b)).filter(|v| v.is_finite()).collect();
            let values = &values[..values.len().min(if code == kind::FLOAT4E2M1 { 8 } else { 128 })];
            assert_eq!(values.iter().copied().fold(0.0, f32::max), largest);
            assert_eq!(values.iter().copied().filter(|v| *v > 0.0).fold(9.0, f32::min), least);
            // Every number of a format rounds to itself, and what lies between two to one of them.
            values.iter().for_each(|&v| assert_eq!(rounded(code, v, true, ""), v));
            for pair in values.windows(2) {
                let between = rounded(code, pair[0] + 0.4 * (pair[1] - pair[0]), true, "");
                assert_eq!(between, pair[0], "between {pair:?}");
            }
            assert_eq!(rounded(code, -1e9, true, ""), -largest);
        }
    }

    #[test]
    fn small_whole_numbers_lie_lowest_first() {
        assert_eq!(unpacked(&[0b1110_0001, 0b11], 2, 3), [1, 14, 3]);
        assert_eq!(unpacked(&[0b1110_0001], 4, 4), [1, 0, 2, 3]);
        assert_eq!([whole(kind::INT4, 14), whole(kind::INT2, 2), whole(kind::UINT4, 14)], [-2, -2, 14]);
        assert_eq!([wrapped([-8, 7], -9), wrapped([0, 3], -3), wrapped([-8, 7], 8)], [7, 1, -8]);
    }
}
