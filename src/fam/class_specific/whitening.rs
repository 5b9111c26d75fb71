//! `W = S^-1` of shrunk statistics, as the factor `P` with `P' P = W`.

use std::sync::Arc;

use super::statistics::{Statistics, triangle};
use crate::error::{Error, Result};

/// Whitening of the cells of one layer: `z = P (A - mu)` has, over the cells the statistics rest on, about unit
/// covariance, and `(A - mu)' W (B - mu) = z_A . z_B`.
///
/// With `Sigma` the covariance, `S = (1 - lambda) Sigma + lambda tr(Sigma)/C I` (shrinkage towards a multiple of the
/// identity, Ledoit and Wolf, 2004), `S = R R'` its Cholesky factorisation, and `P = R^-1`, lower triangular.
#[derive(Clone, Debug)]
pub struct Whitening {
    pub(super) mean: Vec<f64>,
    /// `C x C`, row-major, zeros above the diagonal.
    factor: Vec<f64>,
    pub(super) mean_single: Arc<[f32]>,
    pub(super) factor_single: Arc<[f32]>,
    /// `Sigma`, lower triangle with the diagonal.
    covariance: Vec<f64>,
    /// `tr(W Sigma)`: what a whitened cell's squared length is on average.
    energy: f64,
}

impl Whitening {
    /// The whitening of some statistics with `shrinkage` lambda in 0 to 1. Takes `O(C^3)`: make it once.
    ///
    /// # Errors
    /// [`Error::Argument`] for a shrinkage outside 0 to 1, and for one too small for statistics of so few cells.
    pub fn new(statistics: &Statistics, shrinkage: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&shrinkage) {
            return Err(Error::argument("shrinkage", format!("{shrinkage} is not within 0 and 1")));
        }
        let channels = statistics.mean().len();
        let trace: f64 = (0..channels).map(|j| statistics.covariance(j, j)).sum();
        let ridge = shrinkage * trace / channels.max(1) as f64;
        let mut shrunk: Vec<f64> = statistics.covariance.iter().map(|s| (1.0 - shrinkage) * s).collect();
        (0..channels).for_each(|j| shrunk[triangle(j) + j] += ridge);
        let factor = inverse(&cholesky(shrunk, channels)?, channels);
        let mean = statistics.mean().to_vec();
        let mean_single = mean.iter().map(|&v| v as f32).collect();
        let factor_single = factor.iter().map(|&v| v as f32).collect();
        // S = (1 - lambda) Sigma + ridge I, so tr(W Sigma) = (C - ridge tr W) / (1 - lambda), and tr W = |P|^2.
        let energy = match shrinkage < 1.0 {
            true => (channels as f64 - ridge * factor.iter().map(|p| p * p).sum::<f64>()) / (1.0 - shrinkage),
            false => channels as f64,
        };
        let covariance = statistics.covariance.clone();
        Ok(Self { mean, factor, mean_single, factor_single, covariance, energy })
    }

    /// How far the evidence of a cell of images in general strays from 0, for weights `w` of the channels:
    /// `sqrt(w' Sigma w / tr(W Sigma))`.
    pub fn spread(&self, w: &[f64]) -> f64 {
        let row = |j: usize| {
            let below = self.covariance.iter().skip(triangle(j)).zip(w).take(j);
            2.0 * below.map(|(s, w)| s * w).sum::<f64>()
                + self.covariance.get(triangle(j) + j).map_or(0.0, |s| s * w[j])
        };
        let variance: f64 = w.iter().enumerate().map(|(j, w)| w * row(j)).sum();
        if self.energy > 0.0 { (variance / self.energy).max(0.0).sqrt() } else { 0.0 }
    }

    /// `P x` for a difference of cells `x`.
    pub fn whiten(&self, x: &[f64]) -> Vec<f64> {
        let rows = self.factor.chunks_exact(self.mean.len().max(1)).enumerate();
        rows.map(|(i, row)| row.iter().zip(x).take(i + 1).map(|(p, x)| p * x).sum()).collect()
    }

    /// `P' u`, so that `u . P x = (P' u) . x`.
    pub fn back(&self, u: &[f64]) -> Vec<f64> {
        let mut w = vec![0.0; self.mean.len()];
        for ((i, row), u) in self.factor.chunks_exact(self.mean.len().max(1)).enumerate().zip(u) {
            w.iter_mut().zip(row).take(i + 1).for_each(|(w, p)| *w += u * p);
        }
        w
    }

    /// `mu`.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }
}

/// `R` with `R R' = S`, both lower triangles.
fn cholesky(mut s: Vec<f64>, n: usize) -> Result<Vec<f64>> {
    for j in 0..n {
        for k in 0..=j {
            let (a, b) = (&s[triangle(j)..][..k], &s[triangle(k)..][..k]);
            let rest = s[triangle(j) + k] - a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
            s[triangle(j) + k] = if k < j {
                rest / s[triangle(k) + k]
            } else if rest > 0.0 && rest.is_finite() {
                rest.sqrt()
            } else {
                let reason =
                    "the statistics rest on too few or too equal images for so little shrinkage; use more of either";
                return Err(Error::argument("shrinkage", reason));
            };
        }
    }
    Ok(s)
}

/// The inverse of a lower triangle, as a square matrix.
fn inverse(r: &[f64], n: usize) -> Vec<f64> {
    let mut p = vec![0.0; n * n];
    for i in 0..n {
        // Row i of P: what row i of R takes of the rows above, which are done.
        let (above, row) = p.split_at_mut(i * n);
        let (row, own) = (&mut row[..n], &r[triangle(i)..][..=i]);
        for (k, factor) in own[..i].iter().enumerate() {
            let done = &above[k * n..][..=k];
            row.iter_mut().zip(done).for_each(|(p, d)| *p -= factor * d);
        }
        row[i] = 1.0;
        row.iter_mut().take(i + 1).for_each(|p| *p /= own[i]);
    }
    p
}

#[cfg(test)]
mod tests {
    use super::super::Accumulator;
    use super::*;
    use crate::tensor::Tensor;

    pub(crate) fn statistics(channels: usize, cells: usize) -> Statistics {
        let mut state = 7u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.3
        };
        let mut data: Vec<f32> = (0..channels * cells).map(|_| next()).collect();
        // Channels that go together, or whitening would be next to nothing.
        (0..cells).for_each(|i| data[cells + i] += 2.0 * data[i]);
        let mut sums = Accumulator::new();
        sums.add(&Tensor::new([1, channels, 1, cells], data).unwrap(), None).unwrap();
        sums.finish("l", (1, 1), "").unwrap()
    }

    #[test]
    fn the_factor_inverts_the_shrunk_covariance() -> Result<()> {
        let (n, lambda) = (6, 0.3);
        let statistics = statistics(n, 40);
        let whitening = Whitening::new(&statistics, lambda)?;
        let trace: f64 = (0..n).map(|j| statistics.covariance(j, j)).sum();
        for j in 0..n {
            // W S e_j = e_j.
            let ridge = |k: usize| if j == k { lambda * trace / n as f64 } else { 0.0 };
            let column: Vec<f64> = (0..n).map(|k| (1.0 - lambda) * statistics.covariance(k, j) + ridge(k)).collect();
            for (k, v) in whitening.back(&whitening.whiten(&column)).into_iter().enumerate() {
                assert!((v - f64::from(u8::from(j == k))).abs() < 1e-10, "{j} {k}: {v}");
            }
        }
        assert!((0..n).all(|i| whitening.factor[i * n + i + 1..(i + 1) * n].iter().all(|&p| p == 0.0)));
        Ok(())
    }

    #[test]
    fn without_shrinkage_cells_become_white() -> Result<()> {
        let statistics = statistics(3, 200);
        let whitening = Whitening::new(&statistics, 0.0)?;
        for j in 0..3 {
            for k in 0..3 {
                // P Sigma P'
                let unit = |i: usize| (0..3).map(|c| f64::from(u8::from(c == i))).collect::<Vec<_>>();
                let (a, b) = (whitening.back(&unit(j)), whitening.back(&unit(k)));
                let product: f64 = (0..3)
                    .flat_map(|x| (0..3).map(move |y| (x, y)))
                    .map(|(x, y)| a[x] * statistics.covariance(x, y) * b[y])
                    .sum();
                assert!((product - f64::from(u8::from(j == k))).abs() < 1e-10);
            }
        }
        Ok(())
    }

    #[test]
    fn too_little_shrinkage_is_said() {
        // Two cells cannot have a covariance of full rank.
        let statistics = statistics(5, 2);
        assert!(Whitening::new(&statistics, 0.0).is_err_and(|e| e.to_string().contains("few")));
        assert!(Whitening::new(&statistics, 0.1).is_ok());
        assert!(Whitening::new(&statistics, 1.5).is_err_and(|e| e.to_string().contains("within 0 and 1")));
    }
}
