//! The int8 form of an ONNX model: a quarter of the download, nearly the same explanations.
//!
//! Every weight of Conv, Gemm and MatMul becomes int8, symmetric, with one scale per output channel:
//! `scale = max |w| / 127`, `q = round(w / scale)` (Jacob et al., arXiv 1712.05877; Krishnamoorthi, arXiv 1806.08342,
//! section 3.1.1). In the file it is a standard DequantizeLinear of an int8 initializer, so that any ONNX runtime loads
//! it. Biases and activations stay float. `models/quantize_reference.py` is an independent check of the same file.
//!
//! One scale for a whole tensor instead of one a channel costs an embedding cosine of .91 instead of .995 on
//! EfficientNet-Lite0, so there is no such option.
//!
//! [`StaticQuantizer`] writes activations as int8 too, in the form that runtimes call static QDQ. Their ranges come
//! from a run of the float model over some images ([`Observer`]).

mod activations;
mod loaded;
mod ranges;

pub use activations::StaticQuantizer;
pub use loaded::{StoredWeights, store_as_int8};
pub use ranges::{LevelType, Levels, Observer, RangeMethod};

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::onnx::proto::{Attribute, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfo, data_type};
use crate::onnx::{stored_bytes, weight_axes};

/// What to quantize.
#[derive(Clone, PartialEq, Debug)]
pub struct QuantizeOptions {
    /// Weights with fewer values stay float: an int8 form with its scales would hardly be smaller.
    pub min_values: usize,
    /// Weights of these names stay float.
    pub keep: Vec<String>,
}

impl Default for QuantizeOptions {
    /// Every weight, however small.
    fn default() -> Self {
        Self { min_values: 0, keep: Vec::new() }
    }
}

/// What [`quantize`] did.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct QuantReport {
    /// One entry for each quantized weight, in the file's order.
    pub tensors: Vec<QuantizedTensor>,
    /// One entry for each quantized activation, in the file's order; none if only weights are.
    pub activations: Vec<QuantizedActivation>,
    /// Size of the file before, in bytes.
    pub bytes_before: usize,
    /// Size of the file after, in bytes.
    pub bytes_after: usize,
}

/// One quantized weight.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct QuantizedTensor {
    /// Its name.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Largest absolute difference between a weight and its int8 form; at most half the largest scale.
    pub max_abs_error: f32,
    /// Bytes of the float values.
    pub bytes_before: usize,
    /// Bytes of the int8 values and the scales.
    pub bytes_after: usize,
}

/// One quantized activation.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct QuantizedActivation {
    /// Its name.
    pub name: String,
    /// The least and the largest value that its levels cover; the others are clipped.
    pub range: [f32; 2],
    /// Its scale and zero point.
    #[serde(flatten)]
    pub levels: Levels,
}

/// Quantizes the weights of an ONNX file and returns the new file. Everything else in it stays as it is.
///
/// # Errors
/// [`Error::Onnx`] if the bytes are no well-formed ONNX file, keep their weights elsewhere, use an operator set older
/// than 13 (DequantizeLinear has no axis there), or hold a weight that is not finite; [`Error::Argument`] if there is
/// no weight to quantize.
pub fn quantize(bytes: &[u8], options: &QuantizeOptions) -> Result<(Vec<u8>, QuantReport)> {
    let mut model = read(bytes)?;
    let graph = model.graph.get_or_insert_default();
    let tensors = quantize_weights(graph, options, &HashMap::new())?;
    if tensors.is_empty() {
        return Err(no_weights());
    }
    finish(model, bytes.len(), tensors, Vec::new())
}

/// The file, if it is one that can be quantized.
fn read(bytes: &[u8]) -> Result<ModelProto> {
    // The lowering finds whatever contradicts itself, so that what comes out can be run.
    crate::onnx::Model::parse(bytes)?;
    let model = ModelProto::read(bytes)?;
    let opset = model.opset().unwrap_or(0);
    match opset < 13 {
        true => Err(Error::onnx(format!(
            "it uses operator set {opset}; one scale per channel needs 13 or newer, so export it again with a newer one"
        ))),
        false => Ok(model),
    }
}

fn no_weights() -> Error {
    Error::argument("model", "it has no float weights of Conv, Gemm or MatMul to quantize")
}

/// The bytes of the new file.
fn finish(
    mut model: ModelProto,
    bytes_before: usize,
    tensors: Vec<QuantizedTensor>,
    activations: Vec<QuantizedActivation>,
) -> Result<(Vec<u8>, QuantReport)> {
    model.producer_name = Some("famlens".into());
    let out = model.write();
    // A name that was taken already shows here.
    crate::onnx::Model::parse(&out)?;
    let bytes_after = out.len();
    Ok((out, QuantReport { tensors, activations, bytes_before, bytes_after }))
}

/// Puts the int8 form in the place of every weight that the options do not spare. `least` holds, by a weight's name,
/// the least scale that each of its channels may have.
fn quantize_weights(
    graph: &mut GraphProto,
    options: &QuantizeOptions,
    least: &HashMap<String, Vec<f32>>,
) -> Result<Vec<QuantizedTensor>> {
    widen_halves(graph)?;
    let axes = output_axes(graph);
    let mut tensors = Vec::new();
    let mut done = HashMap::new();
    let mut initializers = Vec::with_capacity(graph.initializer.len() + axes.len());
    for tensor in std::mem::take(&mut graph.initializer) {
        let wanted = axes.get(tensor.name()).filter(|_| {
            let values: i64 = tensor.dims.iter().product();
            (tensor.data_type() == data_type::FLOAT || is_half(tensor.data_type()))
                && values >= i64::try_from(options.min_values).unwrap_or(i64::MAX).max(1)
                && !options.keep.iter().any(|k| k == tensor.name())
        });
        match wanted {
            Some(&axis) => {
                let least = least.get(tensor.name()).map_or(&[][..], Vec::as_slice);
                let (quantized, scale, report) = quantize_tensor(&tensor, axis, least)?;
                done.insert(tensor.name().to_string(), tensor.data_type());
                initializers.extend([quantized, scale]);
                tensors.push(report);
            }
            None => initializers.push(tensor),
        }
    }
    graph.initializer = initializers;
    // Before IR version 4 weights were listed as inputs too; the output of a node may not be one.
    graph.input.retain(|i| !done.contains_key(i.name()));
    insert_dequantize(graph, &axes, done);
    Ok(tensors)
}

/// For each initializer that is only used as a weight, the axis of its output channels.
fn output_axes(graph: &GraphProto) -> HashMap<String, usize> {
    let ranks: HashMap<&str, usize> = graph.initializer.iter().map(|t| (t.name(), t.dims.len())).collect();
    let mut axes = weight_axes(&graph.node, |name| ranks.get(name).copied());
    // An output of the whole graph must keep its float values as an initializer.
    for output in &graph.output {
        axes.remove(output.name());
    }
    axes
}

/// Values with one scale a channel: `inner` neighbours belong to one channel.
struct Int8Values {
    values: Vec<i8>,
    scales: Vec<f32>,
    max_abs_error: f32,
}

impl Int8Values {
    /// # Errors
    /// [`Error::Onnx`] naming the weight if a value is not finite.
    fn new(name: &str, values: &[f32], channels: usize, inner: usize, least: &[f32]) -> Result<Self> {
        if values.iter().any(|v| !v.is_finite()) {
            return Err(Error::onnx(format!("weight {name:?} holds values that are not finite")));
        }
        let channel = |i: usize| i / inner.max(1) % channels.max(1);
        let mut scales = vec![0f32; channels];
        for (i, v) in values.iter().enumerate() {
            let largest = &mut scales[channel(i)];
            *largest = largest.max(v.abs());
        }
        for (i, scale) in scales.iter_mut().enumerate() {
            *scale = (*scale / 127.0).max(least.get(i).copied().unwrap_or(0.0));
            // An all-zero channel needs a scale that can be divided by; so does one whose scale would underflow.
            if *scale == 0.0 {
                *scale = 1.0;
            }
        }
        let mut max_abs_error = 0f32;
        let quantize = |(i, &v): (usize, &f32)| {
            let scale = scales[channel(i)];
            let q = (v / scale).round_ties_even().clamp(-127.0, 127.0);
            max_abs_error = max_abs_error.max((q * scale - v).abs());
            q as i8
        };
        let values = values.iter().enumerate().map(quantize).collect();
        Ok(Self { values, scales, max_abs_error })
    }
}

/// The int8 values and the scales of one weight.
fn quantize_tensor(
    tensor: &TensorProto,
    axis: usize,
    least: &[f32],
) -> Result<(TensorProto, TensorProto, QuantizedTensor)> {
    let name = tensor.name();
    let float = crate::onnx::read_float(tensor)?;
    let dims = float.shape().dims();
    let (channels, inner) = (dims[axis], dims[axis + 1..].iter().product());
    let Int8Values { values, scales, max_abs_error } = Int8Values::new(name, float.data(), channels, inner, least)?;
    let values: Vec<u8> = values.into_iter().map(|v| v as u8).collect();
    let raw_scales: Vec<u8> = scales.iter().flat_map(|s| s.to_le_bytes()).collect();
    let report = QuantizedTensor {
        name: name.into(),
        shape: dims.to_vec(),
        max_abs_error,
        bytes_before: stored_bytes(tensor),
        bytes_after: values.len() + raw_scales.len(),
    };
    let quantized = TensorProto {
        dims: tensor.dims.clone(),
        data_type: Some(data_type::INT8),
        name: Some(format!("{name}_quantized")),
        raw_data: Some(values),
        doc_string: tensor.doc_string.clone(),
        metadata_props: tensor.metadata_props.clone(),
        ..TensorProto::default()
    };
    let scale = TensorProto {
        dims: vec![channels as i64],
        data_type: Some(data_type::FLOAT),
        name: Some(format!("{name}_scale")),
        raw_data: Some(raw_scales),
        ..TensorProto::default()
    };
    Ok((quantized, scale, report))
}

fn is_half(kind: i32) -> bool {
    matches!(kind, data_type::FLOAT16 | data_type::BFLOAT16)
}

/// Weights of 16 bits that only a Cast to float reads become the floats that it gives.
fn widen_halves(graph: &mut GraphProto) -> Result<()> {
    let halves: HashMap<&str, &TensorProto> =
        graph.initializer.iter().filter(|t| is_half(t.data_type())).map(|t| (t.name(), t)).collect();
    let widens = |node: &NodeProto| {
        let to_float = node.op_type() == "Cast" && node.attribute("to").is_some_and(|a| a.i() == 1);
        let given = |o: &&String| !graph.output.iter().any(|g| g.name() == o.as_str());
        let half = halves.get(node.input.first().filter(|_| to_float)?.as_str())?;
        Some((*half, node.output.first().filter(given)?.clone()))
    };
    let mut floats = Vec::new();
    let mut nodes = Vec::with_capacity(graph.node.len());
    for node in &graph.node {
        let Some((half, name)) = widens(node) else {
            nodes.push(node.clone());
            continue;
        };
        let values = crate::onnx::read_float(half)?;
        floats.push(TensorProto {
            dims: half.dims.clone(),
            data_type: Some(data_type::FLOAT),
            name: Some(name),
            raw_data: Some(values.data().iter().flat_map(|v| v.to_le_bytes()).collect()),
            ..TensorProto::default()
        });
    }
    if floats.is_empty() {
        return Ok(());
    }
    graph.node = nodes;
    let read: HashSet<&str> = graph.node.iter().flat_map(|n| &n.input).map(String::as_str).collect();
    let outputs: HashSet<&str> = graph.output.iter().map(ValueInfo::name).collect();
    let stays = |t: &TensorProto| !is_half(t.data_type()) || read.contains(t.name()) || outputs.contains(t.name());
    graph.initializer.retain(stays);
    graph.initializer.extend(floats);
    Ok(())
}

/// Puts a DequantizeLinear, whose output has the weight's old name, before the first node that reads it; behind it a Cast
/// where the weight was one of 16 bits.
fn insert_dequantize(graph: &mut GraphProto, axes: &HashMap<String, usize>, mut waiting: HashMap<String, i32>) {
    let mut nodes = Vec::with_capacity(graph.node.len() + waiting.len());
    for node in std::mem::take(&mut graph.node) {
        for name in &node.input {
            if let (Some(kind), Some(&axis)) = (waiting.remove(name), axes.get(name)) {
                let float = if is_half(kind) { format!("{name}_float") } else { name.clone() };
                nodes.push(NodeProto {
                    input: vec![format!("{name}_quantized"), format!("{name}_scale")],
                    output: vec![float.clone()],
                    name: Some(format!("{name}_dequantize")),
                    op_type: Some("DequantizeLinear".into()),
                    attribute: vec![axis_attribute(axis)],
                    ..NodeProto::default()
                });
                if is_half(kind) {
                    let to = Attribute { name: Some("to".into()), i: Some(kind.into()), ..axis_attribute(0) };
                    nodes.push(NodeProto {
                        input: vec![float],
                        output: vec![name.clone()],
                        name: Some(format!("{name}_half")),
                        op_type: Some("Cast".into()),
                        attribute: vec![to],
                        ..NodeProto::default()
                    });
                }
            }
        }
        nodes.push(node);
    }
    graph.node = nodes;
}

fn axis_attribute(axis: usize) -> Attribute {
    Attribute { name: Some("axis".into()), i: Some(axis as i64), r#type: Some(Attribute::INT), ..Attribute::default() }
}

#[cfg(test)]
mod tests;
