//! Convolutions and linear layers: which kernel and which tile.

use super::lower::{Grid, Lowering, Step, Traits, refuse, words};
use super::pipelines::{Kernel, Specialisation, activation};
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
/// few invocations are left; but its compiler takes seconds over long unrolled code. On a GPU the tile must leave enough
/// invocations to fill the machine.
fn tile(traits: Traits, pixels: usize, outputs: usize) -> Tile {
    let at_most = |limit: usize| [1, 2, 4, 8].into_iter().rev().find(|&n| n <= limit.min(pixels)).unwrap_or(1);
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
        let residual = if conv.residual { self.operand(node.inputs[3])? } else { 0 };
        let y = self.output(node)?;
        let (act, a, b) = activation(conv.activation);
        let with_residual = u32::from(conv.residual);
        let per_group_out = o / conv.groups;
        let int8 = u32::from(matches!(weight, Constant::Int8(_)));
        let software = self.traits.software;
        let specialised = |kernel| {
            let spec = Specialisation::new(kernel).with("ACT", act).with("RESIDUAL", with_residual);
            match kernel {
                Kernel::ConvScalar => spec,
                _ => spec.with("INT8", int8).with("CONVERT", u32::from(software)),
            }
        };

        let pointwise = conv.groups == 1 && [kh, kw] == [1, 1] && conv.strides == [1, 1] && conv.pads == [0; 4];
        if pointwise {
            let rows = Rows { x, y, residual: conv.residual.then_some(residual), pixels: h * w, inputs: c, outputs: o };
            return self.pointwise(node, &rows, &weight, &bias, conv.activation);
        }
        if per_group == 1 && per_group_out == 1 && conv.groups == c {
            let kernel = depthwise_kernel(self.traits, conv, kw, ow);
            let Kernel::Depthwise { pixels, lines, .. } = kernel else { return Err(refuse(node, "no kernel")) };
            let placed = self.uploader.place(&node.name, &weight, &bias, Packing::Depthwise)?;
            let (groups, tiles) = (c.div_ceil(4), ow.div_ceil(pixels));
            let grid = Grid::over(groups * tiles * oh.div_ceil(lines));
            let mut params = words([x / 4, y / 4, residual / 4]);
            params.extend([placed.weights, placed.scales, placed.bias]);
            params.extend(words([groups, c, h, w, oh, ow, tiles, grid.row as usize, kh, kw]));
            params.extend(words([conv.strides, conv.dilations, [conv.pads[0], conv.pads[1]]].concat()));
            params.extend([a.to_bits(), b.to_bits()]);
            self.weighted(node, specialised(kernel), placed, grid, params);
            return Ok(());
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
            let grid = Grid::over((oh * ow).div_ceil(tile.pixels) * out_tiles);
            let mut params = words([x / 4, y / 4, residual / 4]);
            params.extend([placed.weights, placed.scales, placed.bias]);
            params.extend(words([oh * ow, c.div_ceil(4), o.div_ceil(4), out_tiles, o, grid.row as usize]));
            params.extend([a.to_bits(), b.to_bits()]);
            params.extend(words([h, w, ow, kh, kw]));
            params.extend(words([conv.strides, conv.dilations, [conv.pads[0], conv.pads[1]]].concat()));
            params.extend(words([out_tiles / conv.groups, per_group.div_ceil(4)]));
            let kernel = Kernel::Conv { pixels: tile.pixels, outputs: tile.outputs };
            self.weighted(node, specialised(kernel), placed, grid, params);
            return Ok(());
        }
        let placed = self.uploader.place(&node.name, &weight, &bias, Packing::Plain)?;
        let (padded, total) = (o.next_multiple_of(4), o.next_multiple_of(4) * oh * ow);
        let grid = Grid::over(total);
        let mut params = words([x, y, residual]);
        params.extend([placed.weights * 4, placed.bias * 4]);
        params.extend(words([total, grid.row as usize, o, padded, c.next_multiple_of(4), per_group, per_group_out]));
        params.extend(words([h, w, ow, kh, kw]));
        params.extend(words([conv.strides, conv.dilations, [conv.pads[0], conv.pads[1]]].concat()));
        params.extend([a.to_bits(), b.to_bits()]);
        self.weighted(node, specialised(Kernel::ConvScalar), placed, grid, params);
        Ok(())
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
        if one_row || rows {
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
        let grid = Grid::over(rows.pixels.div_ceil(tile.pixels) * out_tiles);
        let (act, a, b) = activation(act);
        let mut params = words([rows.x / 4, rows.y / 4, rows.residual.unwrap_or(0) / 4]);
        params.extend([placed.weights, placed.scales, placed.bias]);
        let sizes = [rows.pixels, rows.inputs.div_ceil(4), outputs, out_tiles, rows.outputs, grid.row as usize];
        params.extend(words(sizes));
        params.extend([a.to_bits(), b.to_bits()]);
        let spec = Specialisation::new(Kernel::Pointwise { pixels: tile.pixels, outputs: tile.outputs })
            .with("ACT", act)
            .with("RESIDUAL", u32::from(rows.residual.is_some()))
            .with("INT8", u32::from(matches!(weight, Constant::Int8(_))))
            .with("CONVERT", u32::from(self.traits.software));
        self.weighted(node, spec, placed, grid, params);
        Ok(())
    }

    fn weighted(&mut self, node: &Node, spec: Specialisation, placed: Placed, grid: Grid, params: Vec<u32>) {
        let label = format!("{} ~ {:?}", node.name, spec.kernel);
        self.steps.push(Step { label, spec, page: Some(placed.page), params, workgroups: grid.workgroups });
    }

    fn constants(&self, node: &Node) -> Result<(Constant, Arc<Tensor>)> {
        let constant = |id: ValueId| self.graph.value(id).constant.clone();
        match (constant(node.inputs[1]), constant(node.inputs[2])) {
            (Some(weight), Some(bias)) => Ok((weight, bias.to_float())),
            _ => Err(refuse(node, "weight and bias must be constants")),
        }
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
