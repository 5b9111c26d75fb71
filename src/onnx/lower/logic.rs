//! Comparisons, logic and choices: on constants and shapes at once, on activations as graph ops. A truth value that
//! depends on the image is 0 or 1 in a float.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::data::{Array, Data};
use super::arithmetic::{pairs, scalar, whole, zip_ints};
use super::shapes::broadcast_indices;
use super::{Context, Lowered, Operator, check_folded, unsupported};
use crate::graph::{BinaryOp, Op, broadcast};
use crate::tensor::{Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "Equal" => |c| compare(c, Ordering::is_eq, Comparison { op: BinaryOp::Equal, swapped: false, not: false }),
        "Greater" => |c| compare(c, Ordering::is_gt, Comparison { op: BinaryOp::Greater, swapped: false, not: false }),
        "Less" => |c| compare(c, Ordering::is_lt, Comparison { op: BinaryOp::Greater, swapped: true, not: false }),
        "GreaterOrEqual" => {
            |c| compare(c, Ordering::is_ge, Comparison { op: BinaryOp::Greater, swapped: true, not: true })
        }
        "LessOrEqual" => {
            |c| compare(c, Ordering::is_le, Comparison { op: BinaryOp::Greater, swapped: false, not: true })
        }
        "And" => |c| logical(c, |a, b| a && b, BinaryOp::Mul, false),
        "Or" => |c| logical(c, |a, b| a || b, BinaryOp::Max, false),
        "Xor" => |c| logical(c, |a, b| a != b, BinaryOp::Equal, true),
        "Not" => |c| match c.input(0)? {
            Data::Ints(a) => {
                let data = a.data.iter().map(|&v| (v == 0).into()).collect();
                Ok(vec![Data::Ints(Arc::new(Array { shape: a.shape.clone(), data }))])
            }
            x => Ok(vec![c.emit(Op::Binary(BinaryOp::Sub), &[&scalar(1.0)?, &x])?]),
        },
        "Sign" => sign,
        "Shrink" => shrink,
        "Where" => choose,
        _ => return None,
    })
}

/// How two activations are compared: `op(a, b)`, or of `b` and `a`, or 1 minus that.
struct Comparison {
    op: BinaryOp,
    swapped: bool,
    not: bool,
}

/// An operand beside an activation: whole numbers (booleans too) as floats.
fn operand(data: &Data) -> Lowered<Data> {
    Ok(match data {
        Data::Ints(a) => {
            let data = a.data.iter().map(|&v| v as f32).collect();
            Data::float(Tensor::new(Shape::new(a.shape.as_slice()), data)?)
        }
        other => other.clone(),
    })
}

/// A comparison: 1 where it holds.
fn compare(c: &mut Context<'_, '_>, holds: fn(Ordering) -> bool, by: Comparison) -> Lowered<Vec<Data>> {
    let (a, b) = (c.input(0)?, c.input(1)?);
    if let (Some(a), Some(b)) = (whole(&a), whole(&b)) {
        return Ok(vec![zip_ints(&a, &b, |a, b| Some(holds(a.cmp(&b)).into()))?]);
    }
    if !(a.is_constant() && b.is_constant()) {
        let (mut a, mut b) = (operand(&a)?, operand(&b)?);
        if by.swapped {
            std::mem::swap(&mut a, &mut b);
        }
        return Ok(vec![negated(c, Op::Binary(by.op), &[&a, &b], by.not)?]);
    }
    let (Some(a), Some(b)) = (a.as_float(), b.as_float()) else {
        return unsupported("it compares 8-bit constants");
    };
    let (shape, pairs) = pairs(a.shape(), b.shape())?;
    let one = |(i, j): (usize, usize)| a.data()[i].partial_cmp(&b.data()[j]).is_some_and(holds).into();
    Ok(vec![Data::Ints(Arc::new(Array { shape: shape.dims().to_vec(), data: pairs.map(one).collect() }))])
}

/// An op of zeros and ones as the node's output, or 1 minus it.
fn negated(c: &mut Context<'_, '_>, op: Op, inputs: &[&Data], not: bool) -> Lowered<Data> {
    match not {
        false => c.emit(op, inputs),
        true => {
            let opposite = c.emit_step("opposite", op, inputs)?;
            c.emit(Op::Binary(BinaryOp::Sub), &[&scalar(1.0)?, &opposite])
        }
    }
}

fn logical(c: &mut Context<'_, '_>, f: fn(bool, bool) -> bool, op: BinaryOp, not: bool) -> Lowered<Vec<Data>> {
    match (c.input(0)?, c.input(1)?) {
        (Data::Ints(a), Data::Ints(b)) => Ok(vec![zip_ints(&a, &b, |a, b| Some(f(a != 0, b != 0).into()))?]),
        (a, b) => {
            let (a, b) = (operand(&a)?, operand(&b)?);
            Ok(vec![negated(c, Op::Binary(op), &[&a, &b], not)?])
        }
    }
}

/// -1, 0 or 1.
fn sign(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    if let Data::Ints(a) = &x {
        let data = a.data.iter().map(|v| v.signum()).collect();
        return Ok(vec![Data::Ints(Arc::new(Array { shape: a.shape.clone(), data }))]);
    }
    let (zero, greater) = (scalar(0.0)?, Op::Binary(BinaryOp::Greater));
    let above = c.emit_step("above", greater.clone(), &[&x, &zero])?;
    let below = c.emit_step("below", greater, &[&zero, &x])?;
    Ok(vec![c.emit(Op::Binary(BinaryOp::Sub), &[&above, &below])?])
}

/// `x - bias` above `lambd`, `x + bias` below `-lambd`, 0 between.
fn shrink(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let (bias, limit) = (c.float("bias", 0.0), c.float("lambd", 0.5));
    let op = Op::Binary;
    let above = c.emit_step("above", op(BinaryOp::Greater), &[&x, &scalar(limit)?])?;
    let below = c.emit_step("below", op(BinaryOp::Greater), &[&scalar(-limit)?, &x])?;
    let less = c.emit_step("less", op(BinaryOp::Sub), &[&x, &scalar(bias)?])?;
    let more = c.emit_step("more", op(BinaryOp::Add), &[&x, &scalar(bias)?])?;
    let above = c.emit_step("first", op(BinaryOp::Keep), &[&less, &above])?;
    let below = c.emit_step("second", op(BinaryOp::Keep), &[&more, &below])?;
    Ok(vec![c.emit(op(BinaryOp::Add), &[&above, &below])?])
}

/// The choice where the image decides: each side is kept where it is chosen, and both are added.
fn choose_by_image(c: &mut Context<'_, '_>, condition: &Data, a: &Data, b: &Data) -> Lowered<Vec<Data>> {
    if !matches!(condition, Data::Active(_)) {
        return unsupported("its condition is no truth value");
    }
    if matches!(a, Data::Ints(_)) || matches!(b, Data::Ints(_)) {
        return unsupported("it chooses between whole numbers by the image's content");
    }
    let zero = |side: &Data| side.as_float().is_some_and(|t| t.data().iter().all(|&v| v == 0.0));
    let keep = Op::Binary(BinaryOp::Keep);
    // A side of zeros is what is there anyway, if it does not make the result larger.
    let whole = broadcast(&c.shape(condition)?, &broadcast(&c.shape(a)?, &c.shape(b)?)?)?;
    let alone = |c: &Context<'_, '_>, side: &Data| -> Lowered<bool> {
        Ok(broadcast(&c.shape(condition)?, &c.shape(side)?)? == whole)
    };
    if zero(b) && alone(c, a)? {
        return Ok(vec![c.emit(keep, &[a, condition])?]);
    }
    let otherwise = c.emit_step("otherwise", Op::Binary(BinaryOp::Sub), &[&scalar(1.0)?, condition])?;
    if zero(a) && alone(c, b)? {
        return Ok(vec![c.emit(keep, &[b, &otherwise])?]);
    }
    let first = c.emit_step("first", keep.clone(), &[a, condition])?;
    let second = c.emit_step("second", keep, &[b, &otherwise])?;
    Ok(vec![c.emit(Op::Binary(BinaryOp::Add), &[&first, &second])?])
}

/// `condition ? a : b`.
fn choose(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (condition, a, b) = (c.input(0)?, c.input(1)?, c.input(2)?);
    let Data::Ints(condition) = condition else { return choose_by_image(c, &condition, &a, &b) };
    let condition_shape = Shape::new(condition.shape.as_slice());
    let whole = broadcast(&broadcast(&condition_shape, &c.shape(&a)?)?, &c.shape(&b)?)?;
    // One choice for all is that side, broadcast.
    for (side, chosen) in [(&a, true), (&b, false)] {
        let all = condition.data.iter().all(|&v| (v != 0) == chosen);
        if all && !side.is_constant() && c.shape(side)? == whole {
            return Ok(vec![c.emit(Op::Reshape(whole), &[side])?]);
        }
    }
    check_folded(&whole)?;
    let chosen: Vec<bool> = broadcast_indices(&condition_shape, &whole).map(|i| condition.data[i] != 0).collect();
    match (&a, &b) {
        (Data::Ints(a), Data::Ints(b)) => {
            let (i, j) = (Shape::new(a.shape.as_slice()), Shape::new(b.shape.as_slice()));
            let sides = broadcast_indices(&i, &whole).zip(broadcast_indices(&j, &whole));
            let data = sides.zip(&chosen).map(|((i, j), &c)| if c { a.data[i] } else { b.data[j] }).collect();
            Ok(vec![Data::Ints(Arc::new(Array { shape: whole.dims().to_vec(), data }))])
        }
        (a, b) if a.is_constant() && b.is_constant() => {
            let (Some(a), Some(b)) = (a.as_float(), b.as_float()) else {
                return unsupported("it chooses between values of different types");
            };
            let sides = broadcast_indices(a.shape(), &whole).zip(broadcast_indices(b.shape(), &whole));
            let data = sides.zip(&chosen).map(|((i, j), &c)| if c { a.data()[i] } else { b.data()[j] }).collect();
            Ok(vec![Data::float(Tensor::new(whole, data)?)])
        }
        _ => blend(c, &whole, &chosen, [&a, &b]),
    }
}

/// The same where a side depends on the image: each side is multiplied with 1 where it is chosen and 0 elsewhere, and
/// both are added. A constant side (perhaps infinite, in a mask) becomes 0 where it is not chosen beforehand.
fn blend(c: &mut Context<'_, '_>, whole: &Shape, chosen: &[bool], sides: [&Data; 2]) -> Lowered<Vec<Data>> {
    let mut kept = Vec::with_capacity(2);
    for (side, (own, step)) in sides.into_iter().zip([(true, "first"), (false, "second")]) {
        let keeps = || chosen.iter().map(|&c| c == own);
        kept.push(match side.as_float() {
            Some(t) => {
                let values = broadcast_indices(t.shape(), whole).map(|i| t.data()[i]);
                let data = values.zip(keeps()).map(|(v, keep)| if keep { v } else { 0.0 }).collect();
                Data::float(Tensor::new(whole.clone(), data)?)
            }
            None => {
                let factor = Tensor::new(whole.clone(), keeps().map(|keep| f32::from(u8::from(keep))).collect())?;
                c.emit_step(step, Op::Binary(BinaryOp::Mul), &[side, &Data::float(factor)])?
            }
        });
    }
    Ok(vec![c.emit(Op::Binary(BinaryOp::Add), &[&kept[0], &kept[1]])?])
}
