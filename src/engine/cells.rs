//! [`CellReadout`]: what class-specific forms read cell by cell, defined over activation maps in host memory.

use std::sync::Arc;

use super::Features;
use super::mix::channels_height_width;
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};

/// How the cells of a program's targets are compared with `K` classes. All layers it names have the same grid of `n`
/// cells.
///
/// With `A_i` the channel vector of cell `i` in a layer, `m` its mean, `P` its factor (the identity if `None`) and
/// `w_k` its k-th direction:
///
/// `r = sqrt(mean_i |P (A_i - m)|^2)`, `t_ki = (A_i - m) . w_k / r` (0 where `r` is 0).
///
/// The evidence `s_ki` is the mean of `t_ki` over the layers, and
/// `map_ki = max(s_ki - offset, 0)`, times `softmax_k(sharpness s_ki)^2` if there is a sharpness; `score_k = mean_i
/// map_ki`.
///
/// Without layers only the pooled cells are wanted.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CellReadout {
    /// The layers whose evidence is averaged.
    pub layers: Vec<LayerReadout>,
    /// Subtracted from the evidence before the ReLU.
    pub offset: f32,
    /// Sharpness of the class share; no share is taken if `None`.
    pub sharpness: Option<f32>,
}

/// The part of a [`CellReadout`] that one layer has.
#[derive(Clone, PartialEq, Debug)]
pub struct LayerReadout {
    /// Index of the layer among the program's targets.
    pub target: usize,
    /// Subtracted from every cell; `C` values.
    pub mean: Arc<[f32]>,
    /// `P`: a lower triangular `C x C` matrix, row-major. Engines keep what they make of it for as long as it is the
    /// same `Arc`.
    pub factor: Option<Arc<[f32]>>,
    /// `K` rows of `C` values.
    pub directions: Vec<Vec<f32>>,
}

/// The cells of one layer, pooled.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Pooled {
    /// The mean cell; `C` values.
    pub mean: Vec<f32>,
    /// The mean over the border ring: first and last row and column (every cell, where a side has fewer than three).
    pub ring: Vec<f32>,
}

/// Result of a [`CellReadout`].
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CellMaps {
    /// The pooled cells of every target of the program.
    pub pooled: Vec<Pooled>,
    /// `r` of each layer of the readout.
    pub radii: Vec<f32>,
    /// `K x H x W` evidence, row-major.
    pub evidence: Vec<f32>,
    /// `K x H x W` maps, row-major.
    pub maps: Vec<f32>,
    /// `K` scores: the mean of each map.
    pub scores: Vec<f32>,
}

/// What one forward pass with a [`CellReadout`] gives.
#[derive(Debug)]
pub struct CellOutput {
    /// The activation maps of each target, kept by the engine.
    pub features: Vec<Features>,
    /// The readout over them.
    pub cells: CellMaps,
}

impl CellReadout {
    /// How many classes there are.
    pub(crate) fn classes(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.directions.len())
    }
}

/// Whether a cell is on the border ring.
pub(crate) fn on_ring(cell: usize, height: usize, width: usize) -> bool {
    let (y, x) = (cell / width, cell % width);
    height < 3 || width < 3 || y == 0 || x == 0 || y == height - 1 || x == width - 1
}

/// Checks a readout against the targets' shapes; every engine calls it before it runs one. Gives the common `(H, W)` of
/// its layers.
///
/// # Errors
/// [`Error::Argument`] naming the part that does not fit.
pub(crate) fn validate(readout: &CellReadout, shapes: &[Shape]) -> Result<(usize, usize)> {
    let mut grid = None;
    for layer in &readout.layers {
        let Some(shape) = shapes.get(layer.target) else {
            let reason = format!("there is no target {}; the program has {}", layer.target, shapes.len());
            return Err(Error::argument("cell readout", reason));
        };
        let (channels, height, width) = channels_height_width(shape)?;
        let fits = |what: String, len: usize, expected: usize| match len == expected {
            true => Ok(()),
            false => Err(Error::argument(what, format!("has {len} values, and the target layer needs {expected}"))),
        };
        fits("mean cell".into(), layer.mean.len(), channels)?;
        if let Some(factor) = &layer.factor {
            fits("whitening factor".into(), factor.len(), channels * channels)?;
        }
        for (k, direction) in layer.directions.iter().enumerate() {
            fits(format!("direction of class {k}"), direction.len(), channels)?;
        }
        if layer.directions.len() != readout.classes() {
            return Err(Error::argument("cell readout", "its layers have different numbers of classes"));
        }
        if *grid.get_or_insert((height, width)) != (height, width) {
            return Err(Error::argument("cell readout", format!("its layers have different grids; one is {shape}")));
        }
    }
    match grid {
        Some(grid) => Ok(grid),
        None => Ok(shapes.first().and_then(Shape::chw).map_or((0, 0), |(_, h, w)| (h, w))),
    }
}

/// The readout over activation maps in host memory. `energy` gives `sum_i |P x_i|^2` for rows `x_i` of centred cells.
///
/// # Errors
/// As [`validate`], and those of `energy`.
pub(crate) fn cells_host(
    targets: &[&Tensor],
    readout: &CellReadout,
    mut energy: impl FnMut(&Arc<[f32]>, &[f32]) -> Result<f64>,
) -> Result<CellMaps> {
    let shapes: Vec<Shape> = targets.iter().map(|t| t.shape().clone()).collect();
    let (height, width) = validate(readout, &shapes)?;
    let pooled = targets.iter().map(|t| pool(t)).collect::<Result<Vec<_>>>()?;
    let (cells, classes) = (height * width, readout.classes());
    let (mut evidence, mut radii) = (vec![0f32; classes * cells], Vec::with_capacity(readout.layers.len()));
    let mut centred = Vec::new();
    for layer in &readout.layers {
        let data = targets[layer.target].data();
        let planes = || data.chunks_exact(cells.max(1)).zip(layer.mean.iter());
        let sum = match &layer.factor {
            None => planes().map(|(plane, &m)| plane.iter().map(|&a| square(a - m)).sum::<f64>()).sum(),
            Some(factor) => {
                let channels = layer.mean.len();
                centred.clear();
                centred.resize(cells * channels, 0.0);
                for (c, (plane, &m)) in planes().enumerate() {
                    plane.iter().enumerate().for_each(|(i, &a)| centred[i * channels + c] = a - m);
                }
                energy(factor, &centred)?
            }
        };
        let radius = (sum / cells.max(1) as f64).sqrt();
        radii.push(radius as f32);
        let scale = if radius > 0.0 { (1.0 / radius / readout.layers.len() as f64) as f32 } else { 0.0 };
        for (direction, map) in layer.directions.iter().zip(evidence.chunks_exact_mut(cells.max(1))) {
            for ((plane, &m), &w) in planes().zip(direction) {
                let w = w * scale;
                map.iter_mut().zip(plane).for_each(|(s, &a)| *s += w * (a - m));
            }
        }
    }
    Ok(concluded(pooled, radii, evidence, cells, readout))
}

/// Maps and scores of evidence that is there: `K` rows of `cells` values.
pub(crate) fn concluded(
    pooled: Vec<Pooled>,
    radii: Vec<f32>,
    evidence: Vec<f32>,
    cells: usize,
    readout: &CellReadout,
) -> CellMaps {
    let maps = shares(&evidence, cells, readout);
    let mean = |map: &[f32]| (map.iter().map(|&m| f64::from(m)).sum::<f64>() / cells as f64) as f32;
    let scores = maps.chunks_exact(cells.max(1)).map(mean).collect();
    CellMaps { pooled, radii, evidence, maps, scores }
}

fn square(x: f32) -> f64 {
    f64::from(x) * f64::from(x)
}

/// Offset, ReLU and squared class share of `K x n` evidence.
fn shares(evidence: &[f32], cells: usize, readout: &CellReadout) -> Vec<f32> {
    let mut maps: Vec<f32> = evidence.iter().map(|&s| (s - readout.offset).max(0.0)).collect();
    let Some(sharpness) = readout.sharpness else { return maps };
    for cell in 0..cells {
        let own = || evidence.iter().skip(cell).step_by(cells);
        let largest = own().copied().fold(f32::NEG_INFINITY, f32::max);
        let exp = |s: f32| (sharpness * (s - largest)).exp();
        let total: f32 = own().map(|&s| exp(s)).sum();
        let shared = maps.iter_mut().skip(cell).step_by(cells).zip(own());
        shared.for_each(|(m, &s)| *m *= (exp(s) / total).powi(2));
    }
    maps
}

/// The pooled cells of `[1, C, H, W]` activation maps.
///
/// # Errors
/// [`Error::Argument`] if they have another rank.
pub(crate) fn pool(features: &Tensor) -> Result<Pooled> {
    let (_, height, width) = channels_height_width(features.shape())?;
    let ring: Vec<usize> = (0..height * width).filter(|&cell| on_ring(cell, height, width)).collect();
    let mut pooled = Pooled::default();
    for plane in features.data().chunks_exact((height * width).max(1)) {
        let mean = |sum: f64, n: usize| (sum / n as f64) as f32;
        pooled.mean.push(mean(plane.iter().map(|&a| f64::from(a)).sum(), plane.len()));
        pooled.ring.push(mean(ring.iter().map(|&i| f64::from(plane[i])).sum(), ring.len()));
    }
    Ok(pooled)
}

/// `sum_i |P x_i|^2` by plain loops in double precision: the definition.
pub(crate) fn energy_reference(factor: &Arc<[f32]>, rows: &[f32]) -> Result<f64> {
    let channels = factor.len().isqrt();
    let length = |x: &[f32]| {
        let dot = |row: &[f32]| row.iter().zip(x).map(|(&p, &a)| f64::from(p) * f64::from(a)).sum::<f64>();
        factor.chunks_exact(channels.max(1)).map(|row| dot(row).powi(2)).sum::<f64>()
    };
    Ok(rows.chunks_exact(channels.max(1)).map(length).sum())
}

/// A forward pass on a program that computes its readouts on the host: what both CPU engines do.
pub(crate) fn on_host<'a>(
    features: &'a [Features],
    readout: &'a CellReadout,
    energy: impl FnMut(&Arc<[f32]>, &[f32]) -> Result<f64>,
) -> Result<CellMaps> {
    let targets = features.iter().map(Features::on_host).collect::<Result<Vec<_>>>()?;
    cells_host(&targets, readout, energy)
}
