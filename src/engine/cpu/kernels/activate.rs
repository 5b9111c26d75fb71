//! Element-wise functions in place, for what a product cannot clamp as it stores. Plain branch-free loops, which the
//! compiler vectorises for each instruction set.

use super::Isa;
use super::isa::dispatch;
use super::simd::Simd;
use crate::graph::Activation;

/// `y = activation(y)`.
pub(in super::super) fn activate(isa: Isa, activation: Activation, y: &mut [f32]) {
    let mut args = Args { activation, y };
    let kernel = dispatch!(isa, each, &mut Args);
    // SAFETY: the kernel is safe code.
    unsafe { kernel(&mut args) };
}

struct Args<'a> {
    activation: Activation,
    y: &'a mut [f32],
}

#[inline(always)]
fn each<S: Simd>(_: S, args: &mut Args) {
    // The vectors are the compiler's choice.
    let y = args.y.iter_mut();
    match args.activation {
        Activation::None => {}
        Activation::Relu => y.for_each(|v| *v = v.max(0.0)),
        Activation::Clip(lo, hi) => y.for_each(|v| *v = v.max(lo).min(hi)),
        Activation::HardSwish => y.for_each(|v| *v *= (*v / 6.0 + 0.5).clamp(0.0, 1.0)),
        Activation::HardSigmoid(alpha, beta) => y.for_each(|v| *v = (alpha * *v + beta).clamp(0.0, 1.0)),
        Activation::Sigmoid => y.for_each(|v| *v = 1.0 / (1.0 + exp(-*v))),
        Activation::Silu => y.for_each(|v| *v /= 1.0 + exp(-*v)),
        Activation::LeakyRelu(slope) => y.for_each(|v| *v = if *v < 0.0 { slope * *v } else { *v }),
        // Already near zero `exp` would cancel, and no network is slow for its tanh.
        Activation::Tanh => y.for_each(|v| *v = v.tanh()),
        Activation::Swish(beta) => y.for_each(|v| *v /= 1.0 + exp(-beta * *v)),
        Activation::Gelu => y.for_each(|v| *v *= 0.5 + 0.5 * erf_beside_one(*v * std::f32::consts::FRAC_1_SQRT_2)),
        // (1 + tanh(u)) / 2 is the logistic function of 2 u; 1.5957691 is 2 sqrt(2 / pi).
        Activation::GeluTanh => y.for_each(|v| *v /= 1.0 + exp(-1.595_769 * (*v + 0.044_715 * *v * *v * *v))),
        Activation::Elu(alpha) => y.for_each(|v| *v = if *v > 0.0 { *v } else { alpha * exp_m1(v.min(0.0)) }),
        // tanh(ln(1 + e)) is (e^2 + 2 e) / (e^2 + 2 e + 2), and 1 long before that overflows.
        Activation::Mish => y.for_each(|v| {
            let e = exp(v.min(20.0));
            *v *= e * (e + 2.0) / (e * (e + 2.0) + 2.0);
        }),
        Activation::Erf => y.for_each(|v| *v = erf(*v)),
        Activation::Exp => y.for_each(|v| *v = exp(*v)),
        Activation::Sqrt => y.for_each(|v| *v = v.sqrt()),
        Activation::Abs => y.for_each(|v| *v = v.abs()),
        other => y.for_each(|v| *v = other.apply(*v)),
    }
}

/// `e^x` to about two units in the last place, without a branch or a table: `2^n e^r` with `|r| <= ln(2) / 2` and the
/// Taylor polynomial of `e^r`. Below -87 and above 88 it stays at the values there.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    /// Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    /// The first digits of ln 2, exact in products with small integers, and the rest.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = x - n * LN_2[0] - n * LN_2[1];
    (polynomial(&EXP_M1, r) * r + 1.0) * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

/// `e^x - 1`, which near zero would cancel.
#[inline(always)]
fn exp_m1(x: f32) -> f32 {
    if x.abs() < 0.34 { x * polynomial(&EXP_M1, x) } else { exp(x) - 1.0 }
}

/// The error function to a few units in the last place: near zero its series, in which nothing cancels.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let near = x * std::f32::consts::FRAC_2_SQRT_PI * polynomial(&ERF, x * x);
    if x.abs() < 0.5 { near } else { erf_beside_one(x) }
}

/// The Taylor polynomial of `(e^x - 1) / x`, from the highest power.
const EXP_M1: [f32; 7] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0];
/// That of `erf(x) / x` in `x^2`, without its factor `2 / sqrt(pi)`.
const ERF: [f32; 6] = [-1.0 / 1320.0, 1.0 / 216.0, -1.0 / 42.0, 0.1, -1.0 / 3.0, 1.0];

#[inline(always)]
fn polynomial(terms: &[f32], x: f32) -> f32 {
    terms.iter().fold(0.0, |p, t| p * x + t)
}

/// The error function within 2e-7, which is enough where one is added to it (Abramowitz and Stegun, Handbook of
/// Mathematical Functions, 7.1.26).
#[inline(always)]
fn erf_beside_one(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let terms = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6, 0.0];
    (1.0 - polynomial(&terms, t) * exp(-x * x)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_what_the_graph_defines() {
        let all = [
            Activation::None,
            Activation::Relu,
            Activation::Clip(-0.5, 6.0),
            Activation::HardSwish,
            Activation::HardSigmoid(0.2, 0.5),
            Activation::Sigmoid,
            Activation::Silu,
            Activation::LeakyRelu(0.1),
            Activation::Tanh,
            Activation::Swish(1.702),
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::Elu(0.7),
            Activation::Softplus,
            Activation::Mish,
            Activation::Threshold(0.3),
            Activation::Erf,
            Activation::Abs,
            Activation::Floor,
            Activation::Round,
        ];
        // Miri takes its time.
        let step = if cfg!(miri) { 97 } else { 1 };
        let x: Vec<f32> = (-2000..2000)
            .step_by(step)
            .map(|i| i as f32 * 0.061)
            .chain([0.0, -0.0, 1e-30, 1e-8, -1e-8, 3e-4, -200.0, 200.0])
            .collect();
        for isa in Isa::available() {
            for a in all {
                let mut y = x.clone();
                activate(isa, a, &mut y);
                for (&x, &y) in x.iter().zip(&y) {
                    let expected = a.apply(x);
                    let off = (y - expected).abs();
                    // These end in a difference that cancels far below zero.
                    let cancels = matches!(a, Activation::Gelu | Activation::GeluTanh);
                    let near = if cancels { 4e-7 * x.abs().max(1.0) } else { 0.0 };
                    assert!(off <= near + 1e-6 * expected.abs() + 1e-28, "{a:?}({x}) = {y}, and should be {expected}");
                }
            }
        }
    }
}
