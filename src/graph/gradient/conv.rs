//! The gradient of a convolution with respect to its input.

use crate::graph::Conv2d;
use crate::tensor::{Shape, Tensor};

/// `dx[i, y s - p + ky d, ..] += w[o, i, ky, kx] dy[o, y, x]`, one row at a time, so that the inner loop runs along a
/// line of cells.
pub(super) fn input_gradient(conv: &Conv2d, x: &Shape, weight: &Tensor, y: &Shape, dy: &[f32]) -> Vec<f32> {
    let (&[images, channels, height, width], &[_, outputs, out_h, out_w]) = (x.dims(), y.dims()) else {
        return Vec::new();
    };
    let &[_, per_group, kernel_h, kernel_w] = weight.shape().dims() else { return Vec::new() };
    let mut dx = vec![0.0; x.len()];
    let pointwise = kernel_h * kernel_w == 1 && conv.strides == [1, 1] && conv.pads == [0; 4];
    for index in 0..images * outputs {
        let (image, o) = (index / outputs, index % outputs);
        let dy = &dy[index * out_h * out_w..][..out_h * out_w];
        if dy.iter().all(|&d| d == 0.0) {
            continue;
        }
        let first = o / (outputs / conv.groups) * per_group;
        for i in 0..per_group {
            let dx = &mut dx[(image * channels + first + i) * height * width..][..height * width];
            let taps = &weight.data()[(o * per_group + i) * kernel_h * kernel_w..][..kernel_h * kernel_w];
            if pointwise {
                dx.iter_mut().zip(dy).for_each(|(x, d)| *x += taps[0] * d);
                continue;
            }
            for (tap, &w) in taps.iter().enumerate() {
                let (ky, kx) = (tap / kernel_w, tap % kernel_w);
                let columns = inside(out_w, conv.strides[1], kx * conv.dilations[1], conv.pads[1], width);
                for oy in inside(out_h, conv.strides[0], ky * conv.dilations[0], conv.pads[0], height) {
                    let iy = oy * conv.strides[0] + ky * conv.dilations[0] - conv.pads[0];
                    let ix = columns.start * conv.strides[1] + kx * conv.dilations[1];
                    let Some(ix) = ix.checked_sub(conv.pads[1]).filter(|_| !columns.is_empty()) else { continue };
                    let to = dx[iy * width + ix..(iy + 1) * width].iter_mut().step_by(conv.strides[1]);
                    to.zip(&dy[oy * out_w..][columns.clone()]).for_each(|(x, d)| *x += w * d);
                }
            }
        }
    }
    dx
}

/// The outputs along one dimension whose tap at distance `tap` lies inside an input of `size` cells.
fn inside(outputs: usize, stride: usize, tap: usize, pad: usize, size: usize) -> std::ops::Range<usize> {
    let start = pad.saturating_sub(tap).div_ceil(stride);
    let end = (size + pad).saturating_sub(tap).div_ceil(stride).min(outputs);
    start..end.max(start)
}
