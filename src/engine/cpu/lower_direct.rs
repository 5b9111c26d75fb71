//! Which ops a kernel takes as their operands lie in memory.

use super::direct::{Repeat, Strided};
use super::lower::Lowering;
use super::program::Work;
use crate::graph::evaluate::{broadcast_indices, strides};
use crate::graph::{LayerNorm, Node, Op, ValueId};
use crate::tensor::Shape;

impl Lowering<'_> {
    /// The work of a node that needs nothing but the memory of its operands; `None` if it is not such a node.
    pub(super) fn direct(&self, node: &Node) -> Option<Work> {
        let (x, y) = (*node.inputs.first()?, node.output);
        let all_plain = || node.inputs.iter().chain([&y]).all(|&id| self.is_plain(id));
        let alike = |id: ValueId| self.order(id) == self.order(y);
        match &node.op {
            Op::Attention(attention) if all_plain() => Some(Work::Attention(attention.clone())),
            Op::MatMul if all_plain() => Some(Work::MatMul),
            Op::LayerNorm(norm) if alike(x) => self.norm(node, norm),
            Op::Activation(activation) if alike(x) => Some(Work::Activation(*activation)),
            Op::Quantize(quantize) if alike(x) => Some(Work::Quantize(quantize.clone())),
            Op::Softmax { axis } if alike(x) => {
                let dims = self.order(x).physical(self.shape(x));
                let last = self.order(x).axis(*axis) + 1 == dims.len();
                last.then_some(Work::Softmax(self.shape(x).dims()[*axis]))
            }
            Op::Binary(op) => {
                let (a, b) = (x, *node.inputs.get(1)?);
                let repeat = |whole: ValueId, part: ValueId| self.repeat(whole, part, y);
                match (repeat(a, b), repeat(b, a)) {
                    (Some(repeat), _) => Some(Work::Zip { op: *op, repeat, swapped: false }),
                    // The operands are swapped by `Lowering::inputs`.
                    (None, Some(repeat)) => Some(Work::Zip { op: *op, repeat, swapped: true }),
                    (None, None) => None,
                }
            }
            Op::Slice { start, step, .. } => {
                let own = self.physical_strides(x);
                let first = start.iter().zip(&own).map(|(i, s)| i * s).sum();
                let steps: Vec<isize> = step.iter().zip(&own).map(|(i, &s)| i * s as isize).collect();
                Some(Work::Copy(self.strided(y, first, &steps)))
            }
            Op::Transpose { perm } => {
                let own = self.physical_strides(x);
                let steps: Vec<isize> = perm.iter().map(|&p| own[p] as isize).collect();
                Some(Work::Copy(self.strided(y, 0, &steps)))
            }
            Op::Gather { axis, indices } if alike(x) => {
                let dims = self.order(x).physical(self.shape(x));
                let inner = dims[self.order(x).axis(*axis) + 1..].iter().product();
                Some(Work::Gather { indices: indices.clone(), len: self.shape(x).dims()[*axis], inner })
            }
            _ => None,
        }
    }

    /// Whether the operands of an element-wise op change places, so that the second repeats along the first.
    pub(super) fn swaps(work: &Work) -> bool {
        matches!(work, Work::Zip { swapped: true, .. })
    }

    /// The distance in memory along each logical dimension.
    fn physical_strides(&self, id: ValueId) -> Vec<usize> {
        let (shape, order) = (self.shape(id), self.order(id));
        let physical = strides(&Shape::new(order.physical(shape)));
        (0..shape.rank()).map(|axis| physical[order.axis(axis)]).collect()
    }

    /// A copy to a value, from steps along its logical dimensions.
    fn strided(&self, y: ValueId, first: usize, steps: &[isize]) -> Strided {
        let (shape, order) = (self.shape(y), self.order(y));
        let mut physical = vec![0; steps.len()];
        steps.iter().enumerate().for_each(|(axis, &step)| physical[order.axis(axis)] = step);
        Strided::new(first, &order.physical(shape), &physical)
    }

    /// How `part` repeats along `whole`, which has the shape of the result.
    fn repeat(&self, whole: ValueId, part: ValueId, y: ValueId) -> Option<Repeat> {
        let (shape, order) = (self.shape(y), self.order(y));
        if self.shape(whole) != shape || self.order(whole) != order {
            return None;
        }
        let part_shape = self.shape(part);
        if part_shape.len() == 1 {
            return Some(Repeat::One);
        }
        // Along the physical dimensions: ones, then the very dimensions of the result.
        let missing = shape.rank() - part_shape.rank();
        let logical = Shape::new([vec![1; missing].as_slice(), part_shape.dims()].concat());
        let in_memory = |s: &Shape| order.physical(s);
        let (own, all) = (in_memory(&logical), in_memory(shape));
        let start = own.iter().position(|&d| d != 1)?;
        if own[start..] != all[start..] {
            return None;
        }
        // It must lie as the result does: in the same order, or, with fewer dimensions, row-major where the result's
        // order is that.
        let one_axis = own.iter().filter(|&&d| d != 1).count() == 1;
        let lies_so = match part_shape.rank() == shape.rank() {
            true => self.order(part) == order,
            false => self.order(part).is_plain(part_shape) && (order.is_plain(&logical) || one_axis),
        };
        if !lies_so {
            return None;
        }
        Some(if part_shape.len() == shape.len() { Repeat::Not } else { Repeat::Blocks })
    }

    /// Normalisation of rows in one piece, all with the same scale and bias.
    fn norm(&self, node: &Node, norm: &LayerNorm) -> Option<Work> {
        let (x, shape) = (node.inputs[0], self.shape(node.inputs[0]));
        let order = self.order(x);
        // The normalised axes are the innermost of memory, in their own order.
        let rank = shape.rank();
        let places: Vec<usize> = norm.axes.iter().map(|&a| order.axis(a)).collect();
        if !places.iter().copied().eq(rank - places.len()..rank) {
            return None;
        }
        let row: Vec<usize> = (0..rank).map(|i| if norm.axes.contains(&i) { shape.dims()[i] } else { 1 }).collect();
        let row = Shape::new(row);
        let parameter = |i: usize| {
            let t = self.float(node.inputs[i])?;
            let fits = crate::graph::broadcast(t.shape(), &row).is_ok_and(|s| s == row);
            fits.then(|| broadcast_indices(t.shape(), &row).map(|i| t.data()[i]).collect::<Vec<f32>>())
        };
        Some(Work::Norm { scale: parameter(1)?, bias: parameter(2)?, epsilon: norm.epsilon })
    }
}
