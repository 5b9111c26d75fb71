//! Walks over memory with a step along each dimension: what moves, joins, pads, reduces and broadcasts values.

use super::failed;
use crate::error::Result;
use crate::graph::{BinaryOp, ReduceKind};

/// Places in `N` pieces of memory for every index of some dimensions, in row-major order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Walk<const N: usize> {
    start: [usize; N],
    /// Sizes and steps, outermost first; neighbouring dimensions that are one piece of every memory are one.
    dims: Vec<(usize, [isize; N])>,
}

impl<const N: usize> Walk<N> {
    /// From `start`, with `steps[i]` along the dimension of `dims[i]` values.
    pub(super) fn new(start: [usize; N], dims: &[usize], steps: &[[isize; N]]) -> Self {
        let mut joined: Vec<(usize, [isize; N])> = Vec::new();
        for (&size, &step) in dims.iter().zip(steps).filter(|(size, _)| **size != 1) {
            let whole = |i: usize| step[i].checked_mul(isize::try_from(size).ok()?);
            match joined.last_mut() {
                Some((outer, outer_step)) if (0..N).all(|i| whole(i) == Some(outer_step[i])) => {
                    (*outer, *outer_step) = (outer.saturating_mul(size), step);
                }
                _ => joined.push((size, step)),
            }
        }
        Self { start, dims: joined }
    }

    /// How many places there are.
    fn len(&self) -> usize {
        self.dims.iter().fold(1, |len, (size, _)| len.saturating_mul(*size))
    }

    /// Checks that there are `len` places, and that each is inside memory of `sizes` values.
    fn check(&self, len: usize, sizes: [usize; N]) -> Result<()> {
        // Every place along one memory lies between these.
        let reach = |i: usize, sign: isize| {
            let start = isize::try_from(self.start[i]).ok()?;
            self.dims.iter().try_fold(start, |at, &(size, step)| {
                let way = isize::try_from(size.checked_sub(1)?).ok()?.checked_mul(step[i])?;
                if way.signum() == sign { at.checked_add(way) } else { Some(at) }
            })
        };
        let inside = |i: usize| {
            let high = reach(i, 1).and_then(|high| usize::try_from(high).ok());
            reach(i, -1).is_some_and(|low| low >= 0) && high.is_some_and(|high| high < sizes[i])
        };
        match self.len() == len && (0..N).all(inside) {
            true => Ok(()),
            false => Err(failed("values would be moved from or to where there are none")),
        }
    }

    /// The innermost dimension: its size and steps.
    fn inner(&self) -> (usize, [isize; N]) {
        self.dims.last().copied().unwrap_or((1, [0; N]))
    }

    /// The place where each row of the innermost dimension starts. [`Walk::check`] comes first.
    fn rows(&self, mut row: impl FnMut([usize; N])) {
        let outer = self.dims.split_last().map_or(&[][..], |(_, outer)| outer);
        let mut index = vec![0usize; outer.len()];
        let mut at = self.start;
        for _ in 0..outer.iter().map(|d| d.0).product() {
            row(at);
            for (i, &(size, step)) in index.iter_mut().zip(outer).rev() {
                *i += 1;
                (0..N).for_each(|n| at[n] = at[n].wrapping_add_signed(step[n]));
                if *i < size {
                    break;
                }
                // Back to the first of this dimension; what wraps on the way is back inside afterwards.
                (0..N).for_each(|n| {
                    at[n] = at[n].wrapping_add_signed(step[n].wrapping_mul(size as isize).wrapping_neg())
                });
                *i = 0;
            }
        }
    }
}

/// The place `i` steps further. [`Walk::check`] has made sure that it is one.
#[inline(always)]
fn further(at: usize, i: usize, step: isize) -> usize {
    at.wrapping_add_signed(step.wrapping_mul(i as isize))
}

impl Walk<1> {
    /// `y`, in one piece, from the places of `x`.
    pub(super) fn gather(&self, x: &[f32], y: &mut [f32]) -> Result<()> {
        self.check(y.len(), [x.len()])?;
        let (len, [step]) = self.inner();
        let mut to = y.chunks_exact_mut(len);
        self.rows(|[at]| {
            let Some(row) = to.next() else { return };
            match step {
                1 => row.copy_from_slice(&x[at..][..len]),
                _ => row.iter_mut().enumerate().for_each(|(i, y)| *y = x[further(at, i, step)]),
            }
        });
        Ok(())
    }

    /// `x`, in one piece, into the places of `y`.
    pub(super) fn scatter(&self, x: &[f32], y: &mut [f32]) -> Result<()> {
        self.check(x.len(), [y.len()])?;
        let (len, [step]) = self.inner();
        let mut from = x.chunks_exact(len);
        self.rows(|[at]| {
            let Some(row) = from.next() else { return };
            match step {
                1 => y[at..][..len].copy_from_slice(row),
                _ => row.iter().enumerate().for_each(|(i, &x)| y[further(at, i, step)] = x),
            }
        });
        Ok(())
    }

    /// `y`, each value reduced from those of `x` whose place it is. Sums run in `f64`.
    pub(super) fn reduce(&self, kind: ReduceKind, x: &[f32], y: &mut [f32]) -> Result<()> {
        self.check(x.len(), [y.len()])?;
        let mut totals = vec![kind.start(); y.len()];
        match kind {
            ReduceKind::Mean | ReduceKind::Sum => self.fold(x, &mut totals, |sum, v| sum + v),
            kind => self.fold(x, &mut totals, |total, v| kind.join(total, v)),
        }
        let scale = match kind {
            ReduceKind::Mean => y.len() as f64 / x.len() as f64,
            _ => 1.0,
        };
        y.iter_mut().zip(totals).for_each(|(y, total)| *y = (total * scale) as f32);
        Ok(())
    }

    fn fold(&self, x: &[f32], totals: &mut [f64], join: impl Fn(f64, f64) -> f64) {
        let (len, [step]) = self.inner();
        let mut from = x.chunks_exact(len);
        self.rows(|[at]| {
            let Some(row) = from.next() else { return };
            match step {
                0 => totals[at] = row.iter().fold(totals[at], |total, &v| join(total, v.into())),
                1 => totals[at..][..len].iter_mut().zip(row).for_each(|(total, &v)| *total = join(*total, v.into())),
                _ => row.iter().enumerate().for_each(|(i, &v)| {
                    let total = &mut totals[further(at, i, step)];
                    *total = join(*total, v.into());
                }),
            }
        });
    }
}

impl Walk<2> {
    /// `y = op(a, b)`, in one piece, from the places of `a` and `b`.
    pub(super) fn zip(&self, op: BinaryOp, [a, b]: [&[f32]; 2], y: &mut [f32]) -> Result<()> {
        self.check(y.len(), [a.len(), b.len()])?;
        match op {
            BinaryOp::Add => self.each(a, b, y, |a, b| a + b),
            BinaryOp::Sub => self.each(a, b, y, |a, b| a - b),
            BinaryOp::Mul => self.each(a, b, y, |a, b| a * b),
            BinaryOp::Div => self.each(a, b, y, |a, b| a / b),
            op => self.each(a, b, y, |a, b| op.apply(a, b)),
        }
        Ok(())
    }

    fn each(&self, a: &[f32], b: &[f32], y: &mut [f32], f: impl Fn(f32, f32) -> f32) {
        let (len, steps) = self.inner();
        let mut to = y.chunks_exact_mut(len);
        self.rows(|[at, bt]| {
            let Some(row) = to.next() else { return };
            match steps {
                [1, 1] => row.iter_mut().zip(&a[at..]).zip(&b[bt..]).for_each(|((y, &a), &b)| *y = f(a, b)),
                [1, 0] => row.iter_mut().zip(&a[at..]).for_each(|(y, &a)| *y = f(a, b[bt])),
                [0, 1] => row.iter_mut().zip(&b[bt..]).for_each(|(y, &b)| *y = f(a[at], b)),
                [by, bz] => {
                    let value = |i: usize| f(a[further(at, i, by)], b[further(bt, i, bz)]);
                    row.iter_mut().enumerate().for_each(|(i, y)| *y = value(i));
                }
            }
        });
    }
}

/// `exp(x) / sum(exp(x))` of every `len` values that are `inner` apart, in place.
pub(super) fn softmax(len: usize, inner: usize, y: &mut [f32]) {
    for block in y.chunks_mut(len.saturating_mul(inner).max(1)) {
        for i in 0..inner {
            let top = block[i..].iter().step_by(inner).fold(f32::NEG_INFINITY, |m, &v| m.max(v));
            let mut sum = 0.0;
            for value in block[i..].iter_mut().step_by(inner) {
                *value = (*value - top).exp();
                sum += *value;
            }
            block[i..].iter_mut().step_by(inner).for_each(|value| *value /= sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_backwards_and_a_walk_that_leaves() {
        let x: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let mut y = vec![0.0; 6];
        // Rows backwards, every other column of [3, 4].
        Walk::new([8], &[3, 2], &[[-4], [2]]).gather(&x, &mut y).unwrap();
        assert_eq!(y, [8.0, 10.0, 4.0, 6.0, 0.0, 2.0]);
        let mut back = vec![-1.0; 12];
        Walk::new([8], &[3, 2], &[[-4], [2]]).scatter(&y, &mut back).unwrap();
        assert_eq!(back, [0.0, -1.0, 2.0, -1.0, 4.0, -1.0, 6.0, -1.0, 8.0, -1.0, 10.0, -1.0]);
        for (start, step) in [(7, -4), (8, -5), (4, 4), (0, isize::MAX), (8, isize::MIN), (usize::MAX, -1)] {
            assert!(Walk::new([start], &[3, 2], &[[step], [2]]).gather(&x, &mut y).is_err(), "{start} {step}");
        }
        assert!(Walk::new([0], &[5], &[[1]]).gather(&x, &mut y).is_err(), "another number of values");
    }

    #[test]
    fn neighbouring_dimensions_in_one_piece_are_one() {
        assert_eq!(Walk::new([0], &[2, 1, 3, 4], &[[12], [99], [4], [1]]).dims, [(24, [1])]);
        assert_eq!(Walk::new([0, 0], &[2, 3], &[[3, 0], [1, 1]]).dims, [(2, [3, 0]), (3, [1, 1])]);
    }

    #[test]
    fn means_over_any_axis() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let (mut rows, mut columns) = (vec![0.0; 2], vec![0.0; 3]);
        Walk::new([0], &[2, 3], &[[1], [0]]).reduce(ReduceKind::Mean, &x, &mut rows).unwrap();
        Walk::new([0], &[2, 3], &[[0], [1]]).reduce(ReduceKind::Max, &x, &mut columns).unwrap();
        assert_eq!((rows, columns), (vec![2.0, 5.0], vec![4.0, 5.0, 6.0]));
    }
}
