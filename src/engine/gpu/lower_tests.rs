//! What a graph is lowered to, without a GPU: how many dispatches of which kernel.

use super::kernels::Kernel;
use super::lower::{Lowered, Traits, lower};
use super::weights::{Uploader, WeightCache};
use crate::graph::{
    Activation, Attention, BinaryOp, Conv2d, Graph, LayerNorm, Linear, Op, Pool2d, PoolKind, ValueId, passes,
};
use crate::tensor::{Shape, Tensor};

fn lowered(graph: &Graph, target: ValueId) -> Lowered {
    let cache = WeightCache::default();
    let mut uploader = Uploader::new(&cache, &wgpu::Limits::default());
    let traits = Traits { software: false, arena_limit: 1 << 25 };
    lower(graph, &[target], traits, &mut uploader).unwrap()
}

fn kernels(lowered: &Lowered) -> Vec<Kernel> {
    lowered.steps.iter().map(|s| s.dispatch.spec.kernel).collect()
}

#[test]
fn the_shipped_model_takes_as_many_dispatches_as_it_has_layers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/models/efficientnet_lite0/model.onnx");
    let model = crate::onnx::Model::parse(&std::fs::read(path).unwrap()).unwrap();
    for (target, dispatches) in [("features", 49), ("logits", 51)] {
        let graph = model.to_graph_for(224, 224, target).unwrap();
        let graph = passes::optimize(graph.clone(), &[graph.find(target).unwrap()]).unwrap();
        let lowered = lowered(&graph, graph.find(target).unwrap());
        assert_eq!(lowered.steps.len(), dispatches, "{target}");
        let mut pipelines: Vec<String> = lowered.steps.iter().map(|s| format!("{:?}", s.dispatch.spec)).collect();
        pipelines.sort();
        pipelines.dedup();
        assert!(pipelines.len() <= 20, "{target} takes {} pipelines: {pipelines:#?}", pipelines.len());
    }
}

fn weight(graph: &mut Graph, shape: &[usize]) -> ValueId {
    graph.add_constant(format!("w{}", graph.values.len()), Tensor::zeros(Shape::new(shape)))
}

fn norm(graph: &mut Graph, x: ValueId, axis: usize, width: usize) -> ValueId {
    let parameters = [weight(graph, &[width]), weight(graph, &[width])];
    let op = Op::LayerNorm(LayerNorm { axes: vec![axis], epsilon: 1e-6 });
    graph.add_node(format!("n{}", graph.nodes.len()), op, vec![x, parameters[0], parameters[1]]).unwrap()
}

fn linear(graph: &mut Graph, x: ValueId, inputs: usize, outputs: usize) -> ValueId {
    let parameters = [weight(graph, &[outputs, inputs]), weight(graph, &[outputs])];
    let op = Op::Linear(Linear { activation: Activation::Gelu });
    graph.add_node(format!("l{}", graph.nodes.len()), op, vec![x, parameters[0], parameters[1]]).unwrap()
}

#[test]
fn channels_last_blocks_move_nothing() {
    // ConvNeXt: depthwise convolution, norm and layers over the channels of each cell, the sum with the input.
    let mut graph = Graph::default();
    let image = graph.add_input("image", [1, 8, 6, 5]);
    let filters = [weight(&mut graph, &[8, 1, 7, 7]), weight(&mut graph, &[8])];
    let conv = Conv2d {
        strides: [1, 1],
        dilations: [1, 1],
        pads: [3; 4],
        groups: 8,
        activation: Activation::None,
        residual: false,
    };
    let x = graph.add_node("conv", Op::Conv2d(conv), vec![image, filters[0], filters[1]]).unwrap();
    let x = graph.add_node("last", Op::Transpose { perm: vec![0, 2, 3, 1] }, vec![x]).unwrap();
    let x = norm(&mut graph, x, 3, 8);
    let x = linear(&mut graph, x, 8, 32);
    let x = linear(&mut graph, x, 32, 8);
    let scale = weight(&mut graph, &[8]);
    let x = graph.add_node("scale", Op::Binary(BinaryOp::Mul), vec![x, scale]).unwrap();
    let x = graph.add_node("first", Op::Transpose { perm: vec![0, 3, 1, 2] }, vec![x]).unwrap();
    // A target that keeps its rows: the sum is a map only because the image is.
    let sum = graph.add_node("sum", Op::Binary(BinaryOp::Add), vec![image, x]).unwrap();
    let y = graph.add_node("rows", Op::Transpose { perm: vec![0, 2, 3, 1] }, vec![sum]).unwrap();
    let y = graph.add_node("y", Op::Reshape(Shape::from([30, 8])), vec![y]).unwrap();
    let found = kernels(&lowered(&graph, y));
    let expected = [
        |k: &Kernel| matches!(k, Kernel::Depthwise { .. }),
        |k: &Kernel| matches!(k, Kernel::Norm),
        |k: &Kernel| matches!(k, Kernel::Pointwise { .. }),
        |k: &Kernel| matches!(k, Kernel::Pointwise { .. }),
        |k: &Kernel| matches!(k, Kernel::Elementwise),
        |k: &Kernel| matches!(k, Kernel::Elementwise),
    ];
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(|(k, is)| is(k)), "{found:?}");
}

#[test]
fn heads_are_attended_in_rows() {
    let mut graph = Graph::default();
    let image = graph.add_input("image", [1, 16, 4, 5]);
    let x = graph.add_node("cells", Op::Reshape(Shape::from([1, 16, 20])), vec![image]).unwrap();
    let tokens = graph.add_node("tokens", Op::Transpose { perm: vec![0, 2, 1] }, vec![x]).unwrap();
    let mut head = || {
        let x = linear(&mut graph, tokens, 16, 16);
        let name = format!("h{}", graph.nodes.len());
        let x = graph.add_node(name.clone() + "r", Op::Reshape(Shape::from([1, 20, 2, 8])), vec![x]).unwrap();
        graph.add_node(name, Op::Transpose { perm: vec![0, 2, 1, 3] }, vec![x]).unwrap()
    };
    let heads = vec![head(), head(), head()];
    let attention = Op::Attention(Attention { scale: 0.35, mask: false });
    let x = graph.add_node("attention", attention, heads).unwrap();
    let x = graph.add_node("joined", Op::Transpose { perm: vec![0, 2, 1, 3] }, vec![x]).unwrap();
    let y = graph.add_node("y", Op::Reshape(Shape::from([1, 20, 16])), vec![x]).unwrap();
    let found = kernels(&lowered(&graph, y));
    assert!(found.contains(&Kernel::AttentionByFours), "{found:?}");
    // Reading the image out, to tokens, is done one by one; the three heads and their joining by fours.
    let count = |kernel: Kernel| found.iter().filter(|&&k| k == kernel).count();
    assert_eq!((count(Kernel::Strided), count(Kernel::Copy)), (2, 4), "{found:?}");
}

#[test]
fn more_than_the_device_binds_is_refused_with_advice() {
    let mut graph = Graph::default();
    let image = graph.add_input("image", [1, 8, 64, 64]);
    let y = graph.add_node("relu", Op::Activation(Activation::Relu), vec![image]).unwrap();
    let cache = WeightCache::default();
    let mut uploader = Uploader::new(&cache, &wgpu::Limits::default());
    let traits = Traits { software: false, arena_limit: 1 << 14 };
    let error = lower(&graph, &[y], traits, &mut uploader).unwrap_err().to_string();
    assert!(error.contains("smaller input size or the CPU engine"), "{error}");
}

#[test]
fn a_layer_larger_than_the_device_binds_is_named() {
    let mut graph = Graph::default();
    let image = graph.add_input("image", [1, 8, 8, 8]);
    let rows = graph.add_node("rows", Op::Reshape(Shape::from([1, 512])), vec![image]).unwrap();
    let y = linear(&mut graph, rows, 512, 64);
    let cache = WeightCache::default();
    let limits = wgpu::Limits { max_storage_buffer_binding_size: 1 << 16, ..wgpu::Limits::default() };
    let mut uploader = Uploader::new(&cache, &limits);
    let traits = Traits { software: false, arena_limit: 1 << 25 };
    let error = lower(&graph, &[y], traits, &mut uploader).unwrap_err().to_string();
    let name = &graph.producer(y).unwrap().name;
    assert!(error.contains(name.as_str()) && error.contains("CPU engine"), "{error}");
}

/// The error of a graph with one node over the image.
fn refused(shape: [usize; 4], op: Op) -> String {
    let mut graph = Graph::default();
    let image = graph.add_input("image", shape);
    let y = graph.add_node("the node", op, vec![image]).unwrap();
    let cache = WeightCache::default();
    let mut uploader = Uploader::new(&cache, &wgpu::Limits::default());
    let traits = Traits { software: false, arena_limit: 1 << 30 };
    lower(&graph, &[y], traits, &mut uploader).unwrap_err().to_string()
}

#[test]
fn what_an_invocation_cannot_walk_is_refused_by_name() {
    // One line of a million cells, all of them in the window of each.
    let kernel = [1, 1 << 20];
    let pool =
        Pool2d { kind: PoolKind::Max, kernel, strides: [1, 1], dilations: [1, 1], pads: [0, 1 << 19, 0, 1 << 19] };
    let error = refused([1, 1, 1, 1 << 20], Op::Pool2d(pool));
    assert!(error.contains("the node") && error.contains("steps in a row"), "{error}");
    let error = refused([1, 1, 1, 1 << 22], Op::Softmax { axis: 3 });
    assert!(error.contains("the node") && error.contains("steps in a row"), "{error}");
}

#[test]
fn coordinates_that_would_wrap_are_refused_by_name() {
    let far = usize::MAX >> 1;
    for (dilations, pads) in [([1, 1 << 31], [0; 4]), ([1, 1], [far, 0, 0, 0]), ([far, 1], [0; 4])] {
        let pool = Pool2d { kind: PoolKind::Max, kernel: [2, 2], strides: [1, 1], dilations, pads };
        let mut graph = Graph::default();
        let image = graph.add_input("image", [1, 4, 8, 8]);
        // Shape inference may refuse it first: then it never gets here.
        let Ok(y) = graph.add_node("the node", Op::Pool2d(pool), vec![image]) else { continue };
        let cache = WeightCache::default();
        let mut uploader = Uploader::new(&cache, &wgpu::Limits::default());
        let traits = Traits { software: false, arena_limit: 1 << 30 };
        let error = lower(&graph, &[y], traits, &mut uploader).unwrap_err().to_string();
        assert!(error.contains("the node") || error.contains("largest"), "{error}");
    }
}
