//! From supports' cells to a [`CellReadout`], and from what it gives to scores.

use std::sync::Arc;

use super::{Statistics, Whitening};
use crate::engine::{CellMaps, CellReadout, LayerReadout, Pooled};
use crate::error::{Error, Result};

/// Which of the two class-specific forms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CellForm {
    /// Whitened FAM: one class is enough.
    Whitened,
    /// Discriminative FAM: two classes or more.
    Discriminative,
}

/// The constants of the class-specific forms.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rule {
    /// How much of the border ring's deviation is taken off the class vector; 0 leaves the border term out.
    pub border: f64,
    /// Lambda of [`Whitening::new`], 0 to 1.
    pub shrinkage: f64,
    /// Subtracted from the evidence before the ReLU; the form's own if `None`.
    pub offset: Option<f32>,
    /// Of the softmax over classes.
    pub sharpness: f32,
}

impl Rule {
    /// Half of the border's deviation.
    pub const BORDER: f64 = 0.5;

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Argument`] naming what is outside its range.
    pub fn check(&self) -> Result<()> {
        let outside =
            |name: &str, value: f64, range: &str| Err(Error::argument(name, format!("{value} is not {range}")));
        if !(0.0..=1.0).contains(&self.shrinkage) {
            return outside("shrinkage", self.shrinkage, "within 0 and 1");
        }
        if !(0.0..=1.0).contains(&self.border) {
            return outside("border", self.border, "within 0 and 1");
        }
        match self.offset {
            Some(offset) if !(-1.0..=1.0).contains(&offset) => {
                return outside("offset", offset.into(), "within -1 and 1");
            }
            _ => {}
        }
        if !(0.0..=1000.0).contains(&self.sharpness) {
            return outside("sharpness", self.sharpness.into(), "within 0 and 1000");
        }
        Ok(())
    }
}

impl Default for Rule {
    /// With the border term, shrinkage 0.75, each form's own offset, sharpness 20.
    fn default() -> Self {
        Self { border: Self::BORDER, shrinkage: 0.75, offset: None, sharpness: 20.0 }
    }
}

impl CellForm {
    /// What the score that ranks is called.
    pub fn score_name(self) -> &'static str {
        match self {
            Self::Whitened => "Mahalanobis cosine",
            Self::Discriminative => "mean discriminative evidence",
        }
    }

    /// The offset that was chosen for the form.
    pub fn offset(self) -> f32 {
        match self {
            Self::Whitened => 0.1,
            Self::Discriminative => 0.05,
        }
    }
}

/// The pooled cells of a class at each target, averaged over its supports: what there is to know of a class.
#[derive(Clone, PartialEq, Debug)]
pub struct ClassCells {
    layers: Vec<(Vec<f64>, Vec<f64>)>,
}

impl ClassCells {
    /// The mean over supports; each support has one [`Pooled`] a target.
    ///
    /// # Errors
    /// [`Error::Argument`] without supports or if they differ in their targets.
    pub fn new(supports: &[&[Pooled]]) -> Result<Self> {
        let Some(first) = supports.first() else {
            return Err(Error::argument("supports", "a class needs at least one image"));
        };
        let sizes = |s: &[Pooled]| s.iter().map(|p| (p.mean.len(), p.ring.len())).collect::<Vec<_>>();
        if supports.iter().any(|s| sizes(s) != sizes(first)) {
            return Err(Error::argument("supports", "their cells have different numbers of channels"));
        }
        let mean = |values: &dyn Fn(&[Pooled]) -> f32| {
            supports.iter().map(|s| f64::from(values(s))).sum::<f64>() / supports.len() as f64
        };
        let layer = |(l, pooled): (usize, &Pooled)| {
            let means = (0..pooled.mean.len()).map(|c| mean(&|s| s[l].mean[c])).collect();
            let rings = (0..pooled.ring.len()).map(|c| mean(&|s| s[l].ring[c])).collect();
            (means, rings)
        };
        Ok(Self { layers: first.iter().enumerate().map(layer).collect() })
    }

    /// `d_c` at one target: the mean cell less `mu`, less `border` times the mean ring cell less `mu`.
    fn vector(&self, target: usize, mu: &[f64], border: f64) -> Result<Vec<f64>> {
        match self.layers.get(target) {
            Some((means, rings)) if means.len() == mu.len() => {
                let cells = means.iter().zip(rings).zip(mu);
                Ok(cells.map(|((g, e), m)| (g - m) - border * (e - m)).collect())
            }
            _ => Err(Error::argument(
                "statistics",
                format!("they have {} channels and the classes' cells others", mu.len()),
            )),
        }
    }
}

/// Statistics made ready for one [`Rule`]: what explanations under a class-specific form share.
#[derive(Clone, Debug)]
pub struct Specific {
    whitening: Whitening,
    head: Option<(Vec<f64>, Arc<[f32]>)>,
    rule: Rule,
}

/// How the classes rank, and what the channels of the whitened layer have to do with it.
#[derive(Clone, PartialEq, Debug)]
pub struct SpecificDecision {
    /// One score a class: the Mahalanobis cosine (whitened), in -1 to 1, or `E_c` (discriminative), 0 or more.
    pub scores: Vec<f64>,
    /// The class with the highest score; among equals the one with the most mean evidence.
    pub predicted: usize,
    /// `K x C`: what each channel of the whitened layer adds. They sum to the score (whitened), or to that layer's part
    /// of the mean evidence, before offset and share (discriminative).
    pub contributions: Vec<Vec<f32>>,
}

/// Index of the whitened layer among the targets.
pub(super) const BLOCK: usize = 0;
/// Index of the head.
const HEAD: usize = 1;

impl Specific {
    /// Whitens with the rule's shrinkage. Takes `O(C^3)`: some 20 ms for 320 channels.
    ///
    /// # Errors
    /// As [`Rule::check`] and [`Whitening::new`].
    pub fn new(statistics: &Statistics, rule: Rule) -> Result<Self> {
        rule.check()?;
        let head = statistics.origin().head.as_ref().map(|_| {
            let mean = statistics.head_mean().to_vec();
            let single = mean.iter().map(|&v| v as f32).collect();
            (mean, single)
        });
        Ok(Self { whitening: Whitening::new(statistics, rule.shrinkage)?, head, rule })
    }

    /// The same whitening under another rule of the same shrinkage.
    ///
    /// # Errors
    /// As [`Specific::new`]; [`Error::Argument`] for another shrinkage.
    pub fn with_rule(mut self, rule: Rule) -> Result<Self> {
        rule.check()?;
        if rule.shrinkage != self.rule.shrinkage {
            return Err(Error::argument("shrinkage", "another shrinkage needs the statistics"));
        }
        self.rule = rule;
        Ok(self)
    }

    /// The rule.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The whitening of the first layer.
    pub fn whitening(&self) -> &Whitening {
        &self.whitening
    }

    /// The readout that explains a query for these classes. The program's targets are the statistics' layer, then the
    /// head if they have one.
    ///
    /// # Errors
    /// [`Error::Argument`] without classes, with one class where the form compares classes, or if the cells are those
    /// of another layer.
    pub fn readout(&self, form: CellForm, classes: &[ClassCells]) -> Result<CellReadout> {
        self.readout_of(form, classes, &self.layers(form))
    }

    /// The same with evidence from the whitened layer alone, for ablations.
    ///
    /// # Errors
    /// As [`Specific::readout`].
    pub fn readout_of_block(&self, form: CellForm, classes: &[ClassCells]) -> Result<CellReadout> {
        self.readout_of(form, classes, &[BLOCK])
    }

    fn layers(&self, form: CellForm) -> Vec<usize> {
        match (form, &self.head) {
            (CellForm::Discriminative, Some(_)) => vec![BLOCK, HEAD],
            (CellForm::Discriminative, None) | (CellForm::Whitened, _) => vec![BLOCK],
        }
    }

    fn readout_of(&self, form: CellForm, classes: &[ClassCells], layers: &[usize]) -> Result<CellReadout> {
        if classes.is_empty() {
            return Err(Error::argument("classes", "at least one class with one image is needed"));
        }
        let sharpness = match form {
            CellForm::Whitened => None,
            CellForm::Discriminative if classes.len() < 2 => {
                let reason =
                    "the discriminative form compares classes and needs at least two; \"whitened\" explains one";
                return Err(Error::argument("form", reason));
            }
            CellForm::Discriminative => Some(self.rule.sharpness),
        };
        let layer = |&target: &usize| {
            let directions = classes.iter().map(|class| self.direction(class, target));
            let directions = directions.map(|w| Ok(w?.iter().map(|&v| v as f32).collect())).collect::<Result<_>>()?;
            let (mean, factor) = match (&self.head, target) {
                (Some((_, mean)), HEAD) => (mean.clone(), None),
                _ => (self.whitening.mean_single.clone(), Some(self.whitening.factor_single.clone())),
            };
            Ok(LayerReadout { target, mean, factor, directions })
        };
        let layers = layers.iter().map(layer).collect::<Result<_>>()?;
        Ok(CellReadout { layers, offset: self.rule.offset.unwrap_or(form.offset()), sharpness })
    }

    /// `w_c = W d_c / sqrt(d_c' W d_c)` at a target, with `W` the identity at the head; zeros if `d_c` is zero.
    pub(super) fn direction(&self, class: &ClassCells, target: usize) -> Result<Vec<f64>> {
        match (&self.head, target) {
            (Some((mean, _)), HEAD) => Ok(unit(class.vector(HEAD, mean, self.rule.border)?)),
            _ => {
                let d = class.vector(BLOCK, &self.whitening.mean, self.rule.border)?;
                Ok(self.whitening.back(&unit(self.whitening.whiten(&d))))
            }
        }
    }

    /// Ranks the classes by what the readout gave.
    ///
    /// # Errors
    /// As [`Specific::readout`].
    pub fn decide(&self, form: CellForm, classes: &[ClassCells], found: &CellMaps) -> Result<SpecificDecision> {
        let layers = self.layers(form).len().max(1) as f64;
        let mean = found.pooled.get(BLOCK).map_or(&[][..], |p| &p.mean);
        let x: Vec<f64> = mean.iter().zip(&self.whitening.mean).map(|(&a, m)| f64::from(a) - m).collect();
        let length = norm(&self.whitening.whiten(&x));
        let radius = found.radii.first().copied().map_or(0.0, f64::from);
        let divisor = match form {
            // Where every cell is the mean cell, what is left of their mean is rounding.
            CellForm::Whitened if radius > 0.0 => length,
            CellForm::Whitened => 0.0,
            CellForm::Discriminative => radius * layers,
        };
        let (mut contributions, mut scores) = (Vec::with_capacity(classes.len()), Vec::with_capacity(classes.len()));
        for (k, class) in classes.iter().enumerate() {
            let w = self.direction(class, BLOCK)?;
            let scale = if divisor > 0.0 { 1.0 / divisor } else { 0.0 };
            let parts: Vec<f64> = w.iter().zip(&x).map(|(w, x)| w * x * scale).collect();
            scores.push(match form {
                CellForm::Whitened => parts.iter().sum(),
                CellForm::Discriminative => found.scores.get(k).copied().map_or(0.0, f64::from),
            });
            contributions.push(parts.into_iter().map(|v| v as f32).collect());
        }
        let cells = found.evidence.len() / classes.len().max(1);
        let total = |k: usize| found.evidence.iter().skip(k * cells).take(cells).map(|&s| f64::from(s)).sum::<f64>();
        let rank = |k: usize| (scores[k], total(k));
        let better = |best: usize, k: usize| if rank(k) > rank(best) { k } else { best };
        let predicted = (0..scores.len()).fold(0, better);
        Ok(SpecificDecision { scores, predicted, contributions })
    }
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// `x / |x|`, or zeros.
fn unit(x: Vec<f64>) -> Vec<f64> {
    let length = norm(&x);
    x.into_iter().map(|v| if length > 0.0 { v / length } else { 0.0 }).collect()
}
