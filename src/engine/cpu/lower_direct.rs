//! How each op is computed as its operands lie in memory: one exhaustive `match`.

use super::direct::Repeat;
use super::layout::Order;
use super::lower::Lowering;
use super::step::{Arranged, Work};
use super::walk::Walk;
use crate::error::Result;
use crate::graph::evaluate::{broadcast_indices, strides};
use crate::graph::{LayerNorm, Node, Op, ValueId};
use crate::tensor::Shape;

impl Lowering<'_> {
    /// The work of a node, and the values that it reads, in the order in which it takes them.
    pub(super) fn work(&self, node: &Node) -> Result<(Work, Vec<ValueId>)> {
        let (x, y) = (node.inputs[0], node.output);
        let all = || node.inputs.clone();
        let (shape, order) = (self.shape(x), self.order(y));
        Ok(match &node.op {
            Op::Conv2d(conv) => self.conv(node, conv)?,
            Op::Pool2d(pool) => (self.pool(node, pool)?, all()),
            Op::Linear(linear) => (self.plainly(self.linear(node, linear)?, &[x], y), vec![x]),
            Op::Attention(attention) => (self.plainly(Work::Attention(attention.clone()), &node.inputs, y), all()),
            Op::MatMul => (self.plainly(Work::MatMul, &node.inputs, y), all()),
            Op::LayerNorm(norm) => match self.norm(node, norm) {
                Some(work) => (work, vec![x]),
                None => (self.plainly(Work::Evaluate(node.op.clone()), &node.inputs, y), all()),
            },
            Op::Activation(activation) => (self.alike(Work::Activation(*activation), x, y), all()),
            Op::Quantize(quantize) => (self.alike(Work::Quantize(quantize.clone()), x, y), all()),
            Op::Softmax { axis } => {
                let inner = order.physical(shape)[order.axis(*axis) + 1..].iter().product();
                (self.alike(Work::Softmax { len: shape.dims()[*axis], inner }, x, y), all())
            }
            Op::Gather { axis, indices } => {
                let inner = order.physical(shape)[order.axis(*axis) + 1..].iter().product();
                let gather = Work::Gather { indices: indices.clone(), len: shape.dims()[*axis], inner };
                (self.alike(gather, x, y), all())
            }
            Op::Binary(op) => {
                let (a, b) = (x, node.inputs[1]);
                match (self.repeat(a, b, y), self.repeat(b, a, y)) {
                    (Some(repeat), _) => (Work::Zip { op: *op, repeat, swapped: false }, vec![a, b]),
                    (None, Some(repeat)) => (Work::Zip { op: *op, repeat, swapped: true }, vec![b, a]),
                    (None, None) => (Work::Broadcast(*op, self.broadcast(a, b, y)), vec![a, b]),
                }
            }
            Op::Slice { start, step, .. } => {
                let own = self.steps(x);
                let first = start.iter().zip(&own).map(|(&i, &s)| i * s as usize).sum();
                // A step along a dimension of one value leads nowhere, however long it is.
                let sizes = self.shape(y).dims().iter().zip(step).zip(own);
                let steps: Vec<isize> = sizes.map(|((&n, &i), s)| if n > 1 { i * s } else { 0 }).collect();
                (Work::Copy(self.walk_of(y, first, &steps)), all())
            }
            Op::Transpose { perm } => {
                let own = self.steps(x);
                let steps: Vec<isize> = perm.iter().map(|&p| own[p]).collect();
                (Work::Copy(self.walk_of(y, 0, &steps)), all())
            }
            Op::Reshape(_) => (self.reshape(x, y), all()),
            Op::Concat { axis } => {
                let own = self.steps(y);
                let mut first = 0;
                let mut part = |&input: &ValueId| {
                    let walk = self.walk_of(input, first, &own);
                    first += self.shape(input).dims()[*axis] * own[*axis] as usize;
                    walk
                };
                (Work::Concat(node.inputs.iter().map(&mut part).collect()), all())
            }
            Op::Pad { before, value, .. } => {
                let own = self.steps(y);
                let first = before.iter().zip(&own).map(|(&b, &s)| b * s as usize).sum();
                (Work::Pad { value: *value, inside: self.walk_of(x, first, &own) }, all())
            }
            Op::Reduce { kind, axes, keep_dims } => {
                let mut own = self.steps(y).into_iter();
                let step = |axis: usize| {
                    let reduced = axes.contains(&axis);
                    // A reduced axis that stays has one place, and one that does not has none.
                    let step = if reduced && !keep_dims { None } else { own.next() };
                    if reduced { 0 } else { step.unwrap_or(0) }
                };
                let steps: Vec<isize> = (0..shape.rank()).map(step).collect();
                (Work::Reduce(*kind, self.walk_of(x, 0, &steps)), all())
            }
        })
    }

    /// Work over plain operands with a plain result, whatever they lie like.
    fn plainly(&self, work: Work, inputs: &[ValueId], y: ValueId) -> Work {
        if inputs.iter().chain([&y]).all(|&id| self.is_plain(id)) {
            return work;
        }
        let to_plain = |&id: &ValueId| {
            let walk = || Walk::new([0], self.shape(id).dims(), &single(&self.steps(id)));
            (!self.is_plain(id)).then(walk)
        };
        let before = inputs.iter().map(to_plain).collect();
        let after = (!self.is_plain(y)).then(|| self.walk_of(y, 0, &row_major(self.shape(y))));
        Work::Arranged(Box::new(Arranged { before, work, after }))
    }

    /// Work over an operand that must lie as the result does.
    fn alike(&self, work: Work, x: ValueId, y: ValueId) -> Work {
        let both_plain = self.is_plain(x) && self.is_plain(y);
        if self.order(x) == self.order(y) || both_plain && self.shape(x) == self.shape(y) {
            return work;
        }
        let steps = self.steps(x);
        // The operand's own dimensions, in the order in which those of the result lie.
        let order = self.order(y);
        let walk = walk_in(order, self.shape(x), 0, &steps);
        Work::Arranged(Box::new(Arranged { before: vec![Some(walk)], work, after: None }))
    }

    /// The same row-major values under another shape.
    fn reshape(&self, x: ValueId, y: ValueId) -> Work {
        let from = Walk::new([0], self.shape(x).dims(), &single(&self.steps(x)));
        let to = self.walk_of(y, 0, &row_major(self.shape(y)));
        match (self.is_plain(x), self.is_plain(y)) {
            (_, true) => Work::Copy(from),
            (true, false) => Work::Copy(to),
            (false, false) => {
                Work::Arranged(Box::new(Arranged { before: vec![Some(from)], work: Work::Copy(to), after: None }))
            }
        }
    }

    /// The distance in memory along each logical dimension.
    fn steps(&self, id: ValueId) -> Vec<isize> {
        let (shape, order) = (self.shape(id), self.order(id));
        let physical = strides(&Shape::new(order.physical(shape)));
        (0..shape.rank()).map(|axis| physical[order.axis(axis)] as isize).collect()
    }

    /// A walk for each place of a value, as it lies, with steps along its logical dimensions.
    fn walk_of(&self, id: ValueId, first: usize, steps: &[isize]) -> Walk<1> {
        walk_in(self.order(id), self.shape(id), first, steps)
    }

    /// A walk over two operands for each place of the result.
    fn broadcast(&self, a: ValueId, b: ValueId, y: ValueId) -> Walk<2> {
        let (shape, order) = (self.shape(y), self.order(y));
        let steps = |id: ValueId| {
            let (own, dims) = (self.steps(id), self.shape(id).dims());
            let missing = shape.rank() - dims.len();
            // Along what it has not, or has once, an operand repeats.
            let step = move |axis: usize| match axis.checked_sub(missing) {
                Some(i) if dims[i] != 1 => own[i],
                _ => 0,
            };
            (0..shape.rank()).map(step).collect::<Vec<isize>>()
        };
        let (a, b) = (steps(a), steps(b));
        let mut physical = vec![[0; 2]; shape.rank()];
        (0..shape.rank()).for_each(|axis| physical[order.axis(axis)] = [a[axis], b[axis]]);
        Walk::new([0; 2], &order.physical(shape), &physical)
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
        if order != self.order(node.output) {
            return None;
        }
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

/// A walk for each place of a value of this shape that lies in this order, with steps along its logical dimensions.
fn walk_in(order: Order, shape: &Shape, first: usize, steps: &[isize]) -> Walk<1> {
    let mut physical = vec![[0]; steps.len()];
    steps.iter().enumerate().for_each(|(axis, &step)| physical[order.axis(axis)] = [step]);
    Walk::new([first], &order.physical(shape), &physical)
}

/// The steps of a value in row-major order.
fn row_major(shape: &Shape) -> Vec<isize> {
    strides(shape).into_iter().map(|s| s as isize).collect()
}

fn single(steps: &[isize]) -> Vec<[isize; 1]> {
    steps.iter().map(|&s| [s]).collect()
}
