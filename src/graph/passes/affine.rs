//! Folds `y * a + b` with one constant a channel (a BatchNormalization, a scale, a late bias) into the weights and the
//! bias of the layer before. For int8 weights only the scales change.

use std::sync::Arc;

use super::edit::Edit;
use crate::graph::{Activation, BinaryOp, Constant, Node, Op};
use crate::tensor::{Int8Tensor, Tensor};

/// Returns the number of changes.
pub(super) fn run(edit: &mut Edit) -> usize {
    edit.positions().filter(|&position| fold(edit, position).is_some()).count()
}

fn fold(edit: &mut Edit, position: usize) -> Option<()> {
    let node = edit.node(position)?;
    let Op::Binary(op) = node.op else { return None };
    let [a, b] = *node.inputs.as_slice() else { return None };
    let (y, constant, constant_first) = match (edit.constant(a), edit.constant(b)) {
        (None, Some(_)) => (a, b, false),
        (Some(_), None) => (b, a, true),
        _ => return None,
    };
    let output = node.output;
    let (before, layer) = edit.private_producer(y)?;
    let channel_axis = match &layer.op {
        Op::Conv2d(conv) if conv.activation == Activation::None && !conv.residual => 1,
        Op::Linear(linear) if linear.activation == Activation::None => edit.dims(y).len() - 1,
        _ => return None,
    };
    let layer = layer.clone();
    let channels = edit.dims(y)[channel_axis];
    let values = per_channel(edit.float(constant)?, edit.dims(y).len(), channel_axis, channels)?;
    // y becomes y * scale + offset.
    let (scale, offset): (Vec<f32>, Vec<f32>) = match (op, constant_first) {
        (BinaryOp::Add, _) => (vec![1.0; channels], values),
        (BinaryOp::Sub, false) => (vec![1.0; channels], values.iter().map(|v| -v).collect()),
        (BinaryOp::Sub, true) => (vec![-1.0; channels], values),
        (BinaryOp::Mul, _) => (values, vec![0.0; channels]),
        (BinaryOp::Div, false) => (values.iter().map(|v| 1.0 / v).collect(), vec![0.0; channels]),
        _ => return None,
    };
    if scale.iter().chain(&offset).any(|v| !v.is_finite()) {
        return None;
    }
    let mut inputs = layer.inputs.clone();
    if scale.iter().any(|&s| s != 1.0) {
        let scaled = scale_weight(edit.constant(inputs[1])?, &scale)?;
        inputs[1] = edit.derive(inputs[1], scaled);
    }
    let bias = edit.float(inputs[2])?;
    let bias = bias.data().iter().zip(&scale).zip(&offset).map(|((&b, &s), &o)| b * s + o).collect();
    let bias = Tensor::new([channels], bias).ok()?;
    inputs[2] = edit.derive(inputs[2], Constant::Float(Arc::new(bias)));
    edit.remove(before);
    edit.put(position, Node { inputs, output, ..layer });
    Some(())
}

/// A constant as one value a channel, if broadcasting gives every cell of a channel the same.
fn per_channel(constant: &Tensor, rank: usize, channel_axis: usize, channels: usize) -> Option<Vec<f32>> {
    let dims = constant.shape().dims();
    let missing = rank.checked_sub(dims.len())?;
    let fits = |(i, &d): (usize, &usize)| d == 1 || (i + missing == channel_axis && d == channels);
    match constant.data() {
        _ if !dims.iter().enumerate().all(fits) => None,
        &[one] => Some(vec![one; channels]),
        many => Some(many.to_vec()),
    }
}

/// A weight with every output channel (axis 0) multiplied by its scale.
fn scale_weight(weight: &Constant, scale: &[f32]) -> Option<Constant> {
    Some(match weight {
        Constant::Float(t) => {
            let inner = t.data().len() / scale.len();
            let rows = t.data().chunks_exact(inner.max(1)).zip(scale);
            let data = rows.flat_map(|(row, &s)| row.iter().map(move |&w| w * s)).collect();
            Constant::Float(Arc::new(Tensor::new(t.shape().clone(), data).ok()?))
        }
        Constant::Int8(t) => {
            let scales = t.scales().iter().zip(scale).map(|(a, b)| a * b).collect();
            Constant::Int8(Arc::new(Int8Tensor::new(t.shape().clone(), t.data().to_vec(), scales).ok()?))
        }
    })
}
