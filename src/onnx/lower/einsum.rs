//! Einsum as sums, transposes and matrix products.

use super::super::data::Data;
use super::{Context, Lowered, Operator, layers, unsupported, wrong};
use crate::graph::{Op, ReduceKind};
use crate::tensor::Shape;

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "Einsum" => einsum,
        _ => return None,
    })
}

/// A value and the letter of each of its dimensions.
struct Term {
    data: Data,
    labels: Vec<char>,
}

fn einsum(c: &mut Context<'_, '_>) -> Lowered<Vec<Data>> {
    let equation: String = c.string("equation").chars().filter(|ch| !ch.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let mut terms = Vec::new();
    for (i, letters) in left.split(',').enumerate() {
        let data = c.input(i)?;
        let labels = labels(letters, Some(c.shape(&data)?.rank()))?;
        if (1..labels.len()).any(|i| labels[..i].contains(&labels[i])) {
            return unsupported(format!("a diagonal, in {equation:?}"));
        }
        terms.push(Term { data, labels });
    }
    let ellipsis: Vec<char> = {
        let longest = terms.iter().map(|t| t.labels.iter().filter(|l| l.is_ascii_digit()).count()).max();
        ('0'..='9').take(longest.unwrap_or(0)).collect()
    };
    let output: Vec<char> = match right {
        Some(right) => {
            labels(right, None)?.into_iter().flat_map(|l| if l == '.' { ellipsis.clone() } else { vec![l] }).collect()
        }
        None => {
            // Without an arrow: what the ellipsis stands for, then the letters that occur once, in alphabetic order.
            let all: Vec<char> = terms.iter().flat_map(|t| t.labels.iter().copied()).collect();
            let stays = |l: &char| ellipsis.contains(l) || all.iter().filter(|m| *m == l).count() == 1;
            let mut once: Vec<char> = all.iter().copied().filter(stays).collect();
            once.sort_unstable();
            once.dedup();
            once
        }
    };
    let mut terms = terms.into_iter();
    let Some(mut total) = terms.next() else { return wrong("it has no inputs") };
    let rest: Vec<Term> = terms.collect();
    for (i, next) in rest.iter().enumerate() {
        let needed = |l: &char| output.contains(l) || rest[i + 1..].iter().any(|t| t.labels.contains(l));
        total = product(c, i, total, next, needed)?;
    }
    let total = sum_out(c, "rest", total, |l| output.contains(l))?;
    let perm: Option<Vec<usize>> = output.iter().map(|l| total.labels.iter().position(|m| m == l)).collect();
    match perm {
        Some(perm) if perm.len() == total.labels.len() => Ok(vec![c.emit(Op::Transpose { perm }, &[&total.data])?]),
        _ => wrong(format!("the letters of {equation:?} do not fit its inputs")),
    }
}

/// The letter of each dimension; an ellipsis stands for as many digits as the rank leaves (a dot where it is not
/// known).
fn labels(letters: &str, rank: Option<usize>) -> Lowered<Vec<char>> {
    let spread = |count: usize| ('0'..='9').take(count).collect::<String>();
    let letters = match (letters.contains("..."), rank) {
        (true, Some(rank)) => letters.replacen("...", &spread(rank.saturating_sub(letters.len() - 3)), 1),
        (true, None) => letters.replacen("...", ".", 1),
        (false, _) => letters.to_string(),
    };
    let labels: Vec<char> = letters.chars().collect();
    match rank.is_none_or(|r| r == labels.len()) {
        true => Ok(labels),
        false => wrong(format!("the letters {letters:?} do not fit a value of {} dimensions", rank.unwrap_or(0))),
    }
}

/// Sums over the dimensions that nobody needs.
fn sum_out(c: &mut Context<'_, '_>, step: &str, term: Term, needed: impl Fn(&char) -> bool) -> Lowered<Term> {
    let axes: Vec<usize> = (0..term.labels.len()).filter(|&i| !needed(&term.labels[i])).collect();
    if axes.is_empty() {
        return Ok(term);
    }
    let labels = term.labels.iter().copied().filter(needed).collect();
    let data = c.emit_step(step, Op::Reduce { kind: ReduceKind::Sum, axes, keep_dims: false }, &[&term.data])?;
    Ok(Term { data, labels })
}

/// The product of two terms: `[batch, rows, summed]` by `[batch, summed, columns]`.
fn product(c: &mut Context<'_, '_>, i: usize, a: Term, b: &Term, needed: impl Fn(&char) -> bool) -> Lowered<Term> {
    let a = sum_out(c, &format!("first{i}"), a, |l| needed(l) || b.labels.contains(l))?;
    let b = Term { data: b.data.clone(), labels: b.labels.clone() };
    let b = sum_out(c, &format!("second{i}"), b, |l| needed(l) || a.labels.contains(l))?;
    let shared = |l: &&char| b.labels.contains(l);
    let batch: Vec<char> = a.labels.iter().filter(shared).filter(|l| needed(l)).copied().collect();
    let summed: Vec<char> = a.labels.iter().filter(shared).filter(|l| !needed(l)).copied().collect();
    let rows: Vec<char> = a.labels.iter().filter(|l| !b.labels.contains(l)).copied().collect();
    let columns: Vec<char> = b.labels.iter().filter(|l| !a.labels.contains(l)).copied().collect();
    let (left, left_dims) = arrange(c, &format!("left{i}"), &a, [&batch, &rows, &summed])?;
    let (right, right_dims) = arrange(c, &format!("right{i}"), &b, [&batch, &summed, &columns])?;
    let matrices = |dims: &[Vec<usize>; 3]| {
        Shape::new([dims[0].as_slice(), &[dims[1].iter().product(), dims[2].iter().product()]].concat())
    };
    let left = c.emit_step(&format!("rows{i}"), Op::Reshape(matrices(&left_dims)), &[&left])?;
    let right = c.emit_step(&format!("columns{i}"), Op::Reshape(matrices(&right_dims)), &[&right])?;
    let y = match batch.is_empty() && right.is_constant() {
        // A constant matrix makes a linear layer.
        true => {
            let weight = layers::linear_weight(&right, false, 1.0)?;
            let outputs = c.shape(&weight)?.dims()[0];
            let bias = Data::float(crate::tensor::Tensor::zeros([outputs]));
            c.emit_step(&format!("product{i}"), Op::Linear(crate::graph::Linear::default()), &[&left, &weight, &bias])?
        }
        false => c.emit_step(&format!("product{i}"), Op::MatMul, &[&left, &right])?,
    };
    let dims = [left_dims[0].as_slice(), &left_dims[1], &right_dims[2]].concat();
    let data = c.emit_step(&format!("split{i}"), Op::Reshape(Shape::new(dims)), &[&y])?;
    Ok(Term { data, labels: [batch, rows, columns].concat() })
}

/// Dimensions in the order of three groups, and the sizes in each.
fn arrange(c: &mut Context<'_, '_>, step: &str, term: &Term, groups: [&[char]; 3]) -> Lowered<(Data, [Vec<usize>; 3])> {
    let place = |l: &char| term.labels.iter().position(|m| m == l).unwrap_or(0);
    let perm: Vec<usize> = groups.iter().flat_map(|g| g.iter().map(place)).collect();
    let shape = c.shape(&term.data)?;
    let dims = groups.map(|g| g.iter().map(|l| shape.dims()[place(l)]).collect());
    Ok((c.emit_step(step, Op::Transpose { perm }, &[&term.data])?, dims))
}
