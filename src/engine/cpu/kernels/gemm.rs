//! Dense products `y = clamp(x W^T + b + r)`: 1x1 convolutions, fully connected layers, and every other convolution
//! once its windows are gathered into rows.
//!
//! Activations are rows of channels. Weights are packed once into panels of one or two vectors of output channels,
//! each panel starting with its biases, so that the inner loop reads them front to back. A tile of a few rows by
//! one panel stays in registers over the whole of `K`; bias, residual and clamp are done on those registers.

use std::sync::Arc;

use super::bounds::{ensure, holds, product, room};
use super::isa::dispatch;
use super::pointer::{Sink, Source};
use super::simd::Simd;
use super::{Isa, blank, unroll, with_height};
use crate::engine::cpu::weights::WeightStore;
use crate::error::Result;

/// A packed weight matrix `[n, k]` with its bias.
pub(in super::super) struct Dense {
    isa: Isa,
    k: usize,
    n: usize,
    /// Panel by panel: the biases of its columns, then for each `k` the weights of its columns.
    panels: Arc<Vec<f32>>,
}

/// Rows of channels: `data[start + i * stride ..]` is row `i`.
#[derive(Clone, Copy)]
pub(in super::super) struct Rows {
    /// Where the first row starts.
    pub start: usize,
    /// From one row to the next.
    pub stride: usize,
}

/// Vectors in a panel; the last panel of a matrix has what is left.
pub(super) const PANEL: usize = 2;

impl Dense {
    /// Packs a row-major `[n, k]` weight, shared with whoever has packed the same.
    ///
    /// # Errors
    /// [`crate::Error::Engine`] if weight and bias are not of that size.
    pub(in super::super) fn pack(
        isa: Isa,
        store: &WeightStore,
        [n, k]: [usize; 2],
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self> {
        holds(weight.len(), &[n, k], "a weight")?;
        ensure(bias.len() == n, "a bias")?;
        let panels = filled(isa, Vec::new(), [n, k], bias, |o, i| weight[o * k + i])?;
        Ok(Self { isa, k, n, panels: store.floats(panels) })
    }

    /// A product with nothing, to be repacked.
    pub(in super::super) fn new(isa: Isa) -> Self {
        Self { isa, k: 0, n: 0, panels: Arc::default() }
    }

    /// Packs another row-major `[n, k]` weight into the same memory, without a bias; `[k, n]` if it is `transposed`.
    ///
    /// # Errors
    /// [`crate::Error::Engine`] if the weight is not of that size.
    pub(in super::super) fn repack(&mut self, [n, k]: [usize; 2], weight: &[f32], transposed: bool) -> Result<()> {
        holds(weight.len(), &[n, k], "a weight")?;
        // Memory that is shared stays with the others.
        let memory = Arc::get_mut(&mut self.panels).map(std::mem::take).unwrap_or_default();
        let panels = match transposed {
            true => filled(self.isa, memory, [n, k], &[], |o, i| weight[i * n + o])?,
            false => filled(self.isa, memory, [n, k], &[], |o, i| weight[o * k + i])?,
        };
        match Arc::get_mut(&mut self.panels) {
            Some(own) => *own = panels,
            None => self.panels = Arc::new(panels),
        }
        (self.n, self.k) = (n, k);
        Ok(())
    }

    /// `[n, k]`.
    pub(in super::super) fn size(&self) -> [usize; 2] {
        [self.n, self.k]
    }

    /// Multiplies `m` rows of `x` (of `k` floats each) into rows of `y` (of `n` floats each).
    ///
    /// `residual`, if given, has the layout of `y` and is added before the result is clamped to `[lo, hi]`.
    ///
    /// # Errors
    /// [`crate::Error::Engine`] if the rows are not inside their slices.
    #[allow(clippy::too_many_arguments)]
    pub(in super::super) fn apply(
        &self,
        m: usize,
        x: &[f32],
        x_rows: Rows,
        y: &mut [f32],
        y_rows: Rows,
        residual: Option<&[f32]>,
        [lo, hi]: [f32; 2],
    ) -> Result<()> {
        if m == 0 || self.n == 0 {
            return Ok(());
        }
        x_rows.are_inside(m, self.k, x.len(), "the input of a product")?;
        y_rows.are_inside(m, self.n, y.len(), "the output of a product")?;
        ensure(residual.is_none_or(|r| r.len() == y.len()), "the residual of a product")?;
        let padded = self.n.div_ceil(self.isa.lanes());
        let panels = self.k.checked_add(1).and_then(|rows| product(&[rows, padded, self.isa.lanes()]));
        ensure(panels == Some(self.panels.len()), "a packed weight")?;
        let args = Args {
            m,
            k: self.k,
            n: self.n,
            x: Source::new(&x[x_rows.start..]),
            x_stride: x_rows.stride,
            panels: Source::new(&self.panels),
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

/// The panels of a weight, in the memory of others.
#[inline(always)]
fn filled(
    isa: Isa,
    mut panels: Vec<f32>,
    [n, k]: [usize; 2],
    bias: &[f32],
    weight: impl Fn(usize, usize) -> f32,
) -> Result<Vec<f32>> {
    let lanes = isa.lanes();
    panels.clear();
    let sizes = [k.saturating_add(1), n.div_ceil(lanes), lanes];
    if product(&sizes).is_none_or(|len| len > panels.capacity()) {
        panels = room(&sizes, "a packed weight")?;
    }
    let mut first = 0;
    while first < n {
        let width = (n - first).div_ceil(lanes).min(PANEL) * lanes;
        let columns = first..first + width;
        panels.extend(columns.clone().map(|o| bias.get(o).copied().unwrap_or(0.0)));
        for i in 0..k {
            panels.extend(columns.clone().map(|o| if o < n { weight(o, i) } else { 0.0 }));
        }
        first += width;
    }
    Ok(panels)
}

/// One product. The kernels rely on this: `x` holds `m` rows of `k` floats, `y` and `residual` `m` rows of `n`, the
/// rows of each `stride` apart; `panels` holds `(k + 1) LANES` floats for each vector of columns, the last one filled
/// up; and no index into these wraps.
struct Args {
    m: usize,
    k: usize,
    n: usize,
    x: Source<f32>,
    x_stride: usize,
    panels: Source<f32>,
    y: Sink<f32>,
    y_stride: usize,
    residual: Option<Source<f32>>,
    lo: f32,
    hi: f32,
}

/// Rows whose piece of `DEPTH` values stays in the second-level cache while all panels pass by.
const BLOCK: usize = 192;
/// Values of `k` at a time, so that a piece of a panel stays in the first-level cache while the rows of a block pass by.
/// In between, the sums lie in the output, in which nothing is lost: results do not depend on it.
const DEPTH: usize = 384;

/// Steps of a tile in one turn of its loop. On wasm one: the compiler orders what lies between two branches as
/// expressions, sum by sum, so that several steps become chains of additions whose operands do not fit the registers.
pub(super) const STEPS: usize = if cfg!(target_arch = "wasm32") { 1 } else { 4 };

/// A piece of `k`.
#[derive(Clone, Copy)]
struct Piece {
    start: usize,
    len: usize,
    /// Whether sums start with the bias, and whether they end with residual and clamp.
    first: bool,
    last: bool,
}

/// # Safety
/// `g` must be as [`Args`] says.
#[inline(always)]
unsafe fn multiply<S: Simd>(s: S, g: &Args) {
    // Pieces of nearly equal length, of whole steps of four.
    let pieces = g.k.div_ceil(DEPTH).max(1);
    let depth = g.k.div_ceil(pieces).next_multiple_of(4).max(1);
    let blocks = g.m.div_ceil(BLOCK);
    let mut row = 0;
    for block in 0..blocks {
        let rows = (g.m - row).div_ceil(blocks - block);
        let mut start = 0;
        loop {
            let len = (g.k - start).min(depth);
            let piece = Piece { start, len, first: start == 0, last: start + len == g.k };
            // SAFETY: the caller's; `rows` rows are left, and the piece is one of `k`.
            unsafe { pass(s, g, piece, row, rows) };
            start += len;
            if piece.last {
                break;
            }
        }
        row += rows;
    }
}

/// A block of rows by all panels, over a piece of `k`.
///
/// # Safety
/// `g` must be as [`Args`] says, `row..row + rows` rows of it, and `piece` inside `k`.
#[inline(always)]
unsafe fn pass<S: Simd>(s: S, g: &Args, piece: Piece, row: usize, rows: usize) {
    let mut panel = g.panels;
    let mut column = 0;
    while column < g.n {
        let vectors = (g.n - column).div_ceil(S::LANES).min(PANEL);
        // Tiles of nearly equal height: a last tile of one row would cost half as much as a full one.
        let tiles = rows.div_ceil(S::ROWS);
        let mut done = 0;
        for t in 0..tiles {
            let height = (rows - done).div_ceil(tiles - t);
            // SAFETY: the caller's; `height` rows of the block are left, and the panel is of so many vectors.
            unsafe {
                match vectors {
                    1 => with_height!(S::ROWS, height, R => tile::<S, R, 1>(s, g, piece, panel, row + done, column)),
                    _ => {
                        with_height!(S::ROWS, height, R => tile::<S, R, PANEL>(s, g, piece, panel, row + done, column))
                    }
                }
            }
            done += height;
        }
        // SAFETY: the next panel, or the end of the last.
        panel = unsafe { panel.add((g.k + 1) * vectors * S::LANES) };
        column += vectors * S::LANES;
    }
}

/// `R` rows by one panel of `N` vectors, over a piece of `k`.
///
/// # Safety
/// `g` must be as [`Args`] says, `row..row + R` rows of it, `panel` the panel of the `N` vectors from `column` on, and
/// `piece` inside `k`.
// On wasm a function of its own: the engine's compiler allocates registers badly in one with a dozen loops. Elsewhere
// inlined, to be compiled with the caller's instruction set.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
#[allow(clippy::needless_range_loop)] // Fixed-size register arrays, indexed together.
unsafe fn tile<S: Simd, const R: usize, const N: usize>(
    s: S,
    g: &Args,
    piece: Piece,
    panel: Source<f32>,
    row: usize,
    column: usize,
) {
    let mut acc = blank!([[S::V; N]; R]);
    unroll!(j in N => {
        // SAFETY: a panel begins with `N` vectors of biases.
        let bias = unsafe { s.load(panel.add(j * S::LANES)) };
        unroll!(i in R => {
            acc[i][j] = bias;
        });
    });
    if !piece.first {
        unroll!(i in R => {
            unroll!(j in N => {
                let at = (row + i) * g.y_stride + column + j * S::LANES;
                // SAFETY: as many of the row's `n` columns are left at `at`.
                acc[i][j] = unsafe { load(s, g.y.source().add(at), g.n - column - j * S::LANES) };
            });
        });
    }
    // SAFETY: behind the biases are `k` times `N` vectors of weights.
    let mut w = unsafe { panel.add((1 + piece.start) * N * S::LANES) };
    let mut x = blank!([Source<f32>; R]);
    unroll!(i in R => {
        // SAFETY: one of the `m` rows, and the piece's place in it.
        x[i] = unsafe { g.x.add((row + i) * g.x_stride + piece.start) };
    });
    for _ in 0..piece.len / STEPS {
        unroll!(u in STEPS => {
            // SAFETY: so many more of the piece are left, in the rows and in the panel.
            unsafe { step(s, &mut acc, &x, u, w.add(u * N * S::LANES)) };
        });
        unroll!(i in R => {
            // SAFETY: as above.
            x[i] = unsafe { x[i].add(STEPS) };
        });
        // SAFETY: as above.
        w = unsafe { w.add(STEPS * N * S::LANES) };
    }
    #[allow(clippy::modulo_one, reason = "STEPS is 1 in the page's build")]
    for u in 0..piece.len % STEPS {
        // SAFETY: these are what is left of the piece.
        unsafe { step(s, &mut acc, &x, u, w.add(u * N * S::LANES)) };
    }

    let (lo, hi) = (s.splat(g.lo), s.splat(g.hi));
    unroll!(i in R => {
        unroll!(j in N => {
            let at = (row + i) * g.y_stride + column + j * S::LANES;
            let left = g.n - column - j * S::LANES;
            let mut y = acc[i][j];
            if piece.last {
                if let Some(r) = g.residual {
                    // SAFETY: `left` of the row's `n` columns are left at `at`.
                    y = s.add(y, unsafe { load(s, r.add(at), left) });
                }
                y = s.clamp(y, lo, hi);
            }
            // SAFETY: as above.
            unsafe { if left >= S::LANES { s.store(g.y.add(at), y) } else { s.store_first(g.y.add(at), y, left) } }
        });
    });
}

/// A vector, or as much of it as is left.
///
/// # Safety
/// `left` floats must be left at `p`.
#[inline(always)]
unsafe fn load<S: Simd>(s: S, p: Source<f32>, left: usize) -> S::V {
    // SAFETY: the caller's.
    unsafe { if left >= S::LANES { s.load(p) } else { s.load_first(p, left) } }
}

/// One `k`: `acc[i][j] += x[i][u] * w[j]`.
///
/// # Safety
/// More than `u` floats must be left at each `x`, and `N` vectors at `w`.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Fixed-size register arrays, indexed together.
unsafe fn step<S: Simd, const R: usize, const N: usize>(
    s: S,
    acc: &mut [[S::V; N]; R],
    x: &[Source<f32>; R],
    u: usize,
    w: Source<f32>,
) {
    let mut weights = blank!([S::V; N]);
    unroll!(j in N => {
        // SAFETY: the caller's.
        weights[j] = unsafe { s.load(w.add(j * S::LANES)) };
    });
    unroll!(i in R => {
        // SAFETY: the caller's.
        let xi = s.splat(unsafe { x[i].get(u) });
        unroll!(j in N => {
            acc[i][j] = s.mul_add(xi, weights[j], acc[i][j]);
        });
    });
}
