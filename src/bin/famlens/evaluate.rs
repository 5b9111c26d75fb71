//! `famlens evaluate`: few-shot accuracy and localisation over a folder of photos, by input geometry and form.
//!
//! The folders directly below `--images` are the classes. Accuracy is over random episodes; localisation over the photos
//! that have a box, each explained for its own class (up to five other photos of it) against all other classes.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use famlens::fam::Form;
use famlens::image::{GeometryMode, Rect};
use famlens::metrics::{energy_in_boxes, iou};
use famlens::session::{Class, EngineChoice, ExplainOptions, ImageId, Session};
use famlens::tasks::few_shot::Episode;
use famlens::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use pollster::block_on;

use crate::files;

#[derive(clap::Args)]
pub struct Args {
    /// Folder whose sub-folders are the classes
    #[arg(long)]
    images: PathBuf,
    /// Boxes as tab-separated file, x0, y0, x1, y1 in pixels, with a heading [default: boxes.tsv in the folder]
    #[arg(long)]
    boxes: Option<PathBuf>,
    /// How photos are fitted into the input; give it several times to compare
    #[arg(long = "resize", default_values = ["squash", "crop", "letterbox", "aspect"])]
    geometries: Vec<GeometryMode>,
    /// Forms to compare
    #[arg(long = "form", default_values = ["fam", "centred", "contrastive"])]
    forms: Vec<Form>,
    /// Few-shot episodes for each number of classes
    #[arg(long, default_value_t = 2000)]
    episodes: usize,
    /// Support photos a class in an episode
    #[arg(long, default_value_t = 5)]
    shots: usize,
    /// Seed of the episodes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder with model.json and its ONNX file [default: the built-in EfficientNet-Lite0]
    #[arg(long)]
    model: Option<PathBuf>,
    /// auto, cpu or gpu
    #[arg(long, default_value = "cpu")]
    engine: EngineChoice,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

/// The photos of one class, by path.
type Folders = BTreeMap<String, Vec<PathBuf>>;

pub fn run(args: Args) -> Result<()> {
    let folders = class_folders(&args.images)?;
    let boxes = read_boxes(&args.boxes.clone().unwrap_or_else(|| args.images.join("boxes.tsv")), &args.images)?;
    let photos: usize = folders.values().map(Vec::len).sum();
    if args.shots == 0 || !folders.values().any(|f| f.len() > args.shots) {
        let reason =
            format!("{} photos in {} classes do not make episodes of {} shots", photos, folders.len(), args.shots);
        return Err(Error::argument("--shots", reason));
    }
    let bar = ProgressBar::new((photos * args.geometries.len()) as u64);
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} photos, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut rows = Vec::new();
    for &geometry in &args.geometries {
        bar.set_message(geometry.to_string());
        rows.push(evaluate(&args, geometry, &folders, &boxes, &bar)?);
    }
    bar.finish_and_clear();
    if args.json {
        println!("{}", serde_json::json!({ "seed": args.seed, "episodes": args.episodes, "rows": rows }));
    } else {
        print_tables(&args, &rows);
    }
    Ok(())
}

/// What one geometry gives.
#[derive(serde::Serialize)]
struct Row {
    geometry: String,
    /// Accuracy of 2-way and 5-way episodes, with cosine and with centred cosine similarity.
    accuracy: BTreeMap<String, f64>,
    localisation: Vec<Localised>,
}

/// Means over the photos with a box.
#[derive(serde::Serialize)]
struct Localised {
    map: String,
    photos: usize,
    iou: f64,
    energy_inside: f64,
    peak_inside: f64,
}

fn evaluate(
    args: &Args,
    geometry: GeometryMode,
    folders: &Folders,
    boxes: &HashMap<PathBuf, Rect>,
    bar: &ProgressBar,
) -> Result<Row> {
    let model = files::model(args.model.as_deref())?.with_geometry(geometry);
    let mean = model.mean_embedding(&model.manifest().target).map(<[f32]>::to_vec);
    let mut session = block_on(Session::new(model, args.engine))?;
    let mut classes = Vec::new();
    let mut embeddings = HashMap::new();
    let mut sizes = HashMap::new();
    for (name, paths) in folders {
        let mut members = Vec::new();
        for path in paths {
            bar.inc(1);
            let added = files::photo(path).and_then(|photo| {
                let id = session.add_image(&path.display().to_string(), &photo)?;
                Ok((id, block_on(session.embed(id))?.values, photo.size()))
            });
            match added {
                Ok((id, embedding, size)) => {
                    embeddings.insert(id, embedding.to_vec());
                    sizes.insert(id, size);
                    members.push((path.clone(), id));
                }
                Err(error) => bar.println(format!("skipped: {error}")),
            }
        }
        classes.push((name.clone(), members));
    }

    let mut accuracy = BTreeMap::new();
    let ids: Vec<Vec<ImageId>> = classes.iter().map(|(_, m)| m.iter().map(|&(_, id)| id).collect()).collect();
    for ways in [2, 5] {
        for form in [Form::Faithful, Form::Centred] {
            if form == Form::Centred && mean.is_none() {
                continue;
            }
            if let Some(share) = episodes(args, ways, form, &ids, &embeddings, mean.as_deref())? {
                accuracy.insert(format!("{ways}-way {}-shot, {}", args.shots, form.score_name()), share);
            }
        }
    }

    let mut localisation = Vec::new();
    for &form in &args.forms {
        localisation.push(localise_all(&mut session, &classes, boxes, form)?);
    }
    localisation.extend(floors(&classes, boxes, &sizes));
    Ok(Row { geometry: geometry.to_string(), accuracy, localisation })
}

/// Share of queries that get their own class; one query of each class an episode. `None` if too few classes have enough photos.
fn episodes(
    args: &Args,
    ways: usize,
    form: Form,
    classes: &[Vec<ImageId>],
    embeddings: &HashMap<ImageId, Vec<f32>>,
    mean: Option<&[f32]>,
) -> Result<Option<f64>> {
    let mut able: Vec<&Vec<ImageId>> = classes.iter().filter(|c| c.len() > args.shots).collect();
    if able.len() < ways {
        return Ok(None);
    }
    let mut random = fastrand::Rng::with_seed(args.seed);
    let (mut right, mut asked) = (0usize, 0usize);
    for _ in 0..args.episodes {
        random.shuffle(&mut able);
        let mut queries = Vec::with_capacity(ways);
        let mut supports: Vec<Vec<&[f32]>> = Vec::with_capacity(ways);
        for class in &able[..ways] {
            let mut members: Vec<ImageId> = (*class).clone();
            random.shuffle(&mut members);
            queries.push(members[0]);
            supports.push(members[1..=args.shots].iter().map(|id| embeddings[id].as_slice()).collect());
        }
        let episode = Episode::new(&supports)?;
        for (class, query) in queries.iter().enumerate() {
            right += usize::from(episode.decide(form, &embeddings[query], mean)?.predicted == class);
            asked += 1;
        }
    }
    Ok(Some(right as f64 / asked.max(1) as f64))
}

type Members = Vec<(PathBuf, ImageId)>;

/// At most this many other photos of the class are its supports when a boxed photo is explained.
const LOCALISATION_SHOTS: usize = 5;

fn localise_all(
    session: &mut Session,
    classes: &[(String, Members)],
    boxes: &HashMap<PathBuf, Rect>,
    form: Form,
) -> Result<Localised> {
    let mut sums = Sums::default();
    for (own, (_, members)) in classes.iter().enumerate() {
        for (path, query) in members {
            let Some(target) = boxes.get(path) else { continue };
            let episode: Vec<Class> = classes.iter().map(|(name, m)| supports(name, m, *query)).collect();
            if episode[own].supports.is_empty() {
                continue;
            }
            let own_name = episode[own].name.clone();
            let episode: Vec<Class> = episode.into_iter().filter(|c| !c.supports.is_empty()).collect();
            let own = episode.iter().position(|c| c.name == own_name).unwrap_or(0);
            let options = ExplainOptions { form, ..ExplainOptions::default() };
            let explanation = block_on(session.explain(*query, &episode, &options))?;
            let explained = &explanation.maps[own];
            let energy = energy_in_boxes(&explained.map.view()?, std::slice::from_ref(target)).unwrap_or(0.0);
            let found = explained.localisation.as_ref();
            let overlap = found.map_or(0.0, |l| iou(&l.bounds, target));
            let hit = found.is_some_and(|l| target.contains(l.peak[0], l.peak[1]));
            sums.add(overlap, energy, f64::from(u8::from(hit)));
        }
    }
    Ok(sums.mean(form.name()))
}

fn supports(name: &str, members: &Members, query: ImageId) -> Class {
    let others = members.iter().map(|&(_, id)| id).filter(|&id| id != query);
    Class::new(name, others.take(LOCALISATION_SHOTS).collect::<Vec<_>>())
}

/// What needs no model: the whole photo, and a centred box of 80 % of each side.
fn floors(
    classes: &[(String, Members)],
    boxes: &HashMap<PathBuf, Rect>,
    sizes: &HashMap<ImageId, (u32, u32)>,
) -> Vec<Localised> {
    let floor = |name: &str, share: f64| {
        let mut sums = Sums::default();
        let explained = classes.iter().filter(|(_, members)| members.len() > 1);
        for (path, id) in explained.flat_map(|(_, members)| members) {
            let (Some(target), Some(&(w, h))) = (boxes.get(path), sizes.get(id)) else { continue };
            let (w, h, margin) = (f64::from(w), f64::from(h), (1.0 - share) / 2.0);
            let guess = Rect::new(margin * w, margin * h, (1.0 - margin) * w, (1.0 - margin) * h);
            let energy = guess.intersection(target).area() / guess.area();
            sums.add(iou(&guess, target), energy, f64::from(u8::from(target.contains(w / 2.0, h / 2.0))));
        }
        sums.mean(name)
    };
    vec![floor("floor: whole photo", 1.0), floor("floor: centred 80 % box", 0.8)]
}

#[derive(Default)]
struct Sums {
    photos: usize,
    iou: f64,
    energy: f64,
    peak: f64,
}

impl Sums {
    fn add(&mut self, iou: f64, energy: f64, peak: f64) {
        self.photos += 1;
        self.iou += iou;
        self.energy += energy;
        self.peak += peak;
    }

    fn mean(&self, map: &str) -> Localised {
        let n = self.photos.max(1) as f64;
        let (iou, energy_inside, peak_inside) = (self.iou / n, self.energy / n, self.peak / n);
        Localised { map: map.to_owned(), photos: self.photos, iou, energy_inside, peak_inside }
    }
}

fn print_tables(args: &Args, rows: &[Row]) {
    println!("few-shot accuracy in %, {} episodes each, seed {}", args.episodes, args.seed);
    for row in rows {
        for (name, share) in &row.accuracy {
            println!("  {:<10} {:<32} {:>6.1}", row.geometry, name, share * 100.0);
        }
    }
    println!("localisation in %: IoU of the box at threshold 0.2, energy inside, peak inside");
    for row in rows {
        for l in &row.localisation {
            let values = [l.iou, l.energy_inside, l.peak_inside].map(|v| format!("{:>6.1}", v * 100.0)).join(" ");
            println!("  {:<10} {:<26} {values}   ({} photos)", row.geometry, l.map, l.photos);
        }
    }
}

fn class_folders(folder: &Path) -> Result<Folders> {
    let mut folders = Folders::new();
    for photo in files::photos_in(folder)? {
        let Ok(inside) = photo.strip_prefix(folder) else { continue };
        let mut parts = inside.components();
        if let (Some(class), Some(_)) = (parts.next(), parts.next()) {
            folders.entry(class.as_os_str().to_string_lossy().into_owned()).or_default().push(photo);
        }
    }
    match folders.is_empty() {
        true => Err(Error::argument("--images", format!("{} has no sub-folders with photos", folder.display()))),
        false => Ok(folders),
    }
}

/// `file, x0, y0, x1, y1`, tab-separated, after one heading line; further columns are ignored.
fn read_boxes(path: &Path, images: &Path) -> Result<HashMap<PathBuf, Rect>> {
    let text = String::from_utf8_lossy(&files::read(path)?).into_owned();
    let mut boxes = HashMap::new();
    for (number, line) in text.lines().enumerate().skip(1).filter(|(_, l)| !l.trim().is_empty()) {
        let mut cells = line.split('\t');
        let file = cells.next().unwrap_or_default();
        let sides: Vec<f64> = cells.take(4).filter_map(|c| c.trim().parse().ok()).collect();
        match sides[..] {
            [x0, y0, x1, y1] if x0 < x1 && y0 < y1 => {
                boxes.insert(images.join(file), Rect::new(x0, y0, x1, y1));
            }
            _ => {
                let reason = format!("line {}: expected file, x0, y0, x1, y1 with x0 < x1 and y0 < y1", number + 1);
                return Err(files::file_error(path, reason));
            }
        }
    }
    Ok(boxes)
}
