//! Networks that do not end in one vector for the image: detectors, segmentation and other decoders. Their deepest maps
//! are boxes and scores, or as large as the image again. famlens explains the last map of their backbone.

use super::{Activation, Graph, Node, Op, Target, TargetLayout, ValueId};

/// Backbones bring the image down by no more, the odd pixels of a small one aside.
const MOST_STRIDE: usize = 40;

/// How a value came from the image.
#[derive(Clone, Copy, Default)]
struct Way {
    /// Some cells on the way were brought to a finer grid again.
    up: bool,
    /// Some cells on the way no longer lay as on the image.
    rearranged: bool,
}

impl Graph {
    /// The place among `found`, the deepest first, of the last map of the backbone, if no output of the network is a
    /// vector.
    ///
    /// It is the last feature map of the coarsest grid that everything else reads through: a fork into heads, or the
    /// way up of a decoder, lies behind it, and so does a second way down from there (path aggregation). Grids beyond
    /// the usual stride of a backbone are further scales of a detector. Convolutions without an activation are no
    /// features but what a head says.
    pub(super) fn last_of_backbone(&self, found: &[Target]) -> Option<usize> {
        // One row for the image. A column has a row for each place: the scores of a detector.
        let is_vector = |id: &ValueId| match self.value(*id).shape.dims() {
            [rows, rest @ ..] => rest.iter().filter(|d| **d > 1).count() < 2 && (*rows == 1 || rest.is_empty()),
            [] => true,
        };
        if self.outputs.is_empty() || self.outputs.iter().any(is_vector) {
            return None;
        }
        let image = self.input?;
        let &[_, _, height, width] = self.value(image).shape.dims() else { return None };
        // A grid over the image has its proportions; what heads make of their cells has others.
        let ways = self.ways(found);
        let over_image = |t: &&Target| {
            let (rows, columns) = (t.maps[1] as f64 / height as f64, t.maps[2] as f64 / width as f64);
            let alike = (rows / columns).ln().abs() < 0.3;
            rows <= 1.0 && columns <= 1.0 && (alike || !ways[t.value.0].rearranged) && !ways[t.value.0].up
        };
        let grids = || found.iter().filter(|t| !matches!(t.layout, TargetLayout::Tokens { .. })).filter(over_image);
        let stride = |[rows, columns]: &[usize; 2]| (height / rows.max(&1)).min(width / columns.max(&1));
        let sizes = || grids().map(|t| [t.maps[1], t.maps[2]]);
        let within = sizes().filter(|g| stride(g) <= MOST_STRIDE).min_by_key(|[h, w]| h * w);
        let coarsest = within.or_else(|| sizes().min_by_key(|[h, w]| h * w))?;
        let mut inside = vec![false; self.values.len()];
        grids().filter(|t| t.maps[1..] == coarsest).for_each(|t| inside[t.value.0] = true);
        let at = |t: &Target| inside[t.value.0] && self.is_feature(t.value) && self.all_go_through(t.value, &inside);
        found.iter().position(at)
    }

    /// How each value came from the image.
    fn ways(&self, found: &[Target]) -> Vec<Way> {
        let mut ways = vec![Way::default(); self.values.len()];
        let mut cells = vec![None; self.values.len()];
        found.iter().for_each(|t| cells[t.value.0] = Some(t.maps[1] * t.maps[2]));
        if let Some(image) = self.input {
            cells[image.0] = Some(self.value(image).shape.dims().iter().skip(2).product());
        }
        let many = |id: ValueId| self.value(id).shape.dims().iter().filter(|d| **d > 1).count() > 1;
        // The fewest cells that a value has been brought down to.
        let mut fewest = cells.clone();
        for node in &self.nodes {
            let computed = || node.inputs.iter().filter(|i| self.value(**i).constant.is_none());
            let own = cells[node.output.0];
            let least = computed().filter_map(|i| fewest[i.0]).min();
            let mut way = Way { up: false, rearranged: own.is_none() && many(node.output) };
            for &input in computed().filter(|i| many(**i)) {
                way.up |= ways[input.0].up;
                way.rearranged |= ways[input.0].rearranged;
            }
            if own.zip(least).is_some_and(|(own, least)| least < own) && many(node.output) {
                way.up = true;
            }
            fewest[node.output.0] = match many(node.output) {
                true => own.into_iter().chain(least).min(),
                // A gate or another summary of the whole says nothing of cells.
                false => None,
            };
            ways[node.output.0] = way;
        }
        ways
    }

    fn is_feature(&self, value: ValueId) -> bool {
        self.producer(value).is_some_and(|n| match n.op {
            Op::Activation(_) | Op::Binary(_) | Op::Concat { .. } | Op::Pool2d(_) | Op::LayerNorm(_) => true,
            Op::Quantize(_) => self.is_feature(n.inputs[0]),
            Op::Conv2d(ref conv) => conv.activation != Activation::None || conv.residual,
            Op::Linear(ref linear) => linear.activation != Activation::None,
            Op::MatMul
            | Op::Reduce { .. }
            | Op::Softmax { .. }
            | Op::Reshape(_)
            | Op::Transpose { .. }
            | Op::Pad { .. }
            | Op::Attention(_)
            | Op::Slice { .. }
            | Op::Gather { .. } => false,
        })
    }

    /// Whether whatever leaves a set of values has read one of them: nothing that leads to an output by another way reads
    /// one that does not depend on it.
    fn all_go_through(&self, value: ValueId, inside: &[bool]) -> bool {
        let mut leads = vec![false; self.values.len()];
        self.outputs.iter().for_each(|o| leads[o.0] = true);
        for node in self.nodes.iter().rev().filter(|n| n.output != value) {
            if leads[node.output.0] {
                node.inputs.iter().for_each(|i| leads[i.0] = true);
            }
        }
        // What depends on the image by another way.
        let mut around = vec![false; self.values.len()];
        if let Some(image) = self.input {
            around[image.0] = true;
        }
        let leaves = |n: &Node| !inside[n.output.0] && leads[n.output.0];
        for node in &self.nodes {
            let reads_around = node.inputs.iter().any(|i| around[i.0]);
            if reads_around && node.output != value {
                let behind = node.inputs.iter().any(|&i| i != value && inside[i.0] && around[i.0]);
                if behind && leaves(node) {
                    return false;
                }
                around[node.output.0] = true;
            }
        }
        !self.outputs.iter().any(|o| inside[o.0] && around[o.0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;
    use crate::graph::Conv2d;
    use crate::tensor::{Shape, Tensor};

    /// A convolution to `outputs` channels in steps of `stride`, and a ReLU behind it if it has a name.
    fn conv(g: &mut Graph, x: ValueId, outputs: usize, stride: usize, relu: &str) -> Result<ValueId> {
        let inputs = g.value(x).shape.dims()[1];
        let conv = Conv2d {
            strides: [stride; 2],
            dilations: [1; 2],
            pads: [1; 4],
            groups: 1,
            activation: Activation::None,
            residual: false,
        };
        let weight = g.add_constant("w", Tensor::zeros([outputs, inputs, 3, 3]));
        let bias = g.add_constant("b", Tensor::zeros([outputs]));
        let y = g.add_node(format!("{relu}/conv"), Op::Conv2d(conv), vec![x, weight, bias])?;
        if relu.is_empty() { Ok(y) } else { g.add_node(relu, Op::Activation(Activation::Relu), vec![y]) }
    }

    fn best(g: &Graph) -> String {
        g.value(g.target_candidates()[0].value).name.clone()
    }

    #[test]
    fn a_detector_is_explained_before_its_heads_fork() -> Result<()> {
        let mut g = Graph::default();
        let image = g.add_input("image", [1, 3, 64, 64]);
        let fine = conv(&mut g, image, 4, 4, "fine")?;
        let coarse = conv(&mut g, fine, 8, 2, "coarse")?;
        let neck = conv(&mut g, coarse, 8, 1, "neck")?;
        // Two heads with layers of their own, at two sizes.
        for (i, from) in [fine, neck].into_iter().enumerate() {
            for what in ["boxes", "scores"] {
                let x = conv(&mut g, from, 8, 1, &format!("{what}{i}"))?;
                let x = conv(&mut g, x, 4, 1, "")?;
                let cells = g.value(x).shape.len() / 4;
                let x = g.add_node("flat", Op::Reshape(Shape::from([1, 4, cells])), vec![x])?;
                g.outputs.push(x);
            }
        }
        assert_eq!(best(&g), "neck");
        Ok(())
    }

    #[test]
    fn a_decoder_is_explained_at_its_bottleneck() -> Result<()> {
        let mut g = Graph::default();
        let image = g.add_input("image", [1, 3, 64, 64]);
        let fine = conv(&mut g, image, 4, 2, "fine")?;
        let coarse = conv(&mut g, fine, 8, 2, "coarse")?;
        let bottleneck = conv(&mut g, coarse, 8, 1, "bottleneck")?;
        let indices: Vec<usize> = (0..32).map(|i| i / 2).collect();
        let wide = g.add_node("wide", Op::Gather { axis: 3, indices: indices.clone() }, vec![bottleneck])?;
        let up = g.add_node("up", Op::Gather { axis: 2, indices }, vec![wide])?;
        let joined = g.add_node("joined", Op::Concat { axis: 1 }, vec![up, fine])?;
        let last = conv(&mut g, joined, 4, 1, "last")?;
        let logits = conv(&mut g, last, 5, 1, "")?;
        let mask = g.add_node("mask", Op::Softmax { axis: 1 }, vec![logits])?;
        g.outputs.push(mask);
        assert_eq!(best(&g), "bottleneck");
        Ok(())
    }

    #[test]
    fn an_encoder_without_a_head_ends_in_its_last_map() -> Result<()> {
        let mut g = Graph::default();
        let image = g.add_input("image", [1, 3, 64, 64]);
        let first = conv(&mut g, image, 4, 4, "first")?;
        let last = conv(&mut g, first, 8, 2, "last")?;
        g.outputs.push(last);
        assert_eq!(best(&g), "last");
        Ok(())
    }
}
