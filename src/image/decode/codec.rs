//! The decoders of the image crate: every format but JPEG.

use std::io::{Cursor, ErrorKind};

use ::image::metadata::Orientation;
use ::image::{ImageDecoder, ImageError, ImageFormat, ImageReader};

use super::channels::Channels;
use super::{Header, Limits, Source, Trouble, exif_orientation};
use crate::image::Format;

/// A file of a format that the image crate decodes.
pub(super) struct Coded<'a> {
    format: Format,
    codec: ImageFormat,
    bytes: &'a [u8],
    /// Read once; opened anew for a second read.
    decoder: Option<Box<dyn ImageDecoder + 'a>>,
    size: (u32, u32),
    channels: Channels,
}

/// Most bytes of one thing that comes with the pixels of a PNG. Profiles have 10 MB at most.
const MOST_WITH_A_HEADER: u64 = 16 << 20;

/// Reads the header.
pub(super) fn open<'a>(
    format: Format,
    codec: ImageFormat,
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<Coded<'a>, Trouble> {
    let decoder = start(codec, bytes, limits)?;
    let (size, color) = (decoder.dimensions(), decoder.color_type());
    let channels = Channels::of(color).ok_or_else(|| Trouble::Unsupported(format!("of {color:?} pixels")))?;
    Ok(Coded { format, codec, bytes, decoder: Some(decoder), size, channels })
}

fn start<'a>(codec: ImageFormat, bytes: &'a [u8], limits: &Limits) -> Result<Box<dyn ImageDecoder + 'a>, Trouble> {
    // Limits make this one leave out a profile that is larger than the pixels, so it gets them when it reads those.
    #[cfg(not(target_arch = "wasm32"))]
    if codec == ImageFormat::Tiff {
        return Ok(Box::new(::image::codecs::tiff::TiffDecoder::new(Cursor::new(bytes)).map_err(trouble)?));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), codec);
    let mut codec_limits = ::image::Limits::no_limits();
    // For a header and what comes with it: a PNG's profile and texts are compressed, and may be bombs.
    codec_limits.max_alloc = Some(match codec {
        ImageFormat::Png => limits.max_bytes.min(MOST_WITH_A_HEADER),
        _ => limits.max_bytes,
    });
    reader.limits(codec_limits);
    Ok(Box::new(reader.into_decoder().map_err(trouble)?))
}

impl Source for Coded<'_> {
    fn header(&mut self) -> Header {
        let pixels = u64::from(self.size.0) * u64::from(self.size.1);
        let decoded = u64::from(self.decoder.as_ref().map_or(0, |d| d.color_type().bytes_per_pixel()));
        let row = u64::from(self.size.0) * decoded;
        let buffers = match self.format {
            // Planes of luma and chroma, or the canvas that a frame is drawn on.
            Format::WebP => 4 * pixels,
            // Compressed strips or tiles, and all of the picture once more.
            Format::Tiff => decoded * pixels,
            // Places in the palette. What a frame needs that is larger than its canvas, the decoder checks.
            Format::Gif => pixels + row,
            // A few rows as they are in the file.
            _ => 4 * row,
        };
        let decoder = self.decoder.as_mut();
        let (profile, orientation) = decoder.map_or((None, Orientation::NoTransforms), |decoder| {
            let orientation = match decoder.exif_metadata().ok().flatten() {
                Some(exif) => exif_orientation(&exif),
                // TIFF has a field of its own.
                None => decoder.orientation().unwrap_or(Orientation::NoTransforms),
            };
            (decoder.icc_profile().ok().flatten(), orientation)
        });
        Header { size: self.size, channels: self.channels, orientation, profile, buffers }
    }

    fn read(&mut self, pixels: &mut [u8], limits: &Limits) -> Result<(), Trouble> {
        let mut decoder = match self.decoder.take() {
            Some(decoder) => decoder,
            None => start(self.codec, self.bytes, limits)?,
        };
        let left = limits.max_bytes.saturating_sub(pixels.len() as u64);
        let mut rest = ::image::Limits::no_limits();
        // Of a GIF's frame the colours are counted, and not the places in the palette.
        rest.max_alloc = Some(if self.format == Format::Gif { left / 5 * 4 } else { left });
        decoder.set_limits(rest).map_err(trouble)?;
        decoder.read_image_boxed(pixels).map_err(trouble)
    }

    fn top_down(&self) -> bool {
        self.format == Format::Png && !interlaced(self.bytes)
    }
}

/// Whether a PNG comes in seven passes.
fn interlaced(png: &[u8]) -> bool {
    png.get(28) == Some(&1)
}

fn trouble(error: ImageError) -> Trouble {
    match error {
        ImageError::Limits(_) => Trouble::Memory,
        ImageError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => Trouble::CutOff(None),
        ImageError::Unsupported(e) => Trouble::Unsupported(format!("of another kind ({e})")),
        e => Trouble::Damaged(e.to_string(), None),
    }
}
