//! Every engine against the reference, on the op problems of [`problems`].
//!
//! Not the standard harness: the suite must print the engines that could not run here, and how many problems were
//! therefore not run, even when all is well. `FAMLENS_REQUIRE_GPU=1` makes a skipped GPU a failure.

mod problems;

use std::process::ExitCode;

use famlens::engine::compare::{compare, relative_difference};
use famlens::engine::cpu::CpuEngine;
use famlens::engine::gpu::{GpuEngine, GpuOptions};
use famlens::engine::reference::ReferenceEngine;
use famlens::engine::{Engine, Mixed};
use famlens::tensor::Tensor;
use famlens::{Error, Result};
use pollster::block_on;
use problems::{Problem, Tolerance, problems};

/// Float arithmetic in another order, over chains of up to a dozen nodes.
const F32: f32 = 2e-5;
/// Int8 weights whose scale is applied to the sum instead of to each weight.
const INT8: f32 = 3e-5;
/// Int8 weights times rows of activations rounded to 16 bits of their largest value, where sums may cancel.
const INT16: f32 = 5e-4;
/// Values of 300 whose spread is 1, normalised: f32 has 5e-5 of that left.
const NORM: f32 = 5e-4;
/// Activations stored as f16 between the nodes: 11 bits of mantissa.
const F16: f32 = 5e-3;

/// How an engine stores activations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Storage {
    F32,
    /// In 16-bit integers where they are multiplied with int8 weights.
    Int16,
    #[allow(dead_code, reason = "for engines with the f16 option")]
    F16,
}

/// An engine, or why it cannot run here.
struct Candidate {
    name: &'static str,
    storage: Storage,
    engine: Result<Box<dyn Engine>>,
}

fn candidates() -> Vec<Candidate> {
    let mut all = vec![Candidate { name: "reference", storage: Storage::F32, engine: Ok(Box::new(ReferenceEngine)) }];
    for engine in CpuEngine::variants() {
        let storage = if engine.is_fixed_point() { Storage::Int16 } else { Storage::F32 };
        all.push(Candidate { name: "cpu", storage, engine: Ok(Box::new(engine)) });
    }
    let gpu = |options| block_on(GpuEngine::new(options)).map(|engine| Box::new(engine) as Box<dyn Engine>);
    all.push(Candidate { name: "gpu", storage: Storage::F32, engine: gpu(GpuOptions::default()) });
    // On a software adapter the engine takes other kernels than on graphics hardware: both are held.
    let hardware = GpuOptions { hardware_kernels: true, ..GpuOptions::default() };
    all.push(Candidate { name: "gpu, hardware kernels", storage: Storage::F32, engine: gpu(hardware) });
    all
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--list") {
        return ExitCode::SUCCESS;
    }
    // As with the standard harness, words select tests whose name contains one of them: "gpu", "depthwise".
    let words: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    let problems = problems();
    let mut failed = false;
    for Candidate { name, storage, engine } in candidates() {
        let title = |p: &Problem| format!("{name}: {}", p.name);
        let chosen: Vec<&Problem> =
            problems.iter().filter(|p| words.is_empty() || words.iter().any(|w| title(p).contains(*w))).collect();
        let engine = match engine {
            Ok(engine) => engine,
            Err(error) => {
                println!("engine problems, {name}: SKIPPED, {} problems not run: {error}", chosen.len());
                failed |= std::env::var("FAMLENS_REQUIRE_GPU").is_ok_and(|v| v == "1");
                continue;
            }
        };
        let mut failures = Vec::new();
        for problem in &chosen {
            if let Err(reason) = block_on(check(engine.as_ref(), storage, problem)) {
                failures.push(format!("  FAILED {}\n    {reason}", title(problem)));
            }
        }
        let passed = chosen.len() - failures.len();
        println!("engine problems, {}: {passed} passed, {} failed", engine.describe(), failures.len());
        failures.iter().take(40).for_each(|f| println!("{f}"));
        if failures.len() > 40 {
            println!("  ... and {} more", failures.len() - 40);
        }
        failed |= !failures.is_empty();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs one problem on an engine and on the reference.
async fn check(engine: &dyn Engine, storage: Storage, problem: &Problem) -> Result<(), String> {
    let limit = match (problem.tolerance, storage) {
        (_, Storage::F16) => F16,
        (Tolerance::Exact, _) => 0.0,
        (Tolerance::F32, _) => F32,
        (Tolerance::Norm, _) => NORM,
        (Tolerance::Int8, Storage::F32) => INT8,
        (Tolerance::Int8, Storage::Int16) => INT16,
    };
    let theirs = answer(engine, problem).await.map_err(|e| e.to_string())?;
    let ours = answer(&ReferenceEngine, problem).await.map_err(|e| format!("the reference failed: {e}"))?;
    for (i, (a, b)) in theirs.targets.iter().zip(&ours.targets).enumerate() {
        if a.shape() != b.shape() {
            return Err(format!("target {i} has shape {}, and should have {}", a.shape(), b.shape()));
        }
        let off = relative_difference(a.data(), b.data());
        if off > limit || off.is_nan() {
            return Err(format!(
                "target {i} is off by {off:e} (limit {limit:e}); {}",
                blame(engine, problem, limit).await
            ));
        }
    }
    // The mix sums over hundreds of channels and cells, whatever the op was.
    let limit = match storage {
        Storage::F32 => INT8,
        Storage::Int16 => INT16,
        Storage::F16 => F16,
    };
    for (what, (a, b)) in [("run", (&theirs.run, &ours.run)), ("mix", (&theirs.mix, &ours.mix))] {
        for (part, a, b) in
            [("embedding", &a.embedding, &b.embedding), ("weights", &a.weights, &b.weights), ("maps", &a.maps, &b.maps)]
        {
            let off = relative_difference(a, b);
            if off > limit || off.is_nan() {
                return Err(format!("the {part} of {what} are off by {off:e} (limit {limit:e})"));
            }
        }
    }
    Ok(())
}

struct Answer {
    targets: Vec<Tensor>,
    run: Mixed,
    mix: Mixed,
}

/// Two runs of one program, so that state left behind by the first shows in the second.
async fn answer(engine: &dyn Engine, problem: &Problem) -> Result<Answer> {
    let mut program = engine.compile(&problem.graph, &problem.targets)?;
    let mut other = problem.input.clone();
    other.data_mut().iter_mut().for_each(|v| *v = 0.5 - 2.0 * *v);
    let first = program.run(&problem.input, &problem.mix).await?;
    program.run(&other, &problem.mix).await?;
    // Features outlive the runs that follow.
    let mix = program.mix(&first.features[0], &problem.mix).await?;
    let mut targets = Vec::new();
    for features in &first.features {
        targets.push(program.read(features).await?);
    }
    // The image is the caller's.
    let computed = problem.targets.iter().filter(|&&t| Some(t) != problem.graph.input);
    let most = computed.map(|&t| problem.graph.value(t).shape.len() * size_of::<f32>()).max().unwrap_or(0);
    if program.bytes() < most {
        return Err(Error::argument("bytes", format!("{} told, and a target alone has {most}", program.bytes())));
    }
    let again = program.run(&problem.input, &problem.mix).await?;
    match again.mixed == first.mixed || relative_difference(&again.mixed.embedding, &first.mixed.embedding) < F32 {
        true => Ok(Answer { targets, run: first.mixed, mix }),
        false => Err(Error::argument("run", "the same input gave another answer the third time")),
    }
}

/// The first node whose output is off, when every node is a target.
async fn blame(engine: &dyn Engine, problem: &Problem, limit: f32) -> String {
    match compare(engine, &problem.graph, &problem.input).await {
        Err(error) => format!("and node by node it fails: {error}"),
        Ok(nodes) => match nodes.iter().find(|n| n.relative > limit || n.relative.is_nan()) {
            Some(n) => format!("first node that diverges: {} ({}, {:?}) by {:e}", n.node, n.op, n.shape, n.relative),
            None => "yet node by node all are within the limit".into(),
        },
    }
}
