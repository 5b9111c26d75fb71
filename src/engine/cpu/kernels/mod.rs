//! The kernels: dense products and depthwise convolutions over channels-last activations, for every instruction set.
//!
//! The `unsafe` of the CPU engine is in this folder. Each public function checks every size it is going to touch
//! (`bounds`), then calls a kernel that does not; kernels read and write through `pointer`, whose accesses are checked
//! wherever debug assertions are on, and compute with `simd`.

mod activate;
mod bounds;
mod depthwise;
mod fixed;
mod gemm;
mod isa;
mod pointer;
mod pool;
mod rows;
mod simd;
#[cfg(test)]
mod tests;
mod winograd;

pub(super) use activate::activate;
pub(super) use bounds::{Axis, grow, holds, room};
pub(super) use depthwise::Depthwise;
pub(super) use fixed::{Fixed, Quantized};
pub(super) use gemm::{Dense, Rows};
pub(super) use isa::{Isa, try_relaxed_simd};
pub(super) use pool::pool;
pub(super) use rows::{layer_norm, softmax};
pub(super) use winograd::{Tiles, Winograd};

/// Evaluates `$body` with the constant `$R` equal to `$height`, which is 1 to `$most`, a constant of at most 6.
macro_rules! with_height {
    ($most:expr, $height:expr, $R:ident => $body:expr) => {{
        macro_rules! arm {
            ($n:literal) => {{
                const $R: usize = $n;
                $body
            }};
        }
        match $height {
            // Not compiled where tiles are lower.
            6 if $most >= 6 => arm!(6),
            5 if $most >= 5 => arm!(5),
            4 => arm!(4),
            3 => arm!(3),
            2 => arm!(2),
            _ => arm!(1),
        }
    }};
}
use with_height;

/// `for $i in 0..$n` with the body written out, so that what it indexes stays in registers however the crate is
/// optimised: the page's build favours size, and its compiler then unrolls nothing. `$n` is a constant of at most 12.
macro_rules! unroll {
    ($i:ident in $n:expr => $body:block) => {{
        const { assert!($n <= 12) };
        unroll!(@ $i, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11);
    }};
    (@ $i:ident, $n:expr, $body:block, $($at:literal)*) => {
        $(if $at < $n {
            #[allow(unused_variables)]
            let $i = $at;
            $body
        })*
    };
}
use unroll;

/// An array of registers or pointers that are set one by one afterwards. `[value; N]` would be a loop, behind which a
/// compiler that favours size leaves the array in memory: every sum would be stored with every product.
macro_rules! blank {
    ($T:ty) => {{
        // SAFETY: it is only used for arrays of vectors of numbers and of the pointers of `pointer`, of which zeros are
        // a value.
        unsafe { std::mem::zeroed::<$T>() }
    }};
}
use blank;
