//! The GPU engine on the real model: against ONNX Runtime's goldens, its mixes against the reference's, and what
//! happens when the device goes away.
//!
//! Without a GPU the tests are shown as ignored, with the reason; `FAMLENS_REQUIRE_GPU=1` makes that a failure.

mod common;

use std::cell::RefCell;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use famlens::engine::gpu::{GpuEngine, GpuOptions};
use famlens::engine::reference::ReferenceEngine;
use famlens::engine::{CellMaps, CellReadout, Engine, Gate, LayerReadout, Mix, Mixed, Pooling, Program};
use famlens::graph::{Activation, Constant, Conv2d, Graph, Op, Pool2d, PoolKind, ValueId, passes};
use famlens::onnx::Model;
use famlens::tensor::Tensor;
use famlens::{Error, Result};
use libtest_mimic::{Arguments, Trial};
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
    ("weights of equal values are on the device once", weights_once),
    ("cells of large maps agree with the reference", large_cells),
    ("a window far larger than the image takes no time", huge_window),
    ("what fits no GPU is refused at once, by name", huge_image),
    ("wrong inputs are refused by name", wrong_inputs),
    ("a lost device is reported by every entry and a new one takes over", lost_device),
    ("a device that goes away without a word is reported by every entry", device_taken_away),
];

thread_local! {
    static ENGINE: RefCell<Option<GpuEngine>> = const { RefCell::new(None) };
}

/// Runs a test with the engine that all share.
fn run(test: Test) -> Result<()> {
    ENGINE.with_borrow_mut(|engine| match engine {
        Some(engine) => test(engine),
        None => test(engine.insert(open()?)),
    })
}

fn open() -> Result<GpuEngine> {
    block_on(GpuEngine::new(GpuOptions::default()))
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One after the other, so that they share one engine and its pipelines.
    arguments.test_threads = Some(1);
    let required = std::env::var("FAMLENS_REQUIRE_GPU").is_ok_and(|v| v == "1");
    let gpu = open();
    match &gpu {
        Ok(engine) => eprintln!("gpu: {}", engine.describe()),
        Err(error) => eprintln!("gpu: SKIPPED, {} tests not run: {error}", TESTS.len()),
    }
    let missing = gpu.is_err() && !required;
    let trial = |&(name, test): &(&str, Test)| {
        let trial = Trial::test(name, move || run(test).map_err(|e| e.to_string().into()));
        trial.with_kind(if missing { "no GPU" } else { "" }).with_ignored_flag(missing)
    };
    let conclusion = libtest_mimic::run(&arguments, TESTS.iter().map(trial).collect());
    // Not when the thread ends: its locals are gone then, and the driver wants them.
    drop(ENGINE.take());
    conclusion.exit_code()
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

/// A graph with one node over the image.
fn one_node(shape: [usize; 4], op: Op) -> Result<(Graph, ValueId)> {
    let mut graph = Graph::default();
    let image = graph.add_input("image", shape);
    let y = graph.add_node("the node", op, vec![image])?;
    Ok((graph, y))
}

/// Numbers between -1 and 1 that follow no pattern of the kernels.
fn waves(len: usize, step: f32) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * step).sin()).collect()
}

fn weights_once(_: &GpuEngine) -> Result<()> {
    let engine = open()?;
    let (graph, target) = network(224, 224, "features")?;
    let _first = engine.compile(&graph, &[target])?;
    let bytes = engine.weight_bytes();
    ensure(bytes > 1 << 20, || format!("{bytes} bytes of weights"))?;
    let (larger, at) = network(288, 256, "features")?;
    let _second = engine.compile(&larger, &[at])?;
    ensure(engine.weight_bytes() == bytes, || format!("{} bytes for two image sizes", engine.weight_bytes()))?;
    // Another copy of every constant, as a graph has that folds its own.
    let mut copy = graph.clone();
    for value in &mut copy.values {
        value.constant = value.constant.as_ref().map(|constant| match constant {
            Constant::Float(t) => Constant::Float(Arc::new(t.as_ref().clone())),
            Constant::Int8(t) => Constant::Int8(Arc::new(t.as_ref().clone())),
        });
    }
    let mut third = engine.compile(&copy, &[target])?;
    ensure(engine.weight_bytes() == bytes, || format!("{} bytes for two copies", engine.weight_bytes()))?;
    let input = input("dog.png");
    let found = block_on(third.run(&input, &Mix::default()))?;
    drop((_first, _second));
    let again = block_on(third.run(&input, &Mix::default()))?;
    same("after the other programs went", &again.mixed, &found.mixed)?;
    drop(third);
    ensure(engine.weight_bytes() == 0, || format!("{} bytes without a program", engine.weight_bytes()))
}

/// A readout of two classes over one target of so many channels, as whitened FAM makes them.
fn readout(channels: usize) -> CellReadout {
    let mut factor = vec![0.0; channels * channels];
    for (row, values) in factor.chunks_exact_mut(channels).enumerate() {
        values[..=row].copy_from_slice(&waves(row + 1, 0.7));
    }
    let mean: Arc<[f32]> = waves(channels, 1.3).into();
    let layer = |factor| LayerReadout {
        target: 0,
        mean: mean.clone(),
        factor,
        directions: vec![waves(channels, 0.9), waves(channels, 2.1)],
    };
    let layers = vec![layer(Some(factor.into())), layer(None)];
    CellReadout { layers, offset: 0.05, sharpness: Some(3.0) }
}

fn same_cells(what: &str, found: &CellMaps, expected: &CellMaps) -> Result<()> {
    let pooled =
        |cells: &CellMaps| cells.pooled.iter().flat_map(|p| [p.mean.clone(), p.ring.clone()].concat()).collect();
    let (found_pooled, expected_pooled): (Vec<f32>, Vec<f32>) = (pooled(found), pooled(expected));
    let parts = [
        ("pooled cells", &found_pooled, &expected_pooled),
        ("radii", &found.radii, &expected.radii),
        ("evidence", &found.evidence, &expected.evidence),
        ("maps", &found.maps, &expected.maps),
        ("scores", &found.scores, &expected.scores),
    ];
    for (part, found, expected) in parts {
        ensure(found.len() == expected.len(), || format!("{what}: {} values of {part}", found.len()))?;
        let off = common::relative_error(found, expected);
        ensure(off <= 1e-4, || format!("{what}: {part} off by {off:e}"))?;
    }
    Ok(())
}

/// Maps of more cells than llvmpipe lets one invocation walk.
fn large_cells(engine: &GpuEngine) -> Result<()> {
    let mut graph = Graph::default();
    let image = graph.add_input("maps", [1, 6, 520, 510]);
    let maps = Tensor::new([1, 6, 520, 510], waves(6 * 520 * 510, 0.37).iter().map(|v| v + 0.2).collect())?;
    let readout = readout(6);
    let mut program = engine.compile(&graph, &[image])?;
    let found = block_on(program.run_cells(&maps, &readout))?;
    let expected = block_on(ReferenceEngine.compile(&graph, &[image])?.run_cells(&maps, &readout))?;
    same_cells("after a forward pass", &found.cells, &expected.cells)?;
    same_cells("of kept maps", &block_on(program.cells(&found.features, &readout))?, &expected.cells)
}

fn within_two_seconds<T>(what: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = what();
    let took = start.elapsed();
    ensure(took < Duration::from_secs(2), || format!("it took {took:.1?}"))?;
    result
}

/// A window of a million cells, the most that a graph may have, sees what is inside: here the whole image, for every output.
fn huge_window(engine: &GpuEngine) -> Result<()> {
    const SIDE: usize = (1 << 10) - 1;
    let values = waves(3 * 32 * 32, 0.61);
    let image = Tensor::new([1, 3, 32, 32], values.clone())?;
    for kind in [PoolKind::Max, PoolKind::Average { count_include_pad: false }] {
        let pads = [SIDE / 2; 4];
        let pool = Pool2d { kind, kernel: [SIDE; 2], strides: [1, 1], dilations: [1, 1], pads };
        let (graph, y) = one_node([1, 3, 32, 32], Op::Pool2d(pool))?;
        let found = within_two_seconds(|| {
            let mut program = engine.compile(&graph, &[y])?;
            let output = block_on(program.run(&image, &Mix::default()))?;
            block_on(program.read(&output.features[0]))
        })?;
        for (found, plane) in found.data().chunks_exact(32 * 32).zip(values.chunks_exact(32 * 32)) {
            let expected = match kind {
                PoolKind::Max => plane.iter().copied().fold(f32::MIN, f32::max),
                PoolKind::Average { .. } => plane.iter().sum::<f32>() / plane.len() as f32,
            };
            let off = found.iter().map(|v| (v - expected).abs()).fold(0.0, f32::max);
            ensure(off < 1e-6, || format!("{kind:?}: off by {off:e} from {expected}"))?;
        }
    }
    Ok(())
}

fn huge_image(engine: &GpuEngine) -> Result<()> {
    const SIDE: usize = 7900;
    let mut graph = Graph::default();
    let image = graph.add_input("image", [1, 3, SIDE, SIDE]);
    let weight = graph.add_constant("w", Tensor::new([4, 3, 3, 3], waves(108, 0.3))?);
    let bias = graph.add_constant("b", Tensor::zeros([4]));
    let activation = Activation::Relu;
    let conv = Conv2d { strides: [1, 1], dilations: [1, 1], pads: [1; 4], groups: 1, activation, residual: false };
    let wide = graph.add_constant("v", Tensor::new([4, 4, 3, 3], waves(144, 0.3))?);
    let mut targets = vec![graph.add_node("the first", Op::Conv2d(conv.clone()), vec![image, weight, bias])?];
    // All kept at once: more than 32 bits count, whatever the GPU has.
    for i in 0..4 {
        targets.push(graph.add_node(format!("layer {i}"), Op::Conv2d(conv.clone()), vec![targets[i], wide, bias])?);
    }
    let error = within_two_seconds(|| match engine.compile(&graph, &targets) {
        Ok(_) => Err(failed("five gigabytes were bound at once")),
        Err(error) => Ok(error.to_string()),
    })?;
    ensure(error.contains("layer") && error.contains("smaller input size"), || error.clone())
}

/// Every entry of a program whose device is gone.
fn entries_report(engine: &GpuEngine, lose: fn(&GpuEngine)) -> Result<Mixed> {
    let (mut program, graph, target, input) = dog(engine)?;
    let kept = block_on(program.run(&input, &Mix::default()))?;
    let readout = readout(kept.features[0].shape.dims()[1]);
    lose(engine);
    let lost = |entry: &str, result: Result<()>| {
        ensure(matches!(result, Err(Error::GpuLost { .. })), || format!("{entry} after the loss: {result:?}"))
    };
    lost("run", block_on(program.run(&input, &Mix::default())).map(drop))?;
    lost("run_cells", block_on(program.run_cells(&input, &readout)).map(drop))?;
    lost("mix", block_on(program.mix(&kept.features[0], &Mix::default())).map(drop))?;
    lost("cells", block_on(program.cells(&kept.features, &readout)).map(drop))?;
    lost("read", block_on(program.read(&kept.features[0])).map(drop))?;
    lost("compile", engine.compile(&graph, &[target]).map(drop))?;
    drop(program);

    let engine = open()?;
    let mut program = engine.compile(&graph, &[target])?;
    let again = block_on(program.run(&input, &Mix::default()))?;
    same("after the loss", &again.mixed, &kept.mixed)?;
    let old = block_on(program.mix(&kept.features[0], &Mix::default()));
    ensure(matches!(old, Err(Error::Argument { .. })), || format!("maps of a lost device: {old:?}"))?;
    Ok(again.mixed)
}

fn lost_device(_: &GpuEngine) -> Result<()> {
    entries_report(&open()?, GpuEngine::lose_device).map(drop)
}

/// Nothing tells of this loss but the call that meets it: each entry is the first to meet it once.
fn device_taken_away(_: &GpuEngine) -> Result<()> {
    entries_report(&open()?, GpuEngine::take_device_away)?;
    type Entry = fn(&mut dyn Program, &famlens::engine::Output, &Tensor, &CellReadout) -> Result<()>;
    let entries: [(&str, Entry); 4] = [
        ("run_cells", |program, _, input, readout| block_on(program.run_cells(input, readout)).map(drop)),
        ("mix", |program, kept, _, _| block_on(program.mix(&kept.features[0], &Mix::default())).map(drop)),
        ("cells", |program, kept, _, readout| block_on(program.cells(&kept.features, readout)).map(drop)),
        ("read", |program, kept, _, _| block_on(program.read(&kept.features[0])).map(drop)),
    ];
    let lost = |entry: &str, result: Result<()>| {
        ensure(matches!(result, Err(Error::GpuLost { .. })), || format!("{entry} is the first to meet it: {result:?}"))
    };
    for (name, entry) in entries {
        let engine = open()?;
        let (mut program, .., input) = dog(&engine)?;
        let kept = block_on(program.run(&input, &Mix::default()))?;
        let readout = readout(kept.features[0].shape.dims()[1]);
        engine.take_device_away();
        lost(name, entry(program.as_mut(), &kept, &input, &readout))?;
    }
    let engine = open()?;
    let (_, graph, target, _) = dog(&engine)?;
    engine.take_device_away();
    lost("compile", engine.compile(&graph, &[target]).map(drop))
}
