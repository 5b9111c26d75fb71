//! What the structure of a WebP, GIF or BMP file says: its size, and whether it contains its (first) picture to the
//! end. In a browser, the browser's decoder reads these formats. It does not report what is missing, and it takes half
//! a minute for a picture of the largest size.

use crate::image::Format;

/// Whether the structure of a file says that its end is missing. `false` if the structure does not say.
pub(super) fn is_cut_off(format: Format, bytes: &[u8]) -> bool {
    match format {
        Format::WebP => webp(bytes).is_none(),
        Format::Gif => gif(bytes).is_none(),
        Format::Bmp => bmp(bytes).is_none(),
        _ => false,
    }
}

/// Width and height that a WebP, GIF or BMP file declares.
pub(super) fn declared_size(format: Format, bytes: &[u8]) -> Option<(u32, u32)> {
    let size = match format {
        Format::WebP => webp_size(bytes)?,
        Format::Gif => (u16_at(bytes, 6)?, u16_at(bytes, 8)?),
        Format::Bmp => bmp_header(bytes).map(|header| (header.width, header.height))?,
        _ => return None,
    };
    Some((u32::try_from(size.0).ok()?, u32::try_from(size.1).ok()?))
}

/// That of the first chunk: the canvas, or the stream of either kind.
fn webp_size(bytes: &[u8]) -> Option<(usize, usize)> {
    let three = |at: usize| Some(u16_at(bytes, at)? | usize::from(*bytes.get(at + 2)?) << 16);
    match bytes.get(12..16)? {
        b"VP8X" => Some((three(24)? + 1, three(27)? + 1)),
        b"VP8L" => {
            let packed = u32_at(bytes, 21)?;
            Some(((packed & 0x3fff) + 1, (packed >> 14 & 0x3fff) + 1))
        }
        b"VP8 " => Some((u16_at(bytes, 26)? & 0x3fff, u16_at(bytes, 28)? & 0x3fff)),
        _ => None,
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk::<4>().map(|&n| u32::from_le_bytes(n) as usize)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk::<2>().map(|&n| usize::from(u16::from_le_bytes(n)))
}

/// `Some` where the first chunk of pixels, or the first frame of an animation, ends within the file.
fn webp(bytes: &[u8]) -> Option<()> {
    let mut at = 12;
    loop {
        let (kind, length) = (bytes.get(at..at + 4)?, u32_at(bytes, at + 4)?);
        let end = at.checked_add(8)?.checked_add(length)?;
        if matches!(kind, b"VP8 " | b"VP8L" | b"ANMF") {
            return (end <= bytes.len()).then_some(());
        }
        // Chunks have an even length.
        at = end.checked_add(length % 2)?;
    }
}

/// `Some` where the blocks of the first picture end with an empty one.
fn gif(bytes: &[u8]) -> Option<()> {
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let blocks = |mut at: usize| {
        loop {
            match bytes.get(at)? {
                0 => return Some(at + 1),
                &length => at += 1 + usize::from(length),
            }
        }
    };
    let mut at = 13 + table(*bytes.get(10)?);
    loop {
        match bytes.get(at)? {
            0x21 => at = blocks(at + 2)?,
            0x2c => return blocks(at + 11 + table(*bytes.get(at + 9)?)).map(drop),
            // The end of a file without a picture, or none of its blocks: for the decoder to say.
            _ => return Some(()),
        }
    }
}

/// What the headers of a BMP say of its pixels.
struct BmpHeader {
    offset: usize,
    width: usize,
    height: usize,
    bits: usize,
    compression: usize,
}

fn bmp_header(bytes: &[u8]) -> Option<BmpHeader> {
    let offset = u32_at(bytes, 10)?;
    if u32_at(bytes, 14)? == 12 {
        let (width, height, bits) = (u16_at(bytes, 18)?, u16_at(bytes, 20)?, u16_at(bytes, 24)?);
        return Some(BmpHeader { offset, width, height, bits, compression: 0 });
    }
    // The height is negative where rows run downwards.
    let height = (u32_at(bytes, 22)? as u32).cast_signed().unsigned_abs() as usize;
    let (width, bits, compression) = (u32_at(bytes, 18)?, u16_at(bytes, 28)?, u32_at(bytes, 30)?);
    Some(BmpHeader { offset, width, height, bits, compression })
}

/// `Some` where rows of pixels that are not compressed all lie within the file.
fn bmp(bytes: &[u8]) -> Option<()> {
    let BmpHeader { offset, width, height, bits, compression } = bmp_header(bytes)?;
    // Of the run-length codes only a decoder knows the end.
    if !matches!(compression, 0 | 3) {
        return Some(());
    }
    let row = (width as u64).checked_mul(bits as u64)?.div_ceil(32) * 4;
    let end = row.checked_mul(height as u64).and_then(|n| n.checked_add(offset as u64));
    // Of a size that no file can have, the limits speak better.
    let absurd = (width as u64).saturating_mul(height as u64) > 1 << 27;
    (absurd || end.is_some_and(|end| end <= bytes.len() as u64)).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_found_in_the_structure() {
        let gif = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff\x21\xf9\x04\0\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0\x3b";
        let webp = b"RIFF\x1a\0\0\0WEBPALPH\x01\0\0\0a\0VP8 \x04\0\0\0abcd";
        let mut bmp = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x03\0\0\0\x02\0\0\0\x01\0\x18\0\0\0\0\0".to_vec();
        bmp.resize(0x36 + 2 * 12, 0);
        for (format, whole, needed) in [
            (Format::Gif, gif.as_slice(), gif.len() - 1),
            (Format::WebP, webp, webp.len()),
            (Format::Bmp, &bmp, bmp.len()),
        ] {
            for end in 0..=whole.len() {
                assert_eq!(is_cut_off(format, &whole[..end]), end < needed, "{format:?} {end}");
            }
        }
    }

    #[test]
    fn sizes_are_declared_in_the_header() {
        let webp = |after: &[u8]| [b"RIFF\0\0\0\0WEBP".as_slice(), after].concat();
        let cases = [
            (Format::Gif, b"GIF89a\x03\x01\x02\0".to_vec(), Some((259, 2))),
            (Format::Gif, b"GIF89a\x03\x01".to_vec(), None),
            (Format::WebP, webp(b"VP8X\x0a\0\0\0\0\0\0\0\x3c\0\x01\x2a\0\0"), Some((65_597, 43))),
            (Format::WebP, webp(b"VP8L\x05\0\0\0\x2f\xff\xff\xff\x0f"), Some((16_384, 16_384))),
            (Format::WebP, webp(b"VP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\x40\x01\xf0\0"), Some((320, 240))),
            (Format::WebP, webp(b"ALPH"), None),
            (Format::Png, b"\x89PNG".to_vec(), None),
        ];
        for (format, bytes, size) in cases {
            assert_eq!(declared_size(format, &bytes), size, "{bytes:02x?}");
        }
        let mut bmp = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x03\0\0\0".to_vec();
        bmp.extend((-7i32).to_le_bytes());
        bmp.extend([1, 0, 24, 0, 0, 0, 0, 0]);
        assert_eq!(declared_size(Format::Bmp, &bmp), Some((3, 7)));
    }

    #[test]
    fn other_formats_are_left_to_their_decoders() {
        assert!(!is_cut_off(Format::Png, b"\x89PNG") && !is_cut_off(Format::Tiff, b"II*\0"));
    }
}
