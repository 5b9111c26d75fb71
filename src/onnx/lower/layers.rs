//! Layers with weights, pools, reductions and activations.

use std::sync::Arc;

use super::super::data::{Data, Int8Weight, transpose, transpose_into};
use super::{Context, Lowered, Operator, unsupported, wrong};
use crate::graph::{Activation, BinaryOp, Conv2d, Linear, Op, Pool2d, PoolKind, ReduceKind};
use crate::tensor::{Int8Tensor, Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "Conv" => conv,
        "BatchNormalization" => batch_normalization,
        "Gemm" => gemm,
        "MatMul" => matmul,
        "MaxPool" => |c| pool(c, PoolKind::Max),
        "AveragePool" => |c| {
            let count_include_pad = c.int("count_include_pad", 0) != 0;
            pool(c, PoolKind::Average { count_include_pad })
        },
        "GlobalAveragePool" => |c| global_pool(c, ReduceKind::Mean),
        "GlobalMaxPool" => |c| global_pool(c, ReduceKind::Max),
        "ReduceMean" => |c| reduce(c, ReduceKind::Mean),
        "ReduceSum" => |c| reduce(c, ReduceKind::Sum),
        "ReduceMax" => |c| reduce(c, ReduceKind::Max),
        "Softmax" => softmax,
        "Relu" => |c| activation(c, Activation::Relu),
        "LeakyRelu" => |c| {
            let slope = c.float("alpha", 0.01);
            activation(c, Activation::LeakyRelu(slope))
        },
        "PRelu" => prelu,
        "Clip" => clip,
        "HardSwish" => |c| activation(c, Activation::HardSwish),
        "HardSigmoid" => |c| {
            let (alpha, beta) = (c.float("alpha", 0.2), c.float("beta", 0.5));
            activation(c, Activation::HardSigmoid(alpha, beta))
        },
        "Sigmoid" => |c| activation(c, Activation::Sigmoid),
        "Swish" => |c| match c.float("alpha", 1.0) {
            1.0 => activation(c, Activation::Silu),
            alpha => unsupported(format!("alpha {alpha}; only 1 is supported")),
        },
        "Tanh" => |c| activation(c, Activation::Tanh),
        _ => return None,
    })
}

fn activation(c: &mut Context<'_, '_>, activation: Activation) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    Ok(vec![c.emit(Op::Activation(activation), &[&x])?])
}

fn clip(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let bound = |name: &str, input: usize, free: f32| -> Lowered<f32> {
        match c.attribute(name) {
            Some(a) => Ok(a.f()),
            None => Ok(c.scalar(input)?.unwrap_or(free)),
        }
    };
    let (low, high) = (bound("min", 1, f32::NEG_INFINITY)?, bound("max", 2, f32::INFINITY)?);
    let clip = match (low, high) {
        (f32::NEG_INFINITY, f32::INFINITY) => Activation::None,
        (0.0, f32::INFINITY) => Activation::Relu,
        // Finite bounds, so that no engine has to write an infinity into its program.
        _ => Activation::Clip(low.max(f32::MIN), high.min(f32::MAX)),
    };
    activation(c, clip)
}

fn prelu(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    match c.input(1)?.as_float() {
        Some(slope) if slope.data().first().is_some_and(|a| slope.data().iter().all(|b| a == b)) => {
            let slope = slope.data()[0];
            activation(c, Activation::LeakyRelu(slope))
        }
        _ => unsupported("one slope a channel; only one slope for all is supported"),
    }
}

/// Strides, dilations and pads of a window of a given size over the last two dimensions of `x`.
struct Window {
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    /// Top, left, bottom, right.
    pads: [usize; 4],
}

fn pair(c: &Context<'_, '_>, name: &str, default: [usize; 2]) -> Lowered<[usize; 2]> {
    let Some(attribute) = c.attribute(name) else { return Ok(default) };
    match *attribute.ints.as_slice() {
        [a, b] if (1..1 << 20).contains(&a) && (1..1 << 20).contains(&b) => Ok([a as usize, b as usize]),
        [_, _] => wrong(format!("{name} {:?} are out of range", attribute.ints)),
        _ => unsupported(format!("{name} {:?}; only two dimensions are supported", attribute.ints)),
    }
}

impl Window {
    fn new(c: &Context<'_, '_>, x: &Shape, kernel: [usize; 2]) -> Lowered<Self> {
        let (strides, dilations) = (pair(c, "strides", [1, 1])?, pair(c, "dilations", [1, 1])?);
        let &[_, _, height, width] = x.dims() else {
            return unsupported(format!("over {x}; only two spatial dimensions are supported"));
        };
        let mut pads = [0; 4];
        match c.string("auto_pad").as_str() {
            "" | "NOTSET" => {
                let given = c.attribute("pads").map_or(&[][..], |a| &a.ints);
                if !matches!(given.len(), 0 | 4) {
                    return wrong(format!("pads {given:?} must be four numbers"));
                }
                for (pad, &given) in pads.iter_mut().zip(given) {
                    match usize::try_from(given) {
                        Ok(value) if value < 1 << 20 => *pad = value,
                        _ => return unsupported(format!("pads {given} are out of range")),
                    }
                }
            }
            "VALID" => {}
            side @ ("SAME_UPPER" | "SAME_LOWER") => {
                // As many windows as strides fit; an odd cell of padding goes after (upper) or before (lower).
                for (axis, size) in [height, width].into_iter().enumerate() {
                    let windows = size.div_ceil(strides[axis]);
                    let extent = (kernel[axis].saturating_sub(1)).saturating_mul(dilations[axis]).saturating_add(1);
                    let total = ((windows.max(1) - 1) * strides[axis]).saturating_add(extent).saturating_sub(size);
                    let before = if side == "SAME_UPPER" { total / 2 } else { total - total / 2 };
                    (pads[axis], pads[axis + 2]) = (before, total - before);
                }
            }
            other => return wrong(format!("auto_pad {other:?} is not known")),
        }
        Ok(Self { kernel, strides, dilations, pads })
    }

    /// The cells from the first to the last that one window reads along an axis.
    fn extent(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1).saturating_mul(self.dilations[axis]).saturating_add(1)
    }
}

fn conv(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (x, weight) = (c.input(0)?, c.input(1)?);
    if !weight.is_constant() {
        return unsupported("its weights are computed from the image");
    }
    let (x_shape, w_shape) = (c.shape(&x)?, c.shape(&weight)?);
    let &[outputs, _, kh, kw] = w_shape.dims() else {
        return unsupported(format!("weights {w_shape}; only two spatial dimensions are supported"));
    };
    if kh == 0 || kw == 0 || pair(c, "kernel_shape", [kh, kw])? != [kh, kw] {
        return wrong(format!("kernel_shape does not fit the weights {w_shape}"));
    }
    let window = Window::new(c, &x_shape, [kh, kw])?;
    let Ok(groups) = usize::try_from(c.int("group", 1)) else { return wrong("group must be positive") };
    let bias = bias(c, 2, outputs)?;
    let conv = Conv2d {
        strides: window.strides,
        dilations: window.dilations,
        pads: window.pads,
        groups,
        activation: Activation::None,
        residual: false,
    };
    Ok(vec![c.emit(Op::Conv2d(conv), &[&x, &weight, &bias])?])
}

/// The constant bias at an input, or zeros.
fn bias(c: &Context<'_, '_>, input: usize, outputs: usize) -> Lowered<Data> {
    match c.optional(input) {
        None => Ok(Data::float(Tensor::zeros([outputs]))),
        Some(data) => match data.as_float() {
            Some(t) => Ok(Data::Float(t)),
            None => unsupported("its bias is not a constant"),
        },
    }
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + bias`, as one multiplication and one addition.
fn batch_normalization(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    if c.int("training_mode", 0) != 0 {
        return unsupported("training_mode; export the model for inference (model.eval())");
    }
    let x = c.input(0)?;
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

/// A constant matrix as the weight `[O, K]` of a linear layer, from a value that is `[K, O]`, or `[O, K]` if `transposed`.
fn linear_weight(weight: &Data, transposed: bool, alpha: f32) -> Lowered<Data> {
    let scaled = |t: &Tensor| match alpha {
        1.0 => None,
        _ => Tensor::new(t.shape().clone(), t.data().iter().map(|v| v * alpha).collect()).ok(),
    };
    match weight {
        Data::Int8(w) if w.transposed != transposed => {
            let (t, mut out) = (&w.tensor, (**w).clone());
            if alpha != 1.0 {
                let scales = t.scales().iter().map(|s| s * alpha).collect();
                out.tensor = Arc::new(Int8Tensor::new(t.shape().clone(), t.data().to_vec(), scales)?);
            }
            out.transposed = false;
            Ok(Data::Int8(Arc::new(Int8Weight { ..out })))
        }
        other => {
            let Some(t) = other.as_float() else { return unsupported("its weights are not float constants") };
            if t.shape().rank() != 2 {
                return wrong(format!("weights {} are no matrix", t.shape()));
            }
            let t = scaled(&t).map_or(t, Arc::new);
            Ok(if transposed { Data::Float(t) } else { Data::float(transpose(&t)) })
        }
    }
}

fn swap_last_two(rank: usize) -> Op {
    let mut perm: Vec<usize> = (0..rank).collect();
    perm.swap(rank - 2, rank - 1);
    Op::Transpose { perm }
}

/// `alpha A' B' + beta C`.
fn gemm(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (mut a, b, addend) = (c.input(0)?, c.input(1)?, c.optional(2));
    if !b.is_constant() {
        return unsupported("its weights are computed from the image");
    }
    if c.shape(&a)?.rank() != 2 {
        return wrong(format!("its input {} is no matrix", c.shape(&a)?));
    }
    if c.int("transA", 0) != 0 {
        a = c.emit_step("transposed", swap_last_two(2), &[&a])?;
    }
    let weight = linear_weight(&b, c.int("transB", 0) != 0, c.float("alpha", 1.0))?;
    let outputs = c.shape(&weight)?.dims()[0];
    let beta = c.float("beta", 1.0);
    let addend = match addend {
        None => None,
        Some(data) => match data.as_float() {
            Some(t) if beta == 1.0 => Some(t),
            Some(t) => Some(Arc::new(Tensor::new(t.shape().clone(), t.data().iter().map(|v| v * beta).collect())?)),
            None => return unsupported("its addend is not a constant"),
        },
    };
    // One value an output, or one for all, is the bias; anything else is added afterwards.
    let bias = match addend.as_deref() {
        None => Some(vec![0.0; outputs]),
        Some(t) if t.data().len() == 1 => Some(vec![t.data()[0]; outputs]),
        Some(t) if t.data().len() == outputs && t.shape().dims().last() == Some(&outputs) => Some(t.data().to_vec()),
        Some(_) => None,
    };
    let op = || Op::Linear(Linear::default());
    match (bias, addend) {
        (Some(bias), _) => Ok(vec![c.emit(op(), &[&a, &weight, &Data::float(Tensor::new([outputs], bias)?)])?]),
        (None, addend) => {
            let product = c.emit_step("product", op(), &[&a, &weight, &Data::float(Tensor::zeros([outputs]))])?;
            let addend = addend.map(Data::Float).ok_or_else(|| super::Stop::Wrong("its addend is missing".into()))?;
            Ok(vec![c.emit(Op::Binary(BinaryOp::Add), &[&product, &addend])?])
        }
    }
}

fn matmul(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (a, b) = (c.input(0)?, c.input(1)?);
    let (a_shape, b_shape) = (c.shape(&a)?, c.shape(&b)?);
    if b.is_constant() && !a.is_constant() && b_shape.rank() == 2 {
        let weight = linear_weight(&b, false, 1.0)?;
        let bias = Data::float(Tensor::zeros([b_shape.dims()[1]]));
        return Ok(vec![c.emit(Op::Linear(Linear::default()), &[&a, &weight, &bias])?]);
    }
    if a.is_constant() && !b.is_constant() && a_shape.rank() == 2 && b_shape.rank() >= 2 {
        // A x = (x^T A^T)^T
        let weight = linear_weight(&a, true, 1.0)?;
        let bias = Data::float(Tensor::zeros([a_shape.dims()[0]]));
        let columns = c.emit_step("columns", swap_last_two(b_shape.rank()), &[&b])?;
        let product = c.emit_step("product", Op::Linear(Linear::default()), &[&columns, &weight, &bias])?;
        return Ok(vec![c.emit(swap_last_two(b_shape.rank()), &[&product])?]);
    }
    if a.is_constant() != b.is_constant() {
        return unsupported(format!(
            "a constant of shape {} times an activation",
            if a.is_constant() { a_shape } else { b_shape }
        ));
    }
    if a_shape.rank() < 2 || b_shape.rank() < 2 {
        return unsupported(format!("{a_shape} times {b_shape}; only matrices are supported"));
    }
    // Leading ones make the ranks equal; other broadcasting is not supported.
    let rank = a_shape.rank().max(b_shape.rank());
    let widen = |c: &mut Context<'_, '_>, data: Data, shape: &Shape| match shape.rank() == rank {
        true => Ok(data),
        false => {
            let dims = [vec![1; rank - shape.rank()].as_slice(), shape.dims()].concat();
            c.emit_step("widened", Op::Reshape(Shape::new(dims)), &[&data])
        }
    };
    let (a, b) = (widen(c, a, &a_shape)?, widen(c, b, &b_shape)?);
    let (a_shape, b_shape) = (c.shape(&a)?, c.shape(&b)?);
    if a_shape.dims()[..rank - 2] != b_shape.dims()[..rank - 2] {
        return unsupported(format!("{a_shape} times {b_shape}; broadcast products are not supported"));
    }
    Ok(vec![c.emit(Op::MatMul, &[&a, &b])?])
}

fn pool(c: &mut Context<'_, '_>, kind: PoolKind) -> Lowered<Vec<Data>> {
    let mut x = c.input(0)?;
    let shape = c.shape(&x)?;
    let &[_, _, height, width] = shape.dims() else {
        return unsupported(format!("over {shape}; only two spatial dimensions are supported"));
    };
    if c.attribute("kernel_shape").is_none() {
        return wrong("kernel_shape is missing");
    }
    let kernel = pair(c, "kernel_shape", [1, 1])?;
    let mut window = Window::new(c, &shape, kernel)?;
    let mut kind = kind;
    if c.int("ceil_mode", 0) != 0 {
        let mut extra = [0; 2];
        for (axis, size) in [height, width].into_iter().enumerate() {
            let padded = size + window.pads[axis] + window.pads[axis + 2];
            let Some(room) = padded.checked_sub(window.extent(axis)) else { continue };
            let stride = window.strides[axis];
            // A last, partial window counts if it starts within the input or the padding before it.
            let windows = room.div_ceil(stride) + 1;
            let windows = if (windows - 1) * stride >= size + window.pads[axis] { windows - 1 } else { windows };
            extra[axis] = ((windows - 1) * stride + window.extent(axis)).saturating_sub(padded);
        }
        if extra != [0, 0] && kind == (PoolKind::Average { count_include_pad: true }) {
            // Padding counts in the divisor, but what lies beyond the padding does not: pad first, then pool.
            let p = window.pads;
            let op = Op::Pad { before: vec![0, 0, p[0], p[1]], after: vec![0, 0, p[2], p[3]], value: 0.0 };
            if p != [0; 4] {
                x = c.emit_step("padded", op, &[&x])?;
            }
            window.pads = [0; 4];
            kind = PoolKind::Average { count_include_pad: false };
        }
        window.pads[2] += extra[0];
        window.pads[3] += extra[1];
    }
    for axis in 0..2 {
        if window.pads[axis].max(window.pads[axis + 2]) >= window.extent(axis) {
            return wrong(format!("pads {:?} are as large as its window {kernel:?}", window.pads));
        }
    }
    let Window { kernel, strides, dilations, pads } = window;
    Ok(vec![c.emit(Op::Pool2d(Pool2d { kind, kernel, strides, dilations, pads }), &[&x])?])
}

fn global_pool(c: &mut Context<'_, '_>, kind: ReduceKind) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let axes = (2..c.shape(&x)?.rank()).collect();
    Ok(vec![c.emit(Op::Reduce { kind, axes, keep_dims: true }, &[&x])?])
}

fn reduce(c: &mut Context<'_, '_>, kind: ReduceKind) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let rank = c.shape(&x)?.rank();
    let given = c.ints_by_attribute_or_input("axes", 1)?.unwrap_or_default();
    let mut axes = given.iter().map(|&a| c.axis(a, rank)).collect::<Lowered<Vec<_>>>()?;
    axes.sort_unstable();
    axes.dedup();
    if axes.is_empty() {
        if c.int("noop_with_empty_axes", 0) != 0 {
            return Ok(vec![c.emit(Op::Reshape(c.shape(&x)?), &[&x])?]);
        }
        axes = (0..rank).collect();
    }
    let keep_dims = c.int("keepdims", 1) != 0;
    Ok(vec![c.emit(Op::Reduce { kind, axes, keep_dims }, &[&x])?])
}

fn softmax(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let shape = c.shape(&x)?;
    let modern = c.opset() >= 13;
    let axis = c.axis(c.int("axis", if modern { -1 } else { 1 }), shape.rank())?;
    if modern || axis + 1 == shape.rank() {
        return Ok(vec![c.emit(Op::Softmax { axis }, &[&x])?]);
    }
    // Before operator set 13 all dimensions from the axis on counted as one.
    let rows = shape.dims()[..axis].iter().product();
    let columns = shape.dims()[axis..].iter().product();
    let flat = c.emit_step("flat", Op::Reshape(Shape::from([rows, columns])), &[&x])?;
    let flat = c.emit_step("softmax", Op::Softmax { axis: 1 }, &[&flat])?;
    Ok(vec![c.emit(Op::Reshape(shape), &[&flat])?])
}

/// An int8 matrix with its last axis as output channels, from ONNX's `[K, O]`.
pub(super) fn int8_matrix(data: &[i8], k: usize, o: usize, scales: Vec<f32>) -> Lowered<Int8Weight> {
    let mut rows = vec![0; data.len()];
    transpose_into(data, k, o, &mut rows);
    let tensor = Arc::new(Int8Tensor::new([o, k], rows, scales)?);
    Ok(Int8Weight { tensor, transposed: true })
}
