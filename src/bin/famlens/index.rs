//! `famlens index`.

use std::collections::{HashMap, HashSet};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use famlens::fam::PoolingChoice;
use famlens::image::{Limits, decode};
use famlens::session::{EngineChoice, EngineKind, ExplainOptions, Session};
use famlens::tasks::retrieval::{Gallery, Item, Origin};
use famlens::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use pollster::block_on;

use crate::{files, gallery};

#[derive(clap::Args)]
pub struct Args {
    /// Photos, or folders of photos
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Folder of the gallery (embeddings.npy and images.csv). Photos whose content is already in it are not embedded again
    #[arg(short, long)]
    out: PathBuf,
    /// Folder with model.json and its ONNX file [default: the built-in EfficientNet-Lite0]
    #[arg(long)]
    model: Option<PathBuf>,
    /// auto, cpu or gpu
    #[arg(long, default_value = "auto")]
    engine: EngineChoice,
    /// The layer whose pooled activation maps are the embeddings [default: the model's]
    #[arg(long)]
    target: Option<String>,
    /// How activation maps become embeddings: gap, gmp, gem, crow, model [default: as model.json says]
    #[arg(long)]
    pooling: Option<PoolingChoice>,
    /// Exponent of GeM pooling
    #[arg(long, default_value_t = 3.0)]
    gem_exponent: f32,
    /// How many photos are embedded at once on the CPU [default: one a core, 8 at most]
    #[arg(long)]
    jobs: Option<NonZero<usize>>,
}

/// A model in memory takes tens of megabytes, and a photo being decoded as much again.
const MOST_JOBS: usize = 8;

/// How often what was done so far is written: a stop costs no more than this.
const SAVE_EVERY: Duration = Duration::from_secs(10);

/// What is already embedded, by content.
type Known = HashMap<String, (Item, Arc<[f32]>)>;

/// What became of one photo, by its place in the list; whether it was known.
type Outcome = (usize, Result<(Item, Arc<[f32]>, bool)>);

pub fn run(args: Args) -> Result<()> {
    let paths = list(&args.images)?;
    let options = ExplainOptions {
        target: args.target.clone(),
        pooling: args.pooling,
        gem_exponent: args.gem_exponent,
        ..ExplainOptions::default()
    };
    let (origin, engine) = choose(&args, &options, &paths)?;
    let known = known(&args.out, &origin)?;
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_JOBS);
    // A GPU has one queue; more sessions on it would only hold more memory.
    let jobs =
        if engine == EngineKind::Gpu { 1 } else { args.jobs.map_or(cores, NonZero::get).min(paths.len().max(1)) };
    eprintln!("{} photos, {} embeddings known; {engine}, {jobs} at once", paths.len(), known.len());

    let next = AtomicUsize::new(0);
    let (send, receive) = channel();
    let collected = thread::scope(|scope| {
        for _ in 0..jobs {
            let (send, paths, next, known, origin, args) = (send.clone(), &paths, &next, &known, &origin, &args);
            scope.spawn(move || work(args, engine, origin, (paths, next), known, &send));
        }
        drop(send);
        collect(&receive, &args.out, &origin, paths.len()).inspect_err(|_| next.store(paths.len(), Ordering::Relaxed))
    })?;
    if collected.gallery.is_empty() {
        return Err(Error::argument("images", "none of them could be read"));
    }
    eprintln!(
        "{} images in {} ({} embedded now, {} known before, {} skipped)",
        collected.gallery.len(),
        args.out.display(),
        collected.embedded,
        collected.gallery.len() - collected.embedded,
        collected.skipped
    );
    Ok(())
}

/// The photos, each once, in the order of their paths.
fn list(images: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for path in images {
        if path.is_dir() {
            paths.extend(files::photos_in(path)?);
        } else {
            paths.push(path.clone());
        }
    }
    let mut seen = HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    match paths.is_empty() {
        true => Err(Error::argument("images", "there are no photos in the folders")),
        false => Ok(paths),
    }
}

/// What makes the embeddings, and the engine: where it is not said, the one that is faster with all its jobs together.
fn choose(args: &Args, options: &ExplainOptions, paths: &[PathBuf]) -> Result<(Origin, EngineKind)> {
    let mut session = block_on(Session::new(files::model(args.model.as_deref())?, args.engine))?;
    if args.engine == EngineChoice::Auto
        && let Some(id) = paths.iter().find_map(|path| session.add_image("first", &files::photo(path).ok()?).ok())
    {
        block_on(session.calibrate(id))?;
        let time = |kind| session.engine_reports().iter().find(|r| r.kind == kind).and_then(|r| r.milliseconds);
        let jobs = args.jobs.map_or(MOST_JOBS, NonZero::get);
        let cores = thread::available_parallelism().map_or(1, NonZero::get).min(jobs);
        if let (Some(cpu), Some(gpu)) = (time(EngineKind::Cpu), time(EngineKind::Gpu)) {
            let engine = if gpu < cpu / cores as f64 { EngineKind::Gpu } else { EngineKind::Cpu };
            return Ok((session.origin(options)?, engine));
        }
    }
    Ok((session.origin(options)?, session.engine()))
}

/// What the gallery already holds.
fn known(folder: &Path, origin: &Origin) -> Result<Known> {
    let Some(old) = gallery::read(folder)? else { return Ok(Known::new()) };
    old.origin()
        .check(origin)
        .map_err(|e| files::file_error(folder, format!("{e}; another folder for --out keeps both")))?;
    let row =
        |(index, item): (usize, &Item)| Some((item.content.clone(), (item.clone(), old.embedding(index)?.into())));
    Ok(old.items().iter().enumerate().filter_map(row).collect())
}

/// Takes one photo after another until none is left or nobody listens.
fn work(
    args: &Args,
    engine: EngineKind,
    origin: &Origin,
    (paths, next): (&[PathBuf], &AtomicUsize),
    known: &Known,
    send: &Sender<Outcome>,
) {
    let choice = if engine == EngineKind::Gpu { EngineChoice::Gpu } else { EngineChoice::Cpu };
    // A session stays on its thread, and is made there once it is needed.
    let mut session = None;
    loop {
        let place = next.fetch_add(1, Ordering::Relaxed);
        let Some(path) = paths.get(place) else { return };
        let outcome = embed(&mut session, args.model.as_deref(), choice, path, origin, known);
        if send.send((place, outcome)).is_err() {
            return;
        }
    }
}

fn embed(
    session: &mut Option<Session>,
    model: Option<&Path>,
    engine: EngineChoice,
    path: &Path,
    origin: &Origin,
    known: &Known,
) -> Result<(Item, Arc<[f32]>, bool)> {
    let name = path.display().to_string();
    let bytes = files::read(path)?;
    let content = gallery::content(&bytes);
    if let Some((item, embedding)) = known.get(&content) {
        return Ok((Item { name, ..item.clone() }, embedding.clone(), true));
    }
    let photo = decode(&name, &bytes, &Limits::default())?;
    let session = match session {
        Some(session) => session,
        None => session.insert(block_on(Session::new(files::model(model)?, engine))?),
    };
    let id = session.add_image(&name, &photo)?;
    let result = block_on(session.gallery_embedding(id, origin))
        .and_then(|e| Ok((session.gallery_item(id, &content)?, e, false)));
    session.remove_image(id);
    result
}

struct Collected {
    gallery: Gallery,
    embedded: usize,
    skipped: usize,
}

/// An image and its embedding.
type Embedded = (Item, Arc<[f32]>);

/// Gathers what the workers send, writes it now and then and at the end, in the order of the list.
fn collect(receive: &Receiver<Outcome>, folder: &Path, origin: &Origin, count: usize) -> Result<Collected> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}, {per_sec}, {eta} left {msg}");
    let bar = ProgressBar::new(count as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut found: Vec<Option<Embedded>> = vec![None; count];
    let gather = |found: &[Option<Embedded>]| -> Result<Gallery> {
        let mut gallery = Gallery::new(origin.clone());
        for (item, embedding) in found.iter().flatten() {
            gallery.push(item.clone(), embedding)?;
        }
        Ok(gallery)
    };
    let (mut embedded, mut skipped) = (0, 0);
    let (mut saved, mut unsaved) = (Instant::now(), 0);
    for (place, outcome) in receive {
        bar.inc(1);
        match outcome {
            Ok((item, embedding, was_known)) => {
                embedded += usize::from(!was_known);
                unsaved += usize::from(!was_known);
                found[place] = Some((item, embedding));
            }
            Err(error) => {
                skipped += 1;
                bar.suspend(|| eprintln!("famlens: skipped: {error}"));
            }
        }
        if unsaved > 0 && saved.elapsed() > SAVE_EVERY {
            gallery::write(folder, &gather(&found)?)?;
            (saved, unsaved) = (Instant::now(), 0);
        }
    }
    bar.finish_and_clear();
    let gallery = gather(&found)?;
    if !gallery.is_empty() {
        gallery::write(folder, &gallery)?;
    }
    Ok(Collected { gallery, embedded, skipped })
}
