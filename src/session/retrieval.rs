//! Galleries of embeddings: what makes them, how they grow, how they are searched.

use std::sync::Arc;

use super::{ExplainOptions, ImageId, Session, not_spatial};
use crate::engine::Pooling;
use crate::error::{Error, Result};
use crate::fam::PoolingChoice;
use crate::image::difference_hash;
use crate::tasks::retrieval::{Gallery, Hit, Item, Origin};

impl Session {
    /// What makes the embeddings of this model under these options; of the options the target layer and the pooling
    /// count.
    ///
    /// # Errors
    /// [`Error::Target`] for an unknown layer; the errors of compiling the model.
    pub fn origin(&mut self, options: &ExplainOptions) -> Result<Origin> {
        options.check()?;
        let manifest = self.model.manifest();
        let target = options.layers(&manifest.target)?.swap_remove(0);
        self.model.check_target(&target)?;
        let input = &manifest.input;
        let side = input.size as u32;
        let mut origin = Origin {
            model: manifest.name.clone(),
            weights: format!("{:016x}", self.model.fingerprint()),
            input: format!("{side} {} mean {:?} std {:?}", input.geometry, input.mean, input.std),
            target: target.clone(),
            pooling: match options.pooling.or_else(|| manifest.pooling.parse().ok()) {
                Some(PoolingChoice::GeM) => format!("gem({})", options.gem_exponent),
                Some(PoolingChoice::Model) => format!("model({})", self.model.own_embedding()),
                Some(pooling) => pooling.name().to_owned(),
                None => manifest.pooling.clone(),
            },
            channels: 0,
        };
        let value = self.embedded_value(options, target)?.0;
        let program = self.engines.program(&self.model, (side, side), &value)?;
        let shape = program.target_shapes().first().and_then(crate::tensor::Shape::chw);
        (origin.channels, ..) = shape.ok_or_else(|| not_spatial(&value))?;
        Ok(origin)
    }

    /// The [difference hash](difference_hash) of an image as the model sees it.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id.
    pub fn picture_hash(&self, id: ImageId) -> Result<u64> {
        difference_hash(&self.entry(id)?.input, &self.model.manifest().normalization())
    }

    /// What a gallery keeps of an image beside its embedding; `content` tells contents apart, such as a file's SHA-256.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id.
    pub fn gallery_item(&self, id: ImageId, content: &str) -> Result<Item> {
        let entry = self.entry(id)?;
        let (width, height) = entry.geometry.photo_size();
        let (name, content) = (entry.name.clone(), content.to_owned());
        Ok(Item { name, content, picture: self.picture_hash(id)?, width, height })
    }

    /// The embedding of an image as a gallery of `origin` holds it. Another pooling than the model's runs no backbone if
    /// the image has been embedded already.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id or an origin that is not this session's; the engine's errors.
    pub async fn gallery_embedding(&mut self, id: ImageId, origin: &Origin) -> Result<Arc<[f32]>> {
        let target = &origin.target;
        if !self.model.targets().contains(target) {
            let reason = format!("its embeddings are of layer {target:?}, which this model does not have");
            return Err(Error::argument("gallery", reason));
        }
        let options = options_of(origin)?;
        origin.check(&self.origin(&options)?)?;
        let (value, pooling) = self.embedded_value(&options, target.clone())?;
        let work = async |s: &mut Self| s.pooled(id, std::slice::from_ref(&value), pooling).await;
        Ok(self.with_recovery(work).await?.swap_remove(0))
    }

    /// The options under which this session makes embeddings like those of a gallery and explains its hits.
    ///
    /// # Errors
    /// [`Error::Argument`] for a pooling that is unknown.
    pub fn options_of(&self, origin: &Origin) -> Result<ExplainOptions> {
        options_of(origin)
    }

    /// What is pooled into the embeddings of a gallery, and how: a layer, or the model's own embedding as it is.
    fn embedded_value(&self, options: &ExplainOptions, target: String) -> Result<(String, Pooling)> {
        match options.pooling {
            _ if self.own_pooling(options) => match self.model.own_vector()? {
                Some(value) => Ok((value.to_owned(), Pooling::Average)),
                None => {
                    let value = self.model.own_embedding();
                    Err(Error::argument("pooling", format!("the model's own output, {value:?}, is not one vector")))
                }
            },
            None => Ok((target, self.model.manifest().pooling())),
            Some(pooling) => Ok((target, pooling.of(options.gem_exponent)?)),
        }
    }

    /// Ranks a gallery for a query image: the `top` images most similar by cosine, the best first.
    ///
    /// ```no_run
    /// # async fn example(session: &mut famlens::session::Session, query: famlens::session::ImageId,
    /// #     others: &[famlens::session::ImageId]) -> famlens::Result<()> {
    /// use famlens::tasks::retrieval::Gallery;
    /// let mut gallery = Gallery::new(session.origin(&Default::default())?);
    /// for (place, &id) in others.iter().enumerate() {
    ///     let embedding = session.gallery_embedding(id, gallery.origin()).await?;
    ///     gallery.push(session.gallery_item(id, &place.to_string())?, &embedding)?;
    /// }
    /// for hit in session.search(&gallery, query, 10).await? {
    ///     println!("{:.3} {}", hit.similarity, gallery.items()[hit.index].name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] if another model, layer or pooling made the gallery, naming what differs; the engine's errors.
    pub async fn search(&mut self, gallery: &Gallery, query: ImageId, top: usize) -> Result<Vec<Hit>> {
        let embedding = self.gallery_embedding(query, gallery.origin()).await?;
        gallery.rank(&embedding, top)
    }
}

/// The options under which a session makes embeddings like those of a gallery.
fn options_of(origin: &Origin) -> Result<ExplainOptions> {
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
