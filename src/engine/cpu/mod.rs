//! The CPU engine: kernels of its own over one arena of activations.
//!
//! The hot ops are hand-written for each instruction set (the folder `kernels`): products with packed weights for 1x1
//! convolutions, gathered windows and fully connected layers, depthwise convolutions, pools, and rows (layer
//! normalisation, softmax). Attention is two products and a softmax for a few queries at a time. What moves, joins,
//! pads, reduces or broadcasts values is a walk over memory (`walk`). They work in one arena planned by the module
//! `plan`; images lie channels-last and tokens row-major, which is the same memory (see the module `layout`). If
//! operands do not lie as a kernel needs them, the step copies them first (`step::Arranged`).
//!
//! int8 weights are widened once, into the packed panels: to f32, or to 16 bits. With 16 bits each row of activations
//! is rounded to 16 bits too and products are integer (see `kernels/fixed.rs`): twice as fast where an instruction does
//! two such multiplications a lane (SIMD128, AVX2, AVX-512 VNNI), and off by some 1e-5 of the largest activation. All
//! programs of an engine share its packed weights (`weights`).

mod conv;
mod direct;
mod kernels;
mod layout;
mod lower;
mod lower_direct;
mod product;
mod profile;
mod program;
mod step;
mod walk;
mod weights;
mod whitener;

pub use profile::StepTime;

use super::{Engine, Program};
use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};
use crate::tensor::Tensor;
use kernels::Isa;
use product::Arithmetic;
use weights::WeightStore;

/// The CPU engine. See the [module](self).
///
/// ```
/// use famlens::engine::{Engine, cpu::CpuEngine};
/// println!("running on {}", CpuEngine::new().describe());
/// ```
#[derive(Clone, Debug)]
pub struct CpuEngine {
    arithmetic: Arithmetic,
}

impl CpuEngine {
    /// An engine with the widest vectors that this machine has, and with whichever arithmetic is faster on them.
    pub fn new() -> Self {
        let isa = Isa::detect();
        Self::with(isa, isa.prefers_fixed())
    }

    fn with(isa: Isa, fixed: bool) -> Self {
        Self { arithmetic: Arithmetic { isa, fixed, store: WeightStore::default() } }
    }

    /// Has the engines that are made from now on use relaxed SIMD (fused multiply-adds).
    ///
    /// There are two files of the module: one with these instructions, and one in which `wasm-opt
    /// --remove-relaxed-simd` has replaced each by a trap. In the second this call traps, which is harmless: its caller
    /// in JavaScript catches that and goes on without. Elsewhere this does nothing.
    pub fn try_relaxed_simd() {
        kernels::try_relaxed_simd();
    }

    /// Whether products with int8 weights are computed in 16-bit integers.
    pub fn is_fixed_point(&self) -> bool {
        self.arithmetic.fixed
    }

    /// An engine for each instruction set that this machine has, widest first, each with and without 16-bit products:
    /// for tests and benchmarks.
    pub fn variants() -> Vec<Self> {
        let variant = |isa| [true, false].map(|fixed| Self::with(isa, fixed));
        Isa::available().into_iter().flat_map(variant).collect()
    }

    /// Compiles a graph for some targets, runs it `rounds` times and says how long each op took at best: for
    /// benchmarks.
    ///
    /// # Errors
    /// As [`Engine::compile`] and [`Program::run`].
    pub fn profile(&self, graph: &Graph, targets: &[ValueId], input: &Tensor, rounds: usize) -> Result<Vec<StepTime>> {
        profile::profile(&mut lower::compile(&self.arithmetic, graph, targets)?, input, rounds)
    }
}

impl Default for CpuEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for CpuEngine {
    fn describe(&self) -> String {
        let Arithmetic { isa, fixed, .. } = self.arithmetic;
        format!("CPU ({}{})", isa.name(), if fixed { ", int8 x int16" } else { "" })
    }

    fn compile(&self, graph: &Graph, targets: &[ValueId]) -> Result<Box<dyn Program>> {
        Ok(Box::new(lower::compile(&self.arithmetic, graph, targets)?))
    }
}

/// Something went wrong that is not the user's doing.
fn failed(reason: impl Into<String>) -> Error {
    Error::Engine { engine: "CPU", reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv2d, Op};

    /// Two convolutions over an image of so many cells a side: a graph of its own each time, with equal weights.
    fn graph(size: usize) -> (Graph, ValueId) {
        let mut graph = Graph::default();
        let image = graph.add_input("image", [1, 4, size, size]);
        let weights = |len: usize| (0..len).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect();
        let constant = |graph: &mut Graph, shape: &[usize]| {
            let len = shape.iter().product();
            graph.add_constant("constant", Tensor::new(crate::tensor::Shape::new(shape), weights(len)).unwrap())
        };
        let mut conv = |x: ValueId, groups: usize| {
            let weight = constant(&mut graph, &[4, 4 / groups, 3, 3]);
            let bias = constant(&mut graph, &[4]);
            let unit = Conv2d {
                strides: [1; 2],
                dilations: [1; 2],
                pads: [1; 4],
                groups,
                activation: Default::default(),
                residual: false,
            };
            graph.add_node("conv", Op::Conv2d(unit), vec![x, weight, bias]).unwrap()
        };
        let first = conv(image, 1);
        let last = conv(first, 4);
        (graph, last)
    }

    #[test]
    fn programs_for_other_sizes_share_their_packed_weights() {
        let engine = CpuEngine::new();
        let compile = |size| {
            let (graph, target) = graph(size);
            engine.compile(&graph, &[target]).unwrap()
        };
        let first = compile(8);
        let held = engine.arithmetic.store.held();
        assert!(held >= 2, "two packed weights, and {held} are held");
        let second = compile(12);
        assert_eq!(engine.arithmetic.store.held(), held, "the second program has the weights of the first");
        drop((first, second));
        assert_eq!(engine.arithmetic.store.held(), 0, "no program is left");
    }
}
