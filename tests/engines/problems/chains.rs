//! Several nodes at once, mixes, and random problems.

use super::*;

pub fn chains(all: &mut Vec<Problem>) {
    use Tolerance::{F32, Int8};
    let clip = Activation::Clip(0.0, 6.0);
    // Inverted residual blocks as in EfficientNet-Lite, targets at the end and in the middle.
    for (int8, tolerance) in [(false, F32), (true, Int8)] {
        for middle in [false, true] {
            let mut b = Builder::new(500, [1, 3, 24, 20]);
            b.int8 = int8;
            let mut b = b
                .conv(8, [3, 3], Conv2d { strides: [2, 2], pads: [0, 0, 1, 1], activation: clip, ..conv(3) })
                .conv(24, [1, 1], Conv2d { activation: clip, ..conv(1) })
                .conv(
                    24,
                    [5, 5],
                    Conv2d { groups: 24, strides: [2, 2], pads: [1, 1, 2, 2], activation: clip, ..conv(5) },
                )
                .conv(10, [1, 1], conv(1));
            let shortcut = b.last;
            b = b.conv(40, [1, 1], Conv2d { activation: clip, ..conv(1) }).conv(
                40,
                [3, 3],
                Conv2d { groups: 40, activation: clip, ..conv(3) },
            );
            let inner = b.last;
            b.conv_of(inner, 10, [1, 1], conv(1), Some(shortcut));
            let b = b.conv(30, [1, 1], Conv2d { activation: clip, ..conv(1) });
            let features = b.last;
            let b = b.op(reduce(ReduceKind::Mean, &[2, 3], false)).linear(12, Activation::None);
            let logits = b.last;
            let name = format!("inverted residuals{}", if int8 { ", int8" } else { "" });
            let (what, targets) = match middle {
                true => ("target in the middle", vec![shortcut]),
                false => ("features, a middle layer and logits", vec![features, inner, logits]),
            };
            all.push(b.targets(format!("{name}: {what}"), tolerance, targets));
        }
    }
    let mut b = Builder::new(501, [1, 3, 20, 20]).conv(
        6,
        [7, 7],
        Conv2d { strides: [2, 2], activation: Activation::Relu, ..conv(7) },
    );
    b = b.op(pool(PoolKind::Max, 3, 2, [1; 4]));
    let x = b.last;
    let b = b.conv(12, [3, 3], Conv2d { strides: [2, 2], activation: Activation::Relu, ..conv(3) });
    let branch = b.last;
    let mut b = b;
    b.last = x;
    let mut b = b.conv(12, [1, 1], Conv2d { strides: [2, 2], ..conv(1) });
    let shortcut = b.last;
    b.conv_of(branch, 12, [3, 3], Conv2d { activation: Activation::Relu, ..conv(3) }, Some(shortcut));
    all.push(b.done("ResNet block with a strided shortcut", F32));

    let mut b =
        Builder::new(502, [1, 3, 12, 12]).conv(16, [3, 3], Conv2d { activation: Activation::HardSwish, ..conv(3) });
    let x = b.last;
    b = b.op(reduce(ReduceKind::Mean, &[2, 3], true));
    b = b.conv(4, [1, 1], Conv2d { activation: Activation::Relu, ..conv(1) });
    b = b.conv(16, [1, 1], Conv2d { activation: Activation::HardSigmoid(1.0 / 6.0, 0.5), ..conv(1) });
    let gate = b.last;
    b.push(Op::Binary(BinaryOp::Mul), vec![x, gate]);
    all.push(b.done("squeeze and excitation (MobileNetV3)", F32));

    let mut b = Builder::new(503, [1, 3, 8, 8]).conv(12, [4, 4], Conv2d { strides: [4, 4], pads: [0; 4], ..conv(4) });
    b = b.reshape([1, 12, 4]).transpose(&[0, 2, 1]);
    let tokens = b.last;
    b = b.linear(12, Activation::None);
    let query = b.last;
    b.last = tokens;
    b = b.linear(12, Activation::None).transpose(&[0, 2, 1]);
    let key = b.last;
    b.push(Op::MatMul, vec![query, key]);
    b = b.op(Op::Softmax { axis: 2 });
    let attention = b.last;
    b.push(Op::MatMul, vec![attention, tokens]);
    b = b.transpose(&[0, 2, 1]).reshape([1, 12, 2, 2]);
    all.push(b.done("attention over patches", F32));

    // The same value read late: its memory must not be given away in between.
    let mut b = Builder::new(504, [1, 5, 8, 8]).conv(7, [1, 1], Conv2d { activation: clip, ..conv(1) });
    let early = b.last;
    for _ in 0..5 {
        b = b.conv(7, [3, 3], Conv2d { activation: clip, groups: 7, ..conv(3) });
    }
    let late = b.last;
    b.push(Op::Binary(BinaryOp::Add), vec![early, late]);
    all.push(b.done("a value that is read again much later", F32));

    let mut b = Builder::new(505, [1, 5, 6, 6]).conv(6, [1, 1], conv(1));
    let x = b.last;
    b.conv_of(x, 6, [1, 1], conv(1), Some(x));
    all.push(b.done("input and residual are the same value", F32));

    let b = Builder::new(506, [1, 3, 6, 6]).conv(6, [1, 1], conv(1));
    let (x, relu) = (b.last, Op::Activation(Activation::Relu));
    let mut b = b;
    let left = b.push(relu.clone(), vec![x]);
    let right = b.push(Op::Activation(Activation::Tanh), vec![x]);
    all.push(b.targets("two targets, one of them twice", F32, vec![right, left, right]));
    let b = Builder::new(507, [1, 3, 6, 6]);
    let image = b.last;
    all.push(b.targets("the input itself as the target", Tolerance::Exact, vec![image]));
    // A target that is also read by a reshape, which may share its memory.
    let b = Builder::new(508, [1, 4, 3, 3]).act(Activation::Relu);
    let kept = b.last;
    let b = b.reshape([1, 36]).act(Activation::Tanh);
    let last = b.last;
    all.push(b.targets("a target that is reshaped later", F32, vec![kept, last]));
}

pub fn mixes(all: &mut Vec<Problem>) {
    let mut rng = Rng(600);
    for pooling in [Pooling::Average, Pooling::Max, Pooling::GeM(3.0), Pooling::GeM(1.5), Pooling::Crow] {
        for gate in [Gate::Feature, Gate::AbsFeature, Gate::One] {
            for (normalise, centred, classes) in
                [(false, false, 1), (true, false, 3), (true, true, 10), (false, true, 0)]
            {
                let channels = rng.pick(&[3, 4, 17, 40]);
                let b = Builder::new(601, [1, channels, 7, 7]);
                let activation = rng.pick(&[Activation::None, Activation::Relu]);
                let mut problem = b.act(activation).done(
                    format!("mix {pooling:?} {gate:?} {activation:?}, {classes} classes, normalise {normalise}, centred {centred}, {channels} channels"),
                    Tolerance::F32,
                );
                let mut vector = || (0..channels).map(|_| rng.signed()).collect::<Vec<_>>();
                let mean = centred.then(&mut vector);
                let directions = (0..classes).map(|_| vector()).collect();
                problem.mix = Mix { pooling, mean, directions, gate, normalise };
                all.push(problem);
            }
        }
    }
    let mut all_zero = Builder::new(602, [1, 5, 3, 3]);
    all_zero.input.data_mut().fill(-1.0);
    all.push(all_zero.act(Activation::Relu).done("mix of activations that are all zero", Tolerance::Exact));
    let vector = Builder::new(603, [1, 9, 1, 1]).reshape([1, 9]).act(Activation::Tanh);
    all.push(vector.done("mix of a vector", Tolerance::F32));
    let large = Builder::new(604, [1, 70, 33, 29]).act(Activation::Relu);
    all.push(large.done("mix of a large map", Tolerance::F32));
    for (activation, what) in [(Activation::Relu, "a large map"), (Activation::Clip(-1.0, 0.0), "no positive cell")] {
        let mut problem = Builder::new(605, [1, 70, 33, 29]).act(activation).done("", Tolerance::F32);
        problem.name = format!("spatial attention pooling of {what}");
        problem.mix.pooling = Pooling::Crow;
        all.push(problem);
    }
}

pub fn random_convolution(seed: u64) -> Problem {
    let mut rng = Rng(1000 + seed);
    let groups = rng.pick(&[1, 1, 1, 2, 3]);
    let depthwise = rng.below(3) == 0;
    let channels = if depthwise { 1 + rng.below(40) } else { groups * (1 + rng.below(20)) };
    let (groups, outputs) = match depthwise {
        true => (channels, channels),
        false => (groups, groups * (1 + rng.below(24))),
    };
    let kernel = [1 + rng.below(5), 1 + rng.below(5)];
    let dilations = [1 + rng.below(2), 1 + rng.below(2)];
    let extent = [(kernel[0] - 1) * dilations[0] + 1, (kernel[1] - 1) * dilations[1] + 1];
    let pads = [0, 1, 0, 1].map(|axis: usize| rng.below(extent[axis].min(4)));
    let size = [extent[0] + rng.below(14), extent[1] + rng.below(14)];
    let activation = rng.pick(&ACTIVATIONS);
    let (int8, residual) = (rng.below(2) == 0, rng.below(3) == 0);
    let strides = [1 + rng.below(3), 1 + rng.below(3)];
    let conv = Conv2d { strides, dilations, pads, groups, activation, residual: false };

    let mut b = Builder::new(2000 + seed, [1, channels, size[0], size[1]]);
    b.int8 = int8;
    let image = b.last;
    let residual = residual.then(|| {
        // Another convolution of the same shape gives a residual that fits.
        b.conv_of(image, outputs, kernel, Conv2d { activation: Activation::None, ..conv.clone() }, None);
        b.last
    });
    let described = format!("random convolution {seed}: {channels} to {outputs}, {kernel:?}, {conv:?}, int8 {int8}");
    b.conv_of(image, outputs, kernel, conv, residual);
    b.done(described, if int8 { Tolerance::Int8 } else { Tolerance::F32 })
}

/// Convolutions, pools, sums, joins and gates in random order, with a target at a random place.
pub fn random_chain(seed: u64) -> Problem {
    let mut rng = Rng(3000 + seed);
    let channels = 1 + rng.below(9);
    let (height, width) = (6 + rng.below(10), 6 + rng.below(10));
    let mut b = Builder::new(4000 + seed, [1, channels, height, width]);
    b.int8 = seed.is_multiple_of(2);
    let mut maps = vec![b.last];
    for _ in 0..3 + rng.below(9) {
        let x = rng.pick(&maps[maps.len().saturating_sub(3)..]);
        let dims = b.graph.value(x).shape.dims().to_vec();
        b.last = x;
        // Clips keep a long chain's values, and so its rounding errors, within bounds.
        let activation = rng.pick(&[Activation::Clip(-2.0, 2.0), Activation::Clip(0.0, 6.0), Activation::Tanh]);
        let alike: Vec<ValueId> = maps.iter().copied().filter(|&m| b.graph.value(m).shape.dims() == dims).collect();
        b = match rng.below(7) {
            0 => b.conv(dims[1], [3, 3], Conv2d { groups: dims[1], activation, ..conv(3) }),
            1 => {
                let residual = rng.pick(&alike);
                b.conv_of(x, dims[1], [3, 3], Conv2d { activation, ..conv(3) }, Some(residual));
                b
            }
            2 if dims[2] > 3 && dims[3] > 3 => b.op(pool(PoolKind::Max, 3, 2, [1; 4])),
            3 => {
                let other = rng.pick(&alike);
                b.push(Op::Binary(rng.pick(&[BinaryOp::Add, BinaryOp::Mul])), vec![x, other]);
                b.act(activation)
            }
            4 if dims[1] < 20 => {
                let other = rng.pick(&alike);
                b.push(Op::Concat { axis: 1 }, vec![x, other]);
                b
            }
            5 => {
                let gate = b.push(reduce(ReduceKind::Mean, &[2, 3], true), vec![x]);
                let gate = b.push(Op::Activation(Activation::Sigmoid), vec![gate]);
                b.push(Op::Binary(BinaryOp::Mul), vec![x, gate]);
                b
            }
            _ => b.conv(1 + rng.below(12), [1, 1], Conv2d { activation, ..conv(1) }),
        };
        maps.push(b.last);
    }
    let targets = vec![maps[1 + rng.below(maps.len() - 1)], maps[maps.len() - 1]];
    let tolerance = if b.int8 { Tolerance::Int8 } else { Tolerance::F32 };
    b.targets(format!("random chain {seed} of {} nodes", maps.len() - 1), tolerance, targets)
}
