//! Pooling: in one pass, or lines first and then columns if the window is large.

use super::dispatch::{Dispatch, Grid, Moves, Numbers, specialise};
use super::kernels::{COUNT_PAD, Kernel, MAX};
use super::layout::Layout;
use super::lower::{Lowering, refuse};
use super::params;
use crate::error::Result;
use crate::graph::{Node, Pool2d, PoolKind};

/// Cells of a window up to which one pass takes them all.
const SMALL_WINDOW: usize = 64;

/// Cells of the window that can be inside the image, by height and width.
fn inside(pool: &Pool2d, input: [usize; 2]) -> [usize; 2] {
    std::array::from_fn(|axis| pool.kernel[axis].min(input[axis].div_ceil(pool.dilations[axis].max(1))))
}

/// The largest value of a window is the largest of its columns' largest, and its mean, by whatever divisor, the mean of
/// its columns' means: a large window goes down the columns and then along the lines.
fn in_two_passes(pool: &Pool2d, input: [usize; 2]) -> bool {
    let [height, width] = inside(pool, input);
    height > 1 && width > 1 && height.saturating_mul(width) > SMALL_WINDOW
}

/// Floats between the two passes, if there are two.
pub(super) fn temporary(pool: &Pool2d, from: &Layout, to: &Layout) -> usize {
    match (from.channels, to.channels) {
        (Some((c, h, w)), Some((_, oh, _))) if in_two_passes(pool, [h, w]) => {
            c.next_multiple_of(4).saturating_mul(oh).saturating_mul(w)
        }
        _ => 0,
    }
}

impl Lowering<'_, '_> {
    pub(super) fn pool(&mut self, node: &Node, pool: &Pool2d) -> Result<()> {
        let (from, to) = (self.layout(node.inputs[0]), self.layout(node.output));
        let (Some((c, h, w)), Some((_, oh, ow))) = (from.channels, to.channels) else {
            return Err(refuse(node, format!("{} is not one image", from.shape)));
        };
        let (x, y) = (self.operand(node.inputs[0])?, self.output(node)?);
        let whole = Moves {
            input: [h, w],
            output: [oh, ow],
            kernel: pool.kernel,
            strides: pool.strides,
            dilations: pool.dilations,
            pads: [pool.pads[0], pool.pads[1]],
        };
        if !in_two_passes(pool, [h, w]) {
            return self.pool_pass(node, pool.kind, c, (x, y), &whole);
        }
        // One axis of each of the moves, the other axis standing still.
        let along = |axis: usize, input: [usize; 2], output: [usize; 2]| {
            let only = |of: [usize; 2], rest: usize| std::array::from_fn(|i| if i == axis { of[i] } else { rest });
            Moves {
                input,
                output,
                kernel: only(whole.kernel, 1),
                strides: only(whole.strides, 1),
                dilations: only(whole.dilations, 1),
                pads: only(whole.pads, 0),
            }
        };
        let middle = self.scratch;
        self.pool_pass(node, pool.kind, c, (x, middle), &along(0, [h, w], [oh, w]))?;
        self.pool_pass(node, pool.kind, c, (middle, y), &along(1, [oh, w], [oh, ow]))
    }

    fn pool_pass(
        &mut self,
        node: &Node,
        kind: PoolKind,
        channels: usize,
        (x, y): (usize, usize),
        moves: &Moves,
    ) -> Result<()> {
        let (max, count_pad) = match kind {
            PoolKind::Max => (true, false),
            PoolKind::Average { count_include_pad } => (false, count_include_pad),
        };
        let n = Numbers::default();
        let groups = channels.div_ceil(4);
        let total = n.product(&[groups, moves.output[0], moves.output[1]]);
        let grid = Grid::over(total);
        let params = params::Pool {
            window: n.window(moves),
            x: n.fours(x),
            y: n.fours(y),
            groups: n.u(groups),
            total: n.u(total),
            row: grid.row,
            channels: n.u(channels),
        };
        let [height, width]: [usize; 2] =
            std::array::from_fn(|i| moves.kernel[i].min(moves.input[i].div_ceil(moves.dilations[i].max(1))));
        let steps = height.saturating_mul(width.saturating_add(1));
        let spec = specialise(Kernel::Pool, [(MAX, max.into()), (COUNT_PAD, count_pad.into())]);
        self.push(node, None, Dispatch::new(spec, n, params, grid, steps))
    }
}
