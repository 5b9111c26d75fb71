//! Where in the network embeddings are compared.

use super::{ExplainOptions, Given};
use crate::error::{Error, Result};
use crate::fam::head::{Head, HeadChoice};
use crate::fam::{Pooling, PoolingChoice};
use crate::model::Model;

/// Where embeddings are taken to be compared.
pub(crate) struct Place {
    /// The layers that are pooled, or the value that is the model's own embedding.
    pub layers: Vec<String>,
    pub pooling: Pooling,
    /// Whether it is the model's own embedding and more than a pooling and a head lies between the target layer and it.
    pub own_embedding: bool,
}

impl Place {
    /// Where embeddings are taken under these options, of these target layers.
    ///
    /// # Errors
    /// [`Error::Argument`] if the model's own embedding is asked for and cannot be followed from the layer.
    pub fn new(model: &Model, options: &ExplainOptions, layers: &[String]) -> Result<Self> {
        let asked = pools_itself(model, options);
        // A head behind a pooling that was chosen is one that the network need not have.
        let own_embedding = asked || (options.head == HeadChoice::Model && options.pooling.is_none());
        // What is no pooling with a head behind it is compared where it ends, if that is one vector.
        if own_embedding
            && model.whole_head(&layers[0]).is_none()
            && let Some(value) = model.own_vector()?
        {
            return Ok(Self { layers: vec![value.to_owned()], pooling: Pooling::Average, own_embedding });
        }
        let unclear = |error: Error| match error {
            Error::Argument { name, reason } => {
                let value = model.own_embedding();
                let reason = format!(
                    "{reason}, and {value:?} is not one vector; name the value that is as \"embedding\" in model.json"
                );
                Error::Argument { name, reason }
            }
            other => other,
        };
        let pooling = match options.pooling {
            _ if asked => model.embedding_head(&layers[0]).map_err(unclear)?.pooling,
            None => model.manifest().pooling(),
            Some(pooling) => pooling.of(options.gem_exponent)?,
        };
        Ok(Self { layers: layers.to_vec(), pooling, own_embedding: false })
    }
}

/// Whether the model's own pooling is asked for, by the options or, where they leave it open, by `model.json`.
pub(crate) fn pools_itself(model: &Model, options: &ExplainOptions) -> bool {
    options.pooling.map_or_else(|| model.manifest().pools_itself(), |pooling| pooling == PoolingChoice::Model)
}

/// The given head that options ask for; the learned ones are made from images.
///
/// # Errors
/// [`Error::Argument`] if no file was given, or what follows the layer is no head.
pub(super) fn given_head(model: &Model, given: &Given, options: &ExplainOptions, layer: &str) -> Result<Option<Head>> {
    let models = || match layer == model.own_embedding() {
        // Nothing comes after it.
        true => Ok(Some(Head::none())),
        false => Ok(Some(model.embedding_head(layer)?.head.clone())),
    };
    match options.head {
        HeadChoice::File => match given.head() {
            Some(head) => Ok(Some(head.clone())),
            None => {
                Err(Error::argument("head", "no file of weights has been given yet; load a .safetensors file first"))
            }
        },
        HeadChoice::Model => models(),
        HeadChoice::None if pools_itself(model, options) => models(),
        HeadChoice::None | HeadChoice::Whitening | HeadChoice::Lda => Ok(None),
    }
}
