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
    /// The photo with at most [`DETAIL`] pixels along its longer side, for a second look at a part of it; `None` where
    /// only an input is known.
    pub(super) detail: Option<Photo>,
}

/// Pixels of the longer side of what is kept of a photo for a second look. Its least part, 0.3 of a side, then has as
/// many pixels as most inputs; at 3 bytes a pixel that is at most 1.2 MB.
const DETAIL: u32 = 640;

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
        let input = prepare(photo, &geometry, self.model.manifest().pixels())?;
        let (name, cell_input) = (name.to_owned(), self.cell_input(photo)?);
        let detail = Some(detail(photo)?);
        let photo = self.keep_photos.then(|| photo.clone());
        Ok(self.keep(Image { name, input, geometry, layers: Vec::new(), cell_input, cells: None, photo, detail }))
    }

    /// Keeps an image that lies like another one and has a changed input `[1, 3, H, W]`.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id or an input of another shape.
    pub(crate) fn add_changed(&mut self, like: ImageId, input: Tensor) -> Result<ImageId> {
        let cell_input = self.cell_input_like(like, &input)?;
        self.keep_changed(like, input, cell_input)
    }

    /// Keeps an image that lies like another one, with inputs of its own.
    pub(super) fn keep_changed(
        &mut self,
        like: ImageId,
        input: Tensor,
        cell_input: Option<CellInput>,
    ) -> Result<ImageId> {
        let Image { name, geometry, .. } = self.image(like)?;
        let (name, geometry, layers) = (name.clone(), *geometry, Vec::new());
        Ok(self.keep(Image { name, input, geometry, layers, cell_input, cells: None, photo: None, detail: None }))
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
        let pixels = denormalise(input, &image.geometry, self.model.manifest().pixels())?;
        let whole = Rect::new(0.0, 0.0, pixels.width().into(), pixels.height().into());
        let (width, height) = second.pixels.size();
        Ok(Some(CellInput { pixels: scale(&pixels, &whole, width, height)?, geometry: second.geometry }))
    }

    /// An image's kept pixels at the largest size there is, padding left out: what a mosaic is made of.
    pub(crate) fn kept_pixels(&self, id: ImageId) -> Result<Photo> {
        let image = self.image(id)?;
        match &image.cell_input {
            Some(input) => Ok(input.pixels.clone()),
            None => denormalise(&image.input, &image.geometry, self.model.manifest().pixels()),
        }
    }

    /// A part of an image's photo as an input of that width and height, and how it lies there.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown id, or a part that is empty or reaches outside the photo.
    pub(crate) fn part(&self, id: ImageId, part: Rect, size: (u32, u32)) -> Result<(Tensor, Geometry)> {
        let image = self.image(id)?;
        let geometry = Geometry::part(image.geometry.photo_size(), part, size)?;
        // Of an image that only an input is known of, that input has the most detail.
        let (pixels, seen) = match (&image.detail, &image.cell_input) {
            (Some(detail), _) => (detail.clone(), None),
            (None, Some(second)) => (second.pixels.clone(), Some(second.geometry.covered())),
            (None, None) => {
                let normalization = self.model.manifest().pixels();
                (denormalise(&image.input, &image.geometry, normalization)?, Some(image.geometry.covered()))
            }
        };
        let (width, height) = image.geometry.photo_size();
        let seen = seen.unwrap_or(Rect::new(0.0, 0.0, width.into(), height.into()));
        let (sx, sy) = (f64::from(pixels.width()) / seen.width(), f64::from(pixels.height()) / seen.height());
        let fit = |v: f64, most: u32| v.clamp(0.0, most.into());
        let source = Rect::new(
            fit((part.x0 - seen.x0) * sx, pixels.width()),
            fit((part.y0 - seen.y0) * sy, pixels.height()),
            fit((part.x1 - seen.x0) * sx, pixels.width()),
            fit((part.y1 - seen.y0) * sy, pixels.height()),
        );
        let scaled = scale(&pixels, &source, size.0, size.1)?;
        Ok((normalise(&scaled, &geometry, self.model.manifest().pixels())?, geometry))
    }

    /// An image as the class-specific layers see it.
    pub(crate) fn cell_tensor(&self, id: ImageId) -> Result<Tensor> {
        let image = self.image(id)?;
        match &image.cell_input {
            Some(second) => normalise(&second.pixels, &second.geometry, self.model.manifest().pixels()),
            None => Ok(image.input.clone()),
        }
    }
}

/// The photo with at most [`DETAIL`] pixels along its longer side.
fn detail(photo: &Photo) -> Result<Photo> {
    let longer = photo.width().max(photo.height());
    if longer <= DETAIL {
        return Ok(photo.clone());
    }
    let side = |n: u32| ((f64::from(n) * f64::from(DETAIL) / f64::from(longer)).round() as u32).max(1);
    let whole = Rect::new(0.0, 0.0, photo.width().into(), photo.height().into());
    scale(photo, &whole, side(photo.width()), side(photo.height()))
}

pub(super) fn unknown(id: ImageId) -> Error {
    Error::argument("image", format!("there is no image {}; it may have been removed", id.0))
}
