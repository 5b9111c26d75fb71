//! Static quantisation: the float model runs over photos, and the ranges follow from its activations.

use std::collections::HashMap;

use super::Values;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::graph::ValueId;
use crate::image::{Photo, prepare};
use crate::model::Model;
use crate::quant::{LevelType, Observer, QuantReport, RangeMethod, StaticQuantizer};
use crate::tensor::Tensor;

/// A float model on its way to static int8 (QDQ): shown photos, it notes the ranges of the activations that will be
/// quantised.
///
/// ```no_run
/// # async fn example(json: &str, onnx: &[u8], photos: &[famlens::image::Photo]) -> famlens::Result<Vec<u8>> {
/// use famlens::engine::cpu::CpuEngine;
/// use famlens::quant::{LevelType, RangeMethod};
/// use famlens::session::{Calibration, Model};
///
/// let model = Model::new(json, onnx)?;
/// let mut calibration = Calibration::new(&model, onnx, Box::new(CpuEngine::new()))?;
/// for photo in photos {
///     calibration.add(photo).await?;
/// }
/// let (int8, report) = calibration.finish(RangeMethod::SquaredError, LevelType::Unsigned)?;
/// println!("{} weights and {} activations as int8", report.tensors.len(), report.activations.len());
/// # Ok(int8)
/// # }
/// ```
pub struct Calibration<'m> {
    model: &'m Model,
    engine: Box<dyn Engine>,
    quantizer: StaticQuantizer,
    observers: HashMap<String, Observer>,
    compiled: Option<Compiled>,
    images: usize,
}

/// The network for one input size, with the activations that it gives besides the target layer.
struct Compiled {
    size: (u32, u32),
    values: Values,
    names: Vec<String>,
    /// The image input's name, if it is to be quantised.
    input: Option<String>,
}

impl<'m> Calibration<'m> {
    /// A calibration of a model. `onnx` is the file that the model was read from; its preparation of photos is the
    /// model's.
    ///
    /// # Errors
    /// [`Error::Argument`] if `onnx` is another file; those of [`StaticQuantizer::new`].
    pub fn new(model: &'m Model, onnx: &[u8], engine: Box<dyn Engine>) -> Result<Self> {
        if !model.was_read_from(onnx) {
            return Err(Error::argument("onnx", "these are not the bytes that the model was read from"));
        }
        let quantizer = StaticQuantizer::new(onnx)?;
        Ok(Self { model, engine, quantizer, observers: HashMap::new(), compiled: None, images: 0 })
    }

    /// Runs the model on a photo.
    ///
    /// # Errors
    /// [`Error::Argument`] if the photo does not fit the model's input or an activation is not finite; the engine's
    /// errors.
    pub async fn add(&mut self, photo: &Photo) -> Result<()> {
        let geometry = self.model.geometry(photo.width(), photo.height())?;
        let input = prepare(photo, &geometry, self.model.manifest().pixels())?;
        self.add_input(&input, geometry.input_size()).await
    }

    /// Runs the model on a prepared input `[1, C, H, W]` of that width and height.
    ///
    /// # Errors
    /// As [`Calibration::add`].
    pub async fn add_input(&mut self, input: &Tensor, size: (u32, u32)) -> Result<()> {
        if self.compiled.as_ref().is_none_or(|c| c.size != size) {
            self.compiled = Some(self.compile(size)?);
        }
        let Some(compiled) = &mut self.compiled else { return Ok(()) };
        let values = compiled.values.read(input).await?;
        let observers = &mut self.observers;
        let mut observe = |name: &String, values: &[f32]| {
            let named =
                |e: Error| Error::argument("activation", format!("{name:?}: {e}; such a model cannot be quantised"));
            observers.entry(name.clone()).or_default().add(values).map_err(named)
        };
        if let Some(name) = &compiled.input {
            observe(name, input.data())?;
        }
        // The target layer comes first.
        for (name, value) in compiled.names.iter().zip(&values[1..]) {
            observe(name, value.data())?;
        }
        self.images += 1;
        Ok(())
    }

    /// How many images were seen.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Names of the activations that will be quantised if the network computes them.
    pub fn activations(&self) -> &[String] {
        self.quantizer.activations()
    }

    /// What was seen of an activation.
    pub fn observed(&self, name: &str) -> Option<&Observer> {
        self.observers.get(name)
    }

    /// Writes the ONNX file with weights and activations as int8.
    ///
    /// # Errors
    /// [`Error::Argument`] if no image was seen; those of [`StaticQuantizer::finish`].
    pub fn finish(self, method: RangeMethod, kind: LevelType) -> Result<(Vec<u8>, QuantReport)> {
        if self.images == 0 {
            return Err(Error::argument("images", "ranges need at least one image; about a hundred make them steady"));
        }
        let ranges = self.observers.into_iter().map(|(name, seen)| (name, seen.range(method, kind))).collect();
        self.quantizer.finish(&ranges, kind)
    }

    fn compile(&self, size: (u32, u32)) -> Result<Compiled> {
        let target = self.model.manifest().target.as_str();
        let all = self.quantizer.activations();
        // What is not in the network (computed from constants, or behind a part that famlens does not run) stays float.
        let plain = self.model.lower((size.1 as usize, size.0 as usize))?;
        let there = |name: &&String| plain.find(name).is_some_and(|id| plain.producer(id).is_some());
        let names: Vec<String> = all.iter().filter(there).cloned().collect();
        let input = plain.value(plain.image_input()?).name.clone();
        let input = all.contains(&input).then_some(input);
        let keep: Vec<&str> = std::iter::once(target).chain(names.iter().map(String::as_str)).collect();
        let graph = self.model.graph_keeping(size, &keep)?;
        let find =
            |name: &&str| graph.find(name).ok_or_else(|| Error::Target { name: (*name).into(), available: Vec::new() });
        let targets = keep.iter().map(find).collect::<Result<Vec<ValueId>>>()?;
        let values = Values::new(self.engine.as_ref(), &graph, &targets)?;
        Ok(Compiled { size, values, names, input })
    }
}
