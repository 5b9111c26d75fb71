//! The work: one job a photo or mosaic, shared by threads that each have a session of their own.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use famlens::image::{GeometryMode, Photo, Rect, mosaic};
use famlens::metrics::{Mask, Tiles};
use famlens::session::{Class, EngineChoice, EvaluateOptions, ImageId, Model, Session, Subject, Variant};
use famlens::tasks::episodes::{Episode, EpisodeSize};
use famlens::{Error, Result};
use pollster::block_on;

use super::data::{Data, Item};
use super::store::Entry;
use crate::files;

/// What the model is given: how photos are fitted, and how many layers are at random.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    pub geometry: GeometryMode,
    pub random_layers: usize,
}

impl Setting {
    /// The name in rows.
    pub fn name(self) -> String {
        match self.random_layers {
            0 => self.geometry.to_string(),
            1 => format!("{}, last layer at random", self.geometry),
            n => format!("{}, last {n} layers at random", self.geometry),
        }
    }
}

/// One piece of work and the keys that its entries are stored under.
pub struct Job {
    pub setting: Setting,
    pub kind: Kind,
    /// Which variants are still to be measured, with their keys.
    pub variants: Vec<(usize, String)>,
}

pub enum Kind {
    /// A photo: its decision, its boxes, its faithfulness; the keys of its floors and its embedding where they are
    /// wanted.
    Photo { item: usize, floors: Option<String>, embedding: Option<String> },
    /// A mosaic of the episode's queries.
    Mosaic { index: usize, side: usize, episode: Episode },
    /// A photo under a randomised network, against its maps under the trained one.
    Random { item: usize, reference: Vec<Vec<f32>> },
}

/// What all threads share.
pub struct Plan<'a> {
    pub data: &'a Data,
    pub options: &'a EvaluateOptions,
    pub model: &'a (dyn Fn() -> Result<Model> + Sync),
    pub engine: EngineChoice,
    pub shots: usize,
    pub against: usize,
    pub seed: u64,
}

/// What became of a job: what is to be stored, and what could not be read.
pub type Outcome = (Vec<Entry>, Vec<String>);

/// Runs the jobs on `threads` threads and hands every outcome to `take`, on the calling thread. Stops at the first
/// error that is not a single photo's.
pub fn run(plan: &Plan<'_>, jobs: &[Job], threads: usize, mut take: impl FnMut(Outcome) -> Result<()>) -> Result<()> {
    let (next, stop, failed) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(None));
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..threads.clamp(1, jobs.len().max(1)) {
            let (sender, next, stop, failed) = (sender.clone(), &next, &stop, &failed);
            scope.spawn(move || {
                let mut worker = Worker { plan, loaded: None };
                while let Some(job) =
                    jobs.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| !stop.load(Ordering::Relaxed))
                {
                    let sent = match worker.work(job) {
                        Ok(outcome) => sender.send(outcome).is_ok(),
                        Err(error) => {
                            if let Ok(mut failed) = failed.lock() {
                                failed.get_or_insert(error);
                            }
                            false
                        }
                    };
                    if !sent {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
        drop(sender);
        receiver.into_iter().try_for_each(&mut take)
    })?;
    match failed.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(()),
    }
}

struct Worker<'a> {
    plan: &'a Plan<'a>,
    /// The session of the setting that is being worked on.
    loaded: Option<Loaded>,
}

struct Loaded {
    setting: Setting,
    session: Session,
    ids: HashMap<usize, ImageId>,
    /// Photos that could not be read, with the reason.
    bad: HashMap<usize, String>,
}

impl Worker<'_> {
    fn work(&mut self, job: &Job) -> Result<Outcome> {
        if self.loaded.as_ref().is_none_or(|loaded| loaded.setting != job.setting) {
            let mut model = (self.plan.model)()?.with_geometry(job.setting.geometry);
            if job.setting.random_layers > 0 {
                model = model.with_random_layers(job.setting.random_layers, self.plan.seed)?;
            }
            let mut session = block_on(Session::new(model, self.plan.engine))?;
            // A second scale is made from the photo itself.
            session.keep_photos(self.plan.options.variants.iter().any(|v| !v.options.finer.scales.is_empty()));
            self.loaded = Some(Loaded { setting: job.setting, session, ids: HashMap::new(), bad: HashMap::new() });
        }
        let Some(loaded) = self.loaded.as_mut() else { return Ok(Outcome::default()) };
        match &job.kind {
            Kind::Photo { item, floors, embedding } => {
                photo(self.plan, loaded, job, *item, floors.as_ref(), embedding.as_ref())
            }
            Kind::Mosaic { index, side, episode } => tiled(self.plan, loaded, job, *index, *side, episode),
            Kind::Random { item, reference } => random(self.plan, loaded, job, *item, reference),
        }
    }
}

impl Loaded {
    /// The photo's id in the session; `None` if it cannot be read, which is then known.
    fn id(&mut self, data: &Data, item: usize) -> Option<ImageId> {
        if let Some(&id) = self.ids.get(&item) {
            return Some(id);
        }
        if self.bad.contains_key(&item) {
            return None;
        }
        let photo = &data.items[item];
        match files::photo(&photo.path).and_then(|pixels| self.session.add_image(&photo.name, &pixels)) {
            Ok(id) => Some(*self.ids.entry(item).or_insert(id)),
            Err(error) => {
                self.bad.insert(item, error.to_string());
                None
            }
        }
    }

    /// The classes with their supports loaded, without supports that cannot be read and classes that are left without.
    fn classes(&mut self, data: &Data, episode: &Episode) -> Vec<(usize, Class)> {
        let load = |(&class, supports): (&usize, &Vec<usize>)| {
            let ids: Vec<ImageId> = supports.iter().filter_map(|&item| self.id(data, item)).collect();
            (class, Class::new(data.classes[class].clone(), ids))
        };
        let loaded = episode.classes.iter().zip(&episode.supports).map(load).collect::<Vec<_>>();
        loaded.into_iter().filter(|(_, class)| !class.supports.is_empty()).collect()
    }

    /// Keeps only the photos that support a class, so that memory does not grow with the number of queries.
    fn forget(&mut self, data: &Data, item: usize, shots: usize) {
        if !data.protocol.is_support(item, shots)
            && let Some(id) = self.ids.remove(&item)
        {
            self.session.remove_image(id);
        }
    }

    fn reasons(&self) -> Vec<String> {
        self.bad.values().cloned().collect()
    }
}

/// One photo whose boxes or mask do not fit does not stop the others; it is listed.
fn subject_or_bad(plan: &Plan<'_>, loaded: &mut Loaded, item: usize) -> Result<Option<(Subject, Vec<Class>)>> {
    match subject(plan, loaded, item) {
        Err(error @ (Error::Image { .. } | Error::File { .. })) => {
            loaded.bad.insert(item, error.to_string());
            Ok(None)
        }
        other => other,
    }
}

/// A query with the classes that it is explained among.
fn subject(plan: &Plan<'_>, loaded: &mut Loaded, item: usize) -> Result<Option<(Subject, Vec<Class>)>> {
    let Some(image) = loaded.id(plan.data, item) else { return Ok(None) };
    let size = EpisodeSize { shots: plan.shots, against: plan.against };
    let Some(episode) = plan.data.protocol.episode(item, size) else { return Ok(None) };
    let classes = loaded.classes(plan.data, &episode);
    let own_class = plan.data.items[item].class;
    let Some(class) = classes.iter().position(|(class, _)| *class == own_class) else { return Ok(None) };
    let known = &plan.data.items[item];
    let photo = loaded.session.geometry(image)?.photo_size();
    let boxes = fitted(known, photo)?;
    let mask = known.mask.as_deref().map(files::photo).transpose()?.map(|mask| Mask::from_photo(&mask));
    Ok(Some((Subject { image, class, boxes, mask }, classes.into_iter().map(|(_, class)| class).collect())))
}

/// The boxes in pixels of the photo as it is, which may be a smaller copy of the one that was annotated.
fn fitted(item: &Item, (width, height): (u32, u32)) -> Result<Vec<Rect>> {
    let Some([w, h]) = item.size.filter(|size| *size != [width, height]) else { return Ok(item.boxes.clone()) };
    let [sx, sy] = [f64::from(width) / f64::from(w), f64::from(height) / f64::from(h)];
    if (sx / sy - 1.0).abs() > 0.02 {
        let reason = format!("it is {width} x {height} pixels and its boxes are for {w} x {h}");
        return Err(Error::image(&item.name, reason));
    }
    Ok(item.boxes.iter().map(|b| Rect::new(b.x0 * sx, b.y0 * sy, b.x1 * sx, b.y1 * sy)).collect())
}

fn photo(
    plan: &Plan<'_>,
    loaded: &mut Loaded,
    job: &Job,
    item: usize,
    floors: Option<&String>,
    embedding: Option<&String>,
) -> Result<Outcome> {
    let mut entries = Vec::new();
    if let (Some(key), Some(id)) = (embedding, loaded.id(plan.data, item)) {
        let values = block_on(loaded.session.embed(id))?.values.to_vec();
        entries.push(Entry { key: key.clone(), embedding: Some(values), ..Entry::default() });
    }
    let query = subject_or_bad(plan, loaded, item)?;
    if let Some((subject, classes)) = query.filter(|_| !job.variants.is_empty() || floors.is_some()) {
        let mut options = plan.options.clone();
        options.floors = floors.is_some();
        options.variants = job.variants.iter().map(|(at, _)| plan.options.variants[*at].clone()).collect();
        if let Some(faithfulness) = &mut options.faithfulness {
            // The controls are those of the first variant.
            faithfulness.controls &= job.variants.first().is_some_and(|(at, _)| *at == 0);
        }
        let evaluated = block_on(loaded.session.evaluate_image(&subject, &classes, &job.setting.name(), &options))?;
        for ((at, key), map) in job.variants.iter().zip(&evaluated.maps) {
            let name = &plan.options.variants[*at].name;
            let belongs = |variant: &str| variant == name || (*at == 0 && variant.starts_with("control: "));
            let rows = evaluated.rows.iter().filter(|row| belongs(&row.variant)).cloned().collect();
            let map = Some((map.width, map.height, map.data.clone()));
            entries.push(Entry { key: key.clone(), rows, map, ..Entry::default() });
        }
        if let Some(key) = floors {
            let rows = evaluated.rows.iter().filter(|row| row.variant.starts_with("floor: ")).cloned().collect();
            entries.push(Entry { key: key.clone(), rows, ..Entry::default() });
        }
    }
    loaded.forget(plan.data, item, plan.shots);
    Ok((entries, loaded.reasons()))
}

/// Pixels of a tile's side: more than the model sees of it.
const TILE: u32 = 224;

fn tiled(
    plan: &Plan<'_>,
    loaded: &mut Loaded,
    job: &Job,
    index: usize,
    side: usize,
    episode: &Episode,
) -> Result<Outcome> {
    let items = &episode.queries;
    let photos: Result<Vec<Photo>> = items.iter().map(|&item| files::photo(&plan.data.items[item].path)).collect();
    let photos = match photos {
        Ok(photos) => photos,
        Err(error) => return Ok((Vec::new(), vec![error.to_string()])),
    };
    let tile = loaded.session.model().manifest().input.size.with_longer(TILE);
    let tiled = mosaic(&photos.iter().collect::<Vec<_>>(), side, tile, GeometryMode::Squash)?;
    let classes = loaded.classes(plan.data, episode);
    if classes.len() < items.len() {
        return Ok((Vec::new(), loaded.reasons()));
    }
    let classes: Vec<Class> = classes.into_iter().map(|(_, class)| class).collect();
    let id = loaded.session.add_image(&format!("mosaic {side}x{side} no. {}", index + 1), &tiled)?;
    let (tiles, setting) = ((0..items.len()).collect::<Vec<_>>(), job.setting.name());
    let mut entries = Vec::new();
    for (at, key) in &job.variants {
        let variant: &[Variant] = std::slice::from_ref(&plan.options.variants[*at]);
        let measured = loaded.session.evaluate_mosaic(id, Tiles::square(side), &tiles, &classes, &setting, variant);
        entries.push(Entry { key: key.clone(), rows: block_on(measured)?, ..Entry::default() });
    }
    loaded.session.remove_image(id);
    Ok((entries, loaded.reasons()))
}

fn random(plan: &Plan<'_>, loaded: &mut Loaded, job: &Job, item: usize, reference: &[Vec<f32>]) -> Result<Outcome> {
    let mut entries = Vec::new();
    if let Some((subject, classes)) = subject_or_bad(plan, loaded, item)? {
        for ((at, key), reference) in job.variants.iter().zip(reference) {
            let variant = std::slice::from_ref(&plan.options.variants[*at]);
            let reference = std::slice::from_ref(reference);
            let setting = job.setting.name();
            let compared = loaded.session.compare_maps(&subject, &classes, &setting, variant, reference);
            entries.push(Entry { key: key.clone(), rows: block_on(compared)?, ..Entry::default() });
        }
    }
    loaded.forget(plan.data, item, plan.shots);
    Ok((entries, loaded.reasons()))
}
