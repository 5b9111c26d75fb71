//! Images with a part covered.

use super::images::CellInput;
use super::{Backbone, ImageId};
use crate::error::Result;
use crate::image::{Cover, blurred, denormalise};
use crate::tensor::Tensor;

/// What a part of a photo is covered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CoverWith {
    /// Even grey.
    Grey,
    /// The photo itself, blurred until no detail is left.
    Blur,
    /// Another photo of the session, laid over this one.
    Photo(ImageId),
}

impl Backbone {
    /// Keeps an image that is another one with a part covered, at every size that is looked at. What is not covered is
    /// exactly that image.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for an unknown id, or another photo that is read in another shape.
    pub(crate) fn add_covered(&mut self, like: ImageId, cover: &Cover, with: CoverWith) -> Result<ImageId> {
        let norm = self.model.manifest().pixels();
        let levels = norm.even(127.5);
        let grey = |input: &Tensor| {
            let dims = input.shape().dims();
            let plane = dims.iter().skip(2).product::<usize>();
            let data = levels.iter().flat_map(|&value| vec![value; plane]).collect();
            Tensor::new(input.shape().clone(), data)
        };
        let image = self.image(like)?;
        let fill = match with {
            CoverWith::Grey => grey(&image.input)?,
            CoverWith::Blur => blurred(&image.input)?,
            CoverWith::Photo(other) => self.image(other)?.input.clone(),
        };
        let input = cover.laid_over(&image.input, &fill, &image.geometry)?;
        let cell_input = match &image.cell_input {
            None => None,
            Some(second) => {
                let seen = self.cell_tensor(like)?;
                let fill = match with {
                    CoverWith::Grey => grey(&seen)?,
                    CoverWith::Blur => blurred(&seen)?,
                    CoverWith::Photo(other) => self.cell_tensor(other)?,
                };
                let covered = cover.laid_over(&seen, &fill, &second.geometry)?;
                let pixels = denormalise(&covered, &second.geometry, norm)?;
                Some(CellInput { pixels, geometry: second.geometry })
            }
        };
        self.keep_changed(like, input, cell_input)
    }
}
