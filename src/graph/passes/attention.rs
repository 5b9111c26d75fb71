//! Recognises attention: `softmax(scale q k^T + mask) v`, however the scale is spread over the factors.

use super::edit::Edit;
use crate::graph::{Attention, BinaryOp, Node, Op, ValueId};
use crate::tensor::Shape;

/// Returns the number of changes.
pub(super) fn run(edit: &mut Edit) -> usize {
    edit.positions().filter(|&position| fuse(edit, position).is_some()).count()
}

fn fuse(edit: &mut Edit, position: usize) -> Option<()> {
    let node = edit.node(position)?;
    let (Op::MatMul, &[shares, v]) = (&node.op, node.inputs.as_slice()) else { return None };
    let (output, name) = (node.output, node.name.clone());
    let (softmax_at, softmax) = edit.private_producer(shares)?;
    let rank = edit.dims(shares).len();
    if softmax.op != (Op::Softmax { axis: rank.checked_sub(1)? }) {
        return None;
    }
    // From the softmax back to the product: a mask that is added, a scale.
    let mut scale = 1.0;
    let mut mask = None;
    let mut scores = softmax.inputs[0];
    let product_at = loop {
        let (at, node) = edit.private_producer(scores)?;
        match (&node.op, node.inputs.as_slice()) {
            (Op::MatMul, _) => break at,
            (Op::Binary(BinaryOp::Add), &[a, b]) if mask.is_none() && scale == 1.0 => {
                let (inner, other) = if leads_to_product(edit, a) { (a, b) } else { (b, a) };
                if edit.dims(inner) != edit.dims(scores) {
                    return None;
                }
                (mask, scores) = (Some(other), inner);
            }
            (Op::Binary(op), _) => {
                let (inner, factor) = scaled(edit, *op, &node.inputs)?;
                scale *= factor;
                scores = inner;
            }
            _ => return None,
        }
    };
    let &[q, k] = edit.node(product_at)?.inputs.as_slice() else { return None };
    let (q, q_factor) = unscaled(edit, q);
    let (k, k_factor) = unscaled(edit, k);
    scale *= q_factor * k_factor;
    // The keys as rows: the transpose before the product taken back, or joined with another.
    let swap = |perm: &mut Vec<usize>| perm.swap(rank - 2, rank - 1);
    let (keys, mut perm) = match edit.producer(k) {
        Some((_, Node { op: Op::Transpose { perm }, inputs, .. })) => (inputs[0], perm.clone()),
        _ => (k, (0..rank).collect()),
    };
    swap(&mut perm);
    // The engines take one leading shape for all three.
    let dims = |id: ValueId| edit.dims(id);
    let keys_dims: Vec<usize> = perm.iter().map(|&p| dims(keys).get(p).copied()).collect::<Option<_>>()?;
    let ranks = [dims(q).len(), dims(k).len(), dims(v).len()];
    let lead = |d: &[usize]| d[..rank - 2].to_vec();
    if ranks != [rank; 3] || lead(dims(q)) != lead(&keys_dims) || lead(dims(q)) != lead(dims(v)) {
        return None;
    }
    let op = Op::Attention(Attention { scale, mask: mask.is_some() });
    let keys = match perm.iter().copied().eq(0..rank) {
        true => {
            edit.remove(product_at);
            keys
        }
        false => {
            // In the place of the product, which is after whatever computes the keys.
            let output = edit.add_value(format!("{name}/keys"), Shape::new(keys_dims));
            edit.put(
                product_at,
                Node { name: format!("{name}/keys"), op: Op::Transpose { perm }, inputs: vec![keys], output },
            );
            output
        }
    };
    edit.remove(softmax_at);
    let inputs = [q, keys, v].into_iter().chain(mask).collect();
    edit.put(position, Node { name, op, inputs, output });
    Some(())
}

/// Whether a value is a product of matrices, perhaps scaled.
fn leads_to_product(edit: &Edit, value: ValueId) -> bool {
    match edit.private_producer(value) {
        Some((_, Node { op: Op::MatMul, .. })) => true,
        Some((_, Node { op: Op::Binary(op), inputs, .. })) => {
            scaled(edit, *op, inputs).is_some_and(|(inner, _)| leads_to_product(edit, inner))
        }
        _ => false,
    }
}

/// The value and the number of a product or quotient with one number.
fn scaled(edit: &Edit, op: BinaryOp, inputs: &[ValueId]) -> Option<(ValueId, f32)> {
    let &[a, b] = inputs else { return None };
    match (op, edit.number(a), edit.number(b)) {
        (BinaryOp::Mul, None, Some(factor)) => Some((a, factor)),
        (BinaryOp::Mul, Some(factor), None) => Some((b, factor)),
        (BinaryOp::Div, None, Some(divisor)) if divisor != 0.0 => Some((a, 1.0 / divisor)),
        _ => None,
    }
}

/// The value before it was multiplied with a number, and that number.
fn unscaled(edit: &Edit, value: ValueId) -> (ValueId, f32) {
    match edit.producer(value) {
        Some((_, Node { op: Op::Binary(op), inputs, .. })) => match scaled(edit, *op, inputs) {
            Some((inner, factor)) if edit.dims(inner) == edit.dims(value) => (inner, factor),
            _ => (value, 1.0),
        },
        _ => (value, 1.0),
    }
}
