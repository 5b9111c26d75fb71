//! The part of the network between a layer and a later value, ready for a backward pass.

use std::sync::Arc;

use super::{Backbone, ImageId, Values};
use crate::engine::cpu::CpuEngine;
use crate::error::Result;
use crate::graph::gradient::{Tail, Trace};
use crate::model::{Model, not_spatial};
use crate::tensor::Tensor;

/// From how many multiplications on the engine runs a tail, and not the plain loops.
const SMALL_TAIL: usize = 4_000_000;

/// How many tails are kept: one for each of a few target layers.
const KEPT_TAILS: usize = 3;

/// Tails, the least recently used first.
#[derive(Default)]
pub(super) struct TailCache {
    kept: Vec<KeptTail>,
}

/// A tail, and what it reads beside its layer.
struct KeptTail {
    layer: String,
    value: String,
    size: (u32, u32),
    tail: Arc<Tail>,
    /// Gives the layer and what the tail reads beside it, once it was asked for.
    values: Option<Values>,
    /// What it gave for the last image: the layer, and what is read beside it.
    last: Option<(ImageId, Tensor, Vec<Tensor>)>,
}

impl TailCache {
    pub(super) fn forget(&mut self, id: ImageId) {
        for kept in &mut self.kept {
            kept.last.take_if(|(of, ..)| *of == id);
        }
    }

    fn get(&mut self, model: &Model, layer: &str, value: &str, size: (u32, u32)) -> Result<&mut KeptTail> {
        let same = |kept: &KeptTail| kept.layer == layer && kept.value == value && kept.size == size;
        let tail = match self.kept.iter().position(same) {
            Some(at) => self.kept.remove(at),
            None => {
                let graph = model.graph_keeping(size, &[layer, value])?;
                let find = |name: &str| graph.find(name).ok_or_else(|| not_spatial(name));
                let tail = Arc::new(Tail::new(&graph, find(layer)?, find(value)?)?);
                let (layer, value) = (layer.to_owned(), value.to_owned());
                KeptTail { layer, value, size, tail, values: None, last: None }
            }
        };
        if self.kept.len() >= KEPT_TAILS {
            self.kept.remove(0);
        }
        self.kept.push(tail);
        self.kept.last_mut().ok_or_else(|| not_spatial(layer))
    }
}

impl KeptTail {
    fn compile(&self, model: &Model) -> Result<Values> {
        let graph = model.graph_keeping(self.size, &[&self.layer, &self.value])?;
        let find = |name: &str| graph.find(name).ok_or_else(|| not_spatial(name));
        let wanted = std::iter::once(self.layer.as_str()).chain(self.tail.sides()).map(find);
        Values::new(&CpuEngine::new(), &graph, &wanted.collect::<Result<Vec<_>>>()?)
    }
}

impl Backbone {
    /// The network from a layer to a value, at the size of an image's input.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for an unknown id or if the value does not depend on the layer.
    pub(crate) fn tail(&mut self, id: ImageId, layer: &str, value: &str) -> Result<Arc<Tail>> {
        let size = self.image(id)?.geometry.input_size();
        Ok(self.tails.get(&self.model, layer, value, size)?.tail.clone())
    }

    /// What an image has at a layer, and beside it where [`Backbone::tail`] reads more than the layer.
    ///
    /// The values come from the CPU engine, whatever engine is active: the way back runs on the host.
    ///
    /// # Errors
    /// As [`Backbone::tail`]; the engine's errors.
    pub(crate) async fn tail_inputs(&mut self, id: ImageId, layer: &str, value: &str) -> Result<(Tensor, Vec<Tensor>)> {
        let image = self.images.get(&id).ok_or_else(|| super::images::unknown(id))?;
        let kept = self.tails.get(&self.model, layer, value, image.geometry.input_size())?;
        let last = match kept.last.take() {
            Some(last) if last.0 == id => last,
            _ => {
                let mut values = match kept.values.take() {
                    Some(values) => values,
                    None => kept.compile(&self.model)?,
                };
                let mut read = values.read(&image.input).await?;
                kept.values = Some(values);
                let sides = read.split_off(1);
                (id, read.swap_remove(0), sides)
            }
        };
        let (_, activations, sides) = kept.last.insert(last);
        Ok((activations.clone(), sides.clone()))
    }
}

/// Runs a tail forward: a small one in plain loops, a large one on the CPU engine with every value read back.
///
/// # Errors
/// [`crate::Error::Argument`] for values of other shapes; the engine's errors.
pub(crate) async fn trace<'a>(tail: &'a Tail, layer: &Tensor, sides: &[Tensor]) -> Result<Trace<'a>> {
    if tail.multiplications() <= SMALL_TAIL {
        return tail.trace(layer, sides);
    }
    let closed = tail.with_sides(sides)?;
    let wanted = closed.values();
    let values = Values::new(&CpuEngine::new(), closed.graph(), &wanted)?.read(layer).await?;
    tail.trace_from(layer, sides, wanted.into_iter().zip(values).collect())
}
