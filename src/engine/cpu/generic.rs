//! The ops on candle tensors: everything that is not a convolution, a fully connected layer or a window pool.
//!
//! Tensors come and go as they lie in memory (see [`super::layout`]); an op that mixes axes works on the logical view.

use candle_core::{Device, Result, Tensor};

use super::custom::{self, binary, unary};
use super::kernels::Isa;
use super::layout::Order;
use super::program::Work;
use crate::graph::{Activation, BinaryOp, Op, ReduceKind};

/// An op for candle, with logical attributes.
#[derive(Clone, Debug)]
pub(super) enum Generic {
    /// A fully connected layer over the width of channels-last maps, whose rows are not in one piece.
    Linear {
        isa: Isa,
        transposed: Tensor,
        bias: Tensor,
        activation: Activation,
    },
    MatMul(Isa),
    Activation(Activation),
    Binary(BinaryOp),
    Reduce {
        kind: ReduceKind,
        axes: Vec<usize>,
    },
    Softmax {
        axis: usize,
    },
    Reshape,
    Transpose {
        perm: Vec<usize>,
    },
    Concat {
        axis: usize,
    },
    Pad {
        before: Vec<usize>,
        after: Vec<usize>,
        value: f32,
    },
}

impl Generic {
    /// A fully connected layer from its row-major `[n, k]` weight.
    pub(super) fn linear(
        isa: Isa,
        [n, k]: [usize; 2],
        weight: &[f32],
        bias: &[f32],
        activation: Activation,
    ) -> Result<Self> {
        let transposed = Tensor::from_slice(weight, (n, k), &Device::Cpu)?.t()?.contiguous()?;
        Ok(Self::Linear { isa, transposed, bias: Tensor::from_slice(bias, n, &Device::Cpu)?, activation })
    }

    /// Computes the op; `output` are the logical dimensions of the result and `order` how it is to lie.
    pub(super) fn apply(&self, inputs: &[(Tensor, Order)], output: &[usize], order: Order) -> Result<Tensor> {
        let (x, own) = (&inputs[0].0, inputs[0].1);
        let logical = |i: usize| logical(&inputs[i].0, inputs[i].1);
        let physical = |y: &Tensor| physical(y, order);
        match self {
            Self::Linear { isa, transposed, bias, activation: a } => {
                let y = logical(0)?.contiguous()?.apply_op2_no_bwd(transposed, &custom::MatMul(*isa))?;
                unary(*a, &physical(&binary(BinaryOp::Add, &y, bias)?)?)
            }
            Self::MatMul(isa) => {
                let (a, b) = (logical(0)?.contiguous()?, logical(1)?.contiguous()?);
                physical(&a.apply_op2_no_bwd(&b, &custom::MatMul(*isa))?)
            }
            Self::Activation(a) => unary(*a, &physical(&logical(0)?)?),
            Self::Binary(op) => {
                // Both with as many dimensions as the result, and lying as it.
                let operand = |i: usize| {
                    let mut x = logical(i)?;
                    while x.rank() < output.len() {
                        x = x.unsqueeze(0)?;
                    }
                    physical(&x)
                };
                binary(*op, &operand(0)?, &operand(1)?)
            }
            Self::Reduce { kind, axes } => {
                let axes: Vec<usize> = axes.iter().map(|&a| own.axis(a)).collect();
                let y = x.apply_op1_no_bwd(&custom::Reduce { kind: *kind, axes })?;
                physical(&self::logical(&y, own)?.reshape(output)?)
            }
            Self::Softmax { axis } => {
                let x = physical(&logical(0)?)?;
                x.contiguous()?.apply_op1_no_bwd(&custom::Softmax(order.axis(*axis)))
            }
            Self::Reshape => physical(&logical(0)?.reshape(output)?),
            Self::Transpose { perm } => physical(&logical(0)?.permute(perm.as_slice())?),
            Self::Concat { axis } => {
                let parts = (0..inputs.len()).map(|i| physical(&logical(i)?)).collect::<Result<Vec<_>>>()?;
                Tensor::cat(&parts, order.axis(*axis))
            }
            Self::Pad { before, after, value } => {
                let mut y = physical(&logical(0)?)?;
                for axis in 0..before.len() {
                    let at = order.axis(axis);
                    let block = |cells: usize| {
                        let mut dims = y.dims().to_vec();
                        dims[at] = cells;
                        Tensor::full(*value, dims, x.device())
                    };
                    y = match (before[axis], after[axis]) {
                        (0, 0) => continue,
                        (0, a) => Tensor::cat(&[&y, &block(a)?], at)?,
                        (b, 0) => Tensor::cat(&[&block(b)?, &y], at)?,
                        (b, a) => Tensor::cat(&[&block(b)?, &y, &block(a)?], at)?,
                    };
                }
                Ok(y)
            }
        }
    }
}

/// What candle, or the graph's own definition, computes of an op that no kernel takes as its operands lie.
pub(super) fn generic(isa: Isa, op: &Op) -> Work {
    Work::Candle(match op {
        Op::MatMul => Generic::MatMul(isa),
        Op::Activation(activation) => Generic::Activation(*activation),
        Op::Binary(op) => Generic::Binary(*op),
        Op::Reduce { kind, axes, keep_dims: _ } => Generic::Reduce { kind: *kind, axes: axes.clone() },
        Op::Softmax { axis } => Generic::Softmax { axis: *axis },
        Op::Reshape(_) => Generic::Reshape,
        Op::Transpose { perm } => Generic::Transpose { perm: perm.clone() },
        Op::Concat { axis } => Generic::Concat { axis: *axis },
        Op::Pad { before, after, value } => {
            Generic::Pad { before: before.clone(), after: after.clone(), value: *value }
        }
        op @ (Op::Conv2d(_) | Op::Linear(_) | Op::Pool2d(_) | Op::LayerNorm(_) | Op::Attention(_))
        | op @ (Op::Slice { .. } | Op::Gather { .. } | Op::Quantize(_)) => return Work::Evaluate(op.clone()),
    })
}

/// The logical view of a tensor as it lies in memory.
fn logical(x: &Tensor, order: Order) -> Result<Tensor> {
    if order == Order::ChannelsLast { x.permute([0, 3, 1, 2]) } else { Ok(x.clone()) }
}

/// A logical tensor as it is to lie in memory.
fn physical(x: &Tensor, order: Order) -> Result<Tensor> {
    if order == Order::ChannelsLast { x.permute([0, 2, 3, 1]) } else { Ok(x.clone()) }
}
