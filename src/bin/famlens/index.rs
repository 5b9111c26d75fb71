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

use crate::model_args::ModelArgs;
use crate::terminal::{self, note, shown, shown_path};
use crate::{engine, files, gallery};

#[derive(clap::Args)]
pub struct Args {
    /// Photos, or folders of photos
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Folder of the gallery (embeddings.npy and images.csv). The gallery keeps what it holds, and photos that it holds
    /// already are not embedded again
    #[arg(short, long)]
    out: PathBuf,
    /// Remove everything from the gallery but the photos named here
    #[arg(long)]
    replace: bool,
    /// Save at least this often, in seconds; a stop loses no more than that
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    save_every: f64,
    #[command(flatten)]
    model: ModelArgs,
    /// auto, cpu, gpu or candle
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
    /// How many photos to embed at once on the CPU [default: one for each core, at most 8]
    #[arg(long)]
    jobs: Option<NonZero<usize>>,
}

/// A model in memory takes tens of megabytes, and a photo being decoded as much again.
const MOST_JOBS: usize = 8;

/// Writing a gallery may take this part of the time that there is between two saves.
const SAVE_SHARE: u32 = 40;

/// What is already embedded, by content.
type Known = HashMap<String, (Item, Arc<[f32]>)>;

/// What became of one photo, by its place in the list; whether it was known.
type Outcome = (usize, Result<(Item, Arc<[f32]>, bool)>);

pub fn run(args: Args) -> Result<()> {
    let listing = files::photos_among(&args.images)?;
    let left_out = listing.skipped.len();
    let paths = listing.or_tell();
    if paths.is_empty() {
        return Err(Error::argument("images", "there are no photos in the folders"));
    }
    let options = ExplainOptions {
        target: args.target.clone(),
        pooling: args.pooling,
        gem_exponent: args.gem_exponent,
        ..ExplainOptions::default()
    };
    let (origin, engine) = choose(&args, &options, &paths)?;
    let known = known(&args, &origin)?;
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_JOBS);
    // A GPU has one queue, and candle runs on all cores by itself; more sessions would only hold more memory.
    let jobs =
        if engine != EngineKind::Cpu { 1 } else { args.jobs.map_or(cores, NonZero::get).min(paths.len().max(1)) };
    note!("{} photos, {} embeddings known; {engine}, {jobs} at once", paths.len(), known.len());

    let next = AtomicUsize::new(0);
    let (send, receive) = channel();
    let mut collector = Collector::new(&args, &origin, paths.len());
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (send, paths, next, known, origin, args) = (send.clone(), &paths, &next, &known, &origin, &args);
            scope.spawn(move || work(args, engine, origin, (paths, next), known, &send));
        }
        drop(send);
        collector.collect(&receive).inspect_err(|_| next.store(paths.len(), Ordering::Relaxed))
    })?;
    let done = collector.finish()?;
    note!(
        "{} images in {} ({} embedded now, {} known before, {} skipped)",
        done.images,
        shown_path(&args.out),
        done.embedded,
        done.images - done.embedded,
        done.skipped + left_out
    );
    Ok(())
}

/// What makes the embeddings, and the engine: where it is not said, the one that is faster with all its jobs together.
fn choose(args: &Args, options: &ExplainOptions, paths: &[PathBuf]) -> Result<(Origin, EngineKind)> {
    let mut session = block_on(Session::new(args.model.load()?, args.engine))?;
    if args.engine == EngineChoice::Auto
        && let Some(id) = paths.iter().find_map(|path| session.add_image("first", &files::photo(path).ok()?).ok())
    {
        let jobs = args.jobs.map_or(MOST_JOBS, NonZero::get);
        let cores = thread::available_parallelism().map_or(1, NonZero::get).min(jobs);
        let engine = match engine::times(&mut session, args.engine, id, paths.len().div_ceil(cores))? {
            Some(engine::Times { cpu, gpu: Some(gpu), .. }) if gpu < cpu / cores as f64 => EngineKind::Gpu,
            _ => EngineKind::Cpu,
        };
        return Ok((session.origin(options)?, engine));
    }
    Ok((session.origin(options)?, session.engine()))
}

/// What the gallery already holds. What cannot be merged with is refused, unless the gallery is to be replaced anyway.
fn known(args: &Args, origin: &Origin) -> Result<Known> {
    let old = match existing(&args.out, gallery::read(&args.out), origin) {
        Err(error) if args.replace => {
            note!("{}; this run replaces the gallery", shown(&error.to_string()));
            return Ok(Known::new());
        }
        gallery => gallery?,
    };
    let Some(old) = old else { return Ok(Known::new()) };
    let row =
        |(index, item): (usize, &Item)| Some((item.content.clone(), (item.clone(), old.embedding(index)?.into())));
    Ok(old.items().iter().enumerate().filter_map(row).collect())
}

/// The gallery that was found, if it can be added to.
fn existing(folder: &Path, gallery: Result<Option<Gallery>>, origin: &Origin) -> Result<Option<Gallery>> {
    let advice = "another folder for --out keeps both, and --replace makes this one anew";
    let advised = |error: Error| files::file_error(folder, format!("{error}; {advice}"));
    let gallery = gallery.map_err(advised)?;
    gallery.as_ref().map_or(Ok(()), |old| old.origin().check(origin)).map_err(advised)?;
    Ok(gallery)
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
    let choice = EngineChoice::from(engine);
    // A session stays on its thread, and is made there once it is needed.
    let mut session = None;
    loop {
        let place = next.fetch_add(1, Ordering::Relaxed);
        let Some(path) = paths.get(place) else { return };
        let outcome = embed(&mut session, &args.model, choice, path, origin, known);
        if send.send((place, outcome)).is_err() {
            return;
        }
    }
}

fn embed(
    session: &mut Option<Session>,
    model: &ModelArgs,
    engine: EngineChoice,
    path: &Path,
    origin: &Origin,
    known: &Known,
) -> Result<(Item, Arc<[f32]>, bool)> {
    let not_text = || files::file_error(path, "its name is not Unicode text, which a gallery needs; rename it");
    let name = path.to_str().ok_or_else(not_text)?.to_owned();
    let bytes = files::read_photo(path)?;
    let content = gallery::content(&bytes);
    if let Some((item, embedding)) = known.get(&content) {
        return Ok((Item { name, ..item.clone() }, embedding.clone(), true));
    }
    let photo = decode(&name, &bytes, &Limits::default())?;
    let session = match session {
        Some(session) => session,
        None => session.insert(block_on(Session::new(model.load()?, engine))?),
    };
    let id = session.add_image(&name, &photo)?;
    let result = block_on(session.gallery_embedding(id, origin))
        .and_then(|e| Ok((session.gallery_item(id, &content)?, e, false)));
    session.remove_image(id);
    result
}

/// An image and its embedding.
type Embedded = (Item, Arc<[f32]>);

/// What tells rows of a gallery apart: a photo's name and its content.
type Key = (String, String);

fn key(item: &Item) -> Key {
    (item.name.clone(), item.content.clone())
}

/// Gathers what the workers send, and saves it now and then and at the end.
struct Collector<'a> {
    args: &'a Args,
    origin: &'a Origin,
    bar: ProgressBar,
    /// What was embedded or known, by its place in the list.
    rows: Vec<Option<Embedded>>,
    /// The rows that this run has added to the gallery.
    added: HashSet<Key>,
    embedded: usize,
    skipped: usize,
    /// Photos that are done and not saved.
    unsaved: usize,
    saved: Instant,
    /// How long the last save took.
    save_took: Duration,
}

struct Done {
    images: usize,
    embedded: usize,
    skipped: usize,
}

impl<'a> Collector<'a> {
    fn new(args: &'a Args, origin: &'a Origin, count: usize) -> Self {
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len}, {per_sec}, {eta} left {msg}");
        let bar = ProgressBar::new(count as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            args,
            origin,
            bar,
            rows: vec![None; count],
            added: HashSet::new(),
            embedded: 0,
            skipped: 0,
            unsaved: 0,
            saved: Instant::now(),
            save_took: Duration::ZERO,
        }
    }

    /// How long a save may wait at most.
    fn pause(&self) -> Duration {
        Duration::try_from_secs_f64(self.args.save_every.max(0.0)).unwrap_or(Duration::MAX)
    }

    fn collect(&mut self, receive: &Receiver<Outcome>) -> Result<()> {
        for (place, outcome) in receive {
            self.bar.inc(1);
            match outcome {
                Ok((item, embedding, was_known)) => {
                    self.embedded += usize::from(!was_known);
                    self.unsaved += usize::from(!was_known);
                    self.rows[place] = Some((item, embedding));
                }
                Err(error) => {
                    self.skipped += 1;
                    terminal::skipped(&self.bar, error);
                }
            }
            let pause = self.pause().max(self.save_took * SAVE_SHARE);
            if self.unsaved > 0 && self.saved.elapsed() >= pause {
                self.save(false)?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Done> {
        if self.rows.iter().all(Option::is_none) {
            self.bar.finish_and_clear();
            return Err(Error::argument("images", "none of them could be read"));
        }
        let images = self.save(true)?;
        self.bar.finish_and_clear();
        Ok(Done { images, embedded: self.embedded, skipped: self.skipped })
    }

    /// Writes what was found into the gallery and gives the number of its images. What was there is lost only by the
    /// last save of a run that was told to replace it.
    fn save(&mut self, last: bool) -> Result<usize> {
        let start = Instant::now();
        let (args, origin) = (self.args, self.origin);
        let (rows, added) = (&self.rows, &mut self.added);
        let gallery = gallery::commit(&args.out, |current| {
            let current = match existing(&args.out, current, origin) {
                Err(_) if args.replace => None,
                current => current?.filter(|_| !(last && args.replace)),
            };
            let mut merged = current.unwrap_or_else(|| Gallery::new(origin.clone()));
            // Own rows are put back in the order of the list, in which they were not done.
            merged.retain(|item| !added.contains(&key(item)));
            merge(&mut merged, rows.iter().flatten(), added, &args.out)?;
            Ok(merged)
        })?;
        (self.saved, self.save_took, self.unsaved) = (Instant::now(), start.elapsed(), 0);
        let done = self.rows.iter().flatten().count();
        match self.bar.is_hidden() {
            true => note!("saved {done} of {}", self.rows.len()),
            false => self.bar.set_message(format!("{done} saved")),
        }
        Ok(gallery.len())
    }
}

/// Adds rows that the gallery does not have. A photo that lies elsewhere now, and no longer where it was, keeps its row
/// under its new name. A photo that has changed is another photo; the old one stays, since nobody asked to remove it.
fn merge<'a>(
    gallery: &mut Gallery,
    rows: impl Iterator<Item = &'a Embedded>,
    added: &mut HashSet<Key>,
    folder: &Path,
) -> Result<()> {
    let mut there: HashSet<Key> = gallery.items().iter().map(key).collect();
    let mut by_content: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, item) in gallery.items().iter().enumerate() {
        by_content.entry(item.content.clone()).or_default().push(index);
    }
    for (item, embedding) in rows {
        if !there.insert(key(item)) {
            continue;
        }
        let mut places = by_content.get(&item.content).into_iter().flatten();
        let moved = places.find(|&&index| gallery::locate(folder, &gallery.items()[index].name).is_err());
        match moved {
            Some(&index) => gallery.rename(index, item.name.clone())?,
            None => {
                gallery.push(item.clone(), embedding)?;
                added.insert(key(item));
            }
        }
    }
    Ok(())
}
