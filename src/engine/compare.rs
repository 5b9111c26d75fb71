//! Holds an engine against the reference, node by node: where two engines differ, the first node that does is the
//! one to look at.

use serde::Serialize;

use super::reference::ReferenceEngine;
use super::{Engine, Mix};
use crate::error::Result;
use crate::graph::{Graph, ValueId};
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
    /// [`relative_difference`] of the outputs.
    pub relative: f32,
}

/// Runs an engine and the reference over the same input and compares the output of every node, in the graph's order.
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
    let difference = |((node, a), b): ((&crate::graph::Node, &Tensor), &Tensor)| NodeDifference {
        node: node.name.clone(),
        op: node.op.name().into(),
        shape: b.shape().dims().to_vec(),
        largest: largest(b.data()),
        max_abs: max_abs_difference(a.data(), b.data()),
        relative: relative_difference(a.data(), b.data()),
    };
    Ok(graph.nodes.iter().zip(&theirs).zip(&ours).map(difference).collect())
}

/// Every target's values. Targets are kept until the run's end, and all nodes of a large network together may be more than a
/// GPU binds at once: they are then run for in parts.
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
            let op = crate::graph::Op::Activation(crate::graph::Activation::Clip(0.1 * i as f32, 9.0));
            value = graph.add_node(format!("clip{i}"), op, vec![value])?;
        }
        let input = Tensor::new([1, 2, 3, 3], (0..18).map(|i| i as f32 / 18.0).collect())?;
        let found = pollster::block_on(compare(&Narrow, &graph, &input))?;
        assert_eq!(found.len(), 7);
        assert!(found.iter().enumerate().all(|(i, d)| d.node == format!("clip{i}") && d.relative == 0.0));
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
