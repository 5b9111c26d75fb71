//! The engines that the suites hold against each other, and how a suite shows those that cannot run here.
#![allow(dead_code, reason = "every suite uses a part of it")]

use std::cell::OnceCell;

use famlens::Result;
use famlens::engine::Engine;
#[cfg(feature = "candle")]
use famlens::engine::candle::CandleEngine;
use famlens::engine::cpu::CpuEngine;
use famlens::engine::gpu::{GpuEngine, GpuOptions};
use famlens::engine::reference::ReferenceEngine;
use libtest_mimic::{Arguments, Failed, Trial};
use pollster::block_on;

/// An engine, or why it cannot run here.
pub struct Candidate {
    /// What a suite calls it: `"cpu"`, `"gpu, hardware kernels"`.
    pub name: String,
    pub engine: Result<Box<dyn Engine>>,
}

impl Candidate {
    pub fn new(name: impl Into<String>, engine: Box<dyn Engine>) -> Self {
        Self { name: name.into(), engine: Ok(engine) }
    }
}

/// One engine of every kind, as users get them, and the GPU engine with both sets of its kernels.
pub fn of_every_kind() -> Vec<Candidate> {
    let mut all = vec![Candidate::new("reference", Box::new(ReferenceEngine))];
    all.push(Candidate::new("cpu", Box::new(CpuEngine::new())));
    all.extend(candle());
    all.extend(gpu());
    all
}

/// The candle engine, where it is built.
pub fn candle() -> Option<Candidate> {
    #[cfg(feature = "candle")]
    return Some(Candidate::new("candle", Box::new(CandleEngine::new())));
    #[cfg(not(feature = "candle"))]
    None
}

/// The GPU engine. On a software adapter it takes other kernels than on graphics hardware: both are held.
pub fn gpu() -> Vec<Candidate> {
    let gpu = |name: &str, hardware_kernels| {
        let options = GpuOptions { hardware_kernels, ..GpuOptions::default() };
        let engine = block_on(GpuEngine::new(options)).map(|engine| Box::new(engine) as Box<dyn Engine>);
        Candidate { name: name.into(), engine }
    };
    vec![gpu("gpu", false), gpu("gpu, hardware kernels", true)]
}

thread_local! {
    static ENGINES: OnceCell<&'static [Candidate]> = const { OnceCell::new() };
}

/// Keeps the engines for the trials. An engine stays on its thread, and so all trials run on this one (see
/// [`arguments`]).
///
/// # Panics
/// If the thread has engines already.
pub fn keep(engines: Vec<Candidate>) {
    // Never dropped: at the end of a thread, a GPU engine would look for thread locals that are gone.
    ENGINES.with(|kept| assert!(kept.set(engines.leak()).is_ok(), "the engines are there already"));
}

/// Does something with the engines that were kept.
pub fn with<T>(f: impl FnOnce(&[Candidate]) -> T) -> T {
    ENGINES.with(|kept| f(kept.get().copied().unwrap_or_default()))
}

/// The command line, for trials on one thread.
pub fn arguments(given: impl IntoIterator<Item = String>) -> Arguments {
    Arguments { test_threads: Some(1), ..Arguments::from_iter(given) }
}

/// A trial that stands for what an engine was to do and cannot: ignored, or failed where a GPU is required
/// (`FAMLENS_REQUIRE_GPU=1`).
pub fn skipped(suite: &str, candidate: &Candidate, what: &str) -> Option<Trial> {
    let reason = candidate.engine.as_ref().err()?.to_string();
    let required = std::env::var("FAMLENS_REQUIRE_GPU").is_ok_and(|v| v == "1");
    println!("{suite}, {}: SKIPPED, {what} not run: {reason}", candidate.name);
    let trial = Trial::test(format!("{}: {what}", candidate.name), move || Err(Failed::from(reason)));
    Some(trial.with_ignored_flag(!required))
}
