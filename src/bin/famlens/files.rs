//! Reading and writing files, with errors that name the path.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use famlens::image::{Limits, Photo, decode};
use famlens::session::Model;
use famlens::{Error, Result};

/// The model that is built into the program, used when `--model` names no folder.
const MODEL_JSON: &str = include_str!("../../../models/efficientnet_lite0/model.json");
const MODEL_STATISTICS: &[u8] = include_bytes!("../../../models/efficientnet_lite0/statistics.bin");
const MODEL_ONNX: &[u8] = include_bytes!("../../../models/efficientnet_lite0/model.onnx");

/// File name endings that are taken from a folder as photos.
const PHOTO_EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "gif", "bmp"];

pub fn file_error(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::File { path: path.display().to_string(), reason: error.to_string() }
}

pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| file_error(path, e))
}

/// An ONNX model, with the weights that it keeps in files beside it.
pub fn read_onnx(path: &Path) -> Result<Vec<u8>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    famlens::onnx::with_external_data(read(path)?, |name| read(&folder.join(name)))
}

pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|e| file_error(path, e))
}

pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| file_error(path, e))
}

/// The model of a folder with a `model.json`, or the built-in one.
pub fn model(folder: Option<&Path>) -> Result<Model> {
    let model = model_alone(folder)?;
    let file = model.manifest().class_specific.as_ref().and_then(|spec| spec.statistics.clone());
    match (folder, file) {
        (None, _) => model.with_statistics(MODEL_STATISTICS),
        (Some(folder), Some(file)) => model.with_statistics(&read(&folder.join(file))?),
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
    let json = fs::read_to_string(&path).map_err(|e| file_error(&path, e))?;
    let file = famlens::session::Manifest::parse(&json)?.file;
    let onnx = read_onnx(&folder.join(file))?;
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

pub fn photo(path: &Path) -> Result<Photo> {
    decode(&path.display().to_string(), &read(path)?, &Limits::default())
}

/// The photos in a folder and the folders below it, sorted by path.
pub fn photos_in(folder: &Path) -> Result<Vec<PathBuf>> {
    with_endings(folder, &PHOTO_EXTENSIONS)
}

/// The files of these endings, in lower case, in a folder and the folders below it, sorted by path.
pub fn with_endings(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| file_error(&folder, e))? {
            let path = entry.map_err(|e| file_error(&folder, e))?.path();
            let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
            if path.is_dir() {
                folders.push(path);
            } else if extension.is_some_and(|e| endings.contains(&e.as_str())) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
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
