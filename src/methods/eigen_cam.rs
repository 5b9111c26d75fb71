//! Eigen-CAM (Muhammad and Yeasin, arXiv 2008.00299): the first principal component of the activations.

use super::Maps;

/// More rounds find no better direction: two components that are so close explain equally much.
const ROUNDS: usize = 500;

/// The first principal component over the cells: each cell's activations, less their mean over the cells, projected on
/// the direction of largest variance. It depends on no score.
///
/// The paper projects without centring; as in pytorch-grad-cam, the activations are centred first, or the component
/// is little else than the mean. Its sign is arbitrary; it is chosen so that the map grows with the mean activation.
pub fn map(maps: &Maps) -> Vec<f32> {
    let (cells, channels) = (maps.cells(), maps.channels());
    let mut centred = vec![0f64; cells * channels];
    for ((to, plane), mean) in centred.chunks_exact_mut(cells).zip(maps.planes()).zip(maps.means()) {
        to.iter_mut().zip(plane).for_each(|(t, &a)| *t = f64::from(a) - f64::from(mean));
    }
    let rows = || centred.chunks_exact(cells);
    // Sum of the channels: a start that the wanted direction is hardly ever at right angles to, and the sign.
    let mut sum = vec![0f64; cells];
    rows().for_each(|row| sum.iter_mut().zip(row).for_each(|(s, v)| *s += v));
    let mut u = sum.clone();
    // One cell apart from the others, so that a sum of zeros starts somewhere.
    if let Some(first) = u.first_mut() {
        *first += 1e-3 * norm(&centred).max(f64::MIN_POSITIVE);
    }
    scale(&mut u);
    // Power iteration: u <- X X^T u, with the channels' projections in between.
    let mut projection = vec![0f64; channels];
    for _ in 0..ROUNDS {
        projection.iter_mut().zip(rows()).for_each(|(p, row)| *p = dot(row, &u));
        let mut next = vec![0f64; cells];
        for (row, &p) in rows().zip(&projection) {
            next.iter_mut().zip(row).for_each(|(n, v)| *n += p * v);
        }
        scale(&mut next);
        let moved: f64 = next.iter().zip(&u).map(|(a, b)| (a - b).powi(2)).sum();
        u = next;
        if moved < 1e-18 {
            break;
        }
    }
    let length = norm(&projection);
    let sign = if dot(&u, &sum) < 0.0 { -length } else { length };
    u.into_iter().map(|v| (v * sign) as f32).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}

/// To length 1; zeros stay.
fn scale(v: &mut [f64]) {
    let length = norm(v);
    if length > 0.0 {
        v.iter_mut().for_each(|x| *x /= length);
    }
}
