//! `famlens bench-methods`: time and peak memory of every method against input size and model, and how each grows.

use std::path::{Path, PathBuf};

use famlens::image::Photo;
use famlens::methods::{Method, MethodOptions, SplitMix};
use famlens::session::{Class, EngineChoice, ExplainOptions, ImageId, Model, Passes, Session};
use famlens::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use pollster::block_on;
use serde::Serialize;
use serde_json::json;

use crate::model_args::ModelArgs;
use crate::terminal::{self, say};
use crate::{files, methods};

#[derive(clap::Args)]
pub struct Args {
    /// Folder with model.json and its ONNX file; repeat it for each model [default: the built-in EfficientNet-Lite0]
    #[arg(long = "model", value_name = "DIR")]
    models: Vec<PathBuf>,
    /// Sides of the input in pixels, joined by commas; multiples of the model's stride
    #[arg(long, value_delimiter = ',', default_values_t = [128, 192, 256, 320])]
    sizes: Vec<usize>,
    /// The methods, joined by commas [default: all]
    #[arg(long, value_delimiter = ',')]
    methods: Vec<Method>,
    /// The photo to explain [default: noise of a fixed seed, since time hardly depends on the picture]
    #[arg(long)]
    query: Option<PathBuf>,
    /// How often to run each; the fastest run counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// score-cam: how many channels to try; 0 for all
    #[arg(long, default_value_t = 64, value_name = "N")]
    channels: usize,
    /// rise: how many random masks
    #[arg(long, default_value_t = 500, value_name = "N")]
    masks: usize,
    /// cpu or gpu
    #[arg(long, default_value = "cpu")]
    engine: EngineChoice,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

/// One method at one input size.
#[derive(Serialize)]
struct Row {
    model: String,
    size: usize,
    method: &'static str,
    /// Of the fastest run, with the forward pass that it needs.
    milliseconds: f64,
    /// Beside that pass.
    own: f64,
    passes: Passes,
    /// Estimated from the sizes of what must be there at once.
    bytes: usize,
    /// The process's resident memory at its peak while the method ran, weights included; null where the system does not
    /// tell.
    process_bytes: Option<u64>,
}

/// How one method grows: the exponents of pixels in `ms ~ pixels^a`, by least squares over the logarithms.
#[derive(Serialize)]
struct Growth {
    model: String,
    method: &'static str,
    time: f64,
    memory: f64,
}

pub fn run(args: &Args) -> Result<()> {
    if args.runs == 0 || args.sizes.is_empty() {
        return Err(Error::argument("--runs and --sizes", "at least one of each is needed"));
    }
    let all = <Method as famlens::choice::Choice>::ALL;
    let chosen = if args.methods.is_empty() { all } else { args.methods.as_slice() };
    let folders: Vec<Option<&Path>> = match args.models.as_slice() {
        [] => vec![None],
        some => some.iter().map(|p| Some(p.as_path())).collect(),
    };
    let bar = ProgressBar::new((folders.len() * args.sizes.len() * chosen.len()) as u64);
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let (mut rows, mut growth) = (Vec::new(), Vec::new());
    for folder in folders {
        let first = rows.len();
        for &size in &args.sizes {
            bar.set_message(format!("{size} px"));
            measure(
                args,
                ModelArgs { model: folder.map(Path::to_owned), ..ModelArgs::default() }
                    .load()?
                    .with_size(u32::try_from(size).unwrap_or(u32::MAX))?,
                size,
                chosen,
                &mut rows,
                &bar,
            )?;
        }
        growth.extend(fit(&rows[first..], chosen));
    }
    bar.finish_and_clear();
    match args.json {
        true => terminal::print_json(json!({ "engine": format!("{:?}", args.engine), "rows": rows, "growth": growth })),
        false => print_tables(args, &rows, &growth),
    }
    Ok(())
}

fn measure(
    args: &Args,
    model: Model,
    size: usize,
    chosen: &[Method],
    rows: &mut Vec<Row>,
    bar: &ProgressBar,
) -> Result<()> {
    let name = model.manifest().name.clone();
    let mut session = block_on(Session::new(model, args.engine))?;
    let (query, class) = images(&mut session, args.query.as_deref(), size)?;
    let classes = [class];
    let method_options = MethodOptions { channels: args.channels, masks: args.masks, ..MethodOptions::default() };
    let options = ExplainOptions { method_options, ..ExplainOptions::default() };
    // The first one compiles the program; the second pass of the model is warm.
    methods::compare(&mut session, query, &classes, &[Method::Mean], &options)?;
    let forward = block_on(session.bench(query, args.runs))?.forward.into_iter().fold(f64::INFINITY, f64::min);
    for &method in chosen {
        let mut best: Option<Row> = None;
        for _ in 0..args.runs {
            reset_peak_memory();
            let comparison = methods::compare(&mut session, query, &classes, &[method], &options)?;
            let process_bytes = peak_memory();
            let Some(cost) = comparison.methods.first().map(|m| m.cost) else { continue };
            // What the shared parts took when they were first run is replaced by a warm forward pass.
            let shared = cost.milliseconds - cost.own - comparison.forward_milliseconds;
            let row = Row {
                model: name.clone(),
                size,
                method: method.name(),
                milliseconds: forward + shared + cost.own,
                own: shared + cost.own,
                passes: cost.passes,
                bytes: cost.bytes,
                process_bytes,
            };
            if best.as_ref().is_none_or(|b| row.milliseconds < b.milliseconds) {
                best = Some(row);
            }
        }
        rows.extend(best);
        bar.inc(1);
    }
    Ok(())
}

/// The query and a class of one support.
fn images(session: &mut Session, query: Option<&Path>, size: usize) -> Result<(ImageId, Class)> {
    let photo = match query {
        Some(path) => files::photo(path)?,
        None => noise(size, 1)?,
    };
    let query = session.add_image("query", &photo)?;
    let support = session.add_image("support", &noise(size, 2)?)?;
    Ok((query, Class::new("support", [support])))
}

/// Noise in squares of 16 pixels, so that late layers see something.
fn noise(size: usize, seed: u64) -> Result<Photo> {
    let mut random = SplitMix::new(seed);
    let cells = size.div_ceil(16);
    let colors: Vec<[u8; 3]> =
        (0..cells * cells).map(|_| random.bits().to_le_bytes()).map(|b| [b[0], b[1], b[2]]).collect();
    let pixels = (0..size * size).flat_map(|i| colors[i / size / 16 * cells + i % size / 16]);
    Photo::from_rgb(size as u32, size as u32, pixels.collect())
}

/// Lets [`peak_memory`] count from now on, where the system can (Linux).
fn reset_peak_memory() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The largest resident memory of this process, in bytes; `None` where the system does not tell (it does on Linux).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The growth of each method over the sizes; none with fewer than two.
fn fit(rows: &[Row], chosen: &[Method]) -> Vec<Growth> {
    let growth = |method: &Method| {
        let of_method: Vec<&Row> = rows.iter().filter(|r| r.method == method.name()).collect();
        let pixels = |r: &Row| (r.size * r.size) as f64;
        let slope = |value: &dyn Fn(&Row) -> f64| {
            exponent(&of_method.iter().map(|r| (pixels(r), value(r))).collect::<Vec<_>>())
        };
        let (time, memory) = (slope(&|r| r.milliseconds)?, slope(&|r| r.bytes as f64)?);
        Some(Growth { model: of_method.first()?.model.clone(), method: method.name(), time, memory })
    };
    chosen.iter().filter_map(growth).collect()
}

/// The slope of `ln y` over `ln x` by least squares.
fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let n = points.len() as f64;
    let logs: Vec<(f64, f64)> = points.iter().map(|&(x, y)| (x.ln(), y.max(f64::MIN_POSITIVE).ln())).collect();
    let (mx, my) = (logs.iter().map(|p| p.0).sum::<f64>() / n, logs.iter().map(|p| p.1).sum::<f64>() / n);
    let xx: f64 = logs.iter().map(|p| (p.0 - mx).powi(2)).sum();
    let xy: f64 = logs.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    (xx > 0.0).then(|| xy / xx)
}

fn print_tables(args: &Args, rows: &[Row], growth: &[Growth]) {
    say!(
        "one class, cosine; fastest of {}; score-cam {} channels, rise {} masks; milliseconds with the forward pass\n",
        args.runs,
        args.channels,
        args.masks
    );
    say!(
        "| model | pixels | method | ms | beside the pass | forward passes | tail | backward | MiB beside the weights, estimated | MiB of the process |"
    );
    say!("|---|---|---|---|---|---|---|---|---|---|");
    let mebibytes = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    for r in rows {
        let (forward, tail, backward) = (r.passes.forward + 1, r.passes.tail, r.passes.backward);
        let process = r.process_bytes.map_or_else(|| "-".into(), mebibytes);
        say!(
            "| {} | {} | {} | {:.1} | {:.1} | {forward} | {tail} | {backward} | {} | {process} |",
            r.model,
            r.size,
            r.method,
            r.milliseconds,
            r.own,
            mebibytes(r.bytes as u64)
        );
    }
    if !growth.is_empty() {
        say!("\n| model | method | time grows as pixels^ | memory as pixels^ |\n|---|---|---|---|");
    }
    for g in growth {
        say!("| {} | {} | {:.2} | {:.2} |", g.model, g.method, g.time, g.memory);
    }
}

#[cfg(test)]
mod tests {
    use super::exponent;

    #[test]
    fn exponents_are_found() {
        let square: Vec<_> = [1.0f64, 2.0, 5.0].iter().map(|&x| (x, 3.0 * x.powi(2))).collect();
        assert!(exponent(&square).is_some_and(|e| (e - 2.0).abs() < 1e-9));
        assert_eq!(exponent(&[(2.0, 1.0)]), None);
    }
}
