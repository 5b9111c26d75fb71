//! Image files to pixels.

use std::io::Cursor;

use ::image::metadata::Orientation;
use ::image::{ColorType, DynamicImage, ImageDecoder, ImageReader};

use super::format::{Format, sniff};
use super::{Photo, jpeg};
use crate::error::{Error, Result};

/// What decoding may take. Checked against the file's header before any pixel memory is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels of one image (width times height).
    pub max_pixels: u64,
    /// Most bytes of memory for decoding one image, its pixels and the decoder's own buffers together.
    pub max_bytes: u64,
}

impl Default for Limits {
    /// 120 megapixels, which is more than most telephone cameras make, and 1 GiB.
    fn default() -> Self {
        Self { max_pixels: 120_000_000, max_bytes: 1 << 30 }
    }
}

/// Decodes an image file: JPEG, PNG, WebP, GIF (its first frame) or BMP, told by content and not by name.
///
/// The photo comes upright (Exif orientation applied), 16-bit channels are rounded to 8, grey becomes RGB, and
/// transparent pixels are composited on white. Colour profiles are ignored, as the networks' training code ignores them.
///
/// `name` is what errors call the image.
///
/// # Errors
/// [`Error::Image`] if the bytes are not an image of these formats (saying what they look like instead) or are damaged
/// or cut off; [`Error::TooLarge`] if a limit would be passed. [`sniff`] tells whether a browser may do better.
pub fn decode(name: &str, bytes: &[u8], limits: &Limits) -> Result<Photo> {
    let format = sniff(bytes);
    let codec = format.codec().ok_or_else(|| Error::image(name, not_ours(format)))?;
    let markers = if format == Format::Jpeg { jpeg::markers(bytes) } else { jpeg::Markers::default() };

    let damaged = |error: ::image::ImageError| failed(name, format, limits, &error);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), codec);
    let mut codec_limits = ::image::Limits::no_limits();
    codec_limits.max_alloc = Some(limits.max_bytes);
    reader.limits(codec_limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;

    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(Error::image(name, format!("it declares {width} x {height} pixels, so it has no content")));
    }
    let orientation = orientation(&mut decoder);
    check_limits(name, (width, height), memory_per_pixel(format, decoder.color_type(), orientation, markers), limits)?;
    if format == Format::Jpeg && !markers.complete {
        return Err(Error::image(name, cut_off(format)));
    }

    let mut pixels = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    pixels.apply_orientation(orientation);
    let (width, height) = (pixels.width(), pixels.height());
    if pixels.color().has_alpha() {
        Photo::from_rgba(width, height, &pixels.into_rgba8())
    } else {
        Photo::from_rgb(width, height, pixels.into_rgb8().into_raw())
    }
}

/// The orientation that the Exif data tells; upright if there is none or it cannot be read.
fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    let exif = decoder.exif_metadata().ok().flatten().unwrap_or_default();
    // Some writers of WebP and PNG keep the prefix that Exif has in JPEG.
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif);
    Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms)
}

/// Peak bytes a pixel while decoding: the decoder's output and its own buffers, then one copy where colours are
/// converted or the picture is turned.
fn memory_per_pixel(format: Format, color: ColorType, orientation: Orientation, markers: jpeg::Markers) -> u64 {
    let output = u64::from(color.bytes_per_pixel());
    let buffers = match format {
        Format::Jpeg if markers.progressive => 6,
        Format::WebP => 4,
        _ => 0,
    };
    let turned = match orientation {
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => 0,
        _ => output,
    };
    let converted = match color {
        ColorType::Rgb8 => 0,
        ColorType::Rgba8 => 3,
        _ if color.has_alpha() => 7,
        _ => 3,
    };
    output + buffers.max(turned).max(converted)
}

fn check_limits(name: &str, (width, height): (u32, u32), per_pixel: u64, limits: &Limits) -> Result<()> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.max_pixels {
        return Err(Error::TooLarge {
            what: format!("the image {name}"),
            size: format!("{width} x {height} = {:.1} megapixels", pixels as f64 / 1e6),
            limit: format!("{:.1} megapixels", limits.max_pixels as f64 / 1e6),
        });
    }
    let bytes = pixels.saturating_mul(per_pixel);
    if bytes > limits.max_bytes {
        return Err(Error::TooLarge {
            what: format!("the image {name}"),
            size: format!("{width} x {height} pixels take {} MiB to decode", bytes.div_ceil(1 << 20)),
            limit: format!("{} MiB", limits.max_bytes >> 20),
        });
    }
    Ok(())
}

fn not_ours(format: Format) -> String {
    let advice = "JPEG, PNG, WebP, GIF and BMP can be read";
    match format {
        Format::Empty => "the file is empty".to_owned(),
        Format::Unknown => format!("its first bytes are {}; {advice}", format.describe()),
        Format::Html => {
            format!("it is {}, perhaps an error page saved in place of the image; {advice}", format.describe())
        }
        _ if format.browser_may_decode() => {
            format!("it is {}, which famlens does not decode; save it as JPEG or PNG ({advice})", format.describe())
        }
        _ => format!("it is {}; {advice}", format.describe()),
    }
}

fn cut_off(format: Format) -> String {
    format!("it is {} that is cut off before its end; copy or download it again", format.describe())
}

fn failed(name: &str, format: Format, limits: &Limits, error: &::image::ImageError) -> Error {
    use ::image::ImageError;
    match error {
        ImageError::Limits(_) => Error::TooLarge {
            what: format!("the image {name}"),
            size: format!("decoding {} of the size it declares takes more memory", format.describe()),
            limit: format!("{} MiB", limits.max_bytes >> 20),
        },
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Error::image(name, cut_off(format)),
        ImageError::Unsupported(e) => Error::image(
            name,
            format!("it is {} of a kind that cannot be read ({e}); save it as ordinary JPEG or PNG", format.describe()),
        ),
        e => Error::image(name, format!("it is {} that is damaged ({e})", format.describe())),
    }
}
