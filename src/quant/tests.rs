//! The int8 form on small graphs; the shipped model is tested in `tests/quant.rs`.

use super::*;
use crate::onnx::Model;
use crate::onnx::proto::{Dimension, OperatorSetId, ShapeProto, StringEntry, TensorType, TypeProto, ValueInfo};

fn float(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        dims: dims.to_vec(),
        data_type: Some(data_type::FLOAT),
        name: Some(name.into()),
        raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        ..TensorProto::default()
    }
}

fn image(name: &str, dims: &[i64]) -> ValueInfo {
    let dim = dims.iter().map(|&d| Dimension { dim_value: Some(d), ..Dimension::default() }).collect();
    let tensor_type = TensorType { elem_type: Some(data_type::FLOAT), shape: Some(ShapeProto { dim }) };
    let r#type = TypeProto { tensor_type: Some(tensor_type), ..TypeProto::default() };
    ValueInfo { name: Some(name.into()), r#type: Some(r#type), ..ValueInfo::default() }
}

fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|s| s.to_string()).collect(),
        output: vec![output.into()],
        op_type: Some(op.into()),
        ..NodeProto::default()
    }
}

/// Conv, Flatten, and a Gemm and a MatMul whose output channels are the last axis.
fn model() -> ModelProto {
    let conv = [1.0, -2.0, 0.5, 0.0, 0.0, 0.0, 3.0, 1.5, -0.011_811_024];
    let matrix: Vec<f32> = (0..6).map(|i| i as f32 - 2.0).collect();
    let graph = GraphProto {
        node: vec![
            node("Conv", &["x", "w"], "c"),
            node("Flatten", &["c"], "f"),
            node("Gemm", &["f", "g", "b"], "h"),
            node("MatMul", &["h", "m"], "y"),
        ],
        name: Some("test".into()),
        initializer: vec![
            float("w", &[3, 3, 1, 1], &conv),
            float("g", &[3, 2], &matrix),
            float("b", &[2], &[0.25, 0.5]),
            float("m", &[2, 3], &matrix),
        ],
        input: vec![image("x", &[1, 3, 1, 1])],
        output: vec![image("y", &[1, 3])],
        doc_string: Some("kept".into()),
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: Some(8),
        producer_name: Some("test".into()),
        graph: Some(graph),
        opset_import: vec![OperatorSetId { domain: None, version: Some(17) }],
        metadata_props: vec![StringEntry { key: Some("licence".into()), value: Some("kept too".into()) }],
        ..ModelProto::default()
    }
}

fn stored<'a>(graph: &'a GraphProto, name: &str) -> &'a TensorProto {
    graph.initializer.iter().find(|t| t.name() == name).unwrap()
}

fn floats(tensor: &TensorProto) -> Vec<f32> {
    crate::onnx::read_float(tensor).unwrap().into_data()
}

fn int8(tensor: &TensorProto) -> Vec<i8> {
    assert_eq!(tensor.data_type(), data_type::INT8);
    tensor.raw_data().iter().map(|&b| b as i8).collect()
}

#[test]
fn values_and_scales_follow_the_definition() {
    let (bytes, report) = quantize(&model().write(), &QuantizeOptions::default()).unwrap();
    let out = ModelProto::read(&bytes).unwrap();
    let graph = out.graph.as_ref().unwrap();
    let scales = [2.0 / 127.0, 1.0, 3.0 / 127.0];
    assert_eq!(floats(stored(graph, "w_scale")), scales);
    // 1 / (2/127) = 63.5 and 1.5 / (3/127) = 63.5: halves go to the even side. -0.0118 is half a step below zero.
    assert_eq!(int8(stored(graph, "w_quantized")), [64, -127, 32, 0, 0, 0, 127, 64, 0]);
    // The output channels of [K, O] are its columns.
    assert_eq!(floats(stored(graph, "g_scale")), [2.0 / 127.0, 3.0 / 127.0]);
    assert_eq!(stored(graph, "m_scale").dims, [3]);
    assert_eq!(floats(stored(graph, "b")), [0.25, 0.5]);

    let axis = |name: &str| {
        let node = graph.node.iter().find(|n| n.output == [name]).unwrap();
        assert_eq!(node.op_type(), "DequantizeLinear");
        node.attribute("axis").unwrap().i()
    };
    assert_eq!((axis("w"), axis("g"), axis("m")), (0, 1, 1));
    assert_eq!(report.tensors.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["w", "g", "m"]);
    let w = &report.tensors[0];
    assert_eq!((w.bytes_before, w.bytes_after, w.shape.as_slice()), (36, 9 + 12, [3, 3, 1, 1].as_slice()));
    assert!(w.max_abs_error > 0.0 && w.max_abs_error <= 1.5 / 127.0 + 1e-6, "{}", w.max_abs_error);
    assert_eq!((report.bytes_before, report.bytes_after), (model().write().len(), bytes.len()));
}

#[test]
fn everything_else_is_kept() {
    let (bytes, _) = quantize(&model().write(), &QuantizeOptions::default()).unwrap();
    let out = ModelProto::read(&bytes).unwrap();
    let mut graph = out.graph.clone().unwrap();
    graph.node.retain(|n| n.op_type() != "DequantizeLinear");
    let before = model();
    let was = before.graph.unwrap();
    assert_eq!((graph.node, graph.input, graph.output), (was.node, was.input, was.output));
    assert_eq!(out.producer_name(), "famlens");
    assert_eq!((graph.doc_string, out.metadata_props), (was.doc_string, before.metadata_props));
    assert_eq!(out.opset_import, before.opset_import);
}

#[test]
fn what_comes_out_can_be_read_with_int8_weights() {
    let (bytes, _) = quantize(&model().write(), &QuantizeOptions::default()).unwrap();
    let graph = Model::parse(&bytes).unwrap().to_graph(1, 1).unwrap();
    let int8 = graph.values.iter().filter(|v| matches!(v.constant, Some(crate::graph::Constant::Int8(_))));
    assert_eq!(int8.count(), 3);
}

#[test]
fn options_leave_weights_alone() {
    let options = QuantizeOptions { min_values: 7, keep: vec![] };
    assert_eq!(quantize(&model().write(), &options).unwrap().1.tensors.len(), 1);
    let options = QuantizeOptions { min_values: 0, keep: vec!["w".into(), "m".into()] };
    assert_eq!(quantize(&model().write(), &options).unwrap().1.tensors[0].name, "g");
    let options = QuantizeOptions { min_values: 1000, keep: vec![] };
    assert!(quantize(&model().write(), &options).unwrap_err().to_string().contains("no float weights"));
}

#[test]
fn a_weight_with_two_meanings_stays_float() {
    let mut both = model();
    let graph = both.graph.as_mut().unwrap();
    // Once as it is and once transposed, then once as a weight and once as an addend.
    let mut transposed = node("Gemm", &["y", "m"], "z");
    transposed.attribute.push(Attribute { name: Some("transB".into()), i: Some(1), ..Attribute::default() });
    graph.node.push(transposed);
    graph.node.push(node("Add", &["c", "w"], "unused"));
    let (_, report) = quantize(&both.write(), &QuantizeOptions::default()).unwrap();
    assert_eq!(report.tensors.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["g"]);
}

#[test]
fn what_cannot_be_quantized_is_refused() {
    let mut old = model();
    old.opset_import[0].version = Some(12);
    assert!(quantize(&old.write(), &QuantizeOptions::default()).unwrap_err().to_string().contains("13 or newer"));
    let mut infinite = model();
    infinite.graph.as_mut().unwrap().initializer[0] = float("w", &[3, 3, 1, 1], &[f32::INFINITY; 9]);
    assert!(quantize(&infinite.write(), &QuantizeOptions::default()).unwrap_err().to_string().contains("not finite"));
    assert!(quantize(b"not a model", &QuantizeOptions::default()).is_err());
}

/// With the float original at hand (it is not in the repository), the shipped file comes out value for value.
#[test]
fn the_shipped_model_is_what_quantize_makes() {
    let Some(path) = std::env::var_os("FAMLENS_FP32_MODEL") else {
        // Written past the harness's capture, so that it shows.
        let line = "skipped: FAMLENS_FP32_MODEL does not name the float original of models/efficientnet_lite0\n";
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
        return;
    };
    let (bytes, report) = quantize(&std::fs::read(path).unwrap(), &QuantizeOptions::default()).unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/models/efficientnet_lite0/model.onnx");
    let (ours, theirs) =
        (ModelProto::read(&bytes).unwrap(), ModelProto::read(&std::fs::read(shipped).unwrap()).unwrap());
    let (ours, theirs) = (ours.graph.unwrap(), theirs.graph.unwrap());
    assert_eq!(report.tensors.len(), 50);
    assert_eq!(ours.node, theirs.node);
    assert_eq!(ours.initializer.len(), theirs.initializer.len());
    for tensor in &theirs.initializer {
        assert!(stored(&ours, tensor.name()).raw_data == tensor.raw_data, "{} differs", tensor.name());
    }
}

/// conv -> relu -> conv, whose output goes to a sum with the relu's and to a global pool; the bias of the second has a
/// dead channel.
fn residual() -> ModelProto {
    let graph = GraphProto {
        node: vec![
            node("Conv", &["x", "w", "b"], "c"),
            node("Relu", &["c"], "r"),
            node("Conv", &["r", "v", "d"], "e"),
            node("Add", &["r", "e"], "s"),
            node("GlobalAveragePool", &["s"], "p"),
            node("Flatten", &["p"], "f"),
            node("Gemm", &["f", "g"], "y"),
        ],
        name: Some("test".into()),
        initializer: vec![
            float("w", &[2, 3, 1, 1], &[1.0, -2.0, 0.5, 0.25, 0.0, -1.0]),
            float("b", &[2], &[0.5, -0.5]),
            float("v", &[2, 2, 1, 1], &[0.0, 0.0, 1.0, 3.0]),
            float("d", &[2], &[7.5, -0.25]),
            float("g", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
        ],
        input: vec![image("x", &[1, 3, 2, 2])],
        output: vec![image("y", &[1, 2])],
        ..GraphProto::default()
    };
    ModelProto { graph: Some(graph), ..model() }
}

fn ranges(of: &[(&str, [f32; 2])]) -> HashMap<String, [f32; 2]> {
    of.iter().map(|(name, range)| (name.to_string(), *range)).collect()
}

#[test]
fn activations_are_quantised_where_whole_numbers_are_computed_with() {
    let quantizer = StaticQuantizer::new(&residual().write()).unwrap();
    assert_eq!(quantizer.activations(), ["x", "r", "e", "f"]);
    let all = ranges(&[("x", [-1.0, 1.5]), ("r", [0.0, 5.1]), ("e", [-3.0, 2.1]), ("f", [0.0, 4.0])]);
    let (bytes, report) = quantizer.finish(&all, LevelType::Unsigned).unwrap();
    assert_eq!((report.tensors.len(), report.activations.len()), (3, 4));
    let out = ModelProto::read(&bytes).unwrap().graph.unwrap();
    let inputs = |output: &str| out.node.iter().find(|n| n.output == [output]).unwrap().input.clone();
    assert_eq!(inputs("r"), ["c"], "a convolution and its ReLU are one");
    assert_eq!(inputs("e"), ["r_dequantized", "v", "d"]);
    assert_eq!(inputs("s"), ["r_dequantized", "e_dequantized"], "what a convolution wrote exists in 8 bits only");
    assert_eq!(inputs("f"), ["p"]);
    assert_eq!(inputs("y"), ["f_dequantized", "g"]);
    assert_eq!(floats(stored(&out, "r_scale")), [5.1 / 255.0]);
    assert_eq!(stored(&out, "x_zero_point").raw_data(), [102]);
    assert_eq!(stored(&out, "e_zero_point").raw_data(), [150]);
    assert_eq!(stored(&out, "v_zero_point").dims, [2]);
    // The bias in steps of its products.
    let unit = floats(stored(&out, "b_scale"));
    assert_eq!(unit, [2.5 / 255.0 * (2.0 / 127.0), 2.5 / 255.0 * (1.0 / 127.0)]);
    let steps: Vec<i32> =
        stored(&out, "b_quantized").raw_data().as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b)).collect();
    assert_eq!(steps, [(0.5 / unit[0]).round() as i32, (-0.5 / unit[1]).round() as i32]);
}

#[test]
fn the_bias_of_a_dead_channel_keeps_its_value() {
    let quantizer = StaticQuantizer::new(&residual().write()).unwrap();
    let (bytes, _) = quantizer.finish(&ranges(&[("r", [0.0, 5.1])]), LevelType::Signed).unwrap();
    let out = ModelProto::read(&bytes).unwrap().graph.unwrap();
    let (unit, steps) = (floats(stored(&out, "d_scale")), stored(&out, "d_quantized").raw_data());
    let bias = i32::from_le_bytes(*steps.first_chunk().unwrap()) as f32 * unit[0];
    assert!((bias - 7.5).abs() < 1e-4, "{bias}: with a scale of 1 it would be rounded to {} steps", 5.1 / 255.0);
    // What has no range stays float, and so does a bias whose convolution reads floats.
    assert_eq!(floats(stored(&out, "b")), [0.5, -0.5]);
    assert_eq!(out.node.iter().filter(|n| n.op_type() == "QuantizeLinear").count(), 1);
}

#[test]
fn sums_beside_products_stay_float() {
    // A block as ConvNeXt's: its input goes to a convolution and, around it, to a sum.
    let mut around = residual();
    let graph = around.graph.as_mut().unwrap();
    graph.node[1].op_type = Some("Sigmoid".into());
    let (bytes, _) = StaticQuantizer::new(&around.write())
        .unwrap()
        .finish(&ranges(&[("r", [0.0, 1.0]), ("e", [-1.0, 1.0])]), LevelType::Unsigned)
        .unwrap();
    let out = ModelProto::read(&bytes).unwrap().graph.unwrap();
    let sum = out.node.iter().find(|n| n.op_type() == "Add").unwrap();
    assert_eq!(sum.input, ["r", "e_dequantized"]);
    // Before a normalisation channels differ too much for one scale.
    let mut normalised = residual();
    let graph = normalised.graph.as_mut().unwrap();
    graph.node[1] = node("BatchNormalization", &["c", "b", "b", "b", "b"], "r");
    let found = StaticQuantizer::new(&normalised.write()).unwrap();
    assert_eq!(found.activations(), ["x", "r", "e", "f"]);
    assert!(found.activations().iter().all(|a| a != "c"));
}

#[test]
fn what_is_quantised_already_is_refused() {
    let quantizer = StaticQuantizer::new(&residual().write()).unwrap();
    let (bytes, _) = quantizer.finish(&ranges(&[("r", [0.0, 5.1])]), LevelType::Unsigned).unwrap();
    assert!(StaticQuantizer::new(&bytes).is_err_and(|e| e.to_string().contains("quantized already")));
    // Weights that are int8 already are no hindrance.
    let (weights, _) = quantize(&residual().write(), &QuantizeOptions::default()).unwrap();
    let (bytes, report) =
        StaticQuantizer::new(&weights).unwrap().finish(&ranges(&[("x", [-1.0, 1.0])]), LevelType::Unsigned).unwrap();
    assert_eq!((report.tensors.len(), report.activations.len()), (0, 1));
    let out = ModelProto::read(&bytes).unwrap().graph.unwrap();
    assert!(out.initializer.iter().any(|t| t.name() == "b_quantized"), "its bias is in steps of its products");
}

#[test]
fn stored_as_int8_in_memory_is_as_in_a_file() {
    let mut loaded = Model::parse(&residual().write()).unwrap();
    let report = store_as_int8(&mut loaded).unwrap();
    assert_eq!(report, StoredWeights { tensors: 3, bytes_before: 4 * 14, bytes_after: 14 + 4 * 6 });
    let (bytes, _) = quantize(&residual().write(), &QuantizeOptions::default()).unwrap();
    let weights = |model: &Model| {
        let graph = model.to_graph(2, 2).unwrap();
        let int8 = graph.values.iter().filter_map(|v| match &v.constant {
            Some(crate::graph::Constant::Int8(t)) => Some((t.data().to_vec(), t.scales().to_vec())),
            _ => None,
        });
        int8.collect::<Vec<_>>()
    };
    assert_eq!(weights(&loaded), weights(&Model::parse(&bytes).unwrap()));
    // Once more changes nothing.
    assert_eq!(store_as_int8(&mut loaded).unwrap(), StoredWeights::default());
}

/// Weights of 16 bits, as they are and behind a Cast, become int8 as those of 32 bits do.
#[test]
fn weights_of_16_bits_are_quantised_too() {
    let (mut as_they_are, mut behind) = (model(), model());
    let half = |tensor: &TensorProto, name: &str| TensorProto {
        data_type: Some(data_type::FLOAT16),
        name: Some(name.into()),
        raw_data: Some({
            let values = crate::onnx::read_float(tensor).unwrap();
            values.data().iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect()
        }),
        ..tensor.clone()
    };
    let graph = as_they_are.graph.as_mut().unwrap();
    graph.initializer[0] = half(&graph.initializer[0], "w");
    let graph = behind.graph.as_mut().unwrap();
    graph.initializer[0] = half(&graph.initializer[0], "w16");
    let mut cast = node("Cast", &["w16"], "w");
    cast.attribute = vec![Attribute { name: Some("to".into()), i: Some(1), ..axis_attribute(0) }];
    graph.node.insert(0, cast);
    for (model, nodes) in [(as_they_are, 4 + 3 + 1), (behind, 4 + 3)] {
        let options = QuantizeOptions { min_values: 1, ..QuantizeOptions::default() };
        let (out, report) = quantize(&model.write(), &options).unwrap();
        assert!(report.tensors.iter().any(|t| t.name == "w"));
        let graph = ModelProto::read(&out).unwrap().graph.unwrap();
        assert_eq!(graph.node.len(), nodes);
        assert!(!graph.initializer.iter().any(|t| t.data_type() == data_type::FLOAT16));
        Model::parse(&out).unwrap().to_graph(1, 1).unwrap();
    }
}
