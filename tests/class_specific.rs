//! Whitened and discriminative FAM against numpy's goldens (`tests/goldens/make_class_specific.py`), engine by engine.

mod common;

use common::{golden, json, npy, root, rows};
use famlens::Error;
use famlens::engine::cpu::CpuEngine;
use famlens::engine::gpu::{GpuEngine, GpuOptions};
use famlens::engine::{CellMaps, CellReadout, Engine, Pooled, Program};
use famlens::fam::{Accumulator, CellForm, ClassCells, Form, Rule, Specific, Statistics};
use famlens::graph::{Activation, Graph, Op};
use famlens::image::{Limits, decode, prepare};
use famlens::session::{Class, EngineChoice, ExplainOptions, Finer, ImageId, Look, Model, Session};
use famlens::tensor::Tensor;
use pollster::block_on;

/// Of everything, the network's own rounding included.
const TOLERANCE: f64 = 1e-4;

fn model() -> Model {
    let folder = root("models/efficientnet_lite0");
    let json = String::from_utf8(common::bytes(folder.join("model.json"))).expect("model.json is UTF-8");
    Model::new(&json, &common::bytes(folder.join("model.onnx"))).expect("the shipped model loads")
}

fn index() -> serde_json::Value {
    json(golden("class_specific/index.json"))
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().expect("a string")
}

fn statistics() -> Statistics {
    Statistics::from_bytes(&common::bytes(golden("class_specific/statistics.bin"))).expect("a golden's statistics")
}

/// The network's input: the golden photo has its size, so nothing is resized.
fn input(model: &Model, file: &str) -> Tensor {
    let photo =
        decode(file, &common::bytes(golden(&format!("class_specific/{file}"))), &Limits::default()).expect(file);
    let geometry = famlens::image::Geometry::new(famlens::image::GeometryMode::Squash, photo.size(), 320, 32);
    prepare(&photo, &geometry.expect("320 x 320"), model.manifest().pixels()).expect(file)
}

/// The program of one engine, with the last block and the head as targets.
fn program(engine: &dyn Engine, model: &Model) -> Box<dyn Program> {
    let index = index();
    let names = [text(&index["layer"]), text(&index["head_layer"])];
    let graph = model.graph_keeping((320, 320), &names).expect("both layers are in the model");
    let ids: Vec<_> = names.iter().map(|n| graph.find(n).expect("kept")).collect();
    engine.compile(&graph, &ids).expect("the model compiles")
}

/// A program that hands its input through: the readout alone.
fn identity(engine: &dyn Engine, cells: &Tensor) -> Box<dyn Program> {
    let mut graph = Graph::default();
    let x = graph.add_input("cells", cells.shape().clone());
    let y = graph.add_node("same", Op::Activation(Activation::LeakyRelu(1.0)), vec![x]).expect("it fits");
    engine.compile(&graph, &[y]).expect("it compiles")
}

fn off(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len(), "lengths differ");
    let differences = found.iter().zip(expected).map(|(a, b)| f64::from((a - b).abs()));
    differences.fold(0.0, |m: f64, d| if d.is_nan() { f64::INFINITY } else { m.max(d) })
}

/// The engines that are here.
fn engines() -> Vec<Box<dyn Engine>> {
    let mut all: Vec<Box<dyn Engine>> = vec![Box::new(CpuEngine::new())];
    match block_on(GpuEngine::new(GpuOptions::default())) {
        Ok(gpu) => all.push(Box::new(gpu)),
        Err(Error::NoGpu { reason }) => {
            assert!(std::env::var_os("FAMLENS_REQUIRE_GPU").is_none(), "a GPU is required: {reason}");
            eprintln!("SKIPPED: no GPU here: {reason}");
        }
        Err(other) => panic!("{other}"),
    }
    all
}

/// Means and rings of the golden's supports at the block, class by class.
fn golden_classes() -> Vec<ClassCells> {
    let (means, rings) = (npy("class_specific/support_means.npy"), npy("class_specific/support_rings.npy"));
    let pooled: Vec<[Pooled; 1]> =
        rows(&means).zip(rows(&rings)).map(|(m, r)| [Pooled { mean: m.to_vec(), ring: r.to_vec() }]).collect();
    pooled.chunks(3).map(|c| ClassCells::new(&c.iter().map(|p| &p[..]).collect::<Vec<_>>()).expect("three")).collect()
}

/// The pure part, on numpy's own activation maps: class vectors, directions, evidence, maps and scores, in every
/// setting.
#[test]
fn the_forms_equal_numpys_on_numpys_cells() {
    let index = index();
    let cells = npy("class_specific/query_cells.npy");
    let dims = cells.shape().dims().to_vec();
    let cells = Tensor::new([1, dims[0], dims[1], dims[2]], cells.into_data()).expect("[1, C, H, W]");
    for engine in engines() {
        let mut program = identity(engine.as_ref(), &cells);
        for (name, setting) in index["settings"].as_object().expect("settings") {
            for (b, border) in [0.0, Rule::BORDER].into_iter().enumerate() {
                for form in [CellForm::Whitened, CellForm::Discriminative] {
                    let specific = Specific::new(&statistics(), rule(setting, form, border)).expect("they whiten");
                    let readout = specific.readout_of_block(form, &golden_classes()).expect("three classes");
                    let found = block_on(program.run_cells(&cells, &readout)).expect("it runs").cells;
                    let what = format!("{} {name} {form:?} border {border}", engine.describe());
                    compare(&what, setting, name, b, form, &specific, &readout, &found);
                }
            }
        }
    }
}

fn rule(setting: &serde_json::Value, form: CellForm, border: f64) -> Rule {
    let number = |key: &str| setting[key].as_f64().expect("a number");
    let offset = match form {
        CellForm::Whitened => "whitened_offset",
        CellForm::Discriminative => "discriminative_offset",
    };
    Rule { border, shrinkage: number("lambda"), offset: Some(number(offset) as f32), sharpness: number("tau") as f32 }
}

#[allow(clippy::too_many_arguments)]
fn compare(
    what: &str,
    setting: &serde_json::Value,
    name: &str,
    b: usize,
    form: CellForm,
    specific: &Specific,
    readout: &CellReadout,
    found: &CellMaps,
) {
    let of = |key: &str| {
        let all = npy(&format!("class_specific/{name}_{key}.npy"));
        rows(&all).nth(b).expect("with and without the border term").to_vec()
    };
    let r = setting["r"].as_f64().expect("a number");
    assert!(off(&readout.layers[0].directions.concat(), &of("weights")) < TOLERANCE, "{what}: directions");
    assert!((f64::from(found.radii[0]) / r - 1.0).abs() < TOLERANCE, "{what}: r");
    assert!(off(&found.evidence, &of("evidence")) < TOLERANCE, "{what}: evidence");
    let decision = specific.decide(form, &golden_classes(), found).expect("it decides");
    let (key, scores) = match form {
        CellForm::Whitened => ("whitened", decision.scores.iter().map(|&s| s as f32).collect()),
        CellForm::Discriminative => ("discriminative", found.scores.clone()),
    };
    assert!(off(&found.maps, &of(key)) < TOLERANCE, "{what}: maps");
    assert!(off(&scores, &of(&format!("{key}_scores"))) < TOLERANCE, "{what}: scores");
    let predicted = text(&index()["classes"][decision.predicted]["name"]).to_owned();
    assert_eq!(predicted, text(&setting["predicted"][key][b]), "{what}");
}

/// Statistics of the golden's ten inputs, read back from their file, are those numpy wrote.
#[test]
fn statistics_equal_numpys() {
    let (model, index) = (model(), index());
    let engine = CpuEngine::variants().into_iter().find(|e| !e.is_fixed_point()).expect("one in f32");
    let mut program = program(&engine, &model);
    let classes = index["classes"].as_array().expect("classes");
    let supports = classes.iter().flat_map(|c| c["supports"].as_array().expect("supports"));
    let mut sums = Accumulator::new();
    for file in std::iter::once(&index["query"]).chain(supports) {
        let output = block_on(program.run_cells(&input(&model, text(file)), &CellReadout::default())).expect("it runs");
        let block = block_on(program.read(&output.features[0])).expect("it reads");
        sums.add(&block, Some((text(&index["head_layer"]), &output.cells.pooled[1].mean))).expect("it adds");
    }
    let found = sums.finish(text(&index["layer"]), (320, 320), "the ten inputs").expect("ten images");
    let found = Statistics::from_bytes(&found.to_bytes().expect("it writes")).expect("it reads back");
    let expected =
        Statistics::from_bytes(&common::bytes(golden("class_specific/episode_statistics.bin"))).expect("reads");
    assert_eq!((found.origin().images, found.origin().cells), (10, 1000));
    assert_eq!(found.origin().head, expected.origin().head);
    let c = found.mean().len();
    let largest = (0..c).map(|j| expected.covariance(j, j)).fold(0.0, f64::max);
    for j in 0..c {
        assert!((found.mean()[j] - expected.mean()[j]).abs() < TOLERANCE * largest.sqrt(), "mean {j}");
        for k in 0..=j {
            let d = (found.covariance(j, k) - expected.covariance(j, k)).abs();
            assert!(d < TOLERANCE * largest, "{j} {k}: {d}");
        }
    }
    let heads = found.head_mean().iter().zip(expected.head_mean());
    assert!(heads.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) < TOLERANCE);
}

/// Photos in, maps out, on every engine: the whole way with both layers.
#[test]
fn the_shipped_model_gives_numpys_maps() {
    let (model, index) = (model(), index());
    let setting = &index["settings"]["chosen"];
    for engine in engines() {
        let mut program = program(engine.as_ref(), &model);
        let mut pooled = |file: &serde_json::Value| {
            let output = block_on(program.run_cells(&input(&model, text(file)), &CellReadout::default()));
            output.expect("it runs").cells.pooled
        };
        let classes: Vec<ClassCells> = index["classes"]
            .as_array()
            .expect("classes")
            .iter()
            .map(|class| {
                let supports: Vec<_> =
                    class["supports"].as_array().expect("supports").iter().map(&mut pooled).collect();
                ClassCells::new(&supports.iter().map(Vec::as_slice).collect::<Vec<_>>()).expect("three supports")
            })
            .collect();
        let query = input(&model, text(&index["query"]));
        for (b, border) in [0.0, Rule::BORDER].into_iter().enumerate() {
            let form = CellForm::Discriminative;
            let specific = Specific::new(&statistics(), rule(setting, form, border)).expect("they whiten");
            let readout = specific.readout(form, &classes).expect("three classes");
            let output = block_on(program.run_cells(&query, &readout)).expect("it runs");
            let again = block_on(program.cells(&output.features, &readout)).expect("it reads out again");
            for (found, which) in [(&output.cells, "with the forward pass"), (&again, "kept")] {
                let of = |key: &str| {
                    let all = npy(&format!("class_specific/both_{key}.npy"));
                    rows(&all).nth(b).expect("with and without the border term").to_vec()
                };
                let what = format!("{} border {border} {which}", engine.describe());
                assert!(
                    off(&found.evidence, &of("evidence")) < TOLERANCE,
                    "{what}: evidence {}",
                    off(&found.evidence, &of("evidence"))
                );
                assert!(
                    off(&found.maps, &of("discriminative")) < TOLERANCE,
                    "{what}: maps {}",
                    off(&found.maps, &of("discriminative"))
                );
                assert!(off(&found.scores, &of("discriminative_scores")) < TOLERANCE, "{what}: scores");
            }
        }
    }
}

/// The session's way: photos of the size that the forms look at, on both engines; and everything it says about them.
#[test]
fn the_session_explains_as_numpy_does() {
    let index = index();
    for choice in [EngineChoice::Cpu, EngineChoice::Gpu] {
        let mut session = match block_on(Session::new(model(), choice)) {
            Ok(session) => session,
            Err(Error::NoGpu { reason }) => {
                assert!(std::env::var_os("FAMLENS_REQUIRE_GPU").is_none(), "a GPU is required: {reason}");
                eprintln!("SKIPPED: no GPU here: {reason}");
                continue;
            }
            Err(other) => panic!("{other}"),
        };
        let add = |session: &mut Session, file: &serde_json::Value| -> ImageId {
            let file = text(file);
            let photo = decode(file, &common::bytes(golden(&format!("class_specific/{file}"))), &Limits::default());
            session.add_image(file, &photo.expect("it decodes")).expect("it fits")
        };
        let classes: Vec<Class> = index["classes"]
            .as_array()
            .expect("classes")
            .iter()
            .map(|class| {
                let files = class["supports"].as_array().expect("supports");
                let supports: Vec<_> = files.iter().map(|file| add(&mut session, file)).collect();
                Class::new(text(&class["name"]), supports)
            })
            .collect();
        let query = add(&mut session, &index["query"]);
        let options = |form| ExplainOptions { form, finer: Finer::plain(), ..ExplainOptions::default() };
        let explain =
            |session: &mut Session, options: &ExplainOptions| block_on(session.explain(query, &classes, options));

        let error = explain(&mut session, &options(Form::Discriminative)).map(|_| ()).expect_err("no statistics yet");
        assert!(error.to_string().contains("famlens statistics"), "{error}");
        session.set_statistics(Some(statistics())).expect("they are this model's");

        for (b, border_term) in [false, true].into_iter().enumerate() {
            let options = ExplainOptions { border_term, ..options(Form::Discriminative) };
            let found = explain(&mut session, &options).expect("it explains");
            let (maps, scores) =
                (npy("class_specific/both_discriminative.npy"), npy("class_specific/both_discriminative_scores.npy"));
            let maps = rows(&maps).nth(b).expect("two").to_vec();
            let scores = rows(&scores).nth(b).expect("two").to_vec();
            for (k, expected) in maps.chunks(100).enumerate() {
                assert!(off(&found.maps[k].map.data, expected) < TOLERANCE, "map {k}");
                let sum: f64 = found.contributions[k].iter().map(|&c| f64::from(c)).sum();
                assert!((sum + found.classes[k].residual - found.classes[k].similarity).abs() < 1e-6);
            }
            let similar: Vec<f32> = found.classes.iter().map(|c| c.similarity as f32).collect();
            assert!(off(&similar, &scores) < TOLERANCE);
            assert_eq!(
                (found.score.as_str(), found.embedded),
                ("mean discriminative evidence", if b == 0 { 10 } else { 0 })
            );
            assert_eq!(found.target, text(&index["layer"]));
        }
        let whitened = explain(&mut session, &options(Form::Whitened)).expect("it explains");
        let scores = npy("class_specific/chosen_whitened_scores.npy");
        let similar: Vec<f32> = whitened.classes.iter().map(|c| c.similarity as f32).collect();
        assert!(off(&similar, rows(&scores).nth(1).expect("with the border term")) < TOLERANCE);
        assert_eq!((whitened.score.as_str(), whitened.embedded), ("Mahalanobis cosine", 0));

        // Looks shifted by parts of a cell are laid between each other: every third cell is the plain look's, and the
        // map still sums to the score that decides.
        let plain = explain(&mut session, &options(Form::Discriminative)).expect("it explains");
        for (shifts, passes) in [(3, 9), (2, 5)] {
            let finer = Finer { shifts, ..Finer::plain() };
            let found = explain(&mut session, &ExplainOptions { finer, ..options(Form::Discriminative) });
            let found = found.expect("it explains");
            assert_eq!(found.passes, passes);
            for (k, map) in found.maps.iter().enumerate() {
                assert_eq!((map.map.width, map.map.height), (10 * shifts, 10 * shifts));
                let mean = map.map.data.iter().map(|&v| f64::from(v)).sum::<f64>() / map.map.data.len() as f64;
                assert!((mean - found.classes[k].similarity).abs() < 1e-6);
                let cell = |i: usize| map.map.data[(3 * (i / 10) + 1) * 30 + 3 * (i % 10) + 1];
                if shifts == 3 {
                    let between: Vec<f32> = (0..100).map(cell).collect();
                    assert!(off(&between, &plain.maps[k].map.data) < 1e-6, "map {k}");
                }
            }
        }

        // A second look changes the map in its part of the photo, and neither scores nor contributions.
        let finer = Finer { look: Look::Always, ..Finer::default() };
        let again = explain(&mut session, &ExplainOptions { finer, ..options(Form::Discriminative) });
        let again = again.expect("it explains");
        assert_eq!(again.passes, 1 + usize::from(again.looked.is_some()));
        assert_eq!((&again.classes, &again.contributions), (&plain.classes, &plain.contributions));
        if let Some(seen) = again.looked {
            let (map, first) = (&again.maps[again.predicted].map, &plain.maps[again.predicted].map);
            let (mut inside, mut outside) = (0.0f32, 0.0f32);
            for i in 0..map.data.len() {
                let at = ((i % map.width) as f64 + 0.5, (i / map.width) as f64 + 0.5);
                let (x, y) = map.geometry.map_to_photo(map.width, map.height, at.0, at.1);
                let before = first.view().expect("a map").value_at(x, y).expect("it is on the photo");
                let moved = (map.data[i] - before).abs();
                if seen.contains(x, y) { inside = inside.max(moved) } else { outside = outside.max(moved) }
            }
            assert!(inside > 1e-3 && outside < 1e-6, "{inside} {outside}");
        }

        let forms = [options(Form::Faithful), options(Form::Discriminative)];
        let mosaic = block_on(session.mosaic(&classes, None, &forms)).expect("three classes tile");
        assert_eq!((mosaic.side, mosaic.tiles.len(), mosaic.photo.size()), (2, 4, (640, 640)));
        assert_eq!(mosaic.chance, [0.5, 0.25, 0.25]);
        let mean = |k: usize| mosaic.forms[k].own.iter().map(|own| own.unwrap_or(0.0)).sum::<f64>() / 3.0;
        assert!(mean(1) > mean(0) + 0.2, "discriminative {} against plain {}", mean(1), mean(0));
    }
}
