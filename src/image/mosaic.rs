//! Several photos on one picture, to measure class specificity.

use super::{Geometry, GeometryMode, InputSize, Photo, resize};
use crate::error::{Error, Result};

/// Tiles photos row by row, `columns` across, each scaled to the size of a `cell` by `mode` ([`GeometryMode::Squash`]
/// shows all of each photo, [`GeometryMode::Crop`] its centre).
///
/// ```
/// use famlens::image::{GeometryMode, Photo, mosaic};
///
/// let photos = [0, 80, 160, 240].map(|grey| Photo::from_rgb(30, 20, vec![grey; 1800]).unwrap());
/// let tiled = mosaic(&photos.each_ref(), 2, 10, GeometryMode::Squash)?;
/// assert_eq!(tiled.size(), (20, 20));
/// assert_eq!(tiled.pixel(15, 5), Some([80; 3]));
/// # Ok::<(), famlens::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] unless the photos fill whole rows and the mode is squash or crop.
pub fn mosaic(photos: &[&Photo], columns: usize, cell: impl Into<InputSize>, mode: GeometryMode) -> Result<Photo> {
    let cell = cell.into();
    if columns == 0 || photos.is_empty() || !photos.len().is_multiple_of(columns) {
        let reason = format!("{} photos do not fill rows of {columns}", photos.len());
        return Err(Error::argument("mosaic", reason));
    }
    if !matches!(mode, GeometryMode::Squash | GeometryMode::Crop) {
        return Err(Error::argument("mosaic", format!("{mode} does not fill tiles of one size; use squash or crop")));
    }
    let tiles = photos.iter().map(|photo| resize(photo, &Geometry::new(mode, photo.size(), cell, 1)?));
    let tiles: Vec<Photo> = tiles.collect::<Result<_>>()?;
    let row_bytes = cell.width as usize * 3;
    let mut rgb = Vec::with_capacity(photos.len() * row_bytes * cell.height as usize);
    for row in tiles.chunks(columns) {
        for y in 0..cell.height as usize {
            row.iter().for_each(|tile| rgb.extend_from_slice(&tile.rgb()[y * row_bytes..(y + 1) * row_bytes]));
        }
    }
    Photo::from_rgb(cell.width * columns as u32, cell.height * (photos.len() / columns) as u32, rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_run_row_by_row_and_a_crop_takes_the_centre() {
        let photos: Vec<Photo> = (0..6).map(|i| Photo::from_rgb(8, 8, vec![i * 40; 192]).unwrap()).collect();
        let tiled = mosaic(&photos.iter().collect::<Vec<_>>(), 3, 4, GeometryMode::Squash).unwrap();
        assert_eq!(tiled.size(), (12, 8));
        for i in 0..6u32 {
            let (x, y) = (i % 3 * 4, i / 3 * 4);
            assert_eq!(tiled.pixel(x, y), Some([i as u8 * 40; 3]));
            assert_eq!(tiled.pixel(x + 3, y + 3), Some([i as u8 * 40; 3]));
        }
        let tall = InputSize { width: 2, height: 4 };
        let tiled = mosaic(&photos.iter().collect::<Vec<_>>(), 3, tall, GeometryMode::Squash).unwrap();
        assert_eq!((tiled.size(), tiled.pixel(5, 3), tiled.pixel(0, 4)), ((6, 8), Some([80; 3]), Some([120; 3])));
        // Black sides around a white middle: squash keeps them, crop does not.
        let rgb = (0..30 * 10).flat_map(|i| [if (10..20).contains(&(i % 30)) { 255 } else { 0 }; 3]).collect();
        let wide = Photo::from_rgb(30, 10, rgb).unwrap();
        assert_eq!(mosaic(&[&wide], 1, 10, GeometryMode::Crop).unwrap().pixel(0, 5), Some([255; 3]));
        assert_eq!(mosaic(&[&wide], 1, 10, GeometryMode::Squash).unwrap().pixel(0, 5), Some([0; 3]));
    }

    #[test]
    fn what_does_not_tile_is_refused() {
        let photo = Photo::from_rgb(8, 8, vec![0; 192]).unwrap();
        assert!(mosaic(&[], 2, 10, GeometryMode::Squash).is_err());
        assert!(mosaic(&[&photo; 3], 2, 10, GeometryMode::Squash).is_err());
        assert!(mosaic(&[&photo; 4], 2, 0, GeometryMode::Squash).is_err());
        assert!(mosaic(&[&photo; 4], 2, 10, GeometryMode::Letterbox).is_err());
    }
}
