//! Which layout each value gets: a map with its channels innermost, or row-major.
//!
//! By its shape, `[1, heads, tokens, depth]` is no different from a map `[1, C, H, W]`, but with the heads innermost
//! neither attention nor a linear layer could read its rows. So a value of four dimensions is a map only where a
//! convolution, a pool, the input or a target makes it one, or where it comes from a map through ops that keep the
//! order of memory.

use super::layout::Layout;
use crate::engine::plan::Plan;
use crate::error::Result;
use crate::graph::{Graph, Node, Op, ValueId};

/// The layout of every value, constants included.
///
/// # Errors
/// [`crate::Error::Argument`] if the graph has no image input.
pub(super) fn assign(graph: &Graph, plan: &Plan, targets: &[ValueId]) -> Result<Vec<Layout>> {
    let mut map = vec![false; graph.values.len()];
    for id in targets.iter().chain([&graph.image_input()?]) {
        map[id.0] = true;
    }
    let nodes: Vec<&Node> = plan.nodes(graph).collect();
    let computed = |id: &&ValueId| graph.value(**id).constant.is_none();
    // What one round finds out about a value, the next hands on the other way.
    loop {
        let before = map.clone();
        for node in nodes.iter().rev() {
            match demand(&node.op) {
                Demand::Maps => {
                    let read = node.inputs.iter().filter(computed);
                    read.chain([&node.output]).for_each(|id| map[id.0] = true);
                }
                Demand::AsItsOutput if map[node.output.0] => {
                    let same = |id: &&ValueId| graph.value(**id).shape == graph.value(node.output).shape;
                    node.inputs.iter().filter(computed).filter(same).for_each(|id| map[id.0] = true);
                }
                Demand::AsItsOutput | Demand::None => {}
            }
        }
        for node in nodes.iter().filter(|n| demand(&n.op) == Demand::AsItsOutput) {
            map[node.output.0] |= node.inputs.iter().filter(computed).any(|id| map[id.0]);
        }
        if map == before {
            break;
        }
    }
    for node in nodes.iter().filter(|n| demand(&n.op) == Demand::AsItsOutput) {
        for id in node.inputs.iter().filter(|id| !computed(id)) {
            map[id.0] = map[node.output.0];
        }
    }
    let layout = |(value, map): (&crate::graph::Value, &bool)| match value.shape.rank() == 4 && !map {
        true => Layout::row_major(&value.shape),
        false => Layout::of(&value.shape),
    };
    Ok(graph.values.iter().zip(&map).map(layout).collect())
}

/// What an op asks of the order in which its inputs lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Demand {
    /// Inputs and output are maps.
    Maps,
    /// Inputs best lie as the output does.
    AsItsOutput,
    /// Nothing: its kernel reads any order, or wants rows.
    None,
}

fn demand(op: &Op) -> Demand {
    match op {
        Op::Conv2d(_) | Op::Pool2d(_) => Demand::Maps,
        Op::Activation(_)
        | Op::Binary(_)
        | Op::Quantize(_)
        | Op::LayerNorm(_)
        | Op::Reduce { .. }
        | Op::Softmax { .. }
        | Op::Concat { .. }
        | Op::Pad { .. }
        | Op::Slice { .. }
        | Op::Gather { .. } => Demand::AsItsOutput,
        Op::Linear(_) | Op::MatMul | Op::Attention(_) | Op::Reshape(_) | Op::Transpose { .. } => Demand::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Activation;

    #[test]
    fn heads_are_rows_and_maps_have_channels_innermost() {
        let mut graph = Graph::default();
        let image = graph.add_input("image", [1, 8, 2, 3]);
        let mut push = |op, from| graph.add_node(format!("{op:?}"), op, vec![from]).unwrap();
        let act = push(Op::Activation(Activation::Relu), image);
        let last = push(Op::Transpose { perm: vec![0, 2, 3, 1] }, act);
        let gelu = push(Op::Activation(Activation::Gelu), last);
        let back = push(Op::Transpose { perm: vec![0, 3, 1, 2] }, gelu);
        let plan = Plan::new(&graph, &[back]).unwrap();
        let layouts = assign(&graph, &plan, &[back]).unwrap();
        let is_map = |id: ValueId| layouts[id.0].channels.is_some();
        assert_eq!([image, act, last, gelu, back].map(is_map), [true, true, false, false, true]);
    }
}
