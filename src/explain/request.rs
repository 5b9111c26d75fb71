//! What is asked: a query, the classes it may be like, and the choices.

use super::ExplainOptions;
use crate::backbone::{Backbone, ImageId};
use crate::error::{Error, Result};

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

/// What is asked: which class a query is like, and why.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The image that is explained.
    pub query: ImageId,
    /// The classes it is compared with; none where outputs of the model's own classifier are explained.
    pub classes: &'a [Class],
    /// The choices.
    pub options: &'a ExplainOptions,
    /// The only images that means, heads and matrices may be learned from; every image that the network has been run on
    /// if `None`. The query never counts.
    pub learn_from: Option<&'a [ImageId]>,
    /// Whether it is told how sure the decision is. The first time that takes one readout for each support.
    pub judged: bool,
}

impl<'a> Request<'a> {
    /// A request that may learn from every image, and tells how sure the decision is.
    pub fn new(query: ImageId, classes: &'a [Class], options: &'a ExplainOptions) -> Self {
        Self { query, classes, options, learn_from: None, judged: true }
    }

    /// The same, learning from these images alone.
    pub fn learning_from(self, images: &'a [ImageId]) -> Self {
        Self { learn_from: Some(images), ..self }
    }

    /// The same without telling how sure the decision is.
    pub fn unjudged(self) -> Self {
        Self { judged: false, ..self }
    }

    /// The images that may be learned from, the query left out, in the order of their numbers.
    pub(super) fn learning_set(&self, backbone: &Backbone) -> Vec<ImageId> {
        let mut ids = self.learn_from.map_or_else(|| backbone.ids().collect(), <[ImageId]>::to_vec);
        ids.retain(|&id| id != self.query);
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Checks query, classes and options, and gives the target layers.
    ///
    /// # Errors
    /// [`Error::Argument`] naming what is wrong; [`Error::Target`] for an unknown layer.
    pub(super) fn layers(&self, backbone: &Backbone) -> Result<Vec<String>> {
        let layers = layers(backbone, self.classes, self.options)?;
        backbone.image(self.query)?;
        Ok(layers)
    }
}

/// Checks classes and options, and gives the target layers.
///
/// # Errors
/// As [`Request::layers`].
pub(super) fn layers(backbone: &Backbone, classes: &[Class], options: &ExplainOptions) -> Result<Vec<String>> {
    options.check()?;
    let model = backbone.model();
    let layers = options.layers(&model.manifest().target)?;
    layers.iter().try_for_each(|layer| model.check_target(layer))?;
    for class in classes {
        if class.supports.is_empty() {
            let reason = format!("class {:?} has no images; add one or remove the class", class.name);
            return Err(Error::argument("classes", reason));
        }
        class.supports.iter().try_for_each(|&id| backbone.image(id).map(|_| ()))?;
    }
    Ok(layers)
}
