//! Reading and writing files, with errors that name the path.

mod folders;
mod read;
mod write;

use std::path::Path;

use famlens::{Error, Result};

pub use folders::{photos_among, photos_in, with_endings};
pub use read::{beside, check, photo, read, read_photo, read_text};
pub use write::{PART, create_folder, sync_folder, write, write_durably};

/// The model that is built into the program, used when `--model` names no folder.
pub const MODEL_JSON: &str = include_str!("../../../../models/efficientnet_lite0/model.json");
pub const MODEL_STATISTICS: &[u8] = include_bytes!("../../../../models/efficientnet_lite0/statistics.bin");
pub const MODEL_ONNX: &[u8] = include_bytes!("../../../../models/efficientnet_lite0/model.onnx");

pub fn file_error(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::File { path: path.display().to_string(), reason: error.to_string() }
}

/// An ONNX model, with the weights that it keeps in files beside it.
pub fn read_onnx(path: &Path) -> Result<Vec<u8>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    famlens::onnx::with_external_data(read(path)?, |name| read(&beside(folder, name)?))
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
