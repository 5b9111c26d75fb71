//! How a value lies in the arena, and how kernels walk over it.

use crate::tensor::Shape;

/// Memory order of a value, in units of one float.
///
/// Maps `[1, C, H, W]`, `[1, C]` and `[C]` are stored pixel by pixel with the channels innermost, padded with zeros to
/// a multiple of four; everything else row-major.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    pub shape: Shape,
    /// Distance between neighbours along each dimension.
    pub strides: Vec<usize>,
    /// The dimensions from the outermost in memory to the innermost.
    pub order: Vec<usize>,
    /// `(C, H, W)` if the channels are innermost.
    pub channels: Option<(usize, usize, usize)>,
}

impl Layout {
    pub fn of(shape: &Shape) -> Self {
        let channels = shape.chw();
        let (strides, order) = match (channels, shape.rank()) {
            (Some((c, _, w)), 4) => {
                let padded = c.next_multiple_of(4);
                (vec![0, 1, w * padded, padded], vec![0, 2, 3, 1])
            }
            (Some(_), 2) => (vec![0, 1], vec![0, 1]),
            _ => (row_major(shape), (0..shape.rank()).collect()),
        };
        Self { shape: shape.clone(), strides, order, channels }
    }

    /// Row-major, whatever the shape: for tokens, heads and channels-last maps (see [`super::assign`]).
    pub fn row_major(shape: &Shape) -> Self {
        let order = (0..shape.rank()).collect();
        Self { shape: shape.clone(), strides: row_major(shape), order, channels: None }
    }

    /// Whether the values lie one after the other in row-major order and nothing else lies between.
    pub fn is_flat(&self) -> bool {
        match self.channels {
            None => true,
            Some((c, h, w)) => h * w == 1 && c % 4 == 0,
        }
    }

    /// Whether no padding lies between the values.
    fn is_dense(&self) -> bool {
        self.channels.is_none_or(|(c, ..)| c % 4 == 0)
    }

    /// Whether the same floats are, in the other layout, this value with its dimensions reordered.
    pub fn same_memory_transposed(&self, other: &Self, perm: &[usize]) -> bool {
        let moved = |(i, &p): (usize, &usize)| other.shape.dims()[i] != 1 && other.strides[i] != self.strides[p];
        self.is_dense() && other.is_dense() && !perm.iter().enumerate().any(moved)
    }

    /// Floats that the value takes, padding included; a multiple of four.
    pub fn len(&self) -> usize {
        let len = match self.channels {
            Some((c, h, w)) => c.next_multiple_of(4).saturating_mul(h).saturating_mul(w),
            None => self.shape.len(),
        };
        len.checked_next_multiple_of(4).unwrap_or(usize::MAX - 3).max(4)
    }

    /// The number of channel groups and of pixels; for row-major values all are "channels" of one pixel.
    pub fn groups_and_pixels(&self) -> (usize, usize) {
        match self.channels {
            Some((c, h, w)) => (c.div_ceil(4), h * w),
            None => (self.len() / 4, 1),
        }
    }

    /// How many channels are not padding, in the sense of [`Layout::groups_and_pixels`].
    pub fn kept(&self) -> usize {
        self.channels.map_or(self.shape.len(), |(c, ..)| c)
    }

    /// Whether the same floats, padding included, are this value in the other layout as well.
    pub fn same_memory(&self, other: &Self) -> bool {
        let vector = |l: &Self| matches!(l.channels, Some((_, 1, 1)));
        match (self.channels, other.channels) {
            _ if self == other => true,
            (None, None) => true,
            (Some(a), Some(b)) => a == b,
            (Some(_), None) => vector(self),
            // A row-major value may have anything after its end, where channels have zeros.
            (None, Some((c, ..))) => vector(other) && c % 4 == 0,
        }
    }

    /// The floats in memory order of a row-major value.
    pub fn pack(&self, data: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; self.len()];
        match self.channels {
            Some((c, h, w)) if h * w > 1 => {
                let padded = c.next_multiple_of(4);
                for (channel, plane) in data.chunks_exact(h * w).enumerate() {
                    for (pixel, &v) in out.chunks_exact_mut(padded).zip(plane) {
                        pixel[channel] = v;
                    }
                }
            }
            _ => out[..data.len()].copy_from_slice(data),
        }
        out
    }

    /// The row-major values of floats in memory order.
    pub fn unpack(&self, floats: &[f32]) -> Vec<f32> {
        match self.channels {
            Some((c, h, w)) if h * w > 1 => {
                let padded = c.next_multiple_of(4);
                let mut out = vec![0.0; c * h * w];
                for (channel, plane) in out.chunks_exact_mut(h * w).enumerate() {
                    for (v, pixel) in plane.iter_mut().zip(floats.chunks_exact(padded)) {
                        *v = pixel[channel];
                    }
                }
                out
            }
            _ => floats[..self.shape.len().min(floats.len())].to_vec(),
        }
    }

    /// Strides of this value along the dimensions of a larger shape that it is broadcast to (0 where it repeats).
    pub fn broadcast_strides(&self, rank: usize) -> Vec<usize> {
        let missing = rank.saturating_sub(self.shape.rank());
        let own = self.shape.dims().iter().zip(&self.strides).map(|(&d, &s)| if d == 1 { 0 } else { s });
        std::iter::repeat_n(0, missing).chain(own).collect()
    }
}

/// Strides of a row-major value.
pub(super) fn row_major(shape: &Shape) -> Vec<usize> {
    let mut strides = vec![1; shape.rank()];
    for i in (1..shape.rank()).rev() {
        strides[i - 1] = strides[i] * shape.dims()[i];
    }
    strides
}

/// Dimensions that the general kernels can walk.
const WALK: usize = 6;

/// The index space of a general kernel: dimensions in memory order of the output, the innermost with its padding.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// Logical dimension behind each walked one.
    axes: Vec<usize>,
    /// Sizes, padding included.
    sizes: Vec<usize>,
    /// Size of the innermost without padding.
    pub limit: usize,
}

impl Walk {
    /// Over `layout`, leaving out some axes. Dimensions of size 1 are dropped.
    ///
    /// # Errors
    /// If more than six dimensions remain.
    pub fn over(layout: &Layout, without: &[usize]) -> Result<Self, String> {
        let innermost = layout.order.last().map_or(0, |&axis| layout.shape.dims()[axis]);
        Self::over_padded(layout, without, innermost.next_multiple_of(4))
    }

    /// As [`Walk::over`], with this size for the channels if they are innermost.
    ///
    /// # Errors
    /// As [`Walk::over`].
    pub fn over_padded(layout: &Layout, without: &[usize], channels: usize) -> Result<Self, String> {
        let innermost = layout.order.last().copied().filter(|_| layout.channels.is_some());
        let dims = layout.shape.dims();
        let padded = |axis: usize| if Some(axis) == innermost { channels } else { dims[axis] };
        let walked = |a: &usize| !without.contains(a) && padded(*a) != 1;
        let axes: Vec<usize> = layout.order.iter().copied().filter(walked).collect();
        if axes.len() > WALK {
            return Err(format!("{} has more than {WALK} dimensions, which the GPU engine does not run", layout.shape));
        }
        let sizes: Vec<usize> = axes.iter().map(|&a| padded(a)).collect();
        let limit = axes.last().map_or(1, |&a| dims[a]);
        Ok(Self { axes, sizes, limit })
    }

    /// Over all the dimensions of a row-major shape.
    ///
    /// # Errors
    /// As [`Walk::over`].
    pub fn row_major(shape: &Shape) -> Result<Self, String> {
        Self::over(&Layout::row_major(shape), &[])
    }

    /// Whether at most one dimension is walked.
    pub fn is_line(&self) -> bool {
        self.axes.len() <= 1
    }

    /// Number of places.
    pub fn total(&self) -> usize {
        self.sizes.iter().fold(1, |n: usize, &size| n.saturating_mul(size))
    }

    /// Strides of a value that has so many floats for each place of the walk, one after the other.
    pub fn rows(&self, width: usize) -> [usize; 8] {
        let after = |i: usize| self.sizes[i + 1..].iter().fold(width, |n, &size| n.saturating_mul(size));
        self.fill(0, after)
    }

    /// The sizes; of a dimension that is not used, 1.
    pub fn dims(&self) -> [usize; 8] {
        self.fill(1, |i| self.sizes[i])
    }

    /// Per-dimension numbers of an operand, given by logical dimension. A negative stride is one that wraps round.
    pub fn along(&self, values: &[usize]) -> [usize; 8] {
        self.fill(0, |i| values.get(self.axes[i]).copied().unwrap_or(0))
    }

    /// As [`Walk::along`], where a dimension that is not walked counts as 1.
    pub fn sizes_along(&self, values: &[usize]) -> [usize; 8] {
        self.fill(1, |i| values.get(self.axes[i]).copied().unwrap_or(1))
    }

    /// Sizes and both operands' strides in units of four floats, if each group of four along the innermost dimension is
    /// one in both operands `(start, strides)`.
    pub fn by_fours(&self, a: (usize, &[usize]), y: (usize, &[usize])) -> Option<[[usize; 8]; 3]> {
        let (&last, others) = self.axes.split_last()?;
        let size = *self.sizes.last()?;
        let stride = |of: &[usize], axis: usize| of.get(axis).copied().unwrap_or(0) as isize;
        let fits = |of: (usize, &[usize])| {
            of.0.is_multiple_of(4) && stride(of.1, last) == 1 && others.iter().all(|&axis| stride(of.1, axis) % 4 == 0)
        };
        if !size.is_multiple_of(4) || self.limit != size || !fits(a) || !fits(y) {
            return None;
        }
        let count = self.axes.len();
        let dims = self.fill(1, |i| if i + 1 == count { size / 4 } else { self.sizes[i] });
        let fours =
            |of: &[usize]| self.fill(0, |i| if i + 1 == count { 1 } else { (stride(of, self.axes[i]) / 4) as usize });
        Some([dims, fours(a.1), fours(y.1)])
    }

    fn fill(&self, rest: usize, value: impl Fn(usize) -> usize) -> [usize; 8] {
        let mut out = [rest; 8];
        let first = WALK - self.axes.len();
        for i in 0..self.axes.len() {
            out[first + i] = value(i);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_innermost_and_padded_with_zeros() {
        let layout = Layout::of(&Shape::from([1, 3, 2, 2]));
        let data: Vec<f32> = (1..=12).map(|v| v as f32).collect();
        let packed = layout.pack(&data);
        assert_eq!(packed, [1., 5., 9., 0., 2., 6., 10., 0., 3., 7., 11., 0., 4., 8., 12., 0.]);
        assert_eq!(layout.unpack(&packed), data);
        assert_eq!(layout.groups_and_pixels(), (1, 4));
    }

    #[test]
    fn a_vector_is_the_same_in_both_layouts_unless_padding_would_appear() {
        let of = |dims: &[usize]| Layout::of(&Shape::new(dims));
        assert!(of(&[1, 6, 1, 1]).same_memory(&of(&[1, 6])));
        assert!(of(&[1, 6]).same_memory(&of(&[1, 1, 6])));
        assert!(!of(&[1, 1, 6]).same_memory(&of(&[1, 6])));
        assert!(of(&[1, 1, 8]).same_memory(&of(&[1, 8])));
        assert!(!of(&[1, 6, 2, 2]).same_memory(&of(&[1, 24])));
    }

    #[test]
    fn channels_last_is_the_memory_of_a_map() {
        let last = |dims: &[usize]| Layout::row_major(&Shape::new(dims));
        let map = |dims: &[usize]| Layout::of(&Shape::new(dims));
        assert!(map(&[1, 8, 2, 3]).same_memory_transposed(&last(&[1, 2, 3, 8]), &[0, 2, 3, 1]));
        assert!(last(&[1, 2, 3, 8]).same_memory_transposed(&map(&[1, 8, 2, 3]), &[0, 3, 1, 2]));
        assert!(!map(&[1, 6, 2, 3]).same_memory_transposed(&last(&[1, 2, 3, 6]), &[0, 2, 3, 1]));
        assert!(!last(&[1, 2, 3, 8]).same_memory_transposed(&last(&[1, 8, 2, 3]), &[0, 3, 1, 2]));
    }

    #[test]
    fn walks_in_memory_order_with_padding() {
        let layout = Layout::of(&Shape::from([1, 3, 2, 5]));
        let walk = Walk::over(&layout, &[]).unwrap();
        assert_eq!((walk.total(), walk.limit), (40, 3));
        assert_eq!(walk.dims(), [1, 1, 1, 2, 5, 4, 1, 1]);
        assert_eq!(walk.along(&layout.strides), [0, 0, 0, 20, 4, 1, 0, 0]);
    }
}
