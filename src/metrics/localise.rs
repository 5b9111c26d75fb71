//! From a map to a box, by which weakly supervised localisation is scored.

use serde::Serialize;

use super::Threshold;
use crate::error::Result;
use crate::image::Rect;
use crate::overlay::{MapView, Upsampler};

/// Larger photos are localised on a grid of this many samples along the longer side: a map of a few cells has no detail
/// that a finer one would find, and a box is wanted in no time for every class and every move of a slider.
const MAX_SIDE: u32 = 1024;

/// Where a map says that the object is, in photo pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Localisation {
    /// The box around the largest connected region over the threshold, right and bottom exclusive: whole pixels for
    /// photos of up to 1024 pixels a side, and within a thousandth of the side for larger ones.
    #[serde(rename = "box")]
    pub bounds: Rect,
    /// Where the upsampled map is greatest.
    pub peak: [f64; 2],
    /// Pixels of that region.
    pub area: u64,
    /// The share of the map's range from which a pixel counts, 0 to 1: what the threshold comes to for this map.
    pub level: f32,
}

/// Localises what a map points at: min-max normalised at the map's resolution, upsampled bilinearly to the photo's
/// pixels, cut at the threshold, the largest 8-connected region, its box. Of equally large regions the one that
/// starts first, row by row. `None` if the map holds no evidence ([`Threshold::level`]).
///
/// ```
/// use famlens::image::{Geometry, GeometryMode, Rect};
/// use famlens::metrics::{Threshold, localise};
/// use famlens::overlay::MapView;
///
/// let geometry = Geometry::new(GeometryMode::Squash, (60, 60), 96, 32)?;
/// let map = [0.0, 0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0];
/// let found = localise(&MapView::new(&map, 3, 3, &geometry)?, Threshold::default())?.unwrap();
/// assert_eq!(found.bounds, Rect::new(34.0, 14.0, 60.0, 46.0));
/// assert_eq!(found.peak, [50.0, 30.0]);
/// # Ok::<(), famlens::Error>(())
/// ```
///
/// # Errors
/// [`crate::Error::Argument`] if the threshold is outside its range.
pub fn localise(view: &MapView<'_>, threshold: impl Into<Threshold>) -> Result<Option<Localisation>> {
    let Some(level) = threshold.into().level(view)? else { return Ok(None) };
    let (width, height) = view.geometry().photo_size();
    let shrink = (f64::from(width.max(height)) / f64::from(MAX_SIDE)).max(1.0);
    let grid = [width, height].map(|side| ((f64::from(side) / shrink).round() as u32).max(1));
    let mut upsampler = Upsampler::pixels(view, grid[0], grid[1]);
    let (columns, rows) = (upsampler.columns(), upsampler.rows());
    let mut regions = Regions::default();
    for (index, y) in rows.enumerate() {
        regions.push_row(y, columns.start, upsampler.row(index).iter().map(|&value| value >= level));
    }
    let ((x, y), _) = view.peak();
    let [sx, sy] = [f64::from(width) / f64::from(grid[0]), f64::from(height) / f64::from(grid[1])];
    Ok(regions.largest().map(|r| Localisation {
        bounds: Rect::new(r.x0 as f64 * sx, r.y0 as f64 * sy, r.x1 as f64 * sx, r.y1 as f64 * sy),
        peak: [x, y],
        area: (r.area as f64 * sx * sy).round() as u64,
        level,
    }))
}

/// Connected regions of a mask that comes row by row. Only runs of the last row and one record a region are kept, so
/// that a photo of any size needs no mask in memory.
#[derive(Debug, Default)]
struct Regions {
    regions: Vec<Region>,
    previous: Vec<Run>,
}

#[derive(Debug, Clone, Copy)]
struct Region {
    /// The region that this one was found to be part of; itself if none.
    parent: usize,
    area: u64,
    x0: usize,
    y0: usize,
    x1: usize,
    y1: usize,
}

/// Neighbouring pixels of one row that are all in the mask.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: usize,
    end: usize,
    region: usize,
}

impl Regions {
    fn push_row(&mut self, y: usize, first_column: usize, mask: impl Iterator<Item = bool>) {
        let mut runs: Vec<Run> = Vec::new();
        for (x, _) in (first_column..).zip(mask).filter(|(_, set)| *set) {
            match runs.last_mut() {
                Some(run) if run.end == x => run.end = x + 1,
                _ => runs.push(Run { start: x, end: x + 1, region: 0 }),
            }
        }
        let previous = std::mem::take(&mut self.previous);
        let mut from = 0;
        for run in &mut runs {
            let (area, x0, x1) = ((run.end - run.start) as u64, run.start, run.end);
            run.region = self.regions.len();
            self.regions.push(Region { parent: run.region, area, x0, y0: y, x1, y1: y + 1 });
            // Touching at a corner counts, so a run that ends where this one starts is a neighbour.
            while previous.get(from).is_some_and(|above| above.end < run.start) {
                from += 1;
            }
            for above in previous.iter().skip(from).take_while(|above| above.start <= run.end) {
                self.join(above.region, run.region);
            }
        }
        self.previous = runs;
    }

    fn root(&mut self, mut region: usize) -> usize {
        while self.regions[region].parent != region {
            // Halving the path keeps later walks short.
            self.regions[region].parent = self.regions[self.regions[region].parent].parent;
            region = self.regions[region].parent;
        }
        region
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return;
        }
        // The older one stays, so that order among equals is that of their first pixel.
        let (kept, gone) = (a.min(b), a.max(b));
        let Region { area, x0, y0, x1, y1, .. } = self.regions[gone];
        self.regions[gone].parent = kept;
        let kept = &mut self.regions[kept];
        kept.area += area;
        (kept.x0, kept.y0) = (kept.x0.min(x0), kept.y0.min(y0));
        (kept.x1, kept.y1) = (kept.x1.max(x1), kept.y1.max(y1));
    }

    fn largest(&self) -> Option<Region> {
        let roots = self.regions.iter().enumerate().filter(|(at, region)| region.parent == *at).map(|(_, r)| *r);
        roots.reduce(|best, region| if region.area > best.area { region } else { best })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Geometry, GeometryMode};

    fn largest(picture: &[&str]) -> Option<([usize; 4], u64)> {
        let mut regions = Regions::default();
        for (y, row) in picture.iter().enumerate() {
            regions.push_row(y, 0, row.bytes().map(|b| b == b'#'));
        }
        regions.largest().map(|r| ([r.x0, r.y0, r.x1, r.y1], r.area))
    }

    #[test]
    fn regions_touch_at_corners() {
        assert_eq!(largest(&["#..", ".#.", "..#"]), Some(([0, 0, 3, 3], 3)));
        assert_eq!(largest(&["..#", ".#.", "#.."]), Some(([0, 0, 3, 3], 3)));
        assert_eq!(largest(&["#..", "...", "..#"]), Some(([0, 0, 1, 1], 1)));
        assert_eq!(largest(&["...", "..."]), None);
    }

    #[test]
    fn arms_that_meet_below_are_one_region() {
        assert_eq!(largest(&["#.#.##", "#.#...", "###..#"]), Some(([0, 0, 3, 3], 7)));
        assert_eq!(largest(&["#.#.#", ".#.#.", "....."]), Some(([0, 0, 5, 2], 5)));
        assert_eq!(largest(&["####", "...#", "##.#", "#..#", "####"]), Some(([0, 0, 4, 5], 14)));
    }

    #[test]
    fn of_equal_regions_the_first_wins() {
        assert_eq!(largest(&["##..", "...#", "...#"]), Some(([0, 0, 2, 1], 2)));
        assert_eq!(largest(&["##...", "....#", "...##"]), Some(([3, 1, 5, 3], 3)));
    }

    /// The regions of random masks against a flood fill.
    #[test]
    fn random_masks_agree_with_a_flood_fill() {
        let mut state = 1u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        for _ in 0..300 {
            let (w, h, density) = (random() % 20 + 1, random() % 20 + 1, random() % 80 + 10);
            let mask: Vec<bool> = (0..w * h).map(|_| random() % 100 < density).collect();
            let mut regions = Regions::default();
            mask.chunks(w).enumerate().for_each(|(y, row)| regions.push_row(y, 0, row.iter().copied()));
            let found = regions.largest().map(|r| ([r.x0, r.y0, r.x1, r.y1], r.area));
            assert_eq!(found, flood(&mask, w, h));
        }
    }

    fn flood(mask: &[bool], w: usize, h: usize) -> Option<([usize; 4], u64)> {
        let mut left = mask.to_vec();
        let mut best: Option<([usize; 4], u64)> = None;
        for start in 0..mask.len() {
            let (mut stack, mut bounds, mut area) = (vec![start], [w, h, 0, 0], 0);
            while let Some(at) = stack.pop() {
                if !std::mem::take(&mut left[at]) {
                    continue;
                }
                let (x, y) = (at % w, at / w);
                bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x + 1), bounds[3].max(y + 1)];
                area += 1;
                for ny in y.saturating_sub(1)..(y + 2).min(h) {
                    stack.extend((x.saturating_sub(1)..(x + 2).min(w)).map(|nx| ny * w + nx));
                }
            }
            if area > best.map_or(0, |b| b.1) {
                best = Some((bounds, area));
            }
        }
        best
    }

    #[test]
    fn a_crop_localises_within_what_was_seen() {
        let geometry = Geometry::new(GeometryMode::Crop, (300, 100), 100, 20).unwrap();
        let map: Vec<f32> = (0..25).map(|i| if i % 5 == 0 { 1.0 } else { 0.0 }).collect();
        let found = localise(&MapView::new(&map, 5, 5, &geometry).unwrap(), 0.5).unwrap().unwrap();
        assert_eq!(found.bounds, Rect::new(100.0, 0.0, 120.0, 100.0));
        assert_eq!(found.peak, [110.0, 10.0]);
        assert_eq!(found.area, 2000);
    }

    #[test]
    fn no_evidence_gives_no_box_and_thresholds_are_checked() {
        let geometry = Geometry::new(GeometryMode::Squash, (30, 30), 96, 32).unwrap();
        let view = MapView::new(&[2.0; 9], 3, 3, &geometry).unwrap();
        assert_eq!(localise(&view, 0.2).unwrap(), None);
        assert!(localise(&view, 1.5).is_err());
    }
}
