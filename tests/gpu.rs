//! The GPU engine on the real model: against ONNX Runtime's goldens, its mixes against the reference's, and what
//! happens when the device goes away.
//!
//! Not the standard harness: where there is no GPU, the tests are printed as skipped. `FAMLENS_REQUIRE_GPU=1` makes
//! that a failure. Words on the command line select tests by name.

mod common;

use std::process::ExitCode;

use famlens::engine::gpu::{GpuEngine, GpuOptions};
use famlens::engine::reference::ReferenceEngine;
use famlens::engine::{Engine, Gate, Mix, Mixed, Pooling, Program};
use famlens::graph::{Graph, ValueId, passes};
use famlens::onnx::Model;
use famlens::tensor::Tensor;
use famlens::{Error, Result};
use pollster::block_on;

type Test = fn(&GpuEngine) -> Result<()>;

const TESTS: &[(&str, Test)] = &[
    ("agrees with ONNX Runtime on every golden", agrees_with_onnx_runtime),
    ("kernels for graphics hardware agree with ONNX Runtime", hardware_kernels),
    ("logits agree with ONNX Runtime", logits_agree),
    ("mixes agree with the reference", mixes_agree),
    ("kept activation maps survive later runs", features_survive),
    ("programs share weights and pipelines", programs_share),
    ("two target layers in one pass", two_targets),
    ("wrong inputs are refused by name", wrong_inputs),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--list") {
        return ExitCode::SUCCESS;
    }
    let words: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    let chosen = |name: &str| words.is_empty() || words.iter().any(|w| format!("gpu: {name}").contains(*w));
    let engine = match block_on(GpuEngine::new(GpuOptions::default())) {
        Ok(engine) => engine,
        Err(error) => {
            println!("gpu: SKIPPED, {} tests not run: {error}", TESTS.len() + 1);
            let required = std::env::var("FAMLENS_REQUIRE_GPU").is_ok_and(|v| v == "1");
            return if required { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    println!("gpu: {}", engine.describe());
    let mut failed = 0;
    let mut report = |name: &str, result: Result<()>| match result {
        Ok(()) => println!("gpu: {name}: ok"),
        Err(error) => {
            failed += 1;
            println!("gpu: {name}: FAILED: {error}");
        }
    };
    for (name, test) in TESTS.iter().filter(|(name, _)| chosen(name)) {
        report(name, test(&engine));
    }
    let name = "a lost device is reported and a new one takes over";
    if chosen(name) {
        report(name, lost_device(engine));
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn model() -> Result<Model> {
    Model::parse(&common::bytes(common::root("models/efficientnet_lite0/model.onnx")))
}

/// The model for one image size, and the named activation.
fn network(height: usize, width: usize, target: &str) -> Result<(Graph, ValueId)> {
    let graph = model()?.to_graph_for(height, width, target)?;
    let find = |graph: &Graph| graph.find(target).ok_or_else(|| failed(format!("no value {target:?}")));
    let id = find(&graph)?;
    let graph = passes::optimize(graph, &[id])?;
    let id = find(&graph)?;
    Ok((graph, id))
}

/// A golden input: what the network gets for that image.
fn input(name: &str) -> Tensor {
    let pixels = image::load_from_memory(&common::bytes(common::golden(&format!("engine/{name}"))))
        .expect("a golden input is an image")
        .to_rgb8();
    let (w, h) = (pixels.width() as usize, pixels.height() as usize);
    let value = |c: usize, i: usize| (f32::from(pixels.as_raw()[3 * i + c]) - 127.0) / 128.0;
    let data = (0..3).flat_map(|c| (0..w * h).map(move |i| value(c, i))).collect();
    Tensor::new([1, 3, h, w], data).expect("three planes")
}

fn names() -> Vec<String> {
    let index = common::json(common::golden("engine/index.json"));
    let entries = index.as_array().expect("a list").iter();
    entries.map(|e| e["input"].as_str().expect("a name").to_owned()).collect()
}

fn failed(reason: impl Into<String>) -> Error {
    Error::Engine { engine: "test", reason: reason.into() }
}

fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(failed(reason())) }
}

fn agrees_with_onnx_runtime(engine: &GpuEngine) -> Result<()> {
    let embeddings = common::npy("engine/int8_embeddings.npy");
    for (name, expected) in names().iter().zip(common::rows(&embeddings)) {
        let input = input(name);
        let [_, _, h, w] = *input.shape().dims() else { return Err(failed("not an image")) };
        let (graph, target) = network(h, w, "features")?;
        let mut program = engine.compile(&graph, &[target])?;
        let output = block_on(program.run(&input, &Mix::default()))?;
        let cosine = common::cosine(&output.mixed.embedding, expected);
        ensure(cosine >= 0.99999, || format!("{name}: embedding cosine {cosine}"))?;
        let off = common::relative_error(&output.mixed.embedding, expected);
        ensure(off <= 1e-3, || format!("{name}: embedding off by {off:e}"))?;
        let golden = format!("engine/int8_features_{}.npy", name.trim_end_matches(".png"));
        if common::golden(&golden).exists() {
            let features = block_on(program.read(&output.features[0]))?;
            let off = common::relative_error(features.data(), common::npy(&golden).data());
            ensure(off <= 1e-3, || format!("{name}: target layer off by {off:e}"))?;
        }
    }
    Ok(())
}

/// Where the adapter runs on the CPU, the engine takes other kernels than elsewhere.
fn hardware_kernels(_: &GpuEngine) -> Result<()> {
    let options = GpuOptions { hardware_kernels: true, ..GpuOptions::default() };
    agrees_with_onnx_runtime(&block_on(GpuEngine::new(options))?)
}

fn logits_agree(engine: &GpuEngine) -> Result<()> {
    let logits = common::npy("engine/int8_logits.npy");
    let (graph, target) = network(224, 224, "logits")?;
    let mut program = engine.compile(&graph, &[target])?;
    for (name, expected) in names().iter().zip(common::rows(&logits)) {
        let input = input(name);
        if input.shape() == &graph.value(graph.image_input()?).shape {
            // One value a channel: the embedding of [1, 1000] is the logits themselves.
            let output = block_on(program.run(&input, &Mix::default()))?;
            let off = common::relative_error(&output.mixed.embedding, expected);
            ensure(off <= 1e-3, || format!("{name}: logits off by {off:e}"))?;
        }
    }
    Ok(())
}

/// A program of lite0 up to its target, its features of one photo, and the same features on the host.
fn dog(engine: &dyn Engine) -> Result<(Box<dyn Program>, Graph, ValueId, Tensor)> {
    let (graph, target) = network(224, 224, "features")?;
    let program = engine.compile(&graph, &[target])?;
    Ok((program, graph, target, input("dog.png")))
}

/// Directions that look like prototypes, and mixes that use every pooling, gate and switch.
fn mixes(channels: usize) -> Vec<Mix> {
    let wave = |k: usize| (0..channels).map(|c| ((c * (2 * k + 3)) as f32 * 0.37).sin().abs()).collect::<Vec<f32>>();
    let poolings = [Pooling::Average, Pooling::Max, Pooling::GeM(3.0), Pooling::GeM(60.0), Pooling::Crow];
    let gates = [Gate::Feature, Gate::AbsFeature, Gate::One];
    let mut all = vec![Mix::default()];
    for (i, pooling) in poolings.into_iter().enumerate() {
        for (j, gate) in gates.into_iter().enumerate() {
            all.push(Mix {
                pooling,
                gate,
                mean: (j != 1).then(|| wave(7)),
                directions: (0..[1, 3, 10, 0][(i + j) % 4]).map(wave).collect(),
                normalise: (i + j) % 2 == 0,
            });
        }
    }
    all
}

fn same(what: &str, found: &Mixed, expected: &Mixed) -> Result<()> {
    let parts = [
        ("embedding", &found.embedding, &expected.embedding),
        ("weights", &found.weights, &expected.weights),
        ("maps", &found.maps, &expected.maps),
    ];
    for (part, found, expected) in parts {
        ensure(found.len() == expected.len(), || format!("{what}: {} values of {part}", found.len()))?;
        let off = common::relative_error(found, expected);
        ensure(off <= 2e-5, || format!("{what}: {part} off by {off:e}"))?;
    }
    Ok(())
}

fn mixes_agree(engine: &GpuEngine) -> Result<()> {
    let (mut program, _, _, input) = dog(engine)?;
    let output = block_on(program.run(&input, &Mix::default()))?;
    let host = block_on(program.read(&output.features[0]))?;
    // The reference mixes the GPU's own activation maps: a graph that does nothing but hand them on.
    let mut identity = Graph::default();
    let maps = identity.add_input("features", host.shape().clone());
    let mut reference = ReferenceEngine.compile(&identity, &[maps])?;
    for (i, mix) in mixes(host.shape().dims()[1]).iter().enumerate() {
        let expected = block_on(reference.run(&host, mix))?.mixed;
        same(&format!("mix {i} of kept maps"), &block_on(program.mix(&output.features[0], mix))?, &expected)?;
        same(&format!("mix {i} after a forward pass"), &block_on(program.run(&input, mix))?.mixed, &expected)?;
    }
    Ok(())
}

fn features_survive(engine: &GpuEngine) -> Result<()> {
    let (mut program, _, _, input) = dog(engine)?;
    let first = block_on(program.run(&input, &Mix::default()))?;
    let before = block_on(program.read(&first.features[0]))?;
    let other = self::input("windmill.png");
    let second = block_on(program.run(&other, &Mix::default()))?;
    ensure(second.mixed != first.mixed, || "two photos have one embedding".into())?;
    ensure(block_on(program.read(&first.features[0]))? == before, || "kept maps were overwritten".into())?;
    // An abandoned run must not spoil the next one.
    drop(program.run(&other, &Mix::default()));
    let again = block_on(program.run(&input, &Mix::default()))?;
    same("the same photo again", &again.mixed, &first.mixed)
}

fn programs_share(engine: &GpuEngine) -> Result<()> {
    let (mut small, graph, target, input) = dog(engine)?;
    let before = block_on(small.run(&input, &Mix::default()))?;
    let pipelines = engine.pipeline_count();
    let mut again = engine.compile(&graph, &[target])?;
    drop(small);
    let after = block_on(again.run(&input, &Mix::default()))?;
    ensure(engine.pipeline_count() == pipelines, || "the second program compiled pipelines again".into())?;
    same("a second program", &after.mixed, &before.mixed)
}

fn two_targets(engine: &GpuEngine) -> Result<()> {
    let (graph, last) = network(224, 224, "features")?;
    let middle = graph.target_candidates().into_iter().rev().find(|t| t.maps[1] == 28).map(|t| t.value);
    let middle = middle.ok_or_else(|| failed("no activation of 28 cells"))?;
    let mut program = engine.compile(&graph, &[middle, last])?;
    let mut reference = ReferenceEngine.compile(&graph, &[middle, last])?;
    let (input, mix) = (input("kingfisher.png"), Mix { pooling: Pooling::Max, ..Mix::default() });
    let (found, expected) = (block_on(program.run(&input, &mix))?, block_on(reference.run(&input, &mix))?);
    let off = common::relative_error(&found.mixed.embedding, &expected.mixed.embedding);
    ensure(off <= 1e-4, || format!("the mix over the first target is off by {off:e}"))?;
    for (found, expected) in found.features.iter().zip(&expected.features) {
        let (found, expected) = (block_on(program.read(found))?, block_on(reference.read(expected))?);
        let off = common::relative_error(found.data(), expected.data());
        ensure(off <= 1e-4, || format!("{} is off by {off:e}", found.shape()))?;
    }
    Ok(())
}

fn wrong_inputs(engine: &GpuEngine) -> Result<()> {
    let (mut program, ..) = dog(engine)?;
    let small = Tensor::zeros([1, 3, 32, 32]);
    let refused = block_on(program.run(&small, &Mix::default()));
    ensure(matches!(&refused, Err(Error::Argument { name, .. }) if name == "input"), || format!("{refused:?}"))?;
    let mix = Mix { directions: vec![vec![1.0; 7]], ..Mix::default() };
    let refused = block_on(program.run(&input("dog.png"), &mix));
    ensure(matches!(refused, Err(Error::Argument { .. })), || format!("{refused:?}"))
}

fn lost_device(engine: GpuEngine) -> Result<()> {
    let (mut program, graph, target, input) = dog(&engine)?;
    let kept = block_on(program.run(&input, &Mix::default()))?;
    engine.lose_device();
    let lost = |result: Result<()>| {
        ensure(matches!(result, Err(Error::GpuLost { .. })), || format!("after the loss: {result:?}"))
    };
    lost(block_on(program.run(&input, &Mix::default())).map(drop))?;
    lost(block_on(program.mix(&kept.features[0], &Mix::default())).map(drop))?;
    lost(block_on(program.read(&kept.features[0])).map(drop))?;
    lost(engine.compile(&graph, &[target]).map(drop))?;
    drop((program, engine));

    let engine = block_on(GpuEngine::new(GpuOptions::default()))?;
    let mut program = engine.compile(&graph, &[target])?;
    let again = block_on(program.run(&input, &Mix::default()))?;
    same("after the loss", &again.mixed, &kept.mixed)?;
    let old = block_on(program.mix(&kept.features[0], &Mix::default()));
    ensure(matches!(old, Err(Error::Argument { .. })), || format!("maps of a lost device: {old:?}"))
}
