//! Reverse-mode differentiation, on the host, of the part of a graph that comes after one layer.
//!
//! Gradient methods (Grad-CAM, arXiv 1610.02391, and those after it) need the derivative of a score with respect to the
//! activation maps of a layer. Between the two lies the *tail* of the network: often a pooling and a linear layer, or
//! nothing; for an early layer most of the network. [`Tail`] cuts it out of a graph, [`Tail::trace`] runs it,
//! and [`Trace::gradient`] goes back through it.

mod activation;
mod broadcast;
mod conv;
mod ops;
mod pool;
mod products;
mod reduce;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

pub(super) use ops::multiplications;

use super::evaluate::evaluate;
use super::{Activation, BinaryOp, Constant, Conv2d, Graph, Linear, Node, Op, Value, ValueId};
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};

/// The part of a network between one of its layers and a later value.
///
/// ```
/// use famlens::graph::gradient::Tail;
/// use famlens::graph::{Graph, Op, ReduceKind};
/// use famlens::tensor::Tensor;
/// # fn main() -> famlens::Result<()> {
/// let mut graph = Graph::default();
/// let image = graph.add_input("image", [1, 2, 1, 2]);
/// let mean = Op::Reduce { kind: ReduceKind::Mean, axes: vec![2, 3], keep_dims: false };
/// let pooled = graph.add_node("pooled", mean, vec![image])?;
/// let tail = Tail::new(&graph, image, pooled)?;
/// let trace = tail.trace(&Tensor::new([1, 2, 1, 2], vec![1.0, 3.0, 5.0, 5.0])?, &[])?;
/// assert_eq!(trace.output().data(), [2.0, 5.0]);
/// assert_eq!(trace.gradient(&[1.0, 0.0])?.data(), [0.5, 0.5, 0.0, 0.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Tail {
    /// The tail alone: its image input is the layer, and what it reads beside it has no producer.
    graph: Graph,
    layer: ValueId,
    output: ValueId,
    sides: Vec<ValueId>,
}

/// The values of a tail for one image.
#[derive(Clone, Debug)]
pub struct Trace<'a> {
    tail: &'a Tail,
    values: Vec<Option<Arc<Tensor>>>,
    output: Arc<Tensor>,
}

impl Tail {
    /// Cuts the part out of `graph` that computes the value `to` from the value `from`.
    ///
    /// # Errors
    /// [`Error::Argument`] if `to` does not depend on `from`; [`Error::Node`] if the graph is not well formed.
    pub fn new(graph: &Graph, from: ValueId, to: ValueId) -> Result<Self> {
        let mut depends = vec![false; graph.values.len()];
        depends[from.0] = true;
        for node in &graph.nodes {
            // A layer that is itself computed from the input starts the tail: what it was computed from is cut off.
            depends[node.output.0] |= node.output != from && node.inputs.iter().any(|i| depends[i.0]);
        }
        if !depends[to.0] {
            let (from, to) = (&graph.value(from).name, &graph.value(to).name);
            let reason = format!("{to:?} is not computed from {from:?}; choose a layer that comes before {to:?}");
            return Err(Error::argument("layer", reason));
        }
        let mut needed = vec![false; graph.values.len()];
        needed[to.0] = true;
        for node in graph.nodes.iter().rev() {
            if needed[node.output.0] && depends[node.output.0] && node.output != from {
                node.inputs.iter().for_each(|i| needed[i.0] = true);
            }
        }
        let mut copy = Copier { from: graph, tail: Graph::default(), ids: HashMap::new(), sides: Vec::new() };
        let Value { name, shape, .. } = graph.value(from);
        let layer = copy.tail.add_input(name.clone(), shape.clone());
        copy.ids.insert(from, layer);
        for node in &graph.nodes {
            if needed[node.output.0] && depends[node.output.0] && node.output != from {
                copy.node(node)?;
            }
        }
        let output = copy.id(to);
        copy.tail.outputs = vec![output];
        Ok(Self { graph: copy.tail, layer, output, sides: copy.sides })
    }

    /// The tail as a graph of its own. Its input is the layer; its output is the last value. A tail with
    /// [sides](Tail::sides) needs [`Tail::with_sides`] before an engine can compile it.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The last value, in [`Tail::graph`].
    pub fn output(&self) -> ValueId {
        self.output
    }

    /// Shape of the last value.
    pub fn output_shape(&self) -> &Shape {
        &self.graph.value(self.output).shape
    }

    /// Names of the other activations that the tail reads: those of paths that lead around the layer.
    pub fn sides(&self) -> Vec<&str> {
        self.sides.iter().map(|&s| self.graph.value(s).name.as_str()).collect()
    }

    /// Whether the tail computes an affine function of the layer: its gradient is then the same for every image.
    pub fn is_affine(&self) -> bool {
        self.graph.nodes.iter().all(|node| ops::is_affine(&node.op, self.constants(node)))
    }

    /// The multiplications of convolutions and products, to judge what a pass costs.
    pub fn multiplications(&self) -> usize {
        self.graph.nodes.iter().map(|node| multiplications(node, &self.graph)).sum()
    }

    /// Bytes of all its activations together: what a [`Trace`] holds.
    pub fn bytes(&self) -> usize {
        let lengths = self.graph.nodes.iter().map(|n| self.graph.value(n.output).shape.len());
        lengths.sum::<usize>() * size_of::<f32>()
    }

    /// Every value that it computes, in [`Tail::graph`], the output first: what [`Tail::trace_from`] takes.
    pub fn values(&self) -> Vec<ValueId> {
        let others = self.graph.nodes.iter().map(|n| n.output).filter(|&v| v != self.output);
        std::iter::once(self.output).chain(others).collect()
    }

    fn constants(&self, node: &Node) -> impl Iterator<Item = bool> {
        node.inputs.iter().map(|&i| self.graph.value(i).constant.is_some())
    }

    /// The same tail with the values of its [sides](Tail::sides) for one image built in, so that an engine can compile
    /// it.
    ///
    /// # Errors
    /// [`Error::Argument`] if their number or a shape is not that of the sides.
    pub fn with_sides(&self, sides: &[Tensor]) -> Result<Self> {
        self.check_sides(sides)?;
        let mut tail = self.clone();
        for (id, value) in std::mem::take(&mut tail.sides).into_iter().zip(sides) {
            tail.graph.values[id.0].constant = Some(Constant::Float(Arc::new(value.clone())));
        }
        Ok(tail)
    }

    /// Only one number of the output: where the output is a linear layer's, the rest of it is not computed.
    ///
    /// # Errors
    /// [`Error::Argument`] if the output has no number of that index.
    pub fn select(&self, index: usize) -> Result<Self> {
        let len = self.output_shape().len();
        if index >= len {
            return Err(Error::argument("index", format!("there is no output {index}; the model has {len}")));
        }
        let mut tail = self.clone();
        let last = tail.graph.nodes.iter().position(|n| n.output == tail.output);
        let last = last.map(|at| (at, tail.graph.nodes[at].clone()));
        match last {
            Some((at, Node { op: Op::Linear(linear), inputs, name, .. })) if self.linear_rows(&inputs) == len => {
                let (weight, bias) = (self.constant(inputs[1])?, self.constant(inputs[2])?);
                let k = weight.shape().dims()[1];
                let row = Tensor::new([1, k], weight.data()[index * k..][..k].to_vec())?;
                let weight = tail.graph.add_constant(format!("{name}.row"), row);
                let bias = tail.graph.add_constant(format!("{name}.bias"), Tensor::new([1], vec![bias.data()[index]])?);
                tail.graph.nodes.truncate(at);
                tail.output = tail.graph.add_node(name, Op::Linear(linear), vec![inputs[0], weight, bias])?;
            }
            _ => {
                let flat = tail.graph.add_node("flat", Op::Reshape(Shape::from([1, len])), vec![tail.output])?;
                let mut unit = Tensor::zeros([1, len]);
                unit.data_mut()[index] = 1.0;
                let weight = tail.graph.add_constant("chosen", unit);
                let bias = tail.graph.add_constant("chosen.bias", Tensor::zeros([1]));
                let op = Op::Linear(Linear::default());
                tail.output = tail.graph.add_node("output", op, vec![flat, weight, bias])?;
            }
        }
        tail.graph.outputs = vec![tail.output];
        Ok(tail)
    }

    fn linear_rows(&self, inputs: &[ValueId]) -> usize {
        inputs.get(2).map_or(0, |&bias| self.graph.value(bias).shape.len())
    }

    fn constant(&self, id: ValueId) -> Result<Arc<Tensor>> {
        let value = self.graph.value(id);
        let constant = value.constant.as_ref().map(Constant::to_float);
        constant.ok_or_else(|| Error::node(&value.name, "Linear", "its weight is not a constant"))
    }

    fn check_sides(&self, sides: &[Tensor]) -> Result<()> {
        let expected: Vec<&Shape> = self.sides.iter().map(|&s| &self.graph.value(s).shape).collect();
        if expected.iter().copied().eq(sides.iter().map(Tensor::shape)) {
            return Ok(());
        }
        let found: Vec<&Shape> = sides.iter().map(Tensor::shape).collect();
        Err(Error::argument("sides", format!("the tail also reads activations of {expected:?}, and got {found:?}")))
    }

    /// Runs the tail from the activation maps of its layer and keeps every value. `sides` are the values of
    /// [`Tail::sides`], in that order.
    ///
    /// # Errors
    /// [`Error::Argument`] for a wrong shape.
    pub fn trace(&self, layer: &Tensor, sides: &[Tensor]) -> Result<Trace<'_>> {
        let mut values = self.known(layer, sides)?;
        for node in &self.graph.nodes {
            let shape = &self.graph.value(node.output).shape;
            let output = evaluate(&node.op, &inputs(node, &values)?, shape);
            values[node.output.0] = Some(Arc::new(output));
        }
        self.traced(values)
    }

    /// A trace from values that an engine computed: those of [`Tail::values`], each with its id.
    ///
    /// # Errors
    /// [`Error::Argument`] for a wrong shape or a missing value.
    pub fn trace_from(&self, layer: &Tensor, sides: &[Tensor], computed: Vec<(ValueId, Tensor)>) -> Result<Trace<'_>> {
        let mut values = self.known(layer, sides)?;
        for (id, tensor) in computed {
            let value = self.graph.values.get(id.0).filter(|v| v.shape == *tensor.shape());
            if value.is_none() {
                return Err(Error::argument("values", format!("value {} of the tail is not {}", id.0, tensor.shape())));
            }
            values[id.0] = Some(Arc::new(tensor));
        }
        for node in &self.graph.nodes {
            inputs(node, &values)?;
        }
        self.traced(values)
    }

    /// The constants, the layer and the sides, by id.
    fn known(&self, layer: &Tensor, sides: &[Tensor]) -> Result<Vec<Option<Arc<Tensor>>>> {
        let expected = &self.graph.value(self.layer).shape;
        if layer.shape() != expected {
            return Err(Error::argument("layer", format!("it is {expected}, and the values are {}", layer.shape())));
        }
        self.check_sides(sides)?;
        let constants = self.graph.values.iter().map(|v| v.constant.as_ref().map(Constant::to_float));
        let mut values: Vec<_> = constants.collect();
        values[self.layer.0] = Some(Arc::new(layer.clone()));
        for (id, side) in self.sides.iter().zip(sides) {
            values[id.0] = Some(Arc::new(side.clone()));
        }
        Ok(values)
    }

    fn traced(&self, values: Vec<Option<Arc<Tensor>>>) -> Result<Trace<'_>> {
        let output = values[self.output.0].clone();
        let output = output.ok_or_else(|| Error::argument("layer", "the tail does not compute its output"))?;
        Ok(Trace { tail: self, values, output })
    }
}

impl Trace<'_> {
    /// The last value.
    pub fn output(&self) -> &Tensor {
        &self.output
    }

    /// Bytes of the activations that it holds.
    pub fn bytes(&self) -> usize {
        self.tail.bytes()
    }

    /// The gradient of `sum_i seed_i output_i` with respect to the layer, in the layer's shape.
    ///
    /// Kinks follow torch: the slope of ReLU at 0 is 0, that of a clip at its ends is 0; a max pooling's gradient goes
    /// to the first of equal values, that of a maximum over axes is shared among them. Rounding counts as the identity
    /// (the straight-through estimator, arXiv 1308.3432), with what only makes its scale held fixed.
    ///
    /// # Errors
    /// [`Error::Argument`] if `seed` has another length than the output.
    pub fn gradient(&self, seed: &[f32]) -> Result<Tensor> {
        self.gradient_by(seed, false)
    }

    /// The same with what only weighs and scales held fixed: the weights of an attention, and the deviation that a
    /// normalisation divides by (arXiv 2202.07304, section 3.3). Times the layer it splits the output among the layer's
    /// values, while the true gradient of a normalisation times its input is zero whatever it explains.
    ///
    /// # Errors
    /// As [`Trace::gradient`].
    pub fn conservative_gradient(&self, seed: &[f32]) -> Result<Tensor> {
        self.gradient_by(seed, true)
    }

    fn gradient_by(&self, seed: &[f32], conservative: bool) -> Result<Tensor> {
        let tail = self.tail;
        let len = tail.output_shape().len();
        if seed.len() != len {
            return Err(Error::argument("seed", format!("has {} values, and the output {len}", seed.len())));
        }
        // Whether a value depends on the layer: gradients of others are not asked for.
        let mut depends = vec![false; tail.graph.values.len()];
        depends[tail.layer.0] = true;
        // The scale and zero point of a rounding count as fixed: the identity has none.
        let dynamic = tail.graph.dynamic_steps();
        for node in &tail.graph.nodes {
            depends[node.output.0] = !dynamic.scales[node.output.0] && node.inputs.iter().any(|i| depends[i.0]);
        }
        let mut gradients: Vec<Option<Vec<f32>>> = vec![None; tail.graph.values.len()];
        gradients[tail.output.0] = Some(seed.to_vec());
        for node in tail.graph.nodes.iter().rev() {
            let Some(dy) = gradients[node.output.0].take() else { continue };
            let Some(y) = self.values[node.output.0].as_deref() else { continue };
            let inputs = inputs(node, &self.values)?;
            for (i, &id) in node.inputs.iter().enumerate().filter(|(_, id)| depends[id.0]) {
                let dx = match conservative {
                    // Its range is that of the values, so that it cuts nothing off.
                    _ if dynamic.levels[node.output.0] && matches!(node.op, Op::Activation(Activation::Clip(..))) => {
                        dy.clone()
                    }
                    true => ops::conservative_vjp(&node.op, &inputs, y, &dy, i),
                    false => ops::vjp(&node.op, &inputs, y, &dy, i),
                };
                match &mut gradients[id.0] {
                    Some(sum) => sum.iter_mut().zip(dx).for_each(|(s, d)| *s += d),
                    empty => *empty = Some(dx),
                }
            }
        }
        let shape = tail.graph.value(tail.layer).shape.clone();
        let gradient = gradients[tail.layer.0].take().unwrap_or_else(|| vec![0.0; shape.len()]);
        Tensor::new(shape, gradient)
    }
}

fn inputs<'a>(node: &Node, values: &'a [Option<Arc<Tensor>>]) -> Result<Vec<&'a Tensor>> {
    let value = |id: &ValueId| {
        let value = values.get(id.0).and_then(Option::as_deref);
        value.ok_or_else(|| Error::node(&node.name, node.op.name(), "one of its inputs was not computed before it"))
    };
    node.inputs.iter().map(value).collect()
}

/// Copies nodes into the tail's graph; fused ones are taken apart, so that every step has a simple derivative.
struct Copier<'a> {
    from: &'a Graph,
    tail: Graph,
    ids: HashMap<ValueId, ValueId>,
    sides: Vec<ValueId>,
}

impl Copier<'_> {
    /// The id in the tail of a value of the graph; what is met for the first time is a constant or a side.
    fn id(&mut self, id: ValueId) -> ValueId {
        if let Some(&known) = self.ids.get(&id) {
            return known;
        }
        let Value { name, shape, constant } = self.from.value(id).clone();
        let side = constant.is_none();
        let new = self.tail.add_value(name, shape, constant);
        if side {
            self.sides.push(new);
        }
        self.ids.insert(id, new);
        new
    }

    fn node(&mut self, node: &Node) -> Result<()> {
        let mut inputs: Vec<ValueId> = node.inputs.iter().map(|&i| self.id(i)).collect();
        let (op, residual, activation) = match &node.op {
            Op::Conv2d(conv) => {
                let residual = if conv.residual { inputs.pop() } else { None };
                let plain = Conv2d { residual: false, activation: Activation::None, ..conv.clone() };
                (Op::Conv2d(plain), residual, conv.activation)
            }
            Op::Linear(linear) => (Op::Linear(Linear::default()), None, linear.activation),
            op => (op.clone(), None, Activation::None),
        };
        let mut output = self.tail.add_node(&node.name, op, inputs)?;
        if let Some(residual) = residual {
            output = self.tail.add_node(&node.name, Op::Binary(BinaryOp::Add), vec![output, residual])?;
        }
        if activation != Activation::None {
            output = self.tail.add_node(&node.name, Op::Activation(activation), vec![output])?;
        }
        self.tail.values[output.0].name.clone_from(&self.from.value(node.output).name);
        self.ids.insert(node.output, output);
        Ok(())
    }
}
