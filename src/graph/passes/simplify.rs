//! Takes out ops that do nothing, and writes some in a simpler way.

use super::edit::Edit;
use crate::graph::{Activation, Node, Op, PoolKind, ReduceKind};

/// Returns the number of changes.
pub(super) fn run(edit: &mut Edit) -> usize {
    let positions = edit.positions();
    positions.filter(|&position| merge(edit, position) || whole_pool(edit, position) || skip(edit, position)).count()
}

/// Reshape of a Reshape, and Transpose of a Transpose, are one.
fn merge(edit: &mut Edit, position: usize) -> bool {
    let Some(node) = edit.node(position) else { return false };
    // What somebody asks for stays on the way: the rest of the network depends on it (gradients need that).
    let producer = node.inputs.first().filter(|i| !edit.is_kept(**i)).and_then(|&i| edit.producer(i));
    let Some((_, before)) = producer else { return false };
    let op = match (&node.op, &before.op) {
        (Op::Reshape(shape), Op::Reshape(_)) => Op::Reshape(shape.clone()),
        (Op::Transpose { perm }, Op::Transpose { perm: first }) => {
            Op::Transpose { perm: perm.iter().map(|&p| first[p]).collect() }
        }
        _ => return false,
    };
    let merged = Node { op, inputs: before.inputs.clone(), ..node.clone() };
    edit.put(position, merged);
    true
}

/// An average over a window as large as its input is a mean over the cells.
fn whole_pool(edit: &mut Edit, position: usize) -> bool {
    let Some(node) = edit.node(position) else { return false };
    let (Op::Pool2d(pool), &[_, _, height, width]) = (&node.op, edit.dims(node.inputs[0])) else { return false };
    if pool.kernel != [height, width] || pool.dilations != [1, 1] || pool.pads != [0; 4] {
        return false;
    }
    let kind = match pool.kind {
        PoolKind::Max => ReduceKind::Max,
        PoolKind::Average { .. } => ReduceKind::Mean,
    };
    let reduce = Node { op: Op::Reduce { kind, axes: vec![2, 3], keep_dims: true }, ..node.clone() };
    edit.put(position, reduce);
    true
}

/// Takes out a node whose output is its input.
fn skip(edit: &mut Edit, position: usize) -> bool {
    let Some(node) = edit.node(position) else { return false };
    let nothing = match &node.op {
        Op::Reshape(shape) => shape.dims() == edit.dims(node.inputs[0]),
        Op::Activation(a) => *a == Activation::None,
        Op::Transpose { perm } => perm.iter().copied().eq(0..perm.len()),
        Op::Pad { before, after, .. } => before.iter().chain(after).all(|&p| p == 0),
        Op::Concat { .. } => node.inputs.len() == 1,
        _ => false,
    };
    let (input, output) = (node.inputs[0], node.output);
    if !nothing {
        return false;
    }
    if !edit.is_kept(output) {
        edit.redirect(output, input);
        edit.remove(position);
        return true;
    }
    // Somebody asks for the output by its name: let the node before compute it under that name, if it is nobody else's.
    let Some((before, node)) = edit.private_producer(input) else { return false };
    let renamed = Node { output, ..node.clone() };
    edit.remove(position);
    edit.put(before, renamed);
    true
}
