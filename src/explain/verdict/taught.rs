//! What supports say of each other, and the units it is told in.

use crate::backbone::ImageId;
use crate::explain::setup::learns_from_images;
use crate::explain::{Class, ExplainOptions};
use crate::fam::head::HeadChoice;
use crate::methods::Method;
use crate::tasks::verdict::{Unit, Yardstick, median};

/// What was asked for that [`Taught`] answers.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::explain) struct TaughtBy {
    supports: Vec<Vec<ImageId>>,
    options: ExplainOptions,
}

impl TaughtBy {
    pub fn new(classes: &[Class], options: &ExplainOptions) -> Self {
        let supports = classes.iter().map(|class| class.supports.clone()).collect();
        // How maps are made has no part in it.
        let (finer, rival, layer, method_options) = Default::default();
        let options = ExplainOptions { finer, rival, layer, method_options, ..options.clone() };
        Self { supports, options }
    }
}

/// Where a class's scores lie.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Place {
    /// What is no evidence: 0, or the mean score of the other classes' supports.
    pub none: f64,
    /// What one unit of evidence is on top of that.
    pub unit: f64,
}

/// A support, judged by the others.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::explain) struct LeftOut {
    /// Its class.
    pub class: usize,
    /// Its place among that class's supports.
    pub at: usize,
    /// The score of every class without it.
    pub scores: Vec<f64>,
    /// The same before classes share the cells; the scores where they do not.
    pub raw: Vec<f64>,
    /// The class that ranks first.
    pub predicted: usize,
    /// Its evidence for its own class.
    pub evidence: f64,
    /// How far its own class is ahead of the best other one, in evidence; below 0 where it is not recognised.
    pub lead: f64,
}

/// What the supports say of each other.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::explain) struct Taught {
    /// What the score that ranks is called.
    pub score: String,
    pub unit: Unit,
    /// The supports that others of their class could judge.
    pub left_out: Vec<LeftOut>,
    /// For each class, the greatest score that one of its supports has.
    pub strongest: Vec<f64>,
    /// The value that the strongest cell of a support's map has, in the middle of the supports; `None` where supports
    /// have no map.
    pub peak: Option<f32>,
    pub(super) places: Vec<Place>,
    /// Whether the score itself is evidence, so that leads are told by it.
    pub(super) leads_by_score: bool,
}

impl Taught {
    /// A class's evidence in units.
    pub fn evidence(&self, class: usize, raw: f64) -> f64 {
        self.places.get(class).map_or(f64::NAN, |place| place.evidence(raw))
    }

    /// The mean unit: leads are told in it, since two classes take part.
    fn unit_of_leads(&self) -> f64 {
        self.places.iter().map(|place| place.unit).sum::<f64>() / self.places.len().max(1) as f64
    }

    /// How far one class is ahead of another, in evidence.
    pub fn lead(&self, scores: &[f64], raw: &[f64], first: usize, second: usize) -> f64 {
        let unit = self.unit_of_leads();
        let told = if self.leads_by_score { scores } else { raw };
        match (told.get(first), told.get(second)) {
            (Some(first), Some(second)) if unit > 0.0 => (first - second) / unit,
            _ => f64::NAN,
        }
    }

    /// The yardstick for a query; `without` leaves the support at that place of [`Taught::left_out`] out.
    pub fn yardstick(&self, options: &ExplainOptions, without: Option<usize>) -> Yardstick {
        if let Some(why) = self.unknown(options) {
            return Yardstick::unknown(self.unit, why);
        }
        let others = || self.left_out.iter().enumerate().filter(|(at, _)| Some(*at) != without).map(|(_, one)| one);
        let evidence: Vec<f64> = others().map(|one| one.evidence).collect();
        let leads: Vec<f64> = others().map(|one| one.lead.max(0.0)).collect();
        Yardstick::learned(self.unit, &evidence, &leads)
    }

    /// Why nothing is known, if that is so.
    fn unknown(&self, options: &ExplainOptions) -> Option<&'static str> {
        let usual = options.method != Method::Fam || options.form.cells().is_none();
        if usual && (learns_from_images(options) || options.head == HeadChoice::Lda) {
            return Some("what is compared is itself learned from your photos");
        }
        if self.places.iter().any(|place| !place.unit.is_finite() || place.unit <= 0.0) {
            return Some(match (self.unit, self.places.len()) {
                (Unit::Between, 1) => {
                    "with one class, and without statistics of photos in general, there is nothing to compare with"
                }
                (Unit::Between, _) => "the classes' photos are as like each other as their own",
                (Unit::General, _) => "the statistics say nothing about these classes",
            });
        }
        None
    }

    /// From where to where a class's bar runs, 0 to 1.
    pub fn bar(&self, class: usize, score: f64, name: &str, all: &[f64]) -> Option<[f64; 2]> {
        if name.contains("cosine") || name.contains("correlation") {
            let zero = if all.iter().any(|&s| s < -0.005) { 0.5 } else { 0.0 };
            let at = zero + score.clamp(-1.0, 1.0) * (1.0 - zero);
            return Some([zero.min(at).max(0.0), zero.max(at)]);
        }
        let (strongest, place) = (*self.strongest.get(class)?, self.places.get(class)?);
        let none = if self.leads_by_score && self.unit == Unit::General { 0.0 } else { place.none };
        let part = (score - none) / (strongest - none);
        (part.is_finite() && strongest > none).then(|| [0.0, part.clamp(0.0, 1.0)])
    }
}

impl Place {
    pub fn evidence(&self, raw: f64) -> f64 {
        (raw - self.none) / self.unit
    }
}

/// At most `most` supports of those that can be left out, spread evenly: class and place of each.
pub(super) fn chosen(classes: &[Class], most: usize) -> Vec<(usize, usize)> {
    let all: Vec<(usize, usize)> =
        classes.iter().enumerate().flat_map(|(k, class)| (0..class.supports.len()).map(move |i| (k, i))).collect();
    let count = all.len().min(most);
    (0..count).map(|n| all[n * all.len() / count]).collect()
}

/// The middle of some values of a map.
pub(super) fn middle(values: &[f32]) -> Option<f32> {
    median(&values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>()).map(|v| v as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supports_are_chosen_evenly() {
        let class = |name: &str, ids: std::ops::Range<u32>| Class::new(name, ids.map(ImageId).collect::<Vec<_>>());
        let classes = [class("a", 0..3), class("b", 3..9)];
        assert_eq!(chosen(&classes, 100).len(), 9);
        assert_eq!(chosen(&classes, 3), [(0, 0), (1, 0), (1, 3)]);
        assert!(chosen(&[], 3).is_empty());
    }

    #[test]
    fn bars_have_the_scale_of_their_score() {
        let place = Place { none: 0.2, unit: 0.5 };
        let taught = Taught {
            score: String::new(),
            unit: Unit::Between,
            left_out: Vec::new(),
            strongest: vec![0.7, 0.7],
            peak: None,
            places: vec![place; 2],
            leads_by_score: true,
        };
        assert_eq!(taught.bar(0, 0.25, "cosine", &[0.25, 0.5]), Some([0.0, 0.25]));
        assert_eq!(taught.bar(0, -0.5, "centred cosine", &[-0.5, 0.5]), Some([0.25, 0.5]));
        assert_eq!(taught.bar(1, 0.5, "centred cosine", &[-0.5, 0.5]), Some([0.5, 0.75]));
        assert_eq!(taught.bar(0, 9.0, "dot product", &[9.0, 0.0]), Some([0.0, 1.0]));
        let evidence = Taught { unit: Unit::General, ..taught };
        let bar = evidence.bar(0, 0.35, "mean discriminative evidence", &[0.35, 0.0]);
        assert!(bar.is_some_and(|[from, to]| from == 0.0 && (to - 0.5).abs() < 1e-12), "{bar:?}");
    }
}
