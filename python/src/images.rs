//! Images as Python gives them.

use std::path::PathBuf;

use famlens::image::{Limits, Photo, decode};
use famlens::{Error, Result};
use numpy::{PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

/// What stands for an image: `height x width x 3` pixels, an encoded file's bytes, or a path.
#[derive(FromPyObject)]
pub enum Data<'py> {
    Pixels(PyReadonlyArray3<'py, u8>),
    Bytes(PyBackedBytes),
    Path(PathBuf),
}

/// The same, apart from Python's memory.
pub enum Source {
    Photo(Photo),
    Bytes(Vec<u8>),
    Path(PathBuf),
}

/// An image and what it is called.
pub struct Image {
    pub name: String,
    source: Source,
}

impl Image {
    /// Takes an image out of Python's memory.
    ///
    /// # Errors
    /// [`Error::Argument`] for pixels of another shape.
    pub fn new(name: String, data: Data<'_>) -> Result<Self> {
        let source = match data {
            Data::Path(path) => Source::Path(path),
            Data::Bytes(bytes) => Source::Bytes(bytes.to_vec()),
            Data::Pixels(pixels) => {
                let [height, width, channels] = [pixels.shape()[0], pixels.shape()[1], pixels.shape()[2]];
                let side = |side: usize| u32::try_from(side).map_err(|_| Error::image(&name, "it is too large"));
                if channels != 3 {
                    return Err(Error::image(&name, format!("{channels} values a pixel, and RGB has 3")));
                }
                let rgb = pixels.as_array().iter().copied().collect();
                Source::Photo(Photo::from_rgb(side(width)?, side(height)?, rgb)?)
            }
        };
        Ok(Self { name, source })
    }

    /// The decoded photo.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Image`] that names the image.
    pub fn photo(self) -> Result<Photo> {
        match self.source {
            Source::Photo(photo) => Ok(photo),
            Source::Bytes(bytes) => decode(&self.name, &bytes, &Limits::default()),
            Source::Path(path) => {
                let failed = |e: std::io::Error| Error::File { path: self.name.clone(), reason: e.to_string() };
                decode(&self.name, &std::fs::read(&path).map_err(failed)?, &Limits::default())
            }
        }
    }
}
