//! Convolutions, linear layers and matrix products.

use super::*;

pub fn convolutions(all: &mut Vec<Problem>) {
    use Tolerance::{F32, Int8};
    // Channel counts on both sides of every group of four, and around a GPU's and a SIMD register's width.
    for (c, o) in [(1, 1), (3, 5), (4, 4), (5, 3), (7, 17), (17, 7), (32, 16), (33, 65), (96, 24)] {
        all.push(Builder::new(1, [1, c, 6, 5]).conv(o, [1, 1], conv(1)).done(format!("pointwise {c} to {o}"), F32));
        let b = Builder::new(2, [1, c, 6, 5]).int8().conv(o, [1, 1], conv(1));
        all.push(b.done(format!("pointwise {c} to {o}, int8"), Int8));
        all.push(Builder::new(3, [1, c, 7, 6]).conv(o, [3, 3], conv(3)).done(format!("3x3 {c} to {o}"), F32));
        let b = Builder::new(4, [1, c, 7, 6]).int8().conv(o, [3, 3], conv(3));
        all.push(b.done(format!("3x3 {c} to {o}, int8"), Int8));
    }
    for c in [2, 3, 4, 5, 7, 8, 17, 32, 67] {
        for kernel in [3, 5, 7] {
            let depthwise = Conv2d { groups: c, activation: Activation::Clip(0.0, 6.0), ..conv(kernel) };
            let b = Builder::new(5, [1, c, 9, 11]).conv(c, [kernel; 2], depthwise.clone());
            all.push(b.done(format!("depthwise {c} channels {kernel}x{kernel}"), F32));
            let asymmetric =
                Conv2d { strides: [2, 2], pads: [kernel / 2 - 1, kernel / 2 - 1, kernel / 2, kernel / 2], ..depthwise };
            let b = Builder::new(6, [1, c, 10, 8]).int8().conv(c, [kernel; 2], asymmetric);
            all.push(b.done(format!("depthwise {c} channels {kernel}x{kernel}, stride 2, SAME pads, int8"), Int8));
        }
    }
    // Taps so far apart that only the middle one meets the image: indices near the end of 32 bits.
    const FAR: usize = 1 << 27;
    let far = Conv2d { dilations: [FAR; 2], pads: [FAR; 4], ..conv(3) };
    let b = Builder::new(23, [1, 6, 8, 7]).conv(6, [3, 3], Conv2d { groups: 6, ..far.clone() });
    all.push(b.done("depthwise with taps far apart", F32));
    all.push(Builder::new(24, [1, 6, 8, 7]).conv(5, [3, 3], far).done("3x3 with taps far apart", F32));
    for kind in [PoolKind::Max, PoolKind::Average { count_include_pad: false }] {
        let far = Pool2d { kind, kernel: [3; 2], strides: [1; 2], dilations: [FAR; 2], pads: [FAR; 4] };
        let b = Builder::new(25, [1, 6, 8, 7]).op(Op::Pool2d(far));
        all.push(b.done(format!("{kind:?} pool with taps far apart"), F32));
    }
    // A plane wide enough for the inner loops of every width and narrow enough for none.
    for (h, w) in [(1, 1), (1, 9), (9, 1), (2, 2), (3, 33), (40, 5), (28, 28)] {
        let depthwise = Conv2d { groups: 6, ..conv(3) };
        let b = Builder::new(7, [1, 6, h, w]).int8().conv(6, [3, 3], depthwise);
        all.push(b.done(format!("depthwise 3x3 over {h}x{w}, int8"), Int8));
        let b = Builder::new(8, [1, 6, h, w]).int8().conv(10, [3, 3], conv(3));
        all.push(b.done(format!("3x3 over {h}x{w}, int8"), Int8));
        let b = Builder::new(9, [1, 13, h, w]).int8().conv(11, [1, 1], conv(1));
        all.push(b.done(format!("pointwise over {h}x{w}, int8"), Int8));
    }
    let stem = Conv2d { strides: [2, 2], pads: [0, 0, 1, 1], activation: Activation::Clip(0.0, 6.0), ..conv(3) };
    all.push(Builder::new(10, [1, 3, 32, 32]).conv(32, [3, 3], stem.clone()).done("stem 3x3 stride 2, SAME pads", F32));
    let b = Builder::new(11, [1, 3, 33, 31]).int8().conv(32, [3, 3], stem);
    all.push(b.done("stem on an odd size, int8", Int8));
    let b = Builder::new(12, [1, 3, 30, 30]).conv(8, [7, 7], Conv2d { strides: [2, 2], ..conv(7) });
    all.push(b.done("7x7 stride 2 (ResNet stem)", F32));
    let b = Builder::new(13, [1, 6, 11, 12]).conv(9, [3, 3], Conv2d { groups: 3, ..conv(3) });
    all.push(b.done("3 groups", F32));
    let b = Builder::new(14, [1, 8, 11, 12]).int8().conv(16, [3, 3], Conv2d { groups: 4, ..conv(3) });
    all.push(b.done("4 groups of 2 to 4, int8", Int8));
    let b = Builder::new(15, [1, 5, 8, 8]).conv(15, [3, 3], Conv2d { groups: 5, ..conv(3) });
    all.push(b.done("depthwise with channel multiplier 3", F32));
    let b =
        Builder::new(16, [1, 5, 12, 12]).conv(6, [3, 3], Conv2d { dilations: [2, 3], pads: [2, 3, 2, 3], ..conv(3) });
    all.push(b.done("dilation 2x3", F32));
    let dilated = Conv2d { dilations: [2, 2], pads: [2; 4], groups: 6, ..conv(3) };
    all.push(Builder::new(17, [1, 6, 12, 12]).int8().conv(6, [3, 3], dilated).done("dilated depthwise, int8", Int8));
    let b = Builder::new(18, [1, 4, 9, 9]).conv(6, [1, 5], Conv2d { pads: [0, 2, 0, 2], ..conv(1) });
    all.push(b.done("1x5 kernel", F32));
    let b = Builder::new(19, [1, 4, 9, 9]).conv(6, [4, 2], Conv2d { strides: [3, 1], pads: [0, 1, 3, 0], ..conv(1) });
    all.push(b.done("4x2 kernel, stride 3x1, pads on all sides different", F32));
    let b = Builder::new(20, [1, 5, 8, 8]).conv(7, [1, 1], Conv2d { strides: [2, 2], ..conv(1) });
    all.push(b.done("pointwise stride 2 (ResNet shortcut)", F32));
    let b = Builder::new(21, [1, 5, 8, 8]).int8().conv(7, [1, 1], Conv2d { pads: [1; 4], ..conv(1) });
    all.push(b.done("pointwise with padding, int8", Int8));
    let b = Builder::new(22, [1, 3, 16, 16]).conv(10, [8, 8], Conv2d { strides: [8, 8], pads: [0; 4], ..conv(8) });
    all.push(b.done("8x8 patches (ViT stem)", F32));
    let b = Builder::new(23, [1, 6, 4, 4]).conv(5, [4, 4], Conv2d { pads: [0; 4], ..conv(4) });
    all.push(b.done("kernel as large as the input", F32));

    for (i, activation) in ACTIVATIONS.into_iter().enumerate() {
        for int8 in [false, true] {
            let mut b = Builder::new(24 + i as u64, [1, 6, 5, 5]);
            b.int8 = int8;
            let b = b.conv(9, [1, 1], Conv2d { activation, ..conv(1) });
            let kind = if int8 { Int8 } else { F32 };
            all.push(b.done(format!("pointwise with {activation:?}{}", if int8 { ", int8" } else { "" }), kind));
        }
        let mut b = Builder::new(40 + i as u64, [1, 9, 5, 7]).int8();
        let image = b.last;
        b.conv_of(image, 9, [1, 1], Conv2d { activation, ..conv(1) }, Some(image));
        all.push(b.done(format!("pointwise with residual and {activation:?}, int8"), Int8));
        let mut b = Builder::new(60 + i as u64, [1, 9, 5, 7]);
        b.conv_of(image, 9, [3, 3], Conv2d { activation, groups: 9, ..conv(3) }, Some(image));
        all.push(b.done(format!("depthwise with residual and {activation:?}"), F32));
        let mut b = Builder::new(80 + i as u64, [1, 9, 5, 7]);
        b.conv_of(image, 9, [3, 3], Conv2d { activation, ..conv(3) }, Some(image));
        all.push(b.done(format!("3x3 with residual and {activation:?}"), F32));
    }
}

pub fn linears(all: &mut Vec<Problem>) {
    use Tolerance::{F32, Int8};
    for (k, o) in [(1, 1), (3, 5), (7, 17), (17, 7), (64, 10), (130, 33)] {
        let flat = |seed| Builder::new(seed, [1, k, 1, 1]).reshape([1, k]);
        all.push(flat(100).linear(o, Activation::None).done(format!("linear {k} to {o}"), F32));
        let b = flat(101).int8().linear(o, Activation::Relu);
        all.push(b.done(format!("linear {k} to {o} with Relu, int8"), Int8));
    }
    let tokens = |seed| Builder::new(seed, [1, 5, 3, 4]).reshape([1, 5, 12]).transpose(&[0, 2, 1]);
    all.push(tokens(102).linear(7, Activation::None).done("linear over 12 tokens", F32));
    all.push(tokens(103).int8().linear(7, Activation::Silu).done("linear over 12 tokens with Silu, int8", Int8));
    let b = Builder::new(104, [1, 6, 3, 5]).reshape([6, 15]).linear(4, Activation::None);
    all.push(b.done("linear over a matrix", F32));

    for (m, k, n) in [(1, 1, 1), (3, 5, 7), (8, 16, 4), (17, 9, 5)] {
        // As in attention: x y^T and x^T y of activations that come from one image.
        let mut b = Builder::new(105, [1, 2, m, k]);
        let x = b.last;
        let transposed = b.push(Op::Transpose { perm: vec![0, 1, 3, 2] }, vec![x]);
        let gram = b.push(Op::MatMul, vec![x, transposed]);
        b.last = x;
        let mut b = b.linear(n, Activation::None);
        let y = b.last;
        let product = b.push(Op::MatMul, vec![transposed, y]);
        all.push(b.targets(format!("matrix products of {m}x{k} and {m}x{n}"), F32, vec![gram, product]));
    }
}
