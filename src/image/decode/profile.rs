//! Colours of an embedded ICC profile to sRGB.
//!
//! moxcms reads the profile: its curves and primaries. The conversion itself is three look-ups, a matrix and three
//! look-ups more, written here, because the library's own weighs nine per cent of what the page loads (108 kB gzipped
//! against 19 kB), most of it for profiles that photos do not have.

use std::sync::OnceLock;

use moxcms::{ColorProfile, DataColorSpace};

/// A conversion to sRGB that changes something.
pub(super) struct Profile {
    /// Light of each level, 0 to 1, of red, green and blue.
    curves: [Box<[f32; 256]>; 3],
    /// From the profile's red, green and blue light to that of sRGB, row by row.
    matrix: [[f32; 3]; 3],
    encode: &'static [u8],
}

/// Steps of the table from light to levels: the darkest level of sRGB is 1/3295 of all light.
const STEPS: usize = 1 << 14;

impl Profile {
    /// `None` where nothing needs to change: the profile is sRGB (within a level), cannot be read, is for other
    /// channels than the picture's, or consists of tables alone.
    pub fn new(icc: &[u8], grey: bool) -> Option<Self> {
        let profile = ColorProfile::new_from_slice(icc).ok()?;
        let conversion = match profile.color_space {
            DataColorSpace::Gray if grey => {
                let curve = profile.build_gray_linearize_table::<u8, 256, 8>().ok()?;
                let identity = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
                Self { curves: [curve.clone(), curve.clone(), curve], matrix: identity, encode: encode() }
            }
            DataColorSpace::Rgb if !grey && profile.is_matrix_shaper() => Self {
                curves: [
                    profile.build_r_linearize_table::<u8, 256, 8>(false).ok()?,
                    profile.build_g_linearize_table::<u8, 256, 8>(false).ok()?,
                    profile.build_b_linearize_table::<u8, 256, 8>(false).ok()?,
                ],
                matrix: profile.transform_matrix(&ColorProfile::new_srgb()).v.map(|row| row.map(|v| v as f32)),
                encode: encode(),
            },
            _ => return None,
        };
        let finite = conversion.matrix.iter().flatten().chain(conversion.curves.iter().flat_map(|c| c.iter()));
        (finite.copied().all(f32::is_finite) && !conversion.is_identity()).then_some(conversion)
    }

    /// sRGB of one colour, clipped to what sRGB can show.
    pub fn convert(&self, [r, g, b]: [u8; 3]) -> [u8; 3] {
        let [red, green, blue] = &self.curves;
        let (r, g, b) = (red[usize::from(r)], green[usize::from(g)], blue[usize::from(b)]);
        self.matrix.map(|[x, y, z]| {
            let light = (x * r + y * g + z * b).clamp(0.0, 1.0);
            self.encode[(light * (STEPS - 1) as f32 + 0.5) as usize]
        })
    }

    /// Whether no colour moves by more than a level, as far as a grid of them tells.
    fn is_identity(&self) -> bool {
        let grid = (0..6 * 6 * 6u16).map(|i| [i % 6, i / 6 % 6, i / 36].map(|v| v as u8 * 51));
        let greys = (0..=255u8).map(|v| [v; 3]);
        grid.chain(greys).all(|rgb| self.convert(rgb).iter().zip(rgb).all(|(a, b)| a.abs_diff(b) <= 1))
    }
}

/// The level of sRGB for each step of light.
fn encode() -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let level = |step: usize| {
            let light = step as f32 / (STEPS - 1) as f32;
            let value = if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
            (value * 255.0).round() as u8
        };
        (0..STEPS).map(level).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn icc(profile: &ColorProfile) -> Vec<u8> {
        profile.encode().unwrap()
    }

    #[test]
    fn srgb_changes_nothing() {
        assert!(Profile::new(&icc(&ColorProfile::new_srgb()), false).is_none());
    }

    #[test]
    fn wide_gamuts_are_brought_in_and_greys_stay_grey() {
        for profile in [ColorProfile::new_display_p3(), ColorProfile::new_adobe_rgb()] {
            let profile = Profile::new(&icc(&profile), false).unwrap();
            for level in 0..=255 {
                let [r, g, b] = profile.convert([level; 3]);
                assert!(r.abs_diff(g) <= 1 && g.abs_diff(b) <= 1 && r.abs_diff(level) <= 10, "{level}: {r} {g} {b}");
            }
            let [r, g, b] = profile.convert([60, 200, 60]);
            assert!(r < 60 && g >= 200 && b <= 62, "{r} {g} {b}");
        }
    }

    #[test]
    fn profiles_of_other_channels_and_nonsense_are_left_alone() {
        let (grey, wide) = (icc(&ColorProfile::new_gray_with_gamma(1.8)), icc(&ColorProfile::new_adobe_rgb()));
        assert!(Profile::new(&grey, false).is_none() && Profile::new(&wide, true).is_none());
        assert!(Profile::new(&grey, true).is_some());
        for end in 0..wide.len() {
            let _ = Profile::new(&wide[..end], false);
        }
        assert!(Profile::new(b"no profile", false).is_none());
    }
}
