//! How close the shipped int8 model comes to its float32 original: 60 photos, goldens of ONNX Runtime.
//!
//! What int8 costs is seen in embeddings and maps, not in boxes: a coarser form (6 bits) scores a *better* IoU. So the
//! suite holds the embedding, the FAM map and the predicted class against the original's.

mod common;

use common::{bytes, cosine, golden, json, npy, pearson, root, rows};
use famlens::engine::cpu::CpuEngine;
use famlens::engine::{Engine, Gate, Mix, Pooling};
use famlens::graph::passes;
use famlens::onnx::Model;
use famlens::tensor::Tensor;
use pollster::block_on;

/// `(x - 127) / 128`, channels first.
fn input(name: &str) -> Tensor {
    let image = image::load_from_memory(&bytes(golden(&format!("quantisation/{name}")))).unwrap().to_rgb8();
    let (width, height) = (image.width() as usize, image.height() as usize);
    let plane = |c: usize| image.pixels().map(move |p| (f32::from(p.0[c]) - 127.0) / 128.0);
    Tensor::new([1, 3, height, width], (0..3).flat_map(plane).collect()).unwrap()
}

fn whole_numbers(path: &str) -> Vec<i64> {
    let bytes = bytes(golden(path));
    npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap()
}

#[test]
fn int8_explains_as_float32_does() {
    let model = Model::parse(&bytes(root("models/efficientnet_lite0/model.onnx"))).unwrap();
    let graph = passes::optimize(model.to_graph(224, 224).unwrap(), &[]).unwrap();
    let targets = ["features", "logits"].map(|n| graph.find(n).unwrap());
    let mut program = CpuEngine::new().compile(&graph, &targets).unwrap();

    let index = json(golden("quantisation/index.json"));
    let inputs = index["inputs"].as_array().unwrap();
    assert!(inputs.len() >= 40, "{} photos", inputs.len());
    let (embeddings, maps) = (npy("quantisation/fp32_embeddings.npy"), npy("quantisation/fp32_maps.npy"));
    let prototypes = npy("quantisation/prototypes.npy");
    let top1 = whole_numbers("quantisation/fp32_top1.npy");
    let (mut cosines, mut correlations, mut agreed) = (Vec::new(), Vec::new(), 0);
    for (i, (embedding, map)) in rows(&embeddings).zip(rows(&maps)).enumerate() {
        let prototype = rows(&prototypes).nth(inputs[i]["prototype"].as_u64().unwrap() as usize).unwrap();
        let norm = prototype.iter().map(|v| v * v).sum::<f32>().sqrt();
        let mix = Mix {
            pooling: Pooling::Average,
            mean: None,
            directions: vec![prototype.iter().map(|v| v / norm).collect()],
            gate: Gate::Feature,
            normalise: true,
        };
        let image = input(inputs[i]["input"].as_str().unwrap());
        let (output, logits) = block_on(async {
            let output = program.run(&image, &mix).await.unwrap();
            let logits = program.read(&output.features[1]).await.unwrap();
            (output, logits)
        });
        cosines.push(cosine(&output.mixed.embedding, embedding));
        correlations.push(pearson(&output.mixed.maps, map));
        let best = (0..logits.data().len()).max_by(|&a, &b| logits.data()[a].total_cmp(&logits.data()[b])).unwrap();
        agreed += usize::from(best as i64 == top1[i]);
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let least = |v: &[f64]| v.iter().copied().fold(f64::INFINITY, f64::min);
    let agreement = agreed as f64 / inputs.len() as f64;
    println!(
        "int8 against float32, {} photos: embedding cosine {:.5} (least {:.5}), map Pearson {:.5} (least {:.5}), top-1 {:.1} %",
        inputs.len(),
        mean(&cosines),
        least(&cosines),
        mean(&correlations),
        least(&correlations),
        100.0 * agreement
    );
    assert!(mean(&cosines) >= 0.99, "embedding cosine {}", mean(&cosines));
    assert!(mean(&correlations) >= 0.998, "map Pearson {}", mean(&correlations));
    assert!(agreement >= 0.95, "top-1 agreement {agreement}");
}
