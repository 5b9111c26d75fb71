//! Ops without weights: element-wise, pools, reductions, and those that only move values.

use super::*;

pub fn element_wise(all: &mut Vec<Problem>) {
    use Tolerance::{Exact, F32};
    for activation in ACTIVATIONS {
        let exact = matches!(
            activation,
            Activation::None | Activation::Relu | Activation::Clip(..) | Activation::Abs | Activation::Floor
        );
        let tolerance = if exact { Exact } else { F32 };
        let b = Builder::new(200, [1, 7, 5, 3]).act(activation);
        all.push(b.done(format!("{activation:?} over 7 channels"), tolerance));
        let b = Builder::new(201, [1, 3, 5, 2]).reshape([5, 6]).act(activation);
        all.push(b.done(format!("{activation:?} over a matrix"), tolerance));
    }
    let mut b = Builder::new(202, [1, 3, 4, 4]);
    b.input.data_mut().iter_mut().for_each(|v| *v *= 40.0);
    let image = b.last;
    let far = [Activation::Gelu, Activation::GeluTanh, Activation::Mish, Activation::Softplus, Activation::Elu(1.0)];
    let near = [Activation::Sigmoid, Activation::Silu, Activation::Tanh, Activation::HardSwish, Activation::Erf];
    let targets = [near, far].concat().into_iter().map(|a| b.push(Op::Activation(a), vec![image])).collect();
    all.push(b.targets("activations far from zero", F32, targets));
    // What is near zero there is not allowed to cancel.
    let mut b = Builder::new(212, [1, 3, 4, 4]);
    b.input.data_mut().iter_mut().for_each(|v| *v *= 1e-6);
    let image = b.last;
    let straight = [Activation::Erf, Activation::Elu(0.7), Activation::Tanh];
    let targets = straight.into_iter().map(|a| b.push(Op::Activation(a), vec![image])).collect();
    all.push(b.targets("activations near zero", F32, targets));
    let b = Builder::new(209, [1, 5, 4, 4]).act(Activation::Abs).act(Activation::Sqrt);
    all.push(b.done("square roots", F32));
    let b = Builder::new(210, [1, 5, 4, 4]).act(Activation::Exp).act(Activation::Log);
    all.push(b.done("logarithms", F32));
    for kind in [BinaryOp::Min, BinaryOp::Max, BinaryOp::Pow, BinaryOp::Greater] {
        for shape in [&[][..], &[7, 1, 1], &[5, 6]] {
            let b = Builder::new(211, [1, 7, 5, 6]).act(Activation::Sigmoid).with_constant(kind, shape, false);
            all.push(b.done(format!("{kind:?} with a constant {shape:?}"), F32));
        }
    }

    for kind in [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div] {
        for c in [3, 4, 9] {
            let mut b = Builder::new(203, [1, c, 5, 6]);
            let x = b.last;
            // A divisor away from zero.
            let y = b.push(Op::Activation(Activation::HardSigmoid(0.4, 0.5)), vec![x]);
            b.push(Op::Binary(kind), vec![x, y]);
            all.push(b.done(format!("{kind:?} of two activations, {c} channels"), F32));
            // Squeeze and excitation: one factor a channel.
            let mut b = Builder::new(204, [1, c, 5, 6]);
            let gate = b.push(reduce(ReduceKind::Mean, &[2, 3], true), vec![x]);
            let gate = b.push(Op::Activation(Activation::Sigmoid), vec![gate]);
            b.push(Op::Binary(kind), vec![x, gate]);
            all.push(b.done(format!("{kind:?} with one value a channel, {c} channels"), F32));
            // Spatial attention: one factor a cell.
            let mut b = Builder::new(205, [1, c, 5, 6]);
            let gate = b.push(reduce(ReduceKind::Max, &[1], true), vec![x]);
            let gate = b.push(Op::Activation(Activation::Sigmoid), vec![gate]);
            b.push(Op::Binary(kind), vec![x, gate]);
            all.push(b.done(format!("{kind:?} with one value a cell, {c} channels"), F32));
        }
        for shape in [&[][..], &[1], &[6], &[5, 6], &[7, 1, 1], &[1, 7, 1, 1], &[1, 7, 5, 6], &[1, 1, 5, 1]] {
            for first in [false, true] {
                let order = if first { "constant first" } else { "constant last" };
                if kind == BinaryOp::Div && first {
                    continue; // the image has values near zero
                }
                let b = Builder::new(206, [1, 7, 5, 6]).with_constant(kind, shape, first);
                all.push(b.done(format!("{kind:?} with a constant {shape:?}, {order}"), F32));
            }
        }
        let b = Builder::new(207, [1, 3, 2, 5]).reshape([6, 5]).with_constant(kind, &[5], false);
        all.push(b.done(format!("{kind:?} of a matrix and a row"), F32));
    }
    // What is compared is rounded, so that some values are equal; what is kept holds an infinity where it is not kept.
    for c in [3, 4, 9] {
        for kind in [BinaryOp::Greater, BinaryOp::Equal] {
            let mut b = Builder::new(212, [1, c, 5, 6]);
            let x = b.push(Op::Activation(Activation::Round), vec![b.last]);
            let cells = b.push(reduce(ReduceKind::Max, &[1], true), vec![x]);
            let channels = b.push(reduce(ReduceKind::Max, &[2, 3], true), vec![x]);
            let other = b.push(Op::Activation(Activation::Abs), vec![x]);
            let compared = [(x, other), (other, x), (x, cells), (cells, x), (x, channels), (channels, x)];
            let targets = compared.into_iter().map(|(a, y)| b.push(Op::Binary(kind), vec![a, y])).collect();
            all.push(b.targets(format!("{kind:?} over {c} channels"), Exact, targets));
        }
        let mut b = Builder::new(213, [1, c, 5, 6]);
        let x = b.last;
        let above = b.push(Op::Activation(Activation::Relu), vec![x]);
        let root = b.push(Op::Activation(Activation::Log), vec![above]);
        let cells = b.push(reduce(ReduceKind::Min, &[1], true), vec![above]);
        let kept = [(root, above), (x, cells), (cells, x)];
        let targets = kept.into_iter().map(|(a, y)| b.push(Op::Binary(BinaryOp::Keep), vec![a, y])).collect();
        all.push(b.targets(format!("Keep over {c} channels"), F32, targets));
    }
    let mut b = Builder::new(208, [1, 4, 3, 5]);
    let x = b.last;
    let rows = b.push(reduce(ReduceKind::Max, &[3], true), vec![x]);
    let columns = b.push(reduce(ReduceKind::Max, &[2], true), vec![x]);
    b.push(Op::Binary(BinaryOp::Add), vec![rows, columns]);
    all.push(b.done("a sum where both sides are broadcast", F32));
}

pub fn windows_and_reductions(all: &mut Vec<Problem>) {
    use Tolerance::{Exact, F32};
    let average = |count_include_pad| PoolKind::Average { count_include_pad };
    for c in [1, 3, 4, 6, 17] {
        let pads = [(2, 2, [0; 4]), (3, 2, [1; 4]), (3, 1, [1; 4]), (3, 2, [0, 0, 1, 1]), (2, 2, [0, 1, 1, 0])];
        for (kernel, stride, pads) in pads {
            let name = |what| format!("{what} {kernel}x{kernel} stride {stride} pads {pads:?}, {c} channels");
            let b = |seed| Builder::new(seed, [1, c, 9, 7]);
            all.push(b(300).op(pool(PoolKind::Max, kernel, stride, pads)).done(name("max pool"), Exact));
            all.push(b(301).op(pool(average(true), kernel, stride, pads)).done(name("average pool with pads"), F32));
            all.push(b(302).op(pool(average(false), kernel, stride, pads)).done(name("average pool"), F32));
        }
    }
    let wide = Pool2d { kind: PoolKind::Max, kernel: [3, 2], strides: [1, 2], dilations: [2, 1], pads: [2, 0, 1, 1] };
    all.push(Builder::new(303, [1, 5, 8, 9]).op(Op::Pool2d(wide)).done("max pool 3x2, dilated along height", Exact));
    let negative = Builder::new(304, [1, 3, 4, 4]).with_constant(BinaryOp::Sub, &[], false);
    let mut b = negative;
    b.input.data_mut().iter_mut().for_each(|v| *v -= 5.0);
    let b = b.op(pool(PoolKind::Max, 3, 1, [1; 4]));
    all.push(b.done("max pool of negative values: padding never wins", F32));

    for kind in [ReduceKind::Mean, ReduceKind::Sum, ReduceKind::Max, ReduceKind::Min, ReduceKind::Product] {
        let tolerance = if matches!(kind, ReduceKind::Max | ReduceKind::Min) { Exact } else { F32 };
        for c in [1, 3, 8, 17] {
            for (axes, keep) in [
                (&[2, 3][..], true),
                (&[2, 3], false),
                (&[1], true),
                (&[1], false),
                (&[3], true),
                (&[2], false),
                (&[1, 2, 3], true),
                (&[0, 1, 2, 3], true),
                (&[0], true),
            ] {
                let mut b = Builder::new(305, [1, c, 6, 5]);
                // Sums far from zero, so that a relative difference means something.
                b.input.data_mut().iter_mut().for_each(|v| *v = far_from_zero(kind, *v));
                let name = format!("{kind:?} over {axes:?} of {c} channels, keep_dims {keep}");
                all.push(b.op(reduce(kind, axes, keep)).done(name, tolerance));
            }
        }
        let mut b = Builder::new(306, [1, 5, 20, 30]);
        b.input.data_mut().iter_mut().for_each(|v| *v = far_from_zero(kind, *v));
        all.push(b.op(reduce(kind, &[2, 3], true)).done(format!("{kind:?} over 600 cells"), tolerance));
    }
    for (axis, shape) in
        [(1, [1, 10, 1, 1]), (1, [1, 7, 3, 5]), (2, [1, 3, 8, 2]), (3, [1, 3, 4, 9]), (1, [1, 1, 2, 2])]
    {
        let b = Builder::new(307, shape).op(Op::Softmax { axis });
        all.push(b.done(format!("softmax along axis {axis} of {shape:?}"), F32));
    }
    let b = Builder::new(308, [1, 10, 1, 1]).reshape([1, 10]).op(Op::Softmax { axis: 1 });
    all.push(b.done("softmax of logits", F32));
    let mut b = Builder::new(309, [1, 4, 3, 3]);
    b.input.data_mut().iter_mut().for_each(|v| *v = *v * 50.0 + 200.0);
    all.push(b.op(Op::Softmax { axis: 1 }).done("softmax of values that would overflow exp", F32));
}

/// A value that a reduction neither cancels nor multiplies up to infinity.
fn far_from_zero(kind: ReduceKind, v: f32) -> f32 {
    if kind == ReduceKind::Product { 1.0 + 0.05 * v } else { v + 1.5 }
}

pub fn moves(all: &mut Vec<Problem>) {
    use Tolerance::Exact;
    for c in [1, 3, 4, 5, 8, 17] {
        let b = || Builder::new(400, [1, c, 3, 4]);
        all.push(b().reshape([1, c * 12]).done(format!("flatten {c} channels"), Exact));
        all.push(b().reshape([1, 4, 3, c]).done(format!("reshape {c} channels into 4"), Exact));
        all.push(b().reshape([1, c, 12]).done(format!("cells of {c} channels in a row"), Exact));
        all.push(b().reshape([c * 3, 4]).reshape([1, 12, c, 1]).done(format!("two reshapes, {c} channels"), Exact));
        for perm in [[0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2], [0, 2, 1, 3], [3, 2, 1, 0]] {
            all.push(b().transpose(&perm).done(format!("transpose {perm:?} of {c} channels"), Exact));
        }
        let pad = |before: [usize; 4], after: [usize; 4], value| Op::Pad {
            before: before.to_vec(),
            after: after.to_vec(),
            value,
        };
        let b1 = b().op(pad([0, 0, 1, 2], [0, 0, 3, 0], 0.0));
        all.push(b1.done(format!("spatial padding of {c} channels"), Exact));
        all.push(b().op(pad([0, 1, 0, 0], [0, 2, 0, 1], -1.5)).done(format!("channel padding of {c} channels"), Exact));
        for other in [1, 4, 6] {
            let b = b();
            let x = b.last;
            let mut b = b.conv(other, [1, 1], conv(1));
            let y = b.last;
            b.push(Op::Concat { axis: 1 }, vec![x, y, x]);
            all.push(b.done(format!("channels {c}, {other} and {c} joined"), Tolerance::F32));
        }
        for axis in [2, 3] {
            let mut b = b();
            let x = b.last;
            let y = b.push(Op::Activation(Activation::Relu), vec![x]);
            b.push(Op::Concat { axis }, vec![y, x]);
            all.push(b.done(format!("{c} channels joined along axis {axis}"), Exact));
        }
    }
    // Channel shuffle (ShuffleNet): reshape, transpose, reshape.
    let b =
        Builder::new(401, [1, 12, 3, 5]).reshape([1, 3, 4, 3, 5]).transpose(&[0, 2, 1, 3, 4]).reshape([1, 12, 3, 5]);
    all.push(b.done("channel shuffle in 3 groups", Exact));
    let b = Builder::new(402, [1, 6, 2, 2]).reshape([1, 24]).transpose(&[1, 0]).done("transpose of a vector", Exact);
    all.push(b);
    let b = Builder::new(403, [1, 5, 1, 1]).op(Op::Concat { axis: 1 });
    all.push(b.done("one part joined", Exact));
}
