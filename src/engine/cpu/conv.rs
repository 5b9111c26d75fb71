//! Convolutions as products. The way to compute one is chosen once, when it is compiled.

use std::ops::Range;

use super::kernels::{Axis, Depthwise, Quantized, Rows, Tiles, Winograd, grow, holds};
use super::product::{Arithmetic, Product, Weight};
use crate::error::Result;
use crate::graph::{Constant, Conv2d, Op};
use crate::tensor::{Shape, Tensor};

/// A compiled convolution for one input size.
pub(super) enum Conv {
    /// 1x1, unpadded, stride 1: the activations are the rows of a product.
    Pointwise(Product),
    /// One filter a channel.
    Depthwise(Depthwise),
    /// 3x3 at stride 1, in f32.
    Winograd(Winograd),
    /// Everything else: windows are gathered into rows, a block of cells at a time.
    Windows(Windows),
}

impl Conv {
    /// Compiles a convolution. `x` and `y` are the shapes of input and output, which shape inference has checked.
    ///
    /// # Errors
    /// [`crate::Error::Engine`] if an index of its windows would be beyond what this machine can index.
    pub(super) fn new(
        arithmetic: &Arithmetic,
        conv: &Conv2d,
        [x, y]: [&Shape; 2],
        weight: &Constant,
        bias: &Tensor,
    ) -> Result<Self> {
        let (&[_, c, h, w], &[_, o, oh, ow], &[_, ci, kh, kw]) = (x.dims(), y.dims(), weight.shape().dims()) else {
            return Err(super::failed("a convolution is not over four dimensions"));
        };
        let axes = Axis::both([[h, w], [oh, ow]], [kh, kw], conv.strides, conv.dilations, conv.pads)?;
        let unit = conv.strides == [1, 1] && conv.pads == [0; 4];
        if Op::Conv2d(conv.clone()).is_depthwise(weight.shape()) && c == o {
            let weight = weight.to_float();
            let (isa, store) = (arithmetic.isa, &arithmetic.store);
            return Depthwise::pack(isa, store, c, axes, weight.data(), bias.data()).map(Self::Depthwise);
        }
        if [kh, kw] == [1, 1] && unit && conv.groups == 1 {
            return Product::pack(arithmetic, [o, c], Weight::of(weight), bias.data()).map(Self::Pointwise);
        }
        let floats = matches!(weight, Constant::Float(_)) || !arithmetic.fixed;
        if conv.groups == 1 && floats && Winograd::suits(axes, [c, o]) {
            let weight = weight.to_float();
            let (isa, store) = (arithmetic.isa, &arithmetic.store);
            return Winograd::pack(isa, store, [c, o], axes, weight.data(), bias.data()).map(Self::Winograd);
        }
        let (taps, group) = (kh * kw, o / conv.groups);
        let mut groups = Vec::with_capacity(conv.groups);
        for g in 0..conv.groups {
            let outputs = g * group..(g + 1) * group;
            let bias = &bias.data()[outputs.clone()];
            let size = [group, taps * ci];
            groups.push(match Weight::of(weight) {
                Weight::Float(w) => {
                    let w = channels_last(w, taps, ci, outputs);
                    Product::pack(arithmetic, size, Weight::Float(&w), bias)
                }
                Weight::Int8(w, scales) => {
                    let w = channels_last(w, taps, ci, outputs.clone());
                    Product::pack(arithmetic, size, Weight::Int8(&w, &scales[outputs]), bias)
                }
            }?);
        }
        let cells = (BLOCK / (taps * ci).max(1)).clamp(1, oh * ow);
        Ok(Self::Windows(Windows { channels: [ci, o], axes, groups, cells }))
    }

    /// Makes room for what [`Conv::apply`] needs.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`] if the machine has no such room.
    pub(super) fn reserve(&self, scratch: &mut Scratch) -> Result<()> {
        match self {
            Self::Pointwise(product) => product.reserve(&mut scratch.quantized),
            Self::Depthwise(_) => Ok(()),
            Self::Winograd(winograd) => winograd.reserve(&mut scratch.tiles),
            Self::Windows(w) => {
                grow(&mut scratch.windows, &[w.cells, w.window()], "the windows of a convolution")?;
                w.groups.iter().try_for_each(|g| g.reserve(&mut scratch.quantized))
            }
        }
    }

    /// Convolves one image, adds the residual and clamps.
    pub(super) fn apply(
        &self,
        x: &[f32],
        y: &mut [f32],
        residual: Option<&[f32]>,
        scratch: &mut Scratch,
        clamp: [f32; 2],
    ) -> Result<()> {
        match self {
            Self::Pointwise(product) => product.apply_all(x, y, residual, &mut scratch.quantized, clamp),
            Self::Depthwise(depthwise) => depthwise.apply(x, y, residual, clamp),
            Self::Winograd(winograd) => winograd.apply(x, y, residual, &mut scratch.tiles, clamp),
            Self::Windows(windows) => windows.apply(x, y, residual, scratch, clamp),
        }
    }
}

/// Memory that steps share.
#[derive(Default)]
pub(super) struct Scratch {
    /// Gathered windows.
    windows: Vec<f32>,
    /// Transformed tiles.
    tiles: Tiles,
    /// Quantized rows.
    pub quantized: Quantized,
}

/// Floats of gathered windows at a time, which the second-level cache holds. With few rows at a time the weights, which
/// are larger, would be read too often.
const BLOCK: usize = 96 * 1024;

/// Filters `[ci, taps]` of some output channels as `[taps, ci]`, the order in which windows are gathered.
fn channels_last<T: Copy>(weight: &[T], taps: usize, ci: usize, outputs: Range<usize>) -> Vec<T> {
    let filters = weight[outputs.start * taps * ci..outputs.end * taps * ci].chunks_exact(taps * ci);
    filters.flat_map(|f| (0..taps).flat_map(move |tap| (0..ci).map(move |i| f[i * taps + tap]))).collect()
}

/// A convolution over gathered windows (im2col).
pub(super) struct Windows {
    /// Input channels of a group, output channels of all groups.
    channels: [usize; 2],
    /// Down and across.
    axes: [Axis; 2],
    groups: Vec<Product>,
    /// Cells in a block.
    cells: usize,
}

impl Windows {
    /// Values in a window.
    fn window(&self) -> usize {
        self.axes[0].kernel() * self.axes[1].kernel() * self.channels[0]
    }

    fn apply(
        &self,
        x: &[f32],
        y: &mut [f32],
        residual: Option<&[f32]>,
        scratch: &mut Scratch,
        clamp: [f32; 2],
    ) -> Result<()> {
        let ([ci, o], [rows, columns]) = (self.channels, self.axes);
        let window = self.window();
        let all = rows.output() * columns.output();
        holds(x.len(), &[rows.input(), columns.input(), ci, self.groups.len()], "the input of a convolution")?;
        holds(y.len(), &[all, o], "the output of a convolution")?;
        for (g, product) in self.groups.iter().enumerate() {
            for first in (0..all).step_by(self.cells) {
                let cells = self.cells.min(all - first);
                for (cell, row) in (first..first + cells).zip(scratch.windows.chunks_exact_mut(window)) {
                    self.gather(x, g, cell, row);
                }
                let start = first * o + g * (o / self.groups.len());
                let (from, to) = (Rows { start: 0, stride: window }, Rows { start, stride: o });
                product.apply(cells, (&scratch.windows, from), (y, to), residual, &mut scratch.quantized, clamp)?;
            }
        }
        Ok(())
    }

    /// The window of one output cell as `[kh, kw, ci]`, zeros where it is outside.
    fn gather(&self, x: &[f32], group: usize, cell: usize, row: &mut [f32]) {
        let ([rows, columns], ci) = (self.axes, self.channels[0]);
        let (oy, ox) = (cell / columns.output(), cell % columns.output());
        let pixel = ci * self.groups.len();
        let (down, across) = (rows.inside(oy), columns.inside(ox));
        // The taps across are one piece of the input's row.
        let whole = columns.dilation() == 1 && pixel == ci;
        for (ky, line) in row.chunks_exact_mut(columns.kernel() * ci).enumerate() {
            if !down.contains(&ky) || across.is_empty() {
                line.fill(0.0);
                continue;
            }
            let first = rows.at(oy, ky) * columns.input();
            line[..across.start * ci].fill(0.0);
            line[across.end * ci..].fill(0.0);
            let line = &mut line[across.start * ci..across.end * ci];
            if whole {
                let from = (first + columns.at(ox, across.start)) * ci;
                line.copy_from_slice(&x[from..][..line.len()]);
                continue;
            }
            for (kx, tap) in across.clone().zip(line.chunks_exact_mut(ci)) {
                tap.copy_from_slice(&x[(first + columns.at(ox, kx)) * pixel + group * ci..][..ci]);
            }
        }
    }
}
