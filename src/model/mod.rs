//! A model: its description and its network. Nothing here changes once it is read, and nothing here runs it.

mod budget;
mod ends;
mod head;
mod input;
mod manifest;
mod network;
mod read;
mod settle;
mod signs;

pub use head::EmbeddingHead;
pub use input::InputSpec;
pub use manifest::{ClassSpecificSpec, Manifest, Weights};
pub use network::{AfterStep, AfterTarget, Network, NetworkBlock, NetworkLayer, TransformationModule};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use crate::error::{Error, Result, UnsupportedNode};
use crate::fam::Statistics;
use crate::graph::{Graph, ValueId, count_weighted_layers, passes, randomise};
use crate::image::{Geometry, InputSize};
use crate::onnx;

use crate::quant::{StoredWeights, store_as_int8};

/// A model: `model.json` and the ONNX file it describes.
pub struct Model {
    manifest: Manifest,
    onnx: onnx::Model,
    targets: Vec<String>,
    /// Outputs of the network as far as famlens runs it.
    outputs: Vec<String>,
    left_out: Vec<UnsupportedNode>,
    parameters: usize,
    statistics: Option<Statistics>,
    /// How many layers are shuffled, and the seed.
    random: Option<(usize, u64)>,
    /// Values that are zero or more whatever the image.
    non_negative: std::collections::HashSet<String>,
    fingerprint: u64,
    /// What storing weights as int8 changed, where `model.json` asks for it.
    stored: Option<StoredWeights>,
    /// What follows a layer, once it has been asked for: finding it means lowering the network.
    heads: Mutex<HashMap<String, Option<Arc<EmbeddingHead>>>>,
    own_is_vector: OnceLock<bool>,
    /// The layer that stands in for one whose cells the model's own embedding does not read, once it has been asked
    /// for.
    read_layers: Mutex<HashMap<String, Option<String>>>,
    /// The part of the network's products behind the target layer, where that was found and lies early.
    behind_target: Option<f64>,
    /// What was settled by the network, in words.
    said: Vec<String>,
}

/// What the class-specific forms look at.
pub(crate) struct CellLook {
    /// The layer that is whitened, and the second one that is centred if there is one.
    pub layers: Vec<String>,
    /// Size of the input in pixels.
    pub size: InputSize,
}

/// A note names a target layer that was found if more than this part of the products lies behind it: the layers between
/// were not followed.
const MUCH_BEHIND: f64 = 0.25;

impl Model {
    /// Reads a model from the text of `model.json` and the bytes of the ONNX file. What the description leaves open,
    /// input size and target layer, is taken from the network, and [`Model::manifest`] says what it is.
    ///
    /// # Errors
    /// [`Error::Manifest`], [`Error::Onnx`], [`Error::Unsupported`], [`Error::TooLarge`] if an input of that size needs
    /// gigabytes, or [`Error::Target`] if the target layer that `model.json` names is not in the network.
    pub fn new(manifest: &str, onnx: &[u8]) -> Result<Self> {
        Self::of(Manifest::parse(manifest)?, onnx)
    }

    /// The same from a description that was read before.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn of(mut manifest: Manifest, onnx: &[u8]) -> Result<Self> {
        manifest.check()?;
        let fingerprint = xxhash_rust::xxh64::xxh64(onnx, 0);
        let mut onnx = onnx::Model::parse(onnx)?;
        let stored = match manifest.weights {
            Weights::Stored => None,
            Weights::Int8 => Some(store_as_int8(&mut onnx)?),
        };
        if onnx.images().is_empty() {
            // There is nothing to choose among.
            manifest.input.name = None;
        } else if let Some(name) = &manifest.input.name {
            onnx = onnx.with_image(name)?;
        }
        let mut said = settle::settle(&mut manifest.input, &onnx)?;
        said.extend(siamese(&onnx));
        let (height, width) = manifest.input.size.rows();
        // What comes after the target layer need not be something that famlens runs.
        let (graph, left_out) = onnx.to_graph_as_far(height, width)?;
        check_memory(&manifest, &graph)?;
        let targets: Vec<String> =
            graph.target_candidates().into_iter().map(|t| graph.value(t.value).name.clone()).collect();
        let Some(best) = targets.first() else {
            if !left_out.is_empty() {
                return Err(Error::Unsupported { nodes: left_out });
            }
            return Err(Error::onnx(
                "no layer of the network keeps where things are in the image (maps or tokens of more than one cell), so \
                 there is nothing to explain; use a model whose last layers are convolutions or a transformer's tokens",
            ));
        };
        let mut behind_target = None;
        if manifest.target.is_empty() {
            let behind = graph.find(best).map(|value| 1.0 - graph.share_before(value));
            behind_target = behind.filter(|&part| part > MUCH_BEHIND);
            manifest.target.clone_from(best);
        }
        let constants = graph.values.iter().filter_map(|v| v.constant.as_ref());
        let parameters = constants.map(|c| c.shape().len()).sum();
        let non_negative = signs::non_negative(&graph);
        let (random, statistics) = (None, None);
        let outputs = graph.outputs.iter().map(|&id| graph.value(id).name.clone()).collect();
        let mut model = Self {
            manifest,
            onnx,
            targets,
            outputs,
            left_out,
            parameters,
            fingerprint,
            non_negative,
            random,
            statistics,
            stored,
            heads: Default::default(),
            own_is_vector: OnceLock::new(),
            read_layers: Default::default(),
            behind_target,
            said,
        };
        model.check_target(&model.manifest.target)?;
        if let Some(spec) = &model.manifest.class_specific {
            std::iter::once(&spec.layer).chain(&spec.head).try_for_each(|layer| model.check_target(layer))?;
        }
        if model.manifest.pooling.is_empty() {
            model.manifest.pooling = model.usual_pooling()?.to_owned();
            if model.manifest.pools_itself() {
                let value = model.own_embedding();
                model.said.push(format!(
                    "The network ends in an embedding, {value:?}, and that is compared. The pooling \"gap\" compares the mean \
                     of the layer's cells."
                ));
            }
        }
        let channels = model.target_channels(graph);
        match (&model.manifest.mean_embedding, channels) {
            (Some(mean), Some(c)) if mean.len() != c => {
                let reason = format!("\"mean_embedding\" has {} values and the target layer {c} channels", mean.len());
                Err(Error::Manifest { reason })
            }
            _ => Ok(model),
        }
    }

    /// The description.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Names of the layers that can be explained, last first.
    pub fn targets(&self) -> &[String] {
        &self.targets
    }

    /// Names of the outputs of the ONNX file, or of the last values before what famlens does not run where that hides
    /// them all.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// The nodes of the file that famlens does not run, all of them behind layers that it does.
    pub fn left_out(&self) -> &[UnsupportedNode] {
        &self.left_out
    }

    /// What famlens took from the network, or assumed, because the description does not say it: a sentence each.
    pub fn assumptions(&self) -> &[String] {
        &self.said
    }

    /// Number of weights and biases.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// The part of the network's products behind the target layer, from 0 to 1, where the layer was found and lies
    /// early: a later one may have been missed.
    pub(crate) fn behind_target(&self) -> Option<f64> {
        self.behind_target
    }

    /// What storing the weights as int8 changed, if `model.json` asks for that.
    pub fn stored_weights(&self) -> Option<StoredWeights> {
        self.stored
    }

    /// The XXH64 of the ONNX file's bytes. It distinguishes models of the same name. Another one where float weights
    /// are stored as int8, since embeddings differ then.
    pub fn fingerprint(&self) -> u64 {
        match self.stored {
            Some(StoredWeights { tensors: 1.., .. }) => xxhash_rust::xxh64::xxh64(b"int8", self.fingerprint),
            _ => self.fingerprint,
        }
    }

    /// Whether these are the bytes of the ONNX file that the model was read from.
    pub(crate) fn was_read_from(&self, onnx: &[u8]) -> bool {
        xxhash_rust::xxh64::xxh64(onnx, 0) == self.fingerprint
    }

    /// Names the weights and what they are fed: two models of one identity give the same activation maps.
    pub fn identity(&self) -> String {
        format!("{:016x} {}", self.fingerprint(), self.manifest.input.words())
    }

    /// The mean embedding of unlabelled images at a layer, where the model has one.
    pub fn mean_embedding(&self, target: &str) -> Option<&[f32]> {
        self.manifest.mean_embedding.as_deref().filter(|_| target == self.manifest.target)
    }

    /// The statistics that came with the model, for the class-specific forms.
    pub fn statistics(&self) -> Option<&Statistics> {
        self.statistics.as_ref()
    }

    /// The model with the statistics file that its description names.
    ///
    /// # Errors
    /// [`Error::Argument`] if the file is damaged, or of another layer or input size.
    pub fn with_statistics(mut self, file: &[u8]) -> Result<Self> {
        let statistics = Statistics::from_bytes(file)?;
        self.check_statistics(&statistics)?;
        self.statistics = Some(statistics);
        Ok(self)
    }

    /// Whether statistics are those of the layers and the input size that the class-specific forms look at in this
    /// model.
    ///
    /// # Errors
    /// [`Error::Argument`] saying what is different.
    pub(crate) fn check_statistics(&self, statistics: &Statistics) -> Result<()> {
        let (origin, CellLook { layers, size }) = (statistics.origin(), self.cell_look());
        let (layer, head) = (&layers[0], layers.get(1).map(String::as_str));
        let different = |what: &str, found: &str, own: &str| {
            Err(Error::argument("statistics", format!("they are of {what} {found}, and this model needs {own}")))
        };
        if origin.layer != *layer {
            return different("the layer", &origin.layer, layer);
        }
        let found = origin.head.as_ref().map(|head| head.layer.as_str());
        if found != head {
            return different("the head", found.unwrap_or("none"), head.unwrap_or("none"));
        }
        let found = InputSize { width: origin.width, height: origin.height };
        if found != size {
            return different("an input of", &found.to_string(), &size.to_string());
        }
        Ok(())
    }

    /// What the class-specific forms look at in this model.
    pub(crate) fn cell_look(&self) -> CellLook {
        match &self.manifest.class_specific {
            Some(spec) => CellLook {
                layers: std::iter::once(spec.layer.clone()).chain(spec.head.clone()).collect(),
                size: spec.size.unwrap_or(self.manifest.input.size),
            },
            // Without a description: the target layer alone, at the model's own size.
            None => CellLook { layers: vec![self.manifest.target.clone()], size: self.manifest.input.size },
        }
    }

    /// Whether the network's structure makes a layer's activations zero or more for every image, as behind a ReLU.
    pub fn is_non_negative(&self, target: &str) -> bool {
        self.non_negative.contains(target)
    }

    /// The same, where there is no doing without it.
    pub(crate) fn required_mean_embedding(&self, target: &str) -> Result<&[f32]> {
        let missing = || {
            let reason = format!("it needs a mean embedding, and model.json has none for the layer {target:?}");
            Error::argument("form", format!("{reason}; use another one"))
        };
        self.mean_embedding(target).ok_or_else(missing)
    }

    /// How a photo of that size becomes the model's input.
    ///
    /// # Errors
    /// [`Error::Argument`] for a photo without pixels or one too narrow.
    pub fn geometry(&self, width: u32, height: u32) -> Result<Geometry> {
        self.geometry_of_size(self.manifest.input.size, width, height)
    }

    /// The same for an input of another size.
    pub(crate) fn geometry_of_size(&self, size: InputSize, width: u32, height: u32) -> Result<Geometry> {
        self.manifest.input.fit(size, (width, height))
    }

    /// Replaces the size of the input, in pixels.
    ///
    /// # Errors
    /// [`Error::Argument`] for a side that is no multiple of the model's stride, or not within 1 to 4096;
    /// [`Error::TooLarge`] if it needs gigabytes.
    pub fn with_size(mut self, size: impl Into<InputSize>) -> Result<Self> {
        let (size, stride) = (size.into(), self.manifest.input.stride as u32);
        let fits = |side: u32| (1..=input::MOST_SIDE).contains(&side) && side.is_multiple_of(stride);
        if !fits(size.width) || !fits(size.height) {
            let reason = format!("{} is not a multiple of {stride} within 1 to {}", size.short(), input::MOST_SIDE);
            return Err(Error::argument("size", reason));
        }
        self.manifest.input.size = size;
        let graph = self.lower(size.rows())?;
        check_memory(&self.manifest, &graph)?;
        (self.heads, self.own_is_vector, self.read_layers) = Default::default();
        Ok(self)
    }

    /// Replaces what the class-specific forms look at; statistics are those of one look and go.
    pub fn with_class_specific(mut self, spec: Option<ClassSpecificSpec>) -> Self {
        self.manifest.class_specific = spec;
        self.statistics = None;
        self
    }

    /// Replaces how photos are fitted into the input.
    pub fn with_geometry(mut self, mode: crate::image::GeometryMode) -> Self {
        self.manifest.input.geometry = mode;
        self
    }

    /// Shuffles the weights of the last `layers` convolutions and linear layers before a target layer: what the sanity
    /// checks of saliency maps compare with, see [`randomise`].
    ///
    /// # Errors
    /// [`Error::Argument`] if the model's own target layer has fewer such layers before it.
    pub fn with_random_layers(mut self, layers: usize, seed: u64) -> Result<Self> {
        let target = &self.manifest.target;
        let graph = self.lower(self.manifest.input.size.rows())?;
        let there = graph.find(target).map_or(0, |id| count_weighted_layers(&graph, id));
        if layers > there {
            let reason =
                format!("{layers} cannot be at random; the model has {there} layers with weights before {target:?}");
            return Err(Error::argument("random layers", reason));
        }
        self.random = (layers > 0).then_some((layers, seed));
        Ok(self)
    }

    /// The optimised network for one input size, with the named value kept: a layer as maps
    /// `[1, C, H, W]` whatever its layout in the file.
    ///
    /// # Errors
    /// [`Error::Target`] for an unknown name; the errors of shape inference.
    pub fn graph(&self, size: (u32, u32), target: &str) -> Result<Graph> {
        self.graph_for(size, &[target.to_owned()])
    }

    /// The optimised network for one input size, with all named values kept.
    ///
    /// # Errors
    /// As [`Model::graph`].
    pub fn graph_for(&self, size: (u32, u32), targets: &[String]) -> Result<Graph> {
        let names: Vec<&str> = targets.iter().map(String::as_str).collect();
        self.build(size, &names, names.len())
    }

    /// The optimised network for one input size, with every named value kept: a layer, as maps, and then values as they
    /// are: what is read beside the layer, and outputs such as the logits.
    ///
    /// # Errors
    /// As [`Model::graph`].
    pub fn graph_keeping(&self, size: (u32, u32), names: &[&str]) -> Result<Graph> {
        self.build(size, names, 1)
    }

    /// The optimised network for images of the usual size, with every named value kept as it lies in the file.
    pub(crate) fn graph_as_it_lies(&self, names: &[&str]) -> Result<Graph> {
        self.build(self.manifest.input.size.across(), names, 0)
    }

    /// The network with every named value kept, the first so many of them as maps.
    fn build(&self, (width, height): (u32, u32), names: &[&str], maps: usize) -> Result<Graph> {
        let mut graph = self.lower((height as usize, width as usize))?;
        let mut keep = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            keep.push(if i < maps { self.maps(&mut graph, name)? } else { self.find(&graph, name)? });
        }
        if let (Some((layers, seed)), Some(&first)) = (self.random, keep.first()) {
            // A target nearer the input has fewer layers before it.
            let layers = layers.min(count_weighted_layers(&graph, first));
            randomise(&mut graph, first, layers, seed)?;
        }
        passes::optimize(graph, &keep)
    }

    /// The network as far as famlens runs it.
    pub(crate) fn lower(&self, (height, width): (usize, usize)) -> Result<Graph> {
        self.onnx.to_graph_as_far(height, width).map(|(graph, _)| graph)
    }

    /// A layer as maps `[1, C, H, W]`, whatever its layout; any other value as it is.
    fn maps(&self, graph: &mut Graph, name: &str) -> Result<ValueId> {
        graph.maps(name).or_else(|_| self.find(graph, name))
    }

    /// The value that is the model's own embedding, if it is one vector for the image.
    pub(crate) fn own_vector(&self) -> Result<Option<&str>> {
        let name = self.own_embedding();
        if let Some(&known) = self.own_is_vector.get() {
            return Ok(known.then_some(name));
        }
        let graph = self.lower(self.manifest.input.size.rows())?;
        let shape = &graph.value(self.find(&graph, name)?).shape;
        let is = matches!(shape.chw(), Some((_, 1, 1)));
        Ok(self.own_is_vector.get_or_init(|| is).then_some(name))
    }

    fn find(&self, graph: &Graph, name: &str) -> Result<ValueId> {
        graph.find(name).ok_or_else(|| self.unknown_target(name))
    }

    pub(crate) fn check_target(&self, target: &str) -> Result<()> {
        match self.targets.iter().any(|t| t == target) {
            true => Ok(()),
            false => Err(self.unknown_target(target)),
        }
    }

    fn unknown_target(&self, target: &str) -> Error {
        Error::Target { name: target.to_owned(), available: self.targets.iter().take(12).cloned().collect() }
    }

    fn target_channels(&self, mut graph: Graph) -> Option<usize> {
        let id = graph.maps(&self.manifest.target).ok()?;
        graph.value(id).shape.chw().map(|(c, _, _)| c)
    }
}

/// What to know about a file of several images.
fn siamese(onnx: &onnx::Model) -> Option<String> {
    let images = onnx.images();
    let (first, twins) = images.first()?;
    let names = |names: &[String]| names.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", ");
    match images.get(1..) {
        Some([_, ..]) => {
            let others: Vec<String> = images[1..].iter().map(|(name, _)| (*name).to_owned()).collect();
            let others = names(&others);
            Some(format!(
                "The file has several towers. The one that sees {first:?} is used; \"name\" of \"input\" takes another: {others}."
            ))
        }
        _ if twins.is_empty() => None,
        _ => {
            let twins = names(twins);
            Some(format!(
                "The file compares several images. The layers that {first:?} goes through are those of {twins} too."
            ))
        }
    }
}

/// Refuses input sizes at which the network's activations would need gigabytes.
fn check_memory(manifest: &Manifest, graph: &Graph) -> Result<()> {
    let size = manifest.input.size;
    if let Err(refused) = budget::check(graph, size, 1.0, "\"size\" of the input") {
        // Patterns that exporters write out, such as attention, need less once they are recognised.
        let optimised = passes::optimize(graph.clone(), &graph.outputs)?;
        budget::check(&optimised, size, 1.0, "\"size\" of the input").map_err(|_| refused)?;
    }
    match manifest.class_specific.as_ref().and_then(|spec| spec.size) {
        Some(second) if second.pixels() > size.pixels() => {
            let factor = second.pixels() as f64 / size.pixels() as f64;
            budget::check(graph, second, factor, "\"size\" of \"class_specific\"")
        }
        _ => Ok(()),
    }
}

pub(crate) fn not_spatial(target: &str) -> Error {
    Error::argument("target", format!("{target:?} is not an activation map [1, C, H, W]"))
}
