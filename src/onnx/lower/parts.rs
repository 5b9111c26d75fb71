//! Ops that cut, split, pick or pad.

use super::super::data::{Array, Data};
use super::arithmetic::zip_ints;
use super::shapes::picked;
use super::{Context, Lowered, MAX_INDICES, Operator, check_folded, unsupported, wrong};
use crate::graph::evaluate::{strided_indices, strides};
use crate::graph::{BinaryOp, Op};
use crate::tensor::{Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "Gather" => gather,
        "GatherND" => gather_nd,
        "GatherElements" => gather_elements,
        "Trilu" => triangle,
        "Slice" => slice,
        "Split" => split,
        "Pad" => pad,
        _ => return None,
    })
}

/// Slices at some indices of an axis, which are known beforehand.
fn gather(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (x, indices) = (c.input(0)?, c.ints(1)?);
    let shape = c.shape(&x)?;
    let axis = c.axis(c.int("axis", 0), shape.rank())?;
    let len = shape.dims()[axis];
    let at = indices.data.iter().map(|&i| c.axis(i, len)).collect::<Lowered<Vec<_>>>()?;
    let dims = [&shape.dims()[..axis], &indices.shape, &shape.dims()[axis + 1..]].concat();
    let to = Shape::new(dims);
    if !x.is_constant() {
        // One index drops the axis, and a table of indices makes several of it.
        if indices.shape.len() == 1 {
            return Ok(vec![c.emit(pick(&shape, axis, at), &[&x])?]);
        }
        let part = c.emit_step("part", pick(&shape, axis, at), &[&x])?;
        return Ok(vec![c.emit(Op::Reshape(to), &[&part])?]);
    }
    let inner: usize = shape.dims()[axis + 1..].iter().product();
    let outer: usize = shape.dims()[..axis].iter().product();
    check_folded(&to)?;
    let picks =
        (0..outer).flat_map(|o| at.iter().flat_map(move |&i| (0..inner).map(move |n| (o * len + i) * inner + n)));
    Ok(vec![picked(&x, &to, picks)?])
}

/// Slices at some indices of the first axes together, which are known beforehand.
fn gather_nd(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (x, indices) = (c.input(0)?, c.ints(1)?);
    let shape = c.shape(&x)?;
    if c.int("batch_dims", 0) != 0 {
        return unsupported("batch_dims");
    }
    let Some((&depth, rows)) = indices.shape.split_last().filter(|(d, _)| (1..=shape.rank()).contains(*d)) else {
        return wrong(format!("its indices of shape {:?} do not fit {shape}", indices.shape));
    };
    let (first, rest) = shape.dims().split_at(depth);
    let mut at = Vec::with_capacity(indices.data.len() / depth);
    for row in indices.data.chunks_exact(depth) {
        let mut place = 0;
        for (&i, &len) in row.iter().zip(first) {
            place = place * len + c.axis(i, len)?;
        }
        at.push(place);
    }
    let flat = Shape::new([&[first.iter().product()], rest].concat());
    let to = Shape::new([rows, rest].concat());
    let x = c.emit_step("flat", Op::Reshape(flat.clone()), &[&x])?;
    let picked = c.emit_step("picked", pick(&flat, 0, at), &[&x])?;
    Ok(vec![c.emit(Op::Reshape(to), &[&picked])?])
}

/// One element for each index, which are known beforehand and run along an axis.
fn gather_elements(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (x, indices) = (c.input(0)?, c.ints(1)?);
    let (shape, to) = (c.shape(&x)?, Shape::new(indices.shape.as_slice()));
    let axis = c.axis(c.int("axis", 0), shape.rank())?;
    let fits = |(i, (d, of)): (usize, (&usize, &usize))| i == axis || d <= of;
    if to.rank() != shape.rank() || !to.dims().iter().zip(shape.dims()).enumerate().all(fits) {
        return wrong(format!("its indices of shape {to} do not fit {shape}"));
    }
    let mut step = strides(&shape);
    let along = std::mem::replace(&mut step[axis], 0);
    let mut at = Vec::with_capacity(indices.data.len());
    for (place, &i) in strided_indices(to.dims(), &step).zip(&indices.data) {
        at.push(place + along * c.axis(i, shape.dims()[axis])?);
    }
    if x.is_constant() {
        return Ok(vec![picked(&x, &to, at.into_iter())?]);
    }
    if at.len() > MAX_INDICES {
        return wrong(format!("it picks {} elements; the limit is {MAX_INDICES}", at.len()));
    }
    let flat = c.emit_step("flat", Op::Reshape(Shape::from([shape.len()])), &[&x])?;
    let parts = c.emit_step("picked", Op::Gather { axis: 0, indices: at }, &[&flat])?;
    Ok(vec![c.emit(Op::Reshape(to), &[&parts])?])
}

/// A matrix with zeros below or above a diagonal.
fn triangle(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let &[.., rows, columns] = shape.dims() else { return wrong(format!("{shape} is no matrix")) };
    let offset = if c.optional(1).is_some() { c.ints(1)?.data.first().copied().unwrap_or(0) } else { 0 };
    let upper = c.int("upper", 1) != 0;
    check_folded(&Shape::from([rows, columns]))?;
    let stays = |i: usize, j: usize| {
        let right = (j as i64 - i as i64).saturating_sub(offset);
        if upper { right >= 0 } else { right <= 0 }
    };
    let cells = || (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).map(|(i, j)| stays(i, j));
    if let Data::Ints(a) = &x {
        let kept = Array { shape: vec![rows, columns], data: cells().map(i64::from).collect() };
        return Ok(vec![zip_ints(a, &kept, |v, kept| Some(v * kept))?]);
    }
    let kept = cells().map(|kept| f32::from(u8::from(kept))).collect();
    let kept = Data::float(Tensor::new([rows, columns], kept)?);
    Ok(vec![c.emit(Op::Binary(BinaryOp::Keep), &[&x, &kept])?])
}

/// Indices that are equally far apart are a cut, any others a pick.
fn pick(shape: &Shape, axis: usize, indices: Vec<usize>) -> Op {
    let step = match *indices.as_slice() {
        [a, b, ..] => b as isize - a as isize,
        _ => 1,
    };
    let regular = step != 0 && indices.windows(2).all(|w| w[1] as isize - w[0] as isize == step);
    if !regular || indices.is_empty() {
        return Op::Gather { axis, indices };
    }
    let (mut start, mut steps, mut size) = (vec![0; shape.rank()], vec![1; shape.rank()], shape.dims().to_vec());
    (start[axis], steps[axis], size[axis]) = (indices[0], step, indices.len());
    Op::Slice { start, step: steps, size }
}

/// Parts of an axis, one after the other.
fn split(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let axis = c.axis(c.int("axis", 0), shape.rank())?;
    let (len, outputs) = (shape.dims()[axis], c.node.output.len());
    let sizes: Vec<usize> = match c.ints_by_attribute_or_input("split", 1)? {
        Some(sizes) => sizes.iter().map(|&s| usize::try_from(s).unwrap_or(usize::MAX)).collect(),
        None => {
            let asked = c.int("num_outputs", outputs as i64);
            let parts = usize::try_from(asked).ok().filter(|p| (1..=len.max(outputs)).contains(p));
            let Some(parts) = parts else { return wrong(format!("{asked} parts of axis {axis} of {shape}")) };
            let part = len.div_ceil(parts);
            (0..parts).map(|i| len.saturating_sub(i * part).min(part)).collect()
        }
    };
    if sizes.iter().try_fold(0usize, |n, &s| n.checked_add(s)) != Some(len) || sizes.len() < outputs {
        return wrong(format!("parts {sizes:?} do not fit axis {axis} of {shape}"));
    }
    let mut at = 0;
    let mut parts = Vec::with_capacity(outputs);
    for (i, &part) in sizes.iter().enumerate().take(outputs) {
        let (mut start, mut size) = (vec![0; shape.rank()], shape.dims().to_vec());
        (start[axis], size[axis]) = (at, part);
        at += part;
        parts.push(match &x {
            Data::Active(_) => c.emit_output(i, Op::Slice { start, step: vec![1; shape.rank()], size }, &[&x])?,
            known => {
                let own = strides(&shape);
                let first = start[axis] * own[axis];
                let to = Shape::new(size);
                picked(known, &to, strided_indices(to.dims(), &own).map(|i| first + i))?
            }
        });
    }
    Ok(parts)
}

fn slice(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let Some(starts) = c.ints_by_attribute_or_input("starts", 1)? else { return wrong("starts are missing") };
    let Some(ends) = c.ints_by_attribute_or_input("ends", 2)? else { return wrong("ends are missing") };
    let axes = c.ints_by_attribute_or_input("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = if c.optional(4).is_some() { c.ints(4)?.data.clone() } else { vec![1; starts.len()] };
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return wrong("starts, ends, axes and steps are of different lengths");
    }
    // Offset, count and step along every axis.
    let mut cuts: Vec<(i64, usize, i64)> = shape.dims().iter().map(|&d| (0, d, 1)).collect();
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = c.axis(axis, shape.rank())?;
        let len = shape.dims()[axis] as i64;
        let wrap = |v: i64| if v < 0 { v.saturating_add(len) } else { v };
        let (start, end) = match step {
            0 => return wrong("its step is 0"),
            1.. => (wrap(start).clamp(0, len), wrap(end).clamp(0, len)),
            _ => (wrap(start).clamp(-1, len - 1), wrap(end).clamp(-1, len - 1)),
        };
        let span = if step > 0 { end - start } else { start - end };
        let count = if span <= 0 { 0 } else { (span as u64).div_ceil(step.unsigned_abs()) as usize };
        // To the only place there is no step, however far it would be.
        cuts[axis] = (start, count, if count > 1 { step } else { 1 });
    }
    let to = Shape::new(cuts.iter().map(|c| c.1).collect::<Vec<_>>());
    if to == shape && cuts.iter().all(|c| c.2 == 1) {
        return Ok(vec![match &x {
            Data::Active(_) => c.emit(Op::Reshape(shape), &[&x])?,
            known => known.clone(),
        }]);
    }
    if !x.is_constant() {
        let start = cuts.iter().map(|c| c.0 as usize).collect();
        let step = cuts.iter().map(|c| c.2 as isize).collect();
        return Ok(vec![c.emit(Op::Slice { start, step, size: to.dims().to_vec() }, &[&x])?]);
    }
    check_folded(&to)?;
    // Walk the output with the input's strides; a step backwards is one that wraps round.
    let own = strides(&shape);
    let first: usize = cuts.iter().zip(&own).map(|(c, &s)| c.0.max(0) as usize * s).sum();
    let step: Vec<usize> = cuts.iter().zip(&own).map(|(c, &s)| (c.2 as usize).wrapping_mul(s)).collect();
    Ok(vec![picked(&x, &to, strided_indices(to.dims(), &step).map(|i| first.wrapping_add(i)))?])
}

fn pad(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let rank = shape.rank();
    let mode = c.string("mode");
    let Some(given) = c.ints_by_attribute_or_input("pads", 1)? else { return wrong("pads are missing") };
    let value = match c.attribute("value") {
        Some(a) => a.f(),
        None => c.scalar(2)?.unwrap_or(0.0),
    };
    let axes = match c.optional(3) {
        Some(_) => c.ints(3)?.data.iter().map(|&a| c.axis(a, rank)).collect::<Lowered<Vec<_>>>()?,
        None => (0..rank).collect(),
    };
    if given.len() != 2 * axes.len() {
        return wrong(format!("{} pads do not fit {} axes", given.len(), axes.len()));
    }
    let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
    for (i, &axis) in axes.iter().enumerate() {
        match (usize::try_from(given[i]), usize::try_from(given[i + axes.len()])) {
            (Ok(b), Ok(a)) => (before[axis], after[axis]) = (b, a),
            _ => return unsupported("negative pads, which cut"),
        }
    }
    if before.iter().chain(&after).all(|&p| p == 0) {
        return Ok(vec![c.emit(Op::Reshape(shape), &[&x])?]);
    }
    if shape.is_empty() {
        return wrong(format!("it pads {shape}, which has no elements"));
    }
    let index: fn(i64, i64) -> i64 = match mode.as_str() {
        "" | "constant" => return Ok(vec![c.emit(Op::Pad { before, after, value }, &[&x])?]),
        "edge" => |i, len| i.clamp(0, len - 1),
        // Mirrored at the outermost cells, as often as it takes.
        "reflect" => |i, len| match len {
            1 => 0,
            len => len - 1 - (i.rem_euclid(2 * len - 2) - (len - 1)).abs(),
        },
        "wrap" => |i, len| i.rem_euclid(len),
        other => return unsupported(format!("mode {other:?}")),
    };
    let axes: Vec<usize> = (0..rank).filter(|&i| before[i] > 0 || after[i] > 0).collect();
    let mut x = x;
    for (i, &axis) in axes.iter().enumerate() {
        let (len, b) = (shape.dims()[axis] as i64, before[axis] as i64);
        let total = len.saturating_add(b).saturating_add(after[axis] as i64);
        if total > MAX_INDICES as i64 {
            return wrong(format!("it pads a dimension to {total}; the limit is {MAX_INDICES}"));
        }
        let indices = (0..total).map(|o| index(o - b, len) as usize).collect();
        let op = Op::Gather { axis, indices };
        x = match i + 1 == axes.len() {
            true => c.emit(op, &[&x])?,
            false => c.emit_step(&format!("axis{axis}"), op, &[&x])?,
        };
    }
    Ok(vec![x])
}
