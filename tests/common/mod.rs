//! What the suites share: where the goldens are, how they are read, how answers are compared.
#![allow(dead_code, reason = "every suite uses a part of it")]

use std::path::{Path, PathBuf};

use famlens::tensor::Tensor;

/// A path below the repository's root.
pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A path below `tests/goldens`.
pub fn golden(path: &str) -> PathBuf {
    root("tests/goldens").join(path)
}

/// A file's bytes.
pub fn bytes(path: impl AsRef<Path>) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}

/// A JSON file.
pub fn json(path: impl AsRef<Path>) -> serde_json::Value {
    serde_json::from_slice(&bytes(path)).expect("a golden's JSON is well formed")
}

/// A NumPy file of floats below `tests/goldens`.
pub fn npy(path: &str) -> Tensor {
    let bytes = bytes(golden(path));
    let file = npyz::NpyFile::new(&bytes[..]).expect("a golden is a NumPy file");
    let shape: Vec<usize> = file.shape().iter().map(|&d| d as usize).collect();
    let data: Vec<f32> = file.into_vec().expect("a golden holds f32");
    Tensor::new(famlens::tensor::Shape::new(shape), data).expect("a golden's shape fits its data")
}

/// The rows of a `[N, ..]` tensor.
pub fn rows(tensor: &Tensor) -> impl Iterator<Item = &[f32]> {
    let n = tensor.shape().dims()[0];
    tensor.data().chunks(tensor.data().len() / n)
}

/// Largest absolute difference over the largest absolute value expected.
pub fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len(), "lengths differ");
    let scale = expected.iter().fold(0f64, |m, &v| m.max(f64::from(v).abs()));
    let off = found.iter().zip(expected).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs());
    // NaN must not pass as zero.
    off.fold(0f64, |m, d| if d.is_nan() { f64::INFINITY } else { m.max(d) }) / scale.max(1e-12)
}

/// Cosine similarity.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    famlens::fam::cosine(a, b)
}

/// Pearson correlation.
pub fn pearson(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "lengths differ");
    let mean = |v: &[f32]| v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x) - ma, f64::from(y) - mb);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    ab / (aa * bb).sqrt()
}
