//! Files of every kind, whole and damaged, to pixels; resizing against Pillow; coordinates there and back.

mod common;

use common::{bytes, golden, json};
use famlens::image::{
    Format, Geometry, GeometryMode, Limits, Normalization, Photo, Rect, decode, prepare, resize, scale, sniff,
};
use famlens::{Error, Result};

fn read(bytes: &[u8]) -> Result<Photo> {
    decode("photo", bytes, &Limits::default())
}

fn photo(path: &str) -> Photo {
    read(&bytes(golden(path))).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A generator that needs no crate; the multiplier and increment are Knuth's.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }

    fn within(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * (self.next() as f64 / (1u64 << 31) as f64)
    }
}

/// The files that Pillow wrote: name and greatest difference to be expected.
fn files() -> Vec<(String, u8)> {
    let index = json(golden("formats/index.json"));
    let entry =
        |e: &serde_json::Value| (e["file"].as_str().unwrap().to_owned(), e["tolerance"].as_u64().unwrap() as u8);
    index.as_array().unwrap().iter().map(entry).collect()
}

fn greatest_difference(a: &Photo, b: &Photo) -> u8 {
    assert_eq!(a.size(), b.size());
    a.rgb().iter().zip(b.rgb()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn every_variant_has_the_pixels_that_pillow_reads() {
    let files = files();
    assert!(files.len() > 25);
    for (name, tolerance) in files {
        let found = photo(&format!("formats/{name}"));
        let expected = photo(&format!("formats/{name}.expected.png"));
        let off = greatest_difference(&found, &expected);
        assert!(off <= tolerance, "{name}: {off} levels off");
    }
}

/// Photos as cameras, editors and damaged disks leave them.
#[test]
fn photos_have_the_pixels_of_pillow_or_a_reason() {
    let index = json(golden("photos/index.json"));
    let (mut read_whole, mut refused, mut wrong) = (0, 0, Vec::new());
    for case in index.as_array().unwrap() {
        let name = case["file"].as_str().unwrap();
        let result = read(&bytes(golden(&format!("photos/{name}"))));
        if case["native"] == false {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("leaves to browsers"), "{name}: {error}");
        } else if let Some(words) = case["refused"].as_array() {
            let words: Vec<_> = words.iter().map(|w| w.as_str().unwrap()).collect();
            match result {
                Ok(photo) => wrong.push(format!("{name}: {photo:?} was read, not refused")),
                Err(error) if words.iter().all(|word| error.to_string().contains(word)) => refused += 1,
                Err(error) => wrong.push(format!("{name}: {error} does not say {words:?}")),
            }
        } else {
            let (expected, tolerance) = (photo(&format!("photos/{name}.expected.png")), case["tolerance"].as_u64());
            match result {
                Ok(found) if found.size() != expected.size() => wrong.push(format!("{name}: {found:?}")),
                Ok(found) => match u64::from(greatest_difference(&found, &expected)) {
                    off if Some(off) > tolerance => wrong.push(format!("{name}: {off} levels off")),
                    _ => read_whole += 1,
                },
                Err(error) => wrong.push(error.to_string()),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read_whole >= 45 && refused >= 10, "{read_whole} read, {refused} refused");
}

/// The share that an error says is missing.
#[test]
fn how_much_is_missing_is_told() {
    let whole = bytes(golden("formats/rgb.png"));
    let error = read(&whole[..whole.len() / 2]).unwrap_err().to_string();
    let share = error.split("the last ").nth(1).and_then(|rest| rest.split(' ').next());
    let share: u32 = share.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{error}"));
    assert!((20..=80).contains(&share), "{error}");
}

#[test]
fn the_photos_of_the_repository_decode() {
    let photo = read(&bytes(common::root("tests/photos/dog/dog.jpg"))).unwrap();
    assert!(photo.width() > 100 && photo.height() > 100);
}

/// Four quadrants, far enough apart for JPEG.
const QUADRANTS: [[u8; 3]; 4] = [[250, 20, 20], [20, 220, 30], [30, 30, 240], [240, 230, 40]];

/// A JPEG of 32 x 16 pixels with an Exif orientation, little- or big-endian.
fn oriented_jpeg(orientation: u16, big_endian: bool) -> Vec<u8> {
    let rgb: Vec<u8> = (0..16 * 32).flat_map(|i| QUADRANTS[i / 32 / 8 * 2 + i % 32 / 16]).collect();
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95)
        .encode(&rgb, 32, 16, image::ExtendedColorType::Rgb8)
        .unwrap();
    let short = |n: u16| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
    let long = |n: u32| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut exif = b"Exif\0\0".to_vec();
    exif.extend(if big_endian { b"MM" } else { b"II" });
    exif.extend(short(42));
    exif.extend(long(8));
    // Two entries: another tag first, then the orientation, each a SHORT.
    exif.extend(short(2));
    for (tag, value) in [(0x0103, 6), (0x0112, orientation)] {
        exif.extend(short(tag));
        exif.extend(short(3));
        exif.extend(long(1));
        exif.extend(short(value));
        exif.extend([0, 0]);
    }
    exif.extend(long(0));
    let mut file = jpeg[..2].to_vec();
    file.extend([0xff, 0xe1]);
    file.extend((exif.len() as u16 + 2).to_be_bytes());
    file.extend(exif);
    file.extend(&jpeg[2..]);
    file
}

#[test]
fn exif_orientations_come_upright() {
    let upright = [
        (0, [0, 1, 2, 3]),
        (1, [0, 1, 2, 3]),
        (2, [1, 0, 3, 2]),
        (3, [3, 2, 1, 0]),
        (4, [2, 3, 0, 1]),
        (5, [0, 2, 1, 3]),
        (6, [2, 0, 3, 1]),
        (7, [3, 1, 2, 0]),
        (8, [1, 3, 0, 2]),
        (9, [0, 1, 2, 3]),
    ];
    for (orientation, expected) in upright {
        for big_endian in [false, true] {
            let photo = read(&oriented_jpeg(orientation, big_endian)).unwrap();
            let (w, h) = photo.size();
            assert_eq!((w, h), if (5..=8).contains(&orientation) { (16, 32) } else { (32, 16) }, "{orientation}");
            let centres = [(w / 4, h / 4), (3 * w / 4, h / 4), (w / 4, 3 * h / 4), (3 * w / 4, 3 * h / 4)];
            for ((x, y), quadrant) in centres.into_iter().zip(expected) {
                let found = photo.pixel(x, y).unwrap();
                let near = found.iter().zip(QUADRANTS[quadrant]).all(|(a, b)| a.abs_diff(b) < 16);
                assert!(near, "orientation {orientation}: {found:?} at {x}, {y}");
            }
        }
    }
}

#[test]
fn what_is_no_image_of_ours_is_named() {
    let cases = [
        ("foreign.avif", Format::Avif, "AVIF"),
        ("foreign.jp2", Format::Jpeg2000, "JPEG 2000"),
        ("foreign.pdf", Format::Pdf, "PDF"),
        ("foreign.svg", Format::Svg, "SVG"),
    ];
    for (name, format, word) in cases {
        let bytes = bytes(golden(&format!("formats/{name}")));
        assert_eq!(sniff(&bytes), format);
        let error = decode(name, &bytes, &Limits::default()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(word), "{error}");
    }
    assert!(read(b"").unwrap_err().to_string().contains("empty"));
    assert!(read(b"<!doctype html><title>404</title>").unwrap_err().to_string().contains("HTML"));
    assert!(Format::Avif.browser_may_decode() && !Format::Avif.is_supported() && !Format::Pdf.browser_may_decode());
    assert!(!Format::Jpeg.browser_may_decode() && !Format::Png.browser_may_decode());
}

#[test]
fn files_that_are_cut_off_are_refused() {
    for (name, _) in files() {
        let bytes = bytes(golden(&format!("formats/{name}")));
        // Formats differ in what may be missing at the very end; half of a file is a loss in all of them.
        for share in [0.5, 0.65, 0.8] {
            let end = (bytes.len() as f64 * share) as usize;
            // The second frame of an animation is not needed.
            if name.starts_with("animated") && share > 0.5 || name == "animated.gif" {
                continue;
            }
            assert!(read(&bytes[..end]).is_err(), "{name} cut at {end} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn damaged_files_never_panic() {
    let mut random = Random(7);
    for (name, _) in files() {
        let whole = bytes(golden(&format!("formats/{name}")));
        let limits = Limits { max_pixels: 1 << 22, max_bytes: 1 << 26, ..Limits::default() };
        for end in (0..whole.len()).step_by(1 + whole.len() / 200) {
            let _ = decode("cut", &whole[..end], &limits);
        }
        for _ in 0..300 {
            let mut damaged = whole.clone();
            for _ in 0..1 + random.below(8) {
                // Headers are short, so half of the damage goes there.
                let span = if random.below(2) == 0 { damaged.len().min(64) } else { damaged.len() };
                let at = random.below(span);
                damaged[at] = random.next() as u8;
            }
            let _ = decode("damaged", &damaged, &limits);
        }
    }
}

#[test]
fn random_bytes_behind_every_signature_never_panic() {
    let mut random = Random(3);
    let signatures: [&[u8]; 8] = [
        b"",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\x40\0\0\0WEBPVP8 ",
        b"RIFF\x40\0\0\0WEBPVP8L",
        b"RIFF\x40\0\0\0WEBPVP8X",
        b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0",
    ];
    let limits = Limits { max_pixels: 1 << 22, max_bytes: 1 << 26, ..Limits::default() };
    for signature in signatures {
        for _ in 0..400 {
            let mut bytes = signature.to_vec();
            bytes.extend((0..random.below(600)).map(|_| random.next() as u8));
            let _ = decode("noise", &bytes, &limits);
        }
    }
}

/// CRC-32 as PNG has it.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

/// Small files that declare a huge picture, with the size each declares.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let file = |name: &str| bytes(golden(&format!("formats/{name}")));
    let mut png = file("rgb.png");
    png[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
    let sum = crc(&png[12..29]);
    png[29..33].copy_from_slice(&sum.to_be_bytes());
    let mut gif = file("plain.gif");
    gif[6..10].fill(0xff);
    let mut bmp = file("rgb.bmp");
    bmp[18..22].copy_from_slice(&60_000i32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000i32.to_le_bytes());
    let mut jpeg = file("rgb.jpg");
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    // Lossless WebP packs width - 1 and height - 1 into 14 bits each behind its signature byte: 16383 twice.
    let mut webp = file("lossless.webp");
    let header = webp.windows(4).position(|w| w == b"VP8L").unwrap() + 9;
    webp[header..header + 3].copy_from_slice(&[0xfe, 0xbf, 0xff]);
    webp[header + 3] |= 0x0f;
    vec![("png", png), ("gif", gif), ("bmp", bmp), ("jpeg", jpeg), ("webp", webp)]
}

#[test]
fn huge_sizes_are_refused_from_the_header() {
    for (name, bytes) in bombs() {
        let error = read(&bytes).unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{name}: {error}");
        let text = error.to_string();
        assert!(text.contains("megapixels"), "{name}: {text}");
        // Memory is a limit of its own.
        let error = decode(name, &bytes, &Limits { max_pixels: u64::MAX, ..Limits::default() }).unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{name}: {error}");
    }
    let small = bytes(golden("formats/rgb.jpg"));
    assert!(decode("small", &small, &Limits { max_pixels: 40 * 24, ..Limits::default() }).is_ok());
    assert!(decode("small", &small, &Limits { max_pixels: 40 * 24 - 1, ..Limits::default() }).is_err());
    assert!(decode("small", &small, &Limits { max_bytes: 1000, ..Limits::default() }).is_err());
}

#[test]
fn empty_pictures_are_refused() {
    let file = |name: &str| bytes(golden(&format!("formats/{name}")));
    let mut gif = file("plain.gif");
    gif[6..8].fill(0);
    assert!(read(&gif).is_err());
    let mut bmp = file("rgb.bmp");
    bmp[18..22].fill(0);
    assert!(read(&bmp).is_err());
    let mut jpeg = file("rgb.jpg");
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 7].fill(0);
    assert!(read(&jpeg).is_err());
    let mut png = file("rgb.png");
    png[16..20].fill(0);
    let sum = crc(&png[12..29]);
    png[29..33].copy_from_slice(&sum.to_be_bytes());
    assert!(read(&png).is_err());
}

#[test]
fn resizing_is_within_one_level_of_pillow() {
    let index = json(golden("resize/index.json"));
    let cases = index.as_array().unwrap();
    assert!(cases.len() >= 8);
    for case in cases {
        let text = |key: &str| format!("resize/{}", case[key].as_str().unwrap());
        let side = |key: &str| case[key].as_u64().unwrap() as u32;
        let (source, expected) = (photo(&text("source")), photo(&text("golden")));
        let whole = Rect::new(0.0, 0.0, f64::from(source.width()), f64::from(source.height()));
        let found = scale(&source, &whole, side("width"), side("height")).unwrap();
        let off = greatest_difference(&found, &expected);
        assert!(off <= 1, "{}: {off} levels off", text("golden"));
        if side("width") == side("height") {
            let squash = Geometry::new(GeometryMode::Squash, source.size(), side("width"), 32).unwrap();
            assert_eq!(resize(&source, &squash).unwrap(), found);
        }
    }
}

#[test]
fn coordinates_come_back_and_cells_tile_what_is_covered() {
    let mut random = Random(11);
    for round in 0..400 {
        let mode = GeometryMode::ALL[round % 4];
        let photo = (1 + random.below(3000) as u32, 1 + random.below(3000) as u32);
        let stride = 1 + random.below(40) as u32;
        let side = stride * (1 + random.below(20) as u32);
        let geometry = Geometry::new(mode, photo, side, stride).unwrap();
        let what = format!("{mode} {photo:?} on {side} by {stride}");
        let (w, h) = (f64::from(photo.0), f64::from(photo.1));

        for _ in 0..5 {
            let (x, y) = (random.within(0.0, w), random.within(0.0, h));
            let (ix, iy) = geometry.to_input(x, y);
            let (bx, by) = geometry.to_photo(ix, iy);
            assert!((bx - x).abs() < 1e-8 * w.max(1.0) && (by - y).abs() < 1e-8 * h.max(1.0), "{what}");
            let (mx, my) = geometry.to_map(7, 5, x, y);
            let (bx, by) = geometry.map_to_photo(7, 5, mx, my);
            assert!((bx - x).abs() < 1e-8 * w.max(1.0) && (by - y).abs() < 1e-8 * h.max(1.0), "{what}");
            // What is covered lands within the content, and nothing else does.
            let [x0, y0, x1, y1] = geometry.content().map(f64::from);
            let inside = (x0..x1).contains(&ix) && (y0..y1).contains(&iy);
            assert_eq!(geometry.covered().contains(x, y), inside, "{what}");
        }

        let (mw, mh) = (1 + random.below(12), 1 + random.below(12));
        let covered = geometry.covered();
        let cells = (0..mh).flat_map(|y| (0..mw).map(move |x| (x, y)));
        let area: f64 = cells.map(|(x, y)| geometry.cell_rect(mw, mh, x, y).area()).sum();
        assert!((area - covered.area()).abs() < 1e-6 * covered.area(), "{what}: {area} of {}", covered.area());
        let (ix, iy) = (random.below(mw), random.below(mh));
        let cell = geometry.cell_rect(mw, mh, ix, iy);
        if ix + 1 < mw {
            assert!((geometry.cell_rect(mw, mh, ix + 1, iy).x0 - cell.x1).abs() < 1e-6, "{what}");
        }

        let (iw, ih) = geometry.input_size();
        match mode {
            GeometryMode::Aspect => {
                assert!(iw % stride == 0 && ih % stride == 0 && iw > 0 && ih > 0, "{what}");
                let area = f64::from(iw) * f64::from(ih) / f64::from(side).powi(2);
                assert!((0.5..=2.0).contains(&area), "{what}: {iw} x {ih}");
            }
            _ => assert_eq!((iw, ih), (side, side)),
        }
        assert_eq!(covered == Rect::new(0.0, 0.0, w, h), mode != GeometryMode::Crop || photo.0 == photo.1, "{what}");
    }
}

#[test]
fn inputs_have_the_geometry_s_shape_for_any_photo() {
    let mut random = Random(5);
    let normalization = Normalization { mean: [127.0; 3], std: [128.0; 3] };
    for round in 0..60 {
        let mode = GeometryMode::ALL[round % 4];
        let (w, h) = (1 + random.below(90) as u32, 1 + random.below(90) as u32);
        let rgb = (0..w * h * 3).map(|_| random.next() as u8).collect();
        let photo = Photo::from_rgb(w, h, rgb).unwrap();
        let geometry = Geometry::new(mode, photo.size(), 64, 32).unwrap();
        let input = prepare(&photo, &geometry, &normalization).unwrap();
        let (iw, ih) = geometry.input_size();
        assert_eq!(input.shape().dims(), [1, 3, ih as usize, iw as usize]);
        assert!(input.data().iter().all(|v| (-1.0..=1.0).contains(v)));
    }
}
