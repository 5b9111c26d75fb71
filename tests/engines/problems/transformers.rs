//! The ops of transformers and of quantised models: normalisation, attention, cut and picked parts, rounding.

use super::*;
use famlens::graph::{Attention, LayerNorm, Quantize};

pub fn all_of_them(all: &mut Vec<Problem>) {
    norms(all);
    attentions(all);
    parts(all);
    quantised(all);
    products(all);
    all.extend((0..40).map(random_block));
    all.extend((0..40).map(random_slice));
}

impl Builder {
    /// Normalises over some axes, with a scale and a bias of some shape.
    fn norm(mut self, axes: &[usize], parameters: &[usize]) -> Self {
        let (x, scale, bias) = (self.last, self.constant(parameters), self.constant(parameters));
        self.push(Op::LayerNorm(LayerNorm { axes: axes.to_vec(), epsilon: 1e-5 }), vec![x, scale, bias]);
        self
    }

    /// Queries, keys and values as parts of one linear layer over tokens `[1, T, D]`, as `[1, heads, T, D / heads]`.
    fn queries_keys_values(&mut self, heads: usize) -> [ValueId; 3] {
        let tokens = self.last;
        let dims = self.shape();
        let (t, d) = (dims[1], dims[2]);
        [0, 1, 2].map(|_| {
            let (weight, bias) = (self.weight(&[d, d]), self.bias(d));
            let x = self.push(Op::Linear(Linear::default()), vec![tokens, weight, bias]);
            let x = self.push(Op::Reshape(Shape::from([1, t, heads, d / heads])), vec![x]);
            self.push(Op::Transpose { perm: vec![0, 2, 1, 3] }, vec![x])
        })
    }
}

/// Tokens `[1, height width, channels]` from an image.
fn tokens(seed: u64, [channels, height, width]: [usize; 3]) -> Builder {
    Builder::new(seed, [1, channels, height, width]).reshape([1, channels, height * width]).transpose(&[0, 2, 1])
}

fn norms(all: &mut Vec<Problem>) {
    use Tolerance::F32;
    for c in [2, 3, 4, 8, 17, 96, 130] {
        let b = tokens(700, [c, 3, 5]).norm(&[2], &[c]);
        all.push(b.done(format!("layer norm of tokens of {c}"), F32));
        let b = Builder::new(701, [1, c, 3, 5]).norm(&[1], &[c, 1, 1]);
        all.push(b.done(format!("layer norm over {c} channels of a map"), F32));
        let b = Builder::new(702, [1, c, 3, 5]).transpose(&[0, 2, 3, 1]).norm(&[3], &[c]).transpose(&[0, 3, 1, 2]);
        all.push(b.done(format!("layer norm of channels-last cells of {c}"), F32));
        let b = Builder::new(703, [1, c, 6, 4]).norm(&[2, 3], &[c, 1, 1]);
        all.push(b.done(format!("instance norm of {c} channels"), F32));
        let b = Builder::new(704, [1, 2 * c, 4, 3]).reshape([1, 2, c, 4, 3]).norm(&[2, 3, 4], &[2, c, 1, 1]);
        all.push(b.reshape([1, 2 * c, 4, 3]).done(format!("group norm, 2 groups of {c}"), F32));
    }
    let b = Builder::new(705, [1, 4, 5, 6]).norm(&[1, 2, 3], &[4, 5, 6]);
    all.push(b.done("norm over everything, a parameter a value", F32));
    let b = tokens(706, [6, 2, 2]).norm(&[1, 2], &[1]);
    all.push(b.done("norm over two axes, one parameter", F32));
    let b = tokens(707, [5, 2, 3]).norm(&[1], &[5]);
    all.push(b.done("norm over the tokens", F32));
    let mut b = tokens(708, [40, 2, 2]);
    b.input.data_mut().iter_mut().for_each(|v| *v += 300.0);
    all.push(b.norm(&[2], &[40]).done("norm of values far from zero", Tolerance::Norm));
}

fn attentions(all: &mut Vec<Problem>) {
    use Tolerance::F32;
    for (heads, d, [h, w]) in [(1, 4, [2, 2]), (2, 6, [3, 3]), (3, 48, [4, 4]), (4, 64, [7, 7]), (2, 130, [1, 5])] {
        let scale = ((d / heads) as f32).powf(-0.5);
        for mask in [None, Some(vec![1, 1, 1, h * w]), Some(vec![h * w, h * w]), Some(vec![heads, h * w, h * w])] {
            let mut b = tokens(710, [d, h, w]);
            let mut inputs = b.queries_keys_values(heads).to_vec();
            let what = format!("attention, {heads} heads of {} over {} tokens, mask {mask:?}", d / heads, h * w);
            if let Some(mask) = &mask {
                inputs.push(b.constant(mask));
            }
            b.push(Op::Attention(Attention { scale, mask: mask.is_some() }), inputs);
            let b = b.transpose(&[0, 2, 1, 3]).reshape([1, h * w, d]);
            all.push(b.done(what, F32));
        }
    }
    // Rank three, another number of keys than queries, values wider than keys, a mask that is computed.
    let mut b = tokens(711, [6, 3, 4]);
    let keys = b.last;
    let queries = b.push(Op::Slice { start: vec![0, 1, 0], step: vec![1, 2, 1], size: vec![1, 4, 6] }, vec![keys]);
    b.last = keys;
    b = b.linear(10, Activation::None);
    let values = b.last;
    let mask = b.push(reduce(ReduceKind::Mean, &[2], true), vec![keys]);
    let mask = b.push(Op::Transpose { perm: vec![0, 2, 1] }, vec![mask]);
    b.push(Op::Attention(Attention { scale: 2.0, mask: true }), vec![queries, keys, values, mask]);
    all.push(b.done("cross attention with a computed mask", F32));
    // A mask that shuts most keys out, as between the windows of Swin.
    let mut b = tokens(712, [8, 4, 4]);
    let inputs = b.queries_keys_values(2);
    let open = Tensor::new([16, 16], (0..256).map(|i| if (i / 16 + i) % 3 == 0 { 0.0 } else { -100.0 }).collect());
    let mask = b.graph.add_constant("mask", open.unwrap());
    b.push(Op::Attention(Attention { scale: 0.5, mask: true }), inputs.into_iter().chain([mask]).collect());
    all.push(b.reshape([1, 16, 8]).done("attention behind a mask", F32));
    let mut b = tokens(713, [8, 3, 3]);
    b.input.data_mut().iter_mut().for_each(|v| *v *= 30.0);
    let inputs = b.queries_keys_values(2);
    b.push(Op::Attention(Attention { scale: 1.0, mask: false }), inputs.to_vec());
    all.push(b.reshape([1, 9, 8]).done("attention with scores that would overflow exp", F32));
    // Windows: leading dimensions beyond the heads.
    let mut b = Builder::new(714, [1, 8, 4, 6]).reshape([1, 8, 2, 2, 3, 2]).transpose(&[0, 2, 4, 3, 5, 1]);
    b = b.reshape([6, 4, 8]);
    let x = b.last;
    b.push(Op::Attention(Attention { scale: 0.4, mask: false }), vec![x, x, x]);
    all.push(b.done("attention within six windows", F32));
}

fn parts(all: &mut Vec<Problem>) {
    use Tolerance::Exact;
    for c in [1, 3, 4, 5, 8, 17] {
        let b = || Builder::new(720, [1, c, 5, 6]);
        let slice = |start: [usize; 4], step: [isize; 4], size: [usize; 4]| Op::Slice {
            start: start.to_vec(),
            step: step.to_vec(),
            size: size.to_vec(),
        };
        let mut cut = |what: &str, op: Op| all.push(b().op(op).done(format!("{what} of {c} channels"), Exact));
        cut("a window", slice([0, 0, 1, 2], [1; 4], [1, c, 3, 2]));
        cut("every second cell", slice([0, 0, 1, 0], [1, 1, 2, 2], [1, c, 2, 3]));
        cut("a mirror image", slice([0, 0, 0, 5], [1, 1, 1, -1], [1, c, 5, 6]));
        cut("a flip both ways", slice([0, 0, 4, 5], [1, 1, -2, -1], [1, c, 3, 6]));
        cut("the last channel", slice([0, c - 1, 0, 0], [1; 4], [1, 1, 5, 6]));
        cut("channels backwards", slice([0, c - 1, 0, 0], [1, -1, 1, 1], [1, c, 5, 6]));
        cut("picked rows", Op::Gather { axis: 2, indices: vec![3, 0, 0, 4] });
        cut("columns twice", Op::Gather { axis: 3, indices: vec![0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5] });
        cut("picked channels", Op::Gather { axis: 1, indices: vec![c - 1, 0, c / 2] });
        cut("one batch", Op::Gather { axis: 0, indices: vec![0] });
        let class = Op::Slice { start: vec![0, 0, 0], step: vec![1; 3], size: vec![1, 1, c] };
        all.push(tokens(721, [c, 2, 3]).op(class).reshape([1, c]).done(format!("the class token of {c}"), Exact));
        // A shifted window (Swin): the rows are rolled.
        let mut b = b();
        let x = b.last;
        let first = b.push(slice([0, 0, 2, 0], [1; 4], [1, c, 3, 6]), vec![x]);
        let second = b.push(slice([0; 4], [1; 4], [1, c, 2, 6]), vec![x]);
        b.push(Op::Concat { axis: 2 }, vec![first, second]);
        all.push(b.done(format!("a roll of {c} channels"), Exact));
    }
    let b = Builder::new(722, [1, 2, 6, 4]).reshape([2, 3, 2, 2, 2]);
    let op = Op::Slice { start: vec![1, 2, 0, 1, 0], step: vec![1, -1, 1, 1, 1], size: vec![1, 3, 2, 1, 2] };
    all.push(b.op(op).done("a part of five dimensions", Exact));
    let b = Builder::new(723, [1, 1, 3, 7]).reshape([21]).op(Op::Gather { axis: 0, indices: vec![20, 3, 3, 0] });
    all.push(b.done("picked from a vector", Exact));
}

fn quantised(all: &mut Vec<Problem>) {
    for (scale, zero, range) in [(0.02, 128.0, [0.0, 255.0]), (0.01, 0.0, [-128.0, 127.0]), (0.5, 3.0, [0.0, 7.0])] {
        for dequantize in [false, true] {
            let op = || Op::Quantize(Quantize { scale, zero, range, dequantize });
            let b = Builder::new(730, [1, 5, 4, 6]).op(op());
            all.push(b.done(format!("rounding by {scale} to {range:?}, dequantise {dequantize}"), Tolerance::F32));
            let b = Builder::new(731, [1, 5, 4, 6]).reshape([10, 12]).op(op());
            all.push(b.done(format!("a matrix rounded by {scale}, dequantise {dequantize}"), Tolerance::F32));
        }
    }
    // Halves go to the even level.
    let mut b = Builder::new(732, [1, 1, 3, 8]);
    for (i, v) in b.input.data_mut().iter_mut().enumerate() {
        *v = (i as f32 - 12.0) * 0.25;
    }
    let quantize = Quantize { scale: 0.5, zero: 10.0, range: [0.0, 255.0], dequantize: false };
    all.push(b.op(Op::Quantize(quantize)).done("rounding of halves", Tolerance::Exact));
}

fn products(all: &mut Vec<Problem>) {
    use Tolerance::F32;
    for (a, b) in [
        (&[2, 3, 4, 5][..], &[5, 6][..]),
        (&[4, 5], &[2, 3, 5, 6]),
        (&[2, 1, 4, 5], &[1, 3, 5, 6]),
        (&[1, 4, 5], &[3, 5, 2]),
        (&[3, 1, 5], &[3, 5, 1]),
        (&[4, 5], &[5, 6]),
    ] {
        for constant in [0, 1, 2] {
            let sides = [a, b].map(|dims| dims.iter().product::<usize>());
            let mut builder = Builder::new(740, [1, 1, 1, sides[0] + sides[1]]);
            let image = builder.push(Op::Reshape(Shape::from([sides[0] + sides[1]])), vec![builder.last]);
            let mut side = |i: usize, dims: &[usize]| {
                if constant == i + 1 {
                    return builder.constant(dims);
                }
                let part = Op::Slice { start: vec![i * sides[0]], step: vec![1], size: vec![sides[i]] };
                let part = builder.push(part, vec![image]);
                builder.push(Op::Reshape(Shape::new(dims)), vec![part])
            };
            let inputs = vec![side(0, a), side(1, b)];
            builder.push(Op::MatMul, inputs);
            let which = ["two activations", "a constant first", "a constant last"][constant];
            all.push(builder.done(format!("product of {a:?} and {b:?}, {which}"), F32));
        }
    }
}

/// A block of a transformer, with random sizes, norms before or after, and a random activation.
fn random_block(seed: u64) -> Problem {
    let mut rng = Rng(5000 + seed);
    let heads = 1 + rng.below(4);
    let d = heads * (2 + rng.below(20));
    let grid = [1 + rng.below(6), 2 + rng.below(6)];
    let mut b = tokens(6000 + seed, [d, grid[0], grid[1]]);
    b.int8 = rng.below(3) == 0;
    let before = b.last;
    let t = grid[0] * grid[1];
    b = b.norm(&[2], &[d]);
    let mut inputs = b.queries_keys_values(heads).to_vec();
    let mask = rng.below(2) == 0;
    if mask {
        let shape = rng.pick(&[vec![t, t], vec![heads, t, t], vec![1, heads, 1, t]]);
        inputs.push(b.constant(&shape));
    }
    let scale = ((d / heads) as f32).powf(-0.5);
    b.push(Op::Attention(Attention { scale, mask }), inputs);
    b = b.transpose(&[0, 2, 1, 3]).reshape([1, t, d]).linear(d, Activation::None);
    let sum = b.push(Op::Binary(BinaryOp::Add), vec![b.last, before]);
    let activation = rng.pick(&[Activation::Gelu, Activation::GeluTanh, Activation::Swish(1.702), Activation::Relu]);
    b = b.norm(&[2], &[d]).linear(2 * d, activation).linear(d, Activation::None);
    b.push(Op::Binary(BinaryOp::Add), vec![b.last, sum]);
    let b = b.transpose(&[0, 2, 1]).reshape([1, d, grid[0], grid[1]]);
    let tolerance = if b.int8 { Tolerance::Int8 } else { Tolerance::F32 };
    b.done(format!("random block {seed}: {heads} heads, width {d}, {t} tokens, {activation:?}"), tolerance)
}

/// A part of a tensor of one to five dimensions, and a pick out of that.
fn random_slice(seed: u64) -> Problem {
    let mut rng = Rng(7000 + seed);
    let rank = 1 + rng.below(5);
    let dims: Vec<usize> = (0..rank).map(|_| 1 + rng.below(7)).collect();
    let len = dims.iter().product();
    let mut b = Builder::new(8000 + seed, [1, 1, 1, len]).reshape(Shape::new(dims.as_slice()));
    let (mut start, mut step, mut size) = (Vec::new(), Vec::new(), Vec::new());
    for &d in &dims {
        let by = rng.pick(&[1, 1, 2, 3]);
        let count = 1 + rng.below(d.div_ceil(by));
        let span = (count - 1) * by;
        let first = rng.below(d - span);
        let backwards = rng.below(3) == 0;
        start.push(if backwards { first + span } else { first });
        step.push(if backwards { -(by as isize) } else { by as isize });
        size.push(count);
    }
    let axis = rng.below(rank);
    let indices = (0..1 + rng.below(9)).map(|_| rng.below(size[axis])).collect();
    let name = format!("random part {seed} of {dims:?}: {start:?} {step:?} {size:?}, {indices:?} of axis {axis}");
    b = b.op(Op::Slice { start, step, size }).op(Op::Gather { axis, indices });
    b.done(name, Tolerance::Exact)
}
