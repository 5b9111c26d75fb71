//! Any bytes as an ONNX file: read, lowered for one size, optimised, its targets found, and, if it is small, run.
//! Nothing may panic, ask for memory without bound or change its answer by the passes; an error has words.

use famlens::engine::reference::ReferenceEngine;
use famlens::graph::gradient::Tail;
use famlens::graph::passes;
use famlens::onnx::{Model, ModelSummary};

use crate::values::{has_steps, input, is_moderate, is_small, run, same, says_something, shaken};

/// The check.
///
/// # Panics
/// If it does not hold.
pub fn check(bytes: &[u8]) {
    let model = match Model::parse(bytes) {
        Ok(model) => model,
        Err(error) => return says_something(&error),
    };
    let (height, width) = match model.input_size() {
        Ok((height, width)) => (height.unwrap_or(9), width.unwrap_or(8)),
        Err(_) => (9, 8),
    };
    let _ = ModelSummary::new(&model, height, width);
    let graph = match model.to_graph(height, width) {
        Ok(graph) => graph,
        Err(error) => return says_something(&error),
    };
    let candidates = graph.target_candidates();
    if !is_small(&graph) {
        return;
    }
    if let Some(target) = candidates.first() {
        let mut maps = graph.clone();
        if let Ok(map) = maps.maps(&graph.value(target.value).name)
            && let Some(&output) = maps.outputs.first()
        {
            let _ = Tail::new(&maps, map, output);
        }
    }
    let outputs = graph.outputs.clone();
    let optimised = match passes::optimize(graph.clone(), &[]) {
        Ok(optimised) => optimised,
        Err(error) => panic!("the graph is well formed, and optimising it says: {error}"),
    };
    // Not a network of images after all: the engines refuse it in words.
    let Ok(shape) = graph.image_input().map(|image| graph.value(image).shape.clone()) else { return };
    let Ok(image) = input(&shape, 7) else { return };
    let outputs: Vec<_> = outputs.into_iter().filter(|&o| graph.value(o).constant.is_none()).collect();
    let answers =
        [(&graph, image.clone()), (&optimised, image.clone())].map(|(g, x)| run(&ReferenceEngine, g, &x, &outputs));
    let [Ok(plain), Ok(fast)] = answers else { return };
    if has_steps(&graph) || !is_moderate(&graph) {
        return;
    }
    let Ok(elsewhere) = shaken(&graph).and_then(|g| run(&ReferenceEngine, &g, &image, &outputs)) else { return };
    for (i, &output) in outputs.iter().enumerate() {
        same("optimised", &graph, output, &fast[i], &plain[i], &elsewhere[i], 1e-3);
    }
}
