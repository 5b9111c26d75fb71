//! What takes many steps for one value: long sums, wide windows, long axes. Mesa's llvmpipe ends the loops of an
//! invocation after 65,535 rounds without a word, so an engine has to do these in parts.

use famlens::graph::LayerNorm;

use super::*;

pub fn all_of_them(all: &mut Vec<Problem>) {
    use Tolerance::{Exact, F32};
    let kinds = [ReduceKind::Mean, ReduceKind::Sum, ReduceKind::Max, ReduceKind::Min];
    for kind in kinds {
        let tolerance = if matches!(kind, ReduceKind::Max | ReduceKind::Min) { Exact } else { F32 };
        // The image and two of its reductions, all positive: what cancels shows nothing but rounding.
        let mut b = Builder::new(900, [1, 3, 224, 224]);
        let x = b.push(Op::Activation(Activation::HardSigmoid(0.5, 0.5)), vec![b.last]);
        let whole = b.push(reduce(kind, &[1, 2, 3], true), vec![x]);
        let planes = b.push(reduce(kind, &[2, 3], true), vec![x]);
        let lines = b.push(reduce(kind, &[1, 3], false), vec![x]);
        all.push(b.targets(format!("{kind:?} of 3x224x224"), tolerance, vec![whole, planes, lines]));
    }
    let mut b = Builder::new(901, [1, 5, 300, 300]);
    // Factors whose products are exact in any order.
    b.input.data_mut().iter_mut().enumerate().for_each(|(i, v)| *v = [2.0, 0.5, -1.0][i % 3]);
    all.push(b.op(reduce(ReduceKind::Product, &[2, 3], true)).done("Product of 300x300, 5 channels", Exact));
    let b = Builder::new(902, [1, 6, 1, 70_001]).reshape([6, 70_001]).op(reduce(ReduceKind::Mean, &[0], false));
    all.push(b.done("Mean of 6 rows of 70,001", F32));

    for (shape, axis) in [([1, 1, 224, 320], 3), ([1, 401, 3, 2], 1), ([1, 6, 400, 2], 2)] {
        let b = Builder::new(903, shape).op(Op::Softmax { axis });
        all.push(b.done(format!("softmax of {shape:?} along {axis}"), F32));
    }
    let b = Builder::new(904, [1, 2, 260, 270]).reshape([1, 2, 70_200]).op(Op::Softmax { axis: 2 });
    all.push(b.done("softmax along 70,200 cells", F32));
    let b = Builder::new(904, [1, 2, 260, 270]).reshape([2, 70_200]).op(Op::Softmax { axis: 1 });
    all.push(b.done("softmax along 70,200 cells of a matrix", F32));

    let mut b = Builder::new(905, [1, 3, 300, 300]);
    let (x, scale, bias) = (b.last, b.constant(&[3, 1, 1]), b.constant(&[3, 1, 1]));
    b.push(Op::LayerNorm(LayerNorm { axes: vec![1, 2, 3], epsilon: 1e-5 }), vec![x, scale, bias]);
    all.push(b.done("a norm over 3x300x300", Tolerance::Norm));

    let average = |count_include_pad| PoolKind::Average { count_include_pad };
    for kind in [PoolKind::Max, average(false), average(true)] {
        let tolerance = if kind == PoolKind::Max { Exact } else { F32 };
        for (size, kernel, strides, dilations, pads) in [
            ([40, 31], [17, 17], [1, 1], [1, 1], [8; 4]),
            ([40, 50], [33, 9], [3, 2], [1, 2], [16, 5, 9, 8]),
            ([280, 250], [280, 250], [1, 1], [1, 1], [0; 4]),
        ] {
            let op = Op::Pool2d(Pool2d { kind, kernel, strides, dilations, pads });
            let b = Builder::new(906, [1, 5, size[0], size[1]]).op(op);
            all.push(b.done(format!("{kind:?} pool of {kernel:?} over {size:?}"), tolerance));
        }
    }

    // A sum of products in more than one part: rows that are whole fours, and rows that are not.
    for k in [131_073, 240_004] {
        let mut b = Builder::new(907, [1, 1, 1, k]);
        b.input.data_mut().iter_mut().for_each(|v| *v = v.abs());
        let mut b = b.reshape([1, k]);
        let x = b.last;
        let (weight, bias) = (b.weight(&[4, k]), b.bias(4));
        let op = Op::Linear(Linear { activation: Activation::Relu });
        b.push(op, vec![x, weight, bias]);
        all.push(b.done(format!("a layer of {k} inputs"), Tolerance::Norm));
    }
    let mut b = Builder::new(908, [1, 3, 1, 131_072]).reshape([1, 3, 131_072]);
    let (x, c) = (b.last, b.constant(&[1, 131_072, 5]));
    b.push(Op::MatMul, vec![x, c]);
    all.push(b.done("a product over 131,072", Tolerance::Norm));

    let poolings =
        [("GAP", Pooling::Average), ("GMP", Pooling::Max), ("GeM", Pooling::GeM(3.0)), ("CroW", Pooling::Crow)];
    for (name, pooling) in poolings {
        let mut problem =
            Builder::new(909, [1, 9, 300, 290]).act(Activation::Abs).done(format!("{name} of 300x290"), F32);
        problem.mix.pooling = pooling;
        all.push(problem);
    }
}
