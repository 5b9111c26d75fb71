//! The op problems: a table of the cases that are easy to get wrong, and random ones from a fixed seed.

use famlens::engine::{Gate, Mix, Pooling};
use famlens::graph::{Activation, BinaryOp, Conv2d, Graph, Linear, Op, Pool2d, PoolKind, ReduceKind, ValueId};
use famlens::tensor::{Int8Tensor, Shape, Tensor};

/// How close an engine must come to the reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tolerance {
    /// Bit for bit: values are only moved, compared or clipped.
    Exact,
    /// Rounding of float arithmetic in another order.
    F32,
    /// As F32, with int8 weights (whose scale may be applied before or after the sum).
    Int8,
}

/// A graph, an input and what to ask for.
pub struct Problem {
    pub name: String,
    pub graph: Graph,
    pub targets: Vec<ValueId>,
    pub input: Tensor,
    pub mix: Mix,
    pub tolerance: Tolerance,
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same numbers in every run and on every machine.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// Uniform in `-1..1`.
    pub fn signed(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn tensor(&mut self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let data = (0..shape.len()).map(|_| self.signed()).collect();
        Tensor::new(shape, data).unwrap()
    }
}

/// Builds the graph of one problem; every weight comes from the problem's own generator.
struct Builder {
    rng: Rng,
    graph: Graph,
    input: Tensor,
    last: ValueId,
    int8: bool,
}

impl Builder {
    fn new(seed: u64, shape: [usize; 4]) -> Self {
        let mut rng = Rng(seed);
        let mut graph = Graph::default();
        let last = graph.add_input("image", shape);
        let input = rng.tensor(shape);
        Self { rng, graph, input, last, int8: false }
    }

    fn int8(mut self) -> Self {
        self.int8 = true;
        self
    }

    fn shape(&self) -> Vec<usize> {
        self.graph.value(self.last).shape.dims().to_vec()
    }

    fn name(&self, op: &Op) -> String {
        format!("{}{}", op.name().to_lowercase(), self.graph.nodes.len())
    }

    fn push(&mut self, op: Op, inputs: Vec<ValueId>) -> ValueId {
        let name = self.name(&op);
        self.last = self.graph.add_node(name, op, inputs).unwrap();
        self.last
    }

    fn op(mut self, op: Op) -> Self {
        self.push(op, vec![self.last]);
        self
    }

    fn weight(&mut self, shape: &[usize]) -> ValueId {
        let name = format!("w{}", self.graph.values.len());
        if !self.int8 {
            let tensor = self.rng.tensor(Shape::new(shape));
            return self.graph.add_constant(name, tensor);
        }
        let len = shape.iter().product();
        // The ends of the range are the values that packing gets wrong: make sure that they are there.
        let data = (0..len).map(|i: usize| match i % 11 {
            3 => -127,
            5 => 127,
            _ => (self.rng.below(255) as i16 - 127) as i8,
        });
        let data: Vec<i8> = data.collect();
        // Scales that differ by channel, so that a mixed-up channel shows.
        let scales = (0..shape[0]).map(|_| (0.2 + self.rng.signed().abs()) / 127.0).collect();
        self.graph.add_int8(name, Int8Tensor::new(Shape::new(shape), data, scales).unwrap())
    }

    fn bias(&mut self, len: usize) -> ValueId {
        let tensor = self.rng.tensor([len]);
        let name = format!("b{}", self.graph.values.len());
        self.graph.add_constant(name, tensor)
    }

    fn constant(&mut self, shape: &[usize]) -> ValueId {
        // Away from zero: it may be a divisor.
        let mut tensor = self.rng.tensor(Shape::new(shape));
        tensor.data_mut().iter_mut().for_each(|v| *v += 0.5f32.copysign(*v));
        let name = format!("c{}", self.graph.values.len());
        self.graph.add_constant(name, tensor)
    }

    fn conv_of(&mut self, x: ValueId, outputs: usize, kernel: [usize; 2], conv: Conv2d, residual: Option<ValueId>) {
        let channels = self.graph.value(x).shape.dims()[1];
        let weight = self.weight(&[outputs, channels / conv.groups, kernel[0], kernel[1]]);
        let bias = self.bias(outputs);
        let inputs = [x, weight, bias].into_iter().chain(residual).collect();
        self.push(Op::Conv2d(Conv2d { residual: residual.is_some(), ..conv }), inputs);
    }

    fn conv(mut self, outputs: usize, kernel: [usize; 2], conv: Conv2d) -> Self {
        self.conv_of(self.last, outputs, kernel, conv, None);
        self
    }

    fn linear(mut self, outputs: usize, activation: Activation) -> Self {
        let k = *self.shape().last().unwrap();
        let (x, weight) = (self.last, self.weight(&[outputs, k]));
        let bias = self.bias(outputs);
        self.push(Op::Linear(Linear { activation }), vec![x, weight, bias]);
        self
    }

    fn act(self, activation: Activation) -> Self {
        self.op(Op::Activation(activation))
    }

    fn reshape(self, shape: impl Into<Shape>) -> Self {
        self.op(Op::Reshape(shape.into()))
    }

    fn transpose(self, perm: &[usize]) -> Self {
        self.op(Op::Transpose { perm: perm.to_vec() })
    }

    fn with_constant(mut self, kind: BinaryOp, shape: &[usize], constant_first: bool) -> Self {
        let (x, c) = (self.last, self.constant(shape));
        self.push(Op::Binary(kind), if constant_first { vec![c, x] } else { vec![x, c] });
        self
    }

    /// The problem with the last value as its only target.
    fn done(self, name: impl Into<String>, tolerance: Tolerance) -> Problem {
        let targets = vec![self.last];
        self.targets(name, tolerance, targets)
    }

    /// The problem with several targets. A target without channels is looked at beside the input, which has some.
    fn targets(mut self, name: impl Into<String>, tolerance: Tolerance, mut targets: Vec<ValueId>) -> Problem {
        if self.graph.value(targets[0]).shape.chw().is_none() {
            // The mix is over the first target; an activation beside the problem gives it something to mix.
            let image = self.graph.input.unwrap();
            targets.insert(0, self.push(Op::Activation(Activation::Relu), vec![image]));
        }
        let (channels, ..) = self.graph.value(targets[0]).shape.chw().unwrap();
        let directions = (0..2).map(|_| (0..channels).map(|_| self.rng.signed()).collect()).collect();
        let mix = Mix { directions, normalise: true, ..Mix::default() };
        Problem { name: name.into(), graph: self.graph, targets, input: self.input, mix, tolerance }
    }
}

pub fn conv(kernel: usize) -> Conv2d {
    Conv2d {
        strides: [1, 1],
        dilations: [1, 1],
        pads: [kernel / 2; 4],
        groups: 1,
        activation: Activation::None,
        residual: false,
    }
}

fn pool(kind: PoolKind, kernel: usize, stride: usize, pads: [usize; 4]) -> Op {
    Op::Pool2d(Pool2d { kind, kernel: [kernel; 2], strides: [stride; 2], dilations: [1, 1], pads })
}

fn reduce(kind: ReduceKind, axes: &[usize], keep_dims: bool) -> Op {
    Op::Reduce { kind, axes: axes.to_vec(), keep_dims }
}

const ACTIVATIONS: [Activation; 10] = [
    Activation::None,
    Activation::Relu,
    Activation::Clip(0.0, 6.0),
    Activation::Clip(-0.5, 0.25),
    Activation::HardSwish,
    Activation::HardSigmoid(0.2, 0.5),
    Activation::Sigmoid,
    Activation::Silu,
    Activation::LeakyRelu(0.1),
    Activation::Tanh,
];

/// All problems, in a fixed order.
pub fn problems() -> Vec<Problem> {
    let mut all = Vec::new();
    convolutions(&mut all);
    linears(&mut all);
    element_wise(&mut all);
    windows_and_reductions(&mut all);
    moves(&mut all);
    chains(&mut all);
    mixes(&mut all);
    all.extend((0..60).map(random_convolution));
    all.extend((0..40).map(random_chain));
    all
}

fn convolutions(all: &mut Vec<Problem>) {
    use Tolerance::{F32, Int8};
    // Channel counts on both sides of every group of four, and around a GPU's and a SIMD register's width.
    for (c, o) in [(1, 1), (3, 5), (4, 4), (5, 3), (7, 17), (17, 7), (32, 16), (33, 65), (96, 24)] {
        all.push(Builder::new(1, [1, c, 6, 5]).conv(o, [1, 1], conv(1)).done(format!("pointwise {c} to {o}"), F32));
        let b = Builder::new(2, [1, c, 6, 5]).int8().conv(o, [1, 1], conv(1));
        all.push(b.done(format!("pointwise {c} to {o}, int8"), Int8));
        all.push(Builder::new(3, [1, c, 7, 6]).conv(o, [3, 3], conv(3)).done(format!("3x3 {c} to {o}"), F32));
        let b = Builder::new(4, [1, c, 7, 6]).int8().conv(o, [3, 3], conv(3));
        all.push(b.done(format!("3x3 {c} to {o}, int8"), Int8));
    }
    for c in [2, 3, 4, 5, 7, 8, 17, 32, 67] {
        for kernel in [3, 5, 7] {
            let depthwise = Conv2d { groups: c, activation: Activation::Clip(0.0, 6.0), ..conv(kernel) };
            let b = Builder::new(5, [1, c, 9, 11]).conv(c, [kernel; 2], depthwise.clone());
            all.push(b.done(format!("depthwise {c} channels {kernel}x{kernel}"), F32));
            let asymmetric =
                Conv2d { strides: [2, 2], pads: [kernel / 2 - 1, kernel / 2 - 1, kernel / 2, kernel / 2], ..depthwise };
            let b = Builder::new(6, [1, c, 10, 8]).int8().conv(c, [kernel; 2], asymmetric);
            all.push(b.done(format!("depthwise {c} channels {kernel}x{kernel}, stride 2, SAME pads, int8"), Int8));
        }
    }
    // A plane wide enough for the inner loops of every width and narrow enough for none.
    for (h, w) in [(1, 1), (1, 9), (9, 1), (2, 2), (3, 33), (40, 5), (28, 28)] {
        let depthwise = Conv2d { groups: 6, ..conv(3) };
        let b = Builder::new(7, [1, 6, h, w]).int8().conv(6, [3, 3], depthwise);
        all.push(b.done(format!("depthwise 3x3 over {h}x{w}, int8"), Int8));
        let b = Builder::new(8, [1, 6, h, w]).int8().conv(10, [3, 3], conv(3));
        all.push(b.done(format!("3x3 over {h}x{w}, int8"), Int8));
        let b = Builder::new(9, [1, 13, h, w]).int8().conv(11, [1, 1], conv(1));
        all.push(b.done(format!("pointwise over {h}x{w}, int8"), Int8));
    }
    let stem = Conv2d { strides: [2, 2], pads: [0, 0, 1, 1], activation: Activation::Clip(0.0, 6.0), ..conv(3) };
    all.push(Builder::new(10, [1, 3, 32, 32]).conv(32, [3, 3], stem.clone()).done("stem 3x3 stride 2, SAME pads", F32));
    let b = Builder::new(11, [1, 3, 33, 31]).int8().conv(32, [3, 3], stem);
    all.push(b.done("stem on an odd size, int8", Int8));
    let b = Builder::new(12, [1, 3, 30, 30]).conv(8, [7, 7], Conv2d { strides: [2, 2], ..conv(7) });
    all.push(b.done("7x7 stride 2 (ResNet stem)", F32));
    let b = Builder::new(13, [1, 6, 11, 12]).conv(9, [3, 3], Conv2d { groups: 3, ..conv(3) });
    all.push(b.done("3 groups", F32));
    let b = Builder::new(14, [1, 8, 11, 12]).int8().conv(16, [3, 3], Conv2d { groups: 4, ..conv(3) });
    all.push(b.done("4 groups of 2 to 4, int8", Int8));
    let b = Builder::new(15, [1, 5, 8, 8]).conv(15, [3, 3], Conv2d { groups: 5, ..conv(3) });
    all.push(b.done("depthwise with channel multiplier 3", F32));
    let b =
        Builder::new(16, [1, 5, 12, 12]).conv(6, [3, 3], Conv2d { dilations: [2, 3], pads: [2, 3, 2, 3], ..conv(3) });
    all.push(b.done("dilation 2x3", F32));
    let dilated = Conv2d { dilations: [2, 2], pads: [2; 4], groups: 6, ..conv(3) };
    all.push(Builder::new(17, [1, 6, 12, 12]).int8().conv(6, [3, 3], dilated).done("dilated depthwise, int8", Int8));
    let b = Builder::new(18, [1, 4, 9, 9]).conv(6, [1, 5], Conv2d { pads: [0, 2, 0, 2], ..conv(1) });
    all.push(b.done("1x5 kernel", F32));
    let b = Builder::new(19, [1, 4, 9, 9]).conv(6, [4, 2], Conv2d { strides: [3, 1], pads: [0, 1, 3, 0], ..conv(1) });
    all.push(b.done("4x2 kernel, stride 3x1, pads on all sides different", F32));
    let b = Builder::new(20, [1, 5, 8, 8]).conv(7, [1, 1], Conv2d { strides: [2, 2], ..conv(1) });
    all.push(b.done("pointwise stride 2 (ResNet shortcut)", F32));
    let b = Builder::new(21, [1, 5, 8, 8]).int8().conv(7, [1, 1], Conv2d { pads: [1; 4], ..conv(1) });
    all.push(b.done("pointwise with padding, int8", Int8));
    let b = Builder::new(22, [1, 3, 16, 16]).conv(10, [8, 8], Conv2d { strides: [8, 8], pads: [0; 4], ..conv(8) });
    all.push(b.done("8x8 patches (ViT stem)", F32));
    let b = Builder::new(23, [1, 6, 4, 4]).conv(5, [4, 4], Conv2d { pads: [0; 4], ..conv(4) });
    all.push(b.done("kernel as large as the input", F32));

    for (i, activation) in ACTIVATIONS.into_iter().enumerate() {
        for int8 in [false, true] {
            let mut b = Builder::new(24 + i as u64, [1, 6, 5, 5]);
            b.int8 = int8;
            let b = b.conv(9, [1, 1], Conv2d { activation, ..conv(1) });
            let kind = if int8 { Int8 } else { F32 };
            all.push(b.done(format!("pointwise with {activation:?}{}", if int8 { ", int8" } else { "" }), kind));
        }
        let mut b = Builder::new(40 + i as u64, [1, 9, 5, 7]).int8();
        let image = b.last;
        b.conv_of(image, 9, [1, 1], Conv2d { activation, ..conv(1) }, Some(image));
        all.push(b.done(format!("pointwise with residual and {activation:?}, int8"), Int8));
        let mut b = Builder::new(60 + i as u64, [1, 9, 5, 7]);
        b.conv_of(image, 9, [3, 3], Conv2d { activation, groups: 9, ..conv(3) }, Some(image));
        all.push(b.done(format!("depthwise with residual and {activation:?}"), F32));
        let mut b = Builder::new(80 + i as u64, [1, 9, 5, 7]);
        b.conv_of(image, 9, [3, 3], Conv2d { activation, ..conv(3) }, Some(image));
        all.push(b.done(format!("3x3 with residual and {activation:?}"), F32));
    }
}

fn linears(all: &mut Vec<Problem>) {
    use Tolerance::{F32, Int8};
    for (k, o) in [(1, 1), (3, 5), (7, 17), (17, 7), (64, 10), (130, 33)] {
        let flat = |seed| Builder::new(seed, [1, k, 1, 1]).reshape([1, k]);
        all.push(flat(100).linear(o, Activation::None).done(format!("linear {k} to {o}"), F32));
        let b = flat(101).int8().linear(o, Activation::Relu);
        all.push(b.done(format!("linear {k} to {o} with Relu, int8"), Int8));
    }
    let tokens = |seed| Builder::new(seed, [1, 5, 3, 4]).reshape([1, 5, 12]).transpose(&[0, 2, 1]);
    all.push(tokens(102).linear(7, Activation::None).done("linear over 12 tokens", F32));
    all.push(tokens(103).int8().linear(7, Activation::Silu).done("linear over 12 tokens with Silu, int8", Int8));
    let b = Builder::new(104, [1, 6, 3, 5]).reshape([6, 15]).linear(4, Activation::None);
    all.push(b.done("linear over a matrix", F32));

    for (m, k, n) in [(1, 1, 1), (3, 5, 7), (8, 16, 4), (17, 9, 5)] {
        // As in attention: x y^T and x^T y of activations that come from one image.
        let mut b = Builder::new(105, [1, 2, m, k]);
        let x = b.last;
        let transposed = b.push(Op::Transpose { perm: vec![0, 1, 3, 2] }, vec![x]);
        let gram = b.push(Op::MatMul, vec![x, transposed]);
        b.last = x;
        let mut b = b.linear(n, Activation::None);
        let y = b.last;
        let product = b.push(Op::MatMul, vec![transposed, y]);
        all.push(b.targets(format!("matrix products of {m}x{k} and {m}x{n}"), F32, vec![gram, product]));
    }
}

fn element_wise(all: &mut Vec<Problem>) {
    use Tolerance::{Exact, F32};
    for activation in ACTIVATIONS {
        let exact = matches!(activation, Activation::None | Activation::Relu | Activation::Clip(..));
        let tolerance = if exact { Exact } else { F32 };
        let b = Builder::new(200, [1, 7, 5, 3]).act(activation);
        all.push(b.done(format!("{activation:?} over 7 channels"), tolerance));
        let b = Builder::new(201, [1, 3, 5, 2]).reshape([5, 6]).act(activation);
        all.push(b.done(format!("{activation:?} over a matrix"), tolerance));
    }
    let mut b = Builder::new(202, [1, 3, 4, 4]);
    b.input.data_mut().iter_mut().for_each(|v| *v *= 40.0);
    let image = b.last;
    let targets = [Activation::Sigmoid, Activation::Silu, Activation::Tanh, Activation::HardSwish]
        .map(|a| b.push(Op::Activation(a), vec![image]));
    all.push(b.targets("activations far from zero", F32, targets.to_vec()));

    for kind in [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div] {
        for c in [3, 4, 9] {
            let mut b = Builder::new(203, [1, c, 5, 6]);
            let x = b.last;
            // A divisor away from zero.
            let y = b.push(Op::Activation(Activation::HardSigmoid(0.4, 0.5)), vec![x]);
            b.push(Op::Binary(kind), vec![x, y]);
            all.push(b.done(format!("{kind:?} of two activations, {c} channels"), F32));
            // Squeeze and excitation: one factor a channel.
            let mut b = Builder::new(204, [1, c, 5, 6]);
            let gate = b.push(reduce(ReduceKind::Mean, &[2, 3], true), vec![x]);
            let gate = b.push(Op::Activation(Activation::Sigmoid), vec![gate]);
            b.push(Op::Binary(kind), vec![x, gate]);
            all.push(b.done(format!("{kind:?} with one value a channel, {c} channels"), F32));
            // Spatial attention: one factor a cell.
            let mut b = Builder::new(205, [1, c, 5, 6]);
            let gate = b.push(reduce(ReduceKind::Max, &[1], true), vec![x]);
            let gate = b.push(Op::Activation(Activation::Sigmoid), vec![gate]);
            b.push(Op::Binary(kind), vec![x, gate]);
            all.push(b.done(format!("{kind:?} with one value a cell, {c} channels"), F32));
        }
        for shape in [&[][..], &[1], &[6], &[5, 6], &[7, 1, 1], &[1, 7, 1, 1], &[1, 7, 5, 6], &[1, 1, 5, 1]] {
            for first in [false, true] {
                let order = if first { "constant first" } else { "constant last" };
                if kind == BinaryOp::Div && first {
                    continue; // the image has values near zero
                }
                let b = Builder::new(206, [1, 7, 5, 6]).with_constant(kind, shape, first);
                all.push(b.done(format!("{kind:?} with a constant {shape:?}, {order}"), F32));
            }
        }
        let b = Builder::new(207, [1, 3, 2, 5]).reshape([6, 5]).with_constant(kind, &[5], false);
        all.push(b.done(format!("{kind:?} of a matrix and a row"), F32));
    }
    let mut b = Builder::new(208, [1, 4, 3, 5]);
    let x = b.last;
    let rows = b.push(reduce(ReduceKind::Max, &[3], true), vec![x]);
    let columns = b.push(reduce(ReduceKind::Max, &[2], true), vec![x]);
    b.push(Op::Binary(BinaryOp::Add), vec![rows, columns]);
    all.push(b.done("a sum where both sides are broadcast", F32));
}

fn windows_and_reductions(all: &mut Vec<Problem>) {
    use Tolerance::{Exact, F32};
    let average = |count_include_pad| PoolKind::Average { count_include_pad };
    for c in [1, 3, 4, 6, 17] {
        let pads = [(2, 2, [0; 4]), (3, 2, [1; 4]), (3, 1, [1; 4]), (3, 2, [0, 0, 1, 1]), (2, 2, [0, 1, 1, 0])];
        for (kernel, stride, pads) in pads {
            let name = |what| format!("{what} {kernel}x{kernel} stride {stride} pads {pads:?}, {c} channels");
            let b = |seed| Builder::new(seed, [1, c, 9, 7]);
            all.push(b(300).op(pool(PoolKind::Max, kernel, stride, pads)).done(name("max pool"), Exact));
            all.push(b(301).op(pool(average(true), kernel, stride, pads)).done(name("average pool with pads"), F32));
            all.push(b(302).op(pool(average(false), kernel, stride, pads)).done(name("average pool"), F32));
        }
    }
    let wide = Pool2d { kind: PoolKind::Max, kernel: [3, 2], strides: [1, 2], dilations: [2, 1], pads: [2, 0, 1, 1] };
    all.push(Builder::new(303, [1, 5, 8, 9]).op(Op::Pool2d(wide)).done("max pool 3x2, dilated along height", Exact));
    let negative = Builder::new(304, [1, 3, 4, 4]).with_constant(BinaryOp::Sub, &[], false);
    let mut b = negative;
    b.input.data_mut().iter_mut().for_each(|v| *v -= 5.0);
    let b = b.op(pool(PoolKind::Max, 3, 1, [1; 4]));
    all.push(b.done("max pool of negative values: padding never wins", F32));

    for kind in [ReduceKind::Mean, ReduceKind::Sum, ReduceKind::Max] {
        let tolerance = if kind == ReduceKind::Max { Exact } else { F32 };
        for c in [1, 3, 8, 17] {
            for (axes, keep) in [
                (&[2, 3][..], true),
                (&[2, 3], false),
                (&[1], true),
                (&[1], false),
                (&[3], true),
                (&[2], false),
                (&[1, 2, 3], true),
                (&[0, 1, 2, 3], true),
                (&[0], true),
            ] {
                let mut b = Builder::new(305, [1, c, 6, 5]);
                // Sums far from zero, so that a relative difference means something.
                b.input.data_mut().iter_mut().for_each(|v| *v += 1.5);
                let name = format!("{kind:?} over {axes:?} of {c} channels, keep_dims {keep}");
                all.push(b.op(reduce(kind, axes, keep)).done(name, tolerance));
            }
        }
        let mut b = Builder::new(306, [1, 5, 20, 30]);
        b.input.data_mut().iter_mut().for_each(|v| *v += 1.5);
        all.push(b.op(reduce(kind, &[2, 3], true)).done(format!("{kind:?} over 600 cells"), tolerance));
    }
    for (axis, shape) in
        [(1, [1, 10, 1, 1]), (1, [1, 7, 3, 5]), (2, [1, 3, 8, 2]), (3, [1, 3, 4, 9]), (1, [1, 1, 2, 2])]
    {
        let b = Builder::new(307, shape).op(Op::Softmax { axis });
        all.push(b.done(format!("softmax along axis {axis} of {shape:?}"), F32));
    }
    let b = Builder::new(308, [1, 10, 1, 1]).reshape([1, 10]).op(Op::Softmax { axis: 1 });
    all.push(b.done("softmax of logits", F32));
    let mut b = Builder::new(309, [1, 4, 3, 3]);
    b.input.data_mut().iter_mut().for_each(|v| *v = *v * 50.0 + 200.0);
    all.push(b.op(Op::Softmax { axis: 1 }).done("softmax of values that would overflow exp", F32));
}

fn moves(all: &mut Vec<Problem>) {
    use Tolerance::Exact;
    for c in [1, 3, 4, 5, 8, 17] {
        let b = || Builder::new(400, [1, c, 3, 4]);
        all.push(b().reshape([1, c * 12]).done(format!("flatten {c} channels"), Exact));
        all.push(b().reshape([1, 4, 3, c]).done(format!("reshape {c} channels into 4"), Exact));
        all.push(b().reshape([1, c, 12]).done(format!("cells of {c} channels in a row"), Exact));
        all.push(b().reshape([c * 3, 4]).reshape([1, 12, c, 1]).done(format!("two reshapes, {c} channels"), Exact));
        for perm in [[0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2], [0, 2, 1, 3], [3, 2, 1, 0]] {
            all.push(b().transpose(&perm).done(format!("transpose {perm:?} of {c} channels"), Exact));
        }
        let pad = |before: [usize; 4], after: [usize; 4], value| Op::Pad {
            before: before.to_vec(),
            after: after.to_vec(),
            value,
        };
        let b1 = b().op(pad([0, 0, 1, 2], [0, 0, 3, 0], 0.0));
        all.push(b1.done(format!("spatial padding of {c} channels"), Exact));
        all.push(b().op(pad([0, 1, 0, 0], [0, 2, 0, 1], -1.5)).done(format!("channel padding of {c} channels"), Exact));
        for other in [1, 4, 6] {
            let mut b = b();
            let x = b.last;
            let mut b = b_conv(&mut b, other);
            let y = b.last;
            b.push(Op::Concat { axis: 1 }, vec![x, y, x]);
            all.push(b.done(format!("channels {c}, {other} and {c} joined"), Tolerance::F32));
        }
        for axis in [2, 3] {
            let mut b = b();
            let x = b.last;
            let y = b.push(Op::Activation(Activation::Relu), vec![x]);
            b.push(Op::Concat { axis }, vec![y, x]);
            all.push(b.done(format!("{c} channels joined along axis {axis}"), Exact));
        }
    }
    // Channel shuffle (ShuffleNet): reshape, transpose, reshape.
    let b =
        Builder::new(401, [1, 12, 3, 5]).reshape([1, 3, 4, 3, 5]).transpose(&[0, 2, 1, 3, 4]).reshape([1, 12, 3, 5]);
    all.push(b.done("channel shuffle in 3 groups", Exact));
    let b = Builder::new(402, [1, 6, 2, 2]).reshape([1, 24]).transpose(&[1, 0]).done("transpose of a vector", Exact);
    all.push(b);
    let b = Builder::new(403, [1, 5, 1, 1]).op(Op::Concat { axis: 1 });
    all.push(b.done("one part joined", Exact));
}

/// A pointwise convolution of the image of `b`, whose value is the last one.
fn b_conv(b: &mut Builder, outputs: usize) -> Builder {
    let empty =
        Builder { rng: Rng(0), graph: Graph::default(), input: Tensor::zeros([1]), last: ValueId(0), int8: false };
    std::mem::replace(b, empty).conv(outputs, [1, 1], conv(1))
}

fn chains(all: &mut Vec<Problem>) {
    use Tolerance::{F32, Int8};
    let clip = Activation::Clip(0.0, 6.0);
    // Inverted residual blocks as in EfficientNet-Lite, targets at the end and in the middle.
    for (int8, tolerance) in [(false, F32), (true, Int8)] {
        for middle in [false, true] {
            let mut b = Builder::new(500, [1, 3, 24, 20]);
            b.int8 = int8;
            let mut b = b
                .conv(8, [3, 3], Conv2d { strides: [2, 2], pads: [0, 0, 1, 1], activation: clip, ..conv(3) })
                .conv(24, [1, 1], Conv2d { activation: clip, ..conv(1) })
                .conv(
                    24,
                    [5, 5],
                    Conv2d { groups: 24, strides: [2, 2], pads: [1, 1, 2, 2], activation: clip, ..conv(5) },
                )
                .conv(10, [1, 1], conv(1));
            let shortcut = b.last;
            b = b.conv(40, [1, 1], Conv2d { activation: clip, ..conv(1) }).conv(
                40,
                [3, 3],
                Conv2d { groups: 40, activation: clip, ..conv(3) },
            );
            let inner = b.last;
            b.conv_of(inner, 10, [1, 1], conv(1), Some(shortcut));
            let b = b.conv(30, [1, 1], Conv2d { activation: clip, ..conv(1) });
            let features = b.last;
            let b = b.op(reduce(ReduceKind::Mean, &[2, 3], false)).linear(12, Activation::None);
            let logits = b.last;
            let name = format!("inverted residuals{}", if int8 { ", int8" } else { "" });
            let (what, targets) = match middle {
                true => ("target in the middle", vec![shortcut]),
                false => ("features, a middle layer and logits", vec![features, inner, logits]),
            };
            all.push(b.targets(format!("{name}: {what}"), tolerance, targets));
        }
    }
    let mut b = Builder::new(501, [1, 3, 20, 20]).conv(
        6,
        [7, 7],
        Conv2d { strides: [2, 2], activation: Activation::Relu, ..conv(7) },
    );
    b = b.op(pool(PoolKind::Max, 3, 2, [1; 4]));
    let x = b.last;
    let b = b.conv(12, [3, 3], Conv2d { strides: [2, 2], activation: Activation::Relu, ..conv(3) });
    let branch = b.last;
    let mut b = b;
    b.last = x;
    let mut b = b.conv(12, [1, 1], Conv2d { strides: [2, 2], ..conv(1) });
    let shortcut = b.last;
    b.conv_of(branch, 12, [3, 3], Conv2d { activation: Activation::Relu, ..conv(3) }, Some(shortcut));
    all.push(b.done("ResNet block with a strided shortcut", F32));

    let mut b =
        Builder::new(502, [1, 3, 12, 12]).conv(16, [3, 3], Conv2d { activation: Activation::HardSwish, ..conv(3) });
    let x = b.last;
    b = b.op(reduce(ReduceKind::Mean, &[2, 3], true));
    b = b.conv(4, [1, 1], Conv2d { activation: Activation::Relu, ..conv(1) });
    b = b.conv(16, [1, 1], Conv2d { activation: Activation::HardSigmoid(1.0 / 6.0, 0.5), ..conv(1) });
    let gate = b.last;
    b.push(Op::Binary(BinaryOp::Mul), vec![x, gate]);
    all.push(b.done("squeeze and excitation (MobileNetV3)", F32));

    let mut b = Builder::new(503, [1, 3, 8, 8]).conv(12, [4, 4], Conv2d { strides: [4, 4], pads: [0; 4], ..conv(4) });
    b = b.reshape([1, 12, 4]).transpose(&[0, 2, 1]);
    let tokens = b.last;
    b = b.linear(12, Activation::None);
    let query = b.last;
    b.last = tokens;
    b = b.linear(12, Activation::None).transpose(&[0, 2, 1]);
    let key = b.last;
    b.push(Op::MatMul, vec![query, key]);
    b = b.op(Op::Softmax { axis: 2 });
    let attention = b.last;
    b.push(Op::MatMul, vec![attention, tokens]);
    b = b.transpose(&[0, 2, 1]).reshape([1, 12, 2, 2]);
    all.push(b.done("attention over patches", F32));

    // The same value read late: its memory must not be given away in between.
    let mut b = Builder::new(504, [1, 5, 8, 8]).conv(7, [1, 1], Conv2d { activation: clip, ..conv(1) });
    let early = b.last;
    for _ in 0..5 {
        b = b.conv(7, [3, 3], Conv2d { activation: clip, groups: 7, ..conv(3) });
    }
    let late = b.last;
    b.push(Op::Binary(BinaryOp::Add), vec![early, late]);
    all.push(b.done("a value that is read again much later", F32));

    let mut b = Builder::new(505, [1, 5, 6, 6]).conv(6, [1, 1], conv(1));
    let x = b.last;
    b.conv_of(x, 6, [1, 1], conv(1), Some(x));
    all.push(b.done("input and residual are the same value", F32));

    let b = Builder::new(506, [1, 3, 6, 6]).conv(6, [1, 1], conv(1));
    let (x, relu) = (b.last, Op::Activation(Activation::Relu));
    let mut b = b;
    let left = b.push(relu.clone(), vec![x]);
    let right = b.push(Op::Activation(Activation::Tanh), vec![x]);
    all.push(b.targets("two targets, one of them twice", F32, vec![right, left, right]));
    let b = Builder::new(507, [1, 3, 6, 6]);
    let image = b.last;
    all.push(b.targets("the input itself as the target", Tolerance::Exact, vec![image]));
    // A target that is also read by a reshape, which may share its memory.
    let b = Builder::new(508, [1, 4, 3, 3]).act(Activation::Relu);
    let kept = b.last;
    let b = b.reshape([1, 36]).act(Activation::Tanh);
    let last = b.last;
    all.push(b.targets("a target that is reshaped later", F32, vec![kept, last]));
}

fn mixes(all: &mut Vec<Problem>) {
    let mut rng = Rng(600);
    for pooling in [Pooling::Average, Pooling::Max, Pooling::GeM(3.0), Pooling::GeM(1.5)] {
        for gate in [Gate::Feature, Gate::AbsFeature, Gate::One] {
            for (normalise, centred, classes) in
                [(false, false, 1), (true, false, 3), (true, true, 10), (false, true, 0)]
            {
                let channels = rng.pick(&[3, 4, 17, 40]);
                let b = Builder::new(601, [1, channels, 7, 7]);
                let activation = rng.pick(&[Activation::None, Activation::Relu]);
                let mut problem = b.act(activation).done(
                    format!("mix {pooling:?} {gate:?} {activation:?}, {classes} classes, normalise {normalise}, centred {centred}, {channels} channels"),
                    Tolerance::F32,
                );
                let mut vector = || (0..channels).map(|_| rng.signed()).collect::<Vec<_>>();
                let mean = centred.then(&mut vector);
                let directions = (0..classes).map(|_| vector()).collect();
                problem.mix = Mix { pooling, mean, directions, gate, normalise };
                all.push(problem);
            }
        }
    }
    let mut all_zero = Builder::new(602, [1, 5, 3, 3]);
    all_zero.input.data_mut().fill(-1.0);
    all.push(all_zero.act(Activation::Relu).done("mix of activations that are all zero", Tolerance::Exact));
    let vector = Builder::new(603, [1, 9, 1, 1]).reshape([1, 9]).act(Activation::Tanh);
    all.push(vector.done("mix of a vector", Tolerance::F32));
    let large = Builder::new(604, [1, 70, 33, 29]).act(Activation::Relu);
    all.push(large.done("mix of a large map", Tolerance::F32));
}

fn random_convolution(seed: u64) -> Problem {
    let mut rng = Rng(1000 + seed);
    let groups = rng.pick(&[1, 1, 1, 2, 3]);
    let depthwise = rng.below(3) == 0;
    let channels = if depthwise { 1 + rng.below(40) } else { groups * (1 + rng.below(20)) };
    let (groups, outputs) = match depthwise {
        true => (channels, channels),
        false => (groups, groups * (1 + rng.below(24))),
    };
    let kernel = [1 + rng.below(5), 1 + rng.below(5)];
    let dilations = [1 + rng.below(2), 1 + rng.below(2)];
    let extent = [(kernel[0] - 1) * dilations[0] + 1, (kernel[1] - 1) * dilations[1] + 1];
    let pads = [0, 1, 0, 1].map(|axis: usize| rng.below(extent[axis].min(4)));
    let size = [extent[0] + rng.below(14), extent[1] + rng.below(14)];
    let activation = rng.pick(&ACTIVATIONS);
    let (int8, residual) = (rng.below(2) == 0, rng.below(3) == 0);
    let strides = [1 + rng.below(3), 1 + rng.below(3)];
    let conv = Conv2d { strides, dilations, pads, groups, activation, residual: false };

    let mut b = Builder::new(2000 + seed, [1, channels, size[0], size[1]]);
    b.int8 = int8;
    let image = b.last;
    let residual = residual.then(|| {
        // Another convolution of the same shape gives a residual that fits.
        b.conv_of(image, outputs, kernel, Conv2d { activation: Activation::None, ..conv.clone() }, None);
        b.last
    });
    let described = format!("random convolution {seed}: {channels} to {outputs}, {kernel:?}, {conv:?}, int8 {int8}");
    b.conv_of(image, outputs, kernel, conv, residual);
    b.done(described, if int8 { Tolerance::Int8 } else { Tolerance::F32 })
}

/// Convolutions, pools, sums, joins and gates in random order, with a target at a random place.
fn random_chain(seed: u64) -> Problem {
    let mut rng = Rng(3000 + seed);
    let channels = 1 + rng.below(9);
    let (height, width) = (6 + rng.below(10), 6 + rng.below(10));
    let mut b = Builder::new(4000 + seed, [1, channels, height, width]);
    b.int8 = seed.is_multiple_of(2);
    let mut maps = vec![b.last];
    for _ in 0..3 + rng.below(9) {
        let x = rng.pick(&maps[maps.len().saturating_sub(3)..]);
        let dims = b.graph.value(x).shape.dims().to_vec();
        b.last = x;
        // Clips keep a long chain's values, and so its rounding errors, within bounds.
        let activation = rng.pick(&[Activation::Clip(-2.0, 2.0), Activation::Clip(0.0, 6.0), Activation::Tanh]);
        let alike: Vec<ValueId> = maps.iter().copied().filter(|&m| b.graph.value(m).shape.dims() == dims).collect();
        b = match rng.below(7) {
            0 => b.conv(dims[1], [3, 3], Conv2d { groups: dims[1], activation, ..conv(3) }),
            1 => {
                let residual = rng.pick(&alike);
                b.conv_of(x, dims[1], [3, 3], Conv2d { activation, ..conv(3) }, Some(residual));
                b
            }
            2 if dims[2] > 3 && dims[3] > 3 => b.op(pool(PoolKind::Max, 3, 2, [1; 4])),
            3 => {
                let other = rng.pick(&alike);
                b.push(Op::Binary(rng.pick(&[BinaryOp::Add, BinaryOp::Mul])), vec![x, other]);
                b.act(activation)
            }
            4 if dims[1] < 20 => {
                let other = rng.pick(&alike);
                b.push(Op::Concat { axis: 1 }, vec![x, other]);
                b
            }
            5 => {
                let gate = b.push(reduce(ReduceKind::Mean, &[2, 3], true), vec![x]);
                let gate = b.push(Op::Activation(Activation::Sigmoid), vec![gate]);
                b.push(Op::Binary(BinaryOp::Mul), vec![x, gate]);
                b
            }
            _ => b.conv(1 + rng.below(12), [1, 1], Conv2d { activation, ..conv(1) }),
        };
        maps.push(b.last);
    }
    let targets = vec![maps[1 + rng.below(maps.len() - 1)], maps[maps.len() - 1]];
    let tolerance = if b.int8 { Tolerance::Int8 } else { Tolerance::F32 };
    b.targets(format!("random chain {seed} of {} nodes", maps.len() - 1), tolerance, targets)
}
