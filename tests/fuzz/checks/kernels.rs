//! Graphs of every op on the CPU engine, in every instruction set of this machine, against the reference. No kernel may
//! touch what is not its own (the target runs under AddressSanitizer, with overflow checks and debug assertions, under
//! which kernels check each access against their operand), and what they compute is what the graph defines.

use famlens::engine::cpu::CpuEngine;
use famlens::engine::reference::ReferenceEngine;
use famlens::graph::{Activation, Conv2d, Graph, Op, Pool2d, PoolKind, ValueId, passes};
use famlens::tensor::Tensor;
use famlens::{Error, Result};

use crate::recipe::{Recipe, add, build_over, constant, weight};
use crate::values::{has_steps, input, is_small, run, same, shaken};

/// The check.
///
/// # Panics
/// If it does not hold.
pub fn check(bytes: &[u8]) {
    let recipe = &mut Recipe(bytes);
    // Around whole vectors of every instruction set, and wide enough for runs of cells.
    let channels = recipe.of(&[3, 4, 1, 8, 15, 16, 17, 24, 33]);
    let (height, width) = (1 + recipe.below(12), 1 + recipe.below(24));
    let far = recipe.below(4) == 0;
    let Some((mut graph, mut keep)) = build_over([1, channels, height, width], recipe) else { return };
    if far && let Ok(value) = windows_far_apart(&mut graph, keep[0], bytes) {
        keep.push(value);
    }
    if !is_small(&graph) {
        return;
    }
    // As it is, and with activations and residuals in the convolutions.
    let optimised = passes::optimize(graph.clone(), &keep);
    for graph in [Ok(graph), optimised].into_iter().flatten() {
        against_the_reference(&graph, &keep);
    }
}

fn against_the_reference(graph: &Graph, keep: &[ValueId]) {
    let image = input(&graph.value(ValueId(0)).shape, 3).expect("an image of that shape");
    let expected = run(&ReferenceEngine, graph, &image, keep);
    let elsewhere = shaken(graph).and_then(|graph| run(&ReferenceEngine, &graph, &image, keep));
    for engine in CpuEngine::variants() {
        let found = match (run(&engine, graph, &image, keep), &expected) {
            (Ok(found), Ok(_)) => found,
            // What is beyond what can be indexed, an engine refuses by name.
            (Err(Error::Node { .. } | Error::TooLarge { .. }), _) => continue,
            (Err(_), Err(_)) => continue,
            (Err(error), Ok(_)) => panic!("the reference runs it, and the CPU engine says: {error}"),
            (Ok(_), Err(error)) => panic!("the CPU engine runs it, and the reference says: {error}"),
        };
        let (Ok(expected), Ok(elsewhere)) = (&expected, &elsewhere) else { continue };
        // Infinities and what is not a number spread as the order of operations has it; a step may fall to either side.
        if has_steps(graph) || !all_finite(graph, &image) {
            continue;
        }
        let tolerance = if engine.is_fixed_point() { 4e-3 } else { 2e-3 };
        for (i, &kept) in keep.iter().enumerate() {
            let what = famlens::engine::Engine::describe(&engine);
            same(&what, graph, kept, &found[i], &expected[i], &elsewhere[i], tolerance);
        }
    }
}

/// Whether every value on the way is a finite number.
fn all_finite(graph: &Graph, image: &Tensor) -> bool {
    let all: Vec<ValueId> = graph.nodes.iter().map(|n| n.output).collect();
    let finite = |t: &Tensor| t.data().iter().all(|x| x.is_finite());
    run(&ReferenceEngine, graph, image, &all).is_ok_and(|values| values.iter().all(finite))
}

/// A convolution or pool whose strides, dilations and pads are as large as numbers get.
fn windows_far_apart(graph: &mut Graph, x: ValueId, bytes: &[u8]) -> Result<ValueId> {
    // From the end: what the graph was made from is at the beginning.
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let recipe = &mut Recipe(&reversed);
    let far = |recipe: &mut Recipe| {
        let base =
            recipe.of(&[0, 1, 1 << 15, 1 << 28, 1 << 30, 1 << 31, u32::MAX as usize, usize::MAX / 2, usize::MAX]);
        base.wrapping_add(recipe.below(5)).wrapping_sub(2)
    };
    let kernel = [1 + recipe.below(3), 1 + recipe.below(3)];
    let mut two = || [(); 2].map(|()| far(recipe));
    let (strides, dilations, before, after) = (two(), two(), two(), two());
    let pads = [before[0], before[1], after[0], after[1]];
    if recipe.below(2) == 0 {
        let kind = recipe.of(&[PoolKind::Max, PoolKind::Average { count_include_pad: true }]);
        return add(graph, Op::Pool2d(Pool2d { kind, kernel, strides, dilations, pads }), vec![x]);
    }
    let channels = graph.value(x).shape.dims().get(1).copied().unwrap_or(1);
    let groups = recipe.of(&[1, channels]);
    let w = weight(graph, vec![channels, channels / groups, kernel[0], kernel[1]], recipe)?;
    let bias = constant(graph, [channels], recipe)?;
    let activation = Activation::None;
    let op = Op::Conv2d(Conv2d { strides, dilations, pads, groups, activation, residual: false });
    add(graph, op, vec![x, w, bias])
}
