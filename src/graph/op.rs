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
}

/// An operation. Inputs are listed at each variant; each has one output.
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    /// Inputs: `x [1, C, H, W]`, constant weight `[O, C / groups, kh, kw]`, constant float bias `[O]`, then the
    /// residual if [`Conv2d::residual`].
    Conv2d(Conv2d),
    /// `x W^T + b`. Inputs: `x [.., K]`, constant weight `[O, K]`, constant float bias `[O]`.
    Linear(Linear),
    /// Matrix product of two activations. Inputs: `a [.., M, K]`, `b [.., K, N]`, with equal leading dimensions.
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
            Self::Pool2d(p) if p.kind == PoolKind::Max => "MaxPool",
            Self::Pool2d(_) => "AveragePool",
            Self::Reduce { .. } => "Reduce",
            Self::Softmax { .. } => "Softmax",
            Self::Reshape(_) => "Reshape",
            Self::Transpose { .. } => "Transpose",
            Self::Concat { .. } => "Concat",
            Self::Pad { .. } => "Pad",
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
        }
    }
}
