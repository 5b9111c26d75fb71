//! `famlens inspect` and `famlens compare`: looking at ONNX files.

use std::path::{Path, PathBuf};

use famlens::engine::Engine;
use famlens::engine::compare::{NodeDifference, compare as compare_nodes};
use famlens::engine::cpu::CpuEngine;
use famlens::engine::gpu::{GpuEngine, GpuOptions};
use famlens::graph::passes;
use famlens::image::{Geometry, GeometryMode, InputSize, Normalization, prepare};
use famlens::onnx::{Model, ModelSummary};
use famlens::session::{Manifest, Network};
use famlens::tensor::Tensor;
use famlens::{Error, Result};
use pollster::block_on;

use crate::files;
use crate::terminal::{self, say};

/// Input side when neither the user nor the file names one.
const USUAL_SIDE: u32 = 224;

#[derive(clap::Args)]
pub struct InspectArgs {
    /// The ONNX file to look at
    model: PathBuf,
    /// Size of the input in pixels, as 224 or as HEIGHTxWIDTH [default: model.json's, the file's, or 224]
    #[arg(long)]
    size: Option<InputSize>,
    /// Target layer to describe [default: model.json's, or the best one]
    #[arg(long)]
    target: Option<String>,
    /// How many levels of blocks to unfold
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    depth: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `famlens inspect --json` prints.
#[derive(serde::Serialize)]
struct Inspected {
    #[serde(flatten)]
    summary: ModelSummary,
    /// Layers, blocks and what follows the target layer; null if no layer can be run.
    network: Option<Network>,
}

pub fn inspect(args: InspectArgs) -> Result<()> {
    let model = Model::parse(&files::read_onnx(&args.model)?)?;
    let manifest = manifest_beside(&args.model)?;
    let (height, width) = input_size(&model, args.size.or_else(|| said_size(manifest.as_ref())))?;
    let summary = ModelSummary::new(&model, height, width)?;
    let network = match summary.targets.is_empty() && !summary.unsupported.is_empty() {
        true => None,
        false => {
            let beside = manifest.map(|m| m.target);
            let (graph, _) = model.to_graph_as_far(height, width)?;
            Some(Network::new(graph, &args.target.or(beside).unwrap_or_default())?)
        }
    };
    if args.json {
        let json = serde_json::to_string_pretty(&Inspected { summary, network });
        terminal::print_json(json.map_err(|e| Error::onnx(format!("the summary cannot be written: {e}")))?);
        return Ok(());
    }
    say!("input {:?} {:?}, opset {}", summary.input, summary.input_shape, summary.opset);
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
    /// The ONNX file to run; a model.json beside it says how photos are prepared
    model: PathBuf,
    /// The photo to run it on [default: a fixed pattern]
    #[arg(long)]
    image: Option<PathBuf>,
    /// Size of the input in pixels, as 224 or as HEIGHTxWIDTH [default: model.json's, the file's, or 224]
    #[arg(long)]
    size: Option<InputSize>,
    /// Differences up to this share of a node's largest value count as equal
    #[arg(long, default_value_t = 1e-3)]
    tolerance: f32,
    /// List every node, also those that agree
    #[arg(long, short)]
    verbose: bool,
}

pub fn compare(args: CompareArgs) -> Result<()> {
    let model = Model::parse(&files::read_onnx(&args.model)?)?;
    let manifest = manifest_beside(&args.model)?;
    let (height, width) = input_size(&model, args.size.or_else(|| said_size(manifest.as_ref())))?;
    let input = match &args.image {
        Some(path) => photo_input(path, manifest.as_ref(), height, width)?,
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

fn said_size(manifest: Option<&Manifest>) -> Option<InputSize> {
    manifest.map(|m| m.input.size).filter(|size| size.is_known())
}

fn input_size(model: &Model, asked: Option<InputSize>) -> Result<(usize, usize)> {
    let (height, width) = model.input_size()?;
    let usual = asked.unwrap_or(InputSize::square(USUAL_SIDE)).rows();
    Ok((height.unwrap_or(usual.0), width.unwrap_or(usual.1)))
}

fn manifest_beside(model: &Path) -> Result<Option<Manifest>> {
    let path = model.with_file_name("model.json");
    match path.exists() {
        true => Manifest::parse(&files::read_text(&path)?).map(Some),
        false => Ok(None),
    }
}

fn photo_input(path: &Path, manifest: Option<&Manifest>, height: usize, width: usize) -> Result<Tensor> {
    let photo = files::photo(path)?;
    let size = InputSize { width: width as u32, height: height as u32 };
    let geometry = Geometry::new(GeometryMode::Squash, photo.size(), size, 1)?;
    let imagenet = Normalization { mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] };
    prepare(&photo, &geometry, &manifest.map_or(imagenet, Manifest::normalization))
}

/// A smooth pattern within -1 to 1, the same on every machine.
fn pattern(channels: usize, height: usize, width: usize) -> Result<Tensor> {
    let value = |i: usize| ((i % 251) as f32 * 0.7).sin() * ((i / width % 97) as f32 * 0.13).cos();
    Tensor::new([1, channels, height, width], (0..channels * height * width).map(value).collect())
}
