//! Every op in candle's terms: one exhaustive `match`.

use candle_core::{D, DType, Result, Tensor, bail};
use candle_nn::{Linear, Module};

use super::activations::{activation, quantize};
use super::windows::{conv2d, pool2d};
use crate::graph::{Attention, BinaryOp, LayerNorm, Op, ReduceKind};
use crate::tensor::Shape;

/// Computes an op; `shape` is its output's, by shape inference.
pub(super) fn apply(op: &Op, inputs: &[Tensor], shape: &Shape) -> Result<Tensor> {
    let input = |i: usize| match inputs.get(i) {
        Some(tensor) => Ok(tensor),
        None => bail!("input {i} is missing"),
    };
    let x = input(0)?;
    let y = match op {
        Op::Conv2d(conv) => {
            let y = conv2d(conv, x, input(1)?, shape)?;
            let bias = input(2)?;
            let y = y.broadcast_add(&bias.reshape((1, bias.elem_count(), 1, 1))?)?;
            let y = if conv.residual { (y + input(3)?)? } else { y };
            activation(conv.activation, &y)?
        }
        Op::Linear(linear) => {
            let layer = Linear::new(input(1)?.clone(), Some(input(2)?.clone()));
            // As rows: the layer takes two to four dimensions.
            let width = x.dim(D::Minus1)?;
            let y = layer.forward(&x.reshape(((), width))?)?;
            activation(linear.activation, &y)?
        }
        Op::MatMul => matmul(x, input(1)?)?,
        Op::Activation(function) => activation(*function, x)?,
        Op::Binary(op) => binary(*op, x, input(1)?)?,
        Op::Pool2d(pool) => pool2d(pool, x, shape)?,
        Op::Reduce { kind, axes, .. } => reduce(*kind, axes, x)?,
        Op::Softmax { axis } => candle_nn::ops::softmax(x, *axis)?,
        Op::Reshape(_) => x.clone(),
        Op::Transpose { perm } => x.permute(perm.as_slice())?,
        Op::Concat { axis } => Tensor::cat(inputs, *axis)?,
        Op::Pad { before, after, value } => {
            let mut y = x.clone();
            for axis in 0..before.len() {
                y = pad(&y, axis, [before[axis], after[axis]], *value)?;
            }
            y
        }
        Op::LayerNorm(norm) => layer_norm(norm, x, input(1)?, input(2)?)?,
        Op::Attention(a) => attention(a, x, input(1)?, input(2)?, inputs.get(3))?,
        Op::Slice { start, step, size } => {
            let mut y = x.clone();
            for axis in 0..size.len() {
                y = match (step[axis], size[axis]) {
                    (_, n) if n == y.dim(axis)? && (step[axis] == 1 || n == 1) => continue,
                    (1, n) => y.narrow(axis, start[axis], n)?,
                    (by, n) => {
                        let places = (0..n).map(|i| (start[axis] as isize + i as isize * by) as usize);
                        select(&y, axis, places)?
                    }
                };
            }
            y
        }
        Op::Gather { axis, indices } => select(x, *axis, indices.iter().copied())?,
        Op::Quantize(q) => quantize(q, x)?,
    };
    y.contiguous()?.reshape(shape.dims())
}

/// The slices at some places of an axis.
pub(super) fn select(x: &Tensor, axis: usize, places: impl Iterator<Item = usize>) -> Result<Tensor> {
    let places: Vec<u32> = places.map(|i| i as u32).collect();
    let count = places.len();
    x.contiguous()?.index_select(&Tensor::from_vec(places, count, x.device())?, axis)
}

/// Cells of one value before and after an axis.
pub(super) fn pad(x: &Tensor, axis: usize, [before, after]: [usize; 2], value: f32) -> Result<Tensor> {
    let block = |cells: usize| {
        let mut dims = x.dims().to_vec();
        dims[axis] = cells;
        Tensor::full(value, dims, x.device())
    };
    let mut parts = vec![x.clone()];
    if before > 0 {
        parts.insert(0, block(before)?);
    }
    if after > 0 {
        parts.push(block(after)?);
    }
    Tensor::cat(&parts, axis)
}

/// `a op b`, broadcast as in numpy.
fn binary(op: BinaryOp, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match op {
        BinaryOp::Add => a.broadcast_add(b),
        BinaryOp::Sub => a.broadcast_sub(b),
        BinaryOp::Mul => a.broadcast_mul(b),
        BinaryOp::Div => a.broadcast_div(b),
        BinaryOp::Min => a.broadcast_minimum(b),
        BinaryOp::Max => a.broadcast_maximum(b),
        BinaryOp::Greater => a.broadcast_gt(b)?.to_dtype(DType::F32),
        BinaryOp::Equal => a.broadcast_eq(b)?.to_dtype(DType::F32),
        BinaryOp::Pow => {
            let shape = a.shape().broadcast_shape_binary_op(b.shape(), "pow")?;
            power(&a.broadcast_as(&shape)?.contiguous()?, &b.broadcast_as(&shape)?.contiguous()?)
        }
        BinaryOp::Keep => {
            let shape = a.shape().broadcast_shape_binary_op(b.shape(), "keep")?;
            let (a, b) = (a.broadcast_as(&shape)?.contiguous()?, b.broadcast_as(&shape)?.contiguous()?);
            b.ne(0f32)?.where_cond(&a, &a.zeros_like()?)
        }
    }
}

/// `a ^ b`. candle's own power is `exp(b ln a)`, which knows no negative base and no zeroth power of zero.
fn power(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let size = (a.abs()?.log()? * b)?.exp()?;
    let odd = (b - b.affine(0.5, 0.0)?.floor()?.affine(2.0, 0.0)?)?.eq(1f32)?;
    let whole = b.floor()?.eq(b)?;
    let nan = a.affine(0.0, f64::NAN)?;
    let of_negative = whole.where_cond(&odd.where_cond(&size.neg()?, &size)?, &nan)?;
    let y = a.lt(0f32)?.where_cond(&of_negative, &size)?;
    b.eq(0f32)?.where_cond(&b.ones_like()?, &y)
}

/// A reduction; the reduced axes stay with length 1.
fn reduce(kind: ReduceKind, axes: &[usize], x: &Tensor) -> Result<Tensor> {
    match kind {
        _ if axes.is_empty() => Ok(x.clone()),
        ReduceKind::Sum => x.sum_keepdim(axes),
        ReduceKind::Mean => x.mean_keepdim(axes),
        ReduceKind::Max => axes.iter().try_fold(x.clone(), |y, &axis| y.max_keepdim(axis)),
        ReduceKind::Min => axes.iter().try_fold(x.clone(), |y, &axis| y.min_keepdim(axis)),
        ReduceKind::Product => {
            // Along one axis a product may leave f32 and come back along the next; Metal has nothing wider.
            let wide = if x.device().is_metal() { DType::F32 } else { DType::F64 };
            let along = |y: Tensor, &axis: &usize| {
                let slices = (1..y.dim(axis)?).map(|i| y.narrow(axis, i, 1));
                slices.fold(y.narrow(axis, 0, 1), |product, slice| product? * slice?)
            };
            axes.iter().try_fold(x.to_dtype(wide)?, along)?.to_dtype(DType::F32)
        }
    }
}

fn layer_norm(norm: &LayerNorm, x: &Tensor, scale: &Tensor, bias: &Tensor) -> Result<Tensor> {
    // Not candle_nn's: it takes the variance as a difference of large numbers, and normalises the last axis only.
    let centred = x.broadcast_sub(&x.mean_keepdim(norm.axes.as_slice())?)?;
    let variance = centred.sqr()?.mean_keepdim(norm.axes.as_slice())?;
    let normal = centred.broadcast_div(&variance.affine(1.0, norm.epsilon.into())?.sqrt()?)?;
    normal.broadcast_mul(scale)?.broadcast_add(bias)
}

/// `[.., M, K]` by `[.., K, N]`, whose leading dimensions are broadcast.
fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.rank() == 2 || b.rank() == 2 {
        return a.contiguous()?.broadcast_matmul(&b.contiguous()?);
    }
    // One leading dimension: candle's product stumbles over several of which some are ones.
    let lead = |x: &Tensor| candle_core::Shape::from(&x.dims()[..x.rank() - 2]);
    let lead = lead(a).broadcast_shape_binary_op(&lead(b), "matmul")?;
    let flat = |x: &Tensor| {
        let matrix = [x.dim(D::Minus2)?, x.dim(D::Minus1)?];
        let whole = x.broadcast_as([lead.dims(), &matrix].concat())?.contiguous()?;
        whole.reshape((lead.elem_count(), matrix[0], matrix[1]))
    };
    flat(a)?.matmul(&flat(b)?)?.reshape([lead.dims(), &[a.dim(D::Minus2)?, b.dim(D::Minus1)?]].concat())
}

fn attention(a: &Attention, q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let scores = matmul(q, &k.transpose(D::Minus2, D::Minus1)?)?.affine(a.scale.into(), 0.0)?;
    let scores = match mask {
        Some(mask) => scores.broadcast_add(mask)?,
        None => scores,
    };
    matmul(&candle_nn::ops::softmax(&scores, D::Minus1)?, v)
}
