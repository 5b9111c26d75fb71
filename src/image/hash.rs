//! A fingerprint of what a picture looks like, to find copies of it.

use super::InputPixels;
use super::pixels::Plane;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Columns compared with their right neighbour, and rows.
const GRID: usize = 8;

/// The difference hash of a network's input `[1, C, H, W]`: the picture is averaged down to 9 x 8 cells of grey, and
/// each bit says whether a cell is brighter than its right neighbour, row by row from the lowest bit.
///
/// Copies that were scaled, recompressed or slightly recoloured differ in a few of the 64 bits, unrelated photos in 32
/// on average. `(a ^ b).count_ones()` is the distance.
///
/// # Errors
/// [`Error::Argument`] if the tensor is not a picture of at least 9 x 8 pixels.
pub fn difference_hash(input: &Tensor, pixels: impl Into<InputPixels>) -> Result<u64> {
    let pixels = pixels.into();
    let count = pixels.channels.count();
    let (height, width) = match *input.shape().dims() {
        [1, channels, height, width] if channels == count => (height, width),
        _ => {
            let reason = format!("a picture is [1, {count}, H, W], and this is {}", input.shape());
            return Err(Error::argument("input", reason));
        }
    };
    if width < GRID + 1 || height < GRID {
        let reason = format!("{width} x {height} pixels are too few for a hash of 9 x 8 cells");
        return Err(Error::argument("input", reason));
    }
    let mut sums = [[0f64; GRID + 1]; GRID];
    let mut counts = [[0u32; GRID + 1]; GRID];
    let weights = [0.299, 0.587, 0.114];
    let planes = input.data().chunks_exact(width * height).zip(pixels.planes()).enumerate();
    for (channel, (plane, (holds, _, std))) in planes {
        // The mean of each channel is the same in every cell, so only its scale matters to a difference.
        let weight = f64::from(std)
            * match holds {
                Plane::Color(color) => weights[color],
                Plane::Brightness => 1.0,
                Plane::Opacity => 0.0,
            };
        for (y, row) in plane.chunks_exact(width).enumerate() {
            for (x, &value) in row.iter().enumerate() {
                let (cy, cx) = (y * GRID / height, x * (GRID + 1) / width);
                sums[cy][cx] += weight * f64::from(value);
                counts[cy][cx] += u32::from(channel == 0);
            }
        }
    }
    let mut hash = 0;
    for (y, (sums, counts)) in sums.iter().zip(&counts).enumerate() {
        let mean = |x: usize| sums[x] / f64::from(counts[x]);
        for x in 0..GRID {
            hash |= u64::from(mean(x) > mean(x + 1)) << (y * GRID + x);
        }
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Geometry, GeometryMode, Normalization, Photo, Rect, prepare, scale};

    const NORM: Normalization = Normalization { mean: [127.0; 3], std: [128.0, 64.0, 32.0] };

    fn hash(photo: &Photo) -> u64 {
        let geometry = Geometry::new(GeometryMode::Squash, photo.size(), 64, 32).unwrap();
        difference_hash(&prepare(photo, &geometry, &NORM).unwrap(), &NORM).unwrap()
    }

    /// Smooth random blobs.
    fn photo(seed: u64) -> Photo {
        let mut rng = fastrand::Rng::with_seed(seed);
        let coarse: Vec<u8> = (0..12 * 12 * 3).map(|_| rng.u8(..)).collect();
        let coarse = Photo::from_rgb(12, 12, coarse).unwrap();
        scale(&coarse, &Rect::new(0.0, 0.0, 12.0, 12.0), 120, 90).unwrap()
    }

    #[test]
    fn copies_are_near_and_others_far() {
        for seed in 0..20 {
            let original = photo(seed);
            let small = scale(&original, &Rect::new(0.0, 0.0, 120.0, 90.0), 70, 80).unwrap();
            let darker = Photo::from_rgb(120, 90, original.rgb().iter().map(|v| v / 2 + 20).collect()).unwrap();
            for copy in [small, darker] {
                assert!((hash(&original) ^ hash(&copy)).count_ones() <= 6, "seed {seed}");
            }
            assert!((hash(&original) ^ hash(&photo(seed + 100))).count_ones() > 12, "seed {seed}");
        }
    }

    #[test]
    fn bits_say_which_cell_is_brighter() {
        let ramp = |down: bool| {
            let level = |x: u32| if down { 250 - x as u8 } else { x as u8 };
            Photo::from_rgb(90, 40, (0..90 * 40u32).flat_map(|i| [level(i % 90); 3]).collect()).unwrap()
        };
        assert_eq!((hash(&ramp(true)), hash(&ramp(false))), (u64::MAX, 0));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for shape in [vec![1, 3, 4, 40], vec![1, 1, 40, 40], vec![3, 40, 40]] {
            assert!(difference_hash(&Tensor::zeros(crate::tensor::Shape::new(shape)), &NORM).is_err());
        }
    }
}
