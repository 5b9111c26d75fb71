//! What an explanation consists of, and the conclusion that every route to one ends in.

use serde::Serialize;

use super::{ExplainOptions, Map};
use crate::backbone::{Backbone, EngineKind};
use crate::error::Result;
use crate::fam::{Form, Grid};
use crate::metrics::{DEFAULT_THRESHOLD, Localisation, localise};

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
    /// What the contributions and the constant miss of the explained quantity: rounding, or what a transformation
    /// module that is not affine leaves unexplained.
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
    /// Per class, what each channel of the first target layer adds to the score (to the margin, for the contrastive
    /// form).
    pub contributions: Vec<Vec<f32>>,
    /// Per class, what the activation maps of the first target layer were multiplied with: the contributions, unless
    /// the form, ReLU or normalisation of the weights makes something else of them.
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

/// What a route has found about a query. [`Findings::conclude`] makes an explanation of it.
pub(super) struct Findings {
    pub score: String,
    pub classes: Vec<ClassScore>,
    pub predicted: usize,
    /// One map per class, each with its place on the photo.
    pub maps: Vec<Map>,
    pub contributions: Vec<Vec<f32>>,
    pub weights: Vec<Vec<f32>>,
    /// The layer that contributions and weights are of.
    pub target: String,
    /// Every target layer's maps, if there are several.
    pub layers: Vec<LayerMaps>,
    pub passes: usize,
    pub effort: Effort,
    pub notes: Vec<String>,
}

/// Where the time went, and on how many images the network ran.
#[derive(Default)]
pub(super) struct Effort {
    pub timings: Timings,
    pub embedded: usize,
}

impl Findings {
    /// The explanation: every map is measured where it lies on its photo.
    ///
    /// # Errors
    /// As [`ExplainedMap::of`].
    pub fn conclude(self, backbone: &Backbone, options: &ExplainOptions) -> Result<Explanation> {
        Ok(Explanation {
            form: options.form,
            score: self.score,
            notes: self.notes,
            classes: self.classes,
            predicted: self.predicted,
            maps: self.maps.into_iter().map(ExplainedMap::of).collect::<Result<_>>()?,
            contributions: self.contributions,
            weights: self.weights,
            target: self.target,
            layers: self.layers,
            passes: self.passes,
            timings: self.effort.timings,
            embedded: self.effort.embedded,
            engine: backbone.engine(),
        })
    }
}
