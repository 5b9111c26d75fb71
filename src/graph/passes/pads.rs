//! Moves zero padding into the convolution that reads it.

use super::edit::Edit;
use crate::graph::{Conv2d, Node, Op};

/// Returns the number of changes.
pub(super) fn run(edit: &mut Edit) -> usize {
    edit.positions().filter(|&position| fold(edit, position).is_some()).count()
}

fn fold(edit: &mut Edit, position: usize) -> Option<()> {
    let node = edit.node(position)?;
    let Op::Conv2d(conv) = &node.op else { return None };
    let (before_position, pad) = edit.private_producer(node.inputs[0])?;
    let Op::Pad { before, after, value: 0.0 } = &pad.op else { return None };
    let (&[0, 0, top, left], &[0, 0, bottom, right]) = (before.as_slice(), after.as_slice()) else { return None };
    let mut pads = conv.pads;
    for (pad, more) in pads.iter_mut().zip([top, left, bottom, right]) {
        *pad = pad.checked_add(more)?;
    }
    let mut inputs = node.inputs.clone();
    inputs[0] = pad.inputs[0];
    let node = Node { op: Op::Conv2d(Conv2d { pads, ..conv.clone() }), inputs, ..node.clone() };
    edit.remove(before_position);
    edit.put(position, node);
    Some(())
}
