//! Supports judged by pooled features: a similarity lies between that of the other classes' supports and that of the
//! class's own.

use super::taught::{LeftOut, Place, Taught, chosen};
use crate::backbone::Backbone;
use crate::error::Result;
use crate::explain::place::Place as Compared;
use crate::explain::setup::{Rows, Setup, learns_from_images, setup};
use crate::explain::{Class, ExplainOptions, Given, Request};
use crate::fam::head::HeadChoice;
use crate::tasks::verdict::Unit;

pub(super) async fn teach(
    backbone: &mut Backbone,
    given: &Given,
    classes: &[Class],
    options: &ExplainOptions,
    place: &Compared,
    most: usize,
) -> Result<Taught> {
    let Compared { layers, pooling, .. } = place;
    let mut rows: Vec<Rows> = Vec::with_capacity(classes.len());
    for class in classes {
        let mut row = Rows::with_capacity(class.supports.len());
        for &id in &class.supports {
            row.extend(backbone.features(id, layers, *pooling).await?);
        }
        rows.push(row);
    }
    let first = classes.iter().find_map(|class| class.supports.first().copied());
    let Some(first) = first else {
        return Err(crate::Error::argument("classes", "at least one class with one image is needed"));
    };
    let request = Request::new(first, classes, options);
    let whole = setup(backbone, given, &request, &layers[0], *pooling, &rows, &mut Vec::new()).await?;
    let mut places = Vec::with_capacity(classes.len());
    let mut strongest = Vec::with_capacity(classes.len());
    for k in 0..classes.len() {
        let (found, greatest) = found(&whole, &rows, k)?;
        places.push(found);
        strongest.push(greatest);
    }
    let score = whole.space.metric().score_name();
    let mut taught = Taught {
        score,
        unit: Unit::Between,
        left_out: Vec::new(),
        strongest,
        peak: None,
        places,
        leads_by_score: true,
    };
    // To learn a space anew for every support would take too long before every answer; a check takes that time.
    let costly = learns_from_images(options) || options.head == HeadChoice::Lda;
    if costly && most < usize::MAX {
        return Ok(taught);
    }
    for (k, at) in chosen(classes, most) {
        if classes[k].supports.len() < 2 {
            continue;
        }
        let mut rest = rows.clone();
        rest[k].remove(at);
        let request = Request::new(classes[k].supports[at], classes, options);
        let without = setup(backbone, given, &request, &layers[0], *pooling, &rest, &mut Vec::new()).await?;
        let side = without.space.side(&rows[k][at])?;
        let (decision, _) = without.references.decide(without.space.metric(), &side);
        let (place, _) = found(&without, &rest, k)?;
        let scores = decision.scores;
        let best = (0..classes.len()).filter(|&j| j != k).reduce(|a, b| if scores[b] > scores[a] { b } else { a });
        let lead = best.map_or(0.0, |best| taught.lead(&scores, &scores, k, best));
        let evidence = place.evidence(scores[k]);
        let predicted = decision.predicted;
        taught.left_out.push(LeftOut { class: k, at, raw: scores.clone(), scores, predicted, evidence, lead });
    }
    Ok(taught)
}

/// Where a class's scores lie, and the greatest one that a support of its own has.
fn found(setup: &Setup, rows: &[Rows], class: usize) -> Result<(Place, f64)> {
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for (k, row) in rows.iter().enumerate() {
        for features in row {
            let side = setup.space.side(features)?;
            let score = setup.references.score(setup.space.metric(), &side, class);
            if k == class { &mut own } else { &mut others }.push(score);
        }
    }
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    let none = mean(&others);
    Ok((Place { none, unit: mean(&own) - none }, own.into_iter().fold(f64::NEG_INFINITY, f64::max)))
}
