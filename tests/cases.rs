//! Small networks, each for a kind of file that people bring: the layer that is found, and each tap against ONNX
//! Runtime. `tests/cases/make.py` made the goldens, and says what they hold.

mod common;

use famlens::engine::cpu::CpuEngine;
use famlens::engine::reference::ReferenceEngine;
use famlens::engine::{Engine, Mix};
use famlens::graph::{Graph, ValueId, passes};
use famlens::onnx::{Model, ModelSummary};
use famlens::tensor::{Shape, Tensor};
use pollster::block_on;

/// Elements of a tap that its golden holds.
const SAMPLES: usize = 48;

/// A case with what is right.
struct Case {
    name: String,
    target: String,
    rounded: bool,
    taps: Vec<String>,
    rows: Tensor,
    model: Model,
}

fn case(name: &str) -> Case {
    let index = common::json(common::root("tests/cases/index.json"));
    let entry = index.as_array().and_then(|all| all.iter().find(|e| e["name"] == name)).expect("it is in index.json");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    Case {
        name: name.into(),
        target: text(&entry["target"]),
        rounded: entry["values"] == "rounded",
        taps: entry["taps"].as_array().expect("a list").iter().map(text).collect(),
        rows: common::npy(&format!("../cases/{name}.npy")),
        model: Model::parse(&common::bytes(common::root(&format!("tests/cases/{name}.onnx")))).expect("it is read"),
    }
}

/// The input of make.py: SplitMix64 from seed 7, the upper 24 bits as -1..1, or as bytes.
fn noise(shape: &Shape, bytes: bool) -> Tensor {
    let value = |i: u64| {
        let z = 7u64.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let x = ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        if bytes { (127.5 * (x + 1.0)).round_ties_even() } else { x }
    };
    Tensor::new(shape.clone(), (1..=shape.len() as u64).map(value).collect()).expect("as many values")
}

/// Checks layer and taps; gives what was left out.
fn check(name: &str) -> Vec<String> {
    let case = case(name);
    let (height, width) = case.model.input_size().expect("an image");
    let (height, width) = (height.expect("a height"), width.expect("a width"));
    let (graph, left_out) = case.model.to_graph_as_far(height, width).unwrap_or_else(|e| panic!("{name}: {e}"));
    let found = graph.target_candidates();
    let best = found.first().map(|t| graph.value(t.value).name.clone());
    assert_eq!(best.as_deref(), Some(case.target.as_str()), "{name}: the layer that is explained");
    let input = &graph.value(graph.image_input().expect("an image")).shape;
    let input = noise(input, case.model.inputs()[0].element == "uint8");
    let optimised = passes::optimize(graph.clone(), &[]).expect("it is well formed");
    let engines: [(&dyn Engine, &Graph); 3] =
        [(&ReferenceEngine, &graph), (&ReferenceEngine, &optimised), (&CpuEngine::new(), &optimised)];
    for (engine, graph) in engines {
        let compared = compare(engine, graph, &case, &input);
        assert!(compared > 0, "{name}: nothing to compare");
    }
    let summary = ModelSummary::new(&case.model, height, width).expect("it is looked at");
    assert_eq!(summary.targets[0].name, case.target, "{name}: what inspect shows first");
    left_out.iter().map(ToString::to_string).collect()
}

/// Compares all taps that the graph has, each with its own row; gives how many.
fn compare(engine: &dyn Engine, graph: &Graph, case: &Case, input: &Tensor) -> usize {
    let there = |tap: &String| graph.find(tap).filter(|&id| graph.producer(id).is_some());
    let taps: Vec<(usize, ValueId)> = case.taps.iter().enumerate().filter_map(|(i, t)| Some((i, there(t)?))).collect();
    // The mix is over the first target, which must have channels: the image has some.
    let image = graph.image_input().expect("an image");
    let targets: Vec<ValueId> = std::iter::once(image).chain(taps.iter().map(|t| t.1)).collect();
    let say = |e: famlens::Error| panic!("{}: {e}", case.name);
    let mut program = engine.compile(graph, &targets).unwrap_or_else(say);
    let output = block_on(program.run(input, &Mix::default())).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    for (&(i, id), features) in taps.iter().zip(&output.features[1..]) {
        let values = block_on(program.read(features)).expect("it is read back");
        let row = common::rows(&case.rows).nth(i).expect("a row for each tap");
        let place = format!("{}, {}, {:?}", case.name, engine.describe(), graph.value(id).name);
        same(&place, values.data(), row, case.rounded);
    }
    taps.len()
}

/// One tap against its row of the golden.
fn same(place: &str, values: &[f32], row: &[f32], rounded: bool) {
    let &[len, mean, largest, ref samples @ ..] = row else { panic!("a row of a golden") };
    assert_eq!(values.len(), len as usize, "{place}: values");
    assert_eq!(samples.len(), SAMPLES);
    let scale = f64::from(largest).max(1e-12);
    let found_mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
    let off = |i: usize| (f64::from(values[(2_654_435_761 * i) % values.len()]) - f64::from(samples[i])).abs() / scale;
    let worst = (0..SAMPLES).map(off).fold(0.0, f64::max);
    // Rounded to 8 bits, a value between two steps may fall to either side.
    let limit = if rounded { 1.5e-2 } else { 1e-4 };
    let mean_off = (found_mean - f64::from(mean)).abs() / scale;
    // Written so that NaN fails.
    assert!(worst <= limit && mean_off <= limit, "{place}: off by {worst:.1e}, its mean by {mean_off:.1e}");
}

/// What comes after the backbone is nobody's concern: it neither stops the file from being read nor hides a layer.
#[test]
fn what_comes_behind_is_left_out() {
    let left_out = check("tail_unsupported");
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    assert!(left_out[0].contains("ArgMax \"argmax\""), "{left_out:?}");
    let left_out = check("customvision_string_labels");
    assert_eq!(left_out.len(), 3, "{left_out:?}");
    assert!(left_out.iter().any(|n| n.contains("ai.onnx.ml.ZipMap")), "{left_out:?}");
    let model = case("customvision_string_labels").model;
    let (graph, _) = model.to_graph_as_far(64, 64).expect("it runs");
    let outputs: Vec<_> = graph.outputs.iter().map(|&o| graph.value(o).name.as_str()).collect();
    assert_eq!(outputs, ["prob"], "the last value before the labels");
    assert!(model.to_graph(64, 64).is_err(), "as a whole it cannot be run");
}

/// What a global pooling reads is explained: behind the last ReLU it may be a smaller pool.
#[test]
fn the_layer_is_what_the_pooling_reads() {
    assert!(check("conv4_gap").is_empty());
    assert!(check("gdconv_embedding").is_empty());
}

/// Detectors, segmentation and decoders: the last map of the backbone, never a softmax or the boxes.
#[test]
fn networks_without_an_embedding_are_explained_before_their_heads() {
    for name in ["yolo_dfl_head", "segmentation_softmax", "unet_convtranspose"] {
        assert!(check(name).is_empty());
    }
}

/// Two photos in one file: their branches are the same layers with the same weights, and one of them is the backbone.
#[test]
fn a_siamese_network_is_its_branch() {
    for name in ["siamese_two_images", "siamese_two_embeddings"] {
        assert!(check(name).is_empty());
        let model = case(name).model;
        assert_eq!(model.images(), [("x1", &["x2".to_string()][..])]);
        assert_eq!(model.outputs(), ["e1"], "the embedding of one photo");
        assert!(model.clone().with_image("x2").is_ok() && model.with_image("x3").is_err());
    }
}

/// What exporters and ONNX Runtime write today.
#[test]
fn functions_branches_sequences_and_quantised_operators_run() {
    for name in ["local_functions", "if_constant", "split_to_sequence", "qoperator_int8"] {
        assert!(check(name).is_empty());
    }
}

/// Pixels as bytes, and their preparation inside the network.
#[test]
fn bytes_are_an_image() {
    for name in ["uint8_input", "uint8_nhwc_preprocessing"] {
        assert!(check(name).is_empty());
        assert!(case(name).model.takes_bytes());
    }
}

/// Inputs that are no square of three channels, and reductions over large maps.
#[test]
fn other_inputs_and_large_reductions_are_right() {
    for name in ["rectangular_256x128", "grey_1x64x64", "reduce_map_224", "dql_conv_224"] {
        assert!(check(name).is_empty());
    }
}
