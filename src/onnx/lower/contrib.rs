//! Operators that ONNX Runtime adds to the standard set (`com.microsoft`): the QOperator family of quantised files,
//! what it writes when it saves an optimised model, and weights of 4 bits.

use std::sync::Arc;

use super::super::data::Data;
use super::layers::{convolve_with, matmul};
use super::norms::rms;
use super::quantized::{dequantize, number, quantize};
use super::shapes::picked;
use super::windows::pool_of;
use super::{Context, Lowered, Operator, unsupported, wrong};
use crate::graph::{Activation, BinaryOp, LayerNorm, Linear, Op, PoolKind, ReduceKind};
use crate::tensor::{Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "QLinearAdd" => |c| of_two(c, BinaryOp::Add),
        "QLinearMul" => |c| of_two(c, BinaryOp::Mul),
        "QLinearSigmoid" => |c| of_one(c, |c, x| step(c, Op::Activation(Activation::Sigmoid), x)),
        "QLinearLeakyRelu" => |c| {
            let slope = c.float("alpha", 0.01);
            of_one(c, |c, x| step(c, Op::Activation(Activation::LeakyRelu(slope)), x))
        },
        "QLinearSoftmax" => |c| {
            of_one(c, |c, x| {
                let axis = c.axis(c.int("axis", -1), c.shape(x)?.rank())?;
                step(c, Op::Softmax { axis }, x)
            })
        },
        "QLinearGlobalAveragePool" => |c| {
            let last = c.int("channels_last", 0) != 0;
            of_one(c, |c, x| {
                let rank = c.shape(x)?.rank();
                let axes = if last { (1..rank - 1).collect() } else { (2..rank).collect() };
                step(c, Op::Reduce { kind: ReduceKind::Mean, axes, keep_dims: true }, x)
            })
        },
        "QLinearAveragePool" => |c| {
            if c.int("channels_last", 0) != 0 {
                return unsupported("channels_last");
            }
            let count_include_pad = c.int("count_include_pad", 0) != 0;
            of_one(c, |c, x| {
                let x = x.clone();
                c.as_step("pooled", |c| pool_of(c, x, PoolKind::Average { count_include_pad }))
            })
        },
        "QLinearConcat" => concat,
        "QGemm" => gemm,
        "FusedConv" => fused_conv,
        "FusedGemm" | "FusedMatMul" => fused_product,
        "Gelu" => |c| {
            let x = c.input(0)?;
            Ok(vec![c.emit(Op::Activation(Activation::Gelu), &[&x])?])
        },
        "BiasGelu" => |c| biased(c, Activation::Gelu),
        "FastGelu" => |c| biased(c, Activation::GeluTanh),
        "QuickGelu" => |c| {
            let (x, alpha) = (c.input(0)?, c.float("alpha", 1.702));
            Ok(vec![c.emit(Op::Activation(Activation::Swish(alpha)), &[&x])?])
        },
        "SkipLayerNormalization" => |c| skip_norm(c, false),
        "SkipSimplifiedLayerNormalization" => |c| skip_norm(c, true),
        "SimplifiedLayerNormalization" => |c| {
            let (x, scale) = (c.input(0)?, c.input(1)?);
            Ok(vec![rms(c, &x, &scale)?])
        },
        "MatMulNBits" => matmul_of_bits,
        "QuantizeLinear" | "DequantizeLinear" => return super::quantized::operator(op_type),
        _ => return None,
    })
}

fn step(c: &mut Context<'_, '_>, op: Op, x: &Data) -> Lowered<Data> {
    c.emit_step("computed", op, &[x])
}

/// A function of dequantised `X, scale, zero`, quantised again with the next two inputs.
fn of_one(c: &mut Context<'_, '_>, f: impl FnOnce(&mut Context<'_, '_>, &Data) -> Lowered<Data>) -> Lowered<Vec<Data>> {
    let (x, scale, zero) = (c.input(0)?, c.input(1)?, c.optional(2));
    let (y_scale, y_zero) = (c.input(3)?, c.optional(4));
    let x = dequantize(c, Some("input"), &x, &scale, zero.as_ref())?;
    let y = f(c, &x)?;
    Ok(vec![quantize(c, &y, &y_scale, y_zero.as_ref())?])
}

fn of_two(c: &mut Context<'_, '_>, op: BinaryOp) -> Lowered<Vec<Data>> {
    let mut sides = Vec::with_capacity(2);
    for (at, name) in [(0, "first"), (3, "second")] {
        let (x, scale, zero) = (c.input(at)?, c.input(at + 1)?, c.optional(at + 2));
        sides.push(dequantize(c, Some(name), &x, &scale, zero.as_ref())?);
    }
    let (scale, zero) = (c.input(6)?, c.optional(7));
    let y = c.emit_step("computed", Op::Binary(op), &[&sides[0], &sides[1]])?;
    Ok(vec![quantize(c, &y, &scale, zero.as_ref())?])
}

/// `Y_scale, Y_zero`, then three inputs for each part.
fn concat(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (y_scale, y_zero) = (c.input(0)?, c.input(1)?);
    let mut parts = Vec::new();
    for (i, at) in (2..c.node.input.len()).step_by(3).enumerate() {
        let (x, scale, zero) = (c.input(at)?, c.input(at + 1)?, c.optional(at + 2));
        parts.push(dequantize(c, Some(&format!("part{i}")), &x, &scale, zero.as_ref())?);
    }
    let Some(first) = parts.first() else { return wrong("it has no inputs") };
    let axis = c.axis(c.int("axis", 0), c.shape(first)?.rank())?;
    let y = c.emit_step("computed", Op::Concat { axis }, &parts.iter().collect::<Vec<_>>())?;
    Ok(vec![quantize(c, &y, &y_scale, Some(&y_zero))?])
}

/// `alpha A' B' + C` of dequantised matrices; `C` counts in units of both scales. Quantised again if there is a scale
/// for that.
fn gemm(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (a, a_scale, a_zero) = (c.input(0)?, c.input(1)?, c.optional(2));
    let (b, b_scale, b_zero) = (c.input(3)?, c.input(4)?, c.optional(5));
    let (Some(unit), Some(units)) = (a_scale.as_float(), b_scale.as_float()) else {
        return unsupported("its scales are not constants");
    };
    // Turned as levels: scales are given for the columns of what is multiplied.
    let mut sides = [a, b];
    for (side, flag) in sides.iter_mut().zip(["transA", "transB"]) {
        if c.int(flag, 0) != 0 {
            *side = match (side.is_constant(), c.shape(side)?.dims()) {
                (true, &[rows, columns]) => {
                    let places = (0..columns).flat_map(|j| (0..rows).map(move |i| i * columns + j));
                    picked(side, &Shape::from([columns, rows]), places)?
                }
                _ => c.emit_step(flag, Op::Transpose { perm: vec![1, 0] }, &[side])?,
            };
        }
    }
    let a = dequantize(c, Some("first"), &sides[0], &a_scale, a_zero.as_ref())?;
    let b = dequantize(c, Some("second"), &sides[1], &b_scale, b_zero.as_ref())?;
    let mut y = c.as_step("product", |c| matmul(c, a, b))?;
    let alpha = c.float("alpha", 1.0);
    if alpha != 1.0 {
        y = c.emit_step("scaled", Op::Binary(BinaryOp::Mul), &[&y, &number(alpha)?])?;
    }
    if let Some(bias) = c.optional(6) {
        let Data::Ints(bias) = bias else { return unsupported("its bias is not a constant of whole numbers") };
        let unit = unit.data().first().copied().unwrap_or(1.0) * alpha;
        let of = |i: usize| units.data().get(if units.data().len() == 1 { 0 } else { i }).copied().unwrap_or(1.0);
        let columns = bias.shape.last().copied().unwrap_or(1).max(1);
        let data = bias.data.iter().enumerate().map(|(i, &v)| v as f32 * unit * of(i % columns)).collect();
        let bias = Data::float(Tensor::new(Shape::new(bias.shape.as_slice()), data)?);
        y = c.emit_step("biased", Op::Binary(BinaryOp::Add), &[&y, &bias])?;
    }
    match (c.optional(7), c.optional(8)) {
        (Some(scale), zero) => Ok(vec![quantize(c, &y, &scale, zero.as_ref())?]),
        (None, _) => {
            let shape = c.shape(&y)?;
            Ok(vec![c.emit(Op::Reshape(shape), &[&y])?])
        }
    }
}

/// The activation that was fused into a node, as its last op.
fn activation(c: &Context<'_, '_>) -> Lowered<Activation> {
    let parameter = |i: usize, name: &str, default: f32| {
        let all = c.attribute("activation_params").map(|a| a.floats.clone()).unwrap_or_default();
        all.get(i).copied().unwrap_or_else(|| c.float(name, default))
    };
    Ok(match c.string("activation").as_str() {
        "" => Activation::None,
        "Relu" => Activation::Relu,
        "Sigmoid" => Activation::Sigmoid,
        "Tanh" => Activation::Tanh,
        "LeakyRelu" => Activation::LeakyRelu(parameter(0, "activation_alpha", 0.01)),
        "HardSigmoid" => {
            Activation::HardSigmoid(parameter(0, "activation_alpha", 0.2), parameter(1, "activation_beta", 0.5))
        }
        "Clip" => Activation::Clip(parameter(0, "activation_min", f32::MIN), parameter(1, "activation_max", f32::MAX)),
        other => return unsupported(format!("activation {other:?}")),
    })
}

/// `activation(conv(X, W) + B + Z)`.
fn fused_conv(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (x, weight) = (c.input(0)?, c.input(1)?);
    let activation = activation(c)?;
    let mut y = c.as_step("convolved", |c| convolve_with(c, &x, &weight))?;
    if let Some(residual) = c.optional(3) {
        y = c.emit_step("sum", Op::Binary(BinaryOp::Add), &[&y, &residual])?;
    }
    Ok(vec![c.emit(Op::Activation(activation), &[&y])?])
}

/// `activation(alpha A' B' + beta C)`.
fn fused_product(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    for flag in ["transBatchA", "transBatchB"] {
        if c.int(flag, 0) != 0 {
            return unsupported(flag);
        }
    }
    let activation = activation(c)?;
    let mut sides = [c.input(0)?, c.input(1)?];
    for (side, flag) in sides.iter_mut().zip(["transA", "transB"]) {
        let rank = c.shape(side)?.rank();
        if c.int(flag, 0) != 0 && rank > 1 {
            let mut perm: Vec<usize> = (0..rank).collect();
            perm.swap(rank - 2, rank - 1);
            *side = c.emit_step(flag, Op::Transpose { perm }, &[side])?;
        }
    }
    let [a, b] = sides;
    let mut y = c.as_step("product", |c| matmul(c, a, b))?;
    for (name, addend) in [("alpha", None), ("beta", c.optional(2))] {
        let factor = c.float(name, 1.0);
        match addend {
            None if name == "alpha" && factor != 1.0 => {
                y = c.emit_step("scaled", Op::Binary(BinaryOp::Mul), &[&y, &number(factor)?])?;
            }
            None => {}
            Some(addend) => {
                let addend = c.emit_step("addend", Op::Binary(BinaryOp::Mul), &[&addend, &number(factor)?])?;
                y = c.emit_step("sum", Op::Binary(BinaryOp::Add), &[&y, &addend])?;
            }
        }
    }
    Ok(vec![c.emit(Op::Activation(activation), &[&y])?])
}

/// `activation(X + B)`, with or without `B`.
fn biased(c: &mut Context<'_, '_>, activation: Activation) -> Lowered<Vec<Data>> {
    let mut x = c.input(0)?;
    if let Some(bias) = c.optional(1) {
        x = c.emit_step("biased", Op::Binary(BinaryOp::Add), &[&x, &bias])?;
    }
    Ok(vec![c.emit(Op::Activation(activation), &[&x])?])
}

/// A normalisation of `input + skip + bias`, over the last axis; its fourth output is the sum.
fn skip_norm(c: &mut Context<'_, '_>, simplified: bool) -> Lowered<Vec<Data>> {
    let (x, skip, scale) = (c.input(0)?, c.input(1)?, c.input(2)?);
    let at = if simplified { 3 } else { 4 };
    let name = if c.optional(at).is_some() { "skipped" } else { "sum" };
    let mut sum = c.emit_step(name, Op::Binary(BinaryOp::Add), &[&x, &skip])?;
    if let Some(bias) = c.optional(at) {
        sum = c.emit_step("sum", Op::Binary(BinaryOp::Add), &[&sum, &bias])?;
    }
    let y = match simplified {
        true => rms(c, &sum, &scale)?,
        false => {
            let rank = c.shape(&sum)?.rank();
            let Some(scale) = scale.as_float() else { return unsupported("its scale is not a constant") };
            let bias = match c.optional(3) {
                None => Tensor::zeros(scale.shape().clone()).into(),
                Some(bias) => match bias.as_float() {
                    Some(t) => t,
                    None => return unsupported("its bias is not a constant"),
                },
            };
            let norm = LayerNorm { axes: vec![rank.saturating_sub(1)], epsilon: c.float("epsilon", 1e-12) };
            c.emit(Op::LayerNorm(norm), &[&sum, &Data::Float(scale), &Data::Float(bias)])?
        }
    };
    let mut results = vec![y];
    if c.node.output.get(3).is_some_and(|name| !name.is_empty()) {
        let shape = c.shape(&sum)?;
        // Mean and deviation, which nothing reads.
        results.extend([sum.clone(), sum.clone()]);
        results.push(c.emit_output(3, Op::Reshape(shape), &[&sum])?);
    }
    Ok(results)
}

/// A product with weights of 2, 4 or 8 bits, in blocks along the inputs with a scale and a zero point each.
fn matmul_of_bits(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let (x, packed, scales) = (c.input(0)?, c.input(1)?, c.input(2)?);
    let size = |name: &str| usize::try_from(c.int(name, 0)).ok().filter(|n| (1..1 << 24).contains(n));
    let (Some(inputs), Some(outputs), Some(block)) = (size("K"), size("N"), size("block_size")) else {
        return wrong("K, N or block_size is missing");
    };
    let bits = c.int("bits", 4);
    let (Data::UnsignedBytes(packed), Some(scales)) = (&packed, scales.as_float()) else {
        return unsupported("its weights are not constant bytes");
    };
    if !matches!(bits, 2 | 4 | 8) || c.optional(4).is_some() {
        return unsupported(format!("{bits} bits, or groups in another order"));
    }
    let (per_byte, blocks) = (8 / bits as usize, inputs.div_ceil(block));
    let row = blocks.saturating_mul(block).div_ceil(per_byte);
    let zero_row = blocks.div_ceil(per_byte);
    let zeros = match c.optional(3) {
        None => None,
        Some(Data::UnsignedBytes(a)) if a.data.len() == outputs.saturating_mul(zero_row) => Some(a),
        Some(_) => return unsupported("zero points of another type than packed bytes"),
    };
    if packed.data.len() != outputs.saturating_mul(row) || scales.data().len() != outputs.saturating_mul(blocks) {
        return wrong(format!("{} bytes of weights do not fit {outputs} x {inputs}", packed.data.len()));
    }
    let level =
        |bytes: &[u8], i: usize| bytes[i / per_byte] >> (i % per_byte * bits as usize) & ((1u16 << bits) - 1) as u8;
    let mut weight = Vec::with_capacity(outputs * inputs);
    for o in 0..outputs {
        let bytes = &packed.data[o * row..][..row];
        for i in 0..inputs {
            let at = i / block;
            let zero = zeros.as_ref().map_or(1 << (bits - 1), |z| level(&z.data[o * zero_row..][..zero_row], at));
            let value = f32::from(level(bytes, i)) - f32::from(zero);
            weight.push(value * scales.data()[o * blocks + at]);
        }
    }
    let weight = Data::Float(Arc::new(Tensor::new([outputs, inputs], weight)?));
    let bias = match c.optional(5).map(|b| b.as_float()) {
        None => Tensor::zeros([outputs]),
        Some(Some(t)) => Tensor::new([outputs], t.data().to_vec())?,
        Some(None) => return unsupported("its bias is not a constant"),
    };
    Ok(vec![c.emit(Op::Linear(Linear::default()), &[&x, &weight, &Data::float(bias)])?])
}
