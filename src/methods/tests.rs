//! Each method against its formula on small numbers; `tests/methods.rs` holds them against pytorch-grad-cam.

use pollster::block_on;

use super::*;
use crate::choice::Choice;
use crate::engine::Pooling;
use crate::fam::head::Head;
use crate::fam::{Metric, Samples, Similarity, Space};

fn layer() -> Tensor {
    Tensor::new([1, 2, 2, 2], vec![1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 8.0]).unwrap()
}

fn close(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "{a:?} {b:?}");
    a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{a} is not {b}"));
}

/// The maps of one class of a method with this gradient.
fn one(method: Method, gradient: &[f32]) -> MethodMap {
    let (layer, gradients) = (layer(), [gradient.to_vec()]);
    let directions = [vec![0.5, -1.0]];
    let maps = Maps::new(&layer).unwrap();
    let evidence = Evidence { maps, gradients: &gradients, directions: &directions, classes: 1 };
    method.from_activations(&evidence, 7).unwrap().remove(0)
}

const GRADIENT: [f32; 8] = [1.0, -1.0, 2.0, 2.0, -1.0, 1.0, 0.0, -4.0];

#[test]
fn weights_by_their_formulas() {
    close(&one(Method::Mean, &[]).data, &[0.5, 1.0, 1.5, 6.0]);
    close(&one(Method::Cam, &[]).data, &[0.5, 1.0, 1.5, -6.0]);
    // f = (2.5, 2), so w = (1.25, -2).
    close(&one(Method::Fam, &[]).weights, &[1.25, -2.0]);
    close(&one(Method::GradCam, &GRADIENT).weights, &[1.0, -1.0]);
    close(&one(Method::GradCam, &GRADIENT).data, &[1.0, 2.0, 3.0, 0.0]);
    // sum A G / sum A = (1 - 2 + 6 + 8) / 10 and -32 / 8.
    close(&one(Method::XGradCam, &GRADIENT).weights, &[1.3, -4.0]);
    // G / (2 + sum A G) for positive G: 1/12 + 2/22 + 2/22, and 1/10.
    close(&one(Method::GradCamPlusPlus, &GRADIENT).weights, &[1.0 / 12.0 + 2.0 / 11.0, 0.1]);
    close(&one(Method::LayerCam, &GRADIENT).data, &[1.0, 0.0, 6.0, 8.0]);
    close(&one(Method::HiResCam, &GRADIENT).data, &[1.0, -2.0, 6.0, -24.0]);
}

#[test]
fn the_first_principal_component() {
    let map = one(Method::EigenCam, &[]);
    // Centred cells: (-1.5, -2), (-.5, -2), (.5, -2), (1.5, 6), whose covariance [[5, 12], [12, 48]] has this
    // eigenvector.
    let slope = (43.0 + (43f64 * 43.0 + 576.0).sqrt()) / 24.0;
    let unit = [1.0 / (1.0 + slope * slope).sqrt(), slope / (1.0 + slope * slope).sqrt()];
    let cell = |a: f64, b: f64| (a * unit[0] + b * unit[1]) as f32;
    close(&map.data, &[cell(-1.5, -2.0), cell(-0.5, -2.0), cell(0.5, -2.0), cell(1.5, 6.0)]);
    // Maps that are the same everywhere have no component.
    let flat = Tensor::new([1, 2, 1, 2], vec![1.0, 1.0, 2.0, 2.0]).unwrap();
    assert_eq!(eigen_cam::map(&Maps::new(&flat).unwrap()), [0.0, 0.0]);
    // Channels that cancel: the sum over channels says nothing of the direction.
    let opposite = Tensor::new([1, 2, 1, 3], vec![1.0, 0.0, -1.0, -1.0, 0.0, 1.0]).unwrap();
    let map = eigen_cam::map(&Maps::new(&opposite).unwrap());
    close(&[map[0].abs(), map[1], map[0] + map[2]], &[2f32.sqrt(), 0.0, 0.0]);
}

#[test]
fn random_weights_are_those_of_their_seed() {
    let layer = layer();
    let maps = Maps::new(&layer).unwrap();
    assert_eq!(random::weights(&maps, 5), random::weights(&maps, 5));
    assert_ne!(random::weights(&maps, 5), random::weights(&maps, 6));
    // The first number of SplitMix64 from seed 0, as published.
    assert_eq!(SplitMix::new(0).bits(), 0xe220_a839_7b1d_cdaf);
}

#[test]
fn what_a_method_needs_is_said() {
    let layer = layer();
    let evidence = Evidence { maps: Maps::new(&layer).unwrap(), gradients: &[], directions: &[], classes: 1 };
    let message = |method: Method| method.from_activations(&evidence, 0).unwrap_err().to_string();
    assert!(message(Method::GradCam).contains("grad-cam needs the gradient"));
    assert!(message(Method::Cam).contains("linear"));
    assert!(message(Method::Rise).contains("passes"));
    assert!("gradcam".parse::<Method>().is_err_and(|e| e.to_string().contains("grad-cam++")));
}

#[test]
fn gradients_of_poolings() {
    let layer = Tensor::new([1, 2, 1, 3], vec![0.5, 2.0, 1.0, 3.0, 0.2, 3.0]).unwrap();
    let seed = [0.7f32, -1.3];
    for pooling in [Pooling::Average, Pooling::GeM(3.0), Pooling::GeM(1.5), Pooling::Crow] {
        let found = pooling::gradient(&Maps::new(&layer).unwrap(), pooling, &seed);
        let value = |layer: &Tensor| {
            let mix = crate::engine::Mix { pooling, ..Default::default() };
            let f = crate::engine::mix::mix_host(layer, &mix).unwrap().embedding;
            f.iter().zip(seed).map(|(f, s)| f64::from(f * s)).sum::<f64>()
        };
        for (i, &slope) in found.iter().enumerate() {
            let moved = |by: f32| {
                let mut layer = layer.clone();
                layer.data_mut()[i] += by;
                value(&layer)
            };
            let expected = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((f64::from(slope) - expected).abs() < 1e-3, "{pooling:?} {i}: {slope} is not {expected}");
        }
    }
    let max = pooling::gradient(&Maps::new(&layer).unwrap(), Pooling::Max, &seed);
    assert_eq!(max, [0.0, 0.7, 0.0, -1.3, 0.0, 0.0]);
}

fn objective(similarity: Similarity, l2: bool, head: Head, classes: &[&[f32]]) -> Objective {
    let rows: Vec<&[f32]> = vec![&[0.4, 1.0, 0.2], &[-0.3, 0.5, 1.0], &[1.0, -0.2, 0.1], &[0.3, 0.3, -0.9]];
    let inverse = Samples::new(&rows).unwrap().inverse(0.3).unwrap();
    let metric = Metric::new(similarity, Some(vec![0.1, 0.4, -0.2]), Some(inverse), l2).unwrap();
    let space = Space::new(head, metric, None);
    let classes = classes.iter().map(|g| space.direction(g).unwrap()).collect();
    Objective::Similarity { space, classes }
}

#[test]
fn gradients_of_every_similarity() {
    let classes: [&[f32]; 2] = [&[1.0, 2.0, 0.5], &[-1.0, 0.3, 2.0]];
    let f = [0.5f32, 1.5, -0.7];
    for &similarity in Similarity::ALL {
        for (l2, head) in [(false, false), (true, false), (false, true)] {
            let rows: Vec<Vec<&[f32]>> = vec![vec![classes[0], &f], vec![classes[1], &[0.2, -0.4, 1.0]]];
            let samples = Samples::new(&rows.concat()).unwrap();
            let head = if head { Head::whitening(&samples, 0.5).unwrap() } else { Head::none() };
            let objective = objective(similarity, l2, head, &classes);
            for class in 0..2 {
                let found = objective.gradient(&f, class).unwrap();
                let scale = found.iter().fold(0.1f32, |m, v| m.max(v.abs()));
                for (i, &slope) in found.iter().enumerate() {
                    let moved = |by: f32| {
                        let mut f = f;
                        f[i] += by;
                        objective.scores(&f).unwrap()[class]
                    };
                    let expected = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                    let off = (f64::from(slope) - expected).abs() / f64::from(scale);
                    assert!(off < 2e-3, "{similarity} l2 {l2}: {slope} is not {expected}");
                }
            }
        }
    }
}

#[test]
fn the_gradient_of_a_cosine_is_its_closed_form() {
    let space = Space::new(Head::none(), Metric::new(Similarity::Cosine, None, None, false).unwrap(), None);
    let classes = vec![space.direction(&[3.0, 4.0]).unwrap()];
    let objective = Objective::Similarity { space: space.clone(), classes };
    // g / (|f| |g|) - cos f / |f|^2 with f = (0, 2): (3 / 10, 4 / 10 - 0.8 * 2 / 4).
    close(&objective.gradient(&[0.0, 2.0], 0).unwrap(), &[0.3, 0.0]);
    let zero = Objective::Similarity { classes: vec![space.direction(&[0.0; 2]).unwrap()], space };
    assert_eq!(zero.gradient(&[1.0, 2.0], 0).unwrap(), [0.0, 0.0]);
    assert!(zero.scores(&[1.0]).is_err() && zero.gradient(&[1.0, 2.0], 1).is_err());
    assert!(Objective::Outputs(vec![4]).scores(&[1.0, 2.0]).is_err_and(|e| e.to_string().contains("no output 4")));
    assert_eq!(Objective::Outputs(vec![1]).gradient(&[5.0, 6.0], 0).unwrap(), [0.0, 1.0]);
}

/// Scores images by the mean of their right half, and maps by a weighted sum.
struct Toy {
    passes: usize,
    stop_after: usize,
}

impl Scorer for Toy {
    fn classes(&self) -> usize {
        2
    }

    fn score<'a>(&'a mut self, input: &'a Tensor) -> LocalFuture<'a, Result<Vec<f64>>> {
        self.passes += 1;
        let (_, height, width) = input.shape().chw().unwrap();
        let right = input.data().chunks(width).map(|row| row[width / 2..].iter().sum::<f32>()).sum::<f32>();
        let score = f64::from(right) / (height * width / 2) as f64;
        Box::pin(async move { Ok(vec![score, -score]) })
    }

    fn score_maps<'a>(&'a mut self, maps: &'a Tensor) -> LocalFuture<'a, Result<Vec<f64>>> {
        self.passes += 1;
        let f = Maps::new(maps).unwrap().means();
        let score = f64::from(2.0 * f[0] + 0.5 * f[1]);
        Box::pin(async move { Ok(vec![score, -score]) })
    }

    fn report(&mut self, done: usize, _: usize) -> LocalFuture<'_, Result<()>> {
        let stop = done >= self.stop_after;
        Box::pin(async move { if stop { Err(Error::Cancelled) } else { Ok(()) } })
    }
}

fn toy() -> Toy {
    Toy { passes: 0, stop_after: usize::MAX }
}

#[test]
fn ablation_weighs_by_the_score_that_is_lost() {
    let mut toy = toy();
    let maps = block_on(ablation_cam::maps(&mut toy, &layer())).unwrap();
    // f = (2.5, 2): the score is 5 + 1, and without a channel 1 and 5.
    close(&maps[0].weights, &[5.0 / 6.0, 1.0 / 6.0]);
    // The second class's score is negative; its channels speak against it.
    close(&maps[1].weights, &[-5.0 / 6.0, -1.0 / 6.0]);
    assert!(maps[1].data.iter().all(|&v| v == 0.0));
    assert_eq!(toy.passes, 3);
}

#[test]
fn occlusion_finds_the_half_that_counts() {
    let input = Tensor::new([1, 1, 4, 8], vec![1.0; 32]).unwrap();
    let mut toy = toy();
    let maps = block_on(occlusion::maps(&mut toy, &input, 2, 2)).unwrap();
    assert_eq!((maps[0].width, maps[0].height, toy.passes), (4, 2, 9));
    close(&maps[0].data, &[0.0, 0.0, 0.25, 0.25, 0.0, 0.0, 0.25, 0.25]);
    assert!(block_on(occlusion::maps(&mut toy, &input, 0, 2)).is_err());
}

#[test]
fn rise_finds_the_half_that_counts_and_repeats_itself() {
    let input = Tensor::new([1, 1, 8, 8], vec![1.0; 64]).unwrap();
    let options = rise::RiseOptions { masks: 300, grid: 4, keep: 0.5, seed: 3 };
    let run = |options| block_on(rise::maps(&mut toy(), &input, options)).unwrap();
    let map = &run(options)[0];
    assert_eq!((map.width, map.height), (8, 8));
    let half =
        |right: bool| map.data.iter().enumerate().filter(|(i, _)| (i % 8 >= 4) == right).map(|(_, v)| v).sum::<f32>();
    assert!(half(true) > 1.03 * half(false), "{} {}", half(true), half(false));
    assert_eq!(run(options)[0].data, map.data);
    assert_ne!(run(rise::RiseOptions { seed: 4, ..options })[0].data, map.data);
    assert!(block_on(rise::maps(&mut toy(), &input, rise::RiseOptions { keep: 0.0, ..options })).is_err());
}

#[test]
fn masks_keep_about_their_share() {
    let mut random = SplitMix::new(1);
    let mean: f32 = (0..200).map(|_| rise::mask(&mut random, 7, 0.3, 20, 33).iter().sum::<f32>() / 660.0).sum();
    assert!((mean / 200.0 - 0.3).abs() < 0.02, "{}", mean / 200.0);
}

#[test]
fn score_cam_prefers_the_channel_that_shows_what_counts() {
    // Channel 0 shows the left half, channel 1 the right, channel 2 is the same everywhere and needs no pass.
    let layer = Tensor::new([1, 3, 1, 2], vec![3.0, 0.0, 0.0, 2.0, 9.0, 9.0]).unwrap();
    let input = Tensor::new([1, 1, 4, 8], vec![4.0; 32]).unwrap();
    let mut scorer = toy();
    let run = |limit, scorer: &mut Toy| {
        let maps = Maps::new(&layer).unwrap();
        block_on(score_cam::maps(scorer, &input, &maps, limit)).unwrap().remove(0)
    };
    let all = run(0, &mut scorer);
    assert_eq!((scorer.passes, all.weights[2]), (2, 0.0));
    assert!(all.weights[1] > all.weights[0] && (all.weights[0] + all.weights[1] - 1.0).abs() < 1e-6);
    // One channel only: the one of larger mean.
    assert_eq!(run(1, &mut scorer).weights, [1.0, 0.0, 0.0]);
}

#[test]
fn a_cancelled_method_ends() {
    let input = Tensor::new([1, 1, 8, 8], vec![1.0; 64]).unwrap();
    for method in [Method::Rise, Method::Occlusion, Method::ScoreCam, Method::AblationCam] {
        let mut toy = Toy { passes: 0, stop_after: 1 };
        let options = MethodOptions { window: 2, stride: 2, ..MethodOptions::default() };
        let result = block_on(method.by_passes(&mut toy, &input, &layer(), &options));
        assert!(matches!(result, Err(Error::Cancelled)) && toy.passes <= 2, "{method}");
    }
}

#[test]
fn bilinear_upsampling_keeps_centres_and_borders() {
    let up = masks::upsample(&[0.0, 1.0], 1, 2, (2, 4));
    close(&up, &[0.0, 0.25, 0.75, 1.0, 0.0, 0.25, 0.75, 1.0]);
}
