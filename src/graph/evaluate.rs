//! What every op computes: its definition, in plain loops, with sums in double precision. The importer folds
//! constants with it, and the tests compare the engines with it through [`crate::engine::reference`].

use super::op::{Attention, Conv2d, LayerNorm, Op, Pool2d, PoolKind, ReduceKind};
use crate::tensor::{Shape, Tensor};

/// Computes one op. `shape` is its output's shape by [`Op::output_shape`], which proves that the inputs fit.
pub(crate) fn evaluate(op: &Op, inputs: &[&Tensor], shape: &Shape) -> Tensor {
    let x = inputs[0];
    let mut y = Tensor::zeros(shape.clone());
    let out = y.data_mut();
    match op {
        Op::Conv2d(conv) => conv2d(conv, inputs, shape, out),
        Op::Linear(linear) => {
            let (weight, bias) = (inputs[1], inputs[2].data());
            let k = weight.shape().dims()[1];
            for (row, out) in x.data().chunks_exact(k).zip(out.chunks_exact_mut(bias.len())) {
                for ((out, w), &b) in out.iter_mut().zip(weight.data().chunks_exact(k)).zip(bias) {
                    *out = linear.activation.apply((dot(row, w) + f64::from(b)) as f32);
                }
            }
        }
        Op::MatMul => matmul(x, inputs[1], shape, out),
        Op::Activation(a) => out.iter_mut().zip(x.data()).for_each(|(y, &x)| *y = a.apply(x)),
        Op::Binary(kind) => {
            let a = broadcast_indices(x.shape(), shape);
            let b = broadcast_indices(inputs[1].shape(), shape);
            for ((y, i), j) in out.iter_mut().zip(a).zip(b) {
                *y = kind.apply(x.data()[i], inputs[1].data()[j]);
            }
        }
        Op::Pool2d(pool) => pool2d(pool, x, shape, out),
        Op::Reduce { kind, axes, .. } => reduce(*kind, axes, x, out),
        Op::Softmax { axis } => softmax(*axis, x, out),
        Op::Reshape(_) => out.copy_from_slice(x.data()),
        Op::Transpose { perm } => {
            let strides = strides(x.shape());
            let step: Vec<usize> = perm.iter().map(|&p| strides[p]).collect();
            for (y, i) in out.iter_mut().zip(strided_indices(shape.dims(), &step)) {
                *y = x.data()[i];
            }
        }
        Op::Concat { axis } => {
            let inner: usize = shape.dims()[axis + 1..].iter().product();
            let block = shape.dims()[*axis] * inner;
            let mut start = 0;
            for part in inputs {
                let len = part.shape().dims()[*axis] * inner;
                for (to, from) in out.chunks_exact_mut(block).zip(part.data().chunks_exact(len)) {
                    to[start..start + len].copy_from_slice(from);
                }
                start += len;
            }
        }
        Op::Pad { before, value, .. } => {
            out.fill(*value);
            let step = strides(shape);
            let first: usize = before.iter().zip(&step).map(|(b, s)| b * s).sum();
            for (&x, i) in x.data().iter().zip(strided_indices(x.shape().dims(), &step)) {
                out[first + i] = x;
            }
        }
        Op::LayerNorm(norm) => layer_norm(norm, inputs, out),
        Op::Attention(a) => attention(a, inputs, out),
        Op::Slice { start, step, size } => {
            let own = strides(x.shape());
            let first: usize = start.iter().zip(&own).map(|(i, s)| i * s).sum();
            // Steps backwards wrap round, and back again when they are added to the first index.
            let by: Vec<usize> = step.iter().zip(&own).map(|(&i, &s)| (s as isize).wrapping_mul(i) as usize).collect();
            for (y, i) in out.iter_mut().zip(strided_indices(size, &by)) {
                *y = x.data()[first.wrapping_add(i)];
            }
        }
        Op::Gather { axis, indices } => {
            let inner: usize = shape.dims()[axis + 1..].iter().product();
            let block = x.shape().dims()[*axis] * inner;
            let rows = out.chunks_exact_mut(indices.len() * inner).zip(x.data().chunks_exact(block));
            for (to, from) in rows {
                for (to, &i) in to.chunks_exact_mut(inner).zip(indices) {
                    to.copy_from_slice(&from[i * inner..][..inner]);
                }
            }
        }
        Op::Quantize(q) => out.iter_mut().zip(x.data()).for_each(|(y, &x)| *y = q.apply(x)),
    }
    y
}

/// How many steps [`evaluate`] takes, about: products, or values read and written.
pub(crate) fn steps(op: &Op, inputs: &[&Shape], shape: &Shape) -> u64 {
    let len = |s: &Shape| s.len() as u64;
    let last = |s: &Shape| s.dims().last().map_or(1, |&d| d as u64);
    let read = inputs.iter().fold(0u64, |n, s| n.saturating_add(len(s)));
    let each = match op {
        Op::Conv2d(_) => {
            inputs.get(1).map_or(1, |w| w.dims().iter().skip(1).fold(1, |n: u64, &d| n.saturating_mul(d as u64)))
        }
        Op::Linear(_) | Op::MatMul => inputs.first().map_or(1, |x| last(x)),
        Op::Pool2d(pool) => match inputs.first().map(|x| x.dims()) {
            Some(&[_, _, h, w]) => (pool.kernel[0].min(h) as u64).saturating_mul(pool.kernel[1].min(w) as u64),
            _ => 1,
        },
        Op::Attention(_) => match (inputs.first(), inputs.get(1).map(|k| k.dims())) {
            // A score for each key and row, and as many products with each value.
            (Some(q), Some(&[.., keys, depth])) => {
                return (len(q) / depth.max(1) as u64)
                    .saturating_mul(keys as u64)
                    .saturating_mul(depth as u64 + last(shape))
                    .saturating_add(read);
            }
            _ => 1,
        },
        Op::LayerNorm(_) => 6,
        Op::Activation(_)
        | Op::Binary(_)
        | Op::Reduce { .. }
        | Op::Softmax { .. }
        | Op::Reshape(_)
        | Op::Transpose { .. }
        | Op::Concat { .. }
        | Op::Pad { .. }
        | Op::Slice { .. }
        | Op::Gather { .. }
        | Op::Quantize(_) => 1,
    };
    len(shape).saturating_mul(each).saturating_add(read)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// `y[o, y, x] = act(b[o] + sum over i, ky, kx of w[o, i, ky, kx] x[i, y s - p + ky d, x s - p + kx d] + r[o, y, x])`.
fn conv2d(conv: &Conv2d, inputs: &[&Tensor], shape: &Shape, out: &mut [f32]) {
    let (x, weight, bias) = (inputs[0], inputs[1], inputs[2].data());
    let residual = inputs.get(3).map(|r| r.data());
    let &[_, channels, height, width] = x.shape().dims() else { return };
    let &[outputs, per_group, kernel_h, kernel_w] = weight.shape().dims() else { return };
    let &[_, _, out_h, out_w] = shape.dims() else { return };
    let plane = out_h * out_w;
    for (index, out) in out.chunks_exact_mut(plane).enumerate() {
        let (image, o) = (index / outputs, index % outputs);
        let first = o / (outputs / conv.groups) * per_group;
        let mut sums = vec![f64::from(bias[o]); plane];
        for i in 0..per_group {
            let x = &x.data()[(image * channels + first + i) * height * width..][..height * width];
            for (ky, kx) in (0..kernel_h).flat_map(|ky| (0..kernel_w).map(move |kx| (ky, kx))) {
                let w = f64::from(weight.data()[((o * per_group + i) * kernel_h + ky) * kernel_w + kx]);
                let rows = reached(ky, conv.strides[0], conv.dilations[0], conv.pads[0], height, out_h);
                let columns = reached(kx, conv.strides[1], conv.dilations[1], conv.pads[1], width, out_w);
                for oy in rows {
                    let row = &x[(oy * conv.strides[0] + ky * conv.dilations[0] - conv.pads[0]) * width..][..width];
                    let sums = &mut sums[oy * out_w..][..out_w];
                    for ox in columns.clone() {
                        sums[ox] += w * f64::from(row[ox * conv.strides[1] + kx * conv.dilations[1] - conv.pads[1]]);
                    }
                }
            }
        }
        for (cell, (out, sum)) in out.iter_mut().zip(&sums).enumerate() {
            let residual = residual.map_or(0.0, |r| f64::from(r[index * plane + cell]));
            *out = conv.activation.apply((sum + residual) as f32);
        }
    }
}

/// The outputs whose window has a tap inside an image of `size` cells.
fn reached(
    tap: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
    size: usize,
    outputs: usize,
) -> std::ops::Range<usize> {
    let at = tap * dilation;
    let first = pad.saturating_sub(at).div_ceil(stride);
    let end = (size + pad).saturating_sub(at).div_ceil(stride).min(outputs);
    first.min(end)..end
}

/// The taps of the window of one output that are inside an image of `size` cells.
pub(super) fn taps(
    out: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
    size: usize,
    kernel: usize,
) -> std::ops::Range<usize> {
    let origin = out * stride;
    let first = pad.saturating_sub(origin).div_ceil(dilation);
    let end = (size + pad).saturating_sub(origin).div_ceil(dilation).min(kernel);
    first.min(end)..end
}

fn pool2d(pool: &Pool2d, x: &Tensor, shape: &Shape, out: &mut [f32]) {
    let &[_, _, height, width] = x.shape().dims() else { return };
    let &[_, _, out_h, out_w] = shape.dims() else { return };
    for (out, x) in out.chunks_exact_mut(out_h * out_w).zip(x.data().chunks_exact(height * width)) {
        for (cell, out) in out.iter_mut().enumerate() {
            let (mut largest, mut sum, mut count) = (f32::NEG_INFINITY, 0f64, 0usize);
            let [oy, ox] = [cell / out_w, cell % out_w];
            let rows = taps(oy, pool.strides[0], pool.dilations[0], pool.pads[0], height, pool.kernel[0]);
            let columns = taps(ox, pool.strides[1], pool.dilations[1], pool.pads[1], width, pool.kernel[1]);
            for ky in rows {
                let row = &x[(oy * pool.strides[0] + ky * pool.dilations[0] - pool.pads[0]) * width..][..width];
                for kx in columns.clone() {
                    let v = row[ox * pool.strides[1] + kx * pool.dilations[1] - pool.pads[1]];
                    largest = largest.max(v);
                    sum += f64::from(v);
                    count += 1;
                }
            }
            *out = match pool.kind {
                PoolKind::Max => largest,
                PoolKind::Average { count_include_pad: true } => {
                    (sum / (pool.kernel[0] * pool.kernel[1]) as f64) as f32
                }
                PoolKind::Average { count_include_pad: false } => (sum / count.max(1) as f64) as f32,
            };
        }
    }
}

fn matmul(a: &Tensor, b: &Tensor, shape: &Shape, out: &mut [f32]) {
    let (&[.., m, k], &[.., n]) = (a.shape().dims(), b.shape().dims()) else { return };
    let lead = Shape::new(&shape.dims()[..shape.rank() - 2]);
    let matrices = |t: &Tensor| {
        let own = Shape::new(&t.shape().dims()[..t.shape().rank() - 2]);
        broadcast_indices(&own, &lead)
    };
    for ((i, j), out) in matrices(a).zip(matrices(b)).zip(out.chunks_exact_mut(m * n)) {
        let (a, b) = (&a.data()[i * m * k..][..m * k], &b.data()[j * k * n..][..k * n]);
        for (row, out) in a.chunks_exact(k).zip(out.chunks_exact_mut(n)) {
            for (column, out) in out.iter_mut().enumerate() {
                let terms = row.iter().zip(b[column..].iter().step_by(n));
                *out = terms.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32;
            }
        }
    }
}

fn attention(attention: &Attention, inputs: &[&Tensor], out: &mut [f32]) {
    let (q, k, v) = (inputs[0], inputs[1], inputs[2]);
    let (&[ref lead @ .., m, d], &[.., n, e]) = (q.shape().dims(), v.shape().dims()) else { return };
    let products = Shape::new([lead, &[m, n]].concat());
    let mut mask = inputs.get(3).map(|mask| (mask.data(), broadcast_indices(mask.shape(), &products)));
    let mut added = move || mask.as_mut().and_then(|(data, places)| places.next().map(|i| data[i])).unwrap_or(0.0);
    let heads = q.data().chunks_exact(m * d).zip(k.data().chunks_exact(n * d)).zip(v.data().chunks_exact(n * e));
    for (((q, k), v), out) in heads.zip(out.chunks_exact_mut(m * e)) {
        for (q, out) in q.chunks_exact(d).zip(out.chunks_exact_mut(e)) {
            let scores = k.chunks_exact(d).map(|k| f64::from(attention.scale) * dot(q, k) + f64::from(added()));
            let scores: Vec<f64> = scores.collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let shares: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
            let total: f64 = shares.iter().sum();
            for (i, out) in out.iter_mut().enumerate() {
                let terms = shares.iter().zip(v[i..].iter().step_by(e));
                *out = (terms.map(|(s, &v)| s * f64::from(v)).sum::<f64>() / total) as f32;
            }
        }
    }
}

fn layer_norm(norm: &LayerNorm, inputs: &[&Tensor], out: &mut [f32]) {
    let x = inputs[0];
    let dims = x.shape().dims();
    let kept: Vec<usize> = dims.iter().enumerate().map(|(i, &d)| if norm.axes.contains(&i) { 1 } else { d }).collect();
    let kept = Shape::new(kept);
    let count = (x.data().len() / kept.len().max(1)) as f64;
    let groups = || broadcast_indices(&kept, x.shape());
    let mut means = vec![0f64; kept.len()];
    x.data().iter().zip(groups()).for_each(|(&x, g)| means[g] += f64::from(x) / count);
    let mut variances = vec![0f64; kept.len()];
    x.data().iter().zip(groups()).for_each(|(&x, g)| variances[g] += (f64::from(x) - means[g]).powi(2) / count);
    let scale = broadcast_indices(inputs[1].shape(), x.shape());
    let bias = broadcast_indices(inputs[2].shape(), x.shape());
    for ((((y, &x), g), s), b) in out.iter_mut().zip(x.data()).zip(groups()).zip(scale).zip(bias) {
        let normal = (f64::from(x) - means[g]) / (variances[g] + f64::from(norm.epsilon)).sqrt();
        *y = (normal * f64::from(inputs[1].data()[s]) + f64::from(inputs[2].data()[b])) as f32;
    }
}

fn reduce(kind: ReduceKind, axes: &[usize], x: &Tensor, out: &mut [f32]) {
    // The output's stride along each input dimension: 0 along a reduced one.
    let dims = x.shape().dims();
    let mut step = vec![0; dims.len()];
    let mut next = 1;
    for i in (0..dims.len()).rev().filter(|i| !axes.contains(i)) {
        step[i] = next;
        next *= dims[i];
    }
    let mut totals = vec![kind.start(); out.len()];
    for (&x, i) in x.data().iter().zip(strided_indices(dims, &step)) {
        totals[i] = kind.join(totals[i], x.into());
    }
    let divisor = match kind {
        ReduceKind::Mean => axes.iter().map(|&a| dims[a]).product::<usize>() as f64,
        _ => 1.0,
    };
    out.iter_mut().zip(totals).for_each(|(y, total)| *y = (total / divisor) as f32);
}

fn softmax(axis: usize, x: &Tensor, out: &mut [f32]) {
    let dims = x.shape().dims();
    let (len, inner) = (dims[axis], dims[axis + 1..].iter().product::<usize>());
    for line in 0..x.data().len() / len {
        let first = line / inner * len * inner + line % inner;
        let cells = || (0..len).map(move |i| first + i * inner);
        let largest = cells().map(|i| x.data()[i]).fold(f32::NEG_INFINITY, f32::max);
        let exp = |i: usize| f64::from(x.data()[i] - largest).exp();
        let total: f64 = cells().map(exp).sum();
        cells().for_each(|i| out[i] = (exp(i) / total) as f32);
    }
}

/// Row-major strides of a shape.
pub(crate) fn strides(shape: &Shape) -> Vec<usize> {
    let mut strides = vec![1; shape.rank()];
    for i in (1..shape.rank()).rev() {
        strides[i - 1] = strides[i] * shape.dims()[i];
    }
    strides
}

/// The index into a tensor of shape `from` for each element of its broadcast to shape `to`.
pub(crate) fn broadcast_indices(from: &Shape, to: &Shape) -> impl Iterator<Item = usize> + use<> {
    let missing = to.rank() - from.rank();
    let own = strides(from);
    let step = |i: usize| match i.checked_sub(missing) {
        Some(i) if from.dims()[i] != 1 => own[i],
        _ => 0,
    };
    strided_indices(to.dims(), &(0..to.rank()).map(step).collect::<Vec<_>>())
}

/// `sum_i index_i step_i` for every index of `dims`, in row-major order. A step backwards is one that wraps round.
pub(crate) fn strided_indices(dims: &[usize], step: &[usize]) -> impl Iterator<Item = usize> + use<> {
    let total = dims.iter().product::<usize>();
    let (dims, step) = (dims.to_vec(), step.to_vec());
    let (mut index, mut at) = (vec![0usize; dims.len()], 0usize);
    (0..total).map(move |_| {
        let here = at;
        for i in (0..dims.len()).rev() {
            index[i] += 1;
            at = at.wrapping_add(step[i]);
            if index[i] < dims[i] {
                break;
            }
            at = at.wrapping_sub(step[i].wrapping_mul(dims[i]));
            index[i] = 0;
        }
        here
    })
}
