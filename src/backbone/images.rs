//! The images in play: what the network reads, and what it gave.

use std::sync::Arc;

use super::{Backbone, EngineKind};
use crate::engine::{Features, Pooled, Pooling};
use crate::error::{Error, Result};
use crate::image::{Geometry, Photo, Rect, denormalise, normalise, prepare, resize, scale};
use crate::tensor::Tensor;

/// Names one image of a [`Backbone`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, serde::Serialize)]
pub struct ImageId(pub u32);

/// One image: the network's input and its results.
pub(crate) struct Image {
    pub name: String,
    /// The normalised input `[1, 3, H, W]`.
    pub input: Tensor,
    pub geometry: Geometry,
    /// What each layer gave.
    pub(super) layers: Vec<LayerFeatures>,
    /// The input of the class-specific forms, where it is another one.
    pub(super) cell_input: Option<CellInput>,
    /// What the layers of the class-specific forms gave.
    pub(super) cells: Option<CellFeatures>,
    /// Only if photos are kept: a further scale is then made from it.
    pub photo: Option<Photo>,
}

/// Activation maps and embedding of one image at one layer, on one engine.
#[derive(Clone)]
pub(super) struct LayerFeatures {
    pub layer: String,
    pub engine: EngineKind,
    pub maps: Features,
    /// Under the model's own pooling.
    pub embedding: Arc<[f32]>,
    /// Milliseconds of the forward pass.
    pub milliseconds: f64,
    /// What other poolings have given.
    pub pooled: Vec<(Pooling, Arc<[f32]>)>,
}

/// A second look at an image, for forms whose input has another size than the model's.
///
/// It is kept as 8-bit pixels (307 kB at 320 x 320, beside the 602 kB of the model's own input), made when the image is
/// added, because the photo itself is not kept. Models without a class-specific input of their own keep none.
pub(super) struct CellInput {
    pub pixels: Photo,
    pub geometry: Geometry,
}

/// Activation maps of the class-specific layers of one image, on one engine, and their pooled cells.
#[derive(Clone)]
pub(super) struct CellFeatures {
    pub engine: EngineKind,
    pub maps: Arc<[Features]>,
    pub pooled: Arc<[Pooled]>,
}

impl Image {
    /// Forgets what was computed on engines that do not count any more.
    pub(super) fn keep_what(&mut self, counts: impl Fn(EngineKind) -> bool) {
        self.layers.retain(|known| counts(known.engine));
        self.cells.take_if(|known| !counts(known.engine));
    }

    /// How the image lies in the input of the class-specific forms.
    pub fn cell_geometry(&self) -> &Geometry {
        self.cell_input.as_ref().map_or(&self.geometry, |input| &input.geometry)
    }

    /// Whether the class-specific forms read another input than the model.
    pub fn has_cell_input(&self) -> bool {
        self.cell_input.is_some()
    }
}

impl Backbone {
    /// Prepares an image for the model and keeps it. It keeps the photo itself only after [`Backbone::keep_photos`].
    ///
    /// # Errors
    /// [`Error::Argument`] if the photo's shape does not fit the model's input.
    pub fn add_image(&mut self, name: &str, photo: &Photo) -> Result<ImageId> {
        let geometry = self.model.geometry(photo.width(), photo.height())?;
        let input = prepare(photo, &geometry, &self.model.manifest().normalization())?;
        let (name, cell_input) = (name.to_owned(), self.cell_input(photo)?);
        let photo = self.keep_photos.then(|| photo.clone());
        Ok(self.keep(Image { name, input, geometry, layers: Vec::new(), cell_input, cells: None, photo }))
    }

    /// Keeps an image that lies like another one and has a changed input `[1, 3, H, W]`.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id or an input of another shape.
    pub(crate) fn add_changed(&mut self, like: ImageId, input: Tensor) -> Result<ImageId> {
        let image = self.image(like)?;
        let (name, geometry) = (image.name.clone(), image.geometry);
        let cell_input = self.cell_input_like(like, &input)?;
        Ok(self.keep(Image { name, input, geometry, layers: Vec::new(), cell_input, cells: None, photo: None }))
    }

    pub(super) fn keep(&mut self, image: Image) -> ImageId {
        let id = ImageId(self.next_id);
        self.next_id += 1;
        self.images.insert(id, image);
        id
    }

    /// Forgets an image. Unknown ids are ignored.
    pub fn remove_image(&mut self, id: ImageId) {
        self.images.remove(&id);
        self.tails.forget(id);
    }

    /// Whether images added from now on keep their photo, so that a further scale is made from it and not from the
    /// prepared input. It costs three bytes a pixel for each image.
    pub fn keep_photos(&mut self, keep: bool) {
        self.keep_photos = keep;
    }

    /// An image.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id.
    pub(crate) fn image(&self, id: ImageId) -> Result<&Image> {
        self.images.get(&id).ok_or_else(|| unknown(id))
    }

    pub(super) fn image_mut(&mut self, id: ImageId) -> Result<&mut Image> {
        self.images.get_mut(&id).ok_or_else(|| unknown(id))
    }

    /// Every image there is, in no order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ImageId> {
        self.images.keys().copied()
    }

    /// How many images the network has been run on.
    pub(crate) fn computed_images(&self) -> usize {
        self.images.values().filter(|image| !image.layers.is_empty()).count()
    }

    /// The second input of a photo, if the model has one.
    fn cell_input(&self, photo: &Photo) -> Result<Option<CellInput>> {
        let size = self.model.cell_look().size;
        if size == self.model.manifest().input.size {
            return Ok(None);
        }
        let geometry = self.model.geometry_of_size(size, photo.width(), photo.height())?;
        Ok(Some(CellInput { pixels: resize(photo, &geometry)?, geometry }))
    }

    /// The second input of an image of which only a changed first input is there: that input, scaled.
    fn cell_input_like(&self, like: ImageId, input: &Tensor) -> Result<Option<CellInput>> {
        let image = self.image(like)?;
        let Some(second) = &image.cell_input else { return Ok(None) };
        let pixels = denormalise(input, &image.geometry, &self.model.manifest().normalization())?;
        let whole = Rect::new(0.0, 0.0, pixels.width().into(), pixels.height().into());
        let (width, height) = second.pixels.size();
        Ok(Some(CellInput { pixels: scale(&pixels, &whole, width, height)?, geometry: second.geometry }))
    }

    /// An image's kept pixels at the largest size there is, padding left out: what a mosaic is made of.
    pub(crate) fn kept_pixels(&self, id: ImageId) -> Result<Photo> {
        let image = self.image(id)?;
        match &image.cell_input {
            Some(input) => Ok(input.pixels.clone()),
            None => denormalise(&image.input, &image.geometry, &self.model.manifest().normalization()),
        }
    }

    /// An image as the class-specific layers see it.
    pub(crate) fn cell_tensor(&self, id: ImageId) -> Result<Tensor> {
        let image = self.image(id)?;
        match &image.cell_input {
            Some(second) => normalise(&second.pixels, &second.geometry, &self.model.manifest().normalization()),
            None => Ok(image.input.clone()),
        }
    }
}

pub(super) fn unknown(id: ImageId) -> Error {
    Error::argument("image", format!("there is no image {}; it may have been removed", id.0))
}
