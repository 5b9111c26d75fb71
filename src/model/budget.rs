//! The memory that a network needs at an input size, checked before any of it is allocated.

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::image::InputSize;

/// Activations that may be there at once: half of what a page can address. A ResNet-50 needs 0.1 GB at 1024 x 1024.
const MOST_BYTES: u64 = 2 << 30;

/// Refuses a graph whose activations do not fit into memory together. `factor` is how many times as many pixels the
/// input will have as the graph's own.
///
/// # Errors
/// [`Error::TooLarge`] that says which `field` of `model.json` to make smaller.
pub(super) fn check(graph: &Graph, size: InputSize, factor: f64, field: &str) -> Result<()> {
    let bytes = peak_bytes(graph) as f64 * factor;
    if bytes <= MOST_BYTES as f64 {
        return Ok(());
    }
    let gigabytes = |bytes: f64| bytes / f64::from(1 << 30);
    Err(Error::TooLarge {
        what: format!("what this network holds in memory at an input of {size}"),
        size: format!("{:.1} GB", gigabytes(bytes)),
        limit: format!("{:.0} GB; take a smaller {field}", gigabytes(MOST_BYTES as f64)),
    })
}

/// Bytes of the activations that are alive at once, at the worst moment, as 32-bit floats.
pub(super) fn peak_bytes(graph: &Graph) -> u64 {
    let bytes = |id: usize| {
        let value = &graph.values[id];
        match value.constant {
            Some(_) => 0,
            None => value.shape.dims().iter().fold(4u64, |n, &d| n.saturating_mul(d as u64)),
        }
    };
    let mut last_use = vec![0; graph.values.len()];
    for (place, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|id| last_use[id.0] = place);
        last_use[node.output.0] = place;
    }
    graph.outputs.iter().for_each(|id| last_use[id.0] = graph.nodes.len());
    let mut ends: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len() + 1];
    last_use.iter().enumerate().for_each(|(id, &place)| ends[place].push(id));
    let computed: std::collections::HashSet<usize> = graph.nodes.iter().map(|node| node.output.0).collect();
    let inputs = (0..graph.values.len()).filter(|id| !computed.contains(id));
    let mut alive: u64 = inputs.map(bytes).fold(0, u64::saturating_add);
    let mut peak = alive;
    for (place, node) in graph.nodes.iter().enumerate() {
        alive = alive.saturating_add(bytes(node.output.0));
        peak = peak.max(alive);
        for &id in &ends[place] {
            alive = alive.saturating_sub(bytes(id));
        }
    }
    peak
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, BinaryOp, Op};

    /// Two branches of a residual sum: the block's input stays until the sum.
    fn residual(side: usize) -> Result<Graph> {
        let mut graph = Graph::default();
        let image = graph.add_input("image", [1, 4, side, side]);
        let relu =
            |graph: &mut Graph, name: &str, from| graph.add_node(name, Op::Activation(Activation::Relu), vec![from]);
        let first = relu(&mut graph, "first", image)?;
        let second = relu(&mut graph, "second", first)?;
        let third = relu(&mut graph, "third", second)?;
        let sum = graph.add_node("sum", Op::Binary(BinaryOp::Add), vec![third, first])?;
        graph.outputs.push(sum);
        Ok(graph)
    }

    #[test]
    fn what_is_alive_at_once_is_counted() -> Result<()> {
        // First, third and the sum, or first, second and third.
        assert_eq!(peak_bytes(&residual(8)?), 3 * 4 * 64 * 4);
        Ok(())
    }

    #[test]
    fn gigabytes_are_refused_with_the_field_to_change() -> Result<()> {
        assert!(check(&residual(4096)?, 4096.into(), 1.0, "\"size\"").is_ok(), "0.8 GB");
        let refused = check(&residual(4096)?, 8192.into(), 4.0, "\"size\"").map_err(|e| e.to_string());
        assert!(refused.is_err_and(|e| e.contains("3.0 GB") && e.contains("8192 x 8192") && e.contains("\"size\"")));
        Ok(())
    }
}
