//! Plain arrays, which the compiler turns into whatever the target has (SSE2, NEON).

use super::{Simd, Sink, Source};

/// Four floats.
#[derive(Clone, Copy)]
pub(in super::super) struct Portable(());

impl Simd for Portable {
    type V = [f32; 4];
    type I = [i32; 4];
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn new() -> Self {
        Self(())
    }
    #[inline(always)]
    unsafe fn load(self, p: Source<f32>) -> [f32; 4] {
        // SAFETY: the caller's.
        unsafe { std::ptr::read_unaligned(p.read(4).cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, p: Sink<f32>, v: [f32; 4]) {
        // SAFETY: the caller's.
        unsafe { std::ptr::write_unaligned(p.write(4).cast(), v) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> [f32; 4] {
        [x; 4]
    }
    #[inline(always)]
    fn mul_add(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        [a[0] * b[0] + c[0], a[1] * b[1] + c[1], a[2] * b[2] + c[2], a[3] * b[3] + c[3]]
    }
    #[inline(always)]
    fn add(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
    }
    #[inline(always)]
    fn sub(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]]
    }
    #[inline(always)]
    fn mul(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]]
    }
    #[inline(always)]
    fn max_abs(self, m: [f32; 4], v: [f32; 4]) -> [f32; 4] {
        [m[0].max(v[0].abs()), m[1].max(v[1].abs()), m[2].max(v[2].abs()), m[3].max(v[3].abs())]
    }
    #[inline(always)]
    fn clamp(self, v: [f32; 4], lo: [f32; 4], hi: [f32; 4]) -> [f32; 4] {
        let one = |i: usize| v[i].max(lo[i]).min(hi[i]);
        [one(0), one(1), one(2), one(3)]
    }
    #[inline(always)]
    unsafe fn load_pairs(self, p: Source<i16>) -> [i32; 4] {
        // SAFETY: the caller's.
        unsafe { std::ptr::read_unaligned(p.read(8).cast()) }
    }
    #[inline(always)]
    unsafe fn splat_pair(self, p: Source<i16>) -> [i32; 4] {
        // SAFETY: the caller's.
        [unsafe { std::ptr::read_unaligned(p.read(2).cast()) }; 4]
    }
    #[inline(always)]
    fn dot(self, a: [i32; 4], b: [i32; 4], c: [i32; 4]) -> [i32; 4] {
        // The low halves by their sign, the high halves by shifting. Sums wrap as the instructions' do.
        let product =
            |i: usize| (i32::from(a[i] as i16) * i32::from(b[i] as i16)).wrapping_add((a[i] >> 16) * (b[i] >> 16));
        let one = |i: usize| c[i].wrapping_add(product(i));
        [one(0), one(1), one(2), one(3)]
    }
    #[inline(always)]
    fn to_float(self, v: [i32; 4]) -> [f32; 4] {
        v.map(|x| x as f32)
    }
    #[inline(always)]
    unsafe fn quantize8(self, p: Source<f32>, scale: [f32; 4], to: Sink<i16>) {
        for i in 0..8 {
            // SAFETY: the caller's, for the first eight.
            unsafe { to.set(i, (p.get(i) * scale[0]).round_ties_even() as i16) };
        }
    }
}
