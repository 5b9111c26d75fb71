//! Occlusion (Zeiler and Fergus, arXiv 1311.2901, section 4.2).

use super::{MethodMap, Scorer, masks};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// `M_k(i, j) = S_k - S_k with a grey square around place (i, j)`: how much of the score is lost. The places lie on a
/// grid `stride` pixels apart; the square has sides of `window` pixels and is cut off at the border. One forward pass a
/// place. The layer plays no part.
///
/// # Errors
/// [`Error::Argument`] for a window or stride of 0; those of the scorer.
pub async fn maps(scorer: &mut dyn Scorer, input: &Tensor, window: usize, stride: usize) -> Result<Vec<MethodMap>> {
    if window == 0 || stride == 0 {
        return Err(Error::argument("window", "the occluder's window and stride are at least one pixel"));
    }
    let (height, width) = masks::size(input);
    let (rows, columns) = (height.div_ceil(stride), width.div_ceil(stride));
    let whole = scorer.score(input).await?;
    let mut drops: Vec<Vec<f32>> = vec![Vec::with_capacity(rows * columns); whole.len()];
    let mut hidden = input.clone();
    for place in 0..rows * columns {
        let (top, bottom) = span(place / columns, stride, window, height);
        let (left, right) = span(place % columns, stride, window, width);
        hidden.data_mut().copy_from_slice(input.data());
        for plane in hidden.data_mut().chunks_exact_mut(height * width) {
            plane[top * width..bottom * width].chunks_exact_mut(width).for_each(|row| row[left..right].fill(0.0));
        }
        let scores = scorer.score(&hidden).await?;
        drops.iter_mut().zip(&whole).zip(scores).for_each(|((row, w), s)| row.push((w - s) as f32));
        scorer.report(place + 1, rows * columns).await?;
    }
    let map = |data| MethodMap { data, width: columns, height: rows, weights: Vec::new() };
    Ok(drops.into_iter().map(map).collect())
}

/// First and one past the last pixel of the square around the centre of a place.
fn span(place: usize, stride: usize, window: usize, size: usize) -> (usize, usize) {
    let centre = place * stride + stride / 2;
    let start = centre.saturating_sub(window / 2);
    (start.min(size), (centre + window.div_ceil(2)).min(size))
}
