//! How the cells of an image lie in every value of a graph: as maps, channels last, or as a row of tokens. The layout
//! is followed from the image through the ops.

use super::{Graph, Node, Op, TargetLayout, ValueId};

impl Graph {
    /// The layout of every value, as far as it is known.
    pub(super) fn layouts(&self) -> Vec<Option<TargetLayout>> {
        let mut layouts = vec![None; self.values.len()];
        if let Some(image) = self.input {
            layouts[image.0] = Some(Cells::Known(TargetLayout::ChannelsFirst));
        }
        // What a convolution or window pool reads is channels first, whatever was done to it before.
        for node in self.nodes.iter().filter(|n| matches!(n.op, Op::Conv2d(_) | Op::Pool2d(_))) {
            layouts[node.inputs[0].0] = Some(Cells::Known(TargetLayout::ChannelsFirst));
        }
        for node in &self.nodes {
            if layouts[node.output.0].is_none() {
                layouts[node.output.0] = self.layout_after(node, &layouts);
            }
        }
        layouts.into_iter().map(|l| if let Some(Cells::Known(layout)) = l { Some(layout) } else { None }).collect()
    }

    /// The layout of a node's output from those of its inputs.
    fn layout_after(&self, node: &Node, layouts: &[Option<Cells>]) -> Option<Cells> {
        use TargetLayout::{ChannelsFirst, ChannelsLast, Tokens};
        let dims = |id: ValueId| self.value(id).shape.dims();
        let (of, to) = (|id: ValueId| layouts[id.0], dims(node.output));
        let x = *node.inputs.first()?;
        match &node.op {
            Op::Conv2d(_) | Op::Pool2d(_) => Some(Cells::Known(ChannelsFirst)),
            Op::Reshape(_) => match (of(x)?, dims(x), to) {
                (same, from, to) if from == to => Some(same),
                (Cells::Known(ChannelsFirst), &[1, c, height, width], &[1, d, cells]) => {
                    (c == d && height * width == cells).then_some(Cells::Columns { height, width })
                }
                (Cells::Columns { height, width }, _, &[1, _, h, w]) => {
                    ([h, w] == [height, width]).then_some(Cells::Known(ChannelsFirst))
                }
                (Cells::Known(ChannelsLast), &[1, height, width, c], &[1, cells, d]) if c == d => {
                    let tokens = Tokens { prefix: 0, height, width, suffix: 0 };
                    (height * width == cells).then_some(Cells::Known(tokens))
                }
                (Cells::Known(Tokens { prefix: 0, height, width, suffix: 0 }), &[1, _, c], &[1, h, w, d]) => {
                    ([height, width, c] == [h, w, d]).then_some(Cells::Known(ChannelsLast))
                }
                (Cells::Known(ChannelsLast), &[1, height, width, c], &[1, h, a, w, b, d]) => {
                    ([height, width, c] == [h * a, w * b, d]).then_some(Cells::Patches { sorted: false })
                }
                (Cells::Known(Tokens { prefix: 0, height, width, suffix: 0 }), &[1, _, c], &[1, h, a, w, b, d]) => {
                    ([height, width, c] == [h * a, w * b, d]).then_some(Cells::Patches { sorted: false })
                }
                (Cells::Patches { sorted: true }, &[1, h, w, a, b, c], &[1, height, width, d]) => {
                    ([height, width, d] == [h, w, a * b * c]).then_some(Cells::Known(ChannelsLast))
                }
                (Cells::Patches { sorted: true }, &[1, height, width, a, b, c], &[1, cells, d]) => {
                    let tokens = Tokens { prefix: 0, height, width, suffix: 0 };
                    ([cells, d] == [height * width, a * b * c]).then_some(Cells::Known(tokens))
                }
                (tokens @ Cells::Known(Tokens { .. }), &[1, n, c], &[m, 1, d]) => ([n, c] == [m, d]).then_some(tokens),
                (tokens @ Cells::Known(Tokens { .. }), &[n, 1, c], &[1, m, d]) => ([n, c] == [m, d]).then_some(tokens),
                _ => None,
            },
            Op::Transpose { perm } => match (of(x)?, perm.as_slice()) {
                // The row of tokens before the batch, as torch's own attention has it unless told otherwise.
                (tokens @ Cells::Known(Tokens { .. }), [1, 0, 2]) => Some(tokens),
                (Cells::Known(ChannelsFirst), [0, 2, 3, 1]) => Some(Cells::Known(ChannelsLast)),
                (Cells::Known(ChannelsLast), [0, 3, 1, 2]) => Some(Cells::Known(ChannelsFirst)),
                // What is in a patch goes to its channels: patches are merged.
                (Cells::Patches { sorted: false }, [0, 1, 3, ..]) => Some(Cells::Patches { sorted: true }),
                (Cells::Columns { height, width }, [0, 2, 1]) => {
                    Some(Cells::Known(Tokens { prefix: 0, height, width, suffix: 0 }))
                }
                (Cells::Known(Tokens { prefix: 0, height, width, suffix: 0 }), [0, 2, 1]) => {
                    Some(Cells::Columns { height, width })
                }
                _ => None,
            },
            Op::Concat { axis } => {
                let known = node.inputs.iter().position(|&i| of(i).is_some())?;
                let length = |ids: &[ValueId]| ids.iter().map(|&i| dims(i)[*axis]).sum::<usize>();
                match of(node.inputs[known])? {
                    Cells::Known(Tokens { prefix, height, width, suffix })
                        if *axis == token_axis(dims(node.inputs[known])) =>
                    {
                        let prefix = prefix + length(&node.inputs[..known]);
                        let suffix = suffix + length(&node.inputs[known + 1..]);
                        Some(Cells::Known(Tokens { prefix, height, width, suffix }))
                    }
                    // Along channels the cells stay where they are.
                    Cells::Known(ChannelsFirst) if *axis == 1 => Some(Cells::Known(ChannelsFirst)),
                    same if *axis + 1 == to.len() && !matches!(same, Cells::Known(ChannelsFirst)) => Some(same),
                    _ => None,
                }
            }
            // Every second cell in both directions, as where Swin merges patches, is a coarser grid over the same
            // image.
            Op::Slice { start, step, size } if of(x)? == Cells::Known(ChannelsLast) => {
                let coarser = |axis: usize| {
                    let (from, by, all) = (start[axis], step[axis].unsigned_abs(), dims(x)[axis]);
                    step[axis] > 0 && from < by && size[axis] == (all - from).div_ceil(by)
                };
                (coarser(1) && coarser(2) && size[3] == dims(x)[3]).then_some(Cells::Known(ChannelsLast))
            }
            Op::Slice { start, step, size } if of(x)? != Cells::Known(ChannelsFirst) => match of(x)? {
                Cells::Known(Tokens { prefix, height, width, suffix }) => {
                    let row = token_axis(dims(x));
                    let end = suffix.checked_sub(dims(x)[row] - start[row] - size[row])?;
                    let (prefix, whole) = (prefix.checked_sub(start[row])?, step.iter().all(|s| *s == 1));
                    whole.then_some(Cells::Known(Tokens { prefix, height, width, suffix: end }))
                }
                _ => None,
            },
            Op::MatMul => None,
            Op::Attention(_) | Op::Linear(_) if to.len() == 4 && of(x) == Some(Cells::Known(ChannelsFirst)) => None,
            // These work value by value or along channels, and keep the cells of the input of their shape.
            Op::Linear(_)
            | Op::Activation(_)
            | Op::Binary(_)
            | Op::Reduce { .. }
            | Op::Softmax { .. }
            | Op::Pad { .. }
            | Op::LayerNorm(_)
            | Op::Attention(_)
            | Op::Slice { .. }
            | Op::Gather { .. }
            | Op::Quantize(_) => node.inputs.iter().filter(|&&i| same_cells(dims(i), to, of(i))).find_map(|&i| of(i)),
        }
    }
}

/// What is known of how cells lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cells {
    Known(TargetLayout),
    /// `[1, C, H W]`: on the way to tokens.
    Columns {
        height: usize,
        width: usize,
    },
    /// `[1, h, a, w, b, C]`, or `[1, h, w, ..]` when sorted: a grid of patches of `a` by `b` cells.
    Patches {
        sorted: bool,
    },
}

/// Which axis counts the tokens: the one beside the batch, which is one image.
fn token_axis(dims: &[usize]) -> usize {
    usize::from(dims[0] == 1)
}

/// Whether a value has as many cells as another, given how its own lie.
fn same_cells(from: &[usize], to: &[usize], cells: Option<Cells>) -> bool {
    if from.len() != to.len() {
        return false;
    }
    match cells {
        Some(Cells::Known(TargetLayout::ChannelsFirst)) => from[2..] == to[2..],
        Some(Cells::Known(_)) => from[..from.len() - 1] == to[..to.len() - 1],
        Some(Cells::Columns { .. }) => from[2..] == to[2..],
        Some(Cells::Patches { .. }) | None => false,
    }
}
