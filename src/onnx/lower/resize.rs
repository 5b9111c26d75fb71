//! Resize and Upsample. Every mode is, along one axis, a weighted sum of source cells: a pick of slices where each sum
//! has one term, and a product with a small constant matrix otherwise.

use super::super::data::Data;
use super::{Context, Lowered, Operator, unsupported, wrong};
use crate::graph::{Linear, Op};
use crate::tensor::{Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "Resize" | "Upsample" => resize,
        _ => return None,
    })
}

/// No matrix that resizes one axis may have more values.
const MAX_MATRIX: usize = 1 << 23;

/// How values between cells are found.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Nearest(Rounding),
    Linear,
    /// With this coefficient (Keys 1981).
    Cubic(f64),
}

impl Mode {
    /// Whether an output cell may be a sum of several.
    fn averages(self) -> bool {
        !matches!(self, Self::Nearest(_))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Rounding {
    HalfDown,
    HalfUp,
    Floor,
    Ceil,
}

/// Where the cells of the output lie among those of the input.
#[derive(Clone, Copy, PartialEq)]
enum Coordinates {
    HalfPixel,
    /// As above; an output of one cell is the first cell.
    TorchHalfPixel,
    /// As above, and the cut that rounding the output size makes is shared by both sides.
    SymmetricHalfPixel,
    AlignCorners,
    Asymmetric,
}

/// One axis: its sizes and the scale by which coordinates are transformed.
struct Axis {
    from: usize,
    to: usize,
    scale: f64,
}

impl Coordinates {
    /// The input coordinate of an output cell.
    fn source(self, o: usize, axis: &Axis) -> f64 {
        let (x, from, to) = (o as f64, axis.from as f64, axis.to as f64);
        match self {
            Self::TorchHalfPixel if axis.to == 1 => 0.0,
            Self::HalfPixel | Self::TorchHalfPixel => (x + 0.5) / axis.scale - 0.5,
            Self::SymmetricHalfPixel => {
                let offset = from / 2.0 * (1.0 - to / (axis.scale * from));
                offset + (x + 0.5) / axis.scale - 0.5
            }
            Self::AlignCorners if axis.to == 1 => 0.0,
            Self::AlignCorners => x * (from - 1.0) / (to - 1.0),
            Self::Asymmetric => x / axis.scale,
        }
    }
}

fn resize(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let (mode, coordinates) = settings(c)?;
    let mut y = x;
    let changes: Vec<(usize, Axis)> = axes(c, &shape)?.into_iter().filter(|(_, a)| a.from != a.to).collect();
    if changes.is_empty() {
        return Ok(vec![c.emit(Op::Reshape(shape), &[&y])?]);
    }
    let last = changes.len() - 1;
    for (i, (axis, sizes)) in changes.iter().enumerate() {
        let matrix = Shape::from([sizes.to, sizes.from]);
        if mode.averages() && matrix.checked_len().is_none_or(|n| n > MAX_MATRIX) {
            return wrong(format!(
                "it resizes axis {axis} of {shape} by a matrix {matrix}; the limit is {MAX_MATRIX} values"
            ));
        }
        let sums = sums(c, mode, coordinates, sizes)?;
        let single: Option<Vec<usize>> = sums.iter().map(|s| if s.len() == 1 { Some(s[0].0) } else { None }).collect();
        if let Some(indices) = single {
            let op = Op::Gather { axis: *axis, indices };
            y = if i == last { c.emit(op, &[&y])? } else { c.emit_step(&format!("axis{axis}"), op, &[&y])? };
            continue;
        }
        let mut weight = Tensor::zeros(matrix);
        for (row, sum) in weight.data_mut().chunks_exact_mut(sizes.from).zip(&sums) {
            sum.iter().for_each(|&(cell, share)| row[cell] += share as f32);
        }
        // The axis goes last, where a linear layer works, and back.
        let mut perm: Vec<usize> = (0..shape.rank()).collect();
        perm.swap(*axis, shape.rank() - 1);
        let swap = || Op::Transpose { perm: perm.clone() };
        let (weight, bias) = (Data::float(weight), Data::float(Tensor::zeros([sizes.to])));
        let moved = c.emit_step(&format!("moved{axis}"), swap(), &[&y])?;
        let summed = c.emit_step(&format!("summed{axis}"), Op::Linear(Linear::default()), &[&moved, &weight, &bias])?;
        y = if i == last {
            c.emit(swap(), &[&summed])?
        } else {
            c.emit_step(&format!("axis{axis}"), swap(), &[&summed])?
        };
    }
    Ok(vec![y])
}

fn settings(c: &Context<'_, '_>) -> Lowered<(Mode, Coordinates)> {
    // Upsample, and Resize before operator set 11, knew no other coordinates and rounded down.
    let old = c.node.op_type() == "Upsample" || c.opset() < 11;
    let rounding = match c.string("nearest_mode").as_str() {
        _ if old => Rounding::Floor,
        "" | "round_prefer_floor" => Rounding::HalfDown,
        "round_prefer_ceil" => Rounding::HalfUp,
        "floor" => Rounding::Floor,
        "ceil" => Rounding::Ceil,
        other => return unsupported(format!("nearest_mode {other:?}")),
    };
    let mode = match c.string("mode").as_str() {
        "" | "nearest" => Mode::Nearest(rounding),
        "linear" | "bilinear" => Mode::Linear,
        "cubic" => Mode::Cubic(c.float("cubic_coeff_a", -0.75).into()),
        other => return unsupported(format!("mode {other:?}")),
    };
    let coordinates = match c.string("coordinate_transformation_mode").as_str() {
        _ if old => Coordinates::Asymmetric,
        "" | "half_pixel" => Coordinates::HalfPixel,
        "pytorch_half_pixel" => Coordinates::TorchHalfPixel,
        "half_pixel_symmetric" => Coordinates::SymmetricHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        other => return unsupported(format!("coordinate_transformation_mode {other:?}")),
    };
    Ok((mode, coordinates))
}

/// The axes that sizes or scales are given for.
fn axes(c: &Context<'_, '_>, shape: &Shape) -> Lowered<Vec<(usize, Axis)>> {
    let rank = shape.rank();
    let axes: Vec<usize> = match c.attribute("axes") {
        Some(a) => a.ints.iter().map(|&a| c.axis(a, rank)).collect::<Lowered<_>>()?,
        None => (0..rank).collect(),
    };
    let scales_at = if c.node.op_type() == "Upsample" || c.opset() < 11 { 1 } else { 2 };
    let scales = match (c.attribute("scales"), c.optional(scales_at)) {
        (Some(a), _) => Some(a.floats.clone()),
        (None, Some(data)) => match data.as_float() {
            Some(t) => Some(t.data().to_vec()).filter(|s| !s.is_empty()),
            None if data.is_constant() => None,
            None => return unsupported("its scales depend on the image's content"),
        },
        (None, None) => None,
    };
    let sizes = match c.optional(3) {
        Some(_) if scales.is_none() => Some(c.ints(3)?.data.clone()),
        _ => None,
    };
    let count = sizes.as_ref().map(Vec::len).or(scales.as_ref().map(Vec::len));
    if count != Some(axes.len()) {
        return wrong(format!("its sizes or scales do not fit {} axes", axes.len()));
    }
    // Sizes may be bounds that one scale for all axes keeps to.
    let policy = c.string("keep_aspect_ratio_policy");
    let ratios = |sizes: &[i64]| -> Vec<f64> {
        axes.iter().zip(sizes).map(|(&a, &s)| s as f64 / shape.dims()[a].max(1) as f64).collect()
    };
    let common = match (policy.as_str(), &sizes) {
        ("" | "stretch", _) | (_, None) => None,
        ("not_larger", Some(sizes)) => ratios(sizes).into_iter().reduce(f64::min),
        ("not_smaller", Some(sizes)) => ratios(sizes).into_iter().reduce(f64::max),
        (other, _) => return wrong(format!("keep_aspect_ratio_policy {other:?} is not known")),
    };
    let axis = |(i, &axis): (usize, &usize)| {
        let from = shape.dims()[axis];
        let (to, scale) = match (&sizes, &scales) {
            _ if common.is_some() => {
                let scale = common.unwrap_or(1.0);
                ((scale * from as f64 + 0.5).floor(), scale)
            }
            (Some(sizes), _) => (sizes[i] as f64, sizes[i] as f64 / from.max(1) as f64),
            (None, Some(scales)) => ((f64::from(scales[i]) * from as f64).floor(), f64::from(scales[i])),
            (None, None) => (from as f64, 1.0),
        };
        match (1.0..1e6).contains(&to) && scale > 0.0 && from > 0 {
            true => Ok((axis, Axis { from, to: to as usize, scale })),
            false => wrong(format!("it resizes axis {axis} of {shape} to {to}")),
        }
    };
    axes.iter().enumerate().map(axis).collect()
}

/// For each output cell the input cells it sums and their weights.
fn sums(c: &Context<'_, '_>, mode: Mode, coordinates: Coordinates, axis: &Axis) -> Lowered<Vec<Vec<(usize, f64)>>> {
    let antialias = c.int("antialias", 0) != 0 && axis.scale < 1.0;
    let exclude = c.int("exclude_outside", 0) != 0;
    let (support, filter): (f64, Box<dyn Fn(f64) -> f64>) = match mode {
        Mode::Nearest(rounding) => {
            let pick = |x: f64| match rounding {
                Rounding::HalfDown => (x - 0.5).ceil(),
                Rounding::HalfUp => (x + 0.5).floor(),
                Rounding::Floor => x.floor(),
                Rounding::Ceil => x.ceil(),
            };
            let cell = |o: usize| pick(coordinates.source(o, axis)).clamp(0.0, (axis.from - 1) as f64) as usize;
            return Ok((0..axis.to).map(|o| vec![(cell(o), 1.0)]).collect());
        }
        Mode::Linear => (1.0, Box::new(|d: f64| (1.0 - d.abs()).max(0.0))),
        Mode::Cubic(a) => (2.0, Box::new(move |d: f64| cubic(a, d.abs()))),
    };
    // Antialiasing stretches the filter to the cells that one output cell covers.
    let stretch = if antialias { axis.scale } else { 1.0 };
    if support / stretch > 1e5 {
        return unsupported("it averages too many cells");
    }
    let last_cell = axis.from as i64 - 1;
    let sum = |o: usize| {
        let x = coordinates.source(o, axis);
        let (first, last) = ((x - support / stretch).ceil() as i64, (x + support / stretch).floor() as i64);
        let mut sum: Vec<(usize, f64)> = Vec::new();
        for cell in first..=last {
            let inside = cell.clamp(0, last_cell);
            let share = filter((cell as f64 - x) * stretch);
            if share == 0.0 || exclude && inside != cell {
                continue;
            }
            // Cells come in order, so that those beyond an edge fall on the last one.
            match sum.last_mut() {
                Some((at, total)) if *at == inside as usize => *total += share,
                _ => sum.push((inside as usize, share)),
            }
        }
        let total: f64 = sum.iter().map(|s| s.1).sum();
        sum.iter_mut().for_each(|s| s.1 /= total);
        sum
    };
    Ok((0..axis.to).map(sum).collect())
}

/// The cubic convolution kernel (Keys, IEEE Trans. ASSP 29(6), 1981).
fn cubic(a: f64, d: f64) -> f64 {
    match d {
        d if d <= 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
        d if d < 2.0 => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
        _ => 0.0,
    }
}
