//! XGrad-CAM (Fu et al., arXiv 2008.02312, eq. 9).

use super::Maps;

/// `w_c = sum_xy A_c(x, y) / (sum A_c) dS / dA_c(x, y)`: gradients averaged with the activations as weights. 0 where
/// the activations sum to 0.
pub fn weights(maps: &Maps, gradient: &[f32]) -> Vec<f32> {
    let weight = |(plane, gradient): (&[f32], &[f32])| {
        let sum: f64 = plane.iter().map(|&a| f64::from(a)).sum();
        let product: f64 = plane.iter().zip(gradient).map(|(&a, &g)| f64::from(a) * f64::from(g)).sum();
        if sum == 0.0 { 0.0 } else { (product / sum) as f32 }
    };
    maps.planes().zip(gradient.chunks_exact(maps.cells())).map(weight).collect()
}
