//! From a graph to a program: one exhaustive `match` over the ops.

use std::sync::Arc;

use super::conv::{Conv, Scratch};
use super::generic::Generic;
use super::product::{Arithmetic, Product, Weight};
use super::program::{CpuProgram, Line, Place, Step, Value, Work};
use super::{candle_failed, failed, layout};
use crate::engine::plan::{Arena, Plan};
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, Op, ValueId};

/// Compiles what the targets need.
pub(super) fn compile(arithmetic: Arithmetic, graph: &Graph, targets: &[ValueId]) -> Result<CpuProgram> {
    let plan = Plan::new(graph, targets)?;
    let bytes = |id: ValueId| graph.value(id).shape.len().saturating_mul(size_of::<f32>());
    let arena = plan.arena(graph, bytes, |node| is_alias(graph, node), size_of::<Line>())?;
    let lowering = Lowering { arithmetic, graph, arena };

    let steps = plan.nodes(graph).map(|node| lowering.step(node)).collect::<Result<Vec<_>>>()?;
    let mut scratch = Scratch::default();
    for step in &steps {
        match &step.work {
            Work::Conv(conv, _) => conv.reserve(&mut scratch),
            Work::Linear(product, _) => product.reserve(&mut scratch.quantized),
            Work::Alias | Work::Pool(_) | Work::Candle(_) | Work::Evaluate(_) => {}
        }
    }
    let value = lowering.value(graph.image_input()?)?;
    let Place::Arena(range) = value.place else { return Err(failed("the image input is a constant")) };
    Ok(CpuProgram {
        isa: arithmetic.isa,
        steps,
        arena: vec![Line::ZERO; lowering.arena.size / size_of::<Line>()],
        scratch,
        input: (value.shape, range),
        targets: targets.iter().map(|&t| lowering.value(t)).collect::<Result<_>>()?,
        target_shapes: targets.iter().map(|&t| graph.value(t).shape.clone()).collect(),
        whitener: Default::default(),
    })
}

/// A Reshape that leaves every value where it is.
fn is_alias(graph: &Graph, node: &Node) -> bool {
    let plain = |id: ValueId| layout::is_plain(&graph.value(id).shape);
    matches!(node.op, Op::Reshape(_)) && plain(node.inputs[0]) && plain(node.output)
}

struct Lowering<'a> {
    arithmetic: Arithmetic,
    graph: &'a Graph,
    arena: Arena,
}

impl Lowering<'_> {
    fn step(&self, node: &Node) -> Result<Step> {
        let shape = |id: ValueId| &self.graph.value(id).shape;
        let constant = |i: usize| {
            let value = self.graph.value(node.inputs[i]);
            value
                .constant
                .as_ref()
                .ok_or_else(|| Error::node(&node.name, node.op.name(), format!("{:?} must be a constant", value.name)))
        };
        // Which inputs are activations: weights are packed into the step.
        let mut inputs = node.inputs.clone();
        let work = match &node.op {
            Op::Conv2d(conv) => {
                inputs.drain(1..3);
                let shapes = [shape(node.inputs[0]), shape(node.output)];
                let compiled = Conv::new(self.arithmetic, conv, shapes, constant(1)?, &constant(2)?.to_float())?;
                Work::Conv(compiled, conv.activation)
            }
            Op::Linear(linear) => {
                inputs.truncate(1);
                let (weight, bias) = (constant(1)?, constant(2)?.to_float());
                let &[n, k] = weight.shape().dims() else { return Err(failed("a weight is not a matrix")) };
                if layout::is_plain(shape(node.inputs[0])) && layout::is_plain(shape(node.output)) {
                    let product = Product::pack(self.arithmetic, [n, k], Weight::of(weight), bias.data())?;
                    Work::Linear(product, linear.activation)
                } else {
                    let weight = weight.to_float();
                    let generic =
                        Generic::linear(self.arithmetic.isa, [n, k], weight.data(), bias.data(), linear.activation);
                    Work::Candle(generic.map_err(|e| candle_failed(&node.name, node.op.name(), &e))?)
                }
            }
            Op::Pool2d(pool) => Work::Pool(pool.clone()),
            Op::MatMul => Work::Candle(Generic::MatMul(self.arithmetic.isa)),
            Op::Activation(activation) => Work::Candle(Generic::Activation(*activation)),
            Op::Binary(op) => Work::Candle(Generic::Binary(*op)),
            Op::Reduce { kind, axes, keep_dims: _ } => {
                Work::Candle(Generic::Reduce { kind: *kind, axes: axes.clone() })
            }
            Op::Softmax { axis } => Work::Candle(Generic::Softmax { axis: *axis }),
            Op::Reshape(_) if is_alias(self.graph, node) => Work::Alias,
            Op::Reshape(_) => Work::Candle(Generic::Reshape),
            Op::Transpose { perm } => Work::Candle(Generic::Transpose { perm: perm.clone() }),
            Op::Concat { axis } => Work::Candle(Generic::Concat { axis: *axis }),
            Op::Pad { before, after, value } => {
                Work::Candle(Generic::Pad { before: before.clone(), after: after.clone(), value: *value })
            }
            op @ (Op::LayerNorm(_) | Op::Attention(_) | Op::Slice { .. } | Op::Gather { .. } | Op::Quantize(_)) => {
                Work::Evaluate(op.clone())
            }
        };
        let output = self.value(node.output)?;
        let Place::Arena(range) = output.place else { return Err(failed("an output is a constant")) };
        let inputs = inputs.into_iter().map(|id| self.value(id)).collect::<Result<_>>()?;
        let multiplications = match node.op {
            Op::Conv2d(_) | Op::Linear(_) => {
                let weight = shape(node.inputs[1]);
                (output.shape.len() * weight.len() / weight.dims()[0]) as u64
            }
            _ => 0,
        };
        let (name, op) = (node.name.clone(), node.op.name());
        Ok(Step { name, op, multiplications, work, inputs, output: output.shape, range })
    }

    fn value(&self, id: ValueId) -> Result<Value> {
        let value = self.graph.value(id);
        let place = match (&value.constant, self.arena.offsets[id.0]) {
            (Some(constant), _) => {
                let logical = constant.to_float();
                let mut physical = vec![0.0; logical.data().len()];
                layout::to_physical(&value.shape, logical.data(), &mut physical);
                Place::Constant(Arc::new(physical))
            }
            (None, Some(offset)) => {
                let start = offset / size_of::<f32>();
                Place::Arena(start..start + value.shape.len())
            }
            (None, None) => return Err(failed(format!("{:?} has no place in memory", value.name))),
        };
        Ok(Value { shape: value.shape.clone(), place })
    }
}
