//! Which part of a photo is covered, and an input with that part replaced.

use super::{Geometry, Rect};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Which part of a photo is covered: a value from 0 (seen) to 1 (covered) for each cell of a grid over the whole photo.
///
/// ```
/// use famlens::image::{Cover, Rect};
/// let cover = Cover::boxes((200, 100), &[Rect::new(0.0, 0.0, 100.0, 100.0)])?;
/// assert!((cover.share(&Rect::new(0.0, 0.0, 200.0, 100.0)) - 0.5).abs() < 1e-9);
/// assert!((cover.share(&Rect::new(50.0, 0.0, 150.0, 50.0)) - 0.5).abs() < 1e-9);
/// # Ok::<(), famlens::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cover {
    photo: (f64, f64),
    width: usize,
    height: usize,
    /// What is covered above and to the left of each corner of the grid, in cells: `(height + 1) x (width + 1)`.
    sums: Vec<f64>,
}

/// Cells along a side of the grid that boxes are drawn into: more than any network's input shows.
const GRID: u32 = 512;

impl Cover {
    /// The whole photo, of that width and height in pixels.
    ///
    /// # Errors
    /// As [`Cover::mask`].
    pub fn whole(photo: (u32, u32)) -> Result<Self> {
        Self::mask(photo, (1, 1), &[1.0])
    }

    /// What lies in any of these boxes, in pixels of the photo. Parts beyond the photo do not count.
    ///
    /// # Errors
    /// [`Error::Argument`] for a box without area on the photo, and as [`Cover::mask`].
    pub fn boxes(photo: (u32, u32), boxes: &[Rect]) -> Result<Self> {
        let (width, height) = (photo.0.clamp(1, GRID) as usize, photo.1.clamp(1, GRID) as usize);
        let (cell_w, cell_h) = (f64::from(photo.0) / width as f64, f64::from(photo.1) / height as f64);
        let whole = Rect::new(0.0, 0.0, f64::from(photo.0), f64::from(photo.1));
        let mut values = vec![0f32; width * height];
        for given in boxes {
            let seen = given.intersection(&whole);
            // What is not a number is no area either.
            let numbers = [given.x0, given.y0, given.x1, given.y1].iter().all(|v| v.is_finite());
            if !numbers || seen.area() <= 0.0 {
                let Rect { x0, y0, x1, y1 } = given;
                let (w, h) = photo;
                let reason = format!("{x0},{y0},{x1},{y1} has no area on the photo of {w} x {h} pixels");
                return Err(Error::argument("box", reason));
            }
            let overlap = |at: usize, cell: f64, from: f64, to: f64| {
                let start = at as f64 * cell;
                ((to.min(start + cell) - from.max(start)) / cell).clamp(0.0, 1.0)
            };
            for (y, row) in values.chunks_exact_mut(width).enumerate() {
                let down = overlap(y, cell_h, seen.y0, seen.y1);
                for (x, value) in row.iter_mut().enumerate().filter(|_| down > 0.0) {
                    *value = value.max((down * overlap(x, cell_w, seen.x0, seen.x1)) as f32);
                }
            }
        }
        Self::mask(photo, (width, height), &values)
    }

    /// A grid of `width` x `height` values, row by row, over the whole photo.
    ///
    /// # Errors
    /// [`Error::Argument`] if the number of values does not fit, there are none, or one is not within 0 and 1.
    pub fn mask(photo: (u32, u32), (width, height): (usize, usize), values: &[f32]) -> Result<Self> {
        if values.is_empty() || width.checked_mul(height) != Some(values.len()) {
            let reason = format!("{width} x {height} cells do not fit {} values", values.len());
            return Err(Error::argument("cover", reason));
        }
        if let Some(bad) = values.iter().find(|v| !(0.0..=1.0).contains(*v)) {
            return Err(Error::argument("cover", format!("{bad} is not within 0 and 1")));
        }
        let mut sums = vec![0f64; (width + 1) * (height + 1)];
        for y in 0..height {
            let mut row = 0.0;
            for x in 0..width {
                row += f64::from(values[y * width + x]);
                sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + row;
            }
        }
        Ok(Self { photo: (f64::from(photo.0), f64::from(photo.1)), width, height, sums })
    }

    /// What part of a rectangle of the photo is covered, 0 to 1; 0 for one without area.
    pub fn share(&self, rect: &Rect) -> f64 {
        let grid = |v: f64, side: f64, cells: usize| (v / side * cells as f64).clamp(0.0, cells as f64);
        let (x0, x1) = (grid(rect.x0, self.photo.0, self.width), grid(rect.x1, self.photo.0, self.width));
        let (y0, y1) = (grid(rect.y0, self.photo.1, self.height), grid(rect.y1, self.photo.1, self.height));
        let area = (x1 - x0) * (y1 - y0);
        if area <= 0.0 || area.is_nan() {
            return 0.0;
        }
        ((self.sum(x1, y1) - self.sum(x0, y1) - self.sum(x1, y0) + self.sum(x0, y0)) / area).clamp(0.0, 1.0)
    }

    /// What is covered above and to the left of a point of the grid.
    fn sum(&self, x: f64, y: f64) -> f64 {
        let (left, top) = ((x as usize).min(self.width - 1), (y as usize).min(self.height - 1));
        let (s, t) = (x - left as f64, y - top as f64);
        let at = |x: usize, y: usize| self.sums[y * (self.width + 1) + x];
        let row = |y: usize| at(left, y) + (at(left + 1, y) - at(left, y)) * s;
        row(top) + (row(top + 1) - row(top)) * t
    }

    /// What part of each cell of a grid over the network's input is covered, row by row.
    pub(crate) fn cells(&self, geometry: &Geometry, width: usize, height: usize) -> Vec<f64> {
        let cell = |i: usize| self.share(&geometry.cell_rect(width, height, i % width, i / width));
        (0..width * height).map(cell).collect()
    }

    /// An input `[1, C, H, W]` with `fill`, of the same shape, where the photo is covered.
    ///
    /// # Errors
    /// [`Error::Argument`] if the two differ in shape or are no images.
    pub(crate) fn laid_over(&self, input: &Tensor, fill: &Tensor, geometry: &Geometry) -> Result<Tensor> {
        let [_, _, height, width] = *input.shape().dims() else {
            return Err(Error::argument("input", "the model's input is no image"));
        };
        if input.shape() != fill.shape() {
            let reason = "the other photo has another shape as the model's input; take one of the same shape";
            return Err(Error::argument("with", reason));
        }
        let covered = self.cells(geometry, width, height);
        let planes = input.data().chunks_exact(width * height).zip(fill.data().chunks_exact(width * height));
        let blend = |((&a, &b), &m): ((&f32, &f32), &f64)| if m > 0.0 { a + (b - a) * m as f32 } else { a };
        let data = planes.flat_map(|(a, b)| a.iter().zip(b).zip(&covered).map(blend).collect::<Vec<_>>()).collect();
        Tensor::new(input.shape().clone(), data)
    }
}

/// An input `[1, C, H, W]`, blurred until no detail is left: three running means over an eighth of the side.
pub(crate) fn blurred(input: &Tensor) -> Result<Tensor> {
    let [_, _, height, width] = *input.shape().dims() else {
        return Err(Error::argument("input", "the model's input is no image"));
    };
    let radius = (width.min(height) / 16).max(1);
    let mut data = input.data().to_vec();
    let mut line = Vec::new();
    for plane in data.chunks_exact_mut(width * height) {
        for _ in 0..3 {
            (0..height).for_each(|y| running_mean(plane, y * width, 1, width, radius, &mut line));
            (0..width).for_each(|x| running_mean(plane, x, width, height, radius, &mut line));
        }
    }
    Tensor::new(input.shape().clone(), data)
}

/// The mean over `2 radius + 1` values of a line; beyond its ends the last value goes on.
fn running_mean(plane: &mut [f32], start: usize, step: usize, count: usize, radius: usize, line: &mut Vec<f32>) {
    line.clear();
    line.extend((0..count).map(|i| plane[start + i * step]));
    let at = |i: isize| f64::from(line[i.clamp(0, count as isize - 1) as usize]);
    let (r, size) = (radius as isize, (2 * radius + 1) as f64);
    let mut sum: f64 = (-r..=r).map(at).sum();
    for i in 0..count {
        plane[start + i * step] = (sum / size) as f32;
        let i = i as isize;
        sum += at(i + r + 1) - at(i - r);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::GeometryMode;

    #[test]
    fn shares_are_areas() -> Result<()> {
        let photo = (300, 200);
        let cover = Cover::boxes(photo, &[Rect::new(30.0, 20.0, 90.5, 77.0), Rect::new(60.0, 50.0, 400.0, 90.0)])?;
        let whole = Rect::new(0.0, 0.0, 300.0, 200.0);
        // The union: both areas less what they share.
        let expected = 60.5 * 57.0 + 240.0 * 40.0 - 30.5 * 27.0;
        assert!((cover.share(&whole) * 60_000.0 - expected).abs() < 1.0, "{}", cover.share(&whole) * 60_000.0);
        assert_eq!(cover.share(&Rect::new(200.0, 100.0, 300.0, 200.0)), 0.0);
        assert!((cover.share(&Rect::new(40.0, 30.0, 50.0, 40.0)) - 1.0).abs() < 1e-9);
        assert!((Cover::whole(photo)?.share(&Rect::new(1.5, 2.5, 7.0, 9.0)) - 1.0).abs() < 1e-12);
        // Cells of a grid add up to the whole.
        let geometry = Geometry::new(GeometryMode::Squash, photo, 64, 32)?;
        let cells = cover.cells(&geometry, 7, 5);
        assert!((cells.iter().sum::<f64>() / 35.0 - cover.share(&whole)).abs() < 1e-9);
        Ok(())
    }

    #[test]
    fn what_is_no_cover_is_refused() {
        let error = |cover: Result<Cover>| cover.map_or_else(|e| e.to_string(), |_| String::new());
        assert!(error(Cover::boxes((10, 10), &[Rect::new(20.0, 0.0, 30.0, 5.0)])).contains("10 x 10"));
        assert!(error(Cover::boxes((10, 10), &[Rect::new(f64::NAN, 0.0, 3.0, 5.0)])).contains("no area"));
        assert!(error(Cover::mask((10, 10), (2, 2), &[0.0; 3])).contains("3 values"));
        assert!(error(Cover::mask((10, 10), (1, 1), &[1.5])).contains("1.5"));
    }

    #[test]
    fn only_what_is_covered_changes() -> Result<()> {
        let geometry = Geometry::new(GeometryMode::Squash, (64, 64), 32, 32)?;
        let input = Tensor::new([1, 1, 32, 32], (0..1024).map(|i| i as f32).collect())?;
        let fill = Tensor::new([1, 1, 32, 32], vec![-1.0; 1024])?;
        let cover = Cover::boxes((64, 64), &[Rect::new(0.0, 0.0, 64.0, 32.0)])?;
        let found = cover.laid_over(&input, &fill, &geometry)?;
        assert!(found.data()[..512].iter().all(|&v| v == -1.0));
        assert_eq!(found.data()[512..], input.data()[512..]);
        assert_eq!(Cover::mask((64, 64), (1, 1), &[0.0])?.laid_over(&input, &fill, &geometry)?, input);
        Ok(())
    }

    #[test]
    fn blurring_keeps_the_mean_of_an_even_picture() -> Result<()> {
        let even = Tensor::new([1, 1, 20, 30], vec![0.25; 600])?;
        assert!(blurred(&even)?.data().iter().all(|v| (v - 0.25).abs() < 1e-6));
        let spot = Tensor::new([1, 1, 33, 33], (0..1089).map(|i| f32::from(u8::from(i == 544))).collect())?;
        let found = blurred(&spot)?;
        assert!((found.data().iter().sum::<f32>() - 1.0).abs() < 1e-4 && found.data()[544] < 0.1);
        Ok(())
    }
}
