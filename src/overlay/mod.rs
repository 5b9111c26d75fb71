//! Raw map to picture: normalised, upsampled onto the photo, coloured, outlined.
//!
//! A [`MapView`] lays a raw map over its photo; [`render`] colours it, [`compose`] paints it on the photo,
//! [`contours`] outlines where it is over a threshold.

mod colors;
mod contour;
mod upsample;
mod view;

pub use colors::ColorMap;
pub use contour::contours;
pub use upsample::Upsampler;
pub use view::MapView;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::image::Photo;

/// How opaque the overlay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alpha {
    /// The same everywhere, so that colours can be compared across the photo.
    #[default]
    Constant,
    /// Proportional to the value, so that the photo stays clear where there is little evidence.
    Proportional,
}

/// How a map is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Style {
    /// Colour of each value.
    pub colors: ColorMap,
    /// How opacity depends on the value.
    pub alpha: Alpha,
    /// Opacity of the overlay, or of its highest value if it is proportional; 0 to 1.
    pub opacity: f32,
}

/// What a map without evidence lays over the photo.
const DIMMED: [u8; 4] = [0, 0, 0, 150];

impl Default for Style {
    fn default() -> Self {
        Self { colors: ColorMap::default(), alpha: Alpha::default(), opacity: 0.6 }
    }
}

impl Style {
    /// Colour and straight alpha of each of 256 levels from 0 to 1.
    fn table(&self) -> Result<[[u8; 4]; 256]> {
        if !(0.0..=1.0).contains(&self.opacity) {
            return Err(Error::argument("opacity", format!("{} is not within 0 and 1", self.opacity)));
        }
        let colors = self.colors.table();
        let full = self.opacity * 255.0;
        Ok(std::array::from_fn(|level| {
            let [r, g, b] = colors[level];
            let alpha = match self.alpha {
                Alpha::Constant => full,
                Alpha::Proportional => full * level as f32 / 255.0,
            };
            [r, g, b, alpha.round() as u8]
        }))
    }
}

/// Draws a map at `width` x `height` pixels, a picture of the whole photo at that size: RGBA with straight alpha,
/// row-major, as a browser's `ImageData` takes it. What the network did not see is transparent. A map that holds no
/// evidence ([`MapView::is_empty`]) darkens all that it saw: the photo is dimmed.
///
/// ```
/// use famlens::image::{Geometry, GeometryMode};
/// use famlens::overlay::{MapView, Style, render};
///
/// let geometry = Geometry::new(GeometryMode::Squash, (640, 480), 224, 32)?;
/// let map = [0.0, 0.1, 0.2, 0.9];
/// let rgba = render(&MapView::new(&map, 2, 2, &geometry)?, 320, 240, &Style::default())?;
/// assert_eq!(rgba.len(), 320 * 240 * 4);
/// # Ok::<(), famlens::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] if the opacity is not within 0 and 1 or the picture is larger than memory.
pub fn render(view: &MapView<'_>, width: u32, height: u32, style: &Style) -> Result<Vec<u8>> {
    let table = style.table()?;
    let mut rgba = vec![0; pixels(width, height)? * 4];
    let empty = view.is_empty();
    let color = |value| if empty { DIMMED } else { table[level(value)] };
    paint(view, (width, height), rgba.as_chunks_mut::<4>().0, |pixel, value| *pixel = color(value));
    Ok(rgba)
}

/// The photo with the map painted over it, at the photo's own size.
///
/// # Errors
/// [`Error::Argument`] if the map belongs to a photo of another size or the opacity is not within 0 and 1.
pub fn compose(photo: &Photo, view: &MapView<'_>, style: &Style) -> Result<Photo> {
    let (width, height) = photo.size();
    if view.geometry().photo_size() != (width, height) {
        let (w, h) = view.geometry().photo_size();
        return Err(Error::argument(
            "photo",
            format!("the map is of a photo of {w} x {h} pixels, not {width} x {height}"),
        ));
    }
    let table = style.table()?;
    let mut rgb = photo.rgb().to_vec();
    let empty = view.is_empty();
    paint(view, (width, height), rgb.as_chunks_mut::<3>().0, |pixel, value| {
        let [r, g, b, a] = if empty { DIMMED } else { table[level(value)] };
        for (below, above) in pixel.iter_mut().zip([r, g, b]) {
            let (p, c, a) = (u32::from(*below), u32::from(above), u32::from(a));
            *below = ((p * (255 - a) + c * a + 127) / 255) as u8;
        }
    });
    Photo::from_rgb(width, height, rgb)
}

/// Calls `draw` with every pixel that the network saw and the map's normalised value there.
fn paint<P>(view: &MapView<'_>, (width, height): (u32, u32), pixels: &mut [P], draw: impl Fn(&mut P, f32)) {
    if width == 0 || height == 0 {
        return;
    }
    let mut upsampler = Upsampler::pixels(view, width, height);
    let (columns, rows) = (upsampler.columns(), upsampler.rows());
    for (y, row) in pixels.chunks_exact_mut(width as usize).enumerate() {
        if rows.contains(&y) {
            let values = upsampler.row(y - rows.start);
            row.iter_mut().skip(columns.start).zip(values).for_each(|(pixel, &value)| draw(pixel, value));
        }
    }
}

/// Index into a table of 256; what is outside 0 to 1 saturates.
fn level(value: f32) -> usize {
    usize::from((value * 255.0 + 0.5) as u8)
}

fn pixels(width: u32, height: u32) -> Result<usize> {
    let count = u64::from(width) * u64::from(height);
    usize::try_from(count)
        .ok()
        .filter(|&n| n <= isize::MAX as usize / 4)
        .ok_or_else(|| Error::argument("picture size", format!("{width} x {height} pixels do not fit into memory")))
}
