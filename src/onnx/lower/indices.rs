//! Ops over the places of a constant: running sums, rows of ones, what a condition keeps, bits.

use std::sync::Arc;

use super::super::data::{Array, Data};
use super::arithmetic::{whole, zip_ints};
use super::{Context, Lowered, Operator, check_folded, unsupported, wrong};
use crate::graph::Op;
use crate::graph::evaluate::strides;
use crate::tensor::{Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "CumSum" => |c| running(c, i64::wrapping_add, 0, |a, b| a + b, 0.0),
        "CumProd" => |c| running(c, i64::wrapping_mul, 1, |a, b| a * b, 1.0),
        "BitwiseAnd" => |c| bits(c, |a, b| Some(a & b)),
        "BitwiseOr" => |c| bits(c, |a, b| Some(a | b)),
        "BitwiseXor" => |c| bits(c, |a, b| Some(a ^ b)),
        "OneHot" => one_hot,
        "Compress" => compress,
        "CenterCropPad" => centre,
        _ => return None,
    })
}

const OF_CONSTANTS: &str = "it is only supported for constants and shapes";

/// Sums or products of all values up to each, along an axis of a constant.
fn running(
    c: &mut Context<'_, '_>,
    ints: fn(i64, i64) -> i64,
    no_int: i64,
    floats: fn(f64, f64) -> f64,
    no_float: f64,
) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let axis = match c.ints(1)?.data.as_slice() {
        &[axis] => c.axis(axis, shape.rank())?,
        _ => return wrong("its axis is not one number"),
    };
    let (exclusive, reverse) = (c.int("exclusive", 0) != 0, c.int("reverse", 0) != 0);
    let (len, inner) = (shape.dims()[axis], strides(&shape)[axis]);
    // The places of each line along the axis, in the order in which they are joined.
    let lines = shape.len().checked_div(len).unwrap_or(0);
    let place = |line: usize, i: usize| {
        let i = if reverse { len - 1 - i } else { i };
        line / inner * inner * len + line % inner + i * inner
    };
    fn join<T: Copy, S: Copy>(
        (data, lines, len, exclusive): (&[T], usize, usize, bool),
        place: impl Fn(usize, usize) -> usize,
        start: S,
        join: impl Fn(S, T) -> S,
        give: impl Fn(S) -> T,
    ) -> Vec<T> {
        let mut out = data.to_vec();
        for line in 0..lines {
            let mut total = start;
            for at in (0..len).map(|i| place(line, i)) {
                let next = join(total, data[at]);
                out[at] = give(if exclusive { total } else { next });
                total = next;
            }
        }
        out
    }
    Ok(vec![match &x {
        Data::Ints(a) => {
            let data = join((&a.data, lines, len, exclusive), place, no_int, ints, |v| v);
            Data::Ints(Arc::new(Array { shape: a.shape.clone(), data }))
        }
        other => match other.as_float() {
            Some(t) => {
                let given = (t.data(), lines, len, exclusive);
                let data = join(given, place, no_float, |a, b| floats(a, f64::from(b)), |v| v as f32);
                Data::float(Tensor::new(shape, data)?)
            }
            None => return unsupported(OF_CONSTANTS),
        },
    }])
}

/// A function of the bits of two constants.
fn bits(c: &Context<'_, '_>, f: fn(i64, i64) -> Option<i64>) -> Lowered<Vec<Data>> {
    match (whole(&c.input(0)?), whole(&c.input(1)?)) {
        (Some(a), Some(b)) => Ok(vec![zip_ints(&a, &b, f)?]),
        _ => unsupported(OF_CONSTANTS),
    }
}

/// Whole numbers, given as such or as floats.
fn places(data: &Data) -> Option<(Vec<usize>, Vec<i64>)> {
    match (whole(data), data.as_float()) {
        (Some(a), _) => Some((a.shape.clone(), a.data.clone())),
        (None, Some(t)) => Some((t.shape().dims().to_vec(), t.data().iter().map(|&v| v as i64).collect())),
        (None, None) => None,
    }
}

/// For each index of a constant a row that has one value at that index, and another elsewhere.
fn one_hot(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (indices, depth, values) = (places(&c.input(0)?), places(&c.input(1)?), c.input(2)?);
    let (Some((mut dims, indices)), Some((_, depth))) = (indices, depth) else { return unsupported(OF_CONSTANTS) };
    let depth = match *depth.as_slice() {
        [depth] if depth > 0 => depth,
        _ => return wrong("its depth is not one positive number"),
    };
    let axis = c.axis(c.int("axis", -1), dims.len() + 1)?;
    dims.insert(axis, usize::try_from(depth).unwrap_or(usize::MAX));
    let shape = Shape::new(dims);
    check_folded(&shape)?;
    let inner = strides(&shape)[axis];
    let is_on = |i: usize| {
        let (outer, at) = (i / inner / depth as usize, i / inner % depth as usize);
        let index = indices[outer * inner + i % inner];
        (if index < 0 { index + depth } else { index }) == at as i64
    };
    match (&values, values.as_float()) {
        (Data::Ints(v), _) if v.data.len() == 2 => {
            let data = (0..shape.len()).map(|i| v.data[usize::from(is_on(i))]).collect();
            Ok(vec![Data::Ints(Arc::new(Array { shape: shape.dims().to_vec(), data }))])
        }
        (_, Some(v)) if v.data().len() == 2 => {
            let data = (0..shape.len()).map(|i| v.data()[usize::from(is_on(i))]).collect();
            Ok(vec![Data::float(Tensor::new(shape, data)?)])
        }
        _ => unsupported("its values are not two constants"),
    }
}

/// The slices that a constant condition keeps.
fn compress(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (mut x, condition) = (c.input(0)?, c.ints(1)?);
    let mut axis = 0;
    match c.attribute("axis") {
        Some(a) => axis = c.axis(a.i(), c.shape(&x)?.rank())?,
        None => {
            let len = c.shape(&x)?.len();
            x = c.emit_step("flat", Op::Reshape(Shape::from([len])), &[&x])?;
        }
    }
    let len = c.shape(&x)?.dims().get(axis).copied().unwrap_or(0);
    let indices: Vec<usize> = (0..len.min(condition.data.len())).filter(|&i| condition.data[i] != 0).collect();
    if indices.is_empty() {
        return unsupported("it keeps nothing");
    }
    Ok(vec![c.emit(Op::Gather { axis, indices }, &[&x])?])
}

/// Cut or padded to a size, the middle staying where it is.
fn centre(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let mut x = c.input(0)?;
    let (shape, sizes) = (c.shape(&x)?, c.ints(1)?);
    let axes: Vec<usize> = match c.attribute("axes") {
        Some(a) => a.ints.iter().map(|&a| c.axis(a, shape.rank())).collect::<Lowered<_>>()?,
        None => (0..shape.rank()).collect(),
    };
    let mut to = shape.dims().to_vec();
    for (&axis, &size) in axes.iter().zip(&sizes.data) {
        to[axis] = usize::try_from(size).ok().filter(|&s| s > 0).ok_or_else(|| format!("a size of {size}"))?;
    }
    check_folded(&Shape::new(to.as_slice()))?;
    let (mut start, mut size) = (vec![0; to.len()], shape.dims().to_vec());
    let (mut before, mut after) = (vec![0; to.len()], vec![0; to.len()]);
    for (i, (&from, &to)) in shape.dims().iter().zip(&to).enumerate() {
        if to < from {
            (start[i], size[i]) = ((from - to) / 2, to);
        } else {
            (before[i], after[i]) = ((to - from) / 2, to - from - (to - from) / 2);
        }
    }
    let step = vec![1; to.len()];
    x = c.emit_step("cut", Op::Slice { start, step, size }, &[&x])?;
    Ok(vec![c.emit(Op::Pad { before, after, value: 0.0 }, &[&x])?])
}
