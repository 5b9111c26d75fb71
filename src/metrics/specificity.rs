//! Whether a map depends on the class it explains: mosaics of several classes, and the maps of other classes.
//!
//! A mosaic ([`crate::image::mosaic`]) shows one photo of each of several classes; the map of a class should light that
//! class's tile. By chance it gives `1 / tiles` of its energy to the right tile, has its peak there as often, and a
//! pixel AUC of 0.5.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::overlay::{MapView, Upsampler};

/// A grid of equal tiles over a photo, numbered row by row from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tiles {
    /// Tiles across, at least 1.
    pub columns: usize,
    /// Tiles down, at least 1.
    pub rows: usize,
}

/// What one class's map says of one mosaic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TileScores {
    /// Share of the map's energy (positive part, as in [`super::energy_in_boxes`]) in each tile; they sum to 1. `None`
    /// if nothing in the map is positive.
    pub energy: Option<Vec<f64>>,
    /// The tile of the map's peak; `None` if the map is the same everywhere.
    pub peak: Option<usize>,
    /// For each tile, the probability that a pixel of it has a greater value than a pixel elsewhere, ties counting
    /// half: the area under the ROC curve of "in this tile". 0.5 for a map that is the same everywhere.
    pub auc: Vec<f64>,
}

/// Samples of the longer side: a map of a few cells has no detail that more would find.
const MAX_SIDE: u32 = 224;

impl Tiles {
    /// A square grid.
    pub fn square(side: usize) -> Self {
        Self { columns: side, rows: side }
    }

    /// Number of tiles.
    pub fn count(self) -> usize {
        self.columns * self.rows
    }

    /// What chance gives in energy and peak.
    pub fn chance(self) -> f64 {
        1.0 / self.count().max(1) as f64
    }

    /// Measures a map over a mosaic of these tiles.
    ///
    /// ```
    /// use famlens::image::{Geometry, GeometryMode};
    /// use famlens::metrics::Tiles;
    /// use famlens::overlay::MapView;
    ///
    /// let geometry = Geometry::new(GeometryMode::Squash, (64, 64), 64, 32)?;
    /// let map = [3.0, 1.0, 0.0, 0.0];
    /// let scores = Tiles::square(2).measure(&MapView::new(&map, 2, 2, &geometry)?)?;
    /// assert_eq!(scores.peak, Some(0));
    /// assert!(scores.energy.unwrap()[0] > 0.5 && scores.auc[0] > 0.9);
    /// # Ok::<(), famlens::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for a grid without tiles or with more tiles than pixels.
    pub fn measure(self, view: &MapView<'_>) -> Result<TileScores> {
        let (width, height) = view.geometry().photo_size();
        let fits = |tiles: usize, side: u32| tiles >= 1 && tiles <= side as usize;
        if !fits(self.columns, width) || !fits(self.rows, height) {
            let reason = format!("{} x {} do not divide {width} x {height} pixels", self.columns, self.rows);
            return Err(Error::argument("tiles", reason));
        }
        let samples = self.samples(view);
        let mut energy = vec![0.0; self.count()];
        samples.iter().for_each(|&(tile, value)| energy[tile] += f64::from(value.max(0.0)));
        let total: f64 = energy.iter().sum();
        energy.iter_mut().for_each(|share| *share /= total);
        let peak = (!view.is_constant()).then(|| {
            let ((x, y), _) = view.peak();
            self.tile(x / f64::from(width), y / f64::from(height))
        });
        Ok(TileScores { energy: (total > 0.0).then_some(energy), peak, auc: areas(samples, self.count()) })
    }

    /// The tile of a point, in shares of the sides.
    fn tile(self, x: f64, y: f64) -> usize {
        let at = |share: f64, tiles: usize| ((share * tiles as f64) as usize).min(tiles - 1);
        at(y, self.rows) * self.columns + at(x, self.columns)
    }

    /// Tile and raw value of every sample. The grid of samples is a multiple of the grid of tiles, so that no sample
    /// lies on an edge.
    fn samples(self, view: &MapView<'_>) -> Vec<(usize, f32)> {
        let (width, height) = view.geometry().photo_size();
        let shrink = (f64::from(width.max(height)) / f64::from(MAX_SIDE)).max(1.0);
        let side = |photo: u32, tiles: usize| {
            let per_tile = (f64::from(photo) / shrink / tiles as f64).round().max(1.0);
            (per_tile * tiles as f64) as u32
        };
        let (w, h) = (side(width, self.columns), side(height, self.rows));
        let (min, max) = view.range();
        let mut upsampler = Upsampler::pixels(view, w, h);
        let (columns, rows) = (upsampler.columns(), upsampler.rows());
        let mut samples = Vec::with_capacity(columns.len() * rows.len());
        for (index, y) in rows.enumerate() {
            for (x, &value) in columns.clone().zip(upsampler.row(index)) {
                let tile = self.tile((x as f64 + 0.5) / f64::from(w), (y as f64 + 0.5) / f64::from(h));
                // A constant map has no normalised form; its raw value is everywhere the same.
                samples.push((tile, if view.is_constant() { max } else { min + (max - min) * value }));
            }
        }
        samples
    }
}

/// The Mann-Whitney statistic of each tile against the rest, from the ranks of all samples, ties sharing theirs.
fn areas(mut samples: Vec<(usize, f32)>, tiles: usize) -> Vec<f64> {
    samples.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (mut ranks, mut counts) = (vec![0.0; tiles], vec![0usize; tiles]);
    let mut before = 0;
    for equal in samples.chunk_by(|a, b| a.1 == b.1) {
        let rank = before as f64 + (equal.len() + 1) as f64 / 2.0;
        for &(tile, _) in equal {
            ranks[tile] += rank;
            counts[tile] += 1;
        }
        before += equal.len();
    }
    let area = |(rank, inside): (f64, usize)| {
        let (n, rest) = (inside as f64, (samples.len() - inside) as f64);
        if n * rest > 0.0 { (rank - n * (n + 1.0) / 2.0) / (n * rest) } else { 0.5 }
    };
    ranks.into_iter().zip(counts).map(area).collect()
}

/// Pearson correlation of two maps, -1 to 1; `None` if they differ in length or one of them is constant.
///
/// Between the maps of the right class and of a wrong one it says how class-agnostic a method is; between the maps of a
/// trained and of a randomised network, how little the method depends on what was learned.
///
/// ```
/// use famlens::metrics::correlation;
/// assert!((correlation(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]).unwrap() - 1.0).abs() < 1e-12);
/// assert_eq!(correlation(&[1.0, 2.0], &[5.0, 5.0]), None);
/// ```
pub fn correlation(a: &[f32], b: &[f32]) -> Option<f64> {
    let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    pearson(&wide(a), &wide(b))
}

/// Spearman's rank correlation of two maps, ties sharing their rank: what the sanity checks of saliency maps compare
/// (Adebayo et al., arXiv 1810.03292). `None` as in [`correlation`].
///
/// ```
/// use famlens::metrics::rank_correlation;
/// assert!((rank_correlation(&[1.0, 2.0, 3.0], &[1.0, 10.0, 100.0]).unwrap() - 1.0).abs() < 1e-12);
/// ```
pub fn rank_correlation(a: &[f32], b: &[f32]) -> Option<f64> {
    pearson(&ranks(a), &ranks(b))
}

fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let (mut ranks, mut before) = (vec![0.0; values.len()], 0);
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        equal.iter().for_each(|&at| ranks[at] = before as f64 + (equal.len() as f64 - 1.0) / 2.0);
        before += equal.len();
    }
    ranks
}

fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len() as f64;
    if a.len() != b.len() || a.is_empty() {
        return None;
    }
    let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let moments = |(aa, bb, ab): (f64, f64, f64), (x, y): (&f64, &f64)| {
        let (x, y) = (x - ma, y - mb);
        (aa + x * x, bb + y * y, ab + x * y)
    };
    let (aa, bb, ab) = a.iter().zip(b).fold((0.0, 0.0, 0.0), moments);
    // Rounding is no variation.
    let varies = |sum: f64, mean: f64| (sum / n).sqrt() > 1e-7 * mean.abs();
    (varies(aa, ma) && varies(bb, mb)).then(|| (ab / (aa * bb).sqrt()).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Geometry, GeometryMode};

    fn measure(map: &[f32], width: usize, tiles: Tiles) -> TileScores {
        let geometry = Geometry::new(GeometryMode::Squash, (120, 120), 120, 20).unwrap();
        tiles.measure(&MapView::new(map, width, map.len() / width, &geometry).unwrap()).unwrap()
    }

    #[test]
    fn a_flat_map_is_at_chance() {
        for side in [2, 3] {
            let tiles = Tiles::square(side);
            let found = measure(&[2.0; 36], 6, tiles);
            assert!(found.energy.unwrap().iter().all(|share| (share - tiles.chance()).abs() < 1e-9));
            assert_eq!(found.peak, None);
            assert!(found.auc.iter().all(|&area| area == 0.5));
        }
    }

    #[test]
    fn energy_peak_and_area_of_a_lit_tile() {
        // Row 1, column 2 of a 3 x 3 mosaic, each tile 4 x 4 cells so that most of the light stays inside.
        let map: Vec<f32> = (0..144).map(|i| f32::from(u8::from(i / 12 / 4 == 1 && i % 12 / 4 == 2))).collect();
        let found = measure(&map, 12, Tiles::square(3));
        assert_eq!(found.peak, Some(5));
        let energy = found.energy.unwrap();
        assert!((energy.iter().sum::<f64>() - 1.0).abs() < 1e-9 && energy[5] > 0.75, "{energy:?}");
        assert!(found.auc[5] > 0.99 && found.auc[0] < 0.5, "{:?}", found.auc);
        // Negative evidence elsewhere has no energy but lowers nothing else.
        let negative: Vec<f32> = map.iter().map(|v| v - 1.0).collect();
        let found = measure(&negative, 12, Tiles::square(3));
        assert_eq!((found.energy, found.peak), (None, Some(5)));
    }

    #[test]
    fn areas_are_the_share_of_ordered_pairs() {
        // Tile 0 holds 1 and 3, tile 1 holds 2, 3 and 0: of six pairs three are in order and one is tied.
        let found = areas(vec![(0, 1.0), (0, 3.0), (1, 2.0), (1, 3.0), (1, 0.0)], 2);
        assert!((found[0] - 3.5 / 6.0).abs() < 1e-12 && (found[1] - 2.5 / 6.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn correlations_by_hand() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 4.0, 3.0]);
        assert!((correlation(&a, &b).unwrap() - 0.6).abs() < 1e-12);
        assert!((correlation(&a, &[4.0, 3.0, 2.0, 1.0]).unwrap() + 1.0).abs() < 1e-12);
        assert!((rank_correlation(&[0.0, 5.0, 5.0, 9.0], &[1.0, 2.0, 2.0, 700.0]).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(correlation(&a, &b[..3]), None);
        assert_eq!(correlation(&[0.1; 9], &[0.3; 9]), None);
    }

    #[test]
    fn tiles_must_fit() {
        let geometry = Geometry::new(GeometryMode::Squash, (2, 2), 32, 32).unwrap();
        let view = MapView::new(&[1.0, 2.0], 2, 1, &geometry).unwrap();
        assert!(Tiles::square(3).measure(&view).is_err());
        assert!(Tiles::square(0).measure(&view).is_err());
    }
}
