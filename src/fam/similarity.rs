//! Similarities between embeddings, and prototypes. Sums run in `f64`: embeddings have up to thousands of channels.

use crate::error::{Error, Result};

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

/// `f / |f|`, or zeros if `f` is zero.
pub(super) fn unit(f: &[f32]) -> Vec<f32> {
    let length = norm(f);
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    f.iter().map(|&x| (f64::from(x) * scale) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_embedding_is_similar_to_nothing() {
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 2.0]), 0.0);
        assert_eq!(unit(&[0.0, 0.0]), [0.0, 0.0]);
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
