//! Ops that move values: the general kernel over any two layouts.

use super::codes::OpCode;
use super::dispatch::{Dispatch, Grid, Numbers, specialise};
use super::kernels::{Kernel, PAD, STRIDED_OP};
use super::layout::{Layout, Walk};
use super::lower::{Lowering, refuse};
use super::params;
use crate::error::Result;
use crate::graph::Node;

impl Lowering<'_, '_> {
    /// The general kernel over a walk of the output.
    pub(super) fn strided(&mut self, node: &Node, walk: &Walk, s: &Strided<'_>) -> Result<()> {
        let grid = Grid::over(walk.total());
        let n = Numbers::default();
        let (before, sizes, outside) = s.pad.unwrap_or((&[], &[], 0.0));
        let params = params::Strided {
            dims: n.axes(walk.dims()),
            a_strides: n.axes(walk.along(s.a.1)),
            b_strides: n.axes(walk.along(s.b.1)),
            y_strides: n.axes(walk.along(s.y.1)),
            before: n.axes(walk.along(before)),
            size: n.axes(walk.sizes_along(sizes)),
            a: n.u(s.a.0),
            b: n.u(s.b.0),
            y: n.u(s.y.0),
            total: n.u(walk.total()),
            row: grid.row,
            limit: n.u(walk.limit),
            outside,
            pick_stride: n.u(s.pick_stride),
        };
        let spec = specialise(Kernel::Strided, [(STRIDED_OP, s.op.into()), (PAD, s.pad.is_some().into())]);
        self.push(node, None, Dispatch::new(spec, n, params, grid, 0))
    }

    /// Copies `a` to `y`, both by their strides along the walk; by fours where both lie so.
    pub(super) fn copy(&mut self, node: &Node, walk: &Walk, a: (usize, &[usize]), y: (usize, &[usize])) -> Result<()> {
        let Some([dims, from, to]) = walk.by_fours(a, y) else {
            let strided = Strided { op: OpCode::None, a, b: (0, &[]), y, pad: None, pick_stride: 0 };
            return self.strided(node, walk, &strided);
        };
        let total = walk.total() / 4;
        let grid = Grid::over(total);
        let n = Numbers::default();
        let params = params::CopyFours {
            dims: n.axes(dims),
            a_strides: n.axes(from),
            y_strides: n.axes(to),
            a: n.fours(a.0),
            y: n.fours(y.0),
            total: n.u(total),
            row: grid.row,
        };
        self.push(node, None, Dispatch::new(specialise(Kernel::Copy, []), n, params, grid, 0))
    }

    pub(super) fn reshape(&mut self, node: &Node) -> Result<()> {
        let refused = |reason| refuse(node, reason);
        let (from, to) = (self.layout(node.inputs[0]), self.layout(node.output));
        let (mut a, y) = (self.operand(node.inputs[0])?, self.output(node)?);
        // Channels-innermost to row-major first, since only row-major order is the same under both shapes.
        if !from.same_memory(&Layout::row_major(&from.shape)) {
            let walk = Walk::row_major(&from.shape).map_err(refused)?;
            let direct = to.same_memory(&Layout::row_major(&to.shape)) && to.channels.is_none();
            let middle = if direct { y } else { self.scratch };
            self.copy(node, &walk, (a, &from.strides), (middle, &super::layout::row_major(&from.shape)))?;
            if direct {
                return Ok(());
            }
            a = middle;
        }
        let walk = Walk::over(&to, &[]).map_err(refused)?;
        self.copy(node, &walk, (a, &super::layout::row_major(&to.shape)), (y, &to.strides))
    }

    pub(super) fn transpose(&mut self, node: &Node, perm: &[usize]) -> Result<()> {
        let (from, to) = (self.layout(node.inputs[0]), self.layout(node.output));
        let strides: Vec<usize> = perm.iter().map(|&p| from.strides[p]).collect();
        let walk = Walk::over(&to, &[]).map_err(|reason| refuse(node, reason))?;
        let (a, y) = (self.operand(node.inputs[0])?, self.output(node)?);
        self.copy(node, &walk, (a, &strides), (y, &to.strides))
    }

    pub(super) fn concat(&mut self, node: &Node, axis: usize) -> Result<()> {
        let to = self.layout(node.output);
        let y = self.output(node)?;
        let innermost = to.channels.is_some() && to.order.last() == Some(&axis);
        let mut start = 0;
        for (i, &input) in node.inputs.iter().enumerate() {
            let from = self.layout(input);
            let a = self.operand(input)?;
            // Along the channels only the last part writes the padding: it comes after all the others.
            let part = match innermost && i + 1 < node.inputs.len() {
                true => Layout { channels: None, ..from.clone() },
                false => Layout { order: to.order.clone(), channels: to.channels, ..from.clone() },
            };
            let walk = match innermost && i + 1 == node.inputs.len() {
                true => Walk::over_padded(&part, &[], to.shape.dims()[axis].next_multiple_of(4) - start),
                false => Walk::over(&part, &[]),
            };
            let walk = walk.map_err(|reason| refuse(node, reason))?;
            self.copy(node, &walk, (a, &from.strides), (y + start * to.strides[axis], &to.strides))?;
            start += from.shape.dims()[axis];
        }
        Ok(())
    }

    pub(super) fn pad(&mut self, node: &Node, before: &[usize], value: f32) -> Result<()> {
        let (from, to) = (self.layout(node.inputs[0]), self.layout(node.output));
        // A dimension that is 1 in the output is not walked; its padding is then 0 as well.
        let walk = Walk::over(&to, &[]).map_err(|reason| refuse(node, reason))?;
        let (a, y) = (self.operand(node.inputs[0])?, self.output(node)?);
        let pad = Some((before, from.shape.dims(), value));
        let strided =
            Strided { op: OpCode::None, a: (a, &from.strides), b: (0, &[]), y: (y, &to.strides), pad, pick_stride: 0 };
        self.strided(node, &walk, &strided)
    }

    /// A regular part: the input's own strides times the steps, from the first index on.
    pub(super) fn slice(&mut self, node: &Node, start: &[usize], step: &[isize]) -> Result<()> {
        let (from, to) = (self.layout(node.inputs[0]), self.layout(node.output));
        let first: usize = start.iter().zip(&from.strides).map(|(i, s)| i * s).sum();
        // A step backwards wraps round, here and in the shader.
        let strides: Vec<usize> = step.iter().zip(&from.strides).map(|(&i, &s)| (s as isize * i) as usize).collect();
        let walk = Walk::over(&to, &[]).map_err(|reason| refuse(node, reason))?;
        let (a, y) = (self.operand(node.inputs[0])?, self.output(node)?);
        self.copy(node, &walk, (a + first, &strides), (y, &to.strides))
    }

    /// Picked slices: a part if the indices are evenly spaced, else by a list of them.
    pub(super) fn gather(&mut self, node: &Node, axis: usize, indices: &[usize]) -> Result<()> {
        let (from, to) = (self.layout(node.inputs[0]), self.layout(node.output));
        let rank = from.shape.rank();
        let (first, by) = match indices {
            [first, second, ..] => (*first, *second as isize - *first as isize),
            [first] => (*first, 1),
            [] => return Err(refuse(node, "it picks nothing")),
        };
        if indices.windows(2).all(|w| w[1] as isize - w[0] as isize == by) {
            let at = |value: usize, rest: usize| (0..rank).map(move |d| if d == axis { value } else { rest });
            let step: Vec<isize> = (0..rank).map(|d| if d == axis { by } else { 1 }).collect();
            return self.slice(node, &at(first, 0).collect::<Vec<_>>(), &step);
        }
        // Whole numbers up to here are exact in a float.
        if from.shape.dims()[axis] > 1 << 24 {
            return Err(refuse(node, format!("it picks from {} along axis {axis}, which is too long", from.shape)));
        }
        let table = self.table(indices.iter().map(|&i| i as f32).collect());
        let along: Vec<usize> = (0..rank).map(|d| if d == axis { 0 } else { from.strides[d] }).collect();
        let list: Vec<usize> = (0..rank).map(|d| usize::from(d == axis)).collect();
        let walk = Walk::over(&to, &[]).map_err(|reason| refuse(node, reason))?;
        let (a, y) = (self.operand(node.inputs[0])?, self.output(node)?);
        let pick_stride = from.strides[axis];
        let (b, y) = ((table, list.as_slice()), (y, to.strides.as_slice()));
        self.strided(node, &walk, &Strided { op: OpCode::Pick, a: (a, &along), b, y, pad: None, pick_stride })
    }
}

/// Operands of the strided kernel: where each starts and its strides by logical dimension of the output.
pub(super) struct Strided<'a> {
    pub op: OpCode,
    pub a: (usize, &'a [usize]),
    pub b: (usize, &'a [usize]),
    pub y: (usize, &'a [usize]),
    /// How far the input starts within the output, its own sizes, and the value outside.
    pub pad: Option<(&'a [usize], &'a [usize], f32)>,
    /// Stride of `a` along the axis whose indices `b` lists, if it does.
    pub pick_stride: usize,
}
