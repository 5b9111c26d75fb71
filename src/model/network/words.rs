//! Operators in ONNX's words, with the attributes that distinguish two of a kind.

use crate::graph::{Activation, BinaryOp, Graph, Node, Op, PoolKind, ReduceKind};

/// The operator, and a few words on it, which may be none.
pub(super) fn of(graph: &Graph, node: &Node) -> (&'static str, String) {
    let dims = |i: usize| node.inputs.get(i).map_or(&[][..], |&v| graph.value(v).shape.dims());
    let x = dims(0);
    match &node.op {
        Op::Conv2d(conv) => {
            let mut says = vec![match dims(1) {
                [.., h, w] => format!("{h} x {w}"),
                _ => String::new(),
            }];
            let depthwise = node.inputs.get(1).is_some_and(|&w| node.op.is_depthwise(&graph.value(w).shape));
            match conv.groups {
                1 => {}
                _ if depthwise => says.push("depthwise".into()),
                groups => says.push(format!("{groups} groups")),
            }
            says.extend(steps(conv.strides, conv.dilations));
            ("Conv", says.join(", "))
        }
        Op::Linear(_) => (
            "Gemm",
            match dims(1) {
                [o, i] => format!("{i} -> {o}"),
                _ => String::new(),
            },
        ),
        Op::MatMul => ("MatMul", String::new()),
        Op::Activation(activation) => function(*activation),
        Op::Binary(op) => (binary(*op), String::new()),
        Op::Pool2d(pool) => {
            let op = match pool.kind {
                PoolKind::Max => "MaxPool",
                PoolKind::Average { .. } => "AveragePool",
            };
            let [h, w] = pool.kernel;
            let mut says = vec![format!("{h} x {w}")];
            says.extend(steps(pool.strides, pool.dilations));
            (op, says.join(", "))
        }
        Op::Reduce { kind, axes, .. } => match (kind, x.len(), axes.as_slice()) {
            (ReduceKind::Mean, 4, [2, 3]) => ("GlobalAveragePool", String::new()),
            (ReduceKind::Max, 4, [2, 3]) => ("GlobalMaxPool", String::new()),
            _ => (reduction(*kind), over(axes)),
        },
        Op::Softmax { .. } => ("Softmax", String::new()),
        Op::Reshape(_) => ("Reshape", String::new()),
        Op::Transpose { perm } => ("Transpose", perm.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
        Op::Concat { axis } => (
            "Concat",
            match (x.len(), axis) {
                (4, 1) => format!("{} along channels", node.inputs.len()),
                (3, 1) => format!("{} along tokens", node.inputs.len()),
                _ => format!("{} along axis {axis}", node.inputs.len()),
            },
        ),
        Op::Pad { .. } => ("Pad", String::new()),
        Op::LayerNorm(norm) => match (x.len(), norm.axes.as_slice()) {
            (4, [2, 3]) => ("InstanceNormalization", String::new()),
            (5, [2, 3, 4]) => ("GroupNormalization", format!("{} groups", x[1])),
            _ => ("LayerNormalization", String::new()),
        },
        Op::Attention(_) => (
            "Attention",
            match x {
                [.., heads, _, depth] if x.len() >= 4 => format!("{heads} heads of {depth}"),
                [.., depth] => format!("one head of {depth}"),
                [] => String::new(),
            },
        ),
        Op::Slice { size, start, .. } => {
            let cut = (0..size.len()).find(|&a| size[a] != x[a]);
            ("Slice", cut.map_or_else(String::new, |a| part(x, a, start[a], size[a])))
        }
        Op::Gather { axis, indices } => (
            "Gather",
            match indices.as_slice() {
                &[one] => part(x, *axis, one, 1),
                many => format!("{} of {}", many.len(), x[*axis]),
            },
        ),
        Op::Quantize(_) => ("QuantizeLinear", String::new()),
    }
}

/// Why a value of this shape, whose cells are not known to lie in a grid, cannot be a target layer.
pub(super) fn why_not(dims: &[usize]) -> String {
    let reason = match dims {
        [_] | [_, _] | [_, _, 1, 1] | [_, 1, _] => "It has one value a channel: where things are in the image is gone.",
        [_, 1, _, _] => "It has a single channel, so there are no channels to weigh.",
        _ => "Its values do not lie as channels over a grid of places in the image (heads, windows, or mixed).",
    };
    reason.to_owned()
}

fn steps(strides: [usize; 2], dilations: [usize; 2]) -> Option<String> {
    let mut says = Vec::new();
    for (what, [h, w]) in [("stride", strides), ("dilation", dilations)] {
        match (h, w) {
            (1, 1) => {}
            _ if h == w => says.push(format!("{what} {h}")),
            _ => says.push(format!("{what} {h} x {w}")),
        }
    }
    (!says.is_empty()).then(|| says.join(", "))
}

fn part(x: &[usize], axis: usize, start: usize, size: usize) -> String {
    let all = x[axis];
    match (x.len(), axis, size) {
        (3, 1, 1) => format!("token {start} of {all}"),
        (3, 1, _) => format!("tokens {start} to {} of {all}", start + size - 1),
        (_, _, 1) => format!("{start} of {all} on axis {axis}"),
        _ => format!("{size} of {all} on axis {axis}"),
    }
}

fn over(axes: &[usize]) -> String {
    let axes: Vec<String> = axes.iter().map(ToString::to_string).collect();
    format!("over {} {}", if axes.len() == 1 { "axis" } else { "axes" }, axes.join(" and "))
}

fn function(activation: Activation) -> (&'static str, String) {
    let plain = |name| (name, String::new());
    match activation {
        Activation::None => plain("Identity"),
        Activation::Relu => plain("Relu"),
        Activation::Clip(lo, hi) if lo <= f32::MIN => ("Clip", format!("at most {hi}")),
        Activation::Clip(lo, hi) if hi >= f32::MAX => ("Clip", format!("at least {lo}")),
        Activation::Clip(lo, hi) => ("Clip", format!("{lo} to {hi}")),
        Activation::HardSwish => plain("HardSwish"),
        Activation::HardSigmoid(..) => plain("HardSigmoid"),
        Activation::Sigmoid => plain("Sigmoid"),
        Activation::Silu => plain("Swish"),
        Activation::LeakyRelu(slope) => ("LeakyRelu", format!("slope {slope}")),
        Activation::Tanh => plain("Tanh"),
        Activation::Swish(beta) => ("Swish", format!("beta {beta}")),
        Activation::Gelu => plain("Gelu"),
        Activation::GeluTanh => ("Gelu", "tanh".into()),
        Activation::Elu(_) => plain("Elu"),
        Activation::Softplus => plain("Softplus"),
        Activation::Mish => plain("Mish"),
        Activation::Threshold(t) => ("ThresholdedRelu", format!("{t}")),
        Activation::Erf => plain("Erf"),
        Activation::Exp => plain("Exp"),
        Activation::Log => plain("Log"),
        Activation::Sqrt => plain("Sqrt"),
        Activation::Abs => plain("Abs"),
        Activation::Floor => plain("Floor"),
        Activation::Round => plain("Round"),
    }
}

fn binary(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "Add",
        BinaryOp::Sub => "Sub",
        BinaryOp::Mul => "Mul",
        BinaryOp::Div => "Div",
        BinaryOp::Min => "Min",
        BinaryOp::Max => "Max",
        BinaryOp::Pow => "Pow",
        BinaryOp::Greater => "Greater",
        BinaryOp::Equal => "Equal",
        BinaryOp::Keep => "Where",
    }
}

fn reduction(kind: ReduceKind) -> &'static str {
    match kind {
        ReduceKind::Mean => "ReduceMean",
        ReduceKind::Sum => "ReduceSum",
        ReduceKind::Max => "ReduceMax",
        ReduceKind::Min => "ReduceMin",
        ReduceKind::Product => "ReduceProd",
    }
}
