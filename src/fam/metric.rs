//! A similarity with what it needs, split into one part per channel.
//!
//! Every similarity here has the shape `s = scale * sum_c a_c d_c + constants`, with `a` and `scale` of the query alone
//! and `d` of the class alone: that is the decomposition into channel contributions, and what makes a class a
//! *direction*.

use super::linear::Inverse;
use super::similarity::{Similarity, dot, subtract};
use crate::error::{Error, Result};

/// A similarity, the mean it subtracts, and the matrix of a learned form.
///
/// ```
/// use famlens::fam::{Metric, Similarity};
/// let metric = Metric::new(Similarity::Euclidean, None, None, false)?;
/// let (f, g) = ([1.0, 2.0], [3.0, 1.0]);
/// let parts = metric.decompose(&f, &g);
/// assert_eq!(parts.contributions, [6.0, 4.0]); // 2 f g
/// assert_eq!(parts.constant, -5.0 - 10.0); // -|f|^2 - |g|^2
/// assert_eq!(parts.similarity(), -5.0); // -|f - g|^2
/// # Ok::<(), famlens::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Metric {
    similarity: Similarity,
    mean: Option<Vec<f32>>,
    matrix: Option<Inverse>,
    l2: bool,
}

/// The query's side of a similarity.
#[derive(Clone, PartialEq, Debug)]
pub struct Side {
    /// `a`: what each direction is multiplied with.
    pub values: Vec<f32>,
    /// What the product is multiplied with.
    pub scale: f64,
    /// Added to every similarity.
    pub constant: f64,
    /// What the embedding was multiplied with before all this (`1 / |f - mean|` with `l2`, else 1).
    pub length: f64,
}

/// A class's side of a similarity.
#[derive(Clone, PartialEq, Debug)]
pub struct Direction {
    /// `d`: what each channel of the query's side is multiplied with.
    pub values: Vec<f32>,
    /// Added to the similarity.
    pub constant: f64,
}

/// A similarity, split.
#[derive(Clone, PartialEq, Debug)]
pub struct Decomposition {
    /// What each channel adds.
    pub contributions: Vec<f32>,
    /// What no channel carries: 0 except for the two distances.
    pub constant: f64,
}

impl Decomposition {
    /// Contributions and constant together.
    pub fn similarity(&self) -> f64 {
        self.contributions.iter().map(|&w| f64::from(w)).sum::<f64>() + self.constant
    }
}

impl Metric {
    /// `mean` is subtracted from every embedding, and with `l2` what remains is scaled to length 1 (L2N and CL2N of
    /// SimpleShot, arXiv 1911.04623).
    ///
    /// # Errors
    /// [`Error::Argument`] if the centred cosine has no mean, a learned form no matrix, or their sizes differ.
    pub fn new(similarity: Similarity, mean: Option<Vec<f32>>, matrix: Option<Inverse>, l2: bool) -> Result<Self> {
        let learned = matches!(similarity, Similarity::Bilinear | Similarity::Mahalanobis);
        if similarity == Similarity::CentredCosine && mean.is_none() {
            let reason = "the centred cosine needs a mean embedding, and model.json has none for this layer; subtract the mean of your images (\"center\")";
            return Err(Error::argument("similarity", reason));
        }
        if learned && matrix.is_none() {
            return Err(Error::argument("similarity", format!("{similarity} needs a matrix, learned or given")));
        }
        let matrix = matrix.filter(|_| learned);
        match (&mean, &matrix) {
            (Some(mean), Some(matrix)) if mean.len() != matrix.size() => {
                let reason = format!("the mean has {} values and the matrix {} rows", mean.len(), matrix.size());
                Err(Error::argument("similarity", reason))
            }
            _ => Ok(Self { similarity, mean, matrix, l2 }),
        }
    }

    /// Which similarity it is.
    pub fn kind(&self) -> Similarity {
        self.similarity
    }

    /// Number of values of the embeddings that it compares, where the mean or the matrix says so.
    pub fn size(&self) -> Option<usize> {
        self.mean.as_ref().map(Vec::len).or_else(|| self.matrix.as_ref().map(Inverse::size))
    }

    /// What is subtracted from embeddings.
    pub fn mean(&self) -> Option<&[f32]> {
        self.mean.as_deref()
    }

    /// The name of the similarity as a score: `"cosine"`, `"centred dot product"`.
    pub fn score_name(&self) -> String {
        let plain = match self.similarity {
            Similarity::Cosine => "cosine",
            Similarity::Dot => "dot product",
            Similarity::Euclidean => "negative squared Euclidean distance",
            Similarity::CentredCosine => return "centred cosine".into(),
            Similarity::Pearson => "Pearson correlation",
            Similarity::Bilinear => return "Mahalanobis cosine".into(),
            Similarity::Mahalanobis => return "negative squared Mahalanobis distance".into(),
        };
        if self.mean.is_some() { format!("centred {plain}") } else { plain.into() }
    }

    /// An embedding as it is averaged and compared: centred, and of length 1 with `l2`.
    pub fn prepare(&self, embedding: &[f32]) -> Vec<f32> {
        let (mut prepared, length) = self.prepared(embedding);
        prepared.iter_mut().for_each(|v| *v = (f64::from(*v) * length) as f32);
        prepared
    }

    /// The centred embedding, and what it is to be multiplied with.
    fn prepared(&self, embedding: &[f32]) -> (Vec<f32>, f64) {
        let centred = match &self.mean {
            Some(mean) => subtract(embedding, mean),
            None => embedding.to_vec(),
        };
        let length = if self.l2 { reciprocal(dot(&centred, &centred).sqrt()) } else { 1.0 };
        (centred, length)
    }

    /// The query's side, from its embedding.
    pub fn side(&self, embedding: &[f32]) -> Side {
        let (_, length) = self.prepared(embedding);
        let mut values = self.prepare(embedding);
        if self.similarity == Similarity::Pearson {
            remove_own_mean(&mut values);
        }
        let squared = self.squared(&values);
        let (scale, constant) = match self.similarity {
            Similarity::Dot => (1.0, 0.0),
            Similarity::Euclidean | Similarity::Mahalanobis => (1.0, -squared),
            _ => (reciprocal(squared.sqrt()), 0.0),
        };
        Side { values, scale, constant, length }
    }

    /// A class's side, from what [`Metric::prepare`] gave for its image (or their mean).
    pub fn direction(&self, prepared: &[f32]) -> Direction {
        let mut g = prepared.to_vec();
        if self.similarity == Similarity::Pearson {
            remove_own_mean(&mut g);
        }
        let squared = self.squared(&g);
        let values = self.matrix.as_ref().map_or_else(|| g.clone(), |m| m.apply(&g));
        let (factor, constant) = match self.similarity {
            Similarity::Dot => (1.0, 0.0),
            Similarity::Euclidean | Similarity::Mahalanobis => (2.0, -squared),
            _ => (reciprocal(squared.sqrt()), 0.0),
        };
        Direction { values: values.iter().map(|&v| (f64::from(v) * factor) as f32).collect(), constant }
    }

    /// The similarity of a query with a class.
    pub fn compare(&self, query: &Side, class: &Direction) -> f64 {
        query.scale * dot(&query.values, &class.values) + query.constant + class.constant
    }

    /// The gradient of the similarity with a class with respect to the query's embedding.
    ///
    /// With `a` and `d` of the two sides: `d` for the dot product, `d - 2 M a` for the distances, and
    /// `d / l - (a.d) M a / l^3`, `l^2 = a' M a`, for the cosines; then back through what was done to the embedding.
    /// Zeros where a cosine is not defined.
    pub fn gradient(&self, embedding: &[f32], class: &Direction) -> Vec<f32> {
        let side = self.side(embedding);
        let own = self.matrix.as_ref().map_or_else(|| side.values.clone(), |m| m.apply(&side.values));
        let by = match self.similarity {
            Similarity::Dot => 0.0,
            Similarity::Euclidean | Similarity::Mahalanobis => 2.0,
            _ => dot(&side.values, &class.values) * side.scale.powi(3),
        };
        let slope = |(&d, &m): (&f32, &f32)| (side.scale * f64::from(d) - by * f64::from(m)) as f32;
        let mut slopes: Vec<f32> = class.values.iter().zip(&own).map(slope).collect();
        if self.similarity == Similarity::Pearson {
            remove_own_mean(&mut slopes);
        }
        if self.l2 {
            // u = x / |x|, so dx = (du - (u.du) u) / |x|.
            let unit = self.prepare(embedding);
            let along = dot(&slopes, &unit);
            let turn = |(s, &u): (&mut f32, &f32)| *s = ((f64::from(*s) - along * f64::from(u)) * side.length) as f32;
            slopes.iter_mut().zip(&unit).for_each(turn);
        }
        slopes
    }

    /// The similarity of two embeddings.
    pub fn similarity(&self, f: &[f32], g: &[f32]) -> f64 {
        self.compare(&self.side(f), &self.direction(&self.prepare(g)))
    }

    /// What each channel adds to the similarity of two embeddings.
    pub fn decompose(&self, f: &[f32], g: &[f32]) -> Decomposition {
        let (query, class) = (self.side(f), self.direction(&self.prepare(g)));
        let part = |(&a, &d): (&f32, &f32)| (query.scale * f64::from(a) * f64::from(d)) as f32;
        let contributions = query.values.iter().zip(&class.values).map(part).collect();
        Decomposition { contributions, constant: query.constant + class.constant }
    }

    /// `v' M v`, or `v' v`.
    fn squared(&self, v: &[f32]) -> f64 {
        self.matrix.as_ref().map_or_else(|| dot(v, v), |m| dot(v, &m.apply(v)).max(0.0))
    }
}

fn reciprocal(length: f64) -> f64 {
    if length > 0.0 { 1.0 / length } else { 0.0 }
}

fn remove_own_mean(values: &mut [f32]) {
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len().max(1) as f64;
    values.iter_mut().for_each(|v| *v = (f64::from(*v) - mean) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Choice;
    use crate::fam::{centred_cosine, cosine};

    const F: [f32; 4] = [0.5, 2.0, 0.0, 1.0];
    const G: [f32; 4] = [1.0, 2.0, 0.5, -0.25];
    const M: [f32; 4] = [0.25, 0.5, 0.75, 0.5];

    fn matrix() -> Result<Inverse> {
        Inverse::given(4, &[2.0, 0.5, 0.0, 0.0, 0.5, 1.0, 0.0, 0.1, 0.0, 0.0, 3.0, 0.0, 0.0, 0.1, 0.0, 1.5])
    }

    fn metric(similarity: Similarity, l2: bool) -> Result<Metric> {
        let mean = (similarity == Similarity::CentredCosine).then(|| M.to_vec());
        Metric::new(similarity, mean, Some(matrix()?), l2)
    }

    #[test]
    fn contributions_and_constant_are_the_similarity() -> Result<()> {
        for &similarity in Similarity::ALL {
            for l2 in [false, true] {
                let metric = metric(similarity, l2)?;
                let parts = metric.decompose(&F, &G);
                let expected = metric.similarity(&F, &G);
                assert!(
                    (parts.similarity() - expected).abs() < 1e-5,
                    "{similarity}: {} {expected}",
                    parts.similarity()
                );
                let distance = matches!(similarity, Similarity::Euclidean | Similarity::Mahalanobis);
                assert_eq!(parts.constant != 0.0, distance, "{similarity}");
            }
        }
        Ok(())
    }

    /// By other formulas than those of the implementation; each fails if it were another similarity.
    #[test]
    fn each_similarity_is_what_it_says() -> Result<()> {
        let product = |x: &[f32], y: &[f32]| -> f64 {
            let m = [[2.0, 0.5, 0.0, 0.0], [0.5, 1.0, 0.0, 0.1], [0.0, 0.0, 3.0, 0.0], [0.0, 0.1, 0.0, 1.5]];
            (0..4)
                .flat_map(|i| (0..4).map(move |j| (i, j)))
                .map(|(i, j)| f64::from(x[i]) * m[i][j] * f64::from(y[j]))
                .sum()
        };
        let difference: Vec<f32> = F.iter().zip(&G).map(|(f, g)| f - g).collect();
        let mean = |v: &[f32]| v.iter().sum::<f32>() / 4.0;
        let own = |v: &[f32]| -> Vec<f32> { v.iter().map(|x| x - mean(v)).collect() };
        let expected = [
            (Similarity::Cosine, cosine(&F, &G)),
            (Similarity::Dot, 0.5 + 4.0 - 0.25),
            (Similarity::Euclidean, -(0.25 + 0.25 + 1.5625)),
            (Similarity::CentredCosine, centred_cosine(&F, &G, &M)),
            (Similarity::Pearson, cosine(&own(&F), &own(&G))),
            (Similarity::Bilinear, product(&F, &G) / (product(&F, &F) * product(&G, &G)).sqrt()),
            (Similarity::Mahalanobis, -product(&difference, &difference)),
        ];
        assert_eq!(expected.len(), Similarity::ALL.len());
        for (similarity, expected) in expected {
            let found = metric(similarity, false)?.similarity(&F, &G);
            assert!((found - expected).abs() < 1e-5, "{similarity}: {found} and not {expected}");
        }
        Ok(())
    }

    #[test]
    fn l2_scales_what_is_averaged() -> Result<()> {
        let metric = Metric::new(Similarity::Dot, Some(M.to_vec()), None, true)?;
        assert!((dot(&metric.prepare(&F), &metric.prepare(&F)) - 1.0).abs() < 1e-6);
        assert!((metric.similarity(&F, &G) - centred_cosine(&F, &G, &M)).abs() < 1e-6);
        Ok(())
    }

    #[test]
    fn what_is_missing_is_said() {
        let message = |s, mean| Metric::new(s, mean, None, false).map(|_| ()).map_err(|e| e.to_string());
        assert!(message(Similarity::CentredCosine, None).is_err_and(|m| m.contains("mean embedding")));
        assert!(message(Similarity::Mahalanobis, None).is_err_and(|m| m.contains("matrix")));
    }

    #[test]
    fn zero_embeddings_are_similar_to_nothing() -> Result<()> {
        for &similarity in Similarity::ALL {
            let found = metric(similarity, true)?.similarity(&[0.0; 4], &[0.0; 4]);
            assert!(found.is_finite(), "{similarity}");
        }
        Ok(())
    }
}
