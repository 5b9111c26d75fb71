//! Graph to steps: which kernel, over what, with which parameters. One exhaustive match over [`Op`].

use std::collections::HashMap;

use super::layout::{Layout, Walk};
use super::pipelines::{Kernel, Specialisation, WORKGROUP, activation};
use super::weights::Uploader;
use crate::engine::plan::{Arena, Plan};
use crate::error::{Error, Result};
use crate::graph::{Activation, BinaryOp, Graph, Node, Op, Pool2d, PoolKind, ReduceKind, ValueId};
use crate::tensor::Shape;

/// One dispatch.
#[derive(Debug)]
pub(super) struct Step {
    /// Node and kernel, for profiles.
    pub label: String,
    pub spec: Specialisation,
    /// Which of the program's weight buffers is bound; `None` if it reads none.
    pub page: Option<usize>,
    /// The uniform block.
    pub params: Vec<u32>,
    pub workgroups: [u32; 2],
}

/// A graph lowered to steps, in units of floats of one arena.
#[derive(Debug)]
pub(super) struct Lowered {
    pub steps: Vec<Step>,
    /// Size of the arena.
    pub arena: usize,
    /// Constants that lie in the arena, and where.
    pub constants: Vec<(usize, Vec<f32>)>,
    pub input: (usize, Layout),
    pub targets: Vec<(usize, Layout)>,
}

/// The invocations of one step over a grid that may need two dimensions; `row` is the length of the first.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub workgroups: [u32; 2],
    pub row: u32,
}

impl Grid {
    pub fn over(invocations: usize) -> Self {
        // WebGPU promises this many workgroups a dimension.
        const MOST: usize = 65_535;
        let groups = invocations.div_ceil(WORKGROUP).max(1);
        let rows = groups.div_ceil(MOST);
        let columns = groups.div_ceil(rows);
        Self { workgroups: [columns as u32, rows as u32], row: (columns * WORKGROUP) as u32 }
    }
}

/// What lowering needs to know about the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    /// Kernels run on the CPU.
    pub software: bool,
    /// Floats that the arena may have.
    pub arena_limit: usize,
}

pub(super) struct Lowering<'a, 'w> {
    pub graph: &'a Graph,
    pub traits: Traits,
    pub uploader: &'a mut Uploader<'w>,
    arena: Arena,
    /// First float after the planned values: the temporary of the step that runs, then the constants.
    scratch: usize,
    end: usize,
    constants: Vec<(usize, Vec<f32>)>,
    placed_constants: HashMap<ValueId, usize>,
    pub steps: Vec<Step>,
}

/// Lowers the part of the graph that the targets need.
///
/// # Errors
/// [`Error::Node`] for what this engine cannot run, [`Error::TooLarge`], and those of [`Plan::new`].
pub(super) fn lower(
    graph: &Graph,
    targets: &[ValueId],
    traits: Traits,
    uploader: &mut Uploader<'_>,
) -> Result<Lowered> {
    let plan = Plan::new(graph, targets)?;
    let layout = |id: ValueId| Layout::of(&graph.value(id).shape);
    let computed = |id: ValueId| graph.value(id).constant.is_none();
    let alias = |node: &Node| match (&node.op, node.inputs.as_slice()) {
        (Op::Reshape(_), [x]) => computed(*x) && layout(*x).same_memory(&layout(node.output)),
        _ => false,
    };
    let bytes = |id: ValueId| layout(id).len().saturating_mul(4);
    let arena = plan.arena(graph, bytes, alias, 16)?;
    let scratch = arena.size / 4;
    let reshaped = plan.nodes(graph).filter(|n| matches!(n.op, Op::Reshape(_)));
    let largest = reshaped.map(|n| graph.value(n.output).shape.len().next_multiple_of(4)).max().unwrap_or(0);
    let mut lowering = Lowering {
        graph,
        traits,
        uploader,
        arena,
        scratch,
        end: scratch.saturating_add(largest),
        constants: Vec::new(),
        placed_constants: HashMap::new(),
        steps: Vec::new(),
    };
    for node in plan.nodes(graph) {
        if !alias(node) {
            lowering.node(node)?;
        }
    }
    let place = |l: &Lowering<'_, '_>, id: ValueId| Ok::<_, Error>((l.offset(id)?, layout(id)));
    let input = place(&lowering, graph.image_input()?)?;
    let targets = targets.iter().map(|&t| place(&lowering, t)).collect::<Result<Vec<_>>>()?;
    let size = lowering.end.max(4);
    if size > traits.arena_limit {
        return Err(Error::TooLarge {
            what: "the memory for all activations at this image size".into(),
            size: format!("{} bytes", size.saturating_mul(4)),
            limit: format!("{} bytes (what this GPU lets a shader bind at once)", traits.arena_limit.saturating_mul(4)),
        });
    }
    Ok(Lowered { steps: lowering.steps, arena: size, constants: lowering.constants, input, targets })
}

impl Lowering<'_, '_> {
    pub fn layout(&self, id: ValueId) -> Layout {
        Layout::of(&self.graph.value(id).shape)
    }

    fn offset(&self, id: ValueId) -> Result<usize> {
        let offset = self.arena.offsets.get(id.0).copied().flatten();
        offset
            .map(|bytes| bytes / 4)
            .ok_or_else(|| super::device::failed(format!("{:?} has no place in memory", self.graph.value(id).name)))
    }

    /// Where an operand lies, in floats: an activation where it was computed, a constant where it was put.
    pub fn operand(&mut self, id: ValueId) -> Result<usize> {
        let Some(constant) = &self.graph.value(id).constant else { return self.offset(id) };
        if let Some(&offset) = self.placed_constants.get(&id) {
            return Ok(offset);
        }
        let floats = self.layout(id).pack(constant.to_float().data());
        let offset = self.end;
        self.end = self.end.saturating_add(floats.len());
        self.constants.push((offset, floats));
        self.placed_constants.insert(id, offset);
        Ok(offset)
    }

    /// Appends a step that reads no weights.
    pub fn step(&mut self, node: &Node, spec: Specialisation, grid: Grid, params: Vec<u32>) {
        let label = format!("{} ~ {:?}", node.name, spec.kernel);
        self.steps.push(Step { label, spec, page: None, params, workgroups: grid.workgroups });
    }

    fn node(&mut self, node: &Node) -> Result<()> {
        match &node.op {
            Op::Conv2d(conv) => self.conv2d(node, conv),
            Op::Linear(linear) => self.linear(node, linear.activation),
            Op::MatMul => self.matmul(node),
            Op::Activation(a) => self.elementwise(node, 0, None, *a),
            Op::Binary(op) => self.binary(node, *op),
            Op::Pool2d(pool) => self.pool(node, pool),
            Op::Reduce { kind, axes, keep_dims } => self.reduce(node, *kind, axes, *keep_dims),
            Op::Softmax { axis } => self.softmax(node, *axis),
            Op::Reshape(_) => self.reshape(node),
            Op::Transpose { perm } => self.transpose(node, perm),
            Op::Concat { axis } => self.concat(node, *axis),
            Op::Pad { before, value, .. } => self.pad(node, before, *value),
            _ => Err(refuse(node, "the GPU engine does not run this operator yet; use the CPU engine")),
        }
    }

    /// A kernel over groups of four, with an optional second operand `(place, how it is indexed)`.
    fn elementwise(&mut self, node: &Node, op: u32, second: Option<(ValueId, u32)>, act: Activation) -> Result<()> {
        let x = self.operand(node.inputs[0])?;
        self.elementwise_at(node, op, x, second, act)
    }

    fn elementwise_at(
        &mut self,
        node: &Node,
        op: u32,
        x: usize,
        second: Option<(ValueId, u32)>,
        act: Activation,
    ) -> Result<()> {
        let out = self.layout(node.output);
        let (groups, pixels) = out.groups_and_pixels();
        let (s, indexing) = match second {
            Some((id, indexing)) => (self.operand(id)?, indexing),
            None => (0, 0),
        };
        let y = self.offset(node.output)?;
        let (act, a, b) = activation(act);
        let grid = Grid::over(groups * pixels);
        let spec = Specialisation::new(Kernel::Elementwise).with("ACT", act).with("OP", op).with("SECOND", indexing);
        let (total, kept) = (groups * pixels, out.kept());
        let mut params = words([x / 4, s / 4, y / 4, groups, total, grid.row as usize, kept]);
        params.extend([a.to_bits(), b.to_bits()]);
        self.step(node, spec, grid, params);
        Ok(())
    }

    fn binary(&mut self, node: &Node, op: BinaryOp) -> Result<()> {
        let (a, b) = (node.inputs[0], node.inputs[1]);
        let out = self.layout(node.output);
        let (code, swapped) = match op {
            BinaryOp::Add => (1, 1),
            BinaryOp::Sub => (2, 8),
            BinaryOp::Mul => (3, 3),
            BinaryOp::Div => (4, 9),
            BinaryOp::Min => (5, 5),
            BinaryOp::Max => (6, 6),
            BinaryOp::Pow => (7, 10),
        };
        for (x, s, code) in [(a, b, code), (b, a, swapped)] {
            if self.layout(x) == out
                && let Some(indexing) = second_indexing(&out, &self.layout(s))
            {
                let x = self.operand(x)?;
                return self.elementwise_at(node, code, x, Some((s, indexing)), Activation::None);
            }
        }
        let walk = Walk::over(&out, None).map_err(|reason| refuse(node, reason))?;
        let rank = out.shape.rank();
        let (a, la, b, lb) = (self.operand(a)?, self.layout(a), self.operand(b)?, self.layout(b));
        let strided = Strided {
            op: code,
            a: (a, &la.broadcast_strides(rank)),
            b: (b, &lb.broadcast_strides(rank)),
            y: (self.offset(node.output)?, &out.strides),
            pad: None,
        };
        self.strided(node, &walk, &strided);
        Ok(())
    }

    fn strided(&mut self, node: &Node, walk: &Walk, s: &Strided<'_>) {
        let grid = Grid::over(walk.total());
        let outside = s.pad.map_or(0.0, |p| p.2);
        let mut params = words([s.a.0, s.b.0, s.y.0, walk.total(), grid.row as usize, walk.limit]);
        params.extend([outside.to_bits(), 0]);
        params.extend(walk.dims());
        params.extend(walk.along(s.a.1));
        params.extend(walk.along(s.b.1));
        params.extend(walk.along(s.y.1));
        if let Some((before, sizes, _)) = s.pad {
            params.extend(walk.along(before));
            params.extend(walk.sizes_along(sizes));
        }
        let pad = u32::from(s.pad.is_some());
        let spec = Specialisation::new(Kernel::Strided).with("OP", s.op).with("PAD", pad);
        self.step(node, spec, grid, params);
    }

    /// Copies `a` to `y`, both by their strides along the walk.
    fn copy(&mut self, node: &Node, walk: &Walk, a: (usize, &[usize]), y: (usize, &[usize])) {
        self.strided(node, walk, &Strided { op: 0, a, b: (0, &[]), y, pad: None });
    }

    fn reshape(&mut self, node: &Node) -> Result<()> {
        let refused = |reason| refuse(node, reason);
        let (from, to) = (self.layout(node.inputs[0]), self.layout(node.output));
        let (mut a, y) = (self.operand(node.inputs[0])?, self.offset(node.output)?);
        // Channels-innermost to row-major first, since only row-major order is the same under both shapes.
        if !from.same_memory(&plain(&from.shape)) {
            let walk = Walk::row_major(&from.shape).map_err(refused)?;
            let direct = to.same_memory(&plain(&to.shape)) && to.channels.is_none();
            let middle = if direct { y } else { self.scratch };
            self.copy(node, &walk, (a, &from.strides), (middle, &super::layout::row_major(&from.shape)));
            if direct {
                return Ok(());
            }
            a = middle;
        }
        let walk = Walk::over(&to, None).map_err(refused)?;
        self.copy(node, &walk, (a, &super::layout::row_major(&to.shape)), (y, &to.strides));
        Ok(())
    }

    fn transpose(&mut self, node: &Node, perm: &[usize]) -> Result<()> {
        let (from, to) = (self.layout(node.inputs[0]), self.layout(node.output));
        let strides: Vec<usize> = perm.iter().map(|&p| from.strides[p]).collect();
        let walk = Walk::over(&to, None).map_err(|reason| refuse(node, reason))?;
        let (a, y) = (self.operand(node.inputs[0])?, self.offset(node.output)?);
        self.copy(node, &walk, (a, &strides), (y, &to.strides));
        Ok(())
    }

    fn concat(&mut self, node: &Node, axis: usize) -> Result<()> {
        let to = self.layout(node.output);
        let y = self.offset(node.output)?;
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
                true => Walk::over_padded(&part, None, to.shape.dims()[axis].next_multiple_of(4) - start),
                false => Walk::over(&part, None),
            };
            let walk = walk.map_err(|reason| refuse(node, reason))?;
            self.copy(node, &walk, (a, &from.strides), (y + start * to.strides[axis], &to.strides));
            start += from.shape.dims()[axis];
        }
        Ok(())
    }

    fn pad(&mut self, node: &Node, before: &[usize], value: f32) -> Result<()> {
        let (from, to) = (self.layout(node.inputs[0]), self.layout(node.output));
        // A dimension that is 1 in the output is not walked; its padding is then 0 as well.
        let walk = Walk::over(&to, None).map_err(|reason| refuse(node, reason))?;
        let (a, y) = (self.operand(node.inputs[0])?, self.offset(node.output)?);
        let pad = Some((before, from.shape.dims(), value));
        let strided = Strided { op: 0, a: (a, &from.strides), b: (0, &[]), y: (y, &to.strides), pad };
        self.strided(node, &walk, &strided);
        Ok(())
    }

    fn pool(&mut self, node: &Node, pool: &Pool2d) -> Result<()> {
        let (from, to) = (self.layout(node.inputs[0]), self.layout(node.output));
        let (Some((c, h, w)), Some((_, oh, ow))) = (from.channels, to.channels) else {
            return Err(refuse(node, format!("{} is not one image", from.shape)));
        };
        let (x, y) = (self.operand(node.inputs[0])?, self.offset(node.output)?);
        let (groups, total) = (c.div_ceil(4), c.div_ceil(4) * oh * ow);
        let grid = Grid::over(total);
        let (max, count_pad) = match pool.kind {
            PoolKind::Max => (1, 0),
            PoolKind::Average { count_include_pad } => (0, u32::from(count_include_pad)),
        };
        let spec = Specialisation::new(Kernel::Pool).with("MAX", max).with("COUNT_PAD", count_pad);
        let mut params = words([x / 4, y / 4, groups, total, grid.row as usize, h, w, ow]);
        params.extend(words([pool.kernel, pool.strides, pool.dilations, [pool.pads[0], pool.pads[1]]].concat()));
        params.push(c as u32);
        self.step(node, spec, grid, params);
        Ok(())
    }

    fn reduce(&mut self, node: &Node, kind: ReduceKind, axes: &[usize], keep_dims: bool) -> Result<()> {
        let (from, to) = (self.layout(node.inputs[0]), self.layout(node.output));
        // Strides of the input along the dimensions of the output.
        let rank = from.shape.rank();
        let along: Vec<usize> = match keep_dims {
            true => (0..rank).map(|d| if axes.contains(&d) { 0 } else { from.strides[d] }).collect(),
            false => (0..rank).filter(|d| !axes.contains(d)).map(|d| from.strides[d]).collect(),
        };
        let refused = |reason| refuse(node, reason);
        let walk = Walk::over(&to, None).map_err(refused)?;
        // The reduced dimensions as a value of their own.
        let reduced = Shape::new(axes.iter().map(|&d| from.shape.dims()[d]).collect::<Vec<_>>());
        let reduced_strides: Vec<usize> = axes.iter().map(|&d| from.strides[d]).collect();
        let inner = Walk::row_major(&reduced).map_err(refused)?;
        let (a, y) = (self.operand(node.inputs[0])?, self.offset(node.output)?);
        let grid = Grid::over(walk.total());
        let mut params = words([a, y, walk.total(), grid.row as usize, walk.limit, reduced.len(), 0, 0]);
        params.extend(walk.dims());
        params.extend(walk.along(&along));
        params.extend(walk.along(&to.strides));
        params.extend(inner.dims());
        params.extend(inner.along(&reduced_strides));
        let kind = match kind {
            ReduceKind::Mean => 0,
            ReduceKind::Sum => 1,
            ReduceKind::Max => 2,
            ReduceKind::Min => 3,
            ReduceKind::Product => 4,
        };
        self.step(node, Specialisation::new(Kernel::Reduce).with("KIND", kind), grid, params);
        Ok(())
    }

    fn softmax(&mut self, node: &Node, axis: usize) -> Result<()> {
        let layout = self.layout(node.output);
        let walk = Walk::over(&layout, Some(axis)).map_err(|reason| refuse(node, reason))?;
        let (a, y) = (self.operand(node.inputs[0])?, self.offset(node.output)?);
        let count = layout.shape.dims()[axis];
        let innermost = layout.channels.is_some() && layout.order.last() == Some(&axis);
        let padded = if innermost { count.next_multiple_of(4) } else { count };
        let step = layout.strides[axis];
        let grid = Grid::over(walk.total());
        let head = [a, y, walk.total(), grid.row as usize, walk.limit, count, step, step, padded, 0, 0, 0];
        let mut params = words(head);
        params.extend(walk.dims());
        params.extend(walk.along(&layout.strides));
        params.extend(walk.along(&layout.strides));
        self.step(node, Specialisation::new(Kernel::Softmax), grid, params);
        Ok(())
    }

    fn matmul(&mut self, node: &Node) -> Result<()> {
        let (a, b) = (node.inputs[0], node.inputs[1]);
        let (la, lb) = (self.layout(a), self.layout(b));
        let rank = self.layout(node.output).shape.rank();
        let (a, b) = (self.operand(a)?, self.operand(b)?);
        let (own_a, own_b) = (la.shape.rank(), lb.shape.rank());
        // Along the output's [.., M, N]: a does not move with N, b not with M.
        let (mut along_a, mut along_b) = (la.broadcast_strides(rank), lb.broadcast_strides(rank));
        along_a[rank - 1] = 0;
        along_b[rank - 2] = 0;
        let product = Product {
            a: (a, along_a, la.strides[own_a - 1]),
            b: (b, along_b, lb.strides[own_b - 2]),
            bias: None,
            count: la.shape.dims()[own_a - 1],
            act: Activation::None,
        };
        self.product(node, &product)
    }

    /// The general matrix product; also the linear layers that the convolution kernel does not take.
    pub fn product(&mut self, node: &Node, product: &Product) -> Result<()> {
        let out = self.layout(node.output);
        let walk = Walk::over(&out, None).map_err(|reason| refuse(node, reason))?;
        let y = self.offset(node.output)?;
        let grid = Grid::over(walk.total());
        let (act, act_a, act_b) = activation(product.act);
        let bias = product.bias.as_ref();
        let mut params = words([product.a.0, product.b.0, bias.map_or(0, |b| b.0), y]);
        params.extend(words([walk.total(), grid.row as usize, walk.limit, product.count, product.a.2, product.b.2]));
        params.extend([act_a.to_bits(), act_b.to_bits()]);
        params.extend(walk.dims());
        params.extend(walk.along(&product.a.1));
        params.extend(walk.along(&product.b.1));
        params.extend(walk.along(bias.map_or(&[], |b| &b.1)));
        params.extend(walk.along(&out.strides));
        let with_bias = u32::from(bias.is_some());
        let spec = Specialisation::new(Kernel::MatMul).with("ACT", act).with("BIAS", with_bias);
        self.step(node, spec, grid, params);
        Ok(())
    }

    /// Where the output of a node lies, in floats.
    pub fn output(&self, node: &Node) -> Result<usize> {
        self.offset(node.output)
    }
}

/// Operands of the strided kernel: where each starts and its strides by logical dimension of the output.
struct Strided<'a> {
    op: u32,
    a: (usize, &'a [usize]),
    b: (usize, &'a [usize]),
    y: (usize, &'a [usize]),
    /// How far the input starts within the output, its own sizes, and the value outside.
    pad: Option<(&'a [usize], &'a [usize], f32)>,
}

/// Operands of a matrix product: start, strides along the output, step along the summed dimension.
pub(super) struct Product {
    pub a: (usize, Vec<usize>, usize),
    pub b: (usize, Vec<usize>, usize),
    pub bias: Option<(usize, Vec<usize>)>,
    pub count: usize,
    pub act: Activation,
}

/// How the fast element-wise kernel finds the second operand, if it can: see `SECOND` in `elementwise.wgsl`.
fn second_indexing(out: &Layout, second: &Layout) -> Option<u32> {
    if second == out {
        return Some(0);
    }
    if second.shape.len() == 1 {
        return Some(2);
    }
    // `[1, C, 1, 1]` or `[C, 1, 1]` under an image; both are C floats in a row.
    let (c, ..) = out.channels.filter(|_| out.shape.rank() == 4)?;
    let per_channel = match *second.shape.dims() {
        [1, n, 1, 1] | [n, 1, 1] => n == c,
        _ => false,
    };
    per_channel.then_some(1)
}

fn plain(shape: &Shape) -> Layout {
    let order = (0..shape.rank()).collect();
    Layout { shape: shape.clone(), strides: super::layout::row_major(shape), order, channels: None }
}

/// The parameters as 32-bit words. Everything is below the arena's limit, which is far below 2^32.
pub(super) fn words(values: impl IntoIterator<Item = usize>) -> Vec<u32> {
    values.into_iter().map(|v| u32::try_from(v).unwrap_or(u32::MAX)).collect()
}

/// An [`Error::Node`] for what this engine does not run.
pub(super) fn refuse(node: &Node, reason: impl Into<String>) -> Error {
    Error::node(&node.name, node.op.name(), reason)
}
