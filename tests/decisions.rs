//! How sure decisions are, against numpy's goldens (`tests/goldens/make_decisions.py`), engine by engine.

mod common;

use common::{bytes, golden, json, root};
use famlens::Error;
use famlens::fam::{Form, Statistics};
use famlens::image::{Limits, decode};
use famlens::session::{Class, EngineChoice, ExplainOptions, ImageId, Model, Session, Verdict};
use pollster::block_on;
use serde_json::Value;

/// Of scores, the network's own rounding included; of evidence, as a part of it where it is over 1.
const TOLERANCE: f64 = 1e-4;

fn model() -> Model {
    let folder = root("models/efficientnet_lite0");
    let text = String::from_utf8(bytes(folder.join("model.json"))).expect("model.json is UTF-8");
    Model::new(&text, &bytes(folder.join("model.onnx"))).expect("the shipped model loads")
}

/// The engines that are here, each with a name.
fn sessions() -> Vec<(&'static str, Session)> {
    let mut choices = vec![("cpu", EngineChoice::Cpu), ("gpu", EngineChoice::Gpu)];
    if cfg!(feature = "candle") {
        choices.push(("candle", EngineChoice::Candle));
    }
    let open = |(name, choice)| match block_on(Session::new(model(), choice)) {
        Ok(session) => Some((name, session)),
        Err(Error::NoGpu { reason }) => {
            assert!(std::env::var_os("FAMLENS_REQUIRE_GPU").is_none(), "a GPU is required: {reason}");
            eprintln!("SKIPPED: no GPU here: {reason}");
            None
        }
        Err(other) => panic!("{other}"),
    };
    choices.into_iter().filter_map(open).collect()
}

/// The photos that are in a session already: each goes through the network once.
type Known = std::collections::HashMap<String, ImageId>;

fn add(session: &mut Session, known: &mut Known, folder: &str, file: &Value) -> ImageId {
    let path = format!("{folder}/{}", file.as_str().expect("a file"));
    let open = || {
        let photo = decode(&path, &bytes(golden(&path)), &Limits::default()).expect(&path);
        session.add_image(&path, &photo).expect(&path)
    };
    *known.entry(path.clone()).or_insert_with(open)
}

fn close(what: &str, found: Option<f64>, expected: &Value) {
    let (found, expected) = (found.expect(what), expected.as_f64().expect(what));
    assert!((found - expected).abs() < TOLERANCE * expected.abs().max(1.0), "{what}: {found}, numpy {expected}");
}

fn compare(what: &str, found: &Verdict, expected: &Value) {
    assert_eq!(found.class.as_deref(), expected["class"].as_str(), "{what}");
    assert_eq!(found.known, expected["known"].as_bool(), "{what}");
    assert_eq!(found.closeness.map(|c| c.name()), expected["closeness"].as_str(), "{what}");
    assert_eq!(Some(found.first.as_str()), expected["first"].as_str(), "{what}");
    assert_eq!(found.second.as_deref(), expected["second"].as_str(), "{what}");
    for (name, value) in
        [("evidence", found.evidence), ("bound", found.bound), ("margin", found.margin), ("clear", found.clear)]
    {
        close(&format!("{what}: {name}"), value, &expected[name]);
    }
    for (k, &strongest) in found.strongest.iter().enumerate() {
        close(&format!("{what}: strongest of class {k}"), Some(strongest), &expected["strongest"][k]);
    }
}

#[test]
fn decisions_are_numpys() {
    let index = json(golden("decisions/index.json"));
    let statistics = Statistics::from_bytes(&bytes(golden("class_specific/statistics.bin"))).expect("they read");
    for (engine, mut session) in sessions() {
        session.set_statistics(Some(statistics.clone())).expect("they are this model's");
        let mut known = Known::new();
        for (case, told) in index["cases"].as_object().expect("cases") {
            for (form, folder) in [("discriminative", "class_specific"), ("whitened", "class_specific"), ("fam", "fam")]
            {
                let classes = told["classes"].as_object().expect("classes").iter().map(|(name, files)| {
                    let files = files.as_array().expect("files");
                    let supports: Vec<_> =
                        files.iter().map(|file| add(&mut session, &mut known, folder, file)).collect();
                    Class::new(name.as_str(), supports)
                });
                let classes: Vec<Class> = classes.collect();
                let query = add(&mut session, &mut known, folder, &told["query"]);
                let form_option: Form = form.parse().expect(form);
                let options = ExplainOptions { form: form_option, ..ExplainOptions::default() };
                let found = block_on(session.explain(query, &classes, &options)).expect("it explains");
                let what = format!("{engine}: {case}, {form}");
                let expected = &told["forms"][form];
                compare(&what, found.decision.as_ref().expect("a decision"), expected);
                for (k, class) in found.classes.iter().enumerate() {
                    close(&format!("{what}: score {k}"), Some(class.similarity), &expected["scores"][k]);
                }
            }
        }
    }
}
