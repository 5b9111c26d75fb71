//! The size of a network's input.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Sides of a network's input in pixels. Zero stands for a side that is not known yet.
///
/// ```
/// use famlens::image::InputSize;
///
/// let tall: InputSize = "256x128".parse()?;
/// assert_eq!((tall.height, tall.width), (256, 128));
/// assert_eq!(tall.to_string(), "256 x 128 (height x width)");
/// assert_eq!("224".parse::<InputSize>()?, InputSize::square(224));
/// # Ok::<(), famlens::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct InputSize {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl InputSize {
    /// A square.
    pub const fn square(side: u32) -> Self {
        Self { width: side, height: side }
    }

    /// Whether both sides are known.
    pub fn is_known(self) -> bool {
        self.width > 0 && self.height > 0
    }

    /// The shorter side.
    pub fn shorter(self) -> u32 {
        self.width.min(self.height)
    }

    /// The longer side.
    pub fn longer(self) -> u32 {
        self.width.max(self.height)
    }

    /// Number of pixels.
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// The same proportions with a longer side of so many pixels.
    pub fn with_longer(self, side: u32) -> Self {
        let longer = u64::from(self.longer().max(1));
        let part = |own: u32| ((u64::from(own) * u64::from(side) + longer / 2) / longer).max(1) as u32;
        Self { width: part(self.width), height: part(self.height) }
    }

    /// `(width, height)`, as photos have it.
    pub fn across(self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// `(height, width)`, as shapes have it.
    pub fn rows(self) -> (usize, usize) {
        (self.height as usize, self.width as usize)
    }

    /// What [`FromStr`] reads: `224`, or `256x128` for an input that is 256 high and 128 wide.
    pub fn short(self) -> String {
        match self.width == self.height {
            true => self.width.to_string(),
            false => format!("{}x{}", self.height, self.width),
        }
    }
}

impl From<u32> for InputSize {
    fn from(side: u32) -> Self {
        Self::square(side)
    }
}

impl fmt::Display for InputSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.width == self.height {
            true => write!(f, "{0} x {0}", self.width),
            false => write!(f, "{} x {} (height x width)", self.height, self.width),
        }
    }
}

impl FromStr for InputSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let reason = format!("{text:?} is no size; write one side as 224, or height and width as 256x128");
            Error::argument("size", reason)
        };
        let side = |text: &str| text.trim().parse::<u32>().ok().filter(|&side| side > 0).ok_or_else(wrong);
        match text.split_once(['x', 'X', '×']) {
            None => side(text).map(Self::square),
            Some((height, width)) => Ok(Self { width: side(width)?, height: side(height)? }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_trip_and_others_are_refused() {
        for size in [InputSize::square(1), InputSize::square(224), InputSize { width: 94, height: 24 }] {
            assert_eq!(size.short().parse::<InputSize>().unwrap(), size);
        }
        assert_eq!(InputSize { width: 128, height: 256 }.with_longer(320), InputSize { width: 160, height: 320 });
        for wrong in ["", "x", "0", "224x", "x224", "0x5", "-3", "224.5", "1x2x3"] {
            assert!(wrong.parse::<InputSize>().is_err_and(|e| e.to_string().contains(wrong)), "{wrong}");
        }
    }
}
