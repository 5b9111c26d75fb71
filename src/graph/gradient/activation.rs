//! Derivatives of the element-wise functions.

use crate::graph::Activation;

/// The derivative at `x`. At a kink it is what torch gives: 0 for ReLU and at the ends of a clip.
pub(super) fn derivative(activation: Activation, x: f32) -> f32 {
    let inside = |yes: bool, slope: f32| if yes { slope } else { 0.0 };
    match activation {
        Activation::None => 1.0,
        Activation::Relu => inside(x > 0.0, 1.0),
        Activation::Clip(lo, hi) => inside(x > lo && x < hi, 1.0),
        Activation::HardSwish => {
            if x <= -3.0 {
                0.0
            } else if x < 3.0 {
                x / 3.0 + 0.5
            } else {
                1.0
            }
        }
        Activation::HardSigmoid(alpha, beta) => {
            let y = alpha * x + beta;
            inside(y > 0.0 && y < 1.0, alpha)
        }
        Activation::Sigmoid => {
            let s = activation.apply(x);
            s * (1.0 - s)
        }
        Activation::Silu => {
            let s = Activation::Sigmoid.apply(x);
            s * (1.0 + x * (1.0 - s))
        }
        Activation::LeakyRelu(slope) => {
            if x > 0.0 {
                1.0
            } else {
                slope
            }
        }
        Activation::Tanh => 1.0 - x.tanh().powi(2),
    }
}
