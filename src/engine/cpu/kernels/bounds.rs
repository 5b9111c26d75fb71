//! The sizes that kernels rely on, checked in one place.
//!
//! Kernels compute indices without checks. Each index is at most one of the sums and products below, so where these
//! fit a `usize` and the slices have the checked lengths, no index wraps and none leaves its slice, on 32-bit machines
//! as on 64-bit ones. Every safe function of this folder begins here, and the kernels' safety comments end here.

use std::ops::Range;

use super::Rows;
use crate::error::{Error, Result};

/// An error of the engine itself, should a size not be what the plan says; kernels rely on it.
pub(super) fn ensure(holds: bool, what: &str) -> Result<()> {
    match holds {
        true => Ok(()),
        false => Err(Error::Engine { engine: "CPU", reason: format!("{what} does not have the planned size") }),
    }
}

/// The product of some sizes; `None` if it does not fit a `usize`.
pub(super) fn product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size))
}

/// Room for as many values as the product of `sizes`.
///
/// # Errors
/// [`Error::TooLarge`] naming `what` if the machine has no such room.
pub(in super::super) fn room<T>(sizes: &[usize], what: &str) -> Result<Vec<T>> {
    let mut memory = Vec::new();
    let len = product(sizes).filter(|&len| memory.try_reserve_exact(len).is_ok());
    match len {
        Some(_) => Ok(memory),
        None => Err(Error::TooLarge {
            what: what.into(),
            size: format!("{sizes:?} values"),
            limit: "the memory of this machine".into(),
        }),
    }
}

/// Makes memory that is shared at least as large as the product of `sizes`.
///
/// # Errors
/// As [`room`].
pub(in super::super) fn grow<T: Copy + Default>(memory: &mut Vec<T>, sizes: &[usize], what: &str) -> Result<()> {
    match product(sizes) {
        Some(len) if len <= memory.len() => Ok(()),
        Some(len) => {
            *memory = room(sizes, what)?;
            memory.resize(len, T::default());
            Ok(())
        }
        None => room::<T>(sizes, what).map(|_| ()),
    }
}

/// Checks that a slice of `len` values holds exactly the product of `sizes`.
///
/// # Errors
/// [`Error::Engine`] naming `what` if it does not, or the product does not fit a `usize`.
pub(in super::super) fn holds(len: usize, sizes: &[usize], what: &str) -> Result<()> {
    ensure(product(sizes) == Some(len), what)
}

impl Rows {
    /// Checks that `m` rows of `width` values each are inside a slice of `len` values.
    ///
    /// # Errors
    /// [`Error::Engine`] naming `what` if they are not.
    pub(super) fn are_inside(self, m: usize, width: usize, len: usize, what: &str) -> Result<()> {
        let last = m.saturating_sub(1).checked_mul(self.stride).and_then(|at| at.checked_add(self.start));
        let end = last.and_then(|at| at.checked_add(width));
        ensure(end.is_some_and(|end| end <= len), what)
    }
}

/// Windows along one axis of a map: output cell `o` reads the input cells `o stride + tap dilation - pad` that exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
}

impl Axis {
    /// Windows of `kernel` taps, from `input` cells to `output` cells; `pad` cells of padding come before the first.
    ///
    /// # Errors
    /// [`Error::Engine`] if a size is 0 or an index of this axis would not fit a `usize`.
    pub(in super::super) fn new(
        [input, output]: [usize; 2],
        kernel: usize,
        stride: usize,
        dilation: usize,
        pad: usize,
    ) -> Result<Self> {
        let positive = [input, output, kernel, stride, dilation].iter().all(|&n| n > 0);
        // The largest place that any tap of any window can have, counted from the first cell of padding.
        let reach = |cells: usize, step: usize| cells.checked_sub(1)?.checked_mul(step);
        let last = reach(output, stride).zip(reach(kernel, dilation)).and_then(|(a, b)| a.checked_add(b));
        match positive && last.is_some() && input.checked_add(pad).is_some() {
            true => Ok(Self { input, output, kernel, stride, dilation, pad }),
            false => {
                let reason = format!(
                    "windows of {kernel} taps {dilation} apart, every {stride} cells, over {input} cells behind {pad} \
                     cells of padding are beyond what this machine can index"
                );
                Err(Error::Engine { engine: "CPU", reason })
            }
        }
    }

    /// The axes of windows over maps: height and width, from cells of input and output.
    ///
    /// # Errors
    /// As [`Axis::new`].
    pub(in super::super) fn both(
        [input, output]: [[usize; 2]; 2],
        kernel: [usize; 2],
        strides: [usize; 2],
        dilations: [usize; 2],
        pads: [usize; 4],
    ) -> Result<[Self; 2]> {
        let axis = |i: usize| Self::new([input[i], output[i]], kernel[i], strides[i], dilations[i], pads[i]);
        Ok([axis(0)?, axis(1)?])
    }

    pub(in super::super) fn input(self) -> usize {
        self.input
    }

    pub(in super::super) fn output(self) -> usize {
        self.output
    }

    pub(in super::super) fn kernel(self) -> usize {
        self.kernel
    }

    pub(in super::super) fn stride(self) -> usize {
        self.stride
    }

    pub(in super::super) fn dilation(self) -> usize {
        self.dilation
    }

    pub(in super::super) fn pad(self) -> usize {
        self.pad
    }

    /// The taps of output cell `o` that are inside the input; `o` is below [`Axis::output`].
    #[inline(always)]
    pub(in super::super) fn inside(self, o: usize) -> Range<usize> {
        let start = o * self.stride;
        // The first tap at or behind a place, counted from the first cell of padding.
        let from = |place: usize| match place.checked_sub(start) {
            None => 0,
            // Of the many windows that are not dilated none has to divide.
            Some(far) if self.dilation == 1 => far,
            Some(far) => far.div_ceil(self.dilation),
        };
        let end = from(self.input + self.pad).min(self.kernel);
        from(self.pad).min(end)..end
    }

    /// The input cell of a tap that is [inside](Axis::inside) for output cell `o`.
    #[inline(always)]
    pub(in super::super) fn at(self, o: usize, tap: usize) -> usize {
        o * self.stride + tap * self.dilation - self.pad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The taps as their definition says, in integers that cannot wrap.
    fn expected(axis: Axis, o: usize) -> Vec<usize> {
        let at = |tap: usize| (o as i128) * axis.stride as i128 + (tap as i128) * axis.dilation as i128;
        let inside = |tap: &usize| (0..axis.input as i128).contains(&(at(*tap) - axis.pad as i128));
        (0..axis.kernel).filter(inside).collect()
    }

    #[test]
    fn taps_inside_are_those_of_the_definition() {
        let small = [1, 2, 3, 5];
        let half = usize::MAX / 2;
        let all = [1, 2, half, usize::MAX, 3, half - 1, half + 1, usize::MAX - 3];
        // Miri takes its time.
        let large = &all[..if cfg!(miri) { 4 } else { all.len() }];
        let (mut accepted, mut refused) = (0, 0);
        for kernel in small {
            for input in [1, 4, 7] {
                for (stride, &dilation) in large.iter().flat_map(|&s| large.iter().map(move |d| (s, d))) {
                    for &pad in large {
                        for output in [1, 2, 5] {
                            let Ok(axis) = Axis::new([input, output], kernel, stride, dilation, pad) else {
                                refused += 1;
                                continue;
                            };
                            accepted += 1;
                            for o in 0..output {
                                let taps = expected(axis, o);
                                assert_eq!(axis.inside(o).collect::<Vec<_>>(), taps, "{axis:?} at {o}");
                                assert!(taps.into_iter().all(|tap| axis.at(o, tap) < input), "{axis:?} at {o}");
                            }
                        }
                    }
                }
            }
        }
        assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused");
    }

    #[test]
    fn rows_that_would_wrap_are_outside() {
        let inside = |start, stride, m, width| Rows { start, stride }.are_inside(m, width, 100, "rows").is_ok();
        assert!(inside(0, 10, 10, 10) && inside(90, 7, 1, 10) && inside(5, 0, 9, 95));
        assert!(!inside(0, 10, 10, 11) && !inside(1, 10, 10, 10));
        assert!(!inside(0, usize::MAX / 2 + 1, 3, 1) && !inside(usize::MAX, 1, 2, 1) && !inside(1, 1, 1, usize::MAX));
    }
}
