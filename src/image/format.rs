//! The format of a file by its first bytes, whatever its name claims.

/// A file format, as far as its first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    WebP,
    /// GIF.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// AVIF.
    Avif,
    /// HEIC or HEIF.
    Heic,
    /// JPEG XL.
    JpegXl,
    /// JPEG 2000.
    Jpeg2000,
    /// TIFF, and the many camera raw formats that are TIFF inside.
    Tiff,
    /// Windows icon.
    Ico,
    /// SVG.
    Svg,
    /// Photoshop.
    Psd,
    /// PDF.
    Pdf,
    /// A video in an MP4 or QuickTime container, WebM, Matroska or AVI.
    Video,
    /// A ZIP or gzip archive.
    Archive,
    /// An HTML page, often an error page saved under an image's name.
    Html,
    /// Some other text.
    Text,
    /// No bytes at all.
    Empty,
    /// None of the above.
    Unknown,
}

impl Format {
    /// Whether [`crate::image::decode()`] reads this format here: in a browser JPEG and PNG, else WebP, GIF, BMP and
    /// TIFF as well.
    pub fn is_supported(self) -> bool {
        self.codec().is_some()
    }

    /// Whether it is worth handing the bytes to a browser's own decoder. Not every browser reads every one of these;
    /// JPEG and PNG are not among them, because famlens reads them everywhere and judges by itself what is damaged.
    pub fn browser_may_decode(self) -> bool {
        matches!(
            self,
            Self::WebP
                | Self::Gif
                | Self::Bmp
                | Self::Avif
                | Self::Heic
                | Self::JpegXl
                | Self::Jpeg2000
                | Self::Tiff
                | Self::Ico
                | Self::Svg
        )
    }

    /// The format for people, with its article: `"an AVIF image"`.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Jpeg => "a JPEG image",
            Self::Png => "a PNG image",
            Self::WebP => "a WebP image",
            Self::Gif => "a GIF image",
            Self::Bmp => "a BMP image",
            Self::Avif => "an AVIF image",
            Self::Heic => "an HEIC image",
            Self::JpegXl => "a JPEG XL image",
            Self::Jpeg2000 => "a JPEG 2000 image",
            Self::Tiff => "a TIFF or camera raw image",
            Self::Ico => "a Windows icon",
            Self::Svg => "an SVG drawing",
            Self::Psd => "a Photoshop file",
            Self::Pdf => "a PDF document",
            Self::Video => "a video",
            Self::Archive => "an archive",
            Self::Html => "an HTML page",
            Self::Text => "a text file",
            Self::Empty => "an empty file",
            Self::Unknown => "no image format known to famlens",
        }
    }

    /// The decoder for this format, if it is compiled in: a browser has its own for all but JPEG and PNG.
    pub(super) fn codec(self) -> Option<::image::ImageFormat> {
        match self {
            Self::Jpeg => Some(::image::ImageFormat::Jpeg),
            Self::Png => Some(::image::ImageFormat::Png),
            _ if cfg!(target_arch = "wasm32") => None,
            Self::WebP => Some(::image::ImageFormat::WebP),
            Self::Gif => Some(::image::ImageFormat::Gif),
            Self::Bmp => Some(::image::ImageFormat::Bmp),
            Self::Tiff => Some(::image::ImageFormat::Tiff),
            _ => None,
        }
    }
}

/// Recognises a format by the first bytes of a file, at most the first 4 KiB.
///
/// ```
/// use famlens::image::{Format, sniff};
///
/// assert_eq!(sniff(b"\x89PNG\r\n\x1a\n"), Format::Png);
/// assert_eq!(sniff(b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>"), Format::Svg);
/// ```
pub fn sniff(bytes: &[u8]) -> Format {
    const SIGNATURES: &[(&[u8], Format)] = &[
        (b"\xff\xd8\xff", Format::Jpeg),
        (b"\x89PNG\r\n\x1a\n", Format::Png),
        (b"GIF87a", Format::Gif),
        (b"GIF89a", Format::Gif),
        (b"\xff\x0a", Format::JpegXl),
        (b"\0\0\0\x0cJXL \r\n\x87\n", Format::JpegXl),
        (b"\0\0\0\x0cjP  \r\n\x87\n", Format::Jpeg2000),
        (b"\xff\x4f\xff\x51", Format::Jpeg2000),
        (b"II*\0", Format::Tiff),
        (b"MM\0*", Format::Tiff),
        (b"II+\0", Format::Tiff),
        (b"MM\0+", Format::Tiff),
        (b"\0\0\x01\0", Format::Ico),
        (b"8BPS", Format::Psd),
        (b"%PDF-", Format::Pdf),
        (b"\x1a\x45\xdf\xa3", Format::Video),
        (b"PK\x03\x04", Format::Archive),
        (b"\x1f\x8b", Format::Archive),
    ];
    if bytes.is_empty() {
        return Format::Empty;
    }
    if let Some(&(_, format)) = SIGNATURES.iter().find(|(signature, _)| bytes.starts_with(signature)) {
        return format;
    }
    if bytes.starts_with(b"RIFF") {
        return match bytes.get(8..12) {
            Some(b"WEBP") => Format::WebP,
            Some(b"AVI ") => Format::Video,
            _ => Format::Unknown,
        };
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return iso_media(bytes);
    }
    if bytes.starts_with(b"BM") && is_bitmap_header(bytes) {
        return Format::Bmp;
    }
    text(bytes)
}

/// AVIF, HEIC and MP4 share a container and differ in the brands that its first box lists.
fn iso_media(bytes: &[u8]) -> Format {
    let declared = bytes.first_chunk::<4>().map_or(0, |&n| u32::from_be_bytes(n)) as usize;
    let end = declared.min(bytes.len()).min(4096);
    // The major brand, a version that is no brand, then the compatible brands.
    let brands = || bytes.get(8..end.max(8)).unwrap_or_default().chunks_exact(4);
    if brands().any(|brand| brand == b"avif" || brand == b"avis") {
        return Format::Avif;
    }
    const HEIC: [&[u8]; 10] =
        [b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"];
    if brands().any(|brand| HEIC.contains(&brand)) { Format::Heic } else { Format::Video }
}

/// Two letters are a weak signature, so the size of the second header must be one that exists.
fn is_bitmap_header(bytes: &[u8]) -> bool {
    let size = bytes.get(14..18).and_then(|b| b.first_chunk::<4>()).map(|&n| u32::from_le_bytes(n));
    matches!(size, Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
}

fn text(bytes: &[u8]) -> Format {
    let head = bytes.get(..4096).unwrap_or(bytes);
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let valid = match std::str::from_utf8(head) {
        Ok(_) => head.len(),
        // The last character may have been cut in two.
        Err(e) if head.len() - e.valid_up_to() < 4 && bytes.len() > 4096 => e.valid_up_to(),
        Err(_) => return Format::Unknown,
    };
    let head = head.get(..valid).unwrap_or_default();
    if head.iter().any(|&b| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c)) {
        return Format::Unknown;
    }
    let lower = head.to_ascii_lowercase();
    let contains = |needle: &[u8]| lower.windows(needle.len()).any(|window| window == needle);
    let markup = lower.trim_ascii_start().starts_with(b"<");
    if markup && (contains(b"<!doctype html") || contains(b"<html")) {
        Format::Html
    } else if markup && contains(b"<svg") {
        Format::Svg
    } else {
        Format::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        let cases: &[(&[u8], Format)] = &[
            (b"", Format::Empty),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", Format::Jpeg),
            (b"GIF89a\x01\0\x01\0", Format::Gif),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Format::WebP),
            (b"RIFF\x10\0\0\0WAVEfmt ", Format::Unknown),
            (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", Format::Bmp),
            (b"BMW makes cars, and this is text", Format::Text),
            (b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf", Format::Avif),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", Format::Avif),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Format::Heic),
            (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", Format::Video),
            (b"\xff\x0a\0\0", Format::JpegXl),
            (b"II*\0\x08\0\0\0", Format::Tiff),
            (b"\xef\xbb\xbf<!-- drawn --><svg>", Format::Svg),
            (b"\n<!DOCTYPE html><html><body><svg></svg>", Format::Html),
            (b"%PDF-1.7", Format::Pdf),
            (b"PK\x03\x04", Format::Archive),
            (b"version https://git-lfs.github.com/spec/v1", Format::Text),
            (b"x < y and <svg", Format::Text),
            (b"\x01\x02\x03\x04", Format::Unknown),
            (b"\xff\xfe\x41\0", Format::Unknown),
        ];
        for (bytes, format) in cases {
            assert_eq!(sniff(bytes), *format, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_character_cut_at_the_window_is_still_text() {
        let mut bytes = vec![b'a'; 4095];
        bytes.extend("ü and more".as_bytes());
        assert_eq!(sniff(&bytes), Format::Text);
    }
}
