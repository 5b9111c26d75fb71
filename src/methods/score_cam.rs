//! Score-CAM (Wang et al., arXiv 1910.01279, algorithm 1).

use super::{Maps, MethodMap, Scorer, masks};
use crate::error::Result;
use crate::tensor::Tensor;

/// `M_k = relu(sum_c w_kc A_c)`, with `w_k` the softmax over the channels of the score of class `k` when the input is
/// seen through that channel's activation map, upsampled and scaled to 0..1. One forward pass a channel serves every
/// class.
///
/// Only the `limit` channels of largest mean activation are tried (all if 0); the others weigh nothing. A channel that
/// is the same everywhere masks nothing and needs no pass. The softmax does not see what is added to all scores, so the
/// paper's baseline needs no pass either. A cosine varies so little that its softmax is almost even: the map is then
/// nearly the plain mean of the channels tried.
///
/// # Errors
/// Those of the scorer.
pub async fn maps(scorer: &mut dyn Scorer, input: &Tensor, maps: &Maps<'_>, limit: usize) -> Result<Vec<MethodMap>> {
    let size = masks::size(input);
    let channels = chosen(maps, limit);
    let mut masked = input.clone();
    let mut scores: Vec<Vec<f64>> = vec![Vec::with_capacity(channels.len()); scorer.classes()];
    for (done, &channel) in channels.iter().enumerate() {
        let plane = &maps.data()[channel * maps.cells()..][..maps.cells()];
        let mut mask = masks::upsample(plane, maps.height(), maps.width(), size);
        let (lo, hi) = range(&mask);
        mask.iter_mut().for_each(|v| *v = (*v - lo) / (hi - lo));
        masks::apply(input, &mask, &mut masked);
        let found = scorer.score(&masked).await?;
        scores.iter_mut().zip(found).for_each(|(row, s)| row.push(s));
        scorer.report(done + 1, channels.len()).await?;
    }
    let map = |scores: Vec<f64>| {
        let mut weights = vec![0f32; maps.channels()];
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|s| (s - largest).exp()).sum();
        channels.iter().zip(&scores).for_each(|(&c, s)| weights[c] = ((s - largest).exp() / total) as f32);
        maps.map(maps.weighed(&weights), weights).rectified()
    };
    Ok(scores.into_iter().map(map).collect())
}

/// How many forward passes [`maps`] takes at most.
pub fn passes(channels: usize, limit: usize) -> usize {
    if limit == 0 { channels } else { limit.min(channels) }
}

/// The channels that vary over the cells, those of largest mean activation first, up to the limit.
fn chosen(maps: &Maps, limit: usize) -> Vec<usize> {
    let means = maps.means();
    let varies = |plane: &[f32]| plane.iter().any(|v| *v != plane[0]);
    let mut channels: Vec<usize> = (0..).zip(maps.planes()).filter(|(_, p)| varies(p)).map(|(c, _)| c).collect();
    channels.sort_by(|&a, &b| means[b].total_cmp(&means[a]));
    channels.truncate(passes(maps.channels(), limit));
    channels
}

fn range(values: &[f32]) -> (f32, f32) {
    let (lo, hi) = values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), &v| (lo.min(v), hi.max(v)));
    // Values that vary in the layer may come out equal between its cells' centres.
    if hi > lo { (lo, hi) } else { (lo, lo + 1.0) }
}
