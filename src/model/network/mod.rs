//! The network as people know it: layers in ONNX's words, how they group into blocks, and what follows the target
//! layer.
//!
//! The layers are those of the file with the patterns recognised that exporters write out (normalisation, attention,
//! GELU, a BatchNormalization folded into its convolution); activations and residual sums stay apart. Mere views
//! (Reshape, Transpose) are left out.

mod after;
mod blocks;
mod layers;
mod names;
mod words;

use serde::Serialize;

use super::Model;
use crate::error::Result;
use crate::graph::{Graph, Target, passes};
pub use after::{AfterStep, AfterTarget, TransformationModule};
pub use blocks::NetworkBlock;
pub use layers::NetworkLayer;

/// A network at one input size.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// `[1, C, H, W]`.
    pub input: Vec<usize>,
    /// The layers, in an order in which each comes after those that it reads.
    pub layers: Vec<NetworkLayer>,
    /// How they group; blocks do not overlap, and layers in no block stand by themselves.
    pub blocks: Vec<NetworkBlock>,
    /// Number of weights and biases, each counted once.
    pub parameters: usize,
    /// Products of one forward pass, in convolutions, linear layers, matrix products and attention.
    pub multiply_adds: u64,
    /// Place of the target layer among the layers.
    pub target: usize,
    /// What follows the target layer.
    pub after: AfterTarget,
}

impl Network {
    /// Describes a graph as [`crate::onnx::Model::to_graph`] gives it, with the named target layer; with none, with the
    /// best one.
    ///
    /// # Errors
    /// [`crate::Error::Target`] if the graph has no such layer or none at all.
    ///
    /// ```
    /// use famlens::graph::{Activation, Graph, Op, ReduceKind};
    /// use famlens::session::Network;
    /// # fn main() -> famlens::Result<()> {
    /// let mut graph = Graph::default();
    /// let image = graph.add_input("image", [1, 3, 8, 8]);
    /// let relu = graph.add_node("relu", Op::Activation(Activation::Relu), vec![image])?;
    /// let mean = Op::Reduce { kind: ReduceKind::Mean, axes: vec![2, 3], keep_dims: false };
    /// let pooled = graph.add_node("pooled", mean, vec![relu])?;
    /// graph.outputs.push(pooled);
    /// let network = Network::new(graph, "")?;
    /// assert_eq!(network.layers[network.target].maps, Some([3, 8, 8]));
    /// assert_eq!(network.layers[1].op, "GlobalAveragePool");
    /// assert_eq!(network.after.says, "global average pooling");
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(graph: Graph, target: &str) -> Result<Self> {
        let candidates = graph.target_candidates();
        let best = candidates.first().map_or("", |t| graph.value(t.value).name.as_str());
        let target = if target.is_empty() { best.to_owned() } else { target.to_owned() };
        let known = candidates.iter().find(|t| graph.value(t.value).name == target);
        let Some(&Target { value: kept, layout, .. }) = known else {
            let available = candidates.iter().take(12).map(|t| graph.value(t.value).name.clone()).collect();
            return Err(crate::Error::Target { name: target, available });
        };
        let module = after::module(graph.clone(), &target, layout);
        let graph = passes::recognise(graph, &[kept])?;
        let drawn = layers::layers(&graph, kept, &candidates);
        let (paths, mut layers) = (drawn.paths, drawn.layers);
        let target = layers.iter().position(|l| l.name == target).unwrap_or(layers.len().saturating_sub(1));
        let blocks = blocks::blocks(&mut layers, &paths);
        let after = after::after(&layers, target, module);
        Ok(Self {
            input: graph.value(graph.image_input()?).shape.dims().to_vec(),
            parameters: drawn.parameters,
            multiply_adds: layers.iter().map(|l| l.multiply_adds).sum(),
            layers,
            blocks,
            target,
            after,
        })
    }
}

impl Model {
    /// The network at the model's input size, with one of its target layers; an empty name is the model's own.
    ///
    /// # Errors
    /// [`crate::Error::Target`] for an unknown layer.
    pub fn network(&self, target: &str) -> Result<Network> {
        let target = if target.is_empty() { self.manifest().target.as_str() } else { target };
        Network::new(self.lower(self.manifest().input.size.rows())?, target)
    }
}
