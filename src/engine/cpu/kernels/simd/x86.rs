//! AVX2 and AVX-512.

use std::arch::x86_64::*;

use super::{Simd, Sink, Source};

/// An intrinsic that only computes. Intrinsics are safe in a function that enables their instructions; these functions
/// are inlined into one.
macro_rules! compute {
    ($call:expr) => {{
        // SAFETY: `self` exists only where the machine has the instructions (see `Simd::new`).
        unsafe { $call }
    }};
}

/// AVX2 with FMA.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx2(());

impl Simd for Avx2 {
    type V = __m256;
    type I = __m256i;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn new() -> Self {
        Self(())
    }
    #[inline(always)]
    unsafe fn load(self, p: Source<f32>) -> __m256 {
        // SAFETY: the caller's.
        unsafe { _mm256_loadu_ps(p.read(8)) }
    }
    #[inline(always)]
    unsafe fn store(self, p: Sink<f32>, v: __m256) {
        // SAFETY: the caller's.
        unsafe { _mm256_storeu_ps(p.write(8), v) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        compute!(_mm256_set1_ps(x))
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        compute!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        compute!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        compute!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        compute!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn max_abs(self, m: __m256, v: __m256) -> __m256 {
        compute!(_mm256_max_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0), v), m))
    }
    #[inline(always)]
    fn clamp(self, v: __m256, lo: __m256, hi: __m256) -> __m256 {
        compute!(_mm256_min_ps(_mm256_max_ps(v, lo), hi))
    }
    #[inline(always)]
    unsafe fn load_pairs(self, p: Source<i16>) -> __m256i {
        // SAFETY: the caller's.
        unsafe { _mm256_loadu_si256(p.read(16).cast()) }
    }
    #[inline(always)]
    unsafe fn splat_pair(self, p: Source<i16>) -> __m256i {
        // SAFETY: the caller's.
        unsafe { _mm256_set1_epi32(std::ptr::read_unaligned(p.read(2).cast())) }
    }
    #[inline(always)]
    fn dot(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        compute!(_mm256_add_epi32(c, _mm256_madd_epi16(a, b)))
    }
    #[inline(always)]
    fn to_float(self, v: __m256i) -> __m256 {
        compute!(_mm256_cvtepi32_ps(v))
    }
    #[inline(always)]
    unsafe fn quantize8(self, p: Source<f32>, scale: __m256, to: Sink<i16>) {
        // SAFETY: the caller's, for eight floats.
        let v = unsafe { _mm256_loadu_ps(p.read(8)) };
        let v = compute!(_mm256_cvtps_epi32(_mm256_mul_ps(v, scale)));
        let packed = compute!(_mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v)));
        // SAFETY: the caller's, for eight integers.
        unsafe { _mm_storeu_si128(to.write(8).cast(), packed) }
    }
}

/// AVX-512 (foundation and VNNI).
#[derive(Clone, Copy)]
pub(in super::super) struct Avx512(());

impl Simd for Avx512 {
    type V = __m512;
    type I = __m512i;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn new() -> Self {
        Self(())
    }
    #[inline(always)]
    unsafe fn load(self, p: Source<f32>) -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_ps(p.read(16)) }
    }
    #[inline(always)]
    unsafe fn store(self, p: Sink<f32>, v: __m512) {
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_ps(p.write(16), v) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        compute!(_mm512_set1_ps(x))
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        compute!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        compute!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        compute!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        compute!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn max_abs(self, m: __m512, v: __m512) -> __m512 {
        compute!(_mm512_max_ps(_mm512_abs_ps(v), m))
    }
    #[inline(always)]
    fn clamp(self, v: __m512, lo: __m512, hi: __m512) -> __m512 {
        compute!(_mm512_min_ps(_mm512_max_ps(v, lo), hi))
    }
    #[inline(always)]
    unsafe fn load_pairs(self, p: Source<i16>) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_si512(p.read(32).cast()) }
    }
    #[inline(always)]
    unsafe fn splat_pair(self, p: Source<i16>) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_set1_epi32(std::ptr::read_unaligned(p.read(2).cast())) }
    }
    #[inline(always)]
    fn dot(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        compute!(_mm512_dpwssd_epi32(c, a, b))
    }
    #[inline(always)]
    fn to_float(self, v: __m512i) -> __m512 {
        compute!(_mm512_cvtepi32_ps(v))
    }
    #[inline(always)]
    unsafe fn quantize8(self, p: Source<f32>, scale: __m512, to: Sink<i16>) {
        let scale = compute!(_mm512_castps512_ps256(scale));
        // SAFETY: the caller's, for eight floats.
        let v = unsafe { _mm256_loadu_ps(p.read(8)) };
        let v = compute!(_mm256_cvtps_epi32(_mm256_mul_ps(v, scale)));
        let packed = compute!(_mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v)));
        // SAFETY: the caller's, for eight integers.
        unsafe { _mm_storeu_si128(to.write(8).cast(), packed) }
    }
    #[inline(always)]
    unsafe fn load_first(self, p: Source<f32>, n: usize) -> __m512 {
        // SAFETY: the caller's; lanes that the mask leaves out are not read.
        unsafe { _mm512_maskz_loadu_ps(((1u32 << n) - 1) as u16, p.read(n)) }
    }
    #[inline(always)]
    unsafe fn store_first(self, p: Sink<f32>, v: __m512, n: usize) {
        // SAFETY: the caller's; lanes that the mask leaves out are not written.
        unsafe { _mm512_mask_storeu_ps(p.write(n), ((1u32 << n) - 1) as u16, v) }
    }
}
