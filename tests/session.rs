//! The session against numpy's goldens, and what it promises: nothing is computed twice, and a lost GPU loses nothing.

mod common;

use common::{golden, json, npy, relative_error, root, rows};
use famlens::fam::Form;
use famlens::image::{Limits, decode};
use famlens::methods::{Method, MethodOptions};
use famlens::session::{
    Class, EngineChoice, EngineKind, ExplainOptions, ImageId, Model, Progress, Session, keep_going,
};
use famlens::{Error, Result};
use pollster::block_on;

fn model() -> Model {
    let folder = root("models/efficientnet_lite0");
    let json = String::from_utf8(common::bytes(folder.join("model.json"))).expect("model.json is UTF-8");
    Model::new(&json, &common::bytes(folder.join("model.onnx"))).expect("the shipped model loads")
}

/// A session on that engine, or `None` where there is no GPU; the test then says that it was skipped.
fn session(choice: EngineChoice) -> Option<Session> {
    match block_on(Session::new(model(), choice)) {
        Ok(session) => Some(session),
        Err(Error::NoGpu { reason }) => {
            assert!(std::env::var_os("FAMLENS_REQUIRE_GPU").is_none(), "a GPU is required: {reason}");
            eprintln!("SKIPPED: no GPU here: {reason}");
            None
        }
        Err(other) => panic!("{other}"),
    }
}

fn add(session: &mut Session, file: &str) -> ImageId {
    let photo = decode(file, &common::bytes(golden(file)), &Limits::default()).expect("a golden's input decodes");
    session.add_image(file, &photo).expect("a golden's input fits the model")
}

struct Episode {
    query: ImageId,
    classes: Vec<Class>,
}

fn episode(session: &mut Session) -> Episode {
    let index = json(golden("fam/index.json"));
    let text = |v: &serde_json::Value| v.as_str().expect("a string").to_owned();
    let mut classes = Vec::new();
    for class in index["classes"].as_array().expect("classes") {
        let files = class["supports"].as_array().expect("supports");
        let supports: Vec<_> = files.iter().map(|f| add(session, &format!("fam/{}", text(f)))).collect();
        classes.push(Class::new(text(&class["name"]), supports));
    }
    Episode { query: add(session, &format!("fam/{}", text(&index["query"]))), classes }
}

fn options(form: Form) -> ExplainOptions {
    ExplainOptions { form, ..ExplainOptions::default() }
}

#[test]
fn what_a_description_leaves_open_is_taken_from_the_network() {
    let json = r#"{"format": 1, "name": "n", "input": {"mean": [0, 0, 0], "std": [255, 255, 255]}}"#;
    // Free sides, and a square of 64.
    for (file, size, stride) in [("onnx/net_resnet", 224, 32), ("families/mobilenet_v3_small", 64, 32)] {
        let model = Model::new(json, &common::bytes(root(&format!("tests/{file}.onnx")))).expect("it loads");
        let (manifest, best) = (model.manifest(), model.targets().first());
        assert_eq!(
            (manifest.input.size, manifest.input.stride),
            (famlens::image::InputSize::square(size), stride),
            "{file}"
        );
        assert_eq!(Some(&manifest.target), best, "{file}");
    }
}

#[test]
fn explanations_equal_numpys_on_both_engines() {
    for choice in [EngineChoice::Cpu, EngineChoice::Gpu] {
        let Some(mut session) = session(choice) else { continue };
        let Episode { query, classes } = episode(&mut session);
        let similarities = npy("fam/similarities.npy");
        for (form, name) in
            [Form::Faithful, Form::Centred, Form::Contrastive].into_iter().zip(["faithful", "centred", "contrastive"])
        {
            let found = block_on(session.explain(query, &classes, &options(form))).expect("it can be explained");
            let contributions = npy(&format!("fam/contributions_{name}.npy"));
            let maps = npy(&format!("fam/maps_{name}.npy"));
            for (k, (expected_w, expected_map)) in rows(&contributions).zip(rows(&maps)).enumerate() {
                assert!(relative_error(&found.contributions[k], expected_w) < 1e-3, "{name} weights {k}");
                assert!(relative_error(&found.maps[k].map.data, expected_map) < 1e-3, "{name} map {k}");
                let sum: f64 = found.contributions[k].iter().map(|&w| f64::from(w)).sum();
                if form != Form::Contrastive {
                    assert!((sum - found.classes[k].similarity).abs() < 1e-5, "{name}: contributions sum to the score");
                }
                if form != Form::Centred {
                    let expected = f64::from(similarities.data()[k]);
                    assert!((found.classes[k].similarity - expected).abs() < 1e-4, "{name} similarity {k}");
                }
            }
            assert_eq!(classes[found.predicted].name, "Bird", "{name}");
        }
    }
}

/// The mean over cells of `sum_c A_c g_c / |g|`, divided by `|f|`, is the cosine exactly (facts of GAP).
#[test]
fn the_cam_form_averages_to_the_cosine() {
    let (features, f) = (npy("fam/query_features.npy"), npy("fam/query_embedding.npy"));
    let prototypes = npy("fam/prototypes.npy");
    for g in rows(&prototypes) {
        let planes = features.data().chunks(features.data().len() / g.len());
        let total: f64 = planes.zip(g).map(|(a, &g)| a.iter().map(|&a| f64::from(a) * f64::from(g)).sum::<f64>()).sum();
        let cells = (features.data().len() / g.len()) as f64;
        let mean = total / cells / famlens::fam::norm(g) / famlens::fam::norm(f.data());
        assert!((mean - famlens::fam::cosine(f.data(), g)).abs() < 1e-6);
    }
}

#[test]
fn only_what_is_new_runs_the_backbone() {
    for choice in [EngineChoice::Cpu, EngineChoice::Gpu] {
        let Some(mut session) = session(choice) else { continue };
        let Episode { query, mut classes } = episode(&mut session);
        let embedded = |session: &mut Session, query, classes: &[Class], form| {
            block_on(session.explain(query, classes, &options(form))).expect("it can be explained").embedded
        };
        assert_eq!(embedded(&mut session, query, &classes, Form::Faithful), 10);
        assert_eq!(embedded(&mut session, query, &classes, Form::Contrastive), 0, "another form");
        classes.remove(0);
        assert_eq!(embedded(&mut session, query, &classes, Form::Centred), 0, "a class removed");
        let support = classes[0].supports[0];
        assert_eq!(embedded(&mut session, support, &classes, Form::Faithful), 0, "a support explained");
        let again = add(&mut session, "fam/kingfisher.webp");
        assert_eq!(embedded(&mut session, again, &classes, Form::Faithful), 1, "a new query");
    }
}

#[test]
fn any_activation_map_can_be_the_target() -> Result<()> {
    let mut session = block_on(Session::new(model(), EngineChoice::Cpu))?;
    let Episode { query, classes } = episode(&mut session);
    let target = session.model().targets().iter().find(|t| t.as_str() != "features").cloned();
    let faithful = ExplainOptions { target: target.clone(), ..ExplainOptions::default() };
    let found = block_on(session.explain(query, &classes, &faithful))?;
    assert_eq!(found.maps.len(), 3);
    let centred = ExplainOptions { form: Form::Centred, target, ..ExplainOptions::default() };
    let error = block_on(session.explain(query, &classes, &centred)).map(|_| ());
    assert!(error.is_err_and(|e| e.to_string().contains("mean embedding")));
    let unknown = ExplainOptions { target: Some("nowhere".into()), ..ExplainOptions::default() };
    let error = block_on(session.explain(query, &classes, &unknown)).map(|_| ());
    assert!(error.is_err_and(|e| e.to_string().contains("nowhere") && e.to_string().contains("features")));
    Ok(())
}

#[test]
fn single_channels_can_be_seen() -> Result<()> {
    let mut session = block_on(Session::new(model(), EngineChoice::Cpu))?;
    let query = add(&mut session, "fam/kingfisher.webp");
    let expected = npy("fam/query_features.npy");
    let found = block_on(session.channels(query, None, &[3, 700]))?;
    for (plane, c) in rows(&found).zip([3, 700]) {
        assert!(relative_error(plane, &expected.data()[c * 49..(c + 1) * 49]) < 1e-2, "channel {c}");
    }
    assert!(block_on(session.channels(query, None, &[1280])).is_err_and(|e| e.to_string().contains("1280")));
    Ok(())
}

#[test]
fn bad_requests_are_named_and_lose_nothing() -> Result<()> {
    let mut session = block_on(Session::new(model(), EngineChoice::Cpu))?;
    let Episode { query, classes } = episode(&mut session);
    let empty = [Class::new("nothing", [])];
    let error = block_on(session.explain(query, &empty, &options(Form::Faithful))).map(|_| ());
    assert!(error.is_err_and(|e| e.to_string().contains("nothing")));
    let error = block_on(session.explain(ImageId(999), &classes, &options(Form::Faithful))).map(|_| ());
    assert!(error.is_err_and(|e| e.to_string().contains("999")));
    let error = block_on(session.explain(query, &[], &options(Form::Faithful))).map(|_| ());
    assert!(error.is_err_and(|e| e.to_string().contains("at least one")));
    assert_eq!(block_on(session.explain(query, &classes, &options(Form::Faithful)))?.classes.len(), 3);
    Ok(())
}

#[test]
fn calibration_keeps_a_working_engine() -> Result<()> {
    let mut session = block_on(Session::new(model(), EngineChoice::Auto))?;
    let Episode { query, classes } = episode(&mut session);
    let chosen = block_on(session.calibrate(query))?;
    let reports = session.engine_reports();
    let time = |kind| reports.iter().find(|r| r.kind == kind).and_then(|r| r.milliseconds);
    let (cpu, gpu) = (time(EngineKind::Cpu), time(EngineKind::Gpu));
    assert!(cpu.is_some());
    assert_eq!(chosen == EngineKind::Gpu, gpu.is_some_and(|gpu| cpu.is_some_and(|cpu| gpu < cpu)));
    assert_eq!(block_on(session.explain(query, &classes, &options(Form::Faithful)))?.engine, chosen);
    Ok(())
}

#[test]
fn a_lost_gpu_is_started_again_once_and_then_the_cpu_takes_over() {
    let Some(mut session) = session(EngineChoice::Gpu) else { return };
    let Episode { query, classes } = episode(&mut session);
    let explain = |session: &mut Session| {
        block_on(session.explain(query, &classes, &options(Form::Faithful))).expect("it can be explained")
    };
    let before = explain(&mut session);
    assert_eq!((before.engine, session.note()), (EngineKind::Gpu, None));

    session.lose_gpu();
    let again = explain(&mut session);
    assert_eq!((again.engine, again.embedded), (EngineKind::Gpu, 10));
    assert!(session.note().is_some_and(|n| n.contains("started again")));
    assert!(relative_error(&again.maps[0].map.data, &before.maps[0].map.data) < 1e-5);

    session.lose_gpu();
    let on_cpu = explain(&mut session);
    assert_eq!(on_cpu.engine, EngineKind::Cpu);
    assert!(session.note().is_some_and(|n| n.contains("the CPU has taken over")));
    assert!(relative_error(&on_cpu.maps[0].map.data, &before.maps[0].map.data) < 1e-3);

    // The user may ask for the GPU again.
    block_on(session.set_engine(EngineChoice::Gpu)).expect("the GPU is still there");
    assert_eq!(explain(&mut session).engine, EngineKind::Gpu);
}

/// Each of these runs the whole model or its tail many times; the GPU goes away in the middle.
#[test]
fn a_gpu_lost_in_the_middle_of_a_method_costs_one_pass() {
    let Some(mut session) = session(EngineChoice::Gpu) else { return };
    let Episode { query, classes } = episode(&mut session);
    let method_options = MethodOptions { masks: 6, channels: 6, ..MethodOptions::default() };
    let options = ExplainOptions { method_options, ..ExplainOptions::default() };
    for method in [Method::Rise, Method::ScoreCam, Method::AblationCam] {
        block_on(session.set_engine(EngineChoice::Gpu)).expect("the GPU is still there");
        let whole = block_on(session.compare_methods(query, &classes, &[method], &options, &mut keep_going));
        let whole = whole.expect("it can be explained").methods.remove(0);

        let lose = session.gpu_loss().expect("a GPU runs");
        let mut passes = Vec::new();
        let mut watch = |progress: Progress| {
            passes.push(progress.done);
            if progress.done == 3 {
                lose();
            }
            keep_going(progress)
        };
        let found = block_on(session.compare_methods(query, &classes, &[method], &options, &mut watch));
        let found = found.expect("a lost GPU is recovered from").methods.remove(0);
        assert!(passes.contains(&3) && passes.is_sorted(), "{method}: no pass is done again: {passes:?}");
        assert_eq!(found.cost.passes, whole.cost.passes, "{method}");
        for (map, expected) in found.maps.iter().zip(&whole.maps) {
            assert!(relative_error(&map.map.data, &expected.map.data) < 1e-4, "{method}");
        }
        // What comes after the layer runs on the CPU, and does not notice.
        assert_eq!(session.note().is_some(), method != Method::AblationCam, "{method}");
    }
}
