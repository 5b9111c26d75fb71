//! Colour maps.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Colours for values from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColorMap {
    /// Black over red to pale yellow; perceptually uniform.
    #[default]
    Inferno,
    /// Black over purple to pale rose; perceptually uniform.
    Magma,
    /// Violet over green to yellow; perceptually uniform.
    Viridis,
    /// Blue to yellow; perceptually uniform, and the same to colour-blind eyes.
    Cividis,
    /// A rainbow whose lightness has no false edges; not perceptually uniform.
    Turbo,
    /// The rainbow of most CAM papers, for habit. Its yellow and cyan bands look like edges that the map does not have.
    Jet,
    /// Black to white.
    Grey,
}

impl ColorMap {
    /// Every colour map, the perceptually uniform ones first.
    pub const ALL: [Self; 7] =
        [Self::Inferno, Self::Magma, Self::Viridis, Self::Cividis, Self::Turbo, Self::Jet, Self::Grey];

    /// The name that the page and the command line use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inferno => "inferno",
            Self::Magma => "magma",
            Self::Viridis => "viridis",
            Self::Cividis => "cividis",
            Self::Turbo => "turbo",
            Self::Jet => "jet",
            Self::Grey => "grey",
        }
    }

    /// RGB at 256 evenly spaced values from 0 to 1; also what a legend shows.
    pub fn table(self) -> [[u8; 3]; 256] {
        let gradient = match self {
            Self::Inferno => colorous::INFERNO,
            Self::Magma => colorous::MAGMA,
            Self::Viridis => colorous::VIRIDIS,
            Self::Cividis => colorous::CIVIDIS,
            Self::Turbo => colorous::TURBO,
            Self::Jet => return std::array::from_fn(|level| jet(level as f32 / 255.0)),
            Self::Grey => return std::array::from_fn(|level| [level as u8; 3]),
        };
        std::array::from_fn(|level| gradient.eval_rational(level, 256).as_array())
    }
}

/// Three trapezoids, a quarter of the range apart.
fn jet(value: f32) -> [u8; 3] {
    [3.0, 2.0, 1.0].map(|centre| ((1.5 - (4.0 * value - centre).abs()).clamp(0.0, 1.0) * 255.0).round() as u8)
}

impl fmt::Display for ColorMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ColorMap {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|map| map.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::argument("colour map", format!("{name:?} is none of {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for map in ColorMap::ALL {
            assert_eq!(map.to_string().parse::<ColorMap>().unwrap(), map);
            assert_eq!(serde_json::to_string(&map).unwrap(), format!("\"{map}\""));
        }
        assert!("rainbow".parse::<ColorMap>().is_err());
    }

    #[test]
    fn uniform_maps_only_get_lighter() {
        for map in [ColorMap::Inferno, ColorMap::Magma, ColorMap::Viridis, ColorMap::Cividis, ColorMap::Grey] {
            let lightness =
                map.table().map(|[r, g, b]| 0.2126 * f32::from(r) + 0.7152 * f32::from(g) + 0.0722 * f32::from(b));
            assert!(lightness.windows(2).all(|pair| pair[1] > pair[0] - 1.0), "{map}");
            assert!(lightness[255] - lightness[0] > 150.0, "{map}");
        }
    }

    #[test]
    fn ends_are_the_known_colours() {
        assert_eq!((ColorMap::Inferno.table()[0], ColorMap::Inferno.table()[255]), ([0, 0, 4], [252, 255, 164]));
        assert_eq!((ColorMap::Viridis.table()[0], ColorMap::Viridis.table()[255]), ([68, 1, 84], [253, 231, 37]));
        let jet = ColorMap::Jet.table();
        assert_eq!((jet[0], jet[255]), ([0, 0, 128], [128, 0, 0]));
        assert_eq!(jet[128][1], 255);
    }
}
