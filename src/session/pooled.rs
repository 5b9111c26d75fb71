//! Pooled features by layer and pooling, and what a session is given for its comparisons: a head, a matrix, photos.

use std::sync::Arc;

use web_time::Instant;

use super::explain::Gallery;
use super::{Embedded, Embedding, Error, ExplainOptions, ImageId, Result, Session, milliseconds};
use crate::engine::{Mix, Pooling};
use crate::fam::head::{Activation, Head, HeadChoice};
use crate::fam::{Inverse, PoolingChoice};
use crate::tasks::retrieval::read_npy;

/// Where embeddings are taken to be compared.
pub(super) struct Place {
    /// The layers that are pooled, or the value that is the model's own embedding.
    pub layers: Vec<String>,
    pub pooling: Pooling,
    /// Whether it is the model's own embedding and more than a pooling and a head lies between the target layer and it.
    pub own: bool,
}

impl Session {
    /// The pooled features of an image at the first target layer of the options, under their pooling. An image that is new goes through the
    /// network once for all target layers. For the model's own pooling where that is attention or a class token: the model's own embedding.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id or an option out of range, [`Error::Target`] for an unknown layer; the engine's errors.
    pub async fn embed_as(&mut self, id: ImageId, options: &ExplainOptions) -> Result<Embedding> {
        let Place { layers, pooling, own } = self.place(options, &self.checked_request(&[], options)?)?;
        let (started, cached) = (Instant::now(), !self.missing(id, &layers)?);
        let mut rows = self.with_recovery(async |s: &mut Self| s.pooled(id, &layers, pooling).await).await?;
        let mut values = rows.swap_remove(0);
        if self.own_pooling(options) && !own {
            values = self.model.embedding_head(&layers[0])?.head.forward(&values)?.into();
        }
        Ok(Embedding { values, cached, milliseconds: if cached { 0.0 } else { milliseconds(started) } })
    }

    /// Takes a transformation module for [`HeadChoice::File`] from a `.safetensors` file, and says what it is, such as
    /// `"Linear 512 -> 512, ReLU, Linear 512 -> 128"`. `activation` stands for the layers without weights; what the file's metadata
    /// names, or ReLU, if `None`.
    ///
    /// # Errors
    /// As [`Head::from_safetensors`]; the head before stays.
    pub fn load_head(&mut self, bytes: &[u8], activation: Option<Activation>) -> Result<String> {
        let head = Head::from_safetensors(bytes, activation)?;
        let text = head.describe();
        self.head = Some(head);
        Ok(text)
    }

    /// Forgets the head that was loaded; [`HeadChoice::File`] is an error until another one is.
    pub fn forget_head(&mut self) {
        self.head = None;
    }

    /// Gives the matrix of the bilinear and Mahalanobis similarities, row-major, `size * size` values; `None` to learn it from the
    /// images again.
    ///
    /// # Errors
    /// As [`Inverse::given`].
    pub fn set_matrix(&mut self, matrix: Option<(usize, &[f32])>) -> Result<()> {
        self.matrix = matrix.map(|(size, values)| Inverse::given(size, values)).transpose()?;
        Ok(())
    }

    /// Takes the matrix of the bilinear and Mahalanobis similarities from a NumPy file (`.npy`, float32 or float64, square), and says what it
    /// is: `"1280 x 1280"`.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is no such file; as [`Inverse::given`]. The matrix before stays.
    pub fn load_matrix(&mut self, bytes: &[u8]) -> Result<String> {
        let wrong = |reason: String| Error::argument("matrix file", reason);
        let (rows, columns, values) =
            read_npy(bytes).map_err(|reason| wrong(format!("it cannot be read as .npy: {reason}")))?;
        if rows != columns {
            return Err(wrong(format!("it holds {rows} x {columns} values, and the matrix has to be square")));
        }
        self.set_matrix(Some((rows, &values)))?;
        Ok(format!("{rows} x {columns}"))
    }

    /// Whether images added from now on keep their photo, so that a further scale ([`super::Finer::scales`]) is made from it and not
    /// from the prepared input. It costs three bytes a pixel for each image.
    pub fn keep_photos(&mut self, keep: bool) {
        self.keep_photos = keep;
    }

    /// Where embeddings are taken under these options.
    pub(super) fn place(&self, options: &ExplainOptions, layers: &[String]) -> Result<Place> {
        let asked = self.own_pooling(options);
        // A head behind a pooling that was chosen is one that the network need not have.
        let own = asked || (options.head == HeadChoice::Model && options.pooling.is_none());
        // What is no pooling with a head behind it is compared where it ends, if that is one vector.
        if own
            && self.model.whole_head(&layers[0]).is_none()
            && let Some(value) = self.model.own_vector()?
        {
            return Ok(Place { layers: vec![value.to_owned()], pooling: Pooling::Average, own });
        }
        let unclear = |error: Error| match error {
            Error::Argument { name, reason } => {
                let value = self.model.own_embedding();
                let reason = format!(
                    "{reason}, and {value:?} is not one vector; name the value that is as \"embedding\" in model.json"
                );
                Error::Argument { name, reason }
            }
            other => other,
        };
        let pooling = match options.pooling {
            _ if asked => self.model.embedding_head(&layers[0]).map_err(unclear)?.pooling,
            None => self.model.manifest().pooling(),
            Some(pooling) => pooling.of(options.gem_exponent)?,
        };
        Ok(Place { layers: layers.to_vec(), pooling, own: false })
    }

    /// Whether the model's own pooling is asked for, by the options or, where they leave it open, by `model.json`.
    pub(super) fn own_pooling(&self, options: &ExplainOptions) -> bool {
        options.pooling.map_or_else(|| self.model.manifest().pools_itself(), |pooling| pooling == PoolingChoice::Model)
    }

    /// The given head that options ask for; the learned ones are made from images.
    pub(super) fn head(&self, options: &ExplainOptions, layer: &str) -> Result<Option<Head>> {
        let own = || match layer == self.model.own_embedding() {
            // Nothing comes after it.
            true => Ok(Some(Head::none())),
            false => Ok(Some(self.model.embedding_head(layer)?.head.clone())),
        };
        match options.head {
            HeadChoice::File => match &self.head {
                Some(head) => Ok(Some(head.clone())),
                None => Err(Error::argument(
                    "head",
                    "no file of weights has been given yet; load a .safetensors file first",
                )),
            },
            HeadChoice::Model => own(),
            HeadChoice::None if self.own_pooling(options) => own(),
            _ => Ok(None),
        }
    }

    /// Whether an image has still to go through the network for one of the layers.
    pub(super) fn missing(&self, id: ImageId, layers: &[String]) -> Result<bool> {
        for layer in layers {
            if self.cached(id, layer)?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An image's pooled features at each layer: one forward pass for all layers that are new, a mix for another pooling.
    pub(super) async fn pooled(&mut self, id: ImageId, layers: &[String], pooling: Pooling) -> Result<Vec<Arc<[f32]>>> {
        if layers.len() > 1 && self.missing(id, layers)? {
            self.forward_all(id, layers).await?;
        }
        let mut rows = Vec::with_capacity(layers.len());
        for layer in layers {
            let known = self.embedded(id, layer).await?;
            rows.push(self.repooled(id, &known, pooling).await?);
        }
        Ok(rows)
    }

    /// Pooled features that are kept: of the model's own pooling from the forward pass, of another one from a mix.
    async fn repooled(&mut self, id: ImageId, known: &Embedded, pooling: Pooling) -> Result<Arc<[f32]>> {
        if pooling == self.model.manifest().pooling() {
            return Ok(known.embedding.clone());
        }
        if let Some((_, features)) = known.pooled.iter().find(|(p, _)| *p == pooling) {
            return Ok(features.clone());
        }
        let size = self.entry(id)?.geometry.input_size();
        let program = self.engines.program_on(known.engine, &self.model, size, &known.target)?;
        let mixed = program.mix(&known.features, &Mix { pooling, ..Mix::default() }).await?;
        let features: Arc<[f32]> = mixed.embedding.as_slice().into();
        let entry = self.images.get_mut(&id).ok_or_else(|| super::unknown(id))?;
        if let Some(kept) = entry.embedded.iter_mut().find(|e| e.target == known.target) {
            kept.pooled.push((pooling, features.clone()));
        }
        Ok(features)
    }

    /// One forward pass whose activation maps are kept at every layer.
    async fn forward_all(&mut self, id: ImageId, layers: &[String]) -> Result<()> {
        let (engine, pooling) = (self.engines.active(), self.model.manifest().pooling());
        let entry = self.images.get_mut(&id).ok_or_else(|| super::unknown(id))?;
        let program = self.engines.program_for(&self.model, entry.geometry.input_size(), layers)?;
        let mix = Mix { pooling, ..Mix::default() };
        let started = Instant::now();
        let output = program.run(&entry.input, &mix).await?;
        let milliseconds = milliseconds(started);
        for (i, (target, features)) in layers.iter().zip(output.features).enumerate() {
            let embedding = match i {
                0 => output.mixed.embedding.as_slice().into(),
                _ => program.mix(&features, &mix).await?.embedding.as_slice().into(),
            };
            entry.embedded.retain(|e| e.target != *target);
            entry.embedded.push(Embedded {
                target: target.clone(),
                engine,
                features,
                embedding,
                milliseconds,
                pooled: Vec::new(),
            });
        }
        Ok(())
    }

    /// The pooled features of what may be learned from, the query left out: every image that has been embedded at a layer,
    /// or those among [`Session::learn_from`].
    pub(super) async fn gallery(&mut self, query: ImageId, layer: &str, pooling: Pooling) -> Result<Gallery> {
        let mut ids = self.learn_from.clone().unwrap_or_else(|| self.images.keys().copied().collect());
        ids.retain(|&id| id != query);
        ids.sort_unstable();
        ids.dedup();
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(known) = self.cached(id, layer)? {
                rows.push(self.repooled(id, &known, pooling).await?);
            }
        }
        Ok(rows)
    }

    /// Whether an image has negative activations at a layer. The image must have been embedded there.
    pub(super) async fn is_signed(&mut self, id: ImageId, layer: &str) -> Result<bool> {
        if self.model.is_non_negative(layer) {
            return Ok(false);
        }
        if self.cached(id, layer)?.is_some_and(|known| known.embedding.iter().any(|&f| f < 0.0)) {
            return Ok(true);
        }
        let activations = self.activations(id, layer).await?;
        Ok(activations.data().iter().any(|&a| a < 0.0))
    }
}
