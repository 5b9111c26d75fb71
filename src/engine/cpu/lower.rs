//! From a graph to a program. This file decides once how each node is computed.

use std::sync::Arc;

use super::conv::Conv;
use super::failed;
use super::layout::{self, Order};
use super::product::{Arithmetic, Product, Weight};
use super::program::{CpuProgram, Line};
use super::step::{Place, Step, Tools, Value, Work};
use crate::engine::cpu::kernels::{Axis, room};
use crate::engine::plan::{Arena, Plan};
use crate::error::{Error, Result};
use crate::graph::{Constant, Graph, Node, Op, Pool2d, ValueId};
use crate::tensor::{Shape, Tensor};

/// Compiles what the targets need.
pub(super) fn compile(arithmetic: &Arithmetic, graph: &Graph, targets: &[ValueId]) -> Result<CpuProgram> {
    let plan = Plan::new(graph, targets)?;
    let bytes = |id: ValueId| graph.value(id).shape.len().saturating_mul(size_of::<f32>());
    let orders = layout::orders(graph, plan.steps.iter().map(|&n| &graph.nodes[n]));
    let arena = plan.arena(graph, bytes, |node| is_alias(graph, &orders, node), size_of::<Line>())?;
    let lines = arena.size / size_of::<Line>();
    let mut memory = room(&[lines], "the memory for all activations, in pieces of 64 bytes,")?;
    memory.resize(lines, Line::ZERO);
    let lowering = Lowering { arithmetic, graph, orders, arena };

    let steps = plan.nodes(graph).map(|node| lowering.step(node)).collect::<Result<Vec<_>>>()?;
    let mut tools = Tools::new(arithmetic.isa);
    steps.iter().try_for_each(|step| step.work.reserve(&mut tools))?;
    let value = lowering.value(graph.image_input()?)?;
    let Place::Arena(range) = value.place else { return Err(failed("the image input is a constant")) };
    Ok(CpuProgram {
        steps,
        arena: memory,
        tools,
        store: arithmetic.store.clone(),
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
    arithmetic: &'a Arithmetic,
    graph: &'a Graph,
    orders: Vec<Order>,
    arena: Arena,
}

impl Lowering<'_> {
    fn step(&self, node: &Node) -> Result<Step> {
        let (work, inputs) = match is_alias(self.graph, &self.orders, node) {
            true => (Work::Alias, node.inputs.clone()),
            false => self.work(node).map_err(|error| at(node, error))?,
        };
        let output = self.value(node.output)?;
        let Place::Arena(range) = output.place else { return Err(failed("an output is a constant")) };
        let inputs = inputs.into_iter().map(|id| self.value(id)).collect::<Result<_>>()?;
        let multiplications = match node.op {
            Op::Conv2d(_) | Op::Linear(_) => {
                let weight = self.shape(node.inputs[1]);
                let outputs = weight.dims().first().copied().unwrap_or(1).max(1);
                output.shape.len() as u64 * (weight.len() / outputs) as u64
            }
            _ => 0,
        };
        let (name, op) = (node.name.clone(), node.op.name());
        Ok(Step { name, op, multiplications, work, inputs, output: output.shape, range })
    }

    /// A convolution, and the activations it reads: weights are packed into the work.
    pub(super) fn conv(&self, node: &Node, conv: &crate::graph::Conv2d) -> Result<(Work, Vec<ValueId>)> {
        let mut inputs = node.inputs.clone();
        inputs.drain(1..3);
        let shapes = [self.shape(node.inputs[0]), self.shape(node.output)];
        let (weight, bias) = (self.constant(node, 1)?, self.constant(node, 2)?.to_float());
        let compiled = Conv::new(self.arithmetic, conv, shapes, weight, &bias)?;
        Ok((Work::Conv(compiled, conv.activation), inputs))
    }

    /// A fully connected layer over plain rows.
    pub(super) fn linear(&self, node: &Node, linear: &crate::graph::Linear) -> Result<Work> {
        let (weight, bias) = (self.constant(node, 1)?, self.constant(node, 2)?.to_float());
        let &[n, k] = weight.shape().dims() else { return Err(failed("a weight is not a matrix")) };
        let product = Product::pack(self.arithmetic, [n, k], Weight::of(weight), bias.data())?;
        Ok(Work::Linear(product, linear.activation))
    }

    /// A pool over maps, which lie channels-last.
    pub(super) fn pool(&self, node: &Node, pool: &Pool2d) -> Result<Work> {
        let (x, y) = (self.shape(node.inputs[0]), self.shape(node.output));
        let (&[_, c, h, w], &[_, _, oh, ow]) = (x.dims(), y.dims()) else {
            return Err(failed("a pool is not over four dimensions"));
        };
        let axes = Axis::both([[h, w], [oh, ow]], pool.kernel, pool.strides, pool.dilations, pool.pads)?;
        Ok(Work::Pool { kind: pool.kind, channels: c, axes })
    }

    fn constant(&self, node: &Node, i: usize) -> Result<&Constant> {
        let value = self.graph.value(node.inputs[i]);
        let missing = || Error::node(&node.name, node.op.name(), format!("{:?} must be a constant", value.name));
        value.constant.as_ref().ok_or_else(missing)
    }

    fn value(&self, id: ValueId) -> Result<Value> {
        let value = self.graph.value(id);
        let place = match (&value.constant, self.arena.offsets[id.0]) {
            (Some(constant), _) => {
                let logical = constant.to_float();
                let mut physical = room(&[logical.data().len()], "a constant")?;
                physical.resize(logical.data().len(), 0.0);
                self.orders[id.0].store(&value.shape, logical.data(), &mut physical);
                Place::Constant(self.arithmetic.store.floats(physical))
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

/// An error of the engine, with the node that it is about.
fn at(node: &Node, error: Error) -> Error {
    match error {
        Error::Engine { reason, .. } => Error::node(&node.name, node.op.name(), reason),
        Error::TooLarge { what, size, limit } => {
            Error::TooLarge { what: format!("{what} of {} {:?}", node.op.name(), node.name), size, limit }
        }
        other => other,
    }
}
