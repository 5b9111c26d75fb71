//! Orders Reshape and Transpose so that the channels of a cell stay together. Between maps `[1, C, H, W]` and tokens
//! `[1, H W, C]`, the channels-last form `[1, H, W, C]` has the same memory as both. Constants that are added or
//! multiplied in a row become one, also under another shape.

use std::sync::Arc;

use super::edit::Edit;
use crate::graph::evaluate::evaluate;
use crate::graph::{BinaryOp, Constant, Node, Op, ValueId};
use crate::tensor::{Shape, Tensor};

/// Returns the number of changes.
pub(super) fn run(edit: &mut Edit) -> usize {
    let found = |edit: &mut Edit, position| {
        to_tokens(edit, position)
            .or_else(|| to_maps(edit, position))
            .or_else(|| reshaped_sum(edit, position))
            .or_else(|| join_constants(edit, position))
    };
    edit.positions().filter(|&position| found(edit, position).is_some()).count()
}

/// Maps to columns to tokens becomes maps to channels-last to tokens.
fn to_tokens(edit: &mut Edit, position: usize) -> Option<()> {
    let node = edit.node(position)?;
    let Op::Transpose { perm } = &node.op else { return None };
    let (before, reshape) = edit.private_producer(node.inputs[0])?;
    let maps = reshape.inputs[0];
    let (&[n, c, h, w], &[m, d, cells]) = (edit.dims(maps), edit.dims(node.inputs[0])) else { return None };
    let columns = matches!(reshape.op, Op::Reshape(_)) && [n, c, h * w] == [m, d, cells];
    if perm != &[0, 2, 1] || !columns {
        return None;
    }
    let (name, output) = (node.name.clone(), node.output);
    let middle = edit.add_value(format!("{name}/channels_last"), Shape::from([n, h, w, c]));
    let last = Op::Transpose { perm: vec![0, 2, 3, 1] };
    edit.put(before, Node { name: format!("{name}/channels_last"), op: last, inputs: vec![maps], output: middle });
    let tokens = Op::Reshape(Shape::from([n, h * w, c]));
    edit.put(position, Node { name, op: tokens, inputs: vec![middle], output });
    Some(())
}

/// Tokens to columns to maps becomes tokens to channels-last to maps.
fn to_maps(edit: &mut Edit, position: usize) -> Option<()> {
    let node = edit.node(position)?;
    let Op::Reshape(_) = node.op else { return None };
    let (before, transpose) = edit.private_producer(node.inputs[0])?;
    let tokens = transpose.inputs[0];
    let (&[n, cells, c], &[m, d, h, w]) = (edit.dims(tokens), edit.dims(node.output)) else { return None };
    let swapped = matches!(&transpose.op, Op::Transpose { perm } if perm == &[0, 2, 1]);
    if !swapped || [n, cells, c] != [m, h * w, d] {
        return None;
    }
    let (name, output) = (node.name.clone(), node.output);
    let middle = edit.add_value(format!("{name}/channels_last"), Shape::from([n, h, w, c]));
    let last = Op::Reshape(Shape::from([n, h, w, c]));
    edit.put(before, Node { name: format!("{name}/channels_last"), op: last, inputs: vec![tokens], output: middle });
    let maps = Op::Transpose { perm: vec![0, 3, 1, 2] };
    edit.put(position, Node { name, op: maps, inputs: vec![middle], output });
    Some(())
}

/// A constant that is added under another shape, and the shape before afterwards, is added under that shape.
fn reshaped_sum(edit: &mut Edit, position: usize) -> Option<()> {
    let node = edit.node(position)?;
    let Op::Reshape(_) = node.op else { return None };
    let (sum_at, sum) = edit.private_producer(node.inputs[0])?;
    let (Op::Binary(op @ (BinaryOp::Add | BinaryOp::Mul)), &[a, b]) = (&sum.op, sum.inputs.as_slice()) else {
        return None;
    };
    let (inner, constant) = if edit.float(b).is_some() { (a, b) } else { (b, a) };
    let values = edit.float(constant)?;
    let (before, first) = edit.private_producer(inner)?;
    let (op, x, output) = (*op, first.inputs[0], node.output);
    if !matches!(first.op, Op::Reshape(_))
        || edit.dims(x) != edit.dims(output)
        || edit.dims(inner) != edit.dims(sum.output)
    {
        return None;
    }
    let (whole, to) = (Shape::new(edit.dims(inner)), Shape::new(edit.dims(output)));
    if whole.len() > MAX_JOINED {
        return None;
    }
    // Spread over the whole inner shape, of which the outer one is another view.
    let neutral = if op == BinaryOp::Add { 0.0 } else { 1.0 };
    let ones = Tensor::new(whole.clone(), vec![neutral; whole.len()]).ok()?;
    let spread = evaluate(&Op::Binary(op), &[values, &ones], &whole).into_data();
    let node = node.clone();
    let constant = edit.derive(constant, Constant::Float(Arc::new(Tensor::new(to, spread).ok()?)));
    let sum = Node { op: Op::Binary(op), inputs: vec![x, constant], ..node };
    edit.remove(sum_at);
    edit.remove(before);
    edit.put(position, sum);
    Some(())
}

/// No constant that is spread over a whole activation may have more elements.
const MAX_JOINED: usize = 1 << 22;

/// `(x + c) + d` is `x + (c + d)`, and so for products.
fn join_constants(edit: &mut Edit, position: usize) -> Option<()> {
    let node = edit.node(position)?;
    let Op::Binary(op @ (BinaryOp::Add | BinaryOp::Mul)) = node.op else { return None };
    let split = |edit: &Edit, node: &Node| -> Option<(ValueId, ValueId)> {
        let &[a, b] = node.inputs.as_slice() else { return None };
        match (edit.float(a), edit.float(b)) {
            (None, Some(_)) => Some((a, b)),
            (Some(_), None) => Some((b, a)),
            _ => None,
        }
    };
    let (inner, outer_constant) = split(edit, node)?;
    let (before, first) = edit.private_producer(inner).filter(|(_, n)| n.op == Op::Binary(op))?;
    let (x, inner_constant) = split(edit, first)?;
    let (c, d) = (edit.float(inner_constant)?, edit.float(outer_constant)?);
    let shape = Op::Binary(op).output_shape(&[c.shape(), d.shape()]).ok()?;
    if shape.len() > MAX_JOINED {
        return None;
    }
    let joined = evaluate(&Op::Binary(op), &[c, d], &shape);
    let node = node.clone();
    let constant = edit.derive(outer_constant, Constant::Float(Arc::new(joined)));
    edit.remove(before);
    edit.put(position, Node { inputs: vec![x, constant], ..node });
    Some(())
}
