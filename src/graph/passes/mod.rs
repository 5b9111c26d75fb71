//! Rewrites that make a graph smaller without changing what it computes (up to rounding).
//!
//! No rewrite removes a value that is asked for (a target layer, an output of the file). The output of a fused node is
//! the last of the values it replaces, with that value's id and name. If a value in the middle is asked for, the fusion
//! stops there.

mod affine;
mod attention;
mod edit;
mod fuse;
mod gates;
mod gelu;
mod moves;
mod norms;
mod pads;
mod simplify;

use super::{Graph, ValueId};
use crate::error::Result;
use edit::Edit;

/// Folds, fuses and prunes a graph.
///
/// Whatever is needed neither for `keep` nor for the graph's outputs is dropped. Ids of values stay valid; constants
/// and values that nothing uses any more stay in [`Graph::values`].
///
/// # Errors
/// [`crate::Error::Node`] if a node does not fit its inputs, which says that the graph was not well formed before.
///
/// ```
/// use famlens::graph::{Activation, Graph, Op, passes};
/// # fn main() -> famlens::Result<()> {
/// let mut graph = Graph::default();
/// let image = graph.add_input("image", [1, 3, 8, 8]);
/// let relu = graph.add_node("relu", Op::Activation(Activation::Relu), vec![image])?;
/// graph.add_node("unused", Op::Activation(Activation::Tanh), vec![relu])?;
/// assert_eq!(passes::optimize(graph, &[relu])?.nodes.len(), 1);
/// # Ok(())
/// # }
/// ```
pub fn optimize(graph: Graph, keep: &[ValueId]) -> Result<Graph> {
    run(graph, keep, &[&RECOGNISE[..], &[fuse::run]].concat())
}

/// The same, but activations and residual sums stay nodes of their own: the network as people draw it.
///
/// # Errors
/// As [`optimize`].
pub fn recognise(graph: Graph, keep: &[ValueId]) -> Result<Graph> {
    run(graph, keep, &RECOGNISE)
}

/// Puts only layer normalisations together again, and leaves the rest as it lies.
///
/// # Errors
/// As [`optimize`].
pub(super) fn recognise_norms(graph: Graph) -> Result<Graph> {
    run(graph, &[], &[simplify::run, norms::run])
}

type Pass = fn(&mut Edit) -> usize;

/// What puts layers together again that exporters have written out.
const RECOGNISE: [Pass; 8] =
    [simplify::run, gates::run, gelu::run, affine::run, norms::run, moves::run, attention::run, pads::run];

fn run(graph: Graph, keep: &[ValueId], passes: &[Pass]) -> Result<Graph> {
    let mut edit = Edit::new(graph, keep);
    edit.prune();
    loop {
        let changes: usize = passes.iter().map(|pass| pass(&mut edit)).sum();
        edit.prune();
        if changes == 0 {
            break;
        }
    }
    let graph = edit.finish();
    graph.validate()?;
    Ok(graph)
}

#[cfg(test)]
mod tests;
