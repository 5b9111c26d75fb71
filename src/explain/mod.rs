//! Explanations: which class a query is like, and why.
//!
//! A [`Request`] says what is asked and [`Given`] what the user brought along. An explanation then takes one of four
//! routes, each in a file of its own. All end in the same conclusion:
//!
//! - `channels`: pooled features are compared, and each channel's part in the similarity weighs its activation map;
//! - `own_embedding`: the same behind attention or a class token, by the gradient;
//! - `cells`: the class-specific forms compare every cell with the classes;
//! - `methods`: the methods that FAM is compared with, and outputs of the model's classifier.

mod against;
mod catalogue;
mod cells;
mod channels;
mod embed;
mod finer;
mod finer_cells;
mod given;
mod look;
mod map;
mod maps;
mod methods;
mod notes;
mod options;
mod own_embedding;
mod pair;
mod place;
mod request;
mod result;
mod setup;
mod supports;
mod verdict;
mod weighed;
mod what_if;

pub use against::{Against, Output as ClassifierOutput};
pub(crate) use catalogue::counts_under;
pub use catalogue::{
    Applies, Entry as CatalogueEntry, Group as CatalogueGroup, Input as CatalogueInput, catalogue, catalogue_json,
};
pub use embed::Embedding;
pub use given::Given;
pub use look::Look;
pub use map::Map;
pub use methods::{ComparedClass, Comparison, Cost, MethodResult, Passes, Progress, Watch, keep_going};
pub use options::{ExplainOptions, Finer};
pub use pair::{CellPairs, PairExplanation};
pub use request::{Class, Request};
pub use result::{ClassScore, ExplainedMap, Explanation, LayerMaps, Scale, Timings};
pub use setup::Classifier;
pub use supports::{SupportCheck, SupportResult};
pub use what_if::{Move, WhatIf};

pub(crate) use self::methods::compare;
pub(crate) use embed::{embed, gallery_embedding, options_of, origin};
pub(crate) use pair::{pair, where_to_where};
pub(crate) use supports::check_supports;
pub(crate) use what_if::what_if;

use result::Effort;

use web_time::Instant;

use crate::backbone::{Backbone, milliseconds};
use crate::error::Result;
use crate::methods::Method;
use place::Place;

/// Decides which class the query is like, and explains it for every class.
///
/// # Errors
/// [`crate::Error::Argument`] for unknown images, a class without supports or a choice that does not apply;
/// [`crate::Error::Target`] for an unknown layer; the engine's errors. A lost GPU is recovered from.
pub(crate) async fn explain(backbone: &mut Backbone, given: &mut Given, request: &Request<'_>) -> Result<Explanation> {
    let started = Instant::now();
    let mut explanation = match request.options {
        ExplainOptions { method: Method::Fam, against: None, .. } => fam_explanation(backbone, given, request).await?,
        _ => methods::explain(backbone, given, request).await?,
    };
    if request.judged && request.options.against.is_none() && !request.classes.is_empty() {
        verdict::judge(backbone, given, request, &mut explanation).await?;
    }
    explanation.timings.total = milliseconds(started);
    Ok(explanation)
}

/// An explanation by FAM, whatever method the options name.
async fn fam_explanation(backbone: &mut Backbone, given: &mut Given, request: &Request<'_>) -> Result<Explanation> {
    let options = request.options;
    let layers = request.layers(backbone)?;
    if let Some(form) = options.form.cells() {
        let specific = given.specific(backbone.model(), options)?;
        let given = &*given;
        let route = async |b: &mut Backbone| cells::explain(b, given, &specific, form, request).await;
        return backbone.recovering(route).await;
    }
    let (given, place) = (&*given, Place::new(backbone.model(), options, &layers)?);
    let route = async |b: &mut Backbone| match place.own_embedding {
        true => own_embedding::explain(b, given, request, &layers, &place).await,
        false => channels::explain(b, given, request, &layers, place.pooling).await,
    };
    backbone.recovering(route).await
}

/// The score of every class alone. Where a map would cost another pass it is not made.
///
/// # Errors
/// As [`explain`].
pub(crate) async fn scores(backbone: &mut Backbone, given: &mut Given, request: &Request<'_>) -> Result<Vec<f64>> {
    let options = request.options;
    if options.form.cells().is_none() && options.against.is_none() {
        let place = Place::new(backbone.model(), options, &request.layers(backbone)?)?;
        if place.own_embedding {
            let given = &*given;
            let route = async |b: &mut Backbone| own_embedding::scores(b, given, request, &place).await;
            return backbone.recovering(route).await;
        }
    }
    // A second look changes no score.
    let finer = Finer { look: Look::Never, ..options.finer.clone() };
    let options = ExplainOptions { finer, ..options.clone() };
    let explanation = explain(backbone, given, &Request { options: &options, ..*request }).await?;
    Ok(explanation.classes.iter().map(|class| class.similarity).collect())
}

/// Runs whatever an explanation with these options needs of one image. Gives the milliseconds it took; `None` if
/// everything was there.
///
/// # Errors
/// [`crate::Error::Argument`] for an unknown id; the engine's errors.
pub(crate) async fn prepare(
    backbone: &mut Backbone,
    id: crate::backbone::ImageId,
    options: &ExplainOptions,
) -> Result<Option<f64>> {
    if options.form.cells().is_none() {
        let embedding = embed(backbone, id, options).await?;
        return Ok((!embedding.cached).then_some(embedding.milliseconds));
    }
    let started = Instant::now();
    if backbone.knows_cells(id)? {
        return Ok(None);
    }
    backbone.recovering(async |b: &mut Backbone| b.pooled_cells(id).await).await?;
    Ok(Some(milliseconds(started)))
}
