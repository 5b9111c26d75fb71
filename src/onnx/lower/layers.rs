//! Convolutions and matrix products.

use std::sync::Arc;

use super::super::data::{Data, Int8Weight, transpose, transpose_into};
use super::windows::{Window, spatial};
use super::{Context, Lowered, Operator, unsupported, wrong};
use crate::graph::{Activation, BinaryOp, Conv2d, Linear, Op};
use crate::tensor::{Int8Tensor, Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "Conv" => conv,
        "Gemm" => gemm,
        "MatMul" => |c| {
            let (a, b) = (c.input(0)?, c.input(1)?);
            Ok(vec![matmul(c, a, b)?])
        },
        _ => return None,
    })
}

fn conv(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (x, weight) = (c.input(0)?, c.input(1)?);
    Ok(vec![convolve_with(c, &x, &weight)?])
}

/// The convolution of a node whose third input is the bias, if it has one.
pub(super) fn convolve_with(c: &mut Context<'_, '_>, x: &Data, weight: &Data) -> Lowered<Data> {
    let outputs = c.shape(weight)?.dims().first().copied().unwrap_or(0);
    let bias = bias(c, 2, outputs)?;
    convolve(c, x, weight, &bias)
}

/// The convolution that the node's attributes describe, of one or two spatial dimensions.
pub(super) fn convolve(c: &mut Context<'_, '_>, x: &Data, weight: &Data, bias: &Data) -> Lowered<Data> {
    if !weight.is_constant() {
        return unsupported("its weights are computed from the image");
    }
    let (x_shape, w_shape) = (c.shape(x)?, c.shape(weight)?);
    let Some([kh, kw]) = spatial(&w_shape) else {
        return unsupported(format!("weights {w_shape}; only one or two spatial dimensions are supported"));
    };
    if kh == 0 || kw == 0 {
        return wrong(format!("its weights {w_shape} are empty"));
    }
    let window = Window::new(c, &x_shape, Some([kh, kw]))?;
    let Ok(groups) = usize::try_from(c.int("group", 1)) else { return wrong("group must be positive") };
    let conv = Conv2d {
        strides: window.strides,
        dilations: window.dilations,
        pads: window.pads,
        groups,
        activation: Activation::None,
        residual: false,
    };
    let op = Op::Conv2d(conv);
    match (x_shape.dims(), w_shape.dims()) {
        (&[n, channels, length], &[o, i, k]) => {
            // One row of cells.
            let x = c.emit_step("row", Op::Reshape(Shape::from([n, channels, 1, length])), &[x])?;
            let weight = c.emit_step("filters", Op::Reshape(Shape::from([o, i, 1, k])), &[weight])?;
            let y = c.emit_step("convolved", op, &[&x, &weight, bias])?;
            let dims = c.shape(&y)?.dims().to_vec();
            c.emit(Op::Reshape(Shape::from([dims[0], dims[1], dims[3]])), &[&y])
        }
        _ => c.emit(op, &[x, weight, bias]),
    }
}

/// The constant bias at an input, or zeros.
fn bias(c: &Context<'_, '_>, input: usize, outputs: usize) -> Lowered<Data> {
    match c.optional(input) {
        None => Ok(Data::float(Tensor::zeros([outputs]))),
        Some(data) => match data.as_float() {
            Some(t) => Ok(Data::Float(t)),
            None => unsupported("its bias is not a constant"),
        },
    }
}

/// A constant matrix as the weight `[O, K]` of a linear layer, from a value that is `[K, O]`, or `[O, K]` if
/// `transposed`.
pub(super) fn linear_weight(weight: &Data, transposed: bool, alpha: f32) -> Lowered<Data> {
    let scaled = |t: &Tensor| match alpha {
        1.0 => None,
        _ => Tensor::new(t.shape().clone(), t.data().iter().map(|v| v * alpha).collect()).ok(),
    };
    match weight {
        Data::Int8(w) if w.transposed != transposed => {
            let (t, mut out) = (&w.tensor, (**w).clone());
            if alpha != 1.0 {
                let scales = t.scales().iter().map(|s| s * alpha).collect();
                out.tensor = Arc::new(Int8Tensor::new(t.shape().clone(), t.data().to_vec(), scales)?);
            }
            out.transposed = false;
            Ok(Data::Int8(Arc::new(Int8Weight { ..out })))
        }
        other => {
            let Some(t) = other.as_float() else { return unsupported("its weights are not float constants") };
            if t.shape().rank() != 2 {
                return wrong(format!("weights {} are no matrix", t.shape()));
            }
            let t = scaled(&t).map_or(t, Arc::new);
            Ok(if transposed { Data::Float(t) } else { Data::float(transpose(&t)) })
        }
    }
}

fn swap_last_two(rank: usize) -> Op {
    let mut perm: Vec<usize> = (0..rank).collect();
    perm.swap(rank - 2, rank - 1);
    Op::Transpose { perm }
}

/// `alpha A' B' + beta C`.
fn gemm(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (mut a, b, addend) = (c.input(0)?, c.input(1)?, c.optional(2));
    if !b.is_constant() || addend.as_ref().is_some_and(|d| !d.is_constant()) {
        return gemm_of_activations(c, a, b, addend);
    }
    if c.shape(&a)?.rank() != 2 {
        return wrong(format!("its input {} is no matrix", c.shape(&a)?));
    }
    if c.int("transA", 0) != 0 {
        a = c.emit_step("transposed", swap_last_two(2), &[&a])?;
    }
    let weight = linear_weight(&b, c.int("transB", 0) != 0, c.float("alpha", 1.0))?;
    let outputs = c.shape(&weight)?.dims()[0];
    let beta = c.float("beta", 1.0);
    let addend = match addend {
        None => None,
        Some(data) => match data.as_float() {
            Some(t) if beta == 1.0 => Some(t),
            Some(t) => Some(Arc::new(Tensor::new(t.shape().clone(), t.data().iter().map(|v| v * beta).collect())?)),
            None => return unsupported("its addend is not a constant"),
        },
    };
    // One value an output, or one for all, is the bias; anything else is added afterwards.
    let bias = match addend.as_deref() {
        None => Some(vec![0.0; outputs]),
        Some(t) if t.data().len() == 1 => Some(vec![t.data()[0]; outputs]),
        Some(t) if t.data().len() == outputs && t.shape().dims().last() == Some(&outputs) => Some(t.data().to_vec()),
        Some(_) => None,
    };
    let op = || Op::Linear(Linear::default());
    match (bias, addend) {
        (Some(bias), _) => Ok(vec![c.emit(op(), &[&a, &weight, &Data::float(Tensor::new([outputs], bias)?)])?]),
        (None, addend) => {
            let product = c.emit_step("product", op(), &[&a, &weight, &Data::float(Tensor::zeros([outputs]))])?;
            let addend = addend.map(Data::Float).ok_or_else(|| super::Stop::Wrong("its addend is missing".into()))?;
            Ok(vec![c.emit(Op::Binary(BinaryOp::Add), &[&product, &addend])?])
        }
    }
}

/// The same where more than the first factor depends on the image.
fn gemm_of_activations(c: &mut Context<'_, '_>, a: Data, b: Data, addend: Option<Data>) -> Lowered<Vec<Data>> {
    let mut sides = [a, b];
    for (side, flag) in sides.iter_mut().zip(["transA", "transB"]) {
        if c.shape(side)?.rank() != 2 {
            return wrong(format!("its input {} is no matrix", c.shape(side)?));
        }
        if c.int(flag, 0) != 0 {
            *side = c.emit_step(flag, swap_last_two(2), &[side])?;
        }
    }
    let [a, b] = sides;
    let factor = |value: f32| Tensor::new(Shape::default(), vec![value]).map(Data::float);
    let (alpha, beta) = (c.float("alpha", 1.0), c.float("beta", 1.0));
    let mut y = c.emit_step("product", Op::MatMul, &[&a, &b])?;
    if alpha != 1.0 {
        y = c.emit_step("scaled", Op::Binary(BinaryOp::Mul), &[&y, &factor(alpha)?])?;
    }
    let mut addend = match addend {
        Some(addend) => addend,
        None => factor(0.0)?,
    };
    if beta != 1.0 {
        addend = c.emit_step("addend", Op::Binary(BinaryOp::Mul), &[&addend, &factor(beta)?])?;
    }
    Ok(vec![c.emit(Op::Binary(BinaryOp::Add), &[&y, &addend])?])
}

/// `a b` as numpy's `matmul` defines it.
pub(super) fn matmul(c: &mut Context<'_, '_>, a: Data, b: Data) -> Lowered<Data> {
    let (a_shape, b_shape) = (c.shape(&a)?, c.shape(&b)?);
    if b.is_constant() && !a.is_constant() && b_shape.rank() == 2 {
        let weight = linear_weight(&b, false, 1.0)?;
        let bias = Data::float(Tensor::zeros([b_shape.dims()[1]]));
        return c.emit(Op::Linear(Linear::default()), &[&a, &weight, &bias]);
    }
    // A vector is a row on the left and a column on the right, and its dimension goes away afterwards.
    match (a_shape.dims(), b_shape.dims()) {
        ([] | [0, ..], _) | (_, [] | [0, ..]) => wrong(format!("{a_shape} times {b_shape}")),
        ([_, _, ..], [_, _, ..]) => c.emit(Op::MatMul, &[&a, &b]),
        (left, right) => {
            let (mut a, mut b) = (a, b);
            if let &[k] = left {
                a = c.emit_step("row", Op::Reshape(Shape::from([1, k])), &[&a])?;
            }
            if let &[k] = right {
                b = c.emit_step("column", Op::Reshape(Shape::from([k, 1])), &[&b])?;
            }
            let y = c.emit_step("product", Op::MatMul, &[&a, &b])?;
            let mut dims = c.shape(&y)?.dims().to_vec();
            if right.len() == 1 {
                dims.pop();
            }
            if left.len() == 1 {
                let rows = dims.len() - usize::from(right.len() > 1) - 1;
                dims.remove(rows);
            }
            c.emit(Op::Reshape(Shape::new(dims)), &[&y])
        }
    }
}

/// An int8 matrix with its last axis as output channels, from ONNX's `[K, O]`.
pub(super) fn int8_matrix(data: &[i8], k: usize, o: usize, scales: Vec<f32>) -> Lowered<Int8Weight> {
    let mut rows = vec![0; data.len()];
    transpose_into(data, k, o, &mut rows);
    let tensor = Arc::new(Int8Tensor::new([o, k], rows, scales)?);
    Ok(Int8Weight { tensor, transposed: true })
}
