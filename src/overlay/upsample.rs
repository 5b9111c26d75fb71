//! A map's normalised values on a fine grid over the photo.

use std::ops::Range;

use super::view::{MapView, between};

/// Bilinear upsampling with half-pixel centres, row by row, of a map that was min-max normalised at its own resolution.
///
/// Columns and rows that the network did not see are left out: see [`Upsampler::columns`] and [`Upsampler::rows`].
#[derive(Debug)]
pub struct Upsampler<'a> {
    view: MapView<'a>,
    columns: Samples,
    rows: Samples,
    /// One row of the map, between two of its rows.
    mixed: Vec<f32>,
    out: Vec<f32>,
}

impl<'a> Upsampler<'a> {
    /// At the centres of the pixels of a `width` x `height` picture of the whole photo.
    pub fn pixels(view: &MapView<'a>, width: u32, height: u32) -> Self {
        let (photo, covered) = (view.geometry().photo_size(), view.geometry().covered());
        let (xs, columns) = centres(width, photo.0, covered.x0..covered.x1);
        let (ys, rows) = centres(height, photo.1, covered.y0..covered.y1);
        let mut upsampler = Self::at(view, &xs, &ys);
        (upsampler.columns.range, upsampler.rows.range) = (columns, rows);
        upsampler
    }

    /// At every pair of the coordinates given, in photo pixels, ascending.
    pub(super) fn at(view: &MapView<'a>, xs: &[f64], ys: &[f64]) -> Self {
        let (w, h) = (view.width(), view.height());
        let map = |x, y| view.geometry().to_map(w, h, x, y);
        let columns = Samples::new(xs.iter().map(|&x| map(x, 0.0).0), w);
        let rows = Samples::new(ys.iter().map(|&y| map(0.0, y).1), h);
        Self { view: *view, mixed: vec![0.0; w], out: vec![0.0; xs.len()], columns, rows }
    }

    /// Which columns of the picture there are values for.
    pub fn columns(&self) -> Range<usize> {
        self.columns.range.clone()
    }

    /// Which rows of the picture there are values for.
    pub fn rows(&self) -> Range<usize> {
        self.rows.range.clone()
    }

    /// The values, 0 to 1, of one row, counted from the first of [`Upsampler::rows`]. One value for each of
    /// [`Upsampler::columns`]; none if there is no such row.
    pub fn row(&mut self, index: usize) -> &[f32] {
        let (Some(&t), Some(segment)) = (self.rows.fractions.get(index), self.rows.segment(index)) else { return &[] };
        let width = self.view.width();
        let line = |y: usize| self.view.values().iter().skip(y * width).take(width);
        for ((mixed, &a), &b) in self.mixed.iter_mut().zip(line(segment.first)).zip(line(segment.second)) {
            let (a, b) = (self.view.normalize(a), self.view.normalize(b));
            *mixed = a + (b - a) * t;
        }
        // Between two cell centres the values are linear: no look-ups in the inner loop, so that it vectorises.
        for segment in &self.columns.segments {
            let (Some(&a), Some(&b)) = (self.mixed.get(segment.first), self.mixed.get(segment.second)) else {
                continue;
            };
            let range = segment.samples.clone();
            let (Some(out), Some(ts)) = (self.out.get_mut(range.clone()), self.columns.fractions.get(range)) else {
                continue;
            };
            out.iter_mut().zip(ts).for_each(|(out, &t)| *out = a + (b - a) * t);
        }
        &self.out
    }
}

/// Sample positions along one axis.
#[derive(Debug)]
struct Samples {
    /// Pixels of the picture that the samples belong to.
    range: Range<usize>,
    /// How far each sample is from the first cell of its segment to the second.
    fractions: Vec<f32>,
    segments: Vec<Segment>,
}

/// Samples between the same two cell centres.
#[derive(Debug)]
struct Segment {
    samples: Range<usize>,
    first: usize,
    second: usize,
}

impl Samples {
    /// From ascending coordinates in cells.
    fn new(coordinates: impl Iterator<Item = f64>, cells: usize) -> Self {
        let (mut fractions, mut segments) = (Vec::new(), Vec::<Segment>::new());
        for coordinate in coordinates {
            let (first, second, fraction) = between(coordinate, cells);
            let at = fractions.len();
            fractions.push(fraction);
            match segments.last_mut() {
                Some(last) if last.first == first => last.samples.end = at + 1,
                _ => segments.push(Segment { samples: at..at + 1, first, second }),
            }
        }
        Self { range: 0..fractions.len(), fractions, segments }
    }

    fn segment(&self, index: usize) -> Option<&Segment> {
        self.segments.get(self.segments.partition_point(|s| s.samples.end <= index))
    }
}

/// Coordinates, in photo pixels, of the pixel centres of a picture with `n` pixels across the photo's `photo`, as far
/// as they are covered; and which pixels those are.
fn centres(n: u32, photo: u32, covered: Range<f64>) -> (Vec<f64>, Range<usize>) {
    let centre = |i: u32| (f64::from(i) + 0.5) * f64::from(photo) / f64::from(n);
    let start = (0..n).find(|&i| covered.contains(&centre(i))).unwrap_or(n);
    let xs: Vec<f64> = (start..n).map(centre).take_while(|x| covered.contains(x)).collect();
    let range = start as usize..start as usize + xs.len();
    (xs, range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Geometry, GeometryMode};

    #[test]
    fn rows_agree_with_single_values() {
        let map: Vec<f32> = (0..30).map(|i| (i * 7 % 11) as f32).collect();
        for mode in GeometryMode::ALL {
            let geometry = Geometry::new(mode, (60, 37), 160, 32).unwrap();
            let view = MapView::new(&map, 6, 5, &geometry).unwrap();
            for (w, h) in [(60u32, 37u32), (13, 90), (1, 1)] {
                let mut upsampler = Upsampler::pixels(&view, w, h);
                let (columns, rows) = (upsampler.columns(), upsampler.rows());
                for y in 0..h as usize {
                    for x in 0..w as usize {
                        let centre = |i: usize, n: u32, photo: f64| (i as f64 + 0.5) * photo / f64::from(n);
                        let (px, py) = (centre(x, w, 60.0), centre(y, h, 37.0));
                        let inside = columns.contains(&x) && rows.contains(&y);
                        assert_eq!(geometry.covered().contains(px, py), inside, "{mode} {w} x {h} at {x}, {y}");
                        if let Some(expected) = view.value_at(px, py).filter(|_| inside) {
                            let found = upsampler.row(y - rows.start)[x - columns.start];
                            assert!((found - view.normalize(expected)).abs() < 1e-5, "{mode} {w} x {h} at {x}, {y}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn there_is_nothing_outside() {
        let geometry = Geometry::new(GeometryMode::Squash, (4, 4), 32, 32).unwrap();
        let view = MapView::new(&[0.0, 1.0], 2, 1, &geometry).unwrap();
        assert!(Upsampler::pixels(&view, 4, 4).row(4).is_empty());
        assert!(Upsampler::pixels(&view, 0, 0).row(0).is_empty());
    }
}
