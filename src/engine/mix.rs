//! [`Mix`] over activation maps in host memory: the definition, and what the CPU engines use.

use super::{Gate, Mix, Mixed, Pooling};
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};

/// GeM takes no value below this (arXiv 1711.02512 leaves it open; this is the value of the authors' code).
pub(crate) const GEM_FLOOR: f32 = 1e-6;

/// Pools, weighs and sums the channels of `[1, C, H, W]` or `[1, C]` activation maps.
///
/// # Errors
/// [`Error::Argument`] if the maps have another rank or the mix was made for another number of channels.
pub(crate) fn mix_host(features: &Tensor, mix: &Mix) -> Result<Mixed> {
    let (channels, height, width) = channels_height_width(features.shape())?;
    validate(mix, channels)?;
    let cells = height * width;
    let data = features.data();
    let planes = || data.chunks_exact(cells.max(1));
    let embedding: Vec<f32> = match mix.pooling {
        Pooling::Crow => {
            let shares = crow_shares(data, cells.max(1));
            planes()
                .map(|plane| plane.iter().zip(&shares).map(|(&a, s)| f64::from(a) * s).sum::<f64>() as f32)
                .collect()
        }
        pooling => planes().map(|plane| pool(plane, pooling)).collect(),
    };

    let mut weights = Vec::with_capacity(mix.directions.len() * channels);
    let mut maps = vec![0.0; mix.directions.len() * cells];
    if !mix.directions.is_empty() {
        let gates = gates(&embedding, mix);
        for (direction, map) in mix.directions.iter().zip(maps.chunks_exact_mut(cells.max(1))) {
            let row = weights.len();
            weights.extend(gates.iter().zip(direction).map(|(&g, &d)| g * d));
            for (plane, &w) in planes().zip(&weights[row..]) {
                if w != 0.0 {
                    map.iter_mut().zip(plane).for_each(|(m, &a)| *m += w * a);
                }
            }
        }
    }
    Ok(Mixed { embedding, weights, maps })
}

/// `(C, H, W)` of a target.
///
/// # Errors
/// [`Error::Argument`] if it is neither `[1, C, H, W]` nor `[1, C]`.
pub(crate) fn channels_height_width(shape: &Shape) -> Result<(usize, usize, usize)> {
    shape.chw().ok_or_else(|| {
        Error::argument("target", format!("activation maps must be [1, C, H, W] or [1, C], and these are {shape}"))
    })
}

/// Checks a mix against the number of channels of the target; every engine calls it before it runs one.
///
/// # Errors
/// [`Error::Argument`] naming the part of the mix that does not fit.
pub(crate) fn validate(mix: &Mix, channels: usize) -> Result<()> {
    let fits = |what: String, len: usize| match len == channels {
        true => Ok(()),
        false => Err(Error::argument(what, format!("has {len} values, and the target layer has {channels} channels"))),
    };
    if let Some(mean) = &mix.mean {
        fits("mean embedding".into(), mean.len())?;
    }
    for (k, direction) in mix.directions.iter().enumerate() {
        fits(format!("direction of class {k}"), direction.len())?;
    }
    match mix.pooling {
        Pooling::GeM(p) if !(p.is_finite() && p > 0.0) => {
            Err(Error::argument("GeM exponent", format!("must be a positive number, and is {p}")))
        }
        _ => Ok(()),
    }
}

/// The factor of each channel: the gate, divided by `|f'|` if the mix is normalised.
fn gates(embedding: &[f32], mix: &Mix) -> Vec<f32> {
    let mut centred = embedding.to_vec();
    if let Some(mean) = &mix.mean {
        centred.iter_mut().zip(mean).for_each(|(f, m)| *f -= m);
    }
    let factor = match mix.normalise {
        false => 1.0,
        true => match centred.iter().map(|&f| f64::from(f) * f64::from(f)).sum::<f64>().sqrt() {
            norm if norm > 0.0 => (1.0 / norm) as f32,
            _ => 0.0,
        },
    };
    let gate = |f: f32| match mix.gate {
        Gate::Feature => f * factor,
        Gate::AbsFeature => f.abs() * factor,
        Gate::One => factor,
    };
    centred.into_iter().map(gate).collect()
}

/// Each cell's share in [`Pooling::Crow`]: `sqrt(max(S, 0))`, with `S` the cell's sum over channels, divided by the sum
/// of these over cells; `1 / cells` for every cell if no `S` is positive.
pub(crate) fn crow_shares(data: &[f32], cells: usize) -> Vec<f64> {
    let mut shares = vec![0f64; cells];
    for plane in data.chunks_exact(cells) {
        shares.iter_mut().zip(plane).for_each(|(s, &a)| *s += f64::from(a));
    }
    shares.iter_mut().for_each(|s| *s = s.max(0.0).sqrt());
    let total: f64 = shares.iter().sum();
    match total > 0.0 {
        true => shares.iter_mut().for_each(|s| *s /= total),
        false => shares.fill(1.0 / cells as f64),
    }
    shares
}

fn pool(plane: &[f32], pooling: Pooling) -> f32 {
    match pooling {
        // Crow weighs cells by all channels, so it is not a function of one plane.
        Pooling::Average | Pooling::Crow => (sum(plane) / plane.len() as f64) as f32,
        Pooling::Max => plane.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        Pooling::GeM(p) => {
            // (mean a^p)^(1/p) = m (mean (a/m)^p)^(1/p): with the largest value taken out, no exponent overflows.
            let largest = plane.iter().copied().fold(GEM_FLOOR, f32::max);
            let power = |&a: &f32| f64::from(a.max(GEM_FLOOR) / largest).powf(f64::from(p));
            let mean = plane.iter().map(power).sum::<f64>() / plane.len() as f64;
            (f64::from(largest) * mean.powf(1.0 / f64::from(p))) as f32
        }
    }
}

/// The sum in double precision, in four strands that do not wait for each other.
fn sum(values: &[f32]) -> f64 {
    let (chunks, rest) = values.as_chunks::<4>();
    let mut strands = [0f64; 4];
    for chunk in chunks {
        strands.iter_mut().zip(chunk).for_each(|(s, &v)| *s += f64::from(v));
    }
    strands.iter().sum::<f64>() + rest.iter().map(|&v| f64::from(v)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features() -> Tensor {
        Tensor::new([1, 2, 2, 3], (0..12).map(|i| i as f32).collect()).unwrap()
    }

    fn close(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{a} is not {b}"));
    }

    #[test]
    fn poolings() {
        let pooled = |pooling| mix_host(&features(), &Mix { pooling, ..Mix::default() }).unwrap().embedding;
        close(&pooled(Pooling::Average), &[2.5, 8.5]);
        close(&pooled(Pooling::Max), &[5.0, 11.0]);
        let cubes = |from: i32| ((from..from + 6).map(|i| i.pow(3) as f32).sum::<f32>() / 6.0).cbrt();
        close(&pooled(Pooling::GeM(3.0)), &[cubes(0), cubes(6)]);
        // As the exponent grows, GeM becomes the maximum (up to 6^(-1/p)), and nothing overflows.
        let steep = pooled(Pooling::GeM(1e4));
        assert!((steep[1] - 11.0).abs() < 0.01);
        close(&pooled(Pooling::GeM(1.0)), &[2.5, 8.5]);
    }

    #[test]
    fn crow_weighs_cells_by_the_root_of_their_sum() {
        let pooled = |data: Vec<f32>| {
            let maps = Tensor::new([1, 2, 1, 3], data).unwrap();
            mix_host(&maps, &Mix { pooling: Pooling::Crow, ..Mix::default() }).unwrap().embedding
        };
        // Sums 4, 9 and -1: shares 2/5, 3/5 and 0.
        close(&pooled(vec![1.0, 4.0, 7.0, 3.0, 5.0, -8.0]), &[0.4 + 2.4, 1.2 + 3.0]);
        // No positive sum anywhere: the plain mean.
        close(&pooled(vec![-1.0, 1.0, -3.0, 0.0, -1.0, 1.0]), &[-1.0, 0.0]);
    }

    #[test]
    fn weights_and_maps_follow_the_definition() {
        let mean = vec![0.5, 10.5];
        let mix = Mix { mean: Some(mean), directions: vec![vec![1.0, 3.0], vec![0.0, -1.0]], ..Mix::default() };
        let mixed = mix_host(&features(), &mix).unwrap();
        close(&mixed.embedding, &[2.5, 8.5]);
        close(&mixed.weights, &[2.0, -6.0, 0.0, 2.0]);
        let cell = |w0: f32, w1: f32| (0..6).map(|i| w0 * i as f32 + w1 * (i + 6) as f32).collect::<Vec<_>>();
        close(&mixed.maps, &[cell(2.0, -6.0), cell(0.0, 2.0)].concat());

        let norm = 8f32.sqrt();
        let normalised =
            mix_host(&features(), &Mix { normalise: true, gate: Gate::AbsFeature, ..mix.clone() }).unwrap();
        close(&normalised.weights, &[2.0 / norm, 6.0 / norm, 0.0, -2.0 / norm]);
        let one = mix_host(&features(), &Mix { gate: Gate::One, ..mix }).unwrap();
        close(&one.weights, &[1.0, 3.0, 0.0, -1.0]);
    }

    #[test]
    fn the_mean_of_the_fam_map_is_the_cosine() {
        // mean over cells of sum_c A_c g_c / (|f| |g|) = f.g / (|f| |g|), since f is the mean of A over the cells.
        let g = [3f32, 1.0];
        let unit: Vec<f32> = g.iter().map(|v| v / 10f32.sqrt()).collect();
        let mix = Mix { directions: vec![unit], gate: Gate::One, normalise: true, ..Mix::default() };
        let mixed = mix_host(&features(), &mix).unwrap();
        let cosine = (2.5 * 3.0 + 8.5) / ((2.5f32 * 2.5 + 8.5 * 8.5).sqrt() * 10f32.sqrt());
        close(&[mixed.maps.iter().sum::<f32>() / 6.0], &[cosine]);
    }

    #[test]
    fn zero_features_give_zero_weights() {
        for gate in [Gate::Feature, Gate::AbsFeature, Gate::One] {
            let mix = Mix { directions: vec![vec![1.0, 2.0]], normalise: true, gate, ..Mix::default() };
            let mixed = mix_host(&Tensor::zeros([1, 2, 2, 3]), &mix).unwrap();
            assert!(mixed.weights.iter().chain(&mixed.maps).all(|&v| v == 0.0));
        }
    }

    #[test]
    fn a_vector_counts_as_one_cell() {
        let vector = Tensor::new([1, 3], vec![1.0, 2.0, 3.0]).unwrap();
        let mixed = mix_host(&vector, &Mix { directions: vec![vec![1.0; 3]], ..Mix::default() }).unwrap();
        assert_eq!(
            (mixed.embedding.as_slice(), mixed.maps.as_slice()),
            ([1.0, 2.0, 3.0].as_slice(), [14.0].as_slice())
        );
    }

    #[test]
    fn a_mix_for_another_layer_is_refused_by_name() {
        let error = |mix: Mix| mix_host(&features(), &mix).unwrap_err().to_string();
        let short = Mix { directions: vec![vec![0.0; 2], vec![0.0; 5]], ..Mix::default() };
        assert_eq!(error(short), "direction of class 1: has 5 values, and the target layer has 2 channels");
        assert!(error(Mix { mean: Some(vec![]), ..Mix::default() }).starts_with("mean embedding: has 0 values"));
        assert!(error(Mix { pooling: Pooling::GeM(0.0), ..Mix::default() }).contains("positive"));
        let flat = Tensor::zeros([2, 3, 4]);
        assert!(mix_host(&flat, &Mix::default()).unwrap_err().to_string().contains("[2, 3, 4]"));
    }
}
