//! Where a map is cut to find the object.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::overlay::{MapView, Upsampler};

/// The energy is summed on a grid of this many samples along the longer side of the photo. A map of a few cells has no
/// detail that a finer grid would find.
const SAMPLES: u32 = 160;

/// The part of a map that counts as the object.
///
/// As text and as JSON it is a number or `range:0.2` for a share of the range, and `energy:0.94` for a share of the
/// energy.
///
/// ```
/// use famlens::metrics::Threshold;
/// assert_eq!("0.2".parse::<Threshold>()?, Threshold::Range(0.2));
/// assert_eq!("energy:0.94".parse::<Threshold>()?.to_string(), "energy:0.94");
/// # Ok::<(), famlens::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Threshold {
    /// All values from this share of the range on, 0 to 1 (CAM, arXiv 1512.04150, which takes 20 %).
    Range(f32),
    /// The smallest region that holds this share of the map's energy, over 0 and at most 1. The energy is the positive
    /// part of the upsampled map. Where a form subtracts an offset, this is steadier than a share of the range
    /// (docs/results.md).
    Energy(f32),
}

impl Default for Threshold {
    /// The usual 20 % of the range.
    fn default() -> Self {
        Self::Range(0.2)
    }
}

impl From<f32> for Threshold {
    fn from(share: f32) -> Self {
        Self::Range(share)
    }
}

impl Threshold {
    /// The share of the range from which a value of this map counts, 0 to 1; `None` if the map holds no evidence: it is
    /// constant ([`MapView::is_constant`]), or a share of the energy is asked of a map without positive values.
    ///
    /// ```
    /// use famlens::image::{Geometry, GeometryMode};
    /// use famlens::metrics::Threshold;
    /// use famlens::overlay::MapView;
    /// let geometry = Geometry::new(GeometryMode::Squash, (60, 60), 96, 32)?;
    /// let view = MapView::new(&[0.0, 0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0], 3, 3, &geometry)?;
    /// assert_eq!(Threshold::Range(0.3).level(&view)?, Some(0.3));
    /// let [most, all] = [0.5, 1.0].map(|share| Threshold::Energy(share).level(&view).ok().flatten().unwrap_or(2.0));
    /// assert!(most > 0.4 && most < 0.8 && all < 0.01);
    /// # Ok::<(), famlens::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] if the share is outside its range.
    pub fn level(self, view: &MapView<'_>) -> Result<Option<f32>> {
        self.check()?;
        if view.is_constant() {
            return Ok(None);
        }
        match self {
            Self::Range(share) => Ok(Some(share)),
            Self::Energy(share) => Ok(energy_level(view, share)),
        }
    }

    /// Checks the share.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is outside its range.
    pub fn check(self) -> Result<()> {
        let wrong = |range: &str| Err(Error::argument("threshold", format!("{self} is not {range}")));
        match self {
            Self::Range(share) if !(0.0..=1.0).contains(&share) => wrong("within 0 and 1"),
            Self::Energy(share) if !(share > 0.0 && share <= 1.0) => wrong("over 0 and at most 1"),
            _ => Ok(()),
        }
    }

    /// In words, for tables and captions: "20 % of the range".
    pub fn in_words(self) -> String {
        let percent = |share: f32| format!("{} %", (f64::from(share) * 1000.0).round() / 10.0);
        match self {
            Self::Range(share) => format!("{} of the range", percent(share)),
            Self::Energy(share) => format!("{} of the energy", percent(share)),
        }
    }
}

/// The least value, as a share of the range, of the smallest region that holds this share of the energy.
fn energy_level(view: &MapView<'_>, share: f32) -> Option<f32> {
    let (min, max) = view.range();
    if max <= 0.0 {
        return None;
    }
    let (width, height) = view.geometry().photo_size();
    let shrink = (f64::from(width.max(height)) / f64::from(SAMPLES)).max(1.0);
    let [columns, rows] = [width, height].map(|side| ((f64::from(side) / shrink).round() as u32).max(1));
    let mut upsampler = Upsampler::pixels(view, columns, rows);
    // Of a share of the range: where the range begins below zero, values up to there have no energy; where it begins
    // above, its least value has some.
    let least = f64::from(min) / (f64::from(max) - f64::from(min));
    let energy = |value: f32| f64::from(value) + least;
    let mut values = Vec::with_capacity(columns as usize * rows as usize);
    for index in 0..upsampler.rows().len() {
        values.extend(upsampler.row(index).iter().copied().filter(|&value| energy(value) > 0.0));
    }
    values.sort_unstable_by(|a, b| b.total_cmp(a));
    let wanted = f64::from(share) * values.iter().map(|&value| energy(value)).sum::<f64>();
    let mut held = 0.0;
    let reached = |value: &f32| {
        held += energy(*value);
        held >= wanted
    };
    values.iter().copied().find(reached).or(values.last().copied())
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(share) => write!(f, "range:{share}"),
            Self::Energy(share) => write!(f, "energy:{share}"),
        }
    }
}

impl FromStr for Threshold {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            let reason = format!("{text:?} is neither a share of the range (0.2) nor of the energy (energy:0.94)");
            Error::argument("threshold", reason)
        };
        let threshold = match text.split_once(':') {
            None => Self::Range(text.trim().parse().map_err(|_| unknown())?),
            Some(("range", share)) => Self::Range(share.trim().parse().map_err(|_| unknown())?),
            Some(("energy", share)) => Self::Energy(share.trim().parse().map_err(|_| unknown())?),
            Some(_) => return Err(unknown()),
        };
        threshold.check()?;
        Ok(threshold)
    }
}

impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Share(f32),
            Text(String),
        }
        let threshold = match Given::deserialize(deserializer)? {
            Given::Share(share) => Ok(Self::Range(share)).and_then(|t: Self| t.check().map(|()| t)),
            Given::Text(text) => text.parse(),
        };
        threshold.map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Geometry, GeometryMode};

    fn level(map: &[f32], width: usize, threshold: Threshold) -> Option<f32> {
        let geometry = Geometry::new(GeometryMode::Squash, (120, 120), 96, 32).unwrap();
        threshold.level(&MapView::new(map, width, map.len() / width, &geometry).unwrap()).unwrap()
    }

    #[test]
    fn a_share_of_the_energy_is_that_share() {
        // From 0 to 1 along the columns: between the centres the upsampled map is a ramp.
        let map = [0.0, 1.0, 0.0, 1.0];
        let geometry = Geometry::new(GeometryMode::Squash, (120, 120), 96, 32).unwrap();
        let view = MapView::new(&map, 2, 2, &geometry).unwrap();
        for share in [0.6, 0.8, 0.94] {
            let level = Threshold::Energy(share).level(&view).unwrap().unwrap();
            let mut upsampler = Upsampler::pixels(&view, 120, 120);
            let (mut held, mut total) = (0.0, 0.0);
            for y in 0..120 {
                for &value in upsampler.row(y) {
                    total += value;
                    held += if value >= level { value } else { 0.0 };
                }
            }
            assert!(held / total >= share - 1e-4 && held / total < share + 0.03, "{share}: {}", held / total);
        }
    }

    #[test]
    fn a_higher_level_of_the_whole_map_asks_for_a_larger_region() {
        let lower = level(&[0.0, 1.0, 0.0, 1.0], 2, Threshold::Energy(0.8)).unwrap();
        let higher = level(&[9.0, 10.0, 9.0, 10.0], 2, Threshold::Energy(0.8)).unwrap();
        assert!(higher < lower, "{higher} {lower}");
        let negative = level(&[-1.0, 1.0, -1.0, 1.0], 2, Threshold::Energy(1.0)).unwrap();
        assert!(negative > 0.5, "what is negative has no energy: {negative}");
    }

    #[test]
    fn no_evidence_has_no_level() {
        assert_eq!(level(&[0.0; 4], 2, Threshold::Energy(0.9)), None);
        assert_eq!(level(&[3.0; 4], 2, Threshold::Range(0.2)), None);
        assert_eq!(level(&[-3.0, -1.0, -2.0, -2.0], 2, Threshold::Energy(0.9)), None);
        assert_eq!(level(&[-3.0, -1.0, -2.0, -2.0], 2, Threshold::Range(0.2)), Some(0.2));
    }

    #[test]
    fn text_and_json_say_what_is_meant() {
        assert_eq!("energy:0.9".parse::<Threshold>().unwrap(), Threshold::Energy(0.9));
        assert_eq!("range:0.3".parse::<Threshold>().unwrap(), Threshold::Range(0.3));
        let wrong = |text: &str| text.parse::<Threshold>().unwrap_err().to_string();
        assert!(wrong("energy:0").contains("over 0") && wrong("1.5").contains("within"));
        assert!(wrong("half").contains("energy:0.94") && wrong("mean:0.2").contains("energy:0.94"));
        assert_eq!(serde_json::from_str::<Threshold>("0.2").unwrap(), Threshold::Range(0.2));
        let text = serde_json::to_string(&Threshold::Energy(0.94)).unwrap();
        assert_eq!((text.as_str(), serde_json::from_str(&text).unwrap()), ("\"energy:0.94\"", Threshold::Energy(0.94)));
        assert_eq!(Threshold::Energy(0.94).in_words(), "94 % of the energy");
    }
}
