//! Window pooling over channels-last activations: a vector of channels stays in a register over its whole window.
#![allow(unsafe_op_in_unsafe_fn)] // The kernel is unsafe throughout; `pool` checks what it relies on.

use super::simd::Simd;
use super::{Isa, dispatch, ensure};
use crate::error::Result;
use crate::graph::{Pool2d, PoolKind};

/// Pools `x` (`H x W x C`) into `y` (`OH x OW x C`).
pub(in super::super) fn pool(
    isa: Isa,
    p: &Pool2d,
    channels: usize,
    [input, output]: [[usize; 2]; 2],
    x: &[f32],
    y: &mut [f32],
) -> Result<()> {
    ensure(x.len() == input[0] * input[1] * channels, "the input of a pool")?;
    ensure(y.len() == output[0] * output[1] * channels, "the output of a pool")?;
    let kernel = dispatch!(isa, window, &mut Window);
    let mut taps = Vec::with_capacity(p.kernel[0] * p.kernel[1]);
    for (at, cell) in y.chunks_exact_mut(channels.max(1)).enumerate() {
        let (oy, ox) = (at / output[1], at % output[1]);
        let positions = |axis: usize, o: usize| {
            let positions = (0..p.kernel[axis]).map(move |k| o * p.strides[axis] + k * p.dilations[axis]);
            positions.filter_map(move |i| i.checked_sub(p.pads[axis]).filter(|&i| i < input[axis]))
        };
        taps.clear();
        for iy in positions(0, oy) {
            taps.extend(positions(1, ox).map(|ix| (iy * input[1] + ix) * channels));
        }
        let max = p.kind == PoolKind::Max;
        let mut args = Window { x, cell, taps: &taps, max };
        // SAFETY: `isa` was detected, and a tap is the start of a cell inside `x`, which is as long as `cell`.
        unsafe { kernel(&mut args) };
        if let PoolKind::Average { count_include_pad } = p.kind {
            let divisor = if count_include_pad { p.kernel[0] * p.kernel[1] } else { taps.len() };
            cell.iter_mut().for_each(|c| *c /= divisor.max(1) as f32);
        }
    }
    Ok(())
}

/// One cell of the output and where the cells of its window start.
struct Window<'a> {
    x: &'a [f32],
    cell: &'a mut [f32],
    taps: &'a [usize],
    max: bool,
}

#[inline(always)]
unsafe fn window<S: Simd>(w: &mut Window) {
    let (empty, most) = (S::splat(if w.max { f32::NEG_INFINITY } else { 0.0 }), S::splat(f32::INFINITY));
    let (x, y) = (w.x.as_ptr(), w.cell.as_mut_ptr());
    let mut channel = 0;
    while channel < w.cell.len() {
        let left = w.cell.len() - channel;
        let mut all = empty;
        for &tap in w.taps {
            let from = x.add(tap + channel);
            let value = if left >= S::LANES { S::load(from) } else { S::load_first(from, left) };
            all = if w.max { S::clamp(value, all, most) } else { S::add(all, value) };
        }
        match left >= S::LANES {
            true => S::store(y.add(channel), all),
            false => S::store_first(y.add(channel), all, left),
        }
        channel += S::LANES;
    }
}
