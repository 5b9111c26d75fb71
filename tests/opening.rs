//! The explanation that the page shows before its engine is live (`www/examples/opening.json`) is the engine's own
//! answer to the opening example.
//!
//! ```text
//! FAMLENS_WRITE=1 cargo test --test opening
//! ```
//!
//! writes the file anew: after a change of the opening example, of the model or of how an explanation is computed.

mod common;

use std::path::Path;

use common::{bytes, json, root};
use famlens::choice::Choice;
use famlens::fam::Form;
use famlens::image::{Limits, decode};
use famlens::overlay::{ColorMap, contours};
use famlens::session::{Class, EngineChoice, ExplainOptions, ExplainedMap, ImageId, Model, Session};
use pollster::block_on;
use serde_json::{Value, json};

const FILE: &str = "www/examples/opening.json";

/// A cell holds its place between the map's least and highest value, in thousandths.
const STEPS: f32 = 1000.0;

/// The part of the highest value that the outline is drawn at, as the page has it for who has chosen none.
const THRESHOLD: f32 = 0.2;

/// How many colours of the default colour map come along.
const COLORS: usize = 32;

fn session() -> Session {
    let folder = root("models/efficientnet_lite0");
    let manifest = String::from_utf8(bytes(folder.join("model.json"))).unwrap();
    let model = Model::new(&manifest, &bytes(folder.join("model.onnx"))).unwrap();
    let model = model.with_statistics(&bytes(folder.join("statistics.bin"))).unwrap();
    block_on(Session::new(model, EngineChoice::Cpu)).unwrap()
}

fn add(session: &mut Session, file: &Value) -> ImageId {
    let file = file.as_str().unwrap();
    let photo = decode(file, &bytes(root("www/examples").join(file)), &Limits::default()).unwrap();
    session.add_image(file, &photo).unwrap()
}

/// What the page needs of a map to draw it.
fn map(explained: &ExplainedMap) -> Value {
    let map = &explained.map;
    let view = map.view().unwrap();
    let (min, max) = view.range();
    let range = if max > min { max - min } else { 1.0 };
    let cells: Vec<u32> = map.data.iter().map(|v| ((v - min) / range * STEPS).round() as u32).collect();
    let points = |line: Vec<[f64; 2]>| line.into_iter().flatten().map(|v| v.round() as i64).collect::<Vec<_>>();
    let outline: Vec<_> = contours(&view, THRESHOLD).unwrap().into_iter().map(points).collect();
    let found = explained.localisation.as_ref();
    json!({
        "width": map.width, "height": map.height, "min": min, "max": max, "cells": cells, "outline": outline,
        "box": found.map(|found| [found.bounds.x0, found.bounds.y0, found.bounds.x1, found.bounds.y1]),
        "peak": found.map(|found| found.peak),
    })
}

/// The page's first example set as it opens, explained as the page does for who has chosen nothing.
fn opening() -> Value {
    let set = json(root("www/examples/examples.json"))["sets"][0].take();
    let mut session = session();
    let named = set["classes"].as_array().unwrap();
    let classes: Vec<Class> = named
        .iter()
        .map(|class| {
            let files = class["supports"].as_array().unwrap();
            let supports: Vec<_> = files.iter().map(|file| add(&mut session, file)).collect();
            Class::new(class["name"].as_str().unwrap(), supports)
        })
        .collect();
    let form = Form::usual(classes.len(), true, true);
    let query = add(&mut session, &set["query"]);
    let options = ExplainOptions { form, ..ExplainOptions::default() };
    let found = block_on(session.explain(query, &classes, &options)).unwrap();
    let table = ColorMap::default().table();
    let colors: Vec<[u8; 3]> = (0..COLORS).map(|at| table[at * 255 / (COLORS - 1)]).collect();
    let classes: Vec<Value> = found
        .classes
        .iter()
        .zip(&found.maps)
        .map(|(class, explained)| json!({ "name": class.name, "similarity": class.similarity, "map": map(explained) }))
        .collect();
    let (width, height) = found.maps[0].map.geometry.photo_size();
    json!({
        "query": set["query"], "width": width, "height": height, "score": found.score, "predicted": found.predicted,
        "form": { "name": form.name(), "label": form.label(), "sentence": form.sentence() },
        "classes": classes, "colors": colors, "scale": found.scale,
    })
}

/// Numbers within `tolerance` of each other in parts of the larger one, or a step of the rounding; all else the same.
fn alike(a: &Value, b: &Value, at: &str, tolerance: f64) {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            let (x, y) = (x.as_f64().unwrap(), y.as_f64().unwrap());
            // Cells are in thousandths and places in pixels: engines of other instruction sets differ by a step or two.
            let step = if x.fract() == 0.0 && y.fract() == 0.0 { 3.0 } else { 0.0 };
            assert!((x - y).abs() <= step + tolerance * x.abs().max(y.abs()), "{at}: {x} and {y}");
        }
        (Value::Array(x), Value::Array(y)) => {
            assert_eq!(x.len(), y.len(), "{at}");
            x.iter().zip(y).enumerate().for_each(|(i, (x, y))| alike(x, y, &format!("{at}[{i}]"), tolerance));
        }
        (Value::Object(x), Value::Object(y)) => {
            assert_eq!(x.keys().collect::<Vec<_>>(), y.keys().collect::<Vec<_>>(), "{at}");
            // An outline has a point more or less where a cell is a step higher.
            for (key, value) in x.iter().filter(|(key, _)| *key != "outline") {
                alike(value, &y[key], &format!("{at}.{key}"), tolerance);
            }
        }
        _ => assert_eq!(a, b, "{at}"),
    }
}

#[test]
fn the_page_opens_with_the_engines_own_answer() {
    let found = opening();
    let path = root(FILE);
    if std::env::var_os("FAMLENS_WRITE").is_some() {
        write(&path, &found);
    }
    alike(&json(&path), &found, "opening", 5e-3);
}

fn write(path: &Path, found: &Value) {
    std::fs::write(path, format!("{found}\n")).unwrap();
}
