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
        "Neg" => |c| match c.input(0)? {
            Data::Ints(a) => Ok(vec![map_ints(&a, i64::wrapping_neg)]),
            x => Ok(vec![c.emit(Op::Binary(BinaryOp::Mul), &[&x, &scalar(-1.0)?])?]),
        },
        "Max" => |c| bound(c, |v| Activation::Clip(v, f32::MAX), f32::max, i64::max),
        "Min" => |c| bound(c, |v| Activation::Clip(f32::MIN, v), f32::min, i64::min),
        "Pow" => pow,
        "Sqrt" => |c| constant_function(c, f64::sqrt),
        "Exp" => |c| constant_function(c, f64::exp),
        "Log" => |c| constant_function(c, f64::ln),
        "Abs" => |c| constant_function(c, f64::abs),
        "Reciprocal" => reciprocal,
        "Floor" => |c| constant_function(c, f64::floor),
        "Ceil" => |c| constant_function(c, f64::ceil),
        "Mod" => |c| ints_only(c, |a, b| a.checked_rem_euclid(b)),
        "Equal" => |c| ints_only(c, |a, b| Some((a == b).into())),
        "Where" => choose,
        _ => return None,
    })
}

fn scalar(value: f32) -> Lowered<Data> {
    Ok(Data::float(Tensor::new(Shape::default(), vec![value])?))
}

fn map_ints(a: &Array<i64>, f: impl Fn(i64) -> i64) -> Data {
    Data::Ints(Arc::new(Array { shape: a.shape.clone(), data: a.data.iter().map(|&v| f(v)).collect() }))
}

/// A function of whole numbers, broadcast; `None` from `f` is a division by zero or an overflow.
fn zip_ints(a: &Array<i64>, b: &Array<i64>, f: impl Fn(i64, i64) -> Option<i64>) -> Lowered<Data> {
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

fn binary(c: &mut Context<'_, '_>, op: BinaryOp) -> Lowered<Vec<Data>> {
    let (a, b) = (c.input(0)?, c.input(1)?);
    if let (Data::Ints(a), Data::Ints(b)) = (&a, &b) {
        let f = match op {
            BinaryOp::Add => i64::checked_add,
            BinaryOp::Sub => i64::checked_sub,
            BinaryOp::Mul => i64::checked_mul,
            BinaryOp::Div => i64::checked_div,
            BinaryOp::Min => |a: i64, b: i64| Some(a.min(b)),
            BinaryOp::Max => |a: i64, b: i64| Some(a.max(b)),
            BinaryOp::Pow => |a: i64, b: i64| a.checked_pow(u32::try_from(b).ok()?),
        };
        return Ok(vec![zip_ints(a, b, f)?]);
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

/// Max or Min of a value and a constant number.
fn bound(
    c: &mut Context<'_, '_>,
    clip: fn(f32) -> Activation,
    floats: fn(f32, f32) -> f32,
    ints: fn(i64, i64) -> i64,
) -> Lowered<Vec<Data>> {
    let (a, b) = (c.input(0)?, c.input(1)?);
    if c.node.input.len() != 2 {
        return unsupported("only two inputs are supported");
    }
    if let (Data::Ints(a), Data::Ints(b)) = (&a, &b) {
        return Ok(vec![zip_ints(a, b, |a, b| Some(ints(a, b)))?]);
    }
    if let (Some(a), Some(b)) = (a.as_float(), b.as_float()) {
        let shape = broadcast(a.shape(), b.shape())?;
        check_folded(&shape)?;
        let pairs = broadcast_indices(a.shape(), &shape).zip(broadcast_indices(b.shape(), &shape));
        let data = pairs.map(|(i, j)| floats(a.data()[i], b.data()[j])).collect();
        return Ok(vec![Data::float(Tensor::new(shape, data)?)]);
    }
    let (x, limit) = if a.is_constant() { (b, a) } else { (a, b) };
    match limit.as_float() {
        Some(t) if t.data().len() == 1 && t.shape().rank() <= c.shape(&x)?.rank() => {
            let op = Op::Activation(clip(t.data()[0].clamp(f32::MIN, f32::MAX)));
            Ok(vec![c.emit(op, &[&x])?])
        }
        _ => unsupported("only a bound that is one constant number is supported"),
    }
}

fn pow(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (x, exponent) = (c.input(0)?, c.input(1)?);
    let exponent = match &exponent {
        Data::Ints(a) if a.data.len() == 1 => Some(a.data[0] as f64),
        other => other.as_float().filter(|t| t.data().len() == 1).map(|t| f64::from(t.data()[0])),
    };
    match (exponent, x.is_constant()) {
        (Some(e), true) => constant_function(c, |v| v.powf(e)),
        (Some(2.0), false) => Ok(vec![c.emit(Op::Binary(BinaryOp::Mul), &[&x, &x])?]),
        (Some(3.0), false) => {
            let square = c.emit_step("square", Op::Binary(BinaryOp::Mul), &[&x, &x])?;
            Ok(vec![c.emit(Op::Binary(BinaryOp::Mul), &[&square, &x])?])
        }
        _ => unsupported("only the exponents 2 and 3 are supported for activations"),
    }
}

fn reciprocal(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    Ok(vec![c.emit(Op::Binary(BinaryOp::Div), &[&scalar(1.0)?, &x])?])
}

/// A function that no engine has, of a constant.
fn constant_function(c: &mut Context<'_, '_>, f: impl Fn(f64) -> f64) -> Lowered<Vec<Data>> {
    let Some(x) = c.input(0)?.as_float() else { return unsupported("it is only supported for constants") };
    let data = x.data().iter().map(|&v| f(v.into()) as f32).collect();
    Ok(vec![Data::float(Tensor::new(x.shape().clone(), data)?)])
}

fn ints_only(c: &mut Context<'_, '_>, f: fn(i64, i64) -> Option<i64>) -> Lowered<Vec<Data>> {
    match (c.input(0)?, c.input(1)?) {
        (Data::Ints(a), Data::Ints(b)) => Ok(vec![zip_ints(&a, &b, f)?]),
        _ => unsupported("it is only supported in shape arithmetic"),
    }
}

/// `condition ? a : b` in shape arithmetic.
fn choose(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (Data::Ints(condition), Data::Ints(a), Data::Ints(b)) = (c.input(0)?, c.input(1)?, c.input(2)?) else {
        return unsupported("it is only supported in shape arithmetic");
    };
    // a - b where the condition holds and 0 elsewhere, added to b: broadcasting comes for free.
    let not_b = zip_ints(&a, &b, |a, b| a.checked_sub(b))?;
    let Data::Ints(difference) = not_b else { return Err(super::Stop::Broken) };
    let Data::Ints(chosen) = zip_ints(&condition, &difference, |c, d| Some(if c != 0 { d } else { 0 }))? else {
        return Err(super::Stop::Broken);
    };
    Ok(vec![zip_ints(&chosen, &b, i64::checked_add)?])
}
