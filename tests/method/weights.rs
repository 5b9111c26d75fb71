//! Similarities, forms, poolings, normalisations, layers, finer maps and the rules of few-shot decisions.

use crate::common::relative_error;
use crate::*;
use famlens::choice::Choice;
use famlens::fam::{Form, Fusion, Grid, Metric, Norm, PoolingChoice, Similarity, dot, norm};
use famlens::session::Finer;
use famlens::tasks::few_shot::{Centre, Decide};

#[test]
fn every_similarity_ranks_by_itself_and_is_split_into_contributions() {
    let mut bench = bench();
    let f = bench.embedding(bench.query);
    let supports = bench.supports();
    let model_mean = bench.session.model().mean_embedding("features").map(<[f32]>::to_vec);
    let mut seen = Vec::new();
    for &similarity in Similarity::ALL {
        let found = bench.explain(&ExplainOptions { similarity, ..base() });
        for (k, class) in found.classes.iter().enumerate() {
            let carried = sum(&found.contributions[k]) + class.constant;
            let scale = class.similarity.abs().max(1.0);
            assert!((carried - class.similarity).abs() < 1e-4 * scale, "{similarity} {k}: {carried}");
            assert!(class.residual.abs() < 1e-4 * scale, "{similarity} {k}: residual {}", class.residual);
            let (g, mu) = (mean(&supports[k]), model_mean.clone());
            let expected = match similarity {
                Similarity::Bilinear | Similarity::Mahalanobis => continue,
                Similarity::CentredCosine => {
                    Metric::new(similarity, mu, None, false).expect("a mean").similarity(&f, &g)
                }
                _ => Metric::new(similarity, None, None, false).expect("no mean").similarity(&f, &g),
            };
            assert!((class.similarity - expected).abs() < 1e-4 * scale, "{similarity} {k}");
        }
        assert_eq!(found.classes[found.predicted].name, "Bird", "{similarity}");
        seen.push((found.score.clone(), found.classes[0].similarity));
    }
    for (i, a) in seen.iter().enumerate() {
        for b in &seen[..i] {
            assert!(a.0 != b.0 && (a.1 - b.1).abs() > 1e-6, "{a:?} {b:?}: two similarities are one");
        }
    }
}

/// A choice that changes nothing but leaves the fast path must give what the fast path gives, whatever the form.
#[test]
fn the_fast_path_and_the_general_one_agree() {
    let mut bench = bench();
    for similarity in [Similarity::Cosine, Similarity::Dot, Similarity::Euclidean, Similarity::CentredCosine] {
        for &form in Form::ALL.iter().filter(|form| form.cells().is_none()) {
            let fast = bench.explain(&ExplainOptions { form, similarity, ..base() });
            let finer = Finer { scales: vec![1.0], ..Finer::default() };
            let slow = bench.explain(&ExplainOptions { form, similarity, finer, ..base() });
            assert_eq!((fast.passes, slow.passes), (1, 1), "the scale that was there already is not run again");
            for k in 0..3 {
                let error = relative_error(&slow.maps[k].map.data, &fast.maps[k].map.data);
                assert!(error < 1e-4, "{similarity} {form} {k}: {error}");
                assert_eq!(fast.contributions[k], slow.contributions[k]);
            }
        }
    }
}

#[test]
fn forms_weigh_as_they_say() {
    let mut bench = bench();
    let (f, supports) = (bench.embedding(bench.query), bench.supports());
    let maps = bench.activations(bench.query, None);
    let g = mean(&supports[0]);
    let lengths = norm(&f) * norm(&g);
    for (form, gate) in [(Form::Faithful, None), (Form::Cam, Some(1.0)), (Form::Magnitude, None)] {
        let found = bench.explain(&ExplainOptions { form, ..base() });
        let weight = |c: usize| f64::from(g[c]) * gate.unwrap_or(f64::from(f[c])) / lengths;
        let expected: Vec<f32> = (0..f.len()).map(|c| weight(c) as f32).collect();
        assert!(relative_error(&found.weights[0], &expected) < 1e-4, "{form}");
        let cells = maps.len() / f.len();
        let map: Vec<f32> = (0..cells).map(|i| (0..f.len()).map(|c| expected[c] * maps[c * cells + i]).sum()).collect();
        assert!(relative_error(&found.maps[0].map.data, &map) < 1e-3, "{form}");
        if form == Form::Cam {
            let mean = sum(&found.maps[0].map.data) / cells as f64;
            assert!((mean - found.classes[0].similarity).abs() < 1e-4, "the mean of the CAM form is the cosine");
        }
    }
    let magnitude = bench.explain(&ExplainOptions { form: Form::Magnitude, ..base() });
    assert!(notes_contain(&magnitude, "no negative activations"));
    let one = bench.explain(&ExplainOptions { form: Form::Contrastive, rival: Some(1), ..base() });
    let margin = one.classes[0].similarity - one.classes[1].similarity;
    assert!((sum(&one.contributions[0]) - margin).abs() < 1e-5, "against one chosen class");
}

/// With the query as its own class, the dot product's contributions are the squares of its pooled features.
#[test]
fn poolings_pool_as_they_say() {
    let mut bench = bench();
    let maps = bench.activations(bench.query, None);
    let channels = bench.embedding(bench.query).len();
    let cells = maps.len() / channels;
    let planes: Vec<&[f32]> = maps.chunks(cells).collect();
    let strength: Vec<f64> =
        (0..cells).map(|i| planes.iter().map(|p| f64::from(p[i])).sum::<f64>().max(0.0).sqrt()).collect();
    let total: f64 = strength.iter().sum();
    let pool = |pooling: PoolingChoice, plane: &[f32]| -> f64 {
        let values = || plane.iter().map(|&v| f64::from(v));
        match pooling {
            PoolingChoice::Average | PoolingChoice::Model => values().sum::<f64>() / cells as f64,
            PoolingChoice::Max => values().fold(f64::MIN, f64::max),
            PoolingChoice::GeM => (values().map(|v| v.max(1e-6).powf(2.5)).sum::<f64>() / cells as f64).powf(0.4),
            PoolingChoice::Crow => values().zip(&strength).map(|(v, s)| v * s / total).sum(),
        }
    };
    let class = Class::new("itself", [bench.query]);
    for &pooling in PoolingChoice::ALL.iter().filter(|p| **p != PoolingChoice::Model) {
        let options =
            ExplainOptions { pooling: Some(pooling), gem_exponent: 2.5, similarity: Similarity::Dot, ..base() };
        let found =
            block_on(bench.session.explain(bench.query, std::slice::from_ref(&class), &options)).expect("explained");
        let expected: Vec<f32> = planes.iter().map(|p| pool(pooling, p).powi(2) as f32).collect();
        let error = relative_error(&found.contributions[0], &expected);
        assert!(error < 1e-3, "{pooling}: {error}");
    }
}

#[test]
fn weights_and_maps_are_scaled_and_cut_as_they_say() {
    let mut bench = bench();
    let centred = ExplainOptions { form: Form::Centred, ..base() };
    let plain = bench.explain(&centred);
    assert!(plain.weights[0].iter().any(|&w| w < 0.0) && plain.maps[0].map.data.iter().any(|&v| v < 0.0));
    for &norm in Norm::ALL {
        for relu in [false, true] {
            let found = bench.explain(&ExplainOptions { weight_norm: norm, weight_relu: relu, ..centred.clone() });
            let mut expected = plain.weights[0].clone();
            if relu {
                expected.iter_mut().for_each(|w| *w = w.max(0.0));
            }
            norm.apply(&mut expected);
            assert!(relative_error(&found.weights[0], &expected) < 1e-5, "weights {norm} {relu}");
            assert_eq!(found.contributions, plain.contributions, "contributions stay what they are");
            let found = bench.explain(&ExplainOptions { map_norm: norm, map_relu: relu, ..centred.clone() });
            let mut expected = plain.maps[0].map.data.clone();
            if relu {
                expected.iter_mut().for_each(|v| *v = v.max(0.0));
            }
            norm.apply(&mut expected);
            assert!(relative_error(&found.maps[0].map.data, &expected) < 1e-4, "map {norm} {relu}");
        }
    }
}

#[test]
fn notes_say_when_a_choice_cannot_change_the_map() {
    let mut bench = bench();
    let cases = [
        (ExplainOptions { weight_relu: true, ..base() }, "No weight is negative"),
        (ExplainOptions { weight_norm: Norm::Sum, ..base() }, "scales the whole map"),
        (ExplainOptions { weight_norm: Norm::MinMax, ..base() }, "min-max only scales"),
        (ExplainOptions { weight_norm: Norm::Softmax, ..base() }, "nearly the plain mean"),
        (ExplainOptions { map_relu: true, ..base() }, "No value of the map is negative"),
        (ExplainOptions { rival: Some(1), ..base() }, "Only the contrastive form"),
        (ExplainOptions { decide: Decide::Nearest, l2: true, ..base() }, "ignores the length of embeddings"),
    ];
    assert!(bench.explain(&base()).notes.is_empty());
    for (options, words) in cases {
        let found = bench.explain(&options);
        assert!(notes_contain(&found, words), "{words}: {:?}", found.notes);
    }
    let centred = bench.explain(&ExplainOptions { form: Form::Centred, weight_relu: true, ..base() });
    assert!(!notes_contain(&centred, "No weight is negative"), "there it does change the map");
    // Two classes of the same images: nothing speaks for one against the other.
    let supports = bench.classes[0].supports.clone();
    bench.classes = vec![Class::new("a", supports.clone()), Class::new("b", supports)];
    let same = bench.explain(&ExplainOptions { form: Form::Contrastive, ..base() });
    assert!(same.maps[0].localisation.is_none() && notes_contain(&same, "zero everywhere"), "{:?}", same.notes);
}

#[test]
fn layers_with_negative_activations_are_warned_about() {
    let mut bench = bench();
    let target = signed_layer(&bench.session);
    let on = |form| ExplainOptions { form, target: Some(target.clone()), ..base() };
    assert!(notes_contain(&bench.explain(&on(Form::Faithful)), "upside down"));
    assert!(!notes_contain(&bench.explain(&on(Form::Cam)), "upside down"));
    assert!(!notes_contain(&bench.explain(&base()), "upside down"), "the head is behind a ReLU6");
}

#[test]
fn several_layers_are_fused_in_one_pass() {
    let mut bench = bench();
    let second = signed_layer(&bench.session);
    for &fusion in Fusion::ALL {
        let targets = vec!["features".to_owned(), second.clone()];
        let found = bench.explain(&ExplainOptions { targets, fusion, form: Form::Cam, ..base() });
        assert_eq!(found.embedded, if fusion == Fusion::ALL[0] { 10 } else { 0 }, "one pass an image for both layers");
        assert_eq!(found.layers.len(), 2);
        for k in 0..3 {
            let grids: Vec<Grid> = found.layers.iter().map(|l| l.maps[k].clone()).collect();
            assert!(relative_error(&found.maps[k].map.data, &fusion.fuse(&grids).data) < 1e-6, "{fusion}");
        }
        let alone = bench.explain(&ExplainOptions { form: Form::Cam, target: Some(second.clone()), ..base() });
        assert!(relative_error(&found.layers[1].maps[0].data, &alone.maps[0].map.data) < 1e-4);
        assert_eq!(found.classes[0].similarity, bench.explain(&base()).classes[0].similarity, "the first decides");
    }
}

#[test]
fn a_mirrored_look_is_put_back_where_it_was_seen() {
    let mut bench = bench();
    let found = bench.explain(&ExplainOptions { finer: Finer { flip: true, ..Finer::default() }, ..base() });
    let plain = bench.explain(&base());
    let original = photo("fam/kingfisher.webp");
    let (width, height) = (original.width(), original.height());
    let pixels = (0..height).flat_map(|y| (0..width).rev().map(move |x| (x, y)));
    let rgb = pixels.flat_map(|(x, y)| original.pixel(x, y).expect("inside")).collect();
    let mirrored = Photo::from_rgb(width, height, rgb).expect("as many pixels");
    let mirrored = bench.session.add_image("mirrored", &mirrored).expect("it fits");
    let maps = bench.activations(mirrored, None);
    let side = found.maps[0].map.width;
    let cell = |x: usize, y: usize| -> f32 {
        let plane = |c: usize| maps[c * side * side + y * side + (side - 1 - x)];
        found.weights[0].iter().enumerate().map(|(c, w)| w * plane(c)).sum()
    };
    let expected: Vec<f32> =
        (0..side * side).map(|i| (plain.maps[0].map.data[i] + cell(i % side, i / side)) / 2.0).collect();
    let error = relative_error(&found.maps[0].map.data, &expected);
    assert!(error < 0.02, "{error}");
    assert!(relative_error(&plain.maps[0].map.data, &expected) > 0.02, "the mirror image says something else");
    assert_eq!((found.passes, found.contributions == plain.contributions), (2, true));
}

#[test]
fn finer_maps_have_more_cells_and_say_what_they_cost() {
    let mut bench = bench();
    let plain = bench.explain(&base());
    let shifted = bench.explain(&ExplainOptions { finer: Finer { shifts: 2, ..Finer::default() }, ..base() });
    assert_eq!((shifted.passes, shifted.maps[0].map.width), (5, 2 * plain.maps[0].map.width));
    assert!(shifted.timings.finer > 0.0);
    // Moved back to where they were seen, the looks agree with the plain one on average.
    let grid = Grid { width: 14, height: 14, data: shifted.maps[0].map.data.clone() };
    let correlation = famlens::fam::centred_cosine(
        &grid.resized(7, 7).data,
        &plain.maps[0].map.data,
        &[sum(&plain.maps[0].map.data) as f32 / 49.0; 49],
    );
    assert!(correlation > 0.9, "{correlation}");
    let larger = Finer { flip: true, shifts: 2, scales: vec![1.43], ..Finer::plain() };
    let error = bench.try_explain(&ExplainOptions { finer: larger.clone(), ..base() }).map(|found| found.passes);
    assert_eq!(error.expect("lite0 takes other sizes"), 17);
    bench.session.keep_photos(true);
    let kept = bench.session.add_image("kept", &photo("fam/kingfisher.webp")).expect("it fits");
    let sharp = Finer { scales: vec![1.43], ..Finer::default() };
    let options = ExplainOptions { finer: sharp, ..base() };
    let blurred = bench.explain(&options);
    let sharp = block_on(bench.session.explain(kept, &bench.classes, &options)).expect("explained");
    assert!(relative_error(&sharp.maps[0].map.data, &blurred.maps[0].map.data) > 1e-4, "made from the photo");
}

#[test]
fn few_shot_rules_decide_as_they_say() {
    let mut bench = bench();
    let (f, supports) = (bench.embedding(bench.query), bench.supports());
    let all: Vec<Vec<f32>> = supports.iter().flatten().cloned().collect();
    let mu = mean(&all);
    for &decide in Decide::ALL {
        for (center, l2) in
            [(Centre::None, false), (Centre::None, true), (Centre::Supports, true), (Centre::Gallery, true)]
        {
            let found = bench.explain(&ExplainOptions { decide, center, l2, ..base() });
            let centre = |v: &[f32]| -> Vec<f32> {
                let v: Vec<f32> = match center {
                    Centre::None => v.to_vec(),
                    _ => v.iter().zip(&mu).map(|(v, m)| v - m).collect(),
                };
                let length = if l2 { norm(&v) as f32 } else { 1.0 };
                v.iter().map(|v| v / length).collect()
            };
            let cosine = |a: &[f32], b: &[f32]| dot(a, b) / norm(a) / norm(b);
            for (k, row) in supports.iter().enumerate() {
                let prepared: Vec<Vec<f32>> = row.iter().map(|g| centre(g)).collect();
                let each: Vec<f64> = prepared.iter().map(|g| cosine(&centre(&f), g)).collect();
                let expected = match decide {
                    Decide::Prototype => cosine(&centre(&f), &mean(&prepared)),
                    Decide::Nearest => each.iter().copied().fold(f64::MIN, f64::max),
                    Decide::MeanOfSupports => each.iter().sum::<f64>() / each.len() as f64,
                };
                let similarity = found.classes[k].similarity;
                assert!((similarity - expected).abs() < 1e-4, "{decide} {center} {l2} {k}: {similarity} {expected}");
                assert!((sum(&found.contributions[k]) - expected).abs() < 1e-4);
            }
        }
    }
}
