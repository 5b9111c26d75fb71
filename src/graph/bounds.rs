//! The limits that every graph keeps before an engine sees it. Only this file bounds the sizes that come from a model
//! file. It uses checked arithmetic, so that what shape inference, folding, kernels and shaders compute from those
//! sizes fits 32 bits.
//!
//! [`Graph::validate`] runs at the end of every import, after the passes and before every compilation. After it,
//! - every value has at most [`MAX_RANK`] dimensions, none of them 0, and at most [`MAX_ELEMENTS`] elements (2^30
//!   bytes);
//! - along both axes of every window `size + pads + dilation * kernel + stride * (outputs + 1)` is below
//!   [`MAX_COORDINATE`], and a window has at most [`MAX_TAPS`] cells;
//! - every part, pick, axis and permutation stays inside its input, and an attention has fewer than [`MAX_SCORES`]
//!   scores;
//! - every node fits its inputs, which are computed before it, each once.

use super::op::Op;
use super::{Constant, Graph, Node, ValueId};
use crate::error::{Error, Result};
use crate::tensor::Shape;

/// No single value may have more elements (1 GiB of floats): a file that asks for more is refused by name.
pub const MAX_ELEMENTS: usize = 1 << 28;

/// No value may have more dimensions.
pub const MAX_RANK: usize = 16;

/// No cell that a window reaches, padding included, may be as far from the first one: a place fits an `i32`, with room
/// for kernels that compute several cells at once.
pub const MAX_COORDINATE: usize = 1 << 30;

/// No window of a convolution or pool may have more cells.
pub const MAX_TAPS: usize = 1 << 20;

/// An attention must have fewer scores (heads by queries by keys).
pub const MAX_SCORES: usize = 1 << 31;

/// Whether a value may have this shape.
///
/// # Errors
/// Says in words what is wrong with it.
pub(crate) fn check_shape(shape: &Shape) -> std::result::Result<(), String> {
    match shape.checked_len() {
        _ if shape.rank() > MAX_RANK => {
            Err(format!("a value of {} dimensions, and the limit is {MAX_RANK}", shape.rank()))
        }
        Some(0) => Err(format!("its output would be empty: {shape}")),
        Some(n) if n <= MAX_ELEMENTS => Ok(()),
        _ => Err(format!("its output would be {shape}, which is too large (the limit is {MAX_ELEMENTS} values)")),
    }
}

/// The number of windows along one axis of `size` cells; `pads` are the cells added before and after.
///
/// # Errors
/// Says in words what does not fit, or which place would be out of bounds.
pub(super) fn windows(
    size: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pads: [usize; 2],
) -> std::result::Result<usize, String> {
    if kernel == 0 || stride == 0 || dilation == 0 {
        return Err("kernel, stride and dilation must be at least 1".into());
    }
    let far = || {
        format!(
            "a window of {kernel} cells {dilation} apart in steps of {stride} over {size} cells padded by {pads:?} reaches too far \
             (the limit is {MAX_COORDINATE} cells)"
        )
    };
    let padded = size.checked_add(pads[0]).and_then(|n| n.checked_add(pads[1])).ok_or_else(far)?;
    let reach = kernel.checked_mul(dilation).ok_or_else(far)?;
    let extent = reach - dilation + 1;
    let Some(room) = padded.checked_sub(extent) else {
        return Err(format!(
            "a window of {kernel} cells {dilation} apart does not fit into {size} cells padded by {pads:?}"
        ));
    };
    let outputs = room / stride + 1;
    let steps = stride.checked_mul(outputs + 1);
    let furthest = steps.and_then(|n| n.checked_add(padded)).and_then(|n| n.checked_add(reach));
    match furthest.is_some_and(|n| n < MAX_COORDINATE) {
        true => Ok(outputs),
        false => Err(far()),
    }
}

/// Whether a window has a number of cells that can be looked at.
///
/// # Errors
/// Says that it has too many.
pub(super) fn check_taps(kernel: [usize; 2]) -> std::result::Result<(), String> {
    match kernel[0].checked_mul(kernel[1]) {
        Some(taps) if taps <= MAX_TAPS => Ok(()),
        _ => Err(format!("a window of {} x {} cells, and the limit is {MAX_TAPS} cells", kernel[0], kernel[1])),
    }
}

impl Graph {
    /// Checks that the graph is well formed and within the bounds of this module, which every engine relies on.
    ///
    /// # Errors
    /// [`Error::Node`] naming the first node that is not.
    ///
    /// ```
    /// use famlens::graph::{Activation, Graph, Op};
    /// # fn main() -> famlens::Result<()> {
    /// let mut graph = Graph::default();
    /// let image = graph.add_input("image", [1, 3, 8, 8]);
    /// let relu = graph.add_node("relu", Op::Activation(Activation::Relu), vec![image])?;
    /// assert!(graph.validate().is_ok());
    /// graph.values[relu.0].shape = [1, 3, 8, 9].into();
    /// assert!(graph.validate().is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn validate(&self) -> Result<()> {
        let mut there: Vec<bool> = self.values.iter().map(|v| v.constant.is_some()).collect();
        if let Some(input) = self.input {
            let value = self.values.get(input.0).ok_or_else(|| Error::onnx("the graph has no image input"))?;
            check_shape(&value.shape).map_err(|reason| Error::onnx(format!("its input {:?}: {reason}", value.name)))?;
            there[input.0] = true;
        }
        for node in &self.nodes {
            self.check_node(node, &there).map_err(|reason| Error::node(&node.name, node.op.name(), reason))?;
            there[node.output.0] = true;
        }
        match self.outputs.iter().find(|o| there.get(o.0) != Some(&true)) {
            Some(output) => Err(Error::onnx(format!("value {} is an output, and nothing computes it", output.0))),
            None => Ok(()),
        }
    }

    fn check_node(&self, node: &Node, there: &[bool]) -> std::result::Result<(), String> {
        let ids = node.inputs.iter().chain([&node.output]);
        if ids.into_iter().any(|id| id.0 >= self.values.len()) {
            return Err("refers to a value that is not in the graph".into());
        }
        if there[node.output.0] {
            return Err(format!("computes {:?}, which something else gives too", self.value(node.output).name));
        }
        for (i, &input) in node.inputs.iter().enumerate() {
            let value = self.value(input);
            if !there[input.0] {
                return Err(format!("reads {:?}, which is not computed before it", value.name));
            }
            let Some(constant) = &value.constant else { continue };
            if *constant.shape() != value.shape {
                return Err(format!("{:?} is {} and holds {}", value.name, value.shape, constant.shape()));
            }
            check_shape(&value.shape).map_err(|_| format!("its constant {:?} is {}", value.name, value.shape))?;
            let may_be_int8 = i == 1 && matches!(node.op, Op::Conv2d(_) | Op::Linear(_));
            if matches!(constant, Constant::Int8(_)) && !may_be_int8 {
                return Err(format!("{:?} is int8, which only weights may be", value.name));
            }
        }
        let constants = match node.op {
            Op::Conv2d(_) | Op::Linear(_) | Op::LayerNorm(_) => 1..3,
            _ => 0..0,
        };
        if let Some(&id) = constants.filter_map(|i| node.inputs.get(i)).find(|id| self.value(**id).constant.is_none()) {
            return Err(format!("{:?} must be a constant", self.value(id).name));
        }
        let shapes: Vec<&Shape> = node.inputs.iter().map(|&i| &self.value(i).shape).collect();
        let shape = node.op.output_shape(&shapes)?;
        let expected = &self.value(node.output).shape;
        match shape == *expected {
            true => check_shape(&shape),
            false => Err(format!("computes {shape}, and {expected} was expected")),
        }
    }

    /// The most bytes of activations that are alive at one time where nodes run in order, and the node that computes
    /// the largest of them (nothing if that is the image). What works value by value counts as written in place.
    pub(crate) fn peak(&self) -> (usize, Option<&Node>) {
        let bytes = |id: ValueId| match self.value(id).constant {
            None => self.value(id).shape.len().saturating_mul(size_of::<f32>()),
            Some(_) => 0,
        };
        let mut last = vec![0; self.values.len()];
        for (step, node) in self.nodes.iter().enumerate() {
            last[node.output.0] = step;
            node.inputs.iter().for_each(|i| last[i.0] = step);
        }
        self.outputs.iter().chain(&self.input).for_each(|o| last[o.0] = usize::MAX);
        let mut alive = self.input.map_or(0, bytes);
        let (mut most, mut at) = (alive, 0);
        for (step, node) in self.nodes.iter().enumerate() {
            let mut done: Vec<ValueId> = node.inputs.iter().copied().filter(|i| last[i.0] == step).collect();
            done.sort_unstable();
            done.dedup();
            let own = bytes(node.output);
            let in_place = matches!(
                node.op,
                Op::Activation(_) | Op::Binary(_) | Op::Quantize(_) | Op::Reshape(_) | Op::Softmax { .. }
            ) && done.iter().any(|&i| bytes(i) == own);
            let here = alive.saturating_add(if in_place { 0 } else { own });
            if here > most {
                (most, at) = (here, step);
            }
            // What nobody reads goes at once.
            done.extend((last[node.output.0] == step).then_some(node.output));
            alive = done.iter().fold(alive.saturating_add(own), |n, &i| n.saturating_sub(bytes(i)));
        }
        let there = self.nodes.iter().take(at + 1).filter(|n| last[n.output.0] >= at);
        (most, there.max_by_key(|n| bytes(n.output)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, Conv2d, Pool2d, PoolKind};
    use crate::tensor::Tensor;

    #[test]
    fn no_place_of_a_window_leaves_32_bits() {
        assert_eq!(windows(224, 3, 2, 1, [1, 1]), Ok(112));
        assert_eq!(windows(1 << 20, 1, 1, 1, [0, 0]), Ok(1 << 20));
        // A filter whose taps wrap round in 32 bits, padded so that it fits.
        let pad = 4368 * 983_055 / 2;
        assert!(windows(32, 4369, 1, 983_055, [pad, pad]).is_err_and(|e| e.contains("too far")));
        for huge in [1 << 30, (1 << 31) - 1, usize::MAX / 2, usize::MAX] {
            for at in 0..5 {
                let mut n = [32, 3, 1, 1, 1];
                n[at] = huge;
                let found = windows(n[0], n[1], n[2], n[3], [n[4], n[4]]);
                assert!(found.is_err(), "{n:?}: {found:?}");
            }
        }
        assert!(check_taps([1024, 1024]).is_ok());
        assert!(check_taps([1_048_575, 1_048_575]).is_err_and(|e| e.contains("1048575 x 1048575")));
    }

    #[test]
    fn only_shapes_that_can_be_held() {
        for bad in [vec![0], vec![3, 0, usize::MAX], vec![1 << 14; 2], vec![usize::MAX; 2], vec![1; 17]] {
            let bad = Shape::new(bad);
            let ok = bad.dims() == [1 << 14; 2];
            assert_eq!(check_shape(&bad).is_ok(), ok, "{bad}");
        }
    }

    #[test]
    fn a_graph_that_contradicts_itself_is_refused() -> Result<()> {
        let mut good = Graph::default();
        let image = good.add_input("image", [1, 3, 8, 8]);
        let (weight, bias) =
            (good.add_constant("w", Tensor::zeros([4, 3, 3, 3])), good.add_constant("b", Tensor::zeros([4])));
        let conv = Conv2d {
            strides: [1; 2],
            dilations: [1; 2],
            pads: [1; 4],
            groups: 1,
            activation: Activation::None,
            residual: false,
        };
        let y = good.add_node("conv", Op::Conv2d(conv), vec![image, weight, bias])?;
        let z = good.add_node("relu", Op::Activation(Activation::Relu), vec![y])?;
        good.outputs.push(z);
        good.validate()?;
        let refused = |change: &dyn Fn(&mut Graph), word: &str| {
            let mut graph = good.clone();
            change(&mut graph);
            let error = graph.validate().map_err(|e| e.to_string());
            assert!(error.as_ref().is_err_and(|e| e.contains(word)), "{error:?} and not {word:?}");
        };
        refused(&|g| g.nodes.swap(0, 1), "not computed before");
        refused(&|g| g.nodes.push(g.nodes[1].clone()), "something else gives too");
        refused(&|g| g.nodes[1].inputs[0] = ValueId(99), "not in the graph");
        refused(&|g| g.values[weight.0].shape = [4, 3, 3, 4].into(), "holds");
        refused(&|g| g.values[bias.0].constant = None, "not computed before");
        refused(&|g| g.values[z.0].shape = [1, 4, 8, 7].into(), "was expected");
        refused(&|g| g.outputs.push(ValueId(99)), "nothing computes it");
        let far = |g: &mut Graph| {
            if let Op::Conv2d(conv) = &mut g.nodes[0].op {
                conv.pads = [1, usize::MAX, 1, 1];
            }
        };
        refused(&far, "too far");
        let pool =
            Pool2d { kind: PoolKind::Max, kernel: [1 << 11; 2], strides: [1; 2], dilations: [1; 2], pads: [2047; 4] };
        assert!(good.add_node("pool", Op::Pool2d(pool), vec![y]).is_err_and(|e| e.to_string().contains("limit")));
        Ok(())
    }

    #[test]
    fn the_peak_counts_what_is_alive_together() -> Result<()> {
        let mut g = Graph::default();
        let image = g.add_input("image", [1, 1, 4, 4]);
        let pad = Op::Pad { before: vec![0; 4], after: vec![0, 3, 0, 0], value: 0.0 };
        let wide = g.add_node("wide", pad, vec![image])?;
        let relu = g.add_node("relu", Op::Activation(Activation::Relu), vec![wide])?;
        let back = Op::Slice { start: vec![0; 4], step: vec![1; 4], size: vec![1, 1, 4, 4] };
        let back = g.add_node("back", back, vec![relu])?;
        g.outputs.push(back);
        let (bytes, node) = g.peak();
        assert_eq!((bytes, node.map(|n| n.name.as_str())), ((16 + 64 + 16) * 4, Some("relu")));
        Ok(())
    }
}
