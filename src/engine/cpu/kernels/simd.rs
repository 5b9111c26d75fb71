//! The vector types of the kernels: one trait, one implementation for each instruction set.
//!
//! A kernel is written once over [`Simd`], inlined into a function that enables the instruction set (see [`super::Isa`]),
//! and so compiled once for each.
#![allow(unsafe_op_in_unsafe_fn)] // Every function is one intrinsic; its contract is the trait's.

/// A vector of floats.
///
/// # Safety
/// Every function may only be called where the instruction set is available, and pointers must be valid for
/// `LANES` floats (`n` floats in the `_first` functions). No alignment is needed.
pub(super) trait Simd {
    /// The register.
    type V: Copy;
    /// The same register, as `LANES` 32-bit integers or twice as many 16-bit ones.
    type I: Copy;
    /// Floats in a register.
    const LANES: usize;

    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    unsafe fn splat(x: f32) -> Self::V;
    /// `a * b + c`, with one rounding where the hardware has that.
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `max(m, |v|)`.
    unsafe fn max_abs(m: Self::V, v: Self::V) -> Self::V;
    /// `min(max(v, lo), hi)`; a NaN becomes `lo`, as with [`f32::max`].
    unsafe fn clamp(v: Self::V, lo: Self::V, hi: Self::V) -> Self::V;

    unsafe fn zero() -> Self::I;
    /// `2 LANES` integers of 16 bits.
    unsafe fn load_pairs(p: *const i16) -> Self::I;
    /// Two integers of 16 bits, over and over.
    unsafe fn splat_pair(p: *const i16) -> Self::I;
    /// In each lane the sum of two 16-bit products, added to `c`.
    unsafe fn dot(a: Self::I, b: Self::I, c: Self::I) -> Self::I;
    unsafe fn to_float(v: Self::I) -> Self::V;
    /// Eight products `p[i] * scale`, rounded to the nearest integer (in the range of 16 bits, by the choice of scale).
    unsafe fn quantize8(p: *const f32, scale: Self::V, to: *mut i16);

    /// The first `n < LANES` floats, the other lanes zero.
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self::V {
        let mut lanes = [0.0f32; 16];
        std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
        Self::load(lanes.as_ptr())
    }

    /// Stores the first `n < LANES` floats.
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: Self::V, n: usize) {
        let mut lanes = [0.0f32; 16];
        Self::store(lanes.as_mut_ptr(), v);
        std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n);
    }
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
/// Plain arrays, which the compiler turns into whatever the target has (SSE2, NEON).
pub(super) struct Portable;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
impl Simd for Portable {
    type V = [f32; 4];
    type I = [i32; 4];
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn load(p: *const f32) -> [f32; 4] {
        std::ptr::read_unaligned(p.cast())
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: [f32; 4]) {
        std::ptr::write_unaligned(p.cast(), v);
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 4] {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn mul_add(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        [a[0] * b[0] + c[0], a[1] * b[1] + c[1], a[2] * b[2] + c[2], a[3] * b[3] + c[3]]
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
    }
    #[inline(always)]
    unsafe fn mul(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]]
    }
    #[inline(always)]
    unsafe fn max_abs(m: [f32; 4], v: [f32; 4]) -> [f32; 4] {
        [m[0].max(v[0].abs()), m[1].max(v[1].abs()), m[2].max(v[2].abs()), m[3].max(v[3].abs())]
    }
    #[inline(always)]
    unsafe fn zero() -> [i32; 4] {
        [0; 4]
    }
    #[inline(always)]
    unsafe fn load_pairs(p: *const i16) -> [i32; 4] {
        std::ptr::read_unaligned(p.cast())
    }
    #[inline(always)]
    unsafe fn splat_pair(p: *const i16) -> [i32; 4] {
        [std::ptr::read_unaligned(p.cast()); 4]
    }
    #[inline(always)]
    unsafe fn dot(a: [i32; 4], b: [i32; 4], c: [i32; 4]) -> [i32; 4] {
        // The low halves by their sign, the high halves by shifting.
        let one = |i: usize| c[i] + i32::from(a[i] as i16) * i32::from(b[i] as i16) + (a[i] >> 16) * (b[i] >> 16);
        [one(0), one(1), one(2), one(3)]
    }
    #[inline(always)]
    unsafe fn to_float(v: [i32; 4]) -> [f32; 4] {
        v.map(|x| x as f32)
    }
    #[inline(always)]
    unsafe fn quantize8(p: *const f32, scale: [f32; 4], to: *mut i16) {
        for i in 0..8 {
            *to.add(i) = (*p.add(i) * scale[0]).round_ties_even() as i16;
        }
    }
    #[inline(always)]
    unsafe fn clamp(v: [f32; 4], lo: [f32; 4], hi: [f32; 4]) -> [f32; 4] {
        let one = |i: usize| v[i].max(lo[i]).min(hi[i]);
        [one(0), one(1), one(2), one(3)]
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) use wasm::Simd128;

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm {
    use std::arch::wasm32::*;

    use super::Simd;

    /// WebAssembly SIMD128.
    pub(in super::super) struct Simd128;

    impl Simd for Simd128 {
        type V = v128;
        type I = v128;
        const LANES: usize = 4;

        #[inline(always)]
        unsafe fn load(p: *const f32) -> v128 {
            v128_load(p.cast())
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: v128) {
            v128_store(p.cast(), v);
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> v128 {
            f32x4_splat(x)
        }
        #[inline(always)]
        unsafe fn mul_add(a: v128, b: v128, c: v128) -> v128 {
            f32x4_add(c, f32x4_mul(a, b))
        }
        #[inline(always)]
        unsafe fn add(a: v128, b: v128) -> v128 {
            f32x4_add(a, b)
        }
        #[inline(always)]
        unsafe fn mul(a: v128, b: v128) -> v128 {
            f32x4_mul(a, b)
        }
        #[inline(always)]
        unsafe fn max_abs(m: v128, v: v128) -> v128 {
            f32x4_pmax(m, f32x4_abs(v))
        }
        #[inline(always)]
        unsafe fn zero() -> v128 {
            i32x4_splat(0)
        }
        #[inline(always)]
        unsafe fn load_pairs(p: *const i16) -> v128 {
            v128_load(p.cast())
        }
        #[inline(always)]
        unsafe fn splat_pair(p: *const i16) -> v128 {
            v128_load32_splat(p.cast())
        }
        #[inline(always)]
        unsafe fn dot(a: v128, b: v128, c: v128) -> v128 {
            i32x4_add(c, i32x4_dot_i16x8(a, b))
        }
        #[inline(always)]
        unsafe fn to_float(v: v128) -> v128 {
            f32x4_convert_i32x4(v)
        }
        #[inline(always)]
        unsafe fn quantize8(p: *const f32, scale: v128, to: *mut i16) {
            // Adding 1.5 * 2^23 leaves the rounded integer in the low bits of the mantissa: two instructions, where
            // i32x4_trunc_sat_f32x4 is ten.
            let magic = f32x4_splat(12_582_912.0);
            let bits = i32x4_splat(0x4b40_0000);
            let a = i32x4_sub(f32x4_add(f32x4_mul(v128_load(p.cast()), scale), magic), bits);
            let b = i32x4_sub(f32x4_add(f32x4_mul(v128_load(p.add(4).cast()), scale), magic), bits);
            v128_store(to.cast(), i16x8_narrow_i32x4(a, b));
        }
        #[inline(always)]
        unsafe fn clamp(v: v128, lo: v128, hi: v128) -> v128 {
            // The pseudo forms are one instruction on x86; f32x4_min and f32x4_max are seven.
            f32x4_pmin(f32x4_pmax(lo, v), hi)
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Simd;

    /// AVX2 with FMA.
    pub(in super::super) struct Avx2;

    impl Simd for Avx2 {
        type V = __m256;
        type I = __m256i;
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn load(p: *const f32) -> __m256 {
            _mm256_loadu_ps(p)
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: __m256) {
            _mm256_storeu_ps(p, v);
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> __m256 {
            _mm256_set1_ps(x)
        }
        #[inline(always)]
        unsafe fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 {
            _mm256_fmadd_ps(a, b, c)
        }
        #[inline(always)]
        unsafe fn add(a: __m256, b: __m256) -> __m256 {
            _mm256_add_ps(a, b)
        }
        #[inline(always)]
        unsafe fn mul(a: __m256, b: __m256) -> __m256 {
            _mm256_mul_ps(a, b)
        }
        #[inline(always)]
        unsafe fn max_abs(m: __m256, v: __m256) -> __m256 {
            _mm256_max_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0), v), m)
        }
        #[inline(always)]
        unsafe fn zero() -> __m256i {
            _mm256_setzero_si256()
        }
        #[inline(always)]
        unsafe fn load_pairs(p: *const i16) -> __m256i {
            _mm256_loadu_si256(p.cast())
        }
        #[inline(always)]
        unsafe fn splat_pair(p: *const i16) -> __m256i {
            _mm256_set1_epi32(std::ptr::read_unaligned(p.cast()))
        }
        #[inline(always)]
        unsafe fn dot(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
            _mm256_add_epi32(c, _mm256_madd_epi16(a, b))
        }
        #[inline(always)]
        unsafe fn to_float(v: __m256i) -> __m256 {
            _mm256_cvtepi32_ps(v)
        }
        #[inline(always)]
        unsafe fn quantize8(p: *const f32, scale: __m256, to: *mut i16) {
            let v = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(p), scale));
            let packed = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
            _mm_storeu_si128(to.cast(), packed);
        }
        #[inline(always)]
        unsafe fn clamp(v: __m256, lo: __m256, hi: __m256) -> __m256 {
            _mm256_min_ps(_mm256_max_ps(v, lo), hi)
        }
    }

    /// AVX-512 (foundation and VNNI).
    pub(in super::super) struct Avx512;

    impl Simd for Avx512 {
        type V = __m512;
        type I = __m512i;
        const LANES: usize = 16;

        #[inline(always)]
        unsafe fn load(p: *const f32) -> __m512 {
            _mm512_loadu_ps(p)
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: __m512) {
            _mm512_storeu_ps(p, v);
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> __m512 {
            _mm512_set1_ps(x)
        }
        #[inline(always)]
        unsafe fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
            _mm512_fmadd_ps(a, b, c)
        }
        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            _mm512_add_ps(a, b)
        }
        #[inline(always)]
        unsafe fn mul(a: __m512, b: __m512) -> __m512 {
            _mm512_mul_ps(a, b)
        }
        #[inline(always)]
        unsafe fn max_abs(m: __m512, v: __m512) -> __m512 {
            _mm512_max_ps(_mm512_abs_ps(v), m)
        }
        #[inline(always)]
        unsafe fn zero() -> __m512i {
            _mm512_setzero_si512()
        }
        #[inline(always)]
        unsafe fn load_pairs(p: *const i16) -> __m512i {
            _mm512_loadu_si512(p.cast())
        }
        #[inline(always)]
        unsafe fn splat_pair(p: *const i16) -> __m512i {
            _mm512_set1_epi32(std::ptr::read_unaligned(p.cast()))
        }
        #[inline(always)]
        unsafe fn dot(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
            _mm512_dpwssd_epi32(c, a, b)
        }
        #[inline(always)]
        unsafe fn to_float(v: __m512i) -> __m512 {
            _mm512_cvtepi32_ps(v)
        }
        #[inline(always)]
        unsafe fn quantize8(p: *const f32, scale: __m512, to: *mut i16) {
            let v = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(p), _mm512_castps512_ps256(scale)));
            let packed = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
            _mm_storeu_si128(to.cast(), packed);
        }
        #[inline(always)]
        unsafe fn clamp(v: __m512, lo: __m512, hi: __m512) -> __m512 {
            _mm512_min_ps(_mm512_max_ps(v, lo), hi)
        }
        #[inline(always)]
        unsafe fn load_first(p: *const f32, n: usize) -> __m512 {
            _mm512_maskz_loadu_ps(((1u32 << n) - 1) as u16, p)
        }
        #[inline(always)]
        unsafe fn store_first(p: *mut f32, v: __m512, n: usize) {
            _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as u16, v);
        }
    }
}
