//! PNG files that ask for much, or contradict themselves.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::random::Random;

/// CRC-32 as PNG has it.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let content = [kind, body].concat();
    [&(body.len() as u32).to_be_bytes(), content.as_slice(), &crc(&content).to_be_bytes()].concat()
}

fn header(width: u32, height: u32, depth: u8, color: u8, interlaced: u8) -> Vec<u8> {
    let sizes = [width.to_be_bytes(), height.to_be_bytes()].concat();
    chunk(b"IHDR", &[sizes.as_slice(), &[depth, color, 0, 0, interlaced]].concat())
}

fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n".as_slice(), &chunks.concat(), &chunk(b"IEND", b"")].concat()
}

/// So many bytes of `value`, compressed.
fn packed(value: u8, count: u64) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    std::io::copy(&mut std::io::Read::take(std::io::repeat(value), count), &mut encoder).unwrap();
    encoder.flush().unwrap();
    encoder.finish().unwrap()
}

/// A picture of zeros: depth and colour type as in the header, `bits` a pixel.
fn zeros(width: u32, height: u32, depth: u8, color: u8, bits: u64) -> Vec<u8> {
    let row = (u64::from(width) * bits).div_ceil(8) + 1;
    file(&[header(width, height, depth, color, 0), chunk(b"IDAT", &packed(0, row * u64::from(height)))])
}

pub fn files(random: &mut Random) -> Vec<(String, Vec<u8>)> {
    let data = chunk(b"IDAT", &packed(0, 8 * 25));
    let small = header(8, 8, 8, 2, 0);
    let profile =
        |body: Vec<u8>| file(&[small.clone(), chunk(b"iCCP", &[b"p\0\0".as_slice(), &body].concat()), data.clone()]);
    let mut wrong_sum = file(&[small.clone(), data.clone()]);
    wrong_sum[30] ^= 0xff;
    let mut long_chunk = file(&[small.clone(), data.clone()]);
    long_chunk[33..37].fill(0x7f);
    let noise = random.bytes(4000);
    let named = [
        ("png_strip_6000000x1.png", zeros(6_000_000, 1, 1, 0, 1)),
        ("png_strip_119999999x1.png", zeros(119_999_999, 1, 1, 0, 1)),
        ("png_strip_1x6000000.png", zeros(1, 6_000_000, 1, 0, 1)),
        ("png_strip_65535x1.png", zeros(65_535, 1, 8, 2, 24)),
        ("png_strip_1x65535.png", zeros(1, 65_535, 8, 2, 24)),
        ("png_strip_65535x40.png", zeros(65_535, 40, 1, 0, 1)),
        ("png_strip_40x65535.png", zeros(40, 65_535, 1, 0, 1)),
        ("png_strip_65535x2_alpha16.png", zeros(65_535, 2, 16, 6, 64)),
        ("png_huge.png", file(&[header(100_000, 100_000, 8, 2, 0), data.clone()])),
        ("png_largest.png", file(&[header(u32::MAX >> 1, u32::MAX >> 1, 16, 6, 0), data.clone()])),
        ("png_over_31_bits.png", file(&[header(u32::MAX, 2, 8, 0, 0), data.clone()])),
        ("png_zero.png", file(&[header(0, 0, 8, 2, 0), data.clone()])),
        ("png_larger_than_its_data.png", file(&[header(9000, 9000, 8, 2, 0), data.clone()])),
        ("png_bomb.png", zeros(2000, 2000, 1, 0, 1)),
        ("png_bomb_grey.png", zeros(1500, 1500, 8, 0, 8)),
        ("png_bomb_alpha16.png", zeros(1200, 1200, 16, 6, 64)),
        ("png_bomb_alpha16_over.png", zeros(9000, 9000, 16, 6, 64)),
        ("png_bomb_interlaced.png", {
            // Seven passes of zeros: the sum of their rows, and some more.
            file(&[header(1200, 1200, 8, 2, 1), chunk(b"IDAT", &packed(0, 1200 * 1200 * 3 + 20_000))])
        }),
        ("png_interlaced_short.png", file(&[header(500, 500, 8, 2, 1), chunk(b"IDAT", &packed(0, 300_000))])),
        ("png_more_data_than_pixels.png", file(&[small.clone(), chunk(b"IDAT", &packed(0, 400_000_000))])),
        ("png_wrong_sum.png", wrong_sum),
        ("png_long_chunk.png", long_chunk),
        ("png_no_data.png", file(std::slice::from_ref(&small))),
        ("png_empty_data.png", file(&[small.clone(), chunk(b"IDAT", b"")])),
        ("png_many_empty_data.png", file(&[small.clone(), chunk(b"IDAT", b"").repeat(50_000), data.clone()])),
        ("png_data_is_noise.png", file(&[small.clone(), chunk(b"IDAT", &noise)])),
        ("png_only_an_end.png", file(&[])),
        ("png_data_first.png", file(&[data.clone(), small.clone()])),
        ("png_two_headers.png", file(&[small.clone(), header(4000, 4000, 8, 2, 0), data.clone()])),
        ("png_no_palette.png", file(&[header(8, 8, 8, 3, 0), chunk(b"IDAT", &packed(9, 8 * 9))])),
        (
            "png_short_palette.png",
            file(&[header(8, 8, 8, 3, 0), chunk(b"PLTE", &[1, 2, 3]), chunk(b"IDAT", &packed(9, 72))]),
        ),
        (
            "png_odd_palette.png",
            file(&[header(8, 8, 8, 3, 0), chunk(b"PLTE", &[1; 1000]), chunk(b"IDAT", &packed(0, 72))]),
        ),
        ("png_depth_3.png", file(&[header(8, 8, 3, 2, 0), data.clone()])),
        ("png_color_9.png", file(&[header(8, 8, 8, 9, 0), data.clone()])),
        ("png_interlace_7.png", file(&[header(8, 8, 8, 2, 7), data.clone()])),
        ("png_filter_9.png", file(&[small.clone(), chunk(b"IDAT", &packed(9, 200))])),
        ("png_long_transparency.png", file(&[small.clone(), chunk(b"tRNS", &[0; 5000]), data.clone()])),
        ("png_text_bomb.png", {
            let text = [b"Comment\0\0".as_slice(), &packed(b'a', 300_000_000)].concat();
            file(&[small.clone(), chunk(b"zTXt", &text), data.clone()])
        }),
        ("png_profile_bomb.png", profile(packed(0, 300_000_000))),
        ("png_profile_noise.png", profile(noise)),
        ("png_exif_64k.png", file(&[small.clone(), chunk(b"eXIf", &[b'I'; 65_535]), data.clone()])),
        ("png_animated.png", {
            let control = chunk(b"acTL", &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
            file(&[small.clone(), control, data.clone()])
        }),
    ];
    named.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}
