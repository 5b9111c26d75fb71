//! Attention and rotary position embeddings as one node, as operator set 23 and newer have them.

use super::super::data::Data;
use super::arithmetic::scalar;
use super::shapes::broadcast_indices;
use super::{Context, Lowered, Operator, check_folded, unsupported, wrong};
use crate::graph::{Activation, Attention, BinaryOp, Op};
use crate::tensor::{Shape, Tensor};

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "Attention" => attention,
        "RotaryEmbedding" => rotate,
        _ => return None,
    })
}

/// What a masked score is, which is 0 after the exponential. Finite, so that no engine meets `inf - inf`.
const MASKED: f32 = -1e30;

/// `softmax(scale q k^T + mask) v` of all heads.
fn attention(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    if c.optional(6).is_some() {
        return unsupported("nonpad_kv_seqlen");
    }
    let flat = c.shape(&c.input(0)?)?.rank() == 3;
    let q = heads(c, 0, "q_num_heads")?;
    let (mut k, mut v) = (heads(c, 1, "kv_num_heads")?, heads(c, 2, "kv_num_heads")?);
    let mut past = 0;
    if let (Some(key), Some(value)) = (c.optional(4), c.optional(5)) {
        past = c.shape(&key)?.dims().get(2).copied().unwrap_or(0);
        k = c.emit_step("keys", Op::Concat { axis: 2 }, &[&key, &k])?;
        v = c.emit_step("values", Op::Concat { axis: 2 }, &[&value, &v])?;
    }
    let (present_k, present_v) = (k.clone(), v.clone());
    let (q_shape, k_shape) = (c.shape(&q)?, c.shape(&k)?);
    let (&[_, q_heads, rows, depth], &[_, k_heads, columns, _]) = (q_shape.dims(), k_shape.dims()) else {
        return wrong(format!("its queries {q_shape} and keys {k_shape} are not [N, heads, tokens, depth]"));
    };
    if k_heads != q_heads {
        // Several heads of queries share one of keys and values.
        if k_heads == 0 || !q_heads.is_multiple_of(k_heads) {
            return wrong(format!("{q_heads} heads of queries and {k_heads} of keys"));
        }
        let indices: Vec<usize> = (0..q_heads).map(|h| h / (q_heads / k_heads)).collect();
        let op = Op::Gather { axis: 1, indices };
        k = c.emit_step("shared_keys", op.clone(), &[&k])?;
        v = c.emit_step("shared_values", op, &[&v])?;
    }
    let mask = mask(c, rows, columns, past)?;
    let scale = c.attribute("scale").map_or(1.0 / (depth as f32).sqrt(), |a| a.f());
    let (softcap, shows_scores) = (c.float("softcap", 0.0), c.node.output.get(3).is_some_and(|name| !name.is_empty()));
    let mut scores = None;
    let y = if softcap != 0.0 || shows_scores {
        let (y, shown) = written_out(c, [&q, &k, &v], mask.as_ref(), scale, if flat { "heads" } else { "" })?;
        scores = Some(shown);
        y
    } else {
        let op = Op::Attention(Attention { scale, mask: mask.is_some() });
        let inputs: Vec<&Data> = [&q, &k, &v].into_iter().chain(&mask).collect();
        if flat { c.emit_step("heads", op, &inputs)? } else { c.emit(op, &inputs)? }
    };
    let y = if !flat {
        y
    } else {
        let y = c.emit_step("tokens", Op::Transpose { perm: vec![0, 2, 1, 3] }, &[&y])?;
        let shape = c.shape(&y)?;
        let to = [&shape.dims()[..2], &[shape.dims()[2..].iter().product()]].concat();
        c.emit(Op::Reshape(Shape::new(to)), &[&y])?
    };
    let mut results = vec![y];
    for (i, present) in [(1, present_k), (2, present_v)] {
        if c.node.output.get(i).is_some_and(|name| !name.is_empty()) {
            let shape = c.shape(&present)?;
            results.push(c.emit_output(i, Op::Reshape(shape), &[&present])?);
        } else if shows_scores {
            results.push(present);
        }
    }
    if let Some(scores) = scores.filter(|_| shows_scores) {
        let shape = c.shape(&scores)?;
        results.push(c.emit_output(3, Op::Reshape(shape), &[&scores])?);
    }
    Ok(results)
}

/// The same in single steps, where scores are capped or given as an output; also gives what `qk_matmul_output_mode` asks
/// for: the scores, those that are capped, those with the mask, or their softmax.
fn written_out(
    c: &mut Context<'_, '_>,
    [q, k, v]: [&Data; 3],
    mask: Option<&Data>,
    scale: f32,
    step: &str,
) -> Lowered<(Data, Data)> {
    let turned = c.emit_step("keys/turned", Op::Transpose { perm: vec![0, 1, 3, 2] }, &[k])?;
    let products = c.emit_step("products", Op::MatMul, &[q, &turned])?;
    let mut scores = vec![c.emit_step("scores", Op::Binary(BinaryOp::Mul), &[&products, &scalar(scale)?])?];
    let cap = c.float("softcap", 0.0);
    scores.push(match cap {
        0.0 => scores[0].clone(),
        _ => {
            let part = c.emit_step("scores/part", Op::Binary(BinaryOp::Div), &[&scores[0], &scalar(cap)?])?;
            let bent = c.emit_step("scores/bent", Op::Activation(Activation::Tanh), &[&part])?;
            c.emit_step("scores/capped", Op::Binary(BinaryOp::Mul), &[&bent, &scalar(cap)?])?
        }
    });
    scores.push(match mask {
        Some(mask) => c.emit_step("scores/masked", Op::Binary(BinaryOp::Add), &[&scores[1], mask])?,
        None => scores[1].clone(),
    });
    scores.push(c.emit_step("shares", Op::Softmax { axis: 3 }, &[&scores[2]])?);
    let y = match step {
        "" => c.emit(Op::MatMul, &[&scores[3], v])?,
        step => c.emit_step(step, Op::MatMul, &[&scores[3], v])?,
    };
    let mode = c.int("qk_matmul_output_mode", 0);
    match usize::try_from(mode).ok().and_then(|m| scores.get(m)) {
        Some(shown) => Ok((y, shown.clone())),
        None => wrong(format!("qk_matmul_output_mode {mode} is not known")),
    }
}

/// Queries, keys or values as `[N, heads, tokens, depth]`; three dimensions are `[N, tokens, heads depth]`.
fn heads(c: &mut Context<'_, '_>, input: usize, attribute: &str) -> Lowered<Data> {
    let x = c.input(input)?;
    let shape = c.shape(&x)?;
    let &[n, tokens, width] = shape.dims() else { return Ok(x) };
    let heads = usize::try_from(c.int(attribute, 0)).ok().filter(|&h| h > 0 && width.is_multiple_of(h));
    let Some(heads) = heads else { return wrong(format!("{attribute} does not fit {shape}")) };
    let split = Op::Reshape(Shape::from([n, tokens, heads, width / heads]));
    let split = c.emit_step(&format!("split{input}"), split, &[&x])?;
    c.emit_step(&format!("heads{input}"), Op::Transpose { perm: vec![0, 2, 1, 3] }, &[&split])
}

/// What is added to the scores: the mask that is given, and what a causal or a local attention leaves out.
fn mask(c: &mut Context<'_, '_>, rows: usize, columns: usize, past: usize) -> Lowered<Option<Data>> {
    let given = match c.optional(3) {
        None => None,
        // Truth values: what is not attended to.
        Some(Data::Ints(a)) => {
            let data = a.data.iter().map(|&v| if v == 0 { MASKED } else { 0.0 }).collect();
            Some(Data::float(Tensor::new(Shape::new(a.shape.as_slice()), data)?))
        }
        Some(given) => Some(match given.as_float() {
            Some(t) => {
                let data = t.data().iter().map(|v| v.max(MASKED)).collect();
                Data::float(Tensor::new(t.shape().clone(), data)?)
            }
            None => given,
        }),
    };
    let given = match given {
        Some(given) => {
            let shape = c.shape(&given)?;
            let missing = shape.dims().last().map_or(0, |&d| columns.saturating_sub(d));
            let mut after = vec![0; shape.rank()];
            match (after.last_mut(), missing) {
                (Some(last), 1..) if shape.dims().last() != Some(&1) => {
                    *last = missing;
                    let op = Op::Pad { before: vec![0; shape.rank()], after, value: MASKED };
                    Some(c.emit_step("mask", op, &[&given])?)
                }
                _ => Some(given),
            }
        }
        None => None,
    };
    let (causal, left, right) =
        (c.int("is_causal", 0) != 0, c.int("left_window_size", -1), c.int("right_window_size", -1));
    let left_out = |i: usize, j: usize| {
        let ahead = j as i64 - (i + past) as i64;
        causal && ahead > 0 || right >= 0 && ahead > right || left >= 0 && -ahead > left
    };
    let all = match causal || left >= 0 || right >= 0 {
        false => given,
        true => {
            check_folded(&Shape::from([rows, columns]))?;
            let cells = (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j)));
            let own = cells.map(|(i, j)| if left_out(i, j) { MASKED } else { 0.0 }).collect();
            let own = Data::float(Tensor::new([rows, columns], own)?);
            Some(match given {
                Some(given) => c.emit_step("masks", Op::Binary(BinaryOp::Add), &[&given, &own])?,
                None => own,
            })
        }
    };
    if let Some(t) = all.as_ref().and_then(Data::as_float) {
        let to = crate::graph::broadcast(t.shape(), &Shape::from([1, columns]))?;
        check_folded(&to)?;
        let values: Vec<f32> = broadcast_indices(t.shape(), &to).map(|i| t.data()[i]).collect();
        if values.chunks(columns.max(1)).any(|row| row.iter().all(|&v| v <= MASKED)) {
            return unsupported("a row that is masked as a whole");
        }
    }
    Ok(all)
}

/// Pairs of values turned by an angle that depends on their place (arXiv 2104.09864).
fn rotate(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    let from = c.shape(&x)?;
    let interleaved = c.int("interleaved", 0) != 0;
    // `[N, heads, tokens, depth]`, or `[N, tokens, heads depth]` split into heads.
    let (dims, by_token) = match *from.dims() {
        [n, tokens, width] => match usize::try_from(c.int("num_heads", 0)) {
            Ok(heads) if heads > 0 && width.is_multiple_of(heads) => ([n, tokens, heads, width / heads], true),
            _ => return wrong(format!("num_heads does not fit {from}")),
        },
        [n, heads, tokens, depth] => ([n, heads, tokens, depth], false),
        _ => return wrong(format!("its input {from} has neither three nor four dimensions")),
    };
    let depth = dims[3];
    let turned = match usize::try_from(c.int("rotary_embedding_dim", 0)) {
        Ok(0) => depth,
        Ok(turned) if turned <= depth => turned,
        _ => return wrong(format!("rotary_embedding_dim does not fit {depth}")),
    };
    let half = turned / 2;
    let x = c.emit_step("split", Op::Reshape(Shape::from(dims)), &[&x])?;
    let mut caches = Vec::with_capacity(2);
    for (i, name) in [(1, "cosine"), (2, "sine")] {
        let mut cache = c.input(i)?;
        if c.optional(3).is_some() {
            let places = c.ints(3)?;
            let rows = c.shape(&cache)?.dims().first().copied().unwrap_or(0);
            let indices = places.data.iter().map(|&p| c.axis(p, rows)).collect::<Lowered<Vec<_>>>()?;
            cache = c.emit_step(&format!("{name}/picked"), Op::Gather { axis: 0, indices }, &[&cache])?;
        }
        let own = c.shape(&cache)?.len();
        let tokens = if by_token { dims[1] } else { dims[2] };
        let Some(n) = own.checked_div(tokens.saturating_mul(half)).filter(|n| *n == dims[0] || *n == 1) else {
            return wrong(format!("its {name}s do not fit {from}"));
        };
        let to = if by_token { [n, tokens, 1, half] } else { [n, 1, tokens, half] };
        caches.push(c.emit_step(name, Op::Reshape(Shape::from(to)), &[&cache])?);
    }
    let part = |start: usize, step: isize, size: usize| Op::Slice {
        start: vec![0, 0, 0, start],
        step: vec![1, 1, 1, step],
        size: vec![dims[0], dims[1], dims[2], size],
    };
    let (first, second) = match interleaved {
        true => (part(0, 2, half), part(1, 2, half)),
        false => (part(0, 1, half), part(half, 1, half)),
    };
    let (a, b) = (c.emit_step("first", first, &[&x])?, c.emit_step("second", second, &[&x])?);
    let [cosine, sine] = caches.as_slice() else { return wrong("its cosines or sines are missing") };
    let op = Op::Binary;
    let product =
        |c: &mut Context<'_, '_>, step: &str, a: &Data, b: &Data| c.emit_step(step, op(BinaryOp::Mul), &[a, b]);
    let (ac, bs) = (product(c, "first/cosine", &a, cosine)?, product(c, "second/sine", &b, sine)?);
    let (as_, bc) = (product(c, "first/sine", &a, sine)?, product(c, "second/cosine", &b, cosine)?);
    let mut real = c.emit_step("real", op(BinaryOp::Sub), &[&ac, &bs])?;
    let mut imaginary = c.emit_step("imaginary", op(BinaryOp::Add), &[&as_, &bc])?;
    let mut axis = 3;
    if interleaved {
        let pairs = Shape::from([dims[0], dims[1], dims[2], half, 1]);
        real = c.emit_step("real/pairs", Op::Reshape(pairs.clone()), &[&real])?;
        imaginary = c.emit_step("imaginary/pairs", Op::Reshape(pairs), &[&imaginary])?;
        axis = 4;
    }
    let mut y = c.emit_step("turned", Op::Concat { axis }, &[&real, &imaginary])?;
    if turned < depth {
        y = c.emit_step("turned/flat", Op::Reshape(Shape::from([dims[0], dims[1], dims[2], turned])), &[&y])?;
        let rest = c.emit_step("rest", part(turned, 1, depth - turned), &[&x])?;
        y = c.emit_step("whole", Op::Concat { axis: 3 }, &[&y, &rest])?;
    }
    Ok(vec![c.emit(Op::Reshape(from), &[&y])?])
}
