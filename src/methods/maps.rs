//! Activation maps as the methods read them, and the map they give.

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// The activation maps of one image at one layer, `C x H x W`, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Maps<'a> {
    data: &'a [f32],
    channels: usize,
    height: usize,
    width: usize,
}

impl<'a> Maps<'a> {
    /// The maps of a `[1, C, H, W]` tensor; `[1, C]` counts as one cell.
    ///
    /// # Errors
    /// [`Error::Argument`] for another rank or an empty tensor.
    pub fn new(tensor: &'a Tensor) -> Result<Self> {
        match tensor.shape().chw() {
            Some((channels, height, width)) if !tensor.data().is_empty() => {
                Ok(Self { data: tensor.data(), channels, height, width })
            }
            _ => Err(Error::argument("layer", format!("activation maps are [1, C, H, W], not {}", tensor.shape()))),
        }
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Rows of cells.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Cells a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Cells a channel.
    pub fn cells(&self) -> usize {
        self.height * self.width
    }

    /// The values, channel after channel.
    pub fn data(&self) -> &'a [f32] {
        self.data
    }

    /// One slice of cells a channel.
    pub fn planes(&self) -> impl ExactSizeIterator<Item = &'a [f32]> + use<'a> {
        self.data.chunks_exact(self.cells())
    }

    /// The mean over cells of each channel (global average pooling).
    pub fn means(&self) -> Vec<f32> {
        let n = self.cells() as f64;
        self.planes().map(|plane| (plane.iter().map(|&v| f64::from(v)).sum::<f64>() / n) as f32).collect()
    }

    /// `sum_c w_c A_c`: what all class activation maps are.
    pub fn weighed(&self, weights: &[f32]) -> Vec<f32> {
        let mut sums = vec![0f64; self.cells()];
        for (plane, &w) in self.planes().zip(weights).filter(|(_, w)| **w != 0.0) {
            sums.iter_mut().zip(plane).for_each(|(s, &a)| *s += f64::from(w) * f64::from(a));
        }
        sums.into_iter().map(|s| s as f32).collect()
    }

    /// `sum_c h(G_c, A_c)` cell by cell, for a gradient of the same shape.
    pub fn combined(&self, gradient: &[f32], h: impl Fn(f64, f64) -> f64) -> Vec<f32> {
        let mut sums = vec![0f64; self.cells()];
        for (plane, gradient) in self.planes().zip(gradient.chunks_exact(self.cells())) {
            let terms = plane.iter().zip(gradient).map(|(&a, &g)| h(f64::from(g), f64::from(a)));
            sums.iter_mut().zip(terms).for_each(|(s, t)| *s += t);
        }
        sums.into_iter().map(|s| s as f32).collect()
    }

    pub(super) fn map(&self, data: Vec<f32>, weights: Vec<f32>) -> MethodMap {
        MethodMap { data, width: self.width, height: self.height, weights }
    }
}

/// The map that a method gives, with raw values.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MethodMap {
    /// Row-major values, `width * height` of them.
    pub data: Vec<f32>,
    /// Cells across: those of the layer, of the occluder's grid, or (RISE) the pixels of the input.
    pub width: usize,
    /// Cells down.
    pub height: usize,
    /// One weight a channel of the layer; empty where the method weighs no channels.
    pub weights: Vec<f32>,
}

impl MethodMap {
    /// Sets negative values to 0.
    pub(super) fn rectified(mut self) -> Self {
        self.data.iter_mut().for_each(|v| *v = v.max(0.0));
        self
    }
}
