//! Convolutions of 3x3 taps, one cell apart, with fewer multiplications: Winograd's minimal filtering (Lavin and Gray,
//! "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308).
//!
//! An output tile of `M x M` cells depends on an input tile of `T x T`, `T = M + 2`. Tiles are transformed (`B^T d B`),
//! each of the `T^2` places becomes one product over channels with the transformed filters (`G g G^T`), and the sums are
//! transformed back (`A^T m A`). That is 9 multiplications a cell with the filter itself, 4 with `M = 2`, and 2.25 with
//! `M = 4`. The filters then take `T^2 / 9` of their memory.
//!
//! The points of interpolation are 0, infinity, and 1, -1 for `M = 2`; for `M = 4` the numbers `+-1/sqrt(2)` and
//! `+-sqrt(2)`, which lose less to rounding than the usual 1 and 2.

use std::sync::Arc;

use super::bounds::{Axis, ensure, grow, holds};
use super::isa::dispatch;
use super::pointer::{Sink, Source};
use super::simd::Simd;
use super::{Dense, Isa, Rows, blank, unroll};
use crate::engine::cpu::weights::WeightStore;
use crate::error::Result;

/// A packed 3x3 convolution for one input size.
pub(in super::super) struct Winograd {
    isa: Isa,
    /// Input and output channels.
    channels: [usize; 2],
    /// Down and across.
    axes: [Axis; 2],
    /// Cells of an output tile along an axis: 2 or 4.
    cells: usize,
    /// For each place of a tile: the transformed filters `[O, C]`.
    filters: Vec<Dense>,
    bias: Arc<Vec<f32>>,
    /// Tiles that are transformed, then multiplied.
    block: usize,
}

/// Memory for transformed tiles: for each place of a tile, rows of channels; of the input and of the output.
#[derive(Default)]
pub(in super::super) struct Tiles([Vec<f32>; 2]);

/// Floats of transformed tiles at a time, which the second-level cache holds.
const BLOCK: usize = 192 * 1024;
/// Tiles at least, so that the filters are not read for a few.
const LEAST: usize = 24;
/// Filters of more channels than this (input times output) are transformed for small tiles, which costs less memory.
const LARGE: usize = 128 * 128;

/// The square of the smaller point for tiles of four, and of the larger one.
const POINTS: [f32; 2] = [0.5, 2.0];
/// The points themselves.
const ROOTS: [f32; 2] = [std::f32::consts::FRAC_1_SQRT_2, std::f32::consts::SQRT_2];

impl Winograd {
    /// Whether a convolution over these axes, with so many input and output channels, is one of these and gains by it.
    pub(in super::super) fn suits([rows, columns]: [Axis; 2], [c, o]: [usize; 2]) -> bool {
        let taps = |axis: Axis| (axis.kernel(), axis.stride(), axis.dilation()) == (3, 1, 1);
        let fits = |axis: Axis| taps(axis) && axis.pad() <= 2 && axis.output() >= 4;
        // With few channels the transformations cost more than they save.
        fits(rows) && fits(columns) && c >= 16 && o >= 16
    }

    /// Packs an `[O, C, 3, 3]` weight.
    ///
    /// # Errors
    /// [`crate::Error::Engine`] if weight and bias are not of that size or the axes not as [`Winograd::suits`] says.
    pub(in super::super) fn pack(
        isa: Isa,
        store: &WeightStore,
        channels: [usize; 2],
        axes: [Axis; 2],
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self> {
        let [c, o] = channels;
        holds(weight.len(), &[o, c, 9], "a weight")?;
        ensure(bias.len() == o && Self::suits(axes, channels), "a convolution of 3x3")?;
        let cells = if c * o > LARGE { 2 } else { 4 };
        let side = cells + 2;
        let mut filters = Vec::with_capacity(side * side);
        let mut place = Vec::new();
        for at in 0..side * side {
            let (down, across) = (filter_row(cells, at / side), filter_row(cells, at % side));
            place.clear();
            place.extend(weight.chunks_exact(9).map(|g| {
                let row = |y: usize| g[3 * y] * across[0] + g[3 * y + 1] * across[1] + g[3 * y + 2] * across[2];
                row(0) * down[0] + row(1) * down[1] + row(2) * down[2]
            }));
            filters.push(Dense::pack(isa, store, [o, c], &place, &vec![0.0; o])?);
        }
        let all = axes[0].output().div_ceil(cells).saturating_mul(axes[1].output().div_ceil(cells));
        let most = (BLOCK / (side * side * (c + o))).max(LEAST);
        // Blocks of nearly equal size.
        let block = all.div_ceil(all.div_ceil(most));
        Ok(Self { isa, channels, axes, cells, filters, bias: store.floats(bias.to_vec()), block })
    }

    /// Makes room for what [`Winograd::apply`] needs.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`] if the machine has no such room.
    pub(in super::super) fn reserve(&self, tiles: &mut Tiles) -> Result<()> {
        for (memory, channels) in tiles.0.iter_mut().zip(self.channels) {
            grow(memory, &[self.filters.len(), self.block, channels], "the tiles of a convolution")?;
        }
        Ok(())
    }

    /// Convolves `x` (`H x W x C`) into `y` (`OH x OW x O`), clamped to `[lo, hi]`.
    ///
    /// `residual`, if given, has the layout of `y` and is added before. `tiles` is room made by [`Winograd::reserve`].
    ///
    /// # Errors
    /// [`crate::Error::Engine`] if a slice does not have the size that was packed for.
    pub(in super::super) fn apply(
        &self,
        x: &[f32],
        y: &mut [f32],
        residual: Option<&[f32]>,
        Tiles([transformed, products]): &mut Tiles,
        [lo, hi]: [f32; 2],
    ) -> Result<()> {
        let ([c, o], [rows, columns]) = (self.channels, self.axes);
        let what = "of a convolution of 3x3";
        holds(x.len(), &[rows.input(), columns.input(), c], &format!("the input {what}"))?;
        holds(y.len(), &[rows.output(), columns.output(), o], &format!("the output {what}"))?;
        ensure(residual.is_none_or(|r| r.len() == y.len()), "the residual of a convolution of 3x3")?;
        let places = self.filters.len();
        let room = |memory: &[f32], channels: usize| memory.len() >= places * self.block * channels;
        ensure(room(transformed, c) && room(products, o), "the memory for tiles")?;
        let [down, across] = [rows, columns].map(|axis| axis.output().div_ceil(self.cells));
        let each = |stride| Rows { start: 0, stride };
        for first in (0..down * across).step_by(self.block) {
            let count = self.block.min(down * across - first);
            let tiles = Span { axes: self.axes, first, count, across };
            let args =
                Input { tiles, channels: c, x: Source::new(x), to: Sink::new(&mut transformed[..places * count * c]) };
            let kernel = match self.cells {
                4 => dispatch!(self.isa, enter_four, &Input),
                _ => dispatch!(self.isa, enter_two, &Input),
            };
            // SAFETY: `args` is as its type says, by the checks above.
            unsafe { kernel(&args) };
            let pairs = transformed.chunks_exact(count * c).zip(products.chunks_exact_mut(count * o));
            for (filter, (x, y)) in self.filters.iter().zip(pairs) {
                filter.apply(count, x, each(c), y, each(o), None, [f32::NEG_INFINITY, f32::INFINITY])?;
            }
            let args = Output {
                tiles: Span { axes: self.axes, first, count, across },
                channels: o,
                from: Source::new(&products[..places * count * o]),
                bias: Source::new(&self.bias),
                residual: residual.map(Source::new),
                y: Sink::new(y),
                lo,
                hi,
            };
            let kernel = match self.cells {
                4 => dispatch!(self.isa, leave_four, &Output),
                _ => dispatch!(self.isa, leave_two, &Output),
            };
            // SAFETY: `args` is as its type says, by the checks above.
            unsafe { kernel(&args) };
        }
        Ok(())
    }
}

/// A row of `G`: what one place of a transformed filter takes of its three taps.
fn filter_row(cells: usize, place: usize) -> [f32; 3] {
    let [small, large] = POINTS;
    let power = |root: f32, scale: f32| [1.0 / scale, root / scale, root * root / scale];
    match (cells, place) {
        (2, 0) => [1.0, 0.0, 0.0],
        (2, 1) => [0.5, 0.5, 0.5],
        (2, 2) => [0.5, -0.5, 0.5],
        (4, 0) => [1.0 / (small * large), 0.0, 0.0],
        (4, 1) => power(ROOTS[0], 2.0 * small * (small - large)),
        (4, 2) => power(-ROOTS[0], 2.0 * small * (small - large)),
        (4, 3) => power(ROOTS[1], 2.0 * large * (large - small)),
        (4, 4) => power(-ROOTS[1], 2.0 * large * (large - small)),
        // The point at infinity.
        _ => [0.0, 0.0, 1.0],
    }
}

/// Some tiles in row-major order: `count` from `first` on, `across` in a row.
struct Span {
    axes: [Axis; 2],
    first: usize,
    count: usize,
    across: usize,
}

/// Tiles of the input. The kernels rely on this: `x` holds all cells of the input, each of `channels` floats; `to` holds
/// for each place of a tile `tiles.count` rows of `channels`; all tiles are of the output.
struct Input {
    tiles: Span,
    channels: usize,
    x: Source<f32>,
    to: Sink<f32>,
}

/// Tiles of the output. The kernels rely on this: `from` holds for each place of a tile `tiles.count` rows of
/// `channels`; `bias` holds `channels`; `y` and `residual` hold all cells of the output, each of `channels` floats; all
/// tiles are of the output.
struct Output {
    tiles: Span,
    channels: usize,
    from: Source<f32>,
    bias: Source<f32>,
    residual: Option<Source<f32>>,
    y: Sink<f32>,
    lo: f32,
    hi: f32,
}

/// # Safety
/// `a` must be as [`Input`] says.
#[inline(always)]
unsafe fn enter_four<S: Simd>(s: S, a: &Input) {
    // SAFETY: the caller's.
    unsafe { enter::<S, 4, 6>(s, a) }
}

/// # Safety
/// `a` must be as [`Input`] says.
#[inline(always)]
unsafe fn enter_two<S: Simd>(s: S, a: &Input) {
    // SAFETY: the caller's.
    unsafe { enter::<S, 2, 4>(s, a) }
}

/// # Safety
/// `a` must be as [`Output`] says.
#[inline(always)]
unsafe fn leave_four<S: Simd>(s: S, a: &Output) {
    // SAFETY: the caller's.
    unsafe { leave::<S, 4, 6>(s, a) }
}

/// # Safety
/// `a` must be as [`Output`] says.
#[inline(always)]
unsafe fn leave_two<S: Simd>(s: S, a: &Output) {
    // SAFETY: the caller's.
    unsafe { leave::<S, 2, 4>(s, a) }
}

/// `B^T d B` of each tile.
///
/// # Safety
/// `a` must be as [`Input`] says.
// On wasm a function of its own, as in `gemm`.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
#[allow(clippy::needless_range_loop)] // Fixed-size register arrays, indexed together.
unsafe fn enter<S: Simd, const M: usize, const T: usize>(s: S, a: &Input) {
    let [rows, columns] = a.tiles.axes;
    for tile in 0..a.tiles.count {
        let at = a.tiles.first + tile;
        // The first cell of the input tile, counted from the first cell of padding, and how many cells of padding.
        let (top, left) = (at / a.tiles.across * M, at % a.tiles.across * M);
        let (above, before) = (rows.pad(), columns.pad());
        for channel in (0..a.channels).step_by(S::LANES) {
            let lanes = (a.channels - channel).min(S::LANES);
            let mut half = blank!([[S::V; T]; T]);
            unroll!(j in T => {
                let mut d = blank!([S::V; T]);
                if left + j >= before && left + j - before < columns.input() {
                    unroll!(i in T => {
                        if top + i >= above && top + i - above < rows.input() {
                            let cell = (top + i - above) * columns.input() + left + j - before;
                            // SAFETY: a cell of the input, of which `lanes` channels are left.
                            d[i] = unsafe { load(s, a.x.add(cell * a.channels + channel), lanes) };
                        }
                    });
                    d = enter_line(s, d);
                }
                unroll!(i in T => {
                    half[i][j] = d[i];
                });
            });
            unroll!(i in T => {
                let d = enter_line(s, half[i]);
                unroll!(j in T => {
                    let to = ((i * T + j) * a.tiles.count + tile) * a.channels + channel;
                    // SAFETY: the row of this tile at this place, of which `lanes` channels are left.
                    unsafe { store(s, a.to.add(to), d[j], lanes) };
                });
            });
        }
    }
}

/// `clamp(A^T m A + b + r)` of each tile.
///
/// # Safety
/// `a` must be as [`Output`] says.
// On wasm a function of its own, as in `gemm`.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
#[allow(clippy::needless_range_loop)] // Fixed-size register arrays, indexed together.
unsafe fn leave<S: Simd, const M: usize, const T: usize>(s: S, a: &Output) {
    let [rows, columns] = a.tiles.axes;
    let (lo, hi) = (s.splat(a.lo), s.splat(a.hi));
    for tile in 0..a.tiles.count {
        let at = a.tiles.first + tile;
        let (top, left) = (at / a.tiles.across * M, at % a.tiles.across * M);
        for channel in (0..a.channels).step_by(S::LANES) {
            let lanes = (a.channels - channel).min(S::LANES);
            // SAFETY: `lanes` of the biases are left.
            let bias = unsafe { load(s, a.bias.add(channel), lanes) };
            let mut half = blank!([[S::V; T]; M]);
            unroll!(j in T => {
                let mut m = blank!([S::V; T]);
                unroll!(i in T => {
                    let from = ((i * T + j) * a.tiles.count + tile) * a.channels + channel;
                    // SAFETY: the row of this tile at this place, of which `lanes` channels are left.
                    m[i] = unsafe { load(s, a.from.add(from), lanes) };
                });
                let y: [S::V; M] = leave_line(s, m);
                unroll!(i in M => {
                    half[i][j] = y[i];
                });
            });
            unroll!(i in M => {
                let line: [S::V; M] = leave_line(s, half[i]);
                unroll!(j in M => {
                    if top + i < rows.output() && left + j < columns.output() {
                        let to = ((top + i) * columns.output() + left + j) * a.channels + channel;
                        let mut y = s.add(line[j], bias);
                        if let Some(r) = a.residual {
                            // SAFETY: the residual is as large as the output.
                            y = s.add(y, unsafe { load(s, r.add(to), lanes) });
                        }
                        // SAFETY: a cell of the output, of which `lanes` channels are left.
                        unsafe { store(s, a.y.add(to), s.clamp(y, lo, hi), lanes) };
                    }
                });
            });
        }
    }
}

/// `B^T d` for one line of a tile.
#[inline(always)]
fn enter_line<S: Simd, const T: usize>(s: S, d: [S::V; T]) -> [S::V; T] {
    let mut y = d;
    if T == 4 {
        y[0] = s.sub(d[0], d[2]);
        y[1] = s.add(d[1], d[2]);
        y[2] = s.sub(d[2], d[1]);
        y[3] = s.sub(d[1], d[3]);
        return y;
    }
    let [small, large] = POINTS;
    // The product of the squares is 1.
    let sum = s.splat(-small - large);
    y[0] = s.mul_add(d[2], sum, s.add(d[0], d[4]));
    y[5] = s.mul_add(d[3], sum, s.add(d[1], d[5]));
    for (at, root, other) in [(1, ROOTS[0], large), (3, ROOTS[1], small)] {
        let even = s.mul_add(d[2], s.splat(-other), d[4]);
        let odd = s.mul(s.mul_add(d[1], s.splat(-other), d[3]), s.splat(root));
        y[at] = s.add(even, odd);
        y[at + 1] = s.sub(even, odd);
    }
    y
}

/// `A^T m` for one line of a tile.
#[inline(always)]
fn leave_line<S: Simd, const M: usize, const T: usize>(s: S, m: [S::V; T]) -> [S::V; M] {
    let mut y = blank!([S::V; M]);
    let (sum, difference) = (s.add(m[1], m[2]), s.sub(m[1], m[2]));
    if M == 2 {
        y[0] = s.add(m[0], sum);
        y[1] = s.sub(difference, m[3]);
        return y;
    }
    let (far_sum, far_difference) = (s.add(m[3], m[4]), s.sub(m[3], m[4]));
    let weighed = |near: f32, a: S::V, far: f32, b: S::V| s.mul_add(a, s.splat(near), s.mul(b, s.splat(far)));
    y[0] = s.add(m[0], s.add(sum, far_sum));
    y[1] = weighed(ROOTS[0], difference, ROOTS[1], far_difference);
    y[2] = weighed(POINTS[0], sum, POINTS[1], far_sum);
    let cubes = [ROOTS[0] * POINTS[0], ROOTS[1] * POINTS[1]];
    y[3] = s.add(weighed(cubes[0], difference, cubes[1], far_difference), m[5]);
    y
}

/// # Safety
/// `lanes <= LANES` floats must be left at `p`.
#[inline(always)]
unsafe fn load<S: Simd>(s: S, p: Source<f32>, lanes: usize) -> S::V {
    // SAFETY: the caller's.
    unsafe { if lanes == S::LANES { s.load(p) } else { s.load_first(p, lanes) } }
}

/// # Safety
/// `lanes <= LANES` floats must be left at `p`.
#[inline(always)]
unsafe fn store<S: Simd>(s: S, p: Sink<f32>, v: S::V, lanes: usize) {
    // SAFETY: the caller's.
    unsafe { if lanes == S::LANES { s.store(p, v) } else { s.store_first(p, v, lanes) } }
}
