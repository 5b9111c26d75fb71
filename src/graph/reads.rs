//! Which part of every value a later one is made of: all of it, some rows of one axis, or nothing.
//!
//! Queries and keys are not counted, because they only make the weights of an attention: they say how much of each
//! value goes on, and nothing of themselves goes on. If the embedding of a transformer is its class token, nobody reads
//! the other tokens of the last block, and so no explanation can be made from them.

use super::{Graph, Node, Op, Target, TargetLayout, ValueId};

/// The part of a value that is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Read {
    /// None of it.
    Nothing,
    /// Some places of one axis, and all that lies there.
    Rows {
        /// The axis.
        axis: usize,
        /// Whether each place along it is read.
        rows: Vec<bool>,
    },
    /// All of it, as far as is known.
    All,
}

impl Read {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, one) | (one, Self::Nothing) => one,
            (Self::Rows { axis: a, rows }, Self::Rows { axis: b, rows: others })
                if a == b && rows.len() == others.len() =>
            {
                Self::Rows { axis: a, rows: rows.iter().zip(&others).map(|(x, y)| x | y).collect() }
            }
            _ => Self::All,
        }
    }
}

impl Graph {
    /// What the value `output` is made of: the part of every value, by its id, that it reads. Queries and keys of an
    /// attention, all that is behind a softmax, and what only makes the scale of a rounding are not counted.
    ///
    /// Followed exactly through what works value by value, along the last axis or by moving rows; anything else is
    /// taken to read all of its inputs.
    ///
    /// ```
    /// use famlens::graph::{Graph, Op, Read};
    /// # fn main() -> famlens::Result<()> {
    /// let mut graph = Graph::default();
    /// let image = graph.add_input("image", [1, 3, 2]);
    /// let first = Op::Slice { start: vec![0; 3], step: vec![1; 3], size: vec![1, 1, 2] };
    /// let first = graph.add_node("first", first, vec![image])?;
    /// assert_eq!(graph.read_for(first)[image.0], Read::Rows { axis: 1, rows: vec![true, false, false] });
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_for(&self, output: ValueId) -> Vec<Read> {
        let mut read = vec![Read::Nothing; self.values.len()];
        read[output.0] = Read::All;
        let dynamic = self.dynamic_steps();
        for node in self.nodes.iter().rev() {
            let wanted = read[node.output.0].clone();
            if wanted == Read::Nothing || dynamic.scales[node.output.0] {
                continue;
            }
            for (i, input) in node.inputs.iter().enumerate() {
                let part = self.read_by(node, i, &wanted);
                read[input.0] = std::mem::replace(&mut read[input.0], Read::Nothing).and(part);
            }
        }
        read
    }

    /// Whether any cell of a target is among what is read of it.
    pub fn reads_cells(&self, target: &Target, read: &Read) -> bool {
        let Read::Rows { axis, rows } = read else { return *read == Read::All };
        let tokens = self.value(target.value).shape.dims().first() != Some(&1);
        match target.layout {
            TargetLayout::Tokens { prefix, height, width, .. } if *axis == usize::from(!tokens) => {
                rows.iter().skip(prefix).take(height * width).any(|&r| r)
            }
            _ => rows.contains(&true),
        }
    }

    /// The part of its `i`-th input that a node reads for a part of its output.
    fn read_by(&self, node: &Node, i: usize, wanted: &Read) -> Read {
        let dims = |id: ValueId| self.value(id).shape.dims();
        let (from, to) = (dims(node.inputs[i]), dims(node.output));
        if matches!(node.op, Op::Softmax { .. }) || (matches!(node.op, Op::Attention(_)) && i != 2) {
            return Read::Nothing;
        }
        // Where only a part of an axis is taken, and all of that is wanted.
        let wanted = match (&node.op, wanted) {
            (Op::Slice { .. } | Op::Gather { .. }, Read::All) => match (0..to.len()).find(|&a| to[a] != from[a]) {
                Some(axis) => &Read::Rows { axis, rows: vec![true; to[axis]] },
                None => wanted,
            },
            _ => wanted,
        };
        let Read::Rows { axis, rows } = wanted else { return wanted.clone() };
        let (axis, last) = (*axis, to.len() - 1);
        let same = |axis: usize| Read::Rows { axis, rows: rows.clone() };
        let chosen = |axis: usize, place: &dyn Fn(usize) -> usize| {
            let mut read = vec![false; from[axis]];
            (0..rows.len()).filter(|&r| rows[r]).for_each(|r| read[place(r)] = true);
            Read::Rows { axis, rows: read }
        };
        match &node.op {
            Op::Activation(_) | Op::Quantize(_) => same(axis),
            Op::Binary(_) => match (from.len() + axis).checked_sub(to.len()) {
                Some(own) if from[own] == to[axis] => same(own),
                _ => Read::All,
            },
            Op::LayerNorm(norm) if i == 0 && !norm.axes.contains(&axis) => same(axis),
            Op::Linear(_) if i == 0 && axis != last => same(axis),
            // The rows of the left factor.
            Op::MatMul if i == 0 && from.len() == to.len() && axis + 1 == last => same(axis),
            Op::Transpose { perm } => same(perm[axis]),
            Op::Slice { start, step, .. } => {
                chosen(axis, &|row| start[axis].wrapping_add_signed(step[axis] * row as isize))
            }
            Op::Gather { axis: along, indices } if *along == axis => chosen(axis, &|row| indices[row]),
            Op::Gather { .. } => same(axis),
            Op::Concat { axis: along } if *along == axis => {
                let before: usize = node.inputs[..i].iter().map(|&id| dims(id)[axis]).sum();
                Read::Rows { axis, rows: rows[before..before + from[axis]].to_vec() }
            }
            Op::Concat { .. } => same(axis),
            Op::Reshape(_) => {
                let before = |dims: &[usize], axis: usize| dims[..axis].iter().product::<usize>();
                let kept = |a: &usize| from[*a] == to[axis] && before(from, *a) == before(to, axis);
                (0..from.len()).find(kept).map_or(Read::All, same)
            }
            // Not followed further: what it reads of its inputs, or of this one, is taken to be all.
            Op::Conv2d(_)
            | Op::Linear(_)
            | Op::MatMul
            | Op::Pool2d(_)
            | Op::Reduce { .. }
            | Op::Softmax { .. }
            | Op::Pad { .. }
            | Op::LayerNorm(_)
            | Op::Attention(_) => Read::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;
    use crate::graph::{Activation, Attention, BinaryOp, LayerNorm, Linear};
    use crate::tensor::{Shape, Tensor};

    /// Tokens `[1, 5, 4]` through attention, a residual sum, a linear layer and a norm, of which the first row goes on.
    #[test]
    fn a_class_token_reads_the_others_for_the_last_time_in_the_attention() -> Result<()> {
        let mut g = Graph::default();
        let image = g.add_input("image", [1, 5, 4]);
        let block = g.add_node("block", Op::Activation(Activation::Tanh), vec![image])?;
        let attention = Op::Attention(Attention { scale: 1.0, mask: false });
        let mixed = g.add_node("mixed", attention, vec![block, block, block])?;
        let sum = g.add_node("sum", Op::Binary(BinaryOp::Add), vec![block, mixed])?;
        let (w, b) = (g.add_constant("w", Tensor::zeros([4, 4])), g.add_constant("b", Tensor::zeros([4])));
        let flat = g.add_node("flat", Op::Reshape(Shape::from([5, 4])), vec![sum])?;
        let linear = g.add_node("linear", Op::Linear(Linear::default()), vec![flat, w, b])?;
        let back = g.add_node("back", Op::Reshape(Shape::from([1, 5, 4])), vec![linear])?;
        let norm = Op::LayerNorm(LayerNorm { axes: vec![2], epsilon: 1e-6 });
        let norm = g.add_node("norm", norm, vec![back, b, b])?;
        let turned = g.add_node("turned", Op::Transpose { perm: vec![1, 0, 2] }, vec![norm])?;
        let first = Op::Gather { axis: 0, indices: vec![0] };
        let first = g.add_node("first", first, vec![turned])?;
        let read = g.read_for(first);
        let row = |axis| Read::Rows { axis, rows: vec![true, false, false, false, false] };
        assert_eq!(read[turned.0], row(0));
        for value in [norm, back, sum, mixed] {
            assert_eq!(read[value.0], row(1), "{}", g.value(value).name);
        }
        assert_eq!(read[flat.0], row(0));
        assert_eq!(read[block.0], Read::All, "the values are of all tokens");
        Ok(())
    }

    #[test]
    fn parts_are_joined_and_cut() -> Result<()> {
        let mut g = Graph::default();
        let image = g.add_input("image", [1, 4, 2]);
        let other = g.add_node("other", Op::Activation(Activation::Relu), vec![image])?;
        let joined = g.add_node("joined", Op::Concat { axis: 1 }, vec![image, other])?;
        let part = Op::Slice { start: vec![0, 5, 0], step: vec![1, -2, 1], size: vec![1, 2, 2] };
        let part = g.add_node("part", part, vec![joined])?;
        let unread = g.add_node("unread", Op::Activation(Activation::Relu), vec![image])?;
        let read = g.read_for(part);
        let rows = |rows: [bool; 4]| Read::Rows { axis: 1, rows: rows.to_vec() };
        assert_eq!(read[other.0], rows([false, true, false, false]));
        assert_eq!(read[image.0], rows([false, true, false, true]), "of itself, and what the other is made of");
        assert_eq!(read[unread.0], Read::Nothing);
        Ok(())
    }
}
