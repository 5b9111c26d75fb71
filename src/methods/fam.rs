//! FAM (arXiv 2307.05017, eq. 5) for any score that is linear in the pooled maps: a logit as well as a similarity.

use super::Maps;

/// `w_c = f_c d_c`: what channel `c` adds to the score `sum_c d_c f_c` of the pooled features `f`.
pub fn weights(maps: &Maps, direction: &[f32]) -> Vec<f32> {
    maps.means().iter().zip(direction).map(|(f, d)| f * d).collect()
}
