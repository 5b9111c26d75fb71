//! Element-wise functions of one tensor.

use candle_core::{Result, Tensor};
use candle_nn::ops;

use crate::graph::{Activation, Quantize};

/// The function of every element.
pub(super) fn activation(function: Activation, x: &Tensor) -> Result<Tensor> {
    match function {
        Activation::None => Ok(x.clone()),
        Activation::Relu => x.relu(),
        Activation::Clip(lo, hi) => x.clamp(lo, hi),
        Activation::HardSwish => x * x.affine(1.0 / 6.0, 0.5)?.clamp(0f32, 1f32)?,
        Activation::HardSigmoid(alpha, beta) => x.affine(alpha.into(), beta.into())?.clamp(0f32, 1f32),
        Activation::Sigmoid => ops::sigmoid(x),
        Activation::Silu => ops::silu(x),
        Activation::LeakyRelu(slope) => x.lt(0f32)?.where_cond(&x.affine(slope.into(), 0.0)?, x),
        Activation::Tanh => x.tanh(),
        Activation::Swish(beta) => x * ops::sigmoid(&x.affine(beta.into(), 0.0)?)?,
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Elu(alpha) => x.gt(0f32)?.where_cond(x, &exp_m1(x)?.affine(alpha.into(), 0.0)?),
        Activation::Softplus => softplus(x),
        Activation::Mish => x * softplus(x)?.tanh()?,
        Activation::Threshold(threshold) => x.gt(threshold)?.where_cond(x, &x.zeros_like()?),
        Activation::Erf => x.erf(),
        Activation::Exp => x.exp(),
        Activation::Log => x.log(),
        Activation::Sqrt => x.sqrt(),
        Activation::Abs => x.abs(),
        Activation::Floor => x.floor(),
        Activation::Round => round_ties_even(x),
    }
}

/// `exp(x) - 1` where `x` is not positive: `2 t / (1 - t)` with `t = tanh(x / 2)`, since the difference itself, which
/// is what candle's own ELU takes, cancels near zero.
fn exp_m1(x: &Tensor) -> Result<Tensor> {
    let t = x.minimum(0f32)?.affine(0.5, 0.0)?.tanh()?;
    t.affine(2.0, 0.0)? / t.affine(-1.0, 1.0)?
}

/// `ln(1 + exp(x))`, without overflow.
fn softplus(x: &Tensor) -> Result<Tensor> {
    x.relu()? + x.abs()?.neg()?.exp()?.affine(1.0, 1.0)?.log()?
}

/// candle rounds halves away from zero; of a half, twice the rounded half of it is the even neighbour.
fn round_ties_even(x: &Tensor) -> Result<Tensor> {
    let halves = (x - x.floor()?)?.eq(0.5f32)?;
    halves.where_cond(&x.affine(0.5, 0.0)?.round()?.affine(2.0, 0.0)?, &x.round()?)
}

/// Levels of a quantisation, or what they stand for.
pub(super) fn quantize(q: &Quantize, x: &Tensor) -> Result<Tensor> {
    // A division, and not a product with the reciprocal, which rounds differently.
    let scale = Tensor::full(q.scale, 1, x.device())?;
    let levels = round_ties_even(&x.broadcast_div(&scale)?)?.affine(1.0, q.zero.into())?;
    let levels = levels.clamp(q.range[0], q.range[1])?;
    match q.dequantize {
        true => levels.affine(1.0, -f64::from(q.zero))?.broadcast_mul(&scale),
        false => Ok(levels),
    }
}
