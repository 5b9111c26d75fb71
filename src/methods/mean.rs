//! The plain mean of the activation maps: what an explanation must beat, since it knows nothing of the class.

use super::Maps;

/// `w_c = 1 / C`.
pub fn weights(maps: &Maps) -> Vec<f32> {
    vec![1.0 / maps.channels() as f32; maps.channels()]
}
