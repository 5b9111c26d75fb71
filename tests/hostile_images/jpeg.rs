//! JPEG files that ask for much, or contradict themselves.

use image::ImageFormat;

use crate::files::{encoded, rgb};
use crate::random::Random;

/// A segment with its marker and length.
pub fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
    [&[0xff, marker], (body.len() as u16 + 2).to_be_bytes().as_slice(), body].concat()
}

fn with_segments(jpeg: &[u8], segments: &[u8]) -> Vec<u8> {
    [&jpeg[..2], segments, &jpeg[2..]].concat()
}

fn place(jpeg: &[u8], marker: u8) -> usize {
    jpeg.windows(2).position(|w| w == [0xff, marker]).unwrap()
}

/// Exif data of `entries` fields in one directory, the first of which is the orientation.
fn exif(entries: usize, orientation: u16) -> Vec<u8> {
    let mut body = b"Exif\0\0II*\0\x08\0\0\0".to_vec();
    body.extend((entries as u16).to_le_bytes());
    for entry in 0..entries {
        let (tag, value) = if entry == 0 { (0x0112u16, orientation) } else { (0x9000 + entry as u16, 7) };
        body.extend([tag.to_le_bytes(), 3u16.to_le_bytes()].concat());
        body.extend(1u32.to_le_bytes());
        body.extend([value.to_le_bytes(), [0, 0]].concat());
    }
    body
}

pub fn with_orientation(jpeg: &[u8], orientation: u16) -> Vec<u8> {
    with_segments(jpeg, &segment(0xe1, &exif(1, orientation)))
}

pub fn files(random: &mut Random) -> Vec<(String, Vec<u8>)> {
    let whole = encoded(&rgb(61, 43), ImageFormat::Jpeg);
    let (frame, scan) = (place(&whole, 0xc0), place(&whole, 0xda));
    let tables = place(&whole, 0xc4);
    let changed = |at: usize, bytes: &[u8]| {
        let mut jpeg = whole.clone();
        jpeg[at..at + bytes.len()].copy_from_slice(bytes);
        jpeg
    };
    let sized = |w: u16, h: u16| changed(frame + 5, &[h.to_be_bytes(), w.to_be_bytes()].concat());
    let profile =
        |body: &[u8]| with_segments(&whole, &segment(0xe2, &[b"ICC_PROFILE\0\x01\x01".as_slice(), body].concat()));
    let scan_length = usize::from(u16::from_be_bytes([whole[scan + 2], whole[scan + 3]]));
    let header = &whole[scan..scan + 2 + scan_length];
    let progressive = |scans: usize, w: u16, h: u16| {
        let mut jpeg = sized(w, h);
        jpeg[frame + 1] = 0xc2;
        jpeg.truncate(scan);
        // Scans of the means alone, without a single bit.
        let mut header = header.to_vec();
        let end = header.len();
        header[end - 3..].copy_from_slice(&[0, 0, 0]);
        jpeg.extend(header.repeat(scans));
        jpeg.extend([0xff, 0xd9]);
        jpeg
    };
    let parts: Vec<u8> =
        (1..=255).flat_map(|i| segment(0xe2, &[b"ICC_PROFILE\0", [i, 255].as_slice(), &[7; 1000]].concat())).collect();
    let mut curves = vec![0u8; 128];
    curves[..4].copy_from_slice(&600u32.to_be_bytes());
    curves[8..12].copy_from_slice(&[2, 0x40, 0, 0]);
    curves[12..24].copy_from_slice(b"mntrRGB XYZ ");
    curves[36..40].copy_from_slice(b"acsp");
    curves.extend(u32::MAX.to_be_bytes());
    curves.extend(random.bytes(400));
    let nan: Vec<u8> = {
        let mut body = curves[..128].to_vec();
        body.extend(6u32.to_be_bytes());
        for (i, name) in [b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"].into_iter().enumerate() {
            body.extend_from_slice(name);
            body.extend([if i < 3 { 204u32 } else { 224 }.to_be_bytes(), 20u32.to_be_bytes()].concat());
        }
        body.extend(b"XYZ \0\0\0\0\x7f\xff\xff\xff\x80\0\0\0\x7f\xff\xff\xff");
        body.extend(b"para\0\0\0\0\0\0\0\0\x80\0\0\0");
        body.extend([0; 400]);
        body
    };
    let named = [
        ("jpeg_huge.jpg", sized(65_500, 65_500)),
        ("jpeg_wide.jpg", sized(65_535, 1)),
        ("jpeg_tall.jpg", sized(1, 65_535)),
        ("jpeg_larger_than_its_data.jpg", sized(10_000, 10_000)),
        ("jpeg_zero.jpg", sized(0, 0)),
        ("jpeg_no_height.jpg", sized(61, 0)),
        ("jpeg_arithmetic.jpg", changed(frame + 1, &[0xc9])),
        ("jpeg_lossless.jpg", changed(frame + 1, &[0xc3])),
        ("jpeg_hierarchical.jpg", changed(frame + 1, &[0xc5])),
        ("jpeg_twelve_bits.jpg", changed(frame + 4, &[12])),
        ("jpeg_no_components.jpg", changed(frame + 9, &[0])),
        ("jpeg_255_components.jpg", changed(frame + 9, &[255])),
        ("jpeg_sampling_0.jpg", changed(frame + 11, &[0])),
        ("jpeg_sampling_15.jpg", changed(frame + 11, &[0xff])),
        ("jpeg_sampling_3x1.jpg", changed(frame + 11, &[0x31])),
        ("jpeg_sampling_4x4.jpg", changed(frame + 11, &[0x44])),
        ("jpeg_two_frames.jpg", {
            let twice = sized(2000, 2000)[frame..frame + 19].to_vec();
            [&whole[..scan], &twice, &whole[scan..]].concat()
        }),
        ("jpeg_no_tables.jpg", [&whole[..tables], &whole[scan..]].concat()),
        ("jpeg_wild_tables.jpg", changed(tables + 5, &[0xff; 16])),
        ("jpeg_full_tables.jpg", changed(tables + 5, &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("jpeg_no_scan.jpg", [&whole[..scan], b"\xff\xd9"].concat()),
        ("jpeg_scan_of_nothing.jpg", [&whole[..scan + 2 + scan_length], b"\xff\xd9"].concat()),
        ("jpeg_scan_of_zeros.jpg", [&whole[..scan + 2 + scan_length], &[0; 4000], b"\xff\xd9"].concat()),
        ("jpeg_scan_of_restarts.jpg", [&whole[..scan + 2 + scan_length], &b"\xff\xd0".repeat(9000)].concat()),
        ("jpeg_restart_each_block.jpg", with_segments(&whole, &segment(0xdd, &[0, 1]))),
        ("jpeg_progressive_100_scans.jpg", progressive(100, 61, 43)),
        ("jpeg_progressive_huge_100_scans.jpg", progressive(100, 6000, 6000)),
        ("jpeg_progressive_huge.jpg", progressive(2, 10_900, 10_900)),
        ("jpeg_segment_past_the_end.jpg", [&whole[..20], b"\xff\xe1\xff\xff", &whole[20..]].concat()),
        ("jpeg_segment_of_no_length.jpg", [&whole[..20], b"\xff\xe1\0\0", &whole[20..]].concat()),
        ("jpeg_many_segments.jpg", with_segments(&whole, &segment(0xe5, b"").repeat(100_000))),
        ("jpeg_exif_64k.jpg", with_segments(&whole, &segment(0xe1, &exif(5400, 6)))),
        ("jpeg_exif_entries_missing.jpg", with_segments(&whole, &segment(0xe1, &exif(9000, 3)[..500]))),
        ("jpeg_exif_past_its_end.jpg", with_segments(&whole, &segment(0xe1, b"Exif\0\0II*\0\xff\xff\xff\xff"))),
        ("jpeg_exif_loop.jpg", {
            let mut body = exif(1, 8);
            body.extend(8u32.to_le_bytes());
            with_segments(&whole, &segment(0xe1, &body))
        }),
        ("jpeg_exif_orientation_999.jpg", with_orientation(&whole, 999)),
        (
            "jpeg_exif_noise.jpg",
            with_segments(&whole, &segment(0xe1, &[b"Exif\0\0".as_slice(), &random.bytes(900)].concat())),
        ),
        ("jpeg_profile_of_255_parts.jpg", with_segments(&whole, &parts)),
        ("jpeg_profile_noise.jpg", profile(&random.bytes(3000))),
        ("jpeg_profile_of_4_billion_tags.jpg", profile(&curves)),
        ("jpeg_profile_of_no_numbers.jpg", profile(&nan)),
        ("jpeg_profile_empty.jpg", profile(b"")),
        ("jpeg_two_ends.jpg", [&whole[..scan + 60], b"\xff\xd9", &whole[scan + 60..]].concat()),
        ("jpeg_starts_again.jpg", [&whole[..scan + 60], &whole].concat()),
    ];
    named.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}
