//! The kernels: dense products and depthwise convolutions over channels-last activations, for every instruction set.
//!
//! The `unsafe` of the CPU engine is in this folder. Each public function checks every size it is going to touch,
//! then calls a kernel that does not.

mod activate;
mod depthwise;
mod fixed;
mod gemm;
mod pool;
mod rows;
mod simd;

pub(super) use activate::activate;
pub(super) use depthwise::Depthwise;
pub(super) use fixed::{Fixed, Quantized};
pub(super) use gemm::{Dense, Rows};
pub(super) use pool::pool;
pub(super) use rows::{layer_norm, softmax};

use crate::error::{Error, Result};

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Isa {
    /// What the compiler makes of plain loops over four floats.
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    Portable,
    /// WebAssembly SIMD128.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128,
    /// AVX2 with FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// The one that every machine of this build has.
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    const EVERYWHERE: Self = Self::Portable;
    /// The one that every machine of this build has.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    const EVERYWHERE: Self = Self::Simd128;

    /// The widest that this machine has.
    pub(super) fn detect() -> Self {
        Self::available().first().copied().unwrap_or(Self::EVERYWHERE)
    }

    /// All that this machine has, widest first.
    pub(super) fn available() -> Vec<Self> {
        let mut all = vec![Self::EVERYWHERE];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Self::Avx2);
            }
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
                all.push(Self::Avx512);
            }
        }
        all.reverse();
        all
    }

    /// Its name, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
            Self::Portable => "portable",
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128 => "SIMD128",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX-512",
        }
    }

    /// Whether two 16-bit multiplications a lane are one instruction here, and so faster than one in f32 with its addition.
    pub(super) fn prefers_fixed(self) -> bool {
        match self {
            #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
            Self::Portable => false,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128 => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::Avx512 => true,
        }
    }

    /// Floats in one vector.
    pub(super) fn lanes(self) -> usize {
        match self {
            #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
            Self::Portable => 4,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128 => 4,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 8,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 16,
        }
    }
}

/// Evaluates `$body` with the constant `$R` equal to `$height`, which is 1 to `TILE`, at most 6.
macro_rules! with_height {
    ($height:expr, $R:ident => $body:expr) => {{
        macro_rules! arm {
            ($n:literal) => {{
                const $R: usize = $n;
                $body
            }};
        }
        match $height {
            // Not compiled where tiles are lower.
            6 if TILE >= 6 => arm!(6),
            5 if TILE >= 5 => arm!(5),
            4 => arm!(4),
            3 => arm!(3),
            2 => arm!(2),
            _ => arm!(1),
        }
    }};
}
use with_height;

/// `for $i in 0..$n` with the body written out, so that what it indexes stays in registers however the crate is optimised:
/// the page's build favours size, and its compiler then unrolls nothing. `$n` is a constant of at most 12.
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

/// Calls a kernel generic over [`simd::Simd`] inside a function that enables the instruction set.
///
/// The kernel must be `#[inline(always)]`, so that its body is compiled with those instructions.
macro_rules! dispatch {
    ($isa:expr, $kernel:ident, $args:ty) => {{
        use crate::engine::cpu::kernels::{Isa, simd};
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2(args: $args) {
            // SAFETY: passed on to the caller.
            unsafe { $kernel::<simd::Avx2>(args) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512vnni,avx2,fma")]
        unsafe fn avx512(args: $args) {
            // SAFETY: passed on to the caller.
            unsafe { $kernel::<simd::Avx512>(args) }
        }
        match $isa {
            #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
            Isa::Portable => $kernel::<simd::Portable>,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Isa::Simd128 => $kernel::<simd::Simd128>,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2 as unsafe fn($args),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512 as unsafe fn($args),
        }
    }};
}
use dispatch;

/// An error of the engine itself, should a size not be what the plan says; kernels rely on it.
fn ensure(holds: bool, what: &str) -> Result<()> {
    match holds {
        true => Ok(()),
        false => Err(Error::Engine { engine: "CPU", reason: format!("{what} does not have the planned size") }),
    }
}
