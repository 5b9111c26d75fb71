//! Good files of every kind, and damage that is the same for all of them.

use std::io::Cursor;

use image::{DynamicImage, GrayAlphaImage, GrayImage, ImageBuffer, ImageFormat, RgbImage, RgbaImage};

use crate::common::{bytes, golden};
use crate::random::Random;

/// Encoded by the image crate.
pub fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// Something to look at, of any size.
pub fn rgb(width: u32, height: u32) -> DynamicImage {
    let pixel = |x: u32, y: u32| image::Rgb([((x * 7) ^ (y * 3)) as u8, (x + y) as u8, ((x * y) >> 4) as u8]);
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, pixel))
}

/// Small good files, one of each kind, with the ending of its format.
pub fn bases() -> Vec<(String, Vec<u8>)> {
    let picture = rgb(61, 43);
    let made = [
        ("baseline.jpg", ImageFormat::Jpeg),
        ("rgb.png", ImageFormat::Png),
        ("lossless.webp", ImageFormat::WebP),
        ("plain.gif", ImageFormat::Gif),
        ("plain.bmp", ImageFormat::Bmp),
        ("plain.tif", ImageFormat::Tiff),
    ];
    let stored = [
        "formats/progressive.jpg",
        "formats/chroma420.jpg",
        "formats/cmyk.jpg",
        "formats/palette_alpha.png",
        "formats/lossy_alpha.webp",
        "formats/interlaced.gif",
        "formats/palette.bmp",
        "photos/restarts.jpg",
        "photos/p3_in_parts.jpg",
        "photos/adobe_alpha.png",
        "photos/p3.tif",
    ];
    let made = made.into_iter().map(|(name, format)| (name.to_owned(), encoded(&picture, format)));
    let stored = stored.into_iter().map(|path| (path.split('/').next_back().unwrap().to_owned(), bytes(golden(path))));
    made.chain(stored).collect()
}

/// Good files of about a megapixel, in every layout that a decoder gives.
pub fn large() -> Vec<(String, Vec<u8>)> {
    let (w, h) = (1200, 900);
    let rgb = rgb(w, h);
    let wide = ImageBuffer::from_fn(w, h, |x, y| image::Rgb([(x * 40) as u16, (y * 50) as u16, (x * y) as u16]));
    let layouts = [
        ("rgb", rgb.clone()),
        (
            "rgba",
            DynamicImage::ImageRgba8(RgbaImage::from_fn(w, h, |x, y| image::Rgba([x as u8, y as u8, 9, x as u8]))),
        ),
        ("grey", DynamicImage::ImageLuma8(GrayImage::from_fn(w, h, |x, y| image::Luma([(x ^ y) as u8])))),
        (
            "grey_alpha",
            DynamicImage::ImageLumaA8(GrayAlphaImage::from_fn(w, h, |x, y| image::LumaA([x as u8, y as u8]))),
        ),
        ("wide", DynamicImage::ImageRgb16(wide)),
    ];
    let mut found = Vec::new();
    for (layout, image) in &layouts {
        for (format, ending, takes) in [
            (ImageFormat::Png, "png", true),
            (ImageFormat::Tiff, "tif", *layout != "grey_alpha"),
            (ImageFormat::Bmp, "bmp", *layout != "wide"),
            (ImageFormat::WebP, "webp", *layout != "wide"),
            (ImageFormat::Jpeg, "jpg", matches!(*layout, "rgb" | "grey")),
            (ImageFormat::Gif, "gif", *layout == "rgb"),
        ] {
            if takes {
                found.push((format!("{layout}.{ending}"), encoded(image, format)));
            }
        }
    }
    let jpeg = encoded(&rgb, ImageFormat::Jpeg);
    found.push(("turned.jpg".to_owned(), crate::jpeg::with_orientation(&jpeg, 6)));
    found
}

/// Files that are cut off, that have flipped bits, and that are something else than they claim.
pub fn damaged(random: &mut Random) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for (name, whole) in bases() {
        let (stem, ending) = name.rsplit_once('.').unwrap();
        for (number, share) in [3, 12, 35, 60, 97].into_iter().enumerate() {
            let end = whole.len() * share / 100;
            found.push((format!("cut{number}_{stem}.{ending}"), whole[..end].to_vec()));
        }
        for number in 0..5 {
            found.push((format!("flipped{number}_{stem}.{ending}"), random.damaged(&whole)));
        }
    }
    let jpeg = &bases()[0].1;
    for (name, bytes) in [
        ("empty.jpg", Vec::new()),
        ("one_byte.png", vec![0x89]),
        ("page.jpg", b"<!doctype html><title>404</title>".to_vec()),
        ("text.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n".to_vec()),
        ("jpeg_named.png", jpeg.clone()),
        ("png_named.jpg", bases()[1].1.clone()),
        ("noise.webp", random.bytes(5000)),
        ("zeros.bmp", vec![0; 100_000]),
        ("ones.jpg", vec![0xff; 100_000]),
        ("video.jpg", b"\0\0\0\x18ftypisom\0\0\0\0isommp42".to_vec()),
    ] {
        found.push((name.to_owned(), bytes));
    }
    found
}
