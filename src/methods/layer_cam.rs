//! LayerCAM (Jiang et al., IEEE TIP 2021, doi 10.1109/TIP.2021.3089943, eq. 5 and 6).

use super::Maps;

/// `M = sum_c relu(dS / dA_c) A_c`, cell by cell: a weight for each cell, so early layers keep their detail.
pub fn map(maps: &Maps, gradient: &[f32]) -> Vec<f32> {
    maps.combined(gradient, |g, a| g.max(0.0) * a)
}
