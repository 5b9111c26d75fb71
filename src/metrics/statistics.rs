//! Means with intervals. Every figure is a mean over a few dozen or hundred images and says little without its spread.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::random::Rng;

/// How intervals are drawn: resamples of the images with replacement, and the percentiles of their means (Efron and
/// Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Bootstrap {
    /// Number of resamples, 1 to 100,000.
    pub resamples: usize,
    /// Share of the resampled means that the interval holds, within 0 and 1.
    pub level: f64,
    /// Seed of the resampling: the same seed gives the same interval.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 2000 resamples, 95 %, seed 1.
    fn default() -> Self {
        Self { resamples: 2000, level: 0.95, seed: 1 }
    }
}

/// A mean and the interval that the bootstrap gives it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Mean over all values.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Number of images (or other units that were resampled).
    pub n: usize,
}

/// Two methods on the same images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Mean of the first less the second, image by image. If the interval excludes 0, the two differ.
    pub difference: Interval,
    /// Images on which the first is greater.
    pub wins: usize,
    /// Images on which the second is greater.
    pub losses: usize,
}

/// The mean of one value an image, with its bootstrap interval over images; `None` without values.
///
/// ```
/// use famlens::metrics::{Bootstrap, bootstrap};
///
/// let accuracy = bootstrap(&[1.0, 1.0, 0.0, 1.0], &Bootstrap::default())?.unwrap();
/// assert_eq!((accuracy.mean, accuracy.n), (0.75, 4));
/// assert!(accuracy.low < 0.75 && accuracy.high == 1.0);
/// # Ok::<(), famlens::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] if a value is not finite or an option is outside its range.
pub fn bootstrap(values: &[f64], options: &Bootstrap) -> Result<Option<Interval>> {
    let groups: Vec<(f64, usize)> = values.iter().map(|&value| (value, 1)).collect();
    bootstrap_groups(&groups, options)
}

/// The same where an image gives several values (one a class, one an episode): `groups` holds the sum and the number of
/// each image's values, and images are resampled whole, since the values of one image are no independent evidence. The
/// mean is over all values. Groups without values are left out.
///
/// # Errors
/// As [`bootstrap`].
pub fn bootstrap_groups(groups: &[(f64, usize)], options: &Bootstrap) -> Result<Option<Interval>> {
    let Bootstrap { resamples, level, seed } = *options;
    if !(1..=100_000).contains(&resamples) {
        return Err(Error::argument("resamples", format!("{resamples} is not within 1 and 100000")));
    }
    if !(level > 0.0 && level < 1.0) {
        return Err(Error::argument("level", format!("{level} is not between 0 and 1")));
    }
    if let Some((bad, _)) = groups.iter().find(|(sum, _)| !sum.is_finite()) {
        return Err(Error::argument("values", format!("{bad} has no mean; leave images without a value out")));
    }
    let groups: Vec<(f64, usize)> = groups.iter().copied().filter(|(_, count)| *count > 0).collect();
    let mean_of = |picked: &mut dyn Iterator<Item = &(f64, usize)>| {
        let (sum, count) = picked.fold((0.0, 0usize), |(s, n), (sum, count)| (s + sum, n + count));
        sum / count.max(1) as f64
    };
    if groups.is_empty() {
        return Ok(None);
    }
    let mut random = Rng::with_seed(seed);
    let resample = |_| {
        let mut picked = (0..groups.len()).map(|_| &groups[random.below(groups.len())]);
        mean_of(&mut picked)
    };
    let mut means: Vec<f64> = (0..resamples).map(resample).collect();
    means.sort_by(f64::total_cmp);
    let tail = (1.0 - level) / 2.0;
    let mean = mean_of(&mut groups.iter());
    Ok(Some(Interval { mean, low: quantile(&means, tail), high: quantile(&means, 1.0 - tail), n: groups.len() }))
}

/// `a` against `b`, one value each an image, in the same order. `None` without images.
///
/// ```
/// use famlens::metrics::{Bootstrap, paired};
///
/// let (fam, cam) = ([0.5, 0.7, 0.6], [0.4, 0.5, 0.3]);
/// let result = paired(&fam, &cam, &Bootstrap::default())?.unwrap();
/// assert!((result.difference.mean - 0.2).abs() < 1e-12 && result.wins == 3);
/// # Ok::<(), famlens::Error>(())
/// ```
///
/// # Errors
/// As [`bootstrap`], and [`Error::Argument`] if the two differ in length.
pub fn paired(a: &[f64], b: &[f64], options: &Bootstrap) -> Result<Option<Paired>> {
    if a.len() != b.len() {
        let reason = format!("{} and {} values are not of the same images", a.len(), b.len());
        return Err(Error::argument("paired values", reason));
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let count = |test: fn(&&f64) -> bool| differences.iter().filter(test).count();
    let (wins, losses) = (count(|d| **d > 0.0), count(|d| **d < 0.0));
    Ok(bootstrap(&differences, options)?.map(|difference| Paired { difference, wins, losses }))
}

/// Linear interpolation between order statistics, as NumPy's `quantile` does by default. `sorted` is not empty.
fn quantile(sorted: &[f64], at: f64) -> f64 {
    let position = at * (sorted.len() - 1) as f64;
    let (below, above) = (position.floor() as usize, position.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Bootstrap = Bootstrap { resamples: 4000, level: 0.95, seed: 7 };

    #[test]
    fn quantiles_interpolate() {
        let values = [0.0, 10.0, 20.0, 30.0];
        assert_eq!([0.0, 0.5, 1.0, 0.25].map(|at| quantile(&values, at)), [0.0, 15.0, 30.0, 7.5]);
        assert_eq!(quantile(&[4.0], 0.3), 4.0);
    }

    #[test]
    fn equal_values_have_no_spread() {
        let found = bootstrap(&[0.25; 30], &OPTIONS).unwrap().unwrap();
        assert_eq!(found, Interval { mean: 0.25, low: 0.25, high: 0.25, n: 30 });
        assert_eq!(bootstrap(&[], &OPTIONS).unwrap(), None);
    }

    /// For a mean the bootstrap's interval is the normal one in the limit: 1.96 s / sqrt(n) to either side.
    #[test]
    fn the_interval_is_as_wide_as_theory_says() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let found = bootstrap(&values, &OPTIONS).unwrap().unwrap();
        let half = 1.96 * 0.5 / 20.0;
        assert!((found.low - (0.5 - half)).abs() < 0.005 && (found.high - (0.5 + half)).abs() < 0.005, "{found:?}");
        let narrow = bootstrap(&values, &Bootstrap { level: 0.5, ..OPTIONS }).unwrap().unwrap();
        assert!((narrow.high - narrow.low - 2.0 * 0.6745 * 0.025).abs() < 0.005, "{narrow:?}");
        assert_eq!(bootstrap(&values, &OPTIONS).unwrap().unwrap(), found, "the seed decides");
    }

    #[test]
    fn values_of_one_image_are_no_independent_evidence() {
        let values: Vec<f64> = (0..40).map(|i| f64::from(i % 2)).collect();
        let groups: Vec<(f64, usize)> = values.iter().map(|v| (v * 25.0, 25)).collect();
        let (single, grouped) =
            (bootstrap(&values, &OPTIONS).unwrap().unwrap(), bootstrap_groups(&groups, &OPTIONS).unwrap().unwrap());
        assert!((single.mean - grouped.mean).abs() < 1e-12 && (single.low - grouped.low).abs() < 1e-9);
        // Unequal groups: the mean is over values, not over groups.
        let unequal = bootstrap_groups(&[(3.0, 3), (0.0, 1), (0.0, 0)], &OPTIONS).unwrap().unwrap();
        assert_eq!((unequal.mean, unequal.n), (0.75, 2));
    }

    #[test]
    fn pairing_removes_what_images_share() {
        let a: Vec<f64> = (0..50).map(|i| f64::from(i) / 50.0 + 0.1).collect();
        let b: Vec<f64> = a.iter().map(|v| v - 0.1).collect();
        let found = paired(&a, &b, &OPTIONS).unwrap().unwrap();
        assert!((found.difference.low - 0.1).abs() < 1e-9 && (found.difference.high - 0.1).abs() < 1e-9);
        assert_eq!((found.wins, found.losses), (50, 0));
        let swapped = paired(&b, &a, &OPTIONS).unwrap().unwrap();
        assert_eq!((swapped.wins, swapped.losses), (0, 50));
    }

    #[test]
    fn what_has_no_mean_is_refused() {
        assert!(bootstrap(&[1.0, f64::NAN], &OPTIONS).is_err());
        assert!(bootstrap(&[1.0], &Bootstrap { resamples: 0, ..OPTIONS }).is_err());
        assert!(bootstrap(&[1.0], &Bootstrap { level: 1.0, ..OPTIONS }).is_err());
        assert!(paired(&[1.0], &[], &OPTIONS).is_err());
    }
}
