//! HiResCAM (Draelos and Carin, arXiv 2011.08891, eq. 5).

use super::Maps;

/// `M = sum_c dS / dA_c * A_c`, cell by cell. Where the score is linear after the layer, the map sums to it.
pub fn map(maps: &Maps, gradient: &[f32]) -> Vec<f32> {
    maps.combined(gradient, |g, a| g * a)
}
