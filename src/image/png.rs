//! Pixels to PNG files.

use ::image::codecs::png::PngEncoder;
use ::image::{ExtendedColorType, ImageEncoder};

use super::Photo;
use crate::error::{Error, Result};

/// A photo as the bytes of a PNG file.
///
/// # Errors
/// [`Error::Argument`] if the encoder refuses, which no valid photo makes it do.
pub fn encode_png(photo: &Photo) -> Result<Vec<u8>> {
    encode(photo.rgb(), photo.size(), ExtendedColorType::Rgb8)
}

/// Pixels with straight alpha (`width * height * 4` bytes, row-major) as the bytes of a PNG file.
///
/// # Errors
/// [`Error::Argument`] if the number of bytes does not fit the size.
pub fn encode_png_rgba(width: u32, height: u32, rgba: &[u8]) -> Result<Vec<u8>> {
    let expected = u64::from(width).saturating_mul(u64::from(height)).saturating_mul(4);
    if width == 0 || height == 0 || expected != rgba.len() as u64 {
        let reason = format!("{width} x {height} RGBA pixels do not fit {} bytes", rgba.len());
        return Err(Error::argument("picture", reason));
    }
    encode(rgba, (width, height), ExtendedColorType::Rgba8)
}

fn encode(pixels: &[u8], (width, height): (u32, u32), color: ExtendedColorType) -> Result<Vec<u8>> {
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(pixels, width, height, color)
        .map_err(|e| Error::argument("picture", format!("it cannot be written as PNG: {e}")))?;
    Ok(png)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Limits, decode};

    #[test]
    fn a_photo_survives_png() {
        let photo = Photo::from_rgb(5, 3, (0..45).map(|i| i * 5).collect()).unwrap();
        let png = encode_png(&photo).unwrap();
        assert_eq!(decode("photo", &png, &Limits::default()).unwrap(), photo);
    }

    #[test]
    fn rgba_sizes_are_checked() {
        assert!(encode_png_rgba(2, 2, &[0; 16]).is_ok());
        assert!(encode_png_rgba(2, 2, &[0; 15]).is_err());
        assert!(encode_png_rgba(0, 2, &[]).is_err());
    }
}
