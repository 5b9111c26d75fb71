//! `famlens search`.

use std::path::PathBuf;

use famlens::image::{Limits, Photo, decode, encode_png};
use famlens::session::{EngineChoice, ExplainOptions, ExplainedMap, ImageId, Session};
use famlens::tasks::retrieval::{DuplicateRule, Gallery, Hit, Item};
use famlens::{Error, Result};
use pollster::block_on;
use serde_json::{Value, json};

use crate::model_args::ModelArgs;
use crate::options::OptionArgs;
use crate::terminal::{self, note, say, shown, shown_path};
use crate::{engine, files, gallery, pair};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of a gallery that famlens index wrote or the page exported
    gallery: PathBuf,
    /// The photo to look for
    query: PathBuf,
    /// How many hits to show
    #[arg(long, default_value_t = 10)]
    top: usize,
    /// Folder for a picture of each hit: the query under its map and the hit under its own (01.png, 02.png, ...)
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// auto, cpu, gpu or candle
    #[arg(long, default_value = "auto")]
    engine: EngineChoice,
    /// Two images count as near-duplicates from this cosine similarity on
    #[arg(long, default_value_t = DuplicateRule::default().cosine)]
    duplicate: f32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    method: OptionArgs,
}

pub fn run(args: Args) -> Result<()> {
    let missing = || files::file_error(&args.gallery, "there is no gallery here; famlens index makes one");
    let gallery = gallery::read(&args.gallery)?.ok_or_else(missing)?;
    let mut session = block_on(Session::new(args.model.load()?, args.engine))?;
    args.method.prepare(&mut session)?;
    let bytes = files::read_photo(&args.query)?;
    let photo = decode(&args.query.display().to_string(), &bytes, &Limits::default())?;
    let query = session.add_image(&args.query.display().to_string(), &photo)?;
    engine::settle(&mut session, args.engine, query, 1 + args.out.as_ref().map_or(0, |_| args.top))?;
    let hits = block_on(session.search(&gallery, query, args.top))?;
    let embedding = block_on(session.gallery_embedding(query, gallery.origin()))?;
    let likeness = gallery.likeness(&embedding, &hits);
    let item = session.gallery_item(query, &gallery::content(&bytes))?;
    let rule = DuplicateRule { cosine: args.duplicate, ..DuplicateRule::default() };
    let marks = gallery.marks(&item, &hits, &rule);
    let maps = match &args.out {
        Some(folder) => {
            let mut options = args.method.options(None);
            let made = session.options_of(gallery.origin())?;
            if options.targets.is_empty() {
                options.target = made.target;
            }
            if options.pooling.is_none() {
                (options.pooling, options.gem_exponent) = (made.pooling, made.gem_exponent);
            }
            explain(&mut session, &args, folder, &gallery, (query, &photo), &hits, &options)?
        }
        None => vec![Value::Null; hits.len()],
    };
    if args.json {
        let hits = hits.iter().zip(&marks).zip(maps).enumerate().map(|(rank, ((hit, mark), maps))| {
            let Item { name, content, width, height, .. } = &gallery.items()[hit.index];
            json!({
                "rank": rank + 1, "index": hit.index, "name": name, "similarity": hit.similarity, "content": content,
                "width": width, "height": height, "duplicate": mark, "maps": maps,
            })
        });
        let hits: Vec<_> = hits.collect();
        let query = args.query.to_string_lossy();
        terminal::print_json(json!({
            "query": query, "images": gallery.len(), "score": "cosine", "likeness": likeness, "hits": hits
        }));
        return Ok(());
    }
    if likeness.like == Some(false) {
        note!("{}", likeness.says);
    }
    for (rank, (hit, mark)) in hits.iter().zip(&marks).enumerate() {
        let mark = mark.as_ref().map_or_else(String::new, |mark| format!("  [{mark}]"));
        say!("{:>4}  {:.4}  {}{mark}", rank + 1, hit.similarity, shown(&gallery.items()[hit.index].name));
    }
    Ok(())
}

/// Draws the query and each hit under their maps; gives the maps. Standard error names a hit whose file is gone.
fn explain(
    session: &mut Session,
    args: &Args,
    folder: &std::path::Path,
    gallery: &Gallery,
    (query, photo): (ImageId, &Photo),
    hits: &[Hit],
    options: &ExplainOptions,
) -> Result<Vec<Value>> {
    files::create_folder(folder)?;
    let mut all = Vec::new();
    for (rank, hit) in hits.iter().enumerate() {
        let opened = gallery::locate(&args.gallery, &gallery.items()[hit.index].name)
            .and_then(|path| Ok((files::photo(&path)?, path)));
        let (other, path) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                terminal::complain(format_args!("no maps: {error}"));
                all.push(Value::Null);
                continue;
            }
        };
        let id = session.add_image(&path.display().to_string(), &other)?;
        let pair = block_on(session.pair(query, id, options))?;
        session.remove_image(id);
        let (of_query, of_hit) = match (pair.a.maps.first(), pair.b.maps.first()) {
            (Some(a), Some(b)) => (a, b),
            _ => return Err(Error::argument("query", "it has no map")),
        };
        let file = folder.join(format!("{:02}.png", rank + 1));
        files::write(&file, &encode_png(&pair::picture([photo, &other], [of_query, of_hit])?)?)?;
        let map = |m: &ExplainedMap| {
            json!({ "width": m.map.width, "height": m.map.height, "data": m.map.data,
                    "peak": m.localisation.as_ref().map(|l| l.peak) })
        };
        all.push(json!({ "query": map(of_query), "hit": map(of_hit), "picture": file.to_string_lossy() }));
    }
    note!("wrote {} pictures to {}", all.iter().filter(|v| !v.is_null()).count(), shown_path(folder));
    Ok(all)
}
