//! Heads, learned and given, a given matrix, and the support set checked against itself.

use crate::common::relative_error;
use crate::*;
use famlens::Error;
use famlens::fam::head::HeadChoice;
use famlens::fam::{PoolingChoice, Similarity, dot, norm};
use famlens::tasks::few_shot::Centre;

#[test]
fn learned_heads_carry_contributions_back_exactly() {
    let mut bench = bench();
    for (head, words) in [(HeadChoice::Whitening, "whitening to 8 dimensions"), (HeadChoice::Lda, "to 2 dimensions")] {
        let found = bench.explain(&ExplainOptions { head, ..base() });
        assert!(notes_contain(&found, words), "{:?}", found.notes);
        assert_eq!(found.classes[found.predicted].name, "Bird", "{head}");
        for (k, class) in found.classes.iter().enumerate() {
            let carried = sum(&found.contributions[k]) + class.constant;
            assert!((carried - class.similarity).abs() < 1e-3, "{head} {k}: {carried} {}", class.similarity);
        }
    }
}

/// A head of one hidden layer, as torch would save it.
fn head_file(inputs: usize) -> (Vec<u8>, Vec<f32>, Vec<f32>) {
    let wave = |n: usize, step: f32| -> Vec<f32> { (0..n).map(|i| (i as f32 * step).sin() / 30.0).collect() };
    let (first, second) = (wave(inputs * 16, 0.37), wave(16 * 8, 1.3));
    let bytes = |v: &[f32]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let data = [bytes(&first), bytes(&[0.02; 16]), bytes(&second)];
    let mut offset = 0;
    let mut entry = |name: &str, shape: &str, len: usize| {
        let text = format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{offset},{}]}}"#, offset + len);
        offset += len;
        text
    };
    let header = format!(
        "{{{},{},{}}}",
        entry("0.weight", &format!("[16,{inputs}]"), data[0].len()),
        entry("0.bias", "[16]", data[1].len()),
        entry("2.weight", "[8,16]", data[2].len())
    );
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.into_bytes());
    file.extend(data.concat());
    (file, first, second)
}

#[test]
fn a_head_from_a_file_decides_and_shows_its_residual() -> Result<()> {
    let mut bench = bench();
    let file = ExplainOptions { head: HeadChoice::File, ..base() };
    assert!(bench.try_explain(&file).is_err_and(|e| e.to_string().contains(".safetensors")));
    let (f, supports) = (bench.embedding(bench.query), bench.supports());
    let (bytes, first, second) = head_file(f.len());
    assert_eq!(bench.session.load_head(&bytes, None)?, format!("Linear {} -> 16, ReLU, Linear 16 -> 8", f.len()));
    let project = |x: &[f32]| -> Vec<f32> {
        let hidden: Vec<f32> = first.chunks(x.len()).map(|row| (dot(row, x) as f32 + 0.02).max(0.0)).collect();
        second.chunks(16).map(|row| dot(row, &hidden) as f32).collect()
    };
    let found = bench.explain(&file);
    let z = project(&f);
    for (k, row) in supports.iter().enumerate() {
        let g = mean(&row.iter().map(|s| project(s)).collect::<Vec<_>>());
        let expected = dot(&z, &g) / norm(&z) / norm(&g);
        let class = &found.classes[k];
        assert!((class.similarity - expected).abs() < 1e-4, "{k}: {} {expected}", class.similarity);
        // Gradient times input: f_c sum_o d_o dz_o/df_c, with the slopes of the query's hidden units.
        let active = |i: usize| if dot(&first[i * f.len()..(i + 1) * f.len()], &f) + 0.02 > 0.0 { 1.0 } else { 0.0 };
        let back = |c: usize| -> f64 {
            let through = |i: usize| -> f64 {
                let out = |o: usize| f64::from(g[o]) * f64::from(second[o * 16 + i]);
                active(i) * f64::from(first[i * f.len() + c]) * (0..8).map(out).sum::<f64>()
            };
            f64::from(f[c]) * (0..16).map(through).sum::<f64>() / norm(&z) / norm(&g)
        };
        let expected: Vec<f32> = (0..f.len()).map(|c| back(c) as f32).collect();
        assert!(relative_error(&found.contributions[k], &expected) < 1e-3, "contributions {k}");
        let missed = class.similarity - class.constant - sum(&found.contributions[k]);
        assert!((missed - class.residual).abs() < 1e-5, "the residual is what the contributions miss");
    }
    bench.session.forget_head();
    assert!(bench.try_explain(&file).is_err_and(|e| e.to_string().contains(".safetensors")));
    assert!(notes_contain(&found, "ReLU"));
    Ok(())
}

#[test]
fn the_models_own_head_is_recognised() -> Result<()> {
    let mut bench = bench();
    let head = bench.session.model().embedding_head("features")?;
    assert_eq!((head.head.describe().as_str(), head.output.as_str()), ("Linear 1280 -> 1000", "logits"));
    let by_head = bench.explain(&ExplainOptions { head: HeadChoice::Model, ..base() });
    let by_pooling = bench.explain(&ExplainOptions { pooling: Some(PoolingChoice::Model), ..base() });
    assert_eq!(by_head.classes, by_pooling.classes);
    assert!((by_head.classes[0].similarity - bench.explain(&base()).classes[0].similarity).abs() > 1e-3);
    for (class, row) in by_head.classes.iter().zip(&by_head.contributions) {
        assert!((sum(row) + class.constant - class.similarity).abs() < 1e-3, "an affine head is exact");
    }
    let signed = signed_layer(&bench.session);
    assert!(
        matches!(bench.session.model().embedding_head(&signed), Err(Error::Argument { .. })),
        "a convolution follows"
    );
    Ok(())
}

#[test]
fn a_misplaced_support_is_found() -> Result<()> {
    let mut bench = bench();
    let clean = block_on(bench.session.check_supports(&bench.classes, &base()))?;
    assert_eq!(clean.images.len(), 9);
    assert_eq!(clean.confusion.iter().flatten().sum::<usize>(), 9);
    let diagonal: usize = (0..3).map(|k| clean.confusion[k][k]).sum();
    assert_eq!(clean.accuracy, Some(diagonal as f64 / 9.0));
    // A bird among the first class's images.
    let bird = bench.classes.iter().position(|c| c.name == "Bird").expect("there are birds");
    let other = usize::from(bird == 0);
    let moved = bench.classes[bird].supports.remove(0);
    bench.classes[other].supports.push(moved);
    let check = block_on(bench.session.check_supports(&bench.classes, &base()))?;
    let found = check.images.iter().find(|i| i.image == moved).expect("it was checked");
    assert_eq!((found.class, found.predicted), (other, Some(bird)));
    assert!(found.margin.is_some_and(|m| m < 0.0));
    // What is learned is learned without the image: whitening from eight others.
    let whitened = ExplainOptions { head: HeadChoice::Whitening, center: Centre::Supports, ..base() };
    assert!(block_on(bench.session.check_supports(&bench.classes, &whitened))?.accuracy.is_some());
    bench.classes[bird].supports.truncate(1);
    let check = block_on(bench.session.check_supports(&bench.classes, &base()))?;
    assert!(check.images.iter().any(|i| i.predicted.is_none()) && !check.notes.is_empty());
    Ok(())
}

#[test]
fn a_given_matrix_is_used() -> Result<()> {
    let mut bench = bench();
    let channels = bench.embedding(bench.query).len();
    let mut identity = vec![0.0; channels * channels];
    (0..channels).for_each(|i| identity[i * channels + i] = 1.0);
    bench.session.set_matrix(Some((channels, &identity)))?;
    let plain = bench.explain(&base());
    let given = bench.explain(&ExplainOptions { similarity: Similarity::Bilinear, ..base() });
    assert!((given.classes[0].similarity - plain.classes[0].similarity).abs() < 1e-5, "with M = I it is the cosine");
    bench.session.set_matrix(None)?;
    let learned = bench.explain(&ExplainOptions { similarity: Similarity::Bilinear, ..base() });
    assert!((learned.classes[0].similarity - plain.classes[0].similarity).abs() > 1e-2);
    Ok(())
}

#[test]
fn a_matrix_from_a_file_is_the_one_that_counts() -> Result<()> {
    let mut bench = bench();
    let channels = bench.embedding(bench.query).len();
    let file = |rows: usize, columns: usize, value: fn(usize, usize) -> f32| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        (0..rows).for_each(|i| (0..columns).for_each(|j| bytes.extend(value(i, j).to_le_bytes())));
        bytes
    };
    let weighted = |i, j| if i == j { 1.0 + (i % 7) as f32 } else { 0.0 };
    let matrix: Vec<f32> = (0..channels * channels).map(|at| weighted(at / channels, at % channels)).collect();
    let bilinear = ExplainOptions { similarity: Similarity::Bilinear, ..base() };
    bench.session.set_matrix(Some((channels, &matrix)))?;
    let expected = bench.explain(&bilinear);
    bench.session.set_matrix(None)?;
    assert_eq!(bench.session.load_matrix(&file(channels, channels, weighted))?, format!("{channels} x {channels}"));
    let found = bench.explain(&bilinear);
    assert_eq!(found.classes[0].similarity, expected.classes[0].similarity);
    let refused = |bench: &mut Bench, bytes: &[u8]| bench.session.load_matrix(bytes).unwrap_err().to_string();
    assert!(refused(&mut bench, b"PK").contains("not a NumPy file"));
    assert!(refused(&mut bench, &file(2, 3, |_, _| 0.0)).contains("2 x 3"));
    assert!(refused(&mut bench, &file(2, 2, |i, j| (2 * i + j) as f32)).contains("not symmetric"));
    // What is refused changes nothing; what does not fit the embeddings is told when it is used.
    assert_eq!(bench.explain(&bilinear).classes[0].similarity, expected.classes[0].similarity);
    bench.session.load_matrix(&file(2, 2, weighted))?;
    assert!(bench.try_explain(&bilinear).is_err_and(|e| e.to_string().contains("has 2 values")));
    Ok(())
}

#[test]
fn an_evaluation_learns_from_the_supports_alone() {
    let mut bench = bench();
    let options = ExplainOptions { head: HeadChoice::Whitening, ..base() };
    let variants = vec![famlens::session::Variant { name: "whitened".into(), options: options.clone() }];
    let asked = famlens::session::EvaluateOptions { variants, ..Default::default() };
    let subject = famlens::session::Subject { image: bench.query, class: 0, boxes: Vec::new(), mask: None };
    let evaluate = |bench: &mut Bench| {
        let found = bench.session.evaluate_image(&subject, &bench.classes, "squash", &asked);
        block_on(found).expect("evaluated").maps.swap_remove(0).data
    };
    let before = evaluate(&mut bench);
    let other = bench.session.add_image("other", &photo("engine/dog.png")).expect("it fits");
    block_on(bench.session.embed(other)).expect("embedded");
    assert_eq!(evaluate(&mut bench), before, "another photo in the session changes no figure");
    // A person's own explanation does learn from it.
    assert_ne!(bench.explain(&options).maps[0].map.data, before);
}
