//! Makes residual sums and activations the last step of the layer before them.

use super::edit::Edit;
use crate::graph::{Activation, BinaryOp, Conv2d, Linear, Node, Op, ValueId};

/// Returns the number of changes.
pub(super) fn run(edit: &mut Edit) -> usize {
    edit.positions()
        .filter(|&position| residual(edit, position).or_else(|| activation(edit, position)).is_some())
        .count()
}

/// `conv(x) + r` becomes one node.
fn residual(edit: &mut Edit, position: usize) -> Option<()> {
    let node = edit.node(position)?;
    let (Op::Binary(BinaryOp::Add), &[a, b]) = (&node.op, node.inputs.as_slice()) else { return None };
    let output = node.output;
    let candidate = |sum: ValueId, other: ValueId| {
        let whole = |id: ValueId| edit.dims(id) == edit.dims(output);
        if edit.constant(other).is_some() || !whole(other) || !whole(sum) {
            return None;
        }
        let (before, node) = edit.private_producer(sum)?;
        match &node.op {
            Op::Conv2d(conv) if conv.activation == Activation::None && !conv.residual => {
                let mut inputs = node.inputs.clone();
                inputs.push(other);
                let op = Op::Conv2d(Conv2d { residual: true, ..conv.clone() });
                Some((before, Node { name: node.name.clone(), op, inputs, output }))
            }
            _ => None,
        }
    };
    // Of two convolutions the later one takes the sum: the other's output is there by then in any order.
    let found = [candidate(a, b), candidate(b, a)].into_iter().flatten().max_by_key(|(before, _)| *before);
    let (before, fused) = found?;
    edit.remove(before);
    edit.put(position, fused);
    Some(())
}

/// `activation(layer(x))` becomes one node.
fn activation(edit: &mut Edit, position: usize) -> Option<()> {
    let node = edit.node(position)?;
    let Op::Activation(activation) = node.op else { return None };
    let output = node.output;
    let (before, layer) = edit.private_producer(node.inputs[0])?;
    let op = match &layer.op {
        Op::Conv2d(conv) if conv.activation == Activation::None => Op::Conv2d(Conv2d { activation, ..conv.clone() }),
        Op::Linear(linear) if linear.activation == Activation::None => Op::Linear(Linear { activation }),
        _ => return None,
    };
    let fused = Node { op, output, ..layer.clone() };
    edit.remove(before);
    edit.put(position, fused);
    Some(())
}
