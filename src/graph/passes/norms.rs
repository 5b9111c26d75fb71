//! Recognises layer normalisation that exporters write out, and takes scales and offsets into it.

use std::sync::Arc;

use super::edit::Edit;
use crate::graph::evaluate::evaluate;
use crate::graph::{Activation, BinaryOp, Constant, LayerNorm, Node, Op, ReduceKind, ValueId};
use crate::tensor::{Shape, Tensor};

/// Returns the number of changes.
pub(super) fn run(edit: &mut Edit) -> usize {
    let positions = edit.positions();
    positions.filter(|&position| find(edit, position).or_else(|| absorb(edit, position)).is_some()).count()
}

/// `d / sqrt(mean(d^2) + epsilon)` with `d = x - mean(x)`.
fn find(edit: &mut Edit, position: usize) -> Option<()> {
    let node = edit.node(position)?;
    let (Op::Binary(BinaryOp::Div), &[difference, root]) = (&node.op, node.inputs.as_slice()) else { return None };
    let output = node.output;
    let (x, axes) = centred(edit, difference)?;
    let (_, root) = edit.producer(root).filter(|(_, n)| n.op == Op::Activation(Activation::Sqrt))?;
    let (_, sum) = edit.producer(root.inputs[0]).filter(|(_, n)| n.op == Op::Binary(BinaryOp::Add))?;
    let (variance, epsilon) = match (edit.number(sum.inputs[0]), edit.number(sum.inputs[1])) {
        (None, Some(epsilon)) => (sum.inputs[0], epsilon),
        (Some(epsilon), None) => (sum.inputs[1], epsilon),
        _ => return None,
    };
    let (squares, variance_axes) = mean(edit, variance)?;
    let (_, square) = edit.producer(squares)?;
    let of_difference = |&v: &ValueId| v == difference || centred(edit, v) == Some((x, axes.clone()));
    if square.op != Op::Binary(BinaryOp::Mul) || variance_axes != axes || !square.inputs.iter().all(of_difference) {
        return None;
    }
    let name = node.name.clone();
    let [scale, bias] = [("scale", 1.0), ("bias", 0.0)].map(|(what, value)| {
        let number = Tensor::new(Shape::default(), vec![value]).unwrap_or_else(|_| Tensor::zeros([1]));
        edit.add_constant(format!("{name}/{what}"), number)
    });
    let op = Op::LayerNorm(LayerNorm { axes, epsilon });
    edit.put(position, Node { name, op, inputs: vec![x, scale, bias], output });
    Some(())
}

/// The `x` and the axes of `x - mean(x)`.
fn centred(edit: &Edit, value: ValueId) -> Option<(ValueId, Vec<usize>)> {
    let (_, node) = edit.producer(value).filter(|(_, n)| n.op == Op::Binary(BinaryOp::Sub))?;
    let (from, axes) = mean(edit, node.inputs[1])?;
    (from == node.inputs[0]).then_some((from, axes))
}

/// What a value is the mean of, and over which axes, ascending.
fn mean(edit: &Edit, value: ValueId) -> Option<(ValueId, Vec<usize>)> {
    let (_, node) = edit.producer(value)?;
    let Op::Reduce { kind: ReduceKind::Mean, axes, keep_dims: true } = &node.op else { return None };
    let mut axes = axes.clone();
    axes.sort_unstable();
    axes.dedup();
    (!axes.is_empty()).then_some((node.inputs[0], axes))
}

/// `norm(x) * c` and `norm(x) + c` are norms with another scale and bias.
fn absorb(edit: &mut Edit, position: usize) -> Option<()> {
    let node = edit.node(position)?;
    let Op::Binary(op @ (BinaryOp::Add | BinaryOp::Mul)) = node.op else { return None };
    let &[a, b] = node.inputs.as_slice() else { return None };
    let (norm, constant) = if edit.float(b).is_some() { (a, b) } else { (b, a) };
    let values = Arc::new(edit.float(constant)?.clone());
    let (before, layer) = edit.private_producer(norm)?;
    let Op::LayerNorm(_) = layer.op else { return None };
    if edit.dims(norm) != edit.dims(node.output) {
        return None;
    }
    let (output, mut layer) = (node.output, layer.clone());
    let join = |edit: &mut Edit, op: BinaryOp, input: usize, layer: &mut Node| -> Option<()> {
        let own = edit.float(layer.inputs[input])?;
        let shape = Op::Binary(op).output_shape(&[own.shape(), values.shape()]).ok()?;
        let joined = evaluate(&Op::Binary(op), &[own, &values], &shape);
        layer.inputs[input] = edit.derive(layer.inputs[input], Constant::Float(Arc::new(joined)));
        Some(())
    };
    if op == BinaryOp::Mul {
        join(edit, BinaryOp::Mul, 1, &mut layer)?;
        join(edit, BinaryOp::Mul, 2, &mut layer)?;
    } else {
        join(edit, BinaryOp::Add, 2, &mut layer)?;
    }
    edit.remove(before);
    edit.put(position, Node { output, ..layer });
    Some(())
}
