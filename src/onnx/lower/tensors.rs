//! Constants, and ops that join, cut, pad or convert.

use std::sync::Arc;

use super::super::data::{Array, Data, read};
use super::super::proto::data_type;
use super::shapes::picked;
use super::{Context, Lowered, MAX_FOLDED, Operator, check_folded, unsupported, wrong};
use crate::graph::evaluate::{strided_indices, strides};
use crate::graph::{BinaryOp, Op};
use crate::tensor::{Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "Constant" => constant,
        "ConstantOfShape" => constant_of_shape,
        "Range" => range,
        "Cast" => cast,
        "Concat" => concat,
        "Gather" => gather,
        "Slice" => slice,
        "Pad" => pad,
        _ => return None,
    })
}

fn constant(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let Some(attribute) = c.node.attribute.first() else { return wrong("it has no value") };
    Ok(vec![match attribute.name() {
        "value" => match &attribute.t {
            Some(tensor) => read(tensor).map_err(|e| super::Stop::Wrong(e.to_string()))?,
            None => return wrong("it has no value"),
        },
        "value_float" => Data::float(Tensor::new(Shape::default(), vec![attribute.f()])?),
        "value_floats" => Data::float(Tensor::new([attribute.floats.len()], attribute.floats.clone())?),
        "value_int" => Data::Ints(Arc::new(Array { shape: vec![], data: vec![attribute.i()] })),
        "value_ints" => Data::ints(attribute.ints.clone()),
        other => return unsupported(format!("a constant given as {other:?}")),
    }])
}

fn constant_of_shape(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let dims: Option<Vec<usize>> = c.ints(0)?.data.iter().map(|&d| usize::try_from(d).ok()).collect();
    let Some(shape) = dims.map(Shape::new) else { return wrong("its shape is negative") };
    check_folded(&shape)?;
    let value = match c.attribute("value").and_then(|a| a.t.as_ref()) {
        Some(tensor) => read(tensor).map_err(|e| super::Stop::Wrong(e.to_string()))?,
        None => Data::float(Tensor::zeros([1])),
    };
    let len = shape.len();
    Ok(vec![picked(&value, &shape, std::iter::repeat_n(0, len))?])
}

fn range(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let one = |i: usize| match c.ints(i)?.data.as_slice() {
        &[v] => Ok(v),
        _ => wrong(format!("input {i} must be one number")),
    };
    let (start, limit, step) = (one(0)?, one(1)?, one(2)?);
    if step == 0 {
        return wrong("its step is 0");
    }
    let span = i128::from(limit) - i128::from(start);
    let (span, by) = if step > 0 { (span, i128::from(step)) } else { (-span, -i128::from(step)) };
    let len = if span <= 0 { 0 } else { (span + by - 1) / by };
    if len > MAX_FOLDED as i128 {
        return wrong(format!("it computes a constant of {len} elements; the limit is {MAX_FOLDED}"));
    }
    Ok(vec![Data::ints((0..len as i64).map(|i| start.wrapping_add(i.wrapping_mul(step))).collect())])
}

fn cast(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    use data_type::{BFLOAT16, BOOL, DOUBLE, FLOAT, FLOAT16, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64};
    let (x, to) = (c.input(0)?, c.int("to", 0) as i32);
    let float = matches!(to, FLOAT | DOUBLE | FLOAT16 | BFLOAT16);
    let whole = matches!(to, INT64 | INT32 | INT16 | UINT16 | UINT32 | UINT64 | BOOL);
    Ok(vec![match &x {
        // Activations are f32 whatever the file calls them.
        Data::Active(_) if float => {
            let shape = c.shape(&x)?;
            c.emit(Op::Reshape(shape), &[&x])?
        }
        Data::Float(_) | Data::Int8(_) if float => x,
        Data::Ints(a) if float => {
            let data = a.data.iter().map(|&v| v as f32).collect();
            Data::float(Tensor::new(Shape::new(a.shape.as_slice()), data)?)
        }
        Data::Ints(a) if to == BOOL => {
            let data = a.data.iter().map(|&v| i64::from(v != 0)).collect();
            Data::Ints(Arc::new(Array { shape: a.shape.clone(), data }))
        }
        Data::Ints(_) if whole => x,
        Data::Float(t) if whole => {
            let convert = |&v: &f32| if to == BOOL { i64::from(v != 0.0) } else { v as i64 };
            let data = t.data().iter().map(convert).collect();
            Data::Ints(Arc::new(Array { shape: t.shape().dims().to_vec(), data }))
        }
        _ if matches!(to, INT8 | UINT8) => return unsupported("conversion to 8 bits"),
        _ => return unsupported(format!("conversion to {}", data_type::name(to))),
    }])
}

fn concat(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let parts = (0..c.node.input.len()).map(|i| c.input(i)).collect::<Lowered<Vec<_>>>()?;
    let Some(first) = parts.first() else { return wrong("it has no inputs") };
    let rank = c.shape(first)?.rank();
    let axis = c.axis(c.int("axis", 0), rank)?;
    if parts.iter().all(|p| matches!(p, Data::Ints(_))) {
        return concat_ints(c, &parts, axis);
    }
    // An empty constant joins nothing.
    let mut kept = Vec::with_capacity(parts.len());
    for part in &parts {
        if !c.shape(part)?.is_empty() {
            kept.push(part);
        }
    }
    let activations: Vec<usize> = (0..kept.len()).filter(|&i| !kept[i].is_constant()).collect();
    let (Some(&from), Some(&to)) = (activations.first(), activations.last()) else {
        return Ok(vec![c.emit(Op::Concat { axis }, &kept)?]);
    };
    if kept.len() == activations.len() {
        return Ok(vec![c.emit(Op::Concat { axis }, &kept)?]);
    }
    // A constant beside activations (a class token): pad both with zeros to the whole, and add.
    if to - from + 1 != activations.len() {
        return unsupported("it joins a constant between activations");
    }
    let mut lengths = Vec::with_capacity(kept.len());
    for part in &kept {
        lengths.push(c.shape(part)?.dims().get(axis).copied().unwrap_or(0));
    }
    let (before, after): (usize, usize) = (lengths[..from].iter().sum(), lengths[to + 1..].iter().sum());
    let middle = match to > from {
        true => c.emit_step("activations", Op::Concat { axis }, &kept[from..=to])?,
        false => kept[from].clone(),
    };
    let one_axis = |value: usize| (0..rank).map(|i| if i == axis { value } else { 0 }).collect();
    let pad = Op::Pad { before: one_axis(before), after: one_axis(after), value: 0.0 };
    let shape = c.shape(&middle)?;
    let zeros = Data::float(Tensor::zeros(shape));
    let constants: Vec<&Data> =
        kept[..from].iter().copied().chain([&zeros]).chain(kept[to + 1..].iter().copied()).collect();
    let constants = c.emit_step("constants", Op::Concat { axis }, &constants)?;
    let padded = c.emit_step("padded", pad, &[&middle])?;
    Ok(vec![c.emit(Op::Binary(BinaryOp::Add), &[&padded, &constants])?])
}

fn concat_ints(c: &Context<'_, '_>, parts: &[Data], axis: usize) -> Lowered<Vec<Data>> {
    let shapes = parts.iter().map(|p| c.shape(p)).collect::<Lowered<Vec<_>>>()?;
    let shape = Op::Concat { axis }.output_shape(&shapes.iter().collect::<Vec<_>>())?;
    check_folded(&shape)?;
    let outer: usize = shape.dims()[..axis].iter().product();
    let mut data = Vec::with_capacity(shape.len());
    for row in 0..outer {
        for part in parts {
            let Data::Ints(a) = part else { continue };
            let block = a.data.len() / outer;
            data.extend_from_slice(&a.data[row * block..][..block]);
        }
    }
    Ok(vec![Data::Ints(Arc::new(Array { shape: shape.dims().to_vec(), data }))])
}

/// Slices of a constant at some indices of an axis.
fn gather(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (x, indices) = (c.input(0)?, c.ints(1)?);
    if !x.is_constant() {
        return unsupported("it picks slices out of an activation");
    }
    let shape = c.shape(&x)?;
    let axis = c.axis(c.int("axis", 0), shape.rank())?;
    let len = shape.dims()[axis];
    let at = indices.data.iter().map(|&i| c.axis(i, len)).collect::<Lowered<Vec<_>>>()?;
    let inner: usize = shape.dims()[axis + 1..].iter().product();
    let outer: usize = shape.dims()[..axis].iter().product();
    let dims = [&shape.dims()[..axis], &indices.shape, &shape.dims()[axis + 1..]].concat();
    let to = Shape::new(dims);
    check_folded(&to)?;
    let picks =
        (0..outer).flat_map(|o| at.iter().flat_map(move |&i| (0..inner).map(move |n| (o * len + i) * inner + n)));
    Ok(vec![picked(&x, &to, picks)?])
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
        cuts[axis] = (start, count, step);
    }
    let to = Shape::new(cuts.iter().map(|c| c.1).collect::<Vec<_>>());
    if to == shape && cuts.iter().all(|c| c.2 == 1) {
        return Ok(vec![match &x {
            Data::Active(_) => c.emit(Op::Reshape(shape), &[&x])?,
            known => known.clone(),
        }]);
    }
    if !x.is_constant() {
        return unsupported("it cuts a part out of an activation");
    }
    check_folded(&to)?;
    // Walk the output with the input's strides; negative steps by wrapping arithmetic.
    let own = strides(&shape);
    let first: i64 = cuts.iter().zip(&own).map(|(c, &s)| c.0 * s as i64).sum();
    let step: Vec<usize> =
        cuts.iter().zip(&own).map(|(c, &s)| (c.2.unsigned_abs() as usize).saturating_mul(s)).collect();
    if cuts.iter().any(|c| c.2 < 0) && shape.rank() > 1 {
        return unsupported("it reverses a value of more than one dimension");
    }
    let backwards = cuts.iter().any(|c| c.2 < 0);
    let indices = strided_indices(to.dims(), &step).map(|i| match backwards {
        true => (first - i as i64) as usize,
        false => first as usize + i,
    });
    Ok(vec![picked(&x, &to, indices)?])
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
    match mode.as_str() {
        "" | "constant" => Ok(vec![c.emit(Op::Pad { before, after, value }, &[&x])?]),
        other => unsupported(format!("mode {other:?}; only \"constant\" is supported")),
    }
}
