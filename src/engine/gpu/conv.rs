//! Convolutions and linear layers: which kernel and which tile.

use super::codes::activation;
use super::dispatch::{Dispatch, Grid, MOST_STEPS, Moves, Numbers, specialise};
use super::kernels::{ACT, CONVERT, INT8, Kernel, PIXELS, RESIDUAL, Specialisation};
use super::lower::{Lowering, Traits, refuse};
use super::params;
use super::products::Product;
use super::weights::{Packing, Placed};
use crate::error::Result;
use crate::graph::{Activation, Constant, Conv2d, Node, ValueId};
use crate::tensor::Tensor;
use std::sync::Arc;

/// The tile of a matrix-like kernel: pixels and groups of four output channels of one invocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Tile {
    pixels: usize,
    outputs: usize,
}

/// A tile for so many pixels and output groups.
///
/// On a processor that pretends to be a GPU, a load costs far more than a multiplication, so that a tile pays even if
/// few invocations are left; but its compiler takes seconds over long unrolled code. On a GPU the tile must leave
/// enough invocations to fill the machine.
fn tile(traits: Traits, pixels: usize, outputs: usize) -> Tile {
    let at_most = |limit: usize| PIXELS.iter().rev().copied().find(|&n| n <= limit.min(pixels)).unwrap_or(1);
    if traits.software {
        return Tile { pixels: at_most(4), outputs: if outputs.is_multiple_of(2) { 2 } else { 1 } };
    }
    // What keeps a mid-range GPU busy, and what is better than a tile of one pixel even if it does not.
    const ENOUGH: usize = 16_384;
    const SOME: usize = 1_024;
    let invocations = |n: usize| pixels.div_ceil(n) * outputs;
    let most = match [8, 4, 2].into_iter().find(|&n| invocations(n) >= ENOUGH) {
        Some(n) => n,
        None if invocations(4) >= SOME => 4,
        None => 2,
    };
    Tile { pixels: at_most(most), outputs: 1 }
}

impl Lowering<'_, '_> {
    pub(super) fn conv2d(&mut self, node: &Node, conv: &Conv2d) -> Result<()> {
        let (from, to) = (self.layout(node.inputs[0]), self.layout(node.output));
        let (Some((c, h, w)), Some((o, oh, ow))) = (from.channels, to.channels) else {
            return Err(refuse(node, format!("{} is not one image", from.shape)));
        };
        let (weight, bias) = self.constants(node)?;
        let &[_, per_group, kh, kw] = weight.shape().dims() else {
            return Err(refuse(node, format!("weight {} does not have four dimensions", weight.shape())));
        };
        let x = self.operand(node.inputs[0])?;
        let residual = if conv.residual { Some(self.operand(node.inputs[3])?) } else { None };
        let y = self.output(node)?;
        let per_group_out = o / conv.groups;

        let pointwise = conv.groups == 1 && [kh, kw] == [1, 1] && conv.strides == [1, 1] && conv.pads == [0; 4];
        if pointwise {
            let rows = Rows { x, y, residual, pixels: h * w, inputs: c, outputs: o };
            return self.pointwise(node, &rows, &weight, &bias, conv.activation);
        }
        let moves = Moves {
            input: [h, w],
            output: [oh, ow],
            kernel: [kh, kw],
            strides: conv.strides,
            dilations: conv.dilations,
            pads: [conv.pads[0], conv.pads[1]],
        };
        let n = Numbers::default();
        let window = n.window(&moves);
        let finish = |placed: &Placed| Finish { y, residual, channels: o, placed: *placed, act: conv.activation };
        // Rounds of the loops over the kernel and, inside, over so many inputs.
        let steps = |width: usize, inside: usize| kh.saturating_mul(1 + width.saturating_mul(1 + inside));
        if per_group == 1 && per_group_out == 1 && conv.groups == c {
            let kernel = depthwise_kernel(self.traits, conv, kw, ow);
            let Kernel::Depthwise { width, pixels, lines, .. } = kernel else { return Err(refuse(node, "no kernel")) };
            let placed = self.uploader.place(&node.name, &weight, &bias, Packing::Depthwise)?;
            let (groups, tiles) = (c.div_ceil(4), ow.div_ceil(pixels));
            let grid = Grid::over(n.product(&[groups, tiles, oh.div_ceil(lines)]));
            let params = params::Depthwise {
                window,
                end: finish(&placed).fours(&n),
                x: n.fours(x),
                weights: placed.weights,
                groups: n.u(groups),
                tiles: n.u(tiles),
                row: grid.row,
            };
            let spec = self.weighted(kernel, conv.activation, residual.is_some(), &weight);
            let steps = steps(kw.div_ceil(width), 0) + kw + 1;
            return self.push(node, Some(placed.page), Dispatch::new(spec, n, params, grid, steps));
        }
        if conv.groups == 1 || (per_group.is_multiple_of(4) && per_group_out.is_multiple_of(4)) {
            let group_outputs = if conv.groups == 1 { o.div_ceil(4) } else { per_group_out / 4 };
            let mut tile = tile(self.traits, oh * ow, group_outputs * conv.groups);
            if !group_outputs.is_multiple_of(tile.outputs) && conv.groups > 1 {
                tile.outputs = 1;
            }
            tile.pixels = tile.pixels.min(4);
            let out_tiles = (group_outputs * conv.groups).div_ceil(tile.outputs);
            let packing = Packing::Dense { outputs: out_tiles * tile.outputs };
            let placed = self.uploader.place(&node.name, &weight, &bias, packing)?;
            let grid = Grid::over(n.product(&[(oh * ow).div_ceil(tile.pixels), out_tiles]));
            let params = params::Conv {
                window,
                end: finish(&placed).fours(&n),
                x: n.fours(x),
                weights: placed.weights,
                pixels: n.u(oh * ow),
                in_groups: n.u(c.div_ceil(4)),
                out_groups: n.u(o.div_ceil(4)),
                out_tiles: n.u(out_tiles),
                row: grid.row,
                tiles_per_group: n.u(out_tiles / conv.groups),
                in_per_group: n.u(per_group.div_ceil(4)),
            };
            let kernel = Kernel::Conv { pixels: tile.pixels, outputs: tile.outputs };
            let spec = self.weighted(kernel, conv.activation, residual.is_some(), &weight);
            let steps = steps(kw, per_group.div_ceil(4));
            return self.push(node, Some(placed.page), Dispatch::new(spec, n, params, grid, steps));
        }
        let placed = self.uploader.place(&node.name, &weight, &bias, Packing::Plain)?;
        let padded = o.next_multiple_of(4);
        let total = n.product(&[padded, oh, ow]);
        let grid = Grid::over(total);
        let params = params::ConvScalar {
            window,
            end: finish(&placed).values(&n),
            x: n.u(x),
            weights: n.u(placed.weights as usize * 4),
            total: n.u(total),
            row: grid.row,
            padded: n.u(padded),
            in_padded: n.u(c.next_multiple_of(4)),
            in_per_group: n.u(per_group),
            out_per_group: n.u(per_group_out),
        };
        let (act, ..) = activation(conv.activation);
        let spec = specialise(Kernel::ConvScalar, [(ACT, act.into()), (RESIDUAL, u32::from(residual.is_some()))]);
        let steps = steps(kw, per_group);
        self.push(node, Some(placed.page), Dispatch::new(spec, n, params, grid, steps))
    }

    pub(super) fn linear(&mut self, node: &Node, act: Activation) -> Result<()> {
        let (from, to) = (self.layout(node.inputs[0]), self.layout(node.output));
        let (weight, bias) = self.constants(node)?;
        let &[o, k] = weight.shape().dims() else {
            return Err(refuse(node, format!("weight {} does not have two dimensions", weight.shape())));
        };
        let (x, y) = (self.operand(node.inputs[0])?, self.output(node)?);
        let vector = |channels| matches!(channels, Some((_, 1, 1)));
        let one_row = vector(from.channels) && vector(to.channels) && from.shape.rank() < 4;
        let rows = from.channels.is_none() && to.channels.is_none() && k % 4 == 0 && o % 4 == 0;
        // The kernel sums in one go what the general one sums in parts.
        if (one_row || rows) && k.div_ceil(4) <= MOST_STEPS {
            let pixels = if one_row { 1 } else { from.shape.len() / k.max(1) };
            let rows = Rows { x, y, residual: None, pixels, inputs: k, outputs: o };
            return self.pointwise(node, &rows, &weight, &bias, act);
        }
        let rank = from.shape.rank();
        let mut along_x = from.strides.clone();
        along_x[rank - 1] = 0;
        let along = |last: usize| [vec![0; rank - 1], vec![last]].concat();
        let product = Product {
            a: (x, along_x, from.strides[rank - 1]),
            b: (self.operand(node.inputs[1])?, along(k), 1),
            bias: Some((self.operand(node.inputs[2])?, along(1))),
            count: k,
            act,
        };
        self.product(node, &product)
    }

    fn pointwise(
        &mut self,
        node: &Node,
        rows: &Rows,
        weight: &Constant,
        bias: &Arc<Tensor>,
        act: Activation,
    ) -> Result<()> {
        let outputs = rows.outputs.div_ceil(4);
        let tile = tile(self.traits, rows.pixels, outputs);
        let out_tiles = outputs.div_ceil(tile.outputs);
        let packing = Packing::Dense { outputs: out_tiles * tile.outputs };
        let placed = self.uploader.place(&node.name, weight, bias, packing)?;
        let n = Numbers::default();
        let grid = Grid::over(n.product(&[rows.pixels.div_ceil(tile.pixels), out_tiles]));
        let finish = Finish { y: rows.y, residual: rows.residual, channels: rows.outputs, placed, act };
        let params = params::Pointwise {
            end: finish.fours(&n),
            x: n.fours(rows.x),
            weights: placed.weights,
            pixels: n.u(rows.pixels),
            in_groups: n.u(rows.inputs.div_ceil(4)),
            out_groups: n.u(outputs),
            out_tiles: n.u(out_tiles),
            row: grid.row,
        };
        let kernel = Kernel::Pointwise { pixels: tile.pixels, outputs: tile.outputs };
        let spec = self.weighted(kernel, act, rows.residual.is_some(), weight);
        let steps = rows.inputs.div_ceil(4);
        self.push(node, Some(placed.page), Dispatch::new(spec, n, params, grid, steps))
    }

    /// The codes of a kernel with packed weights.
    fn weighted(&self, kernel: Kernel, act: Activation, residual: bool, weight: &Constant) -> Specialisation {
        let (act, ..) = activation(act);
        let int8 = matches!(weight, Constant::Int8(_));
        let switches = [(RESIDUAL, residual), (INT8, int8), (CONVERT, self.traits.software)];
        let [residual, int8, convert] = switches.map(|(knob, on)| (knob, u32::from(on)));
        specialise(kernel, [(ACT, act.into()), residual, int8, convert])
    }

    fn constants(&self, node: &Node) -> Result<(Constant, Arc<Tensor>)> {
        let constant = |id: ValueId| self.graph.value(id).constant.clone();
        match (constant(node.inputs[1]), constant(node.inputs[2])) {
            (Some(weight), Some(bias)) => Ok((weight, bias.to_float())),
            _ => Err(refuse(node, "weight and bias must be constants")),
        }
    }
}

/// How a layer with weights ends: where its output and its residual lie, in floats.
struct Finish {
    y: usize,
    residual: Option<usize>,
    channels: usize,
    placed: Placed,
    act: Activation,
}

impl Finish {
    /// For kernels over groups of four.
    fn fours(&self, n: &Numbers) -> params::End {
        let (_, a, b) = activation(self.act);
        params::End {
            y: n.fours(self.y),
            residual: n.fours(self.residual.unwrap_or(0)),
            scale: self.placed.scales,
            bias: self.placed.bias,
            channels: n.u(self.channels),
            a,
            b,
            unused: 0,
        }
    }

    /// For the kernel over single values.
    fn values(&self, n: &Numbers) -> params::End {
        let places = |place: Option<usize>| n.u(place.unwrap_or(0));
        let bias = n.u(self.placed.bias as usize * 4);
        params::End { y: places(Some(self.y)), residual: places(self.residual), bias, ..self.fours(n) }
    }
}

/// Operands of the 1x1 kernel, in floats: `pixels` rows of `inputs` values become rows of `outputs`.
struct Rows {
    x: usize,
    y: usize,
    residual: Option<usize>,
    pixels: usize,
    inputs: usize,
    outputs: usize,
}

/// The unrolled kernel for the usual widths, and the one that loops for all others.
fn depthwise_kernel(traits: Traits, conv: &Conv2d, width: usize, out_w: usize) -> Kernel {
    let stride = conv.strides[1];
    let unrolled = matches!(width, 3 | 5) && matches!(stride, 1 | 2) && conv.dilations[1] == 1;
    if !unrolled {
        return Kernel::Depthwise { width: 1, stride: 1, pixels: 1, lines: 1 };
    }
    // With stride 2 fewer cells are shared, and SwiftShader's compiler takes seconds over four pixels of five taps.
    let pixels = if traits.software && stride == 1 { 4 } else { 2 };
    let lines = if conv.strides == [1, 1] && conv.dilations[0] == 1 { 2 } else { 1 };
    Kernel::Depthwise { width, stride, pixels: pixels.min(out_w.next_power_of_two()), lines }
}
