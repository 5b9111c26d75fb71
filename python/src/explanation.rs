//! Explanations.

use std::sync::Arc;

use famlens::image::Photo;
use famlens::overlay::{self, Style, Upsampler};
use famlens::session::{ExplainedMap, Explanation as Inner};
use famlens::{Error, Result};
use numpy::ndarray::{Array2, Array3};
use numpy::{IntoPyArray, PyArray2, PyArray3};
use pyo3::prelude::*;
use serde_json::json;

use crate::raised;

/// A decision and the map of every class.
#[pyclass(frozen, module = "famlens._native")]
pub struct Explanation {
    inner: Inner,
    photo: Arc<Photo>,
}

impl Explanation {
    pub fn new(inner: Inner, photo: Arc<Photo>) -> Self {
        Self { inner, photo }
    }

    fn map(&self, class: usize) -> Result<&ExplainedMap> {
        let count = self.inner.maps.len();
        self.inner.maps.get(class).ok_or_else(|| Error::argument("class", format!("there is none {class} of {count}")))
    }
}

#[pymethods]
impl Explanation {
    /// Everything but the arrays, as JSON.
    fn info(&self) -> String {
        let explanation = &self.inner;
        let found: Vec<_> = explanation.maps.iter().map(|map| map.localisation.as_ref()).collect();
        let boxes = found.iter().map(|l| l.map(|l| [l.bounds.x0, l.bounds.y0, l.bounds.x1, l.bounds.y1]));
        let peaks = found.iter().map(|l| l.map(|l| l.peak));
        json!({
            "classes": explanation.classes, "predicted": explanation.predicted, "form": explanation.form.name(),
            "score": explanation.score, "notes": explanation.notes, "target": explanation.target,
            "boxes": boxes.collect::<Vec<_>>(), "peaks": peaks.collect::<Vec<_>>(), "passes": explanation.passes,
            "timings": explanation.timings, "engine": explanation.engine,
            "size": [self.photo.width(), self.photo.height()],
        })
        .to_string()
    }

    /// The raw maps, `[classes, height, width]` at the resolution of the target layer.
    fn maps<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray3<f32>>> {
        let maps = &self.inner.maps;
        let (height, width) = maps.first().map_or((0, 0), |m| (m.map.height, m.map.width));
        let values: Vec<f32> = maps.iter().flat_map(|m| m.map.data.iter().copied()).collect();
        shaped(py, Array3::from_shape_vec((maps.len(), height, width), values)).map(|a| a.into_pyarray(py))
    }

    /// What each channel adds to the score of each class, `[classes, channels]`.
    fn contributions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        rows(py, &self.inner.contributions)
    }

    /// What the activation maps were multiplied with, `[classes, channels]`.
    fn weights<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        rows(py, &self.inner.weights)
    }

    /// The map of a class over the photo, 0 (its least value) to 1: `[height, width]` of the photo.
    fn upsampled<'py>(&self, py: Python<'py>, class: usize) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let made = py.detach(|| {
            let (width, height) = self.photo.size();
            let view = self.map(class)?.map.view()?;
            let mut values = Array2::zeros((height as usize, width as usize));
            let mut upsampler = Upsampler::pixels(&view, width, height);
            let (columns, rows) = (upsampler.columns(), upsampler.rows());
            for y in rows.clone() {
                let row = upsampler.row(y - rows.start);
                columns.clone().zip(row).for_each(|(x, &value)| values[[y, x]] = value);
            }
            Ok(values)
        });
        made.map(|values| values.into_pyarray(py)).map_err(|error: Error| raised(py, &error))
    }

    /// The photo under the map of a class: `[height, width, 3]` of bytes.
    fn overlay<'py>(
        &self,
        py: Python<'py>,
        class: usize,
        colormap: &str,
        opacity: f32,
    ) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let painted = py.detach(|| {
            let style = Style { colors: colormap.parse()?, opacity, ..Style::default() };
            overlay::compose(&self.photo, &self.map(class)?.map.view()?, &style)
        });
        let painted = painted.map_err(|error: Error| raised(py, &error))?;
        let (width, height) = painted.size();
        let shape = (height as usize, width as usize, 3);
        shaped(py, Array3::from_shape_vec(shape, painted.rgb().to_vec())).map(|a| a.into_pyarray(py))
    }
}

fn rows<'py>(py: Python<'py>, rows: &[Vec<f32>]) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let columns = rows.first().map_or(0, Vec::len);
    shaped(py, Array2::from_shape_vec((rows.len(), columns), rows.concat())).map(|a| a.into_pyarray(py))
}

fn shaped<A>(py: Python<'_>, array: std::result::Result<A, numpy::ndarray::ShapeError>) -> PyResult<A> {
    array.map_err(|e| raised(py, &Error::argument("maps", e.to_string())))
}
