//! The one facade: a [`Model`], an engine, the images in play, and explanations of them.
//!
//! A [`Session`] keeps each image's prepared input and, once it has run the backbone on it, its activation maps and
//! embedding. An explanation therefore runs the backbone only for images that are new; another form, class or query
//! among known images is one channel mix.
//!
//! ```no_run
//! # async fn example(json: &str, onnx: &[u8], photos: [(&str, &[u8]); 3]) -> famlens::Result<()> {
//! use famlens::image::{Limits, decode};
//! use famlens::session::{Class, EngineChoice, ExplainOptions, Model, Session};
//!
//! let mut session = Session::new(Model::new(json, onnx)?, EngineChoice::Auto).await?;
//! let mut ids = Vec::new();
//! for (name, bytes) in photos {
//!     ids.push(session.add_image(name, &decode(name, bytes, &Limits::default())?)?);
//! }
//! let classes = [Class::new("cat", [ids[1]]), Class::new("dog", [ids[2]])];
//! let explanation = session.explain(ids[0], &classes, &ExplainOptions::default()).await?;
//! println!("it is a {}", explanation.classes[explanation.predicted].name);
//! # Ok(())
//! # }
//! ```

mod bench;
mod calibration;
mod cells;
mod evaluate;
mod explain;
mod methods;
mod mosaic;
mod pair;
mod pooled;
mod retrieval;
mod supports;

pub use bench::Benchmark;
pub use calibration::Calibration;
pub use evaluate::{EvaluateOptions, Evaluated, Faithfulness, Subject, Variant};
pub use explain::{Class, ClassScore, ExplainedMap, Explanation, LayerMaps, Timings};
pub use methods::{ComparedClass, Comparison, Cost, MethodResult, Passes, Progress, Watch, keep_going};
pub use mosaic::{Mosaic, MosaicForm, Tile};
pub use pair::{CellPairs, PairExplanation};
pub use supports::{SupportCheck, SupportResult};

pub use crate::backbone::{EngineChoice, EngineKind, EngineReport};
pub use crate::explain::{
    Against, CatalogueEntry, CatalogueInput, ClassifierOutput, ExplainOptions, Finer, Map, catalogue, catalogue_json,
};
pub use crate::model::{
    AfterStep, AfterTarget, ClassSpecificSpec, EmbeddingHead, InputSpec, Manifest, Model, Network, NetworkBlock,
    NetworkLayer, TransformationModule, Weights,
};
pub use crate::quant::StoredWeights;

use std::collections::HashMap;
use std::sync::Arc;

use web_time::Instant;

use crate::backbone::{Engines, milliseconds};
use crate::engine::{Features, Mix, Pooling};
use crate::error::{Error, Result};
use crate::fam::Inverse;
use crate::fam::head::Head;
use crate::image::{Geometry, Photo, prepare};
use crate::model::not_spatial;
use crate::tensor::Tensor;

/// Names one image of a [`Session`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, serde::Serialize)]
pub struct ImageId(pub u32);

/// A model, an engine and the images in play.
pub struct Session {
    model: Model,
    engines: Engines,
    images: HashMap<ImageId, Entry>,
    next_id: u32,
    cells: cells::CellState,
    /// A head from a file, and a given matrix for the learned similarities.
    head: Option<Head>,
    matrix: Option<Inverse>,
    keep_photos: bool,
    /// The only images that may be learned from; all that were embedded if `None`.
    learn_from: Option<Vec<ImageId>>,
    /// The last layer whose cells the model's own embedding is made of, once found, and the way between the two.
    read_layer: Option<String>,
    /// Named layers that are known to be read.
    known_read: std::collections::HashSet<String>,
    ways: Vec<explain::Way>,
}

/// One image: what the backbone reads, and what it found.
struct Entry {
    name: String,
    input: Tensor,
    geometry: Geometry,
    embedded: Vec<Embedded>,
    /// The input of the class-specific forms, where it is another one.
    cell_input: Option<cells::CellInput>,
    /// What the class-specific forms found.
    cells_kept: Option<cells::CellsKept>,
    /// Only if the session keeps photos: a second scale is then made from it.
    photo: Option<Photo>,
}

/// Activation maps and embedding of one image at one target layer, on one engine.
#[derive(Clone)]
struct Embedded {
    target: String,
    engine: EngineKind,
    features: Features,
    embedding: Arc<[f32]>,
    /// Milliseconds of the forward pass.
    milliseconds: f64,
    /// What other poolings than the model's own have given.
    pooled: Vec<(Pooling, Arc<[f32]>)>,
}

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

impl Session {
    /// A session on that model. `Auto` starts on the CPU, which is ready at once; [`Session::calibrate`] then measures
    /// the GPU and takes the faster of the two.
    ///
    /// # Errors
    /// [`Error::NoGpu`] if the GPU is asked for and there is none; the errors of compiling the model.
    pub async fn new(model: Model, choice: EngineChoice) -> Result<Self> {
        let engines = Engines::new(choice).await?;
        let (images, keep_photos) = (HashMap::new(), false);
        Ok(Self {
            model,
            engines,
            images,
            next_id: 1,
            head: None,
            matrix: None,
            keep_photos,
            learn_from: None,
            cells: Default::default(),
            read_layer: None,
            known_read: Default::default(),
            ways: Vec::new(),
        })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The engine that runs now.
    pub fn engine(&self) -> EngineKind {
        self.engines.active()
    }

    /// What is known of each engine, for people.
    pub fn engine_reports(&self) -> Vec<EngineReport> {
        self.engines.reports()
    }

    /// What the user should know about the engine, such as that the GPU was lost and the CPU took over.
    pub fn note(&self) -> Option<&str> {
        self.engines.note()
    }

    /// Chooses the engine. Images stay; they are embedded again when next needed.
    ///
    /// # Errors
    /// [`Error::NoGpu`] if the GPU is asked for and there is none; the session then goes on as before.
    pub async fn set_engine(&mut self, choice: EngineChoice) -> Result<()> {
        self.engines.choose(choice).await?;
        self.forget_other_engines();
        Ok(())
    }

    /// Measures both engines on an image that is already in the session, warm, and takes the faster one. A GPU that is
    /// missing or lost is no error: the CPU is taken. What has been embedded stays, on the engine that did it.
    ///
    /// # Errors
    /// The CPU engine's errors, and [`Error::Argument`] for an unknown image.
    pub async fn calibrate(&mut self, image: ImageId) -> Result<EngineKind> {
        let entry = self.images.get(&image).ok_or_else(|| unknown(image))?;
        self.engines.calibrate(&self.model, &entry.input, entry.geometry.input_size()).await
    }

    /// Loses the GPU, as a driver reset would: for tests of what happens then.
    #[doc(hidden)]
    pub fn lose_gpu(&self) {
        self.engines.lose_gpu();
    }

    /// Prepares an image for the model and keeps it. The photo itself is not kept unless [`Session::keep_photos`] says so.
    ///
    /// # Errors
    /// [`Error::Argument`] if the photo's shape does not fit the model's input.
    pub fn add_image(&mut self, name: &str, photo: &Photo) -> Result<ImageId> {
        let geometry = self.model.geometry(photo.width(), photo.height())?;
        let input = prepare(photo, &geometry, &self.model.manifest().normalization())?;
        let id = ImageId(self.next_id);
        self.next_id += 1;
        let (name, cell_input) = (name.to_owned(), self.cell_input(photo)?);
        let photo = self.keep_photos.then(|| photo.clone());
        let entry = Entry { name, input, geometry, embedded: Vec::new(), cell_input, cells_kept: None, photo };
        self.images.insert(id, entry);
        Ok(id)
    }

    /// Forgets an image. Unknown ids are ignored.
    pub fn remove_image(&mut self, id: ImageId) {
        self.images.remove(&id);
    }

    /// How an image lies in the model's input.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id.
    pub fn geometry(&self, id: ImageId) -> Result<&Geometry> {
        Ok(&self.entry(id)?.geometry)
    }

    /// The name an image was added under.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id.
    pub fn image_name(&self, id: ImageId) -> Result<&str> {
        Ok(&self.entry(id)?.name)
    }

    /// The embedding of an image as `model.json` has it: at the model's target layer, or the model's own. [`Session::embed_as`] has the choices.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id; the engine's errors.
    pub async fn embed(&mut self, id: ImageId) -> Result<Embedding> {
        self.embed_as(id, &ExplainOptions::default()).await
    }

    /// Activation maps of single channels of an image at a target layer (the model's own if `None`): a tensor
    /// `[channels.len(), H, W]`.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id or a channel out of range; the engine's errors.
    pub async fn channels(&mut self, id: ImageId, target: Option<&str>, channels: &[usize]) -> Result<Tensor> {
        let target = target.unwrap_or(&self.model.manifest().target).to_owned();
        let all = self.with_recovery(async |s: &mut Self| s.activations(id, &target).await).await?;
        let (c, h, w) = all.shape().chw().ok_or_else(|| not_spatial(&target))?;
        if let Some(bad) = channels.iter().find(|&&i| i >= c) {
            return Err(Error::argument("channels", format!("there is no channel {bad}; the layer has {c}")));
        }
        let planes = channels.iter().flat_map(|&i| &all.data()[i * h * w..(i + 1) * h * w]);
        Tensor::new([channels.len(), h, w], planes.copied().collect())
    }

    async fn activations(&mut self, id: ImageId, target: &str) -> Result<Tensor> {
        let known = self.embedded(id, target).await?;
        let size = self.entry(id)?.geometry.input_size();
        self.engines.program_on(known.engine, &self.model, size, target)?.read(&known.features).await
    }

    /// The image's activation maps and embedding, from the backbone if they are not there yet.
    async fn embedded(&mut self, id: ImageId, target: &str) -> Result<Embedded> {
        if let Some(known) = self.cached(id, target)? {
            return Ok(known);
        }
        let mix = Mix { pooling: self.model.manifest().pooling(), ..Mix::default() };
        Ok(self.forward(id, target, &mix).await?.0)
    }

    /// One forward pass with a mix; what the backbone found is kept.
    async fn forward(&mut self, id: ImageId, target: &str, mix: &Mix) -> Result<(Embedded, crate::engine::Mixed)> {
        let engine = self.engines.active();
        let entry = self.images.get_mut(&id).ok_or_else(|| unknown(id))?;
        let program = self.engines.program(&self.model, entry.geometry.input_size(), target)?;
        let started = Instant::now();
        let output = program.run(&entry.input, mix).await?;
        let milliseconds = milliseconds(started);
        let Some(features) = output.features.into_iter().next() else {
            return Err(Error::Engine { engine: engine.name(), reason: "it returned no activation maps".into() });
        };
        let embedding = output.mixed.embedding.as_slice().into();
        let pooled = Vec::new();
        let embedded = Embedded { target: target.to_owned(), engine, features, embedding, milliseconds, pooled };
        entry.embedded.push(embedded.clone());
        Ok((embedded, output.mixed))
    }

    /// What is known of an image at a target layer, on whichever engine found it.
    fn cached(&self, id: ImageId, target: &str) -> Result<Option<Embedded>> {
        Ok(self.entry(id)?.embedded.iter().find(|e| e.target == target).cloned())
    }

    /// Runs `work`; if the GPU is lost meanwhile, rebuilds it once and then falls back to the CPU, starting over.
    async fn with_recovery<T>(&mut self, work: impl AsyncFn(&mut Self) -> Result<T>) -> Result<T> {
        loop {
            match work(self).await {
                Err(Error::GpuLost { reason }) if self.engines.active() == EngineKind::Gpu => {
                    self.engines.recover(&reason).await;
                    for entry in self.images.values_mut() {
                        entry.embedded.retain(|e| e.engine != EngineKind::Gpu);
                        entry.cells_kept.take_if(|kept| kept.engine == EngineKind::Gpu);
                    }
                }
                result => return result,
            }
        }
    }

    fn forget_other_engines(&mut self) {
        let active = self.engines.active();
        for entry in self.images.values_mut() {
            entry.embedded.retain(|e| e.engine == active);
            entry.cells_kept.take_if(|kept| kept.engine != active);
        }
    }

    fn entry(&self, id: ImageId) -> Result<&Entry> {
        self.images.get(&id).ok_or_else(|| unknown(id))
    }
}

fn unknown(id: ImageId) -> Error {
    Error::argument("image", format!("there is no image {}; it may have been removed", id.0))
}
