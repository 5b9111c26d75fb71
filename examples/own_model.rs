//! A model of your own: what famlens finds in an ONNX file, and an explanation at a layer of your choice.
//!
//! ```text
//! cargo run --release --example own_model [MODEL.onnx [LAYER]]
//! ```

use std::error::Error;
use std::fs;

use famlens::image::{Limits, decode};
use famlens::session::{EngineChoice, ExplainOptions, Model, Session};
use pollster::block_on;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "tests/families/resnet18.onnx".into());
    let layer = arguments.next();

    // What the file does not say: how pixels are prepared. These are ImageNet's mean and standard deviation.
    let manifest = r#"{
        "format": 1,
        "name": "my model",
        "input": { "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375] }
    }"#;
    let model = Model::new(manifest, &fs::read(&path)?)?;
    println!("target layer {}, input of {}", model.manifest().target, model.manifest().input.size);
    println!("other layers: {}", model.targets().join(", "));

    let mut session = block_on(Session::new(model, EngineChoice::Cpu))?;
    let mut ids = Vec::new();
    for name in ["tests/photos/dog/dog.jpg", "tests/photos/cat/cat.jpg"] {
        ids.push(session.add_image(name, &decode(name, &fs::read(name)?, &Limits::default())?)?);
    }
    let options = ExplainOptions { target: layer, ..ExplainOptions::default() };
    let pair = block_on(session.pair(ids[0], ids[1], &options))?;
    println!("{} at {}: {:.4}", pair.a.score, pair.a.target, pair.similarity());
    let map = &pair.a.maps[0].map;
    println!("the map has {} x {} cells", map.width, map.height);
    Ok(())
}
