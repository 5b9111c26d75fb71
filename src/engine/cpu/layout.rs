//! Memory layout: activations of four dimensions `[N, C, H, W]` lie channels-last, everything else row-major.
//!
//! Channels-last makes a 1x1 convolution a plain matrix product and a depthwise convolution one loop over channels.
//! *Logical* dimensions are those of the graph, *physical* ones those of memory.

use crate::tensor::Shape;

/// `[N, C, H, W] -> [N, H, W, C]`; other ranks as they are.
pub(super) fn physical(shape: &Shape) -> Vec<usize> {
    match *shape.dims() {
        [n, c, h, w] => vec![n, h, w, c],
        ref other => other.to_vec(),
    }
}

/// The physical place of a logical axis of a tensor of this rank.
pub(super) fn physical_axis(rank: usize, axis: usize) -> usize {
    match rank {
        4 => [0, 3, 1, 2][axis],
        _ => axis,
    }
}

/// Whether the physical order of the values is the logical one.
pub(super) fn is_plain(shape: &Shape) -> bool {
    match *shape.dims() {
        [_, c, h, w] => c == 1 || h * w == 1,
        _ => true,
    }
}

/// Row-major logical values into memory.
pub(super) fn to_physical(shape: &Shape, from: &[f32], to: &mut [f32]) {
    match *shape.dims() {
        [_, c, h, w] if !is_plain(shape) => swap_blocks(c, h * w, from, to),
        _ => to.copy_from_slice(from),
    }
}

/// Memory into row-major logical values.
pub(super) fn to_logical(shape: &Shape, from: &[f32], to: &mut [f32]) {
    match *shape.dims() {
        [_, c, h, w] if !is_plain(shape) => swap_blocks(h * w, c, from, to),
        _ => to.copy_from_slice(from),
    }
}

/// For every image: `[rows, columns] -> [columns, rows]`.
fn swap_blocks(rows: usize, columns: usize, from: &[f32], to: &mut [f32]) {
    let image = rows * columns;
    for (from, to) in from.chunks_exact(image).zip(to.chunks_exact_mut(image)) {
        // Sixteen output rows at a time: each line of the cache that is read is used while it is there.
        for (block, to) in to.chunks_mut(16 * rows).enumerate() {
            for row in 0..rows {
                let from = &from[row * columns + block * 16..];
                for (to, &v) in to.chunks_exact_mut(rows).zip(from) {
                    to[row] = v;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_last_and_back() {
        let shape = Shape::from([2, 37, 3, 5]);
        let logical: Vec<f32> = (0..shape.len()).map(|i| i as f32).collect();
        let (mut memory, mut back) = (vec![0.0; logical.len()], vec![0.0; logical.len()]);
        to_physical(&shape, &logical, &mut memory);
        // [n, h, w, c] = [1, 2, 3, 4]
        assert_eq!(memory[((3 + 2) * 5 + 3) * 37 + 4], logical[((37 + 4) * 3 + 2) * 5 + 3]);
        to_logical(&shape, &memory, &mut back);
        assert_eq!(back, logical);
    }
}
