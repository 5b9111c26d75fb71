//! Dispatches, and the one place that bounds what they ask of a device: every number that goes into a shader's
//! parameters, the steps that one invocation takes, and the size of the grid.
//!
//! Kernels rest on this: a size, place, stride or extent fits 31 bits; so does every coordinate that a window reaches,
//! inside the image or out, so that their sums in `i32` and `u32` do not wrap; an invocation ends within
//! [`MOST_STEPS`].

use std::cell::Cell;

use super::kernels::{Kernel, Knob, Specialisation, WORKGROUP};
use super::params::{Axes, Block, Four, Window};

/// Workgroups along one dimension: what WebGPU promises.
const MOST_GROUPS: usize = 65_535;
/// Rounds of all loops of one invocation together. Mesa's llvmpipe ends every loop, without a word, after 65,535 rounds
/// of an invocation, and a driver's watchdog may end a longer one on graphics hardware.
pub(super) const MOST_STEPS: usize = 60_000;
/// The largest number in a shader's parameters.
const LARGEST: usize = i32::MAX as usize;

/// Whole numbers on their way into a shader's parameters. One that does not fit is remembered, and [`Dispatch::new`]
/// refuses it.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    wrong: Cell<Option<usize>>,
}

impl Numbers {
    fn refuse(&self, value: usize) -> usize {
        self.wrong.set(Some(self.wrong.get().unwrap_or(value)));
        0
    }

    /// A size, a place or an extent.
    pub fn u(&self, value: usize) -> u32 {
        let fits = if value <= LARGEST { value } else { self.refuse(value) };
        fits as u32
    }

    /// A coordinate or a step along one.
    pub fn i(&self, value: usize) -> i32 {
        self.u(value) as i32
    }

    /// A place in groups of four values.
    pub fn fours(&self, place: usize) -> u32 {
        self.u(place / 4)
    }

    /// A stride; a negative one wraps round, here and in the shader.
    pub fn stride(&self, value: usize) -> u32 {
        let signed = value as isize;
        if signed.unsigned_abs() > LARGEST {
            self.refuse(signed.unsigned_abs());
        }
        signed as u32
    }

    pub fn four(&self, values: [usize; 4]) -> Four {
        values.map(|v| self.stride(v))
    }

    /// Eight words as the shader's walk takes them.
    pub fn axes(&self, values: [usize; 8]) -> Axes {
        let [a, b, c, d, e, f, g, h] = values;
        Axes { lo: self.four([a, b, c, d]), hi: self.four([e, f, g, h]) }
    }

    /// The product, if it fits.
    pub fn product(&self, factors: &[usize]) -> usize {
        let product = factors.iter().try_fold(1usize, |n, &f| n.checked_mul(f));
        product.filter(|&n| n <= LARGEST).unwrap_or_else(|| self.refuse(product.unwrap_or(usize::MAX)))
    }

    /// A window over an image. Along each axis everything that it reaches fits.
    pub fn window(&self, moves: &Moves) -> Window {
        for axis in 0..2 {
            let reach = |count: usize, by: usize| count.saturating_sub(1).saturating_mul(by);
            let output = reach(moves.output[axis], moves.strides[axis]);
            let kernel = reach(moves.kernel[axis], moves.dilations[axis]);
            // A half, so that the shader may go a little further.
            let ends = [output, kernel, moves.pads[axis], moves.input[axis], moves.dilations[axis]];
            let all = ends.into_iter().fold(0usize, usize::saturating_add);
            if all > LARGEST / 2 {
                self.refuse(all);
            }
        }
        let i = |v: [usize; 2]| v.map(|v| self.i(v));
        let ([in_h, in_w], [kernel_h, kernel_w]) = (i(moves.input), i(moves.kernel));
        let ([stride_h, stride_w], [dilation_h, dilation_w]) = (i(moves.strides), i(moves.dilations));
        let ([pad_top, pad_left], [out_h, out_w]) = (i(moves.pads), moves.output.map(|v| self.u(v)));
        Window {
            in_h,
            in_w,
            out_h,
            out_w,
            kernel_h,
            kernel_w,
            stride_h,
            stride_w,
            dilation_h,
            dilation_w,
            pad_top,
            pad_left,
        }
    }
}

/// How a window moves, by height and width: sizes of input and output, of the window, and its steps; the pads before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moves {
    pub input: [usize; 2],
    pub output: [usize; 2],
    pub kernel: [usize; 2],
    pub strides: [usize; 2],
    pub dilations: [usize; 2],
    pub pads: [usize; 2],
}

/// The workgroups of one dispatch over a grid that may need two dimensions; `row` is the length of the first, in
/// whatever the kernel counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    groups: usize,
    workgroups: [usize; 2],
    pub row: u32,
}

impl Grid {
    /// So many invocations, which `row` counts.
    pub fn over(invocations: usize) -> Self {
        let grid = Self::of_groups(invocations.div_ceil(WORKGROUP));
        Self { row: (grid.workgroups[0] * WORKGROUP) as u32, ..grid }
    }

    /// So many whole workgroups, which `row` counts.
    pub fn of_groups(groups: usize) -> Self {
        let rows = groups.max(1).div_ceil(MOST_GROUPS);
        let columns = groups.max(1).div_ceil(rows);
        Self { groups, workgroups: [columns, rows], row: columns as u32 }
    }
}

/// One dispatch, bounded.
#[derive(Debug)]
pub(super) struct Dispatch {
    pub spec: Specialisation,
    /// The uniform block.
    pub params: Vec<u32>,
    pub workgroups: [u32; 2],
}

impl Dispatch {
    /// `steps` are the rounds that all loops of one invocation take together, at most.
    ///
    /// # Errors
    /// Says which bound does not hold.
    pub fn new<P: Block>(
        spec: Specialisation,
        numbers: Numbers,
        params: P,
        grid: Grid,
        steps: usize,
    ) -> Result<Self, String> {
        const ADVICE: &str = "take a smaller input size or the CPU engine";
        if let Some(value) = numbers.wrong.get() {
            return Err(format!("it needs a size or an offset of {value}, more than GPU kernels count to; {ADVICE}"));
        }
        if steps > MOST_STEPS {
            let limit = format!("the GPU engine's limit is {MOST_STEPS}");
            return Err(format!("one of its values takes {steps} steps in a row, and {limit}; {ADVICE}"));
        }
        // All invocations are counted in 32 bits.
        if grid.groups > LARGEST / WORKGROUP || grid.workgroups[1] > MOST_GROUPS {
            return Err(format!("it needs {} workgroups, more than a GPU is sure to run; {ADVICE}", grid.groups));
        }
        let kernel = spec.kernel;
        if kernel.entry().params != P::WGSL {
            return Err(format!("{kernel:?} got the parameters {}", P::WGSL));
        }
        spec.check()?;
        let words = bytemuck::pod_collect_to_vec(&[params]);
        Ok(Self { spec, params: words, workgroups: grid.workgroups.map(|n| n as u32) })
    }
}

/// A specialisation, from its kernel and codes.
pub(super) fn specialise<const N: usize>(kernel: Kernel, codes: [(Knob, u32); N]) -> Specialisation {
    codes.into_iter().fold(Specialisation::new(kernel), |spec, (knob, code)| spec.with(knob, code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::gpu::params::CopyFours;

    fn copy(numbers: Numbers, grid: Grid, steps: usize) -> Result<Dispatch, String> {
        let none = Axes { lo: [0; 4], hi: [0; 4] };
        let params = CopyFours { dims: none, a_strides: none, y_strides: none, a: 0, y: 0, total: 0, row: grid.row };
        Dispatch::new(Specialisation::new(Kernel::Copy), numbers, params, grid, steps)
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(copy(Numbers::default(), Grid::over(100), 1).is_ok());
        let refused: [fn(&Numbers); 3] =
            [|n| _ = n.u(1 << 31), |n| _ = n.product(&[1 << 20, 1 << 20, 1 << 30]), |n| _ = n.stride(usize::MAX / 2)];
        for ask in refused {
            let numbers = Numbers::default();
            ask(&numbers);
            let error = copy(numbers, Grid::over(100), 1).unwrap_err();
            assert!(error.contains("more than GPU kernels count to"), "{error}");
        }
        let back = Numbers::default();
        assert_eq!(back.stride((-3isize) as usize), -3i32 as u32);
        assert!(copy(back, Grid::over(100), 1).is_ok());
        assert!(copy(Numbers::default(), Grid::over(100), MOST_STEPS + 1).unwrap_err().contains("steps in a row"));
    }

    #[test]
    fn a_grid_stays_within_what_every_gpu_runs() {
        for groups in [0, 1, 65_535, 65_536, 1 << 20, (1 << 25) - 1] {
            let grid = Grid::of_groups(groups);
            assert!(grid.workgroups.iter().all(|&n| (1..=65_535).contains(&n)), "{groups}: {grid:?}");
            assert!(grid.workgroups[0] * grid.workgroups[1] >= groups);
            assert!(copy(Numbers::default(), grid, 1).is_ok());
        }
        for groups in [1 << 25, 1 << 30, usize::MAX / 64] {
            assert!(copy(Numbers::default(), Grid::of_groups(groups), 1).unwrap_err().contains("workgroups"));
        }
    }

    #[test]
    fn a_window_reaches_no_coordinate_that_wraps() {
        let fair = Moves {
            input: [224; 2],
            output: [112; 2],
            kernel: [3; 2],
            strides: [2; 2],
            dilations: [1; 2],
            pads: [1; 2],
        };
        let numbers = Numbers::default();
        assert_eq!(numbers.window(&fair).stride_w, 2);
        assert!(numbers.wrong.get().is_none());
        let far = [
            Moves { pads: [0, 1 << 30], ..fair },
            Moves { dilations: [1 << 30, 1], ..fair },
            Moves { strides: [1, 1 << 29], ..fair },
            Moves { kernel: [1 << 16, 1], dilations: [1 << 16, 1], ..fair },
            Moves { dilations: [usize::MAX, 1], ..fair },
        ];
        for moves in far {
            let numbers = Numbers::default();
            numbers.window(&moves);
            assert!(numbers.wrong.get().is_some(), "{moves:?}");
        }
    }
}
