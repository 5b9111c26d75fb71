//! The outline of the places where a map is over a threshold.

use super::upsample::Upsampler;
use super::view::MapView;
use crate::error::{Error, Result};

/// Samples between the centres of two neighbouring cells, along each axis: fine enough that straight lines between them
/// look like the curves they stand for.
const SAMPLES_PER_CELL: usize = 8;

/// Most samples along one axis.
const MAX_SAMPLES: usize = 512;

/// The outlines of the region where the upsampled, min-max normalised map is at least `threshold` (0 to 1): closed
/// polylines in photo pixels, the first point not repeated, with the region to their right (clockwise on the screen,
/// and holes the other way round). Empty for a map without evidence.
///
/// Found by marching squares on a grid somewhat finer than the map, so that the cost does not depend on the photo's
/// size.
///
/// # Errors
/// [`Error::Argument`] if the threshold is not within 0 and 1.
pub fn contours(view: &MapView<'_>, threshold: f32) -> Result<Vec<Vec<[f64; 2]>>> {
    if !(0.0..=1.0).contains(&threshold) {
        return Err(Error::argument("threshold", format!("{threshold} is not within 0 and 1")));
    }
    if view.is_constant() {
        return Ok(Vec::new());
    }
    let grid = Grid::new(view, threshold);
    Ok(grid.outlines())
}

/// Samples over the covered part of the photo, with a ring of values below any threshold around them that lies on the
/// outermost samples: so every outline is closed, and runs along the border where the region reaches it.
struct Grid {
    xs: Vec<f64>,
    ys: Vec<f64>,
    values: Vec<f32>,
    threshold: f32,
}

/// No outline passes here.
const NONE: usize = usize::MAX;

impl Grid {
    fn new(view: &MapView<'_>, threshold: f32) -> Self {
        let covered = view.geometry().covered();
        let xs = spread(covered.x0, covered.x1, view.width());
        let ys = spread(covered.y0, covered.y1, view.height());
        let mut upsampler = Upsampler::at(view, &xs, &ys);
        let width = xs.len() + 2;
        let mut values = vec![-1.0; width];
        for y in 0..ys.len() {
            values.push(-1.0);
            values.extend_from_slice(upsampler.row(y));
            values.push(-1.0);
        }
        values.resize(values.len() + width, -1.0);
        Self { xs: ringed(xs), ys: ringed(ys), values, threshold }
    }

    fn value(&self, x: usize, y: usize) -> f32 {
        self.values.get(y * self.xs.len() + x).copied().unwrap_or(-1.0)
    }

    /// Number of one side (clockwise: 0 top, 1 right, 2 bottom, 3 left) of the square whose top left sample is at `x`,
    /// `y`; shared with the square beyond that side. Even numbers run along x, odd ones along y.
    fn side(&self, x: usize, y: usize, side: usize) -> usize {
        let sample = |x: usize, y: usize| y * self.xs.len() + x;
        match side {
            0 => 2 * sample(x, y),
            1 => 2 * sample(x + 1, y) + 1,
            2 => 2 * sample(x, y + 1),
            _ => 2 * sample(x, y) + 1,
        }
    }

    fn outlines(&self) -> Vec<Vec<[f64; 2]>> {
        let mut next = self.links();
        let mut outlines = Vec::new();
        for start in 0..next.len() {
            let mut outline: Vec<[f64; 2]> = Vec::new();
            let mut side = start;
            // Each side is entered once, so taking the links away both walks the outline and ends it.
            while let Some(link) = next.get_mut(side).filter(|link| **link != NONE) {
                let point = self.crossing(side);
                if outline.last() != Some(&point) {
                    outline.push(point);
                }
                side = std::mem::replace(link, NONE);
            }
            if outline.len() > 1 && outline.first() == outline.last() {
                outline.pop();
            }
            if outline.len() > 2 {
                outlines.push(outline);
            }
        }
        outlines
    }

    /// For each side that an outline crosses, the side that it crosses next.
    fn links(&self) -> Vec<usize> {
        let mut next = vec![NONE; 2 * self.values.len()];
        for y in 0..self.ys.len() - 1 {
            for x in 0..self.xs.len() - 1 {
                let corners = [self.value(x, y), self.value(x + 1, y), self.value(x + 1, y + 1), self.value(x, y + 1)];
                let inside = corners.map(|v| v >= self.threshold);
                // Going round clockwise, an outline starts where the region is left and ends where it is entered.
                let starts = (0..4).filter(|&s| inside[s] && !inside[(s + 1) % 4]);
                let ends = |s: usize| !inside[s] && inside[(s + 1) % 4];
                for start in starts {
                    // Two corners across from each other: whether the region joins in the middle decides where to go.
                    let joined = corners.iter().sum::<f32>() / 4.0 >= self.threshold;
                    let order = if joined { [1, 2, 3] } else { [3, 2, 1] };
                    if let Some(end) = order.into_iter().map(|step| (start + step) % 4).find(|&s| ends(s))
                        && let Some(link) = next.get_mut(self.side(x, y, start))
                    {
                        *link = self.side(x, y, end);
                    }
                }
            }
        }
        next
    }

    /// Where the map crosses the threshold between the two samples of a side.
    fn crossing(&self, side: usize) -> [f64; 2] {
        let (x, y) = (side / 2 % self.xs.len(), side / 2 / self.xs.len());
        let (x1, y1) = if side.is_multiple_of(2) { (x + 1, y) } else { (x, y + 1) };
        let (a, b) = (self.value(x, y), self.value(x1, y1));
        let t = f64::from((self.threshold - a) / (b - a));
        let (px, py) = (&self.xs, &self.ys);
        [px[x] + (px[x1] - px[x]) * t, py[y] + (py[y1] - py[y]) * t]
    }
}

/// Evenly spaced coordinates with both ends.
fn spread(from: f64, to: f64, cells: usize) -> Vec<f64> {
    let steps = (cells * SAMPLES_PER_CELL).min(MAX_SAMPLES);
    (0..=steps).map(|i| from + (to - from) * i as f64 / steps as f64).collect()
}

fn ringed(mut coordinates: Vec<f64>) -> Vec<f64> {
    if let (Some(&first), Some(&last)) = (coordinates.first(), coordinates.last()) {
        coordinates.insert(0, first);
        coordinates.push(last);
    }
    coordinates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Geometry, GeometryMode};

    /// Signed area, positive for clockwise on the screen (y down).
    fn area(outline: &[[f64; 2]]) -> f64 {
        let next = outline.iter().cycle().skip(1);
        outline.iter().zip(next).map(|([x0, y0], [x1, y1])| x0 * y1 - x1 * y0).sum::<f64>() / 2.0
    }

    fn outline(map: &[f32], width: usize, threshold: f32) -> Vec<Vec<[f64; 2]>> {
        let side = 10 * width as u32;
        let geometry = Geometry::new(GeometryMode::Squash, (side, side), 224, 32).unwrap();
        contours(&MapView::new(map, width, width, &geometry).unwrap(), threshold).unwrap()
    }

    #[test]
    fn one_peak_gives_one_outline_around_it() {
        let mut map = [0.0; 49];
        map[3 * 7 + 3] = 1.0;
        let outlines = outline(&map, 7, 0.5);
        assert_eq!(outlines.len(), 1);
        // The tent is (1 - |u|) (1 - |v|) in cells: over one half it has the area 2 - 2 ln 2 cells.
        let expected = 100.0 * (2.0 - 2.0 * std::f64::consts::LN_2);
        assert!((area(&outlines[0]) - expected).abs() < 0.02 * expected, "{}", area(&outlines[0]));
        assert!(outlines[0].iter().all(|&[x, y]| (30.0..=40.0).contains(&x) && (30.0..=40.0).contains(&y)));
    }

    #[test]
    fn the_border_closes_a_region() {
        let outlines = outline(&[1.0, 0.0, 1.0, 0.0], 2, 0.5);
        assert_eq!(outlines.len(), 1);
        assert!((area(&outlines[0]) - 200.0).abs() < 1e-6);
        let x = outlines[0].iter().map(|p| p[0]);
        assert_eq!((x.clone().fold(f64::MAX, f64::min), x.fold(0.0, f64::max)), (0.0, 10.0));
    }

    #[test]
    fn a_hole_runs_the_other_way_round() {
        let mut map = [1.0; 25];
        map[12] = 0.0;
        let outlines = outline(&map, 5, 0.5);
        let mut areas: Vec<f64> = outlines.iter().map(|o| area(o)).collect();
        areas.sort_by(f64::total_cmp);
        assert_eq!(areas.len(), 2);
        assert!(areas[0] < 0.0 && (areas[1] - 2500.0).abs() < 1e-6, "{areas:?}");
    }

    #[test]
    fn two_peaks_across_a_corner_join_or_part_by_the_middle() {
        let map = [1.0, 0.0, 0.0, 1.0];
        assert_eq!(outline(&map, 2, 0.45).len(), 1);
        assert_eq!(outline(&map, 2, 0.55).len(), 2);
    }

    #[test]
    fn thresholds_are_checked_and_extremes_hold() {
        assert!(outline(&[1.0; 4], 2, 0.5).is_empty());
        assert!((area(&outline(&[1.0, 0.0, 0.0, 0.0], 2, 0.0)[0]) - 400.0).abs() < 1e-6);
        let geometry = Geometry::new(GeometryMode::Squash, (8, 8), 32, 32).unwrap();
        let view = MapView::new(&[1.0, 0.0], 2, 1, &geometry).unwrap();
        for threshold in [-0.1, 1.1, f32::NAN] {
            assert!(contours(&view, threshold).is_err());
        }
    }
}
