//! Inputs of every kind, from the photo to the layer that is explained, against Pillow and ONNX Runtime:
//! `tests/inputs/make.py` made the networks and the goldens.

mod common;

use std::process::ExitCode;

use famlens::engine::candle::CandleEngine;
use famlens::engine::cpu::CpuEngine;
use famlens::engine::gpu::{GpuEngine, GpuOptions};
use famlens::engine::reference::ReferenceEngine;
use famlens::engine::{Engine, Mix};
use famlens::fam::PoolingChoice;
use famlens::image::{InputSize, Limits, Photo, decode, prepare};
use famlens::session::{Class, EngineChoice, ExplainOptions, Model, Session};
use famlens::{Error, Result};
use libtest_mimic::{Arguments, Failed, Trial};
use pollster::block_on;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let required = std::env::var("FAMLENS_REQUIRE_GPU").is_ok_and(|v| v == "1");
    let open = || block_on(GpuEngine::new(GpuOptions::default()));
    let missing = open().is_err() && !required;
    let on_gpu = move || all(&open().map_err(said)?);
    let trials = vec![
        Trial::test("reference", || all(&ReferenceEngine)),
        Trial::test("cpu", || all(&CpuEngine::new())),
        Trial::test("candle", || all(&CandleEngine::new())),
        Trial::test("gpu", on_gpu).with_kind(if missing { "no GPU" } else { "" }).with_ignored_flag(missing),
        Trial::test("maps are in the photo's coordinates", || maps_are_in_photo_coordinates().map_err(said)),
        Trial::test("what the network settles is said", || assumptions().map_err(said)),
        Trial::test("a network that ends in an embedding is compared by it", || own_embeddings().map_err(said)),
        Trial::test("inputs that photos cannot be made into are refused", refusals),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn said(error: Error) -> Failed {
    error.to_string().into()
}

fn cases() -> Vec<Value> {
    common::json(common::root("tests/inputs/index.json")).as_array().expect("a list").clone()
}

fn model(case: &Value) -> Result<Model> {
    let file = case["file"].as_str().expect("a file");
    let card = json!({"format": 1, "name": case["name"], "target": case["target"], "input": case["spec"]});
    Model::new(&card.to_string(), &common::bytes(common::root(&format!("tests/{file}"))))
}

fn photo(name: &str) -> Result<Photo> {
    decode(name, &common::bytes(common::golden(&format!("engine/{name}"))), &Limits::default())
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number") as f32).collect()
}

/// Every case on one engine: the input that is prepared, and the mean over the cells of the layer.
fn all(engine: &dyn Engine) -> Result<(), Failed> {
    for case in cases() {
        let name = case["name"].as_str().expect("a name");
        let checked = on(engine, &case).map_err(|e| format!("{name}: {e}"))?;
        assert_eq!(checked, 2, "{name}: pictures");
    }
    Ok(())
}

fn on(engine: &dyn Engine, case: &Value) -> Result<usize> {
    let (model, target) = (model(case)?, case["target"].as_str().expect("a target"));
    let spec = &model.manifest().input;
    let size = InputSize { width: number(&case["width"]), height: number(&case["height"]) };
    assert_eq!(spec.size, size, "{case}");
    assert_eq!(spec.channels.map(|c| c.name()), case["channels"].as_str());
    let graph = model.graph(size.across(), target)?;
    let layer = graph.find(target).ok_or_else(|| Error::argument("target", "it is gone"))?;
    let mut program = engine.compile(&graph, &[layer])?;
    let pictures = case["pictures"].as_object().expect("pictures");
    for (name, expected) in pictures {
        let place = format!("{}, {name}, {}", case["name"], engine.describe());
        let photo = photo(name)?;
        let input = prepare(&photo, &model.geometry(photo.width(), photo.height())?, spec.pixels())?;
        // The resizer may be a level away from Pillow's.
        let level = spec.pixels().normalization.std.iter().fold(f32::INFINITY, |least, &s| least.min(s));
        for (i, expected) in numbers(&expected["input"]).into_iter().enumerate() {
            let found = input.data()[(2_654_435_761 * i) % input.data().len()];
            assert!((found - expected).abs() <= 1.01 / level, "{place}: value {i} is {found}, not {expected}");
        }
        let output = block_on(program.run(&input, &Mix::default()))?;
        let maps = block_on(program.read(&output.features[0]))?;
        let [_, channels, height, width] = *maps.shape().dims() else { panic!("{place}: no maps") };
        assert_eq!(json!([height, width]), expected["maps"], "{place}");
        let mean = |map: &[f32]| (map.iter().map(|&v| f64::from(v)).sum::<f64>() / map.len() as f64) as f32;
        let means: Vec<f32> = maps.data().chunks(height * width).map(mean).collect();
        let expected = numbers(&expected["mean"]);
        assert_eq!(channels, expected.len(), "{place}");
        let off = common::relative_error(&means, &expected);
        assert!(off < 5e-3, "{place}: the layer is off by {off:.1e}");
    }
    Ok(pictures.len())
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|v| u32::try_from(v).ok()).expect("a number")
}

/// A map of a rectangular input lies on its photo: every cell where the network saw it.
fn maps_are_in_photo_coordinates() -> Result<()> {
    for name in ["rectangle", "rectangle_crop", "rectangle_letterbox", "plate", "strip"] {
        let case = cases().into_iter().find(|case| case["name"] == name).expect("a case");
        let model = model(&case)?;
        let size = model.manifest().input.size;
        let mut session = block_on(Session::new(model, EngineChoice::Cpu))?;
        let (wide, dog) = (photo("wide.png")?, photo("dog.png")?);
        let query = session.add_image("wide", &wide)?;
        let other = session.add_image("dog", &dog)?;
        let options = ExplainOptions::default();
        let found = block_on(session.explain(query, &[Class::new("dog", [other])], &options))?;
        let map = &found.maps[0].map;
        let expected = numbers(&case["pictures"]["wide.png"]["maps"]);
        assert_eq!([map.height as f32, map.width as f32], [expected[0], expected[1]], "{name}");
        let geometry = map.geometry;
        assert_eq!((geometry.photo_size(), geometry.input_size()), (wide.size(), size.across()), "{name}");
        let covered = geometry.covered();
        let area: f64 = (0..map.height)
            .flat_map(|y| (0..map.width).map(move |x| (x, y)))
            .map(|(x, y)| geometry.cell_rect(map.width, map.height, x, y).area())
            .sum();
        assert!((area - covered.area()).abs() < 1e-6 * covered.area(), "{name}: cells tile what is seen");
        let pair = block_on(session.pair(query, other, &options))?;
        assert!(pair.similarity().is_finite(), "{name}");
        let classes = [Class::new("wide", [query]), Class::new("dog", [other])];
        let mosaic = block_on(session.mosaic(&classes, None, &[ExplainOptions::default()]))?;
        let (w, h) = mosaic.photo.size();
        assert!((f64::from(w) / f64::from(h) - f64::from(size.width) / f64::from(size.height)).abs() < 0.02, "{name}");
    }
    Ok(())
}

fn assumptions() -> Result<()> {
    for (name, words) in [
        ("grey", "becomes grey|become grey"),
        ("rgba", "opaque"),
        ("batch", "8 images at once"),
        ("strip", ""),
        ("inside_bytes", "from 0 to 255"),
        ("inside_unit", "from 0 to 1"),
        ("uint8", "as bytes"),
        ("nothing_said", "ImageNet"),
        ("rectangle", ""),
    ] {
        let case = cases().into_iter().find(|case| case["name"] == name).expect("a case");
        let said = model(&case)?.assumptions().join(" ");
        assert!(words.is_empty() == said.is_empty(), "{name}: {said}");
        assert!(words.split('|').any(|part| said.contains(part)), "{name}: {said}");
    }
    Ok(())
}

/// The model's own embedding is the usual choice where there is one; the parts of the similarity add up to it.
fn own_embeddings() -> Result<()> {
    for (file, embedding, pooling) in [
        ("cases/gdconv_embedding", None, "model"),
        ("families/dino_vit", None, "model"),
        // Twelve values of a linear layer may be twelve classes, unless they are said to be an embedding.
        ("families/clip_resnet", None, "gap"),
        ("families/clip_resnet", Some("y"), "model"),
        // The mean of the layer's cells is the embedding.
        ("cases/rectangular_256x128", None, "gap"),
        ("cases/customvision_string_labels", None, "gap"),
        ("cases/segmentation_softmax", None, "gap"),
    ] {
        let card = json!({"format": 1, "name": file, "embedding": embedding, "input": {}});
        let onnx = common::bytes(common::root(&format!("tests/{file}.onnx")));
        let model = Model::new(&card.to_string(), &onnx)?;
        assert_eq!(model.manifest().pooling, pooling, "{file}");
        let told = model.assumptions().iter().any(|said| said.contains("ends in an embedding"));
        assert_eq!(told, pooling == "model", "{file}: {:?}", model.assumptions());
        let mut session = block_on(Session::new(model, EngineChoice::Cpu))?;
        let (a, b) = (session.add_image("wide", &photo("wide.png")?)?, session.add_image("dog", &photo("dog.png")?)?);
        let options = ExplainOptions::default();
        let pair = block_on(session.pair(a, b, &options))?;
        for side in [&pair.a, &pair.b] {
            let class = &side.classes[0];
            let carried: f64 = side.contributions[0].iter().map(|&w| f64::from(w)).sum();
            let off = class.similarity - (carried + class.constant + class.residual);
            assert!(off.abs() < 1e-5, "{file}: the parts miss {off} of the similarity");
        }
        let plain = ExplainOptions { pooling: Some(PoolingChoice::Average), ..options };
        let plain = block_on(session.pair(a, b, &plain))?;
        let same = (plain.similarity() - pair.similarity()).abs() < 1e-6;
        assert_eq!(same, pooling == "gap", "{file}");
    }
    let described = json!({"format": 1, "name": "n", "pooling": "gap", "input": {}}).to_string();
    let model = Model::new(&described, &common::bytes(common::root("tests/cases/gdconv_embedding.onnx")))?;
    assert_eq!(model.manifest().pooling, "gap", "what is stated counts");
    Ok(())
}

fn refusals() -> Result<(), Failed> {
    let refused = |name: &str, spec: Value| {
        let mut case = cases().into_iter().find(|case| case["name"] == name).expect("a case");
        case["spec"] = spec;
        model(&case).map(|_| ()).expect_err("it is refused").to_string()
    };
    let pixels = |mut spec: Value| {
        (spec["mean"], spec["std"]) = (json!(0), json!(1));
        spec
    };
    let message = refused("grey", pixels(json!({"channels": "rgb"})));
    assert!(message.contains("\"rgb\"") && message.contains("1 channels"), "{message}");
    let message = refused("rectangle", pixels(json!({"height": 128, "width": 256})));
    assert!(message.contains("256 x 128 (height x width)"), "{message}");
    let message = refused("rectangle", json!({"mean": 0}));
    assert!(message.contains("without \"std\""), "{message}");
    Ok(())
}
