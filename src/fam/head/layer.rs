//! The layers of a transformation module: what each computes, and its vector-Jacobian product.

use std::fmt;

/// One layer.
#[derive(Clone, PartialEq, Debug)]
pub enum Layer {
    /// `W x + b`.
    Linear {
        /// Number of values it takes.
        inputs: usize,
        /// `W`, row-major, one row an output.
        weight: Vec<f32>,
        /// `b`, one value an output.
        bias: Vec<f32>,
    },
    /// `s x + t`, value by value: BatchNormalization with its running statistics.
    Scale {
        /// `s`.
        scale: Vec<f32>,
        /// `t`.
        shift: Vec<f32>,
    },
    /// A function of each value.
    Activation(Activation),
}

/// A function of one value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, a), b)`.
    Clip(f32, f32),
    /// `x`, times this below zero.
    LeakyRelu(f32),
    /// `x Phi(x)`, with `Phi` the normal distribution (arXiv 1606.08415).
    Gelu,
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
}

impl Layer {
    /// A linear layer without its own bias is one with zeros.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Linear { inputs, weight, bias } if *inputs == 0 || weight.len() != inputs * bias.len() => {
                Err(format!("{} weights are not {} x {inputs}", weight.len(), bias.len()))
            }
            Self::Scale { scale, shift } if scale.len() != shift.len() || scale.is_empty() => {
                Err(format!("{} scales and {} shifts", scale.len(), shift.len()))
            }
            _ => Ok(()),
        }
    }

    /// Number of values it takes; `None` if any.
    pub fn inputs(&self) -> Option<usize> {
        match self {
            Self::Linear { inputs, .. } => Some(*inputs),
            Self::Scale { scale, .. } => Some(scale.len()),
            Self::Activation(_) => None,
        }
    }

    /// Number of values it gives; `None` if as many as it takes.
    pub fn outputs(&self) -> Option<usize> {
        match self {
            Self::Linear { bias, .. } => Some(bias.len()),
            Self::Scale { scale, .. } => Some(scale.len()),
            Self::Activation(_) => None,
        }
    }

    pub(super) fn forward(&self, x: &[f32]) -> Vec<f32> {
        match self {
            Self::Linear { inputs, weight, bias } => {
                let row = |(row, &b): (&[f32], &f32)| (super::super::similarity::dot(row, x) + f64::from(b)) as f32;
                weight.chunks_exact(*inputs).zip(bias).map(row).collect()
            }
            Self::Scale { scale, shift } => x.iter().zip(scale).zip(shift).map(|((x, s), t)| x * s + t).collect(),
            Self::Activation(function) => x.iter().map(|&x| function.value(f64::from(x)) as f32).collect(),
        }
    }

    /// `J' d` at `x`.
    pub(super) fn pull_back(&self, x: &[f32], d: &[f32]) -> Vec<f32> {
        match self {
            Self::Linear { inputs, weight, .. } => {
                let mut sum = vec![0f64; *inputs];
                for (row, &d) in weight.chunks_exact(*inputs).zip(d) {
                    sum.iter_mut().zip(row).for_each(|(s, &w)| *s += f64::from(w) * f64::from(d));
                }
                sum.into_iter().map(|s| s as f32).collect()
            }
            Self::Scale { scale, .. } => d.iter().zip(scale).map(|(d, s)| d * s).collect(),
            Self::Activation(function) => {
                let slope = |(&x, &d): (&f32, &f32)| (function.slope(f64::from(x)) * f64::from(d)) as f32;
                x.iter().zip(d).map(slope).collect()
            }
        }
    }
}

impl Activation {
    /// The function.
    pub fn value(self, x: f64) -> f64 {
        match self {
            Self::Relu => x.max(0.0),
            Self::Clip(lo, hi) => x.max(f64::from(lo)).min(f64::from(hi)),
            Self::LeakyRelu(slope) => {
                if x < 0.0 {
                    x * f64::from(slope)
                } else {
                    x
                }
            }
            Self::Gelu => x * normal(x),
            Self::Silu => x * Self::Sigmoid.value(x),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Tanh => x.tanh(),
        }
    }

    /// Its derivative; at a corner that of the side towards minus infinity, as torch has it.
    pub fn slope(self, x: f64) -> f64 {
        match self {
            Self::Relu => {
                if x > 0.0 {
                    1.0
                } else {
                    0.0
                }
            }
            Self::Clip(lo, hi) => {
                if x > f64::from(lo) && x < f64::from(hi) {
                    1.0
                } else {
                    0.0
                }
            }
            Self::LeakyRelu(slope) => {
                if x > 0.0 {
                    1.0
                } else {
                    f64::from(slope)
                }
            }
            Self::Gelu => normal(x) + x * (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt(),
            Self::Silu => {
                let s = Self::Sigmoid.value(x);
                s * (1.0 + x * (1.0 - s))
            }
            Self::Sigmoid => {
                let s = Self::Sigmoid.value(x);
                s * (1.0 - s)
            }
            Self::Tanh => 1.0 - x.tanh().powi(2),
        }
    }
}

/// The normal distribution function.
fn normal(x: f64) -> f64 {
    0.5 * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear { inputs, bias, .. } => write!(f, "Linear {inputs} -> {}", bias.len()),
            Self::Scale { .. } => f.write_str("BatchNormalization"),
            Self::Activation(Activation::Relu) => f.write_str("ReLU"),
            Self::Activation(Activation::Clip(lo, hi)) => write!(f, "Clip {lo} to {hi}"),
            Self::Activation(Activation::LeakyRelu(_)) => f.write_str("LeakyReLU"),
            Self::Activation(Activation::Gelu) => f.write_str("GELU"),
            Self::Activation(Activation::Silu) => f.write_str("SiLU"),
            Self::Activation(Activation::Sigmoid) => f.write_str("Sigmoid"),
            Self::Activation(Activation::Tanh) => f.write_str("Tanh"),
        }
    }
}
