//! What all methods share for one image, computed once: activations, scores and gradients.

use std::sync::Arc;

use web_time::Instant;

use super::ComparedClass;
use crate::backbone::{Backbone, milliseconds, pooling_alone, trace};
use crate::engine::Pooling;
use crate::engine::mix::mix_host;
use crate::error::{Error, Result};
use crate::explain::own_embedding::layers_read;
use crate::explain::place::Place;
use crate::explain::setup::{Setup, learn};
use crate::explain::{ExplainOptions, Given, Request};
use crate::graph::gradient::Tail;
use crate::methods::{Maps, Method, Objective, Reads, cam, pooling};
use crate::tensor::Tensor;

/// See the module.
pub(super) struct Gathered {
    /// What the score is called.
    pub score: String,
    pub classes: Vec<ComparedClass>,
    /// The layer whose maps are weighed.
    pub layer: String,
    /// The value where the score is taken: the layer that decides, or the classifier's outputs.
    pub decides: String,
    /// Whether that is the model's own embedding, made by more than a pooling and a head.
    pub own_embedding: bool,
    /// The classifier's outputs, if they are what is explained.
    pub logits: Option<Vec<usize>>,
    pub objective: Objective,
    pub pooling: Pooling,
    /// Activation maps of `layer`.
    pub activations: Tensor,
    /// Per class; empty if no method reads them.
    pub gradients: Vec<Vec<f32>>,
    /// Per class; empty if no method reads them or the score is not linear in the pooled maps.
    pub directions: Vec<Vec<f32>>,
    /// The network between the two; `None` if they are the same.
    pub tail: Option<Arc<Tail>>,
    /// Bytes of activations that the network holds while it runs; 0 if the engine does not say.
    pub network_bytes: usize,
    /// Bytes of all values of the tail, kept for the way back.
    pub tail_bytes: usize,
    /// Pixels of the input.
    pub pixels: usize,
    pub forward_ms: f64,
    pub gradient_ms: f64,
}

/// Runs the network and everything else that the methods share.
///
/// # Errors
/// As [`super::compare`].
pub(super) async fn gather(
    backbone: &mut Backbone,
    given: &Given,
    request: &Request<'_>,
    methods: &[Method],
) -> Result<Gathered> {
    let Request { query, options, .. } = *request;
    let target = request.layers(backbone)?.swap_remove(0);
    let model = backbone.model();
    let (decides, outputs, pooling, own_embedding) = match &options.against {
        Some(against) => {
            let (value, outputs) = against.resolve(model.manifest())?;
            (value, Some(outputs), Pooling::Average, false)
        }
        None => {
            let place = Place::new(model, options, std::slice::from_ref(&target))?;
            let Place { mut layers, pooling, own_embedding } = place;
            (layers.swap_remove(0), None, pooling, own_embedding)
        }
    };
    let layer = match &options.layer {
        Some(layer) if own_embedding => {
            let named = ExplainOptions { target: Some(layer.clone()), targets: Vec::new(), ..options.clone() };
            layers_read(model, std::slice::from_ref(layer), &named)?.swap_remove(0)
        }
        Some(layer) => layer.clone(),
        None if own_embedding => layers_read(model, &[target], options)?.swap_remove(0),
        None => target,
    };
    model.check_target(&layer)?;
    let activations = backbone.activations(query, &layer).await?;
    let deciding = std::slice::from_ref(&decides);
    let values = backbone.features(query, deciding, pooling).await?.swap_remove(0).to_vec();
    let forward_ms = backbone.forward_milliseconds(query, &decides)?;
    let size = backbone.image(query)?.geometry.input_size();
    let network_bytes = backbone.program(size, deciding)?.bytes();
    let (objective, names, logits, score) = match outputs {
        Some(outputs) => {
            let (indices, names): (Vec<usize>, Vec<String>) = outputs.into_iter().unzip();
            (Objective::Outputs(indices.clone()), names, Some(indices), "logit".to_owned())
        }
        None => {
            if request.classes.is_empty() {
                let reason = "name at least one class with one image, or a logit of the model's classifier";
                return Err(Error::argument("classes", reason));
            }
            let (mut setups, _) = learn(backbone, given, request, deciding, pooling, &mut Vec::new()).await?;
            let Setup { space, references } = setups.swap_remove(0);
            let (_, directions) = references.decide(space.metric(), &space.side(&values)?);
            let score = space.metric().score_name();
            let names = request.classes.iter().map(|c| c.name.clone()).collect();
            (Objective::Similarity { space, classes: directions }, names, None, score)
        }
    };
    let scores = objective.scores(&values)?;
    let classes = names.into_iter().zip(scores).map(|(name, score)| ComparedClass { name, score }).collect();

    let tail = match decides == layer {
        true => None,
        false => Some(backbone.tail(query, &layer, &decides)?),
    };
    let sides = match &tail {
        Some(tail) if !tail.sides().is_empty() => backbone.tail_inputs(query, &layer, &decides).await?.1,
        _ => Vec::new(),
    };
    let mut gathered = Gathered {
        score,
        classes,
        layer,
        decides,
        own_embedding,
        logits,
        objective,
        pooling,
        activations,
        gradients: Vec::new(),
        directions: Vec::new(),
        tail,
        network_bytes,
        tail_bytes: 0,
        pixels: size.0 as usize * size.1 as usize,
        forward_ms,
        gradient_ms: 0.0,
    };
    let wanted = |reads| methods.iter().any(|m| m.reads() == reads);
    let through = gathered.tail.is_some() && wanted(Reads::Direction);
    if wanted(Reads::Gradient) || through {
        let started = Instant::now();
        let (gradients, bytes) = gathered.gradients(&values, &sides).await?;
        (gathered.gradients, gathered.tail_bytes) = (gradients, bytes);
        gathered.gradient_ms = milliseconds(started);
    }
    if wanted(Reads::Direction) {
        gathered.directions = gathered.directions(&values)?;
    }
    // What the ablations of a channel run is the tail with this image's other values built in.
    if wanted(Reads::Tail) && !sides.is_empty() {
        gathered.tail = gathered.tail.map(|tail| tail.with_sides(&sides).map(Arc::new)).transpose()?;
    }
    Ok(gathered)
}

impl Gathered {
    /// For each class the gradient of its score with respect to the layer, and the bytes of the values kept for it.
    async fn gradients(&self, values: &[f32], sides: &[Tensor]) -> Result<(Vec<Vec<f32>>, usize)> {
        let classes = 0..self.classes.len();
        let Some(tail) = &self.tail else {
            // The layer decides: pooling and similarity have closed forms.
            let maps = Maps::new(&self.activations)?;
            let gradient_of =
                |class| Ok(pooling::gradient(&maps, self.pooling, &self.objective.gradient(values, class)?));
            return Ok((classes.map(gradient_of).collect::<Result<_>>()?, 0));
        };
        let trace = trace(tail, &self.activations, sides).await?;
        let gradient_of = |class| {
            let slope = self.objective.gradient(values, class)?;
            let seed = match self.logits {
                Some(_) => slope,
                None => pooling::gradient(&Maps::new(trace.output())?, self.pooling, &slope),
            };
            trace.gradient(&seed).map(Tensor::into_data)
        };
        Ok((classes.map(gradient_of).collect::<Result<_>>()?, trace.bytes()))
    }

    /// For each class the weights in which its score is linear in the pooled maps; empty if it is not.
    fn directions(&self, values: &[f32]) -> Result<Vec<Vec<f32>>> {
        match &self.tail {
            None if self.pooling == Pooling::Average => Ok(self.objective.directions(values)?.unwrap_or_default()),
            None => Ok(Vec::new()),
            Some(tail) => {
                let maps = Maps::new(&self.activations)?;
                let linear = self.logits.is_some()
                    && tail.is_affine()
                    && self.gradients.iter().all(|gradient| cam::applies(&maps, gradient));
                match linear {
                    true => Ok(self.gradients.iter().map(|gradient| cam::weights(&maps, gradient)).collect()),
                    false => Ok(Vec::new()),
                }
            }
        }
    }
}

/// The pooled embedding of maps in host memory.
pub(super) fn pooled(maps: &Tensor, pooling: Pooling) -> Result<Vec<f32>> {
    Ok(mix_host(maps, &pooling_alone(pooling))?.embedding)
}
