//! A compiled network: steps over one arena of floats.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, Device, Storage};

use super::conv::{Conv, Scratch};
use super::direct::{self, Packed, Repeat, Strided};
use super::generic::Generic;
use super::kernels::{self, Dense, Isa, Rows};
use super::layout::Order;
use super::product::Product;
use super::{candle_failed, failed};
use crate::engine::cells::{self, cells_host};
use crate::engine::mix::{channels_height_width, mix_host, validate};
use crate::engine::{CellMaps, CellOutput, CellReadout, Features, LocalFuture, Mix, Mixed, Output, Program, Store};
use crate::error::{Error, Result};
use crate::graph::evaluate::evaluate;
use crate::graph::{Activation, Attention, BinaryOp, Op, Pool2d, Quantize};
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
    Pool(Pool2d),
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
    /// Along rows in one piece of as many values.
    Softmax(usize),
    Quantize(Quantize),
    /// Element-wise, the second operand repeating along the first; swapped if the graph has them the other way round.
    Zip {
        op: BinaryOp,
        repeat: Repeat,
        swapped: bool,
    },
    /// Values moved.
    Copy(Strided),
    /// Slices at these indices, out of blocks of `len` slices of `inner` values.
    Gather {
        indices: Vec<usize>,
        len: usize,
        inner: usize,
    },
    /// Left to candle.
    Candle(Generic),
    /// As the graph defines it, in plain loops: for what no network spends time in.
    Evaluate(Op),
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
    /// How the output is to lie.
    pub order: Order,
    pub range: Range<usize>,
}

/// A line of the cache: the arena starts and every value in it starts on one.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line([f32; Line::FLOATS]);

impl Line {
    pub(super) const FLOATS: usize = 16;
    pub(super) const ZERO: Self = Self([0.0; Self::FLOATS]);
}

/// See the [module](self).
pub(super) struct CpuProgram {
    pub isa: Isa,
    pub steps: Vec<Step>,
    pub arena: Vec<Line>,
    pub scratch: Scratch,
    pub packed: Packed,
    pub input: (Shape, Range<usize>),
    pub targets: Vec<Value>,
    pub target_shapes: Vec<Shape>,
    pub whitener: Whitener,
}

impl CpuProgram {
    /// Puts an image into the arena.
    pub(super) fn load(&mut self, input: &Tensor) -> Result<()> {
        let (shape, range) = &self.input;
        if input.shape() != shape {
            let reason = format!("the program was compiled for {shape}, and the image is {}", input.shape());
            return Err(Error::argument("input", reason));
        }
        let arena: &mut [f32] = bytemuck::cast_slice_mut(&mut self.arena);
        Order::ChannelsLast.store(shape, input.data(), &mut arena[range.clone()]);
        Ok(())
    }

    /// Runs one step.
    pub(super) fn step(&mut self, i: usize) -> Result<()> {
        let arena = bytemuck::cast_slice_mut(&mut self.arena);
        self.steps[i].run(self.isa, arena, &mut self.scratch, &mut self.packed)
    }

    fn forward(&mut self, input: &Tensor) -> Result<Vec<Arc<Tensor>>> {
        self.load(input)?;
        (0..self.steps.len()).try_for_each(|i| self.step(i))?;
        let arena: &[f32] = bytemuck::cast_slice(&self.arena);
        let target = |value: &Value| {
            let mut out = Tensor::zeros(value.shape.clone());
            value.order.load(&value.shape, value.data(arena, &[], 0), out.data_mut());
            Arc::new(out)
        };
        Ok(self.targets.iter().map(target).collect())
    }
}

impl Program for CpuProgram {
    fn target_shapes(&self) -> &[Shape] {
        &self.target_shapes
    }

    fn bytes(&self) -> usize {
        size_of_val(self.arena.as_slice())
    }

    fn run<'a>(&'a mut self, input: &'a Tensor, mix: &'a Mix) -> LocalFuture<'a, Result<Output>> {
        Box::pin(async move {
            let (channels, ..) = channels_height_width(&self.target_shapes[0])?;
            validate(mix, channels)?;
            let targets = self.forward(input)?;
            let mixed = mix_host(&targets[0], mix)?;
            let features = |t: Arc<Tensor>| Features { shape: t.shape().clone(), store: Store::Host(t) };
            Ok(Output { features: targets.into_iter().map(features).collect(), mixed })
        })
    }

    fn mix<'a>(&'a mut self, features: &'a Features, mix: &'a Mix) -> LocalFuture<'a, Result<Mixed>> {
        Box::pin(async move { mix_host(features.on_host()?, mix) })
    }

    fn run_cells<'a>(&'a mut self, input: &'a Tensor, readout: &'a CellReadout) -> LocalFuture<'a, Result<CellOutput>> {
        Box::pin(async move {
            cells::validate(readout, &self.target_shapes)?;
            let targets = self.forward(input)?;
            let planes: Vec<&Tensor> = targets.iter().map(AsRef::as_ref).collect();
            let cells = cells_host(&planes, readout, |factor, rows| self.whitener.energy(self.isa, factor, rows))?;
            let features = |t: Arc<Tensor>| Features { shape: t.shape().clone(), store: Store::Host(t) };
            Ok(CellOutput { features: targets.into_iter().map(features).collect(), cells })
        })
    }

    fn cells<'a>(
        &'a mut self,
        features: &'a [Features],
        readout: &'a CellReadout,
    ) -> LocalFuture<'a, Result<CellMaps>> {
        Box::pin(async move {
            let isa = self.isa;
            cells::on_host(features, readout, |factor, rows| self.whitener.energy(isa, factor, rows))
        })
    }

    fn read<'a>(&'a mut self, features: &'a Features) -> LocalFuture<'a, Result<Tensor>> {
        Box::pin(async move { features.on_host().cloned() })
    }
}

/// A whitening factor as packed weights, for as long as the same one is asked for.
#[derive(Default)]
pub(super) struct Whitener {
    packed: Option<(Arc<[f32]>, Dense)>,
    whitened: Vec<f32>,
}

impl Whitener {
    /// `sum_i |P x_i|^2` over rows of cells.
    fn energy(&mut self, isa: Isa, factor: &Arc<[f32]>, rows: &[f32]) -> Result<f64> {
        let channels = factor.len().isqrt();
        if !self.packed.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, factor)) {
            let dense = Dense::pack(isa, channels, channels, factor, &vec![0.0; channels])?;
            self.packed = Some((factor.clone(), dense));
        }
        let Some((_, dense)) = &self.packed else { return Err(failed("no whitening factor")) };
        self.whitened.resize(rows.len(), 0.0);
        let each = || Rows { start: 0, stride: channels };
        let unclamped = [f32::NEG_INFINITY, f32::INFINITY];
        dense.apply(rows.len() / channels.max(1), rows, each(), &mut self.whitened, each(), None, unclamped)?;
        // A row in f32, in strands that do not wait for each other; the rows in f64.
        let energy = |row: &[f32]| {
            let (chunks, rest) = row.as_chunks::<8>();
            let mut strands = [0f32; 8];
            chunks.iter().for_each(|c| strands.iter_mut().zip(c).for_each(|(s, z)| *s += z * z));
            f64::from(strands.iter().sum::<f32>() + rest.iter().map(|z| z * z).sum::<f32>())
        };
        Ok(self.whitened.chunks_exact(channels.max(1)).map(energy).sum())
    }
}

impl Value {
    /// The floats, when the arena is split into what lies before and after the output of a step (of `gap` floats).
    fn data<'a>(&'a self, before: &'a [f32], after: &'a [f32], gap: usize) -> &'a [f32] {
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
    fn run(&self, isa: Isa, arena: &mut [f32], scratch: &mut Scratch, packed: &mut Packed) -> Result<()> {
        // The plan never lets an input share memory with the output, so inputs are before or after it.
        let (before, rest) = arena.split_at_mut(self.range.start);
        let (y, after) = rest.split_at_mut(self.range.len());
        let (before, after, gap) = (&*before, &*after, self.range.len());
        let input = |i: usize| self.inputs[i].data(before, after, gap);
        match &self.work {
            Work::Alias => Ok(()),
            Work::Conv(conv, activation) => {
                let images = self.output.dims()[0];
                let (x, residual) = (input(0), self.inputs.get(1).map(|r| r.data(before, after, gap)));
                let (x_len, y_len) = (x.len() / images, y.len() / images);
                for i in 0..images {
                    let residual = residual.map(|r| &r[i * y_len..][..y_len]);
                    let (x, y) = (&x[i * x_len..][..x_len], &mut y[i * y_len..][..y_len]);
                    conv.apply(x, y, residual, scratch, clamp(*activation))?;
                }
                finish(isa, *activation, y);
                Ok(())
            }
            Work::Linear(product, activation) => {
                product.apply_all(input(0), y, None, &mut scratch.quantized, clamp(*activation))?;
                finish(isa, *activation, y);
                Ok(())
            }
            Work::Pool(p) => {
                let (&[images, c, oh, ow], &[_, _, h, w]) = (self.output.dims(), self.inputs[0].shape.dims()) else {
                    return Err(failed("a pool is not over four dimensions"));
                };
                let x = input(0);
                let (x_len, y_len) = (x.len() / images, y.len() / images);
                for (x, y) in x.chunks_exact(x_len).zip(y.chunks_exact_mut(y_len)) {
                    kernels::pool(isa, p, c, [[h, w], [oh, ow]], x, y)?;
                }
                Ok(())
            }
            Work::Attention(attention) => {
                let shapes = [&self.inputs[0].shape, &self.inputs[2].shape];
                let mask = self.inputs.get(3).map(|m| (m.data(before, after, gap), &m.shape));
                direct::attention(isa, attention, shapes, [input(0), input(1), input(2)], mask, y, packed)
            }
            Work::MatMul => {
                let shapes = [&self.inputs[0].shape, &self.inputs[1].shape];
                direct::matmul(shapes, [input(0), input(1)], y, packed)
            }
            Work::Norm { scale, bias, epsilon } => kernels::layer_norm(isa, [scale, bias], *epsilon, input(0), y),
            Work::Activation(activation) => {
                y.copy_from_slice(input(0));
                kernels::activate(isa, *activation, y);
                Ok(())
            }
            Work::Softmax(n) => {
                y.copy_from_slice(input(0));
                kernels::softmax(isa, *n, 1.0, None, y)
            }
            Work::Quantize(q) => {
                y.iter_mut().zip(input(0)).for_each(|(y, &x)| *y = q.apply(x));
                Ok(())
            }
            Work::Zip { op, repeat, swapped } => {
                direct::zip(*op, *swapped, *repeat, [input(0), input(1)], y);
                Ok(())
            }
            Work::Copy(strided) => strided.copy(input(0), y),
            Work::Gather { indices, len, inner } => {
                direct::gather(indices, *len, *inner, input(0), y);
                Ok(())
            }
            Work::Evaluate(op) => {
                let tensor = |(i, value): (usize, &Value)| {
                    let mut logical = Tensor::zeros(value.shape.clone());
                    value.order.load(&value.shape, input(i), logical.data_mut());
                    logical
                };
                let inputs: Vec<Tensor> = self.inputs.iter().enumerate().map(tensor).collect();
                let result = evaluate(op, &inputs.iter().collect::<Vec<_>>(), &self.output);
                self.order.store(&self.output, result.data(), y);
                Ok(())
            }
            Work::Candle(generic) => {
                let tensor = |i: usize| {
                    let Value { shape, order, .. } = &self.inputs[i];
                    candle_core::Tensor::from_slice(input(i), order.physical(shape), &Device::Cpu).map(|t| (t, *order))
                };
                let inputs = (0..self.inputs.len()).map(tensor).collect::<candle_core::Result<Vec<_>>>();
                let result =
                    inputs.and_then(|inputs| generic.apply(&inputs, self.output.dims(), self.order)?.contiguous());
                copy_out(&result.map_err(|e| candle_failed(&self.name, self.op, &e))?, y)
            }
        }
    }
}

/// The values of a contiguous candle tensor.
fn copy_out(from: &candle_core::Tensor, to: &mut [f32]) -> Result<()> {
    let (storage, layout) = from.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(data)), Some((start, end))) if end - start == to.len() => {
            to.copy_from_slice(&data[start..end]);
            Ok(())
        }
        _ => Err(failed(format!("candle gave {:?}, and {} floats were planned", from.shape(), to.len()))),
    }
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
