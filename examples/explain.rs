//! Which class is a photo like, and what speaks for it: a few-shot decision with its explanation maps.
//!
//! ```text
//! cargo run --release --example explain [QUERY [OUT.png]]
//! ```

use std::error::Error;
use std::fs;
use std::path::Path;

use famlens::fam::Form;
use famlens::image::{Limits, Photo, decode, encode_png};
use famlens::overlay::{Style, compose};
use famlens::session::{Class, EngineChoice, ExplainOptions, Model, Session};
use pollster::block_on;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let query = arguments.next().unwrap_or_else(|| "tests/photos/bird/kingfisher.jpg".into());
    let out = arguments.next().unwrap_or_else(|| "explained.png".into());

    // A model is the text of model.json and the bytes of the ONNX file. This one brings statistics of images in
    // general, which the forms that tell classes apart need.
    let folder = Path::new("models/efficientnet_lite0");
    let model = Model::new(&fs::read_to_string(folder.join("model.json"))?, &fs::read(folder.join("model.onnx"))?)?
        .with_statistics(&fs::read(folder.join("statistics.bin"))?)?;
    let mut session = block_on(Session::new(model, EngineChoice::Cpu))?;

    // The support set: a few photos a class.
    let mut classes = Vec::new();
    for name in ["bird", "fish", "hoofed_animal"] {
        let mut supports = Vec::new();
        for entry in fs::read_dir(Path::new("tests/photos").join(name))?.take(3) {
            let path = entry?.path();
            if path != Path::new(&query) {
                supports.push(session.add_image(&path.display().to_string(), &photo(&path)?)?);
            }
        }
        classes.push(Class::new(name, supports));
    }

    let picture = photo(Path::new(&query))?;
    let id = session.add_image(&query, &picture)?;
    let options = ExplainOptions { form: Form::Discriminative, ..ExplainOptions::default() };
    let explanation = block_on(session.explain(id, &classes, &options))?;
    println!("{} by {}:", query, explanation.score);
    for class in &explanation.classes {
        println!("  {:14} {:.4}", class.name, class.similarity);
    }
    explanation.notes.iter().for_each(|note| println!("  note: {note}"));

    // Maps stay raw until they are shown; the view knows where each cell lies on the photo.
    let map = &explanation.maps[explanation.predicted];
    if let Some(found) = &map.localisation {
        println!("  the evidence is strongest at pixel ({:.0}, {:.0})", found.peak[0], found.peak[1]);
    }
    fs::write(&out, encode_png(&compose(&picture, &map.map.view()?, &Style::default())?)?)?;
    println!("wrote {out}");
    Ok(())
}

/// Decodes a JPEG, PNG, WebP, GIF or BMP file, turned as its EXIF orientation says.
fn photo(path: &Path) -> Result<Photo, Box<dyn Error>> {
    Ok(decode(&path.display().to_string(), &fs::read(path)?, &Limits::default())?)
}
