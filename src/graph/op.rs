//! The ops: a closed enum of plain attributes. Every engine lowers it with one exhaustive `match`.

use crate::tensor::Shape;

/// An element-wise function, alone or as the last step of a convolution or linear layer.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Activation {
    /// `x`.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, lo), hi)`; ReLU6 is `Clip(0, 6)`.
    Clip(f32, f32),
    /// `x * min(max(x / 6 + 0.5, 0), 1)`.
    HardSwish,
    /// `min(max(alpha x + beta, 0), 1)`, as `HardSigmoid(alpha, beta)`.
    HardSigmoid(f32, f32),
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `max(x, 0) + slope min(x, 0)`, as `LeakyRelu(slope)`.
    LeakyRelu(f32),
    /// `tanh(x)`.
    Tanh,
    /// `x / (1 + exp(-beta x))`, as `Swish(beta)`; CLIP's "quick GELU" is `Swish(1.702)`.
    Swish(f32),
    /// `x (1 + erf(x / sqrt(2))) / 2` (Hendrycks and Gimpel, arXiv 1606.08415).
    Gelu,
    /// Its approximation `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
    GeluTanh,
    /// `x` where it is positive, else `alpha (exp(x) - 1)`, as `Elu(alpha)`.
    Elu(f32),
    /// `ln(1 + exp(x))`.
    Softplus,
    /// `x tanh(ln(1 + exp(x)))`.
    Mish,
    /// `x` where it is above the threshold, else 0, as `Threshold(threshold)`.
    Threshold(f32),
    /// The error function `erf(x)`.
    Erf,
    /// `exp(x)`.
    Exp,
    /// `ln(x)`.
    Log,
    /// `sqrt(x)`.
    Sqrt,
    /// `|x|`.
    Abs,
    /// The largest whole number not above `x`.
    Floor,
    /// The nearest whole number, the even one of two.
    Round,
}

/// A 2-D convolution over `[1, C, H, W]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Conv2d {
    /// Steps along height and width.
    pub strides: [usize; 2],
    /// Distance between kernel taps along height and width.
    pub dilations: [usize; 2],
    /// Zero padding: top, left, bottom, right. Need not be symmetric.
    pub pads: [usize; 4],
    /// Input and output channels are split into this many independent groups.
    pub groups: usize,
    /// Applied last, after bias and residual.
    pub activation: Activation,
    /// Whether the last input is a residual of the output's shape, added before the activation.
    pub residual: bool,
}

/// A fully connected layer over the last dimension.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Linear {
    /// Applied last, after the bias.
    pub activation: Activation,
}

/// What a pooling window computes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolKind {
    /// The largest value; padding never wins.
    Max,
    /// The mean over the window's values; padding counts as zeros if `count_include_pad`.
    Average {
        /// Whether padded cells count in the divisor.
        count_include_pad: bool,
    },
}

/// A pooling window over `[1, C, H, W]`. `ceil_mode` is resolved into larger bottom and right pads on import.
#[derive(Clone, PartialEq, Debug)]
pub struct Pool2d {
    /// What is computed.
    pub kind: PoolKind,
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Steps along height and width.
    pub strides: [usize; 2],
    /// Distance between window cells along height and width.
    pub dilations: [usize; 2],
    /// Padding: top, left, bottom, right.
    pub pads: [usize; 4],
}

/// An element-wise function of two tensors, broadcast as in numpy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BinaryOp {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
    /// `a / b`.
    Div,
    /// `min(a, b)`.
    Min,
    /// `max(a, b)`.
    Max,
    /// `a ^ b`.
    Pow,
    /// 1 where `a > b`, else 0.
    Greater,
    /// 1 where `a = b`, else 0.
    Equal,
    /// `a` where `b` is not 0, else 0, whatever `a` is there (an infinity times 0 is not a number).
    Keep,
}

/// What a reduction computes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReduceKind {
    /// Arithmetic mean.
    Mean,
    /// Sum.
    Sum,
    /// Largest value.
    Max,
    /// Smallest value.
    Min,
    /// Product.
    Product,
}

/// Normalisation by mean and variance over some axes, then a scale and an offset:
/// `y = (x - mean) / sqrt(variance + epsilon) * scale + bias`, the variance being the mean square of `x - mean`.
///
/// Over the last axis or axes it is LayerNormalization; over height and width, InstanceNormalization; over a group of
/// channels with height and width (of a five-dimensional view), GroupNormalization.
#[derive(Clone, PartialEq, Debug)]
pub struct LayerNorm {
    /// The axes over which mean and variance are taken: ascending, at least one.
    pub axes: Vec<usize>,
    /// Added to the variance.
    pub epsilon: f32,
}

/// Scaled dot-product attention (arXiv 1706.03762, eq. 1) for all heads at once:
/// `softmax(scale q k^T + mask) v`, the softmax along each row.
#[derive(Clone, PartialEq, Debug)]
pub struct Attention {
    /// What products are multiplied with before the mask is added.
    pub scale: f32,
    /// Whether the last input is a mask (or position bias) to be added.
    pub mask: bool,
}

/// Rounding to whole numbers of a range, as QuantizeLinear: `q = clamp(round(x / scale) + zero, low, high)`, halves
/// rounded to even.
#[derive(Clone, PartialEq, Debug)]
pub struct Quantize {
    /// The step between two levels; positive.
    pub scale: f32,
    /// The level of 0.
    pub zero: f32,
    /// The least and the largest level.
    pub range: [f32; 2],
    /// Whether the output is `(q - zero) * scale` (fake quantisation) and not `q`.
    pub dequantize: bool,
}

/// An operation. Inputs are listed at each variant; each has one output.
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    /// Inputs: `x [1, C, H, W]`, constant weight `[O, C / groups, kh, kw]`, constant float bias `[O]`, then the
    /// residual if [`Conv2d::residual`].
    Conv2d(Conv2d),
    /// `x W^T + b`. Inputs: `x [.., K]`, constant weight `[O, K]`, constant float bias `[O]`.
    Linear(Linear),
    /// Matrix product. Inputs: `a [.., M, K]`, `b [.., K, N]`, whose leading dimensions are broadcast as in numpy;
    /// either may be a float constant.
    MatMul,
    /// Element-wise. Input: `x`.
    Activation(Activation),
    /// Element-wise with broadcasting. Inputs: `a`, `b`; either may be a float constant.
    Binary(BinaryOp),
    /// Window pooling. Input: `x [1, C, H, W]`.
    Pool2d(Pool2d),
    /// Reduction over some axes. Input: `x`. Axes are ascending and non-negative.
    Reduce {
        /// What is computed.
        kind: ReduceKind,
        /// The axes that are reduced.
        axes: Vec<usize>,
        /// Whether a reduced axis stays as a dimension of 1.
        keep_dims: bool,
    },
    /// `exp(x) / sum(exp(x))` along one axis. Input: `x`.
    Softmax {
        /// The axis.
        axis: usize,
    },
    /// The same row-major values under another shape. Input: `x`.
    Reshape(Shape),
    /// Dimensions reordered: output dimension `i` is input dimension `perm[i]`. Input: `x`.
    Transpose {
        /// The permutation.
        perm: Vec<usize>,
    },
    /// Joined along one axis. Inputs: one or more, equal in every other dimension.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// Constant padding. Input: `x`.
    Pad {
        /// Cells added before each dimension.
        before: Vec<usize>,
        /// Cells added after each dimension.
        after: Vec<usize>,
        /// The value of the added cells.
        value: f32,
    },
    /// Inputs: `x`, then a float constant scale and a float constant bias, each broadcast to `x` as in numpy.
    LayerNorm(LayerNorm),
    /// Inputs: `q [.., M, D]`, `k [.., N, D]`, `v [.., N, E]` with equal leading dimensions, then the mask if
    /// [`Attention::mask`]: an activation or float constant that is broadcast to `[.., M, N]`. Output `[.., M, E]`.
    Attention(Attention),
    /// A regular part: along each dimension, output index `i` is input index `start + i step`. Input: `x`.
    Slice {
        /// The first index along each dimension.
        start: Vec<usize>,
        /// The distance between indices along each dimension; negative to go backwards, never 0.
        step: Vec<isize>,
        /// The dimensions of the output.
        size: Vec<usize>,
    },
    /// The slices at some indices of one axis, in that order and as often as listed. Input: `x`.
    Gather {
        /// The axis.
        axis: usize,
        /// Indices along it; at least one.
        indices: Vec<usize>,
    },
    /// Element-wise. Input: `x`.
    Quantize(Quantize),
}

impl Op {
    /// A short name for messages and profiles.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv2d(_) => "Conv2d",
            Self::Linear(_) => "Linear",
            Self::MatMul => "MatMul",
            Self::Activation(_) => "Activation",
            Self::Binary(BinaryOp::Add) => "Add",
            Self::Binary(BinaryOp::Sub) => "Sub",
            Self::Binary(BinaryOp::Mul) => "Mul",
            Self::Binary(BinaryOp::Div) => "Div",
            Self::Binary(BinaryOp::Min) => "Min",
            Self::Binary(BinaryOp::Max) => "Max",
            Self::Binary(BinaryOp::Pow) => "Pow",
            Self::Binary(BinaryOp::Greater) => "Greater",
            Self::Binary(BinaryOp::Equal) => "Equal",
            Self::Binary(BinaryOp::Keep) => "Keep",
            Self::Pool2d(p) if p.kind == PoolKind::Max => "MaxPool",
            Self::Pool2d(_) => "AveragePool",
            Self::Reduce { .. } => "Reduce",
            Self::Softmax { .. } => "Softmax",
            Self::Reshape(_) => "Reshape",
            Self::Transpose { .. } => "Transpose",
            Self::Concat { .. } => "Concat",
            Self::Pad { .. } => "Pad",
            Self::LayerNorm(_) => "LayerNorm",
            Self::Attention(_) => "Attention",
            Self::Slice { .. } => "Slice",
            Self::Gather { .. } => "Gather",
            Self::Quantize(_) => "Quantize",
        }
    }

    /// Whether every input channel is its own group and there is one output channel for each (depthwise).
    pub fn is_depthwise(&self, weight: &Shape) -> bool {
        match (self, weight.dims()) {
            (Self::Conv2d(c), [o, 1, _, _]) => c.groups > 1 && c.groups == *o,
            _ => false,
        }
    }
}

impl Activation {
    /// The function, for one value. The definition every engine is tested against.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::None => x,
            Self::Relu => x.max(0.0),
            Self::Clip(lo, hi) => x.max(lo).min(hi),
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::HardSigmoid(alpha, beta) => (alpha * x + beta).clamp(0.0, 1.0),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::LeakyRelu(slope) => {
                if x < 0.0 {
                    slope * x
                } else {
                    x
                }
            }
            Self::Tanh => x.tanh(),
            Self::Swish(beta) => x / (1.0 + (-beta * x).exp()),
            Self::Gelu => double(x, |x| 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))),
            Self::GeluTanh => double(x, |x| {
                let inner = std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }),
            Self::Elu(alpha) => {
                if x > 0.0 {
                    x
                } else {
                    alpha * x.exp_m1()
                }
            }
            Self::Softplus => double(x, softplus),
            Self::Mish => double(x, |x| x * softplus(x).tanh()),
            Self::Threshold(threshold) => {
                if x > threshold {
                    x
                } else {
                    0.0
                }
            }
            Self::Erf => double(x, libm::erf),
            Self::Exp => x.exp(),
            Self::Log => x.ln(),
            Self::Sqrt => x.sqrt(),
            Self::Abs => x.abs(),
            Self::Floor => x.floor(),
            Self::Round => x.round_ties_even(),
        }
    }
}

/// A function in double precision: its terms may cancel.
fn double(x: f32, f: impl Fn(f64) -> f64) -> f32 {
    f(x.into()) as f32
}

/// `ln(1 + exp(x))`, without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

impl BinaryOp {
    /// The function, for two values.
    pub fn apply(self, a: f32, b: f32) -> f32 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Min => a.min(b),
            Self::Max => a.max(b),
            Self::Pow => a.powf(b),
            Self::Greater => f32::from(u8::from(a > b)),
            Self::Equal => f32::from(u8::from(a == b)),
            Self::Keep => {
                if b == 0.0 {
                    0.0
                } else {
                    a
                }
            }
        }
    }
}

impl ReduceKind {
    /// What a reduction of nothing gives.
    pub(crate) fn start(self) -> f64 {
        match self {
            Self::Mean | Self::Sum => 0.0,
            Self::Max => f64::NEG_INFINITY,
            Self::Min => f64::INFINITY,
            Self::Product => 1.0,
        }
    }

    /// One more value; a mean is divided afterwards.
    pub(crate) fn join(self, total: f64, value: f64) -> f64 {
        match self {
            Self::Mean | Self::Sum => total + value,
            Self::Max => total.max(value),
            Self::Min => total.min(value),
            Self::Product => total * value,
        }
    }
}

impl Quantize {
    /// The function, for one value.
    pub fn apply(&self, x: f32) -> f32 {
        let q = ((x / self.scale).round_ties_even() + self.zero).clamp(self.range[0], self.range[1]);
        if self.dequantize { (q - self.zero) * self.scale } else { q }
    }
}
