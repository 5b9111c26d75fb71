//! Static quantisation and int8 weights on load, on small networks: `tests/goldens/make_static.py` says where the
//! goldens come from. What ONNX Runtime finds in the files that famlens quantised is compared on every engine by
//! `tests/families.rs` (`static_*`).

mod common;

use common::{bytes, cosine, golden, json, npy, root, rows};
use famlens::engine::cpu::CpuEngine;
use famlens::engine::{Engine, Mix};
use famlens::graph::passes;
use famlens::image::{Limits, decode};
use famlens::quant::{LevelType, QuantReport, QuantizeOptions, RangeMethod, quantize};
use famlens::session::{Calibration, EngineChoice, Model, Session};
use famlens::tensor::Tensor;
use pollster::block_on;

/// A network of the goldens whose float form is in the repository too.
struct Network {
    name: String,
    float: Vec<u8>,
    side: usize,
    kind: LevelType,
    /// Names of the activations with their least and largest values by ONNX Runtime.
    ranges: Vec<(String, [f32; 2])>,
}

fn networks() -> Vec<Network> {
    let index = json(golden("static/index.json"));
    let read = |entry: &serde_json::Value| {
        let text = |key: &str| entry[key].as_str().expect("index.json has it").to_owned();
        let name = text("name");
        let table = npy(&format!("static/{name}.npy"));
        let names = entry["names"].as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_owned());
        Network {
            float: bytes(root("tests").join(text("source"))),
            side: entry["side"].as_u64().unwrap() as usize,
            kind: text("activations").parse().unwrap(),
            ranges: names.zip(rows(&table).map(|r| [r[0], r[1]])).collect(),
            name,
        }
    };
    // The weights of the others are kept in 16 bits.
    index["networks"].as_array().unwrap().iter().map(read).filter(|n| !n.name.ends_with("deit")).collect()
}

fn card(side: usize, weights: &str) -> String {
    format!(
        r#"{{"format": 1, "name": "small", "weights": {weights:?},
            "input": {{"size": {side}, "stride": 1, "mean": [127, 127, 127], "std": [128, 128, 128]}}}}"#
    )
}

fn photos() -> Vec<std::path::PathBuf> {
    let index = json(golden("static/index.json"));
    let folder = root("tests").join(index["photos"].as_str().unwrap());
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 2);
    paths
}

fn photo(path: &std::path::Path) -> famlens::image::Photo {
    decode(&path.display().to_string(), &bytes(path), &Limits::default()).unwrap()
}

fn calibrated<'m>(model: &'m Model, network: &Network) -> Calibration<'m> {
    let mut calibration = Calibration::new(model, &network.float, Box::new(CpuEngine::new())).unwrap();
    photos().iter().for_each(|path| block_on(calibration.add(&photo(path))).unwrap());
    calibration
}

fn by_min_max(network: &Network) -> (Vec<u8>, QuantReport) {
    let model = Model::new(&card(network.side, "stored"), &network.float).unwrap();
    calibrated(&model, network).finish(RangeMethod::MinMax, network.kind).unwrap()
}

/// The model's outputs on a smooth pattern.
fn output(onnx: &[u8], side: usize) -> Vec<f32> {
    let model = famlens::onnx::Model::parse(onnx).unwrap();
    let graph = passes::optimize(model.to_graph(side, side).unwrap(), &[]).unwrap();
    let mut program = CpuEngine::new().compile(&graph, &graph.outputs).unwrap();
    let value = |i: usize| ((i % 251) as f32 * 0.7).sin() * ((i / side % 97) as f32 * 0.13).cos();
    let input = Tensor::new([1, 3, side, side], (0..3 * side * side).map(value).collect()).unwrap();
    let found = block_on(program.run(&input, &Mix::default())).unwrap();
    block_on(program.read(&found.features[0])).unwrap().data().to_vec()
}

#[test]
fn ranges_are_those_that_onnx_runtime_finds() {
    for network in networks() {
        let model = Model::new(&card(network.side, "stored"), &network.float).unwrap();
        let calibration = calibrated(&model, &network);
        assert_eq!(calibration.images(), photos().len());
        let names: Vec<&String> = network.ranges.iter().map(|(n, _)| n).collect();
        let mut found: Vec<&String> = calibration.activations().iter().collect();
        found.sort();
        let mut expected = names.clone();
        expected.sort();
        assert_eq!(found, expected, "{}", network.name);
        for (name, [low, high]) in &network.ranges {
            let ends = calibration.observed(name).expect("it was observed").ends();
            let off = (ends[0] - low).abs().max((ends[1] - high).abs()) / (high - low);
            // Photos are resized here and by Pillow: one level of 255 at most between them.
            assert!(off < 5e-3, "{} {name}: {ends:?}, and ONNX Runtime finds {low} to {high}", network.name);
        }
    }
}

#[test]
fn the_file_is_the_one_that_onnx_runtime_ran() {
    for network in networks() {
        let (fresh, report) = by_min_max(&network);
        let stored = bytes(root(&format!("tests/families/{}.onnx", network.name)));
        for (activation, (name, [low, high])) in report.activations.iter().map(|a| {
            let expected = network.ranges.iter().find(|(n, _)| *n == a.name);
            (a, expected.expect("it is one of them"))
        }) {
            let scale = (high - low) / 255.0;
            let off = (activation.levels.scale - scale).abs() / scale;
            assert!(off < 5e-3, "{} {name}: a step of {} and not {scale}", network.name, activation.levels.scale);
        }
        let (a, b) = (output(&fresh, network.side), output(&stored, network.side));
        assert!(cosine(&a, &b) > 0.9995, "{}: {}", network.name, cosine(&a, &b));
        // And it is a quantised network: near the float one, but not the same.
        let float = output(&network.float, network.side);
        let near = cosine(&a, &float);
        assert!(near > 0.97 && near < 0.999_999, "{}: cosine {near} to the float network", network.name);
        assert!(fresh.len() < network.float.len());
    }
}

#[test]
fn every_range_method_and_type_gives_a_file_that_runs() {
    let network = &networks()[0];
    let model = Model::new(&card(network.side, "stored"), &network.float).unwrap();
    let float = output(&network.float, network.side);
    for method in [RangeMethod::SquaredError, RangeMethod::MinMax, RangeMethod::Percentile] {
        for kind in [LevelType::Unsigned, LevelType::Signed] {
            let (file, _) = calibrated(&model, network).finish(method, kind).unwrap();
            let near = cosine(&output(&file, network.side), &float);
            assert!(near > 0.98, "{method} {kind}: cosine {near}");
        }
    }
}

#[test]
fn what_cannot_be_calibrated_is_named() {
    let network = &networks()[0];
    let model = Model::new(&card(network.side, "stored"), &network.float).unwrap();
    let engine = || Box::new(CpuEngine::new());
    let none = Calibration::new(&model, &network.float, engine()).unwrap();
    let error = none.finish(RangeMethod::MinMax, LevelType::Unsigned).unwrap_err().to_string();
    assert!(error.contains("at least one image"), "{error}");
    let other = bytes(root("tests/onnx/net_mobilenet_v3.onnx"));
    assert!(Calibration::new(&model, &other, engine()).is_err_and(|e| e.to_string().contains("not the bytes")));
    let (file, _) = by_min_max(network);
    let quantised = Model::new(&card(network.side, "stored"), &file).unwrap();
    assert!(Calibration::new(&quantised, &file, engine()).is_err_and(|e| e.to_string().contains("already")));
    let mut broken = Calibration::new(&model, &network.float, engine()).unwrap();
    let side = network.side;
    let input = Tensor::new([1, 3, side, side], vec![f32::INFINITY; 3 * side * side]).unwrap();
    let error = block_on(broken.add_input(&input, (side as u32, side as u32))).unwrap_err().to_string();
    assert!(error.contains("no range can hold"), "{error}");
}

/// The embedding of the first photo.
fn embedding(model: Model) -> Vec<f32> {
    block_on(async {
        let mut session = Session::new(model, EngineChoice::Cpu).await.unwrap();
        let id = session.add_image("photo", &photo(&photos()[0])).unwrap();
        session.embed(id).await.unwrap().values.to_vec()
    })
}

#[test]
fn weights_are_stored_as_int8_on_load_if_model_json_says_so() {
    for network in networks() {
        let load = |weights: &str, onnx: &[u8]| Model::new(&card(network.side, weights), onnx).unwrap();
        let (float, int8) = (load("stored", &network.float), load("int8", &network.float));
        assert!(float.stored_weights().is_none());
        let stored = int8.stored_weights().unwrap();
        assert!(stored.tensors > 0 && 2 * stored.bytes_after < stored.bytes_before, "{stored:?}");
        assert_ne!(float.fingerprint(), int8.fingerprint(), "embeddings of one are not those of the other");
        assert_eq!(float.parameters(), int8.parameters());

        // As by the file that `famlens quantize` writes, which then has nothing left to be stored in another way.
        let (file, report) = quantize(&network.float, &QuantizeOptions::default()).unwrap();
        assert_eq!(report.tensors.len(), stored.tensors);
        let again = load("int8", &file);
        assert_eq!(again.stored_weights().map(|s| s.tensors), Some(0));
        assert_eq!(again.fingerprint(), load("stored", &file).fingerprint());
        let (a, b, c) = (embedding(float), embedding(int8), embedding(again));
        assert_eq!(b, c, "{}", network.name);
        let near = cosine(&a, &b);
        assert!(near > 0.98 && near < 0.999_999_9, "{}: cosine {near}", network.name);
    }
    let wrong = card(64, "int4");
    assert!(Model::new(&wrong, &networks()[0].float).is_err_and(|e| e.to_string().contains("int8")));
}
