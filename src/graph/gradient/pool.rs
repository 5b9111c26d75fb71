//! The gradient of a window pooling with respect to its input.

use crate::graph::evaluate::taps;
use crate::graph::{Pool2d, PoolKind};
use crate::tensor::{Shape, Tensor};

/// A maximum's gradient goes to the first cell that has it; an average's is spread over the window.
pub(super) fn input_gradient(pool: &Pool2d, x: &Tensor, y: &Shape, dy: &[f32]) -> Vec<f32> {
    let (&[_, _, height, width], &[_, _, out_h, out_w]) = (x.shape().dims(), y.dims()) else { return Vec::new() };
    let mut dx = vec![0.0; x.data().len()];
    let planes = dx.chunks_exact_mut(height * width).zip(x.data().chunks_exact(height * width));
    for ((dx, x), dy) in planes.zip(dy.chunks_exact(out_h * out_w)) {
        for (cell, &d) in dy.iter().enumerate() {
            let [oy, ox] = [cell / out_w, cell % out_w];
            let rows = taps(oy, pool.strides[0], pool.dilations[0], pool.pads[0], height, pool.kernel[0]);
            let columns = taps(ox, pool.strides[1], pool.dilations[1], pool.pads[1], width, pool.kernel[1]);
            let row = |ky: usize| (oy * pool.strides[0] + ky * pool.dilations[0] - pool.pads[0]) * width;
            let column = |kx: usize| ox * pool.strides[1] + kx * pool.dilations[1] - pool.pads[1];
            let cells: Vec<usize> = rows.flat_map(|ky| columns.clone().map(move |kx| row(ky) + column(kx))).collect();
            match pool.kind {
                PoolKind::Max => {
                    let first = cells.into_iter().reduce(|best, i| if x[i] > x[best] { i } else { best });
                    first.into_iter().for_each(|i| dx[i] += d);
                }
                PoolKind::Average { count_include_pad } => {
                    let n = if count_include_pad { pool.kernel[0] * pool.kernel[1] } else { cells.len() };
                    let share = d / n.max(1) as f32;
                    cells.into_iter().for_each(|i| dx[i] += share);
                }
            }
        }
    }
    dx
}
