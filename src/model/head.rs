//! What the network does after a target layer, recognised as pooling and transformation module.

use std::sync::{Arc, PoisonError};

use super::{Model, not_spatial};
use crate::error::{Error, Result};
use crate::fam::Pooling;
use crate::fam::head::{Activation as HeadActivation, Head, Layer};
use crate::graph::{Activation, BinaryOp, Graph, Node, Op, PoolKind, ReduceKind, ValueId};

/// The network after a target layer.
#[derive(Clone, Debug)]
pub struct EmbeddingHead {
    /// How the target layer is pooled.
    pub pooling: Pooling,
    /// What follows, as far as it was recognised; none if nothing follows.
    pub head: Head,
    /// Name of the value that it ends at.
    pub output: String,
    /// Name and kind of the operation that was not recognised, where that and not an output ends it.
    pub stopped_at: Option<String>,
    /// Whether it leads to the model's own embedding: the value that `model.json` names, or an output.
    pub is_whole: bool,
}

impl Model {
    /// What the network does after a target layer: pooling, then linear layers, normalisations and activations. Where
    /// `model.json` names an `"embedding"` it must lead there.
    ///
    /// # Errors
    /// [`Error::Target`] for an unknown layer; [`Error::Argument`] naming the operation that is no such thing.
    pub fn embedding_head(&self, target: &str) -> Result<Arc<EmbeddingHead>> {
        if let Some(Some(head)) = self.known_head(target) {
            return Ok(head);
        }
        let head = self.recognised(target).map(Arc::new);
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.insert(target.to_owned(), head.as_ref().ok().cloned());
        head
    }

    /// What comes after a layer, if it is a pooling with a head or none behind it and nothing else up to the model's
    /// own embedding.
    pub(crate) fn whole_head(&self, target: &str) -> Option<Arc<EmbeddingHead>> {
        let head = self.known_head(target).unwrap_or_else(|| self.embedding_head(target).ok());
        head.filter(|head| head.is_whole)
    }

    fn known_head(&self, target: &str) -> Option<Option<Arc<EmbeddingHead>>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).get(target).cloned()
    }

    /// Name of the value that is the model's own embedding: the one that `model.json` names as `"embedding"`, or the
    /// file's first output.
    pub fn own_embedding(&self) -> &str {
        let named = self.manifest().embedding.as_deref();
        named.or_else(|| self.outputs().first().map(String::as_str)).unwrap_or_default()
    }

    fn recognised(&self, target: &str) -> Result<EmbeddingHead> {
        let kept: Vec<String> = std::iter::once(target.to_owned()).chain(self.manifest().embedding.clone()).collect();
        let graph = self.graph_for(self.manifest().input.size.across(), &kept)?;
        let start = graph.find(target).ok_or_else(|| not_spatial(target))?;
        let embedding = self.manifest().embedding.as_deref();
        let head = recognise(&graph, start, embedding)?;
        match embedding {
            Some(embedding) if head.output != embedding => {
                let stopped = head.stopped_at.as_deref().unwrap_or(&head.output);
                let reason = format!(
                    "what lies between {target:?} and the embedding {embedding:?} is not only pooling, linear layers and activations: {stopped} is something else"
                );
                Err(Error::argument("pooling", reason))
            }
            _ => Ok(head),
        }
    }
}

/// Up to the value named `end`, or the first output of the file, or what is not recognised.
pub(super) fn recognise(graph: &Graph, start: ValueId, end: Option<&str>) -> Result<EmbeddingHead> {
    let (mut at, mut pooling, mut stopped_at, mut cells, mut is_whole) = (start, None, None, Cells::Maps, false);
    let mut layers = Vec::new();
    while let [node] = consumers(graph, at)[..] {
        let found = match pooling {
            None => match (pool(graph, node, cells), cells.after(graph, node)) {
                (Some(found), _) => {
                    pooling = Some(found);
                    Some(Vec::new())
                }
                (None, Some(moved)) => {
                    cells = moved;
                    Some(Vec::new())
                }
                (None, None) => None,
            },
            Some(_) => layer(graph, node, at),
        };
        match found {
            Some(found) => layers.extend(found),
            None => {
                stopped_at = Some(format!("{} {:?}", node.op.name(), node.name));
                break;
            }
        }
        at = node.output;
        let name = graph.value(at).name.as_str();
        if end.map_or_else(|| graph.outputs.contains(&at), |end| name == end) {
            is_whole = true;
            break;
        }
    }
    let Some(pooling) = pooling else {
        let next = stopped_at.unwrap_or_else(|| "several operations or none".into());
        let reason = format!("after {:?} comes {next}, which is no global pooling", graph.value(start).name);
        return Err(Error::argument("pooling", reason));
    };
    Ok(EmbeddingHead { pooling, head: Head::new(layers)?, output: graph.value(at).name.clone(), stopped_at, is_whole })
}

fn consumers(graph: &Graph, value: ValueId) -> Vec<&Node> {
    graph.nodes.iter().filter(|n| n.inputs.contains(&value)).collect()
}

/// How the cells of the target layer lie on their way to the pooling.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cells {
    /// `[1, C, H, W]`.
    Maps,
    /// `[1, H, W, C]`, as where the file has the layer channels last.
    ChannelsLast,
    /// `[1, H W, C]`.
    Tokens,
}

impl Cells {
    /// How they lie after a node that only moves them; `None` for any other node.
    fn after(self, graph: &Graph, node: &Node) -> Option<Self> {
        let dims = |id: ValueId| graph.value(id).shape.dims();
        match (self, &node.op, dims(*node.inputs.first()?), dims(node.output)) {
            (Self::Maps, Op::Transpose { perm }, ..) if perm == &[0, 2, 3, 1] => Some(Self::ChannelsLast),
            (Self::ChannelsLast, Op::Transpose { perm }, ..) if perm == &[0, 3, 1, 2] => Some(Self::Maps),
            (Self::ChannelsLast, Op::Reshape(_), &[_, h, w, c], &[_, cells, d]) => {
                (c == d && h * w == cells).then_some(Self::Tokens)
            }
            _ => None,
        }
    }

    /// The axes over which they are pooled.
    fn axes(self) -> &'static [usize] {
        match self {
            Self::Maps => &[2, 3],
            Self::ChannelsLast => &[1, 2],
            Self::Tokens => &[1],
        }
    }
}

/// A reduction or a window over all cells.
fn pool(graph: &Graph, node: &Node, cells: Cells) -> Option<Pooling> {
    let shape = graph.value(*node.inputs.first()?).shape.dims();
    match &node.op {
        Op::Reduce { kind: ReduceKind::Mean, axes, .. } if axes == cells.axes() => Some(Pooling::Average),
        Op::Reduce { kind: ReduceKind::Max, axes, .. } if axes == cells.axes() => Some(Pooling::Max),
        Op::Pool2d(p) if shape.len() == 4 && p.kernel == [shape[2], shape[3]] && p.pads == [0; 4] => match p.kind {
            PoolKind::Average { .. } => Some(Pooling::Average),
            PoolKind::Max => Some(Pooling::Max),
        },
        _ => None,
    }
}

/// The layers of a head that a node is; none for a mere reshape.
fn layer(graph: &Graph, node: &Node, at: ValueId) -> Option<Vec<Layer>> {
    let constant = |i: usize| Some(graph.value(*node.inputs.get(i)?).constant.as_ref()?.to_float());
    let width: usize = graph.value(at).shape.len();
    match &node.op {
        Op::Reshape(_) => Some(Vec::new()),
        Op::Linear(linear) => {
            let (weight, bias) = (constant(1)?, constant(2)?);
            with_activation(dense(width, weight.data(), bias.data()), linear.activation)
        }
        Op::Conv2d(conv) if conv.groups == 1 && !conv.residual && graph.value(at).shape.dims()[2..] == [1, 1] => {
            let (weight, bias) = (constant(1)?, constant(2)?);
            let pointwise = matches!(weight.shape().dims(), [_, _, 1, 1]);
            pointwise.then(|| with_activation(dense(width, weight.data(), bias.data()), conv.activation))?
        }
        Op::Activation(activation) => Some(vec![Layer::Activation(head_activation(*activation)?)]),
        Op::Binary(op) => {
            let first = node.inputs.first() == Some(&at);
            let value = constant(usize::from(first))?;
            let values = match value.data() {
                [one] => vec![*one; width],
                many if many.len() == width => many.to_vec(),
                _ => return None,
            };
            let (ones, zeros) = (vec![1.0; width], vec![0.0; width]);
            let (scale, shift) = match (op, first) {
                (BinaryOp::Add, _) => (ones, values),
                (BinaryOp::Sub, true) => (ones, values.iter().map(|v| -v).collect()),
                (BinaryOp::Sub, false) => (vec![-1.0; width], values),
                (BinaryOp::Mul, _) => (values, zeros),
                (BinaryOp::Div, true) => (values.iter().map(|v| 1.0 / v).collect(), zeros),
                _ => return None,
            };
            Some(vec![Layer::Scale { scale, shift }])
        }
        _ => None,
    }
}

fn dense(inputs: usize, weight: &[f32], bias: &[f32]) -> Layer {
    Layer::Linear { inputs, weight: weight.to_vec(), bias: bias.to_vec() }
}

fn with_activation(layer: Layer, activation: Activation) -> Option<Vec<Layer>> {
    match activation {
        Activation::None => Some(vec![layer]),
        other => Some(vec![layer, Layer::Activation(head_activation(other)?)]),
    }
}

fn head_activation(activation: Activation) -> Option<HeadActivation> {
    match activation {
        Activation::Relu => Some(HeadActivation::Relu),
        Activation::Clip(lo, hi) => Some(HeadActivation::Clip(lo, hi)),
        Activation::LeakyRelu(slope) => Some(HeadActivation::LeakyRelu(slope)),
        Activation::Gelu => Some(HeadActivation::Gelu),
        Activation::Silu => Some(HeadActivation::Silu),
        Activation::Sigmoid => Some(HeadActivation::Sigmoid),
        Activation::Tanh => Some(HeadActivation::Tanh),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Linear;
    use crate::tensor::Tensor;

    #[test]
    fn pooling_and_a_projection_head_are_recognised() -> Result<()> {
        let mut graph = Graph::default();
        let image = graph.add_input("image", [1, 2, 2, 2]);
        let maps = graph.add_node("maps", Op::Activation(Activation::Relu), vec![image])?;
        let mean = Op::Reduce { kind: ReduceKind::Mean, axes: vec![2, 3], keep_dims: false };
        let pooled = graph.add_node("pooled", mean, vec![maps])?;
        let weight = graph.add_constant("w", Tensor::new([3, 2], vec![1.0, 0.0, 0.0, 1.0, 1.0, -1.0])?);
        let bias = graph.add_constant("b", Tensor::new([3], vec![0.0, 0.5, 0.0])?);
        let linear = Op::Linear(Linear { activation: Activation::Relu });
        let hidden = graph.add_node("hidden", linear, vec![pooled, weight, bias])?;
        let scale = graph.add_constant("s", Tensor::new([3], vec![2.0, 1.0, 0.5])?);
        let scaled = graph.add_node("scaled", Op::Binary(BinaryOp::Mul), vec![hidden, scale])?;
        graph.add_node("softmax", Op::Softmax { axis: 1 }, vec![scaled])?;
        let head = recognise(&graph, maps, None)?;
        assert_eq!(head.pooling, Pooling::Average);
        assert_eq!(head.head.describe(), "Linear 2 -> 3, ReLU, BatchNormalization");
        assert_eq!(head.head.forward(&[1.0, 3.0])?, [2.0, 3.5, 0.0]);
        assert_eq!((head.output.as_str(), head.stopped_at.as_deref()), ("scaled", Some("Softmax \"softmax\"")));
        let short = recognise(&graph, maps, Some("hidden"))?;
        assert_eq!((short.head.describe().as_str(), short.stopped_at), ("Linear 2 -> 3, ReLU", None));
        // The same of a layer that the file has channels last.
        let other = graph.add_node("other", Op::Activation(Activation::Relu), vec![image])?;
        let last = graph.add_node("last", Op::Transpose { perm: vec![0, 2, 3, 1] }, vec![other])?;
        let mean = Op::Reduce { kind: ReduceKind::Mean, axes: vec![1, 2], keep_dims: false };
        graph.add_node("mean", mean, vec![last])?;
        assert_eq!(recognise(&graph, other, None)?.output, "mean");
        let rows = Op::Reduce { kind: ReduceKind::Mean, axes: vec![2, 3], keep_dims: false };
        let third = graph.add_node("third", Op::Activation(Activation::Tanh), vec![image])?;
        let turned = graph.add_node("turned", Op::Transpose { perm: vec![0, 2, 3, 1] }, vec![third])?;
        graph.add_node("rows", rows, vec![turned])?;
        assert!(recognise(&graph, third, None).is_err(), "that is a mean over columns and channels");
        assert!(recognise(&graph, scaled, None).is_err_and(|e| e.to_string().contains("no global pooling")));
        Ok(())
    }
}
