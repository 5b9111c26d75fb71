//! Explanations of few-shot decisions.
//!
//! Weights are made on the host in full generality ([`setup`] learns what is to be learned, [`crate::fam::Space`] makes the
//! weights) and laid over the cached activation maps in one mix. Choices that an engine can make itself take the fast path: the
//! query's forward pass and its maps are then one submission.

mod finer;
mod finer_cells;
mod maps;
mod notes;
mod own;
mod setup;

use serde::Serialize;
use web_time::Instant;

use super::{EngineKind, ExplainOptions, ImageId, Map, Session, milliseconds};
use crate::engine::{Gate, Mix, Pooling};
use crate::error::{Error, Result};
use crate::fam::{ChannelWeights, Form, Grid, Norm, Similarity};
use crate::methods::Method;
use crate::metrics::{DEFAULT_THRESHOLD, Localisation, localise};
use crate::tasks::few_shot::{Decide, Decision};
use setup::Learned;

pub(super) use finer_cells::CellLooks;
pub(super) use own::{Way, trace};
pub(super) use setup::{Gallery, Setup, needs_gallery};

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
    /// The further looks of a finer map ([`super::Finer`]).
    pub finer: f64,
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

impl ExplainedMap {
    /// Measures a map where it lies on its photo.
    ///
    /// # Errors
    /// As [`Map::view`].
    pub fn of(map: Map) -> Result<Self> {
        let view = map.view()?;
        let (range, localisation) = (view.range(), localise(&view, DEFAULT_THRESHOLD)?);
        Ok(Self { map, range, localisation })
    }
}

/// The raw maps of one of several target layers.
#[derive(Clone, Debug)]
pub struct LayerMaps {
    /// The layer's name.
    pub target: String,
    /// One map per class.
    pub maps: Vec<Grid>,
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
    /// Per class, what each channel of the first target layer adds to the score (to the margin, for the contrastive form).
    pub contributions: Vec<Vec<f32>>,
    /// Per class, what the activation maps of the first target layer were multiplied with: the contributions, unless the form,
    /// ReLU or normalisation of the weights makes something else of them.
    pub weights: Vec<Vec<f32>>,
    /// The layer that these channels are of.
    pub target: String,
    /// The maps of each target layer before they were fused; empty for a single layer.
    pub layers: Vec<LayerMaps>,
    /// How many forward passes of the query the maps are made of: 1, and more for finer maps.
    pub passes: usize,
    /// Where the time went.
    pub timings: Timings,
    /// How many images the backbone ran on for this explanation.
    pub embedded: usize,
    /// The engine that ran.
    pub engine: EngineKind,
}

/// Weights and maps of one query, at every target layer.
struct Weighed<'a> {
    decision: Decision,
    setup: &'a Setup,
    /// The query's channels at the first layer, averaged.
    features: &'a [f32],
    explained: Vec<Vec<ChannelWeights>>,
    grids: Vec<Vec<Grid>>,
    passes: usize,
    signed: bool,
    layers: &'a [String],
    /// Whether the gradient of the model's own embedding made the weights.
    own: bool,
}

/// What is told beside the maps.
struct Told {
    notes: Vec<String>,
    timings: Timings,
    embedded: usize,
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
        let layers = self.checked_request(classes, options)?;
        self.entry(query)?;
        if let Some(form) = options.form.cells() {
            let work = async |s: &mut Self| s.explain_cells(query, classes, form, options).await;
            let mut explanation = self.with_recovery(work).await?;
            explanation.timings.total = milliseconds(started);
            return Ok(explanation);
        }
        let work = async |s: &mut Self| s.try_explain(query, classes, options, &layers).await;
        let mut explanation = self.with_recovery(work).await?;
        explanation.timings.total = milliseconds(started);
        Ok(explanation)
    }

    /// Checks classes and options, and gives the target layers.
    pub(super) fn checked_request(&self, classes: &[Class], options: &ExplainOptions) -> Result<Vec<String>> {
        options.check()?;
        let layers = options.layers(&self.model.manifest().target)?;
        layers.iter().try_for_each(|layer| self.model.check_target(layer))?;
        for class in classes {
            if class.supports.is_empty() {
                let reason = format!("class {:?} has no images; add one or remove the class", class.name);
                return Err(Error::argument("classes", reason));
            }
            class.supports.iter().try_for_each(|&id| self.entry(id).map(|_| ()))?;
        }
        Ok(layers)
    }

    async fn try_explain(
        &mut self,
        query: ImageId,
        classes: &[Class],
        options: &ExplainOptions,
        layers: &[String],
    ) -> Result<Explanation> {
        let place = self.place(options, layers)?;
        if place.own {
            return self.explain_own(query, classes, options, layers, &place).await;
        }
        let (pooling, mut notes) = (place.pooling, Vec::new());
        let mut timings = Timings::default();
        let started = Instant::now();
        let (setups, mut embedded) = self.learn(query, classes, options, layers, pooling, &mut notes).await?;
        if embedded > 0 {
            timings.supports = milliseconds(started);
        }
        embedded += usize::from(self.missing(query, layers)?);

        let fast = (layers.len() == 1).then(|| fast_mix(options, &setups[0], pooling)).flatten();
        let (first, fast_maps) = match fast {
            Some(mix) => {
                let (features, mixed) = self.mixed(query, layers, &mix, &mut timings).await?;
                (features, Some(mixed))
            }
            None => {
                let started = Instant::now();
                let new = self.missing(query, layers)?;
                let features = self.pooled(query, layers, pooling).await?;
                if new {
                    timings.forward = milliseconds(started);
                }
                (features, None)
            }
        };

        let mut explained: Vec<Vec<ChannelWeights>> = Vec::with_capacity(layers.len());
        let mut decision = None;
        for (setup, features) in setups.iter().zip(&first) {
            let space = &setup.space;
            let side = space.side(features)?;
            let (decided, directions) = setup.references.decide(space.metric(), &side);
            explained.push(space.explain(features, &side, &directions, options.form, options.rival)?);
            decision.get_or_insert(decided);
        }
        let decision = decision.ok_or_else(|| Error::argument("targets", "there is none"))?;
        explained.iter_mut().flatten().for_each(|class| finish_weights(class, options));

        let (grids, passes) = match fast_maps {
            Some(maps) => (vec![maps], 1),
            None => self.weighed_maps(query, layers, &explained, options, &mut timings).await?,
        };
        let signed = self.is_signed(query, &layers[0]).await?;
        let setup = &setups[0];
        let features = &first[0];
        let weighed = Weighed { decision, setup, features, explained, grids, passes, signed, layers, own: false };
        self.conclude(query, classes, options, weighed, Told { notes, timings, embedded })
    }

    /// The explanation, from maps that are weighed.
    fn conclude(
        &self,
        query: ImageId,
        classes: &[Class],
        options: &ExplainOptions,
        weighed: Weighed,
        told: Told,
    ) -> Result<Explanation> {
        let Weighed { decision, setup, features, mut explained, grids, passes, signed, layers, own } = weighed;
        let Told { mut notes, timings, embedded } = told;
        let fused = maps::finish(&grids, options);
        let maps = self.place_maps(query, &fused)?;
        let first = explained.swap_remove(0);
        let (maps_of, explained) = (&maps, &first);
        let context =
            notes::Context { options, classes, setup, features, explained, maps: maps_of, signed, layers, own };
        notes::write(&context, &mut notes);
        if let (Some(behind), None, true) = (self.model.behind_target, &options.target, options.targets.is_empty()) {
            notes.push(notes::early_target(&self.model.manifest().target, behind));
        }
        let score = |(k, class): (usize, &Class)| ClassScore {
            name: class.name.clone(),
            similarity: decision.scores[k],
            constant: first[k].constant,
            residual: first[k].residual,
        };
        Ok(Explanation {
            form: options.form,
            score: setup.space.metric().score_name(),
            notes,
            classes: classes.iter().enumerate().map(score).collect(),
            predicted: decision.predicted,
            maps,
            contributions: first.iter().map(|e| e.contributions.clone()).collect(),
            weights: first.into_iter().map(|e| e.weights).collect(),
            target: layers[0].clone(),
            layers: match layers.len() {
                1 => Vec::new(),
                _ => layers.iter().zip(grids).map(|(t, maps)| LayerMaps { target: t.clone(), maps }).collect(),
            },
            passes,
            timings,
            embedded,
            engine: self.engines.active(),
        })
    }

    /// The supports' pooled features, and what is learned from them, layer by layer; and how many images were new.
    pub(super) async fn learn(
        &mut self,
        query: ImageId,
        classes: &[Class],
        options: &ExplainOptions,
        layers: &[String],
        pooling: Pooling,
        notes: &mut Vec<String>,
    ) -> Result<(Vec<Setup>, usize)> {
        let mut embedded = 0;
        let mut supports = vec![Vec::with_capacity(classes.len()); layers.len()];
        for class in classes {
            let mut rows = vec![Vec::with_capacity(class.supports.len()); layers.len()];
            for &id in &class.supports {
                embedded += usize::from(self.missing(id, layers)?);
                let pooled = self.pooled(id, layers, pooling).await?;
                rows.iter_mut().zip(pooled).for_each(|(row, features)| row.push(features));
            }
            supports.iter_mut().zip(rows).for_each(|(all, row)| all.push(row));
        }
        let mut setups = Vec::with_capacity(layers.len());
        for (layer, supports) in layers.iter().zip(&supports) {
            let gallery = match needs_gallery(options) {
                true => self.gallery(query, layer, pooling).await?,
                false => Gallery::default(),
            };
            let learned = self.learned(options, layer, pooling)?;
            // What is learned is told once, of the layer that decides.
            let mut others = Vec::new();
            let notes = if setups.is_empty() { &mut *notes } else { &mut others };
            setups.push(Setup::new(options, supports, &gallery, learned, notes)?);
        }
        Ok((setups, embedded))
    }

    /// What the model and the user give, as against what is learned from images.
    pub(super) fn learned(&self, options: &ExplainOptions, layer: &str, pooling: Pooling) -> Result<Learned> {
        let mean = self.model.mean_embedding(layer).filter(|_| pooling == self.model.manifest().pooling());
        Ok(Learned { mean: mean.map(<[f32]>::to_vec), head: self.head(options, layer)?, matrix: self.matrix.clone() })
    }

    /// One mix, in the same submission as the forward pass if the query is new.
    async fn mixed(
        &mut self,
        query: ImageId,
        layers: &[String],
        mix: &Mix,
        timings: &mut Timings,
    ) -> Result<(Vec<std::sync::Arc<[f32]>>, Vec<Grid>)> {
        let target = layers[0].as_str();
        let known = match self.cached(query, target)? {
            // The embedding that is kept is that of the model's own pooling.
            None if mix.pooling != self.model.manifest().pooling() => {
                let started = Instant::now();
                let known = self.embedded(query, target).await?;
                timings.forward = milliseconds(started);
                Some(known)
            }
            known => known,
        };
        let started = Instant::now();
        let (features, mixed) = match known {
            Some(known) => {
                let size = self.entry(query)?.geometry.input_size();
                let program = self.engines.program_on(known.engine, &self.model, size, target)?;
                let mixed = program.mix(&known.features, mix).await?;
                timings.mix = milliseconds(started);
                (known.features, mixed)
            }
            None => {
                let (known, mixed) = self.forward(query, target, mix).await?;
                timings.forward = milliseconds(started);
                (known.features, mixed)
            }
        };
        let grids = maps::split(&features.shape, mixed.maps, mix.directions.len())?;
        Ok((vec![mixed.embedding.as_slice().into()], grids))
    }
}

/// ReLU and normalisation of a class's weights.
fn finish_weights(class: &mut ChannelWeights, options: &ExplainOptions) {
    if options.weight_relu {
        class.weights.iter_mut().for_each(|w| *w = w.max(0.0));
    }
    options.weight_norm.apply(&mut class.weights);
}

/// The mix that an engine can do by itself, with the forward pass: no head, no matrix, directions that do not depend on the query, and
/// weights that stay as they are.
fn fast_mix(options: &ExplainOptions, setup: &Setup, pooling: Pooling) -> Option<Mix> {
    let space = &setup.space;
    let normalise = match space.metric().kind() {
        Similarity::Cosine | Similarity::CentredCosine => true,
        Similarity::Dot | Similarity::Euclidean => false,
        Similarity::Pearson | Similarity::Bilinear | Similarity::Mahalanobis => return None,
    };
    let changed = options.weight_relu || options.weight_norm != Norm::None || options.finer.is_on();
    if changed || !space.head().is_none() || (options.l2 && !normalise) || options.decide == Decide::Nearest {
        return None;
    }
    let directions = setup.references.fixed()?;
    let directions = match options.form {
        Form::Contrastive => crate::fam::contrast(&directions, options.rival).ok()?,
        _ => directions,
    };
    let gate = match options.form {
        Form::Faithful | Form::Centred | Form::Contrastive => Gate::Feature,
        Form::Cam => Gate::One,
        Form::Magnitude => Gate::AbsFeature,
        Form::Whitened | Form::Discriminative => return None,
    };
    let directions = directions.into_iter().map(|d| d.values).collect();
    Some(Mix { pooling, mean: space.centre().map(<[f32]>::to_vec), directions, gate, normalise })
}
