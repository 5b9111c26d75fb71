//! Models.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use famlens::session::{Manifest, Model as Inner};
use famlens::{Error, Result, onnx};
use pyo3::prelude::*;
use serde_json::json;

use crate::raised;

const BUILT_IN: (&str, &[u8], &[u8]) = (
    include_str!("../../models/efficientnet_lite0/model.json"),
    include_bytes!("../../models/efficientnet_lite0/model.onnx"),
    include_bytes!("../../models/efficientnet_lite0/statistics.bin"),
);

/// The files of a model, which were read and fit together.
#[pyclass(frozen, module = "famlens._native")]
pub struct Model {
    json: Arc<str>,
    onnx: Arc<[u8]>,
    statistics: Option<Arc<[u8]>>,
    info: String,
}

/// The files of a model, for a session on another thread.
#[derive(Clone)]
pub struct Files {
    json: Arc<str>,
    onnx: Arc<[u8]>,
    statistics: Option<Arc<[u8]>>,
}

impl Files {
    /// # Errors
    /// As [`Inner::new`].
    pub fn model(&self) -> Result<Inner> {
        let model = Inner::new(&self.json, &self.onnx)?;
        match &self.statistics {
            Some(bytes) => model.with_statistics(bytes),
            None => Ok(model),
        }
    }
}

#[pymethods]
impl Model {
    /// A folder with model.json and its ONNX file; the built-in model without one.
    #[new]
    #[pyo3(signature = (folder=None))]
    fn new(py: Python<'_>, folder: Option<PathBuf>) -> PyResult<Self> {
        py.detach(|| {
            let files = match &folder {
                Some(folder) => read_folder(folder)?,
                None => {
                    let (json, onnx, statistics) = BUILT_IN;
                    Files { json: json.into(), onnx: onnx.into(), statistics: Some(statistics.into()) }
                }
            };
            Self::of(files)
        })
        .map_err(|error| raised(py, &error))
    }

    /// A model of the bytes of an ONNX file and the text of its description.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, onnx: Vec<u8>, description: String) -> PyResult<Self> {
        let files = Files { json: description.into(), onnx: onnx.into(), statistics: None };
        py.detach(|| Self::of(files)).map_err(|error| raised(py, &error))
    }

    /// What there is to know about it, as JSON.
    fn info(&self) -> &str {
        &self.info
    }
}

impl Model {
    fn of(files: Files) -> Result<Self> {
        let model = files.model()?;
        let manifest = model.manifest();
        let info = json!({
            "name": manifest.name, "target": manifest.target, "targets": model.targets(),
            "size": manifest.input.size, "labels": manifest.labels, "pooling": manifest.pooling,
            "statistics": files.statistics.is_some(),
        });
        let Files { json, onnx, statistics } = files;
        Ok(Self { json, onnx, statistics, info: info.to_string() })
    }

    pub fn files(&self) -> Files {
        Files { json: self.json.clone(), onnx: self.onnx.clone(), statistics: self.statistics.clone() }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::File { path: path.display().to_string(), reason: e.to_string() })
}

fn read_folder(folder: &Path) -> Result<Files> {
    let path = folder.join("model.json");
    let json = String::from_utf8(read(&path)?)
        .map_err(|_| Error::File { path: path.display().to_string(), reason: "it is not text (UTF-8)".into() })?;
    let manifest = Manifest::parse(&json)?;
    let file = beside(folder, &manifest.file)?;
    let onnx = onnx::with_external_data(read(&file)?, |name| read(&beside(folder, name)?))?;
    let statistics = manifest.class_specific.as_ref().and_then(|spec| spec.statistics.as_ref());
    let statistics = statistics.map(|name| read(&beside(folder, name)?)).transpose()?;
    Ok(Files { json: json.into(), onnx: onnx.into(), statistics: statistics.map(Into::into) })
}

/// The path of a file that a description names, which has to lie in the description's folder.
fn beside(folder: &Path, described: &str) -> Result<PathBuf> {
    use std::path::Component;
    let inside = Path::new(described).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if inside && !described.is_empty() {
        return Ok(folder.join(described));
    }
    let reason = format!("it names the file {described:?}, which is not in the same folder; move it there");
    Err(Error::File { path: folder.display().to_string(), reason })
}
