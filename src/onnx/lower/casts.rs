//! Conversions between types. Activations are single floats whatever the file calls them; constants are rounded to what
//! their new type holds.

use std::sync::Arc;

use super::super::data::{Array, Data};
use super::super::narrow;
use super::super::proto::data_type::{self, BFLOAT16, BOOL, DOUBLE, FLOAT, FLOAT16, INT32, INT64, UINT32, UINT64};
use super::arithmetic::scalar;
use super::{Context, Lowered, Operator, unsupported};
use crate::graph::{BinaryOp, Op};
use crate::tensor::{Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "Cast" => |c| {
            let (x, to) = (c.input(0)?, c.int("to", 0) as i32);
            convert(c, x, to)
        },
        "CastLike" => |c| {
            let (x, like) = (c.input(0)?, c.input(1)?);
            match (&like, c.kind(1)) {
                (_, Some(kind)) => convert(c, x, kind),
                (Data::Ints(_), None) => convert(c, x, INT64),
                (Data::Bytes(_), None) => convert(c, x, data_type::INT8),
                (Data::UnsignedBytes(_), None) => convert(c, x, data_type::UINT8),
                _ => convert(c, x, FLOAT),
            }
        },
        _ => return None,
    })
}

fn convert(c: &mut Context<'_, '_>, x: Data, to: i32) -> Lowered<Vec<Data>> {
    let float = matches!(to, FLOAT | DOUBLE | FLOAT16 | BFLOAT16);
    Ok(vec![match &x {
        Data::Active(_) if float => {
            let shape = c.shape(&x)?;
            c.emit(Op::Reshape(shape), &[&x])?
        }
        Data::Active(_) if to == BOOL => {
            let (zero, one) = (scalar(0.0)?, scalar(1.0)?);
            let equal = c.emit_step("zero", Op::Binary(BinaryOp::Equal), &[&x, &zero])?;
            c.emit(Op::Binary(BinaryOp::Sub), &[&one, &equal])?
        }
        Data::Float(_) | Data::Int8(_) if float => x,
        Data::Float(t) if narrow::is_float(to) => {
            let (saturate, towards) = (c.int("saturate", 1) != 0, c.string("round_mode"));
            let data = t.data().iter().map(|&v| narrow::rounded(to, v, saturate, &towards)).collect();
            Data::float(Tensor::new(t.shape().clone(), data)?)
        }
        Data::Float(t) => whole_numbers(t.shape().dims(), t.data().iter().map(|&v| truncated(v, to)), to)?,
        Data::Bytes(a) => whole_numbers(&a.shape, a.data.iter().map(|&v| v.into()), to)?,
        Data::UnsignedBytes(a) => whole_numbers(&a.shape, a.data.iter().map(|&v| v.into()), to)?,
        Data::Ints(a) => whole_numbers(&a.shape, a.data.iter().copied(), to)?,
        _ => return unsupported(format!("conversion of what depends on the image to {}", data_type::name(to))),
    }])
}

/// A float as a whole number; of a truth value whether it is not 0.
fn truncated(value: f32, to: i32) -> i64 {
    if to == BOOL { (value != 0.0).into() } else { value as i64 }
}

/// Whole numbers as a type.
fn whole_numbers(shape: &[usize], values: impl Iterator<Item = i64>, to: i32) -> Lowered<Data> {
    let shape = shape.to_vec();
    Ok(match to {
        FLOAT | DOUBLE | FLOAT16 | BFLOAT16 => {
            Data::float(Tensor::new(Shape::new(shape), values.map(|v| v as f32).collect())?)
        }
        INT64 | INT32 | UINT32 | UINT64 => Data::Ints(Arc::new(Array { shape, data: values.collect() })),
        BOOL => Data::Ints(Arc::new(Array { shape, data: values.map(|v| (v != 0).into()).collect() })),
        _ => match narrow::range(to) {
            None => return unsupported(format!("conversion to {}", data_type::name(to))),
            Some(range) => {
                let values = values.map(|v| narrow::wrapped(range, v));
                match range {
                    [-128..0, _] => Data::Bytes(Arc::new(Array { shape, data: values.map(|v| v as i8).collect() })),
                    [0, ..=255] => {
                        Data::UnsignedBytes(Arc::new(Array { shape, data: values.map(|v| v as u8).collect() }))
                    }
                    _ => Data::Ints(Arc::new(Array { shape, data: values.collect() })),
                }
            }
        },
    })
}
