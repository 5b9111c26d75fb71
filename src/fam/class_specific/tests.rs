//! The identities of the class-specific forms, on made-up cells.

use std::sync::Arc;

use super::*;
use crate::engine::CellMaps;
use crate::engine::cells::{cells_host, energy_reference, pool};
use crate::error::Result;
use crate::tensor::Tensor;

const CHANNELS: usize = 7;
const HEAD: usize = 5;

struct Noise(u32);

impl Noise {
    fn image(&mut self, channels: usize, lift: f32) -> Tensor {
        let mut next = || {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let mut data: Vec<f32> = (0..channels * 16).map(|_| next()).collect();
        // Channels that go together, and a level away from zero.
        (0..16).for_each(|i| data[16 + i] += 1.5 * data[i] + lift);
        Tensor::new([1, channels, 4, 4], data).unwrap()
    }

    fn pair(&mut self, lift: f32) -> [Tensor; 2] {
        [self.image(CHANNELS, lift), self.image(HEAD, lift)]
    }
}

struct Episode {
    statistics: Statistics,
    classes: Vec<ClassCells>,
    query: [Tensor; 2],
}

fn episode() -> Episode {
    let mut noise = Noise(3);
    let mut sums = Accumulator::new();
    for _ in 0..6 {
        let [block, head] = noise.pair(0.5);
        sums.add(&block, Some(("head", &pool(&head).unwrap().mean))).unwrap();
    }
    let statistics = sums.finish("block", (128, 128), "noise").unwrap();
    let classes = [0.2, 1.0, 1.8].map(|lift| {
        let supports: Vec<Vec<_>> =
            (0..2).map(|_| noise.pair(lift).iter().map(|t| pool(t).unwrap()).collect()).collect();
        ClassCells::new(&supports.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap()
    });
    Episode { statistics, classes: classes.into(), query: noise.pair(1.4) }
}

impl Episode {
    fn specific(&self, rule: Rule) -> Specific {
        Specific::new(&self.statistics, rule).unwrap()
    }

    fn read(&self, readout: &crate::engine::CellReadout) -> CellMaps {
        cells_host(&[&self.query[0], &self.query[1]], readout, energy_reference).unwrap()
    }
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// `mean_i s_ci = cosine_W(mean cell - mu, d_c) |mean cell - mu|_W / r`, and that factor is at most 1 and the same for
/// every class.
#[test]
fn mean_evidence_is_the_mahalanobis_cosine_up_to_the_querys_factor() -> Result<()> {
    let episode = episode();
    for border in [0.0, Rule::BORDER] {
        let specific = episode.specific(Rule { border, ..Rule::default() });
        let found = episode.read(&specific.readout(CellForm::Whitened, &episode.classes)?);
        let decision = specific.decide(CellForm::Whitened, &episode.classes, &found)?;
        let x: Vec<f64> =
            found.pooled[0].mean.iter().zip(specific.whitening().mean()).map(|(&a, m)| f64::from(a) - m).collect();
        let factor = norm(&specific.whitening().whiten(&x)) / f64::from(found.radii[0]);
        assert!(factor > 0.0 && factor <= 1.0, "{factor}");
        for (k, score) in decision.scores.iter().enumerate() {
            assert!((-1.0..=1.0).contains(score));
            let s = mean(&found.evidence[k * 16..(k + 1) * 16]);
            assert!((s - score * factor).abs() < 1e-6, "class {k}: {s} is not {score} x {factor}");
            let parts: f64 = decision.contributions[k].iter().map(|&v| f64::from(v)).sum();
            assert!((parts - score).abs() < 1e-6, "contributions sum to the score");
        }
    }
    Ok(())
}

/// With lambda 1 (no whitening) the score is the centred cosine of the mean cells.
#[test]
fn without_whitening_the_score_is_the_centred_cosine() -> Result<()> {
    let episode = episode();
    let specific = episode.specific(Rule { border: 0.0, shrinkage: 1.0, ..Rule::default() });
    let found = episode.read(&specific.readout(CellForm::Whitened, &episode.classes)?);
    let decision = specific.decide(CellForm::Whitened, &episode.classes, &found)?;
    let mu: Vec<f32> = episode.statistics.mean().iter().map(|&m| m as f32).collect();
    let mut noise = Noise(3);
    (0..6).for_each(|_| drop(noise.pair(0.5)));
    for (k, lift) in [0.2, 1.0, 1.8].into_iter().enumerate() {
        let supports: Vec<Vec<f32>> = (0..2).map(|_| pool(&noise.pair(lift)[0]).unwrap().mean).collect();
        let prototype = crate::fam::prototype(&supports.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        let cosine = crate::fam::centred_cosine(&found.pooled[0].mean, &prototype, &mu);
        assert!((decision.scores[k] - cosine).abs() < 1e-5, "class {k}");
    }
    Ok(())
}

#[test]
fn the_discriminative_map_sums_to_the_score_that_decides() -> Result<()> {
    let episode = episode();
    let specific = episode.specific(Rule::default());
    let readout = specific.readout(CellForm::Discriminative, &episode.classes)?;
    assert_eq!(readout.layers.len(), 2);
    let found = episode.read(&readout);
    let decision = specific.decide(CellForm::Discriminative, &episode.classes, &found)?;
    for (k, score) in decision.scores.iter().enumerate() {
        assert!((mean(&found.maps[k * 16..(k + 1) * 16]) - score).abs() < 1e-7);
    }
    let best = decision.scores.iter().fold(f64::NEG_INFINITY, |m, &s| m.max(s));
    assert_eq!(decision.scores[decision.predicted], best);
    Ok(())
}

/// With the offset far below, the map is the evidence over it times the squared share: the shares sum to one.
#[test]
fn the_shares_of_a_cell_sum_to_one() -> Result<()> {
    let episode = episode();
    let specific = episode.specific(Rule { offset: Some(-1.0), ..Rule::default() });
    let found = episode.read(&specific.readout(CellForm::Discriminative, &episode.classes)?);
    for i in 0..16 {
        let squared = |k: usize| f64::from(found.maps[k * 16 + i]) / (f64::from(found.evidence[k * 16 + i]) + 1.0);
        let share = |k: usize| squared(k).sqrt();
        let total: f64 = (0..3).map(share).sum();
        assert!((total - 1.0).abs() < 1e-5, "cell {i}: {total}");
    }
    Ok(())
}

/// The same supports for two classes: each has half of every cell, and half squared counts.
#[test]
fn equal_classes_share_equally() -> Result<()> {
    let mut episode = episode();
    episode.classes[1] = episode.classes[0].clone();
    episode.classes.truncate(2);
    let specific = episode.specific(Rule::default());
    let found = episode.read(&specific.readout(CellForm::Discriminative, &episode.classes)?);
    let offset = CellForm::Discriminative.offset();
    for (m, s) in found.maps.iter().zip(&found.evidence) {
        assert!((m - (s - offset).max(0.0) / 4.0).abs() < 1e-6);
    }
    let decision = specific.decide(CellForm::Discriminative, &episode.classes, &found)?;
    assert_eq!(decision.predicted, 0);
    Ok(())
}

/// Equal scores, all of them zero where nothing passes the offset, go to the class with the most evidence.
#[test]
fn where_nothing_passes_the_offset_the_evidence_ranks() -> Result<()> {
    let episode = episode();
    let specific = episode.specific(Rule::default());
    let mut found = episode.read(&specific.readout(CellForm::Discriminative, &episode.classes)?);
    found.maps.fill(0.0);
    found.scores.fill(0.0);
    let decision = specific.decide(CellForm::Discriminative, &episode.classes, &found)?;
    let totals: Vec<f64> = found.evidence.chunks(16).map(mean).collect();
    assert!(totals.iter().all(|t| *t <= totals[decision.predicted]));
    Ok(())
}

#[test]
fn what_a_form_needs_is_said() -> Result<()> {
    let episode = episode();
    let specific = episode.specific(Rule::default());
    let one = &episode.classes[..1];
    assert!(specific.readout(CellForm::Whitened, one).is_ok());
    let error = specific.readout(CellForm::Discriminative, one).map(|_| ());
    assert!(error.is_err_and(|e| e.to_string().contains("at least two")));
    assert!(specific.readout(CellForm::Whitened, &[]).is_err());
    let wrong = |rule: Rule| rule.check().err().map(|e| e.to_string()).unwrap_or_default();
    assert!(wrong(Rule { shrinkage: 1.5, ..Rule::default() }).contains("shrinkage"));
    assert!(wrong(Rule { offset: Some(f32::NAN), ..Rule::default() }).contains("offset"));
    assert!(wrong(Rule { sharpness: -1.0, ..Rule::default() }).contains("sharpness"));
    assert!(wrong(Rule { border: 2.0, ..Rule::default() }).contains("border"));
    let other = Tensor::zeros([1, 3, 4, 4]);
    let pooled = [pool(&other)?];
    let classes = [ClassCells::new(&[&pooled])?];
    assert!(specific.readout(CellForm::Whitened, &classes).is_err_and(|e| e.to_string().contains("channels")));
    assert!(ClassCells::new(&[]).is_err());
    Ok(())
}

#[test]
fn zero_cells_have_no_evidence() -> Result<()> {
    let episode = episode();
    let specific = episode.specific(Rule::default());
    let readout = specific.readout(CellForm::Discriminative, &episode.classes)?;
    // Every cell is the mean cell: there is nothing to compare.
    let flat = |m: &Arc<[f32]>| Tensor::new([1, m.len(), 4, 4], m.iter().flat_map(|&v| [v; 16]).collect()).unwrap();
    let targets = [flat(&readout.layers[0].mean), flat(&readout.layers[1].mean)];
    let found = cells_host(&[&targets[0], &targets[1]], &readout, energy_reference)?;
    assert!(found.evidence.iter().chain(&found.maps).all(|&v| v == 0.0));
    let decision = specific.decide(CellForm::Whitened, &episode.classes, &found)?;
    assert!(decision.scores.iter().all(|s| s.abs() < 1e-3 && s.is_finite()));
    Ok(())
}
