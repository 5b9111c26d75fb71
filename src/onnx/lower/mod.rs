//! From ONNX nodes to graph nodes, for one image size.

mod arithmetic;
mod attention;
mod casts;
mod context;
mod contrib;
mod control;
mod einsum;
mod functions;
mod indices;
mod layers;
mod logic;
mod norms;
mod parts;
mod quantized;
mod reductions;
mod resize;
mod sequences;
mod shapes;
mod tensors;
mod transposed;
mod windows;

use std::collections::HashMap;
use std::sync::Arc;

use context::Context;

use super::budget::{self, Budget};
use super::data::{Broken, Data};
use super::model::{ImageInput, Layout, Model};
use super::proto::NodeProto;
use crate::error::{Error, Result, UnsupportedNode};
use crate::graph::{Constant, Graph, MAX_ELEMENTS, MAX_RANK, Op, ValueId, passes};
use crate::tensor::Shape;

/// No constant made for one node alone may have more elements: a few bytes can ask for gigabytes. [`Budget`] bounds
/// them all.
const MAX_FOLDED: usize = 1 << 24;

/// Steps that a node costs whose constants turned out not to fit each other: it may have computed until then.
const FAILED_STEPS: u64 = 1 << 22;

/// No axis may be picked or repeated at more places.
const MAX_INDICES: usize = 1 << 20;

/// Why a node could not be lowered.
pub(super) enum Stop {
    /// It is well formed, but not something that famlens runs.
    Unsupported(String),
    /// Its inputs or attributes do not fit together.
    Wrong(String),
    /// It reads the output of a node that is not supported.
    Broken,
    /// It takes more than an import may.
    TooMuch(String),
}

impl From<String> for Stop {
    fn from(reason: String) -> Self {
        Self::Wrong(reason)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Wrong(error.to_string())
    }
}

type Lowered<T> = std::result::Result<T, Stop>;

fn unsupported<T>(reason: impl Into<String>) -> Lowered<T> {
    Err(Stop::Unsupported(reason.into()))
}

fn wrong<T>(reason: impl Into<String>) -> Lowered<T> {
    Err(Stop::Wrong(reason.into()))
}

/// A graph in the making.
pub(super) struct Lowering<'m> {
    model: &'m Model,
    budget: &'m mut Budget,
    graph: Graph,
    /// What each ONNX value of this size is; what [`Model`] knows already is not repeated.
    values: HashMap<&'m str, Data>,
    /// Constants that are in the graph already, by the address of their values.
    constants: HashMap<usize, ValueId>,
    /// ONNX names of the constants, by the address of their values.
    names: HashMap<usize, &'m str>,
}

impl<'m> Lowering<'m> {
    /// An empty graph for a model.
    pub fn new(model: &'m Model, budget: &'m mut Budget) -> Self {
        Self {
            model,
            budget,
            graph: Graph::default(),
            values: HashMap::new(),
            constants: HashMap::new(),
            names: HashMap::new(),
        }
    }

    /// Adds the image input.
    pub fn image(&mut self, image: &ImageInput<'m>, height: usize, width: usize) -> Result<()> {
        let fits = |fixed: Option<usize>, asked: usize| fixed.is_none_or(|f| f == asked);
        if !fits(image.height, height) || !fits(image.width, width) {
            let side = |fixed: Option<usize>| fixed.map_or("any".into(), |f| f.to_string());
            return Err(Error::argument(
                "input size",
                format!(
                    "this model takes images of {} x {} (height x width) only, not {height} x {width}; use that size, or \
                     export the model with free height and width",
                    side(image.height),
                    side(image.width)
                ),
            ));
        }
        let shape = Shape::from([1, image.channels, height, width]);
        if !shape.checked_len().is_some_and(|n| (1..=MAX_ELEMENTS).contains(&n)) {
            return Err(Error::argument("input size", format!("{height} x {width} is not a size that can be run")));
        }
        let value = match (image.layout, image.batched) {
            (Layout::ChannelsFirst, true) => self.graph.add_input(image.name, shape),
            (Layout::ChannelsFirst, false) => {
                let input = self.graph.add_input(format!("{}/in a batch", image.name), shape);
                let alone = Shape::from([image.channels, height, width]);
                self.graph.add_node(image.name, Op::Reshape(alone), vec![input])?
            }
            (Layout::ChannelsLast, batched) => {
                let input = self.graph.add_input(format!("{}/channels_first", image.name), shape);
                let name = if batched { image.name.to_owned() } else { format!("{}/in a batch", image.name) };
                let turned = self.graph.add_node(name, Op::Transpose { perm: vec![0, 2, 3, 1] }, vec![input])?;
                let alone = Shape::from([height, width, image.channels]);
                match batched {
                    true => turned,
                    false => self.graph.add_node(image.name, Op::Reshape(alone), vec![turned])?,
                }
            }
        };
        self.values.insert(image.name, Data::Active(value));
        for (name, value) in self.model.known_values() {
            let address = match value {
                Data::Float(t) => Arc::as_ptr(t) as usize,
                Data::Int8(w) => Arc::as_ptr(&w.tensor) as usize,
                _ => continue,
            };
            self.names.insert(address, name);
        }
        Ok(())
    }

    /// Lowers the nodes, which are in order, and finishes the graph; gives the nodes with it that famlens cannot run,
    /// and that are left out with all that they lead to. `unsupported` are those known to be so already.
    pub fn nodes(
        mut self,
        nodes: &[&'m NodeProto],
        unsupported: Vec<UnsupportedNode>,
        outputs: &[String],
    ) -> Result<(Graph, Vec<UnsupportedNode>)> {
        let mut bad = unsupported;
        let mut first_error = None;
        // Values that nodes read which are left out.
        let mut ends = Vec::new();
        let image = self.graph.input.map_or(0, |i| self.graph.value(i).shape.len() * size_of::<f32>());
        for &node in nodes {
            let result = match is_supported(node) {
                Ok(()) => self.node(node),
                Err(_) => Err(Stop::Broken),
            };
            match result {
                Ok(results) => {
                    self.values.extend(node.output.iter().map(String::as_str).zip(results));
                    continue;
                }
                Err(Stop::Wrong(reason)) => {
                    let advice = "take another input size, or export the model again";
                    first_error.get_or_insert_with(|| {
                        Error::node(node.title(), node.full_type(), format!("{reason}; {advice}"))
                    });
                }
                Err(Stop::TooMuch(reason)) => return Err(too_much(node, reason)),
                Err(Stop::Unsupported(reason)) => bad.push(unsupported_node(node, reason)),
                Err(Stop::Broken) => {}
            }
            for input in &node.input {
                if let Some(&Data::Active(id)) = self.values.get(input.as_str())
                    && !ends.contains(&id)
                {
                    ends.push(id);
                }
            }
            let broken = Data::Broken(self.broken(node));
            self.values.extend(node.output.iter().map(|o| (o.as_str(), broken.clone())));
        }
        if let Some(error) = first_error {
            // With nodes left out, others may not fit that would.
            return Err(if bad.is_empty() { error } else { Error::Unsupported { nodes: bad } });
        }
        for output in outputs {
            // An output that does not depend on the image is no activation.
            if let Some(Data::Active(id)) = self.values.get(output.as_str()) {
                self.graph.outputs.push(*id);
            }
        }
        if self.graph.outputs.is_empty() && !bad.is_empty() {
            // What is left ends where nodes were left out; what goes on besides is no end.
            let goes_on = |id: &ValueId| self.graph.nodes.iter().any(|n| n.inputs.contains(id));
            let (inner, last): (Vec<ValueId>, Vec<ValueId>) = ends.into_iter().partition(goes_on);
            self.graph.outputs = if last.is_empty() { inner } else { last };
        }
        if self.graph.outputs.is_empty() {
            return Err(match bad.is_empty() {
                true => Error::onnx("none of its outputs depends on the image"),
                false => Error::Unsupported { nodes: bad },
            });
        }
        self.graph.validate()?;
        check_activations(&self.graph, image)?;
        Ok((self.graph, bad))
    }

    /// The outputs of a node that reads only what is known; `None` if it cannot be computed beforehand.
    ///
    /// # Errors
    /// [`Error::Node`] if that takes more than an import may.
    pub fn fold(mut self, node: &'m NodeProto) -> Result<Option<Vec<(String, Data)>>> {
        if is_supported(node).is_err() {
            return Ok(None);
        }
        let results = match self.node(node) {
            Ok(results) => results,
            Err(Stop::TooMuch(reason)) => return Err(too_much(node, reason)),
            Err(_) => return Ok(None),
        };
        let all = results.iter().all(Data::is_constant) && results.len() >= node.output.len();
        Ok(all.then(|| node.output.iter().cloned().zip(results).collect()))
    }

    /// Lowers a node and charges what it computed beforehand.
    fn node(&mut self, node: &'m NodeProto) -> Lowered<Vec<Data>> {
        let inputs: Vec<Data> = {
            let value = |n: &String| self.values.get(n.as_str()).or_else(|| self.model.known(n)).cloned();
            node.input.iter().filter_map(value).collect()
        };
        let constants = inputs.iter().all(Data::is_constant);
        let result = self.node_of(node);
        let results = match result {
            Err(Stop::Wrong(reason)) if constants => {
                self.budget.spend(FAILED_STEPS).map_err(Stop::TooMuch)?;
                return Err(Stop::Wrong(reason));
            }
            other => other?,
        };
        let mut count = 0u64;
        for result in results.iter().filter(|d| d.is_constant()) {
            let shape = result.known_shape().unwrap_or_default();
            let extent = shape.dims().iter().filter(|d| **d > 0).try_fold(1usize, |n, &d| n.checked_mul(d));
            if shape.rank() > MAX_RANK || extent.is_none_or(|n| n > MAX_ELEMENTS) {
                return wrong(format!("it computes a constant of shape {shape}, which is too large"));
            }
            count = count.saturating_add(shape.len() as u64);
            if !inputs.iter().any(|i| i.address() == result.address()) {
                self.budget.keep(result.bytes()).map_err(Stop::TooMuch)?;
            }
        }
        if count > 0 {
            let read = inputs.iter().filter_map(Data::known_shape).fold(0u64, |n, s| n.saturating_add(s.len() as u64));
            self.budget.spend(count.saturating_add(read)).map_err(Stop::TooMuch)?;
        }
        Ok(results)
    }

    fn node_of(&mut self, node: &'m NodeProto) -> Lowered<Vec<Data>> {
        if matches!(node.domain(), "" | "ai.onnx") && node.op_type() == "If" {
            return self.choose(node);
        }
        if matches!(node.domain(), "" | "ai.onnx") && node.op_type() == "Loop" {
            return self.repeat(node);
        }
        let mut context = Context { lowering: self, node, step: None };
        let is_broken = |n: &String| matches!(context.value(n), Some(Data::Broken(_)));
        if node.input.iter().any(is_broken) {
            // It can only be said to be unsupported if that does not depend on shapes that nobody knows now.
            let first = node.input.first().and_then(|n| context.value(n));
            return match first {
                Some(Data::Broken(Broken::Activation)) if needs_constant(node.op_type()) => {
                    unsupported("it is only supported for constants and shapes")
                }
                _ => Err(Stop::Broken),
            };
        }
        let unread = node.input.iter().find_map(|n| match context.value(n) {
            Some(&Data::Unread(kind)) => Some(kind),
            _ => None,
        });
        if let Some(kind) = unread {
            return unsupported(format!("it reads {kind} values"));
        }
        let of_sequences = node.op_type().contains("Sequence");
        if !of_sequences && node.input.iter().any(|n| matches!(context.value(n), Some(Data::Sequence(_)))) {
            return unsupported("it reads a sequence");
        }
        let operator = operator_of(node).ok_or_else(|| Stop::Unsupported("unknown operator".into()))?;
        let results = operator(&mut context)?;
        match node.output.iter().skip(results.len()).find(|o| !o.is_empty()) {
            // Only an output that something reads matters.
            Some(extra) if context.is_read(extra) => unsupported(format!("its output {extra:?} is not computed")),
            _ => Ok(results),
        }
    }

    /// What the outputs of a node that was not lowered would be.
    fn broken(&self, node: &NodeProto) -> Broken {
        let value = |n: &String| self.values.get(n.as_str()).or_else(|| self.model.known(n));
        let of_image = |n: &String| matches!(value(n), Some(Data::Active(_) | Data::Broken(Broken::Activation)));
        match node.op_type() {
            "Shape" | "Size" => Broken::Shape,
            _ if node.input.iter().any(of_image) => Broken::Activation,
            _ => Broken::Shape,
        }
    }

    /// The id of a constant, added to the graph when it is first used.
    fn constant(&mut self, data: &Data, fallback: &str) -> Lowered<ValueId> {
        let (address, constant) = match data {
            Data::Float(t) => (Arc::as_ptr(t) as usize, Constant::Float(t.clone())),
            Data::Int8(w) if !w.transposed => (Arc::as_ptr(&w.tensor) as usize, Constant::Int8(w.tensor.clone())),
            Data::Int8(w) => {
                let t = Arc::new(w.dequantize());
                (Arc::as_ptr(&t) as usize, Constant::Float(t))
            }
            _ => return unsupported("it mixes whole numbers with activations"),
        };
        if let Some(&id) = self.constants.get(&address) {
            return Ok(id);
        }
        if !self.names.contains_key(&address) {
            self.budget.keep(data.bytes()).map_err(Stop::TooMuch)?;
        }
        let name = self.names.get(&address).map_or_else(|| fallback.to_string(), |n| n.to_string());
        let id = self.graph.add_value(name, constant.shape().clone(), Some(constant));
        self.constants.insert(address, id);
        Ok(id)
    }
}

fn too_much(node: &NodeProto, reason: String) -> Error {
    let advice = "simplify the model before (onnxsim), or export it again without this node";
    Error::node(node.title(), node.full_type(), format!("{reason}; {advice}"))
}

/// Refuses a graph whose activations take more memory at one time than those of an image of that size may.
fn check_activations(graph: &Graph, image: usize) -> Result<()> {
    let limit = budget::activations(image);
    if graph.peak().0 <= limit {
        return Ok(());
    }
    // What is put together again, attention above all, needs less.
    let fused = passes::optimize(graph.clone(), &[])?;
    let (bytes, node) = fused.peak();
    match node {
        _ if bytes <= limit => Ok(()),
        Some(node) => Err(Error::node(
            &node.name,
            node.op.name(),
            format!(
                "with its output, activations take {} MB at one time, and the limit for this image size is {} MB; take a \
                 smaller input size",
                bytes >> 20,
                limit >> 20
            ),
        )),
        None => Err(Error::argument("input size", "the image alone takes more memory than a network may")),
    }
}

type Operator = fn(&mut Context<'_, '_>) -> Lowered<Vec<Data>>;

/// What lowers an operator of the standard set.
fn operator(op_type: &str) -> Option<Operator> {
    const ROOMS: [fn(&str) -> Option<Operator>; 18] = [
        layers::operator,
        windows::operator,
        functions::operator,
        arithmetic::operator,
        attention::operator,
        casts::operator,
        indices::operator,
        logic::operator,
        norms::operator,
        reductions::operator,
        shapes::operator,
        parts::operator,
        tensors::operator,
        resize::operator,
        einsum::operator,
        quantized::operator,
        sequences::operator,
        transposed::operator,
    ];
    ROOMS.iter().find_map(|room| room(op_type))
}

/// Whether an operator has no form for activations, whatever its attributes.
fn needs_constant(op_type: &str) -> bool {
    let functions = ["Mod", "Sin", "Cos", "Tan", "Asin", "Acos", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "IsInf"];
    let others = ["ScatterND", "ConstantOfShape", "Range", "CumSum", "CumProd", "OneHot"];
    functions.contains(&op_type) || others.contains(&op_type) || op_type.starts_with("Bit")
}

/// Whether there is an operator for the node at all.
pub(super) fn is_supported(node: &NodeProto) -> std::result::Result<(), UnsupportedNode> {
    let reason = match (node.domain(), node.op_type()) {
        _ if operator_of(node).is_some() => return Ok(()),
        ("" | "ai.onnx", "If" | "Loop") => return Ok(()),
        ("" | "ai.onnx", "Scan") => "control flow",
        ("" | "ai.onnx", _) => "unknown operator",
        ("com.microsoft.nchwc", _) => "made for one kind of processor; save the model without optimising it",
        _ => "not in the standard operator set",
    };
    Err(unsupported_node(node, reason.into()))
}

/// What lowers a node, by its operator and its domain.
fn operator_of(node: &NodeProto) -> Option<Operator> {
    match (node.domain(), node.op_type()) {
        // ONNX Runtime writes this one into the standard domain.
        ("com.microsoft", op) | ("" | "ai.onnx", op @ "SimplifiedLayerNormalization") => contrib::operator(op),
        ("" | "ai.onnx", op) => operator(op),
        _ => None,
    }
}

fn unsupported_node(node: &NodeProto, reason: String) -> UnsupportedNode {
    UnsupportedNode { name: node.title().into(), op: node.full_type(), reason }
}

/// Refuses a constant that is too large to be computed beforehand.
fn check_folded(shape: &Shape) -> Lowered<()> {
    let extent = shape.dims().iter().filter(|d| **d > 0).try_fold(1usize, |n, &d| n.checked_mul(d));
    match extent {
        Some(n) if n <= MAX_FOLDED => Ok(()),
        _ => wrong(format!("it computes a constant of shape {shape}; the limit is {MAX_FOLDED} elements")),
    }
}
