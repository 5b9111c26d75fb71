//! Whether a WebP, GIF or BMP file goes on to the end of its (first) picture, told from its structure alone: in a browser
//! its own decoder reads these formats, and says nothing about what is missing.

use crate::image::Format;

/// Whether the structure of a file says that its end is missing. `false` where that cannot be told.
pub(super) fn is_cut_off(format: Format, bytes: &[u8]) -> bool {
    match format {
        Format::WebP => webp(bytes).is_none(),
        Format::Gif => gif(bytes).is_none(),
        Format::Bmp => bmp(bytes).is_none(),
        _ => false,
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

/// `Some` where rows of pixels that are not compressed all lie within the file.
fn bmp(bytes: &[u8]) -> Option<()> {
    let (offset, header) = (u32_at(bytes, 10)?, u32_at(bytes, 14)?);
    let (width, height, bits, compression) = match header {
        12 => (u16_at(bytes, 18)?, u16_at(bytes, 20)?, u16_at(bytes, 24)?, 0),
        // The height is negative where rows run downwards.
        _ => {
            let height = (u32_at(bytes, 22)? as u32).cast_signed().unsigned_abs() as usize;
            (u32_at(bytes, 18)?, height, u16_at(bytes, 28)?, u32_at(bytes, 30)?)
        }
    };
    // Of the run-length codes only a decoder knows the end.
    if !matches!(compression, 0 | 3) {
        return Some(());
    }
    let row = (width as u64).checked_mul(bits as u64)?.div_ceil(32) * 4;
    let end = row.checked_mul(height as u64).and_then(|n| n.checked_add(offset as u64));
    // A size that no file can have is over the limits, which is the better message.
    (end.is_none_or(|end| end <= bytes.len() as u64) || height as u64 * width as u64 > 1 << 27).then_some(())
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
    fn other_formats_are_left_to_their_decoders() {
        assert!(!is_cut_off(Format::Png, b"\x89PNG") && !is_cut_off(Format::Tiff, b"II*\0"));
    }
}
