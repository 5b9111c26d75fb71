//! Ablation-CAM (Desai and Ramaswamy, WACV 2020, eq. 3 and 4).

use super::{Maps, MethodMap, Scorer};
use crate::error::Result;
use crate::tensor::Tensor;

/// `M_k = relu(sum_c w_kc A_c)`, with `w_kc = (S_k - S_k without channel c) / |S_k|`: the share of the score that is
/// lost when a channel is set to 0. Only what comes after the layer runs, once a channel; a channel that is 0 anyway is
/// not tried.
///
/// The paper divides by `S_k`, which turns the map over for a negative score; the absolute value does not, and is the
/// same otherwise.
///
/// # Errors
/// Those of the scorer.
pub async fn maps(scorer: &mut dyn Scorer, layer: &Tensor) -> Result<Vec<MethodMap>> {
    let maps = Maps::new(layer)?;
    let cells = maps.cells();
    let whole = scorer.score_maps(layer).await?;
    let mut weights = vec![vec![0f32; maps.channels()]; whole.len()];
    let mut without = layer.clone();
    for (channel, plane) in maps.planes().enumerate() {
        if plane.iter().any(|&v| v != 0.0) {
            without.data_mut()[channel * cells..][..cells].fill(0.0);
            let scores = scorer.score_maps(&without).await?;
            without.data_mut()[channel * cells..][..cells].copy_from_slice(plane);
            for ((row, s), w) in weights.iter_mut().zip(&scores).zip(&whole) {
                row[channel] = if *w == 0.0 { 0.0 } else { ((w - s) / w.abs()) as f32 };
            }
        }
        scorer.report(channel + 1, maps.channels()).await?;
    }
    Ok(weights.into_iter().map(|w| maps.map(maps.weighed(&w), w).rectified()).collect())
}
