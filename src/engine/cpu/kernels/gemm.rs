//! Dense products `y = clamp(x W^T + b + r)`: 1x1 convolutions, fully connected layers, and every other convolution
//! once its windows are gathered into rows.
//!
//! Activations are rows of channels. Weights are packed once into panels of one or two vectors of output channels,
//! each panel starting with its biases, so that the inner loop reads them front to back. A tile of a few rows by
//! one panel stays in registers over the whole of `K`; bias, residual and clamp are done on those registers.
#![allow(unsafe_op_in_unsafe_fn)] // The kernels are unsafe throughout; `Dense::apply` checks what they rely on.
#![allow(clippy::needless_range_loop)] // Fixed-size register arrays, indexed together.

use super::simd::Simd;
use super::{Isa, dispatch, ensure, unroll, with_height};
use crate::error::Result;

/// A packed weight matrix `[n, k]` with its bias.
pub(in super::super) struct Dense {
    isa: Isa,
    k: usize,
    n: usize,
    /// Panel by panel: the biases of its columns, then for each `k` the weights of its columns.
    panels: Vec<f32>,
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
/// Rows of a tile, at most six. Six rows of two vectors are twelve accumulators of sixteen registers; V8, which keeps
/// one register to itself and uses one for products, then spills.
pub(super) const TILE: usize = if cfg!(target_arch = "wasm32") { 4 } else { 6 };

impl Dense {
    /// Packs a row-major `[n, k]` weight.
    pub(in super::super) fn pack(isa: Isa, n: usize, k: usize, weight: &[f32], bias: &[f32]) -> Result<Self> {
        ensure(weight.len() == n * k && bias.len() == n, "a weight")?;
        let mut dense = Self::new(isa);
        dense.fill([n, k], bias, |o, i| weight[o * k + i]);
        Ok(dense)
    }

    /// A product with nothing, to be repacked.
    pub(in super::super) fn new(isa: Isa) -> Self {
        Self { isa, k: 0, n: 0, panels: Vec::new() }
    }

    /// Packs another row-major `[n, k]` weight into the same memory, without a bias; `[k, n]` if it is `transposed`.
    pub(in super::super) fn repack(&mut self, [n, k]: [usize; 2], weight: &[f32], transposed: bool) -> Result<()> {
        ensure(weight.len() == n * k, "a weight")?;
        match transposed {
            true => self.fill([n, k], &[], |o, i| weight[i * n + o]),
            false => self.fill([n, k], &[], |o, i| weight[o * k + i]),
        }
        Ok(())
    }

    #[inline(always)]
    fn fill(&mut self, [n, k]: [usize; 2], bias: &[f32], weight: impl Fn(usize, usize) -> f32) {
        let lanes = self.isa.lanes();
        let panels = &mut self.panels;
        panels.clear();
        panels.reserve((k + 1) * n.div_ceil(lanes) * lanes);
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
        (self.n, self.k) = (n, k);
    }

    /// `[n, k]`.
    pub(in super::super) fn size(&self) -> [usize; 2] {
        [self.n, self.k]
    }

    /// Multiplies `m` rows of `x` (of `k` floats each) into rows of `y` (of `n` floats each).
    ///
    /// `residual`, if given, has the layout of `y` and is added before the result is clamped to `[lo, hi]`.
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
        ensure(x_rows.start + (m - 1) * x_rows.stride + self.k <= x.len(), "the input of a product")?;
        ensure(y_rows.start + (m - 1) * y_rows.stride + self.n <= y.len(), "the output of a product")?;
        ensure(residual.is_none_or(|r| r.len() == y.len()), "the residual of a product")?;
        let args = Args {
            m,
            k: self.k,
            n: self.n,
            // SAFETY: the first row is inside, by the checks above.
            x: unsafe { x.as_ptr().add(x_rows.start) },
            x_stride: x_rows.stride,
            panels: self.panels.as_ptr(),
            // SAFETY: as for `x`.
            y: unsafe { y.as_mut_ptr().add(y_rows.start) },
            y_stride: y_rows.stride,
            // SAFETY: as for `y`, whose size the residual has.
            residual: residual.map(|r| unsafe { r.as_ptr().add(y_rows.start) }),
            lo,
            hi,
        };
        let kernel = dispatch!(self.isa, product, &Args);
        // SAFETY: `isa` was detected, and all rows and panels that `args` spans are inside their slices: the checks above
        // and `pack`.
        unsafe { kernel(&args) };
        Ok(())
    }
}

/// One product, as pointers that [`Dense::apply`] has checked.
struct Args {
    m: usize,
    k: usize,
    n: usize,
    x: *const f32,
    x_stride: usize,
    panels: *const f32,
    y: *mut f32,
    y_stride: usize,
    residual: Option<*const f32>,
    lo: f32,
    hi: f32,
}

/// Rows that are multiplied with one panel before the next panel is taken.
const BLOCK: usize = 8 * TILE;

#[inline(always)]
unsafe fn product<S: Simd>(g: &Args) {
    let mut row = 0;
    while row < g.m {
        let rows = (g.m - row).min(BLOCK);
        let mut panel = g.panels;
        let mut column = 0;
        while column < g.n {
            let vectors = (g.n - column).div_ceil(S::LANES).min(PANEL);
            // Tiles of nearly equal height: a last tile of one row would cost half as much as a full one.
            let tiles = rows.div_ceil(TILE);
            let mut done = 0;
            for t in 0..tiles {
                let height = (rows - done).div_ceil(tiles - t);
                match vectors {
                    1 => with_height!(height, R => tile::<S, R, 1>(g, panel, row + done, column)),
                    _ => with_height!(height, R => tile::<S, R, PANEL>(g, panel, row + done, column)),
                }
                done += height;
            }
            panel = panel.add((g.k + 1) * vectors * S::LANES);
            column += vectors * S::LANES;
        }
        row += rows;
    }
}

/// `R` rows by one panel of `N` vectors.
// On wasm a function of its own: the engine's compiler allocates registers badly in one with a dozen loops. Elsewhere
// inlined, to be compiled with the caller's instruction set.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
unsafe fn tile<S: Simd, const R: usize, const N: usize>(g: &Args, panel: *const f32, row: usize, column: usize) {
    let mut acc = [[S::splat(0.0); N]; R];
    unroll!(j in N => {
        let bias = S::load(panel.add(j * S::LANES));
        unroll!(i in R => {
            acc[i][j] = bias;
        });
    });
    let mut w = panel.add(N * S::LANES);
    let mut x = [g.x; R];
    unroll!(i in R => {
        x[i] = g.x.add((row + i) * g.x_stride);
    });
    for _ in 0..g.k / 4 {
        unroll!(u in 4 => {
            step::<S, R, N>(&mut acc, &x, u, w.add(u * N * S::LANES));
        });
        unroll!(i in R => {
            x[i] = x[i].add(4);
        });
        w = w.add(4 * N * S::LANES);
    }
    for u in 0..g.k % 4 {
        step::<S, R, N>(&mut acc, &x, u, w.add(u * N * S::LANES));
    }

    let (lo, hi) = (S::splat(g.lo), S::splat(g.hi));
    unroll!(i in R => {
        unroll!(j in N => {
            let at = (row + i) * g.y_stride + column + j * S::LANES;
            let left = g.n - column - j * S::LANES;
            if left >= S::LANES {
                if let Some(r) = g.residual {
                    acc[i][j] = S::add(acc[i][j], S::load(r.add(at)));
                }
                S::store(g.y.add(at), S::clamp(acc[i][j], lo, hi));
            } else {
                if let Some(r) = g.residual {
                    acc[i][j] = S::add(acc[i][j], S::load_first(r.add(at), left));
                }
                S::store_first(g.y.add(at), S::clamp(acc[i][j], lo, hi), left);
            }
        });
    });
}

/// One `k`: `acc[i][j] += x[i][u] * w[j]`.
#[inline(always)]
unsafe fn step<S: Simd, const R: usize, const N: usize>(
    acc: &mut [[S::V; N]; R],
    x: &[*const f32; R],
    u: usize,
    w: *const f32,
) {
    let mut weights = [S::splat(0.0); N];
    unroll!(j in N => {
        weights[j] = S::load(w.add(j * S::LANES));
    });
    unroll!(i in R => {
        let xi = S::splat(*x[i].add(u));
        unroll!(j in N => {
            acc[i][j] = S::mul_add(xi, weights[j], acc[i][j]);
        });
    });
}
