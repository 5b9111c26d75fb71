//! ONNX files through the lowering, the passes and the reference engine, against ONNX Runtime.
//!
//! `tests/onnx/*.onnx` are one small model an operator (and a few small networks) with ONNX Runtime's answers beside
//! them, made by `tests/onnx/make.py`; then the model that famlens ships against its goldens.

mod common;

use common::{bytes, cosine, golden, json, npy, relative_error, root, rows};
use famlens::engine::reference::ReferenceEngine;
use famlens::engine::{Engine, Mix};
use famlens::graph::{Activation, Graph, Op, ValueId, passes};
use famlens::onnx::{Model, ModelSummary};
use famlens::tensor::{Shape, Tensor};
use pollster::block_on;

/// The targets' values, by the reference engine.
fn run(graph: &Graph, input: &Tensor, targets: &[ValueId]) -> Vec<Tensor> {
    // The mix is over the first target, which must have channels: the image has some.
    let targets: Vec<ValueId> = graph.input.into_iter().chain(targets.iter().copied()).collect();
    block_on(async {
        let mut program = ReferenceEngine.compile(graph, &targets).unwrap();
        let output = program.run(input, &Mix::default()).await.unwrap();
        let mut found = Vec::new();
        for features in &output.features[1..] {
            found.push(program.read(features).await.unwrap());
        }
        found
    })
}

/// The formula of `tests/onnx/make.py`.
fn formula(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((37 * i + 11) % 101) as f32 / 50.0 - 1.0).collect()
}

/// The input's size in a case: its own, or the one that make.py used where it is free.
fn size_of(name: &str, model: &Model) -> (usize, usize) {
    let free = match name {
        "net_mobilenet_v2" => (64, 64),
        "net_mobilenet_v2_unfolded" => (64, 32),
        "net_resnet" => (48, 64),
        _ => (3, 2),
    };
    let (height, width) = model.input_size().unwrap();
    (height.unwrap_or(free.0), width.unwrap_or(free.1))
}

#[test]
fn every_operator_agrees_with_onnx_runtime() {
    let mut names: Vec<String> = std::fs::read_dir(root("tests/onnx"))
        .unwrap()
        .filter_map(|e| e.unwrap().file_name().into_string().unwrap().strip_suffix(".onnx").map(String::from))
        .collect();
    names.sort();
    assert!(names.len() > 100, "only {} cases", names.len());
    let mut failures = Vec::new();
    for name in &names {
        if let Err(reason) = check_case(name) {
            failures.push(format!("{name}: {reason}"));
        }
    }
    assert!(failures.is_empty(), "{} of {} cases failed:\n{}", failures.len(), names.len(), failures.join("\n"));
}

fn check_case(name: &str) -> Result<(), String> {
    let model = Model::parse(&bytes(root(&format!("tests/onnx/{name}.onnx")))).map_err(|e| e.to_string())?;
    let (height, width) = size_of(name, &model);
    let plain = model.to_graph(height, width).map_err(|e| e.to_string())?;
    let shape = plain.value(plain.input.unwrap()).shape.clone();
    let input = match name {
        "channels_last" => {
            let (channels, cells) = (3, formula(shape.len()));
            let data = (0..channels).flat_map(|c| cells.iter().skip(c).step_by(channels).copied());
            Tensor::new(shape.clone(), data.collect()).unwrap()
        }
        _ => Tensor::new(shape.clone(), formula(shape.len())).unwrap(),
    };
    let expected = npy(&format!("../onnx/{name}.npy"));
    for (what, graph) in
        [("as read", plain.clone()), ("optimised", passes::optimize(plain, &[]).map_err(|e| e.to_string())?)]
    {
        let found = run(&graph, &input, &graph.outputs);
        if graph.value(graph.outputs[0]).name != "y" {
            return Err(format!("{what}: the output is named {:?}", graph.value(graph.outputs[0]).name));
        }
        if found[0].shape() != expected.shape() {
            return Err(format!("{what}: shape {} instead of {}", found[0].shape(), expected.shape()));
        }
        // f16 inside the model: 11 bits.
        let limit = if name == "cast_float" { 1e-3 } else { 2e-6 };
        let limit = if name.starts_with("net_") { 1e-5 } else { limit };
        let off = relative_error(found[0].data(), expected.data());
        if off > limit {
            return Err(format!("{what}: off by {off:e}"));
        }
    }
    Ok(())
}

fn op_names(name: &str) -> Vec<String> {
    let model = Model::parse(&bytes(root(&format!("tests/onnx/{name}.onnx")))).unwrap();
    let (height, width) = size_of(name, &model);
    let summary = ModelSummary::new(&model, height, width).unwrap();
    summary.nodes.into_iter().map(|n| n.op).collect()
}

#[test]
fn exporters_sugar_is_gone() {
    for (name, expected) in [
        ("conv_batch_norm_relu", &["Conv2d"][..]),
        ("conv_int8_batch_norm_relu", &["Conv2d"]),
        ("pad_conv", &["Conv2d"]),
        ("hard_swish_torch", &["Activation"]),
        ("hard_swish_written_out", &["Activation"]),
        ("silu", &["Activation"]),
        ("view_of_size", &["Reshape"]),
        ("channel_shuffle", &["Reshape", "Transpose", "Reshape"]),
        ("channels_last", &["Conv2d", "Transpose"]),
        ("matmul_add", &["Reshape", "Linear"]),
        ("dropout", &["Activation"]),
        ("average_pool_whole", &["Reduce"]),
        ("gelu_written_out", &["Activation"]),
        ("gelu_tanh_written_out", &["Activation"]),
        ("quick_gelu", &["Activation"]),
        ("mish_written_out", &["Activation"]),
        ("layer_norm_written_out", &["LayerNorm"]),
        ("qdq_conv", &["Quantize", "Conv2d", "Quantize"]),
    ] {
        assert_eq!(op_names(name), expected, "{name}");
    }
    for name in ["attention_plain", "attention_masked", "attention_windows"] {
        let ops = op_names(name);
        let count = |op: &str| ops.iter().filter(|o| *o == op).count();
        assert_eq!(
            [count("Attention"), count("Softmax"), count("MatMul"), count("Mul")],
            [1, 0, 0, 0],
            "{name}: {ops:?}"
        );
    }
    for name in ["net_mobilenet_v2", "net_mobilenet_v2_unfolded", "net_mobilenet_v3", "net_resnet"] {
        for op in ["Add", "Activation", "Pad"] {
            assert!(!op_names(name).contains(&op.to_string()), "{name} still has {op}: {:?}", op_names(name));
        }
    }
}

fn lite0() -> Model {
    Model::parse(&bytes(root("models/efficientnet_lite0/model.onnx"))).unwrap()
}

#[test]
fn lite0_is_fused_and_keeps_its_target() {
    let graph = passes::optimize(lite0().to_graph(224, 224).unwrap(), &[]).unwrap();
    let convs: Vec<_> =
        graph.nodes.iter().filter_map(|n| if let Op::Conv2d(c) = &n.op { Some(c) } else { None }).collect();
    assert_eq!((graph.nodes.len(), convs.len()), (51, 49));
    assert_eq!(convs.iter().filter(|c| c.activation == Activation::Clip(0.0, 6.0)).count(), 33);
    assert_eq!(convs.iter().filter(|c| c.residual).count(), 9);
    let features = graph.find("features").unwrap();
    assert_eq!(graph.value(features).shape, Shape::from([1, 1280, 7, 7]));
    assert_eq!(graph.target_candidates()[0].value, features);
    assert_eq!(graph.producer(features).unwrap().name, "head.conv");

    // A target in the middle keeps its own value, and what follows it is not needed.
    let plain = lite0().to_graph_for(224, 224, "blocks.10.project.conv").unwrap();
    let middle = plain.find("blocks.10.project.conv").unwrap();
    let graph = passes::optimize(plain, &[middle]).unwrap();
    assert_eq!(graph.nodes.last().unwrap().output, middle);
}

#[test]
fn weights_are_shared_between_sizes() {
    let model = lite0();
    let weight = |size: usize| {
        let graph = model.to_graph(size, size).unwrap();
        graph.values.iter().find(|v| v.name == "head.weight").and_then(|v| v.constant.clone()).unwrap()
    };
    match (weight(224), weight(320)) {
        (famlens::graph::Constant::Int8(a), famlens::graph::Constant::Int8(b)) => {
            assert!(std::sync::Arc::ptr_eq(&a, &b))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn lite0_agrees_with_onnx_runtime() {
    let model = lite0();
    let (embeddings, logits) = (npy("engine/int8_embeddings.npy"), npy("engine/int8_logits.npy"));
    let index = json(golden("engine/index.json"));
    for ((entry, embedding), logits) in index.as_array().unwrap().iter().zip(rows(&embeddings)).zip(rows(&logits)) {
        let name = entry["input"].as_str().unwrap();
        let image = image::load_from_memory(&bytes(golden(&format!("engine/{name}")))).unwrap().to_rgb8();
        let (width, height) = (image.width() as usize, image.height() as usize);
        // (x - 127) / 128, channels first.
        let plane = |c: usize| image.pixels().map(move |p| (f32::from(p.0[c]) - 127.0) / 128.0);
        let input = Tensor::new([1, 3, height, width], (0..3).flat_map(plane).collect()).unwrap();
        let graph = passes::optimize(model.to_graph(height, width).unwrap(), &[]).unwrap();
        let targets = ["features", "embedding", "logits"].map(|n| graph.find(n).unwrap());
        let found = run(&graph, &input, &targets);
        assert!(cosine(found[1].data(), embedding) >= 0.99999, "{name}");
        assert!(relative_error(found[1].data(), embedding) < 1e-3, "{name}");
        assert!(relative_error(found[2].data(), logits) < 1e-3, "{name}");
        if let Some(features) = entry["features"].as_str() {
            let off = relative_error(found[0].data(), npy(&format!("engine/{features}")).data());
            assert!(off < 1e-3, "{name}: the target layer is off by {off:e}");
        }
    }
}

#[test]
fn the_summary_lists_parameters_and_targets() {
    let summary = ModelSummary::new(&lite0(), 224, 224).unwrap();
    // The original has 4,652,008 parameters, of which each of 21,008 channels' BatchNormalization has a scale and an
    // offset; folded, one bias a channel is left.
    assert_eq!(summary.parameters, 4_652_008 - 21_008);
    assert!((380_000_000..400_000_000).contains(&summary.multiplications), "{}", summary.multiplications);
    assert_eq!(summary.targets[0].name, "features");
    assert!(summary.unsupported.is_empty() && summary.nodes.iter().any(|n| n.int8));
}

#[test]
fn another_size_than_the_fixed_one_is_refused_by_name() {
    let model = Model::parse(&bytes(root("tests/onnx/net_mobilenet_v3.onnx"))).unwrap();
    let error = model.to_graph(32, 64).unwrap_err().to_string();
    assert!(error.contains("64 x 64") && error.contains("32 x 64"), "{error}");
}
