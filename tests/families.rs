//! Whole networks of every family, exported by torch at many opsets: each tap against ONNX Runtime on every engine.
//!
//! `tests/families/*.onnx` and their goldens are made by `tests/families/make.py`, which says what a golden holds. Not
//! the standard harness: an engine that cannot run here is printed as skipped (`FAMLENS_REQUIRE_GPU=1` makes that a
//! failure), and networks that are known not to work yet are listed in [`NOT_YET`]. Words on the command line select
//! networks by name.

mod common;
#[path = "common/engines.rs"]
mod engines;

use std::sync::Arc;

use engines::Candidate;
use famlens::Result;
use famlens::engine::{Engine, Mix};
use famlens::graph::{Graph, ValueId, passes};
use famlens::onnx::{Model, ModelSummary};
use famlens::tensor::Tensor;
use libtest_mimic::{Failed, Trial};
use pollster::block_on;

/// `(engine, network, reason)`: what does not work yet. An engine of `"import"` means that no engine can run it. A
/// listed network that passes makes the suite fail, so that the list shrinks.
const NOT_YET: &[(&str, &str, &str)] = &[];

/// Elements of a tap that its golden holds.
const SAMPLES: usize = 48;
/// How far a tap may be off, as a share of its largest value.
const LIMIT: f64 = 1e-3;
/// The same where activations are rounded to 8 bits: a value between two steps may fall to either side, in a few
/// places.
const ONE_STEP: f64 = 1.5e-2;

/// A network with what ONNX Runtime found in it.
struct Network {
    name: String,
    title: String,
    input: Tensor,
    rounded: bool,
    taps: Vec<String>,
    rows: Tensor,
    /// The layer to explain, as the maker of the file says.
    target: Option<String>,
    /// The tap that must be reached: the output, unless something that famlens does not run stands before it.
    end: String,
}

fn networks() -> Vec<Network> {
    let index = common::json(common::root("tests/families/index.json"));
    let text = |e: &serde_json::Value, key: &str| e[key].as_str().expect("index.json has it").to_owned();
    let network = |e: &serde_json::Value| {
        let name = text(e, "name");
        let dims: Vec<usize> =
            e["input"].as_array().expect("a shape").iter().map(|d| d.as_u64().unwrap() as usize).collect();
        let shape = famlens::tensor::Shape::new(dims);
        let mut data = noise(shape.len());
        if e["bytes"] == true {
            data.iter_mut().for_each(|v| *v = ((*v + 1.0) * 127.5).floor());
        }
        let optional = |key: &str| e[key].as_str().map(str::to_owned);
        Network {
            target: optional("target"),
            end: optional("end").unwrap_or_else(|| "y".into()),
            title: format!("{name} ({}, opset {})", text(e, "exporter"), e["opset"]),
            input: Tensor::new(shape, data).unwrap(),
            rounded: text(e, "values") == "rounded",
            taps: text(e, "taps").split(' ').map(String::from).collect(),
            rows: common::npy(&format!("../families/{name}.npy")),
            name,
        }
    };
    index.as_array().expect("a list").iter().map(network).collect()
}

/// The input of make.py: SplitMix64 from seed 7, the upper 24 bits as -1..1.
fn noise(len: usize) -> Vec<f32> {
    let value = |i: u64| {
        let z = 7u64.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (1..=len as u64).map(value).collect()
}

/// The graph as it is read, and as the engines get it.
fn graphs(network: &Network) -> Result<[Graph; 2]> {
    let bytes = common::bytes(common::root(&format!("tests/families/{}.onnx", network.name)));
    let [_, _, height, width] = *network.input.shape().dims() else { panic!("{}: not an image", network.name) };
    let plain = Model::parse(&bytes)?.to_graph_as_far(height, width)?.0;
    let optimized = passes::optimize(plain.clone(), &[])?;
    Ok([plain, optimized])
}

/// Compares every tap that the graph still has, then the output of a program that has no other target: with few targets
/// an engine fuses, moves and reuses more.
fn check(engine: &dyn Engine, network: &Network, graph: &Graph) -> Result<(), String> {
    // What was folded, fused or is sugar is no longer computed.
    let found = |tap: &String| graph.find(tap).filter(|&id| graph.producer(id).is_some());
    let taps: Vec<(usize, ValueId)> =
        network.taps.iter().enumerate().filter_map(|(i, t)| Some((i, found(t)?))).collect();
    let Some(&output) = taps.iter().find(|&&(i, _)| network.taps[i] == network.end) else {
        return Err(format!("its end {:?} is not in the graph", network.end));
    };
    compare_taps(engine, network, graph, &taps)?;
    compare_taps(engine, network, graph, &[output]).map_err(|e| format!("with its output as the only target: {e}"))
}

fn compare_taps(
    engine: &dyn Engine,
    network: &Network,
    graph: &Graph,
    taps: &[(usize, ValueId)],
) -> Result<(), String> {
    let text = |e: famlens::Error| e.to_string();
    // The mix is over the first target, which must have channels: the image has some.
    let image = graph.image_input().map_err(text)?;
    let targets: Vec<ValueId> = std::iter::once(image).chain(taps.iter().map(|t| t.1)).collect();
    let mut program = engine.compile(graph, &targets).map_err(text)?;
    let output = block_on(program.run(&network.input, &Mix::default())).map_err(text)?;
    let rows: Vec<&[f32]> = common::rows(&network.rows).collect();
    for (&(i, id), features) in taps.iter().zip(&output.features[1..]) {
        let values = block_on(program.read(features)).map_err(text)?;
        compare(values.data(), rows[i], network.rounded).map_err(|reason| {
            let value = graph.value(id);
            let by = graph.producer(id).map_or("input", |n| n.op.name());
            format!("first tap that diverges: {:?} {} ({by}): {reason}", value.name, value.shape)
        })?;
    }
    Ok(())
}

/// One tap against its row of the golden.
fn compare(values: &[f32], row: &[f32], rounded: bool) -> Result<(), String> {
    let &[len, mean, largest, ref samples @ ..] = row else { panic!("a row of a golden") };
    if values.len() != len as usize {
        return Err(format!("it has {} values, and should have {len}", values.len()));
    }
    let scale = f64::from(largest).max(1e-12);
    let found_mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
    let found_largest = values.iter().fold(0f64, |m, &v| m.max(f64::from(v.abs())));
    let at = |i: usize| (2_654_435_761 * i) % values.len();
    let off = |i: usize| (f64::from(values[at(i)]) - f64::from(samples[i])).abs() / scale;
    let worst = (0..SAMPLES).map(off).fold(0.0, f64::max);
    let average = (0..SAMPLES).map(off).sum::<f64>() / SAMPLES as f64;
    let (of_one, of_all) = if rounded { (ONE_STEP, LIMIT * 2.0) } else { (LIMIT, LIMIT) };
    let mean_off = (found_mean - f64::from(mean)).abs() / scale;
    let largest_off = (found_largest - f64::from(largest)).abs() / scale;
    // Written so that NaN fails.
    match worst <= of_one && average <= of_all && mean_off <= of_all && largest_off <= of_one {
        true => Ok(()),
        false => Err(format!(
            "off by {worst:.1e} of its largest value {largest} (limit {of_one:e}), on average {average:.1e}, its mean by {mean_off:.1e}"
        )),
    }
}

/// The layer to explain, as a model, the page and the module find it in the graph as read, and `famlens inspect` in the graph
/// as it runs.
fn target(network: &Network) -> Result<(), String> {
    let text = |e: famlens::Error| e.to_string();
    let bytes = common::bytes(common::root(&format!("tests/families/{}.onnx", network.name)));
    let [_, _, height, width] = *network.input.shape().dims() else { return Err("not an image".into()) };
    let model = Model::parse(&bytes).map_err(text)?;
    let graph = model.to_graph_as_far(height, width).map_err(text)?.0;
    let found = graph.target_candidates().first().map(|t| graph.value(t.value).name.clone()).unwrap_or_default();
    let inspected = ModelSummary::new(&model, height, width).map_err(text)?.targets.first().map(|t| t.name.clone());
    let wanted = network.target.as_deref().unwrap_or_default();
    if std::env::var_os("FAMLENS_PRINT").is_some() {
        println!("{}\t{found}\t{}", network.name, inspected.clone().unwrap_or_default());
    }
    match found == wanted && inspected.as_deref() == Some(wanted) {
        true => Ok(()),
        false => Err(format!("the layer to explain is {wanted:?}; found {found:?}, and inspect {inspected:?}")),
    }
}

/// Holds the outcome of one network on one engine against [`NOT_YET`].
fn judge(engine: &str, network: &str, outcome: Result<(), String>) -> Result<(), Failed> {
    let listed = NOT_YET.iter().find(|(e, n, _)| *e == engine && *n == network);
    match (outcome, listed) {
        (Ok(()), Some(_)) => Err("passes, and is listed in NOT_YET as if it did not; take it out".into()),
        (Err(now), Some((.., reason))) => {
            println!("families, {engine}: {network} is not supported yet: {reason} (now: {now})");
            Ok(())
        }
        (outcome, None) => Ok(outcome?),
    }
}

fn main() {
    let arguments = engines::arguments(std::env::args());
    let networks: Arc<Vec<Network>> = Arc::new(networks());
    let mut trials = vec![Trial::test("index.json has all networks", {
        let networks = networks.clone();
        move || {
            let listed = NOT_YET.iter().all(|(_, name, _)| networks.iter().any(|n| n.name == *name));
            match networks.len() >= 110 && listed {
                true => Ok(()),
                false => Err("index.json has too few networks, or NOT_YET names one that is not there".into()),
            }
        }
    })];
    for n in 0..networks.len() {
        let networks = networks.clone();
        let title = format!("target: {}", networks[n].name);
        trials.push(Trial::test(title, move || Ok(target(&networks[n])?)));
    }
    let candidates = engines::of_every_kind();
    for (e, candidate) in candidates.iter().enumerate() {
        if let Some(trial) = engines::skipped("families", candidate, &format!("{} networks", networks.len())) {
            trials.push(trial);
            continue;
        }
        for (n, network) in networks.iter().enumerate() {
            let networks = networks.clone();
            let run = move || engines::with(|engines| one(&engines[e], &networks[n]));
            trials.push(Trial::test(format!("{}: {}", candidate.name, network.title), run));
        }
    }
    engines::keep(candidates);
    libtest_mimic::run(&arguments, trials).exit();
}

fn one(candidate: &Candidate, network: &Network) -> Result<(), Failed> {
    let engine = candidate.engine.as_ref().map_err(|error| error.to_string())?.as_ref();
    let [plain, optimized] = match graphs(network) {
        Ok(graphs) => graphs,
        Err(error) => return judge("import", &network.name, Err(error.to_string())),
    };
    // The graph as read is for the oracle alone: it tells a wrong reader from a wrong pass or engine.
    let first = match candidate.name.as_str() {
        "reference" => check(engine, network, &plain).map_err(|e| format!("as read: {e}")),
        _ => Ok(()),
    };
    judge(&candidate.name, &network.name, first.and_then(|()| check(engine, network, &optimized)))
}
