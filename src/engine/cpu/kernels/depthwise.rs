//! Depthwise convolution (one filter a channel), vectorised over channels.
//!
//! Where a run of output cells has its whole window inside the image, several cells share each load of weights and,
//! at stride 1, each load of the input; at the borders a cell at a time takes only the taps that are inside.

use std::ops::Range;
use std::sync::Arc;

use super::bounds::{Axis, ensure, holds, product, room};
use super::isa::dispatch;
use super::pointer::{Sink, Source};
use super::simd::Simd;
use super::{Isa, blank, unroll};
use crate::engine::cpu::weights::WeightStore;
use crate::error::Result;

/// A packed depthwise convolution for one input size.
pub(in super::super) struct Depthwise {
    isa: Isa,
    channels: usize,
    /// Down and across.
    axes: [Axis; 2],
    /// For each vector of channels: its biases, then its weights tap by tap.
    packed: Arc<Vec<f32>>,
}

impl Depthwise {
    /// Packs a `[C, 1, kh, kw]` weight for windows of `kh` by `kw` taps along these axes, height and width.
    ///
    /// # Errors
    /// [`crate::Error::Engine`] if weight and bias are not of that size.
    pub(in super::super) fn pack(
        isa: Isa,
        store: &WeightStore,
        channels: usize,
        axes: [Axis; 2],
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self> {
        holds(weight.len(), &[channels, axes[0].kernel(), axes[1].kernel()], "a depthwise weight")?;
        ensure(bias.len() == channels, "a depthwise bias")?;
        let taps = axes[0].kernel() * axes[1].kernel();
        let lanes = isa.lanes();
        let mut packed = room(&[taps + 1, channels.div_ceil(lanes), lanes], "a packed weight")?;
        for first in (0..channels).step_by(lanes) {
            let block = first..first + lanes;
            packed.extend(block.clone().map(|c| bias.get(c).copied().unwrap_or(0.0)));
            for tap in 0..taps {
                packed.extend(block.clone().map(|c| if c < channels { weight[c * taps + tap] } else { 0.0 }));
            }
        }
        Ok(Self { isa, channels, axes, packed: store.floats(packed) })
    }

    /// Convolves `x` (`H x W x C`) into `y` (`OH x OW x C`), clamped to `[lo, hi]`.
    ///
    /// `residual`, if given, has the layout of `y` and is added before.
    ///
    /// # Errors
    /// [`crate::Error::Engine`] if a slice does not have the size that was packed for.
    pub(in super::super) fn apply(
        &self,
        x: &[f32],
        y: &mut [f32],
        residual: Option<&[f32]>,
        [lo, hi]: [f32; 2],
    ) -> Result<()> {
        let [rows, columns] = self.axes;
        holds(x.len(), &[rows.input(), columns.input(), self.channels], "the input of a depthwise convolution")?;
        holds(y.len(), &[rows.output(), columns.output(), self.channels], "the output of a depthwise convolution")?;
        ensure(residual.is_none_or(|r| r.len() == y.len()), "the residual of a depthwise convolution")?;
        let vectors = self.channels.div_ceil(self.isa.lanes());
        let packed = product(&[rows.kernel(), columns.kernel()]).and_then(|taps| taps.checked_add(1));
        let packed = packed.and_then(|block| product(&[block, vectors, self.isa.lanes()]));
        ensure(packed == Some(self.packed.len()), "a packed depthwise weight")?;
        let args = Args {
            channels: self.channels,
            rows,
            columns,
            x: Source::new(x),
            packed: Source::new(&self.packed),
            y: Sink::new(y),
            residual: residual.map(Source::new),
            lo,
            hi,
        };
        let kernel = dispatch!(self.isa, convolve, &Args);
        // SAFETY: `args` is as its type says, by the checks above.
        unsafe { kernel(&args) };
        Ok(())
    }
}

/// One convolution. The kernels rely on this: `x` holds all cells of the input, `y` and `residual` all of the output,
/// each of `channels` floats; `packed` holds a block of `(taps + 1) LANES` floats for each vector of channels, the last
/// one filled up; and no index along an axis wraps, which [`Axis`] promises.
struct Args {
    channels: usize,
    rows: Axis,
    columns: Axis,
    x: Source<f32>,
    packed: Source<f32>,
    y: Sink<f32>,
    residual: Option<Source<f32>>,
    lo: f32,
    hi: f32,
}

/// # Safety
/// `a` must be as [`Args`] says.
#[inline(always)]
unsafe fn convolve<S: Simd>(s: S, a: &Args) {
    // SAFETY: the caller's, and each way is for its own kernel width, stride and dilation.
    unsafe {
        match (a.columns.kernel(), a.columns.stride(), a.columns.dilation()) {
            (3, 1, 1) => run::<S, 3, 1, 4>(s, a),
            (3, 2, 1) => run::<S, 3, 2, 4>(s, a),
            (5, 1, 1) => run::<S, 5, 1, 4>(s, a),
            (5, 2, 1) => run::<S, 5, 2, 4>(s, a),
            _ => run_any(s, a),
        }
    }
}

/// Rows of windows `K` wide, `P` cells at a time where that fits.
///
/// # Safety
/// `a` must be as [`Args`] says, its windows `K` wide, `STRIDE` apart and not dilated across.
// On wasm a function of its own, as in `gemm`.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
unsafe fn run<S: Simd, const K: usize, const STRIDE: usize, const P: usize>(s: S, a: &Args) {
    let (width, out) = (a.columns.input(), a.columns.output());
    // Cells whose windows are inside from left to right: `first..end`.
    let first = a.columns.pad().div_ceil(STRIDE).min(out);
    let end = match (width + a.columns.pad()).checked_sub(K) {
        Some(room) => (room / STRIDE + 1).clamp(first, out),
        None => first,
    };
    let whole = a.channels / S::LANES * S::LANES;
    for oy in 0..a.rows.output() {
        let taps = a.rows.inside(oy);
        for ox in (0..first).chain(end..out) {
            // SAFETY: a cell of the output, and the taps inside.
            unsafe { border(s, a, oy, ox, 0, taps.clone()) };
        }
        for channel in (0..whole).step_by(S::LANES) {
            let mut ox = first;
            // SAFETY: `first..end` are the cells whose windows are inside, and `channel` begins a full vector.
            unsafe {
                while ox + P <= end {
                    cells::<S, K, STRIDE, P>(s, a, oy, ox, channel, taps.clone());
                    ox += P;
                }
                if ox + 2 <= end {
                    cells::<S, K, STRIDE, 2>(s, a, oy, ox, channel, taps.clone());
                    ox += 2;
                }
                while ox < end {
                    cells::<S, K, STRIDE, 1>(s, a, oy, ox, channel, taps.clone());
                    ox += 1;
                }
            }
        }
        if whole < a.channels {
            for ox in first..end {
                // SAFETY: a cell of the output, and the taps inside.
                unsafe { border(s, a, oy, ox, whole, taps.clone()) };
            }
        }
    }
}

/// Any window, a cell at a time.
///
/// # Safety
/// `a` must be as [`Args`] says.
#[inline(always)]
unsafe fn run_any<S: Simd>(s: S, a: &Args) {
    for oy in 0..a.rows.output() {
        let taps = a.rows.inside(oy);
        for ox in 0..a.columns.output() {
            // SAFETY: a cell of the output, and the taps inside.
            unsafe { border(s, a, oy, ox, 0, taps.clone()) };
        }
    }
}

/// One cell, only the taps inside, from a channel on.
///
/// # Safety
/// `a` must be as [`Args`] says, the cell one of the output, `from` the first channel of a vector, `rows` the taps
/// inside for `oy`.
#[inline(always)]
unsafe fn border<S: Simd>(s: S, a: &Args, oy: usize, ox: usize, from: usize, rows: Range<usize>) {
    let columns = a.columns.inside(ox);
    for channel in (from..a.channels).step_by(S::LANES) {
        // SAFETY: the caller's, with the taps inside across as well.
        unsafe { cell(s, a, [oy, ox], channel, [rows.clone(), columns.clone()]) };
    }
}

/// `P` neighbouring cells with whole windows, one full vector of channels.
///
/// # Safety
/// As [`run`], with `ox..ox + P` cells whose windows are inside across, `rows` the taps inside for `oy`, and `channel`
/// the first of `LANES` channels.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Fixed-size register arrays, indexed together.
unsafe fn cells<S: Simd, const K: usize, const STRIDE: usize, const P: usize>(
    s: S,
    a: &Args,
    oy: usize,
    ox: usize,
    channel: usize,
    rows: Range<usize>,
) {
    // SAFETY: the block of this vector of channels begins with its biases.
    let block = unsafe { a.packed.add(channel * (a.rows.kernel() * K + 1)) };
    // SAFETY: as above.
    let bias = unsafe { s.load(block) };
    let mut acc = blank!([S::V; P]);
    unroll!(p in P => {
        acc[p] = bias;
    });
    let left = ox * STRIDE - a.columns.pad();
    for ky in rows {
        let iy = a.rows.at(oy, ky);
        // SAFETY: `(iy, left)` is a cell of the input: the first of the first window.
        let row = unsafe { a.x.add((iy * a.columns.input() + left) * a.channels + channel) };
        let mut w = blank!([S::V; K]);
        unroll!(kx in K => {
            // SAFETY: the block goes on with the weights, tap by tap.
            w[kx] = unsafe { s.load(block.add((1 + ky * K + kx) * S::LANES)) };
        });
        unroll!(column in (P - 1) * STRIDE + K => {
            // SAFETY: the last of these columns is the last tap of the last window, which is inside.
            let x = unsafe { s.load(row.add(column * a.channels)) };
            unroll!(p in P => {
                if column >= p * STRIDE && column - p * STRIDE < K {
                    acc[p] = s.mul_add(x, w[column - p * STRIDE], acc[p]);
                }
            });
        });
    }
    unroll!(p in P => {
        // SAFETY: a cell of the output, of which `LANES` channels are left.
        unsafe { finish(s, a, (oy * a.columns.output() + ox + p) * a.channels + channel, acc[p], S::LANES) };
    });
}

/// One cell, only the taps inside, one vector of channels.
///
/// # Safety
/// As [`border`], with the taps inside down and across.
#[inline(always)]
unsafe fn cell<S: Simd>(s: S, a: &Args, [oy, ox]: [usize; 2], channel: usize, [rows, columns]: [Range<usize>; 2]) {
    // SAFETY: the block of this vector of channels begins with its biases.
    let block = unsafe { a.packed.add(channel * (a.rows.kernel() * a.columns.kernel() + 1)) };
    // SAFETY: as above.
    let mut acc = unsafe { s.load(block) };
    let lanes = (a.channels - channel).min(S::LANES);
    for ky in rows {
        let iy = a.rows.at(oy, ky);
        for kx in columns.clone() {
            let ix = a.columns.at(ox, kx);
            // SAFETY: a cell of the input, since the tap is inside, of which `lanes` channels are left.
            let x = unsafe { load(s, a.x.add((iy * a.columns.input() + ix) * a.channels + channel), lanes) };
            // SAFETY: the block goes on with the weights, tap by tap.
            let w = unsafe { s.load(block.add((1 + ky * a.columns.kernel() + kx) * S::LANES)) };
            acc = s.mul_add(x, w, acc);
        }
    }
    // SAFETY: a cell of the output, of which `lanes` channels are left.
    unsafe { finish(s, a, (oy * a.columns.output() + ox) * a.channels + channel, acc, lanes) };
}

/// # Safety
/// `lanes <= LANES` floats must be left at `p`.
#[inline(always)]
unsafe fn load<S: Simd>(s: S, p: Source<f32>, lanes: usize) -> S::V {
    // SAFETY: the caller's.
    unsafe { if lanes == S::LANES { s.load(p) } else { s.load_first(p, lanes) } }
}

/// Residual, clamp and store.
///
/// # Safety
/// `lanes <= LANES` floats of the output must be left at `at`.
#[inline(always)]
unsafe fn finish<S: Simd>(s: S, a: &Args, at: usize, mut acc: S::V, lanes: usize) {
    if let Some(r) = a.residual {
        // SAFETY: the residual is as large as the output.
        acc = s.add(acc, unsafe { load(s, r.add(at), lanes) });
    }
    let y = s.clamp(acc, s.splat(a.lo), s.splat(a.hi));
    // SAFETY: the caller's.
    unsafe { if lanes == S::LANES { s.store(a.y.add(at), y) } else { s.store_first(a.y.add(at), y, lanes) } }
}
