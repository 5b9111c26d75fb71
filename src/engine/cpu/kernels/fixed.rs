//! Dense products with int8 weights in 16-bit arithmetic.
//!
//! Each row of activations is scaled to the largest 16-bit integers that cannot overflow a 32-bit sum and rounded:
//! 15 bits and a sign relative to the row's largest value, where f32 has 24 bits relative to each value. The
//! int8 weights are exact. One instruction then does two multiplications a lane, twice what f32 does; the sum is an
//! exact integer, and row scale, column scale, bias, residual and clamp are applied to it once, in f32.

use std::sync::Arc;

use super::bounds::{ensure, grow, holds, room};
use super::gemm::{PANEL, Rows, STEPS};
use super::isa::dispatch;
use super::pointer::{Sink, Source};
use super::simd::Simd;
use super::{Isa, blank, unroll, with_height};
use crate::engine::cpu::weights::WeightStore;
use crate::error::Result;

/// A packed int8 weight matrix `[n, k]` with its scales and bias.
pub(in super::super) struct Fixed {
    isa: Isa,
    k: usize,
    n: usize,
    /// The integer that stands for the largest activation of a row.
    range: f32,
    /// Panel by panel: the biases of its columns, then their scales.
    columns: Arc<Vec<f32>>,
    /// Panel by panel: for each two `k` the two weights of each of its columns.
    pairs: Arc<Vec<i16>>,
}

/// Memory for quantized rows.
#[derive(Default)]
pub(in super::super) struct Quantized {
    rows: Vec<i16>,
    scales: Vec<f32>,
}

/// Rows of a tile, at most six: what fits into the registers. V8 keeps one to itself and takes one for products.
const TILE: usize = if cfg!(target_arch = "wasm32") { 4 } else { 6 };
/// Integers quantized at a time.
const EIGHT: usize = 8;
/// Rows that are quantized, then multiplied with all panels.
const BLOCK: usize = 48;

impl Fixed {
    /// Packs a row-major `[n, k]` weight `weight[o, i] * scales[o]`, shared with whoever has packed the same.
    ///
    /// # Errors
    /// [`crate::Error::Engine`] if weight, scales and bias are not of that size.
    pub(in super::super) fn pack(
        isa: Isa,
        store: &WeightStore,
        [n, k]: [usize; 2],
        weight: &[i8],
        scales: &[f32],
        bias: &[f32],
    ) -> Result<Self> {
        holds(weight.len(), &[n, k], "a weight")?;
        ensure(bias.len() == n && scales.len() == n, "the bias of a weight, or its scales")?;
        let lanes = isa.lanes();
        let mut columns = room(&[2, n.div_ceil(lanes), lanes], "packed scales")?;
        let mut pairs = room(&[2, k.div_ceil(2), n.div_ceil(lanes), lanes], "a packed weight")?;
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
        let sum = |row: &[i8]| row.iter().map(|&w| u64::from(w.unsigned_abs())).sum::<u64>();
        let largest = weight.chunks_exact(k.max(1)).map(sum).max().unwrap_or(0);
        let range = (i32::MAX as u64 / largest.max(1)).min(i16::MAX as u64) as f32;
        Ok(Self { isa, k, n, range, columns: store.floats(columns), pairs: store.shorts(pairs) })
    }

    /// Whether 16 bits are left for the activations, as [`Fixed`] promises; not so for rows of many thousand large
    /// weights.
    pub(in super::super) fn is_precise(&self) -> bool {
        self.range >= 8192.0
    }

    /// Makes room for the rows that [`Fixed::apply`] quantizes.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`] if the machine has no such room.
    pub(in super::super) fn reserve(&self, quantized: &mut Quantized) -> Result<()> {
        grow(&mut quantized.rows, &[BLOCK, self.stride()], "quantized rows")?;
        grow(&mut quantized.scales, &[BLOCK], "the scales of quantized rows")
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
        x_rows.are_inside(m, self.k, x.len(), "the input of a product")?;
        y_rows.are_inside(m, self.n, y.len(), "the output of a product")?;
        ensure(residual.is_none_or(|r| r.len() == y.len()), "the residual of a product")?;
        let room = quantized.rows.len() >= BLOCK * self.stride() && quantized.scales.len() >= BLOCK;
        ensure(room, "the memory for quantized rows")?;
        let padded = self.n.next_multiple_of(self.isa.lanes());
        holds(self.columns.len(), &[2, padded], "packed scales")?;
        holds(self.pairs.len(), &[2, self.k.div_ceil(2), padded], "a packed weight")?;
        let args = Args {
            m,
            k: self.k,
            n: self.n,
            range: self.range,
            x: Source::new(&x[x_rows.start..]),
            x_stride: x_rows.stride,
            rows: Sink::new(&mut quantized.rows),
            stride: self.stride(),
            scales: Sink::new(&mut quantized.scales),
            columns: Source::new(&self.columns),
            pairs: Source::new(&self.pairs),
            residual: residual.map(|r| Source::new(&r[y_rows.start..])),
            y: Sink::new(&mut y[y_rows.start..]),
            y_stride: y_rows.stride,
            lo,
            hi,
        };
        let kernel = dispatch!(self.isa, multiply, &Args);
        // SAFETY: `args` is as its type says, by the checks above.
        unsafe { kernel(&args) };
        Ok(())
    }
}

/// One product. The kernels rely on this: `x` holds `m` rows of `k` floats, `y` and `residual` `m` rows of `n`, the
/// rows of each `stride` apart; `rows` and `scales` have room for `BLOCK` quantized rows of `stride` integers, which is
/// `k` rounded up to eight; for each vector of columns, the last one filled up, `columns` holds `2 LANES` floats and
/// `pairs` `2 LANES` integers for each two of `k`; and no index into these wraps.
struct Args {
    m: usize,
    k: usize,
    n: usize,
    range: f32,
    x: Source<f32>,
    x_stride: usize,
    rows: Sink<i16>,
    stride: usize,
    scales: Sink<f32>,
    columns: Source<f32>,
    pairs: Source<i16>,
    y: Sink<f32>,
    y_stride: usize,
    residual: Option<Source<f32>>,
    lo: f32,
    hi: f32,
}

/// # Safety
/// `g` must be as [`Args`] says.
#[inline(always)]
unsafe fn multiply<S: Simd>(s: S, g: &Args) {
    let mut row = 0;
    while row < g.m {
        let rows = (g.m - row).min(BLOCK);
        for i in 0..rows {
            // SAFETY: one of the `m` rows, into one of the block.
            unsafe { quantize(s, g, row + i, i) };
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
                // SAFETY: `height` quantized rows of the block are left, and the panel is of so many vectors.
                unsafe {
                    match vectors {
                        1 => with_height!(TILE, height, R => tile::<S, R, 1>(s, g, &at)),
                        _ => with_height!(TILE, height, R => tile::<S, R, PANEL>(s, g, &at)),
                    }
                }
                done += height;
            }
            // SAFETY: the next panel, or the end of the last.
            columns = unsafe { columns.add(2 * vectors * S::LANES) };
            // SAFETY: as above.
            pairs = unsafe { pairs.add(2 * g.k.div_ceil(2) * vectors * S::LANES) };
            column += vectors * S::LANES;
        }
        row += rows;
    }
}

/// Row `from` of the input as integers, into row `to` of the block.
///
/// # Safety
/// `g` must be as [`Args`] says, `from` below `m` and `to` below `BLOCK`.
#[inline(always)]
unsafe fn quantize<S: Simd>(s: S, g: &Args, from: usize, to: usize) {
    // SAFETY: a row of `k` floats, and one of `stride` integers.
    let (x, q) = unsafe { (g.x.add(from * g.x_stride), g.rows.add(to * g.stride)) };
    let mut lanes = [s.splat(0.0); 2];
    let mut i = 0;
    while i + 2 * S::LANES <= g.k {
        // SAFETY: two vectors are left of the row.
        let (a, b) = unsafe { (s.load(x.add(i)), s.load(x.add(i + S::LANES))) };
        lanes[0] = s.max_abs(lanes[0], a);
        lanes[1] = s.max_abs(lanes[1], b);
        i += 2 * S::LANES;
    }
    let mut spread = [0.0f32; 32];
    let to_spread = Sink::new(&mut spread);
    // SAFETY: no register has more than 16 lanes.
    unsafe {
        s.store(to_spread, lanes[0]);
        s.store(to_spread.add(S::LANES), lanes[1]);
    }
    let mut largest = 0.0f32;
    for v in &spread[..2 * S::LANES] {
        largest = largest.max(*v);
    }
    while i < g.k {
        // SAFETY: a value of the row.
        largest = largest.max(unsafe { x.get(i) }.abs());
        i += 1;
    }
    // Smaller rows are zero: their scale would overflow.
    let scale = if largest > 1e-30 { g.range / largest } else { 0.0 };
    // SAFETY: one scale for each row of the block.
    unsafe { g.scales.set(to, largest / g.range) };
    let v = s.splat(scale);
    let mut i = 0;
    while i + EIGHT <= g.k {
        // SAFETY: eight are left of both rows.
        unsafe { s.quantize8(x.add(i), v, q.add(i)) };
        i += EIGHT;
    }
    while i < g.k {
        // SAFETY: a value of both rows.
        unsafe { q.set(i, (x.get(i) * scale).round_ties_even() as i16) };
        i += 1;
    }
    // The second of a last pair.
    while i < g.stride {
        // SAFETY: the row has `stride` integers.
        unsafe { q.set(i, 0) };
        i += 1;
    }
}

/// Where a tile is: its panel, the first row of its block and its first row in that, its first column.
struct At {
    columns: Source<f32>,
    pairs: Source<i16>,
    block: usize,
    row: usize,
    column: usize,
}

/// `R` rows by one panel of `N` vectors.
///
/// # Safety
/// `g` must be as [`Args`] says, the `R` rows from `at.row` on quantized, `at.block + at.row` the first of them in `y`,
/// and the panel that of the `N` vectors from `at.column` on.
// On wasm a function of its own, as in `gemm`.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
#[allow(clippy::needless_range_loop)] // Fixed-size register arrays, indexed together.
unsafe fn tile<S: Simd, const R: usize, const N: usize>(s: S, g: &Args, at: &At) {
    let mut acc = blank!([[S::I; N]; R]);
    let mut w = at.pairs;
    let mut x = blank!([Source<i16>; R]);
    unroll!(i in R => {
        // SAFETY: one of the quantized rows.
        x[i] = unsafe { g.rows.source().add((at.row + i) * g.stride) };
    });
    let pairs = g.k.div_ceil(2);
    for _ in 0..pairs / STEPS {
        unroll!(u in STEPS => {
            // SAFETY: so many more pairs are left, in the rows and in the panel.
            unsafe { step(s, &mut acc, &x, u, w.add(u * 2 * N * S::LANES)) };
        });
        unroll!(i in R => {
            // SAFETY: as above.
            x[i] = unsafe { x[i].add(2 * STEPS) };
        });
        // SAFETY: as above.
        w = unsafe { w.add(2 * STEPS * N * S::LANES) };
    }
    #[allow(clippy::modulo_one, reason = "STEPS is 1 in the page's build")]
    for u in 0..pairs % STEPS {
        // SAFETY: these are the pairs that are left.
        unsafe { step(s, &mut acc, &x, u, w.add(u * 2 * N * S::LANES)) };
    }

    let (lo, hi) = (s.splat(g.lo), s.splat(g.hi));
    unroll!(i in R => {
        // SAFETY: each quantized row has a scale.
        let scale = s.splat(unsafe { g.scales.source().get(at.row + i) });
        unroll!(j in N => {
            // SAFETY: a panel has `N` vectors of biases, then as many of scales.
            let (bias, own) = unsafe {
                (s.load(at.columns.add(j * S::LANES)), s.load(at.columns.add((N + j) * S::LANES)))
            };
            let mut y = s.mul_add(s.to_float(acc[i][j]), s.mul(scale, own), bias);
            let to = (at.block + at.row + i) * g.y_stride + at.column + j * S::LANES;
            let left = g.n - at.column - j * S::LANES;
            // SAFETY: `left` of the row's `n` columns are left at `to`, in `y` and in the residual.
            unsafe {
                if left >= S::LANES {
                    if let Some(r) = g.residual {
                        y = s.add(y, s.load(r.add(to)));
                    }
                    s.store(g.y.add(to), s.clamp(y, lo, hi));
                } else {
                    if let Some(r) = g.residual {
                        y = s.add(y, s.load_first(r.add(to), left));
                    }
                    s.store_first(g.y.add(to), s.clamp(y, lo, hi), left);
                }
            }
        });
    });
}

/// Two `k`: `acc[i][j] += x[i][2u] * w[j] + x[i][2u + 1] * w'[j]`.
///
/// # Safety
/// More than `u` pairs must be left at each `x`, and `N` vectors of pairs at `w`.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Fixed-size register arrays, indexed together.
unsafe fn step<S: Simd, const R: usize, const N: usize>(
    s: S,
    acc: &mut [[S::I; N]; R],
    x: &[Source<i16>; R],
    u: usize,
    w: Source<i16>,
) {
    let mut weights = blank!([S::I; N]);
    unroll!(j in N => {
        // SAFETY: the caller's.
        weights[j] = unsafe { s.load_pairs(w.add(2 * j * S::LANES)) };
    });
    unroll!(i in R => {
        // SAFETY: the caller's.
        let xi = unsafe { s.splat_pair(x[i].add(2 * u)) };
        unroll!(j in N => {
            acc[i][j] = s.dot(xi, weights[j], acc[i][j]);
        });
    });
}
