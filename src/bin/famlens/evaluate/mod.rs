//! `famlens evaluate`: accuracy, localisation, faithfulness and class specificity over a folder of photos.
//!
//! Each photo is explained for its own class among the other classes, each class with up to `--shots` other photos,
//! drawn from the seed. With `--out`, the run saves every finished image at once, and goes on there after a stop.

mod accuracy;
mod data;
mod html;
mod open_set;
mod plan;
mod report;
mod store;
mod variants;
mod work;

use std::path::PathBuf;

use famlens::image::GeometryMode;
use famlens::metrics::{Bootstrap, Fill, Row, Threshold, summarise};
use famlens::session::{EngineChoice, EvaluateOptions, Faithfulness};
use famlens::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::files;
use crate::model_args::ModelArgs;
use crate::terminal::{self, note, shown_path};
pub use data::{Data, Source};
use store::Store;
use variants::Axis;

#[derive(clap::Args)]
pub struct Args {
    /// Folder whose sub-folders are the classes; or photos whose boxes name one class each
    #[arg(long)]
    images: PathBuf,
    /// Boxes: a table (file, x0, y0, x1, y1 in pixels), COCO JSON, a folder of Pascal VOC XML, or CUB-200-2011's folder
    /// [default: boxes.tsv among the images]
    #[arg(long)]
    boxes: Option<PathBuf>,
    /// Folder of masks, PNG files with the photos' names
    #[arg(long)]
    masks: Option<PathBuf>,
    /// Only these classes
    #[arg(long, value_delimiter = ',')]
    classes: Vec<String>,
    /// How to fit photos into the input [default: as the model says]
    #[arg(long = "resize", value_delimiter = ',')]
    geometries: Vec<GeometryMode>,
    /// Forms of the weights
    #[arg(long = "form", value_delimiter = ',', default_values = ["fam", "centred", "contrastive"])]
    forms: Vec<String>,
    /// Methods; each is combined with every form, so give one form with them
    #[arg(long, value_delimiter = ',')]
    methods: Vec<String>,
    /// Similarities
    #[arg(long, value_delimiter = ',')]
    similarity: Vec<String>,
    /// Poolings
    #[arg(long, value_delimiter = ',')]
    pooling: Vec<String>,
    /// Target layers
    #[arg(long = "layer", value_delimiter = ',')]
    layers: Vec<String>,
    /// One more way to explain, with all its options: NAME=JSON
    #[arg(long = "variant", value_name = "NAME=JSON")]
    variants: Vec<String>,
    /// Few-shot episodes for each number of classes
    #[arg(long, default_value_t = 2000)]
    episodes: usize,
    /// Support photos for each class
    #[arg(long, default_value_t = 5)]
    shots: usize,
    /// Numbers of classes of the episodes
    #[arg(long, value_delimiter = ',', default_values_t = [2, 5])]
    ways: Vec<usize>,
    /// Other classes in each explanation
    #[arg(long, default_value_t = 19)]
    against: usize,
    /// Explain only the photos that have boxes; the others are supports
    #[arg(long)]
    only_boxed: bool,
    /// Seed of all random draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What counts as the object: a share of the map's range (0.2) or of its energy (energy:0.94) [default: each
    /// form's own]
    #[arg(long)]
    threshold: Option<Threshold>,
    /// Also measure this many mosaics of 2 x 2 and of 3 x 3 classes
    #[arg(long, default_value_t = 0)]
    mosaics: usize,
    /// Also measure faithfulness (dozens of forward passes for each image and variant)
    #[arg(long)]
    faithfulness: bool,
    /// Divide scores by this before the softmax that makes them confidences
    #[arg(long, default_value_t = 0.1)]
    temperature: f64,
    /// What replaces removed pixels: mean or blur
    #[arg(long, default_value_t)]
    fill: Fill,
    /// Steps of insertion and deletion
    #[arg(long, default_value_t = 16)]
    steps: usize,
    /// Also compare the maps with those of the network with its last N layers shuffled, for each N
    #[arg(long, value_delimiter = ',')]
    randomise: Vec<usize>,
    /// Measure how well photos of unknown classes are told instead: classes are left out in turn, for each form, with
    /// one support and with --shots supports, among --ways classes
    #[arg(long, conflicts_with_all = ["out", "faithfulness", "mosaics", "randomise", "methods", "variants"])]
    open_set: bool,
    /// Episodes of each row with --open-set [default: 200]
    #[arg(long, requires = "open_set")]
    open_set_episodes: Option<usize>,
    #[command(flatten)]
    model: ModelArgs,
    /// auto, cpu, gpu or candle
    #[arg(long, default_value = "cpu")]
    engine: EngineChoice,
    /// Photos at a time [default: one for each core; one on the GPU]
    #[arg(long)]
    jobs: Option<usize>,
    /// Folder for results.json, results.csv, report.html and the state from which a stopped run goes on
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let source = Source {
        images: &args.images,
        boxes: args.boxes.as_deref(),
        masks: args.masks.as_deref(),
        classes: &args.classes,
        seed: args.seed,
    };
    let data = Data::collect(&source)?;
    check(&args, &data)?;
    if args.open_set {
        return open_set::run(&args, &data);
    }
    let options = options(&args)?;
    let mut store = Store::default();
    if let Some(folder) = &args.out {
        files::create_folder(folder)?;
        store = Store::open(&folder.join("progress.jsonl"))?;
    }
    let plan = plan::Planner::new(&args, &data, &options)?;

    let mut skipped = data.skipped.clone();
    let threads = args.jobs.unwrap_or_else(|| match args.engine {
        EngineChoice::Cpu => std::thread::available_parallelism().map_or(1, usize::from),
        _ => 1,
    });
    let started = std::time::Instant::now();
    // Randomised networks are compared with the trained one's maps, so they come second.
    for stage in [plan::Planner::jobs, plan::Planner::random_jobs] {
        let jobs = stage(&plan, &store)?;
        let bar = ProgressBar::new(jobs.len() as u64);
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} images, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        work::run(&plan.shared(), &jobs, threads, |(entries, bad)| {
            bar.inc(1);
            for reason in bad {
                if !skipped.contains(&reason) {
                    terminal::skipped(&bar, &reason);
                    skipped.push(reason);
                }
            }
            store.add(entries)
        })?;
        bar.finish_and_clear();
    }
    let seconds = started.elapsed().as_secs_f64();

    let rows: Vec<Row> = plan.rows(&store);
    let bootstrap = Bootstrap { seed: args.seed, ..Bootstrap::default() };
    let mut summary = summarise(&rows, &bootstrap)?;
    let draws = accuracy::Draws { ways: &args.ways, shots: args.shots, count: args.episodes };
    let mut accuracy = Vec::new();
    for setting in plan.settings() {
        let model = plan.model()?;
        let mean = model.mean_embedding(&model.manifest().target);
        accuracy.extend(accuracy::aggregates(
            &data,
            &plan.embeddings(setting, &store),
            mean,
            &draws,
            &setting.name(),
            &bootstrap,
        )?);
    }
    summary.aggregates.splice(0..0, accuracy);

    let report =
        report::Report { command: command(), about: about(&args, &data, &plan), seconds, skipped, rows, summary };
    if let Some(folder) = &args.out {
        report.write(folder)?;
        let sheet = html::contact_sheet(&plan, &store)?;
        files::write(&folder.join("report.html"), html::page(&report, &sheet).as_bytes())?;
        note!("wrote results.json, results.csv and report.html to {}", shown_path(folder));
    }
    match args.json {
        true => terminal::print_json(report.json()?),
        false => terminal::print(report.text()),
    }
    Ok(())
}

fn check(args: &Args, data: &Data) -> Result<()> {
    if args.shots == 0 || !(0..data.classes.len()).any(|class| data.protocol.members(class).len() > args.shots.min(1)) {
        let reason = format!(
            "{} photos in {} classes do not make a class with {} supports and a query",
            data.items.len(),
            data.classes.len(),
            args.shots
        );
        return Err(Error::argument("--shots", reason));
    }
    if args.ways.contains(&0) || args.against == 0 {
        return Err(Error::argument("--ways and --against", "at least one class is needed"));
    }
    Ok(())
}

fn options(args: &Args) -> Result<EvaluateOptions> {
    fn values(texts: &[String]) -> Vec<&str> {
        texts.iter().map(String::as_str).collect()
    }
    let axes = [
        Axis { option: "method", values: values(&args.methods) },
        Axis { option: "form", values: values(&args.forms) },
        Axis { option: "similarity", values: values(&args.similarity) },
        Axis { option: "pooling", values: values(&args.pooling) },
        Axis { option: "target", values: values(&args.layers) },
    ];
    let (temperature, fill, steps, seed) = (args.temperature, args.fill, args.steps, args.seed);
    let faithfulness = Faithfulness { temperature, fill, steps, seed, controls: true };
    Ok(EvaluateOptions {
        variants: variants::combine(&axes, &args.variants)?,
        threshold: args.threshold,
        floors: true,
        faithfulness: args.faithfulness.then_some(faithfulness),
    })
}

/// The command that was typed.
fn command() -> String {
    let quote = |word: String| match word.contains([' ', '"', '{', '\'']) {
        true => format!("'{word}'"),
        false => word,
    };
    let words: Vec<String> = std::env::args().skip(1).map(quote).collect();
    format!("famlens {}", words.join(" "))
}

/// What the figures rest on, as sentences.
fn about(args: &Args, data: &Data, plan: &plan::Planner<'_>) -> Vec<String> {
    let boxed = data.items.iter().filter(|item| !item.boxes.is_empty()).count();
    let mut about = vec![
        format!(
            "{} photos of {} classes, {boxed} of them with boxes; model {}.",
            data.items.len(),
            data.classes.len(),
            plan.model_name()
        ),
        format!(
            "Each photo is explained for its own class among at most {} others, each class with up to {} other photos drawn with seed {}.",
            args.against, args.shots, args.seed
        ),
        format!(
            "Localisation: the box of the largest 8-connected region that holds {}. A map that is the same everywhere scores 0.",
            plan.thresholds()
        ),
        "Object sizes are shares of the photo: small under 30 %, medium up to 60 %, large above.".into(),
        "Intervals: 95 %, bootstrap over images, 2000 resamples.".into(),
    ];
    if args.faithfulness {
        let fill =
            if args.fill == Fill::Mean { "the mean colour" } else { "a Gaussian blur of a twentieth of the side" };
        about.push(format!(
            "Faithfulness: the confidence is the softmax over the classes of the score that ranks them at temperature {}; pixels are replaced by {fill}; {} steps.",
            args.temperature, args.steps
        ));
    }
    if args.mosaics > 0 {
        about.push(format!(
            "Mosaics: {} of each kind, explained among the classes they show; photos recur between mosaics. Chance is 25 % and 11.1 % (pixel AUC 50 %).",
            args.mosaics
        ));
    }
    about
}
