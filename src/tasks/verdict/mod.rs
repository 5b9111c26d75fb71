//! How sure a few-shot decision is: whether the photo is any of the classes, and whether one class is clearly ahead.
//!
//! Both are told in *evidence*, which is comparable between classes ([`Unit`]). The class that ranks first has to reach a
//! bound, and its lead over the second has to reach another. Both bounds are blended from what held on photos of classes
//! that took no part in a choice of constants, and from what the supports say of each other, one left out at a time:
//!
//! `bound = exp((m ln prior + n ln(factor median)) / (m + n))`
//!
//! with the median over the `n` supports that could be left out, and `m = 3` ([`Blend`]). How the constants were chosen
//! stands in docs/results.md.

mod words;

use serde::{Serialize, Serializer};

/// What evidence is counted in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// How often it is the evidence that photos in general have for the class, by the statistics (class-specific forms).
    General,
    /// Where a similarity lies between that of the other classes' supports to the class, 0, and that of its own, 1.
    Between,
}

impl Unit {
    /// What is blended into the bound on the evidence of the class that ranks first.
    pub fn known(self) -> Blend {
        match self {
            Self::General => Blend { prior: 2.0, factor: 0.4 },
            Self::Between => Blend { prior: 0.2, factor: 0.6 },
        }
    }

    /// What is blended into the lead that counts as clear.
    pub fn clear(self) -> Blend {
        match self {
            Self::General => Blend { prior: 1.0, factor: 0.3 },
            Self::Between => Blend { prior: 0.1, factor: 0.25 },
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::General => "times the evidence that photos in general have",
            Self::Between => "from 0 (like the other classes' photos) to 1 (like its own)",
        }
    }
}

impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A bound before the supports are asked, and after.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Blend {
    /// The bound where no support can be left out; over 0.
    pub prior: f64,
    /// What part of the supports' median the bound tends to, the more supports there are.
    pub factor: f64,
}

/// How many supports the prior counts for.
const WEIGHT: f64 = 3.0;

impl Blend {
    /// The bound for these values of left-out supports. A median below a quarter of the prior counts as that, so that
    /// supports that do not fit together do not let everything pass.
    ///
    /// ```
    /// use famlens::tasks::verdict::Blend;
    /// let blend = Blend { prior: 2.0, factor: 0.5 };
    /// assert_eq!(blend.bound(&[]), 2.0);
    /// assert!((blend.bound(&[8.0, 8.0, 8.0]) - 8f64.sqrt()).abs() < 1e-12); // half way, by factors, from 2 to 4
    /// ```
    pub fn bound(&self, left_out: &[f64]) -> f64 {
        let Some(median) = median(left_out) else { return self.prior };
        let n = left_out.len() as f64;
        let tends = (self.factor * median).max(self.prior / 4.0);
        ((WEIGHT * self.prior.ln() + n * tends.ln()) / (WEIGHT + n)).exp()
    }
}

/// The middle value, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get((sorted.len().max(1) - 1) / 2)?, sorted.get(sorted.len() / 2)?);
    Some((low + high) / 2.0)
}

/// Whether the class that ranks first is ahead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Closeness {
    /// Its lead reaches the bound.
    #[serde(rename = "clear")]
    Clear,
    /// Its lead reaches half of the bound.
    #[serde(rename = "close")]
    Close,
    /// It does not.
    #[serde(rename = "too close")]
    TooClose,
}

impl Closeness {
    /// As JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Close => "close",
            Self::TooClose => "too close",
        }
    }
}

/// By what a decision is judged.
#[derive(Clone, PartialEq, Debug)]
pub struct Yardstick {
    /// What evidence is counted in.
    pub unit: Unit,
    /// The evidence from which a photo is of a class; `None` if that is not known.
    pub bound: Option<f64>,
    /// The lead from which a decision is clear; `None` if that is not known.
    pub clear: Option<f64>,
    /// Why something is not known, as the end of a sentence.
    pub why: Option<&'static str>,
    /// How many supports were left out in turn.
    pub left_out: usize,
}

impl Yardstick {
    /// From what the supports say of each other: evidence of each left-out support for its own class, and its lead.
    ///
    /// ```
    /// use famlens::tasks::verdict::{Unit, Yardstick};
    /// let yardstick = Yardstick::learned(Unit::General, &[], &[]);
    /// assert_eq!((yardstick.bound, yardstick.clear), (Some(2.0), Some(1.0)));
    /// ```
    pub fn learned(unit: Unit, evidence: &[f64], leads: &[f64]) -> Self {
        let (bound, clear) = (unit.known().bound(evidence), unit.clear().bound(leads));
        Self { unit, bound: Some(bound), clear: Some(clear), why: None, left_out: evidence.len() }
    }

    /// Where nothing is known, and why.
    pub fn unknown(unit: Unit, why: &'static str) -> Self {
        Self { unit, bound: None, clear: None, why: Some(why), left_out: 0 }
    }
}

/// How the classes rank for a query, in evidence.
#[derive(Clone, Copy, Debug)]
pub struct Ranked<'a> {
    /// The classes' names.
    pub names: &'a [String],
    /// The class that ranks first.
    pub first: usize,
    /// The one that ranks second, if there are two.
    pub second: Option<usize>,
    /// The evidence of the first.
    pub evidence: f64,
    /// How far it is ahead of the second.
    pub lead: f64,
}

/// A few-shot decision with how sure it is.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The class that the photo is of; `None` if it is none of them, or too close to call.
    pub class: Option<String>,
    /// Whether the photo is of any class; `None` if that is not known.
    pub known: Option<bool>,
    /// Whether the first class is ahead of the second; `None` with one class, or if it is not known.
    pub closeness: Option<Closeness>,
    /// The class that ranks first, whatever is made of it.
    pub first: String,
    /// The class that ranks second.
    pub second: Option<String>,
    /// The first one's evidence; `None` if it cannot be measured.
    pub evidence: Option<f64>,
    /// What it has to reach.
    pub bound: Option<f64>,
    /// How far the first is ahead of the second, in evidence.
    pub margin: Option<f64>,
    /// The margin that counts as clear; half of it is close.
    pub clear: Option<f64>,
    /// What evidence, bound and margins are counted in.
    pub unit: Unit,
    /// For each class, the greatest score that its own supports have.
    pub strongest: Vec<f64>,
    /// For each class, from where to where its bar runs, 0 to 1: a cosine on the scale of cosines, evidence as a part of
    /// the class's strongest. `None` where a score has no scale.
    pub bars: Vec<Option<[f64; 2]>>,
    /// The decision in a word or two.
    pub headline: String,
    /// How sure it is, in a sentence.
    pub says: String,
    /// The figures behind it.
    pub numbers: String,
}

impl Verdict {
    /// Judges a ranking.
    ///
    /// ```
    /// use famlens::tasks::verdict::{Ranked, Unit, Verdict, Yardstick};
    /// let names = ["Bird".to_owned(), "Fish".to_owned()];
    /// let yardstick = Yardstick::learned(Unit::General, &[], &[]);
    /// let ranked = Ranked { names: &names, first: 0, second: Some(1), evidence: 0.3, lead: 0.1 };
    /// assert_eq!(Verdict::new(ranked, &yardstick).headline, "None of these");
    /// let ranked = Ranked { evidence: 6.0, lead: 4.0, ..ranked };
    /// assert_eq!(Verdict::new(ranked, &yardstick).says, "Clear: Fish is far behind.");
    /// ```
    pub fn new(ranked: Ranked<'_>, yardstick: &Yardstick) -> Self {
        let name = |k: usize| ranked.names.get(k).cloned().unwrap_or_default();
        let (first, second) = (name(ranked.first), ranked.second.map(name));
        let measured = |value: f64| value.is_finite().then_some(value);
        let known = yardstick.bound.map(|bound| ranked.evidence >= bound);
        let closeness = second.as_ref().and(yardstick.clear).map(|clear| match ranked.lead {
            lead if lead >= clear => Closeness::Clear,
            lead if lead >= clear / 2.0 => Closeness::Close,
            _ => Closeness::TooClose,
        });
        let decided = known != Some(false) && closeness != Some(Closeness::TooClose);
        let mut verdict = Self {
            class: decided.then(|| first.clone()),
            known,
            closeness,
            margin: second.as_ref().and(measured(ranked.lead)),
            clear: second.as_ref().and(yardstick.clear),
            first,
            second,
            evidence: measured(ranked.evidence),
            bound: yardstick.bound,
            unit: yardstick.unit,
            strongest: Vec::new(),
            bars: Vec::new(),
            headline: String::new(),
            says: String::new(),
            numbers: String::new(),
        };
        words::write(&mut verdict, yardstick);
        verdict
    }

    /// How far the evidence is over its bound, as a part of it: what tells known classes from unknown ones. 1 is the
    /// bound.
    pub fn acceptance(&self) -> Option<f64> {
        Some(self.evidence? / self.bound?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["Bird", "Fish"].map(String::from).to_vec()
    }

    #[test]
    fn bounds_go_from_the_prior_to_the_supports() {
        let blend = Blend { prior: 2.0, factor: 0.4 };
        let of = |n: usize| blend.bound(&vec![10.0; n]);
        assert_eq!(of(0), 2.0);
        assert!((0..20).all(|n| of(n) < of(n + 1)) && of(2000) < 4.0 && of(2000) > 3.99);
        // Supports that have nothing to do with each other do not let everything pass.
        assert!(blend.bound(&[0.0; 50]) >= 0.5);
        assert!(blend.bound(&[-3.0, -2.0]).is_finite());
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
    }

    #[test]
    fn classes_are_named_only_where_they_are_decided() {
        let (names, yardstick) = (names(), Yardstick::learned(Unit::General, &[], &[]));
        let of = |evidence: f64, lead: f64| {
            let ranked = Ranked { names: &names, first: 0, second: Some(1), evidence, lead };
            let verdict = Verdict::new(ranked, &yardstick);
            (verdict.class, verdict.known, verdict.closeness)
        };
        let bird = || Some("Bird".to_owned());
        assert_eq!(of(2.0, 1.0), (bird(), Some(true), Some(Closeness::Clear)));
        assert_eq!(of(9.0, 0.5), (bird(), Some(true), Some(Closeness::Close)));
        assert_eq!(of(9.0, 0.49), (None, Some(true), Some(Closeness::TooClose)));
        assert_eq!(of(1.9, 1.0), (None, Some(false), Some(Closeness::Clear)));
        assert_eq!(of(f64::NAN, f64::NAN).1, Some(false));
    }

    #[test]
    fn what_is_not_known_is_said() {
        let (names, yardstick) = (names(), Yardstick::unknown(Unit::Between, "it rains"));
        let ranked = Ranked { names: &names, first: 1, second: Some(0), evidence: f64::NAN, lead: f64::NAN };
        let verdict = Verdict::new(ranked, &yardstick);
        assert_eq!((verdict.class.as_deref(), verdict.known, verdict.closeness), (Some("Fish"), None, None));
        assert_eq!((verdict.evidence, verdict.bound, verdict.margin), (None, None, None));
        assert!(verdict.says.contains("not known: it rains."), "{}", verdict.says);
    }
}
