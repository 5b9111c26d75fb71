//! What the target layers give for an image: activation maps, pooled features, mixes of channels.

use std::sync::Arc;

use web_time::Instant;

use super::images::LayerFeatures;
use super::{Backbone, ImageId, milliseconds, pooling_alone};
use crate::engine::{Mix, Mixed, Pooling};
use crate::error::{Error, Result};
use crate::model::not_spatial;
use crate::tensor::{Shape, Tensor};

impl Backbone {
    /// Whether the network has been run on an image up to every one of these layers.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id.
    pub(crate) fn knows(&self, id: ImageId, layers: &[String]) -> Result<bool> {
        let image = self.image(id)?;
        Ok(layers.iter().all(|layer| image.layers.iter().any(|known| known.layer == *layer)))
    }

    /// An image's pooled features at each layer: one forward pass for all layers that are new, a mix for another
    /// pooling.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id; the engine's errors.
    pub(crate) async fn features(
        &mut self,
        id: ImageId,
        layers: &[String],
        pooling: Pooling,
    ) -> Result<Vec<Arc<[f32]>>> {
        if layers.len() > 1 && !self.knows(id, layers)? {
            self.forward(id, layers).await?;
        }
        let mut rows = Vec::with_capacity(layers.len());
        for layer in layers {
            let known = self.layer(id, layer).await?;
            rows.push(self.pooled(id, &known, pooling).await?);
        }
        Ok(rows)
    }

    /// The pooled features of those images that the network has been run on up to this layer.
    ///
    /// # Errors
    /// As [`Backbone::features`].
    pub(crate) async fn known_features(
        &mut self,
        ids: &[ImageId],
        layer: &str,
        pooling: Pooling,
    ) -> Result<Vec<Arc<[f32]>>> {
        let mut rows = Vec::with_capacity(ids.len());
        for &id in ids {
            if let Some(known) = self.known(id, layer)? {
                rows.push(self.pooled(id, &known, pooling).await?);
            }
        }
        Ok(rows)
    }

    /// The activation maps of an image at a layer, in the host's memory: `[1, C, H, W]`.
    ///
    /// # Errors
    /// As [`Backbone::features`].
    pub(crate) async fn activations(&mut self, id: ImageId, layer: &str) -> Result<Tensor> {
        let known = self.layer(id, layer).await?;
        let size = self.image(id)?.geometry.input_size();
        let layers = [known.layer];
        self.engines.program(known.engine, &self.model, size, &layers)?.read(&known.maps).await
    }

    /// One mix over an image's activation maps `[1, C, H, W]` at a layer, with the shape of these.
    ///
    /// # Errors
    /// As [`Backbone::features`].
    pub(crate) async fn mix(&mut self, id: ImageId, layer: &str, mix: &Mix) -> Result<(Shape, Mixed)> {
        let known = self.layer(id, layer).await?;
        let size = self.image(id)?.geometry.input_size();
        let layers = [known.layer];
        let mixed = self.engines.program(known.engine, &self.model, size, &layers)?.mix(&known.maps, mix).await?;
        Ok((known.maps.shape, mixed))
    }

    /// One forward pass on an input that is not kept, with one mix a layer.
    ///
    /// # Errors
    /// [`Error::Argument`] for an input that is no image; the engine's errors.
    pub(crate) async fn mix_input(
        &mut self,
        input: &Tensor,
        layers: &[String],
        mixes: &[Mix],
    ) -> Result<Vec<(Shape, Mixed)>> {
        let [_, _, height, width] = *input.shape().dims() else {
            return Err(Error::argument("input", "the model's input is no image"));
        };
        let first = mixes.first().ok_or_else(|| Error::argument("targets", "there is none"))?;
        let program = self.program((width as u32, height as u32), layers)?;
        let output = program.run(input, first).await?;
        let mut mixed = vec![output.mixed];
        for (features, mix) in output.features.iter().zip(mixes).skip(1) {
            mixed.push(program.mix(features, mix).await?);
        }
        Ok(output.features.into_iter().map(|features| features.shape).zip(mixed).collect())
    }

    /// Whether an image has negative activations at a layer. The network must have been run on it up to there.
    ///
    /// # Errors
    /// As [`Backbone::features`].
    pub(crate) async fn is_signed(&mut self, id: ImageId, layer: &str) -> Result<bool> {
        if self.model.is_non_negative(layer) {
            return Ok(false);
        }
        if self.known(id, layer)?.is_some_and(|known| known.embedding.iter().any(|&f| f < 0.0)) {
            return Ok(true);
        }
        let activations = self.activations(id, layer).await?;
        Ok(activations.data().iter().any(|&a| a < 0.0))
    }

    /// Milliseconds of the forward pass that gave an image's features at a layer; 0 if there was none.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id.
    pub(crate) fn forward_milliseconds(&self, id: ImageId, layer: &str) -> Result<f64> {
        Ok(self.known(id, layer)?.map_or(0.0, |known| known.milliseconds))
    }

    /// What is known of an image at a layer, on whichever engine found it.
    fn known(&self, id: ImageId, layer: &str) -> Result<Option<LayerFeatures>> {
        Ok(self.image(id)?.layers.iter().find(|known| known.layer == layer).cloned())
    }

    /// The same, from the network if it is not there yet.
    async fn layer(&mut self, id: ImageId, layer: &str) -> Result<LayerFeatures> {
        if self.known(id, layer)?.is_none() {
            self.forward(id, &[layer.to_owned()]).await?;
        }
        let engine = self.engines.active().name();
        let known = self.known(id, layer)?;
        known.ok_or_else(|| Error::Engine { engine, reason: "it returned no activation maps".into() })
    }

    /// One forward pass whose activation maps are kept at every layer.
    async fn forward(&mut self, id: ImageId, layers: &[String]) -> Result<()> {
        let (engine, mix) = (self.engines.active(), pooling_alone(self.model.manifest().pooling()));
        let image = self.images.get_mut(&id).ok_or_else(|| super::images::unknown(id))?;
        let program = self.engines.program(engine, &self.model, image.geometry.input_size(), layers)?;
        let started = Instant::now();
        let output = program.run(&image.input, &mix).await?;
        let milliseconds = milliseconds(started);
        for (i, (layer, maps)) in layers.iter().zip(output.features).enumerate() {
            let embedding = match i {
                0 => output.mixed.embedding.as_slice().into(),
                _ => program.mix(&maps, &mix).await?.embedding.as_slice().into(),
            };
            let layer = layer.clone();
            image.layers.retain(|known| known.layer != layer);
            image.layers.push(LayerFeatures { layer, engine, maps, embedding, milliseconds, pooled: Vec::new() });
        }
        Ok(())
    }

    /// Pooled features: of the model's own pooling from the forward pass, of another one from a mix, which is kept.
    async fn pooled(&mut self, id: ImageId, known: &LayerFeatures, pooling: Pooling) -> Result<Arc<[f32]>> {
        if pooling == self.model.manifest().pooling() {
            return Ok(known.embedding.clone());
        }
        if let Some((_, features)) = known.pooled.iter().find(|(p, _)| *p == pooling) {
            return Ok(features.clone());
        }
        let size = self.image(id)?.geometry.input_size();
        let layers = [known.layer.clone()];
        let program = self.engines.program(known.engine, &self.model, size, &layers)?;
        let mixed = program.mix(&known.maps, &pooling_alone(pooling)).await?;
        let features: Arc<[f32]> = mixed.embedding.as_slice().into();
        if let Some(kept) = self.image_mut(id)?.layers.iter_mut().find(|k| k.layer == known.layer) {
            kept.pooled.push((pooling, features.clone()));
        }
        Ok(features)
    }

    /// Activation maps of single channels of an image at a layer: a tensor `[channels.len(), H, W]`.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id or a channel out of range; the engine's errors.
    pub async fn channels(&mut self, id: ImageId, layer: &str, channels: &[usize]) -> Result<Tensor> {
        let all = self.recovering(async |b: &mut Self| b.activations(id, layer).await).await?;
        let (c, h, w) = all.shape().chw().ok_or_else(|| not_spatial(layer))?;
        if let Some(bad) = channels.iter().find(|&&i| i >= c) {
            return Err(Error::argument("channels", format!("there is no channel {bad}; the layer has {c}")));
        }
        let planes = channels.iter().flat_map(|&i| &all.data()[i * h * w..(i + 1) * h * w]);
        Tensor::new([channels.len(), h, w], planes.copied().collect())
    }
}
