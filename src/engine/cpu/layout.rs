//! Memory layout: convolutions read and write channels-last values; everything else is row-major.
//!
//! Channels-last makes a 1x1 convolution a plain matrix product and a depthwise convolution one loop over channels.
//! Rows of tokens and what networks compute as `[N, H, W, C]` are plain; between them and channels-last maps a
//! Transpose moves nothing. *Logical* dimensions are those of the graph, *physical* ones those of memory.

use crate::graph::{Graph, Node, Op, ValueId};
use crate::tensor::Shape;

/// How the values of an activation lie in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// Row-major.
    Plain,
    /// Of four dimensions `[N, C, H, W]`, as `[N, H, W, C]`.
    ChannelsLast,
}

/// The order of every value. `nodes` are those that run.
pub(super) fn orders<'a>(graph: &Graph, nodes: impl Iterator<Item = &'a Node> + Clone) -> Vec<Order> {
    use Order::{ChannelsLast, Plain};
    let four = |id: ValueId| graph.value(id).shape.rank() == 4;
    let windows = |node: &Node| matches!(node.op, Op::Conv2d(_) | Op::Pool2d(_));
    let mut orders: Vec<Option<Order>> = vec![None; graph.values.len()];
    let image = graph.input.into_iter();
    let read = nodes.clone().filter(|n| windows(n)).flat_map(|n| n.inputs.iter().copied().chain([n.output]));
    for id in image.chain(read).filter(|&id| four(id)) {
        orders[id.0] = Some(ChannelsLast);
    }
    for node in nodes {
        if orders[node.output.0].is_none() {
            let first = node.inputs.iter().find(|&&i| four(i) && graph.value(i).constant.is_none());
            let inherited = first.and_then(|i| orders[i.0]).unwrap_or(Plain);
            orders[node.output.0] = Some(match &node.op {
                _ if !four(node.output) => Plain,
                Op::Transpose { perm } if perm == &[0, 3, 1, 2] && inherited == Plain => ChannelsLast,
                Op::Transpose { .. } | Op::Reshape(_) | Op::MatMul | Op::Linear(_) | Op::Attention(_) => Plain,
                _ => inherited,
            });
        }
        // A constant lies as what is computed from it.
        for input in node.inputs.iter().filter(|&&i| four(i) && graph.value(i).constant.is_some()) {
            orders[input.0] = orders[input.0].or(orders[node.output.0]);
        }
    }
    orders.into_iter().map(|o| o.unwrap_or(Plain)).collect()
}

impl Order {
    /// The physical dimensions of a shape.
    pub(super) fn physical(self, shape: &Shape) -> Vec<usize> {
        match (self, shape.dims()) {
            (Self::ChannelsLast, &[n, c, h, w]) => vec![n, h, w, c],
            (_, other) => other.to_vec(),
        }
    }

    /// The physical place of a logical axis.
    pub(super) fn axis(self, axis: usize) -> usize {
        match self {
            Self::ChannelsLast => [0, 3, 1, 2][axis],
            Self::Plain => axis,
        }
    }

    /// Whether the physical order of the values is the logical one.
    pub(super) fn is_plain(self, shape: &Shape) -> bool {
        match (self, shape.dims()) {
            (Self::ChannelsLast, &[_, c, h, w]) => c == 1 || h * w == 1,
            _ => true,
        }
    }

    /// Row-major logical values into memory.
    pub(super) fn store(self, shape: &Shape, from: &[f32], to: &mut [f32]) {
        match *shape.dims() {
            [_, c, h, w] if !self.is_plain(shape) => swap_blocks(c, h * w, from, to),
            _ => to.copy_from_slice(from),
        }
    }

    /// Memory into row-major logical values.
    pub(super) fn load(self, shape: &Shape, from: &[f32], to: &mut [f32]) {
        match *shape.dims() {
            [_, c, h, w] if !self.is_plain(shape) => swap_blocks(h * w, c, from, to),
            _ => to.copy_from_slice(from),
        }
    }
}

/// For every image: `[rows, columns] -> [columns, rows]`.
fn swap_blocks(rows: usize, columns: usize, from: &[f32], to: &mut [f32]) {
    let image = rows * columns;
    for (from, to) in from.chunks_exact(image).zip(to.chunks_exact_mut(image)) {
        // Sixteen output rows at a time: each line of the cache that is read is used while it is there.
        for (block, to) in to.chunks_mut(16 * rows).enumerate() {
            for row in 0..rows {
                let from = &from[row * columns + block * 16..];
                for (to, &v) in to.chunks_exact_mut(rows).zip(from) {
                    to[row] = v;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_last_and_back() {
        let shape = Shape::from([2, 37, 3, 5]);
        let logical: Vec<f32> = (0..shape.len()).map(|i| i as f32).collect();
        let (mut memory, mut back) = (vec![0.0; logical.len()], vec![0.0; logical.len()]);
        Order::ChannelsLast.store(&shape, &logical, &mut memory);
        // [n, h, w, c] = [1, 2, 3, 4]
        assert_eq!(memory[((3 + 2) * 5 + 3) * 37 + 4], logical[((37 + 4) * 3 + 2) * 5 + 3]);
        Order::ChannelsLast.load(&shape, &memory, &mut back);
        assert_eq!(back, logical);
    }
}
