//! Element-wise arithmetic: on activations as graph ops, on whole numbers (shapes) and constants at once.

use std::sync::Arc;

use super::super::data::{Array, Data};
use super::shapes::broadcast_indices;
use super::{Context, Lowered, Operator, check_folded, unsupported, wrong};
use crate::graph::{Activation, BinaryOp, Op, broadcast};
use crate::tensor::{Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "Add" => |c| binary(c, BinaryOp::Add),
        "Sub" => |c| binary(c, BinaryOp::Sub),
        "Mul" => |c| binary(c, BinaryOp::Mul),
        "Div" => |c| binary(c, BinaryOp::Div),
        "Sum" => sum,
        "Mean" => mean,
        "Max" => |c| extreme(c, BinaryOp::Max),
        "Min" => |c| extreme(c, BinaryOp::Min),
        "Pow" => pow,
        "Reciprocal" => reciprocal,
        // The remainder has the sign of the divisor, or with fmod that of the dividend.
        "Mod" => |c| match c.int("fmod", 0) {
            0 => {
                constants_only(c, |a, b| Some((a.checked_rem(b)? + b).wrapping_rem(b)), |a, b| a - b * (a / b).floor())
            }
            _ => constants_only(c, i64::checked_rem, |a, b| a % b),
        },
        _ => return None,
    })
}

pub(super) fn scalar(value: f32) -> Lowered<Data> {
    Ok(Data::float(Tensor::new(Shape::default(), vec![value])?))
}

/// A function of whole numbers, broadcast; `None` from `f` is a division by zero or an overflow.
pub(super) fn zip_ints(a: &Array<i64>, b: &Array<i64>, f: impl Fn(i64, i64) -> Option<i64>) -> Lowered<Data> {
    let (sa, sb) = (Shape::new(a.shape.as_slice()), Shape::new(b.shape.as_slice()));
    let shape = broadcast(&sa, &sb)?;
    check_folded(&shape)?;
    let pairs = broadcast_indices(&sa, &shape).zip(broadcast_indices(&sb, &shape));
    let data: Option<Vec<i64>> = pairs.map(|(i, j)| f(a.data[i], b.data[j])).collect();
    match data {
        Some(data) => Ok(Data::Ints(Arc::new(Array { shape: shape.dims().to_vec(), data }))),
        None => wrong("its shape arithmetic divides by zero or overflows"),
    }
}

/// The whole numbers of a constant that holds such, bytes included.
pub(super) fn whole(data: &Data) -> Option<Arc<Array<i64>>> {
    let list = |shape: &[usize], data: Vec<i64>| Some(Arc::new(Array { shape: shape.to_vec(), data }));
    match data {
        Data::Ints(a) => Some(a.clone()),
        Data::Bytes(a) => list(&a.shape, a.data.iter().map(|&v| v.into()).collect()),
        Data::UnsignedBytes(a) => list(&a.shape, a.data.iter().map(|&v| v.into()).collect()),
        _ => None,
    }
}

fn binary(c: &mut Context<'_, '_>, op: BinaryOp) -> Lowered<Vec<Data>> {
    let (a, b) = (c.input(0)?, c.input(1)?);
    if let (Some(a), Some(b)) = (whole(&a), whole(&b)) {
        let f = match op {
            BinaryOp::Add => i64::checked_add,
            BinaryOp::Sub => i64::checked_sub,
            BinaryOp::Mul => i64::checked_mul,
            BinaryOp::Div => i64::checked_div,
            BinaryOp::Min => |a: i64, b: i64| Some(a.min(b)),
            BinaryOp::Max => |a: i64, b: i64| Some(a.max(b)),
            BinaryOp::Pow => |a: i64, b: i64| a.checked_pow(u32::try_from(b).ok()?),
            BinaryOp::Greater | BinaryOp::Equal | BinaryOp::Keep => return unsupported(OF_CONSTANTS),
        };
        return Ok(vec![zip_ints(&a, &b, f)?]);
    }
    Ok(vec![c.emit(Op::Binary(op), &[&a, &b])?])
}

/// A sum of any number of values.
fn sum(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let mut total = c.input(0)?;
    let last = c.node.input.len() - 1;
    if last == 0 {
        let shape = c.shape(&total)?;
        return Ok(vec![c.emit(Op::Reshape(shape), &[&total])?]);
    }
    for i in 1..=last {
        let next = c.input(i)?;
        let op = Op::Binary(BinaryOp::Add);
        total = match i == last {
            true => c.emit(op, &[&total, &next])?,
            false => c.emit_step(&format!("sum{i}"), op, &[&total, &next])?,
        };
    }
    Ok(vec![total])
}

/// The mean of any number of values.
fn mean(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let count = c.node.input.len();
    let mut total = c.input(0)?;
    for i in 1..count {
        let next = c.input(i)?;
        total = c.emit_step(&format!("sum{i}"), Op::Binary(BinaryOp::Add), &[&total, &next])?;
    }
    let count = scalar(count as f32)?;
    Ok(vec![c.emit(Op::Binary(BinaryOp::Div), &[&total, &count])?])
}

/// The largest or smallest of any number of values.
fn extreme(c: &mut Context<'_, '_>, kind: BinaryOp) -> Lowered<Vec<Data>> {
    let mut found = c.input(0)?;
    let last = c.node.input.len() - 1;
    if last == 0 {
        let shape = c.shape(&found)?;
        return Ok(vec![match &found {
            Data::Active(_) => c.emit(Op::Reshape(shape), &[&found])?,
            known => known.clone(),
        }]);
    }
    for i in 1..=last {
        let next = c.input(i)?;
        if let (Some(a), Some(b)) = (whole(&found), whole(&next)) {
            let pick = if kind == BinaryOp::Max { i64::max } else { i64::min };
            found = zip_ints(&a, &b, |a, b| Some(pick(a, b)))?;
            continue;
        }
        let (op, inputs) = bound(c, kind, &found, &next)?;
        let inputs: Vec<&Data> = inputs.iter().collect();
        found = match i == last {
            true => c.emit(op, &inputs)?,
            false => c.emit_step(&format!("of{i}"), op, &inputs)?,
        };
    }
    Ok(vec![found])
}

/// A bound that is one constant number clips, which layers do as they store; any other is an op of its own.
fn bound(c: &Context<'_, '_>, kind: BinaryOp, a: &Data, b: &Data) -> Lowered<(Op, Vec<Data>)> {
    let (x, limit) = if a.is_constant() { (b, a) } else { (a, b) };
    let number = limit.as_float().filter(|t| t.data().len() == 1 && !x.is_constant());
    match number {
        Some(t) if t.shape().rank() <= c.shape(x)?.rank() => {
            let v = t.data()[0].clamp(f32::MIN, f32::MAX);
            let clip = match kind {
                BinaryOp::Max => Activation::Clip(v, f32::MAX),
                _ => Activation::Clip(f32::MIN, v),
            };
            Ok((Op::Activation(clip), vec![x.clone()]))
        }
        _ => Ok((Op::Binary(kind), vec![a.clone(), b.clone()])),
    }
}

fn pow(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (x, exponent) = (c.input(0)?, c.input(1)?);
    if let (Some(a), Some(b)) = (whole(&x), whole(&exponent)) {
        return Ok(vec![zip_ints(&a, &b, |a, b| a.checked_pow(u32::try_from(b).ok()?))?]);
    }
    let exponent = match &exponent {
        Data::Ints(a) => {
            let data = a.data.iter().map(|&v| v as f32).collect();
            Data::float(Tensor::new(Shape::new(a.shape.as_slice()), data)?)
        }
        other => other.clone(),
    };
    let number = exponent.as_float().filter(|t| t.data().len() == 1).map(|t| t.data()[0]);
    match number.filter(|_| !x.is_constant()) {
        Some(1.0) => Ok(vec![c.emit(Op::Reshape(c.shape(&x)?), &[&x])?]),
        Some(2.0) => Ok(vec![c.emit(Op::Binary(BinaryOp::Mul), &[&x, &x])?]),
        Some(3.0) => {
            let square = c.emit_step("square", Op::Binary(BinaryOp::Mul), &[&x, &x])?;
            Ok(vec![c.emit(Op::Binary(BinaryOp::Mul), &[&square, &x])?])
        }
        Some(0.5) => Ok(vec![c.emit(Op::Activation(Activation::Sqrt), &[&x])?]),
        Some(-1.0) => Ok(vec![c.emit(Op::Binary(BinaryOp::Div), &[&scalar(1.0)?, &x])?]),
        _ => Ok(vec![c.emit(Op::Binary(BinaryOp::Pow), &[&x, &exponent])?]),
    }
}

fn reciprocal(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    Ok(vec![c.emit(Op::Binary(BinaryOp::Div), &[&scalar(1.0)?, &x])?])
}

const OF_CONSTANTS: &str = "it is only supported for constants and shapes";

/// A function of two constants, broadcast.
fn constants_only(
    c: &Context<'_, '_>,
    ints: fn(i64, i64) -> Option<i64>,
    floats: fn(f32, f32) -> f32,
) -> Lowered<Vec<Data>> {
    let (a, b) = (c.input(0)?, c.input(1)?);
    match (whole(&a), whole(&b)) {
        (Some(a), Some(b)) => Ok(vec![zip_ints(&a, &b, ints)?]),
        _ => {
            let (Some(a), Some(b)) = (a.as_float(), b.as_float()) else { return unsupported(OF_CONSTANTS) };
            let (shape, pairs) = pairs(a.shape(), b.shape())?;
            let data = pairs.map(|(i, j)| floats(a.data()[i], b.data()[j])).collect();
            Ok(vec![Data::float(Tensor::new(shape, data)?)])
        }
    }
}

/// The broadcast of two shapes, and for each of its elements the indices into both.
pub(super) fn pairs(a: &Shape, b: &Shape) -> Lowered<(Shape, impl Iterator<Item = (usize, usize)> + use<>)> {
    let shape = broadcast(a, b)?;
    check_folded(&shape)?;
    let indices = broadcast_indices(a, &shape).zip(broadcast_indices(b, &shape));
    Ok((shape, indices))
}
