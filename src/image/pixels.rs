//! What the channels of a network's input hold, and in which units.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::choice::choice;
use crate::error::{Error, Result};

/// What a network was trained to expect: `(value - mean) / std` for each channel, in units of 0 to 255, in the order in
/// which the network has its channels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalization {
    /// Mean of each channel, 0 to 255.
    pub mean: [f32; 3],
    /// Standard deviation of each channel, in the same units; not 0.
    pub std: [f32; 3],
}

/// The channels of a network's input, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Channels {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// Brightness alone.
    Grey,
    /// Red, green, blue, and how opaque a pixel is.
    Rgba,
}

choice!(Channels, "channels", {
    Rgb: "rgb", "Red, green, blue", "Three channels in the order in which most networks are trained.", "famlens", "";
    Bgr: "bgr", "Blue, green, red", "Three channels in the order of OpenCV and Caffe.", "famlens",
        "Mean and deviation are in this order too.";
    Grey: "grey", "Grey", "One channel, the brightness by ITU-R BT.601 as Pillow computes it.", "famlens", "";
    Rgba: "rgba", "Red, green, blue and opacity",
        "Four channels. Photos are laid on white first, so the fourth says that every pixel is opaque.", "famlens", "";
});

impl Channels {
    /// How many there are.
    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb | Self::Bgr => 3,
            Self::Rgba => 4,
        }
    }

    /// The usual channels of an input with so many, if there are usual ones.
    pub fn usual(count: usize) -> Option<Self> {
        [Self::Rgb, Self::Grey, Self::Rgba].into_iter().find(|channels| channels.count() == count)
    }
}

/// How pixels become the values of a network's input.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct InputPixels {
    /// What the channels hold.
    pub channels: Channels,
    /// Scale and offset of each. A single channel has the first of each; opacity goes from 0 to 1.
    pub normalization: Normalization,
    /// Red, green and blue of what is around a photo, 0 to 255; `None` for the mean, which becomes 0.
    pub fill: Option<[f32; 3]>,
}

impl From<&Normalization> for InputPixels {
    fn from(normalization: &Normalization) -> Self {
        Self { channels: Channels::Rgb, normalization: *normalization, fill: None }
    }
}

impl From<&InputPixels> for InputPixels {
    fn from(pixels: &InputPixels) -> Self {
        *pixels
    }
}

/// Which of red, green and blue a channel is, or what else it holds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Plane {
    /// The place of a colour among red, green and blue.
    Color(usize),
    Brightness,
    Opacity,
}

impl InputPixels {
    pub(super) fn check(&self) -> Result<()> {
        let Normalization { mean, std } = self.normalization;
        let fill = self.fill.unwrap_or_default();
        if mean.iter().chain(&fill).any(|m| !m.is_finite()) || std.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            let reason = format!("means {mean:?} and deviations {std:?} must be finite, the latter over 0");
            return Err(Error::argument("normalization", reason));
        }
        Ok(())
    }

    /// What each channel holds, with its mean and deviation.
    pub(super) fn planes(&self) -> impl Iterator<Item = (Plane, f32, f32)> {
        let Normalization { mean, std } = self.normalization;
        (0..self.channels.count()).map(move |place| match self.channels {
            Channels::Grey => (Plane::Brightness, mean[0], std[0]),
            Channels::Bgr => (Plane::Color(2 - place), mean[place], std[place]),
            _ if place == 3 => (Plane::Opacity, 0.0, 255.0),
            _ => (Plane::Color(place), mean[place], std[place]),
        })
    }

    /// The value of each channel where a picture is evenly grey, at a level of 0 to 255.
    pub fn even(&self, level: f32) -> Vec<f32> {
        let value = |(plane, mean, std): (Plane, f32, f32)| match plane {
            Plane::Opacity => 1.0,
            Plane::Color(_) | Plane::Brightness => (level - mean) / std,
        };
        self.planes().map(value).collect()
    }

    /// What is around a photo in a channel.
    pub(super) fn fill_of(&self, (plane, mean, std): (Plane, f32, f32)) -> f32 {
        match (plane, self.fill) {
            (Plane::Opacity, _) => 1.0,
            (_, None) => 0.0,
            (Plane::Color(color), Some(fill)) => (fill[color] - mean) / std,
            (Plane::Brightness, Some(fill)) => {
                let levels = fill.map(|level| level.round().clamp(0.0, 255.0) as u8);
                (f32::from(brightness(levels)) - mean) / std
            }
        }
    }
}

/// ITU-R BT.601 luma in 16-bit fixed point, to the level what Pillow's mode `L` is.
pub(super) fn brightness([r, g, b]: [u8; 3]) -> u8 {
    let sum = u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471;
    ((sum + 0x8000) >> 16) as u8
}

/// Three numbers in units of 0 to 255, one for each channel; one number stands for all three.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize, Serialize)]
#[serde(try_from = "OneOrThree", into = "OneOrThree")]
pub struct Triple(pub [f32; 3]);

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum OneOrThree {
    One(f32),
    Many(Vec<f32>),
}

impl TryFrom<OneOrThree> for Triple {
    type Error = String;

    fn try_from(written: OneOrThree) -> Result<Self, String> {
        match written {
            OneOrThree::One(value) => Ok(Self([value; 3])),
            OneOrThree::Many(values) => match *values.as_slice() {
                [value] => Ok(Self([value; 3])),
                [a, b, c] => Ok(Self([a, b, c])),
                _ => Err(format!("{values:?} is not one number or three")),
            },
        }
    }
}

impl From<Triple> for OneOrThree {
    fn from(triple: Triple) -> Self {
        Self::Many(triple.0.to_vec())
    }
}

impl FromStr for Triple {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers: Option<Vec<f32>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
        let wrong = || Error::argument("numbers", format!("{text:?} is not one number, or three joined by commas"));
        OneOrThree::Many(numbers.ok_or_else(wrong)?).try_into().map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brightness_is_pillows() {
        // Image.new("RGB", (1, 1), color).convert("L") in Pillow 13.
        for (color, level) in
            [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([12, 200, 99], 132), ([255; 3], 255)]
        {
            assert_eq!(brightness(color), level, "{color:?}");
        }
    }

    #[test]
    fn one_number_stands_for_three() {
        assert_eq!("127.5".parse::<Triple>().unwrap(), Triple([127.5; 3]));
        assert_eq!("1, 2,3".parse::<Triple>().unwrap(), Triple([1.0, 2.0, 3.0]));
        assert_eq!(serde_json::from_str::<Triple>("[7]").unwrap(), Triple([7.0; 3]));
        assert!("1,2".parse::<Triple>().is_err() && serde_json::from_str::<Triple>("[1, 2]").is_err());
    }
}
