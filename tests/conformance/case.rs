//! A case as models that famlens can be given.
//!
//! A case has any number of inputs of any shape, and famlens takes one image. So the inputs that are to be activations
//! come out of the image (cut along its last dimension and reshaped, if it is not the image as it is) and all others
//! become constants, with the values and the nodes of the case. A case is run in every such way that the importer
//! accepts: all float inputs as activations, each of them alone, and none, where the importer computes all beforehand.

use std::collections::BTreeSet;

use famlens::graph::Graph;
use famlens::onnx::Model;
use famlens::tensor::{Shape, Tensor};
use prost::Message;

use crate::archive::Files;
use crate::proto::{self, Attribute, Node, Value, is_float};

/// A case of the archive.
pub struct Case {
    model: proto::Model,
    /// The values of the inputs.
    inputs: Vec<proto::Tensor>,
    pub expected: Vec<Expected>,
    operators: Vec<String>,
}

/// What an output must be.
pub struct Expected {
    pub dims: Vec<usize>,
    pub values: Vec<f64>,
    /// How far a value may be off, as a share of itself: what ONNX's own runner asks for, or the last place of a half
    /// type, which famlens computes in single precision.
    pub relative: f64,
}

/// A case with some of its inputs as activations.
pub struct Variant {
    /// The names of the inputs that are activations.
    pub active: Vec<String>,
    pub graph: Graph,
    pub input: Tensor,
}

/// Elements of a constant that the importer computes at most.
const LARGEST_FOLDED: usize = 1 << 24;
/// Of so many inputs each is tried alone.
const MOST_ALONE: usize = 4;
/// Operators whose 8-bit inputs are activations.
const QUANTISED: [&str; 5] = ["DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"];

impl Case {
    /// Decodes a case.
    ///
    /// # Errors
    /// Why the case cannot be one: what it takes or gives is no tensor of numbers.
    pub fn new(name: &str, files: &Files) -> Result<Self, String> {
        let mut model = proto::Model::decode(files.model.as_slice()).map_err(|e| e.to_string())?;
        if let (Some(graph), true) = (&mut model.graph, name.starts_with("light_")) {
            write_out(graph);
        }
        let mut case = Self {
            inputs: Vec::new(),
            expected: Vec::new(),
            operators: proto::Model::operators(&files.model).unwrap_or_default(),
            model,
        };
        case.tensors(name, files)?;
        Ok(case)
    }

    fn tensors(&mut self, name: &str, files: &Files) -> Result<(), String> {
        let graph = self.model.graph.as_ref().ok_or("no graph")?;
        let given: BTreeSet<&str> = graph.initializer.iter().map(|t| t.name()).collect();
        let asked: Vec<&Value> = graph.input.iter().filter(|i| !given.contains(i.name())).collect();
        for (i, value) in asked.iter().enumerate() {
            let what = || format!("its input {:?} is no tensor", value.name());
            let element = value.element().ok_or_else(what)?;
            let mut tensor = match files.inputs.get(&i) {
                Some(bytes) => proto::Tensor::decode(bytes.as_slice()).map_err(|_| what())?,
                None if name.starts_with("light_") => ramp(value).ok_or_else(what)?,
                None => return Err(format!("its input {i} is missing")),
            };
            if tensor.data_type() != element {
                return Err(what());
            }
            tensor.name = Some(value.name().into());
            self.inputs.push(tensor);
        }
        for (i, value) in graph.output.iter().enumerate() {
            let what = || format!("its output {:?} is no tensor of numbers", value.name());
            let bytes = files.outputs.get(&i).ok_or_else(what)?;
            value.element().ok_or_else(what)?;
            let tensor = proto::Tensor::decode(bytes.as_slice()).map_err(|_| what())?;
            let values = tensor.values().ok_or_else(what)?;
            let relative = match tensor.data_type() {
                proto::BFLOAT16 => 8e-3,
                _ => 1e-3,
            };
            self.expected.push(Expected { dims: tensor.shape(), values, relative });
        }
        Ok(())
    }

    /// The case in every way that the importer accepts, and what it says of the others.
    pub fn variants(&self) -> (Vec<Variant>, Vec<famlens::Error>) {
        let able: Vec<usize> = (0..self.inputs.len()).filter(|&i| self.can_be_active(&self.inputs[i])).collect();
        // The first input alone comes first: it is what the operator is about, and what is said of it is what counts.
        let mut ways: Vec<Vec<usize>> = able.iter().take(MOST_ALONE).map(|&i| vec![i]).collect();
        if able.len() > 1 {
            ways.push(able);
        }
        ways.push(Vec::new());
        let (mut variants, mut errors) = (Vec::new(), Vec::new());
        for active in ways {
            match self.variant(&active) {
                Ok(variant) => variants.push(variant),
                Err(error) => errors.push(error),
            }
        }
        (variants, errors)
    }

    /// Whether an input can be an activation: floats, and the levels of quantised activations, which famlens holds as
    /// floats. An image and activations are numbers, so what asks whether they are is only given constants that are
    /// not.
    fn can_be_active(&self, tensor: &proto::Tensor) -> bool {
        let levels = matches!(tensor.data_type(), proto::UINT8 | proto::INT8)
            && self.operators.iter().any(|op| QUANTISED.contains(&op.as_str()))
            && !tensor.name().contains("zero_point");
        let asks = self.operators.iter().any(|op| op == "IsNaN");
        let numbers = || tensor.values().is_some_and(|v| !(v.is_empty() || asks && v.iter().any(|v| v.is_nan())));
        (is_float(tensor.data_type()) || levels) && numbers()
    }

    fn variant(&self, active: &[usize]) -> famlens::Result<Variant> {
        let first = self.lower(active, false);
        match first {
            Ok(variant) if variant.graph.outputs.len() == self.expected.len() => Ok(variant),
            // What does not depend on the image is no output: it is added to nothing of the image.
            Ok(_) => self.lower(active, true),
            Err(famlens::Error::Onnx { reason }) if reason.starts_with("none of its outputs") => {
                self.lower(active, true)
            }
            Err(error) => Err(error),
        }
    }

    fn lower(&self, active: &[usize], tied: bool) -> famlens::Result<Variant> {
        let mut graph = self.model.graph.clone().unwrap_or_default();
        let mut values = Vec::new();
        for &i in active {
            values.extend(self.inputs[i].values().unwrap_or_default().into_iter().map(|v| v as f32));
        }
        let name = match *active {
            [i] if is_image(&self.inputs[i].shape()) => self.inputs[i].name(),
            _ => "image",
        };
        let mut before = Vec::new();
        let dims = match *active {
            [] => {
                values.push(0.0);
                vec![1, 1, 1, 1]
            }
            [i] if is_image(&self.inputs[i].shape()) => self.inputs[i].shape(),
            ref several => {
                let mut at = 0;
                for &i in several {
                    let tensor = &self.inputs[i];
                    let (part, shape) = (format!("{}/part", tensor.name()), format!("{}/shape", tensor.name()));
                    let len = tensor.shape().iter().product::<usize>() as i64;
                    let cut = vec![
                        Attribute::ints("starts", vec![at]),
                        Attribute::ints("ends", vec![at + len]),
                        Attribute::ints("axes", vec![3]),
                    ];
                    at += len;
                    before.push(Node::encode_new("Slice", &[name], &part, cut));
                    before.push(Node::encode_new("Reshape", &[&part, &shape], tensor.name(), Vec::new()));
                    graph.initializer.push(proto::Tensor::list(&shape, &tensor.dims));
                }
                vec![1, 1, 1, values.len()]
            }
        };
        let constants = (0..self.inputs.len()).filter(|i| !active.contains(i));
        graph.initializer.extend(constants.map(|i| self.inputs[i].clone()));
        graph.input = vec![Value::image(name, &dims)];
        graph.node.splice(0..0, before);
        if tied {
            let cut = ["starts", "ends", "axes"].into_iter().zip([[0; 3], [1; 3], [1, 2, 3]]);
            let cut = cut.map(|(name, ints)| Attribute::ints(name, ints.to_vec())).collect();
            graph.node.push(Node::encode_new("Slice", &[name], "tie/cell", cut));
            graph.node.push(Node::encode_new("Reshape", &["tie/cell", "tie/shape"], "tie/scalar", Vec::new()));
            graph.node.push(Node::encode_new("Mul", &["tie/scalar", "tie/zero"], "tie", Vec::new()));
            graph.initializer.extend([proto::Tensor::list("tie/shape", &[]), proto::Tensor::number("tie/zero", 0.0)]);
            for output in &mut graph.output {
                let (own, float, tied) =
                    (output.name(), format!("{}/float", output.name()), format!("{}/tied", output.name()));
                graph.node.push(Node::encode_new("Cast", &[own], &float, vec![Attribute::int("to", 1)]));
                graph.node.push(Node::encode_new("Add", &[&float, "tie"], &tied, Vec::new()));
                *output = Value::output(&tied);
            }
        }
        let model = proto::Model { graph: Some(graph), ..self.model.clone() };
        let graph = Model::parse(&model.encode_to_vec())?.to_graph(dims[2], dims[3])?;
        let input = Tensor::new(Shape::new(dims), values)?;
        let active = active.iter().map(|&i| self.inputs[i].name().to_string()).collect();
        Ok(Variant { active, graph, input })
    }
}

/// The real networks are light because their weights are one number with a shape (ConstantOfShape). Those larger than
/// the importer computes from a few bytes become what they are in a real file: initializers.
fn write_out(graph: &mut proto::Graph) {
    let initializers = std::mem::take(&mut graph.initializer);
    let mut written = Vec::new();
    graph.node.retain(|bytes| {
        let Ok(node) = Node::decode(bytes.as_slice()) else { return true };
        let shape = initializers.iter().find(|t| node.op_type() == "ConstantOfShape" && t.name() == node.input[0]);
        let dims = shape.and_then(proto::Tensor::values).unwrap_or_default();
        let value = node.attribute.first().and_then(|a| a.t.as_ref()?.values()?.first().copied()).unwrap_or(0.0) as f32;
        let len = dims.iter().product::<f64>() as usize;
        if len <= LARGEST_FOLDED || dims.is_empty() {
            return true;
        }
        written.push(proto::Tensor {
            name: node.output.first().cloned(),
            dims: dims.iter().map(|&d| d as i64).collect(),
            data_type: Some(proto::FLOAT),
            raw_data: Some(value.to_le_bytes().repeat(len)),
            ..proto::Tensor::default()
        });
        false
    });
    graph.initializer = initializers;
    graph.initializer.extend(written);
}

/// Whether famlens takes a shape for an image with its channels first.
fn is_image(dims: &[usize]) -> bool {
    let few = |c: usize| matches!(c, 1 | 3 | 4);
    matches!(*dims, [1, c, _, w] if few(c) || !few(w))
}

/// The input that ONNX's runner gives to the real networks: `i / n`.
fn ramp(value: &Value) -> Option<proto::Tensor> {
    let dims = value.dims()?;
    let len: usize = dims.iter().product();
    Some(proto::Tensor {
        dims: dims.iter().map(|&d| d as i64).collect(),
        data_type: Some(proto::FLOAT),
        float_data: (0..len).map(|i| (i as f64 / len as f64) as f32).collect(),
        ..proto::Tensor::default()
    })
}
