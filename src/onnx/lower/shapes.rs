//! Values under another shape, and the shape arithmetic that exporters leave in the graph.

use std::sync::Arc;

use super::super::data::{Array, Data};
use super::{Context, Lowered, MAX_INDICES, Operator, check_folded, unsupported, wrong};
use crate::graph::Op;
pub(super) use crate::graph::evaluate::broadcast_indices;
use crate::graph::evaluate::{strided_indices, strides};
use crate::tensor::{Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "Identity" | "Dropout" => identity,
        "Reshape" => reshape,
        "Flatten" => flatten,
        "Squeeze" => squeeze,
        "Unsqueeze" => unsqueeze,
        "Transpose" => transpose,
        "Expand" => expand,
        "Tile" => tile,
        "DepthToSpace" => |c| blocks(c, false),
        "SpaceToDepth" => |c| blocks(c, true),
        "Shape" => shape_of,
        "Size" => |c| {
            let len = c.shape(&c.input(0)?)?.len();
            Ok(vec![Data::Ints(Arc::new(Array { shape: vec![], data: vec![len as i64] }))])
        },
        _ => return None,
    })
}

/// Keeps the value's name in the graph; the passes take it out where nobody asks for it.
fn identity(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    if c.node.op_type() == "Dropout" && c.optional(2).is_some_and(|t| matches!(t, Data::Ints(a) if a.data != [0])) {
        return unsupported("training_mode; export the model for inference (model.eval())");
    }
    let x = c.input(0)?;
    match x {
        Data::Active(_) => {
            let shape = c.shape(&x)?;
            Ok(vec![c.emit(Op::Reshape(shape), &[&x])?])
        }
        known => Ok(vec![known]),
    }
}

/// The same values under another shape.
fn reshaped(c: &mut Context<'_, '_>, x: &Data, dims: Vec<usize>) -> Lowered<Vec<Data>> {
    let from = c.shape(x)?;
    let shape = Shape::new(dims);
    if shape.checked_len() != from.checked_len() {
        return wrong(format!("{from} cannot be reshaped to {shape}"));
    }
    let dims = shape.dims().to_vec();
    Ok(vec![match x {
        Data::Active(_) => c.emit(Op::Reshape(shape), &[x])?,
        Data::Ints(a) => Data::Ints(Arc::new(Array { shape: dims, data: a.data.clone() })),
        Data::Bytes(a) => Data::Bytes(Arc::new(Array { shape: dims, data: a.data.clone() })),
        Data::UnsignedBytes(a) => Data::UnsignedBytes(Arc::new(Array { shape: dims, data: a.data.clone() })),
        Data::Float(t) => Data::float(Tensor::new(shape, t.data().to_vec())?),
        Data::Int8(w) => Data::float(Tensor::new(shape, w.dequantize().into_data())?),
        Data::Broken(_) | Data::Unread(_) | Data::Sequence(_) => return Err(super::Stop::Broken),
    }])
}

fn reshape(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let from = c.shape(&x)?;
    let asked = c.ints(1)?;
    let allow_zero = c.int("allowzero", 0) != 0;
    let mut dims = Vec::with_capacity(asked.data.len());
    let mut free = None;
    for (i, &dim) in asked.data.iter().enumerate() {
        dims.push(match dim {
            -1 if free.is_none() => {
                free = Some(i);
                1
            }
            0 if !allow_zero => match from.dims().get(i) {
                Some(&d) => d,
                None => return wrong(format!("shape {:?} copies a dimension that {from} does not have", asked.data)),
            },
            dim => match usize::try_from(dim) {
                Ok(d) => d,
                Err(_) => return wrong(format!("shape {:?} is not valid", asked.data)),
            },
        });
    }
    if let Some(i) = free {
        let rest = Shape::new(dims.as_slice()).checked_len().filter(|&n| n > 0);
        match rest {
            Some(n) if from.len().is_multiple_of(n) => dims[i] = from.len() / n,
            _ => return wrong(format!("{from} cannot be reshaped to {:?}", asked.data)),
        }
    }
    reshaped(c, &x, dims)
}

fn flatten(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    // The axis may also be the rank: everything is rows then.
    let axis = match c.int("axis", 1) {
        axis if axis == shape.rank() as i64 => shape.rank(),
        axis => c.axis(axis, shape.rank())?,
    };
    let dims = vec![shape.dims()[..axis].iter().product(), shape.dims()[axis..].iter().product()];
    reshaped(c, &x, dims)
}

fn squeeze(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let axes = match c.ints_by_attribute_or_input("axes", 1)? {
        Some(axes) => axes.iter().map(|&a| c.axis(a, shape.rank())).collect::<Lowered<Vec<_>>>()?,
        None => (0..shape.rank()).filter(|&i| shape.dims()[i] == 1).collect(),
    };
    if let Some(&axis) = axes.iter().find(|&&a| shape.dims()[a] != 1) {
        return wrong(format!("dimension {axis} of {shape} is not 1 and cannot be dropped"));
    }
    let kept = shape.dims().iter().enumerate().filter(|(i, _)| !axes.contains(i));
    let dims = kept.map(|(_, &d)| d).collect();
    reshaped(c, &x, dims)
}

fn unsqueeze(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let axes = c.ints_by_attribute_or_input("axes", 1)?.unwrap_or_default();
    let rank = shape.rank() + axes.len();
    if rank > 16 {
        return wrong(format!("a value of {rank} dimensions"));
    }
    let axes = axes.iter().map(|&a| c.axis(a, rank)).collect::<Lowered<Vec<_>>>()?;
    let mut rest = shape.dims().iter().copied();
    let dims: Vec<usize> = (0..rank).map(|i| if axes.contains(&i) { 1 } else { rest.next().unwrap_or(1) }).collect();
    reshaped(c, &x, dims)
}

fn transpose(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let perm = match c.attribute("perm") {
        Some(a) => a.ints.iter().map(|&p| c.axis(p, shape.rank())).collect::<Lowered<Vec<_>>>()?,
        None => (0..shape.rank()).rev().collect(),
    };
    let op = Op::Transpose { perm: perm.clone() };
    match &x {
        Data::Ints(_) | Data::Bytes(_) | Data::UnsignedBytes(_) => {
            let to = op.output_shape(&[&shape])?;
            let own = strides(&shape);
            let step: Vec<usize> = perm.iter().map(|&p| own[p]).collect();
            Ok(vec![picked(&x, &to, strided_indices(to.dims(), &step))?])
        }
        _ => Ok(vec![c.emit(op, &[&x])?]),
    }
}

/// Broadcasts to a shape.
fn expand(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let from = c.shape(&x)?;
    let asked: Option<Vec<usize>> = c.ints(1)?.data.iter().map(|&d| usize::try_from(d).ok()).collect();
    let Some(asked) = asked else { return wrong("the shape it expands to is negative") };
    let to = crate::graph::broadcast(&from, &Shape::new(asked))?;
    if to == from {
        return identity(c);
    }
    match &x {
        Data::Active(_) => {
            // Ones in front, then every dimension that grows repeats its only slice.
            let wide = [vec![1; to.rank() - from.rank()].as_slice(), from.dims()].concat();
            let grows: Vec<usize> = (0..to.rank()).filter(|&i| wide[i] != to.dims()[i]).collect();
            if grows.iter().any(|&axis| to.dims()[axis] > MAX_INDICES) {
                return wrong(format!("it expands {from} to {to}; the limit is {MAX_INDICES} times"));
            }
            let mut x = c.emit_step("wide", Op::Reshape(Shape::new(wide)), &[&x])?;
            for (i, &axis) in grows.iter().enumerate() {
                let op = Op::Gather { axis, indices: vec![0; to.dims()[axis]] };
                x = match i + 1 == grows.len() {
                    true => c.emit(op, &[&x])?,
                    false => c.emit_step(&format!("axis{axis}"), op, &[&x])?,
                };
            }
            match grows.is_empty() {
                true => Ok(vec![c.emit(Op::Reshape(to), &[&x])?]),
                false => Ok(vec![x]),
            }
        }
        known => {
            check_folded(&to)?;
            Ok(vec![picked(known, &to, broadcast_indices(&from, &to))?])
        }
    }
}

/// A value, over and over along each axis.
fn tile(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let from = c.shape(&x)?;
    let repeats: Option<Vec<usize>> = c.ints(1)?.data.iter().map(|&r| usize::try_from(r).ok()).collect();
    let Some(repeats) = repeats.filter(|r| r.len() == from.rank()) else {
        return wrong(format!("its repeats do not fit {from}"));
    };
    let to: Option<Vec<usize>> = from.dims().iter().zip(&repeats).map(|(d, r)| d.checked_mul(*r)).collect();
    let Some(to) = to.map(Shape::new).filter(|s| s.dims().iter().all(|&d| d <= MAX_INDICES)) else {
        return wrong(format!("it repeats {from} beyond the limit of {MAX_INDICES} slices"));
    };
    if to == from {
        return identity(c);
    }
    if x.is_constant() {
        check_folded(&to)?;
        // Along each axis a dimension that repeats, and one that runs over the input.
        let (own, dims) = (strides(&from), from.dims().iter().zip(&repeats).flat_map(|(&d, &r)| [r, d]));
        let (dims, step) = (dims.collect::<Vec<_>>(), own.iter().flat_map(|&s| [0, s]).collect::<Vec<_>>());
        return Ok(vec![picked(&x, &to, strided_indices(&dims, &step))?]);
    }
    let axes: Vec<usize> = (0..to.rank()).filter(|&i| repeats[i] != 1).collect();
    let mut x = x;
    for (i, &axis) in axes.iter().enumerate() {
        let indices = (0..to.dims()[axis]).map(|i| i % from.dims()[axis].max(1)).collect();
        let op = Op::Gather { axis, indices };
        x = match i + 1 == axes.len() {
            true => c.emit(op, &[&x])?,
            false => c.emit_step(&format!("axis{axis}"), op, &[&x])?,
        };
    }
    Ok(vec![x])
}

/// Channels to cells and back: a Reshape, a Transpose and a Reshape.
fn blocks(c: &mut Context<'_, '_>, to_depth: bool) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let (&[n, channels, h, w], Ok(b)) = (shape.dims(), usize::try_from(c.int("blocksize", 0))) else {
        return wrong(format!("over {shape} in blocks of {}", c.int("blocksize", 0)));
    };
    let fits = match to_depth {
        true => b > 0 && h.is_multiple_of(b) && w.is_multiple_of(b),
        false => b > 0 && b.checked_mul(b).is_some_and(|cells| channels.is_multiple_of(cells)),
    };
    if !fits {
        return wrong(format!("{shape} cannot be cut into blocks of {b}"));
    }
    let (split, perm, to) = match (to_depth, c.string("mode").as_str()) {
        (true, _) => {
            let split = [n, channels, h / b, b, w / b, b];
            (split, [0, 3, 5, 1, 2, 4], [n, channels * b * b, h / b, w / b])
        }
        (false, "CRD") => {
            let inner = channels / (b * b);
            ([n, inner, b, b, h, w], [0, 1, 4, 2, 5, 3], [n, inner, h * b, w * b])
        }
        (false, _) => {
            let inner = channels / (b * b);
            ([n, b, b, inner, h, w], [0, 3, 4, 1, 5, 2], [n, inner, h * b, w * b])
        }
    };
    let split = c.emit_step("blocks", Op::Reshape(Shape::from(split)), &[&x])?;
    let moved = c.emit_step("moved", Op::Transpose { perm: perm.to_vec() }, &[&split])?;
    Ok(vec![c.emit(Op::Reshape(Shape::from(to)), &[&moved])?])
}

fn shape_of(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let shape = c.shape(&c.input(0)?)?;
    let rank = shape.rank() as i64;
    let at = |name: &str, default: i64| {
        let v = c.int(name, default);
        (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize
    };
    let (start, end) = (at("start", 0), at("end", rank));
    let dims = shape.dims().get(start..end).unwrap_or_default();
    Ok(vec![Data::ints(dims.iter().map(|&d| d as i64).collect())])
}

/// A constant of shape `to` whose elements are those of `x` at `indices`.
pub(super) fn picked(x: &Data, to: &Shape, indices: impl Iterator<Item = usize>) -> Lowered<Data> {
    check_folded(to)?;
    fn pick<T: Copy>(data: &[T], indices: impl Iterator<Item = usize>) -> Lowered<Vec<T>> {
        let values: Option<Vec<T>> = indices.map(|i| data.get(i).copied()).collect();
        values.ok_or_else(|| super::Stop::Wrong("an index is out of range".into()))
    }
    let shape = to.dims().to_vec();
    Ok(match x {
        Data::Ints(a) => Data::Ints(Arc::new(Array { shape, data: pick(&a.data, indices)? })),
        Data::Bytes(a) => Data::Bytes(Arc::new(Array { shape, data: pick(&a.data, indices)? })),
        Data::UnsignedBytes(a) => Data::UnsignedBytes(Arc::new(Array { shape, data: pick(&a.data, indices)? })),
        other => match other.as_float() {
            Some(t) => Data::float(Tensor::new(to.clone(), pick(t.data(), indices)?)?),
            None => return Err(super::Stop::Broken),
        },
    })
}
