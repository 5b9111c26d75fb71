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

mod measure;
mod retrieval;

pub use crate::backbone::{Calibration, CoverWith, EngineChoice, EngineKind, EngineReport, ImageId};
pub use crate::evaluate::{
    Benchmark, EvaluateOptions, Evaluated, Faithfulness, Mosaic, MosaicForm, Subject, Tile, Variant,
};
pub use crate::explain::{
    Against, CatalogueEntry, CatalogueInput, CellPairs, Class, ClassScore, ClassifierOutput, ComparedClass, Comparison,
    Cost, Embedding, ExplainOptions, ExplainedMap, Explanation, Finer, LayerMaps, Look, Map, MethodResult, Move,
    PairExplanation, Passes, Progress, Request, Scale, SupportCheck, SupportResult, Timings, Watch, WhatIf, catalogue,
    catalogue_json, keep_going,
};
pub use crate::model::{
    AfterStep, AfterTarget, ClassSpecificSpec, EmbeddingHead, InputSpec, Manifest, Model, Network, NetworkBlock,
    NetworkLayer, TransformationModule, Weights,
};
pub use crate::quant::StoredWeights;
pub use crate::tasks::verdict::{Closeness, Verdict};

use crate::backbone::Backbone;
use crate::error::{Error, Result};
use crate::explain::{self, Given};
use crate::fam::head::Activation;
use crate::fam::{Accumulator, Form, Statistics};
use crate::image::{Cover, Geometry, Photo};
use crate::methods::Method;
use crate::tensor::Tensor;

/// A model, an engine and the images in play, with what the user brought along for comparisons.
pub struct Session {
    backbone: Backbone,
    given: Given,
}

impl Session {
    /// A session on that model. `Auto` starts on the CPU, which is ready at once; [`Session::calibrate`] then measures
    /// the GPU and takes the faster of the two.
    ///
    /// # Errors
    /// [`Error::NoGpu`] if the GPU is asked for and there is none.
    pub async fn new(model: Model, choice: EngineChoice) -> Result<Self> {
        Ok(Self { backbone: Backbone::new(model, choice).await?, given: Given::default() })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        self.backbone.model()
    }

    /// The engine that runs now.
    pub fn engine(&self) -> EngineKind {
        self.backbone.engine()
    }

    /// A description of each engine, for people.
    pub fn engine_reports(&self) -> Vec<EngineReport> {
        self.backbone.engine_reports()
    }

    /// What the user should know about the engine, such as that the GPU was lost and the CPU took over.
    pub fn note(&self) -> Option<&str> {
        self.backbone.note()
    }

    /// Chooses the engine. Images stay; they are embedded again when next needed.
    ///
    /// # Errors
    /// As [`Backbone::set_engine`]; the session then goes on as before.
    pub async fn set_engine(&mut self, choice: EngineChoice) -> Result<()> {
        self.backbone.set_engine(choice).await
    }

    /// Measures both engines on an image that is already in the session, warm, and takes the faster one. If the GPU is
    /// missing or lost, the session takes the CPU; that is no error. Embeddings stay with the engine that made them.
    ///
    /// # Errors
    /// As [`Backbone::calibrate`].
    pub async fn calibrate(&mut self, image: ImageId) -> Result<EngineKind> {
        self.backbone.calibrate(image).await
    }

    /// Loses the GPU, as a driver reset would: for tests of what happens then.
    #[doc(hidden)]
    pub fn lose_gpu(&self) {
        if let Some(lose) = self.gpu_loss() {
            lose();
        }
    }

    /// A function that loses the GPU when it is called, also while the session is at work; `None` if no GPU runs.
    #[doc(hidden)]
    pub fn gpu_loss(&self) -> Option<Box<dyn Fn()>> {
        self.backbone.gpu_loss()
    }

    /// Prepares an image for the model and keeps it. It keeps the photo itself only after [`Session::keep_photos`].
    ///
    /// # Errors
    /// As [`Backbone::add_image`].
    pub fn add_image(&mut self, name: &str, photo: &Photo) -> Result<ImageId> {
        self.backbone.add_image(name, photo)
    }

    /// Forgets an image. Unknown ids are ignored.
    pub fn remove_image(&mut self, id: ImageId) {
        self.backbone.remove_image(id);
    }

    /// Whether images added from now on keep their photo, so that a further scale ([`Finer::scales`]) is made from it
    /// and not from the prepared input. It costs three bytes a pixel for each image.
    pub fn keep_photos(&mut self, keep: bool) {
        self.backbone.keep_photos(keep);
    }

    /// How an image lies in the model's input.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id.
    pub fn geometry(&self, id: ImageId) -> Result<&Geometry> {
        Ok(&self.backbone.image(id)?.geometry)
    }

    /// How an image lies in the input of that width and height, as a map states it ([`Map::input_size`]). It is the
    /// input of the model or of the class-specific forms.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id, or if no such input of the image is there.
    pub fn geometry_of_input(&self, id: ImageId, size: (u32, u32)) -> Result<&Geometry> {
        let image = self.backbone.image(id)?;
        let geometries = [&image.geometry, image.cell_geometry()];
        geometries.into_iter().find(|geometry| geometry.input_size() == size).ok_or_else(|| {
            let (width, height) = size;
            Error::argument(
                "map",
                format!("it is of an input of {width} x {height}, which {:?} does not have", image.name),
            )
        })
    }

    /// The name an image was added under.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id.
    pub fn image_name(&self, id: ImageId) -> Result<&str> {
        Ok(&self.backbone.image(id)?.name)
    }

    /// The embedding of an image as `model.json` has it: at the model's target layer, or the model's own.
    /// [`Session::embed_as`] has the choices.
    ///
    /// # Errors
    /// As [`Session::embed_as`].
    pub async fn embed(&mut self, id: ImageId) -> Result<Embedding> {
        self.embed_as(id, &ExplainOptions::default()).await
    }

    /// The pooled features of an image at the first target layer of the options, under their pooling. A new image goes
    /// through the network once for all target layers. If the pooling is the model's own, and attention or a class
    /// token makes it, this is the model's own embedding.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id or an option out of range,
    /// [`Error::Target`] for an unknown layer; the engine's errors.
    pub async fn embed_as(&mut self, id: ImageId, options: &ExplainOptions) -> Result<Embedding> {
        explain::embed(&mut self.backbone, id, options).await
    }

    /// The form for a user who has chosen none, for this number of classes. Page, module and command line begin with
    /// it. The statistics of a model count as soon as its description names them, before they are loaded.
    pub fn usual_form(&self, classes: usize) -> Form {
        let model = self.model();
        let named = model.manifest().class_specific.as_ref().is_some_and(|spec| spec.statistics.is_some());
        let has_mean = model.mean_embedding(&model.manifest().target).is_some();
        Form::usual(classes, named || self.statistics().is_some(), has_mean)
    }

    /// The form for who has chosen none but has chosen these options: [`Session::usual_form`] if all of them count under it,
    /// contrastive if a rival is named, else plain FAM. `options.form` itself is not looked at.
    pub fn usual_form_with(&self, classes: usize, options: &ExplainOptions) -> Form {
        let usual = self.usual_form(classes);
        match options {
            _ if options.method != Method::Fam || options.against.is_some() => Form::Faithful,
            _ if explain::counts_under(usual, options) => usual,
            _ if options.rival.is_some() => Form::Contrastive,
            _ => Form::Faithful,
        }
    }

    /// Runs whatever an explanation with these options needs of one image, so that a caller can show progress image by
    /// image. Returns the milliseconds it took, or `None` if nothing had to run.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id; the engine's errors.
    pub async fn prepare(&mut self, id: ImageId, options: &ExplainOptions) -> Result<Option<f64>> {
        explain::prepare(&mut self.backbone, id, options).await
    }

    /// Activation maps of single channels of an image at a target layer (the model's own if `None`): a tensor
    /// `[channels.len(), H, W]`.
    ///
    /// # Errors
    /// As [`Backbone::channels`].
    pub async fn channels(&mut self, id: ImageId, target: Option<&str>, channels: &[usize]) -> Result<Tensor> {
        let target = target.unwrap_or(&self.model().manifest().target).to_owned();
        self.backbone.channels(id, &target, channels).await
    }

    /// Decides which class the query is like, and explains it for every class.
    ///
    /// # Errors
    /// As [`Session::explain_request`].
    pub async fn explain(
        &mut self,
        query: ImageId,
        classes: &[Class],
        options: &ExplainOptions,
    ) -> Result<Explanation> {
        self.explain_request(&Request::new(query, classes, options)).await
    }

    /// Answers a [`Request`], which also says which images famlens may learn from.
    ///
    /// # Errors
    /// [`Error::Argument`] for unknown images, a class without supports or a choice that does not
    /// apply; [`Error::Target`] for an unknown layer; the engine's errors. A lost GPU is recovered from.
    pub async fn explain_request(&mut self, request: &Request<'_>) -> Result<Explanation> {
        explain::explain(&mut self.backbone, &mut self.given, request).await
    }

    /// Explains an image by several methods: for every class the maps of every method. The scores are similarities to
    /// the classes, or, with [`ExplainOptions::against`], outputs of the model's classifier (`classes` are then not
    /// needed).
    ///
    /// The first target layer gives the score. The maps are those of [`ExplainOptions::layer`], which is that layer or
    /// one before it.
    ///
    /// # Errors
    /// [`Error::Argument`] for unknown images, a class without supports, an unknown label, a layer
    /// that the score does not depend on, or a method that does not apply; [`Error::Cancelled`] if
    /// `watch` said no; [`Error::Target`] for an unknown layer; the engine's errors.
    ///
    /// ```no_run
    /// # async fn example(session: &mut famlens::session::Session, query: famlens::session::ImageId) -> famlens::Result<()> {
    /// use famlens::methods::Method;
    /// use famlens::session::{Against, ExplainOptions, keep_going};
    ///
    /// let against = Some(Against::logit("tabby"));
    /// let options = ExplainOptions { against, ..ExplainOptions::default() };
    /// let found = session.compare_methods(query, &[], &[Method::Fam, Method::GradCam], &options, &mut keep_going).await?;
    /// for method in &found.methods {
    ///     println!("{}: {:.1} ms, {} passes", method.method, method.cost.milliseconds, method.cost.passes.forward);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn compare_methods(
        &mut self,
        query: ImageId,
        classes: &[Class],
        methods: &[Method],
        options: &ExplainOptions,
        watch: Watch<'_>,
    ) -> Result<Comparison> {
        let request = Request::new(query, classes, options);
        explain::compare(&mut self.backbone, &mut self.given, &request, methods, watch).await
    }

    /// Explains the similarity of two images on both sides, with all the choices of [`Session::explain`] that need no
    /// second class.
    ///
    /// ```no_run
    /// # async fn example(session: &mut famlens::session::Session, a: famlens::session::ImageId,
    /// #     b: famlens::session::ImageId) -> famlens::Result<()> {
    /// let pair = session.pair(a, b, &Default::default()).await?;
    /// println!("{:.3}: {:?}", pair.similarity(), pair.a.maps[0].localisation);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Session::explain`].
    pub async fn pair(&mut self, a: ImageId, b: ImageId, options: &ExplainOptions) -> Result<PairExplanation> {
        explain::pair(&mut self.backbone, &mut self.given, a, b, options).await
    }

    /// What each pair of cells, one of image a and one of image b, adds to the similarity of the two. Only these
    /// options count: the similarity, the pooling, the centre and the (first) target layer; the centred form means the
    /// centred cosine. For the squared Euclidean distance, the pairs share the cross term, and the rest is the
    /// constant.
    ///
    /// ```no_run
    /// # async fn example(session: &mut famlens::session::Session, a: famlens::session::ImageId,
    /// #     b: famlens::session::ImageId) -> famlens::Result<()> {
    /// let pairs = session.where_to_where(a, b, &Default::default()).await?;
    /// let sum: f32 = pairs.map.terms.iter().sum();
    /// assert!((f64::from(sum) + pairs.constant - pairs.similarity).abs() < 1e-4);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Session::explain`]; [`Error::Argument`] for a choice under which the similarity is not a
    /// sum over pairs of cells of the two images; [`Error::TooLarge`] for a layer with too many cells.
    pub async fn where_to_where(&mut self, a: ImageId, b: ImageId, options: &ExplainOptions) -> Result<CellPairs> {
        explain::where_to_where(&mut self.backbone, a, b, options).await
    }

    /// Covers a part of an image and compares what its maps predict with what happens to the scores.
    ///
    /// ```no_run
    /// # async fn example(session: &mut famlens::session::Session, query: famlens::session::ImageId,
    /// #     classes: &[famlens::session::Class]) -> famlens::Result<()> {
    /// use famlens::image::{Cover, Rect};
    /// use famlens::session::CoverWith;
    ///
    /// let cover = Cover::boxes(session.geometry(query)?.photo_size(), &[Rect::new(40.0, 20.0, 120.0, 90.0)])?;
    /// let found = session.what_if(query, classes, &Default::default(), &cover, CoverWith::Grey).await?;
    /// println!("{}", found.classes[0].says); // Bird: predicted -0.031, measured -0.028.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Session::explain`]; [`Error::Argument`] for another photo that is read in another shape.
    pub async fn what_if(
        &mut self,
        query: ImageId,
        classes: &[Class],
        options: &ExplainOptions,
        cover: &Cover,
        with: CoverWith,
    ) -> Result<WhatIf> {
        let request = Request::new(query, classes, options);
        explain::what_if(&mut self.backbone, &mut self.given, &request, cover, with).await
    }

    /// Takes each support image out in turn and lets the others decide about it. Means, heads and matrices are learned
    /// without it, too.
    ///
    /// # Errors
    /// As [`Session::explain`].
    ///
    /// ```no_run
    /// # async fn example(session: &mut famlens::session::Session, classes: &[famlens::session::Class]) -> famlens::Result<()> {
    /// let check = session.check_supports(classes, &Default::default()).await?;
    /// for image in check.images.iter().filter(|i| i.predicted.is_some_and(|p| p != i.class)) {
    ///     println!("{} looks more like {}", image.name, check.classes[image.predicted.unwrap_or(0)]);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn check_supports(&mut self, classes: &[Class], options: &ExplainOptions) -> Result<SupportCheck> {
        explain::check_supports(&mut self.backbone, &mut self.given, classes, options).await
    }

    /// Takes a transformation module from a `.safetensors` file, as [`Given::load_head`].
    ///
    /// # Errors
    /// As [`Given::load_head`].
    pub fn load_head(&mut self, bytes: &[u8], activation: Option<Activation>) -> Result<String> {
        self.given.load_head(bytes, activation)
    }

    /// Forgets the head that was loaded, as [`Given::forget_head`].
    pub fn forget_head(&mut self) {
        self.given.forget_head();
    }

    /// Gives the matrix of the learned similarities, as [`Given::set_matrix`].
    ///
    /// # Errors
    /// As [`Given::set_matrix`].
    pub fn set_matrix(&mut self, matrix: Option<(usize, &[f32])>) -> Result<()> {
        self.given.set_matrix(matrix)
    }

    /// Takes that matrix from a NumPy file, as [`Given::load_matrix`].
    ///
    /// # Errors
    /// As [`Given::load_matrix`].
    pub fn load_matrix(&mut self, bytes: &[u8]) -> Result<String> {
        self.given.load_matrix(bytes)
    }

    /// The statistics that the class-specific forms use, if there are any.
    pub fn statistics(&self) -> Option<&Statistics> {
        self.given.statistics(self.model())
    }

    /// Replaces the statistics that came with the model, as [`Given::set_statistics`].
    ///
    /// # Errors
    /// As [`Given::set_statistics`].
    pub fn set_statistics(&mut self, statistics: Option<Statistics>) -> Result<()> {
        self.given.set_statistics(self.backbone.model(), statistics)
    }

    /// Adds the cells of an image of the session to `sums`. Runs the network on it if need be, and keeps nothing else.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id or sums over other layers; the engine's errors.
    pub async fn count_cells(&mut self, id: ImageId, sums: &mut Accumulator) -> Result<()> {
        let layers = self.model().cell_look().layers;
        let work = async |b: &mut Backbone| b.cell_activations(id).await;
        let (block, pooled) = self.backbone.recovering(work).await?;
        let head = layers.get(1).zip(pooled.get(1)).map(|(name, pooled)| (name.as_str(), pooled.mean.as_slice()));
        sums.add(&block, head)
    }

    /// The statistics of counted images, for [`Session::set_statistics`] and for a file.
    ///
    /// # Errors
    /// As [`Accumulator::finish`].
    pub fn finish_statistics(&self, sums: &Accumulator, source: &str) -> Result<Statistics> {
        let look = self.model().cell_look();
        let mut statistics = sums.finish(&look.layers[0], look.size.across(), source)?;
        statistics.set_model_sha256(&self.model().manifest().sha256);
        Ok(statistics)
    }
}
