//! Gradients of element-wise functions of two tensors: what was broadcast is summed again.

use crate::graph::BinaryOp;
use crate::graph::evaluate::broadcast_indices;
use crate::tensor::Tensor;

/// The gradient of input `which` of an element-wise function of two tensors.
pub(super) fn binary(kind: BinaryOp, inputs: &[&Tensor], y: &Tensor, dy: &[f32], which: usize) -> Vec<f32> {
    let [a, b] = [inputs[0], inputs[1]];
    let own = inputs[which];
    let mut sums = vec![0f64; own.data().len()];
    let indices = broadcast_indices(a.shape(), y.shape()).zip(broadcast_indices(b.shape(), y.shape()));
    for ((i, j), &dy) in indices.zip(dy) {
        let (x, z) = (f64::from(a.data()[i]), f64::from(b.data()[j]));
        let slope = match (kind, which) {
            (BinaryOp::Add, _) | (BinaryOp::Sub, 0) => 1.0,
            (BinaryOp::Sub, _) => -1.0,
            (BinaryOp::Mul, 0) => z,
            (BinaryOp::Mul, _) => x,
            (BinaryOp::Div, 0) => 1.0 / z,
            (BinaryOp::Div, _) => -x / (z * z),
            (BinaryOp::Min, _) => chosen(if which == 0 { x - z } else { z - x }),
            (BinaryOp::Max, _) => chosen(if which == 0 { z - x } else { x - z }),
            (BinaryOp::Pow, 0) => z * x.powf(z - 1.0),
            (BinaryOp::Pow, _) => x.powf(z) * x.ln(),
            (BinaryOp::Keep, 0) => f64::from(u8::from(z != 0.0)),
            (BinaryOp::Greater | BinaryOp::Equal | BinaryOp::Keep, _) => 0.0,
        };
        sums[if which == 0 { i } else { j }] += slope * f64::from(dy);
    }
    sums.into_iter().map(|s| s as f32).collect()
}

/// The slope of a minimum or maximum whose own value is ahead by `-behind`: shared between equal values, as torch does.
fn chosen(behind: f64) -> f64 {
    if behind == 0.0 {
        0.5
    } else if behind < 0.0 {
        1.0
    } else {
        0.0
    }
}
