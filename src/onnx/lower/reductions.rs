//! Reductions over axes.

use std::sync::Arc;

use super::super::data::{Array, Data};
use super::{Context, Lowered, Operator, unsupported};
use crate::graph::{Activation, BinaryOp, Op, ReduceKind};
use crate::tensor::Shape;

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "GlobalAveragePool" => |c| global_pool(c, ReduceKind::Mean),
        "GlobalMaxPool" => |c| global_pool(c, ReduceKind::Max),
        "ReduceMean" => |c| reduce(c, Before::Nothing, ReduceKind::Mean, None),
        "ReduceSum" => |c| reduce(c, Before::Nothing, ReduceKind::Sum, None),
        "ReduceMax" => |c| reduce(c, Before::Nothing, ReduceKind::Max, None),
        "ReduceMin" => |c| reduce(c, Before::Nothing, ReduceKind::Min, None),
        "ReduceProd" => |c| reduce(c, Before::Nothing, ReduceKind::Product, None),
        "ReduceL1" => |c| reduce(c, Before::Function(Activation::Abs), ReduceKind::Sum, None),
        "ReduceL2" => |c| reduce(c, Before::Square, ReduceKind::Sum, Some(Activation::Sqrt)),
        "ReduceSumSquare" => |c| reduce(c, Before::Square, ReduceKind::Sum, None),
        "ReduceLogSum" => |c| reduce(c, Before::Nothing, ReduceKind::Sum, Some(Activation::Log)),
        "ReduceLogSumExp" => |c| reduce(c, Before::Function(Activation::Exp), ReduceKind::Sum, Some(Activation::Log)),
        _ => return None,
    })
}

/// What happens to each value before it is reduced.
enum Before {
    Nothing,
    Square,
    Function(Activation),
}

fn global_pool(c: &mut Context<'_, '_>, kind: ReduceKind) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let axes = (2..c.shape(&x)?.rank()).collect();
    Ok(vec![c.emit(Op::Reduce { kind, axes, keep_dims: true }, &[&x])?])
}

fn reduce(c: &mut Context<'_, '_>, before: Before, kind: ReduceKind, after: Option<Activation>) -> Lowered<Vec<Data>> {
    let mut x = c.input(0)?;
    let rank = c.shape(&x)?.rank();
    let given = c.ints_by_attribute_or_input("axes", 1)?.unwrap_or_default();
    let mut axes = given.iter().map(|&a| c.axis(a, rank)).collect::<Lowered<Vec<_>>>()?;
    axes.sort_unstable();
    axes.dedup();
    let nothing = axes.is_empty() && c.int("noop_with_empty_axes", 0) != 0;
    if axes.is_empty() {
        axes = (0..rank).collect();
    }
    let keep_dims = c.int("keepdims", 1) != 0;
    if let (Data::Ints(a), Before::Nothing, None) = (&x, &before, after) {
        return Ok(vec![reduce_ints(a, kind, &axes, keep_dims)?]);
    }
    x = match before {
        Before::Nothing => x,
        Before::Square => c.emit_step("square", Op::Binary(BinaryOp::Mul), &[&x, &x])?,
        Before::Function(f) => c.emit_step("terms", Op::Activation(f), &[&x])?,
    };
    let op = match nothing {
        true => Op::Reshape(c.shape(&x)?),
        false => Op::Reduce { kind, axes, keep_dims },
    };
    match after {
        None => Ok(vec![c.emit(op, &[&x])?]),
        Some(f) => {
            let total = c.emit_step("total", op, &[&x])?;
            Ok(vec![c.emit(Op::Activation(f), &[&total])?])
        }
    }
}

/// A reduction of whole numbers that are all reduced (the number of cells, out of a shape).
fn reduce_ints(a: &Array<i64>, kind: ReduceKind, axes: &[usize], keep_dims: bool) -> Lowered<Data> {
    if axes.len() != a.shape.len() {
        return unsupported("it reduces some dimensions of whole numbers");
    }
    let values = a.data.iter().copied();
    let total = match kind {
        ReduceKind::Sum => values.fold(0i64, i64::wrapping_add),
        ReduceKind::Product => values.fold(1i64, i64::wrapping_mul),
        ReduceKind::Max => values.max().unwrap_or(0),
        ReduceKind::Min => values.min().unwrap_or(0),
        ReduceKind::Mean => return unsupported("a mean of whole numbers"),
    };
    let shape = if keep_dims { vec![1; a.shape.len()] } else { Vec::new() };
    debug_assert_eq!(Shape::new(shape.as_slice()).len(), 1);
    Ok(Data::Ints(Arc::new(Array { shape, data: vec![total] })))
}
