//! Recognises products `x gate(x)` that exporters write out in several nodes: GELU in both spellings, CLIP's quick
//! GELU, Mish.

use super::edit::Edit;
use crate::graph::{Activation, BinaryOp, Node, Op, ValueId};

/// Returns the number of changes.
pub(super) fn run(edit: &mut Edit) -> usize {
    edit.positions().filter(|&position| rewrite(edit, position).is_some()).count()
}

fn rewrite(edit: &mut Edit, position: usize) -> Option<()> {
    let node = edit.node(position)?;
    if !matches!(node.op, Op::Binary(BinaryOp::Mul | BinaryOp::Div)) {
        return None;
    }
    let (mut values, mut number) = (Vec::new(), 1.0);
    factors(edit, node, &mut values, &mut number, 0);
    let &[a, b] = values.as_slice() else { return None };
    let found = |x: ValueId, gate: ValueId| gated(edit, x, gate, number).map(|a| (a, x));
    let (activation, x) = found(a, b).or_else(|| found(b, a))?;
    if edit.dims(x) != edit.dims(node.output) {
        return None;
    }
    let node = Node { op: Op::Activation(activation), inputs: vec![x], ..node.clone() };
    edit.put(position, node);
    Some(())
}

/// The factors of a product of products, and the numbers among them multiplied. No deeper than exporters go.
fn factors(edit: &Edit, node: &Node, values: &mut Vec<ValueId>, number: &mut f32, depth: usize) {
    let &[a, b] = node.inputs.as_slice() else { return };
    let mut add = |value: ValueId, divisor: bool, number: &mut f32| match (edit.number(value), divisor) {
        (Some(factor), false) => *number *= factor,
        (Some(divisor), true) => *number /= divisor,
        (None, true) => values.push(node.output),
        (None, false) => match edit.private_producer(value) {
            Some((_, inner)) if depth < 3 && is_product(edit, inner) => {
                factors(edit, inner, values, number, depth + 1);
            }
            _ => values.push(value),
        },
    };
    add(a, false, number);
    add(b, node.op == Op::Binary(BinaryOp::Div), number);
}

/// A product, or a quotient with a number.
fn is_product(edit: &Edit, node: &Node) -> bool {
    match node.op {
        Op::Binary(BinaryOp::Mul) => true,
        Op::Binary(BinaryOp::Div) => edit.number(node.inputs[1]).is_some(),
        _ => false,
    }
}

/// The factors of a value, which may be a product.
fn factors_of(edit: &Edit, value: ValueId) -> (Vec<ValueId>, f32) {
    let (mut values, mut number) = (Vec::new(), 1.0);
    match edit.producer(value) {
        Some((_, node)) if is_product(edit, node) => factors(edit, node, &mut values, &mut number, 0),
        _ => values.push(value),
    }
    (values, number)
}

fn near(a: f32, b: f32) -> bool {
    (a - b).abs() <= 1e-4 * b.abs()
}

/// What `number x gate` is.
fn gated(edit: &Edit, x: ValueId, gate: ValueId, number: f32) -> Option<Activation> {
    let (_, node) = edit.private_producer(gate)?;
    match node.op {
        Op::Activation(Activation::Sigmoid) if number == 1.0 => {
            let (values, beta) = factors_of(edit, node.inputs[0]);
            (values == [x] && beta != 1.0).then_some(Activation::Swish(beta))
        }
        Op::Activation(Activation::Tanh) if number == 1.0 => {
            let (_, softplus) = edit.producer(node.inputs[0])?;
            let mish = softplus.op == Op::Activation(Activation::Softplus) && softplus.inputs[0] == x;
            mish.then_some(Activation::Mish)
        }
        Op::Binary(BinaryOp::Add) if near(number, 0.5) => {
            let inner = match (edit.number(node.inputs[0]), edit.number(node.inputs[1])) {
                (None, Some(1.0)) => node.inputs[0],
                (Some(1.0), None) => node.inputs[1],
                _ => return None,
            };
            let (_, function) = edit.producer(inner)?;
            let (values, factor) = factors_of(edit, function.inputs[0]);
            match function.op {
                Op::Activation(Activation::Erf) => {
                    let gelu = values == [x] && near(factor, std::f32::consts::FRAC_1_SQRT_2);
                    gelu.then_some(Activation::Gelu)
                }
                Op::Activation(Activation::Tanh) => {
                    let root = near(factor, std::f32::consts::FRAC_2_PI.sqrt());
                    let &[sum] = values.as_slice() else { return None };
                    (root && is_cubic(edit, x, sum)).then_some(Activation::GeluTanh)
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// `x + 0.044715 x^3`.
fn is_cubic(edit: &Edit, x: ValueId, sum: ValueId) -> bool {
    let Some((_, Node { op: Op::Binary(BinaryOp::Add), inputs, .. })) = edit.producer(sum) else { return false };
    let &[a, b] = inputs.as_slice() else { return false };
    let cube = |value: ValueId| {
        let Some((_, node)) = edit.producer(value).filter(|(_, n)| is_product(edit, n)) else { return false };
        let (mut values, mut number) = (Vec::new(), 1.0);
        factors(edit, node, &mut values, &mut number, 0);
        values == [x; 3] && near(number, 0.044715)
    };
    a == x && cube(b) || b == x && cube(a)
}
