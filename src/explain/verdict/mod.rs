//! How sure a decision is: what the supports say of each other, and what that makes of a query's scores.

mod cells;
mod channels;
mod taught;

pub(super) use taught::{LeftOut, Taught, TaughtBy};

use std::sync::Arc;

use super::place::Place;
use super::{Class, ExplainOptions, Explanation, Given, Request};
use crate::backbone::Backbone;
use crate::error::Result;
use crate::methods::Method;
use crate::tasks::verdict::{Ranked, Verdict, Yardstick};

/// How many supports are left out in turn to judge a query: more take time and say nothing new.
const MOST_LEFT_OUT: usize = 48;

/// What the supports of these classes say of each other, under these options.
///
/// # Errors
/// As [`super::explain`].
pub(super) async fn teach(
    backbone: &mut Backbone,
    given: &mut Given,
    classes: &[Class],
    options: &ExplainOptions,
    most: usize,
) -> Result<Taught> {
    let layers = super::request::layers(backbone, classes, options)?;
    if let (Method::Fam, Some(form)) = (options.method, options.form.cells()) {
        let specific = given.specific(backbone.model(), options)?;
        let route = async |b: &mut Backbone| cells::teach(b, &specific, form, classes, most).await;
        return backbone.recovering(route).await;
    }
    let place = Place::new(backbone.model(), options, &layers[..1])?;
    let given = &*given;
    let route = async |b: &mut Backbone| channels::teach(b, given, classes, options, &place, most).await;
    backbone.recovering(route).await
}

/// Judges an explanation of similarities to classes, and puts its maps on a scale.
///
/// # Errors
/// As [`super::explain`].
pub(super) async fn judge(
    backbone: &mut Backbone,
    given: &mut Given,
    request: &Request<'_>,
    explanation: &mut Explanation,
) -> Result<()> {
    let Request { classes, options, .. } = *request;
    let by = TaughtBy::new(classes, options);
    let taught = match given.taught(&by) {
        Some(known) => known,
        None => {
            let taught = Arc::new(teach(backbone, given, classes, options, MOST_LEFT_OUT).await?);
            given.keep_taught(by, taught.clone());
            taught
        }
    };
    let scores: Vec<f64> = explanation.classes.iter().map(|class| class.similarity).collect();
    let raw = if explanation.evidence.is_empty() { &scores } else { &explanation.evidence };
    let names: Vec<String> = classes.iter().map(|class| class.name.clone()).collect();
    let mut verdict = verdict(&names, &taught, &scores, raw, explanation.predicted, &taught.yardstick(options, None));
    verdict.bars = (0..scores.len()).map(|k| taught.bar(k, scores[k], &explanation.score, &scores)).collect();
    verdict.strongest.clone_from(&taught.strongest);
    explanation.scale.reach(taught.peak);
    explanation.decision = Some(verdict);
    Ok(())
}

/// What a yardstick makes of scores and evidence, both as the route has them.
pub(super) fn verdict(
    names: &[String],
    taught: &Taught,
    scores: &[f64],
    raw: &[f64],
    first: usize,
    yardstick: &Yardstick,
) -> Verdict {
    let others = (0..scores.len()).filter(|&k| k != first);
    let second = others.reduce(|best, k| if scores[k] > scores[best] { k } else { best });
    let evidence = taught.evidence(first, raw.get(first).copied().unwrap_or(f64::NAN));
    let lead = second.map_or(f64::NAN, |second| taught.lead(scores, raw, first, second));
    Verdict::new(Ranked { names, first, second, evidence, lead }, yardstick)
}
