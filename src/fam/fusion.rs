//! One map from the maps of several layers.

use crate::choice::choice;

/// How the maps of several target layers become one: each is normalised to 0..1 and upsampled to the finest grid first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Fusion {
    /// The mean of the maps.
    #[default]
    Mean,
    /// The geometric mean of the maps: strong where all are.
    Product,
    /// The largest of the maps: strong where one is.
    Max,
}

choice!(Fusion, "fusion", {
    Mean: "mean", "Mean",
        "The maps of the layers are averaged.",
        "famlens", "";
    Product: "product", "Product",
        "Strong only where every layer's map is strong (geometric mean).",
        "famlens", "";
    Max: "max", "Maximum",
        "Strong where any layer's map is strong.",
        "LayerCAM (IEEE TIP 30, 2021) fuses layers so", "";
});

/// A map of `width` cells across and `height` down, row-major.
#[derive(Clone, PartialEq, Debug)]
pub struct Grid {
    /// Cells across.
    pub width: usize,
    /// Cells down.
    pub height: usize,
    /// The values.
    pub data: Vec<f32>,
}

impl Grid {
    /// The value at a point of the unit square (0, 0 the top left corner), bilinear between cell centres and constant
    /// beyond the outer ones.
    pub fn sample(&self, x: f64, y: f64) -> f32 {
        let place = |t: f64, cells: usize| {
            let at = (t * cells as f64 - 0.5).clamp(0.0, cells.saturating_sub(1) as f64);
            let first = at.floor() as usize;
            (first, (first + 1).min(cells.saturating_sub(1)), (at - at.floor()) as f32)
        };
        let ((x0, x1, u), (y0, y1, v)) = (place(x, self.width), place(y, self.height));
        let value = |x: usize, y: usize| self.data.get(y * self.width + x).copied().unwrap_or(0.0);
        let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
        mix(mix(value(x0, y0), value(x1, y0), u), mix(value(x0, y1), value(x1, y1), u), v)
    }

    /// The map on another grid over the same picture.
    pub fn resized(&self, width: usize, height: usize) -> Self {
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let at = |i: usize, n: usize| (i as f64 + 0.5) / n as f64;
        let cells = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Self { width, height, data: cells.map(|(x, y)| self.sample(at(x, width), at(y, height))).collect() }
    }
}

impl Fusion {
    /// One map from the maps of several layers, on the grid of the finest. A map that is the same everywhere says
    /// nothing about where, and is left out unless all are.
    ///
    /// ```
    /// use famlens::fam::{Fusion, Grid};
    /// let coarse = Grid { width: 1, height: 2, data: vec![0.0, 5.0] };
    /// let fine = Grid { width: 2, height: 2, data: vec![0.0, 1.0, 0.0, 1.0] };
    /// assert_eq!(Fusion::Mean.fuse(&[coarse.clone(), fine.clone()]).data, [0.0, 0.5, 0.5, 1.0]);
    /// assert_eq!(Fusion::Product.fuse(&[coarse.clone(), fine.clone()]).data, [0.0, 0.0, 0.0, 1.0]);
    /// assert_eq!(Fusion::Max.fuse(&[coarse, fine]).data, [0.0, 1.0, 1.0, 1.0]);
    /// ```
    pub fn fuse(self, layers: &[Grid]) -> Grid {
        let width = layers.iter().map(|g| g.width).max().unwrap_or(0);
        let height = layers.iter().map(|g| g.height).max().unwrap_or(0);
        let varies = |g: &&Grid| g.data.iter().any(|&v| v != g.data[0]);
        let normalised = |g: &Grid| {
            let mut g = g.clone();
            super::Norm::MinMax.apply(&mut g.data);
            g.resized(width, height).data
        };
        let maps: Vec<Vec<f32>> = layers.iter().filter(varies).map(normalised).collect();
        let fuse = |i: usize| {
            let values = maps.iter().map(|m| m[i]);
            let count = maps.len().max(1) as f32;
            match self {
                Self::Mean => values.sum::<f32>() / count,
                Self::Product => values.product::<f32>().max(0.0).powf(1.0 / count),
                Self::Max => values.fold(0.0, f32::max),
            }
        };
        let data = if maps.is_empty() { vec![0.0; width * height] } else { (0..width * height).map(fuse).collect() };
        Grid { width, height, data }
    }
}
