//! The gradient of every op with respect to one of its inputs: one exhaustive `match`, beside
//! [`crate::graph::evaluate`], which says what the op computes.

use super::activation::{derivative, quantized};
use super::broadcast::binary;
use super::{conv, pool, products, reduce};
use crate::graph::evaluate::{strided_indices, strides};
use crate::graph::{Activation, BinaryOp, Graph, Node, Op, PoolKind, ReduceKind};
use crate::tensor::{Shape, Tensor};

/// The vector-Jacobian product: the gradient of `sum dy y` with respect to input `which`, in that input's order.
/// Fused layers were taken apart before, so a convolution has neither activation nor residual.
pub(super) fn vjp(op: &Op, inputs: &[&Tensor], y: &Tensor, dy: &[f32], which: usize) -> Vec<f32> {
    let x = inputs[which];
    match op {
        Op::Conv2d(c) => conv::input_gradient(c, x.shape(), inputs[1], y.shape(), dy),
        Op::Linear(_) => products::linear(inputs[1], dy),
        Op::MatMul => products::matmul(inputs, y.shape(), dy, which),
        Op::Activation(a) => x.data().iter().zip(dy).map(|(&x, &d)| derivative(*a, x) * d).collect(),
        Op::Binary(kind) => binary(*kind, inputs, y, dy, which),
        Op::Pool2d(p) => pool::input_gradient(p, x, y.shape(), dy),
        Op::Reduce { kind, axes, .. } => reduce::reduce(*kind, axes, x, y, dy),
        Op::Softmax { axis } => reduce::softmax(*axis, y, dy),
        Op::Reshape(_) => dy.to_vec(),
        Op::Transpose { perm } => transpose(perm, x.shape(), y.shape(), dy),
        Op::Concat { axis } => {
            let start = inputs[..which].iter().map(|t| t.shape().dims()[*axis]).sum();
            let mut first = vec![0; y.shape().rank()];
            first[*axis] = start;
            window(&first, x.shape(), y.shape(), dy)
        }
        Op::Pad { before, .. } => window(before, x.shape(), y.shape(), dy),
        // Scale and bias are constants, so the first input is the only one that has a gradient.
        Op::LayerNorm(norm) => reduce::layer_norm(norm, inputs, dy, false),
        Op::Attention(a) => products::attention(a, inputs, dy, which),
        Op::Slice { start, step, size } => {
            let own = strides(x.shape());
            let first: usize = start.iter().zip(&own).map(|(i, s)| i * s).sum();
            // Steps backwards wrap round, and back again when they are added to the first index.
            let by: Vec<usize> = step.iter().zip(&own).map(|(&i, &s)| (s as isize).wrapping_mul(i) as usize).collect();
            let mut dx = vec![0.0; x.data().len()];
            strided_indices(size, &by).zip(dy).for_each(|(i, d)| dx[first.wrapping_add(i)] += d);
            dx
        }
        Op::Gather { axis, indices } => {
            let inner: usize = x.shape().dims()[axis + 1..].iter().product();
            let block = x.shape().dims()[*axis] * inner;
            let mut dx = vec![0.0; x.data().len()];
            for (dx, dy) in dx.chunks_exact_mut(block).zip(dy.chunks_exact(indices.len() * inner)) {
                for (&i, dy) in indices.iter().zip(dy.chunks_exact(inner)) {
                    dx[i * inner..][..inner].iter_mut().zip(dy).for_each(|(x, d)| *x += d);
                }
            }
            dx
        }
        Op::Quantize(q) => x.data().iter().zip(dy).map(|(&x, &d)| quantized(q, x) * d).collect(),
    }
}

/// The same with the weights of attention and the deviations of normalisations held fixed.
pub(super) fn conservative_vjp(op: &Op, inputs: &[&Tensor], y: &Tensor, dy: &[f32], which: usize) -> Vec<f32> {
    match op {
        Op::Softmax { .. } => vec![0.0; dy.len()],
        // Queries, keys and mask only make the weights.
        Op::Attention(_) if which != 2 => vec![0.0; inputs[which].data().len()],
        Op::LayerNorm(norm) => reduce::layer_norm(norm, inputs, dy, true),
        _ => vjp(op, inputs, y, dy, which),
    }
}

/// Whether an op is affine in its activations, given which of its inputs are constant.
pub(super) fn is_affine(op: &Op, mut constant: impl Iterator<Item = bool>) -> bool {
    match op {
        Op::Conv2d(c) => c.activation == Activation::None,
        Op::Linear(l) => l.activation == Activation::None,
        Op::MatMul | Op::Binary(BinaryOp::Mul) => constant.any(|c| c),
        Op::Binary(BinaryOp::Div | BinaryOp::Keep) => constant.nth(1) == Some(true),
        Op::Binary(BinaryOp::Add | BinaryOp::Sub) => true,
        Op::Binary(BinaryOp::Min | BinaryOp::Max | BinaryOp::Pow | BinaryOp::Greater | BinaryOp::Equal) => false,
        Op::Activation(a) => *a == Activation::None,
        Op::Pool2d(p) => p.kind != PoolKind::Max,
        Op::Reduce { kind, .. } => matches!(kind, ReduceKind::Mean | ReduceKind::Sum),
        Op::Softmax { .. } | Op::LayerNorm(_) | Op::Attention(_) | Op::Quantize(_) => false,
        Op::Reshape(_) | Op::Transpose { .. } | Op::Concat { .. } | Op::Pad { .. } => true,
        Op::Slice { .. } | Op::Gather { .. } => true,
    }
}

/// Multiplications of a convolution or a product; 0 for the ops that are cheap.
pub(in crate::graph) fn multiplications(node: &Node, graph: &Graph) -> usize {
    let dims = |i: usize| node.inputs.get(i).map_or(&[][..], |&v| graph.value(v).shape.dims());
    let output = graph.value(node.output).shape.len();
    match &node.op {
        Op::Conv2d(_) => output * dims(1).iter().skip(1).product::<usize>(),
        Op::Linear(_) | Op::MatMul => output * dims(0).last().copied().unwrap_or(0),
        Op::Attention(_) => {
            let rows = dims(1).iter().rev().nth(1).copied().unwrap_or(0);
            2 * output * rows
        }
        _ => 0,
    }
}

fn transpose(perm: &[usize], from: &Shape, to: &Shape, dy: &[f32]) -> Vec<f32> {
    let strides = strides(from);
    let step: Vec<usize> = perm.iter().map(|&p| strides[p]).collect();
    let mut dx = vec![0.0; dy.len()];
    for (&d, i) in dy.iter().zip(strided_indices(to.dims(), &step)) {
        dx[i] = d;
    }
    dx
}

/// The values of `dy` in the block of shape `size` that starts at `first`.
fn window(first: &[usize], size: &Shape, of: &Shape, dy: &[f32]) -> Vec<f32> {
    let step = strides(of);
    let start: usize = first.iter().zip(&step).map(|(f, s)| f * s).sum();
    strided_indices(size.dims(), &step).map(|i| dy[start + i]).collect()
}
