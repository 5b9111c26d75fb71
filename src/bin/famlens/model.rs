//! `famlens inspect` and `famlens compare`: looking at ONNX files.

use std::path::PathBuf;

use famlens::engine::Engine;
use famlens::engine::compare::{NodeDifference, compare as compare_nodes};
use famlens::engine::cpu::CpuEngine;
use famlens::engine::gpu::{GpuEngine, GpuOptions};
use famlens::graph::passes;
use famlens::image::{InputPixels, InputSize, Normalization, prepare};
use famlens::onnx::{Model, ModelSummary};
use famlens::session::{self, InputSpec, Manifest, Network};
use famlens::tensor::Tensor;
use famlens::{Error, Result};
use pollster::block_on;

use crate::files;
use crate::model_args::{InputArgs, described};
use crate::terminal::{self, say};

#[derive(clap::Args)]
pub struct InspectArgs {
    /// The ONNX file to look at, or the folder of a model; a model.json beside it counts
    model: PathBuf,
    /// Target layer to describe [default: model.json's, or the best one]
    #[arg(long)]
    target: Option<String>,
    /// How many levels of blocks to unfold
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    depth: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    input: InputArgs,
}

/// What `famlens inspect --json` prints.
#[derive(serde::Serialize)]
struct Inspected {
    #[serde(flatten)]
    summary: ModelSummary,
    /// Layers, blocks and what follows the target layer; null if no layer can be run.
    network: Option<Network>,
    /// What famlens takes from the file or assumes, because nothing says it.
    assumptions: Vec<String>,
    /// How photos become the input, settled; null if no layer can be run.
    prepared: Option<InputSpec>,
}

pub fn inspect(args: InspectArgs) -> Result<()> {
    let (mut manifest, bytes) = described(&args.model)?;
    args.input.put_into(&mut manifest)?;
    let onnx = parsed(&manifest, &bytes)?;
    let (height, width) = input_size(&onnx, manifest.input.size)?;
    let summary = ModelSummary::new(&onnx, height, width)?;
    let built = match summary.targets.is_empty() && !summary.unsupported.is_empty() {
        true => None,
        false => Some(session::Model::of(manifest, &bytes)?),
    };
    let target = args.target.unwrap_or_default();
    let network = built.as_ref().map(|model| model.network(&target)).transpose()?;
    let assumptions = built.as_ref().map_or_else(Vec::new, |model| model.assumptions().to_vec());
    let prepared = built.as_ref().map(|model| model.manifest().input.clone());
    if args.json {
        let json = serde_json::to_string_pretty(&Inspected { summary, network, assumptions, prepared });
        terminal::print_json(json.map_err(|e| Error::onnx(format!("the summary cannot be written: {e}")))?);
        return Ok(());
    }
    say!("input {:?} {:?}, opset {}", summary.input, summary.input_shape, summary.opset);
    if let Some(spec) = prepared {
        let InputPixels { channels, normalization: Normalization { mean, std }, .. } = spec.pixels();
        say!("photos: {} at {}, {channels}, mean {mean:?}, std {std:?}", spec.geometry, spec.size);
    }
    assumptions.iter().for_each(|said| say!("  {said}"));
    let Some(network) = network else {
        say!("famlens cannot run these nodes:");
        summary.unsupported.iter().for_each(|node| say!("  {node}"));
        return Ok(());
    };
    crate::network::print(&network, args.depth);
    say!("target layers, the deepest first:");
    for target in summary.targets.iter().take(8) {
        say!("  {:<40} {:?}", target.name, target.shape);
    }
    if summary.targets.len() > 8 {
        say!("  and {} more (--json lists all)", summary.targets.len() - 8);
    }
    let (parameters, products) = (network.parameters as f64 / 1e6, network.multiply_adds as f64 / 1e6);
    if !summary.unsupported.is_empty() {
        say!("famlens does not run these nodes behind the layers, and need not:");
        summary.unsupported.iter().for_each(|node| say!("  {node}"));
    }
    say!("{parameters:.2} million parameters, {products:.0} million multiplications in a forward pass");
    Ok(())
}

#[derive(clap::Args)]
pub struct CompareArgs {
    /// The ONNX file to run, or the folder of a model; a model.json beside it says how photos are prepared
    model: PathBuf,
    /// The photo to run it on [default: a fixed pattern]
    #[arg(long)]
    image: Option<PathBuf>,
    #[command(flatten)]
    input: InputArgs,
    /// Differences up to this share of a node's largest value count as equal
    #[arg(long, default_value_t = 1e-3)]
    tolerance: f32,
    /// List every node, also those that agree
    #[arg(long, short)]
    verbose: bool,
}

pub fn compare(args: CompareArgs) -> Result<()> {
    let (mut manifest, bytes) = described(&args.model)?;
    args.input.put_into(&mut manifest)?;
    let model = parsed(&manifest, &bytes)?;
    let (height, width) = input_size(&model, manifest.input.size)?;
    let input = match &args.image {
        Some(path) => {
            let model = session::Model::of(manifest, &bytes)?;
            let (photo, spec) = (files::photo(path)?, &model.manifest().input);
            prepare(&photo, &spec.fit(spec.size, photo.size())?, spec.pixels())?
        }
        None => pattern(model.input_channels()?, height, width)?,
    };
    // What comes behind nodes that cannot be run is not compared.
    let graph = passes::optimize(model.to_graph_as_far(height, width)?.0, &[])?;
    let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(CpuEngine::new())];
    match block_on(GpuEngine::new(GpuOptions::default())) {
        Ok(gpu) => engines.push(Box::new(gpu)),
        Err(error) => say!("skipped: {error}"),
    }
    let mut worst = 0f32;
    for engine in &engines {
        let differences = block_on(compare_nodes(engine.as_ref(), &graph, &input))?;
        say!("{} against the reference, {} nodes", engine.describe(), differences.len());
        worst = worst.max(report(&differences, args.tolerance, args.verbose));
    }
    match worst <= args.tolerance {
        true => Ok(()),
        false => {
            Err(Error::Engine { engine: "compared", reason: format!("it differs by {worst:.2e} of a node's range") })
        }
    }
}

/// Prints the nodes that differ, the first one marked, and returns the largest difference.
fn report(differences: &[NodeDifference], tolerance: f32, verbose: bool) -> f32 {
    let differs = |d: &NodeDifference| d.relative.is_nan() || d.relative > tolerance;
    let first = differences.iter().position(differs);
    for (at, d) in differences.iter().enumerate().filter(|(_, d)| verbose || differs(d)) {
        let mark = if Some(at) == first { "  <- the first that differs" } else { "" };
        say!("  {:<12} {:<40} {:<20} {:.2e}{mark}", d.op, d.node, format!("{:?}", d.shape), d.relative);
    }
    let worst = differences.iter().map(|d| if d.relative.is_nan() { f32::INFINITY } else { d.relative });
    let worst = worst.fold(0f32, f32::max);
    say!("  largest difference {worst:.2e} of a node's largest value");
    worst
}

/// The network of the file, or of the image that the description names.
fn parsed(manifest: &Manifest, bytes: &[u8]) -> Result<Model> {
    let model = Model::parse(bytes)?;
    match &manifest.input.name {
        Some(name) if !model.images().is_empty() => model.with_image(name),
        _ => Ok(model),
    }
}

/// Height and width: the file's where it says them, else those asked for, else the usual.
fn input_size(model: &Model, asked: InputSize) -> Result<(usize, usize)> {
    let (height, width) = model.input_size()?;
    let asked = if asked.is_known() { asked } else { InputSize::square(height.or(width).unwrap_or(224) as u32) };
    Ok((height.unwrap_or(asked.rows().0), width.unwrap_or(asked.rows().1)))
}

/// A smooth pattern within -1 to 1, the same on every machine.
fn pattern(channels: usize, height: usize, width: usize) -> Result<Tensor> {
    let value = |i: usize| ((i % 251) as f32 * 0.7).sin() * ((i / width % 97) as f32 * 0.13).cos();
    Tensor::new([1, channels, height, width], (0..channels * height * width).map(value).collect())
}
