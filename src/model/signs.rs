//! Whether a layer has negative activations, which turn a product of two features upside down.

use std::collections::HashSet;

use crate::graph::{Activation, BinaryOp, Graph, Node, Op, ReduceKind, ValueId};

/// Names of the values that the ops that compute them make zero or more for every image.
pub(super) fn non_negative(graph: &Graph) -> HashSet<String> {
    let mut known = HashSet::new();
    for node in &graph.nodes {
        let is = |&value: &ValueId| match &graph.value(value).constant {
            Some(constant) => constant.to_float().data().iter().all(|&v| v >= 0.0),
            None => known.contains(&value),
        };
        if makes_non_negative(node, &is) {
            known.insert(node.output);
        }
    }
    known.into_iter().map(|value| graph.value(value).name.clone()).collect()
}

fn makes_non_negative(node: &Node, is: &dyn Fn(&ValueId) -> bool) -> bool {
    let every = |node: &Node| node.inputs.iter().all(is);
    match &node.op {
        Op::Activation(activation) => kind(*activation) || (keeps(*activation) && every(node)),
        Op::Conv2d(conv) => kind(conv.activation),
        Op::Linear(linear) => kind(linear.activation),
        Op::Softmax { .. } => true,
        Op::Binary(BinaryOp::Add | BinaryOp::Mul | BinaryOp::Max) => every(node),
        Op::Binary(BinaryOp::Greater | BinaryOp::Equal) => true,
        Op::Binary(BinaryOp::Keep) => node.inputs.first().is_some_and(is),
        Op::Reduce { kind: ReduceKind::Mean | ReduceKind::Max | ReduceKind::Sum, .. } => every(node),
        Op::Pool2d(_) | Op::Reshape(_) | Op::Transpose { .. } | Op::Concat { .. } => every(node),
        Op::Pad { value, .. } => *value >= 0.0 && every(node),
        _ => false,
    }
}

fn kind(activation: Activation) -> bool {
    match activation {
        Activation::Relu | Activation::Sigmoid | Activation::HardSigmoid(..) => true,
        Activation::Clip(lo, _) => lo >= 0.0,
        _ => false,
    }
}

/// Activations that leave values of zero and more at zero and more.
fn keeps(activation: Activation) -> bool {
    matches!(
        activation,
        Activation::None | Activation::HardSwish | Activation::Silu | Activation::LeakyRelu(_) | Activation::Tanh
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;

    #[test]
    fn signs_follow_from_the_ops() -> Result<()> {
        let mut graph = Graph::default();
        let image = graph.add_input("image", [1, 3, 8, 8]);
        let relu = graph.add_node("relu", Op::Activation(Activation::Relu), vec![image])?;
        let sum = graph.add_node("sum", Op::Binary(BinaryOp::Add), vec![relu, relu])?;
        let silu = graph.add_node("silu", Op::Activation(Activation::Silu), vec![image])?;
        let mixed = graph.add_node("mixed", Op::Binary(BinaryOp::Add), vec![relu, silu])?;
        let difference = graph.add_node("difference", Op::Binary(BinaryOp::Sub), vec![relu, relu])?;
        let clip = graph.add_node("clip", Op::Activation(Activation::Clip(-1.0, 1.0)), vec![image])?;
        let known = non_negative(&graph);
        let found = [relu, sum, silu, mixed, difference, clip].map(|v| known.contains(&graph.value(v).name));
        assert_eq!(found, [true, true, false, false, false, false]);
        Ok(())
    }
}
