//! Products of activations: matrix products, attention, and normalisation, whose kernels work in groups of invocations.

use super::codes::activation;
use super::dispatch::{Dispatch, Grid, MOST_STEPS, Numbers, specialise};
use super::kernels::{ACCUMULATE, ACT, BIAS, Kernel, LINE, MASK, WORKGROUP};
use super::layout::{Layout, Walk};
use super::lower::{Lowering, refuse};
use super::params;
use crate::error::Result;
use crate::graph::evaluate::broadcast_indices;
use crate::graph::{Activation, Attention, LayerNorm, Node};
use crate::tensor::Shape;

/// Query rows that one workgroup of the attention kernel takes.
const QUERIES: usize = 8;
/// Values of one row of the attention's output that fit a workgroup's memory.
const WIDTH: usize = 256;
/// Rows of the product that one invocation computes.
const ROWS: usize = 4;

impl Lowering<'_, '_> {
    pub(super) fn matmul(&mut self, node: &Node) -> Result<()> {
        let (a, b) = (node.inputs[0], node.inputs[1]);
        let (la, lb) = (self.layout(a), self.layout(b));
        let rank = self.layout(node.output).shape.rank();
        let (a, b) = (self.operand(a)?, self.operand(b)?);
        if self.batched(node, (a, &la), (b, &lb))? {
            return Ok(());
        }
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
        let walk = Walk::over(&out, &[]).map_err(|reason| refuse(node, reason))?;
        let y = self.output(node)?;
        let grid = Grid::over(walk.total());
        // A sum that is too long for one pass is continued by the next, the last of which has the bias and the
        // activation.
        for first in (0..product.count.max(1)).step_by(MOST_STEPS) {
            let count = MOST_STEPS.min(product.count - first);
            let last = first + count == product.count;
            let act = if last { product.act } else { Activation::None };
            let (act, act_a, act_b) = activation(act);
            let bias = product.bias.as_ref().filter(|_| last);
            let n = Numbers::default();
            let params = params::MatMul {
                dims: n.axes(walk.dims()),
                a_strides: n.axes(walk.along(&product.a.1)),
                b_strides: n.axes(walk.along(&product.b.1)),
                c_strides: n.axes(walk.along(bias.map_or(&[], |b| &b.1))),
                y_strides: n.axes(walk.along(&out.strides)),
                a: n.u(product.a.0 + first * product.a.2),
                b: n.u(product.b.0 + first * product.b.2),
                c: n.u(bias.map_or(0, |b| b.0)),
                y: n.u(y),
                total: n.u(walk.total()),
                row: grid.row,
                limit: n.u(walk.limit),
                count: n.u(count),
                a_step: n.u(product.a.2),
                b_step: n.u(product.b.2),
                act_a,
                act_b,
            };
            let (with_bias, accumulate) = (bias.is_some().into(), (first > 0).into());
            let spec = specialise(Kernel::MatMul, [(ACT, act.into()), (BIAS, with_bias), (ACCUMULATE, accumulate)]);
            self.push(node, None, Dispatch::new(spec, n, params, grid, count))?;
        }
        Ok(())
    }

    /// The fast product, if everything is row-major and in whole groups of four; whether it was.
    fn batched(&mut self, node: &Node, a: (usize, &Layout), b: (usize, &Layout)) -> Result<bool> {
        let out = self.layout(node.output);
        let flat = [a.1, b.1, &out].iter().all(|l| l.is_flat());
        let (&[.., rows, depth], &[.., columns]) = (a.1.shape.dims(), b.1.shape.dims()) else { return Ok(false) };
        let lead = Lead::of(&out.shape, 2);
        let (Some(lead), true) = (lead, flat && depth % 4 == 0 && columns % 4 == 0 && depth / 4 <= MOST_STEPS) else {
            return Ok(false);
        };
        let y = self.output(node)?;
        let tiles = rows.div_ceil(ROWS);
        let n = Numbers::default();
        let total = n.product(&[lead.total(), tiles, columns / 4]);
        let grid = Grid::over(total);
        let params = params::Batched {
            dims: n.four(lead.sizes()),
            a_lead: n.four(lead.along(a.1, 4)),
            b_lead: n.four(lead.along(b.1, 4)),
            a: n.fours(a.0),
            b: n.fours(b.0),
            y: n.fours(y),
            rows: n.u(rows),
            depth: n.u(depth / 4),
            columns: n.u(columns / 4),
            tiles: n.u(tiles),
            total: n.u(total),
            row: grid.row,
        };
        self.push(node, None, Dispatch::new(specialise(Kernel::Batched, []), n, params, grid, depth / 4))?;
        Ok(true)
    }

    pub(super) fn attention(&mut self, node: &Node, attention: &Attention) -> Result<()> {
        let layouts: Vec<Layout> = node.inputs.iter().map(|&id| self.layout(id)).collect();
        let [lq, lk, lv, ..] = layouts.as_slice() else { return Err(refuse(node, "it has too few inputs")) };
        let places = node.inputs.iter().map(|&id| self.operand(id)).collect::<Result<Vec<_>>>()?;
        let to = self.layout(node.output);
        let rank = to.shape.rank();
        let Some(lead) = Lead::of(&to.shape, 2) else {
            return Err(refuse(node, format!("{} has more than four leading dimensions", to.shape)));
        };
        let y = self.output(node)?;
        // The kernel writes no padding: into a map it goes by way of the scratch.
        let direct = to.is_flat();
        let (ly, start) = if direct { (to.clone(), y) } else { (Layout::row_major(&to.shape), self.scratch) };
        let (queries, keys) = (to.shape.dims()[rank - 2], lk.shape.dims()[rank - 2]);
        let (depth, width) = (lq.shape.dims()[rank - 1], to.shape.dims()[rank - 1]);
        let flat = [lq, lk, lv, &ly].iter().all(|l| l.is_flat());
        let fours = flat && depth % 4 == 0 && width % 4 == 0;
        let blocks = queries.div_ceil(QUERIES);
        let masks = (attention.mask.then(|| layouts.get(3)).flatten(), places.get(3));
        let mask = masks.0.map_or(vec![0; rank], |l| l.broadcast_strides(rank));
        let row = |l: &Layout| l.strides[rank - 2];
        let step = |l: &Layout| l.strides[rank - 1];
        let kernel = if fours { Kernel::AttentionByFours } else { Kernel::Attention };
        for first in (0..width).step_by(WIDTH) {
            let part = WIDTH.min(width - first);
            let n = Numbers::default();
            let total = n.product(&[lead.total(), blocks]);
            let grid = Grid::of_groups(total);
            let params = params::Attention {
                dims: n.four(lead.sizes()),
                q_lead: n.four(lead.along(lq, 1)),
                k_lead: n.four(lead.along(lk, 1)),
                v_lead: n.four(lead.along(lv, 1)),
                y_lead: n.four(lead.along(&ly, 1)),
                mask_lead: n.four(lead.pick(&mask)),
                q: n.u(places[0]),
                k: n.u(places[1]),
                v: n.u(places[2] + first * step(lv)),
                y: n.u(start + first * step(&ly)),
                mask: n.u(masks.1.copied().unwrap_or(0)),
                queries: n.u(queries),
                keys: n.u(keys),
                depth: n.u(depth),
                width: n.u(part),
                q_row: n.u(row(lq)),
                k_row: n.u(row(lk)),
                v_row: n.u(row(lv)),
                y_row: n.u(row(&ly)),
                q_step: n.u(step(lq)),
                k_step: n.u(step(lk)),
                v_step: n.u(step(lv)),
                y_step: n.u(step(&ly)),
                mask_row: n.u(mask[rank - 2]),
                mask_column: n.u(mask[rank - 1]),
                blocks: n.u(blocks),
                total: n.u(total),
                row: grid.row,
                scale: attention.scale,
            };
            // For each tile of keys: the products, the softmax, and the sums that this invocation keeps.
            let kept = (QUERIES * part.div_ceil(4)).div_ceil(WORKGROUP);
            let steps = keys.div_ceil(WORKGROUP) * (1 + depth.div_ceil(4) + 4 * 8 + kept * (1 + WORKGROUP)) + 2 * kept;
            let spec = specialise(kernel, [(MASK, attention.mask.into())]);
            self.push(node, None, Dispatch::new(spec, n, params, grid, steps))?;
        }
        if !direct {
            let walk = Walk::over(&to, &[]).map_err(|reason| refuse(node, reason))?;
            self.copy(node, &walk, (start, &ly.strides), (y, &to.strides))?;
        }
        Ok(())
    }

    pub(super) fn layer_norm(&mut self, node: &Node, norm: &LayerNorm) -> Result<()> {
        let (from, to) = (self.layout(node.inputs[0]), self.layout(node.output));
        if from.strides != to.strides {
            return Err(refuse(node, "its input and output lie differently in memory"));
        }
        let refused = |reason| refuse(node, reason);
        let others: Vec<usize> = (0..to.shape.rank()).filter(|d| !norm.axes.contains(d)).collect();
        let outer = Walk::over(&to, &norm.axes).map_err(refused)?;
        let inner = Walk::over(&to, &others).map_err(refused)?;
        let size: usize = norm.axes.iter().map(|&a| to.shape.dims()[a]).product();
        // Both parameters get the shape that holds the two, so that one set of strides serves them.
        let parameters = [1, 2].map(|i| self.graph.value(node.inputs[i]).constant.as_ref().map(|c| c.to_float()));
        let [Some(scale), Some(bias)] = &parameters else {
            return Err(refuse(node, "scale and bias must be constants"));
        };
        let shape = crate::graph::broadcast(scale.shape(), bias.shape()).map_err(refused)?;
        let spread = |t: &crate::tensor::Tensor| broadcast_indices(t.shape(), &shape).map(|i| t.data()[i]).collect();
        let (scale, bias) = (self.table(spread(scale)), self.table(spread(bias)));
        let along = Layout::row_major(&shape).broadcast_strides(to.shape.rank());
        let (x, y) = (self.operand(node.inputs[0])?, self.output(node)?);
        let grid = Grid::of_groups(outer.total());
        let n = Numbers::default();
        let params = params::Norm {
            outer: n.axes(outer.dims()),
            x_strides: n.axes(outer.along(&to.strides)),
            s_strides: n.axes(outer.along(&along)),
            inner: n.axes(inner.dims()),
            inner_x: n.axes(inner.along(&to.strides)),
            inner_s: n.axes(inner.along(&along)),
            x: n.u(x),
            y: n.u(y),
            scale: n.u(scale),
            bias: n.u(bias),
            lines: n.u(outer.total()),
            row: grid.row,
            count: n.u(inner.total()),
            outer_limit: n.u(outer.limit),
            inner_limit: n.u(inner.limit),
            size: size as f32,
            epsilon: norm.epsilon,
        };
        let steps = inner.total().div_ceil(WORKGROUP).saturating_mul(3) + 2 * 6;
        let spec = specialise(Kernel::Norm, [(LINE, inner.is_line().into())]);
        self.push(node, None, Dispatch::new(spec, n, params, grid, steps))
    }
}

/// Dimensions before the matrices of a batched op, those of size 1 dropped: at most four.
struct Lead {
    rank: usize,
    axes: Vec<usize>,
    dims: Vec<usize>,
}

impl Lead {
    /// All but the last `matrix` dimensions; `None` if more than four are left.
    fn of(shape: &Shape, matrix: usize) -> Option<Self> {
        let dims = &shape.dims()[..shape.rank().checked_sub(matrix)?];
        let axes: Vec<usize> = (0..dims.len()).filter(|&d| dims[d] != 1).collect();
        let dims = axes.iter().map(|&a| dims[a]).collect();
        (axes.len() <= 4).then_some(Self { rank: shape.rank(), axes, dims })
    }

    /// Number of matrices.
    fn total(&self) -> usize {
        self.dims.iter().fold(1, |n: usize, &d| n.saturating_mul(d))
    }

    fn sizes(&self) -> [usize; 4] {
        self.fill(1, |i| self.dims[i])
    }

    /// The operand's strides along them, in units of so many floats; 0 where it repeats.
    fn along(&self, layout: &Layout, unit: usize) -> [usize; 4] {
        let strides: Vec<usize> = layout.broadcast_strides(self.rank).iter().map(|s| s / unit).collect();
        self.pick(&strides)
    }

    fn pick(&self, strides: &[usize]) -> [usize; 4] {
        self.fill(0, |i| strides.get(self.axes[i]).copied().unwrap_or(0))
    }

    fn fill(&self, rest: usize, value: impl Fn(usize) -> usize) -> [usize; 4] {
        let mut out = [rest; 4];
        let first = 4 - self.axes.len();
        (0..self.axes.len()).for_each(|i| out[first + i] = value(i));
        out
    }
}

/// Operands of a matrix product: start, strides along the output, step along the summed dimension.
pub(super) struct Product {
    pub a: (usize, Vec<usize>, usize),
    pub b: (usize, Vec<usize>, usize),
    pub bias: Option<(usize, Vec<usize>)>,
    pub count: usize,
    pub act: Activation,
}
