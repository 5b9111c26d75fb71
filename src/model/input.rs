//! The part of `model.json` about the model's input.

use serde::{Deserialize, Serialize};

use crate::error::Result as Checked;
use crate::image::{Channels, Geometry, GeometryMode, InputPixels, InputSize, Normalization, Triple};

/// Most pixels of a side of an input.
pub(super) const MOST_SIDE: u32 = 4096;

/// Input pixels a cell where `model.json` does not say it: those of most convolutional networks.
pub(super) const USUAL_STRIDE: u32 = 32;

/// Mean and deviation of ImageNet's photos.
const IMAGENET: Normalization = Normalization { mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] };

/// How a photo becomes the model's input.
///
/// In `model.json`, a square input has one number, `"size": 224`. A rectangle has two, `"height": 256, "width": 128`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct InputSpec {
    /// Size of the input in pixels (for `aspect`: that of the usual input, whose area others have too). Not known: the one
    /// that the ONNX file prescribes, 224 if it prescribes none; [`Model::new`](super::Model::new) fills it in.
    pub size: InputSize,
    /// Total stride of the backbone: sides of an `aspect` input are multiples of it. 32 or, if that is shorter, the
    /// input's shorter side, where `model.json` does not say it.
    pub stride: usize,
    /// How a photo of another shape is fitted.
    pub geometry: GeometryMode,
    /// Pixels to which a photo's shorter side is scaled before its centre is cut out (geometry `crop`); `None` for the
    /// largest centre.
    pub resize: Option<u32>,
    /// Red, green and blue around a photo that does not fill the input, 0 to 255; `None` for the mean.
    pub fill: Option<[f32; 3]>,
    /// What the channels hold; `None` until [`Model::new`](super::Model::new) knows it from their number.
    pub channels: Option<Channels>,
    /// Scale and offset of each channel, in 0..255 units, as `"mean"` and `"std"`. `None` where `model.json` leaves it to
    /// famlens: [`Model::new`](super::Model::new) then takes what the network's first nodes tell, or ImageNet's.
    pub normalization: Option<Normalization>,
    /// Name of the file's input whose layers are the model; it matters where the file has several images.
    pub name: Option<String>,
}

/// The fields as `model.json` has them.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(flatten)]
    size: WrittenSize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stride: Option<u32>,
    #[serde(default)]
    geometry: GeometryMode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resize: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fill: Option<Triple>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channels: Option<Channels>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mean: Option<Triple>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    std: Option<Triple>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// The names of these fields.
pub(super) const FIELDS: [&str; 11] =
    ["size", "height", "width", "stride", "geometry", "resize", "fill", "channels", "mean", "std", "name"];

/// A size as `model.json` has it: one side of a square, or both sides.
#[derive(Serialize, Deserialize, Default)]
struct WrittenSize {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
}

impl WrittenSize {
    fn read(&self) -> Result<Option<InputSize>, String> {
        match (self.size, self.height, self.width) {
            (None | Some(0), None, None) => Ok(None),
            (Some(side), None, None) => Ok(Some(InputSize::square(side))),
            (None, Some(height), Some(width)) => Ok(Some(InputSize { width, height })),
            (Some(_), ..) => Err("it has \"size\", the side of a square, and beside it \"height\" or \"width\"".into()),
            (None, Some(_), None) => Err("it has \"height\" without \"width\"".into()),
            (None, None, Some(_)) => Err("it has \"width\" without \"height\"".into()),
        }
    }
}

impl From<Option<InputSize>> for WrittenSize {
    fn from(size: Option<InputSize>) -> Self {
        match size {
            None => Self::default(),
            Some(size) if size.width == size.height => Self { size: Some(size.width), ..Self::default() },
            Some(size) => Self { height: Some(size.height), width: Some(size.width), size: None },
        }
    }
}

/// A size that may be absent, among the fields of another object.
pub(super) mod optional_size {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::{InputSize, WrittenSize};

    pub fn serialize<S: Serializer>(size: &Option<InputSize>, to: S) -> Result<S::Ok, S::Error> {
        WrittenSize::from(*size).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<InputSize>, D::Error> {
        WrittenSize::deserialize(from)?.read().map_err(D::Error::custom)
    }
}

impl TryFrom<Written> for InputSpec {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { size, stride, geometry, resize, fill, channels, mean, std, name } = written;
        let size = size.read().map_err(|reason| format!("\"input\": {reason}"))?.unwrap_or_default();
        let usual = if size.is_known() { USUAL_STRIDE.min(size.shorter()) } else { USUAL_STRIDE };
        let normalization = match (mean, std) {
            (None, None) => None,
            (Some(mean), Some(std)) => Some(Normalization { mean: mean.0, std: std.0 }),
            (Some(_), None) => return Err("\"input\": it has \"mean\" without \"std\"".into()),
            (None, Some(_)) => return Err("\"input\": it has \"std\" without \"mean\"".into()),
        };
        let (stride, fill) = (stride.unwrap_or(usual) as usize, fill.map(|fill| fill.0));
        Ok(Self { size, stride, geometry, resize, fill, channels, normalization, name })
    }
}

impl From<InputSpec> for Written {
    fn from(spec: InputSpec) -> Self {
        let InputSpec { size, stride, geometry, resize, fill, channels, normalization, name } = spec;
        Self {
            size: size.is_known().then_some(size).into(),
            stride: Some(stride as u32),
            geometry,
            resize,
            fill: fill.map(Triple),
            channels,
            mean: normalization.map(|n| Triple(n.mean)),
            std: normalization.map(|n| Triple(n.std)),
            name,
        }
    }
}

impl InputSpec {
    /// What is wrong with the numbers, if anything.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.size.is_known() || self.stride == 0 {
            self.check_size("input", self.size)?;
        }
        if self.resize.is_some() && self.geometry != GeometryMode::Crop {
            let geometry = self.geometry;
            return Err(format!("\"input\": \"resize\" goes with \"geometry\": \"crop\", not with {geometry:?}"));
        }
        if self.resize.is_some_and(|resize| !(1..=MOST_SIDE).contains(&resize)) {
            return Err(format!("\"input\": \"resize\" is not within 1 to {MOST_SIDE}"));
        }
        if let Some(fill) = self.fill.filter(|fill| !fill.iter().all(|level| (0.0..=255.0).contains(level))) {
            return Err(format!("\"input\": fill {fill:?} is not within 0 to 255"));
        }
        match self.normalization {
            Some(Normalization { std, .. }) if std.iter().any(|s| !s.is_finite() || *s == 0.0) => {
                Err(format!("\"input\": std {std:?} must be finite and not zero"))
            }
            _ => Ok(()),
        }
    }

    /// Whether an input of that size can be.
    pub(super) fn check_size(&self, field: &str, size: InputSize) -> Result<(), String> {
        let (least, most) = (self.stride.max(1), MOST_SIDE as usize);
        match (least..=most).contains(&(size.shorter() as usize)) && size.longer() <= MOST_SIDE && self.stride > 0 {
            true => Ok(()),
            false => {
                let short = size.short();
                Err(format!("{field:?}: size {short} with stride {} is not within 1 to {MOST_SIDE}", self.stride))
            }
        }
    }

    /// How pixels become values.
    pub fn pixels(&self) -> InputPixels {
        InputPixels {
            channels: self.channels.unwrap_or_default(),
            normalization: self.normalization.unwrap_or(IMAGENET),
            fill: self.fill,
        }
    }

    /// How a photo of that width and height lies on an input of that size.
    ///
    /// # Errors
    /// As [`Geometry::new`].
    pub fn fit(&self, size: InputSize, photo: (u32, u32)) -> Checked<Geometry> {
        match self.resize {
            // An input of another size sees the same part of the photo.
            Some(resize) if self.geometry == GeometryMode::Crop => {
                let scale = f64::from(size.shorter()) / f64::from(self.size.shorter().max(1));
                Geometry::centre(photo, size, (f64::from(resize) * scale).round() as u32)
            }
            _ => Geometry::new(self.geometry, photo, size, self.stride as u32),
        }
    }

    /// The words by which galleries and the page know one way of feeding a model from another.
    pub(crate) fn words(&self) -> String {
        let InputPixels { channels, normalization: Normalization { mean, std }, fill } = self.pixels();
        let mut words = format!("{} {} mean {mean:?} std {std:?}", self.size.short(), self.geometry);
        // What is as usual is not said, so that galleries of before stay readable.
        if let Some(resize) = self.resize {
            words += &format!(" resize {resize}");
        }
        if let Some(fill) = fill {
            words += &format!(" fill {fill:?}");
        }
        if channels != Channels::Rgb {
            words += &format!(" {channels}");
        }
        match &self.name {
            Some(name) => words + &format!(" input {name:?}"),
            None => words,
        }
    }
}
