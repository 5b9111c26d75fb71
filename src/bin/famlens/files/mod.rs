//! Reading and writing files, with errors that name the path.

mod folders;
mod read;
mod write;

use std::borrow::Cow;
use std::path::Path;

use famlens::session::Model;
use famlens::{Error, Result};

pub use folders::{photos_among, photos_in, with_endings};
pub use read::{beside, check, photo, read, read_photo, read_text};
pub use write::{PART, create_folder, sync_folder, write, write_durably};

/// The model that is built into the program, used when `--model` names no folder.
const MODEL_JSON: &str = include_str!("../../../../models/efficientnet_lite0/model.json");
const MODEL_STATISTICS: &[u8] = include_bytes!("../../../../models/efficientnet_lite0/statistics.bin");
const MODEL_ONNX: &[u8] = include_bytes!("../../../../models/efficientnet_lite0/model.onnx");

pub fn file_error(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::File { path: path.display().to_string(), reason: error.to_string() }
}

/// An ONNX model, with the weights that it keeps in files beside it.
pub fn read_onnx(path: &Path) -> Result<Vec<u8>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    famlens::onnx::with_external_data(read(path)?, |name| read(&beside(folder, name)?))
}

/// The model of a folder with a `model.json`, or the built-in one.
pub fn model(folder: Option<&Path>) -> Result<Model> {
    let model = model_alone(folder)?;
    let file = model.manifest().class_specific.as_ref().and_then(|spec| spec.statistics.clone());
    match (folder, file) {
        (None, _) => model.with_statistics(MODEL_STATISTICS),
        (Some(folder), Some(file)) => model.with_statistics(&read(&beside(folder, &file)?)?),
        (Some(_), None) => Ok(model),
    }
}

/// The same without its statistics.
pub fn model_alone(folder: Option<&Path>) -> Result<Model> {
    let (json, onnx) = model_files(folder)?;
    Model::new(&json, &onnx)
}

/// The text of `model.json` and the bytes of the ONNX file of that folder, or of the built-in model.
pub fn model_files(folder: Option<&Path>) -> Result<(String, Cow<'static, [u8]>)> {
    let Some(folder) = folder else { return Ok((MODEL_JSON.to_owned(), Cow::Borrowed(MODEL_ONNX))) };
    let path = folder.join("model.json");
    let json = read_text(&path)?;
    let file = famlens::session::Manifest::parse(&json)?.file;
    let onnx = read_onnx(&beside(folder, &file)?)?;
    Ok((json, Cow::Owned(onnx)))
}

/// A bar that counts so many things.
pub fn progress(length: usize, what: &str) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new(length as u64);
    let template = format!("{{msg}} {{bar:40}} {{pos}}/{{len}} {what}, {{eta}} left");
    let style = indicatif::ProgressStyle::with_template(&template);
    bar.set_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
    bar
}

/// Writes a NumPy array of that shape.
pub fn write_npy(path: &Path, shape: &[u64], values: &[f32]) -> Result<()> {
    use npyz::WriterBuilder;
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut bytes);
    let written = options.begin_nd().and_then(|mut writer| {
        writer.extend(values.iter().copied())?;
        writer.finish()
    });
    written.map_err(|e| file_error(path, e))?;
    write(path, &bytes)
}
