//! Whether the model's confidence rests on what a map shows. A measure removes or keeps parts of the input and asks for
//! the class's confidence again.
//!
//! These figures depend on three things that must be stated beside them: the **score** whose confidence is meant, the
//! **temperature** that turns scores into confidences ([`confidence`]), and the **fill** that replaces what is taken
//! away ([`Fill`]). Average drop and increase in confidence reward broad masks (a uniform mask of 0.5 does well), so
//! the [`Control`]s belong in every table.

use serde::{Deserialize, Serialize};

use crate::choice::choice;
use crate::error::{Error, Result};
use crate::random::Rng;
use crate::tensor::Tensor;

/// What replaces the pixels that are taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fill {
    /// The normalisation's mean colour: zeros of the input tensor.
    #[default]
    Mean,
    /// The input, blurred with a Gaussian of a twentieth of the side.
    Blur,
}

choice!(Fill, "fill", {
    Mean: "mean", "Mean colour",
        "What is taken away becomes the colour that the model was trained to see as zero.",
        "RISE, arXiv 1806.07421 (deletion)", "";
    Blur: "blur", "Blur",
        "What is taken away is blurred, which leaves colours and no detail, and no new edges.",
        "RISE, arXiv 1806.07421 (insertion)", "";
});

/// What a map is replaced by, to see what a method must beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    /// A mask of 0.5 everywhere; for insertion and deletion, pixels in random order.
    Uniform,
    /// The map's own cells in random order.
    Shuffled,
    /// The map upside down: its maximum plus its minimum less the map.
    Inverted,
}

impl Control {
    /// Every control.
    pub const ALL: [Self; 3] = [Self::Uniform, Self::Shuffled, Self::Inverted];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "control: uniform",
            Self::Shuffled => "control: shuffled",
            Self::Inverted => "control: inverted",
        }
    }

    /// The control of a map.
    pub fn apply(self, map: &[f32], seed: u64) -> Vec<f32> {
        match self {
            Self::Uniform => vec![0.5; map.len()],
            Self::Shuffled => {
                let mut cells = map.to_vec();
                Rng::with_seed(seed).shuffle(&mut cells);
                cells
            }
            Self::Inverted => {
                let (min, max) = range(map);
                map.iter().map(|value| max + min - value).collect()
            }
        }
    }
}

/// The confidence in class `class`: the softmax of the scores divided by `temperature`, 0 to 1.
///
/// ```
/// use famlens::metrics::confidence;
/// assert_eq!(confidence(&[0.3, 0.3], 0, 0.1)?, 0.5);
/// assert!(confidence(&[0.9, 0.3], 0, 0.1)? > 0.99);
/// # Ok::<(), famlens::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] for a temperature that is not positive, no such class, or a score that is not finite.
pub fn confidence(scores: &[f64], class: usize, temperature: f64) -> Result<f64> {
    if !(temperature > 0.0 && temperature.is_finite()) {
        return Err(Error::argument("temperature", format!("{temperature} is not a positive number")));
    }
    let Some(own) = scores.get(class).filter(|_| scores.iter().all(|s| s.is_finite())) else {
        return Err(Error::argument("scores", format!("there is no finite score of class {class}")));
    };
    Ok(1.0 / scores.iter().map(|s| ((s - own) / temperature).exp()).sum::<f64>())
}

/// How much of the confidence is lost when only what the map shows is left: `max(0, full - kept) / full`, averaged over
/// images the *average drop* (Grad-CAM++, arXiv 1710.11063, section 4.1); lower is better.
pub fn drop_in_confidence(full: f64, kept: f64) -> f64 {
    if full > 0.0 { (full - kept).max(0.0) / full } else { 0.0 }
}

/// Area under a curve whose points lie at equal steps from 0 to 1, by trapezoids: of the confidences while pixels are
/// inserted or deleted (RISE, arXiv 1806.07421, section 4.2). 0 without points.
///
/// ```
/// assert_eq!(famlens::metrics::area_under(&[0.0, 0.5, 1.0]), 0.5);
/// ```
pub fn area_under(curve: &[f64]) -> f64 {
    match curve.len() {
        0 => 0.0,
        1 => curve[0],
        n => curve.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).sum::<f64>() / (n - 1) as f64,
    }
}

/// One input of `[1, C, H, W]` and what its pixels are replaced with.
#[derive(Debug, Clone)]
pub struct Perturbed<'a> {
    input: &'a Tensor,
    fill: Tensor,
    height: usize,
    width: usize,
}

impl<'a> Perturbed<'a> {
    /// Prepares the fill of an input.
    ///
    /// # Errors
    /// [`Error::Argument`] unless the input is `[1, C, H, W]`.
    pub fn new(input: &'a Tensor, fill: Fill) -> Result<Self> {
        let [1, _, height, width] = *input.shape().dims() else {
            return Err(Error::argument("input", format!("its shape is {} and not [1, C, H, W]", input.shape())));
        };
        let fill = match fill {
            Fill::Mean => Tensor::zeros(input.shape().clone()),
            Fill::Blur => blur(input, height, width),
        };
        Ok(Self { input, fill, height, width })
    }

    /// Number of pixels of one channel.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// The input weighed with a map of `map_width` x `map_height` cells that covers it evenly, min-max normalised and
    /// upsampled: `m x + (1 - m) fill`. A map that is the same everywhere counts as a mask of 0.5.
    ///
    /// # Errors
    /// [`Error::Argument`] if the map's size does not fit its values.
    pub fn masked(&self, map: &[f32], map_width: usize, map_height: usize) -> Result<Tensor> {
        let mask = self.upsampled(map, map_width, map_height)?;
        Ok(self.mix(|at| mask[at]))
    }

    /// Pixels from the most to the least important under a map. Ties, and with them all pixels of a map that is the
    /// same everywhere, are in an order drawn from `seed`.
    ///
    /// # Errors
    /// As [`Perturbed::masked`].
    pub fn order(&self, map: &[f32], map_width: usize, map_height: usize, seed: u64) -> Result<Vec<usize>> {
        let mask = self.upsampled(map, map_width, map_height)?;
        let mut order: Vec<usize> = (0..mask.len()).collect();
        Rng::with_seed(seed).shuffle(&mut order);
        order.sort_by(|&a, &b| mask[b].total_cmp(&mask[a]));
        Ok(order)
    }

    /// The input in which only the first `share` (0 to 1) of the pixels in `order` is the image (`insert`), or only the
    /// rest (not `insert`).
    pub fn step(&self, order: &[usize], share: f64, insert: bool) -> Tensor {
        let count = ((order.len() as f64 * share.clamp(0.0, 1.0)).round() as usize).min(order.len());
        let mut shown = vec![if insert { 0.0 } else { 1.0 }; self.pixels()];
        for &pixel in &order[..count] {
            if let Some(shown) = shown.get_mut(pixel) {
                *shown = 1.0 - *shown;
            }
        }
        self.mix(|at| shown[at])
    }

    fn mix(&self, mask: impl Fn(usize) -> f32) -> Tensor {
        let mut mixed = self.input.clone();
        let fills = self.fill.data().chunks_exact(self.pixels());
        for (plane, fill) in mixed.data_mut().chunks_exact_mut(self.pixels()).zip(fills) {
            plane.iter_mut().zip(fill).enumerate().for_each(|(at, (x, fill))| *x = fill + (*x - fill) * mask(at));
        }
        mixed
    }

    /// The map at every pixel of the input, 0 to 1; bilinear with half-pixel centres.
    fn upsampled(&self, map: &[f32], map_width: usize, map_height: usize) -> Result<Vec<f32>> {
        if map.is_empty() || map_width.checked_mul(map_height) != Some(map.len()) {
            return Err(Error::argument(
                "map",
                format!("{map_width} x {map_height} cells do not fit {} values", map.len()),
            ));
        }
        let (min, max) = range(map);
        if max - min <= 1e-6 * max.abs().max(min.abs()) || !(max - min).is_finite() {
            return Ok(vec![0.5; self.pixels()]);
        }
        let axis = |pixels: usize, cells: usize| -> Vec<(usize, usize, f32)> {
            let place = |i: usize| {
                let at = ((i as f32 + 0.5) * cells as f32 / pixels as f32 - 0.5).clamp(0.0, cells as f32 - 1.0);
                (at as usize, (at as usize + 1).min(cells - 1), at.fract())
            };
            (0..pixels).map(place).collect()
        };
        let (columns, rows) = (axis(self.width, map_width), axis(self.height, map_height));
        let value = |x: usize, y: usize| (map[y * map_width + x] - min) / (max - min);
        let at = |&(x0, x1, s): &(usize, usize, f32), y: usize| value(x0, y) + (value(x1, y) - value(x0, y)) * s;
        let row = |&(y0, y1, t): &(usize, usize, f32)| {
            columns.iter().map(move |x| at(x, y0) + (at(x, y1) - at(x, y0)) * t).collect::<Vec<_>>()
        };
        Ok(rows.iter().flat_map(row).collect())
    }
}

fn range(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(min, max), &v| (min.min(v), max.max(v)))
}

/// A Gaussian of a twentieth of the longer side, along rows and then columns; edges repeat.
fn blur(input: &Tensor, height: usize, width: usize) -> Tensor {
    let sigma = (height.max(width) as f32 / 20.0).max(0.5);
    let reach = (3.0 * sigma).ceil() as isize;
    let taps: Vec<f32> = (-reach..=reach).map(|i| (-(i as f32 / sigma).powi(2) / 2.0).exp()).collect();
    let total: f32 = taps.iter().sum();
    let pass = |from: &[f32], lines: usize, length: usize, step: usize, line_step: usize| {
        let mut to = vec![0.0; from.len()];
        for line in 0..lines {
            for i in 0..length {
                let clamped = |offset: isize| (i as isize + offset).clamp(0, length as isize - 1) as usize;
                let sum: f32 = taps
                    .iter()
                    .zip(-reach..=reach)
                    .map(|(tap, offset)| tap * from[line * line_step + clamped(offset) * step])
                    .sum();
                to[line * line_step + i * step] = sum / total;
            }
        }
        to
    };
    let mut blurred = input.clone();
    for plane in blurred.data_mut().chunks_exact_mut(height * width) {
        let rows = pass(plane, height, width, 1, width);
        plane.copy_from_slice(&pass(&rows, width, height, width, 1));
    }
    blurred
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> Tensor {
        Tensor::new([1, 1, 2, 4], (1..=8).map(|v| v as f32).collect()).unwrap()
    }

    #[test]
    fn drops_and_areas_by_hand() {
        assert!((drop_in_confidence(0.8, 0.2) - 0.75).abs() < 1e-12);
        assert_eq!(drop_in_confidence(0.8, 0.9), 0.0);
        assert_eq!(area_under(&[1.0, 0.0, 0.0, 0.0, 0.0]), 0.125);
        assert_eq!((area_under(&[]), area_under(&[0.4])), (0.0, 0.4));
        // Two classes: a logistic function of the difference.
        let expected = 1.0 / (1.0 + (-2.0f64).exp());
        assert!((confidence(&[0.5, 0.3], 0, 0.1).unwrap() - expected).abs() < 1e-12);
        assert!(confidence(&[0.5], 0, 0.0).is_err() && confidence(&[0.5], 1, 1.0).is_err());
        assert!(confidence(&[0.5, f64::NAN], 0, 1.0).is_err());
    }

    #[test]
    fn insertion_and_deletion_are_complements() {
        let input = input();
        let perturbed = Perturbed::new(&input, Fill::Mean).unwrap();
        let order = perturbed.order(&[0.0, 1.0], 2, 1, 3).unwrap();
        // The right column's pixels are tied at the maximum and come first.
        let mut first: Vec<usize> = order[..2].to_vec();
        first.sort_unstable();
        assert_eq!(first, [3, 7]);
        let shown = perturbed.step(&order, 0.25, true);
        assert_eq!(shown.data(), [0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 8.0]);
        for share in [0.0, 0.25, 0.6, 1.0] {
            let (kept, left) = (perturbed.step(&order, share, true), perturbed.step(&order, share, false));
            kept.data().iter().zip(left.data()).zip(input.data()).for_each(|((a, b), x)| assert_eq!(a + b, *x));
        }
        assert_eq!(perturbed.step(&order, 1.0, true).data(), input.data());
    }

    #[test]
    fn masks_weigh_the_input() {
        let input = input();
        let perturbed = Perturbed::new(&input, Fill::Mean).unwrap();
        let masked = perturbed.masked(&[3.0, 7.0], 2, 1).unwrap();
        // Normalised to 0 and 1, at pixel centres 0, 1/4, 3/4, 1 of the way.
        assert_eq!(masked.data()[..4], [0.0, 0.5, 2.25, 4.0]);
        assert_eq!(perturbed.masked(&[2.0; 4], 2, 2).unwrap().data()[7], 4.0, "no evidence is a mask of one half");
        assert!(perturbed.masked(&[1.0; 3], 2, 2).is_err());
        assert!(Perturbed::new(&Tensor::zeros([2, 2]), Fill::Mean).is_err());
    }

    #[test]
    fn controls() {
        let map = [1.0, 4.0, 2.0];
        assert_eq!(Control::Uniform.apply(&map, 1), [0.5; 3]);
        assert_eq!(Control::Inverted.apply(&map, 1), [4.0, 1.0, 3.0]);
        let many: Vec<f32> = (0..49).map(|v| v as f32).collect();
        let mut shuffled = Control::Shuffled.apply(&many, 1);
        assert_ne!(shuffled, many);
        shuffled.sort_by(f32::total_cmp);
        assert_eq!(shuffled, many);
    }

    #[test]
    fn a_blur_keeps_the_mean_of_what_is_flat_and_spreads_a_point() {
        let flat = Tensor::new([1, 1, 6, 6], vec![2.0; 36]).unwrap();
        assert!(blur(&flat, 6, 6).data().iter().all(|v| (v - 2.0).abs() < 1e-5));
        let mut point = Tensor::zeros([1, 1, 41, 41]);
        point.data_mut()[20 * 41 + 20] = 1.0;
        let spread = blur(&point, 41, 41);
        // A Gaussian of deviation 2.05: 1 / (2 pi sigma^2) in the middle.
        let peak = 1.0 / (2.0 * std::f32::consts::PI * 2.05 * 2.05);
        assert!((spread.data()[20 * 41 + 20] - peak).abs() < 0.002);
        assert!((spread.data().iter().sum::<f32>() - 1.0).abs() < 1e-4);
    }
}
