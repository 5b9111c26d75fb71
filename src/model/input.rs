//! The part of `model.json` about the model's input.

use serde::{Deserialize, Serialize};

use crate::image::{GeometryMode, InputSize};

/// Most pixels of a side of an input.
pub(super) const MOST_SIDE: u32 = 4096;

/// Input pixels a cell where `model.json` does not say it: those of most convolutional networks.
const USUAL_STRIDE: u32 = 32;

/// How a photo becomes the model's input.
///
/// In `model.json`, a square input has one number, `"size": 224`. A rectangle has two, `"height": 256, "width": 128`.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// Subtracted from each of R, G, B, in 0..255 units.
    pub mean: [f32; 3],
    /// What the difference is divided by, in 0..255 units.
    pub std: [f32; 3],
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
    mean: [f32; 3],
    std: [f32; 3],
}

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
        let Written { size, stride, geometry, mean, std } = written;
        let size = size.read().map_err(|reason| format!("\"input\": {reason}"))?.unwrap_or_default();
        let usual = if size.is_known() { USUAL_STRIDE.min(size.shorter()) } else { USUAL_STRIDE };
        Ok(Self { size, stride: stride.unwrap_or(usual) as usize, geometry, mean, std })
    }
}

impl From<InputSpec> for Written {
    fn from(spec: InputSpec) -> Self {
        let InputSpec { size, stride, geometry, mean, std } = spec;
        Self { size: size.is_known().then_some(size).into(), stride: Some(stride as u32), geometry, mean, std }
    }
}

impl InputSpec {
    /// What is wrong with the numbers, if anything.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.size.is_known() || self.stride == 0 {
            self.check_size("input", self.size)?;
        }
        match self.std.iter().any(|s| !s.is_finite() || *s == 0.0) {
            true => Err(format!("\"input\": std {:?} must be finite and not zero", self.std)),
            false => Ok(()),
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

    /// The words by which galleries and the page know one way of feeding a model from another.
    pub(crate) fn words(&self) -> String {
        let Self { size, geometry, mean, std, .. } = self;
        format!("{} {geometry} mean {mean:?} std {std:?}", size.short())
    }
}
