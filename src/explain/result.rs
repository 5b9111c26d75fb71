//! What an explanation consists of, and the conclusion that every route to one ends in.

use serde::Serialize;

use super::{ExplainOptions, Map};
use crate::backbone::{Backbone, EngineKind};
use crate::error::Result;
use crate::fam::{Form, Grid};
use crate::image::Rect;
use crate::methods::Method;
use crate::metrics::{Localisation, Threshold, localise};
use crate::tasks::verdict::Verdict;

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
    /// Box and peak at the default threshold of the options ([`ExplainOptions::threshold`]); `None` if the map holds no
    /// evidence.
    pub localisation: Option<Localisation>,
    /// What is said in place of the map, where it shows nothing.
    pub says: Option<String>,
}

impl ExplainedMap {
    /// Measures a map where it lies on its photo.
    ///
    /// # Errors
    /// As [`Map::view`].
    pub fn of(map: Map, threshold: Threshold) -> Result<Self> {
        let view = map.view()?;
        let (range, localisation) = (view.range(), localise(&view, threshold)?);
        Ok(Self { map, range, localisation, says: None })
    }
}

/// One scale for the maps of all classes, so that a weak map looks weak.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Scale {
    /// The raw value at its low end.
    pub low: f32,
    /// The raw value at its high end.
    pub high: f32,
    /// What the low end means.
    #[serde(rename = "lowSays")]
    pub low_says: String,
    /// What the high end means.
    #[serde(rename = "highSays")]
    pub high_says: String,
}

impl Scale {
    /// From the least to the greatest value of all maps; from 0 where cells have evidence or none.
    fn of(maps: &[ExplainedMap], cells: bool) -> Self {
        let low = maps.iter().map(|map| map.range.0).fold(f32::INFINITY, f32::min);
        let high = maps.iter().map(|map| map.range.1).fold(f32::NEG_INFINITY, f32::max);
        let (low, low_says) = match (cells, maps.len()) {
            (true, _) => (0.0, "nothing"),
            (false, 1) => (low, "least"),
            (false, _) => (low, "least of all classes"),
        };
        let high_says = if maps.len() == 1 { "most" } else { "most of all classes" };
        Self { low, high, low_says: low_says.to_owned(), high_says: high_says.to_owned() }
    }

    /// Lets the high end be what the strongest cells of the supports have, if it is less here: noise is then not drawn
    /// like evidence.
    pub(super) fn reach(&mut self, peak: Option<f32>) {
        if let Some(peak) = peak.filter(|&peak| peak > self.high) {
            (self.high, self.high_says) = (peak, "as in your own photos".to_owned());
        }
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
    /// The decision with how sure it is; `None` for outputs of the model's classifier, and where nobody asked.
    pub decision: Option<Verdict>,
    /// Per class, the mean over cells of the evidence above the offset, before classes share the cells (class-specific
    /// forms); empty for other forms.
    pub evidence: Vec<f64>,
    /// One map per class.
    pub maps: Vec<ExplainedMap>,
    /// The scale that these maps share.
    pub scale: Scale,
    /// Per class, what each channel of the first target layer adds to the score (to the margin, for the contrastive
    /// form).
    pub contributions: Vec<Vec<f32>>,
    /// Per class, what the activation maps of the first target layer were multiplied with: the contributions, unless
    /// the form, ReLU or normalisation of the weights makes something else of them.
    pub weights: Vec<Vec<f32>>,
    /// What each channel of the first target layer has in this image on average, above what a form measures it from: 0, or
    /// the mean of images in general. Channels over 0 fire here. Empty for methods that weigh no channels' features.
    pub present: Vec<f32>,
    /// The layer that these channels are of.
    pub target: String,
    /// The maps of each target layer before they were fused; empty for a single layer.
    pub layers: Vec<LayerMaps>,
    /// How many forward passes of the query the maps are made of: 1, and more for finer maps.
    pub passes: usize,
    /// The part of the photo that a second look saw ([`super::Look`]), in photo pixels.
    pub looked: Option<Rect>,
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
    /// See [`Explanation::evidence`].
    pub evidence: Vec<f64>,
    /// One map per class, each with its place on the photo.
    pub maps: Vec<Map>,
    pub contributions: Vec<Vec<f32>>,
    pub weights: Vec<Vec<f32>>,
    /// See [`Explanation::present`].
    pub present: Vec<f32>,
    /// The layer that contributions and weights are of.
    pub target: String,
    /// Every target layer's maps, if there are several.
    pub layers: Vec<LayerMaps>,
    pub passes: usize,
    pub looked: Option<Rect>,
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
        let mut maps =
            self.maps.into_iter().map(|map| ExplainedMap::of(map, options.threshold())).collect::<Result<Vec<_>>>()?;
        for (class, explained) in self.classes.iter().zip(&mut maps) {
            let name = &class.name;
            if explained.map.data.iter().all(|&v| v <= 0.0) {
                explained.says = Some(format!("Nothing in this photo speaks for {name}."));
            } else if explained.localisation.is_none() {
                explained.says = Some(format!("The map of {name} is the same everywhere."));
            }
        }
        let cells = options.method == Method::Fam && options.form.cells().is_some();
        Ok(Explanation {
            form: options.form,
            scale: Scale::of(&maps, cells),
            score: self.score,
            notes: self.notes,
            classes: self.classes,
            predicted: self.predicted,
            decision: None,
            evidence: self.evidence,
            maps,
            contributions: self.contributions,
            weights: self.weights,
            present: self.present,
            target: self.target,
            layers: self.layers,
            passes: self.passes,
            looked: self.looked,
            timings: self.effort.timings,
            embedded: self.effort.embedded,
            engine: backbone.engine(),
        })
    }
}
