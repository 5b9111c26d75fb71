//! What can be said of the nodes of a file before any is lowered: their order, weights that are not numbers, and which constants
//! are weights.

use std::collections::{BinaryHeap, HashMap, HashSet};

use super::data::{self, Data};
use super::proto::{NodeProto, ValueInfo};
use crate::error::{Error, Result};

/// For each constant that is only used as a weight of Conv, Gemm or MatMul, the axis of its output channels. `rank` is the
/// number of dimensions of a constant, nothing for another value.
pub(crate) fn weight_axes(nodes: &[NodeProto], rank: impl Fn(&str) -> Option<usize>) -> HashMap<String, usize> {
    let mut axes: HashMap<String, Option<usize>> = HashMap::new();
    for node in nodes {
        for (i, name) in node.input.iter().enumerate() {
            let Some(rank) = rank(name) else { continue };
            let transposed = node.attribute("transB").is_some_and(|a| a.i() != 0);
            let axis = match (node.full_type().as_str(), i) {
                ("Conv", 1) if rank > 2 => Some(0),
                ("Gemm", 1) if rank == 2 => Some(if transposed { 0 } else { 1 }),
                ("MatMul", 1) if rank == 2 => Some(1),
                _ => None,
            };
            // Two uses with different output channels, or a use as something else: leave it alone.
            axes.entry(name.clone()).and_modify(|a| *a = a.filter(|_| *a == axis)).or_insert(axis);
        }
    }
    axes.into_iter().filter_map(|(name, axis)| axis.map(|a| (name, a))).collect()
}

/// Weights that are not numbers make every activation one: the file is at fault, and the node that reads them is named.
pub(super) fn refuse_not_numbers(known: &HashMap<String, Data>, nodes: &[NodeProto]) -> Result<()> {
    let mut bad: Vec<(&String, usize)> =
        known.iter().map(|(n, d)| (n, data::not_numbers(d))).filter(|b| b.1 > 0).collect();
    bad.sort();
    for (name, count) in bad {
        if let Some(node) = nodes.iter().find(|n| n.input.contains(name)) {
            return Err(Error::onnx(format!(
                "{count} values of {name:?}, which node {:?} ({}) reads, are not numbers (NaN); the training diverged or the \
                 file was damaged: export the model again from a good checkpoint",
                node.title(),
                node.full_type()
            )));
        }
    }
    Ok(())
}

/// Puts every node after those it reads, and otherwise keeps the file's order.
pub(super) fn sort(
    nodes: Vec<NodeProto>,
    known: &HashMap<String, Data>,
    inputs: &[ValueInfo],
) -> Result<Vec<NodeProto>> {
    let mut producer: HashMap<&str, usize> = HashMap::with_capacity(nodes.len());
    let inputs: HashSet<&str> = inputs.iter().map(ValueInfo::name).collect();
    for (i, node) in nodes.iter().enumerate() {
        for output in node.output.iter().filter(|o| !o.is_empty()) {
            let twice = producer.insert(output, i).is_some();
            if twice || known.contains_key(output) || inputs.contains(output.as_str()) {
                let reason = format!(
                    "node {:?} computes {output:?}, which something else gives too; export the model again",
                    node.title()
                );
                return Err(Error::onnx(reason));
            }
        }
    }
    let mut waiting = vec![0usize; nodes.len()];
    let mut readers = vec![Vec::new(); nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        for input in node.input.iter().filter(|n| !n.is_empty()) {
            match producer.get(input.as_str()) {
                Some(&p) => {
                    waiting[i] += 1;
                    readers[p].push(i);
                }
                None if known.contains_key(input) || inputs.contains(input.as_str()) => {}
                None => {
                    let reason = format!(
                        "node {:?} reads {input:?}, which nothing computes; export the model again",
                        node.title()
                    );
                    return Err(Error::onnx(reason));
                }
            }
        }
    }
    // Kahn's algorithm, always taking the ready node that comes first in the file.
    let mut ready: BinaryHeap<_> = (0..nodes.len()).filter(|&i| waiting[i] == 0).map(std::cmp::Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(std::cmp::Reverse(i)) = ready.pop() {
        order.push(i);
        for &reader in &readers[i] {
            waiting[reader] -= 1;
            if waiting[reader] == 0 {
                ready.push(std::cmp::Reverse(reader));
            }
        }
    }
    if let Some(stuck) = waiting.iter().position(|&w| w > 0) {
        return Err(Error::onnx(format!(
            "node {:?} needs its own output: the graph has a cycle, which no exporter writes; export the model again",
            nodes[stuck].title()
        )));
    }
    let mut nodes: Vec<Option<NodeProto>> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|i| nodes[i].take()).collect())
}
