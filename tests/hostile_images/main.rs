//! Hostile images: each ends in an error or a picture, within the time and the memory that are promised.
//!
//! With `FAMLENS_HOSTILE_IMAGES=folder` the files are written there too, with what became of each in `answers.json`,
//! for the browser's test.

#[path = "../common/mod.rs"]
mod common;
mod files;
mod jpeg;
mod measure;
mod others;
mod png;
mod random;

use std::panic::{AssertUnwindSafe, catch_unwind};

use famlens::image::{
    Augmentation, Geometry, GeometryMode, Limits, Normalization, Photo, View, decode, encode_png, prepare, scale, sniff,
};
use famlens::overlay::{MapView, Style, compose, render};
use measure::{Cost, measured};
use random::Random;

/// Seconds of the processor. The library's own loops are not optimised in a plain test build.
const MOST_SECONDS: f64 = if cfg!(debug_assertions) { 6.0 } else { 2.0 };

/// Bytes at once, over what was there before.
const MOST_BYTES: usize = 500_000_000;

/// Every hostile file: a name with the ending that it claims, and its bytes. The same on every machine.
fn all() -> Vec<(String, Vec<u8>)> {
    let mut random = Random::new(11);
    let mut found = files::damaged(&mut random);
    found.extend(jpeg::files(&mut random));
    found.extend(png::files(&mut random));
    found.extend(others::files(&mut random));
    found
}

/// What becomes of a file on its way to the network and back: everything whose size depends on the photo's.
fn use_photo(photo: &Photo) -> famlens::Result<()> {
    let normalization = Normalization { mean: [127.0; 3], std: [128.0; 3] };
    let map = [0.0, 0.5, 0.25, 1.0];
    for mode in GeometryMode::ALL {
        let geometry = Geometry::new(mode, photo.size(), 224, 32)?;
        prepare(photo, &geometry, &normalization)?;
        render(&MapView::new(&map, 2, 2, &geometry)?, 320, 240, &Style::default())?;
    }
    let geometry = Geometry::new(GeometryMode::Squash, photo.size(), 224, 32)?;
    compose(photo, &MapView::new(&map, 2, 2, &geometry)?, &Style::default())?;
    for seed in 0..4 {
        View::draw(photo.size(), &Augmentation::default(), seed).apply(photo)?;
    }
    let whole = geometry.covered();
    scale(photo, &whole, 160, 120)?;
    scale(photo, &whole, 1, 300)?;
    scale(photo, &whole, 300, 1)?;
    Ok(())
}

/// What a file gave: a picture of some size, or words.
type Answer = Result<(u32, u32), String>;

fn try_file(name: &str, bytes: &[u8]) -> (Answer, Cost, Cost) {
    let run = || {
        let (photo, decoding) = measured(|| decode(name, bytes, &Limits::default()));
        let (answer, using) = match photo {
            Ok(photo) => {
                let (used, cost) = measured(|| use_photo(&photo));
                (used.map(|()| photo.size()).map_err(|e| e.to_string()), cost)
            }
            Err(error) => (Err(error.to_string()), Cost::default()),
        };
        (answer, decoding, using)
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| panic!("{name} panics"))
}

#[test]
fn every_file_ends_within_the_limits() {
    let files = all();
    assert!(files.len() >= 160, "{} files", files.len());
    let folder = std::env::var_os("FAMLENS_HOSTILE_IMAGES").map(std::path::PathBuf::from);
    let (mut wrong, mut answers, mut pictures) = (Vec::new(), Vec::new(), 0);
    let (mut slowest, mut largest) = ((0.0, String::new()), (0, String::new()));
    for (name, bytes) in &files {
        let (answer, decoding, using) = try_file(name, bytes);
        for cost in [decoding, using] {
            if cost.seconds > MOST_SECONDS || cost.bytes > MOST_BYTES {
                wrong.push(format!("{name}: {:.1} s, {} MB", cost.seconds, cost.bytes / 1_000_000));
            }
            if cost.seconds > slowest.0 {
                slowest = (cost.seconds, name.clone());
            }
            if cost.bytes > largest.0 {
                largest = (cost.bytes, name.clone());
            }
        }
        pictures += usize::from(answer.is_ok());
        if answer.as_ref().is_err_and(|text| text.trim().is_empty() || !text.contains(name.as_str())) {
            wrong.push(format!("{name}: {answer:?} does not name the file"));
        }
        answers.push(serde_json::json!({
            "file": name,
            "size": answer.as_ref().ok().map(|&(w, h)| [w, h]),
            "error": answer.as_ref().err(),
            // What famlens decodes in a browser too.
            "ours": matches!(sniff(bytes), famlens::image::Format::Jpeg | famlens::image::Format::Png),
        }));
        if let Some(folder) = &folder {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
    if let Some(folder) = &folder {
        std::fs::write(folder.join("answers.json"), serde_json::to_vec_pretty(&answers).unwrap()).unwrap();
    }
    println!(
        "{} files, {pictures} give a picture; at most {:.2} s ({}) and {} MB ({})",
        files.len(),
        slowest.0,
        slowest.1,
        largest.0 / 1_000_000,
        largest.1
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A decoder never takes more than `max_bytes`, whatever the format, channels and depth; and where the limit is too
/// small, the refusal comes before the memory is taken.
#[test]
fn the_memory_limit_holds_for_every_format() {
    let mut wrong = Vec::new();
    for (name, bytes) in files::large() {
        for mebibytes in [1, 2, 4, 6, 8, 12, 16, 32] {
            let limits = Limits { max_bytes: mebibytes << 20, ..Limits::default() };
            let (result, cost) = measured(|| decode(&name, &bytes, &limits));
            // Tables and streams of the decoders, which are small and the same for every picture.
            let most = (mebibytes << 20) as usize + (1 << 19);
            if cost.bytes > most {
                wrong.push(format!("{name}: {} KiB of {mebibytes} MiB ({result:?})", cost.bytes >> 10));
            }
            if mebibytes == 32 && result.is_err() {
                wrong.push(format!("{name}: {result:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Damage at random, for as long as it takes to do it a few thousand times.
#[test]
fn random_damage_ends_in_an_error_or_a_picture() {
    let mut random = Random::new(5);
    let bases = files::bases();
    let limits = Limits { max_pixels: 1 << 20, max_bytes: 1 << 25, ..Limits::default() };
    for round in 0..3000 {
        let (name, whole) = &bases[round % bases.len()];
        let damaged = random.damaged(whole);
        let (_, cost) = measured(|| {
            if let Ok(photo) = decode(name, &damaged, &limits) {
                let again = decode("again", &encode_png(&photo).unwrap(), &limits).unwrap();
                assert!(again == photo, "{name} in round {round}");
            }
        });
        assert!(cost.seconds < MOST_SECONDS && cost.bytes < (1 << 26), "{name} in round {round}: {cost:?}");
    }
}
