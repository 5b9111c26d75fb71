//! The instruction sets that the kernels are compiled for, and how a kernel is called in one of them.

#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the module that runs is the one with relaxed SIMD.
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
static RELAXED: AtomicBool = AtomicBool::new(false);

/// Tries an instruction of relaxed SIMD. Where `wasm-opt --remove-relaxed-simd` has put a trap in its place, this call
/// does not come back; where it does, the engines that are made from now on use relaxed SIMD.
///
/// A module cannot ask: one with an instruction that the browser does not know is not even loaded.
pub(in super::super) fn try_relaxed_simd() {
    #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
    {
        use std::arch::wasm32::{f32x4_extract_lane, f32x4_relaxed_madd, f32x4_splat};
        let two = std::hint::black_box(f32x4_splat(2.0));
        let seven = f32x4_extract_lane::<0>(f32x4_relaxed_madd(two, two, f32x4_splat(3.0)));
        RELAXED.store(seven == 7.0, Ordering::Relaxed);
    }
}

/// An instruction set of this machine. Only [`Isa::available`] makes one, after it has asked the processor: to have a
/// value is to have its instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct Isa(Set);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Set {
    /// What the compiler makes of plain loops over four floats.
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    Portable,
    /// WebAssembly SIMD128.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128,
    /// WebAssembly's relaxed SIMD: multiplication and addition in one instruction.
    #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
    Relaxed,
    /// NEON.
    #[cfg(target_arch = "aarch64")]
    Neon,
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
    const EVERYWHERE: Self = Self(Set::Portable);
    /// The one that every machine of this build has.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    const EVERYWHERE: Self = Self(Set::Simd128);

    /// The widest that this machine has.
    pub(in super::super) fn detect() -> Self {
        Self::available().first().copied().unwrap_or(Self::EVERYWHERE)
    }

    /// All that this machine has, widest first.
    pub(in super::super) fn available() -> Vec<Self> {
        let mut all = vec![Self::EVERYWHERE];
        #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
        if RELAXED.load(Ordering::Relaxed) {
            all.push(Self(Set::Relaxed));
        }
        #[cfg(target_arch = "aarch64")]
        all.push(Self(Set::Neon));
        #[cfg(target_arch = "x86_64")]
        {
            // The AVX-512 kernels are compiled with all four.
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 {
                all.push(Self(Set::Avx2));
            }
            if avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
                all.push(Self(Set::Avx512));
            }
        }
        all.reverse();
        all
    }

    /// Which set it is.
    pub(super) fn set(self) -> Set {
        self.0
    }

    /// Its name, for people.
    pub(in super::super) fn name(self) -> &'static str {
        match self.0 {
            #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
            Set::Portable => "portable",
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Set::Simd128 => "SIMD128",
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Set::Relaxed => "relaxed SIMD",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "NEON",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "AVX-512",
        }
    }

    /// Whether two 16-bit multiplications a lane are one instruction here, and so faster than one in f32 with its
    /// addition.
    pub(in super::super) fn prefers_fixed(self) -> bool {
        match self.0 {
            #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
            Set::Portable => false,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Set::Simd128 => true,
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Set::Relaxed => true,
            // Four instructions for what two fused multiply-adds do.
            #[cfg(target_arch = "aarch64")]
            Set::Neon => false,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 | Set::Avx512 => true,
        }
    }

    /// Floats in one vector.
    pub(in super::super) fn lanes(self) -> usize {
        match self.0 {
            #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
            Set::Portable => 4,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Set::Simd128 => 4,
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Set::Relaxed => 4,
            #[cfg(target_arch = "aarch64")]
            Set::Neon => 4,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => 8,
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => 16,
        }
    }
}

/// A kernel `fn(simd, args)`, generic over [`super::simd::Simd`], as a function that enables the instruction set and
/// makes its token.
///
/// The kernel must be `#[inline(always)]`, so that its body is compiled with those instructions. To call what this
/// gives is unsafe: the kernel's own contract holds, and the [`Isa`] that it was asked for must be the one given here.
macro_rules! dispatch {
    ($isa:expr, $kernel:ident, $args:ty) => {{
        use crate::engine::cpu::kernels::isa::Set;
        use crate::engine::cpu::kernels::simd::{self, Simd as _};
        #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
        unsafe fn everywhere(args: $args) {
            // SAFETY: these instructions are everywhere; the kernel's contract is the caller's.
            unsafe { $kernel(simd::Portable::new(), args) }
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        unsafe fn everywhere(args: $args) {
            // SAFETY: this build has these instructions everywhere; the kernel's contract is the caller's.
            unsafe { $kernel(simd::Simd128::new(), args) }
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
        unsafe fn relaxed(args: $args) {
            // SAFETY: this build has these instructions everywhere, and where `--remove-relaxed-simd` has taken them
            // out they stop the program; the kernel's contract is the caller's.
            unsafe { $kernel(simd::Relaxed::new(), args) }
        }
        #[cfg(target_arch = "aarch64")]
        unsafe fn neon(args: $args) {
            // SAFETY: these instructions are everywhere; the kernel's contract is the caller's.
            unsafe { $kernel(simd::Neon::new(), args) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2(args: $args) {
            // SAFETY: this function is only called for an `Isa` that was detected; the kernel's contract is the
            // caller's.
            unsafe { $kernel(simd::Avx2::new(), args) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512vnni,avx2,fma")]
        unsafe fn avx512(args: $args) {
            // SAFETY: as for AVX2.
            unsafe { $kernel(simd::Avx512::new(), args) }
        }
        match $isa.set() {
            #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
            Set::Portable => everywhere as unsafe fn($args),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Set::Simd128 => everywhere as unsafe fn($args),
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Set::Relaxed => relaxed as unsafe fn($args),
            #[cfg(target_arch = "aarch64")]
            Set::Neon => neon as unsafe fn($args),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => avx2 as unsafe fn($args),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => avx512 as unsafe fn($args),
        }
    }};
}
pub(super) use dispatch;
