//! The linear algebra of what is learned in a session: covariances with shrinkage, their inverse, and eigenvectors.
//!
//! A session has tens of images and embeddings have up to thousands of channels, so everything goes through the Gram
//! matrix of the images (its side is their number) and no covariance of channels is ever formed.

use crate::error::{Error, Result};

/// More images than this teach a covariance little and cost their number cubed.
pub const MOST_ROWS: usize = 256;

/// Samples, centred: what a covariance `S = X'X / n` is made of.
#[derive(Clone, Debug)]
pub struct Samples {
    rows: Vec<Vec<f64>>,
    mean: Vec<f32>,
    size: usize,
    /// `tr(S) / C`.
    variance: f64,
}

impl Samples {
    /// Samples less their mean. Of more than [`MOST_ROWS`] every n-th is taken.
    ///
    /// # Errors
    /// [`Error::Argument`] with fewer than two samples, samples of different lengths, or samples that are all equal.
    pub fn new(samples: &[&[f32]]) -> Result<Self> {
        let groups = [samples.to_vec()];
        Self::within(&groups)
    }

    /// Samples of several classes, each less the mean of its class; the mean is that of all samples.
    ///
    /// # Errors
    /// As [`Samples::new`].
    pub fn within(classes: &[Vec<&[f32]>]) -> Result<Self> {
        let total: usize = classes.iter().map(Vec::len).sum();
        let size = classes.iter().flatten().next().map_or(0, |row| row.len());
        if classes.iter().flatten().any(|row| row.len() != size) {
            return Err(Error::argument("covariance", "the images' embeddings differ in length"));
        }
        if total < 2 || size == 0 {
            let reason =
                format!("it is learned from at least two images, and there are {total}; add more, or choose another");
            return Err(Error::argument("covariance", reason));
        }
        let step = total.div_ceil(MOST_ROWS);
        let mean = mean_of(classes.iter().flatten().copied(), size);
        let mut rows = Vec::with_capacity(total.div_ceil(step));
        for class in classes {
            let own = mean_of(class.iter().copied(), size);
            let centre = |row: &&[f32]| row.iter().zip(&own).map(|(&v, &m)| f64::from(v) - f64::from(m)).collect();
            rows.extend(class.iter().step_by(step).map(centre));
        }
        let variance = rows.iter().flatten().map(|v: &f64| v * v).sum::<f64>() / (rows.len() * size) as f64;
        if !(variance > 0.0 && variance.is_finite()) {
            return Err(Error::argument(
                "covariance",
                "the images are all the same, so that nothing varies; add others",
            ));
        }
        Ok(Self { rows, mean, size, variance })
    }

    /// The mean of all samples.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// Number of samples that are used.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// The inverse of `(1 - s) S + s v I`, with `s` the shrinkage and `v` the mean variance of a channel (Ledoit and
    /// Wolf 2004), by Woodbury's identity.
    ///
    /// # Errors
    /// [`Error::Argument`] for a shrinkage that is not within 0 to 1, or 0 where the samples do not span every channel.
    pub fn inverse(&self, shrinkage: f32) -> Result<Inverse> {
        let s = f64::from(shrinkage);
        if !(s > 0.0 && s <= 1.0) {
            let reason =
                format!("{shrinkage} is not within 0 and 1; without any, {} images cannot be inverted", self.count());
            return Err(Error::argument("shrinkage", reason));
        }
        let ridge = s * self.variance;
        let weight = (1.0 - s) / self.count() as f64;
        // (r I + w X'X)^-1 v = (v - X' (r/w I + X X')^-1 X v) / r
        let solver = match weight > 0.0 {
            true => {
                let mut gram = self.gram();
                gram.iter_mut().enumerate().for_each(|(i, row)| row[i] += ridge / weight);
                Some(Cholesky::new(gram)?)
            }
            false => None,
        };
        Ok(Inverse { size: self.size, form: Inner::LowRank { rows: self.rows.clone(), solver, ridge } })
    }

    /// Principal directions, the most varying first, each with its variance; those without variance are left out.
    pub fn principal(&self) -> Vec<(f64, Vec<f64>)> {
        let n = self.count();
        let (values, vectors) = eigen(self.gram());
        let largest = values.iter().copied().fold(0.0, f64::max);
        let mut order: Vec<usize> = (0..n).filter(|&i| values[i] > largest * 1e-9).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let direction = |i: usize| {
            let mut d = vec![0.0; self.size];
            for (row, vector) in self.rows.iter().zip(&vectors) {
                d.iter_mut().zip(row).for_each(|(d, x)| *d += vector[i] * x);
            }
            let length = values[i].sqrt();
            d.iter_mut().for_each(|v| *v /= length);
            (values[i] / n as f64, d)
        };
        order.into_iter().map(direction).collect()
    }

    /// The mean variance of a channel.
    pub fn variance(&self) -> f64 {
        self.variance
    }

    fn gram(&self) -> Vec<Vec<f64>> {
        let row = |a: &Vec<f64>| self.rows.iter().map(|b| a.iter().zip(b).map(|(x, y)| x * y).sum()).collect();
        self.rows.iter().map(row).collect()
    }
}

fn mean_of<'a>(rows: impl Iterator<Item = &'a [f32]>, size: usize) -> Vec<f32> {
    let (mut sum, mut count) = (vec![0f64; size], 0usize);
    for row in rows {
        sum.iter_mut().zip(row).for_each(|(s, &v)| *s += f64::from(v));
        count += 1;
    }
    sum.iter().map(|s| (s / count.max(1) as f64) as f32).collect()
}

/// A symmetric positive semi-definite matrix `M` of a learned similarity, to be applied to vectors.
#[derive(Clone, Debug)]
pub struct Inverse {
    size: usize,
    form: Inner,
}

#[derive(Clone, Debug)]
enum Inner {
    Dense(Vec<f32>),
    LowRank { rows: Vec<Vec<f64>>, solver: Option<Cholesky>, ridge: f64 },
}

impl Inverse {
    /// A given matrix, row-major.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is not square, not symmetric, not finite, or has a negative value on its diagonal.
    pub fn given(size: usize, values: &[f32]) -> Result<Self> {
        let wrong = |reason: String| Err(Error::argument("matrix", reason));
        if size == 0 || values.len() != size * size {
            return wrong(format!("{} values are not {size} x {size}", values.len()));
        }
        let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
        for i in 0..size {
            if !values[i * size + i].is_finite() || values[i * size + i] < 0.0 {
                return wrong(format!("value {i} of its diagonal is {}", values[i * size + i]));
            }
            for j in 0..i {
                let (a, b) = (values[i * size + j], values[j * size + i]);
                if (a - b).is_nan() || (a - b).abs() > 1e-5 * largest {
                    return wrong(format!(
                        "it is not symmetric: row {i}, column {j} is {a}, and the other way round {b}"
                    ));
                }
            }
        }
        Ok(Self { size, form: Inner::Dense(values.to_vec()) })
    }

    /// Number of rows.
    pub fn size(&self) -> usize {
        self.size
    }

    /// `M v`.
    pub fn apply(&self, v: &[f32]) -> Vec<f32> {
        match &self.form {
            Inner::Dense(m) => m.chunks_exact(self.size).map(|row| super::similarity::dot(row, v) as f32).collect(),
            Inner::LowRank { rows, solver, ridge } => {
                let mut rest: Vec<f64> = v.iter().map(|&v| f64::from(v)).collect();
                if let Some(solver) = solver {
                    let product: Vec<f64> =
                        rows.iter().map(|row| row.iter().zip(v).map(|(x, &v)| x * f64::from(v)).sum()).collect();
                    for (row, t) in rows.iter().zip(solver.solve(product)) {
                        rest.iter_mut().zip(row).for_each(|(r, x)| *r -= t * x);
                    }
                }
                rest.into_iter().map(|r| (r / ridge) as f32).collect()
            }
        }
    }
}

/// `A = L L'` of a symmetric positive definite matrix.
#[derive(Clone, Debug)]
pub(super) struct Cholesky(Vec<Vec<f64>>);

impl Cholesky {
    pub(super) fn new(mut a: Vec<Vec<f64>>) -> Result<Self> {
        for j in 0..a.len() {
            let (done, rest) = a.split_at_mut(j + 1);
            let pivot = &mut done[j];
            let diagonal = pivot[j] - pivot[..j].iter().map(|x| x * x).sum::<f64>();
            if !(diagonal > 0.0 && diagonal.is_finite()) {
                let reason = "the images span too little to be inverted; raise the shrinkage or add images";
                return Err(Error::argument("covariance", reason));
            }
            pivot[j] = diagonal.sqrt();
            for row in rest {
                let inner: f64 = row[..j].iter().zip(&pivot[..j]).map(|(x, y)| x * y).sum();
                row[j] = (row[j] - inner) / pivot[j];
            }
        }
        Ok(Self(a))
    }

    /// `A^-1 b`.
    pub(super) fn solve(&self, mut b: Vec<f64>) -> Vec<f64> {
        let l = &self.0;
        for i in 0..b.len() {
            let inner: f64 = l[i][..i].iter().zip(&b).map(|(x, y)| x * y).sum();
            b[i] = (b[i] - inner) / l[i][i];
        }
        for i in (0..b.len()).rev() {
            let inner: f64 = (i + 1..b.len()).map(|k| l[k][i] * b[k]).sum();
            b[i] = (b[i] - inner) / l[i][i];
        }
        b
    }
}

/// Eigenvalues and, column by column, eigenvectors of a symmetric matrix, by Jacobi's rotations (Golub and Van Loan,
/// section 8.5).
pub(super) fn eigen(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = a.len();
    let mut vectors: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let total: f64 = a.iter().flatten().map(|v| v * v).sum();
    for _ in 0..50 {
        let off: f64 = (0..n).map(|i| a[i][..i].iter().map(|v| v * v).sum::<f64>()).sum();
        if off <= total * 1e-24 {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q].abs() <= 1e-300 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let cos = 1.0 / (t * t + 1.0).sqrt();
                let sin = t * cos;
                for row in a.iter_mut().chain(&mut vectors) {
                    let (x, y) = (row[p], row[q]);
                    (row[p], row[q]) = (cos * x - sin * y, sin * x + cos * y);
                }
                let (upper, lower) = a.split_at_mut(q);
                for (x, y) in upper[p].iter_mut().zip(&mut lower[0]) {
                    (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
                }
            }
        }
    }
    ((0..n).map(|i| a[i][i]).collect(), vectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five samples of three channels.
    const X: [[f32; 3]; 5] = [[1.0, 2.0, 0.0], [2.0, 1.0, 1.0], [0.0, 3.0, 1.5], [4.0, 0.0, 0.5], [1.0, 1.0, 2.0]];

    fn rows() -> Vec<&'static [f32]> {
        X.iter().map(|x| x.as_slice()).collect()
    }

    /// `(1 - s) S + s v I`, formed.
    fn shrunk(s: f64) -> [[f64; 3]; 3] {
        let mean: Vec<f64> = (0..3).map(|c| X.iter().map(|x| f64::from(x[c])).sum::<f64>() / 5.0).collect();
        let mut out = [[0.0; 3]; 3];
        for (i, row) in out.iter_mut().enumerate() {
            for (j, v) in row.iter_mut().enumerate() {
                let part = |x: &[f32; 3]| (f64::from(x[i]) - mean[i]) * (f64::from(x[j]) - mean[j]);
                *v = X.iter().map(part).sum::<f64>() / 5.0;
            }
        }
        let variance = (out[0][0] + out[1][1] + out[2][2]) / 3.0;
        for (i, row) in out.iter_mut().enumerate() {
            row.iter_mut().for_each(|v| *v *= 1.0 - s);
            row[i] += s * variance;
        }
        out
    }

    #[test]
    fn the_inverse_undoes_the_covariance() -> Result<()> {
        let samples = Samples::new(&rows())?;
        for s in [0.1f32, 0.5, 1.0] {
            let inverse = samples.inverse(s)?;
            let v = [0.3f32, -1.0, 2.0];
            let x = inverse.apply(&v);
            for (row, expected) in shrunk(f64::from(s)).iter().zip(v) {
                let back: f64 = row.iter().zip(&x).map(|(a, &x)| a * f64::from(x)).sum();
                assert!((back - f64::from(expected)).abs() < 1e-5, "shrinkage {s}: {back} and not {expected}");
            }
        }
        assert!(samples.inverse(0.0).is_err_and(|e| e.to_string().contains("shrinkage")));
        Ok(())
    }

    #[test]
    fn principal_directions_diagonalise_the_covariance() -> Result<()> {
        let samples = Samples::new(&rows())?;
        let directions = samples.principal();
        assert_eq!(directions.len(), 3);
        let covariance = shrunk(0.0);
        for (i, (variance, a)) in directions.iter().enumerate() {
            for (j, (_, b)) in directions.iter().enumerate() {
                let form: f64 = (0..3).map(|r| (0..3).map(|c| a[r] * covariance[r][c] * b[c]).sum::<f64>()).sum();
                let expected = if i == j { *variance } else { 0.0 };
                assert!((form - expected).abs() < 1e-9, "{i} {j}: {form} and not {expected}");
            }
        }
        assert!(directions.windows(2).all(|pair| pair[0].0 >= pair[1].0));
        Ok(())
    }

    #[test]
    fn within_classes_their_difference_does_not_count() -> Result<()> {
        let far: Vec<Vec<f32>> = X.iter().map(|x| x.iter().map(|v| v + 100.0).collect()).collect();
        let classes = [rows(), far.iter().map(Vec::as_slice).collect()];
        let together = Samples::within(&classes)?;
        assert!((together.variance() - Samples::new(&rows())?.variance()).abs() < 1e-4);
        Ok(())
    }

    #[test]
    fn what_cannot_be_learned_is_said() {
        let message = |rows: &[&[f32]]| Samples::new(rows).map(|_| ()).map_err(|e| e.to_string());
        assert!(message(&[&[1.0]]).is_err_and(|m| m.contains("at least two")));
        assert!(message(&[&[1.0, 2.0], &[1.0, 2.0]]).is_err_and(|m| m.contains("all the same")));
        assert!(message(&[&[1.0, 2.0], &[1.0]]).is_err_and(|m| m.contains("differ")));
        let skew = Inverse::given(2, &[1.0, 0.5, 0.0, 1.0]).map(|_| ()).map_err(|e| e.to_string());
        assert!(skew.is_err_and(|m| m.contains("not symmetric")));
    }
}
