//! Every rewrite must leave what the graph computes as it is, and must not swallow what is asked for.

use super::optimize;
use crate::engine::compare::relative_difference;
use crate::engine::reference::ReferenceEngine;
use crate::engine::{Engine, Mix};
use crate::graph::{Activation, BinaryOp, Conv2d, Graph, Linear, Op, Pool2d, PoolKind, ReduceKind, ValueId};
use crate::tensor::{Int8Tensor, Shape, Tensor};

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn tensor(&mut self, shape: &[usize]) -> Tensor {
        let len = shape.iter().product();
        let data = (0..len).map(|_| (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0).collect();
        Tensor::new(Shape::new(shape), data).unwrap()
    }
}

struct Builder {
    graph: Graph,
    rng: Rng,
}

impl Builder {
    fn new(seed: u64, shape: [usize; 4]) -> (Self, ValueId) {
        let mut graph = Graph::default();
        let x = graph.add_input("image", shape);
        (Self { graph, rng: Rng(seed) }, x)
    }

    fn node(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> ValueId {
        self.graph.add_node(name, op, inputs.to_vec()).unwrap()
    }

    fn act(&mut self, name: &str, x: ValueId, activation: Activation) -> ValueId {
        self.node(name, Op::Activation(activation), &[x])
    }

    fn conv(&mut self, name: &str, x: ValueId, outputs: usize, int8: bool) -> ValueId {
        let channels = self.graph.value(x).shape.dims()[1];
        let shape = [outputs, channels, 3, 3];
        let weight = match int8 {
            false => {
                let weight = self.rng.tensor(&shape);
                self.graph.add_constant("weight", weight)
            }
            true => {
                let data = (0..shape.iter().product()).map(|_| (self.rng.below(255) as i16 - 127) as i8).collect();
                let scales = (0..outputs).map(|i| 0.001 * (i + 1) as f32).collect();
                self.graph.add_int8("weight", Int8Tensor::new(shape, data, scales).unwrap())
            }
        };
        let bias = self.rng.tensor(&[outputs]);
        let bias = self.graph.add_constant("bias", bias);
        self.node(name, Op::Conv2d(plain()), &[x, weight, bias])
    }

    fn binary(&mut self, name: &str, op: BinaryOp, a: ValueId, b: ValueId) -> ValueId {
        self.node(name, Op::Binary(op), &[a, b])
    }

    /// A constant away from zero, so that it may be a divisor.
    fn constant(&mut self, shape: &[usize]) -> ValueId {
        let mut tensor = self.rng.tensor(shape);
        tensor.data_mut().iter_mut().for_each(|v| *v += 0.5f32.copysign(*v));
        self.graph.add_constant("constant", tensor)
    }

    fn number(&mut self, value: f32) -> ValueId {
        self.graph.add_constant("number", Tensor::new(Shape::default(), vec![value]).unwrap())
    }
}

fn plain() -> Conv2d {
    Conv2d {
        strides: [1, 1],
        dilations: [1, 1],
        pads: [1; 4],
        groups: 1,
        activation: Activation::None,
        residual: false,
    }
}

fn values(graph: &Graph, targets: &[ValueId]) -> Vec<Tensor> {
    let input = Rng(99).tensor(graph.value(graph.input.unwrap()).shape.dims());
    let targets: Vec<ValueId> = graph.input.into_iter().chain(targets.iter().copied()).collect();
    pollster::block_on(async {
        let mut program = ReferenceEngine.compile(graph, &targets).unwrap();
        let output = program.run(&input, &Mix::default()).await.unwrap();
        let mut found = Vec::new();
        for features in &output.features[1..] {
            found.push(program.read(features).await.unwrap());
        }
        found
    })
}

/// Optimises, checks that the targets come out as before, and returns the graph.
fn check(graph: Graph, targets: &[ValueId]) -> Graph {
    let before = values(&graph, targets);
    let names: Vec<String> = targets.iter().map(|&t| graph.value(t).name.clone()).collect();
    let optimised = optimize(graph, targets).unwrap();
    for ((before, after), name) in before.iter().zip(values(&optimised, targets)).zip(&names) {
        let off = relative_difference(after.data(), before.data());
        assert!(off < 1e-5 && after.shape() == before.shape(), "{name} is off by {off}");
        assert!(optimised.find(name).is_some());
    }
    optimised
}

fn ops(graph: &Graph) -> Vec<&'static str> {
    graph.nodes.iter().map(|n| n.op.name()).collect()
}

#[test]
fn convolution_residual_and_activation_become_one() {
    let (mut b, x) = Builder::new(1, [1, 4, 5, 6]);
    let y = b.conv("conv", x, 4, false);
    let sum = b.binary("sum", BinaryOp::Add, x, y);
    let relu = b.act("features", sum, Activation::Relu);
    let graph = check(b.graph, &[relu]);
    assert_eq!(ops(&graph), ["Conv2d"]);
    assert_eq!(graph.value(graph.nodes[0].output).name, "features");
    let Op::Conv2d(conv) = &graph.nodes[0].op else { panic!() };
    assert!(conv.residual && conv.activation == Activation::Relu);
}

#[test]
fn a_kept_value_stops_the_fusion() {
    let (mut b, x) = Builder::new(2, [1, 4, 5, 6]);
    let y = b.conv("conv", x, 4, false);
    let sum = b.binary("sum", BinaryOp::Add, x, y);
    let relu = b.act("relu", sum, Activation::Relu);
    let graph = check(b.graph, &[y, sum, relu]);
    assert_eq!(ops(&graph), ["Conv2d", "Add", "Activation"]);
}

#[test]
fn a_value_read_twice_stops_the_fusion() {
    let (mut b, x) = Builder::new(3, [1, 4, 5, 6]);
    let y = b.conv("conv", x, 4, false);
    let relu = b.act("relu", y, Activation::Relu);
    let sum = b.binary("sum", BinaryOp::Add, relu, y);
    let double = b.binary("double", BinaryOp::Add, sum, sum);
    let graph = check(b.graph, &[double]);
    assert_eq!(ops(&graph), ["Conv2d", "Activation", "Add", "Add"]);
}

#[test]
fn of_two_branches_one_takes_the_sum() {
    let (mut b, x) = Builder::new(4, [1, 3, 5, 6]);
    let left = b.conv("left", x, 4, true);
    let right = b.conv("right", x, 4, false);
    let sum = b.binary("sum", BinaryOp::Add, left, right);
    let relu = b.act("relu", sum, Activation::Clip(0.0, 6.0));
    assert_eq!(ops(&check(b.graph, &[relu])), ["Conv2d", "Conv2d"]);
}

#[test]
fn an_activation_before_the_sum_stays_before_it() {
    let (mut b, x) = Builder::new(5, [1, 4, 5, 6]);
    let y = b.conv("conv", x, 4, false);
    let y = b.act("relu", y, Activation::Relu);
    let sum = b.binary("sum", BinaryOp::Add, y, x);
    assert_eq!(ops(&check(b.graph, &[sum])), ["Conv2d", "Add"]);
}

#[test]
fn channel_wise_arithmetic_goes_into_the_weights() {
    for int8 in [false, true] {
        for op in [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div] {
            for (first, shape) in [(false, &[4, 1, 1][..]), (true, &[1, 4, 1, 1]), (false, &[]), (true, &[1])] {
                let (mut b, x) = Builder::new(6, [1, 3, 5, 4]);
                let y = b.conv("conv", x, 4, int8);
                let c = b.constant(shape);
                let y = if first { b.binary("y", op, c, y) } else { b.binary("y", op, y, c) };
                let y = b.act("relu", y, Activation::Relu);
                let graph = check(b.graph, &[y]);
                let expected = if first && op == BinaryOp::Div { 3 } else { 1 };
                assert_eq!(graph.nodes.len(), expected, "{op:?} {shape:?} {first}");
                let int8_left = graph.nodes.iter().any(|n| {
                    matches!(graph.value(n.inputs[1 % n.inputs.len()]).constant, Some(crate::graph::Constant::Int8(_)))
                });
                assert_eq!(int8_left, int8);
            }
        }
    }
}

#[test]
fn arithmetic_along_other_axes_stays() {
    // [4] lines up with the width, not with the channels.
    for shape in [&[4][..], &[5, 1], &[1, 5, 4], &[1, 4, 5, 4]] {
        let (mut b, x) = Builder::new(7, [1, 3, 5, 4]);
        let y = b.conv("conv", x, 4, false);
        let c = b.constant(shape);
        let y = b.binary("y", BinaryOp::Mul, y, c);
        assert_eq!(ops(&check(b.graph, &[y])), ["Conv2d", "Mul"]);
    }
}

#[test]
fn linear_takes_bias_scale_and_activation() {
    let (mut b, x) = Builder::new(8, [1, 6, 1, 1]);
    let x = b.node("flat", Op::Reshape(Shape::from([1, 6])), &[x]);
    let (weight, bias) = (b.constant(&[5, 6]), b.constant(&[5]));
    let y = b.node("linear", Op::Linear(Linear::default()), &[x, weight, bias]);
    let (scale, offset) = (b.constant(&[5]), b.constant(&[1, 5]));
    let y = b.binary("scaled", BinaryOp::Mul, y, scale);
    let y = b.binary("shifted", BinaryOp::Add, y, offset);
    let y = b.act("sigmoid", y, Activation::Sigmoid);
    assert_eq!(ops(&check(b.graph, &[y])), ["Reshape", "Linear"]);
}

#[test]
fn written_out_activations_are_recognised() {
    let (mut b, x) = Builder::new(9, [1, 3, 5, 4]);
    let y = b.conv("conv1", x, 4, false);
    let gate = b.act("sigmoid", y, Activation::Sigmoid);
    let y = b.binary("silu", BinaryOp::Mul, y, gate);
    let y = b.conv("conv2", y, 4, false);
    let gate = b.act("hard_sigmoid", y, Activation::HardSigmoid(1.0 / 6.0, 0.5));
    let y = b.binary("hard_swish", BinaryOp::Mul, gate, y);
    let y = b.conv("conv3", y, 4, false);
    let (three, six) = (b.number(3.0), b.number(6.0));
    let raised = b.binary("raised", BinaryOp::Add, y, three);
    let clip = b.act("clip", raised, Activation::Clip(0.0, 6.0));
    let product = b.binary("product", BinaryOp::Mul, y, clip);
    let y = b.binary("hard_swish2", BinaryOp::Div, product, six);
    let y = b.conv("conv4", y, 4, false);
    let raised = b.binary("raised2", BinaryOp::Add, three, y);
    let clip = b.act("clip2", raised, Activation::Clip(0.0, 6.0));
    let y = b.binary("hard_sigmoid2", BinaryOp::Div, clip, six);
    let graph = check(b.graph, &[y]);
    assert_eq!(ops(&graph), ["Conv2d"; 4]);
    let activations = graph.nodes.iter().map(|n| match &n.op {
        Op::Conv2d(c) => c.activation,
        _ => Activation::None,
    });
    let activations: Vec<Activation> = activations.collect();
    let hard = Activation::HardSigmoid(1.0 / 6.0, 0.5);
    assert_eq!(activations, [Activation::Silu, Activation::HardSwish, Activation::HardSwish, hard]);
}

#[test]
fn zero_padding_goes_into_the_convolution() {
    let pad = |value, channels| Op::Pad { before: vec![0, channels, 0, 1], after: vec![0, 0, 2, 3], value };
    for (value, channels, expected) in
        [(0.0, 0, &["Conv2d"][..]), (1.0, 0, &["Pad", "Conv2d"]), (0.0, 1, &["Pad", "Conv2d"])]
    {
        let (mut b, x) = Builder::new(10, [1, 3, 5, 4]);
        let y = b.node("pad", pad(value, channels), &[x]);
        let y = b.conv("conv", y, 4, false);
        assert_eq!(ops(&check(b.graph, &[y])), expected);
    }
}

#[test]
fn what_does_nothing_is_taken_out() {
    let (mut b, x) = Builder::new(11, [1, 3, 5, 4]);
    let same = || Op::Reshape(Shape::from([1, 4, 5, 4]));
    let y = b.conv("conv", x, 4, false);
    let y = b.node("dropout", same(), &[y]);
    let y = b.act("none", y, Activation::None);
    let y = b.act("relu", y, Activation::Relu);
    let y = b.node("last", Op::Transpose { perm: vec![0, 2, 3, 1] }, &[y]);
    let y = b.node("first", Op::Transpose { perm: vec![0, 3, 1, 2] }, &[y]);
    let features = b.node("features", same(), &[y]);
    let graph = check(b.graph, &[features]);
    // The one convolution computes what is asked for, under its name.
    assert_eq!(ops(&graph), ["Conv2d"]);
    assert_eq!(graph.value(graph.nodes[0].output).name, "features");
}

#[test]
fn two_names_of_one_value_both_stay() {
    let (mut b, x) = Builder::new(12, [1, 3, 5, 4]);
    let y = b.conv("conv", x, 4, false);
    let z = b.node("identity", Op::Reshape(Shape::from([1, 4, 5, 4])), &[y]);
    let image = b.node("image identity", Op::Reshape(Shape::from([1, 3, 5, 4])), &[x]);
    let graph = check(b.graph, &[y, z, image]);
    assert_eq!(ops(&graph), ["Conv2d", "Reshape", "Reshape"]);
}

#[test]
fn a_window_over_everything_is_a_mean() {
    let (mut b, x) = Builder::new(13, [1, 3, 5, 4]);
    let kind = PoolKind::Average { count_include_pad: false };
    let pool = Pool2d { kind, kernel: [5, 4], strides: [5, 4], dilations: [1, 1], pads: [0; 4] };
    let y = b.node("pool", Op::Pool2d(pool), &[x]);
    let y = b.node("flat", Op::Reshape(Shape::from([1, 3])), &[y]);
    let graph = check(b.graph, &[y]);
    assert!(matches!(graph.nodes[0].op, Op::Reduce { kind: ReduceKind::Mean, .. }));
}

#[test]
fn random_graphs_compute_the_same() {
    for seed in 0..150 {
        let (mut b, x) = Builder::new(1000 + seed, [1, 4, 6, 6]);
        let mut maps = vec![x];
        for i in 0..3 + b.rng.below(14) {
            let back = 1 + b.rng.below(maps.len().min(3));
            let (x, other) = (maps[maps.len() - back], maps[b.rng.below(maps.len())]);
            let name = &format!("n{i}");
            let y = match b.rng.below(9) {
                0 => b.act(name, x, Activation::Sigmoid),
                1 => b.act(name, x, Activation::Clip(-2.0, 2.0)),
                2 => b.binary(name, BinaryOp::Mul, x, other),
                3 | 4 => b.binary(name, BinaryOp::Add, x, other),
                5 => {
                    let op = [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul][b.rng.below(3)];
                    let shape: &[usize] = [&[4, 1, 1][..], &[], &[6]][b.rng.below(3)];
                    let c = b.constant(shape);
                    b.binary(name, op, x, c)
                }
                6 => b.node(name, Op::Reshape(Shape::from([1, 4, 6, 6])), &[x]),
                _ => {
                    let int8 = b.rng.below(2) == 0;
                    let y = b.conv(&format!("c{i}"), x, 4, int8);
                    // Values that grow without bound would hide differences.
                    b.act(name, y, Activation::Tanh)
                }
            };
            maps.push(y);
        }
        let middle = maps[1 + b.rng.below(maps.len() - 1)];
        check(b.graph, &[maps[maps.len() - 1], middle]);
    }
}
