//! Gradients of matrix products and of attention.

use crate::graph::Attention;
use crate::graph::evaluate::broadcast_indices;
use crate::tensor::{Shape, Tensor};

/// `dx = dy W`.
pub(super) fn linear(weight: &Tensor, dy: &[f32]) -> Vec<f32> {
    let &[outputs, k] = weight.shape().dims() else { return Vec::new() };
    let mut dx = vec![0.0; dy.len() / outputs * k];
    for (dx, dy) in dx.chunks_exact_mut(k).zip(dy.chunks_exact(outputs)) {
        for (row, &d) in weight.data().chunks_exact(k).zip(dy).filter(|(_, d)| **d != 0.0) {
            dx.iter_mut().zip(row).for_each(|(x, w)| *x += d * w);
        }
    }
    dx
}

/// `dA = dY B^T`, `dB = A^T dY` for each pair of matrices; summed where one was broadcast.
pub(super) fn matmul(inputs: &[&Tensor], y: &Shape, dy: &[f32], which: usize) -> Vec<f32> {
    let (a, b) = (inputs[0], inputs[1]);
    let (&[.., m, k], &[.., n]) = (a.shape().dims(), b.shape().dims()) else { return Vec::new() };
    let lead = |shape: &Shape| Shape::new(&shape.dims()[..shape.rank() - 2]);
    let pairs = broadcast_indices(&lead(a.shape()), &lead(y)).zip(broadcast_indices(&lead(b.shape()), &lead(y)));
    let mut dx = vec![0.0; inputs[which].data().len()];
    for ((i, j), dy) in pairs.zip(dy.chunks_exact(m * n)) {
        let (a, b) = (&a.data()[i * m * k..][..m * k], &b.data()[j * k * n..][..k * n]);
        if which == 0 {
            times_transposed(dy, b, n, &mut dx[i * m * k..][..m * k], 1.0);
        } else {
            transposed_times(a, dy, k, &mut dx[j * k * n..][..k * n], 1.0);
        }
    }
    dx
}

/// `out += factor a b^T`, both with rows of `k` values.
fn times_transposed(a: &[f32], b: &[f32], k: usize, out: &mut [f32], factor: f32) {
    let columns = b.len() / k;
    for (a, out) in a.chunks_exact(k).zip(out.chunks_exact_mut(columns)) {
        for (b, out) in b.chunks_exact(k).zip(out) {
            *out += factor * a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        }
    }
}

/// `out += factor a^T b`; `a` has rows of `k` values and `b` as many rows.
fn transposed_times(a: &[f32], b: &[f32], k: usize, out: &mut [f32], factor: f32) {
    let rows = a.len() / k;
    let n = b.len() / rows;
    for (a, b) in a.chunks_exact(k).zip(b.chunks_exact(n)) {
        for (&a, out) in a.iter().zip(out.chunks_exact_mut(n)) {
            out.iter_mut().zip(b).for_each(|(o, b)| *o += factor * a * b);
        }
    }
}

/// `out += factor a b`; `a` has rows of `k` values, of which `b` has as many rows.
fn times(a: &[f32], b: &[f32], k: usize, out: &mut [f32], factor: f32) {
    let n = b.len() / k;
    for (a, out) in a.chunks_exact(k).zip(out.chunks_exact_mut(n)) {
        for (&a, b) in a.iter().zip(b.chunks_exact(n)) {
            out.iter_mut().zip(b).for_each(|(o, b)| *o += factor * a * b);
        }
    }
}

/// With `P = softmax(S)`, `S = scale q k^T + mask` and `y = P v`: `dv = P^T dy`, `dS = P (dP - sum(P dP))` with
/// `dP = dy v^T`, `dq = scale dS k`, `dk = scale dS^T q`, `dmask = dS`, head by head.
pub(super) fn attention(attention: &Attention, inputs: &[&Tensor], dy: &[f32], which: usize) -> Vec<f32> {
    let (q, k, v) = (inputs[0], inputs[1], inputs[2]);
    let (&[ref lead @ .., m, d], &[.., n, e]) = (q.shape().dims(), v.shape().dims()) else { return Vec::new() };
    let products = Shape::new([lead, &[m, n]].concat());
    // The place in the mask of each product, one after the other.
    let places: Vec<usize> = match inputs.get(3) {
        Some(mask) => broadcast_indices(mask.shape(), &products).collect(),
        None => Vec::new(),
    };
    let mut dx = vec![0.0; inputs[which].data().len()];
    for (head, dy) in dy.chunks_exact(m * e).enumerate() {
        let (q, k) = (&q.data()[head * m * d..][..m * d], &k.data()[head * n * d..][..n * d]);
        let v = &v.data()[head * n * e..][..n * e];
        let places = places.get(head * m * n..).map_or(&[][..], |p| &p[..p.len().min(m * n)]);
        let mut shares = vec![0.0; m * n];
        times_transposed(q, k, d, &mut shares, attention.scale);
        if let Some(mask) = inputs.get(3) {
            shares.iter_mut().zip(places).for_each(|(s, &i)| *s += mask.data()[i]);
        }
        shares.chunks_exact_mut(n).for_each(softmax);
        if which == 2 {
            transposed_times(&shares, dy, n, &mut dx[head * n * e..][..n * e], 1.0);
            continue;
        }
        let mut slopes = vec![0.0; m * n];
        times_transposed(dy, v, e, &mut slopes, 1.0);
        for (slopes, shares) in slopes.chunks_exact_mut(n).zip(shares.chunks_exact(n)) {
            let total: f32 = slopes.iter().zip(shares).map(|(d, p)| d * p).sum();
            slopes.iter_mut().zip(shares).for_each(|(d, p)| *d = p * (*d - total));
        }
        match which {
            0 => times(&slopes, k, n, &mut dx[head * m * d..][..m * d], attention.scale),
            1 => transposed_times(&slopes, q, n, &mut dx[head * n * d..][..n * d], attention.scale),
            _ => slopes.iter().zip(places).for_each(|(s, &i)| dx[i] += s),
        }
    }
    dx
}

fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|v| *v = (*v - largest).exp());
    let total: f32 = row.iter().sum();
    row.iter_mut().for_each(|v| *v /= total);
}
