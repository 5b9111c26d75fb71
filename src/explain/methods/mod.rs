//! Several methods over one image: the same scores, the same layer, side by side with what each costs.
//!
//! The backbone runs once for all methods that read activations and gradients; those that need more passes run them.

mod cost;
mod gather;
mod scorer;

pub use cost::{Cost, Passes};

use serde::Serialize;
use web_time::Instant;

use super::result::Findings;
use super::{
    ClassScore, Effort, ExplainOptions, ExplainedMap, Explanation, Given, Map, Request, Timings, fam_explanation,
};
use crate::backbone::{Backbone, EngineKind, milliseconds};
use crate::engine::LocalFuture;
use crate::error::{Error, Result};
use crate::image::Geometry;
use crate::methods::{Evidence, Maps, Method, MethodMap, Reads};
use crate::metrics::Threshold;
use gather::{Gathered, gather};
use scorer::ModelScorer;

/// How far a comparison is: after every pass of a method that runs the model many times.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Progress {
    /// The method at work.
    #[serde(serialize_with = "by_name")]
    pub method: Method,
    /// Passes done.
    pub done: usize,
    /// Passes in all.
    pub total: usize,
}

fn by_name<S: serde::Serializer>(method: &Method, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.name())
}

/// Hears of progress and says whether to go on; [`keep_going`] always does.
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> LocalFuture<'static, bool>;

/// A [`Watch`] that lets every method finish.
pub fn keep_going(_: Progress) -> LocalFuture<'static, bool> {
    Box::pin(std::future::ready(true))
}

/// One class, or one output of the classifier, and its score.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ComparedClass {
    /// The class's name, or the output's label.
    pub name: String,
    /// The number that every method explains.
    pub score: f64,
}

/// What one method gives.
#[derive(Clone, Debug)]
pub struct MethodResult {
    /// Which method.
    pub method: Method,
    /// One map per class.
    pub maps: Vec<ExplainedMap>,
    /// Per class one weight a channel of the layer; empty where the method weighs no channels.
    pub weights: Vec<Vec<f32>>,
    /// What it cost for all classes together.
    pub cost: Cost,
    /// Plain sentences: that a map is zero everywhere and why, that it is the same for every class.
    pub notes: Vec<String>,
}

/// Methods side by side.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What is explained: `"cosine"`, `"centred cosine"` or `"logit"`.
    pub score: String,
    /// Every class with its score, in the order given.
    pub classes: Vec<ComparedClass>,
    /// Index of the class with the highest score.
    pub predicted: usize,
    /// The layer whose activation maps are weighed.
    pub layer: String,
    /// Milliseconds of the forward pass that all methods share, when it was run.
    pub forward_milliseconds: f64,
    /// One result per method, in the order asked for.
    pub methods: Vec<MethodResult>,
    /// The engine that ran.
    pub engine: EngineKind,
}

/// Explains an image by several methods: for every class the maps of every method. The scores are similarities to the
/// classes, or, with [`ExplainOptions::against`], outputs of the model's classifier.
///
/// # Errors
/// [`Error::Argument`] for unknown images, a class without supports, an unknown label, a layer that the score does not
/// depend on, or a method that does not apply; [`Error::Cancelled`] if `watch` said no; [`Error::Target`] for an
/// unknown layer; the engine's errors.
pub(crate) async fn compare(
    backbone: &mut Backbone,
    given: &mut Given,
    request: &Request<'_>,
    methods: &[Method],
    watch: Watch<'_>,
) -> Result<Comparison> {
    let Request { query, options, .. } = *request;
    if methods.is_empty() {
        return Err(Error::argument("methods", "name at least one method"));
    }
    let gathered = {
        let given = &*given;
        backbone.recovering(async |b: &mut Backbone| gather(b, given, request, methods).await).await?
    };
    let image = backbone.image(query)?;
    let (input, geometry) = (image.input.clone(), image.geometry);
    let mut results = Vec::with_capacity(methods.len());
    for &method in methods {
        let started = Instant::now();
        let (mut passes, mut geometry) = (Passes::default(), geometry);
        let found: Vec<MethodMap> = match (method, method.reads()) {
            (Method::Fam, _) if gathered.logits.is_none() => {
                let (method, method_options) = Default::default();
                let mut plain = ExplainOptions { method, layer: None, method_options, ..options.clone() };
                if gathered.own_embedding {
                    plain = ExplainOptions { target: Some(gathered.layer.clone()), targets: Vec::new(), ..plain };
                }
                let explanation = fam_explanation(backbone, given, &Request { options: &plain, ..*request }).await?;
                passes.forward = explanation.passes.saturating_sub(1);
                let mut maps = Vec::with_capacity(explanation.maps.len());
                for (explained, weights) in explanation.maps.into_iter().zip(explanation.weights) {
                    let Map { data, width, height, geometry: place } = explained.map;
                    // The class-specific forms may have looked at another input.
                    geometry = place;
                    maps.push(MethodMap { data, width, height, weights });
                }
                maps
            }
            (_, Reads::Tail | Reads::Input) => {
                let mut scorer = ModelScorer::new(backbone, &gathered, method, &mut *watch)?;
                let maps =
                    method.by_passes(&mut scorer, &input, &gathered.activations, &options.method_options).await?;
                passes = scorer.passes;
                maps
            }
            _ => {
                let evidence = Evidence {
                    maps: Maps::new(&gathered.activations)?,
                    gradients: &gathered.gradients,
                    directions: &gathered.directions,
                    classes: gathered.classes.len(),
                };
                method.from_activations(&evidence, options.method_options.seed)?
            }
        };
        let milliseconds = milliseconds(started);
        results.push(finish(method, found, &gathered, &geometry, (milliseconds, passes))?);
    }
    let better =
        |best: usize, k: usize| if gathered.classes[k].score > gathered.classes[best].score { k } else { best };
    let predicted = (0..gathered.classes.len()).fold(0, better);
    Ok(Comparison {
        score: gathered.score.clone(),
        classes: gathered.classes,
        predicted,
        layer: gathered.layer,
        forward_milliseconds: gathered.forward_ms,
        methods: results,
        engine: backbone.engine(),
    })
}

/// The route of a method that is not FAM, or to outputs of the classifier.
pub(super) async fn explain(backbone: &mut Backbone, given: &mut Given, request: &Request<'_>) -> Result<Explanation> {
    let options = request.options;
    let before = backbone.computed_images();
    let found = compare(backbone, given, request, &[options.method], &mut keep_going).await?;
    let Comparison { score, classes, predicted, layer, methods, .. } = found;
    let result = methods.into_iter().next().ok_or_else(|| Error::argument("methods", "nothing was explained"))?;
    let class = |c: ComparedClass| ClassScore { name: c.name, similarity: c.score, constant: 0.0, residual: 0.0 };
    let timings = Timings { mix: result.cost.own, ..Timings::default() };
    let findings = Findings {
        score,
        classes: classes.into_iter().map(class).collect(),
        predicted,
        evidence: Vec::new(),
        present: Vec::new(),
        maps: result.maps.into_iter().map(|explained| explained.map).collect(),
        contributions: result.weights.clone(),
        weights: result.weights,
        target: layer,
        layers: Vec::new(),
        passes: 1 + result.cost.passes.forward,
        looked: None,
        effort: Effort { timings, embedded: backbone.computed_images() - before },
        notes: result.notes,
    };
    findings.conclude(backbone, options)
}

fn finish(
    method: Method,
    found: Vec<MethodMap>,
    gathered: &Gathered,
    geometry: &Geometry,
    (own, passes): (f64, Passes),
) -> Result<MethodResult> {
    let mut notes = Vec::new();
    if method.ignores_class() && found.len() > 1 {
        notes.push(format!("{method} knows nothing of the class, so its map is the same for every class."));
    }
    if method == Method::Fam
        && gathered.logits.is_none()
        && gathered.layer != gathered.decides
        && !gathered.own_embedding
    {
        let Gathered { layer, decides, .. } = gathered;
        notes.push(format!(
            "FAM weighs the maps of {decides:?}, where the similarity is taken, and not the maps of {layer:?}."
        ));
    }
    let cost = Cost::new(method, gathered, own, passes, &found);
    let mut maps = Vec::with_capacity(found.len());
    let mut weights = Vec::new();
    for (k, (class, found)) in gathered.classes.iter().zip(found).enumerate() {
        let MethodMap { data, width, height, weights: of_class } = found;
        if data.iter().all(|&v| v == 0.0) {
            let unread = gathered.gradients.get(k).is_some_and(|g| g.iter().all(|&v| v == 0.0));
            let why = match method.reads() {
                Reads::Gradient if unread => {
                    "the score does not depend on this layer's cells (a class token may have read them before); choose an earlier layer"
                }
                Reads::Gradient | Reads::Tail | Reads::Input => {
                    "nothing in the image speaks for the score, and what speaks against it is set to zero"
                }
                _ => "the weights or the activations are zero",
            };
            notes.push(format!("The map of {:?} is zero everywhere: {why}.", class.name));
        }
        maps.push(ExplainedMap::of(Map { data, width, height, geometry: *geometry }, Threshold::default())?);
        if !of_class.is_empty() {
            weights.push(of_class);
        }
    }
    Ok(MethodResult { method, maps, weights, cost, notes })
}
