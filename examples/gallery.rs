//! Image retrieval with reasons: embed a folder once, rank it for a query, explain the best hit.
//!
//! ```text
//! cargo run --release --example gallery [FOLDER [QUERY]]
//! ```

use std::error::Error;
use std::fs;
use std::path::Path;

use famlens::image::{Limits, decode};
use famlens::session::{EngineChoice, ExplainOptions, ImageId, Model, Session};
use famlens::tasks::retrieval::Gallery;
use pollster::block_on;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "tests/photos/hoofed_animal".into());
    let query = arguments.next().unwrap_or_else(|| "tests/photos/hoofed_animal/horse.jpg".into());

    let model = Path::new("models/efficientnet_lite0");
    let model = Model::new(&fs::read_to_string(model.join("model.json"))?, &fs::read(model.join("model.onnx"))?)?;
    let mut session = block_on(Session::new(model, EngineChoice::Cpu))?;
    let options = ExplainOptions::default();

    // A gallery remembers what made its embeddings, so that those of another model or layer are never mixed in.
    let mut gallery = Gallery::new(session.origin(&options)?);
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.display().to_string();
        let id = match add(&mut session, &name) {
            Ok(id) => id,
            Err(error) => {
                println!("left out {name}: {error}");
                continue;
            }
        };
        let embedding = block_on(session.gallery_embedding(id, gallery.origin()))?;
        gallery.push(session.gallery_item(id, &name)?, &embedding)?;
        // The gallery needs the embedding alone; the photo's input and activation maps can go.
        session.remove_image(id);
    }

    let id = add(&mut session, &query)?;
    let hits = block_on(session.search(&gallery, id, 5))?;
    for hit in &hits {
        println!("{:.4}  {}", hit.similarity, gallery.items()[hit.index].name);
    }

    // Why the second hit is there (the first is the query itself, if the folder holds it).
    if let Some(hit) = hits.get(1) {
        let name = &gallery.items()[hit.index].name;
        let other = add(&mut session, name)?;
        let pair = block_on(session.pair(id, other, &options))?;
        if let Some(found) = &pair.b.maps[0].localisation {
            println!("{name} is alike most of all at pixel ({:.0}, {:.0})", found.peak[0], found.peak[1]);
        }
    }
    Ok(())
}

/// Decodes a file and puts it into play.
fn add(session: &mut Session, path: &str) -> Result<ImageId, Box<dyn Error>> {
    Ok(session.add_image(path, &decode(path, &fs::read(path)?, &Limits::default())?)?)
}
