//! Normalisations and softmax.

use super::super::data::Data;
use super::{Context, Lowered, Operator, unsupported, wrong};
use crate::graph::{Activation, BinaryOp, LayerNorm, Op, Pool2d, PoolKind, ReduceKind};
use crate::tensor::{Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "BatchNormalization" => batch_normalization,
        "LayerNormalization" => layer_normalization,
        "RMSNormalization" => rms_normalization,
        "InstanceNormalization" => instance_normalization,
        "GroupNormalization" => group_normalization,
        "MeanVarianceNormalization" => mean_variance,
        "LpNormalization" => lp_normalization,
        "LRN" => local_response,
        "Softmax" => |c| softmax(c, false),
        "LogSoftmax" => |c| softmax(c, true),
        _ => return None,
    })
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + bias`, as one multiplication and one addition.
fn batch_normalization(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    if c.int("training_mode", 0) != 0 {
        // Weights that are standardised with their own statistics.
        return match x.is_constant() {
            true => standardised(c, &x),
            false => unsupported("training_mode; export the model for inference (model.eval())"),
        };
    }
    let parameter = |i: usize| match c.input(i)?.as_float() {
        Some(t) => Ok(t),
        None => unsupported("its statistics are not constants"),
    };
    let [scale, bias, mean, variance] = [parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?];
    let channels = scale.data().len();
    if [&bias, &mean, &variance].iter().any(|t| t.data().len() != channels) {
        return wrong("scale, bias, mean and variance are of different lengths");
    }
    let epsilon = f64::from(c.float("epsilon", 1e-5));
    let (mut factor, mut offset) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
    for i in 0..channels {
        let f = f64::from(scale.data()[i]) / (f64::from(variance.data()[i]) + epsilon).sqrt();
        factor.push(f as f32);
        offset.push((f64::from(bias.data()[i]) - f64::from(mean.data()[i]) * f) as f32);
    }
    // One value a channel, whatever follows the channels.
    let spatial = c.shape(&x)?.rank().saturating_sub(2);
    let shape = Shape::new([&[channels], vec![1; spatial].as_slice()].concat());
    let (factor, offset) = (Tensor::new(shape.clone(), factor)?, Tensor::new(shape, offset)?);
    let scaled = c.emit_step("scaled", Op::Binary(BinaryOp::Mul), &[&x, &Data::float(factor)])?;
    Ok(vec![c.emit(Op::Binary(BinaryOp::Add), &[&scaled, &Data::float(offset)])?])
}

/// The same with the value's own mean and variance of each channel.
fn standardised(c: &mut Context<'_, '_>, x: &Data) -> Lowered<Vec<Data>> {
    let rank = c.shape(x)?.rank();
    let (scale, bias) = (parameter(c, 1)?, parameter(c, 2)?);
    let per_channel = [&[c.shape(&scale)?.len()], vec![1; rank.saturating_sub(2)].as_slice()].concat();
    let scale = reshaped(c, "scale", &scale, per_channel.clone())?;
    let bias = reshaped(c, "bias", &bias, per_channel)?;
    let norm = LayerNorm { axes: (0..rank).filter(|&a| a != 1).collect(), epsilon: c.float("epsilon", 1e-5) };
    Ok(vec![c.emit(Op::LayerNorm(norm), &[x, &scale, &bias])?])
}

/// A scale or offset at an input, which must be a constant.
fn parameter(c: &Context<'_, '_>, input: usize) -> Lowered<Data> {
    match c.input(input)?.as_float() {
        Some(t) => Ok(Data::Float(t)),
        None => unsupported("its scale or bias is not a constant"),
    }
}

fn layer_normalization(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let axis = c.axis(c.int("axis", -1), shape.rank())?;
    let scale = parameter(c, 1)?;
    let bias = match c.optional(2) {
        Some(_) => parameter(c, 2)?,
        None => Data::float(Tensor::zeros(c.shape(&scale)?)),
    };
    let (axes, epsilon) = ((axis..shape.rank()).collect::<Vec<_>>(), c.float("epsilon", 1e-5));
    let norm = LayerNorm { axes: axes.clone(), epsilon };
    let y = c.emit(Op::LayerNorm(norm), &[&x, &scale, &bias])?;
    if !c.node.output.iter().skip(1).any(|name| !name.is_empty() && c.is_read(name)) {
        return Ok(vec![y]);
    }
    let over = Op::Reduce { kind: ReduceKind::Mean, axes, keep_dims: true };
    let mean = c.emit_output(1, over.clone(), &[&x])?;
    let centred = c.emit_step("centred", Op::Binary(BinaryOp::Sub), &[&x, &mean])?;
    let square = c.emit_step("square", Op::Binary(BinaryOp::Mul), &[&centred, &centred])?;
    let variance = c.emit_step("variance", over, &[&square])?;
    let shifted = c.emit_step("shifted", Op::Binary(BinaryOp::Add), &[&variance, &number(epsilon)?])?;
    let deviation = c.emit_step("deviation", Op::Activation(Activation::Sqrt), &[&shifted])?;
    Ok(vec![y, mean, c.emit_output(2, Op::Binary(BinaryOp::Div), &[&number(1.0)?, &deviation])?])
}

/// Each channel minus its mean, over its deviation.
fn mean_variance(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let rank = c.shape(&x)?.rank();
    let axes = c.attribute("axes").map_or(vec![0, 2, 3], |a| a.ints.clone());
    let mut axes = axes.iter().map(|&a| c.axis(a, rank)).collect::<Lowered<Vec<_>>>()?;
    axes.sort_unstable();
    axes.dedup();
    let norm = LayerNorm { axes, epsilon: 1e-18 };
    Ok(vec![c.emit(Op::LayerNorm(norm), &[&x, &number(1.0)?, &number(0.0)?])?])
}

fn rms_normalization(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (x, scale) = (c.input(0)?, parameter(c, 1)?);
    Ok(vec![rms(c, &x, &scale)?])
}

/// `x / sqrt(mean(x^2) + epsilon) * scale`, over the axes from the node's attribute on.
pub(super) fn rms(c: &mut Context<'_, '_>, x: &Data, scale: &Data) -> Lowered<Data> {
    let shape = c.shape(x)?;
    let axis = c.axis(c.int("axis", -1), shape.rank())?;
    let epsilon = number(c.float("epsilon", 1e-5))?;
    let axes = (axis..shape.rank()).collect();
    let square = c.emit_step("square", Op::Binary(BinaryOp::Mul), &[x, x])?;
    let mean = c.emit_step("mean", Op::Reduce { kind: ReduceKind::Mean, axes, keep_dims: true }, &[&square])?;
    let mean = c.emit_step("shifted", Op::Binary(BinaryOp::Add), &[&mean, &epsilon])?;
    let root = c.emit_step("root", Op::Activation(Activation::Sqrt), &[&mean])?;
    let normal = c.emit_step("normal", Op::Binary(BinaryOp::Div), &[x, &root])?;
    c.emit(Op::Binary(BinaryOp::Mul), &[&normal, scale])
}

fn number(value: f32) -> Lowered<Data> {
    Ok(Data::float(Tensor::new(Shape::default(), vec![value])?))
}

/// One value a channel under another shape, so that it is broadcast along channels.
fn reshaped(c: &mut Context<'_, '_>, step: &str, data: &Data, dims: Vec<usize>) -> Lowered<Data> {
    c.emit_step(step, Op::Reshape(Shape::new(dims)), &[data])
}

fn instance_normalization(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    if shape.rank() < 3 {
        return wrong(format!("its input {shape} has no spatial dimensions"));
    }
    let per_channel = [&[shape.dims()[1]], vec![1; shape.rank() - 2].as_slice()].concat();
    let (scale, bias) = (parameter(c, 1)?, parameter(c, 2)?);
    let scale = reshaped(c, "scale", &scale, per_channel.clone())?;
    let bias = reshaped(c, "bias", &bias, per_channel)?;
    let norm = LayerNorm { axes: (2..shape.rank()).collect(), epsilon: c.float("epsilon", 1e-5) };
    Ok(vec![c.emit(Op::LayerNorm(norm), &[&x, &scale, &bias])?])
}

/// Channels in groups, each normalised with all its cells.
fn group_normalization(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let &[n, channels, ref cells @ ..] = shape.dims() else {
        return wrong(format!("its input {shape} has no channels"));
    };
    let groups = usize::try_from(c.int("num_groups", 0)).ok().filter(|&g| g > 0 && channels.is_multiple_of(g));
    let Some(groups) = groups else {
        return wrong(format!("{channels} channels cannot be split into {} groups", c.int("num_groups", 0)));
    };
    let (scale, bias) = (parameter(c, 1)?, parameter(c, 2)?);
    // Before operator set 21 there was one scale a group.
    let inner = if c.shape(&scale)?.len() == groups && groups != channels { 1 } else { channels / groups };
    let ones = vec![1; cells.len()];
    let scale = reshaped(c, "scale", &scale, [&[groups, inner], ones.as_slice()].concat())?;
    let bias = reshaped(c, "bias", &bias, [&[groups, inner], ones.as_slice()].concat())?;
    let split = [&[n, groups, channels / groups], cells].concat();
    let norm = LayerNorm { axes: (2..split.len()).collect(), epsilon: c.float("epsilon", 1e-5) };
    let grouped = reshaped(c, "groups", &x, split)?;
    let normal = c.emit_step("normal", Op::LayerNorm(norm), &[&grouped, &scale, &bias])?;
    Ok(vec![c.emit(Op::Reshape(shape), &[&normal])?])
}

/// Vectors along an axis, divided by their length.
fn lp_normalization(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let axes = vec![c.axis(c.int("axis", -1), c.shape(&x)?.rank())?];
    let sum = Op::Reduce { kind: ReduceKind::Sum, axes, keep_dims: true };
    let length = match c.int("p", 2) {
        1 => {
            let size = c.emit_step("size", Op::Activation(Activation::Abs), &[&x])?;
            c.emit_step("length", sum, &[&size])?
        }
        2 => {
            let square = c.emit_step("square", Op::Binary(BinaryOp::Mul), &[&x, &x])?;
            let total = c.emit_step("total", sum, &[&square])?;
            c.emit_step("length", Op::Activation(Activation::Sqrt), &[&total])?
        }
        p => return wrong(format!("p {p} is neither 1 nor 2")),
    };
    // A vector of zeros stays one.
    let length = c.emit_step("positive", Op::Activation(Activation::Clip(f32::MIN_POSITIVE, f32::MAX)), &[&length])?;
    Ok(vec![c.emit(Op::Binary(BinaryOp::Div), &[&x, &length])?])
}

/// `x / (bias + alpha mean(x^2 over neighbouring channels))^beta` (AlexNet's local response normalisation).
fn local_response(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let &[n, channels, ref cells @ ..] = shape.dims() else {
        return wrong(format!("its input {shape} has no channels"));
    };
    let size = usize::try_from(c.int("size", 0)).ok().filter(|s| (1..1 << 16).contains(s));
    let Some(size) = size else { return wrong(format!("size {} is out of range", c.int("size", 0))) };
    let (alpha, beta, bias) = (c.float("alpha", 1e-4), c.float("beta", 0.75), c.float("bias", 1.0));
    let square = c.emit_step("square", Op::Binary(BinaryOp::Mul), &[&x, &x])?;
    // Channels as the height of an image: the mean over neighbours is an average pool that counts its padding.
    let column = Shape::from([n, 1, channels, cells.iter().product()]);
    let square = c.emit_step("column", Op::Reshape(column), &[&square])?;
    let pool = Pool2d {
        kind: PoolKind::Average { count_include_pad: true },
        kernel: [size, 1],
        strides: [1, 1],
        dilations: [1, 1],
        pads: [(size - 1) / 2, 0, size / 2, 0],
    };
    let mean = c.emit_step("mean", Op::Pool2d(pool), &[&square])?;
    let mean = c.emit_step("means", Op::Reshape(shape.clone()), &[&mean])?;
    let scaled = c.emit_step("scaled", Op::Binary(BinaryOp::Mul), &[&mean, &number(alpha)?])?;
    let shifted = c.emit_step("shifted", Op::Binary(BinaryOp::Add), &[&scaled, &number(bias)?])?;
    let divisor = c.emit_step("divisor", Op::Binary(BinaryOp::Pow), &[&shifted, &number(beta)?])?;
    Ok(vec![c.emit(Op::Binary(BinaryOp::Div), &[&x, &divisor])?])
}

fn softmax(c: &mut Context<'_, '_>, logarithm: bool) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let modern = c.opset() >= 13;
    let axis = c.axis(c.int("axis", if modern { -1 } else { 1 }), shape.rank())?;
    let log = Op::Activation(Activation::Log);
    if modern || axis + 1 == shape.rank() {
        if !logarithm {
            return Ok(vec![c.emit(Op::Softmax { axis }, &[&x])?]);
        }
        let shares = c.emit_step("softmax", Op::Softmax { axis }, &[&x])?;
        return Ok(vec![c.emit(log, &[&shares])?]);
    }
    // Before operator set 13 all dimensions from the axis on counted as one.
    let rows = shape.dims()[..axis].iter().product();
    let columns = shape.dims()[axis..].iter().product();
    let flat = c.emit_step("flat", Op::Reshape(Shape::from([rows, columns])), &[&x])?;
    let mut flat = c.emit_step("softmax", Op::Softmax { axis: 1 }, &[&flat])?;
    if logarithm {
        flat = c.emit_step("logarithm", log, &[&flat])?;
    }
    Ok(vec![c.emit(Op::Reshape(shape), &[&flat])?])
}
