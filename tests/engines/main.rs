//! Every engine against the reference, on the op problems of [`problems`]: one trial for each problem and engine.
//!
//! An engine that cannot run here is shown as ignored, and why; `FAMLENS_REQUIRE_GPU=1` makes that a failure.

mod check;
#[path = "../common/engines.rs"]
mod engines;
mod problems;

use std::sync::Arc;

use check::{Storage, check};
use engines::Candidate;
use famlens::engine::cpu::CpuEngine;
use famlens::engine::reference::ReferenceEngine;
use libtest_mimic::{Failed, Trial};
use pollster::block_on;
use problems::{Problem, problems};

/// All engines, the CPU engine in every way that this machine can run it.
fn candidates() -> Vec<(Candidate, Storage)> {
    let mut all = vec![(Candidate::new("reference", Box::new(ReferenceEngine)), Storage::F32)];
    for engine in CpuEngine::variants() {
        let storage = if engine.is_fixed_point() { Storage::Int16 } else { Storage::F32 };
        let name = famlens::engine::Engine::describe(&engine).replacen("CPU", "cpu", 1);
        all.push((Candidate::new(name, Box::new(engine)), storage));
    }
    let others = engines::candle().into_iter().chain(engines::gpu());
    all.extend(others.map(|candidate| (candidate, Storage::F32)));
    all
}

fn main() {
    let arguments = engines::arguments(std::env::args());
    let problems: Arc<Vec<Problem>> = Arc::new(problems());
    let (candidates, storages): (Vec<Candidate>, Vec<Storage>) = candidates().into_iter().unzip();
    let mut trials = Vec::new();
    for (e, (candidate, storage)) in candidates.iter().zip(storages).enumerate() {
        if let Some(trial) = engines::skipped("engine problems", candidate, &format!("{} problems", problems.len())) {
            trials.push(trial);
            continue;
        }
        for (p, problem) in problems.iter().enumerate() {
            let problems = problems.clone();
            let run = move || engines::with(|engines| one(&engines[e], storage, &problems[p]));
            trials.push(Trial::test(format!("{}: {}", candidate.name, problem.name), run));
        }
    }
    engines::keep(candidates);
    libtest_mimic::run(&arguments, trials).exit();
}

fn one(candidate: &Candidate, storage: Storage, problem: &Problem) -> Result<(), Failed> {
    let engine = candidate.engine.as_ref().map_err(|error| error.to_string())?;
    Ok(block_on(check(engine.as_ref(), storage, problem))?)
}
