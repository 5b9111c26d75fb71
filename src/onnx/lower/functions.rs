//! Element-wise functions of one value.

use std::sync::Arc;

use super::super::data::{Array, Data};
use super::arithmetic::whole;
use super::{Context, Lowered, Operator, unsupported, wrong};
use crate::graph::{Activation, BinaryOp, Op};
use crate::tensor::{Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "Relu" => |c| activation(c, Activation::Relu),
        "LeakyRelu" => |c| {
            let slope = c.float("alpha", 0.01);
            activation(c, Activation::LeakyRelu(slope))
        },
        "PRelu" => prelu,
        "Clip" => clip,
        "HardSwish" => |c| activation(c, Activation::HardSwish),
        "HardSigmoid" => |c| {
            let (alpha, beta) = (c.float("alpha", 0.2), c.float("beta", 0.5));
            activation(c, Activation::HardSigmoid(alpha, beta))
        },
        "Sigmoid" => |c| activation(c, Activation::Sigmoid),
        "Swish" => |c| match c.float("alpha", 1.0) {
            1.0 => activation(c, Activation::Silu),
            alpha => activation(c, Activation::Swish(alpha)),
        },
        "Tanh" => |c| activation(c, Activation::Tanh),
        "Gelu" => |c| match c.string("approximate").as_str() {
            "" | "none" => activation(c, Activation::Gelu),
            "tanh" => activation(c, Activation::GeluTanh),
            other => unsupported(format!("approximate {other:?}")),
        },
        "Mish" => |c| activation(c, Activation::Mish),
        "Softplus" => |c| activation(c, Activation::Softplus),
        "Softsign" => softsign,
        "Elu" => |c| {
            let alpha = c.float("alpha", 1.0);
            activation(c, Activation::Elu(alpha))
        },
        "Celu" => |c| {
            let alpha = c.float("alpha", 1.0);
            scaled_elu(c, alpha, alpha, 1.0)
        },
        "Selu" => |c| {
            let (alpha, gamma) = (c.float("alpha", 1.673_263_2), c.float("gamma", 1.050_701));
            scaled_elu(c, gamma, 1.0, alpha)
        },
        "ThresholdedRelu" => |c| {
            let alpha = c.float("alpha", 1.0);
            activation(c, Activation::Threshold(alpha))
        },
        "Erf" => |c| activation(c, Activation::Erf),
        "Exp" => |c| activation(c, Activation::Exp),
        "Log" => |c| activation(c, Activation::Log),
        "Sqrt" => |c| activation(c, Activation::Sqrt),
        "Floor" => |c| activation(c, Activation::Floor),
        "Round" => |c| activation(c, Activation::Round),
        "Ceil" => ceil,
        "Abs" => |c| match c.input(0)? {
            Data::Ints(a) => Ok(vec![map_ints(&a, i64::wrapping_abs)]),
            _ => activation(c, Activation::Abs),
        },
        "Neg" => |c| match c.input(0)? {
            Data::Ints(a) => Ok(vec![map_ints(&a, i64::wrapping_neg)]),
            x => Ok(vec![negative(c, None, &x)?]),
        },
        "Atan" => arc_tangent,
        "Sin" => |c| constant_function(c, f64::sin),
        "Cos" => |c| constant_function(c, f64::cos),
        "Tan" => |c| constant_function(c, f64::tan),
        "Asin" => |c| constant_function(c, f64::asin),
        "Acos" => |c| constant_function(c, f64::acos),
        "Sinh" => |c| constant_function(c, f64::sinh),
        "Cosh" => |c| constant_function(c, f64::cosh),
        "Asinh" => |c| constant_function(c, f64::asinh),
        "Acosh" => |c| constant_function(c, f64::acosh),
        "Atanh" => |c| constant_function(c, f64::atanh),
        "IsInf" => |c| {
            let signs = [("detect_negative", f32::NEG_INFINITY), ("detect_positive", f32::INFINITY)];
            let asked: Vec<f32> = signs.into_iter().filter(|(name, _)| c.int(name, 1) != 0).map(|s| s.1).collect();
            let Some(x) = c.input(0)?.as_float() else { return unsupported("it is only supported for constants") };
            let data = x.data().iter().map(|v| asked.contains(v).into()).collect();
            Ok(vec![Data::Ints(Arc::new(Array { shape: x.shape().dims().to_vec(), data }))])
        },
        "IsNaN" => is_nan,
        _ => return None,
    })
}

/// A function of each whole number of a constant.
fn map_ints(a: &Array<i64>, f: impl Fn(i64) -> i64) -> Data {
    Data::Ints(Arc::new(Array { shape: a.shape.clone(), data: a.data.iter().map(|&v| f(v)).collect() }))
}

/// `-x`, as the node's output or a step on the way.
fn negative(c: &mut Context<'_, '_>, step: Option<&str>, x: &Data) -> Lowered<Data> {
    let minus = Data::float(Tensor::new(Shape::default(), vec![-1.0])?);
    let op = Op::Binary(BinaryOp::Mul);
    match step {
        Some(step) => c.emit_step(step, op, &[x, &minus]),
        None => c.emit(op, &[x, &minus]),
    }
}

/// `-floor(-x)`.
fn ceil(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let x = negative(c, Some("negative"), &x)?;
    let x = c.emit_step("floor", Op::Activation(Activation::Floor), &[&x])?;
    Ok(vec![negative(c, None, &x)?])
}

/// A function that no engine has, of a constant.
fn constant_function(c: &mut Context<'_, '_>, f: impl Fn(f64) -> f64) -> Lowered<Vec<Data>> {
    let Some(x) = c.input(0)?.as_float() else { return unsupported("it is only supported for constants") };
    let data = x.data().iter().map(|&v| f(v.into()) as f32).collect();
    Ok(vec![Data::float(Tensor::new(x.shape().clone(), data)?)])
}

/// `atan(x)`. The angle is halved three times by `x / (1 + sqrt(1 + x^2))`, and of the small one the first terms of the
/// series are exact in single precision. No engine has a function for it: networks hardly use it.
fn arc_tangent(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    if x.is_constant() {
        return constant_function(c, f64::atan);
    }
    let number = |v: f32| Tensor::new(Shape::default(), vec![v]).map(Data::float);
    let one = number(1.0)?;
    let op = Op::Binary;
    let mut x = x;
    for i in 0..3 {
        let square = c.emit_step(&format!("square{i}"), op(BinaryOp::Mul), &[&x, &x])?;
        let sum = c.emit_step(&format!("sum{i}"), op(BinaryOp::Add), &[&square, &one])?;
        let root = c.emit_step(&format!("root{i}"), Op::Activation(Activation::Sqrt), &[&sum])?;
        let divisor = c.emit_step(&format!("divisor{i}"), op(BinaryOp::Add), &[&root, &one])?;
        x = c.emit_step(&format!("half{i}"), op(BinaryOp::Div), &[&x, &divisor])?;
    }
    // 8 (x - x^3 / 3 + x^5 / 5 - x^7 / 7 + x^9 / 9), by Horner's rule.
    let square = c.emit_step("square", op(BinaryOp::Mul), &[&x, &x])?;
    let mut sum = number(8.0 / 9.0)?;
    for (i, term) in [-8.0 / 7.0, 8.0 / 5.0, -8.0 / 3.0, 8.0].into_iter().enumerate() {
        let product = c.emit_step(&format!("power{i}"), op(BinaryOp::Mul), &[&square, &sum])?;
        sum = c.emit_step(&format!("series{i}"), op(BinaryOp::Add), &[&product, &number(term)?])?;
    }
    Ok(vec![c.emit(op(BinaryOp::Mul), &[&x, &sum])?])
}

/// No activation is ever NaN: weights with NaN are refused. torch guards a softmax with this, for rows that are masked
/// as a whole; no vision model has such a row.
fn is_nan(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let data = match x.as_float() {
        Some(t) => t.data().iter().map(|v| v.is_nan().into()).collect(),
        None => {
            super::check_folded(&shape)?;
            vec![0; shape.len()]
        }
    };
    Ok(vec![Data::Ints(Arc::new(Array { shape: shape.dims().to_vec(), data }))])
}

fn activation(c: &mut Context<'_, '_>, activation: Activation) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    Ok(vec![c.emit(Op::Activation(activation), &[&x])?])
}

fn clip(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    if let Some(x) = whole(&c.input(0)?) {
        let bound = |i: usize, free: i64| match c.optional(i).as_ref().map(whole) {
            None => Ok(free),
            Some(Some(a)) if a.data.len() == 1 => Ok(a.data[0]),
            Some(_) => wrong(format!("input {i} must be one number")),
        };
        let (low, high) = (bound(1, i64::MIN)?, bound(2, i64::MAX)?);
        return Ok(vec![map_ints(&x, |v| v.max(low).min(high))]);
    }
    let bound = |name: &str, input: usize, free: f32| -> Lowered<f32> {
        match c.attribute(name) {
            Some(a) => Ok(a.f()),
            None => Ok(c.scalar(input)?.unwrap_or(free)),
        }
    };
    let (low, high) = (bound("min", 1, f32::NEG_INFINITY)?, bound("max", 2, f32::INFINITY)?);
    let clip = match (low, high) {
        (f32::NEG_INFINITY, f32::INFINITY) => Activation::None,
        (0.0, f32::INFINITY) => Activation::Relu,
        // Finite bounds, so that no engine has to write an infinity into its program.
        _ => Activation::Clip(low.max(f32::MIN), high.min(f32::MAX)),
    };
    activation(c, clip)
}

fn prelu(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (x, slope) = (c.input(0)?, c.input(1)?);
    match slope.as_float() {
        Some(slope) if slope.data().first().is_some_and(|a| slope.data().iter().all(|b| a == b)) => {
            let slope = slope.data()[0];
            activation(c, Activation::LeakyRelu(slope))
        }
        _ => {
            let above = c.emit_step("above", Op::Activation(Activation::Relu), &[&x])?;
            let below = c.emit_step("below", Op::Activation(Activation::Clip(f32::MIN, 0.0)), &[&x])?;
            let below = c.emit_step("sloped", Op::Binary(BinaryOp::Mul), &[&below, &slope])?;
            Ok(vec![c.emit(Op::Binary(BinaryOp::Add), &[&above, &below])?])
        }
    }
}

/// `factor * elu(x / divisor)`: SELU and CELU.
fn scaled_elu(c: &mut Context<'_, '_>, factor: f32, divisor: f32, alpha: f32) -> Lowered<Vec<Data>> {
    let (x, number) = (c.input(0)?, |v: f32| Tensor::new(Shape::default(), vec![v]).map(Data::float));
    let x = c.emit_step("divided", Op::Binary(BinaryOp::Div), &[&x, &number(divisor)?])?;
    let x = c.emit_step("elu", Op::Activation(Activation::Elu(alpha)), &[&x])?;
    Ok(vec![c.emit(Op::Binary(BinaryOp::Mul), &[&x, &number(factor)?])?])
}

/// `x / (1 + |x|)`.
fn softsign(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let size = c.emit_step("size", Op::Activation(Activation::Abs), &[&x])?;
    let one = Data::float(Tensor::new(Shape::default(), vec![1.0])?);
    let divisor = c.emit_step("divisor", Op::Binary(BinaryOp::Add), &[&size, &one])?;
    Ok(vec![c.emit(Op::Binary(BinaryOp::Div), &[&x, &divisor])?])
}
