//! Normalisation and softmax of rows in one piece. Plain loops over lanes, which the compiler vectorises for each
//! instruction set.

use super::Isa;
use super::activate::exp;
use super::bounds::ensure;
use super::isa::dispatch;
use super::simd::Simd;
use crate::error::Result;

/// Sums are kept in as many lanes, so that they vectorise (and lose less).
const LANES: usize = 16;

/// `y = (x - mean) / sqrt(variance + epsilon) * scale + bias` for each row of as many values as `scale`.
pub(in super::super) fn layer_norm(
    isa: Isa,
    [scale, bias]: [&[f32]; 2],
    epsilon: f32,
    x: &[f32],
    y: &mut [f32],
) -> Result<()> {
    let fits = scale.len() == bias.len() && !scale.is_empty() && x.len().is_multiple_of(scale.len());
    ensure(fits && x.len() == y.len(), "a normalised row")?;
    let mut args = Norm { scale, bias, epsilon, x, y };
    let kernel = dispatch!(isa, normalise, &mut Norm);
    // SAFETY: the kernel is safe code.
    unsafe { kernel(&mut args) };
    Ok(())
}

struct Norm<'a> {
    scale: &'a [f32],
    bias: &'a [f32],
    epsilon: f32,
    x: &'a [f32],
    y: &'a mut [f32],
}

/// `sum f(v)` over a row.
#[inline(always)]
fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane += f(v);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|&v| f(v)).sum::<f32>()
}

#[inline(always)]
fn normalise<S: Simd>(_: S, a: &mut Norm) {
    // The vectors are the compiler's choice, here and in `shares`.
    let n = a.scale.len();
    for (x, y) in a.x.chunks_exact(n).zip(a.y.chunks_exact_mut(n)) {
        // Relative to one of the values, so that a large common offset costs no digits.
        let origin = x[0];
        let mean = sum(x, |v| v - origin) / n as f32;
        let variance = sum(x, |v| (v - origin - mean) * (v - origin - mean)) / n as f32;
        let factor = 1.0 / (variance + a.epsilon).sqrt();
        for (((y, &x), &s), &b) in y.iter_mut().zip(x).zip(a.scale).zip(a.bias) {
            *y = (x - origin - mean) * factor * s + b;
        }
    }
}

/// The values of a mask, and where in them a row begins with the step between its values.
pub(in super::super) type Mask<'a> = (&'a [f32], &'a dyn Fn(usize) -> (usize, usize));

/// `exp(x) / sum(exp(x))` of each row of `n` values, in place, where `x` is `scale` times the value plus the mask.
///
/// `mask` gives for a row the first value to add and the step between them (0 or 1); none adds nothing.
pub(in super::super) fn softmax(isa: Isa, n: usize, scale: f32, mask: Option<Mask<'_>>, y: &mut [f32]) -> Result<()> {
    ensure(n > 0 && y.len().is_multiple_of(n), "a row of shares")?;
    for (i, row) in y.chunks_exact_mut(n).enumerate() {
        match mask {
            None => row.iter_mut().for_each(|v| *v *= scale),
            Some((mask, place)) => {
                let (start, step) = place(i);
                let last = (n - 1).checked_mul(step).and_then(|at| at.checked_add(start));
                ensure(last.is_some_and(|last| last < mask.len()), "a mask")?;
                match step {
                    0 => row.iter_mut().for_each(|v| *v = *v * scale + mask[start]),
                    _ => row.iter_mut().zip(&mask[start..]).for_each(|(v, m)| *v = *v * scale + m),
                }
            }
        }
    }
    let mut args = Rows { n, y };
    let kernel = dispatch!(isa, shares, &mut Rows);
    // SAFETY: the kernel is safe code.
    unsafe { kernel(&mut args) };
    Ok(())
}

struct Rows<'a> {
    n: usize,
    y: &'a mut [f32],
}

#[inline(always)]
fn shares<S: Simd>(_: S, a: &mut Rows) {
    for row in a.y.chunks_exact_mut(a.n) {
        let mut lanes = [f32::NEG_INFINITY; LANES];
        let (chunks, rest) = row.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, &v) in lanes.iter_mut().zip(chunk) {
                *lane = lane.max(v);
            }
        }
        let top = lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |m, &v| m.max(v));
        // What is masked by -infinity has no share, as far below the largest as it is.
        row.iter_mut().for_each(|v| *v = if *v - top > -87.0 { exp(*v - top) } else { 0.0 });
        let factor = 1.0 / sum(row, |v| v);
        row.iter_mut().for_each(|v| *v *= factor);
    }
}
