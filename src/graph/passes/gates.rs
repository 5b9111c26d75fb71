//! Recognises activations that exporters write out: `x sigmoid(x)` and the pieces of HardSwish.

use super::edit::Edit;
use crate::graph::{Activation, BinaryOp, Node, Op, ValueId};

/// Returns the number of changes.
pub(super) fn run(edit: &mut Edit) -> usize {
    edit.positions().filter(|&position| rewrite(edit, position).is_some()).count()
}

fn rewrite(edit: &mut Edit, position: usize) -> Option<()> {
    let node = edit.node(position)?;
    let Op::Binary(op) = node.op else { return None };
    let [a, b] = *node.inputs.as_slice() else { return None };
    let (activation, x) = match op {
        BinaryOp::Mul => gated(edit, a, b).or_else(|| gated(edit, b, a)).or_else(|| sixth(edit, a, b))?,
        BinaryOp::Div => sixth(edit, a, b)?,
        _ => return None,
    };
    let node = Node { op: Op::Activation(activation), inputs: vec![x], ..node.clone() };
    edit.put(position, node);
    Some(())
}

/// `x gate(x)`.
fn gated(edit: &Edit, x: ValueId, gate: ValueId) -> Option<(Activation, ValueId)> {
    let (_, gate) = edit.private_producer(gate)?;
    match gate.op {
        Op::Activation(activation) if gate.inputs[0] == x => swish(activation).map(|a| (a, x)),
        _ => None,
    }
}

fn swish(gate: Activation) -> Option<Activation> {
    match gate {
        Activation::Sigmoid => Some(Activation::Silu),
        Activation::HardSigmoid(alpha, 0.5) if (alpha - 1.0 / 6.0).abs() < 1e-6 => Some(Activation::HardSwish),
        _ => None,
    }
}

/// `clip(x + 3, 0, 6) / 6` and `x clip(x + 3, 0, 6) / 6`, the division also written as a multiplication.
fn sixth(edit: &Edit, a: ValueId, b: ValueId) -> Option<(Activation, ValueId)> {
    let number = edit.number(b)?;
    if (number - 6.0).abs() > 1e-6 && (number - 1.0 / 6.0).abs() > 1e-6 {
        return None;
    }
    let (_, numerator) = edit.private_producer(a)?;
    match numerator.op {
        Op::Activation(_) => raised(edit, a).map(|x| (Activation::HardSigmoid(1.0 / 6.0, 0.5), x)),
        Op::Binary(BinaryOp::Mul) => {
            let [p, q] = *numerator.inputs.as_slice() else { return None };
            let found = |clip: ValueId, x: ValueId| raised(edit, clip).filter(|&from| from == x);
            found(p, q).or_else(|| found(q, p)).map(|x| (Activation::HardSwish, x))
        }
        _ => None,
    }
}

/// The `x` of `clip(x + 3, 0, 6)`.
fn raised(edit: &Edit, value: ValueId) -> Option<ValueId> {
    let (_, clip) = edit.private_producer(value)?;
    if clip.op != Op::Activation(Activation::Clip(0.0, 6.0)) {
        return None;
    }
    let (_, add) = edit.private_producer(clip.inputs[0])?;
    let [p, q] = *add.inputs.as_slice() else { return None };
    match add.op {
        Op::Binary(BinaryOp::Add) if edit.number(q) == Some(3.0) => Some(p),
        Op::Binary(BinaryOp::Add) if edit.number(p) == Some(3.0) => Some(q),
        _ => None,
    }
}
