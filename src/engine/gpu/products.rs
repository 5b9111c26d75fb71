//! Products of activations: matrix products, attention, and normalisation, whose kernels work in groups of invocations.

use super::layout::{Layout, Walk};
use super::lower::{Grid, Lowering, refuse, words};
use super::pipelines::{Kernel, Specialisation, activation};
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

    /// The fast product, if everything is row-major and in whole groups of four; whether it was.
    fn batched(&mut self, node: &Node, a: (usize, &Layout), b: (usize, &Layout)) -> Result<bool> {
        let out = self.layout(node.output);
        let flat = [a.1, b.1, &out].iter().all(|l| l.is_flat());
        let (&[.., rows, depth], &[.., columns]) = (a.1.shape.dims(), b.1.shape.dims()) else { return Ok(false) };
        let lead = Lead::of(&out.shape, 2);
        let (Some(lead), true) = (lead, flat && depth % 4 == 0 && columns % 4 == 0) else { return Ok(false) };
        let y = self.output(node)?;
        let tiles = rows.div_ceil(ROWS);
        let total = lead.total() * tiles * (columns / 4);
        let grid = Grid::over(total);
        let mut params =
            words([a.0 / 4, b.0 / 4, y / 4, rows, depth / 4, columns / 4, tiles, total, grid.row as usize]);
        params.extend([0; 3]);
        params.extend(lead.sizes());
        params.extend(lead.along(a.1, 4));
        params.extend(lead.along(b.1, 4));
        self.step(node, Specialisation::new(Kernel::Batched), grid, params);
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
        let grid = Grid::of_groups(lead.total() * blocks);
        let masks = (attention.mask.then(|| layouts.get(3)).flatten(), places.get(3));
        let mask = masks.0.map_or(vec![0; rank], |l| l.broadcast_strides(rank));
        let row = |l: &Layout| l.strides[rank - 2];
        let step = |l: &Layout| l.strides[rank - 1];
        let spec = Specialisation::new(Kernel::Attention { fours }).with("MASK", u32::from(attention.mask));
        for first in (0..width).step_by(WIDTH) {
            let part = WIDTH.min(width - first);
            let (v, to_part) = (places[2] + first * step(lv), start + first * step(&ly));
            let mut params = words([places[0], places[1], v, to_part, masks.1.copied().unwrap_or(0)]);
            params.extend(words([queries, keys, depth, part, row(lq), row(lk), row(lv), row(&ly)]));
            params.extend(words([step(lq), step(lk), step(lv), step(&ly), mask[rank - 2], mask[rank - 1]]));
            params.extend(words([blocks, lead.total() * blocks, grid.row as usize]));
            params.extend([attention.scale.to_bits(), 0]);
            params.extend(lead.sizes());
            for l in [lq, lk, lv, &ly] {
                params.extend(lead.along(l, 1));
            }
            params.extend(lead.pick(&mask));
            self.step(node, spec.clone(), grid, params);
        }
        if !direct {
            let walk = Walk::over(&to, &[]).map_err(|reason| refuse(node, reason))?;
            self.copy(node, &walk, (start, &ly.strides), (y, &to.strides));
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
        let mut params = words([x, y, scale, bias, outer.total(), grid.row as usize, inner.total()]);
        params.extend(words([outer.limit, inner.limit]));
        params.extend([(size as f32).to_bits(), norm.epsilon.to_bits(), 0]);
        for walk in [&outer, &inner] {
            params.extend(walk.dims());
            params.extend(walk.along(&to.strides));
            params.extend(walk.along(&along));
        }
        let line = u32::from(inner.is_line());
        self.step(node, Specialisation::new(Kernel::Norm).with("LINE", line), grid, params);
        Ok(())
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
        self.dims.iter().product()
    }

    fn sizes(&self) -> [u32; 4] {
        self.fill(1, |i| self.dims[i])
    }

    /// The operand's strides along them, in units of so many floats; 0 where it repeats.
    fn along(&self, layout: &Layout, unit: usize) -> [u32; 4] {
        let strides: Vec<usize> = layout.broadcast_strides(self.rank).iter().map(|s| s / unit).collect();
        self.pick(&strides)
    }

    fn pick(&self, strides: &[usize]) -> [u32; 4] {
        self.fill(0, |i| strides.get(self.axes[i]).copied().unwrap_or(0))
    }

    fn fill(&self, rest: u32, value: impl Fn(usize) -> usize) -> [u32; 4] {
        let mut out = [rest; 4];
        let first = 4 - self.axes.len();
        (0..self.axes.len()).for_each(|i| out[first + i] = value(i) as u32);
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
