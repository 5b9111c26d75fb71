//! One op of a compiled network: what it does, to which values, and where these lie.

use std::ops::Range;
use std::sync::Arc;

use super::conv::{Conv, Scratch};
use super::direct::{self, Packed, Repeat};
use super::failed;
use super::kernels::{self, Axis, Isa};
use super::layout::Order;
use super::product::Product;
use super::walk::{self, Walk};
use crate::error::Result;
use crate::graph::evaluate::evaluate;
use crate::graph::{Activation, Attention, BinaryOp, Op, PoolKind, Quantize, ReduceKind};
use crate::tensor::{Shape, Tensor};

/// A value: its shape and where its floats are.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub shape: Shape,
    pub order: Order,
    pub place: Place,
}

/// Where the floats of a value are, in the physical layout.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In the arena.
    Arena(Range<usize>),
    /// Known beforehand.
    Constant(Arc<Vec<f32>>),
}

/// What a step does.
pub(super) enum Work {
    /// Nothing: the output is the input.
    Alias,
    Conv(Conv, Activation),
    Linear(Product, Activation),
    /// Over maps of so many channels.
    Pool {
        kind: PoolKind,
        channels: usize,
        axes: [Axis; 2],
    },
    /// Of plain queries, keys and values.
    Attention(Attention),
    /// Of plain matrices.
    MatMul,
    /// Rows in one piece, with a scale and a bias for each of their values.
    Norm {
        scale: Vec<f32>,
        bias: Vec<f32>,
        epsilon: f32,
    },
    Activation(Activation),
    /// Along rows of `len` values that are `inner` apart.
    Softmax {
        len: usize,
        inner: usize,
    },
    Quantize(Quantize),
    /// Element-wise, the second operand repeating along the first; swapped if the graph has them the other way round.
    Zip {
        op: BinaryOp,
        repeat: Repeat,
        swapped: bool,
    },
    /// Element-wise, both operands walked as the output lies.
    Broadcast(BinaryOp, Walk<2>),
    /// Values moved: the output's in the order of memory, from these places of the input.
    Copy(Walk<1>),
    /// The values of each input, to these places of the output.
    Concat(Vec<Walk<1>>),
    /// The values of the input to these places of the output, which has `value` elsewhere.
    Pad {
        value: f32,
        inside: Walk<1>,
    },
    /// The values of the input, into these places of the output.
    Reduce(ReduceKind, Walk<1>),
    /// Slices at these indices, out of blocks of `len` slices of `inner` values.
    Gather {
        indices: Vec<usize>,
        len: usize,
        inner: usize,
    },
    /// Other work, on operands that do not lie as it needs them.
    Arranged(Box<Arranged>),
    /// As the graph defines it, in plain loops over plain values: for what no network spends time in.
    Evaluate(Op),
}

/// Work with copies before and after it.
pub(super) struct Arranged {
    /// For each operand: the places that its copy is made from, or none if it lies as it should.
    pub before: Vec<Option<Walk<1>>>,
    pub work: Work,
    /// The places that the output is made from, or none if it lies as it should.
    pub after: Option<Walk<1>>,
}

/// One op of the network.
pub(super) struct Step {
    /// Name of the node.
    pub name: String,
    /// Name of the op.
    pub op: &'static str,
    /// Multiplications of a convolution or fully connected layer.
    pub multiplications: u64,
    pub work: Work,
    pub inputs: Vec<Value>,
    pub output: Shape,
    pub range: Range<usize>,
}

/// What steps share: instructions and memory.
pub(super) struct Tools {
    pub isa: Isa,
    pub scratch: Scratch,
    pub packed: Packed,
    /// The copies of [`Arranged`] work.
    copies: Vec<Vec<f32>>,
}

impl Tools {
    pub(super) fn new(isa: Isa) -> Self {
        Self { isa, scratch: Scratch::default(), packed: Packed::new(isa), copies: Vec::new() }
    }
}

/// The values of an input, and its shape.
type Operand<'a> = (&'a [f32], &'a Shape);

impl Value {
    /// The floats, when the arena is split into what lies before and after the output of a step (of `gap` floats).
    pub(super) fn data<'a>(&'a self, before: &'a [f32], after: &'a [f32], gap: usize) -> &'a [f32] {
        match &self.place {
            Place::Constant(data) => data,
            Place::Arena(r) if r.end <= before.len() => &before[r.clone()],
            Place::Arena(r) => {
                let start = before.len() + gap;
                &after[r.start - start..r.end - start]
            }
        }
    }
}

impl Step {
    pub(super) fn run(&self, arena: &mut [f32], tools: &mut Tools) -> Result<()> {
        // The plan never lets an input share memory with the output, so inputs are before or after it.
        let (before, rest) = arena.split_at_mut(self.range.start);
        let (y, after) = rest.split_at_mut(self.range.len());
        let (before, after, gap) = (&*before, &*after, self.range.len());
        // What changes nothing reads nothing: its input is its output.
        if matches!(self.work, Work::Alias) {
            return Ok(());
        }
        let operand = |value| -> Operand { (Value::data(value, before, after, gap), &value.shape) };
        let inputs: Vec<Operand> = self.inputs.iter().map(operand).collect();
        self.work.run(&inputs, &self.output, y, tools)
    }
}

impl Work {
    /// Makes room for what the work needs.
    pub(super) fn reserve(&self, tools: &mut Tools) -> Result<()> {
        match self {
            Self::Conv(conv, _) => conv.reserve(&mut tools.scratch),
            Self::Linear(product, _) => product.reserve(&mut tools.scratch.quantized),
            Self::Arranged(arranged) => arranged.work.reserve(tools),
            _ => Ok(()),
        }
    }

    /// Computes `y`, of the shape `output`.
    fn run(&self, inputs: &[Operand], output: &Shape, y: &mut [f32], tools: &mut Tools) -> Result<()> {
        let isa = tools.isa;
        let input = |i: usize| inputs.get(i).copied().ok_or_else(|| failed(format!("input {i} is missing")));
        match self {
            Self::Alias => return Err(failed("an alias is not computed")),
            Self::Conv(conv, activation) => {
                let images = output.dims()[0];
                let (x, residual) = (input(0)?.0, inputs.get(1).map(|r| r.0));
                let (x_len, y_len) = (x.len() / images, y.len() / images);
                for i in 0..images {
                    let residual = residual.map(|r| &r[i * y_len..][..y_len]);
                    let (x, y) = (&x[i * x_len..][..x_len], &mut y[i * y_len..][..y_len]);
                    conv.apply(x, y, residual, &mut tools.scratch, clamp(*activation))?;
                }
                finish(isa, *activation, y);
            }
            Self::Linear(product, activation) => {
                product.apply_all(input(0)?.0, y, None, &mut tools.scratch.quantized, clamp(*activation))?;
                finish(isa, *activation, y);
            }
            Self::Pool { kind, channels, axes } => {
                let images = output.dims()[0];
                let x = input(0)?.0;
                let (x_len, y_len) = (x.len() / images, y.len() / images);
                for (x, y) in x.chunks_exact(x_len.max(1)).zip(y.chunks_exact_mut(y_len.max(1))) {
                    kernels::pool(isa, *kind, *channels, *axes, x, y)?;
                }
            }
            Self::Attention(attention) => {
                let (q, k, v) = (input(0)?, input(1)?, input(2)?);
                let mask = inputs.get(3).copied();
                direct::attention(isa, attention, [q.1, v.1], [q.0, k.0, v.0], mask, y, &mut tools.packed)?;
            }
            Self::MatMul => {
                let (a, b) = (input(0)?, input(1)?);
                direct::matmul([a.1, b.1], [a.0, b.0], y, &mut tools.packed)?;
            }
            Self::Norm { scale, bias, epsilon } => kernels::layer_norm(isa, [scale, bias], *epsilon, input(0)?.0, y)?,
            Self::Activation(activation) => {
                copy(input(0)?.0, y)?;
                kernels::activate(isa, *activation, y);
            }
            Self::Softmax { len, inner } => {
                copy(input(0)?.0, y)?;
                match inner {
                    1 => kernels::softmax(isa, *len, 1.0, None, y)?,
                    _ => walk::softmax(*len, *inner, y),
                }
            }
            Self::Quantize(q) => y.iter_mut().zip(input(0)?.0).for_each(|(y, &x)| *y = q.apply(x)),
            Self::Zip { op, repeat, swapped } => direct::zip(*op, *swapped, *repeat, [input(0)?.0, input(1)?.0], y),
            Self::Broadcast(op, walk) => walk.zip(*op, [input(0)?.0, input(1)?.0], y)?,
            Self::Copy(walk) => walk.gather(input(0)?.0, y)?,
            Self::Concat(walks) => {
                for (i, walk) in walks.iter().enumerate() {
                    walk.scatter(input(i)?.0, y)?;
                }
            }
            Self::Pad { value, inside } => {
                y.fill(*value);
                inside.scatter(input(0)?.0, y)?;
            }
            Self::Reduce(kind, walk) => walk.reduce(*kind, input(0)?.0, y)?,
            Self::Gather { indices, len, inner } => direct::gather(indices, *len, *inner, input(0)?.0, y),
            Self::Arranged(arranged) => arranged.run(inputs, output, y, tools)?,
            Self::Evaluate(op) => {
                let tensor = |(x, shape): &Operand| Tensor::new((*shape).clone(), x.to_vec());
                let inputs = inputs.iter().map(tensor).collect::<Result<Vec<_>>>()?;
                copy(evaluate(op, &inputs.iter().collect::<Vec<_>>(), output).data(), y)?;
            }
        }
        Ok(())
    }
}

impl Arranged {
    fn run(&self, inputs: &[Operand], output: &Shape, y: &mut [f32], tools: &mut Tools) -> Result<()> {
        // Taken out while the work runs, which has the tools as well; an error in between only costs their memory.
        let mut copies = std::mem::take(&mut tools.copies);
        copies.resize_with(self.before.len() + 1, Vec::new);
        for ((walk, (x, _)), copy) in self.before.iter().zip(inputs).zip(&mut copies) {
            if let Some(walk) = walk {
                copy.resize(x.len(), 0.0);
                walk.gather(x, copy)?;
            }
        }
        let mut result = copies.pop().unwrap_or_default();
        let arranged = |i: usize| -> Operand {
            let (x, shape) = inputs[i];
            (if self.before[i].is_some() { &copies[i] } else { x }, shape)
        };
        let operands: Vec<Operand> = (0..inputs.len().min(copies.len())).map(arranged).collect();
        match &self.after {
            None => self.work.run(&operands, output, y, tools)?,
            Some(walk) => {
                result.resize(y.len(), 0.0);
                self.work.run(&operands, output, &mut result, tools)?;
                walk.gather(&result, y)?;
            }
        }
        copies.push(result);
        tools.copies = copies;
        Ok(())
    }
}

/// As many values, moved as they are.
fn copy(x: &[f32], y: &mut [f32]) -> Result<()> {
    if x.len() != y.len() {
        return Err(failed(format!("{} values, and {} were planned", x.len(), y.len())));
    }
    y.copy_from_slice(x);
    Ok(())
}

/// The part of an activation that the kernels do as they store.
fn clamp(activation: Activation) -> [f32; 2] {
    match activation {
        Activation::Relu => [0.0, f32::INFINITY],
        Activation::Clip(lo, hi) => [lo, hi],
        _ => [f32::NEG_INFINITY, f32::INFINITY],
    }
}

/// What the kernels left of an activation.
fn finish(isa: Isa, activation: Activation, y: &mut [f32]) {
    match activation {
        Activation::None | Activation::Relu | Activation::Clip(..) => {}
        other => kernels::activate(isa, other, y),
    }
}
