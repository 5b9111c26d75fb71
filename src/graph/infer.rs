//! Shape inference: one total `match` over [`Op`].

use super::bounds::{MAX_SCORES, check_taps, windows};
use super::op::{Conv2d, Op};
use crate::tensor::Shape;

impl Op {
    /// The shape of the output for inputs of these shapes (constants included, in the order stated at the variant).
    ///
    /// # Errors
    /// Says in words which shapes do not fit; the caller adds the node's name.
    pub fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, String> {
        let arity = |n: usize| match inputs.len() == n {
            true => Ok(()),
            false => Err(format!("takes {n} inputs and has {}", inputs.len())),
        };
        match self {
            Self::Conv2d(conv) => {
                arity(3 + usize::from(conv.residual))?;
                let out = conv_shape(conv, inputs[0], inputs[1])?;
                if inputs[2].dims() != [out.dims()[1]] {
                    return Err(format!("bias {} does not fit {} output channels", inputs[2], out.dims()[1]));
                }
                match inputs.get(3) {
                    Some(residual) if **residual != out => Err(format!("residual {residual} is not {out}")),
                    _ => Ok(out),
                }
            }
            Self::Linear(_) => {
                arity(3)?;
                let (x, weight) = (inputs[0].dims(), inputs[1].dims());
                match (x.split_last(), weight) {
                    (Some((k, lead)), [o, wk]) if k == wk && inputs[2].dims() == [*o] => {
                        Ok(Shape::new([lead, &[*o]].concat()))
                    }
                    _ => Err(format!("input {}, weight {} and bias {} do not fit", inputs[0], inputs[1], inputs[2])),
                }
            }
            Self::MatMul => {
                arity(2)?;
                match (inputs[0].dims(), inputs[1].dims()) {
                    ([la @ .., m, k], [lb @ .., kb, n]) if k == kb => {
                        let lead = broadcast(&Shape::new(la), &Shape::new(lb))?;
                        Ok(Shape::new([lead.dims(), &[*m, *n]].concat()))
                    }
                    _ => Err(format!("{} and {} cannot be multiplied", inputs[0], inputs[1])),
                }
            }
            Self::Activation(_) | Self::Quantize(_) => arity(1).map(|()| inputs[0].clone()),
            Self::Softmax { axis } => {
                arity(1)?;
                axis_in(*axis, inputs[0]).map(|()| inputs[0].clone())
            }
            Self::Binary(_) => {
                arity(2)?;
                broadcast(inputs[0], inputs[1])
            }
            Self::Pool2d(p) => {
                arity(1)?;
                let [n, c, h, w] = four(inputs[0])?;
                check_taps(p.kernel)?;
                let oh = windows(h, p.kernel[0], p.strides[0], p.dilations[0], [p.pads[0], p.pads[2]])?;
                let ow = windows(w, p.kernel[1], p.strides[1], p.dilations[1], [p.pads[1], p.pads[3]])?;
                Ok(Shape::from([n, c, oh, ow]))
            }
            Self::Reduce { axes, keep_dims, .. } => {
                arity(1)?;
                axes.iter().try_for_each(|&a| axis_in(a, inputs[0]))?;
                if !axes.is_sorted_by(|a, b| a < b) {
                    return Err(format!("the axes {axes:?} are not ascending"));
                }
                let dims = inputs[0].dims().iter().enumerate();
                let dims = dims.filter_map(|(i, &d)| match axes.contains(&i) {
                    true => keep_dims.then_some(1),
                    false => Some(d),
                });
                Ok(Shape::new(dims.collect::<Vec<_>>()))
            }
            Self::Reshape(shape) => {
                arity(1)?;
                match shape.checked_len() == inputs[0].checked_len() {
                    true => Ok(shape.clone()),
                    false => Err(format!("{} cannot be reshaped to {shape}", inputs[0])),
                }
            }
            Self::Transpose { perm } => {
                arity(1)?;
                let mut sorted = perm.clone();
                sorted.sort_unstable();
                match sorted.iter().copied().eq(0..inputs[0].rank()) {
                    true => Ok(Shape::new(perm.iter().map(|&p| inputs[0].dims()[p]).collect::<Vec<_>>())),
                    false => Err(format!("{perm:?} is not a permutation of the dimensions of {}", inputs[0])),
                }
            }
            Self::Concat { axis } => {
                let first = inputs.first().ok_or("has no inputs")?;
                axis_in(*axis, first)?;
                let mut dims = first.dims().to_vec();
                for other in &inputs[1..] {
                    let fits =
                        other.rank() == dims.len() && (0..dims.len()).all(|i| i == *axis || other.dims()[i] == dims[i]);
                    if !fits {
                        return Err(format!("{first} and {other} cannot be joined along axis {axis}"));
                    }
                    dims[*axis] = dims[*axis].saturating_add(other.dims()[*axis]);
                }
                Ok(Shape::new(dims))
            }
            Self::Pad { before, after, .. } => {
                arity(1)?;
                let dims = inputs[0].dims();
                if before.len() != dims.len() || after.len() != dims.len() {
                    return Err(format!("{before:?} and {after:?} do not fit {}", inputs[0]));
                }
                let padded =
                    dims.iter().zip(before).zip(after).map(|((&d, &b), &a)| d.saturating_add(b).saturating_add(a));
                Ok(Shape::new(padded.collect::<Vec<_>>()))
            }
            Self::LayerNorm(norm) => {
                arity(3)?;
                norm.axes.iter().try_for_each(|&a| axis_in(a, inputs[0]))?;
                if norm.axes.is_empty() || !norm.axes.is_sorted_by(|a, b| a < b) {
                    return Err(format!("the axes {:?} are not ascending", norm.axes));
                }
                for (what, parameter) in [("scale", inputs[1]), ("bias", inputs[2])] {
                    if broadcast(parameter, inputs[0])? != *inputs[0] {
                        return Err(format!("{what} {parameter} does not fit {}", inputs[0]));
                    }
                }
                Ok(inputs[0].clone())
            }
            Self::Attention(attention) => {
                arity(3 + usize::from(attention.mask))?;
                attention_shape(inputs)
            }
            Self::Slice { start, step, size } => {
                arity(1)?;
                let dims = inputs[0].dims();
                if [start.len(), step.len(), size.len()] != [dims.len(); 3] {
                    return Err(format!("a part {start:?} {step:?} {size:?} does not fit {}", inputs[0]));
                }
                let fits = |i: usize| {
                    let last =
                        (size[i] as isize - 1).checked_mul(step[i]).and_then(|n| n.checked_add_unsigned(start[i]));
                    let inside = |at: isize| usize::try_from(at).is_ok_and(|at| at < dims[i]);
                    step[i] != 0 && (size[i] == 0 || inside(start[i] as isize) && last.is_some_and(inside))
                };
                match (0..dims.len()).all(fits) {
                    true => Ok(Shape::new(size.as_slice())),
                    false => Err(format!("a part {start:?} {step:?} {size:?} is outside {}", inputs[0])),
                }
            }
            Self::Gather { axis, indices } => {
                arity(1)?;
                axis_in(*axis, inputs[0])?;
                let mut dims = inputs[0].dims().to_vec();
                if let Some(index) = indices.iter().find(|&&i| i >= dims[*axis]) {
                    return Err(format!("index {index} is outside axis {axis} of {}", inputs[0]));
                }
                dims[*axis] = indices.len();
                Ok(Shape::new(dims))
            }
        }
    }
}

/// `[.., M, E]` from `q [.., M, D]`, `k [.., N, D]`, `v [.., N, E]` and perhaps a mask.
fn attention_shape(inputs: &[&Shape]) -> Result<Shape, String> {
    let (q, k, v) = (inputs[0], inputs[1], inputs[2]);
    match (q.dims(), k.dims(), v.dims()) {
        ([lq @ .., m, d], [lk @ .., n, dk], [lv @ .., nv, e]) if lq == lk && lk == lv && d == dk && n == nv => {
            let products = Shape::new([lq, &[*m, *n]].concat());
            if products.checked_len().is_none_or(|n| n >= MAX_SCORES) {
                return Err(format!("its scores would be {products}, which is too large (the limit is {MAX_SCORES})"));
            }
            match inputs.get(3) {
                Some(mask) if broadcast(mask, &products)? != products => {
                    Err(format!("mask {mask} does not fit products of {products}"))
                }
                _ => Ok(Shape::new([lq, &[*m, *e]].concat())),
            }
        }
        _ => Err(format!("queries {q}, keys {k} and values {v} do not fit")),
    }
}

/// The numpy broadcast of two shapes.
pub(crate) fn broadcast(a: &Shape, b: &Shape) -> Result<Shape, String> {
    let rank = a.rank().max(b.rank());
    let dim = |s: &Shape, i: usize| (i + s.rank()).checked_sub(rank).map_or(1, |i| s.dims()[i]);
    let dims = (0..rank).map(|i| match (dim(a, i), dim(b, i)) {
        (x, y) if x == y => Ok(x),
        (1, y) => Ok(y),
        (x, 1) => Ok(x),
        _ => Err(format!("{a} and {b} cannot be broadcast together")),
    });
    dims.collect::<Result<Vec<_>, _>>().map(Shape::new)
}

fn conv_shape(conv: &Conv2d, x: &Shape, weight: &Shape) -> Result<Shape, String> {
    let ([n, c, h, w], [o, ci, kh, kw]) = (four(x)?, four(weight)?);
    if conv.groups == 0 || ci.checked_mul(conv.groups) != Some(c) || o == 0 || o % conv.groups != 0 {
        return Err(format!("weight {weight} in {} groups does not fit input {x}", conv.groups));
    }
    check_taps([kh, kw])?;
    let oh = windows(h, kh, conv.strides[0], conv.dilations[0], [conv.pads[0], conv.pads[2]])?;
    let ow = windows(w, kw, conv.strides[1], conv.dilations[1], [conv.pads[1], conv.pads[3]])?;
    Ok(Shape::from([n, o, oh, ow]))
}

fn four(s: &Shape) -> Result<[usize; 4], String> {
    s.dims().try_into().map_err(|_| format!("{s} does not have four dimensions"))
}

fn axis_in(axis: usize, s: &Shape) -> Result<(), String> {
    if axis < s.rank() { Ok(()) } else { Err(format!("axis {axis} is outside {s}")) }
}
