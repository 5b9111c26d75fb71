//! The ops on candle tensors: everything that is not a convolution, a fully connected layer or a window pool.
//!
//! Tensors come and go in the physical layout (see [`super::layout`]); an op that mixes axes works on the logical view.

use candle_core::{Device, Result, Tensor};

use super::custom::{self, binary, unary};
use super::kernels::Isa;
use super::layout::physical_axis;
use crate::graph::{Activation, BinaryOp, ReduceKind};

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

    /// Computes the op; `output` are the logical dimensions of the result.
    pub(super) fn apply(&self, inputs: &[Tensor], output: &[usize]) -> Result<Tensor> {
        let x = &inputs[0];
        match self {
            Self::Linear { isa, transposed, bias, activation: a } => {
                let y = logical(x)?.contiguous()?.apply_op2_no_bwd(transposed, &custom::MatMul(*isa))?;
                unary(*a, &physical(&binary(BinaryOp::Add, &y, bias)?)?)
            }
            Self::MatMul(isa) => {
                let (a, b) = (logical(x)?.contiguous()?, logical(&inputs[1])?.contiguous()?);
                physical(&a.apply_op2_no_bwd(&b, &custom::MatMul(*isa))?)
            }
            Self::Activation(a) => unary(*a, x),
            Self::Binary(op) => {
                let (a, b) = (operand(x, output.len())?, operand(&inputs[1], output.len())?);
                let y = binary(*op, &a, &b)?;
                // Of rank four the operands were physical already.
                if output.len() == 4 { Ok(y) } else { y.reshape(output) }
            }
            Self::Reduce { kind, axes } => {
                let axes: Vec<usize> = axes.iter().map(|&a| physical_axis(x.rank(), a)).collect();
                let y = x.apply_op1_no_bwd(&custom::Reduce { kind: *kind, axes })?;
                physical(&logical(&y)?.reshape(output)?)
            }
            Self::Softmax { axis } => {
                x.contiguous()?.apply_op1_no_bwd(&custom::Softmax(physical_axis(x.rank(), *axis)))
            }
            Self::Reshape => physical(&logical(x)?.reshape(output)?),
            Self::Transpose { perm } => physical(&logical(x)?.permute(perm.as_slice())?),
            Self::Concat { axis } => Tensor::cat(inputs, physical_axis(output.len(), *axis)),
            Self::Pad { before, after, value } => {
                let mut y = x.clone();
                for axis in 0..before.len() {
                    let at = physical_axis(before.len(), axis);
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

/// The logical view of a physical tensor.
fn logical(x: &Tensor) -> Result<Tensor> {
    if x.rank() == 4 { x.permute([0, 3, 1, 2]) } else { Ok(x.clone()) }
}

/// The physical view of a logical tensor.
fn physical(x: &Tensor) -> Result<Tensor> {
    if x.rank() == 4 { x.permute([0, 2, 3, 1]) } else { Ok(x.clone()) }
}

/// An operand of a broadcast to `rank` dimensions: physical if that is four, else logical.
fn operand(x: &Tensor, rank: usize) -> Result<Tensor> {
    match (x.rank(), rank) {
        (4, 4) => Ok(x.clone()),
        (_, 4) => {
            let mut x = x.clone();
            while x.rank() < 4 {
                x = x.unsqueeze(0)?;
            }
            physical(&x)
        }
        _ => logical(x),
    }
}
