//! Random views of a photo, as contrastive pre-training makes them: crop, flip, colour jitter, grey and blur.
//!
//! The recipe is that of SimCLR (arXiv 2002.05709, appendix A) with the ranges of MoCo v2 (arXiv 2003.04297): crops of
//! 20 to 100 % of the area, jitter of 0.4, 0.4, 0.4 and 0.1. A view is drawn from a seed and says what it did.

use serde::{Deserialize, Serialize};

use super::{Photo, Rect, scale};
use crate::error::{Error, Result};
use crate::random::Rng;

/// Which changes a view may have. What is left out does not alter how the others are drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// A random rectangle of 20 to 100 % of the area and of proportions 3:4 to 4:3.
    pub crop: bool,
    /// Left and right exchanged, in one view of two.
    pub flip: bool,
    /// Brightness, contrast, saturation and hue changed, in four views of five.
    pub jitter: bool,
    /// Without colour, in one view of five.
    pub grey: bool,
    /// Blurred, in one view of two.
    pub blur: bool,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self { crop: true, flip: true, jitter: true, grey: true, blur: true }
    }
}

/// What was done to a photo to make a view, in this order.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// The part of the photo that was kept, in its pixels; all of it if `None`.
    pub crop: Option<Rect>,
    /// Whether left and right were exchanged.
    pub flip: bool,
    /// How the colours were changed.
    pub jitter: Option<Jitter>,
    /// Whether the colours were taken away.
    pub grey: bool,
    /// Standard deviation of the Gaussian blur in pixels of a view whose shorter side has 224.
    pub blur: Option<f32>,
}

/// How colours were changed, in this order; 1 (0 for the hue) changes nothing.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jitter {
    /// Factor of all values.
    pub brightness: f32,
    /// Factor of the distance from the mean grey of the view.
    pub contrast: f32,
    /// Factor of the distance from the pixel's own grey.
    pub saturation: f32,
    /// What is added to the hue, in turns: -0.5 to 0.5.
    pub hue: f32,
}

/// Sides of a view are at most this long: no network looks closer, and blurring stays fast.
const LONGEST: u32 = 640;

/// What the blur's unit refers to.
const REFERENCE_SIDE: f64 = 224.0;

impl View {
    /// Draws a view of a photo of `(width, height)` pixels. Equal seeds give equal views, on every machine.
    ///
    /// ```
    /// use famlens::image::{Augmentation, View};
    /// let only_crop = Augmentation { flip: false, jitter: false, grey: false, blur: false, ..Augmentation::default() };
    /// let view = View::draw((640, 480), &only_crop, 7);
    /// assert_eq!(view, View::draw((640, 480), &only_crop, 7));
    /// assert_eq!(view.crop, View::draw((640, 480), &Augmentation::default(), 7).crop);
    /// assert!(!view.flip && view.blur.is_none());
    /// ```
    pub fn draw(photo_size: (u32, u32), allowed: &Augmentation, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        // Each change draws from a generator of its own, so that leaving one out does not shift the others.
        let mut own = || rng.fork();
        let (mut crop, mut flip, mut jitter, mut grey, mut blur) = (own(), own(), own(), own(), own());
        Self {
            crop: allowed.crop.then(|| random_rectangle(photo_size, &mut crop)),
            flip: allowed.flip && flip.f32() < 0.5,
            jitter: (allowed.jitter && jitter.f32() < 0.8).then(|| Jitter {
                brightness: between(&mut jitter, 0.6, 1.4) as f32,
                contrast: between(&mut jitter, 0.6, 1.4) as f32,
                saturation: between(&mut jitter, 0.6, 1.4) as f32,
                hue: between(&mut jitter, -0.1, 0.1) as f32,
            }),
            grey: allowed.grey && grey.f32() < 0.2,
            blur: (allowed.blur && blur.f32() < 0.5).then(|| between(&mut blur, 0.1, 2.0) as f32),
        }
    }

    /// Makes the view of a photo; its longer side has at most 640 pixels.
    ///
    /// # Errors
    /// [`Error::Argument`] if the crop reaches outside the photo or a value is not finite or out of range.
    pub fn apply(&self, photo: &Photo) -> Result<Photo> {
        self.check()?;
        let (width, height) = (f64::from(photo.width()), f64::from(photo.height()));
        let crop = self.crop.unwrap_or(Rect::new(0.0, 0.0, width, height));
        let shrink = (f64::from(LONGEST) / crop.width().max(crop.height())).min(1.0);
        let side = |length: f64| ((length * shrink).round() as u32).max(1);
        let mut view = scale(photo, &crop, side(crop.width()), side(crop.height()))?;
        if self.flip {
            view = flipped(view)?;
        }
        if self.jitter.is_some() || self.grey {
            view = self.recoloured(view)?;
        }
        match self.blur {
            Some(sigma) if sigma > 0.0 => blurred(view, sigma),
            _ => Ok(view),
        }
    }

    fn check(&self) -> Result<()> {
        let wrong = |what: &str, value: f32| Err(Error::argument("view", format!("{what} is {value}")));
        if let Some(jitter) = self.jitter {
            let factors = [jitter.brightness, jitter.contrast, jitter.saturation];
            if let Some(&bad) = factors.iter().find(|f| !(0.0..=100.0).contains(*f)) {
                return wrong("a factor of the jitter must be within 0 and 100 and", bad);
            }
            if !(-0.5..=0.5).contains(&jitter.hue) {
                return wrong("the hue must be within -0.5 and 0.5 and", jitter.hue);
            }
        }
        match self.blur {
            Some(sigma) if !(0.0..=32.0).contains(&sigma) => wrong("the blur must be within 0 and 32 and", sigma),
            _ => Ok(()),
        }
    }

    fn recoloured(&self, photo: Photo) -> Result<Photo> {
        let (width, height) = photo.size();
        let bytes = photo.into_rgb();
        let mut pixels: Vec<[f32; 3]> =
            bytes.as_chunks::<3>().0.iter().map(|p| p.map(|v| f32::from(v) / 255.0)).collect();
        if let Some(jitter) = self.jitter {
            jitter.apply(&mut pixels);
        }
        if self.grey {
            pixels.iter_mut().for_each(|p| *p = [grey(*p); 3]);
        }
        let bytes = pixels.as_flattened().iter().map(|v| (v * 255.0).round() as u8).collect();
        Photo::from_rgb(width, height, bytes)
    }
}

impl Jitter {
    /// As torchvision's `adjust_brightness`, `adjust_contrast`, `adjust_saturation` and `adjust_hue` do, one after
    /// another, on values of 0 to 1.
    fn apply(&self, pixels: &mut [[f32; 3]]) {
        let blend = |value: f32, towards: f32, factor: f32| (factor * value + (1.0 - factor) * towards).clamp(0.0, 1.0);
        pixels.iter_mut().flatten().for_each(|v| *v = blend(*v, 0.0, self.brightness));
        let sum: f64 = pixels.iter().map(|&p| f64::from(grey(p))).sum();
        let mean = (sum / pixels.len().max(1) as f64) as f32;
        for pixel in pixels {
            *pixel = pixel.map(|v| blend(v, mean, self.contrast));
            let own = grey(*pixel);
            *pixel = turn_hue(pixel.map(|v| blend(v, own, self.saturation)), self.hue);
        }
    }
}

/// Luma of ITU-R BT.601, which Pillow and torchvision use too (with these digits).
fn grey([r, g, b]: [f32; 3]) -> f32 {
    0.2989 * r + 0.587 * g + 0.114 * b
}

/// Adds `turns` to the hue (HSV).
fn turn_hue([r, g, b]: [f32; 3], turns: f32) -> [f32; 3] {
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    let range = max - min;
    if range <= 0.0 || turns == 0.0 {
        return [r, g, b];
    }
    let sixths = if max == r {
        (g - b) / range
    } else if max == g {
        (b - r) / range + 2.0
    } else {
        (r - g) / range + 4.0
    };
    let hue = (sixths / 6.0 + turns).rem_euclid(1.0) * 6.0;
    // Each channel is the maximum for two sixths of the circle and falls off over one on either side.
    let channel = |offset: f32| {
        let k = (offset + hue) % 6.0;
        max - range * k.min(4.0 - k).clamp(0.0, 1.0)
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

fn between(rng: &mut Rng, from: f64, to: f64) -> f64 {
    from + (to - from) * rng.f64()
}

/// torchvision's `RandomResizedCrop`: up to ten tries at a rectangle that fits, else the largest centred one of allowed
/// proportions.
fn random_rectangle((width, height): (u32, u32), rng: &mut Rng) -> Rect {
    let (width, height) = (f64::from(width.max(1)), f64::from(height.max(1)));
    let (narrowest, widest) = (3.0f64 / 4.0, 4.0f64 / 3.0);
    for _ in 0..10 {
        let area = width * height * between(rng, 0.2, 1.0);
        let ratio = between(rng, narrowest.ln(), widest.ln()).exp();
        let (w, h) = ((area * ratio).sqrt().round(), (area / ratio).sqrt().round());
        if w >= 1.0 && h >= 1.0 && w <= width && h <= height {
            let (x, y) = ((between(rng, 0.0, width - w)).round(), (between(rng, 0.0, height - h)).round());
            return Rect::new(x, y, x + w, y + h);
        }
    }
    let (w, h) = match width / height {
        ratio if ratio < narrowest => (width, (width / narrowest).round().min(height)),
        ratio if ratio > widest => ((height * widest).round().min(width), height),
        _ => (width, height),
    };
    let (x, y) = (((width - w) / 2.0).floor(), ((height - h) / 2.0).floor());
    Rect::new(x, y, x + w, y + h)
}

fn flipped(photo: Photo) -> Result<Photo> {
    let (width, height) = photo.size();
    let mut rgb = photo.into_rgb();
    for row in rgb.chunks_exact_mut(width as usize * 3) {
        row.as_chunks_mut::<3>().0.reverse();
    }
    Photo::from_rgb(width, height, rgb)
}

/// Gaussian blur as torchvision's: one axis after the other, the photo mirrored beyond its edges.
fn blurred(photo: Photo, sigma: f32) -> Result<Photo> {
    let (width, height) = photo.size();
    let sigma = f64::from(sigma) * f64::from(width.min(height)) / REFERENCE_SIDE;
    // Beyond four deviations a weight is below a thousandth of a level.
    let weights: Vec<f32> = (0..=(4.0 * sigma).ceil() as usize)
        .map(|distance| (-0.5 * (distance as f64 / sigma).powi(2)).exp() as f32)
        .collect();
    let (width, height) = (width as usize, height as usize);
    let bytes = photo.into_rgb();
    let pixels: Vec<[f32; 3]> = bytes.as_chunks::<3>().0.iter().map(|p| p.map(f32::from)).collect();
    let rows = along(&pixels, width, height, &weights);
    let columns = along(&rows, height, width, &weights);
    let rgb = columns.as_flattened().iter().map(|v| v.round() as u8).collect();
    Photo::from_rgb(width as u32, height as u32, rgb)
}

/// Blurs `height` rows of `width` pixels along the rows and turns rows into columns. `weights` are those of the
/// distances 0, 1, 2, ... on either side.
fn along(pixels: &[[f32; 3]], width: usize, height: usize, weights: &[f32]) -> Vec<[f32; 3]> {
    let reach = weights.len().min(width) - 1;
    let weights = &weights[..=reach];
    let scale = 1.0 / (weights[0] + 2.0 * weights[1..].iter().sum::<f32>());
    let mut turned = vec![[0.0; 3]; pixels.len()];
    for (y, row) in pixels.chunks_exact(width).enumerate() {
        for x in 0..width {
            let mut sum = row[x].map(|v| v * weights[0]);
            for (distance, &weight) in weights.iter().enumerate().skip(1) {
                // Mirrored at the outermost pixels, which are not repeated.
                let left = x.abs_diff(distance);
                let right = if x + distance < width { x + distance } else { 2 * (width - 1) - x - distance };
                for ((s, a), b) in sum.iter_mut().zip(row[left]).zip(row[right]) {
                    *s += weight * (a + b);
                }
            }
            turned[x * height + y] = sum.map(|v| v * scale);
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Augmentation = Augmentation { crop: false, flip: false, jitter: false, grey: false, blur: false };

    fn photo() -> Photo {
        let rgb = (0..30 * 20u32).flat_map(|i| [(i * 7 % 256) as u8, (i * 13 % 256) as u8, (i * 29 % 256) as u8]);
        Photo::from_rgb(30, 20, rgb.collect()).unwrap()
    }

    #[test]
    fn nothing_allowed_changes_nothing() {
        let view = View::draw((30, 20), &NOTHING, 3);
        assert_eq!(view, View::default());
        assert_eq!(view.apply(&photo()).unwrap(), photo());
    }

    #[test]
    fn crops_lie_in_the_photo_and_have_the_recipes_sizes() {
        let mut areas = Vec::new();
        for seed in 0..500 {
            let (width, height) = (200 + 3 * (seed as u32 % 50), 150);
            let crop = View::draw((width, height), &Augmentation::default(), seed).crop.unwrap();
            assert!(crop.x0 >= 0.0 && crop.y0 >= 0.0 && crop.x1 <= f64::from(width) && crop.y1 <= 150.0, "{crop:?}");
            let (share, ratio) = (crop.area() / f64::from(width * height), crop.width() / crop.height());
            assert!(share > 0.19 && (0.73..1.37).contains(&ratio), "{crop:?}");
            areas.push(share);
        }
        assert!(areas.iter().any(|&a| a < 0.3) && areas.iter().any(|&a| a > 0.7));
        let narrow = View::draw((1000, 10), &Augmentation::default(), 1).crop.unwrap();
        assert!((narrow.width() / narrow.height()) < 1.4, "{narrow:?}");
    }

    #[test]
    fn changes_come_as_often_as_the_recipe_says() {
        let views: Vec<_> = (0..2000).map(|seed| View::draw((64, 64), &Augmentation::default(), seed)).collect();
        let share = |test: fn(&View) -> bool| views.iter().filter(|v| test(v)).count() as f64 / 2000.0;
        for (found, expected) in [
            (share(|v| v.flip), 0.5),
            (share(|v| v.jitter.is_some()), 0.8),
            (share(|v| v.grey), 0.2),
            (share(|v| v.blur.is_some()), 0.5),
        ] {
            assert!((found - expected).abs() < 0.05, "{found} is not {expected}");
        }
    }

    #[test]
    fn each_change_does_what_it_says() {
        let flip = View { flip: true, ..View::default() }.apply(&photo()).unwrap();
        assert_eq!((flip.pixel(0, 3), flip.pixel(29, 19)), (photo().pixel(29, 3), photo().pixel(0, 19)));
        let crop = View { crop: Some(Rect::new(4.0, 5.0, 14.0, 12.0)), ..View::default() }.apply(&photo()).unwrap();
        assert_eq!((crop.size(), crop.pixel(2, 1)), ((10, 7), photo().pixel(6, 6)));
        let grey = View { grey: true, ..View::default() }.apply(&photo()).unwrap();
        assert!(grey.rgb().as_chunks::<3>().0.iter().all(|[r, g, b]| r == g && g == b));
        let dot = |x: u32| if x == 15 { [255u8; 3] } else { [0; 3] };
        let dots = Photo::from_rgb(31, 224, (0..224 * 31u32).flat_map(|i| dot(i % 31)).collect()).unwrap();
        let line = View { blur: Some(32.0), ..View::default() }.apply(&dots).unwrap();
        let (middle, beside) = (line.pixel(15, 100).unwrap()[0], line.pixel(18, 100).unwrap()[0]);
        assert!(middle < 200 && beside > 0 && beside < middle, "{middle} {beside}");
        let large = Photo::from_rgb(1300, 4, vec![9; 1300 * 12]).unwrap();
        assert_eq!(View::default().apply(&large).unwrap().size(), (640, 2));
    }

    #[test]
    fn hue_turns_red_to_green_to_blue() {
        let near = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-5);
        assert!(near(turn_hue([1.0, 0.0, 0.0], 1.0 / 3.0), [0.0, 1.0, 0.0]));
        assert!(near(turn_hue([1.0, 0.0, 0.0], -1.0 / 3.0), [0.0, 0.0, 1.0]));
        assert!(near(turn_hue([0.9, 0.4, 0.1], 0.5), [0.1, 0.6, 0.9]));
        assert!(near(turn_hue([0.3, 0.3, 0.3], 0.4), [0.3, 0.3, 0.3]));
    }

    #[test]
    fn bad_views_are_refused_by_name() {
        let jitter = Jitter { brightness: f32::NAN, contrast: 1.0, saturation: 1.0, hue: 0.0 };
        for view in [
            View { jitter: Some(jitter), ..View::default() },
            View { jitter: Some(Jitter { brightness: 1.0, hue: 0.7, ..jitter }), ..View::default() },
            View { blur: Some(-1.0), ..View::default() },
            View { crop: Some(Rect::new(0.0, 0.0, 31.0, 5.0)), ..View::default() },
        ] {
            assert!(view.apply(&photo()).is_err(), "{view:?}");
        }
    }
}
