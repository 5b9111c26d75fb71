//! Measures of maps: localisation against boxes and masks that people drew, faithfulness to the model's confidence,
//! class specificity, and the statistics that every mean needs. [`boxes`] reads the drawn boxes.
//!
//! All are pure functions. No figure means much alone. A table shows localisation beside its [`Floor`]s, which score
//! high on photos with one large object, faithfulness beside its [`Control`]s, mosaics beside chance, and every mean
//! with its interval.

pub mod boxes;
mod faithfulness;
mod localise;
mod open_set;
mod report;
mod scores;
mod specificity;
mod statistics;
mod threshold;

pub use faithfulness::{Control, Fill, Perturbed, area_under, confidence, drop_in_confidence};
pub use localise::{Localisation, localise};
pub use open_set::{Answer, OpenSet, open_set};
pub use report::{Aggregate, Difference, MEASURES, Measure, Row, Summary, chance_to_win, summarise};
pub use scores::{CORLOC_IOU, Floor, LocalisationScores, Mask, MaskScores, ObjectSize, score_map};
pub use specificity::{TileScores, Tiles, correlation, rank_correlation};
pub use statistics::{Bootstrap, Interval, Paired, bootstrap, bootstrap_groups, paired};
pub use threshold::Threshold;

use crate::image::Rect;
use crate::overlay::{MapView, Upsampler};

/// Intersection over union of two boxes, 0 to 1; 0 if both are empty.
///
/// ```
/// use famlens::image::Rect;
/// use famlens::metrics::iou;
///
/// let (a, b) = (Rect::new(0.0, 0.0, 2.0, 2.0), Rect::new(1.0, 0.0, 3.0, 2.0));
/// assert_eq!(iou(&a, &b), 1.0 / 3.0);
/// ```
pub fn iou(a: &Rect, b: &Rect) -> f64 {
    let common = a.intersection(b).area();
    let union = a.area() + b.area() - common;
    if union > 0.0 { common / union } else { 0.0 }
}

/// Whether a map's peak lies in one of the boxes or within `tolerance` pixels of it: one trial of the pointing game
/// (Zhang et al., arXiv 1608.00507, whose tolerance is 15 pixels).
///
/// ```
/// use famlens::image::Rect;
/// use famlens::metrics::pointing_hit;
///
/// let boxes = [Rect::new(10.0, 10.0, 50.0, 40.0)];
/// assert!(pointing_hit([20.0, 20.0], &boxes, 0.0));
/// assert!(!pointing_hit([60.0, 20.0], &boxes, 0.0));
/// assert!(pointing_hit([60.0, 20.0], &boxes, 15.0));
/// ```
pub fn pointing_hit([x, y]: [f64; 2], boxes: &[Rect], tolerance: f64) -> bool {
    boxes.iter().any(|b| {
        let (dx, dy) = (x - x.clamp(b.x0, b.x1.max(b.x0)), y - y.clamp(b.y0, b.y1.max(b.y0)));
        b.area() > 0.0 && dx.hypot(dy) <= tolerance.max(0.0)
    })
}

/// Share of the map's energy that lies in the boxes, 0 to 1: the energy-based pointing game (Score-CAM,
/// arXiv 1910.01279). The energy is the upsampled map's positive part, pixel by pixel; a pixel counts as inside if its
/// centre is in any box. `None` if nothing in the map is positive.
///
/// The map is taken as it is, not min-max normalised: subtracting its minimum would give maps of a high level a share
/// that they do not have.
pub fn energy_in_boxes(view: &MapView<'_>, boxes: &[Rect]) -> Option<f64> {
    let (width, height) = view.geometry().photo_size();
    let (min, max) = view.range();
    // A constant map has no normalised form, yet it has energy.
    let raw = |value: f32| if view.is_constant() { max } else { min + (max - min) * value };
    let mut upsampler = Upsampler::pixels(view, width, height);
    let (columns, rows) = (upsampler.columns(), upsampler.rows());
    let (mut inside, mut total) = (0.0, 0.0);
    for (index, y) in rows.enumerate() {
        let centre = y as f64 + 0.5;
        let crossed: Vec<&Rect> = boxes.iter().filter(|b| (b.y0..b.y1).contains(&centre)).collect();
        for (x, &value) in columns.clone().zip(upsampler.row(index)) {
            let energy = f64::from(raw(value).max(0.0));
            total += energy;
            if crossed.iter().any(|b| (b.x0..b.x1).contains(&(x as f64 + 0.5))) {
                inside += energy;
            }
        }
    }
    (total > 0.0).then(|| inside / total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Geometry, GeometryMode};

    #[test]
    fn overlaps_are_counted_once() {
        let a = Rect::new(0.0, 0.0, 10.0, 10.0);
        assert_eq!(iou(&a, &a), 1.0);
        assert_eq!(iou(&a, &Rect::new(0.0, 0.0, 5.0, 10.0)), 0.5);
        assert_eq!(iou(&a, &Rect::new(10.0, 0.0, 20.0, 10.0)), 0.0);
        assert_eq!(iou(&Rect::default(), &Rect::default()), 0.0);
    }

    #[test]
    fn an_empty_box_is_never_hit() {
        assert!(!pointing_hit([1.0, 1.0], &[Rect::new(1.0, 1.0, 1.0, 5.0)], 3.0));
        assert!(!pointing_hit([1.0, 1.0], &[], 3.0));
    }

    #[test]
    fn energy_is_shared_by_area_where_the_map_is_flat() {
        let geometry = Geometry::new(GeometryMode::Squash, (100, 60), 96, 32).unwrap();
        let share = |map: &[f32], w: usize, boxes: &[Rect]| {
            energy_in_boxes(&MapView::new(map, w, map.len() / w, &geometry).unwrap(), boxes)
        };
        let left = Rect::new(0.0, 0.0, 25.0, 60.0);
        assert!((share(&[3.0; 4], 2, &[left]).unwrap() - 0.25).abs() < 1e-9);
        // The same box twice is still one box.
        assert!((share(&[3.0; 4], 2, &[left, left]).unwrap() - 0.25).abs() < 1e-9);
        // From 1 on the left to 0 on the right, linear between the centres at 25 and 75.
        let ramp = share(&[1.0, 0.0, 1.0, 0.0], 2, &[left]).unwrap();
        assert!((ramp - 0.5).abs() < 1e-3, "{ramp}");
        // What is negative has no energy.
        assert!(share(&[1.0, -3.0, 1.0, -3.0], 2, &[Rect::new(0.0, 0.0, 50.0, 60.0)]).unwrap() > 0.999);
        assert_eq!(share(&[-1.0, -2.0], 2, &[left]), None);
        assert_eq!(share(&[0.0; 4], 2, &[left]), None);
    }
}
