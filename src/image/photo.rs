//! Decoded pixels.

use crate::error::{Error, Result};

/// An upright picture, 8-bit RGB, row-major, at least one pixel on each side.
#[derive(Clone, PartialEq, Eq)]
pub struct Photo {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Photo {
    /// A photo from `width * height * 3` bytes of RGB, row-major.
    ///
    /// # Errors
    /// [`Error::Argument`] if a side is zero or the number of bytes does not fit.
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self> {
        check(width, height, 3, rgb.len())?;
        Ok(Self { width, height, rgb })
    }

    /// A photo from `width * height * 4` bytes of RGBA with straight (not premultiplied) alpha, as a browser's
    /// `ImageData` holds them. Transparent pixels are composited on white.
    ///
    /// # Errors
    /// [`Error::Argument`] if a side is zero or the number of bytes does not fit.
    pub fn from_rgba(width: u32, height: u32, rgba: &[u8]) -> Result<Self> {
        check(width, height, 4, rgba.len())?;
        let (pixels, _) = rgba.as_chunks::<4>();
        let rgb = pixels.iter().flat_map(|&[r, g, b, a]| [on_white(r, a), on_white(g, a), on_white(b, a)]).collect();
        Ok(Self { width, height, rgb })
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// `(width, height)` in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The pixels: `height` rows of `width` RGB triples.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The pixels: `height` rows of `width` RGB triples.
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }

    /// The colour of one pixel, `None` outside the photo.
    pub fn pixel(&self, x: u32, y: u32) -> Option<[u8; 3]> {
        if x >= self.width || y >= self.height {
            return None;
        }
        self.rgb.as_chunks::<3>().0.get(y as usize * self.width as usize + x as usize).copied()
    }
}

impl std::fmt::Debug for Photo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Photo({} x {})", self.width, self.height)
    }
}

/// One channel of straight alpha over white, rounded to nearest.
pub(super) fn on_white(value: u8, alpha: u8) -> u8 {
    let (v, a) = (u32::from(value), u32::from(alpha));
    ((v * a + 255 * (255 - a) + 127) / 255) as u8
}

fn check(width: u32, height: u32, channels: u64, len: usize) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::argument("photo", format!("a photo of {width} x {height} pixels has no content")));
    }
    let expected = u64::from(width).checked_mul(u64::from(height)).and_then(|n| n.checked_mul(channels));
    if expected != u64::try_from(len).ok() {
        let reason = format!("{width} x {height} pixels of {channels} channels do not fit {len} bytes");
        return Err(Error::argument("photo", reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_composited_on_white() {
        let photo = Photo::from_rgba(4, 1, &[10, 20, 30, 255, 10, 20, 30, 0, 0, 0, 0, 128, 255, 0, 100, 51]).unwrap();
        assert_eq!(photo.rgb(), [10, 20, 30, 255, 255, 255, 127, 127, 127, 255, 204, 224]);
    }

    #[test]
    fn sizes_are_checked() {
        assert!(Photo::from_rgb(0, 1, vec![]).is_err());
        assert!(Photo::from_rgb(1, 0, vec![]).is_err());
        assert!(Photo::from_rgb(2, 2, vec![0; 11]).is_err());
        assert!(Photo::from_rgba(2, 2, &[0; 12]).is_err());
        assert!(Photo::from_rgb(u32::MAX, u32::MAX, vec![0; 3]).is_err());
    }

    #[test]
    fn pixels_are_addressed_by_column_and_row() {
        let photo = Photo::from_rgb(2, 2, (0..12).collect()).unwrap();
        assert_eq!(photo.pixel(1, 0), Some([3, 4, 5]));
        assert_eq!(photo.pixel(0, 1), Some([6, 7, 8]));
        assert_eq!(photo.pixel(2, 0), None);
        assert_eq!(photo.pixel(0, 2), None);
    }
}
