//! The localisation measures of one map on one photo, and the floors that need no model.

use serde::{Deserialize, Serialize};

use super::{Threshold, energy_in_boxes, iou, localise, pointing_hit};
use crate::error::Result;
use crate::image::{Geometry, GeometryMode, Photo, Rect};
use crate::overlay::{MapView, Upsampler};

/// The IoU from which a box counts as found (CorLoc, Deselaers et al. 2012).
pub const CORLOC_IOU: f64 = 0.5;

/// An object's pixels, as people outlined them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    width: usize,
    height: usize,
    inside: Vec<bool>,
}

impl Mask {
    /// From a mask image: in a grey one, what is at least half as bright as its brightest pixel is the object (so that
    /// 0/1, 0/255 and the vote counts of CUB-200-2011 all work); in a coloured one, as in Pascal VOC, what is neither
    /// black nor VOC's "void" colour (224, 224, 192).
    ///
    /// ```
    /// use famlens::{image::Photo, metrics::Mask};
    /// let photo = Photo::from_rgb(2, 1, vec![0, 0, 0, 200, 200, 200])?;
    /// assert_eq!(Mask::from_photo(&photo).share(), 0.5);
    /// # Ok::<(), famlens::Error>(())
    /// ```
    pub fn from_photo(photo: &Photo) -> Self {
        let pixels = photo.rgb().as_chunks::<3>().0;
        let grey = pixels.iter().all(|[r, g, b]| r == g && g == b);
        let brightest = pixels.iter().map(|[r, ..]| *r).max().unwrap_or_default();
        let is_object = |&[r, g, b]: &[u8; 3]| match grey {
            true => r > 0 && u16::from(r) * 2 >= u16::from(brightest),
            false => [r, g, b] != [0; 3] && [r, g, b] != [224, 224, 192],
        };
        let inside = pixels.iter().map(is_object).collect();
        Self { width: photo.width() as usize, height: photo.height() as usize, inside }
    }

    /// Share of the pixels that are the object's.
    pub fn share(&self) -> f64 {
        self.inside.iter().filter(|inside| **inside).count() as f64 / self.inside.len().max(1) as f64
    }

    /// Whether a point, in shares of the sides, is the object's.
    pub fn contains(&self, x: f64, y: f64) -> bool {
        let at = |share: f64, side: usize| ((share * side as f64) as usize).min(side.saturating_sub(1));
        self.inside.get(at(y, self.height) * self.width + at(x, self.width)).copied().unwrap_or(false)
    }
}

/// How well one map points at the object. All are 0 to 1; a map that is the same everywhere points at nothing and has 0
/// in all but its energy.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalisationScores {
    /// Best IoU of the largest component's box with one of the boxes.
    pub iou: f64,
    /// Whether that IoU is at least 0.5 (CorLoc).
    pub corloc: bool,
    /// Share of the map's energy in the boxes (energy-based pointing game); 0 if nothing in the map is positive.
    pub energy: f64,
    /// Whether the peak lies in a box (pointing game without tolerance).
    pub pointing: bool,
    /// With a mask: IoU of the pixels over the threshold with the mask, the energy in the mask, and whether the peak
    /// lies in the mask.
    pub mask: Option<MaskScores>,
}

/// The same against a mask.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct MaskScores {
    /// IoU of all pixels over the threshold with the mask.
    pub iou: f64,
    /// Share of the map's energy in the mask.
    pub energy: f64,
    /// Whether the peak lies in the mask.
    pub pointing: bool,
}

/// Scores a map against the boxes of its photo, and its mask if there is one. `threshold` as in [`localise`].
///
/// # Errors
/// As [`localise`].
pub fn score_map(
    view: &MapView<'_>,
    boxes: &[Rect],
    mask: Option<&Mask>,
    threshold: impl Into<Threshold>,
) -> Result<LocalisationScores> {
    let threshold = threshold.into();
    let level = threshold.level(view)?;
    let found = localise(view, threshold)?;
    let best = found.map_or(0.0, |found| boxes.iter().map(|b| iou(&found.bounds, b)).fold(0.0, f64::max));
    Ok(LocalisationScores {
        iou: best,
        corloc: best >= CORLOC_IOU,
        energy: energy_in_boxes(view, boxes).unwrap_or(0.0),
        pointing: found.is_some_and(|found| pointing_hit(found.peak, boxes, 0.0)),
        mask: mask.map(|mask| score_mask(view, mask, found.map(|found| found.peak), level)),
    })
}

/// Longer sides are sampled: see [`localise`].
const MAX_SIDE: u32 = 512;

fn score_mask(view: &MapView<'_>, mask: &Mask, peak: Option<[f64; 2]>, level: Option<f32>) -> MaskScores {
    let (width, height) = view.geometry().photo_size();
    let shrink = (f64::from(width.max(height)) / f64::from(MAX_SIDE)).max(1.0);
    let [w, h] = [width, height].map(|side| ((f64::from(side) / shrink).round() as u32).max(1));
    let (min, max) = view.range();
    let mut upsampler = Upsampler::pixels(view, w, h);
    let (columns, rows) = (upsampler.columns(), upsampler.rows());
    let (mut common, mut over, mut inside_energy, mut energy) = (0.0, 0.0, 0.0, 0.0);
    let mut inside_seen = 0.0;
    for (index, y) in rows.enumerate() {
        for (x, &value) in columns.clone().zip(upsampler.row(index)) {
            let inside = mask.contains((x as f64 + 0.5) / f64::from(w), (y as f64 + 0.5) / f64::from(h));
            let raw = if view.is_constant() { max } else { min + (max - min) * value };
            let (raw, lit) = (f64::from(raw.max(0.0)), level.is_some_and(|level| value >= level));
            energy += raw;
            over += f64::from(u8::from(lit));
            if inside {
                inside_seen += 1.0;
                inside_energy += raw;
                common += f64::from(u8::from(lit));
            }
        }
    }
    // Of a cropped photo the mask counts as a whole: what the network did not see it cannot have found.
    let object = (mask.share() * f64::from(w) * f64::from(h)).max(inside_seen);
    let union = over + object - common;
    MaskScores {
        iou: if union > 0.0 { common / union } else { 0.0 },
        energy: if energy > 0.0 { inside_energy / energy } else { 0.0 },
        pointing: peak.is_some_and(|[x, y]| mask.contains(x / f64::from(width), y / f64::from(height))),
    }
}

/// What a photo's object needs no model for: guesses that every table of localisation shows beside the maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Floor {
    /// The whole photo is the box, every pixel alike.
    WholePhoto,
    /// A centred box of 80 % of each side.
    CentreBox,
    /// A Gaussian at the centre with a deviation of a quarter of each side, treated like any map.
    CentreGaussian,
}

impl Floor {
    /// Every floor.
    pub const ALL: [Self; 3] = [Self::WholePhoto, Self::CentreBox, Self::CentreGaussian];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::WholePhoto => "floor: whole photo",
            Self::CentreBox => "floor: centred 80 % box",
            Self::CentreGaussian => "floor: centred Gaussian",
        }
    }

    /// Scores the guess on a photo of `size` pixels.
    ///
    /// ```
    /// use famlens::image::Rect;
    /// use famlens::metrics::Floor;
    /// let scores = Floor::WholePhoto.score((10, 10), &[Rect::new(0.0, 0.0, 10.0, 4.0)], None, 0.2)?;
    /// assert!((scores.iou - 0.4).abs() < 1e-9 && (scores.energy - 0.4).abs() < 1e-9);
    /// # Ok::<(), famlens::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`localise`]; [`crate::Error::Argument`] for a photo without pixels.
    pub fn score(
        self,
        size: (u32, u32),
        boxes: &[Rect],
        mask: Option<&Mask>,
        threshold: impl Into<Threshold>,
    ) -> Result<LocalisationScores> {
        // A map of the guess over the whole photo: fine enough that a tenth of a side is whole cells.
        const CELLS: usize = 160;
        let geometry = Geometry::new(GeometryMode::Squash, size, CELLS as u32, 1)?;
        let at = |i: usize| (i as f64 + 0.5) / CELLS as f64 - 0.5;
        let inside = |i: usize, share: f64| at(i).abs() < share / 2.0;
        let value = |x: usize, y: usize| match self {
            Self::WholePhoto => 1.0,
            Self::CentreBox => f32::from(u8::from(inside(x, 0.8) && inside(y, 0.8))),
            Self::CentreGaussian => (-(at(x).powi(2) + at(y).powi(2)) / (2.0 * 0.25 * 0.25)).exp() as f32,
        };
        let map: Vec<f32> = (0..CELLS * CELLS).map(|i| value(i % CELLS, i / CELLS)).collect();
        let view = MapView::new(&map, CELLS, CELLS, &geometry)?;
        let mut scores = score_map(&view, boxes, mask, threshold)?;
        let (w, h) = (f64::from(size.0), f64::from(size.1));
        let guess = match self {
            Self::WholePhoto => Rect::new(0.0, 0.0, w, h),
            Self::CentreBox => Rect::new(0.1 * w, 0.1 * h, 0.9 * w, 0.9 * h),
            Self::CentreGaussian => return Ok(scores),
        };
        // The guess is the box itself, not what a threshold makes of it.
        let centre = [w / 2.0, h / 2.0];
        scores.iou = boxes.iter().map(|b| iou(&guess, b)).fold(0.0, f64::max);
        (scores.corloc, scores.pointing) = (scores.iou >= CORLOC_IOU, pointing_hit(centre, boxes, 0.0));
        if let (Some(scores), Some(mask)) = (scores.mask.as_mut(), mask) {
            scores.pointing = mask.contains(0.5, 0.5);
            if self == Self::WholePhoto {
                scores.iou = mask.share();
            }
        }
        Ok(scores)
    }
}

/// The classes of object size that tables show apart: by the share of the photo that the boxes' area takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectSize {
    /// Under 30 %.
    Small,
    /// 30 to 60 %.
    Medium,
    /// Over 60 %.
    Large,
}

impl ObjectSize {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// By the area of the largest of the boxes on a photo of `size` pixels.
    ///
    /// ```
    /// use famlens::image::Rect;
    /// use famlens::metrics::ObjectSize;
    /// assert_eq!(ObjectSize::of((10, 10), &[Rect::new(0.0, 0.0, 5.0, 5.0)]), ObjectSize::Small);
    /// ```
    pub fn of(size: (u32, u32), boxes: &[Rect]) -> Self {
        let largest = boxes.iter().map(Rect::area).fold(0.0, f64::max);
        match largest / (f64::from(size.0) * f64::from(size.1)).max(1.0) {
            share if share < 0.3 => Self::Small,
            share if share <= 0.6 => Self::Medium,
            _ => Self::Large,
        }
    }

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squash(size: (u32, u32)) -> Geometry {
        Geometry::new(GeometryMode::Squash, size, 32, 32).unwrap()
    }

    #[test]
    fn scores_of_a_map_by_hand() {
        // The left third is lit; upsampled to 60 pixels it is 1 up to 10 and falls to 0 at 30, so 0.5 is reached at 20.
        let geometry = squash((60, 60));
        let view = MapView::new(&[1.0, 0.0, 0.0], 3, 1, &geometry).unwrap();
        let boxes = [Rect::new(0.0, 0.0, 20.0, 60.0), Rect::new(40.0, 0.0, 60.0, 60.0)];
        let scores = score_map(&view, &boxes, None, 0.5).unwrap();
        assert!((scores.iou - 1.0).abs() < 1e-9 && scores.corloc && scores.pointing);
        // 10 full columns and a triangle of 10: 17.5 of 20 within the first box, nothing in the second.
        assert!((scores.energy - 17.5 / 20.0).abs() < 1e-3, "{}", scores.energy);
        let far = score_map(&view, &boxes[1..], None, 0.5).unwrap();
        assert_eq!((far.iou, far.corloc, far.pointing), (0.0, false, false));
    }

    #[test]
    fn a_mask_counts_pixels_and_not_its_box() {
        let geometry = squash((60, 60));
        let view = MapView::new(&[1.0, 0.0, 0.0], 3, 1, &geometry).unwrap();
        // Every other row of the left third: half of what is lit is the object.
        let rgb = (0..3600).flat_map(|i| [if i % 60 < 20 && i / 60 % 2 == 0 { 255 } else { 0 }; 3]).collect();
        let mask = Mask::from_photo(&Photo::from_rgb(60, 60, rgb).unwrap());
        assert!((mask.share() - 1.0 / 6.0).abs() < 1e-9);
        let scores = score_map(&view, &[], Some(&mask), 0.5).unwrap().mask.unwrap();
        assert!((scores.iou - 0.5).abs() < 0.02, "{scores:?}");
        assert!((scores.energy - 17.5 / 40.0).abs() < 0.01, "{scores:?}");
    }

    #[test]
    fn masks_of_several_kinds() {
        let share =
            |rgb: &[[u8; 3]]| Mask::from_photo(&Photo::from_rgb(rgb.len() as u32, 1, rgb.concat()).unwrap()).share();
        assert_eq!(share(&[[0; 3], [1; 3], [1; 3], [1; 3]]), 0.75);
        assert_eq!(share(&[[0; 3], [51; 3], [204; 3], [255; 3]]), 0.5, "a minority of CUB's votes is no object");
        assert_eq!(share(&[[0; 3], [64, 0, 0], [224, 224, 192], [0, 0, 0]]), 0.25, "VOC's cat, and its void");
        assert_eq!(share(&[[0; 3], [0; 3]]), 0.0);
    }

    #[test]
    fn floors_by_hand() {
        let boxes = [Rect::new(0.0, 0.0, 50.0, 100.0)];
        let score = |floor: Floor| floor.score((100, 100), &boxes, None, 0.2).unwrap();
        let whole = score(Floor::WholePhoto);
        // Its peak is the centre of the photo, which lies on the box's edge.
        assert!((whole.iou - 0.5).abs() < 1e-9 && whole.corloc && (whole.energy - 0.5).abs() < 1e-9 && whole.pointing);
        // 80 x 80 against the left half: 40 x 80 in common.
        let centre = score(Floor::CentreBox);
        assert!((centre.iou - 3200.0 / 8200.0).abs() < 1e-9 && (centre.energy - 0.5).abs() < 1e-6);
        let gaussian = score(Floor::CentreGaussian);
        assert!((gaussian.energy - 0.5).abs() < 0.01 && gaussian.iou > 0.4 && gaussian.iou < 0.5, "{gaussian:?}");
    }

    #[test]
    fn sizes_go_by_the_largest_box() {
        let of = |sides: &[f64]| {
            let boxes: Vec<Rect> = sides.iter().map(|&s| Rect::new(0.0, 0.0, s, 10.0)).collect();
            ObjectSize::of((10, 10), &boxes)
        };
        assert_eq!(of(&[2.0, 2.9]), ObjectSize::Small);
        assert_eq!(of(&[2.0, 3.0]), ObjectSize::Medium);
        assert_eq!(of(&[6.1]), ObjectSize::Large);
    }
}
