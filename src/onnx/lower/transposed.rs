//! ConvTranspose: each cell of the input adds a window to the output. For each place within a
//! stride, that is an ordinary convolution with a part of the taps. All of them are one convolution to more channels,
//! whose channels then become cells.

use super::super::data::Data;
use super::windows::spatial;
use super::{Context, Lowered, Operator, check_folded, unsupported, wrong};
use crate::graph::{Activation, Conv2d, Op};
use crate::tensor::{Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "ConvTranspose" => transposed,
        _ => return None,
    })
}

/// One axis.
#[derive(Clone, Copy)]
struct Axis {
    stride: usize,
    dilation: usize,
    kernel: usize,
    /// Cells cut off before the result.
    cut: usize,
    /// Cells of the result.
    size: usize,
    /// Taps of each of the convolutions.
    taps: usize,
}

impl Axis {
    /// The place in the kernel of a tap of the convolution for one place within a stride; `None` if the kernel has none
    /// there.
    fn place(&self, phase: usize, tap: usize) -> Option<usize> {
        let at = self.stride * (self.taps - 1 - tap) + phase;
        (at.is_multiple_of(self.dilation) && at / self.dilation < self.kernel).then(|| at / self.dilation)
    }
}

fn transposed(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (mut x, weight) = (c.input(0)?, c.input(1)?);
    let Some(weight) = weight.as_float() else { return unsupported("its weights are computed from the image") };
    let (x_shape, w_shape) = (c.shape(&x)?, weight.shape().clone());
    let (Some(input), Some(kernel)) = (spatial(&x_shape), spatial(&w_shape)) else {
        return unsupported(format!("over {x_shape}; only one or two spatial dimensions are supported"));
    };
    let (rank, channels) = (x_shape.rank(), x_shape.dims()[1]);
    let per_group = w_shape.dims()[1];
    let groups = usize::try_from(c.int("group", 1)).ok().filter(|&g| g > 0 && channels.is_multiple_of(g));
    let Some(groups) = groups.filter(|_| w_shape.rank() == rank && w_shape.dims()[0] == channels && per_group > 0)
    else {
        return wrong(format!("weights {w_shape} in {} groups do not fit {x_shape}", c.int("group", 1)));
    };
    let rows = axis(c, 0, rank, input[0], kernel[0])?;
    let columns = axis(c, 1, rank, input[1], kernel[1])?;
    let outputs = per_group * groups;
    let phases = rows.stride * columns.stride;
    let dims = [outputs.saturating_mul(phases), channels / groups, rows.taps, columns.taps];
    check_folded(&Shape::from(dims))?;
    let mut filters = Tensor::zeros(dims);
    let taps = rows.taps * columns.taps;
    for (index, filter) in filters.data_mut().chunks_exact_mut(taps).enumerate() {
        let (o, i) = (index / dims[1], index % dims[1]);
        let (o, phase) = (o / phases, o % phases);
        let (group, o) = (o / per_group, o % per_group);
        let from = ((group * dims[1] + i) * per_group + o) * kernel[0] * kernel[1];
        for (tap, value) in filter.iter_mut().enumerate() {
            let row = rows.place(phase / columns.stride, tap / columns.taps);
            let column = columns.place(phase % columns.stride, tap % columns.taps);
            if let (Some(row), Some(column)) = (row, column) {
                *value = weight.data()[from + row * kernel[1] + column];
            }
        }
    }
    let bias = match c.optional(2) {
        None => vec![0.0; dims[0]],
        Some(bias) => match bias.as_float() {
            Some(t) if t.data().len() == outputs => (0..dims[0]).map(|i| t.data()[i / phases]).collect(),
            Some(t) => return wrong(format!("bias {} does not fit {outputs} output channels", t.shape())),
            None => return unsupported("its bias is not a constant"),
        },
    };
    let conv = Conv2d {
        strides: [1, 1],
        dilations: [1, 1],
        pads: [rows.taps - 1, columns.taps - 1, rows.taps - 1, columns.taps - 1],
        groups,
        activation: Activation::None,
        residual: false,
    };
    let n = x_shape.dims()[0];
    if rank == 3 {
        x = c.emit_step("row", Op::Reshape(Shape::from([n, channels, 1, input[1]])), &[&x])?;
    }
    let (filters, bias) = (Data::float(filters), Data::float(Tensor::new([dims[0]], bias)?));
    let mut y = c.emit_step("phases", Op::Conv2d(conv), &[&x, &filters, &bias])?;
    let [high, wide] = [input[0] + rows.taps - 1, input[1] + columns.taps - 1];
    if phases > 1 {
        let split = Shape::from([n, outputs, rows.stride, columns.stride, high, wide]);
        y = c.emit_step("split", Op::Reshape(split), &[&y])?;
        y = c.emit_step("moved", Op::Transpose { perm: vec![0, 1, 4, 2, 5, 3] }, &[&y])?;
        let cells = Shape::from([n, outputs, high * rows.stride, wide * columns.stride]);
        y = c.emit_step("cells", Op::Reshape(cells), &[&y])?;
    }
    let size = vec![n, outputs, rows.size, columns.size];
    let cut = Op::Slice { start: vec![0, 0, rows.cut, columns.cut], step: vec![1; 4], size };
    if rank == 4 {
        return Ok(vec![c.emit(cut, &[&y])?]);
    }
    let y = c.emit_step("cut", cut, &[&y])?;
    Ok(vec![c.emit(Op::Reshape(Shape::from([n, outputs, columns.size])), &[&y])?])
}

/// The attributes along height (0) or width (1); a value of three dimensions has a width alone.
fn axis(c: &Context<'_, '_>, axis: usize, rank: usize, input: usize, kernel: usize) -> Lowered<Axis> {
    const LARGEST: usize = 1 << 16;
    let axes = rank - 2;
    let of = |name: &str, place: usize, default: usize| -> Lowered<usize> {
        let values = c.attribute(name).map(|a| &a.ints).filter(|v| !v.is_empty());
        // A row of cells has no height.
        let Some(values) = values.filter(|_| axes == 2 || axis == 1) else { return Ok(default) };
        let at = place + if axes == 2 { axis } else { 0 };
        match values.get(at).map(|&v| usize::try_from(v)) {
            Some(Ok(v)) if v < LARGEST => Ok(v),
            _ => wrong(format!("{name} {values:?} do not fit")),
        }
    };
    let (stride, dilation) = (of("strides", 0, 1)?, of("dilations", 0, 1)?);
    let (extra, given) = (of("output_padding", 0, 0)?, of("kernel_shape", 0, kernel)?);
    if stride == 0 || dilation == 0 || kernel == 0 || given != kernel || input == 0 {
        return wrong("its kernel, strides or dilations do not fit");
    }
    let reach = (kernel - 1).saturating_mul(dilation).saturating_add(1);
    let whole = (input - 1).saturating_mul(stride).saturating_add(reach).saturating_add(extra);
    let side = c.string("auto_pad");
    let asked = match of("output_shape", 0, 0)? {
        0 if side.starts_with("SAME") => input.saturating_mul(stride),
        asked => asked,
    };
    let (before, after) = match asked {
        0 if side == "VALID" => (0, 0),
        0 => (of("pads", 0, 0)?, of("pads", axes, 0)?),
        asked if asked <= whole => {
            let total = whole - asked;
            if side == "SAME_UPPER" { (total / 2, total - total / 2) } else { (total - total / 2, total / 2) }
        }
        asked => return wrong(format!("an output of {asked} cells, and it makes {whole}")),
    };
    let Some(size) = whole.checked_sub(before.saturating_add(after)).filter(|&s| s > 0) else {
        return wrong(format!("pads of {before} and {after} cells leave nothing of {whole}"));
    };
    // As many taps as the kernel has within a stride, and as many as the end of the output needs.
    let end = before.saturating_add(size);
    let taps = reach.div_ceil(stride).max((end.div_ceil(stride) + 1).saturating_sub(input));
    Ok(Axis { stride, dilation, kernel, cut: before, size, taps })
}
