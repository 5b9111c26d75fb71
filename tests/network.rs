//! The network as it is drawn: layers in ONNX's words, blocks found by names and by structure, costs, and what follows
//! the target layer, on small networks of every family.

mod common;

use famlens::Result;
use famlens::onnx::Model;
use famlens::session::{Network, NetworkBlock};

fn graph(path: &str, side: usize) -> famlens::graph::Graph {
    let model = Model::parse(&common::bytes(common::root(path))).unwrap();
    let (height, width) = model.input_size().unwrap();
    model.to_graph_as_far(height.unwrap_or(side), width.unwrap_or(side)).unwrap().0
}

fn family(name: &str) -> Network {
    Network::new(graph(&format!("tests/families/{name}.onnx"), 32), "").unwrap()
}

/// All blocks, outer before inner.
fn all(blocks: &[NetworkBlock]) -> Vec<&NetworkBlock> {
    blocks.iter().flat_map(|b| std::iter::once(b).chain(all(&b.blocks))).collect()
}

fn of_kind<'a>(network: &'a Network, kind: &str) -> Vec<&'a NetworkBlock> {
    all(&network.blocks).into_iter().filter(|b| b.kind == kind).collect()
}

fn ops(network: &Network, block: &NetworkBlock) -> Vec<&'static str> {
    network.layers[block.first..block.first + block.count].iter().map(|l| l.op).collect()
}

#[test]
fn a_resnet_without_names_is_grouped_by_its_forks_and_joins() {
    let network = family("resnet50");
    let blocks = of_kind(&network, "residual");
    assert_eq!(blocks.len(), 4);
    assert_eq!(ops(&network, blocks[1]), ["Conv", "Relu", "Conv", "Relu", "Conv", "Conv", "Add", "Relu"]);
    assert_eq!(blocks[1].label, "Block 2");
    // A convolution's products: 7 x 7 x 3 weights for each of 4 channels and 32 x 32 cells.
    let stem = &network.layers[0];
    assert_eq!((stem.op, stem.detail.as_str()), ("Conv", "7 x 7, stride 2"));
    assert_eq!((stem.parameters, stem.multiply_adds), (7 * 7 * 3 * 4 + 4, 7 * 7 * 3 * 4 * 32 * 32));
    assert_eq!((stem.maps, stem.bytes), (Some([4, 32, 32]), 4 * 32 * 32 * 4));
    let target = &network.layers[network.target];
    assert_eq!((target.name.as_str(), target.maps), ("relu12", Some([128, 2, 2])));
    assert!(target.cost > 0.99 && target.cost < 1.0, "only the classifier comes after it");
    assert_eq!(network.after.says, "global average pooling, then Linear 128 -> 6");
    let module = network.after.module.as_ref().unwrap();
    assert_eq!((module.pooling.as_str(), module.head.as_str()), ("global average pooling", "Linear 128 -> 6"));
    assert!(module.affine);
    let pooled = &network.layers[network.target + 1];
    assert!(pooled.why_not.as_ref().is_some_and(|why| why.contains("one value a channel")));
}

#[test]
fn a_transformer_is_blocks_of_attention_and_mlp_over_tokens() {
    let network = family("vit_new");
    let blocks = of_kind(&network, "transformer");
    assert_eq!(blocks.len(), 2);
    let halves: Vec<&str> = blocks[0].blocks.iter().map(|b| b.label.as_str()).collect();
    assert_eq!(halves, ["Attention", "MLP"]);
    let attention = network.layers.iter().find(|l| l.op == "Attention").unwrap();
    // 17 tokens with each other, in 3 heads of 8: with the keys, then with the values.
    assert_eq!((attention.detail.as_str(), attention.multiply_adds), ("3 heads of 8", 3 * 17 * 17 * (8 + 8)));
    assert!(attention.why_not.is_some(), "a head's values lie in no grid of channels");
    let target = &network.layers[network.target];
    assert_eq!((target.layout, target.tokens, target.maps), (Some("tokens"), [1, 0], Some([24, 4, 4])));
    assert_eq!(network.after.says, "LayerNormalization, then the class token, then Linear 24 -> 6");
    assert!(network.after.module.is_none() && network.after.why_not.is_some());
    assert_eq!(family("dino_v2_registers").layers.last().unwrap().detail, "token 0 of 21");
    let registers = family("dino_v2_registers");
    assert_eq!(registers.layers[registers.target].tokens, [5, 0], "a class token and four registers");
}

#[test]
fn what_joins_a_block_says_what_it_is() {
    assert!(!of_kind(&family("mobilenet_v3_small"), "gate").is_empty());
    assert!(all(&family("mobilenet_v3_small").blocks).iter().any(|b| b.label == "Squeeze and excitation"));
    let inception = family("googlenet");
    let joined = of_kind(&inception, "branches");
    assert!(joined.len() >= 3 && joined.iter().all(|b| ops(&inception, b).contains(&"Concat")), "{joined:?}");
    assert!(!of_kind(&family("densenet"), "dense").is_empty());
}

#[test]
fn names_make_the_tree_where_exporters_leave_them() {
    let lite0 = Network::new(graph("models/efficientnet_lite0/model.onnx", 224), "features").unwrap();
    let outer: Vec<&str> = lite0.blocks.iter().map(|b| b.label.as_str()).collect();
    assert_eq!(outer[..2], ["stem", "blocks"]);
    let blocks = &lite0.blocks[1].blocks;
    assert_eq!((blocks.len(), blocks[2].label.as_str(), blocks[2].kind), (16, "blocks.2", "residual"));
    let depthwise = lite0.layers.iter().find(|l| l.name == "blocks.2.depthwise.conv").unwrap();
    assert_eq!((depthwise.label.as_str(), depthwise.detail.as_str()), ("conv", "3 x 3, depthwise"));
    assert_eq!(lite0.parameters, 4_652_008 - 21_008);
    assert_eq!(lite0.after.says, "global average pooling, then Linear 1280 -> 1000");
    let torch = Network::new(graph("tests/onnx/net_resnet.onnx", 64), "").unwrap();
    assert_eq!(torch.blocks.iter().map(|b| b.label.as_str()).collect::<Vec<_>>(), ["stem", "blocks"]);
    assert!(torch.blocks[1].blocks.iter().any(|b| b.label == "blocks.0" && b.kind == "residual"));
}

#[test]
fn merged_patches_keep_the_grid() {
    for name in ["swin", "swin_new", "timm_swin", "swin_v2"] {
        let network = family(name);
        let target = &network.layers[network.target];
        assert!(
            target.cost > 0.98,
            "{name}: the best layer is the last block's, and {} is at {}",
            target.name,
            target.cost
        );
    }
}

#[test]
fn the_last_block_is_found_and_not_what_is_made_of_it_for_the_pooling() {
    for (name, target, after) in [
        // The final normalisation as one node, written out, and between roundings.
        ("vit_new", "add12", "LayerNormalization, then the class token"),
        ("vit", "add22", "LayerNormalization, then the class token"),
        ("dino_vit", "add33", "LayerNormalization, then the class token"),
        ("dynamic_vit", "add25", "LayerNormalization, then the class token"),
        ("static_deit", "add14", "LayerNormalization, then the class token"),
        ("swin", "add71", "LayerNormalization, then global average pooling"),
        ("swin_v2_new", "add33", "LayerNormalization, then global average pooling"),
        // A pool by attention.
        ("clip_resnet", "relu11", "global average pooling, then Concat"),
        // Nothing to look past.
        ("resnet50", "relu12", "global average pooling"),
        ("qdq_per_channel", "dequantizelinear15", "global average pooling"),
    ] {
        let network = family(name);
        assert_eq!(network.layers[network.target].name, target, "{name}");
        assert!(network.after.says.starts_with(after), "{name}: {}", network.after.says);
    }
}

#[test]
fn another_target_is_described_and_an_unknown_one_refused() {
    let graph = graph("tests/families/resnet50.onnx", 64);
    let early = Network::new(graph.clone(), "relu3").unwrap();
    assert_eq!(early.layers[early.target].maps, Some([16, 16, 16]));
    let says = &early.after.says;
    assert!(says.contains("more layers") && says.ends_with("global average pooling, then Linear 128 -> 6"), "{says}");
    assert!(early.after.module.is_none());
    let error = Network::new(graph, "reducemean0").unwrap_err().to_string();
    assert!(error.contains("reducemean0") && error.contains("relu12"), "{error}");
}

#[test]
fn every_family_is_drawn_whole() -> Result<()> {
    let index = common::json(common::root("tests/families/index.json"));
    let names = index.as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap());
    for name in names.filter(|n| *n != "decoder_new") {
        let side = index.as_array().unwrap().iter().find(|e| e["name"] == name).unwrap()["input"][2].as_u64().unwrap();
        let graph = graph(&format!("tests/families/{name}.onnx"), side as usize);
        let network = Network::new(graph.clone(), "")?;
        let count = network.layers.len();
        for (at, layer) in network.layers.iter().enumerate() {
            assert!(layer.inputs.iter().all(|&i| i < at), "{name}: {} reads what comes after it", layer.name);
            assert!((0.0..=1.0 + 1e-9).contains(&layer.cost), "{name}: {} costs {}", layer.name, layer.cost);
            let before = layer.inputs.iter().map(|&i| network.layers[i].cost).fold(0.0, f64::max);
            assert!(layer.cost >= before - 1e-12, "{name}: {} costs less than what it reads", layer.name);
            assert_eq!(layer.maps.is_some(), layer.why_not.is_none(), "{name}: {}", layer.name);
            assert!(!layer.label.is_empty(), "{name}: {}", layer.name);
        }
        check(&network.blocks, 0..count, name);
        let sum: u64 = network.layers.iter().map(|l| l.multiply_adds).sum();
        assert_eq!(network.multiply_adds, sum, "{name}");
        // Whatever is said to be a target can be one.
        for layer in network.layers.iter().filter(|l| l.why_not.is_none()).step_by(7) {
            let there = Network::new(graph.clone(), &layer.name)?;
            assert_eq!(there.layers[there.target].name, layer.name, "{name}");
        }
    }
    Ok(())
}

/// Blocks lie in order within their range, without overlap, and each holds more than one layer.
fn check(blocks: &[NetworkBlock], range: std::ops::Range<usize>, name: &str) {
    let mut at = range.start;
    for block in blocks {
        assert!(block.first >= at && block.count > 1, "{name}: {} at {} after {at}", block.label, block.first);
        at = block.first + block.count;
        assert!(at <= range.end && !block.label.is_empty(), "{name}: {} ends at {at} of {}", block.label, range.end);
        check(&block.blocks, block.first..at, name);
    }
}
