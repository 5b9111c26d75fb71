//! DequantizeLinear of weights. Quantized activations are not supported yet, and the message says what to do.

use std::sync::Arc;

use super::super::data::{Data, Int8Weight};
use super::layers::int8_matrix;
use super::{Context, Lowered, Operator, unsupported, wrong};
use crate::tensor::{Int8Tensor, Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "DequantizeLinear" => dequantize,
        "QuantizeLinear" => |c| {
            if c.input(0)?.is_constant() { unsupported("it quantizes a constant") } else { quantized_activations() }
        },
        _ => return None,
    })
}

fn quantized_activations<T>() -> Lowered<T> {
    unsupported(
        "quantized activations; use the float model, or `famlens quantize` it, which keeps activations as floats",
    )
}

/// `(x - zero_point) * scale`, the scale being one number or one for each index of an axis.
fn dequantize(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    if !x.is_constant() {
        return quantized_activations();
    }
    if c.int("block_size", 0) != 0 {
        return unsupported("one scale a block; only one scale a channel is supported");
    }
    let Some(scale) = c.input(1)?.as_float() else { return unsupported("its scale is not a float constant") };
    let shape = c.shape(&x)?;
    let axis = if scale.data().len() == 1 { 0 } else { c.axis(c.int("axis", 1), shape.rank())? };
    let channels = if shape.rank() == 0 { 1 } else { shape.dims()[axis] };
    let scales = match scale.data() {
        &[one] => vec![one; channels],
        many if many.len() == channels => many.to_vec(),
        many => return wrong(format!("{} scales do not fit axis {axis} of {shape}", many.len())),
    };
    let zero = match c.optional(2) {
        None => vec![0],
        Some(data) => integers(&data)?,
    };
    let zero = match zero.as_slice() {
        &[one] => vec![one; channels],
        many if many.len() == channels => many.to_vec(),
        many => return wrong(format!("{} zero points do not fit axis {axis} of {shape}", many.len())),
    };

    // Symmetric int8 weights with one scale per output channel stay as they are.
    if let (Data::Bytes(bytes), true) = (&x, zero.iter().all(|&z| z == 0)) {
        let symmetric = match (shape.dims(), axis) {
            (&[k, o], 1) => Some(int8_matrix(&bytes.data, k, o, scales.clone())?),
            ([_, _, ..], 0) => {
                let tensor = Arc::new(Int8Tensor::new(shape.clone(), bytes.data.clone(), scales.clone())?);
                Some(Int8Weight { tensor, transposed: false })
            }
            _ => None,
        };
        if let Some(weight) = symmetric.filter(|_| !shape.is_empty()) {
            return Ok(vec![Data::Int8(Arc::new(weight))]);
        }
    }
    let inner: usize = shape.dims().get(axis + 1..).unwrap_or_default().iter().product();
    let float = |(i, q): (usize, i64)| {
        let channel = i / inner.max(1) % channels.max(1);
        (q - zero[channel]) as f32 * scales[channel]
    };
    let data = integers(&x)?.into_iter().enumerate().map(float).collect();
    Ok(vec![Data::float(Tensor::new(Shape::new(shape.dims()), data)?)])
}

fn integers(data: &Data) -> Lowered<Vec<i64>> {
    match data {
        Data::Bytes(a) => Ok(a.data.iter().map(|&v| v.into()).collect()),
        Data::UnsignedBytes(a) => Ok(a.data.iter().map(|&v| v.into()).collect()),
        Data::Ints(a) => Ok(a.data.clone()),
        _ => wrong("it dequantizes a value that is not quantized"),
    }
}
