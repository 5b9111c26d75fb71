//! Dense products with int8 weights in 16-bit arithmetic.
//!
//! Each row of activations is scaled to the largest 16-bit integers that cannot overflow a 32-bit sum and rounded:
//! 15 bits and a sign relative to the row's largest value, where f32 has 24 bits relative to each value. The
//! int8 weights are exact. One instruction then does two multiplications a lane, twice what f32 does; the sum is an
//! exact integer, and row scale, column scale, bias, residual and clamp are applied to it once, in f32.
#![allow(unsafe_op_in_unsafe_fn)] // The kernels are unsafe throughout; `Fixed::apply` checks what they rely on.
#![allow(clippy::needless_range_loop)] // Fixed-size register arrays, indexed together.

use super::gemm::{PANEL, Rows, TILE};
use super::simd::Simd;
use super::{Isa, dispatch, ensure, unroll, with_height};
use crate::error::Result;

/// A packed int8 weight matrix `[n, k]` with its scales and bias.
pub(in super::super) struct Fixed {
    isa: Isa,
    k: usize,
    n: usize,
    /// The integer that stands for the largest activation of a row.
    range: f32,
    /// Panel by panel: the biases of its columns, then their scales.
    columns: Vec<f32>,
    /// Panel by panel: for each two `k` the two weights of each of its columns.
    pairs: Vec<i16>,
}

/// Memory for quantized rows.
#[derive(Default)]
pub(in super::super) struct Quantized {
    rows: Vec<i16>,
    scales: Vec<f32>,
}

/// Integers quantized at a time.
const EIGHT: usize = 8;
/// Rows that are quantized, then multiplied with all panels.
const BLOCK: usize = 48;

impl Fixed {
    /// Packs a row-major `[n, k]` weight `weight[o, i] * scales[o]`.
    pub(in super::super) fn pack(
        isa: Isa,
        [n, k]: [usize; 2],
        weight: &[i8],
        scales: &[f32],
        bias: &[f32],
    ) -> Result<Self> {
        ensure(weight.len() == n * k && bias.len() == n && scales.len() == n, "a weight")?;
        let lanes = isa.lanes();
        let padded = n.div_ceil(lanes) * lanes;
        let (mut columns, mut pairs) = (Vec::with_capacity(2 * padded), Vec::with_capacity(padded * (k + 1)));
        let mut first = 0;
        while first < n {
            let width = (n - first).div_ceil(lanes).min(PANEL) * lanes;
            let panel = first..first + width;
            columns.extend(panel.clone().map(|o| bias.get(o).copied().unwrap_or(0.0)));
            columns.extend(panel.clone().map(|o| scales.get(o).copied().unwrap_or(0.0)));
            for i in (0..k).step_by(2) {
                let at = |o: usize, i: usize| if o < n && i < k { i16::from(weight[o * k + i]) } else { 0 };
                pairs.extend(panel.clone().flat_map(|o| [at(o, i), at(o, i + 1)]));
            }
            first += width;
        }
        // No sum of products, in whatever order, leaves 32 bits.
        let sum = |row: &[i8]| row.iter().map(|&w| i32::from(w).unsigned_abs()).sum::<u32>();
        let largest = weight.chunks_exact(k.max(1)).map(sum).max().unwrap_or(0);
        let range = (i32::MAX as u32 / largest.max(1)).min(i16::MAX as u32) as f32;
        Ok(Self { isa, k, n, range, columns, pairs })
    }

    /// Whether 16 bits are left for the activations, as [`Fixed`] promises; not so for rows of many thousand large weights.
    pub(in super::super) fn is_precise(&self) -> bool {
        self.range >= 8192.0
    }

    /// Makes room for the rows that [`Fixed::apply`] quantizes.
    pub(in super::super) fn reserve(&self, quantized: &mut Quantized) {
        let rows = quantized.rows.len().max(BLOCK * self.stride());
        quantized.rows.resize(rows, 0);
        quantized.scales.resize(BLOCK, 0.0);
    }

    /// `[n, k]`.
    pub(in super::super) fn size(&self) -> [usize; 2] {
        [self.n, self.k]
    }

    /// From one quantized row to the next.
    fn stride(&self) -> usize {
        self.k.next_multiple_of(EIGHT)
    }

    /// See [`super::Dense::apply`]; `quantized` is room made by [`Fixed::reserve`].
    #[allow(clippy::too_many_arguments)]
    pub(in super::super) fn apply(
        &self,
        m: usize,
        x: &[f32],
        x_rows: Rows,
        y: &mut [f32],
        y_rows: Rows,
        residual: Option<&[f32]>,
        quantized: &mut Quantized,
        [lo, hi]: [f32; 2],
    ) -> Result<()> {
        if m == 0 || self.n == 0 {
            return Ok(());
        }
        ensure(x_rows.start + (m - 1) * x_rows.stride + self.k <= x.len(), "the input of a product")?;
        ensure(y_rows.start + (m - 1) * y_rows.stride + self.n <= y.len(), "the output of a product")?;
        ensure(residual.is_none_or(|r| r.len() == y.len()), "the residual of a product")?;
        let room = quantized.rows.len() >= BLOCK * self.stride() && quantized.scales.len() >= BLOCK;
        ensure(room, "the memory for quantized rows")?;
        let args = Args {
            m,
            k: self.k,
            n: self.n,
            range: self.range,
            // SAFETY: the first row is inside, by the checks above.
            x: unsafe { x.as_ptr().add(x_rows.start) },
            x_stride: x_rows.stride,
            rows: quantized.rows.as_mut_ptr(),
            stride: self.stride(),
            scales: quantized.scales.as_mut_ptr(),
            columns: self.columns.as_ptr(),
            pairs: self.pairs.as_ptr(),
            // SAFETY: as for `x`.
            y: unsafe { y.as_mut_ptr().add(y_rows.start) },
            y_stride: y_rows.stride,
            // SAFETY: as for `y`, whose size the residual has.
            residual: residual.map(|r| unsafe { r.as_ptr().add(y_rows.start) }),
            lo,
            hi,
        };
        let kernel = dispatch!(self.isa, product, &Args);
        // SAFETY: `isa` was detected, and all rows, panels and quantized rows that `args` spans are inside their slices:
        // the checks above and `pack`.
        unsafe { kernel(&args) };
        Ok(())
    }
}

/// One product, as pointers that [`Fixed::apply`] has checked.
struct Args {
    m: usize,
    k: usize,
    n: usize,
    range: f32,
    x: *const f32,
    x_stride: usize,
    rows: *mut i16,
    stride: usize,
    scales: *mut f32,
    columns: *const f32,
    pairs: *const i16,
    y: *mut f32,
    y_stride: usize,
    residual: Option<*const f32>,
    lo: f32,
    hi: f32,
}

#[inline(always)]
unsafe fn product<S: Simd>(g: &Args) {
    let mut row = 0;
    while row < g.m {
        let rows = (g.m - row).min(BLOCK);
        for i in 0..rows {
            quantize::<S>(g, row + i, i);
        }
        let (mut columns, mut pairs) = (g.columns, g.pairs);
        let mut column = 0;
        while column < g.n {
            let vectors = (g.n - column).div_ceil(S::LANES).min(PANEL);
            let tiles = rows.div_ceil(TILE);
            let mut done = 0;
            for t in 0..tiles {
                let height = (rows - done).div_ceil(tiles - t);
                let at = At { columns, pairs, block: row, row: done, column };
                match vectors {
                    1 => with_height!(height, R => tile::<S, R, 1>(g, &at)),
                    _ => with_height!(height, R => tile::<S, R, PANEL>(g, &at)),
                }
                done += height;
            }
            columns = columns.add(2 * vectors * S::LANES);
            pairs = pairs.add(2 * g.k.div_ceil(2) * vectors * S::LANES);
            column += vectors * S::LANES;
        }
        row += rows;
    }
}

/// Row `from` of the input as integers, into row `to` of the block.
#[inline(always)]
unsafe fn quantize<S: Simd>(g: &Args, from: usize, to: usize) {
    let x = g.x.add(from * g.x_stride);
    let q = g.rows.add(to * g.stride);
    let mut lanes = [S::splat(0.0); 2];
    let mut i = 0;
    while i + 2 * S::LANES <= g.k {
        lanes[0] = S::max_abs(lanes[0], S::load(x.add(i)));
        lanes[1] = S::max_abs(lanes[1], S::load(x.add(i + S::LANES)));
        i += 2 * S::LANES;
    }
    let mut spread = [0.0f32; 32];
    S::store(spread.as_mut_ptr(), lanes[0]);
    S::store(spread.as_mut_ptr().add(S::LANES), lanes[1]);
    let mut largest = 0.0f32;
    for v in &spread[..2 * S::LANES] {
        largest = largest.max(*v);
    }
    while i < g.k {
        largest = largest.max((*x.add(i)).abs());
        i += 1;
    }
    // Smaller rows are zero: their scale would overflow.
    let scale = if largest > 1e-30 { g.range / largest } else { 0.0 };
    *g.scales.add(to) = largest / g.range;
    let v = S::splat(scale);
    let mut i = 0;
    while i + EIGHT <= g.k {
        S::quantize8(x.add(i), v, q.add(i));
        i += EIGHT;
    }
    while i < g.k {
        *q.add(i) = (*x.add(i) * scale).round_ties_even() as i16;
        i += 1;
    }
    // The second of a last pair.
    while i < g.stride {
        *q.add(i) = 0;
        i += 1;
    }
}

/// Where a tile is: its panel, the first row of its block and its first row in that, its first column.
struct At {
    columns: *const f32,
    pairs: *const i16,
    block: usize,
    row: usize,
    column: usize,
}

/// `R` rows by one panel of `N` vectors.
// On wasm a function of its own, as in `gemm`.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
unsafe fn tile<S: Simd, const R: usize, const N: usize>(g: &Args, at: &At) {
    let mut acc = [[S::zero(); N]; R];
    let mut w = at.pairs;
    let mut x = [g.rows.cast_const(); R];
    unroll!(i in R => {
        x[i] = x[i].add((at.row + i) * g.stride);
    });
    let pairs = g.k.div_ceil(2);
    for _ in 0..pairs / 4 {
        unroll!(u in 4 => {
            step::<S, R, N>(&mut acc, &x, u, w.add(u * 2 * N * S::LANES));
        });
        unroll!(i in R => {
            x[i] = x[i].add(8);
        });
        w = w.add(8 * N * S::LANES);
    }
    for u in 0..pairs % 4 {
        step::<S, R, N>(&mut acc, &x, u, w.add(u * 2 * N * S::LANES));
    }

    let (lo, hi) = (S::splat(g.lo), S::splat(g.hi));
    unroll!(i in R => {
        let scale = S::splat(*g.scales.add(at.row + i));
        unroll!(j in N => {
            let bias = S::load(at.columns.add(j * S::LANES));
            let scale = S::mul(scale, S::load(at.columns.add((N + j) * S::LANES)));
            let mut y = S::mul_add(S::to_float(acc[i][j]), scale, bias);
            let to = (at.block + at.row + i) * g.y_stride + at.column + j * S::LANES;
            let left = g.n - at.column - j * S::LANES;
            if left >= S::LANES {
                if let Some(r) = g.residual {
                    y = S::add(y, S::load(r.add(to)));
                }
                S::store(g.y.add(to), S::clamp(y, lo, hi));
            } else {
                if let Some(r) = g.residual {
                    y = S::add(y, S::load_first(r.add(to), left));
                }
                S::store_first(g.y.add(to), S::clamp(y, lo, hi), left);
            }
        });
    });
}

/// Two `k`: `acc[i][j] += x[i][2u] * w[j] + x[i][2u + 1] * w'[j]`.
#[inline(always)]
unsafe fn step<S: Simd, const R: usize, const N: usize>(
    acc: &mut [[S::I; N]; R],
    x: &[*const i16; R],
    u: usize,
    w: *const i16,
) {
    let mut weights = [S::zero(); N];
    unroll!(j in N => {
        weights[j] = S::load_pairs(w.add(2 * j * S::LANES));
    });
    unroll!(i in R => {
        let xi = S::splat_pair(x[i].add(2 * u));
        unroll!(j in N => {
            acc[i][j] = S::dot(xi, weights[j], acc[i][j]);
        });
    });
}
