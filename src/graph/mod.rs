//! The network as famlens sees it: a closed set of ops over values of known shape.
//!
//! A [`Graph`] is built by [`crate::onnx`] for one input size, so that every shape is a number; the passes then fold
//! and fuse it, and an engine compiles what is left. ONNX sugar (BatchNormalization, Dropout, Identity, shape
//! arithmetic, DequantizeLinear of weights) never gets here or is gone after [`passes::optimize`].

mod best;
mod bounds;
mod dense;
mod dynamic;
pub(crate) mod evaluate;
pub mod gradient;
mod infer;
mod layouts;
mod op;
pub mod passes;
mod randomise;
mod reads;
mod targets;

pub(crate) use bounds::check_shape;
pub use bounds::{MAX_COORDINATE, MAX_ELEMENTS, MAX_RANK, MAX_SCORES, MAX_TAPS};
pub(crate) use infer::broadcast;
pub use op::{Activation, Attention, BinaryOp, Conv2d, LayerNorm, Linear, Op, Pool2d, PoolKind, Quantize, ReduceKind};
pub use randomise::{count_weighted_layers, randomise};

pub use reads::Read;
pub use targets::{Target, TargetLayout};

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::tensor::{Int8Tensor, Shape, Tensor};

/// Index of a [`Value`] in [`Graph::values`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ValueId(pub usize);

/// A constant: a weight, a bias, a scale. Shared, never copied, between graphs of different input sizes.
#[derive(Clone, Debug)]
pub enum Constant {
    /// Float values.
    Float(Arc<Tensor>),
    /// Int8 values with one scale per output channel. Only the weight input of [`Op::Conv2d`] and [`Op::Linear`].
    Int8(Arc<Int8Tensor>),
}

impl Constant {
    /// The shape of the constant.
    pub fn shape(&self) -> &Shape {
        match self {
            Self::Float(t) => t.shape(),
            Self::Int8(t) => t.shape(),
        }
    }

    /// The constant as floats (dequantized if it is int8).
    pub fn to_float(&self) -> Arc<Tensor> {
        match self {
            Self::Float(t) => t.clone(),
            Self::Int8(t) => Arc::new(t.dequantize()),
        }
    }
}

/// What flows along an edge: an activation, the input, or a constant.
#[derive(Clone, Debug)]
pub struct Value {
    /// Name in the ONNX file, or one derived from it.
    pub name: String,
    /// Shape, all dimensions known.
    pub shape: Shape,
    /// The values, if they are known before the input is.
    pub constant: Option<Constant>,
}

/// One operation. Every op has exactly one output.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name in the ONNX file, or one derived from it.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Its inputs, in the order stated at the variant of [`Op`].
    pub inputs: Vec<ValueId>,
    /// Its output.
    pub output: ValueId,
}

/// A network with one image input, for one input size.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// All values; nodes refer to them by index.
    pub values: Vec<Value>,
    /// Nodes in an order in which every input is computed before it is used.
    pub nodes: Vec<Node>,
    /// The image input, `[1, C, H, W]`.
    pub input: Option<ValueId>,
    /// The outputs named by the ONNX file.
    pub outputs: Vec<ValueId>,
}

impl Graph {
    /// The value of that id.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// Adds a value and returns its id.
    pub fn add_value(&mut self, name: impl Into<String>, shape: Shape, constant: Option<Constant>) -> ValueId {
        self.values.push(Value { name: name.into(), shape, constant });
        ValueId(self.values.len() - 1)
    }

    /// Adds a float constant.
    pub fn add_constant(&mut self, name: impl Into<String>, tensor: Tensor) -> ValueId {
        let shape = tensor.shape().clone();
        self.add_value(name, shape, Some(Constant::Float(Arc::new(tensor))))
    }

    /// Adds an int8 weight.
    pub fn add_int8(&mut self, name: impl Into<String>, tensor: Int8Tensor) -> ValueId {
        let shape = tensor.shape().clone();
        self.add_value(name, shape, Some(Constant::Int8(Arc::new(tensor))))
    }

    /// Adds the image input.
    pub fn add_input(&mut self, name: impl Into<String>, shape: impl Into<Shape>) -> ValueId {
        let id = self.add_value(name, shape.into(), None);
        self.input = Some(id);
        id
    }

    /// Appends a node, infers the shape of its output and returns the output's id.
    ///
    /// # Errors
    /// [`Error::Node`] if the inputs do not fit the op.
    pub fn add_node(&mut self, name: impl Into<String>, op: Op, inputs: Vec<ValueId>) -> Result<ValueId> {
        let name = name.into();
        let shapes: Vec<&Shape> = inputs.iter().map(|&i| &self.value(i).shape).collect();
        let shape = op.output_shape(&shapes).map_err(|reason| Error::node(&name, op.name(), reason))?;
        check_shape(&shape).map_err(|reason| Error::node(&name, op.name(), reason))?;
        let output = self.add_value(name.clone(), shape, None);
        self.nodes.push(Node { name, op, inputs, output });
        Ok(output)
    }

    /// The value of that name, constants excluded.
    pub fn find(&self, name: &str) -> Option<ValueId> {
        self.values.iter().position(|v| v.name == name && v.constant.is_none()).map(ValueId)
    }

    /// The node that computes a value; `None` for inputs and constants.
    pub fn producer(&self, id: ValueId) -> Option<&Node> {
        self.nodes.iter().find(|n| n.output == id)
    }

    /// The id of the image input.
    ///
    /// # Errors
    /// [`Error::Onnx`] if the graph has none.
    pub fn image_input(&self) -> Result<ValueId> {
        self.input.ok_or_else(|| Error::onnx("the graph has no image input"))
    }
}
