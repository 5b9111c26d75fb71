//! Window pooling over channels-last activations. Plain loops: the compiler vectorises them over channels.

use super::ensure;
use crate::error::Result;
use crate::graph::{Pool2d, PoolKind};

/// Pools `x` (`H x W x C`) into `y` (`OH x OW x C`).
pub(in super::super) fn pool(
    p: &Pool2d,
    channels: usize,
    [input, output]: [[usize; 2]; 2],
    x: &[f32],
    y: &mut [f32],
) -> Result<()> {
    ensure(x.len() == input[0] * input[1] * channels, "the input of a pool")?;
    ensure(y.len() == output[0] * output[1] * channels, "the output of a pool")?;
    for (at, cell) in y.chunks_exact_mut(channels.max(1)).enumerate() {
        let (oy, ox) = (at / output[1], at % output[1]);
        let taps = |axis: usize, o: usize| {
            let positions = (0..p.kernel[axis]).map(move |k| o * p.strides[axis] + k * p.dilations[axis]);
            positions.filter_map(move |i| i.checked_sub(p.pads[axis]).filter(|&i| i < input[axis]))
        };
        let empty = match p.kind {
            PoolKind::Max => f32::NEG_INFINITY,
            PoolKind::Average { .. } => 0.0,
        };
        cell.fill(empty);
        let mut count = 0usize;
        for iy in taps(0, oy) {
            for ix in taps(1, ox) {
                let from = &x[(iy * input[1] + ix) * channels..][..channels];
                match p.kind {
                    PoolKind::Max => cell.iter_mut().zip(from).for_each(|(c, &v)| *c = c.max(v)),
                    PoolKind::Average { .. } => cell.iter_mut().zip(from).for_each(|(c, &v)| *c += v),
                }
                count += 1;
            }
        }
        if let PoolKind::Average { count_include_pad } = p.kind {
            let divisor = if count_include_pad { p.kernel[0] * p.kernel[1] } else { count };
            cell.iter_mut().for_each(|c| *c /= divisor.max(1) as f32);
        }
    }
    Ok(())
}
