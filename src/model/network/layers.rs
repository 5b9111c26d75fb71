//! Each layer: what it is, what it costs, and whether its maps can be explained.

use serde::Serialize;

use super::names::path;
use super::words;
use crate::graph::{BinaryOp, Graph, Node, Op, Target, TargetLayout, ValueId};

/// One layer.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkLayer {
    /// Name of its output in the file: what the option `target` takes.
    pub name: String,
    /// A short name within its block.
    pub label: String,
    /// Its operator in ONNX's words.
    pub op: &'static str,
    /// Its attributes in words, such as `"3 x 3, stride 2"`; may be empty.
    pub detail: String,
    /// Shape of its output.
    pub shape: Vec<usize>,
    /// Number of its weights and biases.
    pub parameters: usize,
    /// Its products in a forward pass.
    pub multiply_adds: u64,
    /// The part (0 to 1) of the network's products that a forward pass up to and including it takes.
    pub cost: f64,
    /// Bytes of its output for one image, as 32-bit floats.
    pub bytes: usize,
    /// Places of the layers that it reads, ascending; none is the image.
    pub inputs: Vec<usize>,
    /// Channels, height and width of its maps; null if it has none.
    pub maps: Option<[usize; 3]>,
    /// `"channels first"`, `"channels last"` or `"tokens"`; null if its layout is not known.
    pub layout: Option<&'static str>,
    /// Class and register tokens before and after the grid of cells.
    pub tokens: [usize; 2],
    /// Why its maps cannot be explained; null if they can.
    pub why_not: Option<String>,
}

/// The layers and where they stand in the file's own hierarchy.
pub(super) struct Drawn {
    pub layers: Vec<NetworkLayer>,
    /// For each layer, the modules that it is in and last its own name.
    pub paths: Vec<Vec<String>>,
    pub parameters: usize,
}

/// The layers of a graph. `kept` stays a layer whatever it is.
pub(super) fn layers(graph: &Graph, kept: ValueId, candidates: &[Target]) -> Drawn {
    let mut readers = vec![0usize; graph.values.len()];
    for input in graph.nodes.iter().flat_map(|n| &n.inputs) {
        readers[input.0] += 1;
    }
    let mut row_of: Vec<Option<usize>> = vec![None; graph.values.len()];
    let (mut layers, mut paths): (Vec<NetworkLayer>, Vec<Vec<String>>) = (Vec::new(), Vec::new());
    // Weights of what is no layer of its own belong to the layer after it.
    let mut carried: Vec<ValueId> = Vec::new();
    let mut counted = vec![false; graph.values.len()];
    for (at, node) in graph.nodes.iter().enumerate() {
        let is_constant = |id: &ValueId| graph.value(*id).constant.is_some();
        let mut inputs: Vec<usize> =
            node.inputs.iter().filter(|i| !is_constant(i)).filter_map(|i| row_of[i.0]).collect();
        inputs.sort_unstable();
        inputs.dedup();
        let weights = node.inputs.iter().copied().filter(is_constant);
        let normalises = batch_normalization(graph, at, &readers);
        if node.output != kept && (is_view(graph, node) || normalises == Some(Part::Scale)) {
            carried.extend(weights);
            row_of[node.output.0] = inputs.last().copied();
            continue;
        }
        let weights: Vec<ValueId> = carried.drain(..).chain(weights).collect();
        let value = graph.value(node.output);
        let found = candidates.iter().find(|t| t.value == node.output);
        let tokens = match found.map(|t| t.layout) {
            Some(TargetLayout::Tokens { prefix, suffix, .. }) => [prefix, suffix],
            _ => [0; 2],
        };
        let (op, detail) = match normalises {
            Some(_) => ("BatchNormalization", String::new()),
            None => words::of(graph, node),
        };
        row_of[node.output.0] = Some(layers.len());
        paths.push(path(graph, node, &inputs, &paths));
        weights.iter().for_each(|w| counted[w.0] = true);
        layers.push(NetworkLayer {
            name: value.name.clone(),
            label: op.to_owned(),
            op,
            detail,
            shape: value.shape.dims().to_vec(),
            parameters: weights.iter().map(|&w| size(graph, w)).sum(),
            multiply_adds: multiply_adds(graph, node),
            cost: 0.0,
            bytes: value.shape.len() * size_of::<f32>(),
            inputs,
            maps: found.map(|t| t.maps),
            layout: found.map(|t| t.layout.name()),
            tokens,
            why_not: if found.is_some() { None } else { Some(words::why_not(value.shape.dims())) },
        });
    }
    share_costs(&mut layers);
    Drawn {
        layers,
        paths,
        parameters: (0..counted.len()).filter(|&w| counted[w]).map(|w| size(graph, ValueId(w))).sum(),
    }
}

fn size(graph: &Graph, weight: ValueId) -> usize {
    graph.value(weight).constant.as_ref().map_or(0, |c| c.shape().len())
}

/// The same values in the same or another order, or rounded on the way: nothing that a network is drawn with.
fn is_view(graph: &Graph, node: &Node) -> bool {
    let whole = |size: &[usize]| node.inputs.first().is_some_and(|&x| graph.value(x).shape.dims() == size);
    match &node.op {
        Op::Reshape(_) | Op::Transpose { .. } | Op::Quantize(_) => true,
        Op::Slice { size, step, .. } => whole(size) && step.iter().all(|s| *s == 1),
        _ => false,
    }
}

/// A part of a BatchNormalization that was not folded into a layer: one scale a channel, then one offset.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Scale,
    Offset,
}

fn batch_normalization(graph: &Graph, at: usize, readers: &[usize]) -> Option<Part> {
    let node = &graph.nodes[at];
    match node.op {
        Op::Binary(BinaryOp::Mul) => {
            let [next] =
                graph.nodes.get(at + 1..)?.iter().filter(|n| n.inputs.contains(&node.output)).collect::<Vec<_>>()[..]
            else {
                return None;
            };
            let pair = next.op == Op::Binary(BinaryOp::Add) && readers[node.output.0] == 1;
            (pair && per_channel(graph, node) && per_channel(graph, next)).then_some(Part::Scale)
        }
        Op::Binary(BinaryOp::Add) if per_channel(graph, node) => {
            let before = graph.nodes[..at].iter().find(|n| n.output == node.inputs[0])?;
            let pair = before.op == Op::Binary(BinaryOp::Mul) && readers[before.output.0] == 1;
            (pair && per_channel(graph, before)).then_some(Part::Offset)
        }
        _ => None,
    }
}

/// Whether a node of maps reads one constant a channel beside them.
fn per_channel(graph: &Graph, node: &Node) -> bool {
    let (&[_, c, _, _], [_, constant]) = (graph.value(node.output).shape.dims(), node.inputs.as_slice()) else {
        return false;
    };
    let value = graph.value(*constant);
    value.constant.is_some() && value.shape.len() == c && matches!(value.shape.dims(), [.., 1, 1])
}

/// Products of a node: each weight is used once for each cell (or row) of the output.
fn multiply_adds(graph: &Graph, node: &Node) -> u64 {
    let dims = |i: usize| node.inputs.get(i).map_or(&[][..], |&v| graph.value(v).shape.dims());
    let product = |dims: &[usize]| dims.iter().fold(1u64, |all, &d| all.saturating_mul(d as u64));
    let out = graph.value(node.output).shape.dims();
    match (&node.op, out) {
        (Op::Conv2d(_), [n, _, h, w]) => product(&[*n, *h, *w]).saturating_mul(product(dims(1))),
        (Op::Linear(_), [rows @ .., _]) => product(rows).saturating_mul(product(dims(1))),
        (Op::MatMul, out) => product(out).saturating_mul(dims(0).last().map_or(1, |&k| k as u64)),
        // Queries with keys, then the weights with the values.
        (Op::Attention(_), [heads @ .., m, e]) => {
            let (keys, depth) = match dims(1) {
                [.., n, d] => (*n, *d),
                _ => return 0,
            };
            product(heads).saturating_mul(product(&[*m, keys, depth + e]))
        }
        _ => 0,
    }
}

/// Fills in which part of the products a forward pass up to each layer takes: those of all layers that it depends on.
fn share_costs(layers: &mut [NetworkLayer]) {
    let all: u64 = layers.iter().map(|l| l.multiply_adds).sum();
    let mut seen = vec![usize::MAX; layers.len()];
    for at in 0..layers.len() {
        let (mut sum, mut open) = (0u64, vec![at]);
        seen[at] = at;
        while let Some(next) = open.pop() {
            sum += layers[next].multiply_adds;
            for &input in &layers[next].inputs {
                if seen[input] != at {
                    seen[input] = at;
                    open.push(input);
                }
            }
        }
        layers[at].cost = if all == 0 { 0.0 } else { sum as f64 / all as f64 };
    }
}
