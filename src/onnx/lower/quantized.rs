//! Quantised models. Weights that DequantizeLinear scales stay int8 where an engine can use them. Quantised activations
//! are whole numbers held as floats: QuantizeLinear rounds to them, and together with the DequantizeLinear that follows
//! it is one rounding of the value (fake quantisation). Products of whole numbers (ConvInteger, MatMulInteger) are
//! products of floats: below 2^24 a float holds every whole number.

use std::sync::Arc;

use super::super::data::{Array, Data, Int8Weight};
use super::super::narrow;
use super::super::proto::data_type;
use super::layers::{convolve, int8_matrix, matmul};
use super::{Context, Lowered, Operator, unsupported, wrong};
use crate::graph::evaluate::strides;
use crate::graph::{Activation, BinaryOp, Op, Quantize, ReduceKind};
use crate::tensor::{Int8Tensor, Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "DequantizeLinear" => |c| {
            let (x, scale, zero) = (c.input(0)?, c.input(1)?, c.optional(2));
            let x = dequantize(c, None, &x, &scale, zero.as_ref())?;
            Ok(vec![x])
        },
        "QuantizeLinear" => |c| {
            let (x, scale, zero) = (c.input(0)?, c.input(1)?, c.optional(2));
            Ok(vec![quantize(c, &x, &scale, zero.as_ref())?])
        },
        "DynamicQuantizeLinear" => quantize_dynamically,
        "MatMulInteger" => matmul_integer,
        "ConvInteger" => conv_integer,
        "QLinearMatMul" => qlinear_matmul,
        "QLinearConv" => qlinear_conv,
        _ => return None,
    })
}

/// A scale or zero point: one number, or one for each index of an axis.
fn levels(values: &[f32], channels: usize, what: &str, axis: usize, shape: &Shape) -> Lowered<Vec<f32>> {
    match values {
        &[one] => Ok(vec![one; channels]),
        many if many.len() == channels => Ok(many.to_vec()),
        many => wrong(format!("{} {what}s do not fit axis {axis} of {shape}", many.len())),
    }
}

/// The values of scale and zero point along an axis, and that axis.
fn parameters(
    c: &Context<'_, '_>,
    shape: &Shape,
    scale: &Data,
    zero: Option<&Data>,
) -> Lowered<(usize, Vec<f32>, Vec<f32>)> {
    if c.int("block_size", 0) != 0 {
        return unsupported("one scale a block; of activations only one scale a channel is supported");
    }
    let Some(scale) = scale.as_float() else { return unsupported("its scale is not a float constant") };
    let axis = if scale.data().len() == 1 { 0 } else { c.axis(c.int("axis", 1), shape.rank())? };
    let channels = shape.dims().get(axis).copied().unwrap_or(1);
    let scales = levels(scale.data(), channels, "scale", axis, shape)?;
    let zeros: Vec<f32> = match zero {
        None => vec![0.0],
        Some(data) => numbers(data)?,
    };
    Ok((axis, scales, levels(&zeros, channels, "zero point", axis, shape)?))
}

/// Values along one axis as a constant that is broadcast to `shape`; one number if all are alike.
fn along(shape: &Shape, axis: usize, values: &[f32]) -> Lowered<Data> {
    let alike = values.first().is_some_and(|a| values.iter().all(|b| a == b));
    let (dims, values) = match alike {
        true => (Vec::new(), values[..1].to_vec()),
        false => {
            let dims = (0..shape.rank()).map(|i| if i == axis { values.len() } else { 1 }).collect();
            (dims, values.to_vec())
        }
    };
    Ok(Data::float(Tensor::new(Shape::new(dims), values)?))
}

/// The type of the levels of QuantizeLinear: that of its zero point; uint8 where none is given.
fn levels_type(c: &Context<'_, '_>, zero: Option<&Data>) -> i32 {
    match (c.kind(2), zero) {
        (Some(kind), Some(_)) if c.node.op_type() == "QuantizeLinear" => kind,
        (_, Some(Data::Bytes(_))) => data_type::INT8,
        (_, Some(Data::UnsignedBytes(_))) => data_type::UINT8,
        (_, Some(_)) => 0,
        (_, None) => match c.int("output_dtype", 0) as i32 {
            0 => data_type::UINT8,
            given => given,
        },
    }
}

/// The least and the largest level of a type.
fn range(code: i32) -> Lowered<[f32; 2]> {
    match narrow::range(code) {
        Some([low, high]) => Ok([low as f32, high as f32]),
        None => unsupported(format!("levels of type {}", data_type::name(code))),
    }
}

/// For each element of a constant the place of its scale, where each block along an axis has one; nothing where scales are
/// given otherwise.
fn blocks(c: &Context<'_, '_>, shape: &Shape, scale: &Shape) -> Lowered<Option<Vec<usize>>> {
    let Ok(size) = usize::try_from(c.int("block_size", 0)) else { return wrong("its block_size is negative") };
    if size == 0 {
        return Ok(None);
    }
    let axis = c.axis(c.int("axis", 1), shape.rank())?;
    let wanted = |(i, &d): (usize, &usize)| if i == axis { d.div_ceil(size) } else { d };
    if scale.dims() != shape.dims().iter().enumerate().map(wanted).collect::<Vec<_>>() {
        return wrong(format!("its scales {scale} do not fit {shape} in blocks of {size}"));
    }
    let (own, of) = (strides(shape), strides(scale));
    let place = |i: usize| {
        let at = |d: usize| i / own[d] % shape.dims()[d];
        (0..shape.rank()).map(|d| (if d == axis { at(d) / size } else { at(d) }) * of[d]).sum()
    };
    Ok(Some((0..shape.len()).map(place).collect()))
}

/// `clamp(round(x / scale) + zero)`.
pub(super) fn quantize(c: &mut Context<'_, '_>, x: &Data, scale: &Data, zero: Option<&Data>) -> Lowered<Data> {
    let shape = c.shape(x)?;
    let kind = levels_type(c, zero);
    if let (Some(t), Some(s), true) = (x.as_float(), scale.as_float(), narrow::is_float(kind)) {
        return round_to_floats(c, &t, &s, kind);
    }
    let [low, high] = range(kind)?;
    if let (Some(t), Some(s)) = (x.as_float(), scale.as_float())
        && let Some(places) = blocks(c, &shape, s.shape())?
    {
        let zeros = zero.map_or(Ok(vec![0.0; s.data().len()]), numbers)?;
        let level = |(v, &at): (&f32, &usize)| ((v / s.data()[at]).round_ties_even() + zeros[at]).clamp(low, high);
        return levels_of(kind, shape.dims(), t.data().iter().zip(&places).map(level));
    }
    let (axis, scales, zeros) = parameters(c, &shape, scale, zero)?;
    if let Some(bad) = scales.iter().find(|s| !(**s > 0.0 && s.is_finite())) {
        return wrong(format!("its scale is {bad}"));
    }
    if let Some(t) = x.as_float() {
        let inner: usize = shape.dims().get(axis + 1..).unwrap_or_default().iter().product();
        let level = |(i, v): (usize, &f32)| {
            let channel = i / inner.max(1) % scales.len();
            ((v / scales[channel]).round_ties_even() + zeros[channel]).clamp(low, high)
        };
        return levels_of(kind, shape.dims(), t.data().iter().enumerate().map(level));
    }
    let alike = |values: &[f32]| values.iter().all(|v| *v == values[0]);
    if alike(&scales) && alike(&zeros) {
        let op = Quantize { scale: scales[0], zero: zeros[0], range: [low, high], dequantize: false };
        return c.emit(Op::Quantize(op), &[x]);
    }
    let (scales, zeros) = (along(&shape, axis, &scales)?, along(&shape, axis, &zeros)?);
    round_to_levels(c, x, &scales, &zeros, [low, high])
}

/// Levels as a constant of their type.
fn levels_of(kind: i32, dims: &[usize], levels: impl Iterator<Item = f32>) -> Lowered<Data> {
    let shape = dims.to_vec();
    Ok(match narrow::range(kind) {
        Some([-128..0, _]) => Data::Bytes(Arc::new(Array { shape, data: levels.map(|v| v as i8).collect() })),
        Some([0, ..=255]) => Data::UnsignedBytes(Arc::new(Array { shape, data: levels.map(|v| v as u8).collect() })),
        _ => Data::Ints(Arc::new(Array { shape, data: levels.map(|v| v as i64).collect() })),
    })
}

/// `x / scale` of a constant, rounded to floats of few bits.
fn round_to_floats(c: &Context<'_, '_>, x: &Tensor, scale: &Tensor, kind: i32) -> Lowered<Data> {
    let axis = if scale.data().len() == 1 { 0 } else { c.axis(c.int("axis", 1), x.shape().rank())? };
    let channels = x.shape().dims().get(axis).copied().unwrap_or(1);
    let scales = levels(scale.data(), channels, "scale", axis, x.shape())?;
    let inner: usize = x.shape().dims().get(axis + 1..).unwrap_or_default().iter().product();
    let saturate = c.int("saturate", 1) != 0;
    let one = |(i, v): (usize, &f32)| narrow::rounded(kind, v / scales[i / inner.max(1) % scales.len()], saturate, "");
    Ok(Data::float(Tensor::new(x.shape().clone(), x.data().iter().enumerate().map(one).collect())?))
}

/// The same in single steps, where scale and zero point are no plain numbers.
fn round_to_levels(c: &mut Context<'_, '_>, x: &Data, scale: &Data, zero: &Data, range: [f32; 2]) -> Lowered<Data> {
    let x = c.emit_step("divided", Op::Binary(BinaryOp::Div), &[x, scale])?;
    let x = c.emit_step("rounded", Op::Activation(Activation::Round), &[&x])?;
    let x = c.emit_step("shifted", Op::Binary(BinaryOp::Add), &[&x, zero])?;
    c.emit(Op::Activation(Activation::Clip(range[0], range[1])), &[&x])
}

/// `(x - zero) * scale`, as the node's output or a step on the way.
pub(super) fn dequantize(
    c: &mut Context<'_, '_>,
    step: Option<&str>,
    x: &Data,
    scale: &Data,
    zero: Option<&Data>,
) -> Lowered<Data> {
    let shape = c.shape(x)?;
    if let (true, Some(s)) = (x.is_constant(), scale.as_float())
        && let Some(places) = blocks(c, &shape, s.shape())?
    {
        let zeros = zero.map_or(Ok(vec![0.0; s.data().len()]), numbers)?;
        let value = |(v, &at): (&f32, &usize)| (v - zeros[at]) * s.data()[at];
        return Ok(Data::float(Tensor::new(shape, numbers(x)?.iter().zip(&places).map(value).collect())?));
    }
    let (axis, scales, zeros) = parameters(c, &shape, scale, zero)?;
    if x.is_constant() {
        return dequantize_constant(x, &shape, axis, &scales, &zeros);
    }
    let emit = |c: &mut Context<'_, '_>, op: Op, inputs: &[&Data]| match step {
        Some(step) => c.emit_step(step, op, inputs),
        None => c.emit(op, inputs),
    };
    // What was just rounded with the same scale and zero point is one rounding of the value before.
    if let Some((Op::Quantize(q), from)) = c.producer(x)
        && scales.iter().all(|s| *s == q.scale)
        && zeros.iter().all(|z| *z == q.zero)
    {
        return emit(c, Op::Quantize(Quantize { dequantize: true, ..q }), &[&from]);
    }
    let (scales, zeros) = (along(&shape, axis, &scales)?, along(&shape, axis, &zeros)?);
    let title = step.unwrap_or("dequantised");
    let shifted = c.emit_step(&format!("{title}/shifted"), Op::Binary(BinaryOp::Sub), &[x, &zeros])?;
    emit(c, Op::Binary(BinaryOp::Mul), &[&shifted, &scales])
}

fn dequantize_constant(x: &Data, shape: &Shape, axis: usize, scales: &[f32], zeros: &[f32]) -> Lowered<Data> {
    // Symmetric int8 weights with one scale per output channel stay as they are.
    if let (Data::Bytes(bytes), true) = (x, zeros.iter().all(|&z| z == 0.0)) {
        let symmetric = match *shape.dims() {
            [k, o] if axis == 1 => Some(int8_matrix(&bytes.data, k, o, scales.to_vec())?),
            [_, _, ..] if axis == 0 => {
                let tensor = Arc::new(Int8Tensor::new(shape.clone(), bytes.data.clone(), scales.to_vec())?);
                Some(Int8Weight { tensor, transposed: false })
            }
            _ => None,
        };
        if let Some(weight) = symmetric.filter(|_| !shape.is_empty()) {
            return Ok(Data::Int8(Arc::new(weight)));
        }
    }
    let inner: usize = shape.dims().get(axis + 1..).unwrap_or_default().iter().product();
    let float = |(i, q): (usize, f32)| {
        let channel = i / inner.max(1) % scales.len().max(1);
        (q - zeros[channel]) * scales[channel]
    };
    let data = numbers(x)?.into_iter().enumerate().map(float).collect();
    Ok(Data::float(Tensor::new(Shape::new(shape.dims()), data)?))
}

/// The levels of a constant, which are whole numbers or floats of few bits.
fn numbers(data: &Data) -> Lowered<Vec<f32>> {
    match data {
        Data::Float(t) => Ok(t.data().to_vec()),
        other => Ok(integers(other)?.into_iter().map(|v| v as f32).collect()),
    }
}

fn integers(data: &Data) -> Lowered<Vec<i64>> {
    match data {
        Data::Bytes(a) => Ok(a.data.iter().map(|&v| v.into()).collect()),
        Data::UnsignedBytes(a) => Ok(a.data.iter().map(|&v| v.into()).collect()),
        Data::Ints(a) => Ok(a.data.clone()),
        // Levels and zero point of a constant that the file quantises dynamically, such as a query that was learned.
        Data::Float(t) if t.data().iter().all(|v| v.fract() == 0.0) => Ok(t.data().iter().map(|&v| v as i64).collect()),
        Data::Active(_) => unsupported("its zero point depends on the image"),
        _ => wrong("it reads whole numbers where there are none"),
    }
}

pub(super) fn number(value: f32) -> Lowered<Data> {
    Ok(Data::float(Tensor::new(Shape::default(), vec![value])?))
}

/// Rounds to 256 levels between the least and the largest value of this very input; gives the levels, the scale and the
/// zero point.
fn quantize_dynamically(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let axes: Vec<usize> = (0..c.shape(&x)?.rank()).collect();
    let bound = |c: &mut Context<'_, '_>, step: &str, kind: ReduceKind, clip: Activation| {
        let reduce = Op::Reduce { kind, axes: axes.clone(), keep_dims: true };
        let found = c.emit_step(step, reduce, &[&x])?;
        // The range holds 0.
        let found = c.emit_step(&format!("{step}/with_zero"), Op::Activation(clip), &[&found])?;
        c.emit_step(&format!("{step}/number"), Op::Reshape(Shape::default()), &[&found])
    };
    let low = bound(c, "low", ReduceKind::Min, Activation::Clip(f32::MIN, 0.0))?;
    let high = bound(c, "high", ReduceKind::Max, Activation::Clip(0.0, f32::MAX))?;
    let span = c.emit_step("span", Op::Binary(BinaryOp::Sub), &[&high, &low])?;
    // Where everything is 0 any step will do.
    let span = c.emit_step("positive", Op::Activation(Activation::Clip(1e-30, f32::MAX)), &[&span])?;
    let scale = c.emit_output(1, Op::Binary(BinaryOp::Div), &[&span, &number(255.0)?])?;
    let zero = c.emit_step("zero", Op::Binary(BinaryOp::Div), &[&low, &scale])?;
    let zero = c.emit_step("zero/negative", Op::Binary(BinaryOp::Sub), &[&number(0.0)?, &zero])?;
    let zero = c.emit_step("zero/rounded", Op::Activation(Activation::Round), &[&zero])?;
    let zero = c.emit_output(2, Op::Activation(Activation::Clip(0.0, 255.0)), &[&zero])?;
    let levels = round_to_levels(c, &x, &scale, &zero, [0.0, 255.0])?;
    Ok(vec![levels, scale, zero])
}

/// Levels minus their zero point: of a constant as a weight, of an activation as a step.
fn centred(c: &mut Context<'_, '_>, step: &str, x: &Data, zero: Option<&Data>, axis: usize) -> Lowered<Data> {
    if x.is_constant() {
        let shape = c.shape(x)?;
        let channels = shape.dims().get(axis).copied().unwrap_or(1);
        let zeros: Vec<f32> = match zero {
            None => vec![0.0],
            Some(data) => integers(data)?.iter().map(|&v| v as f32).collect(),
        };
        // A zero point an index belongs to the output channels: columns of a matrix, rows of filters.
        let (axis, channels) =
            if zeros.len() == 1 { (0, shape.dims().first().copied().unwrap_or(1)) } else { (axis, channels) };
        let zeros = levels(&zeros, channels, "zero point", axis, &shape)?;
        let symmetric = zeros.iter().all(|z| *z == 0.0);
        if let (Data::Bytes(bytes), &[k, o], true) = (x, shape.dims(), symmetric) {
            return Ok(Data::Int8(Arc::new(int8_matrix(&bytes.data, k, o, vec![1.0; o])?)));
        }
        return dequantize_constant(x, &shape, axis, &vec![1.0; channels], &zeros);
    }
    let Some(zero) = zero else { return Ok(x.clone()) };
    let zero = match zero {
        Data::Active(_) => zero.clone(),
        known => {
            let values: Vec<f32> = integers(known)?.iter().map(|&v| v as f32).collect();
            if values.len() != 1 {
                return unsupported("a zero point a row of an activation");
            }
            number(values[0])?
        }
    };
    c.emit_step(step, Op::Binary(BinaryOp::Sub), &[x, &zero])
}

fn matmul_integer(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (a, b, a_zero, b_zero) = (c.input(0)?, c.input(1)?, c.optional(2), c.optional(3));
    let columns = c.shape(&b)?.rank().saturating_sub(1);
    let a = centred(c, "first", &a, a_zero.as_ref(), 0)?;
    let b = centred(c, "second", &b, b_zero.as_ref(), columns)?;
    Ok(vec![matmul(c, a, b)?])
}

fn conv_integer(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (x, weight, x_zero, w_zero) = (c.input(0)?, c.input(1)?, c.optional(2), c.optional(3));
    let x = centred(c, "centred", &x, x_zero.as_ref(), 0)?;
    let weight = centred(c, "filters", &weight, w_zero.as_ref(), 0)?;
    let outputs = c.shape(&weight)?.dims().first().copied().unwrap_or(0);
    let bias = Data::float(Tensor::zeros([outputs]));
    Ok(vec![convolve(c, &x, &weight, &bias)?])
}

/// A product of dequantised matrices, quantised again.
fn qlinear_matmul(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let inputs = (0..8).map(|i| c.input(i)).collect::<Lowered<Vec<_>>>()?;
    let [a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero] = inputs.as_slice() else {
        return wrong("it has not eight inputs");
    };
    let a = dequantize(c, Some("first"), a, a_scale, Some(a_zero))?;
    let b = dequantize(c, Some("second"), b, b_scale, Some(b_zero))?;
    if c.shape(&a)?.rank() < 2 || c.shape(&b)?.rank() < 2 {
        return unsupported("a product of vectors");
    }
    let y = c.as_step("product", |c| matmul(c, a, b))?;
    Ok(vec![quantize(c, &y, y_scale, Some(y_zero))?])
}

/// A convolution of dequantised values, quantised again.
fn qlinear_conv(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let inputs = (0..8).map(|i| c.input(i)).collect::<Lowered<Vec<_>>>()?;
    let [x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero] = inputs.as_slice() else {
        return wrong("it has not eight inputs");
    };
    let outputs = c.shape(w)?.dims().first().copied().unwrap_or(0);
    let x = dequantize(c, Some("input"), x, x_scale, Some(x_zero))?;
    // One scale a filter: along the first axis, where the attribute of other nodes would say so.
    let (Some(ws), Some(xs)) = (w_scale.as_float(), inputs[1].as_float()) else {
        return unsupported("its scales are not constants");
    };
    let w_shape = c.shape(w)?;
    let scales = levels(ws.data(), outputs, "scale", 0, &w_shape)?;
    let zeros: Vec<f32> = integers(w_zero)?.iter().map(|&v| v as f32).collect();
    let zeros = levels(&zeros, outputs, "zero point", 0, &w_shape)?;
    let weight = dequantize_constant(w, &w_shape, 0, &scales, &zeros)?;
    let bias = match c.optional(8) {
        None => vec![0.0; outputs],
        Some(bias) => {
            let unit = xs.data().first().copied().unwrap_or(1.0);
            integers(&bias)?.iter().zip(&scales).map(|(&b, s)| b as f32 * unit * s).collect()
        }
    };
    let bias = Data::float(Tensor::new([outputs], bias)?);
    let y = convolve_step(c, &x, &weight, &bias)?;
    Ok(vec![quantize(c, &y, y_scale, Some(y_zero))?])
}

fn convolve_step(c: &mut Context<'_, '_>, x: &Data, weight: &Data, bias: &Data) -> Lowered<Data> {
    c.as_step("convolved", |c| convolve(c, x, weight, bias))
}
