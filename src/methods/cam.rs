//! CAM (Zhou et al., arXiv 1512.04150, eq. 2): the weights of a linear score.
//!
//! Where a score is `s = sum_c w_c f_c + b` of globally average-pooled features `f`, the same weights give the map,
//! `M(x, y) = sum_c w_c A_c(x, y)`. For a logit of a classifier `w` is its row of the last layer. For the cosine
//! similarity to a prototype `g` it is `g / (|f| |g|)`: the length of `f` is the same for all classes and counts as a
//! constant. The mean of the map over the cells is then the score, less `b`.

use super::Maps;

/// The weights, from the gradient of an affine score: it is the same in every cell, `w_c / (H W)`.
pub fn weights(maps: &Maps, gradient: &[f32]) -> Vec<f32> {
    gradient.chunks_exact(maps.cells()).map(|plane| plane.iter().sum::<f32>()).collect()
}

/// Whether a gradient is the same in every cell of each channel: whether CAM's sum over pooled features is the score.
pub fn applies(maps: &Maps, gradient: &[f32]) -> bool {
    let scale = gradient.iter().fold(0f32, |m, v| m.max(v.abs()));
    gradient.chunks_exact(maps.cells()).all(|plane| plane.iter().all(|v| (v - plane[0]).abs() <= 1e-5 * scale))
}
