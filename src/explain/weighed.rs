//! What the two routes over channels share: from weights and maps to a conclusion with its notes.

use super::maps::finish;
use super::notes;
use super::result::Findings;
use super::setup::Setup;
use super::{Class, ClassScore, Effort, ExplainOptions, LayerMaps, Map, Request};
use crate::backbone::Backbone;
use crate::error::Result;
use crate::fam::{ChannelWeights, Grid};
use crate::image::Rect;
use crate::tasks::few_shot::Decision;

/// Weights and maps of one query, at every target layer.
pub(super) struct Weighed<'a> {
    pub decision: Decision,
    pub setup: &'a Setup,
    /// The query's channels at the first layer, averaged.
    pub features: &'a [f32],
    /// Layer by layer and class by class.
    pub explained: Vec<Vec<ChannelWeights>>,
    /// Layer by layer and class by class.
    pub grids: Vec<Vec<Grid>>,
    /// Forward passes of the query that the maps are made of.
    pub passes: usize,
    /// What a second look saw of the photo, in its pixels.
    pub looked: Option<Rect>,
    /// Whether the first layer has negative activations in this image.
    pub signed: bool,
    pub layers: &'a [String],
    /// Whether the gradient of the model's own embedding made the weights.
    pub own_embedding: bool,
    pub effort: Effort,
    pub notes: Vec<String>,
}

impl Weighed<'_> {
    /// Maps fused and placed, and everything that is worth a note.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for an unknown query.
    pub fn findings(self, backbone: &Backbone, request: &Request<'_>) -> Result<Findings> {
        let Self {
            decision, setup, features, mut explained, grids, passes, looked, signed, layers, own_embedding, ..
        } = self;
        let (effort, mut notes) = (self.effort, self.notes);
        let Request { query, classes, options, .. } = *request;
        let (model, geometry) = (backbone.model(), backbone.image(query)?.geometry);
        let fused = finish(&grids, options);
        let first = explained.swap_remove(0);
        let context = notes::Context {
            options,
            classes,
            setup,
            features,
            explained: &first,
            maps: &fused,
            signed,
            layers,
            own_embedding,
        };
        notes::write(&context, &mut notes);
        if let (Some(behind), None, true) = (model.behind_target(), &options.target, options.targets.is_empty()) {
            notes.push(notes::early_target(&model.manifest().target, behind));
        }
        let score = |(k, class): (usize, &Class)| ClassScore {
            name: class.name.clone(),
            similarity: decision.scores[k],
            constant: first[k].constant,
            residual: first[k].residual,
        };
        Ok(Findings {
            score: setup.space.metric().score_name(),
            classes: classes.iter().enumerate().map(score).collect(),
            predicted: decision.predicted,
            evidence: Vec::new(),
            present: match setup.space.centre() {
                Some(centre) => features.iter().zip(centre).map(|(f, c)| f - c).collect(),
                None => features.to_vec(),
            },
            maps: fused.into_iter().map(|grid| Map::new(grid, geometry)).collect(),
            contributions: first.iter().map(|e| e.contributions.clone()).collect(),
            weights: first.into_iter().map(|e| e.weights).collect(),
            target: layers[0].clone(),
            layers: match layers.len() {
                1 => Vec::new(),
                _ => layers.iter().zip(grids).map(|(t, maps)| LayerMaps { target: t.clone(), maps }).collect(),
            },
            passes,
            looked,
            effort,
            notes,
        })
    }
}

/// ReLU and normalisation of a class's weights.
pub(super) fn finish_weights(class: &mut ChannelWeights, options: &ExplainOptions) {
    if options.weight_relu {
        class.weights.iter_mut().for_each(|w| *w = w.max(0.0));
    }
    options.weight_norm.apply(&mut class.weights);
}
