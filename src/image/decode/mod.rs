//! Image files to pixels.

mod channels;
mod codec;
mod jpeg;
mod markers;
mod profile;
mod whole;

use ::image::metadata::Orientation;
use ::image::{RgbImage, imageops};

use self::channels::Channels;
use self::profile::Profile;
use super::Photo;
use super::format::{Format, sniff};
use crate::error::{Error, Result};

/// What decoding may take. Checked against the file's header before any pixel memory is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels on one side. What is longer is no photo, and every row of it would need buffers of that length.
    pub max_side: u32,
    /// Most pixels of one image (width times height).
    pub max_pixels: u64,
    /// Most bytes of memory for decoding one image, its pixels and the decoder's own buffers together.
    pub max_bytes: u64,
}

impl Default for Limits {
    /// 65,535 pixels on a side, which is the most that JPEG can hold; 120 megapixels, which is more than most telephone
    /// cameras make; and 400 MiB.
    fn default() -> Self {
        Self { max_side: 65_535, max_pixels: 120_000_000, max_bytes: 400 << 20 }
    }
}

/// Decodes an image file: JPEG, PNG, WebP, GIF (its first frame), BMP or, except in a browser, TIFF. The content tells
/// which, and not the name.
///
/// The photo comes upright (Exif orientation applied), 16-bit channels are rounded to 8, grey becomes RGB, and
/// transparent pixels are composited on white. Colours of an embedded profile that has primaries and curves, such as
/// Display P3 and Adobe RGB, are converted to sRGB; other profiles (of tables only, of CMYK) are ignored.
///
/// `name` is what errors call the image.
///
/// # Errors
/// [`Error::Image`] if the bytes are not an image of these formats (saying what they look like instead) or if any of
/// its pixels are missing or damaged; [`Error::TooLarge`] if a limit would be passed.
pub fn decode(name: &str, bytes: &[u8], limits: &Limits) -> Result<Photo> {
    let format = sniff(bytes);
    let format_name = format.describe();
    if let Some(size) = whole::declared_size(format, bytes) {
        check_size(size, limits).map_err(|trouble| trouble.explain(name, format, limits))?;
    }
    if whole::is_cut_off(format, bytes) {
        return Err(Error::image(name, format!("it is {format_name} that is cut off before its end; {COPY_AGAIN}")));
    }
    let read = match format {
        Format::Jpeg => jpeg::open(bytes).and_then(|source| picture(source, limits)),
        _ => match format.codec() {
            Some(codec) => codec::open(format, codec, bytes, limits).and_then(|source| picture(source, limits)),
            None => return Err(Error::image(name, not_ours(format))),
        },
    };
    read.map_err(|trouble| trouble.explain(name, format, limits))
}

/// Whether an image file is for a browser's own decoder to read: it is of a format that [`decode`] does not read here,
/// that browsers may know, and nothing in its structure says that its end is missing.
///
/// ```
/// assert!(famlens::image::left_to_browser(b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf"));
/// assert!(!famlens::image::left_to_browser(b"\xff\xd8\xff a damaged JPEG"));
/// ```
pub fn left_to_browser(bytes: &[u8]) -> bool {
    let format = sniff(bytes);
    !format.is_supported() && format.browser_may_decode() && !whole::is_cut_off(format, bytes)
}

/// What the header of a file says, before any pixel is decoded.
struct Header {
    size: (u32, u32),
    channels: Channels,
    orientation: Orientation,
    /// The embedded ICC profile.
    profile: Option<Vec<u8>>,
    /// Bytes that the decoder takes beside the pixels that it gives.
    buffers: u64,
}

/// A file whose header has been read.
trait Source {
    fn header(&mut self) -> Header;

    /// Decodes into a buffer of exactly the picture's size, from its start. May be called again after an error.
    fn read(&mut self, pixels: &mut [u8], limits: &Limits) -> Result<(), Trouble>;

    /// Whether rows are written from the first to the last.
    fn top_down(&self) -> bool;
}

/// Why a file gives no picture.
#[derive(Debug)]
enum Trouble {
    /// The file ends too early; how much of the picture is missing, in per cent, where that is known.
    CutOff(Option<u32>),
    /// The data in it are not right; what the decoder said, and how much of the picture is missing.
    Damaged(String, Option<u32>),
    /// A variant of the format that is not decoded.
    Unsupported(String),
    /// Something is over a limit: what, and the limit.
    TooLarge(String, String),
    /// The decoder would need more memory than it may have.
    Memory,
}

const COPY_AGAIN: &str = "copy or download it again";

impl Trouble {
    fn explain(self, name: &str, format: Format, limits: &Limits) -> Error {
        let kind = format.describe();
        let too_large =
            |size: String, limit: String| Error::TooLarge { what: format!("the image {name}"), size, limit };
        match self {
            Self::CutOff(None) => {
                Error::image(name, format!("it is {kind} that is cut off before its end; {COPY_AGAIN}"))
            }
            Self::CutOff(Some(share)) => Error::image(
                name,
                format!("it is {kind} that is cut off: the last {share} % of its rows are missing; {COPY_AGAIN}"),
            ),
            Self::Damaged(what, None) => {
                Error::image(name, format!("it is {kind} that is damaged ({what}); {COPY_AGAIN}"))
            }
            Self::Damaged(what, Some(share)) => {
                let missing = format!("the last {share} % of its rows cannot be read");
                Error::image(name, format!("it is {kind} that is damaged ({what}): {missing}; {COPY_AGAIN}"))
            }
            Self::Unsupported(what) => {
                let reason =
                    format!("it is {kind} {what}, which famlens does not read; save it as ordinary JPEG or PNG");
                Error::image(name, reason)
            }
            Self::TooLarge(size, limit) => too_large(size, limit),
            Self::Memory => {
                let size = format!("decoding {kind} of the size it declares takes more memory");
                too_large(size, format!("{} MiB", limits.max_bytes >> 20))
            }
        }
    }
}

/// Decodes a file that was opened, within the limits.
fn picture(mut source: impl Source, limits: &Limits) -> Result<Photo, Trouble> {
    let header = source.header();
    let (width, height) = header.size;
    if width == 0 || height == 0 {
        let what = format!("it declares {width} x {height} pixels, so it has no content");
        return Err(Trouble::Damaged(what, None));
    }
    check_limits(&header, limits)?;
    let count = width as usize * height as usize;
    let mut buffer = vec![0; header.channels.buffer_len(count)];
    let at = header.channels.place(count);
    if let Err(trouble) = source.read(&mut buffer[at.clone()], limits) {
        return Err(match source.top_down() {
            true => missing(trouble, source, &mut buffer[at], height, limits),
            false => trouble,
        });
    }
    let profile = header.profile.and_then(|icc| Profile::new(&icc, header.channels.grey));
    let rgb = header.channels.into_rgb(buffer, profile.as_ref());
    let rgb = RgbImage::from_raw(width, height, rgb).ok_or(Trouble::Memory)?;
    let upright = upright(rgb, header.orientation);
    let (width, height) = upright.dimensions();
    Photo::from_rgb(width, height, upright.into_raw()).map_err(|e| Trouble::Damaged(e.to_string(), None))
}

/// Adds to an error how many of the rows are missing: those that the decoder has not written. Rows may be all 0 because
/// the picture is black there, so it decodes once more over another value.
fn missing(trouble: Trouble, mut source: impl Source, pixels: &mut [u8], height: u32, limits: &Limits) -> Trouble {
    let row = pixels.len() / height as usize;
    let untouched =
        |pixels: &[u8], with: u8| pixels.rchunks_exact(row).take_while(|r| r.iter().all(|&v| v == with)).count();
    let rows = untouched(pixels, 0);
    pixels.fill(0xff);
    // The same error again, which is known already.
    let _ = source.read(pixels, limits);
    let rows = rows.min(untouched(pixels, 0xff));
    let share = (rows > 0).then(|| ((rows as f64 * 100.0 / f64::from(height)).round() as u32).max(1));
    match trouble {
        Trouble::CutOff(_) => Trouble::CutOff(share),
        Trouble::Damaged(what, _) => Trouble::Damaged(what, share),
        other => other,
    }
}

/// The picture the right way up.
fn upright(mut rgb: RgbImage, orientation: Orientation) -> RgbImage {
    match orientation {
        Orientation::NoTransforms => {}
        Orientation::Rotate180 => imageops::rotate180_in_place(&mut rgb),
        Orientation::FlipHorizontal => imageops::flip_horizontal_in_place(&mut rgb),
        Orientation::FlipVertical => imageops::flip_vertical_in_place(&mut rgb),
        Orientation::Rotate90 => return imageops::rotate90(&rgb),
        Orientation::Rotate270 => return imageops::rotate270(&rgb),
        Orientation::Rotate90FlipH => {
            rgb = imageops::rotate90(&rgb);
            imageops::flip_horizontal_in_place(&mut rgb);
        }
        Orientation::Rotate270FlipH => {
            rgb = imageops::rotate270(&rgb);
            imageops::flip_horizontal_in_place(&mut rgb);
        }
    }
    rgb
}

/// The orientation that Exif data tell; upright if there are none or they cannot be read.
fn exif_orientation(exif: &[u8]) -> Orientation {
    // Some writers of WebP and PNG keep the prefix that Exif has in JPEG.
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms)
}

fn check_size((width, height): (u32, u32), limits: &Limits) -> Result<(), Trouble> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.max_pixels {
        let size = format!("{width} x {height} = {:.1} megapixels", pixels as f64 / 1e6);
        return Err(Trouble::TooLarge(size, format!("{:.1} megapixels", limits.max_pixels as f64 / 1e6)));
    }
    if width.max(height) > limits.max_side {
        let limit = format!("{} pixels on a side", limits.max_side);
        return Err(Trouble::TooLarge(format!("{width} x {height} pixels"), limit));
    }
    Ok(())
}

fn check_limits(header: &Header, limits: &Limits) -> Result<(), Trouble> {
    check_size(header.size, limits)?;
    let (width, height) = header.size;
    let pixels = u64::from(width) * u64::from(height);
    // Turning a picture by a quarter takes a second one; the decoder's own buffers are gone by then.
    let turned = match header.orientation {
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => 0,
        _ => 6,
    };
    let decoding = header.channels.buffer_bytes().saturating_mul(pixels).saturating_add(header.buffers);
    let bytes = decoding.max(pixels.saturating_mul(turned));
    if bytes > limits.max_bytes || usize::try_from(bytes).is_err() {
        let size = format!("{width} x {height} pixels take {} MiB to decode", bytes.div_ceil(1 << 20));
        return Err(Trouble::TooLarge(size, format!("{} MiB", limits.max_bytes >> 20)));
    }
    Ok(())
}

fn not_ours(format: Format) -> String {
    let advice = "JPEG, PNG, WebP, GIF, BMP and TIFF can be read";
    let it_is = format!("it is {}", format.describe());
    match format {
        Format::Empty => "the file is empty".to_owned(),
        Format::Unknown => format!("its first bytes are {}; {advice}", format.describe()),
        Format::Html => format!("{it_is}, perhaps an error page saved in place of the image; {advice}"),
        _ if format.browser_may_decode() => {
            format!(
                "{it_is}, which famlens leaves to browsers: open it on the page, or save it as JPEG or PNG ({advice})"
            )
        }
        _ => format!("{it_is}; {advice}"),
    }
}
