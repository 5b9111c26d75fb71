//! `famlens pair`.

use std::path::PathBuf;

use famlens::image::{Augmentation, Photo, Rect, View, encode_png, scale};
use famlens::overlay::{self, Style};
use famlens::session::{CellPairs, EngineChoice, ExplainedMap, PairExplanation, Session};
use famlens::{Error, Result};
use pollster::block_on;
use serde_json::json;

use crate::model_args::ModelArgs;
use crate::options::OptionArgs;
use crate::output;
use crate::terminal::{self, note, say, shown, shown_path};
use crate::{engine, files};

#[derive(clap::Args)]
pub struct Args {
    /// The first photo
    a: PathBuf,
    /// The second photo; not needed with --augment, which then compares two views of the first
    b: Option<PathBuf>,
    /// Compare random views of the photos (crop, flip, colour jitter, grey, blur), as contrastive training does
    #[arg(long)]
    augment: bool,
    /// The seed of the first view; the second one's is the next number
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    model: ModelArgs,
    /// auto, cpu, gpu or candle
    #[arg(long, default_value = "auto")]
    engine: EngineChoice,
    /// Folder for the picture of both sides (pair.png), the raw maps (a.npy, b.npy) and what each pair of cells adds to
    /// the similarity (where-to-where.npy: one row a cell of the first photo, one column a cell of the second; only
    /// of a similarity that is a sum over pairs of cells)
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    method: OptionArgs,
}

/// One side: what it is called, what is compared, and how the view was made.
struct Side {
    name: String,
    photo: Photo,
    view: Option<(u64, View)>,
}

pub fn run(args: Args) -> Result<()> {
    let b = match (&args.b, args.augment) {
        (Some(b), _) => b,
        (None, true) => &args.a,
        (None, false) => {
            return Err(Error::argument("B", "a second photo is needed, or --augment for two views of the first"));
        }
    };
    let side = |path: &PathBuf, seed: u64| -> Result<Side> {
        let (name, photo) = (path.display().to_string(), files::photo(path)?);
        if !args.augment {
            return Ok(Side { name, photo, view: None });
        }
        let view = View::draw(photo.size(), &Augmentation::default(), seed);
        Ok(Side { name: format!("{name} (view {seed})"), photo: view.apply(&photo)?, view: Some((seed, view)) })
    };
    let sides = [side(&args.a, args.seed)?, side(b, args.seed.wrapping_add(1))?];

    let mut session = block_on(Session::new(args.model.load()?, args.engine))?;
    args.method.prepare(&mut session)?;
    let [a, b] = [&sides[0], &sides[1]].map(|side| session.add_image(&side.name, &side.photo));
    let (a, b) = (a?, b?);
    engine::settle(&mut session, args.engine, a, 2)?;
    let options = args.method.options(None);
    let pair = block_on(session.pair(a, b, &options))?;
    // The maps are of any similarity, where to where only of what is a sum over pairs of cells, and not of too many.
    let cells = match block_on(session.where_to_where(a, b, &options)) {
        Err(refused @ (Error::Argument { .. } | Error::TooLarge { .. })) => {
            Err(format!("no where to where: {refused}"))
        }
        other => Ok(other?),
    };
    if let Some(folder) = &args.out {
        files::create_folder(folder)?;
        let maps = [&pair.a.maps[0], &pair.b.maps[0]];
        let picture = picture([&sides[0].photo, &sides[1].photo], maps)?;
        files::write(&folder.join("pair.png"), &encode_png(&picture)?)?;
        for (name, map) in ["a.npy", "b.npy"].iter().zip(maps.map(|m| &m.map)) {
            files::write_npy(&folder.join(name), &[map.height as u64, map.width as u64], &map.data)?;
        }
        let mut written = "pair.png, a.npy and b.npy";
        if let Ok(cells) = &cells {
            let shape = [cells.map.a, cells.map.b].map(|(w, h)| (w * h) as u64);
            files::write_npy(&folder.join("where-to-where.npy"), &shape, &cells.map.terms)?;
            written = "pair.png, a.npy, b.npy and where-to-where.npy";
        }
        note!("wrote {written} to {}", shown_path(folder));
    }
    let notes: Vec<&String> = pair.a.notes.iter().chain(cells.as_ref().err()).collect();
    if args.json {
        terminal::print_json(pair_json(&sides, &pair, cells.as_ref().ok(), &notes));
    } else {
        print_text(&sides, &pair, cells.as_ref().ok());
        notes.iter().for_each(|note| say!("note: {note}"));
    }
    Ok(())
}

fn pair_json(
    sides: &[Side; 2],
    pair: &PairExplanation,
    cells: Option<&CellPairs>,
    notes: &[&String],
) -> serde_json::Value {
    let side = |side: &Side, explained: &ExplainedMap| {
        let localisation = explained.localisation.as_ref();
        json!({
            "name": side.name,
            "width": side.photo.width(),
            "height": side.photo.height(),
            "seed": side.view.map(|(seed, _)| seed),
            "view": side.view.map(|(_, view)| view),
            "map": { "width": explained.map.width, "height": explained.map.height, "data": explained.map.data },
            "box": localisation.map(|l| l.bounds),
            "peak": localisation.map(|l| l.peak),
        })
    };
    json!({
        "similarity": pair.similarity(),
        "score": pair.a.score,
        "constant": pair.a.classes.first().map(|class| class.constant),
        "residual": pair.a.classes.first().map(|class| class.residual),
        "notes": notes,
        "form": pair.a.form.name(),
        "a": side(&sides[0], &pair.a.maps[0]),
        "b": side(&sides[1], &pair.b.maps[0]),
        "whereToWhere": cells.map(|cells| json!({
            "score": cells.score, "similarity": cells.similarity, "a": cells.map.a, "b": cells.map.b, "sum": cells.map.sum, "constant": cells.constant, "terms": cells.map.terms,
        })),
        "engine": pair.a.engine,
    })
}

fn print_text(sides: &[Side; 2], pair: &PairExplanation, cells: Option<&CellPairs>) {
    say!("{}: {:.4}", pair.a.score, pair.similarity());
    if let Some(outside) = pair.a.classes.first().and_then(output::outside) {
        say!("{outside}");
    }
    for (side, explained) in sides.iter().zip([&pair.a.maps[0], &pair.b.maps[0]]) {
        let place = match &explained.localisation {
            Some(localisation) => format!("strongest at ({:.0}, {:.0})", localisation.peak[0], localisation.peak[1]),
            None => "its map is the same everywhere, so it points at nothing".into(),
        };
        say!("{}: {place}", shown(&side.name));
        if let Some((_, view)) = &side.view {
            say!("  {}", describe(view));
        }
    }
    let Some(cells) = cells else { return };
    let strongest = cells.map.terms.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    if let Some((at, term)) = strongest {
        let columns = cells.map.b.0 * cells.map.b.1;
        let place = |cell: usize, width: usize| format!("({}, {})", cell % width + 1, cell / width + 1);
        let (from, to) = (place(at / columns, cells.map.a.0), place(at % columns, cells.map.b.0));
        let share = 100.0 * f64::from(*term) / cells.map.sum;
        say!("the most alike cells: column and row {from} and {to}, {share:.2} % of the similarity");
    }
}

/// What a view did, in words.
fn describe(view: &View) -> String {
    let mut parts = Vec::new();
    if let Some(Rect { x0, y0, x1, y1 }) = view.crop {
        parts.push(format!("crop {x0:.0}, {y0:.0} to {x1:.0}, {y1:.0}"));
    }
    if view.flip {
        parts.push("flipped".into());
    }
    if let Some(j) = view.jitter {
        let factors =
            format!("brightness {:.2}, contrast {:.2}, saturation {:.2}", j.brightness, j.contrast, j.saturation);
        parts.push(format!("{factors}, hue {:+.0} degrees", j.hue * 360.0));
    }
    if view.grey {
        parts.push("grey".into());
    }
    if let Some(sigma) = view.blur {
        parts.push(format!("blur {sigma:.2} px of 224"));
    }
    if parts.is_empty() { "as it is".into() } else { parts.join("; ") }
}

/// Height of the picture of both sides, in pixels.
const HEIGHT: u32 = 480;
/// White between the sides, in pixels.
const GAP: u32 = 12;

/// Both photos under their maps, side by side at one height.
pub fn picture(photos: [&Photo; 2], maps: [&ExplainedMap; 2]) -> Result<Photo> {
    let mut sides = Vec::new();
    for (photo, explained) in photos.iter().zip(maps) {
        let composed = overlay::compose(photo, &explained.map.view()?, &Style::default())?;
        let (width, height) = (f64::from(composed.width()), f64::from(composed.height()));
        let scaled = (width * f64::from(HEIGHT) / height).round().clamp(1.0, 4096.0) as u32;
        sides.push(scale(&composed, &Rect::new(0.0, 0.0, width, height), scaled, HEIGHT)?);
    }
    let [left, right] = [sides[0].width() as usize * 3, sides[1].width() as usize * 3];
    let mut rgb = Vec::new();
    for (a, b) in sides[0].rgb().chunks_exact(left).zip(sides[1].rgb().chunks_exact(right)) {
        rgb.extend_from_slice(a);
        rgb.extend(std::iter::repeat_n(255, GAP as usize * 3));
        rgb.extend_from_slice(b);
    }
    Photo::from_rgb(sides[0].width() + GAP + sides[1].width(), HEIGHT, rgb)
}
