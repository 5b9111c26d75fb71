//! Where to where: the similarity of two images as a sum over pairs of cells.
//!
//! Pooling writes an embedding as a sum over cells, `f = sum_i a_i` with `a_i` the share of cell i (for global average
//! pooling `a_i = A_i / n`). A similarity that is linear in both embeddings is then a sum over pairs of cells,
//! `s f.g = sum_ij s a_i.b_j`, exactly: cosine with `s = 1 / (|f| |g|)`, the dot product with `s = 1`.

use crate::engine::Pooling;
use crate::engine::mix::crow_shares;
use crate::error::{Error, Result};
use crate::fam::norm;
use crate::tensor::Tensor;

/// More pairs of cells than this are refused: 64 MB of terms, and nobody could point at one.
const MOST_TERMS: usize = 1 << 24;

/// GeM takes no value below this, as the engines do.
const GEM_FLOOR: f32 = 1e-6;

/// An embedding written as a sum over the cells of its image.
#[derive(Clone, PartialEq, Debug)]
pub struct Cells {
    /// Cells across.
    pub width: usize,
    /// Cells down.
    pub height: usize,
    /// `C` rows of `height * width` shares; a row sums to its channel of the embedding.
    shares: Vec<f32>,
    /// The embedding, `C` values.
    embedding: Vec<f32>,
}

impl Cells {
    /// Splits the pooled embedding of activation maps `[1, C, H, W]`, less `mean` if there is one, into shares of
    /// cells.
    ///
    /// Average pooling gives each cell `A_ci / n`. Max pooling gives a channel to the cell where it is largest. GeM
    /// gives cell i the part `a_ci^p / sum_j a_cj^p` of its channel: gradient times input, which is exact because GeM
    /// is homogeneous. CroW gives `s_i A_ci` with its own weights of the cells. The mean is spread evenly.
    ///
    /// # Errors
    /// [`Error::Argument`] if the maps have another shape or the mean another number of channels.
    pub fn new(features: &Tensor, pooling: Pooling, mean: Option<&[f32]>) -> Result<Self> {
        let Some((channels, height, width)) = features.shape().chw() else {
            let reason = format!("activation maps must be [1, C, H, W], and these are {}", features.shape());
            return Err(Error::argument("target", reason));
        };
        if let Some(mean) = mean.filter(|mean| mean.len() != channels) {
            let reason = format!("has {} values, and the target layer has {channels} channels", mean.len());
            return Err(Error::argument("mean embedding", reason));
        }
        let cells = height * width;
        let mut shares = Vec::with_capacity(channels * cells);
        let mut embedding = Vec::with_capacity(channels);
        let attention = match pooling {
            Pooling::Crow => crow_shares(features.data(), cells.max(1)),
            _ => Vec::new(),
        };
        for (channel, plane) in features.data().chunks_exact(cells.max(1)).enumerate() {
            let row = shares.len();
            split(plane, pooling, &attention, &mut shares);
            if let Some(mean) = mean {
                let each = mean[channel] / cells as f32;
                shares[row..].iter_mut().for_each(|s| *s -= each);
            }
            embedding.push(shares[row..].iter().map(|&s| f64::from(s)).sum::<f64>() as f32);
        }
        Ok(Self { width, height, shares, embedding })
    }

    /// The embedding that the shares sum to, `C` values.
    pub fn embedding(&self) -> &[f32] {
        &self.embedding
    }

    /// The same for the embedding less its own mean over channels, as Pearson's correlation has it: each cell loses the
    /// mean of its shares.
    #[must_use]
    pub fn less_own_mean(mut self) -> Self {
        let (cells, channels) = (self.count(), self.embedding.len().max(1) as f64);
        let mut means = vec![0f64; cells];
        for row in self.shares.chunks_exact(cells.max(1)) {
            means.iter_mut().zip(row).for_each(|(m, &s)| *m += f64::from(s) / channels);
        }
        for row in self.shares.chunks_exact_mut(cells.max(1)) {
            row.iter_mut().zip(&means).for_each(|(s, m)| *s -= *m as f32);
        }
        let mean = means.iter().sum::<f64>() as f32;
        self.embedding.iter_mut().for_each(|f| *f -= mean);
        self
    }

    /// Number of cells.
    pub fn count(&self) -> usize {
        self.width * self.height
    }
}

/// Appends one channel's shares: they sum to its pooled value. `attention` are the weights of the cells under CroW.
fn split(plane: &[f32], pooling: Pooling, attention: &[f64], shares: &mut Vec<f32>) {
    match pooling {
        Pooling::Crow => shares.extend(plane.iter().zip(attention).map(|(&a, s)| (f64::from(a) * s) as f32)),
        Pooling::Average => shares.extend(plane.iter().map(|a| a / plane.len() as f32)),
        Pooling::Max => {
            let better = |best: usize, i: usize| if plane[i] > plane[best] { i } else { best };
            let best = (0..plane.len()).fold(0, better);
            shares.extend(plane.iter().enumerate().map(|(i, &a)| if i == best { a } else { 0.0 }));
        }
        Pooling::GeM(p) => {
            let largest = plane.iter().copied().fold(GEM_FLOOR, f32::max);
            let powers = plane.iter().map(|&a| f64::from(a.max(GEM_FLOOR) / largest).powf(f64::from(p)));
            let sum: f64 = powers.clone().sum();
            let pooled = f64::from(largest) * (sum / plane.len() as f64).powf(1.0 / f64::from(p));
            shares.extend(powers.map(|power| (pooled * power / sum) as f32));
        }
    }
}

/// What every pair of a cell of image a and a cell of image b adds to their similarity.
#[derive(Clone, PartialEq, Debug)]
pub struct WhereToWhere {
    /// Cells of image a: `(width, height)`.
    pub a: (usize, usize),
    /// Cells of image b: `(width, height)`.
    pub b: (usize, usize),
    /// One row for each cell of a, one column for each cell of b, cells row by row.
    pub terms: Vec<f32>,
    /// The sum of all terms, added up in double precision.
    pub sum: f64,
}

impl WhereToWhere {
    /// The terms of the cosine similarity (of the centred one, if the cells were made with a mean):
    /// `T_ij = a_i.b_j / (|f| |g|)`. All zero if an embedding is.
    ///
    /// ```
    /// use famlens::engine::Pooling;
    /// use famlens::tasks::pair::{Cells, WhereToWhere};
    /// use famlens::tensor::Tensor;
    /// let a = Cells::new(&Tensor::new([1, 2, 1, 2], vec![6.0, 0.0, 0.0, 8.0])?, Pooling::Average, None)?;
    /// let b = Cells::new(&Tensor::new([1, 2, 1, 1], vec![5.0, 0.0])?, Pooling::Average, None)?;
    /// let map = WhereToWhere::cosine(&a, &b)?;
    /// assert_eq!(map.terms, [0.6, 0.0]);
    /// assert_eq!(map.sum as f32, famlens::fam::cosine(a.embedding(), b.embedding()) as f32);
    /// # Ok::<(), famlens::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`WhereToWhere::new`].
    pub fn cosine(a: &Cells, b: &Cells) -> Result<Self> {
        let lengths = norm(&a.embedding) * norm(&b.embedding);
        Self::new(a, b, if lengths > 0.0 { 1.0 / lengths } else { 0.0 })
    }

    /// The terms of `scale` times the dot product: `T_ij = scale a_i.b_j`.
    ///
    /// # Errors
    /// [`Error::Argument`] if the two have not the same channels; [`Error::TooLarge`] for more than 2^24 pairs of
    /// cells.
    pub fn new(a: &Cells, b: &Cells, scale: f64) -> Result<Self> {
        let (n, m) = (a.count(), b.count());
        if a.embedding.len() != b.embedding.len() {
            let reason = format!("{} and {} channels cannot be compared", a.embedding.len(), b.embedding.len());
            return Err(Error::argument("images", reason));
        }
        if n.saturating_mul(m) > MOST_TERMS {
            return Err(Error::TooLarge {
                what: "the table of pairs of cells at this layer".into(),
                size: format!("{n} x {m}"),
                limit: format!("{MOST_TERMS} pairs; choose a later layer"),
            });
        }
        let mut sums = vec![0f64; n * m];
        for (of_a, of_b) in a.shares.chunks_exact(n.max(1)).zip(b.shares.chunks_exact(m.max(1))) {
            for (row, &share) in sums.chunks_exact_mut(m.max(1)).zip(of_a) {
                // After a ReLU nine shares of ten are zero.
                if share != 0.0 {
                    row.iter_mut().zip(of_b).for_each(|(t, &s)| *t += f64::from(share) * f64::from(s));
                }
            }
        }
        let sum = sums.iter().sum::<f64>() * scale;
        let terms = sums.into_iter().map(|t| (t * scale) as f32).collect();
        Ok(Self { a: (a.width, a.height), b: (b.width, b.height), terms, sum })
    }

    /// What each cell of a adds: its terms over all cells of b. With average pooling and cosine this is FAM's map in
    /// the form of CAM, up to the number of cells.
    pub fn of_a(&self) -> Vec<f32> {
        let columns = (self.b.0 * self.b.1).max(1);
        self.terms.chunks_exact(columns).map(|row| row.iter().map(|&t| f64::from(t)).sum::<f64>() as f32).collect()
    }

    /// What each cell of b adds: its terms over all cells of a.
    pub fn of_b(&self) -> Vec<f32> {
        let columns = self.b.0 * self.b.1;
        let mut sums = vec![0f64; columns];
        for row in self.terms.chunks_exact(columns.max(1)) {
            sums.iter_mut().zip(row).for_each(|(s, &t)| *s += f64::from(t));
        }
        sums.into_iter().map(|s| s as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::mix::mix_host;
    use crate::engine::{Gate, Mix};
    use crate::fam::{centred_cosine, cosine};

    fn features(seed: u64, height: usize, width: usize) -> Tensor {
        let mut rng = fastrand::Rng::with_seed(seed);
        let values = (0..12 * height * width).map(|_| (rng.f32() * 8.0 - 3.0).max(0.0)).collect();
        Tensor::new([1, 12, height, width], values).unwrap()
    }

    fn pooled(features: &Tensor, pooling: Pooling) -> Vec<f32> {
        mix_host(features, &Mix { pooling, ..Mix::default() }).unwrap().embedding
    }

    #[test]
    fn shares_sum_to_the_engines_embedding_under_every_pooling() {
        for pooling in [Pooling::Average, Pooling::Max, Pooling::GeM(3.0), Pooling::GeM(1.5), Pooling::Crow] {
            let a = features(1, 4, 5);
            let cells = Cells::new(&a, pooling, None).unwrap();
            for (found, expected) in cells.embedding().iter().zip(pooled(&a, pooling)) {
                assert!((found - expected).abs() < 1e-5 * expected.max(1.0), "{pooling:?}: {found} is not {expected}");
            }
        }
    }

    #[test]
    fn terms_sum_to_the_similarity() {
        let mean: Vec<f32> = (0..12).map(|c| 0.1 * c as f32).collect();
        let (a, b) = (features(1, 4, 5), features(2, 3, 6));
        for pooling in [Pooling::Average, Pooling::Max, Pooling::GeM(3.0), Pooling::Crow] {
            let (f, g) = (pooled(&a, pooling), pooled(&b, pooling));
            let of = |mean| WhereToWhere::cosine(&Cells::new(&a, pooling, mean)?, &Cells::new(&b, pooling, mean)?);
            let (plain, centred) = (of(None).unwrap(), of(Some(&mean[..])).unwrap());
            assert_eq!((plain.a, plain.b, plain.terms.len()), ((5, 4), (6, 3), 20 * 18));
            assert!((plain.sum - cosine(&f, &g)).abs() < 1e-6, "{pooling:?}");
            assert!((centred.sum - centred_cosine(&f, &g, &mean)).abs() < 1e-6, "{pooling:?}");
            let again: f64 = plain.terms.iter().map(|&t| f64::from(t)).sum();
            assert!((again - plain.sum).abs() < 1e-5);
        }
    }

    #[test]
    fn without_its_own_mean_the_cosine_is_pearsons_correlation() {
        let (a, b) = (features(1, 4, 5), features(2, 3, 6));
        let cells = |t: &Tensor| Cells::new(t, Pooling::Average, None).unwrap().less_own_mean();
        let found = WhereToWhere::cosine(&cells(&a), &cells(&b)).unwrap();
        let centred = |t: &Tensor| {
            let f = pooled(t, Pooling::Average);
            let mean = f.iter().sum::<f32>() / f.len() as f32;
            f.iter().map(|v| v - mean).collect::<Vec<_>>()
        };
        assert!((found.sum - cosine(&centred(&a), &centred(&b))).abs() < 1e-6);
    }

    #[test]
    fn a_term_is_what_the_definition_says() {
        let (a, b) = (features(1, 2, 2), features(2, 1, 3));
        let cells = |t: &Tensor| Cells::new(t, Pooling::Average, None).unwrap();
        let found = WhereToWhere::new(&cells(&a), &cells(&b), 2.0).unwrap();
        let (i, j) = (3, 1);
        let dot: f32 = (0..12).map(|c| a.data()[c * 4 + i] * b.data()[c * 3 + j]).sum();
        assert!((found.terms[i * 3 + j] - 2.0 * dot / 12.0).abs() < 1e-4);
    }

    #[test]
    fn the_margins_are_maps_in_the_form_of_cam() {
        let (a, b) = (features(1, 4, 5), features(2, 3, 6));
        let (f, g) = (pooled(&a, Pooling::Average), pooled(&b, Pooling::Average));
        let cells = |t: &Tensor| Cells::new(t, Pooling::Average, None).unwrap();
        let found = WhereToWhere::cosine(&cells(&a), &cells(&b)).unwrap();
        let directions = |d: &[f32]| vec![d.iter().map(|v| v / (norm(&f) * norm(&g)) as f32).collect()];
        let cam = |t: &Tensor, d: &[f32]| {
            let mix = Mix { directions: directions(d), gate: Gate::One, ..Mix::default() };
            mix_host(t, &mix).unwrap().maps
        };
        for (margin, map) in [(found.of_a(), cam(&a, &g)), (found.of_b(), cam(&b, &f))] {
            let cells = map.len() as f32;
            margin.iter().zip(&map).for_each(|(m, v)| assert!((m - v / cells).abs() < 1e-6, "{m} {v}"));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let a = Cells::new(&features(1, 2, 2), Pooling::Average, None).unwrap();
        let short = Tensor::zeros([1, 3, 2, 2]);
        let b = Cells::new(&short, Pooling::Average, None).unwrap();
        assert!(WhereToWhere::cosine(&a, &b).is_err_and(|e| e.to_string().contains("12 and 3 channels")));
        assert!(Cells::new(&short, Pooling::Average, Some(&[0.0])).is_err());
        assert!(Cells::new(&Tensor::zeros([2, 3, 4]), Pooling::Average, None).is_err());
        let fine = Cells::new(&Tensor::zeros([1, 1, 112, 112]), Pooling::Average, None).unwrap();
        assert!(WhereToWhere::cosine(&fine, &fine).is_err_and(|e| e.to_string().contains("later layer")));
        let zero = Cells::new(&Tensor::zeros([1, 12, 2, 2]), Pooling::Average, None).unwrap();
        assert_eq!(WhereToWhere::cosine(&a, &zero).unwrap().terms, [0.0; 16]);
    }
}
