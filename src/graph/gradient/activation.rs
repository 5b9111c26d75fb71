//! Derivatives of the element-wise functions.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, FRAC_2_SQRT_PI};

use crate::graph::{Activation, Quantize};

/// The derivative at `x`. At a kink it is what torch gives: 0 for ReLU and at the ends of a clip.
pub(super) fn derivative(activation: Activation, x: f32) -> f32 {
    let inside = |yes: bool, slope: f32| if yes { slope } else { 0.0 };
    match activation {
        Activation::None => 1.0,
        Activation::Relu => inside(x > 0.0, 1.0),
        Activation::Clip(lo, hi) => inside(x > lo && x < hi, 1.0),
        Activation::HardSwish if x <= -3.0 => 0.0,
        Activation::HardSwish if x < 3.0 => x / 3.0 + 0.5,
        Activation::HardSwish => 1.0,
        Activation::HardSigmoid(alpha, beta) => {
            let y = alpha * x + beta;
            inside(y > 0.0 && y < 1.0, alpha)
        }
        Activation::Sigmoid => {
            let s = activation.apply(x);
            s * (1.0 - s)
        }
        Activation::Silu => swish(x, 1.0),
        Activation::Swish(beta) => swish(x, beta),
        Activation::LeakyRelu(slope) => {
            if x > 0.0 {
                1.0
            } else {
                slope
            }
        }
        Activation::Tanh => 1.0 - x.tanh().powi(2),
        Activation::Gelu => double(x, |x| {
            let normal = FRAC_2_SQRT_PI * FRAC_1_SQRT_2 / 2.0 * (-x * x / 2.0).exp();
            0.5 * (1.0 + libm::erf(x * FRAC_1_SQRT_2)) + x * normal
        }),
        Activation::GeluTanh => double(x, |x| {
            let tanh = (FRAC_2_PI.sqrt() * (x + 0.044715 * x * x * x)).tanh();
            let inner = FRAC_2_PI.sqrt() * (1.0 + 3.0 * 0.044715 * x * x);
            0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * inner
        }),
        Activation::Elu(alpha) => {
            if x > 0.0 {
                1.0
            } else {
                alpha * x.exp()
            }
        }
        Activation::Softplus => Activation::Sigmoid.apply(x),
        Activation::Mish => double(x, |x| {
            let tanh = (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh();
            tanh + x * (1.0 - tanh * tanh) / (1.0 + (-x).exp())
        }),
        Activation::Threshold(threshold) => inside(x > threshold, 1.0),
        Activation::Erf => double(x, |x| FRAC_2_SQRT_PI * (-x * x).exp()),
        Activation::Exp => x.exp(),
        Activation::Log => 1.0 / x,
        Activation::Sqrt => 0.5 / x.sqrt(),
        Activation::Abs if x == 0.0 => 0.0,
        Activation::Abs => x.signum(),
        Activation::Floor => 0.0,
        // Straight through, as `quantized`.
        Activation::Round => 1.0,
    }
}

fn swish(x: f32, beta: f32) -> f32 {
    let s = Activation::Sigmoid.apply(beta * x);
    s * (1.0 + beta * x * (1.0 - s))
}

fn double(x: f32, f: impl Fn(f64) -> f64) -> f32 {
    f(x.into()) as f32
}

/// The straight-through estimator (Bengio et al., arXiv 1308.3432): rounding counts as the identity, since its own
/// slope is 0 almost everywhere; what rounds to no level of the range has slope 0.
pub(super) fn quantized(q: &Quantize, x: f32) -> f32 {
    let level = (x / q.scale).round_ties_even() + q.zero;
    match level >= q.range[0] && level <= q.range[1] {
        true if q.dequantize => 1.0,
        true => 1.0 / q.scale,
        false => 0.0,
    }
}
