//! The arithmetic of the generic ops, as candle custom ops over `f32`.
//!
//! candle's own operations are compiled for every element type it has, which weighs 0.3 MB gzipped in the page; these
//! are compiled for one. Strides and broadcasts are still candle's: an op is given storage with a layout.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::kernels::{Dense, Isa, Rows};
use crate::graph::evaluate::{broadcast_indices, strided_indices};
use crate::graph::{Activation, BinaryOp, ReduceKind, broadcast};
use crate::tensor;

fn floats(storage: &CpuStorage) -> Result<&[f32]> {
    match storage {
        CpuStorage::F32(values) => Ok(values),
        _ => bail!("expected f32 values"),
    }
}

/// The values of a tensor that lies in one piece.
fn packed<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&floats(storage)?[from..to]),
        None => bail!("expected values in one piece"),
    }
}

/// Rows along the last dimension: where each starts in storage, the length of a row, and the step between its values.
fn rows(layout: &Layout) -> (impl Iterator<Item = usize>, usize, usize) {
    let (dims, strides) = (layout.dims(), layout.stride());
    let outer = dims.len().saturating_sub(1);
    let start = layout.start_offset();
    let starts = strided_indices(&dims[..outer], &strides[..outer]).map(move |at| start + at);
    (starts, dims.last().copied().unwrap_or(1), strides.last().copied().unwrap_or(1))
}

/// An element-wise function.
pub(super) struct Unary(pub Activation);

impl CustomOp1 for Unary {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = packed(storage, layout)?;
        let y = x.iter().map(|&x| self.0.apply(x)).collect();
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }
}

/// An element-wise function of two tensors of one shape, either of which may be broadcast (have strides of 0).
pub(super) struct Binary(pub BinaryOp);

impl CustomOp2 for Binary {
    fn name(&self) -> &'static str {
        "binary"
    }

    fn cpu_fwd(&self, a: &CpuStorage, la: &Layout, b: &CpuStorage, lb: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = match self.0 {
            BinaryOp::Add => zip(floats(a)?, la, floats(b)?, lb, |a, b| a + b),
            BinaryOp::Sub => zip(floats(a)?, la, floats(b)?, lb, |a, b| a - b),
            BinaryOp::Mul => zip(floats(a)?, la, floats(b)?, lb, |a, b| a * b),
            BinaryOp::Div => zip(floats(a)?, la, floats(b)?, lb, |a, b| a / b),
            op => zip(floats(a)?, la, floats(b)?, lb, |a, b| op.apply(a, b)),
        };
        Ok((CpuStorage::F32(y), la.shape().clone()))
    }
}

fn zip(a: &[f32], la: &Layout, b: &[f32], lb: &Layout, f: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    let mut y = Vec::with_capacity(la.shape().elem_count());
    let ((a_rows, len, a_step), (b_rows, _, b_step)) = (rows(la), rows(lb));
    for (at, bt) in a_rows.zip(b_rows) {
        match (a_step, b_step) {
            (1, 1) => y.extend(a[at..at + len].iter().zip(&b[bt..bt + len]).map(|(&a, &b)| f(a, b))),
            (1, 0) => y.extend(a[at..at + len].iter().map(|&a| f(a, b[bt]))),
            (0, 1) => y.extend(b[bt..bt + len].iter().map(|&b| f(a[at], b))),
            _ => y.extend((0..len).map(|i| f(a[at + i * a_step], b[bt + i * b_step]))),
        }
    }
    y
}

/// A reduction; the reduced axes stay with length 1. Sums run in `f64`.
pub(super) struct Reduce {
    pub kind: ReduceKind,
    pub axes: Vec<usize>,
}

impl CustomOp1 for Reduce {
    fn name(&self) -> &'static str {
        "reduce"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = floats(storage)?;
        let mut dims = layout.dims().to_vec();
        let cells: usize = self.axes.iter().map(|&axis| dims[axis]).product();
        self.axes.iter().for_each(|&axis| dims[axis] = 1);
        let shape = Shape::from(dims);
        // Where each input value goes: the output's own strides, 0 along what is reduced.
        let mut steps = Layout::contiguous(&shape).stride().to_vec();
        self.axes.iter().for_each(|&axis| steps[axis] = 0);
        let outer = steps.len().saturating_sub(1);
        let targets = strided_indices(&layout.dims()[..outer], &steps[..outer]);
        let step = steps.last().copied().unwrap_or(1);
        let (sources, len, x_step) = rows(layout);

        let mut sums = vec![self.kind.start(); shape.elem_count()];
        for (from, to) in sources.zip(targets) {
            for i in 0..len {
                let (value, sum) = (f64::from(x[from + i * x_step]), &mut sums[to + i * step]);
                *sum = self.kind.join(*sum, value);
            }
        }
        let scale = if self.kind == ReduceKind::Mean { 1.0 / cells.max(1) as f64 } else { 1.0 };
        Ok((CpuStorage::F32(sums.into_iter().map(|sum| (sum * scale) as f32).collect()), shape))
    }
}

/// `exp(x) / sum(exp(x))` along one axis.
pub(super) struct Softmax(pub usize);

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut y = packed(storage, layout)?.to_vec();
        let (dims, axis) = (layout.dims(), self.0);
        let (len, inner): (usize, usize) = (dims[axis], dims[axis + 1..].iter().product());
        for block in y.chunks_mut((len * inner).max(1)) {
            for i in 0..inner {
                let top = block[i..].iter().step_by(inner).fold(f32::NEG_INFINITY, |m, &v| m.max(v));
                let mut sum = 0.0;
                for value in block[i..].iter_mut().step_by(inner) {
                    *value = (*value - top).exp();
                    sum += *value;
                }
                block[i..].iter_mut().step_by(inner).for_each(|value| *value /= sum);
            }
        }
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }
}

/// A product of matrices, `[.., M, K]` by `[.., K, N]`, whose leading dimensions are broadcast.
pub(super) struct MatMul(pub Isa);

impl CustomOp2 for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn cpu_fwd(&self, a: &CpuStorage, la: &Layout, b: &CpuStorage, lb: &Layout) -> Result<(CpuStorage, Shape)> {
        let (a, b) = (packed(a, la)?, packed(b, lb)?);
        let (&[ref lead_a @ .., m, k], &[ref lead_b @ .., _, n]) = (la.dims(), lb.dims()) else {
            bail!("expected matrices")
        };
        let (lead_a, lead_b) = (tensor::Shape::new(lead_a), tensor::Shape::new(lead_b));
        let lead = broadcast(&lead_a, &lead_b).map_err(candle_core::Error::msg)?;
        let mut y = vec![0.0; lead.len() * m * n];
        let indices = broadcast_indices(&lead_a, &lead).zip(broadcast_indices(&lead_b, &lead));
        for ((i, j), y) in indices.zip(y.chunks_mut((m * n).max(1))) {
            let (a, b) = (&a[i * m * k..][..m * k], &b[j * k * n..][..k * n]);
            let transposed: Vec<f32> = (0..n).flat_map(|j| b[j..].iter().step_by(n).copied()).collect();
            let mut multiply = || -> crate::Result<()> {
                let packed = Dense::pack(self.0, n, k, &transposed, &vec![0.0; n])?;
                let (x_rows, y_rows) = (Rows { start: 0, stride: k }, Rows { start: 0, stride: n });
                packed.apply(m, a, x_rows, y, y_rows, None, [f32::NEG_INFINITY, f32::INFINITY])
            };
            multiply().map_err(candle_core::Error::wrap)?;
        }
        Ok((CpuStorage::F32(y), Shape::from([lead.dims(), &[m, n]].concat())))
    }
}

/// `a op b`, broadcast as in numpy.
pub(super) fn binary(op: BinaryOp, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let shape = a.shape().broadcast_shape_binary_op(b.shape(), "binary")?;
    a.broadcast_as(&shape)?.apply_op2_no_bwd(&b.broadcast_as(&shape)?, &Binary(op))
}

/// The function of every element.
pub(super) fn unary(activation: Activation, x: &Tensor) -> Result<Tensor> {
    match activation {
        Activation::None => Ok(x.clone()),
        function => x.contiguous()?.apply_op1_no_bwd(&Unary(function)),
    }
}
