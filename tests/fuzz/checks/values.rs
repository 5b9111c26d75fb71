//! Running a graph for a check, and when two answers are the same.

use std::collections::HashMap;

use famlens::engine::{Engine, Mix};
use famlens::graph::{Activation, BinaryOp, Constant, Graph, Op, ValueId};
use famlens::tensor::{Shape, Tensor};
use famlens::{Error, Result};
use pollster::block_on;

/// More multiply-adds or elements than this are not worth a fuzzer's time.
pub const MOST_WORK: usize = 1 << 19;

/// The values of `wanted`.
///
/// # Errors
/// If the engine refuses the graph.
pub fn run(engine: &dyn Engine, graph: &Graph, input: &Tensor, wanted: &[ValueId]) -> Result<Vec<Tensor>> {
    let image = graph.image_input()?;
    // The mix is over the first target, which must be a map: the image is one.
    let targets: Vec<ValueId> = [image].into_iter().chain(wanted.iter().copied()).collect();
    block_on(async {
        let mut program = engine.compile(graph, &targets)?;
        let output = program.run(input, &Mix::default()).await?;
        let mut found = Vec::new();
        for features in &output.features[1..] {
            found.push(program.read(features).await?);
        }
        Ok(found)
    })
}

/// An input in [-1, 1] that depends on `seed` and the shape only.
pub fn input(shape: &Shape, seed: u64) -> Result<Tensor> {
    let mut random = fastrand::Rng::with_seed(seed);
    Tensor::new(shape.clone(), (0..shape.len()).map(|_| 2.0 * random.f32() - 1.0).collect())
}

/// The same graph with each weight (but exponents), the image and what each node computes moved by a millionth of
/// itself, up or down by chance: what that changes, rounding in another order may change too. Values keep their ids.
///
/// # Errors
/// If the graph is not well formed.
pub fn shaken(graph: &Graph) -> Result<Graph> {
    let mut random = fastrand::Rng::with_seed(11);
    let mut shake = move || if random.bool() { 1.0 + 1e-6 } else { 1.0 - 1e-6 };
    let mut shaken = graph.clone();
    // An exponent that is no whole number any more makes NaN of what is negative.
    let powers = graph.nodes.iter().filter(|node| node.op == Op::Binary(BinaryOp::Pow));
    let exponents: Vec<ValueId> = powers.map(|node| node.inputs[1]).collect();
    for (id, value) in shaken.values.iter_mut().enumerate() {
        if let Some(Constant::Float(tensor)) = &value.constant
            && !exponents.contains(&ValueId(id))
        {
            let mut moved = (**tensor).clone();
            moved.data_mut().iter_mut().for_each(|x| *x *= shake());
            value.constant = Some(Constant::Float(moved.into()));
        }
    }
    let mut read: HashMap<ValueId, ValueId> = HashMap::new();
    let mut moved = |shaken: &mut Graph, id: ValueId| -> Result<ValueId> {
        let shape = shaken.value(id).shape.clone();
        let by = Tensor::new(shape.clone(), (0..shape.len()).map(|_| shake()).collect())?;
        let by = shaken.add_constant("by", by);
        shaken.add_node("moved", Op::Binary(BinaryOp::Mul), vec![id, by])
    };
    let nodes = std::mem::take(&mut shaken.nodes);
    if let Some(image) = shaken.input {
        read.insert(image, moved(&mut shaken, image)?);
    }
    for mut node in nodes {
        node.inputs.iter_mut().for_each(|id| *id = read.get(id).copied().unwrap_or(*id));
        let output = node.output;
        shaken.nodes.push(node);
        read.insert(output, moved(&mut shaken, output)?);
    }
    Ok(shaken)
}

/// Whether the graph can be run in a fuzzer's time.
pub fn is_small(graph: &Graph) -> bool {
    // Every engine takes the constants over, those of steps that did not fit as well.
    let constants = graph.values.iter().filter(|value| value.constant.is_some());
    let mut work: usize = constants.map(|value| value.shape.len()).fold(0, usize::saturating_add);
    for node in &graph.nodes {
        let inner: usize = match node.op {
            Op::Conv2d(_) | Op::Linear(_) => graph.value(node.inputs[1]).shape.dims()[1..].iter().product(),
            Op::MatMul | Op::Attention(_) => graph.value(node.inputs[0]).shape.dims().last().copied().unwrap_or(1),
            Op::Pool2d(ref pool) => pool.kernel.iter().fold(1, |a, &b| a.saturating_mul(b)),
            Op::Reduce { .. } => graph.value(node.inputs[0]).shape.len(),
            _ => 1,
        };
        let inputs: usize = node.inputs.iter().map(|&i| graph.value(i).shape.len()).sum();
        work = work.saturating_add(graph.value(node.output).shape.len().saturating_mul(inner).saturating_add(inputs));
    }
    work <= MOST_WORK
}

/// Whether no weight is so large that sums lose what else is in them, or overflow: they then depend on their order.
pub fn is_moderate(graph: &Graph) -> bool {
    let constants = graph.values.iter().filter_map(|value| value.constant.as_ref());
    constants.map(|c| c.to_float()).all(|c| c.data().iter().all(|x| x.abs() < 1e5))
}

/// Whether a small change of the input may change the answer by a step, so that answers in another order of
/// summation may differ by one.
pub fn has_steps(graph: &Graph) -> bool {
    graph.nodes.iter().any(|node| {
        matches!(
            node.op,
            Op::Quantize(_) | Op::Activation(Activation::Floor | Activation::Round | Activation::Threshold(_))
        )
    })
}

/// Panics unless `found` is `expected` up to rounding. What shaking the graph changes says how much rounding may.
pub fn same(
    what: &str,
    graph: &Graph,
    value: ValueId,
    found: &Tensor,
    expected: &Tensor,
    elsewhere: &Tensor,
    tolerance: f32,
) {
    assert_eq!(found.shape(), expected.shape(), "{what}: the shape of %{}\n{}", value.0, listing(graph));
    let largest = |t: &Tensor| t.data().iter().fold(0f32, |most, x| most.max(x.abs()));
    let most = largest(expected);
    // Infinite or beyond what squares in f32: nothing can be said.
    if !most.is_finite() || most > 1e15 || expected.data().iter().chain(found.data()).any(|x| x.is_nan()) {
        return;
    }
    let changes = expected.data().iter().zip(elsewhere.data()).map(|(a, b)| (a - b).abs());
    // NaN is larger than anything in this order, and says as little as infinity.
    let change = changes.max_by(f32::total_cmp).unwrap_or(0.0);
    if !change.is_finite() {
        return;
    }
    let limit = tolerance * most.max(1e-3) + 300.0 * change;
    for (i, (a, b)) in found.data().iter().zip(expected.data()).enumerate() {
        assert!(
            (a - b).abs() <= limit,
            "{what}: element {i} of %{} is {a}, and should be {b} (limit {limit:e})\n{}",
            value.0,
            listing(graph)
        );
    }
}

/// An error that is about the file and not a panic in disguise: it has words.
pub fn says_something(error: &Error) {
    assert!(error.to_string().len() > 12, "{error:?} says too little");
}

/// The nodes of a graph, a line each: printed before a check fails.
pub fn listing(graph: &Graph) -> String {
    let value = |id: &ValueId| {
        let value = graph.value(*id);
        format!("{}%{}{}", if value.constant.is_some() { "constant " } else { "" }, id.0, value.shape)
    };
    let line = |node: &famlens::graph::Node| {
        let inputs: Vec<String> = node.inputs.iter().map(value).collect();
        format!("{} = {:?} of {}", value(&node.output), node.op, inputs.join(", "))
    };
    graph.nodes.iter().map(line).collect::<Vec<_>>().join("\n")
}
