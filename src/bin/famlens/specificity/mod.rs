//! `famlens specificity`: whether maps tell classes apart, form by form, with what each part of the class-specific
//! forms adds.
//!
//! The folders directly below `--images` are the classes. Mosaics: 2x2 photos of four classes, supports disjoint from
//! the tiles. Boxes: 2-way episodes around each boxed photo, the map of its own class. The statistics of an episode
//! rest on the photos of the classes that are not in it, so that nothing the form knows of images in general comes from
//! the classes it explains. Every interval is a bootstrap over the photos explained, each photo's episodes averaged
//! first.

mod forms;
mod report;

use std::collections::BTreeMap;
use std::path::PathBuf;

use famlens::fam::Accumulator;
use famlens::image::{GeometryMode, Photo, Rect, mosaic};
use famlens::metrics::boxes::{Boxes, read_boxes};
use famlens::metrics::{Tiles, correlation, energy_in_boxes, iou, localise};
use famlens::session::{Class, EngineChoice, ImageId, Session};
use famlens::tasks::episodes::Episode;
use famlens::{Error, Result};
use indicatif::ProgressBar;
use pollster::block_on;

use crate::files;
use crate::model_args::ModelArgs;
use crate::terminal;
use forms::{Variant, Way};

#[derive(clap::Args)]
pub struct Args {
    /// Folder whose sub-folders are the classes
    #[arg(long)]
    images: PathBuf,
    /// File with boxes (VOC XML, COCO JSON or a table) [default: boxes.tsv in the folder]
    #[arg(long)]
    boxes: Option<PathBuf>,
    /// Support photos for each class; several numbers joined by commas
    #[arg(long, value_delimiter = ',', default_values_t = [1, 5])]
    shots: Vec<usize>,
    /// Mosaics for each number of shots
    #[arg(long, default_value_t = 40)]
    mosaics: usize,
    /// Episodes for each boxed photo
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Only these classes, joined by commas [default: all with enough photos]
    #[arg(long, value_delimiter = ',')]
    classes: Vec<String>,
    /// Folders that show no one kind of thing; their photos count for statistics only
    #[arg(long, value_delimiter = ',', default_values = ["misc", "other_animal", "landmark"])]
    mixed: Vec<String>,
    /// Leave out the ablation
    #[arg(long)]
    brief: bool,
    /// Seed of the episodes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    model: ModelArgs,
    /// auto, cpu, gpu or candle
    #[arg(long, default_value = "cpu")]
    engine: EngineChoice,
    /// Print JSON instead of Markdown tables
    #[arg(long)]
    json: bool,
}

/// One photo of the folder.
pub struct Item {
    path: PathBuf,
    photo: Photo,
    folder: usize,
    bounds: Option<Rect>,
}

/// The folder and which of its classes are explained.
struct Data {
    items: Vec<Item>,
    folders: Vec<String>,
    /// Members of each folder, by index into `items`.
    members: Vec<Vec<usize>>,
    /// Folders that are classes.
    classes: Vec<usize>,
}

/// Thresholds among which each half of the boxed photos chooses for the other half.
const THRESHOLDS: [f32; 10] = [0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5];

/// What one form made of one photo in one episode.
#[derive(Default, Clone)]
pub struct Score {
    /// Index of the photo explained.
    photo: usize,
    energy: f64,
    hit: f64,
    auc: f64,
    /// IoU at each threshold.
    iou: Vec<f64>,
    correlation: Option<f64>,
}

/// All scores of one form for one number of shots.
pub struct Scores {
    pub way: Way,
    pub shots: usize,
    pub mosaics: Vec<Score>,
    pub boxes: Vec<Score>,
    /// Per 5-way (or fewer) query: the photo and whether it got its own class.
    pub accuracy: Vec<(usize, f64)>,
    pub ways: usize,
}

pub fn run(args: &Args) -> Result<()> {
    let data = load(args)?;
    let variants = forms::variants(args.brief);
    let steps: usize = variants.iter().map(|v| v.ways.len()).sum::<usize>() * args.shots.len() * args.mosaics;
    let bar = files::progress(steps, "mosaics");
    let mut all = Vec::new();
    for variant in variants {
        bar.set_message(variant.name);
        all.extend(evaluate(args, &data, variant, &bar)?);
    }
    bar.finish_and_clear();
    report::print(&all, args.json)
}

fn load(args: &Args) -> Result<Data> {
    let boxes_file = args.boxes.clone().unwrap_or_else(|| args.images.join("boxes.tsv"));
    let boxes: Boxes = match boxes_file.exists() || args.boxes.is_some() {
        true => read_boxes(&[(boxes_file.display().to_string(), files::read(&boxes_file)?)])?,
        false => Boxes::default(),
    };
    let mut by_folder: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in files::photos_in(&args.images)?.or_tell() {
        let Ok(inside) = path.strip_prefix(&args.images) else { continue };
        let mut parts = inside.components();
        if let (Some(folder), Some(_)) = (parts.next(), parts.next()) {
            by_folder.entry(folder.as_os_str().to_string_lossy().into_owned()).or_default().push(path);
        }
    }
    let bar = files::progress(by_folder.values().map(Vec::len).sum(), "photos read");
    let (mut items, mut folders, mut members) = (Vec::new(), Vec::new(), Vec::new());
    for (folder, (name, paths)) in by_folder.into_iter().enumerate() {
        let mut member_ids = Vec::new();
        for path in paths {
            bar.inc(1);
            match files::photo(&path) {
                Ok(photo) => {
                    let object = boxes.of(&path.display().to_string()).and_then(|entry| entry.objects.first());
                    member_ids.push(items.len());
                    items.push(Item { photo, folder, bounds: object.map(|object| object.bounds), path });
                }
                Err(error) => terminal::skipped(&bar, error),
            }
        }
        folders.push(name);
        members.push(member_ids);
    }
    bar.finish_and_clear();
    let wanted = |name: &String| match args.classes.is_empty() {
        true => !args.mixed.contains(name),
        false => args.classes.contains(name),
    };
    let classes: Vec<usize> = (0..folders.len()).filter(|&f| wanted(&folders[f]) && members[f].len() >= 2).collect();
    for &shots in &args.shots {
        let able = classes.iter().filter(|&&f| members[f].len() > shots).count();
        if shots == 0 || able < 4 {
            let reason =
                format!("{able} classes have more than {shots} photos, and mosaics need four; use fewer shots");
            return Err(Error::argument("--shots", reason));
        }
    }
    Ok(Data { items, folders, members, classes })
}

impl Data {
    fn able(&self, shots: usize) -> Vec<usize> {
        self.classes.iter().copied().filter(|&f| self.members[f].len() > shots).collect()
    }

    fn supports(&self, folder: usize, query: usize, shots: usize, random: &mut fastrand::Rng) -> Vec<usize> {
        let mut others: Vec<usize> = self.members[folder].iter().copied().filter(|&i| i != query).collect();
        random.shuffle(&mut others);
        others.truncate(shots);
        others
    }

    /// Mosaics in which every photo is a tile about equally often.
    fn mosaics(&self, shots: usize, count: usize, seed: u64) -> Vec<Episode> {
        let mut random = fastrand::Rng::with_seed(seed);
        let able = self.able(shots);
        let mut used: BTreeMap<usize, f64> =
            able.iter().flat_map(|&f| &self.members[f]).map(|&i| (i, random.f64())).collect();
        let mut episodes = Vec::with_capacity(count);
        for _ in 0..count {
            let mut order: Vec<usize> = used.keys().copied().collect();
            order.sort_by(|a, b| used[a].total_cmp(&used[b]));
            let mut queries: Vec<usize> = Vec::with_capacity(4);
            for i in order {
                if queries.len() < 4 && queries.iter().all(|&q| self.items[q].folder != self.items[i].folder) {
                    queries.push(i);
                }
            }
            random.shuffle(&mut queries);
            for query in &queries {
                *used.entry(*query).or_default() += 1.0 + 0.01 * random.f64();
            }
            let folders: Vec<usize> = queries.iter().map(|&q| self.items[q].folder).collect();
            let supports =
                queries.iter().zip(&folders).map(|(&q, &f)| self.supports(f, q, shots, &mut random)).collect();
            episodes.push(Episode { classes: folders, supports, queries });
        }
        episodes
    }

    /// Two-way episodes around the boxed photos.
    fn boxed(&self, shots: usize, repeats: usize, seed: u64) -> Vec<Episode> {
        let mut random = fastrand::Rng::with_seed(seed);
        let able = self.able(shots);
        let mut episodes = Vec::new();
        for (query, item) in self.items.iter().enumerate() {
            if item.bounds.is_none() || !able.contains(&item.folder) {
                continue;
            }
            for _ in 0..repeats {
                let others: Vec<usize> = able.iter().copied().filter(|&f| f != item.folder).collect();
                let folders = vec![item.folder, others[random.usize(..others.len())]];
                let supports = folders.iter().map(|&f| self.supports(f, query, shots, &mut random)).collect();
                episodes.push(Episode { classes: folders, supports, queries: vec![query] });
            }
        }
        episodes
    }
}

/// All forms of one variant of the model.
fn evaluate(args: &Args, data: &Data, variant: Variant, bar: &ProgressBar) -> Result<Vec<Scores>> {
    let model = (variant.change)(args.model.load_alone()?)?;
    let mut session = block_on(Session::new(model, args.engine))?;
    let add = |session: &mut Session, item: &Item| session.add_image(&item.path.display().to_string(), &item.photo);
    let ids = data.items.iter().map(|item| add(&mut session, item)).collect::<Result<Vec<ImageId>>>()?;
    // One sum a folder, so that the statistics of an episode are those of the folders it leaves alone.
    let mut sums = vec![Accumulator::new(); data.folders.len()];
    if variant.ways.iter().any(|way| way.options.form.cells().is_some()) {
        for (item, &id) in data.items.iter().zip(&ids) {
            block_on(session.count_cells(id, &mut sums[item.folder]))?;
        }
    }
    let mut all = Vec::new();
    for &shots in &args.shots {
        let ways = data.able(shots).len().min(5);
        let empty =
            |way: &Way| Scores { way: way.clone(), shots, mosaics: vec![], boxes: vec![], accuracy: vec![], ways };
        let mut scores: Vec<Scores> = variant.ways.iter().map(empty).collect();
        for episode in data.mosaics(shots, args.mosaics, args.seed) {
            leave_out(&mut session, &sums, &episode.classes)?;
            let photos: Vec<&Photo> = episode.queries.iter().map(|&q| &data.items[q].photo).collect();
            let tile = session.model().manifest().input.size.with_longer(320);
            let tiled = mosaic(&photos, 2, tile, GeometryMode::Squash)?;
            let query = session.add_image("mosaic", &tiled)?;
            let classes = classes(data, &episode, &ids);
            for scores in &mut scores {
                bar.inc(1);
                let explanation = block_on(session.explain(query, &classes, &scores.way.options))?;
                for (k, explained) in explanation.maps.iter().enumerate() {
                    let tile = Tiles::square(2).measure(&explained.map.view()?)?;
                    scores.mosaics.push(Score {
                        photo: episode.queries[k],
                        // A map without anything positive says nothing: chance.
                        energy: tile.energy.map_or(0.25, |energy| energy[k]),
                        hit: tile.peak.map_or(0.25, |peak| f64::from(u8::from(peak == k))),
                        auc: tile.auc[k],
                        ..Score::default()
                    });
                }
            }
            session.remove_image(query);
        }
        for episode in data.boxed(shots, args.repeats, args.seed) {
            leave_out(&mut session, &sums, &episode.classes)?;
            let (query, classes) = (episode.queries[0], classes(data, &episode, &ids));
            let Some(bounds) = data.items[query].bounds else { continue };
            for scores in &mut scores {
                let explanation = block_on(session.explain(ids[query], &classes, &scores.way.options))?;
                let view = explanation.maps[0].map.view()?;
                let mut score = Score { photo: query, ..Score::default() };
                for threshold in THRESHOLDS {
                    score.iou.push(localise(&view, threshold)?.map_or(0.0, |l| iou(&l.bounds, &bounds)));
                }
                let whole =
                    bounds.area() / f64::from(data.items[query].photo.width() * data.items[query].photo.height());
                score.energy = energy_in_boxes(&view, &[bounds]).unwrap_or(whole);
                let peak = explanation.maps[0].localisation.as_ref().map(|l| l.peak);
                score.hit = peak.map_or(whole, |[x, y]| f64::from(u8::from(bounds.contains(x, y))));
                score.correlation = correlation(&explanation.maps[0].map.data, &explanation.maps[1].map.data);
                scores.boxes.push(score);
            }
        }
        accuracy(args, data, &mut session, &sums, &ids, shots, &mut scores)?;
        all.extend(scores);
    }
    Ok(all)
}

/// Episodes of five classes (or all there are), one query each.
fn accuracy(
    args: &Args,
    data: &Data,
    session: &mut Session,
    sums: &[Accumulator],
    ids: &[ImageId],
    shots: usize,
    scores: &mut [Scores],
) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(args.seed);
    let mut able = data.able(shots);
    let ways = able.len().min(5);
    for _ in 0..args.mosaics {
        random.shuffle(&mut able);
        let folders: Vec<usize> = able[..ways].to_vec();
        let queries: Vec<usize> =
            folders.iter().map(|&f| data.members[f][random.usize(..data.members[f].len())]).collect();
        let supports = queries.iter().zip(&folders).map(|(&q, &f)| data.supports(f, q, shots, &mut random)).collect();
        let episode = Episode { classes: folders, supports, queries };
        leave_out(session, sums, &episode.classes)?;
        let classes = classes(data, &episode, ids);
        for (k, &query) in episode.queries.iter().enumerate() {
            for scores in scores.iter_mut() {
                let explanation = block_on(session.explain(ids[query], &classes, &scores.way.options))?;
                scores.accuracy.push((query, f64::from(u8::from(explanation.predicted == k))));
            }
        }
    }
    Ok(())
}

fn classes(data: &Data, episode: &Episode, ids: &[ImageId]) -> Vec<Class> {
    let class = |(folder, supports): (&usize, &Vec<usize>)| {
        Class::new(data.folders[*folder].clone(), supports.iter().map(|&i| ids[i]).collect::<Vec<_>>())
    };
    episode.classes.iter().zip(&episode.supports).map(class).collect()
}

/// The statistics of every folder but these.
fn leave_out(session: &mut Session, sums: &[Accumulator], folders: &[usize]) -> Result<()> {
    let mut rest = Accumulator::new();
    for (_, sum) in sums.iter().enumerate().filter(|(folder, _)| !folders.contains(folder)) {
        rest.merge(sum)?;
    }
    if rest.images() == 0 {
        return Ok(());
    }
    let statistics = session.finish_statistics(&rest, "classes that the episode leaves alone")?;
    session.set_statistics(Some(statistics))
}
