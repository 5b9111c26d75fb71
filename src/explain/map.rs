//! The explanation map.

use crate::error::Result;
use crate::fam::Grid;
use crate::image::Geometry;
use crate::overlay::MapView;

/// An explanation map at the resolution of the target layer, with raw values. It is normalised only to be shown.
#[derive(Clone, Debug)]
pub struct Map {
    /// Raw values `sum_c w_c A_c`, row-major, `width * height` of them.
    pub data: Vec<f32>,
    /// Cells across.
    pub width: usize,
    /// Cells down.
    pub height: usize,
    /// Where the cells lie on the photo.
    pub geometry: Geometry,
}

impl Map {
    /// A grid of values with its place.
    pub(crate) fn new(Grid { width, height, data }: Grid, geometry: Geometry) -> Self {
        Self { data, width, height, geometry }
    }

    /// Width and height in pixels of the input that the map is of: an image may be looked at in more than one size.
    pub fn input_size(&self) -> (u32, u32) {
        self.geometry.input_size()
    }

    /// The map laid over its photo, to draw it or to measure it.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] if the number of values does not fit or one is not finite.
    pub fn view(&self) -> Result<MapView<'_>> {
        MapView::new(&self.data, self.width, self.height, &self.geometry)
    }
}
