//! Window pooling over channels-last activations: a vector of channels stays in a register over its whole window.

use super::Isa;
use super::bounds::{Axis, ensure, holds};
use super::isa::dispatch;
use super::pointer::{Sink, Source};
use super::simd::Simd;
use crate::error::Result;
use crate::graph::PoolKind;

/// Pools `x` (`H x W x C`) into `y` (`OH x OW x C`) along height and width.
///
/// # Errors
/// [`crate::Error::Engine`] if `x` and `y` do not have those sizes.
pub(in super::super) fn pool(
    isa: Isa,
    kind: PoolKind,
    channels: usize,
    [rows, columns]: [Axis; 2],
    x: &[f32],
    y: &mut [f32],
) -> Result<()> {
    ensure(channels > 0, "a pool")?;
    holds(x.len(), &[rows.input(), columns.input(), channels], "the input of a pool")?;
    holds(y.len(), &[rows.output(), columns.output(), channels], "the output of a pool")?;
    let kernel = dispatch!(isa, window, &Window);
    let max = kind == PoolKind::Max;
    let cells = rows.kernel() as f32 * columns.kernel() as f32;
    // Only the taps inside: a window may be far larger than the map.
    let mut taps = Vec::new();
    for (at, cell) in y.chunks_exact_mut(channels).enumerate() {
        let (oy, ox) = (at / columns.output(), at % columns.output());
        taps.clear();
        for iy in rows.inside(oy).map(|ky| rows.at(oy, ky)) {
            taps.extend(columns.inside(ox).map(|kx| (iy * columns.input() + columns.at(ox, kx)) * channels));
        }
        let args = Window { x: Source::new(x), y: Sink::new(cell), channels, taps: &taps, max };
        // SAFETY: `args` is as its type says: a tap inside is a cell of `x`, which is as long as `cell`.
        unsafe { kernel(&args) };
        if let PoolKind::Average { count_include_pad } = kind {
            let divisor = if count_include_pad { cells } else { taps.len().max(1) as f32 };
            cell.iter_mut().for_each(|c| *c /= divisor);
        }
    }
    Ok(())
}

/// One cell of the output and where the cells of its window start. The kernel relies on `channels` floats being left at
/// `y` and at each tap of `x`.
struct Window<'a> {
    x: Source<f32>,
    y: Sink<f32>,
    channels: usize,
    taps: &'a [usize],
    max: bool,
}

/// # Safety
/// `w` must be as [`Window`] says.
#[inline(always)]
unsafe fn window<S: Simd>(s: S, w: &Window) {
    let (empty, most) = (s.splat(if w.max { f32::NEG_INFINITY } else { 0.0 }), s.splat(f32::INFINITY));
    let mut channel = 0;
    while channel < w.channels {
        let left = w.channels - channel;
        let mut all = empty;
        for &tap in w.taps {
            // SAFETY: `left` floats are left of this tap's cell.
            let value = unsafe {
                let from = w.x.add(tap + channel);
                if left >= S::LANES { s.load(from) } else { s.load_first(from, left) }
            };
            all = if w.max { s.clamp(value, all, most) } else { s.add(all, value) };
        }
        // SAFETY: `left` floats are left of the output's cell.
        unsafe {
            match left >= S::LANES {
                true => s.store(w.y.add(channel), all),
                false => s.store_first(w.y.add(channel), all, left),
            }
        }
        channel += S::LANES;
    }
}
