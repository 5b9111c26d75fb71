//! A raw map laid over its photo.

use crate::error::{Error, Result};
use crate::image::{Geometry, Rect};

/// A map's values together with where they lie on the photo. Values stay raw; they are min-max normalised only to be
/// shown or compared with a threshold.
#[derive(Debug, Clone, Copy)]
pub struct MapView<'a> {
    values: &'a [f32],
    width: usize,
    height: usize,
    geometry: &'a Geometry,
    min: f32,
    max: f32,
    /// What is shown as 0 and as 1, where it is not the map's own range.
    scale: Option<(f32, f32)>,
}

impl<'a> MapView<'a> {
    /// A map of `height` rows of `width` cells, row-major, that covers the network's input evenly.
    ///
    /// # Errors
    /// [`Error::Argument`] if the number of values does not fit, there are none, or one is not finite.
    pub fn new(values: &'a [f32], width: usize, height: usize, geometry: &'a Geometry) -> Result<Self> {
        if values.is_empty() || width.checked_mul(height) != Some(values.len()) {
            let reason = format!("{width} x {height} cells do not fit {} values", values.len());
            return Err(Error::argument("map", reason));
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            let reason = format!("the value in column {}, row {} is {}", at % width, at / width, values[at]);
            return Err(Error::argument("map", reason));
        }
        let (mut min, mut max) = (f32::INFINITY, f32::NEG_INFINITY);
        let mut extend = |cells: &mut dyn Iterator<Item = f32>| {
            for value in cells {
                (min, max) = (min.min(value), max.max(value));
            }
        };
        // Cells in the padding of a letterbox say nothing about the photo, so they do not set its range.
        let columns: Vec<bool> = (0..width).map(|x| geometry.cell_rect(width, height, x, 0).width() > 0.0).collect();
        for (y, row) in values.chunks_exact(width).enumerate() {
            if geometry.cell_rect(width, height, 0, y).height() > 0.0 {
                extend(&mut row.iter().zip(&columns).filter(|(_, shown)| **shown).map(|(v, _)| *v));
            }
        }
        Ok(Self { values, width, height, geometry, min, max, scale: None })
    }

    /// The same map on a scale that it shares with others: `low` is shown as 0 and `high` as 1. What is beyond is shown
    /// like the end that it is beyond. A scale without length leaves the map's own range.
    pub fn on_scale(self, low: f32, high: f32) -> Self {
        Self { scale: (high > low).then_some((low, high)), ..self }
    }

    /// Whether the map singles out nothing: it is the same everywhere, or nowhere above the low end of a scale that it
    /// shares with others.
    pub fn is_empty(&self) -> bool {
        self.is_constant() || self.scale.is_some_and(|(low, _)| self.max <= low)
    }

    /// The raw values, row-major.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Where the map lies on the photo.
    pub fn geometry(&self) -> &'a Geometry {
        self.geometry
    }

    /// Least and greatest raw value over the photo.
    pub fn range(&self) -> (f32, f32) {
        (self.min, self.max)
    }

    /// Whether all cells have the same value up to rounding, so that the map singles out no part of the photo: there is
    /// nothing to normalise, and showing it stretched would show noise.
    pub fn is_constant(&self) -> bool {
        self.max - self.min <= 1e-6 * self.max.abs().max(self.min.abs())
    }

    /// A raw value on the scale from 0 (least) to 1 (greatest), clamped; 0 for a constant map.
    pub fn normalize(&self, value: f32) -> f32 {
        let (low, high) = self.scale.unwrap_or((self.min, self.max));
        if self.is_constant() { 0.0 } else { ((value - low) / (high - low)).clamp(0.0, 1.0) }
    }

    /// The raw value at a point of the photo, in photo pixels, interpolated as in [`super::render`]; `None` where the
    /// network did not look.
    pub fn value_at(&self, x: f64, y: f64) -> Option<f32> {
        let Rect { x0, y0, x1, y1 } = self.geometry.covered();
        if !(x0..=x1).contains(&x) || !(y0..=y1).contains(&y) {
            return None;
        }
        let (u, v) = self.geometry.to_map(self.width, self.height, x, y);
        let ((left, right, s), (top, bottom, t)) = (between(u, self.width), between(v, self.height));
        let at = |x: usize, y: usize| self.values.get(y * self.width + x).copied().unwrap_or_default();
        let row = |y: usize| at(left, y) + (at(right, y) - at(left, y)) * s;
        Some(row(top) + (row(bottom) - row(top)) * t)
    }

    /// The point of the photo, in its pixels, where the upsampled map is greatest, and the raw value there. Of equal
    /// points the first, row by row.
    pub fn peak(&self) -> ((f64, f64), f32) {
        // A bilinear surface has its maximum at a cell's centre, or on the edge of what is covered where that edge cuts
        // a cell off from its centre.
        let Rect { x0, y0, x1, y1 } = self.geometry.covered();
        let mut best = ((x0, y0), f32::NEG_INFINITY);
        for iy in 0..self.height {
            for ix in 0..self.width {
                let (x, y) = self.geometry.map_to_photo(self.width, self.height, ix as f64 + 0.5, iy as f64 + 0.5);
                let (x, y) = (x.clamp(x0, x1), y.clamp(y0, y1));
                if let Some(value) = self.value_at(x, y).filter(|&value| value > best.1) {
                    best = ((x, y), value);
                }
            }
        }
        best
    }
}

/// The two cells whose centres lie around a coordinate (cell `i` spans `i` to `i + 1`), and how far it is from the
/// first to the second, 0 to 1. Beyond the outermost centres the value stays that of the outermost cell.
pub(super) fn between(coordinate: f64, cells: usize) -> (usize, usize, f32) {
    let last = cells.saturating_sub(1);
    let from_centre = (coordinate - 0.5).clamp(0.0, last as f64);
    let first = (from_centre as usize).min(last.saturating_sub(1));
    (first, (first + 1).min(last), (from_centre - first as f64) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::GeometryMode;

    fn squash(w: u32, h: u32) -> Geometry {
        Geometry::new(GeometryMode::Squash, (w, h), 224, 32).unwrap()
    }

    #[test]
    fn values_interpolate_between_cell_centres() {
        let g = squash(40, 20);
        let view = MapView::new(&[0.0, 1.0, 2.0, 3.0], 2, 2, &g).unwrap();
        assert_eq!(view.value_at(10.0, 5.0), Some(0.0));
        assert_eq!(view.value_at(30.0, 15.0), Some(3.0));
        assert_eq!(view.value_at(20.0, 10.0), Some(1.5));
        assert_eq!(view.value_at(0.0, 0.0), Some(0.0));
        assert_eq!(view.value_at(40.0, 20.0), Some(3.0));
        assert_eq!(view.value_at(40.1, 20.0), None);
        assert_eq!(view.value_at(f64::NAN, 1.0), None);
        assert_eq!(view.range(), (0.0, 3.0));
        assert_eq!(view.normalize(1.5), 0.5);
    }

    #[test]
    fn one_cell_is_the_same_everywhere() {
        let g = squash(40, 20);
        let view = MapView::new(&[5.0], 1, 1, &g).unwrap();
        assert_eq!(view.value_at(3.0, 4.0), Some(5.0));
        assert!(view.is_constant());
        assert_eq!(view.normalize(5.0), 0.0);
    }

    #[test]
    fn maps_share_a_scale() {
        let g = squash(40, 20);
        let view = MapView::new(&[0.0, 1.0, 2.0, 3.0], 2, 2, &g).unwrap().on_scale(0.0, 6.0);
        assert_eq!((view.normalize(3.0), view.normalize(9.0), view.normalize(-1.0)), (0.5, 1.0, 0.0));
        assert_eq!((view.range(), view.is_empty()), ((0.0, 3.0), false));
        assert!(MapView::new(&[0.0, -1.0, 0.0, -2.0], 2, 2, &g).unwrap().on_scale(0.0, 6.0).is_empty());
        assert_eq!(MapView::new(&[0.0, 1.0, 2.0, 4.0], 2, 2, &g).unwrap().on_scale(1.0, 1.0).normalize(1.0), 0.25);
    }

    #[test]
    fn rounding_noise_is_constant() {
        let g = squash(40, 20);
        assert!(MapView::new(&[0.0; 4], 2, 2, &g).unwrap().is_constant());
        assert!(MapView::new(&[1.0, 1.0 + f32::EPSILON, 1.0, 1.0], 2, 2, &g).unwrap().is_constant());
        assert!(!MapView::new(&[1e-20, 0.0, 0.0, 0.0], 2, 2, &g).unwrap().is_constant());
    }

    #[test]
    fn peaks_are_cell_centres_within_the_photo() {
        let g = squash(70, 70);
        let mut map = [0.0; 49];
        map[2 * 7 + 5] = 1.0;
        assert_eq!(MapView::new(&map, 7, 7, &g).unwrap().peak(), ((55.0, 25.0), 1.0));

        // Rows 0 and 6 lie in the padding, row 1 by a half.
        let wide = Geometry::new(GeometryMode::Letterbox, (140, 80), 140, 20).unwrap();
        let mut map = [0.0; 49];
        map[3] = 9.0;
        map[7 + 3] = 1.0;
        let view = MapView::new(&map, 7, 7, &wide).unwrap();
        assert_eq!(view.range(), (0.0, 1.0));
        let ((x, y), value) = view.peak();
        assert_eq!((x, y), (70.0, 0.0));
        assert!(value >= 1.0, "the neighbour in the padding reaches in: {value}");
    }

    #[test]
    fn bad_maps_are_refused() {
        let g = squash(40, 20);
        assert!(MapView::new(&[], 0, 0, &g).is_err());
        assert!(MapView::new(&[1.0; 5], 2, 2, &g).is_err());
        let error = MapView::new(&[1.0, 1.0, f32::NAN, 1.0], 2, 2, &g).unwrap_err();
        assert!(error.to_string().contains("column 0, row 1"), "{error}");
    }
}
