//! Grad-CAM (Selvaraju et al., arXiv 1610.02391, eq. 1 and 2).

use super::Maps;

/// `w_c = 1/(H W) sum_xy dS / dA_c(x, y)`, from the gradient of the score, `C x H x W`.
///
/// For global average pooling and cosine similarity the gradient has a closed form, the same in every cell (see
/// [`super::Objective::gradient`]): `w_c H W = g_c / (|g| |f|) - cos(f, g) f_c / |f|^2`.
pub fn weights(maps: &Maps, gradient: &[f32]) -> Vec<f32> {
    let n = maps.cells() as f64;
    let mean = |plane: &[f32]| (plane.iter().map(|&g| f64::from(g)).sum::<f64>() / n) as f32;
    gradient.chunks_exact(maps.cells()).map(mean).collect()
}
