//! Heads that are learned in the session.

use super::{Head, Layer};
use crate::error::{Error, Result};
use crate::fam::linear::{Samples, eigen};

impl Head {
    /// PCA whitening: `z_i = u_i' (f - mean) / sqrt((1 - s) l_i + s v)`, with `u_i` the principal directions of the
    /// samples, `l_i` their variances, `v` the mean variance of a channel and `s` the shrinkage.
    ///
    /// # Errors
    /// [`Error::Argument`] for a shrinkage that is not within 0 to 1.
    pub fn whitening(samples: &Samples, shrinkage: f32) -> Result<Self> {
        if !(0.0..=1.0).contains(&shrinkage) {
            return Err(Error::argument("shrinkage", format!("{shrinkage} is not within 0 to 1")));
        }
        let s = f64::from(shrinkage);
        let row = |(variance, direction): (f64, Vec<f64>)| {
            let scale = 1.0 / ((1.0 - s) * variance + s * samples.variance()).sqrt();
            direction.into_iter().map(|v| v * scale).collect::<Vec<f64>>()
        };
        let rows: Vec<_> = samples.principal().into_iter().map(row).collect();
        let note = format!("whitening to {} dimensions, learned from {} images", rows.len(), samples.count());
        Self::projection(&rows, samples.mean(), note)
    }

    /// Linear discriminant analysis: the directions that part the classes' means, measured in units of the variation
    /// within classes (with shrinkage); one fewer than there are classes.
    ///
    /// # Errors
    /// [`Error::Argument`] with fewer than two classes or two images, a class without images, or classes whose means
    /// agree.
    pub fn lda(classes: &[Vec<&[f32]>], shrinkage: f32) -> Result<Self> {
        if classes.len() < 2 || classes.iter().any(Vec::is_empty) {
            return Err(Error::argument("head", "discriminant analysis needs at least two classes with images"));
        }
        let count: usize = classes.iter().map(Vec::len).sum();
        if count == classes.len() {
            let reason =
                "discriminant analysis learns how images of one class vary, and every class has one image; add some";
            return Err(Error::argument("head", reason));
        }
        let within = Samples::within(classes)?;
        let inverse = within.inverse(shrinkage)?;
        let mean = within.mean();
        let offset = |class: &Vec<&[f32]>| -> Vec<f32> {
            let mean_of = |c: usize| class.iter().map(|row| f64::from(row[c])).sum::<f64>() / class.len() as f64;
            (0..mean.len()).map(|c| (mean_of(c) - f64::from(mean[c])) as f32).collect()
        };
        // B rows: the classes' means less the mean; P = L^-1/2 Q' B S^-1 with B S^-1 B' = Q L Q'.
        let between: Vec<Vec<f32>> = classes.iter().map(offset).collect();
        let solved: Vec<Vec<f32>> = between.iter().map(|b| inverse.apply(b)).collect();
        let product = |b: &Vec<f32>| solved.iter().map(|s| crate::fam::dot(b, s)).collect();
        let gram: Vec<Vec<f64>> = between.iter().map(product).collect();
        let (values, vectors) = eigen(gram);
        let largest = values.iter().copied().fold(0.0, f64::max);
        let mut order: Vec<usize> = (0..values.len()).filter(|&i| values[i] > largest * 1e-6).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        order.truncate(classes.len() - 1);
        if order.is_empty() {
            return Err(Error::argument("head", "the classes' images are the same on average, so nothing parts them"));
        }
        let row = |i: usize| {
            let mut row = vec![0.0; mean.len()];
            for (s, vector) in solved.iter().zip(&vectors) {
                row.iter_mut().zip(s).for_each(|(r, &s)| *r += vector[i] * f64::from(s) / values[i].sqrt());
            }
            row
        };
        let rows: Vec<Vec<f64>> = order.into_iter().map(row).collect();
        let note = format!("discriminant analysis to {} dimensions, learned from {count} images", rows.len());
        Self::projection(&rows, mean, note)
    }

    /// `z = P (f - mean)`.
    fn projection(rows: &[Vec<f64>], mean: &[f32], note: String) -> Result<Self> {
        let bias = |row: &Vec<f64>| -row.iter().zip(mean).map(|(w, &m)| w * f64::from(m)).sum::<f64>() as f32;
        let layer = Layer::Linear {
            inputs: mean.len(),
            weight: rows.iter().flatten().map(|&w| w as f32).collect(),
            bias: rows.iter().map(bias).collect(),
        };
        Ok(Self { centre: Some(mean.to_vec()), note, ..Self::new(vec![layer])? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: [[f32; 3]; 6] =
        [[1.0, 2.0, 0.0], [2.0, 1.0, 1.0], [0.0, 3.0, 1.5], [5.0, 0.0, 0.5], [6.0, 1.0, 2.0], [4.0, -1.0, 2.5]];

    fn covariance(z: &[Vec<f32>]) -> Vec<Vec<f64>> {
        let (n, size) = (z.len() as f64, z[0].len());
        let mean: Vec<f64> = (0..size).map(|c| z.iter().map(|z| f64::from(z[c])).sum::<f64>() / n).collect();
        let part = |i: usize, j: usize| {
            z.iter().map(|z| (f64::from(z[i]) - mean[i]) * (f64::from(z[j]) - mean[j])).sum::<f64>() / n
        };
        (0..size).map(|i| (0..size).map(|j| part(i, j)).collect()).collect()
    }

    #[test]
    fn whitened_samples_have_unit_covariance() -> Result<()> {
        let rows: Vec<&[f32]> = X.iter().map(|x| x.as_slice()).collect();
        let samples = Samples::new(&rows)?;
        let head = Head::whitening(&samples, 0.0)?;
        let z = X.iter().map(|x| head.forward(x)).collect::<Result<Vec<_>>>()?;
        for (i, row) in covariance(&z).iter().enumerate() {
            for (j, v) in row.iter().enumerate() {
                assert!((v - f64::from(u8::from(i == j))).abs() < 1e-4, "{i} {j}: {v}");
            }
        }
        assert!(head.forward(samples.mean())?.iter().all(|v| v.abs() < 1e-5), "the mean goes to zero");
        assert!(head.is_affine() && head.describe().contains("6 images"));
        Ok(())
    }

    /// For two classes the direction is S_w^-1 (m_1 - m_2), up to scale, and the variance within classes along it is 1.
    #[test]
    fn lda_finds_fishers_direction() -> Result<()> {
        let classes: [Vec<&[f32]>; 2] =
            [X[..3].iter().map(|x| x.as_slice()).collect(), X[3..].iter().map(|x| x.as_slice()).collect()];
        let head = Head::lda(&classes, 1e-6)?;
        let [Layer::Linear { weight, .. }] = head.layers() else { panic!("one linear layer") };
        assert_eq!(weight.len(), 3, "one direction parts two classes");
        let mean = |class: &Vec<&[f32]>, c: usize| class.iter().map(|x| f64::from(x[c])).sum::<f64>() / 3.0;
        let mut within = vec![vec![0.0; 3]; 3];
        for class in &classes {
            for x in class {
                for i in 0..3 {
                    for j in 0..3 {
                        within[i][j] += (f64::from(x[i]) - mean(class, i)) * (f64::from(x[j]) - mean(class, j)) / 6.0;
                    }
                }
            }
        }
        // S_w w must be parallel to the difference of the means.
        let image: Vec<f64> =
            within.iter().map(|row| row.iter().zip(weight).map(|(s, &w)| s * f64::from(w)).sum()).collect();
        let difference: Vec<f64> = (0..3).map(|c| mean(&classes[0], c) - mean(&classes[1], c)).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let cosine = dot(&image, &difference) / (dot(&image, &image) * dot(&difference, &difference)).sqrt();
        assert!((cosine.abs() - 1.0).abs() < 1e-6, "{cosine}");
        let w: Vec<f64> = weight.iter().map(|&w| f64::from(w)).collect();
        assert!((dot(&image, &w) - 1.0).abs() < 1e-3, "unit variance within classes: {}", dot(&image, &w));
        Ok(())
    }

    #[test]
    fn what_cannot_be_learned_is_said() {
        let one: Vec<Vec<&[f32]>> = vec![vec![&X[0]], vec![&X[1]]];
        assert!(Head::lda(&one, 0.1).is_err_and(|e| e.to_string().contains("one image")));
        assert!(Head::lda(&one[..1], 0.1).is_err_and(|e| e.to_string().contains("two classes")));
    }
}
