//! Every part of the method that can be chosen, on the shipped model: each test would fail if the choice were another
//! one.

#[path = "../common/mod.rs"]
mod common;

mod spaces;
mod weights;

use common::{golden, json, root};
use famlens::Result;
use famlens::image::{Limits, Photo, decode};
use famlens::session::{Class, EngineChoice, ExplainOptions, Explanation, ImageId, Model, Session};
use pollster::block_on;

struct Bench {
    session: Session,
    query: ImageId,
    classes: Vec<Class>,
}

fn photo(file: &str) -> Photo {
    decode(file, &common::bytes(golden(file)), &Limits::default()).expect("a golden's input decodes")
}

fn bench() -> Bench {
    let folder = root("models/efficientnet_lite0");
    let description = String::from_utf8(common::bytes(folder.join("model.json"))).expect("model.json is UTF-8");
    let model = Model::new(&description, &common::bytes(folder.join("model.onnx"))).expect("the shipped model loads");
    let mut session = block_on(Session::new(model, EngineChoice::Cpu)).expect("the CPU engine starts");
    let index = json(golden("fam/index.json"));
    let text = |v: &serde_json::Value| v.as_str().expect("a string").to_owned();
    let mut add = |file: String| session.add_image(&file, &photo(&file)).expect("it fits the model");
    let mut classes = Vec::new();
    for class in index["classes"].as_array().expect("classes") {
        let files = class["supports"].as_array().expect("supports");
        let supports: Vec<_> = files.iter().map(|f| add(format!("fam/{}", text(f)))).collect();
        classes.push(Class::new(text(&class["name"]), supports));
    }
    let query = add(format!("fam/{}", text(&index["query"])));
    Bench { session, query, classes }
}

impl Bench {
    fn explain(&mut self, options: &ExplainOptions) -> Explanation {
        self.try_explain(options).expect("it can be explained")
    }

    fn try_explain(&mut self, options: &ExplainOptions) -> Result<Explanation> {
        block_on(self.session.explain(self.query, &self.classes, options))
    }

    fn embedding(&mut self, id: ImageId) -> Vec<f32> {
        block_on(self.session.embed(id)).expect("it embeds").values.to_vec()
    }

    /// Pooled features of every support, class by class.
    fn supports(&mut self) -> Vec<Vec<Vec<f32>>> {
        let classes = self.classes.clone();
        classes.iter().map(|c| c.supports.iter().map(|&id| self.embedding(id)).collect()).collect()
    }

    fn activations(&mut self, id: ImageId, target: Option<&str>) -> Vec<f32> {
        let (first, channels) = (0, self.embedding(id).len());
        let all: Vec<usize> = (first..channels).collect();
        block_on(self.session.channels(id, target, &all)).expect("they can be read").into_data()
    }
}

fn base() -> ExplainOptions {
    ExplainOptions::default()
}

fn mean(rows: &[Vec<f32>]) -> Vec<f32> {
    (0..rows[0].len()).map(|c| rows.iter().map(|r| r[c]).sum::<f32>() / rows.len() as f32).collect()
}

fn sum(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v)).sum()
}

fn notes_contain(found: &Explanation, words: &str) -> bool {
    found.notes.iter().any(|note| note.contains(words))
}

/// The last linear bottleneck, whose activations are signed, and the layer after it, whose are not.
fn signed_layer(session: &Session) -> String {
    let is_signed = |t: &&String| !session.model().is_non_negative(t);
    session.model().targets().iter().find(is_signed).expect("lite0 has linear bottlenecks").clone()
}
