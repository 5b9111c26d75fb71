//! WebP, GIF, BMP and TIFF files that ask for much, or contradict themselves.

use image::ImageFormat;

use crate::files::{encoded, rgb};
use crate::random::Random;

fn changed(file: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

fn webp(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let chunk = |(kind, body): &(&[u8; 4], Vec<u8>)| {
        let padding = vec![0; body.len() % 2];
        [kind.as_slice(), &(body.len() as u32).to_le_bytes(), body, &padding].concat()
    };
    let body: Vec<u8> = chunks.iter().flat_map(chunk).collect();
    [b"RIFF".as_slice(), &(body.len() as u32 + 4).to_le_bytes(), b"WEBP", &body].concat()
}

/// The header of an extended WebP: flags, then width and height less one.
fn extended(flags: u8, width: u32, height: u32) -> Vec<u8> {
    [&[flags, 0, 0, 0], &width.to_le_bytes()[..3], &height.to_le_bytes()[..3]].concat()
}

fn gif(width: u16, height: u16, after: &[u8]) -> Vec<u8> {
    let sizes = [width.to_le_bytes(), height.to_le_bytes()].concat();
    [b"GIF89a".as_slice(), &sizes, b"\x80\0\0\0\0\0\xff\xff\xff", after].concat()
}

/// A frame of a GIF, with compressed data that say nothing but "clear" and "end".
fn frame(left: u16, top: u16, width: u16, height: u16, data: &[u8]) -> Vec<u8> {
    let place = [left, top, width, height].map(u16::to_le_bytes).concat();
    [b"\x2c".as_slice(), &place, b"\0", data].concat()
}

/// A TIFF of these fields (tag, type, count, value), little-endian, with `data` at its end.
fn tiff(fields: &[(u16, u16, u32, u32)], next: u32, data: &[u8]) -> Vec<u8> {
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    file.extend((fields.len() as u16).to_le_bytes());
    for &(tag, kind, count, value) in fields {
        file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        file.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    file.extend(next.to_le_bytes());
    file.extend_from_slice(data);
    file
}

fn grey(width: u32, height: u32, more: &[(u16, u16, u32, u32)]) -> Vec<u8> {
    let mut fields = vec![
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, width.wrapping_mul(height)),
    ];
    fields.retain(|field| more.iter().all(|other| other.0 != field.0));
    fields.extend(more);
    fields.sort_unstable();
    tiff(&fields, 0, &[0; 64])
}

pub fn files(random: &mut Random) -> Vec<(String, Vec<u8>)> {
    let picture = rgb(61, 43);
    let lossless = encoded(&picture, ImageFormat::WebP);
    let stream = lossless[20..].to_vec();
    let bmp = encoded(&picture, ImageFormat::Bmp);
    let sized = |w: i32, h: i32| changed(&bmp, 18, &[w.to_le_bytes(), h.to_le_bytes()].concat());
    let nothing: &[u8] = b"\x02\x02\x44\x01\0";
    let named = [
        ("webp_huge.webp", webp(&[(b"VP8L", [b"\x2f\xff\xff\xff\x0f".as_slice(), &random.bytes(500)].concat())])),
        ("webp_canvas_huge.webp", webp(&[(b"VP8X", extended(0, 0xff_ffff, 0xff_ffff)), (b"VP8L", stream.clone())])),
        ("webp_canvas_wide.webp", webp(&[(b"VP8X", extended(0, 0xff_ffff, 0)), (b"VP8L", stream.clone())])),
        ("webp_animation_of_nothing.webp", webp(&[(b"VP8X", extended(2, 60, 42)), (b"ANIM", vec![0; 6])])),
        ("webp_animation_past_its_canvas.webp", {
            let place = [&[0xff; 6], [60, 0, 0, 42, 0, 0, 0, 0, 0, 0].as_slice()].concat();
            let part = webp(&[(b"VP8L", stream.clone())])[12..].to_vec();
            let frame = [place, part].concat();
            webp(&[(b"VP8X", extended(2, 60, 42)), (b"ANIM", vec![0; 6]), (b"ANMF", frame)])
        }),
        ("webp_profile_noise.webp", {
            let profile = random.bytes(900);
            webp(&[(b"VP8X", extended(0x20, 60, 42)), (b"ICCP", profile), (b"VP8L", stream.clone())])
        }),
        ("webp_chunk_of_4_gb.webp", changed(&lossless, 16, &[0xff; 4])),
        (
            "webp_lossy_noise.webp",
            webp(&[(b"VP8 ", [b"\x30\x01\0\x9d\x01\x2a\xff\x3f\xff\x3f".as_slice(), &random.bytes(600)].concat())]),
        ),
        ("webp_empty.webp", webp(&[])),
        ("gif_huge.gif", gif(u16::MAX, u16::MAX, &frame(0, 0, 1, 1, nothing))),
        ("gif_wide.gif", gif(u16::MAX, 1, &frame(0, 0, u16::MAX, 1, nothing))),
        ("gif_frame_huge.gif", gif(1, 1, &frame(0, 0, u16::MAX, u16::MAX, nothing))),
        ("gif_frame_outside.gif", gif(8, 8, &frame(60_000, 60_000, 8, 8, nothing))),
        ("gif_frame_empty.gif", gif(8, 8, &frame(0, 0, 0, 0, nothing))),
        ("gif_zero.gif", gif(0, 0, &frame(0, 0, 1, 1, nothing))),
        ("gif_no_frame.gif", gif(8, 8, b"\x3b")),
        ("gif_codes_of_12_bits.gif", gif(8, 8, &frame(0, 0, 8, 8, b"\x0c\x02\x44\x01\0"))),
        ("gif_codes_of_99_bits.gif", gif(8, 8, &frame(0, 0, 8, 8, b"\x63\x02\x44\x01\0"))),
        (
            "gif_noise.gif",
            gif(900, 900, &frame(0, 0, 900, 900, &[b"\x08\xff".as_slice(), &random.bytes(255), b"\0"].concat())),
        ),
        (
            "gif_many_extensions.gif",
            gif(8, 8, &[b"\x21\xfe\x01a\0".repeat(100_000), frame(0, 0, 8, 8, nothing)].concat()),
        ),
        ("bmp_huge.bmp", sized(60_000, 60_000)),
        ("bmp_largest.bmp", sized(i32::MAX, i32::MAX)),
        ("bmp_negative.bmp", sized(-61, 43)),
        ("bmp_lowest.bmp", sized(i32::MIN, i32::MIN)),
        ("bmp_zero.bmp", sized(0, 0)),
        ("bmp_strip.bmp", {
            let mut file = sized(6_000_000, 1);
            file.resize(54 + 18_000_000, 7);
            file
        }),
        ("bmp_offset_past_the_end.bmp", changed(&bmp, 10, &[0xff; 4])),
        ("bmp_offset_in_the_header.bmp", changed(&bmp, 10, &[0; 4])),
        ("bmp_99_bits.bmp", changed(&bmp, 28, &[99, 0])),
        ("bmp_run_lengths.bmp", changed(&bmp, 28, &[8, 0, 1, 0, 0, 0])),
        ("bmp_holds_a_jpeg.bmp", changed(&bmp, 30, &[4, 0, 0, 0])),
        ("bmp_palette_of_4_billion.bmp", changed(&changed(&bmp, 46, &[0xff; 4]), 28, &[8, 0])),
        ("tiff_no_fields.tif", tiff(&[], 0, b"")),
        ("tiff_directory_past_the_end.tif", b"II*\0\xff\xff\xff\xff".to_vec()),
        ("tiff_directory_loop.tif", changed(&grey(8, 8, &[]), 118, &8u32.to_le_bytes())),
        ("tiff_huge.tif", grey(100_000, 100_000, &[])),
        ("tiff_largest.tif", grey(u32::MAX, u32::MAX, &[])),
        ("tiff_zero.tif", grey(0, 0, &[])),
        ("tiff_strip.tif", grey(6_000_000, 1, &[])),
        ("tiff_larger_than_its_data.tif", grey(9000, 9000, &[])),
        ("tiff_4_billion_strips.tif", grey(8, 8, &[(273, 4, u32::MAX, 8), (279, 4, u32::MAX, 8)])),
        ("tiff_rows_of_0.tif", grey(8, 8, &[(278, 4, 1, 0)])),
        ("tiff_tiles_of_0.tif", grey(8, 8, &[(322, 4, 1, 0), (323, 4, 1, 0), (324, 4, 1, 8), (325, 4, 1, 64)])),
        (
            "tiff_tiles_huge.tif",
            grey(8, 8, &[(322, 4, 1, 1 << 31), (323, 4, 1, 1 << 31), (324, 4, 1, 8), (325, 4, 1, 64)]),
        ),
        ("tiff_65535_samples.tif", grey(8, 8, &[(277, 3, 1, 65_535)])),
        ("tiff_profile_of_4_gb.tif", grey(8, 8, &[(34_675, 7, u32::MAX, 8)])),
        ("tiff_lzw_noise.tif", grey(64, 64, &[(259, 3, 1, 5)])),
        ("tiff_deflate_noise.tif", grey(64, 64, &[(259, 3, 1, 8)])),
        ("tiff_fax_noise.tif", grey(64, 64, &[(258, 3, 1, 1), (259, 3, 1, 4)])),
        ("tiff_jpeg_noise.tif", grey(64, 64, &[(259, 3, 1, 7)])),
        ("tiff_unknown_compression.tif", grey(64, 64, &[(259, 3, 1, 34_712)])),
    ];
    named.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}
