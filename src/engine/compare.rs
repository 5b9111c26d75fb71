//! Compares an engine with the reference, node by node. Where two engines differ, the first node that differs is the
//! one to look at.

use std::sync::Arc;

use serde::Serialize;

use super::reference::{ReferenceEngine, compute};
use super::{Engine, Mix};
use crate::error::Result;
use crate::graph::{Activation, Constant, Graph, Op, ValueId};
use crate::tensor::Tensor;

/// How one node's output differs between an engine and the reference.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NodeDifference {
    /// Name of the node.
    pub node: String,
    /// Kind of the op.
    pub op: String,
    /// Shape of its output.
    pub shape: Vec<usize>,
    /// Largest absolute value in the reference's output.
    pub largest: f32,
    /// Largest absolute difference.
    pub max_abs: f32,
    /// [`relative_difference`] of the outputs; 0 where they differ by no more than one level of a rounding.
    pub relative: f32,
}

/// Runs an engine and the reference over the same input and compares the output of every node, in the graph's order.
///
/// Where activations are rounded to levels, a difference in the last digit may become a whole level, and is then
/// carried on. Such a level more or less counts as no difference, and what lies behind is compared with what the
/// reference makes of the engine's own values.
///
/// Every node is a target, so an engine that fuses or reuses memory does so less than it would for one target.
///
/// # Errors
/// Whatever [`Engine::compile`] and [`super::Program::run`] report.
pub async fn compare(engine: &dyn Engine, graph: &Graph, input: &Tensor) -> Result<Vec<NodeDifference>> {
    let targets: Vec<ValueId> = graph.nodes.iter().map(|n| n.output).collect();
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let theirs = all_outputs(engine, graph, &targets, input).await?;
    let ours = all_outputs(&ReferenceEngine, graph, &targets, input).await?;
    let mut values: Vec<Option<Arc<Tensor>>> =
        graph.values.iter().map(|value| value.constant.as_ref().map(Constant::to_float)).collect();
    values[graph.image_input()?.0] = Some(Arc::new(input.clone()));
    for (target, tensor) in targets.iter().zip(&theirs) {
        values[target.0] = Some(Arc::new(tensor.clone()));
    }
    let mut rounded = vec![false; graph.values.len()];
    let mut found = Vec::with_capacity(graph.nodes.len());
    for ((node, a), mut b) in graph.nodes.iter().zip(&theirs).zip(ours) {
        let behind = node.inputs.iter().any(|i| rounded[i.0]);
        if behind {
            b = compute(node, &values, b.shape())?;
        }
        let level = match &node.op {
            Op::Quantize(q) if q.dequantize => q.scale,
            Op::Quantize(_) | Op::Activation(Activation::Round | Activation::Floor) => 1.0,
            _ => 0.0,
        };
        rounded[node.output.0] = behind || level > 0.0;
        let (max_abs, largest) = (max_abs_difference(a.data(), b.data()), largest(b.data()));
        let same = max_abs <= 1.001 * level;
        found.push(NodeDifference {
            node: node.name.clone(),
            op: node.op.name().into(),
            shape: b.shape().dims().to_vec(),
            largest,
            max_abs,
            relative: if same { 0.0 } else { relative_difference(a.data(), b.data()) },
        });
    }
    Ok(found)
}

/// Every target's values. Targets are kept until the run's end, and all nodes of a large network together may be more
/// than a GPU binds at once: they are then run for in parts.
async fn all_outputs(engine: &dyn Engine, graph: &Graph, targets: &[ValueId], input: &Tensor) -> Result<Vec<Tensor>> {
    // The mix is over the first target, so that one must have channels.
    let has_channels = |id: &&ValueId| graph.value(**id).shape.chw().is_some();
    let first = targets.iter().find(has_channels).copied().map_or_else(|| graph.image_input(), Ok)?;
    let mut tensors = Vec::with_capacity(targets.len());
    let mut parts = vec![targets];
    while let Some(part) = parts.pop() {
        let asked: Vec<ValueId> = [first].into_iter().chain(part.iter().copied()).collect();
        let mut program = match engine.compile(graph, &asked) {
            Err(crate::Error::TooLarge { .. }) if part.len() > 1 => {
                let (before, after) = part.split_at(part.len() / 2);
                parts.extend([after, before]);
                continue;
            }
            other => other?,
        };
        let output = program.run(input, &Mix::default()).await?;
        for features in &output.features[1..] {
            tensors.push(program.read(features).await?);
        }
    }
    Ok(tensors)
}

/// `max |a - b| / max |b|`: the largest difference as a share of the largest value of the reference `b`.
/// Infinite if the lengths differ or a difference is not a number; 0 if both are all zero.
pub fn relative_difference(a: &[f32], b: &[f32]) -> f32 {
    match max_abs_difference(a, b) {
        0.0 => 0.0,
        difference => difference / largest(b),
    }
}

/// `max |a - b|`; infinite if the lengths differ or a difference is not a number.
pub fn max_abs_difference(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return f32::INFINITY;
    }
    let worst = |worst: f32, (&a, &b): (&f32, &f32)| match (a - b).abs() {
        _ if a == b => worst,
        d if d.is_nan() => f32::INFINITY,
        d => worst.max(d),
    };
    a.iter().zip(b).fold(0.0, worst)
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0f32, |m, v| m.max(v.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference engine, which refuses more than three targets at once.
    struct Narrow;

    impl Engine for Narrow {
        fn describe(&self) -> String {
            "narrow".into()
        }

        fn compile(&self, graph: &Graph, targets: &[ValueId]) -> Result<Box<dyn crate::engine::Program>> {
            match targets.len() > 3 {
                true => Err(crate::Error::TooLarge { what: "all".into(), size: "4".into(), limit: "3".into() }),
                false => ReferenceEngine.compile(graph, targets),
            }
        }
    }

    #[test]
    fn what_is_too_much_at_once_is_compared_in_parts() -> Result<()> {
        let mut graph = Graph::default();
        let mut value = graph.add_input("image", [1, 2, 3, 3]);
        for i in 0..7 {
            let op = Op::Activation(Activation::Clip(0.1 * i as f32, 9.0));
            value = graph.add_node(format!("clip{i}"), op, vec![value])?;
        }
        let input = Tensor::new([1, 2, 3, 3], (0..18).map(|i| i as f32 / 18.0).collect())?;
        let found = pollster::block_on(compare(&Narrow, &graph, &input))?;
        assert_eq!(found.len(), 7);
        assert!(found.iter().enumerate().all(|(i, d)| d.node == format!("clip{i}") && d.relative == 0.0));
        Ok(())
    }

    /// The reference engine with a scale that is a little finer: what lies halfway rounds up there and down here.
    struct Finer;

    impl Engine for Finer {
        fn describe(&self) -> String {
            "finer".into()
        }

        fn compile(&self, graph: &Graph, targets: &[ValueId]) -> Result<Box<dyn crate::engine::Program>> {
            let mut graph = graph.clone();
            let rounding = graph.nodes.iter_mut().find_map(|n| match &mut n.op {
                Op::Quantize(q) => Some(q),
                _ => None,
            });
            if let Some(q) = rounding {
                q.scale *= 1.0 - 1e-6;
            }
            ReferenceEngine.compile(&graph, targets)
        }
    }

    #[test]
    fn a_level_more_or_less_is_no_difference_and_is_not_carried_on() -> Result<()> {
        let mut graph = Graph::default();
        let image = graph.add_input("image", [1, 1, 1, 4]);
        let rounding = crate::graph::Quantize { scale: 0.5, zero: 0.0, range: [0.0, 255.0], dequantize: true };
        let rounded = graph.add_node("rounded", Op::Quantize(rounding), vec![image])?;
        graph.add_node("behind", Op::Activation(Activation::Exp), vec![rounded])?;
        // Halfway between two levels.
        let input = Tensor::new([1, 1, 1, 4], vec![0.0, 1.25, 2.25, 3.0])?;
        let found = pollster::block_on(compare(&Finer, &graph, &input))?;
        assert!(found[0].max_abs > 0.4 && found[0].relative == 0.0 && found[1].relative < 1e-6, "{found:?}");
        Ok(())
    }

    #[test]
    fn differences() {
        assert_eq!(relative_difference(&[1.0, -4.0], &[1.0, -4.0]), 0.0);
        assert_eq!(relative_difference(&[1.5, -4.0], &[1.0, -4.0]), 0.125);
        assert_eq!(relative_difference(&[0.0], &[0.0]), 0.0);
        assert_eq!(relative_difference(&[f32::NAN], &[0.0]), f32::INFINITY);
        assert_eq!(relative_difference(&[1.0], &[]), f32::INFINITY);
        assert_eq!(max_abs_difference(&[f32::INFINITY], &[f32::INFINITY]), 0.0);
    }
}
