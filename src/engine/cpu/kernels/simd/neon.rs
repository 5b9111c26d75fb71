//! NEON, which every 64-bit Arm processor has.

use std::arch::aarch64::*;

use super::{Simd, Sink, Source};

/// An intrinsic that only computes.
macro_rules! compute {
    ($call:expr) => {{
        // SAFETY: this file is only compiled where every machine has the instructions.
        #[allow(unused_unsafe)]
        unsafe {
            $call
        }
    }};
}

/// NEON, with fused multiply-adds.
#[derive(Clone, Copy)]
pub(in super::super) struct Neon(());

impl Simd for Neon {
    type V = float32x4_t;
    type I = int32x4_t;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn new() -> Self {
        Self(())
    }
    #[inline(always)]
    unsafe fn load(self, p: Source<f32>) -> float32x4_t {
        // SAFETY: the caller's.
        unsafe { vld1q_f32(p.read(4)) }
    }
    #[inline(always)]
    unsafe fn store(self, p: Sink<f32>, v: float32x4_t) {
        // SAFETY: the caller's.
        unsafe { vst1q_f32(p.write(4), v) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> float32x4_t {
        compute!(vdupq_n_f32(x))
    }
    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        compute!(vfmaq_f32(c, a, b))
    }
    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        compute!(vaddq_f32(a, b))
    }
    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        compute!(vsubq_f32(a, b))
    }
    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        compute!(vmulq_f32(a, b))
    }
    #[inline(always)]
    fn max_abs(self, m: float32x4_t, v: float32x4_t) -> float32x4_t {
        compute!(vmaxnmq_f32(m, vabsq_f32(v)))
    }
    #[inline(always)]
    fn clamp(self, v: float32x4_t, lo: float32x4_t, hi: float32x4_t) -> float32x4_t {
        // The forms that give the number where the other is none.
        compute!(vminnmq_f32(vmaxnmq_f32(v, lo), hi))
    }
    #[inline(always)]
    unsafe fn load_pairs(self, p: Source<i16>) -> int32x4_t {
        // SAFETY: the caller's.
        unsafe { vreinterpretq_s32_s16(vld1q_s16(p.read(8))) }
    }
    #[inline(always)]
    unsafe fn splat_pair(self, p: Source<i16>) -> int32x4_t {
        // SAFETY: the caller's.
        unsafe { vdupq_n_s32(std::ptr::read_unaligned(p.read(2).cast())) }
    }
    #[inline(always)]
    fn dot(self, a: int32x4_t, b: int32x4_t, c: int32x4_t) -> int32x4_t {
        compute!({
            let (a, b) = (vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b));
            let low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
            vaddq_s32(c, vpaddq_s32(low, vmull_high_s16(a, b)))
        })
    }
    #[inline(always)]
    fn to_float(self, v: int32x4_t) -> float32x4_t {
        compute!(vcvtq_f32_s32(v))
    }
    #[inline(always)]
    unsafe fn quantize8(self, p: Source<f32>, scale: float32x4_t, to: Sink<i16>) {
        // SAFETY: the caller's, for two vectors of four.
        let (a, b) = unsafe { (self.load(p), self.load(p.add(4))) };
        let narrow = |v: float32x4_t| compute!(vqmovn_s32(vcvtnq_s32_f32(vmulq_f32(v, scale))));
        // SAFETY: the caller's, for eight integers.
        unsafe { vst1q_s16(to.write(8), vcombine_s16(narrow(a), narrow(b))) }
    }
}
