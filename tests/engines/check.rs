//! One op problem on one engine, held against the reference.

use famlens::engine::compare::{compare, relative_difference};
use famlens::engine::reference::ReferenceEngine;
use famlens::engine::{Engine, Mixed};
use famlens::tensor::Tensor;
use famlens::{Error, Result};

use crate::problems::{Problem, Tolerance};

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
pub enum Storage {
    F32,
    /// In 16-bit integers where they are multiplied with int8 weights.
    Int16,
    #[allow(dead_code, reason = "for engines with the f16 option")]
    F16,
}

/// Runs one problem on an engine and on the reference.
pub async fn check(engine: &dyn Engine, storage: Storage, problem: &Problem) -> Result<(), String> {
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
