//! What evidence photos in general have for a class: the measure by which a photo of no class is told.
//!
//! Over the cells that the statistics rest on, `(A - mu)' w` has the variance `w' Sigma w`, and `r^2` is `tr(W Sigma)` on
//! average. So the evidence of a cell of photos in general is about normal, with mean 0 and
//! `sigma^2 = w' Sigma w / tr(W Sigma)`, and what passes the offset is, with `t = offset / sigma`,
//!
//! `E max(s - offset, 0) = sigma phi(t) - offset (1 - Phi(t))`.
//!
//! `phi` and `Phi` are density and distribution of the standard normal distribution.

use std::f64::consts::{PI, SQRT_2};

use super::rule::BLOCK;
use super::{CellForm, ClassCells, Specific};
use crate::engine::CellMaps;
use crate::error::Result;

impl Specific {
    /// For each class, the mean over cells of `max(s - offset, 0)` that photos in general have, by the statistics of
    /// the whitened layer; over 0 unless the statistics say nothing about the class.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] if the classes' cells are those of another layer.
    pub fn general_evidence(&self, form: CellForm, classes: &[ClassCells]) -> Result<Vec<f64>> {
        let offset = f64::from(self.rule().offset.unwrap_or(form.offset()));
        let class = |class| Ok(passing(self.whitening().spread(&self.direction(class, BLOCK)?), offset));
        classes.iter().map(class).collect()
    }

    /// For each class, the mean over cells of `max(s - offset, 0)` of one photo, before classes share its cells.
    pub fn evidence(&self, form: CellForm, found: &CellMaps, classes: usize) -> Vec<f64> {
        let offset = self.rule().offset.unwrap_or(form.offset());
        let cells = (found.evidence.len() / classes.max(1)).max(1);
        let mean = |row: &[f32]| row.iter().map(|&s| f64::from((s - offset).max(0.0))).sum::<f64>() / cells as f64;
        found.evidence.chunks_exact(cells).map(mean).collect()
    }
}

/// `E max(s - offset, 0)` for `s` normal with mean 0 and deviation `sigma`.
fn passing(sigma: f64, offset: f64) -> f64 {
    if sigma.is_nan() || sigma <= 0.0 {
        return (-offset).max(0.0);
    }
    let t = offset / sigma;
    let density = (-t * t / 2.0).exp() / (2.0 * PI).sqrt();
    sigma * density - offset * 0.5 * libm::erfc(t / SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_an_offset_is_the_integral() {
        for (sigma, offset) in [(1.0, 0.0), (0.05, 0.05), (0.04, 0.1), (0.2, -0.1)] {
            let step = sigma / 2000.0;
            let density = |s: f64| (-s * s / (2.0 * sigma * sigma)).exp() / (sigma * (2.0 * PI).sqrt());
            let steps = (-16_000..16_000).map(|i| f64::from(i) * step + step / 2.0);
            let integral: f64 = steps.map(|s| (s - offset).max(0.0) * density(s) * step).sum();
            assert!((passing(sigma, offset) - integral).abs() < 1e-7, "{sigma} {offset}: {integral}");
        }
        assert_eq!(passing(0.0, 0.1), 0.0);
    }
}
