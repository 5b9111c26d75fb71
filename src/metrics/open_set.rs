//! How well a score tells photos of known classes from photos of unknown ones.

use serde::Serialize;

use super::{Bootstrap, Interval};
use crate::error::{Error, Result};
use crate::random::Rng;

/// One answer: the photo that was asked about, and the score of its decision.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Answer {
    /// Which photo; the same one may be asked about many times.
    pub photo: usize,
    /// The score, the higher the more like the classes shown.
    pub score: f64,
    /// Whether its class was among those shown.
    pub known: bool,
}

/// How well known and unknown are told apart, with intervals from a bootstrap over photos.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OpenSet {
    /// Area under the receiver operating characteristic: the chance that a known photo has a higher score than an
    /// unknown one; equal scores count half. 0.5 is chance, 1 the best.
    pub auroc: Interval,
    /// The part of the unknown photos below the score that 90 % of the known ones reach, 0 to 1.
    pub rejected: Interval,
    /// The part of the known photos whose score reaches 1, the bound that decisions use.
    pub accepted_at_bound: Interval,
    /// The part of the unknown photos whose score does not.
    pub rejected_at_bound: Interval,
    /// Answers about photos of known classes.
    pub known: usize,
    /// Answers about photos of unknown classes.
    pub unknown: usize,
}

/// The part of known photos that has to be accepted.
const ACCEPTED: f64 = 0.9;

/// Measures answers. `None` if there are none of one kind.
///
/// ```
/// use famlens::metrics::{Answer, Bootstrap, open_set};
/// let answer = |(photo, (score, known)): (usize, (f64, bool))| Answer { photo, score, known };
/// let answers: Vec<_> = [(3.0, true), (1.5, true), (0.5, false), (1.5, false)].into_iter().enumerate().map(answer).collect();
/// let found = open_set(&answers, &Bootstrap::default())?.unwrap();
/// assert_eq!(found.auroc.mean, 3.5 / 4.0);
/// # Ok::<(), famlens::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] for a score that is not a number, and as [`super::bootstrap`].
pub fn open_set(answers: &[Answer], options: &Bootstrap) -> Result<Option<OpenSet>> {
    if answers.iter().any(|answer| answer.score.is_nan()) {
        return Err(Error::argument("scores", "one is not a number"));
    }
    if options.resamples == 0 || !(0.0..1.0).contains(&options.level) {
        return Err(Error::argument("bootstrap", "it needs resamples and a level below 1"));
    }
    let mut sorted: Vec<&Answer> = answers.iter().collect();
    sorted.sort_by(|a, b| a.score.total_cmp(&b.score));
    let photos = answers.iter().map(|answer| answer.photo + 1).max().unwrap_or(0);
    let Some(plain) = measured(&sorted, &vec![1; photos]) else { return Ok(None) };
    let mut asked: Vec<usize> = answers.iter().map(|answer| answer.photo).collect();
    asked.sort_unstable();
    asked.dedup();
    let mut random = Rng::with_seed(options.seed);
    let mut drawn: [Vec<f64>; 4] = Default::default();
    for _ in 0..options.resamples {
        let mut counts = vec![0; photos];
        asked.iter().for_each(|_| counts[asked[random.below(asked.len())]] += 1);
        // A draw without known or without unknown photos says nothing.
        let Some(found) = measured(&sorted, &counts) else { continue };
        drawn.iter_mut().zip(found).for_each(|(values, value)| values.push(value));
    }
    let mut intervals = drawn.into_iter().zip(plain).map(|(mut values, mean)| {
        values.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = (part * values.len().saturating_sub(1) as f64).round() as usize;
            values.get(place).copied().unwrap_or(mean)
        };
        let tail = (1.0 - options.level) / 2.0;
        Interval { mean, low: at(tail), high: at(1.0 - tail), n: asked.len() }
    });
    let known = answers.iter().filter(|answer| answer.known).count();
    let [Some(auroc), Some(rejected), Some(accepted_at_bound), Some(rejected_at_bound)] =
        [intervals.next(), intervals.next(), intervals.next(), intervals.next()]
    else {
        return Ok(None);
    };
    let unknown = answers.len() - known;
    Ok(Some(OpenSet { auroc, rejected, accepted_at_bound, rejected_at_bound, known, unknown }))
}

/// Area, rejected unknowns at 90 % accepted knowns, and accepted knowns and rejected unknowns at the bound of 1, of
/// answers by rising score, with each photo as often as `counts` says.
fn measured(sorted: &[&Answer], counts: &[usize]) -> Option<[f64; 4]> {
    let weight = |answer: &Answer| counts[answer.photo] as f64;
    let total = |known: bool| sorted.iter().filter(|a| a.known == known).map(|a| weight(a)).sum::<f64>();
    let (known, unknown) = (total(true), total(false));
    if known == 0.0 || unknown == 0.0 {
        return None;
    }
    let (mut area, mut below, mut lost) = (0.0, 0.0, 0.0);
    let (mut rejected, mut found) = (0.0, false);
    for level in sorted.chunk_by(|a, b| a.score == b.score) {
        let of = |known: bool| level.iter().filter(|a| a.known == known).map(|a| weight(a)).sum::<f64>();
        let (knowns, unknowns) = (of(true), of(false));
        area += knowns * (below + unknowns / 2.0);
        // The highest bound that this level reaches and that still accepts 90 %.
        if !found && lost + knowns > (1.0 - ACCEPTED) * known + 1e-9 {
            (rejected, found) = (below, true);
        }
        below += unknowns;
        lost += knowns;
    }
    let at_bound = |known: bool, reached: bool| {
        let counted = sorted.iter().filter(|a| a.known == known && (a.score >= 1.0) == reached);
        counted.map(|a| weight(a)).sum::<f64>()
    };
    let [accepted, refused] = [at_bound(true, true) / known, at_bound(false, false) / unknown];
    Some([area / (known * unknown), rejected / unknown, accepted, refused])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(known: &[f64], unknown: &[f64]) -> Vec<Answer> {
        let all = known.iter().map(|&s| (s, true)).chain(unknown.iter().map(|&s| (s, false)));
        all.enumerate().map(|(photo, (score, known))| Answer { photo, score, known }).collect()
    }

    #[test]
    fn areas_are_the_chance_to_be_higher() -> Result<()> {
        let of = |known: &[f64], unknown: &[f64]| open_set(&answers(known, unknown), &Bootstrap::default());
        let mean = |found: Option<OpenSet>| found.map(|f| f.auroc.mean);
        assert_eq!(mean(of(&[2.0, 3.0], &[0.0, 1.0])?), Some(1.0));
        assert_eq!(mean(of(&[0.0], &[1.0, 2.0])?), Some(0.0));
        assert_eq!(mean(of(&[1.0, 1.0], &[1.0])?), Some(0.5));
        assert_eq!(mean(of(&[1.0], &[])?), None);
        assert!(of(&[f64::NAN], &[1.0]).is_err());
        Ok(())
    }

    #[test]
    fn unknowns_are_rejected_below_what_nine_in_ten_reach() -> Result<()> {
        let known: Vec<f64> = (1..=10).map(f64::from).collect();
        // One known photo of ten may be lost, so the bound is 2.
        let found = open_set(&answers(&known, &[0.5, 1.5, 1.9, 2.0, 7.0]), &Bootstrap::default())?;
        let found = found.ok_or_else(|| Error::argument("answers", "none"))?;
        assert!((found.rejected.mean - 0.6).abs() < 1e-12, "{:?}", found.rejected);
        assert_eq!((found.accepted_at_bound.mean, found.rejected_at_bound.mean), (1.0, 0.2));
        assert!(found.auroc.low <= found.auroc.mean && found.auroc.mean <= found.auroc.high);
        assert_eq!((found.known, found.unknown), (10, 5));
        Ok(())
    }
}
