//! The CPU engine, on candle. The only room that names candle.
//!
//! candle 0.11 computes a grouped convolution group by group (a depthwise layer of EfficientNet-Lite0 takes longer than
//! the whole network should) and pads convolutions by one symmetric number, so the hot ops are kernels of our own
//! (the folder `kernels`): products with packed weights for 1x1 convolutions, gathered windows and fully connected layers,
//! and depthwise convolutions. They work channels-last in one arena planned by [`super::plan`], so that a
//! network of convolutions allocates nothing as it runs. Every other op (matrix products of activations, broadcasts,
//! reductions, softmax, reordering, concatenation, padding, lone activations) is computed by candle on tensors made from
//! that arena.
//!
//! int8 weights stay int8 in the graph and are widened once, into the packed panels.

mod conv;
mod generic;
mod kernels;
mod layout;
mod lower;
mod profile;
mod program;

pub use profile::StepTime;

use super::{Engine, Program};
use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};
use crate::tensor::Tensor;
use kernels::Isa;

/// The CPU engine. See the [module](self).
///
/// ```
/// use famlens::engine::{Engine, cpu::CpuEngine};
/// println!("running on {}", CpuEngine::new().describe());
/// ```
#[derive(Clone, Debug)]
pub struct CpuEngine {
    isa: Isa,
}

impl CpuEngine {
    /// An engine with the widest vectors that this machine has.
    pub fn new() -> Self {
        Self { isa: Isa::detect() }
    }

    /// One engine for each instruction set that this machine has, widest first: for tests and benchmarks.
    pub fn variants() -> Vec<Self> {
        Isa::available().into_iter().map(|isa| Self { isa }).collect()
    }

    /// Compiles a graph for some targets, runs it `rounds` times and says how long each op took at best: for benchmarks.
    ///
    /// # Errors
    /// As [`Engine::compile`] and [`Program::run`].
    pub fn profile(&self, graph: &Graph, targets: &[ValueId], input: &Tensor, rounds: usize) -> Result<Vec<StepTime>> {
        profile::profile(&mut lower::compile(self.isa, graph, targets)?, input, rounds)
    }
}

impl Default for CpuEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for CpuEngine {
    fn describe(&self) -> String {
        format!("CPU ({})", self.isa.name())
    }

    fn compile(&self, graph: &Graph, targets: &[ValueId]) -> Result<Box<dyn Program>> {
        Ok(Box::new(lower::compile(self.isa, graph, targets)?))
    }
}

/// Something went wrong that is not the user's doing.
fn failed(reason: impl Into<String>) -> Error {
    Error::Engine { engine: "CPU", reason: reason.into() }
}

/// candle refused an op.
fn candle_failed(node: &str, op: &str, error: &candle_core::Error) -> Error {
    Error::node(node, op, format!("candle: {error}"))
}
