//! Mean and covariance of the cells of unlabelled images, in one streaming pass.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Where statistics come from; the header of their file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// Name of the layer whose cells were counted.
    pub layer: String,
    /// Its channels.
    pub channels: usize,
    /// Width of the network's input in pixels; statistics of another input size are not the same.
    pub width: u32,
    /// Height of the network's input in pixels.
    pub height: u32,
    /// How many images they rest on.
    pub images: u64,
    /// How many cells.
    pub cells: u64,
    /// SHA-256 of the ONNX file, in hexadecimal; empty if nobody computed it.
    #[serde(default)]
    pub model_sha256: String,
    /// What images they were, for people.
    #[serde(default)]
    pub source: String,
    /// The second layer, of which only the mean is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadOrigin>,
}

/// The second layer of some statistics.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeadOrigin {
    /// Its name.
    pub layer: String,
    /// Its channels.
    pub channels: usize,
}

/// What cells of images in general look like at a layer: `mu` and `Sigma` over every cell of unlabelled images, and the
/// mean cell of a second layer, the head.
#[derive(Clone, PartialEq, Debug)]
pub struct Statistics {
    pub(super) origin: Origin,
    pub(super) mean: Vec<f64>,
    /// The lower triangle with the diagonal, row by row: `(0,0), (1,0), (1,1), (2,0), ...`
    pub(super) covariance: Vec<f64>,
    pub(super) head_mean: Vec<f64>,
}

impl Statistics {
    /// Where they come from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Says of which ONNX file they are.
    pub fn set_model_sha256(&mut self, sha256: &str) {
        sha256.clone_into(&mut self.origin.model_sha256);
    }

    /// `mu`: the mean cell, `C` values.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// `Sigma_jk = mean (A_j - mu_j)(A_k - mu_k)`, over the number of cells, not that less one.
    pub fn covariance(&self, j: usize, k: usize) -> f64 {
        self.covariance.get(triangle(j.max(k)) + j.min(k)).copied().unwrap_or(f64::NAN)
    }

    /// The mean cell of the head; no values if there is none.
    pub fn head_mean(&self) -> &[f64] {
        &self.head_mean
    }
}

/// Where row `j` of a lower triangle with its diagonal starts.
pub(super) fn triangle(j: usize) -> usize {
    j * (j + 1) / 2
}

/// Adds images one by one and keeps `C (C + 1) / 2` numbers, however many there are.
///
/// Each image's cells are centred at their own mean, and image and sum are joined by the update of Chan, Golub and
/// LeVeque (Updating formulae and a pairwise algorithm for computing sample variances, 1979): nothing subtracts two
/// large sums.
///
/// ```
/// use famlens::fam::{Accumulator, HeadOrigin};
/// use famlens::tensor::Tensor;
///
/// let mut sums = Accumulator::new();
/// sums.add(&Tensor::new([1, 2, 1, 2], vec![1.0, 3.0, 0.0, 4.0])?, None)?;
/// sums.add(&Tensor::new([1, 2, 1, 1], vec![2.0, 2.0])?, None)?;
/// let statistics = sums.finish("layer", (64, 32), "three cells")?;
/// assert_eq!(statistics.mean(), [2.0, 2.0]);
/// assert_eq!(statistics.covariance(0, 1), 4.0 / 3.0);
/// # Ok::<(), famlens::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Accumulator {
    images: u64,
    cells: u64,
    mean: Vec<f64>,
    /// Sum of the products of deviations, lower triangle with the diagonal.
    products: Vec<f64>,
    head_layer: Option<String>,
    head_mean: Vec<f64>,
}

impl Accumulator {
    /// Of no image yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on where statistics ended.
    pub fn resume(statistics: &Statistics) -> Self {
        let cells = statistics.origin.cells;
        Self {
            images: statistics.origin.images,
            cells,
            mean: statistics.mean.clone(),
            products: statistics.covariance.iter().map(|s| s * cells as f64).collect(),
            head_layer: statistics.origin.head.as_ref().map(|head| head.layer.clone()),
            head_mean: statistics.head_mean.clone(),
        }
    }

    /// How many images were added.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// Adds the cells of one image, `[1, C, H, W]`, and with the head's name its mean cell, `D` values.
    ///
    /// # Errors
    /// [`Error::Argument`] for maps of another rank, of another number of channels than the images before, or with
    /// values that are not finite.
    pub fn add(&mut self, features: &Tensor, head: Option<(&str, &[f32])>) -> Result<()> {
        let wrong = |reason: String| Error::argument("activation maps", reason);
        let shape = features.shape();
        let (channels, height, width) =
            shape.chw().ok_or_else(|| wrong(format!("must be [1, C, H, W], and are {shape}")))?;
        let cells = height * width;
        if cells == 0 || channels == 0 {
            return Err(wrong(format!("{shape} has no cells")));
        }
        if !features.data().iter().chain(head.map_or(&[][..], |(_, mean)| mean)).all(|v| v.is_finite()) {
            return Err(wrong("hold values that are not finite".into()));
        }
        let mut rows: Vec<f64> = features.data().iter().map(|&a| f64::from(a)).collect();
        let mut mean = Vec::with_capacity(channels);
        for row in rows.chunks_exact_mut(cells) {
            let m = row.iter().sum::<f64>() / cells as f64;
            row.iter_mut().for_each(|a| *a -= m);
            mean.push(m);
        }
        let mut products = Vec::with_capacity(triangle(channels));
        for (j, row) in rows.chunks_exact(cells).enumerate() {
            products.extend(rows.chunks_exact(cells).take(j + 1).map(|other| dot(row, other)));
        }
        self.merge(&Self {
            images: 1,
            cells: cells as u64,
            mean,
            products,
            head_layer: head.map(|(layer, _)| layer.to_owned()),
            head_mean: head.map_or_else(Vec::new, |(_, mean)| mean.iter().map(|&v| f64::from(v)).collect()),
        })
    }

    /// Adds what another accumulator counted.
    ///
    /// # Errors
    /// [`Error::Argument`] if its layers are others.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if other.images == 0 {
            return Ok(());
        }
        if self.images == 0 {
            self.clone_from(other);
            return Ok(());
        }
        let sizes = |a: &Self| (a.mean.len(), a.head_mean.len());
        if sizes(self) != sizes(other) || self.head_layer != other.head_layer {
            let reason = format!("channels {:?} do not join those of {:?}", sizes(other), sizes(self));
            return Err(Error::argument("statistics", reason));
        }
        let (n, m) = (self.cells as f64, other.cells as f64);
        let delta: Vec<f64> = other.mean.iter().zip(&self.mean).map(|(b, a)| b - a).collect();
        let weight = n * m / (n + m);
        let mut products = self.products.iter_mut().zip(&other.products);
        for (j, dj) in delta.iter().enumerate() {
            for (dk, (p, q)) in delta.iter().take(j + 1).zip(&mut products) {
                *p += q + weight * dj * dk;
            }
        }
        self.mean.iter_mut().zip(&delta).for_each(|(a, d)| *a += d * m / (n + m));
        // Images weigh the same in the head's mean, whatever their size.
        let (a, b) = (self.images as f64, other.images as f64);
        let heads = self.head_mean.iter_mut().zip(&other.head_mean);
        heads.for_each(|(h, o)| *h += (o - *h) * b / (a + b));
        self.images += other.images;
        self.cells += other.cells;
        Ok(())
    }

    /// The statistics of what was added: at that layer, for that input size `(width, height)`, from images described by
    /// `source`.
    ///
    /// # Errors
    /// [`Error::Argument`] if there were fewer than two cells.
    pub fn finish(&self, layer: &str, (width, height): (u32, u32), source: &str) -> Result<Statistics> {
        if self.cells < 2 {
            return Err(Error::argument("images", "statistics need at least one image that can be read"));
        }
        let head = self.head_layer.as_ref().map(|l| HeadOrigin { layer: l.clone(), channels: self.head_mean.len() });
        Ok(Statistics {
            origin: Origin {
                layer: layer.to_owned(),
                channels: self.mean.len(),
                width,
                height,
                images: self.images,
                cells: self.cells,
                model_sha256: String::new(),
                source: source.to_owned(),
                head,
            },
            mean: self.mean.clone(),
            covariance: self.products.iter().map(|p| p / self.cells as f64).collect(),
            head_mean: self.head_mean.clone(),
        })
    }
}

/// In four strands that do not wait for each other.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a4, ar), (b4, br)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut strands = [0f64; 4];
    for (x, y) in a4.iter().zip(b4) {
        strands.iter_mut().zip(x.iter().zip(y)).for_each(|(s, (x, y))| *s += x * y);
    }
    strands.iter().sum::<f64>() + ar.iter().zip(br).map(|(x, y)| x * y).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values far from zero, so that a sum of squares less a squared sum would lose what is asked for.
    fn image(seed: u32, cells: usize) -> Tensor {
        let mut state = seed;
        let mut next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            1000.0 + (state >> 8) as f32 / 1e7
        };
        Tensor::new([1, 3, 1, cells], (0..3 * cells).map(|_| next()).collect()).unwrap()
    }

    #[test]
    fn one_pass_equals_two() {
        let images = [image(1, 5), image(2, 9), image(3, 1), image(4, 16)];
        let mut sums = Accumulator::new();
        images.iter().for_each(|i| sums.add(i, None).unwrap());
        let found = sums.finish("l", (8, 8), "").unwrap();
        let column = |c: usize| -> Vec<f64> {
            images.iter().flat_map(|i| i.data().chunks(i.data().len() / 3).nth(c).unwrap()).map(|&v| v.into()).collect()
        };
        let columns: Vec<_> = (0..3).map(column).collect();
        let mean: Vec<f64> = columns.iter().map(|c| c.iter().sum::<f64>() / 31.0).collect();
        for j in 0..3 {
            assert!((found.mean()[j] - mean[j]).abs() < 1e-10);
            for k in 0..3 {
                let products = columns[j].iter().zip(&columns[k]).map(|(a, b)| (a - mean[j]) * (b - mean[k]));
                let expected = products.sum::<f64>() / 31.0;
                assert!((found.covariance(j, k) - expected).abs() < 1e-9, "{j} {k}");
            }
        }
        assert_eq!((found.origin().images, found.origin().cells), (4, 31));
    }

    #[test]
    fn parts_merge_to_the_whole() {
        let (mut left, mut right, mut all) = (Accumulator::new(), Accumulator::new(), Accumulator::new());
        for seed in 0..6 {
            let (image, head) = (image(seed, 4 + seed as usize), [seed as f32, 1.0]);
            let part = if seed % 2 == 0 { &mut left } else { &mut right };
            part.add(&image, Some(("head", &head))).unwrap();
            all.add(&image, Some(("head", &head))).unwrap();
        }
        left.merge(&right).unwrap();
        let (a, b) = (left.finish("l", (1, 1), "").unwrap(), all.finish("l", (1, 1), "").unwrap());
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(close(&a.mean, &b.mean) && close(&a.covariance, &b.covariance) && close(&a.head_mean, &[2.5, 1.0]));
        // Going on from finished statistics is the same as never having stopped.
        let mut resumed = Accumulator::resume(&a);
        resumed.add(&image(9, 7), Some(("head", &[0.0, 0.0]))).unwrap();
        all.add(&image(9, 7), Some(("head", &[0.0, 0.0]))).unwrap();
        let (a, b) = (resumed.finish("l", (1, 1), "").unwrap(), all.finish("l", (1, 1), "").unwrap());
        assert!(close(&a.mean, &b.mean) && close(&a.covariance, &b.covariance));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut sums = Accumulator::new();
        assert!(sums.finish("l", (1, 1), "").is_err());
        sums.add(&image(1, 2), None).unwrap();
        let other = Tensor::zeros([1, 2, 2, 2]);
        assert!(sums.add(&other, None).is_err_and(|e| e.to_string().contains("channels")));
        let nan = Tensor::new([1, 3, 1, 1], vec![f32::NAN; 3]).unwrap();
        assert!(sums.add(&nan, None).is_err_and(|e| e.to_string().contains("finite")));
        assert!(sums.add(&Tensor::zeros([2, 3, 1, 1]), None).is_err());
        assert_eq!(sums.images(), 1);
    }
}
