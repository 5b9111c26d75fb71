//! Photo to the network's input: resize, pad, normalise.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::pixels::{Plane, brightness};
use super::{Geometry, InputPixels, Photo, Rect, shrink};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// The part of the photo that the geometry covers, at the size it has on the input, see [`scale`]. The padding of a
/// letterbox is not part of the result.
///
/// # Errors
/// [`Error::Argument`] if the geometry is that of a photo of another size.
pub fn resize(photo: &Photo, geometry: &Geometry) -> Result<Photo> {
    if geometry.photo_size() != photo.size() {
        let ((gw, gh), (w, h)) = (geometry.photo_size(), photo.size());
        return Err(Error::argument("geometry", format!("it is for a photo of {gw} x {gh} pixels, not {w} x {h}")));
    }
    let [x0, y0, x1, y1] = geometry.content();
    scale(photo, &geometry.covered(), x1 - x0, y1 - y0)
}

/// A rectangle of the photo scaled to `width` x `height` pixels: antialiased bilinear, at most one level away from
/// Pillow's `Image.resize((width, height), Image.BILINEAR, source)`, with which most networks were trained.
///
/// # Errors
/// [`Error::Argument`] if the rectangle is empty or reaches outside the photo, or the new size is zero or over 67
/// megapixels.
pub fn scale(photo: &Photo, source: &Rect, width: u32, height: u32) -> Result<Photo> {
    let refused = |e: &dyn std::fmt::Display| Error::argument("photo", format!("it cannot be resized: {e}"));
    let within = |from: f64, to: f64, side: u32| from >= 0.0 && from < to && to <= f64::from(side);
    if !within(source.x0, source.x1, photo.width()) || !within(source.y0, source.y1, photo.height()) {
        return Err(refused(&format_args!("{source:?} is empty or reaches outside its {photo:?}")));
    }
    check_result(width, height).map_err(|what| refused(&what))?;
    let [columns, rows] = [(source.x0, source.x1, photo.width()), (source.y0, source.y1, photo.height())]
        .map(|(from, to, side)| (shrink::factor(side), from, to));
    if columns.0 > 1 || rows.0 > 1 {
        let shrunk = shrink::boxes(photo, columns.0, rows.0)?;
        let part = |(factor, from, to): (u32, f64, f64)| (from / f64::from(factor), to / f64::from(factor));
        let ((x0, x1), (y0, y1)) = (part(columns), part(rows));
        return scale(&shrunk, &Rect::new(x0, y0, x1, y1), width, height);
    }
    // The library scales the columns first and the rows afterwards, with all columns in between. Where that is much, as
    // for a strip, the rows come first.
    let between = |width: f64, height: f64| width.ceil() * height.ceil();
    let (columns_first, rows_first) =
        (between(source.width(), f64::from(height)), between(f64::from(width), source.height()));
    if columns_first > MOST_BETWEEN && rows_first < columns_first {
        // Rows just outside of the rectangle count in its outermost pixels, as they do in the other order.
        let reach = (source.height() / f64::from(height)).max(1.0).ceil() + 1.0;
        let (top, bottom) = ((source.y0 - reach).floor().max(0.0), (source.y1 + reach).ceil());
        let lines = Rect::new(source.x0, top, source.x1, bottom.min(f64::from(photo.height())));
        let narrow = convolve(photo, &lines, width, lines.height() as u32).map_err(|e| refused(&e))?;
        let part = Rect::new(0.0, source.y0 - lines.y0, f64::from(width), source.y1 - lines.y0);
        return convolve(&narrow, &part, width, height).map_err(|e| refused(&e));
    }
    convolve(photo, source, width, height).map_err(|e| refused(&e))
}

/// Most pixels between the two passes of a resize in the library's own order, which has the last word on rounding.
const MOST_BETWEEN: f64 = (1 << 24) as f64;

/// Most pixels of what a photo is scaled to: 8192 x 8192, the largest input.
const MOST_RESULT: u64 = 1 << 26;

fn check_result(width: u32, height: u32) -> Result<(), String> {
    match u64::from(width) * u64::from(height) {
        0..=MOST_RESULT => Ok(()),
        pixels => Err(format!("{width} x {height} are {} megapixels, over the limit of 67", pixels / 1_000_000)),
    }
}

fn convolve(photo: &Photo, source: &Rect, width: u32, height: u32) -> Result<Photo, String> {
    let from = TypedImageRef::<U8x3>::from_buffer(photo.width(), photo.height(), photo.rgb());
    let from = from.map_err(|e| e.to_string())?;
    let mut rgb = vec![0; width as usize * height as usize * 3];
    let mut to = TypedImage::<U8x3>::from_buffer(width, height, &mut rgb).map_err(|e| e.to_string())?;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false).crop(
        source.x0,
        source.y0,
        source.width(),
        source.height(),
    );
    Resizer::new().resize_typed(&from, &mut to, &options).map_err(|e| e.to_string())?;
    Photo::from_rgb(width, height, rgb).map_err(|e| e.to_string())
}

/// The network's input, `[1, C, H, W]`, of a photo. Padding is exactly 0, that is the mean colour, unless a fill is
/// stated.
///
/// # Errors
/// [`Error::Argument`] if the geometry is that of a photo of another size or the normalisation is not finite.
pub fn prepare(photo: &Photo, geometry: &Geometry, pixels: impl Into<InputPixels>) -> Result<Tensor> {
    normalise(&resize(photo, geometry)?, geometry, pixels)
}

/// The network's input of pixels that [`resize`] gave: what [`prepare`] does after it.
///
/// # Errors
/// [`Error::Argument`] if the pixels are not those of the geometry or the normalisation is not finite.
pub fn normalise(scaled: &Photo, geometry: &Geometry, pixels: impl Into<InputPixels>) -> Result<Tensor> {
    let pixels = pixels.into();
    pixels.check()?;
    let [x0, y0, x1, y1] = geometry.content();
    if scaled.size() != (x1 - x0, y1 - y0) {
        let (w, h) = scaled.size();
        let reason = format!("it places {} x {} pixels on the input, not {w} x {h}", x1 - x0, y1 - y0);
        return Err(Error::argument("geometry", reason));
    }
    let (width, height) = geometry.input_size();
    let (width, height) = (width as usize, height as usize);
    let [left, top, ..] = geometry.content().map(|n| n as usize);
    let row_width = scaled.width() as usize;

    let mut input = Tensor::zeros([1, pixels.channels.count(), height, width]);
    for (values, plane) in input.data_mut().chunks_exact_mut(width * height).zip(pixels.planes()) {
        let (holds, mean, std) = plane;
        values.fill(pixels.fill_of(plane));
        let levels: [f32; 256] = std::array::from_fn(|level| (level as f32 - mean) / std);
        let rows = values.chunks_exact_mut(width).skip(top);
        for (row, line) in rows.zip(scaled.rgb().chunks_exact(row_width * 3)) {
            let content = row.iter_mut().skip(left);
            let level = |rgb: &[u8]| match holds {
                Plane::Color(color) => rgb[color],
                Plane::Brightness => brightness([rgb[0], rgb[1], rgb[2]]),
                Plane::Opacity => 255,
            };
            content.zip(line.chunks_exact(3)).for_each(|(value, rgb)| *value = levels[usize::from(level(rgb))]);
        }
    }
    Ok(input)
}

/// The pixels of a network's input, padding left out: the inverse of [`normalise`], rounded to nearest.
///
/// # Errors
/// [`Error::Argument`] if the input is not that of the geometry.
pub fn denormalise(input: &Tensor, geometry: &Geometry, pixels: impl Into<InputPixels>) -> Result<Photo> {
    let pixels = pixels.into();
    let (width, height) = geometry.input_size();
    let (w, h) = (width as usize, height as usize);
    let channels = pixels.channels.count();
    if input.shape().dims() != [1, channels, h, w] {
        return Err(Error::argument("input", format!("{} is not [1, {channels}, {h}, {w}]", input.shape())));
    }
    let [x0, y0, x1, y1] = geometry.content();
    let mut rgb = vec![0; ((x1 - x0) * (y1 - y0) * 3) as usize];
    for ((holds, mean, std), values) in pixels.planes().zip(input.data().chunks_exact(w * h)) {
        let inside = (y0..y1).flat_map(|y| (x0..x1).map(move |x| y as usize * w + x as usize));
        for (pixel, at) in rgb.chunks_exact_mut(3).zip(inside) {
            let level = (values[at] * std + mean).round().clamp(0.0, 255.0) as u8;
            match holds {
                Plane::Color(color) => pixel[color] = level,
                Plane::Brightness => pixel.fill(level),
                Plane::Opacity => {}
            }
        }
    }
    Photo::from_rgb(x1 - x0, y1 - y0, rgb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Channels, GeometryMode, Normalization};

    const PLAIN: Normalization = Normalization { mean: [0.0; 3], std: [1.0; 3] };

    fn gradient(width: u32, height: u32) -> Photo {
        let rgb = (0..width * height).flat_map(|i| [(i % width) as u8, (i / width) as u8, 7]).collect();
        Photo::from_rgb(width, height, rgb).unwrap()
    }

    #[test]
    fn a_photo_of_the_input_size_is_only_normalised() {
        let photo = gradient(32, 32);
        let geometry = Geometry::new(GeometryMode::Squash, photo.size(), 32, 32).unwrap();
        let norm = Normalization { mean: [1.0, 2.0, 3.0], std: [2.0, 4.0, 8.0] };
        let input = prepare(&photo, &geometry, &norm).unwrap();
        let at = |c: usize, y: usize, x: usize| input.data()[c * 1024 + y * 32 + x];
        assert_eq!((at(0, 9, 5), at(1, 9, 5), at(2, 9, 5)), (2.0, 1.75, 0.5));
    }

    #[test]
    fn pixels_survive_normalisation() {
        let photo = gradient(40, 20);
        for mode in [GeometryMode::Squash, GeometryMode::Letterbox, GeometryMode::Crop] {
            let geometry = Geometry::new(mode, photo.size(), 32, 1).unwrap();
            let norm = Normalization { mean: [127.0, 120.0, 110.0], std: [128.0, 60.0, 58.0] };
            let scaled = resize(&photo, &geometry).unwrap();
            let input = normalise(&scaled, &geometry, &norm).unwrap();
            assert_eq!(input, prepare(&photo, &geometry, &norm).unwrap());
            assert_eq!(denormalise(&input, &geometry, &norm).unwrap(), scaled, "{mode}");
        }
        let geometry = Geometry::new(GeometryMode::Squash, photo.size(), 32, 1).unwrap();
        assert!(normalise(&photo, &geometry, &PLAIN).is_err_and(|e| e.to_string().contains("40 x 20")));
    }

    #[test]
    fn channels_are_what_the_network_wants() {
        let photo = Photo::from_rgb(2, 1, vec![10, 20, 30, 200, 100, 50]).unwrap();
        let geometry = Geometry::new(GeometryMode::Letterbox, photo.size(), 2, 1).unwrap();
        let normalization = Normalization { mean: [1.0, 2.0, 3.0], std: [1.0, 2.0, 4.0] };
        let of = |channels, fill| {
            let pixels = InputPixels { channels, normalization, fill };
            let input = prepare(&photo, &geometry, pixels).unwrap();
            if channels != Channels::Grey {
                assert_eq!(denormalise(&input, &geometry, pixels).unwrap(), photo, "{channels}");
            }
            input.into_data()
        };
        assert_eq!(of(Channels::Rgb, None), [9.0, 199.0, 0.0, 0.0, 9.0, 49.0, 0.0, 0.0, 6.75, 11.75, 0.0, 0.0]);
        // Mean and deviation go with the place of the channel.
        let fill = Some([3.0, 4.0, 5.0]);
        assert_eq!(of(Channels::Bgr, fill), [29.0, 49.0, 4.0, 4.0, 9.0, 49.0, 1.0, 1.0, 1.75, 49.25, 0.0, 0.0]);
        assert_eq!(of(Channels::Grey, Some([9.0; 3])), [17.0, 123.0, 8.0, 8.0]);
        assert_eq!(of(Channels::Rgba, None)[12..], [1.0; 4]);
    }

    #[test]
    fn crop_takes_the_centre() {
        let photo = gradient(40, 20);
        let geometry = Geometry::new(GeometryMode::Crop, photo.size(), 20, 1).unwrap();
        assert_eq!(resize(&photo, &geometry).unwrap().pixel(0, 3), Some([10, 3, 7]));
    }

    #[test]
    fn letterbox_pads_with_zero_after_normalisation() {
        let photo = Photo::from_rgb(40, 20, vec![200; 2400]).unwrap();
        let geometry = Geometry::new(GeometryMode::Letterbox, photo.size(), 40, 1).unwrap();
        let norm = Normalization { mean: [127.0; 3], std: [128.0; 3] };
        let input = prepare(&photo, &geometry, &norm).unwrap();
        for plane in input.data().chunks(1600) {
            for (y, row) in plane.chunks(40).enumerate() {
                let expected = if (10..30).contains(&y) { 73.0 / 128.0 } else { 0.0 };
                assert!(row.iter().all(|&v| v == expected), "row {y}");
            }
        }
    }

    #[test]
    fn aspect_gives_a_rectangular_input() {
        let photo = gradient(90, 60);
        let geometry = Geometry::new(GeometryMode::Aspect, photo.size(), 224, 32).unwrap();
        assert_eq!(prepare(&photo, &geometry, &PLAIN).unwrap().shape().dims(), [1, 3, 192, 288]);
    }

    #[test]
    fn strips_are_scaled_in_either_direction() {
        // Lengths that need the other order of passes, and ones that are shrunk first.
        for length in [76_000, 300_001] {
            let ramp = |i: u32| [(u64::from(i) * 255 / u64::from(length)) as u8, 200, 7];
            let rgb: Vec<u8> = (0..length).flat_map(ramp).collect();
            for (width, height) in [(length, 1), (1, length)] {
                let photo = Photo::from_rgb(width, height, rgb.clone()).unwrap();
                for mode in GeometryMode::ALL {
                    let geometry = Geometry::new(mode, photo.size(), 224, 32).unwrap();
                    let scaled = resize(&photo, &geometry).unwrap();
                    let (w, h) = scaled.size();
                    for (x, y) in [(0, 0), (w / 2, h / 2), (w - 1, h - 1)] {
                        let (px, py) = geometry.to_photo(
                            f64::from(geometry.content()[0] + x) + 0.5,
                            f64::from(geometry.content()[1] + y) + 0.5,
                        );
                        let expected = ramp((px.max(py) as u32).min(length - 1));
                        let off = scaled.pixel(x, y).unwrap()[0].abs_diff(expected[0]);
                        assert!(off <= 1, "{width} x {height} {mode}: {off} levels off at {x}, {y}");
                    }
                }
            }
        }
    }

    #[test]
    fn both_orders_of_passes_agree() {
        let rgb = (0..3000 * 40u32)
            .flat_map(|i| [(i.wrapping_mul(i) >> 9) as u8, (i % 3000 / 12) as u8, (i / 3000 * 6) as u8]);
        let photo = Photo::from_rgb(3000, 40, rgb.collect()).unwrap();
        let source = Rect::new(10.5, 3.25, 2900.0, 33.5);
        // 2890 columns by 7000 rows are too many between the passes.
        let found = scale(&photo, &source, 50, 7000).unwrap();
        let expected = convolve(&photo, &source, 50, 7000).unwrap();
        let off = found.rgb().iter().zip(expected.rgb()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off <= Some(1), "{off:?}");
        assert!(scale(&photo, &source, 40_000, 40_000).is_err_and(|e| e.to_string().contains("megapixels")));
    }

    #[test]
    fn rectangles_outside_the_photo_are_refused() {
        let photo = gradient(10, 10);
        for source in [Rect::default(), Rect::new(5.0, 5.0, 11.0, 10.0), Rect::new(-1.0, 0.0, 5.0, 5.0)] {
            assert!(scale(&photo, &source, 4, 4).is_err(), "{source:?}");
        }
        assert!(scale(&photo, &Rect::new(0.0, 0.0, f64::NAN, 5.0), 4, 4).is_err());
        assert!(scale(&photo, &Rect::new(0.0, 0.0, 10.0, 10.0), 0, 4).is_err());
    }

    #[test]
    fn contradictions_are_refused() {
        let photo = gradient(10, 10);
        let other = Geometry::new(GeometryMode::Squash, (10, 11), 32, 32).unwrap();
        assert!(prepare(&photo, &other, &PLAIN).is_err());
        let geometry = Geometry::new(GeometryMode::Squash, (10, 10), 32, 32).unwrap();
        assert!(prepare(&photo, &geometry, &Normalization { mean: [0.0; 3], std: [0.0; 3] }).is_err());
        assert!(prepare(&photo, &geometry, &Normalization { mean: [f32::NAN; 3], std: [1.0; 3] }).is_err());
    }
}
