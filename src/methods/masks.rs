//! Masks over the input: bilinear upsampling, and images seen through a mask.

use crate::tensor::Tensor;

/// Upsamples `height x width` values to `to.0 x to.1` (rows, columns), bilinearly between the cells' centres, the
/// outermost cells reaching to the border.
pub fn upsample(values: &[f32], height: usize, width: usize, to: (usize, usize)) -> Vec<f32> {
    let rows = taps(height, to.0);
    let columns = taps(width, to.1);
    let mut out = Vec::with_capacity(to.0 * to.1);
    for &(top, bottom, v) in &rows {
        let (top, bottom) = (&values[top * width..][..width], &values[bottom * width..][..width]);
        for &(left, right, h) in &columns {
            let upper = top[left] + h * (top[right] - top[left]);
            let lower = bottom[left] + h * (bottom[right] - bottom[left]);
            out.push(upper + v * (lower - upper));
        }
    }
    out
}

/// For each of `to` places: the cells before and after it and how far it lies between them.
fn taps(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    let place = |i: usize| {
        let at = ((i as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, (from - 1) as f32);
        let before = at as usize;
        (before, (before + 1).min(from - 1), at - before as f32)
    };
    (0..to).map(place).collect()
}

/// Rows and columns of a `[1, C, H, W]` input.
pub(super) fn size(input: &Tensor) -> (usize, usize) {
    input.shape().chw().map_or((1, input.data().len()), |(_, h, w)| (h, w))
}

/// Writes `input` times `mask` into `out`: what the mask hides becomes 0, the mean colour of the model's normalisation.
pub(super) fn apply(input: &Tensor, mask: &[f32], out: &mut Tensor) {
    let planes = input.data().chunks_exact(mask.len()).zip(out.data_mut().chunks_exact_mut(mask.len()));
    for (from, to) in planes {
        to.iter_mut().zip(from).zip(mask).for_each(|((t, f), m)| *t = f * m);
    }
}
