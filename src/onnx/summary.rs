//! The parts of a model, for `famlens inspect`.

use serde::Serialize;

use super::model::Model;
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, Target, TargetLayout, passes};

/// A model at one input size.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ModelSummary {
    /// Name of the image input.
    pub input: String,
    /// `[1, C, H, W]`.
    pub input_shape: Vec<usize>,
    /// Version of the standard operator set.
    pub opset: i64,
    /// The nodes as they run, in order, without those that are not supported and what they lead to.
    pub nodes: Vec<NodeSummary>,
    /// The activation maps that can be explained, the deepest first.
    pub targets: Vec<TargetSummary>,
    /// Number of weights and biases, all nodes together.
    pub parameters: usize,
    /// Multiplications with a weight in one forward pass.
    pub multiplications: usize,
    /// The nodes that famlens cannot run, in words. They need not be run where they come after the target layer.
    pub unsupported: Vec<String>,
}

/// One node.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NodeSummary {
    /// Name in the file.
    pub name: String,
    /// Kind of op.
    pub op: String,
    /// Name of its output.
    pub output: String,
    /// Shape of its output.
    pub shape: Vec<usize>,
    /// Number of its weights and biases.
    pub parameters: usize,
    /// Whether its weights are int8.
    pub int8: bool,
}

/// An activation map that can be explained.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TargetSummary {
    /// Its name.
    pub name: String,
    /// Its shape in the file: `[1, C, H, W]`, `[1, H, W, C]` or `[1, T, C]`.
    pub shape: Vec<usize>,
    /// `"channels first"`, `"channels last"` or `"tokens"`.
    pub layout: &'static str,
    /// Its maps: channels, height and width.
    pub maps: [usize; 3],
    /// Class and register tokens before those of the cells.
    pub prefix: usize,
}

impl ModelSummary {
    /// Looks at a model for images of `height` by `width`.
    ///
    /// # Errors
    /// As [`Model::to_graph_as_far`]; where nothing can be run, unsupported nodes are listed in the summary all the
    /// same.
    pub fn new(model: &Model, height: usize, width: usize) -> Result<Self> {
        let mut summary = Self {
            input: model.inputs().first().map_or(String::new(), |i| i.name.clone()),
            input_shape: vec![1, 0, height, width],
            opset: model.opset(),
            nodes: Vec::new(),
            targets: Vec::new(),
            parameters: 0,
            multiplications: 0,
            unsupported: Vec::new(),
        };
        let graph = match model.to_graph_as_far(height, width) {
            Ok((graph, left_out)) => {
                summary.unsupported = left_out.iter().map(ToString::to_string).collect();
                passes::optimize(graph, &[])?
            }
            Err(Error::Unsupported { nodes }) => {
                summary.input_shape[1] = model.input_channels().unwrap_or(0);
                summary.unsupported = nodes.iter().map(ToString::to_string).collect();
                return Ok(summary);
            }
            Err(error) => return Err(error),
        };
        summary.input_shape = graph.value(graph.image_input()?).shape.dims().to_vec();
        summary.nodes = graph.nodes.iter().map(|n| node_summary(&graph, n)).collect();
        summary.parameters = summary.nodes.iter().map(|n| n.parameters).sum();
        summary.multiplications = graph.nodes.iter().map(|n| multiplications(&graph, n)).sum();
        let target = |target: Target| {
            let value = graph.value(target.value);
            let (name, shape, layout) = (value.name.clone(), value.shape.dims().to_vec(), target.layout.name());
            let prefix = if let TargetLayout::Tokens { prefix, .. } = target.layout { prefix } else { 0 };
            TargetSummary { name, shape, layout, maps: target.maps, prefix }
        };
        summary.targets = graph.target_candidates().into_iter().map(target).collect();
        Ok(summary)
    }
}

fn node_summary(graph: &Graph, node: &Node) -> NodeSummary {
    let constants = || node.inputs.iter().map(|&i| graph.value(i)).filter_map(|v| v.constant.as_ref());
    let output = graph.value(node.output);
    NodeSummary {
        name: node.name.clone(),
        op: node.op.name().into(),
        output: output.name.clone(),
        shape: output.shape.dims().to_vec(),
        parameters: constants().map(|c| c.shape().len()).sum(),
        int8: constants().any(|c| matches!(c, crate::graph::Constant::Int8(_))),
    }
}

/// Every weight is used once for each cell of the output (or each row, for a linear layer).
fn multiplications(graph: &Graph, node: &Node) -> usize {
    let Some(weight) = node.inputs.get(1).map(|&w| &graph.value(w).shape) else { return 0 };
    let cells = match (&node.op, graph.value(node.output).shape.dims()) {
        (crate::graph::Op::Conv2d(_), [n, _, h, w]) => n * h * w,
        (crate::graph::Op::Linear(_), [rows @ .., _]) => rows.iter().product(),
        _ => 0,
    };
    cells.saturating_mul(weight.len())
}
