//! Graphs of every op through the passes (`recipe`). They may not panic, refuse or swallow a value that is kept, and
//! what they leave computes the same, on the reference and on the CPU engine.

use famlens::engine::cpu::CpuEngine;
use famlens::engine::reference::ReferenceEngine;
use famlens::graph::{ValueId, passes};
use famlens::tensor::Tensor;

use crate::recipe::build;
use crate::values::{has_steps, input, run, same, shaken};

/// The check.
///
/// # Panics
/// If it does not hold.
pub fn check(bytes: &[u8]) {
    let Some((graph, keep)) = build(bytes) else { return };
    let optimised = match passes::optimize(graph.clone(), &keep) {
        Ok(optimised) => optimised,
        Err(error) => panic!("the graph is well formed, and optimising it says: {error}"),
    };
    let image = input(&graph.value(ValueId(0)).shape, 3).unwrap();
    let all: Vec<ValueId> = graph.nodes.iter().map(|n| n.output).collect();
    let Ok(values) = run(&ReferenceEngine, &graph, &image, &all) else { return };
    // A ReLU takes NaN for zero or not: nothing is said about what is not a number on the way.
    if values.iter().any(|t| t.data().iter().any(|x| !x.is_finite())) {
        return;
    }
    let at = |kept: &ValueId| all.iter().position(|v| v == kept);
    let plain: Vec<&Tensor> = keep.iter().filter_map(|k| at(k).map(|i| &values[i])).collect();
    let fast = run(&ReferenceEngine, &optimised, &image, &keep).expect("what could be run can be run optimised");
    if has_steps(&graph) {
        return;
    }
    let elsewhere = run(&ReferenceEngine, &shaken(&graph).expect("it is well formed"), &image, &keep).unwrap();
    for (i, &kept) in keep.iter().enumerate() {
        same("optimised", &graph, kept, &fast[i], plain[i], &elsewhere[i], 1e-3);
    }
    // What an engine's kernels do not reach, it refuses by name.
    if let Ok(found) = run(&CpuEngine::new(), &optimised, &image, &keep) {
        for (i, &kept) in keep.iter().enumerate() {
            same("on the CPU engine", &optimised, kept, &found[i], &fast[i], &elsewhere[i], 2e-3);
        }
    }
}
