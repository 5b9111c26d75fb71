//! Maps drawn over photos and localised, against numpy and scipy.

mod common;

use common::{golden, json};
use famlens::image::{Geometry, GeometryMode, Photo, Rect, encode_png, encode_png_rgba};
use famlens::metrics::{Threshold, iou, localise};
use famlens::overlay::{Alpha, ColorMap, MapView, Style, Upsampler, compose, contours, render};

fn floats(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn boxes_and_upsampled_values_are_those_of_numpy_and_scipy() {
    let index = json(golden("localise/index.json"));
    let cases = index.as_array().unwrap();
    assert!(cases.len() >= 40);
    for (at, case) in cases.iter().enumerate() {
        let map: Vec<f32> = floats(&case["map"]).into_iter().map(|v| v as f32).collect();
        let [photo_w, photo_h] = floats(&case["photo"])[..] else { panic!("two sides") };
        let (w, h) = (case["width"].as_u64().unwrap() as usize, case["height"].as_u64().unwrap() as usize);
        let geometry = Geometry::new(GeometryMode::Squash, (photo_w as u32, photo_h as u32), 224, 32).unwrap();
        let view = MapView::new(&map, w, h, &geometry).unwrap();

        let mut upsampler = Upsampler::pixels(&view, photo_w as u32, photo_h as u32);
        for value in case["values"].as_array().unwrap() {
            let [x, y, expected] = floats(value)[..] else { panic!("x, y and value") };
            let found = upsampler.row(y as usize)[x as usize];
            assert!((f64::from(found) - expected).abs() < 1e-5, "case {at}: {found} at {x}, {y}, not {expected}");
        }

        let found = localise(&view, case["threshold"].as_f64().unwrap() as f32).unwrap().unwrap();
        let [x0, y0, x1, y1] = floats(&case["box"])[..] else { panic!("four edges") };
        // A pixel may fall on either side of the threshold in f32 and f64.
        assert!(iou(&found.bounds, &Rect::new(x0, y0, x1, y1)) > 0.999, "case {at}: {:?}, not {case}", found.bounds);
        let area = case["area"].as_f64().unwrap();
        assert!((found.area as f64 - area).abs() <= 1.0 + area * 1e-4, "case {at}: {} of {area}", found.area);

        let [px, py] = found.peak;
        let raw = view.value_at(px, py).unwrap();
        assert!(view.normalize(raw) > 1.0 - 1e-5, "case {at}: the peak's value is {raw} of {:?}", view.range());
    }
}

/// The level of a share of the energy and its box (`tests/goldens/make_looks.py`).
#[test]
fn shares_of_the_energy_are_those_of_numpy() {
    let index = json(golden("looks/index.json"));
    let cases = index["energy"].as_array().unwrap();
    assert!(cases.len() >= 24);
    for (at, case) in cases.iter().enumerate() {
        let map: Vec<f32> = floats(&case["map"]).into_iter().map(|v| v as f32).collect();
        let [photo_w, photo_h] = floats(&case["photo"])[..] else { panic!("two sides") };
        let (w, h) = (case["width"].as_u64().unwrap() as usize, case["height"].as_u64().unwrap() as usize);
        let geometry = Geometry::new(GeometryMode::Squash, (photo_w as u32, photo_h as u32), 224, 32).unwrap();
        let view = MapView::new(&map, w, h, &geometry).unwrap();
        let share = Threshold::Energy(case["share"].as_f64().unwrap() as f32);
        let found = localise(&view, share).unwrap().unwrap();
        let level = case["level"].as_f64().unwrap();
        assert!((f64::from(found.level) - level).abs() < 1e-4, "case {at}: {}, not {level}", found.level);
        let [x0, y0, x1, y1] = floats(&case["box"])[..] else { panic!("four edges") };
        // A pixel may fall on either side of the level in f32 and f64.
        let overlap = iou(&found.bounds, &Rect::new(x0, y0, x1, y1));
        assert!(overlap > 0.98, "case {at}: {:?}, not {case}", found.bounds);
    }
}

#[test]
fn outlines_hug_the_box() {
    let map = [0.0, 0.0, 0.0, 0.0, 1.0, 0.2, 0.0, 0.2, 0.1];
    let geometry = Geometry::new(GeometryMode::Squash, (300, 240), 96, 32).unwrap();
    let view = MapView::new(&map, 3, 3, &geometry).unwrap();
    let outlines = contours(&view, 0.5).unwrap();
    assert_eq!(outlines.len(), 1);
    let edge = |axis: usize, pick: fn(f64, f64) -> f64, from: f64| outlines[0].iter().map(|p| p[axis]).fold(from, pick);
    let hull =
        Rect::new(edge(0, f64::min, 1e9), edge(1, f64::min, 1e9), edge(0, f64::max, 0.0), edge(1, f64::max, 0.0));
    let bounds = localise(&view, 0.5).unwrap().unwrap().bounds;
    assert!(iou(&hull, &bounds) > 0.97, "{hull:?} around {bounds:?}");
}

fn pixel(rgba: &[u8], width: usize, x: usize, y: usize) -> [u8; 4] {
    rgba.as_chunks::<4>().0[y * width + x]
}

#[test]
fn colours_follow_the_values() {
    let geometry = Geometry::new(GeometryMode::Squash, (200, 100), 64, 32).unwrap();
    let view = MapView::new(&[-4.0, 6.0], 2, 1, &geometry).unwrap();
    let style = Style { colors: ColorMap::Grey, alpha: Alpha::Constant, opacity: 0.5 };
    let rgba = render(&view, 100, 50, &style).unwrap();
    assert_eq!(pixel(&rgba, 100, 0, 0), [0, 0, 0, 128]);
    assert_eq!(pixel(&rgba, 100, 99, 49), [255, 255, 255, 128]);
    // Half-way between the centres of the cells, at 25 and 75, lies at the pixel edge 50.
    assert_eq!(pixel(&rgba, 100, 49, 20)[0], 125);
    assert_eq!(pixel(&rgba, 100, 50, 20)[0], 130);

    let style = Style { alpha: Alpha::Proportional, opacity: 1.0, ..style };
    let rgba = render(&view, 100, 50, &style).unwrap();
    assert_eq!(pixel(&rgba, 100, 0, 0)[3], 0);
    assert_eq!(pixel(&rgba, 100, 49, 20)[3], 125);
    assert_eq!(pixel(&rgba, 100, 99, 0)[3], 255);

    assert!(render(&view, 100, 50, &Style { opacity: 1.5, ..style }).is_err());
    assert!(render(&view, 100, 50, &Style { opacity: f32::NAN, ..style }).is_err());
    assert!(render(&view, 0, 50, &style).unwrap().is_empty());
}

#[test]
fn what_was_not_seen_is_transparent() {
    let geometry = Geometry::new(GeometryMode::Crop, (200, 100), 64, 32).unwrap();
    let view = MapView::new(&[0.0, 1.0, 0.0, 1.0], 2, 2, &geometry).unwrap();
    let rgba = render(&view, 200, 100, &Style { opacity: 1.0, ..Style::default() }).unwrap();
    for x in 0..200 {
        assert_eq!(pixel(&rgba, 200, x, 50)[3], if (50..150).contains(&x) { 255 } else { 0 }, "{x}");
    }
    // A letterbox has seen the whole photo: its padding is no part of the picture.
    let geometry = Geometry::new(GeometryMode::Letterbox, (200, 100), 64, 32).unwrap();
    let view = MapView::new(&[0.0, 1.0, 0.0, 1.0], 2, 2, &geometry).unwrap();
    let rgba = render(&view, 200, 100, &Style { opacity: 1.0, ..Style::default() }).unwrap();
    assert!(rgba.as_chunks::<4>().0.iter().all(|p| p[3] == 255));
}

#[test]
fn a_map_without_evidence_dims_the_photo() {
    let photo = Photo::from_rgb(20, 10, (0..600).map(|i| i as u8).collect()).unwrap();
    let geometry = Geometry::new(GeometryMode::Squash, photo.size(), 64, 32).unwrap();
    let view = MapView::new(&[0.0; 4], 2, 2, &geometry).unwrap();
    assert!(view.is_constant());
    let clear = Style { alpha: Alpha::Proportional, ..Style::default() };
    for style in [Style::default(), clear] {
        let rgba = render(&view, 20, 10, &style).unwrap();
        assert!(rgba.as_chunks::<4>().0.iter().all(|p| *p == [0, 0, 0, 150]));
        let dimmed = compose(&photo, &view, &style).unwrap();
        let darker = |(a, b): (&u8, &u8)| u32::from(*b) == (u32::from(*a) * 105 + 127) / 255;
        assert!(photo.rgb().iter().zip(dimmed.rgb()).all(darker));
    }
    // On a scale that it shares with others, a map that stays at the low end shows nothing either.
    let low = MapView::new(&[0.0, -1.0, 0.0, 0.0], 2, 2, &geometry).unwrap().on_scale(0.0, 1.0);
    assert!(render(&low, 20, 10, &clear).unwrap().as_chunks::<4>().0.iter().all(|p| p[3] == 150));
    assert!(contours(&view, 0.2).unwrap().is_empty());
}

#[test]
fn composing_blends_as_rendering_says() {
    let photo = Photo::from_rgb(31, 17, (0..31 * 17 * 3).map(|i| (i * 7) as u8).collect()).unwrap();
    for mode in GeometryMode::ALL {
        let geometry = Geometry::new(mode, photo.size(), 96, 32).unwrap();
        let view = MapView::new(&[0.0, 3.0, 1.0, 2.0, 5.0, 4.0], 3, 2, &geometry).unwrap();
        for alpha in [Alpha::Constant, Alpha::Proportional] {
            let style = Style { colors: ColorMap::Turbo, alpha, opacity: 0.7 };
            let found = compose(&photo, &view, &style).unwrap();
            let rgba = render(&view, 31, 17, &style).unwrap();
            let (over, under) = (rgba.as_chunks::<4>().0, photo.rgb().as_chunks::<3>().0);
            for ((over, under), found) in over.iter().zip(under).zip(found.rgb().as_chunks::<3>().0) {
                for channel in 0..3 {
                    let a = f64::from(over[3]) / 255.0;
                    let blend = f64::from(under[channel]) * (1.0 - a) + f64::from(over[channel]) * a;
                    assert!((f64::from(found[channel]) - blend).abs() <= 0.51, "{mode}");
                }
            }
        }
    }
    let other = Geometry::new(GeometryMode::Squash, (17, 31), 96, 32).unwrap();
    assert!(compose(&photo, &MapView::new(&[0.0, 1.0], 2, 1, &other).unwrap(), &Style::default()).is_err());
}

#[test]
fn overlays_are_saved_as_png() {
    let photo = Photo::from_rgb(20, 10, vec![90; 600]).unwrap();
    let geometry = Geometry::new(GeometryMode::Squash, photo.size(), 64, 32).unwrap();
    let view = MapView::new(&[0.0, 1.0], 2, 1, &geometry).unwrap();
    let painted = compose(&photo, &view, &Style::default()).unwrap();
    let png = encode_png(&painted).unwrap();
    assert_eq!(famlens::image::decode("overlay", &png, &Default::default()).unwrap(), painted);
    let rgba = render(&view, 20, 10, &Style::default()).unwrap();
    assert!(encode_png_rgba(20, 10, &rgba).unwrap().starts_with(b"\x89PNG"));
}
