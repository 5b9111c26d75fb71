//! Convolutions as products: which way a convolution goes is decided once, when it is compiled.

use std::ops::Range;

use super::kernels::{Depthwise, Quantized, Rows};
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
    /// Everything else: windows are gathered into rows, a block of cells at a time.
    Windows(Windows),
}

impl Conv {
    /// Compiles a convolution. `x` and `y` are the shapes of input and output, which shape inference has checked.
    pub(super) fn new(
        arithmetic: Arithmetic,
        conv: &Conv2d,
        [x, y]: [&Shape; 2],
        weight: &Constant,
        bias: &Tensor,
    ) -> Result<Self> {
        let (&[_, c, h, w], &[_, o, oh, ow], &[_, ci, kh, kw]) = (x.dims(), y.dims(), weight.shape().dims()) else {
            return Err(super::failed("a convolution is not over four dimensions"));
        };
        let sizes = [[h, w], [oh, ow]];
        let unit = conv.strides == [1, 1] && conv.pads == [0; 4];
        if Op::Conv2d(conv.clone()).is_depthwise(weight.shape()) && c == o {
            let weight = weight.to_float();
            let depthwise = Depthwise::pack(arithmetic.isa, conv, [c, kh, kw], sizes, weight.data(), bias.data())?;
            return Ok(Self::Depthwise(depthwise));
        }
        if [kh, kw] == [1, 1] && unit && conv.groups == 1 {
            return Product::pack(arithmetic, [o, c], Weight::of(weight), bias.data()).map(Self::Pointwise);
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
        let cells = (BLOCK / (taps * ci)).clamp(1, oh * ow);
        Ok(Self::Windows(Windows { conv: conv.clone(), channels: [ci, o], kernel: [kh, kw], sizes, groups, cells }))
    }

    /// Makes room for what [`Conv::apply`] needs.
    pub(super) fn reserve(&self, scratch: &mut Scratch) {
        match self {
            Self::Pointwise(product) => product.reserve(&mut scratch.quantized),
            Self::Depthwise(_) => {}
            Self::Windows(w) => {
                let floats = w.cells * w.kernel[0] * w.kernel[1] * w.channels[0];
                scratch.windows.resize(scratch.windows.len().max(floats), 0.0);
                w.groups.iter().for_each(|g| g.reserve(&mut scratch.quantized));
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
            Self::Windows(windows) => windows.apply(x, y, residual, scratch, clamp),
        }
    }
}

/// Memory that steps share.
#[derive(Default)]
pub(super) struct Scratch {
    /// Gathered windows.
    windows: Vec<f32>,
    /// Quantized rows.
    pub quantized: Quantized,
}

/// Floats of gathered windows at a time, which the second-level cache holds with the weights.
const BLOCK: usize = 16 * 1024;

/// Filters `[ci, taps]` of some output channels as `[taps, ci]`, the order in which windows are gathered.
fn channels_last<T: Copy>(weight: &[T], taps: usize, ci: usize, outputs: Range<usize>) -> Vec<T> {
    let filters = weight[outputs.start * taps * ci..outputs.end * taps * ci].chunks_exact(taps * ci);
    filters.flat_map(|f| (0..taps).flat_map(move |tap| (0..ci).map(move |i| f[i * taps + tap]))).collect()
}

/// A convolution over gathered windows (im2col).
pub(super) struct Windows {
    conv: Conv2d,
    /// Input channels of a group, output channels of all groups.
    channels: [usize; 2],
    kernel: [usize; 2],
    /// Height and width of input and output.
    sizes: [[usize; 2]; 2],
    groups: Vec<Product>,
    /// Cells in a block.
    cells: usize,
}

impl Windows {
    fn apply(
        &self,
        x: &[f32],
        y: &mut [f32],
        residual: Option<&[f32]>,
        scratch: &mut Scratch,
        clamp: [f32; 2],
    ) -> Result<()> {
        let [ci, o] = self.channels;
        let window = self.kernel[0] * self.kernel[1] * ci;
        let all = self.sizes[1][0] * self.sizes[1][1];
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
        let ([h, w], [_, ow]) = (self.sizes[0], self.sizes[1]);
        let ([ci, _], [_, kw]) = (self.channels, self.kernel);
        let (strides, dilations, pads) = (self.conv.strides, self.conv.dilations, self.conv.pads);
        let (oy, ox) = (cell / ow, cell % ow);
        let pixel = ci * self.groups.len();
        for (ky, line) in row.chunks_exact_mut(kw * ci).enumerate() {
            let Some(iy) = (oy * strides[0] + ky * dilations[0]).checked_sub(pads[0]).filter(|&iy| iy < h) else {
                line.fill(0.0);
                continue;
            };
            let left = (ox * strides[1]).checked_sub(pads[1]).filter(|&left| left + kw <= w);
            if let Some(left) = left.filter(|_| dilations[1] == 1 && pixel == ci) {
                line.copy_from_slice(&x[(iy * w + left) * ci..][..kw * ci]);
                continue;
            }
            for (kx, tap) in line.chunks_exact_mut(ci).enumerate() {
                match (ox * strides[1] + kx * dilations[1]).checked_sub(pads[1]).filter(|&ix| ix < w) {
                    Some(ix) => tap.copy_from_slice(&x[(iy * w + ix) * pixel + group * ci..][..ci]),
                    None => tap.fill(0.0),
                }
            }
        }
    }
}
