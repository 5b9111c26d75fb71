//! The Python package `famlens`: models, sessions and explanations with NumPy arrays in and out. `famlens/__init__.py`
//! is what users see of it.

mod explanation;
mod images;
mod model;
mod session;

use famlens::Error;
use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::explanation::Explanation;
    #[pymodule_export]
    use super::model::Model;
    #[pymodule_export]
    use super::session::Session;

    use pyo3::prelude::*;

    /// Every choice of an explanation, as JSON: its name, label, sentence, values and sources.
    #[pyfunction]
    fn choices() -> String {
        famlens::session::catalogue_json()
    }
}

/// An exception of the package with the same words as the error.
fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let kind = match error {
        Error::Image { .. } => "ImageError",
        Error::File { .. } => "FileError",
        Error::Onnx { .. } | Error::Unsupported { .. } | Error::Node { .. } | Error::Manifest { .. } => "ModelError",
        Error::Argument { .. } | Error::Target { .. } | Error::TooLarge { .. } => "ArgumentError",
        _ => "EngineError",
    };
    raise(py, kind, &error.to_string())
}

/// An exception of the package by its name.
fn raise(py: Python<'_>, kind: &str, words: &str) -> PyErr {
    let class = py.import("famlens._errors").and_then(|module| module.getattr(kind));
    match class.and_then(|class| class.call1((words,))) {
        Ok(exception) => PyErr::from_value(exception),
        Err(other) => other,
    }
}
