//! From the gradient of a pooled embedding to that of the activation maps.

use super::Maps;
use crate::engine::Pooling;

/// GeM takes no value below this, so its slope there is 0.
const GEM_FLOOR: f64 = 1e-6;

/// `dS / dA_c(x, y) = dS / df_c * df_c / dA_c(x, y)`, `C x H x W`, for the embedding `f` that `pooling` makes of the maps. The
/// gradient of a maximum goes to the first cell that has it.
pub fn gradient(maps: &Maps, pooling: Pooling, embedding: &[f32]) -> Vec<f32> {
    let n = maps.cells();
    let mut out = vec![0f32; maps.data().len()];
    for ((out, plane), &d) in out.chunks_exact_mut(n).zip(maps.planes()).zip(embedding) {
        match pooling {
            Pooling::Average => out.fill(d / n as f32),
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
