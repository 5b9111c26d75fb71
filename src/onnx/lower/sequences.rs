//! Sequences of tensors, as far as it is known which tensor is where.

use std::sync::Arc;

use super::super::data::{Array, Data};
use super::{Context, Lowered, MAX_INDICES, Operator, unsupported, wrong};
use crate::graph::Op;
use crate::tensor::Shape;

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "SplitToSequence" => split,
        "SequenceConstruct" => |c| {
            let parts = (0..c.node.input.len()).map(|i| c.input(i)).collect::<Lowered<Vec<_>>>()?;
            Ok(vec![Data::Sequence(Arc::new(parts))])
        },
        "SequenceEmpty" => |_| Ok(vec![Data::Sequence(Arc::default())]),
        "SequenceInsert" => |c| {
            let (mut parts, new) = (sequence(c)?.to_vec(), c.input(1)?);
            let at = if c.optional(2).is_some() { place(c, 2, parts.len() + 1)? } else { parts.len() };
            parts.insert(at, new);
            Ok(vec![Data::Sequence(Arc::new(parts))])
        },
        "SequenceErase" => |c| {
            let mut parts = sequence(c)?.to_vec();
            let at = if c.optional(1).is_some() { place(c, 1, parts.len())? } else { parts.len().saturating_sub(1) };
            if parts.is_empty() {
                return wrong("its sequence is empty");
            }
            parts.remove(at);
            Ok(vec![Data::Sequence(Arc::new(parts))])
        },
        "SequenceLength" => |c| {
            let len = sequence(c)?.len() as i64;
            Ok(vec![Data::Ints(Arc::new(Array { shape: vec![], data: vec![len] }))])
        },
        "SequenceAt" => at,
        "ConcatFromSequence" => join,
        _ => return None,
    })
}

fn sequence(c: &Context<'_, '_>) -> Lowered<Arc<Vec<Data>>> {
    match c.input(0)? {
        Data::Sequence(parts) => Ok(parts),
        _ => wrong("its first input is no sequence"),
    }
}

/// A place in a sequence, negative ones counted from its end.
fn place(c: &Context<'_, '_>, input: usize, len: usize) -> Lowered<usize> {
    match c.ints(input)?.data.as_slice() {
        &[at] => c.axis(at, len),
        _ => wrong("its position is not one number"),
    }
}

/// The value under the node's own name.
fn named(c: &mut Context<'_, '_>, data: &Data) -> Lowered<Data> {
    match data {
        Data::Active(_) => {
            let shape = c.shape(data)?;
            c.emit(Op::Reshape(shape), &[data])
        }
        known => Ok(known.clone()),
    }
}

fn at(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let parts = sequence(c)?;
    let at = place(c, 1, parts.len())?;
    Ok(vec![named(c, &parts[at])?])
}

fn join(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let parts = sequence(c)?;
    let Some(first) = parts.first() else { return wrong("its sequence is empty") };
    let new = c.int("new_axis", 0) != 0;
    let rank = c.shape(first)?.rank();
    let axis = c.axis(c.int("axis", 0), rank + usize::from(new))?;
    let mut joined = Vec::with_capacity(parts.len());
    for (i, part) in parts.iter().enumerate() {
        joined.push(match new {
            false => part.clone(),
            true => {
                let mut dims = c.shape(part)?.dims().to_vec();
                dims.insert(axis, 1);
                c.emit_step(&format!("part{i}"), Op::Reshape(Shape::new(dims)), &[part])?
            }
        });
    }
    Ok(vec![c.emit(Op::Concat { axis }, &joined.iter().collect::<Vec<_>>())?])
}

fn split(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    if !matches!(x, Data::Active(_) | Data::Float(_)) {
        return unsupported("it splits whole numbers");
    }
    let axis = c.axis(c.int("axis", 0), shape.rank())?;
    let len = shape.dims()[axis];
    // Without sizes each part is one slice, and its axis may go away.
    let (sizes, drop) = match c.optional(1) {
        None => (vec![1; len.min(MAX_INDICES)], c.int("keepdims", 1) == 0),
        Some(_) => {
            let given = c.ints(1)?;
            let sizes: Option<Vec<usize>> =
                given.data.iter().map(|&s| usize::try_from(s).ok().filter(|&s| s > 0)).collect();
            match (sizes.as_deref(), given.shape.is_empty()) {
                (Some(&[size]), true) => {
                    let parts = len.div_ceil(size);
                    ((0..parts).map(|i| size.min(len - i * size)).collect(), false)
                }
                (Some(sizes), _) => (sizes.to_vec(), false),
                (None, _) => return wrong(format!("parts {:?} of axis {axis} of {shape}", given.data)),
            }
        }
    };
    if sizes.iter().try_fold(0usize, |n, &s| n.checked_add(s)) != Some(len) || sizes.len() > 4096 {
        return wrong(format!("{} parts do not fit axis {axis} of {shape}", sizes.len()));
    }
    let mut parts = Vec::with_capacity(sizes.len());
    let mut first = 0;
    for (i, size) in sizes.into_iter().enumerate() {
        let (mut start, mut dims) = (vec![0; shape.rank()], shape.dims().to_vec());
        (start[axis], dims[axis]) = (first, size);
        first += size;
        let op = Op::Slice { start, step: vec![1; shape.rank()], size: dims.clone() };
        let mut part = c.emit_step(&format!("part{i}"), op, &[&x])?;
        if drop {
            dims.remove(axis);
            part = c.emit_step(&format!("slice{i}"), Op::Reshape(Shape::new(dims)), &[&part])?;
        }
        parts.push(part);
    }
    Ok(vec![Data::Sequence(Arc::new(parts))])
}
