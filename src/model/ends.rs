//! How a network ends: in an embedding that is made to be compared, or in the scores of a classifier.

use super::Model;
use crate::error::Result;
use crate::graph::{Activation, Graph, Op, ValueId};

/// Words in the name of an output that only classifiers use.
const CLASSIFIER_WORDS: [&str; 9] =
    ["logit", "prob", "class", "cls", "score", "softmax", "sigmoid", "label", "predict"];

/// Words that only embeddings use.
const EMBEDDING_WORDS: [&str; 5] = ["emb", "feat", "descriptor", "latent", "norm"];

/// Embeddings have a multiple of so many values, and hardly any classifier has.
const STEP: usize = 64;

impl Model {
    /// What is compared unless something else is asked for: `"model"` where the network ends in an embedding and more
    /// than the mean of the target layer's cells makes it, else `"gap"`.
    ///
    /// # Errors
    /// Those of lowering the network.
    pub(super) fn usual_pooling(&self) -> Result<&'static str> {
        let manifest = self.manifest();
        // Statistics and a mean embedding are those of pooled features.
        let pooled = manifest.class_specific.is_some() || manifest.mean_embedding.is_some();
        let classifies = manifest.logits.is_some() || !manifest.labels.is_empty();
        if pooled || (classifies && manifest.embedding.is_none()) || !self.left_out().is_empty() {
            return Ok("gap");
        }
        let Some(value) = self.own_vector()?.map(str::to_owned) else { return Ok("gap") };
        let graph = self.lower(manifest.input.size.rows())?;
        let Some(id) = graph.find(&value) else { return Ok("gap") };
        if manifest.embedding.is_none() && !is_embedding(&graph, id, &value) {
            return Ok("gap");
        }
        if let Some(head) = self.whole_head(&manifest.target) {
            return Ok(if head.head.is_none() && head.pooling == manifest.pooling() { "gap" } else { "model" });
        }
        // What it reads has to be something that maps can be made of.
        Ok(if self.read_layer(&manifest.target)?.is_some() { "model" } else { "gap" })
    }
}

/// Whether a vector is an embedding, by its name, what makes it and how many values it has.
fn is_embedding(graph: &Graph, id: ValueId, name: &str) -> bool {
    let lower = name.to_lowercase();
    if CLASSIFIER_WORDS.iter().any(|word| lower.contains(word)) {
        return false;
    }
    let many = graph.value(id).shape.len();
    let mut at = id;
    loop {
        let Some(node) = graph.nodes.iter().find(|node| node.output == at) else { return false };
        match &node.op {
            Op::Softmax { .. } | Op::Activation(Activation::Sigmoid) => return false,
            Op::Reshape(_) | Op::Transpose { .. } => at = node.inputs[0],
            Op::Linear(_) | Op::MatMul => {
                return EMBEDDING_WORDS.iter().any(|word| lower.contains(word)) || many.is_multiple_of(STEP);
            }
            // A convolution over one cell is a linear layer; over a map it ends in a smaller one.
            Op::Conv2d(_) if graph.value(node.inputs[0]).shape.chw().is_some_and(|(_, h, w)| h * w == 1) => {
                return EMBEDDING_WORDS.iter().any(|word| lower.contains(word)) || many.is_multiple_of(STEP);
            }
            _ => return many > 1,
        }
    }
}
