//! Constants, and ops that join or convert.

use std::sync::Arc;

use super::super::data::{Array, Data, read};
use super::shapes::picked;
use super::{Context, Lowered, MAX_FOLDED, Operator, check_folded, unsupported, wrong};
use crate::graph::Op;
use crate::graph::evaluate::strides;
use crate::tensor::{Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "Constant" => constant,
        "ConstantOfShape" => constant_of_shape,
        "Range" => range,
        "Concat" => concat,
        "NonZero" => places,
        "ScatterND" => scatter,
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
    if let Some(start) = c.input(0)?.as_float() {
        let number = |i: usize| c.scalar(i).map(|v| f64::from(v.unwrap_or(0.0)));
        let (start, limit, step) = (f64::from(start.data().first().copied().unwrap_or(0.0)), number(1)?, number(2)?);
        let len = ((limit - start) / step).ceil().max(0.0);
        if len.is_nan() || len > MAX_FOLDED as f64 {
            return wrong(format!("it computes a constant of {len} elements; the limit is {MAX_FOLDED}"));
        }
        let data: Vec<f32> = (0..len as usize).map(|i| (start + i as f64 * step) as f32).collect();
        return Ok(vec![Data::float(Tensor::new([data.len()], data)?)]);
    }
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

/// The indices of what is not 0 in a constant, one row a dimension.
fn places(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let found: Vec<bool> = match c.input(0)? {
        Data::Ints(a) => a.data.iter().map(|&v| v != 0).collect(),
        x => match x.as_float() {
            Some(t) => t.data().iter().map(|&v| v != 0.0).collect(),
            None => return unsupported("it is only supported for constants"),
        },
    };
    let shape = c.shape(&c.input(0)?)?;
    let found: Vec<usize> = (0..found.len()).filter(|&i| found[i]).collect();
    check_folded(&Shape::from([shape.rank(), found.len()]))?;
    let mut data = Vec::with_capacity(found.len() * shape.rank());
    for (step, &d) in strides(&shape).into_iter().zip(shape.dims()) {
        data.extend(found.iter().map(|i| (i / step % d) as i64));
    }
    Ok(vec![Data::Ints(Arc::new(Array { shape: vec![shape.rank(), found.len()], data }))])
}

/// A constant with some of its slices replaced.
fn scatter(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (x, indices, updates) = (c.input(0)?, c.ints(1)?, c.input(2)?);
    let reduction = c.string("reduction");
    if !matches!(reduction.as_str(), "" | "none") {
        return unsupported(format!("reduction {reduction:?}"));
    }
    let shape = c.shape(&x)?;
    let Some((&depth, rows)) = indices.shape.split_last().filter(|(d, _)| **d <= shape.rank()) else {
        return wrong(format!("its indices of shape {:?} do not fit {shape}", indices.shape));
    };
    let inner: usize = shape.dims()[depth..].iter().product();
    let rows: usize = rows.iter().product();
    if depth == 0 || inner == 0 || c.shape(&updates)?.len() != rows.saturating_mul(inner) {
        return wrong(format!("updates {} do not fit {rows} slices of {inner}", c.shape(&updates)?));
    }
    let own = strides(&shape);
    let mut starts = Vec::with_capacity(indices.data.len() / depth);
    for row in indices.data.chunks_exact(depth) {
        let mut start = 0;
        for ((&i, &d), &s) in row.iter().zip(shape.dims()).zip(&own) {
            start += c.axis(i, d)? * s;
        }
        starts.push(start);
    }
    fn replace<T: Copy>(data: &[T], starts: &[usize], inner: usize, updates: &[T]) -> Vec<T> {
        let mut data = data.to_vec();
        for (&start, update) in starts.iter().zip(updates.chunks_exact(inner)) {
            data[start..start + inner].copy_from_slice(update);
        }
        data
    }
    Ok(vec![match (&x, &updates) {
        (Data::Ints(a), Data::Ints(b)) => {
            let data = replace(&a.data, &starts, inner, &b.data);
            Data::Ints(Arc::new(Array { shape: a.shape.clone(), data }))
        }
        (a, b) => {
            let (Some(a), Some(b)) = (a.as_float(), b.as_float()) else {
                return unsupported("it replaces parts of an activation");
            };
            Data::float(Tensor::new(shape, replace(a.data(), &starts, inner, b.data()))?)
        }
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
    Ok(vec![c.emit(Op::Concat { axis }, &kept)?])
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
