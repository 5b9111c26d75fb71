//! Activations as int8: a QuantizeLinear and a DequantizeLinear around them ("static QDQ").
//!
//! famlens quantises what a Conv, Gemm or MatMul with constant weights reads, and what a Conv writes, behind its ReLU
//! or Clip. Between such a pair of values a runtime can compute in whole numbers, for which it also needs a
//! convolution's bias in the steps of its products, `scale of the input * scale of the channel`. Everything else stays
//! float: sums along a residual path, LayerNormalization, Softmax, GELU and products of two activations gain little by
//! 8 bits and lose much.

use std::collections::{HashMap, HashSet};

use super::{
    LevelType, Levels, QuantReport, QuantizeOptions, QuantizedActivation, axis_attribute, finish, no_weights,
    output_axes, quantize_weights, read,
};
use crate::error::{Error, Result};
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto, TensorProto, data_type};
use crate::onnx::read_float;

/// No bias may need more than this many steps: half of what an int32 holds, so that sums with products fit too.
const MOST_STEPS: f64 = (1u32 << 30) as f64;

/// Where an activation is read in its quantized form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    /// By Conv, Gemm and MatMul; others read the float value.
    Products,
    /// By all: the float value need not exist then.
    All,
}

/// A float ONNX file on its way to a static QDQ one: say the ranges of its [`StaticQuantizer::activations`].
///
/// [`crate::session::Calibration`] does so by running the model over photos.
pub struct StaticQuantizer {
    model: ModelProto,
    bytes: usize,
    activations: Vec<String>,
    readers: HashMap<String, Readers>,
}

impl StaticQuantizer {
    /// Reads a file whose weights are float, or int8 by [`super::quantize`].
    ///
    /// # Errors
    /// As [`super::quantize`], and [`Error::Argument`] if its activations are quantized already.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let mut model = read(bytes)?;
        let graph = model.graph.get_or_insert_default();
        if let Some(node) = graph.node.iter().find(|n| is_quantizing(n)) {
            let (node, op) = (node.title(), node.op_type());
            return Err(Error::argument(
                "model",
                format!("its activations are quantized already (node {node:?}, {op}); take the float model"),
            ));
        }
        let (activations, readers) = sites(graph);
        if activations.is_empty() {
            return Err(no_weights());
        }
        Ok(Self { model, bytes: bytes.len(), activations, readers })
    }

    /// Names of the activations to be quantized, in the file's order; the image input may be one.
    pub fn activations(&self) -> &[String] {
        &self.activations
    }

    /// Writes the file. An activation without a range stays float.
    ///
    /// # Errors
    /// [`Error::Onnx`] naming a weight that is not finite or a name that is taken.
    pub fn finish(mut self, ranges: &HashMap<String, [f32; 2]>, kind: LevelType) -> Result<(Vec<u8>, QuantReport)> {
        let graph = self.model.graph.get_or_insert_default();
        let activation = |name: &String| {
            let range = *ranges.get(name)?;
            Some(QuantizedActivation { name: name.clone(), range, levels: Levels::new(range[0], range[1], kind) })
        };
        let activations: Vec<QuantizedActivation> = self.activations.iter().filter_map(activation).collect();
        let steps: HashMap<&str, f32> = activations.iter().map(|a| (a.name.as_str(), a.levels.scale)).collect();
        let tensors = quantize_weights(graph, &QuantizeOptions::default(), &least_scales(graph, &steps)?)?;
        add_zero_points(graph);
        quantize_biases(graph, &steps)?;
        for activation in &activations {
            let readers = self.readers.get(&activation.name).copied().unwrap_or(Readers::All);
            insert(graph, activation, kind, readers);
        }
        finish(self.model, self.bytes, tensors, activations)
    }
}

fn is_quantizing(node: &NodeProto) -> bool {
    let op = node.op_type();
    op == "QuantizeLinear" || op == "DynamicQuantizeLinear" || op.starts_with("QLinear") || op.ends_with("Integer")
}

/// The activations to be quantized, in the file's order.
fn sites(graph: &GraphProto) -> (Vec<String>, HashMap<String, Readers>) {
    let initializers: HashSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
    let axes = output_axes(graph);
    let float: HashSet<&str> = graph
        .initializer
        .iter()
        .filter(|t| t.data_type() == data_type::FLOAT && axes.contains_key(t.name()))
        .map(TensorProto::name)
        .collect();
    let constant =
        |n: &&NodeProto| n.op_type() == "DequantizeLinear" && n.input.iter().all(|i| initializers.contains(i.as_str()));
    let scaled: HashSet<&str> =
        graph.node.iter().filter(constant).flat_map(|n| &n.output).map(String::as_str).collect();
    let outputs: HashSet<&str> = graph.output.iter().map(|o| o.name()).collect();
    let mut consumers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
    for node in &graph.node {
        node.input.iter().for_each(|name| consumers.entry(name).or_default().push(node));
    }

    let (mut names, mut readers): (Vec<String>, HashMap<String, Readers>) = Default::default();
    let mut add = |name: &str, who: Readers| match readers.get_mut(name) {
        Some(known) if who == Readers::All => *known = who,
        Some(_) => {}
        None => {
            readers.insert(name.to_owned(), who);
            names.push(name.to_owned());
        }
    };
    for node in graph.node.iter().filter(|n| is_product(n)) {
        let [input, weight, ..] = node.input.as_slice() else { continue };
        let constant_weight = float.contains(weight.as_str()) || scaled.contains(weight.as_str());
        if !constant_weight || initializers.contains(input.as_str()) || scaled.contains(input.as_str()) {
            continue;
        }
        add(input, Readers::Products);
        let (Some(mut output), "Conv") = (node.output.first(), node.op_type()) else { continue };
        if let Some([next]) = consumers.get(output.as_str()).map(Vec::as_slice)
            && matches!(next.op_type(), "Relu" | "Clip")
            && !outputs.contains(output.as_str())
        {
            output = next.output.first().unwrap_or(output);
        }
        let read = consumers.get(output.as_str()).map_or(&[][..], Vec::as_slice);
        // Channels differ widely before a normalisation, so one scale for all of them would cost too much there.
        if !read.is_empty() && !read.iter().any(|n| n.op_type() == "BatchNormalization") {
            add(output, Readers::All);
        }
    }
    (names, readers)
}

fn is_product(node: &NodeProto) -> bool {
    matches!(node.full_type().as_str(), "Conv" | "Gemm" | "MatMul")
}

/// For each convolution whose input is quantized, in `f(weight, bias, scale of the input)`.
fn biased_convolutions<'a>(
    graph: &'a GraphProto,
    steps: &'a HashMap<&str, f32>,
) -> impl Iterator<Item = (&'a str, &'a TensorProto, f32)> {
    let mut uses: HashMap<&str, usize> = HashMap::new();
    graph.node.iter().flat_map(|n| &n.input).for_each(|name| *uses.entry(name).or_default() += 1);
    graph.node.iter().filter(|n| n.full_type() == "Conv").filter_map(move |node| {
        let [input, weight, bias, ..] = node.input.as_slice() else { return None };
        let step = *steps.get(input.as_str())?;
        // A bias that something else reads too has steps of its own there.
        let bias = graph.initializer.iter().find(|t| t.name() == bias && uses.get(bias.as_str()) == Some(&1))?;
        (bias.data_type() == data_type::FLOAT).then_some((weight.as_str(), bias, step))
    })
}

/// The least scales of weights at which biases fit into int32: matters for channels whose weights are as good as 0.
fn least_scales(graph: &GraphProto, steps: &HashMap<&str, f32>) -> Result<HashMap<String, Vec<f32>>> {
    let mut least: HashMap<String, Vec<f32>> = HashMap::new();
    for (weight, bias, step) in biased_convolutions(graph, steps) {
        let bias = read_float(bias)?;
        let floor = |b: &f32| (f64::from(b.abs()) / (f64::from(step) * MOST_STEPS)) as f32;
        let floors: Vec<f32> = bias.data().iter().map(floor).collect();
        let known = least.entry(weight.to_owned()).or_insert_with(|| floors.clone());
        known.iter_mut().zip(&floors).for_each(|(a, b)| *a = a.max(*b));
    }
    Ok(least)
}

/// Gives the dequantized weights a zero point, which runtimes look for before they compute in whole numbers.
fn add_zero_points(graph: &mut GraphProto) {
    let scales: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|t| (t.name(), t)).collect();
    let mut zeros = Vec::new();
    for node in graph.node.iter_mut().filter(|n| n.op_type() == "DequantizeLinear" && n.input.len() == 2) {
        let Some(scale) = scales.get(node.input[1].as_str()) else { continue };
        let name = format!("{}_zero_point", node.output.first().map_or("", String::as_str));
        let values: i64 = scale.dims.iter().product();
        let (dims, raw) = (scale.dims.clone(), vec![0u8; usize::try_from(values).unwrap_or(0)]);
        zeros.push(initializer(name.clone(), data_type::INT8, dims, raw));
        node.input.push(name);
    }
    graph.initializer.extend(zeros);
}

/// Stores the biases of convolutions as int32 in the steps of their products.
fn quantize_biases(graph: &mut GraphProto, steps: &HashMap<&str, f32>) -> Result<()> {
    // By the weight's name: its scales.
    let scale_of: HashMap<&str, &str> = (graph.node.iter())
        .filter(|n| n.op_type() == "DequantizeLinear")
        .filter_map(|n| Some((n.output.first()?.as_str(), n.input.get(1)?.as_str())))
        .collect();
    let by_name: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|t| (t.name(), t)).collect();
    let (mut added, mut nodes, mut gone) = (Vec::new(), Vec::new(), HashSet::new());
    for (weight, bias, step) in biased_convolutions(graph, steps) {
        let Some(scales) = scale_of.get(weight).and_then(|s| by_name.get(s)) else { continue };
        let (name, values, scales) = (bias.name().to_owned(), read_float(bias)?, read_float(scales)?);
        let unit = |i: usize| step * scales.data()[i.min(scales.data().len().saturating_sub(1))];
        let levels = |(i, &b): (usize, &f32)| (f64::from(b) / f64::from(unit(i))).round_ties_even();
        let levels: Vec<f64> = values.data().iter().enumerate().map(levels).collect();
        let fits = levels.iter().all(|q| q.abs() < 2.0 * MOST_STEPS);
        if !fits {
            continue;
        }
        let dims = vec![levels.len() as i64];
        let raw = levels.iter().flat_map(|&q| (q as i32).to_le_bytes()).collect();
        added.push(initializer(format!("{name}_quantized"), data_type::INT32, dims.clone(), raw));
        let raw = (0..levels.len()).flat_map(|i| unit(i).to_le_bytes()).collect();
        added.push(initializer(format!("{name}_scale"), data_type::FLOAT, dims, raw));
        let inputs = vec![format!("{name}_quantized"), format!("{name}_scale")];
        let mut node = operation("DequantizeLinear", format!("{name}_dequantize"), inputs, name.clone());
        node.attribute.push(axis_attribute(0));
        nodes.push(node);
        gone.insert(name);
    }
    graph.initializer.retain(|t| !gone.contains(t.name()));
    graph.input.retain(|i| !gone.contains(i.name()));
    graph.initializer.extend(added);
    graph.node.splice(0..0, nodes);
    Ok(())
}

/// Puts QuantizeLinear and DequantizeLinear behind an activation and lets its readers read what comes out.
fn insert(graph: &mut GraphProto, activation: &QuantizedActivation, kind: LevelType, readers: Readers) {
    let QuantizedActivation { name, levels, .. } = activation;
    let name_of = |what: &str| format!("{name}_{what}");
    for node in &mut graph.node {
        let reads = |i: usize| readers == Readers::All || (i == 0 && is_product(node));
        let places: Vec<usize> = (0..node.input.len()).filter(|&i| node.input[i] == *name && reads(i)).collect();
        places.into_iter().for_each(|i| node.input[i] = name_of("dequantized"));
    }
    let level_type = match kind {
        LevelType::Unsigned => data_type::UINT8,
        LevelType::Signed => data_type::INT8,
    };
    let parameters = [name_of("scale"), name_of("zero_point")];
    let with = |first: String| [vec![first], parameters.to_vec()].concat();
    let quantize = operation("QuantizeLinear", name_of("quantize"), with(name.clone()), name_of("quantized"));
    let dequantize =
        operation("DequantizeLinear", name_of("dequantize"), with(name_of("quantized")), name_of("dequantized"));
    let producer = graph.node.iter().position(|n| n.output.contains(name));
    let at = producer.map_or(0, |i| i + 1);
    graph.node.splice(at..at, [quantize, dequantize]);
    let [scale, zero_point] = parameters;
    let raw = levels.scale.to_le_bytes().to_vec();
    graph.initializer.push(initializer(scale, data_type::FLOAT, Vec::new(), raw));
    graph.initializer.push(initializer(zero_point, level_type, Vec::new(), vec![levels.zero as u8]));
}

fn operation(op: &str, name: String, input: Vec<String>, output: String) -> NodeProto {
    NodeProto { input, output: vec![output], name: Some(name), op_type: Some(op.into()), ..NodeProto::default() }
}

fn initializer(name: String, kind: i32, dims: Vec<i64>, raw: Vec<u8>) -> TensorProto {
    TensorProto { dims, data_type: Some(kind), name: Some(name), raw_data: Some(raw), ..TensorProto::default() }
}
