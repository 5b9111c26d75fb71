//! Converts the decoders' pixels to 8-bit RGB in place.

use std::ops::Range;

use ::image::ColorType;

use super::profile::Profile;
use crate::image::photo::on_white;

/// How a decoder lays out a pixel: grey or RGB, with or without alpha, at some depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Channels {
    pub grey: bool,
    alpha: bool,
    depth: Depth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    U8,
    U16,
    F32,
}

impl Depth {
    fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::F32 => 4,
        }
    }
}

/// One channel of a pixel as 8 bits, whatever its depth.
trait Sample {
    fn level(bytes: &[u8], channel: usize) -> u8;
}

struct U8;
struct U16;
struct F32;

impl Sample for U8 {
    fn level(bytes: &[u8], channel: usize) -> u8 {
        bytes[channel]
    }
}

impl Sample for U16 {
    fn level(bytes: &[u8], channel: usize) -> u8 {
        let value = u16::from_ne_bytes([bytes[2 * channel], bytes[2 * channel + 1]]);
        // Rounded to nearest: 257 levels of 16 bits are one of 8.
        ((u32::from(value) + 128) / 257) as u8
    }
}

impl Sample for F32 {
    fn level(bytes: &[u8], channel: usize) -> u8 {
        let at = 4 * channel;
        let value = f32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        // What is no number becomes 0.
        (value.clamp(0.0, 1.0) * 255.0).round() as u8
    }
}

impl Channels {
    pub const GREY: Self = Self { grey: true, alpha: false, depth: Depth::U8 };
    pub const RGB: Self = Self { grey: false, alpha: false, depth: Depth::U8 };

    /// The layout of a decoder of the image crate; `None` if it is one that no decoder gives today.
    pub fn of(color: ColorType) -> Option<Self> {
        let depth = match u16::from(color.bytes_per_pixel()) / u16::from(color.channel_count()) {
            1 => Depth::U8,
            2 => Depth::U16,
            4 => Depth::F32,
            _ => return None,
        };
        Some(Self { grey: !color.has_color(), alpha: color.has_alpha(), depth })
    }

    fn count(self) -> usize {
        let colors = if self.grey { 1 } else { 3 };
        colors + usize::from(self.alpha)
    }

    /// Bytes of a decoded pixel.
    fn bytes(self) -> usize {
        self.count() * self.depth.bytes()
    }

    /// Bytes a pixel of the buffer: of what is decoded or of RGB, whichever is more.
    pub fn buffer_bytes(self) -> u64 {
        self.bytes().max(3) as u64
    }

    /// Bytes of the buffer for so many pixels.
    pub fn buffer_len(self, pixels: usize) -> usize {
        self.bytes().max(3) * pixels
    }

    /// Where in the buffer decoded pixels belong. Those that grow are at its end, so that RGB written from its start
    /// never reaches a pixel that has not been read.
    pub fn place(self, pixels: usize) -> Range<usize> {
        let len = self.buffer_len(pixels);
        len - self.bytes() * pixels..len
    }

    /// RGB of what was decoded into a buffer of [`Channels::buffer_len`] at [`Channels::place`].
    pub fn into_rgb(self, mut buffer: Vec<u8>, profile: Option<&Profile>) -> Vec<u8> {
        if self == Self::RGB {
            if let Some(profile) = profile {
                buffer.as_chunks_mut::<3>().0.iter_mut().for_each(|rgb| *rgb = profile.convert(*rgb));
            }
            return buffer;
        }
        match self.depth {
            Depth::U8 => self.pack::<U8>(&mut buffer, profile),
            Depth::U16 => self.pack::<U16>(&mut buffer, profile),
            Depth::F32 => self.pack::<F32>(&mut buffer, profile),
        }
        buffer.truncate(buffer.len() / self.bytes().max(3) * 3);
        buffer.shrink_to_fit();
        buffer
    }

    fn pack<S: Sample>(self, buffer: &mut [u8], profile: Option<&Profile>) {
        let (step, colors) = (self.bytes(), self.count() - usize::from(self.alpha));
        let pixels = buffer.len() / step.max(3);
        let start = self.place(pixels).start;
        for pixel in 0..pixels {
            let from = start + pixel * step;
            let bytes = &buffer[from..from + step];
            let mut rgb = match colors {
                1 => [S::level(bytes, 0); 3],
                _ => [S::level(bytes, 0), S::level(bytes, 1), S::level(bytes, 2)],
            };
            if let Some(profile) = profile {
                rgb = profile.convert(rgb);
            }
            if self.alpha {
                let alpha = S::level(bytes, colors);
                rgb = rgb.map(|level| on_white(level, alpha));
            }
            buffer[3 * pixel..3 * pixel + 3].copy_from_slice(&rgb);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decoded pixels, laid where they belong.
    fn packed(color: ColorType, decoded: &[u8], pixels: usize) -> Vec<u8> {
        let channels = Channels::of(color).unwrap();
        let mut buffer = vec![0; channels.buffer_len(pixels)];
        buffer[channels.place(pixels)].copy_from_slice(decoded);
        channels.into_rgb(buffer, None)
    }

    fn wide(levels: &[u16]) -> Vec<u8> {
        levels.iter().flat_map(|v| v.to_ne_bytes()).collect()
    }

    #[test]
    fn every_layout_becomes_rgb_in_place() {
        let grey = [5, 5, 5, 6, 6, 6, 7, 7, 7];
        assert_eq!(packed(ColorType::L8, &[5, 6, 7], 3), grey);
        assert_eq!(packed(ColorType::L16, &wide(&[5 * 257 + 128, 6 * 257 - 128, 7 * 257]), 3), grey);
        assert_eq!(packed(ColorType::La8, &[5, 255, 6, 255, 7, 255], 3), grey);
        assert_eq!(packed(ColorType::La16, &wide(&[5 * 257, 65535, 9, 0]), 2), [5, 5, 5, 255, 255, 255]);
        assert_eq!(packed(ColorType::Rgb8, &[1, 2, 3, 4, 5, 6], 2), [1, 2, 3, 4, 5, 6]);
        assert_eq!(packed(ColorType::Rgba8, &[1, 2, 3, 255, 4, 5, 6, 0], 2), [1, 2, 3, 255, 255, 255]);
        assert_eq!(packed(ColorType::Rgb16, &wide(&[257, 514, 771, 65535, 0, 128]), 2), [1, 2, 3, 255, 0, 0]);
        assert_eq!(packed(ColorType::Rgba16, &wide(&[257, 514, 771, 65535]), 1), [1, 2, 3]);
        let floats: Vec<u8> = [0.0f32, 0.5, 2.0, -1.0, f32::NAN, 1.0].iter().flat_map(|v| v.to_ne_bytes()).collect();
        assert_eq!(packed(ColorType::Rgb32F, &floats, 2), [0, 128, 255, 0, 0, 255]);
    }

    #[test]
    fn a_long_row_never_overtakes_itself() {
        for color in [ColorType::L8, ColorType::La8, ColorType::L16] {
            let step = usize::from(color.bytes_per_pixel());
            let decoded: Vec<u8> = (0..1000usize)
                .flat_map(|i| {
                    (0..step).map(move |c| if c == 0 || color == ColorType::L16 { (i % 251) as u8 } else { 255 })
                })
                .collect();
            let rgb = packed(color, &decoded, 1000);
            assert!(rgb.as_chunks::<3>().0.iter().enumerate().all(|(i, p)| *p == [(i % 251) as u8; 3]), "{color:?}");
        }
    }
}
