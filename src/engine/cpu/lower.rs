//! From a graph to a program: one exhaustive `match` over the ops.

use std::sync::Arc;

use super::conv::{Conv, Scratch};
use super::direct::Packed;
use super::generic::{Generic, generic};
use super::layout::{self, Order};
use super::product::{Arithmetic, Product, Weight};
use super::program::{CpuProgram, Line, Place, Step, Value, Work};
use super::{candle_failed, failed};
use crate::engine::plan::{Arena, Plan};
use crate::error::{Error, Result};
use crate::graph::{Constant, Graph, Node, Op, ValueId};
use crate::tensor::{Shape, Tensor};

/// Compiles what the targets need.
pub(super) fn compile(arithmetic: Arithmetic, graph: &Graph, targets: &[ValueId]) -> Result<CpuProgram> {
    let plan = Plan::new(graph, targets)?;
    let bytes = |id: ValueId| graph.value(id).shape.len().saturating_mul(size_of::<f32>());
    let orders = layout::orders(graph, plan.steps.iter().map(|&n| &graph.nodes[n]));
    let arena = plan.arena(graph, bytes, |node| is_alias(graph, &orders, node), size_of::<Line>())?;
    let lowering = Lowering { arithmetic, graph, orders, arena };

    let steps = plan.nodes(graph).map(|node| lowering.step(node)).collect::<Result<Vec<_>>>()?;
    let mut scratch = Scratch::default();
    for step in &steps {
        match &step.work {
            Work::Conv(conv, _) => conv.reserve(&mut scratch),
            Work::Linear(product, _) => product.reserve(&mut scratch.quantized),
            _ => {}
        }
    }
    let value = lowering.value(graph.image_input()?)?;
    let Place::Arena(range) = value.place else { return Err(failed("the image input is a constant")) };
    Ok(CpuProgram {
        isa: arithmetic.isa,
        steps,
        arena: vec![Line::ZERO; lowering.arena.size / size_of::<Line>()],
        scratch,
        packed: Packed::new(arithmetic.isa),
        input: (value.shape, range),
        targets: targets.iter().map(|&t| lowering.value(t)).collect::<Result<_>>()?,
        target_shapes: targets.iter().map(|&t| graph.value(t).shape.clone()).collect(),
        whitener: Default::default(),
    })
}

/// A Reshape or Transpose that leaves every value where it is.
fn is_alias(graph: &Graph, orders: &[Order], node: &Node) -> bool {
    let (x, y) = (node.inputs[0], node.output);
    if graph.value(x).constant.is_some() {
        return false;
    }
    let plain = |id: ValueId| orders[id.0].is_plain(&graph.value(id).shape);
    match &node.op {
        Op::Reshape(_) => plain(x) && plain(y),
        // The same memory, seen channels first or last.
        Op::Transpose { perm } => match (orders[x.0], orders[y.0]) {
            (Order::Plain, Order::ChannelsLast) => perm == &[0, 3, 1, 2],
            (Order::ChannelsLast, Order::Plain) => perm == &[0, 2, 3, 1],
            _ => false,
        },
        _ => false,
    }
}

pub(super) struct Lowering<'a> {
    arithmetic: Arithmetic,
    graph: &'a Graph,
    orders: Vec<Order>,
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
                if self.is_plain(node.inputs[0]) && self.is_plain(node.output) {
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
            _ if is_alias(self.graph, &self.orders, node) => Work::Alias,
            op => match self.direct(node) {
                Some(work) => work,
                None => generic(self.arithmetic.isa, op),
            },
        };
        if Self::swaps(&work) {
            inputs.swap(0, 1);
        }
        if let Work::Norm { .. } = work {
            inputs.truncate(1);
        }
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
        let (output, order) = (output.shape, output.order);
        Ok(Step { name, op, multiplications, work, inputs, output, order, range })
    }

    fn value(&self, id: ValueId) -> Result<Value> {
        let value = self.graph.value(id);
        let place = match (&value.constant, self.arena.offsets[id.0]) {
            (Some(constant), _) => {
                let logical = constant.to_float();
                let mut physical = vec![0.0; logical.data().len()];
                self.orders[id.0].store(&value.shape, logical.data(), &mut physical);
                Place::Constant(Arc::new(physical))
            }
            (None, Some(offset)) => {
                let start = offset / size_of::<f32>();
                Place::Arena(start..start + value.shape.len())
            }
            (None, None) => return Err(failed(format!("{:?} has no place in memory", value.name))),
        };
        Ok(Value { shape: value.shape.clone(), order: self.orders[id.0], place })
    }

    pub(super) fn shape(&self, id: ValueId) -> &Shape {
        &self.graph.value(id).shape
    }

    pub(super) fn order(&self, id: ValueId) -> Order {
        self.orders[id.0]
    }

    /// Whether a value lies in the logical order.
    pub(super) fn is_plain(&self, id: ValueId) -> bool {
        self.order(id).is_plain(self.shape(id))
    }

    /// The values of a float constant.
    pub(super) fn float(&self, id: ValueId) -> Option<Arc<Tensor>> {
        self.graph.value(id).constant.as_ref().map(Constant::to_float)
    }
}
