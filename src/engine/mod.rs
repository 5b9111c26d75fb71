//! Engines: each compiles a [`Graph`] for some target layers and runs it.
//!
//! An engine keeps the activation maps of the target layers where it computed them ([`Features`]); what leaves it is
//! the embedding and a few small maps ([`Mixed`]). All class activation maps are the same channel mix
//! `map = sum_c w_c A_c` and differ only in `w`, so an engine knows one operation, [`Mix`], and not one per method.
//!
//! Everything is asynchronous because reading back from a GPU in a browser is; the CPU engines are ready at once.

#[cfg(all(feature = "candle", not(target_arch = "wasm32")))]
pub mod candle;
pub(crate) mod cells;
pub mod compare;
pub mod cpu;
pub mod gpu;
pub(crate) mod mix;
pub(crate) mod plan;
pub mod reference;

pub use cells::{CellMaps, CellOutput, CellReadout, LayerReadout, Pooled};

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Shape, Tensor};

/// A future that stays on its thread, as WebGPU does.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Compiles graphs. One engine serves any number of programs and shares weights and pipelines between them.
pub trait Engine {
    /// What is running, for people: `"CPU (AVX2, int8 x int16)"`, `"WebGPU (NVIDIA H100)"`.
    fn describe(&self) -> String;

    /// Whether this is a GPU engine whose adapter runs on the CPU (SwiftShader, lavapipe, WARP).
    fn is_software_gpu(&self) -> bool {
        false
    }

    /// Plans the graph up to the target layers and drops whatever no target needs.
    ///
    /// # Errors
    /// [`crate::Error::Engine`], or [`crate::Error::TooLarge`] if the device's limits do not allow it.
    fn compile(&self, graph: &Graph, targets: &[ValueId]) -> Result<Box<dyn Program>>;
}

/// A compiled network.
pub trait Program {
    /// Shapes of the targets, in the order given to [`Engine::compile`].
    fn target_shapes(&self) -> &[Shape];

    /// Bytes of activations that a run holds in the engine's memory, weights not counted.
    fn bytes(&self) -> usize;

    /// One forward pass, then `mix` over the first target, in one submission and one readback.
    ///
    /// `input` is the normalised image, `[1, C, H, W]`.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for a wrong input shape, [`crate::Error::GpuLost`], [`crate::Error::Engine`].
    fn run<'a>(&'a mut self, input: &'a Tensor, mix: &'a Mix) -> LocalFuture<'a, Result<Output>>;

    /// Another mix over existing activation maps. Runs no backbone.
    ///
    /// # Errors
    /// As [`Program::run`].
    fn mix<'a>(&'a mut self, features: &'a Features, mix: &'a Mix) -> LocalFuture<'a, Result<Mixed>>;

    /// One forward pass, then a readout of the cells of the targets, in one submission and one readback.
    ///
    /// # Errors
    /// As [`Program::run`], and [`crate::Error::Argument`] for a readout that does not fit the targets.
    fn run_cells<'a>(&'a mut self, input: &'a Tensor, readout: &'a CellReadout) -> LocalFuture<'a, Result<CellOutput>>;

    /// The same over existing activation maps, one for each target. Runs no backbone.
    ///
    /// # Errors
    /// As [`Program::run_cells`].
    fn cells<'a>(&'a mut self, features: &'a [Features], readout: &'a CellReadout)
    -> LocalFuture<'a, Result<CellMaps>>;

    /// Reads activation maps back, in the target's own shape.
    ///
    /// # Errors
    /// As [`Program::run`].
    fn read<'a>(&'a mut self, features: &'a Features) -> LocalFuture<'a, Result<Tensor>>;
}

/// What one forward pass gives.
#[derive(Debug)]
pub struct Output {
    /// The activation maps of each target, kept by the engine.
    pub features: Vec<Features>,
    /// The mix over the first target.
    pub mixed: Mixed,
}

/// Activation maps of one image at one target layer, in the memory of the engine that computed them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Features {
    /// Shape of the target: `[1, C, H, W]`, or `[1, C]` which counts as `C x 1 x 1`.
    pub shape: Shape,
    /// Where the values are.
    pub(crate) store: Store,
}

impl Features {
    /// The values, if they are in host memory.
    ///
    /// # Errors
    /// [`Error::Argument`] if another kind of engine computed them.
    pub(crate) fn on_host(&self) -> Result<&Tensor> {
        match &self.store {
            Store::Host(tensor) => Ok(tensor),
            Store::Gpu(_) => Err(Error::argument("features", "they belong to the GPU engine; embed the image again")),
        }
    }
}

/// Where activation maps live.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    /// In host memory.
    Host(Arc<Tensor>),
    /// In a buffer of the GPU engine.
    Gpu(gpu::Resident),
}

/// How the channels of the activation maps `A [C, H, W]` are pooled, weighed and summed, for `K` classes at once.
///
/// With `f = pool(A)`, `f' = f - mean`, and `d_k` the k-th direction:
/// `w_kc = gate(f'_c) d_kc` (divided by `|f'|` if `normalise`), `map_k = sum_c w_kc A_c`.
///
/// FAM (arXiv 2307.05017, eq. 5-7) with cosine similarity is `gate = Feature`, `normalise`, `d_k = g_k / |g_k|`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Mix {
    /// How activation maps become the embedding.
    pub pooling: Pooling,
    /// Subtracted from the embedding before it gates the weights; `C` values, or none for zero.
    pub mean: Option<Vec<f32>>,
    /// One direction per class, `K` rows of `C` values. No rows: only the embedding is wanted.
    pub directions: Vec<Vec<f32>>,
    /// What the direction is multiplied with.
    pub gate: Gate,
    /// Whether the weights are divided by `|f'|` (a zero vector leaves them zero).
    pub normalise: bool,
}

/// What a direction is multiplied with to give the weights.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Gate {
    /// The (centred) feature itself: the contribution of each channel to a dot product.
    #[default]
    Feature,
    /// Its absolute value, for layers with negative activations.
    AbsFeature,
    /// One: the form of CAM.
    One,
}

/// How activation maps `[C, H, W]` become an embedding `[C]`.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Pooling {
    /// Mean over cells (global average pooling).
    #[default]
    Average,
    /// Largest cell (global max pooling).
    Max,
    /// `(mean max(a, 1e-6)^p)^(1/p)`, generalised mean with this exponent (arXiv 1711.02512, eq. 3).
    GeM(f32),
    /// Mean weighted by `sqrt(max(S, 0))` over its sum, with `S` the sum of the cell's channels: the spatial weights of
    /// CroW (arXiv 1512.04065, a = b = 2) as shares of one. The plain mean if no `S` is positive.
    Crow,
}

/// Result of a [`Mix`].
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Mixed {
    /// The pooled embedding `f`, `C` values (before `mean` is subtracted).
    pub embedding: Vec<f32>,
    /// `K x C` weights, row-major.
    pub weights: Vec<f32>,
    /// `K x H x W` raw maps, row-major.
    pub maps: Vec<f32>,
}
