//! Which values of a network are maps that can be explained, and how to bring any of them into the form `[1, C, H, W]`.
//!
//! Convolutional networks compute `[1, C, H, W]`; ConvNeXt and Swin also `[1, H, W, C]`; transformers `[1, T, C]`,
//! where `T` tokens are the cells of a grid, row by row, with class and register tokens before (or after) them, or `[T,
//! 1, C]`. The graph follows the layout from the image on.

use super::{Graph, Node, Op, ValueId};
use crate::error::{Error, Result};
use crate::tensor::Shape;

/// How the cells of a layer lie in its activations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TargetLayout {
    /// `[1, C, H, W]`.
    ChannelsFirst,
    /// `[1, H, W, C]`.
    ChannelsLast,
    /// `[1, T, C]`, or `[T, 1, C]` for its one image, with `T = prefix + height width + suffix`.
    Tokens {
        /// Class and register tokens before the grid.
        prefix: usize,
        /// Rows of the grid.
        height: usize,
        /// Columns of the grid.
        width: usize,
        /// Tokens after the grid.
        suffix: usize,
    },
}

impl TargetLayout {
    /// A short name for summaries.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChannelsFirst => "channels first",
            Self::ChannelsLast => "channels last",
            Self::Tokens { .. } => "tokens",
        }
    }
}

/// A value that can be explained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// The value.
    pub value: ValueId,
    /// How its cells lie.
    pub layout: TargetLayout,
    /// Channels, height and width of its maps.
    pub maps: [usize; 3],
}

impl Graph {
    /// The values that can be explained, best first: the last activation with more than one cell before the final
    /// pooling (for a transformer the last block's tokens, not their final normalisation; for a convolutional network
    /// that pools by attention its last map, not the tokens that are pooled), then all others, the deepest first.
    pub fn target_candidates(&self) -> Vec<Target> {
        let layouts = self.layouts();
        let levels = |n: &&Node| !matches!(&n.op, Op::Quantize(q) if !q.dequantize);
        let nodes: Vec<&Node> = self.nodes.iter().rev().filter(levels).collect();
        let target = |n: &Node| self.target(n.output, layouts[n.output.0]?);
        let mut found: Vec<Target> = nodes.iter().filter_map(|n| target(n)).collect();
        found.retain(|t| t.maps[0] > 1 && t.maps[1] * t.maps[2] > 1);
        let best = self.best_target(&found);
        if best < found.len() {
            let first = found.remove(best);
            found.insert(0, first);
        }
        found
    }

    /// The named value as maps `[1, C, H, W]`. Where it has another layout, nodes are added that bring it into this
    /// form; the result takes over the name, and what reads the value from then on reads it back from the maps, so that
    /// the rest of the network depends on them.
    ///
    /// # Errors
    /// [`Error::Target`] if there is no such value or it has no grid of cells; [`Error::Node`] never for a graph whose
    /// shapes are right.
    ///
    /// ```
    /// use famlens::graph::{Graph, Op};
    /// use famlens::tensor::Shape;
    /// # fn main() -> famlens::Result<()> {
    /// let mut graph = Graph::default();
    /// let image = graph.add_input("image", [1, 8, 3, 4]);
    /// let cells = graph.add_node("cells", Op::Reshape(Shape::from([1, 8, 12])), vec![image])?;
    /// graph.add_node("tokens", Op::Transpose { perm: vec![0, 2, 1] }, vec![cells])?;
    /// let maps = graph.maps("tokens")?;
    /// assert_eq!(graph.value(maps).shape.dims(), [1, 8, 3, 4]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn maps(&mut self, name: &str) -> Result<ValueId> {
        let available = |graph: &Self| {
            let names = graph.target_candidates().into_iter().take(12).map(|t| graph.value(t.value).name.clone());
            Error::Target { name: name.into(), available: names.collect() }
        };
        let value = self.find(name).ok_or_else(|| available(self))?;
        let dims = self.value(value).shape.dims().to_vec();
        let layout = match (self.layouts()[value.0], dims.as_slice()) {
            (Some(layout), _) => layout,
            (None, [1, _, _, _] | [1, _]) => TargetLayout::ChannelsFirst,
            (None, _) => return Err(available(self)),
        };
        match (layout, dims.as_slice()) {
            (TargetLayout::ChannelsLast, [1, _, _, _]) => self.maps_of_cells(value, None),
            (TargetLayout::Tokens { prefix, height, width, suffix }, [1, _, _] | [_, 1, _]) => {
                self.maps_of_cells(value, Some([prefix, height, width, suffix]))
            }
            _ => Ok(value),
        }
    }

    /// Adds the nodes of [`Graph::maps`]; `tokens` is the place of the grid if the value is a row of tokens.
    fn maps_of_cells(&mut self, value: ValueId, tokens: Option<[usize; 4]>) -> Result<ValueId> {
        let name = self.value(value).name.clone();
        let dims = self.value(value).shape.dims().to_vec();
        let channels = dims.last().copied().unwrap_or(1);
        let later = match self.nodes.iter().position(|n| n.output == value) {
            Some(producer) => self.nodes.split_off(producer + 1),
            None => std::mem::take(&mut self.nodes),
        };
        let step = |what: &str| format!("{name}/{what}");
        self.values[value.0].name = step(if tokens.is_some() { "tokens" } else { "channels_last" });
        let part = |start: usize, size: usize| Op::Slice {
            start: vec![0, start, 0],
            step: vec![1; 3],
            size: vec![1, size, channels],
        };
        // One image: a row of tokens that comes before the batch is the same row.
        let (before_batch, mut all) = (tokens.is_some() && dims[0] != 1, value);
        if before_batch {
            all = self.add_node(step("batch_first"), Op::Reshape(Shape::from([1, dims[0], channels])), vec![value])?;
        }
        let mut cells = all;
        if let Some([prefix, height, width, suffix]) = tokens {
            if prefix + suffix > 0 {
                cells = self.add_node(step("grid"), part(prefix, height * width), vec![cells])?;
            }
            cells =
                self.add_node(step("cells"), Op::Reshape(Shape::from([1, height, width, channels])), vec![cells])?;
        }
        let maps = self.add_node(name.clone(), Op::Transpose { perm: vec![0, 3, 1, 2] }, vec![cells])?;
        let mut back = maps;
        let read = later.iter().any(|n| n.inputs.contains(&value)) || self.outputs.contains(&value);
        if read {
            back = self.add_node(step("back"), Op::Transpose { perm: vec![0, 2, 3, 1] }, vec![maps])?;
        }
        if let (true, Some([prefix, height, width, suffix])) = (read, tokens) {
            let row = Op::Reshape(Shape::from([1, height * width, channels]));
            let mut parts = vec![self.add_node(step("row"), row, vec![back])?];
            if prefix > 0 {
                parts.insert(0, self.add_node(step("prefix"), part(0, prefix), vec![all])?);
            }
            if suffix > 0 {
                parts.push(self.add_node(step("suffix"), part(prefix + height * width, suffix), vec![all])?);
            }
            back = match parts.as_slice() {
                &[only] => only,
                _ => self.add_node(step("joined"), Op::Concat { axis: 1 }, parts)?,
            };
            if before_batch {
                back = self.add_node(step("batch_second"), Op::Reshape(Shape::new(dims)), vec![back])?;
            }
        }
        self.nodes.extend(later.into_iter().map(|mut node| {
            node.inputs.iter_mut().filter(|i| **i == value).for_each(|i| *i = back);
            node
        }));
        for output in self.outputs.iter_mut().filter(|o| **o == value) {
            *output = maps;
        }
        Ok(maps)
    }

    fn target(&self, value: ValueId, layout: TargetLayout) -> Option<Target> {
        let maps = match (layout, self.value(value).shape.dims()) {
            (TargetLayout::ChannelsFirst, &[1, c, h, w]) => [c, h, w],
            (TargetLayout::ChannelsLast, &[1, h, w, c]) => [c, h, w],
            (TargetLayout::Tokens { height, width, .. }, &[1, _, c] | &[_, 1, c]) => [c, height, width],
            _ => return None,
        };
        Some(Target { value, layout, maps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, BinaryOp, LayerNorm, Linear};
    use crate::tensor::Tensor;

    fn add(graph: &mut Graph, name: &str, op: Op, inputs: &[ValueId]) -> ValueId {
        graph.add_node(name, op, inputs.to_vec()).unwrap()
    }

    /// Twelve cells of eight channels as tokens behind two others, one block, a norm, the class token.
    fn transformer() -> Graph {
        let mut g = Graph::default();
        let image = g.add_input("image", [1, 8, 3, 4]);
        let cells = add(&mut g, "cells", Op::Reshape(Shape::from([1, 8, 12])), &[image]);
        let tokens = add(&mut g, "patches", Op::Transpose { perm: vec![0, 2, 1] }, &[cells]);
        let class = g.add_constant("class", Tensor::zeros([1, 2, 8]));
        let tokens = add(&mut g, "all", Op::Concat { axis: 1 }, &[class, tokens]);
        let (weight, bias) = (g.add_constant("w", Tensor::zeros([8, 8])), g.add_constant("b", Tensor::zeros([8])));
        let mlp = add(&mut g, "mlp", Op::Linear(Linear::default()), &[tokens, weight, bias]);
        let block = add(&mut g, "block", Op::Binary(BinaryOp::Add), &[tokens, mlp]);
        let norm = LayerNorm { axes: vec![2], epsilon: 1e-6 };
        let norm = add(&mut g, "norm", Op::LayerNorm(norm), &[block, bias, bias]);
        let class = Op::Slice { start: vec![0; 3], step: vec![1; 3], size: vec![1, 1, 8] };
        let class = add(&mut g, "head", class, &[norm]);
        g.outputs.push(class);
        g
    }

    #[test]
    fn tokens_are_followed_to_the_last_block() {
        let graph = transformer();
        let best = graph.target_candidates()[0];
        assert_eq!(graph.value(best.value).name, "block");
        assert_eq!(best.layout, TargetLayout::Tokens { prefix: 2, height: 3, width: 4, suffix: 0 });
        assert_eq!(best.maps, [8, 3, 4]);
    }

    #[test]
    fn tokens_become_maps_that_the_rest_depends_on() {
        let mut graph = transformer();
        let maps = graph.maps("block").unwrap();
        assert_eq!(graph.value(maps).name, "block");
        assert_eq!(graph.value(maps).shape.dims(), [1, 8, 3, 4]);
        assert_eq!(graph.find("block"), Some(maps));
        let norm = graph.nodes.iter().find(|n| n.name == "norm").unwrap();
        assert_eq!(graph.value(norm.inputs[0]).name, "block/joined");
        // The order still holds, and a second time it is what it is.
        assert!(crate::graph::passes::optimize(graph.clone(), &[maps]).is_ok());
        assert_eq!(graph.maps("block").unwrap(), maps);
    }

    #[test]
    fn a_row_of_tokens_may_come_before_the_batch() {
        let mut g = Graph::default();
        let image = g.add_input("image", [1, 8, 3, 4]);
        let cells = add(&mut g, "cells", Op::Reshape(Shape::from([1, 8, 12])), &[image]);
        let tokens = add(&mut g, "patches", Op::Transpose { perm: vec![0, 2, 1] }, &[cells]);
        let class = g.add_constant("class", Tensor::zeros([1, 1, 8]));
        let tokens = add(&mut g, "all", Op::Concat { axis: 1 }, &[class, tokens]);
        let turned = add(&mut g, "turned", Op::Transpose { perm: vec![1, 0, 2] }, &[tokens]);
        let relu = add(&mut g, "relu", Op::Activation(Activation::Relu), &[turned]);
        let block = add(&mut g, "block", Op::Binary(BinaryOp::Add), &[turned, relu]);
        let back = add(&mut g, "back", Op::Transpose { perm: vec![1, 0, 2] }, &[block]);
        let class = Op::Slice { start: vec![0; 3], step: vec![1; 3], size: vec![1, 1, 8] };
        let class = add(&mut g, "head", class, &[back]);
        g.outputs.push(class);
        let best = g.target_candidates()[0];
        assert_eq!(g.value(best.value).name, "block");
        assert_eq!(best.layout, TargetLayout::Tokens { prefix: 1, height: 3, width: 4, suffix: 0 });
        let maps = g.maps("block").unwrap();
        assert_eq!(g.value(maps).shape.dims(), [1, 8, 3, 4]);
        let read = g.nodes.iter().find(|n| n.name == "back").unwrap().inputs[0];
        assert_eq!((g.value(read).name.as_str(), g.value(read).shape.dims()), ("block/batch_second", &[13, 1, 8][..]));
    }

    #[test]
    fn tokens_that_are_only_pooled_are_not_the_best() {
        // A map, its cells as tokens with a position each, and one attention whose first row alone goes on.
        let mut g = Graph::default();
        let image = g.add_input("image", [1, 8, 3, 4]);
        let relu = add(&mut g, "relu", Op::Activation(Activation::Relu), &[image]);
        let cells = add(&mut g, "cells", Op::Reshape(Shape::from([1, 8, 12])), &[relu]);
        let tokens = add(&mut g, "tokens", Op::Transpose { perm: vec![0, 2, 1] }, &[cells]);
        let place = g.add_constant("place", Tensor::zeros([1, 12, 8]));
        let placed = add(&mut g, "placed", Op::Binary(BinaryOp::Add), &[tokens, place]);
        let back = add(&mut g, "back", Op::Transpose { perm: vec![0, 2, 1] }, &[placed]);
        let scores = add(&mut g, "scores", Op::MatMul, &[placed, back]);
        let shares = add(&mut g, "shares", Op::Softmax { axis: 2 }, &[scores]);
        let mixed = add(&mut g, "mixed", Op::MatMul, &[shares, placed]);
        let first = Op::Slice { start: vec![0; 3], step: vec![1; 3], size: vec![1, 1, 8] };
        let first = add(&mut g, "first", first, &[mixed]);
        g.outputs.push(first);
        let names = |g: &Graph| -> Vec<String> {
            g.target_candidates().iter().map(|t| g.value(t.value).name.clone()).collect()
        };
        assert_eq!(names(&g)[0], "relu");
        assert!(names(&g).contains(&"placed".to_string()), "they can be chosen all the same");
        // With a sum of what attention gave, it is a block of a transformer.
        add(&mut g, "block", Op::Binary(BinaryOp::Add), &[placed, mixed]);
        assert_eq!(names(&g)[0], "block");
    }

    #[test]
    fn merged_patches_are_a_coarser_grid_and_parts_of_an_image_are_none() {
        let mut g = Graph::default();
        let image = g.add_input("image", [1, 6, 8, 8]);
        let last = add(&mut g, "last", Op::Transpose { perm: vec![0, 2, 3, 1] }, &[image]);
        let every = |row: usize, column: usize| Op::Slice {
            start: vec![0, row, column, 0],
            step: vec![1, 2, 2, 1],
            size: vec![1, 4, 4, 6],
        };
        let (a, b) = (add(&mut g, "even", every(0, 0), &[last]), add(&mut g, "odd", every(1, 1), &[last]));
        add(&mut g, "merged", Op::Concat { axis: 3 }, &[a, b]);
        let patches = add(&mut g, "patches", Op::Reshape(Shape::from([1, 4, 2, 4, 2, 6])), &[last]);
        let sorted = add(&mut g, "sorted", Op::Transpose { perm: vec![0, 1, 3, 4, 2, 5] }, &[patches]);
        add(&mut g, "merged too", Op::Reshape(Shape::from([1, 4, 4, 24])), &[sorted]);
        let half = Op::Slice { start: vec![0; 4], step: vec![1; 4], size: vec![1, 4, 8, 6] };
        add(&mut g, "half", half, &[last]);
        let found: Vec<_> = g.target_candidates().iter().map(|t| (g.value(t.value).name.clone(), t.maps)).collect();
        assert_eq!(found[0], ("merged".into(), [12, 4, 4]));
        assert!(found.contains(&("merged too".into(), [24, 4, 4])), "{found:?}");
        assert!(!found.iter().any(|(name, _)| name == "half"), "{found:?}");
    }

    #[test]
    fn channels_last_is_told_from_heads() {
        let mut g = Graph::default();
        let image = g.add_input("image", [1, 6, 5, 4]);
        let last = add(&mut g, "last", Op::Transpose { perm: vec![0, 2, 3, 1] }, &[image]);
        let relu = add(&mut g, "relu", Op::Activation(Activation::Relu), &[last]);
        let tokens = add(&mut g, "tokens", Op::Reshape(Shape::from([1, 20, 6])), &[relu]);
        let heads = add(&mut g, "heads", Op::Reshape(Shape::from([1, 20, 2, 3])), &[tokens]);
        add(&mut g, "swapped", Op::Transpose { perm: vec![0, 2, 1, 3] }, &[heads]);
        let found: Vec<_> = g.target_candidates().iter().map(|t| (g.value(t.value).name.clone(), t.layout)).collect();
        assert_eq!(found[0], ("relu".into(), TargetLayout::ChannelsLast));
        assert!(!found.iter().any(|(name, _)| name == "heads" || name == "swapped"), "{found:?}");
        let maps = g.maps("relu").unwrap();
        assert_eq!(g.value(maps).shape.dims(), [1, 6, 5, 4]);
        assert!(g.maps("nothing").is_err());
    }
}
