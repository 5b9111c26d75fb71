//! Which layer is explained when nobody names one.

use super::gradient::multiplications;
use super::{Activation, BinaryOp, Graph, Node, Op, Target, TargetLayout, ValueId, passes};

/// What makes each value of a network whose written-out normalisations are one node again.
struct Makers<'a> {
    graph: &'a Graph,
    /// The node of each value in `graph`, or else in the graph as it was.
    nodes: Vec<Option<&'a Node>>,
    roundings: Vec<bool>,
}

impl Graph {
    /// The place among `found`, the deepest first, of the last activation with more than one cell before the final
    /// pooling: for a transformer the last block's tokens, not their final normalisation; where a network pools by
    /// attention what that reads, not the keys and values made of it.
    pub(super) fn best_target(&self, found: &[Target]) -> usize {
        let mut whole = self.clone();
        whole.outputs.clear();
        let whole = passes::recognise_norms(whole).unwrap_or_else(|_| self.clone());
        let mut nodes = vec![None; whole.values.len()];
        for node in self.nodes.iter().chain(&whole.nodes) {
            nodes[node.output.0] = Some(node);
        }
        let makers = Makers { graph: &whole, nodes, roundings: whole.roundings() };
        let pooling = makers.made_for_pooling(found);
        // Steps within a normalisation are no layers.
        let is_step = |t: &Target| {
            let of = |nodes: &[Node]| nodes.iter().any(|n| n.output == t.value);
            of(&self.nodes) && !of(&whole.nodes)
        };
        let is_best = |t: &Target| {
            let no_layer = |n: &Node| only_moves_or_pools(n) || matches!(n.op, Op::Softmax { .. });
            !(pooling[t.value.0] || is_step(t) || makers.before_rounding(t.value).is_some_and(no_layer))
        };
        let best = found.iter().position(is_best).unwrap_or(0);
        let best = makers.before_generalised_mean(found, makers.read_by_pooling(found, best));
        // A row of tokens that is one cell high is a sequence (of letters) and no picture.
        let tokens = |t: &Target| matches!(t.layout, TargetLayout::Tokens { height, .. } if height > 1);
        if let Some(place) = found.get(best).filter(|t| !tokens(t)).and_then(|_| self.last_of_backbone(found)) {
            return place;
        }
        let Some(Node { op: Op::LayerNorm(_), inputs, .. }) =
            found.get(best).and_then(|t| makers.before_rounding(t.value))
        else {
            return best;
        };
        found.iter().position(|t| t.value == inputs[0]).unwrap_or(best)
    }
}

impl Graph {
    /// The part of all multiplications of weights that lies on the way to a value, 0 to 1; 1 for a graph without any.
    pub(crate) fn share_before(&self, value: ValueId) -> f64 {
        let mut needed = vec![false; self.values.len()];
        needed[value.0] = true;
        let (mut before, mut all) = (0.0, 0.0);
        for node in self.nodes.iter().rev() {
            let products = multiplications(node, self) as f64;
            all += products;
            if needed[node.output.0] {
                before += products;
                node.inputs.iter().for_each(|i| needed[i.0] = true);
            }
        }
        if all > 0.0 { before / all } else { 1.0 }
    }
}

impl Makers<'_> {
    /// The place of the last of the pools between a layer and the pooling of all its cells, if such pools are all that
    /// reads it: that is what is averaged.
    fn read_by_pooling(&self, found: &[Target], best: usize) -> usize {
        let mut place = best;
        let mut last = best;
        while let Some(target) = found.get(place) {
            let mut readers = self.graph.nodes.iter().filter(|n| n.inputs.contains(&target.value));
            let (Some(reader), None) = (readers.next(), readers.next()) else { return best };
            match (&reader.op, found.iter().position(|t| t.value == reader.output)) {
                (Op::Pool2d(_), Some(next)) => place = next,
                (Op::Reduce { axes, .. }, _) if axes.ends_with(&[2, 3]) => last = place,
                (Op::Pool2d(_), None) => last = place,
                _ => return best,
            }
            if last == place {
                return last;
            }
        }
        best
    }

    /// The place of the layer whose generalised mean is taken, if `best` is a power of it: `mean(max(x, e)^p)^(1/p)`
    /// (GeM, arXiv 1711.02512).
    fn before_generalised_mean(&self, found: &[Target], best: usize) -> usize {
        let Some(target) = found.get(best).filter(|t| t.layout == TargetLayout::ChannelsFirst) else { return best };
        let constant = |id: ValueId| self.graph.value(id).constant.is_some();
        let base = |value: ValueId| {
            let node = self.before_rounding(value)?;
            match (&node.op, node.inputs.as_slice()) {
                (Op::Binary(BinaryOp::Pow), &[x, exponent]) if constant(exponent) => Some(x),
                (Op::Binary(BinaryOp::Mul), &[a, b]) if a == b => Some(a),
                // A cube is a square times the value.
                (Op::Binary(BinaryOp::Mul), &[a, b]) if self.squared(a) == Some(b) => Some(b),
                (Op::Binary(BinaryOp::Mul), &[a, b]) if self.squared(b) == Some(a) => Some(a),
                _ => None,
            }
        };
        let Some(base) = base(target.value) else { return best };
        let layer = match self.before_rounding(base) {
            // Where the bound stands in for a ReLU, it is the layer itself.
            Some(&Node { op: Op::Activation(clip), ref inputs, .. }) if is_bound(clip) => {
                if self.is_activated(inputs[0]) { inputs[0] } else { base }
            }
            _ => base,
        };
        found.iter().position(|t| t.value == layer).unwrap_or(best)
    }

    /// Whether a value is what an activation function gives.
    fn is_activated(&self, value: ValueId) -> bool {
        self.before_rounding(value).is_some_and(|node| match &node.op {
            Op::Activation(_) | Op::Pool2d(_) => true,
            Op::Conv2d(conv) => conv.activation != Activation::None,
            Op::Linear(linear) => linear.activation != Activation::None,
            // An activation written out, as SiLU is.
            Op::Binary(BinaryOp::Mul) => true,
            _ => false,
        })
    }

    /// What a value is the square of.
    fn squared(&self, value: ValueId) -> Option<ValueId> {
        match self.before_rounding(value)? {
            Node { op: Op::Binary(BinaryOp::Mul), inputs, .. } if inputs[0] == inputs[1] => Some(inputs[0]),
            _ => None,
        }
    }

    /// What makes a value, or what was rounded to it.
    fn before_rounding(&self, value: ValueId) -> Option<&Node> {
        let node = self.nodes[value.0]?;
        match self.roundings[value.0] {
            true => self.before_rounding(node.inputs[0]),
            false => Some(node),
        }
    }

    /// For each value whether it is on the way from a layer to an attention behind which no cells are left, as where
    /// CLIP's ResNet pools its last map and SigLIP its tokens.
    fn made_for_pooling(&self, found: &[Target]) -> Vec<bool> {
        let nodes = &self.graph.nodes;
        let mut leads = vec![false; self.graph.values.len()];
        found.iter().for_each(|t| leads[t.value.0] = true);
        for node in nodes.iter().rev() {
            if leads[node.output.0] {
                node.inputs.iter().for_each(|i| leads[i.0] = true);
            }
        }
        let mut made = vec![false; self.graph.values.len()];
        let mut open: Vec<ValueId> = Vec::new();
        for node in nodes {
            let rank = self.graph.value(node.output).shape.rank();
            let after = |id: ValueId| nodes.iter().any(|n| n.inputs.contains(&id) && leads[n.output.0]);
            match node.op {
                Op::Attention(_) if !after(node.output) => open.extend(&node.inputs),
                Op::Softmax { .. } if rank > 2 && !after(node.output) => open.extend(self.mixed_by(node)),
                _ => {}
            }
        }
        while let Some(value) = open.pop() {
            if let Some(node) = self.nodes[value.0].filter(|n| !made[value.0] && self.is_projection(n)) {
                made[value.0] = true;
                open.extend(&node.inputs);
            }
        }
        made
    }

    /// Queries, keys and values of an attention that is written out, of which the softmax is known.
    fn mixed_by(&self, softmax: &Node) -> Vec<ValueId> {
        let mut found = Vec::new();
        let mut scores = softmax.inputs[0];
        while let Some(node) = self.nodes[scores.0] {
            match node.op {
                Op::MatMul => {
                    found.extend(&node.inputs);
                    break;
                }
                Op::Binary(_) | Op::Quantize(_) | Op::Reshape(_) | Op::Transpose { .. } => {
                    let computed = node.inputs.iter().find(|i| self.graph.value(**i).constant.is_none());
                    scores = *computed.unwrap_or(&node.inputs[0]);
                }
                // Scores that one layer says, as where NetVLAD assigns cells to centres.
                Op::Conv2d(_) | Op::Linear(_) => {
                    found.push(scores);
                    break;
                }
                _ => break,
            }
        }
        let mut weights = softmax.output;
        while let Some(node) = self.graph.nodes.iter().find(|n| n.inputs.contains(&weights)) {
            match node.op {
                Op::MatMul => {
                    found.extend(node.inputs.iter().filter(|i| **i != weights));
                    break;
                }
                Op::Quantize(_) | Op::Reshape(_) | Op::Transpose { .. } => weights = node.output,
                _ => break,
            }
        }
        found
    }

    /// Whether a node makes other tokens of some by moving, normalising or projecting them, each for itself.
    fn is_projection(&self, node: &Node) -> bool {
        let constant = |id: &ValueId| self.graph.value(*id).constant.is_some();
        // A dynamic scale is a number, or one for each channel.
        let scale = |id: &ValueId| self.graph.value(*id).shape.rank() <= 1;
        match node.op {
            _ if self.roundings[node.output.0] => true,
            Op::MatMul => node.inputs.iter().any(constant),
            Op::Binary(_) => node.inputs.iter().any(|i| constant(i) || scale(i)),
            Op::Linear(_) | Op::LayerNorm(_) | Op::Concat { .. } | Op::Reduce { .. } => true,
            Op::Conv2d(ref conv) => {
                let alone = conv.activation == Activation::None && !conv.residual;
                alone && self.graph.value(node.inputs[1]).shape.dims().ends_with(&[1, 1])
            }
            _ => only_moves_or_pools(node),
        }
    }
}

/// Whether a function only holds values above a small positive number.
fn is_bound(activation: Activation) -> bool {
    matches!(activation, Activation::Clip(low, high) if low > 0.0 && low < 1e-2 && high > 1e6)
}

fn only_moves_or_pools(node: &Node) -> bool {
    matches!(node.op, Op::Pool2d(_) | Op::Reshape(_) | Op::Transpose { .. } | Op::Slice { .. } | Op::Gather { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Attention, LayerNorm, Linear, Quantize, ReduceKind};
    use crate::tensor::{Shape, Tensor};

    fn add(graph: &mut Graph, name: &str, op: Op, inputs: &[ValueId]) -> ValueId {
        graph.add_node(name, op, inputs.to_vec()).unwrap()
    }

    fn eights(graph: &mut Graph) -> ValueId {
        graph.add_constant("eights", Tensor::new([8], vec![0.5; 8]).unwrap())
    }

    /// Twelve cells of eight channels as tokens behind another, and one block.
    fn block() -> (Graph, ValueId) {
        let mut g = Graph::default();
        let image = g.add_input("image", [1, 8, 3, 4]);
        let cells = add(&mut g, "cells", Op::Reshape(Shape::from([1, 8, 12])), &[image]);
        let patches = add(&mut g, "patches", Op::Transpose { perm: vec![0, 2, 1] }, &[cells]);
        let class = g.add_constant("class", Tensor::zeros([1, 1, 8]));
        let tokens = add(&mut g, "tokens", Op::Concat { axis: 1 }, &[class, patches]);
        let mlp = linear(&mut g, "mlp", tokens, 8);
        let block = add(&mut g, "block", Op::Binary(BinaryOp::Add), &[tokens, mlp]);
        (g, block)
    }

    fn linear(g: &mut Graph, name: &str, x: ValueId, outputs: usize) -> ValueId {
        let (w, b) = (g.add_constant("w", Tensor::zeros([outputs, 8])), g.add_constant("b", Tensor::zeros([outputs])));
        add(g, name, Op::Linear(Linear::default()), &[x, w, b])
    }

    fn norm(g: &mut Graph, x: ValueId) -> ValueId {
        let eights = eights(g);
        add(g, "norm", Op::LayerNorm(LayerNorm { axes: vec![2], epsilon: 1e-6 }), &[x, eights, eights])
    }

    fn class_token(g: &mut Graph, x: ValueId) {
        let first = Op::Slice { start: vec![0; 3], step: vec![1; 3], size: vec![1, 1, 8] };
        let first = add(g, "first", first, &[x]);
        g.outputs.push(first);
    }

    fn best(g: &Graph) -> String {
        g.value(g.target_candidates()[0].value).name.clone()
    }

    #[test]
    fn the_final_normalisation_is_not_the_last_block_however_it_is_written() {
        let (mut g, x) = block();
        let mean = |g: &mut Graph, x| {
            let mean = Op::Reduce { kind: ReduceKind::Mean, axes: vec![2], keep_dims: true };
            add(g, "mean", mean, &[x])
        };
        let middle = mean(&mut g, x);
        let centred = add(&mut g, "centred", Op::Binary(BinaryOp::Sub), &[x, middle]);
        let squares = add(&mut g, "squares", Op::Binary(BinaryOp::Mul), &[centred, centred]);
        let variance = mean(&mut g, squares);
        let epsilon = g.add_constant("epsilon", Tensor::new([1], vec![1e-6]).unwrap());
        let sum = add(&mut g, "sum", Op::Binary(BinaryOp::Add), &[variance, epsilon]);
        let root = add(&mut g, "root", Op::Activation(Activation::Sqrt), &[sum]);
        let y = add(&mut g, "divided", Op::Binary(BinaryOp::Div), &[centred, root]);
        let (scale, shift) = (eights(&mut g), eights(&mut g));
        let y = add(&mut g, "scaled", Op::Binary(BinaryOp::Mul), &[y, scale]);
        let y = add(&mut g, "shifted", Op::Binary(BinaryOp::Add), &[y, shift]);
        class_token(&mut g, y);
        assert_eq!(best(&g), "block");
    }

    #[test]
    fn nor_is_it_when_it_is_rounded() {
        let (mut g, x) = block();
        let rounding = Quantize { scale: 0.1, zero: 3.0, range: [0.0, 255.0], dequantize: true };
        let y = norm(&mut g, x);
        let y = add(&mut g, "rounded", Op::Quantize(rounding), &[y]);
        class_token(&mut g, y);
        assert_eq!(best(&g), "block");
    }

    #[test]
    fn keys_and_values_of_the_pooling_are_not_the_last_block() {
        let (mut g, x) = block();
        let y = norm(&mut g, x);
        let both = linear(&mut g, "keys and values", y, 16);
        let part = |g: &mut Graph, name: &str, start: usize| {
            let part = Op::Slice { start: vec![0, 0, start], step: vec![1; 3], size: vec![1, 13, 8] };
            add(g, name, part, &[both])
        };
        let (keys, values) = (part(&mut g, "keys", 0), part(&mut g, "values", 8));
        let query = g.add_constant("query", Tensor::zeros([1, 1, 8]));
        let mut written = g.clone();
        let attention = Op::Attention(Attention { scale: 1.0, mask: false });
        let pooled = add(&mut g, "pooled", attention, &[query, keys, values]);
        g.outputs.push(pooled);
        assert_eq!(best(&g), "block");

        let turned = add(&mut written, "turned", Op::Transpose { perm: vec![0, 2, 1] }, &[keys]);
        let scores = add(&mut written, "scores", Op::MatMul, &[query, turned]);
        let weights = add(&mut written, "weights", Op::Softmax { axis: 2 }, &[scores]);
        let pooled = add(&mut written, "pooled", Op::MatMul, &[weights, values]);
        written.outputs.push(pooled);
        assert_eq!(best(&written), "block");
    }

    #[test]
    fn the_share_before_a_layer_counts_what_it_is_made_of() {
        let (mut g, x) = block();
        let other = linear(&mut g, "other", x, 24);
        assert!((g.share_before(x) - 0.25).abs() < 1e-12 && g.share_before(other) == 1.0);
    }
}
