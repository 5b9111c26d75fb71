//! Ops over memory as it lies: attention, products of activations, element-wise functions of two operands, and slices.

use super::kernels::{self, Dense, Isa, Rows};
use crate::engine::cpu::failed;
use crate::error::Result;
use crate::graph::evaluate::broadcast_indices;
use crate::graph::{Attention, BinaryOp};
use crate::tensor::Shape;

/// Queries whose scores are computed at a time, so that they stay in the cache.
const QUERIES: usize = 32;

/// Memory that these steps share.
pub(super) struct Packed {
    keys: Dense,
    values: Dense,
    scores: Vec<f32>,
}

impl Packed {
    pub(super) fn new(isa: Isa) -> Self {
        Self { keys: Dense::new(isa), values: Dense::new(isa), scores: Vec::new() }
    }
}

const NO_CLAMP: [f32; 2] = [f32::NEG_INFINITY, f32::INFINITY];

/// Rows in one piece.
fn rows(stride: usize) -> Rows {
    Rows { start: 0, stride }
}

/// [`crate::graph::Op::Attention`] over plain values: `shapes` are those of queries and values, `mask` values and
/// shape.
pub(super) fn attention(
    isa: Isa,
    attention: &Attention,
    shapes: [&Shape; 2],
    [q, k, v]: [&[f32]; 3],
    mask: Option<(&[f32], &Shape)>,
    y: &mut [f32],
    packed: &mut Packed,
) -> Result<()> {
    let (&[ref lead @ .., m, d], &[.., n, e]) = (shapes[0].dims(), shapes[1].dims()) else {
        return Err(failed("attention is not over matrices"));
    };
    let lead = Shape::new(lead);
    // Where the mask of each head starts, and its steps along queries and keys.
    let mask = mask.map(|(values, shape)| {
        let dims = [vec![1; lead.rank() + 2 - shape.rank()].as_slice(), shape.dims()].concat();
        let (outer, inner) = dims.split_at(lead.rank());
        let matrix: usize = inner.iter().product();
        let starts: Vec<usize> = broadcast_indices(&Shape::new(outer), &lead).map(|i| i * matrix).collect();
        let along_keys = usize::from(inner[1] > 1);
        let along_queries = if inner[0] > 1 { inner[1] } else { 0 };
        (values, starts, along_queries, along_keys)
    });
    packed.scores.resize(QUERIES.min(m) * n, 0.0);
    for head in 0..lead.len() {
        packed.keys.repack([n, d], &k[head * n * d..][..n * d], false)?;
        packed.values.repack([e, n], &v[head * n * e..][..n * e], true)?;
        for first in (0..m).step_by(QUERIES) {
            let count = QUERIES.min(m - first);
            let scores = &mut packed.scores[..count * n];
            let queries = &q[(head * m + first) * d..][..count * d];
            packed.keys.apply(count, queries, rows(d), scores, rows(n), None, NO_CLAMP)?;
            match &mask {
                None => kernels::softmax(isa, n, attention.scale, None, scores)?,
                Some((values, starts, along_queries, along_keys)) => {
                    let place = |i: usize| (starts[head] + (first + i) * along_queries, *along_keys);
                    kernels::softmax(isa, n, attention.scale, Some((values, &place)), scores)?;
                }
            }
            let out = &mut y[(head * m + first) * e..][..count * e];
            packed.values.apply(count, scores, rows(n), out, rows(e), None, NO_CLAMP)?;
        }
    }
    Ok(())
}

/// A product of plain matrices whose leading dimensions are broadcast.
pub(super) fn matmul(
    [a_shape, b_shape]: [&Shape; 2],
    [a, b]: [&[f32]; 2],
    y: &mut [f32],
    packed: &mut Packed,
) -> Result<()> {
    let (&[ref a_lead @ .., m, k], &[ref b_lead @ .., _, n]) = (a_shape.dims(), b_shape.dims()) else {
        return Err(failed("a product is not over matrices"));
    };
    let (a_lead, b_lead) = (Shape::new(a_lead), Shape::new(b_lead));
    let lead = crate::graph::broadcast(&a_lead, &b_lead).map_err(failed)?;
    let places = broadcast_indices(&a_lead, &lead).zip(broadcast_indices(&b_lead, &lead));
    let mut last = None;
    for ((i, j), y) in places.zip(y.chunks_exact_mut((m * n).max(1))) {
        if last != Some(j) {
            packed.keys.repack([n, k], &b[j * k * n..][..k * n], true)?;
            last = Some(j);
        }
        packed.keys.apply(m, &a[i * m * k..][..m * k], rows(k), y, rows(n), None, NO_CLAMP)?;
    }
    Ok(())
}

/// How the second operand of an element-wise op repeats along the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Repeat {
    /// It has as many values.
    Not,
    /// Its values repeat for each block of as many.
    Blocks,
    /// It is one value.
    One,
}

/// `y = op(a, b)`, or `op(b, a)` if `swapped`.
pub(super) fn zip(op: BinaryOp, swapped: bool, repeat: Repeat, [a, b]: [&[f32]; 2], y: &mut [f32]) {
    match op {
        BinaryOp::Add => each(repeat, a, b, y, |a, b| a + b),
        BinaryOp::Mul => each(repeat, a, b, y, |a, b| a * b),
        BinaryOp::Sub if !swapped => each(repeat, a, b, y, |a, b| a - b),
        BinaryOp::Div if !swapped => each(repeat, a, b, y, |a, b| a / b),
        op if swapped => each(repeat, a, b, y, |a, b| op.apply(b, a)),
        op => each(repeat, a, b, y, |a, b| op.apply(a, b)),
    }
}

fn each(repeat: Repeat, a: &[f32], b: &[f32], y: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    match (repeat, b) {
        (Repeat::One, &[b, ..]) => y.iter_mut().zip(a).for_each(|(y, &a)| *y = f(a, b)),
        (Repeat::Not, _) => y.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = f(a, b)),
        _ => {
            let len = b.len().max(1);
            for (y, a) in y.chunks_exact_mut(len).zip(a.chunks_exact(len)) {
                y.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = f(a, b));
            }
        }
    }
}

/// Slices at some indices of an axis: blocks of `inner` values out of blocks of `len` such.
pub(super) fn gather(indices: &[usize], len: usize, inner: usize, x: &[f32], y: &mut [f32]) {
    let blocks = y.chunks_exact_mut((indices.len() * inner).max(1)).zip(x.chunks_exact((len * inner).max(1)));
    for (to, from) in blocks {
        for (to, &i) in to.chunks_exact_mut(inner.max(1)).zip(indices) {
            to.copy_from_slice(&from[i * inner..][..inner]);
        }
    }
}
