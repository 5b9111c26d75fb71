//! RISE (Petsiuk et al., arXiv 1806.07421, eq. 6).

use super::{MethodMap, Scorer, SplitMix, masks};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// What RISE draws its masks from.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RiseOptions {
    /// Number of masks, each one forward pass. The paper takes 4000 to 8000; the map's noise falls with its root.
    pub masks: usize,
    /// Cells along each side of the random grid; 7 in the paper.
    pub grid: usize,
    /// Chance of a cell to be kept; 0.5 in the paper.
    pub keep: f64,
    /// Start of the random numbers.
    pub seed: u64,
}

/// `M_k = 1 / (N p) sum_i S_k(input * mask_i) mask_i` over random smooth masks, at the resolution of the input. Every
/// class is served by the same passes. The layer plays no part.
///
/// # Errors
/// [`Error::Argument`] for options outside their range; those of the scorer.
pub async fn maps(scorer: &mut dyn Scorer, input: &Tensor, options: RiseOptions) -> Result<Vec<MethodMap>> {
    let RiseOptions { masks: count, grid, keep, seed } = options;
    if count == 0 || !(1..=64).contains(&grid) || !(keep > 0.0 && keep <= 1.0) {
        let reason = format!("RISE needs masks, a grid of 1 to 64 and a chance in 0..1, not {count}, {grid}, {keep}");
        return Err(Error::argument("masks", reason));
    }
    let (height, width) = masks::size(input);
    let mut random = SplitMix::new(seed);
    let mut masked = input.clone();
    let mut sums = vec![vec![0f64; height * width]; scorer.classes()];
    for done in 1..=count {
        let mask = mask(&mut random, grid, keep, height, width);
        masks::apply(input, &mask, &mut masked);
        for (sum, score) in sums.iter_mut().zip(scorer.score(&masked).await?) {
            sum.iter_mut().zip(&mask).for_each(|(s, &m)| *s += score * f64::from(m));
        }
        scorer.report(done, count).await?;
    }
    let scale = 1.0 / (count as f64 * keep);
    let map = |sum: Vec<f64>| MethodMap {
        data: sum.into_iter().map(|s| (s * scale) as f32).collect(),
        width,
        height,
        weights: Vec::new(),
    };
    Ok(sums.into_iter().map(map).collect())
}

/// A random grid, upsampled to one cell more than the input and shifted by a random part of a cell (section 3.2).
pub fn mask(random: &mut SplitMix, grid: usize, keep: f64, height: usize, width: usize) -> Vec<f32> {
    let cells: Vec<f32> = (0..grid * grid).map(|_| if random.uniform() < keep { 1.0 } else { 0.0 }).collect();
    let (cell_h, cell_w) = (height.div_ceil(grid), width.div_ceil(grid));
    let (large_h, large_w) = ((grid + 1) * cell_h, (grid + 1) * cell_w);
    let large = masks::upsample(&cells, grid, grid, (large_h, large_w));
    let (top, left) = (random.below(cell_h), random.below(cell_w));
    (top..top + height).flat_map(|row| &large[row * large_w + left..][..width]).copied().collect()
}
