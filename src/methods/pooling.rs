//! From the gradient of a pooled embedding to that of the activation maps.

use super::Maps;
use crate::engine::Pooling;

/// GeM takes no value below this, so its slope there is 0.
const GEM_FLOOR: f64 = 1e-6;

/// `dS / dA_c(x, y) = dS / df_c * df_c / dA_c(x, y)`, `C x H x W`, for the embedding `f` that `pooling` makes of the
/// maps. The gradient of a maximum goes to the first cell that has it.
pub fn gradient(maps: &Maps, pooling: Pooling, embedding: &[f32]) -> Vec<f32> {
    if pooling == Pooling::Crow {
        return crow(maps, embedding);
    }
    let n = maps.cells();
    let mut out = vec![0f32; maps.data().len()];
    for ((out, plane), &d) in out.chunks_exact_mut(n).zip(maps.planes()).zip(embedding) {
        match pooling {
            Pooling::Average | Pooling::Crow => out.fill(d / n as f32),
            Pooling::Max => {
                let first = (1..n).fold(0, |best, i| if plane[i] > plane[best] { i } else { best });
                out[first] = d;
            }
            Pooling::GeM(p) => {
                // f = (mean a^p)^(1/p), so df/da = (a / f)^(p - 1) / n, with the largest value taken out of the powers.
                let p = f64::from(p);
                let floored = |a: f32| f64::from(a).max(GEM_FLOOR);
                let largest = plane.iter().map(|&a| floored(a)).fold(GEM_FLOOR, f64::max);
                let mean = plane.iter().map(|&a| (floored(a) / largest).powf(p)).sum::<f64>() / n as f64;
                let pooled = largest * mean.powf(1.0 / p);
                for (out, &a) in out.iter_mut().zip(plane).filter(|(_, a)| f64::from(**a) > GEM_FLOOR) {
                    *out = (f64::from(d) * (f64::from(a) / pooled).powf(p - 1.0) / n as f64) as f32;
                }
            }
        }
    }
    out
}

/// With cell shares `s_i = t_i / sum t`, `t_i = sqrt(S_i)`, `S_i` the cell's sum over channels, and `q_i = sum_c
/// dS/df_c A_ci`: `dS / dA_cj = dS/df_c s_j + (q_j - sum_i s_i q_i) / (2 t_j sum t)`, the second term where `S_j` is
/// positive.
fn crow(maps: &Maps, embedding: &[f32]) -> Vec<f32> {
    let n = maps.cells();
    let roots: Vec<f64> =
        maps.weighed(&vec![1.0; maps.channels()]).iter().map(|&s| f64::from(s.max(0.0)).sqrt()).collect();
    let total: f64 = roots.iter().sum();
    if total == 0.0 {
        return embedding.iter().flat_map(|&d| std::iter::repeat_n(d / n as f32, n)).collect();
    }
    let along: Vec<f64> = maps.weighed(embedding).iter().map(|&q| f64::from(q)).collect();
    let mean: f64 = along.iter().zip(&roots).map(|(q, t)| q * t / total).sum();
    let second = |(q, t): (&f64, &f64)| if *t > 0.0 { (q - mean) / (2.0 * t * total) } else { 0.0 };
    let second: Vec<f64> = along.iter().zip(&roots).map(second).collect();
    let cell = |d: f32| roots.iter().zip(&second).map(move |(t, s)| (f64::from(d) * t / total + s) as f32);
    embedding.iter().flat_map(|&d| cell(d).collect::<Vec<_>>()).collect()
}
