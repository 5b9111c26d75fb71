//! Graph to steps: which kernel, over what, with which parameters. One exhaustive match over [`Op`]; the ops with weights
//! are in `conv`, products and normalisation in `products`, what only moves values in `moves`.

use std::collections::HashMap;

use super::assign::assign;
use super::layout::{Layout, Walk};
use super::moves::Strided;
use super::pipelines::{Kernel, Specialisation, WORKGROUP, activation};
use super::weights::Uploader;
use crate::engine::plan::{Arena, Plan};
use crate::error::{Error, Result};
use crate::graph::{Activation, BinaryOp, Graph, Node, Op, Pool2d, PoolKind, Quantize, ReduceKind, ValueId};
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
        let Self { workgroups, row } = Self::of_groups(invocations.div_ceil(WORKGROUP));
        Self { workgroups, row: row * WORKGROUP as u32 }
    }

    /// So many whole workgroups; `row` then counts workgroups.
    pub fn of_groups(groups: usize) -> Self {
        // WebGPU promises this many workgroups a dimension, and four times that much memory is more than it binds.
        const MOST: usize = 65_535;
        let rows = groups.max(1).div_ceil(MOST);
        let columns = groups.max(1).div_ceil(rows);
        Self { workgroups: [columns as u32, rows as u32], row: columns as u32 }
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
    layouts: Vec<Layout>,
    arena: Arena,
    /// First float after the planned values: the temporary of the step that runs, then the constants.
    pub(super) scratch: usize,
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
    let layouts = assign(graph, &plan, targets)?;
    let layout = |id: ValueId| &layouts[id.0];
    let computed = |id: ValueId| graph.value(id).constant.is_none();
    let alias = |node: &Node| match (&node.op, node.inputs.as_slice()) {
        (Op::Reshape(_), [x]) => computed(*x) && layout(*x).same_memory(layout(node.output)),
        (Op::Transpose { perm }, [x]) => computed(*x) && layout(*x).same_memory_transposed(layout(node.output), perm),
        _ => false,
    };
    let bytes = |id: ValueId| layout(id).len().saturating_mul(4);
    let arena = plan.arena(graph, bytes, alias, 16)?;
    let scratch = arena.size / 4;
    let reshaped = plan.nodes(graph).filter(|n| matches!(n.op, Op::Reshape(_) | Op::Attention(_)));
    let largest = reshaped.map(|n| graph.value(n.output).shape.len().next_multiple_of(4)).max().unwrap_or(0);
    let mut lowering = Lowering {
        graph,
        traits,
        uploader,
        layouts: layouts.clone(),
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
    let place = |l: &Lowering<'_, '_>, id: ValueId| Ok::<_, Error>((l.offset(id)?, layout(id).clone()));
    let input = place(&lowering, graph.image_input()?)?;
    let targets = targets.iter().map(|&t| place(&lowering, t)).collect::<Result<Vec<_>>>()?;
    let size = lowering.end.max(4);
    if size > traits.arena_limit {
        return Err(Error::TooLarge {
            what: "the memory for all activations at this image size".into(),
            size: format!("{} bytes", size.saturating_mul(4)),
            limit: super::device::binding_limit(traits.arena_limit.saturating_mul(4)),
        });
    }
    Ok(Lowered { steps: lowering.steps, arena: size, constants: lowering.constants, input, targets })
}

impl Lowering<'_, '_> {
    pub fn layout(&self, id: ValueId) -> Layout {
        self.layouts[id.0].clone()
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
        let offset = self.table(floats);
        self.placed_constants.insert(id, offset);
        Ok(offset)
    }

    /// Puts numbers known beforehand into the arena, behind the planned values.
    pub(super) fn table(&mut self, mut floats: Vec<f32>) -> usize {
        floats.resize(floats.len().next_multiple_of(4), 0.0);
        let offset = self.end;
        self.end = self.end.saturating_add(floats.len());
        self.constants.push((offset, floats));
        offset
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
            Op::Activation(a) => self.activate(node, *a),
            Op::Binary(op) => self.binary(node, *op),
            Op::Pool2d(pool) => self.pool(node, pool),
            Op::Reduce { kind, axes, keep_dims } => self.reduce(node, *kind, axes, *keep_dims),
            Op::Softmax { axis } => self.softmax(node, *axis),
            Op::Reshape(_) => self.reshape(node),
            Op::Transpose { perm } => self.transpose(node, perm),
            Op::Concat { axis } => self.concat(node, *axis),
            Op::Pad { before, value, .. } => self.pad(node, before, *value),
            Op::LayerNorm(norm) => self.layer_norm(node, norm),
            Op::Attention(attention) => self.attention(node, attention),
            Op::Slice { start, step, .. } => self.slice(node, start, step),
            Op::Gather { axis, indices } => self.gather(node, *axis, indices),
            Op::Quantize(quantize) => self.quantize(node, quantize),
        }
    }

    /// A function of one value: a kernel over groups of four, or the general one if the layouts differ.
    fn activate(&mut self, node: &Node, act: Activation) -> Result<()> {
        let unary = Fast { op: 0, x: node.inputs[0], second: None, act, numbers: [0.0; 4] };
        self.elementwise(node, &unary)
    }

    fn quantize(&mut self, node: &Node, q: &Quantize) -> Result<()> {
        let op = if q.dequantize { 12 } else { 11 };
        let numbers = [q.scale, q.zero, q.range[0], q.range[1]];
        self.elementwise(node, &Fast { op, x: node.inputs[0], second: None, act: Activation::None, numbers })
    }

    /// The kernel over groups of four. The first operand lies as the output does.
    fn elementwise(&mut self, node: &Node, fast: &Fast) -> Result<()> {
        let out = self.layout(node.output);
        if self.layout(fast.x).strides != out.strides {
            return Err(refuse(node, "its input and output lie differently in memory"));
        }
        let x = self.operand(fast.x)?;
        let (mut groups, pixels) = out.groups_and_pixels();
        let (total, mut kept) = (groups * pixels, out.kept());
        let (s, indexing) = match fast.second {
            Some((id, second)) => {
                if let Second::Trailing(inner) = second {
                    (groups, kept) = (inner / 4, inner);
                }
                (self.operand(id)?, second.code())
            }
            None => (0, 0),
        };
        let y = self.offset(node.output)?;
        let (act, a, b) = activation(fast.act);
        let grid = Grid::over(total);
        let spec =
            Specialisation::new(Kernel::Elementwise).with("ACT", act).with("OP", fast.op).with("SECOND", indexing);
        let mut params = words([x / 4, s / 4, y / 4, groups, total, grid.row as usize, kept]);
        params.extend([a, b].iter().chain(&fast.numbers).map(|v| v.to_bits()));
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
            BinaryOp::Greater => (13, 14),
            BinaryOp::Equal => (15, 15),
            BinaryOp::Keep => (16, 17),
        };
        for (x, s, code) in [(a, b, code), (b, a, swapped)] {
            if self.layout(x) == out
                && let Some(second) = Second::of(&out, &self.layout(s))
            {
                let second = Some((s, second));
                let fast = Fast { op: code, x, second, act: Activation::None, numbers: [0.0; 4] };
                return self.elementwise(node, &fast);
            }
        }
        let walk = Walk::over(&out, &[]).map_err(|reason| refuse(node, reason))?;
        let rank = out.shape.rank();
        let (a, la, b, lb) = (self.operand(a)?, self.layout(a), self.operand(b)?, self.layout(b));
        let strided = Strided {
            op: code,
            a: (a, &la.broadcast_strides(rank)),
            b: (b, &lb.broadcast_strides(rank)),
            y: (self.offset(node.output)?, &out.strides),
            pad: None,
            pick_stride: 0,
        };
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
        let walk = Walk::over(&to, &[]).map_err(refused)?;
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
        let (from, layout) = (self.layout(node.inputs[0]), self.layout(node.output));
        let walk = Walk::over(&layout, &[axis]).map_err(|reason| refuse(node, reason))?;
        let (a, y) = (self.operand(node.inputs[0])?, self.offset(node.output)?);
        let count = layout.shape.dims()[axis];
        let innermost = layout.channels.is_some() && layout.order.last() == Some(&axis);
        let padded = if innermost { count.next_multiple_of(4) } else { count };
        let steps = [from.strides[axis], layout.strides[axis]];
        let grid = Grid::over(walk.total());
        let head = [a, y, walk.total(), grid.row as usize, walk.limit, count, steps[0], steps[1], padded, 0, 0, 0];
        let mut params = words(head);
        params.extend(walk.dims());
        params.extend(walk.along(&from.strides));
        params.extend(walk.along(&layout.strides));
        self.step(node, Specialisation::new(Kernel::Softmax), grid, params);
        Ok(())
    }

    /// Where the output of a node lies, in floats.
    pub fn output(&self, node: &Node) -> Result<usize> {
        self.offset(node.output)
    }
}

/// What the fast element-wise kernel is to compute: see `elementwise.wgsl`.
struct Fast {
    op: u32,
    x: ValueId,
    second: Option<(ValueId, Second)>,
    act: Activation,
    /// Step, zero and range of a rounding.
    numbers: [f32; 4],
}

/// How the fast element-wise kernel finds its second operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Second {
    Same,
    Channel,
    Single,
    /// It repeats after so many values, which are whole groups of four.
    Trailing(usize),
}

impl Second {
    /// `None` if only the general kernel can.
    fn of(out: &Layout, second: &Layout) -> Option<Self> {
        if second == out {
            return Some(Self::Same);
        }
        if second.shape.len() == 1 {
            return Some(Self::Single);
        }
        let dims = second.shape.dims();
        if let Some((c, ..)) = out.channels {
            // `[1, C, 1, 1]` or `[C, 1, 1]` under an image; both are C floats in a row.
            let per_channel = out.shape.rank() == 4 && matches!(*dims, [1, n, 1, 1] | [n, 1, 1] if n == c);
            return per_channel.then_some(Self::Channel);
        }
        // Row-major, as one of the last dimensions alone: tokens plus a bias, plus positions.
        let own: Vec<usize> = dims.iter().copied().skip_while(|&d| d == 1).collect();
        let len = second.shape.len();
        let repeats = second.is_flat() && len.is_multiple_of(4) && out.shape.dims().ends_with(&own);
        repeats.then_some(Self::Trailing(len))
    }

    /// `SECOND` of the shader.
    fn code(self) -> u32 {
        match self {
            Self::Same => 0,
            Self::Channel | Self::Trailing(_) => 1,
            Self::Single => 2,
        }
    }
}

/// The parameters as 32-bit words. Everything is below the arena's limit, which is far below 2^32.
pub(super) fn words(values: impl IntoIterator<Item = usize>) -> Vec<u32> {
    values.into_iter().map(|v| u32::try_from(v).unwrap_or(u32::MAX)).collect()
}

/// An [`Error::Node`] for what this engine does not run.
pub(super) fn refuse(node: &Node, reason: impl Into<String>) -> Error {
    Error::node(&node.name, node.op.name(), reason)
}
