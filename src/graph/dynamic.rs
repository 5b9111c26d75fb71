//! Dynamic quantisation as it stands in a graph (ONNX DynamicQuantizeLinear): `clip(round(x / scale) + zero)`, with a
//! scale and a zero point that are computed from all of `x`.

use super::{Activation, BinaryOp, Graph, Node, Op, ValueId};

/// The steps of all dynamic quantisations of a graph: for each value, by its id, whether it is one.
pub(super) struct DynamicSteps {
    /// Scales and zero points.
    pub scales: Vec<bool>,
    /// The values on their way from numbers to levels, and levels less their zero point.
    pub levels: Vec<bool>,
}

impl Graph {
    /// For each value, by its id, whether it is another one rounded to levels, or a step on the way there.
    pub(crate) fn roundings(&self) -> Vec<bool> {
        let mut found = self.dynamic_steps().levels;
        let quantized = self.nodes.iter().filter(|node| matches!(node.op, Op::Quantize(_)));
        quantized.for_each(|node| found[node.output.0] = true);
        found
    }

    pub(super) fn dynamic_steps(&self) -> DynamicSteps {
        let mut steps = DynamicSteps { scales: vec![false; self.values.len()], levels: vec![false; self.values.len()] };
        let mut makers: Vec<Option<&Node>> = vec![None; self.values.len()];
        for node in &self.nodes {
            makers[node.output.0] = Some(node);
            match node.op {
                Op::Activation(Activation::Clip(..)) => {
                    if let Some(Found { quotient, rounded, shifted, scales }) = self.found(&makers, node) {
                        scales.iter().for_each(|s| steps.scales[s.0] = true);
                        [quotient, rounded, shifted, node.output].iter().for_each(|v| steps.levels[v.0] = true);
                    }
                }
                Op::Binary(BinaryOp::Sub) if steps.levels[node.inputs[0].0] && steps.scales[node.inputs[1].0] => {
                    steps.levels[node.output.0] = true;
                }
                _ => {}
            }
        }
        steps
    }

    /// The steps that end in `clip`, if it ends a dynamic quantisation.
    fn found(&self, makers: &[Option<&Node>], clip: &Node) -> Option<Found> {
        let computed = |id: ValueId| self.value(id).constant.is_none();
        let sum = makers[clip.inputs[0].0].filter(|n| n.op == Op::Binary(BinaryOp::Add))?;
        let is_rounded = |id: &ValueId| makers[id.0].is_some_and(|n| n.op == Op::Activation(Activation::Round));
        let at = sum.inputs.iter().position(is_rounded)?;
        let zero = sum.inputs[1 - at];
        let rounding = makers[sum.inputs[at].0]?;
        let division = makers[rounding.inputs[0].0].filter(|n| n.op == Op::Binary(BinaryOp::Div))?;
        let scale = division.inputs[1];
        (computed(scale) && computed(zero)).then_some(Found {
            quotient: division.output,
            rounded: rounding.output,
            shifted: sum.output,
            scales: [scale, zero],
        })
    }
}

struct Found {
    quotient: ValueId,
    rounded: ValueId,
    shifted: ValueId,
    /// Scale and zero point.
    scales: [ValueId; 2],
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;
    use crate::graph::gradient::Tail;
    use crate::graph::{Read, ReduceKind};
    use crate::tensor::{Shape, Tensor};

    /// `image` [1, 3, 4] rounded to 256 levels of its own range, and back; the graph, the levels less their zero point,
    /// and the result.
    fn rounded() -> Result<(Graph, [ValueId; 3])> {
        let mut g = Graph::default();
        let image = g.add_input("image", [1, 3, 4]);
        let bound = |g: &mut Graph, kind, clip| {
            let reduce = Op::Reduce { kind, axes: vec![0, 1, 2], keep_dims: true };
            let found = g.add_node("bound", reduce, vec![image])?;
            let found = g.add_node("with_zero", Op::Activation(clip), vec![found])?;
            g.add_node("number", Op::Reshape(Shape::default()), vec![found])
        };
        let low = bound(&mut g, ReduceKind::Min, Activation::Clip(f32::MIN, 0.0))?;
        let high = bound(&mut g, ReduceKind::Max, Activation::Clip(0.0, f32::MAX))?;
        let binary = |g: &mut Graph, op, a, b| g.add_node("step", Op::Binary(op), vec![a, b]);
        let number = |g: &mut Graph, x| Ok::<_, crate::Error>(g.add_constant("number", Tensor::new([], vec![x])?));
        let span = binary(&mut g, BinaryOp::Sub, high, low)?;
        let all = number(&mut g, 255.0)?;
        let scale = binary(&mut g, BinaryOp::Div, span, all)?;
        let zero = binary(&mut g, BinaryOp::Div, low, scale)?;
        let nothing = number(&mut g, 0.0)?;
        let zero = binary(&mut g, BinaryOp::Sub, nothing, zero)?;
        let zero = g.add_node("zero", Op::Activation(Activation::Round), vec![zero])?;
        let x = binary(&mut g, BinaryOp::Div, image, scale)?;
        let x = g.add_node("rounded", Op::Activation(Activation::Round), vec![x])?;
        let x = binary(&mut g, BinaryOp::Add, x, zero)?;
        let x = g.add_node("levels", Op::Activation(Activation::Clip(0.0, 255.0)), vec![x])?;
        let centred = binary(&mut g, BinaryOp::Sub, x, zero)?;
        let back = binary(&mut g, BinaryOp::Mul, centred, scale)?;
        Ok((g, [image, centred, back]))
    }

    #[test]
    fn the_gradient_goes_straight_through() -> Result<()> {
        let (g, [image, _, back]) = rounded()?;
        let values: Vec<f32> = (0..12).map(|i| (i as f32 * 0.37).sin() * 3.0 - 0.5).collect();
        let tail = Tail::new(&g, image, back)?;
        let trace = tail.trace(&Tensor::new([1, 3, 4], values)?, &[])?;
        let seed: Vec<f32> = (0..12).map(|i| i as f32 - 4.5).collect();
        for found in [trace.gradient(&seed)?, trace.conservative_gradient(&seed)?] {
            for (found, expected) in found.data().iter().zip(&seed) {
                assert!(
                    (found - expected).abs() < 1e-5,
                    "{found} and not {expected}, also of the least and the largest"
                );
            }
        }
        Ok(())
    }

    #[test]
    fn a_row_reads_itself_and_not_what_makes_the_scale() -> Result<()> {
        let (mut g, [image, centred, back]) = rounded()?;
        let part = Op::Slice { start: vec![0; 3], step: vec![1; 3], size: vec![1, 1, 4] };
        let part = g.add_node("part", part, vec![back])?;
        let row = Read::Rows { axis: 1, rows: vec![true, false, false] };
        assert_eq!(g.read_for(part)[image.0], row);
        let roundings = g.roundings();
        assert!(roundings[centred.0] && !roundings[image.0] && !roundings[back.0]);
        Ok(())
    }
}
