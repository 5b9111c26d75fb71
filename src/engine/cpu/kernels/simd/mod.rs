//! The vector types of the kernels: one trait, one implementation for each instruction set.
//!
//! A kernel is written once over [`Simd`], inlined into a function that enables the instruction set (see
//! [`super::isa`]), and so compiled once for each. A value of a type here is a token: it exists only where the
//! instructions do, so that everything that only computes is safe to call.

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub(super) use neon::Neon;
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub(super) use portable::Portable;
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
pub(super) use wasm::Relaxed;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) use wasm::Simd128;
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

use super::pointer::{Sink, Source};

/// A vector of floats.
///
/// Memory is read and written without checks (see [`super::pointer`]); no alignment is needed.
pub(super) trait Simd: Copy {
    /// The register; zeros are a value of it.
    type V: Copy;
    /// The same register, as `LANES` 32-bit integers or twice as many 16-bit ones.
    type I: Copy;
    /// Floats in a register, at most 16.
    const LANES: usize;
    /// Rows of a tile of a float product, at most six. Six rows of two vectors are twelve accumulators of sixteen
    /// registers.
    const ROWS: usize = 6;

    /// The token.
    ///
    /// # Safety
    /// The machine must have the instruction set.
    unsafe fn new() -> Self;

    /// # Safety
    /// `LANES` floats must be left at `p`.
    unsafe fn load(self, p: Source<f32>) -> Self::V;
    /// # Safety
    /// `LANES` floats must be left at `p`.
    unsafe fn store(self, p: Sink<f32>, v: Self::V);
    fn splat(self, x: f32) -> Self::V;
    /// `a * b + c`, with one rounding where the hardware has that.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `max(m, |v|)`.
    fn max_abs(self, m: Self::V, v: Self::V) -> Self::V;
    /// `min(max(v, lo), hi)`; a NaN becomes `lo`, as with [`f32::max`].
    fn clamp(self, v: Self::V, lo: Self::V, hi: Self::V) -> Self::V;

    /// `2 LANES` integers of 16 bits.
    ///
    /// # Safety
    /// So many must be left at `p`.
    unsafe fn load_pairs(self, p: Source<i16>) -> Self::I;
    /// Two integers of 16 bits, over and over.
    ///
    /// # Safety
    /// Two must be left at `p`.
    unsafe fn splat_pair(self, p: Source<i16>) -> Self::I;
    /// In each lane the sum of two 16-bit products, added to `c`.
    fn dot(self, a: Self::I, b: Self::I, c: Self::I) -> Self::I;
    fn to_float(self, v: Self::I) -> Self::V;
    /// Eight products `p[i] * scale`, rounded to the nearest integer (in the range of 16 bits, by the choice of scale).
    ///
    /// # Safety
    /// Eight values must be left at `p` and at `to`.
    unsafe fn quantize8(self, p: Source<f32>, scale: Self::V, to: Sink<i16>);

    /// The first `n < LANES` floats, the other lanes zero.
    ///
    /// # Safety
    /// `n` floats must be left at `p`.
    #[inline(always)]
    unsafe fn load_first(self, p: Source<f32>, n: usize) -> Self::V {
        let mut lanes = [0.0f32; 16];
        // SAFETY: `n` floats are at `p`, and fewer than 16.
        unsafe { std::ptr::copy_nonoverlapping(p.read(n), lanes.as_mut_ptr(), n) };
        // SAFETY: no register has more than 16 lanes.
        unsafe { self.load(Source::new(&lanes)) }
    }

    /// Stores the first `n < LANES` floats.
    ///
    /// # Safety
    /// `n` floats must be left at `p`.
    #[inline(always)]
    unsafe fn store_first(self, p: Sink<f32>, v: Self::V, n: usize) {
        let mut lanes = [0.0f32; 16];
        // SAFETY: no register has more than 16 lanes.
        unsafe { self.store(Sink::new(&mut lanes), v) };
        // SAFETY: `n` floats are at `p`, and fewer than 16.
        unsafe { std::ptr::copy_nonoverlapping(lanes.as_ptr(), p.write(n), n) };
    }
}
