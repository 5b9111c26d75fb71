//! Convolutions and pools.
//!
//! candle has one stride, one dilation and one padding for both axes. If a window has more, or if most
//! of the work would be padding, this engine computes one tap at a time, for all windows at once.

use candle_core::{Result, Tensor, bail};

use super::ops::{pad, select};
use crate::graph::{Conv2d, Op, Pool2d, PoolKind};
use crate::tensor::Shape;

/// Padding beyond so many elements is not written out.
const MOST_PADDED: usize = 1 << 24;

/// Where windows lie, along height and width.
struct Windows {
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    /// Top, left, bottom, right.
    pads: [usize; 4],
    output: [usize; 2],
}

/// The weighted sums of windows, without bias; weights are `[O, C / groups, kh, kw]`.
pub(super) fn conv2d(conv: &Conv2d, x: &Tensor, weight: &Tensor, shape: &Shape) -> Result<Tensor> {
    let (outputs, _, kh, kw) = weight.dims4()?;
    let windows = Windows::new([kh, kw], conv.strides, conv.dilations, conv.pads, shape)?;
    let depthwise = Op::Conv2d(conv.clone()).is_depthwise(&Shape::new(weight.dims())) && x.dim(1)? == outputs;
    if !depthwise && let Some((stride, dilation)) = windows.even(x) {
        // candle takes padding on all sides alike; ours may differ.
        let y = windows.padded(x, 0.0)?.conv2d(weight, 0, stride, dilation, conv.groups)?;
        // Along an axis of one window the stride is the other axis's, at which more windows may fit.
        return y.narrow(2, 0, windows.output[0])?.narrow(3, 0, windows.output[1]);
    }
    let taps = windows.taps(x)?.map(|tap| {
        let (cells, place, [ky, kx]) = tap?;
        let weight = weight.narrow(2, ky, 1)?.narrow(3, kx, 1)?.contiguous()?;
        // candle runs through a convolution group by group, which a depthwise one has as many of as channels.
        let y = match depthwise {
            true => cells.broadcast_mul(&weight.reshape((1, outputs, 1, 1))?)?,
            false => cells.conv2d(&weight, 0, 1, 1, conv.groups)?,
        };
        place.fill(y, 0.0)
    });
    let nothing = Tensor::zeros(shape.dims(), x.dtype(), x.device());
    taps.fold(nothing, |sum, y: Result<Tensor>| sum? + y?)
}

/// The largest value or the mean of windows.
pub(super) fn pool2d(pool: &Pool2d, x: &Tensor, shape: &Shape) -> Result<Tensor> {
    let windows = Windows::new(pool.kernel, pool.strides, pool.dilations, pool.pads, shape)?;
    let (kernel, strides) = ((pool.kernel[0], pool.kernel[1]), (pool.strides[0], pool.strides[1]));
    let direct = windows.undilated() && windows.is_modest(x);
    let cells = f64::from(pool.kernel[0] as u32) * f64::from(pool.kernel[1] as u32);
    match pool.kind {
        PoolKind::Max if direct => windows.padded(x, f32::NEG_INFINITY)?.max_pool2d_with_stride(kernel, strides),
        PoolKind::Max => {
            let lowest = Tensor::full(f32::NEG_INFINITY, shape.dims(), x.device());
            let taps = windows.taps(x)?.map(|tap| {
                let (cells, place, _) = tap?;
                place.fill(cells, f32::NEG_INFINITY)
            });
            taps.fold(lowest, |most, y: Result<Tensor>| most?.maximum(&y?))
        }
        PoolKind::Average { count_include_pad } => {
            let sums = |x: &Tensor| {
                if direct {
                    return windows.padded(x, 0.0)?.avg_pool2d_with_stride(kernel, strides)?.affine(cells, 0.0);
                }
                let nothing =
                    Tensor::zeros((x.dim(0)?, x.dim(1)?, shape.dims()[2], shape.dims()[3]), x.dtype(), x.device());
                let taps = windows.taps(x)?.map(|tap| {
                    let (cells, place, _) = tap?;
                    place.fill(cells, 0.0)
                });
                taps.fold(nothing, |sum, y: Result<Tensor>| sum? + y?)
            };
            match count_include_pad {
                true => sums(x)?.affine(1.0 / cells, 0.0),
                false => {
                    let ones = Tensor::ones((1, 1, x.dim(2)?, x.dim(3)?), x.dtype(), x.device())?;
                    sums(x)?.broadcast_div(&sums(&ones)?.maximum(1f32)?)
                }
            }
        }
    }
}

/// The cells under one tap, where they are in the output, and which tap it is: down and across.
type Tap = (Tensor, Place, [usize; 2]);

/// Output cells that a tap has a cell for: how many come before and after them, down and across.
struct Place {
    rows: [usize; 2],
    columns: [usize; 2],
}

impl Place {
    /// All cells of the output, with this value where the tap has none.
    fn fill(&self, y: Tensor, value: f32) -> Result<Tensor> {
        pad(&pad(&y, 2, self.rows, value)?, 3, self.columns, value)
    }
}

impl Windows {
    fn new(
        kernel: [usize; 2],
        strides: [usize; 2],
        dilations: [usize; 2],
        pads: [usize; 4],
        shape: &Shape,
    ) -> Result<Self> {
        let &[_, _, height, width] = shape.dims() else { bail!("windows are over four dimensions") };
        Ok(Self { kernel, strides, dilations, pads, output: [height, width] })
    }

    /// Whether no tap is further than its neighbour.
    fn undilated(&self) -> bool {
        (0..2).all(|i| self.kernel[i] == 1 || self.dilations[i] == 1)
    }

    /// Whether the padding is worth writing out.
    fn is_modest(&self, x: &Tensor) -> bool {
        let padded = |i: usize| x.dims()[2 + i].checked_add(self.pads[i])?.checked_add(self.pads[i + 2]);
        let cells = padded(0).zip(padded(1)).and_then(|(h, w)| h.checked_mul(w));
        let all = cells.and_then(|cells| cells.checked_mul(x.dims()[0])?.checked_mul(x.dims()[1]));
        all.is_some_and(|all| all <= MOST_PADDED)
    }

    /// The one stride and the one dilation, if there is one of each.
    fn even(&self, x: &Tensor) -> Option<(usize, usize)> {
        // A single tap has no neighbour, and a single window no next one.
        let one = |values: [usize; 2], matters: [bool; 2]| match matters {
            [true, true] => (values[0] == values[1]).then_some(values[0]),
            [false, true] => Some(values[1]),
            [true, false] => Some(values[0]),
            [false, false] => Some(1),
        };
        let stride = one(self.strides, self.output.map(|n| n > 1))?;
        let dilation = one(self.dilations, self.kernel.map(|k| k > 1))?;
        self.is_modest(x).then_some((stride, dilation))
    }

    fn padded(&self, x: &Tensor, value: f32) -> Result<Tensor> {
        let [top, left, bottom, right] = self.pads;
        pad(&pad(x, 2, [top, bottom], value)?, 3, [left, right], value)?.contiguous()
    }

    /// The taps that have any cell inside the image.
    fn taps<'a>(&'a self, x: &'a Tensor) -> Result<impl Iterator<Item = Result<Tap>> + 'a> {
        let (_, _, height, width) = x.dims4()?;
        let across: Vec<_> = (0..self.kernel[1]).filter_map(|k| Some((k, self.inside(1, k, width)?))).collect();
        let down = (0..self.kernel[0]).filter_map(move |k| Some((k, self.inside(0, k, height)?)));
        Ok(down.flat_map(move |(ky, rows)| {
            let across = across.clone();
            let lines = select(x, 2, self.places(0, ky, rows));
            across.into_iter().map(move |(kx, columns)| {
                let cells = match &lines {
                    Ok(lines) => select(lines, 3, self.places(1, kx, columns))?,
                    Err(error) => bail!("{error}"),
                };
                let around = |i: usize, [first, end]: [usize; 2]| [first, self.output[i] - end];
                Ok((cells, Place { rows: around(0, rows), columns: around(1, columns) }, [ky, kx]))
            })
        }))
    }

    /// The output cells for which a tap along axis `i` is inside `size` cells: the first, and the end.
    fn inside(&self, i: usize, tap: usize, size: usize) -> Option<[usize; 2]> {
        // In integers that cannot wrap.
        let (stride, pad) = (self.strides[i] as u128, self.pads[i] as u128);
        let ahead = tap as u128 * self.dilations[i] as u128;
        let first = pad.saturating_sub(ahead).div_ceil(stride);
        let end = (pad + size as u128).saturating_sub(ahead).div_ceil(stride).min(self.output[i] as u128);
        (first < end).then_some([first as usize, end as usize])
    }

    /// The input cells under a tap along axis `i`, for the output cells that have one.
    fn places(&self, i: usize, tap: usize, [first, end]: [usize; 2]) -> impl Iterator<Item = usize> {
        let (stride, ahead, pad) = (self.strides[i], tap * self.dilations[i], self.pads[i]);
        (first..end).map(move |o| o * stride + ahead - pad)
    }
}
