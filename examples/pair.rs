//! What makes two photos alike, on both of them, and which cell of one answers which cell of the other.
//!
//! ```text
//! cargo run --release --example pair [A B]
//! ```

use std::error::Error;
use std::fs;
use std::path::Path;

use famlens::image::{Limits, decode};
use famlens::session::{EngineChoice, ExplainOptions, Model, Session};
use pollster::block_on;

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths: Vec<String> = std::env::args().skip(1).take(2).collect();
    if paths.len() < 2 {
        paths = ["hoofed_animal/horse.jpg", "hoofed_animal/cow.jpg"].map(|p| format!("tests/photos/{p}")).to_vec();
    }
    let folder = Path::new("models/efficientnet_lite0");
    let model = Model::new(&fs::read_to_string(folder.join("model.json"))?, &fs::read(folder.join("model.onnx"))?)?;
    let mut session = block_on(Session::new(model, EngineChoice::Cpu))?;
    let mut ids = Vec::new();
    for path in &paths {
        ids.push(session.add_image(path, &decode(path, &fs::read(path)?, &Limits::default())?)?);
    }

    // Each photo is explained with the other as its only support; both sides have the same similarity.
    let options = ExplainOptions::default();
    let pair = block_on(session.pair(ids[0], ids[1], &options))?;
    println!("{}: {:.4}", pair.a.score, pair.similarity());
    for (path, side) in paths.iter().zip([&pair.a, &pair.b]) {
        if let Some(found) = &side.maps[0].localisation {
            println!("  {path}: strongest at pixel ({:.0}, {:.0})", found.peak[0], found.peak[1]);
        }
    }

    // Cosine of averaged maps is a sum over pairs of cells, so it splits exactly: one row a cell of the first photo.
    let cells = block_on(session.where_to_where(ids[0], ids[1], &options))?;
    let sum: f64 = cells.map.terms.iter().map(|&term| f64::from(term)).sum();
    println!("{} pairs of cells sum to {sum:.4}", cells.map.terms.len());
    let strongest = cells.map.terms.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    if let Some((index, term)) = strongest {
        let columns = cells.map.b.0 * cells.map.b.1;
        println!("  cell {} of a and cell {} of b alone give {term:.4}", index / columns, index % columns);
    }
    Ok(())
}
