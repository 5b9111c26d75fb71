//! Explanations of few-shot decisions.

use serde::Serialize;
use web_time::Instant;

use super::{EngineKind, ExplainOptions, ImageId, Map, Session, milliseconds, not_spatial};
use crate::error::{Error, Result};
use crate::fam::Form;
use crate::image::Geometry;
use crate::methods::Method;
use crate::metrics::{DEFAULT_THRESHOLD, Localisation, localise};
use crate::tasks::few_shot::Episode;

/// One class of an episode: a name and its support images.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Class {
    /// The name shown to people.
    pub name: String,
    /// The support images, at least one.
    pub supports: Vec<ImageId>,
}

impl Class {
    /// A class from its name and support images.
    pub fn new(name: impl Into<String>, supports: impl Into<Vec<ImageId>>) -> Self {
        Self { name: name.into(), supports: supports.into() }
    }
}

/// A class and how similar the query is to it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ClassScore {
    /// The class's name.
    pub name: String,
    /// The score that ranks; [`Explanation::score`] names it.
    pub similarity: f64,
    /// What of the explained quantity (the score, or the margin for the contrastive form) no channel carries by
    /// construction, such as `-|f|^2 - |g|^2` of the squared Euclidean distance.
    pub constant: f64,
    /// What the contributions and the constant miss of the explained quantity: rounding, or what a transformation module
    /// that is not affine leaves unexplained.
    pub residual: f64,
}

/// Where the time of an explanation went, in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Timings {
    /// All of it.
    pub total: f64,
    /// Embedding the supports that were new.
    pub supports: f64,
    /// The query's forward pass, 0 if it was already embedded. On the first explanation of a query it includes the
    /// mix, which runs in the same submission.
    pub forward: f64,
    /// The mix over activation maps that were already there.
    pub mix: f64,
}

/// The map of one class, with what it points at.
#[derive(Clone, Debug)]
pub struct ExplainedMap {
    /// Raw values and their place on the photo.
    pub map: Map,
    /// Smallest and largest raw value on the photo.
    pub range: (f32, f32),
    /// Box and peak at the default threshold; `None` if the map is constant.
    pub localisation: Option<Localisation>,
}

/// A few-shot decision and its explanation.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The form asked for.
    pub form: Form,
    /// Which score ranks the classes: `"cosine"`, `"centred cosine"` and so on.
    pub score: String,
    /// Plain sentences about the choices made: that one of them cannot change the map and why, that a map is zero
    /// everywhere and why.
    pub notes: Vec<String>,
    /// Every class with its score, in the order given.
    pub classes: Vec<ClassScore>,
    /// Index of the class with the highest score.
    pub predicted: usize,
    /// One map per class.
    pub maps: Vec<ExplainedMap>,
    /// Per class, the weight of each channel: its contribution to the score (to the margin, for the contrastive form).
    pub contributions: Vec<Vec<f32>>,
    /// The layer that these channels are of.
    pub target: String,
    /// Where the time went.
    pub timings: Timings,
    /// How many images the backbone ran on for this explanation.
    pub embedded: usize,
    /// The engine that ran.
    pub engine: EngineKind,
}

impl Session {
    /// Decides which class the query is like, and explains it for every class.
    ///
    /// # Errors
    /// [`Error::Argument`] for unknown images, a class without supports or a form that does not apply;
    /// [`Error::Target`] for an unknown layer; the engine's errors. A lost GPU is recovered from.
    pub async fn explain(
        &mut self,
        query: ImageId,
        classes: &[Class],
        options: &ExplainOptions,
    ) -> Result<Explanation> {
        let started = Instant::now();
        if options.method != Method::Fam || options.against.is_some() {
            // Boxed, since a comparison asks this very function for FAM.
            return Box::pin(self.explain_by_method(query, classes, options)).await;
        }
        options.check()?;
        self.check_episode(query, classes)?;
        if let Some(form) = options.form.cells() {
            let work = async |s: &mut Self| s.explain_cells(query, classes, form, options).await;
            let mut explanation = self.with_recovery(work).await?;
            explanation.timings.total = milliseconds(started);
            return Ok(explanation);
        }
        let layers = options.layers(&self.model.manifest().target)?;
        layers.iter().try_for_each(|layer| self.model.check_target(layer))?;
        not_yet(options, &layers)?;
        let target = &layers[0];
        let work = async |s: &mut Self| s.try_explain(query, classes, options.form, target).await;
        let mut explanation = self.with_recovery(work).await?;
        explanation.timings.total = milliseconds(started);
        Ok(explanation)
    }

    /// Every image is there and every class has one.
    fn check_episode(&self, query: ImageId, classes: &[Class]) -> Result<()> {
        self.entry(query)?;
        for class in classes {
            if class.supports.is_empty() {
                let reason = format!("class {:?} has no images; add one or remove the class", class.name);
                return Err(Error::argument("classes", reason));
            }
            class.supports.iter().try_for_each(|&id| self.entry(id).map(|_| ()))?;
        }
        Ok(())
    }

    async fn try_explain(
        &mut self,
        query: ImageId,
        classes: &[Class],
        form: Form,
        target: &str,
    ) -> Result<Explanation> {
        let mut embedded = 0;
        let mut timings = Timings::default();

        let started = Instant::now();
        let mut supports = Vec::with_capacity(classes.len());
        for class in classes {
            let mut row = Vec::with_capacity(class.supports.len());
            for &id in &class.supports {
                embedded += usize::from(self.cached(id, target)?.is_none());
                row.push(self.embedded(id, target).await?.embedding);
            }
            supports.push(row);
        }
        if embedded > 0 {
            timings.supports = milliseconds(started);
        }
        let rows: Vec<Vec<&[f32]>> = supports.iter().map(|row| row.iter().map(AsRef::as_ref).collect()).collect();
        let episode = Episode::new(&rows)?;
        let mean = self.model.mean_embedding(target).map(<[f32]>::to_vec);
        let mix = form.mix(&episode.prototypes, mean.as_deref())?;

        let started = Instant::now();
        let mixed = match self.cached(query, target)? {
            Some(known) => {
                let size = self.entry(query)?.geometry.input_size();
                let mixed = self
                    .engines
                    .program_on(known.engine, &self.model, size, target)?
                    .mix(&known.features, &mix)
                    .await?;
                timings.mix = milliseconds(started);
                mixed
            }
            None => {
                embedded += 1;
                let (_, mixed) = self.forward(query, target, &mix).await?;
                timings.forward = milliseconds(started);
                mixed
            }
        };

        let decision = episode.decide(form, &mixed.embedding, mean.as_deref())?;
        let channels = mixed.embedding.len();
        let contributions: Vec<Vec<f32>> = mixed.weights.chunks(channels.max(1)).map(<[f32]>::to_vec).collect();
        let total: f64 = decision.scores.iter().sum();
        let score = |(k, class): (usize, &Class)| {
            let similarity = decision.scores[k];
            let explained = match form {
                Form::Contrastive => similarity - (total - similarity) / (classes.len().max(2) - 1) as f64,
                _ => similarity,
            };
            let carried: f64 = match form {
                Form::Cam => crate::fam::dot(&contributions[k], &mixed.embedding),
                _ => contributions[k].iter().map(|&w| f64::from(w)).sum(),
            };
            ClassScore { name: class.name.clone(), similarity, constant: 0.0, residual: explained - carried }
        };
        let scores = classes.iter().enumerate().map(score).collect();
        Ok(Explanation {
            form,
            score: form.score_name().to_owned(),
            notes: Vec::new(),
            classes: scores,
            predicted: decision.predicted,
            maps: self.place_maps(query, target, mixed.maps, classes.len())?,
            contributions,
            target: target.to_owned(),
            timings,
            embedded,
            engine: self.engines.active(),
        })
    }

    /// Cuts `K x H x W` values into one map per class and finds what each points at.
    fn place_maps(
        &mut self,
        query: ImageId,
        target: &str,
        data: Vec<f32>,
        classes: usize,
    ) -> Result<Vec<ExplainedMap>> {
        let geometry = self.entry(query)?.geometry;
        let program = self.engines.program(&self.model, geometry.input_size(), target)?;
        let shape = program.target_shapes().first().and_then(crate::tensor::Shape::chw);
        let (_, height, width) = shape.ok_or_else(|| not_spatial(target))?;
        if data.len() != classes * height * width {
            let reason = format!("{} map values for {classes} classes of {height} x {width}", data.len());
            return Err(Error::Engine { engine: self.engines.active().name(), reason });
        }
        data.chunks(height * width).map(|values| place(values, width, height, geometry)).collect()
    }
}

/// A map of `height x width` values at its place on the photo, and what it points at.
pub(super) fn place(values: &[f32], width: usize, height: usize, geometry: Geometry) -> Result<ExplainedMap> {
    let map = Map { data: values.to_vec(), width, height, geometry };
    let view = map.view()?;
    let (range, localisation) = (view.range(), localise(&view, DEFAULT_THRESHOLD)?);
    Ok(ExplainedMap { map, range, localisation })
}

/// Refuses by name what is described and not computed yet.
fn not_yet(options: &ExplainOptions, layers: &[String]) -> Result<()> {
    let plain = ExplainOptions {
        form: options.form,
        target: options.target.clone(),
        targets: options.targets.clone(),
        ..ExplainOptions::default()
    };
    match *options == plain && layers.len() == 1 {
        true => Ok(()),
        false => Err(Error::argument("options", "only the form and one target layer can be chosen so far")),
    }
}
