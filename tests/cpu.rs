//! The CPU engine on the shipped model, in every instruction set of this machine, against ONNX Runtime on the same
//! file. Its ops are tested one by one in `tests/engines`.

mod common;

use common::{bytes, cosine, golden, json, npy, relative_error, root, rows};
use famlens::engine::cpu::CpuEngine;
use famlens::engine::{Engine, Mix, Output, Program};
use famlens::graph::{Graph, passes};
use famlens::onnx::Model;
use famlens::tensor::Tensor;
use famlens::{Error, Result};
use pollster::block_on;

fn lite0(height: usize, width: usize) -> Graph {
    let model = Model::parse(&bytes(root("models/efficientnet_lite0/model.onnx"))).unwrap();
    passes::optimize(model.to_graph(height, width).unwrap(), &[]).unwrap()
}

/// A golden's input: `(x - 127) / 128`, channels first.
fn input(name: &str) -> Tensor {
    let image = image::load_from_memory(&bytes(golden(&format!("engine/{name}")))).unwrap().to_rgb8();
    let plane = |c: usize| image.pixels().map(move |p| (f32::from(p.0[c]) - 127.0) / 128.0);
    let shape = [1, 3, image.height() as usize, image.width() as usize];
    Tensor::new(shape, (0..3).flat_map(plane).collect()).unwrap()
}

fn run(program: &mut dyn Program, input: &Tensor) -> Result<(Output, Vec<Tensor>)> {
    let output = block_on(program.run(input, &Mix::default()))?;
    let read = output.features.iter().map(|f| block_on(program.read(f))).collect::<Result<_>>()?;
    Ok((output, read))
}

#[test]
fn lite0_agrees_with_onnx_runtime_in_every_instruction_set() {
    let (embeddings, logits) = (npy("engine/int8_embeddings.npy"), npy("engine/int8_logits.npy"));
    let index = json(golden("engine/index.json"));
    for ((entry, embedding), logits) in index.as_array().unwrap().iter().zip(rows(&embeddings)).zip(rows(&logits)) {
        let name = entry["input"].as_str().unwrap();
        let input = input(name);
        let &[_, _, height, width] = input.shape().dims() else { unreachable!() };
        let graph = lite0(height, width);
        let targets = ["features", "embedding", "logits"].map(|n| graph.find(n).unwrap());
        for engine in CpuEngine::variants() {
            let mut program = engine.compile(&graph, &targets).unwrap();
            let (output, found) = run(program.as_mut(), &input).unwrap();
            let case = format!("{name} on {}", engine.describe());
            for found in [found[1].data(), &output.mixed.embedding] {
                assert!(cosine(found, embedding) >= 0.99999, "{case}: {}", cosine(found, embedding));
                assert!(relative_error(found, embedding) < 1e-3, "{case}");
            }
            assert!(relative_error(found[2].data(), logits) < 1e-3, "{case}");
            if let Some(features) = entry["features"].as_str() {
                let off = relative_error(found[0].data(), npy(&format!("engine/{features}")).data());
                assert!(off < 1e-3, "{case}: the target layer is off by {off:e}");
            }
        }
    }
}

#[test]
fn an_early_target_does_not_change_and_is_not_changed_by_later_ones() {
    let graph = lite0(96, 64);
    let photo = input("dog.png");
    let data = photo.data().iter().take(3 * 96 * 64).copied().collect();
    let input = Tensor::new([1, 3, 96, 64], data).unwrap();
    let candidates = graph.target_candidates();
    let (late, early) = (candidates[0].value, candidates[candidates.len() / 2].value);
    let engine = CpuEngine::new();
    let alone = |target| {
        let mut program = engine.compile(&graph, &[target]).unwrap();
        run(program.as_mut(), &input).unwrap().1.remove(0)
    };
    let mut both = engine.compile(&graph, &[late, early]).unwrap();
    for _ in 0..2 {
        let (_, found) = run(both.as_mut(), &input).unwrap();
        assert_eq!(found[0], alone(late));
        assert_eq!(found[1], alone(early));
    }
}

#[test]
fn another_image_size_is_refused_by_name() {
    let graph = lite0(64, 64);
    let mut program = CpuEngine::new().compile(&graph, &[graph.find("features").unwrap()]).unwrap();
    let error = run(program.as_mut(), &Tensor::zeros([1, 3, 64, 96])).unwrap_err();
    assert!(matches!(&error, Error::Argument { reason, .. } if reason.contains("[1, 3, 64, 96]")), "{error}");
}

#[test]
fn a_profile_names_every_step_once() {
    let graph = lite0(64, 64);
    let target = graph.find("embedding").unwrap();
    let profile = CpuEngine::new().profile(&graph, &[target], &Tensor::zeros([1, 3, 64, 64]), 1).unwrap();
    assert_eq!(profile.len(), graph.nodes.len() - 1, "all but the classifier");
    assert!(profile.iter().all(|s| s.milliseconds >= 0.0));
    assert!(profile.iter().any(|s| s.op == "Conv2d" && s.multiplications > 0));
}
