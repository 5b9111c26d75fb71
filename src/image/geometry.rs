//! Which part of a photo the network sees, at what size, and the way between photo, input and map coordinates.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InputSize;
use crate::error::{Error, Result};

/// How a photo becomes the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GeometryMode {
    /// The whole photo, stretched to the input.
    #[default]
    Squash,
    /// The largest centred part of the photo that has the input's proportions.
    Crop,
    /// The whole photo in its proportions, centred on the input, with the mean colour around it.
    Letterbox,
    /// The whole photo on an input of about the photo's proportions and about the usual input's area, each side a
    /// multiple of the network's stride. Needs a network with free height and width.
    Aspect,
}

impl GeometryMode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Squash, Self::Crop, Self::Letterbox, Self::Aspect];

    /// The name that `model.json` and the command line use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Squash => "squash",
            Self::Crop => "crop",
            Self::Letterbox => "letterbox",
            Self::Aspect => "aspect",
        }
    }
}

impl fmt::Display for GeometryMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for GeometryMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name() == name)
            .ok_or_else(|| Error::argument("geometry", format!("{name:?} is none of squash, crop, letterbox, aspect")))
    }
}

/// An axis-aligned rectangle, x to the right and y down; `x1` and `y1` are exclusive. Serialised as `[x0, y0, x1, y1]`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "[f64; 4]", into = "[f64; 4]")]
pub struct Rect {
    /// Left edge.
    pub x0: f64,
    /// Top edge.
    pub y0: f64,
    /// Right edge, exclusive.
    pub x1: f64,
    /// Bottom edge, exclusive.
    pub y1: f64,
}

impl Rect {
    /// A rectangle from its edges.
    pub fn new(x0: f64, y0: f64, x1: f64, y1: f64) -> Self {
        Self { x0, y0, x1, y1 }
    }

    /// Width, 0 where the edges are the wrong way round.
    pub fn width(&self) -> f64 {
        (self.x1 - self.x0).max(0.0)
    }

    /// Height, 0 where the edges are the wrong way round.
    pub fn height(&self) -> f64 {
        (self.y1 - self.y0).max(0.0)
    }

    /// Area in square pixels.
    pub fn area(&self) -> f64 {
        self.width() * self.height()
    }

    /// Whether a point lies inside; the left and top edges belong to the rectangle, the others do not.
    pub fn contains(&self, x: f64, y: f64) -> bool {
        (self.x0..self.x1).contains(&x) && (self.y0..self.y1).contains(&y)
    }

    /// The common part of two rectangles; of area 0 where there is none.
    pub fn intersection(&self, other: &Self) -> Self {
        let (x0, y0) = (self.x0.max(other.x0), self.y0.max(other.y0));
        Self { x0, y0, x1: self.x1.min(other.x1).max(x0), y1: self.y1.min(other.y1).max(y0) }
    }
}

impl From<[f64; 4]> for Rect {
    fn from([x0, y0, x1, y1]: [f64; 4]) -> Self {
        Self { x0, y0, x1, y1 }
    }
}

impl From<Rect> for [f64; 4] {
    fn from(r: Rect) -> Self {
        [r.x0, r.y0, r.x1, r.y1]
    }
}

/// Largest side of an input that makes sense to anyone; beyond it a typing error is likelier than a wish.
const MAX_INPUT_SIDE: u32 = 8192;

/// How one photo lies on the network's input: a rectangle of the photo is scaled onto a rectangle of the input.
///
/// Coordinates are continuous with the origin at the top left corner, so the centre of the first pixel is (0.5, 0.5).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    mode: GeometryMode,
    photo: (u32, u32),
    input: (u32, u32),
    /// What is taken of the photo, in its pixels.
    source: Rect,
    /// Where it lands on the input: whole pixels.
    target: [u32; 4],
}

impl Geometry {
    /// The geometry of a photo of `photo_size` (width, height) for a network whose input has that size, in pixels, and
    /// whose feature maps are `stride` times smaller. The stride matters to [`GeometryMode::Aspect`] only.
    ///
    /// ```
    /// use famlens::image::{Geometry, GeometryMode};
    ///
    /// let geometry = Geometry::new(GeometryMode::Crop, (300, 200), 100, 32)?;
    /// assert_eq!(geometry.to_photo(0.0, 0.0), (50.0, 0.0));
    /// assert_eq!(geometry.to_photo(100.0, 100.0), (250.0, 200.0));
    /// # Ok::<(), famlens::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] if a size is zero, a side of the input is over 8192 or the stride is longer than one.
    pub fn new(mode: GeometryMode, photo_size: (u32, u32), input: impl Into<InputSize>, stride: u32) -> Result<Self> {
        let ((w, h), size) = (photo_size, input.into());
        if w == 0 || h == 0 {
            return Err(Error::argument("photo size", format!("{w} x {h} pixels have no content")));
        }
        if !size.is_known() || size.longer() > MAX_INPUT_SIDE {
            return Err(Error::argument("input size", format!("{size} is not within 1 to {MAX_INPUT_SIDE}")));
        }
        if !(1..=size.shorter()).contains(&stride) {
            return Err(Error::argument("stride", format!("{stride} is not within 1 and the input size {size}")));
        }
        let whole = Rect::new(0.0, 0.0, f64::from(w), f64::from(h));
        let full = [0, 0, size.width, size.height];
        // How many input pixels a photo pixel would take along each axis.
        let (across, down) = (f64::from(size.width) / f64::from(w), f64::from(size.height) / f64::from(h));
        let (input, source, target) = match mode {
            GeometryMode::Squash => (size, whole, full),
            GeometryMode::Crop => {
                let part = |side: u32, of: u32, other: u32| f64::from(side) * f64::from(of) / f64::from(other);
                let (cw, ch) = match across > down {
                    true => (whole.x1, part(w, size.height, size.width)),
                    false => (part(h, size.width, size.height), whole.y1),
                };
                let (x, y) = ((whole.x1 - cw) / 2.0, (whole.y1 - ch) / 2.0);
                (size, Rect::new(x, y, x + cw, y + ch), full)
            }
            GeometryMode::Letterbox => {
                let scale = across.min(down);
                let fit = |n: u32, most: u32| ((f64::from(n) * scale).round() as u32).clamp(1, most);
                let (cw, ch) = (fit(w, size.width), fit(h, size.height));
                let (x, y) = ((size.width - cw) / 2, (size.height - ch) / 2);
                (size, whole, [x, y, x + cw, y + ch])
            }
            GeometryMode::Aspect => {
                let (width, height) = aspect_size(w, h, size, stride);
                (InputSize { width, height }, whole, [0, 0, width, height])
            }
        };
        Ok(Self { mode, photo: photo_size, input: input.across(), source, target })
    }

    /// A part of a photo, stretched to an input of `input` pixels (width, height): what a second look sees.
    ///
    /// # Errors
    /// [`Error::Argument`] for sizes as in [`Geometry::new`], or a part that is empty or reaches outside the photo.
    pub(crate) fn part(photo_size: (u32, u32), part: Rect, input: (u32, u32)) -> Result<Self> {
        let whole = Rect::new(0.0, 0.0, f64::from(photo_size.0), f64::from(photo_size.1));
        let inside = part.x0 >= 0.0 && part.y0 >= 0.0 && part.x1 <= whole.x1 && part.y1 <= whole.y1;
        if !inside || part.width() <= 0.0 || part.height() <= 0.0 {
            return Err(Error::argument("part", format!("{part:?} is empty or reaches outside {whole:?}")));
        }
        let square = Self::new(GeometryMode::Squash, photo_size, input.0.max(input.1), 1)?;
        Ok(Self { input, source: part, target: [0, 0, input.0, input.1], ..square })
    }

    /// The centre of a photo whose shorter side was first scaled to so many pixels: torchvision's `Resize(shorter)`,
    /// `CenterCrop(input)`. Where the scaled photo is smaller than the input, it lies in the middle.
    ///
    /// ```
    /// use famlens::image::Geometry;
    ///
    /// let geometry = Geometry::centre((512, 1024), 224, 256)?;
    /// assert_eq!(geometry.covered().y0, 288.0);
    /// # Ok::<(), famlens::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Geometry::new`], and if the shorter side is not within 1 to 8192.
    pub fn centre(photo: (u32, u32), input: impl Into<InputSize>, shorter: u32) -> Result<Self> {
        let mut geometry = Self::new(GeometryMode::Crop, photo, input, 1)?;
        if !(1..=MAX_INPUT_SIDE).contains(&shorter) {
            return Err(Error::argument("resize", format!("{shorter} is not within 1 to {MAX_INPUT_SIDE}")));
        }
        let (least, (width, height)) = (photo.0.min(photo.1), geometry.input);
        let axis = |side: u32, input: u32| {
            let scaled = match side == least {
                true => u64::from(shorter),
                false => u64::from(shorter) * u64::from(side) / u64::from(least),
            };
            // A photo that is cut, or one that lies in the middle.
            let cut = scaled.saturating_sub(u64::from(input)) as f64 / 2.0;
            let seen = scaled.min(u64::from(input));
            let from = (u64::from(input) - seen) / 2;
            let photo_pixels = f64::from(side) / scaled as f64;
            let first = cut.round_ties_even() * photo_pixels;
            let last = (first + seen as f64 * photo_pixels).min(f64::from(side));
            ([first, last], [from as u32, (from + seen) as u32])
        };
        let (([x0, x1], [left, right]), ([y0, y1], [top, bottom])) = (axis(photo.0, width), axis(photo.1, height));
        (geometry.source, geometry.target) = (Rect::new(x0, y0, x1, y1), [left, top, right, bottom]);
        Ok(geometry)
    }

    /// The mode.
    pub fn mode(&self) -> GeometryMode {
        self.mode
    }

    /// `(width, height)` of the photo in pixels.
    pub fn photo_size(&self) -> (u32, u32) {
        self.photo
    }

    /// `(width, height)` of the network's input in pixels.
    pub fn input_size(&self) -> (u32, u32) {
        self.input
    }

    /// The part of the photo that the network sees, in photo pixels.
    pub fn covered(&self) -> Rect {
        self.source
    }

    /// Where that part lies on the input: `[x0, y0, x1, y1]` in whole input pixels, the last two exclusive.
    pub fn content(&self) -> [u32; 4] {
        self.target
    }

    /// From input pixels to photo pixels. Points of the padding give points outside the photo.
    pub fn to_photo(&self, x: f64, y: f64) -> (f64, f64) {
        let ([tx, ty, ..], (sx, sy)) = (self.target.map(f64::from), self.scale());
        (self.source.x0 + (x - tx) / sx, self.source.y0 + (y - ty) / sy)
    }

    /// From photo pixels to input pixels. Points that were cropped away give points outside the input.
    pub fn to_input(&self, x: f64, y: f64) -> (f64, f64) {
        let ([tx, ty, ..], (sx, sy)) = (self.target.map(f64::from), self.scale());
        (tx + (x - self.source.x0) * sx, ty + (y - self.source.y0) * sy)
    }

    /// From photo pixels to the cells of a map of `map_width` x `map_height` cells that covers the input evenly:
    /// column `i` spans `i` to `i + 1`.
    pub fn to_map(&self, map_width: usize, map_height: usize, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = self.to_input(x, y);
        (x * map_width as f64 / f64::from(self.input.0), y * map_height as f64 / f64::from(self.input.1))
    }

    /// From the cells of a map (column `i` spans `i` to `i + 1`) to photo pixels.
    pub fn map_to_photo(&self, map_width: usize, map_height: usize, x: f64, y: f64) -> (f64, f64) {
        self.to_photo(x * f64::from(self.input.0) / map_width as f64, y * f64::from(self.input.1) / map_height as f64)
    }

    /// What the cell in column `ix` and row `iy` of a `map_width` x `map_height` map covers of the photo, in photo
    /// pixels. A cell that lies in the padding has area 0. The rectangles of all cells tile [`Geometry::covered`].
    pub fn cell_rect(&self, map_width: usize, map_height: usize, ix: usize, iy: usize) -> Rect {
        let (x0, y0) = self.map_to_photo(map_width, map_height, ix as f64, iy as f64);
        let (x1, y1) = self.map_to_photo(map_width, map_height, (ix + 1) as f64, (iy + 1) as f64);
        let (x, y) =
            (|x: f64| x.clamp(self.source.x0, self.source.x1), |y: f64| y.clamp(self.source.y0, self.source.y1));
        Rect::new(x(x0), y(y0), x(x1), y(y1))
    }

    /// Input pixels a photo pixel, along each axis.
    fn scale(&self) -> (f64, f64) {
        let [x0, y0, x1, y1] = self.target.map(f64::from);
        ((x1 - x0) / self.source.width(), (y1 - y0) / self.source.height())
    }
}

/// Sides that are multiples of the stride, with about the area of the usual input and about the photo's proportions:
/// of the multiples just below and above the ideal sides, the pair with the least error in the two taken together.
fn aspect_size(w: u32, h: u32, size: InputSize, stride: u32) -> (u32, u32) {
    let (cells, aspect) = ((size.pixels() as f64).sqrt() / f64::from(stride), f64::from(w) / f64::from(h));
    // A very long photo would need a side shorter than the stride: at least one cell, and the area still bounds the
    // other.
    let most = (cells * cells).floor().max(1.0);
    let around = |ideal: f64| [ideal.floor(), ideal.ceil()].map(|n| n.clamp(1.0, most));
    let mut best = (f64::INFINITY, 1.0, 1.0);
    for nx in around(cells * aspect.sqrt()) {
        for ny in around(cells / aspect.sqrt()) {
            let error = (nx / ny / aspect).ln().abs() + (nx * ny / (cells * cells)).ln().abs();
            if error < best.0 {
                best = (error, nx, ny);
            }
        }
    }
    (best.1 as u32 * stride, best.2 as u32 * stride)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(mode: GeometryMode, photo: (u32, u32)) -> Geometry {
        Geometry::new(mode, photo, 224, 32).unwrap()
    }

    #[test]
    fn names_round_trip() {
        for mode in GeometryMode::ALL {
            assert_eq!(mode.to_string().parse::<GeometryMode>().unwrap(), mode);
            assert_eq!(serde_json::to_string(&mode).unwrap(), format!("\"{mode}\""));
        }
        assert!("Squash".parse::<GeometryMode>().is_err());
    }

    #[test]
    fn letterbox_centres_whole_pixels() {
        let g = geometry(GeometryMode::Letterbox, (768, 512));
        assert_eq!(g.content(), [0, 37, 224, 186]);
        assert_eq!(g.input_size(), (224, 224));
        assert_eq!(g.covered(), Rect::new(0.0, 0.0, 768.0, 512.0));
        assert_eq!(g.to_photo(0.0, 37.0), (0.0, 0.0));
        // The first row of cells lies half in the padding and the second one not at all.
        assert_eq!(g.cell_rect(7, 7, 0, 0).area(), 0.0);
        assert!(g.cell_rect(7, 7, 0, 1).height() < g.cell_rect(7, 7, 0, 2).height());
    }

    #[test]
    fn aspect_keeps_area_and_proportions_on_the_stride() {
        assert_eq!(geometry(GeometryMode::Aspect, (500, 500)).input_size(), (224, 224));
        assert_eq!(geometry(GeometryMode::Aspect, (768, 512)).input_size(), (288, 192));
        assert_eq!(geometry(GeometryMode::Aspect, (512, 768)).input_size(), (192, 288));
        assert_eq!(geometry(GeometryMode::Aspect, (1, 100_000)).input_size(), (32, 1568));
        assert_eq!(Geometry::new(GeometryMode::Aspect, (9, 1), 7, 7).unwrap().input_size(), (7, 7));
    }

    #[test]
    fn rectangles_keep_their_proportions() {
        let tall = InputSize { width: 128, height: 256 };
        let of = |mode, photo| Geometry::new(mode, photo, tall, 32).unwrap();
        let squash = of(GeometryMode::Squash, (60, 200));
        assert_eq!((squash.input_size(), squash.content()), ((128, 256), [0, 0, 128, 256]));
        assert_eq!(squash.to_photo(128.0, 256.0), (60.0, 200.0));
        // Four columns and eight rows of cells tile the photo.
        assert_eq!(squash.cell_rect(4, 8, 3, 7), Rect::new(45.0, 175.0, 60.0, 200.0));
        assert_eq!(of(GeometryMode::Crop, (400, 400)).covered(), Rect::new(100.0, 0.0, 300.0, 400.0));
        assert_eq!(of(GeometryMode::Crop, (100, 400)).covered(), Rect::new(0.0, 100.0, 100.0, 300.0));
        assert_eq!(of(GeometryMode::Letterbox, (400, 400)).content(), [0, 64, 128, 192]);
        assert_eq!(of(GeometryMode::Letterbox, (100, 400)).content(), [32, 0, 96, 256]);
        // 128 x 256 pixels are the area of a square of 181.
        assert_eq!(of(GeometryMode::Aspect, (500, 500)).input_size(), (192, 192));
        let wide = InputSize { width: 94, height: 24 };
        assert_eq!(Geometry::new(GeometryMode::Squash, (9, 9), wide, 24).unwrap().input_size(), (94, 24));
        assert!(Geometry::new(GeometryMode::Squash, (9, 9), wide, 32).is_err(), "a stride longer than a side");
    }

    #[test]
    fn a_centre_is_cut_as_torchvision_cuts_it() {
        // 500 x 375 scaled to 341 x 256; columns 58 (58.5 rounds to even) and rows 16 come first.
        let g = Geometry::centre((500, 375), 224, 256).unwrap();
        let (across, down) = (500.0 / 341.0, 375.0 / 256.0);
        assert_eq!(g.covered(), Rect::new(58.0 * across, 16.0 * down, 282.0 * across, 240.0 * down));
        assert_eq!(g.content(), [0, 0, 224, 224]);
        // Scaled to 100 x 100, and in the middle of an input of 60 x 140.
        let g = Geometry::centre((50, 50), InputSize { width: 60, height: 140 }, 100).unwrap();
        assert_eq!((g.covered(), g.content()), (Rect::new(10.0, 0.0, 40.0, 50.0), [0, 20, 60, 120]));
        assert!(Geometry::centre((50, 50), 60, 0).is_err());
    }

    #[test]
    fn bad_sizes_are_refused() {
        for (photo, side, stride) in [((0, 5), 224, 32), ((5, 0), 224, 32), ((5, 5), 0, 32), ((5, 5), 224, 0)] {
            assert!(Geometry::new(GeometryMode::Squash, photo, side, stride).is_err());
        }
        assert!(Geometry::new(GeometryMode::Squash, (5, 5), 10_000, 32).is_err());
        assert!(Geometry::new(GeometryMode::Squash, (5, 5), 16, 32).is_err());
    }

    #[test]
    fn rectangles_intersect_and_serialise_as_lists() {
        let (a, b) = (Rect::new(0.0, 0.0, 4.0, 4.0), Rect::new(2.0, 1.0, 9.0, 3.0));
        assert_eq!(a.intersection(&b), Rect::new(2.0, 1.0, 4.0, 3.0));
        assert_eq!(a.intersection(&Rect::new(5.0, 5.0, 6.0, 6.0)).area(), 0.0);
        assert!(a.contains(0.0, 3.9) && !a.contains(4.0, 1.0));
        assert_eq!(serde_json::to_string(&b).unwrap(), "[2.0,1.0,9.0,3.0]");
        assert_eq!(serde_json::from_str::<Rect>("[2,1,9,3]").unwrap(), b);
    }
}
