//! Bytes as a recipe for a graph: nodes of every op with constants and activations of many shapes, and the idioms that
//! the passes look for (a normalisation, GELU, attention, a block with a residual), whole or with a part changed.
#![allow(dead_code, reason = "every target uses a part of it")]

use famlens::graph::{
    Activation, BinaryOp, Conv2d, Graph, LayerNorm, Linear, Op, Pool2d, PoolKind, Quantize, ReduceKind, ValueId,
};
use famlens::tensor::{Int8Tensor, Shape, Tensor};
use famlens::{Error, Result};

use crate::values::{MOST_WORK, input, is_small};

/// Most nodes of a graph.
const MOST_NODES: usize = 24;

/// The bytes not read yet; zeros when they are used up.
pub struct Recipe<'a>(pub &'a [u8]);

impl Recipe<'_> {
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n.max(1)
    }

    pub fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

/// A graph over an image of few channels and cells, and the values to keep.
pub fn build(bytes: &[u8]) -> Option<(Graph, Vec<ValueId>)> {
    let recipe = &mut Recipe(bytes);
    let channels = recipe.of(&[3, 4, 1, 8, 5, 16]);
    let (height, width) = (1 + recipe.below(9), 1 + recipe.below(9));
    build_over([1, channels, height, width], recipe)
}

/// A graph over an image of this shape, and the values to keep.
pub fn build_over(image: [usize; 4], recipe: &mut Recipe) -> Option<(Graph, Vec<ValueId>)> {
    let mut graph = Graph::default();
    let mut last = graph.add_input("image", image);
    while !recipe.0.is_empty() && graph.nodes.len() < MOST_NODES {
        // Mostly a chain; sometimes from an earlier value.
        let from = match recipe.below(4) {
            0 => some_activation(&graph, recipe),
            _ => last,
        };
        // What does not fit is not added, and the next byte tries another.
        if let Ok(id) = step(&mut graph, from, recipe) {
            last = id;
        }
        if !is_small(&graph) {
            return None;
        }
    }
    if graph.nodes.is_empty() {
        return None;
    }
    graph.outputs = vec![last];
    let mut keep = vec![last];
    for _ in 0..recipe.below(3) {
        keep.push(some_activation(&graph, recipe));
    }
    keep.retain(|k| graph.nodes.iter().any(|n| n.output == *k));
    keep.dedup();
    Some((graph, keep))
}

fn some_activation(graph: &Graph, recipe: &mut Recipe) -> ValueId {
    let outputs: Vec<ValueId> = graph.input.into_iter().chain(graph.nodes.iter().map(|n| n.output)).collect();
    recipe.of(&outputs)
}

/// The shape of a constant, unless filling it alone is more than a fuzzer has time for.
fn affordable(shape: impl Into<Vec<usize>>) -> Result<Shape> {
    let shape = Shape::new(shape);
    if shape.len() > MOST_WORK {
        return Err(Error::TooLarge {
            what: "a constant".into(),
            size: format!("{} values", shape.len()),
            limit: format!("{MOST_WORK} values"),
        });
    }
    Ok(shape)
}

/// A constant in [-1, 1], or around one where it divides or scales.
pub fn constant(graph: &mut Graph, shape: impl Into<Vec<usize>>, recipe: &mut Recipe) -> Result<ValueId> {
    let mut tensor = input(&affordable(shape)?, recipe.byte().into())?;
    match recipe.below(4) {
        0 => tensor.data_mut().iter_mut().for_each(|x| *x = 1.5 + 0.4 * *x),
        1 => tensor.data_mut().fill([0.0, 1.0, -1.0, 0.5][recipe.below(4)]),
        _ => {}
    }
    Ok(graph.add_constant("constant", tensor))
}

pub fn weight(graph: &mut Graph, shape: Vec<usize>, recipe: &mut Recipe) -> Result<ValueId> {
    if recipe.below(3) > 0 {
        return constant(graph, shape, recipe);
    }
    let shape = affordable(shape)?;
    let mut random = fastrand::Rng::with_seed(recipe.byte().into());
    let scales = (0..shape.dims()[0]).map(|_| random.f32() / 127.0).collect();
    let data = (0..shape.len()).map(|_| random.i8(-127..=127)).collect();
    Ok(graph.add_int8("int8", Int8Tensor::new(shape, data, scales)?))
}

fn activation(recipe: &mut Recipe) -> Activation {
    use Activation::*;
    recipe.of(&[
        Relu,
        None,
        Clip(0.0, 6.0),
        HardSwish,
        HardSigmoid(1.0 / 6.0, 0.5),
        Sigmoid,
        Silu,
        LeakyRelu(0.1),
        Tanh,
        Swish(1.702),
        Gelu,
        GeluTanh,
        Elu(1.0),
        Softplus,
        Mish,
        Erf,
        Exp,
        Log,
        Sqrt,
        Abs,
        Floor,
        Round,
        Threshold(0.2),
    ])
}

/// A shape that broadcasts with that of `x`, some of its dimensions ones or left away.
fn fitting(graph: &Graph, x: ValueId, recipe: &mut Recipe) -> Vec<usize> {
    let mut dims = graph.value(x).shape.dims().to_vec();
    let mask = recipe.byte();
    for (i, d) in dims.iter_mut().enumerate() {
        if mask >> (i % 8) & 1 == 0 {
            *d = 1;
        }
    }
    let leading = dims.iter().take_while(|&&d| d == 1).count();
    dims.drain(..recipe.below(leading + 1).min(dims.len().saturating_sub(1)));
    dims
}

pub fn add(graph: &mut Graph, op: Op, inputs: Vec<ValueId>) -> Result<ValueId> {
    let name = format!("{}_{}", op.name(), graph.nodes.len());
    graph.add_node(name, op, inputs)
}

/// Adds one node or one idiom that reads `x`.
fn step(graph: &mut Graph, x: ValueId, recipe: &mut Recipe) -> Result<ValueId> {
    let dims = graph.value(x).shape.dims().to_vec();
    let rank = dims.len();
    if rank == 0 {
        return add(graph, Op::Reshape(Shape::from([1, 1])), vec![x]);
    }
    match recipe.below(21) {
        0 | 1 => convolution(graph, x, recipe),
        2 => {
            let a = activation(recipe);
            add(graph, Op::Activation(a), vec![x])
        }
        3 | 4 => {
            use BinaryOp::*;
            let op = recipe.of(&[Add, Mul, Sub, Div, Min, Max, Pow]);
            let other = match recipe.below(3) {
                0 => some_activation(graph, recipe),
                _ => {
                    let shape = fitting(graph, x, recipe);
                    constant(graph, shape, recipe)?
                }
            };
            let inputs = if recipe.below(3) == 0 { vec![other, x] } else { vec![x, other] };
            add(graph, Op::Binary(op), inputs)
        }
        5 => {
            let kind = recipe.of(&[
                PoolKind::Max,
                PoolKind::Average { count_include_pad: true },
                PoolKind::Average { count_include_pad: false },
            ]);
            let mut two = || [1 + recipe.below(3), 1 + recipe.below(3)];
            let (kernel, strides, dilations) = (two(), two(), two());
            let pads = [(); 4].map(|()| recipe.below(2).min(kernel[0].min(kernel[1]) - 1));
            add(graph, Op::Pool2d(Pool2d { kind, kernel, strides, dilations, pads }), vec![x])
        }
        6 => {
            use ReduceKind::*;
            let (kind, mask) = (recipe.of(&[Mean, Sum, Max, Min, Product]), recipe.byte());
            let axes = (0..rank).filter(|a| mask >> (a % 8) & 1 == 1).collect();
            add(graph, Op::Reduce { kind, axes, keep_dims: recipe.below(2) == 0 }, vec![x])
        }
        7 => {
            let axis = recipe.below(rank);
            add(graph, Op::Softmax { axis }, vec![x])
        }
        8 => {
            let shape = reshaped(&dims, recipe);
            add(graph, Op::Reshape(shape), vec![x])
        }
        9 | 10 => {
            let mut perm: Vec<usize> = (0..rank).collect();
            for i in (1..rank).rev() {
                perm.swap(i, recipe.below(i + 1));
            }
            add(graph, Op::Transpose { perm }, vec![x])
        }
        11 => {
            let mut inputs = vec![x, some_activation(graph, recipe)];
            if recipe.below(3) == 0 {
                inputs.push(constant(graph, dims.clone(), recipe)?);
            }
            let axis = recipe.below(rank);
            add(graph, Op::Concat { axis }, inputs)
        }
        12 => {
            let mut some = || (0..rank).map(|_| recipe.below(3)).collect::<Vec<_>>();
            let (before, after) = (some(), some());
            let value = recipe.of(&[0.0, 0.0, 1.0, -3.0]);
            add(graph, Op::Pad { before, after, value }, vec![x])
        }
        13 => {
            let step: Vec<isize> = (0..rank).map(|_| recipe.of(&[1, 1, 1, 2, -1])).collect();
            let start: Vec<usize> =
                dims.iter().zip(&step).map(|(&d, &s)| if s < 0 { d - 1 } else { recipe.below(d) }).collect();
            let size = (0..rank)
                .map(|i| {
                    let room = if step[i] < 0 { start[i] + 1 } else { (dims[i] - start[i]).div_ceil(step[i] as usize) };
                    room - recipe.below(room.min(3))
                })
                .collect();
            add(graph, Op::Slice { start, step, size }, vec![x])
        }
        14 => {
            let axis = recipe.below(rank);
            let indices = (0..1 + recipe.below(6)).map(|_| recipe.below(dims[axis])).collect();
            add(graph, Op::Gather { axis, indices }, vec![x])
        }
        15 => {
            let (scale, zero) = (recipe.of(&[0.01, 0.1]), recipe.of(&[0.0, 3.0]));
            let dequantize = recipe.below(4) > 0;
            add(graph, Op::Quantize(Quantize { scale, zero, range: [-128.0, 127.0], dequantize }), vec![x])
        }
        16 => linear(graph, x, recipe),
        17 => normalisation(graph, x, recipe),
        18 => gelu(graph, x, recipe),
        19 => attention(graph, x, recipe),
        _ => {
            let y = convolution(graph, x, recipe)?;
            let y = add(graph, Op::Activation(Activation::Relu), vec![y])?;
            let y = convolution(graph, y, recipe)?;
            add(graph, Op::Binary(BinaryOp::Add), vec![x, y])
        }
    }
}

/// Another shape of as many elements: two dimensions joined, one split, or a one put in.
fn reshaped(dims: &[usize], recipe: &mut Recipe) -> Shape {
    let mut dims = dims.to_vec();
    let at = recipe.below(dims.len());
    match recipe.below(4) {
        0 if at + 1 < dims.len() => {
            let next = dims.remove(at + 1);
            dims[at] *= next;
        }
        1 => dims.insert(at, 1),
        2 => dims = vec![1, dims.iter().product()],
        _ => {
            if let Some(factor) = [2, 3, 4, 5].into_iter().find(|&f| dims[at].is_multiple_of(f)) {
                dims[at] /= factor;
                dims.insert(at, factor);
            }
        }
    }
    Shape::new(dims)
}

fn convolution(graph: &mut Graph, x: ValueId, recipe: &mut Recipe) -> Result<ValueId> {
    let channels = graph.value(x).shape.dims().get(1).copied().unwrap_or(1);
    let groups = recipe.of(&[1, 1, channels, 2]);
    let groups = if channels % groups == 0 { groups } else { 1 };
    let out = recipe.of(&[channels, 4, 8, groups * 3]);
    let kernel = recipe.of(&[[1, 1], [3, 3], [3, 1], [2, 2], [5, 5]]);
    let strides = recipe.of(&[[1, 1], [1, 1], [2, 2], [1, 2]]);
    let dilations = recipe.of(&[[1, 1], [1, 1], [2, 2]]);
    let pads = recipe.of(&[[1, 1, 1, 1], [0; 4], [0, 1, 0, 1], [2, 2, 2, 2]]);
    let w = weight(graph, vec![out, channels / groups, kernel[0], kernel[1]], recipe)?;
    let bias = constant(graph, [out], recipe)?;
    let activation = if recipe.below(3) == 0 { activation(recipe) } else { Activation::None };
    let op = Op::Conv2d(Conv2d { strides, dilations, pads, groups, activation, residual: false });
    let y = add(graph, op, vec![x, w, bias])?;
    if recipe.below(3) > 0 {
        return Ok(y);
    }
    // A batch normalisation, as the lowering writes one.
    let scale = constant(graph, [1, out, 1, 1], recipe)?;
    let y = add(graph, Op::Binary(BinaryOp::Mul), vec![y, scale])?;
    let shift = constant(graph, [out, 1, 1], recipe)?;
    add(graph, Op::Binary(BinaryOp::Add), vec![y, shift])
}

fn linear(graph: &mut Graph, x: ValueId, recipe: &mut Recipe) -> Result<ValueId> {
    let k = graph.value(x).shape.dims().last().copied().unwrap_or(1);
    let out = recipe.of(&[k, 4, 7]);
    if recipe.below(2) == 0 {
        let w = constant(graph, [k, out], recipe)?;
        let y = add(graph, Op::MatMul, vec![x, w])?;
        let bias = constant(graph, [out], recipe)?;
        return add(graph, Op::Binary(BinaryOp::Add), vec![bias, y]);
    }
    let w = weight(graph, vec![out, k], recipe)?;
    let bias = constant(graph, [out], recipe)?;
    add(graph, Op::Linear(Linear::default()), vec![x, w, bias])
}

/// `(x - mean) / sqrt(var + epsilon) * scale + bias` over some axes, as exporters write it out, or the op itself.
fn normalisation(graph: &mut Graph, x: ValueId, recipe: &mut Recipe) -> Result<ValueId> {
    let rank = graph.value(x).shape.rank();
    let axes = recipe.of(&[vec![rank - 1], vec![1], (1..rank).collect(), (rank.min(2)..rank).collect()]);
    let epsilon = recipe.of(&[1e-5, 1e-3]);
    if recipe.below(3) == 0 {
        let (scale, bias) = (fitting(graph, x, recipe), fitting(graph, x, recipe));
        let (scale, bias) = (constant(graph, scale, recipe)?, constant(graph, bias, recipe)?);
        return add(graph, Op::LayerNorm(LayerNorm { axes, epsilon }), vec![x, scale, bias]);
    }
    let mean = |graph: &mut Graph, of| {
        add(graph, Op::Reduce { kind: ReduceKind::Mean, axes: axes.clone(), keep_dims: true }, vec![of])
    };
    let centre = mean(graph, x)?;
    let centred = add(graph, Op::Binary(BinaryOp::Sub), vec![x, centre])?;
    let other = if recipe.below(8) == 0 { some_activation(graph, recipe) } else { centred };
    let square = match recipe.below(2) {
        0 => add(graph, Op::Binary(BinaryOp::Mul), vec![centred, other])?,
        _ => {
            let two = graph.add_constant("two", Tensor::new([1], vec![2.0])?);
            add(graph, Op::Binary(BinaryOp::Pow), vec![centred, two])?
        }
    };
    let variance = mean(graph, square)?;
    let epsilon = graph.add_constant("epsilon", Tensor::new([1], vec![epsilon])?);
    let y = add(graph, Op::Binary(BinaryOp::Add), vec![variance, epsilon])?;
    let root = add(graph, Op::Activation(Activation::Sqrt), vec![y])?;
    let y = add(graph, Op::Binary(BinaryOp::Div), vec![centred, root])?;
    let shape = fitting(graph, x, recipe);
    let scale = constant(graph, shape, recipe)?;
    let y = add(graph, Op::Binary(BinaryOp::Mul), vec![scale, y])?;
    let shape = fitting(graph, x, recipe);
    let bias = constant(graph, shape, recipe)?;
    add(graph, Op::Binary(BinaryOp::Add), vec![y, bias])
}

/// `x / 2 (1 + erf(x / sqrt 2))` in one of the orders that exporters use, now and then with another number.
fn gelu(graph: &mut Graph, x: ValueId, recipe: &mut Recipe) -> Result<ValueId> {
    let mut number = |graph: &mut Graph, value: f32| -> Result<ValueId> {
        let value = if recipe.below(12) == 0 { value * 1.5 } else { value };
        Ok(graph.add_constant("number", Tensor::new([1], vec![value])?))
    };
    let (half, one, root) = (number(graph, 0.5)?, number(graph, 1.0)?, number(graph, 2f32.sqrt())?);
    let y = add(graph, Op::Binary(BinaryOp::Div), vec![x, root])?;
    let y = add(graph, Op::Activation(Activation::Erf), vec![y])?;
    let y = add(graph, Op::Binary(BinaryOp::Add), vec![y, one])?;
    let product = |graph: &mut Graph, a, b| add(graph, Op::Binary(BinaryOp::Mul), vec![a, b]);
    match recipe.below(3) {
        0 => {
            let y = product(graph, x, y)?;
            product(graph, y, half)
        }
        1 => {
            let h = product(graph, half, x)?;
            product(graph, h, y)
        }
        _ => {
            let y = product(graph, y, half)?;
            product(graph, y, x)
        }
    }
}

/// `softmax(q k' scale + mask) v`, with heads of tokens made of a value of any shape.
fn attention(graph: &mut Graph, x: ValueId, recipe: &mut Recipe) -> Result<ValueId> {
    let len = graph.value(x).shape.len();
    let depth = [4, 2, 3, 1].into_iter().find(|&d| len.is_multiple_of(d)).unwrap_or(1);
    let heads = [2, 3, 1].into_iter().find(|&h| (len / depth).is_multiple_of(h)).unwrap_or(1);
    let tokens = len / depth / heads;
    let x = add(graph, Op::Reshape(Shape::from([1, tokens, heads, depth])), vec![x])?;
    let [q, k, v] = [(); 3].map(|()| {
        let w = constant(graph, [depth, depth], recipe)?;
        let y = add(graph, Op::MatMul, vec![x, w])?;
        add(graph, Op::Transpose { perm: vec![0, 2, 1, 3] }, vec![y])
    });
    let turned = add(graph, Op::Transpose { perm: vec![0, 1, 3, 2] }, vec![k?])?;
    let scale = graph.add_constant("scale", Tensor::new([1], vec![(depth as f32).powf(-0.5)])?);
    let first = recipe.below(2) == 0;
    let q = if first { add(graph, Op::Binary(BinaryOp::Mul), vec![q?, scale])? } else { q? };
    let mut y = add(graph, Op::MatMul, vec![q, turned])?;
    if !first {
        y = add(graph, Op::Binary(BinaryOp::Mul), vec![y, scale])?;
    }
    if recipe.below(3) == 0 {
        let shape = recipe.of(&[vec![tokens, tokens], vec![1, heads, tokens, tokens], vec![1, tokens], vec![1]]);
        let mask = constant(graph, shape, recipe)?;
        y = add(graph, Op::Binary(BinaryOp::Add), vec![y, mask])?;
    }
    let axis = if recipe.below(10) == 0 { 2 } else { 3 };
    let y = add(graph, Op::Softmax { axis }, vec![y])?;
    let y = add(graph, Op::MatMul, vec![y, v?])?;
    let y = add(graph, Op::Transpose { perm: vec![0, 2, 1, 3] }, vec![y])?;
    add(graph, Op::Reshape(Shape::from([1, tokens, heads * depth])), vec![y])
}
