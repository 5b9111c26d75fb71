//! `famlens methods`: several methods side by side over one photo.

use std::path::{Path, PathBuf};

use famlens::image::{Photo, encode_png};
use famlens::methods::Method;
use famlens::overlay::{self, Style};
use famlens::session::{Class, Comparison, EngineChoice, ExplainOptions, Progress, Session};
use famlens::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use pollster::block_on;
use serde_json::json;

use crate::explain::{ClassArg, load_class};
use crate::model_args::ModelArgs;
use crate::options::OptionArgs;
use crate::terminal::{self, note, say, shown, shown_path};
use crate::{engine, files};

#[derive(clap::Args)]
pub struct Args {
    /// The photo to explain
    #[arg(long)]
    query: PathBuf,
    /// A class and its support photos, NAME=DIR_OR_FILE[,FILE...]; repeat it for each class
    #[arg(long = "class", value_name = "NAME=PHOTOS", required_unless_present = "logits")]
    classes: Vec<ClassArg>,
    /// The methods, joined by commas, one row of the picture each: famlens choices method [default: fam, cam, grad-cam,
    /// eigen-cam, score-cam and random; fam and cam only where they apply]
    #[arg(long, value_delimiter = ',')]
    methods: Vec<Method>,
    /// The class whose maps are in the picture [default: the one of highest score]
    #[arg(long = "for", value_name = "NAME")]
    class: Option<String>,
    #[command(flatten)]
    model: ModelArgs,
    /// auto, cpu, gpu or candle
    #[arg(long, default_value = "cpu")]
    engine: EngineChoice,
    /// Write a PNG of the photo and one overlay for each method, side by side in the order of the table
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print the comparison as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: OptionArgs,
}

/// The methods that are compared when none is named; the first two may need a score that is linear in the pooled maps.
const USUAL: [Method; 6] =
    [Method::Fam, Method::Cam, Method::GradCam, Method::EigenCam, Method::ScoreCam, Method::Random];

/// About as many passes as the usual methods take together.
const PASSES: usize = 80;

pub fn run(args: &Args) -> Result<()> {
    let mut session = block_on(Session::new(args.model.load()?, args.engine))?;
    args.options.prepare(&mut session)?;
    let photo = files::photo(&args.query)?;
    let query = session.add_image(&args.query.display().to_string(), &photo)?;
    let classes: Vec<Class> = args.classes.iter().map(|c| load_class(&mut session, c)).collect::<Result<_>>()?;
    engine::settle(&mut session, args.engine, query, PASSES)?;
    let options = args.options.options(None);
    let comparison = match args.methods.as_slice() {
        [] => usual(&mut session, query, &classes, &options)?,
        named => compare(&mut session, query, &classes, named, &options)?,
    };
    let class = match &args.class {
        None => comparison.predicted,
        Some(name) => comparison.classes.iter().position(|c| c.name == *name).ok_or_else(|| {
            let names: Vec<_> = comparison.classes.iter().map(|c| c.name.as_str()).collect();
            Error::argument("--for", format!("{name:?} is not one of {}", names.join(", ")))
        })?,
    };
    if let Some(path) = &args.out {
        write_sheet(path, &photo, &comparison, class)?;
    }
    match args.json {
        true => terminal::print_json(as_json(&comparison, class)),
        false => print_table(&comparison, class),
    }
    Ok(())
}

/// Compares the usual methods, without those that do not apply: they are asked first, before anything takes long.
fn usual(
    session: &mut Session,
    query: famlens::session::ImageId,
    classes: &[Class],
    options: &ExplainOptions,
) -> Result<Comparison> {
    let mut methods = USUAL.to_vec();
    for left_out in [Method::Cam, Method::Fam] {
        match compare(session, query, classes, &methods, options) {
            Err(Error::Argument { name, reason }) if name == "method" => {
                note!("without {left_out}: {reason}");
                methods.retain(|m| *m != left_out);
            }
            other => return other,
        }
    }
    compare(session, query, classes, &methods, options)
}

/// Compares with a progress bar.
pub fn compare(
    session: &mut Session,
    query: famlens::session::ImageId,
    classes: &[Class],
    methods: &[Method],
    options: &ExplainOptions,
) -> Result<Comparison> {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} passes, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let shown = bar.clone();
    let mut watch = move |progress: Progress| -> famlens::engine::LocalFuture<'static, bool> {
        shown.set_message(progress.method.name());
        shown.set_length(progress.total as u64);
        shown.set_position(progress.done as u64);
        Box::pin(std::future::ready(true))
    };
    let comparison = block_on(session.compare_methods(query, classes, methods, options, &mut watch));
    bar.finish_and_clear();
    comparison
}

fn print_table(comparison: &Comparison, explained: usize) {
    for class in &comparison.classes {
        say!("{:<24} {} {:.4}", shown(&class.name), comparison.score, class.score);
    }
    say!("\nmaps of {:?} at {}, on the {}", comparison.classes[explained].name, comparison.layer, comparison.engine);
    say!("{:<14} {:>9} {:>8} {:>6} {:>9} {:>9}  box", "method", "ms", "forward", "tail", "backward", "MiB");
    for result in &comparison.methods {
        let cost = &result.cost;
        let bounds = result.maps[explained].localisation.as_ref().map_or_else(
            || "none: the map is constant".to_owned(),
            |l| {
                let b = l.bounds;
                format!("({:.0}, {:.0}) to ({:.0}, {:.0})", b.x0, b.y0, b.x1, b.y1)
            },
        );
        // The shared forward pass is part of what a method needs.
        let (forward, mebibytes) = (cost.passes.forward + 1, cost.bytes as f64 / f64::from(1 << 20));
        let (tail, backward) = (cost.passes.tail, cost.passes.backward);
        let name = result.method.name();
        say!("{name:<14} {:>9.2} {forward:>8} {tail:>6} {backward:>9} {mebibytes:>9.2}  {bounds}", cost.milliseconds);
    }
    for note in comparison.methods.iter().flat_map(|m| &m.notes) {
        say!("{note}");
    }
}

fn as_json(comparison: &Comparison, shown: usize) -> serde_json::Value {
    let methods = comparison.methods.iter().map(|result| {
        let explained = &result.maps[shown];
        let located = explained.localisation.as_ref();
        json!({
            "method": result.method.name(),
            "map": { "width": explained.map.width, "height": explained.map.height, "data": explained.map.data },
            "box": located.map(|l| [l.bounds.x0, l.bounds.y0, l.bounds.x1, l.bounds.y1]),
            "peak": located.map(|l| l.peak),
            "cost": result.cost,
            "notes": result.notes,
        })
    });
    json!({
        "score": comparison.score,
        "classes": comparison.classes,
        "predicted": comparison.classes[comparison.predicted].name,
        "explained": comparison.classes[shown].name,
        "layer": comparison.layer,
        "engine": comparison.engine,
        "methods": methods.collect::<Vec<_>>(),
    })
}

/// Height of a picture of the contact sheet, in pixels.
const SHEET_HEIGHT: u32 = 240;

/// The photo, then its overlay by each method, side by side.
fn write_sheet(path: &Path, photo: &Photo, comparison: &Comparison, shown: usize) -> Result<()> {
    let mut pictures = vec![photo.clone()];
    for result in &comparison.methods {
        pictures.push(overlay::compose(photo, &result.maps[shown].map.view()?, &Style::default())?);
    }
    // Of a strip, only so much fits on a sheet.
    let width = (photo.width() * SHEET_HEIGHT / photo.height()).clamp(1, 4096);
    let small: Vec<Vec<u8>> = pictures.iter().map(|p| shrink(p, width, SHEET_HEIGHT)).collect();
    let row = width as usize * 3;
    let rows = (0..SHEET_HEIGHT as usize).flat_map(|y| small.iter().flat_map(move |p| &p[y * row..][..row]));
    let sheet = Photo::from_rgb(width * small.len() as u32, SHEET_HEIGHT, rows.copied().collect())?;
    files::write(path, &encode_png(&sheet)?)?;
    let names: Vec<_> = comparison.methods.iter().map(|m| m.method.name()).collect();
    note!("wrote {}: the photo, {}", shown_path(path), names.join(", "));
    Ok(())
}

/// Each pixel the mean of those it covers.
fn shrink(photo: &Photo, width: u32, height: u32) -> Vec<u8> {
    let span = |i: u32, to: u32, from: u32| {
        let start = u64::from(i) * u64::from(from) / u64::from(to);
        let end = (u64::from(i + 1) * u64::from(from)).div_ceil(u64::from(to));
        start as usize..end as usize
    };
    let line = photo.width() as usize;
    let mut out = Vec::with_capacity(width as usize * height as usize * 3);
    for y in 0..height {
        for x in 0..width {
            let (rows, columns) = (span(y, height, photo.height()), span(x, width, photo.width()));
            let count = rows.len() * columns.len();
            for channel in 0..3 {
                let pixels = rows.clone().flat_map(|r| columns.clone().map(move |c| (r * line + c) * 3 + channel));
                let sum: usize = pixels.map(|i| usize::from(photo.rgb()[i])).sum();
                out.push((sum / count.max(1)) as u8);
            }
        }
    }
    out
}
