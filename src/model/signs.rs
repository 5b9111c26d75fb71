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

/// Whether an op gives only values of zero and more, given which of its inputs are such. Every op is named, so that a
/// new one has to say.
fn makes_non_negative(node: &Node, is: &dyn Fn(&ValueId) -> bool) -> bool {
    let every = || node.inputs.iter().all(is);
    let input = |i: usize| node.inputs.get(i).is_some_and(is);
    match &node.op {
        Op::Activation(activation) => match sign(*activation) {
            Sign::Cut => true,
            Sign::Kept => every(),
            Sign::Open => false,
        },
        // Their weights have either sign, so that only what is applied last counts.
        Op::Conv2d(conv) => matches!(sign(conv.activation), Sign::Cut),
        Op::Linear(linear) => matches!(sign(linear.activation), Sign::Cut),
        Op::Softmax { .. } => true,
        Op::Binary(op) => match op {
            BinaryOp::Greater | BinaryOp::Equal => true,
            BinaryOp::Add | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Min => every(),
            BinaryOp::Max => input(0) || input(1),
            BinaryOp::Pow | BinaryOp::Keep => input(0),
            BinaryOp::Sub => false,
        },
        Op::Reduce { kind, .. } => match kind {
            ReduceKind::Mean | ReduceKind::Sum | ReduceKind::Max | ReduceKind::Min | ReduceKind::Product => every(),
        },
        Op::MatMul | Op::Pool2d(_) | Op::Reshape(_) | Op::Transpose { .. } | Op::Concat { .. } => every(),
        Op::Slice { .. } | Op::Gather { .. } => every(),
        Op::Pad { value, .. } => *value >= 0.0 && every(),
        // A weighted mean of the third input's rows.
        Op::Attention(_) => input(2),
        Op::LayerNorm(_) => false,
        // Zero is a level and stays one; what is above stays there.
        Op::Quantize(q) => q.dequantize && q.range[1] >= q.zero && every(),
    }
}

/// What an activation does to signs.
enum Sign {
    /// Nothing below zero comes out.
    Cut,
    /// Values of zero and more stay so.
    Kept,
    /// Neither.
    Open,
}

fn sign(activation: Activation) -> Sign {
    match activation {
        Activation::Relu | Activation::Sigmoid | Activation::HardSigmoid(..) => Sign::Cut,
        Activation::Softplus | Activation::Exp | Activation::Sqrt | Activation::Abs => Sign::Cut,
        Activation::Clip(lo, hi) if lo >= 0.0 && hi >= 0.0 => Sign::Cut,
        Activation::Clip(_, hi) if hi >= 0.0 => Sign::Kept,
        Activation::Threshold(threshold) if threshold >= 0.0 => Sign::Cut,
        Activation::None | Activation::HardSwish | Activation::Silu | Activation::Swish(_) => Sign::Kept,
        Activation::LeakyRelu(_) | Activation::Elu(_) | Activation::Threshold(_) => Sign::Kept,
        Activation::Gelu | Activation::GeluTanh | Activation::Mish | Activation::Tanh | Activation::Erf => Sign::Kept,
        Activation::Floor | Activation::Round => Sign::Kept,
        Activation::Clip(..) | Activation::Log => Sign::Open,
    }
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
        let largest = graph.add_node("largest", Op::Binary(BinaryOp::Max), vec![relu, image])?;
        let root = graph.add_node("root", Op::Activation(Activation::Sqrt), vec![image])?;
        let logarithm = graph.add_node("logarithm", Op::Activation(Activation::Log), vec![relu])?;
        let axes = vec![1];
        let smallest = Op::Reduce { kind: ReduceKind::Min, axes, keep_dims: true };
        let smallest = graph.add_node("smallest", smallest, vec![relu])?;
        let known = non_negative(&graph);
        let is = |v: ValueId| known.contains(&graph.value(v).name);
        assert_eq!([relu, sum, largest, root, smallest].map(is), [true; 5]);
        assert_eq!([silu, mixed, difference, clip, logarithm].map(is), [false; 5]);
        Ok(())
    }
}
