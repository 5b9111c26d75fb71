//! Embeddings without an explanation: of one image, and as galleries hold them.

use std::sync::Arc;

use web_time::Instant;

use super::ExplainOptions;
use super::place::{Place, pools_itself};
use super::request::layers;
use crate::backbone::{Backbone, ImageId, milliseconds};
use crate::error::{Error, Result};
use crate::fam::{Pooling, PoolingChoice};
use crate::model::{Model, not_spatial};
use crate::tasks::retrieval::Origin;
use crate::tensor::Shape;

/// An embedding and what it cost.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// Pooled activation maps of the target layer, one value a channel.
    pub values: Arc<[f32]>,
    /// Milliseconds of the forward pass; 0 if the embedding was already there.
    pub milliseconds: f64,
    /// Whether it was already there.
    pub cached: bool,
}

/// The embedding of an image at the first target layer of the options, under their pooling.
///
/// # Errors
/// [`Error::Argument`] for an unknown id or an option out of range, [`Error::Target`] for an unknown layer; the
/// engine's errors.
pub(crate) async fn embed(backbone: &mut Backbone, id: ImageId, options: &ExplainOptions) -> Result<Embedding> {
    let place = Place::new(backbone.model(), options, &layers(backbone, &[], options)?)?;
    let Place { layers, pooling, own_embedding } = place;
    let (started, cached) = (Instant::now(), backbone.knows(id, &layers)?);
    let features = async |b: &mut Backbone| b.features(id, &layers, pooling).await;
    let mut values = backbone.recovering(features).await?.swap_remove(0);
    if pools_itself(backbone.model(), options) && !own_embedding {
        values = backbone.model().embedding_head(&layers[0])?.head.forward(&values)?.into();
    }
    Ok(Embedding { values, cached, milliseconds: if cached { 0.0 } else { milliseconds(started) } })
}

/// What makes the embeddings of a model under these options; of the options the target layer and the pooling count.
///
/// # Errors
/// [`Error::Target`] for an unknown layer; the errors of compiling the model.
pub(crate) fn origin(backbone: &mut Backbone, options: &ExplainOptions) -> Result<Origin> {
    let target = layers(backbone, &[], options)?.swap_remove(0);
    let model = backbone.model();
    let manifest = model.manifest();
    let input = &manifest.input;
    let mut origin = Origin {
        model: manifest.name.clone(),
        weights: format!("{:016x}", model.fingerprint()),
        input: input.words(),
        target: target.clone(),
        pooling: match options.pooling.or_else(|| manifest.pooling.parse().ok()) {
            Some(PoolingChoice::GeM) => format!("gem({})", options.gem_exponent),
            Some(PoolingChoice::Model) => format!("model({})", model.own_embedding()),
            Some(pooling) => pooling.name().to_owned(),
            None => manifest.pooling.clone(),
        },
        channels: 0,
    };
    let (value, _) = embedded_value(model, options, target)?;
    let size = backbone.model().manifest().input.size.across();
    let shape = backbone.program(size, std::slice::from_ref(&value))?.target_shapes().first().and_then(Shape::chw);
    (origin.channels, ..) = shape.ok_or_else(|| not_spatial(&value))?;
    Ok(origin)
}

/// The embedding of an image as a gallery of `made_by` holds it.
///
/// # Errors
/// [`Error::Argument`] for an unknown id or an origin that is not this model's; the engine's errors.
pub(crate) async fn gallery_embedding(backbone: &mut Backbone, id: ImageId, made_by: &Origin) -> Result<Arc<[f32]>> {
    let target = &made_by.target;
    if !backbone.model().targets().contains(target) {
        let reason = format!("its embeddings are of layer {target:?}, which this model does not have");
        return Err(Error::argument("gallery", reason));
    }
    let options = options_of(made_by)?;
    made_by.check(&origin(backbone, &options)?)?;
    let (value, pooling) = embedded_value(backbone.model(), &options, target.clone())?;
    let layers = [value];
    let features = async |b: &mut Backbone| b.features(id, &layers, pooling).await;
    Ok(backbone.recovering(features).await?.swap_remove(0))
}

/// What is pooled into the embeddings of a gallery, and how: a layer, or the model's own embedding as it is.
fn embedded_value(model: &Model, options: &ExplainOptions, target: String) -> Result<(String, Pooling)> {
    match options.pooling {
        _ if pools_itself(model, options) => match model.own_vector()? {
            Some(value) => Ok((value.to_owned(), Pooling::Average)),
            None => {
                let value = model.own_embedding();
                Err(Error::argument("pooling", format!("the model's own output, {value:?}, is not one vector")))
            }
        },
        None => Ok((target, model.manifest().pooling())),
        Some(pooling) => Ok((target, pooling.of(options.gem_exponent)?)),
    }
}

/// The options under which a model makes embeddings like those of a gallery.
///
/// # Errors
/// [`Error::Argument`] for a pooling that is unknown.
pub(crate) fn options_of(origin: &Origin) -> Result<ExplainOptions> {
    let (name, exponent) = match origin.pooling.strip_prefix("gem(").and_then(|rest| rest.strip_suffix(')')) {
        Some(exponent) => ("gem", exponent.parse().ok()),
        // Which value it is, the comparison of origins sees to.
        None if origin.pooling.starts_with("model(") => ("model", Some(ExplainOptions::default().gem_exponent)),
        None => (origin.pooling.as_str(), Some(ExplainOptions::default().gem_exponent)),
    };
    let unknown =
        || Error::argument("gallery", format!("its embeddings are pooled by {:?}, which is unknown", origin.pooling));
    Ok(ExplainOptions {
        target: Some(origin.target.clone()),
        pooling: Some(name.parse().map_err(|_| unknown())?),
        gem_exponent: exponent.ok_or_else(unknown)?,
        ..ExplainOptions::default()
    })
}
