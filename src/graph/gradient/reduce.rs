//! Gradients of reductions, of softmax and of normalisation by mean and variance.

use crate::graph::evaluate::broadcast_indices;
use crate::graph::{LayerNorm, ReduceKind};
use crate::tensor::{Shape, Tensor};

/// The shape of a reduction's output with the reduced axes kept as 1.
fn kept(axes: &[usize], shape: &Shape) -> Shape {
    let dims = shape.dims().iter().enumerate();
    Shape::new(dims.map(|(i, &d)| if axes.contains(&i) { 1 } else { d }).collect::<Vec<_>>())
}

pub(super) fn reduce(kind: ReduceKind, axes: &[usize], x: &Tensor, y: &Tensor, dy: &[f32]) -> Vec<f32> {
    let kept = kept(axes, x.shape());
    // The output that each input went into.
    let into = || broadcast_indices(&kept, x.shape());
    match kind {
        ReduceKind::Sum => into().map(|i| dy[i]).collect(),
        ReduceKind::Mean => {
            let n = (x.data().len() / y.data().len()) as f32;
            into().map(|i| dy[i] / n).collect()
        }
        ReduceKind::Max | ReduceKind::Min => {
            let chosen = || x.data().iter().zip(into()).map(|(&x, i)| (x == y.data()[i], i));
            let mut ties = vec![0f32; y.data().len()];
            chosen().filter(|(equal, _)| *equal).for_each(|(_, i)| ties[i] += 1.0);
            chosen().map(|(equal, i)| if equal { dy[i] / ties[i] } else { 0.0 }).collect()
        }
        ReduceKind::Product => {
            // The product of the others: without dividing by a value that is 0.
            let mut zeros = vec![0usize; dy.len()];
            let mut rest = vec![1f64; dy.len()];
            for (&x, i) in x.data().iter().zip(into()) {
                if x == 0.0 { zeros[i] += 1 } else { rest[i] *= f64::from(x) }
            }
            let others = |(&x, i): (&f32, usize)| match (x == 0.0, zeros[i]) {
                (false, 0) => rest[i] / f64::from(x),
                (true, 1) => rest[i],
                _ => 0.0,
            };
            x.data().iter().zip(into()).map(|(x, i)| (others((x, i)) * f64::from(dy[i])) as f32).collect()
        }
    }
}

/// `dx_i = y_i (dy_i - sum_j y_j dy_j)` along the axis.
pub(super) fn softmax(axis: usize, y: &Tensor, dy: &[f32]) -> Vec<f32> {
    let dims = y.shape().dims();
    let (len, inner) = (dims[axis], dims[axis + 1..].iter().product::<usize>());
    let mut dx = vec![0.0; dy.len()];
    for line in 0..dy.len() / len {
        let first = line / inner * len * inner + line % inner;
        let cells = || (0..len).map(move |i| first + i * inner);
        let total: f64 = cells().map(|i| f64::from(y.data()[i]) * f64::from(dy[i])).sum();
        cells().for_each(|i| dx[i] = (f64::from(y.data()[i]) * (f64::from(dy[i]) - total)) as f32);
    }
    dx
}

/// With `n = (x - mean) / sqrt(variance + epsilon)` and `g = scale dy`:
/// `dx = (g - mean(g) - n mean(g n)) / sqrt(variance + epsilon)`; without the last term if the deviation is held
/// `fixed`.
pub(super) fn layer_norm(norm: &LayerNorm, inputs: &[&Tensor], dy: &[f32], fixed: bool) -> Vec<f32> {
    let (x, scale) = (inputs[0], inputs[1]);
    let kept = kept(&norm.axes, x.shape());
    let count = (x.data().len() / kept.len().max(1)) as f64;
    let groups: Vec<usize> = broadcast_indices(&kept, x.shape()).collect();
    let mean_of = |values: &[f64]| {
        let mut means = vec![0f64; kept.len()];
        values.iter().zip(&groups).for_each(|(v, &g)| means[g] += v / count);
        means
    };
    let values: Vec<f64> = x.data().iter().map(|&v| f64::from(v)).collect();
    let means = mean_of(&values);
    let centred: Vec<f64> = values.iter().zip(&groups).map(|(v, &g)| v - means[g]).collect();
    let squares: Vec<f64> = centred.iter().map(|v| v * v).collect();
    let scales: Vec<f64> = mean_of(&squares).iter().map(|v| (v + f64::from(norm.epsilon)).sqrt().recip()).collect();
    let normal: Vec<f64> = centred.iter().zip(&groups).map(|(v, &g)| v * scales[g]).collect();
    let weights = broadcast_indices(scale.shape(), x.shape()).map(|i| f64::from(scale.data()[i]));
    let slopes: Vec<f64> = weights.zip(dy).map(|(s, &d)| s * f64::from(d)).collect();
    let along: Vec<f64> = slopes.iter().zip(&normal).map(|(s, n)| s * n).collect();
    let (plain, mut along) = (mean_of(&slopes), mean_of(&along));
    if fixed {
        along.fill(0.0);
    }
    let parts = slopes.iter().zip(&normal).zip(&groups);
    parts.map(|((s, n), &g)| ((s - plain[g] - n * along[g]) * scales[g]) as f32).collect()
}
