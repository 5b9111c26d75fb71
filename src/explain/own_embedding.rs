//! The route for the model's own embedding, if something other than a pooling and a head makes it, such as attention or
//! a class token.
//!
//! The similarity is then split among the channels of the target layer by the gradient, as it is before a head that is
//! not linear. With `s = <a, e(A)>`, where `e(A)` is the embedding that the network makes of the activations `A` and
//! `a` what the similarity multiplies it with, channel `c` contributes `sum_i A_ci ds/dA_ci`. Behind a global average
//! pooling that is `f_c g_c / (|f| |g|)`, FAM's weight. As the lengths of embeddings are held fixed there, so are the
//! weights of attention and the deviations of normalisations here (arXiv 2202.07304, section 3.3): the attention is a
//! weighted mean of cells, and what a cell brings to it is its contribution.

use web_time::Instant;

use super::maps::{look_again, split, weighed, weighed_maps};
use super::place::Place;
use super::setup::{Setup, learn};
use super::weighed::{Weighed, finish_weights};
use super::{Effort, ExplainOptions, Explanation, Given, Request};
use crate::backbone::{Backbone, ImageId, milliseconds, trace};
use crate::engine::mix::mix_host;
use crate::error::{Error, Result};
use crate::fam::{Channel, ChannelWeights, Form, dot};
use crate::model::{Model, not_spatial};
use crate::tensor::Tensor;

/// One layer's side of an explanation.
struct LayerWeights {
    activations: Tensor,
    /// The mean of each channel's cells.
    means: Vec<f32>,
    classes: Vec<ChannelWeights>,
}

pub(super) async fn explain(
    backbone: &mut Backbone,
    given: &Given,
    request: &Request<'_>,
    layers: &[String],
    place: &Place,
) -> Result<Explanation> {
    let Request { query, options, .. } = *request;
    if options.form == Form::Centred {
        let reason = "the centred form measures pooled features from their mean, and the model's own embedding is not pooled features; \
                      choose the similarity \"centredCosine\" or another form";
        return Err(Error::argument("form", reason));
    }
    let (mut notes, mut effort) = (Vec::new(), Effort::default());
    let started = Instant::now();
    let (setups, new_images) = learn(backbone, given, request, &place.layers, place.pooling, &mut notes).await?;
    if new_images > 0 {
        effort.timings.supports = milliseconds(started);
    }
    let started = Instant::now();
    effort.embedded = new_images + usize::from(!backbone.knows(query, &place.layers)?);
    let embedding = backbone.features(query, &place.layers, place.pooling).await?.swap_remove(0);
    effort.timings.forward = milliseconds(started);

    let started = Instant::now();
    let Setup { space, references } = &setups[0];
    let side = space.side(&embedding)?;
    let (decision, directions) = references.decide(space.metric(), &side);
    // The contributions are of activations measured from zero, and so is what is left over.
    let space = &space.uncentred();
    let at_embedding = space.explain(&embedding, &side, &directions, options.form, options.rival)?;
    let slopes = space.slopes(&embedding, &side, &directions, options.form, options.rival)?;

    let value = &place.layers[0];
    let layers = layers_read(backbone.model(), layers, options)?;
    notes.push(match layers[0] == backbone.model().manifest().target {
        true => format!(
            "famlens compares the model's own embedding, {value:?}. Its gradient at {:?} makes the weights.",
            layers[0]
        ),
        false => format!(
            "famlens compares the model's own embedding, {value:?}. Its gradient at {:?}, whose cells it reads, makes the \
             weights.",
            layers[0]
        ),
    });
    let mut carried = Vec::with_capacity(layers.len());
    for layer in &layers {
        let mut layer = carry_back(backbone, query, layer, value, &slopes, options.form, &at_embedding).await?;
        layer.classes.iter_mut().for_each(|class| finish_weights(class, options));
        carried.push(layer);
    }
    let signed = carried[0].activations.data().iter().any(|&a| a < 0.0);
    let mut grids = Vec::with_capacity(layers.len());
    for LayerWeights { activations, classes, .. } in &carried {
        let mix = weighed(classes);
        grids.push(split(activations.shape(), mix_host(activations, &mix)?.maps, mix.directions.len())?);
    }
    effort.timings.mix = milliseconds(started);
    let features = std::mem::take(&mut carried[0].means);
    let explained: Vec<_> = carried.into_iter().map(|layer| layer.classes).collect();
    let (grids, passes) = match options.finer.is_on() {
        true => weighed_maps(backbone, request, &layers, &explained, &mut effort.timings).await?,
        false => (grids, 1),
    };
    let (grids, looked) =
        look_again(backbone, request, &layers, (&explained, decision.predicted), grids, &mut effort.timings).await?;
    let passes = passes + usize::from(looked.is_some());
    let weighed = Weighed {
        decision,
        setup: &setups[0],
        features: &features,
        explained,
        grids,
        passes,
        looked,
        signed,
        layers: &layers,
        own_embedding: true,
        effort,
        notes,
    };
    weighed.findings(backbone, request)?.conclude(backbone, options)
}

/// The scores alone: no map, and so no way back.
pub(super) async fn scores(
    backbone: &mut Backbone,
    given: &Given,
    request: &Request<'_>,
    place: &Place,
) -> Result<Vec<f64>> {
    let Place { layers, pooling, .. } = place;
    let (setups, _) = learn(backbone, given, request, layers, *pooling, &mut Vec::new()).await?;
    let embedding = backbone.features(request.query, layers, *pooling).await?.swap_remove(0);
    let Setup { space, references } = &setups[0];
    Ok(references.decide(space.metric(), &space.side(&embedding)?).0.scores)
}

/// Every class's weights at a layer from the slopes of its score at the embedding.
async fn carry_back(
    backbone: &mut Backbone,
    query: ImageId,
    layer: &str,
    value: &str,
    slopes: &[Vec<f32>],
    form: Form,
    at_embedding: &[ChannelWeights],
) -> Result<LayerWeights> {
    let tail = backbone.tail(query, layer, value)?;
    if tail.output_shape().len() != slopes.first().map_or(0, Vec::len) {
        let shape = tail.output_shape();
        let reason = format!(
            "the model's own embedding, {value:?}, is {shape} for an image of this shape; take another geometry"
        );
        return Err(Error::argument("pooling", reason));
    }
    let (activations, sides) = backbone.tail_inputs(query, layer, value).await?;
    let trace = trace(&tail, &activations, &sides).await?;
    let (_, height, width) = activations.shape().chw().ok_or_else(|| not_spatial(layer))?;
    let cells = height * width;
    let total = |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>();
    let means: Vec<f32> = activations.data().chunks(cells).map(|plane| (total(plane) / cells as f64) as f32).collect();
    let weigh = form.weighing()?;
    let mut classes = Vec::with_capacity(slopes.len());
    for (slope, at_embedding) in slopes.iter().zip(at_embedding) {
        let gradient = trace.conservative_gradient(slope)?;
        let planes = activations.data().chunks(cells).zip(gradient.data().chunks(cells)).zip(&means);
        let parts = planes.map(|((a, g), &feature)| {
            let (contribution, slope) = (dot(a, g), total(g));
            (contribution as f32, weigh(&Channel { contribution, feature: feature.into(), slope }) as f32)
        });
        let (contributions, weights): (Vec<f32>, Vec<f32>) = parts.unzip();
        let (explained, constant) = (at_embedding.explained, at_embedding.constant);
        let carried: f64 = contributions.iter().map(|&w| f64::from(w)).sum();
        let residual = explained - constant - carried;
        classes.push(ChannelWeights { explained, contributions, constant, residual, weights });
    }
    Ok(LayerWeights { activations, means, classes })
}

/// The layers to explain. Where the user names none it is the target layer or, if the embedding is made without its
/// cells, the next one before it that has as many channels and is read.
///
/// # Errors
/// [`Error::Argument`] for a named layer that is not read, or if there is none.
pub(super) fn layers_read(model: &Model, layers: &[String], options: &ExplainOptions) -> Result<Vec<String>> {
    let value = model.own_embedding();
    let named = options.target.is_some() || !options.targets.is_empty();
    let named = named && layers != [model.manifest().target.as_str()];
    let mut found = Vec::with_capacity(layers.len());
    for layer in layers {
        match model.read_layer(layer)? {
            Some(read) if !named || read == *layer => found.push(read),
            read => {
                let instead = match read {
                    Some(read) => format!("choose {read:?} or one before it"),
                    None => "it has no layer of as many channels that is read; choose another pooling".to_owned(),
                };
                let reason = format!("the embedding {value:?} is made without the cells of {layer:?}; {instead}");
                return Err(Error::argument("target", reason));
            }
        }
    }
    Ok(found)
}
