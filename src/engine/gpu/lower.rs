//! Graph to steps: which kernel, over what, with which parameters. One exhaustive match over [`Op`]; the ops with
//! weights are in `conv`, windows in `pool`, reductions in `reduce`, products and normalisation in `products`, what
//! only moves values in `moves`.

use std::collections::HashMap;

use super::assign::assign;
use super::codes::{self, Act, OpCode, SecondCode, activation};
use super::dispatch::{Dispatch, Grid, Numbers, specialise};
use super::kernels::{ACT, FOURS_OP, Kernel, SECOND};
use super::layout::{Layout, Walk};
use super::moves::Strided;
use super::weights::Uploader;
use super::{params, pool, reduce};
use crate::engine::plan::{Arena, Plan};
use crate::error::{Error, Result};
use crate::graph::{Activation, BinaryOp, Graph, Node, Op, Quantize, ValueId};

/// One dispatch of one node.
#[derive(Debug)]
pub(super) struct Step {
    /// Node and kernel, for profiles.
    pub label: String,
    /// Which of the program's weight buffers is bound; `None` if it reads none.
    pub page: Option<usize>,
    pub dispatch: Dispatch,
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
    let alias = |node: &Node| {
        let [x, ..] = node.inputs.as_slice() else { return false };
        let same = match &node.op {
            Op::Reshape(_) => layout(*x).same_memory(layout(node.output)),
            Op::Transpose { perm } => layout(*x).same_memory_transposed(layout(node.output), perm),
            Op::Conv2d(_)
            | Op::Linear(_)
            | Op::MatMul
            | Op::Activation(_)
            | Op::Binary(_)
            | Op::Pool2d(_)
            | Op::Reduce { .. }
            | Op::Softmax { .. }
            | Op::Concat { .. }
            | Op::Pad { .. }
            | Op::LayerNorm(_)
            | Op::Attention(_)
            | Op::Slice { .. }
            | Op::Gather { .. }
            | Op::Quantize(_) => false,
        };
        same && computed(*x)
    };
    let bytes = |id: ValueId| layout(id).len().saturating_mul(4);
    let arena = plan.arena(graph, bytes, alias, 16)?;
    let scratch = arena.size / 4;
    let temporary = |node: &Node| temporary(graph, node, layout(node.inputs[0]), layout(node.output));
    let largest = plan.nodes(graph).map(temporary).max().unwrap_or(0).next_multiple_of(4);
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
    let too_large = |floats: usize| {
        let values = graph.values.iter().enumerate().filter(|(i, _)| plan.lifetimes[*i].is_some());
        let most = values.max_by_key(|(i, _)| layouts[*i].len()).map_or("", |(_, v)| v.name.as_str());
        Error::TooLarge {
            what: format!("the memory for all activations at this image size (the largest is {most:?})"),
            size: format!("{} bytes", floats.saturating_mul(4)),
            limit: super::device::binding_limit(traits.arena_limit.saturating_mul(4)),
        }
    };
    // Before any weight is packed.
    if lowering.end > traits.arena_limit {
        return Err(too_large(lowering.end));
    }
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
        return Err(too_large(size));
    }
    Ok(Lowered { steps: lowering.steps, arena: size, constants: lowering.constants, input, targets })
}

/// Floats that a node needs besides its output while it runs.
fn temporary(graph: &Graph, node: &Node, from: &Layout, to: &Layout) -> usize {
    match &node.op {
        Op::Reshape(_) | Op::Attention(_) => graph.value(node.output).shape.len(),
        Op::Pool2d(pool) => pool::temporary(pool, from, to),
        Op::Reduce { axes, .. } => reduce::temporary(from, to, axes),
        Op::Conv2d(_)
        | Op::Linear(_)
        | Op::MatMul
        | Op::Activation(_)
        | Op::Binary(_)
        | Op::Softmax { .. }
        | Op::Transpose { .. }
        | Op::Concat { .. }
        | Op::Pad { .. }
        | Op::LayerNorm(_)
        | Op::Slice { .. }
        | Op::Gather { .. }
        | Op::Quantize(_) => 0,
    }
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

    /// Appends a step, which reads that page of weights.
    ///
    /// # Errors
    /// [`Error::Node`] if the dispatch is out of bounds.
    pub fn push(&mut self, node: &Node, page: Option<usize>, dispatch: Result<Dispatch, String>) -> Result<()> {
        let dispatch = dispatch.map_err(|reason| refuse(node, reason))?;
        let label = format!("{} ~ {:?}", node.name, dispatch.spec.kernel);
        self.steps.push(Step { label, page, dispatch });
        Ok(())
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

    /// A function of one value.
    fn activate(&mut self, node: &Node, act: Activation) -> Result<()> {
        let fast = Fast { op: OpCode::None, x: node.inputs[0], second: None, act, numbers: [0.0; 4] };
        self.elementwise(node, &fast)
    }

    fn quantize(&mut self, node: &Node, q: &Quantize) -> Result<()> {
        let op = if q.dequantize { OpCode::RoundBack } else { OpCode::Round };
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
        let n = Numbers::default();
        let (total, mut kept) = (n.product(&[groups, pixels]), out.kept());
        let (second, indexing) = match fast.second {
            Some((id, second)) => {
                if let Second::Trailing(inner) = second {
                    (groups, kept) = (inner / 4, inner);
                }
                (self.operand(id)?, second.code())
            }
            None => (0, SecondCode::Same),
        };
        let y = self.offset(node.output)?;
        let (act, a, b): (Act, f32, f32) = activation(fast.act);
        let grid = Grid::over(total);
        let [scale, zero, low, high] = fast.numbers;
        let params = params::Elementwise {
            x: n.fours(x),
            second: n.fours(second),
            y: n.fours(y),
            groups: n.u(groups),
            total: n.u(total),
            row: grid.row,
            channels: n.u(kept),
            a,
            b,
            scale,
            zero,
            low,
            high,
        };
        let codes = [(ACT, act.into()), (FOURS_OP, fast.op.into()), (SECOND, indexing.into())];
        self.push(node, None, Dispatch::new(specialise(Kernel::Elementwise, codes), n, params, grid, 0))
    }

    fn binary(&mut self, node: &Node, op: BinaryOp) -> Result<()> {
        let (a, b) = (node.inputs[0], node.inputs[1]);
        let out = self.layout(node.output);
        let (code, swapped) = codes::binary(op);
        for (x, s, op) in [(a, b, code), (b, a, swapped)] {
            if self.layout(x) == out
                && let Some(second) = Second::of(&out, &self.layout(s))
            {
                let second = Some((s, second));
                return self.elementwise(node, &Fast { op, x, second, act: Activation::None, numbers: [0.0; 4] });
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
        self.strided(node, &walk, &strided)
    }

    /// Where the output of a node lies, in floats.
    pub fn output(&self, node: &Node) -> Result<usize> {
        self.offset(node.output)
    }
}

/// What the fast element-wise kernel is to compute: see `elementwise.wgsl`.
struct Fast {
    op: OpCode,
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

    fn code(self) -> SecondCode {
        match self {
            Self::Same => SecondCode::Same,
            Self::Channel | Self::Trailing(_) => SecondCode::Channel,
            Self::Single => SecondCode::Single,
        }
    }
}

/// An [`Error::Node`] for what this engine does not run.
pub(super) fn refuse(node: &Node, reason: impl Into<String>) -> Error {
    Error::node(&node.name, node.op.name(), reason)
}
