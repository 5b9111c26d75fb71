//! The gradient of every op with respect to one of its inputs: one exhaustive `match`, beside
//! [`crate::graph::evaluate`], which says what the op computes.

use super::activation::derivative;
use super::broadcast::binary;
use super::{conv, pool};
use crate::graph::evaluate::{broadcast_indices, strided_indices, strides};
use crate::graph::{Activation, BinaryOp, Graph, Node, Op, PoolKind, ReduceKind};
use crate::tensor::{Shape, Tensor};

/// The vector-Jacobian product: the gradient of `sum dy y` with respect to input `which`, in that input's order.
/// Fused layers were taken apart before, so a convolution has neither activation nor residual.
pub(super) fn vjp(op: &Op, inputs: &[&Tensor], y: &Tensor, dy: &[f32], which: usize) -> Vec<f32> {
    let x = inputs[which];
    match op {
        Op::Conv2d(c) => conv::input_gradient(c, x.shape(), inputs[1], y.shape(), dy),
        Op::Linear(_) => linear(inputs[1], dy),
        Op::MatMul => matmul(inputs, dy, which),
        Op::Activation(a) => x.data().iter().zip(dy).map(|(&x, &d)| derivative(*a, x) * d).collect(),
        Op::Binary(kind) => binary(*kind, inputs, y, dy, which),
        Op::Pool2d(p) => pool::input_gradient(p, x, y.shape(), dy),
        Op::Reduce { kind, axes, .. } => reduce(*kind, axes, x, y, dy),
        Op::Softmax { axis } => softmax(*axis, y, dy),
        Op::Reshape(_) => dy.to_vec(),
        Op::Transpose { perm } => transpose(perm, x.shape(), y.shape(), dy),
        Op::Concat { axis } => {
            let start = inputs[..which].iter().map(|t| t.shape().dims()[*axis]).sum();
            let mut first = vec![0; y.shape().rank()];
            first[*axis] = start;
            window(&first, x.shape(), y.shape(), dy)
        }
        Op::Pad { before, .. } => window(before, x.shape(), y.shape(), dy),
    }
}

/// Whether an op is affine in its activations, given which of its inputs are constant.
pub(super) fn is_affine(op: &Op, mut constant: impl Iterator<Item = bool>) -> bool {
    match op {
        Op::Conv2d(c) => c.activation == Activation::None,
        Op::Linear(l) => l.activation == Activation::None,
        Op::MatMul | Op::Binary(BinaryOp::Mul) => constant.any(|c| c),
        Op::Binary(BinaryOp::Div) => constant.nth(1) == Some(true),
        Op::Binary(BinaryOp::Add | BinaryOp::Sub) => true,
        Op::Activation(a) => *a == Activation::None,
        Op::Pool2d(p) => p.kind != PoolKind::Max,
        Op::Reduce { kind, .. } => *kind != ReduceKind::Max,
        Op::Softmax { .. } => false,
        Op::Reshape(_) | Op::Transpose { .. } | Op::Concat { .. } | Op::Pad { .. } => true,
    }
}

/// Multiplications of a convolution or a product; 0 for the ops that are cheap.
pub(super) fn multiplications(node: &Node, graph: &Graph) -> usize {
    let dims = |i: usize| node.inputs.get(i).map_or(&[][..], |&v| graph.value(v).shape.dims());
    let output = graph.value(node.output).shape.len();
    match &node.op {
        Op::Conv2d(_) => output * dims(1).iter().skip(1).product::<usize>(),
        Op::Linear(_) | Op::MatMul => output * dims(0).last().copied().unwrap_or(0),
        _ => 0,
    }
}

/// `dx = dy W`.
fn linear(weight: &Tensor, dy: &[f32]) -> Vec<f32> {
    let &[outputs, k] = weight.shape().dims() else { return Vec::new() };
    let mut dx = vec![0.0; dy.len() / outputs * k];
    for (dx, dy) in dx.chunks_exact_mut(k).zip(dy.chunks_exact(outputs)) {
        for (row, &d) in weight.data().chunks_exact(k).zip(dy).filter(|(_, d)| **d != 0.0) {
            dx.iter_mut().zip(row).for_each(|(x, w)| *x += d * w);
        }
    }
    dx
}

/// `dA = dY B^T`, `dB = A^T dY`, for each pair of leading indices.
fn matmul(inputs: &[&Tensor], dy: &[f32], which: usize) -> Vec<f32> {
    let (a, b) = (inputs[0], inputs[1]);
    let (&[.., m, k], &[.., n]) = (a.shape().dims(), b.shape().dims()) else { return Vec::new() };
    let mut dx = vec![0.0; inputs[which].data().len()];
    let other = inputs[1 - which].data().chunks_exact(if which == 0 { k * n } else { m * k });
    let own = dx.chunks_exact_mut(if which == 0 { m * k } else { k * n });
    for ((dx, other), dy) in own.zip(other).zip(dy.chunks_exact(m * n)) {
        for (row, dy) in dy.chunks_exact(n).enumerate() {
            for j in 0..k {
                if which == 0 {
                    let column = &other[j * n..][..n];
                    dx[row * k + j] = column.iter().zip(dy).map(|(b, d)| b * d).sum();
                } else {
                    let a = other[row * k + j];
                    dx[j * n..][..n].iter_mut().zip(dy).for_each(|(x, d)| *x += a * d);
                }
            }
        }
    }
    dx
}

/// The shape of a reduction's output with the reduced axes kept as 1.
fn kept(axes: &[usize], shape: &Shape) -> Shape {
    let dims = shape.dims().iter().enumerate();
    Shape::new(dims.map(|(i, &d)| if axes.contains(&i) { 1 } else { d }).collect::<Vec<_>>())
}

fn reduce(kind: ReduceKind, axes: &[usize], x: &Tensor, y: &Tensor, dy: &[f32]) -> Vec<f32> {
    let kept = kept(axes, x.shape());
    // The output that each input went into.
    let into = || broadcast_indices(&kept, x.shape());
    match kind {
        ReduceKind::Sum => into().map(|i| dy[i]).collect(),
        ReduceKind::Mean => {
            let n = (x.data().len() / y.data().len()) as f32;
            into().map(|i| dy[i] / n).collect()
        }
        ReduceKind::Max => {
            let largest = || x.data().iter().zip(into()).map(|(&x, i)| (x == y.data()[i], i));
            let mut ties = vec![0f32; y.data().len()];
            largest().filter(|(equal, _)| *equal).for_each(|(_, i)| ties[i] += 1.0);
            largest().map(|(equal, i)| if equal { dy[i] / ties[i] } else { 0.0 }).collect()
        }
    }
}

/// `dx_i = y_i (dy_i - sum_j y_j dy_j)` along the axis.
fn softmax(axis: usize, y: &Tensor, dy: &[f32]) -> Vec<f32> {
    let dims = y.shape().dims();
    let (len, inner) = (dims[axis], dims[axis + 1..].iter().product::<usize>());
    let mut dx = vec![0.0; dy.len()];
    for line in 0..dy.len() / len {
        let first = line / inner * len * inner + line % inner;
        let cells = || (0..len).map(move |i| first + i * inner);
        let total: f64 = cells().map(|i| f64::from(y.data()[i]) * f64::from(dy[i])).sum();
        cells().for_each(|i| dx[i] = (f64::from(y.data()[i]) * (f64::from(dy[i]) - total)) as f32);
    }
    dx
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
