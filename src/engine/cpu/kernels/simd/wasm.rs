//! WebAssembly SIMD128, with and without relaxed SIMD. The intrinsics are safe but for those that touch memory: this
//! file is only compiled where they are there.

use std::arch::wasm32::*;

use super::{Simd, Sink, Source};

/// WebAssembly SIMD128, its multiply-adds fused where it is relaxed.
#[derive(Clone, Copy)]
pub(in super::super) struct Wasm<const FUSED: bool>(());

/// WebAssembly SIMD128.
pub(in super::super) type Simd128 = Wasm<false>;
/// The same with relaxed SIMD.
#[cfg(target_feature = "relaxed-simd")]
pub(in super::super) type Relaxed = Wasm<true>;

impl<const FUSED: bool> Simd for Wasm<FUSED> {
    type V = v128;
    type I = v128;
    const LANES: usize = 4;
    // V8 keeps one of sixteen registers to itself, and five rows already spill.
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn new() -> Self {
        Self(())
    }
    #[inline(always)]
    unsafe fn load(self, p: Source<f32>) -> v128 {
        // SAFETY: the caller's.
        unsafe { v128_load(p.read(4).cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, p: Sink<f32>, v: v128) {
        // SAFETY: the caller's.
        unsafe { v128_store(p.write(4).cast(), v) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> v128 {
        f32x4_splat(x)
    }
    #[inline(always)]
    fn mul_add(self, a: v128, b: v128, c: v128) -> v128 {
        #[cfg(target_feature = "relaxed-simd")]
        if FUSED {
            return f32x4_relaxed_madd(a, b, c);
        }
        f32x4_add(c, f32x4_mul(a, b))
    }
    #[inline(always)]
    fn add(self, a: v128, b: v128) -> v128 {
        f32x4_add(a, b)
    }
    #[inline(always)]
    fn sub(self, a: v128, b: v128) -> v128 {
        f32x4_sub(a, b)
    }
    #[inline(always)]
    fn mul(self, a: v128, b: v128) -> v128 {
        f32x4_mul(a, b)
    }
    #[inline(always)]
    fn max_abs(self, m: v128, v: v128) -> v128 {
        f32x4_pmax(m, f32x4_abs(v))
    }
    #[inline(always)]
    fn clamp(self, v: v128, lo: v128, hi: v128) -> v128 {
        // The pseudo forms are one instruction on x86; f32x4_min and f32x4_max are seven.
        f32x4_pmin(f32x4_pmax(lo, v), hi)
    }
    #[inline(always)]
    unsafe fn load_pairs(self, p: Source<i16>) -> v128 {
        // SAFETY: the caller's.
        unsafe { v128_load(p.read(8).cast()) }
    }
    #[inline(always)]
    unsafe fn splat_pair(self, p: Source<i16>) -> v128 {
        // SAFETY: the caller's.
        unsafe { v128_load32_splat(p.read(2).cast()) }
    }
    #[inline(always)]
    fn dot(self, a: v128, b: v128, c: v128) -> v128 {
        i32x4_add(c, i32x4_dot_i16x8(a, b))
    }
    #[inline(always)]
    fn to_float(self, v: v128) -> v128 {
        f32x4_convert_i32x4(v)
    }
    #[inline(always)]
    unsafe fn quantize8(self, p: Source<f32>, scale: v128, to: Sink<i16>) {
        // Adding 1.5 * 2^23 leaves the rounded integer in the low bits of the mantissa: two instructions, where
        // i32x4_trunc_sat_f32x4 is ten.
        let magic = f32x4_splat(12_582_912.0);
        let bits = i32x4_splat(0x4b40_0000);
        let round = |v: v128| i32x4_sub(f32x4_add(f32x4_mul(v, scale), magic), bits);
        // SAFETY: the caller's, for two vectors of four.
        let (a, b) = unsafe { (self.load(p), self.load(p.add(4))) };
        // SAFETY: the caller's, for eight integers.
        unsafe { v128_store(to.write(8).cast(), i16x8_narrow_i32x4(round(a), round(b))) }
    }
}
