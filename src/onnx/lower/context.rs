//! What an operator sees of the node it lowers: its inputs and attributes, and the ops it adds to the graph.

use std::sync::Arc;

use super::super::data::{Array, Data};
use super::super::proto::{Attribute, NodeProto};
use super::{Lowered, Lowering, Stop, unsupported, wrong};
use crate::error::Error;
use crate::graph::Op;
use crate::graph::evaluate::{evaluate, steps};
use crate::tensor::{Shape, Tensor};

/// One node being lowered.
pub(super) struct Context<'a, 'm> {
    pub(super) lowering: &'a mut Lowering<'m>,
    pub(super) node: &'m NodeProto,
    /// What is computed at the moment, if that is not yet the node's output.
    pub(super) step: Option<&'static str>,
}

impl<'m> Context<'_, 'm> {
    pub(super) fn opset(&self) -> i64 {
        self.lowering.model.opset()
    }

    pub(super) fn value(&self, name: &str) -> Option<&Data> {
        self.lowering.values.get(name).or_else(|| self.lowering.model.known(name))
    }

    /// The element type of an input that is a constant of the file.
    pub(super) fn kind(&self, i: usize) -> Option<i32> {
        self.node.input.get(i).and_then(|n| self.lowering.model.kind(n))
    }

    pub(super) fn is_read(&self, name: &str) -> bool {
        self.lowering.model.reads(name)
    }

    /// An input that must be there.
    pub(super) fn input(&self, i: usize) -> Lowered<Data> {
        self.optional(i).ok_or_else(|| Stop::Wrong(format!("input {i} is missing")))
    }

    /// An input that may be left out.
    pub(super) fn optional(&self, i: usize) -> Option<Data> {
        self.node.input.get(i).filter(|n| !n.is_empty()).and_then(|n| self.value(n)).cloned()
    }

    /// A list of whole numbers that must be known beforehand.
    pub(super) fn ints(&self, i: usize) -> Lowered<Arc<Array<i64>>> {
        match self.input(i)? {
            Data::Ints(a) => Ok(a),
            Data::Active(_) => unsupported(format!("input {i} depends on the image's content")),
            _ => wrong(format!("input {i} must hold whole numbers")),
        }
    }

    /// Whole numbers that are an attribute in old operator sets and an input in new ones.
    pub(super) fn ints_by_attribute_or_input(&self, attribute: &str, input: usize) -> Lowered<Option<Vec<i64>>> {
        match self.attribute(attribute) {
            Some(a) => Ok(Some(a.ints.clone())),
            None if self.optional(input).is_some() => self.ints(input).map(|a| Some(a.data.clone())),
            None => Ok(None),
        }
    }

    /// A single float that must be known beforehand; `None` if the input is left out.
    pub(super) fn scalar(&self, i: usize) -> Lowered<Option<f32>> {
        let Some(data) = self.optional(i) else { return Ok(None) };
        match data.as_float() {
            Some(t) if t.data().len() == 1 => Ok(Some(t.data()[0])),
            Some(t) => wrong(format!("input {i} must be one number and is {}", t.shape())),
            None => unsupported(format!("input {i} must be a constant number")),
        }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&'m Attribute> {
        self.node.attribute(name)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.i())
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |a| a.f())
    }

    pub(super) fn string(&self, name: &str) -> String {
        self.attribute(name).map_or(String::new(), |a| String::from_utf8_lossy(a.s()).into_owned())
    }

    /// An axis, negative ones counted from the end.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Lowered<usize> {
        let at = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        let at = at.and_then(|a| usize::try_from(a).ok()).filter(|&a| a < rank);
        at.ok_or_else(|| Stop::Wrong(format!("axis {axis} is outside a value of {rank} dimensions")))
    }

    pub(super) fn shape(&self, data: &Data) -> Lowered<Shape> {
        match data {
            Data::Active(id) => Ok(self.lowering.graph.value(*id).shape.clone()),
            other => other.known_shape().ok_or(Stop::Broken),
        }
    }

    /// Adds an op that computes the node's first output.
    pub(super) fn emit(&mut self, op: Op, inputs: &[&Data]) -> Lowered<Data> {
        self.emit_output(0, op, inputs)
    }

    /// Adds an op that computes one of the node's outputs.
    pub(super) fn emit_output(&mut self, i: usize, op: Op, inputs: &[&Data]) -> Lowered<Data> {
        if let (Some(step), 0) = (self.step, i) {
            return self.emit_step(step, op, inputs);
        }
        let output = self.node.output.get(i).filter(|o| !o.is_empty()).cloned();
        let output = output.unwrap_or_else(|| format!("{}/output{i}", self.node.title()));
        let name = if i == 0 { self.node.title().to_string() } else { format!("{}/{i}", self.node.title()) };
        self.emit_as(name, output, op, inputs)
    }

    /// Adds an op that computes a step on the way, named after the node and `step`.
    pub(super) fn emit_step(&mut self, step: &str, op: Op, inputs: &[&Data]) -> Lowered<Data> {
        let output = self.node.output.first().map_or("", String::as_str);
        self.emit_as(format!("{}/{step}", self.node.title()), format!("{output}/{step}"), op, inputs)
    }

    /// Lets what otherwise computes the node's output compute a step on the way.
    pub(super) fn as_step<T>(&mut self, step: &'static str, f: impl FnOnce(&mut Self) -> T) -> T {
        self.step = Some(step);
        let result = f(self);
        self.step = None;
        result
    }

    /// The op that computes a value, and its first input.
    pub(super) fn producer(&self, data: &Data) -> Option<(Op, Data)> {
        let Data::Active(id) = data else { return None };
        let node = self.lowering.graph.producer(*id)?;
        Some((node.op.clone(), Data::Active(*node.inputs.first()?)))
    }

    fn emit_as(&mut self, name: String, output: String, op: Op, inputs: &[&Data]) -> Lowered<Data> {
        if inputs.iter().all(|d| d.is_constant()) {
            return self.fold(&op, inputs);
        }
        if let Op::Gather { indices, .. } = &op {
            self.lowering.budget.keep(size_of_val(indices.as_slice())).map_err(Stop::TooMuch)?;
        }
        let mut ids = Vec::with_capacity(inputs.len());
        for (i, input) in inputs.iter().enumerate() {
            ids.push(match input {
                Data::Active(id) => *id,
                Data::Broken(_) => return Err(Stop::Broken),
                // Only weights are computed with as they are stored.
                Data::Int8(w) if i != 1 || !matches!(op, Op::Conv2d(_) | Op::Linear(_)) => {
                    let float = Data::float(w.dequantize());
                    self.lowering.constant(&float, &format!("{output}/constant{i}"))?
                }
                known => self.lowering.constant(known, &format!("{output}/constant{i}"))?,
            });
        }
        let id = self.lowering.graph.add_node(name, op, ids).map_err(|e| match e {
            Error::Node { reason, .. } => Stop::Wrong(reason),
            other => other.into(),
        })?;
        self.lowering.graph.values[id.0].name = output;
        Ok(Data::Active(id))
    }

    /// Computes an op of constants.
    fn fold(&mut self, op: &Op, inputs: &[&Data]) -> Lowered<Data> {
        let shapes = inputs.iter().map(|d| self.shape(d)).collect::<Lowered<Vec<_>>>()?;
        let shape = op.output_shape(&shapes.iter().collect::<Vec<_>>())?;
        if shape.checked_len().is_none_or(|n| n > self.lowering.budget.elements()) {
            return wrong(format!("it computes a constant of shape {shape}, which is too large"));
        }
        if shapes.iter().any(Shape::is_empty) || shape.is_empty() {
            return wrong("a constant it computes has no elements");
        }
        let steps = steps(op, &shapes.iter().collect::<Vec<_>>(), &shape);
        self.lowering.budget.spend(steps).map_err(Stop::TooMuch)?;
        let tensors: Option<Vec<Arc<Tensor>>> = inputs.iter().map(|d| d.as_float()).collect();
        let tensors =
            tensors.ok_or_else(|| Stop::Unsupported("it computes with whole numbers that are no shape".into()))?;
        let tensors: Vec<&Tensor> = tensors.iter().map(Arc::as_ref).collect();
        Ok(Data::float(evaluate(op, &tensors, &shape)))
    }
}
