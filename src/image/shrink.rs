//! A first, coarse step for photos with a very long side, whose weights would take more memory than the photo.

use super::Photo;
use crate::error::Result;

/// Longest side that the resizer gets. Its weights take some twenty bytes for each pixel of a side.
const LONGEST: u32 = 1 << 17;

/// How many pixels of a side become one.
pub(super) fn factor(side: u32) -> u32 {
    side.div_ceil(LONGEST).max(1)
}

/// The means of boxes of `columns` x `rows` pixels. Boxes at the right and lower edge are of what there is.
pub(super) fn boxes(photo: &Photo, columns: u32, rows: u32) -> Result<Photo> {
    let (width, height) = (photo.width().div_ceil(columns), photo.height().div_ceil(rows));
    let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
    let row_bytes = photo.width() as usize * 3;
    let mut sums = vec![[0u64; 3]; width as usize];
    for lines in photo.rgb().chunks(row_bytes * rows as usize) {
        sums.fill([0; 3]);
        for line in lines.chunks_exact(row_bytes) {
            for (sum, pixels) in sums.iter_mut().zip(line.chunks(columns as usize * 3)) {
                for pixel in pixels.as_chunks::<3>().0 {
                    sum.iter_mut().zip(pixel).for_each(|(sum, &level)| *sum += u64::from(level));
                }
            }
        }
        let lines = (lines.len() / row_bytes) as u64;
        for (column, sum) in sums.iter().enumerate() {
            let across = u64::from(columns.min(photo.width() - column as u32 * columns));
            let count = across * lines;
            rgb.extend(sum.map(|sum| ((sum + count / 2) / count) as u8));
        }
    }
    Photo::from_rgb(width, height, rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_averaged_and_those_at_the_edges_are_smaller() {
        let rgb = (0..5 * 3).flat_map(|i| [i * 10, 100, 255]).collect();
        let photo = Photo::from_rgb(5, 3, rgb).unwrap();
        let small = boxes(&photo, 2, 2).unwrap();
        assert_eq!(small.size(), (3, 2));
        // Of 0, 10, 50 and 60; of 40 and 90; of 140 alone.
        let red = [(0, 0, 30), (2, 0, 65), (2, 1, 140)];
        red.iter().for_each(|&(x, y, level)| assert_eq!(small.pixel(x, y), Some([level, 100, 255])));
        assert_eq!(boxes(&photo, 1, 1).unwrap(), photo);
    }

    #[test]
    fn only_very_long_sides_are_shrunk() {
        assert_eq!((factor(1), factor(65_535), factor(1 << 17), factor((1 << 17) + 1)), (1, 1, 1, 2));
    }
}
