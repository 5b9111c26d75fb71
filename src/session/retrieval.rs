//! Galleries of embeddings: how a session fills and searches them.

use std::sync::Arc;

use super::{ExplainOptions, ImageId, Session};
use crate::error::Result;
use crate::explain;
use crate::image::difference_hash;
use crate::tasks::retrieval::{Gallery, Hit, Item, Origin};

impl Session {
    /// What makes the embeddings of this model under these options; of the options the target layer and the pooling
    /// count.
    ///
    /// # Errors
    /// [`crate::Error::Target`] for an unknown layer; the errors of compiling the model.
    pub fn origin(&mut self, options: &ExplainOptions) -> Result<Origin> {
        explain::origin(&mut self.backbone, options)
    }

    /// The [difference hash](difference_hash) of an image as the model sees it.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for an unknown id.
    pub fn picture_hash(&self, id: ImageId) -> Result<u64> {
        difference_hash(&self.backbone.image(id)?.input, self.model().manifest().pixels())
    }

    /// What a gallery keeps of an image beside its embedding. `content` identifies the file's content, such as its
    /// SHA-256.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for an unknown id.
    pub fn gallery_item(&self, id: ImageId, content: &str) -> Result<Item> {
        let image = self.backbone.image(id)?;
        let (width, height) = image.geometry.photo_size();
        let (name, content) = (image.name.clone(), content.to_owned());
        Ok(Item { name, content, picture: self.picture_hash(id)?, width, height })
    }

    /// The embedding of an image as a gallery of `origin` holds it. Another pooling than the model's runs no backbone
    /// if the image has been embedded already.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for an unknown id or an origin that is not this session's; the engine's errors.
    pub async fn gallery_embedding(&mut self, id: ImageId, origin: &Origin) -> Result<Arc<[f32]>> {
        explain::gallery_embedding(&mut self.backbone, id, origin).await
    }

    /// The options under which this session makes embeddings like those of a gallery and explains its hits.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for a pooling that is unknown.
    pub fn options_of(&self, origin: &Origin) -> Result<ExplainOptions> {
        explain::options_of(origin)
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
    /// [`crate::Error::Argument`] if another model, layer or pooling made the gallery, naming what differs; the
    /// engine's errors.
    pub async fn search(&mut self, gallery: &Gallery, query: ImageId, top: usize) -> Result<Vec<Hit>> {
        let embedding = self.gallery_embedding(query, gallery.origin()).await?;
        gallery.rank(&embedding, top)
    }
}
