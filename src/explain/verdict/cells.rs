//! Supports judged by cells: one readout a support, with its class's directions with and without it.

use super::taught::{LeftOut, Place, Taught, chosen, middle};
use crate::backbone::Backbone;
use crate::engine::cells::concluded;
use crate::engine::{CellMaps, CellReadout, Pooled};
use crate::error::Result;
use crate::explain::Class;
use crate::fam::{CellForm, ClassCells, Specific};
use crate::tasks::verdict::Unit;

pub(super) async fn teach(
    backbone: &mut Backbone,
    specific: &Specific,
    form: CellForm,
    classes: &[Class],
    most: usize,
) -> Result<Taught> {
    let mut pooled = Vec::with_capacity(classes.len());
    for class in classes {
        let mut supports = Vec::with_capacity(class.supports.len());
        for &id in &class.supports {
            supports.push(backbone.pooled_cells(id).await?);
        }
        pooled.push(supports);
    }
    let mean = |supports: &[&[Pooled]]| ClassCells::new(supports);
    let all = |supports: &Vec<std::sync::Arc<[Pooled]>>| mean(&supports.iter().map(AsRef::as_ref).collect::<Vec<_>>());
    let cells = pooled.iter().map(all).collect::<Result<Vec<_>>>()?;
    let general = specific.general_evidence(form, &cells)?;
    let place = |&unit: &f64| Place { none: 0.0, unit };
    let mut taught = Taught {
        score: form.score_name().to_owned(),
        unit: Unit::General,
        left_out: Vec::new(),
        strongest: vec![f64::NEG_INFINITY; classes.len()],
        peak: None,
        places: general.iter().map(place).collect(),
        leads_by_score: form == CellForm::Discriminative,
    };
    let mut peaks = Vec::new();
    for (k, at) in chosen(classes, most) {
        let rest: Vec<&[Pooled]> =
            pooled[k].iter().enumerate().filter(|(i, _)| *i != at).map(|(_, support)| support.as_ref()).collect();
        let without = if rest.is_empty() { None } else { Some(mean(&rest)?) };
        // The evidence for one class does not depend on the others, so one readout serves both.
        let both: Vec<ClassCells> = cells.iter().chain(&without).cloned().collect();
        let readout = specific.readout(form, &both)?;
        let found = backbone.cells(classes[k].supports[at], &readout).await?;
        let full = among(&found, classes.len(), None, &readout);
        let decision = specific.decide(form, &cells, &full)?;
        taught.strongest[k] = taught.strongest[k].max(decision.scores[k]);
        let own = full.maps.chunks_exact((full.maps.len() / classes.len()).max(1)).nth(k).unwrap_or(&[]);
        peaks.push(own.iter().copied().fold(0.0, f32::max));
        let Some(without) = without else { continue };
        let mut others = cells.clone();
        let unit = specific.general_evidence(form, std::slice::from_ref(&without))?;
        others[k] = without;
        let found = among(&found, classes.len(), Some(k), &readout);
        let decision = specific.decide(form, &others, &found)?;
        let raw = specific.evidence(form, &found, classes.len());
        let (scores, predicted) = (decision.scores, decision.predicted);
        let evidence = Place { none: 0.0, unit: unit[0] }.evidence(raw[k]);
        let told = if taught.leads_by_score { &scores } else { &raw };
        let best = (0..classes.len()).filter(|&j| j != k).reduce(|a, b| if told[b] > told[a] { b } else { a });
        let lead = best.map_or(0.0, |best| taught.lead(&scores, &raw, k, best));
        taught.left_out.push(LeftOut { class: k, at, scores, raw, predicted, evidence, lead });
    }
    taught.peak = middle(&peaks);
    Ok(taught)
}

/// What a readout of `K` classes, and perhaps of one more direction, says of the `K`; with `instead`, the further
/// direction takes that class's place.
fn among(found: &CellMaps, classes: usize, instead: Option<usize>, readout: &CellReadout) -> CellMaps {
    let rows = readout.classes().max(1);
    let cells = found.evidence.len() / rows;
    let mut evidence = found.evidence[..classes * cells].to_vec();
    if let (Some(k), Some(other)) = (instead, found.evidence.get(classes * cells..)) {
        evidence[k * cells..(k + 1) * cells].copy_from_slice(other);
    }
    concluded(found.pooled.clone(), found.radii.clone(), evidence, cells, readout)
}
