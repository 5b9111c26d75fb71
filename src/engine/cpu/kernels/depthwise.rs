//! Depthwise convolution (one filter a channel), vectorised over channels.
//!
//! Where a run of output cells has its whole window inside the image, several cells share each load of weights and,
//! at stride 1, each load of the input; at the borders a cell at a time takes only the taps that are inside.
#![allow(unsafe_op_in_unsafe_fn)] // The kernels are unsafe throughout; `Depthwise::apply` checks what they rely on.
#![allow(clippy::needless_range_loop)] // Fixed-size register arrays, indexed together.

use super::simd::Simd;
use super::{Isa, dispatch, ensure, unroll};
use crate::error::Result;
use crate::graph::Conv2d;

/// A packed depthwise convolution for one input size.
pub(in super::super) struct Depthwise {
    isa: Isa,
    geometry: Geometry,
    /// For each vector of channels: its biases, then its weights tap by tap.
    packed: Vec<f32>,
}

#[derive(Clone, Copy)]
struct Geometry {
    channels: usize,
    input: [usize; 2],
    output: [usize; 2],
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    /// Top and left.
    pads: [usize; 2],
}

impl Depthwise {
    /// Packs a `[C, 1, kh, kw]` weight for inputs of `input` cells and outputs of `output` cells.
    pub(in super::super) fn pack(
        isa: Isa,
        conv: &Conv2d,
        [channels, kh, kw]: [usize; 3],
        [input, output]: [[usize; 2]; 2],
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self> {
        let taps = kh * kw;
        ensure(weight.len() == channels * taps && bias.len() == channels, "a depthwise weight")?;
        let lanes = isa.lanes();
        let mut packed = Vec::with_capacity((taps + 1) * channels.div_ceil(lanes) * lanes);
        for first in (0..channels).step_by(lanes) {
            let block = first..first + lanes;
            packed.extend(block.clone().map(|c| bias.get(c).copied().unwrap_or(0.0)));
            for tap in 0..taps {
                packed.extend(block.clone().map(|c| if c < channels { weight[c * taps + tap] } else { 0.0 }));
            }
        }
        let geometry = Geometry {
            channels,
            input,
            output,
            kernel: [kh, kw],
            strides: conv.strides,
            dilations: conv.dilations,
            pads: [conv.pads[0], conv.pads[1]],
        };
        Ok(Self { isa, geometry, packed })
    }

    /// Convolves `x` (`H x W x C`) into `y` (`OH x OW x C`), clamped to `[lo, hi]`.
    ///
    /// `residual`, if given, has the layout of `y` and is added before.
    pub(in super::super) fn apply(
        &self,
        x: &[f32],
        y: &mut [f32],
        residual: Option<&[f32]>,
        [lo, hi]: [f32; 2],
    ) -> Result<()> {
        let g = self.geometry;
        ensure(x.len() == g.input[0] * g.input[1] * g.channels, "the input of a depthwise convolution")?;
        ensure(y.len() == g.output[0] * g.output[1] * g.channels, "the output of a depthwise convolution")?;
        ensure(residual.is_none_or(|r| r.len() == y.len()), "the residual of a depthwise convolution")?;
        let residual = residual.map(<[f32]>::as_ptr);
        let args = Args { g, x: x.as_ptr(), packed: self.packed.as_ptr(), y: y.as_mut_ptr(), residual, lo, hi };
        let kernel = dispatch!(self.isa, convolve, &Args);
        // SAFETY: `isa` was detected; the slices have exactly the sizes of `g`, and the kernel takes only taps inside the
        // input; `packed` has one block for each vector of channels.
        unsafe { kernel(&args) };
        Ok(())
    }
}

struct Args {
    g: Geometry,
    x: *const f32,
    packed: *const f32,
    y: *mut f32,
    residual: Option<*const f32>,
    lo: f32,
    hi: f32,
}

/// The taps of a window at `origin` (negative inside the padding) that are inside `size` cells.
fn inside(origin: isize, dilation: usize, taps: usize, size: usize) -> (usize, usize) {
    let (d, size) = (dilation as isize, size as isize);
    let first_at_least = |position: isize| (position.max(0) + d - 1) / d;
    let first = first_at_least(-origin);
    let end = first_at_least(size - origin).min(taps as isize);
    (first as usize, end.max(first) as usize)
}

#[inline(always)]
unsafe fn convolve<S: Simd>(a: &Args) {
    let g = &a.g;
    match (g.kernel[1], g.strides[1], g.dilations[1]) {
        (3, 1, 1) => run::<S, 3, 1, 4>(a),
        (3, 2, 1) => run::<S, 3, 2, 4>(a),
        (5, 1, 1) => run::<S, 5, 1, 4>(a),
        (5, 2, 1) => run::<S, 5, 2, 4>(a),
        _ => run_any::<S>(a),
    }
}

/// Rows of windows `K` wide, `P` cells at a time where that fits.
// On wasm a function of its own, as in `gemm`.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
unsafe fn run<S: Simd, const K: usize, const STRIDE: usize, const P: usize>(a: &Args) {
    let g = &a.g;
    // Cells whose windows are inside from left to right: `first..end`.
    let first = g.pads[1].div_ceil(STRIDE).min(g.output[1]);
    let end = match (g.input[1] + g.pads[1]).checked_sub(K) {
        Some(room) => (room / STRIDE + 1).clamp(first, g.output[1]),
        None => first,
    };
    let whole = g.channels / S::LANES * S::LANES;
    for oy in 0..g.output[0] {
        let top = (oy * g.strides[0]) as isize - g.pads[0] as isize;
        let rows = inside(top, g.dilations[0], g.kernel[0], g.input[0]);
        for ox in 0..first {
            border::<S>(a, oy, ox, 0, rows);
        }
        for channel in (0..whole).step_by(S::LANES) {
            let mut ox = first;
            while ox + P <= end {
                cells::<S, K, STRIDE, P>(a, oy, ox, channel, rows);
                ox += P;
            }
            if ox + 2 <= end {
                cells::<S, K, STRIDE, 2>(a, oy, ox, channel, rows);
                ox += 2;
            }
            while ox < end {
                cells::<S, K, STRIDE, 1>(a, oy, ox, channel, rows);
                ox += 1;
            }
        }
        if whole < g.channels {
            for ox in first..end {
                border::<S>(a, oy, ox, whole, rows);
            }
        }
        for ox in end..g.output[1] {
            border::<S>(a, oy, ox, 0, rows);
        }
    }
}

/// Any window, a cell at a time.
#[inline(always)]
unsafe fn run_any<S: Simd>(a: &Args) {
    let g = &a.g;
    for oy in 0..g.output[0] {
        let top = (oy * g.strides[0]) as isize - g.pads[0] as isize;
        let rows = inside(top, g.dilations[0], g.kernel[0], g.input[0]);
        for ox in 0..g.output[1] {
            border::<S>(a, oy, ox, 0, rows);
        }
    }
}

/// One cell, only the taps inside, from a channel on.
#[inline(always)]
unsafe fn border<S: Simd>(a: &Args, oy: usize, ox: usize, from: usize, rows: (usize, usize)) {
    let g = &a.g;
    let left = (ox * g.strides[1]) as isize - g.pads[1] as isize;
    let columns = inside(left, g.dilations[1], g.kernel[1], g.input[1]);
    for channel in (from..g.channels).step_by(S::LANES) {
        cell::<S>(a, oy, ox, channel, rows, columns);
    }
}

/// `P` neighbouring cells with whole windows, one full vector of channels.
#[inline(always)]
unsafe fn cells<S: Simd, const K: usize, const STRIDE: usize, const P: usize>(
    a: &Args,
    oy: usize,
    ox: usize,
    channel: usize,
    (ky0, ky1): (usize, usize),
) {
    let g = &a.g;
    let block = a.packed.add(channel * (g.kernel[0] * K + 1));
    let mut acc = [S::load(block); P];
    let left = ox * STRIDE - g.pads[1];
    for ky in ky0..ky1 {
        let iy = oy * g.strides[0] + ky * g.dilations[0] - g.pads[0];
        let row = a.x.add((iy * g.input[1] + left) * g.channels + channel);
        let mut w = [acc[0]; K];
        unroll!(kx in K => {
            w[kx] = S::load(block.add((1 + ky * K + kx) * S::LANES));
        });
        unroll!(column in (P - 1) * STRIDE + K => {
            let x = S::load(row.add(column * g.channels));
            unroll!(p in P => {
                if column >= p * STRIDE && column - p * STRIDE < K {
                    acc[p] = S::mul_add(x, w[column - p * STRIDE], acc[p]);
                }
            });
        });
    }
    unroll!(p in P => {
        finish::<S>(a, (oy * g.output[1] + ox + p) * g.channels + channel, acc[p], S::LANES);
    });
}

/// One cell, only the taps inside, one vector of channels.
#[inline(always)]
unsafe fn cell<S: Simd>(
    a: &Args,
    oy: usize,
    ox: usize,
    channel: usize,
    (ky0, ky1): (usize, usize),
    (kx0, kx1): (usize, usize),
) {
    let g = &a.g;
    let block = a.packed.add(channel * (g.kernel[0] * g.kernel[1] + 1));
    let mut acc = S::load(block);
    let lanes = (g.channels - channel).min(S::LANES);
    for ky in ky0..ky1 {
        let iy = oy * g.strides[0] + ky * g.dilations[0] - g.pads[0];
        for kx in kx0..kx1 {
            let ix = ox * g.strides[1] + kx * g.dilations[1] - g.pads[1];
            let x = load::<S>(a.x.add((iy * g.input[1] + ix) * g.channels + channel), lanes);
            let w = S::load(block.add((1 + ky * g.kernel[1] + kx) * S::LANES));
            acc = S::mul_add(x, w, acc);
        }
    }
    finish::<S>(a, (oy * g.output[1] + ox) * g.channels + channel, acc, lanes);
}

#[inline(always)]
unsafe fn load<S: Simd>(p: *const f32, lanes: usize) -> S::V {
    if lanes == S::LANES { S::load(p) } else { S::load_first(p, lanes) }
}

/// Residual, clamp and store.
#[inline(always)]
unsafe fn finish<S: Simd>(a: &Args, at: usize, mut acc: S::V, lanes: usize) {
    if let Some(r) = a.residual {
        acc = S::add(acc, load::<S>(r.add(at), lanes));
    }
    let y = S::clamp(acc, S::splat(a.lo), S::splat(a.hi));
    if lanes == S::LANES { S::store(a.y.add(at), y) } else { S::store_first(a.y.add(at), y, lanes) }
}
