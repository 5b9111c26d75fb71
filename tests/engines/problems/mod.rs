//! The op problems: a table of the cases that are easy to get wrong, and random ones from a fixed seed.

mod chains;
mod large;
mod layers;
mod ops;
mod tokens;
mod transformers;

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
    /// As F32, where a difference of large numbers is blown up.
    Norm,
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

const ACTIVATIONS: [Activation; 23] = [
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
    Activation::Swish(1.702),
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Elu(1.0),
    Activation::Elu(0.3),
    Activation::Softplus,
    Activation::Mish,
    Activation::Threshold(0.2),
    Activation::Erf,
    Activation::Exp,
    Activation::Abs,
    Activation::Floor,
    Activation::Round,
];

/// All problems, in a fixed order.
pub fn problems() -> Vec<Problem> {
    let mut all = Vec::new();
    layers::convolutions(&mut all);
    layers::linears(&mut all);
    ops::element_wise(&mut all);
    ops::windows_and_reductions(&mut all);
    ops::moves(&mut all);
    chains::chains(&mut all);
    chains::mixes(&mut all);
    transformers::all_of_them(&mut all);
    tokens::all_of_them(&mut all);
    large::all_of_them(&mut all);
    all.extend((0..60).map(chains::random_convolution));
    all.extend((0..40).map(chains::random_chain));
    all
}
