//! Similarities between embeddings, and prototypes. Sums run in `f64`: embeddings have up to thousands of channels.

use crate::choice::choice;
use crate::error::{Error, Result};

/// How alike two embeddings `f` (query) and `g` (class) are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Similarity {
    /// `f.g / (|f| |g|)`.
    #[default]
    Cosine,
    /// `f.g`.
    Dot,
    /// `-|f - g|^2`.
    Euclidean,
    /// Cosine of `f - m` and `g - m`, with `m` the mean embedding of unlabelled images.
    CentredCosine,
    /// Pearson's correlation: cosine of `f` and `g`, each less its own mean over channels.
    Pearson,
    /// `(f - m)' M (g - m)`, divided by the lengths of both under `M`.
    Bilinear,
    /// `-(f - g)' M (f - g)`.
    Mahalanobis,
}

choice!(Similarity, "similarity", {
    Cosine: "cosine", "Cosine",
        "The angle between the two embeddings; their lengths do not count.",
        "arXiv 2307.05017", "";
    Dot: "dot", "Dot product",
        "The sum of the products channel by channel; bright, busy images score high with everything.",
        "arXiv 2307.05017", "Usually decides worse than the cosine.";
    Euclidean: "euclidean", "Squared Euclidean distance",
        "Minus the squared distance; the map shows its cross term 2 f g, and the squared lengths are stated as a constant.",
        "arXiv 1703.05175 (prototypical networks)",
        "Splitting -(f - g)^2 channel by channel instead would turn the map upside down.";
    CentredCosine: "centred-cosine", "Centred cosine",
        "The cosine after subtracting the mean embedding of many images, so that what all images share does not count.",
        "arXiv 1911.04623 (SimpleShot)", "Needs a mean embedding.", needs [Mean];
    Pearson: "pearson", "Correlation (Pearson)",
        "The cosine after subtracting from each embedding its own mean over channels.",
        "Pearson's correlation coefficient", "";
    Bilinear: "bilinear", "Learned bilinear form",
        "A cosine in which channels that vary together count once, by the covariance of your images.",
        "Mahalanobis cosine; M is the inverse covariance with shrinkage (Ledoit and Wolf 2004)",
        "Learned from the images in the session, unless a matrix is given.", needs [Matrix];
    Mahalanobis: "mahalanobis", "Mahalanobis distance",
        "Minus the squared distance in units of how much your images vary; the cross term is shown, the rest is a constant.",
        "Mahalanobis 1936; M is the inverse covariance with shrinkage (Ledoit and Wolf 2004)",
        "Learned from the images in the session, unless a matrix is given.", needs [Matrix];
});

/// Dot product of two embeddings of equal length.
pub fn dot(f: &[f32], g: &[f32]) -> f64 {
    f.iter().zip(g).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Euclidean length of an embedding.
pub fn norm(f: &[f32]) -> f64 {
    dot(f, f).sqrt()
}

/// Cosine similarity, in -1 to 1; 0 if either embedding is zero.
///
/// ```
/// assert_eq!(famlens::fam::cosine(&[3.0, 4.0], &[6.0, 8.0]), 1.0);
/// assert_eq!(famlens::fam::cosine(&[1.0, 0.0], &[0.0, 2.0]), 0.0);
/// ```
pub fn cosine(f: &[f32], g: &[f32]) -> f64 {
    let lengths = norm(f) * norm(g);
    if lengths > 0.0 { dot(f, g) / lengths } else { 0.0 }
}

/// Cosine similarity of `f - mean` and `g - mean`, in -1 to 1.
///
/// With `mean` the average embedding of many unlabelled images, what all images share no longer counts.
pub fn centred_cosine(f: &[f32], g: &[f32], mean: &[f32]) -> f64 {
    cosine(&subtract(f, mean), &subtract(g, mean))
}

/// The class prototype: the mean of the supports' embeddings (prototypical networks, arXiv 1703.05175, eq. 1).
///
/// # Errors
/// [`Error::Argument`] without supports, or if the embeddings differ in length.
///
/// ```
/// let g = famlens::fam::prototype(&[&[1.0, 2.0], &[3.0, 6.0]])?;
/// assert_eq!(g, [2.0, 4.0]);
/// # Ok::<(), famlens::Error>(())
/// ```
pub fn prototype(supports: &[&[f32]]) -> Result<Vec<f32>> {
    let first = supports.first().ok_or_else(|| Error::argument("supports", "a class needs at least one image"))?;
    if let Some(other) = supports.iter().find(|s| s.len() != first.len()) {
        let reason = format!("embeddings of {} and {} channels cannot be averaged", first.len(), other.len());
        return Err(Error::argument("supports", reason));
    }
    let mean = |c: usize| supports.iter().map(|s| f64::from(s[c])).sum::<f64>() / supports.len() as f64;
    Ok((0..first.len()).map(|c| mean(c) as f32).collect())
}

/// `f - mean`, element by element.
pub(super) fn subtract(f: &[f32], mean: &[f32]) -> Vec<f32> {
    f.iter().zip(mean).map(|(a, b)| a - b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_embedding_is_similar_to_nothing() {
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 2.0]), 0.0);
    }

    #[test]
    fn centring_removes_what_all_images_share() {
        let mean = [10.0, 10.0];
        assert!(cosine(&[11.0, 10.0], &[10.0, 11.0]) > 0.99);
        assert!(centred_cosine(&[11.0, 10.0], &[10.0, 11.0], &mean).abs() < 1e-9);
    }

    #[test]
    fn a_prototype_needs_supports_of_one_length() {
        assert!(prototype(&[]).is_err());
        assert!(prototype(&[&[1.0], &[1.0, 2.0]]).is_err());
    }
}
