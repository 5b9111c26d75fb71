//! `famlens quantize`: int8 weights, and int8 activations if there are photos to calibrate with.

use std::path::{Path, PathBuf};

use famlens::engine::cpu::CpuEngine;
use famlens::quant::{LevelType, QuantReport, QuantizeOptions, RangeMethod, quantize};
use famlens::session::{Calibration, Model};
use famlens::{Error, Result};
use pollster::block_on;

use crate::files;
use crate::terminal::{self, say};

#[derive(clap::Args)]
pub struct Args {
    /// The ONNX file to read
    input: PathBuf,
    /// The ONNX file to write
    output: PathBuf,
    /// Folder of photos, with the folders below it, to run the model on: activations become int8 too (static QDQ)
    #[arg(long)]
    calibrate: Option<PathBuf>,
    /// Use at most this many photos, spread evenly over the folder
    #[arg(long, default_value_t = 128, requires = "calibrate")]
    images: usize,
    /// Folder whose model.json says how photos are prepared [default: the one of the ONNX file]
    #[arg(long, requires = "calibrate")]
    model: Option<PathBuf>,
    /// How the range of an activation follows from its values: mse, min-max or percentile
    #[arg(long, default_value_t, requires = "calibrate")]
    range: RangeMethod,
    /// The type of activations: uint8 or int8
    #[arg(long, default_value_t, requires = "calibrate")]
    activations: LevelType,
    /// List every weight with its error, and every activation with its range
    #[arg(long, short)]
    verbose: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let onnx = files::read_onnx(&args.input)?;
    let (bytes, report) = match &args.calibrate {
        None => quantize(&onnx, &QuantizeOptions::default())?,
        Some(folder) => calibrate(args, folder, &onnx)?,
    };
    files::write(&args.output, &bytes)?;
    if args.verbose {
        list(&report);
    }
    let activations = match report.activations.len() {
        0 => String::new(),
        n => format!(" and {n} activations as {}", args.activations),
    };
    let weights = report.tensors.len();
    say!("{weights} weights as int8{activations}: {} -> {} bytes", report.bytes_before, report.bytes_after);
    Ok(())
}

fn calibrate(args: &Args, folder: &Path, onnx: &[u8]) -> Result<(Vec<u8>, QuantReport)> {
    let card = match &args.model {
        Some(folder) => folder.join("model.json"),
        None => args.input.with_file_name("model.json"),
    };
    if !card.exists() {
        let reason = format!(
            "there is no {}, which says how photos are prepared; write one (docs/models.md) or name its folder by --model",
            card.display()
        );
        return Err(Error::argument("--calibrate", reason));
    }
    let json = files::read_text(&card)?;
    let model = Model::new(&json, onnx)?;
    let photos = files::photos_in(folder)?.or_tell();
    let count = args.images.min(photos.len());
    if count == 0 {
        let reason = match photos.is_empty() {
            true => format!("{} holds no photos", folder.display()),
            false => "--images 0 leaves nothing to calibrate with".into(),
        };
        return Err(Error::argument("--calibrate", reason));
    }
    let mut calibration = Calibration::new(&model, onnx, Box::new(CpuEngine::new()))?;
    let bar = files::progress(count, "photos");
    for i in 0..count {
        let photo = files::photo(&photos[i * photos.len() / count]);
        // A damaged photo is left out; what the model itself cannot do would be the same for all.
        match photo {
            Ok(photo) => block_on(calibration.add(&photo))?,
            Err(error) => terminal::skipped(&bar, error),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    calibration.finish(args.range, args.activations)
}

fn list(report: &QuantReport) {
    for weight in &report.tensors {
        let shape = format!("{:?}", weight.shape);
        say!("{:<44} {shape:>18} max |error| {:.6}", weight.name, weight.max_abs_error);
    }
    for activation in &report.activations {
        let [low, high] = activation.range;
        say!("{:<44} {low:>10.4} to {high:<10.4} scale {:.6}", activation.name, activation.levels.scale);
    }
}
