//! Grad-CAM++ (Chattopadhyay et al., arXiv 1710.11063, eq. 5 and 19).

use super::Maps;

/// `w_c = sum_xy alpha relu(G)`, with `alpha = G^2 / (2 G^2 + G^3 sum_ab A(a, b))` where `G = dS / dA` is not 0.
///
/// That is the paper's form for the score `exp(S)`. pytorch-grad-cam adds 1e-6 to the denominator; where gradients are
/// small (those of a cosine are), that addend decides the weights, so it is left out here, and `alpha` is 0 where
/// the denominator is.
pub fn weights(maps: &Maps, gradient: &[f32]) -> Vec<f32> {
    let weight = |(plane, gradient): (&[f32], &[f32])| {
        let sum: f64 = plane.iter().map(|&a| f64::from(a)).sum();
        let term = |&g: &f32| {
            let g = f64::from(g);
            // G^2 / (2 G^2 + sum G^3) = 1 / (2 + sum G).
            let denominator = 2.0 + sum * g;
            if g > 0.0 && denominator != 0.0 { g / denominator } else { 0.0 }
        };
        gradient.iter().map(term).sum::<f64>() as f32
    };
    maps.planes().zip(gradient.chunks_exact(maps.cells())).map(weight).collect()
}
