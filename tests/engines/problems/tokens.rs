//! What only shows at other sizes or in other places of memory: more keys and wider values than one tile, more lines
//! than one row of a grid, values of four dimensions that are no maps, broadcasts along the last dimensions.

use super::*;
use famlens::graph::{Attention, LayerNorm};

/// Rows `[1, height width, channels]` of an image.
fn rows(seed: u64, [channels, height, width]: [usize; 3]) -> Builder {
    Builder::new(seed, [1, channels, height, width]).reshape([1, channels, height * width]).transpose(&[0, 2, 1])
}

pub fn all_of_them(all: &mut Vec<Problem>) {
    long_attention(all);
    broadcasts(all);
    four_dimensions(all);
    products(all);
}

fn long_attention(all: &mut Vec<Problem>) {
    // Keys of two and a half tiles, in whole fours and not; values wider than a workgroup's memory.
    for (depth, [h, w]) in [(8, [10, 16]), (7, [10, 16]), (300, [5, 13]), (270, [1, 9]), (4, [8, 8]), (4, [5, 13])] {
        for mask in [false, true] {
            let mut b = rows(800, [depth, h, w]);
            b.input.data_mut().iter_mut().for_each(|v| *v *= 3.0);
            let x = b.last;
            let mut inputs = vec![x, x, x];
            if mask {
                inputs.push(b.constant(&[h * w, h * w]));
            }
            let scale = (depth as f32).powf(-0.5);
            b.push(Op::Attention(Attention { scale, mask }), inputs);
            let name = format!("attention over {} keys of {depth}, mask {mask}", h * w);
            all.push(b.done(name, Tolerance::F32));
        }
    }
    // The largest score comes in a later tile than others that count.
    let mut b = rows(801, [4, 10, 20]);
    let data = b.input.data_mut();
    data.iter_mut().enumerate().for_each(|(i, v)| *v += (i % 200) as f32 / 40.0);
    let x = b.last;
    b.push(Op::Attention(Attention { scale: 1.0, mask: false }), vec![x, x, x]);
    all.push(b.done("attention whose scores grow from tile to tile", Tolerance::F32));
    // A mask of minus infinity, as exporters write it.
    let mut b = rows(802, [8, 10, 10]);
    let open = (0..100 * 100).map(|i| if i / 100 >= i % 100 { 0.0 } else { f32::NEG_INFINITY }).collect();
    let mask = b.graph.add_constant("mask", Tensor::new([100, 100], open).unwrap());
    let x = b.last;
    b.push(Op::Attention(Attention { scale: 0.3, mask: true }), vec![x, x, x, mask]);
    all.push(b.done("attention that looks back only", Tolerance::F32));
    // Heads as the target itself: a map by its shape.
    let mut b = rows(803, [12, 3, 5]).reshape([1, 15, 3, 4]).transpose(&[0, 2, 1, 3]);
    let x = b.last;
    b.push(Op::Attention(Attention { scale: 0.5, mask: false }), vec![x, x, x]);
    all.push(b.done("heads of attention as the target", Tolerance::F32));
}

fn broadcasts(all: &mut Vec<Problem>) {
    use Tolerance::F32;
    for kind in [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Max, BinaryOp::Min] {
        for (width, shape) in [
            (8, &[8][..]),
            (8, &[1, 1, 8]),
            (8, &[15, 8]),
            (8, &[1, 15, 8]),
            (8, &[15, 1]),
            (6, &[6]),
            (6, &[15, 6]),
            (8, &[1]),
        ] {
            for first in [false, true] {
                if kind == BinaryOp::Div && first {
                    continue;
                }
                let b = rows(810, [width, 3, 5]).with_constant(kind, shape, first);
                let name = format!("{kind:?} of rows of {width} and a constant {shape:?}, constant first {first}");
                all.push(b.done(name, F32));
            }
        }
    }
    // Powers of negative numbers by whole exponents.
    for (exponent, x) in [(2.0, -1.5), (3.0, -0.5), (-1.0, 2.0), (0.5, 1.5), (0.0, 0.0), (1.0, 0.0), (4.0, 0.0)] {
        let mut b = Builder::new(811, [1, 5, 4, 3]);
        b.input.data_mut().iter_mut().for_each(|v| *v += x);
        let image = b.last;
        let e = b.graph.add_constant("exponent", Tensor::new([1], vec![exponent]).unwrap());
        b.push(Op::Binary(BinaryOp::Pow), vec![image, e]);
        all.push(b.done(format!("power {exponent} of values around {x}"), F32));
        let mut b = rows(812, [5, 4, 3]);
        b.input.data_mut().iter_mut().for_each(|v| *v += x);
        let (x, e) = (b.last, b.graph.add_constant("e", Tensor::new([12, 1], vec![exponent; 12]).unwrap()));
        b.push(Op::Binary(BinaryOp::Pow), vec![x, e]);
        all.push(b.done(format!("power {exponent}, an exponent a row"), F32));
    }
}

/// `[1, A, B, C]` that is no map: through every op that has a layout to choose, and back into a map.
fn four_dimensions(all: &mut Vec<Problem>) {
    use Tolerance::{Exact, F32};
    for c in [4, 6] {
        let heads = || rows(820, [2 * c, 3, 5]).reshape([1, 15, 2, c]).transpose(&[0, 2, 1, 3]);
        let parts = |start: [usize; 4], step: [isize; 4], size: [usize; 4]| Op::Slice {
            start: start.to_vec(),
            step: step.to_vec(),
            size: size.to_vec(),
        };
        let pad = |before: [usize; 4], after: [usize; 4], value| Op::Pad {
            before: before.to_vec(),
            after: after.to_vec(),
            value,
        };
        let norm = |mut b: Builder, axes: &[usize], shape: &[usize]| {
            let (x, scale, bias) = (b.last, b.constant(shape), b.constant(shape));
            b.push(Op::LayerNorm(LayerNorm { axes: axes.to_vec(), epsilon: 1e-5 }), vec![x, scale, bias]);
            b
        };
        let mut add = |what: &str, b: Builder, tolerance| {
            // The op's own output in rows, joined to tokens; and the same value as a map.
            let dims = b.shape();
            let flat: Vec<usize> = vec![dims[0] * dims[1], dims[2] * dims[3]];
            all.push(b.reshape(Shape::new(flat)).done(format!("{what}, heads of {c}"), tolerance));
        };
        add("softmax along the last", heads().op(Op::Softmax { axis: 3 }), F32);
        add("softmax along the rows", heads().op(Op::Softmax { axis: 2 }), F32);
        add("gelu", heads().act(Activation::Gelu), F32);
        add("a sum with a row", heads().with_constant(BinaryOp::Add, &[c], false), F32);
        add("a product with heads", heads().with_constant(BinaryOp::Mul, &[2, 1, 1], false), F32);
        add("the mean of rows", heads().op(reduce(ReduceKind::Mean, &[2], true)), F32);
        add("a part", heads().op(parts([0, 1, 3, 0], [1, -1, 2, 1], [1, 2, 5, c])), Exact);
        add("picked rows", heads().op(Op::Gather { axis: 2, indices: vec![3, 9, 0, 14, 14] }), Exact);
        add("picked values", heads().op(Op::Gather { axis: 3, indices: vec![2, 0, 3, 3] }), Exact);
        add("padded", heads().op(pad([0, 0, 1, 2], [0, 1, 0, 1], 0.5)), Exact);
        add("normalised", norm(heads(), &[3], &[c]), F32);
        add("normalised over rows", norm(heads(), &[2, 3], &[2, 1, 1]), F32);
        let mut joined = heads();
        let x = joined.last;
        let y = joined.push(Op::Activation(Activation::Relu), vec![x]);
        joined.push(Op::Concat { axis: 3 }, vec![x, y, x]);
        add("joined", joined, Exact);
        // Channels last all the way, as ConvNeXt and Swin have it, and back into a convolution.
        let mut b = Builder::new(821, [1, c, 5, 7]).conv(c, [3, 3], conv(3));
        let image = b.last;
        b = norm(b.transpose(&[0, 2, 3, 1]), &[3], &[c]);
        b = b.linear(2 * c, Activation::Gelu).linear(c, Activation::None).with_constant(BinaryOp::Mul, &[c], false);
        b = b.transpose(&[0, 3, 1, 2]);
        let x = b.last;
        let sum = b.push(Op::Binary(BinaryOp::Add), vec![image, x]);
        b.last = sum;
        let b = b.conv(3, [3, 3], conv(3));
        all.push(b.done(format!("a ConvNeXt block of {c} channels"), F32));
        // Two readers of one value: rows for one, a map for the other.
        let mut b = Builder::new(822, [1, c, 4, 6]).transpose(&[0, 2, 3, 1]).act(Activation::Silu);
        let last = b.last;
        let rows = b.push(Op::Reshape(Shape::from([24, c])), vec![last]);
        b.last = last;
        b = b.op(pool(PoolKind::Max, 2, 2, [0; 4])).act(Activation::Tanh);
        let pooled = b.last;
        all.push(b.targets(format!("rows and a pool of one value, {c} channels"), F32, vec![pooled, rows]));
    }
    // More lines than one row of a grid of workgroups has.
    let mut b = Builder::new(823, [1, 4, 280, 250]).reshape([1, 70_000, 4]);
    b = {
        let (x, scale, bias) = (b.last, b.constant(&[4]), b.constant(&[4]));
        b.push(Op::LayerNorm(LayerNorm { axes: vec![2], epsilon: 1e-2 }), vec![x, scale, bias]);
        b
    };
    all.push(b.op(reduce(ReduceKind::Max, &[2], false)).done("seventy thousand norms", F32));
}

fn products(all: &mut Vec<Problem>) {
    use Tolerance::F32;
    for (lead_a, lead_b, [m, k, n]) in [
        (&[][..], &[][..], [9, 8, 12]),
        (&[3], &[3], [5, 12, 8]),
        (&[2, 3], &[2, 3], [6, 4, 4]),
        (&[2, 3], &[3], [1, 16, 20]),
        (&[2, 1], &[1, 3], [7, 8, 4]),
        (&[2, 1, 2, 1], &[1, 3, 1, 2], [3, 4, 4]),
        (&[2, 1, 1, 2, 1, 2], &[1, 1, 3, 1, 1, 2], [3, 4, 4]),
        (&[1, 2], &[1, 2], [5, 6, 8]),
        (&[1, 2], &[1, 2], [5, 8, 6]),
    ] {
        let a: Vec<usize> = [lead_a, &[m, k]].concat();
        let b: Vec<usize> = [lead_b, &[k, n]].concat();
        let sizes = [a.iter().product::<usize>(), b.iter().product()];
        let mut builder = Builder::new(830, [1, 1, 1, sizes[0] + sizes[1]]);
        let image = builder.push(Op::Reshape(Shape::from([sizes[0] + sizes[1]])), vec![builder.last]);
        let mut side = |start: usize, size: usize, dims: &[usize]| {
            let part = builder.push(Op::Slice { start: vec![start], step: vec![1], size: vec![size] }, vec![image]);
            builder.push(Op::Reshape(Shape::new(dims)), vec![part])
        };
        let inputs = vec![side(0, sizes[0], &a), side(sizes[0], sizes[1], &b)];
        let y = builder.push(Op::MatMul, inputs);
        let len = builder.graph.value(y).shape.len();
        builder.push(Op::Reshape(Shape::from([len])), vec![y]);
        all.push(builder.done(format!("product of rows, {a:?} and {b:?}"), F32));
    }
}
