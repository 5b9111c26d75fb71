//! Reductions and softmax. One invocation reduces a few values and a workgroup reduces many. Several passes reduce more
//! than one workgroup can take.

use super::codes::Reduction;
use super::dispatch::{Dispatch, Grid, Numbers, specialise};
use super::kernels::{KIND, Kernel, WORKGROUP};
use super::layout::{Layout, Walk};
use super::lower::{Lowering, refuse};
use super::params;
use crate::error::Result;
use crate::graph::{Node, ReduceKind};
use crate::tensor::Shape;

/// Values up to which one invocation takes them all.
const FEW: usize = 256;
/// Values that one workgroup reduces in one pass.
const SLICE: usize = 64 * WORKGROUP;

/// Slices of each pass but the last, whose results the next one reduces.
fn passes(count: usize) -> impl Iterator<Item = usize> {
    let slices = |count: usize| Some(count.div_ceil(SLICE)).filter(|&n| n > 1);
    std::iter::successors(slices(count), move |&n| slices(n))
}

/// Floats for the results of all passes but the last.
pub(super) fn temporary(from: &Layout, to: &Layout, axes: &[usize]) -> usize {
    let count = axes.iter().fold(1usize, |n, &d| n.saturating_mul(from.shape.dims()[d]));
    let slices = passes(count).fold(0usize, usize::saturating_add);
    // What is walked of the output is at most what it takes, padding included.
    to.len().saturating_mul(slices)
}

/// What one pass reads: where it starts, its strides along the output, and the reduced dimensions.
struct Source {
    x: usize,
    strides: [usize; 8],
    inner: [usize; 8],
    inner_strides: [usize; 8],
    count: usize,
}

impl Lowering<'_, '_> {
    pub(super) fn reduce(&mut self, node: &Node, kind: ReduceKind, axes: &[usize], keep_dims: bool) -> Result<()> {
        let (from, to) = (self.layout(node.inputs[0]), self.layout(node.output));
        // Strides of the input along the dimensions of the output.
        let rank = from.shape.rank();
        let along: Vec<usize> = match keep_dims {
            true => (0..rank).map(|d| if axes.contains(&d) { 0 } else { from.strides[d] }).collect(),
            false => (0..rank).filter(|d| !axes.contains(d)).map(|d| from.strides[d]).collect(),
        };
        let refused = |reason| refuse(node, reason);
        let walk = Walk::over(&to, &[]).map_err(refused)?;
        // The reduced dimensions as a value of their own, in the order of memory, so that neighbours read neighbours.
        let mut inward = axes.to_vec();
        inward.sort_by_key(|&d| std::cmp::Reverse(from.strides[d]));
        let reduced = Shape::new(inward.iter().map(|&d| from.shape.dims()[d]).collect::<Vec<_>>());
        let reduced_strides: Vec<usize> = inward.iter().map(|&d| from.strides[d]).collect();
        let inner = Walk::row_major(&reduced).map_err(refused)?;
        let mut source = Source {
            x: self.operand(node.inputs[0])?,
            strides: walk.along(&along),
            inner: inner.dims(),
            inner_strides: inner.along(&reduced_strides),
            count: reduced.len(),
        };
        let divisor = if kind == ReduceKind::Mean { reduced.len() as f32 } else { 1.0 };
        let y = self.output(node)?;
        if source.count <= FEW {
            return self.reduce_pass(
                node,
                Kernel::Reduce,
                kind,
                &walk,
                &source,
                (y, walk.along(&to.strides)),
                1,
                divisor,
            );
        }
        let mut partial = self.scratch;
        for slices in passes(source.count) {
            let none = [0; 8];
            self.reduce_pass(node, Kernel::ReduceTree, kind, &walk, &source, (partial, none), slices, 1.0)?;
            source = Source {
                x: partial,
                strides: walk.rows(slices),
                inner: [1, 1, 1, 1, 1, slices, 1, 1],
                inner_strides: [0, 0, 0, 0, 0, 1, 0, 0],
                count: slices,
            };
            partial += walk.total().saturating_mul(slices);
        }
        let to = (y, walk.along(&to.strides));
        self.reduce_pass(node, Kernel::ReduceTree, kind, &walk, &source, to, 1, divisor)
    }

    #[allow(clippy::too_many_arguments, reason = "the parameters of one kernel")]
    fn reduce_pass(
        &mut self,
        node: &Node,
        kernel: Kernel,
        kind: ReduceKind,
        walk: &Walk,
        source: &Source,
        (y, y_strides): (usize, [usize; 8]),
        slices: usize,
        divisor: f32,
    ) -> Result<()> {
        let n = Numbers::default();
        let total = n.product(&[walk.total(), slices]);
        let tree = kernel == Kernel::ReduceTree;
        let grid = if tree { Grid::of_groups(total) } else { Grid::over(total) };
        let slice = source.count.div_ceil(slices);
        let params = params::Reduce {
            dims: n.axes(walk.dims()),
            x_strides: n.axes(source.strides),
            y_strides: n.axes(y_strides),
            inner: n.axes(source.inner),
            inner_strides: n.axes(source.inner_strides),
            x: n.u(source.x),
            y: n.u(y),
            total: n.u(total),
            row: grid.row,
            limit: n.u(walk.limit),
            count: n.u(source.count),
            slices: n.u(slices),
            slice: n.u(slice),
            divisor,
        };
        let code = match kind {
            ReduceKind::Mean | ReduceKind::Sum => Reduction::Sum,
            ReduceKind::Max => Reduction::Max,
            ReduceKind::Min => Reduction::Min,
            ReduceKind::Product => Reduction::Product,
        };
        let steps = if tree { slice.div_ceil(WORKGROUP) + 7 } else { source.count };
        self.push(node, None, Dispatch::new(specialise(kernel, [(KIND, code.into())]), n, params, grid, steps))
    }

    pub(super) fn softmax(&mut self, node: &Node, axis: usize) -> Result<()> {
        let (from, layout) = (self.layout(node.inputs[0]), self.layout(node.output));
        let walk = Walk::over(&layout, &[axis]).map_err(|reason| refuse(node, reason))?;
        let (x, y) = (self.operand(node.inputs[0])?, self.output(node)?);
        let count = layout.shape.dims()[axis];
        let innermost = layout.channels.is_some() && layout.order.last() == Some(&axis);
        let padded = if innermost { count.next_multiple_of(4) } else { count };
        let tree = count > FEW;
        let grid = if tree { Grid::of_groups(walk.total()) } else { Grid::over(walk.total()) };
        let n = Numbers::default();
        let params = params::Softmax {
            dims: n.axes(walk.dims()),
            x_strides: n.axes(walk.along(&from.strides)),
            y_strides: n.axes(walk.along(&layout.strides)),
            x: n.u(x),
            y: n.u(y),
            total: n.u(walk.total()),
            row: grid.row,
            limit: n.u(walk.limit),
            count: n.u(count),
            padded: n.u(padded),
            x_step: n.u(from.strides[axis]),
            y_step: n.u(layout.strides[axis]),
        };
        let (kernel, steps) = match tree {
            true => (Kernel::SoftmaxTree, 3 * (padded.div_ceil(WORKGROUP) + 7)),
            false => (Kernel::Softmax, 3 * padded),
        };
        self.push(node, None, Dispatch::new(specialise(kernel, []), n, params, grid, steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_go_on_until_one_workgroup_takes_what_is_left() {
        let slices = |count| passes(count).collect::<Vec<_>>();
        assert!(slices(1).is_empty() && slices(SLICE).is_empty());
        assert_eq!(slices(SLICE + 1), [2]);
        assert_eq!(slices(150_528), [37]);
        assert_eq!(slices(1 << 28), [1 << 16, 16]);
    }
}
