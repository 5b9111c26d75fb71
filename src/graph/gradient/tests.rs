//! Every gradient against central differences of what the op computes.

use super::*;
use crate::graph::{Attention, LayerNorm, Pool2d, PoolKind, Quantize, ReduceKind};

/// Numbers in -1..1 that keep a distance from the kinks at 0 and from each other.
fn numbers(shape: impl Into<Shape>, seed: usize) -> Tensor {
    let shape = shape.into();
    let n = shape.len();
    // A permutation of n places (5, 7, 11, 13 have no factor in common with the lengths used), scaled, without 0.
    let place = |i: usize| (i * [5, 7, 11, 13][seed % 4] + seed * 3) % n;
    let data = (0..n).map(|i| (2.0 * place(i) as f32 + 1.0) / n as f32 - 1.0);
    let data = data.map(|v| if v.abs() < 0.04 { v + 0.08 } else { v }).collect();
    Tensor::new(shape, data).unwrap()
}

/// A graph from one layer (an activation computed from the image) to the op, with as many constants as it takes.
struct Case {
    graph: Graph,
    layer: ValueId,
}

impl Case {
    fn new(shape: impl Into<Shape>) -> Self {
        let mut graph = Graph::default();
        let layer = graph.add_input("layer", shape.into());
        Self { graph, layer }
    }

    fn constant(&mut self, shape: impl Into<Shape>, seed: usize) -> ValueId {
        self.graph.add_constant(format!("constant{seed}"), numbers(shape, seed))
    }

    fn op(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        self.graph.add_node(op.name(), op, inputs.to_vec()).unwrap()
    }

    /// Compares the gradient with central differences, for a random direction of the output.
    fn check(self, output: ValueId) {
        let tail = Tail::new(&self.graph, self.layer, output).unwrap();
        let x = numbers(self.graph.value(self.layer).shape.clone(), 2);
        let seed = numbers(tail.output_shape().clone(), 1);
        let found = tail.trace(&x, &[]).unwrap().gradient(seed.data()).unwrap();
        let value = |x: &Tensor| {
            let trace = tail.trace(x, &[]).unwrap();
            trace.output().data().iter().zip(seed.data()).map(|(&y, &s)| f64::from(y) * f64::from(s)).sum::<f64>()
        };
        let step = 1.0 / 256.0;
        let scale = found.data().iter().fold(0.1f64, |m, &v| m.max(f64::from(v).abs()));
        let name = tail.graph.nodes.iter().map(|n| n.op.name()).collect::<Vec<_>>().join(" ");
        let here = value(&x);
        let mut kinks = 0;
        for i in 0..x.data().len() {
            let slope = |by: f32| {
                let mut x = x.clone();
                x.data_mut()[i] += by;
                (value(&x) - here) / f64::from(by)
            };
            let (left, right) = (slope(-step), slope(step));
            // Between them lies a kink, where no difference tells the slope.
            if (left - right).abs() > 0.1 * scale {
                kinks += 1;
                continue;
            }
            let expected = (left + right) / 2.0;
            let off = (f64::from(found.data()[i]) - expected).abs() / scale;
            assert!(off < 2e-3, "{name}: derivative {i} is {}, and should be {expected}", found.data()[i]);
        }
        assert!(kinks * 8 <= x.data().len(), "{name}: {kinks} kinks of {}", x.data().len());
    }
}

fn conv(strides: [usize; 2], pads: [usize; 4], dilations: [usize; 2], groups: usize) -> Conv2d {
    Conv2d { strides, dilations, pads, groups, activation: Activation::None, residual: false }
}

#[test]
fn convolutions() {
    for (shape, kernel, conv) in [
        ([1, 4, 5, 6], [6, 4, 1, 1], conv([1, 1], [0; 4], [1, 1], 1)),
        ([1, 4, 5, 6], [6, 4, 3, 3], conv([1, 1], [1, 1, 1, 1], [1, 1], 1)),
        ([1, 4, 7, 6], [6, 4, 3, 2], conv([2, 3], [1, 0, 2, 1], [1, 1], 1)),
        ([1, 4, 7, 8], [6, 2, 3, 3], conv([1, 2], [2, 0, 1, 3], [2, 1], 2)),
        ([1, 4, 5, 6], [4, 1, 3, 3], conv([2, 2], [0, 0, 1, 1], [1, 1], 4)),
        ([1, 4, 5, 6], [6, 4, 1, 1], conv([2, 2], [0; 4], [1, 1], 1)),
        // Pads as wide as the kernel: whole windows lie outside.
        ([1, 2, 3, 3], [2, 2, 2, 2], conv([1, 1], [3, 3, 3, 3], [1, 1], 1)),
    ] {
        let mut case = Case::new(shape);
        let (weight, bias) = (case.constant(kernel, 0), case.constant([kernel[0]], 1));
        let y = case.op(Op::Conv2d(conv), &[case.layer, weight, bias]);
        case.check(y);
    }
}

#[test]
fn fused_layers_are_taken_apart() {
    let mut case = Case::new([1, 4, 5, 6]);
    let (weight, bias) = (case.constant([4, 4, 3, 3], 0), case.constant([4], 1));
    let fused = Conv2d { residual: true, activation: Activation::Silu, ..conv([1, 1], [1; 4], [1, 1], 1) };
    let y = case.op(Op::Conv2d(fused), &[case.layer, weight, bias, case.layer]);
    case.check(y);

    let mut case = Case::new([3, 6]);
    let (weight, bias) = (case.constant([5, 6], 0), case.constant([5], 1));
    let y = case.op(Op::Linear(Linear { activation: Activation::Tanh }), &[case.layer, weight, bias]);
    case.check(y);
}

#[test]
fn products() {
    let mut case = Case::new([2, 3, 4]);
    let other = case.constant([2, 4, 5], 0);
    let y = case.op(Op::MatMul, &[case.layer, other]);
    case.check(y);

    let mut case = Case::new([2, 3, 4]);
    let other = case.constant([2, 5, 3], 0);
    let y = case.op(Op::MatMul, &[other, case.layer]);
    case.check(y);

    // Broadcast: each matrix of the layer meets several, and the other way round.
    let mut case = Case::new([2, 1, 3, 4]);
    let other = case.constant([3, 4, 5], 0);
    let y = case.op(Op::MatMul, &[case.layer, other]);
    case.check(y);
    let mut case = Case::new([4, 5]);
    let other = case.constant([2, 3, 4], 0);
    let y = case.op(Op::MatMul, &[other, case.layer]);
    case.check(y);

    // A value times itself: both gradients are summed.
    let mut case = Case::new([2, 4, 4]);
    let y = case.op(Op::MatMul, &[case.layer, case.layer]);
    case.check(y);
}

#[test]
fn activations() {
    for activation in [
        Activation::None,
        Activation::Relu,
        Activation::Clip(-0.53, 0.47),
        Activation::HardSwish,
        Activation::HardSigmoid(0.9, 0.517),
        Activation::Sigmoid,
        Activation::Silu,
        Activation::LeakyRelu(0.2),
        Activation::Tanh,
        Activation::Swish(1.702),
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Elu(0.7),
        Activation::Softplus,
        Activation::Mish,
        Activation::Threshold(-5.0),
        Activation::Erf,
        Activation::Exp,
        Activation::Abs,
    ] {
        let mut case = Case::new([1, 3, 4, 5]);
        let y = case.op(Op::Activation(activation), &[case.layer]);
        case.check(y);
    }
}

#[test]
fn hard_activations_far_from_zero() {
    for activation in [Activation::HardSwish, Activation::HardSigmoid(0.2, 0.5), Activation::Clip(0.0, 6.0)] {
        let mut case = Case::new([1, 3, 4, 5]);
        let wide = case.graph.add_constant("wide", Tensor::new([1], vec![8.3]).unwrap());
        let x = case.op(Op::Binary(BinaryOp::Mul), &[case.layer, wide]);
        let y = case.op(Op::Activation(activation), &[x]);
        case.check(y);
    }
}

#[test]
fn functions_of_positive_values() {
    for activation in [Activation::Log, Activation::Sqrt] {
        let mut case = Case::new([1, 3, 4, 5]);
        let two = case.graph.add_constant("two", Tensor::new([1], vec![2.0]).unwrap());
        let x = case.op(Op::Binary(BinaryOp::Add), &[case.layer, two]);
        let y = case.op(Op::Activation(activation), &[x]);
        case.check(y);
    }
}

#[test]
fn rounding_counts_as_the_identity_within_its_range() {
    let slope =
        |dequantize, x| activation::quantized(&Quantize { scale: 0.5, zero: 1.0, range: [0.0, 3.0], dequantize }, x);
    assert_eq!([slope(true, 0.3), slope(false, 0.3), slope(true, 1.6), slope(true, -0.8)], [1.0, 2.0, 0.0, 0.0]);
    assert_eq!([slope(true, 1.2), slope(true, -0.6)], [1.0, 1.0], "beyond the last level, and rounded to it");
    assert_eq!(activation::derivative(Activation::Round, 0.3), 1.0);
}

#[test]
fn kinks_are_as_in_torch() {
    let slope = |activation, x| activation::derivative(activation, x);
    assert_eq!(slope(Activation::Relu, 0.0), 0.0);
    assert_eq!([slope(Activation::Clip(0.0, 6.0), 0.0), slope(Activation::Clip(0.0, 6.0), 6.0)], [0.0, 0.0]);
    assert_eq!(slope(Activation::LeakyRelu(0.1), 0.0), 0.1);
}

#[test]
fn binary_functions_broadcast() {
    for kind in [
        BinaryOp::Add,
        BinaryOp::Sub,
        BinaryOp::Mul,
        BinaryOp::Div,
        BinaryOp::Min,
        BinaryOp::Max,
        BinaryOp::Pow,
        BinaryOp::Keep,
    ] {
        for shape in [vec![1, 3, 4, 5], vec![1], vec![3, 1, 1], vec![2, 3, 4, 5]] {
            for first in [true, false] {
                let mut case = Case::new([1, 3, 4, 5]);
                // Far from 0, for a division.
                let mut other = numbers(Shape::new(shape.clone()), 3);
                other.data_mut().iter_mut().for_each(|v| *v = 2.0 + *v * 0.5);
                let other = case.graph.add_constant("other", other);
                let three = case.graph.add_constant("shift", Tensor::new([1], vec![2.113]).unwrap());
                let layer = case.op(Op::Binary(BinaryOp::Add), &[case.layer, three]);
                let y = case.op(Op::Binary(kind), &if first { [layer, other] } else { [other, layer] });
                case.check(y);
            }
        }
    }
    // A gate: the layer is broadcast against a function of itself.
    let mut case = Case::new([1, 3, 4, 5]);
    let mean = case.op(Op::Reduce { kind: ReduceKind::Mean, axes: vec![2, 3], keep_dims: true }, &[case.layer]);
    let y = case.op(Op::Binary(BinaryOp::Mul), &[case.layer, mean]);
    case.check(y);
}

#[test]
fn pools() {
    for kind in
        [PoolKind::Max, PoolKind::Average { count_include_pad: true }, PoolKind::Average { count_include_pad: false }]
    {
        for (kernel, strides, dilations, pads) in [
            ([2, 2], [2, 2], [1, 1], [0; 4]),
            ([3, 2], [1, 2], [1, 1], [1, 0, 1, 1]),
            ([2, 2], [1, 1], [2, 3], [1, 1, 0, 1]),
        ] {
            let mut case = Case::new([1, 3, 6, 7]);
            let y = case.op(Op::Pool2d(Pool2d { kind, kernel, strides, dilations, pads }), &[case.layer]);
            case.check(y);
        }
    }
}

#[test]
fn reductions_and_softmax() {
    for kind in [ReduceKind::Mean, ReduceKind::Sum, ReduceKind::Max, ReduceKind::Min, ReduceKind::Product] {
        for (axes, keep_dims) in [(vec![2, 3], true), (vec![2, 3], false), (vec![1], false), (vec![0, 1, 2, 3], true)] {
            let mut case = Case::new([1, 3, 4, 5]);
            let y = case.op(Op::Reduce { kind, axes, keep_dims }, &[case.layer]);
            case.check(y);
        }
    }
    for axis in 0..3 {
        let mut case = Case::new([2, 3, 4]);
        let y = case.op(Op::Softmax { axis }, &[case.layer]);
        case.check(y);
    }
}

#[test]
fn layer_norms() {
    for (axes, scale) in [(vec![2], vec![4]), (vec![1, 2], vec![3, 4]), (vec![1], vec![3, 1])] {
        let mut case = Case::new([2, 3, 4]);
        let (scale, bias) = (case.constant(Shape::new(scale.clone()), 0), case.constant(Shape::new(scale), 1));
        let y = case.op(Op::LayerNorm(LayerNorm { axes, epsilon: 1e-3 }), &[case.layer, scale, bias]);
        case.check(y);
    }
}

#[test]
fn attentions() {
    let op = |mask| Op::Attention(Attention { scale: 0.7, mask });
    for which in 0..3 {
        let mut case = Case::new([2, 3, 4]);
        let mut inputs = [case.constant([2, 3, 4], 0), case.constant([2, 3, 4], 1), case.constant([2, 3, 4], 3)];
        inputs[which] = case.layer;
        let y = case.op(op(false), &inputs);
        case.check(y);
    }
    // A mask that is broadcast over the heads, and one that is constant.
    let mut case = Case::new([1, 3, 5]);
    let inputs = [case.constant([2, 3, 4], 0), case.constant([2, 5, 4], 1), case.constant([2, 5, 6], 3), case.layer];
    let y = case.op(op(true), &inputs);
    case.check(y);
    let mut case = Case::new([2, 3, 4]);
    let mask = case.constant([3, 3], 0);
    let y = case.op(op(true), &[case.layer, case.layer, case.layer, mask]);
    case.check(y);
}

#[test]
fn parts() {
    let mut case = Case::new([2, 5, 4]);
    let slice = Op::Slice { start: vec![1, 4, 0], step: vec![1, -2, 3], size: vec![1, 3, 2] };
    let y = case.op(slice, &[case.layer]);
    case.check(y);
    let mut case = Case::new([2, 5, 4]);
    let y = case.op(Op::Gather { axis: 1, indices: vec![3, 0, 3] }, &[case.layer]);
    case.check(y);
}

#[test]
fn equal_maxima_share() {
    let mut graph = Graph::default();
    let layer = graph.add_input("layer", [1, 1, 1, 3]);
    let max = Op::Reduce { kind: ReduceKind::Max, axes: vec![3], keep_dims: false };
    let y = graph.add_node("max", max, vec![layer]).unwrap();
    let tail = Tail::new(&graph, layer, y).unwrap();
    let trace = tail.trace(&Tensor::new([1, 1, 1, 3], vec![2.0, 1.0, 2.0]).unwrap(), &[]).unwrap();
    assert_eq!(trace.gradient(&[1.0]).unwrap().data(), [0.5, 0.0, 0.5]);
}

#[test]
fn moved_values() {
    let mut case = Case::new([2, 3, 4]);
    let y = case.op(Op::Reshape(Shape::from([4, 6])), &[case.layer]);
    let y = case.op(Op::Transpose { perm: vec![1, 0] }, &[y]);
    case.check(y);

    let mut case = Case::new([2, 3, 4]);
    let y = case.op(Op::Transpose { perm: vec![2, 0, 1] }, &[case.layer]);
    case.check(y);

    let mut case = Case::new([2, 3, 4]);
    let other = case.constant([2, 2, 4], 0);
    let twice = case.op(Op::Concat { axis: 1 }, &[case.layer, other, case.layer]);
    case.check(twice);

    let mut case = Case::new([2, 3, 4]);
    let pad = Op::Pad { before: vec![1, 0, 2], after: vec![0, 1, 1], value: 0.5 };
    let y = case.op(pad, &[case.layer]);
    case.check(y);
}

/// image -> a -> b; c = a + b; the tail from b to c reads a beside its layer.
fn around() -> (Graph, ValueId, ValueId) {
    let mut graph = Graph::default();
    let image = graph.add_input("image", [1, 2, 2, 2]);
    let a = graph.add_node("a", Op::Activation(Activation::Tanh), vec![image]).unwrap();
    let b = graph.add_node("b", Op::Activation(Activation::Sigmoid), vec![a]).unwrap();
    let c = graph.add_node("c", Op::Binary(BinaryOp::Mul), vec![a, b]).unwrap();
    (graph, b, c)
}

#[test]
fn a_path_around_the_layer_is_read_and_not_differentiated() {
    let (graph, b, c) = around();
    let tail = Tail::new(&graph, b, c).unwrap();
    assert_eq!(tail.sides(), ["a"]);
    let (a, b) = (numbers([1, 2, 2, 2], 0), numbers([1, 2, 2, 2], 1));
    let gradient = tail.trace(&b, std::slice::from_ref(&a)).unwrap().gradient(&[1.0; 8]).unwrap();
    assert_eq!(gradient.data(), a.data());
    assert!(tail.trace(&b, &[]).is_err_and(|e| e.to_string().contains("[1, 2, 2, 2]")));
    let closed = tail.with_sides(&[a]).unwrap();
    assert!(closed.sides().is_empty() && closed.graph().nodes.len() == 1);
}

#[test]
fn a_value_before_the_layer_has_no_gradient() {
    let (graph, b, c) = around();
    let message = Tail::new(&graph, c, b).unwrap_err().to_string();
    assert!(message.contains("\"b\" is not computed from \"c\""), "{message}");
    // The layer itself is the shortest tail.
    let trivial = Tail::new(&graph, b, b).unwrap();
    let x = numbers([1, 2, 2, 2], 0);
    assert_eq!(trivial.trace(&x, &[]).unwrap().gradient(&[2.0; 8]).unwrap().data(), [2.0; 8]);
}

#[test]
fn one_output_is_selected() {
    let mut case = Case::new([1, 6]);
    let (weight, bias) = (case.constant([5, 6], 0), case.constant([5], 1));
    let y = case.op(Op::Linear(Linear::default()), &[case.layer, weight, bias]);
    let z = case.op(Op::Softmax { axis: 1 }, &[y]);
    for output in [y, z] {
        let whole = Tail::new(&case.graph, case.layer, output).unwrap();
        let one = whole.select(3).unwrap();
        let x = numbers([1, 6], 2);
        let (whole, one) = (whole.trace(&x, &[]).unwrap(), one.trace(&x, &[]).unwrap());
        assert!((whole.output().data()[3] - one.output().data()[0]).abs() < 1e-6);
        let (a, b) = (whole.gradient(&[0.0, 0.0, 0.0, 1.0, 0.0]).unwrap(), one.gradient(&[1.0]).unwrap());
        a.data().iter().zip(b.data()).for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{a} {b}"));
    }
    assert!(Tail::new(&case.graph, case.layer, y).unwrap().select(5).is_err());
}

#[test]
fn affine_tails_are_known() {
    let mut case = Case::new([1, 3, 4, 5]);
    let mean = case.op(Op::Reduce { kind: ReduceKind::Mean, axes: vec![2, 3], keep_dims: false }, &[case.layer]);
    let (weight, bias) = (case.constant([5, 3], 0), case.constant([5], 1));
    let linear = case.op(Op::Linear(Linear::default()), &[mean, weight, bias]);
    let softmax = case.op(Op::Softmax { axis: 1 }, &[linear]);
    let affine = |to| Tail::new(&case.graph, case.layer, to).unwrap().is_affine();
    assert_eq!((affine(linear), affine(softmax)), (true, false));
}
